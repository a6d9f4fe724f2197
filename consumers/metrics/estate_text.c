/*
 * Metrics of streams, readers and services. The counters of statistics pages describe themselves, so
 * a service's new counter is exported without a change here:
 *
 *   counter "records_read"  ->  tickbus_service_records_read_total{service="candles"}
 *   gauge   "wal_bytes"     ->  tickbus_service_wal_bytes{service="persist"}
 *   histogram "commit_ns"   ->  tickbus_service_commit_seconds{service="persist"}
 */
#include <consumers/metrics/estate.h>

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>

#define HISTOGRAM_FIRST 8 /* buckets from 2^8 = 256 ns .. */
#define HISTOGRAM_LAST 30 /* .. to 2^30 ns, about a second: 23 of them, and +Inf */

static double seconds(tb_ns t)
{
    return tb_decimal_double(t, -9);
}

/* ---- names of statistics pages ---- */

/* A page's name field: ends, and is [a-z][a-z0-9_]*. */
static bool name_fit(const char *name, size_t bytes)
{
    size_t length = strnlen(name, bytes);
    return length > 0 && length < bytes && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

bool estate_metric_name(const char *counter, bool is_counter, char *out, size_t out_bytes,
                        double *out_scale)
{
    /* Names that the families below have: a page's counter of that name is left out. */
    static const char *const taken[] = {
        "up",          "state",        "start_time_seconds",
        "cpu_seconds", "busy_seconds", "resident_memory_bytes",
        "open_fds",    "starts",       "heartbeat_timestamp_seconds"};
    char stem[sizeof(((struct tb_stats_counter *)0)->name) + 8];
    size_t length = strlen(counter);
    bool ns = length > 3 && strcmp(counter + length - 3, "_ns") == 0;
    bool total = length > 6 && strcmp(counter + length - 6, "_total") == 0;
    if (!name_fit(counter, sizeof(((struct tb_stats_counter *)0)->name)) ||
        strncmp(counter, "lag_", 4) == 0) /* one per stream: tickbus_reader_lag_records has them */
        return false;
    (void)snprintf(stem, sizeof(stem), "%.*s%s", (int)(length - (ns ? 3 : 0) - (total ? 6 : 0)),
                   counter, ns ? "_seconds" : "");
    for (size_t i = 0; i < TB_COUNT(taken); i++)
        if (strcmp(stem, taken[i]) == 0)
            return false;
    *out_scale = ns ? 1e-9 : 1;
    (void)snprintf(out, out_bytes, "tickbus_service_%s%s", stem, is_counter ? "_total" : "");
    return true;
}

static int by_metric(const void *a, const void *b)
{
    const struct estate_counter *x = a, *y = b;
    int order = strcmp(x->metric, y->metric);
    return order != 0 ? order : (int)x->service - (int)y->service;
}

static bool histogram_metric(const struct tb_stats_histogram *h, char *out, size_t out_bytes)
{
    double scale;
    return h->name[0] != '\0' && name_fit(h->name, sizeof(h->name)) &&
           estate_metric_name(h->name, false, out, out_bytes, &scale) && scale != 1;
}

/* Two kinds under one name would make the whole text unreadable: the histogram wins. */
static bool names_histogram(const struct estate *e, const char *metric)
{
    char other[ESTATE_METRIC_BYTES];
    for (size_t s = 0; s < e->service_count; s++)
        for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++)
            if (histogram_metric(&e->service[s].page.histogram[i], other, sizeof(other)) &&
                strncmp(metric, other, strlen(other)) == 0)
                return true;
    return false;
}

void estate_index_counters(struct estate *e)
{
    e->counter_count = 0;
    for (size_t s = 0; s < e->service_count; s++) {
        for (size_t i = 0; i < TB_STATS_COUNTERS; i++) {
            const struct tb_stats_counter *c = &e->service[s].page.counter[i];
            struct estate_counter *found = &e->counter[e->counter_count];
            if ((c->kind != TB_STAT_COUNTER && c->kind != TB_STAT_GAUGE) ||
                memchr(c->name, '\0', sizeof(c->name)) == NULL ||
                !estate_metric_name(c->name, c->kind == TB_STAT_COUNTER, found->metric,
                                    sizeof(found->metric), &found->scale) ||
                names_histogram(e, found->metric))
                continue;
            found->service = (uint16_t)s;
            found->counter = (uint16_t)i;
            found->is_counter = c->kind == TB_STAT_COUNTER;
            e->counter_count++;
        }
    }
    qsort(e->counter, e->counter_count, sizeof(*e->counter), by_metric);
}

static void write_counters(struct text *t, const struct estate *e)
{
    const struct estate_counter *before = NULL;
    for (size_t i = 0; i < e->counter_count; i++) {
        const struct estate_counter *found = &e->counter[i];
        const struct estate_service *s = &e->service[found->service];
        const struct tb_stats_counter *c = &s->page.counter[found->counter];
        int64_t value = atomic_load_explicit(&c->value, memory_order_relaxed);
        bool same = before != NULL && strcmp(before->metric, found->metric) == 0;
        if (same && before->service == found->service)
            continue; /* a page that names a counter twice */
        if (!same)
            text_family(t, found->metric, found->is_counter ? "counter" : "gauge",
                        "A figure of the statistics page of a service.");
        if (found->scale == 1)
            text_sample_int(t, found->metric, s->labels, "", value);
        else
            text_sample(t, found->metric, s->labels, "", seconds(value));
        before = found;
    }
}

/* ---- histograms ---- */

static void write_histogram(struct text *t, const char *name, const char *labels,
                            const struct tb_stats_histogram *h)
{
    char part[ESTATE_METRIC_BYTES + 8], label[48], bound[TB_DOUBLE_BYTES];
    uint64_t sum = 0, count = 0;
    if (t->series + (HISTOGRAM_LAST - HISTOGRAM_FIRST + 1) + 3 > t->series_max) {
        t->refused++; /* half a histogram is worse than none */
        return;
    }
    (void)snprintf(part, sizeof(part), "%s_bucket", name);
    for (int i = 0; i < TB_STATS_BUCKETS; i++) {
        sum += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        /* Bucket i ends below 2^(i+1) ns. */
        if (i + 1 < HISTOGRAM_FIRST || i + 1 > HISTOGRAM_LAST)
            continue;
        (void)tb_double_format(seconds(INT64_C(1) << (i + 1)), bound);
        (void)snprintf(label, sizeof(label), "le=\"%s\"", bound);
        text_sample(t, part, labels, label, (double)sum);
        count = sum;
    }
    /* The count is that of the buckets: a copy taken while it is written may differ from h->count. */
    count = sum > count ? sum : count;
    text_sample(t, part, labels, "le=\"+Inf\"", (double)count);
    (void)snprintf(part, sizeof(part), "%s_sum", name);
    text_sample(t, part, labels, "", seconds(atomic_load_explicit(&h->sum, memory_order_relaxed)));
    (void)snprintf(part, sizeof(part), "%s_count", name);
    text_sample(t, part, labels, "", (double)count);
}

/* All services' histograms of one name, once: at the first service that has it. */
static void write_histograms(struct text *t, const struct estate *e)
{
    char name[ESTATE_METRIC_BYTES], other[ESTATE_METRIC_BYTES];
    for (size_t n = 0; n < e->service_count * TB_STATS_HISTOGRAMS; n++) {
        const struct estate_service *s = &e->service[n / TB_STATS_HISTOGRAMS];
        if (!histogram_metric(&s->page.histogram[n % TB_STATS_HISTOGRAMS], name, sizeof(name)))
            continue;
        bool first = true, begun = false;
        for (size_t m = 0; m < e->service_count * TB_STATS_HISTOGRAMS && (m >= n || first); m++) {
            const struct estate_service *o = &e->service[m / TB_STATS_HISTOGRAMS];
            const struct tb_stats_histogram *h = &o->page.histogram[m % TB_STATS_HISTOGRAMS];
            if (!histogram_metric(h, other, sizeof(other)) || strcmp(name, other) != 0)
                continue;
            first = first && m >= n;
            if (!first)
                break; /* was written at m */
            if (!begun)
                text_family(t, name, "histogram", "A latency of a service, in powers of two.");
            begun = true;
            write_histogram(t, name, o->labels, h);
        }
    }
}

/* ---- fixed families ---- */

enum field {
    STREAM_UP,
    STREAM_STATE,
    STREAM_RECORDS,
    STREAM_STARTS,
    STREAM_HEARTBEAT,
    FEED_CONNECTED,
    FEED_GAPS,
    FEED_MISSING,
    READER_UP,
    READER_CURSOR,
    READER_LAG,
    READER_LOST,
    READER_OVERRUNS,
    READER_HEARTBEAT,
    SERVICE_UP,
    SERVICE_STATE,
    SERVICE_START,
    SERVICE_HEARTBEAT,
    SERVICE_CPU,
    SERVICE_BUSY,
    SERVICE_RSS,
    SERVICE_FDS,
    SERVICE_STARTS,
};

struct family {
    enum field field;
    const char *name;
    const char *type;
    const char *help;
};

static const struct family families[] = {
    {STREAM_UP, "tickbus_stream_up", "gauge", "1 if the producer of the stream is alive."},
    {STREAM_STATE, "tickbus_stream_state", "gauge",
     "State of the stream: 1 starting, 2 running, 3 done, 4 stopped, 5 retired."},
    {STREAM_RECORDS, "tickbus_stream_records_total", "counter",
     "Records published on the stream: its last sequence."},
    {STREAM_STARTS, "tickbus_stream_starts_total", "counter",
     "How often a producer has opened the stream."},
    {STREAM_HEARTBEAT, "tickbus_stream_heartbeat_timestamp_seconds", "gauge",
     "Last heartbeat of the producer."},
    {FEED_CONNECTED, "tickbus_feed_connected", "gauge",
     "1 if the feed is connected to its venue; NaN: the stream has not said."},
    {FEED_GAPS, "tickbus_feed_gaps_total", "counter", "Gap records on the stream."},
    {FEED_MISSING, "tickbus_feed_missing_total", "counter",
     "Ticks known to be missing in the gaps of the stream."},
    {READER_UP, "tickbus_reader_up", "gauge", "1 if the reader is alive."},
    {READER_CURSOR, "tickbus_reader_cursor", "gauge", "Next sequence that the reader wants."},
    {READER_LAG, "tickbus_reader_lag_records", "gauge",
     "How many records the reader is behind the producer."},
    {READER_LOST, "tickbus_reader_lost_records_total", "counter",
     "Records that were overwritten before the reader got to them."},
    {READER_OVERRUNS, "tickbus_reader_overruns_total", "counter",
     "How often the reader was overrun."},
    {READER_HEARTBEAT, "tickbus_reader_heartbeat_timestamp_seconds", "gauge",
     "Last heartbeat of the reader."},
    {SERVICE_UP, "tickbus_service_up", "gauge", "1 if the process is alive."},
    {SERVICE_STATE, "tickbus_service_state", "gauge",
     "State of the service: 1 starting, 2 waiting, 3 running, 4 degraded, 5 draining, 6 stopped, "
     "7 failed."},
    {SERVICE_START, "tickbus_service_start_time_seconds", "gauge", "Start of this life."},
    {SERVICE_HEARTBEAT, "tickbus_service_heartbeat_timestamp_seconds", "gauge",
     "Last heartbeat of the service."},
    {SERVICE_CPU, "tickbus_service_cpu_seconds_total", "counter", "User and system time."},
    {SERVICE_BUSY, "tickbus_service_busy_seconds_total", "counter",
     "Time that the loop did not wait."},
    {SERVICE_RSS, "tickbus_service_resident_memory_bytes", "gauge", "Resident memory."},
    {SERVICE_FDS, "tickbus_service_open_fds", "gauge", "Open file descriptors."},
    {SERVICE_STARTS, "tickbus_service_starts_total", "counter",
     "Lives under this name since the bus was made."},
};

static double stream_value(const struct estate_stream *s, enum field field)
{
    switch (field) {
    case STREAM_UP:
        return s->producer.alive;
    case STREAM_STATE:
        return s->producer.state;
    case STREAM_RECORDS:
        return (double)s->newest;
    case STREAM_STARTS:
        return (double)s->producer.lives;
    default:
        return seconds(s->producer.heartbeat);
    }
}

/* A feed that died said nothing of its connection: it has none. */
static double feed_value(const struct estate *e, const struct estate_feed *f, enum field field)
{
    if (field != FEED_CONNECTED)
        return (double)(field == FEED_GAPS ? f->gaps : f->missing);
    for (size_t i = 0; i < e->stream_count; i++)
        if (strcmp(e->stream[i].name, f->stream) == 0 && !e->stream[i].producer.alive)
            return f->connected * 0;
    return f->connected;
}

static double reader_value(const struct estate_reader *r, enum field field)
{
    switch (field) {
    case READER_UP:
        return r->cursor.alive;
    case READER_CURSOR:
        return (double)r->cursor.cursor;
    case READER_LAG:
        return (double)r->lag;
    case READER_LOST:
        return (double)r->cursor.lost;
    case READER_OVERRUNS:
        return (double)r->cursor.overruns;
    default:
        return seconds(r->cursor.heartbeat);
    }
}

#define LOAD(field) atomic_load_explicit(&page->field, memory_order_relaxed)

static double service_value(const struct estate_service *s, enum field field)
{
    const struct tb_stats_page *page = &s->page;
    switch (field) {
    case SERVICE_UP:
        return s->alive;
    case SERVICE_STATE:
        return LOAD(state);
    case SERVICE_START:
        return seconds(LOAD(started));
    case SERVICE_HEARTBEAT:
        return seconds(LOAD(heartbeat));
    case SERVICE_CPU:
        return seconds(LOAD(cpu_ns));
    case SERVICE_BUSY:
        return seconds(LOAD(busy_ns));
    case SERVICE_RSS:
        return (double)LOAD(rss_bytes);
    case SERVICE_FDS:
        return (double)LOAD(open_fds);
    default:
        return (double)LOAD(starts);
    }
}

static void write_families(struct text *t, const struct estate *e, const struct estate_feed *feeds,
                           size_t feed_count)
{
    char labels[TB_STREAM_BYTES + 16];
    for (size_t f = 0; f < TB_COUNT(families); f++) {
        const struct family *family = &families[f];
        enum field field = family->field;
        text_family(t, family->name, family->type, family->help);
        for (size_t i = 0; i < e->stream_count && field <= STREAM_HEARTBEAT; i++)
            text_sample(t, family->name, e->stream[i].labels, "",
                        stream_value(&e->stream[i], field));
        for (size_t i = 0; i < feed_count && field >= FEED_CONNECTED && field <= FEED_MISSING;
             i++) {
            (void)snprintf(labels, sizeof(labels), "stream=\"%s\"", feeds[i].stream);
            text_sample(t, family->name, labels, "", feed_value(e, &feeds[i], field));
        }
        for (size_t i = 0; i < e->reader_count && field >= READER_UP && field <= READER_HEARTBEAT;
             i++)
            text_sample(t, family->name, e->reader[i].labels, "",
                        reader_value(&e->reader[i], field));
        for (size_t i = 0; i < e->service_count && field >= SERVICE_UP; i++)
            text_sample(t, family->name, e->service[i].labels, "",
                        service_value(&e->service[i], field));
    }
}

/* ---- this process ---- */

static int count_entries(const char *directory)
{
    DIR *dir = opendir(directory);
    int count = 0;
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static void write_one(struct text *t, const char *name, const char *type, const char *help,
                      double value)
{
    text_family(t, name, type, help);
    text_sample(t, name, "", "", value);
}

static double resident_bytes(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return NAN;
    bool read = fscanf(file, "%ld %ld", &size, &resident) == 2;
    (void)fclose(file);
    return read ? (double)resident * (double)sysconf(_SC_PAGESIZE) : NAN;
}

static void write_process(struct text *t)
{
    static double started; /* of this process, near enough: its first look at itself */
    char version[64], revision[64] = "unknown", label[224];
    struct rusage use = {0};
    struct rlimit files = {0};
    started = started > 0 ? started : seconds(tb_clock_wall());
    (void)getrusage(RUSAGE_SELF, &use);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)sscanf(tb_version(), "%63[^ ] (%63[^)])", version, revision);
    (void)snprintf(label, sizeof(label), "version=\"%s\",revision=\"%s\",compiler=\"%.60s\"",
                   version, revision, __VERSION__);
    text_family(t, "tickbus_build_info", "gauge", "1, with the build in its labels.");
    text_sample(t, "tickbus_build_info", label, "", 1);
    write_one(t, "process_cpu_seconds_total", "counter", "User and system time of this process.",
              seconds((use.ru_utime.tv_sec + use.ru_stime.tv_sec) * TB_NS_PER_S +
                      (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * TB_NS_PER_US));
    write_one(t, "process_resident_memory_bytes", "gauge", "Resident memory of this process.",
              resident_bytes());
    write_one(t, "process_start_time_seconds", "gauge", "Start of this process.", started);
    write_one(t, "process_open_fds", "gauge", "Open file descriptors of this process.",
              count_entries("/proc/self/fd"));
    write_one(t, "process_max_fds", "gauge", "Most file descriptors this process may open.",
              (double)files.rlim_cur);
    write_one(t, "process_threads", "gauge", "Threads of this process.",
              count_entries("/proc/self/task"));
}

void estate_write(struct text *t, const struct estate *e, const struct estate_feed *feeds,
                  size_t feed_count)
{
    write_process(t);
    write_families(t, e, feeds, feed_count);
    write_counters(t, e);
    write_histograms(t, e);
}
