/* Made-up data: pure in (seed, k), and such as a venue could have sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tickbus/book.h>

#include "producers/synth/synth.h"
#include "unit/random.h"

static const struct synth plain = {
    .seed = 42, .symbols = 3, .trades = 6, .quotes = 9, .levels = 11, .rate = 3};

static void record_k_depends_on_nothing_but_k(void **state)
{
    struct random *r = *state;
    for (int i = 0; i < 20000; i++) {
        uint64_t k = 1 + (uint64_t)random_magnitude(r, 44);
        struct tb_record a, b, between;
        synth_record(&plain, k, &a);
        synth_record(&plain, 1 + (uint64_t)random_magnitude(r, 44), &between);
        synth_record(&plain, k, &b);
        assert_memory_equal(&a, &b, sizeof(a));
    }
}

static void another_seed_makes_other_data(void **state)
{
    (void)state;
    struct synth other = plain;
    other.seed++;
    int same = 0;
    for (uint64_t k = 1; k <= 1000; k++) {
        struct tb_record a, b;
        synth_record(&plain, k, &a);
        synth_record(&other, k, &b);
        same += memcmp(&a, &b, sizeof(a)) == 0;
    }
    assert_true(same < 50); /* clears are alike */
    assert_true(synth_tag(&plain, true) != synth_tag(&other, true));
    other = plain;
    other.rate++;
    assert_true(synth_tag(&plain, true) == synth_tag(&other, true));
    assert_true(synth_tag(&plain, false) != synth_tag(&other, false));
}

static void books_are_whole_and_never_crossed_and_trade_ids_have_no_gap(void **state)
{
    (void)state;
    enum { RECORDS = 200000 };
    struct tb_book book[3];
    uint64_t last_id[3] = {0}, trades = 0, quotes = 0, events = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(tb_book_init(&book[i], 100), 0);
    uint16_t inside = 0; /* the instrument whose event is not complete */
    for (uint64_t k = 1; k <= RECORDS; k++) {
        struct tb_record r;
        synth_record(&plain, k, &r);
        assert_in_range(r.instrument, 1, 3);
        if (inside != 0)
            assert_int_equal(r.instrument, inside); /* events stand together */
        inside = (r.flags & TB_F_LAST) != 0 ? 0 : r.instrument;
        struct tb_book *b = &book[r.instrument - 1];
        if (tb_book_apply(b, &r, SYNTH_PRICE_EXP, SYNTH_SIZE_EXP)) {
            events++;
            assert_false(tb_book_crossed(b));
            assert_int_equal(b->bid.count, 5);
            assert_int_equal(b->ask.count, 5);
            assert_true(b->bid.level[0].price > 0);
        }
        if (r.type == TB_TRADE) {
            trades++;
            assert_int_equal(r.trade.trade_id, ++last_id[r.instrument - 1]);
            assert_true(r.trade.price > 0 && r.trade.size > 0);
        } else if (r.type == TB_QUOTE) {
            quotes++;
            assert_true(r.quote.bid_price < r.quote.ask_price);
            assert_true(r.quote.bid_size > 0 && r.quote.ask_size > 0);
        }
    }
    assert_in_range(trades, RECORDS * 6 / 26 - 26, RECORDS * 6 / 26 + 26);
    assert_in_range(quotes, RECORDS * 9 / 26 - 26, RECORDS * 9 / 26 + 26);
    assert_in_range(events, RECORDS / 26 - 1, RECORDS / 26 + 1);
    for (int i = 0; i < 3; i++)
        tb_book_fini(&book[i]);
}

static void prices_move_in_small_steps_and_stay_in_range(void **state)
{
    (void)state;
    struct synth s = plain;
    s.symbols = 1;
    s.levels = 0;
    int64_t last = 0, low = INT64_MAX, high = 0;
    for (uint64_t k = 1; k <= 2000000; k++) {
        struct tb_record r;
        synth_record(&s, k, &r);
        int64_t price = r.type == TB_TRADE ? r.trade.price : r.quote.bid_price;
        if (last != 0) {
            int64_t step = price > last ? price - last : last - price;
            assert_true(step * 500 < last); /* below 0.2 % */
        }
        last = price;
        low = price < low ? price : low;
        high = price > high ? price : high;
    }
    assert_true(high > low + low / 50); /* it does go somewhere */
    assert_true(high < low + low / 2);
}

static void event_times_have_no_drift(void **state)
{
    (void)state;
    assert_int_equal(synth_time(&plain, 1), 0);
    assert_int_equal(synth_time(&plain, 2), 333333333);
    assert_int_equal(synth_time(&plain, 3 * 86400 + 1), 86400 * TB_NS_PER_S);
    struct synth s = plain;
    s.step = 250;
    assert_int_equal(synth_time(&s, 5), 1000);
    s.start = 77;
    struct tb_record r;
    synth_record(&s, 5, &r);
    assert_int_equal(r.ts_event, 1077);
}

static void mixes_of_one_kind_are_fine(void **state)
{
    (void)state;
    static const struct {
        uint32_t trades, quotes, levels;
        uint8_t type;
    } cases[] = {{1, 0, 0, TB_TRADE}, {0, 1, 0, TB_QUOTE}, {7, 0, 0, TB_TRADE}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct synth s = {.seed = 1,
                          .symbols = 1000,
                          .rate = 1,
                          .trades = cases[i].trades,
                          .quotes = cases[i].quotes,
                          .levels = cases[i].levels};
        for (uint64_t k = 1; k < 5000; k++) {
            struct tb_record r;
            synth_record(&s, k, &r);
            assert_int_equal(r.type, cases[i].type);
        }
    }
    struct synth s = {.seed = 1, .symbols = 1, .rate = 1, .levels = 3};
    struct tb_record r[3];
    for (uint64_t k = 1; k <= 3; k++)
        synth_record(&s, k, &r[k - 1]);
    assert_int_equal(r[0].type, TB_CLEAR);
    assert_int_equal(r[1].level.side, TB_BUY);
    assert_int_equal(r[2].level.side, TB_SELL);
    assert_true((r[2].flags & TB_F_LAST) != 0);
}

static void instruments_are_fit_for_a_table(void **state)
{
    (void)state;
    for (uint16_t i = 1; i <= SYNTH_SYMBOLS_MAX; i++) {
        struct tb_instrument entry;
        synth_instrument(i, "synth", &entry);
        entry.market = i;
        assert_true(tb_instrument_check(&entry, i));
    }
}

int main(void)
{
    static struct random r;
    random_start(&r, "synth");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(record_k_depends_on_nothing_but_k, &r),
        cmocka_unit_test(another_seed_makes_other_data),
        cmocka_unit_test(books_are_whole_and_never_crossed_and_trade_ids_have_no_gap),
        cmocka_unit_test(prices_move_in_small_steps_and_stay_in_range),
        cmocka_unit_test(event_times_have_no_drift),
        cmocka_unit_test(mixes_of_one_kind_are_fine),
        cmocka_unit_test(instruments_are_fit_for_a_table),
    };
    return cmocka_run_group_tests_name("synth", tests, NULL, NULL);
}
