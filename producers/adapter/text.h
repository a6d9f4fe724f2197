/*
 * What decoders give and books take: pieces of a venue's message, its numbers still as the venue
 * wrote them.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_TEXT_H
#define TICKBUS_PRODUCERS_ADAPTER_TEXT_H

#include <string.h>

#include <tickbus/base.h>

TB_EXTERN_BEGIN

/* Levels of one side in one message: three times what the deepest snapshot has. Fuzzing makes it
 * small, to come to the limits. */
#ifndef ADAPTER_LEVELS_MAX
#define ADAPTER_LEVELS_MAX 16384
#endif
/* Memory is set aside for messages of this size; a longer one makes it grow, up to the maximum. */
#ifndef ADAPTER_MESSAGE_BYTES
#define ADAPTER_MESSAGE_BYTES (1U << 20)
#endif
#define ADAPTER_MESSAGE_MAX (32U << 20)

/* A piece of a message; not ended by NUL. */
struct adapter_text {
    const char *at;
    uint32_t length;
};

static inline bool adapter_text_same(struct adapter_text x, struct adapter_text y)
{
    return x.length == y.length && (x.length == 0 || memcmp(x.at, y.at, x.length) == 0);
}

static inline bool adapter_text_is(struct adapter_text text, const char *word)
{
    return adapter_text_same(text, (struct adapter_text){word, (uint32_t)strlen(word)});
}

struct adapter_level {
    struct adapter_text price;
    struct adapter_text size;
};

struct adapter_levels {
    const struct adapter_level *level;
    uint32_t count;
};

/* One market of a listing. */
struct adapter_market_text {
    struct adapter_text symbol, base, quote, tick_size, step_size;
    struct adapter_text settle; /* what a contract is settled in; empty: it is none */
};

TB_EXTERN_END

#endif
