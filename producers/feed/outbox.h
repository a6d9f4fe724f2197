/*
 * Messages to the venue that wait until they are due: the earliest first, those of the same time in
 * the order in which they came. Bounded, one allocation.
 */
#ifndef TICKBUS_FEED_OUTBOX_H
#define TICKBUS_FEED_OUTBOX_H

#include "producers/adapter/adapter.h"

#define OUTBOX_MAX 1024

struct outbox_message {
    tb_ns due; /* monotonic */
    size_t length;
    char text[ADAPTER_REQUEST_BYTES];
};

struct outbox {
    struct outbox_message *message;
    size_t count;
};

int outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o);
void outbox_clear(struct outbox *o);
/* outbox_put: 0; -ENOBUFS, -EMSGSIZE. */
int outbox_put(struct outbox *o, const char *text, size_t length, tb_ns due);
/* outbox_next: the next one to go; NULL: none. outbox_drop: it went. */
const struct outbox_message *outbox_next(const struct outbox *o);
void outbox_drop(struct outbox *o, const struct outbox_message *message);

#endif
