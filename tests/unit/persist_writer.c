/* The writer's thread beside the reading one, which never waits for it, however long a commit takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "consumers/persist/writer.h"
#include "unit/persist_stream.h"

static struct made made;
static const char *const names[] = {"venue", "candles"};

struct fixture {
    struct persist p;
    struct writer w;
    char directory[64];
    char path[96];
    size_t at[2];
};

/* ---- a sink whose commits wait while the gate is shut, or no more may pass ---- */

static struct sink_ops gated;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(int) at_gate, may_pass;

static void pause_a_little(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = TB_NS_PER_MS}, NULL);
}

static int gated_commit(struct sink *s, struct tb_error *err)
{
    atomic_fetch_add(&at_gate, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    while (atomic_load(&may_pass) == 0)
        pause_a_little();
    atomic_fetch_sub(&may_pass, 1);
    atomic_fetch_sub(&at_gate, 1);
    return sink_sqlite.commit(s, err);
}

/* ---- fixture ---- */

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        tb_ns deadline = tb_clock_mono() + 60 * TB_NS_PER_S;                                       \
        for (; !(condition); pause_a_little())                                                     \
            assert_true(tb_clock_mono() < deadline);                                               \
    } while (0)

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    made_init(&made, 7);
    if (f == NULL)
        return -1;
    strcpy(f->directory, "/dev/shm/tickbus-test-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/out.db", f->directory);
    struct persist_config pc = made_config(&made, 1000);
    atomic_store(&may_pass, INT_MAX);
    gated = sink_sqlite;
    gated.commit = gated_commit;
    struct store_config sc = {
        .ops = &gated,
        .sink = {.database = f->path, .busy_timeout = 2 * TB_NS_PER_MS, .wal_limit = 1 << 20},
        .batch_rows = 100,
    };
    if (persist_init(&f->p, &pc, names, 2) != 0 || writer_start(&f->w, &sc, &f->p) != 0)
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[120];
    if (!writer_stop(&f->w))
        return -1;
    persist_fini(&f->p);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
    int rc = system(command);
    free(f);
    return rc;
}

static void attach(struct fixture *f, unsigned i, uint64_t epoch)
{
    uint64_t stored;
    UNTIL(writer_position(&f->w, i, epoch, &stored));
    persist_attach(&f->p, i, epoch, stored);
}

/* As many records as there is room for; at most `count`. */
static size_t take(struct fixture *f, unsigned i, size_t count)
{
    size_t k = 0;
    for (; k < count && f->at[i] < made.stream[i].count; k++, f->at[i]++)
        if (!persist_take(&f->p, i, &made.stream[i].record[f->at[i]]))
            break;
    return k;
}

static uint64_t number(struct fixture *f, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    uint64_t found = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return found;
}

/* To the end of both streams and a drain. */
static void finish(struct fixture *f)
{
    for (unsigned i = 0; i < 2; i++)
        while (f->at[i] < made.stream[i].count) {
            (void)take(f, i, SIZE_MAX);
            (void)writer_hand_over(&f->w);
            pause_a_little();
        }
    UNTIL(writer_drain(&f->w) == 0);
    size_t trades = 0;
    for (size_t k = 0; k < made.stream[0].count; k++)
        trades += made.stream[0].record[k].type == TB_TRADE;
    assert_int_equal(number(f, "SELECT count(*) FROM trades_stream"), trades);
    assert_int_equal(number(f, "SELECT count(DISTINCT seq) FROM trades_stream"), trades);
    assert_int_equal(number(f, "SELECT max(seq) FROM tickbus_cursors WHERE stream = 'venue'"),
                     made.stream[0].count);
}

/* ---- tests ---- */

static void reading_goes_on_while_a_commit_does_not_return(void **state)
{
    struct fixture *f = *state;
    attach(f, 0, 100);
    attach(f, 1, 101);
    pthread_mutex_lock(&gate);
    assert_int_equal(take(f, 0, 100), 100);
    assert_true(writer_hand_over(&f->w));
    UNTIL(atomic_load(&at_gate) == 1);
    uint64_t handed = f->p.rows.made;
    UNTIL(writer_stuck(&f->w, tb_clock_mono()) > 0);
    /* All these return, though the writer does not; then the buffer is full. */
    for (int k = 0; k < 20; k++)
        if (take(f, 0, 1000) > 0)
            (void)writer_hand_over(&f->w);
    struct store_report report;
    uint64_t position;
    writer_report(&f->w, &report);
    assert_false(writer_position(&f->w, 0, 200, &position));
    f->w.question[0].epoch = 0; /* nobody asked */
    assert_int_equal(atomic_load(&at_gate), 1);
    assert_int_equal(report.commits, 0);
    assert_false(persist_rows_are_stored(&f->p.rows, handed));
    assert_in_range(persist_rows_waiting(&f->p.rows), 900, 1000);
    assert_int_equal(number(f, "SELECT count(*) FROM trades_stream"), 0);
    pthread_mutex_unlock(&gate);
    UNTIL(persist_rows_are_stored(&f->p.rows, handed));
    finish(f);
    assert_int_equal(writer_stuck(&f->w, tb_clock_mono()), 0);
}

static void an_epoch_is_answered_for_when_the_rows_before_it_are_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t position = 1;
    attach(f, 0, 100);
    (void)take(f, 0, 200);
    pthread_mutex_lock(&gate);
    assert_false(writer_position(&f->w, 0, 101, &position)); /* which hands over what there is */
    uint64_t before = f->p.rows.made;
    UNTIL(atomic_load(&at_gate) == 1);
    for (int k = 0; k < 20; k++, pause_a_little())
        assert_false(writer_position(&f->w, 0, 101, &position));
    pthread_mutex_unlock(&gate);
    UNTIL(writer_position(&f->w, 0, 101, &position));
    assert_int_equal(position, 0);
    assert_true(persist_rows_are_stored(&f->p.rows, before));
    assert_int_equal(number(f, "SELECT max(seq) FROM tickbus_cursors WHERE epoch = 100"), 200);
    persist_attach(&f->p, 0, 101, position);
    f->at[0] = 0;
    (void)take(f, 0, 300);
    UNTIL(writer_drain(&f->w) == 0);
    assert_int_equal(number(f, "SELECT max(seq) FROM tickbus_cursors WHERE epoch = 101"), 300);
    assert_int_equal(number(f, "SELECT max(seq) FROM tickbus_cursors WHERE epoch = 100"), 200);
}

/* The stream was made anew, what the database has of that is known, and the end comes before the input is
 * matched: a drain is of the former epoch, whose position says nothing about the new one. */
static void a_drain_between_two_epochs_marks_nothing_of_the_new_one_as_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t position;
    attach(f, 0, 100);
    (void)take(f, 0, 300);
    UNTIL(writer_position(&f->w, 0, 101, &position));
    UNTIL(writer_drain(&f->w) == 0);
    assert_int_equal(number(f, "SELECT max(seq) FROM tickbus_cursors WHERE epoch = 100"), 300);
    assert_int_equal(number(f, "SELECT count(*) FROM tickbus_cursors WHERE epoch = 101"), 0);
}

static void a_drain_of_many_transactions_ends_after_the_present_one(void **state)
{
    struct fixture *f = *state;
    attach(f, 0, 100);
    atomic_store(&may_pass, 0);
    (void)take(f, 0, SIZE_MAX); /* as many as there is room for: about ten transactions */
    (void)writer_hand_over(&f->w);
    UNTIL(atomic_load(&at_gate) == 1);
    assert_int_equal(writer_drain(&f->w), -EAGAIN);
    atomic_store(&may_pass, 1);
    UNTIL(persist_rows_are_stored(&f->p.rows, 100) && atomic_load(&at_gate) == 1);
    assert_false(writer_stop(&f->w));
    atomic_store(&may_pass, INT_MAX);
    assert_true(writer_stop(&f->w));
    assert_int_equal(f->w.store.report.commits, 2);
}

static void a_small_buffer_and_a_slow_disk_lose_and_double_nothing(void **state)
{
    struct fixture *f = *state;
    attach(f, 0, 100);
    attach(f, 1, 101);
    while (f->at[0] < made.stream[0].count) { /* one commit after the other, each let through */
        pthread_mutex_lock(&gate);
        (void)take(f, 0, 333);
        (void)take(f, 1, 77);
        (void)writer_hand_over(&f->w);
        pthread_mutex_unlock(&gate);
    }
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_goes_on_while_a_commit_does_not_return, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_epoch_is_answered_for_when_the_rows_before_it_are_stored,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_drain_between_two_epochs_marks_nothing_of_the_new_one_as_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_of_many_transactions_ends_after_the_present_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_buffer_and_a_slow_disk_lose_and_double_nothing,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
