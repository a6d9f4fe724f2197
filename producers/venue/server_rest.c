/* REST: the venue's answers, and what a fault script makes of them. */
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

#include "client.h"
#include "faultplay.h"

#define HTTP_CHUNK (32U << 10)

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

int server_rest_request(struct server *s, struct client *c, struct lws *wsi)
{
    static char query[CLIENT_URL_BYTES];
    static const char before[LWS_PRE];
    unsigned char head[LWS_PRE + 1024], *at = head + LWS_PRE, *end = head + sizeof(head) - 1;
    char path[512];
    int status = 414;

    s->counts.requests++;
    memset(c, 0, sizeof(*c));
    c->wsi = wsi;
    protocol_append(&c->body, before, sizeof(before));
    if (client_url(wsi, path, sizeof(path), query, sizeof(query)))
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

void server_rest_end(struct server *s, struct client *c)
{
    if (!c->answering)
        return;
    c->answering = false;
    s->http_count--;
    protocol_text_free(&c->body);
}

int server_rest_writable(struct server *s, struct client *c)
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
    server_rest_end(s, c);
    return lws_http_transaction_completed(c->wsi) != 0 ? -1 : 0;
}
