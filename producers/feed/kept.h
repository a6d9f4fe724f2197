/*
 * Frames of a connection that is not live yet, kept in order until it takes over. Bounded, in
 * memory that is taken once and given back when it is empty.
 */
#ifndef TICKBUS_FEED_KEPT_H
#define TICKBUS_FEED_KEPT_H

#include <tickbus/base.h>

#define KEPT_BYTES (64U << 20)

struct kept {
    char *bytes; /* NULL: nothing was ever kept */
    size_t used;
    size_t count;
};

/* kept_put: 0; -ENOBUFS: there is no more room; -ENOMEM. */
int kept_put(struct kept *k, const char *bytes, size_t length, tb_ns ts_recv);
/* kept_next: the frame at *at, which moves on; NULL: that was all. ADAPTER_PADDING bytes follow
 * it. */
const char *kept_next(const struct kept *k, size_t *at, size_t *out_length, tb_ns *out_ts_recv);
void kept_clear(struct kept *k);
void kept_fini(struct kept *k);

#endif
