/*
 * The adapter fixture for a venue of the test's choice: BTC/USD and ETH/USD by the names given, and
 * a host that keeps what it is asked to send.
 */
#ifndef TICKBUS_TESTS_ADAPTER_VENUE_H
#define TICKBUS_TESTS_ADAPTER_VENUE_H

#include "unit/adapter_fixture.h"

static struct {
    char text[32][ADAPTER_REQUEST_BYTES];
    tb_ns not_before[32];
    size_t count;
} sent;

static inline void keep_sent(void *context, const char *text, size_t length, tb_ns not_before_ns)
{
    (void)context;
    assert_true(sent.count < TB_COUNT(sent.text) && length < ADAPTER_REQUEST_BYTES);
    assert_int_equal(text[length], '\0');
    memcpy(sent.text[sent.count], text, length + 1);
    sent.not_before[sent.count++] = not_before_ns;
}

static inline void start(const char *venue, const char *btc, const char *eth, uint32_t depth,
                         bool recorded)
{
    struct adapter_market_config market[] = {
        {.symbol = "BTC/USD", .price_exp = -1, .size_exp = -8},
        {.symbol = "ETH/USD", .price_exp = -2, .size_exp = -8},
    };
    const struct adapter_host h = {NULL, publish, add_instrument, get, reconnect, keep_sent};
    const struct adapter_config config = {
        .venue = venue,
        .stream = "test",
        .market = market,
        .market_count = TB_COUNT(market),
        .channels = ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK,
        .book_depth = depth,
        .recorded = recorded,
    };
    struct tb_error err = {""};
    (void)snprintf(market[0].raw, TB_SYMBOL_BYTES, "%s", btc);
    (void)snprintf(market[1].raw, TB_SYMBOL_BYTES, "%s", eth);
    memset(&host, 0, sizeof(host));
    sent.count = 0;
    host.now = MS(1700000000000);
    ops = adapter_find(venue);
    assert_non_null(ops);
    a = ops->create(&config, &h, &err);
    assert_string_equal(err.text, "");
    assert_non_null(a);
}

/* The i-th subscription message, with ' for ". */
static inline const char *subscription(unsigned i)
{
    static char text[ADAPTER_REQUEST_BYTES];
    int length = ops->subscribe(a, i, text, sizeof(text));
    assert_true(length >= 0 && length < ADAPTER_REQUEST_BYTES);
    text[length] = '\0';
    for (char *c = text; *c != '\0'; c++)
        *c = (char)(*c == '"' ? '\'' : *c);
    return text;
}

static inline size_t count_status(enum tb_status_code code)
{
    size_t n = 0;
    for (size_t i = 0; i < host.count; i++)
        n += host.record[i].type == TB_STATUS && host.record[i].status.code == code;
    return n;
}

static inline void forget(void)
{
    host.count = 0;
    sent.count = 0;
}

/* Every byte of a frame cut off, and each changed: bad or not, never a crash, and refused if
 * cut. */
static inline void abuse(const char *const *frames, size_t count)
{
    static const char changes[] = {0, '"', '\\', '{', '}', '[', ']', ',', ':', '-', '9', 'e'};
    for (size_t f = 0; f < count; f++)
        for (size_t at = 0; at < strlen(frames[f]); at++) {
            assert_int_equal(frame_bytes(frames[f], at), -EBADMSG);
            for (size_t c = 0; c < sizeof(changes); c++) {
                size_t length = strlen(frames[f]);
                char *copy = padded(frames[f], length);
                copy[at] = changes[c];
                forget();
                host.instrument_count = host.instrument_count > 32 ? 32 : host.instrument_count;
                (void)ops->on_frame(a, copy, length, ++host.now);
                free(copy);
            }
        }
    forget();
}

static inline void collect_market(void *context, const struct adapter_market_config *market)
{
    struct adapter_market_config **next = context;
    *(*next)++ = *market;
}

static inline int read_listing(const char *text, struct adapter_market_config *out)
{
    char *copy = padded(text, strlen(text));
    int rc = ops->listing_read(copy, strlen(text), collect_market, &out);
    free(copy);
    return rc;
}

#endif
