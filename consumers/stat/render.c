/* A look as tables for people and as JSON for programs. */
#include "stat.h"

#include <inttypes.h>
#include <string.h>

#include <tickbus/clock.h>

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static const char *paint(const struct stat_style *style, const char *colour)
{
    return style->colour ? colour : "";
}

static tb_ns since(const struct stat_look *look, tb_ns t)
{
    return t == STAT_UNKNOWN || t == 0 ? STAT_UNKNOWN : look->time - t;
}

static const char *wait_name(uint32_t wait)
{
    static const char *const names[] = {"park", "yield", "spin", "batch"};
    return wait < TB_COUNT(names) ? names[wait] : "?";
}

/* ---- tables: what matters most is within 80 columns; the screen cuts the rest ---- */

static void stream_row(const struct stat_look *look, const struct stat_stream *s,
                       const struct stat_style *style, FILE *out)
{
    char up[STAT_TEXT_BYTES], rate[STAT_TEXT_BYTES], bytes[STAT_TEXT_BYTES], age[STAT_TEXT_BYTES];
    char gaps[STAT_TEXT_BYTES] = "-", producer[STAT_TEXT_BYTES] = "dead";
    if (s->fault[0] != 0) {
        fprintf(out, "%s%-18s unreadable: %s%s\n", paint(style, RED), s->name, s->fault,
                paint(style, PLAIN));
        return;
    }
    bool crashed = !s->producer.alive && (s->producer.state == TB_STREAM_RUNNING ||
                                          s->producer.state == TB_STREAM_STARTING);
    if (s->producer.alive)
        snprintf(producer, sizeof(producer), "%u", s->producer.pid);
    if (s->gaps >= 0)
        snprintf(gaps, sizeof(gaps), "%" PRId64, s->gaps);
    fprintf(out, "%s%-18s %-9s %9s %14" PRIu64 " %9s %8s %6s", crashed ? paint(style, RED) : "",
            s->name, crashed ? "crashed" : tb_stream_state_name(s->producer.state), producer,
            s->newest, stat_count(s->records_per_s, rate),
            stat_span(since(look, s->last_publish), age), gaps);
    fprintf(out, " %8s %9s %6u %9" PRIu64 "%s\n",
            s->producer.alive ? stat_span(since(look, s->producer.started), up) : "-",
            stat_count(s->records_per_s * TB_RECORD_BYTES, bytes), s->instruments, s->capacity,
            crashed ? paint(style, PLAIN) : "");
}

static void reader_row(const struct stat_reader *r, const struct stat_style *style, FILE *out)
{
    char lag[STAT_TEXT_BYTES] = "-", time[STAT_TEXT_BYTES] = "-", pid[STAT_TEXT_BYTES] = "dead";
    if (r->fault[0] != 0) {
        fprintf(out, "%s%-32s unreadable: %s%s\n", paint(style, RED), r->file, r->fault,
                paint(style, PLAIN));
        return;
    }
    if (r->info.alive)
        snprintf(pid, sizeof(pid), "%u", r->info.pid);
    if (r->same_epoch) {
        stat_count((double)r->lag, lag);
        if (r->lag_time != STAT_UNKNOWN)
            snprintf(time, sizeof(time), "%.1f", (double)r->lag_time / (double)TB_NS_PER_MS);
    }
    fprintf(out, "%-16s %-16s %9s %9s %9s %s%9" PRIu64 "%s %6s %14" PRIu64 " %8" PRIu64 "\n",
            r->info.stream, r->info.reader, pid, lag, time,
            r->info.lost > 0 ? paint(style, RED) : "", r->info.lost,
            r->info.lost > 0 ? paint(style, PLAIN) : "", wait_name(r->info.wait), r->info.cursor,
            r->info.overruns);
}

/* Counters that say how a feed or a sink is doing; --verbose shows all. */
static const char *const telling[] = {
    "connected",  "connections", "reconnects", "disconnects", "gaps", "missing", "resyncs",
    "frames_bad", "bad_frames",  "refused",    "errors",      "lost", "failed",  "push_failures",
};

static bool tells(const char *name)
{
    for (size_t i = 0; i < TB_COUNT(telling); i++)
        if (strcmp(name, telling[i]) == 0)
            return true;
    return false;
}

static void counter_line(const struct tb_stats_page *page, bool all, FILE *out)
{
    unsigned shown = 0;
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++) {
        const struct tb_stats_counter *c = &page->counter[i];
        if (c->kind == 0 || (!all && !tells(c->name)))
            continue;
        fprintf(out, "%s%s=%" PRId64,
                shown == 0       ? "    "
                : shown % 6 == 0 ? "\n    "
                                 : "  ",
                c->name, (int64_t)c->value);
        shown++;
    }
    if (shown > 0)
        fprintf(out, "\n");
}

static void histogram_lines(const struct tb_stats_page *page, FILE *out)
{
    char p50[STAT_TEXT_BYTES], p99[STAT_TEXT_BYTES], max[STAT_TEXT_BYTES];
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++) {
        const struct tb_stats_histogram *h = &page->histogram[i];
        if (h->name[0] != 0 && h->count > 0)
            fprintf(out, "    %s: p50<%s p99<%s max=%s n=%" PRIu64 "\n", h->name,
                    stat_span(tb_histogram_quantile(h, 0.5), p50),
                    stat_span(tb_histogram_quantile(h, 0.99), p99), stat_span(h->max, max),
                    (uint64_t)h->count);
    }
}

static void process_row(const struct stat_look *look, const struct stat_process *p,
                        const struct stat_style *style, FILE *out)
{
    const struct tb_stats_page *page = &p->page;
    char up[STAT_TEXT_BYTES], rss[STAT_TEXT_BYTES], pid[STAT_TEXT_BYTES] = "dead";
    if (p->fault[0] != 0) {
        fprintf(out, "%s%-18s unreadable: %s%s\n", paint(style, RED), p->name, p->fault,
                paint(style, PLAIN));
        return;
    }
    bool over = page->state == TB_SERVICE_STOPPED || page->state == TB_SERVICE_FAILED;
    bool crashed = !p->alive && !over;
    const char *colour = crashed || page->state == TB_SERVICE_FAILED ? RED
                         : page->state == TB_SERVICE_DEGRADED        ? YELLOW
                                                                     : "";
    if (p->alive)
        snprintf(pid, sizeof(pid), "%u", (unsigned)page->pid);
    else if (over)
        snprintf(pid, sizeof(pid), "exit %d", (int)page->exit_code);
    fprintf(out, "%s%-18s %-9s %9s %8s %6.1f %6.1f %8s %5" PRId64 " %6" PRIu64 "  %s%s\n",
            paint(style, colour), p->name, crashed ? "crashed" : tb_service_state_name(page->state),
            pid, p->alive ? stat_span(since(look, page->started), up) : "-", p->cpu_percent,
            p->busy_percent, stat_count((double)page->rss_bytes, rss), (int64_t)page->open_fds,
            (uint64_t)page->starts, page->note, *colour ? paint(style, PLAIN) : "");
    counter_line(page, style->verbose, out);
    histogram_lines(page, out);
}

void stat_table(const struct stat_look *look, const struct stat_style *style, FILE *out)
{
    const char *bold = paint(style, BOLD), *plain = paint(style, PLAIN);
    char time[TB_TIME_BYTES];
    tb_time_format(look->time, time);
    strcpy(time + 19, "Z"); /* seconds are enough on a screen */
    fprintf(out, "%s%s  %s%s\n", bold, look->bus_dir, time, plain);
    if (!stat_alive(look))
        fprintf(out, "%sno process of this bus is alive: what follows is what they left%s\n",
                paint(style, YELLOW), plain);
    if (look->stream_count == 0 && look->process_count == 0)
        fprintf(out, "no streams and no processes\n");
    if (look->stream_count > 0)
        fprintf(out, "\n%s%-18s %-9s %9s %14s %9s %8s %6s %8s %9s %6s %9s%s\n", bold, "STREAM",
                "STATE", "PRODUCER", "SEQ", "REC/S", "LAST", "GAPS", "UP", "BYTES/S", "INSTR",
                "CAPACITY", plain);
    for (size_t i = 0; i < look->stream_count; i++)
        stream_row(look, &look->stream[i], style, out);
    if (look->reader_count > 0)
        fprintf(out, "\n%s%-16s %-16s %9s %9s %9s %9s %6s %14s %8s%s\n", bold, "STREAM", "READER",
                "PID", "LAG", "LAG MS", "LOST", "WAIT", "CURSOR", "OVERRUNS", plain);
    for (size_t i = 0; i < look->reader_count; i++)
        reader_row(&look->reader[i], style, out);
    if (look->process_count > 0)
        fprintf(out, "\n%s%-18s %-9s %9s %8s %6s %6s %8s %5s %6s  %s%s\n", bold, "PROCESS", "STATE",
                "PID", "UP", "CPU %", "BUSY %", "RSS", "FDS", "STARTS", "NOTE", plain);
    for (size_t i = 0; i < look->process_count; i++)
        process_row(look, &look->process[i], style, out);
}

/* ---- JSON ---- */

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void json_text(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\":", key);
    json_string(out, text);
}

static void json_fault(FILE *out, const char *fault)
{
    if (fault[0] != 0) {
        fprintf(out, ",");
        json_text(out, "fault", fault);
    } else {
        fprintf(out, ",\"fault\":null");
    }
}

static void json_time(FILE *out, const char *key, tb_ns t)
{
    char text[TB_TIME_BYTES];
    if (t == STAT_UNKNOWN || t == 0)
        fprintf(out, ",\"%s\":null", key);
    else
        fprintf(out, ",\"%s\":\"%s\"", key, tb_time_format(t, text));
}

static void json_span(FILE *out, const char *key, tb_ns span, double unit)
{
    if (span == STAT_UNKNOWN)
        fprintf(out, ",\"%s\":null", key);
    else
        fprintf(out, ",\"%s\":%.6f", key, (double)span / unit);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void json_stream(const struct stat_look *look, const struct stat_stream *s, FILE *out)
{
    fprintf(out, "{");
    json_text(out, "stream", s->name);
    json_fault(out, s->fault);
    if (s->fault[0] == 0) {
        fprintf(out,
                ",\"state\":\"%s\",\"alive\":%s,\"pid\":%u,\"lives\":%" PRIu64 ",\"epoch\":%" PRIu64
                ",\"seq\":%" PRIu64 ",\"capacity\":%" PRIu64 ",\"instruments\":%u"
                ",\"records_per_second\":%.1f,\"bytes_per_second\":%.0f",
                tb_stream_state_name(s->producer.state), truth(s->producer.alive), s->producer.pid,
                s->producer.lives, s->epoch, s->newest, s->capacity, s->instruments,
                s->records_per_s, s->records_per_s * TB_RECORD_BYTES);
        json_time(out, "since", s->producer.started);
        json_time(out, "heartbeat", s->producer.heartbeat);
        json_time(out, "last_publish", s->last_publish);
        json_span(out, "last_age_seconds", since(look, s->last_publish), (double)TB_NS_PER_S);
        if (s->gaps >= 0)
            fprintf(out, ",\"gaps\":%" PRId64, s->gaps);
        else
            fprintf(out, ",\"gaps\":null");
    }
    fprintf(out, "}");
}

static void json_reader(const struct stat_reader *r, FILE *out)
{
    fprintf(out, "{");
    json_text(out, "stream", r->info.stream);
    fprintf(out, ",");
    json_text(out, "reader", r->fault[0] ? r->file : r->info.reader);
    json_fault(out, r->fault);
    if (r->fault[0] == 0) {
        fprintf(out,
                ",\"alive\":%s,\"pid\":%u,\"wait\":\"%s\",\"epoch\":%" PRIu64 ",\"cursor\":%" PRIu64
                ",\"needed\":%" PRIu64 ",\"durable\":%" PRIu64 ",\"lost\":%" PRIu64
                ",\"overruns\":%" PRIu64,
                truth(r->info.alive), r->info.pid, wait_name(r->info.wait), r->info.epoch,
                r->info.cursor, r->info.needed, r->info.durable, r->info.lost, r->info.overruns);
        if (r->same_epoch)
            fprintf(out, ",\"lag_records\":%" PRIu64, r->lag);
        else
            fprintf(out, ",\"lag_records\":null");
        json_span(out, "lag_ms", r->same_epoch ? r->lag_time : STAT_UNKNOWN, (double)TB_NS_PER_MS);
        json_time(out, "heartbeat", r->info.heartbeat);
    }
    fprintf(out, "}");
}

static void json_counters(const struct tb_stats_page *page, FILE *out)
{
    const char *comma = "";
    fprintf(out, ",\"counters\":{");
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++) {
        const struct tb_stats_counter *c = &page->counter[i];
        if (c->kind == 0)
            continue;
        fprintf(out, "%s", comma);
        json_string(out, c->name);
        fprintf(out, ":%" PRId64, (int64_t)c->value);
        comma = ",";
    }
    fprintf(out, "}");
}

/* Quantiles are upper bounds: the histogram's buckets double in width. */
static void json_histograms(const struct tb_stats_page *page, FILE *out)
{
    const char *comma = "";
    fprintf(out, ",\"histograms\":{");
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++) {
        const struct tb_stats_histogram *h = &page->histogram[i];
        if (h->name[0] == 0)
            continue;
        fprintf(out, "%s", comma);
        json_string(out, h->name);
        fprintf(out,
                ":{\"count\":%" PRIu64 ",\"p50\":%" PRId64 ",\"p99\":%" PRId64 ",\"max\":%" PRId64
                "}",
                (uint64_t)h->count, tb_histogram_quantile(h, 0.5), tb_histogram_quantile(h, 0.99),
                (int64_t)h->max);
        comma = ",";
    }
    fprintf(out, "}");
}

static void json_process(const struct stat_process *p, FILE *out)
{
    const struct tb_stats_page *page = &p->page;
    fprintf(out, "{");
    json_text(out, "process", p->name);
    json_fault(out, p->fault);
    if (p->fault[0] == 0) {
        fprintf(out, ",");
        json_text(out, "program", page->program);
        fprintf(out, ",");
        json_text(out, "note", page->note);
        fprintf(out,
                ",\"state\":\"%s\",\"alive\":%s,\"pid\":%u,\"exit_code\":%d,\"starts\":%" PRIu64
                ",\"cpu_percent\":%.1f,\"busy_percent\":%.1f,\"cpu_seconds\":%.3f,\"rss_bytes\":"
                "%" PRId64 ",\"open_fds\":%" PRId64,
                tb_service_state_name(page->state), truth(p->alive), (unsigned)page->pid,
                (int)page->exit_code, (uint64_t)page->starts, p->cpu_percent, p->busy_percent,
                (double)page->cpu_ns / (double)TB_NS_PER_S, (int64_t)page->rss_bytes,
                (int64_t)page->open_fds);
        json_time(out, "since", page->started);
        json_time(out, "heartbeat", page->heartbeat);
        json_counters(page, out);
        json_histograms(page, out);
    }
    fprintf(out, "}");
}

void stat_json(const struct stat_look *look, FILE *out)
{
    fprintf(out, "{");
    json_text(out, "bus", look->bus_dir);
    json_time(out, "time", look->time);
    fprintf(out, ",\"alive\":%s,\"lost\":%" PRIu64 ",\"streams\":[", truth(stat_alive(look)),
            stat_lost(look));
    for (size_t i = 0; i < look->stream_count; i++) {
        fprintf(out, "%s", i ? "," : "");
        json_stream(look, &look->stream[i], out);
    }
    fprintf(out, "],\"readers\":[");
    for (size_t i = 0; i < look->reader_count; i++) {
        fprintf(out, "%s", i ? "," : "");
        json_reader(&look->reader[i], out);
    }
    fprintf(out, "],\"processes\":[");
    for (size_t i = 0; i < look->process_count; i++) {
        fprintf(out, "%s", i ? "," : "");
        json_process(&look->process[i], out);
    }
    fprintf(out, "]}\n");
}
