/*
 * What Kraken's two protocols share. Who subscribed before the recorded snapshot is played gets that; who
 * comes later gets, right after the agreement, one made of what was played so far, with its checksum.
 * A book is served in the depth that was recorded, whatever is asked for: the answer says which.
 */
#include "kraken.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>
#include <tickbus/log.h>

#define BOOK_LEVELS 4096 /* before it is cut */

int kraken_find(const struct protocol *p, struct json_span name)
{
    for (size_t i = 0; i < p->count; i++)
        if (json_is(name, p->pair[i].v2) || json_is(name, p->pair[i].v1))
            return (int)i;
    return -1;
}

void kraken_number(const struct kraken_pair *pair, int64_t mantissa, unsigned which, char out[])
{
    int exp = which == 0 ? pair->book.price_exp : pair->book.size_exp;
    size_t length = tb_decimal_format_fixed(mantissa, exp, out);

    if (exp >= 0 && pair->digits[which] > 0)
        out[length++] = '.';
    for (int digit = exp < 0 ? -exp : 0; digit < pair->digits[which]; digit++)
        out[length++] = '0';
    out[length] = '\0';
}

/* ---- the recording ---- */

static struct json_span span_of(struct adapter_text text)
{
    return (struct json_span){text.at, text.length};
}

/* The channel of a message of market data; -1: it is none. */
static int channel_of(const struct kraken_message *m)
{
    switch (m->kind) {
    case KRAKEN_BOOK:
    case KRAKEN_SNAPSHOT:
        return KRAKEN_CHANNEL_BOOK;
    case KRAKEN_TRADES:
        return KRAKEN_CHANNEL_TRADE;
    case KRAKEN_QUOTES:
        return KRAKEN_CHANNEL_TICKER;
    default:
        return -1;
    }
}

/* Its pair, or -1: it is no market data, or nobody's. */
static int read_message(struct protocol *p, const struct capture_event *event,
                        struct kraken_message *out)
{
    if (event->kind != CAPTURE_FRAME)
        return -1;
    kraken_decode(p->decoder, event->text, event->length, out);
    return out->count == 0 || channel_of(out) < 0 ? -1
                                                  : kraken_find(p, span_of(out->item[0].symbol));
}

static void set_side(struct kraken_pair *pair, uint8_t side, const struct adapter_levels *levels)
{
    int64_t number[2];

    for (uint32_t i = 0; i < levels->count; i++) {
        const struct adapter_level *level = &levels->level[i];
        if (tb_decimal_parse(level->price.at, level->price.length, pair->book.price_exp,
                             &number[0]) == 0 &&
            tb_decimal_parse(level->size.at, level->size.length, pair->book.size_exp, &number[1]) ==
                0)
            (void)tb_book_set(&pair->book, side, number[0], number[1]);
    }
}

static void set_book(struct kraken_pair *pair, const struct kraken_message *m)
{
    if (m->kind == KRAKEN_SNAPSHOT)
        tb_book_clear(&pair->book);
    set_side(pair, TB_BUY, &m->item[0].bids);
    set_side(pair, TB_SELL, &m->item[0].asks);
    tb_book_cut(&pair->book, pair->depth);
    pair->book_time = m->item[0].time;
}

static int kraken_frame(struct protocol *p, const struct capture_event *event,
                        struct protocol_frame *out_frame)
{
    struct kraken_message m;
    int pair = read_message(p, event, &m);

    *out_frame = (struct protocol_frame){0};
    if (pair < 0)
        return -ENOENT;
    out_frame->stream = kraken_stream((size_t)pair, (enum kraken_channel)channel_of(&m));
    out_frame->combined = event->text;
    out_frame->combined_length = event->length;
    if (!p->v1)
        return 0;
    out_frame->bare = event->text;
    out_frame->bare_length = event->length;
    if (m.kind == KRAKEN_SNAPSHOT) /* v2's has a checksum: of the book that it makes */
        set_book(&p->pair[pair], &m);
    p->made.length = 0;
    kraken_v2_translate(p, &m, (size_t)pair, (struct json_span){event->text, event->length},
                        &p->made);
    out_frame->combined = p->made.text;
    out_frame->combined_length = p->made.length;
    return p->made.failed ? -ENOENT : 0;
}

static void keep_ticker(char to[KRAKEN_TICKER_BYTES], const char *text, size_t length)
{
    if (length >= KRAKEN_TICKER_BYTES)
        return;
    memcpy(to, text, length);
    to[length] = '\0';
}

/* The objects of `data`, as v2 has them, into the trades that are kept. */
static void keep_trades(struct kraken_pair *pair, struct json_span text)
{
    struct json_walk w;
    struct json_span data, item;

    if (!json_find(text, "data", &data) || !json_enter(data, &w))
        return;
    while (json_item(&w, &item)) {
        if (item.length >= KRAKEN_TRADE_BYTES)
            continue;
        char *to = pair->trade[pair->trade_count++ % KRAKEN_TRADES_KEPT];
        memcpy(to, item.at, item.length);
        to[item.length] = '\0';
    }
}

static void kraken_played(struct protocol *p, const struct capture_event *event,
                          const struct protocol_frame *frame)
{
    struct kraken_message m;
    int number = frame->combined == NULL ? -1 : read_message(p, event, &m);

    if (number < 0)
        return;
    struct kraken_pair *pair = &p->pair[number];
    if (m.kind == KRAKEN_TRADES) {
        keep_trades(pair, (struct json_span){frame->combined, frame->combined_length});
    } else if (m.kind == KRAKEN_QUOTES) {
        keep_ticker(pair->ticker[0], frame->combined, frame->combined_length);
        if (frame->bare != NULL)
            keep_ticker(pair->ticker[1], frame->bare, frame->bare_length);
    } else {
        set_book(pair, &m);
        pair->begun = pair->begun || m.kind == KRAKEN_SNAPSHOT;
    }
}

static uint8_t digits_of(struct adapter_text text, uint8_t least)
{
    const char *point = memchr(text.at, '.', text.length);
    size_t digits = point == NULL ? 0 : (size_t)(text.at + text.length - point - 1);

    return digits > least && digits <= -TB_EXP_MIN ? (uint8_t)digits : least;
}

/* What must be known before the first frame is served: digits, depths, v1's channel numbers. */
static void look(struct protocol *p, const struct capture_event *event)
{
    static const uint32_t depths[] = {10, 25, 100, 500, 1000};
    struct kraken_message m;
    int number = read_message(p, event, &m);

    if (number < 0)
        return;
    struct kraken_pair *pair = &p->pair[number];
    const struct kraken_item *item = &m.item[0];
    const struct adapter_levels *const sides[] = {&item->bids, &item->asks};
    for (size_t s = 0; s < TB_COUNT(sides); s++)
        for (uint32_t i = 0; i < sides[s]->count; i++) {
            pair->digits[0] = digits_of(sides[s]->level[i].price, pair->digits[0]);
            pair->digits[1] = digits_of(sides[s]->level[i].size, pair->digits[1]);
        }
    uint32_t most = item->bids.count > item->asks.count ? item->bids.count : item->asks.count;
    most = m.depth > most ? m.depth : most;
    for (size_t i = 0; m.kind == KRAKEN_SNAPSHOT && i < TB_COUNT(depths); i++)
        if (depths[i] >= most) {
            pair->depth = depths[i];
            break;
        }
    if (event->text[0] != '[')
        return;
    p->v1 = true;
    (void)snprintf(pair->id[channel_of(&m)], KRAKEN_ID_BYTES, "%.*s",
                   (int)strcspn(event->text + 1, ","), event->text + 1);
}

/* BTC is XBT in v1, DOGE is XDG. */
static void name_v1(const char *symbol, char out[TB_SYMBOL_BYTES])
{
    size_t base = strcspn(symbol, "/");
    const char *quote = symbol[base] == '/' ? symbol + base + 1 : "";
    bool xbt = base == 3 && memcmp(symbol, "BTC", 3) == 0;
    bool xdg = base == 4 && memcmp(symbol, "DOGE", 4) == 0;

    (void)snprintf(out, TB_SYMBOL_BYTES, "%.*s/%s", xbt || xdg ? 3 : (int)base,
                   xbt   ? "XBT"
                   : xdg ? "XDG"
                         : symbol,
                   strcmp(quote, "BTC") == 0    ? "XBT"
                   : strcmp(quote, "DOGE") == 0 ? "XDG"
                                                : quote);
}

static int make_pairs(struct protocol *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct kraken_pair *pair = &p->pair[i];
        const struct adapter_market_config *m = &p->market[i];
        pair->v2 = m->symbol;
        name_v1(m->symbol, pair->v1);
        pair->depth = 1000;
        for (size_t c = 0; c < KRAKEN_CHANNELS; c++)
            (void)snprintf(pair->id[c], KRAKEN_ID_BYTES, "%zu", i * KRAKEN_CHANNELS + c);
        if (tb_book_init(&pair->book, BOOK_LEVELS) != 0)
            return -ENOMEM;
        pair->book.price_exp = m->price_exp;
        pair->book.size_exp = m->size_exp;
        pair->digits[0] = m->price_exp < 0 ? (uint8_t)-m->price_exp : 0;
        pair->digits[1] = m->size_exp < 0 ? (uint8_t)-m->size_exp : 0;
    }
    return 0;
}

static void kraken_destroy(struct protocol *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        tb_book_fini(&p->pair[i].book);
    kraken_decoder_destroy(p->decoder);
    protocol_text_free(&p->made);
    free(p);
}

static struct protocol *kraken_create(const char *venue, struct session *session,
                                      struct tb_error *err)
{
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL ? -ENOMEM : protocol_scan(venue, session, p->market, &p->count);

    if (rc == 0)
        rc = make_pairs(p);
    if (rc == 0 && (p->decoder = kraken_decoder_create()) == NULL)
        rc = -ENOMEM;
    for (; rc == 0 && session->have; session_advance(session))
        look(p, &session->event);
    if (rc == 0)
        rc = session_rewind(session);
    if (rc == 0) {
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu protocol=%s", venue, p->count,
               p->v1 ? "v1" : "v2");
        return p;
    }
    protocol_unreadable(venue, rc, err);
    kraken_destroy(p);
    return NULL;
}

static bool kraken_awaited(struct protocol *p, const struct capture_event *event)
{
    (void)p, (void)event; /* nothing of REST is needed */
    return false;
}

/* ---- clients ---- */

static int kraken_connect(struct protocol *p, struct protocol_client *c, const char *path,
                          const char *query)
{
    (void)query;
    c->combined = strcmp(path, "/v2") == 0;
    return c->combined || (strcmp(path, "/") == 0 && p->v1) ? 0 : 404;
}

static void kraken_disconnect(struct protocol *p, struct protocol_client *c)
{
    (void)p;
    memset(c, 0, sizeof(*c));
}

static void kraken_greet(struct protocol *p, struct protocol_client *c, struct protocol_text *out)
{
    (void)p;
    (c->combined ? kraken_v2_greet : kraken_v1_greet)(out);
}

static void kraken_beat(struct protocol *p, struct protocol_client *c, tb_ns now,
                        struct protocol_text *out)
{
    (void)p, (void)now;
    if (c->subscriptions > 0 || c->beats)
        protocol_put(out,
                     c->combined ? "{\"channel\":\"heartbeat\"}" : "{\"event\":\"heartbeat\"}");
}

static int kraken_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                          size_t length, tb_ns now, struct protocol_text *out)
{
    struct json_span text = {bytes, length};

    if (!json_whole(text))
        text.length = 0;
    if (c->combined)
        kraken_v2_message(p, c, text, now, out);
    else
        kraken_v1_message(p, c, text, out);
    return 0;
}

/* ---- REST ---- */

static int kraken_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                      struct protocol_text *out)
{
    (void)query;
    if (strcmp(path, "/0/public/SystemStatus") == 0) {
        protocol_put(out, "{\"error\":[],\"result\":{\"status\":\"online\",\"timestamp\":\"");
        protocol_time(out, now);
        protocol_put(out, "\"}}");
        return 200;
    }
    if (strcmp(path, "/0/public/AssetPairs") != 0) {
        protocol_put(out, "{\"error\":[\"EGeneral:Unknown method\"]}");
        return 404;
    }
    protocol_put(out, "{\"error\":[],\"result\":{");
    for (size_t i = 0; i < p->count; i++) {
        const struct kraken_pair *pair = &p->pair[i];
        int base = (int)strcspn(pair->v1, "/");
        const char *quote = pair->v1 + base + (pair->v1[base] == '/');
        protocol_printf(
            out,
            "%s\"%.*s%s\":{\"altname\":\"%.*s%s\",\"wsname\":\"%s\",\"base\":\"%.*s\","
            "\"quote\":\"%s\",\"pair_decimals\":%u,\"lot_decimals\":%u,\"tick_size\":\"",
            i == 0 ? "" : ",", base, pair->v1, quote, base, pair->v1, quote, pair->v1, base,
            pair->v1, quote, pair->digits[0], pair->digits[1]);
        protocol_step(out, -(int)pair->digits[0]);
        protocol_put(out, "\",\"status\":\"online\"}");
    }
    protocol_put(out, "}}");
    return 200;
}

/* exchanges.md 4.1: the venue gives no figures but the (doubtful) one of connections. */
static const struct protocol_rules *kraken_rules(const struct protocol *p)
{
    static const struct protocol_rules rules = {
        .message_bytes = 65536, .connects = 150, .connects_per = 600 * TB_NS_PER_S};
    (void)p;
    return &rules;
}

static const struct adapter_market_config *kraken_markets(const struct protocol *p,
                                                          size_t *out_count)
{
    *out_count = p->count;
    return p->market;
}

static const char *const venues[] = {"kraken", NULL};

const struct protocol_ops protocol_kraken = {
    .venues = venues,
    .rules = kraken_rules,
    .markets = kraken_markets,
    .create = kraken_create,
    .destroy = kraken_destroy,
    .connect = kraken_connect,
    .disconnect = kraken_disconnect,
    .greet = kraken_greet,
    .beat = kraken_beat,
    .message = kraken_message,
    .frame = kraken_frame,
    .played = kraken_played,
    .awaited = kraken_awaited,
    .get = kraken_get,
};
