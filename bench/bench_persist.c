/*
 * SQLite rows/s: trades through the persister (records to rows, batches, cursors, commits) beside a bare
 * loop over one prepared INSERT with values made ready before, into the same table with the same index,
 * with the same settings and the same rows in a transaction. Both in turn, in one run, each time into a
 * new file; so a ratio of 1 is what SQLite itself allows.
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/decimal.h>

#include "consumers/persist/store.h"

#define PROGRAM "bench_persist"
#define ROUNDS_MAX 101

struct bench_options {
    int64_t rows, batch, rounds;
    const char *directory;
    bool quick, json;
};

#define O(field) offsetof(struct bench_options, field)

static const struct tb_option options[] = {
    {"rows", TB_OPTION_INT, O(rows), "200000", 1000, 10000000, .help = "trades in one file"},
    {"batch", TB_OPTION_INT, O(batch), "10000", 1, 1000000, .help = "rows in a transaction"},
    {"rounds", TB_OPTION_INT, O(rounds), "7", 5, ROUNDS_MAX, .help = "how often each is measured"},
    {"directory", TB_OPTION_STRING, O(directory), "/tmp", .help = "where the files are made"},
    {"quick", TB_OPTION_BOOL, O(quick), .help = "a tenth of the rows"},
    {"json", TB_OPTION_BOOL, O(json), .help = "one JSON object a line"},
};

static const char usage[] = "tickbus bench persist: SQLite rows/s of the persister beside a bare loop\n";

static struct tb_instrument instrument = {
    .venue = "binance", .symbol = "BTC/USDT", .price_exp = -2, .size_exp = -5, .market = 1};
static struct tb_record *records;
static struct tb_error err;

static __attribute__((noreturn)) void fail(const char *what)
{
    fprintf(stderr, PROGRAM ": %s %s\n", what, err.text);
    exit(1);
}

static const struct tb_instrument *lookup(void *context, unsigned input, uint16_t id)
{
    (void)context, (void)input, (void)id;
    return &instrument;
}

static void make_records(int64_t count)
{
    records = calloc((size_t)count, sizeof(*records));
    if (records == NULL)
        fail("no memory");
    uint64_t x = 1;
    for (int64_t k = 0; k < count; k++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
        records[k] = (struct tb_record){
            .seq = (tb_seq)k + 1,
            .ts_event = INT64_C(1723161255) * TB_NS_PER_S + k * TB_NS_PER_MS,
            .instrument = 1,
            .type = TB_TRADE,
            .flags = TB_F_LAST,
            .trade = {.price = 6100000 + (int64_t)(x >> 48), .size = 1 + (int64_t)(x >> 40 & 0xFFFF),
                      .trade_id = (uint64_t)k, .side = x >> 39 & 1 ? TB_BUY : TB_SELL, .count = 1},
        };
    }
}

static struct sink_options sink_options(const char *path)
{
    return (struct sink_options){.database = path, .busy_timeout = TB_NS_PER_S, .wal_limit = INT64_C(1) << 40};
}

static double sink_seconds(const char *path, const struct bench_options *o)
{
    static const char *const streams[] = {"binance"};
    struct persist p;
    struct store s;
    struct persist_config pc = {.books = 0, .book_depth = 10, .snapshot_every = TB_NS_PER_S,
                                .buffer_rows = 262144, .lookup = lookup};
    struct store_config sc = {.ops = &sink_sqlite, .sink = sink_options(path), .batch_rows = (size_t)o->batch};
    if (persist_init(&p, &pc, streams, 1) != 0)
        fail("no memory");
    store_init(&s, &sc, &p);
    if (store_open(&s, tb_clock_mono()) != 0)
        fail(s.trouble.text);
    persist_attach(&p, 0, 1, 0);
    tb_ns begun = tb_clock_mono();
    for (int64_t k = 0; k < o->rows; k++) {
        if (!persist_take(&p, 0, &records[k]))
            fail("the buffer is full");
        if (p.count >= sc.batch_rows && store_flush(&s, tb_clock_mono()) < 0)
            fail(s.trouble.text);
    }
    if (store_flush_all(&s, tb_clock_mono()) != 0)
        fail(s.trouble.text);
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    store_fini(&s);
    persist_fini(&p);
    return seconds;
}

struct values {
    double time, price, amount, cost;
    int64_t id;
    bool buy;
};

static struct values *make_values(int64_t count)
{
    struct values *v = calloc((size_t)count, sizeof(*v));
    if (v == NULL)
        fail("no memory");
    for (int64_t k = 0; k < count; k++) {
        const struct tb_record *r = &records[k];
        v[k] = (struct values){tb_decimal_double(r->ts_event, -9), tb_decimal_double(r->trade.price, -2),
                               tb_decimal_double(r->trade.size, -5),
                               tb_decimal_double_wide((__int128)r->trade.price * r->trade.size, -7),
                               (int64_t)r->trade.trade_id, r->trade.side == TB_BUY};
    }
    return v;
}

/* Nothing but SQLite: bind, step, reset; strings are bound once. */
static double bare_seconds(const char *path, const struct bench_options *o, const struct values *v)
{
    struct sink_options so = sink_options(path);
    struct sink *maker;
    sqlite3 *db;
    sqlite3_stmt *q;
    if (sink_sqlite.open(&so, &maker, &err) != 0) /* the same tables */
        fail("");
    sink_sqlite.close(maker);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO trades_stream VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &q, NULL) != SQLITE_OK)
        fail("cannot open the bare database");
    tb_ns begun = tb_clock_mono();
    sqlite3_bind_text(q, 1, "binance", -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, "BTC/USDT", -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 9, "binance", -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 10, 1);
    for (int64_t k = 0; k < o->rows; k++) {
        if (k % o->batch == 0)
            sqlite3_exec(db, k == 0 ? "BEGIN" : "COMMIT; BEGIN", NULL, NULL, NULL);
        sqlite3_bind_double(q, 3, v[k].time);
        sqlite3_bind_text(q, 4, v[k].buy ? "buy" : "sell", -1, SQLITE_STATIC);
        sqlite3_bind_double(q, 5, v[k].price);
        sqlite3_bind_double(q, 6, v[k].amount);
        sqlite3_bind_double(q, 7, v[k].cost);
        sqlite3_bind_int64(q, 8, v[k].id);
        sqlite3_bind_int64(q, 11, k + 1);
        if (sqlite3_step(q) != SQLITE_DONE)
            fail(sqlite3_errmsg(db));
        sqlite3_reset(q);
    }
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    sqlite3_finalize(q);
    sqlite3_close(db);
    return seconds;
}

static void check_rows(const char *path, int64_t rows)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT count(*) FROM trades_stream", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW || sqlite3_column_int64(q, 0) != rows)
        fail("rows are missing");
    sqlite3_finalize(q);
    sqlite3_close(db);
}

static void remove_files(const char *path)
{
    static const char *const suffix[] = {"", "-wal", "-shm"};
    for (size_t k = 0; k < TB_COUNT(suffix); k++) {
        char name[600];
        snprintf(name, sizeof(name), "%s%s", path, suffix[k]);
        (void)unlink(name); /* may not be there */
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double report(const struct bench_options *o, const char *name, double *rate, double ratio_to)
{
    size_t n = (size_t)o->rounds;
    qsort(rate, n, sizeof(*rate), by_value);
    double median = rate[n / 2];
    double ratio = ratio_to > 0 ? median / ratio_to : 1;
    if (o->json)
        printf("{\"suite\":\"persist\",\"name\":\"%s\",\"unit\":\"rows/s\",\"n\":%zu,\"min\":%.0f,\"median\":%.0f,\"max\":%.0f,\"ratio\":%.3f}\n",
               name, n, rate[0], median, rate[n - 1], ratio);
    else
        printf("%-24s n %zu   min %9.0f   median %9.0f   max %9.0f rows/s   ratio %.2f\n", name, n, rate[0], median,
               rate[n - 1], ratio);
    return median;
}

int main(int argc, char **argv)
{
    static struct bench_options o;
    struct tb_config_memory memory = {0};
    double rate[2][ROUNDS_MAX];
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands != 0)
        return operands == -ECANCELED ? 0 : 64;
    if (o.quick)
        o.rows /= 10;
    char path[512];
    snprintf(path, sizeof(path), "%.400s/tickbus-bench-%d.db", o.directory, (int)getpid());
    make_records(o.rows);
    struct values *values = make_values(o.rows);
    if (!o.json)
        printf("tickbus %s, SQLite %s, %" PRId64 " trades a file, %" PRId64 " a transaction, in %s\n", tb_version(),
               sqlite3_libversion(), o.rows, o.batch, o.directory);
    for (int64_t k = 0; k < o.rounds; k++)
        for (int turn = 0; turn < 2; turn++) {
            int which = turn ^ (int)(k & 1); /* the first of a pair is not always the same */
            double seconds = which == 0 ? bare_seconds(path, &o, values) : sink_seconds(path, &o);
            check_rows(path, o.rows);
            remove_files(path);
            rate[which][k] = (double)o.rows / seconds;
        }
    double bare = report(&o, "bare prepared INSERT", rate[0], 0);
    (void)report(&o, "persister", rate[1], bare);
    free(values);
    free(records);
    tb_config_release(&memory);
    return 0;
}
