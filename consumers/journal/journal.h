/*
 * What a segment must begin with: the books of a stream's markets at that place, kept by applying
 * every record that the journal took, and written down as the records that make them again. No I/O.
 */
#ifndef TICKBUS_CONSUMERS_JOURNAL_H
#define TICKBUS_CONSUMERS_JOURNAL_H

#include <tickbus/book.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>

struct journal_market {
    struct tb_book book; /* no levels allocated: nothing about its book was seen yet */
    tb_ns ts_recv;       /* of the last record */
    tb_ns ts_event;
};

struct journal_books {
    uint32_t depth;
    /* By id of the first entry of the market; allocated when it is first needed. */
    struct journal_market *market[TB_INSTRUMENTS_MAX + 1];
    const struct tb_instrument *(*instrument)(void *context, uint16_t id);
    uint16_t (*instrument_count)(void *context);
    void *context;
    uint64_t refused; /* records of markets for which there was no memory */
};

void journal_books_init(struct journal_books *books, uint32_t depth);
void journal_books_fini(struct journal_books *books);
/* Records are missing: no book is to be believed. */
void journal_books_invalidate(struct journal_books *books);
/* Another epoch: another instrument table. */
void journal_books_forget(struct journal_books *books);

void journal_books_apply(struct journal_books *books, const struct tb_record *record);

/*
 * The records that make the present state again: for each valid book TB_CLEAR and its levels,
 * F_SNAPSHOT, the last F_LAST; at the end the one book (if any) whose snapshot is under way,
 * without F_LAST, so that the records that follow complete it. Returns how many; out NULL: only
 * counts.
 */
size_t journal_books_state(const struct journal_books *books, struct tb_record *out);

#endif
