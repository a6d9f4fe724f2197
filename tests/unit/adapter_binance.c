/* The Binance adapter: each rule and trap of the venue, hostile bytes, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/book.h>

#include "producers/adapter/adapter.h"

#define RECORDS_MAX 65536
#define MS(t) (INT64_C(t) * TB_NS_PER_MS)

struct asked {
    uint32_t request;
    char path[128];
    tb_ns not_before;
};

static struct host {
    struct tb_record record[RECORDS_MAX];
    size_t count;
    struct tb_instrument instrument[64];
    int instrument_count;
    struct asked asked[64];
    size_t asked_count;
    int reconnects;
    int publish_rc;
    tb_ns now;
} host;

static const struct adapter_ops *ops;
static struct adapter *a;

static int publish(void *context, struct tb_record *records, size_t count)
{
    (void)context;
    assert_true(host.count + count <= RECORDS_MAX);
    if (host.publish_rc != 0)
        return host.publish_rc;
    memcpy(host.record + host.count, records, count * sizeof(*records));
    host.count += count;
    return 0;
}

static int add_instrument(void *context, const struct tb_instrument *entry)
{
    (void)context;
    for (int i = 0; i < host.instrument_count; i++)
        if (strcmp(host.instrument[i].symbol, entry->symbol) == 0 &&
            host.instrument[i].price_exp == entry->price_exp &&
            host.instrument[i].size_exp == entry->size_exp)
            return i + 1;
    struct tb_instrument copy = *entry;
    copy.market = 1;
    assert_true(tb_instrument_check(&copy, 1));
    assert_true(host.instrument_count < 64);
    host.instrument[host.instrument_count] = *entry;
    return ++host.instrument_count;
}

static void get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    (void)context;
    assert_true(host.asked_count < TB_COUNT(host.asked));
    struct asked *asked = &host.asked[host.asked_count++];
    asked->request = request;
    asked->not_before = not_before_ns;
    (void)snprintf(asked->path, sizeof(asked->path), "%s", path);
}

static void reconnect(void *context, const char *why)
{
    (void)context, (void)why;
    host.reconnects++;
}

static struct adapter *make(bool aggregated, bool recorded)
{
    static struct adapter_market_config market[] = {
        {.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -5},
        {.symbol = "ETH/BTC", .raw = "ETHBTC", .price_exp = -6, .size_exp = -3},
    };
    static const struct adapter_host h = {NULL, publish, add_instrument, get, reconnect};
    const struct adapter_config config = {
        .venue = "binance",
        .stream = "test",
        .market = market,
        .market_count = TB_COUNT(market),
        .channels = ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK,
        .aggregated = aggregated,
        .book_depth = 100,
        .recorded = recorded,
    };
    struct tb_error err = {""};
    struct adapter *made = ops->create(&config, &h, &err);
    assert_string_equal(err.text, "");
    assert_non_null(made);
    return made;
}

static int setup(void **state)
{
    (void)state;
    memset(&host, 0, sizeof(host));
    host.now = MS(1700000000000);
    ops = adapter_find("binance");
    a = make(false, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ops->destroy(a);
    return 0;
}

/* Padded as adapters want it, in memory of exactly that size, so that ASan sees a read beyond. */
static char *padded(const char *text, size_t length)
{
    char *copy = calloc(1, length + ADAPTER_PADDING);
    assert_non_null(copy);
    memcpy(copy, text, length);
    return copy;
}

static int frame_bytes(const char *text, size_t length)
{
    char *copy = padded(text, length);
    int rc = ops->on_frame(a, copy, length, ++host.now);
    free(copy);
    return rc;
}

static int frame(const char *text)
{
    return frame_bytes(text, strlen(text));
}

static int rest(uint32_t request, const char *path, int status, const char *body)
{
    char *copy = padded(body, strlen(body));
    int rc = ops->on_rest(a, request, path, status, copy, strlen(body), ++host.now);
    free(copy);
    return rc;
}

static uint64_t count_of(enum adapter_counter which)
{
    return ops->counters(a)[which];
}

static const struct tb_record *last(void)
{
    assert_true(host.count > 0);
    return &host.record[host.count - 1];
}

static int trade(uint64_t id, const char *price, const char *size, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1700000000123,\"s\":"
                   "\"BTCUSDT\",\"t\":%llu,\"p\":\"%s\",\"q\":\"%s\",\"T\":1700000000122,\"m\":true%s}}",
                   (unsigned long long)id, price, size, more);
    return frame(text);
}

static int depth(uint64_t first, uint64_t final, const char *bids, const char *asks)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   "{\"e\":\"depthUpdate\",\"E\":1700000000200,\"s\":\"BTCUSDT\",\"U\":%llu,\"u\":%llu,"
                   "\"b\":[%s],\"a\":[%s]}",
                   (unsigned long long)first, (unsigned long long)final, bids, asks);
    return frame(text);
}

static int snapshot(uint64_t id, const char *bids, const char *asks)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "{\"lastUpdateId\":%llu,\"bids\":[%s],\"asks\":[%s]}",
                   (unsigned long long)id, bids, asks);
    return rest(1, "/api/v3/depth?symbol=BTCUSDT&limit=1000", 200, text);
}

/* A book at update id 100: bids 10 x1, 9 x2; asks 11 x3, 12 x4. */
static void sync_book(void)
{
    assert_int_equal(depth(99, 101, "[\"10.00\",\"1\"]", ""), 0);
    assert_int_equal(snapshot(100, "[\"10.00\",\"1\"],[\"9\",\"2\"]", "[\"11\",\"3\"],[\"12\",\"4\"]"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.count = 0;
    host.asked_count = 0;
}

static size_t count_type(uint8_t type)
{
    size_t n = 0;
    for (size_t i = 0; i < host.count; i++)
        n += host.record[i].type == type;
    return n;
}

static const struct tb_record *find_type(uint8_t type)
{
    for (size_t i = 0; i < host.count; i++)
        if (host.record[i].type == type)
            return &host.record[i];
    fail_msg("no record of type %u", type);
    return NULL;
}

/* ---- trades ---- */

static void trade_is_published_with_the_takers_side(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "61837.63000000", "0.02000000", ",\"M\":true"), 0);
    assert_int_equal(host.count, 1);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_TRADE);
    assert_int_equal(r->flags, TB_F_LAST);
    assert_int_equal(r->instrument, 1);
    assert_int_equal(r->ts_event, MS(1700000000122));
    assert_int_equal(r->ts_recv, host.now);
    assert_int_equal(r->trade.price, 6183763);
    assert_int_equal(r->trade.size, 2000);
    assert_int_equal(r->trade.trade_id, 7);
    assert_int_equal(r->trade.side, TB_SELL); /* the buyer was the maker */
    assert_int_equal(r->trade.action, TB_TRADED);
    assert_int_equal(r->trade.count, 1);
}

static void keys_may_come_in_any_order_and_unknown_ones_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"data\":{\"m\":false,\"new\":{\"deep\":[1,{\"x\":\"]}\"}]},\"T\":1700000000122,"
                           "\"q\":\"1\",\"p\":\"2\",\"t\":9,\"s\":\"BTCUSDT\",\"E\":1,\"e\":\"trade\","
                           "\"b\":88,\"a\":99},\"stream\":\"btcusdt@trade\"}"),
                     0);
    assert_int_equal(last()->trade.trade_id, 9);
    assert_int_equal(last()->trade.side, TB_BUY);
}

static void microseconds_are_told_from_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"2\",\"q\":\"1\","
                           "\"T\":1700000000122345,\"m\":true}"),
                     0);
    assert_int_equal(last()->ts_event, INT64_C(1700000000122345000));
}

static void duplicate_trade_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(trade(6, "1", "1", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 2);
}

static void jump_of_trade_ids_is_a_gap(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(trade(11, "1", "1", ""), 0);
    assert_int_equal(host.count, 3);
    const struct tb_record *gap = &host.record[1];
    assert_int_equal(gap->type, TB_GAP);
    assert_int_equal(gap->gap.from, 8);
    assert_int_equal(gap->gap.to, 10);
    assert_int_equal(gap->gap.missing, 3);
    assert_int_equal(gap->gap.reason, TB_GAP_SEQUENCE);
    assert_int_equal(gap->gap.channel, TB_CHANNEL_TRADES);
    assert_int_equal(host.record[2].trade.trade_id, 11);
    assert_int_equal(count_of(ADAPTER_MISSING), 3);
}

static void what_is_no_trade_counts_its_id_and_is_not_published(void **state)
{
    (void)state;
    assert_int_equal(trade(1, "1", "1", ",\"X\":\"MARKET\""), 0);
    assert_int_equal(trade(2, "0.00000000", "0.00000000", ""), 0);
    assert_int_equal(trade(3, "5", "1", ",\"X\":\"INSURANCE_FUND\""), 0);
    assert_int_equal(trade(4, "5", "0", ""), 0);
    assert_int_equal(trade(5, "5", "1", ""), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(last()->trade.trade_id, 5);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 3);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void bad_trade_makes_a_gap_that_says_why(void **state)
{
    (void)state;
    assert_int_equal(trade(1, "1", "1", ""), 0);
    assert_int_equal(trade(2, "1e400", "1", ""), -EBADMSG);
    assert_int_equal(trade(3, "1", "1", ""), 0);
    assert_int_equal(host.record[1].gap.from, 2);
    assert_int_equal(host.record[1].gap.reason, TB_GAP_BAD_FRAME);
    assert_int_equal(trade(9, "1", "1", ""), 0); /* and only for that one */
    assert_int_equal(host.record[3].gap.reason, TB_GAP_SEQUENCE);
}

static void aggregated_trade_says_how_many_it_merges(void **state)
{
    (void)state;
    static const char text[] = "{\"e\":\"aggTrade\",\"E\":1,\"s\":\"BTCUSDT\",\"a\":%d,\"p\":\"1\",\"q\":\"2\","
                               "\"f\":100,\"l\":%d,\"T\":1700000000122,\"m\":false}";
    char out[256];
    (void)snprintf(out, sizeof(out), text, 5, 105);
    assert_int_equal(frame(out), 0);
    assert_int_equal(host.count, 0); /* this feed takes single trades */
    ops->destroy(a);
    a = make(true, false);
    assert_int_equal(frame(out), 0);
    assert_int_equal(last()->trade.trade_id, 5);
    assert_int_equal(last()->trade.count, 6);
    (void)snprintf(out, sizeof(out), text, 6, 99);
    assert_int_equal(frame(out), -EBADMSG);
    (void)snprintf(out, sizeof(out), text, 7, 1000000);
    assert_int_equal(frame(out), 0);
    assert_int_equal(last()->trade.count, UINT16_MAX);
    assert_int_equal(host.record[1].type, TB_GAP);
}

/* ---- quotes ---- */

static void quote_has_no_time_of_the_venue(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"u\":400900217,\"s\":\"BTCUSDT\",\"b\":\"25.35000000\",\"B\":\"31.21000000\","
                           "\"a\":\"25.36000000\",\"A\":\"40.66000000\"}"),
                     0);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_QUOTE);
    assert_int_equal(r->ts_event, 0);
    assert_int_equal(r->quote.bid_price, 2535);
    assert_int_equal(r->quote.ask_price, 2536);
    assert_int_equal(r->quote.bid_size, 3121000);
    assert_int_equal(r->quote.ask_size, 4066000);
    assert_true(r->flags & TB_F_LAST);
}

static void book_is_held_against_the_quote_of_the_same_update(void **state)
{
    (void)state;
    static const char quote[] = "{\"u\":%d,\"s\":\"BTCUSDT\",\"b\":\"10\",\"B\":\"%d\",\"a\":\"11\",\"A\":\"3\"}";
    char text[256];
    sync_book();
    (void)snprintf(text, sizeof(text), quote, 103, 7); /* before its depth event */
    assert_int_equal(frame(text), 0);
    assert_int_equal(depth(102, 103, "[\"10\",\"7\"]", ""), 0);
    assert_int_equal(count_of(ADAPTER_BBO_EQUAL), 1);
    assert_int_equal(depth(104, 105, "[\"10\",\"8\"]", ""), 0);
    (void)snprintf(text, sizeof(text), quote, 105, 9); /* after it, and another */
    assert_int_equal(frame(text), 0);
    assert_int_equal(count_of(ADAPTER_BBO_EQUAL), 1);
    assert_int_equal(count_of(ADAPTER_BBO_DIFFERENT), 1);
}

/* ---- books ---- */

static void book_joins_its_snapshot_by_the_venues_rule(void **state)
{
    (void)state;
    assert_int_equal(depth(95, 98, "[\"10\",\"9\"]", ""), 0); /* older than the snapshot */
    assert_int_equal(host.asked_count, 1);
    assert_string_equal(host.asked[0].path, "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    assert_int_equal(host.asked[0].request, 1);
    assert_int_equal(host.asked[0].not_before, 0);
    assert_int_equal(depth(99, 101, "[\"10\",\"1\"]", "[\"13\",\"0\"]"), 0); /* spans 100 */
    assert_int_equal(depth(102, 103, "", "[\"12\",\"5\"]"), 0);
    assert_int_equal(host.asked_count, 1);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(100, "[\"9\",\"2\"]", "[\"11\",\"3\"],[\"12\",\"4\"]"), 0);
    assert_int_equal(host.count, 1 + 3 + 1 + 1 + 1);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].flags, TB_F_SNAPSHOT);
    assert_int_equal(host.record[0].level.update_id, 100);
    assert_int_equal(host.record[1].flags, TB_F_SNAPSHOT | TB_F_MBP);
    assert_int_equal(host.record[3].flags, TB_F_SNAPSHOT | TB_F_MBP | TB_F_LAST);
    assert_int_equal(host.record[4].status.code, TB_STATUS_SYNCED);
    assert_int_equal(host.record[4].status.detail, 100);
    assert_int_equal(host.record[5].level.update_id, 101); /* the removal of an absent level is none */
    assert_int_equal(host.record[5].level.action, TB_ADD);
    assert_true(host.record[5].flags & TB_F_LAST);
    assert_int_equal(host.record[6].level.action, TB_MODIFY);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 2);
}

static void event_that_starts_right_after_the_snapshot_joins(void **state)
{
    (void)state;
    assert_int_equal(depth(101, 105, "[\"10\",\"1\"]", ""), 0);
    assert_int_equal(snapshot(100, "", "[\"11\",\"3\"]"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 1);
}

static void old_snapshot_is_asked_for_again_later(void **state)
{
    (void)state;
    assert_int_equal(depth(102, 105, "[\"10\",\"1\"]", ""), 0);
    for (size_t i = 1; i <= 12; i++) {
        assert_int_equal(snapshot(100, "[\"9\",\"2\"]", ""), 0);
        assert_int_equal(host.asked_count, 1 + i);
        if (i > 1)
            assert_true(host.asked[i].not_before >= host.asked[i - 1].not_before);
    }
    assert_true(host.asked[1].not_before > 0);
    assert_true(host.asked[12].not_before <= 60 * TB_NS_PER_S);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(101, "[\"9\",\"2\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void failed_request_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(depth(102, 105, "[\"10\",\"1\"]", ""), 0);
    assert_int_equal(ops->on_rest(a, 1, NULL, 0, NULL, 0, ++host.now), 0);
    assert_int_equal(host.asked_count, 2);
    assert_int_equal(rest(1, NULL, 429, "{\"code\":-1003,\"msg\":\"Too many requests\"}"), 0);
    assert_true(host.asked[2].not_before >= 30 * TB_NS_PER_S);
    assert_int_equal(rest(1, NULL, 200, "{\"lastUpdateId\":"), -EBADMSG);
    assert_int_equal(host.asked_count, 4);
    assert_int_equal(snapshot(103, "[\"9\",\"2\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void many_snapshots_are_spread_over_time(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(depth(100 + 2 * i, 101 + 2 * i, "[\"10\",\"1\"]", ""), 0);
        ops->on_disconnect(a, host.now, 1006, TB_GAP_RECONNECT);
    }
    assert_int_equal(host.asked_count, 30);
    assert_int_equal(host.asked[9].not_before, 0);
    assert_true(host.asked[29].not_before > 11 * TB_NS_PER_S);
}

static void gap_in_the_book_is_told_and_resynchronised(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 103, "[\"8\",\"1\"]", ""), 0);
    host.count = 0;
    assert_int_equal(depth(107, 108, "[\"8\",\"0\"]", ""), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].gap.from, 104);
    assert_int_equal(host.record[0].gap.to, 106);
    assert_int_equal(host.record[0].gap.channel, TB_CHANNEL_BOOK);
    assert_true(host.record[0].flags & TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(host.asked_count, 1);
    host.count = 0;
    assert_int_equal(depth(109, 110, "[\"7\",\"1\"]", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(108, "[\"10\",\"1\"]", "[\"11\",\"1\"]"), 0);
    assert_int_equal(host.record[0].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[1].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK | TB_F_MBP);
    assert_int_equal(host.record[2].flags, TB_F_SNAPSHOT | TB_F_LAST | TB_F_MBP);
    assert_int_equal(last()->level.update_id, 110);
    assert_int_equal(last()->flags, TB_F_LAST | TB_F_MBP);
    assert_int_equal(count_of(ADAPTER_RESYNCS), 1);
}

static void gap_while_a_snapshot_is_awaited_is_told_too(void **state)
{
    (void)state;
    assert_int_equal(depth(100, 101, "[\"8\",\"1\"]", ""), 0);
    assert_int_equal(depth(105, 106, "[\"7\",\"1\"]", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.record[0].gap.from, 102);
    assert_int_equal(snapshot(102, "[\"8\",\"1\"]", ""), 0); /* would join the first, not the second */
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(snapshot(104, "[\"8\",\"1\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void stale_event_changes_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(99, 101, "[\"10\",\"55\"]", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->size, 100000);
}

static void event_without_net_change_publishes_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 103, "[\"5\",\"0\"]", "[\"20\",\"0.00000000\"]"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(depth(104, 104, "[\"9\",\"0\"]", "[\"20\",\"0\"]"), 0); /* the id went on */
    assert_int_equal(host.count, 1);
    assert_int_equal(last()->level.action, TB_REMOVE);
    assert_int_equal(last()->flags, TB_F_LAST | TB_F_MBP);
}

static void buffer_is_bounded_while_the_snapshot_does_not_come(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(depth(100 + i, 100 + i, "[\"10\",\"1\"]", "[\"11\",\"1\"]"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(host.asked_count, 1);
    assert_int_equal(snapshot(200, "[\"8\",\"1\"]", ""), 0); /* older than what was kept */
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(snapshot(5090, "[\"8\",\"1\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void book_that_stays_crossed_is_made_anew(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 102, "[\"11.50\",\"1\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.now += 2 * TB_NS_PER_S;
    assert_int_equal(depth(103, 103, "[\"8\",\"1\"]", ""), 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_CHECKSUM);
}

static void partial_depth_is_a_book_where_no_changes_come(void **state)
{
    (void)state;
    static const char text[] = "{\"stream\":\"btcusdt@depth5@100ms\",\"data\":{\"lastUpdateId\":%d,"
                               "\"bids\":[[\"10\",\"1\"]],\"asks\":[[\"11\",\"2\"],[\"12\",\"3\"]]}}";
    char out[256];
    (void)snprintf(out, sizeof(out), text, 160);
    assert_int_equal(frame(out), 0);
    assert_int_equal(frame(out), 0); /* the same again */
    assert_int_equal(host.count, 4);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[3].flags, TB_F_SNAPSHOT | TB_F_LAST | TB_F_MBP);
    host.count = 0;
    (void)snprintf(out, sizeof(out), text, 90);
    ops->destroy(a);
    a = make(false, false);
    sync_book();
    (void)snprintf(out, sizeof(out), text, 500);
    assert_int_equal(frame(out), 0);
    assert_int_equal(host.count, 0); /* the changes say more */
    assert_int_equal(frame("{\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}"), 0); /* whose? */
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 1);
}

/* ---- refinement ---- */

static void finer_value_refines_the_instrument_and_rounds_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(1, "10.00100000", "0.00000001", ""), 0);
    assert_int_equal(host.instrument_count, 3);
    assert_int_equal(host.instrument[2].price_exp, -3);
    assert_int_equal(host.instrument[2].size_exp, -8);
    assert_int_equal(host.count, 1 + 4 + 1); /* the book under its new id, then the trade */
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].instrument, 3);
    assert_true(host.record[4].flags & TB_F_LAST);
    assert_int_equal(last()->trade.price, 10001);
    assert_int_equal(last()->trade.size, 1);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->price, 10000);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->size, 100000000);
    host.count = 0;
    assert_int_equal(depth(102, 102, "[\"10\",\"0\"]", ""), 0);
    assert_int_equal(last()->instrument, 3);
    assert_int_equal(last()->level.price, 10000);
    assert_int_equal(last()->level.action, TB_REMOVE);
    assert_int_equal(count_of(ADAPTER_REFINED), 1);
}

static void waiting_events_are_refined_too(void **state)
{
    (void)state;
    assert_int_equal(depth(99, 101, "[\"10\",\"1\"]", ""), 0);
    assert_int_equal(depth(102, 103, "[\"10.0001\",\"1\"]", ""), 0);
    assert_int_equal(snapshot(100, "[\"9.00000001\",\"1\"]", ""), 0);
    const struct tb_book *b = ops->book(a, "BTC/USDT");
    assert_int_equal(b->price_exp, -8);
    assert_int_equal(tb_book_best(b, TB_BUY, 0)->price, INT64_C(1000010000));
    assert_int_equal(tb_book_best(b, TB_BUY, 1)->price, INT64_C(1000000000));
    assert_int_equal(tb_book_best(b, TB_BUY, 2)->price, INT64_C(900000001));
}

static void value_that_can_not_be_held_is_refused(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 102, "[\"80000000000000000\",\"1\"]", ""), 0);
    assert_int_equal(trade(1, "0.0000000000000000001", "1", ""), -EBADMSG); /* finer than 1e-18 */
    assert_int_equal(trade(1, "99999999999999999999", "1", ""), -EBADMSG);
    assert_int_equal(trade(1, "0.0001", "1", ""), -EBADMSG); /* the book's 8e16 would no longer fit */
    assert_int_equal(host.instrument_count, 2);
    assert_int_equal(count_of(ADAPTER_FRAMES_BAD), 3);
    assert_int_equal(trade(1, "1", "1", ""), 0);
}

/* ---- control messages, other kinds ---- */

static void acks_and_refusals_are_counted(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"result\":null,\"id\":1}"), 0);
    assert_int_equal(frame("{\"code\":2,\"msg\":\"Invalid request\",\"id\":1}"), 0);
    assert_int_equal(frame("{\"error\":{\"code\":3,\"msg\":\"Invalid JSON\"},\"id\":2}"), 0);
    assert_int_equal(count_of(ADAPTER_ACKS), 1);
    assert_int_equal(count_of(ADAPTER_REFUSED), 2);
    assert_int_equal(host.count, 0);
}

static void announced_shutdown_is_a_status_and_a_reconnect(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"stream\":\"!serverShutdown\",\"data\":{\"e\":\"serverShutdown\",\"E\":1}}"), 0);
    assert_int_equal(last()->status.code, TB_STATUS_MAINTENANCE);
    assert_int_equal(host.reconnects, 1);
}

static void other_kinds_and_symbols_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(frame("{\"e\":\"kline\",\"E\":1,\"s\":\"BTCUSDT\",\"k\":{\"t\":1,\"x\":false}}"), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0); /* known, not wanted */
    assert_int_equal(frame("{\"e\":\"blockTrade\",\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\"}"), 0);
    assert_int_equal(frame("{\"stream\":\"!ticker@arr\",\"data\":[{\"e\":\"24hrTicker\"}]}"), 0);
    assert_int_equal(frame("{\"e\":\"trade\",\"E\":1,\"s\":\"DOGEUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,"
                           "\"m\":true}"),
                     0);
    assert_int_equal(frame("{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":2,\"pu\":0,\"b\":[],"
                           "\"a\":[]}"),
                     0); /* of the futures */
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 4);
    assert_int_equal(host.count, 0);
}

/* ---- connections and restarts ---- */

static void reconnect_tells_what_is_missing_at_the_next_ids(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(5, "1", "1", ""), 0);
    assert_int_equal(frame("{\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}"), 0);
    host.count = 0;
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    assert_int_equal(host.record[0].status.code, TB_STATUS_DISCONNECTED);
    assert_int_equal(host.record[0].status.detail, 1006);
    assert_int_equal(host.record[0].instrument, 0);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_int_equal(host.count, 2); /* ETH/BTC never had a book */
    ops->on_connect(a, ++host.now);
    assert_int_equal(last()->status.code, TB_STATUS_CONNECTED);
    host.count = 0;
    assert_int_equal(trade(8, "1", "1", ""), 0);
    assert_int_equal(host.record[0].gap.from, 6);
    assert_int_equal(host.record[0].gap.to, 7);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    host.count = 0;
    assert_int_equal(frame("{\"u\":9,\"s\":\"BTCUSDT\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}"), 0);
    assert_int_equal(host.record[0].gap.channel, TB_CHANNEL_QUOTES);
    assert_int_equal(host.record[0].gap.missing, 0);
    host.count = 0;
    assert_int_equal(depth(200, 201, "[\"9\",\"1\"]", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.record[0].gap.from, 102);
    assert_int_equal(host.record[0].gap.to, 199);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(snapshot(200, "[\"9\",\"1\"]", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void nothing_missed_is_no_gap(void **state)
{
    (void)state;
    assert_int_equal(trade(5, "1", "1", ""), 0);
    ops->on_disconnect(a, ++host.now, 1000, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    assert_int_equal(trade(6, "1", "1", ""), 0);
    assert_int_equal(count_type(TB_GAP), 0);
}

static void answer_to_a_lost_connections_request_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(depth(99, 101, "[\"10\",\"1\"]", ""), 0);
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    host.count = 0;
    assert_int_equal(snapshot(100, "[\"9\",\"1\"]", ""), 0);
    assert_int_equal(host.count, 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
}

static void restart_learns_from_its_own_stream(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(5, "1", "1", ""), 0);
    assert_int_equal(depth(102, 103, "[\"8\",\"1\"]", ""), 0);
    static struct tb_record before[16];
    size_t count = host.count;
    memcpy(before, host.record, count * sizeof(before[0]));
    ops->destroy(a);
    a = make(false, false);
    host.count = 0;
    bool more = true;
    for (size_t i = count; i > 0 && more; i--)
        more = ops->resume(a, &before[i - 1]);
    ops->resumed(a);
    ops->on_connect(a, ++host.now);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].status.code, TB_STATUS_CONNECTED);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    host.count = 0;
    assert_int_equal(trade(5, "1", "1", ""), 0); /* there already */
    assert_int_equal(host.count, 0);
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(host.record[0].gap.from, 6);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
    host.count = 0;
    assert_int_equal(depth(110, 111, "[\"8\",\"1\"]", ""), 0);
    assert_int_equal(host.record[0].gap.from, 104);
    assert_int_equal(host.record[0].gap.to, 109);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
}

static void restart_after_a_gap_record_goes_on_behind_the_gap(void **state)
{
    (void)state;
    struct tb_record gap = {.type = TB_GAP, .instrument = 1, .ts_recv = 5};
    gap.gap.from = 10;
    gap.gap.to = 20;
    gap.gap.channel = TB_CHANNEL_TRADES;
    assert_true(ops->resume(a, &gap));
    ops->resumed(a);
    assert_int_equal(trade(21, "1", "1", ""), 0);
    assert_int_equal(count_type(TB_GAP), 0);
}

static void stopping_host_is_obeyed(void **state)
{
    (void)state;
    host.publish_rc = -EINTR;
    assert_int_equal(trade(5, "1", "1", ""), -EINTR);
}

/* ---- subscriptions, listings ---- */

static void subscriptions_fit_the_venues_limits(void **state)
{
    (void)state;
    char text[ADAPTER_REQUEST_BYTES];
    int length = ops->subscribe(a, 0, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@trade\",\"btcusdt@bookTicker\","
                              "\"btcusdt@depth@100ms\",\"ethbtc@trade\",\"ethbtc@bookTicker\","
                              "\"ethbtc@depth@100ms\"],\"id\":1}");
    assert_int_equal(ops->subscribe(a, 1, text, sizeof(text)), 0);
    unsigned count = 0;
    while ((length = ops->subscribe(a, count, text, 100)) > 0) {
        assert_true(length < 100);
        count++;
    }
    assert_int_equal(length, 0);
    assert_in_range(count, 2, 6);
    assert_int_equal(ops->subscribe(a, 0, text, 30), -ENOSPC);
}

static void each_market(void *context, const struct adapter_market_config *market)
{
    memcpy(context, market, sizeof(*market));
}

static void listing_gives_precision_from_tick_and_step(void **state)
{
    (void)state;
    static const char text[] =
        "{\"timezone\":\"UTC\",\"rateLimits\":[{\"limit\":1}],\"symbols\":[{\"symbol\":\"BTCUSDT\",\"status\":"
        "\"TRADING\",\"baseAsset\":\"BTC\",\"baseAssetPrecision\":8,\"quoteAsset\":\"USDT\",\"filters\":["
        "{\"filterType\":\"PRICE_FILTER\",\"minPrice\":\"0.01\",\"tickSize\":\"0.01000000\"},"
        "{\"filterType\":\"ICEBERG_PARTS\",\"limit\":10},"
        "{\"stepSize\":\"0.00001000\",\"filterType\":\"LOT_SIZE\"}],\"permissions\":[]}]}";
    struct adapter_market_config market;
    char path[256];
    const char *symbols[] = {"BTC/USDT", "ETH/BTC"};
    char *copy = padded(text, sizeof(text) - 1);
    assert_int_equal(ops->listing_read(copy, sizeof(text) - 1, each_market, &market), 1);
    assert_string_equal(market.symbol, "BTC/USDT");
    assert_string_equal(market.raw, "BTCUSDT");
    assert_int_equal(market.price_exp, -2);
    assert_int_equal(market.size_exp, -5);
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        char *part = padded(text, cut);
        (void)ops->listing_read(part, cut, each_market, &market); /* must not crash */
        free(part);
    }
    free(copy);
    assert_int_equal(ops->listing_path(symbols, 2, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHBTC%22%5D");
    assert_int_equal(ops->listing_path(NULL, 0, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo");
    assert_int_equal(ops->listing_path(symbols, 2, path, 40), -ENOSPC);
}

static void scan_finds_symbols_channels_and_exponents(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCFDUSD\",\"t\":1,\"p\":\"1.50000000\",\"q\":\"20\",\"T\":1,\"m\":true}",
        "{\"u\":1,\"s\":\"BTCFDUSD\",\"b\":\"1.25\",\"B\":\"1\",\"a\":\"2\",\"A\":\"0.10\"}",
        "{\"e\":\"kline\",\"s\":\"ETHBTC\"}",
        "{\"u\":1,\"s\":\"ODD_THING\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}",
    };
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    for (size_t i = 0; i < TB_COUNT(frames); i++) {
        char *copy = padded(frames[i], strlen(frames[i]));
        assert_int_equal(ops->scan(NULL, copy, strlen(frames[i]), markets, &count, 4, &channels), 0);
        free(copy);
    }
    assert_int_equal(count, 2);
    assert_string_equal(markets[0].symbol, "BTC/FDUSD");
    assert_int_equal(markets[0].price_exp, -2);
    assert_int_equal(markets[0].size_exp, -1);
    assert_string_equal(markets[1].symbol, "ODD_THING");
    assert_int_equal(channels, ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_SCAN_SINGLE);
}

/* ---- hostile bytes ---- */

static const char *const whole_frames[] = {
    "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1700000000123,\"s\":\"BTCUSDT\",\"t\":7,\"p\":"
    "\"61837.63\",\"q\":\"0.02\",\"T\":1700000000122,\"m\":true,\"M\":true}}",
    "{\"u\":400900217,\"s\":\"BTCUSDT\",\"b\":\"25.35\",\"B\":\"31.21\",\"a\":\"25.36\",\"A\":\"40.66\"}",
    "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":157,\"u\":160,\"b\":[[\"0.0024\",\"10\"]],\"a\":"
    "[[\"0.26\",\"100\"],[\"1\",\"0\"]]}",
    "{\"lastUpdateId\":160,\"bids\":[[\"0.24\",\"10\"]],\"asks\":[[\"0.26\",\"100\"]]}",
};

static void frame_cut_at_any_byte_is_bad_and_publishes_nothing(void **state)
{
    (void)state;
    uint64_t bad = 0;
    for (size_t f = 0; f < TB_COUNT(whole_frames); f++)
        for (size_t cut = 0; cut < strlen(whole_frames[f]); cut++) {
            assert_int_equal(frame_bytes(whole_frames[f], cut), -EBADMSG);
            assert_int_equal(count_of(ADAPTER_FRAMES_BAD), ++bad);
        }
    assert_int_equal(host.count, 0);
    assert_int_equal(host.asked_count, 0);
}

static void changed_bytes_never_crash(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0, '"', '\\', '{', '}', '[', ']', ',', ':', '-', '9', 'e', 0x80, 0xFF};
    for (size_t f = 0; f < TB_COUNT(whole_frames); f++) {
        size_t length = strlen(whole_frames[f]);
        for (size_t at = 0; at < length; at++)
            for (size_t c = 0; c < sizeof(changes); c++) {
                char *copy = padded(whole_frames[f], length);
                copy[at] = (char)changes[c];
                host.count = host.asked_count = 0;
                (void)ops->on_frame(a, copy, length, ++host.now);
                (void)ops->on_rest(a, 1, NULL, 200, copy, length, ++host.now);
                free(copy);
            }
        ops->destroy(a);
        host.instrument_count = 0;
        a = make(false, false);
    }
}

static void hostile_messages_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "garbage",
        "null",
        "[]",
        "{}{}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true} x",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":\"1\",\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":-1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":99999999999999999999,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1.5,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":9223372036854775807,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"-1\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"NaN\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":1.5,\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"\",\"q\":\"1\",\"T\":1,\"m\":true}",
        "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"1\",\"T\":1,\"m\":\"true\"}",
        "{\"e\":7,\"s\":\"BTCUSDT\"}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":9,\"u\":8,\"b\":[],\"a\":[]}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"b\":[[\"1\"]],\"a\":[]}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"b\":[[1,2]],\"a\":[]}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"b\":[\"1\",\"2\"],\"a\":[]}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"b\":{},\"a\":[]}",
        "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"b\":[[\"1\",\"1e400\"]],\"a\":[]}",
        "{\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\"}",
        "{\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"\xff\xfe\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}",
        "{\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1\xC0\x80\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}",
    };
    for (size_t i = 0; i < TB_COUNT(texts); i++) {
        assert_int_equal(frame(texts[i]), -EBADMSG);
        assert_int_equal(count_of(ADAPTER_FRAMES_BAD), i + 1);
    }
    assert_int_equal(host.count, 0);
    assert_int_equal(trade(1, "1", "1", ""), 0); /* and it goes on */
}

static void deep_nesting_is_survived(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char *text = malloc(2 * DEEP + 8);
    assert_non_null(text);
    memcpy(text, "{\"x\":", 5);
    memset(text + 5, '[', DEEP);
    memset(text + 5 + DEEP, ']', DEEP);
    text[5 + 2 * DEEP] = '}';
    (void)frame_bytes(text, 6 + 2 * DEEP);
    (void)frame_bytes(text, 5 + DEEP);
    memset(text, '{', DEEP);
    assert_int_equal(frame_bytes(text, DEEP), -EBADMSG);
    free(text);
    assert_int_equal(host.count, 0);
}

static void too_many_levels_are_refused(void **state)
{
    (void)state;
    enum { LEVELS = 20000 };
    char *text = malloc(LEVELS * 16 + 128);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, "{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"BTCUSDT\",\"U\":1,\"u\":8,\"a\":[],\"b\":[");
    for (int i = 0; i < LEVELS; i++)
        used += (size_t)sprintf(text + used, "%s[\"%d\",\"1\"]", i == 0 ? "" : ",", i + 1);
    used += (size_t)sprintf(text + used, "]}");
    assert_int_equal(frame_bytes(text, used), -EBADMSG);
    free(text);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(trade_is_published_with_the_takers_side),
        T(keys_may_come_in_any_order_and_unknown_ones_are_skipped),
        T(microseconds_are_told_from_milliseconds),
        T(duplicate_trade_is_dropped),
        T(jump_of_trade_ids_is_a_gap),
        T(what_is_no_trade_counts_its_id_and_is_not_published),
        T(bad_trade_makes_a_gap_that_says_why),
        T(aggregated_trade_says_how_many_it_merges),
        T(quote_has_no_time_of_the_venue),
        T(book_is_held_against_the_quote_of_the_same_update),
        T(book_joins_its_snapshot_by_the_venues_rule),
        T(event_that_starts_right_after_the_snapshot_joins),
        T(old_snapshot_is_asked_for_again_later),
        T(failed_request_is_tried_again),
        T(many_snapshots_are_spread_over_time),
        T(gap_in_the_book_is_told_and_resynchronised),
        T(gap_while_a_snapshot_is_awaited_is_told_too),
        T(stale_event_changes_nothing),
        T(event_without_net_change_publishes_nothing),
        T(buffer_is_bounded_while_the_snapshot_does_not_come),
        T(book_that_stays_crossed_is_made_anew),
        T(partial_depth_is_a_book_where_no_changes_come),
        T(finer_value_refines_the_instrument_and_rounds_nothing),
        T(waiting_events_are_refined_too),
        T(value_that_can_not_be_held_is_refused),
        T(acks_and_refusals_are_counted),
        T(announced_shutdown_is_a_status_and_a_reconnect),
        T(other_kinds_and_symbols_are_passed_over),
        T(reconnect_tells_what_is_missing_at_the_next_ids),
        T(nothing_missed_is_no_gap),
        T(answer_to_a_lost_connections_request_is_not_believed),
        T(restart_learns_from_its_own_stream),
        T(restart_after_a_gap_record_goes_on_behind_the_gap),
        T(stopping_host_is_obeyed),
        T(subscriptions_fit_the_venues_limits),
        T(listing_gives_precision_from_tick_and_step),
        T(scan_finds_symbols_channels_and_exponents),
        T(frame_cut_at_any_byte_is_bad_and_publishes_nothing),
        T(changed_bytes_never_crash),
        T(hostile_messages_are_refused),
        T(deep_nesting_is_survived),
        T(too_many_levels_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
