/* See message.h. */
#include "bench/message.h"

typedef uint64_t line __attribute__((vector_size(64), may_alias));

ALWAYS_INLINE uint64_t wrong_run(const struct message *m, uint64_t seq, size_t count)
{
    const line mask = {UINT64_MAX, 0,          UINT64_MAX, UINT64_MAX,
                       UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    line want = seq + (line){0, 0, 2, 3, 4, 5, 6, 7}, wrong = {0};
    for (size_t i = 0; i < count; i++, want += 1)
        wrong |= (*(const line *)(const void *)&m[i] ^ want) & mask;
    uint64_t any = 0;
    for (int i = 0; i < 8; i++)
        any |= wrong[i];
    return any;
}

ALWAYS_INLINE void fill_run(struct message *m, uint64_t seq, size_t count)
{
    line next = seq + (line){0, 0, 2, 3, 4, 5, 6, 7};
    next[1] = 0;
    const line one = {1, 0, 1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < count; i++, next += one) {
        *(line *)(void *)&m[i] = next;
        __asm__ volatile("" ::: "memory"); /* every line is stored, in order, none merged */
    }
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static uint64_t wrong_run_512(const struct message *m,
                                                                 uint64_t seq, size_t count)
{
    return wrong_run(m, seq, count);
}

__attribute__((target("avx2"))) static uint64_t wrong_run_256(const struct message *m, uint64_t seq,
                                                              size_t count)
{
    return wrong_run(m, seq, count);
}

__attribute__((target("avx512f"))) static void fill_run_512(struct message *m, uint64_t seq,
                                                            size_t count)
{
    fill_run(m, seq, count);
}

__attribute__((target("avx2"))) static void fill_run_256(struct message *m, uint64_t seq,
                                                         size_t count)
{
    fill_run(m, seq, count);
}

int message_width(void)
{
    return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
}

uint64_t message_wrong_run(const struct message *m, uint64_t first_seq, size_t count)
{
    switch (message_width()) {
    case 64:
        return wrong_run_512(m, first_seq, count);
    case 32:
        return wrong_run_256(m, first_seq, count);
    default:
        return wrong_run(m, first_seq, count);
    }
}

void message_fill_run(struct message *m, uint64_t first_seq, size_t count)
{
    switch (message_width()) {
    case 64:
        fill_run_512(m, first_seq, count);
        break;
    case 32:
        fill_run_256(m, first_seq, count);
        break;
    default:
        fill_run(m, first_seq, count);
        break;
    }
}
#else
int message_width(void)
{
    return 16;
}

uint64_t message_wrong_run(const struct message *m, uint64_t first_seq, size_t count)
{
    return wrong_run(m, first_seq, count);
}

void message_fill_run(struct message *m, uint64_t first_seq, size_t count)
{
    fill_run(m, first_seq, count);
}
#endif
