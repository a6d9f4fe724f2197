/* The candles and trades of a journal beside the rows that persist stored. */
#include "consumers/verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include <tickbus/decimal.h>

#define STREAMS_MAX 1024

struct stored {
    char stream[TB_STREAM_BYTES];
    uint64_t epoch, rows, counted;
    tb_seq min, max;           /* of the rows */
    tb_seq seen_min, seen_max; /* of the journal's trades */
};

struct database {
    sqlite3 *db;
    sqlite3_stmt *candle, *range;
    struct stored *stored;
    size_t count, last;
};

static int fail(struct database *d, const char *path, struct tb_error *err)
{
    int rc =
        tb_fail(err, -EIO, "%s: %s", path, d->db != NULL ? sqlite3_errmsg(d->db) : "no memory");
    database_close(d);
    return rc;
}

static int read_stored(struct database *d)
{
    sqlite3_stmt *q;
    int rc =
        sqlite3_prepare_v2(d->db,
                           "SELECT stream, epoch, count(*), min(seq), max(seq) FROM trades_stream"
                           " GROUP BY stream, epoch",
                           -1, &q, NULL);
    if (rc != SQLITE_OK)
        return rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW && d->count < STREAMS_MAX) {
        struct stored *s = &d->stored[d->count++];
        const unsigned char *stream = sqlite3_column_text(q, 0);
        snprintf(s->stream, sizeof(s->stream), "%s", stream == NULL ? "" : (const char *)stream);
        s->epoch = (uint64_t)sqlite3_column_int64(q, 1);
        s->rows = (uint64_t)sqlite3_column_int64(q, 2);
        s->min = (tb_seq)sqlite3_column_int64(q, 3);
        s->max = (tb_seq)sqlite3_column_int64(q, 4);
    }
    (void)sqlite3_finalize(q); /* its error is the one of step */
    return rc == SQLITE_ROW ? SQLITE_DONE : rc;
}

int database_open(const char *path, struct database **out_database, struct tb_error *err)
{
    struct database *d = calloc(1, sizeof(*d));
    if (d == NULL || (d->stored = calloc(STREAMS_MAX, sizeof(*d->stored))) == NULL) {
        free(d);
        return tb_fail(err, -ENOMEM, "%s: no memory", path);
    }
    if (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(d->db, 5000) != SQLITE_OK ||
        /* one state of it all, however long we read */
        sqlite3_exec(d->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(d->db,
                           "SELECT open, high, low, close, volume, closed FROM ohlcv_data WHERE"
                           " exchange = ?1 AND symbol = ?2 AND timeframe = ?3 AND timestamp = ?4",
                           -1, &d->candle, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(
            d->db,
            "SELECT (SELECT min(timestamp) FROM ohlcv_data WHERE exchange = ?1 AND"
            " symbol = ?2 AND timeframe = ?3), (SELECT max(timestamp) FROM ohlcv_data"
            " WHERE exchange = ?1 AND symbol = ?2 AND timeframe = ?3)",
            -1, &d->range, NULL) != SQLITE_OK ||
        read_stored(d) != SQLITE_DONE)
        return fail(d, path, err);
    *out_database = d;
    return 0;
}

void database_close(struct database *d)
{
    if (d == NULL)
        return;
    (void)sqlite3_finalize(d->candle); /* nothing was written that could be lost */
    (void)sqlite3_finalize(d->range);
    (void)sqlite3_close(d->db);
    free(d->stored);
    free(d);
}

static void bind(sqlite3_stmt *q, const char *venue, const char *symbol, enum tb_timeframe t)
{
    (void)sqlite3_reset(q); /* its error was told by step */
    (void)sqlite3_bind_text(q, 1, venue, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 2, symbol, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(q, 3, tb_timeframe_name[t], -1, SQLITE_STATIC);
}

/* Has the database candles before and after this one? */
static bool is_inside(struct database *d, const char *venue, const char *symbol,
                      enum tb_timeframe t, double start)
{
    bind(d->range, venue, symbol, t);
    bool inside =
        sqlite3_step(d->range) == SQLITE_ROW && sqlite3_column_type(d->range, 0) != SQLITE_NULL &&
        sqlite3_column_double(d->range, 0) < start && sqlite3_column_double(d->range, 1) > start;
    (void)sqlite3_reset(d->range);
    return inside;
}

enum database_answer database_candle(struct database *d, const char *venue, const char *symbol,
                                     enum tb_timeframe t, const struct tb_candle *candle,
                                     int price_exp, int size_exp, char *out_what, size_t bytes)
{
    static const char *const names[] = {"open", "high", "low", "close", "volume"};
    const double values[] = {
        tb_decimal_double(candle->open, price_exp), tb_decimal_double(candle->high, price_exp),
        tb_decimal_double(candle->low, price_exp), tb_decimal_double(candle->close, price_exp),
        tb_decimal_double(candle->volume, size_exp)};
    double start = tb_decimal_double(candle->start, -9);
    bind(d->candle, venue, symbol, t);
    (void)sqlite3_bind_double(d->candle, 4, start);
    int rc = sqlite3_step(d->candle);
    enum database_answer answer = DATABASE_EQUAL;
    if (rc == SQLITE_DONE) {
        snprintf(out_what, bytes, "no row of it");
        answer = is_inside(d, venue, symbol, t, start) ? DATABASE_MISSING : DATABASE_OUTSIDE;
    } else if (rc != SQLITE_ROW) {
        snprintf(out_what, bytes, "%s", sqlite3_errmsg(d->db));
        answer = DATABASE_FAILED;
    } else if (sqlite3_column_int(d->candle, 5) == 0) {
        answer = DATABASE_OUTSIDE; /* still forming when persist stopped */
    } else {
        for (int i = 0; i < (int)TB_COUNT(names) && answer == DATABASE_EQUAL; i++) {
            double stored = sqlite3_column_double(d->candle, i);
            char text[2][TB_DOUBLE_BYTES];
            if (!(stored < values[i]) && !(stored > values[i]))
                continue;
            tb_double_format(stored, text[0]);
            tb_double_format(values[i], text[1]);
            snprintf(out_what, bytes, "%s is %s in the database, the trades give %s", names[i],
                     text[0], text[1]);
            answer = DATABASE_DIFFERS;
        }
    }
    (void)sqlite3_reset(d->candle);
    return answer;
}

void database_trade(struct database *d, const char *stream, uint64_t epoch, tb_seq seq)
{
    for (size_t i = 0; i < d->count; i++) {
        struct stored *s = &d->stored[(d->last + i) % d->count];
        if (s->epoch != epoch || strcmp(s->stream, stream) != 0)
            continue;
        d->last = (d->last + i) % d->count;
        if (s->seen_min == 0)
            s->seen_min = seq;
        s->seen_max = seq;
        s->counted += seq >= s->min && seq <= s->max;
        return;
    }
}

void database_trades(struct database *d, struct verify *v)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct stored *s = &d->stored[i];
        /* What the journal does not reach can not be judged. */
        if (s->seen_min != 0 && s->seen_min <= s->min && s->seen_max >= s->max &&
            s->counted != s->rows)
            verify_find(v, FINDING_DATABASE, s->stream,
                        "epoch %" PRIu64 ": %" PRIu64
                        " rows of trades, but the journal has %" PRIu64
                        " between their sequences %" PRIu64 " and %" PRIu64,
                        s->epoch, s->rows, s->counted, s->min, s->max);
    }
}
