#include "rest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "producers/adapter/adapter.h"

/* After a refusal for too many requests, without a word on how long: least, and jitter up to. */
#define HOLD_LEAST (250 * TB_NS_PER_MS)
#define HOLD_FIRST (2 * TB_NS_PER_S)
#define HOLD_MOST (120 * TB_NS_PER_S)
#define HOLD_MOST_S 3600 /* by Retry-After */
#define BODY_FIRST (256U << 10)
#define BODY_KEPT                                                                                  \
    (4U << 20) /* a listing of everything is bigger, and rare: that memory goes back */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct rest_transfer *t = context;
    size_t more = size * count, wanted = t->length + more + ADAPTER_PADDING;

    if (wanted > REST_BODY_MAX)
        return 0; /* curl ends the transfer with a write error */
    if (wanted > t->capacity) {
        size_t capacity = t->capacity == 0 ? BODY_FIRST : t->capacity;
        while (capacity < wanted)
            capacity *= 2;
        char *body = realloc(t->body, capacity);
        if (body == NULL)
            return 0;
        t->body = body;
        t->capacity = capacity;
    }
    memcpy(t->body + t->length, bytes, more);
    t->length += more;
    return more;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct rest *r = context;
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* it may be closed already */
        (void)curl_multi_assign(r->multi, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0U) |
                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0U);
    if (epoll_ctl(r->epoll_fd, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0)
        return -1;
    (void)curl_multi_assign(r->multi, fd, r); /* any mark that says it is known */
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct rest *r = context;

    (void)multi;
    r->curl_due = timeout_ms < 0 ? INT64_MAX : tb_clock_mono() + timeout_ms * TB_NS_PER_MS;
    return 0;
}

static CURL *make_easy(struct rest *r, struct rest_transfer *t)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->failure);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (r->options.ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, r->options.ca_file);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(r->options.connect_timeout / TB_NS_PER_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(r->options.timeout / TB_NS_PER_MS));
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)REST_BODY_MAX);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, ""); /* a listing shrinks to a twentieth */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tickbus");
    return easy;
}

int rest_init(struct rest *r, const struct rest_options *options, rest_done *done, void *context)
{
    r->options = *options;
    r->done = done;
    r->context = context;
    r->curl_due = INT64_MAX;
    backoff_init(&r->held, HOLD_FIRST, HOLD_MOST, (uint64_t)tb_clock_mono());
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->multi = curl_multi_init();
    if (r->epoll_fd < 0 || r->multi == NULL)
        return -ENOMEM;
    curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
    curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
    for (size_t i = 0; i < REST_TRANSFERS; i++) {
        r->transfer[i].easy = make_easy(r, &r->transfer[i]);
        if (r->transfer[i].easy == NULL)
            return -ENOMEM;
    }
    return 0;
}

static void release(struct rest *r, struct rest_transfer *t)
{
    (void)curl_multi_remove_handle(r->multi, t->easy);
    free(t->path);
    t->path = NULL;
    t->busy = false;
    t->length = 0;
    if (t->capacity > BODY_KEPT) {
        free(t->body);
        t->body = NULL;
        t->capacity = 0;
    }
}

void rest_cancel(struct rest *r)
{
    for (size_t i = 0; i < REST_TRANSFERS; i++)
        if (r->transfer[i].busy)
            release(r, &r->transfer[i]);
    r->waiting_count = 0;
}

void rest_fini(struct rest *r)
{
    if (r->multi == NULL)
        return;
    rest_cancel(r);
    for (size_t i = 0; i < REST_TRANSFERS; i++) {
        if (r->transfer[i].easy != NULL)
            curl_easy_cleanup(r->transfer[i].easy);
        free(r->transfer[i].body);
    }
    (void)curl_multi_cleanup(r->multi);
    r->multi = NULL;
    if (r->epoll_fd >= 0)
        (void)close(r->epoll_fd);
    r->epoll_fd = -1;
}

int rest_get(struct rest *r, uint32_t number, const char *path, tb_ns not_before)
{
    for (size_t i = 0; i < REST_TRANSFERS; i++)
        if (r->transfer[i].busy && r->transfer[i].number == number)
            return 0;
    for (size_t i = 0; i < r->waiting_count; i++)
        if (r->waiting[i].number == number)
            return 0;
    if (strlen(path) >= REST_PATH_BYTES)
        return -ENAMETOOLONG;
    if (r->waiting_count == REST_QUEUE_MAX)
        return -ENOBUFS;
    struct rest_waiting *w = &r->waiting[r->waiting_count++];
    w->number = number;
    w->not_before = not_before;
    memcpy(w->path, path, strlen(path) + 1);
    return 0;
}

static struct rest_transfer *free_transfer(struct rest *r)
{
    for (size_t i = 0; i < REST_TRANSFERS; i++)
        if (!r->transfer[i].busy)
            return &r->transfer[i];
    return NULL;
}

int rest_get_long(struct rest *r, uint32_t number, const char *path)
{
    struct rest_transfer *t = free_transfer(r);
    char *url;

    if (t == NULL)
        return -EBUSY;
    if (asprintf(&url, "%s%s", r->options.base_url, path) < 0)
        return -ENOMEM;
    t->path = strdup(path);
    /* curl copies the URL */
    CURLcode set = curl_easy_setopt(t->easy, CURLOPT_URL, url);
    free(url);
    if (t->path == NULL || set != CURLE_OK ||
        curl_multi_add_handle(r->multi, t->easy) != CURLM_OK) {
        free(t->path);
        t->path = NULL;
        return -ENOMEM;
    }
    t->number = number;
    t->length = 0;
    t->failure[0] = '\0';
    t->busy = true;
    r->requests++;
    return 0;
}

bool rest_busy(const struct rest *r)
{
    for (size_t i = 0; i < REST_TRANSFERS; i++)
        if (r->transfer[i].busy)
            return true;
    return r->waiting_count > 0;
}

static void start_waiting(struct rest *r, tb_ns mono)
{
    if (mono < r->held_until)
        return;
    for (size_t i = 0; i < r->waiting_count;) {
        struct rest_waiting *w = &r->waiting[i];
        if (w->not_before > mono) {
            i++;
            continue;
        }
        if (rest_get_long(r, w->number, w->path) != 0)
            return;
        memmove(w, w + 1, (--r->waiting_count - i) * sizeof(*w));
    }
}

/* Requests that were under way together are refused together: that is one refusal. */
static void hold(struct rest *r, long status, int64_t retry_after_s, tb_ns mono)
{
    bool limited = status == 429 || status == 418;
    tb_ns wait = 0;

    if (status >= 200 && status <= 299)
        backoff_reset(&r->held);
    if (retry_after_s > 0 && (limited || status == 503))
        wait = (retry_after_s > HOLD_MOST_S ? HOLD_MOST_S : retry_after_s) * TB_NS_PER_S;
    else if (limited && mono >= r->held_until)
        wait = HOLD_LEAST + backoff_next(&r->held);
    if (mono + wait > r->held_until)
        r->held_until = mono + wait;
}

static void finish(struct rest *r, struct rest_transfer *t, CURLcode result, tb_ns mono)
{
    long status = 0;
    curl_off_t retry_after = 0;
    uint32_t number = t->number;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
    hold(r, status, (int64_t)retry_after, mono);
    const char *failure = t->failure[0] != '\0' ? t->failure : curl_easy_strerror(result);
    bool good = result == CURLE_OK && t->body != NULL && t->length > 0;
    if (result == CURLE_OK && !good)
        failure = "the answer is empty";
    if (!good || status != 200)
        r->failures++;
    if (good)
        memset(t->body + t->length, 0, ADAPTER_PADDING);
    /* `done` may ask again: the number must be free by then, the body still there. */
    (void)curl_multi_remove_handle(r->multi, t->easy);
    t->number = UINT32_MAX;
    r->done(r->context, number, t->path, good ? (int)status : 0, good ? t->body : NULL,
            good ? t->length : 0, good ? NULL : failure);
    if (t->busy)
        release(r, t);
}

int rest_turn(struct rest *r, tb_ns mono)
{
    struct epoll_event event[16];
    int running, left, done = 0;
    CURLMsg *message;

    start_waiting(r, mono);
    int count = epoll_wait(r->epoll_fd, event, (int)TB_COUNT(event), 0);
    for (int i = 0; i < count; i++) {
        int flags = (event[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                    (event[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (event[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        (void)curl_multi_socket_action(r->multi, event[i].data.fd, flags, &running);
    }
    if (mono >= r->curl_due) {
        r->curl_due = INT64_MAX;
        (void)curl_multi_socket_action(r->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((message = curl_multi_info_read(r->multi, &left)) != NULL) {
        struct rest_transfer *t = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(r, t, message->data.result, mono);
        done++;
    }
    return done;
}

tb_ns rest_due(const struct rest *r)
{
    tb_ns due = r->curl_due;
    bool room = false;

    for (size_t i = 0; i < REST_TRANSFERS; i++)
        room = room || !r->transfer[i].busy;
    for (size_t i = 0; i < r->waiting_count && room; i++) {
        tb_ns start = r->waiting[i].not_before;
        if (start < r->held_until)
            start = r->held_until;
        if (start < due)
            due = start;
    }
    return due;
}
