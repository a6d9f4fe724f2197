/* See counter.h. */
#include "bench/counter.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"

void counter_mark(void)
{
    static bool traced;
    if (!traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return; /* the parent sees it go on without a stop */
    traced = true;
    (void)raise(SIGSTOP);
}

/* Wait for its next stop: the signal; 0: it ended. */
static int next_stop(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

/* Steps between the marks; the marks' own are among them. */
static long count_steps(pid_t pid, enum counter what)
{
    /* Marks stop by SIGSTOP; steps and system calls by SIGTRAP, of the latter two stops each. */
    enum __ptrace_request how = what == COUNTER_CALLS ? PTRACE_SYSCALL : PTRACE_SINGLESTEP;
    long steps = 0;
    if (next_stop(pid) != SIGSTOP)
        return -1;
    for (;; steps++) {
        if (ptrace(how, pid, NULL, NULL) != 0)
            bench_fail("a traced process is gone");
        int stop = next_stop(pid);
        if (stop == SIGSTOP)
            break;
        if (stop != SIGTRAP)
            bench_fail("a traced process ended with signal or status %d", stop);
    }
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return what == COUNTER_CALLS ? steps / 2 : steps;
}

/* What two marks with nothing between them take. */
static long marks_alone(enum counter what)
{
    pid_t pid = bench_fork(-1);
    if (pid == 0) {
        counter_mark();
        counter_mark();
        _exit(0);
    }
    long steps = count_steps(pid, what);
    if (steps >= 0)
        bench_join(pid);
    return steps;
}

long counter_read(pid_t pid, enum counter what)
{
    static long alone[2];
    if (alone[what] == 0)
        alone[what] = marks_alone(what);
    long steps = count_steps(pid, what);
    return steps < 0 ? -1 : steps - alone[what];
}
