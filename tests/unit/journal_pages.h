/*
 * A journal made by hand from the words of journal.h, page by page, so that the reading side is not
 * tested against the writer of the same house: one stream's directory, records appended one by one.
 */
#ifndef TICKBUS_TESTS_JOURNAL_PAGES_H
#define TICKBUS_TESTS_JOURNAL_PAGES_H

#include <ftw.h>

#include <tickbus/journal.h>

#include "unit/bus_fixture.h"

struct pages {
    char dir[200];
    char file[260];
    int fd;
    uint64_t epoch;
    tb_seq first_seq, next_seq;
    uint64_t data_page, generation;
    uint64_t preallocated;          /* pages */
    tb_ns time_segment, time_epoch; /* greatest publish times so far */
    TB_ALIGNAS(4096) unsigned char page[TB_JOURNAL_PAGE];
};

static inline struct tb_journal_page *pages_header(struct pages *j)
{
    return (void *)j->page;
}

static inline void pages_put(struct pages *j, uint64_t at, const void *page)
{
    assert_int_equal(pwrite(j->fd, page, TB_JOURNAL_PAGE, (off_t)(at * TB_JOURNAL_PAGE)),
                     TB_JOURNAL_PAGE);
}

static inline tb_ns pages_time(const struct tb_record *r)
{
    return r->ts_recv + (tb_ns)r->publish_delta_ns;
}

/* <base>/<name of the bus directory>/s */
static inline void pages_init(struct pages *j, const char *base, const char *bus_dir)
{
    memset(j, 0, sizeof(*j));
    j->fd = -1;
    const char *bus = strrchr(bus_dir, '/') + 1;
    (void)snprintf(j->dir, sizeof(j->dir), "%s/%s", base, bus);
    assert_true(mkdir(j->dir, 0750) == 0 || errno == EEXIST);
    size_t length = strlen(j->dir);
    (void)snprintf(j->dir + length, sizeof(j->dir) - length, "/s");
    assert_true(mkdir(j->dir, 0750) == 0 || errno == EEXIST);
    j->preallocated = 400;
}

static inline uint64_t pages_index(const struct pages *j)
{
    return j->data_page + (j->next_seq - j->first_seq) / TB_JOURNAL_RECORDS;
}

static inline void pages_begin(struct pages *j, uint64_t epoch, tb_seq seq)
{
    if (epoch != j->epoch)
        j->time_epoch = 0;
    struct tb_journal_head head = {.first_seq = seq,
                                   .data_page = TB_JOURNAL_STATE_PAGE,
                                   .pages = j->preallocated,
                                   .time_before = j->time_epoch};
    struct tb_journal_page *h = pages_header(j);
    j->time_segment = 0;
    j->epoch = epoch;
    j->first_seq = j->next_seq = seq;
    j->data_page = TB_JOURNAL_STATE_PAGE;
    j->generation = 0;
    (void)snprintf(j->file, sizeof(j->file), "%s/%020llu-%020llu.tbj", j->dir,
                   (unsigned long long)epoch, (unsigned long long)seq);
    j->fd = open(j->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(j->fd >= 0);
    assert_int_equal(ftruncate(j->fd, (off_t)(j->preallocated * TB_JOURNAL_PAGE)), 0);
    memset(j->page, 0, sizeof(j->page));
    h->kind = TB_JOURNAL_HEAD;
    h->epoch = epoch;
    h->first_seq = seq;
    memcpy(j->page + sizeof(*h), &head, sizeof(head));
    tb_journal_page_seal(j->page);
    pages_put(j, 0, j->page);
    memset(j->page, 0, sizeof(j->page));
}

static inline void pages_instruments(struct pages *j, const struct tb_instrument *entries,
                                     uint16_t count, uint64_t generation)
{
    TB_ALIGNAS(4096) unsigned char page[TB_JOURNAL_PAGE] = {0};
    struct tb_journal_page *h = (void *)page;
    h->kind = TB_JOURNAL_INSTRUMENTS_KIND;
    h->epoch = j->epoch;
    h->first_seq = 1;
    h->count = count;
    h->generation = generation;
    h->page = TB_JOURNAL_INSTRUMENT_PAGE + (generation & 1) * TB_JOURNAL_INSTRUMENT_PAGES;
    memcpy(h + 1, entries, count * sizeof(*entries));
    tb_journal_page_seal(page);
    pages_put(j, h->page, page);
}

static inline void pages_seal(struct pages *j, enum tb_journal_kind kind)
{
    struct tb_journal_page *h = pages_header(j);
    h->kind = (uint16_t)kind;
    h->epoch = j->epoch;
    h->first_seq = j->next_seq - h->count;
    h->page = j->data_page + (h->first_seq - j->first_seq) / TB_JOURNAL_RECORDS;
    h->generation = kind == TB_JOURNAL_SPARE ? ++j->generation : 0;
    tb_journal_page_seal(j->page);
}

static inline void pages_append(struct pages *j, const struct tb_record *record)
{
    struct tb_journal_page *h = pages_header(j);
    struct tb_record *place = (struct tb_record *)(h + 1) + h->count;
    *place = *record;
    place->seq = j->next_seq++;
    if (h->count++ == 0 || pages_time(record) < h->time_min)
        h->time_min = pages_time(record);
    if (pages_time(record) > j->time_segment)
        j->time_segment = pages_time(record);
    if (j->time_segment > j->time_epoch)
        j->time_epoch = j->time_segment;
    h->time_max = j->time_segment;
    if (h->count == TB_JOURNAL_RECORDS) {
        pages_seal(j, TB_JOURNAL_RECORDS_KIND);
        pages_put(j, h->page, j->page);
        memset(j->page, 0, sizeof(j->page));
    }
}

/* The tail, into the older spare. */
static inline void pages_flush(struct pages *j)
{
    if (pages_header(j)->count == 0)
        return;
    pages_seal(j, TB_JOURNAL_SPARE);
    pages_put(j, TB_JOURNAL_SPARE_PAGE + (j->generation & 1), j->page);
}

static inline void pages_drop(struct pages *j)
{
    if (j->fd >= 0)
        (void)close(j->fd);
    j->fd = -1;
    memset(j->page, 0, sizeof(j->page));
}

static inline void pages_end(struct pages *j)
{
    struct tb_journal_page *h = pages_header(j);
    uint64_t end = pages_index(j) + (h->count > 0);
    if (h->count > 0) {
        pages_seal(j, TB_JOURNAL_RECORDS_KIND);
        pages_put(j, h->page, j->page);
        memset(j->page, 0, sizeof(j->page));
    }
    h->kind = TB_JOURNAL_END;
    h->time_max = j->time_epoch;
    h->epoch = j->epoch;
    h->first_seq = j->next_seq;
    h->page = end;
    tb_journal_page_seal(j->page);
    pages_put(j, end, j->page);
    assert_int_equal(ftruncate(j->fd, (off_t)((end + 1) * TB_JOURNAL_PAGE)), 0);
    pages_drop(j);
}

/* Records up to `last` of record_of(). */
static inline void pages_fill(struct pages *j, tb_seq last)
{
    while (j->next_seq <= last) {
        struct tb_record record = record_of(j->next_seq);
        pages_append(j, &record);
    }
}

/* Flip a bit of page `at` of a file. */
static inline void pages_damage(const char *file, uint64_t at)
{
    unsigned char byte;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t offset = (off_t)(at * TB_JOURNAL_PAGE + 777);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    (void)close(fd);
}

static inline int pages_remove_one(const char *path, const struct stat *st, int kind,
                                   struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

/* The directory of one test, with everything in it. */
static inline void pages_remove(const char *path)
{
    (void)nftw(path, pages_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
