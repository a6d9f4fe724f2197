/*
 * When and how the waiting rows of a persist are committed to a sink: in batches, by time and by
 * count, with the cursors; and what happens when the sink fails: one line, a wait that grows,
 * another try. No row is dropped: they stay in the buffer, and when that is full persist_take says
 * so.
 *
 * All calls return soon: a batch is at most batch_rows, and a locked database is waited for no
 * longer than the sink's busy timeout. Times are monotonic, given by the caller.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_STORE_H
#define TICKBUS_CONSUMERS_PERSIST_STORE_H

#include "consumers/persist/sink.h"

struct store_config {
    const struct sink_ops *ops;
    struct sink_options sink;
    tb_ns commit_every;
    size_t batch_rows;
};

struct store {
    struct store_config config;
    struct persist *persist;
    struct sink *sink; /* NULL while it is not open */
    bool opened;       /* it was open once: cursors can be believed */
    bool upgraded;     /* it is known to hold nothing of a former version */
    tb_ns last_commit;
    tb_ns next_try;   /* not before, after a failure */
    tb_ns pause;      /* to the next try, doubled each time */
    tb_ns busy_since; /* 0: not locked */
    struct tb_error trouble; /* empty: none now. Locked for less than a second is none */
    struct tb_error last;    /* the last trouble, also when it is over; counted in `troubles` */
    uint64_t troubles;
    int64_t log_bytes;
    uint64_t commits;
    uint64_t failures; /* transactions and opens that failed, for whatever reason */
    uint64_t busy;     /* of these: locked */
    uint64_t opens;
    uint64_t stored[PERSIST_KINDS]; /* rows committed in this life */
    int64_t upgrade_left; /* rows of the database's former version that are still to be moved,
                           * about */
    tb_ns commit_ns;   /* the last commit took this long; 0 once it was looked at */
};

void store_init(struct store *s, const struct store_config *config, struct persist *p);
void store_fini(struct store *s);

/* store_open: open the sink if it is not, and if it is time for a try. 0 it is open, or -errno. */
int store_open(struct store *s, tb_ns now);

/* store_cursor: the position that the database has. 0, or -errno (noted as trouble). */
int store_cursor(struct store *s, const char *stream, uint64_t epoch, tb_ns now, uint64_t *out_position);

/* store_dirty: is there anything that is not committed? */
bool store_dirty(const struct store *s);

/* store_due: is it time to commit, by commit_every or batch_rows? */
bool store_due(const struct store *s, tb_ns now);

/* store_flush: commit one batch. 1: there is more; 0: all is stored; -errno: not now, try again. */
int store_flush(struct store *s, tb_ns now);

/* store_flush_all: batch after batch. 0, or -errno. */
int store_flush_all(struct store *s, tb_ns now);

/* store_drain: all that waits, then the rows of a drain (persist_drain_rows). 0, or -errno:
 * again. */
int store_drain(struct store *s, tb_ns now);

/* store_upgrade: often: a portion of a database's upgrade, if there is one to do and nothing waits
 * longer. */
void store_upgrade(struct store *s, tb_ns now);

/* store_tend: about once a second: measure the log, keep it short. */
void store_tend(struct store *s);

#endif
