/*
 * Records that prove themselves: word i of sequence s is mix(s, i). A torn, stale or misplaced
 * record can not pass.
 */
#ifndef TICKBUS_TESTS_WORDS_H
#define TICKBUS_TESTS_WORDS_H

#include <string.h>

#include <tickbus/ring.h>

static inline uint64_t words_mix(tb_seq seq, unsigned i)
{
    uint64_t x = seq * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 31;
    return x * UINT64_C(0x94d049bb133111eb);
}

static inline void words_fill(struct tb_record *record, tb_seq seq)
{
    uint64_t word[8];
    for (unsigned i = 1; i < 8; i++)
        word[i] = words_mix(seq, i);
    memcpy((char *)record + 8, &word[1], 56);
}

static inline bool words_right(const struct tb_record *record, tb_seq seq)
{
    uint64_t word[8];
    memcpy(word, record, sizeof(word));
    bool right = word[0] == seq;
    for (unsigned i = 1; i < 8; i++)
        right = right && word[i] == words_mix(seq, i);
    return right;
}

#endif
