/*
 * DPDK's rte_ring, one producer and one consumer, elements of 64 bytes, in memory that both processes
 * share: no EAL, no huge pages. `batch` 1: an element a call; more: bursts of up to so many.
 */
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "bench/transport.h"

#define BATCH_MAX 64
#define ELEMENT ((unsigned)sizeof(struct message))

struct end {
    struct rte_ring *ring;
    unsigned batch, held, at;
    struct message message[BATCH_MAX];
};

static void prepare(struct transport_run *run)
{
    ssize_t bytes = rte_ring_get_memsize_elem(ELEMENT, run->set->slots);
    if (bytes <= 0)
        bench_fail("rte_ring: bad size");
    run->shared_bytes = (size_t)bytes;
    run->shared = bench_shared(run->shared_bytes);
    if (rte_ring_init(run->shared, "bench", run->set->slots, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        bench_fail("rte_ring_init");
}

static void finish(struct transport_run *run)
{
    bench_unshare(run->shared, run->shared_bytes);
}

ALWAYS_INLINE void flush(void *end)
{
    struct end *e = end;
    for (unsigned done = 0, i = 1; done < e->held; i++) {
        unsigned n = rte_ring_sp_enqueue_burst_elem(e->ring, e->message + done, ELEMENT,
                                                    e->held - done, NULL);
        done += n;
        if (n == 0)
            transport_stall(i);
    }
    e->held = 0;
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct end *e = end;
    message_fill(&e->message[e->held++], seq, intended);
    if (e->held == e->batch)
        flush(e);
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct end *e = end;
    if (e->at == e->held) {
        e->at = 0;
        e->held = rte_ring_sc_dequeue_burst_elem(e->ring, e->message, ELEMENT, e->batch, NULL);
        if (e->held == 0)
            return false;
    }
    *out = e->message[e->at++];
    return true;
}

static void write_all(struct transport_run *run)
{
    static struct end e;
    e.ring = run->shared;
    e.batch = run->set->batch;
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send_one, flush);
}

static void read_all(struct transport_run *run)
{
    static struct end e;
    e.ring = run->shared;
    e.batch = run->set->batch;
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_one);
}

const struct transport transport_rte_ring = {
    .name = "rte_ring", .prepare = prepare, .write = write_all, .read = read_all, .finish = finish};
