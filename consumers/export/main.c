/*
 * tickbus export: a stream's journal as CSV, JSON lines or Parquet. Streams: memory does not grow with
 * the journal. What is exported whole, import makes into the same records again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/place.h>
#include <tickbus/service.h>

#include "consumers/journals/journals.h"
#include "consumers/parquet/schema.h"
#include "consumers/records/records.h"

#define PROGRAM "tickbus export"
#define BATCH 512
#define GROUP_ROWS 65536 /* Parquet: bounds what is in memory */
#define COLUMNS_MAX 96

enum format { FORMAT_CSV, FORMAT_JSON, FORMAT_PARQUET };

struct options {
    const char *format, *o, *from, *to;
    struct filter_options filter;
    struct tb_list fields;
    int compression;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    {"o", TB_OPTION_STRING, O(o),
     .help = "file to write, under its name once it is whole; default: stdout"},
    {"format", TB_OPTION_STRING, O(format),
     .help = "csv, json or parquet; default: by the name of the file, else json"},
    {"from", TB_OPTION_STRING, O(from),
     .help = "oldest, a sequence, a time (2026-01-01T09:30) or -5m"},
    {"to", TB_OPTION_STRING, O(to), .help = "last sequence or time"},
    FILTER_OPTIONS(struct options, filter),
    {"fields", TB_OPTION_LIST, O(fields),
     .help = "only these fields, in this order, and no rows of instruments: can not be imported"},
    {"compression", TB_OPTION_ENUM, O(compression), .fallback = "zstd", .choices = "none|zstd",
     .help = "of the pages of Parquet"},
};

static const char usage[] =
    "tickbus export PATH [options]: a stream's journal as CSV, JSON lines or Parquet\n"
    "\n"
    "  tickbus export var/journal/demo/binance --type trade -o trades.parquet\n"
    "  tickbus export var/journal/demo/binance --from 09:30 --to 10:00 --format csv\n"
    "\n"
    "PATH: a stream's directory or one of its segments. Field names and the columns of Parquet:\n"
    "include/tickbus/FIELDS.md. Times are UTC; --from and --to mean the time of publication.\n"
    "Exit: 0 done; 64 bad command line; 69 no such journal; 74 cannot read or write; 75 damage: "
    "some\n"
    "records could not be had.\n";

struct export
{
    struct options options;
    enum format format;
    struct tb_place from, to;
    struct filter filter;
    struct line_style style;
    const char *columns[COLUMNS_MAX];
    struct schema schema;
    struct tb_journal *journal;
    struct journals journals;
    struct parquet_writer *parquet;
    FILE *out;
    char temporary[512];
    uint64_t epoch;       /* whose instruments are written */
    uint16_t instruments; /* how many of them */
    uint64_t seen, written, lost;
};

/* ---- options ---- */

static int parse_format(struct export *x)
{
    static const char *const names[] = {"csv", "json", "parquet"};
    static const char *const ends[] = {".csv", ".jsonl", ".parquet"};
    const char *name = x->options.format, *file = x->options.o;
    x->format = FORMAT_JSON;
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        size_t length = file == NULL ? 0 : strlen(file), end = strlen(ends[i]);
        if (name == NULL ? length > end && strcmp(file + length - end, ends[i]) == 0
                         : strcmp(name, names[i]) == 0) {
            x->format = (enum format)i;
            return 0;
        }
    }
    if (name != NULL)
        return tool_fault(TB_EXIT_USAGE, "--format=%s: csv, json or parquet", name);
    return 0;
}

static int parse_columns(struct export *x)
{
    size_t count;
    const struct column *table = fields_table(&count);
    const struct tb_list *fields = &x->options.fields;
    TB_ASSERT(count <= COLUMNS_MAX);
    for (size_t i = 0; i < fields->count; i++) {
        size_t k = 0;
        while (k < count && strcmp(table[k].name, fields->item[i]) != 0)
            k++;
        if (k == count || i == COLUMNS_MAX)
            return tool_fault(TB_EXIT_USAGE, "--fields: there is no field \"%s\"; see FIELDS.md",
                              fields->item[i]);
        x->columns[i] = table[k].name;
    }
    x->style.format = x->format == FORMAT_CSV ? LINE_AS_CSV : LINE_AS_JSON;
    x->style.columns = x->columns;
    x->style.column_count = fields->count;
    schema_make(fields->count > 0 ? x->columns : NULL, fields->count, &x->schema);
    if (fields->count > 0)
        return 0;
    if (x->format == FORMAT_JSON) {
        x->style.columns = NULL; /* the fields that each record has */
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        x->columns[i] = table[i].name;
    x->style.column_count = count;
    return 0;
}

static int parse_all(struct export *x)
{
    struct tb_error err = {""};
    const struct options *o = &x->options;
    if (filter_begin(&x->filter, &o->filter, &err) != 0 ||
        tb_place_parse("from", o->from, &x->from, &err) != 0 ||
        tb_place_parse("to", o->to, &x->to, &err) != 0)
        return tool_fault(TB_EXIT_USAGE, "%s", err.text);
    if (x->from.kind == TB_PLACE_NEWEST || x->to.kind == TB_PLACE_NEWEST ||
        x->to.kind == TB_PLACE_OLDEST)
        return tool_fault(TB_EXIT_USAGE,
                          "--from is oldest, a sequence or a time, --to one of the last two");
    int rc = parse_format(x);
    if (rc == 0)
        rc = parse_columns(x);
    if (rc == 0 && x->format == FORMAT_PARQUET && o->o == NULL && isatty(STDOUT_FILENO))
        return tool_fault(TB_EXIT_USAGE,
                          "Parquet is for files and pipes, not for a terminal: use -o FILE");
    return rc;
}

/* ---- output ---- */

static int open_output(struct export *x)
{
    const char *name = x->options.o;
    x->out = stdout;
    if (name != NULL) {
        int n = snprintf(x->temporary, sizeof(x->temporary), "%s.part", name);
        if (n >= (int)sizeof(x->temporary))
            return tool_fault(TB_EXIT_USAGE, "-o %s: the name is too long", name);
        x->out = fopen(x->temporary, "we");
        if (x->out == NULL)
            return tool_fault(TB_EXIT_IO, "cannot write %s: %s", x->temporary, strerror(errno));
    }
    if (x->format == FORMAT_PARQUET) {
        int rc = parquet_create(x->out, x->schema.column, x->schema.count,
                                x->options.compression == 1, GROUP_ROWS, &x->parquet);
        return rc == 0 ? 0 : tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(-rc));
    }
    char header[LINE_BYTES];
    size_t count = line_header(&x->style, header);
    return fwrite(header, 1, count, x->out) == count
               ? 0
               : tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(errno));
}

static int write_row(struct export *x, const struct fields *fields)
{
    if (x->format == FORMAT_PARQUET) {
        struct parquet_value row[PARQUET_COLUMNS_MAX];
        schema_row(&x->schema, fields, row);
        return parquet_put(x->parquet, row);
    }
    char line[LINE_BYTES];
    size_t count = line_fields(&x->style, fields, line);
    return fwrite(line, 1, count, x->out) == count ? 0 : -errno;
}

/* The whole file under its name, or nothing. */
static int close_output(struct export *x, int code)
{
    bool good = code == TB_EXIT_OK || code == TB_EXIT_LOST;
    int rc = parquet_close(x->parquet, !good);
    if (x->out == NULL)
        return code;
    if (fflush(x->out) != 0 && rc == 0)
        rc = -errno;
    if (x->options.o != NULL && good && rc == 0 && fdatasync(fileno(x->out)) != 0)
        rc = -errno;
    if (x->out != stdout)
        (void)fclose(x->out); /* flushed and synced above */
    if (x->options.o != NULL && good && rc == 0 && rename(x->temporary, x->options.o) != 0)
        rc = -errno;
    if (x->options.o != NULL && (!good || rc != 0))
        (void)unlink(x->temporary); /* at worst it stays */
    return good && rc != 0 ? tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(-rc)) : code;
}

/* ---- records ---- */

/* What a row of an instrument says must stand before the first record that names it. */
static int write_instruments(struct export *x, const char *stream, uint64_t epoch)
{
    struct fields fields;
    int rc = 0;
    if (epoch != x->epoch)
        x->instruments = 0;
    x->epoch = epoch;
    uint16_t count = tb_journal_instrument_count(x->journal);
    for (; x->instruments < count && rc == 0; x->instruments++) {
        uint16_t id = (uint16_t)(x->instruments + 1);
        const struct tb_instrument *entry = tb_journal_instrument(x->journal, id);
        if (entry == NULL || x->options.fields.count > 0)
            continue;
        fields_of_instrument(stream, epoch, id, entry, &fields);
        rc = write_row(x, &fields);
    }
    return rc;
}

static int write_records(struct export *x, const char *stream, const struct tb_record *records,
                         long count, uint64_t epoch, bool *out_end)
{
    int rc = write_instruments(x, stream, epoch);
    for (long i = 0; i < count && rc == 0; i++) {
        const struct tb_record *r = &records[i];
        struct record_item item = {stream, epoch, r,
                                   tb_journal_instrument(x->journal, r->instrument)};
        struct fields fields;
        if (tb_place_behind(&x->to, r)) {
            *out_end = true;
            break;
        }
        x->seen++;
        if (tb_place_before(&x->from, r) || !filter_match(&x->filter, &item))
            continue;
        fields_of_export(&item, x->format == FORMAT_PARQUET, &fields);
        rc = write_row(x, &fields);
        x->written++;
    }
    return rc;
}

static void seek(struct export *x)
{
    tb_journal_seek_oldest(x->journal);
    if (x->from.kind == TB_PLACE_TIME)
        (void)tb_journal_seek_time(x->journal, x->from.time); /* 1: nothing comes */
    if (x->from.kind == TB_PLACE_SEQ)
        (void)tb_journal_seek(x->journal, journals_newest_epoch(x->journal), x->from.seq);
}

static int run(struct export *x, const char *stream)
{
    static struct tb_record records[BATCH];
    struct tb_journal_damage damage;
    struct progress progress = {.what = "export"};
    uint64_t epoch, total = journals_records(x->journal);
    bool end = false;
    int rc = 0;
    seek(x);
    while (!end && rc == 0) {
        if (tool_stopped)
            return tool_fault(TB_EXIT_IO, "stopped by a signal: nothing is written");
        long n = tb_journal_read(x->journal, records, BATCH, &epoch, &damage);
        if (n == 0)
            break;
        if (n == -EBADMSG) {
            x->lost += damage.to - damage.from + 1;
            (void)tool_fault(0, "damaged: sequences %" PRIu64 " to %" PRIu64 " are missing: %s",
                             damage.from, damage.to, damage.what);
        } else if (n < 0) {
            return tool_fault(TB_EXIT_IO, "cannot read the journal: %s", strerror((int)-n));
        } else {
            rc = write_records(x, stream, records, n, epoch, &end);
            progress_show(&progress, x->seen, total, x->seen);
        }
    }
    progress_end(&progress);
    journals_fallback(x->journal);
    if (rc == -EPIPE)
        return TB_EXIT_OK; /* the reader of our output has gone */
    if (rc != 0)
        return tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(-rc));
    return x->lost > 0 ? TB_EXIT_LOST : TB_EXIT_OK;
}

static int open_journal(struct export *x, const char *path)
{
    struct tb_error err = {""};
    int rc = journals_find(path, &x->journals, &err);
    if (rc != 0)
        return tool_fault(rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO, "%s", err.text);
    if (x->journals.count != 1)
        return tool_fault(TB_EXIT_USAGE, "%s holds %zu streams: name one, such as %s", path,
                          x->journals.count, x->journals.item[0].path);
    rc = tb_journal_open(x->journals.item[0].path, &x->journal, &err);
    return rc == 0 ? 0 : tool_fault(TB_EXIT_IO, "%s", err.text);
}

int main(int argc, char **argv)
{
    static struct export x;
    static struct tb_config_memory memory;
    tool_start(PROGRAM);
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &x.options, &memory,
                                    argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands != 1)
        return tool_fault(TB_EXIT_USAGE, "one PATH is needed; --help lists the options");
    (void)signal(SIGPIPE, SIG_IGN);
    int code = parse_all(&x);
    if (code == 0)
        code = open_journal(&x, argv[0]);
    if (code == 0)
        code = open_output(&x);
    if (code == 0)
        code = run(&x, x.journals.item[0].stream);
    code = close_output(&x, code);
    if (code == TB_EXIT_OK || code == TB_EXIT_LOST)
        (void)tool_fault(0, "%" PRIu64 " records of %s exported, %" PRIu64 " missing", x.written,
                         x.journals.item[0].stream, x.lost);
    tb_journal_close(x.journal);
    journals_free(&x.journals);
    tb_config_release(&memory);
    return code;
}
