/*
 * From one process to another, as fast as it goes: our ring beside what others use, beside the machine's own
 * core-to-core stream, with the same 64 bytes and the same number of slots.
 */
#include <string.h>
#include <unistd.h>

#include <tickbus/ring.h>

#include "bench/physical.h"
#include "bench/transport.h"

struct options {
    struct bench_options common;
};

static const struct tb_option options[] = {BENCH_OPTIONS(struct options, common)};

static const char usage[] =
    "tickbus bench ring [options]: records per second from one process to another, beside other\n"
    "rings, sockets and brokers, and beside what the processors can do at all. bench/README.md\n"
    "says how to read it. Exit: 0; 64 bad command line; 70 a record was lost or wrong, or a "
    "process\n"
    "failed; 77 fewer than two processors.\n";

/* ---- the machine's own ---- */

static int stream(struct bench *b, const struct bench_case *c)
{
    const size_t *ring_bytes = c->context;
    bench_add(b, c->measure, BENCH_HIGHER, "M records/s", physical_stream(b, *ring_bytes));
    return 0;
}

static int stores(struct bench *b, const struct bench_case *c)
{
    const bool *wide = c->context;
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_store(b, 4 << 20, *wide));
    return 0;
}

/* ---- publishing without a reader ---- */

#define PUBLISHED 2e7
#define BATCH 64

static void publish_words(struct tb_writer *w, uint64_t seq)
{
    for (uint64_t i = 0; i < BATCH; i++) {
        uint64_t word[TB_SLOT_WORDS];
        message_words(word, seq + i, 0);
        (void)tb_writer_publish_words(w, word);
    }
}

static void publish_filled(struct tb_writer *w, uint64_t seq)
{
    for (uint64_t i = 0; i < BATCH; i++) {
        struct message m;
        message_fill(&m, seq + i, 0);
        (void)tb_writer_publish(w, (const struct tb_record *)(const void *)&m);
    }
}

static void publish_place(struct tb_writer *w, uint64_t seq)
{
    (void)tb_writer_publish_in_place(w, BATCH, message_put, &seq);
}

static void publish_many(struct tb_writer *w, uint64_t seq)
{
    static struct message m[BATCH];
    message_fill_run(m, seq, BATCH);
    (void)tb_writer_publish_many(w, (const struct tb_record *)(const void *)m, BATCH);
}

struct way {
    void (*publish)(struct tb_writer *w, uint64_t first_seq); /* BATCH records */
};
static const struct way words = {publish_words}, filled = {publish_filled}, many = {publish_many},
                        place = {publish_place};

static int publish(struct bench *b, const struct bench_case *c)
{
    const struct way *way = c->context;
    struct tb_writer_options o = {.new_epoch = true};
    struct tb_writer w = {0};
    struct tb_error err = {""};
    if (tb_writer_open(bench_directory(b), "publish", &o, &w, &err) != 0)
        bench_fail("%s", err.text);
    uint64_t warm = w.mask + 1, count = (uint64_t)(PUBLISHED * b->scale) / BATCH * BATCH;
    for (uint64_t seq = 1; seq <= warm; seq += BATCH)
        way->publish(&w, seq);
    uint64_t begin = machine_ticks();
    for (uint64_t seq = 1; seq <= count; seq += BATCH)
        way->publish(&w, seq);
    double ns = (double)(machine_ticks() - begin) * machine_ns_per_tick() / (double)count;
    tb_writer_close(&w, TB_STREAM_STOPPED);
    bench_add(b, c->measure, BENCH_LOWER, "ns", ns);
    return 0;
}

/* ---- the cases ---- */

static const size_t kib_256 = 256 << 10, mib_4 = 4 << 20, mib_64 = 64 << 20;
static const bool wide = true, narrow = false;

#define OURS(measure, subject, ...) TRANSPORT_CASE(measure, subject, BENCH_OURS, __VA_ARGS__)
#define PEER(measure, subject, ...) TRANSPORT_CASE(measure, subject, BENCH_PEER, __VA_ARGS__)
#define LIMIT(measure, bytes)                                                                      \
    {                                                                                              \
        measure, "core-to-core stream", BENCH_LIMIT, 2, stream, &(bytes)                           \
    }

#define SINGLE_4K "one at a time, 4,096 slots"
#define SINGLE_64K "one at a time, 65,536 slots"
#define BEST_4M "best setting, 4 MiB"
#define BEST_64M "best setting, 64 MiB"
#define KERNEL "kernel and brokers"
#define PUBLISH "publish, no reader"

static const struct bench_case cases[] = {
    {PUBLISH, "tickbus, from registers", BENCH_OURS, 1, publish, &words},
    {PUBLISH, "tickbus, record just made", BENCH_OURS, 1, publish, &filled},
    {PUBLISH, "tickbus, 64 at once", BENCH_OURS, 1, publish, &many},
    {PUBLISH, "tickbus, 64 in place", BENCH_OURS, 1, publish, &place},
    {PUBLISH, "eight stores", BENCH_LIMIT, 1, stores, &narrow},
    {PUBLISH, "widest stores", BENCH_LIMIT, 1, stores, &wide},

    OURS(SINGLE_4K, "tickbus", "tickbus_next", .slots = 4096, .pauses = 1, .expected = 1e8),
    PEER(SINGLE_4K, "ck_ring", "ck_ring", .slots = 4096, .pauses = 1, .expected = 3e7),
    PEER(SINGLE_4K, "boost spsc_queue", "boost_spsc", .slots = 4096, .pauses = 1, .expected = 3e7),
    PEER(SINGLE_4K, "rte_ring", "rte_ring", .slots = 4096, .batch = 1, .pauses = 1,
         .expected = 2e7),
    LIMIT(SINGLE_4K, kib_256),

    OURS(SINGLE_64K, "tickbus", "tickbus_next", .slots = 65536, .pauses = 1, .expected = 1e8),
    PEER(SINGLE_64K, "ck_ring", "ck_ring", .slots = 65536, .pauses = 1, .expected = 3e7),
    PEER(SINGLE_64K, "boost spsc_queue", "boost_spsc", .slots = 65536, .pauses = 1,
         .expected = 3e7),
    PEER(SINGLE_64K, "rte_ring", "rte_ring", .slots = 65536, .batch = 1, .pauses = 1,
         .expected = 2e7),
    LIMIT(SINGLE_64K, mib_4),

    OURS(BEST_4M, "tickbus runs", "tickbus_batch", .slots = 65536, .expected = 2e8),
    OURS(BEST_4M, "tickbus runs, in place", "tickbus_place", .slots = 65536, .batch = 256,
         .expected = 2e8),
    OURS(BEST_4M, "tickbus runs, 64 at once", "tickbus_many", .slots = 65536, .batch = 64,
         .expected = 2e8),
    OURS(BEST_4M, "tickbus runs, 256 at once", "tickbus_many", .slots = 65536, .batch = 256,
         .expected = 2e8),
    PEER(BEST_4M, "ck_ring, p64", "ck_ring", .slots = 65536, .pauses = 64, .expected = 8e7),
    PEER(BEST_4M, "ck_ring, p256", "ck_ring", .slots = 65536, .pauses = 256, .expected = 8e7),
    PEER(BEST_4M, "boost spsc_queue, p64", "boost_spsc", .slots = 65536, .pauses = 64,
         .expected = 8e7),
    PEER(BEST_4M, "boost spsc_queue, p256", "boost_spsc", .slots = 65536, .pauses = 256,
         .expected = 8e7),
    PEER(BEST_4M, "rte_ring, bulk 32, p1", "rte_ring", .slots = 65536, .batch = 32, .pauses = 1,
         .expected = 1e8),
    PEER(BEST_4M, "rte_ring, bulk 32, p256", "rte_ring", .slots = 65536, .batch = 32, .pauses = 256,
         .expected = 1e8),
    PEER(BEST_4M, "pipe, 64 a write", "pipe", .batch = 64, .expected = 6e7),
    LIMIT(BEST_4M, mib_4),

    OURS(BEST_64M, "tickbus runs", "tickbus_batch", .slots = 1 << 20, .expected = 2e8),
    OURS(BEST_64M, "tickbus runs, in place", "tickbus_place", .slots = 1 << 20, .batch = 256,
         .expected = 2e8),
    OURS(BEST_64M, "tickbus runs, 64 at once", "tickbus_many", .slots = 1 << 20, .batch = 64,
         .expected = 2e8),
    OURS(BEST_64M, "tickbus runs, 256 at once", "tickbus_many", .slots = 1 << 20, .batch = 256,
         .expected = 2e8),
    PEER(BEST_64M, "ck_ring, p256", "ck_ring", .slots = 1 << 20, .pauses = 256, .expected = 8e7),
    PEER(BEST_64M, "boost spsc_queue, p256", "boost_spsc", .slots = 1 << 20, .pauses = 256,
         .expected = 8e7),
    PEER(BEST_64M, "rte_ring, bulk 32, p256", "rte_ring", .slots = 1 << 20, .batch = 32,
         .pauses = 256, .expected = 1e8),
    LIMIT(BEST_64M, mib_64),

    OURS(KERNEL, "tickbus", "tickbus_next", .slots = 65536, .pauses = 1, .expected = 1e8),
    PEER(KERNEL, "pipe, 64 a write", "pipe", .batch = 64, .expected = 6e7),
    PEER(KERNEL, "pipe", "pipe", .batch = 1, .expected = 2e6),
    PEER(KERNEL, "unix stream, 64 a write", "unix_stream", .batch = 64, .expected = 2e7),
    PEER(KERNEL, "unix datagram", "unix_datagram", .batch = 1, .expected = 1e6),
    PEER(KERNEL, "POSIX mq", "posix_mq", .expected = 1e6),
    PEER(KERNEL, "ZeroMQ push/pull", "zeromq", .slots = 100000, .crowd = true, .expected = 3e6),
    PEER(KERNEL, "nng push/pull", "nng", .crowd = true, .expected = 4e4),
    PEER(KERNEL, "Redis pub/sub, 100 sent", "redis_pubsub", .batch = 100, .crowd = true,
         .expected = 5e5),
    PEER(KERNEL, "Redis stream, 100 sent", "redis_stream", .batch = 100, .crowd = true,
         .expected = 3e5),
    PEER(KERNEL, "NATS", "nats", .crowd = true, .expected = 1e6),
};

int main(int argc, char **argv)
{
    static struct bench b;
    static struct options o;
    bench_begin(&b, "ring", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(&b,
               "64-byte records, stores and checks of the limits %d bytes wide; pN: a reader "
               "that finds nothing executes PAUSE N times, p1 where nothing is said",
               message_width());
    bench_at_end(transport_close);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
