#include "consumers/candles/past.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void candles_past_fini(struct candles_past *p)
{
    free(p->market);
    memset(p, 0, sizeof(*p));
}

static struct candles_past_market *find(struct candles_past *p, uint64_t epoch, uint16_t id,
                                        const struct tb_instrument *entry)
{
    if (id > TB_INSTRUMENTS_MAX || entry == NULL)
        return NULL;
    if (epoch != p->epoch)
        memset(p->of_id, 0, sizeof(p->of_id));
    p->epoch = epoch;
    if (p->of_id[id] != 0)
        return &p->market[p->of_id[id] - 1];
    for (uint32_t i = 0; i < p->count; i++) {
        struct candles_past_market *m = &p->market[i];
        if (strcmp(m->symbol, entry->symbol) == 0 && strcmp(m->venue, entry->venue) == 0 &&
            strcmp(m->stream, entry->stream) == 0) {
            p->of_id[id] = i + 1;
            return m;
        }
    }
    return NULL;
}

static struct candles_past_market *make(struct candles_past *p, const struct tb_instrument *entry)
{
    if ((p->count & (p->count - 1)) == 0) { /* full at each power of two */
        uint32_t room = p->count == 0 ? 1 : 2 * p->count;
        struct candles_past_market *more =
            room <= CANDLES_PAST_MAX ? realloc(p->market, room * sizeof(*more)) : NULL;
        if (more == NULL) {
            p->forgotten++;
            return NULL;
        }
        p->market = more;
    }
    struct candles_past_market *m = &p->market[p->count++];
    memset(m, 0, sizeof(*m));
    memcpy(m->venue, entry->venue, sizeof(m->venue));
    memcpy(m->symbol, entry->symbol, sizeof(m->symbol));
    memcpy(m->stream, entry->stream, sizeof(m->stream));
    return m;
}

static bool is_before(tb_ns start, uint64_t trades, tb_ns of_start, uint64_t of_trades)
{
    return start != of_start ? start < of_start : trades < of_trades;
}

/*
 * Go on to this candle. One that is not behind the first begins the order anew; one in between is there
 * a second time (writes that arrived when the next life had read them as missing), and changes nothing.
 */
static void go_on(struct candles_past_place *at, const struct tb_candle *candle, bool forming)
{
    uint64_t trades = forming ? candle->trades : UINT64_MAX;
    bool fresh = at->trades == 0;
    if (candle->start == at->start && trades == at->trades)
        return;
    bool anew = !fresh && !is_before(at->first_start, at->first_trades, candle->start, trades);
    if (!fresh && !anew && is_before(candle->start, trades, at->start, at->trades))
        return;
    if (fresh || anew) {
        at->first_start = candle->start;
        at->first_trades = trades;
        at->plays += anew;
    }
    at->start = candle->start;
    at->trades = trades;
}

static bool is_beyond(const struct candles_past_place *a, const struct candles_past_place *b)
{
    if (a->plays != b->plays)
        return a->plays > b->plays;
    return a->start != b->start ? a->start > b->start : a->trades > b->trades;
}

void candles_past_add(struct candles_past *p, uint64_t epoch, const struct tb_instrument *entry,
                      const struct tb_record *record)
{
    struct tb_candle candle;
    enum tb_timeframe t;
    bool forming;
    struct tb_record prices = p->prices;
    p->prices = *record;
    if (entry == NULL || (record->type & 0xF8) != TB_CANDLE_VOLUME ||
        !tb_candle_from_records(&prices, record, &candle, &t, &forming))
        return;
    struct candles_past_market *m = find(p, epoch, record->instrument, entry);
    if (m == NULL && (m = make(p, entry)) == NULL)
        return;
    p->waiting += m->waiting == 0;
    if ((m->waiting & UINT64_C(1) << t) == 0) /* what was made of it so far is in the state */
        m->there[t] = m->now[t] = (struct candles_past_place){0};
    m->waiting |= UINT64_C(1) << t;
    go_on(&m->there[t], &candle, forming);
}

bool candles_past_has(struct candles_past *p, uint64_t epoch, const struct tb_instrument *entry,
                      const struct tb_record records[2])
{
    struct tb_candle candle;
    enum tb_timeframe t;
    bool forming;
    struct candles_past_market *m =
        p->waiting > 0 ? find(p, epoch, records[0].instrument, entry) : NULL;
    if (m == NULL || m->waiting == 0 ||
        !tb_candle_from_records(&records[0], &records[1], &candle, &t, &forming) ||
        (m->waiting & UINT64_C(1) << t) == 0)
        return false;
    go_on(&m->now[t], &candle, forming);
    if (!is_beyond(&m->now[t], &m->there[t]))
        return true;
    m->waiting &= ~(UINT64_C(1) << t);
    p->waiting -= m->waiting == 0;
    return false;
}

uint32_t candles_past_meet(struct candles_past *p, const char *stream)
{
    uint32_t met = 0;
    for (uint32_t i = 0; i < p->count && p->waiting > 0; i++) {
        struct candles_past_market *m = &p->market[i];
        const uint64_t before = m->waiting;
        if (before == 0 || strcmp(m->stream, stream) != 0)
            continue;
        for (unsigned t = 0; t < TB_TIMEFRAMES; t++)
            if (m->now[t].plays < m->there[t].plays)
                m->waiting &= ~(UINT64_C(1) << t);
        met += m->waiting != before;
        p->waiting -= m->waiting == 0;
    }
    return met;
}

size_t candles_past_save_size(const struct candles_past *p)
{
    return p->waiting > 0 ? p->count * sizeof(*p->market) : 0;
}

void candles_past_save(const struct candles_past *p, void *bytes)
{
    if (p->waiting > 0)
        memcpy(bytes, p->market, p->count * sizeof(*p->market));
}

int candles_past_load(struct candles_past *p, const void *bytes, size_t count)
{
    size_t markets = count / sizeof(*p->market), room = 1;
    candles_past_fini(p);
    if (count % sizeof(*p->market) != 0 || markets > CANDLES_PAST_MAX)
        return -EINVAL;
    if (markets == 0)
        return 0;
    while (room < markets)
        room *= 2;
    p->market = malloc(room * sizeof(*p->market));
    if (p->market == NULL)
        return -ENOMEM;
    memcpy(p->market, bytes, count);
    p->count = (uint32_t)markets;
    for (size_t i = 0; i < markets; i++)
        p->waiting += p->market[i].waiting != 0;
    return 0;
}
