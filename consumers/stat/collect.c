/* See collect.h. */
#include "collect.h"

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

/* ---- streams ---- */

static struct watched *watch(struct collector *c, const char *name)
{
    for (size_t i = 0; i < c->watched_count; i++)
        if (strcmp(c->watched[i].name, name) == 0)
            return &c->watched[i];
    if (c->watched_count == STAT_STREAMS_MAX)
        return NULL;
    struct watched *w = &c->watched[c->watched_count++];
    memset(w, 0, sizeof(*w));
    snprintf(w->name, sizeof(w->name), "%s", name);
    return w;
}

static void unwatch(struct watched *w)
{
    if (w->open)
        tb_reader_close(&w->reader, false);
    w->open = false;
}

/* Publish time of one record; STAT_UNKNOWN if it is not there or was recorded long before. */
static tb_ns publish_time(struct tb_reader *r, tb_seq seq)
{
    struct tb_record record;
    tb_reader_seek(r, seq);
    if (seq == 0 || tb_reader_next(r, &record) != TB_READ_OK || record.ts_recv == 0 ||
        record.publish_delta_ns == UINT32_MAX)
        return STAT_UNKNOWN;
    return record.ts_recv + record.publish_delta_ns;
}

static void look_at_stream(struct watched *w, struct stat_stream *s)
{
    s->epoch = w->reader.epoch;
    s->capacity = w->reader.capacity;
    s->instruments = tb_reader_instrument_count(&w->reader);
    s->newest = tb_reader_newest(&w->reader);
    s->last_publish = publish_time(&w->reader, s->newest);
    tb_reader_producer(&w->reader, &s->producer);
    if (*w->reader.broken) {
        unwatch(w);
        snprintf(s->fault, sizeof(s->fault), "the file was cut short or is damaged");
    }
}

static int collect_stream(const char *name, void *context)
{
    struct collector *c = context;
    struct stat_look *look = c->look;
    struct watched *w = tb_name_check(name) ? watch(c, name) : NULL;
    if (w == NULL || look->stream_count == STAT_STREAMS_MAX)
        return 0;
    struct stat_stream *s = &look->stream[look->stream_count++];
    memset(s, 0, sizeof(*s));
    memcpy(s->name, w->name, sizeof(s->name));
    s->last_publish = STAT_UNKNOWN;
    s->gaps = -1;

    struct tb_error err = {""};
    /* SPIN: the policy that needs no wait file; we never wait. */
    struct tb_reader_options options = {.wait = TB_WAIT_SPIN};
    if (w->open && tb_reader_retired(&w->reader))
        unwatch(w);
    if (!w->open && tb_reader_open(c->bus_dir, name, &options, &w->reader, &err) == 0)
        w->open = true;
    if (w->open)
        look_at_stream(w, s);
    else
        snprintf(s->fault, sizeof(s->fault), "%s", err.text);
    stat_clean(s->fault);
    return 0;
}

/* ---- readers ---- */

static void measure_lag(struct collector *c, struct stat_reader *r)
{
    struct stat_look *look = c->look;
    for (size_t i = 0; i < look->stream_count; i++) {
        struct stat_stream *s = &look->stream[i];
        if (strcmp(s->name, r->info.stream) != 0 || s->fault[0] != 0)
            continue;
        r->same_epoch = s->epoch == r->info.epoch;
        if (!r->same_epoch)
            return;
        r->lag = s->newest + 1 > r->info.cursor ? s->newest + 1 - r->info.cursor : 0;
        r->lag_time = r->lag == 0 ? 0 : STAT_UNKNOWN;
        struct watched *w = watch(c, s->name);
        if (r->lag == 0 || w == NULL || !w->open || s->last_publish == STAT_UNKNOWN)
            return;
        tb_ns next = publish_time(&w->reader, r->info.cursor);
        if (next != STAT_UNKNOWN)
            r->lag_time = s->last_publish - next;
        return;
    }
}

static int collect_reader(const char *name, void *context)
{
    struct collector *c = context;
    struct stat_look *look = c->look;
    if (look->reader_count == STAT_READERS_MAX)
        return 0;
    struct stat_reader *r = &look->reader[look->reader_count++];
    struct tb_error err = {""};
    memset(r, 0, sizeof(*r));
    r->lag_time = STAT_UNKNOWN;
    snprintf(r->file, sizeof(r->file), "%s", name);
    int rc = tb_cursor_inspect(c->bus_dir, name, &r->info, &err);
    if (rc == -ENOENT)
        look->reader_count--; /* it left between the listing and now */
    else if (rc != 0)
        snprintf(r->fault, sizeof(r->fault), "%s", err.text);
    else
        measure_lag(c, r);
    stat_clean(r->file);
    stat_clean(r->info.stream);
    stat_clean(r->info.reader);
    stat_clean(r->fault);
    return 0;
}

/* ---- processes ---- */

static int collect_process(const char *name, void *context)
{
    struct collector *c = context;
    struct stat_look *look = c->look;
    if (look->process_count == STAT_PROCESSES_MAX || !tb_name_check(name))
        return 0;
    struct stat_process *p = &look->process[look->process_count++];
    struct tb_error err = {""};
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "%s", name);
    int rc = tb_stats_inspect(c->bus_dir, name, &p->page, &p->alive, &err);
    if (rc == -ENOENT)
        look->process_count--;
    else if (rc != 0)
        snprintf(p->fault, sizeof(p->fault), "%s", err.text);
    stat_clean(p->fault);
    stat_clean(p->page.note);
    stat_clean(p->page.program);
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++)
        stat_clean(p->page.counter[i].name);
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++)
        stat_clean(p->page.histogram[i].name);
    return 0;
}

/* A stream's gaps are counted by the process that produces it: the one with that pid. */
static void find_gaps(struct stat_look *look)
{
    for (size_t i = 0; i < look->stream_count; i++) {
        struct stat_stream *s = &look->stream[i];
        for (size_t k = 0; k < look->process_count && s->producer.pid != 0; k++) {
            const struct tb_stats_page *page = &look->process[k].page;
            if (page->pid != s->producer.pid)
                continue;
            for (size_t n = 0; n < TB_STATS_COUNTERS; n++)
                if (page->counter[n].kind != 0 && strcmp(page->counter[n].name, "gaps") == 0)
                    s->gaps = page->counter[n].value;
        }
    }
}

int collector_look(struct collector *c, struct stat_look *look, struct tb_error *err)
{
    c->look = look;
    look->time = tb_clock_wall();
    look->mono = tb_clock_mono();
    look->stream_count = look->reader_count = look->process_count = 0;
    snprintf(look->bus_dir, sizeof(look->bus_dir), "%s", c->bus_dir);
    int rc = tb_bus_list(c->bus_dir, ".ring", collect_stream, c, err);
    if (rc == 0)
        rc = tb_bus_list(c->bus_dir, ".cursor", collect_reader, c, err);
    if (rc == 0)
        rc = tb_bus_list(c->bus_dir, ".stats", collect_process, c, err);
    if (rc == 0)
        find_gaps(look);
    return rc;
}

void collector_close(struct collector *c)
{
    for (size_t i = 0; i < c->watched_count; i++)
        unwatch(&c->watched[i]);
}
