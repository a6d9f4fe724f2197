/*
 * The boundary between the server, which knows sockets, and a venue's protocol, which knows what
 * clients may ask, which recorded frame is whose, and what the venue's REST interface answers.
 * A protocol has no sockets and no clock: the server hands it paths, messages and played events.
 */
#ifndef TICKBUS_VENUE_PROTOCOL_H
#define TICKBUS_VENUE_PROTOCOL_H

#include <tickbus/base.h>

#include <tickbus/book.h>

#include "json.h"
#include "producers/adapter/adapter.h"
#include "session.h"

/* Distinct stream names, recorded ones and those that clients ask for in vain. */
#define PROTOCOL_STREAMS_MAX 8192
#define PROTOCOL_STREAM_BYTES 64

/* A text that grows: answers to clients. One allocation, reused or freed by its owner. */
struct protocol_text {
    char *text;
    size_t length, capacity;
    bool failed; /* there was no memory: the text is incomplete */
};
void protocol_append(struct protocol_text *t, const void *bytes, size_t count);
void protocol_put(struct protocol_text *t, const char *text);
/* protocol_span: a piece of JSON, quotes and all. */
void protocol_span(struct protocol_text *t, struct json_span span);
/* protocol_printf: at most 511 bytes at once. */
void protocol_printf(struct protocol_text *t, const char *format, ...) TB_PRINTF(2, 3);
/* protocol_end_message: what follows, if anything, is another message (a NUL stands between). */
void protocol_end_message(struct protocol_text *t);
void protocol_text_free(struct protocol_text *t);

/* What a protocol keeps of one WebSocket client; zeroed by the server. */
struct protocol_client {
    uint64_t on[PROTOCOL_STREAMS_MAX / 64]; /* subscribed streams, by number */
    unsigned subscriptions;
    bool combined;     /* frames are sent in their wrapper; Kraken: of v2 */
    bool beats;        /* heartbeats are wanted */
    uint64_t sequence; /* of the next message, where the venue numbers them */
};

static inline bool protocol_subscribed(const struct protocol_client *c, uint32_t stream)
{
    return (c->on[stream / 64] >> (stream % 64) & 1) != 0;
}

/* A recorded frame, as the server sends it to subscribers of `stream`. */
struct protocol_frame {
    uint32_t stream;
    const char *combined, *bare; /* NULL: this recording does not have it in that form */
    size_t combined_length, bare_length;
    bool binary; /* of bytes, not of text */
};

/* What a venue does not put up with, and what it does of itself. 0: no such rule. */
struct protocol_rules {
    unsigned messages; /* of one connection, in `messages_per` */
    tb_ns messages_per;
    const char *counted; /* only messages that hold this text; NULL: all */
    int close_code;      /* beyond them: with `refusal` as its reason; 0: `refusal` is the answer */
    const char *refusal;
    size_t message_bytes; /* of one message; a longer one: closed with 1008 */
    unsigned connects;    /* of one address, in `connects_per`; beyond them: HTTP 429 */
    tb_ns connects_per;
    tb_ns ping_every, pong_timeout; /* WebSocket pings of the venue */
    tb_ns subscribe_within;         /* of connecting; then closed with idle_code */
    tb_ns idle;                     /* nothing read or sent for so long: the same */
    int idle_code;
};

struct protocol; /* opaque */

struct protocol_ops {
    const char *const *venues; /* NULL-ended */
    const struct protocol_rules *(*rules)(const struct protocol *p);
    /* The recording's markets. */
    const struct adapter_market_config *(*markets)(const struct protocol *p, size_t *out_count);
    /* Reads the whole recording once (symbols, exponents, snapshots) and rewinds it. */
    struct protocol *(*create)(const char *venue, struct session *session, struct tb_error *err);
    void (*destroy)(struct protocol *p);

    /* A client wants to connect to this path; query is "name=value&..." decoded. 0, or an HTTP
     * status. */
    int (*connect)(struct protocol *p, struct protocol_client *c, const char *path,
                   const char *query);
    void (*disconnect)(struct protocol *p, struct protocol_client *c);
    /* What the venue says of itself: on a new connection, and each second. NULL: nothing. */
    void (*greet)(struct protocol *p, struct protocol_client *c, struct protocol_text *out);
    void (*beat)(struct protocol *p, struct protocol_client *c, tb_ns now,
                 struct protocol_text *out);
    /* A client's message: the answer, or several, is appended to out_answer. 0, or a close code. */
    int (*message)(struct protocol *p, struct protocol_client *c, const char *bytes, size_t length,
                   tb_ns now, struct protocol_text *out_answer);
    /* Every message to a client, as this client is sent it: numbered. NULL: as it is. */
    void (*write)(struct protocol *p, struct protocol_client *c, const char *text, size_t length,
                  struct protocol_text *out);

    /* A recorded WebSocket message: which stream is it? 0, or -ENOENT: it is nobody's. */
    int (*frame)(struct protocol *p, const struct capture_event *event,
                 struct protocol_frame *out_frame);
    /* An event was played (sent to all subscribers): books follow. */
    void (*played)(struct protocol *p, const struct capture_event *event,
                   const struct protocol_frame *frame);
    /* Should the clock be held before this event, because a client has yet to ask for what it
     * holds? */
    bool (*awaited)(struct protocol *p, const struct capture_event *event);

    /* GET: appends the body, returns the HTTP status. */
    int (*get)(struct protocol *p, const char *path, const char *query, tb_ns now,
               struct protocol_text *out_body);
};

extern const struct protocol_ops protocol_binance, protocol_bybit, protocol_coinbase,
    protocol_coinbaseexchange, protocol_kraken, protocol_mexc, protocol_okx;

/* ---- what protocols have in common ---- */

/* protocol_switch: a client's subscription; false if it was so already. */
bool protocol_switch(struct protocol_client *c, uint32_t stream, bool on);
/* protocol_query: the value of `name` in "a=1&b=2"; false if it is not there. */
bool protocol_query(const char *query, const char *name, struct json_span *out_value);
/* protocol_scan: the markets of a recording, and whatever else its adapter sees; then rewound. */
int protocol_scan(const char *venue, struct session *s, struct adapter_market_config *markets,
                  size_t *out_count);
/* protocol_unreadable: why `create` failed, for its caller. */
void protocol_unreadable(const char *venue, int rc, struct tb_error *err);
/* protocol_set_levels: [["price","size",..],..] into a book of these exponents. The number of
 * levels. */
uint32_t protocol_set_levels(struct tb_book *book, uint8_t side, struct json_span levels);
/* protocol_step: 0.001 of -3, 100 of 2, without quotes. */
void protocol_step(struct protocol_text *t, int exp);
/* protocol_time: RFC 3339, UTC, with microseconds. */
void protocol_time(struct protocol_text *t, tb_ns time);
/* protocol_base: BTC/USDT:USDT is of the base BTC and the quote USDT. Lengths; the quote's
 * begin. */
int protocol_base(const struct adapter_market_config *m);
const char *protocol_quote(const struct adapter_market_config *m, int *out_length);

/* protocol_find: by ccxt venue id; NULL if there is none. */
const struct protocol_ops *protocol_find(const char *venue);
/* protocol_names: all there are, " binance binanceus ..". Returns `out`. */
const char *protocol_names(char *out, size_t bytes);

#endif
