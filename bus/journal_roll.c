/*
 * From one segment to the next without standing still (journal_write_private.h).
 *
 *            records are taken into memory all the while
 *   cut ----------------------------+---------------------------------------------> time
 *   the old one   last pages, sync   | end page, sync, cut to size, close
 *   the new one   nothing on disk    | its file (made ahead of time) gets its name, first pages, records
 *                                    durable: the old one's last record
 *
 * So nothing of the new one is on disk before the old one is whole: a power failure at any moment leaves
 * records without a hole between them. The end page is no part of that: a segment that another one follows
 * ends where that one begins, and the next start gives it its end page.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bus/journal_write_private.h"

bool tb_journal_cut(struct tb_journal_writer *w)
{
    if (w->state != WRITER_OPEN || w->old.state != OLD_NONE || w->fd < 0 ||
        tb_journal_jobs_free(w) < FLUSH_JOBS + w->buffers)
        return false;
    if (w->instruments_there != w->instrument_count)
        return false; /* they go first: they are due */
    if (w->first_life == w->life)
        return false; /* nothing else of it is written before its first pages are */
    tb_journal_pages_write(w, true);
    w->old = (struct journal_old){.state = OLD_ENDING,
                                  .fd = w->fd,
                                  .life = w->life,
                                  .job_number = w->job_number,
                                  .first_seq = w->first_seq,
                                  .last_seq = w->next_seq - 1,
                                  .data_page = w->data_page,
                                  .end_page = w->next_page};
    memcpy(w->old.file, w->file, sizeof(w->old.file));
    if (w->buffer_count > 0)
        buffer_at(w, w->buffer_count - 1)->closed = true;
    w->fd = -1;
    w->file[0] = '\0';
    w->life++;
    w->state = WRITER_NONE;
    w->end_asked = false;
    w->pending_mono = 0;
    w->pending_bytes = 0;
    return true;
}

void tb_journal_old_back(struct tb_journal_writer *w)
{
    TB_ASSERT(w->fd < 0); /* the new one gets its file when the old one is durable */
    w->fd = w->old.fd;
    memcpy(w->file, w->old.file, sizeof(w->file));
    w->first_seq = w->old.first_seq;
    w->data_page = w->old.data_page;
    w->old.state = OLD_NONE;
}

/* Only when all before it was synced: so that an end page proves that the segment is whole. */
void tb_journal_old_durable(struct tb_journal_writer *w)
{
    struct tb_journal_page *end = page_at(w->extra, EXTRA_END);
    struct job *job = tb_journal_job(w, JOB_END);
    w->old.state = OLD_ENDED;
    TB_ASSERT(job != NULL); /* the cut left room */
    memset(end, 0, TB_JOURNAL_PAGE);
    tb_journal_page_begin(w, end, w->old.end_page);
    end->kind = TB_JOURNAL_END;
    end->first_seq = w->old.last_seq + 1;
    end->time_max = w->time_epoch;
    tb_journal_page_seal(end);
    job->life = w->old.life;
    job->bytes = (char *)end;
    job->count = TB_JOURNAL_PAGE;
    job->offset = w->old.end_page * TB_JOURNAL_PAGE;
    job->registered = w->extra_registered;
    w->counts.pages++;
    w->counts.bytes += TB_JOURNAL_PAGE;
}

void tb_journal_old_done(struct tb_journal_writer *w, struct job *job, int rc)
{
    if (rc == 0 && job->kind == JOB_END) {
        job->kind = JOB_END_SYNC;
        job->state = JOB_WAITING;
        return;
    }
    tb_journal_job_end(job);
    if (rc == 0) {
        w->counts.syncs++;
        TB_POINT("journal:ended");
        rc = ftruncate(w->old.fd, (off_t)((w->old.end_page + 1) * TB_JOURNAL_PAGE));
        (void)rc; /* the end page says where it ends, too */
    } else {
        w->counts.errors++;
        tb_journal_say(
            w, true, "journal_not_ended",
            "file=%s/%s reason=\"%s\" then=\"its records are safe; the next start ends it\"",
            w->path, w->old.file, strerror(-rc));
    }
    (void)close(w->old.fd);
    w->old.state = OLD_NONE;
}
