#include "producers/adapter/mexc_message.h"

#include <string.h>

struct mexc_decoder {
    ProtobufCAllocator allocator;
    char *arena;
    size_t used;
    struct adapter_level *level; /* of both sides */
    uint32_t level_count;
};

static void *take(void *context, size_t size)
{
    struct mexc_decoder *d = context;
    size_t aligned = (size + 15) & ~(size_t)15;
    if (aligned < size || aligned > MEXC_ARENA_BYTES - d->used)
        return NULL;
    d->used += aligned;
    return d->arena + d->used - aligned;
}

/* All at once, with the next message. */
static void give(void *context, void *memory)
{
    (void)context, (void)memory;
}

struct mexc_decoder *mexc_decoder_create(void)
{
    struct mexc_decoder *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->allocator = (ProtobufCAllocator){.alloc = take, .free = give, .allocator_data = d};
    d->arena = malloc(MEXC_ARENA_BYTES);
    d->level = malloc(2 * ADAPTER_LEVELS_MAX * sizeof(*d->level));
    if (d->arena != NULL && d->level != NULL) {
        memset(d->arena, 0, MEXC_ARENA_BYTES); /* touched now: no message must wait for pages */
        return d;
    }
    mexc_decoder_destroy(d);
    return NULL;
}

void mexc_decoder_destroy(struct mexc_decoder *d)
{
    if (d == NULL)
        return;
    free(d->arena);
    free(d->level);
    free(d);
}

const Mexc__Push *mexc_decode(struct mexc_decoder *d, const char *bytes, size_t length)
{
    d->used = 0;
    d->level_count = 0;
    if (length == 0 || length > ADAPTER_MESSAGE_MAX)
        return NULL;
    return mexc__push__unpack(&d->allocator, length, (const uint8_t *)bytes);
}

bool mexc_levels(struct mexc_decoder *d, Mexc__Level *const *level, size_t count,
                 struct adapter_levels *out)
{
    if (count > ADAPTER_LEVELS_MAX || d->level_count + count > 2 * ADAPTER_LEVELS_MAX)
        return false;
    struct adapter_level *to = d->level + d->level_count;
    for (size_t i = 0; i < count; i++)
        to[i] = (struct adapter_level){mexc_text(level[i]->price), mexc_text(level[i]->quantity)};
    d->level_count += (uint32_t)count;
    *out = (struct adapter_levels){to, (uint32_t)count};
    return true;
}
