/*
 * The journal on this disk, beside fio on the same disk in the same run, in turn:
 *
 *   write        records flat out through the journal's writer, until all is durable; fio: sequential O_DIRECT
 *                writes by io_uring, same block size and depth, as many syncs
 *   cpu          processor time of that write, all threads, per million records
 *   read         catching up: every record through tb_journal_read; from the page cache, and after it was
 *                dropped; fio: sequential reads, likewise
 *   durable      from publishing to durable, for every record, with tickbus-journal running, per policy
 *   publish      what a publish costs the producer, with tickbus-journal running and without
 *
 * Figures depend on the disk first of all: compare within one run only.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "bench/harness.h"
#include "bus/journal_write.h"

#define BLOCK ((int64_t)256 << 10) /* the writer's buffers */
#define READ_BLOCK "1m"
#define DEPTH "16"
#define BATCH 512
#define LIVE_BURST 50 /* records published at once, each millisecond */

struct options {
    struct bench_options common;
    int64_t bytes, sync_bytes, seconds;
    const char *directory;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"bytes", TB_OPTION_BYTES, O(bytes), "256MiB", 16 << 20, INT64_C(1) << 34,
     .help = "written and read in each run"},
    {"sync_bytes", TB_OPTION_BYTES, O(sync_bytes), "1MiB", 1 << 18, INT64_C(1) << 30,
     .help = "a flush begins with so much, if none is under way"},
    {"seconds", TB_OPTION_INT, O(seconds), "3", 1, 60, .help = "of live publishing in each run"},
    {"directory", TB_OPTION_STRING, O(directory), "/tmp", .help = "on the disk that is measured"},
};

static const char usage[] = "bench_journal [options]: the journal beside fio on the same disk\n";

static struct options o;
static struct tb_error err;
static char base[300];    /* on the disk */
static char bus_dir[400]; /* once it was made */
static uint64_t records;
static uint64_t syncs; /* of the last write of the journal */
static bool journal_there, fio_there;

/* ---- files and programs ---- */

static void remove_tree(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0); /* what stays is in a directory of our own */
}

/* A number of fio's terse output; 0: fio is not there or failed. */
static double fio(const char *kind, const char *const *more, int field)
{
    const char *arguments[32] = {"fio", "--name=x", "--output-format=terse", "--terse-version=3",
                                 kind};
    char file[400], size[64], line[8192], *at = line, *word = NULL;
    int count = 5, pipes[2], status;
    snprintf(file, sizeof(file), "--filename=%s/fio", base);
    snprintf(size, sizeof(size), "--size=%" PRId64, o.bytes);
    arguments[count++] = file;
    arguments[count++] = size;
    while (*more != NULL)
        arguments[count++] = *more++;
    if (pipe(pipes) != 0)
        bench_fail("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pipes[1], STDOUT_FILENO);
        (void)close(pipes[0]);
        execvp("fio", (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    (void)close(pipes[1]);
    size_t used = 0;
    ssize_t n;
    while (used + 1 < sizeof(line) &&
           (n = read(pipes[0], line + used, sizeof(line) - 1 - used)) > 0)
        used += (size_t)n;
    line[used] = 0;
    (void)close(pipes[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 0;
    for (int i = 0; i < field && (word = strsep(&at, ";")) != NULL; i++)
        continue;
    return word == NULL ? 0 : strtod(word, NULL);
}

/* ---- writing flat out ---- */

static struct tb_record batch[BATCH];

static void make_batch(void)
{
    uint64_t x = 1;
    for (size_t k = 0; k < BATCH; k++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
        batch[k] = (struct tb_record){.ts_event = INT64_C(1723161255) * TB_NS_PER_S + (tb_ns)k,
                                      .ts_recv = INT64_C(1723161255) * TB_NS_PER_S + (tb_ns)k,
                                      .instrument = 1,
                                      .type = TB_TRADE,
                                      .flags = TB_F_LAST};
        batch[k].trade = (struct tb_trade){.price = 6100000 + (int64_t)(x >> 48),
                                           .size = 1 + (int64_t)(x >> 40 & 0xFFFF),
                                           .trade_id = k,
                                           .side = TB_BUY,
                                           .action = TB_TRADED,
                                           .count = 1};
    }
}

static double cpu_seconds(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void turn(struct tb_journal_disk *disk, struct tb_journal_writer *w, tb_ns wait)
{
    tb_journal_writer_turn(w, tb_clock_mono());
    if (tb_journal_disk_turn(disk, wait) < 0 || tb_journal_writer_trouble(w) != NULL)
        bench_fail("the journal can not be written");
}

/* The whole journal, from the first record to durable and ended. Returns seconds. */
static double write_journal(double *out_cpu, bool *out_direct, const char **out_fallback)
{
    static const struct tb_instrument entry = {
        .venue = "binance", .symbol = "BTC/USDT", .price_exp = -2, .size_exp = -5, .market = 1};
    struct tb_journal_disk *disk;
    struct tb_journal_writer *w;
    const struct tb_journal_write_options wo = {.journal = base,
                                                .bus = "b",
                                                .stream = "s",
                                                .segment_bytes = (uint64_t)o.bytes + (64 << 20),
                                                .sync_bytes = (uint64_t)o.sync_bytes,
                                                .sync_every = TB_NS_PER_S,
                                                .direct = true};
    if (tb_journal_disk_open(1, TB_JOURNAL_MEMORY, TB_JOURNAL_IO_AUTO, &disk, out_fallback, &err) !=
            0 ||
        tb_journal_writer_open(disk, &wo, &w, &err) != 0)
        bench_fail("cannot open the journal: %s", err.text);
    tb_ns begun = tb_clock_mono();
    double cpu = cpu_seconds();
    tb_ns wall = tb_clock_wall();
    if (tb_journal_writer_begin(w, 1, 1) != 0)
        bench_fail("cannot begin");
    tb_journal_writer_instrument(w, &entry);
    for (uint64_t seq = 1; seq <= records;) {
        size_t count = records - seq + 1 < BATCH ? (size_t)(records - seq + 1) : BATCH, done = 0;
        for (size_t k = 0; k < count; k++)
            batch[k].seq = seq + k;
        while (done < count) {
            size_t n = tb_journal_writer_append(w, batch + done, count - done, wall);
            done += n;
            turn(disk, w, n == 0 ? 10 * TB_NS_PER_MS : 0);
        }
        seq += count;
    }
    *out_direct = tb_journal_writer_is_direct(w);
    while (tb_journal_writer_finish(w) == -EAGAIN)
        turn(disk, w, 10 * TB_NS_PER_MS);
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    *out_cpu = cpu_seconds() - cpu;
    syncs = tb_journal_writer_counts(w)->syncs;
    tb_journal_writer_close(w);
    tb_journal_disk_close(disk);
    return seconds;
}

/* ---- reading back ---- */

static int drop_cache(void *context, const struct tb_journal_segment *s)
{
    char path[800];
    (void)context;
    snprintf(path, sizeof(path), "%s/b/s/%s", base, s->file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        bench_fail("cannot drop the cache");
    (void)close(fd);
    return 0;
}

static double read_journal(bool cold)
{
    static struct tb_record out[BATCH];
    struct tb_journal_damage damage;
    struct tb_journal *j;
    char path[400];
    uint64_t epoch, read = 0;
    snprintf(path, sizeof(path), "%s/b/s", base);
    if (tb_journal_open(path, &j, &err) != 0)
        bench_fail("cannot open the journal: %s", err.text);
    if (cold)
        (void)tb_journal_list(j, false, drop_cache, NULL, &err);
    tb_ns begun = tb_clock_mono();
    tb_journal_seek_oldest(j);
    for (long n; (n = tb_journal_read(j, out, BATCH, &epoch, &damage)) != 0; read += (uint64_t)n)
        if (n < 0 || out[0].seq != read + 1)
            bench_fail("what was written is not what is read");
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    tb_journal_close(j);
    if (read != records)
        bench_fail("records are missing");
    return seconds;
}

/* ---- the disk's cases ---- */

static void journal_write(double *out_seconds, double *out_cpu)
{
    static bool said;
    const char *fallback = NULL;
    bool direct;
    char path[400];
    snprintf(path, sizeof(path), "%s/b", base);
    remove_tree(path);
    *out_seconds = write_journal(out_cpu, &direct, &fallback);
    journal_there = true;
    if (!said && (!direct || fallback != NULL))
        fprintf(stderr, "bench_journal: %s%s%s\n", direct ? "" : "buffered: no O_DIRECT here; ",
                fallback != NULL ? "no io_uring: " : "", fallback != NULL ? fallback : "");
    said = true;
}

static int journal_write_run(struct bench *b, const struct bench_case *c)
{
    double seconds, cpu;
    journal_write(&seconds, &cpu);
    bench_add(b, c->measure, BENCH_HIGHER, "MB/s", (double)o.bytes / seconds / 1e6);
    bench_add(b, "write, processor time", BENCH_LOWER, "ms/M records", cpu / (double)records * 1e9);
    return 0;
}

/* In KiB/s, or 0. A new file, reserved like a segment; as many syncs as the journal did with these bytes. */
static double fio_write(void)
{
    double seconds, cpu;
    char file[400], block[32], sync[64];
    if (syncs == 0)
        journal_write(&seconds, &cpu);
    const uint64_t blocks = (uint64_t)(o.bytes / BLOCK), each = (blocks + syncs / 2) / syncs;
    snprintf(file, sizeof(file), "%s/fio", base);
    snprintf(block, sizeof(block), "--bs=%" PRId64, BLOCK);
    snprintf(sync, sizeof(sync), "--fdatasync=%" PRIu64, each > 0 ? each : 1);
    const char *const how[] = {block,
                               "--ioengine=io_uring",
                               "--direct=1",
                               "--iodepth=" DEPTH,
                               "--fallocate=posix",
                               "--end_fsync=1",
                               "--overwrite=0",
                               sync,
                               NULL};
    (void)unlink(file);
    double kib = fio("--rw=write", how, 48); /* field 48: write bandwidth */
    fio_there = kib > 0;
    return kib;
}

static int fio_absent(struct bench *b, const struct bench_case *c)
{
    bench_absent(b, c->subject, "it is not installed, or fails here");
    return -ENOTSUP;
}

static int fio_write_run(struct bench *b, const struct bench_case *c)
{
    double kib = fio_write();
    if (kib == 0)
        return fio_absent(b, c);
    bench_add(b, c->measure, BENCH_HIGHER, "MB/s", kib * 1024 / 1e6);
    return 0;
}

/* The context of a read: NULL: from the disk. */
static int journal_read_run(struct bench *b, const struct bench_case *c)
{
    double seconds, cpu;
    if (!journal_there)
        journal_write(&seconds, &cpu);
    if (c->context != NULL)
        (void)read_journal(false); /* so that all of it is cached */
    seconds = read_journal(c->context == NULL);
    bench_add(b, c->measure, BENCH_HIGHER, "MB/s", (double)o.bytes / seconds / 1e6);
    if (c->context != NULL)
        bench_add(b, "catch-up, page cache", BENCH_HIGHER, "M records/s",
                  (double)records / seconds / 1e6);
    return 0;
}

static int fio_read_run(struct bench *b, const struct bench_case *c)
{
    const char *const how[] = {"--bs=" READ_BLOCK, "--ioengine=psync",
                               c->context == NULL ? "--invalidate=1" : "--invalidate=0", NULL};
    if (!fio_there && fio_write() == 0)
        return fio_absent(b, c);
    if (c->context != NULL)
        (void)fio("--rw=read", how, 7);
    double kib = fio("--rw=read", how, 7); /* field 7: read bandwidth */
    if (kib == 0)
        return fio_absent(b, c);
    bench_add(b, c->measure, BENCH_HIGHER, "MB/s", kib * 1024 / 1e6);
    return 0;
}

/* ---- live: tickbus-journal beside a producer ---- */

static pid_t start_journal(const char *bus_base, const char *every)
{
    char self[400], target[400], sync_every[64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 32);
    if (n <= 0)
        return 0;
    self[n] = 0;
    strcpy(strrchr(self, '/'), "/tickbus-journal");
    if (access(self, X_OK) != 0)
        return 0;
    snprintf(target, sizeof(target), "%s/live", base);
    snprintf(sync_every, sizeof(sync_every), "--sync-every=%s", every);
    pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "--directory", bus_base, "--bus", "b", "--streams", "s", "--journal",
              target, "--log-level=error", sync_every, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void stop_journal(pid_t pid)
{
    char path[400];
    if (pid > 0) {
        (void)kill(pid, SIGTERM);
        (void)waitpid(pid, NULL, 0);
    }
    snprintf(path, sizeof(path), "%s/live", base);
    remove_tree(path);
}

/* When each record was published, and which is durable: written by one thread, read by the other. */
struct live {
    tb_ns *published;
    _Atomic(uint64_t) last;
    _Atomic(bool) over;
    double *latency; /* us; of every record */
    uint64_t durable;
    uint64_t count;
};

static uint64_t durable_now(void)
{
    struct tb_cursor_info info;
    struct tb_error none;
    return tb_cursor_inspect(bus_dir, "s.journal", &info, &none) == 0 ? info.durable : 0;
}

static void *watch(void *context)
{
    struct live *l = context;
    const struct timespec pause = {.tv_nsec = 50000};
    tb_ns deadline = INT64_MAX;
    while (l->durable < l->count && tb_clock_mono() < deadline) {
        uint64_t durable = durable_now();
        tb_ns now = tb_clock_mono();
        uint64_t last = atomic_load_explicit(&l->last, memory_order_acquire);
        for (; l->durable < durable && l->durable < last; l->durable++)
            l->latency[l->durable] = (double)(now - l->published[l->durable]) / 1e3;
        if (deadline == INT64_MAX && atomic_load_explicit(&l->over, memory_order_acquire))
            deadline = now + 10 * TB_NS_PER_S;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Publish for some seconds; cost: ns of each publish. */
static void publish_live(struct live *l, struct tb_writer *w, double *cost)
{
    const double tick = machine_ns_per_tick();
    tb_ns due = tb_clock_mono();
    for (uint64_t k = 0; k < l->count;) {
        for (int i = 0; i < LIVE_BURST && k < l->count; i++, k++) {
            struct tb_record r = batch[k % BATCH];
            l->published[k] = tb_clock_mono();
            uint64_t before = machine_ticks_late();
            (void)tb_writer_publish(w, &r); /* free: never waits */
            cost[k] = (double)(machine_ticks_late() - before) * tick;
        }
        tb_writer_wake(w);
        atomic_store_explicit(&l->last, k, memory_order_release);
        due += TB_NS_PER_MS;
        tb_ns ahead = due - tb_clock_mono();
        const struct timespec pause = {.tv_nsec = (long)(ahead > 0 ? ahead : 0)};
        (void)nanosleep(&pause, NULL);
        tb_writer_housekeep(w, tb_clock_wall());
    }
    atomic_store_explicit(&l->over, true, memory_order_release);
}

struct policy {
    const char *every; /* NULL: no journal */
    const char *durable[4], *publish[4];
};

static void attach_wait(void)
{
    struct tb_cursor_info info;
    const struct timespec pause = {.tv_nsec = 10 * TB_NS_PER_MS};
    for (tb_ns end = tb_clock_mono() + 10 * TB_NS_PER_S;
         tb_cursor_inspect(bus_dir, "s.journal", &info, &err) != 0;) {
        if (tb_clock_mono() > end)
            bench_fail("tickbus-journal does not attach");
        (void)nanosleep(&pause, NULL);
    }
}

static void add_quantiles(struct bench *b, const char *const name[4], const char *unit,
                          double *values, size_t count)
{
    struct bench_quantiles q = bench_quantiles_of(values, count);
    const double value[4] = {q.p50, q.p90, q.p99, q.p999};
    for (int i = 0; i < 4; i++)
        bench_add(b, name[i], BENCH_LOWER, unit, value[i]);
}

static int live_run(struct bench *b, const struct bench_case *c)
{
    const struct policy *p = c->context;
    struct live l = {.count = (uint64_t)((double)o.seconds * 1000 * b->scale) * LIVE_BURST};
    struct tb_writer w;
    struct tb_writer_options wo = {.new_epoch = true};
    pthread_t thread;
    pid_t pid = 0;
    if (tb_bus_dir(bench_directory(b), "b", bus_dir, sizeof(bus_dir), &err) != 0 ||
        tb_writer_open(bus_dir, "s", &wo, &w, &err) != 0)
        bench_fail("cannot open the ring: %s", err.text);
    tb_writer_housekeep(&w, tb_clock_wall());
    l.published = calloc(l.count, sizeof(*l.published));
    l.latency = calloc(l.count, sizeof(*l.latency));
    double *cost = calloc(l.count, sizeof(*cost));
    if (l.published == NULL || l.latency == NULL || cost == NULL)
        bench_fail("no memory");
    if (p->every != NULL && (pid = start_journal(bench_directory(b), p->every)) == 0)
        bench_fail("there is no tickbus-journal beside this program");
    if (pid > 0)
        attach_wait();
    if (pid > 0 && pthread_create(&thread, NULL, watch, &l) != 0)
        bench_fail("no thread");
    publish_live(&l, &w, cost);
    if (pid > 0)
        (void)pthread_join(thread, NULL);
    stop_journal(pid);
    if (pid > 0 && l.durable < l.count)
        bench_fail("not all that was published became durable");
    add_quantiles(b, p->publish, "ns", cost, l.count);
    if (pid > 0)
        add_quantiles(b, p->durable, "us", l.latency, l.count);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    free(l.published);
    free(l.latency);
    free(cost);
    return 0;
}

#define QUANTILES(of)                                                                              \
    {                                                                                              \
        of ", p50", of ", p90", of ", p99", of ", p99.9"                                           \
    }

static const struct policy policies[] = {
    {NULL, {NULL}, QUANTILES("publish")},
    {"1ms", QUANTILES("durable, sync every 1 ms"), QUANTILES("publish")},
    {"10ms", QUANTILES("durable, sync every 10 ms"), QUANTILES("publish")},
    {"100ms", QUANTILES("durable, sync every 100 ms"), QUANTILES("publish")},
};

static const struct bench_case cases[] = {
    {"write", "journal", BENCH_OURS, 1, journal_write_run, NULL},
    {"write", "fio", BENCH_LIMIT, 1, fio_write_run, NULL},
    {"read, disk", "journal", BENCH_OURS, 1, journal_read_run, NULL},
    {"read, disk", "fio", BENCH_LIMIT, 1, fio_read_run, NULL},
    {"read, page cache", "journal", BENCH_OURS, 1, journal_read_run, &o},
    {"read, page cache", "fio", BENCH_LIMIT, 1, fio_read_run, &o},
    {"publish", "no journal", BENCH_LIMIT, 1, live_run, &policies[0]},
    {"publish", "journal, 1 ms", BENCH_OURS, 1, live_run, &policies[1]},
    {"publish", "journal, 10 ms", BENCH_OURS, 1, live_run, &policies[2]},
    {"publish", "journal, 100 ms", BENCH_OURS, 1, live_run, &policies[3]},
};

static void clean_up(void)
{
    if (base[0] != 0)
        remove_tree(base);
    if (bus_dir[0] != 0)
        remove_tree(bus_dir);
}

int main(int argc, char **argv)
{
    static struct bench b;
    bench_begin(&b, "journal", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    o.bytes = (int64_t)((double)o.bytes * b.scale) / BLOCK * BLOCK;
    records = (uint64_t)o.bytes / TB_JOURNAL_PAGE * TB_JOURNAL_RECORDS;
    snprintf(base, sizeof(base), "%.200s/tickbus-bench-%d", o.directory, (int)getpid());
    if (mkdir(base, 0750) != 0) {
        base[0] = 0;
        bench_fail("cannot make a directory in %s: %s", o.directory, strerror(errno));
    }
    bench_at_end(clean_up);
    make_batch();
    bench_note(
        &b, "%" PRId64 " MiB a run, flushes from %" PRId64 " KiB on, %d records/s live; disk of %s",
        o.bytes >> 20, o.sync_bytes >> 10, LIVE_BURST * 1000, o.directory);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
