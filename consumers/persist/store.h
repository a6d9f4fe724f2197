/*
 * How rows that were handed over (rows.h) are committed to a sink: in transactions of at most batch_rows,
 * with the cursors; and what happens when the sink fails: one line, a wait that grows, another try. No
 * row is dropped before it is committed.
 *
 * All of it is the writer's (writer.h); it never looks at what the reading thread may change. A call takes
 * as long as the disk takes. Times are monotonic, given by the caller.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_STORE_H
#define TICKBUS_CONSUMERS_PERSIST_STORE_H

#include <tickbus/stats.h>

#include "consumers/persist/sink.h"

struct store_config {
    const struct sink_ops *ops;
    struct sink_options sink;
    size_t batch_rows;
    struct tb_stats_histogram *commit_ns; /* NULL: not counted */
};

/* What it has done, for others to see. */
struct store_report {
    bool open;
    struct tb_error trouble; /* empty: none now. Locked for less than a second is none */
    struct tb_error last;    /* the last trouble, also when it is over; counted in `troubles` */
    uint64_t troubles;
    uint64_t commits;
    uint64_t failures; /* transactions and opens that failed, for whatever reason */
    uint64_t busy;     /* of these: locked */
    uint64_t opens;
    uint64_t stored[PERSIST_KINDS]; /* rows committed in this life */
    int64_t log_bytes;
    int64_t
        upgrade_left; /* rows of the database's former version that are still to be moved, about */
};

struct store {
    struct store_config config;
    struct persist *persist;
    uint64_t epoch[PERSIST_INPUTS_MAX]; /* that the rows of an input are of; 0: it has none yet */
    struct sink *sink;                  /* NULL while it is not open */
    bool upgraded;                      /* it is known to hold nothing of a former version */
    tb_ns next_try;                     /* not before, after a failure; 0: it did not fail */
    tb_ns pause;                        /* to the next try, doubled each time */
    tb_ns busy_since;                   /* 0: not locked */
    struct store_report report;
};

void store_init(struct store *s, const struct store_config *config, struct persist *p);
void store_fini(struct store *s);

/* store_open: open the sink if it is not, and if it is time for a try. 0 it is open, or -errno. */
int store_open(struct store *s, tb_ns now);

/* store_match: rows of input i are of this epoch from now on (those of its former one are stored).
 * *out_position: what the database has of it. 0, or -errno (noted as trouble). */
int store_match(struct store *s, unsigned i, uint64_t epoch, tb_ns now, uint64_t *out_position);

/* store_flush: commit one transaction. 1: there is more; 0: all that was handed over is stored; -errno:
 * not now, try again. */
int store_flush(struct store *s, tb_ns now);

/* store_flush_all: transaction after transaction. 0, or -errno. */
int store_flush_all(struct store *s, tb_ns now);

/* store_drain: all that waits, handed over or not, then the rows of a drain (persist_drain_rows). The
 * reading thread must be at rest. 0, or -errno: again. */
int store_drain(struct store *s, tb_ns now);

/* store_upgrade: often: a portion of a database's upgrade, if there is one to do and no rows wait. */
void store_upgrade(struct store *s, tb_ns now);

/* store_tend: about once a second: measure the log, keep it short. */
void store_tend(struct store *s);

#endif
