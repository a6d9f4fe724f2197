/*
 * Binance spot and USD-M futures, seen from a client: stream names, control messages with the
 * venue's own answers and error texts, REST listing and depth. Facts and wording:
 * binance-spot-api-docs, web-socket-streams.md and rest-api.md; an unknown symbol in SUBSCRIBE is
 * accepted in silence, as the venue does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/log.h>

#include "binance_books.h"

#define STREAM_HASH (PROTOCOL_STREAMS_MAX * 2)
/* The venue's own limits for a connection. */
#define SPOT_STREAMS_MAX 1024
#define USDM_STREAMS_MAX 200

struct stream {
    char name[PROTOCOL_STREAM_BYTES];
    uint16_t symbol; /* index + 1; 0: not a recorded symbol's */
    bool depth;
    bool recorded;
};

struct protocol {
    bool usdm;
    struct stream stream[PROTOCOL_STREAMS_MAX];
    uint32_t stream_count;
    uint16_t hash[STREAM_HASH]; /* stream number + 1 */
    size_t symbol_count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX]; /* as the scan found them */
    struct binance_symbol symbol[ADAPTER_MARKETS_MAX];
};

/* ---- symbols and streams ---- */

static struct binance_symbol *find_symbol(struct protocol *p, struct json_span raw)
{
    for (size_t i = 0; i < p->symbol_count; i++)
        if (json_is(raw, p->symbol[i].market.raw))
            return &p->symbol[i];
    return NULL;
}

static void describe_stream(struct protocol *p, struct stream *s)
{
    char raw[PROTOCOL_STREAM_BYTES];
    const char *at = strchr(s->name, '@');
    size_t length = 0;

    if (at == NULL)
        return;
    for (const char *c = s->name; c < at; c++)
        raw[length++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    struct binance_symbol *symbol = find_symbol(p, (struct json_span){raw, length});
    if (symbol == NULL)
        return;
    s->symbol = (uint16_t)(symbol - p->symbol + 1);
    s->depth = strcmp(at, "@depth") == 0 || strncmp(at, "@depth@", 7) == 0;
}

/* The number of a stream name, given to it if it is new and `add`. -ENOENT, -ENOSPC,
 * -ENAMETOOLONG. */
static int stream_number(struct protocol *p, struct json_span name, bool add)
{
    uint32_t h = 2166136261U;

    if (name.length == 0 || name.length >= PROTOCOL_STREAM_BYTES)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < name.length; i++)
        h = (h ^ (uint8_t)name.at[i]) * 16777619U;
    for (h %= STREAM_HASH; p->hash[h] != 0; h = (h + 1) % STREAM_HASH)
        if (json_is(name, p->stream[p->hash[h] - 1].name))
            return p->hash[h] - 1;
    if (!add)
        return -ENOENT;
    if (p->stream_count == PROTOCOL_STREAMS_MAX)
        return -ENOSPC;
    struct stream *s = &p->stream[p->stream_count++];
    memcpy(s->name, name.at, name.length);
    s->name[name.length] = '\0';
    describe_stream(p, s);
    p->hash[h] = (uint16_t)p->stream_count;
    return (int)p->stream_count - 1;
}

/* The name of the stream that a bare frame came on. False: it is no market data. */
static bool bare_stream(struct json_span frame, char out_name[PROTOCOL_STREAM_BYTES])
{
    static const char *const kinds[][2] = {
        {"trade", "trade"}, {"aggTrade", "aggTrade"}, {"depthUpdate", "depth@100ms"}};
    struct json_span kind, symbol;
    const char *suffix = "bookTicker"; /* the one that does not say its name */

    if (!json_find(frame, "s", &symbol) || !json_text(symbol, &symbol) || symbol.length > 40)
        return false;
    if (json_find(frame, "e", &kind) && json_text(kind, &kind)) {
        suffix = NULL;
        for (size_t i = 0; i < TB_COUNT(kinds); i++)
            if (json_is(kind, kinds[i][0]))
                suffix = kinds[i][1];
    }
    if (suffix == NULL)
        return false;
    int length =
        snprintf(out_name, PROTOCOL_STREAM_BYTES, "%.*s@%s", (int)symbol.length, symbol.at, suffix);
    for (char *c = out_name; *c != '\0' && *c != '@'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    return length > 0 && length < PROTOCOL_STREAM_BYTES;
}

static int read_frame(struct protocol *p, const struct capture_event *event, bool add,
                      struct protocol_frame *out_frame)
{
    struct json_span text = {event->text, event->length}, name, data;
    char made[PROTOCOL_STREAM_BYTES];

    *out_frame = (struct protocol_frame){0};
    if (event->kind != CAPTURE_FRAME)
        return -ENOENT;
    if (json_find(text, "stream", &name) && json_text(name, &name) &&
        json_find(text, "data", &data)) {
        out_frame->combined = text.at;
        out_frame->combined_length = text.length;
    } else if (bare_stream(text, made)) {
        name = (struct json_span){made, strlen(made)};
        data = text;
    } else {
        return -ENOENT;
    }
    int number = stream_number(p, name, add);
    if (number < 0)
        return number;
    out_frame->stream = (uint32_t)number;
    out_frame->bare = data.at;
    out_frame->bare_length = data.length;
    return 0;
}

static int binance_frame(struct protocol *p, const struct capture_event *event,
                         struct protocol_frame *out_frame)
{
    return read_frame(p, event, false, out_frame) == 0 ? 0 : -ENOENT;
}

/* The symbol of a depth answer in a recording, from the URL that asked for it. */
static struct binance_symbol *depth_symbol(struct protocol *p, const struct capture_event *event)
{
    struct json_span raw;
    const char *query = strchr(event->url, '?');

    if (event->kind != CAPTURE_HTTP || query == NULL || strstr(event->url, "/depth?") == NULL ||
        !protocol_query(query + 1, "symbol", &raw))
        return NULL;
    return find_symbol(p, raw);
}

/* ---- the recording ---- */

static int make_books(struct protocol *p)
{
    for (size_t i = 0; i < p->symbol_count; i++) {
        struct binance_symbol *symbol = &p->symbol[i];
        symbol->market = p->market[i];
        symbol->digits = p->usdm ? 0 : 8;
        symbol->timed = p->usdm;
        if (tb_book_init(&symbol->book, BINANCE_BOOK_DEPTH) != 0)
            return -ENOMEM;
        symbol->book.price_exp = symbol->market.price_exp;
        symbol->book.size_exp = symbol->market.size_exp;
    }
    return 0;
}

static int scan_books(struct protocol *p, struct session *s)
{
    struct protocol_frame frame;

    for (; s->have; session_advance(s)) {
        struct binance_symbol *symbol = depth_symbol(p, &s->event);
        if (symbol != NULL &&
            binance_books_snapshot(symbol, s->event.text, s->event.length) == -ENOMEM)
            return -ENOMEM;
        if (read_frame(p, &s->event, true, &frame) != 0)
            continue;
        p->stream[frame.stream].recorded = true;
        if (p->stream[frame.stream].depth)
            binance_books_first(&p->symbol[p->stream[frame.stream].symbol - 1],
                                (struct json_span){frame.bare, frame.bare_length});
    }
    return session_rewind(s);
}

static void binance_destroy(struct protocol *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->symbol_count; i++)
        binance_books_fini(&p->symbol[i]);
    free(p);
}

static struct protocol *binance_create(const char *venue, struct session *session,
                                       struct tb_error *err)
{
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL ? -ENOMEM : protocol_scan(venue, session, p->market, &p->symbol_count);

    if (rc == 0) {
        p->usdm = strcmp(venue, "binanceusdm") == 0;
        rc = make_books(p);
    }
    if (rc == 0)
        rc = scan_books(p, session);
    if (rc == 0) {
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu streams=%u", venue, p->symbol_count,
               p->stream_count);
        return p;
    }
    protocol_unreadable(venue, rc, err);
    binance_destroy(p);
    return NULL;
}

static void binance_played(struct protocol *p, const struct capture_event *event,
                           const struct protocol_frame *frame)
{
    if (event->kind == CAPTURE_HTTP) {
        struct binance_symbol *symbol = depth_symbol(p, event);
        if (symbol != NULL)
            binance_books_resync(symbol, event->text, event->length);
        return;
    }
    if (frame->bare != NULL && p->stream[frame->stream].depth)
        binance_books_update(&p->symbol[p->stream[frame->stream].symbol - 1],
                             (struct json_span){frame->bare, frame->bare_length});
}

static bool binance_awaited(struct protocol *p, const struct capture_event *event)
{
    struct binance_symbol *symbol = depth_symbol(p, event);

    return symbol != NULL && binance_books_awaited(symbol);
}

/* ---- clients ---- */

/*
 * Changes of a book come at several speeds, of which a recording has one: it is what a subscriber
 * to another speed is given. The number of the recorded stream, or `number`.
 */
static int recorded_speed(const struct protocol *p, int number)
{
    const struct stream *wanted = &p->stream[number];

    if (!wanted->depth || wanted->recorded)
        return number;
    for (uint32_t i = 0; i < p->stream_count; i++)
        if (p->stream[i].depth && p->stream[i].recorded && p->stream[i].symbol == wanted->symbol)
            return (int)i;
    return number;
}

static int switch_stream(struct protocol *p, struct protocol_client *c, struct json_span name,
                         bool on)
{
    int number = stream_number(p, name, on);

    if (number < 0)
        return number == -ENOENT ? 0 : number;
    number = recorded_speed(p, number);
    if (on && c->subscriptions == (p->usdm ? USDM_STREAMS_MAX : SPOT_STREAMS_MAX) &&
        !protocol_subscribed(c, (uint32_t)number))
        return -ENOSPC;
    if (!protocol_switch(c, (uint32_t)number, on))
        return 0;
    const struct stream *s = &p->stream[number];
    if (s->depth && on)
        binance_books_listen(&p->symbol[s->symbol - 1]);
    else if (s->depth)
        binance_books_leave(&p->symbol[s->symbol - 1]);
    return 0;
}

static int binance_connect(struct protocol *p, struct protocol_client *c, const char *path,
                           const char *query)
{
    struct json_span list = {"", 0};

    if (strcmp(path, "/stream") == 0 || strcmp(path, "/stream/") == 0) {
        c->combined = true;
        (void)protocol_query(query, "streams", &list);
    } else if (strncmp(path, "/ws/", 4) == 0) {
        list = (struct json_span){path + 4, strlen(path + 4)};
    } else if (strcmp(path, "/ws") != 0) {
        return 404;
    }
    for (size_t from = 0; from < list.length;) {
        size_t length = 0;
        while (from + length < list.length && list.at[from + length] != '/')
            length++;
        struct json_span name = {list.at + from, length};
        if (length > 0 && switch_stream(p, c, name, true) < 0)
            return 400;
        from += length + 1;
    }
    return 0;
}

static void binance_disconnect(struct protocol *p, struct protocol_client *c)
{
    for (uint32_t i = 0; i < p->stream_count; i++)
        if (protocol_subscribed(c, i) && p->stream[i].depth)
            binance_books_leave(&p->symbol[p->stream[i].symbol - 1]);
    memset(c, 0, sizeof(*c));
}

static void refuse(struct protocol_text *out, int code, const char *text, struct json_span id)
{
    protocol_printf(out, "{\"code\":%d,\"msg\":\"%s\"", code, text);
    if (id.length > 0) {
        protocol_append(out, ",\"id\":", 6);
        protocol_append(out, id.at, id.length);
    }
    protocol_append(out, "}", 1);
}

static bool good_id(struct json_span id)
{
    uint64_t number;
    struct json_span text = id;

    if (json_is(id, "null"))
        return true;
    if (id.length > 1 && id.at[0] == '-')
        return json_number((struct json_span){id.at + 1, id.length - 1}, &number);
    return json_text(id, &text) ? text.length <= 36 && memchr(text.at, '\\', text.length) == NULL
                                : json_number(id, &number);
}

static void acknowledge(struct protocol_text *out, struct json_span id)
{
    protocol_append(out, "{\"result\":null,\"id\":", 20);
    protocol_append(out, id.at, id.length);
    protocol_append(out, "}", 1);
}

static void subscribe(struct protocol *p, struct protocol_client *c, struct json_span params,
                      bool on, struct json_span id, struct protocol_text *out)
{
    struct json_walk w;
    struct json_span item, name;

    if (!json_enter(params, &w) || w.close != ']') {
        refuse(out, 2, "Invalid request: params must be an array of strings", id);
        return;
    }
    while (json_item(&w, &item)) {
        int rc = json_text(item, &name) ? switch_stream(p, c, name, on) : -EINVAL;
        if (rc < 0) {
            refuse(out, 2,
                   rc == -ENOSPC ? "Invalid request: too many streams"
                                 : "Invalid request: invalid stream",
                   id);
            return;
        }
    }
    acknowledge(out, id);
}

static void list_subscriptions(const struct protocol *p, const struct protocol_client *c,
                               struct json_span id, struct protocol_text *out)
{
    const char *separator = "";

    protocol_printf(out, "{\"result\":[");
    for (uint32_t i = 0; i < p->stream_count; i++)
        if (protocol_subscribed(c, i)) {
            protocol_printf(out, "%s\"%s\"", separator, p->stream[i].name);
            separator = ",";
        }
    protocol_append(out, "],\"id\":", 7);
    protocol_append(out, id.at, id.length);
    protocol_append(out, "}", 1);
}

/* SET_PROPERTY and GET_PROPERTY: `combined` is the only property there is. */
static void property(struct protocol_client *c, struct json_span params, bool set,
                     struct json_span id, struct protocol_text *out)
{
    struct json_walk w;
    struct json_span name = {"", 0}, value = {"", 0};

    if (!json_enter(params, &w) || !json_item(&w, &name) || !json_is(name, "\"combined\"")) {
        refuse(out, 0, "Unknown property", id);
        return;
    }
    if (!set) {
        protocol_printf(out, "{\"result\":%s,\"id\":", c->combined ? "true" : "false");
        protocol_append(out, id.at, id.length);
        protocol_append(out, "}", 1);
        return;
    }
    if (!json_item(&w, &value) || !(json_is(value, "true") || json_is(value, "false"))) {
        refuse(out, 1, "Invalid value type: expected Boolean", id);
        return;
    }
    c->combined = json_is(value, "true");
    acknowledge(out, id);
}

static int binance_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                           size_t length, tb_ns now, struct protocol_text *out)
{
    struct json_span text = {bytes, length}, method, params = {"", 0}, id = {"", 0};
    struct json_walk w;

    (void)now;
    if (!json_whole(text) || !json_enter(text, &w) || w.close != '}') {
        refuse(out, 3, "Invalid JSON: not a JSON object", id);
        return 0;
    }
    if (json_find(text, "id", &id) && !good_id(id)) {
        refuse(out, 2, "Invalid request: request ID must be an unsigned integer or a string",
               (struct json_span){"", 0});
        return 0;
    }
    if (id.length == 0)
        id = (struct json_span){"null", 4};
    if (!json_find(text, "method", &method) || !json_text(method, &method)) {
        refuse(out, 2, "Invalid request: missing field `method`", id);
        return 0;
    }
    (void)json_find(text, "params", &params);
    if (json_is(method, "SUBSCRIBE") || json_is(method, "UNSUBSCRIBE"))
        subscribe(p, c, params, json_is(method, "SUBSCRIBE"), id, out);
    else if (json_is(method, "LIST_SUBSCRIPTIONS"))
        list_subscriptions(p, c, id, out);
    else if (json_is(method, "SET_PROPERTY") || json_is(method, "GET_PROPERTY"))
        property(c, params, json_is(method, "SET_PROPERTY"), id, out);
    else
        refuse(out, 2,
               "Invalid request: unknown variant, expected one of `SUBSCRIBE`, "
               "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
               id);
    return 0;
}

/* ---- REST ---- */

static int rest_error(struct protocol_text *out, int code, const char *text)
{
    protocol_printf(out, "{\"code\":%d,\"msg\":\"%s\"}", code, text);
    return 400;
}

static int get_depth(struct protocol *p, const char *query, struct protocol_text *out)
{
    struct json_span raw, limit_text;
    uint64_t limit = 100;
    struct binance_symbol *symbol;

    if (!protocol_query(query, "symbol", &raw))
        return rest_error(
            out, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
    symbol = find_symbol(p, raw);
    if (symbol == NULL)
        return rest_error(out, -1121, "Invalid symbol.");
    if (protocol_query(query, "limit", &limit_text) && !json_number(limit_text, &limit))
        return rest_error(out, -1100,
                          "Illegal characters found in parameter 'limit'; legal range "
                          "is '^[0-9]{1,20}$'.");
    if (limit == 0)
        return rest_error(out, -1100, "Illegal parameter 'limit'.");
    binance_books_answer(symbol, limit > BINANCE_LIMIT_MAX ? BINANCE_LIMIT_MAX : (uint32_t)limit,
                         out);
    return 200;
}

static void append_filter(struct protocol_text *out, const char *type, const char *quantity,
                          const char *step, int exp, unsigned digits)
{
    int64_t most = exp < -9 ? INT64_MAX : INT64_C(9000000000000000000);

    protocol_printf(out, "{\"filterType\":\"%s\",\"min%s\":", type, quantity);
    binance_books_number(out, 1, exp, digits);
    protocol_printf(out, ",\"max%s\":", quantity);
    binance_books_number(out, most, exp, digits);
    protocol_printf(out, ",\"%s\":", step);
    binance_books_number(out, 1, exp, digits);
    protocol_append(out, "}", 1);
}

/* BTC/USDT:USDT is of the base BTC, the quote USDT, and settled in USDT. */
static void append_symbol(const struct binance_symbol *s, struct protocol_text *out)
{
    const struct adapter_market_config *m = &s->market;
    const char *slash = strchr(m->symbol, '/'), *quote = slash == NULL ? "" : slash + 1;
    int base = slash == NULL ? (int)strlen(m->symbol) : (int)(slash - m->symbol);
    int length = (int)strcspn(quote, ":");

    if (s->timed)
        protocol_printf(out,
                        "{\"symbol\":\"%s\",\"pair\":\"%.*s%.*s\",\"contractType\":\"%s\","
                        "\"status\":\"TRADING\",\"baseAsset\":\"%.*s\",\"quoteAsset\":\"%.*s\","
                        "\"marginAsset\":\"%s\",\"filters\":[",
                        m->raw, base, m->symbol, length, quote,
                        strchr(m->raw, '_') == NULL ? "PERPETUAL" : "CURRENT_QUARTER", base,
                        m->symbol, length, quote, quote + length + (quote[length] == ':'));
    else
        protocol_printf(out,
                        "{\"symbol\":\"%s\",\"status\":\"TRADING\",\"baseAsset\":\"%.*s\","
                        "\"baseAssetPrecision\":8,\"quoteAsset\":\"%s\",\"quotePrecision\":8,"
                        "\"quoteAssetPrecision\":8,\"isSpotTradingAllowed\":true,\"filters\":[",
                        m->raw, base, m->symbol, quote);
    append_filter(out, "PRICE_FILTER", "Price", "tickSize", m->price_exp, s->digits);
    protocol_append(out, ",", 1);
    append_filter(out, "LOT_SIZE", "Qty", "stepSize", m->size_exp, s->digits);
    protocol_append(out, "]}", 2);
}

/* Does the query ask for this symbol? `symbols=["A","B"]`, `symbol=A`, or neither: all. */
static bool listed(const char *query, const char *raw)
{
    struct json_span value, item, name;
    struct json_walk w;

    if (protocol_query(query, "symbol", &value))
        return json_is(value, raw);
    if (!protocol_query(query, "symbols", &value))
        return true;
    if (!json_enter(value, &w))
        return false;
    while (json_item(&w, &item))
        if (json_text(item, &name) && json_is(name, raw))
            return true;
    return false;
}

static bool all_known(struct protocol *p, const char *query)
{
    struct json_span value, item, name;
    struct json_walk w;

    if (protocol_query(query, "symbol", &value))
        return find_symbol(p, value) != NULL;
    if (!protocol_query(query, "symbols", &value))
        return true;
    if (!json_enter(value, &w))
        return false;
    while (json_item(&w, &item))
        if (!json_text(item, &name) || find_symbol(p, name) == NULL)
            return false;
    return true;
}

static int get_listing(struct protocol *p, const char *query, tb_ns now, struct protocol_text *out)
{
    const char *separator = "";

    if (!all_known(p, query))
        return rest_error(out, -1121, "Invalid symbol.");
    protocol_printf(out,
                    "{\"timezone\":\"UTC\",\"serverTime\":%" PRId64
                    ",\"rateLimits\":[],\"exchangeFilters\":[],\"symbols\":[",
                    now / TB_NS_PER_MS);
    for (size_t i = 0; i < p->symbol_count; i++) {
        if (!listed(query, p->symbol[i].market.raw))
            continue;
        protocol_append(out, separator, strlen(separator));
        append_symbol(&p->symbol[i], out);
        separator = ",";
    }
    protocol_append(out, "]}", 2);
    return 200;
}

static int binance_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                       struct protocol_text *out)
{
    const char *root = p->usdm ? "/fapi/v1/" : "/api/v3/";
    const char *name = strncmp(path, root, strlen(root)) == 0 ? path + strlen(root) : "";

    if (strcmp(name, "depth") == 0)
        return get_depth(p, query, out);
    if (strcmp(name, "exchangeInfo") == 0)
        return get_listing(p, p->usdm ? "" : query, now, out); /* futures list all there is */
    if (strcmp(name, "time") == 0) {
        protocol_printf(out, "{\"serverTime\":%" PRId64 "}", now / TB_NS_PER_MS);
        return 200;
    }
    if (strcmp(name, "ping") == 0) {
        protocol_append(out, "{}", 2);
        return 200;
    }
    protocol_printf(out, "<html><body><h1>404 Not Found</h1></body></html>");
    return 404;
}

/* exchanges.md 2.1; of USD-M "Websocket Market Streams". Closing with 1008 is what clients
 * report. */
static const struct protocol_rules *binance_rules(const struct protocol *p)
{
    static const struct protocol_rules spot = {.messages = 5,
                                               .messages_per = TB_NS_PER_S,
                                               .close_code = 1008,
                                               .refusal = "Too many requests",
                                               .message_bytes = 4096,
                                               .connects = 300,
                                               .connects_per = 300 * TB_NS_PER_S,
                                               .ping_every = 20 * TB_NS_PER_S,
                                               .pong_timeout = 60 * TB_NS_PER_S};
    static const struct protocol_rules usdm = {.messages = 10,
                                               .messages_per = TB_NS_PER_S,
                                               .close_code = 1008,
                                               .refusal = "Too many requests",
                                               .message_bytes = 4096,
                                               .connects = 300,
                                               .connects_per = 300 * TB_NS_PER_S,
                                               .ping_every = 180 * TB_NS_PER_S,
                                               .pong_timeout = 600 * TB_NS_PER_S};
    return p->usdm ? &usdm : &spot;
}

static const struct adapter_market_config *binance_markets(const struct protocol *p,
                                                           size_t *out_count)
{
    *out_count = p->symbol_count;
    return p->market;
}

static const char *const venues[] = {"binance", "binanceus", "binanceusdm", NULL};

const struct protocol_ops protocol_binance = {
    .venues = venues,
    .rules = binance_rules,
    .markets = binance_markets,
    .create = binance_create,
    .destroy = binance_destroy,
    .connect = binance_connect,
    .disconnect = binance_disconnect,
    .message = binance_message,
    .frame = binance_frame,
    .played = binance_played,
    .awaited = binance_awaited,
    .get = binance_get,
};
