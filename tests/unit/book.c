/* The order book: against a naive model, and the rules of when it may be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tickbus/book.h>

#include "unit/random.h"

#define DEPTH 12
#define PRICES 40

static int setup(void **state)
{
    static struct tb_book book;
    *state = &book;
    return tb_book_init(&book, DEPTH);
}

static int teardown(void **state)
{
    tb_book_fini(*state);
    return 0;
}

static struct tb_record level(uint8_t side, int64_t price, int64_t size, uint8_t flags)
{
    struct tb_record r = {.type = TB_LEVEL, .flags = flags, .ts_event = 7, .ts_recv = 8};
    r.level.side = side;
    r.level.price = price;
    r.level.size = size;
    r.level.update_id = 99;
    return r;
}

static bool apply(struct tb_book *book, struct tb_record r)
{
    return tb_book_apply(book, &r, -2, -5);
}

static bool clear(struct tb_book *book, uint8_t flags)
{
    return apply(book, (struct tb_record){.type = TB_CLEAR, .flags = flags});
}

static bool gap(struct tb_book *book, uint32_t channel)
{
    struct tb_record r = {.type = TB_GAP};
    r.gap.channel = channel;
    return apply(book, r);
}

static bool snapshot(struct tb_book *book)
{
    clear(book, TB_F_SNAPSHOT);
    apply(book, level(TB_BUY, 100, 1, TB_F_SNAPSHOT));
    return apply(book, level(TB_SELL, 101, 2, TB_F_SNAPSHOT | TB_F_LAST));
}

/* size by price, and nothing else: what the book must agree with. */
struct model {
    int64_t size[2][PRICES];
    uint32_t count[2];
};

static void compare(const struct random *r, const struct tb_book *book, const struct model *m)
{
    for (int s = 0; s < 2; s++) {
        uint8_t side = s == 0 ? TB_BUY : TB_SELL;
        uint32_t rank = 0;
        for (int i = 0; i < PRICES; i++) {
            int price = s == 0 ? PRICES - 1 - i : i;
            if (m->size[s][price] == 0)
                continue;
            const struct tb_book_level *found = tb_book_best(book, side, rank++);
            if (found == NULL || found->price != price || found->size != m->size[s][price])
                fail_msg("TB_SEED=%" PRIu64 ": side %c rank %u is not %d", r->seed, side, rank - 1,
                         price);
        }
        assert_null(tb_book_best(book, side, rank));
    }
}

static int worst_price(const struct model *m, int s)
{
    for (int i = 0; i < PRICES; i++) {
        int price = s == 0 ? i : PRICES - 1 - i;
        if (m->size[s][price] != 0)
            return price;
    }
    return -1;
}

/* The model's idea of the same change; returns what tb_book_set should. */
static uint8_t model_set(struct model *m, int s, int price, int64_t size, uint64_t *dropped)
{
    int64_t before = m->size[s][price];
    if (size == 0 && before == 0)
        return TB_NO_ACTION;
    m->size[s][price] = size;
    if (size == 0) {
        m->count[s]--;
        return TB_REMOVE;
    }
    if (before != 0)
        return TB_MODIFY;
    if (m->count[s] < DEPTH) {
        m->count[s]++;
        return TB_ADD;
    }
    int worst = worst_price(m, s);
    m->size[s][worst] = 0;
    ++*dropped;
    return worst == price ? TB_NO_ACTION : TB_ADD;
}

static void agrees_with_a_naive_model(void **state)
{
    struct tb_book *book = *state;
    struct random r;
    random_start(&r, "book");
    struct model m = {0};
    uint64_t dropped = 0;
    for (int i = 0; i < 300000; i++) {
        int s = (int)random_below(&r, 2);
        int price = (int)random_below(&r, PRICES);
        int64_t size = random_below(&r, 2) == 0 ? 0 : 1 + (int64_t)random_below(&r, 1000);
        uint8_t wanted = model_set(&m, s, price, size, &dropped);
        uint8_t got = tb_book_set(book, s == 0 ? TB_BUY : TB_SELL, price, size);
        if (got != wanted)
            fail_msg("TB_SEED=%" PRIu64 ": step %d: %c, wanted %c", r.seed, i, got, wanted);
        compare(&r, book, &m);
        if (random_below(&r, 20000) == 0) {
            memset(&m, 0, sizeof(m));
            tb_book_clear(book);
        }
        if (random_below(&r, 50) == 0) { /* through a checkpoint and back */
            char bytes[2048];
            size_t saved = tb_book_save(book, bytes, sizeof(bytes));
            tb_book_clear(book);
            assert_int_equal(tb_book_load(book, bytes, saved), saved);
        }
    }
    assert_true(book->dropped > 0);
    assert_int_equal(book->dropped, dropped);
}

static void extreme_prices_keep_their_order(void **state)
{
    struct tb_book *book = *state;
    static const int64_t prices[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    for (size_t i = 0; i < TB_COUNT(prices); i++) {
        assert_int_equal(tb_book_set(book, TB_BUY, prices[i], 1), TB_ADD);
        assert_int_equal(tb_book_set(book, TB_SELL, prices[i], 1), TB_ADD);
    }
    for (uint32_t i = 0; i < TB_COUNT(prices); i++) {
        assert_true(tb_book_best(book, TB_SELL, i)->price == prices[i]);
        assert_true(tb_book_best(book, TB_BUY, i)->price == prices[TB_COUNT(prices) - 1 - i]);
    }
}

static void crossed_means_bid_at_or_above_ask(void **state)
{
    struct tb_book *book = *state;
    assert_false(tb_book_crossed(book));
    tb_book_set(book, TB_BUY, 100, 1);
    assert_false(tb_book_crossed(book));
    tb_book_set(book, TB_SELL, 101, 1);
    assert_false(tb_book_crossed(book));
    tb_book_set(book, TB_SELL, 100, 1);
    assert_true(tb_book_crossed(book));
}

static void is_valid_only_after_a_whole_snapshot(void **state)
{
    struct tb_book *book = *state;
    assert_false(apply(book, level(TB_BUY, 99, 1, TB_F_LAST))); /* joined in mid-stream */
    assert_false(book->valid);
    assert_false(apply(book, level(TB_BUY, 98, 1, TB_F_SNAPSHOT | TB_F_LAST))); /* its end only */
    assert_false(book->valid);
    assert_false(clear(book, TB_F_SNAPSHOT));
    assert_true(book->in_event);
    assert_false(apply(book, level(TB_BUY, 100, 1, TB_F_SNAPSHOT)));
    assert_false(book->valid);
    assert_true(apply(book, level(TB_SELL, 101, 2, TB_F_SNAPSHOT | TB_F_LAST)));
    assert_true(book->valid);
    assert_false(book->in_event);
    assert_int_equal(book->update_id, 99);
    assert_int_equal(book->ts_event, 7);
    assert_int_equal(book->ts_recv, 8);
    assert_null(tb_book_best(book, TB_BUY, 1)); /* what was before the snapshot is gone */
}

static void an_event_shows_only_when_it_is_complete(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    assert_false(apply(book, level(TB_SELL, 101, 0, 0)));
    assert_true(book->in_event);
    struct tb_record trade = {.type = TB_TRADE, .flags = TB_F_LAST};
    assert_false(apply(book, trade)); /* not a record of the book: ends nothing */
    assert_true(book->in_event);
    assert_true(apply(book, level(TB_SELL, 102, 5, TB_F_LAST)));
    assert_int_equal(tb_book_best(book, TB_SELL, 0)->price, 102);
}

static void an_empty_snapshot_is_a_valid_empty_book(void **state)
{
    struct tb_book *book = *state;
    assert_true(clear(book, TB_F_SNAPSHOT | TB_F_LAST));
    assert_true(book->valid);
}

static void a_clear_without_snapshot_is_not_valid(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    assert_false(clear(book, TB_F_LAST));
    assert_false(book->valid);
    assert_null(tb_book_best(book, TB_BUY, 0));
    assert_false(apply(book, level(TB_BUY, 100, 1, TB_F_LAST)));
}

static void a_gap_makes_it_invalid_until_the_next_snapshot(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    assert_false(gap(book, TB_CHANNEL_TRADES));
    assert_true(book->valid);
    assert_false(gap(book, TB_CHANNEL_BOOK));
    assert_false(book->valid);
    assert_false(apply(book, level(TB_BUY, 100, 3, TB_F_LAST)));
    assert_true(snapshot(book));
    struct tb_record r = {.type = TB_STATUS};
    r.status.code = TB_STATUS_SYNCED;
    apply(book, r);
    assert_true(book->valid);
    r.status.code = TB_STATUS_UNSYNCED;
    apply(book, r);
    assert_false(book->valid);
}

static void a_gap_inside_a_snapshot_spoils_it(void **state)
{
    struct tb_book *book = *state;
    clear(book, TB_F_SNAPSHOT);
    apply(book, level(TB_BUY, 100, 1, TB_F_SNAPSHOT));
    gap(book, TB_CHANNEL_BOOK);
    assert_false(apply(book, level(TB_SELL, 101, 1, TB_F_SNAPSHOT | TB_F_LAST)));
    assert_true(snapshot(book));
}

static void maybe_bad_records_keep_it_invalid(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    assert_false(apply(book, level(TB_BUY, 100, 4, TB_F_LAST | TB_F_MAYBE_BAD_BOOK)));
    assert_false(apply(book, level(TB_BUY, 100, 5, TB_F_LAST)));
    clear(book, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK); /* the flag may stand until the end */
    apply(book, level(TB_BUY, 100, 1, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK));
    assert_true(apply(book, level(TB_SELL, 101, 1, TB_F_SNAPSHOT | TB_F_LAST)));
    clear(book, TB_F_SNAPSHOT);
    assert_false(
        apply(book, level(TB_SELL, 101, 1, TB_F_SNAPSHOT | TB_F_LAST | TB_F_MAYBE_BAD_BOOK)));
    assert_false(book->valid);
}

static void finer_records_rescale_it_and_coarser_ones_fit_in(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book)); /* 1.00 x 0.00001, 1.01 x 0.00002 */
    struct tb_record r = level(TB_BUY, 1005, 30, TB_F_LAST);
    assert_true(tb_book_apply(book, &r, -3, -6));
    assert_int_equal(book->price_exp, -3);
    assert_int_equal(book->size_exp, -6);
    assert_int_equal(tb_book_best(book, TB_BUY, 0)->price, 1005);
    assert_int_equal(tb_book_best(book, TB_BUY, 1)->price, 1000);
    assert_int_equal(tb_book_best(book, TB_BUY, 1)->size, 10);
    assert_int_equal(tb_book_best(book, TB_SELL, 0)->size, 20);
    r = level(TB_BUY, 10, 0, TB_F_LAST); /* removes 1.0, said in tenths */
    assert_true(tb_book_apply(book, &r, -1, 0));
    assert_null(tb_book_best(book, TB_BUY, 1));
    assert_int_equal(book->price_exp, -3);
}

static void what_no_longer_fits_empties_it(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    apply(book, level(TB_SELL, INT64_MAX / 5, 1, TB_F_LAST));
    struct tb_record r = level(TB_BUY, 1, 1, TB_F_LAST);
    assert_false(tb_book_apply(book, &r, -3, -5));
    assert_false(book->valid);
    assert_null(tb_book_best(book, TB_SELL, 0));
    assert_true(snapshot(book));
}

static void damaged_checkpoints_are_refused(void **state)
{
    struct tb_book *book = *state;
    assert_true(snapshot(book));
    char bytes[512];
    size_t saved = tb_book_save(book, bytes, sizeof(bytes));
    assert_true(saved > 0 && saved <= tb_book_save_max(DEPTH));
    assert_int_equal(tb_book_save(book, bytes, saved - 1), 0);
    for (size_t i = 0; i < saved; i++)
        assert_int_equal(tb_book_load(book, bytes, i), 0);
    bytes[0] ^= 1;
    assert_int_equal(tb_book_load(book, bytes, saved), 0);
    bytes[0] ^= 1;
    bytes[6] = 0x7f; /* more bids than fit */
    assert_int_equal(tb_book_load(book, bytes, saved), 0);
    bytes[6] = 0;
    assert_int_equal(tb_book_load(book, bytes, saved), saved);
    assert_true(book->valid);
    tb_book_set(book, TB_BUY, 90, 1);
    saved = tb_book_save(book, bytes, sizeof(bytes));
    bytes[saved - 3 * sizeof(struct tb_book_level) + 1] = 1; /* 90 + 256: not sorted */
    assert_int_equal(tb_book_load(book, bytes, saved), 0);
}

static void accepts_no_depth_and_no_book(void **state)
{
    (void)state;
    struct tb_book book;
    assert_true(tb_book_init(&book, 0) < 0);
    tb_book_fini(&book);
    tb_book_fini(NULL);
}

#define BOOK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOOK_TEST(agrees_with_a_naive_model),
        BOOK_TEST(extreme_prices_keep_their_order),
        BOOK_TEST(crossed_means_bid_at_or_above_ask),
        BOOK_TEST(is_valid_only_after_a_whole_snapshot),
        BOOK_TEST(an_event_shows_only_when_it_is_complete),
        BOOK_TEST(an_empty_snapshot_is_a_valid_empty_book),
        BOOK_TEST(a_clear_without_snapshot_is_not_valid),
        BOOK_TEST(a_gap_makes_it_invalid_until_the_next_snapshot),
        BOOK_TEST(a_gap_inside_a_snapshot_spoils_it),
        BOOK_TEST(maybe_bad_records_keep_it_invalid),
        BOOK_TEST(finer_records_rescale_it_and_coarser_ones_fit_in),
        BOOK_TEST(what_no_longer_fits_empties_it),
        BOOK_TEST(damaged_checkpoints_are_refused),
        cmocka_unit_test(accepts_no_depth_and_no_book),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
