/* See follow.h. */
#include "follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void notice(struct follow *f, const char *format, ...) TB_PRINTF(2, 3);

static void notice(struct follow *f, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    f->notice(f->context, line);
}

static struct record_item item_of(struct source *s, const struct tb_record *record)
{
    return (struct record_item){
        .stream = s->stream,
        .epoch = s->journal != NULL ? s->epoch : s->reader.epoch,
        .record = record,
        .instrument = s->journal != NULL ? tb_journal_instrument(s->journal, record->instrument)
                                         : tb_reader_instrument(&s->reader, record->instrument)};
}

/* ---- opening ---- */

/* Step back from the newest record until `want` records passed the filter. */
static tb_seq place_last(struct follow *f, struct source *s, tb_seq newest, uint64_t want)
{
    tb_seq oldest = tb_reader_oldest(&s->reader);
    tb_seq seq = newest + 1;
    while (want > 0 && seq > oldest && seq > 1) {
        struct tb_record record;
        tb_reader_seek(&s->reader, seq - 1);
        if (tb_reader_next(&s->reader, &record) != TB_READ_OK)
            break; /* overwritten meanwhile: this is as far back as it goes */
        seq--;
        struct record_item item = item_of(s, &record);
        if (filter_match(f->filter, &item))
            want--;
    }
    return seq;
}

static void place_cursor(struct follow *f, struct source *s)
{
    tb_seq newest = tb_reader_newest(&s->reader);
    s->end = newest;
    if (f->from.kind == TB_PLACE_NONE)
        tb_reader_seek(&s->reader, place_last(f, s, newest, f->last_n));
}

static int open_source(struct follow *f, struct source *s, struct tb_error *err)
{
    /* SPIN: the policy that needs no wait file; we never call a waiting function. */
    struct tb_reader_options options = {.from = TB_FROM_OLDEST, .wait = TB_WAIT_SPIN};
    if (f->from.kind == TB_PLACE_NEWEST)
        options.from = TB_FROM_NEWEST;
    if (f->from.kind == TB_PLACE_SEQ) {
        options.from = TB_FROM_SEQ;
        options.seq = f->from.seq;
    }
    int rc = tb_reader_open(f->bus_dir, s->stream, &options, &s->reader, err);
    if (rc != 0)
        return rc;
    struct tb_producer producer;
    tb_reader_producer(&s->reader, &producer);
    s->alive = producer.alive;
    s->open = true;
    s->broken = s->finished = false;
    s->at = s->count = 0;
    place_cursor(f, s);
    return 0;
}

static struct source *find_source(struct follow *f, const char *stream)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->source[i].stream, stream) == 0)
            return &f->source[i];
    return NULL;
}

static bool wanted(const struct follow *f, const char *stream)
{
    for (size_t i = 0; i < f->wanted_count; i++)
        if (strcmp(f->wanted[i], stream) == 0)
            return true;
    return f->wanted_count == 0;
}

static int scan_one(const char *stream, void *context)
{
    struct follow *f = context;
    if (!wanted(f, stream) || !tb_name_check(stream))
        return 0;
    struct source *s = find_source(f, stream);
    if (s != NULL && (s->open || s->finished))
        return 0;
    bool again = s != NULL;
    if (s == NULL) {
        if (f->count == FOLLOW_STREAMS_MAX)
            return 0;
        s = &f->source[f->count++];
        memset(s, 0, sizeof(*s));
        snprintf(s->stream, sizeof(s->stream), "%s", stream);
    }
    struct tb_error err = {""};
    int rc = open_source(f, s, &err);
    if (rc == -ERANGE)
        return rc;
    if (rc != 0 && !again) { /* told once; it is tried again quietly */
        s->broken = true;
        notice(f, "unreadable stream=%s: %s", stream, err.text);
    }
    return 0;
}

int follow_scan(struct follow *f, struct tb_error *err)
{
    if (f->bus_dir == NULL)
        return (int)f->count;
    int rc = tb_bus_list(f->bus_dir, ".ring", scan_one, f, err);
    if (rc == -ERANGE)
        return tb_fail(err, rc, "--from=%" PRIu64 " is far ahead of what is published",
                       f->from.seq);
    if (rc < 0)
        return rc;
    int open = 0;
    for (size_t i = 0; i < f->count; i++)
        open += f->source[i].open || f->source[i].finished;
    /* What appears from now on is new: all of it is of interest. */
    if (open > 0 && (f->from.kind == TB_PLACE_NONE || f->from.kind == TB_PLACE_NEWEST))
        f->from.kind = TB_PLACE_OLDEST;
    return open;
}

/* ---- journals ---- */

static int keep_newest(void *context, const struct tb_journal_segment *segment)
{
    if (segment->last_seq != 0)
        *(struct tb_journal_segment *)context = *segment;
    return 0;
}

/* How many of the records from here to the journal's end the filter lets through. */
static uint64_t count_matching(struct follow *f, struct source *s)
{
    uint64_t count = 0;
    struct tb_journal_damage damage;
    for (;;) {
        long n = tb_journal_read(s->journal, s->batch, FOLLOW_BATCH, &s->epoch, &damage);
        if (n <= 0 && n != -EBADMSG)
            return count;
        for (long i = 0; i < n; i++) {
            struct record_item item = item_of(s, &s->batch[i]);
            count += filter_match(f->filter, &item);
        }
    }
}

/*
 * Twice as far back each time, until enough pass the filter; then forward again over those that are
 * too many. Within the newest epoch.
 */
static void journal_last(struct follow *f, struct source *s, uint64_t epoch, tb_seq newest)
{
    uint64_t back = f->last_n, count = 0;
    tb_seq seq = newest + 1;
    while (back > 0 && count < f->last_n && seq > 1) {
        seq = newest >= back ? newest + 1 - back : 1;
        back *= 2;
        (void)tb_journal_seek(s->journal, epoch, seq);
        count = count_matching(f, s);
    }
    (void)tb_journal_seek(s->journal, epoch, seq);
    struct tb_journal_damage damage;
    while (count > f->last_n && tb_journal_read(s->journal, s->batch, 1, &s->epoch, &damage) != 0) {
        struct record_item item = item_of(s, &s->batch[0]);
        count -= filter_match(f->filter, &item);
    }
}

int follow_journal(struct follow *f, const struct journal_path *at, struct tb_error *err)
{
    if (f->count == FOLLOW_STREAMS_MAX)
        return tb_fail(err, -E2BIG, "more than %d journals", FOLLOW_STREAMS_MAX);
    struct source *s = &f->source[f->count];
    struct tb_journal_segment newest = {{0}};
    memset(s, 0, sizeof(*s));
    int rc = tb_journal_open(at->path, &s->journal, err);
    if (rc == 0)
        rc = tb_journal_list(s->journal, false, keep_newest, &newest, err);
    if (rc != 0) {
        tb_journal_close(s->journal);
        return rc;
    }
    f->count++;
    s->open = true;
    snprintf(s->stream, sizeof(s->stream), "%s", at->stream);
    tb_journal_seek_oldest(s->journal);
    if (f->from.kind == TB_PLACE_TIME)
        (void)tb_journal_seek_time(s->journal, f->from.time); /* 1: nothing is there yet */
    else if (f->from.kind == TB_PLACE_SEQ)
        (void)tb_journal_seek(s->journal, newest.epoch, f->from.seq);
    else if (f->from.kind == TB_PLACE_NEWEST && newest.last_seq != 0)
        (void)tb_journal_seek(s->journal, newest.epoch, newest.last_seq + 1);
    else if (f->from.kind == TB_PLACE_NONE && newest.last_seq != 0)
        journal_last(f, s, newest.epoch, newest.last_seq);
    return 0;
}

static void fill_from_journal(struct follow *f, struct source *s)
{
    struct tb_journal_damage damage;
    s->at = s->count = 0;
    long n;
    while ((n = tb_journal_read(s->journal, s->batch, FOLLOW_BATCH, &s->epoch, &damage)) ==
           -EBADMSG) {
        s->lost += damage.to - damage.from + 1;
        notice(f, "damaged stream=%s from=%" PRIu64 " to=%" PRIu64 ": %s", s->stream, damage.from,
               damage.to, damage.what);
    }
    if (n > 0) {
        s->count = (size_t)n;
        return;
    }
    if (n < 0) {
        notice(f, "unreadable stream=%s: %s", s->stream, strerror((int)-n));
        s->broken = s->finished = true;
    }
    s->finished = s->finished || !f->following;
}

/* ---- reading ---- */

/* A stream without an end of its own: not following, it ends where it stood when we began. */
static bool at_end(const struct follow *f, const struct source *s)
{
    return !f->following && s->reader.cursor > s->end;
}

static void finish(struct source *s)
{
    s->finished = true;
    s->at = s->count = 0;
}

static void tell_overrun(struct follow *f, struct source *s)
{
    uint64_t lost = tb_reader_resync(&s->reader);
    s->lost += lost;
    notice(f, "overrun stream=%s lost=%" PRIu64 " next=%" PRIu64, s->stream, lost,
           s->reader.cursor);
}

static void fill(struct follow *f, struct source *s)
{
    if (s->journal != NULL && s->at == s->count && !s->finished)
        fill_from_journal(f, s);
    if (s->journal != NULL)
        return;
    while (s->at == s->count && s->open && !s->finished) {
        if (at_end(f, s)) {
            finish(s);
            return;
        }
        size_t max = FOLLOW_BATCH;
        if (!f->following && s->end - s->reader.cursor + 1 < max)
            max = (size_t)(s->end - s->reader.cursor + 1);
        enum tb_read end;
        s->at = 0;
        s->count = tb_reader_read(&s->reader, s->batch, max, &end);
        if (s->count > 0)
            return;
        switch (end) {
        case TB_READ_OVERRUN:
            tell_overrun(f, s);
            break;
        case TB_READ_BROKEN:
            notice(f, "damaged stream=%s: its file was cut short; last=%" PRIu64, s->stream,
                   s->last);
            tb_reader_close(&s->reader, false);
            s->open = false;
            s->broken = true;
            s->finished = !f->following;
            return;
        case TB_READ_OK:
        case TB_READ_EMPTY:
        default:
            if (!f->following)
                finish(s); /* a record that its producer never completed */
            return;
        }
    }
}

bool follow_next(struct follow *f, struct record_item *out_item, struct source **out_source)
{
    for (;;) {
        struct source *best = NULL;
        for (size_t i = 0; i < f->count; i++) {
            struct source *s = &f->source[i];
            fill(f, s);
            if (s->at < s->count && (best == NULL || tb_place_time(&s->batch[s->at]) <
                                                         tb_place_time(&best->batch[best->at])))
                best = s;
        }
        if (best == NULL)
            return false;
        const struct tb_record *record = &best->batch[best->at];
        if (tb_place_behind(&f->to, record)) {
            finish(best);
            continue;
        }
        best->at++;
        if (tb_place_before(&f->from, record))
            continue;
        best->seen++;
        best->last = record->seq;
        if (best->first == 0)
            best->first = record->seq;
        *out_item = item_of(best, record);
        *out_source = best;
        return true;
    }
}

bool follow_over(const struct follow *f)
{
    if (f->following && f->to.kind == TB_PLACE_NONE)
        return false;
    for (size_t i = 0; i < f->count; i++)
        if (f->source[i].open && !f->source[i].finished)
            return false;
    return true;
}

/* ---- looking after the producers ---- */

static void look_at(struct follow *f, struct source *s)
{
    struct tb_producer producer;
    tb_reader_producer(&s->reader, &producer);
    if (producer.alive != s->alive) {
        s->alive = producer.alive;
        if (producer.alive)
            notice(f, "producer stream=%s pid=%u is back", s->stream, producer.pid);
        else if (producer.state == TB_STREAM_DONE)
            notice(f, "producer stream=%s is done: nothing more will come", s->stream);
        else if (producer.state == TB_STREAM_STOPPED)
            notice(f, "producer stream=%s stopped", s->stream);
        else if (producer.state != TB_STREAM_RETIRED)
            notice(f, "producer stream=%s pid=%u died", s->stream, producer.pid);
    }
    if (tb_reader_retired(&s->reader) && s->at == s->count) {
        notice(f, "epoch stream=%s was made anew; last=%" PRIu64 " of the old one", s->stream,
               s->last);
        tb_reader_close(&s->reader, false);
        s->open = false;
        struct tb_place from = f->from;
        f->from = (struct tb_place){.kind = TB_PLACE_OLDEST}; /* all of the new one */
        struct tb_error err;
        if (open_source(f, s, &err) != 0)
            s->open = false; /* the next scan tries again */
        f->from = from;
    }
}

void follow_look(struct follow *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->source[i].open && !f->source[i].finished && f->source[i].journal == NULL)
            look_at(f, &f->source[i]);
}

void follow_close(struct follow *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->source[i].journal != NULL) {
            tb_journal_close(f->source[i].journal);
            f->source[i].journal = NULL;
        } else if (f->source[i].open) {
            tb_reader_close(&f->source[i].reader, false);
            f->source[i].open = false;
        }
}
