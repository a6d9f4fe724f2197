/*
 * OHLCV: all timeframes of one market in one pass over its trades.
 *
 * A bucket is half-open, [start, start + width), aligned to the Unix epoch in UTC, by the venue's
 * trade time. A candle opens at its first trade (as Binance and Kraken do); an empty bucket makes
 * no candle. A bucket is complete when a trade of a later bucket arrives; the last bucket of a
 * stream that ends stays forming. A trade older than the open bucket (venues do step back) is
 * counted in `late` and otherwise left out of that timeframe. Sums that do not fit are held at the
 * limit.
 *
 * Trades of one second are in one bucket of every timeframe, so they are summed once, in `recent`,
 * and added to the eight candles together: when a trade of another second comes, or by
 * tb_candles_settle().
 */
#ifndef TICKBUS_CANDLE_H
#define TICKBUS_CANDLE_H

#include <tickbus/base.h>
#include <tickbus/record.h>

TB_EXTERN_BEGIN

enum tb_timeframe {
    TB_TIMEFRAME_1S,
    TB_TIMEFRAME_1M,
    TB_TIMEFRAME_5M,
    TB_TIMEFRAME_15M,
    TB_TIMEFRAME_30M,
    TB_TIMEFRAME_1H,
    TB_TIMEFRAME_4H,
    TB_TIMEFRAME_1D,
    TB_TIMEFRAMES
};

extern const tb_ns tb_timeframe_width[TB_TIMEFRAMES];
/* "1s" "1m" "5m" "15m" "30m" "1h" "4h" "1d" */
extern const char *const tb_timeframe_name[TB_TIMEFRAMES];
int tb_timeframe_parse(const char *name); /* a timeframe, or -EINVAL */

/* tb_bucket_start: of the bucket that holds t (also for t before 1970). */
tb_ns tb_bucket_start(tb_ns t, enum tb_timeframe timeframe);

struct tb_candle {
    tb_ns start;
    tb_ns ts_recv; /* of the last trade in it */
    int64_t open, high, low, close;
    int64_t volume;
    int64_t taker_buy_volume;
    tb_wide turnover;     /* exponent price_exp + size_exp */
    uint32_t trades;      /* saturates; 0: no candle */
    uint32_t reserved[3]; /* to the end of the struct: copies hold no byte that is not set */
};

/* Trades that are not in the candles yet. None of their prices and sizes is negative. */
struct tb_candle_recent {
    tb_ns start;    /* trades of [start, start + width) belong to every open bucket ... */
    uint64_t width; /* ... 0: none does, the next trade opens one */
    int64_t high, low, close;
    int64_t volume, taker_buy_volume, turnover;
    tb_ns ts_recv;
    uint64_t trades; /* 0: nothing to add */
};

/* Everything known of one market. Plain data without pointers: a checkpoint may copy it. */
struct tb_candles {
    struct tb_candle_recent recent;
    uint64_t late;
    uint64_t overflows; /* sums that did not fit and were held at the limit */
    int8_t price_exp;
    int8_t size_exp;
    uint8_t changed; /* bit per timeframe: forming candle has changed since it was given out */
    uint8_t reserved[5];
    tb_ns published[TB_TIMEFRAMES]; /* venue time at which the forming candle was last given out */
    uint64_t reserved2; /* no byte before the candles, which are aligned to 16, is without a name */
    struct tb_candle candle[TB_TIMEFRAMES]; /* exact after tb_candles_settle() */
};

void tb_candles_init(struct tb_candles *c, int8_t price_exp, int8_t size_exp);

/*
 * tb_candles_trade: add one trade, `count` venue trades merged into it (what `trades` counts; 0 is
 * 1). `time` is the trade's ts_event, or ts_recv if that is 0. Each candle that this trade
 * completes is handed to `completed` with its timeframe, shortest timeframe first, before the new
 * bucket is opened.
 */
void tb_candles_trade(struct tb_candles *c, tb_ns time, tb_ns ts_recv, int64_t price, int64_t size,
                      uint8_t side, uint16_t count,
                      void (*completed)(void *context, enum tb_timeframe timeframe,
                                        const struct tb_candle *candle),
                      void *context);

/* tb_candles_settle: bring candle[] up to the last trade. Call it before reading them. */
void tb_candles_settle(struct tb_candles *c);

/* tb_candles_refine: rescale to finer exponents. 0, -ERANGE (something no longer fits;
 * unchanged). */
int tb_candles_refine(struct tb_candles *c, int8_t price_exp, int8_t size_exp);

/* tb_candle_to_records: the two records of a candle; seq and publish_delta_ns are left 0. */
void tb_candle_to_records(const struct tb_candle *candle, enum tb_timeframe timeframe,
                          uint16_t instrument, bool forming, struct tb_record out_records[2]);

/*
 * tb_candle_from_records: the reverse. `prices` then `volume`, same instrument, timeframe and
 * start. False if they do not belong together. *out_forming may be NULL.
 */
bool tb_candle_from_records(const struct tb_record *prices, const struct tb_record *volume,
                            struct tb_candle *out_candle, enum tb_timeframe *out_timeframe,
                            bool *out_forming);

TB_EXTERN_END

#endif
