#include "tests/unit/journal_bench_disk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>

static void say(void *context, bool bad, const char *event, const char *text)
{
    struct bench *b = context;
    b->bad += bad;
    if (getenv("VERBOSE") != NULL)
        (void)fprintf(stderr, "%s %s\n", event, text);
}

static size_t some_state(void *context, struct tb_record *out)
{
    struct bench *b = context;
    for (size_t i = 0; out != NULL && i < b->state_count; i++) {
        out[i] = bench_record(i + 1);
        out[i].type = TB_LEVEL;
    }
    return b->state_count;
}

void bench_make(struct bench *b)
{
    const char *where = getenv("TB_JOURNAL_TEST_DIR");
    memset(b, 0, sizeof(*b));
    (void)snprintf(b->base, sizeof(b->base), "%s/tbj-XXXXXX", where != NULL ? where : "/dev/shm");
    assert_non_null(mkdtemp(b->base));
    (void)snprintf(b->path, sizeof(b->path), "%s/test/ticks", b->base);
    b->mono = tb_clock_mono();
    b->memory = 17 * (256 << 10); /* 64,512 records: so a segment of 72,576 is possible */
    b->options = (struct tb_journal_write_options){.journal = b->base,
                                                   .bus = "test",
                                                   .stream = "ticks",
                                                   .segment_bytes = 8 << 20,
                                                   .sync_bytes = 1 << 20,
                                                   .sync_every = 5 * TB_NS_PER_MS,
                                                   .retry_every = 10 * TB_NS_PER_MS,
                                                   .direct = true,
                                                   .state = some_state,
                                                   .say = say,
                                                   .context = b};
}

static void remove_all(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    char name[512];
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(name, sizeof(name), "%.200s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            remove_all(name);
        else
            (void)unlink(name);
    }
    if (directory != NULL)
        (void)closedir(directory);
    (void)rmdir(path);
}

void bench_remove(struct bench *b)
{
    bench_close(b);
    remove_all(b->base);
}

int bench_try_open(struct bench *b, enum tb_journal_io io)
{
    struct tb_error err = {""};
    int rc = tb_journal_disk_open(1, b->memory, io, &b->disk, NULL, &err);
    if (rc == 0) {
        tb_uring_inject(tb_journal_disk_ring(b->disk), &b->fault);
        rc = tb_journal_writer_open(b->disk, &b->options, &b->writer, &err);
    }
    if (rc != 0 && getenv("VERBOSE") != NULL)
        (void)fprintf(stderr, "open: %d %s\n", rc, err.text);
    if (rc != 0)
        bench_close(b);
    return rc;
}

void bench_open(struct bench *b, enum tb_journal_io io)
{
    assert_int_equal(bench_try_open(b, io), 0);
}

void bench_close(struct bench *b)
{
    tb_journal_writer_close(b->writer);
    tb_journal_disk_close(b->disk);
    b->writer = NULL;
    b->disk = NULL;
}

struct tb_record bench_record(tb_seq seq)
{
    struct tb_record r = {.seq = seq,
                          .ts_event = (tb_ns)seq * 1000,
                          .ts_recv = (tb_ns)seq * 1001,
                          .instrument = (uint16_t)(seq % 7 + 1),
                          .type = TB_TRADE,
                          .flags = seq % 3 == 0 ? TB_F_LAST : 0,
                          .publish_delta_ns = (uint32_t)(seq % 100)};
    for (size_t i = 0; i < 4; i++)
        r.body[i] = (seq + i) * UINT64_C(0x9E3779B97F4A7C15);
    return r;
}

void bench_turn(struct bench *b)
{
    b->mono += TB_NS_PER_MS;
    tb_journal_writer_turn(b->writer, b->mono);
    assert_true(tb_journal_disk_turn(b->disk, TB_NS_PER_MS / 10) >= 0);
}

void bench_append(struct bench *b, tb_seq last, size_t batch)
{
    struct tb_record records[512];
    unsigned idle = 0;
    while (tb_journal_writer_next(b->writer) <= last && idle < 20000) {
        tb_seq next = tb_journal_writer_next(b->writer);
        size_t count = last - next + 1 < batch ? (size_t)(last - next + 1) : batch;
        for (size_t i = 0; i < count; i++)
            records[i] = bench_record(next + i);
        size_t taken = tb_journal_writer_append(b->writer, records, count, 1000 * TB_NS_PER_S);
        assert_true(taken <= count);
        idle = taken > 0 ? 0 : idle + 1;
        if (taken < count || next / 2048 != (next + taken) / 2048)
            bench_turn(b);
    }
    assert_int_equal(tb_journal_writer_next(b->writer), last + 1);
}

bool bench_settle(struct bench *b, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        uint64_t epoch;
        tb_seq durable;
        tb_journal_writer_durable(b->writer, &epoch, &durable);
        if (durable + 1 == tb_journal_writer_next(b->writer))
            return true;
        bench_turn(b);
    }
    return false;
}

void bench_finish(struct bench *b)
{
    for (unsigned i = 0; i < 20000; i++) {
        if (tb_journal_writer_finish(b->writer) == 0)
            return;
        bench_turn(b);
    }
    fail_msg("the segment does not end: %s", tb_journal_writer_trouble(b->writer));
}

tb_seq bench_read(const char *path, uint64_t epoch, tb_seq first)
{
    struct tb_journal *j;
    struct tb_error err = {""};
    struct tb_record records[300];
    struct tb_journal_damage damage;
    uint64_t got;
    tb_seq next = first;
    if (tb_journal_open(path, &j, &err) != 0)
        fail_msg("%s", err.text);
    (void)tb_journal_seek(j, epoch, first);
    for (;;) {
        long n = tb_journal_read(j, records, 300, &got, &damage);
        if (n == -EBADMSG)
            fail_msg("damage at %llu: %llu..%llu %s", (unsigned long long)next,
                     (unsigned long long)damage.from, (unsigned long long)damage.to, damage.what);
        if (n < 0)
            fail_msg("read at %llu: %s", (unsigned long long)next, strerror((int)-n));
        if (n == 0 || got != epoch)
            break;
        for (long i = 0; i < n; i++, next++) {
            struct tb_record right = bench_record(next);
            if (memcmp(&right, &records[i], sizeof(right)) != 0)
                fail_msg("record %llu is not what was written (it says seq %llu)",
                         (unsigned long long)next, (unsigned long long)records[i].seq);
        }
    }
    tb_journal_close(j);
    return next - 1;
}
