/*
 * Exact decimals: mantissa * 10^exp, from a venue's text and back. No binary floating point, but at
 * the two edges that need it, where it is rounded correctly, once.
 */
#ifndef TICKBUS_DECIMAL_H
#define TICKBUS_DECIMAL_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

/*
 * tb_decimal_parse: text[length], "[-]digits[.digits]" (an exponent as in "1e-7" too), to a
 * mantissa in `exp` (-18..0). Trailing zeros beyond exp are fine; a digit that is not zero there is
 * not.
 * Errors    -EINVAL  no decimal
 *           -ERANGE  does not fit int64
 *           -EDOM    has more digits than exp can hold: the instrument must be refined, not rounded
 */
int tb_decimal_parse(const char *text, size_t length, int exp, int64_t *out_mantissa);

/*
 * tb_decimal_exp: the coarsest exponent (<= 0) that holds text exactly: "1.500" is -1, "20" is 0.
 * Errors    -EINVAL; -ERANGE finer than -18
 */
int tb_decimal_exp(const char *text, size_t length, int *out_exp);

#define TB_DECIMAL_BYTES 48
/* tb_decimal_format: plain digits, no exponent, trailing zeros cut ("0.1", "61837.63", "-5", "0").
 * Returns the length. */
size_t tb_decimal_format(int64_t mantissa, int exp, char out[TB_DECIMAL_BYTES]);
/* tb_decimal_format_fixed: all -exp digits after the point ("61837.60"), as screens want it. */
size_t tb_decimal_format_fixed(int64_t mantissa, int exp, char out[TB_DECIMAL_BYTES]);
/* tb_decimal_format_wide: a 128-bit mantissa (turnover); same form as tb_decimal_format. */
size_t tb_decimal_format_wide(tb_wide mantissa, int exp, char out[TB_DECIMAL_BYTES]);

/* tb_decimal_double: the double nearest to mantissa * 10^exp (ties to even), rounded once. */
double tb_decimal_double(int64_t mantissa, int exp);
double tb_decimal_double_wide(tb_wide mantissa, int exp);

#define TB_DOUBLE_BYTES 32
/* tb_double_format: the shortest text that reads back as the same double; "NaN", "+Inf", "-Inf". */
size_t tb_double_format(double value, char out[TB_DOUBLE_BYTES]);

/*
 * tb_decimal_rescale: mantissa from exponent `from` to a finer or equal `to`.
 * Errors    -ERANGE does not fit; -EDOM `to` is coarser and digits would be lost
 */
int tb_decimal_rescale(int64_t mantissa, int from, int to, int64_t *out_mantissa);

TB_EXTERN_END

#endif
