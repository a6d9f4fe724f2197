/*
 * The store over SQLite: what is in the tables after every kind of trouble a database can be in, and
 * after a failure of each single call of the sink.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumers/persist/store.h"
#include "unit/persist_stream.h"

static struct made made;
static const char *const names[] = {"venue", "candles"};

struct fixture {
    struct persist p;
    struct store s;
    char directory[64];
    char path[96];
    tb_ns now;
    size_t at[2];
};

/* ---- a sink that fails at the n-th call, or reports failure of a commit that was done ---- */

static uint64_t calls, fail_at;
static bool fail_after_commit;

static int trip(struct tb_error *err)
{
    return ++calls == fail_at ? tb_fail(err, -EIO, "call %d failed, as asked", (int)calls) : 0;
}

static int faulty_open(const struct sink_options *o, struct sink **out, struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.open(o, out, err);
}

static int faulty_begin(struct sink *s, struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.begin(s, err);
}

static int faulty_cursor(struct sink *s, const char *stream, uint64_t epoch, uint64_t *out,
                         struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.cursor(s, stream, epoch, out, err);
}

static int faulty_put(struct sink *s, const struct sink_source *from, const struct persist_row *row,
                      struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.put(s, from, row, err);
}

static int faulty_put_cursor(struct sink *s, const char *stream, uint64_t epoch, uint64_t position,
                             struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.put_cursor(s, stream, epoch, position, err);
}

static int faulty_commit(struct sink *s, struct tb_error *err)
{
    int rc = fail_after_commit ? sink_sqlite.commit(s, err) : 0;
    if (rc == 0)
        rc = trip(err);
    return rc != 0 || fail_after_commit ? rc : sink_sqlite.commit(s, err);
}

static void real_checkpoint(struct sink *s)
{
    sink_sqlite.checkpoint(s);
}

static void real_rollback(struct sink *s)
{
    sink_sqlite.rollback(s);
}

static int64_t real_tend(struct sink *s)
{
    return sink_sqlite.tend(s);
}

static int64_t faulty_upgrade(struct sink *s, struct tb_error *err)
{
    int rc = trip(err);
    return rc != 0 ? rc : sink_sqlite.upgrade(s, err);
}

static void real_close(struct sink *s)
{
    sink_sqlite.close(s);
}

static const struct sink_ops faulty = {
    .name = "faulty",
    .open = faulty_open,
    .begin = faulty_begin,
    .cursor = faulty_cursor,
    .put = faulty_put,
    .put_cursor = faulty_put_cursor,
    .commit = faulty_commit,
    .rollback = real_rollback,
    .checkpoint = real_checkpoint,
    .tend = real_tend,
    .upgrade = faulty_upgrade,
    .close = real_close,
};

/* ---- fixture ---- */

static void begin_life(struct fixture *f, const struct sink_ops *ops, const char *path)
{
    struct persist_config pc = made_config(&made, 20000);
    struct store_config sc = {
        .ops = ops,
        .sink = {.database = path, .busy_timeout = 2 * TB_NS_PER_MS, .wal_limit = 1 << 20},
        .batch_rows = 500,
    };
    assert_int_equal(persist_init(&f->p, &pc, names, 2), 0);
    store_init(&f->s, &sc, &f->p);
    f->now += 10 * TB_NS_PER_S;
    f->at[0] = f->at[1] = 0;
}

/* As at a start without a checkpoint: the cursors of the database decide what is stored. */
static int attach(struct fixture *f)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t stored;
        int rc = store_match(&f->s, i, 100 + i, f->now, &stored);
        if (rc != 0)
            return rc;
        persist_attach(&f->p, i, 100 + i, stored);
    }
    return 0;
}

static void end_life(struct fixture *f)
{
    store_fini(&f->s);
    persist_fini(&f->p);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    made_init(&made, 7);
    fail_at = calls = 0;
    fail_after_commit = false;
    if (f == NULL)
        return -1;
    strcpy(f->directory, "/dev/shm/tickbus-test-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/out.db", f->directory);
    begin_life(f, &sink_sqlite, f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[120];
    end_life(f);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    int rc = system(command);
    free(f);
    return rc;
}

/* Up to `count` records of each stream; stops where the buffer is full. */
static void take(struct fixture *f, size_t count)
{
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < count && f->at[i] < made.stream[i].count; k++) {
            if (!persist_take(&f->p, i, &made.stream[i].record[f->at[i]]))
                break;
            f->at[i]++;
        }
}

static int flush(struct fixture *f)
{
    (void)persist_hand_over(&f->p); /* what found no room comes with the next */
    return store_flush(&f->s, f->now);
}

static int flush_all(struct fixture *f)
{
    (void)persist_hand_over(&f->p);
    return store_flush_all(&f->s, f->now);
}

/* To the end of both streams and a drain, however often it takes. */
static void finish(struct fixture *f)
{
    for (int turn = 0;; turn++) {
        assert_in_range(turn, 0, 10000);
        f->now += 300 * TB_NS_PER_MS;
        if (!f->p.input[0].attached || !f->p.input[1].attached) {
            (void)attach(f); /* tried again in the next turn */
            continue;
        }
        take(f, 500);
        store_upgrade(&f->s, f->now);
        (void)flush(f); /* tried again in the next turn */
        if (f->at[0] == made.stream[0].count && f->at[1] == made.stream[1].count &&
            store_drain(&f->s, f->now) == 0)
            return;
    }
}

/* ---- looking at what is stored ---- */

/* Adds up a query's text, row by row, so that two databases can be compared. */
static char *dump(const char *path, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &q, NULL), SQLITE_OK);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    while (sqlite3_step(q) == SQLITE_ROW) {
        for (int k = 0; k < sqlite3_column_count(q); k++)
            fprintf(out, "%s|",
                    sqlite3_column_text(q, k) ? (const char *)sqlite3_column_text(q, k) : "NULL");
        fputc('\n', out);
    }
    fclose(out);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return text;
}

static const char *const everything[] = {
    "SELECT * FROM trades_stream ORDER BY stream, epoch, seq",
    "SELECT * FROM ohlcv_data ORDER BY exchange, symbol, timeframe, timestamp",
    "SELECT * FROM orderbook_snapshots ORDER BY stream, epoch, seq, side, level",
    "SELECT * FROM gaps ORDER BY rowid",
    "SELECT * FROM tickbus_cursors",
};

static char *expected[TB_COUNT(everything)];

/* What a life without trouble stores. */
static int expect(void **state)
{
    int rc = setup(state);
    struct fixture *f = *state;
    if (rc != 0)
        return rc;
    finish(f);
    for (size_t k = 0; k < TB_COUNT(everything); k++) {
        expected[k] = dump(f->path, everything[k]);
        if (strlen(expected[k]) < 20)
            return -1;
    }
    return teardown(state);
}

static int forget(void **state)
{
    (void)state;
    for (size_t k = 0; k < TB_COUNT(everything); k++)
        free(expected[k]);
    return 0;
}

static void assert_all_stored_once(const char *path)
{
    for (size_t k = 0; k < TB_COUNT(everything); k++) {
        char *found = dump(path, everything[k]);
        if (strcmp(found, expected[k]) != 0)
            fail_msg("%s: differs from a run without trouble (%zu and %zu bytes)", everything[k],
                     strlen(found), strlen(expected[k]));
        free(found);
    }
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* ---- plain storing ---- */

static void all_rows_and_cursors_are_there(void **state)
{
    struct fixture *f = *state;
    finish(f);
    assert_all_stored_once(f->path);
    char *columns = dump(f->path, "SELECT typeof(timestamp), typeof(price), typeof(trade_id), "
                                  "typeof(side) FROM trades_stream LIMIT 1");
    assert_string_equal(columns, "real|real|integer|text|\n");
    free(columns);
    char *forming = dump(f->path, "SELECT count(*) FROM ohlcv_data WHERE closed = 0");
    assert_string_not_equal(forming, "0|\n");
    free(forming);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~0640U, 0);
}

static void the_log_stays_for_readers_that_may_not_write(void **state)
{
    struct fixture *f = *state;
    finish(f);
    store_fini(&f->s);
    char wal[110];
    struct stat st;
    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 0);
}

static void put_candle(struct fixture *f, uint64_t position, double close, uint32_t trades,
                       bool closed)
{
    struct sink_source from = {"candles", 1, "binance", "BTC/USDT", ""};
    struct persist_row row = {.position = position, .timestamp = 60, .kind = PERSIST_CANDLE};
    row.candle.close = close;
    row.candle.trades = trades;
    row.candle.closed = closed;
    struct tb_error err;
    assert_int_equal(store_open(&f->s, f->now), 0);
    assert_int_equal(sink_sqlite.begin(f->s.sink, &err), 0);
    assert_int_equal(sink_sqlite.put(f->s.sink, &from, &row, &err), 0);
    assert_int_equal(sink_sqlite.commit(f->s.sink, &err), 0);
}

static void assert_candle(struct fixture *f, const char *wanted)
{
    char *found = dump(f->path, "SELECT close, closed FROM ohlcv_data");
    assert_string_equal(found, wanted);
    free(found);
}

static void a_completed_candle_is_never_replaced_by_a_forming_one(void **state)
{
    struct fixture *f = *state;
    put_candle(f, 2, 1, 10, false);
    assert_candle(f, "1.0|0|\n");
    put_candle(f, 4, 2, 11, false);
    assert_candle(f, "2.0|0|\n");
    put_candle(f, 6, 3, 12, true);
    assert_candle(f, "3.0|1|\n");
    put_candle(f, 8, 4, 99, false);
    assert_candle(f, "3.0|1|\n");
    put_candle(f, 10, 5, 4, true); /* the second half of a minute, from a stream made anew */
    assert_candle(f, "3.0|1|\n");
    put_candle(f, 12, 6, 13, true);
    assert_candle(f, "6.0|1|\n");
}

/* ---- restarts ---- */

static void lives_without_a_checkpoint_store_each_row_once(void **state)
{
    struct fixture *f = *state;
    struct random x;
    random_start(&x, __func__);
    for (int life = 0; life < 20; life++) {
        assert_int_equal(attach(f), 0);
        for (int turn = 0; turn < 5; turn++) {
            take(f, random_below(&x, 400));
            f->now += TB_NS_PER_S;
            assert_in_range(flush(f), 0, 1);
        }
        take(f, 200); /* rows that die with the process */
        end_life(f);
        begin_life(f, &sink_sqlite, f->path);
    }
    assert_int_equal(attach(f), 0);
    finish(f);
    end_life(f);
    begin_life(f, &sink_sqlite, f->path);
    finish(f); /* and a whole life after everything was stored */
    assert_all_stored_once(f->path);
}

static void every_failing_call_is_survived(void **state)
{
    struct fixture *f = *state;
    uint64_t k = 0;
    for (int mode = 0; mode < 2; mode++) {
        fail_after_commit = mode == 1;
        for (k = 1;; k += k < 40 ? 1 : 977) {
            end_life(f);
            unlink(f->path);
            char name[110];
            (void)snprintf(name, sizeof(name), "%s-wal", f->path);
            unlink(name);
            (void)snprintf(name, sizeof(name), "%s-shm", f->path);
            unlink(name);
            begin_life(f, &faulty, f->path);
            calls = 0;
            fail_at = k;
            finish(f);
            assert_all_stored_once(f->path);
            if (calls < k)
                break;
            assert_int_equal(f->s.report.failures, 1);
        }
        assert_in_range(k, 3000, 100000);
    }
}

/* ---- databases in trouble ---- */

static void a_locked_database_is_waited_for(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    assert_int_equal(attach(f), 0);
    take(f, 100);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    tb_ns begun = f->now;
    while (f->now - begun < 120 * TB_NS_PER_S) {
        f->now += 100 * TB_NS_PER_MS;
        take(f, 100);
        int rc = flush(f);
        assert_true(rc == -EBUSY || rc == -EAGAIN); /* not yet again */
        if (f->now - begun < 800 * TB_NS_PER_MS)
            assert_string_equal(f->s.report.trouble.text, "");
    }
    assert_non_null(strstr(f->s.report.trouble.text, "is locked by another process"));
    assert_non_null(strstr(f->s.report.trouble.text, f->path));
    assert_int_equal(f->s.report.opens, 1);
    assert_in_range(f->s.report.failures, 100,
                    1000); /* tried again and again, but not without a pause */
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    finish(f);
    assert_string_equal(f->s.report.trouble.text, "");
    assert_all_stored_once(f->path);
}

static void a_full_disk_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct rlimit was, now;
    assert_int_equal(attach(f), 0);
    signal(SIGXFSZ, SIG_IGN); /* as the program does */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    now = was;
    now.rlim_cur = 200 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    int rc = 0;
    for (int turn = 0; turn < 100 && rc >= 0; turn++) {
        f->now += 300 * TB_NS_PER_MS;
        take(f, 200);
        rc = flush(f);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(f->s.report.trouble.text, "no space left for database"));
    finish(f);
    assert_all_stored_once(f->path);
}

static void a_database_deleted_underneath_is_made_anew(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(attach(f), 0);
    take(f, 1000);
    assert_int_equal(flush_all(f), 0);
    uint64_t stored = f->s.report.stored[PERSIST_TRADE];
    take(f, 100);
    assert_int_equal(unlink(f->path), 0);
    f->now += TB_NS_PER_S;
    assert_int_equal(flush(f), -ESTALE);
    assert_non_null(strstr(f->s.report.trouble.text, "was deleted or replaced"));
    finish(f);
    /* The new file has every row that had not been committed to the old one. */
    char *count = dump(f->path, "SELECT count(*) FROM trades_stream");
    size_t lines = 0;
    for (const char *at = expected[0]; *at != '\0'; at++)
        lines += *at == '\n';
    assert_int_equal(strtoull(count, NULL, 10), lines - stored);
    free(count);
}

static void a_database_put_back_gets_no_row_twice(void **state)
{
    struct fixture *f = *state;
    char aside[110];
    (void)snprintf(aside, sizeof(aside), "%s.aside", f->path);
    assert_int_equal(attach(f), 0);
    take(f, 1000);
    assert_int_equal(flush_all(f), 0);
    run_sql(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    take(f, 500);
    assert_int_equal(rename(f->path, aside), 0);
    f->now += TB_NS_PER_S;
    assert_int_equal(flush(f), -ESTALE);
    assert_int_equal(rename(aside, f->path), 0);
    finish(f);
    assert_all_stored_once(f->path);
}

static void a_damaged_database_is_named_and_left_alone(void **state)
{
    struct fixture *f = *state;
    char line[4096];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    write_text(f->path, line);
    assert_int_equal(attach(f), -EBADMSG);
    assert_non_null(strstr(f->s.report.trouble.text, "is damaged"));
    assert_int_equal(unlink(f->path), 0); /* moved away, as the line says */
    finish(f);
    assert_all_stored_once(f->path);
}

static void pages_damaged_while_open_are_noticed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(attach(f), 0);
    take(f, 2000);
    assert_int_equal(flush_all(f), 0);
    store_fini(&f->s);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    for (long at = 4096; at < st.st_size; at += 4096) {
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputs("no page of a database begins so", file);
    }
    fclose(file);
    take(f, 100);
    f->now += TB_NS_PER_S;
    assert_int_equal(flush(f), -EBADMSG);
    assert_non_null(strstr(f->s.report.trouble.text, "is damaged"));
}

static void a_database_of_another_program_or_version_is_refused(void **state)
{
    struct fixture *f = *state;
    run_sql(f->path, "CREATE TABLE theirs (a)");
    assert_int_equal(attach(f), -EPROTO);
    assert_non_null(strstr(f->s.report.trouble.text, "belongs to another program"));
    assert_int_equal(unlink(f->path), 0);
    f->now += 10 * TB_NS_PER_S;
    assert_int_equal(attach(f), 0);
    store_fini(&f->s);
    run_sql(f->path, "PRAGMA user_version = 7");
    f->now += 10 * TB_NS_PER_S;
    assert_int_equal(attach(f), -EPROTO);
    assert_non_null(strstr(f->s.report.trouble.text, "has schema version 7, this build writes 2"));
}

static void a_missing_directory_is_named_and_waited_for(void **state)
{
    struct fixture *f = *state;
    char path[110], directory[96];
    (void)snprintf(directory, sizeof(directory), "%s/later", f->directory);
    (void)snprintf(path, sizeof(path), "%s/out.db", directory);
    end_life(f);
    begin_life(f, &sink_sqlite, path);
    assert_int_equal(attach(f), -ENOENT);
    assert_non_null(strstr(f->s.report.trouble.text, "no directory /dev/shm/tickbus-test-"));
    assert_int_equal(mkdir(directory, 0755), 0);
    f->now += TB_NS_PER_S;
    assert_int_equal(attach(f), 0);
    assert_string_equal(f->s.report.trouble.text, ""); /* also while there are no rows to store */
    finish(f);
    assert_all_stored_once(path);
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *f = *state;
    end_life(f);
    begin_life(f, &sink_sqlite, f->directory);
    assert_int_equal(attach(f), -EISDIR);
    end_life(f);
    begin_life(f, &sink_sqlite, "/dev/null");
    assert_int_equal(attach(f), -EINVAL);
}

static void the_log_is_cut_again_when_a_reader_lets_go(void **state)
{
    struct fixture *f = *state;
    sqlite3 *reader;
    assert_int_equal(attach(f), 0);
    assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM trades_stream", NULL, NULL, NULL),
        SQLITE_OK);
    while (f->at[0] < made.stream[0].count) {
        take(f, 100);
        f->now += 300 * TB_NS_PER_MS;
        assert_in_range(flush_all(f), 0, 0);
    }
    store_tend(&f->s);
    assert_true(f->s.report.log_bytes > 1 << 20); /* held by the reader, and known */
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(reader);
    store_tend(&f->s);
    assert_int_equal(f->s.report.log_bytes, 0);
    finish(f);
    assert_all_stored_once(f->path);
}

/* ---- queries ---- */

static void every_documented_query_is_a_search(void **state)
{
    static const char *const query[] = {
        "SELECT timestamp AS time, open, high, low, close, volume FROM ohlcv_data WHERE exchange = "
        "'binance'"
        " AND symbol = 'BTC/USDT' AND timeframe = '1m' AND timestamp >= 1 / 1000.0 AND timestamp < "
        "2 ORDER BY timestamp",
        "SELECT timestamp AS time, side, price, amount, cost FROM trades_stream WHERE exchange = "
        "'binance'"
        " AND symbol = 'BTC/USDT' AND timestamp > 1 / 1000.0 ORDER BY timestamp DESC LIMIT 100",
        "SELECT side, level, price, cumulative FROM orderbook_snapshots WHERE exchange = 'binance' "
        "AND symbol = 'BTC/USDT'"
        " AND timestamp = (SELECT max(timestamp) FROM orderbook_snapshots WHERE exchange = "
        "'binance' AND symbol = 'BTC/USDT')"
        " ORDER BY price",
        "SELECT timestamp AS time, rule, state, value FROM alerts WHERE timestamp >= 1 AND "
        "timestamp < 2 ORDER BY timestamp",
        "SELECT timestamp, missing FROM gaps WHERE timestamp >= 1 AND timestamp < 2 ORDER BY "
        "timestamp",
        "SELECT timestamp, missing FROM gaps WHERE exchange = 'binance' AND symbol = 'BTC/USDT' "
        "AND timestamp >= 1",
    };
    struct fixture *f = *state;
    finish(f);
    for (size_t k = 0; k < TB_COUNT(query); k++) {
        char text[700];
        (void)snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", query[k]);
        char *plan = dump(f->path, text);
        if (strstr(plan, "SEARCH") == NULL || strstr(plan, "SCAN") != NULL)
            fail_msg("%s\n%s", query[k], plan);
        free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_rows_and_cursors_are_there, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_stays_for_readers_that_may_not_write, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_completed_candle_is_never_replaced_by_a_forming_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lives_without_a_checkpoint_store_each_row_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_failing_call_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(a_locked_database_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_deleted_underneath_is_made_anew, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_database_put_back_gets_no_row_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_database_is_named_and_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(pages_damaged_while_open_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_of_another_program_or_version_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_missing_directory_is_named_and_waited_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_is_cut_again_when_a_reader_lets_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_documented_query_is_a_search, setup, teardown),
    };
    return cmocka_run_group_tests(tests, expect, forget);
}
