/*
 * Kraken's listing (AssetPairs), and what a recording shows of its markets. Names are those of v2,
 * which are the unified ones; v1 and REST say XBT for BTC and XDG for DOGE, and nothing else differs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/kraken.h"
#include "producers/adapter/kraken_json.h"
#include "producers/adapter/listing.h"

static struct adapter_text rename_asset(struct adapter_text asset)
{
    if (adapter_text_is(asset, "XBT"))
        return (struct adapter_text){"BTC", 3};
    if (adapter_text_is(asset, "XDG"))
        return (struct adapter_text){"DOGE", 4};
    return asset;
}

static bool unify(struct adapter_text name, char out[TB_SYMBOL_BYTES])
{
    const char *slash = memchr(name.at, '/', name.length);
    if (slash == NULL)
        return false;
    uint32_t base = (uint32_t)(slash - name.at);
    return listing_unify(rename_asset((struct adapter_text){name.at, base}),
                         rename_asset((struct adapter_text){slash + 1, name.length - base - 1}),
                         out);
}

static bool unify_raw(const char *raw, char out[TB_SYMBOL_BYTES])
{
    return unify((struct adapter_text){raw, (uint32_t)strlen(raw)}, out);
}

/* All of them: a name that is wrong makes the venue refuse every other one with it. */
int kraken_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    (void)symbols, (void)count;
    int length = snprintf(out_path, capacity, "/0/public/AssetPairs");
    return length < 0 || (size_t)length >= capacity ? -ENOSPC : 0;
}

static void read_market(void *context, const struct kraken_market_text *text)
{
    struct adapter_market_config market = {0};
    if (!unify(text->name, market.symbol) || text->price_decimals < 0 ||
        text->price_decimals > -TB_EXP_MIN || text->size_decimals < 0 ||
        text->size_decimals > -TB_EXP_MIN)
        return; /* nothing that the bus can carry */
    memcpy(market.raw, market.symbol, sizeof(market.raw));
    market.price_exp = (int8_t)-text->price_decimals;
    market.size_exp = (int8_t)-text->size_decimals;
    listing_take(context, &market);
}

/* Looking at listings and recordings needs no adapter; this decoder is made at the first look. */
static struct kraken_decoder *shared_decoder(void)
{
    static struct kraken_decoder *decoder;
    if (decoder == NULL)
        decoder = kraken_decoder_create();
    return decoder;
}

int kraken_listing_read(const char *body, size_t length,
                        void (*each)(void *context, const struct adapter_market_config *market),
                        void *context)
{
    struct listing_reader reader = {each, context, 0};
    return listing_result(
        &reader, kraken_decode_listing(shared_decoder(), body, length, read_market, &reader));
}

static bool look(const struct kraken_message *msg, const struct kraken_item *item, int8_t exp[2],
                 unsigned *channels)
{
    const struct adapter_text trade[2] = {item->price, item->size};
    const struct adapter_text bid[2] = {item->bid_price, item->bid_size};
    const struct adapter_text ask[2] = {item->ask_price, item->ask_size};
    switch (msg->kind) {
    case KRAKEN_TRADES:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
        return listing_finest(trade, 2, exp);
    case KRAKEN_QUOTES:
        *channels |= ADAPTER_QUOTES;
        return (bid[0].length == 0 || listing_finest(bid, 2, exp)) &&
               (ask[0].length == 0 || listing_finest(ask, 2, exp));
    default:
        *channels |= ADAPTER_BOOK;
        return listing_finest_levels(&item->bids, exp) && listing_finest_levels(&item->asks, exp);
    }
}

int kraken_scan(const char *path, const char *bytes, size_t length,
                struct adapter_market_config *markets, size_t *count, size_t max,
                unsigned *channels)
{
    struct kraken_message msg;
    struct kraken_decoder *decoder = shared_decoder();
    if (decoder == NULL)
        return -ENOMEM;
    if (path != NULL)
        return 0; /* nothing that is published comes by REST */
    kraken_decode(decoder, bytes, length, &msg);
    if (msg.kind == KRAKEN_BAD)
        return -EBADMSG;
    for (uint32_t i = 0; i < msg.count; i++) {
        int8_t exp[2] = {0, 0};
        unsigned seen = 0;
        if (!look(&msg, &msg.item[i], exp, &seen))
            return -EBADMSG;
        if (listing_found(msg.item[i].symbol, unify_raw, exp, markets, count, max))
            *channels |= seen;
    }
    return 0;
}
