/*
 * Subscriptions: which the venue has not answered, and books that are asked for anew by ending their
 * subscription and making it again.
 */
#include "producers/adapter/market.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HELPED_NS (60 * TB_NS_PER_S) /* a book that was right for so long: asking anew did help */
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
static int request(const struct adapter *a, const struct adapter_request *shape, unsigned index,
                   size_t *i, char *out, size_t capacity)
{
    const struct adapter_market *m;
    char name[TB_SYMBOL_BYTES + 64], tail[32];
    int tail_length = snprintf(tail, sizeof(tail), "],\"id\":%u}", index + 1);
    size_t used = strlen(shape->head), count = 0;
    unsigned channel;
    if (capacity < used + (size_t)tail_length + 1)
        return -ENOSPC;
    memcpy(out, shape->head, used);
    for (; count < shape->most && (channel = adapter_subscription(a, *i, &m)) != 0;
         count++, (*i)++) {
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
        rc = request(a, shape, at, &next, out, capacity);
        if (rc <= 0)
            return rc;
    }
    return rc;
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
