/* The candles service's logic: when candles are given out, and that a restart changes nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/candles/candles.h"
#include "unit/random.h"

#define S TB_NS_PER_S
#define MS TB_NS_PER_MS
#define OUT_MAX 400000

/* Two inputs with the same table: market 1 with entries 1 and 3 (finer price), 4 (finer size only),
 * market 2 with entry 2. */
struct fixture {
    struct candles c;
    struct tb_instrument entry[4];
    struct tb_record *out;
    unsigned *out_input;
    size_t out_count;
    uint16_t mirrored; /* output ids given, in fact (input, id) pairs */
    int publish_rc;
};

static const struct tb_instrument *instrument(void *context, unsigned input, uint16_t id)
{
    struct fixture *f = context;
    (void)input;
    return id >= 1 && id <= TB_COUNT(f->entry) ? &f->entry[id - 1] : NULL;
}

/* An id that says what it stands for: 1000 * input + 100 * id + 10 * -price_exp + -size_exp. */
static uint16_t mirror(void *context, unsigned input, uint16_t id, int8_t price_exp,
                       int8_t size_exp)
{
    struct fixture *f = context;
    f->mirrored++;
    return (uint16_t)(1000 * input + 100U * id + (unsigned)(10 * -price_exp) + (unsigned)-size_exp);
}

static int publish(void *context, unsigned input, struct tb_record *records, size_t count)
{
    struct fixture *f = context;
    if (f->publish_rc != 0)
        return f->publish_rc;
    assert_true(f->out_count + count <= OUT_MAX);
    for (size_t i = 0; i < count; i++) {
        f->out_input[f->out_count] = input;
        f->out[f->out_count++] = records[i];
    }
    return 0;
}

static void fixture_start(struct fixture *f, uint32_t markets_max, tb_ns forming_every)
{
    const struct candles_host host = {f, instrument, mirror, publish};
    assert_int_equal(candles_init(&f->c, &host, markets_max, forming_every), 0);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    f.out = calloc(OUT_MAX, sizeof(*f.out));
    f.out_input = calloc(OUT_MAX, sizeof(*f.out_input));
    f.entry[0] = (struct tb_instrument){.price_exp = -2, .size_exp = -3, .market = 1};
    f.entry[1] = (struct tb_instrument){.price_exp = 0, .size_exp = 0, .market = 2};
    f.entry[2] = (struct tb_instrument){.price_exp = -3, .size_exp = -3, .market = 1};
    f.entry[3] = (struct tb_instrument){.price_exp = -2, .size_exp = -5, .market = 1};
    for (size_t i = 0; i < TB_COUNT(f.entry); i++)
        strcpy(f.entry[i].symbol, f.entry[i].market == 1 ? "A/B" : "C/D");
    *state = &f;
    return f.out == NULL || f.out_input == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    candles_fini(&f->c);
    free(f->out);
    free(f->out_input);
    return 0;
}

static struct tb_record trade(uint16_t id, tb_ns time, int64_t price, int64_t size)
{
    struct tb_record r = {
        .type = TB_TRADE, .instrument = id, .ts_event = time, .ts_recv = time + 1};
    r.trade = (struct tb_trade){.price = price, .size = size, .side = TB_BUY, .count = 1};
    return r;
}

static void add(struct fixture *f, struct tb_record r)
{
    assert_int_equal(candles_record(&f->c, 0, &r), 0);
}

static size_t count_out(const struct fixture *f, uint8_t type, bool forming)
{
    size_t found = 0;
    for (size_t i = 0; i < f->out_count; i++)
        found += f->out[i].type == type && ((f->out[i].flags & TB_F_FORMING) != 0) == forming;
    return found;
}

static void forming_candles_come_at_most_once_per_interval(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 100 * MS);
    add(f, trade(1, 1000 * S, 5, 1));
    assert_int_equal(f->out_count, 2 * TB_TIMEFRAMES); /* the first change is given out at once */
    for (int i = 1; i < 100; i++)
        add(f, trade(1, 1000 * S + i * MS, 5 + i, 1));
    assert_int_equal(f->out_count, 2 * TB_TIMEFRAMES);
    add(f, trade(1, 1000 * S + 100 * MS, 7, 1));
    assert_int_equal(f->out_count, 4 * TB_TIMEFRAMES);
    const struct tb_record *last = &f->out[f->out_count - 2];
    assert_int_equal(last->type, TB_CANDLE + TB_TIMEFRAME_1D);
    assert_int_equal(last->candle.high, 104);
    assert_int_equal(last->instrument, 123);
    assert_int_equal(last[1].candle_volume.trades, 101);
    assert_int_equal(last[1].flags, TB_F_LAST | TB_F_FORMING);
}

static void other_records_of_the_market_tell_the_time(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 100 * MS);
    struct tb_record quote = {.type = TB_QUOTE, .instrument = 1, .ts_event = 999 * S};
    add(f, quote); /* no candles yet */
    add(f, trade(1, 1000 * S, 5, 1));
    add(f, trade(1, 1000 * S + 50 * MS, 6, 1));
    size_t before = f->out_count;
    quote.ts_event = 1000 * S + 99 * MS;
    add(f, quote);
    quote.ts_event = 0; /* a venue that gives quotes no time */
    add(f, quote);
    assert_int_equal(f->out_count, before);
    quote.ts_event = 1000 * S + 100 * MS;
    quote.instrument = 2; /* of another market */
    add(f, quote);
    assert_int_equal(f->out_count, before);
    quote.instrument = 1;
    add(f, quote);
    assert_int_equal(f->out_count, before + 2 * TB_TIMEFRAMES);
    quote.ts_event = 1001 * S;
    add(f, quote); /* nothing changed since */
    assert_int_equal(f->out_count, before + 2 * TB_TIMEFRAMES);
}

static void completed_candles_come_always_and_first(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 3600 * S);
    for (int i = 0; i < 10; i++)
        add(f, trade(1, (36000 + i) * S, 5, 1));
    assert_int_equal(count_out(f, TB_CANDLE + TB_TIMEFRAME_1S, false), 9);
    assert_int_equal(count_out(f, TB_CANDLE + TB_TIMEFRAME_1S, true), 1);
    add(f, trade(1, 36060 * S, 5, 1));
    assert_int_equal(count_out(f, TB_CANDLE + TB_TIMEFRAME_1M, false), 1);
    assert_int_equal(f->c.counts.completed, 11);
}

static void with_interval_0_forming_candles_come_only_by_a_flush(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 0);
    for (int i = 0; i < 10; i++)
        add(f, trade(1, 60 * S + i * 500 * MS, 5, 1));
    assert_int_equal(count_out(f, TB_CANDLE + TB_TIMEFRAME_1M, true), 0);
    assert_int_equal(candles_flush(&f->c, 0), 0);
    for (unsigned i = 0; i < TB_TIMEFRAMES; i++)
        assert_int_equal(count_out(f, (uint8_t)(TB_CANDLE + i), true), 1);
    size_t before = f->out_count;
    assert_int_equal(candles_flush(&f->c, 0), 0); /* nothing changed since */
    assert_int_equal(f->out_count, before);
}

static void one_absurd_time_does_not_silence_a_market(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 100 * MS);
    struct tb_record quote = {.type = TB_QUOTE, .instrument = 1, .ts_event = INT64_MAX};
    add(f, trade(1, 1000 * S, 5, 1));
    add(f, trade(1, 1000 * S + 1, 5, 1));
    add(f, quote);
    size_t before = f->out_count;
    add(f, trade(1, 1000 * S + 2, 5, 1));
    assert_int_equal(f->out_count, before + 2 * TB_TIMEFRAMES);
}

static void a_finer_entry_rescales_the_open_candles(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 0);
    add(f, trade(1, 60 * S, 500, 7));
    add(f, trade(3, 60 * S, 5001, 8));
    add(f, trade(1, 60 * S, 499, 1)); /* the coarser entry goes on being understood */
    assert_int_equal(f->c.market_count, 1);
    assert_int_equal(candles_flush(&f->c, 0), 0);
    const struct tb_record *r = &f->out[0];
    assert_int_equal(r->instrument, 333);
    assert_int_equal(r->candle.open, 5000);
    assert_int_equal(r->candle.high, 5001);
    assert_int_equal(r->candle.low, 4990);
    assert_int_equal(r[1].candle_volume.volume, 16);
    add(f, trade(4, 60 * S, 500, 100)); /* finer size, coarser price: both are kept */
    f->out_count = 0;
    assert_int_equal(candles_flush(&f->c, 0), 0);
    assert_int_equal(r->instrument, 435);
    assert_int_equal(r->candle.close, 5000);
    assert_int_equal(r[1].candle_volume.volume, 1700);
    assert_true(r[1].candle_volume.turnover_low ==
                5000 * 700 + 5001 * 800 + 4990 * 100 + 5000 * 100);
}

static void what_does_not_fit_is_refused_and_counted(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 1, 0);
    add(f, trade(1, 60 * S, INT64_MAX / 5, 7));
    add(f, trade(3, 60 * S, 5001, 8)); /* the open candle can not be refined */
    add(f, trade(2, 60 * S, 1, 1));    /* a second market */
    add(f, trade(9, 60 * S, 1, 1));    /* no such entry */
    add(f, trade(UINT16_MAX, 60 * S, 1, 1));
    assert_int_equal(f->c.counts.refused, 4);
    assert_int_equal(f->c.counts.trades, 1);
    assert_int_equal(f->c.market_count, 1);
    add(f, trade(1, 86400 * S * 2, 100, 7)); /* a new day: all buckets are small again */
    add(f, trade(3, 86400 * S * 2, 1001, 7));
    assert_int_equal(f->c.counts.refused, 4);
}

static void gaps_in_trades_are_counted(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 0);
    struct tb_record gap = {.type = TB_GAP, .instrument = 1};
    gap.gap.missing = 7;
    gap.gap.channel = TB_CHANNEL_BOOK;
    add(f, gap);
    gap.gap.channel = TB_CHANNEL_TRADES;
    add(f, gap);
    assert_int_equal(f->c.counts.gaps, 1);
    assert_int_equal(f->c.counts.missing, 7);
}

static void after_a_failed_publish_nothing_is_saved(void **state)
{
    struct fixture *f = *state;
    char bytes[4096];
    fixture_start(f, 8, 100 * MS);
    add(f, trade(1, 60 * S, 5, 1));
    assert_true(candles_save(&f->c, bytes, sizeof(bytes)) > 0);
    f->publish_rc = -EINTR;
    struct tb_record r = trade(1, 70 * S, 5, 1);
    assert_int_equal(candles_record(&f->c, 0, &r), -EINTR);
    assert_int_equal(candles_save(&f->c, bytes, sizeof(bytes)), 0);
    f->publish_rc = 0;
    assert_int_equal(candles_record(&f->c, 0, &r), -EINTR); /* for good: the next life goes on */
}

static struct tb_candle of(struct fixture *f, uint32_t market)
{
    tb_candles_settle(&f->c.markets[market].candles);
    return f->c.markets[market].candles.candle[TB_TIMEFRAME_1M];
}

/* The host was started anew: the same market under another id, some trades later. */
static void open_candles_go_on_in_a_new_epoch(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 0);
    struct tb_record r = trade(1, 60 * S, 5, 1), later = trade(3, 70 * S, 7, 2);
    assert_int_equal(candles_record(&f->c, 0, &r), 0);
    assert_int_equal(candles_record(&f->c, 1, &r), 0);
    candles_epoch(&f->c, 0);
    f->entry[2] = f->entry[0];
    f->entry[2].market = 3;
    assert_int_equal(candles_record(&f->c, 0, &later), 0);
    assert_int_equal(f->c.market_count, 2);
    assert_int_equal(of(f, 0).trades, 2);
    assert_int_equal(of(f, 0).volume, 3);
    assert_int_equal(of(f, 1).trades, 1);
}

/* A recording is played again: its candles are new ones, and those of the other input are untouched. */
static void time_that_begins_anew_begins_new_candles(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 8, 0);
    struct tb_record r = trade(1, 70 * S, 5, 1), again = trade(1, 60 * S, 7, 2);
    assert_int_equal(candles_record(&f->c, 0, &r), 0);
    assert_int_equal(candles_record(&f->c, 1, &r), 0);
    candles_epoch(&f->c, 0);
    assert_int_equal(candles_record(&f->c, 0, &again), 0);
    assert_int_equal(of(f, 0).trades, 1);
    assert_int_equal(of(f, 0).open, 7);
    assert_int_equal(candles_late(&f->c), 0);
    assert_int_equal(of(f, 1).trades, 1);
}

/* A market that did not come back makes room when there is none. */
static void markets_of_past_epochs_make_room(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, 1, 0);
    struct tb_record r = trade(1, 70 * S, 5, 1), other = trade(2, 80 * S, 7, 2);
    assert_int_equal(candles_record(&f->c, 0, &r), 0);
    assert_int_equal(candles_record(&f->c, 0, &other), 0);
    assert_int_equal(f->c.counts.refused, 1);
    candles_epoch(&f->c, 0);
    assert_int_equal(candles_record(&f->c, 0, &other), 0);
    assert_int_equal(f->c.counts.refused, 1);
    assert_int_equal(f->c.market_count, 1);
    assert_int_equal(of(f, 0).open, 7);
}

static void damaged_states_are_refused(void **state)
{
    struct fixture *f = *state;
    char bytes[8192];
    fixture_start(f, 8, 0);
    add(f, trade(1, 60 * S, 5, 1));
    size_t saved = candles_save(&f->c, bytes, sizeof(bytes));
    assert_int_equal(saved, candles_save_size(&f->c));
    assert_int_equal(candles_save(&f->c, bytes, saved - 1), 0);
    for (size_t i = 0; i < saved; i++)
        assert_int_equal(candles_load(&f->c, bytes, i), -EINVAL);
    assert_int_equal(candles_load(&f->c, bytes, saved), 0);
    bytes[0] ^= 1;
    assert_int_equal(candles_load(&f->c, bytes, saved), -EINVAL);
}

/* A stream of everything that changes the output: trades, quotes, finer entries, two inputs. */
static void random_record(struct random *r, tb_ns *time, unsigned *out_input, struct tb_record *out)
{
    *time += (tb_ns)random_below(r, 40) * MS;
    *out_input = (unsigned)random_below(r, 2);
    uint16_t id = (uint16_t)(1 + random_below(r, 100) / 33);
    if (random_below(r, 500) == 0)
        id = 4;
    if (random_below(r, 3) != 0) {
        *out = trade(id, *time, 1000 + random_magnitude(r, 8), 1 + random_magnitude(r, 20));
        return;
    }
    *out = (struct tb_record){.type = TB_QUOTE, .instrument = id, .ts_event = *time};
}

/*
 * Killed again and again: back to the state of a checkpoint, the records since then once more. What
 * is made must be the same each time, also through a flush that was begun.
 */
static void a_restart_from_any_checkpoint_makes_the_same_records(void **state)
{
    struct fixture *f = *state;
    struct random r;
    random_start(&r, "candle_service");
    enum { COUNT = 4000 };
    static struct tb_record in[COUNT];
    static unsigned input[COUNT];
    tb_ns time = 1000 * S;
    for (int i = 0; i < COUNT; i++)
        random_record(&r, &time, &input[i], &in[i]);
    fixture_start(f, 8, 100 * MS);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(candles_record(&f->c, input[i], &in[i]), 0);
    size_t wanted = f->out_count;
    struct tb_record *first = calloc(wanted, sizeof(*first));
    assert_non_null(first);
    memcpy(first, f->out, wanted * sizeof(*first));

    candles_fini(&f->c);
    fixture_start(f, 8, 100 * MS);
    f->out_count = 0;
    static char bytes[65536];
    size_t saved = candles_save(&f->c, bytes, sizeof(bytes));
    size_t saved_out = 0;
    int saved_at = 0;
    for (int i = 0; i < COUNT; i++) {
        if (random_below(&r, 30) == 0) {
            saved = candles_save(&f->c, bytes, sizeof(bytes));
            saved_out = f->out_count;
            saved_at = i;
        }
        if (random_below(&r, 50) == 0) { /* killed */
            candles_fini(&f->c);
            fixture_start(f, 8, 100 * MS);
            assert_int_equal(candles_load(&f->c, bytes, saved), 0);
            f->out_count = saved_out;
            i = saved_at;
        }
        assert_int_equal(candles_record(&f->c, input[i], &in[i]), 0);
    }
    if (f->out_count != wanted || memcmp(first, f->out, wanted * sizeof(*first)) != 0)
        fail_msg("TB_SEED=%" PRIu64 ": %zu records, wanted %zu, or they differ", r.seed,
                 f->out_count, wanted);
    free(first);
}

static void a_flush_that_was_begun_is_made_again_the_same(void **state)
{
    struct fixture *f = *state;
    static char bytes[65536];
    fixture_start(f, 8, 100 * MS);
    struct tb_record r;
    for (unsigned i = 0; i < 2; i++)
        for (int k = 0; k < 30; k++) {
            r = trade((uint16_t)(1 + k % 2), 60 * S + k * 7 * MS, 5 + k, 1);
            assert_int_equal(candles_record(&f->c, i, &r), 0);
        }
    candles_flush_begin(&f->c);
    size_t saved = candles_save(&f->c, bytes, sizeof(bytes));
    size_t before = f->out_count;
    assert_int_equal(candles_flush(&f->c, 0), 0);
    assert_int_equal(candles_flush(&f->c, 1), 0);
    size_t flushed = f->out_count - before;
    assert_true(flushed > 0);
    struct tb_record *wanted = &f->out[before];

    candles_fini(&f->c);
    fixture_start(f, 8, 100 * MS);
    assert_int_equal(candles_load(&f->c, bytes, saved), 0);
    assert_int_equal(candles_flush_resume(&f->c, 0), 0);
    assert_int_equal(candles_flush_resume(&f->c, 1), 0);
    assert_int_equal(f->out_count, before + 2 * flushed);
    assert_memory_equal(wanted, wanted + flushed, flushed * sizeof(*wanted));
    assert_int_equal(candles_flush_resume(&f->c, 0), 0); /* once */
    assert_int_equal(f->out_count, before + 2 * flushed);
}

#define CANDLES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CANDLES_TEST(forming_candles_come_at_most_once_per_interval),
        CANDLES_TEST(other_records_of_the_market_tell_the_time),
        CANDLES_TEST(completed_candles_come_always_and_first),
        CANDLES_TEST(with_interval_0_forming_candles_come_only_by_a_flush),
        CANDLES_TEST(one_absurd_time_does_not_silence_a_market),
        CANDLES_TEST(a_finer_entry_rescales_the_open_candles),
        CANDLES_TEST(what_does_not_fit_is_refused_and_counted),
        CANDLES_TEST(gaps_in_trades_are_counted),
        CANDLES_TEST(after_a_failed_publish_nothing_is_saved),
        CANDLES_TEST(open_candles_go_on_in_a_new_epoch),
        CANDLES_TEST(time_that_begins_anew_begins_new_candles),
        CANDLES_TEST(markets_of_past_epochs_make_room),
        CANDLES_TEST(damaged_states_are_refused),
        CANDLES_TEST(a_restart_from_any_checkpoint_makes_the_same_records),
        CANDLES_TEST(a_flush_that_was_begun_is_made_again_the_same),
    };
    return cmocka_run_group_tests_name("candle_service", tests, NULL, NULL);
}
