/*
 * Databases of schema 1, whose trades and levels are in tables of texts. They become schema 2 at once,
 * and their rows are moved while the service works:
 *
 *   begin   one transaction: the old tables get other names, the new ones are made, and the views show
 *           both. From then on every query finds every row, and new rows go into the new tables
 *   move    MOVE_ROWS rows in one transaction: into the new table, out of the old one. Killed at any
 *           moment, a row is in one of them; the next life goes on
 *   end     with the last rows, in their transaction: the old table goes, the view is the plain one
 *
 * The space of what was moved is used again by what comes: the file does not grow to twice its size.
 */
#include "consumers/persist/sqlite_private.h"

#include <stdarg.h>
#include <stdio.h>

#include "consumers/persist/schema.h"

/* About 50 ms: the reader goes on in between, and so does any other writer. */
#define MOVE_ROWS "10000"

#define OLD_TRADES "tickbus_trades_v1"
#define OLD_LEVELS "tickbus_levels_v1"

struct move {
    const char *old, *table;
    const char *columns; /* behind market, timestamp, source, seq */
    const char *view;    /* when nothing is left */
};

static const struct move moves[] = {
    {OLD_TRADES, "tickbus_trades", "o.side, o.price, o.amount, o.cost, o.trade_id",
     "DROP VIEW trades_stream;" TICKBUS_VIEW_TRADES("")},
    {OLD_LEVELS, "tickbus_levels",
     "coalesce(o.side, ''), coalesce(o.level, -1), o.price, o.amount, o.cumulative, o.update_id",
     "DROP VIEW orderbook_snapshots;" TICKBUS_VIEW_LEVELS("")},
};

int sqlite_upgrade_begin(struct sink *s, struct tb_error *err)
{
    /* Legacy: a view of somebody's that names trades_stream means the new one, not the renamed table. */
    return sqlite_run(
        s,
        "PRAGMA legacy_alter_table = ON;"
        "ALTER TABLE trades_stream RENAME TO " OLD_TRADES ";"
        "ALTER TABLE orderbook_snapshots RENAME TO " OLD_LEVELS ";"
        "PRAGMA legacy_alter_table = OFF;" TICKBUS_COMPACT_TABLES TICKBUS_VIEW_TRADES(
            " UNION ALL SELECT * FROM " OLD_TRADES)
            TICKBUS_VIEW_LEVELS(" UNION ALL SELECT * FROM " OLD_LEVELS) "PRAGMA user_version = 2;",
        err);
}

/* One number by a query about m's old table. */
static int ask(struct sink *s, const char *query, const struct move *m, int64_t *out_value,
               struct tb_error *err)
{
    char text[300];
    (void)snprintf(text, sizeof(text), query, m->old, m->old);
    return sqlite_number(s, text, out_value, err);
}

static int run_formatted(struct sink *s, struct tb_error *err, const char *format, ...)
    TB_PRINTF(3, 4);
static int run_formatted(struct sink *s, struct tb_error *err, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = sqlite3_vmprintf(format, list);
    va_end(list);
    int rc = text != NULL ? sqlite_run(s, text, err) : sqlite_fail(s, SQLITE_NOMEM, err);
    sqlite3_free(text);
    return rc;
}

/* All rows up to `last` of the old table. Identities are not NULL in the new one; in rows of ours never. */
static int move_rows(struct sink *s, const struct move *m, long long last, struct tb_error *err)
{
    int rc = run_formatted(
        s, err,
        "INSERT INTO tickbus_markets (exchange, symbol) SELECT DISTINCT o.exchange, o.symbol FROM "
        "%s o"
        " WHERE o.rowid <= %lld AND NOT EXISTS (SELECT 1 FROM tickbus_markets m"
        " WHERE m.exchange IS o.exchange AND m.symbol IS o.symbol);"
        "INSERT INTO tickbus_sources (stream, epoch) SELECT DISTINCT o.stream, o.epoch FROM %s o"
        " WHERE o.rowid <= %lld AND NOT EXISTS (SELECT 1 FROM tickbus_sources s"
        " WHERE s.stream IS o.stream AND s.epoch IS o.epoch)",
        m->old, last, m->old, last);
    if (rc == 0)
        rc = run_formatted(
            s, err,
            "INSERT OR IGNORE INTO %s SELECT m.id, coalesce(o.timestamp, 0.0), s.id,"
            " coalesce(o.seq, -o.rowid), %s FROM %s o"
            " CROSS JOIN tickbus_markets m ON m.exchange IS o.exchange AND m.symbol IS o.symbol"
            " CROSS JOIN tickbus_sources s ON s.stream IS o.stream AND s.epoch IS o.epoch"
            " WHERE o.rowid <= %lld",
            m->table, m->columns, m->old, last);
    return rc != 0 ? rc : run_formatted(s, err, "DELETE FROM %s WHERE rowid <= %lld", m->old, last);
}

/* One portion, within a transaction. *out_left: rows that stay, about; 0: the old table is gone. */
static int move_some(struct sink *s, const struct move *m, int64_t *out_left, struct tb_error *err)
{
    int64_t last = 0, left = 0;
    int rc =
        ask(s, "SELECT max(rowid) FROM (SELECT rowid FROM %s ORDER BY rowid LIMIT " MOVE_ROWS ")",
            m, &last, err);
    if (rc == 0 && last != 0)
        rc = move_rows(s, m, last, err);
    if (rc == 0)
        rc = ask(
            s, "SELECT coalesce((SELECT max(rowid) FROM %s) - (SELECT min(rowid) FROM %s) + 1, 0)",
            m, &left, err);
    if (rc == 0 && left == 0)
        rc = run_formatted(s, err, "DROP TABLE %s; %s", m->old, m->view);
    if (rc == 0)
        *out_left = left;
    return rc;
}

int64_t sqlite_upgrade(struct sink *s, struct tb_error *err)
{
    int64_t left = 0;
    for (size_t k = 0; s->upgrading && k < TB_COUNT(moves); k++) {
        const struct move *m = &moves[k];
        int64_t there = 0;
        int rc = ask(s, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '%s'",
                     m, &there, err);
        if (rc == 0 && there == 0)
            continue;
        if (rc == 0)
            rc = sqlite_step(s, BEGIN, err);
        if (rc == 0)
            rc = move_some(s, m, &left, err);
        if (rc == 0)
            rc = sqlite_step(s, COMMIT, err);
        if (rc != 0) {
            if (!sqlite3_get_autocommit(s->db))
                (void)sqlite_step(s, ROLLBACK, NULL); /* there is an error to tell already */
            return rc;
        }
        return left > 0 ? left : 1; /* the other table, or a last look */
    }
    s->upgrading = false;
    return 0;
}
