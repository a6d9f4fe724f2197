/*
 * The rings under test, behind three functions each, inlined into the same loops. All carry the same
 * 64 bytes by value between two processes, all are lossless (the sender waits for room), all have the
 * same number of slots, and whoever finds nothing to do executes one PAUSE.
 *
 *   tickbus_next   tb_writer_publish / tb_reader_next, gated: one record at a time
 *   tickbus_run    the same writer; tb_reader_run: records read where they lie
 *   ck_ring        Concurrency Kit's single-producer single-consumer ring, by value, in shared memory
 */
#ifndef TICKBUS_BENCH_RING_TRANSPORT_H
#define TICKBUS_BENCH_RING_TRANSPORT_H

#include <ck_pr.h>
#include <ck_ring.h>

#include <tickbus/reader.h>
#include <tickbus/ring.h>

struct message {
    TB_ALIGNAS(TB_CACHE_LINE) uint64_t word[8];
};
TB_STATIC_ASSERT(sizeof(struct message) == TB_RECORD_BYTES, "the same 64 bytes");

CK_RING_PROTOTYPE(message, message)

/* In memory shared by both processes. */
struct ck_shared {
    struct ck_ring ring;
    TB_ALIGNAS(128) struct message slot[];
};

enum transport { TICKBUS_NEXT, TICKBUS_RUN, CK_RING, TRANSPORTS };
static const char *const transport_name[TRANSPORTS] = {"tickbus_next", "tickbus_run", "ck_ring"};

struct endpoint {
    struct tb_writer writer;
    struct tb_reader reader;
    struct ck_shared *ck;
    uint64_t release_every, next_release;
    /* tickbus_run: the run being worked through */
    const struct tb_slot *run;
    size_t run_at, run_count;
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void transport_send(enum transport t, struct endpoint *e, struct message *m)
{
    if (t == CK_RING) {
        while (!CK_RING_ENQUEUE_SPSC(message, &e->ck->ring, e->ck->slot, m))
            ck_pr_stall();
    } else {
        /* A message has a record's size; word 0 is the sequence, which publish sets itself. */
        (void)tb_writer_publish(&e->writer, (const struct tb_record *)(const void *)m);
    }
}

ALWAYS_INLINE void release(struct endpoint *e)
{
    if (e->reader.cursor >= e->next_release) {
        tb_reader_release(&e->reader, e->reader.cursor, 0);
        e->next_release = e->reader.cursor + e->release_every;
    }
}

ALWAYS_INLINE bool receive_next(struct endpoint *e, struct message *out)
{
    if (tb_reader_next(&e->reader, (struct tb_record *)(void *)out) != TB_READ_OK)
        return false;
    release(e);
    return true;
}

/* A gated ring's records stay until they are released, so a run may be confirmed when it is used up. */
ALWAYS_INLINE bool receive_run(struct endpoint *e, struct message *out)
{
    if (e->run_at == e->run_count) {
        enum tb_read end;
        if (e->run_count > 0 && !tb_reader_confirm(&e->reader, e->run_count))
            abort(); /* a gate that did not hold: no measurement */
        release(e);
        e->run_at = 0;
        e->run_count = tb_reader_run(&e->reader, 64, &e->run, &end);
        if (e->run_count == 0)
            return false;
    }
    const struct tb_slot *slot = &e->run[e->run_at++];
    out->word[0] = atomic_load_explicit(&slot->seq, memory_order_relaxed);
    for (int i = 0; i < TB_SLOT_WORDS; i++)
        out->word[i + 1] = atomic_load_explicit(&slot->word[i], memory_order_relaxed);
    return true;
}

ALWAYS_INLINE bool transport_receive(enum transport t, struct endpoint *e, struct message *out)
{
    switch (t) {
    case TICKBUS_NEXT:
        return receive_next(e, out);
    case TICKBUS_RUN:
        return receive_run(e, out);
    case CK_RING:
        return CK_RING_DEQUEUE_SPSC(message, &e->ck->ring, e->ck->slot, out);
    case TRANSPORTS:
    default:
        return false;
    }
}

#endif
