/*
 * Coinbase: frames to records.
 *
 * Trades: ids rise by one for each product; a jump is a gap. What subscribing sends of the past (last_match,
 * a snapshot of trades): the first time only the newest is published, later those that were missed while
 * we were away. A heartbeat of the Exchange names the last trade: if it is still not here at the next one,
 * it was lost. Within a message of Advanced Trade the newest trade comes first: they are turned round.
 *
 * Books: a snapshot, then changes. On the Exchange nothing numbers them: a book that stays crossed, or a
 * frame that can not be read, makes us subscribe anew. Advanced Trade numbers every frame of a connection,
 * whatever it holds: after a jump no book can be trusted, and we connect anew. The number of the frame
 * is the update id.
 */
#include "producers/adapter/coinbase.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/coinbase_json.h"
#include "producers/adapter/market.h"

#define BOOK_DEPTH_DEFAULT 10000
#define EXCHANGE_INTERVAL (20 * TB_NS_PER_MS)  /* the venue takes 100 messages/s */
#define ADVANCED_INTERVAL (150 * TB_NS_PER_MS) /* 8 */

static const struct adapter_venue exchange_venues[] = {
    {"coinbaseexchange", "wss://ws-feed.exchange.coinbase.com",
     "https://api.exchange.coinbase.com"},
    {NULL, NULL, NULL},
};
static const struct adapter_venue advanced_venues[] = {
    {"coinbase", "wss://advanced-trade-ws.coinbase.com", "https://api.coinbase.com"},
    {NULL, NULL, NULL},
};

struct coinbase {
    struct adapter base;
    struct coinbase_decoder *decoder;
    bool advanced;
    bool has_sequence;
    uint64_t sequence; /* of the last frame of this connection */
    tb_ns refused_at;  /* Advanced Trade refused something, and does not say what; 0: it did not */
    bool asked_alone;  /* what was open then was asked for again, each in a request of its own */
};

struct coinbase_market {
    uint64_t
        heartbeat_trade; /* the last trade that a heartbeat of this connection named; 0: none */
};

static struct coinbase *coinbase_of(struct adapter *a)
{
    return (struct coinbase *)a;
}

static struct coinbase_market *own(const struct adapter_market *m)
{
    return m->own;
}

/* ---- trades and quotes ---- */

static int on_trade(struct adapter *a, struct adapter_market *m, const struct coinbase_item *item,
                    bool newest, tb_ns ts_recv)
{
    const struct adapter_text text[2] = {item->price, item->size};
    int64_t number[2];
    if (!(a->config.channels & ADAPTER_TRADES))
        return 0;
    adapter_answered(m, ADAPTER_TRADES);
    bool seen =
        item->past ? adapter_trade_past(a, m, item->id) : adapter_trade_seen(a, m, item->id);
    if (seen || (item->past && !newest && !m->has_trade))
        return 0;
    int rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    adapter_trade_follows(a, m, item->id, item->id, ts_recv);
    const struct tb_trade trade = {.price = number[0],
                                   .size = number[1],
                                   .trade_id = item->id,
                                   .side = item->side,
                                   .count = 1};
    (void)adapter_trade(a, m, &trade, item->time, ts_recv);
    return 0;
}

/* A match may come behind the heartbeat that knows of it, but not behind the next, a second later. */
static void on_heartbeat(struct adapter *a, struct adapter_market *m,
                         const struct coinbase_item *item, tb_ns ts_recv)
{
    uint64_t named = own(m)->heartbeat_trade;
    if (m->has_trade && named > m->last_trade) {
        (void)adapter_gap(a, m, TB_CHANNEL_TRADES, m->last_trade + 1, named, m->trade_reason,
                          ts_recv);
        m->trade_reason = 0;
        m->last_trade = named;
    }
    own(m)->heartbeat_trade = item->id;
}

static int on_quote(struct adapter *a, struct adapter_market *m, const struct coinbase_item *item,
                    tb_ns ts_recv)
{
    const struct adapter_text text[4] = {item->bid_price, item->bid_size, item->ask_price,
                                         item->ask_size};
    int64_t number[4];
    if (!(a->config.channels & ADAPTER_QUOTES))
        return 0;
    adapter_answered(m, ADAPTER_QUOTES);
    for (size_t i = 0; i < TB_COUNT(text); i++)
        if (text[i].length == 0)
            return 0; /* of old, without sizes: no quote */
    int rc = adapter_numbers(a, m, text, 4, number, ts_recv);
    if (rc == 0)
        (void)adapter_quote(a, m, number, item->time, ts_recv);
    return rc;
}

/* ---- books ---- */

static int on_snapshot(struct adapter *a, struct adapter_market *m,
                       const struct adapter_event *event, uint32_t bids)
{
    struct adapter_sync *s = &m->sync;
    if (s->reason != 0 && s->has_last) /* what was missed until now has no numbers */
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, s->reason, event->ts_recv);
    s->reason = 0;
    adapter_book_fill(a, m, event, bids);
    int rc = adapter_book_publish(a, m, event->ts_event, event->ts_recv);
    if (rc == 0 && !s->synced)
        adapter_book_joined(a, m, event->last, event->ts_recv);
    return rc;
}

static int on_book(struct adapter *a, struct adapter_market *m, const struct coinbase_item *item,
                   uint64_t sequence, tb_ns ts_recv)
{
    if (!(a->config.channels & ADAPTER_BOOK))
        return 0;
    adapter_answered(m, ADAPTER_BOOK);
    if (!item->past && !m->sync.synced) {
        a->counter[ADAPTER_BOOK_STALE]++;
        adapter_book_ask(a, m, ts_recv);
        return 0;
    }
    int rc = adapter_changes(a, m, &item->bids, &item->asks, ts_recv);
    if (rc < 0)
        return rc;
    const struct adapter_event event = {.first = sequence,
                                        .last = sequence,
                                        .ts_event = item->time,
                                        .ts_recv = ts_recv,
                                        .count = (uint32_t)rc};
    if (item->past)
        return on_snapshot(a, m, &event, item->bids.count);
    adapter_book_apply(a, m, &event, a->scratch);
    if (adapter_book_crossed(&m->sync, ts_recv))
        adapter_book_lost(a, m, TB_GAP_CHECKSUM, ts_recv);
    return 0;
}

/* ---- messages ---- */

/* If a frame, or a number in it, does not say whose it was, it may be anyone's. */
static int on_bad(struct adapter *a, struct adapter_text symbol, tb_ns ts_recv)
{
    return adapter_bad_blind(a, adapter_market_find(a, symbol), 0, ts_recv);
}

/* Frames from..to of the connection did not come. How many of them were of which market is not known. */
static void on_jump(struct adapter *a, uint64_t from, uint64_t to, tb_ns ts_recv)
{
    uint64_t missing = a->counter[ADAPTER_MISSING] + (to - from + 1);
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        m->quote_reason = TB_GAP_SEQUENCE;
        if (!m->sync.synced)
            continue;
        adapter_gap(a, m, TB_CHANNEL_BOOK, from, to, TB_GAP_SEQUENCE, ts_recv)->gap.missing = 0;
        adapter_book_unsync(a, m, ts_recv);
    }
    a->counter[ADAPTER_MISSING] = missing;
    a->host.reconnect(a->host.context, "frames of the connection are missing");
}

/* False: a frame that came before. Looked at whatever is in it: every frame is numbered. */
static bool follows(struct adapter *a, const struct coinbase_message *msg, tb_ns ts_recv)
{
    struct coinbase *c = coinbase_of(a);
    uint64_t last = c->sequence;
    bool had = c->has_sequence;
    if (!msg->has_sequence) {
        c->has_sequence = false; /* unreadable, which was said: the next one's number holds */
        return true;
    }
    if (had && msg->sequence <= last) {
        a->counter[ADAPTER_BOOK_STALE] += msg->kind == COINBASE_BOOK;
        return false;
    }
    c->has_sequence = true;
    c->sequence = msg->sequence;
    if (had && msg->sequence - last > 1)
        on_jump(a, last + 1, msg->sequence - 1, ts_recv);
    return true;
}

static unsigned channel_of(struct adapter_text channel)
{
    static const struct {
        const char *name;
        unsigned channel;
    } names[] = {{"matches", ADAPTER_TRADES}, {"market_trades", ADAPTER_TRADES},
                 {"ticker", ADAPTER_QUOTES},  {"level2", ADAPTER_BOOK},
                 {"level2_50", ADAPTER_BOOK}, {"level2_batch", ADAPTER_BOOK}};
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (adapter_text_is(channel, names[i].name))
            return names[i].channel;
    return 0;
}

/* `newest`: no later trade of the same product follows in the message. */
static int on_item(struct adapter *a, const struct coinbase_message *msg,
                   const struct coinbase_item *item, bool newest, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_market_find(a, item->symbol);
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN] += msg->kind != COINBASE_SUBSCRIBED;
        return 0;
    }
    switch (msg->kind) {
    case COINBASE_TRADES:
        return on_trade(a, m, item, newest, ts_recv);
    case COINBASE_QUOTES:
        return on_quote(a, m, item, ts_recv);
    case COINBASE_BOOK:
        return on_book(a, m, item, msg->has_sequence ? msg->sequence : 0, ts_recv);
    case COINBASE_HEARTBEAT:
        on_heartbeat(a, m, item, ts_recv);
        return 0;
    default:
        adapter_answered(m, channel_of(item->channel));
        return 0;
    }
}

static int on_items(struct adapter *a, const struct coinbase_message *msg, tb_ns ts_recv)
{
    bool backward = msg->advanced && msg->kind == COINBASE_TRADES;
    int bad = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        const struct coinbase_item *item = &msg->item[backward ? msg->count - 1 - i : i];
        bool newest =
            i + 1 == msg->count || !adapter_text_same(item->symbol, item[backward ? -1 : 1].symbol);
        int rc = on_item(a, msg, item, newest, ts_recv);
        if (rc == -EBADMSG) {
            bad = on_bad(a, item->symbol, ts_recv);
            rc = bad == -EBADMSG ? 0 : bad;
        }
        if (rc == 0)
            rc = adapter_flush(a);
        if (rc != 0)
            return rc;
    }
    return bad;
}

/*
 * The Exchange names the product, "NOPE-USD is not a valid product", and refuses nothing else of ours: a
 * message is of one. Advanced Trade names nothing, and refuses all of the message: see on_time.
 */
static int on_refused(struct adapter *a, const struct coinbase_message *msg, tb_ns ts_recv)
{
    struct coinbase *c = coinbase_of(a);
    struct adapter_text first = {"", 0};
    if (msg->reason.length > 0) { /* else it may point nowhere */
        const char *blank = memchr(msg->reason.at, ' ', msg->reason.length);
        if (blank != NULL)
            first = (struct adapter_text){msg->reason.at, (uint32_t)(blank - msg->reason.at)};
    }
    if (!c->advanced)
        return adapter_refused(a, adapter_market_find(a, first), ~0U, ts_recv);
    if (c->refused_at == 0)
        c->refused_at = ts_recv;
    return 0;
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct coinbase *c = coinbase_of(a);
    struct coinbase_message msg;
    a->counter[ADAPTER_FRAMES]++;
    coinbase_decode(c->decoder, bytes, length, &msg);
    if (c->advanced && !follows(a, &msg, ts_recv))
        return 0;
    int rc = adapter_flush(a);
    if (rc != 0)
        return rc;
    switch (msg.kind) {
    case COINBASE_BAD:
        return on_bad(a, msg.symbol, ts_recv);
    case COINBASE_UNKNOWN:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case COINBASE_IGNORED:
        return 0;
    case COINBASE_REFUSED:
        return on_refused(a, &msg, ts_recv);
    case COINBASE_SUBSCRIBED:
        a->counter[ADAPTER_ACKS]++;
        return on_items(a, &msg, ts_recv);
    default:
        return on_items(a, &msg, ts_recv);
    }
}

/* ---- subscriptions ---- */

/* One product a message: a bad one makes the venue refuse the whole message. */
static int exchange_subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    if (index >= a->market_count)
        return 0;
    unsigned channels = a->config.channels;
    int length =
        snprintf(out_text, capacity,
                 "{\"type\":\"subscribe\",\"product_ids\":[\"%s\"],\"channels\":[%s%s%s"
                 "\"heartbeat\"]}",
                 a->market[index].config.raw, channels & ADAPTER_TRADES ? "\"matches\"," : "",
                 channels & ADAPTER_QUOTES ? "\"ticker\"," : "",
                 channels & ADAPTER_BOOK ? "\"level2_batch\"," : "");
    return length < 0 || (size_t)length >= capacity ? -ENOSPC : length;
}

static const char *advanced_name(unsigned channel)
{
    return channel == ADAPTER_TRADES   ? "market_trades"
           : channel == ADAPTER_QUOTES ? "ticker"
                                       : "level2";
}

static int advanced_open(const struct adapter *a, unsigned channel, char *out, size_t capacity)
{
    (void)a;
    return snprintf(out, capacity, "{\"type\":\"subscribe\",\"channel\":\"%s\",\"product_ids\":[",
                    advanced_name(channel));
}

static int advanced_close(unsigned channel, char *out, size_t capacity)
{
    (void)channel;
    return snprintf(out, capacity, "]}");
}

static int advanced_subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    static const struct adapter_symbols_shape shape = {advanced_open, advanced_close};
    if (index == 0) /* channels without updates are closed if there are no heartbeats */
        return snprintf(out_text, capacity, "{\"type\":\"subscribe\",\"channel\":\"heartbeats\"}");
    return adapter_symbols_request(a, &shape, index - 1, out_text, capacity);
}

static int book_request(struct adapter *a, const struct adapter_market *m, bool make,
                        char *out_text, size_t capacity)
{
    int length = snprintf(
        out_text, capacity, "{\"type\":\"%ssubscribe\",\"product_ids\":[\"%s\"],%s}",
        make ? "" : "un", m->config.raw,
        coinbase_of(a)->advanced ? "\"channel\":\"level2\"" : "\"channels\":[\"level2_batch\"]");
    return length < 0 || (size_t)length >= capacity ? -ENOSPC : length;
}

/* ---- refusals of Advanced Trade ---- */

#define ANSWERS_NS                                                                                 \
    (2 * TB_NS_PER_S) /* answers to what went out before the refusal come meanwhile */

/* Those that were refused with the one at fault will agree now. */
static void ask_alone(struct adapter *a, tb_ns now)
{
    const struct adapter_market *m;
    unsigned channel;
    tb_ns due = now + ADAPTER_ANSWER_NS;
    for (size_t i = 0; (channel = adapter_subscription(a, i, &m)) != 0; i++) {
        struct adapter_subscription *s = adapter_subscription_of(&a->market[m->index], channel);
        char text[ADAPTER_REQUEST_BYTES];
        if (s->state != ADAPTER_ASKED)
            continue;
        int length =
            snprintf(text, sizeof(text),
                     "{\"type\":\"subscribe\",\"channel\":\"%s\",\"product_ids\":[\"%s\"]}",
                     advanced_name(channel), m->config.raw);
        due += ADVANCED_INTERVAL;
        s->due = due;
        if (a->host.send != NULL)
            a->host.send(a->host.context, text, (size_t)length, 0);
    }
}

static bool is_due(const struct adapter_subscription *s, tb_ns now)
{
    return s->state == ADAPTER_ASKED && now > s->due;
}

/* What got no answer though it was asked for alone, and something was refused: that is what. */
static void settle_refused(struct adapter *a, tb_ns now)
{
    const struct adapter_market *m;
    unsigned channel;
    for (size_t i = 0; (channel = adapter_subscription(a, i, &m)) != 0; i++)
        if (is_due(adapter_subscription_of(&a->market[m->index], channel), now))
            (void)adapter_refused(a, &a->market[m->index], channel, now); /* a host that stops */
}

static void on_time(struct adapter *a, tb_ns now)
{
    struct coinbase *c = coinbase_of(a);
    if (c->asked_alone) {
        settle_refused(a, now);
    } else if (c->refused_at != 0 && now - c->refused_at > ANSWERS_NS) {
        c->asked_alone = true;
        ask_alone(a, now);
    }
    adapter_deadlines(a, now);
}

/* ---- connections ---- */

static void on_connect(struct adapter *a, tb_ns ts_recv)
{
    struct coinbase *c = coinbase_of(a);
    char text[ADAPTER_REQUEST_BYTES];
    unsigned messages = 0;
    c->has_sequence = false;
    c->asked_alone = false;
    c->refused_at = 0;
    for (size_t i = 0; i < a->market_count; i++)
        own(&a->market[i])->heartbeat_trade = 0;
    while ((c->advanced ? advanced_subscribe : exchange_subscribe)(a, messages, text,
                                                                   sizeof(text)) > 0)
        messages++;
    adapter_connected(a, ts_recv);
    adapter_subscribed(a, messages, c->advanced ? ADVANCED_INTERVAL : EXCHANGE_INTERVAL, ts_recv);
}

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/";
}

/* ---- life ---- */

static int begin(struct adapter *a, struct tb_error *err)
{
    struct coinbase *c = coinbase_of(a);
    (void)err;
    c->decoder = coinbase_decoder_create();
    c->advanced = strcmp(a->venue, advanced_venues[0].id) == 0;
    a->book_request = book_request;
    return c->decoder == NULL ? -ENOMEM : 0;
}

static void end(struct adapter *a)
{
    coinbase_decoder_destroy(coinbase_of(a)->decoder);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    const struct adapter_shape shape = {.bytes = sizeof(struct coinbase),
                                        .market_bytes = sizeof(struct coinbase_market),
                                        .book_depth = config->book_depth == 0 ? BOOK_DEPTH_DEFAULT
                                                                              : config->book_depth,
                                        .changes = 2 * COINBASE_LEVELS_MAX,
                                        .begin = begin,
                                        .end = end};
    return adapter_new(&shape, config, host, err);
}

/* What both feeds have in common. Heartbeats come each second. */
#define COINBASE_OPS                                                                               \
    .create = create, .destroy = adapter_free, .connect_path = connect_path,                       \
    .silence_ns = 10 * TB_NS_PER_S, .on_time = on_time, .on_connect = on_connect,                  \
    .on_disconnect = adapter_disconnected, .on_frame = on_frame, .on_rest = adapter_nothing_asked, \
    .resync = adapter_resync, .resume = adapter_resume, .resumed = adapter_resumed,                \
    .counters = adapter_counters, .book = adapter_book, .listing_read = coinbase_listing_read,     \
    .scan = coinbase_scan

const struct adapter_ops coinbaseexchange_ops = {
    COINBASE_OPS,
    .venues = exchange_venues,
    .subscribe = exchange_subscribe,
    .subscribe_interval_ns = EXCHANGE_INTERVAL,
    .listing_path = coinbaseexchange_listing_path,
};

const struct adapter_ops coinbase_ops = {
    COINBASE_OPS,
    .venues = advanced_venues,
    .subscribe = advanced_subscribe,
    .subscribe_interval_ns = ADVANCED_INTERVAL,
    .listing_path = coinbase_listing_path,
};
