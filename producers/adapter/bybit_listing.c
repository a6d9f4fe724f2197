#include "producers/adapter/bybit_listing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/bybit_json.h"
#include "producers/adapter/listing.h"

/* Quote assets of Bybit, for splitting "BTCUSDT" of a recording; a listing has base and quote apart. */
static const char *const quote_assets[] = {
    "USDT", "USDC", "USDE", "USD1", "USDQ", "USDR", "EURQ", "EURR", "XUSD", "RLUSD", "DAI",
    "BTC",  "ETH",  "SOL",  "MNT",  "EUR",  "BRL",  "BRZ",  "TRY",  "PLN",  "GBP",   "USD",
};

/* Looking at listings and recordings needs no adapter; this decoder is made at the first look. */
static struct bybit_decoder *shared_decoder(void)
{
    static struct bybit_decoder *decoder;
    if (decoder == NULL)
        decoder = bybit_decoder_create();
    return decoder;
}

/* ---- the listing ---- */

const char *const bybit_listing_kinds[] = {"BTC/USDT", "BTC/USDT:USDT", NULL};

/* Always all of a kind: a symbol that it does not know makes an error of the whole answer. Spot has no pages;
 * of contracts a page has 1000 at most, more than there are. */
int bybit_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    bool linear = symbols != NULL && strchr(symbols[0], ':') != NULL;
    (void)count;
    size_t used = (size_t)snprintf(out_path, capacity, "/v5/market/instruments-info?category=%s",
                                   linear ? "linear&limit=1000" : "spot");
    return used >= capacity ? -ENOSPC : 0;
}

/* BTC/USDT:USDT. Contracts with an end (BTC-26JUN26) keep their raw names, as in recordings. */
static bool name_contract(struct adapter_text settle, struct adapter_market_config *market)
{
    if (strchr(market->raw, '-') == NULL)
        return listing_settle(settle, "", market->symbol);
    memcpy(market->symbol, market->raw, sizeof(market->symbol));
    return true;
}

static void read_market(void *context, const struct adapter_market_text *text)
{
    struct adapter_market_config market;
    if (!listing_config(text, LISTING_EXP_DEFAULT, &market) ||
        (text->settle.length > 0 && !name_contract(text->settle, &market)))
        return; /* a name that the bus can not carry */
    listing_take(context, &market);
}

int bybit_listing_read(const char *body, size_t length,
                       void (*each)(void *context, const struct adapter_market_config *market),
                       void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(
        &reader, bybit_decode_listing(shared_decoder(), body, length, read_market, &reader));
}

/* ---- recordings ---- */

static bool name_spot(const char *raw, char out[TB_SYMBOL_BYTES])
{
    return listing_split(raw, quote_assets, TB_COUNT(quote_assets), out);
}

/* BANDUSDT, a contract settled in its quote currency, is BAND/USDT:USDT; BTC-26JUN26 and the like keep their raw
 * names. */
static bool name_linear(const char *raw, char out[TB_SYMBOL_BYTES])
{
    return name_spot(raw, out) && listing_settle_quote("", out);
}

/* Spot and linear name their markets alike: only the URL tells. */
void bybit_scan_connect(const char *url, unsigned *channels)
{
    if (strstr(url, "/v5/public/linear") != NULL)
        *channels |= ADAPTER_SCAN_LINEAR;
}

static bool look(const struct bybit_message *msg, int8_t exp[2], unsigned *channels)
{
    if (msg->kind == BYBIT_BOOK) {
        *channels |= msg->depth == 1 ? ADAPTER_QUOTES : ADAPTER_BOOK;
        return listing_finest_levels(&msg->bids, exp) && listing_finest_levels(&msg->asks, exp);
    }
    *channels |= ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
    for (uint32_t i = 0; i < msg->trade_count; i++) {
        const struct adapter_text pair[2] = {msg->trade[i].price, msg->trade[i].size};
        if (!listing_finest(pair, 2, exp))
            return false;
    }
    return true;
}

int bybit_scan(const char *path, const char *bytes, size_t length,
               struct adapter_market_config *markets, size_t *count, size_t max, unsigned *channels)
{
    struct bybit_message msg;
    struct bybit_decoder *decoder = shared_decoder();
    int8_t exp[2] = {0, 0};
    unsigned seen = 0;
    if (decoder == NULL)
        return -ENOMEM;
    if (path != NULL)
        return 0; /* nothing of REST is needed */
    bybit_decode(decoder, bytes, length, &msg);
    if (msg.kind == BYBIT_BAD)
        return -EBADMSG;
    if (msg.kind != BYBIT_BOOK && msg.kind != BYBIT_TRADES)
        return 0;
    if (!look(&msg, exp, &seen))
        return -EBADMSG;
    bool linear = *channels & ADAPTER_SCAN_LINEAR;
    if (listing_found(msg.symbol, linear ? name_linear : name_spot, exp, markets, count, max))
        *channels |= seen;
    return 0;
}
