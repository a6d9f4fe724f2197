/*
 * tickbus-journal: the wiring. Writing: bus/journal_write.h; what a segment begins with: journal.c;
 * retention and compression: keeper.c.
 *
 * It keeps no checkpoint: where it goes on is in the files. Upstream is released up to what is durable.
 * To find that in the files takes its time (start.h), and a producer that waits for nobody goes on: so
 * reading begins at once, behind what the cursor page says is durable, and what is read is held (held.h)
 * until the writer is there.
 *
 *   attached --start's thread--> records are held --found--> READY: held ones first, then what comes
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "bus/journal_write.h"
#include "consumers/journal/held.h"
#include "consumers/journal/journal.h"
#include "consumers/journal/keeper.h"
#include "consumers/journal/start.h"

#define RETRY_NS TB_NS_PER_S
#define START_LOOK_NS (2 * TB_NS_PER_MS) /* whether a start is done */
#define START_TOLD_NS (10 * TB_NS_PER_S) /* that it still goes on */
/* Times `memory`: held while it starts, if it comes so fast. Twice 64 MiB are to be read then (a segment's records,
 * and their books made), by one of many streams on a busy machine: 250 ms were seen. */
#define HELD_MEMORIES 4

struct journal_main;

struct journal_input {
    struct journal_main *m;
    unsigned index;
    struct tb_journal_writer *writer;
    struct journal_books books;
    struct journal_start start;
    bool starting; /* the thread has it, or had it: for start.epoch */
    struct held held;
    tb_seq from;   /* where holding began; 0: nothing is read until it is known what is lost */
    bool promised; /* ... behind what is durable, as the cursor page says */
    tb_seq before; /* durable, as far as it is known until it is ready */
    tb_ns begun_mono, told_mono; /* the start */
    bool ready;                  /* reader and writer are at the same place */
    bool catching;               /* the reader was put where the writer goes on */
    tb_ns retry_mono;
    tb_ns seen_latency;
    uint64_t seen_syncs;
    struct tb_log_limit failed_log;
    char trouble[200];
};

struct journal_main {
    int64_t segment_size, sync_bytes, memory, retain_bytes, book_depth, compress_level;
    tb_ns sync_every, retain_age;
    int direct, io;
    bool compress;
    struct tb_service *svc;
    char bus[TB_STREAM_BYTES];
    struct tb_journal_disk *disk;
    struct journal_input input[TB_INPUTS_MAX];
    struct keeper *keeper;
    bool degraded;
    struct tb_stats_counter *bytes, *pages, *syncs, *errors, *segments, *rewritten, *durable_lag,
        *compressed, *removed;
    struct tb_stats_histogram *sync_latency;
};

#define M(field) offsetof(struct journal_main, field)

static const struct tb_option options[] = {
    {"segment_size", TB_OPTION_BYTES, M(segment_size), "256MiB", 1 << 20, INT64_C(1) << 40,
     .help = "a segment's file is made this large; at least `memory` and 1 MiB are used"},
    {"sync_every", TB_OPTION_DURATION, M(sync_every), "100ms", TB_NS_PER_MS, 60 * TB_NS_PER_S,
     .help = "make durable what is older than this"},
    {"sync_bytes", TB_OPTION_BYTES, M(sync_bytes), "1MiB", 4096, INT64_C(1) << 30,
     .help = "or as soon as this much is not durable"},
    {"memory", TB_OPTION_BYTES, M(memory), "8MiB", TB_JOURNAL_MEMORY_MIN, TB_JOURNAL_MEMORY_MAX,
     .help = "of each stream, for what is not durable yet; locked, where RLIMIT_MEMLOCK allows it"},
    {"retain_age", TB_OPTION_DURATION, M(retain_age), "0s", 0, INT64_MAX,
     .help = "remove segments whose last record is older; 0: never"},
    {"retain_bytes", TB_OPTION_BYTES, M(retain_bytes), "0", 0, INT64_MAX,
     .help = "remove the oldest segments of a stream that has more on disk; 0: never"},
    {"compress", TB_OPTION_BOOL, M(compress), "off",
     .help = "make ended segments smaller with zstd; they stay seekable"},
    {"compress_level", TB_OPTION_INT, M(compress_level), "3", 1, 19,
     .help = "of zstd: more is smaller and slower"},
    {"direct", TB_OPTION_ENUM, M(direct), "auto", .choices = "auto|off",
     .help = "write past the page cache where the file system can"},
    {"io", TB_OPTION_ENUM, M(io), "auto", .choices = "auto|uring|plain",
     .help = "auto: io_uring, or plain calls where it is refused"},
    {"book_depth", TB_OPTION_INT, M(book_depth), "5000", 10, 1000000,
     .help = "levels a side of the books that are kept for the beginnings of segments"},
};

/* ---- one input ---- */

static void say(void *context, bool bad, const char *event, const char *text)
{
    const struct journal_input *in = context;
    tb_log(bad ? TB_LOG_WARN : TB_LOG_INFO, event, "stream=%s %s",
           in->m->svc->input[in->index].stream, text);
}

static const struct tb_instrument *instrument(void *context, uint16_t id)
{
    const struct journal_input *in = context;
    return tb_reader_instrument(&in->m->svc->input[in->index].reader, id);
}

static uint16_t instrument_count(void *context)
{
    const struct journal_input *in = context;
    return tb_reader_instrument_count(&in->m->svc->input[in->index].reader);
}

static size_t state(void *context, struct tb_record *out)
{
    const struct journal_input *in = context;
    return journal_books_state(&in->books, out);
}

static void fail_input(struct journal_input *in, const char *why)
{
    char quoted[TB_QUOTE_BYTES];
    snprintf(in->trouble, sizeof(in->trouble), "%s", why);
    in->retry_mono = tb_clock_mono() + RETRY_NS;
    tb_log_limited(&in->failed_log, 10 * TB_NS_PER_S, TB_LOG_ERROR, "journal_not_opened",
                   "stream=%s reason=%s then=\"trying again\"", in->m->svc->input[in->index].stream,
                   tb_quote_text(why, quoted));
}

static void prepare_start(struct journal_input *in)
{
    struct journal_main *m = in->m;
    in->start.disk = m->disk;
    in->start.books = &in->books;
    in->start.write = (struct tb_journal_write_options){
        .journal = m->svc->journal,
        .bus = m->bus,
        .stream = m->svc->input[in->index].stream,
        .segment_bytes = (uint64_t)m->segment_size,
        .sync_bytes = (uint64_t)m->sync_bytes,
        .sync_every = m->sync_every,
        .direct = m->direct == 0,
        .state = state,
        .say = say,
        .context = in,
    };
}

/* ---- where to go on ---- */

/* Records that can go nowhere: their stream was made anew in the moment in which they were held. */
static void drop_held(struct journal_input *in)
{
    if (held_count(&in->held) > 0)
        tb_log(TB_LOG_ERROR, "journal_lost", "stream=%s from=%llu lost=%zu reason=\"%s\"",
               in->m->svc->input[in->index].stream,
               (unsigned long long)in->held.record[in->held.given].seq, held_count(&in->held),
               "read, but the journal could not be opened as long as their stream was there");
    held_clear(&in->held);
}

/* What was found of the last life is there, for the reader's epoch. */
static bool has_started(struct journal_input *in)
{
    const struct tb_reader *r = &in->m->svc->input[in->index].reader;
    struct journal_start *s = &in->start;
    if (in->starting && !journal_start_end(s))
        return false;
    if (!in->starting || (s->rc == 0 && s->epoch != r->epoch)) {
        in->starting = true;
        in->begun_mono = in->told_mono = tb_clock_mono();
        s->epoch = r->epoch;
        journal_start_begin(s);
        if (!journal_start_end(s))
            return false;
    }
    if (s->rc != 0) {
        in->starting = false;
        fail_input(in, s->err.text);
        return false;
    }
    in->writer = s->writer;
    in->books.instrument = instrument;
    in->books.instrument_count = instrument_count;
    in->books.context = in;
    return true;
}

/* Who reads from there gets this one first: it, or what a reader finds who is lapped before it comes to that. */
static tb_seq got_from(const struct tb_reader *r, tb_seq seq)
{
    const tb_seq newest = tb_reader_newest(r);
    const uint64_t behind = r->capacity / 4 * 3;
    if (newest + r->capacity / 64 < seq + r->capacity)
        return seq;
    return newest > behind ? newest - behind + 1 : 1;
}

/*
 * Less is there than the cursor page promised. Somebody has removed or spoilt it: what the ring still has comes
 * again from there. Or the journal was lapped, said so, and died before it had written what followed:
 * then the ring has gone on, and what is held is not given up for what is lost.
 */
static void take_less(struct journal_input *in, struct tb_reader *r, tb_seq last)
{
    const tb_seq first = last > 0 ? last + 1 : tb_reader_oldest(r);
    if (first >= in->from)
        return;
    if (got_from(r, first) < in->from) {
        held_clear(&in->held);
        tb_reader_seek(r, first);
    } else {
        tb_log(TB_LOG_WARN, "journal_hole",
               "stream=%s from=%llu to=%llu reason=\"not on disk: they were lost before, or their "
               "files are gone\" then=\"a new segment begins behind them\"",
               in->m->svc->input[in->index].stream, (unsigned long long)first,
               (unsigned long long)in->from - 1);
    }
}

/* Put the reader, and what is held, where the writer goes on. */
static bool take_place(struct journal_input *in)
{
    struct tb_reader *r = &in->m->svc->input[in->index].reader;
    const tb_seq last = in->start.last;
    if (last > tb_reader_newest(r)) {
        fail_input(in, "the journal has later records of this epoch than the stream");
        return false;
    }
    if (last > 0 || in->promised)
        take_less(in, r, last);
    held_drop_to(&in->held, last);
    if (held_count(&in->held) == 0 && last > 0 && (in->from == 0 || r->cursor <= last))
        tb_reader_seek(r, last + 1);
    return true;
}

/* Put writer and reader at the same place. Until that is done records are held. */
static void get_ready(struct journal_input *in)
{
    struct tb_input *input = &in->m->svc->input[in->index];
    if (in->ready || !input->open || tb_clock_mono() < in->retry_mono || !has_started(in))
        return;
    if (!in->catching && !take_place(in))
        return;
    in->catching = true;
    const size_t held = held_count(&in->held);
    const tb_seq first = held > 0 ? in->held.record[in->held.given].seq : input->reader.cursor;
    if (tb_journal_writer_begin(in->writer, input->reader.epoch, first) == -EAGAIN)
        return; /* the segment of the last epoch is being ended */
    if (in->start.last + 1 != first)
        journal_books_invalidate(&in->books);
    in->trouble[0] = '\0';
    in->catching = input->held = false;
    in->ready = true;
    tb_service_durable(in->m->svc, in->index, first - 1);
    tb_log(TB_LOG_INFO, "writing", "stream=%s epoch=%llu seq=%llu last=%llu held=%zu",
           input->stream, (unsigned long long)input->reader.epoch, (unsigned long long)first,
           (unsigned long long)in->start.last, held);
}

/*
 * Reading begins behind what is durable. Not with it, though the ring may have that still: a gated producer has
 * leave to overwrite it, and whoever stood there would be lapped. Where nothing follows yet nothing is read,
 * for who has read all would stop, or leave a stream that was made anew (see on_records); nor where it was
 * lapped already.
 */
static void begin_to_hold(struct journal_input *in, struct tb_reader *r)
{
    const tb_seq durable = tb_reader_durable_before(r);
    in->promised = durable > 0;
    in->from = r->cursor;
    if (in->promised)
        in->from = durable + 1 >= r->cursor ? durable + 1 : 0;
    if (in->from != 0)
        tb_reader_seek(r, in->from);
    in->m->svc->input[in->index].held = in->promised;
    in->before = in->promised ? durable : r->cursor - 1;
    tb_service_durable(in->m->svc, in->index, in->before);
}

/* Something follows what is durable: it can be read, and held. */
static void go_on_reading(struct journal_input *in)
{
    struct tb_input *input = &in->m->svc->input[in->index];
    if (input->held && input->open && in->from != 0 && tb_reader_newest(&input->reader) >= in->from)
        input->held = false;
}

static int on_input(struct tb_service *svc, void *self, unsigned i, bool new_epoch)
{
    struct journal_main *m = self;
    struct journal_input *in = &m->input[i];
    struct tb_reader *r = &svc->input[i].reader;
    if (!new_epoch && (in->ready || in->starting)) {
        /* The same ring again: what was taken is in memory or on disk. */
        if (held_count(&in->held) > 0)
            tb_reader_seek(r, in->held.record[in->held.count - 1].seq + 1);
        else if (in->ready)
            tb_reader_seek(r, tb_journal_writer_next(in->writer));
        return 0;
    }
    drop_held(in);
    in->ready = in->catching = false;
    begin_to_hold(in, r);
    get_ready(in);
    return 0;
}

static int append(struct journal_input *in, const struct tb_record *records, size_t count)
{
    const struct tb_reader *r = &in->m->svc->input[in->index].reader;
    if (records[0].seq != tb_journal_writer_next(in->writer))
        journal_books_invalidate(&in->books);
    if (tb_journal_writer_begin(in->writer, r->epoch, records[0].seq) == -EAGAIN)
        return 0; /* the reader was lapped: a new segment begins behind the gap */
    uint16_t known = instrument_count(in);
    for (uint16_t id = tb_journal_writer_instrument_count(in->writer); id < known; id++)
        tb_journal_writer_instrument(in->writer, instrument(in, (uint16_t)(id + 1)));
    size_t taken = tb_journal_writer_append(in->writer, records, count, in->m->svc->now);
    for (size_t k = 0; k < taken; k++)
        journal_books_apply(&in->books, &records[k]);
    return (int)taken;
}

/* What is held goes first. True: that is all of it. */
static bool give_held(struct journal_input *in)
{
    const struct tb_record *records;
    size_t run, taken = 1;
    while (taken > 0 && (run = held_run(&in->held, &records)) > 0)
        held_give(&in->held, taken = (size_t)append(in, records, run));
    return held_count(&in->held) == 0;
}

static int on_records(struct tb_service *svc, void *self, unsigned i,
                      const struct tb_record *records, int count)
{
    struct journal_main *m = self;
    struct journal_input *in = &m->input[i];
    (void)svc;
    if (in->ready && give_held(in))
        return append(in, records, (size_t)count);
    /* But for the last one: who has read all would stop, or leave a stream that was made anew. */
    return (int)held_put(&in->held, records, (size_t)count - 1);
}

/* ---- the loop ---- */

static void progress(struct journal_main *m, struct journal_input *in)
{
    uint64_t epoch;
    tb_seq durable;
    const struct tb_journal_counts *counts = tb_journal_writer_counts(in->writer);
    tb_journal_writer_durable(in->writer, &epoch, &durable);
    if (in->ready)
        tb_service_durable(m->svc, in->index, durable);
    if (counts->syncs != in->seen_syncs) {
        in->seen_syncs = counts->syncs;
        tb_stats_observe(m->sync_latency, counts->sync_latency);
        TB_POINT("journal:durable");
    }
}

/* Queue what is due of all streams, submit it at once, take what is done. */
static int turn(struct tb_service *svc, struct journal_main *m)
{
    tb_ns mono = tb_clock_mono();
    bool busy = false, starting = false;
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct journal_input *in = &m->input[i];
        get_ready(in);
        go_on_reading(in);
        starting |= in->start.running;
        if (in->writer == NULL)
            continue;
        if (in->ready && svc->input[i].open)
            (void)give_held(in);
        tb_journal_writer_turn(in->writer, mono);
        uint64_t epoch;
        tb_seq durable;
        tb_journal_writer_durable(in->writer, &epoch, &durable);
        busy |= durable + 1 != tb_journal_writer_next(in->writer);
    }
    svc->idle_ns = busy && m->sync_every < 100 * TB_NS_PER_MS ? m->sync_every : 100 * TB_NS_PER_MS;
    if (starting)
        svc->idle_ns = START_LOOK_NS;
    int done = tb_journal_disk_turn(m->disk, 0);
    if (done < 0)
        return done;
    for (unsigned i = 0; i < svc->input_count && done > 0; i++)
        if (m->input[i].writer != NULL)
            progress(m, &m->input[i]);
    return done;
}

static int poll_disk(struct tb_service *svc, void *self)
{
    return turn(svc, self);
}

static void tell_trouble(struct tb_service *svc, struct journal_main *m)
{
    const char *trouble = NULL;
    char note[256];
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct journal_input *in = &m->input[i];
        const char *here = in->trouble[0] != '\0' ? in->trouble : NULL;
        if (here == NULL && in->writer != NULL)
            here = tb_journal_writer_trouble(in->writer);
        if (here == NULL)
            continue;
        snprintf(note, sizeof(note), "%s: %s", svc->input[i].stream, here);
        trouble = note;
        break;
    }
    if (trouble != NULL || m->degraded)
        tb_service_degraded(svc, trouble);
    m->degraded = trouble != NULL;
}

/* After a second, and then now and again: a disk that is slow, or does not answer, is not told from outside. */
static void tell_start(struct journal_input *in)
{
    const tb_ns mono = tb_clock_mono();
    const tb_ns every = in->told_mono == in->begun_mono ? TB_NS_PER_S : START_TOLD_NS;
    if (!in->start.running || mono - in->told_mono < every)
        return;
    in->told_mono = mono;
    tb_log(TB_LOG_INFO, "recovering",
           "stream=%s for_ms=%lld held=%zu what=\"its last segment is read to the end\"",
           in->m->svc->input[in->index].stream, (long long)((mono - in->begun_mono) / TB_NS_PER_MS),
           held_count(&in->held));
}

/* How much of what was published is not known to be durable. */
static uint64_t lag_of(const struct journal_input *in)
{
    const struct tb_input *input = &in->m->svc->input[in->index];
    uint64_t epoch;
    tb_seq durable = in->before;
    if (!input->open)
        return 0;
    if (in->ready)
        tb_journal_writer_durable(in->writer, &epoch, &durable);
    const tb_seq newest = tb_reader_newest(&input->reader);
    return newest > durable ? newest - durable : 0;
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct journal_main *m = self;
    struct tb_journal_counts sum = {0};
    uint64_t lag = 0;
    (void)now;
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct journal_input *in = &m->input[i];
        tell_start(in);
        lag += lag_of(in);
        if (in->writer == NULL)
            continue;
        const struct tb_journal_counts *c = tb_journal_writer_counts(in->writer);
        sum.bytes += c->bytes;
        sum.pages += c->pages;
        sum.syncs += c->syncs;
        sum.errors += c->errors;
        sum.segments += c->segments;
        sum.rewritten += c->rewritten;
        keeper_current(m->keeper, i, tb_journal_writer_path(in->writer),
                       tb_journal_writer_file(in->writer));
    }
    struct keeper_counts kept;
    keeper_counts(m->keeper, &kept);
    tb_stats_set(m->bytes, (int64_t)sum.bytes);
    tb_stats_set(m->pages, (int64_t)sum.pages);
    tb_stats_set(m->syncs, (int64_t)sum.syncs);
    tb_stats_set(m->errors, (int64_t)(sum.errors + kept.errors));
    tb_stats_set(m->segments, (int64_t)sum.segments);
    tb_stats_set(m->rewritten, (int64_t)sum.rewritten);
    tb_stats_set(m->durable_lag, (int64_t)lag);
    tb_stats_set(m->compressed, (int64_t)kept.compressed);
    tb_stats_set(m->removed, (int64_t)kept.removed);
    tell_trouble(svc, m);
    return 0;
}

/* ---- beginning and end ---- */

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    (void)self;
    if (svc->journal == NULL)
        tb_fault(faults, svc->config_file, 0, "journal",
                 "where is the journal to be? Give --journal=DIR, or journal: DIR at the top of "
                 "the file");
}

static int start(struct tb_service *svc, void *self)
{
    struct journal_main *m = self;
    struct tb_error err = {""};
    const char *fallback = NULL, *slash = strrchr(svc->bus_dir, '/');
    char quoted[TB_QUOTE_BYTES];
    m->svc = svc;
    snprintf(m->bus, sizeof(m->bus), "%.31s", slash != NULL ? slash + 1 : svc->bus_dir);
    int rc = tb_journal_disk_open(svc->input_count, (size_t)m->memory, (enum tb_journal_io)m->io,
                                  &m->disk, &fallback, &err);
    if (rc != 0) {
        tb_log(TB_LOG_ERROR, "start", "what=\"the disk\" reason=%s",
               tb_quote_text(err.text, quoted));
        return rc;
    }
    if (fallback != NULL)
        tb_log(TB_LOG_WARN, "io_fallback",
               "reason=%s then=\"plain writes, which block this process\"",
               tb_quote_text(fallback, quoted));
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct journal_input *in = &m->input[i];
        in->m = m;
        in->index = i;
        journal_books_init(&in->books, (uint32_t)m->book_depth);
        in->held.bytes = HELD_MEMORIES * (size_t)m->memory;
        prepare_start(in);
    }
    const struct keeper_options keep = {.compress = m->compress,
                                        .level = (int)m->compress_level,
                                        .retain_age = m->retain_age,
                                        .retain_bytes = (uint64_t)m->retain_bytes};
    rc = keeper_start(&keep, &m->keeper);
    if (rc != 0)
        return rc;
    struct tb_stats *s = &svc->stats;
    m->bytes = tb_stats_add(s, "bytes_written", TB_STAT_COUNTER);
    m->pages = tb_stats_add(s, "pages", TB_STAT_COUNTER);
    m->syncs = tb_stats_add(s, "syncs", TB_STAT_COUNTER);
    m->segments = tb_stats_add(s, "segments", TB_STAT_COUNTER);
    m->rewritten = tb_stats_add(s, "records_rewritten", TB_STAT_COUNTER);
    m->errors = tb_stats_add(s, "io_errors", TB_STAT_COUNTER);
    m->compressed = tb_stats_add(s, "segments_compressed", TB_STAT_COUNTER);
    m->removed = tb_stats_add(s, "segments_removed", TB_STAT_COUNTER);
    m->durable_lag = tb_stats_add(s, "durable_lag", TB_STAT_GAUGE);
    m->sync_latency = tb_stats_add_histogram(s, "sync_latency_ns");
    svc->wake_fd = tb_uring_fd(tb_journal_disk_ring(m->disk));
    return 0;
}

static int drain(struct tb_service *svc, void *self)
{
    struct journal_main *m = self;
    bool open = false;
    for (unsigned i = 0; i < svc->input_count; i++)
        if (m->input[i].writer != NULL)
            open |= tb_journal_writer_finish(m->input[i].writer) != 0;
    if (!open)
        return housekeep(svc, self, svc->now);
    int rc = turn(svc, m);
    return rc < 0 ? rc : -EAGAIN;
}

static void stop(struct tb_service *svc, void *self)
{
    struct journal_main *m = self;
    keeper_stop(m->keeper);
    svc->wake_fd = -1;
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++) {
        journal_start_stop(&m->input[i].start);
        held_clear(
            &m->input[i].held); /* not durable, so not released: the next start reads it again */
        tb_journal_writer_close(m->input[i].start.writer);
        journal_books_fini(&m->input[i].books);
    }
    tb_journal_disk_close(m->disk);
}

static const struct tb_service_ops ops = {
    .name = "journal",
    .summary = "write streams to segment files, for ever",
    .options = options,
    .option_count = TB_COUNT(options),
    .inputs = "@feeds,candles,alerts",
    .rings_only = true,
    .check = check,
    .start = start,
    .on_input = on_input,
    .on_records = on_records,
    .poll = poll_disk,
    .housekeep = housekeep,
    .drain = drain,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct journal_main self;
    return tb_service_main(&ops, &self, argc, argv);
}
