/*
 * Where rows go: one database behind an interface, so that the rest knows none. sqlite.c is the first.
 *
 * A sink is used by one thread: open, then again and again
 *
 *   begin -> cursor (one per input: what is stored) -> put ... -> put_cursor ... -> commit | rollback
 *
 * All of a transaction is stored, or nothing. After commit failed it is unknown which: the cursors read
 * in the next transaction tell. Every call but rollback and close may fail with a negative errno, and
 * then leaves one line in err: what, on which database, and what to do about it.
 *
 *   -EBUSY    locked by another process: roll back, try the same again later
 *   -ESTALE   the database was deleted or replaced underneath: close, open again (rows of a commit that
 *             ended so were not stored)
 *   others    close, and open again later: -ENOSPC full, -EROFS read-only, -EBADMSG damaged,
 *             -EPROTO another program's database, or another version's; -ENOENT, -EACCES, -EIO
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_SINK_H
#define TICKBUS_CONSUMERS_PERSIST_SINK_H

#include <tickbus/base.h>

#include "consumers/persist/persist.h"

struct sink; /* opaque, the backend's */

struct sink_options {
    const char *database; /* path */
    bool full_sync;       /* a commit survives power loss, not only the death of processes */
    tb_ns busy_timeout;   /* the longest that one call may wait for another process's lock */
    int64_t wal_limit;    /* bytes: above it, tend() tries to cut the log */
};

/* Whose row it is. Strings are valid during the call. */
struct sink_source {
    const char *stream;
    uint64_t epoch;
    const char *exchange; /* "" is stored as NULL, as all of these */
    const char *symbol;
    const char *label; /* an alert's rule */
};

struct sink_ops {
    const char *name;
    int (*open)(const struct sink_options *options, struct sink **out_sink, struct tb_error *err);
    int (*begin)(struct sink *s, struct tb_error *err);
    /* The position up to which everything is stored; 0: nothing. Also outside a transaction. */
    int (*cursor)(struct sink *s, const char *stream, uint64_t epoch, uint64_t *out_position,
                  struct tb_error *err);
    int (*put)(struct sink *s, const struct sink_source *source, const struct persist_row *row,
               struct tb_error *err);
    int (*put_cursor)(struct sink *s, const char *stream, uint64_t epoch, uint64_t position,
                      struct tb_error *err);
    int (*commit)(struct sink *s, struct tb_error *err);
    void (*rollback)(struct sink *s);
    /* After commits: move the log into the database if it has grown. May take as long as the disk takes;
     * what fails comes again, and shows in the log's length. */
    void (*checkpoint)(struct sink *s);
    /* Now and then, outside a transaction: keep the log short. Returns its bytes. */
    int64_t (*tend)(struct sink *s);
    /* Now and then, outside a transaction: a portion of what turns a database of a former version into one
     * of this. Returns about how many rows are left, 0: nothing (any more), or -errno. Takes < 100 ms. */
    int64_t (*upgrade)(struct sink *s, struct tb_error *err);
    void (*close)(struct sink *s);
};

extern const struct sink_ops sink_sqlite;

#endif
