/* See machine.h. */
#include "machine.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <unistd.h>

#define ROUNDS 41
#define TRIPS 500

static double monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

long machine_switches(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

double machine_ns_per_tick(void)
{
    static double known;
    if (known == 0) {
        double begin = monotonic(), end;
        uint64_t from = machine_ticks();
        while ((end = monotonic()) - begin < 5e7)
            ;
        known = (end - begin) / (double)(machine_ticks() - from);
    }
    return known;
}

int machine_processors(int out_cpu[2])
{
    cpu_set_t set;
    int found = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0;
    for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
        if (CPU_ISSET((size_t)i, &set))
            out_cpu[found++] = i;
    return found;
}

void machine_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set); /* not allowed: the probe shows the effect */
}

struct line {
    alignas(128) _Atomic(uint64_t) ball;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void return_balls(struct line *line)
{
    for (uint64_t i = 1; i <= (uint64_t)ROUNDS * TRIPS; i++) {
        while (atomic_load_explicit(&line->ball, memory_order_acquire) != 2 * i - 1)
            ;
        atomic_store_explicit(&line->ball, 2 * i, memory_order_release);
    }
}

double machine_round_trip(const int cpu[2])
{
    double ns = machine_ns_per_tick(), median[ROUNDS];
    struct line *line =
        mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED)
        return 0;
    pid_t other = fork();
    if (other < 0) {
        (void)munmap(line, sizeof(*line));
        return 0;
    }
    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        machine_pin(cpu[1]);
        return_balls(line);
        _exit(0);
    }
    cpu_set_t before;
    (void)sched_getaffinity(0, sizeof(before), &before);
    machine_pin(cpu[0]);
    uint64_t i = 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = machine_ticks();
        for (int trip = 0; trip < TRIPS; trip++, i++) {
            atomic_store_explicit(&line->ball, 2 * i - 1, memory_order_release);
            while (atomic_load_explicit(&line->ball, memory_order_acquire) != 2 * i)
                ;
        }
        median[round] = (double)(machine_ticks() - from) * ns / TRIPS;
    }
    (void)waitpid(other, NULL, 0);
    (void)sched_setaffinity(0, sizeof(before), &before);
    (void)munmap(line, sizeof(*line));
    qsort(median, ROUNDS, sizeof(median[0]), compare);
    return median[ROUNDS / 2];
}
