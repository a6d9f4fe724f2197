/*
 * The estate: every stream, reader and service of the bus as its own pages in shared memory tell
 * it, looked at about once a second, and rendered as metrics. Pages are written by other processes:
 * what is in them is checked before it becomes text.
 */
#ifndef TICKBUS_METRICS_ESTATE_H
#define TICKBUS_METRICS_ESTATE_H

#include <consumers/metrics/text.h>
#include <tickbus/reader.h>
#include <tickbus/stats.h>

#define ESTATE_STREAMS_MAX 64
#define ESTATE_READERS_MAX 256
#define ESTATE_SERVICES_MAX 64
#define ESTATE_METRIC_BYTES 96

/* What only a reader of the stream knows, kept by the caller: its counts of status and gap
 * records. */
struct estate_feed {
    char stream[TB_STREAM_BYTES];
    double connected; /* NaN until the stream has said so */
    uint64_t gaps;
    uint64_t missing;
};

struct estate_stream {
    char name[TB_STREAM_BYTES];
    char labels[TB_STREAM_BYTES + 16];
    struct tb_producer producer;
    tb_seq newest;
};

struct estate_reader {
    char labels[2 * TB_STREAM_BYTES + 32];
    struct tb_cursor_info cursor;
    uint64_t lag;
};

struct estate_service {
    char labels[TB_STREAM_BYTES + 16];
    struct tb_stats_page page;
    bool alive;
};

/* Where a metric made of statistics pages is found. */
struct estate_counter {
    char metric[ESTATE_METRIC_BYTES];
    double scale; /* 1, or 1e-9 where ns become seconds */
    uint16_t service;
    uint16_t counter;
    bool is_counter;
};

struct estate {
    char bus_dir[256];
    struct estate_stream *stream;
    struct estate_reader *reader;
    struct estate_service *service;
    struct estate_counter *counter;
    size_t stream_count, reader_count, service_count, counter_count;
};

/* 0 or -ENOMEM. estate_fini accepts all zero. */
int estate_init(struct estate *e, const char *bus_dir);
void estate_fini(struct estate *e);

/* estate_look: read all pages anew. What can not be read is left out. */
void estate_look(struct estate *e);

/* estate_write: append the families of streams, readers, services and of this process. */
void estate_write(struct text *t, const struct estate *e, const struct estate_feed *feeds,
                  size_t feed_count);

/* For estate_text.c and its test: the metric that a statistics page's counter becomes, or false if
 * its name is not fit. *out_scale: what its value is to be multiplied by. */
bool estate_metric_name(const char *counter, bool is_counter, char *out, size_t out_bytes,
                        double *out_scale);
/* Sort the services' counters by metric name, so that a family stands together. */
void estate_index_counters(struct estate *e);

#endif
