/*
 * What a venue's recorded frames cost, by venue and kind: decoded to fields and exact decimals, beside simdjson
 * On-Demand taking the same fields (MEXC: beside libprotobuf-c alone); then all the way, through the
 * adapter: continuity, book, records, into a sink that counts. Processor time of this thread, so that others
 * on the machine disturb little. Frames stand in memory, padded, in the order of the recording.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/bench_decode_bare.h"
#include "bench/bench_decode_ours.h"
#include "bench/harness.h"
#include "producers/adapter/sink.h"
#include "producers/capture/scan.h"

#define KINDS_MAX 4 /* the last has no name */
#define FILES_MAX 3
#define FRAMES_LEAST 20000 /* of one run; a short recording is read again and again */
#define SNAPSHOT (-1)
#define OTHER (-2)

struct options {
    struct bench_options common;
    const char *data;
};

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"data", TB_OPTION_STRING, offsetof(struct options, data),
     .help = "where the recordings are (hftbacktest/, cryptofeed/, samples/); empty: what "
             "deploy/demo has, from here or above"},
};

static const char usage[] = "tickbus bench decode: a venue's frames to numbers and to records, "
                            "beside the bare parser\n";

struct kind {
    const char *name;
    const char *mark; /* what tells such a frame */
    uint64_t (*bare)(const char *bytes, size_t length);
};

struct frame {
    int kind; /* index, SNAPSHOT, OTHER */
    char *text;
    size_t length;
    const char *url; /* of a REST answer; else empty */
    tb_ns ts_recv;
};

static struct session {
    const char *venue;
    const struct decode_ours *ours;
    const char *file[FILES_MAX];
    const char *snapshot; /* what tells a frame that is one */
    struct kind kind[KINDS_MAX];
    /* read at the start */
    struct adapter_market_config market[64];
    struct adapter_config config;
    struct frame *frame;
    size_t frame_count;
} sessions[] = {
    {.venue = "binance",
     .ours = &decode_binance,
     .file = {"hftbacktest/spot_btcusdt_20240808.gz"},
     .kind = {{"trade", "@trade\"", bare_trade},
              {"bookTicker", "@bookTicker\"", bare_quote},
              {"depth", "@depth@100ms\"", bare_depth}}},
    {.venue = "binanceusdm",
     .ours = &decode_binanceusdm,
     .file = {"hftbacktest/usdm_btcusdt_20240718.gz"},
     .kind = {{"trade", "@trade\"", bare_trade},
              {"bookTicker", "@bookTicker\"", bare_quote},
              {"depth", "@depth@0ms\"", bare_depth}}},
    {.venue = "mexc",
     .ours = &decode_mexc,
     .file = {"samples/mexc_spot_protobuf_frames.hex"},
     .kind = {{"deals", "aggre.deals", NULL},
              {"bookTicker", "aggre.bookTicker", NULL},
              {"limit.depth", "limit.depth", NULL}}},
    {.venue = "coinbaseexchange",
     .ours = &decode_coinbase,
     .file = {"cryptofeed/2021-04-17_COINBASE.ws.28.gz"},
     .snapshot = "\"type\":\"snapshot\"",
     .kind = {{"match", "\"type\":\"match\"", bare_all},
              {"ticker", "\"type\":\"ticker\"", bare_all},
              {"l2update", "\"type\":\"l2update\"", bare_all}}},
    {.venue = "kraken",
     .ours = &decode_kraken,
     .file = {"cryptofeed/2021-04-17_KRAKEN.ws.48.gz", "cryptofeed/2021-04-17_KRAKEN.ws.49.gz",
              "cryptofeed/2021-04-17_KRAKEN.ws.50.gz"},
     .snapshot = "{\"as\":",
     .kind = {{"v1 trade", "],\"trade\",\"", bare_all},
              {"v1 ticker", "},\"ticker\",\"", bare_all},
              {"v1 book", "},\"book-", bare_all}}},
    {.venue = "kraken",
     .ours = &decode_kraken,
     .file = {"samples/kraken_v2_book_ALGO-USD.jsonl"},
     .snapshot = "\"snapshot\"",
     .kind = {{"v2 book", "\"update\"", bare_all}}},
    {.venue = "bybit",
     .ours = &decode_bybit,
     .file = {"cryptofeed/2026-08-09_BYBIT.ws.3.spot.jsonl.gz"},
     .kind = {{"publicTrade", "\"publicTrade.", bare_all},
              {"orderbook.200", "\"orderbook.200.", bare_all}}},
    {.venue = "bybit",
     .ours = &decode_bybit,
     .file = {"cryptofeed/2025-06-13_BYBIT.ws.1.gz", "cryptofeed/2025-06-13_BYBIT.ws.2.gz"},
     .kind = {{"orderbook.1", "\"orderbook.1.", bare_all}}},
    {.venue = "okx",
     .ours = &decode_okx,
     .file = {"cryptofeed/2022-05-13_OKX.ws.1.gz"},
     .snapshot = "\"action\":\"snapshot\"",
     .kind = {{"trades", "{\"arg\":{\"channel\":\"trades\"", bare_all},
              {"tickers", "{\"arg\":{\"channel\":\"tickers\"", bare_all},
              {"books", "{\"arg\":{\"channel\":\"books\"", bare_all}}},
};

/* One measure of one kind; what a case's context points to. */
struct task {
    struct session *session;
    int kind;
    size_t frames; /* of this kind in the recording */
    size_t bytes;
    char decode[64], bytes_name[64], whole[64];
};

static struct options o;
static struct bench bench;
static uint64_t records;

/* ---- recordings ---- */

static int kind_of(const struct session *s, const struct capture_event *e)
{
    if (e->kind == CAPTURE_HTTP || (s->snapshot != NULL && memmem(e->text, e->length, s->snapshot,
                                                                  strlen(s->snapshot)) != NULL))
        return SNAPSHOT;
    for (int k = 0; k < KINDS_MAX && s->kind[k].name != NULL; k++)
        if (memmem(e->text, e->length, s->kind[k].mark, strlen(s->kind[k].mark)) != NULL)
            return k;
    return OTHER;
}

static void keep(struct session *s, const struct capture_event *e)
{
    if ((s->frame_count & (s->frame_count + 1)) == 0) /* 0, 1, 3, 7, ..: double it */
        s->frame = realloc(s->frame, 2 * (s->frame_count + 1) * sizeof(*s->frame));
    struct frame f = {kind_of(s, e), calloc(1, e->length + ADAPTER_PADDING), e->length,
                      strdup(e->url), e->ts_recv};
    if (s->frame == NULL || f.text == NULL || f.url == NULL)
        bench_fail("no memory for the recordings");
    memcpy(f.text, e->text, e->length);
    s->frame[s->frame_count++] = f;
}

static const char *data_directory(void)
{
    static const char *const demo[] = {"deploy/demo", "../deploy/demo", "../../deploy/demo"};
    char path[512];
    if (o.data != NULL && o.data[0] != '\0')
        return o.data;
    for (size_t i = 0; i < TB_COUNT(demo); i++) {
        (void)snprintf(path, sizeof(path), "%s/spot_btcusdt_20240808.gz", demo[i]);
        FILE *f = fopen(path, "re");
        if (f != NULL)
            return fclose(f), demo[i];
    }
    return demo[0];
}

/* deploy/demo is flat: there the folder before the name is not. */
static bool open_session(const struct session *s, struct capture **out)
{
    char path[FILES_MAX][512];
    const char *paths[FILES_MAX];
    struct tb_error err;
    for (int flat = 0; flat <= 1; flat++) {
        size_t count = 0;
        for (; count < FILES_MAX && s->file[count] != NULL; count++) {
            const char *name = flat ? strchr(s->file[count], '/') + 1 : s->file[count];
            (void)snprintf(path[count], sizeof(path[count]), "%s/%s", data_directory(), name);
            paths[count] = path[count];
        }
        if (capture_open(paths, count, NULL, NULL, out, &err) == 0)
            return true;
    }
    bench_note(&bench, "%s: no recording (%s)", s->venue, err.text);
    return false;
}

static void load(struct session *s)
{
    const struct adapter_ops *ops = adapter_find(s->venue);
    struct capture *c;
    struct capture_event e;
    s->config = (struct adapter_config){
        .venue = s->venue, .stream = "bench", .market = s->market, .recorded = true};
    if (!open_session(s, &c))
        return;
    while (capture_next(c, &e) == 1) {
        if (e.kind == CAPTURE_FRAME || e.kind == CAPTURE_HTTP)
            keep(s, &e);
        (void)capture_scan(ops, &e, s->market, &s->config.market_count, TB_COUNT(s->market),
                           &s->config.channels);
    }
    s->config.aggregated = !(s->config.channels & ADAPTER_SCAN_SINGLE);
    capture_close(c);
}

/* ---- runs ---- */

static double thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* a clock of ours is always there */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* How often the recording is read in one run. */
static size_t passes(const struct task *t)
{
    size_t least = (size_t)(FRAMES_LEAST * bench.scale);
    return 1 + least / (t->frames + 1);
}

static void add_decode(const struct task *t, double ns)
{
    size_t times = passes(t);
    bench_add(&bench, t->decode, BENCH_LOWER, "ns", ns / (double)(t->frames * times));
    bench_add(&bench, t->bytes_name, BENCH_HIGHER, "MB/s", (double)(t->bytes * times) / ns * 1e3);
}

static int run_decode(struct bench *b, const struct bench_case *c)
{
    const struct task *t = c->context;
    const struct session *s = t->session;
    void *decoder = s->ours->create();
    double begin = thread_ns();
    for (size_t i = passes(t); i > 0; i--)
        for (size_t k = 0; k < s->frame_count; k++)
            if (s->frame[k].kind == t->kind &&
                s->ours->decode(decoder, s->frame[k].text, s->frame[k].length) == 0)
                bench_fail("%s: a frame could not be read", t->decode);
    add_decode(t, thread_ns() - begin);
    s->ours->destroy(decoder);
    (void)b;
    return 0;
}

static int run_bare(struct bench *b, const struct bench_case *c)
{
    const struct task *t = c->context;
    const struct session *s = t->session;
    const struct kind *kind = &s->kind[t->kind];
    void *decoder = s->ours->create();
    double begin = thread_ns();
    for (size_t i = passes(t); i > 0; i--)
        for (size_t k = 0; k < s->frame_count; k++) {
            const struct frame *f = &s->frame[k];
            if (f->kind == t->kind &&
                (kind->bare != NULL ? kind->bare(f->text, f->length)
                                    : mexc_bare(decoder, f->text, f->length)) == 0)
                bench_fail("%s: the bare parser could not read a frame", t->decode);
        }
    add_decode(t, thread_ns() - begin);
    s->ours->destroy(decoder);
    (void)b;
    return 0;
}

/* Snapshots go in where they were recorded, unmeasured. */
static double play(const struct adapter_ops *ops, const struct task *t, struct adapter *a)
{
    const struct session *s = t->session;
    double ns = 0, begin = thread_ns();
    for (size_t i = 0; i < s->frame_count; i++) {
        const struct frame *f = &s->frame[i];
        if (f->kind == t->kind)
            (void)ops->on_frame(a, f->text, f->length, f->ts_recv);
        if (f->kind != SNAPSHOT)
            continue;
        ns += thread_ns() - begin;
        if (f->url[0] != '\0')
            (void)ops->on_rest(a, 0, f->url, 200, f->text, f->length, f->ts_recv);
        else
            (void)ops->on_frame(a, f->text, f->length, f->ts_recv);
        begin = thread_ns();
    }
    return ns + thread_ns() - begin;
}

static int run_whole(struct bench *b, const struct bench_case *c)
{
    const struct adapter_host host = adapter_sink(&records);
    const struct task *t = c->context;
    const struct adapter_ops *ops = adapter_find(t->session->venue);
    double ns = 0;
    size_t times = passes(t);
    for (size_t i = times; i > 0; i--) {
        struct adapter *a = ops->create(&t->session->config, &host, NULL);
        if (a == NULL)
            bench_fail("%s: no memory", t->whole);
        ns += play(ops, t, a);
        if (ops->counters(a)[ADAPTER_FRAMES_BAD] != 0)
            bench_fail("%s: a frame was refused", t->whole);
        ops->destroy(a);
    }
    bench_add(b, t->whole, BENCH_LOWER, "ns", ns / (double)(t->frames * times));
    return 0;
}

/* ---- all of them ---- */

static void add_cases(struct task *t, struct bench_case *out)
{
    const struct kind *kind = &t->session->kind[t->kind];
    const char *peer = kind->bare != NULL ? "simdjson On-Demand" : "libprotobuf-c";
    for (size_t i = 0; i < t->session->frame_count; i++)
        if (t->session->frame[i].kind == t->kind) {
            t->frames++;
            t->bytes += t->session->frame[i].length;
        }
    (void)snprintf(t->decode, sizeof(t->decode), "%s %s, decode", t->session->venue, kind->name);
    (void)snprintf(t->bytes_name, sizeof(t->bytes_name), "%s %s, decode, bytes", t->session->venue,
                   kind->name);
    (void)snprintf(t->whole, sizeof(t->whole), "%s %s, decode, sync, emit", t->session->venue,
                   kind->name);
    out[0] = (struct bench_case){t->decode, "tickbus", BENCH_OURS, 1, run_decode, t};
    out[1] = (struct bench_case){t->decode, peer, BENCH_LIMIT, 1, run_bare, t};
    out[2] = (struct bench_case){t->whole, "tickbus", BENCH_OURS, 1, run_whole, t};
}

int main(int argc, char **argv)
{
    static struct task task[TB_COUNT(sessions) * KINDS_MAX];
    static struct bench_case cases[3 * TB_COUNT(task)];
    size_t count = 0;
    bench_begin(&bench, "decode", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    bench_note(&bench, "simdjson On-Demand compiled for %s", bare_kernel());
    for (size_t i = 0; i < TB_COUNT(sessions); i++) {
        load(&sessions[i]);
        for (int k = 0; k < KINDS_MAX && sessions[i].kind[k].name != NULL; k++) {
            if (sessions[i].frame_count == 0)
                continue;
            task[count].session = &sessions[i];
            task[count].kind = k;
            add_cases(&task[count], &cases[3 * count]);
            if (task[count].frames > 0)
                count++;
        }
    }
    bench_run(&bench, cases, 3 * count);
    return bench_end(&bench);
}
