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

struct subscriptions {
    struct adapter *a;
    const char *id_key; /* "id", "req_id" */
    unsigned args_max;  /* of one request */
    unsigned
        requests_max; /* sent on one connection after the first round; then: a new connection */
    /* One argument of a request, as JSON. Its length; as snprintf. */
    int (*argument)(const struct adapter *a, const struct adapter_market *m,
                    enum adapter_channel channel, char *out, size_t capacity);
    uint32_t last_request;
    unsigned sent; /* requests of this connection, after the first round */
};

/* subscriptions_fit: all arguments together have at most so many bytes; a recording asks for
 * nothing. 0 or -E2BIG. */
int subscriptions_fit(const struct subscriptions *s, size_t bytes_max, struct tb_error *err);

/* subscriptions_reset: a new connection: nothing is asked for yet. */
void subscriptions_reset(struct subscriptions *s);
/* subscriptions_text: as adapter_ops.subscribe. */
int subscriptions_text(struct subscriptions *s, unsigned index, char *out, size_t capacity);

/* subscriptions_item: by its number, from 0 on; NULL: there are no more. */
struct adapter_subscription *subscriptions_item(const struct subscriptions *s, size_t item);
/* subscriptions_find: the item, as adapter_subscription() counts them; SUBSCRIPTION_NONE: not
 * ours. */
size_t subscriptions_find(const struct subscriptions *s, const struct adapter_market *m,
                          enum adapter_channel channel);
/* subscriptions_agreed_all: those of a request; one: adapter_answered(). */
void subscriptions_agreed_all(struct subscriptions *s, uint32_t request);
/*
 * subscriptions_refused: a request was, because of `item`; SUBSCRIPTION_NONE: it is not said which.
 * The others of the request that have not agreed may have been refused with it: they are asked for
 * again, each alone if it is not known which one it was.
 */
void subscriptions_refused(struct subscriptions *s, uint32_t request, size_t item, tb_ns ts_recv);
/* subscriptions_look: deadlines. An answer that is overdue asks for a reconnection; a book that was
 * agreed to, and has no snapshot, is asked for again. */
void subscriptions_look(struct subscriptions *s, tb_ns now);
/* subscriptions_book_text: as adapter.book_request, for adapter_book_ask. */
int subscriptions_book_text(struct subscriptions *s, const struct adapter_market *m, bool subscribe,
                            char *out, size_t capacity);

#endif
