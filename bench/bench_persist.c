/*
 * Trades into databases, rows/s: the persister (records to rows in one thread; transactions, cursors,
 * commits in another) beside a bare loop over one prepared INSERT into the same tables, and beside what is mostly done: a table of texts
 * with an index, by the same loop, and PostgreSQL's COPY. Values are made ready before the loops; same
 * settings, same rows in a transaction, each time into a new file.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>
#include <tickbus/ring.h>

#include "bench/bench_persist_pg.h"
#include "bench/harness.h"
#include "consumers/persist/writer.h"

struct options {
    struct bench_options common;
    int64_t rows, batch, markets;
    const char *directory;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    BENCH_OPTIONS(struct options, common),
    {"rows", TB_OPTION_INT, O(rows), "200000", 1000, 10000000, .help = "trades in one file"},
    {"batch", TB_OPTION_INT, O(batch), "50000", 1, 1000000, .help = "rows in a transaction"},
    {"markets", TB_OPTION_INT, O(markets), "8", 1, TB_INSTRUMENTS_MAX, .help = "in no order"},
    {"directory", TB_OPTION_STRING, O(directory), "/tmp", .help = "where the files are made"},
};

static const char usage[] =
    "bench_persist [options]: trades into SQLite by the persister, a bare loop, and others\n"
    "How to read the figures: bench/README.md.\n";

/* What a row is made of, as each loop binds it. */
struct values {
    double time, price, amount, cost;
    int64_t id;
    const char *side;
    const char *symbol;
    int64_t market;
};

static struct options o;
static struct tb_instrument instruments[TB_INSTRUMENTS_MAX];
static struct tb_record *records;
static struct values *values;
static char path[PATH_MAX];

static const struct tb_instrument *lookup(void *context, unsigned input, uint16_t id)
{
    (void)context, (void)input;
    return &instruments[id - 1];
}

static void make_data(void)
{
    records = calloc((size_t)o.rows, sizeof(*records));
    values = calloc((size_t)o.rows, sizeof(*values));
    if (records == NULL || values == NULL)
        bench_fail("no memory");
    for (uint16_t m = 0; m < o.markets; m++) {
        struct tb_instrument *entry = &instruments[m];
        *entry = (struct tb_instrument){
            .venue = "binance", .price_exp = -2, .size_exp = -5, .market = (uint16_t)(m + 1)};
        (void)snprintf(entry->symbol, sizeof(entry->symbol), "M%d/USDT", m);
    }
    uint64_t x = 1;
    for (int64_t k = 0; k < o.rows; k++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
        uint16_t market = (uint16_t)((x >> 33) % (uint64_t)o.markets + 1);
        struct tb_record *r = &records[k];
        *r = (struct tb_record){
            .seq = (tb_seq)k + 1,
            .ts_event = INT64_C(1723161255) * TB_NS_PER_S + k * TB_NS_PER_MS,
            .instrument = market,
            .type = TB_TRADE,
            .flags = TB_F_LAST,
            .trade = {.price = 6100000 + (int64_t)(x >> 48),
                      .size = 1 + (int64_t)(x >> 40 & 0xFFFF),
                      .trade_id = 3000000000U + (uint64_t)k,
                      .side = x >> 39 & 1 ? TB_BUY : TB_SELL,
                      .count = 1},
        };
        values[k] =
            (struct values){tb_decimal_double(r->ts_event, -9),
                            tb_decimal_double(r->trade.price, -2),
                            tb_decimal_double(r->trade.size, -5),
                            tb_decimal_double_wide((__int128)r->trade.price * r->trade.size, -7),
                            (int64_t)r->trade.trade_id,
                            r->trade.side == TB_BUY ? "buy" : "sell",
                            instruments[market - 1].symbol,
                            market};
    }
}

/* ---- files ---- */

static void remove_files(void)
{
    static const char *const suffix[] = {"", "-wal", "-shm"};
    char name[PATH_MAX + 8];
    for (size_t k = 0; k < TB_COUNT(suffix); k++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffix[k]);
        (void)unlink(name); /* may not be there */
    }
}

/* Are they all there? Then the file goes. */
static void check_and_remove(const char *table)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    char query[100];
    (void)snprintf(query, sizeof(query), "SELECT count(*) FROM %s", table);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, query, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW ||
        sqlite3_column_int64(q, 0) != o.rows)
        bench_fail("rows are missing in %s", table);
    (void)sqlite3_finalize(q); /* only read */
    (void)sqlite3_close(db);
    remove_files();
}

static struct sink_options sink_options(void)
{
    return (struct sink_options){
        .database = path, .busy_timeout = TB_NS_PER_S, .wal_limit = INT64_C(1) << 40};
}

#define MEASURE "trades with their index"

struct clocks {
    tb_ns wall, processor;
};

static struct clocks now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* can not fail */
    return (struct clocks){tb_clock_mono(), t.tv_sec * TB_NS_PER_S + t.tv_nsec};
}

/* On a machine that others use too, the processor's time says more than the clock on the wall. */
static void add(struct bench *b, const struct bench_case *c, struct clocks begun)
{
    struct clocks end = now();
    double rows = (double)o.rows * 1e9;
    bench_add(b, c->measure, BENCH_HIGHER, "rows/s", rows / (double)(end.wall - begun.wall));
    bench_add(b, MEASURE ", by processor time", BENCH_HIGHER, "rows/s",
              rows / (double)(end.processor - begun.processor));
}

/* ---- the persister ---- */

/* The writer is at it: a moment. */
static void give_way(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

static int persist_run(struct bench *b, const struct bench_case *c)
{
    static const char *const streams[] = {"binance"};
    struct persist p;
    struct writer w;
    uint64_t position;
    struct persist_config pc = {
        .book_depth = 10, .snapshot_every = TB_NS_PER_S, .buffer_rows = 262144, .lookup = lookup};
    struct store_config sc = {
        .ops = &sink_sqlite, .sink = sink_options(), .batch_rows = (size_t)o.batch};
    if (persist_init(&p, &pc, streams, 1) != 0 || writer_start(&w, &sc, &p) != 0)
        bench_fail("no memory");
    while (!writer_position(&w, 0, 1, &position))
        give_way();
    persist_attach(&p, 0, 1, position);
    struct clocks begun = now();
    for (int64_t k = 0; k < o.rows; k++) {
        while (!persist_take(&p, 0, &records[k]))
            give_way(); /* the buffer is full */
        if (persist_rows_kept(&p.rows) >= sc.batch_rows)
            (void)writer_hand_over(&w);
    }
    while (writer_drain(&w) != 0)
        give_way();
    add(b, c, begun);
    if (!writer_stop(&w))
        bench_fail("the database does not answer");
    if (w.store.report.troubles > 0)
        bench_fail("%s", w.store.report.last.text);
    persist_fini(&p);
    check_and_remove("trades_stream");
    return 0;
}

/* ---- bare loops: nothing but SQLite, with the settings of the sink ---- */

struct bare {
    sqlite3 *db;
    sqlite3_stmt *insert;
};

static void bare_open(struct bare *t, const char *schema, const char *insert)
{
    if (sqlite3_open_v2(path, &t->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(t->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = "
                     "-16384; PRAGMA wal_autocheckpoint = 4096",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(t->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v3(t->db, insert, -1, SQLITE_PREPARE_PERSISTENT, &t->insert, NULL) !=
            SQLITE_OK)
        bench_fail("%s", sqlite3_errmsg(t->db));
}

/* After the bindings of row k: insert it, in transactions of o.batch rows. */
static void bare_step(struct bare *t, int64_t k)
{
    int code = SQLITE_OK;
    if (k % o.batch == 0)
        code = sqlite3_exec(t->db, k == 0 ? "BEGIN" : "COMMIT; BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK && sqlite3_step(t->insert) == SQLITE_DONE)
        code = sqlite3_reset(t->insert);
    if (code == SQLITE_OK && k == o.rows - 1)
        code = sqlite3_exec(t->db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        bench_fail("%s", sqlite3_errmsg(t->db));
}

static void bare_close(struct bare *t, const char *table)
{
    (void)sqlite3_finalize(t->insert); /* its errors were told */
    (void)sqlite3_close(t->db);
    check_and_remove(table);
}

static int compact_run(struct bench *b, const struct bench_case *c)
{
    struct sink_options so = sink_options();
    struct sink *maker;
    struct bare t;
    struct tb_error err;
    if (sink_sqlite.open(&so, &maker, &err) != 0) /* the same tables */
        bench_fail("%s", err.text);
    sink_sqlite.close(maker);
    bare_open(&t, "", "INSERT INTO tickbus_trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    struct clocks begun = now();
    for (int64_t k = 0; k < o.rows; k++) {
        const struct values *v = &values[k];
        sqlite3_bind_int64(t.insert, 1, v->market);
        sqlite3_bind_double(t.insert, 2, v->time);
        sqlite3_bind_int64(t.insert, 3, 1);
        sqlite3_bind_int64(t.insert, 4, k + 1);
        sqlite3_bind_text(t.insert, 5, v->side, -1, SQLITE_STATIC);
        sqlite3_bind_double(t.insert, 6, v->price);
        sqlite3_bind_double(t.insert, 7, v->amount);
        sqlite3_bind_double(t.insert, 8, v->cost);
        sqlite3_bind_int64(t.insert, 9, v->id);
        bare_step(&t, k);
    }
    add(b, c, begun);
    bare_close(&t, "tickbus_trades");
    return 0;
}

/* The columns that others script against, and ours, as they stand in the view; exchange and stream as texts. */
#define TEXT_TABLE(real, integer)                                                                  \
    "CREATE TABLE texts (exchange TEXT, symbol TEXT, timestamp " real ", side TEXT, price " real   \
    ", amount " real ", cost " real ", trade_id " integer ", stream TEXT, epoch " integer          \
    ", seq " integer "); CREATE INDEX texts_time ON texts (exchange, symbol, timestamp);"

static int text_run(struct bench *b, const struct bench_case *c)
{
    struct bare t;
    bare_open(&t, TEXT_TABLE("REAL", "INTEGER"),
              "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    struct clocks begun = now();
    sqlite3_bind_text(t.insert, 1, "binance", -1, SQLITE_STATIC);
    sqlite3_bind_text(t.insert, 9, "binance", -1, SQLITE_STATIC);
    sqlite3_bind_int64(t.insert, 10, 1);
    for (int64_t k = 0; k < o.rows; k++) {
        const struct values *v = &values[k];
        sqlite3_bind_text(t.insert, 2, v->symbol, -1, SQLITE_STATIC);
        sqlite3_bind_double(t.insert, 3, v->time);
        sqlite3_bind_text(t.insert, 4, v->side, -1, SQLITE_STATIC);
        sqlite3_bind_double(t.insert, 5, v->price);
        sqlite3_bind_double(t.insert, 6, v->amount);
        sqlite3_bind_double(t.insert, 7, v->cost);
        sqlite3_bind_int64(t.insert, 8, v->id);
        sqlite3_bind_int64(t.insert, 11, k + 1);
        bare_step(&t, k);
    }
    add(b, c, begun);
    bare_close(&t, "texts");
    return 0;
}

/* ---- PostgreSQL ---- */

static void write_rows(void)
{
    FILE *f = fopen(pg_file(), "w");
    for (int64_t k = 0; f != NULL && k < o.rows; k++) {
        const struct values *v = &values[k];
        fprintf(f,
                "binance\t%s\t%.6f\t%s\t%.2f\t%.5f\t%.7f\t%" PRId64 "\tbinance\t1\t%" PRId64 "\n",
                v->symbol, v->time, v->side, v->price, v->amount, v->cost, v->id, k + 1);
    }
    if (f == NULL || fclose(f) != 0)
        bench_fail("%s cannot be written: %s", pg_file(), strerror(errno));
}

/* The file is in the page cache, and the server parses it: COPY in one go is its fastest way in. */
static int pg_copy_run(struct bench *b, const struct bench_case *c)
{
    static bool started;
    char text[1200];
    const char *why = started ? NULL : pg_start(o.directory);
    if (why != NULL) {
        bench_absent(b, c->subject, why);
        return -ENOTSUP;
    }
    if (!started)
        write_rows();
    started = true;
    (void)snprintf(text, sizeof(text), "DROP TABLE IF EXISTS texts; %s\nCOPY texts FROM '%s';\n",
                   TEXT_TABLE("double precision", "bigint"), pg_file());
    double seconds = pg_run(text);
    (void)snprintf(text, sizeof(text),
                   "DO $$ BEGIN ASSERT (SELECT count(*) FROM texts) = %" PRId64 "; END $$;\n",
                   o.rows);
    if (seconds <= 0 || pg_run(text) < 0)
        bench_fail("PostgreSQL did not take the rows");
    bench_add(b, c->measure, BENCH_HIGHER, "rows/s", (double)o.rows / seconds);
    return 0;
}

static const struct bench_case cases[] = {
    {MEASURE, "tickbus-persist", BENCH_OURS, 1, persist_run, NULL},
    {MEASURE, "prepared INSERT, same tables", BENCH_LIMIT, 1, compact_run, NULL},
    {MEASURE, "prepared INSERT, texts", BENCH_PEER, 1, text_run, NULL},
    {MEASURE, "PostgreSQL COPY, texts", BENCH_PEER, 1, pg_copy_run, NULL},
};

int main(int argc, char **argv)
{
    static struct bench b;
    bench_begin(&b, "persist", usage, options, TB_COUNT(options), &o, &o.common, argc, argv);
    o.rows = (int64_t)((double)o.rows * b.scale);
    (void)snprintf(path, sizeof(path), "%.4000s/tickbus-bench-%d.db", o.directory, (int)getpid());
    (void)atexit(remove_files);
    make_data();
    bench_note(&b,
               "SQLite %s, WAL, synchronous NORMAL; %" PRId64 " trades of %" PRId64
               " markets a file, %" PRId64 " a transaction, in %s",
               sqlite3_libversion(), o.rows, o.markets, o.batch, o.directory);
    bench_run(&b, cases, TB_COUNT(cases));
    free(values);
    free(records);
    return bench_end(&b);
}
