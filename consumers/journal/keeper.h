/*
 * Beside the loop, in a thread of the lowest priority: ended segments are compressed, old ones
 * removed. It touches no file that is being written, and not the newest of a journal.
 */
#ifndef TICKBUS_CONSUMERS_JOURNAL_KEEPER_H
#define TICKBUS_CONSUMERS_JOURNAL_KEEPER_H

#include <tickbus/base.h>

struct keeper;

struct keeper_options {
    bool compress;
    int level;
    tb_ns retain_age;      /* 0: for ever */
    uint64_t retain_bytes; /* of a stream, on disk; 0: any */
};

struct keeper_counts {
    uint64_t compressed, removed, errors;
};

/* keeper_start: *out_keeper is NULL if there is nothing to do. keeper_stop: accepts NULL; does not
 * wait for a compression to end: what is half done is removed. */
int keeper_start(const struct keeper_options *options, struct keeper **out_keeper);
void keeper_stop(struct keeper *k);

/* The journal of input i is in this directory; `file` is being written ("" none). */
void keeper_current(struct keeper *k, unsigned i, const char *directory, const char *file);
void keeper_counts(struct keeper *k, struct keeper_counts *out_counts);

#endif
