/* The machine by itself: what every other suite's figures are to be seen against. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/message.h"
#include "bench/physical.h"
#include "bench/server.h"

struct options {
    struct bench_options common;
    const char *directory;
};

static struct options o;

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"directory", TB_OPTION_STRING, offsetof(struct options, directory), "/tmp",
     .help = "on the disk that fio measures"},
};

static const char usage[] =
    "tickbus bench machine [options]: what processors, memory, kernel and disk do by themselves\n";

static int round_trip(struct bench *b, const struct bench_case *c)
{
    const int *lines = c->context;
    double ns = machine_round_trip(b->cpu, *lines);
    if (ns > 0) /* else others had the processors */
        bench_add(b, c->measure, BENCH_LOWER, "ns", ns);
    return 0;
}

static int stream(struct bench *b, const struct bench_case *c)
{
    const size_t *bytes = c->context;
    bench_add(b, c->measure, BENCH_HIGHER, "M lines/s", physical_stream(b, *bytes));
    return 0;
}

static int store_wide(struct bench *b, const struct bench_case *c)
{
    const size_t *bytes = c->context;
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_store(b, *bytes, true));
    return 0;
}

static int store_narrow(struct bench *b, const struct bench_case *c)
{
    const size_t *bytes = c->context;
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_store(b, *bytes, false));
    return 0;
}

static int copy(struct bench *b, const struct bench_case *c)
{
    const size_t *bytes = c->context;
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_copy(b, *bytes));
    return 0;
}

static int stamp(struct bench *b, const struct bench_case *c)
{
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_stamp(b));
    return 0;
}

static int call(struct bench *b, const struct bench_case *c)
{
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_call(b));
    return 0;
}

static int nap(struct bench *b, const struct bench_case *c)
{
    bench_add(b, c->measure, BENCH_LOWER, "ns", physical_futex(b));
    return 0;
}

/* ---- the disk, by fio ---- */

#define DISK_BYTES (512 << 20)

/* The bandwidth of its terse output (version 3): field 48, KiB/s. 0: it said something else. */
static double fio_kib_per_s(char *text)
{
    char *rest = text;
    for (int field = 1; field < 48; field++)
        if (strsep(&rest, ";") == NULL || rest == NULL)
            return 0;
    return strtod(rest, NULL);
}

static int disk(struct bench *b, const struct bench_case *c)
{
    const char *const *how = c->context; /* block size, depth */
    char fio[256], file[400], command[1200], line[4096] = "";
    if (!server_find("fio", fio, sizeof(fio))) {
        bench_absent(b, c->subject, "fio is not installed");
        return -ENOTSUP;
    }
    snprintf(file, sizeof(file), "%.300s/tickbus-bench-%d.fio", o.directory, (int)getpid());
    snprintf(
        command, sizeof(command),
        "'%s' --minimal --name=bench --filename='%s' --size=%d --bs=%s --iodepth=%s --rw=write "
        "--direct=1 --ioengine=io_uring --overwrite=1 --fallocate=posix 2>/dev/null",
        fio, file, (int)(DISK_BYTES * b->scale), how[0], how[1]);
    FILE *out = popen(command, "r");
    bool read = out != NULL && fgets(line, sizeof(line), out) != NULL;
    int status = out != NULL ? pclose(out) : -1;
    (void)unlink(file);
    double rate = read ? fio_kib_per_s(line) : 0;
    if (status != 0 || rate <= 0) {
        bench_absent(b, c->subject, "fio can not write there with O_DIRECT");
        return -ENOTSUP;
    }
    bench_add(b, c->measure, BENCH_HIGHER, "MB/s", rate * 1024 / 1e6);
    return 0;
}

static const size_t kib_256 = 256 << 10, mib_4 = 4 << 20, mib_64 = 64 << 20, mib_256 = 256 << 20;
static const int one = 1, two = 2;
static const char *const blocks_large[] = {"1m", "4"}, *const blocks_small[] = {"4k", "1"};

static const struct bench_case cases[] = {
    {"round trip of a cache line", "one line", BENCH_LIMIT, 2, round_trip, &one},
    {"round trip of a cache line", "two lines", BENCH_LIMIT, 2, round_trip, &two},
    {"core-to-core stream", "256 KiB", BENCH_LIMIT, 2, stream, &kib_256},
    {"core-to-core stream", "4 MiB", BENCH_LIMIT, 2, stream, &mib_4},
    {"core-to-core stream", "64 MiB", BENCH_LIMIT, 2, stream, &mib_64},
    {"64 bytes stored", "widest stores, 4 MiB", BENCH_LIMIT, 1, store_wide, &mib_4},
    {"64 bytes stored", "eight stores, 4 MiB", BENCH_LIMIT, 1, store_narrow, &mib_4},
    {"64 bytes stored", "widest stores, 256 MiB", BENCH_LIMIT, 1, store_wide, &mib_256},
    {"64 bytes copied", "memcpy, 4 MiB", BENCH_LIMIT, 1, copy, &mib_4},
    {"64 bytes copied", "memcpy, 256 MiB", BENCH_LIMIT, 1, copy, &mib_256},
    {"stamping a latency", "two clock readings", BENCH_LIMIT, 1, stamp, NULL},
    {"a system call", "getppid", BENCH_LIMIT, 1, call, NULL},
    {"futex ping-pong", "both sides sleep", BENCH_LIMIT, 2, nap, NULL},
    {"disk, sequential writes", "fio, 1 MiB, depth 4", BENCH_LIMIT, 1, disk, blocks_large},
    {"disk, sequential writes", "fio, 4 KiB, depth 1", BENCH_LIMIT, 1, disk, blocks_small},
};

int main(int argc, char **argv)
{
    static struct bench b;
    bench_begin(&b, "machine", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(&b, "widest stores: %d bytes; disk: %s", message_width(), o.directory);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
