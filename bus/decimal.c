/*
 * Exact decimals. A feed parses two to forty numbers per frame, so tb_decimal_parse has a path
 * without a loop for the shape that venues send ("61837.63000000"): eight digits are one 64-bit
 * word. Whatever does not have that shape, wrong input included, goes through scan(), which knows
 * the whole grammar and names every error.
 */
#include <tickbus/decimal.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bus/digits.h"

typedef unsigned __int128 wide; /* a magnitude */

#define NARROW_EXP_MAX 18 /* 10^18 is the largest power of ten in an int64 */
#define WIDE_EXP_MAX 36   /* of a price times a size */
/* A written exponent beyond this leaves every range, and sums with it can not overflow. */
#define WRITTEN_EXP_MAX 100000

static const int64_t power10[NARROW_EXP_MAX + 1] = {
    INT64_C(1),
    INT64_C(10),
    INT64_C(100),
    INT64_C(1000),
    INT64_C(10000),
    INT64_C(100000),
    INT64_C(1000000),
    INT64_C(10000000),
    INT64_C(100000000),
    INT64_C(1000000000),
    INT64_C(10000000000),
    INT64_C(100000000000),
    INT64_C(1000000000000),
    INT64_C(10000000000000),
    INT64_C(100000000000000),
    INT64_C(1000000000000000),
    INT64_C(10000000000000000),
    INT64_C(100000000000000000),
    INT64_C(1000000000000000000),
};

/* 10^0 .. 10^22: the powers of ten that a double holds exactly. */
#define EXACT_POWERS 22
static const double exact_power10[EXACT_POWERS + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};
#define EXACT_INTEGER (INT64_C(1) << 53) /* up to here every integer is a double */

/* ---- text to mantissa ---- */

/* value = digits * 10^exp; digits does not end in a zero, unless it is 0. */
struct scanned {
    uint64_t digits;
    int64_t exp;
    bool negative;
    bool too_long; /* more digits than 64 bits hold: digits is meaningless */
};

/* Appends `zeros` zeros and then one digit. */
static void append_digit(struct scanned *s, uint64_t zeros, unsigned digit)
{
    if (s->digits != 0) {
        for (; zeros > 0 && !s->too_long; zeros--)
            s->too_long = __builtin_mul_overflow(s->digits, 10U, &s->digits);
        s->too_long = s->too_long || __builtin_mul_overflow(s->digits, 10U, &s->digits);
    }
    s->too_long = s->too_long || __builtin_add_overflow(s->digits, digit, &s->digits);
}

/* e[+-]digits at text[*at]; clamped, so that what comes after needs no care. */
static bool scan_exponent(const char *text, size_t length, size_t at, int64_t *out_exp)
{
    bool negative = false;
    if (at < length && (text[at] == '+' || text[at] == '-'))
        negative = text[at++] == '-';
    if (at == length)
        return false;
    int64_t value = 0;
    for (; at < length; at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (digit > 9)
            return false;
        if (value < WRITTEN_EXP_MAX)
            value = value * 10 + digit;
    }
    *out_exp = negative ? -value : value;
    return true;
}

/* The whole grammar: [-]digits[.digits][e[+-]digits]. False: it is none. */
static bool scan(const char *text, size_t length, struct scanned *out)
{
    struct scanned s = {0};
    size_t at = 0;
    if (at < length && text[at] == '-') {
        s.negative = true;
        at++;
    }
    uint64_t zeros = 0;   /* since the last digit that is not 0 */
    int64_t fraction = 0; /* digits after the point */
    size_t count = 0;     /* digits in the present part */
    bool point = false;
    int64_t written = 0;
    for (; at < length; at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (digit <= 9) {
            count++;
            fraction += point;
            if (digit == 0) {
                zeros++;
            } else {
                append_digit(&s, zeros, digit);
                zeros = 0;
            }
        } else if (text[at] == '.' && !point && count > 0) {
            point = true;
            count = 0;
        } else if ((text[at] == 'e' || text[at] == 'E') && count > 0) {
            if (!scan_exponent(text, length, at + 1, &written))
                return false;
            break;
        } else {
            return false;
        }
    }
    if (count == 0)
        return false;
    bool is_zero = s.digits == 0 && !s.too_long;
    s.exp = is_zero ? 0 : written - fraction + (int64_t)zeros;
    *out = s;
    return true;
}

static int parse_any(const char *text, size_t length, int exp, int64_t *out_mantissa)
{
    struct scanned s;
    if (!scan(text, length, &s))
        return -EINVAL;
    if (s.too_long)
        return -ERANGE; /* at any exponent */
    if (s.digits == 0) {
        *out_mantissa = 0;
        return 0;
    }
    int64_t shift = s.exp - exp;
    if (shift < 0)
        return -EDOM;
    if (shift > NARROW_EXP_MAX)
        return -ERANGE;
    wide magnitude = (wide)s.digits * (wide)power10[shift];
    if (magnitude > (wide)INT64_MAX + s.negative)
        return -ERANGE;
    uint64_t bits = (uint64_t)magnitude;
    *out_mantissa = (int64_t)(s.negative ? 0 - bits : bits);
    return 0;
}

int tb_decimal_parse(const char *text, size_t length, int exp, int64_t *out_mantissa)
{
    if (TB_LIKELY(digits_decimal(text, length, exp, out_mantissa)))
        return 0;
    return parse_any(text, length, exp, out_mantissa);
}

int tb_decimal_exp(const char *text, size_t length, int *out_exp)
{
    struct scanned s;
    if (!scan(text, length, &s))
        return -EINVAL;
    if (s.exp < -NARROW_EXP_MAX)
        return -ERANGE;
    *out_exp = s.exp < 0 ? (int)s.exp : 0;
    return 0;
}

/* ---- mantissa to text ---- */

/* Digits of a magnitude, right-aligned before `end`; at least `least` of them. Returns the first. */
static char *put_digits(wide magnitude, int least, char *end)
{
    char *at = end;
    while (magnitude > UINT64_MAX) {
        *--at = (char)('0' + (int)(magnitude % 10));
        magnitude /= 10;
    }
    for (uint64_t rest = (uint64_t)magnitude; rest > 0; rest /= 10)
        *--at = (char)('0' + (int)(rest % 10));
    while (end - at < least)
        *--at = '0';
    return at;
}

static size_t format(bool negative, wide magnitude, int exp, bool fixed, char *out)
{
    TB_ASSERT(exp <= 0 && exp >= -WIDE_EXP_MAX);
    char digits[64];
    char *end = digits + sizeof(digits);
    int fraction = -exp;
    const char *first = put_digits(magnitude, fraction + 1, end);
    size_t whole = (size_t)(end - first) - (size_t)fraction;
    while (!fixed && fraction > 0 && end[-1] == '0') {
        end--;
        fraction--;
    }
    size_t length = 0;
    if (negative)
        out[length++] = '-';
    memcpy(out + length, first, whole);
    length += whole;
    if (fraction > 0) {
        out[length++] = '.';
        memcpy(out + length, first + whole, (size_t)fraction);
        length += (size_t)fraction;
    }
    out[length] = '\0';
    return length;
}

/* The magnitude of any value, the lowest one included. */
static wide magnitude_of(__int128 value)
{
    return value < 0 ? 0 - (wide)value : (wide)value;
}

size_t tb_decimal_format(int64_t mantissa, int exp, char out[TB_DECIMAL_BYTES])
{
    return format(mantissa < 0, magnitude_of(mantissa), exp, false, out);
}

size_t tb_decimal_format_fixed(int64_t mantissa, int exp, char out[TB_DECIMAL_BYTES])
{
    return format(mantissa < 0, magnitude_of(mantissa), exp, true, out);
}

size_t tb_decimal_format_wide(__int128 mantissa, int exp, char out[TB_DECIMAL_BYTES])
{
    return format(mantissa < 0, magnitude_of(mantissa), exp, false, out);
}

/* ---- to and from double ---- */

/*
 * numerator / divisor, rounded once. Long division makes 65 bits or more of the quotient; a remainder
 * becomes a one in the last of them (a sticky bit, far below the half of the last place), so that the
 * conversion to double, which rounds to even, sees everything it must know.
 */
static double divide(wide numerator, wide divisor)
{
    wide quotient = numerator / divisor;
    wide rest = numerator % divisor;
    int shift = 0;
    while (rest != 0 && (quotient >> 64) == 0) {
        rest <<= 1; /* divisor <= 10^36 < 2^120: no overflow */
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
        shift++;
    }
    quotient |= rest != 0;
    return ldexp((double)quotient, -shift);
}

double tb_decimal_double_wide(__int128 mantissa, int exp)
{
    TB_ASSERT(exp <= 0 && exp >= -WIDE_EXP_MAX);
    /* Both operands exact: IEEE division rounds the true quotient, once. */
    if (mantissa >= -EXACT_INTEGER && mantissa <= EXACT_INTEGER && exp >= -EXACT_POWERS)
        return (double)(int64_t)mantissa / exact_power10[-exp];
    wide divisor = 1;
    for (int i = 0; i < -exp; i++)
        divisor *= 10;
    double value = divide(magnitude_of(mantissa), divisor);
    return mantissa < 0 ? -value : value;
}

double tb_decimal_double(int64_t mantissa, int exp)
{
    return tb_decimal_double_wide(mantissa, exp);
}

/*
 * A value that is a decimal of at most 15 digits, 8 of them after the point, which is nearly every
 * value a market makes. Two such decimals are never the same double, so the one found is the shortest.
 */
static size_t format_short_decimal(double value, char *out)
{
    double magnitude = fabs(value);
    if (!(magnitude < 1e15) || (magnitude < 1e-4 && magnitude != 0))
        return 0;
    for (int places = 0; places <= 8; places++) {
        double scaled = magnitude * exact_power10[places];
        if (scaled >= 1e15)
            return 0;
        int64_t mantissa = (int64_t)(scaled + 0.5);
        if ((double)mantissa / exact_power10[places] == magnitude)
            return format(signbit(value) != 0, (wide)mantissa, -places, false, out);
    }
    return 0;
}

size_t tb_double_format(double value, char out[TB_DOUBLE_BYTES])
{
    if (isnan(value) || isinf(value)) {
        const char *text = isnan(value) ? "NaN" : value < 0 ? "-Inf" : "+Inf";
        strcpy(out, text);
        return strlen(text);
    }
    size_t length = format_short_decimal(value, out);
    if (length > 0)
        return length;
    /* 15 digits always survive text -> double -> text, so none shorter is missed; but subnormals
     * have fewer digits, and start at one. 17 always survive double -> text -> double. */
    for (int digits = fpclassify(value) == FP_SUBNORMAL ? 1 : 15; digits <= 17; digits++) {
        length = (size_t)snprintf(out, TB_DOUBLE_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    /* A host program may have set a locale whose point is a comma. */
    char *comma = strchr(out, ',');
    if (comma != NULL)
        *comma = '.';
    return length;
}

int tb_decimal_rescale(int64_t mantissa, int from, int to, int64_t *out_mantissa)
{
    int64_t result = mantissa;
    int steps = from > to ? from - to : to - from;
    if (mantissa == 0 || steps == 0) {
        *out_mantissa = mantissa;
        return 0;
    }
    if (steps > NARROW_EXP_MAX)
        return from > to ? -ERANGE : -EDOM;
    if (from > to) {
        if (__builtin_mul_overflow(mantissa, power10[steps], &result))
            return -ERANGE;
    } else {
        if (mantissa % power10[steps] != 0)
            return -EDOM;
        result = mantissa / power10[steps];
    }
    *out_mantissa = result;
    return 0;
}
