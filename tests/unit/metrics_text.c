/* The text that Prometheus gets: exact numbers, escaped labels, within its budget, as documented. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <consumers/metrics/estate.h>
#include <consumers/metrics/market_text.h>
#include <consumers/metrics/push.h>

#define T0 INT64_C(1723161253937085768)

static struct text text;
static struct market market;

static int setup(void **state)
{
    (void)state;
    memset(&market, 0, sizeof(market));
    return text_init(&text, 1 << 20) != 0 || market_init(&market) != 0;
}

static int teardown(void **state)
{
    (void)state;
    text_fini(&text);
    market_fini(&market);
    return 0;
}

static void apply(struct tb_record r)
{
    r.ts_recv = r.ts_event = T0;
    market_apply(&market, &r, -2, -5);
}

static void level(uint8_t side, int64_t price, int64_t size, uint8_t flags)
{
    apply(
        (struct tb_record){.type = TB_LEVEL,
                           .flags = flags,
                           .level = {.price = price, .size = size, .side = side, .update_id = 1}});
}

static void render(void)
{
    text_begin(&text, 10000);
    market_text_write(&text, &market, 1);
}

static void has(const char *line)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (memmem(text.data, text.length, wanted, strlen(wanted)) == NULL)
        fail_msg("missing: %s\n%.*s", line, (int)text.length, text.data);
}

#define L "{exchange=\"binance\",symbol=\"BTC/USDT\""

static void every_series_is_there_from_the_start(void **state)
{
    (void)state;
    market_name(&market, "binance", "BTC/USDT");
    render();
    has("crypto_price" L ",type=\"last\"} NaN");
    has("crypto_trades_total" L ",side=\"sell\"} 0");
    has("crypto_trade_volume" L "} 0");
    has("crypto_orderbook_ask_cumulative" L ",level=\"19\"} NaN");
    has("crypto_candle_open" L ",timeframe=\"1d\"} NaN");
    has("tickbus_book_valid" L "} 0");
    /* All but the side that venues do not name. */
    assert_int_equal(text.series, market_text_series() - 1);
}

static void numbers_are_the_nearest_doubles_of_exact_decimals(void **state)
{
    (void)state;
    market_name(&market, "binance", "BTC/USDT");
    for (int i = 0; i < 3; i++)
        apply((struct tb_record){.type = TB_TRADE,
                                 .trade = {.price = 6183763, .size = 10000, .side = TB_BUY}});
    apply((struct tb_record){.type = TB_TRADE,
                             .trade = {.price = 6183764, .size = 1, .side = TB_SELL}});
    render();
    has("crypto_price" L ",type=\"last\"} 61837.64");
    has("crypto_trades_total" L ",side=\"buy\"} 3");
    has("crypto_trade_volume" L
        "} 0.30001"); /* 0.1 + 0.1 + 0.1 is 0.30000000000000004 in doubles */
    has("tickbus_last_trade_timestamp_seconds" L "} 1723161253.9370859");
}

static void the_books_top_is_that_of_the_last_whole_event(void **state)
{
    (void)state;
    market_name(&market, "binance", "BTC/USDT");
    apply((struct tb_record){.type = TB_CLEAR, .flags = TB_F_SNAPSHOT});
    level(TB_BUY, 10000, 150000, TB_F_SNAPSHOT);
    level(TB_BUY, 9999, 50000, TB_F_SNAPSHOT);
    level(TB_SELL, 10002, 100000, TB_F_SNAPSHOT | TB_F_LAST);
    render();
    has("crypto_price" L ",type=\"bid\"} 100");
    has("crypto_spread" L "} 0.02");
    has("crypto_orderbook_bid_price" L ",level=\"1\"} 99.99");
    has("crypto_orderbook_bid_quantity" L ",level=\"1\"} 0.5");
    has("crypto_orderbook_bid_cumulative" L ",level=\"1\"} 2");
    has("crypto_orderbook_bid_price" L ",level=\"2\"} NaN");
    has("crypto_depth" L ",side=\"bid\"} 2");
    has("crypto_total_bids" L "} 200");
    has("tickbus_book_notional" L ",side=\"bid\"} 199.995");
    has("tickbus_book_valid" L "} 1");
    level(TB_BUY, 10000, 0, 0); /* the middle of an event: not looked at */
    render();
    has("crypto_price" L ",type=\"bid\"} 100");
    level(TB_BUY, 9998, 100000, TB_F_LAST);
    render();
    has("crypto_price" L ",type=\"bid\"} 99.99");
    apply((struct tb_record){.type = TB_QUOTE, .quote = {.bid_price = 10001, .ask_price = 10002}});
    render();
    has("crypto_spread" L "} 0.01"); /* quotes, once there are any */
    apply((struct tb_record){.type = TB_GAP, .gap = {.channel = TB_CHANNEL_BOOK, .missing = 5}});
    render();
    has("crypto_depth" L ",side=\"ask\"} NaN");
    has("tickbus_book_valid" L "} 0");
    has("tickbus_gaps_total" L ",channel=\"book\"} 1");
    has("tickbus_missing_total" L ",channel=\"book\"} 5");
}

static void candles_show_the_newest_bucket(void **state)
{
    struct tb_candle c = {
        .start = 60 * TB_NS_PER_S, .open = 1, .high = 4, .low = 1, .close = 2, .volume = 7};
    (void)state;
    market_name(&market, "binance", "BTC/USDT");
    market_candle(&market, TB_TIMEFRAME_1M, &c, -1, 0);
    c.start = 0; /* an older one does not come back */
    market_candle(&market, TB_TIMEFRAME_1M, &c, -1, 0);
    render();
    has("crypto_candle_high" L ",timeframe=\"1m\"} 0.4");
    has("crypto_candle_volume" L ",timeframe=\"1m\"} 7");
    has("tickbus_candle_start_timestamp_seconds" L ",timeframe=\"1m\"} 60");
}

static void labels_are_escaped(void **state)
{
    char out[64], small[6];
    (void)state;
    market_name(&market, "b", "A\"B\\C\nD");
    render();
    has("crypto_spread{exchange=\"b\",symbol=\"A\\\"B\\\\C\\nD\"} NaN");
    assert_string_equal(text_escape("\n\n\n\n", out, sizeof(out)), "\\n\\n\\n\\n");
    assert_string_equal(text_escape("aa\"\"", small, sizeof(small)), "aa\\\"");
}

static void the_series_budget_is_never_exceeded(void **state)
{
    (void)state;
    market_name(&market, "binance", "BTC/USDT");
    text_begin(&text, 50);
    market_text_write(&text, &market, 1);
    assert_int_equal(text.series, 50);
    assert_int_equal(text.refused, market_text_series() - 1 - 50);
    struct text tiny = {0};
    assert_int_equal(text_init(&tiny, 300), 0);
    text_begin(&tiny, 10000);
    market_text_write(&tiny, &market, 1);
    assert_true(tiny.length < 300 && tiny.data[tiny.length - 1] == '\n'); /* whole lines */
    text_fini(&tiny);
}

static void a_checkpoint_brings_all_of_it_back(void **state)
{
    static char bytes[1 << 20];
    char *before;
    struct market other;
    (void)state;
    the_books_top_is_that_of_the_last_whole_event(state);
    size_t used = market_save(&market, bytes, sizeof(bytes)), length = text.length;
    assert_in_range(used, 1, market_save_size(&market));
    before = strndup(text.data, length);
    assert_int_equal(market_init(&other), 0);
    assert_int_equal(market_load(&other, bytes, used), used);
    text_begin(&text, 10000);
    market_text_write(&text, &other, 1);
    assert_int_equal(text.length, length);
    assert_memory_equal(text.data, before, length);
    assert_int_equal(market_load(&other, bytes, used - 1), 0);
    market_fini(&other);
    free(before);
}

static void counters_of_pages_become_well_formed_metrics(void **state)
{
    char name[ESTATE_METRIC_BYTES];
    double scale;
    (void)state;
    assert_true(estate_metric_name("records_read", true, name, sizeof(name), &scale));
    assert_string_equal(name, "tickbus_service_records_read_total");
    assert_true(estate_metric_name("wait_ns", true, name, sizeof(name), &scale));
    assert_string_equal(name, "tickbus_service_wait_seconds_total");
    assert_true(scale == 1e-9);
    assert_true(estate_metric_name("sent_total", true, name, sizeof(name), &scale));
    assert_string_equal(name, "tickbus_service_sent_total");
    assert_true(estate_metric_name("wal_bytes", false, name, sizeof(name), &scale));
    assert_string_equal(name, "tickbus_service_wal_bytes");
    assert_false(estate_metric_name("up", false, name, sizeof(name), &scale));
    assert_false(estate_metric_name("bad name", false, name, sizeof(name), &scale));
    assert_false(estate_metric_name("x{y=\"z\"}", false, name, sizeof(name), &scale));
    assert_false(estate_metric_name("", false, name, sizeof(name), &scale));
}

static void grouping_keys_reach_the_gateway_whole(void **state)
{
    char url[200], tiny[20];
    (void)state;
    assert_int_equal(push_url("http://h:9091/", "tick bus", "BTC/USDT", url, sizeof(url)), 0);
    assert_string_equal(url, "http://h:9091/metrics/job/tick%20bus/instance@base64/QlRDL1VTRFQ");
    assert_int_equal(push_url("http://h", "a/b", "", url, sizeof(url)), 0);
    assert_string_equal(url, "http://h/metrics/job@base64/YS9i/instance@base64/=");
    assert_true(push_url("http://h:9091", "job", "instance", tiny, sizeof(tiny)) < 0);
}

/* The families of METRICS.md are those of the text, with the same types. */
static void the_documented_list_is_what_is_exported(void **state)
{
    static char document[65536];
    struct estate estate = {0};
    struct estate_feed feed = {.stream = "s"};
    size_t families = 0, rows = 0;
    (void)state;
    FILE *file = fopen(TB_SOURCE_DIR "/consumers/metrics/METRICS.md", "r");
    assert_non_null(file);
    document[fread(document, 1, sizeof(document) - 1, file)] = '\0';
    (void)fclose(file);
    market_name(&market, "binance", "BTC/USDT");
    render();
    estate_write(&text, &estate, &feed, 1);
    for (char *line = strtok(text.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[100], type[16], row[160];
        if (sscanf(line, "# TYPE %99s %15s", name, type) != 2)
            continue;
        families++;
        (void)snprintf(row, sizeof(row), "\n| `%s` | %s |", name, type);
        if (strstr(document, row) == NULL)
            fail_msg("METRICS.md has no row %s", row + 1);
    }
    for (const char *row = document; (row = strstr(row, "\n| `")) != NULL; row++)
        rows++;
    assert_int_equal(rows, families);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_series_is_there_from_the_start),
        TEST(numbers_are_the_nearest_doubles_of_exact_decimals),
        TEST(the_books_top_is_that_of_the_last_whole_event),
        TEST(candles_show_the_newest_bucket),
        TEST(labels_are_escaped),
        TEST(the_series_budget_is_never_exceeded),
        TEST(a_checkpoint_brings_all_of_it_back),
        TEST(counters_of_pages_become_well_formed_metrics),
        TEST(grouping_keys_reach_the_gateway_whole),
        TEST(the_documented_list_is_what_is_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
