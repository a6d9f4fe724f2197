/*
 * What the machine itself allows, measured in the same run as what is built on it: the limits that
 * the suites' figures are held against. Each is one run; all lines carry checked messages.
 */
#ifndef TICKBUS_BENCH_PHYSICAL_H
#define TICKBUS_BENCH_PHYSICAL_H

#include "bench/harness.h"

/*
 * physical_stream: from core to core: one process fills chunks of 64 KiB (or a quarter of the ring)
 * with the widest stores there are, one flag a chunk; the other checks every line. M lines/s. The
 * aim of a ring.
 */
double physical_stream(struct bench *b, size_t ring_bytes);

/* physical_store: ns per line stored to the next of `bytes`: by eight 8-byte stores, or the
 * widest. */
double physical_store(struct bench *b, size_t bytes, bool wide);

/* physical_copy: ns per line of memcpy from one area of `bytes` to another. */
double physical_copy(struct bench *b, size_t bytes);

/* physical_stamp: ns from a schedule's due time to the clock reading after it, by one processor
 * alone. */
double physical_stamp(struct bench *b);

/* physical_futex: ns of a round trip in which each side sleeps in the kernel; with it, how often it
 * did. */
double physical_futex(struct bench *b);

/* physical_call: ns of a system call that does nothing. */
double physical_call(struct bench *b);

#endif
