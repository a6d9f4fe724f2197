/*
 * An adapter (Binance's, unless a test makes another) with a host that keeps what it is given, and
 * short ways to feed it. Each test program includes it once.
 */
#ifndef TICKBUS_TESTS_ADAPTER_FIXTURE_H
#define TICKBUS_TESTS_ADAPTER_FIXTURE_H

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

struct sent {
    char text[ADAPTER_REQUEST_BYTES];
    tb_ns not_before;
};

static struct host {
    struct tb_record record[RECORDS_MAX];
    size_t count;
    struct tb_instrument instrument[64];
    int instrument_count;
    struct asked asked[64];
    size_t asked_count;
    struct sent sent[64];
    size_t sent_count;
    int reconnects;
    int publish_rc;
    tb_ns now;
} host;

static const struct adapter_ops *ops;
static struct adapter *a;

static inline int publish(void *context, struct tb_record *records, size_t count)
{
    (void)context;
    assert_true(host.count + count <= RECORDS_MAX);
    if (host.publish_rc != 0)
        return host.publish_rc;
    memcpy(host.record + host.count, records, count * sizeof(*records));
    host.count += count;
    return 0;
}

static inline int add_instrument(void *context, const struct tb_instrument *entry)
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

static inline void get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    (void)context;
    assert_true(host.asked_count < TB_COUNT(host.asked));
    struct asked *asked = &host.asked[host.asked_count++];
    asked->request = request;
    asked->not_before = not_before_ns;
    (void)snprintf(asked->path, sizeof(asked->path), "%s", path);
}

static inline void reconnect(void *context, const char *why)
{
    (void)context, (void)why;
    host.reconnects++;
}

static inline void send_text(void *context, const char *text, size_t length, tb_ns not_before_ns)
{
    (void)context;
    assert_true(host.sent_count < TB_COUNT(host.sent) && length < ADAPTER_REQUEST_BYTES);
    struct sent *sent = &host.sent[host.sent_count++];
    memcpy(sent->text, text, length);
    sent->text[length] = '\0';
    sent->not_before = not_before_ns;
}

static const struct adapter_host test_host = {NULL, publish,   add_instrument,
                                              get,  reconnect, send_text};

/* Any venue's adapter: trades, quotes and book of these markets, on a host that forgot
 * everything. */
static inline void make_venue(const char *venue, struct adapter_market_config *market, size_t count,
                              bool recorded)
{
    const struct adapter_config config = {
        .venue = venue,
        .stream = "test",
        .market = market,
        .market_count = count,
        .channels = ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK,
        .book_depth = 200,
        .recorded = recorded,
    };
    struct tb_error err = {""};
    memset(&host, 0, sizeof(host));
    host.now = MS(1700000000000);
    ops = adapter_find(venue);
    assert_non_null(ops);
    a = ops->create(&config, &test_host, &err);
    assert_string_equal(err.text, "");
    assert_non_null(a);
}

static inline struct adapter *make(bool aggregated, bool recorded)
{
    static struct adapter_market_config market[] = {
        {.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -5},
        {.symbol = "ETH/BTC", .raw = "ETHBTC", .price_exp = -6, .size_exp = -3},
    };
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
    struct adapter *made = ops->create(&config, &test_host, &err);
    assert_string_equal(err.text, "");
    assert_non_null(made);
    return made;
}

static inline int setup(void **state)
{
    (void)state;
    memset(&host, 0, sizeof(host));
    host.now = MS(1700000000000);
    ops = adapter_find("binance");
    a = make(false, false);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    ops->destroy(a);
    return 0;
}

/*
 * Padded as adapters want it, in memory of exactly that size, so that ASan sees a read beyond.
 * Messages in these tests are written with ' for ", which keeps them readable.
 */
static inline char *padded(const char *text, size_t length)
{
    char *copy = calloc(1, length + ADAPTER_PADDING);
    assert_non_null(copy);
    for (size_t i = 0; i < length; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return copy;
}

static inline int frame_bytes(const char *text, size_t length)
{
    char *copy = padded(text, length);
    int rc = ops->on_frame(a, copy, length, ++host.now);
    free(copy);
    return rc;
}

static inline int frame(const char *text)
{
    return frame_bytes(text, strlen(text));
}

static inline int rest(uint32_t request, const char *path, int status, const char *body)
{
    char *copy = padded(body, strlen(body));
    int rc = ops->on_rest(a, request, path, status, copy, strlen(body), ++host.now);
    free(copy);
    return rc;
}

static inline uint64_t count_of(enum adapter_counter which)
{
    return ops->counters(a)[which];
}

static inline const struct tb_record *last(void)
{
    assert_true(host.count > 0);
    return &host.record[host.count - 1];
}

static inline int trade(uint64_t id, const char *price, const char *size, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{'stream':'btcusdt@trade','data':{'e':'trade','E':1700000000123,'s':'BTCUSDT','"
                   "t':%llu,'p':'%s','q':'%s','T':1700000000122,'m':true%s}}",
                   (unsigned long long)id, price, size, more);
    return frame(text);
}

static inline int depth(uint64_t first, uint64_t final, const char *bids, const char *asks)
{
    char text[2048];
    (void)snprintf(
        text, sizeof(text),
        "{'e':'depthUpdate','E':1700000000200,'s':'BTCUSDT','U':%llu,'u':%llu,'b':[%s],'a':[%s]}",
        (unsigned long long)first, (unsigned long long) final, bids, asks);
    return frame(text);
}

static inline int snapshot(uint64_t id, const char *bids, const char *asks)
{
    char text[2048];
    (void)snprintf(text, sizeof(text), "{'lastUpdateId':%llu,'bids':[%s],'asks':[%s]}",
                   (unsigned long long)id, bids, asks);
    return rest(1, "/api/v3/depth?symbol=BTCUSDT&limit=1000", 200, text);
}

/* A book at update id 100: bids 10 x1, 9 x2; asks 11 x3, 12 x4. */
static inline void sync_book(void)
{
    assert_int_equal(depth(99, 101, "['10.00','1']", ""), 0);
    assert_int_equal(snapshot(100, "['10.00','1'],['9','2']", "['11','3'],['12','4']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.count = 0;
    host.asked_count = 0;
}

static inline size_t count_type(uint8_t type)
{
    size_t n = 0;
    for (size_t i = 0; i < host.count; i++)
        n += host.record[i].type == type;
    return n;
}

static inline const struct tb_record *find_type(uint8_t type)
{
    for (size_t i = 0; i < host.count; i++)
        if (host.record[i].type == type)
            return &host.record[i];
    fail_msg("no record of type %u", type);
    return NULL;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static inline void scan_text(const char *text, struct adapter_market_config *markets, size_t *count,
                             unsigned *channels)
{
    char *copy = padded(text, strlen(text));
    assert_int_equal(ops->scan(NULL, copy, strlen(text), markets, count, 4, channels), 0);
    free(copy);
}

#endif
