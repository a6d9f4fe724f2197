/*
 * What more readers cost the producer. Free readers write nothing that it reads, so it should be nothing:
 * its instructions for a record, counted, and its time for one, flat out, with readers on the other
 * processor. Beside it a ring for each reader, as one must have with rings of one reader.
 */
#include <ck_ring.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "bench/counter.h"
#include "bench/harness.h"
#include "bench/message.h"

#define READERS_MAX 8
#define SLOTS 65536
#define PUBLISHED 1e7
#define COUNTED 64 /* records: each is the same */
#define STREAM "fanout"
#define TIME "free readers, time"
#define INSTRUCTIONS "free readers, instructions"

CK_RING_PROTOTYPE(message, message)

struct options {
    struct bench_options common;
};

static const struct tb_option options[] = {BENCH_OPTIONS(struct options, common)};

static const char usage[] =
    "tickbus bench fanout [options]: the producer's cost per record with 1, 2, 4 and 8 readers\n"
    "bench/README.md says how to read it. Exit: 0; 64 bad command line; 70 a record was wrong, or "
    "a\n"
    "process failed; 77 fewer than two processors.\n";

struct ck_shared {
    struct ck_ring ring;
    TB_ALIGNAS(128) struct message slot[SLOTS];
};

struct fan {
    TB_ALIGNAS(128) TB_ATOMIC(int) writer_ready;
    TB_ALIGNAS(128) TB_ATOMIC(int) readers_ready;
    TB_ALIGNAS(128) TB_ATOMIC(int) over; /* nothing more is published */
    TB_ALIGNAS(128) double seconds;
    double waited;
    uint64_t wrong; /* readers, by OR: it is looked at when all are done */
};

static struct fan *fan;
static struct ck_shared *rings[READERS_MAX];

/* ---- the readers: each checks all that it gets, and counts what it lost ---- */

static void read_tickbus(struct bench *b)
{
    struct tb_reader r;
    struct tb_error err = {""};
    struct tb_reader_options o = {.wait = TB_WAIT_YIELD};
    struct message m;
    uint64_t read = 0;
    if (tb_reader_open(bench_directory(b), STREAM, &o, &r, &err) != 0)
        bench_fail("%s", err.text);
    (void)atomic_fetch_add(&fan->readers_ready, 1);
    for (bool on = true; on;) {
        on = atomic_load_explicit(&fan->over, memory_order_acquire) == 0;
        enum tb_read got;
        while ((got = tb_reader_next(&r, (struct tb_record *)(void *)&m)) == TB_READ_OK) {
            fan->wrong |= message_wrong(&m, r.cursor - 1) != 0;
            read++;
        }
        if (got == TB_READ_OVERRUN) {
            (void)tb_reader_resync(&r);
            on = true;
        } else {
            (void)sched_yield(); /* several share a processor */
        }
    }
    if (read + r.lost != r.cursor - r.first_cursor)
        bench_fail("a reader lost records and did not see it");
    tb_reader_close(&r, false);
}

static void read_ck(struct ck_shared *ring)
{
    struct message m;
    uint64_t last = 0;
    (void)atomic_fetch_add(&fan->readers_ready, 1);
    for (bool on = true; on;) {
        on = atomic_load_explicit(&fan->over, memory_order_acquire) == 0;
        while (CK_RING_DEQUEUE_SPSC(message, &ring->ring, ring->slot, &m)) {
            fan->wrong |= m.word[0] <= last || message_wrong(&m, m.word[0]) != 0;
            last = m.word[0];
        }
        (void)sched_yield();
    }
}

/* ---- the producers ---- */

struct producer {
    struct tb_writer writer;
    int readers;
};

ALWAYS_INLINE void publish_tickbus(struct producer *p, uint64_t seq)
{
    uint64_t word[TB_SLOT_WORDS];
    message_words(word, seq, 0);
    (void)tb_writer_publish_words(&p->writer, word);
}

/* A full ring drops: nobody may hold this producer either. */
ALWAYS_INLINE void publish_ck(struct producer *p, uint64_t seq)
{
    struct message m;
    message_fill(&m, seq, 0);
    for (int i = 0; i < p->readers; i++)
        (void)CK_RING_ENQUEUE_SPSC(message, &rings[i]->ring, rings[i]->slot, &m);
}

ALWAYS_INLINE void publish_all(struct bench *b, struct producer *p,
                               void (*publish)(struct producer *, uint64_t))
{
    uint64_t count = (uint64_t)(PUBLISHED * b->scale), seq = 1;
    double waited = machine_waited();
    for (; seq <= SLOTS; seq++) /* the first lap */
        publish(p, seq);
    uint64_t begin = machine_ticks();
    for (; seq <= SLOTS + count; seq++)
        publish(p, seq);
    fan->seconds = (double)(machine_ticks() - begin) * machine_ns_per_tick() / 1e9;
    fan->waited = machine_waited() - waited;
    counter_mark();
    for (uint64_t end = seq + COUNTED; seq < end; seq++)
        publish(p, seq);
    counter_mark();
    atomic_store_explicit(&fan->over, 1, memory_order_release);
}

static void await_readers(int readers)
{
    atomic_store(&fan->writer_ready, 1);
    while (atomic_load(&fan->readers_ready) < readers)
        (void)sched_yield();
}

static void produce_tickbus(struct bench *b, int readers)
{
    struct producer p = {.readers = readers};
    struct tb_writer_options o = {.capacity = SLOTS, .new_epoch = true};
    struct tb_error err = {""};
    if (tb_writer_open(bench_directory(b), STREAM, &o, &p.writer, &err) != 0)
        bench_fail("%s", err.text);
    await_readers(readers);
    publish_all(b, &p, publish_tickbus);
    tb_writer_close(&p.writer, TB_STREAM_DONE);
}

static void produce_ck(struct bench *b, int readers)
{
    struct producer p = {.readers = readers};
    for (int i = 0; i < readers; i++)
        bench_present(rings[i], sizeof(*rings[i]));
    await_readers(readers);
    publish_all(b, &p, publish_ck);
}

/* ---- a run ---- */

struct fan_setting {
    int readers;
    bool ck;
};

static void start_readers(struct bench *b, const struct fan_setting *s, pid_t pids[])
{
    for (int i = 0; i < s->readers; i++) {
        pids[i] = bench_fork(b->cpu[1]);
        if (pids[i] != 0)
            continue;
        while (atomic_load(&fan->writer_ready) == 0)
            (void)sched_yield();
        s->ck ? read_ck(rings[i]) : read_tickbus(b);
        _exit(0);
    }
}

static int measure(struct bench *b, const struct bench_case *c)
{
    const struct fan_setting *s = c->context;
    pid_t pids[READERS_MAX];
    (void)bench_directory(b);
    memset(fan, 0, sizeof(*fan));
    for (int i = 0; i < s->readers && s->ck; i++)
        ck_ring_init(&rings[i]->ring, SLOTS);
    start_readers(b, s, pids);
    pid_t producer = bench_fork(b->cpu[0]);
    if (producer == 0) {
        s->ck ? produce_ck(b, s->readers) : produce_tickbus(b, s->readers);
        _exit(0);
    }
    long instructions = counter_read(producer, COUNTER_INSTRUCTIONS);
    if (instructions >= 0)
        bench_join(producer);
    for (int i = 0; i < s->readers; i++)
        bench_join(pids[i]);
    if (fan->wrong != 0)
        bench_fail("%s: a record was wrong: no figure", c->subject);
    bench_disturbed(b, fan->waited, fan->seconds);
    bench_add(b, TIME, BENCH_LOWER, "ns", fan->seconds * 1e9 / (PUBLISHED * b->scale));
    if (instructions >= 0)
        bench_add(b, INSTRUCTIONS, BENCH_LOWER, "a record", (double)instructions / COUNTED);
    return 0;
}

#define FAN(subject, role, ...)                                                                    \
    {                                                                                              \
        "free readers", subject, role, 2, measure, &(const struct fan_setting)                     \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* Held against one reader, which is what it should cost with any number. */
static const struct bench_case cases[] = {
    FAN("tickbus, 1 reader", BENCH_LIMIT, 1, false),
    FAN("tickbus, 2 readers", BENCH_OURS, 2, false),
    FAN("tickbus, 4 readers", BENCH_OURS, 4, false),
    FAN("tickbus, 8 readers", BENCH_OURS, 8, false),
    FAN("1 ck_ring", BENCH_PEER, 1, true),
    FAN("2 ck_rings", BENCH_PEER, 2, true),
    FAN("4 ck_rings", BENCH_PEER, 4, true),
    FAN("8 ck_rings", BENCH_PEER, 8, true),
};

int main(int argc, char **argv)
{
    static struct bench b;
    static struct options o;
    bench_begin(&b, "fanout", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(&b,
               "65,536 slots; readers on processor %d, the producer alone on %d; instructions by "
               "single steps over %d records, the harness's own filling of a record among them",
               b.cpu[1], b.cpu[0], COUNTED);
    fan = bench_shared(sizeof(*fan));
    for (int i = 0; i < READERS_MAX; i++)
        rings[i] = bench_shared(sizeof(*rings[i]));
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
