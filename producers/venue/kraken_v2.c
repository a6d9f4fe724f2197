/* Kraken's WebSocket v2: requests {"method":..}, data with bare numbers; recorded, or made of v1's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "kraken.h"
#include "producers/adapter/kraken.h"

static const char *const channel_name[KRAKEN_CHANNELS] = {"book", "trade", "ticker"};

static void put_text(struct protocol_text *out, struct adapter_text text)
{
    protocol_append(out, text.at, text.length);
}

static void begin(struct protocol_text *out, int channel, bool snapshot)
{
    protocol_printf(out, "{\"channel\":\"%s\",\"type\":\"%s\",\"data\":[", channel_name[channel],
                    snapshot ? "snapshot" : "update");
}

/* ---- v1's messages in this form ---- */

static void put_levels(struct protocol_text *out, const struct adapter_levels *levels)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        protocol_put(out, i == 0 ? "{\"price\":" : ",{\"price\":");
        put_text(out, levels->level[i].price);
        protocol_put(out, ",\"qty\":");
        put_text(out, levels->level[i].size);
        protocol_put(out, "}");
    }
}

static void end_book(struct protocol_text *out, uint32_t checksum, tb_ns time)
{
    protocol_printf(out, "],\"checksum\":%u,\"timestamp\":\"", checksum);
    protocol_time(out, time);
    protocol_put(out, "\"}]}");
}

static void put_book(struct protocol_text *out, const struct kraken_pair *pair,
                     const struct kraken_message *m)
{
    const struct kraken_item *item = &m->item[0];

    begin(out, KRAKEN_CHANNEL_BOOK, m->kind == KRAKEN_SNAPSHOT);
    protocol_printf(out, "{\"symbol\":\"%s\",\"bids\":[", pair->v2);
    put_levels(out, &item->bids);
    protocol_put(out, "],\"asks\":[");
    put_levels(out, &item->asks);
    end_book(out,
             item->has_checksum ? item->checksum
                                : kraken_checksum(&pair->book, pair->digits[0], pair->digits[1]),
             item->time);
}

/* The i-th element of an array. */
static bool element(struct json_span array, unsigned i, struct json_span *out)
{
    struct json_walk w;

    if (!json_enter(array, &w))
        return false;
    while (json_item(&w, out))
        if (i-- == 0)
            return true;
    return false;
}

void kraken_v2_trade(const struct kraken_pair *pair, const struct kraken_item *item, bool market,
                     uint64_t id, struct protocol_text *out)
{
    protocol_printf(out, "{\"symbol\":\"%s\",\"side\":\"%s\",\"price\":", pair->v2,
                    item->side == TB_BUY ? "buy" : "sell");
    put_text(out, item->price);
    protocol_put(out, ",\"qty\":");
    put_text(out, item->size);
    protocol_printf(out, ",\"ord_type\":\"%s\",\"trade_id\":%" PRIu64 ",\"timestamp\":\"",
                    market ? "market" : "limit", id);
    protocol_time(out, item->time);
    protocol_put(out, "\"}");
}

/* [id, [[price, size, time, side, "m" or "l", misc], ..], "trade", pair] */
static void put_trades(struct protocol_text *out, const struct kraken_pair *pair,
                       const struct kraken_message *m, struct json_span text)
{
    struct json_span list = {"", 0}, trade, kind;

    (void)element(text, 1, &list);
    begin(out, KRAKEN_CHANNEL_TRADE, false);
    for (uint32_t i = 0; i < m->count; i++) {
        bool market =
            element(list, i, &trade) && element(trade, 4, &kind) && json_is(kind, "\"m\"");
        protocol_put(out, i == 0 ? "" : ",");
        kraken_v2_trade(pair, &m->item[i], market, pair->trade_count + i + 1, out);
    }
    protocol_put(out, "]}");
}

/* `"name":<i-th of the list under key>`, without its quotes. */
static struct json_span put_element(struct protocol_text *out, struct json_span ticker,
                                    const char *key, unsigned i, const char *name)
{
    struct json_span list, value = {"0", 1};

    if (json_find(ticker, key, &list) && element(list, i, &value))
        (void)json_text(value, &value);
    if (name != NULL) {
        protocol_printf(out, ",\"%s\":", name);
        protocol_span(out, value);
    }
    return value;
}

static void put_ticker(struct protocol_text *out, const struct kraken_pair *pair,
                       struct json_span text)
{
    struct json_span ticker = {"", 0};
    int64_t last = 0, open = 0;
    char change[TB_DECIMAL_BYTES];

    (void)element(text, 1, &ticker);
    begin(out, KRAKEN_CHANNEL_TICKER, false);
    protocol_printf(out, "{\"symbol\":\"%s\"", pair->v2);
    (void)put_element(out, ticker, "b", 0, "bid");
    (void)put_element(out, ticker, "b", 2, "bid_qty");
    (void)put_element(out, ticker, "a", 0, "ask");
    (void)put_element(out, ticker, "a", 2, "ask_qty");
    struct json_span at = put_element(out, ticker, "c", 0, "last");
    (void)tb_decimal_parse(at.at, at.length, pair->book.price_exp, &last);
    (void)put_element(out, ticker, "v", 1, "volume");
    (void)put_element(out, ticker, "p", 1, "vwap");
    (void)put_element(out, ticker, "l", 1, "low");
    (void)put_element(out, ticker, "h", 1, "high");
    at = put_element(out, ticker, "o", 1, NULL);
    (void)tb_decimal_parse(at.at, at.length, pair->book.price_exp, &open);
    size_t length = tb_decimal_format(last - open, pair->book.price_exp, change);
    protocol_printf(out, ",\"change\":%.*s,\"change_pct\":%.2f}]}", (int)length, change,
                    open == 0 ? 0.0 : 100.0 * (double)(last - open) / (double)open);
}

void kraken_v2_translate(struct protocol *p, const struct kraken_message *m, size_t pair,
                         struct json_span text, struct protocol_text *out)
{
    if (m->kind == KRAKEN_TRADES)
        put_trades(out, &p->pair[pair], m, text);
    else if (m->kind == KRAKEN_QUOTES)
        put_ticker(out, &p->pair[pair], text);
    else
        put_book(out, &p->pair[pair], m);
}

/* ---- late subscribers ---- */

static void put_side(struct protocol_text *out, const struct kraken_pair *pair, uint8_t side)
{
    const struct tb_book_level *level;
    char price[TB_DECIMAL_BYTES + 32], size[TB_DECIMAL_BYTES + 32];

    for (uint32_t rank = 0; (level = tb_book_best(&pair->book, side, rank)) != NULL; rank++) {
        kraken_number(pair, level->price, 0, price);
        kraken_number(pair, level->size, 1, size);
        protocol_printf(out, "%s{\"price\":%s,\"qty\":%s}", rank == 0 ? "" : ",", price, size);
    }
}

static void put_snapshot(struct protocol_text *out, const struct kraken_pair *pair)
{
    begin(out, KRAKEN_CHANNEL_BOOK, true);
    protocol_printf(out, "{\"symbol\":\"%s\",\"bids\":[", pair->v2);
    put_side(out, pair, TB_BUY);
    protocol_put(out, "],\"asks\":[");
    put_side(out, pair, TB_SELL);
    end_book(out, kraken_checksum(&pair->book, pair->digits[0], pair->digits[1]), pair->book_time);
}

/* The oldest first. */
static void put_past_trades(struct protocol_text *out, const struct kraken_pair *pair)
{
    uint64_t from =
        pair->trade_count > KRAKEN_TRADES_KEPT ? pair->trade_count - KRAKEN_TRADES_KEPT : 0;

    begin(out, KRAKEN_CHANNEL_TRADE, true);
    for (uint64_t i = from; i < pair->trade_count; i++) {
        protocol_put(out, i == from ? "" : ",");
        protocol_put(out, pair->trade[i % KRAKEN_TRADES_KEPT]);
    }
    protocol_put(out, "]}");
}

static void put_late(struct protocol_text *out, const struct kraken_pair *pair, int channel)
{
    protocol_end_message(out);
    if (channel == KRAKEN_CHANNEL_BOOK && pair->begun)
        put_snapshot(out, pair);
    else if (channel == KRAKEN_CHANNEL_TRADE && pair->trade_count > 0)
        put_past_trades(out, pair);
    else if (channel == KRAKEN_CHANNEL_TICKER)
        protocol_put(out, pair->ticker[0]);
}

/* ---- requests ---- */

struct request {
    struct protocol *p;
    struct protocol_client *c;
    struct json_span text, params;
    const char *method;
    tb_ns now;
    struct protocol_text *out;
};

/* Everything that follows what an answer is about. */
static void end_answer(const struct request *r, bool success)
{
    struct json_span id;

    if (json_find(r->text, "req_id", &id)) {
        protocol_put(r->out, ",\"req_id\":");
        protocol_span(r->out, id);
    }
    if (r->method[0] != 'p')
        protocol_printf(r->out, ",\"success\":%s", success ? "true" : "false");
    protocol_put(r->out, ",\"time_in\":\"");
    protocol_time(r->out, r->now);
    protocol_put(r->out, "\",\"time_out\":\"");
    protocol_time(r->out, r->now);
    protocol_put(r->out, "\"}");
}

static void refuse(const struct request *r, const char *why, struct json_span symbol)
{
    char name[64];
    size_t length = 0;

    for (size_t i = 0; i < symbol.length && length + 1 < sizeof(name); i++)
        name[length++] = symbol.at[i] == '\\' || symbol.at[i] == '"' ? '?' : symbol.at[i];
    protocol_end_message(r->out);
    protocol_printf(r->out, "{\"error\":\"%s%s%.*s\",\"method\":\"%s\"", why, length > 0 ? " " : "",
                    (int)length, name, r->method);
    if (length > 0)
        protocol_printf(r->out, ",\"symbol\":\"%.*s\"", (int)length, name);
    end_answer(r, false);
}

static void agree(const struct request *r, int channel, const struct kraken_pair *pair, bool on,
                  bool snapshot)
{
    protocol_end_message(r->out);
    protocol_printf(r->out, "{\"method\":\"%s\",\"result\":{\"channel\":\"%s\"", r->method,
                    channel_name[channel]);
    if (channel == KRAKEN_CHANNEL_BOOK)
        protocol_printf(r->out, ",\"depth\":%u", pair->depth);
    if (on)
        protocol_printf(r->out, ",\"snapshot\":%s", snapshot ? "true" : "false");
    protocol_printf(r->out, ",\"symbol\":\"%s\"}", pair->v2);
    end_answer(r, true);
}

static void switch_pair(const struct request *r, int channel, struct json_span symbol, bool on,
                        bool snapshot)
{
    int number = kraken_find(r->p, symbol);

    if (number < 0) {
        refuse(r, "Currency pair not supported", symbol);
        return;
    }
    const struct kraken_pair *pair = &r->p->pair[number];
    uint32_t stream = kraken_stream((size_t)number, (enum kraken_channel)channel);
    if (!protocol_switch(r->c, stream, on)) {
        refuse(r, on ? "Already subscribed" : "Subscription Not Found", symbol);
        return;
    }
    agree(r, channel, pair, on, snapshot);
    if (on && snapshot)
        put_late(r->out, pair, channel);
}

/* The channel of a request; -1 the heartbeat, -2 there is no such channel. */
static int find_channel(struct json_span params)
{
    struct json_span name;

    if (!json_find(params, "channel", &name) || !json_text(name, &name))
        return -2;
    for (int i = 0; i < KRAKEN_CHANNELS; i++)
        if (json_is(name, channel_name[i]))
            return i;
    return json_is(name, "heartbeat") ? -1 : -2;
}

static void subscribe(const struct request *r, bool on)
{
    struct json_span symbols, item, wish, none = {"", 0};
    struct json_walk w;
    int channel = find_channel(r->params);
    bool snapshot = channel != KRAKEN_CHANNEL_TRADE; /* the venue's defaults */

    if (json_find(r->params, "snapshot", &wish))
        snapshot = json_is(wish, "true");
    if (channel == -1) {
        r->c->beats = on;
        protocol_printf(r->out, "{\"method\":\"%s\",\"result\":{\"channel\":\"heartbeat\"}",
                        r->method);
        end_answer(r, true);
    } else if (channel < 0) {
        refuse(r, "Channel not supported", none);
    } else if (!json_find(r->params, "symbol", &symbols) || !json_enter(symbols, &w) ||
               w.close != ']') {
        refuse(r, "Symbol(s) not found", none);
    } else {
        while (json_item(&w, &item)) {
            if (json_text(item, &item))
                switch_pair(r, channel, item, on, snapshot);
            else
                refuse(r, "Currency pair not supported", none);
        }
    }
}

void kraken_v2_greet(struct protocol_text *out)
{
    protocol_put(out,
                 "{\"channel\":\"status\",\"type\":\"update\",\"data\":[{\"api_version\":\"v2\","
                 "\"connection_id\":1,\"system\":\"online\",\"version\":\"2.0.0\"}]}");
}

void kraken_v2_message(struct protocol *p, struct protocol_client *c, struct json_span text,
                       tb_ns now, struct protocol_text *out)
{
    struct json_span method = {"", 0};
    struct request r = {.p = p, .c = c, .text = text, .now = now, .out = out};

    (void)json_find(text, "method", &method);
    (void)json_find(text, "params", &r.params);
    if (json_is(method, "\"subscribe\"")) {
        r.method = "subscribe";
        subscribe(&r, true);
    } else if (json_is(method, "\"unsubscribe\"")) {
        r.method = "unsubscribe";
        subscribe(&r, false);
    } else if (json_is(method, "\"ping\"")) {
        r.method = "pong";
        protocol_put(out, "{\"method\":\"pong\"");
        end_answer(&r, true);
    } else {
        protocol_put(out, "{\"error\":\"Malformed request\",\"success\":false}");
    }
}
