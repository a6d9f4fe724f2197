/*
 * Records to rows: what tickbus-persist stores, without a database. Pure: no clock, no file, no log.
 * All of it is the reading thread's; the rows leave by a queue (rows.h). writer.h is the thread at its
 * other end; store.h commits the rows through a sink (sink.h); main.c is the wiring.
 *
 * Which records make rows
 *   TB_TRADE    one trades_stream row
 *   candles     one ohlcv_data row for each completed candle; the forming one is kept, and stored at
 *               drain (`forming: drain`) or once per second of stream time as well (`forming: live`)
 *   levels      go into the market's book; the first complete event of each interval of stream time
 *               (ts_event, else ts_recv) at which the book is valid makes a snapshot, one row a level
 *   TB_ALERT    one alerts row
 *   TB_GAP      one gaps row; so does an overrun of our own (reason "overrun", channel "input")
 *
 * Exactly once. A row's `position` is 2 * seq of the record that completed it, or 2 * seq + 1 if it
 * was made by a drain after that record. The rows that an input makes are a function of that input's
 * records (and drains) alone, so a position says once and for all whether a row is stored. The sink
 * keeps, in the transaction that stores the rows, the position up to which everything is stored, per
 * (stream, epoch). That one decides; a checkpoint (our state, and the skeleton's cursors) is taken while
 * rows of before it still wait, but becomes the one to go on from, and lets go what is upstream, only
 * after the commit that covers it. For each record then:
 *
 *   it changes the state  if its seq     is above `state_seq` (what the restored state has seen)
 *   it makes rows         if its position is above `stored`   (what the database has)
 *
 *   after kill -9: checkpoint C, database D >= C   records C+1..D change the state only
 *   no checkpoint (bus remade, first start)        the ring from its oldest record, rows above D only;
 *                                                  what the ring has lost since D is a gap row
 *   database behind the checkpoint (deleted,       back to D, or the ring's oldest; records up to C
 *     restored from a backup)                      make rows but no snapshots: their books are gone
 *   new epoch                                      another (stream, epoch): everything from its start;
 *                                                  first the old epoch's rows are committed
 *   drained, killed before the last checkpoint     D is odd: the drain is repeated on the restored
 *                                                  state when record D is met, without storing
 *   one database for several buses                 an epoch is a creation time in ns: (stream, epoch)
 *                                                  is one stream's life, on whichever bus
 *   two persisters on one database, one stream     both look at the position inside the transaction;
 *                                                  each row is stored by whoever comes first
 *
 * Rows that waited in memory, handed over or not, die with the process: their records are above D, and no
 * checkpoint is, so they are read again.
 *
 * Memory: rows, markets and books are allocated by persist_init; nothing after it.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_H
#define TICKBUS_CONSUMERS_PERSIST_H

#include <tickbus/base.h>
#include <tickbus/book.h>
#include <tickbus/candle.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#include "consumers/persist/rows.h"

#define PERSIST_INPUTS_MAX 8
#define PERSIST_DEPTH_MAX 1000 /* levels a side in one snapshot */
#define PERSIST_IDS 1025       /* instrument ids 0 .. 1024 */
/* The most rows that one record can make: a snapshot, a row for records lost before it. */
#define PERSIST_ROWS_OF_RECORD(depth_levels) (2 * (size_t)(depth_levels) + 2)
#define PERSIST_CHECKPOINT_VERSION 1
#define PERSIST_CHECKPOINT_BYTES ((size_t)512 << 20) /* address space: see checkpoint.h */

enum persist_forming { PERSIST_FORMING_OFF, PERSIST_FORMING_DRAIN, PERSIST_FORMING_LIVE };

struct persist_market {
    char venue[TB_VENUE_BYTES]; /* "" of the stream as a whole, market 0 */
    char symbol[TB_SYMBOL_BYTES];
    char label[TB_LABEL_BYTES];
    uint16_t first_id; /* struct tb_instrument.market */
    int16_t book;      /* index into persist.book, or -1 */
    uint8_t forming;   /* bit per timeframe: frame[] has a candle that is not stored yet */
    tb_ns bucket;      /* of the last snapshot; INT64_MIN: none yet */
    tb_seq book_seq;   /* of the last complete event of the valid book */
    tb_seq snapshot_seq;
    struct {
        struct tb_candle candle;
        tb_ns bucket; /* of the last live row */
        int8_t price_exp, size_exp;
    } frame[TB_TIMEFRAMES];
};

/* What is known of an instrument id: looked up once. */
struct persist_id {
    uint16_t market; /* index + 1; 0: not looked up */
    int8_t price_exp, size_exp;
};

struct persist_input {
    char stream[TB_STREAM_BYTES];
    uint64_t epoch;
    bool attached; /* in this epoch, in this life: else all of this was restored, or is nothing */
    tb_seq taken;  /* last record given to persist_take, or lost; 0 none */
    tb_seq state_seq; /* last record that the state has seen */
    uint64_t stored;  /* position that the database had when the input was matched with it */
    uint64_t told;    /* up to here the queue says everything: by rows, or a mark */
    uint64_t lost_from, lost_to; /* an overrun whose gap row is still to be made; 0 none */
    tb_ns lost_time;
    struct tb_record prices; /* first half of a candle; seq 0: none */
    uint32_t market_count;   /* at least 1: market 0 is the stream as a whole */
    struct persist_market *market;
    struct persist_id *id;
};

/* Looks an instrument up; NULL if the stream's table has no fit entry. */
typedef const struct tb_instrument *persist_lookup(void *context, unsigned input, uint16_t id);

struct persist_config {
    uint32_t depth_levels; /* a side, in a snapshot; 0: no snapshots */
    uint32_t book_depth;   /* levels a side that a book keeps */
    uint32_t books;        /* markets whose book can be kept */
    tb_ns snapshot_every;
    enum persist_forming forming;
    size_t buffer_rows; /* that can wait in the queue */
    persist_lookup *lookup;
    void *context;
};

struct persist {
    struct persist_config config;
    unsigned input_count;
    struct persist_input input[PERSIST_INPUTS_MAX];
    struct tb_book *book;
    bool *book_used;
    struct persist_row *scratch; /* rows of one record, or of one market's drain */
    struct persist_rows rows;
    uint64_t made[PERSIST_KINDS]; /* rows made in this life */
    uint64_t unusable; /* records without an instrument, halves of candles: passed over */
    uint64_t bookless; /* level records of markets beyond config.books */
};

/* persist_init: allocates all, for inputs of these names. 0, -EINVAL (limits that contradict each other)
 * or -ENOMEM. */
int persist_init(struct persist *p, const struct persist_config *config, const char *const *streams,
                 unsigned inputs);
void persist_fini(struct persist *p);

/*
 * persist_attach: input i is in this epoch, of which the database has everything up to position
 * `stored`. State restored for the same epoch stays; else the input begins empty. All rows
 * of the input's former epoch are stored.
 */
void persist_attach(struct persist *p, unsigned i, uint64_t epoch, uint64_t stored);

/* persist_resume: where reading should begin so that no row is missed; *out_seek is false if `cursor`
 * (where the skeleton would begin) is right. Losses are noted, as by persist_lost, with time `now`. */
tb_seq persist_resume(struct persist *p, unsigned i, tb_seq cursor, tb_seq oldest, tb_ns now,
                      bool *out_seek);

/* persist_take: one record, in order. False, and nothing is changed, if the queue has no room for it. */
bool persist_take(struct persist *p, unsigned i, const struct tb_record *record);

/* persist_lost: records from..to of input i will never come. Books wait for their next snapshot. */
void persist_lost(struct persist *p, unsigned i, tb_seq from, tb_seq to, tb_ns now);

/* persist_settle: make the rows for lost records that are still to be made. False: no room. */
bool persist_settle(struct persist *p, unsigned i);

/* persist_position: what the database has of input i once all that was made of it is stored. */
uint64_t persist_position(const struct persist *p, unsigned i);

/* persist_waits: is there anything that was not handed over? */
bool persist_waits(const struct persist *p);

/* persist_hand_over: give the writer all rows, and marks where records made none. False: there was no room
 * for a mark, or for a row about lost records: they come with a later one. */
bool persist_hand_over(struct persist *p);

/*
 * A drain stores, after all waiting rows and in one transaction with the cursors, the last snapshot of
 * each book that changed since its last one, and the forming candles. persist_drain_rows gives the rows
 * of one market, in p->scratch; persist_drained says that input i's were stored.
 */
size_t persist_drain_rows(struct persist *p, unsigned i, uint32_t market);
void persist_drained(struct persist *p, unsigned i);

/* The state for a checkpoint. persist_load: 0, or -EBADMSG (nothing is restored then). Inputs are known
 * again by their names: one that is new, or gone, does not touch the others. */
size_t persist_save_size(const struct persist *p);
size_t persist_save(const struct persist *p, void *bytes, size_t capacity);
int persist_load(struct persist *p, const void *bytes, size_t count);

#endif
