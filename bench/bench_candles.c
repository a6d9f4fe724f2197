/*
 * Candles of all timeframes from a full ring, in one process, with what they publish on the way: the
 * service itself and its logic alone, beside a loop that makes open, high, low, close and volume of one
 * timeframe, and beside reading the ring. Every subject reads the same trades with the same call.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>
#include <tickbus/stats.h>

#include "bench/harness.h"
#include "consumers/candles/candles.h"

#define BATCH 256 /* as the services read */
#define FORMING_EVERY (100 * TB_NS_PER_MS)
#define START (INT64_C(1723161255) * TB_NS_PER_S)

struct options {
    struct bench_options common;
    int64_t slots, markets;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"slots", TB_OPTION_INT, O(slots), "1048576", 4096, 1 << 24,
     .help = "of the ring, a power of two: so many trades a run"},
    {"markets", TB_OPTION_INT, O(markets), "8", 1, TB_INSTRUMENTS_MAX, .help = "in turn"},
};

static const char usage[] =
    "bench_candles [options]: all timeframes of the trades in a full ring, M trades/s\n"
    "How to read the figures: bench/README.md.\n";

/* Two rings: trades 1 us apart, and so far apart that each makes all forming candles due: 16 records. */
struct source {
    const char *stream;
    tb_ns apart;
};
static const struct source busy = {"busy", TB_NS_PER_US};
static const struct source slow = {"slow", 20 * TB_NS_PER_MS};

static struct options o;
static char program[PATH_MAX];
static volatile int64_t sink; /* so that no sum is thought unneeded */

/* ---- the rings ---- */

static int64_t price_of(int64_t k)
{
    return 6000000 + k * 7919 % 997;
}

static int64_t size_of(int64_t k)
{
    return 1 + k * 104729 % 99991;
}

static void fill(struct bench *b, const struct source *s)
{
    struct tb_writer w;
    struct tb_error err;
    struct tb_writer_options options_of_ring = {.capacity = (uint64_t)o.slots};
    if (tb_writer_open(bench_directory(b), s->stream, &options_of_ring, &w, &err) != 0)
        bench_fail("%s", err.text);
    for (int64_t m = 0; m < o.markets; m++) {
        struct tb_instrument entry = {.venue = "bench", .price_exp = -2, .size_exp = -5};
        (void)snprintf(entry.symbol, sizeof(entry.symbol), "M%d/USDT", (int)m);
        if (tb_writer_add_instrument(&w, &entry) != m + 1)
            bench_fail("no room for an instrument");
    }
    for (int64_t k = 0; k < o.slots; k++) {
        struct tb_record r = {.ts_event = START + k * s->apart,
                              .ts_recv = START + k * s->apart + 1,
                              .instrument = (uint16_t)(k % o.markets + 1),
                              .type = TB_TRADE,
                              .flags = TB_F_LAST};
        r.trade = (struct tb_trade){.price = price_of(k),
                                    .size = size_of(k),
                                    .trade_id = (uint64_t)k,
                                    .side = k & 1 ? TB_BUY : TB_SELL,
                                    .count = 1};
        (void)tb_writer_publish(&w, &r); /* free: never refused */
    }
    tb_writer_close(&w, TB_STREAM_DONE);
}

/* Everything in the ring, batch by batch; returns M records/s. */
static double read_all(struct bench *b, const struct source *s,
                       void (*take)(void *context, struct tb_reader *r,
                                    const struct tb_record *records, size_t count),
                       void *context)
{
    static struct tb_record batch[BATCH];
    struct tb_reader_options from = {.from = TB_FROM_SEQ, .seq = 1};
    struct tb_reader r;
    struct tb_error err;
    enum tb_read end = TB_READ_OK;
    uint64_t read = 0;
    size_t count;
    if (tb_reader_open(bench_directory(b), s->stream, &from, &r, &err) != 0)
        bench_fail("%s", err.text);
    tb_ns begun = tb_clock_mono();
    while ((count = tb_reader_read(&r, batch, BATCH, &end)) > 0) {
        take(context, &r, batch, count);
        read += count;
    }
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    tb_reader_close(&r, false);
    if (read != (uint64_t)o.slots)
        bench_fail("%llu records of %lld were read", (unsigned long long)read, (long long)o.slots);
    return (double)read / seconds / 1e6;
}

/* ---- the subjects ---- */

static void take_sum(void *context, struct tb_reader *r, const struct tb_record *records,
                     size_t count)
{
    int64_t *sum = context;
    (void)r;
    for (size_t i = 0; i < count; i++)
        *sum += records[i].trade.size;
}

static int read_run(struct bench *b, const struct bench_case *c)
{
    int64_t sum = 0, wanted = 0;
    double rate = read_all(b, c->context, take_sum, &sum);
    for (int64_t k = 0; k < o.slots; k++)
        wanted += size_of(k);
    if (sum != wanted)
        bench_fail("the sizes sum up to another number");
    bench_add(b, c->measure, BENCH_HIGHER, "M trades/s", rate);
    return 0;
}

struct ohlcv {
    tb_ns end;
    int64_t open, high, low, close, volume;
};

static void take_ohlcv(void *context, struct tb_reader *r, const struct tb_record *records,
                       size_t count)
{
    struct ohlcv *all = context;
    (void)r;
    for (size_t i = 0; i < count; i++) {
        const struct tb_record *t = &records[i];
        struct ohlcv *k = &all[t->instrument];
        if (t->ts_event >= k->end) {
            k->end = t->ts_event - t->ts_event % (60 * TB_NS_PER_S) + 60 * TB_NS_PER_S;
            k->open = k->high = k->low = t->trade.price;
            sink = k->volume;
            k->volume = 0;
        }
        k->high = t->trade.price > k->high ? t->trade.price : k->high;
        k->low = t->trade.price < k->low ? t->trade.price : k->low;
        k->close = t->trade.price;
        k->volume += t->trade.size;
    }
}

static int ohlcv_run(struct bench *b, const struct bench_case *c)
{
    static struct ohlcv all[TB_INSTRUMENTS_MAX + 1];
    memset(all, 0, sizeof(all));
    bench_add(b, c->measure, BENCH_HIGHER, "M trades/s", read_all(b, c->context, take_ohlcv, all));
    return 0;
}

struct logic {
    struct candles candles;
    struct tb_reader *reader;
    struct tb_writer out;
};

static const struct tb_instrument *instrument(void *context, unsigned input, uint16_t id)
{
    struct logic *l = context;
    (void)input;
    return tb_reader_instrument(l->reader, id);
}

static uint16_t mirror(void *context, unsigned input, uint16_t id, int8_t price_exp,
                       int8_t size_exp)
{
    struct logic *l = context;
    (void)price_exp, (void)size_exp;
    int mirrored = tb_writer_add_instrument(&l->out, instrument(l, input, id));
    return mirrored > 0 ? (uint16_t)mirrored : 0;
}

static int publish(void *context, unsigned input, struct tb_record *records, size_t count)
{
    struct logic *l = context;
    (void)input;
    return tb_writer_publish_many(&l->out, records, count) == count ? 0 : -1;
}

static void take_candles(void *context, struct tb_reader *r, const struct tb_record *records,
                         size_t count)
{
    struct logic *l = context;
    l->reader = r;
    for (size_t i = 0; i < count; i++)
        (void)candles_record(&l->candles, 0, &records[i]); /* a failure shows in the counts */
}

static int logic_run(struct bench *b, const struct bench_case *c)
{
    static struct logic l;
    struct tb_error err;
    const struct candles_host host = {&l, instrument, mirror, publish};
    struct tb_writer_options fresh = {.new_epoch = true};
    if (candles_init(&l.candles, &host, (uint32_t)o.markets, FORMING_EVERY) != 0)
        bench_fail("no memory");
    if (tb_writer_open(bench_directory(b), "made", &fresh, &l.out, &err) != 0)
        bench_fail("%s", err.text);
    bench_add(b, c->measure, BENCH_HIGHER, "M trades/s", read_all(b, c->context, take_candles, &l));
    if (l.candles.counts.trades != (uint64_t)o.slots || l.candles.counts.forming == 0)
        bench_fail("trades are missing in the candles");
    tb_writer_close(&l.out, TB_STREAM_DONE);
    candles_fini(&l.candles);
    return 0;
}

static int64_t counter(const struct tb_stats_page *page, const char *name)
{
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++)
        if (strcmp(page->counter[i].name, name) == 0)
            return page->counter[i].value;
    bench_fail("tickbus-candles counts no %s", name);
}

/* The program, from an empty state; its own clock of the time that it did not wait. */
static int service_run(struct bench *b, const struct bench_case *c)
{
    static struct tb_stats_page page;
    const struct source *s = c->context;
    char bus[PATH_MAX], streams[64];
    bool alive;
    struct tb_error err;
    /* The directory's name is not fit for a bus: it gets another one, within itself. */
    (void)snprintf(bus, sizeof(bus), "%s/bench", bench_directory(b));
    if (symlink(".", bus) != 0 && errno != EEXIST)
        bench_fail("%s: %s", bus, strerror(errno));
    (void)snprintf(streams, sizeof(streams), "--streams=%s", s->stream);
    pid_t pid = bench_fork(-1);
    if (pid == 0) {
        (void)setenv("TICKBUS_DIR", bench_directory(b), 1);
        execl(program, program, "--bus=bench", streams, "--until-done", "--new-epoch",
              "--log-level=error", NULL);
        _exit(127);
    }
    bench_join(pid);
    if (tb_stats_inspect(bench_directory(b), "candles", &page, &alive, &err) != 0)
        bench_fail("%s", err.text);
    if (counter(&page, "trades") != o.slots)
        bench_fail("tickbus-candles took another number of trades");
    bench_add(b, c->measure, BENCH_HIGHER, "M trades/s",
              (double)o.slots / (double)page.busy_ns * 1e3);
    return 0;
}

#define CASES(measure_, source_)                                                                   \
    {measure_, "tickbus-candles", BENCH_OURS, 1, service_run, source_},                            \
        {measure_, "its logic alone", BENCH_OURS, 1, logic_run, source_},                          \
        {measure_, "OHLCV of one timeframe", BENCH_LIMIT, 1, ohlcv_run, source_},                  \
    {                                                                                              \
        measure_, "reading the ring", BENCH_LIMIT, 1, read_run, source_                            \
    }

static const struct bench_case cases[] = {
    CASES("full ring", &busy),
    CASES("full ring, 8 candles given out for each trade", &slow),
};

int main(int argc, char **argv)
{
    static struct bench b;
    bench_begin(&b, "candles", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    if ((o.slots & (o.slots - 1)) != 0)
        bench_fail("--slots is a power of two");
    o.slots = b.scale < 1 && o.slots > 65536 ? o.slots / 8 : o.slots;
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 32);
    if (length <= 0)
        bench_fail("this program does not find itself");
    strcpy(strrchr(program, '/'), "/tickbus-candles");
    bench_note(&b,
               "%lld trades of %lld markets in a ring; forming candles each 100 ms of venue time",
               (long long)o.slots, (long long)o.markets);
    fill(&b, &busy);
    fill(&b, &slow);
    bench_run(&b, cases, TB_COUNT(cases));
    return bench_end(&b);
}
