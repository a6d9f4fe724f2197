/*
 * A stream: one producer's records, broadcast to any number of readers in other processes, and the
 * producer's side of it. The reader's side is reader.h; what a slot holds and why a read is never
 * torn is slot.h. docs: include/tickbus/LAYOUT.md has this file's layout with worked examples.
 *
 * Files of a bus, in one directory (tb_bus_dir):
 *
 *   <stream>.ring     this layout; readers map it PROT_READ
 *   <stream>.lock     the producer holds an open-file-description write lock on it for its life
 *   <stream>.wait     64 bytes: the event count on which parked readers sleep (the only thing
 *                     that a reader may write and a producer reads, besides gate cursors)
 *   <stream>.<reader>.cursor   one reader's cursor page (reader.h), locked by that reader
 *   <stream>.control  a socket: questions to a running producer (control.h)
 *   <service>.stats   a process's statistics page (stats.h)
 *   <service>.state   a service's checkpoint (checkpoint.h)
 *
 *   offset                                            written by
 *        0  +--------------------------------------+
 *           | struct tb_ring_fixed                 |  creator, before the name exists; never again
 *           |                                      |  but for the pace: each producer, on opening
 *      256  +--------------------------------------+
 *           | struct tb_ring_live                  |  producer: state changes and housekeeping;
 *           |  last_seq may trail the slots        |  a relaxed hint, never needed for reading
 *     4096  +--------------------------------------+
 *           | struct tb_instrument [1024]          |  producer, append-only; count is in live
 *   200704  +--------------------------------------+  = slots_offset
 *           | struct tb_slot [capacity]            |  producer; sequence s is in slot
 *           |                                      |  s & (capacity - 1)
 *           +--------------------------------------+
 *
 * Invariants, for every reader at every moment:
 *   I1  word 0 of slot i is 0, or names a sequence s (BUSY or not) with (s & (capacity-1)) == i.
 *   I2  the greatest complete sequence never decreases within an epoch; there are no holes.
 *   I3  last_seq <= the greatest complete sequence.
 *   I4  the first instrument_count entries of the table never change.
 *
 * Life: the file is made under a temporary name, filled, prefaulted and renamed, under the lock.
 * A producer that starts again finds the file, finds the greatest complete sequence by looking at
 * all slots, and continues the same epoch at the next one. The epoch is new (and the old file is
 * marked retired, for those who have it mapped) when the capacity, the layout or the tag changes,
 * when the file is damaged, or when the caller asks for it. Nothing is written to a retired file.
 *
 * Pace: `free` producers never wait. `gated` producers wait until every reader named as a gate has
 * released (tb_reader_release) what is about to be overwritten: seq is published when seq < needed
 * + capacity. A gate counts whether its reader lives or not; one that has no page, or that of
 * another epoch, needs 1: the first lap is free.
 */
#ifndef TICKBUS_RING_H
#define TICKBUS_RING_H

#include <string.h>

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/slot.h>

TB_EXTERN_BEGIN

#define TB_RING_MAGIC UINT64_C(0x31474e4952424b54) /* "TKBRING1" in memory */
#define TB_RING_LAYOUT 1
#define TB_INSTRUMENTS_MAX 1024
#define TB_CAPACITY_MIN 8
#define TB_CAPACITY_MAX (UINT64_C(1) << 30)
#define TB_CAPACITY_DEFAULT (UINT64_C(1) << 16) /* 4 MiB: see tb_writer_options */
#define TB_GATES_MAX 16

enum tb_pace { TB_PACE_FREE = 0, TB_PACE_GATED = 1 };

enum tb_stream_state {
    TB_STREAM_STARTING = 1, /* a life has begun, no housekeeping yet */
    TB_STREAM_RUNNING = 2,  /* since its first housekeeping; stays if it crashes or fails */
    TB_STREAM_DONE = 3,     /* finite producer: all is published, this life publishes nothing
                             * more */
    TB_STREAM_STOPPED = 4,  /* stopped as asked; may be continued */
    TB_STREAM_RETIRED = 5,  /* replaced by a new file with a new epoch: attach again */
};

struct tb_ring_fixed {
    uint64_t magic;
    uint32_t layout;
    uint32_t record_bytes;
    /* Unique: creation time in ns; or one more than the epoch of the file that this one replaced,
     * or than tb_writer_options.after_epoch, where those are not less. */
    uint64_t epoch;
    uint64_t capacity;
    uint64_t slots_offset;
    uint32_t instruments_offset;
    uint32_t instruments_max;
    char stream[TB_STREAM_BYTES];
    uint32_t pace; /* enum tb_pace: of the last producer that opened the file */
    uint32_t reserved[43];
};

struct tb_ring_live {
    TB_ATOMIC(uint64_t) last_seq;
    TB_ATOMIC(int64_t) heartbeat; /* wall clock, ns: of the last housekeeping */
    TB_ATOMIC(int64_t) started;   /* wall clock at which this life of the producer began */
    TB_ATOMIC(uint64_t) lives;    /* how often a producer opened this file */
    TB_ATOMIC(uint64_t) tag;      /* the producer's own mark of what it plays; 0 none */
    TB_ATOMIC(uint32_t) instrument_count;
    TB_ATOMIC(uint32_t) state; /* enum tb_stream_state */
    TB_ATOMIC(uint32_t) pid;   /* of the last producer; the lock says whether it lives */
    TB_ATOMIC(uint32_t) reserved;
};

TB_STATIC_ASSERT(sizeof(struct tb_slot) == TB_RECORD_BYTES, "a slot is one cache line");
TB_STATIC_ASSERT(sizeof(struct tb_ring_fixed) == 256, "four cache lines");
TB_STATIC_ASSERT(offsetof(struct tb_ring_fixed, epoch) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_ring_fixed, slots_offset) == 32, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_ring_fixed, stream) == 48, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_ring_fixed, pace) == 80, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_ring_live) == 56, "layout");
#ifndef __cplusplus
TB_STATIC_ASSERT(ATOMIC_LLONG_LOCK_FREE == 2, "shared memory needs lock-free words");
#endif

#define TB_RING_LIVE_OFFSET 256
#define TB_RING_INSTRUMENTS_OFFSET 4096
#define TB_RING_SLOTS_OFFSET (TB_RING_INSTRUMENTS_OFFSET + TB_INSTRUMENTS_MAX * 192)
TB_STATIC_ASSERT(TB_RING_SLOTS_OFFSET % 4096 == 0, "slots begin on a page");

/*
 * tb_bus_dir: the directory of bus `bus` (NULL: "default") below `base` (NULL: $TICKBUS_DIR, and if
 * that is not set /dev/shm/tickbus). Does not create it.
 * Errors    -EINVAL a name that tb_name_check refuses; -ENAMETOOLONG
 */
int tb_bus_dir(const char *base, const char *bus, char *out_path, size_t path_bytes,
               struct tb_error *err);

/*
 * tb_directory_make: a bus directory and its parents, mode 0750; /dev/shm/tickbus itself like /tmp,
 * so that several users can have buses there.
 * Errors    -EACCES it is another user's, or anybody may write in it; else of mkdir
 */
int tb_directory_make(const char *path, struct tb_error *err);

/*
 * Which size? A ring is the time that a reader may be away, and the memory that travels between two
 * cores. Where they share a cache, 4 MiB (65,536 slots) are fastest: 1000 M records/s were streamed
 * so, 640 with 256 KiB and 310 with 64 MiB, which goes through main memory. Where they do not, the
 * producer has to take each line back from the reader's cache, and a ring that is larger than the
 * caches is faster, because the lines have left it by then: 252 M/s with 64 MiB (2^20 slots), 136
 * with 4 MiB and less. Latency does not depend on it. Huge pages made no difference to reading in
 * order.
 */
struct tb_writer_options {
    uint64_t capacity; /* slots, a power of two; 0: keep what is there, else TB_CAPACITY_DEFAULT */
    enum tb_pace pace;
    const char *gates[TB_GATES_MAX]; /* gated: names of the readers to wait for */
    size_t gate_count;
    bool new_epoch;       /* begin at 1 in a new file even if the old one could be continued */
    uint64_t after_epoch; /* a ring made anew has a later epoch than this one: the journal's last */
    uint64_t tag;         /* not 0: a ring with another tag is not continued but made anew */
    bool lock_pages;      /* mlock: refused is an error */
    bool huge_pages; /* madvise(MADV_HUGEPAGE): a hint; on tmpfs it needs shmem_enabled=advise */
    /*
     * Called again and again while a gated producer waits; NULL: just wait. Not 0 ends the wait
     * and the publish returns 0. Must not publish.
     */
    int (*on_wait)(void *context);
    void *context;
};

/* Private to the producing process; fields are read-only for callers. One thread. */
struct tb_writer {
    struct tb_slot *slots;
    uint64_t mask;
    tb_seq next_seq;
    tb_seq limit; /* first sequence that may not be published yet; UINT64_MAX when free */
    struct tb_ring_live *live;
    struct tb_ring_fixed *fixed;
    struct tb_instrument *instruments;
    uint64_t epoch;
    tb_seq first_seq; /* of this life */
    /* How tb_writer_publish_many stores: bus/publish.h. */
    void (*write_many)(struct tb_slot *slots, uint64_t mask, tb_seq seq,
                       const struct tb_record *records, size_t count);
    struct tb_writer_private *private_;
};

/*
 * tb_writer_open: become the only producer of a stream: create or continue it.
 * Owns      *out_writer, until tb_writer_close(). A child that is forked meanwhile holds the lock
 *           too, until it calls exec or ends.
 * Errors    -EBUSY   another process produces it; err names its pid
 *           -EINVAL  bad name or options
 *           -ENOSPC  the memory is not there (reserved at once, so a store can not fail later)
 *           other    from the system, named in err
 */
int tb_writer_open(const char *bus_dir, const char *stream, const struct tb_writer_options *options,
                   struct tb_writer *out_writer, struct tb_error *err);

/*
 * tb_writer_close: publish the last housekeeping, set the state, release the lock, unmap. The
 * stream stays readable. Accepts NULL and a writer that was never opened (all zero).
 */
void tb_writer_close(struct tb_writer *w, enum tb_stream_state state);

/* tb_writer_unlink: remove a stream's files (not those of readers). Errors: -EBUSY it has a
 * producer. */
int tb_writer_unlink(const char *bus_dir, const char *stream, struct tb_error *err);

/*
 * tb_writer_add_instrument: append an entry, or find the equal one that is there already.
 * entry->market is ignored and filled in. Returns the id, 1 .. TB_INSTRUMENTS_MAX.
 * Errors    -EINVAL not a fit entry (tb_instrument_check); -ENOSPC the table is full
 */
int tb_writer_add_instrument(struct tb_writer *w, const struct tb_instrument *entry);

/* tb_writer_instrument: the entry of an id given by tb_writer_add_instrument(), or NULL. */
const struct tb_instrument *tb_writer_instrument(const struct tb_writer *w, uint16_t id);

/*
 * tb_writer_wait_for_room: gated only: wait until seq, which is the next, may be published. Returns
 * the first sequence that may not; 0 if on_wait ended the wait. (Of the writer's private part alone:
 * see "In a loop" at tb_writer_publish_words.)
 * tb_writer_room: how many records may surely be published now without waiting; free: UINT64_MAX.
 */
tb_seq tb_writer_wait_for_room(struct tb_writer_private *p, tb_seq seq);
uint64_t tb_writer_room(struct tb_writer *w);

/* tb_writer_has_room: may seq, which is the next, be published? Waits; false if on_wait ended it. */
static inline bool tb_writer_has_room(struct tb_writer *w, tb_seq seq)
{
    if (TB_LIKELY(seq < w->limit))
        return true;
    tb_seq limit = tb_writer_wait_for_room(w->private_, seq);
    if (limit == 0)
        return false;
    w->limit = limit;
    return true;
}

/*
 * tb_record_words: words 1 .. 7 of a slot. The two words that consist of small fields are put
 * together from those fields: a record is mostly published right after its fields were stored, and
 * an 8-byte load of bytes that were just stored one by one has to wait until those stores are in
 * the cache (10 against 2.5 ns a publish). The empty asm keeps the compiler from merging the loads
 * again.
 */
#define TB_KEEP_APART(value) __asm__("" : "+r"(value))
static inline void tb_record_words(uint64_t out_word[TB_SLOT_WORDS], const struct tb_record *record)
{
    uint32_t instrument = record->instrument, type = record->type, flags = record->flags;
    uint32_t delta = record->publish_delta_ns;
    /* A trade's or level's last word; of other types it is one number, and its parts are as
     * good. */
    uint32_t side = record->trade.side, action = record->trade.action, count = record->trade.count;
    uint32_t venue_seq = record->trade.venue_seq;

    tb_slot_load_words(out_word, (const char *)record + sizeof(record->seq));
    TB_KEEP_APART(flags);
    TB_KEEP_APART(delta);
    TB_KEEP_APART(action);
    TB_KEEP_APART(venue_seq);
    out_word[2] = instrument | type << 16 | flags << 24 | (uint64_t)delta << 32;
    out_word[6] = side | action << 8 | count << 16 | (uint64_t)venue_seq << 32;
}

/*
 * tb_slot_own: ask for the line of the slot that is written TB_SLOTS_AHEAD publishes from now. Those
 * who publish many at once do it: read in runs by a core that shares no cache, 138 -> 170 M/s into
 * 4 MiB, 185 -> 278 into 64 MiB. 16 and 64 ahead are much the same, 4 and 128 worse. Where a cache is
 * shared it costs publish_many a quarter (880 -> 660) and records made in place nothing.
 * Single publishes do not: a reader that is close behind, or what its processor fetches ahead for it,
 * takes back what was asked for, and the p50 of a slow stream is 10 ns longer with it (84, not 74).
 */
#define TB_SLOTS_AHEAD 32
static inline void tb_slot_own(const struct tb_slot *slots, uint64_t mask, tb_seq seq)
{
    const struct tb_slot *slot = &slots[(seq + TB_SLOTS_AHEAD) & mask];
#ifdef __x86_64__
    /* gcc makes a prefetch for reading of its builtin if it may not assume PREFETCHW, which every
     * x86-64 executes, older Intels as nothing. */
    __asm__ volatile("prefetchw %0" : : "m"(*slot));
#else
    __builtin_prefetch(slot, 1, 3);
#endif
}

/* tb_word_of_parts: a record's word from its small fields, in registers: see
 * tb_writer_publish_words. */
static inline uint64_t tb_word_of_parts(uint8_t at_0, uint8_t at_1, uint16_t at_2, uint32_t at_4)
{
    return at_0 | (uint64_t)at_1 << 8 | (uint64_t)at_2 << 16 | (uint64_t)at_4 << 32;
}

/*
 * tb_writer_publish_words: append the record whose bytes 8 .. 63 are these seven words, for a
 * producer that has them in registers: nothing is stored but the slot. Word 2 (instrument, type,
 * flags, publish_delta_ns) and a trade's or level's word 6 are made of parts:
 *     word[2] = instrument | (uint64_t)type << 16 | (uint64_t)flags << 24 | (uint64_t)delta << 32
 *     word[6] = tb_word_of_parts(side, action, count, venue_seq)
 * Role, ordering, cost and result as tb_writer_publish.
 *
 * In a loop that does little else, publish by a copy of the writer in a local variable, and put it
 * back at the end:
 *     struct tb_writer local = *w;
 *     while (...)
 *         tb_writer_publish_words(&local, word);
 *     *w = local;
 * The address of such a copy goes nowhere (the functions here that are inline see to that, all
 * others want the writer itself), so the compiler keeps its fields in registers, and a record's
 * stores are followed by those of the next. With any other store between them, such as that of
 * next_seq into *w, fewer lines are on their way from a reader's core at a time. One at a time into
 * 4,096 slots: 400 M/s instead of 185 where the two share a cache, 68 instead of 31 where not.
 */
static inline tb_seq tb_writer_publish_words(struct tb_writer *w,
                                             const uint64_t word[TB_SLOT_WORDS])
{
    tb_seq seq = w->next_seq;
    if (!tb_writer_has_room(w, seq))
        return 0;
    tb_slot_write(&w->slots[seq & w->mask], seq, word);
    w->next_seq = seq + 1;
    return seq;
}

/*
 * tb_writer_publish: append one record. record->seq is ignored.
 * Role      the ring's only producer, one thread
 * Owns      *record is copied; the caller keeps it
 * Ordering  P1 .. P4 of slot.h: whoever sees the sequence sees the whole record
 * Cost      one cache line, no system call; free: never waits
 * Returns   the sequence given to the record; 0 if a gated wait was ended by on_wait
 */
static inline tb_seq tb_writer_publish(struct tb_writer *w, const struct tb_record *record)
{
    uint64_t word[TB_SLOT_WORDS];
    tb_record_words(word, record);
    return tb_writer_publish_words(w, word);
}

/*
 * tb_writer_publish_many: append `count` records. Returns how many were published: all of them,
 * unless a gated wait was ended. Readers see them one by one; nothing is delayed to the end.
 * Cost      half of that of single publishes: what does not change is looked up once, and the words
 *           are moved by stores of 32 bytes, or 16 where there is no AVX2 (slot.h); fewer than four
 *           records go by words
 */
size_t tb_writer_publish_many(struct tb_writer *w, const struct tb_record *records, size_t count);

/*
 * tb_writer_publish_in_place: append `count` records that are made where they are read. For each,
 * its index from 0, fill(context, index, slot) stores words 1 .. 7 (slot->word[0] .. [6], put
 * together as for tb_writer_publish_words) by tb_slot_put and tb_slot_put_pair: each once, or a
 * reader gets what the slot held a lap ago. It returns, and leaves the writer alone.
 * Returns   how many were published, as tb_writer_publish_many. Readers see them one by one
 * Cost      per record no memory is touched but the slot, if the compiler sees fill and inlines it:
 *           of all ways the fastest where cores share a cache (bench/README.md)
 */
typedef void tb_slot_fill_fn(void *context, size_t index, struct tb_slot *slot);
static inline __attribute__((always_inline)) size_t
tb_writer_publish_in_place(struct tb_writer *w, size_t count, tb_slot_fill_fn *fill, void *context)
{
    size_t done = 0;
    while (done < count) {
        tb_seq seq = w->next_seq;
        if (!tb_writer_has_room(w, seq))
            break;
        /* In registers: after each fence the compiler would read them from *w again, a quarter of
         * the time. */
        struct tb_slot *slots = w->slots;
        uint64_t mask = w->mask, room = w->limit - seq;
        tb_seq until = seq + (count - done < room ? count - done : room);
        for (; seq < until; seq++, done++) {
            struct tb_slot *slot = &slots[seq & mask];
            tb_slot_own(slots, mask, seq);
            tb_slot_begin(slot, seq);
            fill(context, done, slot);
            tb_slot_end(slot, seq);
        }
        w->next_seq = seq;
    }
    return done;
}

/*
 * tb_writer_wake: wake the readers that are parked. Call it once after what belongs together was
 * published; spinning readers do not need it. One atomic add; a system call only if someone sleeps.
 */
void tb_writer_wake(struct tb_writer *w);

/* tb_writer_housekeep: publish last_seq, heartbeat and state RUNNING. Every 100 ms or so. */
void tb_writer_housekeep(struct tb_writer *w, tb_ns now);

/*
 * tb_writer_read_back: copy the record seq of this very ring (a restarted producer looks up where
 * it was). False if it is no longer, or not yet, there.
 */
bool tb_writer_read_back(const struct tb_writer *w, tb_seq seq, struct tb_record *out_record);

TB_EXTERN_END

#endif
