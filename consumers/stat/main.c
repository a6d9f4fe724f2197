/*
 * tickbus stat (and top): how a bus is doing, as a live table, one look, or JSON. Reads only, and as
 * well when every process of the bus is dead.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/service.h>

#include "consumers/screen/screen.h"
#include "consumers/tool/tool.h"

#include "collect.h"
#include "stat.h"

#define PROGRAM "tickbus stat"
#define INTERVAL_DEFAULT (500 * TB_NS_PER_MS)
#define RATE_WINDOW (250 * TB_NS_PER_MS) /* of a single look */

struct options {
    const char *bus, *directory;
    bool once, json, verbose, check, no_color;
    tb_ns interval;
    int sort;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    TOOL_BUS_OPTIONS(struct options),
    {"once", TB_OPTION_BOOL, O(once), .help = "one look, and end; default in a pipe"},
    {"json", TB_OPTION_BOOL, O(json), .help = "one object a line, with stable keys"},
    {"interval", TB_OPTION_DURATION, O(interval), .min = 50 * TB_NS_PER_MS,
     .max = 3600 * TB_NS_PER_S, .help = "between two looks; 500ms on a terminal"},
    {"sort", TB_OPTION_ENUM, O(sort), .choices = "name|load|trouble", .fallback = "name",
     .help = "order of the rows"},
    {"verbose", TB_OPTION_BOOL, O(verbose), .help = "every counter of every process"},
    {"check", TB_OPTION_BOOL, O(check), .help = "exit 75 if any reader has lost records"},
    {"no_color", TB_OPTION_BOOL, O(no_color), .help = "no colours; NO_COLOR does the same"},
};

static const char usage[] =
    "tickbus stat [options]: streams, readers and processes of a bus\n"
    "\n"
    "  tickbus stat                    live; keys: q quit, s sort, p pause, v all counters\n"
    "  tickbus stat --once --json      for scripts; keys in include/tickbus/FIELDS.md\n"
    "\n"
    "Never writes to the bus, and shows what is there when all its processes are dead.\n"
    "Exit: 0 done; 64 bad command line; 69 no such bus; 74 the bus can not be listed, or output "
    "failed;\n"
    "75 with --check: a reader has lost records.\n";

struct view {
    struct screen screen;
    bool paused;
    enum stat_order order;
    struct stat_style style;
};

/* ---- what is shown ---- */

static void show(struct view *s, struct stat_look *look, bool json)
{
    stat_sort(look, s->order);
    if (json) {
        stat_json(look, stdout);
    } else if (!s->screen.live) {
        stat_table(look, &s->style, stdout);
    } else {
        char *text = NULL;
        size_t bytes = 0;
        FILE *memory = open_memstream(&text, &bytes);
        if (memory == NULL)
            return;
        stat_table(look, &s->style, memory);
        (void)fclose(memory);
        char keys[96];
        snprintf(keys, sizeof(keys), "q quit   s sort: %s   p %s   v %s", stat_order_name(s->order),
                 s->paused ? "go on (paused)" : "pause",
                 s->style.verbose ? "fewer counters" : "all counters");
        screen_draw(text, keys, "tickbus stat --once");
        free(text);
    }
    (void)tool_flush();
}

static void take_key(struct view *s, int key)
{
    if (key == 's')
        s->order = (s->order + 1) % STAT_ORDERS;
    else if (key == 'p')
        s->paused = !s->paused;
    else if (key == 'v')
        s->style.verbose = !s->style.verbose;
}

/* Wait for the next look, or a key. False: quit. */
static bool pause_for(struct view *s, tb_ns wait, bool *out_key)
{
    int key = screen_wait(&s->screen, wait);

    *out_key = key > 0;
    take_key(s, key);
    return key >= 0 && key != 'q';
}

/* ---- looking ---- */

/* Look until told to stop. Two looks are kept, because rates lie between them. */
static int run(struct collector *c, struct view *s, const struct options *o, uint64_t *out_lost)
{
    static struct stat_look looks[2];
    struct stat_look *now = &looks[0], *before = &looks[1];
    struct tb_error err = {""};
    bool once = o->once || (!s->screen.live && o->interval == 0);
    bool key = false;
    tb_ns interval = o->interval ? o->interval : INTERVAL_DEFAULT;

    int rc = collector_look(c, now, &err);
    stat_rates(now, NULL);
    /* A single look at a living bus takes a moment longer; at a dead one nothing changes. */
    bool on = rc == 0 && pause_for(s, stat_alive(now) || !once ? RATE_WINDOW : 0, &key);
    while (on && !tool_stopped && tool_flush() == 0) {
        if (!s->paused && !key) {
            struct stat_look *oldest = before;
            before = now;
            now = oldest;
            if ((rc = collector_look(c, now, &err)) != 0)
                break;
            stat_rates(now, before);
        }
        show(s, now, o->json);
        on = !once && pause_for(s, interval, &key);
    }
    *out_lost = stat_lost(now);
    if (rc != 0) {
        screen_close(&s->screen);
        (void)tool_fault(0, "%s", err.text);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct collector collector;
    struct options o = {0};
    static struct tb_config_memory memory;
    char bus_dir[256];

    tool_start(PROGRAM);
    tool_catch(SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN); /* seen as an error of stdout, which ends us quietly */
    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands > 0)
        return tool_fault(TB_EXIT_USAGE, "\"%s\" is not expected", argv[0]);
    int code = tool_find_bus(o.directory, o.bus, bus_dir, sizeof(bus_dir));
    if (code != TB_EXIT_OK)
        return code;

    struct view view = {.order = (enum stat_order)o.sort};
    view.style.colour = screen_colour(o.no_color);
    view.style.verbose = o.verbose;
    if (screen_smart() && isatty(STDIN_FILENO) && !o.once && !o.json)
        screen_open(&view.screen);

    uint64_t lost = 0;
    collector.bus_dir = bus_dir;
    int rc = run(&collector, &view, &o, &lost);
    screen_close(&view.screen);
    collector_close(&collector);
    tb_config_release(&memory);
    if (rc != 0)
        return rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    if (tool_flush() != 0)
        return tool_written();
    return o.check && lost > 0 ? TB_EXIT_LOST : TB_EXIT_OK;
}
