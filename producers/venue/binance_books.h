/*
 * What Binance's depth endpoint answers while a recording plays: per symbol the recorded snapshot
 * and the venue's own book, which is that snapshot plus the depth frames played so far.
 *
 * A client that subscribed before anything beyond the recorded snapshot was played gets, once, that
 * very snapshot (it is `owed`, up to its place in the recording): the client has every later frame,
 * so its book goes exactly the way the recorder's went. Every other request is answered from the
 * book as it stands, lastUpdateId being the last `u` played, which joins the frames that follow.
 */
#ifndef TICKBUS_VENUE_BINANCE_BOOKS_H
#define TICKBUS_VENUE_BINANCE_BOOKS_H

#include <tickbus/book.h>

#include "json.h"
#include "producers/adapter/adapter.h"
#include "protocol.h"

/* Levels kept a side: the whole of what any recording here has; the worst go first beyond it. */
#define BINANCE_BOOK_DEPTH 20000
#define BINANCE_LIMIT_MAX 5000

struct binance_symbol {
    struct adapter_market_config market;
    unsigned digits; /* after the point, in every number: 8 for spot; 0: as many as there are */
    bool timed;      /* its depth answers have E and T (futures) */
    uint64_t time;   /* E of the last depth frame, ms */
    struct tb_book book;
    uint64_t book_id; /* lastUpdateId of `book` */
    char *snapshot;   /* the recorded answer; NULL if there is none */
    size_t snapshot_length;
    uint64_t snapshot_id;
    uint32_t snapshot_levels; /* of its longer side */
    uint32_t listeners;       /* clients subscribed to its depth stream */
    uint32_t owed;            /* of those: how many have the recorded snapshot still to come */
};

/* binance_books_snapshot: a recorded depth answer, first seen in the scan. 0, -EBADMSG or
 * -ENOMEM. */
int binance_books_snapshot(struct binance_symbol *s, const char *body, size_t length);
/* binance_books_first: a depth frame of the scan; where there is no snapshot, the book begins
 * there. */
void binance_books_first(struct binance_symbol *s, struct json_span data);
/*
 * The same in parts, for a venue whose frames are no JSON: binance_books_begins where there is no
 * snapshot; and, if binance_books_moves to `last` (it is not older than the book), each level.
 */
void binance_books_begins(struct binance_symbol *s, uint64_t first);
bool binance_books_moves(struct binance_symbol *s, uint64_t last);
void binance_books_level(struct binance_symbol *s, uint8_t side, struct json_span price,
                         struct json_span size);
/* binance_books_update: a depth frame was played. binance_books_resync: a recorded answer's
 * place. */
void binance_books_update(struct binance_symbol *s, struct json_span data);
void binance_books_resync(struct binance_symbol *s, const char *body, size_t length);

void binance_books_listen(struct binance_symbol *s);
void binance_books_leave(struct binance_symbol *s);
/* binance_books_awaited: is some client's request for the recorded snapshot still to come? */
bool binance_books_awaited(const struct binance_symbol *s);

/* binance_books_answer: the body for GET /api/v3/depth. */
void binance_books_answer(struct binance_symbol *s, uint32_t limit, struct protocol_text *out_body);
void binance_books_fini(struct binance_symbol *s);

/* binance_books_number: a decimal in quotes, padded to so many digits after the point. */
void binance_books_number(struct protocol_text *t, int64_t mantissa, int exp, unsigned digits);

#endif
