/*
 * What a venue's frame costs from bytes to records: decode, exact decimals, continuity, book, emit into a
 * sink that counts. Beside it, in the same run and turn by turn, simdjson On-Demand taking the same
 * fields as text from the same frames, which is the floor for anything built on it.
 *
 *   bench_decode [VENUE CAPTURE...]      default: binance, the session in deploy/demo
 *
 * One sample is one pass over all recorded frames of a kind, in order, through a fresh adapter.
 */
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "bench/bench_decode_bare.h"
#include "producers/adapter/adapter.h"
#include "producers/capture/capture.h"

#define SAMPLES 11

enum kind { TRADE, QUOTE, DEPTH, KINDS };

struct bench_kind {
    const char *name;
    const char *mark; /* what tells such a frame */
    uint64_t (*bare)(const char *bytes, size_t length);
};

static const struct {
    const char *venue;
    struct bench_kind kind[KINDS];
} venues[] = {
    {"binance",
     {{"trade", "@trade\"", bare_trade},
      {"bookTicker", "@bookTicker\"", bare_quote},
      {"depth", "@depth@100ms\"", bare_depth}}},
    {"bybit",
     {{"trade", "\"publicTrade.", bare_all},
      {"orderbook.1", "\"orderbook.1.", bare_all},
      {"orderbook", "\"orderbook.200.", bare_all}}},
    {"okx",
     {{"trades", "\"trades\"", bare_all},
      {"tickers", "\"tickers\"", bare_all},
      {"books", "\"books\"", bare_all}}},
};

static const struct bench_kind *kinds; /* of the venue at hand */

struct message {
    enum kind kind; /* KINDS: a REST snapshot */
    char *text;
    size_t length;
    const char *url;
    tb_ns ts_recv;
};

static struct message *message;
static size_t message_count;
static uint64_t records;

static int publish(void *context, struct tb_record *record, size_t count)
{
    (void)context, (void)record;
    records += count;
    return 0;
}

static int add_instrument(void *context, const struct tb_instrument *entry)
{
    (void)context, (void)entry;
    static int next;
    return next = next % 1000 + 1;
}

static void get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    (void)context, (void)request, (void)path, (void)not_before_ns;
}

static void reconnect(void *context, const char *why)
{
    (void)context, (void)why;
}

static enum kind kind_of(const struct capture_event *e)
{
    size_t head = e->length < 64 ? e->length : 64;
    for (int k = 0; k < KINDS; k++)
        if (memmem(e->text, head, kinds[k].mark, strlen(kinds[k].mark)) != NULL)
            return (enum kind)k;
    return KINDS;
}

static void keep(const struct capture_event *e)
{
    static size_t capacity;
    if (message_count == capacity) {
        capacity = capacity == 0 ? 4096 : capacity * 2;
        message = realloc(message, capacity * sizeof(*message));
        TB_ASSERT(message != NULL);
    }
    struct message m = {kind_of(e), malloc(e->length + ADAPTER_PADDING), e->length, NULL,
                        e->ts_recv};
    TB_ASSERT(m.text != NULL);
    memcpy(m.text, e->text, e->length);
    memset(m.text + e->length, 0, ADAPTER_PADDING);
    if (e->kind == CAPTURE_HTTP) {
        m.kind = KINDS;
        m.url = strdup(e->url);
    }
    message[message_count++] = m;
}

struct sample {
    double ns;
    uint64_t frames, records;
};

/* Only frames of one kind count; a snapshot goes in, unmeasured, where it was recorded. */
static struct sample measure_ours(const struct adapter_ops *ops,
                                  const struct adapter_config *config, enum kind kind)
{
    static const struct adapter_host host = {NULL, publish, add_instrument, get, reconnect, NULL};
    struct adapter *a = ops->create(config, &host, NULL);
    struct sample s = {0};
    tb_ns unmeasured = 0;
    TB_ASSERT(a != NULL);
    records = 0;
    tb_ns begin = tb_clock_mono();
    for (size_t i = 0; i < message_count; i++) {
        const struct message *m = &message[i];
        if (m->kind == kind) {
            (void)ops->on_frame(a, m->text, m->length, m->ts_recv);
            s.frames++;
        } else if (m->url != NULL && kind == DEPTH) {
            tb_ns from = tb_clock_mono();
            uint64_t before = records;
            (void)ops->on_rest(a, 0, m->url, 200, m->text, m->length, m->ts_recv);
            records = before;
            unmeasured += tb_clock_mono() - from;
        }
    }
    s.ns = (double)(tb_clock_mono() - begin - unmeasured);
    s.records = records;
    TB_ASSERT(ops->counters(a)[ADAPTER_FRAMES_BAD] == 0);
    ops->destroy(a);
    return s;
}

static struct sample measure_bare(enum kind kind)
{
    struct sample s = {0};
    tb_ns begin = tb_clock_mono();
    for (size_t i = 0; i < message_count; i++) {
        const struct message *m = &message[i];
        if (m->kind != kind)
            continue;
        TB_ASSERT(kinds[kind].bare(m->text, m->length) != 0);
        s.frames++;
    }
    s.ns = (double)(tb_clock_mono() - begin);
    return s;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double print_row(const char *kind, const char *what, double *per_frame, uint64_t frames,
                        uint64_t made)
{
    qsort(per_frame, SAMPLES, sizeof(*per_frame), by_value);
    double median = per_frame[SAMPLES / 2];
    printf("%-11s %-10s %8llu frames %8llu records   min %7.0f  median %7.0f  max %7.0f ns/frame\n",
           kind, what, (unsigned long long)frames, (unsigned long long)made, per_frame[0], median,
           per_frame[SAMPLES - 1]);
    return median;
}

static void run(const struct adapter_ops *ops, const struct adapter_config *config, enum kind kind)
{
    double ours[SAMPLES], bare[SAMPLES];
    struct sample s = measure_ours(ops, config, kind), b = measure_bare(kind); /* warm */
    if (s.frames == 0) {
        printf("%-11s none in the capture\n", kinds[kind].name);
        return;
    }
    for (int i = 0; i < SAMPLES; i++) {
        ours[i] = measure_ours(ops, config, kind).ns / (double)s.frames;
        bare[i] = measure_bare(kind).ns / (double)b.frames;
    }
    double median = print_row(kinds[kind].name, "adapter", ours, s.frames, s.records);
    double floor = print_row(kinds[kind].name, "simdjson", bare, b.frames, 0);
    /* Sorted by print_row: [0] is the sample that others disturbed least. */
    printf("%-11s adapter / simdjson = %.2f (of the minima %.2f)\n", kinds[kind].name,
           median / floor, ours[0] / bare[0]);
}

static int load(const char *const *paths, size_t count, const struct adapter_ops *ops,
                struct adapter_config *config)
{
    struct capture *c;
    struct capture_event e;
    struct tb_error err;
    int rc = capture_open(paths, count, NULL, NULL, &c, &err);
    if (rc != 0) {
        fprintf(stderr, "bench_decode: %s\n", err.text);
        return rc;
    }
    while (capture_next(c, &e) == 1) {
        if (e.kind != CAPTURE_FRAME && e.kind != CAPTURE_HTTP)
            continue;
        keep(&e);
        (void)ops->scan(e.kind == CAPTURE_HTTP ? e.url : NULL, e.text, e.length, config->market,
                        &config->market_count, ADAPTER_MARKETS_MAX, &config->channels);
    }
    config->aggregated = !(config->channels & ADAPTER_SCAN_SINGLE);
    capture_close(c);
    return 0;
}

int main(int argc, char **argv)
{
    static struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    static const char *const demo[] = {"deploy/demo/spot_btcusdt_20240808.gz"};
    struct adapter_config config = {.venue = argc > 2 ? argv[1] : "binance",
                                    .stream = "bench",
                                    .market = market,
                                    .recorded = true};
    for (size_t i = 0; i < TB_COUNT(venues); i++)
        if (strcmp(venues[i].venue, config.venue) == 0)
            kinds = venues[i].kind;
    const struct adapter_ops *ops = adapter_find(config.venue);
    if (kinds == NULL || ops == NULL || argc == 2) {
        fprintf(stderr, "bench_decode [VENUE CAPTURE...]: %s\n", "binance, bybit or okx");
        return 64;
    }
    if (load(argc > 2 ? (const char *const *)argv + 2 : demo, argc > 2 ? (size_t)argc - 2 : 1, ops,
             &config) != 0)
        return 64;
    printf("bench_decode %s: %zu messages, %d samples of a whole pass each, turn by turn\n",
           tb_version(), message_count, SAMPLES);
    for (int k = 0; k < KINDS; k++)
        run(ops, &config, (enum kind)k);
    return 0;
}
