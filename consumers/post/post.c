/* The thread sleeps on a condition between requests; the loop's side never waits for the network. */
#include <consumers/post/post.h>

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>

#define POST_HEADER_BYTES 256

enum post_phase { POST_IDLE, POST_ASKED, POST_RUNNING, POST_ENDED };

struct post {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum post_phase phase; /* under lock, as all down to `result` */
    bool stopping;
    struct post_result result;
    atomic_bool abort; /* read by curl's callback without the lock */

    /* Written by the loop while IDLE, read by the thread while ASKED and RUNNING. */
    char *body;
    size_t body_bytes;
    size_t body_max;
    char method[8];
    char header[POST_HEADER_BYTES];

    char url[POST_URL_BYTES];
    char content_type[POST_HEADER_BYTES];
    tb_ns timeout_ns;
    int wake_fd;
    CURL *curl;
    char answer[POST_REASON_BYTES];
    size_t answer_bytes;
};

int post_url_check(const char *url, struct tb_error *err)
{
    int rc = -EINVAL;
    char *scheme = NULL, *host = NULL;
    CURLU *parsed = curl_url();
    if (parsed == NULL)
        return tb_fail(err, -ENOMEM, "no memory");
    if (strlen(url) >= POST_URL_BYTES)
        (void)tb_fail(err, 0, "the address is longer than %d bytes", POST_URL_BYTES - 1);
    else if (curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
             curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
             curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        (void)tb_fail(err, 0, "\"%.80s\" is not an address; write http://host:port", url);
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        (void)tb_fail(err, 0, "\"%.20s\" is not spoken here; write http:// or https://", scheme);
    else
        rc = 0;
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
    return rc;
}

void post_url_shown(const char *url, char *out, size_t out_bytes)
{
    char *shown = NULL;
    CURLU *parsed = curl_url();
    if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_set(parsed, CURLUPART_USER, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_PASSWORD, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_QUERY, NULL, 0);
        (void)curl_url_get(parsed, CURLUPART_URL, &shown, 0);
    }
    (void)snprintf(out, out_bytes, "%s", shown != NULL ? shown : "?");
    curl_free(shown);
    curl_url_cleanup(parsed);
}

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    struct post *p = context;
    size_t bytes = size * count, room = sizeof(p->answer) - 1 - p->answer_bytes;
    size_t kept = bytes < room ? bytes : room;
    memcpy(p->answer + p->answer_bytes, data, kept);
    p->answer_bytes += kept;
    return bytes; /* the rest is read and dropped, so that the connection can be used again */
}

static int check_abort(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct post *p = context;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load_explicit(&p->abort, memory_order_relaxed) ? 1 : 0;
}

/* What a stranger's server said, fit for one line of a log. */
static void one_line(char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]))
            text[i] = ' ';
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
}

static void perform(struct post *p, struct post_result *result)
{
    struct curl_slist *headers = NULL, *more;
    char type[POST_HEADER_BYTES + 16];
    tb_ns begun = tb_clock_mono();

    (void)snprintf(type, sizeof(type), "Content-Type: %s", p->content_type);
    const char *lines[] = {type, "Expect:", p->header};
    for (size_t i = 0; i < TB_COUNT(lines); i++) {
        if (lines[i][0] == '\0')
            continue;
        more = curl_slist_append(headers, lines[i]);
        if (more != NULL)
            headers = more;
    }
    p->answer_bytes = 0;
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, p->body);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body_bytes);
    curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, p->method);
    CURLcode code = curl_easy_perform(p->curl);
    p->answer[p->answer_bytes] = '\0';
    one_line(p->answer);

    result->status = 0;
    result->reason[0] = '\0';
    if (code == CURLE_OK)
        curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &result->status);
    if (code != CURLE_OK)
        (void)snprintf(result->reason, sizeof(result->reason), "%s", curl_easy_strerror(code));
    else if (!post_succeeded(result))
        (void)snprintf(result->reason, sizeof(result->reason), "%s", p->answer);
    result->elapsed_ns = tb_clock_mono() - begun;
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
}

static void *run(void *argument)
{
    struct post *p = argument;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        if (p->phase != POST_ASKED) {
            pthread_cond_wait(&p->changed, &p->lock);
            continue;
        }
        struct post_result result = {.tag = p->result.tag};
        p->phase = POST_RUNNING;
        pthread_mutex_unlock(&p->lock);
        perform(p, &result);
        pthread_mutex_lock(&p->lock);
        p->result = result;
        p->phase = POST_ENDED;
        pthread_cond_broadcast(&p->changed);
        uint64_t one = 1;
        if (p->wake_fd >= 0 && write(p->wake_fd, &one, sizeof(one)) < 0) {
            /* The count is full: whoever waits on it is awake already. */
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int prepare(struct post *p)
{
    p->curl = curl_easy_init();
    if (p->curl == NULL)
        return -ENOMEM;
    long timeout_ms = (long)(p->timeout_ns / TB_NS_PER_MS);
    curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(p->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(p->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "tickbus");
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
    curl_easy_setopt(p->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(p->curl, CURLOPT_XFERINFOFUNCTION, check_abort);
    curl_easy_setopt(p->curl, CURLOPT_XFERINFODATA, p);
    return 0;
}

static int spawn(struct post *p)
{
    sigset_t all, before;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, &clock);
    pthread_condattr_destroy(&clock);
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static void release(struct post *p)
{
    curl_easy_cleanup(p->curl);
    free(p->body);
    free(p);
}

int post_start(const struct post_options *options, struct post **out_post, struct tb_error *err)
{
    int rc = post_url_check(options->url, err);
    if (rc != 0)
        return rc;
    struct post *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return tb_fail(err, -ENOMEM, "no memory");
    p->body_max = options->body_max;
    p->timeout_ns = options->timeout_ns;
    p->wake_fd = options->wake_fd;
    (void)snprintf(p->url, sizeof(p->url), "%s", options->url);
    (void)snprintf(p->content_type, sizeof(p->content_type), "%s", options->content_type);
    p->body = malloc(p->body_max);
    if (p->body == NULL || prepare(p) != 0) {
        release(p);
        return tb_fail(err, -ENOMEM, "no memory for a body of %zu bytes", options->body_max);
    }
    rc = spawn(p);
    if (rc != 0) {
        release(p);
        return tb_fail(err, rc, "cannot start a thread: %s", strerror(-rc));
    }
    *out_post = p;
    return 0;
}

void post_stop(struct post *p)
{
    if (p == NULL)
        return;
    atomic_store_explicit(&p->abort, true, memory_order_relaxed);
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    release(p);
}

bool post_idle(struct post *p)
{
    pthread_mutex_lock(&p->lock);
    bool idle = p->phase == POST_IDLE;
    pthread_mutex_unlock(&p->lock);
    return idle;
}

bool post_send(struct post *p, const char *method, const char *header, const void *body,
               size_t body_bytes, uint64_t tag)
{
    if (body_bytes > p->body_max || !post_idle(p))
        return false;
    /* IDLE: the thread looks at none of this until it is ASKED. */
    if (body_bytes > 0)
        memcpy(p->body, body, body_bytes);
    p->body_bytes = body_bytes;
    (void)snprintf(p->method, sizeof(p->method), "%s", method);
    (void)snprintf(p->header, sizeof(p->header), "%s", header != NULL ? header : "");
    pthread_mutex_lock(&p->lock);
    p->result.tag = tag;
    p->phase = POST_ASKED;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return true;
}

bool post_result(struct post *p, struct post_result *out_result)
{
    pthread_mutex_lock(&p->lock);
    bool ended = p->phase == POST_ENDED;
    if (ended) {
        *out_result = p->result;
        p->phase = POST_IDLE;
    }
    pthread_mutex_unlock(&p->lock);
    return ended;
}

void post_wait(struct post *p, tb_ns timeout_ns)
{
    tb_ns until = tb_clock_mono() + timeout_ns;
    struct timespec deadline = {.tv_sec = until / TB_NS_PER_S, .tv_nsec = until % TB_NS_PER_S};
    pthread_mutex_lock(&p->lock);
    while ((p->phase == POST_ASKED || p->phase == POST_RUNNING) &&
           pthread_cond_timedwait(&p->changed, &p->lock, &deadline) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&p->lock);
}
