/*
 * The reader's side of a stream: finding a place to start, reading in batches and in place, catching
 * up, and looking around. The single read is inline in reader.h, the cursor page in reader_page.c.
 *
 * Nothing in the ring is believed: the header was checked into private memory (segment.c), indexes
 * are masked, searches are bounded by 64 steps whatever the slots hold, instrument entries are copied
 * and then checked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/reader.h>

#include "mapping_guard.h"
#include "reader_private.h"
#include "wait.h"

/* Records copied between two checks that they were not overwritten meanwhile (tb_reader_read). */
#define READ_BLOCK 16

/* How often a run that is too short is refused to a reader that waits for whole ones but never waits. */
#define REFUSALS_MAX 64

struct tb_wait_view tb_reader_wait_view(const struct tb_reader *r)
{
    const struct tb_reader_private *p = r->private_;
    return (struct tb_wait_view){.page = p->wait.base,
                                 .policy = p->policy,
                                 .on_disk = p->on_journal,
                                 .wanted = p->wanted,
                                 .spin_ns = p->spin_ns};
}

void tb_reader_settle(struct tb_reader *r, tb_ns spin_ns)
{
    r->private_->settled = true;
    r->private_->spin_ns = spin_ns;
}

bool tb_reader_stirs(struct tb_reader *r)
{
    return r->private_->journal == NULL || tb_reader_journal_turn(r, false) != TB_READ_EMPTY;
}

void tb_reader_idles(struct tb_reader *r)
{
    if (r->private_->journal != NULL)
        tb_reader_journal_follow(r);
}

/* ---- places ---- */

uint64_t tb_reader_word0(const struct tb_reader *r, tb_seq seq)
{
    const struct tb_reader_private *p = r->private_;
    return atomic_load_explicit(&p->ring_slots[seq & p->ring_mask].seq, memory_order_acquire);
}

/* Was seq completed, now or ever? True for 1 .. newest, false above: so it can be searched. */
static bool reached(const struct tb_reader *r, tb_seq seq)
{
    uint64_t seen = tb_reader_word0(r, seq);
    return seq == 0 || seen == seq || (seen & ~TB_SEQ_BUSY) > seq;
}

/*
 * The search starts at the better of two hints, the producer's last_seq (which may trail by a
 * housekeeping period) and our own cursor, doubles its step until it is beyond the newest, and halves
 * the interval. Slots that a hostile writer filled with nonsense give a wrong answer, in bounded time.
 */
tb_seq tb_reader_ring_newest(const struct tb_reader *r)
{
    tb_seq low = atomic_load_explicit(&r->live->last_seq, memory_order_relaxed);
    if (low >= INT64_MAX || !reached(r, low))
        low = 0;
    tb_seq behind_cursor = r->cursor - 1;
    if (behind_cursor > low && behind_cursor < INT64_MAX && reached(r, behind_cursor))
        low = behind_cursor;

    uint64_t step = 1;
    while (low + step < INT64_MAX && reached(r, low + step)) {
        low += step;
        step *= 2;
    }
    /* reached(low), not reached(low + step) */
    while (step > 1) {
        step /= 2;
        if (low + step < INT64_MAX && reached(r, low + step))
            low += step;
    }
    return low;
}

tb_seq tb_reader_newest(const struct tb_reader *r)
{
    return tb_reader_has_ring(r) ? tb_reader_ring_newest(r) : tb_reader_journal_newest(r);
}

static tb_seq ring_oldest(const struct tb_reader *r)
{
    uint64_t mask = r->private_->ring_mask;
    const volatile int *broken = tb_guard_broken(r->private_->ring.guard);
    tb_seq newest = tb_reader_ring_newest(r);
    tb_seq oldest = newest > mask ? newest - mask : 1;
    /* The slot of the oldest may be in use for the next record already; on a fast ring, several. */
    while (oldest < newest && tb_reader_word0(r, oldest) != oldest && !*broken)
        oldest++;
    return oldest;
}

tb_seq tb_reader_oldest(const struct tb_reader *r)
{
    tb_seq ring = tb_reader_has_ring(r) ? ring_oldest(r) : 0;
    tb_seq journal = r->private_->journal != NULL ? tb_reader_journal_oldest(r) : 0;
    if (ring == 0 || journal == 0)
        return ring != 0 ? ring : journal != 0 ? journal : 1;
    return ring < journal ? ring : journal;
}

void tb_reader_seek(struct tb_reader *r, tb_seq seq)
{
    r->first_cursor += seq - r->cursor;
    r->cursor = seq;
    if (r->private_->journal != NULL)
        tb_reader_journal_seek(r);
}

uint64_t tb_reader_resync(struct tb_reader *r)
{
    if (r->private_->journal != NULL)
        return tb_reader_journal_resync(r);
    /* Acquire: whoever saw a slot being reused sees all but the last record before that. */
    bool lapped = tb_slot_judge(tb_reader_word0(r, r->cursor), r->cursor) == TB_SLOT_LAPPED;
    tb_seq newest = tb_reader_ring_newest(r);
    uint64_t behind = r->capacity / 4 * 3;
    tb_seq target = newest > behind ? newest - behind + 1 : 1;
    if (target <= r->cursor) {
        /* A ring of ours never says both "lapped" and "not far ahead": it would turn us in circles. */
        if (lapped)
            *tb_guard_broken(r->private_->ring.guard) = 1;
        return 0;
    }
    uint64_t lost = target - r->cursor;
    r->cursor = target;
    r->lost += lost;
    r->overruns++;
    return lost;
}

/* ---- reading ---- */

static enum tb_read why_not(const struct tb_reader *r, enum tb_slot_state state)
{
    if (*r->broken)
        return TB_READ_BROKEN;
    return state == TB_SLOT_LAPPED ? TB_READ_OVERRUN : TB_READ_EMPTY;
}

/*
 * How many of the `max` (above 0) slots from the cursor are published; *out_end why not all.
 * In flow, when the last run was there whole, look at the end first, where the producer was long ago: one look
 * instead of max, which keeps off its line. When that is not there, one after the other from the cursor,
 * because a reader that keeps up finds one or two. Not where the journal's records are: nobody writes there in
 * order, and behind the mark lies what was read before, perhaps of another epoch with the same sequences.
 */
static size_t count_run(struct tb_reader *r, const struct tb_slot *slot, size_t max,
                        enum tb_read *out_end)
{
    struct tb_reader_private *p = r->private_;
    size_t count = 0;
    *out_end = TB_READ_OK;
    if (p->in_flow && !p->on_journal &&
        atomic_load_explicit(&slot[max - 1].seq, memory_order_acquire) /* R1 */ ==
            r->cursor + max - 1)
        return max;
    for (; count < max; count++) {
        tb_seq seq = r->cursor + count;
        uint64_t seen = atomic_load_explicit(&slot[count].seq, memory_order_acquire); /* R1 */
        if (seen != seq) {
            *out_end = why_not(r, tb_slot_judge(seen, seq));
            break;
        }
    }
    p->in_flow = count == max;
    return count;
}

/*
 * TB_WAIT_BATCH: is it worth while to wait for the rest of the run? Not for ever, and not of a producer that
 * is through: who reads such a ring "until TB_READ_EMPTY" would leave the rest there.
 */
static bool is_refused(struct tb_reader *r, const struct tb_slot *slot, size_t max)
{
    struct tb_reader_private *p = r->private_;
    tb_seq last = r->cursor + max - 1;
    uint64_t seen = atomic_load_explicit(&slot[max - 1].seq, memory_order_relaxed);
    return max > 1 && !p->settled && !p->on_journal && seen != last &&
           tb_slot_judge(seen, last) == TB_SLOT_EMPTY && !*r->broken &&
           atomic_load_explicit(&r->live->state, memory_order_relaxed) <= TB_STREAM_RUNNING &&
           ++p->refusals < REFUSALS_MAX;
}

/* max is above 0 and within the array. */
static size_t run_now(struct tb_reader *r, size_t max, enum tb_read *out_end)
{
    struct tb_reader_private *p = r->private_;
    const struct tb_slot *slot = &r->slots[r->cursor & r->mask];
    p->wanted = max;
    if (p->policy == TB_WAIT_BATCH && is_refused(r, slot, max)) {
        p->in_flow = true; /* the next look, too, is for the end */
        *out_end = TB_READ_EMPTY;
        return 0;
    }
    size_t count = count_run(r, slot, max, out_end);
    p->settled = false;
    p->refusals = 0;
    if (TB_UNLIKELY(*r->broken)) {
        *out_end = TB_READ_BROKEN;
        return 0;
    }
    return count;
}

static size_t to_array_end(const struct tb_reader *r, size_t max)
{
    size_t room = (size_t)(r->mask + 1 - (r->cursor & r->mask));
    return max < room ? max : room;
}

static size_t run_in_place(struct tb_reader *r, size_t max, const struct tb_slot **out_run,
                           enum tb_read *out_end)
{
    *out_run = &r->slots[r->cursor & r->mask];
    *out_end = TB_READ_OK;
    return max > 0 ? run_now(r, to_array_end(r, max), out_end) : 0;
}

/* With a journal: nothing is at the cursor, for the reason `end`. True: now there may be; look again. */
static bool turn_away(struct tb_reader *r, enum tb_read end, enum tb_read *out_end)
{
    if (end == TB_READ_OVERRUN)
        *out_end = tb_reader_journal_turn(r, true);
    else if (end == TB_READ_EMPTY)
        tb_reader_journal_follow(r);
    return end == TB_READ_OVERRUN && *out_end == TB_READ_OK;
}

size_t tb_reader_run(struct tb_reader *r, size_t max, const struct tb_slot **out_run,
                     enum tb_read *out_end)
{
    size_t count = run_in_place(r, max, out_run, out_end);
    if (TB_UNLIKELY(count == 0 && r->private_->journal != NULL && max > 0) &&
        turn_away(r, *out_end, out_end))
        count = run_in_place(r, max, out_run, out_end);
    if (count > 0 && *out_end == TB_READ_OVERRUN && r->private_->journal != NULL)
        *out_end = TB_READ_OK; /* the end of a chunk */
    return count;
}

enum tb_read tb_reader_turn(struct tb_reader *r, struct tb_record *out_record)
{
    if (r->private_->journal == NULL)
        return why_not(r, TB_SLOT_LAPPED);
    enum tb_read end = tb_reader_journal_turn(r, true);
    uint64_t word[TB_SLOT_WORDS];
    if (end != TB_READ_OK)
        return end;
    if (tb_slot_read(&r->slots[r->cursor & r->mask], r->cursor, word) != TB_SLOT_OK)
        return TB_READ_EMPTY; /* lapped once more: next time */
    out_record->seq = r->cursor++;
    tb_slot_store_words((char *)out_record + sizeof(out_record->seq), word);
    return TB_READ_OK;
}

/*
 * One look for the whole run: the writer overwrites in order, so it marks the slot of the first
 * record (P1) before it touches any other of the run. If the first still is what it was after the
 * fence (R3), then by case B of slot.h nothing of the run was overwritten when it was read.
 */
bool tb_reader_confirm(struct tb_reader *r, size_t count)
{
    if (count == 0)
        return true;
    atomic_thread_fence(memory_order_acquire); /* R3 */
    uint64_t seen =
        atomic_load_explicit(&r->slots[r->cursor & r->mask].seq, memory_order_relaxed); /* R4 */
    /* Of a mapping that was cut short in between, word 0 is 0 now (mapping_guard.c). */
    if (seen != r->cursor) {
        /* Whoever looked at the end again would find the same, if the ring is damaged, for ever. */
        r->private_->in_flow = false;
        return false;
    }
    r->cursor += count;
    return true;
}

static size_t read_now(struct tb_reader *r, struct tb_record *out_records, size_t max,
                       enum tb_read *out_end)
{
    size_t done = 0;
    enum tb_read end = TB_READ_OK;

    while (done < max && end == TB_READ_OK) {
        const struct tb_slot *run = &r->slots[r->cursor & r->mask];
        size_t block = to_array_end(r, max - done < READ_BLOCK ? max - done : READ_BLOCK);
        size_t count = count_run(r, run, block, &end);
        for (size_t i = 0; i < count; i++)
            tb_slot_copy(&run[i], r->cursor + i, &out_records[done + i]);
        if (!tb_reader_confirm(r, count)) {
            end = why_not(r, TB_SLOT_LAPPED);
            break;
        }
        done += count;
    }
    *out_end = end;
    return done;
}

size_t tb_reader_read(struct tb_reader *r, struct tb_record *out_records, size_t max,
                      enum tb_read *out_end)
{
    size_t count = read_now(r, out_records, max, out_end);
    if (TB_UNLIKELY(count == 0 && r->private_->journal != NULL && max > 0) &&
        turn_away(r, *out_end, out_end))
        count = read_now(r, out_records, max, out_end);
    if (count > 0 && *out_end == TB_READ_OVERRUN && r->private_->journal != NULL)
        *out_end = TB_READ_OK; /* the end of a chunk */
    return count;
}

/* ---- instruments ---- */

uint16_t tb_reader_instrument_count(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    if (!tb_reader_has_ring(r))
        return (uint16_t)p->instruments_known; /* the journal's: learnt with the records */
    /* Acquire pairs with the release in tb_writer_add_instrument. */
    uint32_t count = atomic_load_explicit(&r->live->instrument_count, memory_order_acquire);
    if (count > p->instruments_max)
        count = p->instruments_max;
    while (p->instruments_known < count) {
        uint32_t i = p->instruments_known++;
        struct tb_instrument *own = &p->instruments[i];
        memcpy(own, &r->instruments[i], sizeof(*own));
        if (!tb_instrument_check(own, (uint16_t)(i + 1)))
            own->market = 0;
    }
    return (uint16_t)p->instruments_known;
}

const struct tb_instrument *tb_reader_instrument(struct tb_reader *r, uint16_t id)
{
    struct tb_reader_private *p = r->private_;
    if (id == 0 || (id > p->instruments_known && id > tb_reader_instrument_count(r)))
        return NULL;
    return p->instruments[id - 1].market != 0 ? &p->instruments[id - 1] : NULL;
}

/* ---- opening ---- */

static int name_files(struct tb_reader_private *p, const char *dir, struct tb_error *err)
{
    int rc;
    if ((rc = tb_path(p->ring_path, dir, p->stream, ".ring", err)) != 0 ||
        (rc = tb_path(p->lock_path, dir, p->stream, ".lock", err)) != 0)
        return rc;
    return tb_path(p->wait_path, dir, p->stream, ".wait", err);
}

int tb_reader_attach(struct tb_reader *r, struct tb_error *err)
{
    struct tb_reader_private *p = r->private_;
    struct tb_ring_fixed fixed;
    struct tb_segment ring;
    int rc = tb_segment_attach(p->ring_path, false, 1, &ring, err);
    if (rc != 0)
        return rc;
    rc = tb_ring_header_check(&ring, p->stream, &fixed, err);
    if (rc == 0 && *tb_guard_broken(ring.guard))
        rc = tb_fail(err, -EBADMSG, "ring %s was cut short while it was opened", p->stream);
    if (rc != 0) {
        tb_segment_detach(&ring);
        return rc;
    }
    tb_segment_detach(&p->ring);
    p->ring = ring;
    p->ring_slots = tb_segment_at(&ring, fixed.slots_offset);
    p->ring_mask = fixed.capacity - 1;
    p->ring_epoch = fixed.epoch;
    p->instruments_max = fixed.instruments_max;
    r->live = tb_segment_at(&ring, TB_RING_LIVE_OFFSET);
    r->instruments = tb_segment_at(&ring, fixed.instruments_offset);
    r->capacity = fixed.capacity;
    /* Not there, or not ours to write: then we look from time to time instead (wait.c). */
    if (p->wait.base == NULL)
        (void)tb_segment_attach(p->wait_path, true, TB_WAIT_BYTES, &p->wait, NULL);
    return 0;
}

static void stand_on_ring(struct tb_reader *r)
{
    const struct tb_reader_private *p = r->private_;
    r->slots = p->ring_slots;
    r->mask = p->ring_mask;
    r->epoch = p->ring_epoch;
    r->broken = tb_guard_broken(p->ring.guard);
}

/*
 * "Surely there": on a full ring whose producer is alive, the very oldest records may be gone before
 * the first read, and the reader would begin with an overrun. A 64th of the ring is left out for that,
 * unless the ring is gated: then its producer may stand there waiting for this very reader.
 */
tb_seq tb_reader_ring_oldest_surely(const struct tb_reader *r)
{
    const struct tb_ring_fixed *fixed = r->private_->ring.base;
    uint32_t pace = __atomic_load_n(&fixed->pace, __ATOMIC_RELAXED);
    tb_seq newest = tb_reader_ring_newest(r);
    tb_seq oldest = ring_oldest(r);
    if (newest < r->capacity || pace == TB_PACE_GATED || !tb_lock_held(r->private_->lock_path))
        return oldest;
    tb_seq margin = r->capacity / 64;
    return newest - oldest > margin ? oldest + margin : oldest;
}

/*
 * Times do not decrease along a ring, so they can be searched. What is overwritten meanwhile counts as too
 * old, which it is if it was the ring's oldest.
 */
tb_seq tb_reader_ring_time(const struct tb_reader *r, tb_ns time)
{
    const struct tb_reader_private *p = r->private_;
    tb_seq low = ring_oldest(r), high = tb_reader_ring_newest(r) + 1;
    while (low < high) {
        tb_seq middle = low + (high - low) / 2;
        struct tb_record record;
        uint64_t word[TB_SLOT_WORDS];
        bool there =
            tb_slot_read(&p->ring_slots[middle & p->ring_mask], middle, word) == TB_SLOT_OK;
        tb_slot_store_words((char *)&record + sizeof(record.seq), word);
        if (there && record.ts_recv + (tb_ns)record.publish_delta_ns >= time)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int place(struct tb_reader *r, const struct tb_reader_options *options, struct tb_error *err)
{
    if (r->private_->journal != NULL)
        return tb_reader_journal_place(r, options, err);
    switch (options->from) {
    case TB_FROM_OLDEST:
        r->cursor = tb_reader_ring_oldest_surely(r);
        return 0;
    case TB_FROM_NEWEST:
        r->cursor = tb_reader_newest(r) + 1;
        return 0;
    case TB_FROM_TIME:
        r->cursor = tb_reader_ring_time(r, options->time);
        return 0;
    case TB_FROM_SEQ:
        break;
    default:
        return tb_fail(err, -EINVAL, "no such place to read from: %d", (int)options->from);
    }
    tb_seq newest = tb_reader_newest(r);
    if (options->seq > newest + r->capacity)
        return tb_fail(err, -ERANGE, "stream %s is at %llu, sequence %llu is not published yet",
                       r->private_->stream, (unsigned long long)newest,
                       (unsigned long long)options->seq);
    r->cursor = options->seq == 0 ? 1 : options->seq;
    return 0;
}

static void free_private(struct tb_reader_private *p)
{
    tb_reader_journal_close(p);
    tb_segment_detach(&p->cursor);
    tb_segment_detach(&p->wait);
    tb_segment_detach(&p->ring);
    if (p->cursor_fd >= 0)
        (void)close(p->cursor_fd); /* releases the lock */
    free(p->instruments);
    free(p);
}

/* The ring, and the journal if one is named. Without a ring it has to have something. */
static int open_places(struct tb_reader *r, const char *bus_dir,
                       const struct tb_reader_options *options, struct tb_error *err)
{
    struct tb_reader_private *p = r->private_;
    int rc = name_files(p, bus_dir, err);
    p->instruments = calloc(TB_INSTRUMENTS_MAX, sizeof(*p->instruments));
    if (rc == 0 && p->instruments == NULL)
        rc = tb_fail(err, -ENOMEM, "no memory for the instruments of stream %s", p->stream);
    if (rc == 0 && options->journal != NULL)
        rc = tb_reader_journal_open(r, bus_dir, options->journal, err);
    if (rc != 0)
        return rc;
    rc = tb_reader_attach(r, err);
    if (rc == 0)
        stand_on_ring(r);
    else if (rc == -ENOENT && p->journal != NULL && !tb_reader_journal_empty(r))
        rc = 0;
    return rc;
}

int tb_reader_open(const char *bus_dir, const char *stream, const struct tb_reader_options *options,
                   struct tb_reader *out_reader, struct tb_error *err)
{
    static const struct tb_reader_options defaults;
    if (options == NULL)
        options = &defaults;
    if (!tb_name_check(stream))
        return tb_fail(err, -EINVAL, "\"%.40s\" is no stream name", stream);
    if ((unsigned)options->wait > TB_WAIT_BATCH)
        return tb_fail(err, -EINVAL, "no such way to wait: %d", (int)options->wait);
    struct tb_reader_private *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return tb_fail(err, -ENOMEM, "no memory to open stream %s", stream);
    p->ring = p->wait = p->cursor = TB_SEGMENT_NONE;
    p->cursor_fd = -1;
    p->policy = options->wait;
    (void)snprintf(p->stream, sizeof(p->stream), "%s", stream);

    struct tb_reader r = {.private_ = p};
    int rc = open_places(&r, bus_dir, options, err);
    if (rc == 0)
        rc = place(&r, options, err);
    if (rc == 0 && options->name != NULL)
        rc = tb_reader_page_open(p, bus_dir, options->name, err);
    if (rc != 0) {
        free_private(p);
        return rc;
    }
    r.first_cursor = r.cursor;
    if (options->name != NULL)
        tb_reader_page_publish(&r, options->name);
    *out_reader = r;
    return 0;
}

void tb_reader_close(struct tb_reader *r, bool keep_cursor)
{
    if (r == NULL || r->private_ == NULL)
        return;
    struct tb_reader_private *p = r->private_;
    tb_reader_page_leave(r, keep_cursor);
    free_private(p);
    memset(r, 0, sizeof(*r));
}

/* ---- the producer ---- */

void tb_reader_producer(const struct tb_reader *r, struct tb_producer *out_producer)
{
    const struct tb_ring_live *live = r->live;
    *out_producer = (struct tb_producer){
        .alive = tb_lock_held(r->private_->lock_path) && !tb_reader_ring_retired(r),
        .state = (enum tb_stream_state)atomic_load_explicit(&live->state, memory_order_acquire),
        .pid = atomic_load_explicit(&live->pid, memory_order_relaxed),
        .started = atomic_load_explicit(&live->started, memory_order_relaxed),
        .heartbeat = atomic_load_explicit(&live->heartbeat, memory_order_relaxed),
        .lives = atomic_load_explicit(&live->lives, memory_order_relaxed),
    };
}

bool tb_reader_done(const struct tb_reader *r)
{
    if (!tb_reader_has_ring(r))
        return false;
    /* Acquire pairs with the release in tb_writer_close: all records are there before DONE is. */
    return atomic_load_explicit(&r->live->state, memory_order_acquire) == TB_STREAM_DONE &&
           r->cursor > tb_reader_ring_newest(r);
}

bool tb_reader_ring_retired(const struct tb_reader *r)
{
    /* The name is looked at too: somebody may have removed the file by hand before it was remade. */
    return atomic_load_explicit(&r->live->state, memory_order_acquire) == TB_STREAM_RETIRED ||
           !tb_segment_is_named(&r->private_->ring, r->private_->ring_path);
}

bool tb_reader_retired(const struct tb_reader *r)
{
    return r->private_->journal == NULL && tb_reader_ring_retired(r);
}
