/*
 * One look at a whole bus as plain data, and how it is shown. collect.c fills it from shared
 * memory; this part (rates between two looks, sorting, tables, JSON) does no I/O but write to a
 * FILE.
 */
#ifndef TICKBUS_CONSUMERS_STAT_H
#define TICKBUS_CONSUMERS_STAT_H

#include <stdio.h>

#include <tickbus/base.h>
#include <tickbus/reader.h>
#include <tickbus/stats.h>

#define STAT_STREAMS_MAX 64
#define STAT_READERS_MAX 256
#define STAT_PROCESSES_MAX 96
#define STAT_UNKNOWN INT64_MIN /* of times and ages that can not be told */

struct stat_stream {
    char name[TB_STREAM_BYTES];
    char fault[160]; /* not empty: unreadable, and why; the rest is then not set */
    uint64_t epoch, capacity;
    struct tb_producer producer;
    tb_seq newest;
    unsigned instruments;
    tb_ns last_publish;   /* publish time of the newest record; STAT_UNKNOWN */
    int64_t gaps;         /* "gaps" of the producing process's statistics; -1 if it has none */
    double records_per_s; /* since the look before */
};

struct stat_reader {
    char file[2 * TB_STREAM_BYTES];
    struct tb_cursor_info info;
    char fault[160];
    bool same_epoch; /* reads the stream's present epoch: lag has a meaning */
    uint64_t lag;
    tb_ns lag_time; /* publish time of the newest less that of the next one to read; STAT_UNKNOWN */
};

struct stat_process {
    char name[TB_STREAM_BYTES];
    char fault[160];
    bool alive;
    struct tb_stats_page page;
    double cpu_percent, busy_percent; /* of the last second or so; at first of its whole life */
    int64_t anchor_cpu, anchor_busy, anchor_time; /* where these are measured from */
};

struct stat_look {
    tb_ns time; /* wall clock */
    tb_ns mono;
    char bus_dir[256];
    size_t stream_count, reader_count, process_count;
    struct stat_stream stream[STAT_STREAMS_MAX];
    struct stat_reader reader[STAT_READERS_MAX];
    struct stat_process process[STAT_PROCESSES_MAX];
};

/* stat_rates: fill the rates of `now` from the look before; NULL: it is the first. */
void stat_rates(struct stat_look *now, const struct stat_look *before);

/* stat_alive: is any process of the bus alive? */
bool stat_alive(const struct stat_look *look);
/* stat_lost: records lost by all readers, in all their lives. */
uint64_t stat_lost(const struct stat_look *look);

enum stat_order { STAT_BY_NAME, STAT_BY_LOAD, STAT_BY_TROUBLE, STAT_ORDERS };
const char *stat_order_name(enum stat_order order);

/* stat_sort: by name; by records/s, lag and CPU; by what is dead, lost or failed first. */
void stat_sort(struct stat_look *look, enum stat_order order);

struct stat_style {
    bool colour;
    bool verbose; /* all counters and histograms */
};

void stat_table(const struct stat_look *look, const struct stat_style *style, FILE *out);
/* stat_json: one line, with stable keys (include/tickbus/FIELDS.md). */
void stat_json(const struct stat_look *look, FILE *out);

/* Text of people's units: "1.2M", "3m05s". */
#define STAT_TEXT_BYTES 24
const char *stat_count(double value, char out[STAT_TEXT_BYTES]);
const char *stat_span(tb_ns span, char out[STAT_TEXT_BYTES]);

/* stat_clean: make text of another process fit for a terminal and for JSON, in place: UTF-8
 * without control characters. */
void stat_clean(char *text);

#endif
