/* YAML with the places of things, and everything that is refused in it. */
#include "unit/faults.h"

static void values_know_their_lines(void **state)
{
    struct heard *h = *state;
    struct tb_yaml *y = load_text(h, "# a comment\nbus: demo\nservices:\n  persist:\n    rows: 5\n"
                                     "    list:\n      - a\n      - b\n  empty:\n  nothing: ~\n");
    assert_non_null(y);
    assert_int_equal(h->faults.count, 0);
    const struct tb_yaml *rows = tb_yaml_find(y, "services.persist.rows");
    assert_non_null(rows);
    assert_string_equal(rows->text, "5");
    assert_int_equal(rows->line, 5);
    const struct tb_yaml *list = tb_yaml_find(y, "services.persist.list");
    assert_int_equal(list->kind, TB_YAML_LIST);
    assert_int_equal(list->count, 2);
    assert_int_equal(list->item[1]->line, 8);
    assert_string_equal(tb_yaml_find(y, "services.empty")->text, "");
    assert_string_equal(tb_yaml_find(y, "services.nothing")->text, "");
    assert_int_equal(y->key_line[1], 3);
    assert_null(tb_yaml_find(y, "services.persist.rows.deeper"));
    assert_null(tb_yaml_find(y, "no.such"));
    assert_null(tb_yaml_get(NULL, "x"));
    tb_yaml_free(y);
}

static void keys_may_hold_dots(void **state)
{
    struct heard *h = *state;
    struct tb_yaml *y = load_text(h, "feeds:\n  a.b: {x: 1}\n");
    assert_non_null(y);
    assert_non_null(tb_yaml_find(y, "feeds.a.b"));
    tb_yaml_free(y);
}

static void a_key_given_twice_is_a_fault_and_the_first_stays(void **state)
{
    struct heard *h = *state;
    struct tb_yaml *y = load_text(h, "a:\n  b: 1\n  c: 2\n  b: 3\n");
    assert_non_null(y);
    assert_heard(h, ":4: a.b: is there twice; the first is in line 2");
    assert_string_equal(tb_yaml_find(y, "a.b")->text, "1");
    assert_int_equal(h->faults.count, 1);
    tb_yaml_free(y);
}

static void refused(void **state, const char *text, const char *fault)
{
    struct heard *h = *state;
    assert_null(load_text(h, text));
    assert_heard(h, fault);
    assert_int_equal(h->faults.count, 1);
}

static void tabs_are_refused_with_a_hint(void **state)
{
    refused(state, "a:\n\tb: 1\n", ":2: ");
    assert_non_null(strstr(((struct heard *)*state)->text, "not tabs"));
}

static void bad_syntax_is_refused_at_its_line(void **state)
{
    refused(state, "a: 1\nb: [1, 2\nc: 3\n", ":3: ");
}

static void aliases_are_refused(void **state)
{
    refused(state, "a: 1\nb: *x\n", ":2: anchors and aliases");
}

static void anchors_are_refused(void **state)
{
    refused(state, "a: &x [1]\nb: *x\n", ":1: anchors and aliases");
}

static void a_second_document_is_refused(void **state)
{
    refused(state, "a: 1\n---\nb: 2\n", ":3: a second document");
}

static void an_empty_file_is_refused(void **state)
{
    refused(state, "# only a comment\n", ": is empty");
}

static void a_structure_as_key_is_refused(void **state)
{
    refused(state, "? [a, b]\n: 1\n", ":1: a key must be a plain word");
}

static void a_missing_file_is_refused(void **state)
{
    struct heard *h = *state;
    assert_null(tb_yaml_load("/nowhere/at/all.yaml", &h->faults));
    fflush(h->faults.out);
    assert_string_equal(h->text, "/nowhere/at/all.yaml: cannot open: No such file or directory\n");
}

static void depth_is_bounded(void **state)
{
    struct heard *h = *state;
    char text[100001];
    memset(text, '[', 100000);
    text[100000] = '\0';
    assert_null(load_text(h, text));
    assert_heard(h, ":1: is nested deeper than 32");
}

static void size_is_bounded(void **state)
{
    struct heard *h = *state;
    size_t bytes = 1024 * 1024 + 1;
    char *text = malloc(bytes);
    memset(text, '#', bytes);
    assert_null(load_bytes(h, text, bytes));
    assert_heard(h, ": is larger than 1 MiB");
    free(text);
}

static void the_number_of_values_is_bounded(void **state)
{
    struct heard *h = *state;
    size_t n = 70000;
    char *text = malloc(2 * n + 3);
    text[0] = '[';
    for (size_t i = 0; i < n; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    memcpy(text + 1 + 2 * n, "]", 2);
    assert_null(load_text(h, text));
    assert_heard(h, ":1: has more than 65536 values");
    free(text);
}

static void nul_bytes_are_refused(void **state)
{
    struct heard *h = *state;
    assert_null(load_bytes(h, "a: \"x\\0y\"\n", 10));
    assert_heard(h, ":1: holds a NUL byte");
}

/* Whatever the bytes are: an answer, and no memory left behind (seen by the sanitizer builds). */
static void any_bytes_are_survived(void **state)
{
    struct heard *h = *state;
    static const char alphabet[] = "ab: -[]{}\n\n  ,&*#|>'\"%@\t!?";
    unsigned random = 7;
    for (int round = 0; round < 3000; round++) {
        char text[64];
        size_t n = 0;
        for (; n < sizeof(text) - 1; n++) {
            random = random * 1664525 + 1013904223;
            text[n] = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
        }
        struct tb_faults quiet = {0};
        FILE *f = fopen(h->path, "w");
        assert_int_equal(fwrite(text, 1, n, f), n);
        fclose(f);
        struct tb_yaml *y = tb_yaml_load(h->path, &quiet);
        assert_true(y != NULL || quiet.count > 0);
        tb_yaml_free(y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEARD_TEST(values_know_their_lines),
        HEARD_TEST(keys_may_hold_dots),
        HEARD_TEST(a_key_given_twice_is_a_fault_and_the_first_stays),
        HEARD_TEST(tabs_are_refused_with_a_hint),
        HEARD_TEST(bad_syntax_is_refused_at_its_line),
        HEARD_TEST(aliases_are_refused),
        HEARD_TEST(anchors_are_refused),
        HEARD_TEST(a_second_document_is_refused),
        HEARD_TEST(an_empty_file_is_refused),
        HEARD_TEST(a_structure_as_key_is_refused),
        HEARD_TEST(a_missing_file_is_refused),
        HEARD_TEST(depth_is_bounded),
        HEARD_TEST(size_is_bounded),
        HEARD_TEST(the_number_of_values_is_bounded),
        HEARD_TEST(nul_bytes_are_refused),
        HEARD_TEST(any_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
