/*
 * MEXC spot v3: frames to records (exchanges.md 1). Data are protobuf; answers are JSON and begin with a
 * brace, which no data frame does. REST imitates Binance's, whose decoder reads it.
 *
 * Trades: ids are hashed (they are no numbers, and say nothing about order); what was missed shows only
 * where a connection or a frame was lost: a gap of unknown extent. The ids of the last trades are kept: a
 * repeat is dropped. Trades of before June 2026 have no id: one is a repeat if the same (time, price, size,
 * side) came over the connection before.
 * Quotes: the venue repeats an unchanged one every 10 ms; only changes are published.
 * Answers: `code` is 0 even for a refusal: what stands in the text counts.
 */
#include "producers/adapter/mexc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/binance_json.h"
#include "producers/adapter/mexc_message.h"
#include "producers/adapter/snapshot.h"

#define BOOK_DEPTH_DEFAULT 10000
#define SUBSCRIPTIONS_MAX 30 /* of one connection: with more the rest is never sent */
#define SUBSCRIBE_INTERVAL (100 * TB_NS_PER_MS)
#define TRADES_KEPT 512

struct mexc_market {
    struct snapshot_market base;
    bool has_quote;
    int64_t quote[4];
    uint64_t
        trade[TRADES_KEPT]; /* ids, or hashes; the newest is at (trade_count - 1) % TRADES_KEPT */
    uint32_t trade_count;
    uint32_t before; /* trade_count when this connection began */
};

struct mexc {
    struct snapshot_adapter base;
    struct mexc_decoder *decoder;
    struct binance_decoder *json;
};

static struct mexc *self_of(struct adapter *a)
{
    return (struct mexc *)a;
}

static struct mexc_market *own(const struct adapter_market *m)
{
    return m->own;
}

static int time_of(int64_t ms, tb_ns *out)
{
    return ms < 0 || __builtin_mul_overflow(ms, TB_NS_PER_MS, out) ? -EBADMSG : 0;
}

/* When the message was made, or else sent. */
static int time_of_push(const Mexc__Push *push, tb_ns *out)
{
    return time_of(push->create_time != 0 ? push->create_time : push->send_time, out);
}

/* ---- trades ---- */

static uint64_t hash_deal(const Mexc__Deal *deal)
{
    const struct {
        const void *at;
        size_t length;
    } part[] = {{&deal->time, sizeof(deal->time)},
                {&deal->trade_type, sizeof(deal->trade_type)},
                {deal->price.data, deal->price.len},
                {"", 1}, /* 1, 23 is not 12, 3 */
                {deal->quantity.data, deal->quantity.len}};
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t p = 0; p < TB_COUNT(part); p++)
        for (size_t i = 0; i < part[p].length; i++)
            h = (h ^ ((const unsigned char *)part[p].at)[i]) * UINT64_C(1099511628211);
    return h;
}

/* Is it among those kept, or, of trades without an id, among those of connections before this one? */
static bool is_repeat(const struct mexc_market *o, uint64_t key, bool has_id)
{
    uint32_t kept = o->trade_count < TRADES_KEPT ? o->trade_count : TRADES_KEPT;
    uint32_t first = has_id ? 0 : o->trade_count - o->before;
    for (uint32_t i = first; i < kept; i++)
        if (o->trade[(o->trade_count - 1 - i) % TRADES_KEPT] == key)
            return true;
    return false;
}

static void keep(struct mexc_market *o, uint64_t key)
{
    o->trade[o->trade_count++ % TRADES_KEPT] = key;
}

static int on_deal(struct adapter *a, struct adapter_market *m, const Mexc__Deal *deal,
                   tb_ns ts_recv)
{
    const struct adapter_text text[2] = {mexc_text(deal->price), mexc_text(deal->quantity)};
    struct tb_trade trade = {.count = 1,
                             .side = deal->trade_type == 1   ? TB_BUY
                                     : deal->trade_type == 2 ? TB_SELL
                                                             : TB_NO_SIDE};
    int64_t number[2];
    tb_ns time;
    bool has_id = deal->trade_id.len > 0;
    uint64_t key = hash_deal(deal);
    if (has_id) {
        (void)adapter_trade_id(mexc_text(deal->trade_id), &key);
        trade.trade_id = key;
    }
    if (is_repeat(own(m), key, has_id)) {
        a->counter[ADAPTER_TRADES_DUPLICATE]++;
        return 0;
    }
    int rc = time_of(deal->time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    keep(own(m), key);
    trade.price = number[0];
    trade.size = number[1];
    adapter_trade_follows_any(a, m, trade.trade_id, ts_recv);
    (void)adapter_trade(a, m, &trade, time, ts_recv);
    return adapter_flush(a);
}

/* A bad one does not keep the others of its message from being published. */
static int on_deals(struct adapter *a, struct adapter_market *m, const Mexc__Deals *deals,
                    tb_ns ts_recv)
{
    bool bad = false;
    for (size_t i = 0; i < deals->n_deals; i++) {
        int rc = on_deal(a, m, deals->deals[i], ts_recv);
        if (rc != 0 && rc != -EBADMSG)
            return rc;
        bad = bad || rc != 0;
    }
    return bad ? -EBADMSG : 0;
}

/* ---- quotes ---- */

/* Fields of an empty side are absent. */
static struct adapter_text or_zero(ProtobufCBinaryData data)
{
    return data.len == 0 ? (struct adapter_text){"0", 1} : mexc_text(data);
}

static int on_quote(struct adapter *a, struct adapter_market *m, const Mexc__BookTicker *ticker,
                    tb_ns time, tb_ns ts_recv)
{
    if (adapter_quote_seen(a, m, (uint64_t)time, ts_recv))
        return 0;
    const struct adapter_text text[4] = {or_zero(ticker->bid_price), or_zero(ticker->bid_quantity),
                                         or_zero(ticker->ask_price), or_zero(ticker->ask_quantity)};
    struct mexc_market *o = own(m);
    int64_t number[4];
    int rc = adapter_numbers(a, m, text, 4, number, ts_recv);
    if (rc != 0)
        return rc;
    if (o->has_quote && m->quote_reason == 0 && memcmp(number, o->quote, sizeof(number)) == 0)
        return 0;
    memcpy(o->quote, number, sizeof(number));
    o->has_quote = true;
    (void)adapter_quote(a, m, number, time, ts_recv);
    return adapter_flush(a);
}

/* ---- books ---- */

static int version_of(ProtobufCBinaryData data, uint64_t *out)
{
    int64_t number;
    if (tb_decimal_parse((const char *)data.data, data.len, 0, &number) != 0 || number < 0)
        return -EBADMSG;
    *out = (uint64_t)number;
    return 0;
}

static int on_depth(struct adapter *a, struct adapter_market *m, const Mexc__Depth *depth,
                    tb_ns time, tb_ns ts_recv)
{
    struct mexc_decoder *d = self_of(a)->decoder;
    struct snapshot_message msg = {.ts_event = time};
    if (version_of(depth->from_version, &msg.first) != 0 ||
        version_of(depth->to_version, &msg.last) != 0 || msg.first > msg.last ||
        !mexc_levels(d, depth->bids, depth->n_bids, &msg.bids) ||
        !mexc_levels(d, depth->asks, depth->n_asks, &msg.asks))
        return -EBADMSG;
    return snapshot_on_change(a, m, &msg, ts_recv);
}

static int on_limit_depth(struct adapter *a, struct adapter_market *m,
                          const Mexc__LimitDepth *depth, tb_ns time, tb_ns ts_recv)
{
    struct mexc_decoder *d = self_of(a)->decoder;
    struct snapshot_message msg = {.ts_event = time};
    if (version_of(depth->version, &msg.last) != 0 ||
        !mexc_levels(d, depth->bids, depth->n_bids, &msg.bids) ||
        !mexc_levels(d, depth->asks, depth->n_asks, &msg.asks))
        return -EBADMSG;
    return snapshot_on_partial(a, m, &msg, ts_recv);
}

/* The answer to a request for a depth of 5000. */
static int decode_snapshot(struct adapter *a, const char *body, size_t length,
                           struct snapshot_message *out)
{
    struct binance_message msg;
    binance_decode(self_of(a)->json, body, length, &msg);
    if (msg.kind != BINANCE_SNAPSHOT)
        return -EBADMSG;
    *out = (struct snapshot_message){.last = (uint64_t)msg.id, .bids = msg.bids, .asks = msg.asks};
    return 0;
}

static const struct snapshot_rule rule = {.path = MEXC_DEPTH_PATH,
                                          .levels = 5000,
                                          .burst = 5,
                                          .every = 250 * TB_NS_PER_MS,
                                          .decode = decode_snapshot};

/* ---- what was subscribed to ---- */

static const struct {
    unsigned channel;
    const char *name; /* to which the symbol is added */
} channels[] = {
    {ADAPTER_TRADES, "spot@public.aggre.deals.v3.api.pb@100ms@"},
    {ADAPTER_QUOTES, "spot@public.aggre.bookTicker.v3.api.pb@100ms@"},
    {ADAPTER_BOOK, "spot@public.aggre.depth.v3.api.pb@100ms@"},
};

static int name_subscription(const struct adapter_market *m, unsigned channel, bool aggregated,
                             char *out, size_t capacity)
{
    size_t k = 0;
    (void)aggregated; /* the venue has one view of its trades */
    while (channels[k].channel != channel)
        k++;
    return snprintf(out, capacity, "\"%s%s\"", channels[k].name, m->config.raw);
}

static int subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    static const struct adapter_request shape = {"{\"method\":\"SUBSCRIPTION\",\"params\":[",
                                                 SUBSCRIPTIONS_MAX, name_subscription};
    return adapter_request(a, &shape, index, out_text, capacity);
}

static void on_name(struct adapter *a, struct adapter_text name, bool agreed, tb_ns ts_recv)
{
    for (size_t k = 0; k < TB_COUNT(channels); k++) {
        uint32_t length = (uint32_t)strlen(channels[k].name);
        if (name.length <= length || memcmp(name.at, channels[k].name, length) != 0)
            continue;
        struct adapter_text raw = {name.at + length, name.length - length};
        struct adapter_market *m = adapter_market_find(a, raw);
        if (m == NULL)
            return;
        if (!agreed) {
            (void)adapter_refused(a, m, channels[k].channel, ts_recv); /* a host that stops */
            return;
        }
        adapter_answered(m, channels[k].channel);
        a->counter[ADAPTER_ACKS]++;
    }
}

/*
 * "a,b", or "Subscribed successful! [a,b]. Not Subscribed successfully! [c].  Reason: ..." with a colon of
 * full width: names up to "Not Subscribed" are agreed to, those behind it are not.
 */
static void on_answer(struct adapter *a, struct adapter_text text, tb_ns ts_recv)
{
    static const char refusal[] = "Not Subscribed", prefix[] = "spot@";
    if (text.length == 0) /* and perhaps no text at all */
        text.at = "";
    const char *at = text.at, *end = text.at + text.length;
    const char *no = memmem(at, text.length, refusal, sizeof(refusal) - 1);
    if (text.length == 4 && strncasecmp(at, "pong", 4) == 0) {
        a->counter[ADAPTER_PONGS]++;
        return;
    }
    bool any = false;
    while ((at = memmem(at, (size_t)(end - at), prefix, sizeof(prefix) - 1)) != NULL) {
        const char *stop = at;
        while (stop < end && *stop != ',' && *stop != ']' && *stop != ' ')
            stop++;
        on_name(a, (struct adapter_text){at, (uint32_t)(stop - at)}, no == NULL || at < no,
                ts_recv);
        any = true;
        at = stop;
    }
    if (!any && no != NULL)
        (void)adapter_refused(a, NULL, 0, ts_recv); /* as above */
    else if (!any)
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
}

static int on_text(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct binance_message msg;
    binance_decode(self_of(a)->json, bytes, length, &msg);
    if (msg.kind == BINANCE_BAD)
        return adapter_bad(a, NULL);
    if (msg.kind == BINANCE_REFUSED && msg.answer.length > 0) /* it has a `code` */
        on_answer(a, msg.answer, ts_recv);
    else
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
    return 0;
}

/* ---- messages ---- */

/* It does not say whose it was: trades of any market may be missing, which no id would tell. */
static int on_bad(struct adapter *a)
{
    for (size_t i = 0; i < a->market_count; i++)
        if (a->market[i].trade_reason == 0)
            a->market[i].trade_reason = TB_GAP_BAD_FRAME;
    return adapter_bad(a, NULL);
}

/* Which of our channels a message is of; 0: of none. */
static unsigned channel_of(const Mexc__Push *push)
{
    return push->body_case == MEXC__PUSH__BODY_DEALS         ? ADAPTER_TRADES
           : push->body_case == MEXC__PUSH__BODY_BOOK_TICKER ? ADAPTER_QUOTES
           : push->body_case == MEXC__PUSH__BODY_DEPTH ||
                   push->body_case == MEXC__PUSH__BODY_LIMIT_DEPTH
               ? ADAPTER_BOOK
               : 0;
}

static int on_push(struct adapter *a, struct adapter_market *m, const Mexc__Push *push,
                   tb_ns ts_recv)
{
    tb_ns time;
    int rc = time_of_push(push, &time);
    if (rc != 0)
        return rc;
    if (push->body_case == MEXC__PUSH__BODY_DEALS)
        return on_deals(a, m, push->deals, ts_recv);
    if (push->body_case == MEXC__PUSH__BODY_BOOK_TICKER)
        return on_quote(a, m, push->book_ticker, time, ts_recv);
    if (push->body_case == MEXC__PUSH__BODY_DEPTH)
        return on_depth(a, m, push->depth, time, ts_recv);
    return on_limit_depth(a, m, push->limit_depth, time, ts_recv);
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    a->counter[ADAPTER_FRAMES]++;
    if (length > 0 && bytes[0] == '{')
        return on_text(a, bytes, length, ts_recv);
    const Mexc__Push *push = mexc_decode(self_of(a)->decoder, bytes, length);
    if (push == NULL)
        return on_bad(a);
    unsigned channel = channel_of(push);
    if (push->body_case == MEXC__PUSH__BODY_KLINE)
        return 0;
    struct adapter_market *m = adapter_market_find(a, mexc_text(push->symbol));
    if (m == NULL || channel == 0) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (!(a->config.channels & channel))
        return 0;
    adapter_answered(m, channel);
    int rc = on_push(a, m, push, ts_recv);
    return rc == -EBADMSG ? adapter_bad(a, m) : rc;
}

/* ---- connections ---- */

static void on_connect(struct adapter *a, tb_ns ts_recv)
{
    for (size_t i = 0; i < a->market_count; i++)
        own(&a->market[i])->before = own(&a->market[i])->trade_count;
    adapter_connected(a, ts_recv);
    adapter_subscribed(a, 1, SUBSCRIBE_INTERVAL, ts_recv);
}

/* No pings are sent before a handover: what is JSON answers a subscription. */
static bool is_answer(struct adapter *a, const char *bytes, size_t length)
{
    (void)a;
    return length > 0 && bytes[0] == '{';
}

static void on_handover(struct adapter *a, tb_ns ts_recv)
{
    for (size_t i = 0; i < a->market_count; i++)
        own(&a->market[i])->before = own(&a->market[i])->trade_count;
    adapter_handover(a, ts_recv);
    adapter_subscribed(a, 1, SUBSCRIBE_INTERVAL, ts_recv); /* its answer is in what was kept */
}

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/ws";
}

static int ping(struct adapter *a, char *out_text, size_t capacity)
{
    static const char text[] = "{\"method\":\"PING\"}";
    (void)a;
    if (capacity < sizeof(text))
        return -ENOSPC;
    memcpy(out_text, text, sizeof(text));
    return (int)sizeof(text) - 1;
}

/* The newest trades come first, and are the ones that the venue may repeat. */
static bool resume(struct adapter *a, const struct tb_record *record)
{
    for (size_t i = 0; i < a->market_count; i++)
        if (record->type == TB_TRADE && record->trade.trade_id != 0 &&
            own(&a->market[i])->trade_count < TRADES_KEPT &&
            a->market[i].instrument == record->instrument)
            keep(own(&a->market[i]), record->trade.trade_id);
    return adapter_resume(a, record);
}

/* ---- life ---- */

/* A quote of the old exponents can not be compared any more. */
static void refined(struct adapter_market *m)
{
    own(m)->has_quote = false;
}

static bool too_many(const struct adapter_config *config, struct tb_error *err)
{
    size_t each = (size_t)__builtin_popcount(config->channels &
                                             (ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK));
    if (config->recorded || config->market_count * each <= SUBSCRIPTIONS_MAX)
        return false;
    (void)tb_fail(err, -E2BIG,
                  "%zu symbols with %zu channels are %zu subscriptions, and MEXC sends %d a "
                  "connection: split them over more feeds",
                  config->market_count, each, config->market_count * each, SUBSCRIPTIONS_MAX);
    return true;
}

static int begin(struct adapter *a, struct tb_error *err)
{
    struct mexc *self = self_of(a);
    (void)err;
    a->refined = refined;
    self->base.rule = &rule;
    self->decoder = mexc_decoder_create();
    self->json = binance_decoder_create(BINANCE_LIKE_MEXC);
    return self->decoder == NULL || self->json == NULL ? -ENOMEM : 0;
}

static void end(struct adapter *a)
{
    mexc_decoder_destroy(self_of(a)->decoder);
    binance_decoder_destroy(self_of(a)->json);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    const struct adapter_shape shape = {
        .bytes = sizeof(struct mexc),
        .market_bytes = sizeof(struct mexc_market),
        .book_depth = config->book_depth == 0 ? BOOK_DEPTH_DEFAULT : config->book_depth,
        .pending = true,
        .begin = begin,
        .end = end,
    };
    return too_many(config, err) ? NULL : adapter_new(&shape, config, host, err);
}

static const struct adapter_venue venues[] = {
    {"mexc", "wss://wbs-api.mexc.com", "https://api.mexc.com"},
    {NULL, NULL, NULL},
};

const struct adapter_ops mexc_ops = {
    .venues = venues,
    .create = create,
    .destroy = adapter_free,
    .connect_path = connect_path,
    .subscribe = subscribe,
    .subscribe_interval_ns = SUBSCRIBE_INTERVAL,
    .connection_life_ns = 24 * 3600 * TB_NS_PER_S,
    .silence_ns = 40 * TB_NS_PER_S, /* pongs come each 15 s at least */
    .ping_interval_ns = 15 * TB_NS_PER_S,
    .ping = ping,
    .on_time = adapter_deadlines,
    .is_answer = is_answer,
    .on_handover = on_handover,
    .on_connect = on_connect,
    .on_disconnect = snapshot_on_disconnect,
    .on_frame = on_frame,
    .on_rest = snapshot_on_rest,
    .resync = snapshot_resync,
    .resume = resume,
    .resumed = adapter_resumed,
    .counters = adapter_counters,
    .book = adapter_book,
    .listing_path = mexc_listing_path,
    .listing_read = mexc_listing_read,
    .scan = mexc_scan,
};
