/*
 * GET requests to a venue's REST host: queued, a few at a time, never blocking (libcurl's multi
 * interface on an epoll descriptor). TLS is verified; answers are bounded. A venue that says 429 or 418
 * (or 503 with Retry-After) is left alone for as long as its Retry-After says (seconds or a date; an hour
 * at most, then it is asked again), without one for a time that grows, with jitter.
 */
#ifndef TICKBUS_FEED_REST_H
#define TICKBUS_FEED_REST_H

#include <curl/curl.h>

#include <tickbus/base.h>

#include "backoff.h"

#define REST_QUEUE_MAX 1024
#define REST_PATH_BYTES 256
#define REST_TRANSFERS 4
#define REST_BODY_MAX (64U << 20)

struct rest_options {
    const char *base_url; /* "https://api.binance.com", without a slash at the end */
    const char *ca_file;  /* NULL: the system's */
    tb_ns connect_timeout, timeout;
};

/*
 * An answer: status and body (with ADAPTER_PADDING readable bytes behind it), or status 0, no body and
 * what went wrong. The body is valid during the call.
 */
typedef void rest_done(void *context, uint32_t number, const char *path, int status,
                       const char *body, size_t length, const char *failure);

struct rest_transfer {
    CURL *easy;
    bool busy;
    uint32_t number;
    char *path;
    char *body;
    size_t length, capacity;
    char failure[CURL_ERROR_SIZE];
};

struct rest_waiting {
    uint32_t number;
    tb_ns not_before; /* monotonic */
    char path[REST_PATH_BYTES];
};

struct rest {
    struct rest_options options;
    rest_done *done;
    void *context;
    CURLM *multi;
    int epoll_fd;
    tb_ns curl_due; /* monotonic: when curl wants to be called; INT64_MAX: not */
    tb_ns held_until;
    struct backoff held; /* where the venue does not say how long */
    struct rest_transfer transfer[REST_TRANSFERS];
    struct rest_waiting waiting[REST_QUEUE_MAX];
    size_t waiting_count;
    uint64_t requests, failures;
};

int rest_init(struct rest *r, const struct rest_options *options, rest_done *done, void *context);
void rest_fini(struct rest *r);

/*
 * rest_get: GET base_url + path, at `not_before` (monotonic) or later, then call done with `number`.
 * 0 also if that number is under way already; -ENOBUFS, -ENAMETOOLONG.
 */
int rest_get(struct rest *r, uint32_t number, const char *path, tb_ns not_before);
/* rest_get_long: the same at once, for a path of any length. -EBUSY if all transfers are. */
int rest_get_long(struct rest *r, uint32_t number, const char *path);
/* rest_cancel: forget all requests; done is not called for them. */
void rest_cancel(struct rest *r);
bool rest_busy(const struct rest *r);

/* rest_turn: do what is due, without waiting. Returns how many answers came. */
int rest_turn(struct rest *r, tb_ns mono);
/* rest_due: monotonic time of the next rest_turn that will have something to do, if no socket does. */
tb_ns rest_due(const struct rest *r);

#endif
