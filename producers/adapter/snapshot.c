#include "producers/adapter/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_FIRST (250 * TB_NS_PER_MS)
#define RETRY_DOUBLINGS 7 /* 32 s at most */

static struct snapshot_market *own(const struct adapter_market *m)
{
    return m->own;
}

static const struct snapshot_rule *rule_of(const struct adapter *a)
{
    return ((const struct snapshot_adapter *)a)->rule;
}

/* ---- asking ---- */

static void ask(struct adapter *a, struct adapter_market *m, tb_ns pause_ns, tb_ns now)
{
    struct snapshot_adapter *self = (struct snapshot_adapter *)a;
    const struct snapshot_rule *rule = self->rule;
    char path[64 + TB_SYMBOL_BYTES];
    if (own(m)->requested)
        return;
    tb_ns due = self->due > now ? self->due : now;
    tb_ns wait = due - now - (rule->burst - 1) * rule->every;
    self->due = due + rule->every;
    own(m)->requested = true;
    (void)snprintf(path, sizeof(path), "%s?symbol=%s&limit=%u", rule->path, m->config.raw,
                   rule->levels);
    a->host.get(a->host.context, m->index + 1U, path, wait > pause_ns ? wait : pause_ns);
}

/* The request was in vain; ask again after at least pause_ns. */
static void failed(struct adapter *a, struct adapter_market *m, tb_ns pause_ns, tb_ns ts_recv)
{
    tb_ns backoff = RETRY_FIRST << own(m)->attempts;
    if (own(m)->attempts < RETRY_DOUBLINGS)
        own(m)->attempts++;
    own(m)->requested = false;
    if (!m->sync.synced && m->sync.pending.event_count > 0)
        ask(a, m, backoff > pause_ns ? backoff : pause_ns, ts_recv);
}

/* ---- changes ---- */

static struct adapter_event event_of(const struct snapshot_message *msg, tb_ns ts_recv, int count)
{
    return (struct adapter_event){.first = msg->first,
                                  .last = msg->last,
                                  .ts_event = msg->ts_event,
                                  .ts_recv = ts_recv,
                                  .count = (uint32_t)count};
}

/* The ids are whole and the book is not: something was applied wrongly. Anew. */
static int apply(struct adapter *a, struct adapter_market *m, const struct adapter_event *event,
                 const struct adapter_change *change)
{
    adapter_book_apply(a, m, event, change);
    if (rule_of(a)->applied != NULL)
        rule_of(a)->applied(a, m);
    if (adapter_book_crossed(&m->sync, event->ts_recv)) {
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, 0, 0, TB_GAP_CHECKSUM, event->ts_recv);
        adapter_book_unsync(a, m, event->ts_recv);
    }
    return adapter_flush(a);
}

int snapshot_on_change(struct adapter *a, struct adapter_market *m,
                       const struct snapshot_message *msg, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    own(m)->has_changes = true;
    own(m)->present = true;
    if (s->has_last && msg->last <= s->last) {
        a->counter[ADAPTER_BOOK_STALE]++;
        return 0;
    }
    int rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = event_of(msg, ts_recv, rc);
    if (s->has_last && msg->first > s->last + 1) {
        (void)adapter_gap(a, m, TB_CHANNEL_BOOK, s->last + 1, msg->first - 1, s->reason, ts_recv);
        adapter_book_unsync(a, m, ts_recv);
    }
    s->reason = 0;
    s->has_last = true;
    if (s->synced)
        return apply(a, m, &event, a->scratch);
    s->last = msg->last;
    adapter_pending_keep(a, &s->pending, event);
    ask(a, m, 0, ts_recv);
    return adapter_flush(a);
}

/* ---- joining ---- */

/* Index of the first kept event that is younger than the snapshot; event_count if there is none. */
static uint32_t first_younger(const struct adapter_pending *p, uint64_t id)
{
    uint32_t i = 0;
    while (i < p->event_count && p->event[i].last <= id)
        i++;
    return i;
}

static bool can_join(const struct adapter *a, const struct adapter_market *m, uint64_t id,
                     uint32_t younger)
{
    const struct adapter_sync *s = &m->sync;
    if (younger < s->pending.event_count)
        return s->pending.event[younger].first <= id + 1;
    /*
     * No event is left to join it to. Live, one must have come on this connection: that shows that the
     * stream was there before the snapshot was. A recording has what it has: the next event tells.
     */
    if (s->has_last && s->last > id)
        return false;
    return own(m)->present || a->config.recorded;
}

static int join(struct adapter *a, struct adapter_market *m, const struct snapshot_message *msg,
                tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    uint32_t younger = first_younger(&s->pending, msg->last);
    if (s->synced) {
        own(m)->requested = false;
        return 0;
    }
    if (!can_join(a, m, msg->last, younger)) {
        failed(a, m, 0, ts_recv);
        return 0;
    }
    int rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = event_of(msg, ts_recv, rc);
    adapter_book_fill(a, m, &event, msg->bids.count);
    rc = adapter_book_publish(a, m, msg->ts_event, ts_recv);
    if (rc != 0)
        return rc;
    a->counter[ADAPTER_BOOK_STALE] += younger;
    own(m)->requested = false;
    own(m)->attempts = 0;
    adapter_book_joined(a, m, msg->last, ts_recv);
    rc = adapter_flush(a);
    uint32_t count = s->pending.event_count;
    for (uint32_t i = younger; rc == 0 && s->synced && i < count; i++)
        rc = apply(a, m, &s->pending.event[i], s->pending.change + s->pending.event[i].change);
    adapter_pending_drop(&s->pending);
    return rc;
}

int snapshot_on_partial(struct adapter *a, struct adapter_market *m,
                        const struct snapshot_message *msg, tb_ns ts_recv)
{
    struct adapter_sync *s = &m->sync;
    if (own(m)->has_changes || (s->has_last && msg->last <= s->last))
        return 0;
    int rc = adapter_changes(a, m, &msg->bids, &msg->asks, ts_recv);
    if (rc < 0)
        return rc;
    struct adapter_event event = event_of(msg, ts_recv, rc);
    adapter_book_fill(a, m, &event, msg->bids.count);
    s->has_last = true;
    s->last = msg->last;
    a->counter[ADAPTER_BOOK_EVENTS]++;
    return adapter_book_publish(a, m, msg->ts_event, ts_recv);
}

/* ---- answers ---- */

struct adapter_text snapshot_path_symbol(const char *rule_path, const char *path)
{
    static const char key[] = "symbol=";
    const char *at = path == NULL ? NULL : strstr(path, rule_path);
    if (at == NULL || at[strlen(rule_path)] != '?')
        return (struct adapter_text){"", 0};
    at += strlen(rule_path) + 1;
    while (strncmp(at, key, sizeof(key) - 1) != 0) {
        at = strchr(at, '&');
        if (at == NULL)
            return (struct adapter_text){"", 0};
        at++;
    }
    at += sizeof(key) - 1;
    return (struct adapter_text){at, (uint32_t)strcspn(at, "&#")};
}

/* How long a refused request must rest at least. The venue's rate limit (429, 418) is the host's affair. */
static tb_ns pause_after(int status)
{
    return status == 403 || status == 451 ? 60 * TB_NS_PER_S : 0;
}

int snapshot_on_rest(struct adapter *a, uint32_t request, const char *path, int status,
                     const char *body, size_t length, tb_ns ts_recv)
{
    struct adapter_market *m =
        adapter_rest_market(a, request, path, snapshot_path_symbol(rule_of(a)->path, path));
    struct snapshot_message msg = {0};
    if (m == NULL)
        return 0;
    if (status < 200 || status > 299 || body == NULL) {
        failed(a, m, pause_after(status), ts_recv);
        return 0;
    }
    int rc = rule_of(a)->decode(a, body, length, &msg);
    if (rc == 0)
        rc = join(a, m, &msg, ts_recv);
    if (rc == -EBADMSG) {
        a->counter[ADAPTER_FRAMES_BAD]++;
        failed(a, m, 0, ts_recv);
    }
    return rc;
}

int snapshot_resync(struct adapter *a, const char *symbol, tb_ns ts_recv)
{
    struct adapter_market *m;
    int rc = adapter_resync_begin(a, symbol, ts_recv, &m);
    if (rc == 0)
        ask(a, m, 0, ts_recv);
    return rc;
}

/* An answer that is under way will find nothing to join. */
void snapshot_on_disconnect(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason)
{
    for (size_t i = 0; i < a->market_count; i++) {
        own(&a->market[i])->requested = false;
        own(&a->market[i])->present = false;
        own(&a->market[i])->attempts = 0;
    }
    adapter_disconnected(a, ts_recv, code, reason);
}
