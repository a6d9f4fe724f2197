/*
 * What Coinbase's two feeds share. Who subscribed before the recorded snapshot is played gets that; who
 * comes later gets, right after the agreement, one made of what was played so far.
 */
#include "coinbase.h"

#include <errno.h>
#include <string.h>

#include <tickbus/decimal.h>
#include <tickbus/log.h>

int coinbase_find(const struct protocol *p, struct json_span raw)
{
    for (size_t i = 0; i < p->count; i++)
        if (json_is(raw, p->market[i].raw))
            return (int)i;
    return -1;
}

struct json_span coinbase_trade(const struct protocol *p, size_t market, size_t i)
{
    const struct coinbase_product *product = &p->product[market];

    if (i >= product->trade_count || i >= COINBASE_TRADES_KEPT)
        return (struct json_span){"", 0};
    const char *text = product->trade[(product->trade_count - 1 - i) % COINBASE_TRADES_KEPT];
    return (struct json_span){text, strlen(text)};
}

void coinbase_level(const struct tb_book *book, const struct tb_book_level *level, char out_price[],
                    char out_size[])
{
    out_price[tb_decimal_format(level->price, book->price_exp, out_price)] = '\0';
    out_size[tb_decimal_format(level->size, book->size_exp, out_size)] = '\0';
}

/* ---- the recording ---- */

struct kind {
    const char *name; /* in quotes */
    enum coinbase_channel channel;
    bool past;
};

static const struct kind exchange_kinds[] = {
    {"\"l2update\"", COINBASE_LEVEL2, false}, {"\"snapshot\"", COINBASE_LEVEL2, true},
    {"\"match\"", COINBASE_MATCHES, false},   {"\"last_match\"", COINBASE_MATCHES, true},
    {"\"ticker\"", COINBASE_TICKER, false},   {NULL, COINBASE_LEVEL2, false}};
static const struct kind advanced_kinds[] = {{"\"l2_data\"", COINBASE_LEVEL2, false},
                                             {"\"market_trades\"", COINBASE_MATCHES, false},
                                             {"\"ticker\"", COINBASE_TICKER, false},
                                             {NULL, COINBASE_LEVEL2, false}};

/* The product of an envelope: that of its first event, or of the first thing in that. */
static bool event_product(struct json_span text, struct json_span *out_product, bool *out_past)
{
    static const char *const lists[] = {"trades", "tickers"};
    struct json_walk w;
    struct json_span events, event, type, list, item;

    if (!json_find(text, "events", &events) || !json_enter(events, &w) || !json_item(&w, &event))
        return false;
    *out_past = json_find(event, "type", &type) && json_is(type, "\"snapshot\"");
    if (json_find(event, "product_id", out_product))
        return true;
    for (size_t i = 0; i < TB_COUNT(lists); i++)
        if (json_find(event, lists[i], &list) && json_enter(list, &w) && json_item(&w, &item))
            return json_find(item, "product_id", out_product);
    return false;
}

static bool read_message(const struct protocol *p, const struct capture_event *event,
                         struct coinbase_message *out)
{
    struct json_span type, product;

    *out =
        (struct coinbase_message){.text = {event->text, event->length}, .ts_recv = event->ts_recv};
    if (event->kind != CAPTURE_FRAME)
        return false;
    out->advanced = json_find(out->text, "channel", &type);
    if (out->advanced
            ? !event_product(out->text, &product, &out->past)
            : !json_find(out->text, "type", &type) || !json_find(out->text, "product_id", &product))
        return false;
    const struct kind *kind = out->advanced ? advanced_kinds : exchange_kinds;
    while (kind->name != NULL && !json_is(type, kind->name))
        kind++;
    int market = json_text(product, &product) ? coinbase_find(p, product) : -1;
    if (kind->name == NULL || market < 0)
        return false;
    out->channel = kind->channel;
    out->past = out->past || kind->past;
    out->market = (size_t)market;
    return true;
}

static int coinbase_frame(struct protocol *p, const struct capture_event *event,
                          struct protocol_frame *out_frame)
{
    struct coinbase_message m;

    *out_frame = (struct protocol_frame){0};
    if (!read_message(p, event, &m) || (m.advanced && !p->dialect->envelopes))
        return -ENOENT;
    out_frame->stream = coinbase_stream(m.market, m.channel);
    out_frame->bare = event->text;
    out_frame->bare_length = event->length;
    if (m.advanced || p->dialect->translate == NULL)
        return 0;
    p->made.length = 0;
    p->dialect->translate(p, &m, &p->made);
    out_frame->bare = p->made.text;
    out_frame->bare_length = p->made.length;
    return p->made.failed || p->made.length == 0 ? -ENOENT : 0;
}

static void set_level(struct tb_book *book, bool bid, struct json_span price, struct json_span size)
{
    int64_t number[2];

    if (json_text(price, &price) && json_text(size, &size) &&
        tb_decimal_parse(price.at, price.length, book->price_exp, &number[0]) == 0 &&
        tb_decimal_parse(size.at, size.length, book->size_exp, &number[1]) == 0)
        (void)tb_book_set(book, bid ? TB_BUY : TB_SELL, number[0], number[1]);
}

/* [["buy","1.5","2"],..] */
static void set_changes(struct tb_book *book, struct json_span changes)
{
    struct json_walk w, level;
    struct json_span item, side, price, size;

    if (!json_enter(changes, &w))
        return;
    while (json_item(&w, &item))
        if (json_enter(item, &level) && json_item(&level, &side) && json_item(&level, &price) &&
            json_item(&level, &size))
            set_level(book, json_is(side, "\"buy\""), price, size);
}

/* [{"side":"bid","price_level":"1.5","new_quantity":"2"},..] of each event */
static void set_updates(struct tb_book *book, struct json_span text)
{
    struct json_walk w, level;
    struct json_span events, event, updates, item, side, price, size;

    if (!json_find(text, "events", &events) || !json_enter(events, &w))
        return;
    while (json_item(&w, &event))
        if (json_find(event, "updates", &updates) && json_enter(updates, &level))
            while (json_item(&level, &item))
                if (json_find(item, "side", &side) && json_find(item, "price_level", &price) &&
                    json_find(item, "new_quantity", &size))
                    set_level(book, json_is(side, "\"bid\""), price, size);
}

static void play_book(struct coinbase_product *product, const struct coinbase_message *m)
{
    struct json_span levels;

    if (m->past) {
        tb_book_clear(&product->book);
        product->begun = true;
    }
    if (m->advanced)
        set_updates(&product->book, m->text);
    if (json_find(m->text, "changes", &levels))
        set_changes(&product->book, levels);
    if (json_find(m->text, "bids", &levels))
        (void)protocol_set_levels(&product->book, TB_BUY, levels);
    if (json_find(m->text, "asks", &levels))
        (void)protocol_set_levels(&product->book, TB_SELL, levels);
}

static void keep_trade(struct coinbase_product *product, struct json_span trade)
{
    if (trade.length >= COINBASE_TRADE_BYTES)
        return;
    char *to = product->trade[product->trade_count++ % COINBASE_TRADES_KEPT];
    memcpy(to, trade.at, trade.length);
    to[trade.length] = '\0';
}

static void coinbase_played(struct protocol *p, const struct capture_event *event,
                            const struct protocol_frame *frame)
{
    struct coinbase_message m;

    if (frame->bare == NULL || !read_message(p, event, &m))
        return;
    if (m.channel == COINBASE_LEVEL2)
        play_book(&p->product[m.market], &m);
    else if (m.channel == COINBASE_MATCHES && !m.advanced)
        keep_trade(&p->product[m.market], m.text);
}

static void coinbase_destroy(struct protocol *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        tb_book_fini(&p->product[i].book);
    protocol_text_free(&p->made);
    free(p);
}

static int make_books(struct protocol *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct tb_book *book = &p->product[i].book;
        if (tb_book_init(book, COINBASE_BOOK_DEPTH) != 0)
            return -ENOMEM;
        book->price_exp = p->market[i].price_exp;
        book->size_exp = p->market[i].size_exp;
    }
    return 0;
}

static struct protocol *coinbase_create(const char *venue, struct session *session,
                                        struct tb_error *err)
{
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL ? -ENOMEM : protocol_scan(venue, session, p->market, &p->count);

    if (rc == 0)
        rc = make_books(p);
    if (rc == 0) {
        p->dialect = strcmp(venue, "coinbase") == 0 ? &coinbase_advanced : &coinbase_exchange;
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu", venue, p->count);
        return p;
    }
    protocol_unreadable(venue, rc, err);
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

static int coinbase_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                            size_t length, tb_ns now, struct protocol_text *out)
{
    struct json_span text = {bytes, length};

    p->dialect->message(p, c, json_whole(text) ? text : (struct json_span){"", 0}, now, out);
    return 0;
}

static void coinbase_beat(struct protocol *p, struct protocol_client *c, tb_ns now,
                          struct protocol_text *out)
{
    if (c->beats)
        p->dialect->beat(p, c, now, out);
}

static int coinbase_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                        struct protocol_text *out)
{
    return p->dialect->get(p, path, query, now, out);
}

/* Every message of Advanced Trade, as this connection counts them. */
static void number(struct protocol *p, struct protocol_client *c, const char *text, size_t length,
                   struct protocol_text *out)
{
    static const char key[] = "\"sequence_num\":";
    const char *at = memmem(text, length, key, sizeof(key) - 1), *end = text + length;

    (void)p;
    if (at == NULL) {
        protocol_append(out, text, length);
        return;
    }
    at += sizeof(key) - 1;
    protocol_append(out, text, (size_t)(at - text));
    protocol_printf(out, "%llu", (unsigned long long)c->sequence++);
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    protocol_append(out, at, (size_t)(end - at));
}

static const struct protocol_rules *coinbase_rules(const struct protocol *p)
{
    return &p->dialect->rules;
}

static const struct adapter_market_config *coinbase_markets(const struct protocol *p,
                                                            size_t *out_count)
{
    *out_count = p->count;
    return p->market;
}

static const char *const exchange_venues[] = {"coinbaseexchange", NULL};
static const char *const advanced_venues[] = {"coinbase", NULL};

#define COINBASE_OPS                                                                               \
    .rules = coinbase_rules, .markets = coinbase_markets, .create = coinbase_create,               \
    .destroy = coinbase_destroy, .connect = coinbase_connect, .disconnect = coinbase_disconnect,   \
    .message = coinbase_message, .beat = coinbase_beat, .frame = coinbase_frame,                   \
    .played = coinbase_played, .awaited = coinbase_awaited, .get = coinbase_get

const struct protocol_ops protocol_coinbaseexchange = {.venues = exchange_venues, COINBASE_OPS};
const struct protocol_ops protocol_coinbase = {
    .venues = advanced_venues, .write = number, COINBASE_OPS};
