/* Concurrency Kit's single-producer single-consumer ring, by value, in memory that both processes share. */
#include <ck_ring.h>

#include "bench/transport.h"

CK_RING_PROTOTYPE(message, message)

struct memory {
    struct ck_ring ring;
    TB_ALIGNAS(128) struct message slot[];
};

static void prepare(struct transport_run *run)
{
    run->shared_bytes = sizeof(struct memory) + run->set->slots * sizeof(struct message);
    run->shared = bench_shared(run->shared_bytes);
    ck_ring_init(&((struct memory *)run->shared)->ring, run->set->slots);
}

static void finish(struct transport_run *run)
{
    bench_unshare(run->shared, run->shared_bytes);
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct memory *to = end;
    struct message m;
    message_fill(&m, seq, intended);
    for (unsigned i = 1; !CK_RING_ENQUEUE_SPSC(message, &to->ring, to->slot, &m); i++)
        transport_stall(i);
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct memory *from = end;
    return CK_RING_DEQUEUE_SPSC(message, &from->ring, from->slot, out);
}

static void write_all(struct transport_run *run)
{
    transport_await(&run->control->reader_ready);
    transport_write(run, run->shared, send_one, transport_no_flush);
}

static void read_all(struct transport_run *run)
{
    transport_ready(&run->control->reader_ready);
    transport_read(run, run->shared, receive_one);
}

const struct transport transport_ck_ring = {
    .name = "ck_ring", .prepare = prepare, .write = write_all, .read = read_all, .finish = finish};
