/*
 * Kraken spot: frames to records.
 *
 * Trades: ids rise by one in v2 (v1 has none). Subscribing brings the newest fifty: the first time only
 * the last one is published, later those that were missed while we were away; a jump of ids beyond them
 * is a gap.
 * Books have no numbering at all: what proves one is the checksum of its ten best levels that comes with
 * every change. The venue cuts its book to the depth that was subscribed, without saying so. A change
 * whose checksum differs is not published: a gap is, and the book is asked for anew. So is one of which
 * a frame could not be read, since what is deeper than ten levels has no other witness.
 */
#include "producers/adapter/kraken.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/kraken_json.h"
#include "producers/adapter/market.h"

#define SUBSCRIBE_INTERVAL (100 * TB_NS_PER_MS)

static const struct adapter_venue venues[] = {
    {"kraken", "wss://ws.kraken.com", "https://api.kraken.com"},
    {NULL, NULL, NULL},
};
static const uint32_t depths[] = {10, 25, 100, 500, 1000};
#ifndef KRAKEN_DEPTH_MAX /* fuzzing makes it small */
#define KRAKEN_DEPTH_MAX 1000
#endif

struct kraken {
    struct adapter base;
    struct kraken_decoder *decoder;
    uint32_t depth; /* subscribed */
};

struct kraken_market {
    uint8_t price_digits; /* behind the point, in the venue's text: what the checksum is of */
    uint8_t size_digits;
};

static struct kraken *kraken_of(struct adapter *a)
{
    return (struct kraken *)a;
}

/* The least of the venue's depths that has so many levels. */
static uint32_t depth_for(uint32_t levels)
{
    for (size_t i = 0; i < TB_COUNT(depths); i++)
        if (depths[i] >= levels && depths[i] <= KRAKEN_DEPTH_MAX)
            return depths[i];
    return KRAKEN_DEPTH_MAX;
}

/* ---- trades and quotes ---- */

static int on_trade(struct adapter *a, struct adapter_market *m, const struct kraken_message *msg,
                    uint32_t i, tb_ns ts_recv)
{
    const struct kraken_item *item = &msg->item[i];
    const struct adapter_text text[2] = {item->price, item->size};
    int64_t number[2];
    if (!(a->config.channels & ADAPTER_TRADES))
        return 0;
    adapter_answered(m, ADAPTER_TRADES);
    if (item->has_id &&
        (msg->past ? adapter_trade_past(a, m, item->id) : adapter_trade_seen(a, m, item->id)))
        return 0;
    if (msg->past && !m->has_trade && i + 1 < msg->count &&
        adapter_text_same(item->symbol, item[1].symbol))
        return 0;
    int rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    if (item->has_id)
        adapter_trade_follows(a, m, item->id, item->id, ts_recv);
    else
        adapter_trade_follows_any(a, m, 0, ts_recv);
    const struct tb_trade trade = {.price = number[0],
                                   .size = number[1],
                                   .trade_id = item->id,
                                   .side = item->side,
                                   .count = 1};
    (void)adapter_trade(a, m, &trade, item->time, ts_recv);
    return 0;
}

static int on_quote(struct adapter *a, struct adapter_market *m, const struct kraken_item *item,
                    tb_ns ts_recv)
{
    const struct adapter_text none = {"0", 1};
    bool bid = item->bid_price.length > 0, ask = item->ask_price.length > 0;
    const struct adapter_text text[4] = {bid ? item->bid_price : none, bid ? item->bid_size : none,
                                         ask ? item->ask_price : none, ask ? item->ask_size : none};
    int64_t number[4];
    if (!(a->config.channels & ADAPTER_QUOTES))
        return 0;
    adapter_answered(m, ADAPTER_QUOTES);
    int rc = adapter_numbers(a, m, text, 4, number, ts_recv);
    if (rc == 0)
        (void)adapter_quote(a, m, number, item->time, ts_recv);
    return rc;
}

/* ---- books ---- */

static uint8_t digits_of(struct adapter_text text)
{
    const char *point = memchr(text.at, '.', text.length);
    if (point == NULL || memchr(text.at, 'e', text.length) != NULL ||
        memchr(text.at, 'E', text.length) != NULL)
        return 0; /* of an exponent nothing can be told; the instrument was refined for it */
    size_t digits = (size_t)(text.at + text.length - point - 1);
    return digits > -TB_EXP_MIN ? -TB_EXP_MIN : (uint8_t)digits;
}

static void see_digits(struct kraken_market *own, const struct adapter_levels *levels)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        uint8_t price = digits_of(levels->level[i].price), size = digits_of(levels->level[i].size);
        own->price_digits = price > own->price_digits ? price : own->price_digits;
        own->size_digits = size > own->size_digits ? size : own->size_digits;
    }
}

/*
 * A snapshot whose text has fewer digits than the venue's own (something on the way dropped trailing
 * zeros) is tried with as many as the instrument has.
 */
static bool proven(struct adapter *a, struct adapter_market *m, const struct kraken_item *item,
                   bool snapshot)
{
    struct kraken_market *own = m->own;
    const struct tb_book *book = &m->sync.book;
    if (!item->has_checksum)
        return true; /* a snapshot of v1 */
    bool equal = kraken_checksum(book, own->price_digits, own->size_digits) == item->checksum;
    if (!equal && snapshot) {
        uint8_t price = (uint8_t)-book->price_exp, size = (uint8_t)-book->size_exp;
        price = price > own->price_digits ? price : own->price_digits;
        size = size > own->size_digits ? size : own->size_digits;
        equal = kraken_checksum(book, price, size) == item->checksum;
        if (equal) {
            own->price_digits = price;
            own->size_digits = size;
        }
    }
#ifdef KRAKEN_FUZZ /* no change of bytes by chance finds a checksum */
    equal = equal || item->checksum == 1;
#endif
    a->counter[equal ? ADAPTER_CHECKSUMS_EQUAL : ADAPTER_CHECKSUMS_DIFFERENT]++;
    return equal;
}

static int on_snapshot(struct adapter *a, struct adapter_market *m,
                       const struct kraken_message *msg, const struct kraken_item *item,
                       tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    struct kraken_market *own = m->own;
    uint32_t most = item->bids.count > item->asks.count ? item->bids.count : item->asks.count;
    int rc = adapter_changes(a, m, &item->bids, &item->asks, ts_recv);
    if (rc < 0)
        return rc;
    if (msg->depth > 0 || s->window == 0)
        s->window = depth_for(msg->depth > 0 ? msg->depth : most);
    if (s->reason != 0 && s->has_last) /* what was missed until now has no numbers */
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, s->reason, ts_recv);
    s->reason = 0;
    const struct adapter_event event = {
        .ts_event = item->time, .ts_recv = ts_recv, .count = (uint32_t)rc};
    adapter_book_fill(a, m, &event, item->bids.count);
    tb_book_cut(&s->book, s->window);
    *own = (struct kraken_market){0, 0};
    see_digits(own, &item->bids);
    see_digits(own, &item->asks);
    if (!proven(a, m, item, true)) {
        s->asked = false; /* this was the answer */
        adapter_book_lost(a, m, TB_GAP_CHECKSUM, ts_recv);
        return 0;
    }
    rc = adapter_book_publish(a, m, item->time, ts_recv);
    if (rc == 0 && !s->synced)
        adapter_book_joined(a, m, 0, ts_recv);
    return rc;
}

static int on_change(struct adapter *a, struct adapter_market *m, const struct kraken_item *item,
                     tb_ns ts_recv)
{
    uint64_t levels = a->counter[ADAPTER_LEVELS_OUT];
    if (!m->sync.synced) {
        a->counter[ADAPTER_BOOK_STALE]++;
        adapter_book_ask(a, m, ts_recv);
        return 0;
    }
    int rc = adapter_changes(a, m, &item->bids, &item->asks, ts_recv);
    if (rc < 0)
        return rc;
    const struct adapter_event event = {
        .ts_event = item->time, .ts_recv = ts_recv, .count = (uint32_t)rc};
    size_t before = a->out_count;
    see_digits(m->own, &item->bids);
    see_digits(m->own, &item->asks);
    adapter_book_apply(a, m, &event, a->scratch);
    if (proven(a, m, item, false))
        return 0;
    a->out_count = before; /* nobody shall see the book that this made */
    a->counter[ADAPTER_LEVELS_OUT] = levels;
    adapter_book_lost(a, m, TB_GAP_CHECKSUM, ts_recv);
    return 0;
}

static int on_book(struct adapter *a, struct adapter_market *m, const struct kraken_message *msg,
                   const struct kraken_item *item, tb_ns ts_recv)
{
    if (!(a->config.channels & ADAPTER_BOOK))
        return 0;
    adapter_answered(m, ADAPTER_BOOK);
    return msg->kind == KRAKEN_SNAPSHOT ? on_snapshot(a, m, msg, item, ts_recv)
                                        : on_change(a, m, item, ts_recv);
}

/* ---- messages ---- */

static unsigned channel_of(struct adapter_text channel)
{
    if (channel.length >= 4 && memcmp(channel.at, "book", 4) == 0)
        return ADAPTER_BOOK;
    if (adapter_text_is(channel, "trade"))
        return ADAPTER_TRADES;
    if (adapter_text_is(channel, "ticker"))
        return ADAPTER_QUOTES;
    return 0;
}

/* If a frame, or a number in it, does not say whose it was, it may be anyone's. */
static int on_bad(struct adapter *a, const struct kraken_message *msg, tb_ns ts_recv)
{
    return adapter_bad_blind(a, adapter_market_find(a, msg->symbol), channel_of(msg->channel),
                             ts_recv);
}

static int on_item(struct adapter *a, const struct kraken_message *msg, uint32_t i, tb_ns ts_recv)
{
    const struct kraken_item *item = &msg->item[i];
    struct adapter_market *m = adapter_market_find(a, item->symbol);
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (msg->kind == KRAKEN_TRADES)
        return on_trade(a, m, msg, i, ts_recv);
    if (msg->kind == KRAKEN_QUOTES)
        return on_quote(a, m, item, ts_recv);
    return on_book(a, m, msg, item, ts_recv);
}

static int on_items(struct adapter *a, struct kraken_message *msg, tb_ns ts_recv)
{
    int bad = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        int rc = on_item(a, msg, i, ts_recv);
        if (rc == -EBADMSG) {
            msg->symbol = msg->item[i].symbol;
            bad = on_bad(a, msg, ts_recv);
            rc = bad == -EBADMSG ? 0 : bad;
        }
        if (rc == 0)
            rc = adapter_flush(a);
        if (rc != 0)
            return rc;
    }
    return bad;
}

/* Requests have the channel as their id: it is in answers that do not name one. 0: not ours. */
static unsigned channel_of_request(uint32_t id)
{
    return id == ADAPTER_TRADES || id == ADAPTER_QUOTES || id == ADAPTER_BOOK ? id : 0;
}

static int on_answer(struct adapter *a, const struct kraken_message *msg, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    unsigned channel = channel_of(msg->channel);
    if (channel == 0) /* of a pair that is not listed it is not said */
        channel = channel_of_request(msg->request);
    if (msg->kind == KRAKEN_REFUSED)
        return adapter_refused(a, m, channel != 0 ? channel : ~0U, ts_recv);
    a->counter[ADAPTER_ACKS]++;
    if (m == NULL)
        return 0;
    adapter_answered(m, channel);
    if (channel == ADAPTER_BOOK && msg->depth > 0)
        m->sync.window = depth_for(msg->depth);
    return 0;
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct kraken_message msg;
    a->counter[ADAPTER_FRAMES]++;
    kraken_decode(kraken_of(a)->decoder, bytes, length, &msg);
    switch (msg.kind) {
    case KRAKEN_BAD:
        return on_bad(a, &msg, ts_recv);
    case KRAKEN_UNKNOWN:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case KRAKEN_IGNORED:
    case KRAKEN_UNSUBSCRIBED:
        return 0;
    case KRAKEN_SUBSCRIBED:
    case KRAKEN_REFUSED:
        return on_answer(a, &msg, ts_recv);
    case KRAKEN_PONG:
        a->counter[ADAPTER_PONGS]++;
        return 0;
    case KRAKEN_STATUS:
        if (!msg.online)
            adapter_status(a, NULL, TB_STATUS_MAINTENANCE, 0, ts_recv);
        return adapter_flush(a);
    default:
        return on_items(a, &msg, ts_recv);
    }
}

/* ---- subscriptions ---- */

/* What stands before and behind the list of symbols. */
static int open_request(const struct kraken *k, unsigned channel, bool subscribe, char *out,
                        size_t capacity)
{
    const char *method = subscribe ? "subscribe" : "unsubscribe";
    if (channel == ADAPTER_TRADES)
        return snprintf(
            out, capacity,
            "{\"method\":\"%s\",\"params\":{\"channel\":\"trade\",\"snapshot\":true,\"symbol\":[",
            method);
    if (channel == ADAPTER_QUOTES)
        return snprintf(out, capacity,
                        "{\"method\":\"%s\",\"params\":{\"channel\":\"ticker\",\"event_trigger\":"
                        "\"bbo\",\"symbol\":[",
                        method);
    return snprintf(
        out, capacity,
        "{\"method\":\"%s\",\"params\":{\"channel\":\"book\",\"depth\":%u%s,\"symbol\":[", method,
        k->depth, subscribe ? ",\"snapshot\":true" : "");
}

static int open_subscribe(const struct adapter *a, unsigned channel, char *out, size_t capacity)
{
    return open_request((const struct kraken *)a, channel, true, out, capacity);
}

static int close_request(unsigned channel, char *out, size_t capacity)
{
    return snprintf(out, capacity, "]},\"req_id\":%u}", channel);
}

static int subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    static const struct adapter_symbols_shape shape = {open_subscribe, close_request};
    return adapter_symbols_request(a, &shape, index, out_text, capacity);
}

static int book_request(struct adapter *a, const struct adapter_market *m, bool make,
                        char *out_text, size_t capacity)
{
    char head[128], tail[32];
    (void)open_request(kraken_of(a), ADAPTER_BOOK, make, head, sizeof(head));
    (void)close_request(ADAPTER_BOOK, tail, sizeof(tail));
    int length = snprintf(out_text, capacity, "%s\"%s\"%s", head, m->config.raw, tail);
    return length < 0 || (size_t)length >= capacity ? -ENOSPC : length;
}

static int ping(struct adapter *a, char *out_text, size_t capacity)
{
    static const char text[] = "{\"method\":\"ping\"}";
    (void)a;
    if (capacity < sizeof(text))
        return -ENOSPC;
    memcpy(out_text, text, sizeof(text));
    return sizeof(text) - 1;
}

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/v2";
}

static void on_connect(struct adapter *a, tb_ns ts_recv)
{
    char text[ADAPTER_REQUEST_BYTES];
    unsigned messages = 0;
    while (subscribe(a, messages, text, sizeof(text)) > 0)
        messages++;
    adapter_connected(a, ts_recv);
    adapter_subscribed(a, messages, SUBSCRIBE_INTERVAL, ts_recv);
}

/* ---- life ---- */

static int begin(struct adapter *a, struct tb_error *err)
{
    struct kraken *k = kraken_of(a);
    uint32_t levels = a->config.book_depth;
    (void)err;
    k->depth = levels == 0 ? KRAKEN_DEPTH_MAX : depth_for(levels);
    k->decoder = kraken_decoder_create();
    a->book_request = book_request;
    for (size_t i = 0; i < a->market_count && !a->config.recorded; i++)
        a->market[i].sync.window = k->depth;
    return k->decoder == NULL ? -ENOMEM : 0;
}

static void end(struct adapter *a)
{
    kraken_decoder_destroy(kraken_of(a)->decoder);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    static const struct adapter_shape shape = {
        .bytes = sizeof(struct kraken),
        .market_bytes = sizeof(struct kraken_market),
        .book_depth = KRAKEN_DEPTH_MAX + KRAKEN_LEVELS_MAX, /* a recording may have been deeper */
        .changes = KRAKEN_LEVELS_MAX,
        .begin = begin,
        .end = end};
    return adapter_new(&shape, config, host, err);
}

const struct adapter_ops kraken_ops = {
    .venues = venues,
    .create = create,
    .destroy = adapter_free,
    .connect_path = connect_path,
    .subscribe = subscribe,
    .subscribe_interval_ns = SUBSCRIBE_INTERVAL, /* the venue gives no figure */
    .silence_ns = 10 * TB_NS_PER_S,              /* heartbeats come each second */
    .ping_interval_ns = 30 * TB_NS_PER_S,        /* the venue wants one a minute */
    .ping = ping,
    .on_time = adapter_deadlines,
    .on_connect = on_connect,
    .on_disconnect = adapter_disconnected,
    .on_frame = on_frame,
    .on_rest = adapter_nothing_asked,
    .resync = adapter_resync,
    .resume = adapter_resume,
    .resumed = adapter_resumed,
    .counters = adapter_counters,
    .book = adapter_book,
    .listing_path = kraken_listing_path,
    .listing_read = kraken_listing_read,
    .scan = kraken_scan,
};
