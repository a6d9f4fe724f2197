/*
 * From the wire to the ring: tickbus-feed itself, on loopback, plain and over TLS, beside a program that has
 * nothing but libwebsockets' receive callback and the decoder. Both get the same frames, trades of
 * Binance, from the same venue (wire_venue.c).
 *
 *   one way     from when a frame was meant to be sent until it is published (the bare one: decoded)
 *   readable    from the kernel's time stamp of the frame until it is published: what the feed itself adds
 *   flat out    frames a second, one process
 */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libwebsockets.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>

#include "bench/harness.h"
#include "bench/server.h"
#include "bench/wire_venue.h"
#include "producers/adapter/adapter.h"
#include "producers/adapter/binance_json.h"

#define BUS "wire"
#define STREAM "feed"
#define CAPACITY "524288"
#define WAIT_NS (30 * TB_NS_PER_S)

struct options {
    struct bench_options common;
    int64_t rate, paced, flat;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"rate", TB_OPTION_INT, O(rate), "2000", 1, 1000000, .help = "frames a second, one way"},
    {"paced", TB_OPTION_INT, O(paced), "6000", 100, WIRE_FRAMES_MAX,
     .help = "frames of such a run"},
    {"flat", TB_OPTION_INT, O(flat), "300000", 1000, WIRE_FRAMES_MAX, .help = "frames flat out"},
};

static const char usage[] =
    "bench_wire [options]: from the wire to the ring, beside bare libwebsockets\n"
    "How to read the figures: bench/README.md.\n";

static struct options o;
static struct wire_shared *shared;
static pid_t venue_pid, feed_pid;
static char feed_path[PATH_MAX], bus_dir[300];

/* What a case is about. */
struct wire {
    bool tls, paced, bare;
};

/* ---- the venue ---- */

static void make_certificate(struct bench *b)
{
    char command[1024];
    (void)snprintf(shared->certificate, sizeof(shared->certificate), "%s/wire.pem",
                   bench_directory(b));
    (void)snprintf(shared->key, sizeof(shared->key), "%s/wire.key", bench_directory(b));
    if (access(shared->key, R_OK) == 0)
        return;
    (void)snprintf(
        command, sizeof(command),
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s -out %s "
        ">/dev/null 2>&1",
        shared->key, shared->certificate);
    if (system(command) != 0)
        bench_fail("openssl can not make a certificate");
}

static bool listens(void *context)
{
    (void)context;
    return atomic_load(&shared->port) != 0;
}

static bool is_connected(void *context)
{
    (void)context;
    return atomic_load(&shared->connected) != 0;
}

static void start_venue(struct bench *b, const struct wire *wire)
{
    atomic_store(&shared->port, 0);
    atomic_store(&shared->connected, 0);
    atomic_store(&shared->go, 0);
    atomic_store(&shared->stop, 0);
    atomic_store(&shared->done_count, 0);
    memset(shared->sent, 0, sizeof(shared->sent));
    memset(shared->done, 0, sizeof(shared->done));
    shared->tls = wire->tls;
    shared->rate = wire->paced ? o.rate : 0;
    shared->frames = (uint64_t)((double)(wire->paced ? o.paced : o.flat) * b->scale);
    if (wire->tls)
        make_certificate(b);
    venue_pid = bench_fork(b->cpu[0]);
    if (venue_pid == 0) {
        wire_venue(shared);
        _exit(0);
    }
    if (!server_await(venue_pid, listens, NULL))
        bench_fail("the venue does not listen");
}

static void stop_venue(void)
{
    atomic_store(&shared->stop, 1);
    bench_join(venue_pid);
    venue_pid = 0;
}

/* ---- the feed ---- */

static void start_feed(struct bench *b, const struct wire *wire)
{
    char directory[300], url[64], rest[64], ca[300];
    const char *s = wire->tls ? "s" : "";
    unsigned port = atomic_load(&shared->port);
    const char *argv[] = {feed_path,
                          directory,
                          "--bus=" BUS,
                          "--venue=binance",
                          "--symbols=BTC/USDT",
                          "--channels=trade",
                          "--stream=" STREAM,
                          "--capacity=" CAPACITY,
                          "--new-epoch",
                          "--cache=none",
                          url,
                          rest,
                          wire->tls ? ca : NULL,
                          NULL};
    (void)snprintf(directory, sizeof(directory), "--directory=%s", bench_directory(b));
    (void)snprintf(url, sizeof(url), "--url=ws%s://localhost:%u", s, port);
    (void)snprintf(rest, sizeof(rest), "--rest-url=http%s://localhost:%u", s, port);
    (void)snprintf(ca, sizeof(ca), "--ca-file=%s", shared->certificate);
    feed_pid = server_start(feed_path, argv);
    if (!server_await(feed_pid, is_connected, NULL))
        bench_fail("the feed does not connect");
}

static void open_reader(struct bench *b, struct tb_reader *r)
{
    const struct tb_reader_options oldest = {.from = TB_FROM_OLDEST, .wait = TB_WAIT_SPIN};
    struct tb_error err;
    (void)snprintf(bus_dir, sizeof(bus_dir), "%s/%s", bench_directory(b), BUS);
    if (tb_reader_open(bus_dir, STREAM, &oldest, r, &err) != 0)
        bench_fail("%s", err.text);
}

/* Not looked at while it runs but every few ms: the processors are for venue and feed. */
static void await_frames(struct tb_reader *r)
{
    tb_ns end = tb_clock_mono() + WAIT_NS;
    while (tb_reader_newest(r) < shared->frames + 1) { /* and the status record before them */
        if (tb_clock_mono() > end)
            bench_fail("%llu of %llu frames were published",
                       (unsigned long long)tb_reader_newest(r), (unsigned long long)shared->frames);
        (void)usleep(5000);
    }
}

struct times {
    double *one_way, *readable;
    tb_ns first, last; /* published */
    uint64_t count;
};

static void read_times(struct tb_reader *r, struct times *t)
{
    struct tb_record record;
    uint64_t id = 0;
    while (tb_reader_next(r, &record) == TB_READ_OK) {
        if (record.type != TB_TRADE)
            continue;
        if (record.trade.trade_id != ++id || record.trade.price != 6183763)
            bench_fail("frame %llu is missing or wrong", (unsigned long long)id);
        tb_ns published = record.ts_recv + record.publish_delta_ns;
        t->first = t->count == 0 ? published : t->first;
        t->last = published;
        t->readable[t->count] = (double)record.publish_delta_ns;
        t->one_way[t->count++] = (double)(published - shared->sent[id]);
    }
    if (id != shared->frames)
        bench_fail("%llu of %llu frames", (unsigned long long)id,
                   (unsigned long long)shared->frames);
}

/* ---- the bare one ---- */

static struct binance_decoder *decoder;
static char bare_message[8192 + ADAPTER_PADDING];
static size_t bare_length;

static int bare_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                         size_t length)
{
    struct binance_message message;
    (void)user;
    if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR)
        bench_fail("libwebsockets: %s", in != NULL ? (const char *)in : "cannot connect");
    if (reason != LWS_CALLBACK_CLIENT_RECEIVE)
        return 0;
    if (lws_is_first_fragment(wsi))
        bare_length = 0;
    if (bare_length + length > sizeof(bare_message) - ADAPTER_PADDING)
        bench_fail("a frame is too long");
    memcpy(bare_message + bare_length, in, length);
    bare_length += length;
    if (!lws_is_final_fragment(wsi))
        return 0;
    memset(bare_message + bare_length, 0, ADAPTER_PADDING);
    binance_decode(decoder, bare_message, bare_length, &message);
    if (message.kind != BINANCE_TRADE || message.id < 1 || (uint64_t)message.id > shared->frames)
        bench_fail("a frame was decoded to something else");
    shared->done[message.id] = tb_clock_wall();
    atomic_fetch_add_explicit(&shared->done_count, 1, memory_order_relaxed);
    return 0;
}

static void bare_client(const struct wire *wire)
{
    static const struct lws_protocols protocols[] = {
        {.name = "bare", .callback = bare_callback, .rx_buffer_size = 65536}, {.name = NULL}};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                             .protocols = protocols,
                                             .gid = -1,
                                             .uid = -1,
                                             .pt_serv_buf_size = 65536,
                                             .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT};
    info.client_ssl_ca_filepath = wire->tls ? shared->certificate : NULL;
    lws_set_log_level(0, NULL);
    decoder = binance_decoder_create(BINANCE_SPOT);
    struct lws_context *context = lws_create_context(&info);
    if (context == NULL || decoder == NULL)
        bench_fail("no libwebsockets context");
    struct lws_client_connect_info connect = {
        .context = context,
        .address = "localhost",
        .host = "localhost",
        .origin = "localhost",
        .port = (int)atomic_load(&shared->port),
        .path = "/stream",
        .ssl_connection =
            wire->tls ? LCCSCF_USE_SSL | LCCSCF_PRIORITIZE_READS : LCCSCF_PRIORITIZE_READS,
        .ietf_version_or_minus_one = -1,
        .local_protocol_name = "bare",
        .alpn = "http/1.1",
    };
    if (lws_client_connect_via_info(&connect) == NULL)
        bench_fail("libwebsockets does not connect");
    while (!atomic_load(&shared->stop))
        (void)lws_service(context, 0);
    _exit(0);
}

static void bare_times(struct times *t)
{
    t->first = INT64_MAX;
    for (uint64_t id = 1; id <= shared->frames; id++) {
        tb_ns done = shared->done[id];
        if (done == 0)
            bench_fail("frame %llu is missing", (unsigned long long)id);
        t->first = done < t->first ? done : t->first;
        t->last = done > t->last ? done : t->last;
        t->one_way[t->count++] = (double)(done - shared->sent[id]);
    }
}

static void run_bare(struct bench *b, const struct wire *wire, struct times *t)
{
    tb_ns end = tb_clock_mono() + WAIT_NS;
    (void)b;
    pid_t pid = bench_fork(-1); /* as the feed */
    if (pid == 0)
        bare_client(wire);
    if (!server_await(pid, is_connected, NULL))
        bench_fail("the bare client does not connect");
    atomic_store(&shared->go, 1);
    while (atomic_load(&shared->done_count) < shared->frames && tb_clock_mono() < end)
        (void)usleep(5000);
    bare_times(t);
    stop_venue(); /* sets stop, which the client sees when the connection ends */
    bench_join(pid);
}

/* ---- a run ---- */

static void run_feed(struct bench *b, const struct wire *wire, struct times *t)
{
    struct tb_reader reader;
    start_feed(b, wire);
    open_reader(b, &reader);
    atomic_store(&shared->go, 1);
    await_frames(&reader);
    read_times(&reader, t);
    tb_reader_close(&reader, false);
    server_stop(feed_pid);
    feed_pid = 0;
    stop_venue();
}

static void add(struct bench *b, const char *const name[3], double *values, uint64_t count)
{
    struct bench_quantiles q = bench_quantiles_of(values, count);
    bench_add(b, name[0], BENCH_LOWER, "us", q.p50 / 1000);
    bench_add(b, name[1], BENCH_LOWER, "us", q.p99 / 1000);
    bench_add(b, name[2], BENCH_LOWER, "us", q.p999 / 1000);
}

static int run(struct bench *b, const struct bench_case *c)
{
    static const char *const one_way[2][3] = {
        {"one way, plain, p50", "one way, plain, p99", "one way, plain, p99.9"},
        {"one way, TLS, p50", "one way, TLS, p99", "one way, TLS, p99.9"}};
    static const char *const readable[2][3] = {
        {"readable, plain, p50", "readable, plain, p99", "readable, plain, p99.9"},
        {"readable, TLS, p50", "readable, TLS, p99", "readable, TLS, p99.9"}};
    const struct wire *wire = c->context;
    struct times t = {calloc(WIRE_FRAMES_MAX, sizeof(double)),
                      calloc(WIRE_FRAMES_MAX, sizeof(double)), 0, 0, 0};
    if (t.one_way == NULL || t.readable == NULL)
        bench_fail("no memory");
    start_venue(b, wire);
    (wire->bare ? run_bare : run_feed)(b, wire, &t);
    if (wire->paced)
        add(b, one_way[wire->tls], t.one_way, t.count);
    if (wire->paced && !wire->bare)
        add(b, readable[wire->tls], t.readable, t.count);
    if (!wire->paced)
        bench_add(b, c->measure, BENCH_HIGHER, "k frames/s",
                  (double)(t.count - 1) / (double)(t.last - t.first) * 1e6);
    free(t.one_way);
    free(t.readable);
    return 0;
}

/* The harness removes its directory; the bus in it is ours. */
static void remove_bus(void)
{
    DIR *bus = opendir(bus_dir);
    if (bus == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(bus)) != NULL;)
        (void)unlinkat(dirfd(bus), entry->d_name, 0);
    (void)closedir(bus);
    (void)rmdir(bus_dir);
}

static void stop_all(void)
{
    server_stop(feed_pid);
    server_stop(venue_pid);
    remove_bus();
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static const struct wire wires[2][2][2] = {
        {{{false, false, false}, {false, false, true}},
         {{false, true, false}, {false, true, true}}},
        {{{true, false, false}, {true, false, true}}, {{true, true, false}, {true, true, true}}}};
    static const char ours[] = "tickbus-feed", bare[] = "libwebsockets, decode";
    static const struct bench_case cases[] = {
        {"one way, plain", ours, BENCH_OURS, 2, run, &wires[0][1][0]},
        {"one way, plain", bare, BENCH_LIMIT, 2, run, &wires[0][1][1]},
        {"one way, TLS", ours, BENCH_OURS, 2, run, &wires[1][1][0]},
        {"one way, TLS", bare, BENCH_LIMIT, 2, run, &wires[1][1][1]},
        {"flat out, plain", ours, BENCH_OURS, 2, run, &wires[0][0][0]},
        {"flat out, plain", bare, BENCH_LIMIT, 2, run, &wires[0][0][1]},
        {"flat out, TLS", ours, BENCH_OURS, 2, run, &wires[1][0][0]},
        {"flat out, TLS", bare, BENCH_LIMIT, 2, run, &wires[1][0][1]},
    };
    ssize_t length = readlink("/proc/self/exe", feed_path, sizeof(feed_path) - 32);
    bench_begin(&bench, "wire", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    if (length <= 0)
        bench_fail("where is this program?");
    strcpy(strrchr(feed_path, '/') + 1, "tickbus-feed");
    shared = bench_shared(sizeof(*shared));
    bench_at_end(stop_all);
    bench_note(&bench, "%lld frames/s one way; frames of 170 bytes; libwebsockets %s",
               (long long)o.rate, lws_get_library_version());
    bench_run(&bench, cases, TB_COUNT(cases));
    return bench_end(&bench);
}
