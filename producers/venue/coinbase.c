/*
 * Coinbase Exchange, seen from a client: subscriptions by product and channel, level2 books that begin on
 * the socket. Who subscribed before the recorded snapshot is played gets that; who comes later gets,
 * right after the agreement, one made of what was played so far.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/book.h>
#include <tickbus/decimal.h>
#include <tickbus/log.h>

#include "json.h"
#include "producers/adapter/adapter.h"
#include "protocol.h"

#define BOOK_DEPTH 50000 /* levels kept a side: the venue sends whole books */

enum channel { LEVEL2, MATCHES, TICKER, CHANNELS };

static const char *const channel_name[CHANNELS] = {"level2", "matches", "ticker"};

struct protocol {
    size_t count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    struct tb_book book[ADAPTER_MARKETS_MAX];
    bool begun[ADAPTER_MARKETS_MAX]; /* the book's snapshot was played */
};

static void put(struct protocol_text *out, const char *text)
{
    protocol_append(out, text, strlen(text));
}

/* -1: no such product in the recording. */
static int find_product(const struct protocol *p, struct json_span raw)
{
    for (size_t i = 0; i < p->count; i++)
        if (json_is(raw, p->market[i].raw))
            return (int)i;
    return -1;
}

/* ---- the recording ---- */

static int coinbase_frame(struct protocol *p, const struct capture_event *event,
                          struct protocol_frame *out_frame)
{
    static const struct {
        const char *type;
        enum channel channel;
    } kinds[] = {{"\"l2update\"", LEVEL2},
                 {"\"snapshot\"", LEVEL2},
                 {"\"match\"", MATCHES},
                 {"\"last_match\"", MATCHES},
                 {"\"ticker\"", TICKER}};
    struct json_span text = {event->text, event->length}, type, product;

    *out_frame = (struct protocol_frame){0};
    if (event->kind != CAPTURE_FRAME || !json_find(text, "type", &type) ||
        !json_find(text, "product_id", &product) || !json_text(product, &product))
        return -ENOENT;
    int market = find_product(p, product);
    for (size_t i = 0; market >= 0 && i < TB_COUNT(kinds); i++)
        if (json_is(type, kinds[i].type)) {
            out_frame->stream = (uint32_t)market * CHANNELS + kinds[i].channel;
            out_frame->bare = event->text;
            out_frame->bare_length = event->length;
            return 0;
        }
    return -ENOENT;
}

static void set_level(const struct protocol *p, struct tb_book *book, uint8_t side,
                      struct json_span price, struct json_span size)
{
    const struct adapter_market_config *m = &p->market[book - p->book];
    int64_t number[2];

    if (json_text(price, &price) && json_text(size, &size) &&
        tb_decimal_parse(price.at, price.length, m->price_exp, &number[0]) == 0 &&
        tb_decimal_parse(size.at, size.length, m->size_exp, &number[1]) == 0)
        (void)tb_book_set(book, side, number[0], number[1]);
}

static void set_side(const struct protocol *p, struct tb_book *book, uint8_t side,
                     struct json_span levels)
{
    struct json_walk w, level;
    struct json_span item, price, size;

    if (!json_enter(levels, &w))
        return;
    while (json_item(&w, &item))
        if (json_enter(item, &level) && json_item(&level, &price) && json_item(&level, &size))
            set_level(p, book, side, price, size);
}

static void set_changes(const struct protocol *p, struct tb_book *book, struct json_span changes)
{
    struct json_walk w, level;
    struct json_span item, side, price, size;

    if (!json_enter(changes, &w))
        return;
    while (json_item(&w, &item))
        if (json_enter(item, &level) && json_item(&level, &side) && json_item(&level, &price) &&
            json_item(&level, &size))
            set_level(p, book, json_is(side, "\"buy\"") ? TB_BUY : TB_SELL, price, size);
}

static void coinbase_played(struct protocol *p, const struct capture_event *event,
                            const struct protocol_frame *frame)
{
    struct json_span text = {event->text, event->length}, levels;
    size_t market = frame->stream / CHANNELS;
    struct tb_book *book = &p->book[market];

    if (frame->bare == NULL || frame->stream % CHANNELS != LEVEL2)
        return;
    if (json_find(text, "changes", &levels)) {
        set_changes(p, book, levels);
        return;
    }
    tb_book_clear(book);
    p->begun[market] = true;
    if (json_find(text, "bids", &levels))
        set_side(p, book, TB_BUY, levels);
    if (json_find(text, "asks", &levels))
        set_side(p, book, TB_SELL, levels);
}

static void coinbase_destroy(struct protocol *p)
{
    for (size_t i = 0; p != NULL && i < p->count; i++)
        tb_book_fini(&p->book[i]);
    free(p);
}

static int scan(struct protocol *p, const struct adapter_ops *adapter, struct session *s)
{
    unsigned channels = 0;

    for (; s->have; session_advance(s))
        if (s->event.kind == CAPTURE_FRAME)
            (void)adapter->scan(NULL, s->event.text, s->event.length, p->market, &p->count,
                                ADAPTER_MARKETS_MAX, &channels);
    for (size_t i = 0; i < p->count; i++) {
        if (tb_book_init(&p->book[i], BOOK_DEPTH) != 0)
            return -ENOMEM;
        p->book[i].price_exp = p->market[i].price_exp;
        p->book[i].size_exp = p->market[i].size_exp;
    }
    return p->count == 0 ? -ENODATA : session_rewind(s);
}

static struct protocol *coinbase_create(const char *venue, struct session *session,
                                        struct tb_error *err)
{
    const struct adapter_ops *adapter = adapter_find(venue);
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL || adapter == NULL ? -ENOMEM : scan(p, adapter, session);

    if (rc == 0) {
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu", venue, p->count);
        return p;
    }
    (void)tb_fail(err, rc, "cannot read the recording as one of %s: %s", venue,
                  rc == -ENODATA ? "no market data in it" : strerror(-rc));
    coinbase_destroy(p);
    return NULL;
}

static bool coinbase_awaited(struct protocol *p, const struct capture_event *event)
{
    (void)p, (void)event; /* nothing of REST is needed */
    return false;
}

/* ---- clients ---- */

static int coinbase_connect(struct protocol *p, struct protocol_client *c, const char *path,
                            const char *query)
{
    (void)p, (void)c, (void)query;
    return strcmp(path, "/") == 0 ? 0 : 404;
}

static void coinbase_disconnect(struct protocol *p, struct protocol_client *c)
{
    (void)p;
    memset(c, 0, sizeof(*c));
}

static void put_side(struct protocol_text *out, const struct tb_book *book, uint8_t side)
{
    const struct tb_book_level *level;
    char text[2][TB_DECIMAL_BYTES];

    for (uint32_t rank = 0; (level = tb_book_best(book, side, rank)) != NULL; rank++) {
        size_t price = tb_decimal_format(level->price, book->price_exp, text[0]);
        size_t size = tb_decimal_format(level->size, book->size_exp, text[1]);
        protocol_printf(out, "%s[\"%.*s\",\"%.*s\"]", rank == 0 ? "" : ",", (int)price, text[0],
                        (int)size, text[1]);
    }
}

static void put_snapshot(struct protocol_text *out, const struct protocol *p, size_t market)
{
    protocol_end_message(out);
    protocol_printf(out, "{\"type\":\"snapshot\",\"product_id\":\"%s\",\"asks\":[",
                    p->market[market].raw);
    put_side(out, &p->book[market], TB_SELL);
    put(out, "],\"bids\":[");
    put_side(out, &p->book[market], TB_BUY);
    put(out, "]}");
}

/* Everything this client is subscribed to, as each agreement says. */
static void put_subscriptions(struct protocol_text *out, const struct protocol *p,
                              const struct protocol_client *c)
{
    put(out, "{\"type\":\"subscriptions\",\"channels\":[");
    for (uint32_t channel = 0; channel < CHANNELS; channel++) {
        const char *separator = "";
        protocol_printf(out, "%s{\"name\":\"%s\",\"product_ids\":[", channel == 0 ? "" : ",",
                        channel_name[channel]);
        for (uint32_t i = 0; i < p->count; i++)
            if (protocol_subscribed(c, i * CHANNELS + channel)) {
                protocol_printf(out, "%s\"%s\"", separator, p->market[i].raw);
                separator = ",";
            }
        put(out, "]}");
    }
    put(out, "]}");
}

/* -1: one that is not served (heartbeat): agreed to, and silent. */
static int find_channel(struct json_span name)
{
    for (int i = 0; i < CHANNELS; i++)
        if (json_is(name, channel_name[i]))
            return i;
    return json_is(name, "level2_batch") ? LEVEL2 : -1;
}

/* All products of one channel. False: one of them is unknown. */
static bool switch_channel(struct protocol *p, struct protocol_client *c, int channel,
                           struct json_span products, bool on, bool *out_begun)
{
    struct json_walk w;
    struct json_span item;

    if (!json_enter(products, &w) || w.close != ']')
        return false;
    while (json_item(&w, &item)) {
        int market = json_text(item, &item) ? find_product(p, item) : -1;
        if (market < 0)
            return false;
        if (channel < 0)
            continue;
        uint32_t stream = (uint32_t)(market * CHANNELS + channel);
        if (protocol_subscribed(c, stream) == on)
            continue;
        c->on[stream / 64] ^= UINT64_C(1) << (stream % 64);
        c->subscriptions += on ? 1U : -1U;
        out_begun[market] = on && channel == LEVEL2 && p->begun[market];
    }
    return true;
}

/* A channel is a name, for the request's products, or {"name":..,"product_ids":[..]}. */
static bool switch_all(struct protocol *p, struct protocol_client *c, struct json_span text,
                       bool on, bool *out_begun)
{
    struct json_walk w;
    struct json_span channels, item, name, products, all = {"[]", 2};

    (void)json_find(text, "product_ids", &all);
    if (!json_find(text, "channels", &channels) || !json_enter(channels, &w) || w.close != ']')
        return false;
    while (json_item(&w, &item)) {
        products = all;
        if (json_find(item, "name", &name))
            (void)json_find(item, "product_ids", &products);
        else
            name = item;
        if (!json_text(name, &name) ||
            !switch_channel(p, c, find_channel(name), products, on, out_begun))
            return false;
    }
    return true;
}

static int coinbase_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                            size_t length, struct protocol_text *out)
{
    struct json_span text = {bytes, length}, type = {"", 0};
    bool begun[ADAPTER_MARKETS_MAX] = {false};

    if (json_whole(text))
        (void)json_find(text, "type", &type);
    bool on = json_is(type, "\"subscribe\"");
    if (!on && !json_is(type, "\"unsubscribe\"")) {
        put(out, "{\"type\":\"error\",\"message\":\"Malformed JSON\"}");
        return 0;
    }
    if (!switch_all(p, c, text, on, begun)) {
        put(out, "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"not a valid "
                 "product\"}");
        return 0;
    }
    put_subscriptions(out, p, c);
    for (size_t i = 0; i < p->count; i++)
        if (begun[i])
            put_snapshot(out, p, i);
    return 0;
}

/* ---- REST ---- */

/* "0.001" of -3. */
static void put_step(struct protocol_text *out, int exp)
{
    put(out, exp < 0 ? "\"0." : "\"");
    for (int i = exp; i < -1; i++)
        put(out, "0");
    put(out, "1\"");
}

static int coinbase_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                        struct protocol_text *out)
{
    (void)query, (void)now;
    if (strcmp(path, "/products") != 0) {
        put(out, "{\"message\":\"NotFound\"}");
        return 404;
    }
    put(out, "[");
    for (size_t i = 0; i < p->count; i++) {
        const struct adapter_market_config *m = &p->market[i];
        size_t base = strcspn(m->symbol, "/");
        protocol_printf(out,
                        "%s{\"id\":\"%s\",\"base_currency\":\"%.*s\",\"quote_currency\":\"%s\","
                        "\"status\":\"online\",\"base_increment\":",
                        i == 0 ? "" : ",", m->raw, (int)base, m->symbol,
                        m->symbol[base] == '/' ? m->symbol + base + 1 : "");
        put_step(out, m->size_exp);
        put(out, ",\"quote_increment\":");
        put_step(out, m->price_exp);
        put(out, "}");
    }
    put(out, "]");
    return 200;
}

static const char *const venues[] = {"coinbaseexchange", NULL};

const struct protocol_ops protocol_coinbase = {
    .venues = venues,
    .create = coinbase_create,
    .destroy = coinbase_destroy,
    .connect = coinbase_connect,
    .disconnect = coinbase_disconnect,
    .message = coinbase_message,
    .frame = coinbase_frame,
    .played = coinbase_played,
    .awaited = coinbase_awaited,
    .get = coinbase_get,
};
