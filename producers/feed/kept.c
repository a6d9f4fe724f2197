#include "kept.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "producers/adapter/adapter.h"

#define ALIGN 16 /* of a header */

struct header {
    size_t length;
    tb_ns ts_recv;
};

static size_t room(size_t length)
{
    return sizeof(struct header) + (length + ADAPTER_PADDING + ALIGN - 1) / ALIGN * ALIGN;
}

int kept_put(struct kept *k, const char *bytes, size_t length, tb_ns ts_recv)
{
    const struct header header = {length, ts_recv};

    if (k->bytes == NULL) {
        /* Mapped, not allocated: only what is used takes memory. */
        k->bytes =
            mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (k->bytes == MAP_FAILED) {
            k->bytes = NULL;
            return -ENOMEM;
        }
    }
    if (length > KEPT_BYTES || k->used + room(length) > KEPT_BYTES)
        return -ENOBUFS;
    char *at = k->bytes + k->used;
    memcpy(at, &header, sizeof(header));
    memcpy(at + sizeof(header), bytes, length);
    memset(at + sizeof(header) + length, 0, ADAPTER_PADDING);
    k->used += room(length);
    k->count++;
    return 0;
}

const char *kept_next(const struct kept *k, size_t *at, size_t *out_length, tb_ns *out_ts_recv)
{
    struct header header;

    if (*at >= k->used)
        return NULL;
    const char *frame = k->bytes + *at + sizeof(header);
    memcpy(&header, k->bytes + *at, sizeof(header));
    *at += room(header.length);
    *out_length = header.length;
    *out_ts_recv = header.ts_recv;
    return frame;
}

void kept_clear(struct kept *k)
{
    if (k->bytes != NULL && k->used > 0)
        (void)madvise(k->bytes, KEPT_BYTES, MADV_DONTNEED);
    k->used = k->count = 0;
}

void kept_fini(struct kept *k)
{
    if (k->bytes != NULL)
        (void)munmap(k->bytes, KEPT_BYTES);
    *k = (struct kept){0};
}
