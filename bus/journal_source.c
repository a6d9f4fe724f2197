/* One segment of a journal: reading its pages and finding where it ends (journal.h has the layout). */
#include "journal_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pages looked at in one step where the file is searched for the next sound page. */
#define LOOK_PAGES 64
/* State pages that a head may speak of; what a damaged one says must not lead far astray. */
#define STATE_PAGES_MAX (UINT64_C(1) << 24)

int tb_journal_source_open(const char *path, const char *name, uint64_t epoch, tb_seq first_seq,
                           bool compressed, struct tb_journal_source **out_source)
{
    struct tb_journal_source *f = calloc(1, sizeof(*f));
    struct stat st;
    if (f == NULL)
        return -ENOMEM;
    f->epoch = epoch;
    f->first_seq = first_seq;
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc = f->fd < 0 || fstat(f->fd, &st) != 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    if (rc == 0 && compressed)
        rc = tb_journal_zstd_open(f->fd, &f->zstd);
    if (rc != 0) {
        tb_journal_source_close(f);
        return rc;
    }
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint: twice the read-ahead */
    *out_source = f;
    return 0;
}

void tb_journal_source_close(struct tb_journal_source *f)
{
    if (f == NULL)
        return;
    tb_journal_zstd_close(f->zstd);
    if (f->fd >= 0)
        (void)close(f->fd); /* only read */
    free(f);
}

uint64_t tb_journal_source_pages(const struct tb_journal_source *f)
{
    struct stat st;
    if (f->zstd != NULL)
        return tb_journal_zstd_bytes(f->zstd) / TB_JOURNAL_PAGE;
    return fstat(f->fd, &st) == 0 ? (uint64_t)st.st_size / TB_JOURNAL_PAGE : 0;
}

const struct tb_uring_fault *tb_journal_read_fault;

long tb_journal_pread(int fd, void *out_bytes, size_t count, uint64_t offset)
{
    const struct tb_uring_fault *fault = tb_journal_read_fault;
    ssize_t n;
    if (TB_UNLIKELY(fault != NULL)) {
        long rc = fault->decide(fault->context, 0, TB_URING_READ, fd, out_bytes, count, offset);
        if (rc <= 0)
            return rc;
        count = rc > 1 && (size_t)rc < count ? (size_t)rc : count;
    }
    do
        n = pread(fd, out_bytes, count, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

long tb_journal_source_read(struct tb_journal_source *f, uint64_t page, size_t count,
                            void *out_pages)
{
    size_t bytes = count * TB_JOURNAL_PAGE, done = 0;
    if (f->zstd != NULL) {
        long n = tb_journal_zstd_read(f->zstd, out_pages, bytes, page * TB_JOURNAL_PAGE);
        return n < 0 ? n : n / TB_JOURNAL_PAGE;
    }
    while (done < bytes) {
        long n = tb_journal_pread(f->fd, (char *)out_pages + done, bytes - done,
                                  page * TB_JOURNAL_PAGE + done);
        if (n < 0 && done < TB_JOURNAL_PAGE)
            return n;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (long)(done / TB_JOURNAL_PAGE);
}

/* ---- the head ---- */

/*
 * Where the records begin, without a head: each of their pages says which page of the file it is and
 * which sequence it begins with.
 */
static int find_data_page(struct tb_journal_source *f)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    uint64_t pages = tb_journal_source_pages(f);
    for (uint64_t i = TB_JOURNAL_STATE_PAGE; i < pages; i++) {
        long n = tb_journal_source_read(f, i, 1, page);
        if (n < 0)
            return (int)n;
        if (n == 0 || tb_journal_page_check(page, TB_JOURNAL_RECORDS_KIND, f->epoch) != NULL ||
            h->page != i || h->first_seq < f->first_seq ||
            (h->first_seq - f->first_seq) % TB_JOURNAL_RECORDS != 0)
            continue;
        uint64_t k = (h->first_seq - f->first_seq) / TB_JOURNAL_RECORDS;
        if (k > i - TB_JOURNAL_STATE_PAGE)
            continue;
        f->data_page = i - k;
        f->state_pages = f->data_page - TB_JOURNAL_STATE_PAGE;
        f->time_before = -1;
        f->headed = true;
        return 0;
    }
    return -EBADMSG;
}

int tb_journal_source_head(struct tb_journal_source *f)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    struct tb_journal_head head;
    if (f->headed)
        return 0;
    long n = tb_journal_source_read(f, 0, 1, page);
    if (n < 0)
        return (int)n;
    if (n == 0)
        return -EAGAIN;
    if (tb_journal_page_check(page, TB_JOURNAL_HEAD, f->epoch) != NULL) {
        int rc = find_data_page(f); /* a damaged head is not needed */
        if (rc == -EBADMSG && h->magic == 0)
            return -EAGAIN;
        bool other = h->magic == TB_JOURNAL_MAGIC && h->layout != TB_JOURNAL_LAYOUT;
        return rc == -EBADMSG && other ? -EPROTO : rc;
    }
    memcpy(&head, page + sizeof(*h), sizeof(head));
    if (head.first_seq != f->first_seq || head.state_pages > STATE_PAGES_MAX ||
        head.data_page != TB_JOURNAL_STATE_PAGE + head.state_pages)
        return find_data_page(f);
    f->data_page = head.data_page;
    f->state_pages = head.state_pages;
    f->created = head.created;
    f->time_before = head.time_before;
    f->headed = true;
    return 0;
}

/* ---- pages of records ---- */

static bool is_zero(const void *page)
{
    const uint64_t *word = page;
    for (size_t i = 0; i < TB_JOURNAL_PAGE / sizeof(*word); i++)
        if (word[i] != 0)
            return false;
    return true;
}

static tb_seq first_of(const struct tb_journal_source *f, uint64_t k)
{
    return f->first_seq + k * TB_JOURNAL_RECORDS;
}

/* Records carry their sequences. */
static bool in_sequence(const struct tb_journal_page *h)
{
    const struct tb_record *record = (const void *)(h + 1);
    uint64_t wrong = h->count == 0;
    for (uint32_t i = 0; i < h->count; i++)
        wrong |= record[i].seq ^ (h->first_seq + i);
    return wrong == 0;
}

enum tb_journal_place tb_journal_source_judge(const struct tb_journal_source *f, uint64_t k,
                                              const void *page, const char **out_why)
{
    const struct tb_journal_page *h = page;
    const char *why = tb_journal_page_check(page, TB_JOURNAL_RECORDS_KIND, f->epoch);
    enum tb_journal_place place = TB_PLACE_DAMAGED;
    if (why == NULL) {
        if (h->first_seq == first_of(f, k) && h->page == f->data_page + k && in_sequence(h))
            place = TB_PLACE_RECORDS;
        else
            why = "the page of another place";
    } else if (h->magic == 0 && is_zero(page)) {
        place = TB_PLACE_EMPTY;
    } else if (tb_journal_page_check(page, TB_JOURNAL_END, f->epoch) == NULL &&
               h->first_seq >= f->first_seq && h->first_seq <= first_of(f, k)) {
        place = TB_PLACE_END;
    }
    if (out_why != NULL)
        *out_why = why;
    return place;
}

/*
 * The newer of the sound spares; but one that continues page k before one that is further on: the newer was
 * perhaps never synced, and what it continues never written. 1, 0: none, or -errno.
 */
static int read_spare(struct tb_journal_source *f, uint64_t k, void *out_page)
{
    TB_ALIGNAS(8) unsigned char spare[2 * TB_JOURNAL_PAGE];
    const struct tb_journal_page *best = NULL;
    long n = tb_journal_source_read(f, TB_JOURNAL_SPARE_PAGE, 2, spare);
    for (long i = 0; i < n; i++) {
        const struct tb_journal_page *h = (const void *)(spare + i * TB_JOURNAL_PAGE);
        if (h->magic != 0 && tb_journal_page_check(h, TB_JOURNAL_SPARE, f->epoch) == NULL &&
            h->first_seq >= f->first_seq && in_sequence(h) &&
            (best == NULL ||
             (best->first_seq == first_of(f, k)) < (h->first_seq == first_of(f, k)) ||
             ((best->first_seq == first_of(f, k)) == (h->first_seq == first_of(f, k)) &&
              h->generation > best->generation)))
            best = h;
    }
    if (best != NULL)
        memcpy(out_page, best, TB_JOURNAL_PAGE);
    return n < 0 ? (int)n : best != NULL;
}

static int place_of(struct tb_journal_source *f, uint64_t k, void *out_page, const char **out_why)
{
    const struct tb_journal_page *h = out_page;
    long n = tb_journal_source_read(f, f->data_page + k, 1, out_page);
    if (n < 0)
        return (int)n;
    if (n == 0) {
        if (out_why != NULL)
            *out_why = "the file ends before it";
        return TB_PLACE_EMPTY;
    }
    int place = (int)tb_journal_source_judge(f, k, out_page, out_why);
    if (place == TB_PLACE_END)
        f->end_seq = h->first_seq;
    else if (place == TB_PLACE_RECORDS && k == f->full)
        f->full = k + 1;
    return place;
}

/*
 * The place, then the spares, then the place again: the page may have been filled and written to its
 * place between the first look and the second.
 */
int tb_journal_source_page(struct tb_journal_source *f, uint64_t k, void *out_page,
                           const char **out_why)
{
    TB_ALIGNAS(8) unsigned char spare[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)spare;
    int place = place_of(f, k, out_page, out_why);
    if (place < 0 || place == TB_PLACE_RECORDS || place == TB_PLACE_END)
        return place;
    int rc = read_spare(f, k, spare);
    if (rc <= 0)
        return rc < 0 ? rc : place;
    if (h->first_seq == first_of(f, k)) {
        memcpy(out_page, spare, TB_JOURNAL_PAGE);
        return TB_PLACE_TAIL;
    }
    return h->first_seq > first_of(f, k) ? place_of(f, k, out_page, out_why) : place;
}

/* In the places from k on. */
static int next_in_place(struct tb_journal_source *f, uint64_t k, uint64_t *out_k, void *out_page)
{
    unsigned char *pages = malloc(LOOK_PAGES * TB_JOURNAL_PAGE);
    int place = pages != NULL ? (int)TB_PLACE_EMPTY : -ENOMEM;
    while (place == TB_PLACE_EMPTY) {
        long n = tb_journal_source_read(f, f->data_page + k, LOOK_PAGES, pages);
        if (n <= 0) {
            place = n < 0 ? (int)n : place;
            break;
        }
        for (long i = 0; i < n; i++, k++) {
            int is = (int)tb_journal_source_judge(f, k, pages + i * TB_JOURNAL_PAGE, NULL);
            if (is != TB_PLACE_RECORDS && is != TB_PLACE_END)
                continue;
            *out_k = k;
            memcpy(out_page, pages + i * TB_JOURNAL_PAGE, TB_JOURNAL_PAGE);
            place = is;
            break;
        }
    }
    free(pages);
    return place;
}

int tb_journal_source_next(struct tb_journal_source *f, uint64_t k, uint64_t *out_k, void *out_page)
{
    TB_ALIGNAS(8) unsigned char spare[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)spare;
    int place = next_in_place(f, k, out_k, out_page);
    if (place != TB_PLACE_EMPTY)
        return place;
    /* A tail that is only in a spare comes after everything in its place. */
    int rc = read_spare(f, k, spare);
    if (rc < 0)
        return rc;
    if (rc == 0 || h->first_seq < first_of(f, k) ||
        (h->first_seq - f->first_seq) % TB_JOURNAL_RECORDS != 0)
        return place;
    *out_k = (h->first_seq - f->first_seq) / TB_JOURNAL_RECORDS;
    memcpy(out_page, spare, TB_JOURNAL_PAGE);
    return TB_PLACE_TAIL;
}

bool tb_journal_source_closed(struct tb_journal_source *f)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    uint64_t pages = tb_journal_source_pages(f);
    if (f->end_seq == 0 && f->headed && pages > f->data_page)
        (void)place_of(f, pages - 1 - f->data_page, page, NULL); /* it is the file's last page */
    return f->end_seq != 0;
}

/* ---- how far ---- */

/* Is something at page k or right behind it? One damaged page does not look like the end. */
static bool reached(struct tb_journal_source *f, uint64_t k, void *page)
{
    const struct tb_journal_page *h = page;
    for (uint64_t i = k; i < k + 3; i++) {
        int place = place_of(f, i, page, NULL);
        if (place == TB_PLACE_END)
            return h->first_seq > first_of(f, k);
        if (place == TB_PLACE_RECORDS || place == TB_PLACE_DAMAGED)
            return true;
    }
    return false;
}

/* How many pages of records are written, by doubling and halving from what is known. */
static uint64_t count_pages(struct tb_journal_source *f, void *page)
{
    uint64_t low = f->full, step = 1;
    if (!reached(f, low, page))
        return low;
    while (reached(f, low + step, page)) {
        low += step;
        step *= 2;
    }
    while (step > 1) { /* reached(low), not reached(low + step) */
        step /= 2;
        if (reached(f, low + step, page))
            low += step;
    }
    return low + 1;
}

tb_seq tb_journal_source_newest(struct tb_journal_source *f, tb_ns *out_time_max)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    if (out_time_max != NULL)
        *out_time_max = 0;
    if (tb_journal_source_head(f) != 0)
        return 0;
    if (f->end_seq != 0 && out_time_max == NULL)
        return f->end_seq > f->first_seq ? f->end_seq - 1 : 0;
    uint64_t pages = count_pages(f, page);
    if (pages > f->full + 1)
        f->full = pages - 1; /* the last one may be in the making */
    for (uint64_t k = pages + 1; k-- > 0;) {
        int place = tb_journal_source_page(f, k, page, NULL);
        if (place == TB_PLACE_RECORDS || place == TB_PLACE_TAIL) {
            if (out_time_max != NULL)
                *out_time_max = h->time_max;
            return h->first_seq + h->count - 1;
        }
        if (place == TB_PLACE_END && out_time_max == NULL)
            return h->first_seq > f->first_seq ? h->first_seq - 1 : 0;
    }
    return 0;
}
