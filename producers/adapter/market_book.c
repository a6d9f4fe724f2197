/*
 * Order books as they are published, whatever the venue's rule of continuity.
 *
 * Published is what changed: a removal of a level that is not there (normal: an event nets 100 ms)
 * makes no record, and an event without any change publishes nothing; the next one's update id covers it.
 * A snapshot is published worst level first: each is then appended to a sorted side, ours and the reader's.
 */
#include <errno.h>
#include <string.h>

#include <tickbus/decimal.h>

#include "producers/adapter/market.h"

#define CROSSED_MAX TB_NS_PER_S

/* ---- numbers ---- */

static int read_side(const struct adapter_levels *levels, uint8_t side, int8_t *price_exp,
                     int8_t *size_exp, struct adapter_change *out)
{
    for (uint32_t i = 0; i < levels->count; i++) {
        out[i].side = side;
        if (adapter_number(levels->level[i].price, price_exp, &out[i].price) != 0 ||
            adapter_number(levels->level[i].size, size_exp, &out[i].size) != 0)
            return -EBADMSG;
    }
    return 0;
}

/* Again if the instrument must be refined. */
int adapter_changes(struct adapter *a, struct adapter_market *m, const struct adapter_levels *bids,
                    const struct adapter_levels *asks, tb_ns ts_recv)
{
    int8_t price_exp = m->config.price_exp, size_exp = m->config.size_exp;
    for (;;) {
        if (read_side(bids, TB_BUY, &price_exp, &size_exp, a->scratch) != 0 ||
            read_side(asks, TB_SELL, &price_exp, &size_exp, a->scratch + bids->count))
            return -EBADMSG;
        if (price_exp == m->config.price_exp && size_exp == m->config.size_exp)
            return (int)(bids->count + asks->count);
        int rc = adapter_refine(a, m, price_exp, size_exp, ts_recv);
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

/* First only looked at: it must fit as a whole. */
static int rescale_all(struct adapter_sync *s, const int from[2], const int to[2], bool write)
{
    struct tb_book_side *side[2] = {&s->book.bid, &s->book.ask};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < side[k]->count; i++)
            if (rescale(&side[k]->level[i].price, &side[k]->level[i].size, from, to, write) != 0)
                return -EBADMSG;
    struct adapter_pending *p = &s->pending;
    for (uint32_t i = 0; i < p->change_count; i++)
        if (rescale(&p->change[i].price, &p->change[i].size, from, to, write) != 0)
            return -EBADMSG;
    return 0;
}

int adapter_book_rescale(struct adapter_market *m, int8_t price_exp, int8_t size_exp)
{
    struct adapter_sync *s = &m->sync;
    const int from[2] = {m->config.price_exp, m->config.size_exp};
    const int to[2] = {price_exp, size_exp};
    if (rescale_all(s, from, to, false) != 0)
        return -EBADMSG;
    (void)rescale_all(s, from, to, true); /* fits, as was just seen */
    s->book.price_exp = price_exp;
    s->book.size_exp = size_exp;
    return 0;
}

/* ---- events that wait for a snapshot ---- */

int adapter_pending_init(struct adapter_pending *p)
{
    p->event = calloc(ADAPTER_PENDING_EVENTS, sizeof(*p->event));
    p->change = calloc(ADAPTER_CHANGES_MAX, sizeof(*p->change));
    return p->event == NULL || p->change == NULL ? -ENOMEM : 0;
}

void adapter_pending_fini(struct adapter_pending *p)
{
    free(p->event);
    free(p->change);
}

void adapter_pending_drop(struct adapter_pending *p)
{
    p->event_count = 0;
    p->change_count = 0;
}

void adapter_pending_keep(struct adapter *a, struct adapter_pending *p, struct adapter_event event)
{
    if (p->event_count == ADAPTER_PENDING_EVENTS ||
        p->change_count + event.count > ADAPTER_CHANGES_MAX)
        adapter_pending_drop(p);
    event.change = p->change_count;
    memcpy(p->change + p->change_count, a->scratch, event.count * sizeof(*a->scratch));
    p->change_count += event.count;
    p->event[p->event_count++] = event;
}

/* ---- publishing ---- */

static struct tb_record *emit_level(struct adapter *a, const struct adapter_market *m,
                                    const struct adapter_event *event, uint8_t side, int64_t price,
                                    int64_t size, uint8_t action)
{
    struct tb_record *r = adapter_record(a, m, TB_LEVEL, event->ts_event, event->ts_recv);
    r->flags = TB_F_MBP;
    r->level.price = price;
    r->level.size = size;
    r->level.update_id = event->last;
    r->level.side = side;
    r->level.action = action;
    return r;
}

static void emit_side(struct adapter *a, const struct adapter_market *m,
                      const struct adapter_event *event, uint8_t side,
                      const struct tb_book_side *levels, uint8_t flags)
{
    for (uint32_t i = 0; i < levels->count; i++)
        emit_level(a, m, event, side, levels->level[i].price, levels->level[i].size, TB_ADD)
            ->flags |= flags;
    a->counter[ADAPTER_LEVELS_OUT] += levels->count;
}

int adapter_book_publish(struct adapter *a, struct adapter_market *m, tb_ns ts_event, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    const struct adapter_event event = {
        .last = s->book.update_id, .ts_event = ts_event, .ts_recv = ts_recv};
    uint8_t flags = TB_F_SNAPSHOT;
    if (s->suspect)
        flags |= TB_F_MAYBE_BAD_BOOK;
    int rc = adapter_flush(a); /* what is already there belongs to another event */
    if (rc != 0)
        return rc;
    struct tb_record *r = adapter_record(a, m, TB_CLEAR, ts_event, ts_recv);
    r->flags = flags;
    r->level.update_id = event.last;
    emit_side(a, m, &event, TB_BUY, &s->book.bid, flags);
    emit_side(a, m, &event, TB_SELL, &s->book.ask, flags);
    r = &a->out[a->out_count - 1];
    r->flags = (uint8_t)((r->flags | TB_F_LAST) & ~TB_F_MAYBE_BAD_BOOK);
    s->suspect = false;
    return adapter_flush(a);
}

/*
 * How many of a side's levels are looked at. If they are in order, as venues send them, those behind the
 * book's last would only be pushed out again, each with a move of the whole side.
 */
static uint32_t fill_count(struct tb_book *book, uint8_t side, const struct adapter_change *change,
                           uint32_t count)
{
    uint32_t capacity = side == TB_BUY ? book->bid.capacity : book->ask.capacity;
    if (count <= capacity)
        return count;
    for (uint32_t i = 1; i < count; i++)
        if (change[i].size == 0 || (side == TB_BUY ? change[i].price >= change[i - 1].price
                                                   : change[i].price <= change[i - 1].price))
            return count;
    book->dropped += count - capacity;
    return change[0].size == 0 ? count : capacity;
}

void adapter_book_fill(struct adapter *a, struct adapter_market *m,
                       const struct adapter_event *event, uint32_t bids)
{
    struct tb_book *book = &m->sync.book;
    const struct adapter_change *change = a->scratch;
    tb_book_clear(book);
    for (uint32_t i = fill_count(book, TB_BUY, change, bids); i > 0; i--)
        (void)tb_book_set(book, TB_BUY, change[i - 1].price, change[i - 1].size);
    change += bids;
    for (uint32_t i = fill_count(book, TB_SELL, change, event->count - bids); i > 0; i--)
        (void)tb_book_set(book, TB_SELL, change[i - 1].price, change[i - 1].size);
    book->update_id = event->last;
    book->ts_event = event->ts_event;
    book->ts_recv = event->ts_recv;
    book->valid = true;
}

void adapter_book_joined(struct adapter *a, struct adapter_market *m, uint64_t last, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    a->counter[ADAPTER_SNAPSHOTS]++;
    s->synced = true;
    s->has_last = true;
    s->last = last;
    s->asked = false;
    s->applied = 0;
    adapter_status(a, m, TB_STATUS_SYNCED, (int64_t)last, ts_recv);
}

/* What fell out of the venue's window is removed here too: it says no more of those levels. */
static void cut_side(struct adapter *a, const struct adapter_market *m,
                     const struct adapter_event *event, uint8_t side,
                     const struct tb_book_side *levels)
{
    for (uint32_t i = 0; i + m->sync.window < levels->count; i++)
        (void)emit_level(a, m, event, side, levels->level[i].price, 0, TB_REMOVE);
}

static void cut(struct adapter *a, struct adapter_market *m, const struct adapter_event *event)
{
    if (m->sync.window == 0)
        return;
    cut_side(a, m, event, TB_BUY, &m->sync.book.bid);
    cut_side(a, m, event, TB_SELL, &m->sync.book.ask);
    tb_book_cut(&m->sync.book, m->sync.window);
}

int adapter_book_replaced(struct adapter *a, struct adapter_market *m,
                          const struct adapter_event *event, bool was_synced)
{
    if (was_synced) {
        m->sync.last = event->last;
        a->counter[ADAPTER_SNAPSHOTS]++;
    } else
        adapter_book_joined(a, m, event->last, event->ts_recv);
    return adapter_flush(a);
}

void adapter_book_apply(struct adapter *a, struct adapter_market *m,
                        const struct adapter_event *event, const struct adapter_change *change)
{
    struct tb_book *book = &m->sync.book;
    size_t before = a->out_count;
    for (uint32_t i = 0; i < event->count; i++) {
        uint8_t action = tb_book_set(book, change[i].side, change[i].price, change[i].size);
        if (action != TB_NO_ACTION)
            (void)emit_level(a, m, event, change[i].side, change[i].price, change[i].size, action);
    }
    cut(a, m, event);
    if (a->out_count > before)
        a->out[a->out_count - 1].flags |= TB_F_LAST;
    a->counter[ADAPTER_LEVELS_OUT] += a->out_count - before;
    a->counter[ADAPTER_BOOK_EVENTS]++;
    if (m->sync.applied < ADAPTER_HELPED_CHANGES && ++m->sync.applied == ADAPTER_HELPED_CHANGES)
        m->sync.asks = 0;
    m->sync.last = event->last;
    book->update_id = event->last;
    book->ts_event = event->ts_event;
    book->ts_recv = event->ts_recv;
}

bool adapter_book_crossed(struct adapter_sync *s, tb_ns ts_recv)
{
    if (!tb_book_crossed(&s->book))
        s->crossed_since = 0;
    else if (s->crossed_since == 0)
        s->crossed_since = ts_recv;
    return s->crossed_since != 0 && ts_recv - s->crossed_since > CROSSED_MAX;
}

void adapter_book_unsync(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    if (s->synced) {
        adapter_status(a, m, TB_STATUS_UNSYNCED, (int64_t)s->last, ts_recv);
        a->out[a->out_count - 1].flags |= TB_F_MAYBE_BAD_BOOK;
        a->counter[ADAPTER_RESYNCS]++;
        s->suspect = true;
    }
    s->synced = false;
    s->book.valid = false;
    s->crossed_since = 0;
    adapter_pending_drop(&s->pending);
}
