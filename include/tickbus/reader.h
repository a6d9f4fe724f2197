/*
 * Reading a stream. Every consumer goes through this: it starts where it is told, reads at its own
 * pace, learns exactly what it lost, and can sleep while nothing comes.
 *
 * A reader maps the ring PROT_READ and believes nothing in it: the header is checked once and
 * copied into private memory, every index is masked, and a file that is cut short under the mapping
 * turns into TB_READ_BROKEN, not into a crash (a SIGBUS handler, installed by open, puts zero
 * pages in the hole; other uses of SIGBUS keep their handler).
 *
 * Invariant: records returned + lost == cursor - first_cursor.
 *
 *   typical loop                                   (error handling left out)
 *
 *     struct tb_reader r;
 *     struct tb_reader_options options = {.from = TB_FROM_OLDEST};
 *     tb_reader_open(dir, "binance", &options, &r, &err);
 *     for (;;) {
 *         struct tb_record tick;
 *         switch (tb_reader_next(&r, &tick)) {
 *         case TB_READ_OK:      use(&tick);                       break;
 *         case TB_READ_EMPTY:   tb_reader_wait(&r, TB_NS_PER_S);  break;
 *         case TB_READ_OVERRUN: lost += tb_reader_resync(&r);     break;
 *         case TB_READ_BROKEN:  return 1;
 *         }
 *     }
 */
#ifndef TICKBUS_READER_H
#define TICKBUS_READER_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>

TB_EXTERN_BEGIN

struct tb_reader;

enum tb_read {
    TB_READ_OK,      /* *out_record is the record at the cursor, which moved by one */
    TB_READ_EMPTY,   /* not published yet, or half written: look again */
    TB_READ_OVERRUN, /* overwritten: call tb_reader_resync() */
    TB_READ_BROKEN,  /* the ring file was cut short or is damaged: close, and open again if you
                      * like */
    TB_READ_EPOCH,   /* with a journal only: the cursor is in another epoch now, r->epoch; read
                      * on */
};

enum tb_from {
    /* The oldest record that is surely there: while its producer lives, a full ring's oldest 64th
     * is left out, because it may be gone before the first read. */
    TB_FROM_OLDEST = 0,
    TB_FROM_NEWEST = 1, /* the next record to be published */
    TB_FROM_SEQ = 2,    /* options.seq; if it is gone, the first read says TB_READ_OVERRUN */
    /* The first record published at or after options.time; newest if there is none. Found by
     * halving: where the clock was set back in between, one of the places that fit. */
    TB_FROM_TIME = 3,
};

/*
 * What a reader does while nothing is at its cursor (tb_reader_wait). The one thing that costs
 * throughput between two cores is a reader that looks at the line which the producer is about to
 * write: each look takes it away. It costs least latency, too. So there is a choice:
 *   PARK   the default. Sleeps on the stream's event count; no CPU while idle. Before it sleeps it
 *          looks for up to 5 us if that was worth it the last times, and for 0.5 us if it was not:
 *          a fast stream is read without system calls on either side, a slow one costs nothing.
 *   YIELD  sched_yield between looks, for ever.
 *   SPIN   looks without a break, for ever: the lowest latency, for a pinned core of its own.
 *   BATCH  the highest throughput, for a core of its own while records come: keeps away from the
 *          producer until a whole run is there, some 50 us at most, and parks when nothing comes.
 *          tb_reader_run(r, max) then gives `max` records (or those up to the array's end), and
 *          fewer only after tb_reader_wait() has waited for more in vain, or after 64 refusals, for
 *          those who do not call it, or when the producer said that it is through.
 *          tb_reader_next and tb_reader_read give what is there.
 */
enum tb_wait_policy {
    TB_WAIT_PARK = 0,
    TB_WAIT_YIELD = 1,
    TB_WAIT_SPIN = 2,
    TB_WAIT_BATCH = 3,
};

struct tb_reader_options {
    enum tb_from from;
    tb_seq seq;       /* with TB_FROM_SEQ */
    const char *name; /* not NULL: keep a cursor page under this name (gates, stat) */
    enum tb_wait_policy wait;
    tb_ns time;          /* with TB_FROM_TIME */
    const char *journal; /* not NULL: where the journals of all buses are,
                            * <journal>/<bus>/<stream> */
    uint64_t epoch;      /* with TB_FROM_SEQ and a journal: the epoch of seq; 0: the newest */
};

#define TB_CURSOR_MAGIC UINT64_C(0x31525543424b5400)
#define TB_CURSOR_LAYOUT 1

/* A reader's own page, <stream>.<reader>.cursor: written by that reader alone. The file has 4096
 * bytes. LAYOUT.md has the order of the stores when a page is made. */
struct tb_cursor_page {
    uint64_t magic;
    uint32_t layout;
    TB_ATOMIC(uint32_t) pid;
    char stream[TB_STREAM_BYTES];
    char reader[TB_STREAM_BYTES];
    TB_ATOMIC(uint32_t) wait; /* enum tb_wait_policy */
    TB_ATOMIC(uint32_t) reserved;
    TB_ATOMIC(uint64_t) epoch;
    TB_ATOMIC(uint64_t) cursor; /* next sequence it reads; may trail */
    TB_ATOMIC(uint64_t)
    needed;                       /* oldest sequence that it may still want to read again: the gate;
                                   * counts only together with the ring's own epoch */
    TB_ATOMIC(uint64_t) lost;     /* records lost to overruns, in all its lives */
    TB_ATOMIC(uint64_t) overruns; /* how often it was lapped */
    TB_ATOMIC(int64_t) heartbeat; /* wall clock, ns */
    TB_ATOMIC(uint64_t) durable;  /* journals: last sequence that is on disk; else 0 */
};
TB_STATIC_ASSERT(offsetof(struct tb_cursor_page, wait) == 80, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_cursor_page, needed) == 104, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_cursor_page) == 144, "layout");

/*
 * With options.journal the reader knows a second place for the same records, the stream's journal
 * (journal.h), and moves between the two by itself: what has left the ring is read from disk, and
 * when that has caught up the reader is on the ring again, with no gap and no repeat. Then
 *   - TB_READ_OVERRUN means that neither has them, or that the journal is damaged there: resync
 *     counts exactly what is lost, and tb_reader_loss says why;
 *   - a position is (epoch, sequence), and epochs are read one after the other: where the next one
 *     begins, a read says TB_READ_EPOCH once; r->epoch is the new one then, and ids of instruments
 *     mean what they mean there. tb_reader_retired stays false: the reader follows by itself (in
 *     tb_reader_read and tb_reader_wait; who calls neither must look himself);
 *   - a stream whose ring is gone is read from its journal, and joins the ring when one is made;
 *   - TB_READ_EMPTY may also mean that the journal has not written yet what the ring has given up.
 *     If nothing comes to it for ten seconds (two, if it has nothing of that epoch), that counts as
 *     lost; where the ring is of a later epoch, the earlier one is over after two.
 */

/* Fields are read-only for callers. One thread. */
struct tb_reader {
    const struct tb_slot *slots;
    uint64_t mask;
    tb_seq cursor;
    uint64_t lost;
    uint64_t overruns;
    uint64_t epoch;
    uint64_t capacity;
    tb_seq first_cursor;
    const struct tb_ring_live *live;
    const struct tb_instrument *instruments;
    const volatile int *broken; /* set by the SIGBUS handler */
    struct tb_reader_private *private_;
};

/*
 * tb_reader_open: map a stream, the cursor where options say.
 * Owns      *out_reader, until tb_reader_close()
 * Errors    -ENOENT  no such stream yet
 *           -EPROTO  another magic, layout or record size; err names both versions
 *           -EBADMSG a header that contradicts itself or the file's size
 *           -EACCES  the file is neither ours, nor root's, nor shared with a group of ours
 *           -EINVAL  a name that tb_name_check refuses, or no such place
 *           -EBUSY   another process reads under this name; err names its pid
 *           -ERANGE  FROM_SEQ with a sequence that is not published yet by more than a capacity
 */
int tb_reader_open(const char *bus_dir, const char *stream, const struct tb_reader_options *options,
                   struct tb_reader *out_reader, struct tb_error *err);

/* tb_reader_close: unmap, and remove the cursor page unless keep_cursor. Accepts NULL and all
 * zero. */
void tb_reader_close(struct tb_reader *r, bool keep_cursor);

/* tb_reader_turn: the rest of tb_reader_next when the cursor's slot was given to another record. */
enum tb_read tb_reader_turn(struct tb_reader *r, struct tb_record *out_record)
    __attribute__((cold));

/* tb_reader_next: one record. Cost: one cache line. */
static inline enum tb_read tb_reader_next(struct tb_reader *r, struct tb_record *out_record)
{
    tb_seq seq = r->cursor;
    uint64_t word[TB_SLOT_WORDS];
    switch (tb_slot_read(&r->slots[seq & r->mask], seq, word)) {
    case TB_SLOT_OK:
        break;
    case TB_SLOT_LAPPED:
        return tb_reader_turn(r, out_record);
    case TB_SLOT_EMPTY:
    default:
        return TB_UNLIKELY(*r->broken) ? TB_READ_BROKEN : TB_READ_EMPTY;
    }
    /* Not asked whether it is broken: a mapping that was cut short is all zero (mapping_guard.c),
     * so R4 found no s there. */
    out_record->seq = seq;
    tb_slot_store_words((char *)out_record + sizeof(out_record->seq), word);
    r->cursor = seq + 1;
    return TB_READ_OK;
}

/*
 * tb_reader_read: up to `max` records. Returns how many; *out_end says why it stopped (TB_READ_OK
 * if at max). An overrun after some records is reported by the next call.
 */
size_t tb_reader_read(struct tb_reader *r, struct tb_record *out_records, size_t max,
                      enum tb_read *out_end);

/*
 * tb_reader_run: records in place: *out_run points at up to `max` consecutive slots from the
 * cursor, all of them published. Returns how many. Use the words (word 1..7 are the record's bytes
 * 8..63, by relaxed loads, or tb_slot_copy), then call tb_reader_confirm(): only if it returns true
 * was everything you read from the run what the producer wrote. confirm moves the cursor by `count`
 * when true.
 * Cost      while whole runs are there, one look at the last slot and one at the first, whatever
 *           `max` is
 */
size_t tb_reader_run(struct tb_reader *r, size_t max, const struct tb_slot **out_run,
                     enum tb_read *out_end);
bool tb_reader_confirm(struct tb_reader *r, size_t count);

/*
 * tb_reader_resync: after TB_READ_OVERRUN: move the cursor to a place that is surely there and not
 * about to go (three quarters of a capacity behind the newest; with a journal: behind what neither
 * has). Returns how many records were lost; 0, and nothing is moved, if the reader was not lapped.
 */
uint64_t tb_reader_resync(struct tb_reader *r);

/* tb_reader_newest: the last complete sequence now, 0 if there is none. Looks at slots: exact. */
tb_seq tb_reader_newest(const struct tb_reader *r);

/*
 * tb_reader_oldest: the oldest sequence that is still complete now (it may be gone right after); 1
 * if there is none yet.
 */
tb_seq tb_reader_oldest(const struct tb_reader *r);

/* tb_reader_seek: put the cursor on seq (any value); first_cursor moves along, nothing counts as
 * lost. */
void tb_reader_seek(struct tb_reader *r, tb_seq seq);

/* tb_reader_go: the same into any epoch; with a journal. 0, or -ENOTSUP without one. */
int tb_reader_go(struct tb_reader *r, uint64_t epoch, tb_seq seq);

/* tb_reader_loss: why the last resync lost something: a line for a person. Never NULL. */
const char *tb_reader_loss(const struct tb_reader *r);

/*
 * tb_reader_catching_up: is the cursor in the journal now? tb_reader_from_journal: how many records
 * came from there so far.
 */
bool tb_reader_catching_up(const struct tb_reader *r);
uint64_t tb_reader_from_journal(const struct tb_reader *r);

/* tb_reader_instrument: the checked entry of an id, in memory of this reader; NULL if there is
 * none. */
const struct tb_instrument *tb_reader_instrument(struct tb_reader *r, uint16_t id);
uint16_t tb_reader_instrument_count(struct tb_reader *r);

/*
 * tb_reader_release: in the cursor page, declare that nothing before `needed` will be read again,
 * so that a gated producer may overwrite it. Publishes cursor, lost and heartbeat as well. Without
 * a cursor page it does nothing.
 */
void tb_reader_release(struct tb_reader *r, tb_seq needed, tb_ns now);

/* tb_reader_durable: journals: in the cursor page, the last sequence that is on disk. */
void tb_reader_durable(struct tb_reader *r, tb_seq durable);

/* tb_reader_durable_before: what the page said of this epoch when this reader was opened; 0:
 * nothing. */
tb_seq tb_reader_durable_before(const struct tb_reader *r);

struct tb_producer {
    bool alive;                 /* the kernel says so: the lock is held */
    enum tb_stream_state state; /* as last stored; RUNNING and not alive: it crashed */
    uint32_t pid;
    tb_ns started;
    tb_ns heartbeat;
    uint64_t lives;
};

/* tb_reader_producer: who produces this stream, and is it alive? */
void tb_reader_producer(const struct tb_reader *r, struct tb_producer *out_producer);

/*
 * tb_reader_done: the producer said it is complete, and the cursor is behind its last record. A
 * later life may still continue the stream.
 */
bool tb_reader_done(const struct tb_reader *r);

/*
 * tb_reader_retired: the stream was made anew (another epoch, another file) or removed. What the
 * old file holds is complete: read until TB_READ_EMPTY, then close and open again.
 */
bool tb_reader_retired(const struct tb_reader *r);

/*
 * tb_reader_wait: wait, by the reader's policy, until something is at the cursor, or timeout_ns
 * passed. tb_readers_wait: the same for any of several readers (parked: one futex_waitv); they wait
 * as the most eager of them does (spin, yield, park; BATCH parks here). Both may return early for
 * any reason. A producer's tb_writer_wake() ends a parked wait. Who can not park (may not write the
 * .wait file, reads from the journal, has more than 128 readers) looks every 200 us to 1 ms
 * instead.
 */
void tb_reader_wait(struct tb_reader *r, tb_ns timeout_ns);
void tb_readers_wait(struct tb_reader *const *readers, size_t count, tb_ns timeout_ns);

/*
 * tb_bus_find: as tb_bus_dir, for tools: the directory of a bus that is there. With bus NULL and no
 * bus "default", the only bus below base is taken.
 * Errors    -ENOENT there is none; err names those that are; others as tb_bus_dir
 */
int tb_bus_find(const char *base, const char *bus, char *out_path, size_t path_bytes,
                struct tb_error *err);

/*
 * Looking around, for tools. tb_bus_list calls `each` for every file of the bus directory whose
 * name ends in `suffix` (".ring", ".stats", ".cursor"), with the name less the suffix, sorted.
 * Stops at the first call that returns not 0, and returns that.
 */
int tb_bus_list(const char *bus_dir, const char *suffix,
                int (*each)(const char *name, void *context), void *context, struct tb_error *err);

/* A copy of a cursor page and whether its reader is alive. Errors as tb_reader_open. */
struct tb_cursor_info {
    bool alive;
    uint32_t pid;
    char stream[TB_STREAM_BYTES];
    char reader[TB_STREAM_BYTES];
    uint32_t wait;
    uint64_t epoch, cursor, needed, lost, overruns, durable;
    tb_ns heartbeat;
};
int tb_cursor_inspect(const char *bus_dir, const char *file_name, struct tb_cursor_info *out_info,
                      struct tb_error *err);

TB_EXTERN_END

#endif
