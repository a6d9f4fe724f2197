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
 *
 * Published is what changed: a removal of a level that is not there (normal: an event nets 100 ms)
 * makes no record, and an event without any change publishes nothing; the next one's update id covers it.
 * A snapshot is published worst level first: each is then appended to a sorted side, ours and the reader's.
 */
#include "producers/adapter/binance_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

/*
 * A snapshot of 1000 levels weighs 50 of 6000 a minute. A burst of ten, then one each 600 ms, is
 * below that with room for the listing.
 */
#define SNAPSHOT_LEVELS 1000
#define SNAPSHOT_EVERY (600 * TB_NS_PER_MS)
#define SNAPSHOT_BURST 10
#define RETRY_FIRST (250 * TB_NS_PER_MS)
#define RETRY_DOUBLINGS 7 /* 32 s at most */
#define CROSSED_MAX TB_NS_PER_S

int binance_sync_init(struct adapter *a, struct binance_market *m)
{
    struct binance_sync *s = &m->sync;
    if (!(a->config.channels & ADAPTER_BOOK))
        return 0;
    s->event = calloc(BINANCE_PENDING_EVENTS, sizeof(*s->event));
    s->change = calloc(BINANCE_PENDING_CHANGES, sizeof(*s->change));
    if (s->event == NULL || s->change == NULL || tb_book_init(&s->book, a->config.book_depth) != 0)
        return -ENOMEM;
    s->book.price_exp = m->config.price_exp;
    s->book.size_exp = m->config.size_exp;
    return 0;
}

void binance_sync_fini(struct binance_market *m)
{
    tb_book_fini(&m->sync.book);
    free(m->sync.event);
    free(m->sync.change);
}

/* ---- numbers ---- */

static int read_side(const struct binance_levels *levels, uint8_t side, int8_t *price_exp,
                     int8_t *size_exp, struct binance_change *out)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        out[i].side = side;
        if (binance_number(levels->level[i].price, price_exp, &out[i].price) != 0 ||
            binance_number(levels->level[i].size, size_exp, &out[i].size) != 0)
            return -EBADMSG;
    }
    return 0;
}

/* All levels of a message into a->scratch, bids first; again if the instrument must be refined. */
static int read_changes(struct adapter *a, struct binance_market *m,
                        const struct binance_message *msg, tb_ns ts_recv)
{
    int8_t price_exp = m->config.price_exp, size_exp = m->config.size_exp;
    for (;;) {
        if (read_side(&msg->bids, TB_BUY, &price_exp, &size_exp, a->scratch) != 0 ||
            read_side(&msg->asks, TB_SELL, &price_exp, &size_exp, a->scratch + msg->bids.count))
            return -EBADMSG;
        if (price_exp == m->config.price_exp && size_exp == m->config.size_exp)
            return (int)(msg->bids.count + msg->asks.count);
        int rc = binance_refine(a, m, price_exp, size_exp, ts_recv);
        if (rc != 0)
            return rc;
    }
}

static int rescale(int64_t *price, int64_t *size, const int from[2], const int to[2], bool write)
{
    int64_t new_price, new_size;
    if (tb_decimal_rescale(*price, from[0], to[0], &new_price) != 0 ||
        tb_decimal_rescale(*size, from[1], to[1], &new_size) != 0)
        return -EBADMSG;
    if (write) {
        *price = new_price;
        *size = new_size;
    }
    return 0;
}

/* Everything that is kept, to finer exponents. First only looked at: it must fit as a whole. */
static int rescale_all(struct binance_sync *s, const int from[2], const int to[2], bool write)
{
    struct tb_book_side *side[2] = {&s->book.bid, &s->book.ask};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < side[k]->count; i++)
            if (rescale(&side[k]->level[i].price, &side[k]->level[i].size, from, to, write) != 0)
                return -EBADMSG;
    for (uint32_t i = 0; i < s->change_count; i++)
        if (rescale(&s->change[i].price, &s->change[i].size, from, to, write) != 0)
            return -EBADMSG;
    return 0;
}

int binance_sync_refine(struct binance_market *m, int8_t price_exp, int8_t size_exp)
{
    struct binance_sync *s = &m->sync;
    const int from[2] = {m->config.price_exp, m->config.size_exp};
    const int to[2] = {price_exp, size_exp};
    if (rescale_all(s, from, to, false) != 0)
        return -EBADMSG;
    (void)rescale_all(s, from, to, true); /* fits, as was just seen */
    s->book.price_exp = price_exp;
    s->book.size_exp = size_exp;
    s->quote_count = 0; /* of the old exponents */
    return 0;
}

/* ---- the self-check ---- */

static void compare(struct adapter *a, const struct binance_sync *s, const struct tb_quote *quote)
{
    const struct tb_book_level *bid = tb_book_best(&s->book, TB_BUY, 0);
    const struct tb_book_level *ask = tb_book_best(&s->book, TB_SELL, 0);
    bool equal = bid != NULL && ask != NULL && bid->price == quote->bid_price &&
                 bid->size == quote->bid_size && ask->price == quote->ask_price &&
                 ask->size == quote->ask_size;
    a->counter[equal ? ADAPTER_BBO_EQUAL : ADAPTER_BBO_DIFFERENT]++;
}

void binance_see_quote(struct adapter *a, struct binance_market *m, uint64_t update_id,
                       const struct tb_quote *quote)
{
    struct binance_sync *s = &m->sync;
    if (s->synced && s->last == update_id)
        compare(a, s, quote);
    s->quote[s->quote_count % BINANCE_QUOTES_KEPT] = (struct binance_seen_quote){update_id, *quote};
    s->quote_count++;
}

/* The book has just come to update id `last`: was there a quote of that very update? */
static void check_book(struct adapter *a, const struct binance_sync *s)
{
    uint32_t kept = s->quote_count < BINANCE_QUOTES_KEPT ? s->quote_count : BINANCE_QUOTES_KEPT;
    for (uint32_t i = 1; i <= kept; i++) {
        const struct binance_seen_quote *q = &s->quote[(s->quote_count - i) % BINANCE_QUOTES_KEPT];
        if (q->update_id == s->last)
            compare(a, s, &q->quote);
        if (q->update_id <= s->last)
            return;
    }
}

/* ---- snapshots: asking ---- */

static void ask_snapshot(struct adapter *a, struct binance_market *m, tb_ns pause_ns, tb_ns now)
{
    struct binance_sync *s = &m->sync;
    char path[64 + TB_SYMBOL_BYTES];
    if (s->requested)
        return;
    tb_ns due = a->snapshot_due > now ? a->snapshot_due : now;
    tb_ns wait = due - now - (SNAPSHOT_BURST - 1) * SNAPSHOT_EVERY;
    a->snapshot_due = due + SNAPSHOT_EVERY;
    s->requested = true;
    (void)snprintf(path, sizeof(path), "/api/v3/depth?symbol=%s&limit=%d", m->config.raw,
                   SNAPSHOT_LEVELS);
    a->host.get(a->host.context, m->index + 1U, path, wait > pause_ns ? wait : pause_ns);
}

void binance_no_snapshot(struct adapter *a, struct binance_market *m, tb_ns pause_ns, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    tb_ns backoff = RETRY_FIRST << s->attempts;
    if (s->attempts < RETRY_DOUBLINGS)
        s->attempts++;
    s->requested = false;
    if (!s->synced && s->event_count > 0)
        ask_snapshot(a, m, backoff > pause_ns ? backoff : pause_ns, ts_recv);
}

/* ---- the buffer ---- */

static void drop_pending(struct binance_sync *s)
{
    s->event_count = 0;
    s->change_count = 0;
}

static struct binance_event make_event(const struct binance_message *msg, tb_ns ts_event,
                                       tb_ns ts_recv, int count)
{
    return (struct binance_event){.first = (uint64_t)msg->first,
                                  .last = (uint64_t)msg->id,
                                  .ts_event = ts_event,
                                  .ts_recv = ts_recv,
                                  .count = (uint32_t)count};
}

/* A full buffer is given up: a snapshot that is younger than the rest will still come. */
static void keep_event(struct adapter *a, struct binance_market *m, struct binance_event event)
{
    struct binance_sync *s = &m->sync;
    if (s->event_count == BINANCE_PENDING_EVENTS ||
        s->change_count + event.count > BINANCE_PENDING_CHANGES)
        drop_pending(s);
    event.change = s->change_count;
    memcpy(s->change + s->change_count, a->scratch, event.count * sizeof(*a->scratch));
    s->change_count += event.count;
    s->event[s->event_count++] = event;
    ask_snapshot(a, m, 0, event.ts_recv);
}

/* ---- losing the book ---- */

static void unsync(struct adapter *a, struct binance_market *m, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    if (s->synced) {
        binance_status(a, m, TB_STATUS_UNSYNCED, (int64_t)s->last, ts_recv);
        a->out[a->out_count - 1].flags |= TB_F_MAYBE_BAD_BOOK;
        a->counter[ADAPTER_RESYNCS]++;
        s->suspect = true;
    }
    s->synced = false;
    s->book.valid = false;
    s->crossed_since = 0;
    drop_pending(s);
}

void binance_lose_book(struct adapter *a, struct binance_market *m, enum tb_gap_reason reason,
                       tb_ns ts_recv)
{
    unsync(a, m, ts_recv);
    m->sync.reason = reason;
    m->sync.requested = false; /* an answer that is under way will find nothing to join */
}

/* ---- publishing ---- */

static struct tb_record *emit_level(struct adapter *a, const struct binance_market *m,
                                    const struct binance_event *event, uint8_t side, int64_t price,
                                    int64_t size, uint8_t action)
{
    struct tb_record *r = binance_record(a, m, TB_LEVEL, event->ts_event, event->ts_recv);
    r->flags = TB_F_MBP;
    r->level.price = price;
    r->level.size = size;
    r->level.update_id = event->last;
    r->level.side = side;
    r->level.action = action;
    return r;
}

static void emit_side(struct adapter *a, const struct binance_market *m,
                      const struct binance_event *event, uint8_t side,
                      const struct tb_book_side *levels, uint8_t flags)
{
    for (uint32_t i = 0; i < levels->count; i++)
        emit_level(a, m, event, side, levels->level[i].price, levels->level[i].size, TB_ADD)
            ->flags |= flags;
    a->counter[ADAPTER_LEVELS_OUT] += levels->count;
}

/* The whole book as one event: a clear and every level. The caller flushes. */
int binance_publish_book(struct adapter *a, struct binance_market *m, tb_ns ts_event, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    const struct binance_event event = {
        .last = s->book.update_id, .ts_event = ts_event, .ts_recv = ts_recv};
    uint8_t flags = TB_F_SNAPSHOT;
    if (s->suspect)
        flags |= TB_F_MAYBE_BAD_BOOK;
    int rc = binance_flush(a); /* what is already there belongs to another event */
    if (rc != 0)
        return rc;
    struct tb_record *r = binance_record(a, m, TB_CLEAR, ts_event, ts_recv);
    r->flags = flags;
    r->level.update_id = event.last;
    emit_side(a, m, &event, TB_BUY, &s->book.bid, flags);
    emit_side(a, m, &event, TB_SELL, &s->book.ask, flags);
    r = &a->out[a->out_count - 1];
    r->flags = (uint8_t)((r->flags | TB_F_LAST) & ~TB_F_MAYBE_BAD_BOOK);
    s->suspect = false;
    return binance_flush(a);
}

static void note_crossed(struct adapter *a, struct binance_market *m, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    if (!tb_book_crossed(&s->book))
        s->crossed_since = 0;
    else if (s->crossed_since == 0)
        s->crossed_since = ts_recv;
    else if (ts_recv - s->crossed_since > CROSSED_MAX) {
        /* The ids are whole and the book is not: something was applied wrongly. Anew. */
        binance_gap(a, m, TB_CHANNEL_BOOK, 0, 0, TB_GAP_CHECKSUM, ts_recv);
        unsync(a, m, ts_recv);
    }
}

/* An event that follows on the book: set the levels, publish what changed. */
static int apply(struct adapter *a, struct binance_market *m, const struct binance_event *event,
                 const struct binance_change *change)
{
    struct binance_sync *s = &m->sync;
    size_t before = a->out_count;
    for (uint32_t i = 0; i < event->count; i++) {
        uint8_t action = tb_book_set(&s->book, change[i].side, change[i].price, change[i].size);
        if (action != TB_NO_ACTION)
            (void)emit_level(a, m, event, change[i].side, change[i].price, change[i].size, action);
    }
    if (a->out_count > before)
        a->out[a->out_count - 1].flags |= TB_F_LAST;
    a->counter[ADAPTER_LEVELS_OUT] += a->out_count - before;
    a->counter[ADAPTER_BOOK_EVENTS]++;
    s->last = event->last;
    s->book.update_id = event->last;
    s->book.ts_event = event->ts_event;
    s->book.ts_recv = event->ts_recv;
    check_book(a, s);
    note_crossed(a, m, event->ts_recv);
    return binance_flush(a);
}

/* ---- events ---- */

int binance_on_depth(struct adapter *a, struct binance_market *m, const struct binance_message *msg,
                     tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    uint64_t first = (uint64_t)msg->first, last = (uint64_t)msg->id;
    tb_ns ts_event;
    s->has_diffs = true;
    if (s->has_last && last <= s->last) {
        a->counter[ADAPTER_BOOK_STALE]++;
        return 0;
    }
    int rc = binance_time(msg->event_time, &ts_event);
    if (rc == 0)
        rc = read_changes(a, m, msg, ts_recv);
    if (rc < 0)
        return rc;
    struct binance_event event = make_event(msg, ts_event, ts_recv, rc);
    if (s->has_last && first > s->last + 1) {
        binance_gap(a, m, TB_CHANNEL_BOOK, s->last + 1, first - 1, s->reason, ts_recv);
        unsync(a, m, ts_recv);
    }
    s->reason = 0;
    s->has_last = true;
    if (s->synced)
        return apply(a, m, &event, a->scratch);
    s->last = last;
    keep_event(a, m, event);
    return binance_flush(a);
}

/* ---- snapshots: joining ---- */

/* The levels of a snapshot make the book; worst first, see above. */
static void fill_book(struct adapter *a, struct binance_sync *s, const struct binance_message *msg,
                      tb_ns ts_recv)
{
    uint32_t bids = msg->bids.count, count = bids + msg->asks.count;
    const struct binance_change *change = a->scratch;
    tb_book_clear(&s->book);
    for (uint32_t i = bids; i > 0; i--)
        (void)tb_book_set(&s->book, TB_BUY, change[i - 1].price, change[i - 1].size);
    for (uint32_t i = count; i > bids; i--)
        (void)tb_book_set(&s->book, TB_SELL, change[i - 1].price, change[i - 1].size);
    s->book.update_id = (uint64_t)msg->id;
    s->book.ts_event = 0;
    s->book.ts_recv = ts_recv;
    s->book.valid = true;
}

/* Index of the first kept event that is younger than the snapshot; event_count if there is none. */
static uint32_t first_younger(const struct binance_sync *s, uint64_t id)
{
    uint32_t i = 0;
    while (i < s->event_count && s->event[i].last <= id)
        i++;
    return i;
}

static bool can_join(const struct adapter *a, const struct binance_sync *s, uint64_t id,
                     uint32_t younger)
{
    if (younger < s->event_count)
        return s->event[younger].first <= id + 1;
    /*
     * No event is left to join it to. Live, one must have been kept: that shows that the stream was
     * there before the snapshot was. A recording has what it has: the next event tells.
     */
    if (s->has_last && s->last > id)
        return false;
    return s->event_count > 0 || a->config.recorded;
}

int binance_on_snapshot(struct adapter *a, struct binance_market *m,
                        const struct binance_message *msg, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    uint64_t id = (uint64_t)msg->id;
    uint32_t younger = first_younger(s, id);
    if (s->synced) {
        s->requested = false;
        return 0;
    }
    if (!can_join(a, s, id, younger)) {
        binance_no_snapshot(a, m, 0, ts_recv);
        return 0;
    }
    int rc = read_changes(a, m, msg, ts_recv);
    if (rc < 0)
        return rc;
    fill_book(a, s, msg, ts_recv);
    rc = binance_publish_book(a, m, 0, ts_recv);
    if (rc != 0)
        return rc;
    a->counter[ADAPTER_SNAPSHOTS]++;
    a->counter[ADAPTER_BOOK_STALE] += younger;
    s->synced = true;
    s->has_last = true;
    s->requested = false;
    s->attempts = 0;
    s->last = id;
    binance_status(a, m, TB_STATUS_SYNCED, msg->id, ts_recv);
    rc = binance_flush(a);
    uint32_t count = s->event_count;
    for (uint32_t i = younger; rc == 0 && s->synced && i < count; i++)
        rc = apply(a, m, &s->event[i], s->change + s->event[i].change);
    drop_pending(s);
    return rc;
}

/* depth5, depth10, depth20: each is a whole small book. Of use only where no diffs come. */
int binance_on_partial(struct adapter *a, struct binance_market *m,
                       const struct binance_message *msg, tb_ns ts_recv)
{
    struct binance_sync *s = &m->sync;
    if (s->has_diffs || (s->has_last && (uint64_t)msg->id <= s->last))
        return 0;
    int rc = read_changes(a, m, msg, ts_recv);
    if (rc < 0)
        return rc;
    fill_book(a, s, msg, ts_recv);
    s->has_last = true;
    s->last = (uint64_t)msg->id;
    a->counter[ADAPTER_BOOK_EVENTS]++;
    return binance_publish_book(a, m, 0, ts_recv);
}
