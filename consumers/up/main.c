/* tickbus-up: the wiring: options, signals, the loop, the summary and the exit code. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#include "consumers/up/up.h"

#define TURN_BUSY (20 * TB_NS_PER_MS) /* starting, stopping, counting along */
#define TURN_IDLE (200 * TB_NS_PER_MS)
#define PULSE_EVERY (100 * TB_NS_PER_MS)
#define EXIT_INTERRUPTED 130 /* asked to stop before all was done, as a shell says it */

struct options {
    bool exit_when_done, json, fresh;
};

static const struct tb_option options[] = {
    {"exit_when_done", TB_OPTION_BOOL, offsetof(struct options, exit_when_done), "false",
     .help =
         "end when the feeds are complete and all is consumed; exit 0 only if nothing was lost"},
    {"fresh", TB_OPTION_BOOL, offsetof(struct options, fresh), "false",
     .help = "first remove what earlier runs left on the bus, if nobody uses it"},
    {"json", TB_OPTION_BOOL, offsetof(struct options, json), "false",
     .help = "the summary at the end as JSON, on stdout"},
};

static const char usage[] =
    "tickbus up: start everything that a config file names, and keep it running\n\n"
    "usage: tickbus up [options] FILE\n\n"
    "Stays in the foreground; one line per change of state on stderr. What dies is started again "
    "after\n"
    "100 ms, doubling to 10 s. ^C or SIGTERM: feeds stop first, then what reads them, in order; a "
    "second\n"
    "one kills. Exit 0: all ended well; 64, 78: bad options, bad config; 74: something failed;\n"
    "75: records were lost; 130: interrupted before it was done.\n";

static int open_signals(void)
{
    sigset_t set;
    tb_command_signals(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static void begin_stop(struct up *up, const char *reason)
{
    if (up->stopping)
        return;
    up->stopping = true;
    tb_log(TB_LOG_INFO, "stopping", "reason=\"%s\" then=\"feeds, then their readers, then venues\"",
           reason);
    for (size_t i = 0; i < up->count; i++)
        up->child[i].ended |= up->child[i].pid == 0; /* nothing is started any more */
}

static void look_at_signals(struct up *up)
{
    struct signalfd_siginfo info;
    while (read(up->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue; /* child_reap looks at all */
        if (up->interrupted) {
            tb_log(TB_LOG_WARN, "killing", "reason=\"a second signal\"");
            for (size_t i = 0; i < up->count; i++)
                child_kill(up, &up->child[i]);
        }
        up->interrupted = true;
        begin_stop(up, info.ssi_signo == SIGINT    ? "SIGINT"
                       : info.ssi_signo == SIGTERM ? "SIGTERM"
                                                   : "SIGHUP");
    }
}

static void pulse(struct up *up)
{
    int64_t running = 0;
    up->pulse_mono = up->mono;
    for (size_t i = 0; i < up->count; i++)
        running += up->child[i].pid != 0;
    tb_stats_set(up->running, running);
    tb_stats_set(up->restarted, (int64_t)up->restarts);
    tb_stats_state(&up->stats,
                   up->stopping      ? TB_SERVICE_DRAINING
                   : up->all_started ? TB_SERVICE_RUNNING
                                     : TB_SERVICE_STARTING,
                   NULL);
    tb_stats_housekeep(&up->stats, up->wall);
}

static void sleep_until_something(struct up *up)
{
    bool busy = up->exit_when_done || up->stopping || !up->all_started;
    tb_ns timeout = busy ? TURN_BUSY : TURN_IDLE, due = child_next_due(up) - up->mono;
    if (due < timeout)
        timeout = due > TB_NS_PER_MS ? due : TB_NS_PER_MS;
    if (up->exit_when_done && tally_wait(up, timeout))
        return;
    struct pollfd fd = {.fd = up->signal_fd, .events = POLLIN};
    struct timespec t = {0, timeout};
    (void)ppoll(&fd, 1, &t, NULL); /* early is fine */
}

/* Until nothing runs any more. */
static void run(struct up *up)
{
    for (;;) {
        up->mono = tb_clock_mono();
        up->wall = tb_clock_wall();
        look_at_signals(up);
        child_reap(up);
        if (up->exit_when_done)
            tally_read(up);
        if (!up->stopping) {
            child_start_due(up);
            order_advance_start(up);
            if (up->gave_up)
                begin_stop(up, "it can not be completed");
            else if (up->exit_when_done && order_is_done(up)) {
                up->done = true;
                begin_stop(up, "all is done");
            }
        } else if (order_advance_stop(up)) {
            return;
        }
        if (up->mono - up->pulse_mono >= PULSE_EVERY)
            pulse(up);
        sleep_until_something(up);
    }
}

static int verdict(struct up *up)
{
    bool failed = up->gave_up;
    for (size_t i = 0; i < up->count; i++)
        failed |= up->child[i].exit_code != TB_EXIT_OK && up->child[i].exit_code != TB_EXIT_LOST;
    if (failed)
        return TB_EXIT_IO;
    for (size_t i = 0; i < up->count; i++)
        if (up->child[i].exit_code == TB_EXIT_LOST)
            return TB_EXIT_LOST;
    if (!up->exit_when_done)
        return TB_EXIT_OK;
    if (tally_lost(up) > 0)
        return TB_EXIT_LOST;
    return up->done ? TB_EXIT_OK : EXIT_INTERRUPTED;
}

static int live(struct up *up)
{
    up->signal_fd = open_signals();
    if (up->signal_fd < 0) {
        fprintf(stderr, "tickbus-up: no signals: %s\n", strerror(-up->signal_fd));
        return TB_EXIT_INTERNAL;
    }
    up->running = tb_stats_add(&up->stats, "processes_running", TB_STAT_GAUGE);
    up->restarted = tb_stats_add(&up->stats, "restarts", TB_STAT_COUNTER);
    snprintf(up->since, sizeof(up->since), "%lld", (long long)tb_clock_wall());
    up->phase_mono = tb_clock_mono();
    child_prepare(up);
    tb_log(TB_LOG_INFO, "starting", "bus=%s processes=%zu config=%s", up->plan.bus_dir, up->count,
           up->plan.file);
    if (up->exit_when_done)
        tally_begin(up);
    run(up);
    int rc = verdict(up);
    if (up->exit_when_done) {
        tally_read(up);
        (void)tally_print(up, rc);
        tally_end(up);
    }
    tb_log(rc == 0 ? TB_LOG_INFO : TB_LOG_ERROR, "stopped", "exit=%d restarts=%llu", rc,
           (unsigned long long)up->restarts);
    (void)close(up->signal_fd);
    return rc;
}

/* The page is the lock: one `up` per bus. */
static int live_on_the_bus(struct up *up)
{
    struct tb_error err = {""};
    int rc = tb_stats_open(up->plan.bus_dir, "up", "tickbus-up", &up->stats, &err);
    if (rc < 0) {
        fprintf(stderr, "tickbus-up: %s\n", err.text);
        return rc == -EBUSY ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    }
    rc = up->fresh ? fresh_start(up->plan.bus_dir) : 0;
    int code = rc == 0 ? live(up) : rc == -EBUSY ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO;
    tb_stats_close(&up->stats, code == 0 ? TB_SERVICE_STOPPED : TB_SERVICE_FAILED, code);
    return code;
}

int main(int argc, char **argv)
{
    static struct up up;
    struct options opt;
    struct tb_config_memory memory = {0};
    tb_command_signals(NULL);
    int n = tb_command_parse("tickbus-up", usage, options, TB_COUNT(options), &opt, &memory, argc,
                             argv);
    tb_config_release(&memory);
    if (n == -ECANCELED)
        return TB_EXIT_OK;
    if (n != 1) {
        if (n >= 0)
            fprintf(stderr, "tickbus-up: name one config file; --help tells more\n");
        return TB_EXIT_USAGE;
    }
    struct tb_faults faults = {.out = stderr};
    up.exit_when_done = opt.exit_when_done;
    up.json = opt.json;
    up.fresh = opt.fresh;
    plan_load(&up.plan, argv[0], &faults);
    tb_log_init("up", up.plan.log_level);
    int rc = faults.count > 0 ? TB_EXIT_CONFIG : live_on_the_bus(&up);
    plan_free(&up.plan);
    return rc;
}
