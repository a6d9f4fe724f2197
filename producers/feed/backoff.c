#include "backoff.h"

void backoff_init(struct backoff *b, tb_ns first, tb_ns most, uint64_t seed)
{
    *b = (struct backoff){.first = first, .most = most, .random = seed};
}

/* splitmix64: any seed is good, and one addition is the whole state. */
static uint64_t next_random(struct backoff *b)
{
    uint64_t z = b->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

tb_ns backoff_next(struct backoff *b)
{
    tb_ns ceiling = b->first;

    for (unsigned i = 0; i < b->failures && ceiling < b->most; i++)
        ceiling = ceiling > b->most / 2 ? b->most : ceiling * 2;
    if (ceiling > b->most)
        ceiling = b->most;
    b->failures++;
    return (tb_ns)(next_random(b) % ((uint64_t)ceiling + 1));
}

void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}
