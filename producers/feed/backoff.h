/*
 * When to try again: exponential backoff with full jitter (each wait is uniform between 0 and a
 * ceiling that doubles), so that many clients of a venue that came back do not come back as one.
 */
#ifndef TICKBUS_FEED_BACKOFF_H
#define TICKBUS_FEED_BACKOFF_H

#include <tickbus/base.h>

struct backoff {
    tb_ns first; /* ceiling of the first wait */
    tb_ns most;  /* ceiling of all waits */
    unsigned failures;
    uint64_t random;
};

void backoff_init(struct backoff *b, tb_ns first, tb_ns most, uint64_t seed);
/* backoff_next: how long to wait after one more failure. backoff_reset: all is well again. */
tb_ns backoff_next(struct backoff *b);
void backoff_reset(struct backoff *b);

#endif
