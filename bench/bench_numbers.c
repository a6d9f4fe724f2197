/*
 * What numbers cost: decimals, book changes, candles, made-up records; beside what the C library does with
 * the same text. ns for one, least, middle and most of the rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/book.h>
#include <tickbus/candle.h>
#include <tickbus/clock.h>
#include <tickbus/decimal.h>

#include "bench/harness.h"
#include "producers/synth/synth.h"

#define TEXTS 4096
#define TEXT_BYTES 24
#define RECORDS (1 << 16)

static char text[TEXTS][TEXT_BYTES];
static size_t text_length[TEXTS];
static int64_t mantissa[TEXTS];
static struct tb_record record[RECORDS];
static struct tb_book book;
static volatile int64_t sink; /* so that no result is thought unneeded */

static uint64_t random_next(void)
{
    static uint64_t x = 88172645463325252U;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* ---- one round of each: returns how many operations it did ---- */

static uint64_t parse_round(void)
{
    int64_t sum = 0;
    for (int k = 0; k < 50; k++)
        for (int i = 0; i < TEXTS; i++) {
            int64_t m = 0;
            (void)tb_decimal_parse(text[i], text_length[i], -2, &m);
            sum += m;
        }
    sink = sum;
    return 50 * TEXTS;
}

static uint64_t strtod_round(void)
{
    double sum = 0;
    for (int k = 0; k < 10; k++)
        for (int i = 0; i < TEXTS; i++)
            sum += strtod(text[i], NULL);
    sink = (int64_t)sum;
    return 10 * TEXTS;
}

static uint64_t format_round(void)
{
    size_t sum = 0;
    char out[TB_DECIMAL_BYTES];
    for (int k = 0; k < 10; k++)
        for (int i = 0; i < TEXTS; i++)
            sum += tb_decimal_format(mantissa[i], -2, out);
    sink = (int64_t)sum;
    return 10 * TEXTS;
}

static uint64_t double_round(void)
{
    double sum = 0;
    for (int k = 0; k < 50; k++)
        for (int i = 0; i < TEXTS; i++)
            sum += tb_decimal_double(mantissa[i], -2);
    sink = (int64_t)sum;
    return 50 * TEXTS;
}

static uint64_t double_text_round(void)
{
    size_t sum = 0;
    char out[TB_DOUBLE_BYTES];
    for (int k = 0; k < 10; k++)
        for (int i = 0; i < TEXTS; i++)
            sum += tb_double_format((double)mantissa[i] / 100, out);
    sink = (int64_t)sum;
    return 10 * TEXTS;
}

static uint64_t book_round(void)
{
    int64_t events = 0;
    for (int i = 0; i < RECORDS; i++)
        events += tb_book_apply(&book, &record[i], -2, -5);
    sink = events;
    return RECORDS;
}

static void no_candle(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    (void)context, (void)timeframe, (void)candle;
}

static uint64_t candle_round(void)
{
    struct tb_candles c;
    tb_candles_init(&c, -2, -5);
    for (int i = 0; i < RECORDS; i++) /* 60 trades a second */
        tb_candles_trade(&c, i * (TB_NS_PER_S / 60), 1, mantissa[i % TEXTS], i, TB_BUY, 1,
                         no_candle, NULL);
    tb_candles_settle(&c);
    sink = c.candle[TB_TIMEFRAME_1D].volume;
    return RECORDS;
}

static uint64_t synth_round(void)
{
    static const struct synth s = {
        .seed = 1, .symbols = 4, .trades = 6, .quotes = 9, .levels = 41, .rate = 1000};
    int64_t sum = 0;
    for (uint64_t k = 1; k <= RECORDS; k++) {
        struct tb_record r;
        synth_record(&s, k, &r);
        sum += r.ts_event;
    }
    sink = sum;
    return RECORDS;
}

/* ---- the data ---- */

static void fill_texts(void)
{
    for (int i = 0; i < TEXTS; i++) { /* as Binance writes prices: 61837.63000000 */
        mantissa[i] = 6000000 + (int64_t)(random_next() % 400000);
        size_t n = tb_decimal_format_fixed(mantissa[i], -2, text[i]);
        memcpy(text[i] + n, "000000", 7);
        text_length[i] = n + 6;
    }
}

/* A book of 1000 levels a side, and changes most of which are near the top. */
static bool fill_book(void)
{
    struct tb_record clear = {.type = TB_CLEAR, .flags = TB_F_SNAPSHOT | TB_F_LAST};
    if (tb_book_init(&book, 1000) != 0)
        return false;
    (void)tb_book_apply(&book, &clear, -2, -5);
    for (int i = 0; i < 2000; i++)
        (void)tb_book_set(&book, i & 1 ? TB_BUY : TB_SELL, 6000000 + (i & 1 ? -1 - i : i), 5);
    for (int i = 0; i < RECORDS; i++) {
        uint64_t r = random_next();
        bool bid = (r & 1) != 0;
        int64_t away = (int64_t)((r >> 8) % (UINT64_C(4) << (r >> 40) % 9));
        record[i] = (struct tb_record){.type = TB_LEVEL, .flags = TB_F_LAST};
        record[i].level.side = bid ? TB_BUY : TB_SELL;
        record[i].level.price = 6000000 + (bid ? -1 - away : away);
        record[i].level.size = (r >> 50) % 3 == 0 ? 0 : (int64_t)(r >> 50) + 1;
    }
    return true;
}

static int number_run(struct bench *b, const struct bench_case *c)
{
    uint64_t (*const *round)(void) = c->context;
    if (b->round == 0)
        (void)(*round)(); /* caches, branch predictors, clock speed */
    tb_ns begun = tb_clock_mono();
    uint64_t operations = (*round)();
    bench_add(b, c->measure, BENCH_LOWER, "ns",
              (double)(tb_clock_mono() - begun) / (double)operations);
    return 0;
}

#define CASE(measure, subject, role, round)                                                        \
    {                                                                                              \
        measure, subject, role, 1, number_run, &(uint64_t(*const)(void))                           \
        {                                                                                          \
            round                                                                                  \
        }                                                                                          \
    }

static const struct bench_case cases[] = {
    CASE("decimal text to number", "tb_decimal_parse", BENCH_OURS, parse_round),
    CASE("decimal text to number", "strtod", BENCH_PEER, strtod_round),
    CASE("number to decimal text", "tb_decimal_format", BENCH_OURS, format_round),
    CASE("decimal to double", "tb_decimal_double", BENCH_OURS, double_round),
    CASE("double to shortest text", "tb_double_format", BENCH_OURS, double_text_round),
    CASE("book change, 1000 levels a side", "tb_book_apply", BENCH_OURS, book_round),
    CASE("trade into 8 timeframes", "tb_candles_trade", BENCH_OURS, candle_round),
    CASE("made-up record", "synth", BENCH_OURS, synth_round),
};

struct numbers {
    struct bench_options common;
};

static const struct tb_option options[] = {BENCH_OPTIONS(struct numbers, common)};

static const char usage[] =
    "bench_numbers [options]: what decimals, book changes and candles cost\n"
    "How to read the figures: bench/README.md.\n";

int main(int argc, char **argv)
{
    static struct numbers o;
    static struct bench b;
    bench_begin(&b, "numbers", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    fill_texts();
    if (!fill_book())
        bench_fail("no memory for a book");
    bench_run(&b, cases, TB_COUNT(cases));
    tb_book_fini(&book);
    return bench_end(&b);
}
