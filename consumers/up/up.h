/*
 * tickbus-up: one process for each feed, service and venue of a config file, in the foreground.
 *
 *   start    venues, then services (they wait for their streams), then feeds: nothing is missed
 *   restart  what dies, after 100 ms doubling to 10 s; not what ended with 0, 64 or 78
 *   stop     feeds, then each service when what it reads has ended, venues last
 *
 * Processes are their own process groups, so that ^C reaches this one alone; and the kernel kills
 * them if this one dies, which costs nothing: they go on where they were when they are started
 * again.
 */
#ifndef TICKBUS_UP_H
#define TICKBUS_UP_H

#include <sys/types.h>

#include <tickbus/reader.h>
#include <tickbus/stats.h>

#include "consumers/plan/plan.h"

#define GATES_BYTES (TB_GATES_MAX * (TB_STREAM_BYTES + 1) + 16)

struct child {
    const struct plan_process *process;
    unsigned rank; /* in the start: 0 venues, 1 services, 2 feeds */
    pid_t pid;     /* 0: it does not run */
    bool ended;    /* and is not started again */
    bool asked;    /* SIGTERM was sent */
    int exit_code; /* of its last life; 128 + n if signal n ended it */
    unsigned lives;
    unsigned failures; /* in a row, each soon after the start */
    tb_ns started_mono;
    tb_ns due_mono;          /* when to start it (again) */
    tb_ns kill_mono;         /* asked to stop: until then */
    char gates[GATES_BYTES]; /* "--gates=a,b", or empty */
};

/* What went over one stream while this program ran. */
struct tally {
    const char *stream;
    struct tb_reader reader;
    bool open;
    uint64_t epoch;
    uint64_t records, trades, candles, gaps, missing, alerts, uncounted;
};

struct tally_loss {
    char stream[TB_STREAM_BYTES], reader[TB_STREAM_BYTES];
    uint64_t before, lost;
};

#define LOSSES_MAX 256

struct tallies {
    struct tally stream[PLAN_PROCESSES_MAX];
    size_t count;
    struct tally_loss loss[LOSSES_MAX];
    size_t loss_count;
};

struct up {
    struct plan plan;
    struct child child[PLAN_PROCESSES_MAX];
    size_t count;
    bool exit_when_done, json, fresh;
    unsigned phase; /* of the start: this rank and those before it run */
    bool all_started;
    tb_ns phase_mono;
    bool stopping, done, interrupted, gave_up;
    int signal_fd;
    tb_ns mono, wall, pulse_mono;
    char since[32]; /* wall clock of the start, for --done-after */
    uint64_t restarts;
    struct tb_stats stats;
    struct tb_stats_counter *running, *restarted;
    struct tallies tallies;
};

/* ---- child.c ---- */
void child_prepare(struct up *up);
/* Start those that are due. */
void child_start_due(struct up *up);
/* Take note of those that ended, and decide what follows. */
void child_reap(struct up *up);
void child_ask_to_stop(struct up *up, struct child *c);
void child_kill(struct up *up, struct child *c);
/* Does it do its work: running, or waiting for a stream? */
bool child_is_ready(const struct up *up, const struct child *c);
tb_ns child_next_due(const struct up *up);

/* ---- order.c ---- */
/* The next kind is started when the one before is ready, or has had its time. */
void order_advance_start(struct up *up);
/* exit_when_done: has all that ends by itself ended? */
bool order_is_done(const struct up *up);
/* Ask those to stop whose turn it is. True when nothing runs any more. */
bool order_advance_stop(struct up *up);

/* ---- tally.c ---- */
void tally_begin(struct up *up);
void tally_read(struct up *up);
/* Sleep until something is there to be counted. False if there is no stream yet: nothing slept. */
bool tally_wait(struct up *up, tb_ns timeout);
/* The summary. Returns how many records readers lost. */
uint64_t tally_print(struct up *up, int exit_code);
uint64_t tally_lost(struct up *up);
void tally_end(struct up *up);

/* ---- fresh.c ---- */
/* Remove what earlier runs left on the bus. 0, or -EBUSY if somebody is on it (said on stderr). */
int fresh_start(const char *bus_dir);

#endif
