/* What the output of candles holds already: none of it is made twice, and nothing that follows it is held back. */
#include "unit/bus_fixture.h"

#include <tickbus/candle.h>

#include "consumers/candles/past.h"

#define MINUTE (60 * TB_NS_PER_S)
#define DONE 0 /* "trades" of a completed candle in what follows */

static const struct tb_instrument btc = {.venue = "v", .symbol = "BTC/USDT", .stream = "s"};
static const struct tb_instrument eth = {.venue = "v", .symbol = "ETH/USDT", .stream = "s"};

static void make(int minute, unsigned trades, enum tb_timeframe t, struct tb_record out[2])
{
    struct tb_candle candle = {.start = minute * MINUTE,
                               .open = 10,
                               .high = 12,
                               .low = 9,
                               .close = 11,
                               .volume = 5,
                               .turnover = 50,
                               .trades = trades == DONE ? 100 : trades};
    tb_candle_to_records(&candle, t, 1, trades != DONE, out);
}

/* The output holds this candle, and then this. */
static void add(struct candles_past *p, const struct tb_instrument *entry, int minute,
                unsigned trades)
{
    struct tb_record records[2];
    make(minute, trades, TB_TIMEFRAME_1M, records);
    candles_past_add(p, 7, entry, &records[0]);
    candles_past_add(p, 7, entry, &records[1]);
}

static bool has_of(struct candles_past *p, uint64_t epoch, const struct tb_instrument *entry,
                   int minute, unsigned trades)
{
    struct tb_record records[2];
    make(minute, trades, TB_TIMEFRAME_1M, records);
    return candles_past_has(p, epoch, entry, records);
}

static bool has(struct candles_past *p, int minute, unsigned trades)
{
    return has_of(p, 8, &btc, minute, trades);
}

static void what_is_there_is_not_made_again(void **state)
{
    struct candles_past p = {0};
    (void)state;
    add(&p, &btc, 1, 3);
    add(&p, &btc, 1, DONE);
    add(&p, &btc, 2, 4);
    assert_true(has(&p, 1, 3));
    assert_true(has(&p, 1, DONE));
    assert_true(has(&p, 2, 2));
    assert_true(has(&p, 2, 4));
    assert_false(has(&p, 2, 5));
    assert_false(has(&p, 2, DONE));
    assert_false(has(&p, 1, 3)); /* it was caught up with: from here on nothing is asked */
    assert_int_equal(candles_past_save_size(&p), 0);
    candles_past_fini(&p);
}

/* Writes of who was killed may land after the next life has found them missing and made them once more. */
static void a_stretch_that_is_there_twice_holds_nothing_back(void **state)
{
    struct candles_past p = {0};
    (void)state;
    for (int minute = 1; minute <= 4; minute++)
        add(&p, &btc, minute, DONE);
    for (int minute = 3; minute <= 4; minute++)
        add(&p, &btc, minute, DONE);
    for (int minute = 1; minute <= 4; minute++)
        assert_true(has(&p, minute, DONE));
    assert_false(has(&p, 5, 1));
    candles_past_fini(&p);
}

/* And whatever it ends in: it stays what was furthest that counts. */
static void a_stretch_that_begins_again_and_breaks_off_takes_nothing_back(void **state)
{
    struct candles_past p = {0};
    (void)state;
    for (int minute = 1; minute <= 4; minute++)
        add(&p, &btc, minute, DONE);
    add(&p, &btc, 2, DONE);
    assert_true(has(&p, 3, DONE));
    assert_true(has(&p, 4, DONE));
    assert_false(has(&p, 5, DONE));
    candles_past_fini(&p);
}

/* A recording that is played twice: the order begins anew, from its first candle. */
static void a_second_play_is_told_from_the_first(void **state)
{
    struct candles_past p = {0};
    (void)state;
    for (int play = 0; play < 2; play++)
        for (int minute = 1; minute <= 3 - play; minute++)
            add(&p, &btc, minute, DONE);
    for (int minute = 1; minute <= 3; minute++)
        assert_true(has(&p, minute, DONE)); /* the first play */
    assert_true(has(&p, 1, DONE));
    assert_true(has(&p, 2, DONE));
    assert_false(has(&p, 3, DONE)); /* of the second: not there yet */
    candles_past_fini(&p);
}

/* Whose inputs do not reach back as far begins at what is there, and not when it has played as often. */
static void what_older_plays_were_made_of_is_not_waited_for(void **state)
{
    struct candles_past p = {0};
    (void)state;
    for (int play = 0; play < 3; play++)
        for (int minute = 1; minute <= 3; minute++)
            add(&p, &btc, minute, DONE);
    struct tb_record records[2];
    make(3, DONE, TB_TIMEFRAME_1M, records);
    for (int i = 0; i < 2; i++)
        candles_past_add(&p, 6, &eth, &records[i]);
    assert_true(has(&p, 1, DONE)); /* all that is there: the fourth play has begun */
    assert_int_equal(candles_past_meet(&p, "another"), 0);
    assert_true(has(&p, 2, 3));
    assert_int_equal(candles_past_meet(&p, "s"), 1);
    assert_false(has(&p, 2, DONE));
    assert_true(
        has_of(&p, 9, &eth, 3, DONE)); /* played once, as it is now: held against it as ever */
    assert_false(has_of(&p, 9, &eth, 4, 1));
    assert_int_equal(candles_past_meet(&p, "s"), 0);
    candles_past_fini(&p);
}

static void half_a_candle_comes_again(void **state)
{
    struct candles_past p = {0};
    struct tb_record records[2];
    (void)state;
    add(&p, &btc, 1, DONE);
    make(2, DONE, TB_TIMEFRAME_1M, records);
    candles_past_add(&p, 7, &btc, &records[0]);
    assert_true(has(&p, 1, DONE));
    assert_false(has(&p, 2, DONE));
    candles_past_fini(&p);
}

static void markets_and_timeframes_are_apart(void **state)
{
    struct candles_past p = {0};
    struct tb_record hour[2];
    (void)state;
    add(&p, &btc, 5, DONE);
    make(0, DONE, TB_TIMEFRAME_1H, hour);
    assert_false(candles_past_has(&p, 8, &btc, hour));
    assert_false(has_of(&p, 9, &eth, 1, DONE)); /* the same id, in another epoch */
    assert_true(has_of(&p, 10, &btc, 5, DONE));
    candles_past_fini(&p);
}

static void a_saved_one_goes_on(void **state)
{
    struct candles_past p = {0}, q = {0};
    char bytes[16384];
    (void)state;
    for (int minute = 1; minute <= 4; minute++)
        add(&p, &btc, minute, DONE);
    add(&p, &btc, 3, DONE);
    assert_true(has(&p, 2, DONE));
    size_t count = candles_past_save_size(&p);
    assert_in_range(count, 1, sizeof(bytes));
    candles_past_save(&p, bytes);
    assert_int_equal(candles_past_load(&q, bytes, count - 1), -EINVAL);
    assert_int_equal(candles_past_load(&q, bytes, count), 0);
    assert_true(has(&q, 4, DONE));
    assert_false(has(&q, 5, 1));
    candles_past_fini(&p);
    candles_past_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_not_made_again),
        cmocka_unit_test(a_stretch_that_is_there_twice_holds_nothing_back),
        cmocka_unit_test(a_stretch_that_begins_again_and_breaks_off_takes_nothing_back),
        cmocka_unit_test(a_second_play_is_told_from_the_first),
        cmocka_unit_test(what_older_plays_were_made_of_is_not_waited_for),
        cmocka_unit_test(half_a_candle_comes_again),
        cmocka_unit_test(markets_and_timeframes_are_apart),
        cmocka_unit_test(a_saved_one_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
