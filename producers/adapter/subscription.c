#include "producers/adapter/subscription.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ARGUMENT_BYTES 160

int subscriptions_init(struct subscriptions *s, struct adapter *a)
{
    static const enum adapter_channel channels[SUBSCRIPTION_CHANNELS] = {
        ADAPTER_TRADES, ADAPTER_QUOTES, ADAPTER_BOOK};
    s->a = a;
    for (size_t i = 0; i < SUBSCRIPTION_CHANNELS; i++)
        if (a->config.channels & channels[i])
            s->channel[s->channel_count++] = channels[i];
    s->count = a->market_count * s->channel_count;
    s->item = calloc(s->count + 1, sizeof(*s->item));
    return s->item == NULL ? -ENOMEM : 0;
}

void subscriptions_fini(struct subscriptions *s)
{
    free(s->item);
}

static int put_argument(const struct subscriptions *s, size_t item, char *out, size_t capacity)
{
    return s->argument(s->a, &s->a->market[item / s->channel_count],
                       s->channel[item % s->channel_count], out, capacity);
}

size_t subscriptions_length(const struct subscriptions *s)
{
    char argument[ARGUMENT_BYTES];
    size_t sum = 0;
    for (size_t i = 0; i < s->count; i++)
        sum += (size_t)put_argument(s, i, argument, sizeof(argument)) + 1;
    return sum;
}

void subscriptions_reset(struct subscriptions *s)
{
    memset(s->item, 0, s->count * sizeof(*s->item));
    s->sent = 0;
}

/* ---- requests ---- */

struct request {
    char *out;
    size_t capacity;
    size_t used;
    unsigned args;
};

static int request_begin(const struct subscriptions *s, struct request *r, const char *op,
                         uint32_t number)
{
    int length = snprintf(r->out, r->capacity, "{\"%s\":\"%u\",\"op\":\"%s\",\"args\":[", s->id_key,
                          number, op);
    r->used = (size_t)length;
    return (size_t)length + 3 <= r->capacity ? 0 : -ENOSPC;
}

/* False: no more fit into this one. */
static bool request_add(const struct subscriptions *s, struct request *r, size_t item)
{
    char argument[ARGUMENT_BYTES];
    size_t length = (size_t)put_argument(s, item, argument, sizeof(argument));
    if (r->args == s->args_max || length >= sizeof(argument) ||
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

static void mark_asked(struct subscriptions *s, size_t item, uint32_t request, tb_ns due)
{
    s->item[item] = (struct subscription){SUBSCRIPTION_ASKED, request, due};
}

/* Message by message from the first on: what fits into one depends on the names in it. */
int subscriptions_text(struct subscriptions *s, unsigned index, char *out, size_t capacity)
{
    size_t next = 0;
    for (unsigned at = 0; next < s->count; at++) {
        struct request r = {.out = out, .capacity = capacity};
        size_t first = next;
        if (request_begin(s, &r, "subscribe", at + 1) != 0)
            return -ENOSPC;
        while (next < s->count && request_add(s, &r, next))
            next++;
        if (next == first)
            return -ENOSPC;
        if (at < index)
            continue;
        for (size_t i = first; i < next; i++)
            mark_asked(s, i, at + 1, 0);
        s->last_request = at + 1 > s->last_request ? at + 1 : s->last_request;
        return request_end(&r);
    }
    return 0;
}

/* One request beside the first round. False: there is nobody to send to, or it was too much for one
 * connection, which is then to be given up. */
static bool may_send(struct subscriptions *s)
{
    struct adapter *a = s->a;
    if (a->host.send == NULL)
        return false;
    if (s->sent++ < s->requests_max)
        return true;
    a->host.reconnect(a->host.context, "too many subscriptions on one connection");
    return false;
}

static void send_one(struct subscriptions *s, const char *op, size_t item, tb_ns wait)
{
    char text[ADAPTER_REQUEST_BYTES];
    struct request r = {.out = text, .capacity = sizeof(text)};
    if (!may_send(s) || request_begin(s, &r, op, ++s->last_request) != 0 ||
        !request_add(s, &r, item))
        return;
    int length = request_end(&r);
    s->a->host.send(s->a->host.context, text, (size_t)length, wait);
}

/* ---- answers ---- */

size_t subscriptions_find(const struct subscriptions *s, const struct adapter_market *m,
                          enum adapter_channel channel)
{
    for (size_t k = 0; k < s->channel_count; k++)
        if (s->channel[k] == channel)
            return m->index * s->channel_count + k;
    return SUBSCRIPTION_NONE;
}

void subscriptions_agreed(struct subscriptions *s, size_t item)
{
    if (item != SUBSCRIPTION_NONE && s->item[item].state == SUBSCRIPTION_ASKED)
        s->item[item].state = SUBSCRIPTION_AGREED;
}

void subscriptions_agreed_all(struct subscriptions *s, uint32_t request)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->item[i].request == request)
            subscriptions_agreed(s, i);
}

/* What is left of a request whose culprit is known: in one again. */
static void send_rest(struct subscriptions *s, uint32_t request)
{
    char text[ADAPTER_REQUEST_BYTES];
    struct request r = {.out = text, .capacity = sizeof(text)};
    uint32_t number = s->last_request + 1;
    if (request_begin(s, &r, "subscribe", number) != 0)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->item[i].state == SUBSCRIPTION_ASKED && s->item[i].request == request &&
            request_add(s, &r, i))
            mark_asked(s, i, number, 0);
    if (r.args == 0 || !may_send(s))
        return;
    s->last_request = number;
    int length = request_end(&r);
    s->a->host.send(s->a->host.context, text, (size_t)length, 0);
}

void subscriptions_refused(struct subscriptions *s, uint32_t request, size_t item)
{
    size_t open = 0, last = 0;
    if (item != SUBSCRIPTION_NONE) {
        s->item[item].state = SUBSCRIPTION_REFUSED;
        send_rest(s, request);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->item[i].state == SUBSCRIPTION_ASKED && s->item[i].request == request) {
            open++;
            last = i;
        }
    if (open == 1)
        s->item[last].state = SUBSCRIPTION_REFUSED;
    for (size_t i = 0; open > 1 && i < s->count; i++)
        if (s->item[i].state == SUBSCRIPTION_ASKED && s->item[i].request == request) {
            send_one(s, "subscribe", i, 0);
            mark_asked(s, i, s->last_request, 0);
        }
}

/* ---- deadlines ---- */

/* Only a subscription that was agreed to can bring a snapshot: from then on it is awaited. */
static void look_at_books(struct subscriptions *s, tb_ns now)
{
    for (size_t i = 0; i < s->a->market_count; i++) {
        struct adapter_market *m = &s->a->market[i];
        size_t item = subscriptions_find(s, m, ADAPTER_BOOK);
        if (item == SUBSCRIPTION_NONE || m->sync.synced || m->sync.asked ||
            s->item[item].state != SUBSCRIPTION_AGREED)
            continue;
        m->sync.asked = true;
        m->sync.asked_at = now;
    }
    adapter_deadlines(s->a, now);
}

void subscriptions_look(struct subscriptions *s, tb_ns now)
{
    uint64_t overdue = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct subscription *item = &s->item[i];
        if (item->state != SUBSCRIPTION_ASKED)
            continue;
        if (item->due == 0)
            item->due = now + SUBSCRIPTION_DEADLINE;
        overdue += now > item->due;
    }
    look_at_books(s, now);
    if (overdue == 0)
        return;
    s->a->counter[ADAPTER_UNANSWERED] += overdue;
    subscriptions_reset(s); /* said once */
    s->a->host.reconnect(s->a->host.context, "a subscription was not acknowledged");
}

/* ---- books ---- */

int subscriptions_book_text(struct subscriptions *s, const struct adapter_market *m, bool subscribe,
                            char *out, size_t capacity)
{
    struct request r = {.out = out, .capacity = capacity};
    size_t item = subscriptions_find(s, m, ADAPTER_BOOK);
    if (item == SUBSCRIPTION_NONE || !may_send(s) ||
        request_begin(s, &r, subscribe ? "subscribe" : "unsubscribe", ++s->last_request) != 0 ||
        !request_add(s, &r, item))
        return 0;
    if (subscribe)
        mark_asked(s, item, s->last_request, m->sync.asked_at + SUBSCRIPTION_DEADLINE);
    return request_end(&r);
}
