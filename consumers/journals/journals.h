/*
 * What the tools for journals share: which journals a path means, how far they are, and a line on
 * the terminal that shows it.
 */
#ifndef TICKBUS_CONSUMERS_JOURNALS_H
#define TICKBUS_CONSUMERS_JOURNALS_H

#include <tickbus/base.h>
#include <tickbus/journal.h>

#include "consumers/tool/tool.h"

#define JOURNALS_MAX 256

struct journal_path {
    char path[512];               /* a stream's directory, or one segment */
    char stream[TB_STREAM_BYTES]; /* as its segments say; "" if there is none to ask */
    char bus[TB_STREAM_BYTES];
};

struct journals {
    struct journal_path *item;
    size_t count;
    bool aside; /* set before: directories that have nothing but files set aside are wanted, too */
};

/*
 * journals_find: add what `path` means: a segment file, a stream's directory, or all streams below
 * a directory (of a bus, or of all buses), sorted; a stream's directory that is named itself may be without
 * a record yet. -ENOENT: nothing is there; others from the system.
 */
int journals_find(const char *path, struct journals *journals, struct tb_error *err);
void journals_free(struct journals *journals);

/*
 * journals_aside: each file of a stream's directory that the journal's writer set aside (<segment>.damaged),
 * sorted. No part of the journal. 0 (none, or no directory), -ENOMEM or -errno.
 */
int journals_aside(const char *directory,
                   void (*each)(void *context, const char *file, uint64_t bytes), void *context,
                   struct tb_error *err);

/* journals_is_path: is this operand a path to journals rather than a stream's name? A name has no
 * slash. */
bool journals_is_path(const char *text);

/* journals_records: how many records the segments hold, as their names and heads tell. */
uint64_t journals_records(struct tb_journal *j);

/* journals_newest_epoch: in which a sequence that someone typed is meant; 0: the journal is
 * empty. */
uint64_t journals_newest_epoch(struct tb_journal *j);

/* "verify  47 %  1203111 records  2.1 M/s" on stderr, if that is a terminal. */
struct progress {
    const char *what;
    tb_ns begun, shown;
};
void progress_show(struct progress *p, uint64_t done, uint64_t total, uint64_t records);
void progress_end(struct progress *p);

/* journals_fallback: when a journal was read: say, once, why without io_uring, if it was. */
void journals_fallback(const struct tb_journal *j);

#endif
