/* What a fault script does to the connections of a stream's subscribers. */
#include <sys/socket.h>

#include "client.h"

bool server_has_subscriber(const struct server *s, uint32_t stream)
{
    for (const struct client *c = s->clients; c != NULL; c = c->next)
        if (client_listens(c, stream))
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
        if (!client_listens(c, stream))
            continue;
        if (code == 0)
            reset(c);
        else
            client_close(c, code, reason);
    }
}

void server_silence(struct server *s, uint32_t stream, tb_ns until)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (client_listens(c, stream)) {
            c->silent_until = until;
            (void)lws_rx_flow_control(c->wsi, 0);
        }
}

void server_slow(struct server *s, uint32_t stream, int64_t rate, tb_ns until)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (client_listens(c, stream)) {
            c->slow_rate = rate;
            c->slow_until = until;
        }
}

void server_pings(struct server *s, uint32_t stream, unsigned count)
{
    for (struct client *c = s->clients; c != NULL; c = c->next)
        if (client_listens(c, stream)) {
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
