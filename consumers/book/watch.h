/*
 * One market's order book, followed on its stream. Reads only: no cursor page, no wait file. A book
 * is what a snapshot on the stream and all changes since make of it; where the snapshot has left
 * the ring, the journal has it.
 */
#ifndef TICKBUS_CONSUMERS_WATCH_H
#define TICKBUS_CONSUMERS_WATCH_H

#include <tickbus/book.h>
#include <tickbus/reader.h>

#include "consumers/markets/markets.h"

enum watch_state {
    WATCH_VALID,
    WATCH_NONE, /* no snapshot was seen: what is known, if anything, is a part of the book */
    WATCH_BAD,  /* something was missed since; `why` says what */
};

struct watch {
    struct market market;
    const char *bus_dir, *journal;
    struct tb_reader reader;
    bool open;
    struct tb_book book;
    enum watch_state state;
    char why[80];
    tb_ns since;     /* ts_recv at which it became bad; 0: not known */
    bool has_book;   /* a record of a book was seen */
    bool recorded;   /* a recording plays: its times are of then */
    tb_seq seq;      /* of the last record of the book */
    tb_ns published; /* its publish time */
    uint64_t gaps, missing, lost;
    struct tb_producer producer;
    bool damaged; /* the ring file is: nothing more will come */
    /* Its own ids: 1 ours, 2 another market's, 0 not looked up yet. */
    unsigned char mine[TB_INSTRUMENTS_MAX + 1];
};

/* watch_open: and read what is there. journal: where the journals of all buses are, or NULL. */
int watch_open(struct watch *w, const char *bus_dir, const char *journal, uint32_t depth,
               const struct market *market, struct tb_error *err);
void watch_close(struct watch *w);
/* watch_turn: take what has come. True if anything of this book did. */
bool watch_turn(struct watch *w);

#endif
