/*
 * OKX's listing, and what recordings show of its markets. Unified symbols are ccxt's, made from the venue's:
 *
 *   BTC-USDT                BTC/USDT                        spot
 *   BTC-USDT-SWAP           BTC/USDT:USDT                   settled in the quote currency,
 *   BTC-USD-SWAP            BTC/USD:BTC                     or, quoted in USD, in the base
 *   BTC-USD-220527          BTC/USD:BTC-220527              futures
 *   BTC-USD-220527-40000-C  BTC/USD:BTC-220527-40000-C      options
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/listing.h"
#include "producers/adapter/okx_state.h"

/* Looking at listings and recordings needs no adapter; this decoder is made at the first look. */
static struct okx_decoder *shared_decoder(void)
{
    static struct okx_decoder *decoder;
    if (decoder == NULL)
        decoder = okx_decoder_create();
    return decoder;
}

/* ---- names ---- */

/* BASE-QUOTE[-rest]. A name of another form keeps it. False: the bus can not carry it. */
static bool name_market(const char *raw, char out[TB_SYMBOL_BYTES])
{
    char text[2 * TB_SYMBOL_BYTES];
    size_t base = strcspn(raw, "-");
    const char *quote_at = raw[base] == '-' ? raw + base + 1 : raw + base;
    size_t quote = strcspn(quote_at, "-");
    const char *rest = quote_at[quote] == '-' ? quote_at + quote + 1 : quote_at + quote;
    bool inverse = quote == 3 && memcmp(quote_at, "USD", 3) == 0;
    const char *settle = inverse ? raw : quote_at;
    int settle_length = (int)(inverse ? base : quote);
    if (base == 0 || quote == 0 || strlen(raw) >= TB_SYMBOL_BYTES)
        (void)snprintf(text, sizeof(text), "%.*s", TB_SYMBOL_BYTES, raw);
    else if (*rest == '\0')
        (void)snprintf(text, sizeof(text), "%.*s/%.*s", (int)base, raw, (int)quote, quote_at);
    else
        (void)snprintf(text, sizeof(text), "%.*s/%.*s:%.*s%s%s", (int)base, raw, (int)quote,
                       quote_at, settle_length, settle, strcmp(rest, "SWAP") == 0 ? "" : "-",
                       strcmp(rest, "SWAP") == 0 ? "" : rest);
    struct adapter_text whole = {text, (uint32_t)strlen(text)};
    return listing_copy(whole, out, TB_SYMBOL_BYTES) && tb_symbol_check(out);
}

/* ---- the listing ---- */

/* A listing is of one kind of instrument: that of the first symbol. */
static const char *kind_of(const char *symbol)
{
    const char *settle = strchr(symbol, ':');
    if (settle == NULL)
        return "SPOT";
    return strchr(settle, '-') == NULL ? "SWAP" : "FUTURES";
}

const char *const okx_listing_kinds[] = {"BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC-260327", NULL};

int okx_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    size_t used = (size_t)snprintf(out_path, capacity, "/api/v5/public/instruments?instType=%s",
                                   symbols == NULL ? "SPOT" : kind_of(symbols[0]));
    (void)count; /* there is no asking for some of a kind */
    return used >= capacity ? -ENOSPC : 0;
}

static void read_market(void *context, const struct adapter_market_text *text)
{
    struct adapter_market_config market;
    if (!listing_copy(text->symbol, market.raw, sizeof(market.raw)) ||
        !tb_symbol_check(market.raw) || !name_market(market.raw, market.symbol))
        return; /* a name that the bus can not carry */
    market.price_exp = listing_exp(text->tick_size, LISTING_EXP_DEFAULT);
    market.size_exp = listing_exp(text->step_size, LISTING_EXP_DEFAULT);
    listing_take(context, &market);
}

int okx_listing_read(const char *body, size_t length,
                     void (*each)(void *context, const struct adapter_market_config *market),
                     void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(&reader,
                          okx_decode_listing(shared_decoder(), body, length, read_market, &reader));
}

/* ---- recordings ---- */

struct adapter_text okx_path_symbol(const char *path)
{
    static const char books[] = "/api/v5/market/books?", key[] = "instId=";
    const char *at = path == NULL ? NULL : strstr(path, books);
    at = at == NULL ? NULL : strstr(at, key);
    if (at == NULL)
        return (struct adapter_text){"", 0};
    at += sizeof(key) - 1;
    return (struct adapter_text){at, (uint32_t)strcspn(at, "&#")};
}

static bool look_at_item(const struct okx_message *msg, const struct okx_item *item, int8_t exp[2])
{
    static const struct adapter_text zero = {"0", 1};
    const struct adapter_text trade[2] = {item->price, item->size};
    const struct adapter_text quote[4] = {
        item->bid_price.length == 0 ? zero : item->bid_price,
        item->bid_size.length == 0 ? zero : item->bid_size,
        item->ask_price.length == 0 ? zero : item->ask_price,
        item->ask_size.length == 0 ? zero : item->ask_size,
    };
    if (msg->kind == OKX_TRADES)
        return listing_finest(trade, 2, exp);
    if (msg->kind == OKX_TICKERS)
        return listing_finest(quote, 4, exp);
    return listing_finest_levels(&item->bids, exp) && listing_finest_levels(&item->asks, exp);
}

static unsigned channels_of(enum okx_kind kind)
{
    switch (kind) {
    case OKX_TRADES:
        return ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
    case OKX_TICKERS:
    case OKX_TOP:
        return ADAPTER_QUOTES;
    case OKX_BOOK:
    case OKX_REST_BOOK:
        return ADAPTER_BOOK;
    default:
        return 0;
    }
}

int okx_scan(const char *path, const char *bytes, size_t length,
             struct adapter_market_config *markets, size_t *count, size_t max, unsigned *channels)
{
    struct okx_message msg;
    struct okx_decoder *decoder = shared_decoder();
    int8_t exp[2] = {0, 0};
    if (decoder == NULL)
        return -ENOMEM;
    okx_decode(decoder, bytes, length, &msg);
    if (msg.kind == OKX_BAD)
        return -EBADMSG;
    unsigned seen = channels_of(msg.kind);
    struct adapter_text symbol = path == NULL ? msg.symbol : okx_path_symbol(path);
    if (seen == 0 || symbol.length == 0)
        return 0;
    for (uint32_t i = 0; i < msg.count; i++)
        if (!look_at_item(&msg, &msg.item[i], exp))
            return -EBADMSG;
    if (listing_found(symbol, name_market, exp, markets, count, max))
        *channels |= seen;
    return 0;
}
