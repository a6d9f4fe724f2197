/*
 * MEXC spot v3, seen from a client: data in protobuf, in binary messages, answers in JSON; REST imitates
 * Binance's, and so does its book here (binance_books.h). A subscription that the venue does not like is
 * refused with `code` 0 and the word Blocked; beyond thirty of a connection it agrees and sends nothing.
 * Changes of a book come at two speeds, and whole small books in three sizes, of which a recording has one:
 * it is what a subscriber to any of them is given.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/log.h>

#include "binance_books.h"
#include "producers/adapter/mexc_message.h"

#define SUBSCRIPTIONS_MAX 30
#define NAME_BYTES 128

enum kind { DEALS, TICKER, DEPTH, LIMIT_DEPTH, KLINE, SILENT, KINDS };

static const char prefix[] = "spot@public.";

static const struct {
    const char *name; /* behind the prefix */
    enum kind kind;
} kinds[] = {{"aggre.deals.v3.api.pb@", DEALS}, {"aggre.bookTicker.v3.api.pb@", TICKER},
             {"aggre.depth.v3.api.pb@", DEPTH}, {"limit.depth.v3.api.pb@", LIMIT_DEPTH},
             {"kline.v3.api.pb@", KLINE},       {"bookTicker.batch.v3.api.pb@", SILENT},
             {"miniTicker.v3.api.pb@", SILENT}};

struct protocol {
    size_t count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    struct binance_symbol symbol[ADAPTER_MARKETS_MAX];
    bool recorded[ADAPTER_MARKETS_MAX][KINDS];
    char interval[ADAPTER_MARKETS_MAX][16]; /* of the recorded klines */
    struct mexc_decoder *decoder;
};

static int find_symbol(const struct protocol *p, struct json_span raw)
{
    for (size_t i = 0; i < p->count; i++)
        if (json_is(raw, p->market[i].raw))
            return (int)i;
    return -1;
}

/* What a channel's name says: the symbol stands in front of the last word or is it. False: no such channel. */
static bool read_name(const struct protocol *p, struct json_span name, enum kind *out_kind,
                      size_t *out_market, struct json_span *out_word)
{
    size_t known = sizeof(prefix) - 1;

    if (name.length <= known || memcmp(name.at, prefix, known) != 0)
        return false;
    for (size_t i = 0; i < TB_COUNT(kinds); i++) {
        size_t length = strlen(kinds[i].name);
        if (name.length - known <= length || memcmp(name.at + known, kinds[i].name, length) != 0)
            continue;
        struct json_span first = {name.at + known + length, name.length - known - length};
        const char *at = memchr(first.at, '@', first.length);
        struct json_span second = {"", 0};
        if (at != NULL) {
            second = (struct json_span){at + 1, (size_t)(first.at + first.length - at - 1)};
            first.length = (size_t)(at - first.at);
        }
        bool speed_first = kinds[i].kind <= DEPTH;
        int market = find_symbol(p, speed_first ? second : first);
        *out_kind = kinds[i].kind;
        *out_market = (size_t)market;
        *out_word = speed_first ? first : second;
        return market >= 0 && (!speed_first || json_is(first, "100ms") || json_is(first, "10ms"));
    }
    return false;
}

static uint32_t stream_of(size_t market, enum kind kind)
{
    return (uint32_t)(market * KINDS) + kind;
}

/* ---- the recording ---- */

static struct json_span span_of(ProtobufCBinaryData data)
{
    return (struct json_span){data.len == 0 ? "" : (const char *)data.data, data.len};
}

/* Also its kind and market. NULL: it is no message of a recorded market. */
static const Mexc__Push *read_push(struct protocol *p, const struct capture_event *event,
                                   enum kind *out_kind, size_t *out_market,
                                   struct json_span *out_word)
{
    if (event->kind != CAPTURE_FRAME || event->length == 0 || event->text[0] == '{')
        return NULL;
    const Mexc__Push *push = mexc_decode(p->decoder, event->text, event->length);
    if (push == NULL || !read_name(p, span_of(push->channel), out_kind, out_market, out_word))
        return NULL;
    return push;
}

static int mexc_frame(struct protocol *p, const struct capture_event *event,
                      struct protocol_frame *out_frame)
{
    enum kind kind;
    size_t market;
    struct json_span word;

    *out_frame = (struct protocol_frame){0};
    if (read_push(p, event, &kind, &market, &word) == NULL)
        return -ENOENT;
    *out_frame = (struct protocol_frame){.stream = stream_of(market, kind),
                                         .bare = event->text,
                                         .bare_length = event->length,
                                         .binary = true};
    return 0;
}

static void set_side(struct binance_symbol *s, uint8_t side, Mexc__Level *const *level,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        binance_books_level(s, side, span_of(level[i]->price), span_of(level[i]->quantity));
}

/* The symbol of a depth answer in a recording, from the URL that asked for it. */
static struct binance_symbol *depth_symbol(struct protocol *p, const struct capture_event *event)
{
    struct json_span raw;
    const char *query = strchr(event->url, '?');

    if (event->kind != CAPTURE_HTTP || query == NULL || strstr(event->url, "/depth?") == NULL ||
        !protocol_query(query + 1, "symbol", &raw))
        return NULL;
    int market = find_symbol(p, raw);
    return market < 0 ? NULL : &p->symbol[market];
}

static void play_push(struct binance_symbol *s, const Mexc__Push *push)
{
    uint64_t last;

    if (push->body_case == MEXC__PUSH__BODY_DEPTH) {
        const Mexc__Depth *d = push->depth;
        if (!json_number(span_of(d->to_version), &last) || !binance_books_moves(s, last))
            return;
        set_side(s, TB_SELL, d->asks, d->n_asks);
        set_side(s, TB_BUY, d->bids, d->n_bids);
    } else if (push->body_case == MEXC__PUSH__BODY_LIMIT_DEPTH) {
        const Mexc__LimitDepth *d = push->limit_depth;
        if (!json_number(span_of(d->version), &last) || !binance_books_moves(s, last))
            return;
        tb_book_clear(&s->book);
        set_side(s, TB_SELL, d->asks, d->n_asks);
        set_side(s, TB_BUY, d->bids, d->n_bids);
    }
}

static void mexc_played(struct protocol *p, const struct capture_event *event,
                        const struct protocol_frame *frame)
{
    enum kind kind;
    size_t market;
    struct json_span word;
    const Mexc__Push *push;

    (void)frame;
    if (event->kind == CAPTURE_HTTP) {
        struct binance_symbol *symbol = depth_symbol(p, event);
        if (symbol != NULL)
            binance_books_resync(symbol, event->text, event->length);
    } else if ((push = read_push(p, event, &kind, &market, &word)) != NULL &&
               (kind == DEPTH || !p->recorded[market][DEPTH])) {
        play_push(&p->symbol[market], push);
    }
}

static bool mexc_awaited(struct protocol *p, const struct capture_event *event)
{
    struct binance_symbol *symbol = depth_symbol(p, event);

    return symbol != NULL && binance_books_awaited(symbol);
}

/* What must be known before the first frame is served: snapshots, which channels there are. 0 or -ENOMEM. */
static int look(struct protocol *p, const struct capture_event *event)
{
    struct binance_symbol *symbol = depth_symbol(p, event);
    struct json_span word;
    enum kind kind;
    size_t market;
    uint64_t first;

    if (symbol != NULL)
        return binance_books_snapshot(symbol, event->text, event->length) == -ENOMEM ? -ENOMEM : 0;
    const Mexc__Push *push = read_push(p, event, &kind, &market, &word);
    if (push == NULL)
        return 0;
    p->recorded[market][kind] = true;
    if (kind == KLINE)
        (void)snprintf(p->interval[market], sizeof(p->interval[market]), "%.*s", (int)word.length,
                       word.at);
    if (push->body_case == MEXC__PUSH__BODY_DEPTH &&
        json_number(span_of(push->depth->from_version), &first))
        binance_books_begins(&p->symbol[market], first);
    return 0;
}

static void mexc_destroy(struct protocol *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        binance_books_fini(&p->symbol[i]);
    mexc_decoder_destroy(p->decoder);
    free(p);
}

static int make_books(struct protocol *p)
{
    p->decoder = mexc_decoder_create();
    for (size_t i = 0; i < p->count; i++) {
        struct binance_symbol *symbol = &p->symbol[i];
        symbol->market = p->market[i];
        if (tb_book_init(&symbol->book, BINANCE_BOOK_DEPTH) != 0)
            return -ENOMEM;
        symbol->book.price_exp = symbol->market.price_exp;
        symbol->book.size_exp = symbol->market.size_exp;
    }
    return p->decoder == NULL ? -ENOMEM : 0;
}

static struct protocol *mexc_create(const char *venue, struct session *session,
                                    struct tb_error *err)
{
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL ? -ENOMEM : protocol_scan(venue, session, p->market, &p->count);

    if (rc == 0)
        rc = make_books(p);
    for (; rc == 0 && session->have; session_advance(session))
        rc = look(p, &session->event);
    if (rc == 0)
        rc = session_rewind(session);
    if (rc == 0) {
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu", venue, p->count);
        return p;
    }
    protocol_unreadable(venue, rc, err);
    mexc_destroy(p);
    return NULL;
}

/* ---- clients ---- */

static int mexc_connect(struct protocol *p, struct protocol_client *c, const char *path,
                        const char *query)
{
    (void)p, (void)c, (void)query;
    return strcmp(path, "/ws") == 0 ? 0 : 404;
}

static void mexc_disconnect(struct protocol *p, struct protocol_client *c)
{
    for (size_t i = 0; i < p->count; i++)
        if (protocol_subscribed(c, stream_of(i, DEPTH)))
            binance_books_leave(&p->symbol[i]);
    memset(c, 0, sizeof(*c));
}

/* The stream that is served to a subscriber of this channel. */
static enum kind served(const struct protocol *p, size_t market, enum kind kind,
                        struct json_span word)
{
    const bool *recorded = p->recorded[market];

    if (kind == DEPTH || kind == LIMIT_DEPTH)
        return recorded[kind]          ? kind
               : recorded[DEPTH]       ? DEPTH
               : recorded[LIMIT_DEPTH] ? LIMIT_DEPTH
                                       : kind;
    return kind == KLINE && !json_is(word, p->interval[market]) ? SILENT : kind;
}

static bool switch_channel(struct protocol *p, struct protocol_client *c, struct json_span name,
                           bool on)
{
    enum kind kind;
    size_t market;
    struct json_span word;

    if (!read_name(p, name, &kind, &market, &word))
        return false;
    kind = served(p, market, kind, word);
    if (on && c->subscriptions == SUBSCRIPTIONS_MAX)
        return true;
    if (!protocol_switch(c, stream_of(market, kind), on) || kind != DEPTH)
        return true;
    if (on)
        binance_books_listen(&p->symbol[market]);
    else
        binance_books_leave(&p->symbol[market]);
    return true;
}

static void put_name(struct protocol_text *out, struct json_span name)
{
    if (out->length > 0)
        protocol_put(out, ",");
    for (size_t i = 0; i < name.length && i < NAME_BYTES; i++)
        protocol_append(out, name.at[i] == '\\' || name.at[i] == '"' ? "?" : &name.at[i], 1);
}

static void answer(struct protocol_text *out, const char *text)
{
    protocol_put(out, "{\"id\":0,\"code\":0,\"msg\":\"");
    protocol_put(out, text);
    protocol_put(out, "\"}");
}

static void request(struct protocol *p, struct protocol_client *c, struct json_span params, bool on,
                    struct protocol_text *out)
{
    struct protocol_text good = {0}, bad = {0}, *list;
    struct json_walk w;
    struct json_span item;

    if (!json_enter(params, &w) || w.close != ']') {
        answer(out, "params must be a list");
        return;
    }
    while (json_item(&w, &item)) {
        list = json_text(item, &item) && switch_channel(p, c, item, on) ? &good : &bad;
        put_name(list, item);
    }
    protocol_put(out, "{\"id\":0,\"code\":0,\"msg\":\"");
    if (bad.length > 0)
        protocol_put(out, "Subscribed successful! [");
    protocol_append(out, good.text, good.length);
    if (bad.length > 0) {
        protocol_put(out, "]. Not Subscribed successfully! [");
        protocol_append(out, bad.text, bad.length);
        protocol_put(out, "].  Reason\uff1a Blocked! ");
    }
    protocol_put(out, "\"}");
    out->failed = out->failed || good.failed || bad.failed;
    protocol_text_free(&good);
    protocol_text_free(&bad);
}

static int mexc_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                        size_t length, tb_ns now, struct protocol_text *out)
{
    struct json_span text = {bytes, length}, method = {"", 0}, params = {"", 0};

    (void)now;
    if (json_whole(text)) {
        (void)json_find(text, "method", &method);
        (void)json_find(text, "params", &params);
    }
    if (json_is(method, "\"PING\"") || json_is(method, "\"ping\""))
        answer(out, "PONG");
    else if (json_is(method, "\"SUBSCRIPTION\"") || json_is(method, "\"UNSUBSCRIPTION\""))
        request(p, c, params, json_is(method, "\"SUBSCRIPTION\""), out);
    else
        answer(out, "unknown message");
    return 0;
}

/* ---- REST ---- */

static int rest_error(struct protocol_text *out, int code, const char *text)
{
    protocol_printf(out, "{\"msg\":\"%s\",\"code\":%d}", text, code);
    return 400;
}

static int get_depth(struct protocol *p, const char *query, tb_ns now, struct protocol_text *out)
{
    struct json_span raw = {"", 0}, limit_text;
    uint64_t limit = 100;

    (void)protocol_query(query, "symbol", &raw);
    int market = find_symbol(p, raw);
    if (market < 0)
        return rest_error(out, -1121, "Invalid symbol.");
    if (protocol_query(query, "limit", &limit_text) && !json_number(limit_text, &limit))
        return rest_error(out, -1100, "Illegal parameter 'limit'.");
    size_t from = out->length;
    binance_books_answer(&p->symbol[market],
                         limit > BINANCE_LIMIT_MAX ? BINANCE_LIMIT_MAX : (uint32_t)limit, out);
    /* The recorded answer has its time. */
    if (memmem(out->text + from, out->length - from, "\"timestamp\"", 11) == NULL) {
        out->length--;
        protocol_printf(out, ",\"timestamp\":%" PRId64 "}", now / TB_NS_PER_MS);
    }
    return 200;
}

static void append_symbol(const struct adapter_market_config *m, struct protocol_text *out)
{
    int length;
    const char *quote = protocol_quote(m, &length);

    protocol_printf(out,
                    "{\"symbol\":\"%s\",\"status\":\"1\",\"baseAsset\":\"%.*s\","
                    "\"baseAssetPrecision\":%d,\"quoteAsset\":\"%.*s\",\"quotePrecision\":%d,"
                    "\"quoteAssetPrecision\":%d,\"isSpotTradingAllowed\":true,"
                    "\"baseSizePrecision\":\"",
                    m->raw, protocol_base(m), m->symbol, m->size_exp < 0 ? -m->size_exp : 0, length,
                    quote, m->price_exp < 0 ? -m->price_exp : 0,
                    m->price_exp < 0 ? -m->price_exp : 0);
    protocol_step(out, m->size_exp);
    protocol_put(out, "\"}");
}

static int get_listing(struct protocol *p, const char *query, tb_ns now, struct protocol_text *out)
{
    struct json_span raw = {"", 0};
    const char *separator = "";
    bool one = protocol_query(query, "symbol", &raw);

    if (one && find_symbol(p, raw) < 0)
        return rest_error(out, -1121, "Invalid symbol.");
    protocol_printf(out,
                    "{\"timezone\":\"CST\",\"serverTime\":%" PRId64
                    ",\"rateLimits\":[],\"exchangeFilters\":[],\"symbols\":[",
                    now / TB_NS_PER_MS);
    for (size_t i = 0; i < p->count; i++) {
        if (one && !json_is(raw, p->market[i].raw))
            continue;
        protocol_put(out, separator);
        append_symbol(&p->market[i], out);
        separator = ",";
    }
    protocol_put(out, "]}");
    return 200;
}

static int mexc_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                    struct protocol_text *out)
{
    if (strcmp(path, "/api/v3/depth") == 0)
        return get_depth(p, query, now, out);
    if (strcmp(path, "/api/v3/exchangeInfo") == 0)
        return get_listing(p, query, now, out);
    if (strcmp(path, "/api/v3/time") == 0) {
        protocol_printf(out, "{\"serverTime\":%" PRId64 "}", now / TB_NS_PER_MS);
        return 200;
    }
    if (strcmp(path, "/api/v3/ping") == 0) {
        protocol_put(out, "{}");
        return 200;
    }
    protocol_put(out, "{\"code\":404,\"msg\":\"Not Found\"}");
    return 404;
}

/* exchanges.md 1.1. The close code beyond the limit is not documented. */
static const struct protocol_rules *mexc_rules(const struct protocol *p)
{
    static const struct protocol_rules rules = {.messages = 100,
                                                .messages_per = TB_NS_PER_S,
                                                .close_code = 1008,
                                                .refusal = "too many messages",
                                                .message_bytes = 65536,
                                                .subscribe_within = 30 * TB_NS_PER_S,
                                                .idle = 60 * TB_NS_PER_S,
                                                .idle_code = 1000};
    (void)p;
    return &rules;
}

static const struct adapter_market_config *mexc_markets(const struct protocol *p, size_t *out_count)
{
    *out_count = p->count;
    return p->market;
}

static const char *const venues[] = {"mexc", NULL};

const struct protocol_ops protocol_mexc = {
    .venues = venues,
    .rules = mexc_rules,
    .markets = mexc_markets,
    .create = mexc_create,
    .destroy = mexc_destroy,
    .connect = mexc_connect,
    .disconnect = mexc_disconnect,
    .message = mexc_message,
    .frame = mexc_frame,
    .played = mexc_played,
    .awaited = mexc_awaited,
    .get = mexc_get,
};
