/* Levels to books, books to snapshots, and what makes a book one not to be believed. */
#include "consumers/persist/persist_private.h"

#include <tickbus/decimal.h>

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

size_t persist_make_snapshot(const struct persist *p, unsigned i, uint32_t market,
                             uint64_t position, struct persist_row *rows)
{
    const struct persist_market *m = &p->input[i].market[market];
    const struct tb_book *book = &p->book[m->book];
    uint32_t depth = p->config.depth_levels;
    struct persist_row common = {
        .position = position,
        .timestamp = persist_seconds(book_time(book)),
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
    tb_ns bucket = persist_bucket(book_time(&p->book[m->book]), every);
    if (!persist_bucket_is_new(bucket, m->bucket, every))
        return;
    m->bucket = bucket;
    m->snapshot_seq = seq;
    if (2 * seq <= p->input[i].stored)
        return;
    size_t n = persist_make_snapshot(p, i, (uint32_t)(m - p->input[i].market), 2 * seq, p->scratch);
    for (size_t k = 0; k < n; k++)
        *persist_rows_add(&p->rows) = p->scratch[k];
    if (n > 0)
        p->input[i].told = 2 * seq;
    p->made[PERSIST_LEVEL] += n;
}

void persist_take_level(struct persist *p, unsigned i, const struct tb_record *r)
{
    const struct persist_id *id;
    struct persist_market *m = persist_market_of(p, i, r->instrument, &id);
    if (m == NULL || r->instrument == 0) {
        p->unusable++;
        return;
    }
    struct tb_book *book = persist_book_of(p, m);
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

void persist_tell_books(struct persist *p, unsigned i, const struct tb_record *r)
{
    struct persist_input *in = &p->input[i];
    const struct persist_id *id;
    const struct persist_market *only =
        r->instrument != 0 ? persist_market_of(p, i, r->instrument, &id) : NULL;
    for (uint32_t k = 0; k < in->market_count; k++) {
        const struct persist_market *m = &in->market[k];
        if (m->book >= 0 && (r->instrument == 0 || m == only))
            (void)tb_book_apply(&p->book[m->book], r, 0, 0);
    }
}

void persist_miss_books(struct persist *p, unsigned i, tb_seq to)
{
    struct tb_record gap = {.type = TB_GAP, .gap = {.channel = TB_CHANNEL_BOOK}};
    persist_tell_books(p, i, &gap);
    p->input[i].state_seq = to;
}
