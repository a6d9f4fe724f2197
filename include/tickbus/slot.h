/*
 * One slot of the ring, and the protocol by which one writer and any number of readers share it.
 * This file is the protocol: production, the Relacy test and the ThreadSanitizer build compile
 * these same lines; the Spin model (tests/model) follows them label by label.
 *
 *            word 0             words 1 .. 7
 *          +------------------+-----------------------------------------------+
 *   slot   | seq, or BUSY|seq | the record's other 56 bytes                    |   one cache line
 *          +------------------+-----------------------------------------------+
 *
 * Sequence s lives in slot s & (capacity - 1) and nowhere else. Word 0 is
 *   0          never written
 *   s          the record s is here, complete
 *   BUSY | s   the writer is putting s here (or died while it did)
 *
 * Ordering. Each access has a label; each edge names its partner.
 *
 *   writer                                     reader, wants s
 *   P1  word 0 = BUSY|s      relaxed           R1  word 0 == s?       acquire  pairs with P4
 *   P2  fence                release           R2  copy words 1..7    relaxed
 *   P3  words 1..7           relaxed           R3  fence              acquire  pairs with P2
 *   P4  word 0 = s           release           R4  word 0 == s still? relaxed
 *
 * Why a copy that passes R4 is the record s (argued in the C11 model, on any machine):
 *   A  R1 reads the value of P4 for s, so P4 synchronises with R1: everything the writer did up to
 *      and including P3 of s happens before R2. R2 can not read values older than those of s.
 *   B  Suppose some R2 read a value of a later P3, that of s + k * capacity. Then P2 of that lap (a
 *      release fence before the store) and R3 (an acquire fence after the load) synchronise, so P1
 *      of that lap happens before R4. By read-write coherence R4 sees that P1 or something later in
 *      word 0's modification order, never s again. R4 fails, and the copy is thrown away.
 *   So either all of R2 are words of s, or R4 fails.
 *   C  Words are atomics: a racing copy is defined. Only single 8-byte accesses are assumed whole.
 *
 * Each of P2, P4, R1, R3, R4 is needed: tests/model removes or weakens them one at a time, and each
 * removal is caught. P1 is what R4 finds in case B.
 *
 * A run of records s .. s + n - 1 needs R1 of its last slot and R4 of its first alone, because the
 * writer goes in order: P4 of the last happens after P4 of all before it (case A), and whatever is
 * overwritten later than the first comes after P1 of the first's next lap (case B).
 *
 * Wide stores and loads. Nothing here asks that more than one word be seen whole, so P3 and R2 may
 * move several words with one instruction where that instruction keeps its place between the
 * others. That is so on x86-64: ordinary stores of any width (not the non-temporal ones) become
 * visible in program order and ordinary loads happen in program order (Intel SDM vol. 3, 9.2; AMD
 * APM vol. 2, 7.2). A store of 16 or 32 bytes that the processor carries out in parts has all of
 * its parts between P1 and P4, and a load all of its parts between R1 and R4; that is what cases A
 * and B use (in which P3 and R2 are relaxed and may be seen in any order among themselves:
 * tests/model tries all). No promise that 16 bytes are atomic is needed, and none that 32 or 64
 * are. P1 and P4 are stores of word 0 alone; a wide store in between may cover word 0 too, if it
 * puts there what P1 did. To the compiler the wide accesses are volatile, behind the fence P2 or
 * the acquire of R1, and before the release of P4 or the fence R3. Elsewhere, under
 * ThreadSanitizer, and with TB_SLOT_PORTABLE defined, words are moved one by one.
 *
 * What it is worth (Zen 5, ns per record into a ring of 4 MiB; bench/README.md for rates): a record
 * from registers 1.1 by words, 2.0 by four 16-byte stores, because putting registers together costs
 * more than the stores it saves: tb_slot_write stays by words. A record that was in memory for a
 * while 1.2 by words, 0.8 by 16 bytes, 0.6 by 32, 0.6 by 64: tb_writer_publish_many. A record whose
 * fields were stored just now 2.9 by words and 5.0 by anything wider, which waits until the stores
 * are in the cache. Words that are vectors already, put into the slot as they are
 * (tb_slot_put_pair), spare both: 1.0, tb_writer_publish_in_place. Not taken: one 64-byte store
 * without marks, which is seen whole on this processor and promised by none (one at a time no
 * faster: 470 M/s all alike where cores share a cache, limited by the reader); marks set 16 slots
 * ahead (slower: 250 to 380).
 *
 * Source: Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012; the
 * mark that names the new sequence is that of Firedancer's tango (fd_mcache.h) made explicit.
 */
#ifndef TICKBUS_SLOT_H
#define TICKBUS_SLOT_H

#include <tickbus/base.h>

/* A model checker defines these four before it includes this file (tests/model/relacy_slot.cpp). */
#ifndef TB_SLOT_ATOMIC
#define TB_SLOT_ATOMIC(type) TB_ATOMIC(type)
#define TB_LOAD(label, object, order) atomic_load_explicit((object), memory_order_##order)
#define TB_STORE(label, object, value, order)                                                      \
    atomic_store_explicit((object), (value), memory_order_##order)
#define TB_FENCE(label, order) atomic_thread_fence(memory_order_##order)
#endif

#ifndef TB_SLOT_WORDS
#define TB_SLOT_WORDS 7
#endif

/*
 * The words go through registers: gcc 12 at -O2 otherwise copies them to the stack with 16-byte
 * loads and back with 8-byte ones. Such a wide load of a record whose fields were just stored one
 * by one can not be forwarded from the store buffer (a third of the publish rate, reference
 * measurement).
 */
#if defined(__GNUC__) && !defined(__clang__)
#define TB_UNROLL _Pragma("GCC unroll 8")
#else
#define TB_UNROLL
#endif

#define TB_SEQ_BUSY (UINT64_C(1) << 63)

/* Two words at a time: every x86-64 has it. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TB_SLOT_PORTABLE
#endif
#endif
#if defined(__x86_64__) && !defined(TB_SLOT_PORTABLE) && !defined(__SANITIZE_THREAD__)
#define TB_SLOT_WIDE 1
typedef uint64_t tb_word_pair_anywhere __attribute__((vector_size(16), may_alias, aligned(8)));
#else
#define TB_SLOT_WIDE 0
#endif
typedef uint64_t tb_word_pair __attribute__((vector_size(16), may_alias));

struct tb_slot {
    TB_ALIGNAS(TB_CACHE_LINE) TB_SLOT_ATOMIC(uint64_t) seq;
    TB_SLOT_ATOMIC(uint64_t) word[TB_SLOT_WORDS];
};

enum tb_slot_state {
    TB_SLOT_OK,    /* the copy is the record s */
    TB_SLOT_EMPTY, /* s is not published yet, or half written: look again */
    TB_SLOT_LAPPED /* s is gone: the slot holds, or is being given, a later sequence */
};

/*
 * tb_slot_begin, tb_slot_end: P1 and P2, and P4. Between them all of word[] is stored, P3, each
 * word once, by tb_slot_put or in any other way that "Wide stores" above allows. Role: the ring's
 * producer, one thread. A producer that dies between P1 and P4 leaves BUSY|seq; its successor
 * publishes seq again.
 */
static inline void tb_slot_begin(struct tb_slot *slot, uint64_t seq)
{
    TB_STORE(P1, &slot->seq, seq | TB_SEQ_BUSY, relaxed);
    TB_POINT("publish:after_P1");
    TB_FENCE(P2, release);
}

static inline void tb_slot_end(struct tb_slot *slot, uint64_t seq)
{
    TB_POINT("publish:before_P4");
    TB_STORE(P4, &slot->seq, seq, release);
    TB_POINT("publish:after_P4");
}

/* tb_slot_put: word[i]. tb_slot_put_pair: word[i] and word[i + 1], i odd, for who has them in a
 * vector. */
static inline void tb_slot_put(struct tb_slot *slot, size_t i, uint64_t word)
{
    TB_STORE(P3, &slot->word[i], word, relaxed);
}

static inline void tb_slot_put_pair(struct tb_slot *slot, size_t i, tb_word_pair pair)
{
#if TB_SLOT_WIDE
    ((volatile tb_word_pair *)(void *)slot)[(i + 1) / 2] = pair; /* P3 */
#else
    tb_slot_put(slot, i, pair[0]);
    tb_slot_put(slot, i + 1, pair[1]);
#endif
}

/* tb_slot_write: publish seq with these words. */
static inline void tb_slot_write(struct tb_slot *slot, uint64_t seq,
                                 const uint64_t word[TB_SLOT_WORDS])
{
    tb_slot_begin(slot, seq);
    TB_UNROLL
    for (size_t i = 0; i < TB_SLOT_WORDS; i++) {
        tb_slot_put(slot, i, word[i]);
        if (i == TB_SLOT_WORDS / 2)
            TB_POINT("publish:in_P3");
    }
    tb_slot_end(slot, seq);
}

/* tb_slot_load_words, tb_slot_store_words: words to and from plain memory, e.g. bytes 8..63 of a
 * record. */
static inline void tb_slot_load_words(uint64_t out_word[TB_SLOT_WORDS], const void *from)
{
    TB_UNROLL
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        __builtin_memcpy(&out_word[i], (const char *)from + i * sizeof(uint64_t), sizeof(uint64_t));
}

static inline void tb_slot_store_words(void *to, const uint64_t word[TB_SLOT_WORDS])
{
    TB_UNROLL
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        __builtin_memcpy((char *)to + i * sizeof(uint64_t), &word[i], sizeof(uint64_t));
}

/*
 * tb_slot_copy: R2 of all words into a record's 64 bytes, with seq as word 0. Between R1 and R3 of
 * whoever calls it (tb_reader_run and tb_reader_confirm do them).
 */
static inline void tb_slot_copy(const struct tb_slot *slot, uint64_t seq, void *out_record)
{
#if TB_SLOT_WIDE
    const volatile tb_word_pair *from = (const volatile tb_word_pair *)(const void *)slot;
    tb_word_pair_anywhere *to = (tb_word_pair_anywhere *)out_record;
    uint64_t first = TB_LOAD(R2, &slot->word[0], relaxed);
    tb_word_pair a = from[1], b = from[2], c = from[3];
    __builtin_memcpy(out_record, &seq, sizeof(seq));
    __builtin_memcpy((char *)out_record + sizeof(seq), &first, sizeof(first));
    to[1] = a, to[2] = b, to[3] = c;
#else
    uint64_t word[TB_SLOT_WORDS];
    TB_UNROLL
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        word[i] = TB_LOAD(R2, &slot->word[i], relaxed);
    __builtin_memcpy(out_record, &seq, sizeof(seq));
    tb_slot_store_words((char *)out_record + sizeof(seq), word);
#endif
}

/* tb_slot_judge: what word 0 == `seen` means to a reader that wants seq (seen != seq). */
static inline enum tb_slot_state tb_slot_judge(uint64_t seen, uint64_t seq)
{
    return (seen & ~TB_SEQ_BUSY) > seq ? TB_SLOT_LAPPED : TB_SLOT_EMPTY;
}

/* tb_slot_read: copy the words of seq. out_word may hold anything unless TB_SLOT_OK is returned. */
static inline enum tb_slot_state tb_slot_read(const struct tb_slot *slot, uint64_t seq,
                                              uint64_t out_word[TB_SLOT_WORDS])
{
    uint64_t seen = TB_LOAD(R1, &slot->seq, acquire);
    if (TB_UNLIKELY(seen != seq))
        return tb_slot_judge(seen, seq);
    TB_UNROLL
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        out_word[i] = TB_LOAD(R2, &slot->word[i], relaxed);
    TB_FENCE(R3, acquire);
    seen = TB_LOAD(R4, &slot->seq, relaxed);
    return TB_LIKELY(seen == seq) ? TB_SLOT_OK : TB_SLOT_LAPPED;
}

#endif
