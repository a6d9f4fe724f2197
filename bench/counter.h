/*
 * Exact counts of what a process does, by tracing it: no performance counters are needed, which
 * virtual machines seldom have. The traced process marks begin and end; it is some thousand times
 * as slow between them, so a few hundred records are enough, and nothing else is measured then.
 */
#ifndef TICKBUS_BENCH_COUNTER_H
#define TICKBUS_BENCH_COUNTER_H

#include <sys/types.h>

enum counter { COUNTER_INSTRUCTIONS, COUNTER_CALLS };

/* counter_mark: in the child of the tracing process, before and after what is counted. */
void counter_mark(void);

/*
 * counter_read: in the parent: how many user instructions, or system calls, `pid` executes between
 * its two marks; it runs freely before and after. -1: tracing is not allowed here (the child goes
 * on untraced).
 */
long counter_read(pid_t pid, enum counter what);

#endif
