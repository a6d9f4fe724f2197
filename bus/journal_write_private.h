/* What the parts of the journal's writer share: journal_write.c, journal_file.c,
 * journal_recover.c. */
#ifndef TICKBUS_JOURNAL_WRITE_PRIVATE_H
#define TICKBUS_JOURNAL_WRITE_PRIVATE_H

#include "bus/journal_write.h"

#define BUFFER_PAGES 64
#define BUFFER_BYTES (BUFFER_PAGES * (size_t)TB_JOURNAL_PAGE)
/* Of records, a writer: as many as its memory holds, less one for the pages that are made at a
 * flush. */
#define BUFFERS_MAX (TB_JOURNAL_MEMORY_MAX / BUFFER_BYTES - 1)
#define JOBS 160      /* data, spare, end, directory, sync, and every instrument page at once */
#define FLUSH_JOBS 56 /* most that one flush adds */
#define SOFT_PAGES 64 /* before a segment's last: from here on it may end, at the end of an event */
#define NAME_BYTES 64
#define FILE_MODE 0640
#define PREPARED_NAME "next.new"

/* Pages of the extra buffer. */
#define EXTRA_SPARE 0 /* and 1 */
#define EXTRA_END 2
#define EXTRA_INSTRUMENTS 3

struct buffer {
    char *memory;
    int registered;
    uint32_t pages;   /* begun */
    uint32_t written; /* of them, given to jobs */
    bool closed;      /* the segment ended in it: nothing is added */
    uint64_t first_page;
};

enum job_kind { JOB_WRITE, JOB_DIRECTORY, JOB_SYNC, JOB_END, JOB_END_SYNC, JOB_ALLOCATE };
enum job_state { JOB_FREE, JOB_WAITING, JOB_FLYING };

struct job {
    struct tb_journal_writer *writer;
    enum job_kind kind;
    enum job_state state;
    uint64_t life; /* of the segment it belongs to: else its result is of no matter */
    uint64_t number;
    int registered;
    const char *bytes;
    void *
        owned; /* freed with the job: a segment's first pages, before which nothing else of it is written */
    size_t count, done;
    uint64_t offset;
};

enum writer_state { WRITER_NONE, WRITER_OPEN, WRITER_BROKEN };
enum old_state { OLD_NONE, OLD_ENDING, OLD_ENDED };
enum prepared_state { PREPARED_NONE, PREPARED_ASKED, PREPARED_READY, PREPARED_REFUSED };
enum flush_state { FLUSH_NONE, FLUSH_WRITING, FLUSH_SYNCING };

struct tb_journal_writer {
    struct tb_journal_write_options opt;
    struct tb_journal_disk *disk;
    int share; /* of the disk's memory; -1: none */
    char path[512];
    char stream[TB_STREAM_BYTES], bus[TB_STREAM_BYTES];
    int lock_fd, directory_fd;
    struct tb_uring *once; /* while it is opened: tb_journal_once */
    bool buffered_said, direct;

    enum writer_state state;
    uint64_t epoch;
    tb_seq next_seq, durable;
    tb_ns mono;         /* of this turn */
    tb_ns pending_mono; /* since when something is not durable; 0: nothing is */
    uint64_t pending_bytes;
    bool flush_asked, end_asked;

    /* the segment; records may be taken before it has a file: fd -1 */
    int fd;
    char file[NAME_BYTES];
    uint64_t life;
    uint64_t first_life; /* of the segment whose first pages are on their way; 0: none */
    tb_seq first_seq;
    uint64_t data_page, pages, next_page; /* next_page: the next record page to begin */
    int64_t day;
    uint64_t spare_generation;
    uint32_t instrument_generation[TB_JOURNAL_INSTRUMENT_PAGES];
    uint16_t instruments_written;
    /* As many are on disk for sure. No record is written before its instrument is: whoever is killed, or
     * without power, in between would leave records that nobody can read. */
    uint16_t instruments_there;
    struct tb_instrument *instruments;
    uint16_t instrument_count;
    tb_ns time_segment,
        time_epoch; /* greatest publish times of its full pages, and of all before */

    /* the one before it, on its way to its end: see journal_roll.c */
    struct journal_old {
        enum old_state state;
        int fd;
        char file[NAME_BYTES];
        uint64_t life, job_number;
        tb_seq first_seq, last_seq;
        uint64_t data_page, end_page;
    } old;

    /* the file that the next one will be */
    enum prepared_state prepared;
    int prepared_fd;
    tb_ns wall; /* of the last append */
    tb_ns looked_mono;

    /* records on their way */
    struct buffer buffer[BUFFERS_MAX];
    unsigned buffers; /* of them are there */
    unsigned first_buffer, buffer_count;
    char *extra;
    int extra_registered;

    struct job job[JOBS];
    unsigned flying;
    uint64_t job_number;
    enum flush_state flush;
    uint64_t flush_life, flush_number; /* of which segment, up to which job */
    tb_seq flush_seq;
    uint16_t flush_instruments;
    tb_ns flush_mono;

    struct journal_past {
        uint64_t epoch;
        tb_seq last;
        tb_ns time; /* greatest publish time of the epoch */
    } * past;       /* what was found when it was opened */
    size_t past_count;

    tb_ns retry_mono;
    char trouble[700];  /* empty: none */
    tb_seq trouble_seq; /* it is over when this is durable */
    struct tb_journal_counts counts;
};

static inline struct tb_journal_page *page_at(char *memory, size_t index)
{
    return (struct tb_journal_page *)(void *)(memory + index * TB_JOURNAL_PAGE);
}

static inline struct tb_record *page_records(struct tb_journal_page *page)
{
    return (struct tb_record *)(page + 1);
}

static inline tb_ns publish_time(const struct tb_record *r)
{
    return r->ts_recv + r->publish_delta_ns;
}

static inline struct buffer *buffer_at(struct tb_journal_writer *w, unsigned n)
{
    return &w->buffer[(w->first_buffer + n) % w->buffers];
}

/* ---- journal_disk.c ---- */

int tb_journal_share_take(struct tb_journal_writer *w, struct tb_journal_disk *disk);
void tb_journal_share_give(struct tb_journal_writer *w);
/* A free job, or NULL; how many there are; done with it. */
struct job *tb_journal_job(struct tb_journal_writer *w, enum job_kind kind);
unsigned tb_journal_jobs_free(const struct tb_journal_writer *w);
void tb_journal_job_end(struct job *job);
/* Whole pages to their place. */
void tb_journal_write_bytes(struct tb_journal_writer *w, const char *bytes, size_t count,
                            uint64_t page, int registered);
/*
 * The first pages of the segment that is made, in one write, over places that are written again later
 * (instruments, spares): all else that is written to it waits until they are there. Frees `memory`.
 */
void tb_journal_write_first(struct tb_journal_writer *w, char *memory, size_t count);
/* Hand waiting jobs to the ring, and the sync when its turn has come. */
void tb_journal_jobs_queue(struct tb_journal_writer *w);
/*
 * Recovery alone: one request, waited for. Over plain calls, and not over the disk's ring, so that a writer may
 * be opened in a thread of its own while others are at work. 0 or -errno.
 */
int tb_journal_once(struct tb_journal_writer *w, enum tb_uring_op op, int fd, const void *bytes,
                    size_t count, uint64_t offset);

/* ---- journal_write.c ---- */

void tb_journal_say(const struct tb_journal_writer *w, bool bad, const char *event,
                    const char *format, ...) TB_PRINTF(4, 5);
/* A write or sync of the segment failed; what the flush waited for is synced. */
void tb_journal_give_up(struct tb_journal_writer *w, int rc, const char *what);
void tb_journal_flush_end(struct tb_journal_writer *w);
void tb_journal_flush_start(struct tb_journal_writer *w, uint64_t life, uint64_t number,
                            tb_seq seq);
/* The last page may be short, and has its place nevertheless; so has every one before it. */
void tb_journal_pages_write(struct tb_journal_writer *w, bool with_tail);
void tb_journal_instruments_write(struct tb_journal_writer *w);
void tb_journal_page_begin(struct tb_journal_writer *w, struct tb_journal_page *page,
                           uint64_t index);
/* The stream's directory, its lock and its parents, made if need be. */
int tb_journal_directory_open(struct tb_journal_writer *w, struct tb_error *err);
/* Count a record that was put behind the others of its page. */
static inline void tb_journal_page_count(struct tb_journal_page *page, const struct tb_record *r)
{
    tb_ns time = publish_time(r);
    if (page->count++ == 0 || time < page->time_min)
        page->time_min = time;
    if (time > page->time_max)
        page->time_max = time;
}

/* ---- journal_file.c: the segment's file ---- */

/* Begin a segment in memory: its first pages wait for its file. Books may be asked for:
 * with_state. */
int tb_journal_segment_begin(struct tb_journal_writer *w, tb_seq first_seq, bool with_state,
                             tb_ns wall);
/* Give it its file. 0 or -errno (said). */
int tb_journal_segment_attach(struct tb_journal_writer *w);
/* Make the next one's file ahead of time, if it is time; it was made, or not; it is not needed. */
void tb_journal_file_prepare(struct tb_journal_writer *w);
void tb_journal_file_prepared(struct tb_journal_writer *w, long result);
void tb_journal_file_unprepare(struct tb_journal_writer *w);
/* Has somebody removed the file that is being written? */
bool tb_journal_file_is_gone(const struct tb_journal_writer *w);
/* An instrument page as it is now, for its other copy. Returns the page's place. */
uint64_t tb_journal_instruments_fill(struct tb_journal_writer *w, unsigned index, char *page);
/* After a failure: give back what was reserved behind the durable pages, and close. */
void tb_journal_file_give_up(struct tb_journal_writer *w);
/* Never delete: give a damaged file another name. */
void tb_journal_file_aside(struct tb_journal_writer *w, const char *file, const char *why);

/* ---- journal_roll.c ---- */

/* The segment is complete, as far as records go: from here on it is the old one. False: not now. */
bool tb_journal_cut(struct tb_journal_writer *w);
/* All of its records are durable: write its end page. */
void tb_journal_old_durable(struct tb_journal_writer *w);
/* Its end page was written, or synced; or that failed, which costs nothing but the end page. */
void tb_journal_old_done(struct tb_journal_writer *w, struct job *job, int rc);
/* It failed before its records were durable: it is the present one again, to be given up. */
void tb_journal_old_back(struct tb_journal_writer *w);

/* ---- journal_recover.c ---- */

/* Find the last position, end segments that were left open. */
int tb_journal_recover(struct tb_journal_writer *w, struct tb_error *err);

#endif
