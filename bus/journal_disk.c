/* The writers' ring, its registered memory, and the jobs that go through it (journal_write_private.h). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bus/journal_write_private.h"

#define DISK_DEPTH 128
#define DONE_MAX 32

struct tb_journal_disk {
    struct tb_uring *ring;
    char *memory;
    size_t memory_bytes;
    unsigned writers;
    unsigned buffers; /* a writer's, the extra one with them */
    atomic_bool
        taken[TB_JOURNAL_WRITERS_MAX]; /* shares of the memory; writers are opened in threads */
};

/* ---- the disk ---- */

int tb_journal_disk_open(unsigned writers, size_t memory, enum tb_journal_io io,
                         struct tb_journal_disk **out_disk, const char **out_fallback,
                         struct tb_error *err)
{
    const char *fallback = NULL;
    if (writers > TB_JOURNAL_WRITERS_MAX)
        return tb_fail(err, -EINVAL, "more than %d journals in one process",
                       TB_JOURNAL_WRITERS_MAX);
    if (memory < TB_JOURNAL_MEMORY_MIN || memory > TB_JOURNAL_MEMORY_MAX)
        return tb_fail(err, -EINVAL, "%zu bytes are no memory for a journal", memory);
    struct tb_journal_disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL)
        return tb_fail(err, -ENOMEM, "no memory for the journal");
    disk->writers = writers;
    disk->buffers = (unsigned)(memory / BUFFER_BYTES);
    const unsigned buffers = writers * disk->buffers;
    disk->memory_bytes = buffers * BUFFER_BYTES;
    disk->memory =
        mmap(NULL, disk->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (disk->memory == MAP_FAILED) {
        free(disk);
        return tb_fail(err, -ENOMEM, "no memory for %u journal buffers", buffers);
    }
    int rc = io == TB_JOURNAL_IO_PLAIN ? tb_uring_open_plain(DISK_DEPTH, &disk->ring, err)
                                       : tb_uring_open(DISK_DEPTH, disk->memory, buffers,
                                                       BUFFER_BYTES, &disk->ring, &fallback, err);
    if (rc == 0 && io == TB_JOURNAL_IO_URING && fallback != NULL)
        rc = tb_fail(err, -EPERM, "%s", fallback);
    if (rc != 0) {
        tb_journal_disk_close(disk);
        return rc;
    }
    if (out_fallback != NULL)
        *out_fallback = fallback;
    *out_disk = disk;
    return 0;
}

void tb_journal_disk_close(struct tb_journal_disk *disk)
{
    if (disk == NULL)
        return;
    tb_uring_close(disk->ring); /* first: nothing is in flight to this memory after it */
    (void)munmap(disk->memory, disk->memory_bytes);
    free(disk);
}

struct tb_uring *tb_journal_disk_ring(struct tb_journal_disk *disk)
{
    return disk->ring;
}

/* ---- shares of the memory ---- */

int tb_journal_share_take(struct tb_journal_writer *w, struct tb_journal_disk *disk)
{
    unsigned share = 0;
    while (share < disk->writers && atomic_exchange(&disk->taken[share], true))
        share++;
    if (share == disk->writers)
        return -ENOBUFS;
    w->share = (int)share;
    const int first = (int)(share * disk->buffers), last = first + (int)disk->buffers - 1;
    w->buffers = disk->buffers - 1;
    for (int i = 0; first + i < last; i++) {
        w->buffer[i].memory = disk->memory + (size_t)(first + i) * BUFFER_BYTES;
        w->buffer[i].registered = first + i;
    }
    w->extra = disk->memory + (size_t)last * BUFFER_BYTES;
    w->extra_registered = last;
    return 0;
}

void tb_journal_share_give(struct tb_journal_writer *w)
{
    if (w->share >= 0)
        atomic_store(&w->disk->taken[w->share], false);
}

/* ---- jobs ---- */

struct job *tb_journal_job(struct tb_journal_writer *w, enum job_kind kind)
{
    for (size_t i = 0; i < JOBS; i++)
        if (w->job[i].state == JOB_FREE) {
            w->job[i] = (struct job){.writer = w,
                                     .kind = kind,
                                     .state = JOB_WAITING,
                                     .life = w->life,
                                     .number = ++w->job_number,
                                     .registered = -1};
            return &w->job[i];
        }
    return NULL;
}

unsigned tb_journal_jobs_free(const struct tb_journal_writer *w)
{
    unsigned count = 0;
    for (size_t i = 0; i < JOBS; i++)
        count += w->job[i].state == JOB_FREE;
    return count;
}

void tb_journal_job_end(struct job *job)
{
    free(job->owned);
    job->owned = NULL;
    job->state = JOB_FREE;
}

static struct job *write_job(struct tb_journal_writer *w, const char *bytes, size_t count,
                             uint64_t page, int registered)
{
    struct job *job = tb_journal_job(w, JOB_WRITE);
    TB_ASSERT(job != NULL); /* callers made sure */
    job->bytes = bytes;
    job->count = count;
    job->offset = page * TB_JOURNAL_PAGE;
    job->registered = registered;
    w->counts.pages += count / TB_JOURNAL_PAGE;
    w->counts.bytes += count;
    return job;
}

void tb_journal_write_bytes(struct tb_journal_writer *w, const char *bytes, size_t count,
                            uint64_t page, int registered)
{
    (void)write_job(w, bytes, count, page, registered);
}

void tb_journal_write_first(struct tb_journal_writer *w, char *memory, size_t count)
{
    write_job(w, memory, count, 0, -1)->owned = memory;
    w->first_life = w->life;
}

/* Of those that the flush waits for: how many are not done, and one that is not even queued. */
static unsigned flush_open(struct tb_journal_writer *w, struct job **out_waiting)
{
    unsigned open = 0;
    *out_waiting = NULL;
    for (size_t i = 0; i < JOBS; i++) {
        struct job *job = &w->job[i];
        if (job->state == JOB_FREE || job->life != w->flush_life || job->number > w->flush_number ||
            job->kind == JOB_SYNC || job->kind == JOB_END)
            continue;
        open++;
        if (job->state == JOB_WAITING)
            *out_waiting = job;
    }
    return open;
}

static int fd_of(const struct tb_journal_writer *w, const struct job *job)
{
    if (job->kind == JOB_DIRECTORY)
        return w->directory_fd;
    if (job->kind == JOB_ALLOCATE)
        return w->prepared_fd;
    return job->life == w->life ? w->fd : w->old.fd;
}

static bool job_queue(struct tb_journal_writer *w, struct job *job, bool link)
{
    struct tb_uring *ring = w->disk->ring;
    uint64_t tag = (uint64_t)(uintptr_t)job;
    int rc, fd = fd_of(w, job);
    if (job->kind == JOB_WRITE || job->kind == JOB_END)
        rc = tb_uring_write(ring, fd, job->registered, job->bytes + job->done,
                            job->count - job->done, job->offset + job->done, tag, link);
    else if (job->kind == JOB_ALLOCATE)
        rc = tb_uring_allocate(ring, fd, job->count, tag);
    else
        rc = tb_uring_sync(ring, fd, tag);
    if (rc != 0)
        return false;
    job->state = JOB_FLYING;
    w->flying++;
    return true;
}

static void sync_begin(struct tb_journal_writer *w)
{
    struct job *job = tb_journal_job(w, JOB_SYNC);
    if (job != NULL)
        job->life = w->flush_life;
    if (job == NULL || !job_queue(w, job, false)) {
        if (job != NULL)
            tb_journal_job_end(job);
        return; /* next turn */
    }
    w->flush = FLUSH_SYNCING;
}

/*
 * A sync covers only writes that are complete when it starts: so it waits for them all, or, when one
 * is left, is linked behind that one in the same submission.
 */
void tb_journal_jobs_queue(struct tb_journal_writer *w)
{
    struct job *last = NULL;
    if (w->flush == FLUSH_WRITING && flush_open(w, &last) == 1 && last != NULL &&
        last->kind == JOB_WRITE && tb_journal_jobs_free(w) > 0 &&
        tb_uring_in_flight(w->disk->ring) + 2 <= DISK_DEPTH) {
        TB_ASSERT(job_queue(w, last, true));
        sync_begin(w);
    }
    for (size_t i = 0; i < JOBS; i++) {
        struct job *job = &w->job[i];
        bool fileless = job->life == w->life && w->fd < 0 && job->kind != JOB_ALLOCATE;
        bool behind = w->first_life != 0 && job->life == w->first_life && job->kind == JOB_WRITE &&
                      job->owned == NULL;
        if (job->state == JOB_WAITING && !fileless && !behind && !job_queue(w, job, false))
            return;
    }
    if (w->flush == FLUSH_WRITING && flush_open(w, &last) == 0)
        sync_begin(w);
}

/* ---- completions ---- */

/* Returns 0: all of it is written, 1: it goes on, or -errno. */
static int write_done(struct job *job, long result)
{
    if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
        job->state = JOB_WAITING;
        return 1;
    }
    if (result <= 0)
        return result == 0 ? -EIO : (int)result;
    job->done += (size_t)result;
    if (job->done < job->count) {
        job->done -= job->done % TB_JOURNAL_PAGE; /* direct writes begin on a page */
        job->state = JOB_WAITING;
        return 1;
    }
    return 0;
}

static void sync_done(struct tb_journal_writer *w, struct job *job, long result)
{
    enum job_kind kind = job->kind;
    if (result == -ECANCELED) {
        /* Linked behind a write that came short: when that is done the sync is queued again. */
        if (kind == JOB_SYNC) {
            tb_journal_job_end(job);
            w->flush = FLUSH_WRITING;
        } else {
            job->state = JOB_WAITING;
        }
        return;
    }
    tb_journal_job_end(job);
    if (result < 0)
        tb_journal_give_up(w, (int)result,
                           kind == JOB_SYNC ? "cannot sync" : "cannot sync the directory of");
    else if (kind == JOB_SYNC)
        tb_journal_flush_end(w);
}

static void job_done(struct job *job, long result)
{
    struct tb_journal_writer *w = job->writer;
    bool of_old = w->old.state != OLD_NONE && job->life == w->old.life;
    int rc;
    w->flying--;
    if (job->kind == JOB_ALLOCATE) {
        tb_journal_job_end(job);
        tb_journal_file_prepared(w, result);
    } else if (job->life != w->life && !of_old) {
        tb_journal_job_end(job); /* of a file that was given up */
    } else if (job->kind == JOB_END || job->kind == JOB_WRITE) {
        rc = write_done(job, result);
        if (job->kind == JOB_END && rc <= 0) {
            tb_journal_old_done(w, job, rc);
        } else if (rc <= 0) {
            if (job->owned != NULL && job->life == w->first_life)
                w->first_life = 0;
            tb_journal_job_end(job);
            if (rc < 0)
                tb_journal_give_up(w, rc, "cannot write");
        }
    } else if (job->kind == JOB_END_SYNC && result != -ECANCELED) {
        tb_journal_old_done(w, job, (int)result);
    } else {
        sync_done(w, job, result);
    }
}

static long once(struct tb_uring *ring, enum tb_uring_op op, int fd, const char *bytes,
                 size_t count, uint64_t offset)
{
    struct tb_uring_done done;
    int rc = op == TB_URING_SYNC ? tb_uring_sync(ring, fd, 0)
                                 : tb_uring_write(ring, fd, -1, bytes, count, offset, 0, false);
    if (rc == 0)
        rc = tb_uring_submit(ring);
    while (rc == 0)
        rc = tb_uring_reap(ring, &done, 1, true, TB_NS_PER_S);
    return rc < 0 ? rc : done.result;
}

int tb_journal_once(struct tb_journal_writer *w, enum tb_uring_op op, int fd, const void *bytes,
                    size_t count, uint64_t offset)
{
    struct tb_error err;
    int rc = w->once == NULL ? tb_uring_open_plain(1, &w->once, &err) : 0;
    if (rc != 0)
        return rc;
    tb_uring_inject(w->once, tb_uring_injected(w->disk->ring));
    if (op == TB_URING_SYNC) /* of no bytes: nothing is added to their NULL */
        return (int)once(w->once, op, fd, bytes, count, offset);
    for (size_t done = 0;;) {
        long result =
            once(w->once, op, fd, (const char *)bytes + done, count - done, offset + done);
        if (result < 0 && result != -EINTR)
            return (int)result;
        if (result == 0)
            return -EIO;
        done += result > 0 ? (size_t)result : 0;
        if (done == count)
            return 0;
    }
}

int tb_journal_disk_turn(struct tb_journal_disk *disk, tb_ns wait_ns)
{
    struct tb_uring_done done[DONE_MAX];
    int rc = tb_uring_submit(disk->ring);
    if (rc < 0)
        return rc;
    int count = tb_uring_reap(disk->ring, done, DONE_MAX, wait_ns > 0, wait_ns);
    for (int i = 0; i < count; i++)
        job_done((struct job *)(uintptr_t)done[i].tag, done[i].result);
    return count;
}
