/*
 * What a measurement between two processes must know of the machine: which processors, how far
 * apart they are at this moment (a virtual machine's are moved about), and a clock that both can
 * read.
 */
#ifndef TICKBUS_BENCH_MACHINE_H
#define TICKBUS_BENCH_MACHINE_H

#include <sched.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* One clock for both processes: the TSC where it is invariant and common, else CLOCK_MONOTONIC. */
static inline uint64_t machine_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

/* machine_ticks_late: as machine_ticks, but not before the loads in front of it are done. */
static inline uint64_t machine_ticks_late(void)
{
#if defined(__x86_64__)
    _mm_lfence();
#endif
    return machine_ticks();
}

#ifdef __cplusplus
extern "C" {
#endif

/* machine_ns_per_tick: measured once, in 50 ms. */
double machine_ns_per_tick(void);

/* machine_processors: the first two that this process may run on. Returns how many it found. */
int machine_processors(int out_cpu[2]);
void machine_pin(int cpu);

/* machine_waited: ns that this thread could have run so far, but others had the processor. */
double machine_waited(void);

/*
 * machine_round_trip: median ns of a cache line going to the other processor and back: the ball is
 * in one line that both write, or in two, each written by one side and read by the other. One line
 * under FAR_NS: the two share a last-level cache (60 .. 140 ns); above: they do not (300 .. 450).
 * 0: not known, because others had the processors. About 5 ms.
 */
double machine_round_trip(const int cpu[2], int lines);
#define MACHINE_FAR_NS 200.0

#ifdef __cplusplus
}
#endif

#endif
