#include "client.h"

#include <errno.h>
#include <string.h>

/* An entry of the queue: this, LWS_PRE bytes for the frame's header, the message. */
struct entry {
    uint32_t length;
    uint32_t bytes; /* of the whole entry */
    bool binary;
};

static size_t entry_bytes(size_t length)
{
    return (sizeof(struct entry) + LWS_PRE + length + 15) & ~(size_t)15;
}

bool client_room(const struct client *c, size_t length)
{
    return c->head == c->tail || c->tail - c->head + entry_bytes(length) <= CLIENT_QUEUE_BYTES;
}

int client_add(struct client *c, const char *text, size_t length, bool binary, size_t most)
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
    struct entry entry = {.length = (uint32_t)length, .bytes = (uint32_t)bytes, .binary = binary};
    memcpy(c->queue + c->tail, &entry, sizeof(entry));
    memcpy(c->queue + c->tail + sizeof(entry) + LWS_PRE, text, length);
    c->tail += bytes;
    return 0;
}

unsigned char *client_peek(struct client *c, size_t *out_length, bool *out_binary)
{
    struct entry entry;

    if (c->head == c->tail)
        return NULL;
    memcpy(&entry, c->queue + c->head, sizeof(entry));
    *out_length = entry.length;
    *out_binary = entry.binary;
    return (unsigned char *)c->queue + c->head + sizeof(entry) + LWS_PRE;
}

void client_drop(struct client *c)
{
    struct entry entry;

    memcpy(&entry, c->queue + c->head, sizeof(entry));
    c->head += entry.bytes;
    if (c->head == c->tail)
        c->head = c->tail = 0;
}

void client_close(struct client *c, int code, const char *text)
{
    if (c->close_code == 0) {
        c->close_code = code;
        c->close_text = text;
    }
    (void)lws_callback_on_writable(c->wsi);
}

bool client_url(struct lws *wsi, char *path, size_t path_bytes, char *query, size_t query_bytes)
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
