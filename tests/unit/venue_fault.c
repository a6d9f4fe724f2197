/* The venue's fault script: what it reads, when its rules fire, what they leave of a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "producers/venue/fault.h"

/* Loads YAML text; the number of faults found in it. */
static size_t load(struct fault_script *s, const char *text)
{
    char path[] = "/dev/shm/tickbus-fault-XXXXXX";
    struct tb_faults faults = {0};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    struct tb_yaml *tree = tb_yaml_load(path, &faults);
    assert_int_equal(unlink(path), 0);
    assert_non_null(tree);
    fault_script_load(s, tree, path, "faults", &faults);
    tb_yaml_free(tree);
    return faults.count;
}

/* The numbers of the frames of `total` at which the only rule fires, as text. */
static const char *fires(struct fault_script *s, unsigned total)
{
    static char out[4096];
    size_t length = 0;

    out[0] = '\0';
    for (unsigned i = 1; i <= total; i++)
        if (fault_due(s, &s->rule[0], "frame", 5, i * TB_NS_PER_S))
            length += (size_t)snprintf(out + length, sizeof(out) - length, " %u", i);
    return out;
}

static void a_rule_fires_at_its_frame_time_or_beat(void **state)
{
    static const char *const cases[][2] = {
        {"[{do: drop}]", " 1"},
        {"[{do: drop, at: 3}]", " 3"},
        {"[{do: drop, at: 3, count: 2}]", " 3 4"},
        {"[{do: drop, at: 2500ms, count: 2}]", " 3 4"},
        {"[{do: drop, every: 4}]", " 4 8 12"},
        {"[{do: drop, every: 4, count: 2}]", " 4 8"},
        {"[{do: drop, probability: 1}]", " 1 2 3 4 5 6 7 8 9 10 11 12"},
        {"[{do: drop, match: other}]", ""},
        {"[{do: drop, match: ram, at: 2}]", " 2"},
        {"{seed: 9, faults: [{do: drop, at: 12}]}", " 12"},
    };
    struct fault_script s;

    (void)state;
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_int_equal(load(&s, cases[i][0]), 0);
        assert_string_equal(fires(&s, 12), cases[i][1]);
    }
}

static void a_seed_decides_all_chances(void **state)
{
    struct fault_script s;
    char first[4096], other[4096];

    (void)state;
    assert_int_equal(load(&s, "{seed: 5, faults: [{do: drop, probability: 0.1}]}"), 0);
    (void)snprintf(first, sizeof(first), "%s", fires(&s, 500));
    assert_int_equal(load(&s, "{seed: 5, faults: [{do: drop, probability: 0.1}]}"), 0);
    assert_string_equal(fires(&s, 500), first);
    assert_in_range(s.rule[0].fired, 25, 90);
    assert_int_equal(load(&s, "{seed: 6, faults: [{do: drop, probability: 0.1}]}"), 0);
    (void)snprintf(other, sizeof(other), "%s", fires(&s, 500));
    assert_string_not_equal(first, other);
}

static void requests_match_by_path(void **state)
{
    struct fault_script s;

    (void)state;
    assert_int_equal(load(&s, "[{do: http_status, path: /api/v3/depth, status: 429, count: 2}]"),
                     0);
    assert_int_equal(s.rule[0].number, 429);
    assert_false(fault_due(&s, &s.rule[0], "/api/v3/exchangeInfo", 20, 0));
    assert_true(fault_due(&s, &s.rule[0], "/api/v3/depth", 13, 0));
    assert_true(fault_due(&s, &s.rule[0], "/api/v3/depth", 13, 0));
    assert_false(fault_due(&s, &s.rule[0], "/api/v3/depth", 13, 0));
}

static void wrong_scripts_are_refused(void **state)
{
    static const char *const wrong[] = {
        "{faults: 3}",
        "{seed: x, faults: [{do: drop}]}",
        "{sead: 1, faults: [{do: drop}]}",
        "[drop]",
        "[{at: 3}]",
        "[{do: dropp}]",
        "[{do: drop, at: soon}]",
        "[{do: drop, at: 3, every: 4}]",
        "[{do: drop, every: 0}]",
        "[{do: drop, probability: 1.5}]",
        "[{do: drop, probability: 0}]",
        "[{do: drop, code: 1000}]",
        "[{do: drop, match: [a]}]",
        "[{do: close, code: 99}]",
        "[{do: silence}]",
        "[{do: silence, for: 3}]",
        "[{do: slow, for: 3s, rate: 0}]",
        "[{do: http_status, status: 200}]",
        "[{do: http_status, match: x}]",
        "[{do: wrong_number}]",
    };
    struct fault_script s;

    (void)state;
    for (size_t i = 0; i < TB_COUNT(wrong); i++)
        if (load(&s, wrong[i]) == 0)
            fail_msg("accepted: %s", wrong[i]);
}

/* What the only rule leaves of `text`; the caller frees it. */
static struct protocol_text changed(const char *rule, uint64_t random, const char *text)
{
    struct fault_script s;
    struct protocol_text out = {0};

    assert_int_equal(load(&s, rule), 0);
    fault_change(&s.rule[0], random, text, strlen(text), false, &out);
    assert_false(out.failed);
    return out;
}

static void assert_changed(const char *rule, const char *text, const char *want)
{
    struct protocol_text out = changed(rule, 0, text);
    assert_int_equal(out.length, strlen(want));
    assert_memory_equal(out.text, want, out.length);
    protocol_text_free(&out);
}

static void frames_are_changed_as_told(void **state)
{
    (void)state;
    assert_changed("[{do: truncate}]", "12345678", "1234");
    assert_changed("[{do: truncate, bytes: 0}]", "12345678", "");
    assert_changed("[{do: truncate, bytes: 99}]", "12345678", "12345678");
    assert_changed("[{do: oversize, bytes: 10}]", "12345678", "12345678  ");
    assert_changed("[{do: oversize, bytes: 3}]", "12345678", "12345678");
    assert_changed("[{do: wrong_number, after: 'sum\":'}]", "{\"sum\":-12,\"b\":3}",
                   "{\"sum\":-13,\"b\":3}");
    assert_changed("[{do: wrong_number, after: 'p\":'}]", "{\"p\":\"109.25\"}",
                   "{\"p\":\"108.25\"}");
    assert_changed("[{do: wrong_number, after: 'p\":'}]", "{\"p\":true,\"q\":1}",
                   "{\"p\":true,\"q\":1}");
    assert_changed("[{do: wrong_number, after: 'p\":'}]", "{\"q\":1}", "{\"q\":1}");
}

static void corruption_is_seen_by_any_parser(void **state)
{
    const char *text = "{\"a\":[1,2,3],\"b\":\"text\"}";
    size_t length = strlen(text);

    (void)state;
    for (uint64_t random = 0; random < 4096; random++) {
        struct protocol_text out = changed("[{do: corrupt}]", random * 77777777777, text);
        unsigned controls = 0;
        assert_int_equal(out.length, length);
        for (size_t i = 0; i < length; i++)
            controls += out.text[i] > 0 && out.text[i] < 9;
        assert_int_equal(controls, 1);
        protocol_text_free(&out);
        out = changed("[{do: invalid_utf8}]", random, text);
        assert_ptr_not_equal(memchr(out.text, 0xff, length), NULL);
        protocol_text_free(&out);
        random += 63;
    }
}

/* 0x0f: field 1 of a wire type that there is none of. */
static void corrupted_protobuf_begins_with_no_tag(void **state)
{
    struct fault_script s;
    struct protocol_text out = {0};

    (void)state;
    assert_int_equal(load(&s, "[{do: corrupt}]"), 0);
    fault_change(&s.rule[0], 12345, "\x0a\x04spot", 6, true, &out);
    assert_int_equal(out.length, 6);
    assert_memory_equal(out.text, "\x0f\x04spot", 6);
    protocol_text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_fires_at_its_frame_time_or_beat),
        cmocka_unit_test(a_seed_decides_all_chances),
        cmocka_unit_test(requests_match_by_path),
        cmocka_unit_test(wrong_scripts_are_refused),
        cmocka_unit_test(frames_are_changed_as_told),
        cmocka_unit_test(corruption_is_seen_by_any_parser),
        cmocka_unit_test(corrupted_protobuf_begins_with_no_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
