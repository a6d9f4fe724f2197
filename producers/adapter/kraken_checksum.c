#include <string.h>
#include <zlib.h>

#include "producers/adapter/kraken.h"

#define LEVELS 10
#define DIGITS_MAX 40 /* of an int64, and zeros behind it */

/* The digits of mantissa * 10^exp written with `digits` behind the point: no point, no leading zeros. */
static char *put(char *out, int64_t mantissa, int exp, unsigned digits)
{
    char reversed[DIGITS_MAX];
    unsigned count = 0;
    int zeros = (int)digits + exp;
    for (; zeros < 0; zeros++) /* the instrument is finer than the venue's text: zeros, by then */
        mantissa /= 10;
    for (uint64_t rest = (uint64_t)mantissa; rest > 0; rest /= 10)
        reversed[count++] = (char)('0' + rest % 10);
    if (count == 0)
        return out;
    while (count > 0)
        *out++ = reversed[--count];
    memset(out, '0', (size_t)zeros);
    return out + zeros;
}

static char *put_side(char *out, const struct tb_book *book, uint8_t side, unsigned price_digits,
                      unsigned size_digits)
{
    for (uint32_t rank = 0; rank < LEVELS; rank++) {
        const struct tb_book_level *level = tb_book_best(book, side, rank);
        if (level == NULL)
            break;
        out = put(out, level->price, book->price_exp, price_digits);
        out = put(out, level->size, book->size_exp, size_digits);
    }
    return out;
}

uint32_t kraken_checksum(const struct tb_book *book, unsigned price_digits, unsigned size_digits)
{
    char text[2 * 2 * LEVELS * DIGITS_MAX];
    char *end = put_side(text, book, TB_SELL, price_digits, size_digits);
    end = put_side(end, book, TB_BUY, price_digits, size_digits);
    return (uint32_t)crc32(0, (const unsigned char *)text, (unsigned)(end - text));
}
