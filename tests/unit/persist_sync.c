/*
 * What a commit asks the disk for, seen from below SQLite: with `full` its log is synced at each one, with
 * `normal` at none (only when the log is moved into the database).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "consumers/persist/sink.h"

#define COMMITS 20

static unsigned log_syncs;
static sqlite3_vfs *real, counting;
static sqlite3_io_methods methods; /* of the log, but for its sync */
static int (*real_sync)(sqlite3_file *file, int flags);

static int sync_counted(sqlite3_file *file, int flags)
{
    log_syncs++;
    return real_sync(file, flags);
}

static int open_counted(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                        int *out_flags)
{
    (void)vfs;
    int rc = real->xOpen(real, name, file, flags, out_flags);
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        methods = *file->pMethods;
        real_sync = methods.xSync;
        methods.xSync = sync_counted;
        file->pMethods = &methods;
    }
    return rc;
}

static unsigned syncs_of_commits(bool full)
{
    char directory[] = "/dev/shm/tickbus-test-XXXXXX", path[96], other[100];
    struct tb_error err = {""};
    struct sink *sink;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/db", directory);
    const struct sink_options options = {
        .database = path, .busy_timeout = TB_NS_PER_S, .full_sync = full};
    if (sink_sqlite.open(&options, &sink, &err) != 0)
        fail_msg("%s", err.text);
    log_syncs = 0;
    for (uint64_t k = 1; k <= COMMITS; k++) {
        assert_int_equal(sink_sqlite.begin(sink, &err), 0);
        assert_int_equal(sink_sqlite.put_cursor(sink, "s", 1, k, &err), 0);
        assert_int_equal(sink_sqlite.commit(sink, &err), 0);
    }
    unsigned syncs = log_syncs;
    sink_sqlite.close(sink);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < TB_COUNT(ends); i++) {
        (void)snprintf(other, sizeof(other), "%s%s", path, ends[i]);
        (void)unlink(other);
    }
    assert_int_equal(rmdir(directory), 0);
    return syncs;
}

static void full_syncs_the_log_at_each_commit(void **state)
{
    (void)state;
    assert_true(syncs_of_commits(true) >= COMMITS);
}

static void normal_syncs_it_at_none(void **state)
{
    (void)state;
    assert_int_equal(syncs_of_commits(false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_syncs_the_log_at_each_commit),
        cmocka_unit_test(normal_syncs_it_at_none),
    };
    real = sqlite3_vfs_find(NULL);
    counting = *real;
    counting.zName = "counting";
    counting.xOpen = open_counted;
    if (sqlite3_vfs_register(&counting, 1) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
