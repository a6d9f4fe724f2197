/*
 * Markets, their ids, and when a candle is given out.
 */
#include "consumers/candles/candles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tickbus/decimal.h>

int candles_init(struct candles *c, const struct candles_host *host, uint32_t markets_max,
                 tb_ns forming_every)
{
    memset(c, 0, sizeof(*c));
    c->host = *host;
    c->forming_every = forming_every;
    c->markets_max = markets_max;
    /* Room for all that a checkpoint of a life with a higher limit may hold; untouched, it costs nothing. */
    c->markets = calloc(CANDLES_MARKETS_MAX, sizeof(*c->markets));
    c->ids = calloc(TB_INPUTS_MAX, sizeof(*c->ids));
    if (c->markets == NULL || c->ids == NULL) {
        candles_fini(c);
        return -ENOMEM;
    }
    return 0;
}

void candles_fini(struct candles *c)
{
    free(c->markets);
    free(c->ids);
    memset(c, 0, sizeof(*c));
}

/* ---- giving out ---- */

static void make(struct candles *c, const struct candles_market *m, enum tb_timeframe timeframe,
                 const struct tb_candle *candle, bool forming)
{
    TB_DCHECK(c->made_count + 2 <= CANDLES_RECORDS_MAX);
    tb_candle_to_records(candle, timeframe, m->output, forming, &c->made[c->made_count]);
    c->made_count += 2;
    forming ? c->counts.forming++ : c->counts.completed++;
}

static int give_out(struct candles *c, unsigned input)
{
    if (c->made_count > 0 && c->error == 0)
        c->error = c->host.publish(c->host.context, input, c->made, c->made_count);
    c->made_count = 0;
    return c->error;
}

struct completion {
    struct candles *candles;
    struct candles_market *market;
};

static void on_completed(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    struct completion *at = context;
    make(at->candles, at->market, timeframe, candle, false);
}

/* The candles are settled. */
static void make_forming(struct candles *c, struct candles_market *m, unsigned timeframe,
                         tb_ns time)
{
    struct tb_candles *k = &m->candles;
    k->published[timeframe] = time;
    k->changed &= (uint8_t) ~(1U << timeframe);
    make(c, m, (enum tb_timeframe)timeframe, &k->candle[timeframe], true);
}

/* How far from its last forming candle each timeframe is surely not due. */
static void find_quiet(const struct candles *c, struct candles_market *m)
{
    const tb_ns *published = m->candles.published;
    tb_ns first = published[0], last = published[0], from, end;
    for (unsigned i = 1; i < TB_TIMEFRAMES; i++) {
        first = published[i] < first ? published[i] : first;
        last = published[i] > last ? published[i] : last;
    }
    bool some = !__builtin_sub_overflow(last, c->forming_every - 1, &from) &&
                !__builtin_add_overflow(first, c->forming_every, &end) && from < end;
    m->quiet_from = some ? from : 0;
    m->quiet_width = some ? (uint64_t)end - (uint64_t)from : 0;
}

/*
 * The venue's time is now `time`: give out what has changed and is due. A distance in either direction
 * counts: one record with an absurd time must not silence a market until that time comes.
 */
static void make_due(struct candles *c, struct candles_market *m, tb_ns time)
{
    if (TB_LIKELY((uint64_t)time - (uint64_t)m->quiet_from < m->quiet_width))
        return;
    tb_candles_settle(&m->candles);
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++) {
        tb_ns last = m->candles.published[i];
        uint64_t apart =
            time >= last ? (uint64_t)time - (uint64_t)last : (uint64_t)last - (uint64_t)time;
        if ((m->candles.changed & 1U << i) != 0 && apart >= (uint64_t)c->forming_every)
            make_forming(c, m, i, time);
    }
    find_quiet(c, m);
}

/* ---- ids and markets ---- */

static struct candles_market *find_market(struct candles *c, unsigned input, uint16_t market)
{
    for (uint32_t i = 0; i < c->market_count; i++)
        if (c->markets[i].input == input && c->markets[i].market == market)
            return &c->markets[i];
    return NULL;
}

/* Make the market's candles hold these exponents too. False: something does not fit. */
static bool refine(struct candles *c, struct candles_market *m, uint16_t id,
                   const struct tb_instrument *entry)
{
    int8_t price_exp = entry->price_exp;
    int8_t size_exp = entry->size_exp;
    struct tb_candles *k = &m->candles;
    if (price_exp > k->price_exp)
        price_exp = k->price_exp;
    if (size_exp > k->size_exp)
        size_exp = k->size_exp;
    bool finer = price_exp < k->price_exp || size_exp < k->size_exp;
    uint16_t named = finer ? id : m->instrument;
    if (!finer && m->output != 0)
        return true; /* a coarser entry: its trades are rescaled */
    uint16_t output = c->host.mirror(c->host.context, m->input, named, price_exp, size_exp);
    if (output == 0 || tb_candles_refine(k, price_exp, size_exp) != 0)
        return false;
    m->instrument = named;
    m->output = output;
    return true;
}

static struct candles_market *add_market(struct candles *c, unsigned input,
                                         const struct tb_instrument *entry, uint16_t id)
{
    struct candles_market *m = &c->markets[c->market_count];
    bool full = c->market_count >= c->markets_max;
    for (uint32_t i = 0; full && i < c->market_count; i++)
        if (c->markets[i].away && c->markets[i].market == 0) { /* nobody trades it any more */
            m = &c->markets[i];
            full = false;
            c->market_count--;
        }
    if (full)
        return NULL;
    memset(m, 0, sizeof(*m));
    tb_candles_init(&m->candles, entry->price_exp, entry->size_exp);
    m->input = input;
    m->market = entry->market;
    m->instrument = id;
    memcpy(m->venue, entry->venue, sizeof(m->venue));
    memcpy(m->symbol, entry->symbol, sizeof(m->symbol));
    c->market_count++;
    return m;
}

/* The market as the epoch before knew it, under its name. */
static struct candles_market *find_away(struct candles *c, unsigned input,
                                        const struct tb_instrument *entry, uint16_t id)
{
    for (uint32_t i = 0; i < c->market_count; i++) {
        struct candles_market *m = &c->markets[i];
        if (!m->away || m->input != input || m->market != 0 ||
            strcmp(m->symbol, entry->symbol) != 0 || strcmp(m->venue, entry->venue) != 0)
            continue;
        m->market = entry->market;
        m->instrument = id;
        return m;
    }
    return NULL;
}

/* Ids of this market that were seen before its first trade are to be looked up again. */
static void wake_ids(struct candles *c, unsigned input)
{
    for (size_t i = 0; i <= TB_INSTRUMENTS_MAX; i++)
        if (c->ids[input][i].state == CANDLES_ID_QUIET)
            c->ids[input][i].state = CANDLES_ID_NEW;
}

/*
 * Look an id up. Only what every life finds alike is remembered: a refusal is not, because it depends on
 * how large the open candles are, so the next trade tries again.
 */
static void learn_id(struct candles *c, unsigned input, uint16_t id, bool has_trade,
                     struct candles_id *out)
{
    const struct tb_instrument *entry = c->host.instrument(c->host.context, input, id);
    if (entry == NULL)
        return;
    struct candles_market *m = find_market(c, input, entry->market);
    if (m == NULL && !has_trade) {
        out->state = CANDLES_ID_QUIET;
        return;
    }
    if (m == NULL) {
        m = find_away(c, input, entry, id);
        m = m != NULL ? m : add_market(c, input, entry, id);
        wake_ids(c, input);
    }
    if (m == NULL || !refine(c, m, id, entry))
        return;
    out->state = CANDLES_ID_KNOWN;
    out->market = (uint16_t)(m - c->markets);
    out->price_exp = entry->price_exp;
    out->size_exp = entry->size_exp;
}

/* ---- records ---- */

/* Its first trade in a new epoch. */
static void come_back(struct candles_market *m, tb_ns time)
{
    m->away = false;
    if (time >= m->candles.candle[TB_TIMEFRAME_1S].start)
        return;
    tb_candles_init(&m->candles, m->candles.price_exp, m->candles.size_exp);
    m->quiet_width = 0;
}

static int add_trade(struct candles *c, unsigned input, const struct tb_record *record)
{
    struct candles_id *id = &c->ids[input][record->instrument];
    if (TB_UNLIKELY(id->state != CANDLES_ID_KNOWN))
        learn_id(c, input, record->instrument, true, id);
    if (TB_UNLIKELY(id->state != CANDLES_ID_KNOWN)) {
        c->counts.refused++;
        return 0;
    }
    struct candles_market *m = &c->markets[id->market];
    int64_t price = record->trade.price;
    int64_t size = record->trade.size;
    if (TB_UNLIKELY(id->price_exp != m->candles.price_exp || id->size_exp != m->candles.size_exp) &&
        (tb_decimal_rescale(price, id->price_exp, m->candles.price_exp, &price) != 0 ||
         tb_decimal_rescale(size, id->size_exp, m->candles.size_exp, &size) != 0)) {
        c->counts.refused++;
        return 0;
    }
    /* A venue that sends no time of its own leaves the time at which we got it. */
    tb_ns time = record->ts_event != 0 ? record->ts_event : record->ts_recv;
    if (TB_UNLIKELY(m->away))
        come_back(m, time);
    struct completion at = {c, m};
    tb_candles_trade(&m->candles, time, record->ts_recv, price, size, record->trade.side,
                     record->trade.count, on_completed, &at);
    c->counts.trades++;
    if (c->forming_every > 0)
        make_due(c, m, time);
    return TB_UNLIKELY(c->made_count > 0) ? give_out(c, input) : 0;
}

/* Any other record of a market that has candles tells the time. */
static int tell_time(struct candles *c, unsigned input, const struct tb_record *record)
{
    struct candles_id *id = &c->ids[input][record->instrument];
    if (id->state == CANDLES_ID_QUIET || record->ts_event == 0 || c->forming_every == 0)
        return 0;
    if (TB_UNLIKELY(id->state == CANDLES_ID_NEW))
        learn_id(c, input, record->instrument, false, id);
    if (id->state != CANDLES_ID_KNOWN)
        return 0;
    struct candles_market *m = &c->markets[id->market];
    if (m->candles.changed != 0)
        make_due(c, m, record->ts_event);
    return give_out(c, input);
}

int candles_record(struct candles *c, unsigned input, const struct tb_record *record)
{
    if (c->error != 0)
        return c->error;
    if (record->instrument > TB_INSTRUMENTS_MAX) { /* another process wrote it */
        c->counts.refused += record->type == TB_TRADE;
        return 0;
    }
    switch (record->type) {
    case TB_TRADE:
        return add_trade(c, input, record);
    case TB_GAP:
        if (record->gap.channel == TB_CHANNEL_TRADES) {
            c->counts.gaps++;
            c->counts.missing += record->gap.missing;
        }
        return 0;
    case TB_QUOTE:
    case TB_LEVEL:
        return tell_time(c, input, record);
    default:
        return 0;
    }
}

void candles_flush_begin(struct candles *c)
{
    c->flushing = (1U << TB_INPUTS_MAX) - 1;
}

static int flush_market(struct candles *c, struct candles_market *m)
{
    if (m->candles.changed == 0)
        return 0;
    if (m->output == 0) /* restored, and no record has named it since */
        m->output = c->host.mirror(c->host.context, m->input, m->instrument, m->candles.price_exp,
                                   m->candles.size_exp);
    tb_candles_settle(&m->candles);
    for (unsigned i = 0; i < TB_TIMEFRAMES && m->output != 0; i++)
        if ((m->candles.changed & 1U << i) != 0)
            make_forming(c, m, i, m->candles.published[i]);
    return give_out(c, m->input);
}

int candles_flush(struct candles *c, unsigned input)
{
    for (uint32_t i = 0; i < c->market_count; i++)
        if (c->markets[i].input == input && flush_market(c, &c->markets[i]) != 0)
            return c->error;
    c->flushing &= ~(1U << input);
    return c->error;
}

int candles_flush_resume(struct candles *c, unsigned input)
{
    return (c->flushing & 1U << input) != 0 ? candles_flush(c, input) : 0;
}

void candles_epoch(struct candles *c, unsigned input)
{
    for (uint32_t i = 0; i < c->market_count; i++) {
        struct candles_market *m = &c->markets[i];
        if (m->input != input)
            continue;
        m->away = true;
        m->market = m->instrument = m->output = 0;
    }
    c->flushing &= ~(1U << input);
    memset(c->ids[input], 0, sizeof(c->ids[input]));
}

uint64_t candles_late(const struct candles *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->market_count; i++)
        sum += c->markets[i].candles.late;
    return sum;
}

uint64_t candles_overflows(const struct candles *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->market_count; i++)
        sum += c->markets[i].candles.overflows;
    return sum;
}

/* ---- checkpoints ---- */

/* Followed by the markets. */
struct saved {
    uint32_t market_bytes; /* sizeof(struct candles_market): another build's is no state of ours */
    uint32_t market_count;
    uint32_t flushing;
    uint32_t reserved;
    struct candles_counts counts;
};

size_t candles_save_size(const struct candles *c)
{
    return sizeof(struct saved) + c->market_count * sizeof(struct candles_market);
}

size_t candles_save(const struct candles *c, void *bytes, size_t capacity)
{
    struct saved s = {.market_bytes = sizeof(struct candles_market),
                      .market_count = c->market_count,
                      .flushing = c->flushing,
                      .counts = c->counts};
    if (c->error != 0 || candles_save_size(c) > capacity)
        return 0;
    memcpy(bytes, &s, sizeof(s));
    memcpy((char *)bytes + sizeof(s), c->markets, c->market_count * sizeof(*c->markets));
    return candles_save_size(c);
}

int candles_load(struct candles *c, const void *bytes, size_t count)
{
    struct saved s;
    if (count < sizeof(s))
        return -EINVAL;
    memcpy(&s, bytes, sizeof(s));
    if (s.market_bytes != sizeof(struct candles_market) || s.market_count > CANDLES_MARKETS_MAX ||
        count != sizeof(s) + (size_t)s.market_count * sizeof(struct candles_market))
        return -EINVAL;
    memcpy(c->markets, (const char *)bytes + sizeof(s), s.market_count * sizeof(*c->markets));
    c->market_count = s.market_count;
    c->flushing = s.flushing;
    c->counts = s.counts;
    for (uint32_t i = 0; i < c->market_count; i++) {
        c->markets[i].output = 0;      /* the table may be another one */
        c->markets[i].quiet_width = 0; /* forming_every may be another one */
    }
    memset(c->ids, 0, TB_INPUTS_MAX * sizeof(*c->ids));
    return 0;
}
