/* Trades, candles, alerts and gaps to rows; and the rows that a drain makes of what is left. */
#include "consumers/persist/persist_private.h"

#include <tickbus/decimal.h>

void persist_take_trade(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = persist_market_of(p, i, r->instrument, &id);
    if (m == NULL || r->instrument == 0) {
        p->unusable++;
        return;
    }
    struct persist_row *row =
        persist_add_row(p, i, m, PERSIST_TRADE, 2 * r->seq, persist_stream_time(r));
    if (row == NULL)
        return;
    row->trade.price = tb_decimal_double(r->trade.price, id->price_exp);
    row->trade.amount = tb_decimal_double(r->trade.size, id->size_exp);
    row->trade.cost = tb_decimal_double_wide((__int128)r->trade.price * r->trade.size,
                                             id->price_exp + id->size_exp);
    row->trade.trade_id = r->trade.trade_id;
    row->trade.side = r->trade.side;
}

static void fill_candle(struct persist_row *row, const struct tb_candle *c, unsigned timeframe,
                        int price_exp, int size_exp, bool closed)
{
    row->candle.open = tb_decimal_double(c->open, price_exp);
    row->candle.high = tb_decimal_double(c->high, price_exp);
    row->candle.low = tb_decimal_double(c->low, price_exp);
    row->candle.close = tb_decimal_double(c->close, price_exp);
    row->candle.volume = tb_decimal_double(c->volume, size_exp);
    row->candle.turnover = tb_decimal_double_wide(c->turnover, price_exp + size_exp);
    row->candle.taker_buy_volume = tb_decimal_double(c->taker_buy_volume, size_exp);
    row->candle.trades = c->trades;
    row->candle.timeframe = (uint8_t)timeframe;
    row->candle.closed = closed;
}

static void keep_forming(struct persist *p, unsigned i, struct persist_market *m,
                         const struct persist_id *id, const struct tb_record *r,
                         const struct tb_candle *candle, unsigned tf)
{
    m->frame[tf].candle = *candle;
    m->frame[tf].price_exp = id->price_exp;
    m->frame[tf].size_exp = id->size_exp;
    m->forming |= (uint8_t)(1U << tf);
    tb_ns bucket = persist_bucket(r->ts_recv, TB_NS_PER_S);
    if (p->config.forming != PERSIST_FORMING_LIVE ||
        !persist_bucket_is_new(bucket, m->frame[tf].bucket, TB_NS_PER_S))
        return;
    m->frame[tf].bucket = bucket;
    struct persist_row *row = persist_add_row(p, i, m, PERSIST_CANDLE, 2 * r->seq, candle->start);
    if (row != NULL)
        fill_candle(row, candle, tf, id->price_exp, id->size_exp, false);
    m->forming &= (uint8_t) ~(1U << tf);
}

void persist_take_candle(struct persist *p, unsigned i, const struct tb_record *r, bool state)
{
    struct persist_input *in = &p->input[i];
    if ((r->type & 0xF8) == TB_CANDLE) {
        in->prices = *r;
        return;
    }
    struct tb_candle candle;
    enum tb_timeframe tf;
    bool forming;
    const struct persist_id *id;
    bool whole = in->prices.seq != 0 && in->prices.seq + 1 == r->seq &&
                 tb_candle_from_records(&in->prices, r, &candle, &tf, &forming);
    in->prices.seq = 0;
    struct persist_market *m = whole ? persist_market_of(p, i, r->instrument, &id) : NULL;
    if (m == NULL || r->instrument == 0) {
        /* Half of a candle is no surprise where reading began between the two records. */
        p->unusable++;
        return;
    }
    if (forming) {
        if (state)
            keep_forming(p, i, m, id, r, &candle, tf);
        return;
    }
    struct persist_row *row = persist_add_row(p, i, m, PERSIST_CANDLE, 2 * r->seq, candle.start);
    if (row != NULL)
        fill_candle(row, &candle, tf, id->price_exp, id->size_exp, true);
    if (state && m->frame[tf].candle.start <= candle.start)
        m->forming &= (uint8_t) ~(1U << tf);
}

void persist_take_alert(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = persist_market_of(p, i, r->instrument, &id);
    if (m == NULL || r->alert.value_exp < TB_EXP_MIN || r->alert.value_exp > 0) {
        p->unusable++;
        return;
    }
    struct persist_row *row =
        persist_add_row(p, i, m, PERSIST_ALERT, 2 * r->seq, persist_stream_time(r));
    if (row == NULL)
        return;
    row->alert.value = tb_decimal_double(r->alert.value, r->alert.value_exp);
    row->alert.threshold = tb_decimal_double(r->alert.threshold, r->alert.value_exp);
    row->alert.since = persist_seconds(r->alert.since);
    row->alert.alert_id = r->alert.alert_id;
    row->alert.state = r->alert.state;
    row->alert.severity = r->alert.severity;
}

void persist_add_gap(struct persist *p, unsigned i, const struct persist_market *m,
                     uint64_t position, tb_ns time, const struct tb_gap *gap)
{
    struct persist_row *row = persist_add_row(p, i, m, PERSIST_GAP, position, time);
    if (row == NULL)
        return;
    row->gap.from = gap->from;
    row->gap.to = gap->to;
    row->gap.missing = gap->missing;
    row->gap.reason = gap->reason;
    row->gap.channel = gap->channel;
}

void persist_take_gap(struct persist *p, unsigned i, const struct tb_record *r, bool state)
{
    const struct persist_id *id;
    const struct persist_market *m = persist_market_of(p, i, r->instrument, &id);
    persist_add_gap(p, i, m != NULL ? m : &p->input[i].market[0], 2 * r->seq,
                    persist_stream_time(r), &r->gap);
    if (state)
        persist_tell_books(p, i, r);
}

/* ---- drain ---- */

size_t persist_drain_rows(struct persist *p, unsigned i, uint32_t market)
{
    struct persist_row *out_rows = p->scratch;
    const struct persist_input *in = &p->input[i];
    const struct persist_market *m = &in->market[market];
    size_t n = 0;
    if (m->book >= 0 && m->book_seq > m->snapshot_seq && p->book[m->book].valid &&
        !p->book[m->book].in_event)
        n = persist_make_snapshot(p, i, market, 2 * m->book_seq + 1, out_rows);
    for (unsigned tf = 0; p->config.forming != PERSIST_FORMING_OFF && tf < TB_TIMEFRAMES; tf++) {
        if ((m->forming & 1U << tf) == 0)
            continue;
        out_rows[n] = (struct persist_row){
            .position = 2 * in->taken + 1,
            .timestamp = persist_seconds(m->frame[tf].candle.start),
            .kind = PERSIST_CANDLE,
            .input = (uint8_t)i,
            .market = (uint16_t)market,
        };
        fill_candle(&out_rows[n++], &m->frame[tf].candle, tf, m->frame[tf].price_exp,
                    m->frame[tf].size_exp, false);
    }
    return n;
}

void persist_drained(struct persist *p, unsigned i)
{
    struct persist_input *in = &p->input[i];
    for (uint32_t k = 0; k < in->market_count; k++) {
        struct persist_market *m = &in->market[k];
        m->forming = 0;
        if (m->book >= 0 && p->book[m->book].valid && !p->book[m->book].in_event)
            m->snapshot_seq = m->book_seq;
    }
}
