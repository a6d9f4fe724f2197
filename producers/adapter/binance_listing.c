/*
 * Binance's listing (exchangeInfo), and what a recording shows of its markets when there is no
 * listing: symbols, channels, and exponents as fine as the numbers in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/binance_state.h"
#include "producers/adapter/listing.h"

/* Quote assets of Binance and Binance.US, for splitting "BTCUSDT" of a recording; a listing has base and
 * quote apart. */
static const char *const quote_assets[] = {
    "USDT", "FDUSD", "USDC", "BUSD", "TUSD", "USDP", "PAX", "USDS", "USDSB", "USD1", "USDE",
    "DAI",  "UST",   "AEUR", "EURI", "BTC",  "ETH",  "BNB", "XRP",  "TRX",   "DOGE", "DOT",
    "SOL",  "VAI",   "BVND", "BIDR", "IDRT", "EUR",  "GBP", "AUD",  "BRL",   "TRY",  "RUB",
    "NGN",  "UAH",   "ZAR",  "JPY",  "MXN",  "ARS",  "PLN", "RON",  "CZK",   "COP",  "USD",
};

/* ---- the listing ---- */

int binance_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    size_t used = (size_t)snprintf(out_path, capacity, "/api/v3/exchangeInfo%s",
                                   count == 0 ? "" : "?symbols=%5B");
    for (size_t i = 0; i < count && used < capacity; i++) {
        used = listing_escape(out_path, used, capacity, i == 0 ? "\"" : ",\"");
        used = listing_escape(out_path, used, capacity, symbols[i]);
        used = listing_escape(out_path, used, capacity, "\"");
    }
    if (count > 0)
        used = listing_escape(out_path, used, capacity, "]");
    return used >= capacity ? -ENOSPC : 0;
}

int binance_usdm_listing_path(const char *const *symbols, size_t count, char *out_path,
                              size_t capacity)
{
    (void)symbols, (void)count; /* all of them: nothing can be asked for alone */
    return (size_t)snprintf(out_path, capacity, "/fapi/v1/exchangeInfo") >= capacity ? -ENOSPC : 0;
}

/* ---- names ---- */

/* What follows "_" in "BTCUSDT_250328": the day it expires; empty: never. */
static const char *expiry_of(const char *raw)
{
    const char *at = strchr(raw, '_');
    return at == NULL ? "" : at + 1;
}

static bool name_spot(const char *raw, char out[TB_SYMBOL_BYTES])
{
    return listing_split(raw, quote_assets, TB_COUNT(quote_assets), out);
}

/* ETHUSDT_210625 of a recording is ETH/USDT:USDT-210625: settled in its quote asset. */
static bool name_usdm(const char *raw, char out[TB_SYMBOL_BYTES])
{
    char pair[TB_SYMBOL_BYTES];
    size_t length = strcspn(raw, "_");
    memcpy(pair, raw, length);
    pair[length] = '\0';
    return name_spot(pair, out) && listing_settle_quote(expiry_of(raw), out);
}

/* ---- listings ---- */

static void read_market(void *context, const struct adapter_market_text *text)
{
    struct adapter_market_config market;
    if (!listing_config(text, LISTING_EXP_DEFAULT, &market) ||
        (text->settle.length > 0 &&
         !listing_settle(text->settle, expiry_of(market.raw), market.symbol)))
        return; /* a name that the bus can not carry */
    listing_take(context, &market);
}

/* Looking at listings and recordings needs no adapter; its decoders are made at the first look. */
static struct binance_decoder *shared_decoder(enum binance_line line)
{
    static struct binance_decoder *decoder[2];
    if (decoder[line] == NULL)
        decoder[line] = binance_decoder_create(line);
    return decoder[line];
}

static int read_listing(enum binance_line line, const char *body, size_t length,
                        void (*each)(void *context, const struct adapter_market_config *market),
                        void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(
        &reader, binance_decode_listing(shared_decoder(line), body, length, read_market, &reader));
}

int binance_listing_read(const char *body, size_t length,
                         void (*each)(void *context, const struct adapter_market_config *market),
                         void *context)
{
    return read_listing(BINANCE_SPOT, body, length, each, context);
}

int binance_usdm_listing_read(const char *body, size_t length,
                              void (*each)(void *context,
                                           const struct adapter_market_config *market),
                              void *context)
{
    return read_listing(BINANCE_USDM, body, length, each, context);
}

/* ---- recordings ---- */

static bool look(const struct binance_message *msg, int8_t exp[2], unsigned *channels)
{
    const struct adapter_text trade[2] = {msg->price, msg->size};
    const struct adapter_text quote[4] = {msg->bid_price, msg->bid_size, msg->ask_price,
                                          msg->ask_size};
    switch (msg->kind) {
    case BINANCE_TRADE:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
        return listing_finest(trade, 2, exp);
    case BINANCE_AGG_TRADE:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_AGGREGATED;
        return listing_finest(trade, 2, exp);
    case BINANCE_QUOTE:
        *channels |= ADAPTER_QUOTES;
        return listing_finest(quote, 4, exp);
    default:
        *channels |= ADAPTER_BOOK;
        return listing_finest_levels(&msg->bids, exp) && listing_finest_levels(&msg->asks, exp);
    }
}

static int scan(enum binance_line line, const char *path, const char *bytes, size_t length,
                struct adapter_market_config *markets, size_t *count, size_t max,
                unsigned *channels)
{
    const struct snapshot_rule *rule =
        line == BINANCE_SPOT ? &binance_spot_rule : &binance_usdm_rule;
    struct binance_message msg;
    struct binance_decoder *decoder = shared_decoder(line);
    if (decoder == NULL)
        return -ENOMEM;
    binance_decode(decoder, bytes, length, &msg);
    if (msg.kind == BINANCE_BAD)
        return -EBADMSG;
    if (msg.kind != BINANCE_TRADE && msg.kind != BINANCE_AGG_TRADE && msg.kind != BINANCE_QUOTE &&
        msg.kind != BINANCE_DEPTH && msg.kind != BINANCE_SNAPSHOT && msg.kind != BINANCE_PARTIAL)
        return 0;
    struct adapter_text symbol = path == NULL ? msg.symbol : snapshot_path_symbol(rule->path, path);
    int8_t exp[2] = {0, 0};
    unsigned seen = 0;
    if (symbol.length == 0)
        return 0;
    if (!look(&msg, exp, &seen))
        return -EBADMSG;
    if (listing_found(symbol, line == BINANCE_SPOT ? name_spot : name_usdm, exp, markets, count,
                      max))
        *channels |= seen;
    return 0;
}

int binance_scan(const char *path, const char *bytes, size_t length,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels)
{
    return scan(BINANCE_SPOT, path, bytes, length, markets, count, max, channels);
}

int binance_usdm_scan(const char *path, const char *bytes, size_t length,
                      struct adapter_market_config *markets, size_t *count, size_t max,
                      unsigned *channels)
{
    return scan(BINANCE_USDM, path, bytes, length, markets, count, max, channels);
}
