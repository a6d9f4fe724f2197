#include <consumers/alerts/rules.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>
#include <tickbus/record.h>

enum key {
    KEY_NAME = 1 << 0,
    KEY_KIND = 1 << 1,
    KEY_SEVERITY = 1 << 2,
    KEY_SUMMARY = 1 << 3,
    KEY_EXCHANGE = 1 << 4,
    KEY_SYMBOL = 1 << 5,
    KEY_STREAM = 1 << 6,
    KEY_READER = 1 << 7,
    KEY_THRESHOLD = 1 << 8,
    KEY_RECORDS = 1 << 9,
    KEY_FOR = 1 << 10,
    KEY_KEEP = 1 << 11,
    KEY_DIRECTION = 1 << 12,
};
#define KEYS 13
#define KEYS_ALL (KEY_NAME | KEY_KIND | KEY_SEVERITY | KEY_SUMMARY)
#define KEYS_MARKET (KEYS_ALL | KEY_EXCHANGE | KEY_SYMBOL)

static const char *const key_name[KEYS] = {"name",   "kind",   "severity", "summary",   "exchange",
                                           "symbol", "stream", "reader",   "threshold", "records",
                                           "for",    "keep",   "direction"};

static const struct kind {
    const char *name;
    unsigned allowed;
    unsigned required; /* beside name and kind */
} kinds[RULE_KINDS] = {
    [RULE_PRICE_ABOVE] = {"price_above", KEYS_MARKET | KEY_THRESHOLD | KEY_FOR, KEY_THRESHOLD},
    [RULE_PRICE_BELOW] = {"price_below", KEYS_MARKET | KEY_THRESHOLD | KEY_FOR, KEY_THRESHOLD},
    [RULE_PRICE_CROSSES] = {"price_crosses",
                            KEYS_MARKET | KEY_THRESHOLD | KEY_FOR | KEY_KEEP | KEY_DIRECTION,
                            KEY_THRESHOLD},
    [RULE_SPREAD_ABOVE] = {"spread_above", KEYS_MARKET | KEY_THRESHOLD | KEY_FOR, KEY_THRESHOLD},
    [RULE_NO_TRADES] = {"no_trades", KEYS_MARKET | KEY_FOR, KEY_FOR},
    [RULE_BOOK_INVALID] = {"book_invalid", KEYS_MARKET | KEY_FOR, 0},
    [RULE_GAP] = {"gap", KEYS_MARKET | KEY_KEEP, 0},
    [RULE_FEED_DOWN] = {"feed_down", KEYS_ALL | KEY_STREAM | KEY_FOR, 0},
    [RULE_LAG_ABOVE] = {"lag_above", KEYS_ALL | KEY_STREAM | KEY_READER | KEY_RECORDS | KEY_FOR,
                        KEY_RECORDS},
};

static const char *const severity_name[] = {"info", "warning", "critical"};
static const char *const direction_name[] = {"either", "up", "down"};

#define KEEP_DEFAULT_NS (60 * TB_NS_PER_S)

/* Where a value stands, for its faults. */
struct site {
    const char *file;
    const char *where; /* "services.alerts.rules" */
    size_t number;     /* of the rule in the list, from 0 */
    struct tb_faults *faults;
};

#define FAULT(site, line, key, ...)                                                                \
    do {                                                                                           \
        char field_[160];                                                                          \
        (void)snprintf(field_, sizeof(field_), "%.80s[%zu]%s%.40s", (site)->where, (site)->number, \
                       (key)[0] != '\0' ? "." : "", (key));                                        \
        tb_fault((site)->faults, (site)->file, (line), field_, __VA_ARGS__);                       \
    } while (0)

const char *rule_kind_name(enum rule_kind kind)
{
    return kinds[kind].name;
}

bool rule_is_market(const struct rule *rule)
{
    return (kinds[rule->kind].allowed & KEY_SYMBOL) != 0;
}

bool rule_name_matches(const char *pattern, const char *name)
{
    return strcmp(pattern, "*") == 0 || strcmp(pattern, name) == 0;
}

bool rule_matches(const struct rule *rule, const char *venue, const char *symbol)
{
    return rule_is_market(rule) && rule_name_matches(rule->exchange, venue) &&
           rule_name_matches(rule->symbol, symbol);
}

/* A choice out of a few words: its index, or -1 and a fault. */
static int choose(const struct site *site, const char *key, const struct tb_yaml *value,
                  const char *const *names, size_t count)
{
    char all[200] = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], value->text) == 0)
            return (int)i;
        size_t used = strlen(all);
        (void)snprintf(all + used, sizeof(all) - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *near = tb_nearest(value->text, names, count);
    if (near != NULL)
        FAULT(site, value->line, key, "\"%s\" is not one of %s; did you mean %s?", value->text, all,
              near);
    else
        FAULT(site, value->line, key, "\"%s\" is not one of %s", value->text, all);
    return -1;
}

static void read_text(const struct site *site, const char *key, const struct tb_yaml *value,
                      char *out, size_t bytes)
{
    if (strlen(value->text) >= bytes)
        FAULT(site, value->line, key, "longer than %zu bytes", bytes - 1);
    else if (value->text[0] == '\0')
        FAULT(site, value->line, key, "is empty");
    else
        (void)snprintf(out, bytes, "%s", value->text);
    for (const char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            FAULT(site, value->line, key, "has a control character");
            return;
        }
}

static void read_stream(const struct site *site, const char *key, const struct tb_yaml *value,
                        char *out)
{
    if (strcmp(value->text, "*") != 0 && !tb_name_check(value->text))
        FAULT(site, value->line, key, "\"%s\" can not be the name of a %s", value->text, key);
    else
        (void)snprintf(out, TB_STREAM_BYTES, "%s", value->text);
}

static void read_duration(const struct site *site, const char *key, const struct tb_yaml *value,
                          tb_ns *out)
{
    tb_ns duration;
    if (tb_duration_parse(value->text, &duration) != 0 || duration < 0) {
        FAULT(site, value->line, key, "\"%s\" is not a duration; write 250ms, 30s, 1m",
              value->text);
        duration = 1; /* one fault is enough: it is not nothing */
    }
    *out = duration;
}

static void read_threshold(const struct site *site, const char *key, const struct tb_yaml *value,
                           struct rule *rule)
{
    int64_t mantissa;
    int exp;
    size_t length = strlen(value->text);
    if (tb_decimal_exp(value->text, length, &exp) != 0 ||
        tb_decimal_parse(value->text, length, exp, &mantissa) != 0) {
        FAULT(site, value->line, key, "\"%s\" is not a decimal that fits; write 61700 or 0.05",
              value->text);
        return;
    }
    if (rule->kind == RULE_LAG_ABOVE && (exp != 0 || mantissa < 0))
        FAULT(site, value->line, key, "\"%s\" is not a number of records", value->text);
    rule->threshold = mantissa;
    rule->threshold_exp = exp;
}

static void read_value(const struct site *site, unsigned key, const char *name,
                       const struct tb_yaml *value, struct rule *rule)
{
    int choice;
    switch ((enum key)key) {
    case KEY_NAME:
        read_text(site, name, value, rule->name, sizeof(rule->name));
        break;
    case KEY_SUMMARY:
        read_text(site, name, value, rule->summary, sizeof(rule->summary));
        break;
    case KEY_EXCHANGE:
        read_text(site, name, value, rule->exchange, sizeof(rule->exchange));
        break;
    case KEY_SYMBOL:
        if (strcmp(value->text, "*") != 0 && !tb_symbol_check(value->text))
            FAULT(site, value->line, name, "\"%s\" can not be a symbol; write BTC/USDT or \"*\"",
                  value->text);
        else
            read_text(site, name, value, rule->symbol, sizeof(rule->symbol));
        break;
    case KEY_SEVERITY:
        choice = choose(site, name, value, severity_name, TB_COUNT(severity_name));
        rule->severity = (uint8_t)(choice >= 0 ? choice + TB_SEVERITY_INFO : TB_SEVERITY_WARNING);
        break;
    case KEY_DIRECTION:
        choice = choose(site, name, value, direction_name, TB_COUNT(direction_name));
        rule->direction = choice >= 0 ? (enum rule_direction)choice : RULE_EITHER;
        break;
    case KEY_STREAM:
        read_stream(site, name, value, rule->stream);
        break;
    case KEY_READER:
        read_stream(site, name, value, rule->reader);
        break;
    case KEY_FOR:
        read_duration(site, name, value, &rule->for_ns);
        break;
    case KEY_KEEP:
        read_duration(site, name, value, &rule->keep_ns);
        break;
    case KEY_THRESHOLD:
    case KEY_RECORDS:
        read_threshold(site, name, value, rule);
        break;
    case KEY_KIND:
    default:
        break; /* was read first */
    }
}

static int find_kind(const struct site *site, const struct tb_yaml *map)
{
    const char *names[RULE_KINDS];
    const struct tb_yaml *kind = tb_yaml_get(map, "kind");
    for (size_t i = 0; i < RULE_KINDS; i++)
        names[i] = kinds[i].name;
    if (kind == NULL || kind->kind != TB_YAML_SCALAR) {
        FAULT(site, map->line, "kind", "is missing: what should the rule look for?");
        return -1;
    }
    return choose(site, "kind", kind, names, RULE_KINDS);
}

/* Keys that are wrong for every kind, or for this one. */
static void report_key(const struct site *site, const struct tb_yaml *map, size_t i,
                       enum rule_kind kind, bool known)
{
    const char *key = map->key[i];
    const char *near = known ? NULL : tb_nearest(key, key_name, KEYS);
    if (known)
        FAULT(site, map->key_line[i], key, "means nothing in a %s rule", kinds[kind].name);
    else if (near != NULL)
        FAULT(site, map->key_line[i], key, "unknown key; did you mean %s?", near);
    else
        FAULT(site, map->key_line[i], key, "unknown key");
}

static void read_rule(const struct site *site, const struct tb_yaml *map, struct rule *rule)
{
    unsigned seen = 0;
    *rule = (struct rule){.exchange = "*",
                          .symbol = "*",
                          .stream = "*",
                          .reader = "*",
                          .severity = TB_SEVERITY_WARNING,
                          .keep_ns = KEEP_DEFAULT_NS};
    if (map->kind != TB_YAML_MAP) {
        FAULT(site, map->line, "", "is not a map; write - {name: ..., kind: ...}");
        return;
    }
    int kind = find_kind(site, map);
    rule->kind = kind >= 0 ? (enum rule_kind)kind : RULE_PRICE_ABOVE;
    for (size_t i = 0; i < map->count; i++) {
        unsigned key = 0;
        for (unsigned k = 0; k < KEYS; k++)
            if (strcmp(map->key[i], key_name[k]) == 0)
                key = 1U << k;
        if (key == 0 || (kind >= 0 && (kinds[kind].allowed & key) == 0)) {
            report_key(site, map, i, rule->kind, key != 0);
            continue;
        }
        seen |= key;
        if (map->item[i]->kind != TB_YAML_SCALAR)
            FAULT(site, map->key_line[i], map->key[i], "is a structure; one value is wanted");
        else
            read_value(site, key, map->key[i], map->item[i], rule);
    }
    unsigned required = KEY_NAME | (kind >= 0 ? kinds[kind].required : 0U);
    for (unsigned k = 0; k < KEYS; k++)
        if ((required & ~seen & (1U << k)) != 0)
            FAULT(site, map->line, key_name[k], "is missing%s%s",
                  k == 0 ? "" : " from a rule of kind ",
                  k == 0 ? "" : kinds[kind >= 0 ? kind : 0].name);
    if (rule->kind == RULE_NO_TRADES && (seen & KEY_FOR) != 0 && rule->for_ns == 0)
        FAULT(site, map->line, "for", "must be longer than nothing");
}

static void check_names(const struct site *at, const struct tb_yaml *list,
                        const struct rules *rules)
{
    struct site site = *at;
    for (size_t i = 0; i < rules->count; i++)
        for (size_t j = 0; j < i; j++)
            if (rules->rule[i].name[0] != '\0' &&
                strcmp(rules->rule[i].name, rules->rule[j].name) == 0) {
                site.number = i;
                FAULT(&site, list->item[i]->line, "name",
                      "\"%s\" is the name of another rule (line %d)", rules->rule[i].name,
                      list->item[j]->line);
            }
}

static int read_list(const struct tb_yaml *list, struct site *site, struct rules *out_rules)
{
    if (list->kind == TB_YAML_SCALAR && list->text[0] == '\0')
        return 0; /* `rules:` with all of them commented out */
    if (list->kind != TB_YAML_LIST || list->count > RULES_MAX) {
        tb_fault(site->faults, site->file, list->line, site->where,
                 list->kind != TB_YAML_LIST ? "is not a list; write - {name: ..., kind: ...}"
                                            : "holds more than 256 rules");
        return 0;
    }
    out_rules->rule = calloc(list->count + 1, sizeof(*out_rules->rule));
    if (out_rules->rule == NULL)
        return -ENOMEM;
    out_rules->count = list->count;
    for (site->number = 0; site->number < list->count; site->number++)
        read_rule(site, list->item[site->number], &out_rules->rule[site->number]);
    check_names(site, list, out_rules);
    return 0;
}

int rules_load(const struct tb_yaml *tree, const char *file, const char *where,
               struct tb_faults *faults, struct rules *out_rules)
{
    struct site site = {.file = file, .where = where, .faults = faults};
    memset(out_rules, 0, sizeof(*out_rules));
    if (tree == NULL)
        return 0;
    if (tree->kind != TB_YAML_SCALAR || tree->text[0] == '\0')
        return read_list(tree, &site, out_rules);
    struct tb_yaml *root = tb_yaml_load(tree->text, faults);
    const struct tb_yaml *list = root;
    if (root != NULL && root->kind == TB_YAML_MAP)
        list = tb_yaml_get(root, "rules");
    int rc = 0;
    site.file = tree->text;
    site.where = "rules";
    if (list != NULL)
        rc = read_list(list, &site, out_rules);
    else if (root != NULL)
        tb_fault(faults, tree->text, root->line, "rules", "is missing");
    tb_yaml_free(root);
    return rc;
}

void rules_free(struct rules *rules)
{
    free(rules->rule);
    memset(rules, 0, sizeof(*rules));
}
