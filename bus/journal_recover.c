/*
 * What the last life left: a segment without an end page is walked, its tail is taken from its place or
 * from a spare, and it is ended; the next record begins a new segment. Nothing that is damaged is
 * deleted or written over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "bus/journal_write_private.h"

#define CHUNK_PAGES 256

struct found {
    char name[NAME_BYTES];
    uint64_t epoch;
    tb_seq first;
    bool compressed;
};

struct walk {
    int fd;
    const char *name;
    uint64_t epoch, data_page, pages; /* pages: in the file, whole ones */
    tb_seq first, next;               /* next: the sequence behind the last good record */
    uint64_t end_page;                /* where the end page belongs */
    tb_ns time;        /* greatest publish time of the epoch, as far as it was read */
    bool valid_behind; /* good pages follow the first bad one */
    char *chunk;       /* CHUNK_PAGES */
};

static bool name_parse(const char *name, struct found *out)
{
    unsigned long long epoch, first;
    int length = 0;
    if (strlen(name) >= NAME_BYTES ||
        sscanf(name, "%20llu-%20llu.tbj%n", &epoch, &first, &length) != 2 || length != 45)
        return false;
    if (name[length] != '\0' && strcmp(name + length, ".zst") != 0)
        return false;
    *out = (struct found){.epoch = epoch, .first = first, .compressed = name[length] != '\0'};
    (void)snprintf(out->name, sizeof(out->name), "%s", name);
    return true;
}

static int by_position(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->epoch != y->epoch)
        return x->epoch < y->epoch ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (int)x->compressed - (int)y->compressed;
}

static int list(struct tb_journal_writer *w, struct found **out_found, size_t *out_count,
                struct tb_error *err)
{
    DIR *directory = opendir(w->path);
    struct dirent *entry;
    size_t room = 0;
    *out_found = NULL;
    *out_count = 0;
    if (directory == NULL)
        return tb_fail(err, -errno, "cannot list %s: %s", w->path, strerror(errno));
    while ((entry = readdir(directory)) != NULL) {
        struct found found;
        if (!name_parse(entry->d_name, &found))
            continue;
        if (*out_count == room) {
            struct found *more = realloc(*out_found, (room = 2 * room + 16) * sizeof(found));
            if (more == NULL) {
                (void)closedir(directory);
                return tb_fail(err, -ENOMEM, "no memory for the segments of %s", w->path);
            }
            *out_found = more;
        }
        (*out_found)[(*out_count)++] = found;
    }
    (void)closedir(directory);
    if (*out_count > 0)
        qsort(*out_found, *out_count, sizeof(**out_found), by_position);
    return 0;
}

/* ---- reading a file ---- */

/* Up to `count` whole pages from `page` on. Returns how many, or -errno. */
static long read_pages(int fd, char *memory, uint64_t page, size_t count)
{
    size_t done = 0, wanted = count * TB_JOURNAL_PAGE;
    while (done < wanted) {
        ssize_t n = pread(fd, memory + done, wanted - done, (off_t)(page * TB_JOURNAL_PAGE + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (long)(done / TB_JOURNAL_PAGE);
}

/*
 * From `index` on, the next page that is more than a hole. What was reserved and never written is most of a
 * young segment: read, the kernel would clear as much memory for it (192 of 256 MiB: 500 ms).
 */
static uint64_t behind_hole(const struct walk *walk, uint64_t index)
{
    off_t data = lseek(walk->fd, (off_t)(index * TB_JOURNAL_PAGE), SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? walk->pages
                              : index; /* the rest is one; or this file system can not say */
    return (uint64_t)data / TB_JOURNAL_PAGE;
}

/* Is this the page of records that belongs there? */
static bool is_next(const struct walk *walk, const struct tb_journal_page *page, uint64_t index,
                    enum tb_journal_kind kind)
{
    return tb_journal_page_check(page, kind, walk->epoch) == NULL && page->page == index &&
           page->first_seq == walk->first + (index - walk->data_page) * TB_JOURNAL_RECORDS &&
           page->count > 0;
}

static void see_time(struct walk *walk, const struct tb_journal_page *page)
{
    if (page->time_max > walk->time)
        walk->time = page->time_max;
}

/* Take pages while they are right; then look whether more follow. 0, 1: it has its end page, or -errno. */
static int walk_pages(struct walk *walk)
{
    bool good = true;
    walk->next = walk->first;
    walk->end_page = walk->data_page;
    for (uint64_t index = walk->data_page; index < walk->pages;) {
        if (!good && (index = behind_hole(walk, index)) >= walk->pages)
            break;
        long count = read_pages(walk->fd, walk->chunk, index, CHUNK_PAGES);
        if (count <= 0)
            return (int)count;
        for (long i = 0; i < count; i++, index++) {
            struct tb_journal_page *page = page_at(walk->chunk, (size_t)i);
            if (good && is_next(walk, page, index, TB_JOURNAL_RECORDS_KIND)) {
                walk->next = page->first_seq + page->count;
                walk->end_page = index + 1;
                see_time(walk, page);
                good = page->count == TB_JOURNAL_RECORDS;
                continue;
            }
            if (index == walk->end_page && page->first_seq == walk->next &&
                tb_journal_page_check(page, TB_JOURNAL_END, walk->epoch) == NULL)
                return 1;
            good = false;
            if (page->magic == TB_JOURNAL_MAGIC &&
                tb_journal_page_check(page, TB_JOURNAL_RECORDS_KIND, walk->epoch) == NULL)
                walk->valid_behind = true;
        }
    }
    return 0;
}

/* The newer spare that goes on where the pages end. Returns it in the chunk, or NULL; *out_rc. */
static struct tb_journal_page *spare_find(struct walk *walk, int *out_rc)
{
    struct tb_journal_page *best = NULL;
    long count = read_pages(walk->fd, walk->chunk, TB_JOURNAL_SPARE_PAGE, 2);
    *out_rc = count < 0 ? (int)count : 0;
    for (long i = 0; i < count; i++) {
        struct tb_journal_page *spare = page_at(walk->chunk, (size_t)i);
        if (is_next(walk, spare, walk->end_page, TB_JOURNAL_SPARE) &&
            spare->first_seq == walk->next && /* no page before it was ended early */
            (best == NULL || spare->generation > best->generation))
            best = spare;
    }
    return best;
}

/* ---- ending it ---- */

static int end_it(struct tb_journal_writer *w, struct walk *walk, struct tb_journal_page *tail)
{
    struct tb_journal_page *end = page_at(walk->chunk, 2);
    int rc = 0;
    if (tail != NULL) {
        tail->kind = TB_JOURNAL_RECORDS_KIND;
        tail->generation = 0;
        tb_journal_page_seal(tail);
        rc = tb_journal_once(w, TB_URING_WRITE, walk->fd, tail, TB_JOURNAL_PAGE,
                             walk->end_page * TB_JOURNAL_PAGE);
        walk->end_page++;
    }
    /* What was read may have been in the page cache only. */
    if (rc == 0)
        rc = tb_journal_once(w, TB_URING_SYNC, walk->fd, NULL, 0, 0);
    if (rc != 0)
        return rc;
    memset(end, 0, TB_JOURNAL_PAGE);
    end->kind = TB_JOURNAL_END;
    end->epoch = walk->epoch;
    end->first_seq = walk->next;
    end->page = walk->end_page;
    end->time_max = walk->time;
    tb_journal_page_seal(end);
    rc = tb_journal_once(w, TB_URING_WRITE, walk->fd, end, TB_JOURNAL_PAGE,
                         walk->end_page * TB_JOURNAL_PAGE);
    if (rc == 0)
        rc = tb_journal_once(w, TB_URING_SYNC, walk->fd, NULL, 0, 0);
    if (rc == 0 && ftruncate(walk->fd, (off_t)((walk->end_page + 1) * TB_JOURNAL_PAGE)) != 0)
        rc = -errno;
    return rc;
}

static bool head_good(struct walk *walk, const struct tb_journal_page *page)
{
    struct tb_journal_head head;
    if (tb_journal_page_check(page, TB_JOURNAL_HEAD, walk->epoch) != NULL)
        return false;
    memcpy(&head, page + 1, sizeof(head));
    if (head.first_seq != walk->first || head.data_page < TB_JOURNAL_STATE_PAGE ||
        head.data_page != TB_JOURNAL_STATE_PAGE + head.state_pages || head.pages <= head.data_page)
        return false;
    walk->data_page = head.data_page;
    walk->time = head.time_before;
    return true;
}

static bool is_blank(struct walk *walk)
{
    static const char zero[TB_JOURNAL_PAGE];
    for (uint64_t index = 0; (index = behind_hole(walk, index)) < walk->pages;) {
        long count = read_pages(walk->fd, walk->chunk, index, CHUNK_PAGES);
        if (count <= 0)
            return false;
        for (long i = 0; i < count; i++, index++)
            if (memcmp(page_at(walk->chunk, (size_t)i), zero, sizeof(zero)) != 0)
                return false;
    }
    return true;
}

/* Ids 1 .. this can be looked up. */
static uint32_t instruments_known(struct walk *walk)
{
    uint32_t known = 0;
    long count = read_pages(walk->fd, walk->chunk, TB_JOURNAL_INSTRUMENT_PAGE,
                            2 * TB_JOURNAL_INSTRUMENT_PAGES);
    for (long n = 0; n < TB_JOURNAL_INSTRUMENT_PAGES; n++) {
        uint32_t here = 0;
        for (long i = n; i < count; i += TB_JOURNAL_INSTRUMENT_PAGES) {
            const struct tb_journal_page *page = page_at(walk->chunk, (size_t)i);
            if (tb_journal_page_check(page, TB_JOURNAL_INSTRUMENTS_KIND, walk->epoch) == NULL &&
                page->first_seq == known + 1 && page->count > here)
                here = page->count;
        }
        known += here;
        if (here < TB_JOURNAL_INSTRUMENTS)
            break;
    }
    return known;
}

/* A page of records, or a spare of the first: says it where the records begin? 0: it does not. */
static uint64_t data_page_of(const struct walk *walk, const struct tb_journal_page *page,
                             uint64_t index)
{
    const bool spare = index < TB_JOURNAL_INSTRUMENT_PAGE;
    const uint64_t k = (page->first_seq - walk->first) / TB_JOURNAL_RECORDS;
    if (tb_journal_page_check(page, spare ? TB_JOURNAL_SPARE : TB_JOURNAL_RECORDS_KIND,
                              walk->epoch) != NULL ||
        page->first_seq < walk->first ||
        (page->first_seq - walk->first) % TB_JOURNAL_RECORDS != 0 ||
        (spare ? k != 0 : page->page != index) || page->page < TB_JOURNAL_STATE_PAGE ||
        k > page->page - TB_JOURNAL_STATE_PAGE)
        return 0;
    return page->page - k;
}

/*
 * Without its head, a file is as good if its records say where they belong and their instruments are there:
 * those were perhaps never written, if the power failed in the middle of the first pages.
 */
static bool head_spared(struct walk *walk)
{
    uint32_t instrument = 0;
    for (uint64_t index = TB_JOURNAL_SPARE_PAGE; index < walk->pages;) {
        long count = read_pages(walk->fd, walk->chunk, index, CHUNK_PAGES);
        if (count <= 0)
            return false;
        for (long i = 0; i < count; i++, index++) {
            struct tb_journal_page *page = page_at(walk->chunk, (size_t)i);
            const uint64_t data_page = data_page_of(walk, page, index);
            if (data_page == 0)
                continue;
            if (walk->data_page == 0)
                walk->data_page = data_page;
            for (uint32_t r = 0; r < page->count; r++)
                if (page_records(page)[r].instrument > instrument)
                    instrument = page_records(page)[r].instrument;
        }
    }
    return walk->data_page != 0 && instrument <= instruments_known(walk);
}

/* A file of which nothing can be used. */
static void headless(struct tb_journal_writer *w, struct walk *walk)
{
    if (is_blank(walk)) {
        (void)unlinkat(w->directory_fd, walk->name, 0);
        tb_journal_say(w, false, "journal_blank",
                       "file=%s/%s then=\"removed: it was made, but never written\"", w->path,
                       walk->name);
    } else {
        tb_journal_file_aside(w, walk->name, "neither its first page nor what follows is readable");
    }
}

/*
 * *out_last: the last record that counts, below `limit` (the first of the next segment). A segment that
 * another one follows in its epoch was given up at that place; it is ended only if that is where it ends.
 */
static int recover_open(struct tb_journal_writer *w, struct walk *walk, tb_seq limit,
                        tb_seq *out_last)
{
    /* A process that was killed lets go of its lock while direct writes of it are still under way, and they
     * would land on what is written here. Space that is there already costs nothing, and is asked
     * for only behind them; a file system that knows neither has no such writes. */
    (void)fallocate(walk->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(walk->pages * TB_JOURNAL_PAGE));
    int rc = walk_pages(walk);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        /* Ended, only not cut to size. */
        rc = ftruncate(walk->fd, (off_t)((walk->end_page + 1) * TB_JOURNAL_PAGE)) != 0 ? -errno : 0;
        *out_last = walk->next - 1;
        return rc;
    }
    struct tb_journal_page *tail = spare_find(walk, &rc);
    if (rc != 0)
        return rc;
    if (tail != NULL) {
        walk->next = tail->first_seq + tail->count;
        see_time(walk, tail);
    }
    *out_last = (walk->next < limit ? walk->next : limit) - 1;
    if (walk->valid_behind && walk->next < limit)
        tb_journal_say(
            w, true, "journal_damaged",
            "file=%s/%s page=%llu last=%llu reason=\"a page before others is not readable\" "
            "then=\"what follows it does not count; the file stays as it is\"",
            w->path, walk->name, (unsigned long long)walk->end_page, (unsigned long long)*out_last);
    if (walk->valid_behind || walk->next > limit)
        return tb_journal_once(w, TB_URING_SYNC, walk->fd, NULL, 0, 0);
    if (walk->next == walk->first) {
        (void)unlinkat(w->directory_fd, walk->name, 0);
        tb_journal_say(w, false, "journal_blank", "file=%s/%s then=\"removed: it holds no record\"",
                       w->path, walk->name);
        return 0;
    }
    tb_journal_say(w, false, "journal_tail", "file=%s/%s last=%llu from=%s", w->path, walk->name,
                   (unsigned long long)*out_last, tail != NULL ? "spare" : "page");
    return end_it(w, walk, tail);
}

/* 1: it is known where the records begin, 0: nothing can be used, or -errno. */
static int head_read(struct tb_journal_writer *w, struct walk *walk, struct tb_error *err)
{
    const struct tb_journal_page *page = page_at(walk->chunk, 0);
    long count = read_pages(walk->fd, walk->chunk, 0, 1);
    if (count <= 0)
        return (int)count;
    if (page->magic == TB_JOURNAL_MAGIC && page->layout != TB_JOURNAL_LAYOUT)
        return tb_fail(err, -EPROTO, "%s/%s: journal layout %u, this build writes %d", w->path,
                       walk->name, page->layout, TB_JOURNAL_LAYOUT);
    if (head_good(walk, page))
        return 1;
    if (!head_spared(walk))
        return 0;
    walk->time = w->epoch == walk->epoch ? w->time_epoch : 0;
    tb_journal_say(w, true, "journal_head",
                   "file=%s/%s reason=\"its first page is not readable\" "
                   "then=\"its records say where they belong: none is lost by that\"",
                   w->path, walk->name);
    return 1;
}

static int recover_file(struct tb_journal_writer *w, const struct found *file, tb_seq limit,
                        char *chunk, struct journal_past *out_past, struct tb_error *err)
{
    struct walk walk = {
        .name = file->name, .epoch = file->epoch, .first = file->first, .chunk = chunk};
    struct stat st;
    out_past->last = file->first - 1;
    walk.fd = openat(w->directory_fd, file->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int rc = walk.fd < 0 || fstat(walk.fd, &st) != 0 ? -errno : 0;
    if (rc == 0) {
        /* Reading ahead would go on into what was never written, and what it cleared is a hole no more. */
        (void)posix_fadvise(walk.fd, 0, 0, POSIX_FADV_RANDOM);
        walk.pages = (uint64_t)st.st_size / TB_JOURNAL_PAGE;
        rc = head_read(w, &walk, err);
        if (rc == 0)
            headless(w, &walk);
    }
    if (rc == 1) {
        /* Mostly it was ended: then its last page says all. */
        const struct tb_journal_page *page = page_at(chunk, 0);
        long count = read_pages(walk.fd, chunk, walk.pages - 1, 1);
        rc = 0;
        if (count == 1 && walk.pages > walk.data_page && page->page == walk.pages - 1 &&
            tb_journal_page_check(page, TB_JOURNAL_END, file->epoch) == NULL)
            walk.time = page->time_max, out_past->last = page->first_seq - 1;
        else
            rc = recover_open(w, &walk, limit, &out_past->last);
    }
    out_past->time = walk.time;
    if (walk.fd >= 0)
        (void)close(walk.fd);
    if (rc != 0 && rc != -EPROTO)
        (void)tb_fail(err, rc, "cannot recover %s/%s: %s", w->path, file->name, strerror(-rc));
    return rc;
}

/* A compressed segment is whole; its end page is the last that comes out of it. */
static int last_of_compressed(struct tb_journal_writer *w, const struct found *file, char *chunk,
                              struct journal_past *out_past, struct tb_error *err)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    int fd = openat(w->directory_fd, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = stream == NULL ? -ENOMEM : fd < 0 ? -errno : 0;
    char *in = chunk + TB_JOURNAL_PAGE;
    const size_t room = 64 * 1024;
    ZSTD_outBuffer out = {.dst = chunk, .size = TB_JOURNAL_PAGE};
    ssize_t n;
    while (rc == 0 && (n = read(fd, in, room)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = -errno;
            break;
        }
        ZSTD_inBuffer input = {.src = in, .size = (size_t)n};
        bool more = true;
        while (rc == 0 && (input.pos < input.size || more)) {
            if (out.pos == out.size)
                out.pos = 0; /* another page begins */
            size_t left = ZSTD_decompressStream(stream, &out, &input);
            more = out.pos == out.size;
            if (ZSTD_isError(left))
                rc = -EBADMSG;
            if (left == 0 && input.pos == input.size)
                break;
        }
    }
    struct tb_journal_page *page = page_at(chunk, 0);
    if (rc == 0 && tb_journal_page_check(page, TB_JOURNAL_END, file->epoch) != NULL)
        rc = -EBADMSG;
    if (rc == 0)
        out_past->last = page->first_seq - 1, out_past->time = page->time_max;
    if (fd >= 0)
        (void)close(fd);
    (void)ZSTD_freeDStream(stream);
    return rc == 0 ? 0
                   : tb_fail(err, rc, "cannot read %s/%s: %s", w->path, file->name, strerror(-rc));
}

static int remember(struct tb_journal_writer *w, const struct journal_past *past)
{
    if (w->past_count == 0 || w->past[w->past_count - 1].epoch != past->epoch) {
        struct journal_past *more = realloc(w->past, (w->past_count + 1) * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        w->past = more;
        w->past[w->past_count++] = (struct journal_past){.time = 0};
    }
    w->past[w->past_count - 1] = *past;
    w->epoch = past->epoch;
    w->durable = past->last;
    w->time_epoch = past->time;
    return 0;
}

int tb_journal_recover(struct tb_journal_writer *w, struct tb_error *err)
{
    struct found *found = NULL;
    size_t count = 0;
    char *chunk = NULL;
    int rc = list(w, &found, &count, err);
    (void)unlinkat(w->directory_fd, PREPARED_NAME, 0); /* made for what did not come */
    if (rc == 0 && posix_memalign((void **)&chunk, TB_JOURNAL_PAGE,
                                  CHUNK_PAGES * (size_t)TB_JOURNAL_PAGE) != 0)
        rc = tb_fail(err, -ENOMEM, "no memory to recover %s", w->path);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct found *file = &found[i], *next = i + 1 < count ? &found[i + 1] : NULL;
        bool followed = next != NULL && next->epoch == file->epoch;
        struct journal_past past = {.epoch = file->epoch};
        if (followed && next->first == file->first)
            continue; /* compressed, and not removed yet: that one counts */
        if (!file->compressed)
            rc = recover_file(w, file, followed ? next->first : UINT64_MAX, chunk, &past, err);
        else if (!followed)
            rc = last_of_compressed(w, file, chunk, &past, err);
        else
            past.last = next->first - 1;
        if (rc == 0 && past.last >= file->first && remember(w, &past) != 0)
            rc = tb_fail(err, -ENOMEM, "no memory to recover %s", w->path);
    }
    free(chunk);
    free(found);
    return rc;
}
