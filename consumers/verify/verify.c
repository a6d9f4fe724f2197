#include "consumers/verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const finding_name[FINDING_KINDS] = {"damage", "sequence", "record",  "trades",
                                                 "book",   "candle",   "database"};

void verify_find(struct verify *v, enum finding kind, const char *stream, const char *format, ...)
{
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    v->count.found[kind]++;
    v->found(v->context, kind, stream, what);
}

int verify_init(struct verify *v)
{
    v->candles = candle_book_create();
    return v->candles == NULL ? -ENOMEM : 0;
}

void verify_fini(struct verify *v)
{
    candle_book_destroy(v->candles);
    database_close(v->database);
}

int verify_source_init(struct verify_source *s, const char *stream,
                       const struct tb_instrument *(*instrument)(void *context, uint16_t id),
                       void *context)
{
    memset(s, 0, sizeof(*s));
    s->stream = stream;
    s->instrument = instrument;
    s->context = context;
    s->market = calloc(TB_INSTRUMENTS_MAX + 1, sizeof(*s->market));
    return s->market == NULL ? -ENOMEM : 0;
}

void verify_source_fini(struct verify_source *s)
{
    free(s->market);
}

/* ---- sequences ---- */

/* Nothing of before may be held against what comes. */
static void break_chains(struct verify *v, struct verify_source *s)
{
    for (size_t i = 0; i <= TB_INSTRUMENTS_MAX; i++)
        s->market[i].trade_id = s->market[i].update_id = 0;
    s->prices_there = false;
    s->hole++;
    candle_book_forgive(v->candles, s->stream);
}

static void begin_epoch(struct verify *v, struct verify_source *s, uint64_t epoch, tb_seq seq)
{
    if (s->epoch != 0 && epoch < s->epoch)
        verify_find(v, FINDING_SEQUENCE, s->stream, "epoch %" PRIu64 " comes after epoch %" PRIu64,
                    epoch, s->epoch);
    /* The oldest epoch may have lost its beginning to retention; a later one may not. */
    if (s->epoch != 0 && seq != 1)
        verify_find(v, FINDING_SEQUENCE, s->stream, "epoch %" PRIu64 " begins at sequence %" PRIu64,
                    epoch, seq);
    if (s->epoch != 0)
        candle_book_epoch(v->candles, s->stream);
    for (size_t i = 0; i <= TB_INSTRUMENTS_MAX; i++)
        s->market[i].of = 0;
    break_chains(v, s);
    if (seq == 1 && s->epoch == 0)
        s->hole = 0; /* the stream from its first record on: every bucket is whole */
    s->epoch = epoch;
    s->next = seq;
}

static void check_sequence(struct verify *v, struct verify_source *s, uint64_t epoch, tb_seq seq)
{
    if (epoch != s->epoch)
        begin_epoch(v, s, epoch, seq);
    if (seq < s->next) {
        verify_find(v, FINDING_SEQUENCE, s->stream,
                    "epoch %" PRIu64 ": sequence %" PRIu64 " comes after %" PRIu64, epoch, seq,
                    s->next - 1);
    } else if (seq > s->next) {
        verify_find(v, FINDING_SEQUENCE, s->stream,
                    "epoch %" PRIu64 ": sequences %" PRIu64 " to %" PRIu64 " are missing", epoch,
                    s->next, seq - 1);
        break_chains(v, s);
    }
    s->next = seq + 1;
}

void verify_damage(struct verify *v, struct verify_source *s, uint64_t epoch, tb_seq from,
                   tb_seq to, const char *what)
{
    verify_find(v, FINDING_DAMAGE, s->stream,
                "epoch %" PRIu64 ": sequences %" PRIu64 " to %" PRIu64 " can not be read: %s",
                epoch, from, to, what);
    if (epoch != s->epoch)
        begin_epoch(v, s, epoch, from == 1 ? 1 : s->epoch != 0 ? 1 : from);
    break_chains(v, s);
    s->next = to + 1;
}

/* ---- what the venue numbers ---- */

static struct verify_market *market_of(struct verify_source *s, const struct tb_instrument *in,
                                       uint16_t id)
{
    struct verify_market *m = &s->market[id];
    if (m->of == 0)
        m->of = in->market <= TB_INSTRUMENTS_MAX ? in->market : id;
    return &s->market[m->of];
}

static void check_trade(struct verify *v, struct verify_source *s, const struct tb_instrument *in,
                        const struct tb_record *r)
{
    struct verify_market *m = market_of(s, in, r->instrument);
    enum tb_trade_ids ids = tb_venue_trade_ids(in->venue);
    uint64_t last = m->trade_id, id = r->trade.trade_id, first = id;
    v->count.trades++;
    if (ids == TB_TRADE_IDS_MERGED && r->trade.count != UINT16_MAX && r->trade.count <= id)
        first = id - r->trade.count + (r->trade.count > 0);
    else if (ids == TB_TRADE_IDS_MERGED)
        last = 0; /* how many it stands for does not fit */
    if (ids != TB_TRADE_IDS_FREE && last != 0 && id != 0) {
        v->count.trades_chained++;
        if (first > last + 1)
            verify_find(v, FINDING_TRADES, s->stream,
                        "%s %s: trades %" PRIu64 " to %" PRIu64
                        " are missing before sequence %" PRIu64 ", and no gap tells of them",
                        in->venue, in->symbol, last + 1, first - 1, r->seq);
        else if (first <= last && id >= last) /* wholly late: the venue's doing */
            verify_find(v, FINDING_TRADES, s->stream,
                        "%s %s: trade %" PRIu64 " comes after %" PRIu64 " at sequence %" PRIu64,
                        in->venue, in->symbol, first, last, r->seq);
    }
    if (id > m->trade_id)
        m->trade_id = id;
}

static void check_level(struct verify *v, struct verify_source *s, const struct tb_instrument *in,
                        const struct tb_record *r)
{
    struct verify_market *m = market_of(s, in, r->instrument);
    uint64_t id = r->level.update_id;
    v->count.levels++;
    if (r->type == TB_LEVEL && m->update_id != 0 && id != 0) {
        v->count.levels_chained++;
        if (id < m->update_id)
            verify_find(v, FINDING_BOOK, s->stream,
                        "%s %s: update %" PRIu64 " comes after %" PRIu64 " at sequence %" PRIu64,
                        in->venue, in->symbol, id, m->update_id, r->seq);
    }
    m->update_id = id;
}

static void take_gap(struct verify *v, struct verify_source *s, const struct tb_instrument *in,
                     const struct tb_record *r)
{
    v->count.gaps++;
    if (r->gap.channel == TB_CHANNEL_INPUT) {
        candle_book_forgive(v->candles, s->stream);
        return;
    }
    for (size_t i = 0; i <= TB_INSTRUMENTS_MAX; i++) {
        struct verify_market *m = in != NULL ? market_of(s, in, r->instrument) : &s->market[i];
        /* Ids that are not told may be any: nothing can be held against them. */
        if (r->gap.channel == TB_CHANNEL_TRADES)
            m->trade_id = r->gap.to >= m->trade_id ? r->gap.to : 0;
        if (r->gap.channel == TB_CHANNEL_BOOK)
            m->update_id = 0;
        if (in != NULL)
            break;
    }
}

/* ---- candles ---- */

static void take_candle(struct verify *v, struct verify_source *s, const struct tb_instrument *in,
                        const struct tb_record *r)
{
    struct tb_candle candle;
    enum tb_timeframe timeframe;
    bool forming;
    if ((r->type & 0xF8) == TB_CANDLE) {
        s->prices = *r;
        s->prices_there = true;
        return;
    }
    if (!s->prices_there)
        return; /* its first half was in a hole */
    s->prices_there = false;
    if (!tb_candle_from_records(&s->prices, r, &candle, &timeframe, &forming)) {
        verify_find(v, FINDING_RECORD, s->stream,
                    "the volumes at sequence %" PRIu64 " do not belong to the candle before them",
                    r->seq);
        return;
    }
    if (!forming)
        candle_book_recorded(v, s, in, &candle, timeframe);
}

void verify_record(struct verify *v, struct verify_source *s, uint64_t epoch,
                   const struct tb_record *r)
{
    v->count.records++;
    check_sequence(v, s, epoch, r->seq);
    const struct tb_instrument *in =
        r->instrument == 0 ? NULL : s->instrument(s->context, r->instrument);
    if ((r->instrument != 0 && (in == NULL || !tb_instrument_check(in, r->instrument))) ||
        strcmp(tb_record_type_name(r->type), "unknown") == 0) {
        verify_find(v, FINDING_RECORD, s->stream, "sequence %" PRIu64 ": %s %u is unknown", r->seq,
                    r->instrument != 0 && in == NULL ? "instrument" : "type",
                    r->instrument != 0 && in == NULL ? r->instrument : r->type);
        return;
    }
    if (r->type == TB_GAP)
        take_gap(v, s, in, r);
    if (in == NULL)
        return;
    if (r->type == TB_TRADE) {
        check_trade(v, s, in, r);
        candle_book_trade(v, s, in, r, s->hole);
        if (v->database != NULL)
            database_trade(v->database, s->stream, epoch, r->seq);
    } else if (r->type == TB_LEVEL || r->type == TB_CLEAR) {
        check_level(v, s, in, r);
    } else if (tb_record_is_candle(r)) {
        take_candle(v, s, in, r);
    }
}

void verify_end(struct verify *v)
{
    candle_book_end(v);
    if (v->database != NULL)
        database_trades(v->database, v);
}
