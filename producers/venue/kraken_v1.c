/* Kraken's WebSocket v1: requests {"event":..}, data as arrays, as they were recorded. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "kraken.h"

static const char *const channel_name[KRAKEN_CHANNELS] = {"book", "trade", "ticker"};

void kraken_v1_greet(struct protocol_text *out)
{
    protocol_put(out, "{\"connectionID\":1,\"event\":\"systemStatus\",\"status\":\"online\","
                      "\"version\":\"1.9.0\"}");
}

static void put_side(struct protocol_text *out, const struct kraken_pair *pair, uint8_t side)
{
    const struct tb_book_level *level;
    char price[TB_DECIMAL_BYTES + 32], size[TB_DECIMAL_BYTES + 32];

    for (uint32_t rank = 0; (level = tb_book_best(&pair->book, side, rank)) != NULL; rank++) {
        kraken_number(pair, level->price, 0, price);
        kraken_number(pair, level->size, 1, size);
        protocol_printf(out, "%s[\"%s\",\"%s\",\"%" PRId64 ".%06" PRId64 "\"]",
                        rank == 0 ? "" : ",", price, size, pair->book_time / TB_NS_PER_S,
                        pair->book_time % TB_NS_PER_S / 1000);
    }
}

static void put_late(struct protocol_text *out, const struct kraken_pair *pair, int channel)
{
    protocol_end_message(out);
    if (channel == KRAKEN_CHANNEL_TICKER) {
        protocol_put(out, pair->ticker[1]);
    } else if (channel == KRAKEN_CHANNEL_BOOK && pair->begun) {
        protocol_printf(out, "[%s,{\"as\":[", pair->id[channel]);
        put_side(out, pair, TB_SELL);
        protocol_put(out, "],\"bs\":[");
        put_side(out, pair, TB_BUY);
        protocol_printf(out, "]},\"book-%u\",\"%s\"]", pair->depth, pair->v1);
    }
}

/* `"reqid":7,` if the request has one. */
static void put_id(struct protocol_text *out, struct json_span request)
{
    struct json_span id;

    if (!json_find(request, "reqid", &id))
        return;
    protocol_put(out, "\"reqid\":");
    protocol_span(out, id);
    protocol_put(out, ",");
}

static void refuse(struct protocol_text *out, struct json_span request, const char *why,
                   struct json_span pair)
{
    protocol_end_message(out);
    protocol_printf(out, "{\"errorMessage\":\"%s%s", why, pair.length > 0 ? " " : "");
    for (size_t i = 0; i < pair.length && i < 64; i++)
        protocol_append(out, pair.at[i] == '\\' || pair.at[i] == '"' ? "?" : &pair.at[i], 1);
    protocol_put(out, "\",\"event\":\"subscriptionStatus\",");
    put_id(out, request);
    protocol_put(out, "\"status\":\"error\"}");
}

static void switch_pair(struct protocol *p, struct protocol_client *c, struct json_span request,
                        int number, int channel, bool on, struct protocol_text *out)
{
    const struct kraken_pair *pair = &p->pair[number];
    bool book = channel == KRAKEN_CHANNEL_BOOK;

    protocol_end_message(out);
    protocol_printf(out, "{\"channelID\":%s,\"channelName\":\"%s", pair->id[channel],
                    channel_name[channel]);
    if (book)
        protocol_printf(out, "-%u", pair->depth);
    protocol_put(out, "\",\"event\":\"subscriptionStatus\",");
    put_id(out, request);
    protocol_printf(out, "\"pair\":\"%s\",\"status\":\"%ssubscribed\",\"subscription\":{", pair->v1,
                    on ? "" : "un");
    if (book)
        protocol_printf(out, "\"depth\":%u,", pair->depth);
    protocol_printf(out, "\"name\":\"%s\"}}", channel_name[channel]);
    uint32_t stream = kraken_stream((size_t)number, (enum kraken_channel)channel);
    if (protocol_switch(c, stream, on) && on)
        put_late(out, pair, channel);
}

static void request(struct protocol *p, struct protocol_client *c, struct json_span text, bool on,
                    struct protocol_text *out)
{
    struct json_span pairs, item, subscription, name = {"", 0};
    struct json_walk w;
    int channel = -1;

    if (json_find(text, "subscription", &subscription) && json_find(subscription, "name", &name))
        (void)json_text(name, &name);
    for (int i = 0; i < KRAKEN_CHANNELS; i++)
        if (json_is(name, channel_name[i]))
            channel = i;
    if (channel < 0) {
        refuse(out, text, "Subscription name invalid", (struct json_span){"", 0});
        return;
    }
    if (!json_find(text, "pair", &pairs) || !json_enter(pairs, &w) || w.close != ']') {
        refuse(out, text, "Pair(s) not found", (struct json_span){"", 0});
        return;
    }
    while (json_item(&w, &item)) {
        int number = json_text(item, &item) ? kraken_find(p, item) : -1;
        if (number < 0)
            refuse(out, text, "Currency pair not supported", item);
        else
            switch_pair(p, c, text, number, channel, on, out);
    }
}

void kraken_v1_message(struct protocol *p, struct protocol_client *c, struct json_span text,
                       struct protocol_text *out)
{
    struct json_span event = {"", 0};

    (void)json_find(text, "event", &event);
    if (json_is(event, "\"subscribe\"") || json_is(event, "\"unsubscribe\"")) {
        request(p, c, text, json_is(event, "\"subscribe\""), out);
    } else if (json_is(event, "\"ping\"")) {
        protocol_put(out, "{");
        put_id(out, text);
        protocol_put(out, "\"event\":\"pong\"}");
    } else {
        protocol_put(out, "{\"errorMessage\":\"Malformed request\",\"event\":\"error\"}");
    }
}
