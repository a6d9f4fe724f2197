#include "producers/replay/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Between two passes, so that the first record of a pass is not at the time of the last one before. */
#define LOOP_PAUSE TB_NS_PER_MS

/* ---- opening ---- */

static int count_segment(void *context, const struct tb_journal_segment *s)
{
    struct replay_journal *r = context;
    if (s->last_seq != 0) {
        r->total += s->last_seq - s->first_seq + 1;
        r->newest = s->epoch;
    }
    return 0;
}

static void begin_pass(struct replay_journal *r)
{
    tb_journal_seek_oldest(r->journal);
    if (r->from.kind == TB_PLACE_TIME)
        (void)tb_journal_seek_time(r->journal, r->from.time); /* 1: then nothing comes */
    else if (r->from.kind == TB_PLACE_SEQ)
        (void)tb_journal_seek(r->journal, r->newest, r->from.seq);
    r->at = r->count = 0;
    r->next = 0;
    r->in_pass = 0;
    r->done = 0;
}

int replay_journal_open(struct replay_journal *r, struct tb_error *err)
{
    int rc = tb_journal_open(r->path, &r->journal, err);
    if (rc == 0)
        rc = tb_journal_list(r->journal, false, count_segment, r, err);
    if (rc == 0 && r->total == 0)
        rc = tb_fail(err, -ENOENT, "there is no record in journal %s", r->path);
    if (rc == 0)
        begin_pass(r);
    return rc;
}

void replay_journal_close(struct replay_journal *r)
{
    tb_journal_close(r->journal);
    r->journal = NULL;
}

/* ---- the tag ---- */

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static uint64_t mix_text(uint64_t sum, const char *text)
{
    for (; *text != 0; text++)
        sum = mix(sum, (unsigned char)*text);
    return mix(sum, 256);
}

static int mix_first(void *context, const struct tb_journal_segment *s)
{
    uint64_t *sum = context;
    *sum = mix(mix(*sum, s->epoch), s->first_seq);
    return 1; /* later segments may still come, or be compressed */
}

uint64_t replay_journal_tag(struct replay_journal *r, bool rebase)
{
    struct tb_error err;
    uint64_t sum = mix_text(REPLAY_SUM_START, "journal");
    (void)tb_journal_list(r->journal, false, mix_first, &sum, &err);
    const struct tb_place *places[] = {&r->from, &r->to};
    for (size_t i = 0; i < TB_COUNT(places); i++)
        sum = mix(mix(mix(sum, places[i]->kind), places[i]->seq), (uint64_t)places[i]->time);
    sum = mix(sum, (uint64_t)r->loop << 1 | rebase);
    for (size_t i = 0; i < r->symbols->count; i++)
        sum = mix_text(sum, r->symbols->item[i]);
    return sum == 0 ? 1 : sum;
}

/* ---- records ---- */

tb_ns replay_time(const struct tb_record *record)
{
    return record->ts_recv != 0 ? record->ts_recv : record->ts_event;
}

void replay_shift(struct tb_record *record, tb_ns by)
{
    if (record->ts_recv != 0)
        record->ts_recv += by;
    if (record->ts_event != 0)
        record->ts_event += by;
    if (record->type == TB_ALERT && record->alert.since != 0)
        record->alert.since += by;
}

uint64_t replay_sum(uint64_t sum, const struct tb_record *record)
{
    uint64_t word[TB_RECORD_BYTES / 8];
    struct tb_record r = *record;
    r.seq = 0;
    r.publish_delta_ns = 0;
    memcpy(word, &r, sizeof(word));
    for (size_t i = 1; i < TB_COUNT(word); i++)
        sum = mix(sum, word[i]);
    return sum;
}

static bool is_wanted(struct replay_journal *r, const struct tb_record *record)
{
    if (r->symbols->count == 0 || record->instrument == 0)
        return true;
    const struct tb_instrument *in = tb_journal_instrument(r->journal, record->instrument);
    for (size_t i = 0; in != NULL && i < r->symbols->count; i++)
        if (strcmp(r->symbols->item[i], in->symbol) == 0 ||
            strcmp(r->symbols->item[i], in->raw) == 0)
            return true;
    return false;
}

/* What is missing is played as a gap, as a producer that lost it would tell. */
static void make_gap(struct replay_journal *r, tb_seq from, tb_seq to, uint32_t reason,
                     struct tb_record *out)
{
    *out = (struct tb_record){.type = TB_GAP, .flags = TB_F_LAST, .ts_recv = r->last};
    out->gap = (struct tb_gap){.from = from,
                               .to = to,
                               .reason = reason,
                               .channel = TB_CHANNEL_INPUT,
                               .missing = to - from + 1};
    r->lost += out->gap.missing;
    r->damages++;
}

/* The end of a pass: 0, or the next one begins. */
static int end_pass(struct replay_journal *r)
{
    if (!r->loop || r->in_pass == 0)
        return 0;
    r->shift += r->last - r->first + LOOP_PAUSE;
    r->passes++;
    begin_pass(r);
    return -EAGAIN;
}

/* The next batch. 1: a gap stands in for what is damaged; -EAGAIN: look at the batch, or again. */
static int fill(struct replay_journal *r, struct tb_record *out)
{
    struct tb_journal_damage damage;
    r->at = r->count = 0;
    long n = tb_journal_read(r->journal, r->batch, REPLAY_JOURNAL_BATCH, &r->batch_epoch, &damage);
    if (n == 0)
        return end_pass(r);
    if (n == -EBADMSG) {
        snprintf(r->what, sizeof(r->what), "%s", damage.what);
        make_gap(r, damage.from, damage.to, TB_GAP_BAD_FRAME, out);
        r->epoch = damage.epoch;
        r->next = damage.to + 1;
        return 1;
    }
    if (n < 0)
        return (int)n;
    r->count = (size_t)n;
    r->done += (uint64_t)n;
    return -EAGAIN;
}

int replay_journal_next(struct replay_journal *r, struct tb_record *out_record)
{
    int rc = -EAGAIN;
    if (r->at == r->count && ((rc = fill(r, out_record)) != -EAGAIN || r->count == 0)) {
        if (rc == 1)
            replay_shift(out_record, r->shift);
        return rc;
    }
    const struct tb_record *record = &r->batch[r->at];
    if (r->next != 0 && r->batch_epoch == r->epoch && record->seq > r->next) {
        snprintf(r->what, sizeof(r->what), "the journal does not have them");
        make_gap(r, r->next, record->seq - 1, TB_GAP_OVERRUN, out_record);
        r->next = record->seq;
        replay_shift(out_record, r->shift);
        return 1;
    }
    r->epoch = r->batch_epoch;
    r->next = record->seq + 1;
    if (tb_place_behind(&r->to, record)) {
        r->at = r->count;
        return end_pass(r);
    }
    r->at++;
    if (tb_place_before(&r->from, record) || !is_wanted(r, record))
        return -EAGAIN;
    tb_ns time = replay_time(record);
    if (r->in_pass++ == 0)
        r->first = time;
    if (time > r->last || r->in_pass == 1)
        r->last = time;
    *out_record = *record;
    replay_shift(out_record, r->shift);
    return 1;
}
