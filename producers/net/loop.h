/*
 * The event loop below feed and venue: libwebsockets drives its sockets and timers on a libuv loop,
 * and the loop is one file descriptor that the service skeleton waits on (svc->wake_fd). Nothing
 * here ever blocks: net_loop_turn does what is due and returns.
 */
#ifndef TICKBUS_PRODUCERS_NET_LOOP_H
#define TICKBUS_PRODUCERS_NET_LOOP_H

#include <libwebsockets.h>
#include <uv.h>

#include <tickbus/base.h>

struct net_loop {
    uv_loop_t uv;
    void *foreign[1];            /* what libwebsockets wants: one loop per service thread */
    struct lws_context *context; /* the one there is; set to NULL by its end */
    bool open;
};

/* net_loop_init: 0 or -errno. net_loop_fini accepts all zero; every user has let go before. */
int net_loop_init(struct net_loop *loop);
void net_loop_fini(struct net_loop *loop);

/* net_loop_context: what every lws context here has in common, to be filled up by the caller. One a
 * loop. */
void net_loop_context(struct net_loop *loop, unsigned fd_max,
                      struct lws_context_creation_info *out);
/* net_loop_destroy: end the context and let its handles close. Accepts that there is none. */
void net_loop_destroy(struct net_loop *loop);

/* net_loop_fd: readable when something is to be done. net_loop_turn: do it, without waiting. */
int net_loop_fd(const struct net_loop *loop);
void net_loop_turn(struct net_loop *loop);
/* net_loop_idle: how long one may wait on the descriptor, at most `most`. */
tb_ns net_loop_idle(const struct net_loop *loop, tb_ns most);

#endif
