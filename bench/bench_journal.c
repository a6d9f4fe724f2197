/*
 * The journal on this disk, beside fio on the same disk in the same run, in turn:
 *
 *   write        records flat out through the journal's writer, until all is durable; fio: sequential O_DIRECT
 *                writes by io_uring, same block size and depth, the same fdatasync after the same bytes
 *   cpu          processor time of that write, all threads, per million records
 *   read         catching up: every record through tb_journal_read; from the page cache, and after it was
 *                dropped; fio: sequential reads of the same block size, likewise
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

#include "bench/machine.h"
#include "bus/journal_write.h"

#define PROGRAM "bench_journal"
#define ROUNDS_MAX 101
#define BLOCK "256k" /* the writer's buffers */
#define READ_BLOCK "1m"
#define DEPTH "16"
#define BATCH 512
#define PERCENTILES 5
#define LIVE_BURST 50 /* records published at once, each millisecond */

struct bench_options {
    int64_t bytes, sync_bytes, rounds, seconds;
    const char *directory;
    bool quick, json;
};

#define O(field) offsetof(struct bench_options, field)

static const struct tb_option options[] = {
    {"bytes", TB_OPTION_BYTES, O(bytes), "256MiB", 1 << 20, INT64_C(1) << 34,
     .help = "written and read in each run"},
    {"sync_bytes", TB_OPTION_BYTES, O(sync_bytes), "1MiB", 1 << 18, INT64_C(1) << 30,
     .help = "made durable at once while writing flat out"},
    {"rounds", TB_OPTION_INT, O(rounds), "5", 1, ROUNDS_MAX, .help = "how often each is measured"},
    {"seconds", TB_OPTION_INT, O(seconds), "3", 1, 60,
     .help = "of live publishing, per policy and round"},
    {"directory", TB_OPTION_STRING, O(directory), "/tmp", .help = "on the disk that is measured"},
    {"quick", TB_OPTION_BOOL, O(quick), .help = "does it run, not how fast"},
    {"json", TB_OPTION_BOOL, O(json), .help = "one JSON object a line"},
};

static const char usage[] = "tickbus bench journal: the journal beside fio on the same disk\n";

static struct bench_options o;
static struct tb_error err;
static char base[300], bus_base[300];

static __attribute__((noreturn)) void fail(const char *what)
{
    fprintf(stderr, PROGRAM ": %s %s\n", what, err.text);
    exit(1);
}

/* ---- figures ---- */

struct figures {
    const char *measure, *subject, *unit;
    double value[ROUNDS_MAX];
    size_t n;
};

static void add(struct figures *f, double value)
{
    if (f->n < ROUNDS_MAX)
        f->value[f->n++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns the median; beside: the median that the ratio is to, 0: none. */
static double report(struct figures *f, double beside)
{
    if (f->n == 0)
        return 0;
    qsort(f->value, f->n, sizeof(*f->value), by_value);
    double median = f->value[f->n / 2];
    char ratio[16] = "-";
    if (beside > 0)
        snprintf(ratio, sizeof(ratio), "%.2f", median / beside);
    if (o.json)
        printf(
            "{\"suite\":\"journal\",\"kind\":\"summary\",\"measure\":\"%s\",\"subject\":\"%s\","
            "\"unit\":\"%s\",\"n\":%zu,\"min\":%.3f,\"median\":%.3f,\"max\":%.3f,\"ratio\":%s}\n",
            f->measure, f->subject, f->unit, f->n, f->value[0], median, f->value[f->n - 1],
            beside > 0 ? ratio : "null");
    else
        printf("| %s | %s | %zu | %.1f | %.1f | %.1f | %s | %s |\n", f->measure, f->subject, f->n,
               f->value[0], median, f->value[f->n - 1], f->unit, ratio);
    (void)fflush(stdout);
    return median;
}

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
        fail("no pipe");
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
        fail("the journal can not be written");
}

/* The whole journal, from the first record to durable and ended. Returns seconds. */
static double write_journal(uint64_t records, double *out_cpu, bool *out_direct,
                            const char **out_fallback)
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
    if (tb_journal_disk_open(1, TB_JOURNAL_MEMORY, TB_JOURNAL_IO_AUTO, &disk, out_fallback, &err) != 0 ||
        tb_journal_writer_open(disk, &wo, &w, &err) != 0)
        fail("cannot open the journal:");
    tb_ns begun = tb_clock_mono();
    double cpu = cpu_seconds();
    tb_ns wall = tb_clock_wall();
    if (tb_journal_writer_begin(w, 1, 1) != 0)
        fail("cannot begin");
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
        fail("cannot drop the cache");
    (void)close(fd);
    return 0;
}

static double read_journal(uint64_t records, bool cold)
{
    static struct tb_record out[BATCH];
    struct tb_journal_damage damage;
    struct tb_journal *j;
    char path[400];
    uint64_t epoch, read = 0;
    snprintf(path, sizeof(path), "%s/b/s", base);
    if (tb_journal_open(path, &j, &err) != 0)
        fail("cannot open the journal:");
    if (cold)
        (void)tb_journal_list(j, false, drop_cache, NULL, &err);
    tb_ns begun = tb_clock_mono();
    tb_journal_seek_oldest(j);
    for (long n; (n = tb_journal_read(j, out, BATCH, &epoch, &damage)) != 0; read += (uint64_t)n)
        if (n < 0 || out[0].seq != read + 1)
            fail("what was written is not what is read");
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    tb_journal_close(j);
    if (read != records)
        fail("records are missing");
    return seconds;
}

static void bench_disk(void)
{
    static struct figures fio_write = {"write", "fio", "MB/s", {0}, 0},
                          write = {"write", "journal", "MB/s", {0}, 0},
                          cpu = {"cpu of write", "journal", "ms per M records", {0}, 0},
                          warm = {"read, page cache", "journal", "MB/s", {0}, 0},
                          fio_warm = {"read, page cache", "fio", "MB/s", {0}, 0},
                          cold = {"read, disk", "journal", "MB/s", {0}, 0},
                          fio_cold = {"read, disk", "fio", "MB/s", {0}, 0},
                          rate = {"catch-up, page cache", "journal", "M records/s", {0}, 0};
    char sync[64];
    snprintf(sync, sizeof(sync), "--fdatasync=%" PRId64, o.sync_bytes / (256 << 10));
    const char *const writing[] = {"--bs=" BLOCK,
                                   "--ioengine=io_uring",
                                   "--direct=1",
                                   "--iodepth=" DEPTH,
                                   "--fallocate=posix",
                                   "--end_fsync=1",
                                   "--overwrite=0",
                                   sync,
                                   NULL};
    const char *const reading[] = {"--bs=" READ_BLOCK, "--ioengine=psync", "--invalidate=0", NULL};
    const char *const reading_cold[] = {"--bs=" READ_BLOCK, "--ioengine=psync", "--invalidate=1",
                                        NULL};
    const uint64_t records = (uint64_t)o.bytes / TB_JOURNAL_PAGE * TB_JOURNAL_RECORDS;
    const char *fallback = NULL;
    bool direct = false;
    char fio_file[400];
    snprintf(fio_file, sizeof(fio_file), "%s/fio", base);
    for (int64_t k = 0; k < o.rounds; k++) {
        for (int side = 0; side < 2; side++) /* the first of a pair is not always the same */
            if ((side ^ (int)(k & 1)) == 0) {
                (void)unlink(fio_file);
                double kib = fio("--rw=write", writing, 48); /* field 48: write bandwidth, KiB/s */
                if (kib > 0)
                    add(&fio_write, kib * 1024 / 1e6);
            } else {
                double used;
                char path[400];
                snprintf(path, sizeof(path), "%s/b", base);
                remove_tree(path);
                double seconds = write_journal(records, &used, &direct, &fallback);
                add(&write, (double)o.bytes / seconds / 1e6);
                add(&cpu, used / (double)records * 1e9);
            }
        add(&cold, (double)o.bytes / read_journal(records, true) / 1e6);
        double kib = fio("--rw=read", reading_cold, 7); /* field 7: read bandwidth */
        if (kib > 0)
            add(&fio_cold, kib * 1024 / 1e6);
        double seconds = read_journal(records, false);
        add(&warm, (double)o.bytes / seconds / 1e6);
        add(&rate, (double)records / seconds / 1e6);
        (void)fio("--rw=read", reading, 7); /* so that all of it is cached */
        if ((kib = fio("--rw=read", reading, 7)) > 0)
            add(&fio_warm, kib * 1024 / 1e6);
    }
    if (!o.json)
        printf("(%s, %s%s%s)\n", direct ? "O_DIRECT" : "buffered: no O_DIRECT here",
               fallback == NULL ? "io_uring" : "no io_uring: ", fallback == NULL ? "" : fallback,
               fio_write.n == 0 ? "; fio is not installed, so nothing stands beside the journal"
                                : "");
    (void)report(&write, report(&fio_write, 0));
    (void)report(&cpu, 0);
    (void)report(&cold, report(&fio_cold, 0));
    (void)report(&warm, report(&fio_warm, 0));
    (void)report(&rate, 0);
}

/* ---- live: tickbus-journal beside a producer ---- */

static pid_t start_journal(const char *every, const char *bytes)
{
    char self[400], target[400], sync_every[64], sync_bytes[64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 32);
    if (n <= 0)
        return 0;
    self[n] = 0;
    strcpy(strrchr(self, '/'), "/tickbus-journal");
    if (access(self, X_OK) != 0)
        return 0;
    snprintf(target, sizeof(target), "%s/live", base);
    snprintf(sync_every, sizeof(sync_every), "--sync-every=%s", every);
    snprintf(sync_bytes, sizeof(sync_bytes), "--sync-bytes=%s", bytes);
    pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "--directory", bus_base, "--bus", "b", "--streams", "s", "--journal",
              target, "--log-level=error", sync_every, sync_bytes, (char *)NULL);
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
    char bus_dir[400];
    tb_ns *published;
    _Atomic(uint64_t) last;
    _Atomic(bool) over;
    double *latency; /* ms; of every record */
    uint64_t durable;
    uint64_t count;
};

static uint64_t durable_now(const struct live *l)
{
    struct tb_cursor_info info;
    struct tb_error none;
    return tb_cursor_inspect(l->bus_dir, "s.journal", &info, &none) == 0 ? info.durable : 0;
}

static void *watch(void *context)
{
    struct live *l = context;
    const struct timespec pause = {.tv_nsec = 50000};
    tb_ns deadline = INT64_MAX;
    while (l->durable < l->count && tb_clock_mono() < deadline) {
        uint64_t durable = durable_now(l);
        tb_ns now = tb_clock_mono();
        uint64_t last = atomic_load_explicit(&l->last, memory_order_acquire);
        for (; l->durable < durable && l->durable < last; l->durable++)
            l->latency[l->durable] = (double)(now - l->published[l->durable]) / 1e6;
        if (deadline == INT64_MAX && atomic_load_explicit(&l->over, memory_order_acquire))
            deadline = now + 10 * TB_NS_PER_S;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static double percentile(const double *sorted, size_t n, double p)
{
    return n == 0 ? 0 : sorted[(size_t)(p * (double)(n - 1))];
}

/* Publish for some seconds; cost: ns of each publish, sorted at the end. */
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
    qsort(cost, l->count, sizeof(*cost), by_value);
}

/* One round of one policy (every NULL: no journal). False: there is no tickbus-journal. */
static bool live_round(const char *every, const char *bytes, double out_durable[PERCENTILES],
                       double out_cost[PERCENTILES])
{
    static const double ps[PERCENTILES] = {0.5, 0.9, 0.99, 0.999, 1};
    struct live l = {.count = (uint64_t)o.seconds * 1000 * LIVE_BURST};
    struct tb_writer w;
    struct tb_writer_options wo = {.new_epoch = true};
    pthread_t thread;
    pid_t pid = 0;
    if (tb_bus_dir(bus_base, "b", l.bus_dir, sizeof(l.bus_dir), &err) != 0 ||
        tb_writer_open(l.bus_dir, "s", &wo, &w, &err) != 0)
        fail("cannot open the ring:");
    tb_writer_housekeep(&w, tb_clock_wall());
    l.published = calloc(l.count, sizeof(*l.published));
    l.latency = calloc(l.count, sizeof(*l.latency));
    double *cost = calloc(l.count, sizeof(*cost));
    if (l.published == NULL || l.latency == NULL || cost == NULL)
        fail("no memory");
    if (every != NULL && (pid = start_journal(every, bytes)) == 0)
        return false;
    struct tb_cursor_info info;
    for (tb_ns end = tb_clock_mono() + 10 * TB_NS_PER_S;
         pid > 0 && tb_cursor_inspect(l.bus_dir, "s.journal", &info, &err) != 0;) {
        const struct timespec pause = {.tv_nsec = 10 * TB_NS_PER_MS};
        if (tb_clock_mono() > end)
            fail("tickbus-journal does not attach");
        (void)nanosleep(&pause, NULL);
    }
    if (pid > 0 && pthread_create(&thread, NULL, watch, &l) != 0)
        fail("no thread");
    publish_live(&l, &w, cost);
    if (pid > 0)
        (void)pthread_join(thread, NULL);
    stop_journal(pid);
    if (pid > 0 && l.durable < l.count)
        fail("not all that was published became durable");
    qsort(l.latency, l.count, sizeof(*l.latency), by_value);
    for (int i = 0; i < PERCENTILES; i++) {
        out_durable[i] = percentile(l.latency, l.count, ps[i]);
        out_cost[i] = percentile(cost, l.count, ps[i]);
    }
    tb_writer_close(&w, TB_STREAM_STOPPED);
    free(l.published);
    free(l.latency);
    free(cost);
    return true;
}

static void bench_live(void)
{
    static const struct {
        const char *every, *bytes, *name;
    } policies[] = {
        {NULL, NULL, "no journal"},
        {"1ms", "1MiB", "journal, 1 ms"},
        {"10ms", "1MiB", "journal, 10 ms"},
        {"100ms", "1MiB", "journal, 100 ms"},
    };
    static const char *const durable_names[] = {"durable p50", "durable p90", "durable p99",
                                                "durable p99.9", "durable max"};
    static const char *const cost_names[] = {"publish p50", "publish p90", "publish p99",
                                             "publish p99.9", "publish max"};
    static struct figures durable[TB_COUNT(policies)][PERCENTILES],
        cost[TB_COUNT(policies)][PERCENTILES];
    for (int64_t k = 0; k < o.rounds; k++)
        for (size_t i = 0; i < TB_COUNT(policies); i++) {
            size_t p = (i + (size_t)k) % TB_COUNT(policies);
            double d[PERCENTILES], c[PERCENTILES];
            if (!live_round(policies[p].every, policies[p].bytes, d, c)) {
                fprintf(stderr, PROGRAM
                        ": there is no tickbus-journal beside this program: no live figures\n");
                return;
            }
            for (int q = 0; q < PERCENTILES; q++) {
                add(&durable[p][q], d[q]);
                add(&cost[p][q], c[q]);
            }
        }
    for (size_t p = 1; p < TB_COUNT(policies); p++)
        for (int q = 0; q < PERCENTILES; q++) {
            durable[p][q].measure = durable_names[q];
            durable[p][q].subject = policies[p].name;
            durable[p][q].unit = "ms";
            (void)report(&durable[p][q], 0);
        }
    for (int q = 0; q < PERCENTILES; q++)
        for (size_t p = 0, without = 0; p < TB_COUNT(policies); p++) {
            static double base_of[PERCENTILES];
            cost[p][q].measure = cost_names[q];
            cost[p][q].subject = policies[p].name;
            cost[p][q].unit = "ns";
            double median = report(&cost[p][q], p == without ? 0 : base_of[q]);
            if (p == without)
                base_of[q] = median;
        }
}

int main(int argc, char **argv)
{
    struct tb_config_memory memory = {0};
    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands != 0)
        return operands == -ECANCELED ? 0 : 64;
    if (o.quick) {
        o.bytes = 16 << 20;
        o.seconds = o.rounds = 1;
    }
    snprintf(base, sizeof(base), "%.200s/tickbus-bench-%d", o.directory, (int)getpid());
    snprintf(bus_base, sizeof(bus_base), "/dev/shm/tickbus-bench-%d", (int)getpid());
    if (mkdir(base, 0750) != 0 || mkdir(bus_base, 0750) != 0)
        fail("cannot make a directory of its own");
    make_batch();
    if (!o.json)
        printf("tickbus %s, %" PRId64 " MiB a run, fdatasync every %" PRId64
               " KiB, %d records/s live, in %s\n\n"
               "| measure | subject | n | min | median | max | unit | ratio |\n"
               "| --- | --- | --: | --: | --: | --: | --- | --: |\n",
               tb_version(), o.bytes >> 20, o.sync_bytes >> 10, LIVE_BURST * 1000, o.directory);
    bench_disk();
    bench_live();
    remove_tree(base);
    remove_tree(bus_base);
    tb_config_release(&memory);
    return 0;
}
