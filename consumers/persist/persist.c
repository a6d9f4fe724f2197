/*
 * Records to rows, and the state that takes: a book for each market, its forming candles, and how far
 * each input has come. Why this stores each row exactly once is argued in persist.h.
 */
#include "consumers/persist/persist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tickbus/decimal.h>

/* A venue's clock that stepped back by more than this has been set anew; by less, it jitters. */
#define CLOCK_STEP (60 * TB_NS_PER_S)

/* ---- memory ---- */

/* More than the heads in a checkpoint take: see the end of this file. */
#define SAVED_HEADS_BYTES 4096

int persist_init(struct persist *p, const struct persist_config *config, const char *const *streams,
                 unsigned inputs)
{
    memset(p, 0, sizeof(*p));
    size_t room = PERSIST_ROWS_OF_RECORD(config->depth_levels);
    size_t state = config->books * tb_book_save_max(config->book_depth) + SAVED_HEADS_BYTES +
                   (size_t)inputs * PERSIST_IDS * sizeof(struct persist_market);
    if (inputs > PERSIST_INPUTS_MAX || config->depth_levels > PERSIST_DEPTH_MAX ||
        config->buffer_rows < room || state > PERSIST_CHECKPOINT_BYTES)
        return -EINVAL;
    p->config = *config;
    p->input_count = inputs;
    p->row = calloc(config->buffer_rows, sizeof(*p->row));
    p->scratch = calloc(room + TB_TIMEFRAMES, sizeof(*p->scratch));
    p->book = calloc(config->books + 1, sizeof(*p->book));
    p->book_used = calloc(config->books + 1, sizeof(*p->book_used));
    if (p->row == NULL || p->scratch == NULL || p->book == NULL || p->book_used == NULL)
        goto no_memory;
    for (uint32_t b = 0; b < config->books; b++)
        if (tb_book_init(&p->book[b], config->book_depth) != 0)
            goto no_memory;
    for (unsigned i = 0; i < inputs; i++) {
        p->input[i].market = calloc(PERSIST_IDS, sizeof(struct persist_market));
        p->input[i].id = calloc(PERSIST_IDS, sizeof(struct persist_id));
        if (p->input[i].market == NULL || p->input[i].id == NULL)
            goto no_memory;
        strncpy(p->input[i].stream, streams[i], sizeof(p->input[i].stream) - 1);
    }
    return 0;
no_memory:
    persist_fini(p);
    return -ENOMEM;
}

void persist_fini(struct persist *p)
{
    for (unsigned i = 0; i < p->input_count; i++) {
        free(p->input[i].market);
        free(p->input[i].id);
    }
    if (p->book != NULL)
        for (uint32_t b = 0; b < p->config.books; b++)
            tb_book_fini(&p->book[b]);
    free(p->book);
    free(p->book_used);
    free(p->scratch);
    free(p->row);
    memset(p, 0, sizeof(*p));
}

/* ---- markets ---- */

static struct persist_market *add_market(struct persist_input *in, const struct tb_instrument *entry)
{
    if (in->market_count == PERSIST_IDS)
        return NULL;
    struct persist_market *m = &in->market[in->market_count++];
    memset(m, 0, sizeof(*m));
    m->book = -1;
    m->bucket = INT64_MIN;
    for (unsigned tf = 0; tf < TB_TIMEFRAMES; tf++)
        m->frame[tf].bucket = INT64_MIN;
    if (entry != NULL) {
        memcpy(m->venue, entry->venue, sizeof(m->venue));
        memcpy(m->symbol, entry->symbol, sizeof(m->symbol));
        memcpy(m->label, entry->label, sizeof(m->label));
        m->first_id = entry->market;
    }
    return m;
}

static struct persist_market *find_market(struct persist_input *in, uint16_t first_id)
{
    for (uint32_t k = 1; k < in->market_count; k++)
        if (in->market[k].first_id == first_id)
            return &in->market[k];
    return NULL;
}

/* The market of an instrument id; *out_id has its exponents. NULL: no such instrument. */
static struct persist_market *market_of(struct persist *p, unsigned i, uint16_t id,
                                        const struct persist_id **out_id)
{
    struct persist_input *in = &p->input[i];
    if (id >= PERSIST_IDS)
        return NULL;
    struct persist_id *known = &in->id[id];
    *out_id = known;
    if (known->market != 0)
        return &in->market[known->market - 1];
    struct persist_market *m = &in->market[0];
    if (id != 0) {
        const struct tb_instrument *entry = p->config.lookup(p->config.context, i, id);
        if (entry == NULL)
            return NULL;
        m = find_market(in, entry->market);
        if (m == NULL && (m = add_market(in, entry)) == NULL)
            return NULL;
        known->price_exp = entry->price_exp;
        known->size_exp = entry->size_exp;
    }
    known->market = (uint16_t)(m - in->market + 1);
    return m;
}

static struct tb_book *book_of(struct persist *p, struct persist_market *m)
{
    if (m->book >= 0)
        return &p->book[m->book];
    for (uint32_t b = 0; b < p->config.books; b++) {
        if (p->book_used[b])
            continue;
        p->book_used[b] = true;
        m->book = (int16_t)b;
        tb_book_clear(&p->book[b]);
        p->book[b].price_exp = p->book[b].size_exp = 0;
        p->book[b].dropped = 0;
        return &p->book[b];
    }
    return NULL;
}

static void forget(struct persist *p, struct persist_input *in)
{
    for (uint32_t k = 0; k < in->market_count; k++)
        if (in->market[k].book >= 0)
            p->book_used[in->market[k].book] = false;
    in->market_count = 0;
    memset(in->id, 0, PERSIST_IDS * sizeof(*in->id));
    memset(&in->prices, 0, sizeof(in->prices));
    in->epoch = in->taken = in->state_seq = in->stored = in->lost_from = in->lost_to = 0;
    (void)add_market(in, NULL);
}

/* ---- rows ---- */

static double seconds(tb_ns t)
{
    return tb_decimal_double(t, -9);
}

static tb_ns stream_time(const struct tb_record *r)
{
    return r->ts_event != 0 ? r->ts_event : r->ts_recv;
}

/* A new row, or NULL if the database has that position already. Room was checked by persist_take. */
static struct persist_row *add_row(struct persist *p, unsigned i, const struct persist_market *m,
                                   enum persist_kind kind, uint64_t position, tb_ns time)
{
    if (position <= p->input[i].stored)
        return NULL;
    TB_ASSERT(p->count < p->config.buffer_rows);
    struct persist_row *row = &p->row[(p->head + p->count) % p->config.buffer_rows];
    p->count++;
    p->made[kind]++;
    memset(row, 0, sizeof(*row));
    row->position = position;
    row->timestamp = seconds(time);
    row->kind = (uint8_t)kind;
    row->input = (uint8_t)i;
    row->market = (uint16_t)(m - p->input[i].market);
    return row;
}

static void take_trade(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = market_of(p, i, r->instrument, &id);
    if (m == NULL || r->instrument == 0) {
        p->unusable++;
        return;
    }
    struct persist_row *row = add_row(p, i, m, PERSIST_TRADE, 2 * r->seq, stream_time(r));
    if (row == NULL)
        return;
    row->trade.price = tb_decimal_double(r->trade.price, id->price_exp);
    row->trade.amount = tb_decimal_double(r->trade.size, id->size_exp);
    row->trade.cost = tb_decimal_double_wide((__int128)r->trade.price * r->trade.size,
                                             id->price_exp + id->size_exp);
    row->trade.trade_id = r->trade.trade_id;
    row->trade.side = r->trade.side;
}

static void fill_candle(struct persist_row *row, const struct tb_candle *c, unsigned timeframe,
                        int price_exp, int size_exp, bool closed)
{
    row->candle.open = tb_decimal_double(c->open, price_exp);
    row->candle.high = tb_decimal_double(c->high, price_exp);
    row->candle.low = tb_decimal_double(c->low, price_exp);
    row->candle.close = tb_decimal_double(c->close, price_exp);
    row->candle.volume = tb_decimal_double(c->volume, size_exp);
    row->candle.turnover = tb_decimal_double_wide(c->turnover, price_exp + size_exp);
    row->candle.taker_buy_volume = tb_decimal_double(c->taker_buy_volume, size_exp);
    row->candle.trades = c->trades;
    row->candle.timeframe = (uint8_t)timeframe;
    row->candle.closed = closed;
}

/* The interval of stream time that t is in. */
static tb_ns bucket_of(tb_ns t, tb_ns every)
{
    return t >= 0 ? t / every : -((-t + every - 1) / every);
}

static bool bucket_is_new(tb_ns bucket, tb_ns last, tb_ns every)
{
    return bucket > last || bucket < last - CLOCK_STEP / every;
}

static void keep_forming(struct persist *p, unsigned i, struct persist_market *m,
                         const struct persist_id *id, const struct tb_record *r,
                         const struct tb_candle *candle, unsigned tf)
{
    m->frame[tf].candle = *candle;
    m->frame[tf].price_exp = id->price_exp;
    m->frame[tf].size_exp = id->size_exp;
    m->forming |= (uint8_t)(1U << tf);
    tb_ns bucket = bucket_of(r->ts_recv, TB_NS_PER_S);
    if (p->config.forming != PERSIST_FORMING_LIVE ||
        !bucket_is_new(bucket, m->frame[tf].bucket, TB_NS_PER_S))
        return;
    m->frame[tf].bucket = bucket;
    struct persist_row *row = add_row(p, i, m, PERSIST_CANDLE, 2 * r->seq, candle->start);
    if (row != NULL)
        fill_candle(row, candle, tf, id->price_exp, id->size_exp, false);
    m->forming &= (uint8_t)~(1U << tf);
}

static void take_candle(struct persist *p, unsigned i, const struct tb_record *r, bool state)
{
    struct persist_input *in = &p->input[i];
    if ((r->type & 0xF8) == TB_CANDLE) {
        in->prices = *r;
        return;
    }
    struct tb_candle candle;
    enum tb_timeframe tf;
    bool forming;
    const struct persist_id *id;
    bool whole = in->prices.seq != 0 && in->prices.seq + 1 == r->seq &&
                 tb_candle_from_records(&in->prices, r, &candle, &tf, &forming);
    in->prices.seq = 0;
    struct persist_market *m = whole ? market_of(p, i, r->instrument, &id) : NULL;
    if (m == NULL || r->instrument == 0) {
        /* Half of a candle is no surprise where reading began between the two records. */
        p->unusable++;
        return;
    }
    if (forming) {
        if (state)
            keep_forming(p, i, m, id, r, &candle, tf);
        return;
    }
    struct persist_row *row = add_row(p, i, m, PERSIST_CANDLE, 2 * r->seq, candle.start);
    if (row != NULL)
        fill_candle(row, &candle, tf, id->price_exp, id->size_exp, true);
    if (state && m->frame[tf].candle.start <= candle.start)
        m->forming &= (uint8_t)~(1U << tf);
}

static void take_alert(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = market_of(p, i, r->instrument, &id);
    if (m == NULL || r->alert.value_exp < TB_EXP_MIN || r->alert.value_exp > 0) {
        p->unusable++;
        return;
    }
    struct persist_row *row = add_row(p, i, m, PERSIST_ALERT, 2 * r->seq, stream_time(r));
    if (row == NULL)
        return;
    row->alert.value = tb_decimal_double(r->alert.value, r->alert.value_exp);
    row->alert.threshold = tb_decimal_double(r->alert.threshold, r->alert.value_exp);
    row->alert.since = seconds(r->alert.since);
    row->alert.alert_id = r->alert.alert_id;
    row->alert.state = r->alert.state;
    row->alert.severity = r->alert.severity;
}

static void add_gap(struct persist *p, unsigned i, const struct persist_market *m,
                    uint64_t position, tb_ns time, const struct tb_gap *gap)
{
    struct persist_row *row = add_row(p, i, m, PERSIST_GAP, position, time);
    if (row == NULL)
        return;
    row->gap.from = gap->from;
    row->gap.to = gap->to;
    row->gap.missing = gap->missing;
    row->gap.reason = gap->reason;
    row->gap.channel = gap->channel;
}

/* ---- books ---- */

static tb_ns book_time(const struct tb_book *book)
{
    return book->ts_event != 0 ? book->ts_event : book->ts_recv;
}

/* One side of the top of a book, into rows[] that have all but their kind's body; returns how many. */
static size_t fill_side(const struct tb_book *book, uint8_t side, uint32_t depth,
                        struct persist_row *rows)
{
    __int128 sum = 0;
    uint32_t n = 0;
    const struct tb_book_level *level;
    for (; n < depth && (level = tb_book_best(book, side, n)) != NULL; n++) {
        sum += level->size;
        rows[n].level.price = tb_decimal_double(level->price, book->price_exp);
        rows[n].level.amount = tb_decimal_double(level->size, book->size_exp);
        rows[n].level.cumulative = tb_decimal_double_wide(sum, book->size_exp);
        rows[n].level.update_id = book->update_id;
        rows[n].level.level = (uint16_t)n;
        rows[n].level.side = side;
    }
    return n;
}

/* A snapshot of the market's book as rows, made apart from the buffer. */
static size_t make_snapshot(const struct persist *p, unsigned i, uint32_t market, uint64_t position,
                            struct persist_row *rows)
{
    const struct persist_market *m = &p->input[i].market[market];
    const struct tb_book *book = &p->book[m->book];
    uint32_t depth = p->config.depth_levels;
    struct persist_row common = {
        .position = position,
        .timestamp = seconds(book_time(book)),
        .kind = PERSIST_LEVEL,
        .input = (uint8_t)i,
        .market = (uint16_t)market,
    };
    for (size_t k = 0; k < 2 * (size_t)depth; k++)
        rows[k] = common;
    size_t n = fill_side(book, TB_BUY, depth, rows);
    return n + fill_side(book, TB_SELL, depth, rows + n);
}

static void snapshot_if_due(struct persist *p, unsigned i, struct persist_market *m, tb_seq seq)
{
    tb_ns every = p->config.snapshot_every;
    tb_ns bucket = bucket_of(book_time(&p->book[m->book]), every);
    if (!bucket_is_new(bucket, m->bucket, every))
        return;
    m->bucket = bucket;
    m->snapshot_seq = seq;
    if (2 * seq <= p->input[i].stored)
        return;
    size_t n = make_snapshot(p, i, (uint32_t)(m - p->input[i].market), 2 * seq, p->scratch);
    TB_ASSERT(p->count + n <= p->config.buffer_rows);
    for (size_t k = 0; k < n; k++)
        p->row[(p->head + p->count++) % p->config.buffer_rows] = p->scratch[k];
    p->made[PERSIST_LEVEL] += n;
}

static void take_level(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = market_of(p, i, r->instrument, &id);
    if (m == NULL || r->instrument == 0) {
        p->unusable++;
        return;
    }
    struct tb_book *book = book_of(p, m);
    if (book == NULL) {
        p->bookless++;
        return;
    }
    if (!tb_book_apply(book, r, id->price_exp, id->size_exp))
        return;
    m->book_seq = r->seq;
    /* A book fetched apart has our clock's time, which may be far from the venue's (a recording): its
     * rows would stand outside the order of the others. The next change brings the venue's time. */
    if (r->ts_event != 0 || (r->flags & TB_F_SNAPSHOT) == 0)
        snapshot_if_due(p, i, m, r->seq);
}

/* A gap or status: of one market, or (instrument 0) of all of this input's. */
static void tell_books(struct persist *p, unsigned i, const struct tb_record *r)
{
    struct persist_input *in = &p->input[i];
    const struct persist_id *id;
    const struct persist_market *only = r->instrument != 0 ? market_of(p, i, r->instrument, &id) : NULL;
    for (uint32_t k = 0; k < in->market_count; k++) {
        const struct persist_market *m = &in->market[k];
        if (m->book >= 0 && (r->instrument == 0 || m == only))
            (void)tb_book_apply(&p->book[m->book], r, 0, 0);
    }
}

/* Records up to `to` will not be seen: no book is to be believed until its next snapshot. */
static void miss_books(struct persist *p, unsigned i, tb_seq to)
{
    struct tb_record gap = {.type = TB_GAP, .gap = {.channel = TB_CHANNEL_BOOK}};
    tell_books(p, i, &gap);
    p->input[i].state_seq = to;
}

static void take_gap(struct persist *p, unsigned i, const struct tb_record *r, bool state)
{
    const struct persist_id *id;
    const struct persist_market *m = market_of(p, i, r->instrument, &id);
    add_gap(p, i, m != NULL ? m : &p->input[i].market[0], 2 * r->seq, stream_time(r), &r->gap);
    if (state)
        tell_books(p, i, r);
}

/* ---- the inputs ---- */

void persist_attach(struct persist *p, unsigned i, uint64_t epoch, uint64_t stored)
{
    struct persist_input *in = &p->input[i];
    if (in->market_count == 0 || in->epoch != epoch) {
        forget(p, in);
        in->epoch = epoch;
    }
    in->stored = stored;
    if (stored == 2 * in->state_seq + 1)
        persist_drained(p, i);
}

tb_seq persist_resume(struct persist *p, unsigned i, tb_seq cursor, tb_seq oldest, tb_ns now,
                      bool *out_seek)
{
    struct persist_input *in = &p->input[i];
    tb_seq stored = in->stored / 2;
    *out_seek = false;
    if (in->state_seq > stored) {
        /* From the last stored record itself: it may be the first half of a candle. */
        cursor = stored > oldest ? stored : oldest;
        *out_seek = true;
    } else if (in->state_seq != 0 && cursor > in->state_seq + 1) {
        miss_books(p, i, cursor - 1);
    }
    in->taken = cursor - 1;
    if (stored != 0 && cursor > stored + 1)
        persist_lost(p, i, stored + 1, cursor - 1, now);
    return cursor;
}

bool persist_settle(struct persist *p, unsigned i)
{
    struct persist_input *in = &p->input[i];
    if (in->lost_to == 0)
        return true;
    if (p->count == p->config.buffer_rows)
        return false;
    struct tb_gap gap = {
        .from = in->lost_from > in->stored / 2 ? in->lost_from : in->stored / 2 + 1,
        .to = in->lost_to,
        .reason = TB_GAP_OVERRUN,
        .channel = TB_CHANNEL_INPUT,
    };
    gap.missing = gap.to - gap.from + 1;
    if (gap.from <= gap.to)
        add_gap(p, i, &in->market[0], 2 * in->lost_to, in->lost_time, &gap);
    in->lost_from = in->lost_to = 0;
    return true;
}

bool persist_take(struct persist *p, unsigned i, const struct tb_record *r)
{
    struct persist_input *in = &p->input[i];
    if (p->config.buffer_rows - p->count < PERSIST_ROWS_OF_RECORD(p->config.depth_levels))
        return false;
    (void)persist_settle(p, i);
    bool state = r->seq > in->state_seq;
    switch (r->type) {
    case TB_TRADE:
        take_trade(p, i, r);
        break;
    case TB_LEVEL:
    case TB_CLEAR:
        if (state && p->config.depth_levels > 0)
            take_level(p, i, r);
        break;
    case TB_GAP:
        take_gap(p, i, r, state);
        break;
    case TB_STATUS:
        if (state)
            tell_books(p, i, r);
        break;
    case TB_ALERT:
        take_alert(p, i, r);
        break;
    default:
        if (tb_record_is_candle(r))
            take_candle(p, i, r, state);
        break;
    }
    in->taken = r->seq;
    if (state) {
        in->state_seq = r->seq;
        if (in->stored == 2 * r->seq + 1)
            persist_drained(p, i);
    }
    return true;
}

void persist_lost(struct persist *p, unsigned i, tb_seq from, tb_seq to, tb_ns now)
{
    struct persist_input *in = &p->input[i];
    if (in->lost_to == 0) {
        in->lost_from = from;
        in->lost_time = now;
    }
    in->lost_to = to;
    in->taken = to;
    in->prices.seq = 0;
    if (to > in->state_seq)
        miss_books(p, i, to);
}

uint64_t persist_position(const struct persist *p, unsigned i)
{
    const struct persist_input *in = &p->input[i];
    uint64_t position = 2 * (in->lost_to != 0 ? in->lost_from - 1 : in->taken);
    return position > in->stored ? position : in->stored;
}

void persist_drop(struct persist *p, size_t n)
{
    TB_ASSERT(n <= p->count);
    p->count -= n;
    /* From the start again when it is empty: memory that was never needed is never touched. */
    p->head = p->count == 0 ? 0 : (p->head + n) % p->config.buffer_rows;
}

size_t persist_batch(const struct persist *p, size_t most)
{
    if (p->count <= most)
        return p->count;
    size_t n = most;
    while (n < p->count) {
        const struct persist_row *last = persist_row_at(p, n - 1);
        const struct persist_row *next = persist_row_at(p, n);
        if (last->input != next->input || last->position != next->position)
            break;
        n++;
    }
    return n;
}

/* ---- drain ---- */

size_t persist_drain_rows(struct persist *p, unsigned i, uint32_t market)
{
    struct persist_row *out_rows = p->scratch;
    const struct persist_input *in = &p->input[i];
    const struct persist_market *m = &in->market[market];
    size_t n = 0;
    if (m->book >= 0 && m->book_seq > m->snapshot_seq && p->book[m->book].valid &&
        !p->book[m->book].in_event)
        n = make_snapshot(p, i, market, 2 * m->book_seq + 1, out_rows);
    for (unsigned tf = 0; p->config.forming != PERSIST_FORMING_OFF && tf < TB_TIMEFRAMES; tf++) {
        if ((m->forming & 1U << tf) == 0)
            continue;
        out_rows[n] = (struct persist_row){
            .position = 2 * in->taken + 1,
            .timestamp = seconds(m->frame[tf].candle.start),
            .kind = PERSIST_CANDLE,
            .input = (uint8_t)i,
            .market = (uint16_t)market,
        };
        fill_candle(&out_rows[n++], &m->frame[tf].candle, tf, m->frame[tf].price_exp,
                    m->frame[tf].size_exp, false);
    }
    return n;
}

void persist_drained(struct persist *p, unsigned i)
{
    struct persist_input *in = &p->input[i];
    for (uint32_t k = 0; k < in->market_count; k++) {
        struct persist_market *m = &in->market[k];
        m->forming = 0;
        if (m->book >= 0 && p->book[m->book].valid && !p->book[m->book].in_event)
            m->snapshot_seq = m->book_seq;
    }
}

/* ---- checkpoint ---- */

/*
 * struct saved_head, then per input: struct saved_input, its markets, each followed by its book's bytes
 * if it has one. Native byte order: it never leaves the machine.
 */
struct saved_head {
    uint64_t magic;
    uint32_t inputs;
    uint32_t market_bytes;
};
#define SAVED_MAGIC UINT64_C(0x3145544154535054)

struct saved_input {
    char stream[TB_STREAM_BYTES];
    uint64_t epoch;
    tb_seq state_seq;
    struct tb_record prices;
    uint64_t market_count;
    uint64_t bytes; /* of the markets and books that follow */
};

static size_t book_bytes(const struct tb_book *book)
{
    uint32_t bids = book->bid.count, asks = book->ask.count;
    return tb_book_save_max(bids > asks ? bids : asks);
}

size_t persist_save_size(const struct persist *p)
{
    size_t bytes = sizeof(struct saved_head) + p->input_count * sizeof(struct saved_input);
    for (unsigned i = 0; i < p->input_count; i++)
        for (uint32_t k = 0; k < p->input[i].market_count; k++) {
            const struct persist_market *m = &p->input[i].market[k];
            bytes += sizeof(*m) + (m->book >= 0 ? book_bytes(&p->book[m->book]) : 0);
        }
    return bytes;
}

/* The markets of one input, at most `capacity` bytes. Returns how many, SIZE_MAX if they do not fit. */
static size_t save_markets(const struct persist *p, const struct persist_input *in, char *bytes,
                           size_t capacity)
{
    size_t used = 0;
    for (uint32_t k = 0; k < in->market_count; k++) {
        const struct persist_market *m = &in->market[k];
        if (capacity - used < sizeof(*m))
            return SIZE_MAX;
        memcpy(bytes + used, m, sizeof(*m));
        used += sizeof(*m);
        if (m->book < 0)
            continue;
        size_t book = tb_book_save(&p->book[m->book], bytes + used, capacity - used);
        if (book == 0)
            return SIZE_MAX;
        used += book;
    }
    return used;
}

size_t persist_save(const struct persist *p, void *bytes, size_t capacity)
{
    struct saved_head head = {SAVED_MAGIC, p->input_count, (uint32_t)sizeof(struct persist_market)};
    size_t used = sizeof(head);
    if (capacity < used)
        return 0;
    memcpy(bytes, &head, sizeof(head));
    for (unsigned i = 0; i < p->input_count; i++) {
        const struct persist_input *in = &p->input[i];
        struct saved_input s = {
            .epoch = in->epoch,
            .state_seq = in->state_seq,
            .prices = in->prices,
            .market_count = in->market_count,
        };
        memcpy(s.stream, in->stream, sizeof(s.stream));
        if (capacity - used < sizeof(s))
            return 0;
        char *at = (char *)bytes + used;
        s.bytes = save_markets(p, in, at + sizeof(s), capacity - used - sizeof(s));
        if (s.bytes == SIZE_MAX)
            return 0;
        memcpy(at, &s, sizeof(s));
        used += sizeof(s) + s.bytes;
    }
    return used;
}

/* One market from bytes; returns how many it took, 0 if they are none. */
static size_t load_market(struct persist *p, struct persist_market *m, const char *bytes, size_t count)
{
    if (count < sizeof(*m))
        return 0;
    memcpy(m, bytes, sizeof(*m));
    m->venue[sizeof(m->venue) - 1] = m->symbol[sizeof(m->symbol) - 1] = '\0';
    m->label[sizeof(m->label) - 1] = '\0';
    bool has_book = m->book >= 0;
    m->book = -1; /* the number it had in its former life */
    if (!has_book)
        return sizeof(*m);
    struct tb_book *book = book_of(p, m);
    size_t used = book != NULL ? tb_book_load(book, bytes + sizeof(*m), count - sizeof(*m)) : 0;
    return used != 0 ? sizeof(*m) + used : 0;
}

static bool load_input(struct persist *p, const struct saved_input *s, const char *bytes)
{
    struct persist_input *in = NULL;
    for (unsigned i = 0; i < p->input_count; i++)
        if (strncmp(p->input[i].stream, s->stream, sizeof(s->stream)) == 0)
            in = &p->input[i];
    if (in == NULL)
        return true;
    forget(p, in);
    if (s->market_count == 0)
        return true;
    if (s->market_count > PERSIST_IDS)
        return false;
    size_t used = 0;
    for (uint64_t k = 0; k < s->market_count; k++) {
        struct persist_market *m = k == 0 ? &in->market[0] : add_market(in, NULL);
        size_t took = load_market(p, m, bytes + used, s->bytes - used);
        if (took == 0)
            return false;
        used += took;
    }
    in->epoch = s->epoch;
    in->state_seq = in->taken = s->state_seq;
    in->prices = s->prices;
    return used == s->bytes;
}

int persist_load(struct persist *p, const void *bytes, size_t count)
{
    struct saved_head head;
    struct saved_input s;
    size_t used = sizeof(head);
    bool good = count >= used;
    if (good) {
        memcpy(&head, bytes, sizeof(head));
        good = head.magic == SAVED_MAGIC && head.market_bytes == sizeof(struct persist_market);
    }
    for (uint32_t i = 0; good && i < head.inputs; i++) {
        good = count - used >= sizeof(s);
        if (!good)
            break;
        memcpy(&s, (const char *)bytes + used, sizeof(s));
        used += sizeof(s);
        good = s.bytes <= count - used && load_input(p, &s, (const char *)bytes + used);
        used += good ? s.bytes : 0;
    }
    if (good && used == count)
        return 0;
    for (unsigned i = 0; i < p->input_count; i++)
        forget(p, &p->input[i]);
    return -EBADMSG;
}
