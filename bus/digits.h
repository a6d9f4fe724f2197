/*
 * Runs of ASCII digits to numbers, eight at a time, for what reads venues' text: decimals, ids,
 * times. Nothing outside text[length] is read.
 */
#ifndef TICKBUS_BUS_DIGITS_H
#define TICKBUS_BUS_DIGITS_H

#include <string.h>

#include <tickbus/base.h>

TB_EXTERN_BEGIN

#define DIGITS_EACH(b) (UINT64_C(0x0101010101010101) * (b))

/*
 * Eight values 0..9, the first in the lowest byte, to a number: pairs, then fours, then all
 * (Lemire, "Quickly parsing eight digits", 2022).
 */
static inline uint64_t digits_join(uint64_t values)
{
    values = values * 10 + (values >> 8);
    const uint64_t mask = UINT64_C(0x000000FF000000FF);
    uint64_t high = (values & mask) * (100 + (UINT64_C(1000000) << 32));
    uint64_t low = ((values >> 16) & mask) * (1 + (UINT64_C(10000) << 32));
    return (high + low) >> 32;
}

/* digits_load: eight characters, the first in the lowest byte. */
static inline uint64_t digits_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* digits_load_short: up to seven, zero bytes behind them. */
static inline uint64_t digits_load_short(const char *text, size_t length)
{
    if (length >= 4) { /* two halves, which may overlap */
        uint32_t first, last;
        memcpy(&first, text, sizeof(first));
        memcpy(&last, text + length - 4, sizeof(last));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        first = __builtin_bswap32(first);
        last = __builtin_bswap32(last);
#endif
        return first | (uint64_t)last << (8 * (length - 4));
    }
    uint64_t word = 0;
    for (size_t i = length; i > 0; i--)
        word = word << 8 | (unsigned char)text[i - 1];
    return word;
}

/* digits_stray: not 0 if a byte is not 0..9. */
static inline uint64_t digits_stray(uint64_t values)
{
    return ((values + DIGITS_EACH(0x76)) | values) & DIGITS_EACH(0x80);
}

/* The first n of eight characters, n 1..8, right-aligned as values, zeros in front. */
static inline uint64_t digits_first(uint64_t word, unsigned n)
{
    return (word ^ DIGITS_EACH((uint64_t)'0')) << (64 - 8 * n);
}

/* digits_unsigned: 1 to 19 digits and nothing else. False: another text. */
static inline bool digits_unsigned(const char *text, size_t length, uint64_t *out)
{
    if (length == 0 || length > 19)
        return false;
    if (length <= 8) {
        uint64_t word = length == 8 ? digits_load(text) : digits_load_short(text, length);
        uint64_t values = digits_first(word, (unsigned)length);
        *out = digits_join(values);
        return digits_stray(values) == 0;
    }
    uint64_t high = 0, tail = digits_load(text + length - 8) ^ DIGITS_EACH((uint64_t)'0');
    if (digits_stray(tail) != 0)
        return false;
    if (length <= 16) {
        high = digits_first(digits_load(text), (unsigned)length - 8);
        if (digits_stray(high) != 0)
            return false;
        high = digits_join(high);
    } else {
        for (size_t i = 0; i < length - 8; i++) {
            unsigned digit = (unsigned char)text[i] - (unsigned)'0';
            if (digit > 9)
                return false;
            high = high * 10 + digit;
        }
    }
    *out = high * 100000000U + digits_join(tail);
    return true;
}

/*
 * digits_decimal: "ddd.ddd" or "ddd" to a mantissa in exp, -8 .. 0: at most 7 digits before the
 * point and 8 after it. False: another shape, or wrong, or digits that exp does not hold:
 * tb_decimal_parse knows which.
 */
static inline bool digits_decimal(const char *text, size_t length, int exp, int64_t *out_mantissa)
{
    static const uint32_t power10[9] = {1,      10,      100,      1000,     10000,
                                        100000, 1000000, 10000000, 100000000};
    if (length - 1 >= 16 || (unsigned)-exp > 8)
        return false;
    bool is_short = length < 8;
    uint64_t head = is_short ? digits_load_short(text, length) : digits_load(text);
    uint64_t point = head ^ DIGITS_EACH((uint64_t)'.');
    point = (point - DIGITS_EACH(1)) & ~point & DIGITS_EACH(0x80); /* lowest set bit: first point */
    unsigned whole = point == 0 ? (unsigned)length : (unsigned)__builtin_ctzll(point) / 8;
    unsigned fraction = (unsigned)length - whole - (point != 0);
    if (whole - 1 >= 8 || (point != 0 && fraction - 1 >= 8))
        return false;
    /* Shifts bring zero bytes in, which are leading zeros here, trailing ones below. */
    uint64_t tail = 0, cents = 0;
    unsigned kept = (unsigned)-exp;
    if (fraction > 0) {
        tail = is_short ? head << (64 - 8 * length) : digits_load(text + length - 8);
        tail = (tail ^ DIGITS_EACH((uint64_t)'0')) >> (64 - 8 * fraction);
    }
    head = digits_first(head, whole);
    if ((digits_stray(head) | digits_stray(tail)) != 0)
        return false;
    if (kept > 0) {
        cents = tail << (64 - 8 * kept);
        tail = kept < 8 ? tail >> (8 * kept) : 0;
    }
    if (tail != 0)
        return false;
    *out_mantissa = (int64_t)(digits_join(head) * power10[kept] + digits_join(cents));
    return true;
}

TB_EXTERN_END

#endif
