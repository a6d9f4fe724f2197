/*
 * tickbus journal ls: the segments of journals: what they span, what they take, whether they are whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/service.h>

#include "consumers/journals/journals.h"

#define PROGRAM "tickbus journal ls"

struct options {
    const char *journal;
    bool json, verify;
};

static const struct tb_option options[] = {
    {"journal", TB_OPTION_STRING, offsetof(struct options, journal),
     .help = "base directory of journals, if operands are names of buses (JOURNAL/BUS)"},
    {"verify", TB_OPTION_BOOL, offsetof(struct options, verify),
     .help = "read every page and check every CRC"},
    {"json", TB_OPTION_BOOL, offsetof(struct options, json),
     .help = "one object per segment, and per file that was set aside (\"set_aside\": true)"},
};

static const char usage[] =
    "tickbus journal ls [PATH|BUS...] [options]: the segments of journals\n"
    "\n"
    "  tickbus journal ls var/journal\n"
    "  tickbus journal ls --journal=var/journal demo --verify\n"
    "\n"
    "PATH: a segment, a stream's directory, or a directory with journals "
    "below it; default: this one,\n"
    "or --journal. Times are those of publication, UTC.\n"
    "A file *.damaged was set aside by a start that could use nothing of it: it is "
    "no part of the journal,\nand is kept for a person.\n"
    "Exit: 0 done; 1 --verify found damage; 64 bad command line; 69 no "
    "journal there; 74 cannot read.\n";

struct totals {
    const struct options *options;
    const struct journal_path *at;
    uint64_t segments, records, bytes, bytes_plain, damaged;
    uint64_t aside, aside_bytes;
    char aside_file[640]; /* one of them */
};

/* "256.0M": what fits a column. */
static const char *bytes_text(uint64_t bytes, char out[16])
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 2 < sizeof(units); unit++)
        value /= 1024;
    snprintf(out, 16, unit == 0 ? "%.0f%c" : "%.1f%c", value, units[unit]);
    return out;
}

static const char *state_of(const struct tb_journal_segment *s)
{
    return s->damaged_pages > 0 ? "damaged" : s->closed ? "closed" : "open";
}

static void print_json(const struct totals *t, const struct tb_journal_segment *s)
{
    char from[TB_TIME_BYTES], to[TB_TIME_BYTES];
    bool empty = s->last_seq == 0;
    /* Names of buses, streams and files have no character that JSON would escape. */
    printf("{\"bus\":\"%s\",\"stream\":\"%s\",\"file\":\"%s\",\"epoch\":%" PRIu64
           ",\"first_seq\":%" PRIu64 ",\"last_seq\":%" PRIu64 ",\"records\":%" PRIu64,
           t->at->bus, t->at->stream, s->file, s->epoch, s->first_seq, s->last_seq,
           empty ? 0 : s->last_seq - s->first_seq + 1);
    if (empty)
        printf(",\"from\":null,\"to\":null");
    else
        printf(",\"from\":\"%s\",\"to\":\"%s\"", tb_time_format(s->time_min, from),
               tb_time_format(s->time_max, to));
    printf(",\"bytes\":%" PRIu64 ",\"bytes_plain\":%" PRIu64
           ",\"set_aside\":false,\"closed\":%s,\"compressed\":%s,\"damaged_pages\":",
           s->bytes, s->bytes_plain, s->closed ? "true" : "false",
           s->compressed ? "true" : "false");
    if (t->options->verify)
        printf("%" PRIu64 "}\n", s->damaged_pages);
    else
        printf("null}\n");
}

static void print_text(const struct tb_journal_segment *s)
{
    char from[TB_TIME_BYTES] = "-", to[TB_TIME_BYTES] = "-", bytes[16];
    if (s->last_seq != 0) {
        tb_time_format(s->time_min, from);
        tb_time_format(s->time_max, to);
        from[19] = to[19] = 0; /* seconds are enough here */
    }
    printf("  %20" PRIu64 " %12" PRIu64 " %12" PRIu64 "  %-19s %-19s %8s %6.2f %s", s->epoch,
           s->first_seq, s->last_seq, from, to, bytes_text(s->bytes, bytes),
           s->bytes == 0 ? 0 : (double)s->bytes_plain / (double)s->bytes, state_of(s));
    printf(s->damaged_pages > 0 ? " (%" PRIu64 " pages)\n" : "\n", s->damaged_pages);
}

static int on_segment(void *context, const struct tb_journal_segment *s)
{
    struct totals *t = context;
    t->segments++;
    t->records += s->last_seq == 0 ? 0 : s->last_seq - s->first_seq + 1;
    t->bytes += s->bytes;
    t->bytes_plain += s->bytes_plain;
    t->damaged += s->damaged_pages;
    if (t->options->json)
        print_json(t, s);
    else
        print_text(s);
    return tool_stopped ? -EINTR : 0;
}

static void on_aside(void *context, const char *file, uint64_t bytes)
{
    struct totals *t = context;
    char text[16];
    t->aside++;
    t->aside_bytes += bytes;
    snprintf(t->aside_file, sizeof(t->aside_file), "%s/%s", t->at->path, file);
    if (t->options->json)
        printf("{\"bus\":\"%s\",\"stream\":\"%s\",\"file\":\"%s\",\"bytes\":%" PRIu64
               ",\"set_aside\":true}\n",
               t->at->bus, t->at->stream, file, bytes);
    else
        printf("  set aside: %s %s\n", file, bytes_text(bytes, text));
}

static void tell_aside(const struct totals *t)
{
    char bytes[16];
    if (t->aside == 0)
        return;
    int path = (int)(strstr(t->aside_file, ".tbj.damaged") - t->aside_file) + 4;
    const char *name = strrchr(t->aside_file, '/') + 1;
    int length = path - (int)(name - t->aside_file);
    printf("%" PRIu64
           " files set aside, %s on disk: no part of the journal. To see what of one can be "
           "read:\n  cp %s /tmp/%.*s && tickbus verify /tmp/%.*s\n",
           t->aside, bytes_text(t->aside_bytes, bytes), t->aside_file, length, name, length, name);
}

static int list_one(struct totals *t, const struct journal_path *at)
{
    struct tb_journal *journal;
    struct tb_error err = {""};
    t->at = at;
    if (!t->options->json)
        printf("%s/%s  %s\n  %20s %12s %12s  %-19s %-19s %8s %6s %s\n", at->bus, at->stream,
               at->path, "epoch", "first", "last", "from", "to", "bytes", "ratio", "state");
    int rc = tb_journal_open(at->path, &journal, &err);
    if (rc != 0)
        return tool_fault(TB_EXIT_IO, "%s", err.text);
    rc = tb_journal_list(journal, t->options->verify, on_segment, t, &err);
    tb_journal_close(journal);
    if (rc == 0)
        rc = journals_aside(at->path, on_aside, t, &err);
    return rc == 0 ? 0
                   : tool_fault(TB_EXIT_IO, "%s", tool_stopped ? "stopped by a signal" : err.text);
}

static int find_one(const struct options *o, const char *operand, struct journals *journals)
{
    struct tb_error err = {""};
    char path[512];
    const char *at = operand;
    if (o->journal != NULL && operand != NULL && !journals_is_path(operand)) {
        if (snprintf(path, sizeof(path), "%s/%s", o->journal, operand) >= (int)sizeof(path))
            return tool_fault(TB_EXIT_USAGE, "%s: the path is too long", operand);
        at = path;
    } else if (operand == NULL) {
        at = o->journal != NULL ? o->journal : ".";
    }
    int rc = journals_find(at, journals, &err);
    return rc == 0 ? 0
                   : tool_fault(rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO, "%s", err.text);
}

int main(int argc, char **argv)
{
    static struct options o;
    static struct tb_config_memory memory;
    struct journals journals = {.aside = true};
    struct totals t = {.options = &o};
    tool_start(PROGRAM);
    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    int code = operands == 0 ? find_one(&o, NULL, &journals) : 0;
    for (int i = 0; i < operands && code == 0; i++)
        code = find_one(&o, argv[i], &journals);
    for (size_t i = 0; i < journals.count && code == 0; i++)
        code = list_one(&t, &journals.item[i]);
    if (code == 0 && !o.json) {
        char bytes[2][16];
        printf("%zu streams, %" PRIu64 " segments, %" PRIu64 " records, %s on disk, %s as pages\n",
               journals.count, t.segments, t.records, bytes_text(t.bytes, bytes[0]),
               bytes_text(t.bytes_plain, bytes[1]));
        tell_aside(&t);
    }
    if (fflush(stdout) != 0)
        code = tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(errno));
    journals_free(&journals);
    tb_config_release(&memory);
    return code == 0 && t.damaged > 0 ? 1 : code;
}
