/*
 * What the metrics say of one market: last trade, best prices, counters, the book's top and the
 * forming candles. Pure: records in, numbers kept as exact decimals; doubles are made when
 * rendered.
 *
 * A market belongs to the stream that named it first. Bid, ask and spread are the venue's quotes as
 * soon as there has been one (they are never older than the book), else the top of the book.
 */
#ifndef TICKBUS_METRICS_MARKET_H
#define TICKBUS_METRICS_MARKET_H

#include <tickbus/base.h>
#include <tickbus/book.h>
#include <tickbus/candle.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#define MARKET_LEVELS 20 /* of the book, each side, that are exported */
/* Binance gives 5000 levels in a snapshot; a shallower book runs dry at its far end. */
#define MARKET_BOOK_DEPTH 5000
#define MARKET_CHANNELS 3 /* trades, book, quotes: enum tb_channel - 1 */

struct market_number {
    int64_t mantissa;
    int8_t exp;
    bool known;
    uint8_t reserved[6];
};

struct market_candle {
    tb_ns start;
    int64_t open, high, low, close, volume;
    int8_t price_exp, size_exp;
    bool known;
    uint8_t reserved[5];
};

enum market_side { MARKET_BUY, MARKET_SELL, MARKET_UNKNOWN, MARKET_SIDES };

/* Plain data: a checkpoint copies it. */
struct market_state {
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    char stream[TB_STREAM_BYTES]; /* empty: known from the configuration only, so far */
    struct market_number last, last_size, bid, ask;
    uint64_t trades[MARKET_SIDES];
    __int128 volume;
    int8_t volume_exp;
    bool quoted;
    uint8_t reserved[6];
    tb_ns tick_time;  /* ts_recv of the last record */
    tb_ns trade_time; /* ts_event of the last trade */
    uint64_t gaps[MARKET_CHANNELS];
    uint64_t missing[MARKET_CHANNELS];
    struct market_candle candle[TB_TIMEFRAMES];
};

/* The book's top as it is exported, NaN where it is not known. */
struct market_top {
    struct {
        double price[MARKET_LEVELS], quantity[MARKET_LEVELS], cumulative[MARKET_LEVELS];
        double depth;    /* sum of quantities */
        double total;    /* depth x best price */
        double notional; /* sum of price x quantity */
    } side[2];           /* bid, ask */
    double bid, ask, spread;
};

struct market {
    struct market_state state;
    struct tb_book book;
    struct market_top top;
    char labels[TB_VENUE_BYTES * 2 + TB_SYMBOL_BYTES * 2 + 24]; /* exchange="..",symbol=".." */
};

/* market_init: give it the memory of its book: 0 or -ENOMEM. market_fini accepts all zero. */
int market_init(struct market *m);
void market_fini(struct market *m);
void market_name(struct market *m, const char *venue, const char *symbol);

/* market_apply: one record of this market's own stream, with its instrument's exponents. */
void market_apply(struct market *m, const struct tb_record *record, int8_t price_exp,
                  int8_t size_exp);

/* market_candle: a forming or completed candle. Older buckets than the one shown are left out. */
void market_candle(struct market *m, enum tb_timeframe timeframe, const struct tb_candle *candle,
                   int8_t price_exp, int8_t size_exp);

/*
 * market_look: make m->top of what is known now. In the middle of a venue event (a batch may end
 * there) the book is not consistent: the top stays as it was.
 */
void market_look(struct market *m);

/* For checkpoints. save returns the bytes written, 0 if they do not fit; load the bytes used, 0 if
 * bad. */
size_t market_save(const struct market *m, void *bytes, size_t capacity);
size_t market_save_size(const struct market *m); /* what save writes now, at most */
size_t market_save_max(void);
size_t market_load(struct market *m, const void *bytes, size_t count);

double market_number_double(const struct market_number *n);

#endif
