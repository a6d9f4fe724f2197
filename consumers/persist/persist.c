/*
 * Markets and inputs: the state that making rows takes, and how far each input has come. Why this stores
 * each row exactly once is argued in persist.h.
 */
#include "consumers/persist/persist_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tickbus/decimal.h>

/* A venue's clock that stepped back by more than this has been set anew; by less, it jitters. */
#define CLOCK_STEP (60 * TB_NS_PER_S)

/* ---- memory ---- */

/* More than the heads in a checkpoint take: see saved.c. */
#define SAVED_HEADS_BYTES 4096

int persist_init(struct persist *p, const struct persist_config *config, const char *const *streams,
                 unsigned inputs)
{
    memset(p, 0, sizeof(*p));
    size_t room = PERSIST_ROWS_OF_RECORD(config->depth_levels);
    size_t state = config->books * tb_book_save_max(config->book_depth) + SAVED_HEADS_BYTES +
                   (size_t)inputs * PERSIST_IDS * sizeof(struct persist_market);
    if (inputs > PERSIST_INPUTS_MAX || config->depth_levels > PERSIST_DEPTH_MAX ||
        config->buffer_rows < room + PERSIST_INPUTS_MAX || state > PERSIST_CHECKPOINT_BYTES)
        return -EINVAL;
    p->config = *config;
    p->input_count = inputs;
    p->rows.capacity = config->buffer_rows;
    p->rows.row = calloc(config->buffer_rows, sizeof(*p->rows.row));
    p->scratch = calloc(room + TB_TIMEFRAMES, sizeof(*p->scratch));
    p->book = calloc(config->books + 1, sizeof(*p->book));
    p->book_used = calloc(config->books + 1, sizeof(*p->book_used));
    if (p->rows.row == NULL || p->scratch == NULL || p->book == NULL || p->book_used == NULL)
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
    free(p->rows.row);
    memset(p, 0, sizeof(*p));
}

/* ---- markets ---- */

struct persist_market *persist_add_market(struct persist_input *in,
                                          const struct tb_instrument *entry)
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

struct persist_market *persist_market_of(struct persist *p, unsigned i, uint16_t id,
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
        if (m == NULL && (m = persist_add_market(in, entry)) == NULL)
            return NULL;
        known->price_exp = entry->price_exp;
        known->size_exp = entry->size_exp;
    }
    known->market = (uint16_t)(m - in->market + 1);
    return m;
}

struct tb_book *persist_book_of(struct persist *p, struct persist_market *m)
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

void persist_forget(struct persist *p, struct persist_input *in)
{
    for (uint32_t k = 0; k < in->market_count; k++)
        if (in->market[k].book >= 0)
            p->book_used[in->market[k].book] = false;
    in->market_count = 0;
    memset(in->id, 0, PERSIST_IDS * sizeof(*in->id));
    memset(&in->prices, 0, sizeof(in->prices));
    in->attached = false;
    in->epoch = in->taken = in->state_seq = in->stored = in->told = in->lost_from = in->lost_to = 0;
    (void)persist_add_market(in, NULL);
}

/* ---- rows ---- */

double persist_seconds(tb_ns t)
{
    return tb_decimal_double(t, -9);
}

tb_ns persist_bucket(tb_ns t, tb_ns every)
{
    return t >= 0 ? t / every : -((-t + every - 1) / every);
}

bool persist_bucket_is_new(tb_ns bucket, tb_ns last, tb_ns every)
{
    return bucket > last || bucket < last - CLOCK_STEP / every;
}

tb_ns persist_stream_time(const struct tb_record *r)
{
    return r->ts_event != 0 ? r->ts_event : r->ts_recv;
}

struct persist_row *persist_add_row(struct persist *p, unsigned i, const struct persist_market *m,
                                    enum persist_kind kind, uint64_t position, tb_ns time)
{
    if (position <= p->input[i].stored)
        return NULL;
    struct persist_row *row = persist_rows_add(&p->rows);
    p->input[i].told = position;
    p->made[kind]++;
    memset(row, 0, sizeof(*row));
    row->position = position;
    row->timestamp = persist_seconds(time);
    row->kind = (uint8_t)kind;
    row->input = (uint8_t)i;
    row->market = (uint16_t)(m - p->input[i].market);
    return row;
}

/* ---- the inputs ---- */

void persist_attach(struct persist *p, unsigned i, uint64_t epoch, uint64_t stored)
{
    struct persist_input *in = &p->input[i];
    if (in->market_count == 0 || in->epoch != epoch) {
        persist_forget(p, in);
        in->epoch = epoch;
    }
    in->stored = in->told = stored;
    in->attached = true;
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
        persist_miss_books(p, i, cursor - 1);
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
    if (persist_rows_room(&p->rows) == 0)
        return false;
    struct tb_gap gap = {
        .from = in->lost_from > in->stored / 2 ? in->lost_from : in->stored / 2 + 1,
        .to = in->lost_to,
        .reason = TB_GAP_OVERRUN,
        .channel = TB_CHANNEL_INPUT,
    };
    gap.missing = gap.to - gap.from + 1;
    if (gap.from <= gap.to)
        persist_add_gap(p, i, &in->market[0], 2 * in->lost_to, in->lost_time, &gap);
    in->lost_from = in->lost_to = 0;
    return true;
}

bool persist_take(struct persist *p, unsigned i, const struct tb_record *r)
{
    struct persist_input *in = &p->input[i];
    if (persist_rows_room(&p->rows) <
        PERSIST_ROWS_OF_RECORD(p->config.depth_levels) + PERSIST_INPUTS_MAX)
        return false; /* the last ones are for marks */
    (void)persist_settle(p, i);
    bool state = r->seq > in->state_seq;
    switch (r->type) {
    case TB_TRADE:
        persist_take_trade(p, i, r);
        break;
    case TB_LEVEL:
    case TB_CLEAR:
        if (state && p->config.depth_levels > 0)
            persist_take_level(p, i, r);
        break;
    case TB_GAP:
        persist_take_gap(p, i, r, state);
        break;
    case TB_STATUS:
        if (state)
            persist_tell_books(p, i, r);
        break;
    case TB_ALERT:
        persist_take_alert(p, i, r);
        break;
    default:
        if (tb_record_is_candle(r))
            persist_take_candle(p, i, r, state);
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
        persist_miss_books(p, i, to);
}

uint64_t persist_position(const struct persist *p, unsigned i)
{
    const struct persist_input *in = &p->input[i];
    uint64_t position = 2 * (in->lost_to != 0 ? in->lost_from - 1 : in->taken);
    return position > in->stored ? position : in->stored;
}

bool persist_waits(const struct persist *p)
{
    for (unsigned i = 0; i < p->input_count; i++)
        if (p->input[i].attached && persist_position(p, i) > p->input[i].told)
            return true;
    return persist_rows_kept(&p->rows) > 0;
}

bool persist_hand_over(struct persist *p)
{
    bool all = true;
    for (unsigned i = 0; i < p->input_count; i++) {
        struct persist_input *in = &p->input[i];
        if (!in->attached)
            continue;
        all &= persist_settle(p, i);
        uint64_t position = persist_position(p, i);
        if (position <= in->told)
            continue;
        bool room = persist_rows_room(&p->rows) > 0;
        all &= room;
        if (!room)
            continue;
        in->told = position;
        *persist_rows_add(&p->rows) =
            (struct persist_row){.kind = PERSIST_MARK, .input = (uint8_t)i, .position = position};
    }
    persist_rows_hand_over(&p->rows);
    return all;
}
