/* Transactions, cursors, and patience with a database in trouble. See store.h and persist.h. */
#include "consumers/persist/store.h"

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

#define PAUSE_MIN (20 * TB_NS_PER_MS)
#define PAUSE_BUSY_MAX (250 * TB_NS_PER_MS)
#define PAUSE_MAX (2 * TB_NS_PER_S)
/* Another writer that holds the lock for less than this is ordinary. */
#define BUSY_PATIENCE TB_NS_PER_S

void store_init(struct store *s, const struct store_config *config, struct persist *p)
{
    memset(s, 0, sizeof(*s));
    s->config = *config;
    s->persist = p;
}

void store_fini(struct store *s)
{
    if (s->sink != NULL)
        s->config.ops->close(s->sink);
    s->sink = NULL;
}

/* ---- trouble ---- */

/* A call of the sink failed with rc: undo, remember why, and when to try again. */
static int note_failure(struct store *s, int rc, const struct tb_error *why, tb_ns now)
{
    s->report.failures++;
    if (s->sink != NULL)
        s->config.ops->rollback(s->sink);
    tb_ns longest = PAUSE_MAX;
    if (rc == -EBUSY) {
        longest = PAUSE_BUSY_MAX;
        s->report.busy++;
        if (s->busy_since == 0)
            s->busy_since = now;
    } else if (s->sink != NULL) {
        s->config.ops->close(s->sink);
        s->sink = NULL;
    }
    if (rc != -EBUSY || now - s->busy_since >= BUSY_PATIENCE) {
        s->report.trouble = s->report.last = *why;
        s->report.troubles++;
    }
    s->pause = s->pause == 0 ? PAUSE_MIN : s->pause * 2;
    if (s->pause > longest)
        s->pause = longest;
    s->next_try = now + s->pause;
    return rc;
}

static void note_success(struct store *s)
{
    s->report.trouble.text[0] = '\0';
    s->busy_since = 0;
    s->pause = 0;
    s->next_try = 0;
}

int store_open(struct store *s, tb_ns now)
{
    struct tb_error why;
    if (s->sink != NULL)
        return 0;
    if (now < s->next_try)
        return -EAGAIN;
    int rc = s->config.ops->open(&s->config.sink, &s->sink, &why);
    if (rc != 0) {
        s->sink = NULL;
        return note_failure(s, rc, &why, now);
    }
    s->upgraded = false; /* it may be another database */
    s->report.opens++;
    return 0;
}

int store_match(struct store *s, unsigned i, uint64_t epoch, tb_ns now, uint64_t *out_position)
{
    struct tb_error why;
    int rc = store_open(s, now);
    if (rc == 0 && now < s->next_try)
        rc = -EAGAIN;
    if (rc != 0)
        return rc;
    rc = s->config.ops->cursor(s->sink, s->persist->input[i].stream, epoch, out_position, &why);
    if (rc != 0)
        return note_failure(s, rc, &why, now);
    s->epoch[i] = epoch;
    note_success(s);
    return 0;
}

/* ---- one transaction ---- */

struct transaction {
    struct store *store;
    uint64_t had[PERSIST_INPUTS_MAX]; /* position in the database when it began */
    uint64_t has[PERSIST_INPUTS_MAX]; /* and when it is committed */
    uint64_t rows[PERSIST_KINDS];
    struct tb_error why;
};

static int begin(struct transaction *t, struct store *s, tb_ns now)
{
    memset(t, 0, sizeof(*t));
    t->store = s;
    int rc = store_open(s, now);
    if (rc != 0)
        return rc;
    if (now < s->next_try)
        return -EAGAIN;
    rc = s->config.ops->begin(s->sink, &t->why);
    for (unsigned i = 0; rc == 0 && i < s->persist->input_count; i++) {
        if (s->epoch[i] != 0)
            rc = s->config.ops->cursor(s->sink, s->persist->input[i].stream, s->epoch[i],
                                       &t->had[i], &t->why);
        t->has[i] = t->had[i];
    }
    return rc == 0 ? 0 : note_failure(s, rc, &t->why, now);
}

static int put(struct transaction *t, const struct persist_row *row)
{
    struct store *s = t->store;
    const struct persist_input *in = &s->persist->input[row->input];
    const struct persist_market *m = &in->market[row->market];
    struct sink_source source = {in->stream, s->epoch[row->input], m->venue, m->symbol, m->label};
    int rc = s->config.ops->put(s->sink, &source, row, &t->why);
    t->rows[row->kind] += rc == 0;
    return rc;
}

static int end(struct transaction *t, tb_ns now)
{
    struct store *s = t->store;
    struct persist *p = s->persist;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < p->input_count; i++)
        if (t->has[i] > t->had[i])
            rc = s->config.ops->put_cursor(s->sink, p->input[i].stream, s->epoch[i], t->has[i],
                                           &t->why);
    tb_ns before = tb_clock_mono();
    TB_POINT("persist:before_commit");
    if (rc == 0)
        rc = s->config.ops->commit(s->sink, &t->why);
    TB_POINT("persist:after_commit");
    if (rc != 0)
        return note_failure(s, rc, &t->why, now);
    if (s->config.commit_ns != NULL)
        tb_stats_observe(s->config.commit_ns, tb_clock_mono() - before);
    s->report.commits++;
    for (unsigned k = 0; k < PERSIST_KINDS; k++)
        s->report.stored[k] += t->rows[k];
    note_success(s);
    return 0;
}

/* ---- batches ---- */

static int put_batch(struct transaction *t, size_t n)
{
    const struct persist_rows *q = &t->store->persist->rows;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        const struct persist_row *row = persist_row_at(q, k);
        if (row->kind != PERSIST_MARK && row->position > t->had[row->input])
            rc = put(t, row);
        if (row->position > t->has[row->input])
            t->has[row->input] = row->position;
    }
    return rc;
}

int store_flush(struct store *s, tb_ns now)
{
    struct persist_rows *q = &s->persist->rows;
    struct transaction t;
    size_t n = persist_rows_batch(q, s->config.batch_rows);
    if (n == 0)
        return 0;
    int rc = begin(&t, s, now);
    if (rc != 0)
        return rc;
    rc = put_batch(&t, n);
    if (rc != 0)
        return note_failure(s, rc, &t.why, now);
    rc = end(&t, now);
    if (rc != 0)
        return rc;
    persist_rows_drop(q, n);
    s->config.ops->checkpoint(s->sink); /* what was stored is known to be: nobody waits for this */
    return persist_rows_handed(q) > 0 ? 1 : 0;
}

int store_flush_all(struct store *s, tb_ns now)
{
    int rc;
    do
        rc = store_flush(s, now);
    while (rc == 1);
    return rc;
}

/* ---- drain ---- */

static int put_drain(struct transaction *t, unsigned i)
{
    struct persist *p = t->store->persist;
    const struct persist_input *in = &p->input[i];
    uint64_t position = 2 * in->taken + 1;
    /* Still catching up with what the database or the state has: that is another moment's drain. */
    if (!in->attached || in->taken == 0 || in->taken != in->state_seq || t->had[i] >= position)
        return 0;
    /* Asked for a new epoch, and not yet attached to it: the position is one of the former. */
    if (in->epoch != t->store->epoch[i])
        return 0;
    for (uint32_t market = 0; market < in->market_count; market++) {
        size_t n = persist_drain_rows(p, i, market);
        for (size_t k = 0; k < n; k++) {
            int rc = put(t, &p->scratch[k]);
            if (rc != 0)
                return rc;
            t->has[i] = position;
        }
    }
    return 0;
}

int store_drain(struct store *s, tb_ns now)
{
    int rc;
    bool all;
    do {
        all = persist_hand_over(s->persist);
        rc = store_flush_all(s, now);
    } while (rc == 0 && !all);
    if (rc != 0)
        return rc;
    struct transaction t;
    rc = begin(&t, s, now);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; rc == 0 && i < s->persist->input_count; i++)
        rc = put_drain(&t, i);
    if (rc != 0)
        return note_failure(s, rc, &t.why, now);
    rc = end(&t, now);
    for (unsigned i = 0; rc == 0 && i < s->persist->input_count; i++)
        if (t.has[i] == 2 * s->persist->input[i].taken + 1)
            persist_drained(s->persist, i);
    return rc;
}

void store_upgrade(struct store *s, tb_ns now)
{
    struct tb_error why;
    if (s->sink == NULL || s->upgraded || now < s->next_try ||
        persist_rows_handed(&s->persist->rows) > 0)
        return;
    int64_t left = s->config.ops->upgrade(s->sink, &why);
    if (left < 0) {
        (void)note_failure(s, (int)left, &why, now);
        return;
    }
    note_success(s);
    s->report.upgrade_left = left;
    s->upgraded = left == 0;
    s->config.ops->checkpoint(s->sink);
}

void store_tend(struct store *s)
{
    if (s->sink != NULL)
        s->report.log_bytes = s->config.ops->tend(s->sink);
}
