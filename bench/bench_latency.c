/*
 * How long one record takes to the other process, at a fixed rate, from the time at which it was due: a
 * sender that is late makes it worse, not better. Beside others, and beside the floor: the way of a cache
 * line to the other processor (half a round trip over two lines) and the two clock readings.
 */
#include "bench/physical.h"
#include "bench/transport.h"

struct options {
    struct bench_options common;
};

static const struct tb_option options[] = {BENCH_OPTIONS(struct options, common)};

static const char usage[] =
    "tickbus bench latency [options]: ns from a record's due time to its reader, at fixed rates\n"
    "bench/README.md says how to read it. Exit: 0; 64 bad command line; 70 a record was lost or\n"
    "wrong, or a process failed; 77 fewer than two processors.\n";

#define M1 "1 M/s, spin"
#define K100 "100 k/s, spin"
#define K10 "10 k/s, who sleeps"

static int floor_ns(struct bench *b, const struct bench_case *c)
{
    const char *p50 = c->context;
    double way = machine_round_trip(b->cpu, 2) / 2;
    if (way > 0) /* else others had the processors */
        bench_add(b, p50, BENCH_LOWER, "ns", way + physical_stamp(b));
    return 0;
}

#define OURS(measure, subject, ...) TRANSPORT_CASE(measure, subject, BENCH_OURS, __VA_ARGS__)
#define PEER(measure, subject, ...) TRANSPORT_CASE(measure, subject, BENCH_PEER, __VA_ARGS__)
#define LIMIT(measure, subject, ...) TRANSPORT_CASE(measure, subject, BENCH_LIMIT, __VA_ARGS__)
#define FLOOR(measure)                                                                             \
    {                                                                                              \
        measure, "floor", BENCH_LIMIT, 2, floor_ns, measure ", p50"                                \
    }

/* The polling ones: same ring size, and nobody pauses. */
#define SPINNING(measure, rate_)                                                                   \
    OURS(measure, "tickbus", "tickbus_next", .slots = 4096, .rate = rate_),                        \
        OURS(measure, "tickbus runs", "tickbus_runs", .slots = 4096, .rate = rate_),               \
        PEER(measure, "ck_ring", "ck_ring", .slots = 4096, .rate = rate_),                         \
        PEER(measure, "boost spsc_queue", "boost_spsc", .slots = 4096, .rate = rate_),             \
        PEER(measure, "rte_ring", "rte_ring", .slots = 4096, .batch = 1, .rate = rate_),           \
        FLOOR(measure),                                                                            \
        LIMIT("bare line, " measure, "one line, no ring", "bare_spin", .rate = rate_)

static const struct bench_case cases[] = {
    SPINNING(M1, 1e6),
    SPINNING(K100, 1e5),

    OURS(K10, "tickbus park", "tickbus_park", .slots = 4096, .rate = 1e4),
    PEER(K10, "pipe", "pipe", .batch = 1, .rate = 1e4),
    PEER(K10, "unix datagram", "unix_datagram", .batch = 1, .rate = 1e4),
    PEER(K10, "POSIX mq", "posix_mq", .rate = 1e4),
    PEER(K10, "ZeroMQ push/pull", "zeromq", .slots = 100000, .crowd = true, .rate = 1e4),
    PEER(K10, "nng push/pull", "nng", .crowd = true, .rate = 1e4),
    PEER(K10, "Redis pub/sub", "redis_pubsub", .batch = 1, .crowd = true, .rate = 1e4),
    PEER(K10, "Redis stream", "redis_stream", .batch = 1, .crowd = true, .rate = 1e4),
    PEER(K10, "NATS", "nats", .crowd = true, .rate = 1e4),
    LIMIT(K10, "futex wake", "bare_futex", .rate = 1e4),
};

int main(int argc, char **argv)
{
    static struct bench b;
    static struct options o;
    bench_begin(&b, "latency", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(
        &b,
        "from the intended send time; 4,096 slots; floor: half a round trip over two lines, and "
        "the clock readings");
    bench_at_end(transport_close);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
