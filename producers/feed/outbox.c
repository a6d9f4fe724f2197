#include "outbox.h"

#include <errno.h>
#include <string.h>

int outbox_init(struct outbox *o)
{
    o->message = calloc(OUTBOX_MAX, sizeof(*o->message));
    o->count = 0;
    return o->message == NULL ? -ENOMEM : 0;
}

void outbox_fini(struct outbox *o)
{
    free(o->message);
    o->message = NULL;
    o->count = 0;
}

void outbox_clear(struct outbox *o)
{
    o->count = 0;
}

int outbox_put(struct outbox *o, const char *text, size_t length, tb_ns due)
{
    if (o->count == OUTBOX_MAX)
        return -ENOBUFS;
    struct outbox_message *m = &o->message[o->count];
    if (length > sizeof(m->text))
        return -EMSGSIZE;
    m->due = due;
    m->length = length;
    memcpy(m->text, text, length);
    o->count++;
    return 0;
}

const struct outbox_message *outbox_next(const struct outbox *o)
{
    const struct outbox_message *next = NULL;
    for (size_t i = 0; i < o->count; i++)
        if (next == NULL || o->message[i].due < next->due)
            next = &o->message[i];
    return next;
}

void outbox_drop(struct outbox *o, const struct outbox_message *message)
{
    size_t at = (size_t)(message - o->message);
    memmove(&o->message[at], &o->message[at + 1], (o->count - at - 1) * sizeof(*o->message));
    o->count--;
}
