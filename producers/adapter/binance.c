/*
 * Binance spot: frames to records.
 *
 * Trades: ids rise by one. One that was seen is dropped; a jump is a gap. A "trade" with no price or
 * no quantity, or of an order kind other than MARKET, is none: its id counts, it is not published
 * (counted as unknown).
 * Quotes have no time of the venue (ts_event 0) and their ids have holes by nature: after a
 * reconnect a gap of unknown extent precedes the first.
 * Status records carry no pid: a replay must make the same bytes each time.
 */
#include "producers/adapter/binance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/binance_state.h"

#define BOOK_DEPTH_DEFAULT 10000
#define STREAMS_PER_REQUEST 100
/* Milliseconds end in the year 5138 here; microseconds began in 1973. */
#define MILLISECONDS_MAX INT64_C(100000000000000)

static const char *const venues[] = {"binance", "binanceus", NULL};

/* ---- records ---- */

struct tb_record *binance_record(struct adapter *a, const struct binance_market *m, uint8_t type,
                                 tb_ns ts_event, tb_ns ts_recv)
{
    struct tb_record *r = &a->out[a->out_count++];
    memset(r, 0, sizeof(*r));
    r->ts_event = ts_event;
    r->ts_recv = ts_recv;
    r->instrument = m == NULL ? 0 : m->instrument;
    r->type = type;
    r->flags = TB_F_LAST;
    return r;
}

int binance_flush(struct adapter *a)
{
    size_t count = a->out_count;
    a->out_count = 0;
    return count == 0 ? 0 : a->host.publish(a->host.context, a->out, count);
}

void binance_gap(struct adapter *a, const struct binance_market *m, enum tb_channel channel,
                 uint64_t from, uint64_t to, uint32_t reason, tb_ns ts_recv)
{
    struct tb_record *r = binance_record(a, m, TB_GAP, 0, ts_recv);
    r->gap.from = from;
    r->gap.to = to;
    r->gap.missing = from == 0 ? 0 : to - from + 1;
    r->gap.reason = reason == 0 ? TB_GAP_SEQUENCE : reason;
    r->gap.channel = channel;
    if (channel == TB_CHANNEL_BOOK)
        r->flags |= TB_F_MAYBE_BAD_BOOK;
    a->counter[ADAPTER_GAPS]++;
    a->counter[ADAPTER_MISSING] += r->gap.missing;
}

void binance_status(struct adapter *a, const struct binance_market *m, enum tb_status_code code,
                    int64_t detail, tb_ns ts_recv)
{
    struct tb_record *r = binance_record(a, m, TB_STATUS, 0, ts_recv);
    r->status.code = code;
    r->status.detail = detail;
}

/* ---- numbers ---- */

int binance_number(struct binance_text text, int8_t *exp, int64_t *out)
{
    int needed, rc = tb_decimal_parse(text.at, text.length, *exp, out);
    if (rc == 0)
        return *out < 0 ? -EBADMSG : 0;
    if (rc != -EDOM || tb_decimal_exp(text.at, text.length, &needed) != 0)
        return -EBADMSG;
    if (needed < *exp)
        *exp = (int8_t)needed;
    return 0;
}

int binance_time(int64_t sent, tb_ns *out)
{
    tb_ns unit = sent > MILLISECONDS_MAX ? TB_NS_PER_US : TB_NS_PER_MS;
    return __builtin_mul_overflow(sent, unit, out) ? -EBADMSG : 0;
}

static int add_instrument(struct adapter *a, const struct adapter_market_config *config)
{
    struct tb_instrument entry = {.price_exp = config->price_exp, .size_exp = config->size_exp};
    memcpy(entry.venue, a->venue, sizeof(entry.venue));
    memcpy(entry.symbol, config->symbol, sizeof(entry.symbol));
    memcpy(entry.raw, config->raw, sizeof(entry.raw));
    memcpy(entry.stream, a->stream, sizeof(entry.stream));
    return a->host.instrument(a->host.context, &entry);
}

int binance_refine(struct adapter *a, struct binance_market *m, int8_t price_exp, int8_t size_exp,
                   tb_ns ts_recv)
{
    struct adapter_market_config config = m->config;
    config.price_exp = price_exp;
    config.size_exp = size_exp;
    int rc = binance_sync_refine(m, price_exp, size_exp);
    if (rc != 0)
        return rc;
    rc = add_instrument(a, &config);
    if (rc < 0)
        return rc;
    m->config = config;
    m->instrument = (uint16_t)rc;
    a->counter[ADAPTER_REFINED]++;
    if (!m->sync.book.valid)
        return 0;
    rc = binance_publish_book(a, m, 0, ts_recv);
    return rc != 0 ? rc : binance_flush(a);
}

/*
 * Prices and sizes of one message, alternating, to mantissas. Once through if the exponents hold
 * them, again after the instrument was refined if they do not.
 */
static int read_numbers(struct adapter *a, struct binance_market *m,
                        const struct binance_text *text, size_t count, int64_t *out, tb_ns ts_recv)
{
    int8_t price_exp = m->config.price_exp, size_exp = m->config.size_exp;
    for (;;) {
        for (size_t i = 0; i < count; i++)
            if (binance_number(text[i], i % 2 == 0 ? &price_exp : &size_exp, &out[i]) != 0)
                return -EBADMSG;
        if (price_exp == m->config.price_exp && size_exp == m->config.size_exp)
            return 0;
        int rc = binance_refine(a, m, price_exp, size_exp, ts_recv);
        if (rc != 0)
            return rc;
    }
}

/* ---- trades ---- */

static bool is_trade(const struct binance_message *msg, int64_t price, int64_t size)
{
    static const char market[] = "MARKET";
    bool of_market = msg->order_kind.length == 0 ||
                     (msg->order_kind.length == sizeof(market) - 1 &&
                      memcmp(msg->order_kind.at, market, sizeof(market) - 1) == 0);
    return of_market && price > 0 && size > 0;
}

static void emit_trade(struct adapter *a, const struct binance_market *m,
                       const struct binance_message *msg, const int64_t number[2], tb_ns time,
                       tb_ns ts_recv)
{
    struct tb_record *r = binance_record(a, m, TB_TRADE, time, ts_recv);
    int64_t merged = msg->kind == BINANCE_AGG_TRADE ? msg->last - msg->first + 1 : 1;
    r->trade.price = number[0];
    r->trade.size = number[1];
    r->trade.trade_id = (uint64_t)msg->id;
    r->trade.side = msg->buyer_is_maker ? TB_SELL : TB_BUY;
    r->trade.action = TB_TRADED;
    r->trade.count = merged > UINT16_MAX ? UINT16_MAX : (uint16_t)merged;
    a->counter[ADAPTER_TRADES_OUT]++;
}

static int on_trade(struct adapter *a, struct binance_market *m, const struct binance_message *msg,
                    tb_ns ts_recv)
{
    uint64_t id = (uint64_t)msg->id;
    const struct binance_text text[2] = {msg->price, msg->size};
    int64_t number[2];
    tb_ns time;
    if (!(a->config.channels & ADAPTER_TRADES) ||
        a->config.aggregated != (msg->kind == BINANCE_AGG_TRADE))
        return 0; /* the other of the two views of the same trades */
    if (m->has_trade && id <= m->last_trade) {
        a->counter[ADAPTER_TRADES_DUPLICATE]++;
        return 0;
    }
    int rc = binance_time(msg->trade_time, &time);
    if (rc == 0)
        rc = read_numbers(a, m, text, 2, number, ts_recv);
    if (rc != 0)
        return rc;
    if (m->has_trade && id - m->last_trade > 1)
        binance_gap(a, m, TB_CHANNEL_TRADES, m->last_trade + 1, id - 1, m->trade_reason, ts_recv);
    m->trade_reason = 0;
    m->has_trade = true;
    m->last_trade = id;
    if (is_trade(msg, number[0], number[1]))
        emit_trade(a, m, msg, number, time, ts_recv);
    else
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
    return binance_flush(a);
}

/* ---- quotes ---- */

static int on_quote(struct adapter *a, struct binance_market *m, const struct binance_message *msg,
                    tb_ns ts_recv)
{
    const struct binance_text text[4] = {msg->bid_price, msg->bid_size, msg->ask_price,
                                         msg->ask_size};
    int64_t number[4];
    tb_ns time;
    if (!(a->config.channels & ADAPTER_QUOTES))
        return 0;
    int rc = binance_time(msg->event_time, &time);
    if (rc == 0)
        rc = read_numbers(a, m, text, 4, number, ts_recv);
    if (rc != 0)
        return rc;
    if (m->quote_reason != 0 && m->has_quote)
        binance_gap(a, m, TB_CHANNEL_QUOTES, 0, 0, m->quote_reason, ts_recv);
    m->quote_reason = 0;
    m->has_quote = true;
    struct tb_record *r = binance_record(a, m, TB_QUOTE, time, ts_recv);
    r->flags |= TB_F_TOB;
    r->quote.bid_price = number[0];
    r->quote.bid_size = number[1];
    r->quote.ask_price = number[2];
    r->quote.ask_size = number[3];
    a->counter[ADAPTER_QUOTES_OUT]++;
    binance_see_quote(a, m, (uint64_t)msg->id, &r->quote);
    return binance_flush(a);
}

/* ---- messages ---- */

/* A frame could not be read. If it says whose it was, the next jump of ids is known to be its doing. */
static int on_bad(struct adapter *a, struct binance_market *m)
{
    a->counter[ADAPTER_FRAMES_BAD]++;
    if (m != NULL) {
        m->trade_reason = m->trade_reason == 0 ? TB_GAP_BAD_FRAME : m->trade_reason;
        m->sync.reason = m->sync.reason == 0 ? TB_GAP_BAD_FRAME : m->sync.reason;
    }
    return -EBADMSG;
}

static int on_market_message(struct adapter *a, const struct binance_message *msg, tb_ns ts_recv)
{
    struct binance_market *m = binance_find(a, msg->symbol);
    int rc = 0;
    if (m == NULL) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (msg->kind == BINANCE_TRADE || msg->kind == BINANCE_AGG_TRADE)
        rc = on_trade(a, m, msg, ts_recv);
    else if (msg->kind == BINANCE_QUOTE)
        rc = on_quote(a, m, msg, ts_recv);
    else if (!(a->config.channels & ADAPTER_BOOK))
        return 0;
    else if (msg->kind == BINANCE_DEPTH)
        rc = binance_on_depth(a, m, msg, ts_recv);
    else
        rc = binance_on_partial(a, m, msg, ts_recv);
    return rc == -EBADMSG ? on_bad(a, m) : rc;
}

static int on_frame(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct binance_message msg;
    a->counter[ADAPTER_FRAMES]++;
    binance_decode(a->decoder, bytes, length, &msg);
    switch (msg.kind) {
    case BINANCE_BAD:
        return on_bad(a, binance_find(a, msg.symbol));
    case BINANCE_UNKNOWN:
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    case BINANCE_IGNORED:
        return 0;
    case BINANCE_ACK:
        a->counter[ADAPTER_ACKS]++;
        return 0;
    case BINANCE_REFUSED:
        a->counter[ADAPTER_REFUSED]++;
        return 0;
    case BINANCE_SHUTDOWN:
        binance_status(a, NULL, TB_STATUS_MAINTENANCE, 0, ts_recv);
        a->host.reconnect(a->host.context, "the venue announced its shutdown");
        return binance_flush(a);
    default:
        return on_market_message(a, &msg, ts_recv);
    }
}

/* How long a refused request must rest: 429 and 418 are the venue's rate limit and ban. */
static tb_ns pause_after(int status)
{
    return status == 418                    ? 120 * TB_NS_PER_S
           : status == 429                  ? 30 * TB_NS_PER_S
           : status == 403 || status == 451 ? 60 * TB_NS_PER_S
                                            : 0;
}

static int on_rest(struct adapter *a, uint32_t request, const char *path, int status,
                   const char *body, size_t length, tb_ns ts_recv)
{
    struct binance_market *m = NULL;
    struct binance_message msg;
    if (path != NULL)
        m = binance_find(a, binance_path_symbol(path));
    else if (request >= 1 && request <= a->market_count)
        m = &a->market[request - 1];
    if (m == NULL || !(a->config.channels & ADAPTER_BOOK)) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return 0;
    }
    if (status < 200 || status > 299 || body == NULL) {
        binance_no_snapshot(a, m, pause_after(status), ts_recv);
        return 0;
    }
    binance_decode(a->decoder, body, length, &msg);
    int rc = msg.kind == BINANCE_SNAPSHOT ? binance_on_snapshot(a, m, &msg, ts_recv) : -EBADMSG;
    if (rc == -EBADMSG) {
        a->counter[ADAPTER_FRAMES_BAD]++;
        binance_no_snapshot(a, m, 0, ts_recv);
    }
    return rc;
}

/* ---- connections ---- */

static void on_connect(struct adapter *a, tb_ns ts_recv)
{
    binance_status(a, NULL, TB_STATUS_CONNECTED, 0, ts_recv);
    for (size_t i = 0; i < a->market_count; i++) {
        struct binance_sync *s = &a->market[i].sync;
        if (s->unsynced_to_say)
            binance_status(a, &a->market[i], TB_STATUS_UNSYNCED, (int64_t)s->last, ts_recv);
        s->unsynced_to_say = false;
    }
    (void)binance_flush(a); /* a host that is stopping needs no answer */
}

static void on_disconnect(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason)
{
    binance_status(a, NULL, TB_STATUS_DISCONNECTED, code, ts_recv);
    for (size_t i = 0; i < a->market_count; i++) {
        struct binance_market *m = &a->market[i];
        m->trade_reason = reason;
        m->quote_reason = reason;
        binance_lose_book(a, m, reason, ts_recv);
    }
    (void)binance_flush(a); /* as above */
}

static const char *connect_path(struct adapter *a)
{
    (void)a;
    return "/stream"; /* combined: each message says of which stream it is */
}

/* The i-th stream of all that are wanted: market by market, channel by channel. 0: no more. */
static int stream_name(const struct adapter *a, size_t i, char *out, size_t capacity)
{
    static const struct {
        unsigned channel;
        const char *name;
    } kinds[] = {
        {ADAPTER_TRADES, "trade"}, {ADAPTER_QUOTES, "bookTicker"}, {ADAPTER_BOOK, "depth@100ms"}};
    const char *wanted[TB_COUNT(kinds)];
    size_t count = 0;
    for (size_t k = 0; k < TB_COUNT(kinds); k++)
        if (a->config.channels & kinds[k].channel)
            wanted[count++] = kinds[k].channel == ADAPTER_TRADES && a->config.aggregated
                                  ? "aggTrade"
                                  : kinds[k].name;
    if (count == 0 || i >= a->market_count * count)
        return 0;
    char raw[TB_SYMBOL_BYTES];
    const char *from = a->market[i / count].config.raw;
    size_t length = 0;
    for (; from[length] != '\0'; length++)
        raw[length] = (char)(from[length] >= 'A' && from[length] <= 'Z' ? from[length] - 'A' + 'a'
                                                                        : from[length]);
    raw[length] = '\0';
    return snprintf(out, capacity, "\"%s@%s\"", raw, wanted[i % count]);
}

/* Put as many streams as fit, from stream *i on, into one request. */
static int request(const struct adapter *a, unsigned index, size_t *i, char *out, size_t capacity)
{
    static const char head[] = "{\"method\":\"SUBSCRIBE\",\"params\":[";
    char name[TB_SYMBOL_BYTES + 32], tail[32];
    int tail_length = snprintf(tail, sizeof(tail), "],\"id\":%u}", index + 1);
    size_t used = sizeof(head) - 1, count = 0;
    if (capacity < used + (size_t)tail_length + 1)
        return -ENOSPC;
    memcpy(out, head, used);
    for (; count < STREAMS_PER_REQUEST; count++, (*i)++) {
        int length = stream_name(a, *i, name, sizeof(name));
        if (length == 0 || used + (size_t)length + (size_t)tail_length + 2 > capacity)
            break;
        if (count > 0)
            out[used++] = ',';
        memcpy(out + used, name, (size_t)length);
        used += (size_t)length;
    }
    if (count == 0)
        return stream_name(a, *i, name, sizeof(name)) == 0 ? 0 : -ENOSPC;
    memcpy(out + used, tail, (size_t)tail_length + 1);
    return (int)used + tail_length;
}

static int subscribe(struct adapter *a, unsigned index, char *out_text, size_t capacity)
{
    size_t next = 0;
    int rc = 0;
    for (unsigned at = 0; at <= index; at++) {
        rc = request(a, at, &next, out_text, capacity);
        if (rc <= 0)
            return rc;
    }
    return rc;
}

/* ---- a restart ---- */

static bool learn(struct adapter *a, struct binance_market *m, const struct tb_record *r)
{
    struct binance_sync *s = &m->sync;
    uint32_t gap_channel = r->type == TB_GAP && r->gap.to != 0 ? r->gap.channel : 0;
    if (!m->has_trade && (r->type == TB_TRADE || gap_channel == TB_CHANNEL_TRADES)) {
        m->has_trade = true;
        m->last_trade = r->type == TB_TRADE ? r->trade.trade_id : r->gap.to;
    }
    if (!s->has_last &&
        (r->type == TB_LEVEL || r->type == TB_CLEAR || gap_channel == TB_CHANNEL_BOOK)) {
        s->has_last = true;
        s->last = gap_channel != 0 ? r->gap.to : r->level.update_id;
    }
    if (r->type == TB_QUOTE)
        m->has_quote = true;
    return (m->has_trade || !(a->config.channels & ADAPTER_TRADES)) &&
           (m->has_quote || !(a->config.channels & ADAPTER_QUOTES)) &&
           (s->has_last || !(a->config.channels & ADAPTER_BOOK));
}

static bool resume(struct adapter *a, const struct tb_record *record)
{
    bool all = true;
    if (record->ts_recv > a->resumed_recv)
        a->resumed_recv = record->ts_recv;
    for (size_t i = 0; i < a->market_count; i++) {
        struct binance_market *m = &a->market[i];
        static const struct tb_record nothing;
        bool mine = m->instrument == record->instrument;
        all = learn(a, m, mine ? record : &nothing) && all;
    }
    return !all;
}

static void resumed(struct adapter *a)
{
    for (size_t i = 0; i < a->market_count; i++) {
        struct binance_market *m = &a->market[i];
        m->trade_reason = m->has_trade ? TB_GAP_RESTART : 0;
        m->quote_reason = m->has_quote ? TB_GAP_RESTART : 0;
        m->sync.reason = m->sync.has_last ? TB_GAP_RESTART : 0;
        m->sync.unsynced_to_say = m->sync.has_last;
        m->sync.suspect = m->sync.has_last;
    }
}

/* ---- life ---- */

static uint32_t symbol_hash(const char *at, size_t length)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < length; i++) {
        char c = at[i] >= 'a' && at[i] <= 'z' ? (char)(at[i] - 'a' + 'A') : at[i];
        h = (h ^ (unsigned char)c) * 16777619U;
    }
    return h;
}

static bool same_symbol(const char *raw, struct binance_text text)
{
    return strncasecmp(raw, text.at, text.length) == 0 && raw[text.length] == '\0';
}

/* Upper and lower case are one: stream names have the symbol in lower case. */
struct binance_market *binance_find(const struct adapter *a, struct binance_text raw)
{
    if (raw.length == 0 || raw.length >= TB_SYMBOL_BYTES)
        return NULL;
    uint32_t at = symbol_hash(raw.at, raw.length) % BINANCE_SYMBOL_SLOTS;
    for (; a->slot[at] != 0; at = (at + 1) % BINANCE_SYMBOL_SLOTS)
        if (same_symbol(a->market[a->slot[at] - 1].config.raw, raw))
            return &a->market[a->slot[at] - 1];
    return NULL;
}

static int add_market(struct adapter *a, const struct adapter_market_config *config,
                      struct tb_error *err)
{
    struct binance_text raw = {config->raw, (uint32_t)strnlen(config->raw, TB_SYMBOL_BYTES)};
    struct binance_market *m = &a->market[a->market_count];
    if (raw.length == 0 || raw.length == TB_SYMBOL_BYTES || binance_find(a, raw) != NULL)
        return tb_fail(err, -EINVAL, "symbol %.40s (%.40s) is empty or given twice", config->symbol,
                       config->raw);
    m->config = *config;
    m->index = (uint16_t)a->market_count;
    a->market_count++;
    uint32_t at = symbol_hash(raw.at, raw.length) % BINANCE_SYMBOL_SLOTS;
    while (a->slot[at] != 0)
        at = (at + 1) % BINANCE_SYMBOL_SLOTS;
    a->slot[at] = (uint16_t)a->market_count;
    if (binance_sync_init(a, m) != 0)
        return tb_fail(err, -ENOMEM, "no memory for the order book of %s", config->symbol);
    int rc = add_instrument(a, config);
    if (rc < 0)
        return tb_fail(err, rc, "cannot add %s to the instrument table: %s", config->symbol,
                       strerror(-rc));
    m->instrument = (uint16_t)rc;
    return 0;
}

static void destroy(struct adapter *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->market_count; i++)
        binance_sync_fini(&a->market[i]);
    binance_decoder_destroy(a->decoder);
    free(a->market);
    free(a->out);
    free(a->scratch);
    free(a);
}

static bool allocate(struct adapter *a, size_t markets)
{
    size_t levels = 2 * (size_t)a->config.book_depth;
    if (levels < BINANCE_PENDING_CHANGES)
        levels = BINANCE_PENDING_CHANGES;
    /* Besides one event: a gap and two states of each market, when a connection ends. */
    size_t out_bytes = (levels + 2 * markets + 16) * sizeof(*a->out);
    size_t scratch_bytes = BINANCE_PENDING_CHANGES * sizeof(*a->scratch);
    a->out = malloc(out_bytes);
    a->scratch = malloc(scratch_bytes);
    if (a->out == NULL || a->scratch == NULL)
        return false;
    memset(a->out, 0, out_bytes); /* touched now: the first large event must not wait for pages */
    memset(a->scratch, 0, scratch_bytes);
    a->market = calloc(markets == 0 ? 1 : markets, sizeof(*a->market));
    a->decoder = binance_decoder_create();
    return a->market != NULL && a->decoder != NULL;
}

static struct adapter *create(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err)
{
    int rc = 0;
    if (config->market_count > ADAPTER_MARKETS_MAX) {
        (void)tb_fail(err, -E2BIG, "%zu symbols: one feed takes at most %d", config->market_count,
                      ADAPTER_MARKETS_MAX);
        return NULL;
    }
    struct adapter *a = calloc(1, sizeof(*a));
    if (a != NULL) {
        a->config = *config;
        a->host = *host;
        if (a->config.book_depth == 0)
            a->config.book_depth = BOOK_DEPTH_DEFAULT;
        (void)snprintf(a->venue, sizeof(a->venue), "%s", config->venue);
        (void)snprintf(a->stream, sizeof(a->stream), "%s", config->stream);
    }
    if (a == NULL || !allocate(a, config->market_count))
        rc = tb_fail(err, -ENOMEM, "no memory for the adapter of %s", config->venue);
    for (size_t i = 0; rc == 0 && i < config->market_count; i++)
        rc = add_market(a, &config->market[i], err);
    if (rc != 0) {
        destroy(a);
        return NULL;
    }
    return a;
}

static const uint64_t *counters(const struct adapter *a)
{
    return a->counter;
}

static const struct tb_book *book(const struct adapter *a, const char *symbol)
{
    for (size_t i = 0; i < a->market_count; i++)
        if (strcmp(a->market[i].config.symbol, symbol) == 0)
            return &a->market[i].sync.book;
    return NULL;
}

static const char *websocket_url(const char *venue)
{
    return strcmp(venue, "binanceus") == 0 ? "wss://stream.binance.us:9443"
                                           : "wss://stream.binance.com:9443";
}

static const char *rest_url(const char *venue)
{
    return strcmp(venue, "binanceus") == 0 ? "https://api.binance.us" : "https://api.binance.com";
}

const struct adapter_ops binance_ops = {
    .venues = venues,
    .websocket_url = websocket_url,
    .rest_url = rest_url,
    .create = create,
    .destroy = destroy,
    .connect_path = connect_path,
    .subscribe = subscribe,
    .subscribe_interval_ns = 250 * TB_NS_PER_MS, /* the venue takes 5 messages/s, pongs included */
    .connection_life_ns = 23 * 3600 * TB_NS_PER_S, /* the venue cuts at 24 h */
    .silence_ns = 60 * TB_NS_PER_S,                /* it pings every 20 s */
    .on_connect = on_connect,
    .on_disconnect = on_disconnect,
    .on_frame = on_frame,
    .on_rest = on_rest,
    .resume = resume,
    .resumed = resumed,
    .counters = counters,
    .book = book,
    .listing_path = binance_listing_path,
    .listing_read = binance_listing_read,
    .scan = binance_scan,
};
