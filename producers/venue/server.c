#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#include "client.h"

#define QUEUE_MAX                                                                                  \
    (64U << 20)             /* with answers to control messages; beyond it the client is cut off */
#define BEAT_NS TB_NS_PER_S /* of protocol_ops.beat */

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static tb_ns ping_every(const struct server *s)
{
    return s->options.ping_every != 0 ? s->options.ping_every : s->rules->ping_every;
}

static tb_ns pong_timeout(const struct server *s)
{
    return s->options.pong_timeout != 0 ? s->options.pong_timeout : s->rules->pong_timeout;
}

/* ---- WebSocket clients ---- */

/* One address is one client to a venue, and here all have one: 127.0.0.1. */
static bool too_many_connects(struct server *s)
{
    const struct protocol_rules *r = s->rules;
    tb_ns mono = tb_clock_mono();

    if (!s->options.limits || r->connects == 0)
        return false;
    tb_ns *oldest = &s->connect_mono[s->connect_count % r->connects];
    if (s->connect_count >= r->connects && mono - *oldest < r->connects_per)
        return true;
    *oldest = mono;
    s->connect_count++;
    return false;
}

/* What would connecting say? Tried on a client of paper, before the upgrade is answered. */
static int check_upgrade(struct server *s, struct lws *wsi)
{
    static char query[CLIENT_URL_BYTES];
    char path[512];
    struct protocol_client paper = {0};
    int status;

    if (s->client_count >= SERVER_CLIENTS_MAX)
        return 503;
    if (!client_url(wsi, path, sizeof(path), query, sizeof(query)))
        return 414;
    if (too_many_connects(s))
        return 429;
    status = s->ops->connect(s->protocol, &paper, path, query);
    s->ops->disconnect(s->protocol, &paper);
    return status;
}

/* Each message of an answer. */
static int queue_answers(struct server *s, struct client *c, const struct protocol_text *answer)
{
    int rc = answer->failed ? -ENOMEM : 0;

    for (size_t from = 0; rc == 0 && from < answer->length;) {
        size_t length = strnlen(answer->text + from, answer->length - from);
        rc = server_queue(s, c, answer->text + from, length, false, QUEUE_MAX);
        from += length + 1;
    }
    (void)lws_callback_on_writable(c->wsi);
    return rc;
}

static int greet(struct server *s, struct client *c)
{
    struct protocol_text text = {0};

    if (s->ops->greet == NULL)
        return 0;
    s->ops->greet(s->protocol, &c->protocol, &text);
    int rc = queue_answers(s, c, &text);
    protocol_text_free(&text);
    return rc;
}

static int on_established(struct server *s, struct client *c, struct lws *wsi)
{
    static char query[CLIENT_URL_BYTES];
    char path[512];
    tb_ns mono = tb_clock_mono();

    memset(c, 0, sizeof(*c));
    c->wsi = wsi;
    c->queue = malloc(CLIENT_QUEUE_BYTES);
    if (c->queue == NULL || !client_url(wsi, path, sizeof(path), query, sizeof(query)) ||
        s->ops->connect(s->protocol, &c->protocol, path, query) != 0) {
        free(c->queue);
        c->queue = NULL;
        return -1;
    }
    c->capacity = CLIENT_QUEUE_BYTES;
    c->id = ++s->last_client;
    c->begun = c->last = mono;
    c->ping_next = mono + ping_every(s);
    c->beat_next = mono + BEAT_NS;
    c->listed = true;
    c->next = s->clients;
    s->clients = c;
    s->client_count++;
    s->counts.connects++;
    tb_log(TB_LOG_INFO, "client_connected", "clients=%u path=%s subscriptions=%u", s->client_count,
           path, c->protocol.subscriptions);
    (void)greet(s, c); /* without memory for it there is none */
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
    s->last_gone = tb_clock_mono();
    s->last_told = c->close_sent && c->close_code == LWS_CLOSE_STATUS_NORMAL && s->finishing;
    tb_log(TB_LOG_INFO, "client_gone", "clients=%u subscriptions=%u unsent_bytes=%zu",
           s->client_count, c->protocol.subscriptions, c->tail - c->head);
    s->ops->disconnect(s->protocol, &c->protocol);
    free(c->queue);
    c->queue = NULL;
}

static bool too_many_messages(struct server *s, struct client *c)
{
    const struct protocol_rules *r = s->rules;
    tb_ns mono = tb_clock_mono();

    if (!s->options.limits || r->messages == 0 ||
        (r->counted != NULL &&
         memmem(c->message, c->message_length, r->counted, strlen(r->counted)) == NULL))
        return false;
    if (mono - c->window_start >= r->messages_per) {
        c->window_start = mono;
        c->window_messages = 0;
    }
    return ++c->window_messages > r->messages;
}

/* The venue closes, or answers so. */
static void refuse_message(struct server *s, struct client *c)
{
    const struct protocol_rules *r = s->rules;

    s->counts.refused++;
    if (r->close_code != 0)
        client_close(c, r->close_code, r->refusal);
    else if (server_queue(s, c, r->refusal, strlen(r->refusal), false, QUEUE_MAX) != 0)
        client_close(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    (void)lws_callback_on_writable(c->wsi);
}

static void on_message(struct server *s, struct client *c)
{
    struct protocol_text answer = {0};

    s->counts.messages++;
    c->last = tb_clock_mono();
    if (too_many_messages(s, c)) {
        refuse_message(s, c);
        return;
    }
    int code = s->ops->message(s->protocol, &c->protocol, c->message, c->message_length,
                               tb_clock_wall(), &answer);
    if (queue_answers(s, c, &answer) != 0)
        code = LWS_CLOSE_STATUS_POLICY_VIOLATION;
    if (code != 0)
        client_close(c, code, "Disconnected");
    protocol_text_free(&answer);
}

static void on_receive(struct server *s, struct client *c, const char *bytes, size_t length)
{
    if (lws_is_first_fragment(c->wsi))
        c->message_length = 0;
    size_t most = s->options.limits ? s->rules->message_bytes : sizeof(c->message);
    if (length > most - c->message_length) {
        client_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "Payload too long");
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

/* As many messages as the socket takes. 0, or -1: it is dead. */
static int write_queue(struct client *c)
{
    unsigned char *bytes;
    size_t length;
    bool binary;

    while (lws_partial_buffered(c->wsi) == 0 &&
           (bytes = client_peek(c, &length, &binary)) != NULL) {
        tb_ns mono = tb_clock_mono();
        if (c->slow_until != 0 && mono < c->slow_next)
            return 0; /* server_tick asks again */
        if (lws_write(c->wsi, bytes, length, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) <
            (int)length)
            return -1;
        client_drop(c);
        c->last = mono;
        if (c->slow_until != 0)
            c->slow_next = mono + (tb_ns)length * TB_NS_PER_S / c->slow_rate;
    }
    return 0;
}

static int on_writeable(struct client *c)
{
    if (c->close_sent || c->silent_until != 0)
        return 0;
    while (c->pings_wanted > 0 && lws_partial_buffered(c->wsi) == 0)
        if (write_ping(c) != 0)
            return -1;
    if (write_queue(c) != 0)
        return -1;
    bool slowed = c->slow_until != 0 && c->head < c->tail;
    bool more = c->head < c->tail || c->pings_wanted > 0 || lws_partial_buffered(c->wsi) != 0;
    if (more && !slowed)
        (void)lws_callback_on_writable(c->wsi);
    return more || c->close_code == 0 ? 0 : polite_close(c);
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
        return server_rest_request(server_of(wsi), c, wsi);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return server_rest_writable(server_of(wsi), c);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (c != NULL)
            server_rest_end(server_of(wsi), c);
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
     .rx_buffer_size = CLIENT_MESSAGE_MAX},
    {.name = NULL},
};

/*
 * Why libwebsockets would not listen there, if it would not: it has one answer for everything. `host` is an
 * address or an interface's name. 0, or -errno with the reason.
 */
static int check_listening(const struct server_options *o, struct tb_error *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    const char *const files[] = {o->certificate, o->key};
    struct addrinfo *address;
    char port[8];
    int yes = 1, rc = 0;

    for (size_t i = 0; i < TB_COUNT(files); i++)
        if (files[i] != NULL && access(files[i], R_OK) != 0)
            return tb_fail(err, -errno, "cannot read %s: %s", files[i], strerror(errno));
    if (if_nametoindex(o->host) != 0)
        return 0;
    (void)snprintf(port, sizeof(port), "%d", (int)o->port);
    if (getaddrinfo(o->host, port, &hints, &address) != 0)
        return tb_fail(err, -EADDRNOTAVAIL, "cannot listen on %s: no such address or interface",
                       o->host);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0)
        rc = tb_fail(err, -errno, "cannot listen on %s port %d: %s", o->host, (int)o->port,
                     strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* nothing was accepted on it */
    freeaddrinfo(address);
    return rc;
}

int server_open(struct server *s, const struct server_options *options,
                const struct protocol_ops *ops, struct protocol *protocol, struct net_loop *loop,
                struct tb_error *err)
{
    struct lws_context_creation_info info;
    int rc = check_listening(options, err);

    if (rc != 0)
        return rc;
    s->options = *options;
    s->ops = ops;
    s->protocol = protocol;
    s->rules = ops->rules(protocol);
    TB_ASSERT(s->rules->connects <= SERVER_CONNECTS_MAX &&
              s->rules->message_bytes <= CLIENT_MESSAGE_MAX);
    s->loop = loop;
    net_loop_context(loop, SERVER_CLIENTS_MAX * 2 + 16, &info);
    info.user = s;
    info.max_http_header_data = CLIENT_URL_BYTES;
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
    if (s->vhost != NULL && server_port(s) > 0)
        return 0;
    server_close(s);
    return tb_fail(err, -EADDRNOTAVAIL, "cannot listen on %s port %" PRId64 "%s", options->host,
                   options->port, options->certificate ? " with this certificate and key" : "");
}

void server_close(struct server *s)
{
    net_loop_destroy(s->loop);
    protocol_text_free(&s->personal);
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

bool server_room(const struct server *s, const struct protocol_frame *frame)
{
    size_t length;

    for (const struct client *c = s->clients; c != NULL; c = c->next)
        if (client_listens(c, frame->stream) && c->silent_until == 0) {
            (void)form(c, frame, &length);
            if (!client_room(c, length))
                return false;
        }
    return true;
}

/* In this client's own form: it may have a number of its own. The text is valid until the next call. */
static const char *personal(struct server *s, struct client *c, const char *text, size_t *length)
{
    if (s->ops->write == NULL)
        return text;
    s->personal.length = 0;
    s->ops->write(s->protocol, &c->protocol, text, *length, &s->personal);
    if (s->personal.failed)
        return NULL;
    *length = s->personal.length;
    return s->personal.text;
}

int server_queue(struct server *s, struct client *c, const char *text, size_t length, bool binary,
                 size_t most)
{
    const char *mine = personal(s, c, text, &length);

    return mine == NULL ? -ENOMEM : client_add(c, mine, length, binary, most);
}

static void put(struct server *s, struct client *c, const char *bytes, size_t length, bool binary)
{
    if (c->silent_until != 0) {
        s->counts.unheard++;
        return;
    }
    /* The player asked for room: only what a fault script adds is beyond it. */
    if (client_add(c, bytes, length, binary, SIZE_MAX) != 0) {
        client_close(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
        return;
    }
    s->counts.frames++;
    s->counts.bytes += length;
    (void)lws_callback_on_writable(c->wsi);
}

void server_put(struct server *s, uint64_t client, const char *bytes, size_t length, bool binary)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (c->id == client && c->close_code == 0)
            put(s, c, bytes, length, binary);
}

void server_send(struct server *s, const struct protocol_frame *frame, server_through *through,
                 void *context)
{
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        size_t length;
        if (!client_listens(c, frame->stream))
            continue;
        const char *text = form(c, frame, &length);
        text = personal(s, c, text, &length);
        if (text == NULL)
            client_close(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
        else if (through != NULL)
            through(context, c->id, text, length, frame->binary);
        else
            put(s, c, text, length, frame->binary);
    }
}

void server_finish(struct server *s)
{
    s->finishing = true;
    for (struct client *c = s->clients; c != NULL; c = c->next)
        client_close(c, LWS_CLOSE_STATUS_NORMAL, "the recording is over");
}

static void ping(struct server *s, struct client *c, tb_ns mono)
{
    if (ping_every(s) > 0 && mono >= c->ping_next) {
        c->ping_next = mono + ping_every(s);
        c->pings_wanted += c->pings_wanted == 0;
        if (c->pong_due == 0)
            c->pong_due = mono + pong_timeout(s);
        (void)lws_callback_on_writable(c->wsi);
    }
    /* A client that is behind can not have seen the ping: its answer has time until it has. */
    if (c->pong_due != 0 && (c->head < c->tail || lws_partial_buffered(c->wsi) != 0))
        c->pong_due = mono + pong_timeout(s);
    if (c->pong_due != 0 && mono > c->pong_due)
        client_close(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "Pong timeout");
}

static void beat(struct server *s, struct client *c, tb_ns mono)
{
    struct protocol_text text = {0};

    if (s->ops->beat == NULL || mono < c->beat_next)
        return;
    c->beat_next = mono + BEAT_NS;
    s->ops->beat(s->protocol, &c->protocol, tb_clock_wall(), &text);
    if (queue_answers(s, c, &text) != 0)
        client_close(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    protocol_text_free(&text);
}

/* Venues close what is of no use to anybody. */
static void look_at_idleness(struct server *s, struct client *c, tb_ns mono)
{
    const struct protocol_rules *r = s->rules;

    if (!s->options.limits)
        return;
    if (r->subscribe_within != 0 && c->protocol.subscriptions == 0 && c->last == c->begun &&
        mono - c->begun > r->subscribe_within)
        client_close(c, r->idle_code, "no subscription in time");
    else if (r->idle != 0 && mono - c->last > r->idle)
        client_close(c, r->idle_code, "idle");
}

void server_housekeep(struct server *s, tb_ns mono)
{
    for (struct client *c = s->clients; c != NULL; c = c->next) {
        if (c->close_code != 0 || c->silent_until != 0)
            continue;
        ping(s, c, mono);
        beat(s, c, mono);
        look_at_idleness(s, c, mono);
    }
}
