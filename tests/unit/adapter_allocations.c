/*
 * Once an adapter is made, no frame and no answer of any recording allocates or frees memory: each call of
 * malloc and its like by whatever library in this process is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "producers/adapter/sink.h"
#include "producers/capture/scan.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED /* a sanitizer has an allocator of its own in this place */

static uint64_t calls;

/* glibc's own, under the names that stay when a program has others of the usual ones. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

void *malloc(size_t bytes)
{
    calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    calls++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    calls++;
    return __libc_realloc(memory, bytes);
}

void free(void *memory)
{
    calls += memory != NULL;
    __libc_free(memory);
}

static const struct session {
    const char *venue;
    const char *file[3];
} sessions[] = {
    {"binance", {"hftbacktest/spot_btcusdt_20240808.gz"}},
    {"binance",
     {"cryptofeed/2021-10-11_BINANCE.ws.1.gz", "cryptofeed/2021-10-11_BINANCE.http.0.gz"}},
    {"binanceus",
     {"cryptofeed/2021-10-11_BINANCE_US.ws.1.gz", "cryptofeed/2021-10-11_BINANCE_US.http.0.gz"}},
    {"binanceusdm", {"hftbacktest/usdm_btcusdt_20240718.gz"}},
    {"mexc", {"samples/mexc_spot_protobuf_frames.hex"}},
    {"coinbaseexchange", {"cryptofeed/2021-04-17_COINBASE.ws.28.gz"}},
    {"kraken",
     {"cryptofeed/2021-04-17_KRAKEN.ws.48.gz", "cryptofeed/2021-04-17_KRAKEN.ws.49.gz",
      "cryptofeed/2021-04-17_KRAKEN.ws.50.gz"}},
    {"kraken", {"samples/kraken_v2_book_ALGO-USD.jsonl"}},
    {"bybit", {"cryptofeed/2026-08-09_BYBIT.ws.3.spot.jsonl.gz"}},
    {"bybit", {"cryptofeed/2025-06-13_BYBIT.ws.1.gz", "cryptofeed/2025-06-13_BYBIT.ws.2.gz"}},
    {"okx", {"cryptofeed/2022-05-13_OKX.ws.1.gz"}},
    {"okx", {"cryptofeed/2023-05-27_OKCOIN.ws.1.gz"}},
};

/* The session's files; where there are none, only the one that deploy/demo has. */
static struct capture *open_session(const struct session *s)
{
    const char *source =
        getenv("TICKBUS_SOURCE") != NULL ? getenv("TICKBUS_SOURCE") : TB_SOURCE_DIR;
    char path[3][512];
    const char *paths[3];
    size_t count = 0;
    struct capture *c;
    struct tb_error err;
    for (; count < 3 && s->file[count] != NULL; count++) {
        snprintf(path[count], sizeof(path[count]), "%s/../shared/data/%s", source, s->file[count]);
        paths[count] = path[count];
    }
    if (capture_open(paths, count, NULL, NULL, &c, &err) == 0)
        return c;
    snprintf(path[0], sizeof(path[0]), "%s/deploy/demo/%s", source, strchr(s->file[0], '/') + 1);
    return capture_open(paths, count, NULL, NULL, &c, &err) == 0 ? c : NULL;
}

static void scan(struct capture *c, const struct adapter_ops *ops, struct adapter_config *config)
{
    struct capture_event e;
    while (capture_next(c, &e) == 1)
        (void)capture_scan(ops, &e, config->market, &config->market_count, ADAPTER_MARKETS_MAX,
                           &config->channels);
    config->aggregated = !(config->channels & ADAPTER_SCAN_SINGLE);
    assert_int_equal(capture_rewind(c), 0);
}

static void play(struct capture *c, const struct session *s, const struct adapter_ops *ops,
                 struct adapter *a)
{
    struct capture_event e;
    while (capture_next(c, &e) == 1) {
        uint64_t before = calls;
        if (e.kind == CAPTURE_CONNECT)
            ops->on_connect(a, e.ts_recv);
        else if (e.kind == CAPTURE_FRAME)
            (void)ops->on_frame(a, e.text, e.length, e.ts_recv);
        else if (e.kind == CAPTURE_HTTP)
            (void)ops->on_rest(a, 0, e.url, 200, e.text, e.length, e.ts_recv);
        if (calls != before)
            fail_msg("%s, line %llu of %s: %llu allocations", s->venue, (unsigned long long)e.line,
                     s->file[e.file], (unsigned long long)(calls - before));
    }
}

static void no_frame_of_any_venue_allocates(void **state)
{
    static struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    uint64_t records = 0;
    const struct adapter_host host = adapter_sink(&records);
    size_t played = 0;
    (void)state;
    for (size_t i = 0; i < TB_COUNT(sessions); i++) {
        const struct session *s = &sessions[i];
        const struct adapter_ops *ops = adapter_find(s->venue);
        struct adapter_config config = {
            .venue = s->venue, .stream = "test", .market = market, .recorded = true};
        struct capture *c = open_session(s);
        if (c == NULL)
            continue;
        scan(c, ops, &config);
        struct adapter *a = ops->create(&config, &host, NULL);
        assert_non_null(a);
        uint64_t before = records;
        play(c, s, ops, a);
        assert_true(records > before);
        assert_int_equal(ops->counters(a)[ADAPTER_FRAMES_BAD], 0);
        ops->destroy(a);
        capture_close(c);
        played++;
    }
    assert_true(played > 0);
}

/* The counting itself: what a library allocates is seen too. */
static void what_allocates_is_counted(void **state)
{
    uint64_t before = calls;
    char *text = NULL;
    (void)state;
    assert_int_equal(asprintf(&text, "%s", "counted"), 7);
    assert_true(calls > before);
    free(text);
}

#else

static void no_frame_of_any_venue_allocates(void **state)
{
    (void)state;
    skip();
}

static void what_allocates_is_counted(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_allocates_is_counted),
        cmocka_unit_test(no_frame_of_any_venue_allocates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
