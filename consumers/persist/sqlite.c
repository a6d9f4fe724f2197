/*
 * The SQLite sink: WAL, prepared statements, one file.
 *
 * - Declared types are what Grafana's SQLite source goes by: TEXT, REAL, INTEGER; times are seconds.
 * - Upserts: a completed candle replaces a forming one, never the other way round, and of two equal in
 *   that the one made of more trades stays (a stream made anew begins in mid-minute).
 * - PERSIST_WAL: SQLite would delete -wal and -shm when the last writer closes, and a reader that may
 *   not write the directory (Grafana) could then not open the database at all.
 * - The file may be deleted or replaced under us; SQLite does not notice, so begin and commit compare
 *   the inode. Rows count as stored only if the file was the same after the commit.
 */
#include "consumers/persist/sqlite_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumers/persist/schema.h"

/*
 * Pages of the log after which they are moved into the database: 16 MiB. Only then is the disk waited for
 * (synchronous NORMAL), for two syncs; a page that changed often meanwhile is moved once. Not by SQLite,
 * which would do it within a commit: its rows are stored before.
 */
#define CHECKPOINT_PAGES 4096
/* SQLite's pages in memory. It takes them one by one as the database grows: here all at the start. */
#define CACHE_PAGES 4096
#define PAGE_BYTES 4096 /* of a database that we make; pages of other sizes come from malloc */
/* Kept of the log file when it starts over; longer ones are cut. */
#define WAL_KEPT_BYTES (32 << 20)

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [GET_CURSOR] = "SELECT seq, drained FROM tickbus_cursors WHERE stream = ? AND epoch = ?",
    [PUT_CURSOR] = "INSERT INTO tickbus_cursors (stream, epoch, seq, drained) VALUES (?, ?, ?, ?)"
                   " ON CONFLICT DO UPDATE SET seq = excluded.seq, drained = excluded.drained",
    [FIND_MARKET] = "SELECT id FROM tickbus_markets WHERE exchange IS ? AND symbol IS ?",
    [ADD_MARKET] = "INSERT INTO tickbus_markets (exchange, symbol) VALUES (?, ?)",
    [FIND_SOURCE] = "SELECT id FROM tickbus_sources WHERE stream IS ? AND epoch IS ?",
    [ADD_SOURCE] = "INSERT INTO tickbus_sources (stream, epoch) VALUES (?, ?)",
    [PUT_TRADES] =
        "INSERT OR IGNORE INTO tickbus_trades SELECT market, timestamp, source, seq, side, price,"
        " amount, sum, id FROM staged_trades",
    [PUT_CANDLE] = "INSERT INTO ohlcv_data VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                   "?)" TICKBUS_UPSERT_CANDLE,
    [PUT_LEVELS] =
        "INSERT OR IGNORE INTO tickbus_levels SELECT market, timestamp, source, seq, side, level,"
        " price, amount, sum, id FROM staged_levels",
    /* A stream made anew after the host went down may repeat what was stored before it was in the journal. */
    [PUT_ALERT] = "INSERT INTO alerts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                  "?13 WHERE NOT EXISTS"
                  " (SELECT 1 FROM alerts WHERE rule = ?4 AND timestamp = ?3 AND state = ?5 AND "
                  "alert_id = ?10"
                  " AND exchange IS ?1 AND symbol IS ?2 AND stream = ?11 AND epoch <> ?12)",
    [PUT_GAP] = "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
};

/* ---- faults ---- */

static int fault_of(int code, int system)
{
    /* A write to the log that a quota or limit refused has lost its errno by now; ENOSPC is SQLITE_FULL. */
    bool no_room = system == ENOSPC || system == EDQUOT || system == EFBIG ||
                   code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE ||
                   code == SQLITE_IOERR_SHMMAP;
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_CANTOPEN:
        return no_room ? -ENOSPC : system == EROFS ? -EROFS : -EACCES;
    case SQLITE_ERROR: /* our SQL is right, so the tables are not ours */
        return -EPROTO;
    default:
        return no_room ? -ENOSPC : -EIO;
    }
}

int sqlite_fail(const struct sink *s, int code, struct tb_error *err)
{
    const char *path = s->options.database;
    const char *message = s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
    int rc = fault_of(code, s->db != NULL ? sqlite3_system_errno(s->db) : 0);
    switch (rc) {
    case -EBUSY:
        return tb_fail(
            err, rc, "database %s is locked by another process; rows wait until it lets go", path);
    case -EROFS:
        return tb_fail(err, rc,
                       "database %s is read-only; make file, directory and file system writable",
                       path);
    case -ENOSPC:
        return tb_fail(
            err, rc,
            "no space left for database %s (disk, quota or limit); free some, rows wait until then",
            path);
    case -EBADMSG:
        return tb_fail(err, rc,
                       "database %s is damaged (%s); move it away, a new one is made, and recover"
                       " the old one with sqlite3 .recover",
                       path, message);
    case -EPROTO:
        return tb_fail(err, rc,
                       "database %s has tables that are not this program's (%s); give another file",
                       path, message);
    default:
        return tb_fail(err, rc, "database %s: %s (code %d, %s)", path, message, code,
                       s->db != NULL && sqlite3_system_errno(s->db) != 0
                           ? strerror(sqlite3_system_errno(s->db))
                           : "no cause given");
    }
}

static int check_same_file(const struct sink *s, struct tb_error *err)
{
    struct stat st;
    if (stat(s->options.database, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        return 0;
    return tb_fail(err, -ESTALE,
                   "database %s was deleted or replaced while in use; opening what is there now",
                   s->options.database);
}

/* ---- open ---- */

static int fail_path(const char *path, int rc, struct tb_error *err)
{
    const char *slash = strrchr(path, '/');
    int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    const char *directory = slash == NULL ? "." : path;
    switch (rc) {
    case -ENOENT:
    case -ENOTDIR:
        return tb_fail(err, rc, "cannot make database %s: no directory %.*s; make it", path, length,
                       directory);
    case -EROFS:
    case -EACCES:
    case -EPERM:
        return tb_fail(
            err, rc, "database %s is read-only (%s); make file, directory and file system writable",
            path, strerror(-rc));
    case -EISDIR:
        return tb_fail(err, rc, "database %s is a directory; give a file", path);
    case -ENOSPC:
    case -EDQUOT:
        return tb_fail(err, -ENOSPC,
                       "no space left for database %s; free some, rows wait until then", path);
    default:
        return tb_fail(err, rc, "cannot open database %s: %s", path, strerror(-rc));
    }
}

/*
 * A log and its index without their database are left over from one that was deleted, and SQLite would
 * believe an index that some reader still has open. The lock, on the bytes that SQLite itself locks,
 * keeps a process out that finds the new file before this is done.
 */
static void remove_orphans(const struct sink *s, int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000000, .l_len = 512};
    if (fcntl(fd, F_SETLK, &lock) != 0)
        return;           /* somebody uses it already, so these are no orphans */
    (void)unlink(s->wal); /* mostly they are not there */
    (void)unlink(s->shm);
}

/* Make the file with our mode (SQLite's would be 0644), and learn which one it is. */
static int touch(struct sink *s, struct tb_error *err)
{
    const char *path = s->options.database;
    struct stat st;
    /* Before SQLite has it open: closing any descriptor of a file drops the process's locks on it. */
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd >= 0)
        remove_orphans(s, fd);
    else if (errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail_path(path, -errno, err);
    int rc = fstat(fd, &st) == 0 ? 0 : -errno;
    (void)close(fd); /* nothing was written */
    if (rc != 0)
        return fail_path(path, rc, err);
    if (!S_ISREG(st.st_mode))
        return tb_fail(err, -EINVAL, "database %s is no regular file; give one", path);
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return 0;
}

int sqlite_run(struct sink *s, const char *text, struct tb_error *err)
{
    int code = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sqlite_fail(s, code, err);
}

int sqlite_number(struct sink *s, const char *text, int64_t *out_value, struct tb_error *err)
{
    sqlite3_stmt *query;
    int code = sqlite3_prepare_v2(s->db, text, -1, &query, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(query);
    int rc = code == SQLITE_ROW ? 0 : sqlite_fail(s, code, err);
    if (rc == 0)
        *out_value = sqlite3_column_int64(query, 0);
    (void)sqlite3_finalize(query); /* repeats the error that was just reported */
    return rc;
}

enum found { EMPTY, OURS, OURS_OF_SCHEMA_1 };

/* One of these, or -EPROTO: none. */
static int inspect(struct sink *s, struct tb_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int rc = sqlite_number(s, "PRAGMA application_id", &application, err);
    if (rc == 0)
        rc = sqlite_number(s, "PRAGMA user_version", &version, err);
    if (rc == 0)
        rc = sqlite_number(s, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (rc != 0)
        return rc;
    if (application == TICKBUS_APPLICATION_ID && version == TICKBUS_SCHEMA_VERSION)
        return OURS;
    if (application == TICKBUS_APPLICATION_ID && version == 1)
        return OURS_OF_SCHEMA_1;
    if (application == TICKBUS_APPLICATION_ID)
        return tb_fail(err, -EPROTO,
                       "database %s has schema version %lld, this build writes %d; give another"
                       " file, or use the build that made it",
                       s->options.database, (long long)version, TICKBUS_SCHEMA_VERSION);
    if (tables == 0)
        return EMPTY;
    return tb_fail(err, -EPROTO, "database %s belongs to another program; give a file of our own",
                   s->options.database);
}

static int make_schema(struct sink *s, struct tb_error *err)
{
    int found = inspect(s, err);
    if (found < 0 || found == OURS)
        return found < 0 ? found : 0;
    int rc = sqlite_run(s, "BEGIN IMMEDIATE", err);
    if (rc != 0)
        return rc;
    found = inspect(s, err); /* again: somebody may have been first */
    if (found < 0)
        rc = found;
    else if (found == EMPTY)
        rc = sqlite_run(s, tickbus_schema, err);
    else if (found == OURS_OF_SCHEMA_1)
        rc = sqlite_upgrade_begin(s, err);
    if (rc == 0)
        rc = sqlite_run(s, "COMMIT", err);
    if (rc != 0)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL,
                           NULL); /* the first error is the one to tell */
    return rc;
}

/* After each commit: how many pages the log has now. */
static int log_grew(void *sink, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct sink *)sink)->log_pages = pages;
    return SQLITE_OK;
}

static int configure(struct sink *s, struct tb_error *err)
{
    char text[200];
    sqlite3_stmt *query = NULL;
    int persist = 1;
    (void)sqlite3_busy_timeout(s->db,
                               (int)(s->options.busy_timeout / TB_NS_PER_MS)); /* can not fail */
    (void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    int code = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &query, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(query);
    bool wal =
        code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(query, 0), "wal") == 0;
    int rc = code == SQLITE_ROW ? 0 : sqlite_fail(s, code, err);
    (void)sqlite3_finalize(query); /* repeats the error that was just reported */
    if (rc == 0 && !wal)
        rc = tb_fail(err, -EIO,
                     "database %s cannot use a write-ahead log on this file system; move it to a"
                     " local disk",
                     s->options.database);
    if (rc != 0)
        return rc;
    (void)snprintf(
        text, sizeof(text),
        "PRAGMA synchronous = %s; PRAGMA journal_size_limit = %d; PRAGMA cache_size = %d;",
        s->options.full_sync ? "FULL" : "NORMAL", WAL_KEPT_BYTES, CACHE_PAGES);
    (void)sqlite3_wal_hook(s->db, log_grew, s); /* instead of SQLite's own, which moves the log */
    return sqlite_run(s, text, err);
}

static int prepare(struct sink *s, struct tb_error *err)
{
    for (int k = 0; k < STATEMENTS; k++) {
        int code = sqlite3_prepare_v3(s->db, sql[k], -1, SQLITE_PREPARE_PERSISTENT,
                                      &s->statement[k], NULL);
        if (code != SQLITE_OK)
            return sqlite_fail(s, code, err);
    }
    return 0;
}

/*
 * The database went away, its log did not: whatever stands at the path now would be read together with
 * it. What the log holds was moved into the old file if no reader stood in the way; else it is kept aside.
 */
static void part_from_log(struct sink *s, bool moved)
{
    struct stat st;
    char aside[4096];
    if (s->wal_inode == 0 || stat(s->wal, &st) != 0 || st.st_ino != s->wal_inode)
        return;
    (void)snprintf(aside, sizeof(aside), "%s.stale", s->wal);
    (void)(moved ? unlink(s->wal)
                 : rename(s->wal, aside)); /* then the next open finds the mixture damaged */
    (void)unlink(s->shm);
}

static void sqlite_close(struct sink *s)
{
    if (s == NULL)
        return;
    for (int k = 0; k < STATEMENTS; k++)
        (void)sqlite3_finalize(s->statement[k]); /* repeats an old error */
    if (s->db != NULL) {
        int in_log = -1, moved = -1;
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* there may be no transaction */
        bool same = check_same_file(s, NULL) == 0;
        /* Best effort: a log that stays long is read at the next open. */
        (void)sqlite3_wal_checkpoint_v2(
            s->db, NULL, same ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &in_log,
            &moved);
        if (!same)
            part_from_log(s, in_log >= 0 && in_log == moved);
        (void)sqlite3_close(s->db); /* nothing is open in it */
    }
    free(s->wal);
    free(s->shm);
    free(s);
}

/* Once a process, before its first database. Best effort: without it, memory is taken later. */
static void reserve_cache(void)
{
    static bool done;
    int header = 0;
    if (done || sqlite3_config(SQLITE_CONFIG_PCACHE_HDRSZ, &header) != SQLITE_OK)
        return;
    int slot = (PAGE_BYTES + header + 7) & ~7;
    void *pages = mmap(NULL, (size_t)slot * CACHE_PAGES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    done = pages != MAP_FAILED &&
           sqlite3_config(SQLITE_CONFIG_PAGECACHE, pages, slot, CACHE_PAGES) == SQLITE_OK;
    if (pages != MAP_FAILED && !done)
        (void)munmap(pages, (size_t)slot * CACHE_PAGES); /* SQLite was in use before us */
    done = true;
}

static int sqlite_open(const struct sink_options *options, struct sink **out_sink,
                       struct tb_error *err)
{
    reserve_cache();
    struct sink *s = calloc(1, sizeof(*s));
    if (s == NULL || asprintf(&s->wal, "%s-wal", options->database) < 0 ||
        asprintf(&s->shm, "%s-shm", options->database) < 0) {
        free(s != NULL ? s->wal : NULL);
        free(s);
        return tb_fail(err, -ENOMEM, "no memory to open database %s", options->database);
    }
    struct stat wal;
    s->options = *options;
    s->upgrading = true; /* as far as known */
    int rc = touch(s, err);
    if (rc == 0) {
        int code = sqlite3_open_v2(
            options->database, &s->db,
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
        rc = code == SQLITE_OK ? 0 : sqlite_fail(s, code, err);
    }
    if (rc == 0)
        rc = configure(s, err);
    if (rc == 0)
        rc = make_schema(s, err);
    if (rc == 0)
        rc = sqlite_rows_open(s, err);
    if (rc == 0)
        rc = prepare(s, err);
    if (rc == 0)
        rc = check_same_file(s, err);
    if (rc != 0) {
        sqlite_close(s);
        return rc;
    }
    if (stat(s->wal, &wal) == 0)
        s->wal_inode = wal.st_ino;
    *out_sink = s;
    return 0;
}

/* ---- transactions ---- */

int sqlite_step(struct sink *s, enum statement which, struct tb_error *err)
{
    int code = sqlite3_step(s->statement[which]);
    int reset = sqlite3_reset(s->statement[which]);
    if (code == SQLITE_DONE && reset == SQLITE_OK)
        return 0;
    return sqlite_fail(s, code == SQLITE_DONE ? reset : code, err);
}

static int sqlite_begin(struct sink *s, struct tb_error *err)
{
    int rc = check_same_file(s, err);
    return rc != 0 ? rc : sqlite_step(s, BEGIN, err);
}

static void sqlite_rollback(struct sink *s)
{
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite_step(s, ROLLBACK, NULL); /* the caller has an error to tell already */
    sqlite_rows_drop(s);
}

static int sqlite_commit(struct sink *s, struct tb_error *err)
{
    int rc = sqlite_rows_flush(s, err);
    if (rc == 0)
        rc = sqlite_step(s, COMMIT, err);
    return rc != 0 ? rc : check_same_file(s, err);
}

static int sqlite_cursor(struct sink *s, const char *stream, uint64_t epoch, uint64_t *out_position,
                         struct tb_error *err)
{
    sqlite3_stmt *q = s->statement[GET_CURSOR];
    (void)sqlite3_bind_text(q, 1, stream, -1, SQLITE_STATIC); /* these fail only for a bad index */
    (void)sqlite3_bind_int64(q, 2, (int64_t)epoch);
    int code = sqlite3_step(q);
    uint64_t position = 0;
    if (code == SQLITE_ROW)
        position = 2 * (uint64_t)sqlite3_column_int64(q, 0) + (sqlite3_column_int64(q, 1) != 0);
    int rc = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_fail(s, code, err);
    (void)sqlite3_reset(q); /* repeats the error that was just reported */
    if (rc == 0)
        *out_position = position;
    return rc;
}

static int sqlite_put_cursor(struct sink *s, const char *stream, uint64_t epoch, uint64_t position,
                             struct tb_error *err)
{
    sqlite3_stmt *q = s->statement[PUT_CURSOR];
    (void)sqlite3_bind_text(q, 1, stream, -1, SQLITE_STATIC); /* these fail only for a bad index */
    (void)sqlite3_bind_int64(q, 2, (int64_t)epoch);
    (void)sqlite3_bind_int64(q, 3, (int64_t)(position / 2));
    (void)sqlite3_bind_int64(q, 4, (int64_t)(position % 2));
    return sqlite_step(s, PUT_CURSOR, err);
}

static int64_t wal_bytes(const struct sink *s)
{
    struct stat st;
    return stat(s->wal, &st) == 0 ? st.st_size : 0;
}

static void sqlite_checkpoint(struct sink *s)
{
    if (s->log_pages < CHECKPOINT_PAGES)
        return;
    s->log_pages =
        0; /* until the next commit says what is left: a reader's snapshot may hold some */
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static int64_t sqlite_tend(struct sink *s)
{
    int64_t bytes = wal_bytes(s);
    if (bytes <= s->options.wal_limit)
        return bytes;
    /* Fails while a reader holds a snapshot: the caller sees that the log is as long as before. */
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return wal_bytes(s);
}

const struct sink_ops sink_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .begin = sqlite_begin,
    .cursor = sqlite_cursor,
    .put = sqlite_rows_put,
    .put_cursor = sqlite_put_cursor,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .checkpoint = sqlite_checkpoint,
    .tend = sqlite_tend,
    .upgrade = sqlite_upgrade,
    .close = sqlite_close,
};
