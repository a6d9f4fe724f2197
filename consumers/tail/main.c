/*
 * tickbus tail: the records of a bus as lines. Reads only: no cursor page, no wait file, so the bus
 * does not notice, and it works as well when every process of the bus is dead.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/reader.h>
#include <tickbus/place.h>
#include <tickbus/service.h>

#include "consumers/tool/tool.h"
#include "follow.h"
#include "consumers/records/records.h"

#define PROGRAM "tickbus tail"
/* Between two looks when nothing comes: unnoticeable to a person, 1 % of a core at most. */
#define LOOK_EVERY (5 * TB_NS_PER_MS)
#define SCAN_EVERY TB_NS_PER_S
#define COLUMNS_MAX 64

struct options {
    const char *bus, *directory, *from, *to, *format;
    struct filter_options filter;
    struct tb_list stream, fields;
    bool follow, f, once, json, rate, local, no_color;
    int64_t n, count;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    TOOL_BUS_OPTIONS(struct options),
    {"stream", TB_OPTION_LIST, O(stream), .help = "streams; default: all of the bus"},
    {"follow", TB_OPTION_BOOL, O(follow), .help = "go on with what comes; default on a terminal"},
    {"f", TB_OPTION_BOOL, O(f), .help = "same as --follow"},
    {"once", TB_OPTION_BOOL, O(once), .help = "what is there now, and end; default in a pipe"},
    {"n", TB_OPTION_INT, O(n), .min = 0, .max = INT64_MAX, .fallback = "10",
     .help = "begin with the last so many matching records of each stream"},
    {"from", TB_OPTION_STRING, O(from),
     .help = "oldest, newest, a sequence, a time (2026-01-01T09:30, 09:30) or -5m"},
    {"to", TB_OPTION_STRING, O(to), .help = "last sequence or time"},
    {"count", TB_OPTION_INT, O(count), .min = 0, .max = INT64_MAX,
     .help = "end after so many lines"},
    FILTER_OPTIONS(struct options, filter),
    {"format", TB_OPTION_STRING, O(format), .fallback = "text", .help = "text, json, csv or raw"},
    {"json", TB_OPTION_BOOL, O(json), .help = "same as --format=json"},
    {"fields", TB_OPTION_LIST, O(fields), .help = "only these fields, in this order"},
    {"rate", TB_OPTION_BOOL, O(rate), .help = "records per second instead of the records"},
    {"local", TB_OPTION_BOOL, O(local), .help = "times in the local zone instead of UTC"},
    {"no_color", TB_OPTION_BOOL, O(no_color), .help = "no colours; NO_COLOR does the same"},
};

static const char usage[] =
    "tickbus tail [options] [STREAM...|PATH...]: the records of a bus, or of journals, as lines\n"
    "\n"
    "  tickbus tail -f --type trade --symbol 'BTC/*' --where 'size >= 0.5'\n"
    "  tickbus tail --from oldest --json | jq .price\n"
    "  tickbus tail var/journal/demo/binance --from 09:30 --type trade\n"
    "\n"
    "Records go to stdout; gaps, overruns, what happens to producers and a summary go to stderr.\n"
    "Never writes to the bus, and reads what is there when all its processes are dead.\n"
    "Field names: include/tickbus/FIELDS.md. Times are UTC, RFC 3339; --from and --to mean the "
    "time of\n"
    "publication.\n"
    "Exit: 0 done; 64 bad command line; 69 no such bus or stream; 74 a stream is damaged, or "
    "output\n"
    "failed; 75 records were lost to overruns or damage.\n";

struct tail {
    struct options options;
    struct line_style style;
    struct filter filter;
    struct follow follow;
    const char *columns[COLUMNS_MAX];
    uint64_t printed;
    bool show_gaps; /* gap records are lines on stdout as well */
    bool both;      /* stdout and stderr are the same terminal: keep their order */
    bool paths;     /* the operands are journals */
    struct journals journals;
    bool quiet_end; /* the reader of our output has gone */
    uint64_t rate_seen[FOLLOW_STREAMS_MAX];
};

/* ---- options ---- */

static int parse_format(struct tail *t)
{
    static const char *const names[] = {"text", "json", "csv", "raw"};
    const char *name = t->options.json ? "json" : t->options.format;
    for (size_t i = 0; i < TB_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            t->style.format = (enum line_format)i;
            if (t->style.format == LINE_AS_RAW && isatty(STDOUT_FILENO))
                return tool_fault(-EINVAL,
                                  "--format=raw is for pipes and files, not for a terminal");
            return 0;
        }
    return tool_fault(-EINVAL, "--format=%s: text, json, csv or raw", name);
}

static int parse_filter(struct tail *t)
{
    struct tb_error err = {""};
    const struct options *o = &t->options;
    if (filter_begin(&t->filter, &o->filter, &err) != 0)
        return tool_fault(-EINVAL, "%s", err.text);
    if (o->fields.count > COLUMNS_MAX)
        return tool_fault(-EINVAL, "--fields: more than %d", COLUMNS_MAX);
    for (size_t i = 0; i < o->fields.count; i++) {
        if (!fields_known(o->fields.item[i])) {
            size_t known = 0;
            while (fields_columns()[known] != NULL)
                known++;
            const char *near = tb_nearest(o->fields.item[i], fields_columns(), known);
            return tool_fault(-EINVAL, "--fields: there is no field \"%s\"%s%s", o->fields.item[i],
                              near ? "; did you mean " : "", near ? near : "");
        }
        t->columns[i] = o->fields.item[i];
    }
    t->style.columns = o->fields.count ? t->columns : NULL;
    t->style.column_count = o->fields.count;
    return 0;
}

static int parse_streams(struct tail *t, int operands, char **argv, const char **names)
{
    const struct options *o = &t->options;
    size_t count = 0;
    for (size_t i = 0; i < o->stream.count + (size_t)operands; i++) {
        const char *name = i < o->stream.count ? o->stream.item[i] : argv[i - o->stream.count];
        if (i >= o->stream.count && journals_is_path(name)) {
            t->paths = true;
            continue;
        }
        if (!tb_name_check(name))
            return tool_fault(-EINVAL, "\"%s\" is not the name of a stream", name);
        if (count == FOLLOW_STREAMS_MAX)
            return tool_fault(-EINVAL, "more than %d streams", FOLLOW_STREAMS_MAX);
        names[count++] = name;
    }
    if (t->paths && count > 0)
        return tool_fault(-EINVAL, "streams of a bus and journals are not shown together");
    t->follow.wanted = names;
    t->follow.wanted_count = count;
    return 0;
}

static int parse_all(struct tail *t, int operands, char **argv, const char **names)
{
    const struct options *o = &t->options;
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDOUT_FILENO) != 0;

    struct tb_error err = {""};
    if (parse_format(t) != 0 || parse_filter(t) != 0 ||
        parse_streams(t, operands, argv, names) != 0)
        return -EINVAL;
    if (tb_place_parse("from", o->from, &t->follow.from, &err) != 0 ||
        tb_place_parse("to", o->to, &t->follow.to, &err) != 0)
        return tool_fault(-EINVAL, "%s", err.text);
    if (o->once && (o->follow || o->f))
        return tool_fault(-EINVAL, "--once and --follow contradict each other");
    if (t->follow.to.kind == TB_PLACE_OLDEST || t->follow.to.kind == TB_PLACE_NEWEST)
        return tool_fault(-EINVAL,
                          "--to is a sequence or a time; to end at the newest record use --once");
    if (t->follow.from.kind == TB_PLACE_NONE && t->follow.to.kind != TB_PLACE_NONE)
        t->follow.from.kind = TB_PLACE_OLDEST;
    t->follow.following = o->follow || o->f || o->rate || (terminal && !o->once);
    if (o->rate && o->from == NULL)
        t->follow.from.kind = TB_PLACE_NEWEST;
    t->follow.last_n = (uint64_t)o->n;
    t->style.local = o->local;
    t->style.colour = terminal && !o->no_color && (no_color == NULL || *no_color == 0) &&
                      (term == NULL || strcmp(term, "dumb") != 0);
    t->both = terminal && isatty(STDERR_FILENO);
    /* As text a gap is a line on stderr already; once is enough, unless it was asked for. */
    t->show_gaps = t->style.format != LINE_AS_TEXT || t->filter.types[0] != 0;
    return 0;
}

/* ---- output ---- */

/* stderr in the right place among the lines of stdout. */
static void say(void *context, const char *line)
{
    struct tail *t = context;
    if (t->both)
        (void)tool_flush();
    fprintf(stderr, PROGRAM ": %s\n", line);
}

static void say_gap(struct tail *t, const struct record_item *item)
{
    const struct tb_gap *g = &item->record->gap;
    const struct tb_instrument *in = item->instrument;
    char line[320], when[LINE_TIME_BYTES];
    snprintf(
        line, sizeof(line),
        "gap stream=%s seq=%" PRIu64 " at=%s venue=%s symbol=%s channel=%s reason=%s from=%" PRIu64
        " to=%" PRIu64 " missing=%" PRIu64,
        item->stream, item->record->seq, line_time(item->record->ts_recv, t->style.local, 6, when),
        in ? in->venue : "-", in ? in->symbol : "-", tb_channel_name(g->channel),
        tb_gap_reason_name(g->reason), g->from, g->to, g->missing);
    say(t, line);
}

static void handle(struct tail *t, const struct record_item *item)
{
    bool gap = item->record->type == TB_GAP;
    if (gap && (item->record->instrument == 0 || filter_market(&t->filter, item)))
        say_gap(t, item);
    if (t->options.rate || (gap && !t->show_gaps) || !filter_match(&t->filter, item))
        return;
    char line[LINE_BYTES];
    tool_write(line, line_print(&t->style, item, line));
    t->printed++;
}

/* One line per stream and second. */
static void print_rates(struct tail *t, double seconds)
{
    char now[LINE_TIME_BYTES];
    line_time(tb_clock_wall(), t->style.local, 3, now);
    for (size_t i = 0; i < t->follow.count; i++) {
        const struct source *s = &t->follow.source[i];
        double rate = (double)(s->seen + s->lost - t->rate_seen[i]) / seconds;
        t->rate_seen[i] = s->seen + s->lost;
        char line[320];
        int n = snprintf(
            line, sizeof(line),
            t->style.format == LINE_AS_JSON
                ? "{\"time\":\"%s\",\"stream\":\"%s\",\"records_per_second\":%.1f,"
                  "\"bytes_per_second\":%.0f,\"seq\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n"
                : "%s  %-16s %12.1f records/s %14.0f B/s  seq=%" PRIu64 " lost=%" PRIu64 "\n",
            now, s->stream, rate, rate * TB_RECORD_BYTES, s->last, s->lost);
        tool_write(line, (size_t)n);
    }
    t->printed++;
}

static void summary(struct tail *t)
{
    for (size_t i = 0; i < t->follow.count; i++) {
        const struct source *s = &t->follow.source[i];
        char line[256];
        snprintf(line, sizeof(line),
                 "summary stream=%s seen=%" PRIu64 " lost=%" PRIu64 " first=%" PRIu64
                 " last=%" PRIu64,
                 s->stream, s->seen, s->lost, s->first, s->last);
        say(t, line);
    }
}

/* ---- the loop ---- */

static bool enough(const struct tail *t)
{
    return tool_stopped || ferror(stdout) ||
           (t->options.count > 0 && t->printed >= (uint64_t)t->options.count);
}

static void run(struct tail *t)
{
    tb_ns next_scan = tb_clock_mono() + SCAN_EVERY;
    tb_ns last_rate = tb_clock_mono();
    struct record_item item;
    struct source *source;

    for (unsigned turn = 0; !enough(t); turn++) {
        bool moved = follow_next(&t->follow, &item, &source);
        if (moved)
            handle(t, &item);
        if (moved && turn % 256 != 0)
            continue;
        tb_ns now = tb_clock_mono();
        if (now >= next_scan && t->follow.following) {
            next_scan = now + SCAN_EVERY;
            follow_look(&t->follow);
            (void)follow_scan(&t->follow, NULL); /* a bus that is gone may come back */
            if (t->options.rate) {
                print_rates(t, (double)(now - last_rate) / (double)TB_NS_PER_S);
                last_rate = now;
                (void)tool_flush();
            }
        }
        if (moved)
            continue;
        if (follow_over(&t->follow))
            break;
        (void)tool_flush();
        struct timespec pause = {.tv_nsec = LOOK_EVERY};
        (void)nanosleep(&pause, NULL); /* cut short by a signal: then we stop */
    }
    t->quiet_end = tool_flush() == EPIPE;
    (void)tool_written();
}

static int exit_code(const struct tail *t)
{
    if (t->quiet_end)
        return TB_EXIT_OK;
    bool broken = ferror(stdout) != 0;
    for (size_t i = 0; i < t->follow.count; i++) {
        if (t->follow.source[i].lost > 0)
            return TB_EXIT_LOST;
        broken = broken || t->follow.source[i].broken;
    }
    return broken ? TB_EXIT_IO : TB_EXIT_OK;
}

/* Every stream that was named must be there; without names at least one. */
static int first_scan(struct tail *t)
{
    struct tb_error err = {""};
    int open = follow_scan(&t->follow, &err);
    if (open < 0)
        return tool_fault(open == -ERANGE ? TB_EXIT_USAGE : TB_EXIT_UNAVAILABLE, "%s", err.text);
    for (size_t i = 0; i < t->follow.wanted_count; i++) {
        bool there = false;
        for (size_t k = 0; k < t->follow.count && !there; k++)
            there = strcmp(t->follow.source[k].stream, t->follow.wanted[i]) == 0;
        if (!there)
            return tool_fault(TB_EXIT_UNAVAILABLE, "no stream \"%s\" in %s", t->follow.wanted[i],
                              t->follow.bus_dir);
    }
    if (t->follow.count == 0 && !t->follow.following)
        return tool_fault(TB_EXIT_UNAVAILABLE, "no stream in %s", t->follow.bus_dir);
    return TB_EXIT_OK;
}

/* The journals that the operands mean. */
static int open_journals(struct tail *t, int operands, char **argv)
{
    struct tb_error err = {""};
    int rc = 0;
    for (int i = 0; i < operands && rc == 0; i++)
        rc = journals_find(argv[i], &t->journals, &err);
    for (size_t i = 0; i < t->journals.count && rc == 0; i++)
        rc = follow_journal(&t->follow, &t->journals.item[i], &err);
    if (rc != 0)
        (void)tool_fault(0, "%s", err.text);
    /* Only now: journals were placed by it. */
    if (t->follow.from.kind == TB_PLACE_NONE || t->follow.from.kind == TB_PLACE_NEWEST)
        t->follow.from.kind = TB_PLACE_OLDEST;
    return rc == 0 ? TB_EXIT_OK : rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
}

int main(int argc, char **argv)
{
    static struct tail t;
    static const char *names[FOLLOW_STREAMS_MAX];
    static struct tb_config_memory memory;
    char bus_dir[256];

    tool_start(PROGRAM);
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &t.options, &memory,
                                    argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (parse_all(&t, operands, argv, names) != 0)
        return TB_EXIT_USAGE;
    int code = t.paths
                   ? TB_EXIT_OK
                   : tool_find_bus(t.options.directory, t.options.bus, bus_dir, sizeof(bus_dir));
    if (code != TB_EXIT_OK)
        return code;

    (void)signal(SIGPIPE, SIG_IGN);
    t.follow.bus_dir = t.paths ? NULL : bus_dir;
    t.follow.filter = &t.filter;
    t.follow.notice = say;
    t.follow.context = &t;
    code = t.paths ? open_journals(&t, operands, argv) : first_scan(&t);
    if (code == TB_EXIT_OK) {
        char header[LINE_BYTES];
        t.style.show_stream = t.follow.count > 1;
        tool_write(header, line_header(&t.style, header));
        run(&t);
        code = exit_code(&t);
        if (!t.quiet_end)
            summary(&t);
    }
    follow_close(&t.follow);
    journals_free(&t.journals);
    tb_config_release(&memory);
    return code;
}
