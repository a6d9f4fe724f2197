/* Times, durations and sizes as texts: exact, and nothing is guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include <tickbus/clock.h>

#define NOW INT64_C(1723161253937085768) /* 2024-08-08T23:54:13.937085768Z */

static void a_time_is_written_with_nine_digits(void **state)
{
    (void)state;
    char out[TB_TIME_BYTES];
    assert_string_equal(tb_time_format(NOW, out), "2024-08-08T23:54:13.937085768Z");
    assert_string_equal(tb_time_format(0, out), "1970-01-01T00:00:00.000000000Z");
    assert_string_equal(tb_time_format(-1, out), "1969-12-31T23:59:59.999999999Z");
    assert_string_equal(tb_time_format(INT64_MAX, out), "2262-04-11T23:47:16.854775807Z");
    assert_string_equal(tb_time_format(INT64_MIN, out), "1677-09-21T00:12:43.145224192Z");
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tb_ns expected;
    } cases[] = {
        {"2024-08-08T23:54:13.937085768Z", NOW},
        {"2024-08-08 23:54:13.937085768", NOW},
        {"2024-08-09T01:54:13.937085768+02:00", NOW},
        {"2024-08-08T18:24:13.937085768-0530", NOW},
        {"2024-08-08", INT64_C(1723075200) * TB_NS_PER_S},
        {"2024-08-08T23:54", INT64_C(1723161240) * TB_NS_PER_S},
        {"23:54", INT64_C(1723161240) * TB_NS_PER_S},
        {"23:54:13.5", INT64_C(1723161253500000000)},
        {"-5m", NOW - 300 * TB_NS_PER_S},
        {"1969-12-31T23:59:59", -TB_NS_PER_S},
        {"2024-02-29", INT64_C(1709164800) * TB_NS_PER_S},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        tb_ns t = 0;
        if (tb_time_parse(cases[i].text, NOW, &t) != 0 || t != cases[i].expected)
            fail_msg("%s: %lld, expected %lld", cases[i].text, (long long)t,
                     (long long)cases[i].expected);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "now",
                                      "2024-02-30",
                                      "2023-02-29",
                                      "2024-8-8",
                                      "24:00",
                                      "23:60",
                                      "12:3",
                                      "2024-08-08T",
                                      "2024-08-08T23:54:13.",
                                      "2024-08-08T23:54:13.1234567891",
                                      "-5",
                                      "-x",
                                      "2024-08-08x",
                                      "9999-01-01",
                                      "12:30+01:00"};
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        tb_ns t = 42;
        if (tb_time_parse(bad[i], NOW, &t) != -EINVAL || t != 42)
            fail_msg("%s was taken as %lld", bad[i], (long long)t);
    }
}

static void every_time_written_is_read_back(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        tb_ns t = (tb_ns)(random >> 1) / 2 * (random & 1 ? 1 : -1), back = 0;
        char text[TB_TIME_BYTES];
        assert_int_equal(tb_time_parse(tb_time_format(t, text), NOW, &back), 0);
        assert_int_equal(back, t);
    }
}

static void durations_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        tb_ns expected;
    } cases[] = {
        {"250ms", 0, 250 * TB_NS_PER_MS},
        {"1.5s", 0, 1500 * TB_NS_PER_MS},
        {"0", 0, 0},
        {"0.000000001s", 0, 1},
        {"2d", 0, 172800 * TB_NS_PER_S},
        {"1.000000000000000000000s", 0, TB_NS_PER_S},
        {"100us", 0, 100000},
        {"10ns", 0, 10},
        {"1.5ns", -EINVAL, 0},
        {"0.0000000001s", -EINVAL, 0},
        {"5", -EINVAL, 0},
        {"5 s", -EINVAL, 0},
        {"-5s", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {".5s", -EINVAL, 0},
        {"5.s", -EINVAL, 0},
        {"5sec", -EINVAL, 0},
        {"106752d", -ERANGE, 0},
        {"99999999999999999999s", -ERANGE, 0},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        tb_ns d = 0;
        int rc = tb_duration_parse(cases[i].text, &d);
        if (rc != cases[i].rc || d != cases[i].expected)
            fail_msg("%s: %d %lld", cases[i].text, rc, (long long)d);
    }
}

static void sizes_have_units_of_both_kinds(void **state)
{
    (void)state;
    int64_t bytes = 0;
    assert_int_equal(tb_bytes_parse("4096", &bytes), 0);
    assert_int_equal(bytes, 4096);
    assert_int_equal(tb_bytes_parse("1.5KiB", &bytes), 0);
    assert_int_equal(bytes, 1536);
    assert_int_equal(tb_bytes_parse("2MB", &bytes), 0);
    assert_int_equal(bytes, 2000000);
    assert_int_equal(tb_bytes_parse("1GiB", &bytes), 0);
    assert_int_equal(bytes, 1 << 30);
    assert_int_equal(tb_bytes_parse("0.3KiB", &bytes), -EINVAL);
    assert_int_equal(tb_bytes_parse("9000000TiB", &bytes), -ERANGE);
    assert_int_equal(tb_bytes_parse("4 KiB", &bytes), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_written_with_nine_digits),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(every_time_written_is_read_back),
        cmocka_unit_test(durations_are_exact_or_refused),
        cmocka_unit_test(sizes_have_units_of_both_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
