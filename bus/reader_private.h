/* What the parts of a reader share: reader.c (the ring), reader_page.c and reader_journal.c. Internal. */
#ifndef TICKBUS_READER_PRIVATE_H
#define TICKBUS_READER_PRIVATE_H

#include <tickbus/journal.h>
#include <tickbus/reader.h>

#include "segment.h"

struct tb_reader_private {
    char stream[TB_STREAM_BYTES];
    char ring_path[TB_PATH_BYTES];
    char lock_path[TB_PATH_BYTES];
    char wait_path[TB_PATH_BYTES];
    char cursor_path[TB_PATH_BYTES];
    struct tb_segment ring; /* nothing mapped: only with a journal */
    struct tb_segment wait;
    struct tb_segment cursor; /* our page; nothing mapped without a name */
    int cursor_fd;            /* holds the lock */
    enum tb_wait_policy policy;
    size_t wanted; /* how long a run was asked for last: what TB_WAIT_BATCH waits for */
    bool in_flow;  /* the last run was as long as wanted: look at the end of the next one first */
    bool settled;  /* waited in vain for a whole run: take what is there */
    unsigned refusals;
    tb_ns spin_ns;        /* how long to look before parking */
    uint64_t lost_before; /* in earlier lives under our name */
    tb_seq durable_before;
    uint64_t overruns_before;
    uint32_t instruments_max;
    uint32_t instruments_known;        /* copied and checked so far */
    struct tb_instrument *instruments; /* market 0: an entry that was refused */

    /* The ring that is mapped; r->slots and r->mask are these while the reader is on it. */
    const struct tb_slot *ring_slots;
    uint64_t ring_mask;
    uint64_t ring_epoch; /* 0: none */

    /* ---- reader_journal.c; all 0 without a journal ---- */
    struct tb_journal *journal;
    struct tb_slot
        *chunk; /* the private slots that r->slots is while the cursor is in the journal */
    tb_seq chunk_from, chunk_end;
    bool on_journal;
    bool positioned;     /* the journal's next record is chunk_end */
    bool epoch_over;     /* this epoch was read to its end in its retired ring */
    uint64_t next_epoch; /* not 0: that is where the next read goes, and says so */
    tb_seq lost_to; /* not 0: the records up to here are nowhere: the next resync counts them */
    char loss[224];
    uint64_t from_journal;
    tb_ns looked_mono; /* when it was last looked whether the ring is still the stream's */
    tb_ns
        waited_mono; /* since when the journal did not move while it was waited for; 0: it is not */
    tb_ns moved_mono;  /* when it was last looked whether it moved */
    tb_seq waited_seq; /* its newest then */
};

/* ---- reader.c ---- */

/* Map the ring and say so in *r; what was mapped before is released. */
int tb_reader_attach(struct tb_reader *r, struct tb_error *err);
uint64_t tb_reader_word0(const struct tb_reader *r, tb_seq seq);
/* The newest of the ring that is mapped; the oldest of it that will stay for a while. */
tb_seq tb_reader_ring_newest(const struct tb_reader *r);
tb_seq tb_reader_ring_oldest_surely(const struct tb_reader *r);
bool tb_reader_ring_retired(const struct tb_reader *r);
/* The first record of the ring published at or after `time`; behind the newest if there is none. */
tb_seq tb_reader_ring_time(const struct tb_reader *r, tb_ns time);

/* ---- reader_page.c ---- */

/* Lock and map the page; what it holds is looked at by _publish, when the cursor is known. */
int tb_reader_page_open(struct tb_reader_private *p, const char *dir, const char *reader,
                        struct tb_error *err);
void tb_reader_page_publish(struct tb_reader *r, const char *reader);
/* Before the lock goes: the last progress, or the page's end. Nothing if there is no page. */
void tb_reader_page_leave(struct tb_reader *r, bool keep);
void tb_reader_publish_epoch(struct tb_reader *r);

/* ---- reader_journal.c ---- */

int tb_reader_journal_open(struct tb_reader *r, const char *bus_dir, const char *journal,
                           struct tb_error *err);
void tb_reader_journal_close(struct tb_reader_private *p);
bool tb_reader_journal_empty(const struct tb_reader *r);
int tb_reader_journal_place(struct tb_reader *r, const struct tb_reader_options *options,
                            struct tb_error *err);
void tb_reader_journal_seek(struct tb_reader *r);
uint64_t tb_reader_journal_resync(struct tb_reader *r);
tb_seq tb_reader_journal_newest(const struct tb_reader *r);
tb_seq tb_reader_journal_oldest(const struct tb_reader *r);
/*
 * The cursor's slot does not hold its record: find it. TB_READ_OK: r->slots has it now. An end of
 * the epoch is entered only if `enter`; else it is said again.
 */
enum tb_read tb_reader_journal_turn(struct tb_reader *r, bool enter);
/* Nothing is at the cursor: is this still the stream's ring? Looks seldom. */
void tb_reader_journal_follow(struct tb_reader *r);

/* Is the mapped ring that of the cursor's epoch? Always without a journal. */
static inline bool tb_reader_has_ring(const struct tb_reader *r)
{
    return r->private_->ring_epoch == r->epoch && r->private_->ring_epoch != 0;
}

#endif
