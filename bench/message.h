/*
 * What all peers carry: 64 bytes that prove themselves. Word 0 is the sequence, word 1 the intended
 * send time in ticks (0: flat out), words 2 .. 7 are the sequence + 2 .. + 7.
 */
#ifndef TICKBUS_BENCH_MESSAGE_H
#define TICKBUS_BENCH_MESSAGE_H

#include <tickbus/slot.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* gcc at -O2 keeps the short loops over a record's words; clang unrolls them by itself. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

struct message {
    TB_ALIGNAS(TB_CACHE_LINE) uint64_t word[8];
};
TB_STATIC_ASSERT(sizeof(struct message) == 64, "a cache line");

/*
 * message_fill: by 16-byte stores, so that whatever a peer copies with, up to that width, is
 * forwarded from the store buffer. A copy that is wider than the stores before it waits for the
 * cache: a third of the rate, and no fault of the peer.
 */
typedef uint64_t message_pair __attribute__((vector_size(16), may_alias));

ALWAYS_INLINE void message_fill(struct message *m, uint64_t seq, uint64_t intended)
{
    message_pair *pair = (message_pair *)(void *)m->word;
    message_pair base = {seq, seq};
    pair[0] = (message_pair){seq, intended};
    pair[1] = base + (message_pair){2, 3};
    pair[2] = base + (message_pair){4, 5};
    pair[3] = base + (message_pair){6, 7};
}

/* message_words: words 1 .. 7, for who takes them from registers. */
ALWAYS_INLINE void message_words(uint64_t out_word[7], uint64_t seq, uint64_t intended)
{
    out_word[0] = intended;
    UNROLL
    for (uint64_t i = 2; i < 8; i++)
        out_word[i - 1] = seq + i;
}

/*
 * message_put: the same for who makes them in a slot (tb_slot_fill_fn): message *context + index,
 * by the same 16-byte stores as message_fill.
 */
ALWAYS_INLINE void message_put(void *context, size_t index, struct tb_slot *slot)
{
    uint64_t seq = *(const uint64_t *)context + index;
    message_pair base = {seq, seq};
    tb_slot_put(slot, 0, 0);
    tb_slot_put_pair(slot, 1, base + (message_pair){2, 3});
    tb_slot_put_pair(slot, 3, base + (message_pair){4, 5});
    tb_slot_put_pair(slot, 5, base + (message_pair){6, 7});
}

/* message_wrong: 0 if it is the message seq. By 8-byte loads, which anything before them can
 * forward to. */
ALWAYS_INLINE uint64_t message_wrong(const struct message *m, uint64_t seq)
{
    uint64_t wrong = m->word[0] ^ seq;
    UNROLL
    for (uint64_t i = 2; i < 8; i++)
        wrong |= m->word[i] ^ (seq + i);
    return wrong;
}

TB_EXTERN_BEGIN

/*
 * The same for many in place, with the widest loads and stores that this processor has: they must
 * not be what limits a stream of a thousand million lines a second.
 */
uint64_t message_wrong_run(const struct message *m, uint64_t first_seq, size_t count);
void message_fill_run(struct message *m, uint64_t first_seq, size_t count);

/* message_width: bytes of those loads and stores: 64, 32, 16. */
int message_width(void);

TB_EXTERN_END

#endif
