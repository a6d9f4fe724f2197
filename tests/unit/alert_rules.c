/* Rules from YAML: what is right is read exactly; every fault is named with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include <consumers/alerts/rules.h>

struct loaded {
    struct rules rules;
    struct tb_faults faults;
    char text[4096]; /* what was reported */
};

static void load(struct loaded *l, const char *yaml)
{
    char path[] = "/dev/shm/tickbus-rules-XXXXXX";
    int fd = mkstemp(path);
    memset(l, 0, sizeof(*l));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    (void)close(fd);
    l->faults.out = fmemopen(l->text, sizeof(l->text) - 1, "w");
    struct tb_yaml *root = tb_yaml_load(path, &l->faults);
    assert_non_null(root);
    assert_int_equal(
        rules_load(tb_yaml_get(root, "rules"), "f.yaml", "rules", &l->faults, &l->rules), 0);
    tb_yaml_free(root);
    (void)unlink(path);
    (void)fclose(l->faults.out);
}

static void reads_every_field_exactly(void **state)
{
    struct loaded l;
    (void)state;
    load(&l, "rules:\n"
             "  - {name: HighSpread, kind: spread_above, exchange: binance, symbol: BTC/USDT,"
             " threshold: 10.25, for: 30s, severity: critical, summary: too wide}\n"
             "  - {name: Up, kind: price_crosses, threshold: 61700, direction: up, keep: 5s}\n"
             "  - {name: Behind, kind: lag_above, reader: persist, records: 1000, for: 10s}\n");
    assert_string_equal(l.text, "");
    assert_int_equal(l.rules.count, 3);
    const struct rule *r = l.rules.rule;
    assert_string_equal(r[0].name, "HighSpread");
    assert_int_equal(r[0].kind, RULE_SPREAD_ABOVE);
    assert_int_equal(r[0].threshold, 1025);
    assert_int_equal(r[0].threshold_exp, -2);
    assert_int_equal(r[0].for_ns, 30 * TB_NS_PER_S);
    assert_int_equal(r[0].severity, 3);
    assert_true(rule_matches(&r[0], "binance", "BTC/USDT"));
    assert_false(rule_matches(&r[0], "binanceus", "BTC/USDT"));
    assert_int_equal(r[1].direction, RULE_UP);
    assert_int_equal(r[1].keep_ns, 5 * TB_NS_PER_S);
    assert_int_equal(r[1].severity, 2);
    assert_true(rule_matches(&r[1], "anywhere", "ETH/EUR"));
    assert_string_equal(r[2].reader, "persist");
    assert_string_equal(r[2].stream, "*");
    rules_free(&l.rules);
}

static void names_every_fault_with_line_and_field(void **state)
{
    static const char *const want[] = {
        "f.yaml:2: rules[0].kind: \"spread_abov\" is not one of",
        "did you mean spread_above?",
        "f.yaml:3: rules[1].treshold: unknown key; did you mean threshold?",
        "f.yaml:3: rules[1].threshold: is missing from a rule of kind price_above",
        "f.yaml:4: rules[2].for: \"5 sec\" is not a duration",
        "f.yaml:5: rules[3].threshold: \"1e400\" is not a decimal",
        "f.yaml:6: rules[4].symbol: means nothing in a feed_down rule",
        ("f.yaml:7: rules[5].severity: \"warnin\" is not one of info, warning, critical; did you "
         "mean warning?"),
        "f.yaml:8: rules[6].name: \"D\" is the name of another rule (line 5)",
        "f.yaml:9: rules[7].name: is missing",
        "f.yaml:10: rules[8]: is not a map",
    };
    struct loaded l;
    (void)state;
    load(&l, "rules:\n"
             "  - {name: A, kind: spread_abov, threshold: 1}\n"
             "  - {name: B, kind: price_above, treshold: 1}\n"
             "  - {name: C, kind: no_trades, for: 5 sec}\n"
             "  - {name: D, kind: price_above, threshold: 1e400}\n"
             "  - {name: E, kind: feed_down, symbol: BTC/USDT}\n"
             "  - {name: F, kind: gap, severity: warnin}\n"
             "  - {name: D, kind: gap}\n"
             "  - {kind: gap}\n"
             "  - gap\n");
    for (size_t i = 0; i < TB_COUNT(want); i++)
        if (strstr(l.text, want[i]) == NULL)
            fail_msg("not reported: %s\n%s", want[i], l.text);
    rules_free(&l.rules);
}

static void no_rules_are_no_fault(void **state)
{
    struct loaded l;
    (void)state;
    load(&l, "rules:\n");
    assert_string_equal(l.text, "");
    assert_int_equal(l.rules.count, 0);
    rules_free(&l.rules);
}

static void the_example_has_every_kind_and_no_fault(void **state)
{
    struct tb_faults faults = {.out = stderr};
    struct rules rules;
    struct tb_yaml *root = tb_yaml_load(TB_SOURCE_DIR "/deploy/rules.yaml", &faults);
    bool seen[RULE_KINDS] = {false};
    (void)state;
    assert_int_equal(rules_load(tb_yaml_get(root, "rules"), "rules.yaml", "rules", &faults, &rules),
                     0);
    assert_int_equal(faults.count, 0);
    for (size_t i = 0; i < rules.count; i++)
        seen[rules.rule[i].kind] = true;
    for (size_t i = 0; i < RULE_KINDS; i++)
        if (!seen[i])
            fail_msg("deploy/rules.yaml has no rule of kind %s", rule_kind_name((enum rule_kind)i));
    rules_free(&rules);
    tb_yaml_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field_exactly),
        cmocka_unit_test(names_every_fault_with_line_and_field),
        cmocka_unit_test(no_rules_are_no_fault),
        cmocka_unit_test(the_example_has_every_kind_and_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
