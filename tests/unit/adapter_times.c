/* Times as venues write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

#include "producers/adapter/times.h"

static struct adapter_text text_of(const char *text)
{
    return (struct adapter_text){text, (uint32_t)strlen(text)};
}

static void calendar_times_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tb_ns ns;
    } times[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000000001Z", 1},
        {"2021-04-17T16:43:30.244075Z", INT64_C(1618677810244075000)},
        {"2023-10-04T16:25:00.000000000Z", INT64_C(1696436700000000000)},
        {"2024-02-29T23:59:59.9Z", INT64_C(1709251199900000000)},
        {"2000-03-01T00:00:00+00:00", INT64_C(951868800000000000)},
        {"2023-10-04T16:25:00.1234567891Z", INT64_C(1696436700123456789)},
        {"0001-01-01T00:00:00.000000Z", 0}, /* unknown */
        {"1969-12-31T23:59:59Z", 0},
    };
    for (size_t i = 0; i < TB_COUNT(times); i++) {
        tb_ns out = -1;
        assert_int_equal(adapter_time_rfc3339(text_of(times[i].text), &out), 0);
        assert_int_equal(out, times[i].ns);
    }
}

static void every_day_of_two_centuries_reads_back(void **state)
{
    (void)state;
    char text[TB_TIME_BYTES];
    for (tb_ns t = 0; t < INT64_C(73000) * 86400 * TB_NS_PER_S; t += INT64_C(86400) * TB_NS_PER_S) {
        tb_ns out = -1, at = t + t / 86400 % (86400 * TB_NS_PER_S);
        assert_int_equal(adapter_time_rfc3339(text_of(tb_time_format(at, text)), &out), 0);
        assert_int_equal(out, at);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2021-04-17",
        "2021-04-17T16:43:30",
        "2021-04-17T16:43:30+01:00",
        "2021-04-17T16:43:30.Z",
        "2021-04-17T16:43:30ZZ",
        "2021-13-17T16:43:30Z",
        "2021-00-17T16:43:30Z",
        "2021-04-32T16:43:30Z",
        "2021-04-17T24:43:30Z",
        "2021-04-17T16:60:30Z",
        "2021/04/17T16:43:30Z",
        "9999-04-17T16:43:30Z",
        "2021-04-17T1x:43:30Z",
    };
    for (size_t i = 0; i < TB_COUNT(texts); i++) {
        tb_ns out;
        assert_int_equal(adapter_time_rfc3339(text_of(texts[i]), &out), -EBADMSG);
    }
}

static void seconds_are_exact(void **state)
{
    (void)state;
    tb_ns out;
    assert_int_equal(adapter_time_seconds(text_of("1618678145.920133"), &out), 0);
    assert_int_equal(out, INT64_C(1618678145920133000));
    assert_int_equal(adapter_time_seconds(text_of("1762795433.97174451234"), &out), 0);
    assert_int_equal(out, INT64_C(1762795433971744512));
    assert_int_equal(adapter_time_seconds(text_of("7"), &out), 0);
    assert_int_equal(out, 7 * TB_NS_PER_S);
    static const char *const texts[] = {"", ".5", "1.", "-1", "1e9", "1 ", "9300000000", "1.5x"};
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        assert_int_equal(adapter_time_seconds(text_of(texts[i]), &out), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_times_are_exact),
        cmocka_unit_test(every_day_of_two_centuries_reads_back),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(seconds_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
