/*
 * Subscriptions: which the venue has not answered, and books that are asked for anew by ending their
 * subscription and making it again.
 */
#include "producers/adapter/market.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HELPED_NS (60 * TB_NS_PER_S) /* asked so long ago: it did help, of quiet markets too */
#define PAUSE_FIRST                                                                                \
    (500 * TB_NS_PER_MS) /* after the second request in a row, doubled by each next */
#define ASKS_MAX 7       /* 32 s at most */

unsigned adapter_subscription(const struct adapter *a, size_t i,
                              const struct adapter_market **out_market)
{
    unsigned wanted = a->config.channels & (ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK);
    size_t count = (size_t)__builtin_popcount(wanted);
    if (count == 0 || i >= a->market_count * count)
        return 0;
    *out_market = &a->market[i / count];
    for (size_t k = i % count; k > 0; k--)
        wanted &= wanted - 1;
    return wanted & -wanted;
}

/* Put as many as fit, from the *i-th on, into one request. */
static int request(const struct adapter *a, const struct adapter_request *shape, int64_t id,
                   size_t most, size_t *i, char *out, size_t capacity)
{
    const struct adapter_market *m;
    char name[TB_SYMBOL_BYTES + 64], tail[32];
    int tail_length = snprintf(tail, sizeof(tail), "],\"id\":%" PRId64 "}", id);
    size_t used = strlen(shape->head), count = 0;
    unsigned channel;
    if (capacity < used + (size_t)tail_length + 1)
        return -ENOSPC;
    memcpy(out, shape->head, used);
    for (; count < most && (channel = adapter_subscription(a, *i, &m)) != 0; count++, (*i)++) {
        int length = shape->name(m, channel, a->config.aggregated, name, sizeof(name));
        if (used + (size_t)length + (size_t)tail_length + 2 > capacity)
            break;
        if (count > 0)
            out[used++] = ',';
        memcpy(out + used, name, (size_t)length);
        used += (size_t)length;
    }
    if (count == 0)
        return adapter_subscription(a, *i, &m) == 0 ? 0 : -ENOSPC;
    memcpy(out + used, tail, (size_t)tail_length + 1);
    return (int)used + tail_length;
}

int adapter_request(const struct adapter *a, const struct adapter_request *shape, unsigned index,
                    char *out, size_t capacity)
{
    size_t next = 0;
    int rc = 0;
    for (unsigned at = 0; at <= index; at++) {
        rc = request(a, shape, (int64_t)at + 1, shape->most, &next, out, capacity);
        if (rc <= 0)
            return rc;
    }
    return rc;
}

/* The symbols from *next on, as many as fit. 0: none is left. */
static int symbols_request(const struct adapter *a, const struct adapter_symbols_shape *shape,
                           unsigned channel, size_t *next, char *out, size_t capacity)
{
    char tail[32];
    size_t first = *next;
    if (first == a->market_count)
        return 0;
    int length = shape->open(a, channel, out, capacity);
    int tail_length = shape->close(channel, tail, sizeof(tail));
    size_t used = (size_t)length;
    for (; length >= 0 && *next < a->market_count; (*next)++) {
        const char *raw = a->market[*next].config.raw;
        if (used + strlen(raw) + (size_t)tail_length + 4 > capacity) /* comma, quotes, NUL */
            break;
        used += (size_t)snprintf(out + used, capacity - used, "%s\"%s\"", *next > first ? "," : "",
                                 raw);
    }
    if (*next == first)
        return -ENOSPC;
    memcpy(out + used, tail, (size_t)tail_length + 1);
    return (int)used + tail_length;
}

int adapter_symbols_request(const struct adapter *a, const struct adapter_symbols_shape *shape,
                            unsigned index, char *out, size_t capacity)
{
    static const unsigned channels[] = {ADAPTER_TRADES, ADAPTER_QUOTES, ADAPTER_BOOK};
    unsigned at = 0;
    for (size_t i = 0; i < TB_COUNT(channels); i++) {
        size_t next = 0;
        if (!(a->config.channels & channels[i]))
            continue;
        for (;; at++) {
            int rc = symbols_request(a, shape, channels[i], &next, out, capacity);
            if (rc < 0 || (rc > 0 && at == index))
                return rc;
            if (rc == 0)
                break;
        }
    }
    return 0;
}

/* ---- what was said to a request ---- */

/* Later requests are of some subscriptions in a row, which their id tells; the first have ids below. */
#define PART_SHIFT 16
#define PART_COUNT ((1 << PART_SHIFT) - 1)

static int64_t part_id(size_t first, size_t count)
{
    return (int64_t)((first + 1) << PART_SHIFT | count);
}

/* Which subscriptions a request was of. False: none of ours. */
static bool request_range(const struct adapter *a, const struct adapter_request *shape, int64_t id,
                          size_t *first, size_t *end)
{
    char text[ADAPTER_REQUEST_BYTES];
    const struct adapter_market *m;
    if (id > PART_COUNT) {
        *first = (size_t)(id >> PART_SHIFT) - 1;
        *end = *first + (size_t)(id & PART_COUNT);
    } else {
        size_t next = *first = *end = 0;
        for (int64_t at = 1; at <= id; at++, *end = next) {
            *first = next;
            if (request(a, shape, at, shape->most, &next, text, sizeof(text)) <= 0)
                return false;
        }
    }
    return *end > *first && adapter_subscription(a, *end - 1, &m) != 0;
}

bool adapter_agreed(struct adapter *a, const struct adapter_request *shape, int64_t id)
{
    size_t first, end;
    if (!request_range(a, shape, id, &first, &end))
        return false;
    for (; first < end; first++) {
        const struct adapter_market *m;
        unsigned channel = adapter_subscription(a, first, &m);
        adapter_answered(&a->market[m->index], channel);
    }
    return true;
}

static void ask_part(struct adapter *a, const struct adapter_request *shape, size_t first,
                     size_t count, tb_ns ts_recv)
{
    char text[ADAPTER_REQUEST_BYTES];
    size_t next = first;
    int length = request(a, shape, part_id(first, count), count, &next, text, sizeof(text));
    if (length <= 0 || a->host.send == NULL)
        return;
    for (; first < next; first++) {
        const struct adapter_market *m;
        unsigned channel = adapter_subscription(a, first, &m);
        adapter_subscription_of(&a->market[m->index], channel)->due = ts_recv + ADAPTER_ANSWER_NS;
    }
    a->host.send(a->host.context, text, (size_t)length, 0);
}

bool adapter_refused_request(struct adapter *a, const struct adapter_request *shape, int64_t id,
                             tb_ns ts_recv)
{
    const struct adapter_market *m;
    size_t first, end;
    if (!request_range(a, shape, id, &first, &end))
        return false;
    if (end - first > 1) {
        size_t half = (end - first) / 2;
        ask_part(a, shape, first, half, ts_recv);
        ask_part(a, shape, first + half, end - first - half, ts_recv);
        return true;
    }
    unsigned channel = adapter_subscription(a, first, &m);
    (void)adapter_refused(a, &a->market[m->index], channel, ts_recv); /* a host that stops */
    return true;
}

struct adapter_subscription *adapter_subscription_of(struct adapter_market *m, unsigned channel)
{
    return &m->subscription[__builtin_ctz(channel)];
}

void adapter_unsubscribed(struct adapter *a)
{
    for (size_t i = 0; i < a->market_count; i++)
        memset(a->market[i].subscription, 0, sizeof(a->market[i].subscription));
}

void adapter_subscribed(struct adapter *a, unsigned messages, tb_ns interval_ns, tb_ns ts_recv)
{
    tb_ns asked_at = ts_recv + messages * interval_ns;
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        for (unsigned channel = 1; channel < 1U << ADAPTER_CHANNELS; channel <<= 1)
            if (a->config.channels & channel)
                *adapter_subscription_of(m, channel) =
                    (struct adapter_subscription){ADAPTER_ASKED, 0, asked_at + ADAPTER_ANSWER_NS};
        m->sync.asked = (a->config.channels & ADAPTER_BOOK) != 0;
        m->sync.asked_at = asked_at;
    }
}

void adapter_answered(struct adapter_market *m, unsigned channels)
{
    for (; channels != 0; channels &= channels - 1) {
        struct adapter_subscription *s = adapter_subscription_of(m, channels);
        if (s->state == ADAPTER_ASKED)
            s->state = ADAPTER_AGREED;
    }
}

static uint8_t channel_said(unsigned channel)
{
    return channel == ADAPTER_TRADES   ? TB_CHANNEL_TRADES
           : channel == ADAPTER_QUOTES ? TB_CHANNEL_QUOTES
                                       : TB_CHANNEL_BOOK;
}

int adapter_refused(struct adapter *a, struct adapter_market *m, unsigned channels, tb_ns ts_recv)
{
    a->counter[ADAPTER_REFUSED]++;
    if (m == NULL)
        adapter_status(a, NULL, TB_STATUS_REFUSED, 0, ts_recv);
    for (unsigned channel = 1; m != NULL && channel < 1U << ADAPTER_CHANNELS; channel <<= 1) {
        struct adapter_subscription *s = adapter_subscription_of(m, channel);
        if (!(channels & channel) || s->state != ADAPTER_ASKED)
            continue;
        s->state = ADAPTER_DENIED;
        if (channel == ADAPTER_BOOK)
            m->sync.asked = false; /* nor will its snapshot come */
        adapter_status(a, m, TB_STATUS_REFUSED, channel_said(channel), ts_recv);
    }
    return adapter_flush(a);
}

static bool is_overdue(struct adapter_subscription *s, tb_ns now)
{
    if (s->state != ADAPTER_ASKED)
        return false;
    if (s->due == 0)
        s->due = now + ADAPTER_ANSWER_NS;
    return now > s->due;
}

size_t adapter_overdue(struct adapter *a, tb_ns now)
{
    size_t count = 0;
    for (size_t i = 0; i < a->market_count; i++)
        for (int k = 0; k < ADAPTER_CHANNELS; k++)
            if (is_overdue(&a->market[i].subscription[k], now)) {
                a->market[i].subscription[k].state = ADAPTER_NOT_ASKED;
                count++;
            }
    a->counter[ADAPTER_UNANSWERED] += count;
    return count;
}

void adapter_book_ask(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    char text[ADAPTER_REQUEST_BYTES];
    if (s->asked || a->host.send == NULL || a->book_request == NULL)
        return;
    if (ts_recv - s->asked_at > HELPED_NS)
        s->asks = 0;
    tb_ns pause = s->asks == 0 ? 0 : PAUSE_FIRST << (s->asks - 1);
    if (s->asks < ASKS_MAX)
        s->asks++;
    s->asked = true;
    s->asked_at = ts_recv + pause;
    for (int subscribe = 0; subscribe <= 1; subscribe++) {
        int length = a->book_request(a, m, subscribe, text, sizeof(text));
        if (length > 0)
            a->host.send(a->host.context, text, (size_t)length, pause);
    }
    a->counter[ADAPTER_RESUBSCRIBED]++;
}

void adapter_book_lost(struct adapter *a, struct adapter_market *m, enum tb_gap_reason reason,
                       tb_ns ts_recv)
{
    (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, reason, ts_recv);
    adapter_book_unsync(a, m, ts_recv);
    m->sync.reason = 0; /* said */
    adapter_book_ask(a, m, ts_recv);
}

int adapter_resync_begin(struct adapter *a, const char *symbol, tb_ns ts_recv,
                         struct adapter_market **out_market)
{
    size_t i = 0;
    while (i < a->market_count && strcmp(a->market[i].config.symbol, symbol) != 0)
        i++;
    if (i == a->market_count)
        return -ENOENT;
    if (!(a->config.channels & ADAPTER_BOOK))
        return -ENOTSUP;
    struct adapter_market *m = &a->market[i];
    if (!m->sync.synced)
        return -EALREADY;
    adapter_book_unsync(a, m, ts_recv);
    *out_market = m;
    return adapter_flush(a);
}

int adapter_resync(struct adapter *a, const char *symbol, tb_ns ts_recv)
{
    struct adapter_market *m;
    int rc = adapter_resync_begin(a, symbol, ts_recv, &m);
    if (rc != 0)
        return rc;
    adapter_book_ask(a, m, ts_recv);
    return ADAPTER_RESUBSCRIBES;
}

void adapter_deadlines(struct adapter *a, tb_ns now)
{
    (void)adapter_overdue(a, now); /* counted; what the venue sends all the same is taken */
    adapter_book_deadlines(a, now);
}

void adapter_book_deadlines(struct adapter *a, tb_ns now)
{
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        if (!m->sync.asked || m->sync.synced || now - m->sync.asked_at <= ADAPTER_ANSWER_NS)
            continue;
        m->sync.asked = false;
        adapter_book_ask(a, m, now);
    }
}
