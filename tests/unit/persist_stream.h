/*
 * Two made-up streams for the tests of persist: "venue", with trades, books, gaps, snapshots and a
 * refinement of two markets, and "candles", made of its trades. The same for the same seed.
 */
#ifndef TICKBUS_TESTS_PERSIST_STREAM_H
#define TICKBUS_TESTS_PERSIST_STREAM_H

#include <string.h>

#include "consumers/persist/persist.h"
#include "unit/random.h"

#define STREAM_RECORDS 4000
#define STREAM_START (INT64_C(1723161255) * TB_NS_PER_S)

struct made_stream {
    struct tb_record record[2 * STREAM_RECORDS];
    size_t count;
};

struct made {
    struct tb_instrument instrument[4]; /* 1 and 3 are one market */
    struct made_stream stream[2];       /* venue, candles */
};

static inline const struct tb_instrument *made_lookup(void *context, unsigned input, uint16_t id)
{
    struct made *m = context;
    (void)input;
    return id >= 1 && id <= 3 ? &m->instrument[id - 1] : NULL;
}

/* How the tests of persist are configured that look at these streams. */
static inline struct persist_config made_config(struct made *m, size_t buffer_rows)
{
    return (struct persist_config){
        .depth_levels = 20,
        .book_depth = 100,
        .books = 4,
        .snapshot_every = TB_NS_PER_S,
        .forming = PERSIST_FORMING_DRAIN,
        .buffer_rows = buffer_rows,
        .lookup = made_lookup,
        .context = m,
    };
}

static inline struct tb_record *made_add(struct made_stream *s, uint16_t instrument, uint8_t type,
                                         tb_ns t)
{
    struct tb_record *r = &s->record[s->count++];
    memset(r, 0, sizeof(*r));
    r->seq = s->count;
    r->instrument = instrument;
    r->type = type;
    r->flags = TB_F_LAST;
    r->ts_event = t;
    r->ts_recv = t + 1000;
    return r;
}

static inline void made_level(struct made_stream *s, uint16_t instrument, tb_ns t, uint8_t side,
                              int64_t price, int64_t size, uint8_t flags)
{
    struct tb_record *r = made_add(s, instrument, TB_LEVEL, t);
    r->level.side = side;
    r->level.price = price;
    r->level.size = size;
    r->level.update_id = s->count;
    r->flags = flags;
}

static inline void made_snapshot(struct made_stream *s, uint16_t instrument, tb_ns t)
{
    int64_t unit = instrument == 3 ? 10 : 1; /* the refined entry's prices have a digit more */
    struct tb_record *r = made_add(s, instrument, TB_CLEAR, t);
    r->flags = TB_F_SNAPSHOT;
    for (int k = 0; k < 30; k++) {
        made_level(s, instrument, t, TB_BUY, (10000 - k) * unit, 1 + k, TB_F_SNAPSHOT);
        made_level(s, instrument, t, TB_SELL, (10001 + k) * unit, 2 + k,
                   k == 29 ? TB_F_SNAPSHOT | TB_F_LAST : TB_F_SNAPSHOT);
    }
}

static inline void made_candle(void *context, enum tb_timeframe tf, const struct tb_candle *candle)
{
    struct made_stream *s = context;
    tb_candle_to_records(candle, tf, 1, false, &s->record[s->count]);
    s->record[s->count].seq = s->count + 1;
    s->record[s->count + 1].seq = s->count + 2;
    s->count += 2;
}

static inline void made_forming(struct made_stream *s, struct tb_candles *c)
{
    tb_candles_settle(c);
    for (unsigned tf = 0; tf < TB_TIMEFRAMES; tf++) {
        tb_candle_to_records(&c->candle[tf], (enum tb_timeframe)tf, 1, true, &s->record[s->count]);
        s->record[s->count].seq = s->count + 1;
        s->record[s->count + 1].seq = s->count + 2;
        s->count += 2;
    }
}

static inline void made_init(struct made *m, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    for (uint16_t id = 1; id <= 3; id++) {
        struct tb_instrument *entry = &m->instrument[id - 1];
        strcpy(entry->venue, "binance");
        strcpy(entry->symbol, id == 2 ? "ETH/USDT" : "BTC/USDT");
        entry->market = id == 2 ? 2 : 1;
        entry->price_exp = id == 3 ? -3 : -2;
        entry->size_exp = -5;
    }
    struct made_stream *venue = &m->stream[0];
    struct tb_candles candles;
    tb_candles_init(&candles, -3, -5);
    tb_ns t = STREAM_START;
    struct random x = {.seed = seed, .state = seed};
    while (venue->count < STREAM_RECORDS) {
        t += (tb_ns)(random_next(&x) % 60) * TB_NS_PER_MS;
        uint16_t id = random_next(&x) % 3 == 0 ? 2 : venue->count < STREAM_RECORDS / 2 ? 1 : 3;
        int64_t unit = id == 3 ? 10 : 1;
        int64_t price = (9990 + (int64_t)(random_next(&x) % 20)) * unit;
        int64_t size = (int64_t)(random_next(&x) % 1000);
        unsigned what = (unsigned)(random_next(&x) % 200);
        if (venue->count < 2 || what == 0) {
            made_snapshot(venue, id, t);
        } else if (what == 1) {
            struct tb_record *r = made_add(venue, id, TB_GAP, t);
            r->gap = (struct tb_gap){.from = 5,
                                     .to = 7,
                                     .reason = TB_GAP_SEQUENCE,
                                     .missing = 3,
                                     .channel = TB_CHANNEL_BOOK};
        } else if (what < 80) {
            struct tb_record *r = made_add(venue, id, TB_TRADE, t);
            r->trade = (struct tb_trade){.price = price,
                                         .size = size + 1,
                                         .trade_id = venue->count,
                                         .side = what & 1 ? TB_BUY : TB_SELL,
                                         .count = 1};
            if (id != 2)
                tb_candles_trade(&candles, t, t + 1000, price * (10 / unit), size + 1,
                                 r->trade.side, 1, made_candle, &m->stream[1]);
            if (id != 2 && what == 2 && m->stream[1].count < 2 * STREAM_RECORDS - 64)
                made_forming(&m->stream[1], &candles);
        } else {
            made_level(venue, id, t, what < 140 ? TB_BUY : TB_SELL,
                       (what < 140 ? price : price + 20 * unit), size, what % 3 ? TB_F_LAST : 0);
        }
    }
    /* The candle records name the refined entry, as their exponents say. */
    for (size_t k = 0; k < m->stream[1].count; k++)
        m->stream[1].record[k].instrument = 3;
}

#endif
