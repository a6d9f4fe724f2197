/*
 * The streams that `tickbus tail` looks at, merged by publish time: rings of a bus, opened
 * read-only, without a cursor page and without the wait file, or journals. Losses and gaps are told
 * through `notice`.
 */
#ifndef TICKBUS_CONSUMERS_FOLLOW_H
#define TICKBUS_CONSUMERS_FOLLOW_H

#include <tickbus/base.h>
#include <tickbus/reader.h>

#include <tickbus/place.h>

#include "consumers/journals/journals.h"
#include "consumers/records/records.h"

#define FOLLOW_STREAMS_MAX 64
#define FOLLOW_BATCH 64

struct source {
    char stream[TB_STREAM_BYTES];
    struct tb_reader reader;
    struct tb_journal *journal; /* instead of the reader; NULL: a ring */
    uint64_t epoch;             /* of the batch */
    bool open;
    bool finished; /* nothing more is wanted of it: --to was passed, or its end at start was
                   * reached */
    bool broken;   /* the file is damaged; told once */
    bool alive;    /* its producer, when we last looked */
    tb_seq end;    /* not following: the newest record when we began */
    size_t at, count;
    struct tb_record batch[FOLLOW_BATCH];
    uint64_t seen, lost;
    tb_seq first, last;
};

struct follow {
    const char *bus_dir;       /* NULL: journals only */
    const char *const *wanted; /* stream names; none: every stream of the bus */
    size_t wanted_count;
    struct tb_place from, to;
    uint64_t
        last_n; /* TB_PLACE_NONE: begin at the last so many records that the filter lets through */
    bool following;
    const struct filter *filter;
    void (*notice)(void *context, const char *line);
    void *context;
    struct source source[FOLLOW_STREAMS_MAX];
    size_t count;
};

/*
 * follow_scan: open the streams that are there and not open yet. Returns how many are open, or
 * -errno:
 * -ENOENT the bus directory is gone; -ERANGE --from is far ahead of a stream; the others are told
 * through notice and tried again at the next scan.
 */
int follow_scan(struct follow *f, struct tb_error *err);

/* follow_journal: add a journal. 0 or -errno. */
int follow_journal(struct follow *f, const struct journal_path *at, struct tb_error *err);

/*
 * follow_next: the next record of all streams by publish time. False: nothing there now (or at all:
 * see follow_over). The item is valid until the next call.
 */
bool follow_next(struct follow *f, struct record_item *out_item, struct source **out_source);

/* follow_over: nothing more will ever be wanted: every stream is finished. */
bool follow_over(const struct follow *f);

/* follow_look: tell which producers died or came back, and open anew what was made anew. */
void follow_look(struct follow *f);

void follow_close(struct follow *f);

#endif
