/*
 * A config file as a plan: which processes, under which names, reading and making which streams.
 * The structure is judged here; what belongs to a program is judged by that program
 * (--check-config), so that no option is described twice.
 */
#ifndef TICKBUS_PLAN_H
#define TICKBUS_PLAN_H

#include <tickbus/config.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#define PLAN_PROCESSES_MAX 64

enum plan_kind { PLAN_VENUE, PLAN_FEED, PLAN_SERVICE };

struct plan_process {
    enum plan_kind kind;
    const char *key;           /* in its map */
    const struct tb_yaml *map; /* its options; may be an empty scalar */
    int line;
    char section[64];                /* "feeds.binance" */
    char name[TB_STREAM_BYTES + 32]; /* the instance: "feed-binance" */
    char program[64];                /* "tickbus-feed" */
    char path[4096];                 /* of the program; empty: there is none */
    bool sound;                      /* its own faults: none */
    bool gated;
    bool restart; /* `restart:`, default true */
    tb_ns drain_timeout;
    char output[TB_STREAM_BYTES]; /* empty: none */
    char input[TB_INPUTS_MAX][TB_STREAM_BYTES];
    unsigned input_count;
};

struct plan {
    const char *file;
    struct tb_yaml *root;
    const char *bus, *directory; /* NULL: not said */
    enum tb_log_level log_level;
    char bus_dir[256];
    struct plan_process process[PLAN_PROCESSES_MAX];
    size_t count;
    struct tb_config_memory memory;
};

/*
 * plan_load: read the file and judge it, each program's part by that program, and then how the
 * streams fit together. Faults are reported; the plan holds what could be understood. Free with
 * plan_free().
 */
void plan_load(struct plan *plan, const char *file, struct tb_faults *faults);
void plan_free(struct plan *plan);

/* plan_ask: run the program of a process with its section and `question` (such as --print-config).
 * out and err: what it wrote, to be freed; may be NULL. Returns its exit code, or -errno. */
int plan_ask(const struct plan *plan, const struct plan_process *process, const char *question,
             char **out, char **err);

/* plan_reads: does the process read this stream? */
bool plan_reads(const struct plan_process *process, const char *stream);

#endif
