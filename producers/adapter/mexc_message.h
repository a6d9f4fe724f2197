/*
 * One binary message of MEXC, decoded by libprotobuf-c into an arena: nothing is allocated for a
 * message, and the next one has the same memory. A message that would need more than the arena has
 * is bad.
 */
#ifndef TICKBUS_PRODUCERS_MEXC_MESSAGE_H
#define TICKBUS_PRODUCERS_MEXC_MESSAGE_H

#include "mexc.pb-c.h" /* made from mexc.proto */
#include "producers/adapter/text.h"

/* The deepest message of both sides: a level takes up to 160 bytes here. */
#ifndef MEXC_ARENA_BYTES
#define MEXC_ARENA_BYTES (8U << 20)
#endif

struct mexc_decoder;

struct mexc_decoder *mexc_decoder_create(void);
void mexc_decoder_destroy(struct mexc_decoder *d);

/* mexc_decode: NULL: it is none. Valid until the next call. */
const Mexc__Push *mexc_decode(struct mexc_decoder *d, const char *bytes, size_t length);
/* mexc_levels: one side; false: more than ADAPTER_LEVELS_MAX. Valid until the next mexc_decode. */
bool mexc_levels(struct mexc_decoder *d, Mexc__Level *const *level, size_t count,
                 struct adapter_levels *out);

static inline struct adapter_text mexc_text(ProtobufCBinaryData data)
{
    return (struct adapter_text){data.len == 0 ? "" : (const char *)data.data, (uint32_t)data.len};
}

#endif
