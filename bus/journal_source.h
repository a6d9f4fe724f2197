/*
 * One segment file of a journal (journal.h), open for reading: its pages, whether the file is plain or
 * compressed, and how far it is written. Internal to the library.
 */
#ifndef TICKBUS_JOURNAL_SOURCE_H
#define TICKBUS_JOURNAL_SOURCE_H

#include <sys/stat.h>
#include <time.h>

#include <tickbus/journal.h>

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
    uint64_t full;  /* this many pages of records are known to be in their places */
    tb_seq end_seq; /* of the end page: last sequence + 1; 0: none was seen */
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

/* The head, read if it was not there before. 0, -EPROTO another layout, -EAGAIN not there yet, -EBADMSG. */
int tb_journal_source_head(struct tb_journal_source *f);

/* What is this page, as page k of the records? *out_why (may be NULL): what is wrong with it. */
enum tb_journal_place tb_journal_source_judge(const struct tb_journal_source *f, uint64_t k,
                                              const void *page, const char **out_why);
/* Page k of the records as it is now, from its place or a spare. -errno, or enum tb_journal_place. */
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

/* The last sequence now; 0: none. *out_time_max (may be NULL): the greatest publish time of its page. */
tb_seq tb_journal_source_newest(struct tb_journal_source *f, tb_ns *out_time_max);

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

/* tb_journal_list_scan: look for new segments. 1: the list is another now, 0: it is not, or -errno. */
int tb_journal_list_scan(struct tb_journal_list *l);
void tb_journal_list_close(struct tb_journal_list *l);
/* tb_journal_list_use: item i, opened if need be; it stays until a few others were used. */
int tb_journal_list_use(struct tb_journal_list *l, size_t i, struct tb_journal_source **out_source);
/* tb_journal_list_find: the last that begins at or before (epoch, seq); SIZE_MAX: none. */
size_t tb_journal_list_find(const struct tb_journal_list *l, uint64_t epoch, tb_seq seq);
bool tb_journal_name_parse(const char *name, struct tb_journal_item *out_item);
void tb_journal_name(const struct tb_journal_item *item, char out_name[64]);

/* ---- journal_read.c ---- */

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
