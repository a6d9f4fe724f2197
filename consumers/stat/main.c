/*
 * tickbus stat (and top): how a bus is doing, as a live table, one look, or JSON. Reads only, and as
 * well when every process of the bus is dead.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/service.h>

#include "consumers/screen/screen.h"

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

#define ROW(key_, type_, field_, ...)                                                              \
    {                                                                                              \
        key_, type_, offsetof(struct options, field_), __VA_ARGS__                                 \
    }
static const struct tb_option options[] = {
    ROW("bus", TB_OPTION_STRING, bus,
        .help = "name of the bus; default: \"default\", or the only one"),
    ROW("directory", TB_OPTION_STRING, directory, .help = "base directory instead of $TICKBUS_DIR"),
    ROW("once", TB_OPTION_BOOL, once, .help = "one look, and end; default in a pipe"),
    ROW("json", TB_OPTION_BOOL, json, .help = "one object a line, with stable keys"),
    ROW("interval", TB_OPTION_DURATION, interval, .min = 50 * TB_NS_PER_MS,
        .max = 3600 * TB_NS_PER_S, .help = "between two looks; 500ms on a terminal"),
    ROW("sort", TB_OPTION_ENUM, sort, .choices = "name|load|trouble", .fallback = "name",
        .help = "order of the rows"),
    ROW("verbose", TB_OPTION_BOOL, verbose, .help = "every counter of every process"),
    ROW("check", TB_OPTION_BOOL, check, .help = "exit 75 if any reader has lost records"),
    ROW("no_color", TB_OPTION_BOOL, no_color, .help = "no colours; NO_COLOR does the same"),
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
    int output_errno; /* why nothing more can be written; 0: it can */
    bool paused;
    enum stat_order order;
    struct stat_style style;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void fault(const char *text)
{
    fprintf(stderr, PROGRAM ": %s\n", text);
}

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
    if (fflush(stdout) != 0 && s->output_errno == 0)
        s->output_errno = errno;
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
    while (on && !stopped && !ferror(stdout)) {
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
        fault(err.text);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct collector collector;
    struct options o = {0};
    static struct tb_config_memory memory;
    struct tb_error err = {""};
    char bus_dir[256];

    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &o, &memory, argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands > 0) {
        fprintf(stderr, PROGRAM ": \"%s\" is not expected\n", argv[0]);
        return TB_EXIT_USAGE;
    }
    int rc = tb_bus_find(o.directory, o.bus, bus_dir, sizeof(bus_dir), &err);
    if (rc != 0) {
        fault(err.text);
        return rc == -ENOENT ? TB_EXIT_UNAVAILABLE : rc == -EACCES ? TB_EXIT_IO : TB_EXIT_USAGE;
    }

    struct view view = {.order = (enum stat_order)o.sort};
    view.style.colour = screen_colour(o.no_color);
    view.style.verbose = o.verbose;
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* seen as an error of stdout, which ends us quietly */
    if (screen_smart() && isatty(STDIN_FILENO) && !o.once && !o.json)
        screen_open(&view.screen);

    uint64_t lost = 0;
    collector.bus_dir = bus_dir;
    rc = run(&collector, &view, &o, &lost);
    screen_close(&view.screen);
    collector_close(&collector);
    tb_config_release(&memory);
    if (rc != 0)
        return rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    if (view.output_errno == EPIPE)
        return TB_EXIT_OK;
    if (view.output_errno != 0) {
        snprintf(err.text, sizeof(err.text), "cannot write: %s", strerror(view.output_errno));
        fault(err.text);
        return TB_EXIT_IO;
    }
    return o.check && lost > 0 ? TB_EXIT_LOST : TB_EXIT_OK;
}
