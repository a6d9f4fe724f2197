/*
 * One order book: price levels of both sides, kept sorted, in memory given once. Used by feeds (to
 * sync and check), by venue (to serve snapshots), and by every consumer that needs depth.
 *
 * Sides are arrays sorted with the best level LAST, so that the many changes near the top move few
 * levels. A side that is full drops its worst level (counted in `dropped`): it does not come back
 * when there is room again, and a producer that drops one publishes no record of it. Below the
 * depth of a venue's snapshot there is only what has changed since. An overrun or another epoch
 * makes a book invalid as a gap does: call tb_book_clear(). Snapshots come when a producer syncs
 * its book, not from time to time.
 */
#ifndef TICKBUS_BOOK_H
#define TICKBUS_BOOK_H

#include <tickbus/base.h>
#include <tickbus/record.h>

TB_EXTERN_BEGIN

struct tb_book_level {
    int64_t price;
    int64_t size;
};

struct tb_book_side {
    struct tb_book_level *level; /* [0] worst .. [count-1] best */
    uint32_t count;
    uint32_t capacity;
};

struct tb_book {
    struct tb_book_side bid;
    struct tb_book_side ask;
    int8_t price_exp; /* of the mantissas inside */
    int8_t size_exp;
    bool valid;         /* a snapshot is complete and nothing was missed since */
    bool in_event;      /* between the first record of an event and its F_LAST */
    bool in_snapshot;   /* from a TB_CLEAR with F_SNAPSHOT to the F_LAST that completes it */
    uint64_t update_id; /* of the last record applied */
    tb_ns ts_event;     /* of the last complete event */
    tb_ns ts_recv;
    uint64_t dropped;
};

/* tb_book_init: depth levels a side; allocates. 0 or -ENOMEM. tb_book_fini accepts all zero. */
int tb_book_init(struct tb_book *book, uint32_t depth);
void tb_book_fini(struct tb_book *book);

/* tb_book_clear: no levels, not valid, update_id 0. */
void tb_book_clear(struct tb_book *book);

/*
 * tb_book_set: side, price is now size (0 removes). Returns TB_ADD, TB_MODIFY, TB_REMOVE, or
 * TB_NO_ACTION (removal of a level that is not there: normal).
 */
uint8_t tb_book_set(struct tb_book *book, uint8_t side, int64_t price, int64_t size);

/* tb_book_cut: only the best `depth` levels of each side stay. */
void tb_book_cut(struct tb_book *book, uint32_t depth);

/*
 * tb_book_apply: a record of the bus, of this book's instrument, whose exponents are price_exp and
 * size_exp (the book rescales itself to finer ones). Handles TB_LEVEL, TB_CLEAR, TB_GAP on the book
 * channel and TB_STATUS_UNSYNCED; others are ignored.
 * A gap or UNSYNCED makes the book invalid; only a whole snapshot, TB_CLEAR with F_SNAPSHOT up to
 * its F_LAST, makes it valid again, and only if that last record does not carry F_MAYBE_BAD_BOOK.
 * Returns true when an event is complete and the book is valid and consistent: look at it now.
 */
bool tb_book_apply(struct tb_book *book, const struct tb_record *record, int8_t price_exp,
                   int8_t size_exp);

/* tb_book_best: rank 0 is the best. NULL if there are not that many levels. */
const struct tb_book_level *tb_book_best(const struct tb_book *book, uint8_t side, uint32_t rank);

/* tb_book_crossed: best bid >= best ask. */
bool tb_book_crossed(const struct tb_book *book);

/*
 * tb_book_save, tb_book_load: the book as bytes for a checkpoint, levels in use only. save returns
 * the bytes written, 0 if `capacity` is too small; load returns the bytes used, 0 if they are no
 * book or do not fit this book's depth.
 */
size_t tb_book_save(const struct tb_book *book, void *bytes, size_t capacity);
size_t tb_book_load(struct tb_book *book, const void *bytes, size_t count);
/* tb_book_save_max: the most that tb_book_save writes for this depth. */
size_t tb_book_save_max(uint32_t depth);

TB_EXTERN_END

#endif
