/*
 * What the output holds beyond the state that this life begins with: read back, from the ring and the
 * journal, for a service that knows its records again (ops.on_past).
 *
 * That is so when the checkpoint is gone or damaged (the host was started anew, somebody cleaned up), and
 * when the output's ring was made anew behind it. Counting, as service_checkpoint.c does, needs the
 * same inputs again, up to the last record that something was made of. After the loss of the shared
 * memory they need not be there: the journals of input and output end where each was durable.
 */
#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

#include "journal_source.h"
#include "service_private.h"

#define LOOK_NS (20 * TB_NS_PER_MS)

static bool is_over(const struct tb_service *svc, const struct tb_reader *r)
{
    return r->epoch > svc->out->epoch ||
           (r->epoch == svc->out->epoch && r->cursor >= svc->out->next_seq);
}

/* Every record up to the output's end. */
static int read_all(struct tb_service *svc, struct tb_reader *r, uint64_t *out_read)
{
    struct tb_service_private *p = svc->private_;
    while (!is_over(svc, r)) {
        enum tb_read end;
        size_t count = tb_reader_read(r, p->batch, TB_BATCH_MAX, &end);
        for (size_t i = 0; i < count; i++)
            svc->ops->on_past(svc, svc->self, r, &p->batch[i]);
        *out_read += count;
        if (tb_service_wait_turn(svc) != 0 || svc->stopping)
            return -EINTR;
        if (count > 0 || end == TB_READ_EPOCH)
            continue;
        if (end == TB_READ_BROKEN)
            return -EBADMSG;
        if (end == TB_READ_OVERRUN)
            (void)tb_reader_resync(r); /* counted by the reader, told below */
        else
            tb_reader_wait(r, LOOK_NS);
    }
    return 0;
}

int tb_service_past_read(struct tb_service *svc, uint64_t epoch, tb_seq seq)
{
    struct tb_reader_options options = {.from = TB_FROM_OLDEST, .journal = svc->journal};
    struct tb_reader r = {0};
    struct tb_error err = {""};
    char quoted[TB_QUOTE_BYTES];
    uint64_t read = 0;
    if (svc->journal != NULL && epoch != 0) {
        options.from = TB_FROM_SEQ;
        options.epoch = epoch;
        options.seq = seq;
    }
    int rc = tb_reader_open(svc->bus_dir, svc->out_stream, &options, &r, &err);
    if (rc == 0) {
        tb_stats_state(&svc->stats, TB_SERVICE_STARTING, "reading back what it published before");
        rc = read_all(svc, &r, &read);
    }
    if (rc == 0 && read > 0)
        tb_log(TB_LOG_INFO, "past",
               "stream=%s read_back=%llu missing=%llu then=\"none is published again\"",
               svc->out_stream, (unsigned long long)read, (unsigned long long)r.lost);
    if (rc < 0 && rc != -EINTR)
        tb_log(TB_LOG_ERROR, "past_unknown",
               "stream=%s reason=%s then=\"what it published before may be "
               "published again\"",
               svc->out_stream,
               tb_quote_text(err.text[0] != '\0' ? err.text : strerror(-rc), quoted));
    tb_reader_close(&r, false);
    if (rc != -EINTR)
        svc->ops->on_past(svc, svc->self, NULL, NULL);
    return rc == -EINTR ? rc : 0;
}

uint64_t tb_service_past_epoch(const struct tb_service *svc)
{
    char path[TB_JOURNAL_PATH_BYTES];
    struct tb_journal *j;
    uint64_t epoch = 0;
    tb_seq seq;
    const char *bus = strrchr(svc->bus_dir, '/');
    if (svc->journal == NULL || bus == NULL ||
        tb_journal_directory(svc->journal, bus + 1, svc->out_stream, path, sizeof(path), NULL) !=
            0 ||
        tb_journal_open(path, &j, NULL) != 0)
        return 0;                             /* whoever reads it will say what is wrong with it */
    (void)tb_journal_seek_time(j, INT64_MAX); /* 1: it ends before that, which is what is wanted */
    if (!tb_journal_tell(j, &epoch, &seq))
        epoch = 0;
    tb_journal_close(j);
    return epoch;
}
