#include "bench/wire_venue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <tickbus/clock.h>

#include "bench/harness.h"

#define CHUNK 65536 /* flat out, so much is written at once, as a busy venue does */
#define SPIN_NS (60 * TB_NS_PER_US)

static const char listing[] =
    "{\"symbols\":[{\"symbol\":\"BTCUSDT\",\"status\":\"TRADING\",\"baseAsset\":\"BTC\","
    "\"quoteAsset\":\"USDT\",\"filters\":[{\"filterType\":\"PRICE_FILTER\",\"tickSize\":\"0.01\"},"
    "{\"filterType\":\"LOT_SIZE\",\"stepSize\":\"0.00001\"}]}]}";

int wire_frame(uint64_t id, char *out, size_t bytes)
{
    return snprintf(out, bytes,
                    "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1723161253937,"
                    "\"s\":\"BTCUSDT\",\"t\":%llu,\"p\":\"61837.63000000\",\"q\":\"0.00100000\","
                    "\"T\":1723161253937,\"m\":true,\"M\":true}}",
                    (unsigned long long)id);
}

/* ---- one connection ---- */

struct peer {
    int fd;
    SSL *ssl;
};

static ssize_t peer_read(struct peer *p, char *out, size_t bytes)
{
    return p->ssl != NULL ? SSL_read(p->ssl, out, (int)bytes) : recv(p->fd, out, bytes, 0);
}

static bool peer_write(struct peer *p, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t n = p->ssl != NULL ? SSL_write(p->ssl, bytes, (int)count)
                                   : send(p->fd, bytes, count, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        count -= (size_t)n;
    }
    return true;
}

static bool upgrade(struct peer *p, const char *head)
{
    static const char name[] = "sec-websocket-key:",
                      guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE], accept[64];
    char key[128], answer[256];
    unsigned length = 0;
    const char *at = strcasestr(head, name);
    if (at == NULL)
        return false;
    at += sizeof(name) - 1;
    at += strspn(at, " ");
    (void)snprintf(key, sizeof(key), "%.*s%s", (int)strcspn(at, "\r\n"), at, guid);
    (void)EVP_Digest(key, strlen(key), digest, &length, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock(accept, digest, (int)length);
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    return peer_write(p, answer, (size_t)n);
}

/* ---- frames ---- */

struct frames {
    char *bytes;
    size_t *end; /* of each */
};

static struct frames make_frames(uint64_t count)
{
    struct frames f = {malloc(count * 256), calloc(count + 1, sizeof(*f.end))};
    size_t used = 0;
    if (f.bytes == NULL || f.end == NULL)
        bench_fail("no memory for %llu frames", (unsigned long long)count);
    for (uint64_t id = 1; id <= count; id++) {
        char text[240];
        int length = wire_frame(id, text, sizeof(text));
        f.bytes[used++] = (char)0x81;
        f.bytes[used++] = 126;
        f.bytes[used++] = (char)(length >> 8);
        f.bytes[used++] = (char)length;
        memcpy(f.bytes + used, text, (size_t)length);
        used += (size_t)length;
        f.end[id] = used;
    }
    return f;
}

static void wait_until(tb_ns when)
{
    for (tb_ns now; (now = tb_clock_wall()) < when;)
        if (when - now > SPIN_NS)
            (void)usleep((useconds_t)((when - now - SPIN_NS) / 1000));
}

static void send_paced(struct wire_shared *w, struct peer *p, const struct frames *f)
{
    tb_ns begun = tb_clock_wall() + 10 * TB_NS_PER_MS;
    for (uint64_t id = 1; id <= w->frames; id++) {
        w->sent[id] = begun + (tb_ns)(id - 1) * TB_NS_PER_S / w->rate;
        wait_until(w->sent[id]);
        if (!peer_write(p, f->bytes + f->end[id - 1], f->end[id] - f->end[id - 1]))
            return;
    }
}

static void send_flat_out(struct wire_shared *w, struct peer *p, const struct frames *f)
{
    size_t all = f->end[w->frames];
    for (size_t at = 0; at < all; at += CHUNK)
        if (!peer_write(p, f->bytes + at, all - at < CHUNK ? all - at : CHUNK))
            return;
}

/* ---- the server ---- */

static void serve_websocket(struct wire_shared *w, struct peer *p, const struct frames *f)
{
    atomic_store(&w->connected, 1);
    while (!atomic_load(&w->go) && !atomic_load(&w->stop))
        (void)usleep(500);
    if (atomic_load(&w->go) && w->rate > 0)
        send_paced(w, p, f);
    else if (atomic_load(&w->go))
        send_flat_out(w, p, f);
    while (!atomic_load(&w->stop)) /* what the subject says is of no interest */
        (void)usleep(1000);
}

static void serve(struct wire_shared *w, struct peer *p, const struct frames *f)
{
    char head[8192], answer[1024];
    size_t used = 0;
    while (used + 1 < sizeof(head)) {
        ssize_t n = peer_read(p, head + used, sizeof(head) - 1 - used);
        if (n <= 0)
            return;
        used += (size_t)n;
        head[used] = '\0';
        if (strstr(head, "\r\n\r\n") != NULL)
            break;
    }
    if (upgrade(p, head)) {
        serve_websocket(w, p, f);
        return;
    }
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     sizeof(listing) - 1, listing);
    (void)peer_write(p, answer, (size_t)n);
}

static SSL_CTX *make_tls(const struct wire_shared *w)
{
    if (!w->tls)
        return NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_file(tls, w->certificate, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, w->key, SSL_FILETYPE_PEM) != 1)
        bench_fail("no TLS with %s", w->certificate);
    return tls;
}

static void serve_socket(struct wire_shared *w, SSL_CTX *tls, int fd, const struct frames *f)
{
    const int on = 1;
    struct peer p = {.fd = fd};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tls != NULL) {
        p.ssl = SSL_new(tls);
        (void)SSL_set_fd(p.ssl, fd);
    }
    if (tls == NULL || SSL_accept(p.ssl) == 1)
        serve(w, &p, f);
    if (p.ssl != NULL) {
        (void)SSL_shutdown(p.ssl);
        SSL_free(p.ssl);
    }
    (void)close(fd);
}

void wire_venue(struct wire_shared *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    struct frames f = make_frames(w->frames);
    SSL_CTX *tls = make_tls(w);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        bench_fail("cannot listen: %s", strerror(errno));
    atomic_store(&w->port, ntohs(at.sin_port));
    while (!atomic_load(&w->stop)) {
        struct pollfd readable = {.fd = listener, .events = POLLIN};
        if (poll(&readable, 1, 20) == 1)
            serve_socket(w, tls, accept(listener, NULL, NULL), &f);
    }
    (void)close(listener);
    SSL_CTX_free(tls);
    free(f.bytes);
    free(f.end);
}
