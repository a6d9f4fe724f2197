#include "socket.h"

#include "last_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdalign.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include <tickbus/clock.h>

#include "producers/adapter/adapter.h"

#define SEND_MAX 16384

/* ---- URLs ---- */

int socket_url_parse(const char *text, struct socket_url *out_url, struct tb_error *err)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
    int rc = -EINVAL;

    if (url == NULL)
        return -ENOMEM;
    if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
        (strcmp(scheme, "ws") != 0 && strcmp(scheme, "wss") != 0) ||
        strlen(host) >= sizeof(out_url->host) || strlen(path) >= sizeof(out_url->path)) {
        (void)tb_fail(err, rc, "\"%s\" is no WebSocket address; write wss://host:port", text);
        goto out;
    }
    memset(out_url, 0, sizeof(*out_url));
    out_url->tls = strcmp(scheme, "wss") == 0;
    out_url->port = curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK ? atoi(port)
                    : out_url->tls                                           ? 443
                                                                             : 80;
    (void)snprintf(out_url->path, sizeof(out_url->path), "%s", path);
    for (size_t n = strlen(out_url->path); n > 0 && out_url->path[n - 1] == '/'; n--)
        out_url->path[n - 1] = '\0';
    /* An IPv6 address stands in brackets, which the resolver does not want. */
    size_t length = strlen(host);
    bool brackets = length > 2 && host[0] == '[';
    (void)snprintf(out_url->host, sizeof(out_url->host), "%.*s",
                   (int)(brackets ? length - 2 : length), brackets ? host + 1 : host);
    rc = 0;
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(url);
    return rc;
}

/* ---- time of receipt ---- */

void socket_look(struct socket *s)
{
    char byte;
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct timespec at;

    s->arrived = 0;
    if (!s->open || recvmsg(s->fd, &message, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return; /* nothing waits, or what is wrong is found when it is read */
    const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
        return;
    memcpy(&at, CMSG_DATA(c), sizeof(at));
    s->arrived = (tb_ns)at.tv_sec * TB_NS_PER_S + at.tv_nsec;
}

static void want_stamps(struct socket *s)
{
    const int on = 1;

    s->fd = lws_get_socket_fd(s->wsi);
    /* Refused: then there are no stamps, and our clock is taken. */
    (void)setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
}

/* libwebsockets has OpenSSL give its buffers back after every record: an allocation for each. */
static void keep_buffers(struct socket *s)
{
    SSL *ssl = lws_get_ssl(s->wsi);

    if (ssl != NULL)
        (void)SSL_clear_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
}

/* ---- what libwebsockets reports ---- */

static void ended(struct socket *s, const char *why)
{
    int code = s->close_code != 0 ? s->close_code : 1006;

    if (s->wsi == NULL)
        return;
    s->wsi = NULL;
    s->open = false;
    s->send_length = 0;
    s->ping_wanted = false;
    if (s->why[0] == '\0')
        (void)snprintf(s->why, sizeof(s->why), "%s", why);
    s->handler.closed(s->handler.context, code, s->why);
}

static void receive(struct socket *s, const char *bytes, size_t length)
{
    s->last_mono = tb_clock_mono();
    s->bytes += length;
    if (lws_is_first_fragment(s->wsi)) {
        tb_ns now = tb_clock_wall();
        bool stamped = s->arrived != 0 && s->arrived <= now; /* the clock may have been set back */
        s->ts_recv = stamped ? s->arrived : now;
        s->stamped += stamped;
        s->length = 0;
        s->overflow = 0;
    }
    size_t room = SOCKET_FRAME_MAX - s->length;
    size_t taken = length < room ? length : room;
    memcpy(s->message + s->length, bytes, taken);
    s->length += taken;
    s->overflow += length - taken;
    if (!lws_is_final_fragment(s->wsi))
        return;
    s->frames++;
    s->oversized += s->overflow > 0;
    memset(s->message + s->length, 0, ADAPTER_PADDING);
    s->handler.frame(s->handler.context, s->message, s->length, s->ts_recv);
}

/* The peer's close frame: two bytes of code, then a reason. */
static void peer_closes(struct socket *s, const unsigned char *bytes, size_t length)
{
    if (length < 2)
        return;
    s->close_code = bytes[0] << 8 | bytes[1];
    int sent = s->close_code == 1002 ? last_read_close_code(bytes + 2, length) : 0;
    if (sent != 0)
        s->close_code = sent;
    (void)snprintf(s->why, sizeof(s->why), "closed by the venue with %d%s%.*s", s->close_code,
                   length > 2 ? ": " : "", (int)(length - 2), (const char *)bytes + 2);
}

static int on_writeable(struct socket *s)
{
    unsigned char ping[LWS_PRE];

    if (s->ping_wanted) {
        s->ping_wanted = false;
        if (lws_write(s->wsi, ping + LWS_PRE, 0, LWS_WRITE_PING) < 0)
            return -1;
        if (s->send_length > 0)
            (void)lws_callback_on_writable(s->wsi);
        return 0;
    }
    if (s->send_length > 0) {
        int wanted = (int)s->send_length;
        s->send_length = 0;
        if (lws_write(s->wsi, s->send + LWS_PRE, (size_t)wanted, LWS_WRITE_TEXT) < wanted)
            return -1;
    }
    return 0;
}

/* What is ours of the library's many reasons; `user` is a socket then, and only then. */
static int on_event(struct socket *s, enum lws_callback_reasons reason, void *in, size_t length)
{
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        s->open = true;
        want_stamps(s);
        keep_buffers(s);
        s->last_mono = tb_clock_mono();
        s->handler.opened(s->handler.context);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        receive(s, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        s->last_mono = tb_clock_mono();
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writeable(s);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        peer_closes(s, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        ended(s, in != NULL ? in : "cannot connect");
        return 0;
    default:
        ended(s, "the connection was lost");
        return 0;
    }
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    struct socket *s = user;

    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        /* A connection that was given up (socket_forget) is nobody's any more. */
        return s == NULL || s->wsi != wsi ? 0 : on_event(s, reason, in, length);
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "feed", .callback = callback, .rx_buffer_size = 64U << 10},
    {.name = NULL},
};

/* ---- the connection ---- */

int sockets_init(struct sockets *set, struct net_loop *loop, const char *ca_file,
                 struct tb_error *err)
{
    struct lws_context_creation_info info;

    set->loop = loop;
    net_loop_context(loop, 64, &info);
    loop->context = lws_create_context(&info);
    if (loop->context == NULL)
        return tb_fail(err, -ENOMEM, "cannot make a WebSocket context");
    info.vhost_name = "feed";
    info.protocols = protocols;
    info.client_ssl_ca_filepath = ca_file;
    set->vhost = lws_create_vhost(loop->context, &info);
    if (set->vhost == NULL)
        return tb_fail(err, -EINVAL, "cannot set up TLS%s%s", ca_file != NULL ? " with " : "",
                       ca_file != NULL ? ca_file : "");
    return 0;
}

void sockets_fini(struct sockets *set)
{
    if (set->loop != NULL)
        net_loop_destroy(set->loop);
    set->loop = NULL;
}

int socket_init(struct socket *s, struct sockets *set, const struct socket_handler *handler,
                struct tb_error *err)
{
    s->set = set;
    s->handler = *handler;
    /* Mapped, not allocated: pages of the largest message take memory once one has come. */
    s->message = mmap(NULL, SOCKET_FRAME_MAX + ADAPTER_PADDING, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->message == MAP_FAILED)
        s->message = NULL;
    s->send = malloc(LWS_PRE + SEND_MAX);
    if (s->message == NULL || s->send == NULL)
        return tb_fail(err, -ENOMEM, "no memory for a message buffer");
    return 0;
}

void socket_fini(struct socket *s)
{
    if (s->message != NULL)
        (void)munmap(s->message, SOCKET_FRAME_MAX + ADAPTER_PADDING);
    s->message = NULL;
    free(s->send);
    s->send = NULL;
}

void socket_connect(struct socket *s, const struct socket_url *url, const char *path)
{
    char full[SOCKET_URL_BYTES * 2], host[300];
    struct lws_client_connect_info info = {
        .context = s->set->loop->context,
        .vhost = s->set->vhost,
        .userdata = s,
        .address = url->host,
        .port = url->port,
        .ssl_connection =
            url->tls ? LCCSCF_USE_SSL | LCCSCF_PRIORITIZE_READS : LCCSCF_PRIORITIZE_READS,
        .path = full,
        .host = host,
        .ietf_version_or_minus_one = -1,
        .local_protocol_name = "feed",
        .alpn = "http/1.1",
        .pwsi = &s->wsi,
    };
    bool usual = url->port == (url->tls ? 443 : 80);

    (void)snprintf(full, sizeof(full), "%s%s", url->path, path);
    (void)snprintf(host, sizeof(host), usual ? "%s" : "%s:%d", url->host, url->port);
    s->close_code = 0;
    s->why[0] = '\0';
    s->last_mono = tb_clock_mono();
    struct lws *made = lws_client_connect_via_info(&info);
    if (made == NULL && s->wsi != NULL)
        ended(s, "cannot connect");
    else if (made == NULL && s->why[0] == '\0') {
        (void)snprintf(s->why, sizeof(s->why), "cannot connect");
        s->handler.closed(s->handler.context, 1006, s->why);
    }
}

int socket_send(struct socket *s, const char *text, size_t length)
{
    if (!s->open)
        return -ENOTCONN;
    if (s->send_length > 0)
        return -EAGAIN;
    if (length > SEND_MAX)
        return -EMSGSIZE;
    memcpy(s->send + LWS_PRE, text, length);
    s->send_length = length;
    (void)lws_callback_on_writable(s->wsi);
    return 0;
}

void socket_ping(struct socket *s)
{
    if (!s->open)
        return;
    s->ping_wanted = true;
    (void)lws_callback_on_writable(s->wsi);
}

void socket_forget(struct socket *s)
{
    struct lws *wsi = s->wsi;

    s->wsi = NULL;
    s->open = false;
    s->send_length = 0;
    s->ping_wanted = false;
    if (wsi != NULL)
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void socket_close(struct socket *s, const char *why)
{
    if (s->wsi == NULL)
        return;
    (void)snprintf(s->why, sizeof(s->why), "%s", why);
    /* Not LWS_TO_KILL_ASYNC: its timer is not armed from outside the loop, and may never go off. */
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}
