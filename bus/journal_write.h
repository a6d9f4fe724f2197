/*
 * Writing one stream's journal (the format: journal.h). No service in it: it is given records, and says
 * what is durable. Nothing here waits for a disk, but opening (recovery) and naming a segment's file.
 *
 *   records --append--> pages in buffers --jobs--> tb_uring --done--> durable
 *
 * A buffer is 64 pages, written when full, or as far as it is full when a flush begins. A flush
 * writes what is not written yet: full pages, instrument pages that grew, the tail page into the
 * spare that is older; when all of it and everything before it is done, it syncs, and then, not
 * before, everything up to its sequence is durable. The next flush begins after that. A buffer is
 * used again only when all it holds is durable, so whatever a failed write or sync may have cost
 * is still in memory.
 *
 *   NONE --append--> OPEN --full, epoch, day, finish--> NONE, and beside it, the segment that was:
 *                      |                                ENDING --all synced--> ENDED --end page synced--> gone
 *                      | a write or sync failed, here or while ENDING
 *                      v
 *                   BROKEN   the file is given up: never synced again as if it were good. After
 *                      |     retry_every what is not durable is put into a new segment, which begins
 *                      v     at durable + 1
 *                     OPEN
 *
 * An OPEN segment has its file when the one before it is durable; until then it is in memory only.
 */
#ifndef TICKBUS_JOURNAL_WRITE_H
#define TICKBUS_JOURNAL_WRITE_H

#include <tickbus/journal.h>
#include <tickbus/uring.h>

/* ---- the disk: one ring and the registered memory of all writers of a process ---- */

enum tb_journal_io { TB_JOURNAL_IO_AUTO, TB_JOURNAL_IO_URING, TB_JOURNAL_IO_PLAIN };

struct tb_journal_disk;

#define TB_JOURNAL_WRITERS_MAX 16

/*
 * A writer's memory: what may wait for the disk, and what is taken while it fails. While a sync is under
 * way records go on into the other half, so a sync covers half of it when records come without a pause:
 * with 4 MiB a process that had to share its processors wrote a quarter less. Locked for io_uring, where
 * RLIMIT_MEMLOCK lets it (8 MiB by default: one stream).
 */
#define TB_JOURNAL_MEMORY ((size_t)8 << 20)
#define TB_JOURNAL_MEMORY_MIN ((size_t)1 << 20)
#define TB_JOURNAL_MEMORY_MAX ((size_t)16 << 20)

/*
 * tb_journal_disk_open: for so many writers, `memory` bytes each.
 * *out_fallback: NULL, or why io_uring is not used. Errors: with IO_URING also -EPERM if it is refused.
 */
int tb_journal_disk_open(unsigned writers, size_t memory, enum tb_journal_io io,
                         struct tb_journal_disk **out_disk, const char **out_fallback,
                         struct tb_error *err);
void tb_journal_disk_close(struct tb_journal_disk *disk);

/* Submit what the writers queued, once, and hand out completions. Returns how many, or -errno. */
int tb_journal_disk_turn(struct tb_journal_disk *disk, tb_ns wait_ns);
struct tb_uring *tb_journal_disk_ring(struct tb_journal_disk *disk);

/* ---- one stream ---- */

struct tb_journal_writer;

struct tb_journal_write_options {
    const char *journal, *bus, *stream;
    uint64_t segment_bytes; /* preallocated and most that a segment holds */
    uint64_t sync_bytes;
    tb_ns sync_every;
    tb_ns retry_every; /* after a failure; 0: 1 s */
    bool direct;       /* O_DIRECT where the file system takes it */
    /* The state that belongs before the next record to be appended: how many records it is; written
     * to out_records if that is not NULL (called twice). NULL: none. */
    size_t (*state)(void *context, struct tb_record *out_records);
    /* A change a person may want to know of. NULL: not said. */
    void (*say)(void *context, bool bad, const char *event, const char *text);
    void *context;
};

struct tb_journal_counts {
    uint64_t bytes, pages, syncs, errors, segments;
    uint64_t rewritten; /* records written a second time because a file was given up */
    tb_ns
        sync_latency; /* of the last flush, from its beginning to durable; taken by the reader of it */
};

/*
 * tb_journal_writer_open: make the directory, become its only writer, recover what is there: as long as
 * reading the last segment takes. May be called in a thread of its own, while the disk's other writers are
 * at work or are opened; state is not called, say is.
 * Errors    -EBUSY another process writes this journal; -EPROTO another layout; others from the system
 */
int tb_journal_writer_open(struct tb_journal_disk *disk,
                           const struct tb_journal_write_options *options,
                           struct tb_journal_writer **out_writer, struct tb_error *err);
/* tb_journal_writer_close: at once; finish first if what is not durable matters. Accepts NULL. */
void tb_journal_writer_close(struct tb_journal_writer *w);

/* The last durable position; epoch 0: the journal is empty. */
void tb_journal_writer_durable(const struct tb_journal_writer *w, uint64_t *out_epoch,
                               tb_seq *out_seq);
/* The last sequence of an epoch that is on disk; 0: none. */
tb_seq tb_journal_writer_last(const struct tb_journal_writer *w, uint64_t epoch);
/* The sequence that append expects next, in the epoch that it expects. */
tb_seq tb_journal_writer_next(const struct tb_journal_writer *w);

/*
 * tb_journal_writer_begin: the next record is (epoch, seq), in a new segment if that is not just what
 * was expected. 0; -EAGAIN: the present segment is being ended, turn and call again.
 */
int tb_journal_writer_begin(struct tb_journal_writer *w, uint64_t epoch, tb_seq seq);
/* The next entry of the epoch's instrument table, in order of ids. NULL: one that was not fit. */
void tb_journal_writer_instrument(struct tb_journal_writer *w, const struct tb_instrument *entry);
uint16_t tb_journal_writer_instrument_count(const struct tb_journal_writer *w);

/* Consecutive records; returns how many were taken: fewer: no room now, turn and come again. */
size_t tb_journal_writer_append(struct tb_journal_writer *w, const struct tb_record *records,
                                size_t count, tb_ns wall);
/* Begin flushes that are due, end segments, try again after failures. */
void tb_journal_writer_turn(struct tb_journal_writer *w, tb_ns mono);
/* Flush as soon as may be. */
void tb_journal_writer_flush(struct tb_journal_writer *w);
/* Make all durable and end the segment. 0 done, -EAGAIN: turn and call again. */
int tb_journal_writer_finish(struct tb_journal_writer *w);

/* NULL: all is well; else what failed, until what was not durable then is. */
const char *tb_journal_writer_trouble(const struct tb_journal_writer *w);
const struct tb_journal_counts *tb_journal_writer_counts(const struct tb_journal_writer *w);
/* The file that is being written, "" if none; the directory. */
const char *tb_journal_writer_file(const struct tb_journal_writer *w);
const char *tb_journal_writer_path(const struct tb_journal_writer *w);
bool tb_journal_writer_is_direct(const struct tb_journal_writer *w);

/*
 * tb_journal_compress: an ended segment becomes <file>.zst. Blocking: for a thread of its own; *stop (may
 * be NULL) ends it early. 1 done, 0 it is not ended, -ECANCELED, other -errno: the file is as it was.
 */
int tb_journal_compress(int directory_fd, const char *file, int level, const atomic_bool *stop);

#endif
