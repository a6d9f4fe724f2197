#include "consumers/journal/journal.h"

#include <stdlib.h>
#include <string.h>

void journal_books_init(struct journal_books *books, uint32_t depth)
{
    *books = (struct journal_books){.depth = depth};
}

void journal_books_forget(struct journal_books *books)
{
    for (size_t i = 0; i < TB_COUNT(books->market); i++) {
        if (books->market[i] == NULL)
            continue;
        tb_book_fini(&books->market[i]->book);
        free(books->market[i]);
        books->market[i] = NULL;
    }
}

void journal_books_fini(struct journal_books *books)
{
    journal_books_forget(books);
}

void journal_books_invalidate(struct journal_books *books)
{
    for (size_t i = 0; i < TB_COUNT(books->market); i++)
        if (books->market[i] != NULL)
            tb_book_clear(&books->market[i]->book);
}

static struct journal_market *market_of(struct journal_books *books, uint16_t id, bool make)
{
    if (id > TB_INSTRUMENTS_MAX)
        return NULL;
    struct journal_market *m = books->market[id];
    if (m != NULL || !make)
        return m;
    m = calloc(1, sizeof(*m));
    if (m == NULL || tb_book_init(&m->book, books->depth) != 0) {
        free(m);
        books->refused++;
        return NULL;
    }
    return books->market[id] = m;
}

/* What is said of the whole stream (id 0) is said of each of its books. */
static void apply_to_all(struct journal_books *books, const struct tb_record *r)
{
    for (size_t i = 0; i < TB_COUNT(books->market); i++) {
        struct journal_market *m = books->market[i];
        if (m != NULL)
            (void)tb_book_apply(&m->book, r, m->book.price_exp, m->book.size_exp);
    }
}

void journal_books_apply(struct journal_books *books, const struct tb_record *r)
{
    bool makes = r->type == TB_LEVEL || r->type == TB_CLEAR;
    if (!makes && r->type != TB_GAP && r->type != TB_STATUS)
        return;
    if (r->instrument == 0) {
        apply_to_all(books, r);
        return;
    }
    const struct tb_instrument *entry = books->instrument(books->context, r->instrument);
    struct journal_market *m = entry != NULL ? market_of(books, entry->market, makes) : NULL;
    if (m == NULL)
        return;
    (void)tb_book_apply(&m->book, r, entry->price_exp, entry->size_exp);
    m->ts_event = r->ts_event;
    m->ts_recv = r->ts_recv;
}

/* The entry of a market with the exponents of its book's mantissas; 0: there is none. */
static uint16_t entry_of(const struct journal_books *books, uint16_t market,
                         const struct tb_book *book)
{
    for (uint16_t id = books->instrument_count(books->context); id > 0; id--) {
        const struct tb_instrument *e = books->instrument(books->context, id);
        if (e != NULL && e->market == market && e->price_exp == book->price_exp &&
            e->size_exp == book->size_exp)
            return id;
    }
    return 0;
}

static struct tb_record *side_put(struct tb_record *out, const struct tb_record *like,
                                  const struct tb_book_side *side, uint8_t which)
{
    for (uint32_t i = side->count; i > 0; i--) { /* the best first */
        *out = *like;
        out->type = TB_LEVEL;
        out->level.price = side->level[i - 1].price;
        out->level.size = side->level[i - 1].size;
        out->level.side = which;
        out->level.action = TB_ADD;
        out++;
    }
    return out;
}

static size_t book_put(const struct journal_market *m, uint16_t id, struct tb_record *out)
{
    const struct tb_book *book = &m->book;
    size_t count = 1 + (size_t)book->bid.count + book->ask.count;
    if (out == NULL)
        return count;
    const struct tb_record like = {.ts_event = m->ts_event,
                                   .ts_recv = m->ts_recv,
                                   .instrument = id,
                                   .flags = TB_F_SNAPSHOT | TB_F_MBP,
                                   .level = {.update_id = book->update_id}};
    *out = like;
    out->type = TB_CLEAR;
    struct tb_record *end = side_put(out + 1, &like, &book->bid, TB_BUY);
    end = side_put(end, &like, &book->ask, TB_SELL);
    if (!book->in_snapshot)
        end[-1].flags |= TB_F_LAST;
    return count;
}

size_t journal_books_state(const struct journal_books *books, struct tb_record *out)
{
    size_t count = 0;
    for (int under_way = 0; under_way < 2; under_way++)
        for (uint16_t i = 1; i <= TB_INSTRUMENTS_MAX; i++) {
            const struct journal_market *m = books->market[i];
            if (m == NULL || (under_way ? !m->book.in_snapshot : !m->book.valid))
                continue;
            uint16_t id = entry_of(books, i, &m->book);
            if (id != 0)
                count += book_put(m, id, out != NULL ? out + count : NULL);
        }
    return count;
}
