/*
 * kill -9 of the producer at random places and, in trees with -DTB_POINTS=ON, at every named one: the
 * next life continues the same epoch, and readers see a sequence without hole, repeat or torn record.
 *
 * The producer is a process that only publishes; this test is the reader. The ring is gated by the
 * reader, so that every record of every life is seen. TB_TEST_SEED repeats a run, TB_KILL_ROUNDS sets how
 * many (200).
 */
#include "../unit/bus_fixture.h"

#include <sys/wait.h>
#include <time.h>

#include "words.h"

static uint64_t random_state;

static uint64_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void produce_for_ever(const char *dir)
{
    const struct tb_writer_options options = {
        .capacity = 64, .pace = TB_PACE_GATED, .gates = {"gate"}, .gate_count = 1};
    struct tb_writer w;
    struct tb_error err;
    if (tb_writer_open(dir, "s", &options, &w, &err) != 0) {
        (void)fprintf(stderr, "producer: %s\n", err.text);
        _exit(1);
    }
    for (;;) {
        struct tb_record record;
        words_fill(&record, w.next_seq);
        (void)tb_writer_publish(&w, &record);
        if (w.next_seq % 16 == 0)
            tb_writer_wake(&w);
        if (w.next_seq % 50 == 0)
            tb_writer_housekeep(&w, 1);
    }
}

/* Reads for so many ns, or until `producer` is dead; returns true in the latter case. */
static bool follow(struct tb_reader *r, tb_ns for_ns, pid_t producer, int *out_status)
{
    tb_ns end = tb_clock_mono() + for_ns;
    while (tb_clock_mono() < end) {
        struct tb_record record;
        tb_seq seq = r->cursor;
        enum tb_read got = tb_reader_next(r, &record);
        if (got == TB_READ_OK) {
            assert_true(words_right(&record, seq));
            if (r->cursor % 8 == 0)
                tb_reader_release(r, r->cursor, 1);
            continue;
        }
        assert_int_equal(got, TB_READ_EMPTY);
        tb_reader_release(r, r->cursor, 1);
        tb_reader_wait(r, TB_NS_PER_MS);
        if (producer > 0 && waitpid(producer, out_status, WNOHANG) == producer)
            return true;
    }
    return false;
}

static struct tb_reader gate_reader(struct bus *bus)
{
    struct tb_writer w = bus_writer_of(bus, 64);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    return bus_reader(bus, &(struct tb_reader_options){.name = "gate"});
}

static void random_kills_leave_no_hole_and_no_repeat(void **state)
{
    struct bus *bus = bus_of(state);
    const char *seed = getenv("TB_TEST_SEED"), *rounds = getenv("TB_KILL_ROUNDS");
    random_state = (seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL)) * 2 + 1;
    print_message("seed: TB_TEST_SEED=%llu\n", (unsigned long long)(random_state / 2));
    long count = rounds != NULL ? strtol(rounds, NULL, 10) : 200;

    struct tb_reader r = gate_reader(bus);
    uint64_t epoch = r.epoch;
    for (long i = 0; i < count; i++) {
        pid_t child = bus_fork();
        if (child == 0)
            produce_for_ever(bus->dir);
        int status = 0;
        bool died = follow(&r, (tb_ns)(random_word() % (4 * TB_NS_PER_MS)), child, &status);
        assert_false(died);
        (void)kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_false(tb_reader_retired(&r));
    }
    struct tb_writer w = bus_writer(bus, NULL);
    assert_int_equal(w.epoch, epoch);
    struct tb_record record;
    for (tb_seq seq = r.cursor; seq < w.next_seq; seq++) {
        assert_int_equal(tb_reader_next(&r, &record), TB_READ_OK);
        assert_true(words_right(&record, seq));
    }
    assert_int_equal(r.cursor, w.next_seq);
    assert_int_equal(r.lost, 0);
    print_message("%ld lives, %llu records\n", count, (unsigned long long)(w.next_seq - 1));
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    assert_int_equal(bus_files(bus, false), 3); /* ring, wait, lock */
}

#ifdef TB_POINTS
static void kills_at_every_point_of_a_publish_leave_no_hole(void **state)
{
    static const char *const points[] = {"publish:after_P1", "publish:in_P3", "publish:before_P4",
                                         "publish:after_P4"};
    struct bus *bus = bus_of(state);
    struct tb_reader r = gate_reader(bus);
    uint64_t epoch = r.epoch;
    for (int i = 0; i < 80; i++) {
        pid_t child = bus_fork();
        if (child == 0) {
            char point[64];
            (void)snprintf(point, sizeof(point), "%s:%d", points[i % 4], 1 + i * 7 % 130);
            (void)setenv("TB_POINT", point, 1);
            produce_for_ever(bus->dir);
        }
        int status = 0;
        assert_true(follow(&r, 20 * TB_NS_PER_S, child, &status));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct tb_writer w = bus_writer(bus, NULL);
    assert_int_equal(w.epoch, epoch);
    assert_int_equal(r.lost, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* Dying while a ring is made: readers find nothing, the old ring, or the whole new one. */
static void kills_while_a_ring_is_made_leave_a_whole_ring_or_none(void **state)
{
    static const char *const points[] = {"ring:after_create", "ring:before_retire",
                                         "ring:before_rename", "ring:after_rename"};
    struct bus *bus = bus_of(state);
    for (size_t i = 0; i < 2 * TB_COUNT(points); i++) {
        bool there = i >= TB_COUNT(points);
        if (there) {
            struct tb_writer w = bus_writer_of(bus, 8);
            publish(&w, 5);
            tb_writer_close(&w, TB_STREAM_STOPPED);
        }
        pid_t child = bus_fork();
        if (child == 0) {
            char point[64];
            struct tb_writer w;
            (void)snprintf(point, sizeof(point), "%s:1", points[i % TB_COUNT(points)]);
            (void)setenv("TB_POINT", point, 1);
            const struct tb_writer_options options = {.capacity = 16};
            (void)tb_writer_open(bus->dir, "s", &options, &w, NULL);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        struct tb_reader r;
        int rc = tb_reader_open(bus->dir, "s", NULL, &r, &bus->err);
        bool renamed = i % TB_COUNT(points) == TB_COUNT(points) - 1;
        assert_int_equal(rc, there || renamed ? 0 : -ENOENT);
        if (rc == 0) {
            assert_int_equal(r.capacity, renamed ? 16 : 8);
            tb_reader_close(&r, false);
        }
        struct tb_writer w = bus_writer_of(bus, 16);
        publish(&w, 20);
        tb_writer_close(&w, TB_STREAM_STOPPED);
        assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
        assert_int_equal(bus_files(bus, false), 0);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(random_kills_leave_no_hole_and_no_repeat),
#ifdef TB_POINTS
        BUS_TEST(kills_at_every_point_of_a_publish_leave_no_hole),
        BUS_TEST(kills_while_a_ring_is_made_leave_a_whole_ring_or_none),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
