/* The life of a process on a bus: see service.h for its order. The parts are in service_*.c. */
#include <tickbus/service.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "service_private.h"

#define SIGNALS_EVERY TB_NS_PER_MS     /* a look costs a system call */
#define WAKE_SLICE (10 * TB_NS_PER_MS) /* wake_fd can not end a futex wait: look this often */
#define RETRY_WAIT TB_NS_PER_MS        /* something was refused, or a checkpoint is overdue */
#define PATIENCE 100                   /* retries; then it is no short delay: retry less often */
#define DRAIN_WAIT (5 * TB_NS_PER_MS)
#define MANY 1000000
#define STOPPED_EARLY (-1) /* asked to stop before an input was open: nothing is left to be done */

/* ---- state ---- */

static void state_set(struct tb_service *svc, enum tb_service_state state, const char *note)
{
    struct tb_service_private *p = svc->private_;
    if (note == NULL)
        note = "";
    if (state == p->state && strcmp(note, p->state_note) == 0)
        return;
    p->state = state;
    snprintf(p->state_note, sizeof(p->state_note), "%s", note);
    tb_stats_state(&svc->stats, state, note);
    char text[256];
    snprintf(text, sizeof(text), "STATUS=%s%s%s", tb_service_state_name(state), note[0] ? ": " : "",
             note);
    tb_service_notify(svc, text);
}

/* What is true now, the worst first. */
static void state_update(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    char note[160];
    const char *broken = NULL, *missing = NULL, *behind = NULL;
    uint64_t records = 0;
    for (unsigned i = 0; i < svc->input_count; i++) {
        if (svc->input[i].open && tb_reader_catching_up(&svc->input[i].reader)) {
            records = p->input[i].behind;
            if (records > 0)
                behind = svc->input[i].stream;
            else
                missing =
                    svc->input[i].stream; /* all of its journal was read, and there is no ring */
        }
        if (svc->input[i].open)
            continue;
        if (p->input[i].open_rc != 0 && p->input[i].open_rc != -ENOENT)
            broken = svc->input[i].stream;
        else
            missing = svc->input[i].stream;
    }
    if (svc->stopping) {
        state_set(svc, TB_SERVICE_DRAINING, NULL);
    } else if (p->degraded) {
        state_set(svc, TB_SERVICE_DEGRADED, p->note);
    } else if (p->no_room) {
        state_set(svc, TB_SERVICE_DEGRADED, "no room in the bus directory for a checkpoint");
    } else if (broken != NULL) {
        snprintf(note, sizeof(note), "cannot read stream %s", broken);
        state_set(svc, TB_SERVICE_DEGRADED, note);
    } else if (missing != NULL) {
        snprintf(note, sizeof(note), "stream %s is not there yet", missing);
        state_set(svc, TB_SERVICE_WAITING, note);
    } else if (behind != NULL) {
        snprintf(note, sizeof(note), "catching up with stream %s from its journal", behind);
        size_t used = strlen(note);
        if (records >= MANY) /* in steps: each change of the note is told to a service manager */
            snprintf(note + used, sizeof(note) - used, ", %llu million records behind",
                     (unsigned long long)(records / MANY));
        state_set(svc, TB_SERVICE_RUNNING, note);
    } else {
        state_set(svc, TB_SERVICE_RUNNING, NULL);
    }
}

void tb_service_degraded(struct tb_service *svc, const char *note)
{
    struct tb_service_private *p = svc->private_;
    char quoted[TB_QUOTE_BYTES];
    if (note == NULL && p->degraded)
        tb_log(TB_LOG_INFO, "recovered", "from=%s", tb_quote_text(p->note, quoted));
    if (note != NULL && (!p->degraded || strncmp(note, p->note, sizeof(p->note) - 1) != 0))
        tb_log(TB_LOG_WARN, "degraded", "reason=%s", tb_quote_text(note, quoted));
    p->degraded = note != NULL;
    snprintf(p->note, sizeof(p->note), "%s", note != NULL ? note : "");
    state_update(svc);
}

/* ---- heartbeats ---- */

void tb_service_pulse(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    uint64_t read = 0, lost = 0, overruns = 0, from_journal = 0;
    int64_t catching_up = 0;
    for (unsigned i = 0; i < svc->input_count; i++) {
        from_journal += p->input[i].from_journal;
        if (svc->input[i].open) {
            from_journal += tb_reader_from_journal(&svc->input[i].reader);
            catching_up += tb_reader_catching_up(&svc->input[i].reader);
        }
        read += svc->input[i].read;
        lost += svc->input[i].lost;
        overruns += p->input[i].overruns;
    }
    tb_stats_set(p->read, (int64_t)read);
    tb_stats_set(p->lost, (int64_t)lost);
    tb_stats_set(p->overruns, (int64_t)overruns);
    tb_stats_set(p->from_journal, (int64_t)from_journal);
    tb_stats_set(p->catching_up, catching_up);
    tb_stats_set(p->checkpoint_count, (int64_t)p->checkpoints);
    if (svc->out != NULL) {
        tb_stats_set(p->published, (int64_t)(svc->out->next_seq - svc->out->first_seq));
        tb_writer_housekeep(svc->out, svc->now);
    }
    atomic_store_explicit(&svc->stats.page->busy_ns, p->mono - p->start_mono - p->waited_ns,
                          memory_order_relaxed);
    tb_stats_housekeep(&svc->stats, svc->now);
    if (p->watchdog_every > 0 && p->mono >= p->watchdog_mono) {
        tb_service_notify(svc, "WATCHDOG=1");
        p->watchdog_mono = p->mono + p->watchdog_every;
    }
}

static void wake_readers(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (svc->out != NULL && svc->out->next_seq != p->woken_seq) {
        tb_writer_wake(svc->out);
        p->woken_seq = svc->out->next_seq;
    }
}

static void tell_time(struct tb_service *svc)
{
    svc->now = tb_clock_wall();
    svc->private_->mono = tb_clock_mono();
}

static void look_at_signals(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (p->mono - p->signals_mono < SIGNALS_EVERY)
        return;
    p->signals_mono = p->mono;
    tb_service_signals_read(svc);
}

int tb_service_wait_turn(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    tell_time(svc);
    look_at_signals(svc);
    wake_readers(svc); /* they can not make room for what they have not seen */
    if (p->mono >= p->housekeep_mono) {
        p->housekeep_mono = p->mono + p->opt.housekeep_every;
        for (unsigned i = 0; i < svc->input_count; i++)
            p->input[i].released = 0; /* the cursor pages' hearts beat on, too */
        tb_service_inputs_release(svc);
        tb_service_pulse(svc);
    }
    return p->stop_now ? -EINTR : 0;
}

static int wait_turn(void *context)
{
    return tb_service_wait_turn(context);
}

/* ---- start ---- */

static void add_counters(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (svc->input_count > 0) {
        p->read = tb_stats_add(&svc->stats, "records_read", TB_STAT_COUNTER);
        p->lost = tb_stats_add(&svc->stats, "records_lost", TB_STAT_COUNTER);
        p->overruns = tb_stats_add(&svc->stats, "overruns", TB_STAT_COUNTER);
        if (svc->input_journal != NULL) {
            p->from_journal = tb_stats_add(&svc->stats, "records_from_journal", TB_STAT_COUNTER);
            p->catching_up = tb_stats_add(&svc->stats, "inputs_catching_up", TB_STAT_GAUGE);
        }
        p->read_latency = tb_stats_add_histogram(&svc->stats, "read_latency_ns");
    }
    if (svc->out_stream != NULL) {
        p->published = tb_stats_add(&svc->stats, "records_published", TB_STAT_COUNTER);
        p->publish_latency = tb_stats_add_histogram(&svc->stats, "publish_latency_ns");
    }
    if (tb_service_keeps_checkpoints(svc))
        p->checkpoint_count = tb_stats_add(&svc->stats, "checkpoints", TB_STAT_COUNTER);
    for (unsigned i = 0; i < svc->input_count; i++) {
        char name[40];
        snprintf(name, sizeof(name), "lag_%s", svc->input[i].stream);
        p->input[i].lag = tb_stats_add(&svc->stats, name, TB_STAT_GAUGE);
    }
}

static int open_output(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    const struct skeleton_options *opt = &p->opt;
    if (svc->out_stream == NULL)
        return 0;
    struct tb_writer_options options = {
        .capacity = opt->capacity != 0 ? (uint64_t)opt->capacity : svc->ops->output_capacity,
        .pace = (enum tb_pace)opt->pace,
        .new_epoch = opt->new_epoch,
        .tag = svc->out_tag,
        .after_epoch = tb_service_past_epoch(svc),
        .lock_pages = opt->lock_pages,
        .huge_pages = opt->huge_pages,
        .on_wait = wait_turn,
        .context = svc,
    };
    for (; options.gate_count < opt->gates.count; options.gate_count++)
        options.gates[options.gate_count] = opt->gates.item[options.gate_count];
    if (options.pace == TB_PACE_GATED && options.gate_count == 0)
        tb_log(TB_LOG_WARN, "no_gates",
               "stream=%s reason=\"gated, but no reader is named in gates\" "
               "then=\"waiting for nobody\"",
               svc->out_stream);
    struct tb_error err = {""};
    int rc = tb_writer_open(svc->bus_dir, svc->out_stream, &options, &p->writer, &err);
    if (rc < 0) {
        char quoted[TB_QUOTE_BYTES];
        tb_log(TB_LOG_ERROR, "cannot_open_output", "stream=%s reason=%s", svc->out_stream,
               tb_quote_text(err.text, quoted));
        p->failure = "the output stream could not be opened";
        return rc == -EBUSY ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    }
    svc->out = &p->writer;
    p->woken_seq = svc->out->next_seq;
    tb_log(TB_LOG_INFO, "output", "stream=%s epoch=%llu next_seq=%llu capacity=%llu",
           svc->out_stream, (unsigned long long)svc->out->epoch,
           (unsigned long long)svc->out->next_seq, (unsigned long long)svc->out->mask + 1);
    return 0;
}

static int failed(struct tb_service *svc, const char *what, int rc)
{
    if (rc != -ECANCELED) /* else it was said, better than we could */
        tb_log(TB_LOG_ERROR, "failed", "in=%s error=%d reason=\"%s\"", what, rc, strerror(-rc));
    if (svc->private_->failure == NULL)
        svc->private_->failure = what;
    return TB_EXIT_IO;
}

static int start(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    struct tb_error err = {""};
    int rc = svc->ops->start(svc, svc->self);
    if (rc < 0)
        return rc == -EINVAL ? (failed(svc, "start", rc), TB_EXIT_CONFIG)
                             : failed(svc, "start", rc);
    rc = open_output(svc);
    if (rc != 0)
        return rc;
    if (svc->out != NULL && svc->ops->on_output != NULL)
        rc = svc->ops->on_output(svc, svc->self);
    if (rc < 0)
        return failed(svc, "on_output", rc);
    tell_time(svc);
    p->start_mono = p->mono;
    rc = tb_service_checkpoint_restore(svc, &err);
    if (rc == -EINTR)
        return STOPPED_EARLY;
    if (rc < 0) {
        char quoted[TB_QUOTE_BYTES];
        tb_log(TB_LOG_ERROR, "cannot_open_checkpoint", "reason=%s",
               tb_quote_text(err.text, quoted));
        return failed(svc, "checkpoint", rc);
    }
    return 0;
}

/* ---- the loop ---- */

/* The shorter of the two. */
static tb_ns at_most(tb_ns timeout, tb_ns bound)
{
    return timeout < bound ? timeout : bound;
}

/* Nothing moved in this turn: sleep until something can, for as long as nothing is due. */
static void idle(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    struct tb_reader *readers[TB_INPUTS_MAX];
    size_t open = 0;
    bool refused = false, closed = false;
    for (unsigned i = 0; i < svc->input_count; i++) {
        closed |= !svc->input[i].open;
        if (!svc->input[i].open)
            continue;
        readers[open++] = &svc->input[i].reader;
        refused |= p->input[i].refused || !p->input[i].empty;
    }
    tb_ns timeout = at_most(p->housekeep_mono - p->mono, svc->idle_ns);
    if (closed)
        timeout = at_most(timeout, WAKE_SLICE);
    if (refused || p->checkpoint_due) {
        p->refusals++;
        timeout = at_most(timeout, p->refusals > PATIENCE ? WAKE_SLICE : RETRY_WAIT);
    } else {
        p->refusals = 0;
    }
    if (timeout <= 0)
        return;
    tb_ns before = tb_clock_mono();
    if (refused || open == 0) {
        tb_service_sleep(svc, timeout); /* the readers have something: they would not wait */
    } else {
        if (p->opt.wait != TB_WAIT_PARK)
            timeout = at_most(timeout, SIGNALS_EVERY);
        else if (svc->wake_fd >= 0)
            timeout = at_most(timeout, WAKE_SLICE);
        tb_readers_wait(readers, open, timeout);
    }
    p->waited_ns += tb_clock_mono() - before;
}

static int housekeep(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    p->housekeep_mono = p->mono + p->opt.housekeep_every;
    tb_service_inputs_housekeep(svc);
    int rc = svc->ops->housekeep != NULL ? svc->ops->housekeep(svc, svc->self, svc->now) : 0;
    tb_service_pulse(svc);
    state_update(svc);
    return rc;
}

/* Waiting for a stream has an end, if one was given. 0 or an exit code. */
static int check_attach(const struct tb_service *svc)
{
    const struct tb_service_private *p = svc->private_;
    const struct skeleton_options *opt = &p->opt;
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct input_state *s = &p->input[i];
        if (svc->input[i].open)
            continue;
        if (!s->opened_once && opt->attach_timeout > 0 &&
            p->mono - p->start_mono > opt->attach_timeout) {
            tb_log(TB_LOG_ERROR, "attach_timeout", "stream=%s after_ms=%lld", svc->input[i].stream,
                   (long long)(opt->attach_timeout / TB_NS_PER_MS));
            return TB_EXIT_UNAVAILABLE;
        }
        if (s->broken && opt->until_done && p->mono - s->broken_mono > opt->drain_timeout) {
            tb_log(TB_LOG_ERROR, "broken_for_good", "stream=%s", svc->input[i].stream);
            return TB_EXIT_IO;
        }
    }
    return 0;
}

/* Checkpoint when it is time, when a ring is a quarter through, and when an input waits for its first. */
static void checkpoint_if_due(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (p->checkpoint.page == NULL)
        return;
    if (p->mono >= p->checkpoint_mono) {
        p->checkpoint_mono = p->mono + p->opt.checkpoint_every;
        p->checkpoint_due = true;
    }
    if (p->checkpoint_due || tb_service_checkpoint_urgent(svc))
        p->checkpoint_due = !tb_service_checkpoint(svc);
}

/* One turn. Returns -1 to go on, or the exit code; *out_done: nothing more will come. */
static int turn(struct tb_service *svc, bool *out_done)
{
    struct tb_service_private *p = svc->private_;
    int moved = 0;
    tell_time(svc);
    look_at_signals(svc);
    if (p->stop_now)
        return TB_EXIT_IO;
    if (svc->input_count > 0) {
        int rc = tb_service_inputs_open(svc);
        if (rc < 0)
            return failed(svc, "on_input", rc);
        checkpoint_if_due(svc);
        moved = tb_service_inputs_read(svc);
        if (moved < 0)
            return failed(svc, "on_records", moved);
    }
    if (svc->ops->poll != NULL && !(svc->stopping && svc->input_count == 0)) {
        int rc = svc->ops->poll(svc, svc->self);
        if (rc < 0)
            return rc == -EINVAL ? (failed(svc, "poll", rc), TB_EXIT_CONFIG)
                                 : failed(svc, "poll", rc);
        if (rc == TB_POLL_DONE)
            *out_done = true;
        else
            moved += rc > 0;
    }
    wake_readers(svc);
    if (svc->input_count == 0)
        checkpoint_if_due(svc);
    if (p->mono >= p->housekeep_mono) {
        int rc = housekeep(svc);
        if (rc < 0)
            return failed(svc, "housekeep", rc);
        rc = check_attach(svc);
        if (rc != 0)
            return rc;
        wake_readers(svc);
    }
    if (p->stop_now)
        return TB_EXIT_IO;
    if (moved == 0 && !*out_done) {
        if (svc->until_done && tb_service_inputs_done(svc)) {
            *out_done = true;
        } else if (!svc->stopping || !tb_service_inputs_caught_up(svc)) {
            if (p->checkpoint.page == NULL)
                tb_service_inputs_release(svc);
            idle(svc);
            p->signals_mono = 0;
        }
    } else if (p->checkpoint.page == NULL) {
        tb_service_inputs_release(svc);
    }
    return -1;
}

static int run(struct tb_service *svc, bool *out_done)
{
    tb_service_notify(svc, "READY=1");
    svc->private_->ready = true;
    state_update(svc);
    for (;;) {
        int rc = turn(svc, out_done);
        if (rc >= 0)
            return rc;
        if (*out_done)
            tb_service_begin_stop(svc, "done");
        if (svc->stopping && (*out_done || tb_service_inputs_caught_up(svc)))
            return 0;
    }
}

/* ---- the end ---- */

/* Finish what was read, then save. 0, or an exit code. */
static int drain(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    bool drained = svc->ops->drain == NULL;
    tb_service_checkpoint_drop(svc); /* the last one is of what is drained */
    state_update(svc);
    for (;;) {
        if (tb_service_wait_turn(svc) != 0)
            return TB_EXIT_IO;
        if (!drained) {
            int rc = svc->ops->drain(svc, svc->self);
            if (rc < 0 && rc != -EAGAIN)
                return failed(svc, "drain", rc);
            drained = rc == 0;
        }
        wake_readers(svc);
        if (drained && (p->checkpoint.page == NULL || tb_service_checkpoint(svc)))
            return 0;
        tb_service_sleep(svc, DRAIN_WAIT);
        p->signals_mono = 0;
    }
}

static int live(struct tb_service *svc)
{
    bool done = false;
    int rc = start(svc);
    if (rc == 0)
        rc = run(svc, &done);
    if (rc == 0)
        rc = drain(svc);
    if (rc == STOPPED_EARLY)
        rc = 0;
    uint64_t lost = 0;
    for (unsigned i = 0; i < svc->input_count; i++)
        lost += svc->input[i].lost;
    if (rc == 0 && svc->until_done && lost > 0)
        rc = TB_EXIT_LOST;
    if (svc->stats.page != NULL && svc->private_->start_mono != 0) {
        tell_time(svc);
        tb_service_inputs_housekeep(svc);
        tb_service_pulse(svc);
    }
    if (svc->ops->stop != NULL)
        svc->ops->stop(svc, svc->self);
    tb_service_inputs_close(svc);
    tb_checkpoint_close(&svc->private_->checkpoint);
    bool complete = done && (rc == 0 || rc == TB_EXIT_LOST);
    bool orderly = rc == 0 || rc == TB_EXIT_LOST;
    tb_writer_close(svc->out, complete  ? TB_STREAM_DONE
                              : orderly ? TB_STREAM_STOPPED
                                        : TB_STREAM_RUNNING); /* and nobody there: it failed */
    svc->out = NULL;
    return rc;
}

static void say_goodbye(const struct tb_service *svc, int rc)
{
    const struct tb_stats_page *page = svc->stats.page;
    char totals[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < 4 && page->counter[i].kind == TB_STAT_COUNTER && used < 200; i++)
        used += (size_t)snprintf(totals + used, sizeof(totals) - used, " %s=%lld",
                                 page->counter[i].name, (long long)page->counter[i].value);
    tb_log(rc == 0 ? TB_LOG_INFO : TB_LOG_ERROR, rc == 0 ? "stopped" : "ended", "exit=%d%s", rc,
           totals);
}

static int live_on_the_page(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    struct tb_error err = {""};
    char program[TB_STREAM_BYTES + 16], quoted[TB_QUOTE_BYTES];
    snprintf(program, sizeof(program), "tickbus-%s", svc->ops->name);
    int rc = tb_stats_open(svc->bus_dir, svc->name, program, &svc->stats, &err);
    if (rc < 0) {
        tb_log(TB_LOG_ERROR, "cannot_start", "reason=%s", tb_quote_text(err.text, quoted));
        return rc == -EBUSY ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    }
    add_counters(svc);
    rc = tb_service_signals_open(svc);
    if (rc < 0) {
        rc = failed(svc, "signals", rc);
    } else {
        tb_log(TB_LOG_INFO, "starting", "bus=%s version=\"%s\"", svc->bus_dir, tb_version());
        rc = live(svc);
    }
    say_goodbye(svc, rc);
    tb_service_signals_close(svc);
    enum tb_service_state last =
        rc == 0 || rc == TB_EXIT_LOST ? TB_SERVICE_STOPPED : TB_SERVICE_FAILED;
    tb_stats_state(&svc->stats, last, p->failure);
    tb_stats_close(&svc->stats, last, rc);
    return rc;
}

int tb_service_main(const struct tb_service_ops *ops, void *self, int argc, char **argv)
{
    tb_command_signals(NULL);
    struct tb_service_private *p = calloc(1, sizeof(*p));
    TB_ASSERT(p != NULL);
    struct tb_service svc = {
        .ops = ops,
        .self = self,
        .wake_fd = -1,
        .idle_ns = 100 * TB_NS_PER_MS,
        .private_ = p,
    };
    p->signal_fd = p->notify_fd = -1;
    p->hold = TB_NO_INPUT;
    int rc = tb_service_configure(&svc, argc, argv);
    if (rc < 0)
        rc = live_on_the_page(&svc);
    tb_config_release(&p->memory);
    tb_yaml_free(p->yaml);
    free(p);
    return rc;
}
