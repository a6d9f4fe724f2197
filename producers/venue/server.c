#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#include "faultplay.h"

#define QUEUE_BYTES (256U << 10) /* of frames, per client */
#define QUEUE_MAX (4U << 20) /* with answers to control messages; beyond it the client is cut off */
#define MESSAGE_MAX 8192     /* of a client; the venue refuses more than about 4 KB */
#define HTTP_CHUNK (32U << 10)
#define URL_BYTES 16384 /* /stream?streams=... of many symbols */

/* An entry of the queue: this, LWS_PRE bytes for the frame's header, the text. */
struct entry {
    uint32_t length;
    uint32_t bytes; /* of the whole entry */
};

struct client {
    struct lws *wsi;
    struct client *next;
    struct protocol_client protocol;
    bool listed; /* an established WebSocket, in the server's list */
    char *queue;
    size_t capacity, head, tail;
    int close_code; /* not 0: close so, once the queue is empty */
    bool close_sent;
    const char *close_text;
    tb_ns ping_next, pong_due, window_start;
    unsigned pings_wanted;
    tb_ns silent_until;          /* of a fault script; 0: not silent */
    tb_ns slow_until, slow_next; /* the same; the next write is not before slow_next */
    int64_t slow_rate;           /* bytes a second */
    int64_t window_messages;
    char message[MESSAGE_MAX];
    size_t message_length;
    struct protocol_text body; /* REST: LWS_PRE bytes, then the body */
    size_t sent;
    bool answering;
};

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* ---- the queue of one client ---- */

static size_t entry_bytes(size_t length)
{
    return (sizeof(struct entry) + LWS_PRE + length + 15) & ~(size_t)15;
}

static bool queue_room(const struct client *c, size_t length)
{
    return c->head == c->tail || c->tail - c->head + entry_bytes(length) <= QUEUE_BYTES;
}

/* 0, or -ENOMEM, -ENOBUFS: the queue would be longer than `most`. */
static int queue_add(struct client *c, const char *text, size_t length, size_t most)
{
    size_t bytes = entry_bytes(length);

    if (c->head > 0 && c->tail + bytes > c->capacity) {
        memmove(c->queue, c->queue + c->head, c->tail - c->head);
        c->tail -= c->head;
        c->head = 0;
    }
    if (c->tail + bytes > c->capacity) {
        if (c->tail > 0 && c->tail + bytes > most)
            return -ENOBUFS;
        char *queue = realloc(c->queue, c->tail + bytes);
        if (queue == NULL)
            return -ENOMEM;
        c->queue = queue;
        c->capacity = c->tail + bytes;
    }
    struct entry entry = {.length = (uint32_t)length, .bytes = (uint32_t)bytes};
    memcpy(c->queue + c->tail, &entry, sizeof(entry));
    memcpy(c->queue + c->tail + sizeof(entry) + LWS_PRE, text, length);
    c->tail += bytes;
    return 0;
}

static void ask_close(struct client *c, int code, const char *text)
{
    if (c->close_code == 0) {
        c->close_code = code;
        c->close_text = text;
    }
    (void)lws_callback_on_writable(c->wsi);
}

/* ---- WebSocket clients ---- */

/* Path and decoded query of a request. False if they are too long. */
static bool read_url(struct lws *wsi, char *path, size_t path_bytes, char *query,
                     size_t query_bytes)
{
    size_t at = 0;
    int length;

    if (lws_hdr_copy(wsi, path, (int)path_bytes, WSI_TOKEN_GET_URI) <= 0)
        return false;
    query[0] = '\0';
    for (int i = 0; i < 64; i++) {
        if (at + 2 >= query_bytes)
            return false;
        length = lws_hdr_copy_fragment(wsi, query + at + 1, (int)(query_bytes - at - 2),
                                       WSI_TOKEN_HTTP_URI_ARGS, i);
        if (length < 0)
            break;
        if (i > 0)
            query[at] = '&';
        else
            memmove(query, query + 1, (size_t)length);
        at += (size_t)length + (i > 0);
        query[at] = '\0';
    }
    return true;
}

/* What would connecting say? Tried on a client of paper, before the upgrade is answered. */
static int check_upgrade(struct server *s, struct lws *wsi)
{
    static char query[URL_BYTES];
    char path[512];
    struct protocol_client paper = {0};
    int status;

    if (s->client_count >= SERVER_CLIENTS_MAX)
        return 503;
    if (!read_url(wsi, path, sizeof(path), query, sizeof(query)))
        return 414;
    status = s->ops->connect(s->protocol, &paper, path, query);
    s->ops->disconnect(s->protocol, &paper);
    return status;
}

static int on_established(struct server *s, struct client *c, struct lws *wsi)
{
    static char query[URL_BYTES];
    char path[512];
    tb_ns mono = tb_clock_mono();

    memset(c, 0, sizeof(*c));
    c->wsi = wsi;
    c->queue = malloc(QUEUE_BYTES);
    if (c->queue == NULL || !read_url(wsi, path, sizeof(path), query, sizeof(query)) ||
        s->ops->connect(s->protocol, &c->protocol, path, query) != 0) {
        free(c->queue);
        c->queue = NULL;
        return -1;
    }
    c->capacity = QUEUE_BYTES;
    c->ping_next = mono + s->options.ping_every;
    c->listed = true;
    c->next = s->clients;
    s->clients = c;
    s->client_count++;
    s->counts.connects++;
    tb_log(TB_LOG_INFO, "client_connected", "clients=%u path=%s subscriptions=%u", s->client_count,
           path, c->protocol.subscriptions);
    if (s->finishing)
        server_finish(s);
    return 0;
}

static void on_closed(struct server *s, struct client *c)
{
    if (!c->listed)
        return;
    for (struct client **at = &s->clients; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    c->listed = false;
    s->client_count--;
    tb_log(TB_LOG_INFO, "client_gone", "clients=%u subscriptions=%u unsent_bytes=%zu",
           s->client_count, c->protocol.subscriptions, c->tail - c->head);
    s->ops->disconnect(s->protocol, &c->protocol);
    free(c->queue);
    c->queue = NULL;
}

static bool too_many_messages(struct server *s, struct client *c)
{
    tb_ns mono = tb_clock_mono();

    if (mono - c->window_start >= TB_NS_PER_S) {
        c->window_start = mono;
        c->window_messages = 0;
    }
    return s->options.messages_per_second > 0 &&
           ++c->window_messages > s->options.messages_per_second;
}

/* Each message of an answer. */
static int queue_answers(struct client *c, const struct protocol_text *answer)
{
    int rc = answer->failed ? -ENOMEM : 0;

    for (size_t from = 0; rc == 0 && from < answer->length;) {
        size_t length = strnlen(answer->text + from, answer->length - from);
        rc = queue_add(c, answer->text + from, length, QUEUE_MAX);
        from += length + 1;
    }
    return rc;
}

static void on_message(struct server *s, struct client *c)
{
    struct protocol_text answer = {0};

    s->counts.messages++;
    if (too_many_messages(s, c)) {
        s->counts.refused++;
        ask_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "Too many requests");
        return;
    }
    int code = s->ops->message(s->protocol, &c->protocol, c->message, c->message_length, &answer);
    if (queue_answers(c, &answer) != 0)
        code = LWS_CLOSE_STATUS_POLICY_VIOLATION;
    if (code != 0)
        ask_close(c, code, "Disconnected");
    else
        (void)lws_callback_on_writable(c->wsi);
    protocol_text_free(&answer);
}

static void on_receive(struct server *s, struct client *c, const char *bytes, size_t length)
{
    if (lws_is_first_fragment(c->wsi))
        c->message_length = 0;
    if (length > sizeof(c->message) - c->message_length) {
        ask_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "Payload too long");
        return;
    }
    memcpy(c->message + c->message_length, bytes, length);
    c->message_length += length;
    if (lws_is_final_fragment(c->wsi))
        on_message(s, c);
}

static int write_ping(struct client *c)
{
    unsigned char ping[LWS_PRE + 32];
    int length = snprintf((char *)ping + LWS_PRE, 32, "%" PRId64, tb_clock_wall() / TB_NS_PER_MS);

    c->pings_wanted--;
    return lws_write(c->wsi, ping + LWS_PRE, (size_t)length, LWS_WRITE_PING) < 0 ? -1 : 0;
}

/*
 * Not by returning -1, as is usual: builds of libwebsockets 4.1 with _DEBUG and libuv (Debian's) then
 * close twice in a row, and the second kills the connection before the close frame is sent. Like
 * this it is closed once: the frame goes out, and the client's answer, or a timeout, ends it. Nothing
 * may be buffered, or it would be dropped.
 */
static int polite_close(struct client *c)
{
    c->close_sent = true;
    lws_close_reason(c->wsi, (enum lws_close_status)c->close_code,
                     (unsigned char *)(uintptr_t)c->close_text, strlen(c->close_text));
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
    return 0;
}

static int on_writeable(struct client *c)
{
    struct entry entry;

    if (c->close_sent || c->silent_until != 0)
        return 0;
    while (c->pings_wanted > 0 && lws_partial_buffered(c->wsi) == 0)
        if (write_ping(c) != 0)
            return -1;
    while (c->head < c->tail && lws_partial_buffered(c->wsi) == 0) {
        if (c->slow_until != 0 && tb_clock_mono() < c->slow_next)
            return 0; /* server_tick asks again */
        memcpy(&entry, c->queue + c->head, sizeof(entry));
        unsigned char *text = (unsigned char *)c->queue + c->head + sizeof(entry) + LWS_PRE;
        if (lws_write(c->wsi, text, entry.length, LWS_WRITE_TEXT) < (int)entry.length)
            return -1;
        c->head += entry.bytes;
        if (c->slow_until != 0)
            c->slow_next = tb_clock_mono() + entry.length * TB_NS_PER_S / c->slow_rate;
    }
    if (c->head < c->tail || c->pings_wanted > 0) {
        (void)lws_callback_on_writable(c->wsi);
        return 0;
    }
    c->head = c->tail = 0;
    if (c->close_code == 0)
        return 0;
    if (lws_partial_buffered(c->wsi) != 0) {
        (void)lws_callback_on_writable(c->wsi);
        return 0;
    }
    return polite_close(c);
}

/* ---- REST ---- */

/* The status; the body is appended. */
static int answer(struct server *s, const char *path, const char *query, struct protocol_text *body)
{
    size_t from = body->length;
    int status = s->faults == NULL ? 0 : faultplay_request(s->faults, path, query, body);

    if (status != 0)
        return status;
    status = s->ops->get(s->protocol, path, query, tb_clock_wall(), body);
    if (s->faults != NULL && status == 200 && !body->failed)
        faultplay_answered(s->faults, path, query, body->text + from, body->length - from);
    return status;
}

static int on_request(struct server *s, struct client *c, struct lws *wsi)
{
    static char query[URL_BYTES];
    static const char before[LWS_PRE];
    unsigned char head[LWS_PRE + 1024], *at = head + LWS_PRE, *end = head + sizeof(head) - 1;
    char path[512];
    int status = 414;

    s->counts.requests++;
    memset(c, 0, sizeof(*c));
    c->wsi = wsi;
    protocol_append(&c->body, before, sizeof(before));
    if (read_url(wsi, path, sizeof(path), query, sizeof(query)))
        status = answer(s, path, query, &c->body);
    if (c->body.failed)
        status = 500;
    c->sent = LWS_PRE;
    if (lws_add_http_common_headers(wsi, (unsigned)status, "application/json;charset=UTF-8",
                                    c->body.length - LWS_PRE, &at, end) != 0 ||
        lws_finalize_write_http_header(wsi, head + LWS_PRE, &at, end) != 0) {
        protocol_text_free(&c->body);
        return -1;
    }
    c->answering = true;
    s->http_count++;
    (void)lws_callback_on_writable(wsi);
    return 0;
}

static void end_request(struct server *s, struct client *c)
{
    if (!c->answering)
        return;
    c->answering = false;
    s->http_count--;
    protocol_text_free(&c->body);
}

static int on_http_writeable(struct server *s, struct client *c)
{
    if (!c->answering)
        return 0;
    size_t left = c->body.length - c->sent;
    size_t count = left < HTTP_CHUNK ? left : HTTP_CHUNK;
    int written = lws_write(c->wsi, (unsigned char *)c->body.text + c->sent, count,
                            count == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (written < (int)count)
        return -1;
    c->sent += count;
    if (count < left) {
        (void)lws_callback_on_writable(c->wsi);
        return 0;
    }
    end_request(s, c);
    return lws_http_transaction_completed(c->wsi) != 0 ? -1 : 0;
}

/*
 * A fault script's: whoever comes is cut off at its first words. Not at FILTER_NETWORK_CONNECTION:
 * libwebsockets 4.1 on libuv hears no more of its listening socket after a refusal there.
 */
static bool refuses(struct server *s)
{
    bool refused = tb_clock_mono() < s->refuse_until;
    s->counts.refused += refused;
    return refused;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    struct client *c = user;
    int status;

    switch (reason) {
    case LWS_CALLBACK_HTTP:
        if (refuses(server_of(wsi)))
            return -1;
        return on_request(server_of(wsi), c, wsi);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_http_writeable(server_of(wsi), c);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (c != NULL)
            end_request(server_of(wsi), c);
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        if (refuses(server_of(wsi)))
            return -1;
        status = check_upgrade(server_of(wsi), wsi);
        if (status == 0)
            return 0;
        server_of(wsi)->counts.refused++;
        (void)lws_return_http_status(wsi, (unsigned)status, NULL); /* it is closed in any case */
        return -1;
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(server_of(wsi), c, wsi);
    case LWS_CALLBACK_CLOSED:
        on_closed(server_of(wsi), c);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        on_receive(server_of(wsi), c, in, length);
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        c->pong_due = 0;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writeable(c);
    default:
        return 0;
    }
}

/* ---- the server ---- */

static const struct lws_protocols protocols[] = {
    {.name = "venue",
     .callback = callback,
     .per_session_data_size = sizeof(struct client),
     .rx_buffer_size = MESSAGE_MAX},
    {.name = NULL},
};

int server_open(struct server *s, const struct server_options *options,
                const struct protocol_ops *ops, struct protocol *protocol, struct net_loop *loop,
                struct tb_error *err)
{
    struct lws_context_creation_info info;

    s->options = *options;
    s->ops = ops;
    s->protocol = protocol;
    s->loop = loop;
    net_loop_context(loop, SERVER_CLIENTS_MAX * 2 + 16, &info);
    info.user = s;
    info.max_http_header_data = URL_BYTES;
    info.max_http_header_pool = 32;
    loop->context = lws_create_context(&info);
    if (loop->context == NULL)
        return tb_fail(err, -ENOMEM, "cannot make a WebSocket context");
    info.vhost_name = "venue";
    info.protocols = protocols;
    info.iface = options->host;
    info.port = (int)options->port;
    if (options->certificate != NULL) {
        info.ssl_cert_filepath = options->certificate;
        info.ssl_private_key_filepath = options->key;
    }
    s->vhost = lws_create_vhost(loop->context, &info);
    if (s->vhost == NULL || server_port(s) <= 0) {
        server_close(s);
        return tb_fail(err, -EADDRNOTAVAIL,
                       "cannot listen on %s port %" PRId64 "%s; is the port taken%s?",
                       options->host, options->port, options->certificate ? " with TLS" : "",
                       options->certificate ? ", or the certificate or key unreadable" : "");
    }
    return 0;
}

void server_close(struct server *s)
{
    net_loop_destroy(s->loop);
    s->vhost = NULL;
}

int server_port(const struct server *s)
{
    return lws_get_vhost_listen_port(s->vhost);
}

unsigned server_subscriptions(const struct server *s)
{
    unsigned count = 0;

    for (const struct client *c = s->clients; c != NULL; c = c->next)
        if (c->silent_until == 0 && c->close_code == 0)
            count += c->protocol.subscriptions;
    return count;
}

/* A client whose form of the frame the recording does not have gets the one it has. */
static const char *form(const struct client *c, const struct protocol_frame *f, size_t *out_length)
{
    bool combined = f->bare == NULL || (c->protocol.combined && f->combined != NULL);

    *out_length = combined ? f->combined_length : f->bare_length;
    return combined ? f->combined : f->bare;
}

static bool listens(const struct client *c, uint32_t stream)
{
    return protocol_subscribed(&c->protocol, stream) && c->close_code == 0;
}

bool server_room(const struct server *s, const struct protocol_frame *frame)
{
    size_t length;

    for (const struct client *c = s->clients; c != NULL; c = c->next)
        if (listens(c, frame->stream) && c->silent_until == 0) {
            (void)form(c, frame, &length);
            if (!queue_room(c, length))
                return false;
        }
    return true;
}

void server_send(struct server *s, const struct protocol_frame *frame)
{
    size_t length;

    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (!listens(c, frame->stream))
            continue;
        const char *text = form(c, frame, &length);
        if (c->silent_until != 0) {
            s->counts.unheard++;
            continue;
        }
        /* The player asked for room: only what a fault script adds is beyond it. */
        if (queue_add(c, text, length, SIZE_MAX) != 0) {
            ask_close(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
            continue;
        }
        s->counts.frames++;
        s->counts.bytes += length;
        (void)lws_callback_on_writable(c->wsi);
    }
}

void server_finish(struct server *s)
{
    s->finishing = true;
    for (struct client *c = s->clients; c != NULL; c = c->next)
        ask_close(c, LWS_CLOSE_STATUS_NORMAL, "the recording is over");
}

void server_housekeep(struct server *s, tb_ns mono)
{
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (c->close_code != 0 || c->silent_until != 0)
            continue;
        if (s->options.ping_every > 0 && mono >= c->ping_next) {
            c->ping_next = mono + s->options.ping_every;
            c->pings_wanted += c->pings_wanted == 0;
            if (c->pong_due == 0)
                c->pong_due = mono + s->options.pong_timeout;
            (void)lws_callback_on_writable(c->wsi);
        }
        /* A client that is behind can not have seen the ping: its answer has time until it has. */
        if (c->pong_due != 0 && (c->head < c->tail || lws_partial_buffered(c->wsi) != 0))
            c->pong_due = mono + s->options.pong_timeout;
        if (c->pong_due != 0 && mono > c->pong_due)
            ask_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "Pong timeout");
    }
}

/* ---- faults ---- */

bool server_has_subscriber(const struct server *s, uint32_t stream)
{
    for (const struct client *c = s->clients; c != NULL; c = c->next)
        if (listens(c, stream))
            return true;
    return false;
}

/* A TCP socket connected to no family is reset: the peer sees RST, libwebsockets a dead socket. */
static void reset(struct client *c)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    c->close_code = LWS_CLOSE_STATUS_ABNORMAL_CLOSE;
    c->close_sent = true;
    (void)connect(lws_get_socket_fd(c->wsi), &nobody,
                  sizeof(nobody)); /* it is closed in any case */
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

void server_disconnect(struct server *s, uint32_t stream, int code, const char *reason)
{
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (!listens(c, stream))
            continue;
        if (code == 0)
            reset(c);
        else
            ask_close(c, code, reason);
    }
}

void server_silence(struct server *s, uint32_t stream, tb_ns until)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (listens(c, stream)) {
            c->silent_until = until;
            (void)lws_rx_flow_control(c->wsi, 0);
        }
}

void server_slow(struct server *s, uint32_t stream, int64_t rate, tb_ns until)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (listens(c, stream)) {
            c->slow_rate = rate;
            c->slow_until = until;
        }
}

void server_pings(struct server *s, uint32_t stream, unsigned count)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (listens(c, stream)) {
            c->pings_wanted += count;
            (void)lws_callback_on_writable(c->wsi);
        }
}

void server_refuse(struct server *s, tb_ns until)
{
    s->refuse_until = until;
}

bool server_tick(struct server *s, tb_ns mono)
{
    bool any = false;

    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (c->silent_until == 0 && c->slow_until == 0)
            continue;
        any = true;
        if (c->silent_until != 0 && mono >= c->silent_until) {
            c->silent_until = 0;
            (void)lws_rx_flow_control(c->wsi, 1);
        }
        if (c->slow_until != 0 && mono >= c->slow_until)
            c->slow_until = c->slow_next = 0;
        if (c->silent_until == 0 && mono >= c->slow_next)
            (void)lws_callback_on_writable(c->wsi);
    }
    return any;
}
