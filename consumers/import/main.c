/*
 * tickbus import: what `tickbus export` wrote, back into a journal, record by record the same, or onto a
 * stream of a bus.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/service.h>

#include "consumers/import/rows.h"
#include "consumers/import/sink.h"
#include "consumers/journals/journals.h"

#define PROGRAM "tickbus import"

struct options {
    const char *into, *bus, *directory, *stream, *format;
    int64_t segment_bytes, capacity;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    {"into", TB_OPTION_STRING, O(into),
     .help = "a journal's directory (the file goes to INTO/BUS/STREAM), or bus: onto a stream"},
    {"bus", TB_OPTION_STRING, O(bus), .fallback = "default", .help = "name of the bus"},
    {"directory", TB_OPTION_STRING, O(directory),
     .help = "base directory of buses instead of $TICKBUS_DIR"},
    {"stream", TB_OPTION_STRING, O(stream),
     .help = "name of the stream; default: the one in the file"},
    {"format", TB_OPTION_STRING, O(format),
     .help = "csv, json or parquet; default: by the file's name, else json"},
    {"segment_bytes", TB_OPTION_BYTES, O(segment_bytes), .fallback = "256MiB", .min = 1 << 20,
     .max = INT64_C(1) << 40, .help = "size of a journal's segments"},
    {"capacity", TB_OPTION_INT, O(capacity), .fallback = "0", .min = 0, .max = 1 << 30,
     .help = "of the stream's ring, a power of two; 0: the default"},
};

static const char usage[] =
    "tickbus import FILE --into=DIR|bus [options]: what tickbus export wrote, back\n"
    "\n"
    "  tickbus import day.parquet --into var/journal --bus demo\n"
    "  zstdcat day.jsonl.zst | tickbus import - --into bus --bus test --stream replayed\n"
    "\n"
    "Into a journal epochs and sequences stay what they were, and the records are the same, byte "
    "for\n"
    "byte; what the journal has already is passed over, so an import that was stopped can be run "
    "again.\n"
    "Onto a bus the stream is made anew, its sequences count from 1.\n"
    "Exit: 0 done; 64 bad command line; 69 no such file, or the stream has a producer; 74 cannot "
    "read or\n"
    "write; 78 the file is not what tickbus export writes, with the line.\n";

struct import {
    struct options options;
    struct rows *rows;
    struct sink sink;
    char place[400];
    char stream[TB_STREAM_BYTES];
};

static int parse_format(const struct options *o, const char *file, enum rows_format *out)
{
    static const char *const names[] = {"csv", "json", "parquet"};
    static const char *const ends[] = {".csv", ".jsonl", ".parquet"};
    *out = ROWS_JSON;
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        size_t length = strlen(file), end = strlen(ends[i]);
        if (o->format == NULL ? length > end && strcmp(file + length - end, ends[i]) == 0
                              : strcmp(o->format, names[i]) == 0) {
            *out = (enum rows_format)i;
            return 0;
        }
    }
    return o->format == NULL
               ? 0
               : tool_fault(TB_EXIT_USAGE, "--format=%s: csv, json or parquet", o->format);
}

static int open_sink(struct import *m, struct tb_error *err)
{
    const struct options *o = &m->options;
    char bus_dir[256];
    if (!tb_name_check(m->stream))
        return tb_fail(err, -EINVAL, "\"%s\" is not the name of a stream: give --stream",
                       m->stream);
    if (strcmp(o->into, "bus") != 0)
        return sink_open_journal(&m->sink, o->into, o->bus, m->stream, (uint64_t)o->segment_bytes,
                                 err);
    int rc = tb_bus_dir(o->directory, o->bus, bus_dir, sizeof(bus_dir), err);
    return rc != 0 ? rc : sink_open_ring(&m->sink, bus_dir, m->stream, (uint64_t)o->capacity, err);
}

/* The first row names the stream. JSON has no header in which to look for what every row needs. */
static int first_row(struct import *m, const struct fields *fields, struct tb_error *err)
{
    static const char *const needed[] = {"stream", "epoch", "type", "instrument"};
    for (size_t i = 0; i < TB_COUNT(needed); i++)
        if (fields_find(fields, needed[i]) == NULL)
            return tb_fail(
                err, -EPROTO,
                "field %s is missing: only a whole export (without --fields) is imported",
                needed[i]);
    const char *stream =
        m->options.stream != NULL ? m->options.stream : fields_text(fields, "stream");
    snprintf(m->stream, sizeof(m->stream), "%s", stream == NULL ? "" : stream);
    return open_sink(m, err);
}

static int take_row(struct import *m, const struct fields *fields, struct tb_error *err)
{
    const char *type = fields_text(fields, "type");
    uint64_t epoch = fields_unsigned(fields, "epoch", 0);
    uint64_t id = fields_unsigned(fields, "instrument", UINT64_MAX);
    if (id > UINT16_MAX)
        return tb_fail(err, -EINVAL, "field instrument is missing or out of range");
    if (type != NULL && strcmp(type, "instrument") == 0) {
        struct tb_instrument entry;
        int rc = fields_instrument(fields, &entry, err);
        return rc != 0 ? rc : sink_instrument(&m->sink, epoch, (uint16_t)id, &entry, err);
    }
    struct tb_record record;
    int rc = fields_record(fields, sink_entry(&m->sink, epoch, (uint16_t)id), &record, err);
    return rc != 0 ? rc : sink_record(&m->sink, epoch, &record, err);
}

static int exit_code(int rc)
{
    switch (rc) {
    case -EINVAL:
    case -EPROTO:
    case -EBADMSG:
        return TB_EXIT_CONFIG;
    case -ENOENT:
    case -EBUSY:
        return TB_EXIT_UNAVAILABLE;
    default:
        return TB_EXIT_IO;
    }
}

static int run(struct import *m, struct tb_error *err)
{
    struct progress progress = {.what = "import"};
    struct fields fields;
    uint64_t done, total;
    bool first = true;
    int rc;
    while ((rc = rows_next(m->rows, &fields, err)) == 1) {
        if (first && (rc = first_row(m, &fields, err)) != 0)
            break;
        first = false;
        if ((rc = take_row(m, &fields, err)) != 0)
            break;
        if (m->sink.records % 1024 == 0) {
            rows_progress(m->rows, &done, &total);
            progress_show(&progress, done, total, m->sink.records);
        }
    }
    progress_end(&progress);
    if (rc == 0 && first)
        return tb_fail(err, -EPROTO, "there is no row in it");
    return rc;
}

static int import(struct import *m, const char *file)
{
    struct tb_error err = {""}, end = {""};
    enum rows_format format;
    int rc = parse_format(&m->options, file, &format);
    if (rc != 0)
        return rc;
    rc = rows_open(file, format, &m->rows, &err);
    if (rc != 0)
        return tool_fault(exit_code(rc), "%s: %s", file, err.text);
    rc = run(m, &err);
    int ended = sink_close(&m->sink, rc == 0, &end);
    rows_place(m->rows, m->place, sizeof(m->place));
    rows_close(m->rows);
    if (rc == -EINTR)
        return tool_fault(TB_EXIT_IO, "stopped by a signal after %" PRIu64 " records",
                          m->sink.records);
    if (rc != 0)
        return tool_fault(exit_code(rc), "%s: %s", m->place, err.text);
    if (ended != 0)
        return tool_fault(TB_EXIT_IO, "%s", ended == -EINTR ? "stopped by a signal" : end.text);
    (void)tool_fault(0,
                     "%" PRIu64 " records of %" PRIu64 " epochs into %s, %" PRIu64
                     " that were there passed over, %" PRIu64 " holes in the sequences",
                     m->sink.records, m->sink.epochs, m->stream, m->sink.kept, m->sink.holes);
    return TB_EXIT_OK;
}

int main(int argc, char **argv)
{
    static struct import m;
    static struct tb_config_memory memory;
    tool_start(PROGRAM);
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &m.options, &memory,
                                    argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands != 1 || m.options.into == NULL)
        return tool_fault(TB_EXIT_USAGE, "FILE and --into are needed; --help lists the options");
    if (!tb_name_check(m.options.bus))
        return tool_fault(TB_EXIT_USAGE, "--bus=%s is not the name of a bus", m.options.bus);
    int code = import(&m, argv[0]);
    tb_config_release(&memory);
    return code;
}
