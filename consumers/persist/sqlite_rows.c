/*
 * Rows into tables. Trades and levels, of which there are many, are gathered and go in by one statement
 * for up to STAGED_MAX of them; the others one by one. INSERT OR IGNORE: a row that is there has the same
 * stream, epoch and sequence, so it is the same row.
 */
#include "consumers/persist/sqlite_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- staged rows as a virtual table ---- */

struct staged_table {
    sqlite3_vtab base;
    const struct stage *stage;
};

struct staged_cursor {
    sqlite3_vtab_cursor base;
    int at;
};

static int table_connect(sqlite3 *db, void *stage, int argc, const char *const *argv,
                         sqlite3_vtab **out_table, char **out_error)
{
    (void)argc, (void)argv, (void)out_error;
    int code =
        sqlite3_declare_vtab(db, "CREATE TABLE x (market, timestamp, source, seq, side, level,"
                                 " price, amount, sum, id)");
    struct staged_table *t = code == SQLITE_OK ? calloc(1, sizeof(*t)) : NULL;
    if (t == NULL)
        return code == SQLITE_OK ? SQLITE_NOMEM : code;
    t->stage = stage;
    *out_table = &t->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

static int table_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedRows = STAGED_MAX; /* there is but one way: all of them, in order */
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out_cursor)
{
    (void)table;
    struct staged_cursor *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return SQLITE_NOMEM;
    *out_cursor = &c->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int cursor_begin(sqlite3_vtab_cursor *cursor, int plan, const char *name, int argc,
                        sqlite3_value **argv)
{
    (void)plan, (void)name, (void)argc, (void)argv;
    ((struct staged_cursor *)cursor)->at = 0;
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *cursor)
{
    ((struct staged_cursor *)cursor)->at++;
    return SQLITE_OK;
}

static int cursor_end(sqlite3_vtab_cursor *cursor)
{
    const struct staged_table *t = (const struct staged_table *)cursor->pVtab;
    return ((struct staged_cursor *)cursor)->at >= t->stage->count;
}

static int cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
    const struct staged_table *t = (const struct staged_table *)cursor->pVtab;
    const struct staged *row = &t->stage->row[((struct staged_cursor *)cursor)->at];
    switch (column) {
    case 0:
        sqlite3_result_int64(out, row->market);
        break;
    case 1:
        sqlite3_result_double(out, row->timestamp);
        break;
    case 2:
        sqlite3_result_int64(out, row->source);
        break;
    case 3:
        sqlite3_result_int64(out, row->seq);
        break;
    case 4:
        sqlite3_result_text(out, row->side, -1, SQLITE_STATIC); /* NULL is NULL */
        break;
    case 5:
        sqlite3_result_int(out, row->level);
        break;
    case 6:
        sqlite3_result_double(out, row->price);
        break;
    case 7:
        sqlite3_result_double(out, row->amount);
        break;
    case 8:
        sqlite3_result_double(out, row->sum);
        break;
    default:
        sqlite3_result_int64(out, row->id);
        break;
    }
    return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out_rowid)
{
    *out_rowid = ((struct staged_cursor *)cursor)->at;
    return SQLITE_OK;
}

/* Without xCreate: the tables are there under the modules' names, and in no schema. */
static const sqlite3_module staged_module = {
    .xConnect = table_connect,
    .xBestIndex = table_plan,
    .xDisconnect = table_disconnect,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_begin,
    .xNext = cursor_next,
    .xEof = cursor_end,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

int sqlite_rows_open(struct sink *s, struct tb_error *err)
{
    int code = sqlite3_create_module(s->db, "staged_trades", &staged_module, &s->trades);
    if (code == SQLITE_OK)
        code = sqlite3_create_module(s->db, "staged_levels", &staged_module, &s->levels);
    return code == SQLITE_OK ? 0 : sqlite_fail(s, code, err);
}

static int flush(struct sink *s, struct stage *stage, enum statement which, struct tb_error *err)
{
    if (stage->count == 0)
        return 0;
    int rc = sqlite_step(s, which, err);
    stage->count = 0; /* after a failure the transaction is undone as a whole */
    return rc;
}

int sqlite_rows_flush(struct sink *s, struct tb_error *err)
{
    int rc = flush(s, &s->trades, PUT_TRADES, err);
    return rc != 0 ? rc : flush(s, &s->levels, PUT_LEVELS, err);
}

void sqlite_rows_drop(struct sink *s)
{
    s->trades.count = s->levels.count = 0;
    memset(s->source, 0, sizeof(s->source));
    memset(s->market, 0, sizeof(s->market));
}

/* ---- numbers for names ---- */

/* Binds one column after the other. Binding fails only for a bad index, which a test would show. */
struct binder {
    sqlite3_stmt *q;
    int column;
};

static void text(struct binder *b, const char *value)
{
    if (value[0] == '\0')
        (void)sqlite3_bind_null(b->q, ++b->column);
    else
        (void)sqlite3_bind_text(b->q, ++b->column, value, -1, SQLITE_STATIC);
}

/* Part of a primary key: never NULL. */
static void key(struct binder *b, const char *value)
{
    (void)sqlite3_bind_text(b->q, ++b->column, value, -1, SQLITE_STATIC);
}

static void real(struct binder *b, double value)
{
    (void)sqlite3_bind_double(b->q, ++b->column, value);
}

static void integer(struct binder *b, uint64_t value)
{
    (void)sqlite3_bind_int64(b->q, ++b->column, (int64_t)value);
}

/* The number of what is bound to both statements: found, or added. */
static int number(struct sink *s, enum statement find, enum statement add, int64_t *out_id,
                  struct tb_error *err)
{
    int code = sqlite3_step(s->statement[find]);
    if (code == SQLITE_ROW)
        *out_id = sqlite3_column_int64(s->statement[find], 0);
    int rc = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_fail(s, code, err);
    (void)sqlite3_reset(s->statement[find]); /* repeats the error that was just reported */
    if (code != SQLITE_DONE)
        return rc;
    rc = sqlite_step(s, add, err);
    if (rc == 0)
        *out_id = sqlite3_last_insert_rowid(s->db);
    return rc;
}

static int market_number(struct sink *s, const struct sink_source *source,
                         const struct persist_row *row, int64_t *out_id, struct tb_error *err)
{
    struct known_market *known = &s->market[row->input][row->market];
    int rc = 0;
    if (TB_UNLIKELY(known->id == 0 || strcmp(known->symbol, source->symbol) != 0 ||
                    strcmp(known->exchange, source->exchange) != 0)) {
        enum statement both[] = {FIND_MARKET, ADD_MARKET};
        for (size_t k = 0; k < TB_COUNT(both); k++) {
            struct binder b = {.q = s->statement[both[k]]};
            text(&b, source->exchange);
            text(&b, source->symbol);
        }
        rc = number(s, FIND_MARKET, ADD_MARKET, &known->id, err);
        (void)snprintf(known->exchange, sizeof(known->exchange), "%s", source->exchange);
        (void)snprintf(known->symbol, sizeof(known->symbol), "%s", source->symbol);
    }
    *out_id = known->id;
    return rc;
}

static int source_number(struct sink *s, const struct sink_source *source,
                         const struct persist_row *row, int64_t *out_id, struct tb_error *err)
{
    struct known_source *known = &s->source[row->input];
    int rc = 0;
    if (TB_UNLIKELY(known->id == 0 || known->epoch != source->epoch ||
                    strcmp(known->stream, source->stream) != 0)) {
        enum statement both[] = {FIND_SOURCE, ADD_SOURCE};
        for (size_t k = 0; k < TB_COUNT(both); k++) {
            struct binder b = {.q = s->statement[both[k]]};
            text(&b, source->stream);
            integer(&b, source->epoch);
        }
        rc = number(s, FIND_SOURCE, ADD_SOURCE, &known->id, err);
        (void)snprintf(known->stream, sizeof(known->stream), "%s", source->stream);
        known->epoch = source->epoch;
    }
    *out_id = known->id;
    return rc;
}

/* ---- rows ---- */

static const char *side_name(uint8_t side, const char *buy, const char *sell)
{
    return side == TB_BUY ? buy : side == TB_SELL ? sell : NULL;
}

/* The next staged row with what both kinds have in common; the caller fills in the rest. */
static int stage(struct sink *s, struct stage *in, enum statement which,
                 const struct sink_source *source, const struct persist_row *row,
                 struct staged **out, struct tb_error *err)
{
    int rc = in->count == STAGED_MAX ? flush(s, in, which, err) : 0;
    struct staged *next = &in->row[in->count];
    if (rc == 0)
        rc = market_number(s, source, row, &next->market, err);
    if (rc == 0)
        rc = source_number(s, source, row, &next->source, err);
    if (rc != 0)
        return rc;
    next->seq = (int64_t)(row->position / 2);
    next->timestamp = row->timestamp;
    in->count++;
    *out = next;
    return 0;
}

static int put_trade(struct sink *s, const struct sink_source *source,
                     const struct persist_row *row, struct tb_error *err)
{
    struct staged *t;
    int rc = stage(s, &s->trades, PUT_TRADES, source, row, &t, err);
    if (rc != 0)
        return rc;
    t->side = side_name(row->trade.side, "buy", "sell");
    t->price = row->trade.price;
    t->amount = row->trade.amount;
    t->sum = row->trade.cost;
    t->id = (int64_t)row->trade.trade_id;
    return 0;
}

static int put_level(struct sink *s, const struct sink_source *source,
                     const struct persist_row *row, struct tb_error *err)
{
    struct staged *t;
    int rc = stage(s, &s->levels, PUT_LEVELS, source, row, &t, err);
    if (rc != 0)
        return rc;
    t->side = side_name(row->level.side, "bid", "ask");
    t->level = row->level.level;
    t->price = row->level.price;
    t->amount = row->level.amount;
    t->sum = row->level.cumulative;
    t->id = (int64_t)row->level.update_id;
    return 0;
}

static struct binder start(struct sink *s, enum statement which, const struct sink_source *source)
{
    struct binder b = {.q = s->statement[which]};
    text(&b, source->exchange);
    text(&b, source->symbol);
    return b;
}

static int finish(struct sink *s, enum statement which, struct binder *b,
                  const struct sink_source *source, const struct persist_row *row,
                  struct tb_error *err)
{
    text(b, source->stream);
    integer(b, source->epoch);
    integer(b, row->position / 2);
    return sqlite_step(s, which, err);
}

static int put_candle(struct sink *s, const struct sink_source *source,
                      const struct persist_row *row, struct tb_error *err)
{
    struct binder b = {.q = s->statement[PUT_CANDLE]};
    key(&b, source->exchange);
    key(&b, source->symbol);
    text(&b, tb_timeframe_name[row->candle.timeframe]);
    real(&b, row->timestamp);
    real(&b, row->candle.open);
    real(&b, row->candle.high);
    real(&b, row->candle.low);
    real(&b, row->candle.close);
    real(&b, row->candle.volume);
    integer(&b, row->candle.closed);
    integer(&b, row->candle.trades);
    real(&b, row->candle.turnover);
    real(&b, row->candle.taker_buy_volume);
    return finish(s, PUT_CANDLE, &b, source, row, err);
}

static int put_alert(struct sink *s, const struct sink_source *source,
                     const struct persist_row *row, struct tb_error *err)
{
    struct binder b = start(s, PUT_ALERT, source);
    real(&b, row->timestamp);
    text(&b, source->label);
    text(&b, tb_alert_state_name(row->alert.state));
    text(&b, tb_severity_name(row->alert.severity));
    real(&b, row->alert.value);
    real(&b, row->alert.threshold);
    real(&b, row->alert.since);
    integer(&b, row->alert.alert_id);
    return finish(s, PUT_ALERT, &b, source, row, err);
}

static int put_gap(struct sink *s, const struct sink_source *source, const struct persist_row *row,
                   struct tb_error *err)
{
    struct binder b = start(s, PUT_GAP, source);
    real(&b, row->timestamp);
    text(&b, tb_channel_name(row->gap.channel));
    text(&b, tb_gap_reason_name(row->gap.reason));
    integer(&b, row->gap.from);
    integer(&b, row->gap.to);
    integer(&b, row->gap.missing);
    return finish(s, PUT_GAP, &b, source, row, err);
}

int sqlite_rows_put(struct sink *s, const struct sink_source *source, const struct persist_row *row,
                    struct tb_error *err)
{
    TB_ASSERT(row->kind < PERSIST_KINDS);
    switch (row->kind) {
    case PERSIST_TRADE:
        return put_trade(s, source, row, err);
    case PERSIST_CANDLE:
        return put_candle(s, source, row, err);
    case PERSIST_LEVEL:
        return put_level(s, source, row, err);
    case PERSIST_ALERT:
        return put_alert(s, source, row, err);
    case PERSIST_GAP:
    default:
        return put_gap(s, source, row, err);
    }
}
