/*
 * What the last life left of a stream's journal: its last segment is read to the end, ended, and the books are
 * made that belong behind it. That takes as long as the disk takes, so it is done in a thread of its own, one
 * a stream; the loop reads on meanwhile, and holds what it reads (held.h).
 */
#ifndef TICKBUS_CONSUMERS_JOURNAL_START_H
#define TICKBUS_CONSUMERS_JOURNAL_START_H

#include <pthread.h>

#include "bus/journal_write.h"
#include "consumers/journal/journal.h"

struct journal_start {
    /* Given; while the thread runs all of these, and *books, are its own. */
    struct tb_journal_disk *disk;
    struct tb_journal_write_options write;
    struct journal_books *books; /* their way to instruments is changed: set it again afterwards */
    uint64_t epoch;              /* the stream's */
    /* Found */
    int rc;
    struct tb_error err;
    struct tb_journal_writer *writer; /* if it was there it is left alone */
    tb_seq last;                      /* of that epoch on disk; 0: nothing */

    bool running;
    pthread_t thread;
    atomic_bool done, stop;
};

void journal_start_begin(struct journal_start *s);
/* False: not yet. */
bool journal_start_end(struct journal_start *s);
/* The books are not needed any more, the writer is: waits for that. */
void journal_start_stop(struct journal_start *s);

#endif
