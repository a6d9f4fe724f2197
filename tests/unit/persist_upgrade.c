/* A database of schema 1: every query finds the same rows before, during and after its upgrade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "consumers/persist/sink.h"

/* As tickbus 0.1.0 made it. The rows: enough for several portions, of three markets and two epochs. */
static const char schema_1[] =
    "PRAGMA application_id = 1953194611;"
    "PRAGMA user_version = 1;"
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE trades_stream ("
    " exchange TEXT, symbol TEXT, timestamp REAL, side TEXT, price REAL, amount REAL, cost REAL,"
    " trade_id INTEGER, stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE INDEX trades_stream_time ON trades_stream (exchange, symbol, timestamp);"
    "CREATE TABLE ohlcv_data ("
    " exchange TEXT, symbol TEXT, timeframe TEXT, timestamp REAL,"
    " open REAL, high REAL, low REAL, close REAL, volume REAL,"
    " closed INTEGER, trades INTEGER, turnover REAL, taker_buy_volume REAL,"
    " stream TEXT, epoch INTEGER, seq INTEGER,"
    " PRIMARY KEY (exchange, symbol, timeframe, timestamp)) WITHOUT ROWID;"
    "CREATE TABLE orderbook_snapshots ("
    " exchange TEXT, symbol TEXT, timestamp REAL, side TEXT, level INTEGER, price REAL, amount "
    "REAL,"
    " cumulative REAL, update_id INTEGER, stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE INDEX orderbook_snapshots_time ON orderbook_snapshots (exchange, symbol, timestamp);"
    "CREATE TABLE alerts ("
    " exchange TEXT, symbol TEXT, timestamp REAL, rule TEXT, state TEXT, severity TEXT,"
    " value REAL, threshold REAL, since REAL, alert_id INTEGER,"
    " stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE TABLE gaps ("
    " exchange TEXT, symbol TEXT, timestamp REAL, channel TEXT, reason TEXT,"
    " from_id INTEGER, to_id INTEGER, missing INTEGER, stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE TABLE tickbus_cursors ("
    " stream TEXT, epoch INTEGER, seq INTEGER, drained INTEGER,"
    " PRIMARY KEY (stream, epoch)) WITHOUT ROWID;"
    "CREATE TABLE tickbus_loads ("
    " tag INTEGER PRIMARY KEY, venue TEXT, captures TEXT, records INTEGER, trades INTEGER,"
    " candles INTEGER, snapshots INTEGER, alerts INTEGER, gaps INTEGER, lost INTEGER, faults "
    "INTEGER);"
    "CREATE VIEW theirs AS SELECT max(price) AS most FROM trades_stream WHERE symbol = 'S1/USDT';";

static const char rows_1[] =
    "BEGIN;"
    "WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 25000)"
    " INSERT INTO trades_stream SELECT iif(n % 3 = 2, NULL, 'binance'), 'S' || (n % 3) || '/USDT', "
    "1.7e9 + n / 7.0,"
    " iif(n % 5 = 0, NULL, iif(n % 2, 'buy', 'sell')), 60000 + n / 100.0, n / 1000.0, n / 3.0, n,"
    " 'venue', 5 + n / 20000, n FROM k;"
    "WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 12000)"
    " INSERT INTO orderbook_snapshots SELECT 'binance', 'S1/USDT', 1.7e9 + n / 40, iif(n % 40 < "
    "20, 'bid', 'ask'),"
    " n % 20, 60000 + n % 40 / 7.0, n, n * 1.5, n / 40, 'venue', 5, n / 40 FROM k;"
    "INSERT INTO tickbus_cursors VALUES ('venue', 6, 25000, 0);"
    "COMMIT;";

struct fixture {
    char directory[64], path[96];
    struct sink *sink;
};

static const char *const queries[] = {
    "SELECT * FROM trades_stream ORDER BY stream, epoch, seq",
    "SELECT * FROM orderbook_snapshots ORDER BY stream, epoch, seq, side, level",
    "SELECT * FROM theirs",
    "SELECT timestamp AS time, side, price, amount, cost FROM trades_stream WHERE exchange = "
    "'binance'"
    " AND symbol = 'S1/USDT' AND timestamp > 1700000500 ORDER BY timestamp DESC LIMIT 100",
    "SELECT timestamp, side, price, amount, seq FROM trades_stream WHERE exchange = 'binance' AND "
    "symbol = 'S0/USDT'"
    " AND timestamp >= 1700000100 AND timestamp < 1700000200 ORDER BY timestamp",
    "SELECT side, level, price, cumulative FROM orderbook_snapshots WHERE exchange = 'binance' AND "
    "symbol = 'S1/USDT'"
    " AND timestamp = (SELECT max(timestamp) FROM orderbook_snapshots WHERE exchange = 'binance'"
    " AND symbol = 'S1/USDT' AND timestamp < 1700000200.5) ORDER BY price",
};
#define FIRST_SEARCH 3 /* of queries: those before it look at everything */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* All that a query gives, doubles to the last bit. */
static char *dump(const char *path, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    char *text;
    size_t length;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, query, -1, &q, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(db));
    FILE *out = open_memstream(&text, &length);
    while (sqlite3_step(q) == SQLITE_ROW) {
        for (int k = 0; k < sqlite3_column_count(q); k++)
            if (sqlite3_column_type(q, k) == SQLITE_FLOAT)
                fprintf(out, "%a|", sqlite3_column_double(q, k));
            else
                fprintf(out, "%s|",
                        sqlite3_column_text(q, k) ? (const char *)sqlite3_column_text(q, k)
                                                  : "NULL");
        fputc('\n', out);
    }
    fclose(out);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return text;
}

/* Names and declared types of a query's columns: what Grafana's SQLite source goes by. */
static char *columns(const char *path, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    char *text;
    size_t length;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &q, NULL), SQLITE_OK);
    FILE *out = open_memstream(&text, &length);
    for (int k = 0; k < sqlite3_column_count(q); k++) {
        const char *type = sqlite3_column_decltype(q, k);
        fprintf(out, "%s %s|", sqlite3_column_name(q, k), type != NULL ? type : "none");
    }
    fclose(out);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return text;
}

static void assert_same(const char *path, char *const expected[], const char *when)
{
    for (size_t k = 0; k < TB_COUNT(queries); k++) {
        char *found = dump(path, queries[k]);
        if (strcmp(found, expected[k]) != 0)
            fail_msg("%s: %s: %zu bytes, not %zu", when, queries[k], strlen(found),
                     strlen(expected[k]));
        free(found);
    }
}

static void assert_searches(const char *path)
{
    for (size_t k = FIRST_SEARCH; k < TB_COUNT(queries); k++) {
        char text[700];
        (void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", queries[k]);
        char *plan = dump(path, text);
        if (strstr(plan, "SEARCH") == NULL || strstr(plan, "SCAN") != NULL)
            fail_msg("%s\n%s", queries[k], plan);
        free(plan);
    }
}

static void open_sink(struct fixture *f)
{
    struct tb_error err = {""};
    const struct sink_options o = {
        .database = f->path, .busy_timeout = TB_NS_PER_S, .wal_limit = 1 << 30};
    if (sink_sqlite.open(&o, &f->sink, &err) != 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -1;
    strcpy(f->directory, "/dev/shm/tickbus-test-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/out.db", f->directory);
    run_sql(f->path, schema_1);
    run_sql(f->path, rows_1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[120];
    sink_sqlite.close(f->sink);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    int rc = system(command);
    free(f);
    return rc;
}

static void every_query_finds_the_same_rows_all_the_time(void **state)
{
    struct fixture *f = *state;
    struct tb_error err = {""};
    char *expected[TB_COUNT(queries)];
    for (size_t k = 0; k < TB_COUNT(queries); k++)
        expected[k] = dump(f->path, queries[k]);
    open_sink(f);
    assert_same(f->path, expected, "begun");
    int64_t left, before = INT64_MAX;
    int portions = 0;
    while ((left = sink_sqlite.upgrade(f->sink, &err)) > 0) {
        assert_in_range(++portions, 1, 20);
        assert_same(f->path, expected, "moving");
        assert_searches(f->path);
        before = left;
        sink_sqlite.close(f->sink); /* the next life goes on */
        open_sink(f);
    }
    assert_int_equal(left, 0);
    assert_true(before == 1 && portions >= 5);
    assert_same(f->path, expected, "done");
    assert_searches(f->path);
    char *rest = dump(f->path, "SELECT name FROM sqlite_schema WHERE name LIKE '%\\_v1%' ESCAPE "
                               "'\\' OR sql LIKE '%\\_v1%' ESCAPE '\\'");
    assert_string_equal(rest, "");
    free(rest);
    char *whole = dump(f->path, "PRAGMA integrity_check");
    assert_string_equal(whole, "ok|\n");
    free(whole);
    for (size_t k = 0; k < TB_COUNT(queries); k++)
        free(expected[k]);
}

static void columns_keep_their_names_and_declared_types(void **state)
{
    struct fixture *f = *state;
    struct tb_error err = {""};
    char *expected[2], *found;
    for (int k = 0; k < 2; k++)
        expected[k] = columns(f->path, queries[k]);
    open_sink(f);
    for (int64_t left = 1; left > 0; left = sink_sqlite.upgrade(f->sink, &err))
        for (int k = 0; k < 2; k++, free(found)) {
            found = columns(f->path, queries[k]);
            assert_string_equal(found, expected[k]);
        }
    for (int k = 0; k < 2; k++, free(found)) {
        found = columns(f->path, queries[k]);
        assert_string_equal(found, expected[k]);
        free(expected[k]);
    }
}

static void new_rows_are_stored_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct tb_error err = {""};
    open_sink(f);
    uint64_t position;
    assert_int_equal(sink_sqlite.cursor(f->sink, "venue", 6, &position, &err), 0);
    assert_int_equal(position, 50000);
    const struct sink_source source = {"venue", 6, "binance", "S1/USDT", ""};
    int64_t left = 1;
    for (uint64_t seq = 25001; left > 0; seq++) {
        struct persist_row row = {
            .position = 2 * seq, .timestamp = 1.8e9, .kind = PERSIST_TRADE, .market = 1};
        row.trade.price = 99999;
        row.trade.side = TB_BUY;
        assert_int_equal(sink_sqlite.begin(f->sink, &err), 0);
        assert_int_equal(sink_sqlite.put(f->sink, &source, &row, &err), 0);
        assert_int_equal(sink_sqlite.put(f->sink, &source, &row, &err), 0); /* the same: once */
        assert_int_equal(sink_sqlite.commit(f->sink, &err), 0);
        left = sink_sqlite.upgrade(f->sink, &err);
        char text[32], *found = dump(f->path, "SELECT count(*), max(seq) FROM trades_stream");
        (void)snprintf(text, sizeof(text), "%llu|%llu|\n", (unsigned long long)seq,
                       (unsigned long long)seq);
        assert_string_equal(found, text);
        free(found);
    }
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_query_finds_the_same_rows_all_the_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(columns_keep_their_names_and_declared_types, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(new_rows_are_stored_meanwhile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
