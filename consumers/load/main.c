/* tickbus load: the order of things. See load.h. */
#include "consumers/load/load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#define PROGRAM "tickbus load"

struct load_options {
    const char *venue, *db;
    bool via_socket, append, keep, json;
};

#define O(field) offsetof(struct load_options, field)

static const struct tb_option options[] = {
    {"venue", TB_OPTION_STRING, O(venue), .required = true,
     .help = "whose captures they are, by its ccxt name"},
    {"db", TB_OPTION_STRING, O(db), .required = true, .help = "the database file to make"},
    {"append", TB_OPTION_BOOL, O(append), .help = "add to a database that holds other data"},
    {"via_socket", TB_OPTION_BOOL, O(via_socket),
     .help = "through `venue` and `feed` over loopback, not `replay`"},
    {"keep", TB_OPTION_BOOL, O(keep),
     .help = "leave the private bus, with its logs, and say where it is"},
    {"json", TB_OPTION_BOOL, O(json), .help = "the summary as one JSON object"},
};

static const char usage[] =
    "tickbus load --venue VENUE --db OUT.db CAPTURE...: recorded sessions into a database, in one "
    "go\n"
    "\n"
    "  tickbus load --venue binance --db day.db spot_btcusdt_20240808.gz spot_btcusdt_20240809.gz\n"
    "\n"
    "The captures are the files of one session, WebSocket and HTTP, in any order. They play on a "
    "private\n"
    "bus with every consumer, as fast as all can follow. OUT.db appears when all is in it. What it "
    "holds\n"
    "already is not loaded again.\n"
    "\n"
    "Exit: 0 all is stored; 64 bad command line; 66 a capture cannot be read; 73 OUT.db cannot be "
    "made,\n"
    "or holds other data; 74 failed; 75 stored, but something was lost or unreadable; 130 "
    "interrupted.\n";

static void print_json(const struct load_options *o, const struct load_result *r)
{
    char db[TB_QUOTE_BYTES];
    size_t used = 0;
    for (const char *c = o->db; *c != '\0' && used + 8 < sizeof(db); c++) {
        if (*c == '"' || *c == '\\')
            db[used++] = '\\';
        if ((unsigned char)*c >= 0x20)
            db[used++] = *c;
    }
    db[used] = '\0';
    printf("{\"venue\":\"%s\",\"db\":\"%s\",\"loaded_already\":%s,\"records\":%" PRId64
           ",\"trades\":%" PRId64 ",\"candles\":%" PRId64 ",\"snapshots\":%" PRId64
           ",\"alerts\":%" PRId64 ",\"gaps\":%" PRId64 ",\"lost\":%" PRId64
           ",\"frames_bad\":%" PRId64 ",\"capture_faults\":%" PRId64
           ",\"seconds\":%.3f,\"records_per_second\":%.0f}\n",
           o->venue, db, r->there_already ? "true" : "false", r->records, r->trades, r->candles,
           r->snapshots, r->alerts, r->gaps, r->lost, r->frames_bad, r->faults, r->seconds,
           r->seconds > 0 ? (double)r->records / r->seconds : 0.0);
}

static void print_text(const struct load_options *o, const struct load_result *r)
{
    if (r->there_already)
        printf("%s holds these captures already; nothing to do\n", o->db);
    else
        printf("loaded into %s: %" PRId64 " records in %.2f s, %.0f records/s\n", o->db, r->records,
               r->seconds, r->seconds > 0 ? (double)r->records / r->seconds : 0.0);
    printf("  rows: %" PRId64 " trades, %" PRId64 " candles, %" PRId64
           " of book snapshots, %" PRId64 " alerts, %" PRId64 " gaps\n",
           r->trades, r->candles, r->snapshots, r->alerts, r->gaps);
    printf("  lost: %" PRId64 " records, %" PRId64 " bad frames, %" PRId64 " faults in captures\n",
           r->lost, r->frames_bad, r->faults);
}

static int summary(const struct load_options *o, const struct load_result *r)
{
    if (o->json)
        print_json(o, r);
    else
        print_text(o, r);
    return r->lost + r->frames_bad + r->faults > 0 ? TB_EXIT_LOST : TB_EXIT_OK;
}

static int say(const struct tb_error *err, int code)
{
    fprintf(stderr, PROGRAM ": %s\n", err->text);
    return code;
}

/* With the output open: the bus, and the result in its place. Returns the exit code. */
static int load(const struct load_options *o, const struct load_captures *captures,
                struct load_output *output)
{
    static struct load_bus bus;
    struct load_result result = {0};
    struct tb_error err = {""};
    char absolute[sizeof(output->loading) + LOAD_PATH_BYTES] = "";
    if (output->loading[0] != '/' && getcwd(absolute, LOAD_PATH_BYTES) == NULL)
        return say(&err, TB_EXIT_IO);
    (void)snprintf(absolute + strlen(absolute), sizeof(absolute) - strlen(absolute), "%s%s",
                   absolute[0] != '\0' ? "/" : "", output->loading);
    tb_ns begun = tb_clock_mono();
    int rc = load_bus_open(&bus, o->venue, captures, absolute, o->via_socket, o->keep, &err);
    if (rc == 0)
        rc = load_bus_run(&bus, isatty(STDERR_FILENO) && !o->json, &err);
    if (rc != -EINTR)
        load_bus_complaints(&bus);
    if (rc == 0)
        load_bus_collect(&bus, &result);
    load_bus_close(&bus);
    if (o->keep && bus.directory[0] != '\0')
        fprintf(stderr, PROGRAM ": the private bus is kept in %s\n", bus.directory);
    if (rc == 0)
        rc = load_output_finish(output, o->venue, captures, &result, &err);
    if (rc == -EINTR) {
        fprintf(stderr, PROGRAM ": interrupted; %s is as it was\n", o->db);
        return LOAD_EXIT_INTERRUPTED;
    }
    if (rc != 0)
        return say(&err, rc == -EINVAL ? TB_EXIT_USAGE : TB_EXIT_IO);
    result.seconds = (double)(tb_clock_mono() - begun) / 1e9;
    return summary(o, &result);
}

int main(int argc, char **argv)
{
    static struct load_options o;
    static struct load_captures captures;
    static struct load_output output;
    struct tb_config_memory memory = {0};
    struct load_result there = {0};
    struct tb_error err = {""};
    /* Handled where the load waits: sigtimedwait. What is done before and after that is soon over. */
    sigset_t set;
    tb_command_signals(&set);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* can not fail */

    int count =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (count < 0)
        return count == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (!tb_name_check(o.venue))
        return fprintf(stderr, PROGRAM ": \"%s\" is no venue's name; see " PROGRAM " --help\n",
                       o.venue),
               TB_EXIT_USAGE;
    if (count == 0)
        return fprintf(stderr, PROGRAM ": no capture was given; see " PROGRAM " --help\n"),
               TB_EXIT_USAGE;

    int code;
    if (load_captures_open(o.venue, (const char *const *)argv, (size_t)count, &captures, &err) != 0)
        code = say(&err, LOAD_EXIT_NO_INPUT);
    else if (load_output_open(&output, o.db, o.append, captures.tag, &there, &err) != 0)
        code = say(&err, LOAD_EXIT_CANNOT_CREATE);
    else if (there.there_already)
        code = summary(&o, &there);
    else
        code = load(&o, &captures, &output);
    load_output_close(&output);
    load_captures_close(&captures);
    tb_config_release(&memory);
    return code;
}
