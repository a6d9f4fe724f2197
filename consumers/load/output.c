/* The database that a load makes: first apart, then in its place. */
#include "consumers/load/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumers/persist/schema.h"

#define PATIENCE_MS 60000 /* with a persister that writes to the database we append to */

static int fail(sqlite3 *db, const char *path, struct tb_error *err)
{
    int code = db != NULL ? sqlite3_errcode(db) : SQLITE_NOMEM;
    int rc = code == SQLITE_NOTADB || code == SQLITE_ERROR ? -EPROTO
             : code == SQLITE_BUSY                         ? -EBUSY
             : code == SQLITE_FULL                         ? -ENOSPC
                                                           : -EIO;
    return tb_fail(err, rc, "database %s: %s", path, db != NULL ? sqlite3_errmsg(db) : "no memory");
}

static int run(sqlite3 *db, const char *path, const char *sql, struct tb_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, path, err);
}

/* One row of numbers. 1 there is one; 0 there is none; -errno. */
static int numbers(sqlite3 *db, const char *path, const char *sql, int64_t tag, int count,
                   int64_t *out_values, struct tb_error *err)
{
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &q, NULL);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(q) == 1)
        code = sqlite3_bind_int64(q, 1, tag);
    if (code == SQLITE_OK)
        code = sqlite3_step(q);
    int rc = code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(db, path, err);
    for (int k = 0; rc == 1 && k < count; k++)
        out_values[k] = sqlite3_column_int64(q, k);
    (void)sqlite3_finalize(q); /* repeats the error that was just reported */
    return rc;
}

static int look_at(struct load_output *o, uint64_t tag, struct load_result *r, struct tb_error *err)
{
    sqlite3 *db = NULL;
    int64_t id = 0, v[8];
    int rc = 0;
    if (sqlite3_open_v2(o->path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        rc = fail(db, o->path, err);
    if (rc == 0)
        rc = numbers(db, o->path, "PRAGMA application_id", 0, 1, &id, err);
    if (rc >= 0 && id != TICKBUS_APPLICATION_ID)
        rc = tb_fail(err, -EPROTO, "%s exists and is no tickbus database; give another file",
                     o->path);
    if (rc >= 0)
        rc = numbers(db, o->path, "PRAGMA user_version", 0, 1, &id, err);
    if (rc >= 0 && id != TICKBUS_SCHEMA_VERSION)
        rc = tb_fail(
            err, -EPROTO,
            "%s has schema version %lld, this build writes %d; tickbus-persist upgrades older"
            " ones when it opens them",
            o->path, (long long)id, TICKBUS_SCHEMA_VERSION);
    if (rc >= 0)
        rc = numbers(db, o->path,
                     "SELECT records, trades, candles, snapshots, alerts, gaps, lost, faults FROM "
                     "tickbus_loads"
                     " WHERE tag = ?",
                     (int64_t)tag, 8, v, err);
    (void)sqlite3_close(db); /* only read */
    if (rc == 1)
        *r = (struct load_result){
            v[0], v[1], v[2], v[3], v[4], v[5], v[6], .faults = v[7], .there_already = true};
    if (rc == 0 && !o->append)
        rc =
            tb_fail(err, -EEXIST,
                    "%s exists and holds other data; add to it with --append, or give another file",
                    o->path);
    return rc < 0 ? rc : 0;
}

static void remove_files(const char *loading)
{
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    char path[LOAD_PATH_BYTES + 64];
    for (size_t k = 0; k < TB_COUNT(suffix); k++) {
        (void)snprintf(path, sizeof(path), "%s%s", loading, suffix[k]);
        (void)unlink(path); /* mostly not there */
    }
}

/* What loads into this file left that were killed: their process is gone. */
static void remove_leftovers(const char *path)
{
    char folder[LOAD_PATH_BYTES], loading[LOAD_PATH_BYTES + 32];
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    (void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path + 1) : 1,
                   slash != NULL ? path : ".");
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        int pid = 0, end = 0;
        if (strncmp(entry->d_name, name, strlen(name)) != 0 ||
            sscanf(entry->d_name + strlen(name), ".loading-%d%n", &pid, &end) != 1 || pid <= 0 ||
            kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(loading, sizeof(loading), "%s.loading-%d", path, pid);
        remove_files(loading);
    }
    if (directory != NULL)
        (void)closedir(directory);
}

int load_output_open(struct load_output *o, const char *path, bool append, uint64_t tag,
                     struct load_result *out_result, struct tb_error *err)
{
    struct stat st;
    memset(o, 0, sizeof(*o));
    if (strlen(path) >= sizeof(o->path))
        return tb_fail(err, -ENAMETOOLONG, "the path of the database is too long");
    strcpy(o->path, path);
    o->append = append;
    o->exists = stat(path, &st) == 0;
    if (o->exists && !S_ISREG(st.st_mode))
        return tb_fail(err, -EINVAL, "%s is no regular file; give another", path);
    if (o->exists) {
        int rc = look_at(o, tag, out_result, err);
        if (rc != 0 || out_result->there_already)
            return rc;
    }
    remove_leftovers(path);
    (void)snprintf(o->loading, sizeof(o->loading), "%s.loading-%d", path, (int)getpid());
    int fd = open(o->loading, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0) {
        int rc = -errno;
        o->loading[0] = '\0';
        return tb_fail(err, rc, "cannot make database %s: %s", path, strerror(-rc));
    }
    (void)close(fd);          /* nothing was written */
    (void)unlink(o->loading); /* tickbus-persist makes it; this was to learn whether it can */
    return 0;
}

/* ---- at the end ---- */

static int note_load(struct load_output *o, sqlite3 *db, const char *venue,
                     const struct load_captures *c, const struct load_result *r,
                     struct tb_error *err)
{
    char names[LOAD_PATH_BYTES] = "";
    size_t used = 0;
    for (size_t i = 0; i < c->count && used < sizeof(names); i++) {
        char path[LOAD_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s", c->path[i]);
        int n =
            snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? " " : "", basename(path));
        used += n > 0 ? (size_t)n : 0;
    }
    sqlite3_stmt *q = NULL;
    const int64_t values[] = {r->records, r->trades, r->candles, r->snapshots,
                              r->alerts,  r->gaps,   r->lost,    r->faults + r->frames_bad};
    int code = sqlite3_prepare_v2(
        db, "INSERT INTO tickbus_loads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", -1, &q, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_int64(q, 1, (int64_t)c->tag); /* these fail only for a bad index */
        (void)sqlite3_bind_text(q, 2, venue, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(q, 3, names, -1, SQLITE_STATIC);
        for (int k = 0; k < (int)TB_COUNT(values); k++)
            (void)sqlite3_bind_int64(q, 4 + k, values[k]);
        code = sqlite3_step(q);
    }
    int rc = code == SQLITE_DONE ? 0 : fail(db, o->loading, err);
    (void)sqlite3_finalize(q); /* repeats the error that was just reported */
    return rc;
}

/* Rows as they are stored; an --append counts what this load brings, not what was there. */
static int count_rows(struct load_output *o, sqlite3 *db, struct load_result *r,
                      struct tb_error *err)
{
    int64_t v[5];
    int rc =
        numbers(db, o->loading,
                "SELECT (SELECT count(*) FROM trades_stream), (SELECT count(*) FROM ohlcv_data),"
                " (SELECT count(*) FROM orderbook_snapshots), (SELECT count(*) FROM alerts),"
                " (SELECT count(*) FROM gaps)",
                0, 5, v, err);
    if (rc < 0)
        return rc;
    r->trades = v[0];
    r->candles = v[1];
    r->snapshots = v[2];
    r->alerts = v[3];
    r->gaps = v[4];
    return 0;
}

/* All of the new database into the old one, or nothing. Only the old one is written to. */
static int merge(struct load_output *o, struct tb_error *err)
{
    static const char *const steps[] = {
        "BEGIN IMMEDIATE",
        TICKBUS_MERGE_NAMES,
        TICKBUS_MERGE_TRADES,
        "INSERT INTO main.ohlcv_data SELECT * FROM new.ohlcv_data WHERE true" TICKBUS_UPSERT_CANDLE,
        TICKBUS_MERGE_LEVELS,
        "INSERT INTO main.alerts SELECT * FROM new.alerts ORDER BY rowid",
        "INSERT INTO main.gaps SELECT * FROM new.gaps ORDER BY rowid",
        "INSERT INTO main.tickbus_loads SELECT * FROM new.tickbus_loads",
        "COMMIT",
    };
    sqlite3 *db = NULL;
    int rc = 0;
    if (sqlite3_open_v2(o->path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        rc = fail(db, o->path, err);
    if (rc == 0) {
        (void)sqlite3_busy_timeout(db, PATIENCE_MS); /* can not fail */
        char *attach = sqlite3_mprintf("ATTACH %Q AS new", o->loading);
        rc = attach == NULL ? tb_fail(err, -ENOMEM, "no memory") : run(db, o->path, attach, err);
        sqlite3_free(attach);
    }
    for (size_t k = 0; rc == 0 && k < TB_COUNT(steps); k++)
        rc = run(db, o->path, steps[k], err);
    (void)sqlite3_close(db); /* an open transaction is undone */
    return rc;
}

static int put_in_place(struct load_output *o, struct tb_error *err)
{
    if (o->exists)
        return merge(o, err);
    if (renameat2(AT_FDCWD, o->loading, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0)
        return 0;
    return tb_fail(err, -errno, "cannot put the database at %s: %s", o->path, strerror(errno));
}

int load_output_finish(struct load_output *o, const char *venue,
                       const struct load_captures *captures, struct load_result *r,
                       struct tb_error *err)
{
    sqlite3 *db = NULL;
    int rc = 0;
    if (sqlite3_open_v2(o->loading, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        rc = fail(db, o->loading, err);
    if (rc == 0)
        rc = count_rows(o, db, r, err);
    /* The private bus is gone, and with it what its cursors mean. */
    if (rc == 0)
        rc = run(db, o->loading, "BEGIN; DELETE FROM tickbus_cursors", err);
    if (rc == 0)
        rc = note_load(o, db, venue, captures, r, err);
    if (rc == 0)
        rc = run(db, o->loading, "COMMIT", err);
    /* One file that anybody can read; a persister that opens it later returns to a log. */
    if (rc == 0)
        rc = run(db, o->loading, "PRAGMA journal_mode = DELETE", err);
    if (sqlite3_close(db) != SQLITE_OK && rc == 0)
        rc = tb_fail(err, -EIO, "database %s could not be closed", o->loading);
    return rc != 0 ? rc : put_in_place(o, err);
}

void load_output_close(struct load_output *o)
{
    if (o->loading[0] != '\0')
        remove_files(o->loading);
}
