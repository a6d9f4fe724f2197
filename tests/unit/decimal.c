/* Decimals: exact in, exact out, and the one rounding at the edge is the right one. */
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tickbus/decimal.h>

#include "unit/random.h"

struct parse_case {
    const char *text;
    int exp;
    int rc;
    int64_t mantissa;
};

static void check_parses(const struct parse_case *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* A copy that ends where the text ends: reading beyond it is found by ASan. */
        size_t length = strlen(c[i].text);
        char *text = malloc(length + !length);
        assert_non_null(text);
        memcpy(text, c[i].text, length);
        int64_t mantissa = -77;
        int rc = tb_decimal_parse(text, length, c[i].exp, &mantissa);
        free(text);
        int64_t wanted = c[i].rc == 0 ? c[i].mantissa : -77;
        if (rc != c[i].rc || mantissa != wanted)
            fail_msg("\"%s\" at %d: rc %d (wanted %d), mantissa %" PRId64 " (wanted %" PRId64 ")",
                     c[i].text, c[i].exp, rc, c[i].rc, mantissa, wanted);
    }
}

static void parses_what_venues_send(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"61837.63000000", -2, 0, 6183763},
        {"61837.63000000", -8, 0, 6183763000000},
        {"0.00000001", -8, 0, 1},
        {"0.00042000", -5, 0, 42},
        {"1234567.12345678", -8, 0, 123456712345678},
        {"9999999.99999999", -8, 0, 999999999999999},
        {"105433.60000", -1, 0, 1054336},
        {"00000001.50", -2, 0, 150},
        {"20", 0, 0, 20},
        {"20", -3, 0, 20000},
        {"0", -18, 0, 0},
        {"0.0", 0, 0, 0},
        {"0.00000000", 0, 0, 0},
        {"100.00000", 0, 0, 100},
        {"-5", -2, 0, -500},
        {"-0.0", -2, 0, 0},
        {"-12345.678", -3, 0, -12345678},
        {"1e-7", -8, 0, 10},
        {"1E-7", -7, 0, 1},
        {"1.5e3", 0, 0, 1500},
        {"1.5e+3", -2, 0, 150000},
        {"150e-1", 0, 0, 15},
        {"0e999999999999", -2, 0, 0},
        {"0.000000000000000001", -18, 0, 1},
        {"1.000000000000000000000000000000000000000000", 0, 0, 1},
        {"0000000000000000000000000000000000000000000001", 0, 0, 1},
        {"9223372036854775807", 0, 0, INT64_MAX},
        {"-9223372036854775808", 0, 0, INT64_MIN},
        {"92233720368547758.07", -2, 0, INT64_MAX},
        {"9.223372036854775807", -18, 0, INT64_MAX},
        {"-9.223372036854775808000", -18, 0, INT64_MIN},
        {"9223372036854775807e-5", -5, 0, INT64_MAX},
    };
    check_parses(cases, TB_COUNT(cases));
}

static void refuses_what_is_no_decimal(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"", 0, -EINVAL, 0},
        {"-", 0, -EINVAL, 0},
        {".", 0, -EINVAL, 0},
        {".5", -2, -EINVAL, 0},
        {"5.", -2, -EINVAL, 0},
        {"1.2.3", -2, -EINVAL, 0},
        {"+1", 0, -EINVAL, 0},
        {"--1", 0, -EINVAL, 0},
        {"1-", 0, -EINVAL, 0},
        {"e5", 0, -EINVAL, 0},
        {"1e", 0, -EINVAL, 0},
        {"1e+", 0, -EINVAL, 0},
        {"1e5.0", 0, -EINVAL, 0},
        {"1.e5", 0, -EINVAL, 0},
        {"1e-5x", -5, -EINVAL, 0},
        {" 1", 0, -EINVAL, 0},
        {"1 ", 0, -EINVAL, 0},
        {"0x10", 0, -EINVAL, 0},
        {"nan", 0, -EINVAL, 0},
        {"inf", 0, -EINVAL, 0},
        {"1,5", -2, -EINVAL, 0},
        {"12:45.12", -2, -EINVAL, 0},
        {"12345.6/", -2, -EINVAL, 0},
        {"1234.56\x80", -3, -EINVAL, 0},
        {"\xb1"
         "234.567",
         -3, -EINVAL, 0},
        {"12.34.5678", -8, -EINVAL, 0},
        {"-1234.-5678", -8, -EINVAL, 0},
        {"61837.630000a0", -2, -EINVAL, 0},
    };
    check_parses(cases, TB_COUNT(cases));
    int64_t mantissa;
    assert_int_equal(tb_decimal_parse("1234\0.500", 9, -2, &mantissa), -EINVAL);
}

static void says_whether_to_refine_or_to_give_up(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"61837.635", -2, -EDOM, 0},
        {"61837.63500000", -2, -EDOM, 0},
        {"0.5", 0, -EDOM, 0},
        {"1e-9", -8, -EDOM, 0},
        {"12345.678", 0, -EDOM, 0},
        {"-0.001", -2, -EDOM, 0},
        {"9223372036854775808", 0, -ERANGE, 0},
        {"-9223372036854775809", 0, -ERANGE, 0},
        {"92233720368547758.08", -2, -ERANGE, 0},
        {"9223372036854775807", -1, -ERANGE, 0},
        {"10", -18, -ERANGE, 0},
        {"1e19", 0, -ERANGE, 0},
        {"1e999999999999999999999", 0, -ERANGE, 0},
        {"123456789012345678901234567890", 0, -ERANGE, 0},
        {"1234567890.12345678901234567890123", -18, -ERANGE, 0},
    };
    check_parses(cases, TB_COUNT(cases));
}

static void finds_the_coarsest_exponent(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc, exp;
    } cases[] = {
        {"1.500", 0, -1},
        {"20", 0, 0},
        {"0.00000000", 0, 0},
        {"1e-7", 0, -7},
        {"0.10e-3", 0, -4},
        {"1.5e3", 0, 0},
        {"100.25", 0, -2},
        {"1e-18", 0, -18},
        {"0.0000000000000000010", 0, -18},
        {"1e-19", -ERANGE, 0},
        {"0.00000000000000000012", -ERANGE, 0},
        {"x", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"0e-99", 0, 0},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        int exp = 99;
        assert_int_equal(tb_decimal_exp(cases[i].text, strlen(cases[i].text), &exp), cases[i].rc);
        assert_int_equal(exp, cases[i].rc == 0 ? cases[i].exp : 99);
    }
}

static void formats_without_exponent_or_trailing_zeros(void **state)
{
    (void)state;
    static const struct {
        int64_t mantissa;
        int exp;
        const char *text, *fixed;
    } cases[] = {
        {6183763, -2, "61837.63", "61837.63"},
        {6183760, -2, "61837.6", "61837.60"},
        {1, -1, "0.1", "0.1"},
        {-500, -2, "-5", "-5.00"},
        {-5, -3, "-0.005", "-0.005"},
        {0, 0, "0", "0"},
        {0, -8, "0", "0.00000000"},
        {100, 0, "100", "100"},
        {INT64_MAX, -18, "9.223372036854775807", "9.223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808", "-9223372036854775808"},
        {INT64_MIN, -18, "-9.223372036854775808", "-9.223372036854775808"},
    };
    char out[TB_DECIMAL_BYTES];
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        size_t length = tb_decimal_format(cases[i].mantissa, cases[i].exp, out);
        assert_string_equal(out, cases[i].text);
        assert_int_equal(length, strlen(out));
        length = tb_decimal_format_fixed(cases[i].mantissa, cases[i].exp, out);
        assert_string_equal(out, cases[i].fixed);
        assert_int_equal(length, strlen(out));
    }
}

static void formats_128_bits(void **state)
{
    (void)state;
    char out[TB_DECIMAL_BYTES];
    __int128 top = (__int128)((~(unsigned __int128)0) >> 1);
    tb_decimal_format_wide(top, 0, out);
    assert_string_equal(out, "170141183460469231731687303715884105727");
    tb_decimal_format_wide(-top - 1, -36, out);
    assert_string_equal(out, "-170.141183460469231731687303715884105728");
    tb_decimal_format_wide(-1, -36, out);
    assert_string_equal(out, "-0.000000000000000000000000000000000001");
    tb_decimal_format_wide((__int128)10000 * INT64_C(1000000000000000000), -20, out);
    assert_string_equal(out, "100");
}

/* Every mantissa at every exponent, written and read back, is the same; also padded with zeros. */
static void text_survives_the_round_trip(void **state)
{
    struct random *r = *state;
    for (int i = 0; i < 400000; i++) {
        int64_t mantissa = random_magnitude(r, 63);
        if (random_below(r, 2) == 0)
            mantissa = -mantissa;
        int exp = -(int)random_below(r, 19);
        char text[TB_DECIMAL_BYTES + 8];
        size_t length = random_below(r, 2) == 0 ? tb_decimal_format(mantissa, exp, text)
                                                : tb_decimal_format_fixed(mantissa, exp, text);
        for (uint64_t zeros = random_below(r, 7); zeros > 0 && strchr(text, '.'); zeros--)
            text[length++] = '0';
        int64_t back = 0;
        int rc = tb_decimal_parse(text, length, exp, &back);
        if (rc != 0 || back != mantissa)
            fail_msg("seed %" PRIu64 ": %.*s at %d gave rc %d, %" PRId64 ", wanted %" PRId64,
                     r->seed, (int)length, text, exp, rc, back, mantissa);
    }
}

/* The quick path and the general one are one function: mangled texts are judged as strictly. */
static void mangled_text_is_read_as_its_digits_say_or_refused(void **state)
{
    struct random *r = *state;
    static const char alphabet[] = "00123456789.-e+/:\x80 ";
    for (int i = 0; i < 400000; i++) {
        char text[24];
        size_t length = 8 + random_below(r, 9);
        for (size_t k = 0; k < length; k++)
            text[k] = (char)('0' + random_below(r, 10));
        text[random_below(r, length)] = '.';
        if (random_below(r, 2) == 0)
            text[random_below(r, length)] = alphabet[random_below(r, sizeof(alphabet) - 1)];
        /* The reference: digits by hand, in 128 bits. */
        unsigned __int128 value = 0;
        int points = 0, fraction = 0;
        bool plain = text[0] != '.' && text[length - 1] != '.';
        for (size_t k = 0; k < length; k++) {
            if (text[k] >= '0' && text[k] <= '9') {
                value = value * 10 + (unsigned)(text[k] - '0');
                fraction += points;
            } else if (text[k] == '.') {
                points++;
            } else {
                plain = false;
            }
        }
        if (!plain && (memchr(text, 'e', length) || text[0] == '-'))
            continue; /* other grammar: covered by the tables */
        int exp = -(int)random_below(r, 9);
        int wanted = plain && points <= 1 ? 0 : -EINVAL;
        for (int k = fraction; wanted == 0 && k < -exp; k++)
            value *= 10;
        for (int k = -exp; wanted == 0 && k < fraction; k++) {
            if (value % 10 != 0)
                wanted = -EDOM;
            value /= 10;
        }
        if (wanted == 0 && value > INT64_MAX)
            wanted = -ERANGE;
        int64_t mantissa = -1;
        int rc = tb_decimal_parse(text, length, exp, &mantissa);
        if (rc != wanted || (rc == 0 && (unsigned __int128)mantissa != value))
            fail_msg("seed %" PRIu64 ": %.*s at %d gave rc %d, %" PRId64 ", wanted rc %d", r->seed,
                     (int)length, text, exp, rc, mantissa, wanted);
    }
}

static void same_double(uint64_t seed, double got, const char *text)
{
    double wanted = strtod(text, NULL);
    if (memcmp(&got, &wanted, sizeof(got)) != 0)
        fail_msg("seed %" PRIu64 ": %s became %.17g, strtod says %.17g", seed, text, got, wanted);
}

/* glibc's strtod rounds correctly; the double of a mantissa must be that of its text. */
static void double_is_what_strtod_makes_of_the_text(void **state)
{
    struct random *r = *state;
    char text[TB_DECIMAL_BYTES];
    for (int i = 0; i < 400000; i++) {
        int64_t mantissa = random_magnitude(r, 63);
        if (random_below(r, 4) == 0)
            mantissa = -mantissa - 1;
        int exp = -(int)random_below(r, 19);
        tb_decimal_format(mantissa, exp, text);
        same_double(r->seed, tb_decimal_double(mantissa, exp), text);
    }
    static const int64_t edges[] = {0,
                                    1,
                                    INT64_MAX,
                                    INT64_MIN,
                                    INT64_C(1) << 53,
                                    (INT64_C(1) << 53) + 1,
                                    (INT64_C(1) << 53) + 3,
                                    (INT64_C(1) << 54) + 2,
                                    (INT64_C(1) << 62) + 256,
                                    (INT64_C(1) << 62) + 768,
                                    (INT64_C(1) << 62) + 257};
    for (size_t i = 0; i < TB_COUNT(edges); i++)
        for (int exp = -18; exp <= 0; exp++) {
            tb_decimal_format(edges[i], exp, text);
            same_double(0, tb_decimal_double(edges[i], exp), text);
        }
}

static void wide_double_is_what_strtod_makes_of_the_text(void **state)
{
    struct random *r = *state;
    char text[TB_DECIMAL_BYTES];
    for (int i = 0; i < 200000; i++) {
        unsigned __int128 bits = (unsigned __int128)random_next(r) << 64 | random_next(r);
        __int128 mantissa = (__int128)(bits >> (1 + random_below(r, 127)));
        if (random_below(r, 4) == 0)
            mantissa = -mantissa - 1;
        int exp = -(int)random_below(r, 37);
        tb_decimal_format_wide(mantissa, exp, text);
        same_double(r->seed, tb_decimal_double_wide(mantissa, exp), text);
    }
}

/* Halfway cases, where a second rounding would show: (2n+1) * 2^k with 54 bits, and one more or less. */
static void ties_go_to_even_and_next_to_ties_do_not(void **state)
{
    struct random *r = *state;
    char text[TB_DECIMAL_BYTES];
    for (int i = 0; i < 100000; i++) {
        int64_t odd = (int64_t)((UINT64_C(1) << 53 | random_next(r) >> 11) | 1);
        int shift = (int)random_below(r, 9);
        int64_t tie = (int64_t)((uint64_t)odd << shift);
        for (int64_t off = -1; off <= 1; off++) {
            tb_decimal_format(tie + off, 0, text);
            same_double(r->seed, tb_decimal_double(tie + off, 0), text);
            /* The same value as decimals with a fraction, through the division. */
            __int128 wide = (__int128)(tie + off) * 1000000000000;
            tb_decimal_format_wide(wide + off, -12, text);
            same_double(r->seed, tb_decimal_double_wide(wide + off, -12), text);
        }
    }
}

static void shortest_text_of_a_double_reads_back_the_same(void **state)
{
    struct random *r = *state;
    for (int i = 0; i < 400000; i++) {
        uint64_t bits = random_next(r);
        double value;
        if (i % 2 == 0)
            value = tb_decimal_double(random_magnitude(r, 63), -(int)random_below(r, 19));
        else
            memcpy(&value, &bits, sizeof(value));
        if (isnan(value))
            continue;
        char out[TB_DOUBLE_BYTES];
        size_t length = tb_double_format(value, out);
        assert_int_equal(length, strlen(out));
        double back = isinf(value) ? value : strtod(out, NULL);
        if (memcmp(&back, &value, sizeof(value)) != 0)
            fail_msg("seed %" PRIu64 ": %.17g printed as %s", r->seed, value, out);
        /* No text with fewer digits does the same. */
        int digits = 0;
        const char *mantissa = out;
        while (*mantissa == '-' || *mantissa == '0' || *mantissa == '.')
            mantissa++;
        int zeros = 0;
        for (; *mantissa != '\0' && *mantissa != 'e'; mantissa++) {
            if (*mantissa == '.')
                continue;
            zeros = *mantissa == '0' ? zeros + 1 : 0;
            digits++;
        }
        digits -= zeros;
        if (digits > 1) {
            char shorter[320];
            (void)snprintf(shorter, sizeof(shorter), "%.*g", digits - 1, value);
            assert_true(strtod(shorter, NULL) != value);
        }
    }
}

static void named_doubles_are_printed_as_prometheus_wants_them(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {61837.63, "61837.63"},
        {0.1, "0.1"},
        {1e15, "1e+15"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {1.0 / 3, "0.3333333333333333"},
        {0.00012, "0.00012"},
        {1e-9, "1e-09"},
        {999999999999999, "999999999999999"},
        {(double)INFINITY, "+Inf"},
        {-(double)INFINITY, "-Inf"},
        {(double)NAN, "NaN"},
    };
    char out[TB_DOUBLE_BYTES];
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        tb_double_format(cases[i].value, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void rescales_exactly_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        int64_t mantissa;
        int from, to, rc;
        int64_t result;
    } cases[] = {
        {5, 0, -2, 0, 500},
        {500, -2, 0, 0, 5},
        {501, -2, 0, -EDOM, 0},
        {0, 0, -18, 0, 0},
        {0, -18, 0, 0, 0},
        {-7, -3, -3, 0, -7},
        {INT64_MAX, -1, -2, -ERANGE, 0},
        {INT64_MIN, 0, -1, -ERANGE, 0},
        {922337203685477580, 0, -1, 0, 9223372036854775800},
        {1, 0, -18, 0, 1000000000000000000},
        {10, 0, -18, -ERANGE, 0},
        {1, 0, -36, -ERANGE, 0},
        {1, -36, 0, -EDOM, 0},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        int64_t result = -77;
        assert_int_equal(tb_decimal_rescale(cases[i].mantissa, cases[i].from, cases[i].to, &result),
                         cases[i].rc);
        assert_int_equal(result, cases[i].rc == 0 ? cases[i].result : -77);
    }
}

int main(void)
{
    static struct random r;
    random_start(&r, "decimal");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_venues_send),
        cmocka_unit_test(refuses_what_is_no_decimal),
        cmocka_unit_test(says_whether_to_refine_or_to_give_up),
        cmocka_unit_test(finds_the_coarsest_exponent),
        cmocka_unit_test(formats_without_exponent_or_trailing_zeros),
        cmocka_unit_test(formats_128_bits),
        cmocka_unit_test_prestate(text_survives_the_round_trip, &r),
        cmocka_unit_test_prestate(mangled_text_is_read_as_its_digits_say_or_refused, &r),
        cmocka_unit_test_prestate(double_is_what_strtod_makes_of_the_text, &r),
        cmocka_unit_test_prestate(wide_double_is_what_strtod_makes_of_the_text, &r),
        cmocka_unit_test_prestate(ties_go_to_even_and_next_to_ties_do_not, &r),
        cmocka_unit_test_prestate(shortest_text_of_a_double_reads_back_the_same, &r),
        cmocka_unit_test(named_doubles_are_printed_as_prometheus_wants_them),
        cmocka_unit_test(rescales_exactly_or_not_at_all),
    };
    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
