/*
 * OKX v5: frames to records.
 *
 * Trades are merged per taker order: an id is that of the last one, `count` says how many there are, so they
 * follow each other if id == previous + count.
 * Quotes are bbo-tbt; in a recording that has none they are the tickers', which repeat.
 * Sizes of contracts are in contracts, as the venue sends them.
 * Everything is on the public endpoint; klines, which are not needed, are not.
 */
#include "producers/adapter/okx.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/okx_state.h"

/* Of the venue's deepest book. Fuzzing makes it small. */
#ifndef OKX_LEVELS_MAX
#define OKX_LEVELS_MAX 400
#endif
#define ARGS_MAX 100
#define ARGS_BYTES_MAX 65536 /* of one connection */
/* 480 requests an hour are allowed on a connection; the first round has at most 30 of them. */
#define REQUESTS_MAX 440

static const struct adapter_venue venues[] = {
    {"okx", "wss://ws.okx.com:8443", "https://www.okx.com"},
    {"okcoin", "wss://real.okcoin.com:8443", "https://www.okcoin.com"},
    {NULL, NULL, NULL},
};

static struct okx *self_of(struct adapter *a)
{
    return (struct okx *)a;
}

static struct okx_market *own(const struct adapter_market *m)
{
    return m->own;
}

static bool read_integer(struct adapter_text text, int64_t *out)
{
    return tb_decimal_parse(text.at, text.length, 0, out) == 0 && *out >= 0;
}

int okx_time(struct adapter_text text, tb_ns *out)
{
    int64_t ms;
    return !read_integer(text, &ms) || __builtin_mul_overflow(ms, TB_NS_PER_MS, out) ? -EBADMSG : 0;
}

/* ---- trades ---- */

static int on_trade(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                    tb_ns ts_recv)
{
    const struct adapter_text text[2] = {item->price, item->size};
    int64_t number[2], id, count = 1;
    tb_ns time;
    if (!read_integer(item->id, &id) ||
        (item->count.length > 0 && !read_integer(item->count, &count)) || count < 1 || count > id)
        return -EBADMSG;
    if (adapter_trade_seen(a, m, (uint64_t)id))
        return 0;
    int rc = okx_time(item->time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    const struct tb_trade trade = {
        .price = number[0],
        .size = number[1],
        .trade_id = (uint64_t)id,
        .side = item->side,
        .count = count > UINT16_MAX ? UINT16_MAX : (uint16_t)count,
        .venue_seq = (uint32_t)item->seq,
    };
    adapter_trade_follows(a, m, (uint64_t)(id - count + 1), (uint64_t)id, ts_recv);
    (void)adapter_trade(a, m, &trade, time, ts_recv);
    return adapter_flush(a);
}

/* ---- quotes ---- */

static int emit_quote(struct adapter *a, struct adapter_market *m,
                      const struct adapter_text text[4], struct adapter_text when, tb_ns ts_recv)
{
    static const struct adapter_text zero = {"0", 1};
    struct adapter_text filled[4];
    int64_t number[4];
    tb_ns time;
    for (int i = 0; i < 4; i++)
        filled[i] = text[i].length == 0 ? zero : text[i];
    int rc = okx_time(when, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, filled, 4, number, ts_recv);
    if (rc != 0)
        return rc;
    (void)adapter_quote(a, m, number, time, ts_recv);
    return adapter_flush(a);
}

static int on_ticker(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                     tb_ns ts_recv)
{
    const struct adapter_text text[4] = {item->bid_price, item->bid_size, item->ask_price,
                                         item->ask_size};
    return own(m)->has_top ? 0 : emit_quote(a, m, text, item->time, ts_recv);
}

static int on_top(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                  tb_ns ts_recv)
{
    static const struct adapter_level none = {{"", 0}, {"", 0}};
    const struct adapter_level *bid = item->bids.count > 0 ? item->bids.level : &none;
    const struct adapter_level *ask = item->asks.count > 0 ? item->asks.level : &none;
    const struct adapter_text text[4] = {bid->price, bid->size, ask->price, ask->size};
    own(m)->has_top = true;
    return emit_quote(a, m, text, item->time, ts_recv);
}

/* ---- messages ---- */

static unsigned channel_of(struct adapter_text channel)
{
    static const struct {
        const char *name;
        enum adapter_channel channel;
    } names[] = {
        {"trades", ADAPTER_TRADES}, {"bbo-tbt", ADAPTER_QUOTES},    {"tickers", ADAPTER_QUOTES},
        {"books", ADAPTER_BOOK},    {"books-l2-tbt", ADAPTER_BOOK}, {"trades-all", ADAPTER_TRADES},
    };
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (adapter_text_is(channel, names[i].name))
            return names[i].channel;
    return 0;
}

static size_t subscription_of(struct adapter *a, struct adapter_text channel,
                              const struct adapter_market *m)
{
    unsigned bit = channel_of(channel);
    return m == NULL || bit == 0 ? SUBSCRIPTION_NONE
                                 : subscriptions_find(a, m, (enum adapter_channel)bit);
}

static int on_item(struct adapter *a, struct adapter_market *m, const struct okx_message *msg,
                   const struct okx_item *item, tb_ns ts_recv)
{
    switch (msg->kind) {
    case OKX_TRADES:
        return on_trade(a, m, item, ts_recv);
    case OKX_TICKERS:
        return on_ticker(a, m, item, ts_recv);
    case OKX_TOP:
        return on_top(a, m, item, ts_recv);
    default:
        return okx_on_book(a, m, item, msg->snapshot, ts_recv);
    }
}

/* A bad item does not keep the others of its message from being published. */
static int on_market_message(struct adapter *a, const struct okx_message *msg, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    unsigned channel = msg->kind == OKX_TRADES ? ADAPTER_TRADES
                       : msg->kind == OKX_BOOK ? ADAPTER_BOOK
                                               : ADAPTER_QUOTES;
    bool bad = false;
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (!(a->config.channels & channel))
        return 0;
    adapter_answered(m, channel_of(msg->channel));
    for (uint32_t i = 0; i < msg->count; i++) {
        int rc = on_item(a, m, msg, &msg->item[i], ts_recv);
        if (rc == -EBADMSG)
            bad = true;
        else if (rc != 0)
            return rc;
    }
    return bad ? adapter_bad(a, m) : 0;
}

static int on_agreed(struct adapter *a, const struct okx_message *msg)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    unsigned channel = channel_of(msg->channel) & a->config.channels;
    a->counter[ADAPTER_ACKS]++;
    if (m == NULL || channel == 0)
        return 0;
    adapter_answered(m, channel);
    if (channel != ADAPTER_BOOK || m->sync.synced)
        return 0;
    own(m)->agreed = true;
    adapter_pending_drop(&m->sync.pending); /* of the subscription before this one */
    return 0;
}

/* The word behind `key` in "Wrong URL or channel:books,instId:NOPE-USDT doesn't exist". */
static struct adapter_text word_behind(struct adapter_text text, const char *key)
{
    if (text.length == 0) /* and perhaps no text at all */
        return (struct adapter_text){"", 0};
    const char *end = text.at + text.length;
    const char *at = memmem(text.at, text.length, key, strlen(key));
    if (at == NULL)
        return (struct adapter_text){"", 0};
    at += strlen(key);
    const char *stop = at;
    while (stop < end && *stop != ',' && *stop != ' ' && *stop != '.')
        stop++;
    return (struct adapter_text){at, (uint32_t)(stop - at)};
}

static int on_refused(struct adapter *a, const struct okx_message *msg, tb_ns ts_recv)
{
    int64_t request;
    const struct adapter_market *m = adapter_market_find(a, word_behind(msg->reason, "instId:"));
    size_t item = subscription_of(a, word_behind(msg->reason, "channel:"), m);
    if (!read_integer(msg->request, &request) || request > UINT32_MAX)
        request = 0;
    subscriptions_refused(a, (uint32_t)request, item, ts_recv);
    return 0;
}

static int on_notice(struct adapter *a, tb_ns ts_recv)
{
    adapter_status(a, NULL, TB_STATUS_MAINTENANCE, 0, ts_recv);
    a->host.reconnect(a->host.context, "the venue announced that it will close the connection");
    return adapter_flush(a);
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct okx_message msg;
    a->counter[ADAPTER_FRAMES]++;
    okx_decode(self_of(a)->decoder, bytes, length, &msg);
    switch (msg.kind) {
    case OKX_BAD:
        return adapter_bad(a, adapter_market_find(a, msg.symbol));
    case OKX_UNKNOWN:
    case OKX_REST_BOOK:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case OKX_IGNORED:
    case OKX_UNSUBSCRIBED:
        return 0;
    case OKX_SUBSCRIBED:
        return on_agreed(a, &msg);
    case OKX_REFUSED:
        return on_refused(a, &msg, ts_recv);
    case OKX_NOTICE:
        return on_notice(a, ts_recv);
    case OKX_PONG:
        a->counter[ADAPTER_PONGS]++;
        return 0;
    case OKX_TRADES:
    case OKX_TICKERS:
    case OKX_TOP:
    case OKX_BOOK:
    default:
        return on_market_message(a, &msg, ts_recv);
    }
}

/* ---- REST ---- */

static int on_rest(struct adapter *a, uint32_t request, const char *path, int status,
                   const char *body, size_t length, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_rest_market(a, request, path, okx_path_symbol(path));
    struct okx_message msg;
    if (m == NULL)
        return 0;
    if (status < 200 || status > 299 || body == NULL) {
        okx_no_rest_book(a, m, ts_recv);
        return 0;
    }
    okx_decode(self_of(a)->decoder, body, length, &msg);
    int rc = msg.kind == OKX_REST_BOOK ? okx_on_rest_book(a, m, &msg.item[0], ts_recv) : -EBADMSG;
    if (rc == -EBADMSG) {
        a->counter[ADAPTER_FRAMES_BAD]++;
        okx_no_rest_book(a, m, ts_recv);
    }
    return rc;
}

/* ---- connections ---- */

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/ws/v5/public";
}

static int argument(const struct adapter *a, const struct adapter_market *m,
                    enum adapter_channel channel, char *out, size_t capacity)
{
    (void)a;
    const char *name = channel == ADAPTER_TRADES   ? "trades"
                       : channel == ADAPTER_QUOTES ? "bbo-tbt"
                                                   : "books";
    return snprintf(out, capacity, "{\"channel\":\"%s\",\"instId\":\"%s\"}", name, m->config.raw);
}

static int ping(struct adapter *a, char *out_text, size_t capacity)
{
    (void)a;
    return (size_t)snprintf(out_text, capacity, "ping") < capacity ? 4 : -ENOSPC;
}

static void forget(struct adapter *a)
{
    for (size_t i = 0; i < a->market_count; i++) {
        own(&a->market[i])->agreed = false;
        own(&a->market[i])->requested = false; /* an answer that is under way is of no use */
        own(&a->market[i])->attempts = 0;
    }
}

/* ---- life ---- */

static const struct subscription_rule rule = {
    .id_key = "id",
    .args_max = ARGS_MAX,
    .args_bytes_max = ARGS_BYTES_MAX,
    .requests_max = REQUESTS_MAX,
    .argument = argument,
    .forget = forget,
};

static int begin(struct adapter *a, struct tb_error *err)
{
    self_of(a)->decoder = okx_decoder_create();
    return self_of(a)->decoder == NULL ? -ENOMEM : subscriptions_begin(a, &rule, err);
}

static void end(struct adapter *a)
{
    okx_decoder_destroy(self_of(a)->decoder);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    /* Twice the venue's window: within one message levels may come before others go. */
    static const struct adapter_shape shape = {.bytes = sizeof(struct okx),
                                               .market_bytes = sizeof(struct okx_market),
                                               .book_depth = 2 * OKX_LEVELS_MAX,
                                               .pending = true,
                                               .begin = begin,
                                               .end = end};
    return adapter_new(&shape, config, host, err);
}

const struct adapter_ops okx_ops = {
    .venues = venues,
    .create = create,
    .destroy = adapter_free,
    .connect_path = connect_path,
    .subscribe = subscriptions_text,
    .subscribe_interval_ns = 350 * TB_NS_PER_MS, /* 3/s */
    .connection_life_ns = 0,                     /* none is stated; it gives notice */
    .silence_ns = 40 * TB_NS_PER_S,              /* a pong each 15 s, twice missed */
    .ping_interval_ns = 15 * TB_NS_PER_S,        /* it closes after 30 s without */
    .ping = ping,
    .on_time = subscriptions_on_time,
    .on_connect = subscriptions_on_connect,
    .on_disconnect = subscriptions_on_disconnect,
    .on_frame = on_frame,
    .on_rest = on_rest,
    .resync = okx_resync,
    .resume = adapter_resume,
    .resumed = adapter_resumed,
    .counters = adapter_counters,
    .book = adapter_book,
    .listing_path = okx_listing_path,
    .listing_kinds = okx_listing_kinds,
    .listing_read = okx_listing_read,
    .scan = okx_scan,
};
