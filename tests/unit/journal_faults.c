/*
 * A disk that fails, once at each of its calls in turn, and for a while: nothing that was durable is lost,
 * nothing is there twice, and when the disk is good again it goes on by itself.
 */
#include "tests/unit/journal_bench_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>

#define RECORDS 22000 /* one segment (20,160) and a little; memory holds 12,096 */

enum kind { FAIL_EIO, FAIL_ENOSPC, FAIL_EINTR, FAIL_ZERO, SHORT_PAGE, SHORT_ODD, LATE, KINDS };
static const char *const kind_name[] = {"EIO",          "ENOSPC",     "EINTR", "0 bytes",
                                        "a short page", "1000 bytes", "late"};

struct script {
    enum kind kind;
    uint64_t from, to; /* calls that fail */
    uint64_t seen;
    bool only_syncs;
};

static long decide(void *context, uint64_t number, enum tb_uring_op op, int fd, const void *bytes,
                   size_t count, uint64_t offset)
{
    struct script *s = context;
    (void)fd, (void)bytes, (void)offset;
    s->seen = number;
    if (number < s->from || number > s->to || (s->only_syncs && op != TB_URING_SYNC))
        return 1;
    switch (s->kind) {
    case FAIL_EIO:
        return -EIO;
    case FAIL_ENOSPC:
        return -ENOSPC;
    case FAIL_EINTR:
        return -EINTR;
    case FAIL_ZERO:
        return op == TB_URING_WRITE ? 0 : -EIO;
    case SHORT_PAGE:
        return op == TB_URING_WRITE && count > 4096 ? 4096 : 1;
    case SHORT_ODD:
        return op == TB_URING_WRITE ? 1000 : 1;
    default:
        return 1;
    }
}

static unsigned delay(void *context, uint64_t number)
{
    struct script *s = context;
    return s->kind == LATE && number >= s->from && number <= s->to ? 1 + (unsigned)(number % 5) : 0;
}

/* What is durable must be readable at every moment. */
static void durable_is_there(struct bench *b)
{
    uint64_t epoch;
    tb_seq durable;
    tb_journal_writer_durable(b->writer, &epoch, &durable);
    if (durable > 0) {
        tb_seq there = bench_read(b->path, EPOCH, 1);
        if (there < durable)
            fail_msg("durable %llu, but %llu can be read", (unsigned long long)durable,
                     (unsigned long long)there);
    }
}

/* The whole life of a journal with one script. Returns how many calls the disk had. */
static uint64_t live(enum tb_journal_io io, struct script *script, bool look)
{
    struct bench b;
    bench_make(&b);
    b.options.direct = script->kind != SHORT_ODD;
    b.options.segment_bytes = 1 << 20; /* as small as may be */
    b.memory = TB_JOURNAL_MEMORY_MIN;
    b.fault = (struct tb_uring_fault){.decide = decide, .delay = delay, .context = script};
    bench_open(&b, io);
    assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, 1), 0);
    bench_append(&b, 40, 7);
    assert_true(bench_settle(&b, 20000));
    bench_append(&b, 300, 100);
    if (look)
        durable_is_there(&b);
    assert_true(bench_settle(&b, 20000));
    if (look)
        durable_is_there(&b);
    bench_append(&b, RECORDS, 512);
    if (look)
        durable_is_there(&b);
    bench_finish(&b);
    assert_null(tb_journal_writer_trouble(b.writer));
    bench_close(&b);
    assert_int_equal(bench_read(b.path, EPOCH, 1), RECORDS);
    /* And a life later, too. */
    b.fault = (struct tb_uring_fault){0};
    bench_open(&b, io);
    assert_int_equal(tb_journal_writer_last(b.writer, EPOCH), RECORDS);
    assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, RECORDS + 1), 0);
    bench_append(&b, RECORDS + 10, 512);
    bench_finish(&b);
    assert_int_equal(bench_read(b.path, EPOCH, 1), RECORDS + 10);
    bench_remove(&b);
    return script->seen;
}

static void every_call(enum tb_journal_io io)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t calls = 1;
        for (uint64_t k = 1; k <= calls; k++) {
            struct script script = {.kind = kind, .from = k, .to = k};
            uint64_t seen = live(io, &script, true);
            calls = k == 1 || seen > calls ? seen : calls;
            if (k > seen)
                break;
        }
        print_message("%s at each of %llu calls\n", kind_name[kind], (unsigned long long)calls);
    }
}

static void every_call_fails_once_uring(void **state)
{
    (void)state;
    every_call(TB_JOURNAL_IO_AUTO);
}

static void every_call_fails_once_plain(void **state)
{
    (void)state;
    every_call(TB_JOURNAL_IO_PLAIN);
}

static void a_disk_that_fails_for_a_while_is_waited_for(void **state)
{
    (void)state;
    for (enum kind kind = FAIL_EIO; kind <= FAIL_ENOSPC; kind++)
        for (uint64_t from = 1; from < 60; from += 3) {
            struct script script = {.kind = kind, .from = from, .to = from + 15};
            (void)live(TB_JOURNAL_IO_AUTO, &script, false);
        }
}

static void everything_late_and_short_is_ordinary(void **state)
{
    (void)state;
    for (enum kind kind = SHORT_PAGE; kind <= LATE; kind++)
        for (int io = 0; io < 2; io++) {
            struct script script = {.kind = kind, .from = 1, .to = kind == LATE ? UINT64_MAX : 300};
            (void)live(io ? TB_JOURNAL_IO_PLAIN : TB_JOURNAL_IO_AUTO, &script, false);
        }
}

/* A sync that failed: the file is not synced again, what it held goes to another. */
static int failed_fd_synced, failed_fd;
static bool failed_once;

static long fail_second_sync(void *context, uint64_t number, enum tb_uring_op op, int fd,
                             const void *bytes, size_t count, uint64_t offset)
{
    unsigned *syncs = context;
    (void)number, (void)bytes, (void)count, (void)offset;
    if (op != TB_URING_SYNC)
        return 1;
    if (failed_once && fd == failed_fd)
        failed_fd_synced++;
    if (++*syncs < 4 || failed_once) /* the directory's is one of them */
        return 1;
    failed_once = true;
    failed_fd = fd;
    return -EIO;
}

static void a_failed_sync_is_never_believed(void **state)
{
    struct bench b;
    unsigned syncs = 0;
    (void)state;
    failed_fd_synced = 0;
    failed_once = false;
    bench_make(&b);
    b.fault = (struct tb_uring_fault){.decide = fail_second_sync, .context = &syncs};
    b.options.retry_every = 1000 * TB_NS_PER_MS;
    bench_open(&b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, 1), 0);
    bench_append(&b, 100, 512);
    assert_true(bench_settle(&b, 1000));
    bench_append(&b, 200, 512);
    assert_true(bench_settle(&b, 1000));
    bench_append(&b, 1000, 512);
    assert_false(bench_settle(&b, 500));
    assert_non_null(tb_journal_writer_trouble(b.writer));
    uint64_t epoch;
    tb_seq durable;
    tb_journal_writer_durable(b.writer, &epoch, &durable);
    assert_int_equal(durable, 200);
    assert_int_equal(failed_fd_synced, 0);
    assert_true(
        bench_settle(&b, 2000)); /* in another file, whose descriptor may be the same number */
    assert_null(tb_journal_writer_trouble(b.writer));
    assert_int_equal(tb_journal_writer_counts(b.writer)->segments, 2);
    assert_int_equal(tb_journal_writer_counts(b.writer)->rewritten, 800);
    bench_finish(&b);
    assert_int_equal(bench_read(b.path, EPOCH, 1), 1000);
    bench_remove(&b);
}

/* While the disk fails, memory is the bound: then nothing more is taken, and nothing is forgotten. */
static void refuses_more(size_t memory)
{
    struct bench b;
    struct script script = {.kind = FAIL_ENOSPC, .from = 1, .to = UINT64_MAX};
    struct tb_record records[512];
    bench_make(&b);
    b.memory = memory;
    b.fault = (struct tb_uring_fault){.decide = decide, .context = &script};
    bench_open(&b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, 1), 0);
    for (int i = 0; i < 2000; i++) {
        tb_seq next = tb_journal_writer_next(b.writer);
        for (size_t k = 0; k < 512; k++)
            records[k] = bench_record(next + k);
        (void)tb_journal_writer_append(b.writer, records, 512, 1000 * TB_NS_PER_S);
        bench_turn(&b);
    }
    tb_seq held = tb_journal_writer_next(b.writer) - 1;
    /* Buffers of 64 pages of 63 records; one is for other pages. */
    assert_in_range(held, 1, (memory / (256 << 10) - 1) * 64 * 63);
    assert_non_null(tb_journal_writer_trouble(b.writer));
    script.to = 0; /* space is back */
    bench_append(&b, held + 5000, 512);
    bench_finish(&b);
    assert_null(tb_journal_writer_trouble(b.writer));
    assert_int_equal(bench_read(b.path, EPOCH, 1), held + 5000);
    bench_remove(&b);
}

static void a_full_memory_refuses_more(void **state)
{
    (void)state;
    refuses_more(TB_JOURNAL_MEMORY_MIN);
    refuses_more(TB_JOURNAL_MEMORY);
    refuses_more(TB_JOURNAL_MEMORY_MAX);
}

/* The kernel's own short write and failure, without any shim: a limit on the size of files. */
static void a_limit_on_files_is_a_full_disk(void **state)
{
    struct bench b;
    struct rlimit old, small;
    (void)state;
    bench_make(&b);
    b.options.segment_bytes = 16 << 20;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    bench_open(&b, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, 1), 0);
    bench_append(&b, 1000, 512);
    assert_true(bench_settle(&b, 1000));
    (void)signal(SIGXFSZ, SIG_IGN);
    small.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct tb_record record;
    for (int i = 0; i < 40000; i++) { /* until it refuses: the file is given up by then */
        record = bench_record(tb_journal_writer_next(b.writer));
        if (tb_journal_writer_append(b.writer, &record, 1, 1000 * TB_NS_PER_S) == 0 || i % 512 == 0)
            bench_turn(&b);
    }
    const char *trouble = tb_journal_writer_trouble(b.writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_non_null(trouble);
    bench_append(&b, 50000, 512);
    bench_finish(&b);
    assert_int_equal(bench_read(b.path, EPOCH, 1), 50000);
    bench_remove(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_is_never_believed),
        cmocka_unit_test(a_full_memory_refuses_more),
        cmocka_unit_test(a_limit_on_files_is_a_full_disk),
        cmocka_unit_test(everything_late_and_short_is_ordinary),
        cmocka_unit_test(a_disk_that_fails_for_a_while_is_waited_for),
        cmocka_unit_test(every_call_fails_once_plain),
        cmocka_unit_test(every_call_fails_once_uring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
