/* The skeleton's own state, shared by the service_*.c files. Internal to the library. */
#ifndef TICKBUS_SERVICE_PRIVATE_H
#define TICKBUS_SERVICE_PRIVATE_H

#include <sys/socket.h>
#include <sys/un.h>

#include <tickbus/checkpoint.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

struct skeleton_options {
    /* in the file or on the command line */
    const char *bus, *directory, *journal, *name, *stream;
    struct tb_list streams, gates;
    int log_level, wait, from, pace;
    bool until_done, lock_pages, huge_pages, new_epoch;
    tb_ns attach_timeout, drain_timeout, housekeep_every, checkpoint_every;
    int64_t capacity, done_after;
    /* on the command line only */
    const char *config, *section;
    bool check_config, print_config, print_streams, print_output, help, help_all, version;
};

/* What tb_input does not show. */
struct input_state {
    uint64_t epoch; /* of the position below; 0: it has none yet */
    tb_seq cursor;  /* where to go on in that epoch when it is opened (again) */
    /* What is before it is never needed again: of the last checkpoint or, without, behind what was
     * taken. */
    tb_seq saved_cursor;
    tb_seq released;
    tb_seq stop_at; /* stopping: what came before the signal is still read */
    bool opened_once;
    bool keeps;    /* tb_service_durable says what is released */
    bool anchored; /* a checkpoint says where its reading began (or none is kept) */
    bool refused;  /* on_records took less than it was given in this turn */
    bool empty;    /* nothing at the cursor in this turn */
    bool broken;
    int open_rc; /* the last reason why it could not be opened: logged when it changes */
    tb_ns retry_mono;
    tb_ns broken_mono;
    uint64_t overruns;
    uint64_t from_journal; /* of readers that were closed */
    bool catching_up;      /* as last told */
    uint64_t behind;       /* records that follow the cursor in its epoch */
    tb_ns behind_mono;     /* when it was last told */
    struct tb_stats_counter *lag;
    struct tb_log_limit overrun_log;
    uint16_t mirror[TB_INSTRUMENTS_MAX + 1]; /* input id -> output id; 0: not mirrored yet */
};

struct tb_service_private {
    struct skeleton_options opt;
    struct tb_config_memory memory;
    struct tb_yaml *yaml;
    bool streams_by_default; /* --streams was not given: names that nobody makes are left out */

    int signal_fd;
    bool stop_now;      /* a second signal, or the deadline passed */
    tb_ns stop_mono;    /* when stopping began */
    tb_ns signals_mono; /* when signals were last looked at */

    int notify_fd; /* -1: nobody asked for notices */
    struct sockaddr_un notify_address;
    socklen_t notify_length;
    tb_ns watchdog_every, watchdog_mono;

    struct input_state input[TB_INPUTS_MAX];
    struct tb_record batch[TB_BATCH_MAX];
    bool in_records; /* on_records is running: cursors do not match the state now */
    unsigned hold;   /* only this input is read until its skip_output is 0; TB_NO_INPUT: all */

    struct tb_writer writer;
    tb_seq woken_seq; /* readers were woken for what came before this */
    struct tb_checkpoint checkpoint;
    const struct saved
        *begun; /* in the buffer that is not current: whole, but not settled; or NULL */
    size_t begun_bytes;
    bool checkpoint_due;
    bool no_room;      /* the last one could not be made for want of memory */
    unsigned refusals; /* turns in a row in which nothing moved because something was refused */
    tb_ns checkpoint_mono;
    tb_seq saved_out_next;
    uint64_t checkpoints;

    tb_ns mono; /* of this turn */
    tb_ns start_mono;
    tb_ns housekeep_mono; /* when it is due */
    tb_ns waited_ns;
    bool ready;
    bool degraded; /* as the service itself says */
    char note[160];
    enum tb_service_state state;
    char state_note[160];
    const char *failure; /* for the last note; NULL: none */

    struct tb_stats_counter *from_journal, *catching_up;
    struct tb_stats_counter *read, *lost, *overruns, *published, *checkpoint_count;
    struct tb_stats_histogram *read_latency, *publish_latency;
};

/* ---- service_options.c ---- */

/* Everything before the first side effect. Returns -1 to go on, or the exit code. */
int tb_service_configure(struct tb_service *svc, int argc, char **argv);

/* ---- service_signals.c: what the outside says, and what it is told ---- */

int tb_service_signals_open(struct tb_service *svc);
void tb_service_signals_close(struct tb_service *svc);
/* Look whether a signal came. Sets stopping and stop_now. */
void tb_service_signals_read(struct tb_service *svc);
void tb_service_notify(struct tb_service *svc, const char *text);
/* Sleep on signals and wake_fd alone. */
void tb_service_sleep(struct tb_service *svc, tb_ns timeout_ns);
void tb_service_begin_stop(struct tb_service *svc, const char *why);

/* ---- service_inputs.c ---- */

/* Open those that are not. 0, or -errno of a callback that failed. */
int tb_service_inputs_open(struct tb_service *svc);
/* One batch of each. Returns how many records were taken, or -errno. */
int tb_service_inputs_read(struct tb_service *svc);
/* Counters, cursor pages, streams that were made anew. */
void tb_service_inputs_housekeep(struct tb_service *svc);
void tb_service_inputs_release(struct tb_service *svc);
void tb_service_inputs_close(struct tb_service *svc);
/* Where input i ends for one that was asked to stop now. Who is reading the journal can stop
 * anywhere: it goes on from there in its next life. */
tb_seq tb_service_input_end(const struct tb_service *svc, unsigned i);
/* Was everything read: up to the end of finished streams, or to where they were at the signal? */
bool tb_service_inputs_done(const struct tb_service *svc);
bool tb_service_inputs_caught_up(const struct tb_service *svc);

/* ---- service_checkpoint.c ---- */

static inline bool tb_service_keeps_checkpoints(const struct tb_service *svc)
{
    return svc->ops->save != NULL || (svc->ops->replays_output && svc->input_count > 0);
}
/* Open the checkpoint and go back to what it says. 0 or -errno. */
int tb_service_checkpoint_restore(struct tb_service *svc, struct tb_error *err);
/* Forget what was begun: it is of another place, or of another moment. */
static inline void tb_service_checkpoint_drop(struct tb_service *svc)
{
    svc->private_->begun = NULL;
}
/* Has a quarter of a ring gone by since the last one? */
bool tb_service_checkpoint_urgent(const struct tb_service *svc);

/* ---- service_past.c ---- */

/* Give on_past what the output holds from (epoch, seq) on; epoch 0: from the oldest. 0, or
 * -EINTR. */
int tb_service_past_read(struct tb_service *svc, uint64_t epoch, tb_seq seq);
/* The last epoch of the output that the journal knows: a clock that was set back must not go below
 * it. */
uint64_t tb_service_past_epoch(const struct tb_service *svc);

/* ---- service.c ---- */

/* Heartbeats and counters, without the service's own housekeeping. */
void tb_service_pulse(struct tb_service *svc);

#endif
