/* Random numbers for property tests: a new seed each run, printed; TB_SEED=n repeats that run. */
#ifndef TICKBUS_TESTS_RANDOM_H
#define TICKBUS_TESTS_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
    uint64_t seed;
    uint64_t state;
};

static inline void random_start(struct random *r, const char *test)
{
    struct timespec now;
    const char *given = getenv("TB_SEED");
    (void)clock_gettime(CLOCK_REALTIME, &now);
    r->seed = given != NULL ? strtoull(given, NULL, 10)
                            : (uint64_t)now.tv_sec * 1000000007U + (uint64_t)now.tv_nsec;
    r->state = r->seed;
    printf("%s: TB_SEED=%" PRIu64 "\n", test, r->seed);
}

/* splitmix64 */
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t random_below(struct random *r, uint64_t limit)
{
    return random_next(r) % limit;
}

/* 0 or more, of a random length of up to `bits` bits (at most 63): small numbers are as likely as
 * large. */
static inline int64_t random_magnitude(struct random *r, unsigned bits)
{
    return (int64_t)(random_next(r) >> (64 - bits) >> random_below(r, bits));
}

#endif
