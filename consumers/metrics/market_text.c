/*
 * One row per family; METRICS.md has the same rows, and tests/unit/metrics_text.c compares the two.
 * Series that can exist are there from the start: counters at 0, gauges that are not known yet (no
 * trade so far, no valid book) as NaN, which no alert takes for a price.
 */
#include <consumers/metrics/market_text.h>

#include <math.h>
#include <stdio.h>

#include <tickbus/decimal.h>

struct place {
    struct text *text;
    const char *name; /* of the family */
    const struct market *market;
    int which; /* what of several alike: a side, a price of the candle */
};

struct family {
    const char *name;
    const char *type;
    size_t series; /* of one market, at most */
    void (*write)(const struct place *p);
    int which;
    const char *help;
};

static const char *const side_label[] = {"side=\"bid\"", "side=\"ask\""};
static const char *const channel_label[] = {"channel=\"trades\"", "channel=\"book\"",
                                            "channel=\"quotes\""};

static void put(const struct place *p, const char *more, double value)
{
    text_sample(p->text, p->name, p->market->labels, more, value);
}

static double seconds(tb_ns t)
{
    return t == 0 ? NAN : tb_decimal_double(t, -9);
}

static void write_price(const struct place *p)
{
    put(p, "type=\"last\"", market_number_double(&p->market->state.last));
    put(p, "type=\"bid\"", p->market->top.bid);
    put(p, "type=\"ask\"", p->market->top.ask);
}

/* `unknown` appears only at venues that do not name the taker. */
static void write_trades(const struct place *p)
{
    const uint64_t *trades = p->market->state.trades;
    put(p, "side=\"buy\"", (double)trades[MARKET_BUY]);
    put(p, "side=\"sell\"", (double)trades[MARKET_SELL]);
    if (trades[MARKET_UNKNOWN] > 0)
        put(p, "side=\"unknown\"", (double)trades[MARKET_UNKNOWN]);
}

static void write_volume(const struct place *p)
{
    put(p, "", tb_decimal_double_wide(p->market->state.volume, p->market->state.volume_exp));
}

enum candle_field {
    CANDLE_OPEN,
    CANDLE_HIGH,
    CANDLE_LOW,
    CANDLE_CLOSE,
    CANDLE_VOLUME,
    CANDLE_START
};

static double candle_value(const struct market_candle *c, int which)
{
    if (!c->known)
        return NAN;
    switch ((enum candle_field)which) {
    case CANDLE_OPEN:
        return tb_decimal_double(c->open, c->price_exp);
    case CANDLE_HIGH:
        return tb_decimal_double(c->high, c->price_exp);
    case CANDLE_LOW:
        return tb_decimal_double(c->low, c->price_exp);
    case CANDLE_CLOSE:
        return tb_decimal_double(c->close, c->price_exp);
    case CANDLE_VOLUME:
        return tb_decimal_double(c->volume, c->size_exp);
    case CANDLE_START:
    default:
        return tb_decimal_double(c->start, -9);
    }
}

static void write_candle(const struct place *p)
{
    char label[32];
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++) {
        (void)snprintf(label, sizeof(label), "timeframe=\"%s\"", tb_timeframe_name[i]);
        put(p, label, candle_value(&p->market->state.candle[i], p->which));
    }
}

static void write_spread(const struct place *p)
{
    put(p, "", p->market->top.spread);
}

static void write_levels(const struct place *p, const double value[MARKET_LEVELS])
{
    char label[24];
    for (unsigned i = 0; i < MARKET_LEVELS; i++) {
        (void)snprintf(label, sizeof(label), "level=\"%u\"", i);
        put(p, label, value[i]);
    }
}

static void write_level_price(const struct place *p)
{
    write_levels(p, p->market->top.side[p->which].price);
}

static void write_level_quantity(const struct place *p)
{
    write_levels(p, p->market->top.side[p->which].quantity);
}

static void write_level_cumulative(const struct place *p)
{
    write_levels(p, p->market->top.side[p->which].cumulative);
}

static void write_total(const struct place *p)
{
    put(p, "", p->market->top.side[p->which].total);
}

static void write_depth(const struct place *p)
{
    for (unsigned side = 0; side < 2; side++)
        put(p, side_label[side], p->market->top.side[side].depth);
}

static void write_notional(const struct place *p)
{
    for (unsigned side = 0; side < 2; side++)
        put(p, side_label[side], p->market->top.side[side].notional);
}

static void write_last_size(const struct place *p)
{
    put(p, "", market_number_double(&p->market->state.last_size));
}

static void write_tick_time(const struct place *p)
{
    put(p, "", seconds(p->market->state.tick_time));
}

static void write_trade_time(const struct place *p)
{
    put(p, "", seconds(p->market->state.trade_time));
}

static void write_book_time(const struct place *p)
{
    put(p, "", seconds(p->market->book.ts_recv));
}

static void write_book_valid(const struct place *p)
{
    put(p, "", p->market->book.valid ? 1 : 0);
}

static void write_gaps(const struct place *p)
{
    for (unsigned i = 0; i < MARKET_CHANNELS; i++)
        put(p, channel_label[i], (double)p->market->state.gaps[i]);
}

static void write_missing(const struct place *p)
{
    for (unsigned i = 0; i < MARKET_CHANNELS; i++)
        put(p, channel_label[i], (double)p->market->state.missing[i]);
}

static const struct family families[] = {
    {"crypto_price", "gauge", 3, write_price, 0, "Last traded price, best bid and best ask."},
    {"crypto_trades_total", "counter", MARKET_SIDES, write_trades, 0,
     "Trades, by the side of the taker."},
    {"crypto_trade_volume", "counter", 1, write_volume, 0,
     "Traded volume in base units, summed: use increase() or rate()."},
    {"crypto_candle_open", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_OPEN,
     "Open of the current candle."},
    {"crypto_candle_high", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_HIGH,
     "High of the current candle."},
    {"crypto_candle_low", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_LOW,
     "Low of the current candle."},
    {"crypto_candle_close", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_CLOSE,
     "Close (last price) of the current candle."},
    {"crypto_candle_volume", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_VOLUME,
     "Volume of the current candle in base units."},
    {"crypto_spread", "gauge", 1, write_spread, 0, "Best ask less best bid."},
    {"crypto_orderbook_bid_price", "gauge", MARKET_LEVELS, write_level_price, 0,
     "Price of a bid level; level 0 is the best."},
    {"crypto_orderbook_bid_quantity", "gauge", MARKET_LEVELS, write_level_quantity, 0,
     "Quantity at a bid level in base units."},
    {"crypto_orderbook_bid_cumulative", "gauge", MARKET_LEVELS, write_level_cumulative, 0,
     "Quantity from the best bid down to this level."},
    {"crypto_orderbook_ask_price", "gauge", MARKET_LEVELS, write_level_price, 1,
     "Price of an ask level; level 0 is the best."},
    {"crypto_orderbook_ask_quantity", "gauge", MARKET_LEVELS, write_level_quantity, 1,
     "Quantity at an ask level in base units."},
    {"crypto_orderbook_ask_cumulative", "gauge", MARKET_LEVELS, write_level_cumulative, 1,
     "Quantity from the best ask up to this level."},
    {"crypto_total_bids", "gauge", 1, write_total, 0,
     "Quantity of the exported bid levels times the best bid: about their value in quote units."},
    {"crypto_total_asks", "gauge", 1, write_total, 1,
     "Quantity of the exported ask levels times the best ask: about their value in quote units."},
    {"crypto_depth", "gauge", 2, write_depth, 0,
     "Quantity of the exported book levels in base units."},
    {"tickbus_book_notional", "gauge", 2, write_notional, 0,
     "Price times quantity, summed over the exported book levels, in quote units."},
    {"tickbus_book_valid", "gauge", 1, write_book_valid, 0,
     "1 if the order book is in sync with the venue."},
    {"tickbus_book_timestamp_seconds", "gauge", 1, write_book_time, 0,
     "When the order book last changed (receive time)."},
    {"tickbus_last_trade_size", "gauge", 1, write_last_size, 0,
     "Size of the last trade in base units."},
    {"tickbus_last_trade_timestamp_seconds", "gauge", 1, write_trade_time, 0,
     "Time of the last trade, by the clock of the venue."},
    {"tickbus_last_tick_timestamp_seconds", "gauge", 1, write_tick_time, 0,
     "When the last tick of any kind was received."},
    {"tickbus_candle_start_timestamp_seconds", "gauge", TB_TIMEFRAMES, write_candle, CANDLE_START,
     "Start of the current candle."},
    {"tickbus_gaps_total", "counter", MARKET_CHANNELS, write_gaps, 0,
     "Gaps in what the venue sent of this market."},
    {"tickbus_missing_total", "counter", MARKET_CHANNELS, write_missing, 0,
     "Ticks known to be missing in those gaps."},
};

size_t market_text_series(void)
{
    size_t series = 0;
    for (size_t i = 0; i < TB_COUNT(families); i++)
        series += families[i].series;
    return series;
}

void market_text_write(struct text *t, struct market *markets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        market_look(&markets[i]);
    for (size_t f = 0; f < TB_COUNT(families); f++) {
        const struct family *family = &families[f];
        text_family(t, family->name, family->type, family->help);
        for (size_t i = 0; i < count; i++) {
            struct place place = {t, family->name, &markets[i], family->which};
            family->write(&place);
        }
    }
}
