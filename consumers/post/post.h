/*
 * One HTTP request at a time, outside the loop that reads ticks: a thread with one libcurl handle
 * that is kept alive. The loop hands over a body and goes on; later it asks how it went. Whoever
 * has more to say while a request is under way keeps the newest (metrics) or a queue (alerts).
 *
 * http and https only, certificates verified, redirects never followed: the address comes from the
 * configuration and stays what it is.
 */
#ifndef TICKBUS_CONSUMERS_POST_H
#define TICKBUS_CONSUMERS_POST_H

#include <tickbus/base.h>

#define POST_REASON_BYTES 200
#define POST_URL_BYTES 1024

struct post; /* one destination */

struct post_options {
    const char *url;
    const char *content_type;
    size_t body_max;  /* allocated once, at start */
    tb_ns timeout_ns; /* of a whole request */
    int wake_fd;      /* an eventfd, written when a request ended; -1: none */
};

struct post_result {
    uint64_t tag;
    long status; /* HTTP status; 0: no answer came */
    tb_ns elapsed_ns;
    char
        reason[POST_REASON_BYTES]; /* of a failure: one line, from curl or from the answer's body */
};

/* post_url_check: may `url` be posted to? 0, or -EINVAL with the reason. */
int post_url_check(const char *url, struct tb_error *err);
/* post_url_shown: the address as logs may show it: without user, password and query. */
void post_url_shown(const char *url, char *out, size_t out_bytes);

/* post_start: 0, -ENOMEM, -EINVAL (url), or what pthread_create says. *out_post until
 * post_stop(). */
int post_start(const struct post_options *options, struct post **out_post, struct tb_error *err);
/* post_stop: ends a request that is under way (within about a second). Accepts NULL. */
void post_stop(struct post *p);

bool post_idle(struct post *p);

/*
 * post_send: begin a request; the body is copied. `header`: one more header line, or NULL.
 * False: one is under way (or its result was not taken), or the body is larger than body_max.
 */
bool post_send(struct post *p, const char *method, const char *header, const void *body,
               size_t body_bytes, uint64_t tag);

/* post_result: true once per request, when it has ended. */
bool post_result(struct post *p, struct post_result *out_result);

/* post_wait: until the request under way has ended or timeout_ns passed; for the end of a
 * service. */
void post_wait(struct post *p, tb_ns timeout_ns);

static inline bool post_succeeded(const struct post_result *r)
{
    return r->status >= 200 && r->status < 300;
}

#endif
