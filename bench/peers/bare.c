/*
 * The least that can carry a message by schedule: one line and no ring. The writer stores it, the reader
 *
 *   bare_spin    polls it: what two processors and two clock readings take by themselves
 *   bare_futex   sleeps on it at once, and is woken for each: what the kernel takes for a wake-up
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/transport.h"

struct line {
    TB_ALIGNAS(256) TB_ATOMIC(uint64_t) intended;
    TB_ATOMIC(uint32_t) seq;
    TB_ALIGNAS(256) TB_ATOMIC(uint32_t) taken;
};

struct end {
    struct line *line;
    uint32_t next;
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

static void futex(struct line *line, int what, uint32_t value)
{
    (void)syscall(SYS_futex, &line->seq, what, value, NULL, NULL, 0);
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct end *e = end;
    for (unsigned i = 1; atomic_load_explicit(&e->line->taken, memory_order_acquire) != seq - 1;
         i++)
        transport_stall(i);
    atomic_store_explicit(&e->line->intended, intended, memory_order_relaxed);
    atomic_store_explicit(&e->line->seq, (uint32_t)seq, memory_order_release);
}

ALWAYS_INLINE void send_and_wake(void *end, uint64_t seq, uint64_t intended)
{
    struct end *e = end;
    send_one(end, seq, intended);
    futex(e->line, FUTEX_WAKE, 1);
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct end *e = end;
    if (atomic_load_explicit(&e->line->seq, memory_order_acquire) != e->next)
        return false;
    message_fill(out, e->next, atomic_load_explicit(&e->line->intended, memory_order_relaxed));
    atomic_store_explicit(&e->line->taken, e->next++, memory_order_release);
    return true;
}

ALWAYS_INLINE bool receive_or_sleep(void *end, struct message *out)
{
    struct end *e = end;
    if (receive_one(end, out))
        return true;
    futex(e->line, FUTEX_WAIT, e->next - 1); /* at once back if it came meanwhile */
    return false;
}

static void write_spin(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send_one, transport_no_flush);
}

static void write_futex(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send_and_wake, transport_no_flush);
}

static void read_spin(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_one);
}

static void read_futex(struct transport_run *run)
{
    struct end e = {run->shared, 1};
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_or_sleep);
}

const struct transport transport_bare_spin = {.name = "bare_spin",
                                              .prepare = prepare,
                                              .write = write_spin,
                                              .read = read_spin,
                                              .finish = finish};
const struct transport transport_bare_futex = {.name = "bare_futex",
                                               .prepare = prepare,
                                               .write = write_futex,
                                               .read = read_futex,
                                               .finish = finish};
