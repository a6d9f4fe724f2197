/*
 * What waiting costs: the processor time of a reader to which nothing comes, how long it takes to wake one,
 * and which system calls a producer makes: none unless somebody sleeps.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "bench/counter.h"
#include "bench/physical.h"
#include "bench/transport.h"

#define STREAM "wait"
#define IDLE_SECONDS 2.0
#define CALLED 1000 /* records */
#define IDLE "idle reader, CPU time"
#define WAKE "wake-up, 5 k/s"
#define CALLS "producer's system calls, 1,000 records"

struct options {
    struct bench_options common;
};

static const struct tb_option options[] = {BENCH_OPTIONS(struct options, common)};

static const char usage[] =
    "tickbus bench wait [options]: what an idle reader uses, how fast it wakes, what that costs\n"
    "bench/README.md says how to read it. Exit: 0; 64 bad command line; 70 a record was lost or\n"
    "wrong, or a process failed; 77 fewer than two processors.\n";

struct control {
    TB_ALIGNAS(128) TB_ATOMIC(int) ready, over;
    double seconds, used;
};
static struct control *control;

static void open_writer(struct bench *b, struct tb_writer *w)
{
    struct tb_writer_options o = {.capacity = 4096, .new_epoch = true};
    struct tb_error err = {""};
    if (tb_writer_open(bench_directory(b), STREAM, &o, w, &err) != 0)
        bench_fail("%s", err.text);
}

static void open_reader(struct bench *b, struct tb_reader *r, enum tb_wait_policy wait)
{
    struct tb_reader_options o = {.from = TB_FROM_NEWEST, .wait = wait};
    struct tb_error err = {""};
    if (tb_reader_open(bench_directory(b), STREAM, &o, r, &err) != 0)
        bench_fail("%s", err.text);
}

/* ---- idle ---- */

static double cpu_seconds(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void idle_reader(struct bench *b, enum tb_wait_policy wait)
{
    struct tb_reader r;
    struct tb_record record;
    open_reader(b, &r, wait);
    tb_ns begin = tb_clock_mono(), end = begin + (tb_ns)(IDLE_SECONDS * b->scale * 1e9);
    double used = cpu_seconds();
    while (tb_clock_mono() < end)
        if (tb_reader_next(&r, &record) == TB_READ_EMPTY)
            tb_reader_wait(&r, end - tb_clock_mono());
    control->seconds = (double)(tb_clock_mono() - begin) / 1e9;
    control->used = cpu_seconds() - used;
    tb_reader_close(&r, false);
}

static int idle(struct bench *b, const struct bench_case *c)
{
    const enum tb_wait_policy *wait = c->context;
    struct tb_writer w = {0};
    open_writer(b, &w);
    pid_t reader = bench_fork(b->cpu[1]);
    if (reader == 0) {
        idle_reader(b, *wait);
        _exit(0);
    }
    bench_join(reader);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    bench_add(b, c->measure, BENCH_LOWER, "%", 100 * control->used / control->seconds);
    return 0;
}

/* ---- system calls of a producer that publishes, wakes and keeps house ---- */

static void counted_producer(struct bench *b)
{
    struct tb_writer w = {0};
    struct tb_record record = {.type = TB_TRADE};
    open_writer(b, &w);
    atomic_store(&control->ready, 1);
    transport_await(&control->over); /* the reader waits in its way by now */
    counter_mark();
    for (int i = 0; i < CALLED; i++) {
        (void)tb_writer_publish(&w, &record);
        tb_writer_wake(&w);
        if (i % 100 == 0)
            tb_writer_housekeep(&w, tb_clock_wall());
    }
    counter_mark();
    atomic_store(&control->ready, 2);
    tb_writer_close(&w, TB_STREAM_DONE);
}

static void counting_reader(struct bench *b, enum tb_wait_policy wait)
{
    struct tb_reader r;
    struct tb_record record;
    while (atomic_load(&control->ready) == 0)
        (void)sched_yield();
    open_reader(b, &r, wait);
    if (wait != TB_WAIT_PARK)
        atomic_store(&control->over, 1);
    while (atomic_load(&control->ready) != 2) {
        enum tb_read got = tb_reader_next(&r, &record);
        if (got == TB_READ_OVERRUN)
            (void)tb_reader_resync(&r);
        if (got != TB_READ_EMPTY)
            continue;
        atomic_store(&control->over, 1);
        tb_reader_wait(&r, TB_NS_PER_MS);
    }
    tb_reader_close(&r, false);
}

static int calls(struct bench *b, const struct bench_case *c)
{
    const enum tb_wait_policy *wait = c->context;
    (void)bench_directory(b);
    memset(control, 0, sizeof(*control));
    pid_t producer = bench_fork(b->cpu[0]);
    if (producer == 0) {
        counted_producer(b);
        _exit(0);
    }
    pid_t reader = bench_fork(b->cpu[1]);
    if (reader == 0) {
        counting_reader(b, *wait);
        _exit(0);
    }
    long count = counter_read(producer, COUNTER_CALLS);
    if (count >= 0)
        bench_join(producer);
    bench_join(reader);
    if (count >= 0)
        bench_add(b, c->measure, BENCH_LOWER, "calls", (double)count);
    return 0;
}

static const enum tb_wait_policy park = TB_WAIT_PARK, batch = TB_WAIT_BATCH, yield = TB_WAIT_YIELD,
                                 spin = TB_WAIT_SPIN;

#define BY(subject, role, ...) TRANSPORT_CASE(WAKE, subject, role, __VA_ARGS__, .rate = 5e3)

static const struct bench_case cases[] = {
    {IDLE, "tickbus park", BENCH_OURS, 1, idle, &park},
    {IDLE, "tickbus batch", BENCH_OURS, 1, idle, &batch},
    {IDLE, "tickbus yield", BENCH_OURS, 1, idle, &yield},
    {IDLE, "tickbus spin", BENCH_OURS, 1, idle, &spin},

    BY("tickbus park", BENCH_OURS, "tickbus_park", .slots = 4096),
    BY("tickbus yield", BENCH_OURS, "tickbus_yield", .slots = 4096),
    BY("tickbus spin", BENCH_OURS, "tickbus_spin", .slots = 4096),
    BY("pipe", BENCH_PEER, "pipe", .batch = 1),
    BY("unix datagram", BENCH_PEER, "unix_datagram", .batch = 1),
    BY("POSIX mq", BENCH_PEER, "posix_mq", .batch = 1),
    BY("futex wake", BENCH_LIMIT, "bare_futex", .batch = 1),

    {CALLS, "tickbus, reader spins", BENCH_OURS, 2, calls, &spin},
    {CALLS, "tickbus, reader yields", BENCH_OURS, 2, calls, &yield},
    {CALLS, "tickbus, reader parks", BENCH_OURS, 2, calls, &park},
};

int main(int argc, char **argv)
{
    static struct bench b;
    static struct options o;
    bench_begin(&b, "wait", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(
        &b,
        "idle: getrusage over %.1f s; system calls: counted by tracing, with a wake after each "
        "record and housekeeping after each 100; the parked reader sleeps when they begin",
        IDLE_SECONDS * b.scale);
    control = bench_shared(sizeof(*control));
    bench_at_end(transport_close);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
