/* See machine.h. */
#include "bench/machine.h"

#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 41
#define ROUNDS_MIN 9 /* of them, for a median */
#define TRIPS 300
#define DEADLINE_NS 1e8 /* far apart it takes 5 ms; others may have the processor */

static double monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double machine_waited(void)
{
    double ran, waited = 0;
    struct rusage usage;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    bool known = file != NULL && fscanf(file, "%lf %lf", &ran, &waited) == 2;
    if (file != NULL)
        (void)fclose(file);
    if (!known && getrusage(RUSAGE_SELF, &usage) == 0)
        waited = (double)usage.ru_nivcsw * 1e6; /* about: one slice for each time it had to go */
    return waited;
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

/* The two lines of a game: far enough apart that no prefetch of pairs takes both. */
struct court {
    alignas(256) _Atomic(uint64_t) ping;
    alignas(256) _Atomic(uint64_t) pong;
    alignas(256) _Atomic(int) over;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void return_balls(struct court *c, int lines)
{
    _Atomic(uint64_t) *in = &c->ping, *out = lines == 2 ? &c->pong : &c->ping;
    for (uint64_t i = 1; i <= (uint64_t)ROUNDS * TRIPS; i++) {
        while (atomic_load_explicit(in, memory_order_acquire) != 2 * i - 1)
            if (atomic_load_explicit(&c->over, memory_order_relaxed))
                return;
        atomic_store_explicit(out, 2 * i, memory_order_release);
    }
}

/* Wait for the ball; false: it does not come in time. The clock is looked at seldom: it is slow. */
static bool await_ball(_Atomic(uint64_t) *from, uint64_t ball, double deadline)
{
    for (uint32_t looks = 1; atomic_load_explicit(from, memory_order_acquire) != ball; looks++)
        if (looks % 65536 == 0 && monotonic() > deadline)
            return false;
    return true;
}

/* The times of the rounds that were played before the deadline, in ns a trip. Returns how many. */
static int serve_balls(struct court *c, int lines, double out[ROUNDS])
{
    _Atomic(uint64_t) *to = &c->ping, *from = lines == 2 ? &c->pong : &c->ping;
    double ns = machine_ns_per_tick(), deadline = monotonic() + DEADLINE_NS;
    uint64_t i = 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = machine_ticks();
        for (int trip = 0; trip < TRIPS; trip++, i++) {
            atomic_store_explicit(to, 2 * i - 1, memory_order_release);
            if (!await_ball(from, 2 * i, deadline))
                return round;
        }
        out[round] = (double)(machine_ticks() - begin) * ns / TRIPS;
    }
    return ROUNDS;
}

double machine_round_trip(const int cpu[2], int lines)
{
    double times[ROUNDS];
    struct court *court =
        mmap(NULL, sizeof(*court), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (court == MAP_FAILED)
        return 0;
    pid_t other = fork();
    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        machine_pin(cpu[1]);
        return_balls(court, lines);
        _exit(0);
    }
    int played = 0;
    if (other > 0) {
        cpu_set_t before;
        (void)sched_getaffinity(0, sizeof(before), &before);
        machine_pin(cpu[0]);
        played = serve_balls(court, lines, times);
        atomic_store(&court->over, 1);
        (void)waitpid(other, NULL, 0);
        (void)sched_setaffinity(0, sizeof(before), &before);
    }
    (void)munmap(court, sizeof(*court));
    if (played < ROUNDS_MIN)
        return 0;
    qsort(times, (size_t)played, sizeof(times[0]), compare);
    return times[played / 2];
}
