/* What stat makes of two looks at a bus, without a bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <consumers/stat/stat.h>

static struct stat_look before, now;

static void clear(void)
{
    memset((void *)&before, 0, sizeof(before));
    memset((void *)&now, 0, sizeof(now));
    now.mono = 2 * TB_NS_PER_S;
}

static struct stat_stream *stream(struct stat_look *look, const char *name, uint64_t epoch,
                                  tb_seq newest)
{
    struct stat_stream *s = &look->stream[look->stream_count++];
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->epoch = epoch;
    s->newest = newest;
    return s;
}

static struct stat_process *process(struct stat_look *look, const char *name, tb_ns heartbeat,
                                    tb_ns cpu)
{
    struct stat_process *p = &look->process[look->process_count++];
    snprintf(p->name, sizeof(p->name), "%s", name);
    p->page.heartbeat = heartbeat;
    p->page.cpu_ns = cpu;
    return p;
}

static void a_rate_is_records_between_two_looks(void **state)
{
    (void)state;
    clear();
    stream(&before, "b", 1, 100);
    stream(&before, "a", 1, 100);
    struct stat_stream *a = stream(&now, "a", 1, 300);
    struct stat_stream *b = stream(&now, "b", 2, 900); /* made anew: nothing to compare with */
    struct stat_stream *c = stream(&now, "c", 1, 900); /* was not there before */
    stat_rates(&now, &before);
    assert_true(a->records_per_s == 100);
    assert_true(b->records_per_s == 0);
    assert_true(c->records_per_s == 0);
}

static void cpu_is_measured_from_refresh_to_refresh(void **state)
{
    (void)state;
    clear();
    process(&before, "p", 10 * TB_NS_PER_S, 5 * TB_NS_PER_S);
    stat_rates(&before, NULL); /* the first look: of its whole life */
    assert_true(before.process[0].cpu_percent == 50);
    struct stat_process *p =
        process(&now, "p", 10 * TB_NS_PER_S + TB_NS_PER_S / 2, 5 * TB_NS_PER_S);
    stat_rates(&now, &before); /* not refreshed since: as before */
    assert_true(p->cpu_percent == 50);
    p->page.heartbeat = 12 * TB_NS_PER_S;
    p->page.cpu_ns = 7 * TB_NS_PER_S;
    stat_rates(&now, &before);
    assert_true(p->cpu_percent == 100);
}

static void trouble_comes_first(void **state)
{
    (void)state;
    clear();
    stream(&now, "a", 1, 1)->producer.alive = true;
    stream(&now, "b", 1, 1)->producer.state = TB_STREAM_RUNNING; /* crashed */
    snprintf(stream(&now, "c", 1, 1)->fault, 10, "cut");
    now.stream[0].records_per_s = 5;
    stat_sort(&now, STAT_BY_TROUBLE);
    assert_string_equal(now.stream[0].name, "c");
    assert_string_equal(now.stream[1].name, "b");
    stat_sort(&now, STAT_BY_LOAD);
    assert_string_equal(now.stream[0].name, "a");
    stat_sort(&now, STAT_BY_NAME);
    assert_string_equal(now.stream[1].name, "b");
}

static void numbers_fit_their_columns(void **state)
{
    (void)state;
    char text[STAT_TEXT_BYTES];
    assert_string_equal(stat_count(0, text), "0");
    assert_string_equal(stat_count(2.5, text), "2.5");
    assert_string_equal(stat_count(99999, text), "99999");
    assert_string_equal(stat_count(123456, text), "123k");
    assert_string_equal(stat_count(12345678, text), "12346k");
    assert_string_equal(stat_count(1e18, text), "1000P");
    assert_string_equal(stat_span(STAT_UNKNOWN, text), "-");
    assert_string_equal(stat_span(1500, text), "1us");
    assert_string_equal(stat_span(250 * TB_NS_PER_MS, text), "250ms");
    assert_string_equal(stat_span(185 * TB_NS_PER_S, text), "3m05s");
    assert_string_equal(stat_span(90061 * TB_NS_PER_S, text), "1d01h");
    for (double value = 1; value < 1e20; value *= 7)
        assert_true(strlen(stat_count(value, text)) <= 8);
}

static void foreign_text_is_made_harmless(void **state)
{
    (void)state;
    char text[] = "a\033[31mb\nc\x7f \xc3\xa9 \xff \xe2\x82 d";
    stat_clean(text);
    assert_string_equal(text, "a?[31mb?c? \xc3\xa9 ? ?? d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_records_between_two_looks),
        cmocka_unit_test(cpu_is_measured_from_refresh_to_refresh),
        cmocka_unit_test(trouble_comes_first),
        cmocka_unit_test(numbers_fit_their_columns),
        cmocka_unit_test(foreign_text_is_made_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
