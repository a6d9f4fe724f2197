/* Option tables: texts to values, faults with their places, the command line. */
#include "unit/faults.h"

#include <errno.h>

struct all {
    const char *text;
    bool flag;
    int64_t number;
    tb_ns time;
    int64_t size;
    int choice;
    struct tb_list list;
    const struct tb_yaml *tree;
};

#define A(field) offsetof(struct all, field)

static const struct tb_option rows[] = {
    {"text", TB_OPTION_STRING, A(text), NULL, .help = "a text", .required = true},
    {"flag", TB_OPTION_BOOL, A(flag), "false", .help = "a flag"},
    {"big_number", TB_OPTION_INT, A(number), "7", 1, 100, .help = "a number"},
    {"time", TB_OPTION_DURATION, A(time), "250ms", TB_NS_PER_MS, 60 * TB_NS_PER_S,
     .help = "a time"},
    {"size", TB_OPTION_BYTES, A(size), "64KiB", .help = "a size"},
    {"choice", TB_OPTION_ENUM, A(choice), "yield", .choices = "park|yield|spin",
     .help = "a choice"},
    {"list", TB_OPTION_LIST, A(list), "x,y", .help = "a list"},
    {"tree", TB_OPTION_TREE, A(tree), NULL, .help = "a tree"},
};
#define ROWS rows, TB_COUNT(rows)

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    struct all a;
    struct tb_config_memory memory = {0};
    tb_config_defaults(ROWS, &a, &memory);
    assert_null(a.text);
    assert_false(a.flag);
    assert_int_equal(a.number, 7);
    assert_int_equal(a.time, 250 * TB_NS_PER_MS);
    assert_int_equal(a.size, 65536);
    assert_int_equal(a.choice, 1);
    assert_int_equal(a.list.count, 2);
    assert_string_equal(a.list.item[1], "y");
    tb_config_release(&memory);
}

static void set_and_expect(const char *key, const char *text, int rc, const char *reason)
{
    struct all a;
    struct tb_config_memory memory = {0};
    struct tb_error err = {""};
    tb_config_defaults(ROWS, &a, &memory);
    assert_int_equal(tb_config_set(ROWS, key, text, &a, &memory, &err), rc);
    assert_string_equal(err.text, reason);
    tb_config_release(&memory);
}

static void a_wrong_value_says_what_would_be_right(void **state)
{
    (void)state;
    set_and_expect("flag", "maybe", -EINVAL, "\"maybe\" is neither true nor false");
    set_and_expect("big_number", "1e3", -EINVAL, "\"1e3\" is not a whole number");
    set_and_expect("big_number", "101", -EINVAL, "\"101\" is out of range; it may be 1 .. 100");
    set_and_expect("big_number", "99999999999999999999", -EINVAL,
                   "\"99999999999999999999\" is out of range; it may be 1 .. 100");
    set_and_expect("time", "5 sec", -EINVAL, "\"5 sec\" is not a duration; write 250ms, 5s, 1m");
    set_and_expect("time", "2m", -EINVAL, "\"2m\" is out of range; it may be 1ms .. 1m");
    set_and_expect("size", "many", -EINVAL, "\"many\" is not a size; write 4096, 64KiB, 4MiB");
    set_and_expect("choice", "sleep", -EINVAL, "\"sleep\" is none of park|yield|spin");
    set_and_expect("choice", "par", -EINVAL, "\"par\" is none of park|yield|spin");
    set_and_expect("tree", "x", -EINVAL, "is a structure: it can be given in the config file only");
    set_and_expect("big-numbr", "1", -ENOENT, "is not known; did you mean big_number?");
    set_and_expect("quite_something_else", "1", -ENOENT, "is not known");
}

static void right_values_are_taken(void **state)
{
    (void)state;
    struct all a;
    struct tb_config_memory memory = {0};
    struct tb_error err;
    tb_config_defaults(ROWS, &a, &memory);
    static const char *const given[][2] = {
        {"text", "a b"},  {"flag", "on"},     {"big-number", "100"}, {"time", "1.5s"},
        {"size", "2MiB"}, {"choice", "spin"}, {"list", "p, q ,r"},   {"list", "s"}};
    for (size_t i = 0; i < TB_COUNT(given); i++)
        assert_int_equal(tb_config_set(ROWS, given[i][0], given[i][1], &a, &memory, &err), 0);
    assert_string_equal(a.text, "a b");
    assert_true(a.flag);
    assert_int_equal(a.number, 100);
    assert_int_equal(a.time, 1500 * TB_NS_PER_MS);
    assert_int_equal(a.size, 2 << 20);
    assert_int_equal(a.choice, 2);
    assert_int_equal(a.list.count, 4); /* repeats add up, but replace the default */
    assert_string_equal(a.list.item[1], "q");
    assert_string_equal(a.list.item[3], "s");
    tb_config_release(&memory);
}

static void every_fault_of_a_section_is_reported(void **state)
{
    struct heard *h = *state;
    struct all a;
    struct tb_config_memory memory = {0};
    struct tb_yaml *y =
        load_text(h, "s:\n  program: x\n  flag: maybe\n  txet: 1\n  list: [a, [b]]\n"
                     "  time: [1s]\n  big_number:\n  tree: {k: v}\n");
    static const char *const skip[] = {"program", NULL};
    tb_config_defaults(ROWS, &a, &memory);
    tb_config_section(ROWS, tb_yaml_get(y, "s"), h->path, "s", skip, &a, &memory, &h->faults);
    assert_heard(h, ":3: s.flag: \"maybe\" is neither true nor false");
    assert_heard(h, ":4: s.txet: is not known; did you mean text?");
    assert_heard(h, ":5: s.list: item 2 must be one value");
    assert_heard(h, ":6: s.time: must be one value");
    assert_heard(h, ":7: s.big_number: has no value");
    assert_int_equal(h->faults.count, 5);
    assert_int_equal(a.tree->kind, TB_YAML_MAP);
    assert_int_equal(tb_config_missing(ROWS, &a, h->path, "s", &h->faults), 1);
    assert_heard(h, ": s.text: is required: a text");
    tb_config_release(&memory);
    tb_yaml_free(y);
}

static void a_fault_of_a_key_finds_its_line(void **state)
{
    struct heard *h = *state;
    struct tb_yaml *y = load_text(h, "services:\n  s:\n    a: 1\n    b: 2\n");
    h->faults.section = tb_yaml_find(y, "services.s");
    h->faults.where = "services.s";
    h->faults.section_line = 2;
    tb_fault(&h->faults, h->path, 0, "b", "is odd");
    tb_fault(&h->faults, h->path, 0, "services.s.a", "is even");
    tb_fault(&h->faults, h->path, 0, "c", "is missing");
    assert_heard(h, ":4: services.s.b: is odd");
    assert_heard(h, ":3: services.s.a: is even");
    assert_heard(h, ":2: services.s.c: is missing");
    tb_yaml_free(y);
}

static void the_command_line_wins_and_operands_come_first(void **state)
{
    (void)state;
    struct all a;
    struct tb_config_memory memory = {0};
    char *argv[] = {(char[]){"prog"},     (char[]){"one"},
                    (char[]){"--text=T"}, (char[]){"--flag"},
                    (char[]){"two"},      (char[]){"--big-number"},
                    (char[]){"9"},        (char[]){"--"},
                    (char[]){"--three"},  NULL};
    int n = tb_command_parse("prog", "usage", ROWS, &a, &memory, 9, argv);
    assert_int_equal(n, 3);
    assert_string_equal(argv[0], "one");
    assert_string_equal(argv[1], "two");
    assert_string_equal(argv[2], "--three");
    assert_string_equal(a.text, "T");
    assert_true(a.flag);
    assert_int_equal(a.number, 9);
    tb_config_release(&memory);
}

static void a_bad_command_line_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"--nonsense", "--big-number=x", "--time", "-z", "-verbose"};
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        struct all a;
        struct tb_config_memory memory = {0};
        char word[32];
        snprintf(word, sizeof(word), "%s", bad[i]);
        char *argv[] = {(char[]){"prog"}, (char[]){"--text=T"}, word, NULL};
        assert_int_equal(tb_command_parse("prog", "usage", ROWS, &a, &memory, 3, argv), -EINVAL);
        tb_config_release(&memory);
    }
}

/* What --print-config writes is read back as the same values. */
static void printed_values_are_read_back(void **state)
{
    struct heard *h = *state;
    struct all a, b;
    struct tb_config_memory memory = {0};
    struct tb_yaml *y =
        load_text(h, "text: 'with: colon # and \"quotes\"'\nflag: yes\nbig_number: 42\n"
                     "time: 30s\nsize: 3MiB\nchoice: park\nlist: ['a,b', c]\n"
                     "tree: [{k: 'v, w'}, []]\n");
    tb_config_defaults(ROWS, &a, &memory);
    tb_config_section(ROWS, y, h->path, "", NULL, &a, &memory, &h->faults);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    tb_config_print(out, ROWS, &a);
    fclose(out);
    struct tb_yaml *again = load_text(h, text);
    tb_config_defaults(ROWS, &b, &memory);
    tb_config_section(ROWS, again, h->path, "", NULL, &b, &memory, &h->faults);
    assert_int_equal(h->faults.count, 0);
    assert_string_equal(a.text, b.text);
    assert_true(b.flag);
    assert_int_equal(b.number, 42);
    assert_int_equal(b.time, 30 * TB_NS_PER_S);
    assert_int_equal(b.size, 3 << 20);
    assert_int_equal(b.choice, 0);
    assert_int_equal(b.list.count, 2);
    assert_string_equal(b.list.item[0], "a,b");
    assert_string_equal(b.tree->item[0]->item[0]->text, "v, w");
    free(text);
    tb_config_release(&memory);
    tb_yaml_free(y);
    tb_yaml_free(again);
}

static void the_nearest_spelling_is_found(void **state)
{
    (void)state;
    static const char *const words[] = {"candles", "persist", "metrics", "up"};
    assert_string_equal(tb_nearest("candels", words, 4), "candles");
    assert_string_equal(tb_nearest("metric", words, 4), "metrics");
    assert_null(tb_nearest("zebra", words, 4));
    assert_null(tb_nearest("xy", words, 4)); /* nothing in common */
    assert_string_equal(tb_config_nearest(ROWS, "tiem"), "time");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(a_wrong_value_says_what_would_be_right),
        cmocka_unit_test(right_values_are_taken),
        HEARD_TEST(every_fault_of_a_section_is_reported),
        HEARD_TEST(a_fault_of_a_key_finds_its_line),
        cmocka_unit_test(the_command_line_wins_and_operands_come_first),
        cmocka_unit_test(a_bad_command_line_is_refused),
        HEARD_TEST(printed_values_are_read_back),
        cmocka_unit_test(the_nearest_spelling_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
