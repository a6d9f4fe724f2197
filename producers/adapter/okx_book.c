/*
 * The order book of one market, by the venue's rule (exchanges.md 6.4):
 *
 *   snapshot  replaces the book.
 *   update    prevSeqId == last: applied, last = seqId, also where seqId is prevSeqId (nothing changed for
 *             a minute) or smaller (the venue's maintenance). The last one again: dropped. Else a gap: the
 *             book is given up, and its channel unsubscribed and subscribed.
 *
 * Where the subscription is agreed to and an update comes first, the venue sends no snapshot any more: it is
 * asked for by REST, updates are kept, and those with seqId above the snapshot's are applied to it, of which
 * the first must have prevSeqId not above it.
 *
 * Ids are not consecutive: a gap says which ids it covers, and not how many.
 *
 * Recordings from before 2023 have no ids: the checksum alone tells. It is the CRC-32 of the 25 best levels as
 * the venue wrote them; it writes numbers without trailing zeros, which is how ours are written here. Since
 * June 2026 it is 0, and not looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <tickbus/decimal.h>

#include "producers/adapter/okx_state.h"

#define CHECKSUM_LEVELS 25
#define SNAPSHOT_LEVELS 400
#define SNAPSHOT_EVERY (60 * TB_NS_PER_MS) /* 40 in 2 s are allowed */
#define RETRY_FIRST (250 * TB_NS_PER_MS)
#define RETRY_DOUBLINGS 7 /* 32 s at most */

static struct okx *self_of(struct adapter *a)
{
    return (struct okx *)a;
}

static struct okx_market *own(const struct adapter_market *m)
{
    return m->own;
}

/* ---- checksum ---- */

static size_t put_level(const struct tb_book *book, uint8_t side, uint32_t rank, char *out)
{
    const struct tb_book_level *level = tb_book_best(book, side, rank);
    if (level == NULL)
        return 0;
    size_t used = tb_decimal_format(level->price, book->price_exp, out);
    out[used++] = ':';
    used += tb_decimal_format(level->size, book->size_exp, out + used);
    out[used++] = ':';
    return used;
}

/* "bid:size:ask:size:.." by rank; where one side is shorter the other's levels follow each other. */
static int32_t checksum(const struct tb_book *book)
{
    char text[2 * CHECKSUM_LEVELS * (2 * TB_DECIMAL_BYTES + 2)];
    size_t used = 0;
    for (uint32_t rank = 0; rank < CHECKSUM_LEVELS; rank++) {
        used += put_level(book, TB_BUY, rank, text + used);
        used += put_level(book, TB_SELL, rank, text + used);
    }
    if (used > 0)
        used--; /* the last colon */
    return (int32_t)crc32(0, (const unsigned char *)text, (unsigned)used);
}

static bool checksum_agrees(struct adapter *a, const struct adapter_market *m, int64_t theirs)
{
    if (theirs == 0)
        return true;
    bool equal = checksum(&m->sync.book) == theirs;
    a->counter[equal ? ADAPTER_CHECKSUMS_EQUAL : ADAPTER_CHECKSUMS_DIFFERENT]++;
    return equal;
}

/* ---- losing ---- */

/* Ids from..to, both 0 if they do not tell. */
static void gap(struct adapter *a, const struct adapter_market *m, uint64_t from, uint64_t to,
                uint32_t reason, tb_ns ts_recv)
{
    bool known = from != 0 && from <= to;
    struct tb_record *r =
        adapter_gap(a, m, TB_CHANNEL_BOOK, known ? from : 0, known ? to : 0, reason, ts_recv);
    a->counter[ADAPTER_MISSING] -= r->gap.missing;
    r->gap.missing = 0;
}

static int lose_book(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    adapter_book_unsync(a, m, ts_recv);
    m->sync.suspect = true;
    own(m)->agreed = false;
    own(m)->loose = false;
    int rc = adapter_flush(a);
    adapter_book_ask(a, m, ts_recv);
    return rc;
}

static int checksum_lost(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    gap(a, m, 0, 0, TB_GAP_CHECKSUM, ts_recv);
    return lose_book(a, m, ts_recv);
}

int okx_resync(struct adapter *a, const char *symbol, tb_ns ts_recv)
{
    struct adapter_market *m;
    int rc = adapter_resync_begin(a, symbol, ts_recv, &m);
    if (rc == 0)
        rc = lose_book(a, m, ts_recv);
    return rc == 0 ? ADAPTER_RESUBSCRIBES : rc;
}

/* ---- asking by REST ---- */

static void ask_rest(struct adapter *a, struct adapter_market *m, tb_ns pause_ns, tb_ns now)
{
    struct okx *self = self_of(a);
    char path[64 + TB_SYMBOL_BYTES];
    if (own(m)->requested)
        return;
    tb_ns due = self->rest_due > now ? self->rest_due : now;
    self->rest_due = due + SNAPSHOT_EVERY;
    own(m)->requested = true;
    (void)snprintf(path, sizeof(path), "/api/v5/market/books?instId=%s&sz=%d", m->config.raw,
                   SNAPSHOT_LEVELS);
    a->host.get(a->host.context, m->index + 1U, path, due - now > pause_ns ? due - now : pause_ns);
}

void okx_no_rest_book(struct adapter *a, struct adapter_market *m, tb_ns ts_recv)
{
    tb_ns backoff = RETRY_FIRST << own(m)->attempts;
    if (own(m)->attempts < RETRY_DOUBLINGS)
        own(m)->attempts++;
    own(m)->requested = false;
    if (!m->sync.synced && own(m)->agreed)
        ask_rest(a, m, backoff, ts_recv);
}

/* ---- snapshots ---- */

/* What a snapshot after a loss can not tell: the changes that it sums up. */
static void snapshot_gap(struct adapter *a, struct adapter_market *m, uint64_t id, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    if (s->reason != 0 && s->has_last && (id != s->last || id == 0))
        gap(a, m, s->last + 1, id == 0 ? 0 : id - 1, s->reason, ts_recv);
    s->reason = 0;
}

static int join(struct adapter *a, struct adapter_market *m, const struct adapter_event *event,
                const struct okx_item *item)
{
    bool was_synced = m->sync.synced;
    snapshot_gap(a, m, event->last, event->ts_recv);
    adapter_book_fill(a, m, event, item->bids.count);
    if (!checksum_agrees(a, m, item->checksum))
        return checksum_lost(a, m, event->ts_recv);
    int rc = adapter_book_publish(a, m, event->ts_event, event->ts_recv);
    if (rc != 0)
        return rc;
    *own(m) = (struct okx_market){.has_top = own(m)->has_top, .prev = event->first};
    return adapter_book_replaced(a, m, event, was_synced);
}

/* ---- updates ---- */

static int apply(struct adapter *a, struct adapter_market *m, const struct adapter_event *event,
                 const struct adapter_change *change, int64_t their_checksum)
{
    size_t before = a->out_count;
    adapter_book_apply(a, m, event, change);
    own(m)->prev = event->first;
    own(m)->loose = false;
    if (!checksum_agrees(a, m, their_checksum)) {
        a->out_count = before; /* nobody needs what is known to be wrong */
        return checksum_lost(a, m, event->ts_recv);
    }
    if (adapter_book_crossed(&m->sync, event->ts_recv))
        return checksum_lost(a, m, event->ts_recv);
    return adapter_flush(a);
}

static bool follows(const struct adapter_market *m, const struct adapter_event *event)
{
    uint64_t last = m->sync.last;
    return event->first == last || (own(m)->loose && event->first <= last && last < event->last);
}

/* The last one again, or one that a REST snapshot has in it. */
static bool is_old(const struct adapter_market *m, const struct adapter_event *event)
{
    uint64_t last = m->sync.last;
    return own(m)->loose ? event->last <= last
                         : event->last == last && event->first == own(m)->prev;
}

/* Not in sync: kept, in case there will be no snapshot but by REST. */
static int keep(struct adapter *a, struct adapter_market *m, const struct adapter_event *event)
{
    adapter_pending_keep(a, &m->sync.pending, *event);
    if (own(m)->agreed)
        ask_rest(a, m, 0, event->ts_recv);
    return adapter_flush(a);
}

static int on_update(struct adapter *a, struct adapter_market *m, const struct adapter_event *event,
                     const struct okx_item *item)
{
    struct adapter_sync *s = &m->sync;
    if (!s->synced)
        return keep(a, m, event);
    if (item->has_seq && !follows(m, event)) {
        if (is_old(m, event)) {
            a->counter[ADAPTER_BOOK_STALE]++;
            return 0;
        }
        gap(a, m, s->last + 1, event->first, s->reason, event->ts_recv);
        s->reason = 0;
        s->last = event->last;
        return lose_book(a, m, event->ts_recv);
    }
    s->reason = 0;
    return apply(a, m, event, a->scratch, item->checksum);
}

int okx_on_book(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                bool snapshot, tb_ns ts_recv)
{
    struct adapter_event event = {.ts_recv = ts_recv};
    if (item->has_seq && (item->seq < 0 || (!snapshot && item->prev_seq < 0)))
        return -EBADMSG;
    int rc = okx_time(item->time, &event.ts_event);
    if (rc == 0)
        rc = adapter_changes(a, m, &item->bids, &item->asks, ts_recv);
    if (rc < 0)
        return rc;
    event.count = (uint32_t)rc;
    event.last = (uint64_t)item->seq;
    event.first = item->prev_seq < 0 ? 0 : (uint64_t)item->prev_seq;
    return snapshot ? join(a, m, &event, item) : on_update(a, m, &event, item);
}

/* ---- a snapshot by REST ---- */

/* Index of the first kept update that is younger than the snapshot; event_count if there is none. */
static uint32_t first_younger(const struct adapter_pending *p, uint64_t id)
{
    uint32_t i = 0;
    while (i < p->event_count && p->event[i].last <= id)
        i++;
    return i;
}

/* Those kept follow each other, or there is a gap: which is found as it would be without the snapshot. */
static int apply_kept(struct adapter *a, struct adapter_market *m, uint32_t first)
{
    static const struct okx_item no_checksum = {.has_seq = true};
    struct adapter_pending *p = &m->sync.pending;
    uint32_t count = p->event_count;
    int rc = 0;
    for (uint32_t i = first; rc == 0 && m->sync.synced && i < count; i++) {
        memcpy(a->scratch, p->change + p->event[i].change, p->event[i].count * sizeof(*a->scratch));
        rc = on_update(a, m, &p->event[i], &no_checksum);
    }
    adapter_pending_drop(p);
    return rc;
}

int okx_on_rest_book(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                     tb_ns ts_recv)
{
    struct adapter_event event = {.ts_recv = ts_recv, .last = (uint64_t)item->seq};
    const struct adapter_pending *p = &m->sync.pending;
    if (m->sync.synced || (!own(m)->agreed && !a->config.recorded)) {
        own(m)->requested = false;
        return 0; /* the channel's own snapshot came first, or the book was given up since */
    }
    if (!item->has_seq || item->seq < 0)
        return -EBADMSG;
    uint32_t younger = first_younger(p, event.last);
    if (younger < p->event_count && p->event[younger].first > event.last) {
        okx_no_rest_book(a, m, ts_recv); /* too old */
        return 0;
    }
    int rc = okx_time(item->time, &event.ts_event);
    if (rc == 0)
        rc = adapter_changes(a, m, &item->bids, &item->asks, ts_recv);
    if (rc < 0)
        return rc;
    event.count = (uint32_t)rc;
    rc = join(a, m, &event, item);
    own(m)->loose = true;
    a->counter[ADAPTER_BOOK_STALE] += younger;
    return rc == 0 ? apply_kept(a, m, younger) : rc;
}
