/*
 * The least that can carry a message: one line, no ring, no flow control: the writer stores it, the
 * reader polls it. By schedule only, with nothing in flight: what two processors and two clock readings
 * take by themselves.
 */
#include "bench/transport.h"

struct line {
    TB_ALIGNAS(256) TB_ATOMIC(uint64_t) seq;
    TB_ATOMIC(uint64_t) intended;
    TB_ALIGNAS(256) TB_ATOMIC(uint64_t) taken;
};

struct end {
    struct line *line;
    uint64_t next;
};

static void prepare(struct transport_run *run)
{
    run->shared_bytes = sizeof(struct line);
    run->shared = bench_shared(run->shared_bytes);
}

static void finish(struct transport_run *run)
{
    bench_unshare(run->shared, run->shared_bytes);
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct end *e = end;
    for (unsigned i = 1; atomic_load_explicit(&e->line->taken, memory_order_acquire) != seq - 1; i++)
        transport_stall(i);
    atomic_store_explicit(&e->line->intended, intended, memory_order_relaxed);
    atomic_store_explicit(&e->line->seq, seq, memory_order_release);
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct end *e = end;
    if (atomic_load_explicit(&e->line->seq, memory_order_acquire) != e->next)
        return false;
    uint64_t intended = atomic_load_explicit(&e->line->intended, memory_order_relaxed);
    message_fill(out, e->next, intended);
    atomic_store_explicit(&e->line->taken, e->next++, memory_order_release);
    return true;
}

static void write_all(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send_one, transport_no_flush);
}

static void read_all(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_one);
}

const struct transport transport_bare_line = {
    .name = "bare_line", .prepare = prepare, .write = write_all, .read = read_all, .finish = finish};
