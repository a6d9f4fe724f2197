#include "producers/adapter/subscription.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ARGUMENT_BYTES 160

static struct subscription_adapter *self_of(struct adapter *a)
{
    return (struct subscription_adapter *)a;
}

static const struct subscription_rule *rule_of(const struct adapter *a)
{
    return ((const struct subscription_adapter *)a)->rule;
}

struct adapter_subscription *subscriptions_item(const struct adapter *a, size_t item)
{
    const struct adapter_market *m;
    unsigned channel = adapter_subscription(a, item, &m);
    return channel == 0 ? NULL : adapter_subscription_of(&a->market[m->index], channel);
}

static int put_argument(const struct adapter *a, size_t item, char *out, size_t capacity)
{
    const struct adapter_market *m;
    unsigned channel = adapter_subscription(a, item, &m);
    return channel == 0 ? -ENOENT
                        : rule_of(a)->argument(a, m, (enum adapter_channel)channel, out, capacity);
}

/* All arguments of one connection. */
static int fit(const struct adapter *a, struct tb_error *err)
{
    char argument[ARGUMENT_BYTES];
    size_t sum = 0;
    int length;
    for (size_t i = 0; (length = put_argument(a, i, argument, sizeof(argument))) >= 0; i++)
        sum += (size_t)length + 1;
    if (sum <= rule_of(a)->args_bytes_max || a->config.recorded)
        return 0;
    return tb_fail(err, -E2BIG,
                   "%zu symbols are too many for one connection of %s: their subscriptions have "
                   "%zu characters, %zu are allowed",
                   a->market_count, a->venue, sum, rule_of(a)->args_bytes_max);
}

/* Nothing is asked for. */
static void reset(struct adapter *a)
{
    adapter_unsubscribed(a);
    self_of(a)->sent = 0;
}

/* And the family knows nothing of a connection. */
static void forget(struct adapter *a)
{
    reset(a);
    if (rule_of(a)->forget != NULL)
        rule_of(a)->forget(a);
}

/* ---- requests ---- */

struct request {
    char *out;
    size_t capacity;
    size_t used;
    unsigned args;
};

static int request_begin(const struct adapter *a, struct request *r, const char *op,
                         uint32_t number)
{
    int length = snprintf(r->out, r->capacity, "{\"%s\":\"%u\",\"op\":\"%s\",\"args\":[",
                          rule_of(a)->id_key, number, op);
    r->used = (size_t)length;
    return (size_t)length + 3 <= r->capacity ? 0 : -ENOSPC;
}

/* False: no more fit into this one. */
static bool request_add(const struct adapter *a, struct request *r, size_t item)
{
    char argument[ARGUMENT_BYTES];
    int put = put_argument(a, item, argument, sizeof(argument));
    size_t length = (size_t)put;
    if (put < 0 || r->args == rule_of(a)->args_max || length >= sizeof(argument) ||
        r->used + length + 4 > r->capacity) /* comma, "]}", NUL */
        return false;
    if (r->args++ > 0)
        r->out[r->used++] = ',';
    memcpy(r->out + r->used, argument, length);
    r->used += length;
    return true;
}

static int request_end(struct request *r)
{
    memcpy(r->out + r->used, "]}", 3);
    return (int)r->used + 2;
}

static void mark_asked(struct adapter *a, size_t item, uint32_t request, tb_ns due)
{
    *subscriptions_item(a, item) = (struct adapter_subscription){ADAPTER_ASKED, request, due};
}

/* Message by message from the first on: what fits into one depends on the names in it. */
int subscriptions_text(struct adapter *a, unsigned index, char *out, size_t capacity)
{
    size_t next = 0;
    for (unsigned at = 0; subscriptions_item(a, next) != NULL; at++) {
        struct request r = {.out = out, .capacity = capacity};
        size_t first = next;
        if (request_begin(a, &r, "subscribe", at + 1) != 0)
            return -ENOSPC;
        while (request_add(a, &r, next))
            next++;
        if (next == first)
            return -ENOSPC;
        if (at < index)
            continue;
        for (size_t i = first; i < next; i++)
            mark_asked(a, i, at + 1, 0);
        if (self_of(a)->last_request < at + 1)
            self_of(a)->last_request = at + 1;
        return request_end(&r);
    }
    return 0;
}

/* One request beside the first round. False: there is nobody to send to, or it was too much for one
 * connection, which is then to be given up. */
static bool may_send(struct adapter *a)
{
    if (a->host.send == NULL)
        return false;
    if (self_of(a)->sent++ < rule_of(a)->requests_max)
        return true;
    a->host.reconnect(a->host.context, "too many subscriptions on one connection");
    return false;
}

static void send_one(struct adapter *a, const char *op, size_t item, tb_ns wait)
{
    char text[ADAPTER_REQUEST_BYTES];
    struct request r = {.out = text, .capacity = sizeof(text)};
    if (!may_send(a) || request_begin(a, &r, op, ++self_of(a)->last_request) != 0 ||
        !request_add(a, &r, item))
        return;
    int length = request_end(&r);
    a->host.send(a->host.context, text, (size_t)length, wait);
}

/* ---- answers ---- */

size_t subscriptions_find(const struct adapter *a, const struct adapter_market *m,
                          enum adapter_channel channel)
{
    unsigned wanted = a->config.channels & ((1U << ADAPTER_CHANNELS) - 1);
    if (!(wanted & channel))
        return SUBSCRIPTION_NONE;
    return m->index * (size_t)__builtin_popcount(wanted) +
           (size_t)__builtin_popcount(wanted & (channel - 1U));
}

/* The open ones of a request: asked for, and not answered. */
static bool is_open(const struct adapter_subscription *item, uint32_t request)
{
    return item->state == ADAPTER_ASKED && item->request == request;
}

void subscriptions_agreed_all(struct adapter *a, uint32_t request)
{
    struct adapter_subscription *item;
    for (size_t i = 0; (item = subscriptions_item(a, i)) != NULL; i++)
        if (is_open(item, request))
            item->state = ADAPTER_AGREED;
}

/* What is left of a request whose culprit is known: in one again. */
static void send_rest(struct adapter *a, uint32_t request)
{
    char text[ADAPTER_REQUEST_BYTES];
    struct request r = {.out = text, .capacity = sizeof(text)};
    uint32_t number = self_of(a)->last_request + 1;
    if (request_begin(a, &r, "subscribe", number) != 0)
        return;
    const struct adapter_subscription *item;
    for (size_t i = 0; (item = subscriptions_item(a, i)) != NULL; i++)
        if (is_open(item, request) && request_add(a, &r, i))
            mark_asked(a, i, number, 0);
    if (r.args == 0 || !may_send(a))
        return;
    self_of(a)->last_request = number;
    int length = request_end(&r);
    a->host.send(a->host.context, text, (size_t)length, 0);
}

static void deny(struct adapter *a, size_t item, tb_ns ts_recv)
{
    const struct adapter_market *m = NULL;
    unsigned channel = item == SUBSCRIPTION_NONE ? 0 : adapter_subscription(a, item, &m);
    (void)adapter_refused(a, m == NULL ? NULL : &a->market[m->index], channel,
                          ts_recv); /* a host that stops needs no more */
}

void subscriptions_refused(struct adapter *a, uint32_t request, size_t item, tb_ns ts_recv)
{
    const struct adapter_subscription *open;
    size_t count = 0, last = item;
    for (size_t i = 0; item == SUBSCRIPTION_NONE && (open = subscriptions_item(a, i)) != NULL; i++)
        if (is_open(open, request)) {
            count++;
            last = i;
        }
    if (count <= 1)
        deny(a, last, ts_recv);
    else
        a->counter[ADAPTER_REFUSED]++;
    if (item != SUBSCRIPTION_NONE)
        send_rest(a, request);
    for (size_t i = 0; count > 1 && (open = subscriptions_item(a, i)) != NULL; i++)
        if (is_open(open, request)) {
            send_one(a, "subscribe", i, 0);
            mark_asked(a, i, self_of(a)->last_request, 0);
        }
}

/* ---- deadlines ---- */

/* Only a subscription that was agreed to can bring a snapshot: from then on it is awaited. */
static void look_at_books(struct adapter *a, tb_ns now)
{
    for (size_t i = 0; i < a->market_count; i++) {
        struct adapter_market *m = &a->market[i];
        if (m->sync.synced || m->sync.asked ||
            adapter_subscription_of(m, ADAPTER_BOOK)->state != ADAPTER_AGREED)
            continue;
        m->sync.asked = true;
        m->sync.asked_at = now;
    }
    adapter_book_deadlines(a, now);
}

void subscriptions_on_time(struct adapter *a, tb_ns now)
{
    size_t overdue = adapter_overdue(a, now);
    look_at_books(a, now);
    if (overdue == 0)
        return;
    reset(a); /* said once */
    a->host.reconnect(a->host.context, "a subscription was not acknowledged");
}

/* ---- books ---- */

static int book_text(struct adapter *a, const struct adapter_market *m, bool subscribe, char *out,
                     size_t capacity)
{
    struct request r = {.out = out, .capacity = capacity};
    size_t item = subscriptions_find(a, m, ADAPTER_BOOK);
    if (item == SUBSCRIPTION_NONE || !may_send(a) ||
        request_begin(a, &r, subscribe ? "subscribe" : "unsubscribe", ++self_of(a)->last_request) !=
            0 ||
        !request_add(a, &r, item))
        return 0;
    if (subscribe)
        mark_asked(a, item, self_of(a)->last_request, m->sync.asked_at + ADAPTER_ANSWER_NS);
    return request_end(&r);
}

/* ---- life ---- */

int subscriptions_begin(struct adapter *a, const struct subscription_rule *rule,
                        struct tb_error *err)
{
    self_of(a)->rule = rule;
    a->book_request = book_text;
    return fit(a, err);
}

void subscriptions_on_connect(struct adapter *a, tb_ns ts_recv)
{
    forget(a);
    adapter_connected(a, ts_recv);
}

void subscriptions_on_disconnect(struct adapter *a, tb_ns ts_recv, int code,
                                 enum tb_gap_reason reason)
{
    forget(a);
    adapter_disconnected(a, ts_recv, code, reason);
}
