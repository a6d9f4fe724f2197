/* The state that a segment begins with makes the same books as the records before it did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/journal/journal.h"

#define MARKETS 3
#define IDS 4 /* market 1 was refined: its second entry is id 4 */

static const struct tb_instrument table[IDS] = {
    {.symbol = "A", .price_exp = -2, .size_exp = -3, .market = 1},
    {.symbol = "B", .price_exp = -1, .size_exp = -8, .market = 2},
    {.symbol = "C", .price_exp = 0, .size_exp = 0, .market = 3},
    {.symbol = "A", .price_exp = -3, .size_exp = -3, .market = 1},
};

static const struct tb_instrument *instrument(void *context, uint16_t id)
{
    (void)context;
    return id >= 1 && id <= IDS ? &table[id - 1] : NULL;
}

static uint16_t instrument_count(void *context)
{
    (void)context;
    return IDS;
}

static void init(struct journal_books *books)
{
    journal_books_init(books, 50);
    books->instrument = instrument;
    books->instrument_count = instrument_count;
}

/* Events of markets in turn: changes, now and then a snapshot, a gap, a disconnect; record by record. */
static size_t make(struct tb_record *out, size_t max)
{
    size_t n = 0;
    uint64_t update = 1;
    while (n + 40 < max) {
        uint16_t id = (uint16_t)(1 + rand() % MARKETS);
        int what = rand() % 20;
        if (id == 1 && n > max / 2)
            id = 4; /* the finer entry */
        struct tb_record r = {
            .ts_event = (tb_ns)(n + 1) * 1000, .ts_recv = (tb_ns)(n + 1) * 1000, .instrument = id};
        update++;
        if (what == 0) {
            r.type = TB_GAP;
            r.flags = TB_F_LAST;
            r.gap.channel = TB_CHANNEL_BOOK;
            out[n++] = r;
            continue;
        }
        if (what == 1) {
            r.type = TB_STATUS;
            r.flags = TB_F_LAST;
            r.status.code = TB_STATUS_UNSYNCED;
            out[n++] = r;
            continue;
        }
        size_t count = 1 + (size_t)rand() % 12;
        uint8_t snapshot = what < 7 ? TB_F_SNAPSHOT : 0;
        if (snapshot != 0) {
            r.type = TB_CLEAR;
            r.flags = snapshot;
            r.level.update_id = update;
            out[n++] = r;
        }
        for (size_t i = 0; i < count; i++) {
            r.type = TB_LEVEL;
            r.flags = (uint8_t)(snapshot | (i + 1 == count ? TB_F_LAST : 0));
            bool bid = rand() % 2;
            r.level.side = bid ? TB_BUY : TB_SELL;
            r.level.price = (bid ? 1000 - rand() % 20 : 1001 + rand() % 20) * (id == 4 ? 10 : 1);
            r.level.size = snapshot != 0 ? 1 + rand() % 50 : rand() % 5;
            r.level.update_id = update;
            out[n++] = r;
        }
    }
    return n;
}

static void same_side(const struct tb_book_side *a, const struct tb_book_side *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_int_equal(a->level[i].price, b->level[i].price);
        assert_int_equal(a->level[i].size, b->level[i].size);
    }
}

static void cut_anywhere_the_books_go_on_the_same(void **state)
{
    static struct tb_record records[4000], snapshot[4000];
    struct journal_books whole, rest;
    size_t valid = 0, under_way = 0;
    (void)state;
    srand(5);
    size_t count = make(records, TB_COUNT(records));
    init(&whole);
    for (size_t cut = 0; cut < count; cut++) {
        size_t n = journal_books_state(&whole, NULL);
        assert_true(n < TB_COUNT(snapshot));
        assert_int_equal(journal_books_state(&whole, snapshot), n);
        init(&rest);
        for (size_t i = 0; i < n; i++)
            journal_books_apply(&rest, &snapshot[i]);
        /* On for a while: a snapshot that was under way is completed in it. */
        for (size_t i = cut; i < count && i < cut + 30; i++)
            journal_books_apply(&rest, &records[i]);
        struct journal_books right;
        init(&right);
        for (size_t i = 0; i < count && i < cut + 30; i++)
            journal_books_apply(&right, &records[i]);
        for (uint16_t m = 1; m <= MARKETS; m++) {
            const struct journal_market *a = right.market[m], *b = rest.market[m];
            if (a == NULL || !a->book.valid)
                continue;
            assert_non_null(b);
            assert_true(b->book.valid);
            assert_int_equal(a->book.price_exp, b->book.price_exp);
            same_side(&a->book.bid, &b->book.bid);
            same_side(&a->book.ask, &b->book.ask);
            valid++;
        }
        for (size_t m = 1; m <= MARKETS; m++)
            under_way += whole.market[m] != NULL && whole.market[m]->book.in_snapshot;
        journal_books_fini(&right);
        journal_books_fini(&rest);
        journal_books_apply(&whole, &records[cut]);
    }
    assert_true(valid > 3000 && under_way > 100);
    journal_books_fini(&whole);
}

static void what_is_not_to_be_believed_is_left_out(void **state)
{
    static struct tb_record records[400];
    struct journal_books books;
    (void)state;
    srand(6);
    init(&books);
    size_t count = make(records, TB_COUNT(records));
    for (size_t i = 0; i < count; i++)
        journal_books_apply(&books, &records[i]);
    journal_books_invalidate(&books);
    assert_int_equal(journal_books_state(&books, NULL), 0);
    journal_books_fini(&books);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere_the_books_go_on_the_same),
        cmocka_unit_test(what_is_not_to_be_believed_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
