/* Coinbase Exchange: one type of message for each thing, subscriptions by product and channel. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "coinbase.h"

/* As the venue echoes them. */
static const char *const channel_echo[COINBASE_CHANNELS] = {"level2_50", "matches", "ticker"};

enum { HEARTBEAT = COINBASE_CHANNELS, CLOSED, UNKNOWN };

static int find_channel(struct json_span name)
{
    static const struct {
        const char *name;
        int channel;
    } names[] = {{"level2_batch", COINBASE_LEVEL2},
                 {"matches", COINBASE_MATCHES},
                 {"ticker", COINBASE_TICKER},
                 {"ticker_batch", COINBASE_TICKER},
                 {"heartbeat", HEARTBEAT},
                 {"level2", CLOSED},
                 {"level3", CLOSED},
                 {"full", CLOSED},
                 {"user", CLOSED}};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (json_is(name, names[i].name))
            return names[i].channel;
    return UNKNOWN;
}

static void refuse(struct protocol_text *out, struct json_span what, const char *why)
{
    protocol_put(out, "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"");
    for (size_t i = 0; i < what.length && i < 64; i++)
        protocol_append(out, what.at[i] == '\\' || what.at[i] == '"' ? "?" : &what.at[i], 1);
    protocol_put(out, why);
    protocol_put(out, "\"}");
}

static void put_side(struct protocol_text *out, const struct tb_book *book, uint8_t side)
{
    const struct tb_book_level *level;
    char price[TB_DECIMAL_BYTES + 1], size[TB_DECIMAL_BYTES + 1];

    for (uint32_t rank = 0; (level = tb_book_best(book, side, rank)) != NULL; rank++) {
        coinbase_level(book, level, price, size);
        protocol_printf(out, "%s[\"%s\",\"%s\"]", rank == 0 ? "" : ",", price, size);
    }
}

static void put_snapshot(struct protocol_text *out, const struct protocol *p, size_t market)
{
    const struct tb_book *book = &p->product[market].book;

    protocol_end_message(out);
    protocol_printf(out, "{\"type\":\"snapshot\",\"product_id\":\"%s\",\"asks\":[",
                    p->market[market].raw);
    put_side(out, book, TB_SELL);
    protocol_put(out, "],\"bids\":[");
    put_side(out, book, TB_BUY);
    protocol_put(out, "]}");
}

/* The newest match, under the name of one from before the subscription. */
static void put_last_match(struct protocol_text *out, const struct protocol *p, size_t market)
{
    static const char type[] = "\"type\":\"match\"";
    struct json_span trade = coinbase_trade(p, market, 0);

    protocol_end_message(out);
    const char *at = trade.length == 0 ? NULL : strstr(trade.at, type);
    if (at == NULL) { /* a last_match it is */
        protocol_span(out, trade);
        return;
    }
    protocol_append(out, trade.at, (size_t)(at - trade.at));
    protocol_put(out, "\"type\":\"last_match\"");
    protocol_put(out, at + sizeof(type) - 1);
}

/* Everything this client is subscribed to, as each agreement says. */
static void put_subscriptions(struct protocol_text *out, const struct protocol *p,
                              const struct protocol_client *c)
{
    protocol_put(out, "{\"type\":\"subscriptions\",\"channels\":[");
    for (uint32_t channel = 0; channel < COINBASE_CHANNELS; channel++) {
        const char *separator = "";
        protocol_printf(out, "%s{\"name\":\"%s\",\"product_ids\":[", channel == 0 ? "" : ",",
                        channel_echo[channel]);
        for (size_t i = 0; i < p->count; i++)
            if (protocol_subscribed(c, coinbase_stream(i, channel))) {
                protocol_printf(out, "%s\"%s\"", separator, p->market[i].raw);
                separator = ",";
            }
        protocol_put(out, "],\"account_ids\":null}");
    }
    protocol_put(out, "]}");
}

/* What a request changes: all of it, or, if anything in it is wrong, nothing. */
struct request {
    struct protocol *p;
    struct protocol_client *c;
    bool on, dry; /* dry: only look whether it can be done */
    bool book[ADAPTER_MARKETS_MAX], trade[ADAPTER_MARKETS_MAX]; /* new ones */
    struct protocol_text *out;
};

static void switch_one(struct request *r, int channel, size_t market)
{
    if (channel == HEARTBEAT) {
        r->c->beats = r->on || r->c->beats;
        return;
    }
    if (!protocol_switch(r->c, coinbase_stream(market, (enum coinbase_channel)channel), r->on))
        return;
    r->book[market] |= r->on && channel == COINBASE_LEVEL2 && r->p->product[market].begun;
    r->trade[market] |=
        r->on && channel == COINBASE_MATCHES && r->p->product[market].trade_count > 0;
}

static bool switch_channel(struct request *r, struct json_span name, struct json_span products)
{
    struct json_walk w;
    struct json_span item = {"", 0};
    int channel = find_channel(name);

    if (channel >= CLOSED) {
        refuse(r->out, channel == CLOSED ? (struct json_span){"", 0} : name,
               channel == CLOSED ? "level2, level3, and full channels now require authentication"
                                 : " is not a valid channel");
        return false;
    }
    if (!json_enter(products, &w) || w.close != ']') {
        refuse(r->out, item, "product_ids must be a list");
        return false;
    }
    while (json_item(&w, &item)) {
        int market = json_text(item, &item) ? coinbase_find(r->p, item) : -1;
        if (market < 0) {
            refuse(r->out, item, " is not a valid product");
            return false;
        }
        if (!r->dry)
            switch_one(r, channel, (size_t)market);
    }
    return true;
}

/* A channel is a name, for the request's products, or {"name":..,"product_ids":[..]}. */
static bool switch_all(struct request *r, struct json_span text)
{
    struct json_walk w;
    struct json_span channels, item, name, products, all = {"[]", 2};

    (void)json_find(text, "product_ids", &all);
    if (!json_find(text, "channels", &channels) || !json_enter(channels, &w) || w.close != ']') {
        refuse(r->out, (struct json_span){"", 0}, "channels must be a list");
        return false;
    }
    while (json_item(&w, &item)) {
        products = all;
        if (json_find(item, "name", &name))
            (void)json_find(item, "product_ids", &products);
        else
            name = item;
        if (!json_text(name, &name)) {
            refuse(r->out, (struct json_span){"", 0}, "a channel is a name");
            return false;
        }
        if (!switch_channel(r, name, products))
            return false;
    }
    return true;
}

static void message(struct protocol *p, struct protocol_client *c, struct json_span text, tb_ns now,
                    struct protocol_text *out)
{
    struct json_span type = {"", 0};
    struct request r = {.p = p, .c = c, .dry = true, .out = out};

    (void)now;
    (void)json_find(text, "type", &type);
    r.on = json_is(type, "\"subscribe\"");
    if (!r.on && !json_is(type, "\"unsubscribe\"")) {
        protocol_put(out, "{\"type\":\"error\",\"message\":\"Malformed JSON\"}");
        return;
    }
    if (!switch_all(&r, text))
        return;
    r.dry = false;
    (void)switch_all(&r, text);
    put_subscriptions(out, p, c);
    for (size_t i = 0; i < p->count; i++) {
        if (r.trade[i])
            put_last_match(out, p, i);
        if (r.book[i])
            put_snapshot(out, p, i);
    }
}

/* Of each product that the client has anything of, once something of it was traded. */
static void beat(const struct protocol *p, struct protocol_client *c, tb_ns now,
                 struct protocol_text *out)
{
    struct json_span id, sequence;

    for (size_t i = 0; i < p->count; i++) {
        struct json_span trade = coinbase_trade(p, i, 0);
        bool wanted = false;
        for (uint32_t channel = 0; channel < COINBASE_CHANNELS; channel++)
            wanted = wanted || protocol_subscribed(c, coinbase_stream(i, channel));
        if (!wanted || !json_find(trade, "trade_id", &id) ||
            !json_find(trade, "sequence", &sequence))
            continue;
        protocol_end_message(out);
        protocol_put(out, "{\"type\":\"heartbeat\",\"sequence\":");
        protocol_span(out, sequence);
        protocol_put(out, ",\"last_trade_id\":");
        protocol_span(out, id);
        protocol_printf(out, ",\"product_id\":\"%s\",\"time\":\"", p->market[i].raw);
        protocol_time(out, now);
        protocol_put(out, "\"}");
    }
}

static int get(const struct protocol *p, const char *path, const char *query, tb_ns now,
               struct protocol_text *out)
{
    (void)query;
    if (strcmp(path, "/time") == 0) {
        protocol_put(out, "{\"iso\":\"");
        protocol_time(out, now);
        protocol_printf(out, "\",\"epoch\":%" PRId64 "}", now / TB_NS_PER_S);
        return 200;
    }
    if (strcmp(path, "/products") != 0) {
        protocol_put(out, "{\"message\":\"NotFound\"}");
        return 404;
    }
    protocol_put(out, "[");
    for (size_t i = 0; i < p->count; i++) {
        const struct adapter_market_config *m = &p->market[i];
        int length;
        const char *quote = protocol_quote(m, &length);
        protocol_printf(out,
                        "%s{\"id\":\"%s\",\"base_currency\":\"%.*s\",\"quote_currency\":\"%.*s\","
                        "\"status\":\"online\",\"base_increment\":\"",
                        i == 0 ? "" : ",", m->raw, protocol_base(m), m->symbol, length, quote);
        protocol_step(out, m->size_exp);
        protocol_put(out, "\",\"quote_increment\":\"");
        protocol_step(out, m->price_exp);
        protocol_put(out, "\"}");
    }
    protocol_put(out, "]");
    return 200;
}

/* exchanges.md 3.1: 8 connections a second, 20 at once; 100 messages a second. */
const struct coinbase_dialect coinbase_exchange = {
    .rules = {.messages = 100,
              .messages_per = TB_NS_PER_S,
              .close_code = 1008,
              .refusal = "ErrSlowRead",
              .message_bytes = 65536,
              .connects = 20,
              .connects_per = 2500 * TB_NS_PER_MS,
              .subscribe_within = 5 * TB_NS_PER_S,
              .idle_code = 1000},
    .message = message,
    .beat = beat,
    .get = get,
};
