/*
 * Coinbase's listings (products), of either feed, and what a recording shows of its markets. Of products
 * that are other names of one (BTC-USDC of BTC-USD) messages come under that one's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/coinbase.h"
#include "producers/adapter/coinbase_json.h"
#include "producers/adapter/listing.h"

/* All of them: a name that is wrong makes the venue refuse every other one with it. */
static int put_path(const char *path, char *out, size_t capacity)
{
    int length = snprintf(out, capacity, "%s", path);
    return length < 0 || (size_t)length >= capacity ? -ENOSPC : 0;
}

int coinbaseexchange_listing_path(const char *const *symbols, size_t count, char *out_path,
                                  size_t capacity)
{
    (void)symbols, (void)count;
    return put_path("/products", out_path, capacity);
}

int coinbase_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    (void)symbols, (void)count;
    return put_path("/api/v3/brokerage/market/products?product_type=SPOT", out_path, capacity);
}

static void read_market(void *context, const struct coinbase_market_text *text)
{
    struct adapter_market_config market = {0};
    const struct adapter_market_text common = {.symbol =
                                                   text->alias.length > 0 ? text->alias : text->id,
                                               .base = text->base,
                                               .quote = text->quote,
                                               .tick_size = text->tick_size,
                                               .step_size = text->step_size};
    if (!listing_config(&common, LISTING_EXP_DEFAULT, &market))
        return; /* nothing that the bus can carry */
    listing_take(context, &market);
}

/* Looking at listings and recordings needs no adapter; this decoder is made at the first look. */
static struct coinbase_decoder *shared_decoder(void)
{
    static struct coinbase_decoder *decoder;
    if (decoder == NULL)
        decoder = coinbase_decoder_create();
    return decoder;
}

int coinbase_listing_read(const char *body, size_t length,
                          void (*each)(void *context, const struct adapter_market_config *market),
                          void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(
        &reader, coinbase_decode_listing(shared_decoder(), body, length, read_market, &reader));
}

/* "BTC-USD" is BTC/USD. */
static bool unify_raw(const char *raw, char out[TB_SYMBOL_BYTES])
{
    const char *dash = strchr(raw, '-');
    if (dash == NULL)
        return false;
    return listing_unify((struct adapter_text){raw, (uint32_t)(dash - raw)},
                         (struct adapter_text){dash + 1, (uint32_t)strlen(dash + 1)}, out);
}

/* False: a number that is none. Channels only of what is published: an old ticker has no sizes. */
static bool look(enum coinbase_kind kind, const struct coinbase_item *item, int8_t exp[2],
                 unsigned *channels)
{
    const struct adapter_text trade[2] = {item->price, item->size};
    const struct adapter_text quote[4] = {item->bid_price, item->bid_size, item->ask_price,
                                          item->ask_size};
    switch (kind) {
    case COINBASE_TRADES:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
        return listing_finest(trade, 2, exp);
    case COINBASE_QUOTES:
        for (size_t i = 0; i < TB_COUNT(quote); i++)
            if (quote[i].length == 0)
                return true;
        *channels |= ADAPTER_QUOTES;
        return listing_finest(quote, 4, exp);
    case COINBASE_BOOK:
        *channels |= ADAPTER_BOOK;
        return listing_finest_levels(&item->bids, exp) && listing_finest_levels(&item->asks, exp);
    default:
        return true;
    }
}

int coinbase_scan(const char *path, const char *bytes, size_t length,
                  struct adapter_market_config *markets, size_t *count, size_t max,
                  unsigned *channels)
{
    struct coinbase_message msg;
    struct coinbase_decoder *decoder = shared_decoder();
    if (decoder == NULL)
        return -ENOMEM;
    if (path != NULL)
        return 0; /* nothing that is published comes by REST */
    coinbase_decode(decoder, bytes, length, &msg);
    if (msg.kind == COINBASE_BAD)
        return -EBADMSG;
    for (uint32_t i = 0; i < msg.count; i++) {
        int8_t exp[2] = {0, 0};
        unsigned seen = 0;
        if (!look(msg.kind, &msg.item[i], exp, &seen))
            return -EBADMSG;
        if (seen != 0 && listing_found(msg.item[i].symbol, unify_raw, exp, markets, count, max))
            *channels |= seen;
    }
    return 0;
}
