/*
 * CRC32C (Castagnoli, reflected polynomial 0x82F63B78), as iSCSI, ext4 and Btrfs use it.
 *
 * The CPU's instruction has a latency of three cycles and starts one each cycle, so a long run is cut
 * into three lanes that are computed side by side and joined: the CRC of "A then B" is the CRC of A
 * moved on by length(B) zero bytes, xor the CRC of B from 0. Moving on by a fixed length is linear in the
 * 32 bits, hence four table look-ups. LANE makes a journal page (4096 - 8 bytes) exactly one round.
 *
 * Source of the method: Mark Adler's crc32c.c; Gopal et al., "Fast CRC computation", Intel 2011.
 */
#include <pthread.h>
#include <string.h>

#include <tickbus/journal.h>

#include "bus/crc32c.h"

#define POLYNOMIAL UINT32_C(0x82F63B78)
#define LANE 1360

static uint32_t step[8][256]; /* of one byte, followed by 0 .. 7 zero bytes */
static uint32_t jump[4][256]; /* of LANE zero bytes, by byte of the register */

static void tables_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        step[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            step[k][i] = step[k - 1][i] >> 8 ^ step[0][step[k - 1][i] & 255];

    uint32_t bit_moved[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = UINT32_C(1) << bit;
        for (int i = 0; i < LANE; i++)
            crc = crc >> 8 ^ step[0][crc & 255];
        bit_moved[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (int i = 0; i < 256; i++)
            for (int bit = 0; bit < 8; bit++)
                if ((i >> bit & 1) != 0)
                    jump[byte][i] ^= bit_moved[8 * byte + bit];
}

static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static uint64_t load(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Slicing by eight (little-endian, as all of tickbus). */
static uint32_t update_table(uint32_t crc, const unsigned char *p, size_t count)
{
    for (; count >= 8; p += 8, count -= 8) {
        uint64_t word = load(p) ^ crc;
        crc = 0;
        for (int i = 0; i < 8; i++)
            crc ^= step[7 - i][word >> 8 * i & 255];
    }
    for (; count > 0; p++, count--)
        crc = crc >> 8 ^ step[0][(crc ^ *p) & 255];
    return crc;
}

uint32_t tb_crc32c_table(uint32_t crc, const void *bytes, size_t count)
{
    (void)pthread_once(&tables_once, tables_make);
    return ~update_table(~crc, bytes, count);
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#define STEP8(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))
#define STEP1(crc, byte) _mm_crc32_u8(crc, byte)

bool tb_crc32c_has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#ifdef __clang__
#define TARGET __attribute__((target("crc")))
#else
#define TARGET __attribute__((target("+crc")))
#endif
#define STEP8(crc, word) __builtin_aarch64_crc32cx(crc, word)
#define STEP1(crc, byte) __builtin_aarch64_crc32cb(crc, byte)
#ifdef __clang__
#undef STEP8
#undef STEP1
#define STEP8(crc, word) __builtin_arm_crc32cd(crc, word)
#define STEP1(crc, byte) __builtin_arm_crc32cb(crc, byte)
#endif

bool tb_crc32c_has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#endif

#ifdef TARGET
static uint32_t move_on(uint32_t crc)
{
    return jump[0][crc & 255] ^ jump[1][crc >> 8 & 255] ^ jump[2][crc >> 16 & 255] ^
           jump[3][crc >> 24];
}

TARGET static uint32_t update_instruction(uint32_t crc, const unsigned char *p, size_t count)
{
    for (; count >= 3 * LANE; p += 3 * LANE, count -= 3 * LANE) {
        uint32_t second = 0, third = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            crc = STEP8(crc, load(p + i));
            second = STEP8(second, load(p + LANE + i));
            third = STEP8(third, load(p + 2 * LANE + i));
        }
        crc = move_on(move_on(crc) ^ second) ^ third;
    }
    for (; count >= 8; p += 8, count -= 8)
        crc = STEP8(crc, load(p));
    for (; count > 0; p++, count--)
        crc = STEP1(crc, *p);
    return crc;
}

uint32_t tb_crc32c_instruction(uint32_t crc, const void *bytes, size_t count)
{
    (void)pthread_once(&tables_once, tables_make);
    return ~update_instruction(~crc, bytes, count);
}
#else
bool tb_crc32c_has_instruction(void)
{
    return false;
}

uint32_t tb_crc32c_instruction(uint32_t crc, const void *bytes, size_t count)
{
    return tb_crc32c_table(crc, bytes, count);
}
#endif

uint32_t tb_crc32c(uint32_t crc, const void *bytes, size_t count)
{
    return tb_crc32c_has_instruction() ? tb_crc32c_instruction(crc, bytes, count)
                                       : tb_crc32c_table(crc, bytes, count);
}
