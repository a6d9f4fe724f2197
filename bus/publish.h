/* Many records into a ring's slots: the ways there are to move their words. Internal to the
 * library. */
#ifndef TICKBUS_PUBLISH_H
#define TICKBUS_PUBLISH_H

#include <tickbus/ring.h>

typedef void tb_publish_fn(struct tb_slot *slots, uint64_t mask, tb_seq seq,
                           const struct tb_record *records, size_t count);

/* P1 .. P4 of slot.h for records[0 .. count), the first as seq. */
struct tb_publish_way {
    const char *name;
    tb_publish_fn *write;
};

/*
 * tb_publish_ways: those that this processor and this build have, from the portable one, which is
 * always there, to the fastest. Returns how many.
 */
#define TB_PUBLISH_WAYS_MAX 3
size_t tb_publish_ways(struct tb_publish_way out_ways[TB_PUBLISH_WAYS_MAX]);

#endif
