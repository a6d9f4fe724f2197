/*
 * tickbus-replay: plays recorded sessions, or a stream's journal, into a stream, at the recorded pace, N
 * times as fast, or as fast as the readers named as gates can take it.
 *
 * The records are a pure function of capture or journal and options. So a replay that was killed looks how many
 * its stream has, makes all again, and publishes from there on; the stream's tag says whether the
 * records there are of this very replay (if not, the stream is made anew).
 *
 * A damaged capture is played as far as it can be read: what is missing is logged with file and line,
 * counted (capture_faults), and the process is shown as degraded; it is no failure of the replay, so the
 * exit code stays 0. So it is with a damaged journal, whose holes are played as gaps.
 *
 * A journal's records keep their times, or all move by the same amount (rebase_time), so that the first
 * is of now; each pass of a loop begins where the times of the one before ended, so time never goes back.
 * How far they were moved is seen in the last record that an earlier life published.
 *
 * The checksum that is said at the end is of all records from the first on, also of those that an earlier
 * life published: two replays of the same thing say the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "producers/replay/journal.h"
#include "producers/replay/replay.h"

#define EVENTS_PER_TURN 256
#define EVENTS_PER_SCAN_TURN 4096
#define RECORDS_PER_TURN 1024
#define FAULT_LINES_MAX 20 /* logged one by one; all are counted */

struct replay_main {
    struct tb_list captures, symbols, channels;
    const char *venue, *speed, *journal_path, *from, *to;
    bool loop, rebase_time;
    int trades;
    int64_t book_depth;

    struct replay replay;
    double rate;        /* 0: as fast as the gates allow */
    uint64_t skip;      /* records that the stream has already */
    uint64_t published; /* in this life */
    bool paced;         /* base_* are set */
    tb_ns base_recv, base_mono;
    bool scanning;
    bool closed; /* a gated wait was ended: nothing more goes out */
    uint64_t fault_lines;
    int percent; /* last shown; -1: none */
    uint64_t sum;

    struct replay_journal journal;
    struct tb_record pending; /* the journal's next record, if has_pending */
    bool has_pending;
    bool rebased;                        /* `moved` is set */
    tb_ns moved;                         /* by how much rebase_time moves every time */
    uint64_t id_epoch;                   /* whose ids are in `id` */
    uint16_t id[TB_INSTRUMENTS_MAX + 1]; /* the journal's ids in the output */
    uint64_t damages;                    /* already logged */
    struct tb_stats_counter *lost, *passes;
    struct tb_stats_counter *counter[ADAPTER_COUNTERS], *faults, *progress, *events;
    struct tb_log_limit bad_frames;
};

#define M(field) offsetof(struct replay_main, field)

static const struct tb_option options[] = {
    {"captures", TB_OPTION_LIST, M(captures),
     .help = "files of one recorded session, in any order (gzip or plain)"},
    {"journal", TB_OPTION_STRING, M(journal_path),
     .help = "or a stream's directory in a journal, or one of its segments"},
    {"from", TB_OPTION_STRING, M(from),
     .help = "journal: begin at a sequence, or a time of publication (2026-01-01T09:30)"},
    {"to", TB_OPTION_STRING, M(to), .help = "journal: the last sequence or time"},
    {"loop", TB_OPTION_BOOL, M(loop),
     .help = "journal: from the beginning again, for ever; needs rebase_time"},
    {"rebase_time", TB_OPTION_BOOL, M(rebase_time),
     .help = "journal: move all times by the same amount, so that the first is now"},
    {"venue", TB_OPTION_STRING, M(venue), "binance",
     .help = "captures: whose frames they are (ccxt's name)"},
    {"speed", TB_OPTION_STRING, M(speed), "1",
     .help = "times the recorded pace, such as 1, 10 or 0.5; max: as fast as the gates allow"},
    {"symbols", TB_OPTION_LIST, M(symbols), .help = "only these, such as BTC/USDT; default: all"},
    {"channels", TB_OPTION_LIST, M(channels), "trades,quotes,book",
     .help = "captures: what to publish: trades, quotes, book"},
    {"trades", TB_OPTION_ENUM, M(trades), "auto", .choices = "auto|single|aggregated",
     .help = "captures: which of the venue's two views of trades; auto: single ones if they were "
             "recorded"},
    {"book_depth", TB_OPTION_INT, M(book_depth), "10000", 1, 100000,
     .help = "captures: levels kept on each side of a book"},
};

static unsigned channel_bit(const char *name)
{
    return strcmp(name, "trades") == 0   ? ADAPTER_TRADES
           : strcmp(name, "quotes") == 0 ? ADAPTER_QUOTES
           : strcmp(name, "book") == 0   ? ADAPTER_BOOK
                                         : 0U;
}

static bool parse_speed(const char *text, double *out)
{
    char *end;
    *out = 0;
    if (strcmp(text, "max") == 0)
        return true;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out) && *out >= 1e-3 && *out <= 1e6;
}

/* What a journal needs, and what only a journal can. */
static void check_journal(struct replay_main *m, const char *file, struct tb_faults *faults)
{
    struct tb_error err = {""};
    bool given = m->from != NULL || m->to != NULL || m->loop || m->rebase_time;
    if ((m->journal_path != NULL) == (m->captures.count > 0))
        tb_fault(faults, file, 0, "captures", "give captures, or a journal (not both)");
    if (m->journal_path == NULL && given)
        tb_fault(faults, file, 0, "journal", "from, to, loop and rebase_time are for journals");
    if (tb_place_parse("from", m->from, &m->journal.from, &err) != 0 ||
        m->journal.from.kind == TB_PLACE_NEWEST)
        tb_fault(faults, file, 0, "from", "\"%s\" is no sequence, time or oldest", m->from);
    if (tb_place_parse("to", m->to, &m->journal.to, &err) != 0 ||
        m->journal.to.kind == TB_PLACE_NEWEST || m->journal.to.kind == TB_PLACE_OLDEST)
        tb_fault(faults, file, 0, "to", "\"%s\" is no sequence or time", m->to);
    if (m->loop && !m->rebase_time)
        tb_fault(faults, file, 0, "loop",
                 "needs rebase_time: without it time would jump back at each pass");
    if (m->journal_path != NULL && access(m->journal_path, R_OK) != 0)
        tb_fault(faults, file, 0, "journal", "cannot read %s: %s", m->journal_path,
                 strerror(errno));
}

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    struct replay_main *m = self;
    const char *file = svc->config_file;
    check_journal(m, file, faults);
    if (adapter_find(m->venue) == NULL) {
        size_t count = 0;
        while (adapter_venues()[count] != NULL)
            count++;
        const char *nearest = tb_nearest(m->venue, adapter_venues(), count);
        tb_fault(faults, file, 0, "venue", "\"%s\" is no venue that can be read; did you mean %s?",
                 m->venue, nearest == NULL ? adapter_venues()[0] : nearest);
    }
    if (!parse_speed(m->speed, &m->rate))
        tb_fault(faults, file, 0, "speed", "\"%s\" is no speed; write 1, 10, 0.5 or max", m->speed);
    for (size_t i = 0; i < m->channels.count; i++)
        if (channel_bit(m->channels.item[i]) == 0)
            tb_fault(faults, file, 0, "channels", "\"%s\" is none of trades, quotes, book",
                     m->channels.item[i]);
    for (size_t i = 0; i < m->captures.count; i++)
        if (access(m->captures.item[i], R_OK) != 0)
            tb_fault(faults, file, 0, "captures", "cannot read %s: %s", m->captures.item[i],
                     strerror(errno));
    if (m->captures.count > CAPTURE_FILES_MAX)
        tb_fault(faults, file, 0, "captures", "%zu files are more than %d", m->captures.count,
                 CAPTURE_FILES_MAX);
}

/* Both passes meet the same faults: they are told in the first. */
static void on_fault(void *context, const char *path, uint64_t line, const char *what)
{
    struct replay_main *m = context;
    char quoted[TB_QUOTE_BYTES], file[TB_QUOTE_BYTES];
    if (!m->scanning || m->fault_lines++ >= FAULT_LINES_MAX)
        return;
    tb_log(TB_LOG_WARN, "capture_fault", "file=%s line=%" PRIu64 " reason=%s",
           tb_quote_text(path, file), line, tb_quote_text(what, quoted));
}

static int refuse(const struct tb_error *err, int rc)
{
    char quoted[TB_QUOTE_BYTES];
    tb_log(TB_LOG_ERROR, "cannot_replay", "reason=%s", tb_quote_text(err->text, quoted));
    return rc;
}

static int scan(struct tb_service *svc, struct replay_main *m)
{
    uint64_t count = 0;
    m->scanning = true;
    while (replay_scan(&m->replay) == 1)
        if (++count % EVENTS_PER_SCAN_TURN == 0 && tb_service_wait_turn(svc) != 0)
            return -EINTR;
    m->scanning = false;
    uint64_t faults = capture_faults(m->replay.capture);
    tb_log(TB_LOG_INFO, "scanned",
           "events=%" PRIu64 " symbols=%zu faults=%" PRIu64 " bad_frames=%" PRIu64, count,
           m->replay.market_count, faults, m->replay.scan_bad);
    if (faults > 0) {
        char note[96];
        (void)snprintf(note, sizeof(note),
                       "the capture is damaged: %" PRIu64 " faults (see the log)", faults);
        tb_service_degraded(svc, note);
    }
    return 0;
}

static void add_counters(struct tb_service *svc, struct replay_main *m)
{
    for (int i = 0; i < ADAPTER_COUNTERS; i++)
        m->counter[i] = tb_stats_add(&svc->stats, adapter_counter_name[i], TB_STAT_COUNTER);
    m->events = tb_stats_add(&svc->stats, "capture_events", TB_STAT_COUNTER);
    m->faults = tb_stats_add(&svc->stats, "capture_faults", TB_STAT_COUNTER);
    m->progress = tb_stats_add(&svc->stats, "progress_percent", TB_STAT_GAUGE);
}

static int start_journal(struct tb_service *svc, struct replay_main *m)
{
    struct tb_error err = {""};
    m->journal.path = m->journal_path;
    m->journal.symbols = &m->symbols;
    m->journal.loop = m->loop;
    m->lost = tb_stats_add(&svc->stats, "journal_lost", TB_STAT_COUNTER);
    m->passes = tb_stats_add(&svc->stats, "passes", TB_STAT_COUNTER);
    m->progress = tb_stats_add(&svc->stats, "progress_percent", TB_STAT_GAUGE);
    int rc = replay_journal_open(&m->journal, &err);
    if (rc != 0)
        return refuse(&err, rc == -ENOENT ? -EINVAL : rc);
    svc->out_tag = replay_journal_tag(&m->journal, m->rebase_time);
    return 0;
}

static int start(struct tb_service *svc, void *self)
{
    struct replay_main *m = self;
    struct replay *r = &m->replay;
    struct tb_error err = {""};
    m->sum = REPLAY_SUM_START;
    m->percent = -1;
    if (m->journal_path != NULL)
        return start_journal(svc, m);
    r->venue = m->venue;
    r->stream = svc->out_stream;
    r->symbols = &m->symbols;
    r->trades = (enum replay_trades)m->trades;
    r->book_depth = (uint32_t)m->book_depth;
    r->ops = adapter_find(m->venue);
    for (size_t i = 0; i < m->channels.count; i++)
        r->channels |= channel_bit(m->channels.item[i]);
    add_counters(svc, m);
    int rc = capture_open(m->captures.item, m->captures.count, on_fault, m, &r->capture, &err);
    if (rc != 0)
        return refuse(&err, rc);
    rc = scan(svc, m);
    if (rc == 0 && (rc = replay_filter(r, &err)) != 0)
        return refuse(&err, rc);
    svc->out_tag = replay_tag(r);
    return rc;
}

/* ---- the adapter's host ---- */

static int publish(void *context, struct tb_record *records, size_t count)
{
    struct tb_service *svc = context;
    struct replay_main *m = svc->self;
    for (size_t i = 0; i < count; i++) {
        m->sum = replay_sum(m->sum, &records[i]);
        if (m->skip > 0) {
            m->skip--;
            continue;
        }
        if (m->closed || tb_service_publish(svc, TB_NO_INPUT, &records[i]) == 0) {
            m->closed = true;
            return -EINTR;
        }
        m->published++;
    }
    return 0;
}

static int add_instrument(void *context, const struct tb_instrument *entry)
{
    struct tb_service *svc = context;
    return tb_writer_add_instrument(svc->out, entry);
}

static void get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    (void)context, (void)request, (void)path,
        (void)not_before_ns; /* recorded answers come unasked */
}

static void reconnect(void *context, const char *why)
{
    (void)context, (void)why; /* what the recorder did then is in the recording */
}

static int on_output(struct tb_service *svc, void *self)
{
    struct replay_main *m = self;
    const struct adapter_host host = {svc, publish, add_instrument, get, reconnect, NULL};
    struct tb_error err = {""};
    m->skip = svc->out->next_seq - 1;
    if (m->skip > 0)
        tb_log(TB_LOG_INFO, "continuing", "stream=%s published=%" PRIu64, svc->out_stream, m->skip);
    if (m->journal_path != NULL)
        return 0;
    int rc = replay_open(&m->replay, &host, &err);
    return rc == 0 ? 0 : refuse(&err, rc);
}

/* ---- playing ---- */

/* How long until what was received then is due; 0: now. What is skipped is always due. */
static tb_ns until_due(struct replay_main *m, tb_ns recv, tb_ns mono)
{
    if (m->rate == 0 || m->skip > 0 || recv == 0)
        return 0;
    if (!m->paced) {
        m->paced = true;
        m->base_recv = recv;
        m->base_mono = mono;
    }
    double ahead = (double)(recv - m->base_recv) / m->rate - (double)(mono - m->base_mono);
    return ahead <= 0 ? 0 : ahead > 1e15 ? INT64_C(1000000000000000) : (tb_ns)ahead;
}

static void finish(struct tb_service *svc, struct replay_main *m)
{
    struct tb_record end = {.type = TB_STATUS, .flags = TB_F_LAST, .ts_recv = m->replay.last_recv};
    end.status.code = TB_STATUS_END;
    (void)publish(svc, &end, 1); /* a wait that was ended: the loop sees why */
}

static void say_done(const struct replay_main *m)
{
    const uint64_t *c = m->replay.ops->counters(m->replay.adapter);
    uint64_t faults = capture_faults(m->replay.capture);
    tb_log(faults > 0 || c[ADAPTER_FRAMES_BAD] > 0 ? TB_LOG_WARN : TB_LOG_INFO, "replayed",
           "events=%" PRIu64 " records=%" PRIu64 " trades=%" PRIu64 " quotes=%" PRIu64
           " levels=%" PRIu64 " gaps=%" PRIu64 " frames_bad=%" PRIu64 " capture_faults=%" PRIu64
           " checksum=%016" PRIx64,
           m->replay.events, m->published, c[ADAPTER_TRADES_OUT], c[ADAPTER_QUOTES_OUT],
           c[ADAPTER_LEVELS_OUT], c[ADAPTER_GAPS], c[ADAPTER_FRAMES_BAD], faults, m->sum);
}

static int play_one(struct replay_main *m)
{
    const struct capture_event e = m->replay.event;
    int rc = replay_play(&m->replay);
    if (rc == -EBADMSG) {
        tb_log_limited(&m->bad_frames, TB_NS_PER_S, TB_LOG_WARN, "bad_frame",
                       "file=%s line=%" PRIu64 " then=\"it is passed over\"",
                       m->captures.item[e.file], e.line);
        return 0;
    }
    return m->closed ? -EINTR : rc;
}

static int poll_capture(struct tb_service *svc, struct replay_main *m)
{
    tb_ns mono = tb_clock_mono();
    int done = 0;
    svc->idle_ns = 100 * TB_NS_PER_MS;
    for (; done < EVENTS_PER_TURN; done++) {
        const struct capture_event *e = replay_peek(&m->replay);
        if (e == NULL) {
            finish(svc, m);
            if (m->closed)
                return 0;
            say_done(m);
            return TB_POLL_DONE;
        }
        tb_ns wait = until_due(m, e->ts_recv, mono);
        if (wait > 0) {
            if (wait < svc->idle_ns)
                svc->idle_ns = wait;
            break;
        }
        int rc = play_one(m);
        if (rc == -EINTR)
            return 0;
        if (rc != 0) {
            tb_log(TB_LOG_ERROR, "cannot_publish", "stream=%s reason=\"%s\"", svc->out_stream,
                   strerror(-rc));
            return rc;
        }
    }
    return done;
}

/* ---- playing a journal ---- */

/* The output's id of a journal's instrument: its whole table goes in, in its order. */
static int map_instruments(struct tb_service *svc, struct replay_main *m)
{
    struct tb_journal *j = m->journal.journal;
    if (m->id_epoch != m->journal.epoch)
        memset(m->id, 0, sizeof(m->id));
    m->id_epoch = m->journal.epoch;
    for (uint16_t id = 1; id <= tb_journal_instrument_count(j); id++) {
        const struct tb_instrument *entry = tb_journal_instrument(j, id);
        int mapped =
            m->id[id] != 0 || entry == NULL ? m->id[id] : tb_writer_add_instrument(svc->out, entry);
        if (mapped < 0)
            return mapped;
        m->id[id] = (uint16_t)mapped;
    }
    return 0;
}

/*
 * By how much the times move: so that the first record is of now; or as the earlier life moved them, which
 * the last record it published tells.
 */
static void rebase(struct tb_service *svc, struct replay_main *m, const struct tb_record *record)
{
    struct tb_record last;
    tb_seq seq = svc->out->next_seq - 1;
    tb_ns time = replay_time(record);
    if (time == 0)
        return;
    bool continued = seq > 0 && m->skip == 0 && tb_writer_read_back(svc->out, seq, &last) &&
                     replay_time(&last) != 0;
    m->moved = (continued ? replay_time(&last) : svc->now) - time;
    m->rebased = true;
}

static void tell_damage(struct tb_service *svc, struct replay_main *m)
{
    char quoted[TB_QUOTE_BYTES], note[96];
    const struct tb_gap *gap = &m->pending.gap;
    if (m->journal.damages == m->damages)
        return;
    m->damages = m->journal.damages;
    tb_log(TB_LOG_WARN, "journal_damaged",
           "from=%" PRIu64 " to=%" PRIu64 " then=\"a gap is played\" reason=%s", gap->from, gap->to,
           tb_quote_text(m->journal.what, quoted));
    (void)snprintf(note, sizeof(note), "the journal is damaged: %" PRIu64 " records are missing",
                   m->journal.lost);
    tb_service_degraded(svc, note);
}

/* Make m->pending the next record. 1; 0 at the end; -EAGAIN; -errno. */
static int next_record(struct tb_service *svc, struct replay_main *m)
{
    int rc = m->has_pending ? 1 : replay_journal_next(&m->journal, &m->pending);
    if (m->has_pending || rc != 1)
        return rc;
    m->has_pending = true;
    tell_damage(svc, m);
    const uint16_t id = m->pending.instrument;
    if (id == 0 || id > TB_INSTRUMENTS_MAX || (m->id_epoch == m->journal.epoch && m->id[id] != 0))
        return 1;
    rc = map_instruments(svc, m);
    return rc == 0 ? 1 : rc;
}

/* One record: passed over, published, or not due yet (> 0 ns). */
static int play_record(struct tb_service *svc, struct replay_main *m, tb_ns mono, tb_ns *out_wait)
{
    struct tb_record r = m->pending;
    *out_wait = until_due(m, replay_time(&r), mono);
    if (*out_wait > 0)
        return 0;
    m->has_pending = false;
    m->sum = replay_sum(m->sum, &r);
    if (m->skip > 0) {
        if (--m->skip == 0 && m->rebase_time)
            rebase(svc, m, &r);
        return 0;
    }
    if (m->rebase_time && !m->rebased)
        rebase(svc, m, &r);
    replay_shift(&r, m->moved);
    r.instrument = r.instrument <= TB_INSTRUMENTS_MAX ? m->id[r.instrument] : 0;
    if (m->closed || tb_service_publish(svc, TB_NO_INPUT, &r) == 0) {
        m->closed = true;
        return -EINTR;
    }
    m->published++;
    return 0;
}

static int poll_journal(struct tb_service *svc, struct replay_main *m)
{
    tb_ns mono = tb_clock_mono(), wait = 0;
    int done = 0;
    svc->idle_ns = 100 * TB_NS_PER_MS;
    for (; done < RECORDS_PER_TURN; done++) {
        int rc = next_record(svc, m);
        if (rc == -EAGAIN)
            continue;
        if (rc == 0) {
            tb_log(m->journal.lost > 0 ? TB_LOG_WARN : TB_LOG_INFO, "replayed",
                   "records=%" PRIu64 " lost=%" PRIu64 " checksum=%016" PRIx64, m->published,
                   m->journal.lost, m->sum);
            return TB_POLL_DONE;
        }
        if (rc == 1)
            rc = play_record(svc, m, mono, &wait);
        if (rc == -EINTR)
            return 0;
        if (rc < 0) {
            tb_log(TB_LOG_ERROR, "cannot_replay", "journal=%s reason=\"%s\"", m->journal_path,
                   strerror(-rc));
            return rc;
        }
        if (wait > 0) {
            svc->idle_ns = wait < svc->idle_ns ? wait : svc->idle_ns;
            break;
        }
    }
    return done;
}

static int poll_either(struct tb_service *svc, void *self)
{
    struct replay_main *m = self;
    return m->journal_path != NULL ? poll_journal(svc, m) : poll_capture(svc, m);
}

/* ---- what others see ---- */

static int percent_done(const struct replay_main *m)
{
    uint64_t done = m->journal.done, total = m->journal.total;
    if (m->journal_path == NULL)
        capture_progress(m->replay.capture, &done, &total);
    return total == 0 ? 100 : (int)(done * 100 / total);
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct replay_main *m = self;
    (void)now;
    int percent = percent_done(m);
    if (m->journal_path != NULL) {
        tb_stats_set(m->lost, (int64_t)m->journal.lost);
        tb_stats_set(m->passes, (int64_t)m->journal.passes);
    } else {
        const uint64_t *c = m->replay.ops->counters(m->replay.adapter);
        for (int i = 0; i < ADAPTER_COUNTERS; i++)
            tb_stats_set(m->counter[i], (int64_t)c[i]);
        tb_stats_set(m->events, (int64_t)m->replay.events);
        tb_stats_set(m->faults, (int64_t)capture_faults(m->replay.capture));
    }
    tb_stats_set(m->progress, percent);
    if (percent != m->percent && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s %3d%%%s", svc->out_stream, percent, percent == 100 ? "\n" : "");
    m->percent = percent;
    return 0;
}

static int drain(struct tb_service *svc, void *self)
{
    return housekeep(svc, self, svc->now); /* the last counters */
}

static void stop(struct tb_service *svc, void *self)
{
    struct replay_main *m = self;
    (void)svc;
    replay_close(&m->replay);
    replay_journal_close(&m->journal);
}

static const struct tb_service_ops ops = {
    .name = "replay",
    .summary = "play recorded exchange sessions, or a journal, into a stream",
    .options = options,
    .option_count = TB_COUNT(options),
    .output = "replay",
    .check = check,
    .start = start,
    .on_output = on_output,
    .poll = poll_either,
    .housekeep = housekeep,
    .drain = drain,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct replay_main self;
    return tb_service_main(&ops, &self, argc, argv);
}
