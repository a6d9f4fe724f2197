/*
 * One connection of the venue's server, WebSocket or REST, and its queue. Between server.c, which
 * has libwebsockets' events, server_rest.c and server_faults.c; nobody else needs it.
 */
#ifndef TICKBUS_VENUE_CLIENT_H
#define TICKBUS_VENUE_CLIENT_H

#include "server.h"

#define CLIENT_QUEUE_BYTES (256U << 10) /* of frames */
#define CLIENT_MESSAGE_MAX 65536        /* of a client; the most that any venue takes */
#define CLIENT_URL_BYTES 16384          /* /stream?streams=... of many symbols */

struct client {
    struct lws *wsi;
    struct client *next;
    uint64_t id; /* from 1, never used again */
    struct protocol_client protocol;
    bool listed; /* an established WebSocket, in the server's list */
    char *queue;
    size_t capacity, head, tail;
    int close_code; /* not 0: close so, once the queue is empty */
    bool close_sent;
    const char *close_text;
    tb_ns ping_next, pong_due, beat_next;
    tb_ns begun, last; /* the connection; the last message, either way */
    unsigned pings_wanted;
    tb_ns silent_until;          /* of a fault script; 0: not silent */
    tb_ns slow_until, slow_next; /* the same; the next write is not before slow_next */
    int64_t slow_rate;           /* bytes a second */
    tb_ns window_start;
    unsigned window_messages;
    char message[CLIENT_MESSAGE_MAX];
    size_t message_length;
    struct protocol_text body; /* REST: LWS_PRE bytes, then the body */
    size_t sent;
    bool answering;
};

/* client_room: a queue may hold one message of any size, or CLIENT_QUEUE_BYTES of them. */
bool client_room(const struct client *c, size_t length);
/* client_add: 0; -ENOMEM; -ENOBUFS: the queue would be longer than `most`. */
int client_add(struct client *c, const char *bytes, size_t length, bool binary, size_t most);
/* client_peek: the first message, with LWS_PRE writable bytes before it; NULL: none. client_drop:
 * it was sent. */
unsigned char *client_peek(struct client *c, size_t *out_length, bool *out_binary);
void client_drop(struct client *c);
/* client_close: once all is sent. The first reason counts. */
void client_close(struct client *c, int code, const char *text);
/* client_url: path and decoded query of a request. False: too long. */
bool client_url(struct lws *wsi, char *path, size_t path_bytes, char *query, size_t query_bytes);

/* server_rest.c: libwebsockets' events of a REST connection. 0, or -1: close it. */
int server_rest_request(struct server *s, struct client *c, struct lws *wsi);
int server_rest_writable(struct server *s, struct client *c);
void server_rest_end(struct server *s, struct client *c);

static inline bool client_listens(const struct client *c, uint32_t stream)
{
    return protocol_subscribed(&c->protocol, stream) && c->close_code == 0;
}

#endif
