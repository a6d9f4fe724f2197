/*
 * What differs between Bybit v5 and OKX v5, seen from a client: names of streams, answers, the
 * shape of books. What they share is in v5.c: requests {"op":..,"args":[..]}, books that begin on
 * the socket.
 */
#ifndef TICKBUS_VENUE_V5_H
#define TICKBUS_VENUE_V5_H

#include <tickbus/book.h>

#include "json.h"
#include "producers/adapter/adapter.h"
#include "protocol.h"

#define V5_IDS_MAX 6
#define V5_ID_BYTES 24
#define V5_BOOK_DEPTH 4000 /* levels kept a side */

struct v5_stream {
    char name[PROTOCOL_STREAM_BYTES]; /* "orderbook.200.BTCUSDT", "books:BTC-USDT" */
    size_t market;
    bool book;
    bool begun; /* a book whose snapshot was played */
    struct tb_book levels;
    char id[V5_IDS_MAX]
           [V5_ID_BYTES]; /* of the last frame: the dialect's ids, as they were written */
};

struct v5_dialect {
    const char *path;   /* of the WebSocket */
    const char *linear; /* of contracts, which are served apart; NULL: they are not */
    struct protocol_rules rules;
    const char *listing;
    const char *rest_book;           /* the book by REST; NULL: it is not served */
    const char *type, *bids, *asks;  /* keys of book frames */
    const char *ids[V5_IDS_MAX + 1]; /* NULL-ended */
    /* A frame's or an argument's stream name, and the raw symbol in it. False: it is no stream. */
    bool (*frame_name)(struct json_span frame, char out[PROTOCOL_STREAM_BYTES]);
    bool (*argument_name)(struct json_span argument, char out[PROTOCOL_STREAM_BYTES]);
    const char *(*symbol)(const char *name); /* NULL: none */
    bool (*is_book)(const char *name);
    /* What a book frame holds of the book. */
    bool (*book_data)(struct json_span frame, struct json_span *out_data);
    /* True if the client's stream is the recorded one, if at another depth. */
    bool (*same_stream)(const char *wanted, const char *recorded);
    void (*agree)(struct protocol_text *out, struct json_span request, struct json_span argument,
                  const char *op);
    /* `again`: it is subscribed to already. */
    void (*refuse)(struct protocol_text *out, struct json_span request, const char *argument,
                   const char *op, bool again);
    unsigned args_max; /* of one request; 0: any */
    bool once;         /* what is subscribed to already is refused */
    bool agrees_each;  /* an answer for each argument, not one for the request */
    bool (*pong)(struct protocol_text *out, struct json_span message);
    void (*list)(struct protocol_text *out, const struct adapter_market_config *m);
    bool (*listed)(const char *query, const struct adapter_market_config *m);
    const char *list_begin, *list_end;
    const char *list_begin_linear; /* of a listing of contracts; NULL: alike */
    /* The stream whose book a query asks for, and the answer. */
    bool (*rest_name)(const char *query, char out[PROTOCOL_STREAM_BYTES]);
    void (*rest_answer)(struct protocol_text *out, const struct v5_stream *s);
    void (*book)(struct protocol_text *out, const struct v5_stream *s,
                 const struct adapter_market_config *m);
};
extern const struct v5_dialect v5_bybit, v5_okx;

/* v5_is_contract: BTC/USDT:USDT and the like. */
bool v5_is_contract(const struct adapter_market_config *m);
/* v5_levels: one side as [["price","size"<more>],..]. */
void v5_levels(struct protocol_text *out, const struct v5_stream *s, uint8_t side,
               const char *more);

#endif
