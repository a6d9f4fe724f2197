/*
 * The venue's sockets: one listener for WebSocket and REST. A client's frames wait in a queue of
 * bounded size; server_room says whether every subscriber has room, and the player waits until it
 * is so: nothing is ever dropped, nothing grows.
 */
#ifndef TICKBUS_VENUE_SERVER_H
#define TICKBUS_VENUE_SERVER_H

#include "producers/net/loop.h"
#include "protocol.h"

#define SERVER_CLIENTS_MAX 64
#define SERVER_CONNECTS_MAX 512 /* that a venue's rule may count */

struct faultplay;
struct client;

struct server_options {
    const char *host;
    int64_t port; /* 0: any */
    const char *certificate, *key;
    tb_ns ping_every, pong_timeout; /* 0: the venue's */
    bool limits;                    /* clients are held to the venue's limits */
};

struct server_counts {
    uint64_t frames, bytes, connects, requests, messages, refused, unheard;
};

struct server {
    struct server_options options;
    const struct protocol_ops *ops;
    struct protocol *protocol;
    const struct protocol_rules *rules;
    struct net_loop *loop;
    struct lws_vhost *vhost;
    struct client *clients; /* established WebSocket clients */
    unsigned client_count;
    unsigned http_count;  /* REST answers under way */
    bool finishing;       /* close every client with 1000 once its queue is empty */
    tb_ns refuse_until;   /* until then every new connection is closed at once */
    uint64_t last_client; /* its id */
    tb_ns last_gone;      /* when the last client went; was it told that the recording is
                               * over? */
    bool last_told;
    tb_ns connect_mono[SERVER_CONNECTS_MAX]; /* when the last ones connected */
    uint64_t connect_count;
    struct protocol_text personal; /* a message in one client's form */
    struct faultplay *faults;      /* may be set by the owner: what goes wrong with requests */
    struct server_counts counts;
};

/* server_open: listen. `protocol` and `loop` stay the caller's. 0 or -errno. */
int server_open(struct server *s, const struct server_options *options,
                const struct protocol_ops *ops, struct protocol *protocol, struct net_loop *loop,
                struct tb_error *err);
void server_close(struct server *s);
int server_port(const struct server *s);

/* server_subscriptions: over all clients. */
unsigned server_subscriptions(const struct server *s);
/* server_room: can this frame be queued for all its subscribers? */
bool server_room(const struct server *s, const struct protocol_frame *frame);
/*
 * server_send: do it. With `through` each subscriber's message, as it would get it, is handed there
 * instead, and what is to become of it is server_put's (nothing, if the client has gone meanwhile).
 */
typedef void server_through(void *context, uint64_t client, const char *bytes, size_t length,
                            bool binary);
void server_send(struct server *s, const struct protocol_frame *frame, server_through *through,
                 void *context);
void server_put(struct server *s, uint64_t client, const char *bytes, size_t length, bool binary);
/* server_queue: an answer, numbered if the venue numbers. 0, -ENOMEM, -ENOBUFS: longer than
 * `most`. */
int server_queue(struct server *s, struct client *c, const char *text, size_t length, bool binary,
                 size_t most);
/* server_finish: the recording is over. */
void server_finish(struct server *s);
/* server_housekeep: pings, and clients that do not answer them. */
void server_housekeep(struct server *s, tb_ns mono);

/* ---- what a fault script does to the subscribers of a stream ---- */

bool server_has_subscriber(const struct server *s, uint32_t stream);
/* server_disconnect: with a close frame of this code; 0: the connection is reset (RST) at once. */
void server_disconnect(struct server *s, uint32_t stream, int code, const char *reason);
/* server_silence: the sockets stay open; nothing is sent, read or answered. Frames meanwhile are
 * lost. */
void server_silence(struct server *s, uint32_t stream, tb_ns until);
/* server_slow: so many bytes a second. */
void server_slow(struct server *s, uint32_t stream, int64_t rate, tb_ns until);
void server_pings(struct server *s, uint32_t stream, unsigned count);
void server_refuse(struct server *s, tb_ns until);
/* server_tick: ends silence and slowness when it is time; true while there is any. */
bool server_tick(struct server *s, tb_ns mono);

#endif
