/*
 * Reading a stream's journal: which segments there are, where a position is, and going through them
 * while the last one is being written.
 *
 * A position is (epoch, seq), looked up anew in the list of segments at each read: files may be added,
 * compressed or removed meanwhile. What is there is judged page by page (journal_source.c); what is not
 * is one of four things, and which decides whether the reader waits, goes on, or reports damage:
 *
 *   nothing follows, in this segment or another        the present end
 *   an end page, or a later segment that has records   this segment is over
 *   a sound page follows in the same file              damage, up to that page
 *   the same, but the file has no end page             several writes are in flight, and need not end
 *                                                      in order: the present end while its writer
 *                                                      lives, else wait a little, then the same
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tickbus/clock.h>

#include <tickbus/ring.h>

#include "journal_source.h"
#include "segment.h"
#include "wait.h"

#define WINDOW_PAGES 256 /* read at once: 1 MiB */
/* Writes in flight that a later one has overtaken end within this time, or never. */
#define SETTLE_NS TB_NS_PER_S
#define PAUSE_NS TB_NS_PER_MS

struct tb_journal {
    struct tb_journal_list list;
    uint64_t epoch; /* the position; 0: before everything */
    tb_seq seq;
    uint64_t told_epoch; /* of the last records, and of their instruments */
    tb_seq told_seq;

    unsigned char *window;
    uint64_t window_epoch; /* of the segment; 0: nothing is held */
    tb_seq window_seq;
    uint64_t window_k, window_pages; /* pages of records, judged sound when they were read */
    size_t ahead;                    /* to be read next time: grows while pages are sound */

    struct tb_instrument *instruments;
    uint16_t instrument_count;
    uint64_t instrument_epoch;
    tb_seq instrument_seq; /* the segment that they were read from */
};

/* ---- opening ---- */

int tb_journal_open(const char *path, struct tb_journal **out_journal, struct tb_error *err)
{
    struct stat st;
    struct tb_journal *j = calloc(1, sizeof(*j));
    if (j == NULL)
        return tb_fail(err, -ENOMEM, "no memory for journal %s", path);
    int length = snprintf(j->list.path, sizeof(j->list.path), "%s", path);
    int rc = length < 0 || (size_t)length >= sizeof(j->list.path) ? -ENAMETOOLONG : 0;
    if (rc == 0 && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        const char *slash = strrchr(path, '/');
        j->list.single = true;
        j->list.item = calloc(1, sizeof(*j->list.item));
        j->list.count = 1;
        if (j->list.item == NULL)
            rc = -ENOMEM;
        else if (!tb_journal_name_parse(slash != NULL ? slash + 1 : path, j->list.item))
            rc = -EINVAL;
    } else if (rc == 0) {
        rc = tb_journal_list_scan(&j->list);
    }
    j->window = aligned_alloc(TB_JOURNAL_PAGE, WINDOW_PAGES * TB_JOURNAL_PAGE);
    if (rc >= 0 && j->window == NULL)
        rc = -ENOMEM;
    struct tb_journal_source *source;
    if (rc >= 0 &&
        j->list.count > 0) { /* another layout is found now, not in the middle of reading */
        rc = tb_journal_list_use(&j->list, j->list.count - 1, &source);
        if (rc == 0)
            rc = tb_journal_source_head(source);
        if (rc == -EAGAIN || rc == -EBADMSG || (rc == -ENOENT && !j->list.single))
            rc = 0; /* said when it is read */
    }
    if (rc < 0) {
        tb_journal_close(j);
        if (rc == -EINVAL)
            return tb_fail(err, rc, "%s is no segment of a journal: <epoch>-<sequence>.tbj", path);
        if (rc == -EPROTO)
            return tb_fail(err, rc, "journal %s has another layout; this build reads %d", path,
                           TB_JOURNAL_LAYOUT);
        return tb_fail(err, rc, "cannot open journal %s: %s", path, strerror(-rc));
    }
    *out_journal = j;
    return 0;
}

void tb_journal_close(struct tb_journal *j)
{
    if (j == NULL)
        return;
    tb_journal_list_close(&j->list);
    free(j->window);
    free(j->instruments);
    free(j);
}

/* ---- where a position is ---- */

/*
 * The segment that the position is in; a position before a segment's begin, with nothing between, moves
 * there. False: nothing is there (yet).
 */
static bool find_segment(struct tb_journal *j, size_t *out_i)
{
    size_t i = tb_journal_list_find(&j->list, j->epoch, j->seq);
    if (i == SIZE_MAX || j->list.item[i].epoch != j->epoch) {
        i++; /* from SIZE_MAX to 0 */
        if (i >= j->list.count)
            return false;
        j->epoch = j->list.item[i].epoch;
        j->seq = j->list.item[i].first_seq;
    }
    *out_i = i;
    return true;
}

bool tb_journal_tell(struct tb_journal *j, uint64_t *out_epoch, tb_seq *out_seq)
{
    size_t i;
    (void)find_segment(j, &i);
    *out_epoch = j->epoch;
    *out_seq = j->seq;
    return j->list.count > 0;
}

tb_seq tb_journal_oldest(struct tb_journal *j, uint64_t epoch)
{
    (void)tb_journal_list_scan(&j->list);
    size_t i = tb_journal_list_find(&j->list, epoch, 0) + 1; /* from SIZE_MAX to 0 */
    return i < j->list.count && j->list.item[i].epoch == epoch ? j->list.item[i].first_seq : 0;
}

int tb_journal_seek(struct tb_journal *j, uint64_t epoch, tb_seq seq)
{
    j->epoch = epoch;
    j->seq = seq;
    j->ahead = 1;
    (void)tb_journal_list_scan(&j->list); /* what fails fails again at the read */
    size_t i = tb_journal_list_find(&j->list, epoch, seq);
    if (i == SIZE_MAX || i + 1 < j->list.count)
        return j->list.count == 0;
    tb_seq newest;
    return !tb_journal_has(j, epoch, seq, &newest) &&
           (j->list.item[i].epoch != epoch || newest < seq);
}

void tb_journal_seek_oldest(struct tb_journal *j)
{
    j->epoch = 0;
    j->seq = 0;
    j->ahead = 1;
    (void)tb_journal_list_scan(&j->list);
}

bool tb_journal_has(struct tb_journal *j, uint64_t epoch, tb_seq seq, tb_seq *out_newest)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    struct tb_journal_source *source;
    bool has = false;
    (void)tb_journal_list_scan(&j->list);
    size_t i = tb_journal_list_find(&j->list, epoch, seq);
    if (i != SIZE_MAX && j->list.item[i].epoch == epoch &&
        tb_journal_list_use(&j->list, i, &source) == 0 && tb_journal_source_head(source) == 0) {
        uint64_t k = (seq - source->first_seq) / TB_JOURNAL_RECORDS;
        int place = k < UINT32_MAX ? tb_journal_source_page(source, k, page, NULL) : TB_PLACE_EMPTY;
        has =
            (place == TB_PLACE_RECORDS || place == TB_PLACE_TAIL) && seq < h->first_seq + h->count;
    }
    if (out_newest == NULL)
        return has;
    *out_newest = 0;
    for (i = tb_journal_list_find(&j->list, epoch, UINT64_MAX);
         *out_newest == 0 && i != SIZE_MAX && j->list.item[i].epoch == epoch; i--)
        if (tb_journal_list_use(&j->list, i, &source) == 0)
            *out_newest = tb_journal_source_newest(source, NULL);
    return has;
}

/* ---- times ---- */

static tb_ns publish_time(const struct tb_record *r)
{
    return r->ts_recv + (tb_ns)r->publish_delta_ns;
}

/* When the first record of segment i was published; INT64_MAX: it has none. */
static tb_ns begin_of(struct tb_journal *j, size_t i)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    struct tb_journal_source *source;
    uint64_t k;
    if (tb_journal_list_use(&j->list, i, &source) != 0 || tb_journal_source_head(source) != 0)
        return INT64_MAX;
    int place = tb_journal_source_page(source, 0, page, NULL);
    if (place == TB_PLACE_DAMAGED || place == TB_PLACE_EMPTY)
        place = tb_journal_source_next(source, 0, &k, page);
    return place == TB_PLACE_RECORDS || place == TB_PLACE_TAIL
               ? ((const struct tb_journal_page *)(const void *)page)->time_min
               : INT64_MAX;
}

/* The first record of segment i that was published at or after `time`; 0: none. */
static tb_seq first_after(struct tb_journal *j, size_t i, tb_ns time)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    struct tb_journal_source *source;
    if (tb_journal_list_use(&j->list, i, &source) != 0)
        return 0;
    tb_seq newest = tb_journal_source_newest(source, NULL);
    if (newest == 0)
        return 0;
    uint64_t low = 0, high = (newest - source->first_seq) / TB_JOURNAL_RECORDS + 1, end = high;
    while (low < high) { /* the first page whose greatest time is not before it */
        uint64_t middle = low + (high - low) / 2, k = middle;
        int place = tb_journal_source_page(source, middle, page, NULL);
        if (place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL)
            place = tb_journal_source_next(source, middle, &k, page);
        if ((place == TB_PLACE_RECORDS || place == TB_PLACE_TAIL) && h->time_max < time)
            low = k + 1;
        else
            high = middle;
    }
    for (; low < end; low++) {
        int place = tb_journal_source_page(source, low, page, NULL);
        if (place ==
            TB_PLACE_DAMAGED) /* it may have been in here: reading begins with the damage */
            return source->first_seq + low * TB_JOURNAL_RECORDS;
        if (place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL)
            return 0;
        const struct tb_record *record = (const void *)(h + 1);
        for (uint32_t n = 0; n < h->count; n++)
            if (publish_time(&record[n]) >= time)
                return record[n].seq;
    }
    return 0;
}

int tb_journal_seek_time(struct tb_journal *j, tb_ns time)
{
    tb_journal_seek_oldest(j);
    size_t low = 0, high = j->list.count;
    while (low < high) { /* the first segment that begins after it */
        size_t middle = low + (high - low) / 2;
        if (begin_of(j, middle) > time)
            high = middle;
        else
            low = middle + 1;
    }
    for (size_t i = low > 0 ? low - 1 : 0; i < j->list.count; i++) {
        tb_seq seq = first_after(j, i, time);
        if (seq == 0)
            continue;
        j->epoch = j->list.item[i].epoch;
        j->seq = seq;
        return 0;
    }
    if (j->list.count == 0)
        return 1;
    /* Behind all that is there now. */
    j->epoch = j->list.item[j->list.count - 1].epoch;
    (void)tb_journal_has(j, j->epoch, 0, &j->seq);
    j->seq = j->seq == 0 ? j->list.item[j->list.count - 1].first_seq : j->seq + 1;
    return 1;
}

/* ---- reading ---- */

static const struct tb_journal_page *in_window(const struct tb_journal *j, uint64_t k)
{
    return (const void *)(j->window + (k - j->window_k) * TB_JOURNAL_PAGE);
}

/* Read pages from k on into the window, as far as they are sound. Returns what page k is. */
static int fill_window(struct tb_journal *j, struct tb_journal_source *source, uint64_t k,
                       const char **out_why)
{
    size_t ahead = j->ahead < 1 ? 1 : j->ahead;
    j->window_epoch = 0;
    long n = tb_journal_source_read(source, source->data_page + k, ahead, j->window);
    if (n < 0)
        return (int)n;
    j->window_k = k;
    uint64_t sound = 0;
    while (sound < (uint64_t)n &&
           tb_journal_source_judge(source, k + sound, j->window + sound * TB_JOURNAL_PAGE, NULL) ==
               TB_PLACE_RECORDS)
        sound++;
    if (sound == 0) {
        j->ahead = 1;
        int place = tb_journal_source_page(source, k, j->window, out_why);
        if (place < 0 || (place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL))
            return place;
        sound = 1;
        if (place == TB_PLACE_TAIL) {
            j->window_pages = 1; /* used at once, and not kept: it grows */
            return place;
        }
    }
    j->ahead = ahead == sound && 4 * ahead <= WINDOW_PAGES ? 4 * ahead : ahead;
    j->window_epoch = source->epoch;
    j->window_seq = source->first_seq;
    j->window_pages = sound;
    return TB_PLACE_RECORDS;
}

/* Copy from page k of the window on; *out_count is 0 if the position is behind its records. */
static size_t take(struct tb_journal *j, uint64_t k, struct tb_record *out_records, size_t max)
{
    size_t done = 0;
    for (; done < max && k - j->window_k < j->window_pages; k++) {
        const struct tb_journal_page *h = in_window(j, k);
        uint64_t skip = j->seq - h->first_seq;
        if (skip >= h->count)
            break;
        size_t n = (size_t)(h->count - skip);
        n = n < max - done ? n : max - done;
        memcpy(&out_records[done], (const struct tb_record *)(h + 1) + skip,
               n * sizeof(*out_records));
        done += n;
        j->seq += n;
    }
    return done;
}

static long damage(struct tb_journal *j, const struct tb_journal_source *source, uint64_t k,
                   tb_seq to, const char *why, struct tb_journal_damage *out_damage)
{
    struct tb_journal_damage d = {.epoch = j->epoch, .from = j->seq, .to = to};
    (void)snprintf(d.what, sizeof(d.what), "%s page %llu: %s", source->name,
                   (unsigned long long)(source->data_page + k),
                   why != NULL ? why : "it is missing");
    if (out_damage != NULL)
        *out_damage = d;
    j->seq = to + 1;
    return -EBADMSG;
}

/* Has segment i anything in it? Then the ones before it are over. */
static bool has_records(struct tb_journal *j, size_t i)
{
    struct tb_journal_source *source;
    return i + 1 < j->list.count || (tb_journal_list_use(&j->list, i, &source) == 0 &&
                                     tb_journal_source_newest(source, NULL) != 0);
}

enum beyond { BEYOND_OVER, BEYOND_NOTHING, BEYOND_SOUND, BEYOND_UNSURE };

/* Page k can not be read: what does what follows say? *out_to: with SOUND, the last sequence missing. */
static int look_beyond(struct tb_journal *j, size_t i, struct tb_journal_source *source, uint64_t k,
                       int place, tb_seq *out_to)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    bool followed = i + 1 < j->list.count;
    uint64_t at;
    int next = tb_journal_source_next(source, k + 1, &at, page);
    if (next < 0)
        return next;
    if (next == TB_PLACE_END && h->first_seq <= j->seq)
        return BEYOND_OVER;
    if (next != TB_PLACE_EMPTY) {
        *out_to = h->first_seq - 1;
        if (followed && j->list.item[i + 1].epoch == j->epoch &&
            j->list.item[i + 1].first_seq - 1 < *out_to)
            *out_to = j->list.item[i + 1].first_seq - 1; /* what follows it is not of this one */
        return followed || tb_journal_source_closed(source) ? BEYOND_SOUND : BEYOND_UNSURE;
    }
    if (!followed)
        return BEYOND_NOTHING;
    const struct tb_journal_item *then = &j->list.item[i + 1];
    bool same = then->epoch == j->epoch;
    if (same && then->first_seq <= j->seq)
        return BEYOND_OVER;
    if (!has_records(j, i + 1))
        return BEYOND_UNSURE;
    if (place != TB_PLACE_DAMAGED)
        return BEYOND_OVER; /* a gap, if the epoch is the same: the sequences tell */
    *out_to = source->first_seq + (k + 1) * TB_JOURNAL_RECORDS - 1;
    if (same && then->first_seq - 1 < *out_to)
        *out_to = then->first_seq - 1;
    return BEYOND_SOUND;
}

static void pause_a_little(tb_ns *since)
{
    if (*since == 0)
        *since = tb_clock_mono();
    tb_wait_pause(PAUSE_NS);
}

/* Does a process write this journal now? Then its last segment has no damage, only writes in flight. */
static bool is_written(const struct tb_journal *j)
{
    char lock[sizeof(j->list.path) + 8];
    (void)snprintf(lock, sizeof(lock), "%s/lock", j->list.path);
    return !j->list.single && tb_lock_held(lock);
}

/* Go to the next segment. False: there is none. */
static bool go_on(struct tb_journal *j, size_t i)
{
    if (i + 1 >= j->list.count)
        return false;
    const struct tb_journal_item *then = &j->list.item[i + 1];
    if (then->epoch != j->epoch || then->first_seq > j->seq) {
        j->epoch = then->epoch;
        j->seq = then->first_seq;
    }
    j->ahead = 1;
    return true;
}

/* Nothing of this segment can be placed: its head is bad and no page of records is sound. */
static long headless(struct tb_journal *j, size_t i, const struct tb_journal_source *source, int rc,
                     struct tb_journal_damage *out_damage)
{
    if (rc != -EBADMSG && rc != -EAGAIN)
        return rc;
    if (i + 1 >= j->list.count)
        return 0; /* it is being made, or was when its writer died */
    const struct tb_journal_item *then = &j->list.item[i + 1];
    uint64_t pages = tb_journal_source_pages(source);
    uint64_t most =
        pages > TB_JOURNAL_STATE_PAGE ? (pages - TB_JOURNAL_STATE_PAGE) * TB_JOURNAL_RECORDS : 0;
    tb_seq to = then->epoch == j->epoch ? then->first_seq - 1 : source->first_seq + most - 1;
    if (rc == -EAGAIN || to < j->seq || most == 0) {
        (void)go_on(j, i);
        return 1;
    }
    return damage(j, source, 0, to, "the head and all records are unreadable", out_damage);
}

/* Records of segment i; 0: at the present end; 1 with *out_again: look again; or -errno. */
static long read_segment(struct tb_journal *j, size_t i, struct tb_record *out_records, size_t max,
                         struct tb_journal_damage *out_damage, tb_ns *since, bool *out_again)
{
    struct tb_journal_source *source;
    const char *why = NULL;
    tb_seq to;
    *out_again = false;
    int rc = tb_journal_list_use(&j->list, i, &source);
    if (rc != 0)
        return rc;
    rc = tb_journal_source_head(source);
    if (rc != 0) {
        long n = headless(j, i, source, rc, out_damage);
        *out_again = n == 1;
        return n;
    }
    uint64_t k = (j->seq - source->first_seq) / TB_JOURNAL_RECORDS;
    bool held = j->window_epoch == source->epoch && j->window_seq == source->first_seq &&
                k - j->window_k < j->window_pages;
    int place = k > UINT32_MAX ? (int)TB_PLACE_EMPTY
                : held         ? (int)TB_PLACE_RECORDS
                               : fill_window(j, source, k, &why);
    if (place < 0)
        return place;
    if (place == TB_PLACE_RECORDS || place == TB_PLACE_TAIL) {
        uint64_t epoch = j->epoch;
        size_t n = take(j, k, out_records, max);
        if (n > 0) {
            j->told_epoch = epoch;
            j->told_seq = source->first_seq;
            return (long)n;
        }
        /* Behind the last record of a page that is not full: the next page tells what follows. */
    }
    if (i + 1 >=
        j->list.count) { /* what is new may be in a new segment: then this one is looked at again */
        rc = tb_journal_list_scan(&j->list);
        *out_again = rc == 1;
        if (rc != 0)
            return rc;
    }
    int beyond = place == TB_PLACE_END ? BEYOND_OVER : look_beyond(j, i, source, k, place, &to);
    switch (beyond) {
    case BEYOND_OVER:
        *out_again = go_on(j, i);
        return *out_again;
    case BEYOND_UNSURE:
        if (i + 1 >= j->list.count && is_written(j))
            return 0; /* a disk may be slow for longer than anybody would wait */
        if (*since == 0 || tb_clock_mono() - *since < SETTLE_NS) {
            pause_a_little(since);
            *out_again = true;
            return 1;
        }
        if (i + 1 < j->list.count && place == TB_PLACE_EMPTY) {
            *out_again = go_on(j, i);
            return *out_again;
        }
        return damage(j, source, k, to, why, out_damage);
    case BEYOND_SOUND:
        return damage(j, source, k, to, why, out_damage);
    default:
        return beyond < 0 ? beyond : 0;
    }
}

long tb_journal_read(struct tb_journal *j, struct tb_record *out_records, size_t max,
                     uint64_t *out_epoch, struct tb_journal_damage *out_damage)
{
    tb_ns since = 0;
    bool again = true;
    long n = 0;
    for (unsigned missing = 0; again && max > 0;) {
        size_t i;
        if (!find_segment(j, &i)) {
            n = tb_journal_list_scan(&j->list);
            again = n == 1;
            continue;
        }
        n = read_segment(j, i, out_records, max, out_damage, &since, &again);
        if (n == -ENOENT && !j->list.single && missing++ < 3) {
            j->list.stamped = false; /* it was removed by age: what is there now? */
            n = tb_journal_list_scan(&j->list);
            again = n >= 0;
        }
    }
    if (n > 0 && out_epoch != NULL)
        *out_epoch = j->told_epoch;
    return n;
}

/* ---- what stands before the records ---- */

static int told_source(struct tb_journal *j, struct tb_journal_source **out_source)
{
    size_t i = tb_journal_list_find(&j->list, j->told_epoch, j->told_seq);
    if (j->told_epoch == 0 || i == SIZE_MAX || j->list.item[i].epoch != j->told_epoch)
        return -ENOENT;
    int rc = tb_journal_list_use(&j->list, i, out_source);
    return rc != 0 ? rc : tb_journal_source_head(*out_source);
}

/* Two copies of each page, the greater generation counts; a page says which ids it holds. */
static void take_instruments(struct tb_journal *j, const unsigned char *pages, long count)
{
    uint64_t generation[TB_JOURNAL_INSTRUMENT_PAGES] = {0};
    memset(j->instruments, 0, TB_INSTRUMENTS_MAX * sizeof(*j->instruments));
    j->instrument_count = 0;
    for (long i = 0; i < count; i++) {
        const unsigned char *page = pages + i * TB_JOURNAL_PAGE;
        const struct tb_journal_page *h = (const void *)page;
        uint64_t n = (h->first_seq - 1) / TB_JOURNAL_INSTRUMENTS;
        if (h->magic == 0 ||
            tb_journal_page_check(page, TB_JOURNAL_INSTRUMENTS_KIND, j->told_epoch) != NULL ||
            n >= TB_JOURNAL_INSTRUMENT_PAGES || (h->first_seq - 1) % TB_JOURNAL_INSTRUMENTS != 0 ||
            h->first_seq - 1 + h->count > TB_INSTRUMENTS_MAX || h->generation < generation[n])
            continue;
        generation[n] = h->generation;
        struct tb_instrument *own = &j->instruments[h->first_seq - 1];
        memcpy(own, h + 1, h->count * sizeof(*own));
        for (uint32_t k = 0; k < h->count; k++)
            if (!tb_instrument_check(&own[k], (uint16_t)(h->first_seq + k)))
                own[k].market = 0;
        if (h->first_seq - 1 + h->count > j->instrument_count)
            j->instrument_count = (uint16_t)(h->first_seq - 1 + h->count);
    }
}

static void read_instruments(struct tb_journal *j)
{
    const size_t count = 2 * TB_JOURNAL_INSTRUMENT_PAGES;
    struct tb_journal_source *source;
    if (told_source(j, &source) != 0)
        return;
    if (j->instruments == NULL)
        j->instruments = calloc(TB_INSTRUMENTS_MAX, sizeof(*j->instruments));
    unsigned char *pages = malloc(count * TB_JOURNAL_PAGE);
    if (j->instruments != NULL && pages != NULL) {
        long n = tb_journal_source_read(source, TB_JOURNAL_INSTRUMENT_PAGE, count, pages);
        take_instruments(j, pages, n);
        j->instrument_epoch = j->told_epoch;
        j->instrument_seq = j->told_seq;
    }
    free(pages);
}

const struct tb_instrument *tb_journal_instrument(struct tb_journal *j, uint16_t id)
{
    bool same = j->instrument_epoch == j->told_epoch && j->instruments != NULL;
    if (id == 0 || id > TB_INSTRUMENTS_MAX)
        return NULL;
    if (!same || id > j->instrument_count)
        read_instruments(j); /* entries never change, but there may be more now */
    if (j->instrument_epoch != j->told_epoch || id > j->instrument_count)
        return NULL;
    return j->instruments[id - 1].market != 0 ? &j->instruments[id - 1] : NULL;
}

uint16_t tb_journal_instrument_count(struct tb_journal *j)
{
    read_instruments(j);
    return j->instrument_epoch == j->told_epoch ? j->instrument_count : 0;
}

int tb_journal_state(struct tb_journal *j,
                     void (*each)(void *context, const struct tb_record *record), void *context,
                     uint64_t *out_epoch, tb_seq *out_seq)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    const struct tb_journal_page *h = (const void *)page;
    struct tb_journal_source *source;
    size_t i;
    if (!find_segment(j, &i))
        return -ENOENT;
    int rc = tb_journal_list_use(&j->list, i, &source);
    if (rc == 0)
        rc = tb_journal_source_head(source);
    for (uint64_t n = 0; rc == 0 && n < source->state_pages; n++) {
        long got = tb_journal_source_read(source, TB_JOURNAL_STATE_PAGE + n, 1, page);
        if (got != 1 || tb_journal_page_check(page, TB_JOURNAL_STATE, source->epoch) != NULL)
            return got < 0 ? (int)got : -EBADMSG;
        for (uint32_t k = 0; k < h->count; k++)
            each(context, (const struct tb_record *)(const void *)(h + 1) + k);
    }
    if (rc != 0)
        return rc;
    /* Instruments are those of this segment now. */
    j->told_epoch = *out_epoch = source->epoch;
    j->told_seq = *out_seq = source->first_seq;
    return 0;
}

/* ---- listing ---- */

static uint64_t count_damaged(struct tb_journal_source *source, tb_seq newest)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    uint64_t damaged = 0;
    for (uint64_t n = 0; n < source->state_pages; n++)
        damaged += tb_journal_source_read(source, TB_JOURNAL_STATE_PAGE + n, 1, page) != 1 ||
                   tb_journal_page_check(page, TB_JOURNAL_STATE, source->epoch) != NULL;
    for (uint64_t k = 0; newest != 0 && k <= (newest - source->first_seq) / TB_JOURNAL_RECORDS;
         k++) {
        int place = tb_journal_source_page(source, k, page, NULL);
        damaged += place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL;
    }
    return damaged;
}

static void describe(struct tb_journal *j, size_t i, bool verify, struct tb_journal_segment *s)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    struct tb_journal_source *source;
    struct stat st;
    tb_journal_name(&j->list.item[i], s->file);
    s->epoch = j->list.item[i].epoch;
    s->first_seq = j->list.item[i].first_seq;
    if (tb_journal_list_use(&j->list, i, &source) != 0) {
        s->damaged_pages = 1; /* it can not even be opened */
        return;
    }
    memcpy(s->file, source->name, sizeof(s->file));
    s->compressed = source->zstd != NULL;
    if (fstat(source->fd, &st) == 0)
        s->bytes = s->compressed ? (uint64_t)st.st_size : (uint64_t)st.st_blocks * 512;
    s->bytes_plain = tb_journal_source_pages(source) * TB_JOURNAL_PAGE;
    s->last_seq = tb_journal_source_newest(source, &s->time_max);
    tb_ns begin = begin_of(j, i);
    s->time_min = begin != INT64_MAX ? begin : 0;
    s->closed = tb_journal_source_closed(source);
    if (verify)
        s->damaged_pages = (tb_journal_source_read(source, 0, 1, page) != 1 ||
                            tb_journal_page_check(page, TB_JOURNAL_HEAD, s->epoch) != NULL) +
                           count_damaged(source, s->closed ? source->end_seq - 1 : s->last_seq);
}

int tb_journal_list(struct tb_journal *j, bool verify,
                    int (*each)(void *context, const struct tb_journal_segment *segment),
                    void *context, struct tb_error *err)
{
    int rc = tb_journal_list_scan(&j->list);
    if (rc < 0)
        return tb_fail(err, rc, "cannot list journal %s: %s", j->list.path, strerror(-rc));
    rc = 0;
    for (size_t i = 0; rc == 0 && i < j->list.count; i++) {
        struct tb_journal_segment s = {.epoch = 0};
        describe(j, i, verify, &s);
        rc = each(context, &s);
    }
    return rc;
}
