#include "protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tickbus/decimal.h>

#include "producers/capture/scan.h"

static const struct protocol_ops *const protocols[] = {
    &protocol_binance, &protocol_bybit, &protocol_coinbase, &protocol_coinbaseexchange,
    &protocol_kraken,  &protocol_mexc,  &protocol_okx};

const struct protocol_ops *protocol_find(const char *venue)
{
    for (size_t i = 0; i < TB_COUNT(protocols); i++)
        for (const char *const *name = protocols[i]->venues; *name != NULL; name++)
            if (strcmp(*name, venue) == 0)
                return protocols[i];
    return NULL;
}

const char *protocol_names(char *out, size_t bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < TB_COUNT(protocols); i++)
        for (const char *const *name = protocols[i]->venues; *name != NULL && used < bytes; name++)
            used += (size_t)snprintf(out + used, bytes - used, " %s", *name);
    return out;
}

bool protocol_switch(struct protocol_client *c, uint32_t stream, bool on)
{
    if (protocol_subscribed(c, stream) == on)
        return false;
    c->on[stream / 64] ^= UINT64_C(1) << (stream % 64);
    c->subscriptions += on ? 1U : -1U;
    return true;
}

bool protocol_query(const char *query, const char *name, struct json_span *out_value)
{
    size_t length = strlen(name);

    for (const char *at = query; *at != '\0';) {
        size_t part = strcspn(at, "&");
        if (part > length && at[length] == '=' && strncmp(at, name, length) == 0) {
            *out_value = (struct json_span){at + length + 1, part - length - 1};
            return true;
        }
        at += part + (at[part] == '&');
    }
    return false;
}

int protocol_scan(const char *venue, struct session *s, struct adapter_market_config *markets,
                  size_t *out_count)
{
    const struct adapter_ops *adapter = adapter_find(venue);
    unsigned channels = 0;

    *out_count = 0;
    for (; s->have; session_advance(s))
        (void)capture_scan(adapter, &s->event, markets, out_count, ADAPTER_MARKETS_MAX, &channels);
    return *out_count == 0 ? -ENODATA : session_rewind(s);
}

void protocol_unreadable(const char *venue, int rc, struct tb_error *err)
{
    (void)tb_fail(err, rc, "cannot read the recording as one of %s: %s", venue,
                  rc == -ENODATA ? "no market data in it" : strerror(-rc));
}

uint32_t protocol_set_levels(struct tb_book *book, uint8_t side, struct json_span levels)
{
    struct json_walk w, level;
    struct json_span item, price, size;
    int64_t number[2];
    uint32_t count = 0;

    if (!json_enter(levels, &w))
        return 0;
    for (; json_item(&w, &item); count++)
        if (json_enter(item, &level) && json_item(&level, &price) && json_item(&level, &size) &&
            json_text(price, &price) && json_text(size, &size) &&
            tb_decimal_parse(price.at, price.length, book->price_exp, &number[0]) == 0 &&
            tb_decimal_parse(size.at, size.length, book->size_exp, &number[1]) == 0)
            (void)tb_book_set(book, side, number[0], number[1]);
    return count;
}

void protocol_step(struct protocol_text *t, int exp)
{
    if (exp < 0)
        protocol_put(t, "0.");
    for (int i = exp; i < -1; i++)
        protocol_put(t, "0");
    protocol_put(t, "1");
    for (int i = 0; i < exp; i++)
        protocol_put(t, "0");
}

void protocol_time(struct protocol_text *t, tb_ns time)
{
    time_t seconds = (time_t)(time / TB_NS_PER_S);
    struct tm utc;
    char text[32];

    (void)gmtime_r(&seconds, &utc);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    protocol_printf(t, "%s.%06" PRId64 "Z", text, time % TB_NS_PER_S / 1000);
}

int protocol_base(const struct adapter_market_config *m)
{
    return (int)strcspn(m->symbol, "/");
}

const char *protocol_quote(const struct adapter_market_config *m, int *out_length)
{
    const char *slash = strchr(m->symbol, '/'), *quote = slash == NULL ? "" : slash + 1;

    *out_length = (int)strcspn(quote, ":");
    return quote;
}
