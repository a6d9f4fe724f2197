/*
 * What a journal says of itself beside its records: where a time is, the instruments and the state
 * at a segment's begin, and which segments there are, looked through page by page if that is
 * wanted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tickbus/ring.h>

#include "journal_source.h"

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

/* The greatest publish time of the epoch before segment i, or something between that and its first
 * one. */
static tb_ns before(struct tb_journal *j, size_t i)
{
    struct tb_journal_source *source;
    if (tb_journal_list_use(&j->list, i, &source) == 0 && tb_journal_source_head(source) == 0 &&
        source->time_before >= 0)
        return source->time_before;
    return begin_of(j, i);
}

/* Where to look first: the segment in which the last epoch that began before `time` came to it. */
static size_t segment_of_time(struct tb_journal *j, tb_ns time)
{
    size_t end = j->list.count, begin = 0;
    while (end > 0) {
        begin = tb_journal_list_find(&j->list, j->list.item[end - 1].epoch, 0) + 1;
        if (begin == 0 || begin_of(j, begin) <= time)
            break;
        end = begin;
    }
    size_t low = begin, high = end;
    while (low + 1 < high) { /* the last one that nothing at or after `time` precedes */
        size_t middle = low + (high - low) / 2;
        if (before(j, middle) < time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int tb_journal_seek_time(struct tb_journal *j, tb_ns time)
{
    tb_journal_seek_oldest(j);
    for (size_t i = segment_of_time(j, time); i < j->list.count; i++) {
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
    if (!tb_journal_find_segment(j, &i))
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

/* Every page in its place is read, as whoever goes on from page to page does; what is odd is looked
 * at again. */
static uint64_t count_damaged(struct tb_journal *j, struct tb_journal_source *source, tb_seq newest)
{
    TB_ALIGNAS(8) unsigned char page[TB_JOURNAL_PAGE];
    uint64_t damaged = 0;
    uint64_t pages = newest != 0 ? (newest - source->first_seq) / TB_JOURNAL_RECORDS + 1 : 0;
    for (uint64_t n = 0; n < source->state_pages; n++)
        damaged += tb_journal_source_read(source, TB_JOURNAL_STATE_PAGE + n, 1, page) != 1 ||
                   tb_journal_page_check(page, TB_JOURNAL_STATE, source->epoch) != NULL;
    j->window_epoch = 0; /* its memory is used */
    for (uint64_t k = 0; k < pages;) {
        const unsigned char *run;
        long n = tb_journal_ahead_read(j->source_ahead, source, source->data_page + k,
                                       TB_JOURNAL_AHEAD_PAGES, &run);
        for (long i = 0; k < pages && i < (n > 0 ? n : 1); i++, k++) {
            if (n > 0 && tb_journal_source_judge(source, k, run + i * TB_JOURNAL_PAGE, NULL) ==
                             TB_PLACE_RECORDS)
                continue;
            int place = tb_journal_source_page(source, k, page, NULL);
            damaged += place != TB_PLACE_RECORDS && place != TB_PLACE_TAIL;
        }
    }
    tb_journal_ahead_rest(j->source_ahead);
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
                           count_damaged(j, source, s->closed ? source->end_seq - 1 : s->last_seq);
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
