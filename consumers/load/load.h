/*
 * tickbus load: recorded captures through the adapters, a private bus and every consumer into one
 * database file. The parts: capture.c looks at the captures, private_bus.c runs the programs,
 * output.c puts the result in its place, main.c is the order of it all.
 *
 * The rows are made in <db>.loading-<pid> and appear under the name that was asked for all at once,
 * or (--append) are added to what is there in one transaction. So an end at any moment, also by
 * kill -9, leaves either all of a load or nothing of it, and a capture that is in a database
 * already is known by its tag (a hash of its content) and not loaded twice.
 */
#ifndef TICKBUS_CONSUMERS_LOAD_H
#define TICKBUS_CONSUMERS_LOAD_H

#include <sys/types.h>

#include <tickbus/base.h>

#define LOAD_CAPTURES_MAX 64
#define LOAD_PROCESSES_MAX 8 /* four consumers, a venue, a feed for each kind of market */
#define LOAD_PATH_BYTES 4096

enum load_exit {
    LOAD_EXIT_NO_INPUT = 66,
    LOAD_EXIT_CANNOT_CREATE = 73,
    LOAD_EXIT_INTERRUPTED = 130,
};

/* ---- capture.c ---- */

struct load_captures {
    char *path[LOAD_CAPTURES_MAX]; /* absolute */
    size_t count;
    uint64_t tag;       /* of the venue's name and all content, whatever the files' order; never
                         * 0 */
    bool single_trades; /* has frames of single trades, so that aggregated ones are not wanted */
};

/* load_captures_open: 0, or -errno with the file in err (-ENOENT and the like). */
int load_captures_open(const char *venue, const char *const *paths, size_t count,
                       struct load_captures *out_captures, struct tb_error *err);
void load_captures_close(struct load_captures *c);

/* ---- private_bus.c ---- */

struct load_process {
    char name[40]; /* instance */
    char section[48];
    char program[16];
    char arguments[2][160]; /* beside --config and --section; empty: none */
    pid_t pid;              /* 0: not running */
    int status;             /* of waitpid, once it ended */
    bool ended;
    bool waited_for; /* a load is complete when all of these ended */
};

struct load_bus {
    char directory[256];
    char config[300];
    const char *venue, *base, *database;
    const struct load_captures *captures;
    bool via_socket, keep;
    struct load_process process[LOAD_PROCESSES_MAX];
    size_t count;
};

struct load_result {
    int64_t records, trades, candles, snapshots, alerts, gaps; /* rows; records: published */
    int64_t lost, frames_bad, faults;
    double seconds;
    bool there_already;
};

/* load_bus_open: its directory. Removes what killed loads left behind. What it is given stays the
 * caller's. */
int load_bus_open(struct load_bus *b, const char *venue, const struct load_captures *captures,
                  const char *database, bool via_socket, bool keep, struct tb_error *err);
/* load_bus_run: start all, until complete. 0; -EINTR interrupted; -EINVAL a program refused its
 * options;
 * -EIO one failed (err says which). */
int load_bus_run(struct load_bus *b, bool show_progress, struct tb_error *err);
/* load_bus_collect: what the programs counted. load_bus_complaints: their warnings, to stderr. */
void load_bus_collect(const struct load_bus *b, struct load_result *r);
void load_bus_complaints(const struct load_bus *b);
/* load_bus_close: end what still runs; remove the directory, unless it is to be kept. */
void load_bus_close(struct load_bus *b);

/* ---- output.c ---- */

struct load_output {
    char path[LOAD_PATH_BYTES];
    char loading[LOAD_PATH_BYTES + 32];
    bool append;
    bool exists; /* and is ours */
};

/*
 * load_output_open: may the result go there? 0, and *out_result is filled if this capture is there
 * already (there_already). -EEXIST it holds other data; -EPROTO it is no database of ours; others.
 */
int load_output_open(struct load_output *o, const char *path, bool append, uint64_t tag,
                     struct load_result *out_result, struct tb_error *err);
/* load_output_finish: count the rows into *r, note the load, put it in place. 0 or -errno. */
int load_output_finish(struct load_output *o, const char *venue,
                       const struct load_captures *captures, struct load_result *r,
                       struct tb_error *err);
/* load_output_close: removes what was not put in place. */
void load_output_close(struct load_output *o);

#endif
