/*
 * tickbus-persist: the wiring, and the reading thread. What becomes a row: persist.c; who stores it:
 * writer.c; how: store.c; where: sqlite.c.
 *
 * An input is held until it is matched with the database: which of its records are stored already decides
 * where reading begins (persist_resume). That needs the database, so while it has never been open nothing
 * is taken; the ring keeps it. After that records are taken whatever state the database is
 * in, until the buffer is full.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "consumers/persist/writer.h"

/* A call of the database that takes longer is told: the disk, or what is below it, does not answer. */
#define STUCK (5 * TB_NS_PER_S)

struct persist_main {
    const char *database;
    int synchronous;
    int64_t depth_levels, book_depth, books, batch_rows, buffer, wal_limit;
    tb_ns snapshot_every, commit_every, busy_timeout;
    int forming;

    struct persist persist;
    struct writer writer;
    tb_seq saved[TB_INPUTS_MAX]; /* cursor of the last checkpoint that was begun; 0: none yet */
    uint64_t saved_rows;         /* and the row before which it was */
    tb_ns handed_at;             /* when rows were last handed over */
    bool full;
    uint64_t times_full;
    size_t rows_waited; /* as last published */
    struct tb_log_limit full_log;
    struct store_report report; /* the writer's, of the last housekeeping */
    uint64_t opens_told, troubles_told;
    int64_t upgrade_told;
    struct tb_stats_counter *rows[PERSIST_KINDS];
    struct tb_stats_counter *commits, *failures, *busy, *opens, *waiting, *buffer_rows,
        *buffer_full, *log_bytes, *unusable, *bookless, *upgrade_left;
    struct tb_log_limit upgrade_log;
    struct tb_stats_histogram *commit_ns;
    /* What a writer that could not be stopped goes on using until the process is gone, when the statistics
     * page and the configuration's texts are not there any more. */
    struct tb_stats_histogram commit_times;
    char *path;
};

#define M(field) offsetof(struct persist_main, field)

static const struct tb_option options[] = {
    {"database", TB_OPTION_STRING, M(database), .required = true,
     .help = "SQLite file; it is made if it is not there"},
    {"synchronous", TB_OPTION_ENUM, M(synchronous), "normal", .choices = "normal|full",
     .help = "full: commits survive power loss; normal: the death of processes"},
    {"commit_every", TB_OPTION_DURATION, M(commit_every), "250ms", TB_NS_PER_MS, 60 * TB_NS_PER_S,
     .help = "longest time between a record and its row's commit"},
    {"batch_rows", TB_OPTION_INT, M(batch_rows), "50000", 1, 1000000,
     .help = "most rows in one transaction"},
    {"buffer", TB_OPTION_BYTES, M(buffer), "32MiB", 256 << 10, INT64_C(16) << 30,
     .help = "rows that wait for the database; when full, reading does: ring and journal keep the "
             "rest"},
    {"busy_timeout", TB_OPTION_DURATION, M(busy_timeout), "25ms", TB_NS_PER_MS, TB_NS_PER_S,
     .help = "wait this long for another process's lock, then leave it alone for a while"},
    {"wal_limit", TB_OPTION_BYTES, M(wal_limit), "64MiB", 1 << 20, INT64_C(1) << 40,
     .help = "write-ahead log above this: degraded (a reader holds an old snapshot)"},
    {"snapshot_every", TB_OPTION_DURATION, M(snapshot_every), "1s", TB_NS_PER_MS,
     3600 * TB_NS_PER_S, .help = "stream time between two snapshots of a market's book"},
    {"depth_levels", TB_OPTION_INT, M(depth_levels), "20", 0, PERSIST_DEPTH_MAX,
     .help = "levels a side in a snapshot; 0: no snapshots"},
    {"book_depth", TB_OPTION_INT, M(book_depth), "10000", 10, 1000000,
     .help = "levels a side that a book keeps"},
    {"books", TB_OPTION_INT, M(books), "256", 0, 8192,
     .help = "markets whose book can be kept; address space is reserved for them"},
    {"forming", TB_OPTION_ENUM, M(forming), "drain", .choices = "off|drain|live",
     .help = "forming candles (closed = 0): never, at drain, or once a second too"},
};

static const struct tb_instrument *lookup(void *context, unsigned input, uint16_t id)
{
    struct tb_service *svc = context;
    return tb_reader_instrument(&svc->input[input].reader, id);
}

/* ---- matching inputs with the database ---- */

/* False: not yet. */
static bool match_input(struct tb_service *svc, struct persist_main *m, unsigned i)
{
    struct tb_reader *r = &svc->input[i].reader;
    uint64_t stored;
    if (!writer_position(&m->writer, i, r->epoch, &stored))
        return false;
    persist_attach(&m->persist, i, r->epoch, stored);
    bool seek;
    tb_seq from = persist_resume(&m->persist, i, r->cursor, tb_reader_oldest(r), svc->now, &seek);
    if (seek)
        tb_service_seek(svc, i, from);
    if (seek || stored != 0)
        tb_log(TB_LOG_INFO, "matched",
               "stream=%s epoch=%" PRIu64 " stored=%" PRIu64 " from=%" PRIu64, svc->input[i].stream,
               r->epoch, stored / 2, from);
    if (m->persist.input[i].lost_to != 0) {
        const struct persist_input *in = &m->persist.input[i];
        uint64_t lost = in->lost_to - in->lost_from + 1;
        svc->input[i].lost += lost; /* only this service knows: the skeleton's cursor had no past */
        tb_log(TB_LOG_WARN, "lost_while_away", "stream=%s lost=%" PRIu64 " seq=%" PRIu64,
               svc->input[i].stream, lost, from);
    }
    svc->input[i].held = false;
    return true;
}

/* How many were. Those that were not are asked for, and looked at again in the next turn. */
static int match_inputs(struct tb_service *svc, struct persist_main *m)
{
    int matched = 0;
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open && svc->input[i].held)
            matched += match_input(svc, m, i);
    return matched;
}

static int on_input(struct tb_service *svc, void *self, unsigned input, bool new_epoch)
{
    struct persist_main *m = self;
    const struct persist_input *in = &m->persist.input[input];
    (void)new_epoch; /* seen by comparing epochs, also across lives */
    svc->input[input].held = !in->attached || in->epoch != svc->input[input].reader.epoch;
    (void)match_inputs(svc, m);
    return 0;
}

/* ---- records ---- */

static bool hand_over(struct tb_service *svc, struct persist_main *m)
{
    m->handed_at = svc->now;
    return writer_hand_over(&m->writer);
}

/* By count or time; a clock that was set back is no reason to wait. */
static bool hand_over_is_due(const struct tb_service *svc, const struct persist_main *m)
{
    return persist_rows_kept(&m->persist.rows) >= (size_t)m->batch_rows ||
           svc->now - m->handed_at >= m->commit_every || svc->now < m->handed_at;
}

static void note_full(struct persist_main *m)
{
    if (!m->full) {
        m->times_full++;
        tb_log_limited(
            &m->full_log, 10 * TB_NS_PER_S, TB_LOG_INFO, "buffer_full",
            "rows=%zu then=\"reading goes on when some are stored; ring and journal keep the"
            " records until then\"",
            persist_rows_waiting(&m->persist.rows));
    }
    m->full = true;
}

static int on_records(struct tb_service *svc, void *self, unsigned input,
                      const struct tb_record *records, int count)
{
    struct persist_main *m = self;
    int taken = 0;
    while (taken < count && persist_take(&m->persist, input, &records[taken]))
        taken++;
    if (taken < count) {
        note_full(m);
        if (persist_waits(&m->persist))
            (void)hand_over(svc, m); /* what found no room comes with the next */
    } else {
        m->full = false;
    }
    return taken;
}

static void on_overrun(struct tb_service *svc, void *self, unsigned input, uint64_t lost)
{
    struct persist_main *m = self;
    tb_seq next = svc->input[input].reader.cursor;
    persist_lost(&m->persist, input, next - lost, next - 1, svc->now);
}

/* In each turn, also in one that read nothing. */
static int poll(struct tb_service *svc, void *self)
{
    struct persist_main *m = self;
    int matched = match_inputs(svc, m);
    if (hand_over_is_due(svc, m) && persist_waits(&m->persist))
        (void)hand_over(svc, m); /* what found no room comes with the next */
    return matched;
}

/* ---- checkpoints ---- */

static int restore(struct tb_service *svc, void *self, const void *bytes, size_t count)
{
    struct persist_main *m = self;
    (void)svc;
    return persist_load(&m->persist, bytes, count);
}

static size_t save_size(struct tb_service *svc, void *self)
{
    struct persist_main *m = self;
    (void)svc;
    return persist_save_size(&m->persist);
}

/* Does the skeleton need a checkpoint now, and not only by the clock? */
static bool is_urgent(const struct tb_service *svc, const struct persist_main *m)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct tb_input *in = &svc->input[i];
        if (in->open && (m->saved[i] == 0 || in->reader.cursor < m->saved[i] ||
                         in->reader.cursor - m->saved[i] >= in->reader.capacity / 8))
            return true;
    }
    return svc->stopping;
}

static size_t save(struct tb_service *svc, void *self, void *bytes, size_t capacity)
{
    struct persist_main *m = self;
    (void)match_inputs(svc, m);
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open && svc->input[i].held)
            return 0;
    if (persist_waits(&m->persist)) {
        if (!hand_over_is_due(svc, m) && !is_urgent(svc, m))
            return 0; /* commit_every decides */
        if (!hand_over(svc, m))
            return 0;
    }
    size_t used = persist_save(&m->persist, bytes, capacity);
    m->saved_rows = m->persist.rows.made;
    for (unsigned i = 0; used > 0 && i < svc->input_count; i++)
        m->saved[i] = svc->input[i].open ? svc->input[i].reader.cursor : 0;
    return used;
}

/* Has the database all that the saved state has seen? */
static bool is_settled(struct tb_service *svc, void *self)
{
    const struct persist_main *m = self;
    (void)svc;
    return persist_rows_are_stored(&m->persist.rows, m->saved_rows);
}

/* ---- the rest of a life ---- */

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    const struct persist_main *m = self;
    if (m->database != NULL && (m->database[0] == '\0' || m->database[0] == ':'))
        tb_fault(faults, svc->config_file, 0, "database", "\"%s\" is no path of a file",
                 m->database);
    size_t least =
        (PERSIST_ROWS_OF_RECORD(m->depth_levels) + PERSIST_INPUTS_MAX) * sizeof(struct persist_row);
    if ((size_t)m->buffer < least)
        tb_fault(faults, svc->config_file, 0, "buffer",
                 "one snapshot of depth_levels takes %zu KiB; give at least that",
                 (least + 1023) / 1024);
    if ((size_t)m->books * tb_book_save_max((uint32_t)m->book_depth) > PERSIST_CHECKPOINT_BYTES / 2)
        tb_fault(faults, svc->config_file, 0, "book_depth",
                 "%" PRId64 " books of %" PRId64
                 " levels do not fit a checkpoint; give fewer of either",
                 m->books, m->book_depth);
}

static void add_counters(struct tb_service *svc, struct persist_main *m)
{
    static const char *const names[PERSIST_KINDS] = {"rows_trades_stream", "rows_ohlcv_data",
                                                     "rows_orderbook_snapshots", "rows_alerts",
                                                     "rows_gaps"};
    struct tb_stats *s = &svc->stats;
    for (unsigned k = 0; k < PERSIST_KINDS; k++)
        m->rows[k] = tb_stats_add(s, names[k], TB_STAT_COUNTER);
    m->commits = tb_stats_add(s, "db_commits", TB_STAT_COUNTER);
    m->failures = tb_stats_add(s, "db_failures", TB_STAT_COUNTER);
    m->busy = tb_stats_add(s, "db_locked", TB_STAT_COUNTER);
    m->opens = tb_stats_add(s, "db_opens", TB_STAT_COUNTER);
    m->waiting = tb_stats_add(s, "rows_waiting", TB_STAT_GAUGE);
    m->buffer_rows = tb_stats_add(s, "rows_buffer", TB_STAT_GAUGE);
    m->buffer_full = tb_stats_add(s, "rows_buffer_full", TB_STAT_COUNTER);
    m->log_bytes = tb_stats_add(s, "db_wal_bytes", TB_STAT_GAUGE);
    m->upgrade_left = tb_stats_add(s, "db_rows_to_upgrade", TB_STAT_GAUGE);
    m->unusable = tb_stats_add(s, "records_unusable", TB_STAT_COUNTER);
    m->bookless = tb_stats_add(s, "book_records_refused", TB_STAT_COUNTER);
    m->commit_ns = tb_stats_add_histogram(s, "db_commit_ns");
}

static int start(struct tb_service *svc, void *self)
{
    struct persist_main *m = self;
    const char *streams[TB_INPUTS_MAX];
    /* A file size limit shows as a full disk, which is waited for, not as the end of the process. */
    (void)signal(SIGXFSZ, SIG_IGN);
    for (unsigned i = 0; i < svc->input_count; i++)
        streams[i] = svc->input[i].stream;
    const struct persist_config config = {
        .depth_levels = (uint32_t)m->depth_levels,
        .book_depth = (uint32_t)m->book_depth,
        .books = m->depth_levels > 0 ? (uint32_t)m->books : 0,
        .snapshot_every = m->snapshot_every,
        .forming = (enum persist_forming)m->forming,
        .buffer_rows = (size_t)m->buffer / sizeof(struct persist_row),
        .lookup = lookup,
        .context = svc,
    };
    int rc = persist_init(&m->persist, &config, streams, svc->input_count);
    if (rc != 0) {
        tb_log(TB_LOG_ERROR, "start", "what=\"no memory for rows and books\" error=%d", rc);
        return rc;
    }
    m->path = strdup(m->database);
    if (m->path == NULL)
        return -ENOMEM;
    add_counters(svc, m);
    const struct store_config store = {
        .ops = &sink_sqlite,
        .sink = {.database = m->path,
                 .full_sync = m->synchronous == 1,
                 .busy_timeout = m->busy_timeout,
                 .wal_limit = m->wal_limit},
        .batch_rows = (size_t)m->batch_rows,
        .commit_ns = &m->commit_times,
    };
    rc = writer_start(&m->writer, &store, &m->persist);
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "start", "what=\"no thread for the database\" error=%d", rc);
    return rc;
}

#define PUBLISH(to, from)                                                                          \
    atomic_store_explicit(&(to), atomic_load_explicit(&(from), memory_order_relaxed),              \
                          memory_order_relaxed)

static void publish_commit_times(struct persist_main *m)
{
    struct tb_stats_histogram *to = m->commit_ns, *from = &m->commit_times;
    if (to == NULL)
        return;
    for (unsigned b = 0; b < TB_STATS_BUCKETS; b++)
        PUBLISH(to->bucket[b], from->bucket[b]);
    PUBLISH(to->count, from->count);
    PUBLISH(to->sum, from->sum);
    PUBLISH(to->max, from->max);
}

static void publish_counters(struct persist_main *m)
{
    const struct store_report *r = &m->report;
    for (unsigned k = 0; k < PERSIST_KINDS; k++)
        tb_stats_set(m->rows[k], (int64_t)r->stored[k]);
    tb_stats_set(m->commits, (int64_t)r->commits);
    tb_stats_set(m->failures, (int64_t)r->failures);
    tb_stats_set(m->busy, (int64_t)r->busy);
    tb_stats_set(m->opens, (int64_t)r->opens);
    m->rows_waited = persist_rows_waiting(&m->persist.rows);
    tb_stats_set(m->waiting, (int64_t)m->rows_waited);
    tb_stats_set(m->buffer_rows, (int64_t)m->persist.rows.capacity);
    tb_stats_set(m->buffer_full, (int64_t)m->times_full);
    tb_stats_set(m->log_bytes, r->log_bytes);
    tb_stats_set(m->upgrade_left, r->upgrade_left);
    tb_stats_set(m->unusable, (int64_t)m->persist.unusable);
    tb_stats_set(m->bookless, (int64_t)m->persist.bookless);
    publish_commit_times(m);
}

static void tell_state(struct tb_service *svc, struct persist_main *m)
{
    const struct store_report *r = &m->report;
    char note[160];
    if (r->opens != m->opens_told && r->open) {
        m->opens_told = r->opens;
        tb_log(TB_LOG_INFO, "database_open", "path=%s", m->database);
    }
    if (r->troubles != m->troubles_told) {
        m->troubles_told = r->troubles;
        tb_service_degraded(svc, r->last.text); /* it may be over already: said all the same */
    }
    if (r->trouble.text[0] != '\0') {
        tb_service_degraded(svc, r->trouble.text);
    } else if (writer_stuck(&m->writer, tb_clock_mono()) > STUCK) {
        (void)snprintf(note, sizeof(note),
                       "database %.80s has not answered for %d s: a slow or dead disk; rows wait",
                       m->database, (int)(STUCK / TB_NS_PER_S));
        tb_service_degraded(svc, note);
    } else if (r->log_bytes > m->wal_limit) {
        (void)snprintf(
            note, sizeof(note),
            "the write-ahead log is above wal_limit: a reader of the database holds an old"
            " snapshot; end it");
        tb_service_degraded(svc, note);
    } else if (m->persist.bookless > 0) {
        (void)snprintf(note, sizeof(note),
                       "more than %" PRId64 " markets have books: the others get no"
                       " snapshots; raise `books`",
                       m->books);
        tb_service_degraded(svc, note);
    } else {
        tb_service_degraded(svc, NULL);
    }
}

/* A database of a former version: some of its rows are moved, again and again. */
static void tell_upgrade(struct persist_main *m)
{
    int64_t left = m->report.upgrade_left;
    if (left > 0 && left != m->upgrade_told)
        tb_log_limited(&m->upgrade_log, 10 * TB_NS_PER_S, TB_LOG_INFO, "upgrading",
                       "path=%s rows_left=%" PRId64 " what=\"rows move into this version's tables;"
                       " queries find them all meanwhile\"",
                       m->database, left);
    else if (left == 0 && m->upgrade_told > 0)
        tb_log(TB_LOG_INFO, "upgraded", "path=%s", m->database);
    m->upgrade_told = left;
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct persist_main *m = self;
    (void)now;
    writer_report(&m->writer, &m->report);
    tell_upgrade(m);
    publish_counters(m);
    tell_state(svc, m);
    return 0;
}

static int drain(struct tb_service *svc, void *self)
{
    struct persist_main *m = self;
    int rc = writer_drain(&m->writer);
    writer_report(&m->writer, &m->report);
    if (rc == 0)
        publish_counters(m); /* until then the rows are the writer's alone */
    else if (m->report.trouble.text[0] != '\0')
        tb_service_degraded(svc, m->report.trouble.text);
    return rc;
}

static void stop(struct tb_service *svc, void *self)
{
    struct persist_main *m = self;
    (void)svc;
    bool stopped = writer_stop(&m->writer);
    const struct store_report *r = stopped ? &m->writer.store.report : &m->report;
    const uint64_t *n = r->stored;
    /* If it goes on with a drain, the queue's numbers are its own: then as last published. */
    size_t waiting = stopped ? persist_rows_waiting(&m->persist.rows) : m->rows_waited;
    tb_log(TB_LOG_INFO, "stored",
           "trades=%" PRIu64 " candles=%" PRIu64 " levels=%" PRIu64 " alerts=%" PRIu64
           " gaps=%" PRIu64 " commits=%" PRIu64 " waiting=%zu",
           n[PERSIST_TRADE], n[PERSIST_CANDLE], n[PERSIST_LEVEL], n[PERSIST_ALERT], n[PERSIST_GAP],
           r->commits, waiting);
    if (stopped) {
        persist_fini(&m->persist);
        free(m->path);
    } else {
        tb_log(TB_LOG_WARN, "database_left",
               "path=%s reason=\"it does not answer\" then=\"what waits is read again by"
               " the next life\"",
               m->database);
    }
}

static const struct tb_service_ops ops = {
    .name = "persist",
    .summary =
        "trades, candles, book snapshots, alerts and gaps into a database, each exactly once",
    .options = options,
    .option_count = TB_COUNT(options),
    .inputs = "@feeds,candles,alerts",
    .checkpoint_version = PERSIST_CHECKPOINT_VERSION,
    .checkpoint_bytes = PERSIST_CHECKPOINT_BYTES,
    .check = check,
    .start = start,
    .on_input = on_input,
    .restore = restore,
    .on_records = on_records,
    .on_overrun = on_overrun,
    .poll = poll,
    .save_size = save_size,
    .save = save,
    .settled = is_settled,
    .housekeep = housekeep,
    .drain = drain,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct persist_main self; /* all state lives here */
    return tb_service_main(&ops, &self, argc, argv);
}
