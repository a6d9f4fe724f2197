/*
 * A process's statistics page, <service>.stats in the bus directory: state, counters, histograms,
 * memory. Written by that process alone, readable by all while it lives and after it died.
 *
 * The page describes itself: each counter has its name beside its value, so `stat`, `metrics` and
 * foreign tools need no knowledge of the service. Names are those of docs and metrics: lower case
 * with underscores, unit last ("records_read", "db_commit_seconds").
 *
 * Count in locals, store here in housekeeping: tb_stats_set is one relaxed store.
 */
#ifndef TICKBUS_STATS_H
#define TICKBUS_STATS_H

#include <tickbus/base.h>
#include <tickbus/ring.h>

TB_EXTERN_BEGIN

#define TB_STATS_MAGIC UINT64_C(0x3154415453424b54)
#define TB_STATS_LAYOUT 1
#define TB_STATS_COUNTERS 96
#define TB_STATS_HISTOGRAMS 4
#define TB_STATS_BUCKETS 40 /* bucket i: values in [2^i, 2^(i+1)) ns; less in 0, more in the last */

enum tb_service_state {
    TB_SERVICE_STARTING = 1,
    TB_SERVICE_WAITING = 2, /* for a stream or a peer that is not there yet */
    TB_SERVICE_RUNNING = 3,
    TB_SERVICE_DEGRADED = 4, /* works, but something a person should know is wrong: see `note` */
    TB_SERVICE_DRAINING = 5,
    TB_SERVICE_STOPPED = 6, /* as asked; exit_code is set */
    TB_SERVICE_FAILED = 7,  /* exit_code is set, `note` says why */
};

enum tb_stat_kind { TB_STAT_COUNTER = 1, TB_STAT_GAUGE = 2 };

struct tb_stats_counter {
    char name[40];
    uint32_t kind; /* enum tb_stat_kind; 0: free. Stored after the name: load it first, acquire */
    uint32_t reserved;
    TB_ATOMIC(int64_t) value;
};

struct tb_stats_histogram {
    char name[40]; /* ends in "_ns"; empty: free */
    TB_ATOMIC(uint64_t) count;
    TB_ATOMIC(int64_t) sum;
    TB_ATOMIC(int64_t) max;
    TB_ATOMIC(uint64_t) bucket[TB_STATS_BUCKETS];
};

struct tb_stats_page {
    uint64_t magic;
    uint32_t layout;
    TB_ATOMIC(uint32_t) state;     /* enum tb_service_state */
    char service[TB_STREAM_BYTES]; /* instance: "candles", "feed-binance" */
    char program[TB_STREAM_BYTES]; /* "tickbus-candles" */
    TB_ATOMIC(uint32_t) pid;
    TB_ATOMIC(int32_t) exit_code;
    TB_ATOMIC(int64_t) started;   /* wall clock, ns */
    TB_ATOMIC(int64_t) heartbeat; /* wall clock, ns */
    TB_ATOMIC(int64_t) rss_bytes;
    TB_ATOMIC(int64_t) cpu_ns;  /* user + system */
    TB_ATOMIC(int64_t) busy_ns; /* of the loop: time not spent waiting */
    TB_ATOMIC(int64_t) open_fds;
    TB_ATOMIC(uint64_t) starts; /* lives under this name since the page was made */
    char note[160];             /* the reason of DEGRADED or FAILED; may be seen half changed */
    struct tb_stats_counter counter[TB_STATS_COUNTERS];
    struct tb_stats_histogram histogram[TB_STATS_HISTOGRAMS];
};

/* The writing side; private to the process. */
struct tb_stats {
    struct tb_stats_page *page; /* never NULL after open: a private page if the bus has no room */
    int fd;
    char path[256];
    tb_ns next_look; /* at /proc */
};

/*
 * tb_stats_open: make or take over the page. Counters of an earlier life are cleared; `starts` goes
 * on.
 * Errors    -EBUSY a living process holds the page; err names its pid
 */
int tb_stats_open(const char *bus_dir, const char *service, const char *program,
                  struct tb_stats *out_stats, struct tb_error *err);
void tb_stats_close(struct tb_stats *s, enum tb_service_state state, int exit_code);

/* tb_stats_add: a counter or gauge by name; the same name gives the same one. NULL when full. */
struct tb_stats_counter *tb_stats_add(struct tb_stats *s, const char *name, enum tb_stat_kind kind);

static inline void tb_stats_set(struct tb_stats_counter *c, int64_t value)
{
    if (c != NULL)
        atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

struct tb_stats_histogram *tb_stats_add_histogram(struct tb_stats *s, const char *name);
/* tb_stats_observe: count one value; single writer. */
void tb_stats_observe(struct tb_stats_histogram *h, tb_ns value_ns);

void tb_stats_state(struct tb_stats *s, enum tb_service_state state, const char *note);
/* tb_stats_housekeep: heartbeat, rss, cpu, fds. Every 100 ms or so; looks at /proc once a
 * second. */
void tb_stats_housekeep(struct tb_stats *s, tb_ns now);

/*
 * tb_stats_inspect: copy a page. *out_alive: the kernel says that the process holds it.
 * Errors    -ENOENT, -EPROTO, -EBADMSG
 */
int tb_stats_inspect(const char *bus_dir, const char *service, struct tb_stats_page *out_page,
                     bool *out_alive, struct tb_error *err);

/* tb_histogram_quantile: upper bound, in ns, of the bucket that holds quantile q (0..1); 0 if
 * empty. */
int64_t tb_histogram_quantile(const struct tb_stats_histogram *h, double q);

const char *tb_service_state_name(uint32_t state);
const char *tb_stream_state_name(uint32_t state);

TB_EXTERN_END

#endif
