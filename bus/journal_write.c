/* Records into pages, pages onto the disk, and when they are durable (journal_write.h). */
#include "bus/journal_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "bus/journal_write_private.h"
#include "bus/segment.h"

#define LOOK_NS TB_NS_PER_S

void tb_journal_say(const struct tb_journal_writer *w, bool bad, const char *event,
                    const char *format, ...)
{
    char text[400];
    va_list arguments;
    if (w->opt.say == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    w->opt.say(w->opt.context, bad, event, text);
}

/* ---- failures ---- */

void tb_journal_give_up(struct tb_journal_writer *w, int rc, const char *what)
{
    if (w->state == WRITER_BROKEN)
        return;
    if (w->old.state == OLD_ENDING)
        tb_journal_old_back(w);
    w->counts.errors++;
    (void)snprintf(w->trouble, sizeof(w->trouble), "%s %s/%s: %s", what, w->path, w->file,
                   strerror(-rc));
    tb_journal_say(w, true, "journal_failed",
                   "what=\"%s\" then=\"this file is given up; what is not durable is written to "
                   "another\" durable=%llu held=%llu",
                   w->trouble, (unsigned long long)w->durable,
                   (unsigned long long)(w->next_seq - 1 - w->durable));
    w->state = WRITER_BROKEN;
    w->trouble_seq = w->durable + 1;
    w->life++;
    w->flush = FLUSH_NONE;
    w->retry_mono = w->mono + w->opt.retry_every;
    for (size_t i = 0; i < JOBS; i++) {
        struct job *job = &w->job[i];
        bool of_old = w->old.state != OLD_NONE && job->life == w->old.life;
        if (job->state == JOB_WAITING && !of_old && job->kind != JOB_ALLOCATE)
            tb_journal_job_end(job);
    }
}

/*
 * What is not durable is moved to the front of the buffers, and within its pages: another segment begins
 * with it, so it sits in other pages there. The target is never behind the source, so it can be done
 * in place.
 */
static void repack(struct tb_journal_writer *w)
{
    unsigned to_buffer = 0, to_page = 0;
    struct tb_journal_page *to = NULL;
    const unsigned buffers = w->buffer_count;
    uint32_t used[BUFFERS_MAX];
    tb_seq seq = w->durable + 1;
    for (unsigned b = 0; b < buffers; b++)
        used[b] = buffer_at(w, b)->pages;
    w->next_page = w->data_page;
    w->time_segment = buffers > 0 ? page_at(buffer_at(w, 0)->memory, 0)->time_max : 0;
    for (unsigned b = 0; b < buffers; b++)
        for (uint32_t p = 0; p < used[b]; p++) {
            struct tb_journal_page *from = page_at(buffer_at(w, b)->memory, p);
            const uint32_t count = from->count;
            const tb_seq first = from->first_seq;
            for (uint32_t i = seq > first ? (uint32_t)(seq - first < count ? seq - first : count)
                                          : 0;
                 i < count; i++, seq++) {
                struct tb_record record = page_records(from)[i];
                if (to == NULL || to->count == TB_JOURNAL_RECORDS) {
                    if (to != NULL)
                        w->time_segment = to->time_max;
                    if (to != NULL && ++to_page == BUFFER_PAGES) {
                        to_page = 0;
                        to_buffer++;
                    }
                    struct buffer *target = buffer_at(w, to_buffer);
                    if (to_page == 0)
                        target->first_page = w->next_page;
                    target->pages = to_page + 1;
                    target->written = 0;
                    target->closed = false;
                    to = page_at(target->memory, to_page);
                    tb_journal_page_begin(w, to, w->next_page++);
                    to->first_seq = record.seq;
                }
                page_records(to)[to->count] = record;
                tb_journal_page_count(to, &record);
            }
        }
    TB_ASSERT(seq == w->next_seq);
    w->buffer_count = to == NULL ? 0 : to_buffer + 1;
    for (unsigned b = 0; b < w->buffer_count; b++) {
        struct buffer *buffer = buffer_at(w, b);
        for (uint32_t p = 0; p < buffer->pages; p++)
            if (page_at(buffer->memory, p)->count == TB_JOURNAL_RECORDS)
                tb_journal_page_seal(page_at(buffer->memory, p));
    }
    w->counts.rewritten += w->next_seq - 1 - w->durable;
}

static void try_again(struct tb_journal_writer *w)
{
    if (w->flying > 0)
        return; /* the old file's requests still read the buffers */
    if (w->fd >= 0)
        tb_journal_file_give_up(w);
    if (w->mono < w->retry_mono)
        return;
    w->retry_mono = w->mono + w->opt.retry_every;
    if (w->next_seq == w->durable + 1) {
        w->buffer_count = 0;
        w->end_asked = false; /* there is nothing left to end */
        w->trouble[0] = '\0';
        w->state = WRITER_NONE;
        return;
    }
    /* Without state: the books have gone on. Whoever wants it begins at the segment before. */
    if (tb_journal_segment_begin(w, w->durable + 1, false, 0) != 0)
        return;
    repack(w);
    w->state = WRITER_OPEN;
    w->flush_asked = true;
}

/* ---- pages ---- */

void tb_journal_page_begin(struct tb_journal_writer *w, struct tb_journal_page *page,
                           uint64_t index)
{
    memset(page, 0,
           sizeof(*page)); /* the rest is filled with records, or cleared before it is sealed */
    page->kind = TB_JOURNAL_RECORDS_KIND;
    page->epoch = w->epoch;
    page->page = index;
    page->time_max = w->time_segment;
}

static struct buffer *last_buffer(struct tb_journal_writer *w)
{
    return w->buffer_count > 0 ? buffer_at(w, w->buffer_count - 1) : NULL;
}

/* The page that is being filled; NULL: the next record begins a new one. */
static struct tb_journal_page *tail_page(struct tb_journal_writer *w)
{
    struct buffer *b = last_buffer(w);
    if (b == NULL || b->pages == 0 || b->closed)
        return NULL;
    struct tb_journal_page *page = page_at(b->memory, b->pages - 1);
    return page->count < TB_JOURNAL_RECORDS ? page : NULL;
}

/* Give the pages of a buffer that are final to a job. */
static void buffer_write(struct tb_journal_writer *w, struct buffer *b, bool with_tail)
{
    uint32_t final = b->pages;
    if (!with_tail && final > 0 && page_at(b->memory, final - 1)->count < TB_JOURNAL_RECORDS)
        final--;
    if (final == b->written || tb_journal_jobs_free(w) == 0 ||
        w->instruments_there != w->instrument_count)
        return;
    tb_journal_write_bytes(w, b->memory + b->written * (size_t)TB_JOURNAL_PAGE,
                           (final - b->written) * (size_t)TB_JOURNAL_PAGE,
                           b->first_page + b->written, b->registered);
    b->written = final;
}

/* A fresh page; NULL: there is no room in memory now. */
static struct tb_journal_page *page_new(struct tb_journal_writer *w)
{
    struct buffer *b = last_buffer(w);
    if (b == NULL || b->pages == BUFFER_PAGES || b->closed) {
        if (b != NULL && !b->closed)
            buffer_write(w, b, false);
        if (w->buffer_count == w->buffers) {
            w->flush_asked = true; /* only what is durable gives room */
            return NULL;
        }
        b = buffer_at(w, w->buffer_count++);
        b->pages = b->written = 0;
        b->closed = false;
        b->first_page = w->next_page;
    }
    struct tb_journal_page *page = page_at(b->memory, b->pages++);
    tb_journal_page_begin(w, page, w->next_page++);
    page->first_seq = w->next_seq;
    return page;
}

/* Buffers all of whose records are durable. */
static void buffers_release(struct tb_journal_writer *w)
{
    while (w->buffer_count > 0) {
        struct buffer *b = buffer_at(w, 0);
        struct tb_journal_page *last = page_at(b->memory, b->pages - 1);
        bool may_grow = !b->closed && (b->pages < BUFFER_PAGES || last->count < TB_JOURNAL_RECORDS);
        if (may_grow || last->first_seq + last->count > w->durable + 1)
            return;
        w->first_buffer = (w->first_buffer + 1) % w->buffers;
        w->buffer_count--;
    }
}

/* May (or must) the segment end before the next record? */
static bool segment_full(const struct tb_journal_writer *w, const struct tb_record *last,
                         bool at_page)
{
    uint64_t left = w->pages - 1 - w->next_page; /* one is for the end page */
    if (left == 0)
        return at_page;
    return left < SOFT_PAGES && (last->flags & TB_F_LAST) != 0;
}

/* A page that nothing more is put into: what follows was published after it, or the clock was set back. */
static void time_keep(struct tb_journal_writer *w, const struct tb_journal_page *page)
{
    w->time_segment = page->time_max;
    if (page->time_max > w->time_epoch)
        w->time_epoch = page->time_max;
}

static int64_t day_of(tb_ns time)
{
    return time / (86400 * TB_NS_PER_S);
}

size_t tb_journal_writer_append(struct tb_journal_writer *w, const struct tb_record *records,
                                size_t count, tb_ns wall)
{
    if (count == 0 || w->epoch == 0 || (w->end_asked && !tb_journal_cut(w)))
        return 0;
    w->wall = wall;
    if (w->state == WRITER_NONE) {
        if (w->mono < w->retry_mono || tb_journal_segment_begin(w, w->next_seq, true, wall) != 0)
            return 0;
        w->state = WRITER_OPEN;
    }
    if (w->state != WRITER_OPEN)
        return 0;
    /* A new day, if the records are of now: the old ones of a replay tell nothing about it. */
    int64_t today = day_of(wall);
    if (today != w->day && day_of(publish_time(&records[0])) == today) {
        w->end_asked = true;
        return 0;
    }
    struct tb_journal_page *page = tail_page(w);
    size_t taken = 0;
    while (taken < count) {
        if (page == NULL && (page = page_new(w)) == NULL)
            break;
        const struct tb_record *r = &records[taken++];
        TB_DCHECK(r->seq == w->next_seq);
        page_records(page)[page->count] = *r;
        tb_journal_page_count(page, r);
        w->next_seq++;
        bool full = page->count == TB_JOURNAL_RECORDS;
        if (full) {
            tb_journal_page_seal(page);
            time_keep(w, page);
        }
        if (TB_UNLIKELY(w->pages - w->next_page <= SOFT_PAGES) && segment_full(w, r, full)) {
            w->end_asked = true;
            break;
        }
        if (full)
            page = NULL;
    }
    if (taken > 0 && w->pending_mono == 0)
        w->pending_mono = w->mono != 0 ? w->mono : 1;
    w->pending_bytes += taken * sizeof(struct tb_record);
    struct buffer *b = last_buffer(w);
    if (b != NULL && b->pages == BUFFER_PAGES)
        buffer_write(w, b, false);
    return taken;
}

/* ---- flushes ---- */

/* The instrument pages that grew since they were last written. */
void tb_journal_instruments_write(struct tb_journal_writer *w)
{
    unsigned first = w->instruments_written / TB_JOURNAL_INSTRUMENTS;
    unsigned end = (w->instrument_count + TB_JOURNAL_INSTRUMENTS - 1U) / TB_JOURNAL_INSTRUMENTS;
    if (w->instruments_written == w->instrument_count)
        return;
    for (unsigned i = first; i < end; i++) {
        char *page = (char *)page_at(w->extra, EXTRA_INSTRUMENTS + i);
        uint64_t place = tb_journal_instruments_fill(w, i, page);
        tb_journal_write_bytes(w, page, TB_JOURNAL_PAGE, place, w->extra_registered);
    }
    w->instruments_written = w->instrument_count;
}

static void spare_write(struct tb_journal_writer *w, const struct tb_journal_page *tail)
{
    unsigned copy = (unsigned)(++w->spare_generation & 1);
    struct tb_journal_page *spare = page_at(w->extra, EXTRA_SPARE + copy);
    size_t used = sizeof(*tail) + tail->count * sizeof(struct tb_record);
    memcpy(spare, tail, used);
    memset((char *)spare + used, 0, TB_JOURNAL_PAGE - used);
    spare->kind = TB_JOURNAL_SPARE;
    spare->generation = w->spare_generation;
    tb_journal_page_seal(spare);
    tb_journal_write_bytes(w, (char *)spare, TB_JOURNAL_PAGE, TB_JOURNAL_SPARE_PAGE + copy,
                           w->extra_registered);
}

void tb_journal_pages_write(struct tb_journal_writer *w, bool with_tail)
{
    struct tb_journal_page *tail = with_tail ? tail_page(w) : NULL;
    if (tail != NULL) {
        size_t used = sizeof(*tail) + tail->count * sizeof(struct tb_record);
        memset((char *)tail + used, 0, TB_JOURNAL_PAGE - used);
        tb_journal_page_seal(tail);
        time_keep(w, tail);
    }
    for (unsigned b = 0; b < w->buffer_count; b++)
        buffer_write(w, buffer_at(w, b), tail != NULL);
}

void tb_journal_flush_start(struct tb_journal_writer *w, uint64_t life, uint64_t number, tb_seq seq)
{
    w->flush = FLUSH_WRITING;
    w->flush_life = life;
    w->flush_number = number;
    w->flush_seq = seq;
    w->flush_instruments = 0;
    w->flush_mono = tb_clock_mono();
}

static void flush_begin(struct tb_journal_writer *w)
{
    if (w->flush != FLUSH_NONE || tb_journal_jobs_free(w) < FLUSH_JOBS + w->buffers)
        return;
    struct tb_journal_page *tail = tail_page(w);
    if (w->instruments_there != w->instrument_count) {
        tb_journal_instruments_write(w); /* alone; it is due still, and the next turn goes on */
        tb_journal_flush_start(w, w->life, w->job_number, w->durable);
        w->flush_instruments = w->instrument_count;
        return;
    }
    tb_journal_pages_write(w, false);
    if (tail != NULL && tail->first_seq + tail->count > w->durable + 1)
        spare_write(w, tail);
    tb_journal_flush_start(w, w->life, w->job_number, w->next_seq - 1);
    w->flush_asked = false;
    w->pending_mono = 0;
    w->pending_bytes = 0;
}

void tb_journal_flush_end(struct tb_journal_writer *w)
{
    w->flush = FLUSH_NONE;
    w->durable = w->flush_seq;
    if (w->flush_instruments != 0 && w->flush_life == w->life)
        w->instruments_there = w->flush_instruments;
    w->flush_instruments = 0;
    w->counts.syncs++;
    w->counts.sync_latency = tb_clock_mono() - w->flush_mono;
    if (w->trouble[0] != '\0' && w->durable >= w->trouble_seq) {
        tb_journal_say(w, false, "journal_recovered", "file=%s/%s durable=%llu", w->path,
                       w->fd >= 0 ? w->file : w->old.file, (unsigned long long)w->durable);
        w->trouble[0] = '\0';
    }
    /* A flush from before the cut may have all records, its tail in a spare; the page of them, which the cut wrote
     * from our buffer, is then still on its way. */
    if (w->old.state == OLD_ENDING && w->flush_number < w->old.job_number)
        return;
    buffers_release(w);
    if (w->old.state == OLD_ENDING)
        tb_journal_old_durable(w);
}

void tb_journal_writer_flush(struct tb_journal_writer *w)
{
    if (w->next_seq > w->durable + 1)
        w->flush_asked = true;
}

/* A removed file goes on being written to, and nobody will ever read it. */
static void look_after_file(struct tb_journal_writer *w)
{
    if (w->mono - w->looked_mono < LOOK_NS)
        return;
    w->looked_mono = w->mono;
    if (w->state == WRITER_OPEN && tb_journal_file_is_gone(w))
        tb_journal_give_up(w, -ENOENT, "somebody has removed");
}

void tb_journal_writer_turn(struct tb_journal_writer *w, tb_ns mono)
{
    w->mono = mono;
    look_after_file(w);
    if (w->state == WRITER_BROKEN)
        try_again(w);
    if (w->state == WRITER_OPEN && w->end_asked)
        (void)tb_journal_cut(w);
    if (w->old.state == OLD_ENDING && w->flush == FLUSH_NONE)
        tb_journal_flush_start(w, w->old.life, w->old.job_number, w->old.last_seq);
    if (w->state == WRITER_OPEN && w->fd < 0 && w->old.state != OLD_ENDING && mono >= w->retry_mono)
        (void)tb_journal_segment_attach(w);
    if (w->state == WRITER_OPEN && w->fd >= 0) {
        /* An end waits for instruments, also for those whose first record comes after it. */
        bool due = (w->end_asked && w->instruments_there != w->instrument_count) ||
                   (w->next_seq > w->durable + 1 &&
                    (w->flush_asked || w->pending_bytes >= w->opt.sync_bytes ||
                     (w->pending_mono != 0 && mono - w->pending_mono >= w->opt.sync_every)));
        if (due)
            flush_begin(w);
        tb_journal_file_prepare(w);
    }
    if (w->state != WRITER_BROKEN)
        tb_journal_jobs_queue(w);
}

/* ---- positions ---- */

void tb_journal_writer_durable(const struct tb_journal_writer *w, uint64_t *out_epoch,
                               tb_seq *out_seq)
{
    *out_epoch = w->epoch;
    *out_seq = w->durable;
}

tb_seq tb_journal_writer_next(const struct tb_journal_writer *w)
{
    return w->next_seq;
}

tb_seq tb_journal_writer_last(const struct tb_journal_writer *w, uint64_t epoch)
{
    if (epoch == w->epoch)
        return w->durable;
    for (size_t i = 0; i < w->past_count; i++)
        if (w->past[i].epoch == epoch)
            return w->past[i].last;
    return 0;
}

int tb_journal_writer_begin(struct tb_journal_writer *w, uint64_t epoch, tb_seq seq)
{
    if (epoch == w->epoch && seq == w->next_seq)
        return 0;
    if (tb_journal_writer_finish(w) != 0)
        return -EAGAIN;
    if (epoch != w->epoch) {
        w->instrument_count = 0;
        w->time_epoch = 0;
    }
    w->epoch = epoch;
    w->next_seq = seq;
    w->durable = seq - 1;
    w->trouble_seq = seq;
    return 0;
}

int tb_journal_writer_finish(struct tb_journal_writer *w)
{
    if (w->state == WRITER_NONE && w->old.state == OLD_NONE) {
        w->end_asked = false;
        return 0;
    }
    w->end_asked = w->state != WRITER_NONE;
    return -EAGAIN;
}

void tb_journal_writer_instrument(struct tb_journal_writer *w, const struct tb_instrument *entry)
{
    static const struct tb_instrument none;
    TB_ASSERT(w->instrument_count < TB_INSTRUMENTS_MAX);
    w->instruments[w->instrument_count++] = entry != NULL ? *entry : none;
}

uint16_t tb_journal_writer_instrument_count(const struct tb_journal_writer *w)
{
    return w->instrument_count;
}

const char *tb_journal_writer_trouble(const struct tb_journal_writer *w)
{
    return w->trouble[0] != '\0' ? w->trouble : NULL;
}

const struct tb_journal_counts *tb_journal_writer_counts(const struct tb_journal_writer *w)
{
    return &w->counts;
}

const char *tb_journal_writer_file(const struct tb_journal_writer *w)
{
    return w->file;
}

const char *tb_journal_writer_path(const struct tb_journal_writer *w)
{
    return w->path;
}

bool tb_journal_writer_is_direct(const struct tb_journal_writer *w)
{
    return w->direct;
}

/* ---- opening and closing ---- */

static void directory_close(struct tb_journal_writer *w)
{
    if (w->directory_fd >= 0)
        (void)close(w->directory_fd);
    if (w->lock_fd >= 0)
        (void)close(w->lock_fd);
    w->directory_fd = w->lock_fd = -1;
}

int tb_journal_directory_open(struct tb_journal_writer *w, struct tb_error *err)
{
    char lock[sizeof(w->path) + 8];
    int rc = tb_directory_make(w->path, err);
    if (rc != 0)
        return rc;
    directory_close(w);
    (void)snprintf(lock, sizeof(lock), "%s/lock", w->path);
    rc = tb_lock_open(lock, true, FILE_MODE, &w->lock_fd);
    if (rc == -EBUSY)
        return tb_fail(err, rc, "another process writes the journal %s", w->path);
    if (rc != 0)
        return tb_fail(err, rc, "cannot lock %s: %s", lock, strerror(-rc));
    w->directory_fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->directory_fd < 0)
        return tb_fail(err, -errno, "cannot open %s: %s", w->path, strerror(errno));
    /* The directories that were just made must outlive the power, too. */
    char parent[sizeof(w->path)];
    memcpy(parent, w->path, sizeof(parent));
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(parent, '/');
        if (slash == NULL || slash == parent)
            break;
        *slash = '\0';
        int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            break; /* not ours to read, so not ours to make */
        rc = fsync(fd) != 0 ? -errno : 0;
        (void)close(fd);
        if (rc != 0)
            return tb_fail(err, rc, "cannot sync directory %s: %s", parent, strerror(-rc));
    }
    return 0;
}

int tb_journal_writer_open(struct tb_journal_disk *disk,
                           const struct tb_journal_write_options *options,
                           struct tb_journal_writer **out_writer, struct tb_error *err)
{
    struct tb_journal_writer *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return tb_fail(err, -ENOMEM, "no memory for the journal of %s", options->stream);
    w->instruments = calloc(TB_INSTRUMENTS_MAX, sizeof(*w->instruments));
    w->opt = *options;
    if (w->opt.retry_every == 0)
        w->opt.retry_every = TB_NS_PER_S;
    w->lock_fd = w->directory_fd = w->fd = w->prepared_fd = -1;
    w->disk = disk;
    (void)snprintf(w->stream, sizeof(w->stream), "%s", options->stream);
    (void)snprintf(w->bus, sizeof(w->bus), "%s", options->bus);
    w->opt.stream = w->stream;
    w->opt.bus = w->bus;
    w->mono = tb_clock_mono();
    w->share = -1;
    int rc = w->instruments == NULL ? -ENOMEM : tb_journal_share_take(w, disk);
    if (rc != 0)
        (void)tb_fail(err, rc, "no memory for the journal of %s", w->stream);
    else
        rc = tb_journal_directory(w->opt.journal, w->opt.bus, w->opt.stream, w->path,
                                  sizeof(w->path), err);
    if (rc == 0)
        rc = tb_journal_directory_open(w, err);
    if (rc == 0)
        rc = tb_journal_recover(w, err);
    w->opt.journal = NULL; /* it was the caller's */
    tb_uring_close(w->once);
    w->once = NULL;
    if (rc != 0) {
        tb_journal_writer_close(w);
        return rc;
    }
    w->next_seq = w->durable + 1;
    *out_writer = w;
    return 0;
}

void tb_journal_writer_close(struct tb_journal_writer *w)
{
    if (w == NULL)
        return;
    /* What is in flight reads our buffers and jobs. */
    while (w->flying > 0 && tb_journal_disk_turn(w->disk, TB_NS_PER_S) >= 0)
        ;
    for (size_t i = 0; i < JOBS; i++)
        if (w->job[i].state != JOB_FREE)
            tb_journal_job_end(&w->job[i]);
    tb_journal_share_give(w);
    if (w->fd >= 0)
        (void)close(w->fd); /* what was not synced was not promised */
    if (w->old.state != OLD_NONE)
        (void)close(w->old.fd);
    tb_journal_file_unprepare(w);
    directory_close(w);
    free(w->past);
    free(w->instruments);
    free(w);
}
