/* Alert state machines under a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <consumers/alerts/engine.h>
#include <consumers/alerts/notice.h>

#define S TB_NS_PER_S
#define T0 (INT64_C(1723161253) * S)

static struct rule rule[4];
static struct rules rules = {.rule = rule};
static struct engine engine;
static char story[1024]; /* "Rule:firing@3 " .. in seconds after T0, tenths */
static struct event last;

static void note(void *context, struct event *event)
{
    size_t used = strlen(story);
    (void)context;
    last = *event;
    snprintf(story + used, sizeof(story) - used, "%s:%s@%g ", event->rule,
             tb_alert_state_name(event->state), (double)(event->at - T0) / S);
}

static void begin(size_t count)
{
    rules.count = count;
    for (size_t i = 0; i < count; i++) {
        if (rule[i].exchange[0] == '\0')
            strcpy(rule[i].exchange, "*");
        if (rule[i].symbol[0] == '\0')
            strcpy(rule[i].symbol, "*");
        strcpy(rule[i].stream, "*");
        strcpy(rule[i].reader, "*");
        rule[i].severity = TB_SEVERITY_WARNING;
    }
    story[0] = '\0';
    assert_int_equal(engine_init(&engine, &rules, note, NULL), 0);
    engine.wall = T0;
}

static int finish(void **state)
{
    (void)state;
    engine_fini(&engine);
    memset(rule, 0, sizeof(rule));
    return 0;
}

static void at(double seconds, struct tb_record r)
{
    r.ts_recv = T0 + (tb_ns)(seconds * S);
    int market = engine_market(&engine, 0, "binance", "BTC/USDT", r.ts_recv);
    engine_record(&engine, 0, market, &r, -2, -3);
}

static void trade(double seconds, int64_t cents)
{
    at(seconds, (struct tb_record){.type = TB_TRADE, .trade = {.price = cents, .size = 1}});
}

static void quote(double seconds, int64_t bid, int64_t ask)
{
    at(seconds,
       (struct tb_record){.type = TB_QUOTE, .quote = {.bid_price = bid, .ask_price = ask}});
}

static void a_condition_must_hold_for_its_time(void **state)
{
    (void)state;
    rule[0] = (struct rule){
        .name = "Spread", .kind = RULE_SPREAD_ABOVE, .threshold = 10, .for_ns = 30 * S};
    begin(1);
    quote(0, 10000, 11000); /* 10.00: not above */
    quote(1, 10000, 11001);
    quote(20, 10000, 12000);
    quote(25, 10000, 10001); /* gone too early */
    quote(40, 10000, 12000);
    quote(71.5, 10000, 12000);
    assert_string_equal(story,
                        "Spread:pending@2 Spread:resolved@25 Spread:pending@41 Spread:firing@70 ");
    quote(80, 10000, 10500);
    assert_string_equal(strstr(story, "firing@70"), "firing@70 Spread:resolved@80 ");
    assert_int_equal(last.alert_id, 2);
    assert_int_equal(last.value, 500);
    assert_int_equal(last.threshold, 1000);
    assert_int_equal(last.value_exp, -2);
}

static void what_only_flickers_leaves_no_trace(void **state)
{
    (void)state;
    rule[0] = (struct rule){
        .name = "Spread", .kind = RULE_SPREAD_ABOVE, .threshold = 10, .for_ns = 30 * S};
    begin(1);
    for (int i = 0; i < 1000; i++)
        quote(i * 0.9, 10000, i % 2 ? 10001 : 12000);
    assert_string_equal(story, "");
}

static void thresholds_are_compared_exactly(void **state)
{
    (void)state;
    rule[0] = (struct rule){
        .name = "P", .kind = RULE_PRICE_ABOVE, .threshold = 1000001, .threshold_exp = -4};
    begin(1);
    trade(0, 10000); /* 100.00 against 100.0001 */
    assert_string_equal(story, "");
    trade(1, 10001);
    assert_string_equal(story, "P:firing@1 ");
    assert_int_equal(engine_compare(INT64_MAX, 0, INT64_MAX, -18), 1);
    assert_int_equal(engine_compare(INT64_MIN, -18, INT64_MIN, 0), 1);
    assert_int_equal(engine_compare(5, -1, 50, -2), 0);
}

static void crossing_fires_each_time_and_ends_by_itself(void **state)
{
    (void)state;
    rule[0] =
        (struct rule){.name = "X", .kind = RULE_PRICE_CROSSES, .threshold = 100, .keep_ns = 10 * S};
    begin(1);
    trade(0, 9900);
    trade(1, 10000); /* on it: still below */
    trade(2, 10001);
    trade(3, 10002);
    trade(4, 10000);
    trade(5, 9999);
    trade(20, 9000);
    assert_string_equal(story, "X:firing@2 X:resolved@5 X:firing@5 X:resolved@15 ");
}

static void crossing_up_alone_is_quiet_on_the_way_down(void **state)
{
    (void)state;
    rule[0] = (struct rule){.name = "Up",
                            .kind = RULE_PRICE_CROSSES,
                            .threshold = 100,
                            .keep_ns = 60 * S,
                            .for_ns = 2 * S,
                            .direction = RULE_UP};
    begin(1);
    trade(0, 9900);
    trade(1, 10100);
    trade(2, 9900); /* not for two seconds */
    trade(3, 10100);
    trade(6, 10200);
    trade(7, 9900);
    assert_string_equal(story,
                        "Up:pending@1.5 Up:resolved@2 Up:pending@3.5 Up:firing@5 Up:resolved@7 ");
}

static void silence_fires_when_no_record_comes_at_all(void **state)
{
    (void)state;
    rule[0] = (struct rule){.name = "Quiet", .kind = RULE_NO_TRADES, .for_ns = 60 * S};
    begin(1);
    trade(0, 1);
    trade(50, 1);
    quote(109, 1, 2); /* quotes are no trades */
    assert_string_equal(story, "");
    engine_idle(&engine, 0, T0 + 109 * S + S / 2);
    assert_string_equal(story, "");
    engine_idle(&engine, 0, T0 + 112 * S);
    assert_string_equal(story, "Quiet:firing@110 ");
    engine_idle(&engine, 0, T0 + 500 * S);
    trade(111, 1);
    assert_string_equal(story, "Quiet:firing@110 Quiet:resolved@111 ");
    assert_int_equal(last.since, T0 + 50 * S);
}

static void a_market_that_never_comes_is_silent_too(void **state)
{
    (void)state;
    rule[0] = (struct rule){.name = "Quiet",
                            .kind = RULE_NO_TRADES,
                            .for_ns = 60 * S,
                            .exchange = "binance",
                            .symbol = "BTC/USDT"};
    begin(1);
    engine_expect(&engine, T0);
    engine_expect(&engine, T0 + S);
    engine_idle(&engine, ENGINE_WALL, T0 + 61 * S);
    assert_string_equal(story, "Quiet:firing@60 ");
    trade(62, 1);
    assert_string_equal(story, "Quiet:firing@60 Quiet:resolved@62 ");
    assert_int_equal(engine.alert_count, 1);
}

static void gaps_fire_and_end_after_a_while(void **state)
{
    struct tb_record gap = {.type = TB_GAP, .gap = {.missing = 7, .channel = TB_CHANNEL_TRADES}};
    (void)state;
    rule[0] = (struct rule){.name = "Gap", .kind = RULE_GAP, .keep_ns = 60 * S};
    begin(1);
    at(1, gap);
    at(30, gap);
    trade(89, 1);
    assert_string_equal(story, "Gap:firing@1 ");
    trade(91, 1);
    assert_string_equal(story, "Gap:firing@1 Gap:resolved@90 ");
    assert_int_equal(last.value, 7);
}

static void level(double seconds, uint8_t side, int64_t price, uint8_t flags)
{
    at(seconds,
       (struct tb_record){.type = TB_LEVEL,
                          .flags = flags,
                          .level = {.price = price, .size = 5, .side = side, .update_id = 1}});
}

static void an_invalid_book_fires_and_the_book_gives_the_spread(void **state)
{
    (void)state;
    rule[0] = (struct rule){.name = "Book", .kind = RULE_BOOK_INVALID, .for_ns = 5 * S};
    rule[1] = (struct rule){.name = "Spread", .kind = RULE_SPREAD_ABOVE, .threshold = 10};
    begin(2);
    at(0, (struct tb_record){.type = TB_CLEAR, .flags = TB_F_SNAPSHOT});
    level(0, TB_BUY, 10000, TB_F_SNAPSHOT);
    level(0, TB_SELL, 11500, TB_F_SNAPSHOT | TB_F_LAST);
    assert_string_equal(story, "Spread:firing@0 ");
    at(2, (struct tb_record){.type = TB_STATUS, .status = {.code = TB_STATUS_UNSYNCED}});
    trade(8, 1);
    assert_string_equal(story, "Spread:firing@0 Book:pending@3 Book:firing@7 ");
    at(9, (struct tb_record){.type = TB_CLEAR, .flags = TB_F_SNAPSHOT});
    level(9, TB_BUY, 10000, TB_F_SNAPSHOT);
    level(9, TB_SELL, 10001, TB_F_SNAPSHOT | TB_F_LAST);
    assert_string_equal(strstr(story, "Book:firing@7"),
                        "Book:firing@7 Book:resolved@9 Spread:resolved@9 ");
}

static void feeds_and_lags_go_by_the_wall_clock(void **state)
{
    (void)state;
    rule[0] = (struct rule){.name = "Down", .kind = RULE_FEED_DOWN, .for_ns = 5 * S};
    rule[1] = (struct rule){.name = "Lag", .kind = RULE_LAG_ABOVE, .threshold = 100};
    begin(2);
    engine_feed(&engine, "binance", false, T0);
    engine_feed(&engine, "binance", true, T0 + S);
    engine_feed(&engine, "binance", true, T0 + 7 * S);
    engine_lag(&engine, "binance", "persist", 100, T0 + 7 * S);
    engine_lag(&engine, "binance", "persist", 101, T0 + 8 * S);
    engine_feed(&engine, "binance", false, T0 + 9 * S);
    engine_lag_end(&engine, T0 + 10 * S); /* the reader is gone */
    assert_string_equal(
        story, "Down:pending@2 Down:firing@6 Lag:firing@8 Down:resolved@9 Lag:resolved@10 ");
}

static void a_checkpoint_goes_on_in_the_middle(void **state)
{
    static char bytes[1 << 20];
    (void)state;
    rule[0] = (struct rule){
        .name = "Spread", .kind = RULE_SPREAD_ABOVE, .threshold = 10, .for_ns = 30 * S};
    rule[1] = (struct rule){.name = "Old", .kind = RULE_PRICE_ABOVE, .threshold = 1};
    begin(2);
    quote(1, 10000, 12000);
    trade(2, 10000);
    size_t used = engine_save(&engine, bytes, sizeof(bytes));
    assert_in_range(used, 1, engine_save_size(&engine));
    engine_fini(&engine);
    rule[1] = (struct rule){.name = "New", .kind = RULE_PRICE_ABOVE, .threshold = 1};
    begin(2); /* Old is gone, New is there */
    assert_int_equal(engine_load(&engine, bytes, used), used);
    assert_string_equal(story, "Old:resolved@2 ");
    quote(32, 10000, 12000);
    trade(33, 10000);
    assert_string_equal(story, "Old:resolved@2 Spread:firing@31 New:firing@33 ");
    /* Cut anywhere, it is refused, never believed. */
    for (size_t cut = 0; cut < used; cut += 97) {
        engine_fini(&engine);
        begin(2);
        assert_int_equal(engine_load(&engine, bytes, cut), 0);
    }
}

static void notices_are_json_whatever_a_symbol_holds(void **state)
{
    char body[NOTICE_BYTES];
    struct event event = {.rule = "Spread",
                          .venue = "binance",
                          .symbol = "A\"\\\xff\xc3\xa9",
                          .value = 1025,
                          .threshold = 1000,
                          .value_exp = -2,
                          .state = TB_ALERT_FIRING,
                          .severity = TB_SEVERITY_CRITICAL,
                          .at = T0,
                          .wall = T0,
                          .fired_wall = T0};
    (void)state;
    assert_int_not_equal(notice_webhook(&event, "s", body, sizeof(body)), 0);
    assert_non_null(strstr(body, "\"symbol\":\"A\\u0022\\u005c\\ufffd\xc3\xa9\""));
    assert_non_null(strstr(body, "\"value\":\"10.25\",\"threshold\":\"10\""));
    assert_non_null(strstr(body, "\"endsAt\":\"0001-01-01T00:00:00Z\""));
    assert_int_equal(notice_webhook(&event, "s", body, 100), 0);
    uint64_t fingerprint = notice_fingerprint(&event);
    event.value = 7;
    assert_true(notice_fingerprint(&event) == fingerprint);
    event.symbol[0] = 'B';
    assert_true(notice_fingerprint(&event) != fingerprint);
}

#define TEST(function) cmocka_unit_test_teardown(function, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_condition_must_hold_for_its_time),
        TEST(what_only_flickers_leaves_no_trace),
        TEST(thresholds_are_compared_exactly),
        TEST(crossing_fires_each_time_and_ends_by_itself),
        TEST(crossing_up_alone_is_quiet_on_the_way_down),
        TEST(silence_fires_when_no_record_comes_at_all),
        TEST(a_market_that_never_comes_is_silent_too),
        TEST(gaps_fire_and_end_after_a_while),
        TEST(an_invalid_book_fires_and_the_book_gives_the_spread),
        TEST(feeds_and_lags_go_by_the_wall_clock),
        TEST(a_checkpoint_goes_on_in_the_middle),
        TEST(notices_are_json_whatever_a_symbol_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
