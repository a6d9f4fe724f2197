/*
 * What was subscribed to, and whether the venue agreed, for venues whose requests look like
 *
 *   {"id":"7","op":"subscribe","args":[..,..]}        ("req_id" at Bybit)
 *
 * One subscription is one channel of one market. Each is asked for, in batches, after connecting;
 * each answer, or the first data, settles it; one that is not settled in time makes the connection
 * useless. A request that is refused because of one argument is asked again without it.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_SUBSCRIPTION_H
#define TICKBUS_PRODUCERS_ADAPTER_SUBSCRIPTION_H

#include "producers/adapter/market.h"

#define SUBSCRIPTION_NONE SIZE_MAX

/* What differs between these venues. */
struct subscription_rule {
    const char *id_key;    /* "id", "req_id" */
    unsigned args_max;     /* of one request */
    size_t args_bytes_max; /* of all arguments together, on one connection */
    unsigned
        requests_max; /* sent on one connection after the first round; then: a new connection */
    /* One argument of a request, as JSON. Its length; as snprintf. */
    int (*argument)(const struct adapter *a, const struct adapter_market *m,
                    enum adapter_channel channel, char *out, size_t capacity);
    /* What the family knows of a connection: there is another, or none. May be NULL. */
    void (*forget)(struct adapter *a);
};

/* The first member of the family's struct. */
struct subscription_adapter {
    struct adapter core;
    const struct subscription_rule *rule;
    uint32_t last_request;
    unsigned sent; /* requests of this connection, after the first round */
};

/* subscriptions_begin: in adapter_shape.begin, when all that `argument` needs is set; its book_request is
 * set too. -E2BIG: the arguments have too many bytes for one connection; a recording asks for nothing. */
int subscriptions_begin(struct adapter *a, const struct subscription_rule *rule,
                        struct tb_error *err);

/* adapter_ops.subscribe, on_connect, on_disconnect and on_time. A deadline that is missed asks for a
 * reconnection; a book that was agreed to, and has no snapshot, is asked for again. */
int subscriptions_text(struct adapter *a, unsigned index, char *out, size_t capacity);
void subscriptions_on_connect(struct adapter *a, tb_ns ts_recv);
void subscriptions_on_disconnect(struct adapter *a, tb_ns ts_recv, int code,
                                 enum tb_gap_reason reason);
void subscriptions_on_time(struct adapter *a, tb_ns now);

/* subscriptions_item: by its number, from 0 on; NULL: there are no more. */
struct adapter_subscription *subscriptions_item(const struct adapter *a, size_t item);
/* subscriptions_find: the item, as adapter_subscription() counts them; SUBSCRIPTION_NONE: not
 * ours. */
size_t subscriptions_find(const struct adapter *a, const struct adapter_market *m,
                          enum adapter_channel channel);
/* subscriptions_agreed_all: those of a request; one: adapter_answered(). */
void subscriptions_agreed_all(struct adapter *a, uint32_t request);
/*
 * subscriptions_refused: a request was, because of `item`; SUBSCRIPTION_NONE: it is not said which.
 * The others of the request that have not agreed may have been refused with it: they are asked for
 * again, each alone if it is not known which one it was.
 */
void subscriptions_refused(struct adapter *a, uint32_t request, size_t item, tb_ns ts_recv);

#endif
