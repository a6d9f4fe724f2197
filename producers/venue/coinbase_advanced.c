/*
 * Coinbase Advanced Trade: envelopes, numbered by connection (coinbase.c puts the number in). A recording
 * of Exchange is put into this form: same levels, trades (their side is the maker's in both) and tickers; what
 * Exchange does not say (52 weeks, sizes in old tickers) is left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "coinbase.h"

static const char *const channel_name[COINBASE_CHANNELS] = {"level2", "market_trades", "ticker"};
static const char *const channel_data[COINBASE_CHANNELS] = {"l2_data", "market_trades", "ticker"};

static void begin(struct protocol_text *out, const char *channel, tb_ns time)
{
    protocol_printf(out, "{\"channel\":\"%s\",\"timestamp\":\"", channel);
    protocol_time(out, time);
    protocol_put(out, "\",\"sequence_num\":0,\"events\":[");
}

/* `"name":<value>` of an object, if it has it. */
static void copy(struct protocol_text *out, struct json_span from, const char *key,
                 const char *name)
{
    struct json_span value;

    if (!json_find(from, key, &value))
        return;
    protocol_printf(out, ",\"%s\":", name);
    protocol_span(out, value);
}

/* ---- Exchange's messages in this form ---- */

static void put_level(struct protocol_text *out, const char *separator, bool bid,
                      struct json_span time, struct json_span price, struct json_span size)
{
    protocol_printf(out, "%s{\"side\":\"%s\",\"event_time\":", separator, bid ? "bid" : "offer");
    protocol_span(out, time);
    protocol_put(out, ",\"price_level\":");
    protocol_span(out, price);
    protocol_put(out, ",\"new_quantity\":");
    protocol_span(out, size);
    protocol_put(out, "}");
}

static const char *put_side(struct protocol_text *out, const char *separator, bool bid,
                            struct json_span time, struct json_span levels)
{
    struct json_walk w, level;
    struct json_span item, price, size;

    if (!json_enter(levels, &w))
        return separator;
    while (json_item(&w, &item))
        if (json_enter(item, &level) && json_item(&level, &price) && json_item(&level, &size)) {
            put_level(out, separator, bid, time, price, size);
            separator = ",";
        }
    return separator;
}

static void put_changes(struct protocol_text *out, struct json_span time, struct json_span changes)
{
    struct json_walk w, level;
    struct json_span item, side, price, size;
    const char *separator = "";

    if (!json_enter(changes, &w))
        return;
    while (json_item(&w, &item))
        if (json_enter(item, &level) && json_item(&level, &side) && json_item(&level, &price) &&
            json_item(&level, &size)) {
            put_level(out, separator, json_is(side, "\"buy\""), time, price, size);
            separator = ",";
        }
}

static void put_book(struct protocol_text *out, const struct protocol *p,
                     const struct coinbase_message *m)
{
    struct json_span time = {"\"1970-01-01T00:00:00Z\"", 22}, levels;

    (void)json_find(m->text, "time", &time);
    protocol_printf(out, "{\"type\":\"%s\",\"product_id\":\"%s\",\"updates\":[",
                    m->past ? "snapshot" : "update", p->market[m->market].raw);
    if (json_find(m->text, "changes", &levels))
        put_changes(out, time, levels);
    const char *separator = "";
    if (json_find(m->text, "bids", &levels))
        separator = put_side(out, separator, true, time, levels);
    if (json_find(m->text, "asks", &levels))
        (void)put_side(out, separator, false, time, levels);
    protocol_put(out, "]}");
}

static void put_trade(struct protocol_text *out, struct json_span match)
{
    struct json_span id = {"0", 1}, side;

    (void)json_find(match, "trade_id", &id);
    protocol_put(out, "{\"trade_id\":\"");
    protocol_span(out, id);
    protocol_put(out, "\"");
    copy(out, match, "product_id", "product_id");
    copy(out, match, "price", "price");
    copy(out, match, "size", "size");
    if (json_find(match, "side", &side))
        protocol_printf(out, ",\"side\":\"%s\"", json_is(side, "\"buy\"") ? "BUY" : "SELL");
    copy(out, match, "time", "time");
    protocol_put(out, "}");
}

static void put_ticker(struct protocol_text *out, struct json_span ticker)
{
    static const char *const keys[][2] = {{"product_id", "product_id"},
                                          {"price", "price"},
                                          {"volume_24h", "volume_24_h"},
                                          {"low_24h", "low_24_h"},
                                          {"high_24h", "high_24_h"},
                                          {"best_bid", "best_bid"},
                                          {"best_ask", "best_ask"},
                                          {"best_bid_size", "best_bid_quantity"},
                                          {"best_ask_size", "best_ask_quantity"}};

    protocol_put(out, "{\"type\":\"update\",\"tickers\":[{\"type\":\"ticker\"");
    for (size_t i = 0; i < TB_COUNT(keys); i++)
        copy(out, ticker, keys[i][0], keys[i][1]);
    protocol_put(out, "}]}");
}

static void translate(const struct protocol *p, const struct coinbase_message *m,
                      struct protocol_text *out)
{
    begin(out, channel_data[m->channel], m->ts_recv);
    if (m->channel == COINBASE_LEVEL2) {
        put_book(out, p, m);
    } else if (m->channel == COINBASE_TICKER) {
        put_ticker(out, m->text);
    } else {
        protocol_printf(out, "{\"type\":\"%s\",\"trades\":[", m->past ? "snapshot" : "update");
        put_trade(out, m->text);
        protocol_put(out, "]}");
    }
    protocol_put(out, "]}");
}

/* ---- late subscribers ---- */

static void put_levels(struct protocol_text *out, const struct tb_book *book, uint8_t side,
                       const char *separator)
{
    const struct tb_book_level *level;
    char price[TB_DECIMAL_BYTES + 1], size[TB_DECIMAL_BYTES + 1];

    for (uint32_t rank = 0; (level = tb_book_best(book, side, rank)) != NULL; rank++) {
        coinbase_level(book, level, price, size);
        protocol_printf(out,
                        "%s{\"side\":\"%s\",\"event_time\":\"1970-01-01T00:00:00Z\","
                        "\"price_level\":\"%s\",\"new_quantity\":\"%s\"}",
                        rank == 0 ? separator : ",", side == TB_BUY ? "bid" : "offer", price, size);
    }
}

static void put_snapshot(struct protocol_text *out, const struct protocol *p, size_t market,
                         tb_ns now)
{
    const struct tb_book *book = &p->product[market].book;

    protocol_end_message(out);
    begin(out, "l2_data", now);
    protocol_printf(out, "{\"type\":\"snapshot\",\"product_id\":\"%s\",\"updates\":[",
                    p->market[market].raw);
    put_levels(out, book, TB_BUY, "");
    put_levels(out, book, TB_SELL, tb_book_best(book, TB_BUY, 0) == NULL ? "" : ",");
    protocol_put(out, "]}]}");
}

/* Newest first, as the venue has them. */
static void put_trades(struct protocol_text *out, const struct protocol *p, size_t market,
                       tb_ns now)
{
    struct json_span trade;

    protocol_end_message(out);
    begin(out, "market_trades", now);
    protocol_put(out, "{\"type\":\"snapshot\",\"trades\":[");
    for (size_t i = 0; (trade = coinbase_trade(p, market, i)).length > 0; i++) {
        protocol_put(out, i == 0 ? "" : ",");
        put_trade(out, trade);
    }
    protocol_put(out, "]}]}");
}

/* ---- requests ---- */

static void refuse(struct protocol_text *out, const char *why)
{
    protocol_printf(out, "{\"type\":\"error\",\"message\":\"%s\"}", why);
}

static void put_subscriptions(struct protocol_text *out, const struct protocol *p,
                              const struct protocol_client *c, tb_ns now)
{
    const char *between = "";

    begin(out, "subscriptions", now);
    protocol_put(out, "{\"subscriptions\":{");
    for (uint32_t channel = 0; channel < COINBASE_CHANNELS; channel++) {
        const char *separator = "";
        for (size_t i = 0; i < p->count; i++)
            if (protocol_subscribed(c, coinbase_stream(i, channel))) {
                if (separator[0] == '\0')
                    protocol_printf(out, "%s\"%s\":[", between, channel_name[channel]);
                protocol_printf(out, "%s\"%s\"", separator, p->market[i].raw);
                separator = between = ",";
            }
        if (separator[0] != '\0')
            protocol_put(out, "]");
    }
    if (c->beats)
        protocol_printf(out, "%s\"heartbeats\":[\"heartbeats\"]", between);
    protocol_put(out, "}}]}");
}

/* The channel of a request; -1 heartbeats, -2 there is no such channel. */
static int find_channel(struct json_span text)
{
    struct json_span name;

    if (!json_find(text, "channel", &name) || !json_text(name, &name))
        return -2;
    for (int i = 0; i < COINBASE_CHANNELS; i++)
        if (json_is(name, channel_name[i]))
            return i;
    return json_is(name, "heartbeats") ? -1 : -2;
}

/* False: one of the products is unknown. */
static bool all_known(const struct protocol *p, struct json_span products)
{
    struct json_walk w;
    struct json_span item;

    if (!json_enter(products, &w) || w.close != ']')
        return false;
    while (json_item(&w, &item))
        if (!json_text(item, &item) || coinbase_find(p, item) < 0)
            return false;
    return true;
}

static void switch_products(struct protocol *p, struct protocol_client *c,
                            enum coinbase_channel channel, struct json_span products, bool on,
                            tb_ns now, struct protocol_text *late)
{
    struct json_walk w;
    struct json_span item;

    (void)json_enter(products, &w);
    while (json_item(&w, &item)) {
        (void)json_text(item, &item);
        size_t market = (size_t)coinbase_find(p, item);
        const struct coinbase_product *product = &p->product[market];
        if (!protocol_switch(c, coinbase_stream(market, channel), on) || !on)
            continue;
        if (channel == COINBASE_LEVEL2 && product->begun)
            put_snapshot(late, p, market, now);
        else if (channel == COINBASE_MATCHES && product->trade_count > 0)
            put_trades(late, p, market, now);
    }
}

static void message(struct protocol *p, struct protocol_client *c, struct json_span text, tb_ns now,
                    struct protocol_text *out)
{
    struct json_span type = {"", 0}, products = {"[]", 2};
    struct protocol_text late = {0};
    int channel = find_channel(text);

    (void)json_find(text, "type", &type);
    bool on = json_is(type, "\"subscribe\"");
    if (!on && !json_is(type, "\"unsubscribe\"")) {
        refuse(out, "failed to parse the message");
        return;
    }
    (void)json_find(text, "product_ids", &products);
    if (channel == -2 || !all_known(p, products)) {
        refuse(out, channel == -2 ? "channel is not supported" : "invalid product_ids");
        return;
    }
    if (channel < 0)
        c->beats = on;
    else
        switch_products(p, c, (enum coinbase_channel)channel, products, on, now, &late);
    put_subscriptions(out, p, c, now);
    if (late.length > 0) {
        protocol_end_message(out);
        protocol_append(out, late.text, late.length);
    }
    protocol_text_free(&late);
}

static void beat(const struct protocol *p, struct protocol_client *c, tb_ns now,
                 struct protocol_text *out)
{
    (void)p;
    begin(out, "heartbeats", now);
    protocol_put(out, "{\"current_time\":\"");
    protocol_time(out, now);
    protocol_printf(out, "\",\"heartbeat_counter\":%" PRIu64 "}]}", c->sequence);
}

/* ---- REST ---- */

static int get(const struct protocol *p, const char *path, const char *query, tb_ns now,
               struct protocol_text *out)
{
    (void)query, (void)now;
    if (strcmp(path, "/api/v3/brokerage/market/products") != 0) {
        protocol_put(out, "{\"error\":\"NOT_FOUND\",\"message\":\"Not found\"}");
        return 404;
    }
    protocol_put(out, "{\"products\":[");
    for (size_t i = 0; i < p->count; i++) {
        const struct adapter_market_config *m = &p->market[i];
        int length;
        const char *quote = protocol_quote(m, &length);
        protocol_printf(out,
                        "%s{\"product_id\":\"%s\",\"base_currency_id\":\"%.*s\","
                        "\"quote_currency_id\":\"%.*s\",\"product_type\":\"SPOT\","
                        "\"status\":\"online\",\"trading_disabled\":false,\"alias\":\"\","
                        "\"alias_to\":[],\"base_increment\":\"",
                        i == 0 ? "" : ",", m->raw, protocol_base(m), m->symbol, length, quote);
        protocol_step(out, m->size_exp);
        protocol_put(out, "\",\"price_increment\":\"");
        protocol_step(out, m->price_exp);
        protocol_put(out, "\",\"quote_increment\":\"");
        protocol_step(out, m->price_exp);
        protocol_put(out, "\"}");
    }
    protocol_printf(out, "],\"num_products\":%zu}", p->count);
    return 200;
}

/* exchanges.md 3.2: 8 connections and 8 messages a second without a login. */
const struct coinbase_dialect coinbase_advanced = {
    .rules = {.messages = 8,
              .messages_per = TB_NS_PER_S,
              .close_code = 1008,
              .refusal = "rate limit exceeded",
              .message_bytes = 65536,
              .connects = 8,
              .connects_per = TB_NS_PER_S,
              .subscribe_within = 5 * TB_NS_PER_S,
              .idle = 90 * TB_NS_PER_S,
              .idle_code = 1000},
    .envelopes = true,
    .translate = translate,
    .message = message,
    .beat = beat,
    .get = get,
};
