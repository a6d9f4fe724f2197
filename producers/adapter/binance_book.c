/*
 * Books of Binance: snapshot.h has the rule of spot. On USD-M each event names the one before it (pu);
 * the decoder makes pu + 1 the event's first id, and the same rule holds: an event whose pu is the last
 * id follows, a later pu is a gap. Beside that, each book is held against the venue's own quotes.
 */
#include "producers/adapter/binance_state.h"

#include <errno.h>

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
static void check_book(struct adapter *a, struct adapter_market *m)
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

/* ---- messages ---- */

static int read_message(const struct binance_message *msg, struct snapshot_message *out)
{
    out->first = (uint64_t)msg->first;
    out->last = (uint64_t)msg->id;
    out->bids = msg->bids;
    out->asks = msg->asks;
    return binance_time(msg->event_time, &out->ts_event);
}

int binance_on_depth(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                     tb_ns ts_recv)
{
    struct snapshot_message change;
    int rc = read_message(msg, &change);
    if (rc != 0)
        return rc;
    return msg->kind == BINANCE_DEPTH ? snapshot_on_change(a, m, &change, ts_recv)
                                      : snapshot_on_partial(a, m, &change, ts_recv);
}

static int decode(struct adapter *a, const char *body, size_t length, struct snapshot_message *out)
{
    struct binance_message msg;
    binance_decode(((struct binance *)a)->decoder, body, length, &msg);
    return msg.kind == BINANCE_SNAPSHOT ? read_message(&msg, out) : -EBADMSG;
}

/*
 * A snapshot of 1000 levels weighs 50 of 6000 a minute on spot, 20 of 2400 on USD-M. A burst of ten, then
 * one each 600 ms, is below both with room for the listing.
 */
const struct snapshot_rule binance_spot_rule = {.path = "/api/v3/depth",
                                                .levels = 1000,
                                                .burst = 10,
                                                .every = 600 * TB_NS_PER_MS,
                                                .decode = decode,
                                                .applied = check_book};
const struct snapshot_rule binance_usdm_rule = {.path = "/fapi/v1/depth",
                                                .levels = 1000,
                                                .burst = 10,
                                                .every = 600 * TB_NS_PER_MS,
                                                .decode = decode,
                                                .applied = check_book};
