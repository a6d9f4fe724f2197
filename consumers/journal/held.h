/*
 * Records of one stream that were read before its journal could take them, in order; memory is taken when the
 * first comes and given back with the last. No I/O.
 */
#ifndef TICKBUS_CONSUMERS_JOURNAL_HELD_H
#define TICKBUS_CONSUMERS_JOURNAL_HELD_H

#include <tickbus/record.h>

struct held {
    struct tb_record *record; /* [count], of which `given` went on */
    size_t count, given, room;
    size_t bytes; /* most that may be held */
};

/* Take copies of as many as there is room for; returns how many. */
size_t held_put(struct held *h, const struct tb_record *records, size_t count);
/* What is held and follows each other without a gap. Returns how many, at *out_records. */
size_t held_run(const struct held *h, const struct tb_record **out_records);
/* The first `count` went on. */
void held_give(struct held *h, size_t count);
void held_drop_to(struct held *h, tb_seq last); /* what is not after it */
void held_clear(struct held *h);

static inline size_t held_count(const struct held *h)
{
    return h->count - h->given;
}

#endif
