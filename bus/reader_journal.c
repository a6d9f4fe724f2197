/*
 * The reader's second place: the journal. While the cursor is there, r->slots is a private array of
 * slots, filled from disk a chunk at a time, so that the inline read is the same for both. The slot
 * behind the last one of the chunk is marked as overwritten: whoever comes to it, as whoever is lapped
 * on the ring, ends in tb_reader_journal_turn, which decides
 *
 *   the ring has it, and not about to go       to the ring
 *   the journal has it                         the next chunk
 *   the ring has it                            to the ring, hoping
 *   the journal has something later            lost, exactly up to that or to what the ring has
 *   the journal is damaged here                lost, up to what follows the damage
 *   the journal has a later epoch              the epoch's end
 *   none of these                              EMPTY: the journal may be just about to write it; if
 *                                              it does not move for a while, lost
 *
 * Records are named by (epoch, seq), here as there: so there is no gap and no repeat to be made where
 * the two meet.
 */
#include "reader_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "journal_source.h"
#include "mapping_guard.h"

#define CHUNK 4096 /* 256 KiB: in the second-level cache */
#define CHUNK_MASK (CHUNK - 1)
#define MARK (~TB_SEQ_BUSY) /* greater than any sequence: overwritten */

#define LOOK_NS (20 * TB_NS_PER_MS)
/* A journal that is killed and started again, or whose disk is slow, moves again within this time. */
#define PATIENCE_NS (10 * TB_NS_PER_S)
/* One that has nothing of the epoch, or was read to its end when the ring is another: perhaps there is none. */
#define PATIENCE_SHORT_NS (2 * TB_NS_PER_S)
#define MOVED_NS (100 * TB_NS_PER_MS)

static const volatile int never_broken;
static const struct tb_ring_live no_live;

TB_STATIC_ASSERT(sizeof(struct tb_slot) == sizeof(struct tb_record), "read from disk in place");

/* ---- where the cursor is ---- */

static void mark(struct tb_reader_private *p, tb_seq seq)
{
    atomic_store_explicit(&p->chunk[seq & CHUNK_MASK].seq, MARK, memory_order_relaxed);
}

static void to_journal(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    p->on_journal = true;
    p->positioned = false;
    p->chunk_from = p->chunk_end = r->cursor;
    mark(p, r->cursor);
    r->slots = p->chunk;
    r->mask = CHUNK_MASK;
    r->broken = &never_broken;
}

static void to_ring(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    p->on_journal = false;
    p->positioned = false;
    p->waited_mono = 0;
    r->slots = p->ring_slots;
    r->mask = p->ring_mask;
    r->broken = tb_guard_broken(p->ring.guard);
}

static bool ring_is_sound(const struct tb_reader *r)
{
    return tb_reader_has_ring(r) && !*tb_guard_broken(r->private_->ring.guard);
}

/* Would the ring still have the cursor after another quarter of it was published? */
static bool is_comfortable(const struct tb_reader *r)
{
    tb_seq ahead = r->cursor + r->capacity / 4 * 3;
    uint64_t seen = tb_reader_word0(r, ahead);
    return seen != ahead && (seen & ~TB_SEQ_BUSY) <= ahead;
}

/* ---- outcomes ---- */

static enum tb_read lose(struct tb_reader *r, tb_seq to, const char *why)
{
    struct tb_reader_private *p = r->private_;
    TB_DCHECK(to >= r->cursor); /* else it would be told of later, of other records */
    (void)snprintf(p->loss, sizeof(p->loss), "%s", why);
    p->lost_to = to;
    p->positioned = false;
    p->waited_mono = 0;
    return TB_READ_OVERRUN;
}

/* The journal has nothing before `to` + 1: the ring may. */
static enum tb_read lose_at_most(struct tb_reader *r, tb_seq to, const char *why)
{
    tb_seq oldest = ring_is_sound(r) ? tb_reader_ring_oldest_surely(r) : 0;
    return lose(r, oldest > r->cursor && oldest <= to ? oldest - 1 : to, why);
}

static enum tb_read end_epoch(struct tb_reader *r, uint64_t next)
{
    struct tb_reader_private *p = r->private_;
    p->next_epoch = next;
    p->positioned = false;
    p->waited_mono = 0;
    return TB_READ_EPOCH;
}

static bool attach_again(struct tb_reader *r);

static void enter_epoch(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    if (p->ring_epoch !=
        p->next_epoch) /* the journal told of it first; the ring may have what that has not yet */
        (void)attach_again(r);
    r->epoch = p->next_epoch;
    p->next_epoch = 0;
    p->epoch_over = false;
    p->instruments_known = 0;
    r->first_cursor += 1 - r->cursor;
    r->cursor = 1;
    to_journal(r);
    tb_reader_publish_epoch(r);
}

/* Nothing has it at present. Has the journal been standing still for too long? */
static bool is_patience_over(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    tb_ns now = tb_clock_mono();
    if (p->waited_mono != 0 && now - p->moved_mono < MOVED_NS)
        return false;
    tb_seq newest;
    (void)tb_journal_has(p->journal, r->epoch, r->cursor, &newest);
    if (p->waited_mono == 0 || newest != p->waited_seq)
        p->waited_mono = now;
    p->moved_mono = now;
    p->waited_seq = newest;
    bool perhaps_none = newest == 0 || !tb_reader_has_ring(r);
    return now - p->waited_mono > (perhaps_none ? PATIENCE_SHORT_NS : PATIENCE_NS);
}

/* ---- the ring ---- */

/* Map the stream's present ring, if there is one. */
static bool attach_again(struct tb_reader *r)
{
    const volatile int *broken = r->broken;
    if (tb_reader_attach(r, NULL) != 0)
        return false;
    if (r->private_->on_journal)
        r->broken = broken;
    return true;
}

static bool is_time_to_look(struct tb_reader_private *p)
{
    tb_ns now = tb_clock_mono();
    if (now - p->looked_mono < LOOK_NS)
        return false;
    p->looked_mono = now;
    return true;
}

void tb_reader_journal_follow(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    if (p->on_journal || !is_time_to_look(p) || !tb_reader_ring_retired(r))
        return;
    /* It was retired after its last record: once more. */
    uint64_t seen = tb_reader_word0(r, r->cursor);
    if (seen == r->cursor || tb_slot_judge(seen, r->cursor) == TB_SLOT_LAPPED)
        return;
    uint64_t epoch = r->epoch;
    to_journal(r);
    if (attach_again(r) && p->ring_epoch != epoch)
        p->epoch_over = true;
    else
        to_ring(r); /* the new one is not there yet */
}

/* ---- the next records ---- */

/* Entries that the chunk needs, while the journal is in this epoch: it may read ahead of us. */
static void learn_instruments(struct tb_reader *r, const struct tb_record *record, size_t count)
{
    struct tb_reader_private *p = r->private_;
    uint16_t greatest = 0;
    if (tb_reader_has_ring(r))
        return; /* its table has them */
    for (size_t i = 0; i < count; i++)
        greatest = record[i].instrument > greatest ? record[i].instrument : greatest;
    if (greatest <= p->instruments_known)
        return;
    uint32_t known = tb_journal_instrument_count(p->journal);
    for (uint32_t id = p->instruments_known + 1; id <= known && id <= TB_INSTRUMENTS_MAX; id++) {
        const struct tb_instrument *entry = tb_journal_instrument(p->journal, (uint16_t)id);
        if (entry != NULL)
            p->instruments[id - 1] = *entry;
        else
            p->instruments[id - 1].market = 0;
        p->instruments_known = id;
    }
}

/* From the journal. EMPTY: it has nothing now. */
static enum tb_read load(struct tb_reader *r, struct tb_journal_damage *damage)
{
    struct tb_reader_private *p = r->private_;
    size_t at = r->cursor & CHUNK_MASK, max = CHUNK - at;
    struct tb_record *record = (struct tb_record *)(void *)&p->chunk[at];
    uint64_t epoch;
    if (max == CHUNK)
        max--; /* the mark needs a slot */
    if (!p->positioned || p->chunk_end != r->cursor)
        (void)tb_journal_seek(p->journal, r->epoch, r->cursor);
    long n = tb_journal_read(p->journal, record, max, &epoch, damage);
    p->positioned = n == 0;
    p->chunk_from = p->chunk_end = r->cursor;
    if (n == -EBADMSG && damage->epoch == r->epoch)
        return lose_at_most(r, damage->to, damage->what);
    if (n == -EBADMSG || (n > 0 && epoch != r->epoch)) {
        mark(p, r->cursor);
        /* After the ring's own epoch comes nothing that the journal could know of. */
        return tb_reader_has_ring(r) ? TB_READ_EMPTY : end_epoch(r, n > 0 ? epoch : damage->epoch);
    }
    if (n <= 0) {
        mark(p, r->cursor);
        return TB_READ_EMPTY; /* an error of the disk, too, is waited for, and ends in a loss */
    }
    if (record->seq != r->cursor) {
        tb_seq first = record->seq;
        mark(p, r->cursor);
        return lose_at_most(r, first - 1, "neither the ring nor the journal has them");
    }
    p->positioned = true;
    p->chunk_end = r->cursor + (uint64_t)n;
    mark(p, p->chunk_end);
    p->from_journal += (uint64_t)n;
    p->waited_mono = 0;
    learn_instruments(r, record, (size_t)n);
    return TB_READ_OK;
}

/* Neither has it now, nor anything after it. */
static enum tb_read wait_for_it(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    if (p->ring_epoch == 0) {
        if (is_time_to_look(p))
            (void)attach_again(r);
        return TB_READ_EMPTY;
    }
    if (tb_reader_has_ring(r)) {
        if (!is_patience_over(r))
            return TB_READ_EMPTY;
        tb_seq newest = tb_reader_ring_newest(r);
        uint64_t behind = r->capacity / 4 * 3;
        if (newest < r->cursor + behind) /* a damaged ring: lapped, and not far ahead */
            return TB_READ_EMPTY;
        return lose(r, newest - behind,
                    "the ring has overwritten them, and the journal does not get them");
    }
    if (p->epoch_over || is_patience_over(r))
        return end_epoch(r, p->ring_epoch);
    return TB_READ_EMPTY;
}

static enum tb_read find(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    struct tb_journal_damage damage;
    uint64_t seen;
    if (p->lost_to >= r->cursor)
        return TB_READ_OVERRUN;
    if (p->next_epoch != 0)
        return TB_READ_EPOCH;
    bool ring_has_it = false;
    if (ring_is_sound(r)) {
        seen = tb_reader_word0(r, r->cursor);
        ring_has_it = seen == r->cursor || tb_slot_judge(seen, r->cursor) == TB_SLOT_EMPTY;
        if (ring_has_it && is_comfortable(r)) {
            to_ring(r);
            return seen == r->cursor ? TB_READ_OK : TB_READ_EMPTY;
        }
    }
    if (!p->on_journal)
        to_journal(r);
    enum tb_read end = load(r, &damage);
    if (end == TB_READ_OK)
        return end;
    if (ring_has_it) {
        p->lost_to = 0;
        to_ring(r);
        return TB_READ_OK; /* or lapped again: then we come back */
    }
    return end == TB_READ_EMPTY ? wait_for_it(r) : end;
}

enum tb_read tb_reader_journal_turn(struct tb_reader *r, bool enter)
{
    enum tb_read end = find(r);
    if (end == TB_READ_EPOCH && enter)
        enter_epoch(r);
    return end;
}

uint64_t tb_reader_journal_resync(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    if (p->lost_to < r->cursor)
        return 0;
    uint64_t lost = p->lost_to - r->cursor + 1;
    r->cursor = p->lost_to + 1;
    r->lost += lost;
    r->overruns++;
    p->lost_to = 0;
    to_journal(r);
    return lost;
}

void tb_reader_journal_seek(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    p->lost_to = 0;
    p->next_epoch = 0;
    p->epoch_over = false;
    p->waited_mono = 0;
    if (p->on_journal && r->cursor >= p->chunk_from && r->cursor <= p->chunk_end)
        return;
    if (ring_is_sound(r))
        to_ring(r);
    else
        to_journal(r);
}

int tb_reader_go(struct tb_reader *r, uint64_t epoch, tb_seq seq)
{
    struct tb_reader_private *p = r->private_;
    if (epoch != r->epoch && p->journal == NULL)
        return -ENOTSUP;
    if (epoch != r->epoch) {
        r->epoch = epoch;
        p->instruments_known = 0;
        p->chunk_from = p->chunk_end = 0;
        r->first_cursor += seq - r->cursor;
        r->cursor = seq;
        tb_reader_journal_seek(r);
        tb_reader_publish_epoch(r);
    } else {
        tb_reader_seek(r, seq);
    }
    return 0;
}

/* ---- opening ---- */

int tb_reader_journal_open(struct tb_reader *r, const char *bus_dir, const char *journal,
                           struct tb_error *err)
{
    struct tb_reader_private *p = r->private_;
    char bus[TB_STREAM_BYTES * 2], path[TB_PATH_BYTES];
    size_t length = strlen(bus_dir);
    while (length > 1 && bus_dir[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && bus_dir[begin - 1] != '/')
        begin--;
    (void)snprintf(bus, sizeof(bus), "%.*s", (int)(length - begin), bus_dir + begin);
    int rc = tb_journal_directory(journal, bus, p->stream, path, sizeof(path), err);
    if (rc != 0)
        return rc;
    rc = tb_journal_open(path, &p->journal, err);
    if (rc != 0)
        return rc;
    p->chunk = aligned_alloc(sizeof(*p->chunk), CHUNK * sizeof(*p->chunk));
    if (p->chunk == NULL)
        return tb_fail(err, -ENOMEM, "no memory to read journal %s", path);
    memset(p->chunk, 0, CHUNK * sizeof(*p->chunk));
    r->live = &no_live;
    r->broken = &never_broken;
    r->capacity = TB_CAPACITY_DEFAULT;
    return 0;
}

void tb_reader_journal_close(struct tb_reader_private *p)
{
    tb_journal_close(p->journal);
    free(p->chunk);
}

bool tb_reader_journal_empty(const struct tb_reader *r)
{
    return tb_journal_seek(r->private_->journal, 0, 0) != 0;
}

static void place_oldest(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    uint64_t epoch;
    tb_seq seq;
    tb_journal_seek_oldest(p->journal);
    bool some = tb_journal_tell(p->journal, &epoch, &seq);
    tb_seq oldest = p->ring_epoch != 0 ? tb_reader_ring_oldest_surely(r) : 0;
    if (!some || (p->ring_epoch == epoch && oldest <= seq)) {
        epoch = p->ring_epoch;
        seq = oldest;
    }
    r->epoch = epoch;
    r->cursor = seq;
}

static void place_newest(struct tb_reader *r)
{
    struct tb_reader_private *p = r->private_;
    r->epoch = p->ring_epoch;
    if (p->ring_epoch != 0) {
        r->cursor = tb_reader_ring_newest(r) + 1;
        return;
    }
    (void)tb_journal_seek_time(p->journal, INT64_MAX);
    (void)tb_journal_tell(p->journal, &r->epoch, &r->cursor);
}

static void place_time(struct tb_reader *r, tb_ns time)
{
    struct tb_reader_private *p = r->private_;
    if (p->ring_epoch != 0) {
        tb_seq seq = tb_reader_ring_time(r, time);
        if (seq > tb_reader_ring_oldest_surely(r) || seq == 1) {
            r->epoch = p->ring_epoch; /* something before it is here, too: it is the first */
            r->cursor = seq;
            return;
        }
    }
    if (tb_journal_seek_time(p->journal, time) != 0 && p->ring_epoch != 0) {
        r->epoch = p->ring_epoch;
        r->cursor = tb_reader_ring_time(r, time);
        return;
    }
    (void)tb_journal_tell(p->journal, &r->epoch, &r->cursor);
}

int tb_reader_journal_place(struct tb_reader *r, const struct tb_reader_options *options,
                            struct tb_error *err)
{
    struct tb_reader_private *p = r->private_;
    tb_seq newest;
    switch (options->from) {
    case TB_FROM_OLDEST:
        place_oldest(r);
        break;
    case TB_FROM_NEWEST:
        place_newest(r);
        break;
    case TB_FROM_TIME:
        place_time(r, options->time);
        break;
    case TB_FROM_SEQ:
    default:
        if (options->epoch == 0)
            place_newest(r); /* for the epoch */
        else
            r->epoch = options->epoch;
        r->cursor = options->seq == 0 ? 1 : options->seq;
        newest = tb_reader_has_ring(r) ? tb_reader_ring_newest(r) : 0;
        if (tb_reader_has_ring(r) && r->cursor > newest + r->capacity)
            return tb_fail(err, -ERANGE, "stream %s is at %llu, sequence %llu is not published yet",
                           p->stream, (unsigned long long)newest, (unsigned long long)r->cursor);
        break;
    }
    if (tb_reader_has_ring(r))
        to_ring(r);
    else
        to_journal(r);
    return 0;
}

/* ---- questions ---- */

tb_seq tb_reader_journal_newest(const struct tb_reader *r)
{
    tb_seq newest;
    (void)tb_journal_has(r->private_->journal, r->epoch, r->cursor, &newest);
    return newest >= r->cursor ? newest : r->cursor - 1;
}

tb_seq tb_reader_journal_oldest(const struct tb_reader *r)
{
    return tb_journal_oldest(r->private_->journal, r->epoch);
}

bool tb_reader_catching_up(const struct tb_reader *r)
{
    return r->private_->on_journal;
}

uint64_t tb_reader_from_journal(const struct tb_reader *r)
{
    return r->private_->from_journal;
}

const char *tb_reader_loss(const struct tb_reader *r)
{
    return r->private_->loss[0] != '\0' ? r->private_->loss : "the ring has overwritten them";
}
