/*
 * Binance's listing (exchangeInfo), and what a recording shows of its markets when there is no
 * listing: symbols, channels, and exponents as fine as the numbers in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/binance_state.h"

/* Without a filter the venue's own eight decimals hold. */
#define LISTING_EXP_DEFAULT (-8)

/*
 * Quote assets of Binance and Binance.US, for splitting "BTCUSDT" of a recording; a listing has base
 * and quote apart. Where several fit, the longest is meant: BTCFDUSD is BTC/FDUSD, not BTCFD/USD.
 * A symbol that ends in none of these keeps its raw name.
 */
static const char *const quote_assets[] = {
    "USDT", "FDUSD", "USDC", "BUSD", "TUSD", "USDP", "PAX", "USDS", "USDSB", "USD1", "USDE",
    "DAI",  "UST",   "AEUR", "EURI", "BTC",  "ETH",  "BNB", "XRP",  "TRX",   "DOGE", "DOT",
    "SOL",  "VAI",   "BVND", "BIDR", "IDRT", "EUR",  "GBP", "AUD",  "BRL",   "TRY",  "RUB",
    "NGN",  "UAH",   "ZAR",  "JPY",  "MXN",  "ARS",  "PLN", "RON",  "CZK",   "COP",  "USD",
};

static bool copy_text(struct adapter_text text, char *out, size_t capacity)
{
    if (text.length == 0 || text.length >= capacity)
        return false;
    memset(out, 0, capacity);
    memcpy(out, text.at, text.length);
    return true;
}

static bool unify(struct adapter_text base, struct adapter_text quote, char out[TB_SYMBOL_BYTES])
{
    if (base.length == 0 || quote.length == 0 || base.length + quote.length + 1 >= TB_SYMBOL_BYTES)
        return false;
    memset(out, 0, TB_SYMBOL_BYTES);
    memcpy(out, base.at, base.length);
    out[base.length] = '/';
    memcpy(out + base.length + 1, quote.at, quote.length);
    return tb_symbol_check(out);
}

/* ---- the listing ---- */

/* Escaped as a URL wants it: ASCII letters and digits stay, all else becomes %XX. */
static size_t put_escaped(char *out, size_t used, size_t capacity, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || c == '.';
        if (c == '/') /* unified to raw: BTC/USDT is BTCUSDT */
            continue;
        if (used + 4 > capacity)
            return capacity;
        used += (size_t)snprintf(out + used, capacity - used, plain ? "%c" : "%%%02X", c);
    }
    return used;
}

int binance_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity)
{
    size_t used = (size_t)snprintf(out_path, capacity, "/api/v3/exchangeInfo%s",
                                   count == 0 ? "" : "?symbols=%5B");
    for (size_t i = 0; i < count && used < capacity; i++) {
        used = put_escaped(out_path, used, capacity, i == 0 ? "\"" : ",\"");
        used = put_escaped(out_path, used, capacity, symbols[i]);
        used = put_escaped(out_path, used, capacity, "\"");
    }
    if (count > 0)
        used = put_escaped(out_path, used, capacity, "]");
    return used >= capacity ? -ENOSPC : 0;
}

static int8_t exp_of(struct adapter_text text)
{
    int exp;
    int64_t value;
    if (text.length == 0 || tb_decimal_exp(text.at, text.length, &exp) != 0 ||
        tb_decimal_parse(text.at, text.length, exp, &value) != 0 || value == 0)
        return LISTING_EXP_DEFAULT; /* absent, or "0.00000000": no such filter */
    return (int8_t)exp;
}

struct listing_reader {
    void (*each)(void *context, const struct adapter_market_config *market);
    void *context;
    int count;
};

static void read_market(void *context, const struct adapter_market_text *text)
{
    struct listing_reader *reader = context;
    struct adapter_market_config market;
    if (!copy_text(text->symbol, market.raw, sizeof(market.raw)) ||
        !unify(text->base, text->quote, market.symbol))
        return; /* a name that the bus can not carry */
    market.price_exp = exp_of(text->tick_size);
    market.size_exp = exp_of(text->step_size);
    reader->each(reader->context, &market);
    reader->count++;
}

/* Looking at listings and recordings needs no adapter; this decoder is made at the first look. */
static struct binance_decoder *shared_decoder(void)
{
    static struct binance_decoder *decoder;
    if (decoder == NULL)
        decoder = binance_decoder_create();
    return decoder;
}

int binance_listing_read(const char *body, size_t length,
                         void (*each)(void *context, const struct adapter_market_config *market),
                         void *context)
{
    struct listing_reader reader = {each, context, 0};
    struct binance_decoder *decoder = shared_decoder();
    if (decoder == NULL)
        return -ENOMEM;
    int rc = binance_decode_listing(decoder, body, length, read_market, &reader);
    return rc < 0 ? rc : reader.count;
}

/* ---- recordings ---- */

struct adapter_text binance_path_symbol(const char *path)
{
    static const char depth[] = "/api/v3/depth?", key[] = "symbol=";
    const char *at = strstr(path, depth);
    if (at == NULL)
        return (struct adapter_text){"", 0};
    at += sizeof(depth) - 1;
    while (strncmp(at, key, sizeof(key) - 1) != 0) {
        at = strchr(at, '&');
        if (at == NULL)
            return (struct adapter_text){"", 0};
        at++;
    }
    at += sizeof(key) - 1;
    return (struct adapter_text){at, (uint32_t)strcspn(at, "&#")};
}

static bool split_symbol(const char *raw, char out[TB_SYMBOL_BYTES])
{
    size_t length = strlen(raw), best = 0;
    for (size_t i = 0; i < TB_COUNT(quote_assets); i++) {
        size_t quote = strlen(quote_assets[i]);
        if (quote > best && quote < length && strcmp(raw + length - quote, quote_assets[i]) == 0)
            best = quote;
    }
    struct adapter_text base = {raw, (uint32_t)(length - best)};
    struct adapter_text quote = {raw + length - best, (uint32_t)best};
    if (best > 0)
        return unify(base, quote, out);
    return copy_text(base, out, TB_SYMBOL_BYTES) && tb_symbol_check(out);
}

/* The market of a raw symbol, added if it is new. NULL: no fit name, or no room. */
static struct adapter_market_config *find_market(struct adapter_text symbol,
                                                 struct adapter_market_config *markets,
                                                 size_t *count, size_t max)
{
    struct adapter_market_config market = {0};
    if (!copy_text(symbol, market.raw, sizeof(market.raw)))
        return NULL;
    for (char *c = market.raw; *c != '\0'; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(markets[i].raw, market.raw) == 0)
            return &markets[i];
    if (*count == max || !split_symbol(market.raw, market.symbol))
        return NULL;
    markets[*count] = market;
    return &markets[(*count)++];
}

/* What one message needs: the finest exponents, 0 at first. False: a number that is none. */
static bool finest(const struct adapter_text *text, size_t count, int8_t exp[2])
{
    for (size_t i = 0; i < count; i++) {
        int64_t value;
        int needed, rc = tb_decimal_parse(text[i].at, text[i].length, exp[i % 2], &value);
        if (rc == 0)
            continue;
        /* Too large for int64 at this exponent is the adapter's business: it refuses the frame. */
        if (rc == -EINVAL || tb_decimal_exp(text[i].at, text[i].length, &needed) != 0)
            return false;
        if (needed < exp[i % 2])
            exp[i % 2] = (int8_t)needed;
    }
    return true;
}

static bool finest_levels(const struct adapter_levels *levels, int8_t exp[2])
{
    for (uint32_t i = 0; i < levels->count; i++) {
        const struct adapter_text pair[2] = {levels->level[i].price, levels->level[i].size};
        if (!finest(pair, 2, exp))
            return false;
    }
    return true;
}

static bool look(const struct binance_message *msg, int8_t exp[2], unsigned *channels)
{
    const struct adapter_text trade[2] = {msg->price, msg->size};
    const struct adapter_text quote[4] = {msg->bid_price, msg->bid_size, msg->ask_price,
                                          msg->ask_size};
    switch (msg->kind) {
    case BINANCE_TRADE:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_SINGLE;
        return finest(trade, 2, exp);
    case BINANCE_AGG_TRADE:
        *channels |= ADAPTER_TRADES | ADAPTER_SCAN_AGGREGATED;
        return finest(trade, 2, exp);
    case BINANCE_QUOTE:
        *channels |= ADAPTER_QUOTES;
        return finest(quote, 4, exp);
    default:
        *channels |= ADAPTER_BOOK;
        return finest_levels(&msg->bids, exp) && finest_levels(&msg->asks, exp);
    }
}

int binance_scan(const char *path, const char *bytes, size_t length,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels)
{
    struct binance_message msg;
    struct binance_decoder *decoder = shared_decoder();
    if (decoder == NULL)
        return -ENOMEM;
    binance_decode(decoder, bytes, length, &msg);
    if (msg.kind == BINANCE_BAD)
        return -EBADMSG;
    if (msg.kind != BINANCE_TRADE && msg.kind != BINANCE_AGG_TRADE && msg.kind != BINANCE_QUOTE &&
        msg.kind != BINANCE_DEPTH && msg.kind != BINANCE_SNAPSHOT)
        return 0;
    struct adapter_text symbol = path == NULL ? msg.symbol : binance_path_symbol(path);
    int8_t exp[2] = {0, 0};
    unsigned seen = 0;
    if (symbol.length == 0)
        return 0;
    if (!look(&msg, exp, &seen))
        return -EBADMSG;
    struct adapter_market_config *market = find_market(symbol, markets, count, max);
    if (market == NULL)
        return 0;
    market->price_exp = exp[0] < market->price_exp ? exp[0] : market->price_exp;
    market->size_exp = exp[1] < market->size_exp ? exp[1] : market->size_exp;
    *channels |= seen;
    return 0;
}
