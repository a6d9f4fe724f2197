/*
 * tickbus resync: ask running feeds for a fresh snapshot of a market's book, and wait until it is there.
 * The feed is asked over its socket (control.h); that the book was given up and is whole
 * again is seen where everybody sees it: on the stream.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tickbus/clock.h>
#include <tickbus/control.h>
#include <tickbus/service.h>

#include "consumers/markets/markets.h"
#include "consumers/tool/tool.h"

#define PROGRAM "tickbus resync"
#define LOOK_EVERY (5 * TB_NS_PER_MS)
#define ANSWER_NS (5 * TB_NS_PER_S)

struct options {
    const char *bus, *directory, *stream, *venue;
    bool all, no_wait;
    tb_ns timeout;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    TOOL_BUS_OPTIONS(struct options),
    {"stream", TB_OPTION_STRING, O(stream), .help = "only the feed of this stream"},
    {"venue", TB_OPTION_STRING, O(venue), .help = "only feeds of this venue"},
    {"all", TB_OPTION_BOOL, O(all), .help = "every market instead of one"},
    {"no_wait", TB_OPTION_BOOL, O(no_wait), .help = "do not wait for the snapshot"},
    {"timeout", TB_OPTION_DURATION, O(timeout), .fallback = "30s", .min = TB_NS_PER_MS,
     .max = 3600 * TB_NS_PER_S, .help = "longest time to wait for it"},
};

static const char usage[] =
    "tickbus resync [options] SYMBOL | --all: a fresh snapshot of an order book\n"
    "\n"
    "  tickbus resync BTC/USDT\n"
    "  tickbus resync --all --stream binance\n"
    "\n"
    "The feed gives its book up (status unsynced, flag maybe_bad_book) and asks the venue for the\n"
    "whole; a venue that has no snapshots on demand is unsubscribed from and subscribed to anew.\n"
    "One line for each feed. Exit: 0 done; 64 bad command line; 69 refused: no such bus or "
    "market,\n"
    "or the feed does not run; 74 the snapshot did not come in time.\n";

/* ---- waiting ---- */

struct wait {
    unsigned wanted, unsynced, synced;
    bool open[TB_INSTRUMENTS_MAX + 1]; /* by market: given up, not whole again */
    int64_t update_id;
};

static void take(struct wait *w, struct tb_reader *reader, const struct tb_record *record)
{
    const struct tb_instrument *entry = tb_reader_instrument(reader, record->instrument);

    if (record->type != TB_STATUS || entry == NULL)
        return;
    if (record->status.code == TB_STATUS_UNSYNCED && !w->open[entry->market]) {
        w->open[entry->market] = true;
        w->unsynced++;
    } else if (record->status.code == TB_STATUS_SYNCED && w->open[entry->market]) {
        w->open[entry->market] = false;
        w->synced++;
        w->update_id = record->status.detail;
    }
}

static void wait_for(struct wait *w, struct tb_reader *reader, tb_ns timeout)
{
    tb_ns end = tb_clock_mono() + timeout;
    struct tb_record record;
    struct tb_producer producer = {.alive = true};

    while (w->synced < w->wanted && tb_clock_mono() < end && producer.alive) {
        enum tb_read got = tb_reader_next(reader, &record);
        if (got == TB_READ_OK) {
            take(w, reader, &record);
        } else if (got == TB_READ_EMPTY) {
            struct timespec pause = {.tv_nsec = LOOK_EVERY};
            (void)nanosleep(&pause, NULL);
            tb_reader_producer(reader, &producer);
        } else if (got == TB_READ_OVERRUN) {
            (void)tb_reader_resync(
                reader); /* what was missed may have been the answer: time tells */
        } else {
            return;
        }
    }
}

/* ---- one feed ---- */

static int refused(const struct market *m, const char *symbol, const char *reason)
{
    printf("%s on %s: refused: %s\n", symbol, m->stream, reason);
    return TB_EXIT_UNAVAILABLE;
}

static const char *not_running(const struct market *m, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "the feed does not run (%s, pid %u)",
                   m->producer.state == TB_STREAM_DONE      ? "it is done"
                   : m->producer.state == TB_STREAM_STOPPED ? "it was stopped"
                                                            : "it died",
                   m->producer.pid);
    return out;
}

/* Asked, and what came of it, as one line. */
static int resync(const struct options *o, const char *bus_dir, const struct market *m,
                  const char *symbol)
{
    const char *shown = strcmp(symbol, "*") == 0 ? "all markets" : symbol;
    const struct tb_reader_options from = {.from = TB_FROM_NEWEST, .wait = TB_WAIT_SPIN};
    char request[TB_SYMBOL_BYTES + 16], answer[TB_CONTROL_BYTES], why[128];
    static struct wait w;
    struct tb_reader reader;
    struct tb_error err;

    if (!m->producer.alive)
        return refused(m, shown, not_running(m, why, sizeof(why)));
    if (tb_reader_open(bus_dir, m->stream, &from, &reader, &err) != 0)
        return refused(m, shown, err.text);
    tb_ns begun = tb_clock_mono();
    (void)snprintf(request, sizeof(request), "resync %s", symbol);
    int rc = tb_control_ask(bus_dir, m->stream, request, ANSWER_NS, answer);
    int code = TB_EXIT_OK;
    memset(&w, 0, sizeof(w));
    if (rc == -ENOENT || rc == -ECONNREFUSED) {
        code = refused(m, shown, "its producer is no feed, it has nobody to ask");
    } else if (rc != 0) {
        (void)snprintf(why, sizeof(why), "the feed can not be asked: %s", strerror(-rc));
        code = refused(m, shown, why);
    } else if (sscanf(answer, "asked %u", &w.wanted) != 1) {
        printf("%s on %s: %s\n", shown, m->stream, answer);
        code = TB_EXIT_UNAVAILABLE;
    } else if (o->no_wait) {
        printf("%s on %s: %s\n", shown, m->stream, answer);
    } else {
        const char *how = strchr(answer, ':');
        wait_for(&w, &reader, o->timeout);
        tb_ns ms = (tb_clock_mono() - begun) / TB_NS_PER_MS;
        how = how != NULL ? how + 2 : "asked";
        if (w.synced < w.wanted) {
            printf("%s on %s: asked, but %u of %u did not come within %" PRId64 " ms (%s)\n", shown,
                   m->stream, w.wanted - w.synced, w.wanted, ms, how);
            code = TB_EXIT_IO;
        } else if (w.wanted == 1) {
            printf("%s on %s: done in %" PRId64 " ms, update %" PRId64 " (%s)\n", shown, m->stream,
                   ms, w.update_id, how);
        } else {
            printf("%s on %s: done in %" PRId64 " ms, %u books (%s)\n", shown, m->stream, ms,
                   w.synced, how);
        }
    }
    tb_reader_close(&reader, false);
    return code;
}

/* Every feed that has it, or each feed once. */
static int resync_all(const struct options *o, const char *bus_dir, const struct markets *all,
                      const char *symbol)
{
    const char *last = "";
    int code = TB_EXIT_OK;
    bool any = false;

    for (size_t i = 0; i < all->count; i++) {
        const struct market *m = &all->item[i];
        if (!markets_match(m, o->stream, o->venue, o->all ? NULL : symbol) ||
            (o->all && strcmp(m->stream, last) == 0))
            continue;
        int rc = resync(o, bus_dir, m, o->all ? "*" : symbol);
        code = rc != TB_EXIT_OK ? rc : code;
        last = m->stream;
        any = true;
    }
    if (any)
        return code;
    char nearby[MARKETS_NEAR_BYTES] = "", text[MARKETS_NEAR_BYTES + 160];
    if (!o->all)
        (void)markets_near(all, symbol, nearby);
    (void)snprintf(text, sizeof(text), "refused: no stream here has %.40s%s%s%s",
                   o->all ? "such markets" : symbol, nearby[0] != '\0' ? "; did you mean " : "",
                   nearby, nearby[0] != '\0' ? "?" : "");
    return tool_fault(TB_EXIT_UNAVAILABLE, "%s", text);
}

int main(int argc, char **argv)
{
    static struct tb_config_memory memory;
    struct options o = {0};
    struct markets all;
    struct tb_error err = {""};
    char bus_dir[256];

    tool_name(PROGRAM);
    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands != (o.all ? 0 : 1) || (!o.all && !tb_symbol_check(argv[0])))
        return tool_fault(TB_EXIT_USAGE, "which market? tickbus resync BTC/USDT, or --all");
    int code = tool_find_bus(o.directory, o.bus, bus_dir, sizeof(bus_dir));
    if (code != TB_EXIT_OK)
        return code;
    if (markets_find(bus_dir, &all, &err) != 0)
        return tool_fault(TB_EXIT_UNAVAILABLE, "%s", err.text);
    code = resync_all(&o, bus_dir, &all, o.all ? NULL : argv[0]);
    markets_free(&all);
    tb_config_release(&memory);
    return code;
}
