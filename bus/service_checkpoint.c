/*
 * Checkpoints of a service, and publishing without repeating what an earlier life published.
 *
 * Saved: the inputs' positions, where the output was, the service's bytes. After a death the inputs
 * are read again from there. A service that replays its output makes the same records again, in an
 * order that is only the same within one input; so those that the output has already are counted per
 * input (the output's instrument entries name it), and that many are dropped.
 *
 * If the last record there is no TB_F_LAST, its maker died inside a group: then that input alone is
 * read until it has caught up, so that the group is completed before anything else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "service_private.h"

#define MAGIC UINT64_C(0x31444556415342) /* "BSAVED1" */

struct saved_input {
    char stream[TB_STREAM_BYTES];
    uint64_t epoch; /* 0: it was not open yet */
    tb_seq cursor;
    uint64_t skip; /* outputs still to be dropped */
};

struct saved {
    uint64_t magic;
    uint64_t input_count;
    uint64_t out_epoch;
    tb_seq out_next;
    uint64_t bytes; /* of the service, behind this */
    struct saved_input input[TB_INPUTS_MAX];
};

/* ---- saving ---- */

static void fill_header(const struct tb_service *svc, struct saved *h, size_t bytes)
{
    memset(h, 0, sizeof(*h));
    h->magic = MAGIC;
    h->input_count = svc->input_count;
    h->bytes = bytes;
    if (svc->out != NULL) {
        h->out_epoch = svc->out->epoch;
        h->out_next = svc->out->next_seq;
    }
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct tb_input *in = &svc->input[i];
        const struct input_state *s = &svc->private_->input[i];
        snprintf(h->input[i].stream, sizeof(h->input[i].stream), "%s", in->stream);
        h->input[i].epoch = in->open ? in->reader.epoch : s->epoch;
        h->input[i].cursor = in->open ? in->reader.cursor : s->cursor;
        h->input[i].skip = in->skip_output;
    }
}

/* Fill the buffer that is not current with what is true now. */
static bool begin(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    size_t room = svc->ops->save == NULL        ? 0
                  : svc->ops->save_size != NULL ? svc->ops->save_size(svc, svc->self)
                                                : svc->ops->checkpoint_bytes;
    char *bytes = tb_checkpoint_begin(&p->checkpoint, sizeof(struct saved) + room);
    p->no_room = bytes == NULL;
    if (p->no_room) {
        static struct tb_log_limit limit;
        tb_log_limited(&limit, 10 * TB_NS_PER_S, TB_LOG_ERROR, "no_checkpoint",
                       "bytes=%zu reason=\"no room in the bus directory\" then=\"trying again\"",
                       room);
        return false;
    }
    size_t used = 0;
    if (svc->ops->save != NULL) {
        used = svc->ops->save(svc, svc->self, bytes + sizeof(struct saved), room);
        TB_ASSERT(used <= room);
        if (used == 0)
            return false;
    }
    struct saved header;
    fill_header(svc, &header, used);
    memcpy(bytes, &header, sizeof(header));
    p->begun = (const void *)bytes; /* which begins aligned: a buffer of tb_checkpoint_begin */
    p->begun_bytes = sizeof(header) + used;
    TB_POINT("service:checkpoint_begun");
    return true;
}

/* Make it current, and let go what is before its cursors. */
static void finish(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    struct saved header = *p->begun;
    tb_checkpoint_commit(&p->checkpoint, p->begun_bytes);
    tb_service_checkpoint_drop(svc);

    TB_POINT("service:before_release");
    p->checkpoints++;
    p->checkpoint_due = false;
    p->saved_out_next = header.out_next;
    for (unsigned i = 0; i < svc->input_count; i++) {
        p->input[i].saved_cursor = header.input[i].cursor;
        p->input[i].anchored |= svc->input[i].open;
    }
    tb_service_inputs_release(svc);
}

bool tb_service_checkpoint(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (p->checkpoint.page == NULL || p->in_records || p->stop_now)
        return false; /* the cursors are ahead of the state, or a record was given up half way */
    if (p->begun == NULL && !begin(svc))
        return false;
    if (svc->ops->settled != NULL && !svc->ops->settled(svc, svc->self))
        return false;
    finish(svc);
    return true;
}

bool tb_service_checkpoint_urgent(const struct tb_service *svc)
{
    const struct tb_service_private *p = svc->private_;
    if (p->checkpoint.page == NULL) /* released as consumed, in steps */
        return false;
    if (svc->out != NULL && svc->out->next_seq - p->saved_out_next >= (svc->out->mask + 1) / 4)
        return true;
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct tb_input *in = &svc->input[i];
        if (in->open && (!p->input[i].anchored ||
                         in->reader.cursor - p->input[i].saved_cursor >= in->reader.capacity / 4))
            return true;
    }
    return false;
}

/* ---- restoring ---- */

static bool header_fits(const struct tb_service *svc, const struct saved *h, size_t total)
{
    if (h->magic != MAGIC || h->input_count != svc->input_count || h->bytes != total - sizeof(*h))
        return false;
    for (unsigned i = 0; i < svc->input_count; i++)
        if (memchr(h->input[i].stream, '\0', TB_STREAM_BYTES) == NULL ||
            strcmp(h->input[i].stream, svc->input[i].stream) != 0)
            return false;
    return true;
}

/* The input that an output record was made of, by its instrument's entry. */
static unsigned maker_of(const struct tb_service *svc, const struct tb_record *r)
{
    const struct tb_instrument *entry = tb_writer_instrument(svc->out, r->instrument);
    for (unsigned i = 0; entry != NULL && i < svc->input_count; i++)
        if (strncmp(entry->stream, svc->input[i].stream, sizeof(entry->stream)) == 0)
            return i;
    return TB_NO_INPUT;
}

/* Count what the output has beyond the checkpoint, per input. */
static void count_output(struct tb_service *svc, tb_seq from)
{
    struct tb_service_private *p = svc->private_;
    struct tb_record r;
    uint64_t counted = 0, gone = 0;
    for (tb_seq seq = from; seq < svc->out->next_seq; seq++) {
        if (!tb_writer_read_back(svc->out, seq, &r)) {
            gone++;
            continue;
        }
        unsigned maker = maker_of(svc, &r);
        if (maker == TB_NO_INPUT)
            continue;
        svc->input[maker].skip_output++;
        counted++;
    }
    if (gone > 0)
        tb_log(TB_LOG_ERROR, "output_overwritten",
               "stream=%s records=%llu reason=\"more was published "
               "since the last checkpoint than the ring holds\"",
               svc->out_stream, (unsigned long long)gone);
    /* Looked up even if nothing was counted: the life before may have died while it was held, with a
     * checkpoint after the open group. */
    if (tb_writer_read_back(svc->out, svc->out->next_seq - 1, &r) && (r.flags & TB_F_LAST) == 0)
        p->hold = maker_of(svc, &r);
    if (counted > 0)
        tb_log(TB_LOG_INFO, "resuming", "stream=%s made_already=%llu", svc->out_stream,
               (unsigned long long)counted);
}

static int give_back(struct tb_service *svc, const char *bytes, size_t total, struct saved *out_h)
{
    struct tb_service_private *p = svc->private_;
    struct saved h;
    if (total < sizeof(h))
        return -EBADMSG;
    memcpy(&h, bytes, sizeof(h));
    if (!header_fits(svc, &h, total))
        return -EBADMSG;
    if (svc->ops->restore != NULL && h.bytes > 0) {
        int rc = svc->ops->restore(svc, svc->self, bytes + sizeof(h), (size_t)h.bytes);
        if (rc < 0)
            return rc;
    }
    for (unsigned i = 0; i < svc->input_count; i++) {
        p->input[i].epoch = h.input[i].epoch;
        p->input[i].cursor = h.input[i].cursor;
    }
    *out_h = h;
    return 0;
}

/* What this life's output and the state have in common decides what is published again: nothing. */
static int meet_output(struct tb_service *svc, const struct saved *h)
{
    struct tb_service_private *p = svc->private_;
    if (svc->out == NULL || p->opt.new_epoch)
        return 0;
    bool same = h->out_epoch == svc->out->epoch;
    if (!same && svc->ops->on_past != NULL)
        return tb_service_past_read(svc, h->out_epoch, h->out_next);
    if (h->magic == 0)
        return 0;
    /* An output of another epoch was made after the checkpoint, and so was all that it holds. */
    p->saved_out_next = same ? h->out_next : 1;
    if (!svc->ops->replays_output)
        return 0;
    for (unsigned i = 0; i < svc->input_count; i++)
        svc->input[i].skip_output = same ? h->input[i].skip : 0;
    count_output(svc, p->saved_out_next);
    return 0;
}

int tb_service_checkpoint_restore(struct tb_service *svc, struct tb_error *err)
{
    struct tb_service_private *p = svc->private_;
    struct saved h = {0}; /* no state */
    p->hold = TB_NO_INPUT;
    if (!tb_service_keeps_checkpoints(svc))
        return 0;
    int rc =
        tb_checkpoint_open(svc->bus_dir, svc->name, svc->ops->checkpoint_version,
                           sizeof(struct saved) + svc->ops->checkpoint_bytes, &p->checkpoint, err);
    if (rc < 0)
        return rc;
    p->saved_out_next = svc->out != NULL ? svc->out->next_seq : 0;
    size_t total;
    const char *bytes = tb_checkpoint_load(&p->checkpoint, &total);
    if (bytes != NULL && !p->opt.new_epoch) {
        rc = give_back(svc, bytes, total, &h);
        if (rc < 0)
            tb_log(TB_LOG_WARN, "checkpoint_refused",
                   "error=%d reason=\"it was made by other inputs or another version\" "
                   "then=\"beginning from the oldest records\"",
                   rc);
    }
    return meet_output(svc, &h);
}

/* ---- publishing ---- */

static bool is_there_already(struct tb_service *svc, uint32_t input)
{
    if (input >= svc->input_count || svc->input[input].skip_output == 0)
        return false;
    svc->input[input].skip_output--;
    return true;
}

static tb_seq publish_at(struct tb_service *svc, struct tb_record *record, tb_ns wall)
{
    record->publish_delta_ns = tb_publish_delta(wall, record->ts_recv);
    if (record->ts_recv != 0 && record->publish_delta_ns != UINT32_MAX)
        tb_stats_observe(svc->private_->publish_latency, record->publish_delta_ns);
    TB_POINT("service:before_publish");
    return tb_writer_publish(svc->out, record);
}

tb_seq tb_service_publish(struct tb_service *svc, uint32_t input, struct tb_record *record)
{
    if (is_there_already(svc, input))
        return TB_PUBLISH_SKIPPED;
    return publish_at(svc, record, tb_clock_wall());
}

size_t tb_service_publish_many(struct tb_service *svc, uint32_t input, struct tb_record *records,
                               size_t count)
{
    tb_ns wall = tb_clock_wall();
    for (size_t i = 0; i < count; i++)
        if (!is_there_already(svc, input) && publish_at(svc, &records[i], wall) == 0)
            return i;
    return count;
}

uint16_t tb_service_mirror(struct tb_service *svc, unsigned input, uint16_t instrument,
                           const char *label)
{
    struct tb_service_private *p = svc->private_;
    uint16_t *known = &p->input[input].mirror[instrument <= TB_INSTRUMENTS_MAX ? instrument : 0];
    if (label == NULL && *known != 0)
        return *known;
    const struct tb_instrument *source =
        tb_reader_instrument(&svc->input[input].reader, instrument);
    if (source == NULL)
        return 0;
    struct tb_instrument entry = *source;
    /* Not where it was first published but where it was read: count_output finds the input by it. */
    memset(entry.stream, 0, sizeof(entry.stream));
    snprintf(entry.stream, sizeof(entry.stream), "%s", svc->input[input].stream);
    if (label != NULL) {
        memset(entry.label, 0, sizeof(entry.label));
        snprintf(entry.label, sizeof(entry.label), "%s", label);
    }
    int id = tb_writer_add_instrument(svc->out, &entry);
    if (id <= 0) {
        static struct tb_log_limit limit;
        tb_log_limited(&limit, 10 * TB_NS_PER_S, TB_LOG_ERROR, "instrument_refused",
                       "stream=%s symbol=%s error=%d", svc->out_stream, entry.symbol, id);
        return 0;
    }
    if (label == NULL)
        *known = (uint16_t)id;
    return (uint16_t)id;
}
