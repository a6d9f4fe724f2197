#include "loop.h"

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

/*
 * libwebsockets speaks of its own matters; what it calls an error is for us a failed connection,
 * which the caller reports in its own words. So its lines are at most warnings, and rationed.
 */
static void emit(int level, const char *line)
{
    static struct tb_log_limit limit;
    char text[256], quoted[TB_QUOTE_BYTES];
    size_t length = strcspn(line, "\r\n");

    if (length >= sizeof(text))
        length = sizeof(text) - 1;
    memcpy(text, line, length);
    text[length] = '\0';
    if (level == LLL_ERR)
        tb_log_limited(&limit, TB_NS_PER_S, TB_LOG_WARN, "websockets", "text=%s",
                       tb_quote_text(text, quoted));
    else
        tb_log(TB_LOG_DEBUG, "websockets", "text=%s", tb_quote_text(text, quoted));
}

int net_loop_init(struct net_loop *loop)
{
    int rc = uv_loop_init(&loop->uv);

    if (rc != 0)
        return rc; /* libuv's errors are -errno here */
    loop->foreign[0] = &loop->uv;
    loop->open = true;
    lws_set_log_level(
        tb_log_current_level() == TB_LOG_DEBUG ? LLL_ERR | LLL_WARN | LLL_NOTICE : LLL_ERR, emit);
    return 0;
}

void net_loop_fini(struct net_loop *loop)
{
    if (!loop->open)
        return;
    for (int i = 0; i < 100 && uv_loop_close(&loop->uv) == UV_EBUSY; i++)
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    loop->open = false;
}

void net_loop_context(struct net_loop *loop, unsigned fd_max, struct lws_context_creation_info *out)
{
    memset(out, 0, sizeof(*out));
    out->port = CONTEXT_PORT_NO_LISTEN;
    out->gid = -1;
    out->uid = -1;
    out->options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    out->foreign_loops = loop->foreign;
    out->fd_limit_per_thread = fd_max; /* else it allocates for the process's whole limit */
    out->pt_serv_buf_size = 64U << 10; /* one read takes this much: many frames a system call */
    out->pcontext = &loop->context;
    out->alpn = "http/1.1"; /* WebSockets over HTTP/2 are not wanted */
}

void net_loop_destroy(struct net_loop *loop)
{
    /* On a loop of ours it ends in parts: each call goes as far as the handles that have closed let it. */
    for (int i = 0; i < 4 && loop->context != NULL; i++) {
        lws_context_destroy(loop->context);
        for (int turns = 0; turns < 100; turns++)
            (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
}

int net_loop_fd(const struct net_loop *loop)
{
    return uv_backend_fd(&loop->uv);
}

void net_loop_turn(struct net_loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
}

tb_ns net_loop_idle(const struct net_loop *loop, tb_ns most)
{
    int ms = uv_backend_timeout(&loop->uv);

    if (ms < 0 || ms * TB_NS_PER_MS > most)
        return most;
    return ms * TB_NS_PER_MS;
}
