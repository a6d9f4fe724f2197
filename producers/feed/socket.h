/*
 * One WebSocket client connection: connect (TLS verified, host name checked, SNI), whole messages
 * out of fragments, text messages in, pings, close. Everything happens in net_loop_turn; the
 * handler is called from there, and from socket_connect when that fails at once.
 */
#ifndef TICKBUS_FEED_SOCKET_H
#define TICKBUS_FEED_SOCKET_H

#include "producers/net/loop.h"

#define SOCKET_FRAME_MAX (16U << 20)
#define SOCKET_URL_BYTES 512

struct socket_handler {
    void *context;
    void (*opened)(void *context);
    /* One whole message, with ADAPTER_PADDING readable bytes behind it. A longer one than
     * SOCKET_FRAME_MAX comes cut off there. */
    void (*frame)(void *context, const char *bytes, size_t length, tb_ns ts_recv);
    /* The connection is gone, or did not come about. code: the peer's close code; 1006: there was
     * none. */
    void (*closed)(void *context, int code, const char *why);
};

struct socket_url {
    bool tls;
    int port;
    char host[256];
    char path[SOCKET_URL_BYTES]; /* without a slash at the end: "" for none */
};

/* What all connections of a process share. */
struct sockets {
    struct net_loop *loop;
    struct lws_vhost *vhost;
};

struct socket {
    struct sockets *set;
    struct socket_handler handler;
    struct lws *wsi; /* NULL: no connection, nor one in the making */
    bool open;
    int fd; /* while open */
    char *message;
    size_t length, overflow;
    tb_ns arrived;   /* of the first byte that waited at the last socket_look; 0: not known */
    tb_ns ts_recv;   /* of the first fragment of the message that is being read */
    tb_ns last_mono; /* when anything was last heard */
    int close_code;
    char why[160];
    unsigned char *send; /* LWS_PRE bytes, then the message that waits to be sent */
    size_t send_length;
    bool ping_wanted;
    uint64_t bytes, frames, oversized;
    uint64_t stamped; /* frames whose time of receipt is the kernel's */
};

/* socket_url_parse: ws:// or wss://. 0 or -EINVAL, with what would be right in err. */
int socket_url_parse(const char *text, struct socket_url *out_url, struct tb_error *err);

/* sockets_init: the loop's context. sockets_fini: with all that is connected; before
 * socket_fini. */
int sockets_init(struct sockets *set, struct net_loop *loop, const char *ca_file,
                 struct tb_error *err);
void sockets_fini(struct sockets *set);

int socket_init(struct socket *s, struct sockets *set, const struct socket_handler *handler,
                struct tb_error *err);
/* socket_fini: its memory; nothing is connected any more. */
void socket_fini(struct socket *s);

/*
 * socket_look: before each net_loop_turn: ask the kernel when what waits to be read arrived (its
 * software time stamp, CLOCK_REALTIME). Frames read in that turn are stamped with it; without one
 * with our clock when they are read. libwebsockets reads by recv() and SSL_read(), which give no
 * control messages, and has no place to read for it: so the first byte is looked at without being
 * taken (MSG_PEEK), which serves TCP and TLS alike. A turn reads at most what fits into one buffer:
 * its frames have one time, that of the first.
 */
void socket_look(struct socket *s);

/* socket_connect: to url.path + path. The outcome comes through the handler. */
void socket_connect(struct socket *s, const struct socket_url *url, const char *path);
/* socket_send: one text message. -EAGAIN: the last one has not gone yet. */
int socket_send(struct socket *s, const char *text, size_t length);
void socket_ping(struct socket *s);
/* socket_close: end it; calls `closed` with this reason. Not from within the handler. */
void socket_close(struct socket *s, const char *why);
/* socket_forget: end it, and say nothing of it to anyone. */
void socket_forget(struct socket *s);

#endif
