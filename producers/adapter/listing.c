#include "producers/adapter/listing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

bool listing_copy(struct adapter_text text, char *out, size_t capacity)
{
    if (text.length == 0 || text.length >= capacity)
        return false;
    memset(out, 0, capacity);
    memcpy(out, text.at, text.length);
    return true;
}

bool listing_unify(struct adapter_text base, struct adapter_text quote, char out[TB_SYMBOL_BYTES])
{
    if (base.length == 0 || quote.length == 0 || base.length >= TB_SYMBOL_BYTES ||
        quote.length >= TB_SYMBOL_BYTES || base.length + quote.length + 1 >= TB_SYMBOL_BYTES)
        return false;
    memset(out, 0, TB_SYMBOL_BYTES);
    memcpy(out, base.at, base.length);
    out[base.length] = '/';
    memcpy(out + base.length + 1, quote.at, quote.length);
    return tb_symbol_check(out);
}

bool listing_settle(struct adapter_text settle, const char *expiry, char symbol[TB_SYMBOL_BYTES])
{
    char text[TB_SYMBOL_BYTES];
    int length = snprintf(text, sizeof(text), "%s:%.*s%s%s", symbol, (int)settle.length, settle.at,
                          expiry[0] == '\0' ? "" : "-", expiry);
    return length > 0 && (size_t)length < sizeof(text) &&
           listing_copy((struct adapter_text){text, (uint32_t)length}, symbol, TB_SYMBOL_BYTES) &&
           tb_symbol_check(symbol);
}

bool listing_settle_quote(const char *expiry, char symbol[TB_SYMBOL_BYTES])
{
    const char *slash = strchr(symbol, '/');
    char quote[TB_SYMBOL_BYTES];
    if (slash == NULL)
        return true;
    int length = snprintf(quote, sizeof(quote), "%s", slash + 1);
    return listing_settle((struct adapter_text){quote, (uint32_t)length}, expiry, symbol);
}

bool listing_split(const char *raw, const char *const *quotes, size_t count,
                   char out[TB_SYMBOL_BYTES])
{
    size_t length = strlen(raw), best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t quote = strlen(quotes[i]);
        if (quote > best && quote < length && strcmp(raw + length - quote, quotes[i]) == 0)
            best = quote;
    }
    struct adapter_text base = {raw, (uint32_t)(length - best)};
    struct adapter_text quote = {raw + length - best, (uint32_t)best};
    if (best > 0)
        return listing_unify(base, quote, out);
    return listing_copy(base, out, TB_SYMBOL_BYTES) && tb_symbol_check(out);
}

int8_t listing_exp(struct adapter_text text, int8_t otherwise)
{
    int exp;
    int64_t value;
    if (text.length == 0 || tb_decimal_exp(text.at, text.length, &exp) != 0 ||
        tb_decimal_parse(text.at, text.length, exp, &value) != 0 || value == 0)
        return otherwise; /* absent, or "0.00000000": no such filter */
    return (int8_t)exp;
}

/* ASCII letters and digits stay, all else becomes %XX. */
size_t listing_escape(char *out, size_t used, size_t capacity, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || c == '.';
        if (c == '/')
            continue;
        if (used + 4 > capacity)
            return capacity;
        used += (size_t)snprintf(out + used, capacity - used, plain ? "%c" : "%%%02X", c);
    }
    return used;
}

bool listing_config(const struct adapter_market_text *text, int8_t otherwise,
                    struct adapter_market_config *out)
{
    if (!listing_copy(text->symbol, out->raw, sizeof(out->raw)) || !tb_symbol_check(out->raw) ||
        !listing_unify(text->base, text->quote, out->symbol))
        return false;
    out->price_exp = listing_exp(text->tick_size, otherwise);
    out->size_exp = listing_exp(text->step_size, otherwise);
    return true;
}

void listing_take(struct listing_reader *reader, const struct adapter_market_config *market)
{
    reader->each(reader->context, market);
    reader->count++;
}

int listing_result(const struct listing_reader *reader, int rc)
{
    return rc < 0 ? rc : reader->count;
}

bool listing_finest(const struct adapter_text *text, size_t count, int8_t exp[2])
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

bool listing_finest_levels(const struct adapter_levels *levels, int8_t exp[2])
{
    for (uint32_t i = 0; i < levels->count; i++) {
        const struct adapter_text pair[2] = {levels->level[i].price, levels->level[i].size};
        if (!listing_finest(pair, 2, exp))
            return false;
    }
    return true;
}

static struct adapter_market_config *
find_market(struct adapter_text raw, bool (*name)(const char *raw, char out[TB_SYMBOL_BYTES]),
            struct adapter_market_config *markets, size_t *count, size_t max)
{
    struct adapter_market_config market = {0};
    if (!listing_copy(raw, market.raw, sizeof(market.raw)) || !tb_symbol_check(market.raw))
        return NULL;
    for (char *c = market.raw; *c != '\0'; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(markets[i].raw, market.raw) == 0)
            return &markets[i];
    if (*count == max || !name(market.raw, market.symbol))
        return NULL;
    markets[*count] = market;
    return &markets[(*count)++];
}

bool listing_found(struct adapter_text raw,
                   bool (*name)(const char *raw, char out[TB_SYMBOL_BYTES]), const int8_t exp[2],
                   struct adapter_market_config *markets, size_t *count, size_t max)
{
    struct adapter_market_config *market = find_market(raw, name, markets, count, max);
    if (market == NULL)
        return false;
    market->price_exp = exp[0] < market->price_exp ? exp[0] : market->price_exp;
    market->size_exp = exp[1] < market->size_exp ? exp[1] : market->size_exp;
    return true;
}
