/*
 * A venue's order book and its adapter's under any sequence of faults: the input says what changes
 * at the venue, and which of its frames come, twice, late, cut or not at all, when it sends
 * snapshots and of when, when the connection ends. Whenever the adapter holds its book for valid,
 * the venue had that very book at that very update. fuzz_book_<venue>.c writes the venue's frames;
 * fuzz_book.c does the rest.
 */
#ifndef TICKBUS_TESTS_FUZZ_BOOK_H
#define TICKBUS_TESTS_FUZZ_BOOK_H

#include "fuzz_adapter.h"

#define BOOK_LEVELS 6 /* a side: bids at 99 and below, asks at 101 and above */
#define BOOK_FRAME_BYTES 2048

enum { BOOK_BIDS, BOOK_ASKS };

struct book_state {
    uint64_t id;                  /* of the update that made it */
    uint8_t size[2][BOOK_LEVELS]; /* 0: no such level */
};

struct book_change {
    uint64_t id, before; /* its update's, and the last one's */
    int side;            /* -1: every level, a snapshot */
    int level;
    const struct book_state *state; /* after it */
};

/* Text or bytes being written; what does not fit is a bug of the target. */
struct book_text {
    char bytes[BOOK_FRAME_BYTES];
    size_t length;
};
void put(struct book_text *t, const char *text);
void put_number(struct book_text *t, uint64_t number);

/*
 * put_side: the levels of one side that a change is about: before, price, between, size, behind;
 * `comma` between two; the tails (".0") are added to price and size. Returns how many.
 */
struct book_words {
    const char *before, *between, *behind, *comma;
    const char *price_tail, *size_tail;
};
int put_side(struct book_text *t, const struct book_change *c, int side,
             const struct book_words *words);

/* put_sides: both, as lists with these names: "b":[..],"a":[..]; in book_quoted a level is ["1","2"]. */
void put_sides(struct book_text *t, const struct book_change *c, const char *bids, const char *asks,
               const struct book_words *words);
extern const struct book_words book_quoted;

/* put_rest_book: as Binance answers, and MEXC; `between` stands behind the id. */
void put_rest_book(struct book_text *t, const struct book_change *c, const char *between);

struct book_venue {
    struct fuzz_venue of;
    /* What the venue sends of a change or a snapshot; and answers, where there is a request for
     * one. */
    void (*frame)(struct book_text *t, const struct book_change *c);
    void (*answer)(struct book_text *t, const struct book_change *c); /* NULL: none */
    bool has_snapshots;                                               /* as frames */
    uint64_t step_max;  /* an update's id is above the last one's by up to this */
    bool counts_frames; /* ids number the frames of a connection, from 0 */
    bool has_ids;       /* else any state that the venue has had will do */
    bool is_blind;      /* the venue gives no way to see that a change is missing */
};

int fuzz_book(const struct book_venue *v, const uint8_t *bytes, size_t count);

#endif
