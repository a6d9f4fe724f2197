#include <consumers/metrics/server.h>

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tickbus/clock.h>

/* A Prometheus, a second one, a person with curl; the rest is refused. Each costs one copy of the
 * text at most while it is sent. */
#define CONNECTIONS_MAX 32
#define CONNECTIONS_PER_ADDRESS_MAX 16
#define TIMEOUT_S 10 /* without a byte of progress */
#define LISTEN_BACKLOG 16
#define LOOP_DEAD_AFTER_NS (10 * TB_NS_PER_S)

struct server {
    struct MHD_Daemon *daemon;
    int socket;
    unsigned port;
    pthread_mutex_t lock; /* over text and note, for as long as a copy takes */
    char *text;
    size_t length;
    size_t text_max;
    char note[SERVER_NOTE_BYTES];
    TB_ATOMIC(int64_t) alive; /* monotonic */
    TB_ATOMIC(uint64_t) scrapes;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              struct MHD_Response *response, const char *type)
{
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *copy_of(const char *text, size_t length)
{
    /* The cast is the library's: with MUST_COPY it only reads. */
    return MHD_create_response_from_buffer(length, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
                                   const char *text)
{
    return answer(connection, status, copy_of(text, strlen(text)), "text/plain; charset=utf-8");
}

static enum MHD_Result answer_metrics(struct server *s, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&s->lock);
    struct MHD_Response *response = copy_of(s->text, s->length);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add_explicit(&s->scrapes, 1, memory_order_relaxed);
    return answer(connection, MHD_HTTP_OK, response, "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result answer_health(struct server *s, struct MHD_Connection *connection)
{
    char text[SERVER_NOTE_BYTES + 32];
    tb_ns silent = tb_clock_mono() - atomic_load_explicit(&s->alive, memory_order_relaxed);
    if (silent > LOOP_DEAD_AFTER_NS)
        return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "the reading loop does not turn\n");
    pthread_mutex_lock(&s->lock);
    if (s->note[0] != '\0')
        (void)snprintf(text, sizeof(text), "degraded: %s\n", s->note);
    else
        (void)snprintf(text, sizeof(text), "ok\n");
    pthread_mutex_unlock(&s->lock);
    return answer_text(connection, MHD_HTTP_OK, text);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    static int seen; /* its address marks a request whose headers were seen */
    struct server *s = context;
    (void)version, (void)upload;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    *upload_size = 0; /* a body is read and dropped */
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(s, connection);
    if (strcmp(url, "/healthz") == 0)
        return answer_health(s, connection);
    if (strcmp(url, "/") == 0)
        return answer_text(
            connection, MHD_HTTP_OK,
            "tickbus-metrics\n\n/metrics  for Prometheus\n/healthz  ok, degraded, or "
            "503 if the loop hangs\n");
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "not here; see /\n");
}

int server_check(const char *listen, struct tb_error *err)
{
    char host[128], *end;
    struct in_addr four;
    struct in6_addr six;
    const char *colon = strrchr(listen, ':');
    size_t length = colon != NULL ? (size_t)(colon - listen) : 0;
    if (length == 0 || length >= sizeof(host))
        return tb_fail(err, -EINVAL, "\"%.100s\" is not host:port; write 127.0.0.1:9108", listen);
    (void)snprintf(host, sizeof(host), "%.*s", (int)length, listen);
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > UINT16_MAX)
        return tb_fail(err, -EINVAL, "\"%.20s\" is no port; it may be 0 .. 65535", colon + 1);
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        if (strchr(host, '%') == NULL && inet_pton(AF_INET6, host + 1, &six) != 1)
            return tb_fail(err, -EINVAL, "\"%.100s\" is no IPv6 address", host + 1);
    } else if (strspn(host, "0123456789.") == length && inet_pton(AF_INET, host, &four) != 1) {
        return tb_fail(err, -EINVAL, "\"%.100s\" is no IPv4 address", host);
    }
    return 0; /* a name: known when it is looked up */
}

/* "host:port", the host in brackets if it is IPv6. */
static int resolve(const char *listen, struct addrinfo **out_address, struct tb_error *err)
{
    char host[128];
    const char *colon = strrchr(listen, ':');
    size_t length = colon != NULL ? (size_t)(colon - listen) : 0;
    const char *begin = listen;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (length >= 2 && begin[0] == '[' && begin[length - 1] == ']') {
        begin++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof(host))
        return tb_fail(err, -EINVAL, "listen: \"%.100s\" is not host:port; write 127.0.0.1:9108",
                       listen);
    (void)snprintf(host, sizeof(host), "%.*s", (int)length, begin);
    int rc = getaddrinfo(host, colon + 1, &hints, out_address);
    return rc == 0 ? 0 : tb_fail(err, -EINVAL, "listen: \"%.100s\": %s", listen, gai_strerror(rc));
}

static int open_socket(struct server *s, const char *listen_on, struct tb_error *err)
{
    struct addrinfo *address = NULL;
    struct sockaddr_storage bound = {0};
    socklen_t bytes = sizeof(bound);
    char port[16] = "0";
    int on = 1, rc = resolve(listen_on, &address, err);
    if (rc != 0)
        return rc;
    s->socket = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->socket < 0 || setsockopt(s->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(s->socket, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(s->socket, LISTEN_BACKLOG) != 0 ||
        getsockname(s->socket, (struct sockaddr *)&bound, &bytes) != 0)
        rc = tb_fail(err, -errno, "listen: cannot listen on %.100s: %s%s", listen_on,
                     strerror(errno), errno == EADDRINUSE ? "; another program has the port" : "");
    freeaddrinfo(address);
    if (rc == 0 && getnameinfo((struct sockaddr *)&bound, bytes, NULL, 0, port, sizeof(port),
                               NI_NUMERICSERV) == 0)
        s->port = (unsigned)strtoul(port, NULL, 10);
    return rc;
}

/* The library's own complaints are about peers that hang up; they are nobody's concern. */
static void TB_PRINTF(2, 0) ignore_log(void *context, const char *format, va_list arguments)
{
    (void)context, (void)format, (void)arguments;
}

static int start_daemon(struct server *s, struct tb_error *err)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle,
                         s, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL, MHD_OPTION_LISTEN_SOCKET,
                         s->socket, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_PER_ADDRESS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->daemon != NULL ? 0 : tb_fail(err, -ENOMEM, "listen: the HTTP server does not start");
}

int server_start(const char *listen, size_t text_max, struct server **out_server,
                 struct tb_error *err)
{
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return tb_fail(err, -ENOMEM, "no memory");
    s->socket = -1;
    s->text_max = text_max;
    s->text = malloc(text_max);
    pthread_mutex_init(&s->lock, NULL);
    server_health(s, tb_clock_mono(), NULL);
    int rc = s->text == NULL ? tb_fail(err, -ENOMEM, "no memory") : open_socket(s, listen, err);
    if (rc == 0)
        rc = start_daemon(s, err);
    if (rc != 0) {
        server_stop(s);
        return rc;
    }
    *out_server = s;
    return 0;
}

void server_stop(struct server *s)
{
    if (s == NULL)
        return;
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon); /* closes the socket as well */
    else if (s->socket >= 0)
        (void)close(s->socket);
    pthread_mutex_destroy(&s->lock);
    free(s->text);
    free(s);
}

unsigned server_port(const struct server *s)
{
    return s->port;
}

bool server_publish(struct server *s, const char *text, size_t length)
{
    TB_ASSERT(length <= s->text_max);
    if (pthread_mutex_trylock(&s->lock) != 0)
        return false;
    memcpy(s->text, text, length);
    s->length = length;
    pthread_mutex_unlock(&s->lock);
    return true;
}

void server_health(struct server *s, tb_ns now_mono, const char *note)
{
    atomic_store_explicit(&s->alive, now_mono, memory_order_relaxed);
    if (pthread_mutex_trylock(&s->lock) != 0)
        return; /* the next turn says it */
    (void)snprintf(s->note, sizeof(s->note), "%s", note != NULL ? note : "");
    pthread_mutex_unlock(&s->lock);
}

uint64_t server_scrapes(const struct server *s)
{
    return atomic_load_explicit(&s->scrapes, memory_order_relaxed);
}
