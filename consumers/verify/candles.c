/* Candles made again from trades, beside those that were recorded. */
#include "consumers/verify/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>

#define MARKETS_MAX 4096
#define QUEUE_MAX 2048 /* candles of one market and timeframe that wait for the other side */

/* A candle that waits; with the exponents that it is in. */
struct waiting {
    struct tb_candle candle;
    int8_t price_exp, size_exp;
    bool certain;
};

struct queue {
    struct waiting *at;
    size_t first, count, room;
};

struct timeframe {
    struct queue made, recorded;
    tb_ns certain_from; /* buckets that begin before this are in doubt */
    bool began;         /* something was made */
    tb_ns made_first;   /* start of the first one that was made */
    bool recorded_any;  /* a recorded one has come */
    bool forgive;       /* the next recorded one may differ */
};

struct market {
    char venue[TB_VENUE_BYTES], symbol[TB_SYMBOL_BYTES];
    char stream[TB_STREAM_BYTES];   /* where its trades come from */
    char recorder[TB_STREAM_BYTES]; /* the candle stream */
    struct tb_candles candles;
    bool has_candles;
    uint32_t hole; /* the source's, at the trade before */
    struct timeframe timeframe[TB_TIMEFRAMES];
};

struct candle_book {
    struct market **market;
    size_t count;
    struct market *last;   /* most records are of the market before */
    struct verify *verify; /* while a trade is added */
    struct market *adding;
};

struct candle_book *candle_book_create(void)
{
    return calloc(1, sizeof(struct candle_book));
}

void candle_book_destroy(struct candle_book *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->count; i++) {
        for (size_t t = 0; t < TB_TIMEFRAMES; t++) {
            free(b->market[i]->timeframe[t].made.at);
            free(b->market[i]->timeframe[t].recorded.at);
        }
        free(b->market[i]);
    }
    free(b->market);
    free(b);
}

/* ---- queues ---- */

static bool push(struct queue *q, const struct waiting *w)
{
    if (q->count == QUEUE_MAX)
        return false;
    if (q->first + q->count == q->room) {
        if (q->first > 0 && q->first >= q->count) {
            memmove(q->at, q->at + q->first, q->count * sizeof(*q->at));
            q->first = 0;
        } else {
            size_t room = q->room == 0 ? 16 : 2 * q->room;
            struct waiting *more = realloc(q->at, room * sizeof(*more));
            if (more == NULL)
                return false;
            q->at = more;
            q->room = room;
        }
    }
    q->at[q->first + q->count++] = *w;
    return true;
}

static struct waiting *head(struct queue *q)
{
    return q->count == 0 ? NULL : &q->at[q->first];
}

static void pop(struct queue *q)
{
    q->first = --q->count == 0 ? 0 : q->first + 1;
}

/* ---- comparing ---- */

static bool same(int64_t a, int a_exp, int64_t b, int b_exp)
{
    /* Both to the finer exponent; what does not fit there is not the same. */
    int exp = a_exp < b_exp ? a_exp : b_exp;
    return tb_decimal_rescale(a, a_exp, exp, &a) == 0 &&
           tb_decimal_rescale(b, b_exp, exp, &b) == 0 && a == b;
}

static bool same_wide(__int128 a, int a_exp, __int128 b, int b_exp)
{
    for (; a_exp > b_exp; a_exp--)
        if (__builtin_mul_overflow(a, (__int128)10, &a))
            return false;
    for (; b_exp > a_exp; b_exp--)
        if (__builtin_mul_overflow(b, (__int128)10, &b))
            return false;
    return a == b;
}

/* The name of the first field that differs, NULL: none does. */
static const char *difference(const struct waiting *a, const struct waiting *b)
{
    const struct tb_candle *x = &a->candle, *y = &b->candle;
    const int pa = a->price_exp, pb = b->price_exp, sa = a->size_exp, sb = b->size_exp;
    return !same(x->open, pa, y->open, pb)                           ? "open"
           : !same(x->high, pa, y->high, pb)                         ? "high"
           : !same(x->low, pa, y->low, pb)                           ? "low"
           : !same(x->close, pa, y->close, pb)                       ? "close"
           : !same(x->volume, sa, y->volume, sb)                     ? "volume"
           : !same(x->taker_buy_volume, sa, y->taker_buy_volume, sb) ? "taker_buy_volume"
           : !same_wide(x->turnover, pa + sa, y->turnover, pb + sb)  ? "turnover"
           : x->trades != y->trades                                  ? "trades"
                                                                     : NULL;
}

static void find(struct verify *v, const struct market *m, size_t timeframe, tb_ns start,
                 const char *what)
{
    char time[TB_TIME_BYTES];
    verify_find(v, FINDING_CANDLE, m->recorder, "%s %s %s %s: %s", m->venue, m->symbol,
                tb_timeframe_name[timeframe], tb_time_format(start, time), what);
}

static void compare(struct verify *v, struct market *m, size_t t, const struct waiting *made,
                    const struct waiting *recorded)
{
    struct timeframe *tf = &m->timeframe[t];
    const char *field = difference(made, recorded);
    bool certain = made->certain && !tf->forgive;
    tf->forgive = false;
    if (field == NULL) {
        v->count.candles_equal++;
    } else if (!certain) {
        v->count.candles_uncertain++;
    } else {
        char text[80];
        snprintf(text, sizeof(text), "%s is not what the trades give", field);
        find(v, m, t, made->candle.start, text);
    }
}

/* Take what both sides have come by. */
static void settle(struct verify *v, struct market *m, size_t t)
{
    struct timeframe *tf = &m->timeframe[t];
    struct waiting *made, *recorded;
    while ((made = head(&tf->made)) != NULL && (recorded = head(&tf->recorded)) != NULL) {
        if (made->candle.start == recorded->candle.start) {
            compare(v, m, t, made, recorded);
            pop(&tf->made);
            pop(&tf->recorded);
        } else if (made->candle.start < recorded->candle.start) {
            /* Before the candle stream began, or in its hole, nothing was recorded. */
            if (made->certain && !tf->forgive)
                find(v, m, t, made->candle.start, "the trades give it, but it was not recorded");
            else
                v->count.candles_uncertain++;
            pop(&tf->made);
        } else {
            if (recorded->candle.start >= tf->certain_from &&
                recorded->candle.start > tf->made_first && !tf->forgive)
                find(v, m, t, recorded->candle.start, "recorded, but no trade is in it");
            else
                v->count.candles_uncertain++;
            pop(&tf->recorded);
        }
    }
}

/* ---- markets ---- */

static bool is_market(const struct market *m, const struct tb_instrument *in)
{
    return strcmp(m->symbol, in->symbol) == 0 && strcmp(m->venue, in->venue) == 0 &&
           strcmp(m->stream, in->stream) == 0;
}

static struct market *market_of(struct candle_book *b, const struct tb_instrument *in)
{
    if (b->last != NULL && is_market(b->last, in))
        return b->last;
    for (size_t i = 0; i < b->count; i++)
        if (is_market(b->market[i], in))
            return b->last = b->market[i];
    struct market **more = realloc(b->market, (b->count + 1) * sizeof(struct market *));
    if (more == NULL || b->count == MARKETS_MAX)
        return NULL;
    b->market = more;
    struct market *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    memcpy(m->venue, in->venue, sizeof(m->venue));
    memcpy(m->symbol, in->symbol, sizeof(m->symbol));
    memcpy(m->stream, in->stream, sizeof(m->stream));
    memcpy(m->recorder, in->stream, sizeof(m->recorder)); /* until a candle stream is known */
    for (size_t t = 0; t < TB_TIMEFRAMES; t++)
        m->timeframe[t].forgive = true;
    b->market[b->count++] = m;
    return b->last = m;
}

/* ---- made from trades ---- */

static void hold_against_database(struct verify *v, struct market *m, enum tb_timeframe t,
                                  const struct waiting *w)
{
    char what[200], text[300];
    switch (database_candle(v->database, m->venue, m->symbol, t, &w->candle, w->price_exp,
                            w->size_exp, what, sizeof(what))) {
    case DATABASE_EQUAL:
        v->count.rows_equal++;
        return;
    case DATABASE_OUTSIDE:
        return;
    case DATABASE_MISSING:
    case DATABASE_DIFFERS:
    case DATABASE_FAILED:
    default:
        break;
    }
    char time[TB_TIME_BYTES];
    snprintf(text, sizeof(text), "%s %s %s %s: %s", m->venue, m->symbol, tb_timeframe_name[t],
             tb_time_format(w->candle.start, time), what);
    verify_find(v, FINDING_DATABASE, m->stream, "%s", text);
}

static void on_completed(void *context, enum tb_timeframe t, const struct tb_candle *candle)
{
    struct candle_book *b = context;
    struct market *m = b->adding;
    struct timeframe *tf = &m->timeframe[t];
    struct waiting w = {*candle, m->candles.price_exp, m->candles.size_exp,
                        candle->start >= tf->certain_from};
    b->verify->count.candles_made++;
    if (!tf->began)
        tf->made_first = candle->start;
    tf->began = true;
    if (b->verify->database != NULL && w.certain)
        hold_against_database(b->verify, m, t, &w);
    if (!push(&tf->made, &w)) { /* where nothing was ever recorded, it ends here */
        b->verify->count.candles_uncertain += tf->recorded_any;
        tf->certain_from = head(&tf->made)->candle.start + tb_timeframe_width[t];
        pop(&tf->made);
        (void)push(&tf->made, &w);
    }
    settle(b->verify, m, t);
}

/* The candles hold the finest exponents that the market's trades came in. */
static bool refine(struct market *m, const struct tb_instrument *in)
{
    struct tb_candles *k = &m->candles;
    if (!m->has_candles) {
        tb_candles_init(k, in->price_exp, in->size_exp);
        m->has_candles = true;
    }
    int8_t price = in->price_exp < k->price_exp ? in->price_exp : k->price_exp;
    int8_t size = in->size_exp < k->size_exp ? in->size_exp : k->size_exp;
    return (price == k->price_exp && size == k->size_exp) || tb_candles_refine(k, price, size) == 0;
}

void candle_book_trade(struct verify *v, const struct verify_source *s,
                       const struct tb_instrument *in, const struct tb_record *r, uint32_t hole)
{
    struct candle_book *b = v->candles;
    struct market *m = market_of(b, in);
    int64_t price = r->trade.price, size = r->trade.size;
    (void)s;
    if (m == NULL || !refine(m, in) ||
        tb_decimal_rescale(price, in->price_exp, m->candles.price_exp, &price) != 0 ||
        tb_decimal_rescale(size, in->size_exp, m->candles.size_exp, &size) != 0)
        return; /* candles would have refused it too */
    tb_ns time = r->ts_event != 0 ? r->ts_event : r->ts_recv;
    if (hole != m->hole)
        for (size_t t = 0; t < TB_TIMEFRAMES; t++)
            m->timeframe[t].certain_from =
                tb_bucket_start(time, (enum tb_timeframe)t) + tb_timeframe_width[t];
    m->hole = hole;
    b->verify = v;
    b->adding = m;
    tb_candles_trade(&m->candles, time, r->ts_recv, price, size, r->trade.side, r->trade.count,
                     on_completed, b);
}

/* ---- recorded ---- */

void candle_book_recorded(struct verify *v, const struct verify_source *s,
                          const struct tb_instrument *in, const struct tb_candle *candle,
                          enum tb_timeframe t)
{
    struct market *m = market_of(v->candles, in);
    v->count.candles_recorded++;
    if (m == NULL)
        return;
    struct timeframe *tf = &m->timeframe[t];
    snprintf(m->recorder, sizeof(m->recorder), "%s", s->stream);
    struct waiting w = {*candle, in->price_exp, in->size_exp, true};
    tf->recorded_any = true;
    if (!push(&tf->recorded, &w)) {
        pop(&tf->recorded);
        (void)push(&tf->recorded, &w);
        v->count.candles_uncertain++;
    }
    settle(v, m, t);
}

void candle_book_forgive(struct candle_book *b, const char *stream)
{
    for (size_t i = 0; i < b->count; i++)
        for (size_t t = 0; t < TB_TIMEFRAMES; t++)
            if (strcmp(b->market[i]->recorder, stream) == 0)
                b->market[i]->timeframe[t].forgive = true;
}

void candle_book_epoch(struct candle_book *b, const char *stream)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->market[i]->stream, stream) == 0)
            b->market[i]->has_candles = false;
}

/* Recorded candles that no trade has confirmed, though trades came after them. */
void candle_book_end(struct verify *v)
{
    struct candle_book *b = v->candles;
    for (size_t i = 0; i < b->count; i++)
        for (size_t t = 0; t < TB_TIMEFRAMES; t++) {
            struct market *m = b->market[i];
            struct timeframe *tf = &m->timeframe[t];
            for (struct waiting *w; (w = head(&tf->recorded)) != NULL; pop(&tf->recorded))
                if (tf->began && w->candle.start > tf->made_first &&
                    w->candle.start >= tf->certain_from && m->has_candles &&
                    w->candle.start < m->candles.candle[t].start)
                    find(v, m, t, w->candle.start, "recorded, but no trade is in it");
                else
                    v->count.candles_uncertain++;
        }
}
