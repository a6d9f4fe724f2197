/*
 * Binance spot and USD-M futures: frames to records.
 *
 * Trades: ids rise by one. One that was seen is dropped; a jump is a gap. A "trade" with no price or
 * no quantity, or of an order kind other than MARKET, is none: its id counts, it is not published
 * (counted as unknown).
 * Quotes of spot have no time of the venue (ts_event 0). Their ids have holes by nature: after a
 * reconnect a gap of unknown extent precedes the first.
 * Status records carry no pid: a replay must make the same bytes each time.
 */
#include "producers/adapter/binance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "producers/adapter/binance_state.h"

#define BOOK_DEPTH_DEFAULT 10000
#define STREAMS_PER_REQUEST 100
#define SUBSCRIBE_INTERVAL (250 * TB_NS_PER_MS) /* spot takes 5 messages/s, pongs included */
/* Milliseconds end in the year 5138 here; microseconds began in 1973. */
#define MILLISECONDS_MAX INT64_C(100000000000000)

/* ---- trades ---- */

int binance_time(int64_t sent, tb_ns *out)
{
    tb_ns unit = sent > MILLISECONDS_MAX ? TB_NS_PER_US : TB_NS_PER_MS;
    return __builtin_mul_overflow(sent, unit, out) ? -EBADMSG : 0;
}

/* Orders of another kind than MARKET (an insurance fund's) make no trade. */
static bool is_trade(const struct binance_message *msg)
{
    static const char market[] = "MARKET";
    return msg->order_kind.length == 0 ||
           (msg->order_kind.length == sizeof(market) - 1 &&
            memcmp(msg->order_kind.at, market, sizeof(market) - 1) == 0);
}

static void emit_trade(struct adapter *a, const struct adapter_market *m,
                       const struct binance_message *msg, const int64_t number[2], tb_ns time,
                       tb_ns ts_recv)
{
    int64_t merged = msg->kind == BINANCE_AGG_TRADE ? msg->last - msg->first + 1 : 1;
    const struct tb_trade trade = {
        .price = number[0],
        .size = number[1],
        .trade_id = (uint64_t)msg->id,
        .side = msg->buyer_is_maker ? TB_SELL : TB_BUY,
        .count = merged > UINT16_MAX ? UINT16_MAX : (uint16_t)merged,
    };
    if (is_trade(msg))
        (void)adapter_trade(a, m, &trade, time, ts_recv);
    else
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
}

static int on_trade(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                    tb_ns ts_recv)
{
    uint64_t id = (uint64_t)msg->id;
    const struct adapter_text text[2] = {msg->price, msg->size};
    int64_t number[2];
    tb_ns time;
    if (!(a->config.channels & ADAPTER_TRADES) ||
        a->config.aggregated != (msg->kind == BINANCE_AGG_TRADE))
        return 0; /* the other of the two views of the same trades */
    if (adapter_trade_seen(a, m, id))
        return 0;
    int rc = binance_time(msg->trade_time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    adapter_trade_follows(a, m, id, id, ts_recv);
    emit_trade(a, m, msg, number, time, ts_recv);
    return adapter_flush(a);
}

/* ---- quotes ---- */

static int on_quote(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                    tb_ns ts_recv)
{
    const struct adapter_text text[4] = {msg->bid_price, msg->bid_size, msg->ask_price,
                                         msg->ask_size};
    int64_t number[4];
    tb_ns time;
    if (!(a->config.channels & ADAPTER_QUOTES) ||
        adapter_quote_seen(a, m, (uint64_t)msg->id, ts_recv))
        return 0;
    int rc = binance_time(msg->event_time, &time);
    if (rc == 0)
        rc = adapter_numbers(a, m, text, 4, number, ts_recv);
    if (rc != 0)
        return rc;
    const struct tb_quote *quote = adapter_quote(a, m, number, time, ts_recv);
    binance_see_quote(a, m, (uint64_t)msg->id, quote);
    return adapter_flush(a);
}

/* ---- messages ---- */

/* A whole small book is of the same channel as changes. */
static unsigned channel_of(enum binance_kind kind)
{
    return kind == BINANCE_TRADE || kind == BINANCE_AGG_TRADE ? ADAPTER_TRADES
           : kind == BINANCE_QUOTE                            ? ADAPTER_QUOTES
                                                              : ADAPTER_BOOK;
}

static int on_market_message(struct adapter *a, const struct binance_message *msg, tb_ns ts_recv)
{
    struct adapter_market *m = adapter_market_find(a, msg->symbol);
    int rc = 0;
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    adapter_answered(m, channel_of(msg->kind));
    if (msg->kind == BINANCE_TRADE || msg->kind == BINANCE_AGG_TRADE)
        rc = on_trade(a, m, msg, ts_recv);
    else if (msg->kind == BINANCE_QUOTE)
        rc = on_quote(a, m, msg, ts_recv);
    else if (a->config.channels & ADAPTER_BOOK)
        rc = binance_on_depth(a, m, msg, ts_recv);
    return rc == -EBADMSG ? adapter_bad(a, m) : rc;
}

static int stream_name(const struct adapter_market *m, unsigned channel, bool aggregated, char *out,
                       size_t capacity)
{
    const char *kind = channel == ADAPTER_QUOTES ? "bookTicker"
                       : channel == ADAPTER_BOOK ? "depth@100ms"
                       : aggregated              ? "aggTrade"
                                                 : "trade";
    char raw[TB_SYMBOL_BYTES];
    for (size_t i = 0; i < sizeof(raw); i++) {
        char c = m->config.raw[i];
        raw[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return snprintf(out, capacity, "\"%s@%s\"", raw, kind);
}

static const struct adapter_request subscription_request = {
    "{\"method\":\"SUBSCRIBE\",\"params\":[", STREAMS_PER_REQUEST, stream_name};

static int on_answer(struct adapter *a, const struct binance_message *msg, tb_ns ts_recv)
{
    if (msg->kind == BINANCE_ACK) {
        a->counter[ADAPTER_ACKS]++;
        (void)adapter_agreed(a, &subscription_request, msg->id); /* of none of ours: counted */
        return 0;
    }
    if (adapter_refused_request(a, &subscription_request, msg->id, ts_recv))
        return 0;
    return adapter_refused(a, NULL, 0, ts_recv);
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct binance_message msg;
    a->counter[ADAPTER_FRAMES]++;
    binance_decode(((struct binance *)a)->decoder, bytes, length, &msg);
    switch (msg.kind) {
    case BINANCE_BAD:
        return adapter_bad(a, adapter_market_find(a, msg.symbol));
    case BINANCE_UNKNOWN:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case BINANCE_IGNORED:
        return 0;
    case BINANCE_ACK:
    case BINANCE_REFUSED:
        return on_answer(a, &msg, ts_recv);
    case BINANCE_SHUTDOWN:
        adapter_status(a, NULL, TB_STATUS_MAINTENANCE, 0, ts_recv);
        a->host.reconnect(a->host.context, "the venue announced its shutdown");
        return adapter_flush(a);
    default:
        return on_market_message(a, &msg, ts_recv);
    }
}

/* ---- connections ---- */

static bool is_answer(struct adapter *a, const char *bytes, size_t length)
{
    struct binance_message msg;
    binance_decode(((struct binance *)a)->decoder, bytes, length, &msg);
    return msg.kind == BINANCE_ACK || msg.kind == BINANCE_REFUSED;
}

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/stream"; /* combined: each message says of which stream it is */
}

static int subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    return adapter_request(a, &subscription_request, index, out_text, capacity);
}

static void all_asked(struct adapter *a, tb_ns ts_recv)
{
    char text[ADAPTER_REQUEST_BYTES];
    unsigned messages = 0;
    while (subscribe(a, messages, text, sizeof(text)) > 0)
        messages++;
    adapter_subscribed(a, messages, SUBSCRIBE_INTERVAL, ts_recv);
}

static void on_connect(struct adapter *a, tb_ns ts_recv)
{
    adapter_connected(a, ts_recv);
    all_asked(a, ts_recv);
}

/* The answers of the connection that takes over are among what was kept of it. */
static void on_handover(struct adapter *a, tb_ns ts_recv)
{
    adapter_handover(a, ts_recv);
    all_asked(a, ts_recv);
}

/* ---- life ---- */

/* Quotes of the old exponents can not be compared any more. */
static void refined(struct adapter_market *m)
{
    ((struct binance_market *)m->own)->quote_count = 0;
}

static int begin(struct adapter *a, enum binance_line line)
{
    struct binance *self = (struct binance *)a;
    a->refined = refined;
    self->base.rule = line == BINANCE_SPOT ? &binance_spot_rule : &binance_usdm_rule;
    self->decoder = binance_decoder_create(line);
    return self->decoder == NULL ? -ENOMEM : 0;
}

static int begin_spot(struct adapter *a, struct tb_error *err)
{
    (void)err;
    return begin(a, BINANCE_SPOT);
}

static int begin_usdm(struct adapter *a, struct tb_error *err)
{
    (void)err;
    return begin(a, BINANCE_USDM);
}

static void end(struct adapter *a)
{
    binance_decoder_destroy(((struct binance *)a)->decoder);
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              int (*begin_line)(struct adapter *a, struct tb_error *err),
                              struct tb_error *err)
{
    const struct adapter_shape shape = {
        .bytes = sizeof(struct binance),
        .market_bytes = sizeof(struct binance_market),
        .book_depth = config->book_depth == 0 ? BOOK_DEPTH_DEFAULT : config->book_depth,
        .pending = true,
        .begin = begin_line,
        .end = end,
    };
    return adapter_new(&shape, config, host, err);
}

#define BINANCE_COMMON_OPS                                                                         \
    .destroy = adapter_free, .connect_path = connect_path, .subscribe = subscribe,                 \
    .subscribe_interval_ns = SUBSCRIBE_INTERVAL, .on_time = adapter_deadlines,                     \
    .connection_life_ns = 24 * 3600 * TB_NS_PER_S, .is_answer = is_answer,                         \
    .on_handover = on_handover,                                                                    \
    .silence_ns = 60 * TB_NS_PER_S, /* spot pings every 20 s; else a ping of ours is answered */   \
        .on_connect = on_connect, .on_disconnect = snapshot_on_disconnect, .on_frame = on_frame,   \
    .on_rest = snapshot_on_rest, .resync = snapshot_resync, .resume = adapter_resume,              \
    .resumed = adapter_resumed, .counters = adapter_counters, .book = adapter_book

/* ---- spot ---- */

static struct adapter *create_spot(const struct adapter_config *config,
                                   const struct adapter_host *host, struct tb_error *err)
{
    return create(config, host, begin_spot, err);
}

static const struct adapter_venue spot_venues[] = {
    {"binance", "wss://stream.binance.com:9443", "https://api.binance.com"},
    {"binanceus", "wss://stream.binance.us:9443", "https://api.binance.us"},
    {NULL, NULL, NULL},
};

const struct adapter_ops binance_ops = {
    .venues = spot_venues,
    .create = create_spot,
    .listing_path = binance_listing_path,
    .listing_read = binance_listing_read,
    .scan = binance_scan,
    BINANCE_COMMON_OPS,
};

/* ---- USD-M futures ---- */

static struct adapter *create_usdm(const struct adapter_config *config,
                                   const struct adapter_host *host, struct tb_error *err)
{
    return create(config, host, begin_usdm, err);
}

static const struct adapter_venue usdm_venues[] = {
    {"binanceusdm", "wss://fstream.binance.com", "https://fapi.binance.com"},
    {NULL, NULL, NULL},
};

const struct adapter_ops binance_usdm_ops = {
    .venues = usdm_venues,
    .create = create_usdm,
    .listing_path = binance_usdm_listing_path,
    .listing_read = binance_usdm_listing_read,
    .scan = binance_usdm_scan,
    BINANCE_COMMON_OPS,
};
