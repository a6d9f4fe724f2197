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
    return (struct record_item){.stream = s->stream,
                                .epoch = s->reader.epoch,
                                .record = record,
                                .instrument = tb_reader_instrument(&s->reader, record->instrument)};
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
    if (f->from.kind == PLACE_NONE)
        tb_reader_seek(&s->reader, place_last(f, s, newest, f->last_n));
}

static int open_source(struct follow *f, struct source *s, struct tb_error *err)
{
    /* SPIN: the policy that needs no wait file; we never call a waiting function. */
    struct tb_reader_options options = {.from = TB_FROM_OLDEST, .wait = TB_WAIT_SPIN};
    if (f->from.kind == PLACE_NEWEST)
        options.from = TB_FROM_NEWEST;
    if (f->from.kind == PLACE_SEQ) {
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
    if (open > 0 && (f->from.kind == PLACE_NONE || f->from.kind == PLACE_NEWEST))
        f->from.kind = PLACE_OLDEST;
    return open;
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
            if (s->at < s->count &&
                (best == NULL || place_time(&s->batch[s->at]) < place_time(&best->batch[best->at])))
                best = s;
        }
        if (best == NULL)
            return false;
        const struct tb_record *record = &best->batch[best->at];
        if (place_behind(&f->to, record)) {
            finish(best);
            continue;
        }
        best->at++;
        if (place_before(&f->from, record))
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
    if (f->following && f->to.kind == PLACE_NONE)
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
        struct place from = f->from;
        f->from = (struct place){.kind = PLACE_OLDEST}; /* all of the new one */
        struct tb_error err;
        if (open_source(f, s, &err) != 0)
            s->open = false; /* the next scan tries again */
        f->from = from;
    }
}

void follow_look(struct follow *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->source[i].open && !f->source[i].finished)
            look_at(f, &f->source[i]);
}

void follow_close(struct follow *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->source[i].open) {
            tb_reader_close(&f->source[i].reader, false);
            f->source[i].open = false;
        }
}
