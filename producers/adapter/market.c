#include "producers/adapter/market.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

/* Records that resume looks at beyond those that it needs: repeats, and trades that came out of order. */
#define RESUME_MORE 1024
#define OVERLAP_NS (10 * TB_NS_PER_S) /* what one connection tells later than another, at most */

/* ---- records ---- */

struct tb_record *adapter_record(struct adapter *a, const struct adapter_market *m, uint8_t type,
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

int adapter_flush(struct adapter *a)
{
    size_t count = a->out_count;
    a->out_count = 0;
    return count == 0 ? 0 : a->host.publish(a->host.context, a->out, count);
}

struct tb_record *adapter_gap(struct adapter *a, const struct adapter_market *m,
                              enum tb_channel channel, uint64_t from, uint64_t to, uint32_t reason,
                              tb_ns ts_recv)
{
    struct tb_record *r = adapter_record(a, m, TB_GAP, 0, ts_recv);
    r->gap.from = from;
    r->gap.to = to;
    r->gap.missing = from == 0 ? 0 : to - from + 1;
    r->gap.reason = reason == 0 ? TB_GAP_SEQUENCE : reason;
    r->gap.channel = channel;
    if (channel == TB_CHANNEL_BOOK)
        r->flags |= TB_F_MAYBE_BAD_BOOK;
    a->counter[ADAPTER_GAPS]++;
    a->counter[ADAPTER_MISSING] += r->gap.missing;
    return r;
}

void adapter_status(struct adapter *a, const struct adapter_market *m, enum tb_status_code code,
                    int64_t detail, tb_ns ts_recv)
{
    struct tb_record *r = adapter_record(a, m, TB_STATUS, 0, ts_recv);
    r->status.code = code;
    r->status.detail = detail;
}

/* ---- numbers ---- */

int adapter_number(struct adapter_text text, int8_t *exp, int64_t *out)
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

static int add_instrument(struct adapter *a, const struct adapter_market_config *config)
{
    struct tb_instrument entry = {.price_exp = config->price_exp, .size_exp = config->size_exp};
    memcpy(entry.venue, a->venue, sizeof(entry.venue));
    memcpy(entry.symbol, config->symbol, sizeof(entry.symbol));
    memcpy(entry.raw, config->raw, sizeof(entry.raw));
    memcpy(entry.stream, a->stream, sizeof(entry.stream));
    return a->host.instrument(a->host.context, &entry);
}

int adapter_refine(struct adapter *a, struct adapter_market *m, int8_t price_exp, int8_t size_exp,
                   tb_ns ts_recv)
{
    struct adapter_market_config config = m->config;
    config.price_exp = price_exp;
    config.size_exp = size_exp;
    int rc = adapter_book_rescale(m, price_exp, size_exp);
    if (rc != 0)
        return rc;
    if (a->refined != NULL)
        a->refined(m);
    rc = add_instrument(a, &config);
    if (rc < 0)
        return rc;
    m->config = config;
    m->instrument = (uint16_t)rc;
    a->counter[ADAPTER_REFINED]++;
    if (!m->sync.book.valid)
        return 0;
    rc = adapter_book_publish(a, m, 0, ts_recv);
    return rc != 0 ? rc : adapter_flush(a);
}

int adapter_numbers(struct adapter *a, struct adapter_market *m, const struct adapter_text *text,
                    size_t count, int64_t *out, tb_ns ts_recv)
{
    int8_t price_exp = m->config.price_exp, size_exp = m->config.size_exp;
    for (;;) {
        for (size_t i = 0; i < count; i++)
            if (adapter_number(text[i], i % 2 == 0 ? &price_exp : &size_exp, &out[i]) != 0)
                return -EBADMSG;
        if (price_exp == m->config.price_exp && size_exp == m->config.size_exp)
            return 0;
        int rc = adapter_refine(a, m, price_exp, size_exp, ts_recv);
        if (rc != 0)
            return rc;
    }
}

/* ---- trades and quotes ---- */

bool adapter_trade_id(struct adapter_text text, uint64_t *out)
{
    int64_t number;
    if (tb_decimal_parse(text.at, text.length, 0, &number) == 0 && number >= 0) {
        *out = (uint64_t)number;
        return true;
    }
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (uint32_t i = 0; i < text.length; i++)
        h = (h ^ (unsigned char)text.at[i]) * UINT64_C(1099511628211);
    *out = h;
    return false;
}

static bool is_kept(const struct adapter_trades *t, uint64_t id)
{
    uint64_t kept = t->count < ADAPTER_TRADES_KEPT ? t->count : ADAPTER_TRADES_KEPT;
    for (uint64_t i = 1; i <= kept; i++) /* a repeat is most likely a late one */
        if (t->id[(t->count - i) % ADAPTER_TRADES_KEPT] == id)
            return true;
    return false;
}

static void keep_trade(struct adapter_trades *t, uint64_t id)
{
    uint64_t *place = &t->id[t->count % ADAPTER_TRADES_KEPT];
    if (t->count >= ADAPTER_TRADES_KEPT && *place > t->floor)
        t->floor = *place;
    *place = id;
    t->count++;
}

bool adapter_trade_past(struct adapter *a, const struct adapter_market *m, uint64_t id)
{
    if (!m->has_trade || id > m->last_trade)
        return false;
    a->counter[ADAPTER_TRADES_DUPLICATE]++;
    return true;
}

bool adapter_trade_seen(struct adapter *a, const struct adapter_market *m, uint64_t id)
{
    if (id > m->trades.floor && (id > m->last_trade || !is_kept(&m->trades, id)))
        return false;
    return adapter_trade_past(a, m, id);
}

bool adapter_trade_seen_hash(struct adapter *a, struct adapter_market *m, uint64_t id)
{
    if (!is_kept(&m->trades, id)) {
        keep_trade(&m->trades, id);
        return false;
    }
    a->counter[ADAPTER_TRADES_DUPLICATE]++;
    return true;
}

static void trade_follows(struct adapter_market *m, uint64_t id)
{
    m->trade_reason = 0;
    m->has_trade = true;
    if (id > m->last_trade)
        m->last_trade = id;
    if (id != 0) /* 0: kept already, or it has none */
        keep_trade(&m->trades, id);
}

void adapter_trade_follows(struct adapter *a, struct adapter_market *m, uint64_t first,
                           uint64_t last, tb_ns ts_recv)
{
    if (m->has_trade && last <= m->last_trade) { /* out of order: what comes next tells of jumps */
        keep_trade(&m->trades, last);
        return;
    }
    if (m->has_trade && first > m->last_trade && first - m->last_trade > 1)
        (void)adapter_gap(a, m, TB_CHANNEL_TRADES, m->last_trade + 1, first - 1, m->trade_reason,
                          ts_recv);
    trade_follows(m, last);
}

void adapter_trade_follows_any(struct adapter *a, struct adapter_market *m, uint64_t id,
                               tb_ns ts_recv)
{
    if (m->has_trade && m->trade_reason != 0)
        (void)adapter_gap(a, m, TB_CHANNEL_TRADES, 0, 0, m->trade_reason, ts_recv);
    trade_follows(m, id);
}

bool adapter_trade(struct adapter *a, const struct adapter_market *m, const struct tb_trade *trade,
                   tb_ns ts_event, tb_ns ts_recv)
{
    if (trade->price <= 0 || trade->size <= 0) {
        a->counter[ADAPTER_FRAMES_UNKNOWN]++;
        return false;
    }
    struct tb_record *r = adapter_record(a, m, TB_TRADE, ts_event, ts_recv);
    r->trade = *trade;
    r->trade.action = TB_TRADED;
    a->counter[ADAPTER_TRADES_OUT]++;
    return true;
}

bool adapter_quote_seen(struct adapter *a, struct adapter_market *m, uint64_t ordinal,
                        tb_ns ts_recv)
{
    if (ts_recv < a->overlap_end && m->has_quote && ordinal <= m->last_quote) {
        a->counter[ADAPTER_QUOTES_DUPLICATE]++;
        return true;
    }
    m->last_quote = ordinal;
    return false;
}

struct tb_quote *adapter_quote(struct adapter *a, struct adapter_market *m, const int64_t number[4],
                               tb_ns ts_event, tb_ns ts_recv)
{
    if (m->quote_reason != 0 && m->has_quote)
        (void)adapter_gap(a, m, TB_CHANNEL_QUOTES, 0, 0, m->quote_reason, ts_recv);
    m->quote_reason = 0;
    m->has_quote = true;
    struct tb_record *r = adapter_record(a, m, TB_QUOTE, ts_event, ts_recv);
    r->flags |= TB_F_TOB;
    r->quote.bid_price = number[0];
    r->quote.bid_size = number[1];
    r->quote.ask_price = number[2];
    r->quote.ask_size = number[3];
    a->counter[ADAPTER_QUOTES_OUT]++;
    return &r->quote;
}

/* If it says whose it was, the next jump of ids is known to be its doing. */
int adapter_bad(struct adapter *a, struct adapter_market *m)
{
    a->counter[ADAPTER_FRAMES_BAD]++;
    if (m != NULL) {
        m->trade_reason = m->trade_reason == 0 ? TB_GAP_BAD_FRAME : m->trade_reason;
        m->sync.reason = m->sync.reason == 0 ? TB_GAP_BAD_FRAME : m->sync.reason;
    }
    return -EBADMSG;
}

int adapter_bad_blind(struct adapter *a, struct adapter_market *m, unsigned channel, tb_ns ts_recv)
{
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *each = &a->market[i];
        if (m != NULL && m != each)
            continue;
        each->trade_reason = each->trade_reason == 0 ? TB_GAP_BAD_FRAME : each->trade_reason;
        if (each->sync.synced && (channel == 0 || channel == ADAPTER_BOOK))
            adapter_book_lost(a, each, TB_GAP_BAD_FRAME, ts_recv);
    }
    int rc = adapter_flush(a);
    a->counter[ADAPTER_FRAMES_BAD]++;
    return rc != 0 ? rc : -EBADMSG;
}

/* ---- connections ---- */

void adapter_connected(struct adapter *a, tb_ns ts_recv)
{
    adapter_status(a, NULL, TB_STATUS_CONNECTED, 0, ts_recv);
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_sync *s = &a->market[i].sync;
        if (s->unsynced_to_say)
            adapter_status(a, &a->market[i], TB_STATUS_UNSYNCED, (int64_t)s->last, ts_recv);
        s->unsynced_to_say = false;
    }
    (void)adapter_flush(a); /* a host that is stopping needs no answer */
}

/* Connected, without having been disconnected: no book is lost, no id is missing. */
void adapter_handover(struct adapter *a, tb_ns ts_recv)
{
    a->overlap_end = ts_recv + OVERLAP_NS;
    adapter_status(a, NULL, TB_STATUS_CONNECTED, 0, ts_recv);
    (void)adapter_flush(a); /* as above */
}

void adapter_disconnected(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason)
{
    adapter_status(a, NULL, TB_STATUS_DISCONNECTED, code, ts_recv);
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        m->trade_reason = reason;
        m->quote_reason = reason;
        adapter_book_unsync(a, m, ts_recv);
        m->sync.reason = reason;
        m->sync.asked = false;
        m->sync.asks = 0; /* who connects has a pause of its own */
    }
    adapter_unsubscribed(a);
    (void)adapter_flush(a); /* as above */
}

/* ---- a restart ---- */

static bool learn(struct adapter *a, struct adapter_market *m, const struct tb_record *r)
{
    struct adapter_sync *s = &m->sync;
    uint32_t gap_channel = r->type == TB_GAP && r->gap.to != 0 ? r->gap.channel : 0;
    if (!m->has_trade && (r->type == TB_TRADE || gap_channel == TB_CHANNEL_TRADES)) {
        m->has_trade = true;
        m->last_trade = r->type == TB_TRADE ? r->trade.trade_id : r->gap.to;
    } else if (r->type == TB_TRADE && r->trade.trade_id > m->last_trade)
        m->last_trade = r->trade.trade_id; /* the newest came out of order */
    if (r->type == TB_TRADE && m->trades.count < ADAPTER_TRADES_KEPT)
        keep_trade(&m->trades, r->trade.trade_id);
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

bool adapter_resume(struct adapter *a, const struct tb_record *record)
{
    bool all = true;
    if (record->ts_recv > a->resumed_recv)
        a->resumed_recv = record->ts_recv;
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        static const struct tb_record nothing;
        bool mine = m->instrument == record->instrument;
        all = learn(a, m, mine ? record : &nothing) && all;
    }
    return !all || a->resume_more++ < RESUME_MORE;
}

void adapter_resumed(struct adapter *a)
{
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        m->trade_reason = m->has_trade ? TB_GAP_RESTART : 0;
        m->trades.floor = m->last_trade;
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

static bool same_symbol(const char *raw, struct adapter_text text)
{
    return strncasecmp(raw, text.at, text.length) == 0 && raw[text.length] == '\0';
}

struct adapter_market *adapter_market_find(const struct adapter *a, struct adapter_text raw)
{
    if (raw.length == 0 || raw.length >= TB_SYMBOL_BYTES)
        return NULL;
    uint32_t at = symbol_hash(raw.at, raw.length) % ADAPTER_SYMBOL_SLOTS;
    for (; a->slot[at] != 0; at = (at + 1) % ADAPTER_SYMBOL_SLOTS)
        if (same_symbol(a->market[a->slot[at] - 1].config.raw, raw))
            return &a->market[a->slot[at] - 1];
    return NULL;
}

static int init_book(const struct adapter *a, struct adapter_market *m,
                     const struct adapter_shape *shape)
{
    struct adapter_sync *s = &m->sync;
    if (!(a->config.channels & ADAPTER_BOOK))
        return 0;
    if (tb_book_init(&s->book, shape->book_depth) != 0 ||
        (shape->pending && adapter_pending_init(&s->pending) != 0))
        return -ENOMEM;
    s->book.price_exp = m->config.price_exp;
    s->book.size_exp = m->config.size_exp;
    return 0;
}

static int add_market(struct adapter *a, const struct adapter_shape *shape,
                      const struct adapter_market_config *config, struct tb_error *err)
{
    struct adapter_text raw = {config->raw, (uint32_t)strnlen(config->raw, TB_SYMBOL_BYTES)};
    struct adapter_market *m = &a->market[a->market_count];
    if (raw.length == 0 || raw.length == TB_SYMBOL_BYTES || adapter_market_find(a, raw) != NULL)
        return tb_fail(err, -EINVAL, "symbol %.40s (%.40s) is empty or given twice", config->symbol,
                       config->raw);
    m->config = *config;
    m->index = (uint16_t)a->market_count;
    m->own = (char *)a->own + a->market_count * shape->market_bytes;
    a->market_count++;
    uint32_t at = symbol_hash(raw.at, raw.length) % ADAPTER_SYMBOL_SLOTS;
    while (a->slot[at] != 0)
        at = (at + 1) % ADAPTER_SYMBOL_SLOTS;
    a->slot[at] = (uint16_t)a->market_count;
    if (init_book(a, m, shape) != 0)
        return tb_fail(err, -ENOMEM, "no memory for the order book of %s", config->symbol);
    int rc = add_instrument(a, config);
    if (rc < 0)
        return tb_fail(err, rc, "cannot add %s to the instrument table: %s", config->symbol,
                       strerror(-rc));
    m->instrument = (uint16_t)rc;
    return 0;
}

void adapter_free(struct adapter *a)
{
    if (a == NULL)
        return;
    if (a->end != NULL)
        a->end(a);
    for (size_t i = 0; i < a->market_count; i++) {
        tb_book_fini(&a->market[i].sync.book);
        adapter_pending_fini(&a->market[i].sync.pending);
    }
    free(a->market);
    free(a->own);
    free(a->out);
    free(a->scratch);
    free(a);
}

static bool allocate(struct adapter *a, const struct adapter_shape *shape, size_t markets)
{
    size_t changes = shape->changes == 0 ? ADAPTER_CHANGES_MAX : shape->changes;
    size_t levels = 2 * (size_t)shape->book_depth;
    if (levels < changes)
        levels = changes;
    /* Besides one event: a gap and two states of each market, when a connection ends. */
    size_t out_bytes = (levels + 2 * markets + 16) * sizeof(*a->out);
    size_t scratch_bytes = changes * sizeof(*a->scratch);
    a->out = malloc(out_bytes);
    a->scratch = malloc(scratch_bytes);
    if (a->out == NULL || a->scratch == NULL)
        return false;
    memset(a->out, 0, out_bytes); /* touched now: the first large event must not wait for pages */
    memset(a->scratch, 0, scratch_bytes);
    a->market = calloc(markets + 1, sizeof(*a->market));
    a->own = calloc(markets + 1, shape->market_bytes + 1);
    return a->market != NULL && a->own != NULL;
}

struct adapter *adapter_new(const struct adapter_shape *shape, const struct adapter_config *config,
                            const struct adapter_host *host, struct tb_error *err)
{
    int rc = 0;
    if (config->market_count > ADAPTER_MARKETS_MAX) {
        (void)tb_fail(err, -E2BIG, "%zu symbols: one feed takes at most %d", config->market_count,
                      ADAPTER_MARKETS_MAX);
        return NULL;
    }
    struct adapter *a = calloc(1, shape->bytes);
    if (a != NULL) {
        a->config = *config;
        a->host = *host;
        (void)snprintf(a->venue, sizeof(a->venue), "%s", config->venue);
        (void)snprintf(a->stream, sizeof(a->stream), "%s", config->stream);
    }
    if (a == NULL || !allocate(a, shape, config->market_count))
        rc = tb_fail(err, -ENOMEM, "no memory for the adapter of %s", config->venue);
    for (size_t i = 0; rc == 0 && i < config->market_count; i++)
        rc = add_market(a, shape, &config->market[i], err);
    if (rc == 0) {
        a->end = shape->end;
        rc = shape->begin(a, err);
        if (rc == -ENOMEM)
            (void)tb_fail(err, rc, "no memory for the decoder of %s", config->venue);
    }
    if (rc == 0)
        return a;
    adapter_free(a);
    return NULL;
}

struct adapter_market *adapter_rest_market(struct adapter *a, uint32_t request, const char *path,
                                           struct adapter_text raw)
{
    struct adapter_market *m = NULL;
    if (path != NULL)
        m = adapter_market_find(a, raw);
    else if (request >= 1 && request <= a->market_count)
        m = &a->market[request - 1];
    if (m != NULL && (a->config.channels & ADAPTER_BOOK))
        return m;
    a->counter[ADAPTER_FRAMES_UNKNOWN]++;
    return NULL;
}

int adapter_nothing_asked(struct adapter *a, uint32_t request, const char *path, int status,
                          const char *body, size_t length, tb_ns ts_recv)
{
    (void)request, (void)path, (void)status, (void)body, (void)length, (void)ts_recv;
    a->counter[ADAPTER_FRAMES_UNKNOWN]++;
    return 0;
}

const uint64_t *adapter_counters(const struct adapter *a)
{
    return a->counter;
}

const struct tb_book *adapter_book(const struct adapter *a, const char *symbol)
{
    for (size_t i = 0; i < a->market_count; i++)
        if (strcmp(a->market[i].config.symbol, symbol) == 0)
            return &a->market[i].sync.book;
    return NULL;
}
