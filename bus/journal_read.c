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

/* Writes in flight that a later one has overtaken end within this time, or never. */
tb_ns tb_journal_settle_ns = TB_NS_PER_S;
#define PAUSE_NS TB_NS_PER_MS

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
    if (rc >= 0)
        rc = tb_journal_ahead_open(&j->source_ahead);
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
    tb_journal_ahead_close(j->source_ahead);
    free(j->instruments);
    free(j);
}

/* ---- where a position is ---- */

bool tb_journal_find_segment(struct tb_journal *j, size_t *out_i)
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
    (void)tb_journal_find_segment(j, &i);
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

/* ---- reading ---- */

static const struct tb_journal_page *in_window(const struct tb_journal *j, uint64_t k)
{
    return (const void *)(j->window + (k - j->window_k) * TB_JOURNAL_PAGE);
}

/*
 * Read pages from k on into the window, as far as they are sound: one, and four times as many whenever all
 * of them were, so that whoever wants a page reads little and whoever goes on reads ahead. Returns what page
 * k is.
 */
static int fill_window(struct tb_journal *j, struct tb_journal_source *source, uint64_t k,
                       const char **out_why)
{
    size_t ahead = j->ahead < 1 ? 1 : j->ahead;
    j->window_epoch = 0;
    long n =
        tb_journal_ahead_read(j->source_ahead, source, source->data_page + k, ahead, &j->window);
    if (n < 0)
        return (int)n;
    j->window_k = k;
    uint64_t sound = 0;
    while (sound < (uint64_t)n &&
           tb_journal_source_judge(source, k + sound, j->window + sound * TB_JOURNAL_PAGE, NULL) ==
               TB_PLACE_RECORDS)
        sound++;
    j->ahead = sound < ahead                        ? 1
               : 4 * ahead < TB_JOURNAL_AHEAD_PAGES ? 4 * ahead
                                                    : TB_JOURNAL_AHEAD_PAGES;
    if (sound == 0) {
        int place = tb_journal_source_page(source, k, j->page, out_why);
        if (place < 0 || (place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL))
            return place;
        j->window = j->page;
        sound = 1;
        if (place == TB_PLACE_TAIL) {
            j->window_pages = 1; /* used at once, and not kept: it grows */
            return place;
        }
    }
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

/* Not even its seek table can be read. How much it held only the next segment of its epoch can tell. */
static long unreadable(struct tb_journal *j, size_t i, struct tb_journal_damage *out_damage)
{
    struct tb_journal_source nameless = {.data_page = 0};
    if (i + 1 >= j->list.count)
        return -EIO;
    const struct tb_journal_item *then = &j->list.item[i + 1];
    tb_seq to = then->epoch == j->epoch ? then->first_seq - 1 : j->seq;
    tb_journal_name(&j->list.item[i], nameless.name);
    long rc = damage(j, &nameless, 0, to > j->seq ? to : j->seq, "it can not be decompressed",
                     out_damage);
    (void)go_on(j, i);
    return rc;
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
        return rc == -EBADMSG ? unreadable(j, i, out_damage) : rc;
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
        if (*since == 0 || tb_clock_mono() - *since < tb_journal_settle_ns) {
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
        if (!tb_journal_find_segment(j, &i)) {
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
    if (n == 0) { /* what comes now comes in small pieces */
        j->window_epoch = 0;
        tb_journal_ahead_rest(j->source_ahead);
    }
    return n;
}

const char *tb_journal_fallback(const struct tb_journal *j)
{
    return tb_journal_ahead_refused(j->source_ahead);
}
