/*
 * What the alert stream holds already: the last transition of each alert, so that none is published
 * twice when the rules are held against the inputs again from the oldest (service.h, on_past).
 * Pure.
 *
 * An alert's transitions come in the order (at, alert_id, state). What is made now and is not
 * behind the last one is there. What is behind it goes on with that story: the inputs' last records
 * may be lost though alerts made of them are not, and the clock's own alerts (feeds, readers) are
 * in no input. So a story that is open is not opened again, one that is over is not ended again,
 * and numbers go on.
 */
#ifndef TICKBUS_ALERTS_PAST_H
#define TICKBUS_ALERTS_PAST_H

#include <consumers/alerts/engine.h>

#define PAST_MAX 8192 /* alerts of all rules that ever were */

struct past_alert {
    struct event last; /* names, and the last transition as its record has it */
    bool waiting;      /* nothing behind it was made yet */
    uint8_t reserved[7];
};

struct past {
    struct past_alert *alert;
    uint32_t count, forgotten;
    tb_ns newest; /* of all `at` */
};

void past_fini(struct past *p);

/* past_add: a record of the alert stream in order, and its entry. own_stream: the alert stream's
 * name. */
void past_add(struct past *p, const char *own_stream, const struct tb_instrument *entry,
              const struct tb_record *record);

/*
 * past_has: is this transition there, or no transition at all in view of what is there? The number
 * of its story may be raised, for good. *out_last: it is the alert's last one on the stream.
 */
bool past_has(struct past *p, struct event *event, bool *out_last);

/* The state as bytes. load: 0, -EINVAL or -ENOMEM. */
size_t past_save_size(const struct past *p);
void past_save(const struct past *p, void *bytes);
int past_load(struct past *p, const void *bytes, size_t count);

#endif
