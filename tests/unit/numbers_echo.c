/*
 * The library's numbers on a pipe, for scripts that know the right answers by other means.
 *
 *   numbers_echo decimals        lines of text; answers "<exp> <mantissa> <text> <double as hex>"
 *   numbers_echo candles P S     lines "<time ns> <price> <size> <B|A|N>", exponents P and S; answers
 *                                every 1m candle: "<start ns> o h l c volume turnover trades buys"
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/candle.h>
#include <tickbus/decimal.h>

static int refuse(const char *text, int rc)
{
    fprintf(stderr, "numbers_echo: \"%s\": %d\n", text, rc);
    return 1;
}

static int echo_decimals(void)
{
    char line[256], out[TB_DECIMAL_BYTES];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t length = strcspn(line, "\n");
        line[length] = '\0';
        int exp = 0;
        int64_t mantissa = 0;
        int rc = tb_decimal_exp(line, length, &exp);
        if (rc == 0)
            rc = tb_decimal_parse(line, length, exp, &mantissa);
        if (rc != 0)
            return refuse(line, rc);
        tb_decimal_format(mantissa, exp, out);
        printf("%d %" PRId64 " %s %a\n", exp, mantissa, out, tb_decimal_double(mantissa, exp));
    }
    return 0;
}

static void print_candle(void *context, enum tb_timeframe timeframe, const struct tb_candle *candle)
{
    const struct tb_candles *c = context;
    struct tb_record records[2];
    struct tb_candle k;
    if (timeframe != TB_TIMEFRAME_1M)
        return;
    tb_candle_to_records(candle, timeframe, 1, false, records);
    if (!tb_candle_from_records(&records[0], &records[1], &k, &timeframe, NULL))
        return;
    const int64_t prices[] = {k.open, k.high, k.low, k.close};
    char out[TB_DECIMAL_BYTES];
    printf("%" PRId64, k.start);
    for (size_t i = 0; i < TB_COUNT(prices); i++) {
        tb_decimal_format(prices[i], c->price_exp, out);
        printf(" %s", out);
    }
    tb_decimal_format(k.volume, c->size_exp, out);
    printf(" %s", out);
    tb_decimal_format_wide(k.turnover, c->price_exp + c->size_exp, out);
    printf(" %s %" PRIu32, out, k.trades);
    tb_decimal_format(k.taker_buy_volume, c->size_exp, out);
    printf(" %s\n", out);
}

static int echo_candles(int price_exp, int size_exp)
{
    struct tb_candles c;
    char price_text[64], size_text[64], side;
    tb_ns time;
    tb_candles_init(&c, (int8_t)price_exp, (int8_t)size_exp);
    while (scanf("%" SCNd64 " %63s %63s %c", &time, price_text, size_text, &side) == 4) {
        int64_t price, size;
        int rc = tb_decimal_parse(price_text, strlen(price_text), price_exp, &price);
        if (rc != 0)
            return refuse(price_text, rc);
        rc = tb_decimal_parse(size_text, strlen(size_text), size_exp, &size);
        if (rc != 0)
            return refuse(size_text, rc);
        tb_candles_trade(&c, time, 0, price, size, (uint8_t)side, 1, print_candle, &c);
    }
    tb_candles_settle(&c);
    print_candle(&c, TB_TIMEFRAME_1M, &c.candle[TB_TIMEFRAME_1M]);
    fprintf(stderr, "late=%" PRIu64 " overflows=%" PRIu64 "\n", c.late, c.overflows);
    return c.overflows == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "decimals") == 0)
        return echo_decimals();
    if (argc == 4 && strcmp(argv[1], "candles") == 0)
        return echo_candles(atoi(argv[2]), atoi(argv[3]));
    fprintf(stderr, "usage: numbers_echo decimals | candles PRICE_EXP SIZE_EXP\n");
    return 64;
}
