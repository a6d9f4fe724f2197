/* A record as a list of named fields. */
#include "consumers/records/records.h"

#include <stdio.h>
#include <string.h>

#include <tickbus/candle.h>

/* Every field there is, in CSV order; the later ones are made by exports alone. */
#define SHOWN(X)                                                                                   \
    X(stream, TEXT)                                                                                \
    X(seq, UNSIGNED)                                                                               \
    X(type, TEXT)                                                                                  \
    X(venue, TEXT)                                                                                 \
    X(symbol, TEXT)                                                                                \
    X(ts_event, TIME) X(ts_recv, TIME) X(publish_delta_ns, UNSIGNED) X(flags, TEXT) X(side, TEXT)  \
        X(price, PRICE) X(size, SIZE) X(trade_id, UNSIGNED) X(count, UNSIGNED) X(bid_price, PRICE) \
            X(bid_size, SIZE) X(ask_price, PRICE) X(ask_size, SIZE) X(action, TEXT)                \
                X(level, UNSIGNED) X(orders, UNSIGNED) X(update_id, UNSIGNED) X(timeframe, TEXT)   \
                    X(forming, BOOL) X(open, PRICE) X(high, PRICE) X(low, PRICE) X(close, PRICE)   \
                        X(volume, SIZE) X(turnover, TURNOVER) X(trades, UNSIGNED)                  \
                            X(taker_buy_volume, SIZE) X(reason, TEXT) X(channel, TEXT)             \
                                X(from, UNSIGNED) X(to, UNSIGNED) X(missing, UNSIGNED)             \
                                    X(code, TEXT) X(detail, SIGNED) X(pid, UNSIGNED) X(rule, TEXT) \
                                        X(state, TEXT) X(severity, TEXT) X(value, VALUE)           \
                                            X(threshold, VALUE) X(since, TIME)                     \
                                                X(alert_id, UNSIGNED) X(venue_seq, UNSIGNED)       \
                                                    X(body0, UNSIGNED) X(body1, UNSIGNED)          \
                                                        X(body2, UNSIGNED) X(body3, UNSIGNED)
#define EXPORTED(X)                                                                                \
    X(epoch, UNSIGNED)                                                                             \
    X(instrument, UNSIGNED)                                                                        \
    X(bytes, TEXT)                                                                                 \
    X(raw, TEXT)                                                                                   \
    X(label, TEXT) X(first_stream, TEXT) X(price_exp, SIGNED) X(size_exp, SIGNED)                  \
        X(value_exp, SIGNED)

#define COLUMN(name, kind) {#name, COLUMN_##kind},
#define NAME(name, kind) #name,
static const struct column table[] = {SHOWN(COLUMN) EXPORTED(COLUMN)};
static const char *const columns[] = {SHOWN(NAME) NULL};

const struct column *fields_table(size_t *out_count)
{
    *out_count = TB_COUNT(table);
    return table;
}

const struct column *fields_column(const char *name)
{
    for (size_t i = 0; i < TB_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *const *fields_columns(void)
{
    return columns;
}

bool fields_known(const char *name)
{
    for (size_t i = 0; columns[i] != NULL; i++)
        if (strcmp(columns[i], name) == 0)
            return true;
    return false;
}

const struct field *fields_find(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (strcmp(fields->field[i].name, name) == 0)
            return &fields->field[i];
    return NULL;
}

static struct field *add(struct fields *f, const char *name, enum field_kind kind)
{
    TB_ASSERT(f->count < FIELDS_MAX);
    struct field *field = &f->field[f->count++];
    *field = (struct field){.name = name, .kind = kind};
    return field;
}

static void add_text(struct fields *f, const char *name, const char *text)
{
    add(f, name, text == NULL ? FIELD_NOTHING : FIELD_TEXT)->text = text;
}

static void add_number(struct fields *f, const char *name, __int128 number)
{
    add(f, name, FIELD_NUMBER)->number = number;
}

/* Without its instrument a mantissa has no value: better nothing than a wrong number. */
static void add_decimal(struct fields *f, const struct record_item *item, const char *name,
                        __int128 mantissa, int exp)
{
    struct field *field = add(f, name, item->instrument ? FIELD_NUMBER : FIELD_NOTHING);
    field->number = mantissa;
    field->exp = exp;
}

static void add_time(struct fields *f, const char *name, tb_ns t)
{
    add(f, name, t == 0 ? FIELD_NOTHING : FIELD_TIME)->number = t;
}

static const char *flag_names(uint8_t flags, char out[64])
{
    static const struct {
        uint8_t bit;
        const char *name;
    } names[] = {
        {TB_F_LAST, "last"},
        {TB_F_TOB, "tob"},
        {TB_F_SNAPSHOT, "snapshot"},
        {TB_F_MBP, "mbp"},
        {TB_F_BAD_TS_RECV, "bad_ts_recv"},
        {TB_F_MAYBE_BAD_BOOK, "maybe_bad_book"},
        {TB_F_FORMING, "forming"},
    };
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (flags & names[i].bit)
            at += (size_t)snprintf(out + at, 64 - at, "%s%s", at ? "|" : "", names[i].name);
    return out;
}

static const char *trade_side(uint8_t side)
{
    return side == TB_BUY ? "buy" : side == TB_SELL ? "sell" : NULL;
}

static const char *book_side(uint8_t side)
{
    return side == TB_BUY ? "bid" : side == TB_SELL ? "ask" : NULL;
}

static const char *action_name(uint8_t action)
{
    switch (action) {
    case TB_ADD:
        return "add";
    case TB_MODIFY:
        return "modify";
    case TB_REMOVE:
        return "remove";
    default:
        return NULL;
    }
}

static void trade_fields(const struct record_item *item, int price_exp, int size_exp,
                         struct fields *f)
{
    const struct tb_trade *t = &item->record->trade;
    add_text(f, "side", trade_side(t->side));
    add_decimal(f, item, "price", t->price, price_exp);
    add_decimal(f, item, "size", t->size, size_exp);
    add_number(f, "trade_id", t->trade_id);
    add_number(f, "count", t->count);
    if (t->venue_seq != 0)
        add_number(f, "venue_seq", t->venue_seq);
}

static void quote_fields(const struct record_item *item, int price_exp, int size_exp,
                         struct fields *f)
{
    const struct tb_quote *q = &item->record->quote;
    add_decimal(f, item, "bid_price", q->bid_price, price_exp);
    add_decimal(f, item, "bid_size", q->bid_size, size_exp);
    add_decimal(f, item, "ask_price", q->ask_price, price_exp);
    add_decimal(f, item, "ask_size", q->ask_size, size_exp);
}

static void level_fields(const struct record_item *item, int price_exp, int size_exp,
                         struct fields *f)
{
    const struct tb_level *l = &item->record->level;
    add_text(f, "side", book_side(l->side));
    add_decimal(f, item, "price", l->price, price_exp);
    add_decimal(f, item, "size", l->size, size_exp);
    add_text(f, "action", action_name(l->action));
    if (l->level != 0)
        add_number(f, "level", l->level);
    if (l->orders != 0)
        add_number(f, "orders", l->orders);
    add_number(f, "update_id", l->update_id);
}

static void candle_fields(const struct record_item *item, int price_exp, int size_exp,
                          struct fields *f)
{
    const struct tb_record *r = item->record;
    add_text(f, "timeframe", tb_timeframe_name[tb_record_timeframe(r)]);
    add(f, "forming", FIELD_BOOL)->number = (r->flags & TB_F_FORMING) != 0;
    if ((r->type & 0xF8) == TB_CANDLE) {
        add_decimal(f, item, "open", r->candle.open, price_exp);
        add_decimal(f, item, "high", r->candle.high, price_exp);
        add_decimal(f, item, "low", r->candle.low, price_exp);
        add_decimal(f, item, "close", r->candle.close, price_exp);
        return;
    }
    const struct tb_candle_volume *v = &r->candle_volume;
    __int128 turnover =
        (__int128)(((unsigned __int128)(__int128)v->turnover_high << 64) | v->turnover_low);
    add_decimal(f, item, "volume", v->volume, size_exp);
    add_decimal(f, item, "turnover", turnover, price_exp + size_exp);
    add_number(f, "trades", v->trades);
    add_decimal(f, item, "taker_buy_volume", v->taker_buy_volume, size_exp);
}

static void gap_fields(const struct tb_gap *g, struct fields *f)
{
    add_text(f, "reason", tb_gap_reason_name(g->reason));
    add_text(f, "channel", tb_channel_name(g->channel));
    add_number(f, "from", g->from);
    add_number(f, "to", g->to);
    add_number(f, "missing", g->missing);
}

static void alert_fields(const struct record_item *item, struct fields *f)
{
    const struct tb_alert *a = &item->record->alert;
    add_text(f, "rule", item->instrument ? item->instrument->label : NULL);
    add_text(f, "state", tb_alert_state_name(a->state));
    add_text(f, "severity", tb_severity_name(a->severity));
    bool sane = a->value_exp <= 0 && a->value_exp >= TB_EXP_MIN;
    struct field *value = add(f, "value", sane ? FIELD_NUMBER : FIELD_NOTHING);
    value->number = a->value;
    value->exp = a->value_exp;
    struct field *threshold = add(f, "threshold", sane ? FIELD_NUMBER : FIELD_NOTHING);
    threshold->number = a->threshold;
    threshold->exp = a->value_exp;
    add_time(f, "since", a->since);
    add_number(f, "alert_id", a->alert_id);
}

static void body_fields(const struct record_item *item, struct fields *f)
{
    const struct tb_record *r = item->record;
    int price_exp = item->instrument ? item->instrument->price_exp : 0;
    int size_exp = item->instrument ? item->instrument->size_exp : 0;

    if (tb_record_is_candle(r)) {
        candle_fields(item, price_exp, size_exp, f);
        return;
    }
    switch (r->type) {
    case TB_TRADE:
        trade_fields(item, price_exp, size_exp, f);
        break;
    case TB_QUOTE:
        quote_fields(item, price_exp, size_exp, f);
        break;
    case TB_LEVEL:
        level_fields(item, price_exp, size_exp, f);
        break;
    case TB_CLEAR:
        add_number(f, "update_id", r->level.update_id);
        break;
    case TB_GAP:
        gap_fields(&r->gap, f);
        break;
    case TB_STATUS:
        add_text(f, "code", tb_status_name(r->status.code));
        add_number(f, "detail", r->status.detail);
        add_number(f, "pid", r->status.pid);
        break;
    case TB_ALERT:
        alert_fields(item, f);
        break;
    default: { /* a strategy's event, or a type newer than this build: the four words */
        static const char *const names[] = {"body0", "body1", "body2", "body3"};
        for (size_t i = 0; i < TB_COUNT(names); i++)
            add_number(f, names[i], r->body[i]);
        break;
    }
    }
}

void fields_of(const struct record_item *item, struct fields *f)
{
    const struct tb_record *r = item->record;
    f->count = 0;
    add_text(f, "stream", item->stream);
    add_number(f, "seq", r->seq);
    add_text(f, "type", tb_record_type_name(r->type));
    add_text(f, "venue", item->instrument ? item->instrument->venue : NULL);
    add_text(f, "symbol", item->instrument ? item->instrument->symbol : NULL);
    add_time(f, "ts_event", r->ts_event);
    add_time(f, "ts_recv", r->ts_recv);
    add_number(f, "publish_delta_ns", r->publish_delta_ns);
    add_text(f, "flags", flag_names(r->flags, f->flags));
    body_fields(item, f);
}
