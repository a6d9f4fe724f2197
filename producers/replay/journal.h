/*
 * A stream's journal as something to be played: its records in order, of all epochs, once or over
 * and over, with what is missing told by gap records. The same records each time; main.c has the
 * clock.
 */
#ifndef TICKBUS_PRODUCERS_REPLAY_JOURNAL_H
#define TICKBUS_PRODUCERS_REPLAY_JOURNAL_H

#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/place.h>

#define REPLAY_JOURNAL_BATCH 512

struct replay_journal {
    /* what to play; set by the caller */
    const char *path;
    struct tb_place from, to;
    const struct tb_list *symbols; /* unified or raw; empty: all */
    bool loop;

    struct tb_journal *journal;
    struct tb_record batch[REPLAY_JOURNAL_BATCH];
    size_t at, count;
    uint64_t newest;             /* epoch: that of a sequence in --from */
    uint64_t epoch, batch_epoch; /* of the record given out last; of the batch */
    tb_seq next;                 /* expected; 0: any */
    uint64_t passes;
    uint64_t in_pass;       /* records given out in this pass */
    tb_ns first, last;      /* times of the records of this pass, not shifted */
    tb_ns shift;            /* what the passes before add to every time */
    uint64_t lost, damages; /* sequences that are missing; how often some were */
    char what[200];         /* the last time: why */
    uint64_t total, done;   /* for progress: sequences in the segments, read so far */
};

/* replay_journal_open: 0 or -errno; -ENOENT: there is nothing in it. close accepts a half-open
 * one. */
int replay_journal_open(struct replay_journal *r, struct tb_error *err);
void replay_journal_close(struct replay_journal *r);

/* replay_journal_tag: of what would be played: the same tag makes the same records. Never 0. */
uint64_t replay_journal_tag(struct replay_journal *r, bool rebase);

/*
 * replay_journal_next: 1 and the next record, with the journal's instrument ids; its times have
 * `shift` added. 0: the end. -EAGAIN: nothing yet, call again. Other -errno: the journal can not be
 * read.
 */
int replay_journal_next(struct replay_journal *r, struct tb_record *out_record);

/* replay_shift: move every time in a record. */
void replay_shift(struct tb_record *record, tb_ns by);
/* replay_time: the time by which a record is due. */
tb_ns replay_time(const struct tb_record *record);

/* replay_sum: the checksum of what is played, record by record; neither sequence nor publish time
 * count. */
#define REPLAY_SUM_START UINT64_C(0xcbf29ce484222325)
uint64_t replay_sum(uint64_t sum, const struct tb_record *record);

#endif
