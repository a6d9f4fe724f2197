/* One process of the bus: starting it, hearing of its end, starting it again. */
#include "consumers/up/up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#define BACKOFF_FIRST (100 * TB_NS_PER_MS)
#define BACKOFF_MAX (10 * TB_NS_PER_S)
#define LIVED_WELL (5 * TB_NS_PER_S) /* after so long a failure is a new story */
#define FAILURES_MAX 20              /* exit_when_done: it will not get better */
#define KILL_GRACE (2 * TB_NS_PER_S)

/* "--gates=candles,persist": who reads what this producer makes. */
static void name_gates(struct up *up, struct child *c)
{
    size_t used = 0;
    for (size_t i = 0; c->process->gated && i < up->count; i++) {
        const struct plan_process *p = up->child[i].process;
        if (!plan_reads(p, c->process->output))
            continue;
        used += (size_t)snprintf(c->gates + used, sizeof(c->gates) - used, "%s%s",
                                 used == 0 ? "--gates=" : ",", p->name);
        if (used >= sizeof(c->gates)) /* more than a ring can have: the program says so */
            return;
    }
    if (c->process->gated &&
        up->exit_when_done) /* it counts along, and the summary is to be exact */
        (void)snprintf(c->gates + used, sizeof(c->gates) - used, "%sup",
                       used == 0 ? "--gates=" : ",");
}

void child_prepare(struct up *up)
{
    up->count = up->plan.count;
    static const unsigned rank[] = {[PLAN_VENUE] = 0, [PLAN_SERVICE] = 1, [PLAN_FEED] = 2};
    for (size_t i = 0; i < up->count; i++) {
        up->child[i].process = &up->plan.process[i];
        up->child[i].rank = rank[up->plan.process[i].kind];
    }
    for (size_t i = 0; i < up->count; i++)
        name_gates(up, &up->child[i]);
}

static void become(const struct up *up, struct child *c, pid_t parent)
{
    char since[64];
    const char *argv[12];
    size_t n = 0;
    argv[n++] = c->process->program;
    argv[n++] = "--config";
    argv[n++] = up->plan.file;
    argv[n++] = "--section";
    argv[n++] = c->process->section;
    if (up->exit_when_done && c->process->input_count > 0) {
        snprintf(since, sizeof(since), "--done-after=%s", up->since);
        argv[n++] = "--until-done";
        argv[n++] = since;
    }
    if (c->gates[0] != '\0')
        argv[n++] = c->gates;
    argv[n] = NULL;

    sigset_t held; /* until the service reads them: it may be told to stop before its first line */
    tb_command_signals(&held);
    (void)sigprocmask(SIG_SETMASK, &held, NULL); /* can not fail */
    (void)setpgid(0, 0);                         /* ^C is for the parent */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before it could be watched */
        _exit(TB_EXIT_INTERNAL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        (void)dup2(null, 0);
    (void)dup2(2, 1);                /* stdout is for the summary */
    (void)unsetenv("NOTIFY_SOCKET"); /* the service manager's child is this program's parent */
    (void)unsetenv("WATCHDOG_USEC");
    execv(c->process->path, (char *const *)(uintptr_t)argv);
    tb_log(TB_LOG_ERROR, "cannot_run", "program=%s reason=\"%s\"", c->process->path,
           strerror(errno));
    _exit(TB_EXIT_UNAVAILABLE);
}

static tb_ns backoff(unsigned failures)
{
    tb_ns wait = BACKOFF_FIRST;
    for (unsigned i = 1; i < failures && wait < BACKOFF_MAX; i++)
        wait *= 2;
    return wait < BACKOFF_MAX ? wait : BACKOFF_MAX;
}

static void start(struct up *up, struct child *c)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(up, c, parent);
    if (pid < 0) {
        c->failures++;
        c->due_mono = up->mono + backoff(c->failures);
        tb_log(TB_LOG_ERROR, "cannot_start", "name=%s reason=\"%s\" then=\"again in %lld ms\"",
               c->process->name, strerror(errno), (long long)(backoff(c->failures) / TB_NS_PER_MS));
        return;
    }
    c->pid = pid;
    c->lives++;
    c->started_mono = up->mono;
    if (c->lives > 1)
        up->restarts++;
    tb_log(TB_LOG_INFO, c->lives == 1 ? "started" : "restarted",
           "name=%s program=%s pid=%d life=%u", c->process->name, c->process->program, (int)pid,
           c->lives);
}

void child_start_due(struct up *up)
{
    for (size_t i = 0; i < up->count; i++) {
        struct child *c = &up->child[i];
        if (c->pid == 0 && !c->ended && c->rank <= up->phase && up->mono >= c->due_mono)
            start(up, c);
    }
}

tb_ns child_next_due(const struct up *up)
{
    tb_ns next = INT64_MAX;
    for (size_t i = 0; i < up->count; i++) {
        const struct child *c = &up->child[i];
        if (c->pid == 0 && !c->ended && c->due_mono < next)
            next = c->due_mono;
    }
    return next;
}

/* Ended for good? `why` says so to a person. */
static bool is_final(const struct up *up, const struct child *c, const char **why)
{
    *why = c->exit_code == TB_EXIT_OK       ? "done"
           : c->exit_code == TB_EXIT_USAGE  ? "not again: its options would be as wrong"
           : c->exit_code == TB_EXIT_CONFIG ? "not again: its configuration would be as wrong"
           : c->exit_code == TB_EXIT_LOST   ? "not again: it is done, but has lost records"
           : up->stopping                   ? "not again: stopping"
           : !c->process->restart           ? "not again: restart is false"
                                            : NULL;
    return *why != NULL;
}

static void on_end(struct up *up, struct child *c, int status)
{
    bool signalled = WIFSIGNALED(status);
    int signal = signalled ? WTERMSIG(status) : 0;
    char what[64], then[96];
    const char *why;
    pid_t pid = c->pid;
    c->pid = 0;
    c->exit_code = signalled ? 128 + signal : WEXITSTATUS(status);
    snprintf(what, sizeof(what), signalled ? "signal=SIG%s" : "exit=%s",
             signalled ? sigabbrev_np(signal) : "");
    if (!signalled)
        snprintf(what, sizeof(what), "exit=%d", c->exit_code);
    if (is_final(up, c, &why)) {
        c->ended = true;
        snprintf(then, sizeof(then), "%s", why);
    } else {
        c->failures = up->mono - c->started_mono >= LIVED_WELL ? 1 : c->failures + 1;
        c->due_mono = up->mono + backoff(c->failures);
        snprintf(then, sizeof(then), "again in %lld ms",
                 (long long)(backoff(c->failures) / TB_NS_PER_MS));
    }
    bool good = c->exit_code == TB_EXIT_OK;
    tb_log(good ? TB_LOG_INFO : TB_LOG_WARN, signalled ? "killed" : "ended",
           "name=%s pid=%d %s after_ms=%lld then=\"%s\"", c->process->name, (int)pid, what,
           (long long)((up->mono - c->started_mono) / TB_NS_PER_MS), then);
    /* Who waits for the end would wait for ever. A kill from outside is no fault of its own. */
    bool hopeless = c->ended ? !good && c->exit_code != TB_EXIT_LOST
                             : c->failures >= FAILURES_MAX && signal != SIGKILL;
    if (up->exit_when_done && !up->stopping && hopeless) {
        up->gave_up = true;
        tb_log(TB_LOG_ERROR, "giving_up", "name=%s then=\"stopping all\"", c->process->name);
    }
}

void child_reap(struct up *up)
{
    for (size_t i = 0; i < up->count; i++) {
        int status;
        if (up->child[i].pid != 0 &&
            waitpid(up->child[i].pid, &status, WNOHANG) == up->child[i].pid)
            on_end(up, &up->child[i], status);
    }
}

void child_ask_to_stop(struct up *up, struct child *c)
{
    if (c->pid == 0 || c->asked)
        return;
    c->asked = true;
    c->kill_mono = up->mono + c->process->drain_timeout + KILL_GRACE;
    (void)kill(c->pid, SIGTERM); /* ours, and not reaped yet: it is there */
}

void child_kill(struct up *up, struct child *c)
{
    (void)up;
    if (c->pid != 0)
        (void)kill(c->pid, SIGKILL);
}

bool child_is_ready(const struct up *up, const struct child *c)
{
    struct tb_stats_page page;
    bool alive;
    if (c->ended)
        return true;
    if (c->pid == 0 ||
        tb_stats_inspect(up->plan.bus_dir, c->process->name, &page, &alive, NULL) != 0)
        return false;
    return page.pid == (uint32_t)c->pid && page.state != TB_SERVICE_STARTING;
}
