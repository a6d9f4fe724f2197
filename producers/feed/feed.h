/*
 * A feed: one venue's market data, from its sockets onto one stream.
 *
 *   LISTING     the venue's listing is asked for over REST until it comes: symbols, exponents
 *   WAITING     the next attempt to connect is due later (backoff)
 *   CONNECTING  TCP, TLS, WebSocket upgrade
 *   LIVE        subscribed: frames go through the adapter onto the ring, REST answers too. Before
 *               the venue ends the connection a next one is made beside it (link.c)
 *   COMPLETE    finite feeds: the venue closed with 1000; REST answers under way are still taken
 *   REFUSED     a symbol that the venue does not list: a person must act
 */
#ifndef TICKBUS_FEED_H
#define TICKBUS_FEED_H

#include <tickbus/control.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "backoff.h"
#include "kept.h"
#include "listing.h"
#include "outbox.h"
#include "producers/adapter/adapter.h"
#include "rest.h"
#include "socket.h"

enum feed_state {
    FEED_LISTING,
    FEED_WAITING,
    FEED_CONNECTING,
    FEED_LIVE,
    FEED_COMPLETE,
    FEED_REFUSED,
};

enum feed_trades { FEED_TRADES_SINGLE, FEED_TRADES_AGGREGATED };

#define FEED_CONNECTS 3

struct feed_options {
    const char *venue;
    struct tb_list symbols, channels;
    int trades; /* enum feed_trades */
    const char *url, *rest_url, *ca_file, *cache;
    int64_t book_depth;
    bool finite;
    tb_ns connect_timeout, rest_timeout, backoff_first, backoff_most, silence, connection_life;
};

/* One connection: the live one, or the next, which takes over from it. */
struct feed_link {
    struct feed *feed;
    struct socket socket;
    unsigned message; /* next subscription message; UINT32_MAX: all have gone */
    tb_ns message_due;
    unsigned sent, answers; /* the next one's: subscription messages and the venue's answers */
    tb_ns answered;         /* when the last one came */
};

struct feed {
    struct feed_options options;

    struct tb_service *svc;
    const struct adapter_ops *ops;
    struct adapter *adapter; /* NULL until the listing has come */
    struct socket_url url;
    struct net_loop loop;
    struct sockets sockets;
    struct feed_link link[2];
    unsigned live; /* which of them is; the other is the next, if there is one */
    struct rest rest;
    struct tb_control control;
    int wake_fd; /* epoll: the descriptors of the loop, of curl, of control */

    enum feed_state state;
    struct backoff backoff;
    tb_ns mono;                      /* of this turn */
    tb_ns state_since;               /* monotonic */
    tb_ns next_attempt;              /* LISTING and WAITING */
    tb_ns connect_at[FEED_CONNECTS]; /* monotonic: the last so many attempts, in turn */
    uint64_t connect_count;
    bool asked;           /* for the listing: a request is under way */
    bool asked_all;       /* it is for all that the venue has */
    bool list_all;        /* LISTING: the venue did not know all names: look at all it has */
    size_t list_kind;     /* of adapter_ops.listing_kinds: the one that is asked for then */
    struct listing kinds; /* those that came */
    struct listing_file listing_file;
    struct listing cached; /* LISTING: the copy on disk */
    tb_ns listing_taken;   /* wall clock: what we go by; 0: nothing yet */
    tb_ns listing_due;     /* it is the copy: when to ask again. INT64_MAX: it is the venue's own */
    struct outbox outbox;  /* what goes after the subscriptions */
    tb_ns own_ping_due;    /* of the venue's own kind; INT64_MAX: it wants none */
    tb_ns look_due;        /* the adapter's deadlines */
    tb_ns ping_sent;       /* 0: nothing is being probed */
    tb_ns life_end;        /* when to make the next connection; INT64_MAX: never */
    tb_ns next_since;      /* when it was begun */
    bool next_full;        /* it sent more than can be kept */
    struct kept kept;      /* what it sent so far */
    const char *reconnect_why; /* the adapter asked for it, in this turn */
    bool stopping;             /* a publish was given up */

    struct adapter_market_config *market; /* as resolved */
    size_t market_count;

    unsigned busy_turns;
    uint32_t refused_count; /* subscriptions that the venue refused on this connection */
    struct tb_log_limit refused_log;
    char refused[TB_SYMBOL_BYTES + 16]; /* the first of them: "BTC/USDT trades" */
    uint32_t pid;                       /* ours, in status records */
    uint64_t published, connects, disconnects, refused_connects, handovers;
    bool published_in_turn;
    struct tb_stats_histogram *latency; /* socket to published, per frame */
};

/* feed.c: changes of state; retry: LISTING or WAITING, with one line that says why. */
void feed_enter(struct feed *f, enum feed_state state);
void feed_retry(struct feed *f, enum feed_state state, const char *what, const char *why);
int feed_publish(void *context, struct tb_record *records, size_t count);

/* link.c: the connection, and the one that takes over from it before the venue ends it. */
int feed_link_init(struct feed *f, struct feed_link *link, struct tb_error *err);
void feed_connect(struct feed *f);
void feed_live_turn(struct feed *f);
/* feed_live_due: when the next message goes, or the next deadline is looked at. */
tb_ns feed_live_due(const struct feed *f);
uint64_t feed_frames(const struct feed *f);

static inline struct feed_link *feed_live(struct feed *f)
{
    return &f->link[f->live];
}

static inline struct feed_link *feed_next(struct feed *f)
{
    return &f->link[!f->live];
}

/* request.c: what an operator asks; as tb_control_turn wants it. */
void feed_request(void *context, const char *request, char answer[TB_CONTROL_BYTES]);

/* resolve.c: which markets a listing says are ours. feed_read_listing: out of an answer, and keep a
 * copy. */
int feed_choose(struct feed *f, const struct listing *l);
int feed_read_listing(struct feed *f, const char *body, size_t length, struct listing *out);
void feed_load_listing(struct feed *f);
bool feed_wants_all(const struct feed *f);
/* feed_well: connected. What is still not as it should be, or nothing, becomes the state. */
void feed_well(struct feed *f);

/* feed_open: sockets and buffers. feed_close accepts all zero. 0 or -errno, reason in err. */
int feed_open(struct feed *f, struct tb_service *svc, struct tb_error *err);
void feed_close(struct feed *f);
/* feed_output: the stream is open. 0 or -errno. */
int feed_output(struct feed *f);
/* feed_turn: one turn of the loop. As tb_service_ops.poll; -EINVAL: refused. */
int feed_turn(struct feed *f);

/* feed_channels: as adapter bits; *out_unknown is a name that is none, or NULL. */
unsigned feed_channels(const struct feed_options *o, const char **out_unknown);

#endif
