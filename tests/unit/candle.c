/* Candles: buckets, completion, sums, and their way through records. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <tickbus/candle.h>

#include "unit/random.h"

#define S TB_NS_PER_S

struct completed {
    enum tb_timeframe timeframe;
    struct tb_candle candle;
};

struct completions {
    struct completed item[64];
    size_t count;
};

static void on_completed(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    struct completions *c = context;
    assert_true(c->count < TB_COUNT(c->item));
    c->item[c->count++] = (struct completed){timeframe, *candle};
}

static void ignore(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    (void)context, (void)timeframe, (void)candle;
}

static void trade(struct tb_candles *c, struct completions *done, tb_ns t, int64_t price,
                  int64_t size, uint8_t side)
{
    tb_candles_trade(c, t, t + 5, price, size, side, 1, on_completed, done);
}

static void names_and_widths_agree(void **state)
{
    (void)state;
    for (int i = 0; i < TB_TIMEFRAMES; i++)
        assert_int_equal(tb_timeframe_parse(tb_timeframe_name[i]), i);
    assert_int_equal(tb_timeframe_parse("2m"), -EINVAL);
    assert_int_equal(tb_timeframe_parse(""), -EINVAL);
    assert_int_equal(tb_timeframe_width[TB_TIMEFRAME_4H], 4 * 3600 * S);
    assert_int_equal(tb_timeframe_width[TB_TIMEFRAME_1D], 86400 * S);
}

static void buckets_are_half_open_also_before_1970(void **state)
{
    (void)state;
    assert_int_equal(tb_bucket_start(0, TB_TIMEFRAME_1M), 0);
    assert_int_equal(tb_bucket_start(60 * S - 1, TB_TIMEFRAME_1M), 0);
    assert_int_equal(tb_bucket_start(60 * S, TB_TIMEFRAME_1M), 60 * S);
    assert_int_equal(tb_bucket_start(-1, TB_TIMEFRAME_1M), -60 * S);
    assert_int_equal(tb_bucket_start(-60 * S, TB_TIMEFRAME_1M), -60 * S);
    assert_int_equal(tb_bucket_start(INT64_C(1723161599999000000), TB_TIMEFRAME_1D),
                     INT64_C(1723075200000000000));
    assert_int_equal(tb_bucket_start(INT64_MIN, TB_TIMEFRAME_1D), INT64_MIN);
}

static void opens_at_the_first_trade_and_sums_the_rest(void **state)
{
    (void)state;
    struct tb_candles c;
    struct completions done = {.count = 0};
    tb_candles_init(&c, -2, -5);
    trade(&c, &done, 61 * S, 100, 2, TB_BUY);
    trade(&c, &done, 61 * S, 120, 3, TB_SELL);
    trade(&c, &done, 61 * S + 1, 90, 4, TB_BUY);
    trade(&c, &done, 61 * S + 2, 95, 1, TB_NO_SIDE);
    tb_candles_settle(&c);
    assert_int_equal(done.count, 0);
    for (int i = 0; i < TB_TIMEFRAMES; i++) {
        const struct tb_candle *k = &c.candle[i];
        assert_int_equal(k->open, 100);
        assert_int_equal(k->high, 120);
        assert_int_equal(k->low, 90);
        assert_int_equal(k->close, 95);
        assert_int_equal(k->volume, 10);
        assert_int_equal(k->taker_buy_volume, 6);
        assert_true(k->turnover == 200 + 360 + 360 + 95);
        assert_int_equal(k->trades, 4);
        assert_int_equal(k->ts_recv, 61 * S + 7);
        assert_int_equal(k->start, tb_bucket_start(61 * S, (enum tb_timeframe)i));
    }
    assert_int_equal(c.changed, 0xFF);
}

static void a_later_bucket_completes_the_shortest_first(void **state)
{
    (void)state;
    struct tb_candles c;
    struct completions done = {.count = 0};
    tb_candles_init(&c, 0, 0);
    trade(&c, &done, 299 * S, 10, 1, TB_BUY);
    trade(&c, &done, 301 * S, 11, 1,
          TB_BUY); /* skips second 300; crosses minute and five minutes */
    assert_int_equal(done.count, 3);
    assert_int_equal(done.item[0].timeframe, TB_TIMEFRAME_1S);
    assert_int_equal(done.item[0].candle.start, 299 * S);
    assert_int_equal(done.item[1].timeframe, TB_TIMEFRAME_1M);
    assert_int_equal(done.item[1].candle.start, 240 * S);
    assert_int_equal(done.item[2].timeframe, TB_TIMEFRAME_5M);
    assert_int_equal(done.item[2].candle.close, 10);
    tb_candles_settle(&c);
    assert_int_equal(c.candle[TB_TIMEFRAME_5M].open, 11);
    assert_int_equal(c.candle[TB_TIMEFRAME_15M].trades, 2);
}

static void an_older_trade_is_late_only_where_its_bucket_is_closed(void **state)
{
    (void)state;
    struct tb_candles c;
    struct completions done = {.count = 0};
    tb_candles_init(&c, 0, 0);
    trade(&c, &done, 10 * S, 10, 1, TB_BUY);
    trade(&c, &done, 12 * S, 11, 1, TB_BUY);
    trade(&c, &done, 11 * S, 99, 7, TB_BUY); /* late for its second, in time for its minute */
    tb_candles_settle(&c);
    assert_int_equal(c.late, 1);
    assert_int_equal(c.candle[TB_TIMEFRAME_1S].volume, 1);
    assert_int_equal(c.candle[TB_TIMEFRAME_1M].volume, 9);
    assert_int_equal(c.candle[TB_TIMEFRAME_1M].high, 99);
    trade(&c, &done, 12 * S, 12, 1, TB_BUY); /* the very start is in */
    tb_candles_settle(&c);
    assert_int_equal(c.candle[TB_TIMEFRAME_1S].volume, 2);
    assert_int_equal(c.late, 1);
}

static void merged_trades_count_as_many_and_none_as_one(void **state)
{
    (void)state;
    struct tb_candles c;
    tb_candles_init(&c, 0, 0);
    tb_candles_trade(&c, S, 0, 1, 1, TB_BUY, 7, ignore, NULL);
    tb_candles_trade(&c, S, 0, 1, 1, TB_BUY, 0, ignore, NULL);
    tb_candles_settle(&c);
    assert_int_equal(c.candle[0].trades, 8);
    c.candle[0].trades = UINT32_MAX - 1;
    tb_candles_trade(&c, S, 0, 1, 1, TB_BUY, 7, ignore, NULL);
    tb_candles_settle(&c);
    assert_int_equal(c.candle[0].trades, UINT32_MAX);
}

static void sums_that_do_not_fit_stay_at_the_limit_and_are_counted(void **state)
{
    (void)state;
    struct tb_candles c;
    tb_candles_init(&c, -18, -18);
    tb_candles_trade(&c, S, 0, 1, INT64_MAX, TB_BUY, 1, ignore, NULL);
    assert_int_equal(c.overflows, 0);
    tb_candles_trade(&c, S, 0, 1, 5, TB_BUY, 1, ignore, NULL);
    tb_candles_settle(&c);
    assert_int_equal(c.candle[0].volume, INT64_MAX);
    assert_int_equal(c.candle[0].taker_buy_volume, INT64_MAX);
    assert_int_equal(c.overflows, 2 * TB_TIMEFRAMES);
    tb_candles_trade(&c, S, 0, INT64_MAX, INT64_MAX, TB_SELL, 1, ignore, NULL);
    tb_candles_settle(&c);
    __int128 most = (((__int128)1) << 95) - 1;
    assert_true(c.candle[0].turnover == most);
    assert_int_equal(c.overflows, 4 * TB_TIMEFRAMES);
    struct tb_record r[2];
    struct tb_candle back;
    enum tb_timeframe timeframe;
    tb_candle_to_records(&c.candle[0], TB_TIMEFRAME_1S, 3, false, r);
    assert_true(tb_candle_from_records(&r[0], &r[1], &back, &timeframe, NULL));
    assert_true(back.turnover == most);
    tb_candles_init(&c, -18, -18);
    for (int i = 0; i < 3; i++)
        tb_candles_trade(&c, S, 0, INT64_MIN, INT64_MAX, TB_SELL, 1, ignore, NULL);
    tb_candles_settle(&c);
    assert_true(c.candle[0].turnover == -most - 1);
}

static void absurd_times_do_no_harm(void **state)
{
    (void)state;
    struct tb_candles c;
    struct completions done = {.count = 0};
    tb_candles_init(&c, 0, 0);
    trade(&c, &done, INT64_MIN + 4, 1, 1, TB_BUY);
    trade(&c, &done, INT64_MAX - 5, 2, 1, TB_BUY);
    assert_int_equal(done.count, TB_TIMEFRAMES);
    trade(&c, &done, 0, 3, 1, TB_BUY);
    assert_int_equal(c.late, TB_TIMEFRAMES);
}

static void refining_multiplies_exactly(void **state)
{
    (void)state;
    struct tb_candles c;
    tb_candles_init(&c, -2, -5);
    tb_candles_trade(&c, S, 9, 12345, 67, TB_BUY, 1, ignore, NULL);
    assert_int_equal(tb_candles_refine(&c, -3, -8), 0);
    for (int i = 0; i < TB_TIMEFRAMES; i++) {
        assert_int_equal(c.candle[i].open, 123450);
        assert_int_equal(c.candle[i].volume, 67000);
        assert_int_equal(c.candle[i].taker_buy_volume, 67000);
        assert_true(c.candle[i].turnover == (__int128)123450 * 67000);
    }
    assert_int_equal(c.price_exp, -3);
    assert_int_equal(c.size_exp, -8);
}

static void refining_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    struct tb_candles c;
    tb_candles_init(&c, -2, -5);
    tb_candles_trade(&c, S, 9, INT64_MAX / 50, 67, TB_BUY, 1, ignore, NULL);
    struct tb_candles before = c;
    assert_int_equal(tb_candles_refine(&c, -4, -5), -ERANGE);  /* prices */
    assert_int_equal(tb_candles_refine(&c, -2, -18), -ERANGE); /* turnover */
    assert_int_equal(tb_candles_refine(&c, -1, -5), -ERANGE);  /* coarser */
    assert_memory_equal(&c, &before, sizeof(c));
}

static void records_hold_the_whole_candle(void **state)
{
    struct random *r = *state;
    for (int i = 0; i < 100000; i++) {
        struct tb_candle k = {
            .start = (int64_t)random_next(r),
            .ts_recv = (int64_t)random_next(r),
            .open = (int64_t)random_next(r),
            .high = (int64_t)random_next(r),
            .low = (int64_t)random_next(r),
            .close = (int64_t)random_next(r),
            .volume = (int64_t)random_next(r),
            .taker_buy_volume = (int64_t)random_next(r),
            .turnover = (__int128)(int32_t)random_next(r) * ((__int128)1 << 64) + random_next(r),
            .trades = (uint32_t)random_next(r),
        };
        enum tb_timeframe timeframe = (enum tb_timeframe)random_below(r, TB_TIMEFRAMES), got;
        bool forming = random_below(r, 2) != 0, got_forming;
        struct tb_record records[2];
        struct tb_candle back;
        tb_candle_to_records(&k, timeframe, 77, forming, records);
        assert_int_equal(records[0].instrument, 77);
        assert_int_equal(records[0].flags & TB_F_LAST, 0);
        assert_int_equal(records[1].flags & TB_F_LAST, TB_F_LAST);
        assert_true(tb_record_is_candle(&records[0]) && tb_record_is_candle(&records[1]));
        assert_int_equal(tb_record_timeframe(&records[1]), timeframe);
        assert_true(tb_candle_from_records(&records[0], &records[1], &back, &got, &got_forming));
        assert_memory_equal(&back, &k, sizeof(k));
        assert_int_equal(got, timeframe);
        assert_int_equal(got_forming, forming);
    }
}

static void records_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    struct tb_candle k = {.start = 60 * S, .trades = 1}, back;
    enum tb_timeframe timeframe;
    struct tb_record r[2], other[2];
    tb_candle_to_records(&k, TB_TIMEFRAME_1M, 1, false, r);
    assert_false(tb_candle_from_records(&r[1], &r[0], &back, &timeframe, NULL));
    assert_false(tb_candle_from_records(&r[0], &r[0], &back, &timeframe, NULL));
    tb_candle_to_records(&k, TB_TIMEFRAME_5M, 1, false, other);
    assert_false(tb_candle_from_records(&r[0], &other[1], &back, &timeframe, NULL));
    tb_candle_to_records(&k, TB_TIMEFRAME_1M, 2, false, other);
    assert_false(tb_candle_from_records(&r[0], &other[1], &back, &timeframe, NULL));
    tb_candle_to_records(&k, TB_TIMEFRAME_1M, 1, true, other);
    assert_false(tb_candle_from_records(&r[0], &other[1], &back, &timeframe, NULL));
    k.start = 120 * S;
    tb_candle_to_records(&k, TB_TIMEFRAME_1M, 1, false, other);
    assert_false(tb_candle_from_records(&r[0], &other[1], &back, &timeframe, NULL));
    r[0].type = TB_TRADE;
    assert_false(tb_candle_from_records(&r[0], &r[1], &back, &timeframe, NULL));
}

/* What timeframes have in common: the hour's candle is made of the minutes' candles. */
static void long_candles_are_the_sum_of_the_short_ones(void **state)
{
    struct random *r = *state;
    struct tb_candles c;
    struct completions done = {.count = 0};
    struct tb_candle sum = {0};
    tb_candles_init(&c, 0, 0);
    size_t days = 0;
    for (tb_ns t = 0; days < 3; t += (tb_ns)random_below(r, 90) * S) {
        done.count = 0;
        trade(&c, &done, t, 1 + random_magnitude(r, 30), random_magnitude(r, 30), TB_BUY);
        for (size_t i = 0; i < done.count; i++) {
            const struct tb_candle *k = &done.item[i].candle;
            if (done.item[i].timeframe == TB_TIMEFRAME_1M) {
                if (sum.trades == 0)
                    sum = *k;
                else {
                    sum.high = k->high > sum.high ? k->high : sum.high;
                    sum.low = k->low < sum.low ? k->low : sum.low;
                    sum.close = k->close;
                    sum.ts_recv = k->ts_recv;
                    sum.volume += k->volume;
                    sum.taker_buy_volume += k->taker_buy_volume;
                    sum.turnover += k->turnover;
                    sum.trades += k->trades;
                }
            } else if (done.item[i].timeframe == TB_TIMEFRAME_1D) {
                sum.start = k->start;
                assert_memory_equal(&sum, k, sizeof(sum));
                sum.trades = 0;
                days++;
            }
        }
    }
}

struct digest {
    uint64_t completed, hash;
};

static void digest(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    struct digest *d = context;
    struct tb_record r[2];
    tb_candle_to_records(candle, timeframe, 1, false, r);
    d->completed++;
    for (size_t i = 0; i < sizeof(r); i++)
        d->hash = (d->hash ^ ((const unsigned char *)r)[i]) * 1099511628211u;
}

/* Trades that come late, are negative, or so large that sums are held at their limits. */
static void summing_a_second_at_once_is_as_one_by_one(void **state)
{
    struct random *r = *state;
    for (int round = 0; round < 400; round++) {
        struct tb_candles one, many;
        struct digest of_one = {0}, of_many = {0};
        unsigned bits = (unsigned)round % 63 + 1;
        tb_ns t = (tb_ns)random_below(r, 1u << 30) * S;
        tb_candles_init(&one, 0, 0);
        tb_candles_init(&many, 0, 0);
        for (int i = 0; i < 500; i++) {
            t += random_below(r, 20) == 0 ? (tb_ns)random_below(r, 4000) * S - 1000 * S
                                          : (tb_ns)random_below(r, S / 20);
            int64_t price = random_magnitude(r, bits), size = random_magnitude(r, 63);
            if (random_below(r, 50) == 0)
                price = -price;
            uint8_t side = random_below(r, 2) != 0 ? TB_BUY : TB_SELL;
            one.recent.width = 0; /* takes none */
            tb_candles_trade(&one, t, t + 1, price, size, side, 1, digest, &of_one);
            tb_candles_trade(&many, t, t + 1, price, size, side, 1, digest, &of_many);
            if (random_below(r, 100) == 0)
                tb_candles_settle(&many);
        }
        tb_candles_settle(&many);
        assert_int_equal(one.recent.trades, 0);
        assert_memory_equal(one.candle, many.candle, sizeof(one.candle));
        assert_int_equal(one.late, many.late);
        assert_int_equal(of_one.completed, of_many.completed);
        assert_true(of_one.hash == of_many.hash);
    }
}

int main(void)
{
    static struct random r;
    random_start(&r, "candle");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_widths_agree),
        cmocka_unit_test(buckets_are_half_open_also_before_1970),
        cmocka_unit_test(opens_at_the_first_trade_and_sums_the_rest),
        cmocka_unit_test(a_later_bucket_completes_the_shortest_first),
        cmocka_unit_test(an_older_trade_is_late_only_where_its_bucket_is_closed),
        cmocka_unit_test(merged_trades_count_as_many_and_none_as_one),
        cmocka_unit_test(sums_that_do_not_fit_stay_at_the_limit_and_are_counted),
        cmocka_unit_test(absurd_times_do_no_harm),
        cmocka_unit_test(refining_multiplies_exactly),
        cmocka_unit_test(refining_that_does_not_fit_changes_nothing),
        cmocka_unit_test_prestate(records_hold_the_whole_candle, &r),
        cmocka_unit_test(records_that_do_not_belong_together_are_refused),
        cmocka_unit_test_prestate(long_candles_are_the_sum_of_the_short_ones, &r),
        cmocka_unit_test_prestate(summing_a_second_at_once_is_as_one_by_one, &r),
    };
    return cmocka_run_group_tests_name("candle", tests, NULL, NULL);
}
