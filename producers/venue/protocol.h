/*
 * The boundary between the server, which knows sockets, and a venue's protocol, which knows what
 * clients may ask, which recorded frame is whose, and what the venue's REST interface answers.
 * A protocol has no sockets and no clock: the server hands it paths, messages and played events.
 */
#ifndef TICKBUS_VENUE_PROTOCOL_H
#define TICKBUS_VENUE_PROTOCOL_H

#include <tickbus/base.h>

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
void protocol_printf(struct protocol_text *t, const char *format, ...) TB_PRINTF(2, 3);
/* protocol_end_message: what follows is another message (of an answer to a client; by a NUL between). */
void protocol_end_message(struct protocol_text *t);
void protocol_text_free(struct protocol_text *t);

/* What a protocol keeps of one WebSocket client; zeroed by the server. */
struct protocol_client {
    uint64_t on[PROTOCOL_STREAMS_MAX / 64]; /* subscribed streams, by number */
    unsigned subscriptions;
    bool combined; /* frames are sent in their wrapper */
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
};

struct protocol; /* opaque */

struct protocol_ops {
    const char *const *venues; /* NULL-ended */
    /* Reads the whole recording once (symbols, exponents, snapshots) and rewinds it. */
    struct protocol *(*create)(const char *venue, struct session *session, struct tb_error *err);
    void (*destroy)(struct protocol *p);

    /* A client wants to connect to this path; query is "name=value&..." decoded. 0, or an HTTP status. */
    int (*connect)(struct protocol *p, struct protocol_client *c, const char *path,
                   const char *query);
    void (*disconnect)(struct protocol *p, struct protocol_client *c);
    /* A client's message: the answer, or several, is appended to out_answer. 0, or a close code. */
    int (*message)(struct protocol *p, struct protocol_client *c, const char *bytes, size_t length,
                   struct protocol_text *out_answer);

    /* A recorded WebSocket message: which stream is it? 0, or -ENOENT: it is nobody's. */
    int (*frame)(struct protocol *p, const struct capture_event *event,
                 struct protocol_frame *out_frame);
    /* An event was played (sent to all subscribers): books follow. */
    void (*played)(struct protocol *p, const struct capture_event *event,
                   const struct protocol_frame *frame);
    /* Should the clock be held before this event, because a client has yet to ask for what it holds? */
    bool (*awaited)(struct protocol *p, const struct capture_event *event);

    /* GET: appends the body, returns the HTTP status. */
    int (*get)(struct protocol *p, const char *path, const char *query, tb_ns now,
               struct protocol_text *out_body);
};

extern const struct protocol_ops protocol_binance, protocol_bybit, protocol_coinbase, protocol_okx;

/* protocol_find: by ccxt venue id; NULL if there is none. */
const struct protocol_ops *protocol_find(const char *venue);
/* protocol_names: all there are, " binance binanceus ..". Returns `out`. */
const char *protocol_names(char *out, size_t bytes);

#endif
