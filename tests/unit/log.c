/* Log lines, caught from stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include <tickbus/log.h>

static int saved_stderr, pipe_fds[2];

static void catch_begin(void)
{
    assert_int_equal(pipe(pipe_fds), 0);
    saved_stderr = dup(2);
    assert_true(dup2(pipe_fds[1], 2) >= 0);
}

static const char *catch_end(void)
{
    static char text[8192];
    dup2(saved_stderr, 2);
    close(saved_stderr);
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);
    close(pipe_fds[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void a_line_is_key_value(void **state)
{
    (void)state;
    tb_log_init("svc", TB_LOG_INFO);
    catch_begin();
    tb_log(TB_LOG_DEBUG, "hidden", "x=1");
    tb_log(TB_LOG_WARN, "shown", "x=%d", 2);
    tb_log(TB_LOG_INFO, "bare", "%s", "");
    const char *text = catch_end();
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "Z level=warn service=svc ev=shown x=2\n"));
    assert_non_null(strstr(text, "level=info service=svc ev=bare"));
    assert_int_equal(text[10], 'T');
}

static void nothing_breaks_the_line(void **state)
{
    (void)state;
    char huge[5000];
    memset(huge, 'h', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    catch_begin();
    tb_log(TB_LOG_ERROR, "x", "a=b\nlevel=fake\033[31m");
    tb_log(TB_LOG_ERROR, "y", "%s", huge);
    const char *text = catch_end();
    assert_null(strstr(text, "\nlevel=fake"));
    assert_null(strchr(text, '\033'));
    const char *second = strchr(text, '\n') + 1;
    assert_int_equal(strlen(second), 1024);
    assert_int_equal(second[1023], '\n');
}

static void repeats_are_counted(void **state)
{
    (void)state;
    struct tb_log_limit limit = {0};
    catch_begin();
    for (int i = 0; i < 10; i++)
        tb_log_limited(&limit, 3600 * TB_NS_PER_S, TB_LOG_WARN, "again", "i=%d", i);
    limit.next_mono = 0;
    tb_log_limited(&limit, TB_NS_PER_S, TB_LOG_WARN, "again", "i=last");
    const char *text = catch_end();
    assert_non_null(strstr(text, "i=0\n"));
    assert_null(strstr(text, "i=1"));
    assert_non_null(strstr(text, "i=last suppressed=9\n"));
}

static void values_are_quoted_when_they_must_be(void **state)
{
    (void)state;
    char out[TB_QUOTE_BYTES], huge[2000];
    assert_string_equal(tb_quote_text("plain", out), "plain");
    assert_string_equal(tb_quote_text("", out), "\"\"");
    assert_string_equal(tb_quote_text("two words", out), "\"two words\"");
    assert_string_equal(tb_quote_text("a\"b\\c\nd", out), "\"a\\\"b\\\\c\\nd\"");
    memset(huge, ' ', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_true(strlen(tb_quote_text(huge, out)) < TB_QUOTE_BYTES);
    memset(huge, 'a', sizeof(huge) - 1);
    assert_true(strlen(tb_quote_text(huge, out)) < TB_QUOTE_BYTES);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(tb_log_level_parse("debug"), TB_LOG_DEBUG);
    assert_int_equal(tb_log_level_parse("off"), TB_LOG_OFF);
    assert_int_equal(tb_log_level_parse("loud"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_key_value),
        cmocka_unit_test(nothing_breaks_the_line),
        cmocka_unit_test(repeats_are_counted),
        cmocka_unit_test(values_are_quoted_when_they_must_be),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
