/*
 * Bybit v5, spot and linear contracts (one kind on a connection): frames to records.
 *
 * Trades: ids rise with holes by nature (recorded klines prove that nothing is missing there), so they tell
 * what was seen before, not what is missing; after a reconnect or a frame that could not be read a gap of
 * unknown extent precedes the first. Ids of contracts are UUIDs: a hash of it, and no order. Either way what
 * comes out of order is no repeat.
 * Quotes are orderbook.1, the same message again after 3 s without change is no quote.
 *
 * Book, orderbook.50, .200 or .1000 (exchanges.md 5.4):
 *
 *   snapshot, or u == 1 (the venue's service began anew)   replaces the book, whatever u was before
 *   delta   u == last + 1: applied. u == last: seen, dropped. Else something is missing: a gap, the book
 *           is given up and its topic unsubscribed and subscribed, which brings a snapshot.
 *
 * No REST is needed. The venue sends the removal of levels that leave its window, so none is cut here.
 */
#include "producers/adapter/bybit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/bybit_json.h"
#include "producers/adapter/bybit_listing.h"
#include "producers/adapter/subscription.h"

/* Of the venue's deepest book. Fuzzing makes it small. */
#ifndef BYBIT_LEVELS_MAX
#define BYBIT_LEVELS_MAX 1000
#endif
#define ARGS_MAX 10          /* of one request, spot; other product lines take more */
#define ARGS_BYTES_MAX 21000 /* of one connection */
#define REQUESTS_MAX 1000    /* none is stated: this many show that something is wrong */

struct bybit {
    struct subscription_adapter base;
    struct bybit_decoder *decoder;
    uint32_t depth; /* of the book that is subscribed to */
    uint32_t pings;
};

struct bybit_market {
    bool has_quote_id;
    uint64_t quote_id; /* u of the last quote */
    uint32_t depth;    /* whose ids these are: a recording may hold several */
};

static const struct adapter_venue venues[] = {
    {"bybit", "wss://stream.bybit.com", "https://api.bybit.com"},
    {NULL, NULL, NULL},
};

static struct bybit *self_of(struct adapter *a)
{
    return (struct bybit *)a;
}

static struct bybit_market *own(const struct adapter_market *m)
{
    return m->own;
}

static int time_of(int64_t ms, tb_ns *out)
{
    return __builtin_mul_overflow(ms, TB_NS_PER_MS, out) ? -EBADMSG : 0;
}

/* ---- trades ---- */

static int on_trade(struct adapter *a, struct adapter_market *m, const struct bybit_trade *t,
                    tb_ns ts_recv)
{
    const struct adapter_text text[2] = {t->price, t->size};
    int64_t number[2];
    tb_ns time;
    struct tb_trade trade = {.side = t->side, .count = 1, .venue_seq = (uint32_t)t->seq};
    bool ordered = adapter_trade_id(t->id, &trade.trade_id);
    if (ordered ? adapter_trade_seen(a, m, trade.trade_id)
                : adapter_trade_seen_hash(a, m, trade.trade_id))
        return 0;
    int rc = time_of(t->time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    trade.price = number[0];
    trade.size = number[1];
    adapter_trade_follows_any(a, m, ordered ? trade.trade_id : 0, ts_recv);
    (void)adapter_trade(a, m, &trade, time, ts_recv);
    return adapter_flush(a);
}

/* A bad one does not keep the others of its message from being published. */
static int on_trades(struct adapter *a, struct adapter_market *m, const struct bybit_message *msg,
                     tb_ns ts_recv)
{
    bool bad = false;
    for (uint32_t i = 0; i < msg->trade_count; i++) {
        int rc = on_trade(a, m, &msg->trade[i], ts_recv);
        if (rc == -EBADMSG)
            bad = true;
        else if (rc != 0)
            return rc;
    }
    return bad ? -EBADMSG : 0;
}

/* ---- quotes ---- */

static int on_quote(struct adapter *a, struct adapter_market *m, const struct bybit_message *msg,
                    tb_ns ts_recv)
{
    static const struct adapter_text zero = {"0", 1};
    const struct adapter_level *bid = msg->bids.level, *ask = msg->asks.level;
    bool has_bid = msg->bids.count > 0, has_ask = msg->asks.count > 0;
    const struct adapter_text text[4] = {has_bid ? bid->price : zero, has_bid ? bid->size : zero,
                                         has_ask ? ask->price : zero, has_ask ? ask->size : zero};
    int64_t number[4];
    tb_ns time;
    if (own(m)->has_quote_id && own(m)->quote_id == (uint64_t)msg->update_id &&
        m->quote_reason == 0)
        return 0;
    int rc = !msg->snapshot ? -EBADMSG : time_of(msg->time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 4, number, ts_recv);
    if (rc != 0)
        return rc;
    own(m)->has_quote_id = true;
    own(m)->quote_id = (uint64_t)msg->update_id;
    (void)adapter_quote(a, m, number, time, ts_recv);
    return adapter_flush(a);
}

/* ---- the book ---- */

static int lose_book(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    adapter_book_unsync(a, m, ts_recv);
    int rc = adapter_flush(a);
    adapter_book_ask(a, m, ts_recv);
    return rc;
}

/* What a snapshot after a loss can not tell: the changes that it sums up. */
static void snapshot_gap(struct adapter *a, struct adapter_market *m, uint64_t id, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    if (s->reason != 0 && s->has_last && id > s->last + 1)
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, s->last + 1, id - 1, s->reason, ts_recv);
    else if (s->reason != 0 && s->has_last && id < s->last)
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, s->reason, ts_recv);
    s->reason = 0;
}

static int on_snapshot(struct adapter *a, struct adapter_market *m, struct adapter_event *event,
                       uint32_t bids)
{
    bool was_synced = m->sync.synced;
    snapshot_gap(a, m, event->last, event->ts_recv);
    adapter_book_fill(a, m, event, bids);
    int rc = adapter_book_publish(a, m, event->ts_event, event->ts_recv);
    return rc != 0 ? rc : adapter_book_replaced(a, m, event, was_synced);
}

/* Ids that go back without a snapshot: the service began anew and that was not seen. */
static void check_follows(struct adapter *a, struct adapter_market *m,
                          const struct adapter_event *event)
{
    struct adapter_sync *s = &m->sync;
    if (s->has_last && event->last > s->last + 1)
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, s->last + 1, event->last - 1, s->reason,
                          event->ts_recv);
    else if (s->synced && event->last < s->last)
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, s->reason, event->ts_recv);
    else
        return;
    adapter_book_unsync(a, m, event->ts_recv);
}

static int on_delta(struct adapter *a, struct adapter_market *m, const struct adapter_event *event)
{
    struct adapter_sync *s = &m->sync;
    check_follows(a, m, event);
    s->reason = 0;
    s->has_last = true;
    s->last = event->last;
    if (!s->synced)
        return lose_book(a, m, event->ts_recv);
    adapter_book_apply(a, m, event, a->scratch);
    if (!adapter_book_crossed(s, event->ts_recv))
        return adapter_flush(a);
    /* The ids are whole and the book is not: something was applied wrongly. Anew. */
    (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, TB_GAP_CHECKSUM, event->ts_recv);
    return lose_book(a, m, event->ts_recv);
}

static int on_book(struct adapter *a, struct adapter_market *m, const struct bybit_message *msg,
                   tb_ns ts_recv)
{
    struct adapter_event event = {.last = (uint64_t)msg->update_id, .ts_recv = ts_recv};
    bool whole = msg->snapshot || event.last == 1;
    if (own(m)->depth == 0)
        own(m)->depth = msg->depth;
    if (own(m)->depth != msg->depth)
        return 0;
    if (!whole && m->sync.has_last && event.last == m->sync.last) {
        a->counter[ADAPTER_BOOK_STALE]++;
        return 0;
    }
    int rc = time_of(msg->time, &event.ts_event);
    if (rc == 0)
        rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    event.count = (uint32_t)rc;
    return whole ? on_snapshot(a, m, &event, msg->bids.count) : on_delta(a, m, &event);
}

/* ---- messages ---- */

/* What it said belongs to one channel, if its topic could be read; else anything may be missing. */
static int on_bad(struct adapter *a, const struct bybit_message *msg)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    static const char trades[] = "publicTrade.";
    bool of_trades = msg->topic.length >= sizeof(trades) &&
                     memcmp(msg->topic.at, trades, sizeof(trades) - 1) == 0;
    a->counter[ADAPTER_FRAMES_BAD]++;
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *each = &a->market[i];
        if (m != NULL && each != m)
            continue;
        if (each->trade_reason == 0 && (m == NULL || of_trades))
            each->trade_reason = TB_GAP_BAD_FRAME;
        if (each->sync.reason == 0 && (m == NULL || !of_trades))
            each->sync.reason = TB_GAP_BAD_FRAME;
    }
    return -EBADMSG;
}

static int on_market_message(struct adapter *a, const struct bybit_message *msg, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    enum adapter_channel channel = msg->kind == BYBIT_TRADES ? ADAPTER_TRADES
                                   : msg->depth == 1         ? ADAPTER_QUOTES
                                                             : ADAPTER_BOOK;
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (!(a->config.channels & channel))
        return 0;
    adapter_answered(m, channel);
    int rc = channel == ADAPTER_TRADES   ? on_trades(a, m, msg, ts_recv)
             : channel == ADAPTER_QUOTES ? on_quote(a, m, msg, ts_recv)
                                         : on_book(a, m, msg, ts_recv);
    return rc == -EBADMSG ? on_bad(a, msg) : rc;
}

static uint32_t request_of(struct adapter_text text)
{
    int64_t number;
    bool ours = tb_decimal_parse(text.at, text.length, 0, &number) == 0 && number > 0 &&
                number <= UINT32_MAX;
    return ours ? (uint32_t)number : 0;
}

/* "error:handler not found,topic:orderbook.50.NOPE": which subscription it is about. */
static size_t culprit(struct adapter *a, struct adapter_text reason)
{
    static const char key[] = "topic:";
    const char *at = memmem(reason.at, reason.length, key, sizeof(key) - 1);
    if (at == NULL)
        return SUBSCRIPTION_NONE;
    at += sizeof(key) - 1;
    struct adapter_text topic = {at, (uint32_t)(reason.at + reason.length - at)};
    const char *dot = memrchr(topic.at, '.', topic.length);
    if (dot == NULL)
        return SUBSCRIPTION_NONE;
    struct adapter_text raw = {dot + 1, (uint32_t)(topic.at + topic.length - dot - 1)};
    const struct adapter_market *m = adapter_market_find(a, raw);
    if (m == NULL)
        return SUBSCRIPTION_NONE;
    bool trades = topic.at[0] == 'p', top = memmem(topic.at, topic.length, ".1.", 3) != NULL;
    return subscriptions_find(a, m, trades ? ADAPTER_TRADES : top ? ADAPTER_QUOTES : ADAPTER_BOOK);
}

/* "already subscribed" refuses the whole request too, but the one it names is as it should be. */
static void on_refused(struct adapter *a, const struct bybit_message *msg, tb_ns ts_recv)
{
    static const char already[] = "already subscribed";
    size_t item = culprit(a, msg->reason);
    uint32_t request = request_of(msg->request);
    bool there = memmem(msg->reason.at, msg->reason.length, already, sizeof(already) - 1) != NULL;
    if (there && item != SUBSCRIPTION_NONE)
        subscriptions_item(a, item)->state = ADAPTER_AGREED;
    subscriptions_refused(a, request, item, ts_recv);
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct bybit_message msg;
    a->counter[ADAPTER_FRAMES]++;
    bybit_decode(self_of(a)->decoder, bytes, length, &msg);
    switch (msg.kind) {
    case BYBIT_BAD:
        return on_bad(a, &msg);
    case BYBIT_UNKNOWN:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case BYBIT_IGNORED:
    case BYBIT_UNSUBSCRIBED:
        return 0;
    case BYBIT_SUBSCRIBED:
        a->counter[ADAPTER_ACKS]++;
        subscriptions_agreed_all(a, request_of(msg.request));
        return 0;
    case BYBIT_REFUSED:
        on_refused(a, &msg, ts_recv);
        return 0;
    case BYBIT_PONG:
        a->counter[ADAPTER_PONGS]++;
        return 0;
    case BYBIT_STATUS:
        adapter_status(a, NULL, TB_STATUS_MAINTENANCE, 0, ts_recv);
        return adapter_flush(a);
    case BYBIT_TRADES:
    case BYBIT_BOOK:
    default:
        return on_market_message(a, &msg, ts_recv);
    }
}

/* ---- connections ---- */

static const char *connect_path(struct adapter *a)
{
    bool linear = a->market_count > 0 && strchr(a->market[0].config.symbol, ':') != NULL;
    return linear ? "/v5/public/linear" : "/v5/public/spot";
}

static int argument(const struct adapter *a, const struct adapter_market *m,
                    enum adapter_channel channel, char *out, size_t capacity)
{
    const char *raw = m->config.raw;
    if (channel == ADAPTER_TRADES)
        return snprintf(out, capacity, "\"publicTrade.%s\"", raw);
    uint32_t depth = channel == ADAPTER_QUOTES ? 1 : ((const struct bybit *)a)->depth;
    return snprintf(out, capacity, "\"orderbook.%u.%s\"", depth, raw);
}

static int ping(struct adapter *a, char *out_text, size_t capacity)
{
    int length = snprintf(out_text, capacity, "{\"req_id\":\"ping%u\",\"op\":\"ping\"}",
                          ++self_of(a)->pings);
    return (size_t)length < capacity ? length : -ENOSPC;
}

/* ---- life ---- */

static const struct subscription_rule rule = {
    .id_key = "req_id",
    .args_max = ARGS_MAX,
    .args_bytes_max = ARGS_BYTES_MAX,
    .requests_max = REQUESTS_MAX,
    .argument = argument,
};

static int begin(struct adapter *a, struct tb_error *err)
{
    uint32_t wanted = a->config.book_depth;
    self_of(a)->depth = wanted == 0 || wanted > 200 ? 1000 : wanted > 50 ? 200 : 50;
    self_of(a)->decoder = bybit_decoder_create();
    return self_of(a)->decoder == NULL ? -ENOMEM : subscriptions_begin(a, &rule, err);
}

static void end(struct adapter *a)
{
    bybit_decoder_destroy(self_of(a)->decoder);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    /* Twice the venue's window: within one message levels may come before others go. */
    static const struct adapter_shape shape = {.bytes = sizeof(struct bybit),
                                               .market_bytes = sizeof(struct bybit_market),
                                               .book_depth = 2 * BYBIT_LEVELS_MAX,
                                               .begin = begin,
                                               .end = end};
    return adapter_new(&shape, config, host, err);
}

const struct adapter_ops bybit_ops = {
    .venues = venues,
    .create = create,
    .destroy = adapter_free,
    .connect_path = connect_path,
    .subscribe = subscriptions_text,
    .subscribe_interval_ns = 100 * TB_NS_PER_MS, /* no rate is stated */
    .connection_life_ns = 0,                     /* nor a life */
    .silence_ns = 50 * TB_NS_PER_S,              /* a pong each 20 s, twice missed */
    .ping_interval_ns = 20 * TB_NS_PER_S,
    .ping = ping,
    .on_time = subscriptions_on_time,
    .on_connect = subscriptions_on_connect,
    .on_disconnect = subscriptions_on_disconnect,
    .on_frame = on_frame,
    .on_rest = adapter_nothing_asked,
    .resync = adapter_resync,
    .resume = adapter_resume,
    .resumed = adapter_resumed,
    .counters = adapter_counters,
    .book = adapter_book,
    .listing_kinds = bybit_listing_kinds,
    .listing_path = bybit_listing_path,
    .listing_read = bybit_listing_read,
    .scan_connect = bybit_scan_connect,
    .scan = bybit_scan,
};
