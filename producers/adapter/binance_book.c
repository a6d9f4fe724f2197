/*
 * The order book of one market, by the venue's rule (exchanges.md 2.4):
 *
 *   not synced  events are kept, in order, in a bounded buffer. The first one makes us ask for a
 *               snapshot. Those with u <= lastUpdateId are older than it and dropped; the first one
 *               left must begin at lastUpdateId + 1 or before. If it begins later, the snapshot is too
 *               old: again.
 *   synced      u <= id: seen, dropped. U <= id + 1: applied, id = u. U > id + 1: events are missing:
 *               a gap, the book is given up, the event is the first of the next buffer.
 *
 * `last` is the greatest update id seen in any state, so a jump is noticed while a snapshot is awaited
 * and over reconnects too, and says exactly which ids are missing.
 */
#include "producers/adapter/binance_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * A snapshot of 1000 levels weighs 50 of 6000 a minute. A burst of ten, then one each 600 ms, is
 * below that with room for the listing.
 */
#define SNAPSHOT_LEVELS 1000
#define SNAPSHOT_EVERY (600 * TB_NS_PER_MS)
#define SNAPSHOT_BURST 10
#define RETRY_FIRST (250 * TB_NS_PER_MS)
#define RETRY_DOUBLINGS 7 /* 32 s at most */

static struct binance_market *own(const struct adapter_market *m)
{
    return m->own;
}

/* ---- the self-check ---- */

static void compare(struct adapter *a, const struct adapter_sync *s, const struct tb_quote *quote)
{
    const struct tb_book_level *bid = tb_book_best(&s->book, TB_BUY, 0);
    const struct tb_book_level *ask = tb_book_best(&s->book, TB_SELL, 0);
    bool equal = bid != NULL && ask != NULL && bid->price == quote->bid_price &&
                 bid->size == quote->bid_size && ask->price == quote->ask_price &&
                 ask->size == quote->ask_size;
    a->counter[equal ? ADAPTER_BBO_EQUAL : ADAPTER_BBO_DIFFERENT]++;
}

void binance_see_quote(struct adapter *a, struct adapter_market *m, uint64_t update_id,
                       const struct tb_quote *quote)
{
    struct binance_market *b = own(m);
    if (m->sync.synced && m->sync.last == update_id)
        compare(a, &m->sync, quote);
    b->quote[b->quote_count % BINANCE_QUOTES_KEPT] = (struct binance_seen_quote){update_id, *quote};
    b->quote_count++;
}

/* The book has just come to update id `last`: was there a quote of that very update? */
static void check_book(struct adapter *a, const struct adapter_market *m)
{
    const struct adapter_sync *s = &m->sync;
    const struct binance_market *b = own(m);
    uint32_t kept = b->quote_count < BINANCE_QUOTES_KEPT ? b->quote_count : BINANCE_QUOTES_KEPT;
    for (uint32_t i = 1; i <= kept; i++) {
        const struct binance_seen_quote *q = &b->quote[(b->quote_count - i) % BINANCE_QUOTES_KEPT];
        if (q->update_id == s->last)
            compare(a, s, &q->quote);
        if (q->update_id <= s->last)
            return;
    }
}

/* ---- snapshots: asking ---- */

static void ask_snapshot(struct adapter *a, struct adapter_market *m, tb_ns pause_ns, tb_ns now)
{
    struct binance *self = (struct binance *)a;
    char path[64 + TB_SYMBOL_BYTES];
    if (own(m)->requested)
        return;
    tb_ns due = self->snapshot_due > now ? self->snapshot_due : now;
    tb_ns wait = due - now - (SNAPSHOT_BURST - 1) * SNAPSHOT_EVERY;
    self->snapshot_due = due + SNAPSHOT_EVERY;
    own(m)->requested = true;
    (void)snprintf(path, sizeof(path), "/api/v3/depth?symbol=%s&limit=%d", m->config.raw,
                   SNAPSHOT_LEVELS);
    a->host.get(a->host.context, m->index + 1U, path, wait > pause_ns ? wait : pause_ns);
}

void binance_no_snapshot(struct adapter *a, struct adapter_market *m, tb_ns pause_ns, tb_ns ts_recv)
{
    struct binance_market *b = own(m);
    tb_ns backoff = RETRY_FIRST << b->attempts;
    if (b->attempts < RETRY_DOUBLINGS)
        b->attempts++;
    b->requested = false;
    if (!m->sync.synced && m->sync.pending.event_count > 0)
        ask_snapshot(a, m, backoff > pause_ns ? backoff : pause_ns, ts_recv);
}

/* ---- events ---- */

static struct adapter_event make_event(const struct binance_message *msg, tb_ns ts_event,
                                       tb_ns ts_recv, int count)
{
    return (struct adapter_event){.first = (uint64_t)msg->first,
                                  .last = (uint64_t)msg->id,
                                  .ts_event = ts_event,
                                  .ts_recv = ts_recv,
                                  .count = (uint32_t)count};
}

/* The ids are whole and the book is not: something was applied wrongly. Anew. */
static int apply(struct adapter *a, struct adapter_market *m, const struct adapter_event *event,
                 const struct adapter_change *change)
{
    adapter_book_apply(a, m, event, change);
    check_book(a, m);
    if (adapter_book_crossed(&m->sync, event->ts_recv)) {
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, TB_GAP_CHECKSUM, event->ts_recv);
        adapter_book_unsync(a, m, event->ts_recv);
    }
    return adapter_flush(a);
}

int binance_on_depth(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                     tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    uint64_t first = (uint64_t)msg->first, last = (uint64_t)msg->id;
    tb_ns ts_event;
    own(m)->has_diffs = true;
    if (s->has_last && last <= s->last) {
        a->counter[ADAPTER_BOOK_STALE]++;
        return 0;
    }
    int rc = binance_time(msg->event_time, &ts_event);
    if (rc == 0)
        rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = make_event(msg, ts_event, ts_recv, rc);
    if (s->has_last && first > s->last + 1) {
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, s->last + 1, first - 1, s->reason, ts_recv);
        adapter_book_unsync(a, m, ts_recv);
    }
    s->reason = 0;
    s->has_last = true;
    if (s->synced)
        return apply(a, m, &event, a->scratch);
    s->last = last;
    adapter_pending_keep(a, &s->pending, event);
    ask_snapshot(a, m, 0, ts_recv);
    return adapter_flush(a);
}

/* ---- snapshots: joining ---- */

/* Index of the first kept event that is younger than the snapshot; event_count if there is none. */
static uint32_t first_younger(const struct adapter_pending *p, uint64_t id)
{
    uint32_t i = 0;
    while (i < p->event_count && p->event[i].last <= id)
        i++;
    return i;
}

static bool can_join(const struct adapter *a, const struct adapter_sync *s, uint64_t id,
                     uint32_t younger)
{
    if (younger < s->pending.event_count)
        return s->pending.event[younger].first <= id + 1;
    /*
     * No event is left to join it to. Live, one must have been kept: that shows that the stream was
     * there before the snapshot was. A recording has what it has: the next event tells.
     */
    if (s->has_last && s->last > id)
        return false;
    return s->pending.event_count > 0 || a->config.recorded;
}

int binance_on_snapshot(struct adapter *a, struct adapter_market *m,
                        const struct binance_message *msg, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    uint64_t id = (uint64_t)msg->id;
    uint32_t younger = first_younger(&s->pending, id);
    if (s->synced) {
        own(m)->requested = false;
        return 0;
    }
    if (!can_join(a, s, id, younger)) {
        binance_no_snapshot(a, m, 0, ts_recv);
        return 0;
    }
    int rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = make_event(msg, 0, ts_recv, rc);
    adapter_book_fill(a, m, &event, msg->bids.count);
    rc = adapter_book_publish(a, m, 0, ts_recv);
    if (rc != 0)
        return rc;
    a->counter[ADAPTER_BOOK_STALE] += younger;
    own(m)->requested = false;
    own(m)->attempts = 0;
    adapter_book_joined(a, m, id, ts_recv);
    rc = adapter_flush(a);
    uint32_t count = s->pending.event_count;
    for (uint32_t i = younger; rc == 0 && s->synced && i < count; i++)
        rc = apply(a, m, &s->pending.event[i], s->pending.change + s->pending.event[i].change);
    adapter_pending_drop(&s->pending);
    return rc;
}

/* depth5, depth10, depth20: each is a whole small book. Of use only where no diffs come. */
int binance_on_partial(struct adapter *a, struct adapter_market *m,
                       const struct binance_message *msg, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    if (own(m)->has_diffs || (s->has_last && (uint64_t)msg->id <= s->last))
        return 0;
    int rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = make_event(msg, 0, ts_recv, rc);
    adapter_book_fill(a, m, &event, msg->bids.count);
    s->has_last = true;
    s->last = (uint64_t)msg->id;
    a->counter[ADAPTER_BOOK_EVENTS]++;
    return adapter_book_publish(a, m, 0, ts_recv);
}
