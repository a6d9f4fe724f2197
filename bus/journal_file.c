/* A segment's file: made with its first pages, ended, or given up (journal_write_private.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "bus/journal_write_private.h"

/* In a segment, however much state precedes them: what is held in memory must fit when it is rewritten. */
static uint64_t record_pages_min(const struct tb_journal_writer *w)
{
    return (uint64_t)w->buffers * BUFFER_PAGES + 2 * SOFT_PAGES;
}

static void file_name(uint64_t epoch, tb_seq seq, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%020llu-%020llu.tbj", (unsigned long long)epoch,
                   (unsigned long long)seq);
}

void tb_journal_file_aside(struct tb_journal_writer *w, const char *file, const char *why)
{
    char to[NAME_BYTES + 24];
    (void)snprintf(to, sizeof(to), "%s.damaged", file);
    for (int i = 2; faccessat(w->directory_fd, to, F_OK, 0) == 0; i++)
        (void)snprintf(to, sizeof(to), "%s.damaged-%d", file, i);
    int rc = renameat(w->directory_fd, file, w->directory_fd, to) != 0 ? errno : 0;
    tb_journal_say(w, true, "journal_aside", "file=%s/%s reason=\"%s\" then=\"%s%s\"", w->path,
                   file, why,
                   rc == 0 ? "kept as " : "cannot be renamed: ", rc == 0 ? to : strerror(rc));
}

/* ---- the first pages ---- */

uint64_t tb_journal_instruments_fill(struct tb_journal_writer *w, unsigned index, char *memory)
{
    struct tb_journal_page *page = page_at(memory, 0);
    uint16_t first = (uint16_t)(index * TB_JOURNAL_INSTRUMENTS);
    uint32_t count = (uint32_t)(w->instrument_count - first);
    if (count > TB_JOURNAL_INSTRUMENTS)
        count = TB_JOURNAL_INSTRUMENTS;
    uint32_t generation = ++w->instrument_generation[index];
    uint64_t copy = (generation + 1) & 1; /* the first goes to copy 0, then in turn */
    memset(page, 0, TB_JOURNAL_PAGE);
    page->kind = TB_JOURNAL_INSTRUMENTS_KIND;
    page->epoch = w->epoch;
    page->count = count;
    page->first_seq = first + 1U;
    page->generation = generation;
    page->page = TB_JOURNAL_INSTRUMENT_PAGE + copy * TB_JOURNAL_INSTRUMENT_PAGES + index;
    memcpy(page + 1, &w->instruments[first], count * sizeof(struct tb_instrument));
    tb_journal_page_seal(page);
    return page->page;
}

static void head_fill(struct tb_journal_writer *w, char *memory, uint64_t state_pages, tb_ns wall)
{
    struct tb_journal_page *page = page_at(memory, 0);
    struct tb_journal_head head = {.first_seq = w->first_seq,
                                   .data_page = w->data_page,
                                   .state_pages = state_pages,
                                   .pages = w->pages,
                                   .created = wall,
                                   .time_before = w->time_epoch};
    memcpy(head.stream, w->stream, sizeof(head.stream));
    memcpy(head.bus, w->bus, sizeof(head.bus));
    page->kind = TB_JOURNAL_HEAD;
    page->epoch = w->epoch;
    page->first_seq = w->first_seq;
    memcpy(page + 1, &head, sizeof(head));
    tb_journal_page_seal(page);
}

static void state_fill(struct tb_journal_writer *w, char *memory, const struct tb_record *records,
                       size_t count)
{
    for (uint64_t index = TB_JOURNAL_STATE_PAGE; count > 0; index++) {
        struct tb_journal_page *page = page_at(memory, index);
        uint32_t here = count < TB_JOURNAL_RECORDS ? (uint32_t)count : TB_JOURNAL_RECORDS;
        tb_journal_page_begin(w, page, index);
        page->kind = TB_JOURNAL_STATE;
        page->first_seq = w->first_seq;
        for (uint32_t i = 0; i < here; i++) {
            page_records(page)[i] = records[i];
            page_records(page)[i].seq = 0;
            tb_journal_page_count(page, &records[i]);
        }
        tb_journal_page_seal(page);
        records += here;
        count -= here;
    }
}

/* Everything before the first record, in memory of its own; freed when it is written. */
static int first_pages(struct tb_journal_writer *w, const struct tb_record *state, size_t count,
                       tb_ns wall)
{
    char *memory;
    size_t bytes = w->data_page * TB_JOURNAL_PAGE;
    if (posix_memalign((void **)&memory, TB_JOURNAL_PAGE, bytes) != 0)
        return -ENOMEM;
    memset(memory, 0, bytes);
    head_fill(w, memory, w->data_page - TB_JOURNAL_STATE_PAGE, wall);
    memset(w->instrument_generation, 0, sizeof(w->instrument_generation));
    for (unsigned i = 0; i * TB_JOURNAL_INSTRUMENTS < w->instrument_count; i++)
        (void)tb_journal_instruments_fill(w, i,
                                          (char *)page_at(memory, TB_JOURNAL_INSTRUMENT_PAGE + i));
    w->instruments_written = w->instrument_count;
    w->instruments_there = 0; /* until this is synced */
    state_fill(w, memory, state, count);
    tb_journal_write_first(w, memory, bytes);
    return 0;
}

/* ---- the file ---- */

#define PREPARE_SECOND (86400 - 60) /* of a day: soon a new one begins */

static int open_new(struct tb_journal_writer *w, const char *name)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = -1;
    w->direct = w->opt.direct;
    if (w->direct)
        fd = openat(w->directory_fd, name, flags | O_DIRECT, FILE_MODE);
    if (w->direct && fd < 0 && errno == EINVAL) {
        (void)unlinkat(w->directory_fd, name, 0); /* some file systems make it and then refuse */
        w->direct = false;
        if (!w->buffered_said)
            tb_journal_say(w, false, "journal_buffered",
                           "directory=%s reason=\"this file system takes no direct writes\"",
                           w->path);
        w->buffered_said = true;
    }
    if (!w->direct)
        fd = openat(w->directory_fd, name, flags, FILE_MODE);
    return fd >= 0 ? fd : -errno;
}

/* Its name must be free, or held by something that is of no use. */
static void make_way(struct tb_journal_writer *w, const char *name)
{
    if (faccessat(w->directory_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        tb_journal_file_aside(w, name, "it is in the way, and holds nothing that was durable");
}

void tb_journal_file_prepare(struct tb_journal_writer *w)
{
    bool soon =
        w->pages - w->next_page < w->pages / 4 || w->wall / TB_NS_PER_S % 86400 >= PREPARE_SECOND;
    struct job *job;
    if (w->prepared != PREPARED_NONE || !soon || (job = tb_journal_job(w, JOB_ALLOCATE)) == NULL)
        return;
    (void)unlinkat(w->directory_fd, PREPARED_NAME, 0); /* of an earlier life */
    w->prepared_fd = open_new(w, PREPARED_NAME);
    w->prepared = w->prepared_fd >= 0 ? PREPARED_ASKED : PREPARED_REFUSED;
    job->count = w->opt.segment_bytes;
    if (w->prepared_fd < 0)
        tb_journal_job_end(job); /* it is tried again, and said, when it is needed */
}

void tb_journal_file_prepared(struct tb_journal_writer *w, long result)
{
    w->prepared = PREPARED_READY;
    if (result >= 0)
        return;
    tb_journal_file_unprepare(w);
    w->prepared = PREPARED_REFUSED;
}

void tb_journal_file_unprepare(struct tb_journal_writer *w)
{
    if (w->prepared_fd < 0)
        return;
    (void)close(w->prepared_fd);
    (void)unlinkat(w->directory_fd, PREPARED_NAME, 0);
    w->prepared_fd = -1;
    w->prepared = PREPARED_NONE;
}

/* The prepared file, under its name; or -errno: there is none. */
static int take_prepared(struct tb_journal_writer *w, const char *name)
{
    if (w->prepared != PREPARED_READY)
        return -ENOENT;
    int fd = w->prepared_fd;
    int rc = renameat(w->directory_fd, PREPARED_NAME, w->directory_fd, name) != 0 ? -errno : 0;
    w->prepared_fd = -1;
    w->prepared = PREPARED_NONE;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

static int make(struct tb_journal_writer *w, const char *name)
{
    make_way(w, name);
    int fd = take_prepared(w, name);
    if (fd < 0)
        fd = open_new(w, name);
    if (fd < 0)
        return fd;
    int rc;
    do
        rc = posix_fallocate(fd, 0, (off_t)(w->pages * TB_JOURNAL_PAGE));
    while (rc == EINTR);
    if (rc != 0) {
        (void)close(fd);
        (void)unlinkat(w->directory_fd, name, 0); /* it is ours and holds nothing */
        return -rc;
    }
    w->fd = fd;
    return 0;
}

/* Failing to make a file is said when it begins, not at each try. */
static int refused(struct tb_journal_writer *w, int rc)
{
    w->counts.errors++;
    w->retry_mono = w->mono + w->opt.retry_every;
    if (w->trouble[0] == '\0') {
        (void)snprintf(w->trouble, sizeof(w->trouble),
                       "cannot make a segment of %llu bytes in %s: %s",
                       (unsigned long long)(w->pages * TB_JOURNAL_PAGE), w->path, strerror(-rc));
        tb_journal_say(w, true, "journal_refused", "what=\"%s\" then=\"trying again\"", w->trouble);
        w->trouble_seq = w->durable + 1;
    }
    return rc;
}

int tb_journal_segment_begin(struct tb_journal_writer *w, tb_seq first_seq, bool with_state,
                             tb_ns wall)
{
    struct tb_record *state = NULL;
    size_t count = 0;
    if (wall == 0)
        wall = tb_clock_wall();
    if (with_state && w->opt.state != NULL)
        count = w->opt.state(w->opt.context, NULL);
    if (count > 0) {
        state = malloc(count * sizeof(*state));
        if (state == NULL)
            return refused(w, -ENOMEM);
        size_t again = w->opt.state(w->opt.context, state);
        TB_ASSERT(again == count);
    }
    uint64_t state_pages = (count + TB_JOURNAL_RECORDS - 1) / TB_JOURNAL_RECORDS;
    w->first_seq = first_seq;
    w->data_page = TB_JOURNAL_STATE_PAGE + state_pages;
    w->pages = w->opt.segment_bytes / TB_JOURNAL_PAGE;
    if (w->pages < w->data_page + record_pages_min(w) + 1)
        w->pages = w->data_page + record_pages_min(w) + 1;
    w->life++;
    w->next_page = w->data_page;
    w->spare_generation = 0;
    w->time_segment = 0;
    w->day = wall / (86400 * TB_NS_PER_S);
    int rc = first_pages(w, state, count, wall);
    free(state);
    return rc == 0 ? 0 : refused(w, rc);
}

int tb_journal_segment_attach(struct tb_journal_writer *w)
{
    char name[NAME_BYTES];
    struct tb_error err;
    struct job *directory = tb_journal_job(w, JOB_DIRECTORY);
    if (directory == NULL)
        return -EAGAIN;
    file_name(w->epoch, w->first_seq, name);
    int rc = make(w, name);
    if ((rc == -ENOENT || rc == -EBADF) && tb_journal_directory_open(w, &err) == 0)
        rc = make(w, name); /* somebody has removed the directory */
    if (rc != 0) {
        tb_journal_job_end(directory);
        return refused(w, rc);
    }
    TB_POINT("journal:made");
    memcpy(w->file, name, sizeof(w->file));
    if (w->prepared == PREPARED_REFUSED)
        w->prepared = PREPARED_NONE;
    w->counts.segments++;
    w->flush_asked |= w->instruments_there != w->instrument_count; /* records wait for them */
    return 0;
}

bool tb_journal_file_is_gone(const struct tb_journal_writer *w)
{
    struct stat st;
    return w->fd >= 0 && fstat(w->fd, &st) == 0 && st.st_nlink == 0;
}

void tb_journal_file_give_up(struct tb_journal_writer *w)
{
    if (w->durable < w->first_seq) {
        (void)unlinkat(w->directory_fd, w->file, 0); /* nothing of it was ever promised */
    } else {
        /* Behind the page of the last durable record nothing counts; its space may be what is missing. */
        uint64_t page = w->data_page + (w->durable - w->first_seq) / TB_JOURNAL_RECORDS;
        int rc = ftruncate(w->fd, (off_t)((page + 1) * TB_JOURNAL_PAGE));
        (void)rc; /* then it stays as long as it is */
    }
    (void)close(w->fd);
    w->fd = -1;
    w->file[0] = '\0';
}
