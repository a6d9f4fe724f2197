/*
 * One segment file of a journal (journal.h), open for reading: its pages, whether the file is plain
 * or compressed, and how far it is written. Internal to the library.
 */
#ifndef TICKBUS_JOURNAL_SOURCE_H
#define TICKBUS_JOURNAL_SOURCE_H

#include <sys/stat.h>
#include <time.h>

#include <tickbus/journal.h>
#include <tickbus/uring.h>

#define TB_JOURNAL_PATH_BYTES 600

struct tb_journal_zstd; /* journal_zstd.c */

struct tb_journal_source {
    int fd;
    struct tb_journal_zstd *zstd; /* NULL: plain */
    uint64_t epoch;               /* as the file's name says */
    tb_seq first_seq;
    bool headed; /* the head, or what could be found without it, is known */
    uint64_t data_page, state_pages;
    tb_ns created;
    tb_ns time_before; /* greatest publish time of the epoch before it; -1: its head is not
                        * readable */
    uint64_t full;     /* this many pages of records are known to be in their places */
    tb_seq end_seq;    /* of the end page: last sequence + 1; 0: none was seen */
    char name[64];
};

/* What a page of records is now. */
enum tb_journal_place {
    TB_PLACE_RECORDS, /* records, in its place */
    TB_PLACE_TAIL,    /* records so far: it is in a spare, and will grow */
    TB_PLACE_END,     /* the end page: nothing follows */
    TB_PLACE_EMPTY,   /* not written */
    TB_PLACE_DAMAGED, /* something is there, but not this page */
};

int tb_journal_source_open(const char *path, const char *name, uint64_t epoch, tb_seq first_seq,
                           bool compressed, struct tb_journal_source **out_source);
void tb_journal_source_close(struct tb_journal_source *f);

/* Whole pages from `page` on. Returns how many: fewer where the file ends; or -errno. */
long tb_journal_source_read(struct tb_journal_source *f, uint64_t page, size_t count,
                            void *out_pages);
uint64_t tb_journal_source_pages(const struct tb_journal_source *f);

/* The head, read if it was not there before. 0, -EPROTO another layout, -EAGAIN not there yet,
 * -EBADMSG. */
int tb_journal_source_head(struct tb_journal_source *f);

/* What is this page, as page k of the records? *out_why (may be NULL): what is wrong with it. */
enum tb_journal_place tb_journal_source_judge(const struct tb_journal_source *f, uint64_t k,
                                              const void *page, const char **out_why);
/* Page k of the records as it is now, from its place or a spare. -errno, or enum
 * tb_journal_place. */
int tb_journal_source_page(struct tb_journal_source *f, uint64_t k, void *out_page,
                           const char **out_why);
/*
 * The first page of records, or the end page, at k or after it: its place in *out_k and what it is;
 * TB_PLACE_EMPTY if there is none. Reads the rest of the file if need be.
 */
int tb_journal_source_next(struct tb_journal_source *f, uint64_t k, uint64_t *out_k,
                           void *out_page);

/* Is its end page there? */
bool tb_journal_source_closed(struct tb_journal_source *f);

/* The last sequence now; 0: none. *out_time_max (may be NULL): the greatest publish time of its
 * page. */
tb_seq tb_journal_source_newest(struct tb_journal_source *f, tb_ns *out_time_max);

/* tb_journal_pread: as pread, but made again when it was interrupted; -errno. All reads of a
 * journal's files end here, or in the ring of journal_ahead.c. */
long tb_journal_pread(int fd, void *out_bytes, size_t count, uint64_t offset);
/* Tests only, NULL: none. What becomes of those reads (uring.h); their numbers are 0 here. */
extern const struct tb_uring_fault *tb_journal_read_fault;

/* ---- journal_ahead.c ---- */

/* Read at once by somebody who goes through a segment from page to page. */
#define TB_JOURNAL_AHEAD_PAGES 64

struct tb_journal_ahead; /* one reader's; one thread */

int tb_journal_ahead_open(struct tb_journal_ahead **out_ahead);
void tb_journal_ahead_close(struct tb_journal_ahead *a);
/*
 * tb_journal_ahead_read: as tb_journal_source_read, at most TB_JOURNAL_AHEAD_PAGES; the pages are
 * at *out_pages until the next call. Whoever asks for that many is taken to go on: what follows is
 * read meanwhile, as far as three more such buffers hold. The first such call sets up a ring, which
 * another process (fork) does not use.
 */
long tb_journal_ahead_read(struct tb_journal_ahead *a, struct tb_journal_source *f, uint64_t page,
                           size_t count, const unsigned char **out_pages);
/* tb_journal_ahead_rest: nothing is wanted for a while: give ring and memory back. */
void tb_journal_ahead_rest(struct tb_journal_ahead *a);
/* Why there is no ring; NULL: none was needed yet, or it is there. */
const char *tb_journal_ahead_refused(const struct tb_journal_ahead *a);

/* ---- journal_list.c ---- */

struct tb_journal_item {
    uint64_t epoch;
    tb_seq first_seq;
    bool compressed;
    struct tb_journal_source *source; /* NULL: not open */
    uint64_t used;                    /* of list.uses: what was not used for longest is closed */
};

struct tb_journal_list {
    char path[TB_JOURNAL_PATH_BYTES];
    bool single;  /* one file, which is the path */
    bool stamped; /* `stamp` will tell every change from here on */
    struct timespec stamp;
    struct tb_journal_item *item;
    size_t count;
    unsigned open;
    uint64_t uses;
};

/* tb_journal_list_scan: look for new segments. 1: the list is another now, 0: it is not, or
 * -errno. */
int tb_journal_list_scan(struct tb_journal_list *l);
void tb_journal_list_close(struct tb_journal_list *l);
/* tb_journal_list_use: item i, opened if need be; it stays until a few others were used. */
int tb_journal_list_use(struct tb_journal_list *l, size_t i, struct tb_journal_source **out_source);
/* tb_journal_list_find: the last that begins at or before (epoch, seq); SIZE_MAX: none. */
size_t tb_journal_list_find(const struct tb_journal_list *l, uint64_t epoch, tb_seq seq);
bool tb_journal_name_parse(const char *name, struct tb_journal_item *out_item);
void tb_journal_name(const struct tb_journal_item *item, char out_name[64]);

/* ---- journal_read.c and journal_about.c ---- */

struct tb_journal {
    struct tb_journal_list list;
    uint64_t epoch; /* the position; 0: before everything */
    tb_seq seq;
    uint64_t told_epoch; /* of the last records, and of their instruments */
    tb_seq told_seq;

    struct tb_journal_ahead *source_ahead;
    const unsigned char *window; /* in source_ahead, or `page` */
    uint64_t window_epoch;       /* of the segment; 0: nothing is held */
    tb_seq window_seq;
    uint64_t window_k, window_pages; /* pages of records, judged sound when they were read */
    size_t ahead;                    /* to be read next time: grows while pages are sound */
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];

    struct tb_instrument *instruments;
    uint16_t instrument_count;
    uint64_t instrument_epoch;
    tb_seq instrument_seq; /* the segment that they were read from */
};

/*
 * tb_journal_find_segment: the one that the position is in; a position before a segment's begin,
 * with nothing between, moves there. False: nothing is there (yet).
 */
bool tb_journal_find_segment(struct tb_journal *j, size_t *out_i);
/* How long damage at the end of what a dead writer left is looked at before it is believed; tests
 * are hasty. */
extern tb_ns tb_journal_settle_ns;

/* tb_journal_tell: the position, moved to what is there. False: the journal is empty. */
bool tb_journal_tell(struct tb_journal *j, uint64_t *out_epoch, tb_seq *out_seq);
/* tb_journal_oldest: the first sequence that it has of an epoch; 0: nothing. */
tb_seq tb_journal_oldest(struct tb_journal *j, uint64_t epoch);

/* ---- journal_zstd.c ---- */

int tb_journal_zstd_open(int fd, struct tb_journal_zstd **out_zstd);
void tb_journal_zstd_close(struct tb_journal_zstd *z);
uint64_t tb_journal_zstd_bytes(const struct tb_journal_zstd *z);
/* As pread, of the file that was compressed. */
long tb_journal_zstd_read(struct tb_journal_zstd *z, void *out_bytes, size_t count,
                          uint64_t offset);

#endif
