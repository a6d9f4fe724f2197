/*
 * Candles of all timeframes in one pass. Most trades are of the second of the one before: they touch
 * `recent` alone, two cache lines. The bucket's start (a division) is computed only when a bucket is opened.
 *
 * What is in `recent` is not negative, so that sums held at the limit come out the same however the
 * trades are put together: min(limit, sum). Other trades are added to each candle by itself.
 */
#include <tickbus/candle.h>

#include <errno.h>
#include <string.h>

#include <tickbus/decimal.h>
#include <tickbus/instrument.h>

const tb_ns tb_timeframe_width[TB_TIMEFRAMES] = {
    1 * TB_NS_PER_S,    60 * TB_NS_PER_S,   300 * TB_NS_PER_S,   900 * TB_NS_PER_S,
    1800 * TB_NS_PER_S, 3600 * TB_NS_PER_S, 14400 * TB_NS_PER_S, 86400 * TB_NS_PER_S,
};

const char *const tb_timeframe_name[TB_TIMEFRAMES] = {"1s",  "1m", "5m", "15m",
                                                      "30m", "1h", "4h", "1d"};

/* What the record holds of a turnover: 96 bits, two's complement. Sums stop there. */
#define TURNOVER_MAX ((((__int128)1) << 95) - 1)
#define TURNOVER_MIN (-TURNOVER_MAX - 1)

int tb_timeframe_parse(const char *name)
{
    for (int i = 0; i < TB_TIMEFRAMES; i++)
        if (strcmp(name, tb_timeframe_name[i]) == 0)
            return i;
    return -EINVAL;
}

tb_ns tb_bucket_start(tb_ns t, enum tb_timeframe timeframe)
{
    tb_ns width = tb_timeframe_width[timeframe];
    tb_ns into = t % width;
    tb_ns start;
    if (into < 0)
        into += width;
    return __builtin_sub_overflow(t, into, &start) ? INT64_MIN : start;
}

void tb_candles_init(struct tb_candles *c, int8_t price_exp, int8_t size_exp)
{
    memset(c, 0, sizeof(*c));
    c->price_exp = price_exp;
    c->size_exp = size_exp;
}

/* *sum += value, held at the limit and counted where it does not fit. */
static void add_volume(struct tb_candles *c, int64_t *sum, int64_t value)
{
    if (TB_UNLIKELY(__builtin_add_overflow(*sum, value, sum))) {
        *sum = value < 0 ? INT64_MIN : INT64_MAX;
        c->overflows++;
    }
}

static void add_turnover(struct tb_candles *c, __int128 *sum, __int128 value)
{
    *sum += value; /* |sum| <= 2^95 and |value| <= 2^126: it fits */
    if (TB_UNLIKELY(*sum > TURNOVER_MAX || *sum < TURNOVER_MIN)) {
        *sum = *sum < 0 ? TURNOVER_MIN : TURNOVER_MAX;
        c->overflows++;
    }
}

static void open_candle(struct tb_candle *candle, tb_ns start, int64_t price)
{
    memset(candle, 0, sizeof(*candle));
    candle->start = start;
    candle->open = price;
    candle->high = price;
    candle->low = price;
}

static void add_trade(struct tb_candles *c, struct tb_candle *candle, tb_ns ts_recv, int64_t price,
                      int64_t size, uint8_t side, uint32_t count)
{
    if (price > candle->high)
        candle->high = price;
    if (price < candle->low)
        candle->low = price;
    candle->close = price;
    candle->ts_recv = ts_recv;
    add_volume(c, &candle->volume, size);
    if (side == TB_BUY)
        add_volume(c, &candle->taker_buy_volume, size);
    add_turnover(c, &candle->turnover, (__int128)price * size);
    if (__builtin_add_overflow(candle->trades, count, &candle->trades))
        candle->trades = UINT32_MAX;
}

/* Add a trade to `recent`. False, and nothing is changed, if it does not belong or does not fit there. */
static bool add_recent(struct tb_candle_recent *r, tb_ns time, tb_ns ts_recv, int64_t price,
                       int64_t size, uint8_t side, uint32_t count)
{
    int64_t volume, turnover;
    bool fits = (uint64_t)time - (uint64_t)r->start < r->width && (price | size) >= 0 &&
                !__builtin_add_overflow(r->volume, size, &volume) &&
                !__builtin_mul_overflow(price, size, &turnover) &&
                !__builtin_add_overflow(r->turnover, turnover, &turnover);
    if (TB_UNLIKELY(!fits))
        return false;
    r->high = price > r->high ? price : r->high;
    r->low = price < r->low ? price : r->low;
    r->close = price;
    r->ts_recv = ts_recv;
    r->volume = volume;
    r->taker_buy_volume += side == TB_BUY ? size : 0; /* at most the volume: it fits */
    r->turnover = turnover;
    r->trades += count;
    return true;
}

/* From now on, `recent` takes the trades of the open second, if that is in every open bucket. */
static void begin_recent(struct tb_candles *c)
{
    tb_ns start = c->candle[TB_TIMEFRAME_1S].start;
    uint64_t width = (uint64_t)tb_timeframe_width[TB_TIMEFRAME_1S];
    bool inside = true;
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++) {
        const struct tb_candle *candle = &c->candle[i];
        inside =
            inside && start >= candle->start &&
            (uint64_t)start - (uint64_t)candle->start <= (uint64_t)tb_timeframe_width[i] - width;
    }
    c->recent = (struct tb_candle_recent){
        .start = start, .width = inside ? width : 0, .high = INT64_MIN, .low = INT64_MAX};
}

void tb_candles_settle(struct tb_candles *c)
{
    struct tb_candle_recent *r = &c->recent;
    if (r->trades == 0)
        return;
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++) {
        struct tb_candle *candle = &c->candle[i];
        candle->high = r->high > candle->high ? r->high : candle->high;
        candle->low = r->low < candle->low ? r->low : candle->low;
        candle->close = r->close;
        candle->ts_recv = r->ts_recv;
        add_volume(c, &candle->volume, r->volume);
        add_volume(c, &candle->taker_buy_volume, r->taker_buy_volume);
        add_turnover(c, &candle->turnover, r->turnover);
        uint64_t trades = candle->trades + r->trades;
        candle->trades = trades < UINT32_MAX ? (uint32_t)trades : UINT32_MAX;
    }
    r->high = INT64_MIN;
    r->low = INT64_MAX;
    r->volume = r->taker_buy_volume = r->turnover = 0;
    r->trades = 0;
}

void tb_candles_trade(struct tb_candles *c, tb_ns time, tb_ns ts_recv, int64_t price, int64_t size,
                      uint8_t side, uint16_t count,
                      void (*completed)(void *context, enum tb_timeframe timeframe,
                                        const struct tb_candle *candle),
                      void *context)
{
    /* A record that says 0 trades is one all the same: trades == 0 means "no candle" here. */
    uint32_t trades = count > 0 ? count : 1;
    if (TB_LIKELY(add_recent(&c->recent, time, ts_recv, price, size, side, trades))) {
        c->changed = (uint8_t)((1U << TB_TIMEFRAMES) - 1);
        return;
    }
    tb_candles_settle(c);
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++) {
        enum tb_timeframe timeframe = (enum tb_timeframe)i;
        struct tb_candle *candle = &c->candle[i];
        if (candle->trades == 0) {
            open_candle(candle, tb_bucket_start(time, timeframe), price);
        } else if (time < candle->start) {
            c->late++;
            continue;
        } else if ((uint64_t)time - (uint64_t)candle->start >= (uint64_t)tb_timeframe_width[i]) {
            completed(context, timeframe, candle);
            open_candle(candle, tb_bucket_start(time, timeframe), price);
        }
        add_trade(c, candle, ts_recv, price, size, side, trades);
        c->changed |= (uint8_t)(1U << i);
    }
    begin_recent(c);
}

static bool refine_turnover(__int128 *turnover, int steps)
{
    __int128 value = *turnover;
    for (int i = 0; i < steps && value != 0; i++) {
        value *= 10; /* 96 bits and four more */
        if (value > TURNOVER_MAX || value < TURNOVER_MIN)
            return false;
    }
    *turnover = value;
    return true;
}

static bool refine_candle(struct tb_candle *candle, const struct tb_candles *from, int price_exp,
                          int size_exp)
{
    int64_t *prices[] = {&candle->open, &candle->high, &candle->low, &candle->close};
    int64_t *volumes[] = {&candle->volume, &candle->taker_buy_volume};
    for (size_t i = 0; i < TB_COUNT(prices); i++)
        if (tb_decimal_rescale(*prices[i], from->price_exp, price_exp, prices[i]) != 0)
            return false;
    for (size_t i = 0; i < TB_COUNT(volumes); i++)
        if (tb_decimal_rescale(*volumes[i], from->size_exp, size_exp, volumes[i]) != 0)
            return false;
    return refine_turnover(&candle->turnover,
                           from->price_exp - price_exp + from->size_exp - size_exp);
}

int tb_candles_refine(struct tb_candles *c, int8_t price_exp, int8_t size_exp)
{
    if (price_exp > c->price_exp || size_exp > c->size_exp)
        return -ERANGE; /* coarser: digits would be lost */
    struct tb_candles finer = *c;
    tb_candles_settle(&finer);
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++)
        if (finer.candle[i].trades > 0 && !refine_candle(&finer.candle[i], c, price_exp, size_exp))
            return -ERANGE;
    finer.price_exp = price_exp;
    finer.size_exp = size_exp;
    *c = finer;
    return 0;
}

void tb_candle_to_records(const struct tb_candle *candle, enum tb_timeframe timeframe,
                          uint16_t instrument, bool forming, struct tb_record out_records[2])
{
    memset(out_records, 0, 2 * sizeof(out_records[0]));
    uint8_t flags = forming ? TB_F_FORMING : 0;
    for (int i = 0; i < 2; i++) {
        out_records[i].ts_event = candle->start;
        out_records[i].ts_recv = candle->ts_recv;
        out_records[i].instrument = instrument;
        out_records[i].flags = flags;
    }
    out_records[0].type = (uint8_t)(TB_CANDLE + timeframe);
    out_records[0].candle = (struct tb_candle_prices){
        .open = candle->open, .high = candle->high, .low = candle->low, .close = candle->close};
    out_records[1].type = (uint8_t)(TB_CANDLE_VOLUME + timeframe);
    out_records[1].flags = flags | TB_F_LAST;
    out_records[1].candle_volume =
        (struct tb_candle_volume){.volume = candle->volume,
                                  .turnover_low = (uint64_t)candle->turnover,
                                  .trades = candle->trades,
                                  .turnover_high = (int32_t)(candle->turnover >> 64),
                                  .taker_buy_volume = candle->taker_buy_volume};
}

bool tb_candle_from_records(const struct tb_record *prices, const struct tb_record *volume,
                            struct tb_candle *out_candle, enum tb_timeframe *out_timeframe,
                            bool *out_forming)
{
    unsigned timeframe = (unsigned)prices->type - TB_CANDLE;
    if (timeframe >= TB_TIMEFRAMES || volume->type != TB_CANDLE_VOLUME + timeframe ||
        prices->instrument != volume->instrument || prices->ts_event != volume->ts_event ||
        ((prices->flags ^ volume->flags) & TB_F_FORMING) != 0)
        return false;
    const struct tb_candle_volume *v = &volume->candle_volume;
    *out_candle = (struct tb_candle){
        .start = prices->ts_event,
        .ts_recv = prices->ts_recv,
        .open = prices->candle.open,
        .high = prices->candle.high,
        .low = prices->candle.low,
        .close = prices->candle.close,
        .volume = v->volume,
        .taker_buy_volume = v->taker_buy_volume,
        .turnover = (__int128)v->turnover_high * ((__int128)1 << 64) + v->turnover_low,
        .trades = v->trades,
    };
    *out_timeframe = (enum tb_timeframe)timeframe;
    if (out_forming != NULL)
        *out_forming = (prices->flags & TB_F_FORMING) != 0;
    return true;
}
