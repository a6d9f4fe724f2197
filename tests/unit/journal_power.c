/*
 * Power failures. Every write, sync and completion of a life is recorded; then, for many moments, a disk
 * is made as the law allows it to be found: what was synced is there, of everything else any part, in
 * units of a sector, in any order; a file whose directory was not synced may be missing. Each disk is
 * recovered: all that was reported durable is there, in order, once, and the journal goes on.
 *
 * TB_SEED and TB_IMAGES in the environment; the seed is printed.
 */
#include "tests/unit/journal_bench_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define FILES 8
#define EVENTS 4096

struct event {
    enum tb_uring_op op;
    unsigned file; /* FILES: the directory */
    char *bytes;   /* TB_URING_WRITE: a copy */
    size_t count;
    uint64_t offset;
    uint64_t number;
    unsigned began, ended; /* moments: index into time; ended 0: not yet */
};

static struct {
    struct bench *b;
    char name[FILES][64];
    size_t bytes[FILES];
    unsigned made[FILES]; /* the moment at which a file was seen first */
    unsigned files;
    struct event event[EVENTS];
    unsigned events;
    unsigned now;
    tb_seq durable[4 * EVENTS]; /* reported before that moment */
} disk;

static uint64_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static void tick(void)
{
    uint64_t epoch;
    tb_seq durable = 0;
    if (disk.b->writer != NULL)
        tb_journal_writer_durable(disk.b->writer, &epoch, &durable);
    disk.durable[++disk.now] = durable;
    assert_true(disk.now + 1 < TB_COUNT(disk.durable));
}

static unsigned file_of(int fd)
{
    char link[64], path[512];
    struct stat st;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    assert_true(n > 0);
    path[n] = '\0';
    assert_int_equal(fstat(fd, &st), 0);
    if (S_ISDIR(st.st_mode))
        return FILES;
    const char *name = strrchr(path, '/') + 1;
    for (unsigned i = 0; i < disk.files; i++)
        if (strcmp(disk.name[i], name) == 0)
            return i;
    assert_true(disk.files < FILES);
    (void)snprintf(disk.name[disk.files], sizeof(disk.name[0]), "%.63s", name);
    disk.bytes[disk.files] = (size_t)st.st_size;
    disk.made[disk.files] = disk.now;
    return disk.files++;
}

static long record(void *context, uint64_t number, enum tb_uring_op op, int fd, const void *bytes,
                   size_t count, uint64_t offset)
{
    (void)context;
    assert_true(disk.events < EVENTS);
    if (op == TB_URING_ALLOCATE)
        return 1; /* of a file that has no name yet: what is not renamed is not there */
    unsigned file = file_of(fd);
    tick();
    struct event *e = &disk.event[disk.events++];
    *e = (struct event){.op = op,
                        .file = file,
                        .count = count,
                        .offset = offset,
                        .number = number,
                        .began = disk.now};
    if (op == TB_URING_WRITE) {
        e->bytes = malloc(count);
        memcpy(e->bytes, bytes, count);
    }
    return 1;
}

static unsigned completed(void *context, uint64_t number)
{
    (void)context;
    tick();
    for (unsigned i = 0; i < disk.events; i++)
        if (disk.event[i].number == number)
            disk.event[i].ended = disk.now;
    return chance(3); /* and seen late */
}

/* Was write i surely on the disk at `moment`: did a sync of its file that began after it end before? */
static bool is_synced(unsigned i, unsigned moment)
{
    const struct event *w = &disk.event[i];
    for (unsigned k = i + 1; k < disk.events; k++) {
        const struct event *s = &disk.event[k];
        if (s->op != TB_URING_SYNC || s->file != w->file || s->ended == 0 || s->ended > moment)
            continue;
        /* Queued right behind the write means linked behind it. */
        if ((w->ended != 0 && w->ended <= s->began) || s->number == w->number + 1)
            return true;
    }
    return false;
}

static bool name_is_synced(unsigned file, unsigned moment)
{
    for (unsigned k = 0; k < disk.events; k++) {
        const struct event *s = &disk.event[k];
        if (s->op == TB_URING_SYNC && s->file == FILES && s->ended != 0 && s->ended <= moment &&
            s->began >= disk.made[file])
            return true;
    }
    return false;
}

/* One disk as it may be found when the power fails at `moment`. */
static void make_image(struct bench *b, unsigned moment, bool all_or_nothing)
{
    char path[512];
    for (unsigned f = 0; f < disk.files; f++) {
        if (disk.made[f] > moment || (!name_is_synced(f, moment) && chance(3) == 0))
            continue;
        char *bytes = calloc(1, disk.bytes[f]);
        size_t reach = 0;
        assert_non_null(bytes);
        /* Surviving parts in any order: a sector that two unsynced writes touch has either. */
        for (unsigned i = 0; i < disk.events; i++) {
            const struct event *w = &disk.event[i];
            if (w->op != TB_URING_WRITE || w->file != f || w->began > moment)
                continue;
            bool whole = is_synced(i, moment) || (all_or_nothing ? chance(2) : chance(4)) == 0;
            for (size_t at = 0; at < w->count; at += SECTOR)
                if (whole || (!all_or_nothing && chance(2) == 0)) {
                    memcpy(bytes + w->offset + at, w->bytes + at, SECTOR);
                    reach = w->offset + at + SECTOR > reach ? w->offset + at + SECTOR : reach;
                }
        }
        /* The size may be the preallocated one, or where the last survivor ends. */
        size_t size = chance(2) ? disk.bytes[f] : reach;
        (void)snprintf(path, sizeof(path), "%s/%s", b->path, disk.name[f]);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0640);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, bytes, size < reach ? size : reach, 0),
                         size < reach ? size : reach);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        (void)close(fd);
        free(bytes);
    }
}

static void clear(struct bench *b)
{
    char path[512];
    struct dirent *entry;
    DIR *directory = opendir(b->path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%.200s", b->path, entry->d_name);
            (void)unlink(path);
        }
    (void)closedir(directory);
}

static const tb_seq steps[] = {10,  30,  62,   63,   64,    130,   700,
                               701, 705, 5000, 5063, 72000, 72010, 73000};

/* One more instrument is known at each step: so many does whoever reads this record need. */
static uint32_t instruments_of(tb_seq seq)
{
    uint32_t count = 1;
    while (count < TB_COUNT(steps) && seq > steps[count - 1])
        count++;
    return count;
}

static void live_and_record(struct bench *b, enum tb_journal_io io)
{
    static const struct tb_instrument entry = {.venue = "v", .symbol = "A/B", .market = 1};
    b->fault = (struct tb_uring_fault){.decide = record, .delay = completed};
    b->options.segment_bytes = 1 << 20; /* 1,152 pages: 72,576 records; so there is a roll in it */
    disk.b = b;
    bench_open(b, io);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    for (size_t i = 0; i < TB_COUNT(steps); i++) {
        tb_journal_writer_instrument(b->writer, &entry);
        bench_append(b, steps[i], 300);
        for (uint32_t turns = chance(12); turns > 0; turns--)
            bench_turn(b);
    }
    bench_finish(b);
    bench_close(b);
    tick();
}

/* The last record (or instrument) in a write's pages of these kinds; 0: none. */
static uint64_t last_of(const struct event *w, unsigned kind, unsigned or_kind)
{
    uint64_t last = 0;
    for (size_t at = 0; at < w->count; at += TB_JOURNAL_PAGE) {
        const struct tb_journal_page *page = (const void *)(w->bytes + at);
        if (page->magic == TB_JOURNAL_MAGIC && (page->kind == kind || page->kind == or_kind) &&
            page->count > 0 && page->first_seq + page->count - 1 > last)
            last = page->first_seq + page->count - 1;
    }
    return last;
}

/* How many instruments were surely on the disk when write i began. */
static uint64_t instruments_before(unsigned i)
{
    uint64_t known = 0;
    const struct event *w = &disk.event[i];
    for (unsigned k = 0; k < disk.events; k++) {
        const struct event *e = &disk.event[k];
        if (e->op != TB_URING_WRITE || e->file != w->file || !is_synced(k, w->began))
            continue;
        uint64_t last = last_of(e, TB_JOURNAL_INSTRUMENTS_KIND, TB_JOURNAL_INSTRUMENTS_KIND);
        known = last > known ? last : known;
    }
    return known;
}

static void no_record_is_written_before_its_instrument(void **state)
{
    struct bench live;
    unsigned writes = 0;
    (void)state;
    seed = 20240809;
    memset(&disk, 0, sizeof(disk));
    bench_make(&live);
    live_and_record(&live, TB_JOURNAL_IO_AUTO);
    for (unsigned i = 0; i < disk.events; i++) {
        const struct event *w = &disk.event[i];
        uint64_t last =
            w->op == TB_URING_WRITE ? last_of(w, TB_JOURNAL_RECORDS_KIND, TB_JOURNAL_SPARE) : 0;
        if (last == 0)
            continue;
        writes++;
        uint64_t known = instruments_before(i);
        if (known < instruments_of(last))
            fail_msg(
                "write %u of %s, up to record %llu: %u instruments are needed, %llu were synced", i,
                disk.name[w->file], (unsigned long long)last, instruments_of(last),
                (unsigned long long)known);
    }
    assert_true(writes > TB_COUNT(steps));
    for (unsigned i = 0; i < disk.events; i++)
        free(disk.event[i].bytes);
    bench_remove(&live);
}

/* They are one write over all that stands before the records, empty pages with it: what came earlier would be lost. */
static void nothing_is_written_while_the_first_pages_are(void **state)
{
    static const struct tb_instrument entry = {.venue = "v", .symbol = "A/B", .market = 1};
    struct bench live;
    (void)state;
    seed = 20240810;
    memset(&disk, 0, sizeof(disk));
    bench_make(&live);
    live.fault = (struct tb_uring_fault){.decide = record, .delay = completed};
    disk.b = &live;
    bench_open(&live, TB_JOURNAL_IO_AUTO);
    assert_int_equal(tb_journal_writer_begin(live.writer, EPOCH, 1), 0);
    tb_journal_writer_instrument(live.writer, &entry);
    const struct tb_record first = bench_record(1);
    assert_int_equal(tb_journal_writer_append(live.writer, &first, 1, 1000 * TB_NS_PER_S), 1);
    tb_journal_writer_instrument(live.writer, &entry); /* after the first pages were made */
    bench_append(&live, 100, 64);
    bench_finish(&live);
    bench_close(&live);
    const struct event *head = &disk.event[0];
    unsigned writes = 0;
    while (head->op != TB_URING_WRITE || head->count == TB_JOURNAL_PAGE)
        head++;
    assert_true(head->offset == 0 && head->ended != 0);
    for (unsigned i = 0; i < disk.events; i++)
        if (disk.event[i].op == TB_URING_WRITE && &disk.event[i] != head) {
            assert_true(disk.event[i].file == head->file);
            assert_true(disk.event[i].began > head->ended);
            writes++;
        }
    assert_true(writes > 2); /* the second instrument, records, the end */
    for (unsigned i = 0; i < disk.events; i++)
        free(disk.event[i].bytes);
    bench_remove(&live);
}

/* Each record that is there can be named: the last one, and the last of each step. */
static void expect_instruments(const char *path, tb_seq last, unsigned moment, uint64_t this_seed)
{
    struct tb_journal *j;
    struct tb_record record;
    struct tb_journal_damage damage;
    uint64_t epoch;
    assert_int_equal(tb_journal_open(path, &j, NULL), 0);
    for (unsigned i = 0; i < TB_COUNT(steps) && last > 0; i++) {
        tb_seq seq = steps[i] < last ? steps[i] : last;
        (void)tb_journal_seek(j, EPOCH, seq);
        assert_int_equal(tb_journal_read(j, &record, 1, &epoch, &damage), 1);
        assert_int_equal(record.seq, seq);
        uint16_t known = tb_journal_instrument_count(j);
        if (known < instruments_of(seq))
            fail_msg(
                "moment %u of %u, seed %llu: record %llu is there, and %u of its %u instruments",
                moment, disk.now, (unsigned long long)this_seed, (unsigned long long)seq, known,
                instruments_of(seq));
    }
    tb_journal_close(j);
}

static void power(void **state, enum tb_journal_io io)
{
    struct bench live, b;
    const char *images = getenv("TB_IMAGES"), *given = getenv("TB_SEED");
    unsigned count = images != NULL ? (unsigned)atoi(images) : 400;
    uint64_t found_more = 0;
    (void)state;
    seed = given != NULL ? strtoull(given, NULL, 10) : 20240808;
    print_message("seed %llu\n", (unsigned long long)seed);
    memset(&disk, 0, sizeof(disk));
    bench_make(&live);
    live_and_record(&live, io);
    bench_make(&b);
    bench_open(&b, TB_JOURNAL_IO_PLAIN); /* makes the directory */
    bench_close(&b);
    for (unsigned n = 0; n < count; n++) {
        unsigned moment =
            n < disk.now ? disk.now - n : 1 + chance(disk.now); /* the last ones all */
        uint64_t this_seed = seed;
        clear(&b);
        make_image(&b, moment, n % 2 == 0);
        bench_open(&b, TB_JOURNAL_IO_PLAIN);
        tb_seq found = tb_journal_writer_last(b.writer, EPOCH), durable = disk.durable[moment];
        if (durable == 0 && disk.now == moment)
            durable = 0;
        if (found < durable)
            fail_msg("moment %u of %u, seed %llu: %llu were durable, %llu are there", moment,
                     disk.now, (unsigned long long)this_seed, (unsigned long long)durable,
                     (unsigned long long)found);
        found_more += found > durable;
        expect_instruments(b.path, found, moment, this_seed);
        assert_int_equal(tb_journal_writer_begin(b.writer, EPOCH, found + 1), 0);
        bench_append(&b, found + 100, 64);
        bench_finish(&b);
        bench_close(&b);
        tb_seq there = bench_read(b.path, EPOCH, 1);
        if (there != found + 100)
            fail_msg("moment %u of %u, seed %llu: %llu were found, then %llu can be read", moment,
                     disk.now, (unsigned long long)this_seed, (unsigned long long)found,
                     (unsigned long long)there);
    }
    print_message("%u disks of %u moments, %u requests; %llu held more than was promised\n", count,
                  disk.now, disk.events, (unsigned long long)found_more);
    for (unsigned i = 0; i < disk.events; i++)
        free(disk.event[i].bytes);
    bench_remove(&b);
    bench_remove(&live);
}

static void a_power_failure_takes_nothing_that_was_durable(void **state)
{
    power(state, TB_JOURNAL_IO_AUTO);
}

static void nor_without_io_uring(void **state)
{
    power(state, TB_JOURNAL_IO_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_failure_takes_nothing_that_was_durable),
        cmocka_unit_test(nor_without_io_uring),
        cmocka_unit_test(no_record_is_written_before_its_instrument),
        cmocka_unit_test(nothing_is_written_while_the_first_pages_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
