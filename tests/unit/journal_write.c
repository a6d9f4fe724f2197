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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
