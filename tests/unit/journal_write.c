/* The journal's writer on a good disk: pages, spares, segments, instruments, state, going on. */
#include "tests/unit/journal_bench_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bench bench;

static int set_up(void **state)
{
    bench_make(&bench);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    bench_remove(*state);
    return 0;
}

static tb_seq durable(const struct bench *b)
{
    uint64_t epoch;
    tb_seq seq;
    tb_journal_writer_durable(b->writer, &epoch, &seq);
    return seq;
}

static void write_and_end(struct bench *b, enum tb_journal_io io)
{
    bench_open(b, io);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), 0);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, 1000, 512);
    assert_true(bench_settle(b, 1000));
    assert_int_equal(durable(b), 1000);
    assert_int_equal(bench_read(b->path, EPOCH, 1), 1000); /* while it is open */
    bench_append(b, 1005, 1);
    assert_true(bench_settle(b, 1000));
    assert_int_equal(bench_read(b->path, EPOCH, 1), 1005);
    bench_append(b, 50000, 512);
    bench_finish(b);
    assert_int_equal(durable(b), 50000);
    assert_int_equal(bench_read(b->path, EPOCH, 1), 50000);
    bench_close(b);
    bench_open(b, io);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), 50000);
    assert_int_equal(b->bad, 0);
}

static void what_is_durable_is_read_back(void **state)
{
    write_and_end(*state, TB_JOURNAL_IO_AUTO);
}

static void and_without_io_uring(void **state)
{
    write_and_end(*state, TB_JOURNAL_IO_PLAIN);
}

/* 8 MiB hold 1,946 pages of records: 200,000 records are two segments, and the third is begun. */
static void a_full_segment_is_followed_by_another(void **state)
{
    struct bench *b = *state;
    b->state_count = 100;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 5), 0);
    bench_append(b, 300000, 512);
    bench_finish(b);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 3);
    assert_int_equal(bench_read(b->path, EPOCH, 5), 300000);
    assert_int_equal(bench_read(b->path, EPOCH, 123456), 300000);
}

static void an_epoch_and_a_jump_begin_segments(void **state)
{
    struct bench *b = *state;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, 100, 512);
    while (tb_journal_writer_begin(b->writer, EPOCH, 201) == -EAGAIN)
        bench_turn(b);
    assert_int_equal(durable(b), 200);
    bench_append(b, 300, 512);
    while (tb_journal_writer_begin(b->writer, EPOCH + 1, 1) == -EAGAIN)
        bench_turn(b);
    bench_append(b, 50, 512);
    bench_finish(b);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 3);
    bench_close(b);
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), 300);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH + 1), 50);
    assert_int_equal(bench_read(b->path, EPOCH + 1, 1), 50);
    assert_int_equal(bench_read(b->path, EPOCH, 201), 300);
}

/* Ended at an instant without a word: what was durable, and mostly more, is there. */
static void a_writer_that_died_is_succeeded(void **state)
{
    struct bench *b = *state;
    tb_seq last = 0;
    srand(11);
    for (int life = 0; life < 40; life++) {
        bench_open(b, life % 2 ? TB_JOURNAL_IO_AUTO : TB_JOURNAL_IO_PLAIN);
        tb_seq found = tb_journal_writer_last(b->writer, EPOCH);
        assert_true(found >= last);
        assert_int_equal(bench_read(b->path, EPOCH, 1), found);
        assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, found + 1), 0);
        bench_append(b, found + (tb_seq)(rand() % 5000), 1 + (size_t)rand() % 500);
        for (int turns = rand() % 12; turns > 0; turns--)
            bench_turn(b);
        last = durable(b);
        bench_close(b);
    }
    assert_int_equal(b->bad, 0);
}

static void a_second_writer_is_refused(void **state)
{
    struct bench *b = *state, second = *b;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(bench_try_open(&second, TB_JOURNAL_IO_AUTO), -EBUSY);
}

static struct tb_instrument entry(unsigned id)
{
    struct tb_instrument e = {.venue = "venue", .market = (uint16_t)id};
    (void)snprintf(e.symbol, sizeof(e.symbol), "S%u/USDT", id);
    (void)snprintf(e.raw, sizeof(e.raw), "S%uUSDT", id);
    (void)snprintf(e.stream, sizeof(e.stream), "ticks");
    return e;
}

static void instruments_are_there_before_their_records(void **state)
{
    struct bench *b = *state;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    for (unsigned id = 1; id <= 200; id++) {
        struct tb_instrument e = entry(id);
        tb_journal_writer_instrument(b->writer, &e);
        bench_append(b, id * 10, 512);
        if (id % 3 != 0)
            continue;
        assert_true(bench_settle(b, 1000));
        struct tb_journal *j;
        struct tb_record one;
        struct tb_journal_damage damage;
        uint64_t epoch;
        assert_int_equal(tb_journal_open(b->path, &j, NULL), 0);
        (void)tb_journal_seek(j, EPOCH, 1);
        assert_int_equal(tb_journal_read(j, &one, 1, &epoch, &damage), 1);
        assert_int_equal(tb_journal_instrument_count(j), id);
        assert_non_null(tb_journal_instrument(j, (uint16_t)id));
        assert_memory_equal(tb_journal_instrument(j, (uint16_t)id), &e, sizeof(e));
        tb_journal_close(j);
    }
    bench_finish(b);
}

static void count_state(void *context, const struct tb_record *record)
{
    size_t *count = context;
    assert_non_null(count);
    assert_int_equal(record->seq, 0);
    assert_int_equal(record->type, TB_LEVEL);
    assert_int_equal(record->ts_event, (*count + 1) * 1000);
    ++*count;
}

static void a_segment_begins_with_the_state(void **state)
{
    struct bench *b = *state;
    b->state_count = 150;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 42), 0);
    bench_append(b, 50, 512);
    assert_true(bench_settle(b, 1000));
    struct tb_journal *j;
    uint64_t epoch;
    tb_seq seq;
    size_t count = 0;
    assert_int_equal(tb_journal_open(b->path, &j, NULL), 0);
    (void)tb_journal_seek(j, EPOCH, 45);
    assert_int_equal(tb_journal_state(j, count_state, &count, &epoch, &seq), 0);
    assert_int_equal(count, 150);
    assert_int_equal(seq, 42);
    tb_journal_close(j);
}

/* The disk says nothing all the while: what comes is taken, as much as memory holds. */
static void a_roll_does_not_stand_still(void **state)
{
    struct bench *b = *state;
    b->options.segment_bytes = 1 << 20; /* 72,576 records */
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, 70000, 512);
    assert_true(bench_settle(b, 1000));
    struct tb_record records[512];
    for (tb_seq next = 70001; next <= 110000;) {
        for (size_t i = 0; i < 512; i++)
            records[i] = bench_record(next + i);
        size_t n = tb_journal_writer_append(b->writer, records, 512, 1000 * TB_NS_PER_S);
        if (n == 0)
            fail_msg("nothing is taken at %llu", (unsigned long long)next);
        next += n;
        tb_journal_writer_turn(b->writer, b->mono += TB_NS_PER_MS);
    }
    assert_int_equal(durable(b), 70000);
    bench_finish(b);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 2);
    assert_int_equal(bench_read(b->path, EPOCH, 1), tb_journal_writer_next(b->writer) - 1);
}

/* Of `count` records, published one each millisecond from `time` on, while the wall clock says `wall`. */
static void append_at(struct bench *b, size_t count, tb_ns time, tb_ns wall)
{
    for (unsigned idle = 0; count > 0 && idle < 20000;) {
        struct tb_record r = bench_record(tb_journal_writer_next(b->writer));
        r.ts_recv = time;
        r.publish_delta_ns = 0;
        if (tb_journal_writer_append(b->writer, &r, 1, wall) == 1) {
            count--;
            time += TB_NS_PER_MS;
            idle = 0;
        } else {
            idle++;
        }
        if (idle > 0 || count % 2048 == 0)
            bench_turn(b);
    }
    assert_int_equal(count, 0);
}

#define DAY_NS (86400 * TB_NS_PER_S)

static void a_day_begins_a_segment(void **state)
{
    struct bench *b = *state;
    const tb_ns midnight = 19943 * DAY_NS;
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    append_at(b, 100, midnight - TB_NS_PER_S, midnight - TB_NS_PER_S);
    assert_true(bench_settle(b, 1000));
    append_at(b, 100, midnight - 800 * TB_NS_PER_MS, midnight - 1);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 1);
    append_at(b, 100, midnight, midnight);
    assert_true(bench_settle(b, 1000));
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 2);
    /* What was recorded long ago says nothing about the day; nor does the same day, later. */
    append_at(b, 100, midnight - 30 * DAY_NS, midnight + 10 * TB_NS_PER_S);
    append_at(b, 100, midnight + DAY_NS - TB_NS_PER_S, midnight + DAY_NS - TB_NS_PER_S);
    assert_true(bench_settle(b, 1000));
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 2);
    append_at(b, 100, midnight + DAY_NS, midnight + DAY_NS);
    bench_finish(b);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 3);
    struct tb_journal *j;
    struct tb_record r;
    uint64_t epoch;
    tb_seq first;
    assert_int_equal(tb_journal_open(b->path, &j, NULL), 0);
    for (tb_seq seq = 1; seq <= 600; seq++) {
        const tb_seq begins = seq <= 200 ? 1 : seq <= 500 ? 201 : 501;
        (void)tb_journal_seek(j, EPOCH, seq);
        assert_int_equal(tb_journal_state(j, count_state, NULL, &epoch, &first), 0);
        assert_int_equal(first, begins);
        assert_int_equal(tb_journal_read(j, &r, 1, NULL, NULL), 1);
        assert_int_equal(r.seq, seq);
    }
    tb_journal_close(j);
}

/*
 * The clock is set back by 50 s and, later, forward by 80 s, over several segments and lives. A time is
 * found where it came first: nothing published at or after it is before that.
 */
/* The day is over, all before is durable, and the first record of the new one is of a new instrument. */
static void a_day_begins_with_a_new_instrument(void **state)
{
    struct bench *b = *state;
    const tb_ns midnight = 19943 * DAY_NS;
    struct tb_instrument e = entry(1);
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    append_at(b, 100, midnight - TB_NS_PER_S, midnight - TB_NS_PER_S);
    assert_true(bench_settle(b, 1000));
    tb_journal_writer_instrument(b->writer, &e);
    append_at(b, 100, midnight, midnight);
    assert_true(bench_settle(b, 1000));
    assert_int_equal(durable(b), 200);
    assert_int_equal(tb_journal_writer_counts(b->writer)->segments, 2);
    e = entry(2);
    tb_journal_writer_instrument(b->writer, &e);
    bench_finish(b);
}

/* What went to the disk, one letter each: R a page in its place, E the end page, S a sync; counted of others. */
struct order {
    char text[64];
    size_t count;
};

static long note(void *context, uint64_t number, enum tb_uring_op op, int fd, const void *bytes,
                 size_t count, uint64_t offset)
{
    struct order *o = context;
    const struct tb_journal_page *page = bytes;
    (void)number, (void)fd, (void)count, (void)offset;
    char what = op == TB_URING_SYNC                     ? 'S'
                : op != TB_URING_WRITE                  ? '.'
                : page->kind == TB_JOURNAL_RECORDS_KIND ? 'R'
                : page->kind == TB_JOURNAL_END          ? 'E'
                                                        : '.';
    if (o->count + 1 < sizeof(o->text))
        o->text[o->count++] = what;
    return 1;
}

/* The last flush, with all records in it, is under way when the end is asked for. */
static void an_end_page_follows_a_sync_of_all_before_it(void **state)
{
    struct bench *b = *state;
    struct order order = {.count = 0};
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, 100, 512);
    assert_true(bench_settle(b, 1000));
    bench_append(b, 110, 512);
    tb_journal_writer_flush(b->writer);
    tb_journal_writer_turn(b->writer, b->mono += TB_NS_PER_MS);
    b->fault.decide = note;
    b->fault.context = &order;
    assert_int_equal(tb_journal_writer_finish(b->writer), -EAGAIN);
    bench_finish(b);
    const char *tail = strrchr(order.text, 'R'), *end = strrchr(order.text, 'E');
    assert_non_null(tail);
    assert_non_null(end);
    const char *sync = strchr(tail, 'S');
    if (sync == NULL || sync > end)
        fail_msg("no sync between the last page and the end page: %s", order.text);
    assert_int_equal(bench_read(b->path, EPOCH, 1), 110);
}

static void a_time_is_found_however_the_clock_was_set(void **state)
{
    enum { PART = 60000, PARTS = 5 };
    static const int set[PARTS] = {0, 0, -50, 0, 80};
    static tb_ns times[PARTS * PART + 1];
    struct bench *b = *state;
    const tb_ns noon = 19943 * DAY_NS + DAY_NS / 2;
    tb_ns time = noon;
    tb_seq seq = 0;
    b->options.segment_bytes = 1 << 20;
    for (int part = 0; part < PARTS; part++) {
        bench_open(b, TB_JOURNAL_IO_AUTO);
        assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, seq + 1), 0);
        time += set[part] * TB_NS_PER_S;
        append_at(b, PART, time, noon);
        for (int i = 0; i < PART; i++, time += TB_NS_PER_MS)
            times[++seq] = time;
        if (part % 2 == 0)
            bench_finish(b);
        else
            assert_true(bench_settle(b, 1000));
        bench_close(b);
    }
    struct tb_journal *j;
    struct tb_record r;
    assert_int_equal(tb_journal_open(b->path, &j, NULL), 0);
    for (tb_ns wanted = noon - TB_NS_PER_S; wanted < time + TB_NS_PER_S;
         wanted += 331 * TB_NS_PER_MS + 77) {
        tb_seq right = 1;
        while (right <= seq && times[right] < wanted)
            right++;
        assert_int_equal(tb_journal_seek_time(j, wanted), right > seq);
        long n = tb_journal_read(j, &r, 1, NULL, NULL);
        if (n != (right <= seq) || (n == 1 && r.seq != right))
            fail_msg("%+.3f s: found %llu, right is %llu", (double)(wanted - noon) / 1e9,
                     (unsigned long long)(n == 1 ? r.seq : 0), (unsigned long long)right);
    }
    tb_journal_close(j);
}

/* Somebody removes the journal while it is written: that is said, and it goes on, in a new file. */
static void a_removed_journal_is_made_anew(void **state)
{
    struct bench *b = *state;
    char command[300];
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, 1000, 512);
    assert_true(bench_settle(b, 1000));
    (void)snprintf(command, sizeof(command), "rm -r '%s'", b->base);
    assert_int_equal(system(command), 0);
    b->mono += 2 * TB_NS_PER_S;
    bench_append(b, 1500, 512);
    bench_turn(b);
    assert_true(b->bad > 0);
    for (int i = 0; i < 1000 && tb_journal_writer_trouble(b->writer) != NULL; i++)
        bench_turn(b);
    assert_null(tb_journal_writer_trouble(b->writer));
    bench_append(b, 2000, 512);
    bench_finish(b);
    assert_int_equal(durable(b), 2000);
    bench_close(b);
    bench_open(b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), 2000);
    assert_int_equal(bench_read(b->path, EPOCH, 1001), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_durable_is_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(and_without_io_uring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_segment_is_followed_by_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_and_a_jump_begin_segments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_that_died_is_succeeded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_writer_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(instruments_are_there_before_their_records, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_segment_begins_with_the_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_roll_does_not_stand_still, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_day_begins_a_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_day_begins_with_a_new_instrument, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_page_follows_a_sync_of_all_before_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_time_is_found_however_the_clock_was_set, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_removed_journal_is_made_anew, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
