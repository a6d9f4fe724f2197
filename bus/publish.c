/*
 * tb_writer_publish_many and its inner loops. Why wide stores keep the protocol is argued in slot.h; here
 * they are: by words on any machine, by 16 bytes on every x86-64, by 32 where there is AVX2. 64
 * bytes (AVX-512) were measured and are no faster than 32. What the processor has is asked when a
 * writer is opened, not by ifunc, so that static linking and sanitizers see plain calls.
 */
#include "publish.h"

#if TB_SLOT_WIDE
#include <immintrin.h>
#endif

/*
 * The last records of a short batch were mostly stored field by field just now: a wide load of such bytes
 * waits for the stores to reach the cache (5.0 against 2.9 ns).
 */
#define SHORT_BATCH 4

static void write_words(struct tb_slot *slots, uint64_t mask, tb_seq seq,
                        const struct tb_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++, seq++) {
        uint64_t word[TB_SLOT_WORDS];
        tb_slot_own(slots, mask, seq);
        tb_record_words(word, &records[i]);
        tb_slot_write(&slots[seq & mask], seq, word);
    }
}

#if TB_SLOT_WIDE
static void write_16(struct tb_slot *slots, uint64_t mask, tb_seq seq,
                     const struct tb_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++, seq++) {
        struct tb_slot *slot = &slots[seq & mask];
        const tb_word_pair_anywhere *from = (const tb_word_pair_anywhere *)&records[i];
        tb_word_pair a = from[1], b = from[2], c = from[3];
        tb_slot_own(slots, mask, seq);
        tb_slot_begin(slot, seq);
        tb_slot_put(slot, 0, (uint64_t)records[i].ts_event);
        TB_POINT("publish:in_P3");
        tb_slot_put_pair(slot, 1, a);
        tb_slot_put_pair(slot, 3, b);
        tb_slot_put_pair(slot, 5, c);
        tb_slot_end(slot, seq);
    }
}

/* Two stores: the lower one has the mark again in word 0, as P1 left it, so nobody sees a difference. */
__attribute__((target("avx2"))) static void write_32(struct tb_slot *slots, uint64_t mask,
                                                     tb_seq seq, const struct tb_record *records,
                                                     size_t count)
{
    for (size_t i = 0; i < count; i++, seq++) {
        struct tb_slot *slot = &slots[seq & mask];
        const __m256i *from = (const __m256i *)(const void *)&records[i];
        volatile __m256i *to = (volatile __m256i *)(void *)slot;
        __m256i mark = _mm256_set1_epi64x((long long)(seq | TB_SEQ_BUSY));
        __m256i low = _mm256_blend_epi32(_mm256_loadu_si256(from), mark, 3);
        __m256i high = _mm256_loadu_si256(from + 1);
        tb_slot_own(slots, mask, seq);
        tb_slot_begin(slot, seq);
        to[0] = low; /* P3 */
        TB_POINT("publish:in_P3");
        to[1] = high; /* P3 */
        tb_slot_end(slot, seq);
    }
}
#endif

size_t tb_publish_ways(struct tb_publish_way out_ways[TB_PUBLISH_WAYS_MAX])
{
    size_t count = 0;
    out_ways[count++] = (struct tb_publish_way){"words", write_words};
#if TB_SLOT_WIDE
    out_ways[count++] = (struct tb_publish_way){"16 bytes", write_16};
    if (__builtin_cpu_supports("avx2"))
        out_ways[count++] = (struct tb_publish_way){"32 bytes", write_32};
#endif
    return count;
}

size_t tb_writer_publish_many(struct tb_writer *w, const struct tb_record *records, size_t count)
{
    size_t done = 0;
    while (done < count) {
        if (!tb_writer_has_room(w, w->next_seq))
            break;
        size_t n = count - done;
        if (n > w->limit - w->next_seq)
            n = (size_t)(w->limit - w->next_seq);
        (n < SHORT_BATCH ? write_words : w->write_many)(w->slots, w->mask, w->next_seq,
                                                        records + done, n);
        w->next_seq += n;
        done += n;
    }
    return done;
}
