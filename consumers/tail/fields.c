/* A record as a list of named fields. */
#include "tail.h"

#include <stdio.h>
#include <string.h>

#include <tickbus/candle.h>

static const char *const columns[] = {
    "stream",    "seq",       "type",      "venue",
    "symbol",    "ts_event",  "ts_recv",   "publish_delta_ns",
    "flags",     "side",      "price",     "size",
    "trade_id",  "count",     "bid_price", "bid_size",
    "ask_price", "ask_size",  "action",    "level",
    "orders",    "update_id", "timeframe", "forming",
    "open",      "high",      "low",       "close",
    "volume",    "turnover",  "trades",    "taker_buy_volume",
    "reason",    "channel",   "from",      "to",
    "missing",   "code",      "detail",    "pid",
    "rule",      "state",     "severity",  "value",
    "threshold", "since",     "alert_id",  "venue_seq",
    "body0",     "body1",     "body2",     "body3",
    NULL,
};

const char *const *tail_columns(void)
{
    return columns;
}

bool tail_is_column(const char *name)
{
    for (size_t i = 0; columns[i] != NULL; i++)
        if (strcmp(columns[i], name) == 0)
            return true;
    return false;
}

static struct tail_field *add(struct tail_fields *f, const char *name, enum tail_kind kind)
{
    TB_ASSERT(f->count < TAIL_FIELDS_MAX);
    struct tail_field *field = &f->field[f->count++];
    *field = (struct tail_field){.name = name, .kind = kind};
    return field;
}

static void add_text(struct tail_fields *f, const char *name, const char *text)
{
    add(f, name, text == NULL ? TAIL_NOTHING : TAIL_TEXT)->text = text;
}

static void add_number(struct tail_fields *f, const char *name, __int128 number)
{
    add(f, name, TAIL_NUMBER)->number = number;
}

/* Without its instrument a mantissa has no value: better nothing than a wrong number. */
static void add_decimal(struct tail_fields *f, const struct tail_item *item, const char *name,
                        __int128 mantissa, int exp)
{
    struct tail_field *field = add(f, name, item->instrument ? TAIL_NUMBER : TAIL_NOTHING);
    field->number = mantissa;
    field->exp = exp;
}

static void add_time(struct tail_fields *f, const char *name, tb_ns t)
{
    add(f, name, t == 0 ? TAIL_NOTHING : TAIL_TIME)->number = t;
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

static void trade_fields(const struct tail_item *item, int price_exp, int size_exp,
                         struct tail_fields *f)
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

static void quote_fields(const struct tail_item *item, int price_exp, int size_exp,
                         struct tail_fields *f)
{
    const struct tb_quote *q = &item->record->quote;
    add_decimal(f, item, "bid_price", q->bid_price, price_exp);
    add_decimal(f, item, "bid_size", q->bid_size, size_exp);
    add_decimal(f, item, "ask_price", q->ask_price, price_exp);
    add_decimal(f, item, "ask_size", q->ask_size, size_exp);
}

static void level_fields(const struct tail_item *item, int price_exp, int size_exp,
                         struct tail_fields *f)
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

static void candle_fields(const struct tail_item *item, int price_exp, int size_exp,
                          struct tail_fields *f)
{
    const struct tb_record *r = item->record;
    add_text(f, "timeframe", tb_timeframe_name[tb_record_timeframe(r)]);
    add(f, "forming", TAIL_BOOL)->number = (r->flags & TB_F_FORMING) != 0;
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

static void gap_fields(const struct tb_gap *g, struct tail_fields *f)
{
    add_text(f, "reason", tb_gap_reason_name(g->reason));
    add_text(f, "channel", tb_channel_name(g->channel));
    add_number(f, "from", g->from);
    add_number(f, "to", g->to);
    add_number(f, "missing", g->missing);
}

static void alert_fields(const struct tail_item *item, struct tail_fields *f)
{
    const struct tb_alert *a = &item->record->alert;
    add_text(f, "rule", item->instrument ? item->instrument->label : NULL);
    add_text(f, "state", tb_alert_state_name(a->state));
    add_text(f, "severity", tb_severity_name(a->severity));
    bool sane = a->value_exp <= 0 && a->value_exp >= TB_EXP_MIN;
    struct tail_field *value = add(f, "value", sane ? TAIL_NUMBER : TAIL_NOTHING);
    value->number = a->value;
    value->exp = a->value_exp;
    struct tail_field *threshold = add(f, "threshold", sane ? TAIL_NUMBER : TAIL_NOTHING);
    threshold->number = a->threshold;
    threshold->exp = a->value_exp;
    add_time(f, "since", a->since);
    add_number(f, "alert_id", a->alert_id);
}

static void body_fields(const struct tail_item *item, struct tail_fields *f)
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

void tail_fields(const struct tail_item *item, struct tail_fields *f)
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
