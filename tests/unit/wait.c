/* Waiting: timeouts are kept, wakes are not lost, idle costs nothing, hostile words cost a timeout. */
#include "bus_fixture.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static tb_ns wait_time(struct tb_reader *r, tb_ns timeout)
{
    tb_ns before = tb_clock_mono();
    tb_reader_wait(r, timeout);
    return tb_clock_mono() - before;
}

static void every_policy_keeps_its_timeout(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    for (int policy = TB_WAIT_PARK; policy <= TB_WAIT_BATCH; policy++) {
        struct tb_reader r =
            bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_NEWEST,
                                                        .wait = (enum tb_wait_policy)policy});
        for (tb_ns timeout = TB_NS_PER_MS; timeout < 70 * TB_NS_PER_MS; timeout *= 4) {
            tb_ns took = wait_time(&r, timeout);
            /* Upper bound: a loaded machine may add any delay, but not an eightfold one each time. */
            assert_true(took >= timeout - TB_NS_PER_MS);
            assert_true(took < timeout + TB_NS_PER_S);
        }
        tb_reader_wait(&r, 0);
        tb_reader_wait(&r, -5);
        publish(&w, 1);
        assert_true(wait_time(&r, 20 * TB_NS_PER_S) < 10 * TB_NS_PER_S);
        assert_int_equal(read_all(&r), 1);
        tb_reader_close(&r, false);
    }
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* Half a second of nothing, wait after wait as a service does it: a hundredth of a processor at most. */
static void waiting_costs_no_cpu_while_parked(void **state)
{
    static const enum tb_wait_policy policies[] = {TB_WAIT_PARK, TB_WAIT_BATCH};
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    for (size_t i = 0; i < TB_COUNT(policies); i++) {
        struct tb_reader r = bus_reader(bus, &(struct tb_reader_options){.wait = policies[i]});
        struct timespec before, after;
        tb_ns until = tb_clock_mono() + 500 * TB_NS_PER_MS;
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        while (tb_clock_mono() < until)
            (void)wait_time(&r, 100 * TB_NS_PER_MS);
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        tb_ns used = (after.tv_sec - before.tv_sec) * TB_NS_PER_S + after.tv_nsec - before.tv_nsec;
        print_message("policy %d: %lld us of 500000\n", (int)policies[i], (long long)used / 1000);
        assert_true(used < 5 * TB_NS_PER_MS);
        tb_reader_close(&r, false);
    }
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/*
 * A producer to which every system call but read, write and exit is death: it publishes in every way, wakes
 * and does its housekeeping. Exit 0; 77 if there is no seccomp.
 */
static void produce_without_the_kernel(const char *dir, const uint32_t *events,
                                       bool somebody_sleeps)
{
    static struct tb_record records[64];
    static const uint64_t word[TB_SLOT_WORDS];
    struct tb_writer w;
    if (tb_writer_open(dir, "s", NULL, &w, NULL) != 0)
        _exit(1);
    while (somebody_sleeps && (__atomic_load_n(events, __ATOMIC_ACQUIRE) >> 31) == 0)
        (void)usleep(1000);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        _exit(77);
    for (int i = 0; i < 2000; i++) {
        (void)tb_writer_publish(&w, &records[0]);
        (void)tb_writer_publish_words(&w, word);
        (void)tb_writer_publish_many(&w, records, TB_COUNT(records));
        tb_writer_wake(&w);
        tb_writer_housekeep(&w, i);
    }
    (void)syscall(SYS_exit, 0); /* exit_group would be one too many */
}

static int status_without_the_kernel(struct bus *bus, const uint32_t *events, bool somebody_sleeps)
{
    int status;
    pid_t child = bus_fork();
    if (child == 0)
        produce_without_the_kernel(bus->dir, events, somebody_sleeps);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

struct looking {
    struct tb_reader reader;
    atomic_bool stop;
};

static void *read_until_told(void *context)
{
    struct looking *l = context;
    struct tb_record record;
    while (!atomic_load(&l->stop)) {
        enum tb_read got = tb_reader_next(&l->reader, &record);
        if (got == TB_READ_OVERRUN)
            (void)tb_reader_resync(&l->reader);
        if (got == TB_READ_EMPTY)
            tb_reader_wait(&l->reader, 20 * TB_NS_PER_MS);
    }
    return NULL;
}

static void the_producer_makes_no_system_call_unless_somebody_sleeps(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 1024);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    const uint32_t *events = bus_map(bus, "s.wait", NULL);
    static const enum tb_wait_policy policies[] = {TB_WAIT_SPIN, TB_WAIT_YIELD, TB_WAIT_PARK};
    for (size_t i = 0; i < TB_COUNT(policies); i++) {
        struct looking l = {.reader =
                                bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_NEWEST,
                                                                            .wait = policies[i]})};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, read_until_told, &l), 0);
        int status = status_without_the_kernel(bus, events, policies[i] == TB_WAIT_PARK);
        atomic_store(&l.stop, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            tb_reader_close(&l.reader, false);
            skip(); /* no seccomp: an emulator */
        }
        if (policies[i] == TB_WAIT_PARK) /* the futex: that this test can fail */
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        else
            assert_int_equal(status, 0);
        tb_reader_close(&l.reader, false);
    }
}

#define ROUNDS 3000

struct ping {
    struct tb_writer *out;
    struct tb_reader *in;
    struct tb_reader *idle; /* not NULL: wait on both, though nothing ever comes here */
    tb_ns slowest;
};

static bool ping_wait(struct ping *p, struct tb_record *record)
{
    while (tb_reader_next(p->in, record) != TB_READ_OK) {
        struct tb_reader *both[2] = {p->idle, p->in};
        tb_ns before = tb_clock_mono();
        if (p->idle != NULL)
            tb_readers_wait(both, 2, 20 * TB_NS_PER_S);
        else
            tb_reader_wait(p->in, 20 * TB_NS_PER_S);
        tb_ns took = tb_clock_mono() - before;
        p->slowest = took > p->slowest ? took : p->slowest;
        if (took >= 20 * TB_NS_PER_S)
            return false;
    }
    return true;
}

static void *pong(void *context)
{
    struct ping *p = context;
    struct tb_record record;
    for (int i = 0; i < ROUNDS; i++) {
        if (!ping_wait(p, &record))
            return (void *)1;
        (void)tb_writer_publish(p->out, &record);
        tb_writer_wake(p->out);
    }
    return NULL;
}

/* Ping-pong, both parked, wait after wait: one lost wake-up would stand out as twenty seconds. */
static void ping_pong(struct bus *bus, bool several)
{
    struct tb_writer w[3];
    struct tb_reader r[4];
    static const char *const names[3] = {"ping", "pong", "idle"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tb_writer_open(bus->dir, names[i], NULL, &w[i], &bus->err), 0);
        assert_int_equal(tb_reader_open(bus->dir, names[i], NULL, &r[i], &bus->err), 0);
    }
    assert_int_equal(tb_reader_open(bus->dir, "idle", NULL, &r[3], &bus->err), 0);
    struct ping here = {.out = &w[0], .in = &r[1], .idle = several ? &r[2] : NULL};
    struct ping there = {.out = &w[1], .in = &r[0], .idle = several ? &r[3] : NULL};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pong, &there), 0);
    struct tb_record record = {.type = TB_TRADE};
    for (int i = 0; i < ROUNDS; i++) {
        (void)tb_writer_publish(here.out, &record);
        tb_writer_wake(here.out);
        assert_true(ping_wait(&here, &record));
        assert_int_equal(record.seq, i + 1);
    }
    void *fault;
    assert_int_equal(pthread_join(thread, &fault), 0);
    assert_null(fault);
    print_message("slowest wait: %lld us\n", (long long)(here.slowest / 1000));
    for (int i = 0; i < 3; i++)
        tb_writer_close(&w[i], TB_STREAM_STOPPED);
    for (int i = 0; i < 4; i++)
        tb_reader_close(&r[i], false);
}

static void no_wake_up_is_lost_on_one_stream(void **state)
{
    ping_pong(bus_of(state), false);
}

static void no_wake_up_is_lost_on_several_streams(void **state)
{
    ping_pong(bus_of(state), true);
}

struct closing {
    struct tb_writer *w;
    const uint32_t *events; /* bit 31: somebody has parked */
};

static void *close_when_somebody_sleeps(void *context)
{
    struct closing *c = context;
    while ((__atomic_load_n(c->events, __ATOMIC_ACQUIRE) >> 31) == 0)
        (void)usleep(1000);
    tb_writer_close(c->w, TB_STREAM_DONE);
    return NULL;
}

static void closing_wakes_who_is_parked(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, NULL);
    struct closing closing = {.w = &w, .events = bus_map(bus, "s.wait", NULL)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_when_somebody_sleeps, &closing), 0);
    assert_true(wait_time(&r, 30 * TB_NS_PER_S) < 20 * TB_NS_PER_S);
    assert_true(tb_reader_done(&r));
    assert_int_equal(pthread_join(thread, NULL), 0);
    tb_reader_close(&r, false);
}

static void a_hostile_wait_word_costs_no_more_than_the_timeout(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, NULL), q = bus_reader(bus, NULL);
    uint32_t *word = bus_map(bus, "s.wait", NULL);
    static const uint32_t values[] = {0x7fffffff, 0x80000000, 0xffffffff, 12345, 0};
    for (size_t i = 0; i < TB_COUNT(values); i++) {
        __atomic_store_n(word, values[i], __ATOMIC_SEQ_CST);
        assert_true(wait_time(&r, 5 * TB_NS_PER_MS) < TB_NS_PER_S);
        struct tb_reader *both[2] = {&r, &q};
        tb_ns before = tb_clock_mono();
        tb_readers_wait(both, 2, 5 * TB_NS_PER_MS);
        assert_true(tb_clock_mono() - before < TB_NS_PER_S);
        publish(&w, 1);
        tb_writer_wake(&w);
    }
    char path[160]; /* cut short: the producer goes on, the reader polls or sleeps to its timeout */
    assert_int_equal(truncate(bus_path(bus, "s.wait", path), 0), 0);
    tb_writer_wake(&w);
    assert_int_equal(read_all(&r), 5);
    assert_true(wait_time(&r, 5 * TB_NS_PER_MS) < TB_NS_PER_S);
    tb_reader_close(&r, false);
    tb_reader_close(&q, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void *publish_later(void *context)
{
    (void)usleep(20000);
    publish(context, 1);
    return NULL;
}

/* Without a wait word to write to (another user's stream), a reader looks from time to time. */
static void a_reader_that_may_not_park_polls(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    char path[160];
    assert_int_equal(unlink(bus_path(bus, "s.wait", path)), 0);
    struct tb_reader r = bus_reader(bus, NULL);
    assert_true(wait_time(&r, 20 * TB_NS_PER_MS) >= 19 * TB_NS_PER_MS);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_later, &w), 0);
    assert_true(wait_time(&r, 30 * TB_NS_PER_S) < 20 * TB_NS_PER_S); /* no wake was called */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(read_all(&r), 1);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(every_policy_keeps_its_timeout),
        BUS_TEST(waiting_costs_no_cpu_while_parked),
        BUS_TEST(the_producer_makes_no_system_call_unless_somebody_sleeps),
        BUS_TEST(no_wake_up_is_lost_on_one_stream),
        BUS_TEST(no_wake_up_is_lost_on_several_streams),
        BUS_TEST(closing_wakes_who_is_parked),
        BUS_TEST(a_hostile_wait_word_costs_no_more_than_the_timeout),
        BUS_TEST(a_reader_that_may_not_park_polls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
