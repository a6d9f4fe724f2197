/*
 * What all suites have in common. A suite (a program bench_<name>) is a table of cases; the harness runs
 * them in rounds, another order in each, finds out how far apart the processors were meanwhile and
 * whether others used them, and prints every figure, then one table of them all.
 *
 *     static const struct bench_case cases[] = {
 *         {"store trades", "tickbus", BENCH_OURS, 1, store_run, NULL},
 *         {"store trades", "prepared INSERT", BENCH_LIMIT, 1, bare_run, NULL},
 *     };
 *
 *     static int bare_run(struct bench *b, const struct bench_case *c)
 *     {
 *         ...
 *         bench_add(b, c->measure, BENCH_HIGHER, "rows/s", rows / seconds);
 *         return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         bench_begin(&bench, "persist", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
 *         bench_note(&bench, "SQLite %s", sqlite3_libversion());
 *         bench_run(&bench, cases, TB_COUNT(cases));
 *         return bench_end(&bench);
 *     }
 *
 * Exit of every suite: 0; 64 bad command line; 70 a record was lost or wrong, or something failed: no
 * figure then; 77 this machine can not (one processor).
 */
#ifndef TICKBUS_BENCH_HARNESS_H
#define TICKBUS_BENCH_HARNESS_H

#include <sys/types.h>

#include <tickbus/config.h>

#include "bench/machine.h"

TB_EXTERN_BEGIN

/* The options that every suite has. */
struct bench_options {
    bool quick, json, realtime;
    int64_t rounds;
    struct tb_list only;
    const char *measure;
};

/* The rows of these: the first of a suite's table. `field` is the struct bench_options in `type`. */
#define BENCH_OPTIONS(type, field)                                                                 \
    {"quick", TB_OPTION_BOOL, offsetof(type, field.quick),                                         \
     .help = "a tenth of the work, two rounds: does it run, not how fast"},                        \
        {"json", TB_OPTION_BOOL, offsetof(type, field.json), .help = "one JSON object a line"},    \
        {"realtime", TB_OPTION_BOOL, offsetof(type, field.realtime),                               \
         .help = "SCHED_FIFO, for a machine that others use too; needs the right to it"},          \
        {"rounds", TB_OPTION_INT, offsetof(type, field.rounds),                                    \
         .min = 1, .max = 1000,   .help = "runs of each; 0: 7, or 2 with --quick"},                \
        {"only", TB_OPTION_LIST, offsetof(type, field.only),                                       \
         .help = "of the peers, only those whose names begin so (none: no peer)"},                 \
    {                                                                                              \
        "measure", TB_OPTION_STRING, offsetof(type, field.measure),                                \
            .help = "only the measures that have this in their names"                              \
    }

enum bench_role {
    BENCH_OURS,
    BENCH_PEER, /* somebody's, for the same purpose: what we want to beat */
    BENCH_LIMIT /* the machine's own, or bare use of the same library: what we want to come near */
};
enum bench_better { BENCH_HIGHER, BENCH_LOWER };

struct bench;

/* Cases of equal measure stand together in the table: they are run one right after the other. */
struct bench_case {
    const char *measure; /* "1 to 1, one at a time, 4096 slots" */
    const char *subject; /* "tickbus", "ck_ring" */
    enum bench_role role;
    int processors; /* 1: of its own process; 2: their placement is measured, and b->cpu are meant */
    /*
     * run: one run, once a round. It adds one figure or several (bench_add) and returns 0; -ENOTSUP after
     * bench_absent(), then it is not asked again. What else goes wrong is for bench_fail().
     */
    int (*run)(struct bench *b, const struct bench_case *c);
    const void *context;
};

/* Fields are read-only for suites. */
struct bench {
    const char *suite;
    struct bench_options *options;
    double scale; /* 1; 0.1 with --quick: multiply the work of a run by it */
    int cpu[2];
    int processors; /* how many of cpu[] there are */
    int64_t round;
    struct bench_private *private_;
};

/*
 * bench_begin: read the command line into `values` (of which `common` is a part), describe the machine.
 * Does not return after --help or a bad command line.
 */
void bench_begin(struct bench *b, const char *suite, const char *usage,
                 const struct tb_option *options, size_t count, void *values,
                 struct bench_options *common, int argc, char **argv);

/* bench_note: a line about how this run is measured: versions, sizes, rates. */
void bench_note(struct bench *b, const char *format, ...) TB_PRINTF(2, 3);

/* bench_run: all rounds of these cases. May be called several times. */
void bench_run(struct bench *b, const struct bench_case *cases, size_t count);

/* bench_add: one figure of the run at hand, under the case's subject. Kept by pointer: constant texts. */
void bench_add(struct bench *b, const char *measure, enum bench_better better, const char *unit,
               double value);

/*
 * bench_disturbed: a process that the run measured for `seconds` waited so long for its processor, because
 * others had it (machine_waited). More than a hundredth makes the run "busy": shown, not to be compared. For
 * cases of one processor the harness itself looks at its own process.
 */
void bench_disturbed(struct bench *b, double waited_ns, double seconds);

/* bench_absent: this subject can not be measured here; said once. */
void bench_absent(struct bench *b, const char *subject, const char *why);

/* bench_at_end: called once in the end, however that comes: to stop what the suite started. */
void bench_at_end(void (*stop)(void));

/* bench_end: the table. Returns main's value. */
int bench_end(struct bench *b);

/* bench_fail: no figure. Removes what the bench made and exits 70; in a child, the child's. */
void bench_fail(const char *format, ...) TB_PRINTF(1, 2) __attribute__((noreturn));

/* ---- what runs need ---- */

/* bench_directory: an empty directory in /dev/shm, made when first asked for, removed in the end. */
const char *bench_directory(struct bench *b);

/*
 * bench_shared: zeroed memory that children share. Unmap with bench_unshare(). bench_present: in a child,
 * before it is timed: a fork leaves shared memory to be mapped page by page when it is first used.
 */
void *bench_shared(size_t bytes);
void bench_unshare(void *memory, size_t bytes);
void bench_present(void *memory, size_t bytes);

/*
 * bench_fork: a child that dies with the bench, has a minute, and runs on `cpu` (-1: anywhere). 0 in
 * the child. bench_join: waits for it and fails the bench if it did not end well.
 */
pid_t bench_fork(int cpu);
void bench_join(pid_t pid);

/* bench_quantiles_of: sorts `value` and picks p50, p90, p99, p99.9. */
struct bench_quantiles {
    double p50, p90, p99, p999;
};
struct bench_quantiles bench_quantiles_of(double *value, size_t count);

TB_EXTERN_END

#endif
