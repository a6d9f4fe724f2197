/* What the figures of a bus mean: rates between two looks, order, and whether all is well. */
#include "stat.h"

#include <math.h>
#include <string.h>

/* Length of the UTF-8 character at `at`, 0 if it is none (overlong forms and surrogates pass). */
static size_t character(const unsigned char *at)
{
    size_t length = at[0] < 0x80   ? 1
                    : at[0] < 0xC2 ? 0
                    : at[0] < 0xE0 ? 2
                    : at[0] < 0xF0 ? 3
                    : at[0] < 0xF5 ? 4
                                   : 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

void stat_clean(char *text)
{
    while (*text != 0) {
        size_t length = character((const unsigned char *)text);
        if (length == 0 || (unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
            length = 1;
        }
        text += length;
    }
}

const char *stat_count(double value, char out[STAT_TEXT_BYTES])
{
    static const char units[] = " kMGTPE";
    size_t unit = 0;
    while (fabs(value) >= 99999.5 && unit + 2 < sizeof(units)) {
        value /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(out, STAT_TEXT_BYTES,
                 fabs(value) < 9.95 && value != floor(value) ? "%.1f" : "%.0f", value);
    else
        snprintf(out, STAT_TEXT_BYTES, fabs(value) < 99.95 ? "%.1f%c" : "%.0f%c", value,
                 units[unit]);
    return out;
}

const char *stat_span(tb_ns span, char out[STAT_TEXT_BYTES])
{
    if (span == STAT_UNKNOWN)
        return strcpy(out, "-");
    if (span < 0)
        span = 0;
    long long s = span / TB_NS_PER_S;
    if (span < TB_NS_PER_MS)
        snprintf(out, STAT_TEXT_BYTES, "%lldus", (long long)(span / TB_NS_PER_US));
    else if (span < TB_NS_PER_S)
        snprintf(out, STAT_TEXT_BYTES, "%lldms", (long long)(span / TB_NS_PER_MS));
    else if (s < 60)
        snprintf(out, STAT_TEXT_BYTES, "%.1fs", (double)span / (double)TB_NS_PER_S);
    else if (s < 3600)
        snprintf(out, STAT_TEXT_BYTES, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, STAT_TEXT_BYTES, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, STAT_TEXT_BYTES, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return out;
}

/* The page's cpu_ns is refreshed about once a second: measure from one refresh to the next. */
#define CPU_WINDOW (9 * TB_NS_PER_S / 10)

static void process_rates(struct stat_process *p, const struct stat_process *before)
{
    int64_t from_cpu = 0, from_busy = 0, from_time = p->page.started;
    if (before != NULL) {
        p->cpu_percent = before->cpu_percent;
        p->busy_percent = before->busy_percent;
        p->anchor_cpu = from_cpu = before->anchor_cpu;
        p->anchor_busy = from_busy = before->anchor_busy;
        p->anchor_time = from_time = before->anchor_time;
        if (p->page.cpu_ns == before->page.cpu_ns || p->page.heartbeat - from_time < CPU_WINDOW)
            return;
    }
    p->anchor_cpu = p->page.cpu_ns;
    p->anchor_busy = p->page.busy_ns;
    p->anchor_time = p->page.heartbeat;
    double window = (double)(p->anchor_time - from_time);
    p->cpu_percent = window > 0 ? 100 * (double)(p->anchor_cpu - from_cpu) / window : 0;
    p->busy_percent = window > 0 ? 100 * (double)(p->anchor_busy - from_busy) / window : 0;
}

static const struct stat_process *same_life(const struct stat_look *look,
                                            const struct stat_process *p)
{
    for (size_t i = 0; i < look->process_count; i++)
        if (strcmp(look->process[i].name, p->name) == 0 &&
            look->process[i].page.pid == p->page.pid &&
            look->process[i].page.starts == p->page.starts)
            return &look->process[i];
    return NULL;
}

void stat_rates(struct stat_look *now, const struct stat_look *before)
{
    double seconds = before ? (double)(now->mono - before->mono) / (double)TB_NS_PER_S : 0;
    for (size_t i = 0; before != NULL && i < now->stream_count; i++)
        for (size_t k = 0; k < before->stream_count; k++) {
            struct stat_stream *s = &now->stream[i];
            const struct stat_stream *old = &before->stream[k];
            if (seconds > 0 && strcmp(s->name, old->name) == 0 && s->epoch == old->epoch &&
                s->newest >= old->newest)
                s->records_per_s = (double)(s->newest - old->newest) / seconds;
        }
    for (size_t i = 0; i < now->process_count; i++)
        process_rates(&now->process[i], before ? same_life(before, &now->process[i]) : NULL);
}

bool stat_alive(const struct stat_look *look)
{
    bool alive = false;
    for (size_t i = 0; i < look->stream_count; i++)
        alive = alive || look->stream[i].producer.alive;
    for (size_t i = 0; i < look->reader_count; i++)
        alive = alive || look->reader[i].info.alive;
    for (size_t i = 0; i < look->process_count; i++)
        alive = alive || look->process[i].alive;
    return alive;
}

uint64_t stat_lost(const struct stat_look *look)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < look->reader_count; i++)
        lost += look->reader[i].info.lost;
    return lost;
}

/* ---- order ---- */

const char *stat_order_name(enum stat_order order)
{
    static const char *const names[STAT_ORDERS] = {"name", "load", "trouble"};
    return names[order];
}

static int descending(double a, double b)
{
    return (a < b) - (a > b);
}

static enum stat_order sorting; /* qsort has no context of its own */

static double stream_key(const struct stat_stream *s)
{
    if (sorting == STAT_BY_LOAD)
        return s->records_per_s;
    return (s->fault[0] != 0 ? 4 : 0) +
           (!s->producer.alive && s->producer.state == TB_STREAM_RUNNING ? 2 : 0) + (s->gaps > 0);
}

static int compare_streams(const void *a, const void *b)
{
    const struct stat_stream *x = a, *y = b;
    int order = sorting == STAT_BY_NAME ? 0 : descending(stream_key(x), stream_key(y));
    return order != 0 ? order : strcmp(x->name, y->name);
}

static double reader_key(const struct stat_reader *r)
{
    return (double)(sorting == STAT_BY_LOAD ? r->lag : r->info.lost);
}

static int compare_readers(const void *a, const void *b)
{
    const struct stat_reader *x = a, *y = b;
    int order = sorting == STAT_BY_NAME ? 0 : descending(reader_key(x), reader_key(y));
    return order != 0 ? order : strcmp(x->file, y->file);
}

static double process_key(const struct stat_process *p)
{
    if (sorting == STAT_BY_LOAD)
        return p->cpu_percent;
    bool over = p->page.state == TB_SERVICE_STOPPED || p->page.state == TB_SERVICE_FAILED;
    return (p->fault[0] != 0 || (!p->alive && !over) ? 4 : 0) +
           (p->page.state == TB_SERVICE_FAILED ? 2 : 0) + (p->page.state == TB_SERVICE_DEGRADED);
}

static int compare_processes(const void *a, const void *b)
{
    const struct stat_process *x = a, *y = b;
    int order = sorting == STAT_BY_NAME ? 0 : descending(process_key(x), process_key(y));
    return order != 0 ? order : strcmp(x->name, y->name);
}

void stat_sort(struct stat_look *look, enum stat_order order)
{
    sorting = order;
    qsort(look->stream, look->stream_count, sizeof(look->stream[0]), compare_streams);
    qsort(look->reader, look->reader_count, sizeof(look->reader[0]), compare_readers);
    qsort(look->process, look->process_count, sizeof(look->process[0]), compare_processes);
}
