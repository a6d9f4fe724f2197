/* A service's inputs: opening, reading in turn, being lapped, streams that break or are made anew. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "service_private.h"

#define RETRY_NS (20 * TB_NS_PER_MS)
#define RETRY_BROKEN_NS                                                                            \
    TB_NS_PER_S /* the file is there and is mapped to see whether it is another */
#define PROGRESS_NS (10 * TB_NS_PER_S)
#define BATCH_LATENCY_MAX (60 * TB_NS_PER_S) /* older records were not published just now */

static enum tb_from first_place(const struct tb_service *svc)
{
    return svc->private_->opt.from == 1 ? TB_FROM_NEWEST : TB_FROM_OLDEST;
}

/* Put a reader that was just opened where it belongs. Returns true if its numbering is a new one. */
static bool take_position(struct tb_service *svc, unsigned i)
{
    struct input_state *s = &svc->private_->input[i];
    struct tb_reader *r = &svc->input[i].reader;
    bool known = s->epoch != 0;
    if (known && svc->input_journal != NULL)
        (void)tb_reader_go(r, s->epoch, s->cursor); /* what is left of an older epoch comes first */
    bool same = known && s->epoch == r->epoch;
    if (same && s->cursor > tb_reader_newest(r) + 1) {
        tb_log(TB_LOG_ERROR, "cursor_ahead",
               "stream=%s cursor=%llu newest=%llu then=\"from the oldest\"", svc->input[i].stream,
               (unsigned long long)s->cursor, (unsigned long long)tb_reader_newest(r));
        same = false;
    }
    if (same)
        tb_reader_seek(r, s->cursor);
    else
        svc->input[i].skip_output = 0; /* what this numbering made before is of no matter */
    return known && !same;
}

tb_seq tb_service_input_end(const struct tb_service *svc, unsigned i)
{
    const struct tb_reader *r = &svc->input[i].reader;
    return tb_reader_catching_up(r) ? r->cursor : tb_reader_newest(r) + 1;
}

static int attach(struct tb_service *svc, unsigned i)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    struct tb_input *in = &svc->input[i];
    tb_service_checkpoint_drop(svc); /* it may be of another epoch of this input */
    bool new_epoch = take_position(svc, i);
    in->open = true;
    int rc = svc->ops->on_input != NULL ? svc->ops->on_input(svc, svc->self, i, new_epoch) : 0;
    if (rc < 0) {
        tb_log(TB_LOG_ERROR, "on_input_failed", "stream=%s error=%d", in->stream, rc);
        p->failure = "an input could not be taken";
        return rc;
    }
    if (new_epoch || !s->opened_once)
        memset(s->mirror, 0, sizeof(s->mirror));
    bool elsewhere = in->reader.epoch != s->epoch || in->reader.cursor != s->cursor;
    if (elsewhere || !s->opened_once) { /* not elsewhere: it is where a checkpoint put it */
        s->anchored = !elsewhere || !tb_service_keeps_checkpoints(svc);
        s->saved_cursor = in->reader.cursor;
    }
    s->epoch = in->reader.epoch;
    s->cursor = in->reader.cursor;
    s->released = 0;
    s->opened_once = true;
    s->broken = false;
    s->open_rc = 0;
    s->empty = false;
    s->stop_at = svc->stopping ? tb_service_input_end(svc, i) : 0;
    tb_log(TB_LOG_INFO, "attached", "stream=%s epoch=%llu seq=%llu newest=%llu%s", in->stream,
           (unsigned long long)s->epoch, (unsigned long long)s->cursor,
           (unsigned long long)tb_reader_newest(&in->reader), new_epoch ? " new_epoch=true" : "");
    return 0;
}

static int open_one(struct tb_service *svc, unsigned i)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    struct tb_reader_options options = {
        .from = s->epoch != 0 ? TB_FROM_OLDEST : first_place(svc),
        .name = svc->name,
        .wait = (enum tb_wait_policy)p->opt.wait,
        .journal = svc->input_journal,
    };
    struct tb_error err = {""};
    int rc =
        tb_reader_open(svc->bus_dir, svc->input[i].stream, &options, &svc->input[i].reader, &err);
    if (rc == 0 && s->broken && svc->input[i].reader.epoch == s->epoch) {
        tb_reader_close(&svc->input[i].reader, true); /* the broken one still: said already */
        s->retry_mono = p->mono + RETRY_BROKEN_NS;
        return 0;
    }
    if (rc == 0)
        return attach(svc, i);
    if (rc != s->open_rc) { /* once for each reason */
        char quoted[TB_QUOTE_BYTES];
        if (rc == -ENOENT)
            tb_log(TB_LOG_INFO, "waiting", "stream=%s reason=\"it is not there yet\"",
                   svc->input[i].stream);
        else
            tb_log(TB_LOG_ERROR, "cannot_attach", "stream=%s reason=%s then=\"trying again\"",
                   svc->input[i].stream, tb_quote_text(err.text, quoted));
        s->open_rc = rc;
    }
    s->retry_mono = p->mono + RETRY_NS;
    return 0;
}

int tb_service_inputs_open(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    for (unsigned i = 0; i < svc->input_count; i++) {
        if (svc->input[i].open || p->mono < p->input[i].retry_mono)
            continue;
        int rc = open_one(svc, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Close it so that open_one finds it again, where it was. */
static void detach(struct tb_service *svc, unsigned i)
{
    struct input_state *s = &svc->private_->input[i];
    struct tb_input *in = &svc->input[i];
    s->cursor = in->reader.cursor;
    s->from_journal += tb_reader_from_journal(&in->reader);
    in->open = false;
    tb_reader_close(&in->reader, true);
}

static void on_broken(struct tb_service *svc, unsigned i)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    tb_log(TB_LOG_ERROR, "stream_broken",
           "stream=%s seq=%llu reason=\"its ring file was cut short or damaged\" then=\"the other "
           "inputs go on; attaching again when its producer makes it anew\"",
           svc->input[i].stream, (unsigned long long)svc->input[i].reader.cursor);
    detach(svc, i);
    s->broken = true;
    s->broken_mono = p->mono;
    s->open_rc = -EBADMSG; /* said already */
    s->retry_mono = p->mono + RETRY_NS;
}

static void on_overrun(struct tb_service *svc, unsigned i)
{
    struct input_state *s = &svc->private_->input[i];
    struct tb_input *in = &svc->input[i];
    char quoted[TB_QUOTE_BYTES];
    uint64_t lost = tb_reader_resync(&in->reader);
    if (lost == 0)
        return; /* no overrun: a damaged ring, as the next look finds */
    in->lost += lost;
    s->overruns++;
    in->skip_output = 0; /* the records that made those outputs will not come again */
    tb_log_limited(&s->overrun_log, TB_NS_PER_S, TB_LOG_WARN, "overrun",
                   "stream=%s lost=%llu lost_total=%llu seq=%llu reason=%s", in->stream,
                   (unsigned long long)lost, (unsigned long long)in->lost,
                   (unsigned long long)in->reader.cursor,
                   tb_quote_text(tb_reader_loss(&in->reader), quoted));
    if (svc->ops->on_overrun != NULL)
        svc->ops->on_overrun(svc, svc->self, i, lost);
}

/*
 * A whole output ring must not go by between two checkpoints: what was made could not be counted. And
 * of the input no more than a quarter, if saving is not refused: a restart that finds itself lapped goes
 * on three quarters behind the newest, which is then behind all that outputs were made of.
 */
static size_t batch_max(const struct tb_service *svc, unsigned i)
{
    size_t max = TB_BATCH_MAX;
    const struct tb_input *in = &svc->input[i];
    if (svc->ops->replays_output && svc->out != NULL) {
        uint64_t since = in->reader.cursor - svc->private_->input[i].saved_cursor;
        uint64_t quarter = in->reader.capacity / 4;
        max = svc->out->mask / 128 + 1 < max ? svc->out->mask / 128 + 1 : max;
        max = since < quarter && quarter - since < max ? (size_t)(quarter - since) : max;
    }
    if (svc->stopping) {
        tb_seq stop_at = svc->private_->input[i].stop_at;
        uint64_t left = stop_at > in->reader.cursor ? stop_at - in->reader.cursor : 0;
        max = left < max ? (size_t)left : max;
    }
    return max;
}

/*
 * The journal ended an epoch, and the reader is at the beginning of the next. What is made again after a
 * death is made across it in the same way, so outputs that are there already go on being counted.
 */
static int on_epoch(struct tb_service *svc, unsigned i)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    struct tb_input *in = &svc->input[i];
    tb_log(TB_LOG_INFO, "epoch", "stream=%s epoch=%llu after=%llu", in->stream,
           (unsigned long long)in->reader.epoch, (unsigned long long)s->epoch);
    tb_service_checkpoint_drop(svc);
    memset(s->mirror, 0, sizeof(s->mirror));
    s->epoch = in->reader.epoch;
    s->cursor = s->saved_cursor = in->reader.cursor;
    s->released = 0;
    s->stop_at = svc->stopping ? in->reader.cursor : 0;
    int rc = svc->ops->on_input != NULL ? svc->ops->on_input(svc, svc->self, i, true) : 0;
    if (rc < 0) {
        tb_log(TB_LOG_ERROR, "on_input_failed", "stream=%s error=%d", in->stream, rc);
        p->failure = "an input could not be taken";
        return rc;
    }
    return 1; /* something moved */
}

static void observe_latency(struct tb_service *svc, unsigned i, const struct tb_record *r)
{
    if (r->publish_delta_ns == UINT32_MAX || r->ts_recv == 0 ||
        tb_reader_catching_up(&svc->input[i].reader))
        return; /* recorded long ago: says nothing about now */
    tb_ns latency = tb_clock_wall() - r->ts_recv - r->publish_delta_ns;
    if (latency >= 0 && latency < BATCH_LATENCY_MAX)
        tb_stats_observe(svc->private_->read_latency, latency);
}

static int give(struct tb_service *svc, unsigned i, size_t count)
{
    struct tb_service_private *p = svc->private_;
    struct tb_input *in = &svc->input[i];
    observe_latency(svc, i, &p->batch[0]);
    p->in_records = true;
    int taken = svc->ops->on_records(svc, svc->self, i, p->batch, (int)count);
    p->in_records = false;
    TB_POINT("service:after_records");
    if (taken < 0) {
        tb_log(TB_LOG_ERROR, "on_records_failed", "stream=%s error=%d", in->stream, taken);
        p->failure = "records could not be processed";
        return taken;
    }
    TB_ASSERT((size_t)taken <= count);
    if ((size_t)taken < count) {
        p->input[i].refused = true;
        tb_reader_seek(&in->reader, in->reader.cursor - (count - (size_t)taken));
    }
    in->read += (uint64_t)taken;
    return taken;
}

/* One batch of input i. */
static int read_one(struct tb_service *svc, unsigned i)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    struct tb_input *in = &svc->input[i];
    enum tb_read end = TB_READ_OK;
    size_t max = batch_max(svc, i);
    s->refused = s->empty = false;
    if (max == 0)
        return 0;
    size_t count = tb_reader_read(&in->reader, p->batch, max, &end);
    int taken = count > 0 ? give(svc, i, count) : 0;
    if (taken < 0)
        return taken;
    if (end == TB_READ_BROKEN) {
        on_broken(svc, i);
    } else if (count == 0 && end == TB_READ_OVERRUN) {
        on_overrun(svc, i);
        return 1; /* something moved */
    } else if (count == 0 && end == TB_READ_EPOCH) {
        return on_epoch(svc, i);
    } else if (count == 0) {
        s->empty = true;
        if (in->skip_output > 0 && !tb_reader_catching_up(&in->reader)) {
            tb_log(TB_LOG_WARN, "output_mismatch",
                   "stream=%s left=%llu reason=\"fewer records were "
                   "made again than there were\"",
                   in->stream, (unsigned long long)in->skip_output);
            in->skip_output = 0;
        }
    }
    return taken;
}

/* An input that was to be read alone is done with that when it has caught up, or is not there. */
static void release_hold(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (p->hold == TB_NO_INPUT)
        return;
    int rc = p->input[p->hold].open_rc;
    bool gone = !svc->input[p->hold].open && (rc == -ENOENT || rc == -EBADMSG || rc == -EPROTO);
    if (gone || svc->input[p->hold].skip_output == 0)
        p->hold = TB_NO_INPUT;
}

int tb_service_inputs_read(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    int total = 0;
    for (unsigned i = 0; i < svc->input_count && !p->stop_now; i++) {
        if (!svc->input[i].open || svc->input[i].held || !p->input[i].anchored)
            continue;
        release_hold(svc);
        if (p->hold != TB_NO_INPUT && p->hold != i)
            continue;
        int taken = read_one(svc, i);
        if (taken < 0)
            return taken;
        total += taken;
        if (!tb_service_keeps_checkpoints(svc) && !p->input[i].keeps && svc->input[i].open)
            p->input[i].saved_cursor = svc->input[i].reader.cursor;
        /* The output's readers see each input's share at once; checkpoints keep the bounds. */
        if (taken > 0 && tb_service_checkpoint_urgent(svc))
            (void)tb_service_checkpoint(svc);
    }
    return total;
}

void tb_service_seek(struct tb_service *svc, unsigned input, tb_seq seq)
{
    struct input_state *s = &svc->private_->input[input];
    tb_reader_seek(&svc->input[input].reader, seq);
    tb_service_checkpoint_drop(svc);
    s->saved_cursor = seq;
    s->anchored = !tb_service_keeps_checkpoints(svc);
    s->released = 0;
}

void tb_service_durable(struct tb_service *svc, unsigned input, tb_seq durable)
{
    struct input_state *s = &svc->private_->input[input];
    s->keeps = true;
    s->saved_cursor = durable + 1;
    if (svc->input[input].open)
        tb_reader_durable(&svc->input[input].reader, durable);
}

void tb_service_inputs_release(struct tb_service *svc)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct input_state *s = &svc->private_->input[i];
        struct tb_input *in = &svc->input[i];
        if (!in->open)
            continue;
        if (s->saved_cursor == s->released && in->reader.cursor == s->cursor)
            continue;
        tb_reader_release(&in->reader, s->saved_cursor, svc->now);
        s->released = s->saved_cursor;
        s->cursor = in->reader.cursor;
    }
}

/* When it begins, at most once a second; every ten seconds how it goes on; and its end. */
static void tell_catching_up(struct tb_service *svc, unsigned i, uint64_t lag)
{
    struct tb_service_private *p = svc->private_;
    struct input_state *s = &p->input[i];
    const struct tb_reader *r = &svc->input[i].reader;
    bool now = tb_reader_catching_up(r);
    tb_ns since = p->mono - s->behind_mono;
    s->behind = lag;
    if (now && lag == 0)
        return; /* it waits for a ring */
    if (now ? since < (s->catching_up ? PROGRESS_NS : TB_NS_PER_S) : !s->catching_up)
        return;
    s->catching_up = now;
    s->behind_mono = p->mono;
    tb_log(TB_LOG_INFO, now ? "catching_up" : "caught_up",
           "stream=%s epoch=%llu seq=%llu behind=%llu from_journal=%llu", svc->input[i].stream,
           (unsigned long long)r->epoch, (unsigned long long)r->cursor, (unsigned long long)lag,
           (unsigned long long)(s->from_journal + tb_reader_from_journal(r)));
}

void tb_service_inputs_housekeep(struct tb_service *svc)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        struct input_state *s = &svc->private_->input[i];
        struct tb_input *in = &svc->input[i];
        if (!in->open)
            continue;
        tb_seq newest = tb_reader_newest(&in->reader), cursor = in->reader.cursor;
        uint64_t lag = newest >= cursor ? newest - cursor + 1 : 0;
        tb_stats_set(s->lag, (int64_t)lag);
        tell_catching_up(svc, i, lag);
        s->released = 0; /* the heartbeat of the cursor page goes on while nothing moves */
        if (s->empty && tb_reader_retired(&in->reader)) {
            struct tb_record last; /* it was retired after its last record: look once more */
            enum tb_read then = tb_reader_next(&in->reader, &last);
            tb_reader_seek(&in->reader, cursor);
            if (then != TB_READ_EMPTY)
                continue; /* read_one takes it, or counts it as lost */
            tb_log(TB_LOG_INFO, "stream_retired", "stream=%s epoch=%llu seq=%llu", in->stream,
                   (unsigned long long)s->epoch, (unsigned long long)cursor);
            detach(svc, i);
            s->retry_mono = 0;
        }
    }
    tb_service_inputs_release(svc);
}

bool tb_service_inputs_done(const struct tb_service *svc)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct tb_input *in = &svc->input[i];
        if (!in->open || in->held || !tb_reader_done(&in->reader) ||
            atomic_load_explicit(&in->reader.live->started, memory_order_relaxed) <
                svc->private_->opt.done_after)
            return false;
    }
    return svc->input_count > 0;
}

bool tb_service_inputs_caught_up(const struct tb_service *svc)
{
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open && svc->input[i].reader.cursor < svc->private_->input[i].stop_at)
            return false;
    return true;
}

void tb_service_inputs_close(struct tb_service *svc)
{
    tb_service_inputs_release(svc);
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open)
            detach(svc, i);
}
