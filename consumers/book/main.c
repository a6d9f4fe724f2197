/*
 * tickbus book: the order book of a market, once or live. Reads only, and shows what is there when every
 * process of the bus is dead.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/service.h>

#include "consumers/markets/markets.h"
#include "consumers/screen/screen.h"
#include "consumers/tool/tool.h"
#include "render.h"
#include "watch.h"

#define PROGRAM "tickbus book"
#define BOOKS_MAX 8 /* shown together */
#define DEPTH_DEFAULT 10
#define TURN_NS (20 * TB_NS_PER_MS) /* between two looks at the ring */

struct options {
    const char *bus, *directory, *stream, *venue, *journal;
    bool once, json, no_color;
    int64_t depth, levels;
    tb_ns interval;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    TOOL_BUS_OPTIONS(struct options),
    {"stream", TB_OPTION_STRING, O(stream), .help = "only on this stream"},
    {"venue", TB_OPTION_STRING, O(venue), .help = "only of this venue"},
    {"journal", TB_OPTION_STRING, O(journal),
     .help = "where the journals of all buses are: a book whose snapshot has left the ring is "
             "had from there"},
    {"once", TB_OPTION_BOOL, O(once), .help = "the book as it is now, and end; default in a pipe"},
    {"json", TB_OPTION_BOOL, O(json), .help = "one object a line, each time that it changed"},
    {"depth", TB_OPTION_INT, O(depth), .min = 1, .max = 10000,
     .help = "levels of each side; default: as many as the screen holds, else 10"},
    {"levels", TB_OPTION_INT, O(levels), .fallback = "10000", .min = 10, .max = 1000000,
     .help = "levels kept of each side, as the feed's book_depth"},
    {"interval", TB_OPTION_DURATION, O(interval), .fallback = "250ms", .min = 20 * TB_NS_PER_MS,
     .max = 3600 * TB_NS_PER_S, .help = "between two pictures"},
    {"no_color", TB_OPTION_BOOL, O(no_color), .help = "no colours; NO_COLOR does the same"},
};

static const char usage[] =
    "tickbus book [options] [SYMBOL]: the order book of a market, once or live\n"
    "\n"
    "  tickbus book BTC/USDT                    live; keys: q quit, space pause\n"
    "  tickbus book BTC/USDT --once --depth 5\n"
    "  tickbus book BTC/USDT --json --interval 1s | jq .spread\n"
    "\n"
    "Asks stand above, bids below, each with the sum of sizes from the best price on, which the "
    "bars\n"
    "draw. A book is valid from its snapshot on; from a gap to the next snapshot it is BAD. "
    "Several\n"
    "venues that have the market are shown together. Never writes to the bus.\n"
    "Exit: 0 done; 64 bad command line; 69 no such bus or market; 74 output failed; 75 with "
    "--once:\n"
    "a book is not valid.\n";

struct display {
    struct watch watch[BOOKS_MAX];
    size_t count;
    struct options options;
    struct screen screen;
    struct render_style style;
    bool paused;
};

/* ---- which books ---- */

static int unknown(const struct markets *all, const char *symbol)
{
    char nearby[MARKETS_NEAR_BYTES], text[MARKETS_NEAR_BYTES + 128];

    (void)markets_near(all, symbol, nearby);
    (void)snprintf(text, sizeof(text), "no stream here has %.40s%s%s%s", symbol,
                   nearby[0] != '\0' ? "; did you mean " : "", nearby,
                   nearby[0] != '\0' ? "?" : "");
    return tool_fault(TB_EXIT_UNAVAILABLE, "%s", text);
}

/* No symbol was given: the only market there is, or a list of them. */
static int choose(const struct markets *all, const struct options *o, const char **symbol)
{
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++)
        if (markets_match(&all->item[i], o->stream, o->venue, NULL)) {
            *symbol = all->item[i].symbol;
            count++;
        }
    if (count == 1)
        return TB_EXIT_OK;
    if (count == 0)
        return tool_fault(TB_EXIT_UNAVAILABLE, "no market is on the streams here yet");
    fprintf(stderr, PROGRAM ": which market? There are:\n");
    for (size_t i = 0; i < all->count; i++)
        if (markets_match(&all->item[i], o->stream, o->venue, NULL))
            fprintf(stderr, "  %-24s %-20s on %s\n", all->item[i].symbol, all->item[i].venue,
                    all->item[i].stream);
    return TB_EXIT_USAGE;
}

static int open_books(struct display *d, const char *bus_dir, const char *symbol)
{
    const struct options *o = &d->options;
    struct tb_error err = {""};
    struct markets all;
    int rc = markets_find(bus_dir, &all, &err);
    int code = rc != 0 ? tool_fault(TB_EXIT_UNAVAILABLE, "%s", err.text) : TB_EXIT_OK;

    if (code == TB_EXIT_OK && symbol == NULL)
        code = choose(&all, o, &symbol);
    for (size_t i = 0; code == TB_EXIT_OK && i < all.count && d->count < BOOKS_MAX; i++) {
        if (!markets_match(&all.item[i], o->stream, o->venue, symbol))
            continue;
        rc = watch_open(&d->watch[d->count++], bus_dir, o->journal, (uint32_t)o->levels,
                        &all.item[i], &err);
        if (rc != 0)
            code = tool_fault(TB_EXIT_UNAVAILABLE, "%s", err.text);
    }
    if (code == TB_EXIT_OK && d->count == 0)
        code = unknown(&all, symbol);
    markets_free(&all);
    return code;
}

/* ---- showing ---- */

/* So many levels that all the books fit on the screen. */
static uint32_t depth_for(const struct display *d, unsigned rows)
{
    unsigned each = (rows - 2) / (unsigned)d->count;

    return each < RENDER_LINES + 2 ? 1 : (each - RENDER_LINES) / 2;
}

static void picture(struct display *d, FILE *out, uint32_t depth)
{
    tb_ns now = tb_clock_wall();

    d->style.depth = depth;
    for (size_t i = 0; i < d->count; i++) {
        if (d->options.json)
            render_json(&d->watch[i], depth, now, out);
        else
            render_ladder(&d->watch[i], &d->style, now, out);
    }
}

static void show(struct display *d)
{
    unsigned rows;
    char *text = NULL;
    size_t bytes = 0;
    uint32_t wanted = (uint32_t)d->options.depth;

    screen_size(&rows, &d->style.columns);
    if (!d->screen.live) {
        picture(d, stdout, wanted != 0 ? wanted : DEPTH_DEFAULT);
        (void)tool_flush();
        return;
    }
    uint32_t fits = depth_for(d, rows);
    FILE *memory = open_memstream(&text, &bytes);
    if (memory == NULL)
        return;
    picture(d, memory, wanted != 0 && wanted < fits ? wanted : fits);
    (void)fclose(memory);
    screen_draw(text, d->paused ? " q quit   space go on (paused)" : " q quit   space pause", NULL);
    (void)tool_flush();
    free(text);
}

static bool take_key(struct display *d, int key)
{
    if (key == ' ' || key == 'p')
        d->paused = !d->paused;
    return key != 'q' && key != -1;
}

static bool turn(struct display *d)
{
    bool any = false;

    for (size_t i = 0; i < d->count; i++)
        any |= watch_turn(&d->watch[i]);
    return any;
}

/* The rings are read oftener than a picture is drawn, so that none laps us. */
static void watch(struct display *d)
{
    tb_ns due = 0;
    bool changed = true, on = true;

    while (on && !tool_stopped && tool_flush() == 0) {
        changed |= turn(d);
        tb_ns now = tb_clock_mono();
        if (now >= due && !d->paused && (changed || d->screen.live)) {
            show(d);
            due = now + d->options.interval;
            changed = false;
        }
        int key = screen_wait(&d->screen, TURN_NS);
        if (key != 0) {
            on = take_key(d, key);
            show(d);
        }
    }
}

static bool all_valid(const struct display *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->watch[i].state != WATCH_VALID)
            return false;
    return true;
}

static int run(struct display *d)
{
    const struct options *o = &d->options;
    bool smart = screen_smart();
    bool once = o->once || (!smart && !o->json);

    d->style.colour = screen_colour(o->no_color);
    d->style.fine = screen_utf8();
    if (!once && smart && !o->json)
        screen_open(&d->screen);
    if (once)
        show(d);
    else
        watch(d);
    screen_close(&d->screen);
    if (tool_flush() != 0)
        return tool_written();
    return once && !all_valid(d) ? TB_EXIT_LOST : TB_EXIT_OK;
}

int main(int argc, char **argv)
{
    static struct tb_config_memory memory;
    static struct display d;
    char bus_dir[256];

    tool_start(PROGRAM);
    tool_catch(SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN); /* seen as an error of stdout, which ends us quietly */
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &d.options, &memory,
                                    argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands > 1)
        return tool_fault(TB_EXIT_USAGE, "one market at a time");
    int code = tool_find_bus(d.options.directory, d.options.bus, bus_dir, sizeof(bus_dir));
    if (code != TB_EXIT_OK)
        return code;
    code = open_books(&d, bus_dir, operands == 1 ? argv[0] : NULL);
    if (code == TB_EXIT_OK)
        code = run(&d);
    for (size_t i = 0; i < d.count; i++)
        watch_close(&d.watch[i]);
    tb_config_release(&memory);
    return code;
}
