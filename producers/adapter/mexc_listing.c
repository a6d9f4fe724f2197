/*
 * MEXC's listing (exchangeInfo), and what a recording shows of its markets when there is no listing.
 */
#include <errno.h>
#include <stdio.h>

#include "producers/adapter/binance_json.h"
#include "producers/adapter/listing.h"
#include "producers/adapter/mexc.h"
#include "producers/adapter/mexc_message.h"
#include "producers/adapter/snapshot.h"

/* For splitting "BTCUSDT" of a recording; a listing has base and quote apart. */
static const char *const quote_assets[] = {"USDT", "USDC", "USDE", "USD1", "USDF",
                                           "TUSD", "EUR",  "BRL",  "BTC",  "ETH"};

/* ---- the listing ---- */

/* One symbol can be asked for alone. */
int mexc_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    size_t used = (size_t)snprintf(out_path, capacity, "/api/v3/exchangeInfo%s",
                                   count == 1 ? "?symbol=" : "");
    if (count == 1 && used < capacity)
        used = listing_escape(out_path, used, capacity, symbols[0]);
    return used >= capacity ? -ENOSPC : 0;
}

static void read_market(void *context, const struct adapter_market_text *text)
{
    struct adapter_market_config market;
    if (!listing_config(text, LISTING_EXP_DEFAULT, &market))
        return; /* a name that the bus can not carry */
    listing_take(context, &market);
}

/* Looking at listings and recordings needs no adapter; the decoders are made at the first look. */
static struct binance_decoder *shared_json(void)
{
    static struct binance_decoder *json;
    if (json == NULL)
        json = binance_decoder_create(BINANCE_LIKE_MEXC);
    return json;
}

static struct mexc_decoder *shared_decoder(void)
{
    static struct mexc_decoder *decoder;
    if (decoder == NULL)
        decoder = mexc_decoder_create();
    return decoder;
}

int mexc_listing_read(const char *body, size_t length,
                      void (*each)(void *context, const struct adapter_market_config *market),
                      void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(
        &reader, binance_decode_listing(shared_json(), body, length, read_market, &reader));
}

/* ---- recordings ---- */

static bool name_market(const char *raw, char out[TB_SYMBOL_BYTES])
{
    return listing_split(raw, quote_assets, TB_COUNT(quote_assets), out);
}

static bool look_at_levels(struct mexc_decoder *d, Mexc__Level *const *level, size_t count,
                           int8_t exp[2])
{
    struct adapter_levels levels;
    return mexc_levels(d, level, count, &levels) && listing_finest_levels(&levels, exp);
}

static bool look_at_deals(const Mexc__Deals *deals, int8_t exp[2])
{
    for (size_t i = 0; i < deals->n_deals; i++) {
        const struct adapter_text pair[2] = {mexc_text(deals->deals[i]->price),
                                             mexc_text(deals->deals[i]->quantity)};
        if (!listing_finest(pair, 2, exp))
            return false;
    }
    return true;
}

static bool look_at_quote(const Mexc__BookTicker *ticker, int8_t exp[2])
{
    const ProtobufCBinaryData side[2][2] = {{ticker->bid_price, ticker->bid_quantity},
                                            {ticker->ask_price, ticker->ask_quantity}};
    for (size_t i = 0; i < 2; i++) {
        const struct adapter_text pair[2] = {mexc_text(side[i][0]), mexc_text(side[i][1])};
        if (side[i][0].len > 0 && !listing_finest(pair, 2, exp))
            return false;
    }
    return true;
}

/* The channel that a message shows, 0 if it is none of ours; -1: no numbers. */
static int look(struct mexc_decoder *d, const Mexc__Push *push, int8_t exp[2])
{
    bool fine = true;
    int channel = 0;
    if (push->body_case == MEXC__PUSH__BODY_DEALS) {
        channel = ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
        fine = look_at_deals(push->deals, exp);
    } else if (push->body_case == MEXC__PUSH__BODY_BOOK_TICKER) {
        channel = ADAPTER_QUOTES;
        fine = look_at_quote(push->book_ticker, exp);
    } else if (push->body_case == MEXC__PUSH__BODY_DEPTH) {
        channel = ADAPTER_BOOK;
        fine = look_at_levels(d, push->depth->bids, push->depth->n_bids, exp) &&
               look_at_levels(d, push->depth->asks, push->depth->n_asks, exp);
    } else if (push->body_case == MEXC__PUSH__BODY_LIMIT_DEPTH) {
        channel = ADAPTER_BOOK;
        fine = look_at_levels(d, push->limit_depth->bids, push->limit_depth->n_bids, exp) &&
               look_at_levels(d, push->limit_depth->asks, push->limit_depth->n_asks, exp);
    }
    return fine ? channel : -1;
}

static int scan_push(const char *bytes, size_t length, int8_t exp[2], struct adapter_text *symbol)
{
    struct mexc_decoder *d = shared_decoder();
    if (length > 0 && bytes[0] == '{')
        return 0; /* an answer */
    const Mexc__Push *push = d == NULL ? NULL : mexc_decode(d, bytes, length);
    if (push == NULL)
        return -1;
    *symbol = mexc_text(push->symbol);
    return look(d, push, exp);
}

static int scan_snapshot(const char *bytes, size_t length, int8_t exp[2])
{
    struct binance_message msg = {.kind = BINANCE_BAD};
    if (shared_json() != NULL)
        binance_decode(shared_json(), bytes, length, &msg);
    return msg.kind == BINANCE_SNAPSHOT && listing_finest_levels(&msg.bids, exp) &&
                   listing_finest_levels(&msg.asks, exp)
               ? ADAPTER_BOOK
               : -1;
}

int mexc_scan(const char *path, const char *bytes, size_t length,
              struct adapter_market_config *markets, size_t *count, size_t max, unsigned *channels)
{
    struct adapter_text symbol = {"", 0};
    int8_t exp[2] = {0, 0};
    int seen = 0;
    if (path == NULL)
        seen = scan_push(bytes, length, exp, &symbol);
    else if ((symbol = snapshot_path_symbol(MEXC_DEPTH_PATH, path)).length > 0)
        seen = scan_snapshot(bytes, length, exp);
    if (seen < 0)
        return -EBADMSG;
    if (seen > 0 && listing_found(symbol, name_market, exp, markets, count, max))
        *channels |= (unsigned)seen;
    return 0;
}
