/*
 * What the files of the SQLite sink share. sqlite.c: the database and its transactions;
 * sqlite_rows.c: rows into tables; sqlite_upgrade.c: databases of the former schema.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_SQLITE_PRIVATE_H
#define TICKBUS_CONSUMERS_PERSIST_SQLITE_PRIVATE_H

#include <sqlite3.h>
#include <sys/types.h>

#include "consumers/persist/sink.h"

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    GET_CURSOR,
    PUT_CURSOR,
    FIND_MARKET,
    ADD_MARKET,
    FIND_SOURCE,
    ADD_SOURCE,
    PUT_TRADES,
    PUT_CANDLE,
    PUT_LEVELS,
    PUT_ALERT,
    PUT_GAP,
    STATEMENTS
};

/* A trade or level on its way into its table. */
struct staged {
    int64_t market, source; /* numbers of tickbus_markets, tickbus_sources */
    int64_t seq, id;
    double timestamp, price, amount, sum;
    const char *side; /* NULL: not known */
    int level;
};

/*
 * Rows of one table are gathered here and inserted by one statement that reads them as a virtual
 * table: a third to a half less time than a prepared INSERT for each, whose binding, starting and
 * ending costs as much as the row.
 */
#define STAGED_MAX 1024
struct stage {
    int count;
    struct staged row[STAGED_MAX];
};

/* The number of a market or source that was looked up before, by where its rows come from. */
struct known_market {
    int64_t id; /* 0: not yet */
    char exchange[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
};
struct known_source {
    int64_t id;
    uint64_t epoch;
    char stream[TB_STREAM_BYTES];
};

struct sink {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    struct sink_options options;
    char *wal; /* path of the log */
    char *shm; /* and of its index */
    dev_t device;
    ino_t inode;
    ino_t wal_inode; /* 0: not known */
    int log_pages;   /* of the log, after the last commit */
    bool upgrading;  /* rows of a former schema may still be there */
    struct stage trades, levels;
    struct known_source source[PERSIST_INPUTS_MAX];
    struct known_market market[PERSIST_INPUTS_MAX][PERSIST_IDS];
};

/* sqlite_fail: the one line about the last call's failure. Returns the negative errno for it. */
int sqlite_fail(const struct sink *s, int code, struct tb_error *err);

/* sqlite_step: run a statement that gives no rows. Bindings stay; the next use overwrites them. */
int sqlite_step(struct sink *s, enum statement which, struct tb_error *err);

/* sqlite_run: one or more statements. sqlite_number: the first column of the first row, which there
 * is. */
int sqlite_run(struct sink *s, const char *text, struct tb_error *err);
int sqlite_number(struct sink *s, const char *text, int64_t *out_value, struct tb_error *err);

/* sqlite_rows_open: before statements are prepared: the virtual tables that they read. */
int sqlite_rows_open(struct sink *s, struct tb_error *err);

/* sqlite_rows_put: one row, which may stay staged until sqlite_rows_flush. */
int sqlite_rows_put(struct sink *s, const struct sink_source *source, const struct persist_row *row,
                    struct tb_error *err);
int sqlite_rows_flush(struct sink *s, struct tb_error *err);

/* sqlite_rows_drop: the transaction was undone: staged rows and new numbers with it. */
void sqlite_rows_drop(struct sink *s);

/* sqlite_upgrade_begin: within a transaction, a database of schema 1 becomes one of schema 2 whose
 * trades and levels are still in their old tables. */
int sqlite_upgrade_begin(struct sink *s, struct tb_error *err);

/* sqlite_upgrade: move some of them, in a transaction of its own. Returns about how many are left;
 * 0 if there are none (any more); -errno. */
int64_t sqlite_upgrade(struct sink *s, struct tb_error *err);

#endif
