/* Records by field names, there and back; filters and lines, without a bus. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <consumers/records/records.h>

static struct tb_instrument btc = {.venue = "binance",
                                   .symbol = "BTC/USDT",
                                   .raw = "BTCUSDT",
                                   .price_exp = -2,
                                   .size_exp = -5,
                                   .market = 1};

static struct tb_record trade(int64_t price, int64_t size, uint8_t side)
{
    struct tb_record r = {.seq = 42,
                          .ts_event = INT64_C(1723161253937085768),
                          .ts_recv = INT64_C(1723161254000000001),
                          .instrument = 1,
                          .type = TB_TRADE,
                          .flags = TB_F_LAST};
    r.trade = (struct tb_trade){.price = price,
                                .size = size,
                                .trade_id = UINT64_MAX,
                                .side = side,
                                .action = TB_TRADED,
                                .count = 1};
    return r;
}

static struct record_item item_of(const struct tb_record *r)
{
    return (struct record_item){.stream = "s", .record = r, .instrument = &btc};
}

static bool where(const char *text, const struct tb_record *r)
{
    struct filter filter = {{0}};
    struct tb_error err = {""};
    if (filter_where(&filter, text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    struct record_item item = item_of(r);
    return filter_match(&filter, &item);
}

static void print(enum line_format format, const struct record_item *item, char out[LINE_BYTES])
{
    struct line_style style = {.format = format};
    out[line_print(&style, item, out)] = 0;
}

static void where_compares_exact_decimals(void **state)
{
    (void)state;
    /* 90000.01 is no double: every comparison around it must be right all the same. */
    struct tb_record r = trade(9000001, 1, TB_BUY);
    assert_true(where("price > 90000", &r));
    assert_true(where("price == 90000.01", &r));
    assert_true(where("price = 90000.0100", &r));
    assert_true(where("price >= 90000.01", &r));
    assert_true(where("price <= 90000.01", &r));
    assert_false(where("price < 90000.01", &r));
    assert_false(where("price != 90000.01", &r));
    assert_false(where("price > 90000.01000000000001", &r));
    assert_true(where("price < 90000.01000000000001", &r));
    assert_true(where("size == 1e-5", &r));
    assert_true(where("price > -1", &r));
    assert_true(where("trade_id > 9223372036854775807", &r));
}

static void where_joins_conditions_and_compares_text(void **state)
{
    (void)state;
    struct tb_record r = trade(9000001, 1, TB_SELL);
    assert_true(where("side == sell and price > 1", &r));
    assert_true(where("side=sell&&symbol=='BTC/USDT'&&venue!=\"kraken\"", &r));
    assert_false(where("side == sell and price > 1e6", &r));
    assert_true(where("flags == last", &r));
    assert_false(where("flags == tob", &r));
    assert_false(where("bid_price > 0", &r)); /* a trade has none */
    assert_true(where("ts_event >= 1723161253937085768", &r));
}

static void where_names_what_is_wrong(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "price",
        "price >",
        "prise > 1",
        "price ! 1",
        "price > 1 or side == buy",
        "price > 1 and",
        "side > buy",
        "side == 'buy",
        "price > 1.2.3",
        "price > 99999999999999999999999",
        "> 1",
        "price > 1 price > 2",
    };
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        struct filter filter = {{0}};
        struct tb_error err = {""};
        assert_int_equal(filter_where(&filter, bad[i], &err), -EINVAL);
        assert_int_equal(strncmp(err.text, "--where: ", 9), 0);
    }
    struct filter filter = {{0}};
    char many[300] = "price > 1";
    for (int i = 0; i < FILTER_CONDITIONS_MAX; i++)
        strcat(many, " and price > 1");
    assert_int_equal(filter_where(&filter, many, NULL), -EINVAL);
}

static void comparison_survives_every_scale(void **state)
{
    (void)state;
    assert_int_equal(filter_compare(1, 0, 10, -1), 0);
    assert_int_equal(filter_compare(INT64_MAX, 0, INT64_MAX, -18), 1);
    assert_int_equal(filter_compare(INT64_MIN, 0, INT64_MIN, -18), -1);
    assert_int_equal(filter_compare((__int128)INT64_MAX << 60, 0, 1, -36), 1); /* would not fit */
    assert_int_equal(filter_compare(1, -36, (__int128)INT64_MAX << 60, 0), -1);
    assert_int_equal(filter_compare(0, 0, 0, -36), 0);
    assert_int_equal(filter_compare(-1, -36, 0, 0), -1);
}

static void filters_by_type_venue_and_symbol_pattern(void **state)
{
    (void)state;
    struct tb_record r = trade(1, 1, TB_BUY);
    struct record_item item = item_of(&r);
    struct filter filter = {{0}};
    assert_true(filter_match(&filter, &item));
    assert_int_equal(filter_type(&filter, "quote", NULL), 0);
    assert_false(filter_match(&filter, &item));
    assert_int_equal(filter_type(&filter, "trade", NULL), 0);
    assert_true(filter_match(&filter, &item));
    assert_int_equal(filter_type(&filter, "trades", NULL), -EINVAL);
    filter.symbol = (const char *const[]){"ETH/*", "BTC/*"};
    filter.symbol_count = 1;
    assert_false(filter_match(&filter, &item));
    filter.symbol_count = 2;
    assert_true(filter_match(&filter, &item));
    filter.venue = (const char *const[]){"kraken"};
    filter.venue_count = 1;
    assert_false(filter_match(&filter, &item));
    filter.venue_count = 0;
    item.instrument =
        NULL; /* of the stream as a whole: no symbol, so a symbol filter keeps it out */
    assert_false(filter_match(&filter, &item));
}

static void a_candle_type_is_every_timeframe(void **state)
{
    (void)state;
    struct filter filter = {{0}};
    assert_int_equal(filter_type(&filter, "candle", NULL), 0);
    struct tb_record r = {.type = TB_CANDLE + 7};
    struct record_item item = item_of(&r);
    assert_true(filter_match(&filter, &item));
    r.type = TB_CANDLE_VOLUME;
    assert_false(filter_match(&filter, &item));
}

static void json_keeps_digits_and_key_order(void **state)
{
    (void)state;
    struct tb_record r = trade(8785000, 1, TB_BUY);
    struct record_item item = item_of(&r);
    char line[LINE_BYTES + 1];
    print(LINE_AS_JSON, &item, line);
    assert_string_equal(line,
                        "{\"stream\":\"s\",\"seq\":42,\"type\":\"trade\",\"venue\":\"binance\","
                        "\"symbol\":\"BTC/USDT\",\"ts_event\":\"2024-08-08T23:54:13.937085768Z\","
                        "\"ts_recv\":\"2024-08-08T23:54:14.000000001Z\",\"publish_delta_ns\":0,"
                        "\"flags\":\"last\",\"side\":\"buy\",\"price\":87850,\"size\":0.00001,"
                        "\"trade_id\":18446744073709551615,\"count\":1}\n");
}

static void nothing_is_invented_without_an_instrument(void **state)
{
    (void)state;
    struct tb_record r = trade(8785000, 1, TB_NO_SIDE);
    r.ts_event = 0;
    struct record_item item = {.stream = "s", .record = &r};
    char line[LINE_BYTES + 1];
    print(LINE_AS_JSON, &item, line);
    assert_non_null(strstr(line, "\"price\":null"));
    assert_non_null(strstr(line, "\"ts_event\":null"));
    assert_non_null(strstr(line, "\"side\":null"));
    print(LINE_AS_TEXT, &item, line);
    assert_null(strstr(line, "8785000"));
}

static void every_type_prints_in_every_format(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        struct tb_record r = {.seq = UINT64_MAX,
                              .ts_event = INT64_MIN,
                              .ts_recv = INT64_MAX,
                              .instrument = 1,
                              .type = (uint8_t)type,
                              .flags = 0xff};
        memset(r.body, 0xff, sizeof(r.body)); /* bytes of another process may be anything */
        struct record_item item = item_of(&r);
        for (int format = LINE_AS_TEXT; format <= LINE_AS_RAW; format++) {
            struct line_style style = {.format = (enum line_format)format,
                                       .colour = type & 1,
                                       .local = type & 2,
                                       .show_stream = true};
            char line[LINE_BYTES];
            size_t length = line_print(&style, &item, line);
            assert_in_range(length, 1, LINE_BYTES);
            if (format == LINE_AS_RAW)
                assert_memory_equal(line, &r, TB_RECORD_BYTES);
            else
                assert_int_equal(line[length - 1], '\n');
        }
    }
}

static void csv_has_as_many_values_as_its_header(void **state)
{
    (void)state;
    struct tb_record r = trade(1, 1, TB_BUY);
    struct record_item item = item_of(&r);
    struct line_style style = {.format = LINE_AS_CSV};
    char header[LINE_BYTES + 1], line[LINE_BYTES + 1];
    header[line_header(&style, header)] = 0;
    line[line_print(&style, &item, line)] = 0;
    unsigned commas[2] = {0, 0};
    for (const char *at = header; *at; at++)
        commas[0] += *at == ',';
    for (const char *at = line; *at; at++)
        commas[1] += *at == ',';
    assert_int_equal(commas[0], commas[1]);
    style.columns = (const char *const[]){"price", "symbol", "bid_price"};
    style.column_count = 3;
    line[line_print(&style, &item, line)] = 0;
    assert_string_equal(line, "0.01,BTC/USDT,\n");
    header[line_header(&style, header)] = 0;
    assert_string_equal(header, "price,symbol,bid_price\n");
}

static void times_are_utc_or_local_with_their_offset(void **state)
{
    (void)state;
    char text[LINE_TIME_BYTES];
    assert_string_equal(line_time(INT64_C(1723161253937085768), false, 6, text),
                        "2024-08-08T23:54:13.937085Z");
    assert_string_equal(line_time(-1, false, 9, text), "1969-12-31T23:59:59.999999999Z");
    setenv("TZ", "XXX-05:30", 1);
    tzset();
    assert_string_equal(line_time(INT64_C(1723161253937085768), true, 3, text),
                        "2024-08-09T05:24:13.937+05:30");
    setenv("TZ", "XXX03:00", 1);
    tzset();
    assert_string_equal(line_time(0, true, 3, text), "1969-12-31T21:00:00.000-03:00");
}

static void every_field_is_documented(void **state)
{
    (void)state;
    static char text[20000];
    FILE *file = fopen(TB_SOURCE_DIR "/include/tickbus/FIELDS.md", "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    for (const char *const *name = fields_columns(); *name != NULL; name++) {
        char quoted[64];
        snprintf(quoted, sizeof(quoted), "`%s`", *name);
        if (strstr(text, quoted) == NULL && strncmp(*name, "body", 4) != 0)
            fail_msg("FIELDS.md does not name %s", quoted);
    }
}

/* All fields that any record gives are columns, or --fields and CSV would miss them. */
static void every_field_is_a_column(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        struct tb_record r = {.type = (uint8_t)type};
        memset(r.body, 1, sizeof(r.body));
        struct record_item item = item_of(&r);
        struct fields fields;
        fields_of(&item, &fields);
        for (size_t i = 0; i < fields.count; i++)
            assert_true(fields_known(fields.field[i].name));
    }
}

/* What an export writes of a record, as CSV and JSON have it: texts, read back by the column. */
static struct tb_record there_and_back(const struct tb_record *r, bool *out_whole)
{
    size_t count;
    const struct column *table = fields_table(&count);
    struct record_item item = item_of(r);
    struct fields fields, again = {0};
    char text[FIELDS_MAX][160];
    struct tb_error err = {""};
    item.epoch = 7;
    item.instrument = r->instrument == 1 ? &btc : NULL;
    fields_of_export(&item, false, &fields);
    for (size_t i = 0; i < fields.count; i++) {
        struct line_style style = {
            .format = LINE_AS_CSV, .columns = &fields.field[i].name, .column_count = 1};
        char line[LINE_BYTES];
        size_t length = line_fields(&style, &fields, line);
        assert_true(length < sizeof(text[i]));
        memcpy(text[i], line, length - 1);
        text[i][length - 1] = 0;
        for (size_t k = 0; k < count; k++)
            if (strcmp(table[k].name, fields.field[i].name) == 0 &&
                fields_add(&again, &table[k], text[i], &err) != 0)
                fail_msg("%s", err.text);
    }
    struct tb_record out;
    if (fields_record(&again, item.instrument, &out, &err) != 0)
        fail_msg("type %u: %s", r->type, err.text);
    assert_int_equal(fields_unsigned(&again, "epoch", 0), 7);
    *out_whole = fields_text(&again, "bytes") == NULL;
    return out;
}

static void every_record_comes_back_byte_for_byte(void **state)
{
    (void)state;
    uint64_t seed = 42, whole_count = 0;
    for (unsigned round = 0; round < 20000; round++) {
        struct tb_record r;
        unsigned char *byte = (unsigned char *)&r;
        for (size_t i = 0; i < sizeof(r); i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            byte[i] = (unsigned char)(seed >> 33);
        }
        r.type = (uint8_t)(round % 64);
        r.instrument &= 1;
        bool whole;
        struct tb_record again = there_and_back(&r, &whole);
        assert_memory_equal(&again, &r, sizeof(r));
        whole_count += whole;
    }
    assert_true(whole_count > 0); /* quotes and candles, whose every bit has a name */
}

static void what_venues_send_needs_no_bytes(void **state)
{
    (void)state;
    bool whole;
    struct tb_record r = trade(INT64_MAX, 1, TB_SELL), again = there_and_back(&r, &whole);
    assert_memory_equal(&again, &r, sizeof(r));
    assert_true(whole);
    r = (struct tb_record){.seq = UINT64_MAX, .type = TB_STATUS, .flags = TB_F_LAST};
    r.status = (struct tb_status){.detail = -104, .code = TB_STATUS_DISCONNECTED, .pid = 1};
    again = there_and_back(&r, &whole);
    assert_memory_equal(&again, &r, sizeof(r));
    assert_true(whole);
    r = (struct tb_record){.seq = 1, .type = TB_ALERT, .instrument = 1};
    r.alert = (struct tb_alert){
        .value = -1500, .threshold = 20, .since = 1, .state = 2, .severity = 3, .value_exp = -3};
    again = there_and_back(&r, &whole);
    assert_memory_equal(&again, &r, sizeof(r));
    assert_true(whole);
    r.alert.reserved = 1; /* has no name */
    again = there_and_back(&r, &whole);
    assert_memory_equal(&again, &r, sizeof(r));
    assert_false(whole);
}

static void fields_that_make_no_record_are_named(void **state)
{
    (void)state;
    size_t count;
    const struct column *table = fields_table(&count);
    struct tb_error err = {""};
    struct tb_record r;
    struct fields fields = {0};
    for (size_t k = 0; k < count; k++)
        if (strcmp(table[k].name, "price") == 0)
            assert_int_equal(fields_add(&fields, &table[k], "1.2.3", &err), -EINVAL);
        else if (strcmp(table[k].name, "type") == 0)
            assert_int_equal(fields_add(&fields, &table[k], "trade", &err), 0);
    assert_string_equal(err.text, "price: \"1.2.3\" is not a decimal");
    assert_int_equal(fields_record(&fields, &btc, &r, &err), -EINVAL);
    assert_string_equal(err.text, "field seq is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_compares_exact_decimals),
        cmocka_unit_test(where_joins_conditions_and_compares_text),
        cmocka_unit_test(where_names_what_is_wrong),
        cmocka_unit_test(comparison_survives_every_scale),
        cmocka_unit_test(filters_by_type_venue_and_symbol_pattern),
        cmocka_unit_test(a_candle_type_is_every_timeframe),
        cmocka_unit_test(json_keeps_digits_and_key_order),
        cmocka_unit_test(nothing_is_invented_without_an_instrument),
        cmocka_unit_test(every_type_prints_in_every_format),
        cmocka_unit_test(csv_has_as_many_values_as_its_header),
        cmocka_unit_test(times_are_utc_or_local_with_their_offset),
        cmocka_unit_test(every_field_is_documented),
        cmocka_unit_test(every_field_is_a_column),
        cmocka_unit_test(every_record_comes_back_byte_for_byte),
        cmocka_unit_test(what_venues_send_needs_no_bytes),
        cmocka_unit_test(fields_that_make_no_record_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
