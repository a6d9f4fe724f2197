/* Option tables: texts into values, with every fault named; values into texts for --help and print. */
#include <tickbus/config.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <tickbus/clock.h>

#include "option_tables.h"

#define KEY_BYTES 64

/* ---- memory of strings and lists ---- */

enum origin { FROM_FALLBACK, FROM_FILE, FROM_TEXT };

struct block {
    struct block *next;
    enum origin origin;
    alignas(16) char data[];
};

static void *keep(struct tb_config_memory *memory, size_t bytes, enum origin origin)
{
    struct block *b = calloc(1, sizeof(*b) + bytes);
    TB_ASSERT(b != NULL);
    b->next = memory->head;
    b->origin = origin;
    memory->head = b;
    return b->data;
}

static char *keep_text(struct tb_config_memory *memory, const char *text, size_t length)
{
    char *copy = keep(memory, length + 1, FROM_TEXT);
    memcpy(copy, text, length);
    return copy;
}

void tb_config_release(struct tb_config_memory *memory)
{
    for (struct block *b = memory->head; b != NULL;) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
    memory->head = NULL;
}

/* ---- faults ---- */

/* Complete a fault that names a key of the section, but no line. */
static void place_fault(const struct tb_faults *faults, int *line, const char **field,
                        char full[256])
{
    if (faults->where == NULL || *line != 0 || *field == NULL)
        return;
    size_t length = strlen(faults->where);
    const char *key = *field;
    if (strncmp(key, faults->where, length) == 0 && key[length] == '.')
        key += length + 1;
    const struct tb_yaml *map = faults->section;
    *line = faults->section_line;
    for (size_t i = 0; map != NULL && map->kind == TB_YAML_MAP && i < map->count; i++)
        if (strcmp(map->key[i], key) == 0)
            *line = map->key_line[i];
    snprintf(full, 256, "%s.%s", faults->where, key);
    *field = full;
}

void tb_fault(struct tb_faults *faults, const char *file, int line, const char *field,
              const char *format, ...)
{
    char full[256];
    faults->count++;
    if (faults->out == NULL)
        return;
    place_fault(faults, &line, &field, full);
    if (file != NULL)
        fprintf(faults->out, line > 0 ? "%s:%d: " : "%s: ", file, line);
    if (field != NULL && field[0] != '\0')
        fprintf(faults->out, "%s: ", field);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(faults->out, format, arguments);
    va_end(arguments);
    fputc('\n', faults->out);
    fflush(faults->out);
}

/* ---- nearest spelling ---- */

/* Insertions, deletions, changes and swaps of neighbours, each one step. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 47 };
    size_t la = strlen(a), lb = strlen(b);
    if (la > LONGEST || lb > LONGEST)
        return SIZE_MAX;
    size_t d[LONGEST + 1][LONGEST + 1];
    for (size_t i = 0; i <= la; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[la][lb];
}

/* Is candidate nearer to word than *best, and near enough at all? */
static bool nearer(const char *word, const char *candidate, size_t *best)
{
    size_t limit = strlen(word) / 3 > 2 ? strlen(word) / 3 : 2;
    size_t distance = edit_distance(word, candidate);
    if (distance > limit || distance >= *best || distance >= strlen(word))
        return false;
    *best = distance;
    return true;
}

const char *tb_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        if (nearer(word, candidates[i], &best))
            found = candidates[i];
    return found;
}

/* ---- keys ---- */

static const char *normal_key(const char *key, char out[KEY_BYTES])
{
    size_t i = 0;
    for (; key[i] != '\0' && i + 1 < KEY_BYTES; i++)
        out[i] = key[i] == '-' ? '_' : key[i];
    out[i] = '\0';
    return out;
}

const struct tb_option *tb_tables_find(const struct tb_option_table *tables, size_t count,
                                       const char *key, void **out_values)
{
    char name[KEY_BYTES];
    normal_key(key, name);
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (strcmp(tables[t].options[i].key, name) == 0) {
                if (out_values != NULL)
                    *out_values = tables[t].values;
                return &tables[t].options[i];
            }
    return NULL;
}

static const char *tables_nearest(const struct tb_option_table *tables, size_t count,
                                  const char *key)
{
    char name[KEY_BYTES];
    normal_key(key, name);
    const char *found = NULL;
    size_t best = SIZE_MAX;
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (nearer(name, tables[t].options[i].key, &best))
                found = tables[t].options[i].key;
    return found;
}

const char *tb_config_nearest(const struct tb_option *options, size_t count, const char *key)
{
    struct tb_option_table table = {.options = options, .count = count};
    return tables_nearest(&table, 1, key);
}

/* ---- values to text ---- */

struct unit {
    int64_t factor;
    const char *name;
};

/* The largest unit that divides the value: 250ms, not 0.25s. */
static void print_quantity(char *out, size_t bytes, int64_t value, const struct unit *units)
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, bytes, "%lld%s", (long long)(value / units->factor),
             value == 0 ? "" : units->name);
}

static void number_text(enum tb_option_type type, int64_t value, char *out, size_t bytes)
{
    static const struct unit times[] = {
        {86400 * TB_NS_PER_S, "d"},
        {3600 * TB_NS_PER_S, "h"},
        {60 * TB_NS_PER_S, "m"},
        {TB_NS_PER_S, "s"},
        {TB_NS_PER_MS, "ms"},
        {TB_NS_PER_US, "us"},
        {1, "ns"},
    };
    static const struct unit sizes[] = {
        {INT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, ""},
    };
    static const struct unit plain[] = {{1, ""}};
    print_quantity(out, bytes, value,
                   type == TB_OPTION_DURATION ? times
                   : type == TB_OPTION_BYTES  ? sizes
                                              : plain);
}

/* Choice number `index` of "park|yield|spin"; length 0 if there is none. */
static const char *choice_at(const char *choices, int index, size_t *out_length)
{
    for (; index > 0 && choices != NULL; index--) {
        choices = strchr(choices, '|');
        if (choices != NULL)
            choices++;
    }
    *out_length = choices == NULL ? 0 : strcspn(choices, "|");
    return choices;
}

/* ---- text to values ---- */

static void *field_of(const struct tb_option *row, void *values)
{
    return (char *)values + row->offset;
}

static int set_bool(const char *text, bool *out, struct tb_error *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no",
                                                                                "off", "0"};
    for (size_t i = 0; i < TB_COUNT(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return tb_fail(err, -EINVAL, "\"%s\" is neither true nor false", text);
}

static int parse_integer(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == ERANGE)
        return -ERANGE;
    if (end == text || *end != '\0' || strchr("+ \t", text[0]) != NULL)
        return -EINVAL;
    *out = value;
    return 0;
}

static int set_number(const struct tb_option *row, const char *text, int64_t *out,
                      struct tb_error *err)
{
    int64_t value = 0;
    int rc = row->type == TB_OPTION_DURATION ? tb_duration_parse(text, &value)
             : row->type == TB_OPTION_BYTES  ? tb_bytes_parse(text, &value)
                                             : parse_integer(text, &value);
    if (rc == -EINVAL)
        return tb_fail(err, rc, "\"%s\" is not a %s", text,
                       row->type == TB_OPTION_DURATION ? "duration; write 250ms, 5s, 1m"
                       : row->type == TB_OPTION_BYTES  ? "size; write 4096, 64KiB, 4MiB"
                                                       : "whole number");
    bool ranged = row->min != 0 || row->max != 0;
    if (rc == -ERANGE || (ranged && (value < row->min || value > row->max))) {
        char low[32] = "", high[32] = "";
        number_text(row->type, row->min, low, sizeof(low));
        number_text(row->type, row->max, high, sizeof(high));
        if (!ranged)
            return tb_fail(err, -EINVAL, "\"%s\" is too large a number", text);
        if (row->max == INT64_MAX)
            return tb_fail(err, -EINVAL, "\"%s\" is out of range; it may be %s or more", text, low);
        return tb_fail(err, -EINVAL, "\"%s\" is out of range; it may be %s .. %s", text, low, high);
    }
    *out = value;
    return 0;
}

static int set_choice(const struct tb_option *row, const char *text, int *out, struct tb_error *err)
{
    size_t length;
    const char *choice;
    for (int i = 0; (choice = choice_at(row->choices, i, &length)) != NULL; i++)
        if (strlen(text) == length && strncmp(text, choice, length) == 0) {
            *out = i;
            return 0;
        }
    return tb_fail(err, -EINVAL, "\"%s\" is none of %s", text, row->choices);
}

static void list_append(struct tb_list *list, const char *item, struct tb_config_memory *memory,
                        enum origin origin)
{
    size_t n = list->count;
    if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, 8: full */
        const char **grown = keep(memory, (n == 0 ? 1 : 2 * n) * sizeof(*grown), origin);
        if (n > 0)
            memcpy(grown, list->item, n * sizeof(*grown));
        list->item = grown;
    }
    list->item[list->count++] = item;
}

/* Repeats on the command line add up; but they replace what the file or the table said. */
static void list_begin(struct tb_list *list, enum origin origin)
{
    if (list->count == 0)
        return;
    const struct block *b = (const void *)((const char *)list->item - offsetof(struct block, data));
    if (b->origin != origin || origin == FROM_FILE)
        *list = (struct tb_list){0};
}

static void set_list(struct tb_list *list, const char *text, struct tb_config_memory *memory,
                     enum origin origin)
{
    list_begin(list, origin);
    while (*text != '\0') {
        text += strspn(text, ", ");
        size_t length = strcspn(text, ",");
        size_t used = length;
        while (used > 0 && text[used - 1] == ' ')
            used--;
        if (used > 0)
            list_append(list, keep_text(memory, text, used), memory, origin);
        text += length;
    }
}

static int set_row(const struct tb_option *row, const char *text, void *values,
                   struct tb_config_memory *memory, enum origin origin, struct tb_error *err)
{
    void *field = field_of(row, values);
    switch (row->type) {
    case TB_OPTION_STRING:
        *(const char **)field = keep_text(memory, text, strlen(text));
        return 0;
    case TB_OPTION_BOOL:
        return set_bool(text, field, err);
    case TB_OPTION_INT:
    case TB_OPTION_DURATION:
    case TB_OPTION_BYTES:
        return set_number(row, text, field, err);
    case TB_OPTION_ENUM:
        return set_choice(row, text, field, err);
    case TB_OPTION_LIST:
        set_list(field, text, memory, origin);
        return 0;
    case TB_OPTION_TREE:
    default:
        return tb_fail(err, -EINVAL, "is a structure: it can be given in the config file only");
    }
}

void tb_config_defaults(const struct tb_option *options, size_t count, void *out,
                        struct tb_config_memory *memory)
{
    static const size_t bytes[] = {
        [TB_OPTION_STRING] = sizeof(char *),       [TB_OPTION_BOOL] = sizeof(bool),
        [TB_OPTION_INT] = sizeof(int64_t),         [TB_OPTION_DURATION] = sizeof(tb_ns),
        [TB_OPTION_BYTES] = sizeof(int64_t),       [TB_OPTION_ENUM] = sizeof(int),
        [TB_OPTION_LIST] = sizeof(struct tb_list), [TB_OPTION_TREE] = sizeof(void *),
    };
    for (size_t i = 0; i < count; i++) {
        memset(field_of(&options[i], out), 0, bytes[options[i].type]);
        if (options[i].fallback == NULL)
            continue;
        struct tb_error err;
        int rc = set_row(&options[i], options[i].fallback, out, memory, FROM_FALLBACK, &err);
        TB_ASSERT(rc == 0); /* a table whose own default is not allowed is a bug */
    }
}

int tb_tables_set(const struct tb_option_table *tables, size_t count, const char *key,
                  const char *text, struct tb_config_memory *memory, struct tb_error *err)
{
    void *values = NULL;
    const struct tb_option *row = tb_tables_find(tables, count, key, &values);
    if (row != NULL)
        return set_row(row, text, values, memory, FROM_TEXT, err);
    const char *nearest = tables_nearest(tables, count, key);
    return tb_fail(err, -ENOENT, "is not known%s%s%s", nearest ? "; did you mean " : "",
                   nearest ? nearest : "", nearest ? "?" : "");
}

int tb_config_set(const struct tb_option *options, size_t count, const char *key, const char *text,
                  void *out, struct tb_config_memory *memory, struct tb_error *err)
{
    struct tb_option_table table = {options, count, out};
    return tb_tables_set(&table, 1, key, text, memory, err);
}

/* ---- a section of the file ---- */

static bool is_skipped(const char *const *skip, const char *key)
{
    for (; skip != NULL && *skip != NULL; skip++)
        if (strcmp(*skip, key) == 0)
            return true;
    return false;
}

/* One value of the file into its row. Returns 0 or -EINVAL with the reason. */
static int set_node(const struct tb_option *row, const struct tb_yaml *node, void *values,
                    struct tb_config_memory *memory, int *out_line, struct tb_error *err)
{
    if (row->type == TB_OPTION_TREE) {
        *(const struct tb_yaml **)field_of(row, values) = node;
        return 0;
    }
    if (node->kind == TB_YAML_SCALAR) {
        if (node->text[0] == '\0' && row->type != TB_OPTION_STRING && row->type != TB_OPTION_LIST)
            return tb_fail(err, -EINVAL, "has no value");
        return set_row(row, node->text, values, memory, FROM_FILE, err);
    }
    if (row->type != TB_OPTION_LIST || node->kind != TB_YAML_LIST)
        return tb_fail(err, -EINVAL, "must be %s",
                       row->type == TB_OPTION_LIST ? "a list: [a, b]" : "one value");
    struct tb_list *list = field_of(row, values);
    list_begin(list, FROM_FILE);
    for (size_t i = 0; i < node->count; i++) {
        const struct tb_yaml *item = node->item[i];
        *out_line = item->line;
        if (item->kind != TB_YAML_SCALAR || item->text[0] == '\0')
            return tb_fail(err, -EINVAL, "item %zu must be one value", i + 1);
        list_append(list, keep_text(memory, item->text, strlen(item->text)), memory, FROM_FILE);
    }
    return 0;
}

void tb_tables_section(const struct tb_option_table *tables, size_t count,
                       const struct tb_yaml *map, const char *file, const char *where,
                       const char *const *skip, struct tb_config_memory *memory,
                       struct tb_faults *faults)
{
    if (map == NULL || (map->kind == TB_YAML_SCALAR && map->text[0] == '\0'))
        return; /* "candles:" with nothing behind it is an empty section */
    if (map->kind != TB_YAML_MAP) {
        tb_fault(faults, file, map->line, where, "must be a map of options: key: value");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (is_skipped(skip, map->key[i]))
            continue;
        char field[256];
        snprintf(field, sizeof(field), "%s%s%s", where, where[0] ? "." : "", map->key[i]);
        void *values = NULL;
        struct tb_error err = {""};
        const struct tb_option *row = tb_tables_find(tables, count, map->key[i], &values);
        int line = map->item[i]->line;
        if (row == NULL) {
            const char *nearest = tables_nearest(tables, count, map->key[i]);
            tb_fault(faults, file, map->key_line[i], field, "is not known%s%s%s",
                     nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        } else if (set_node(row, map->item[i], values, memory, &line, &err) != 0) {
            tb_fault(faults, file, line, field, "%s", err.text);
        }
    }
}

void tb_config_section(const struct tb_option *options, size_t count, const struct tb_yaml *map,
                       const char *file, const char *where, const char *const *skip, void *out,
                       struct tb_config_memory *memory, struct tb_faults *faults)
{
    struct tb_option_table table = {options, count, out};
    tb_tables_section(&table, 1, map, file, where, skip, memory, faults);
}

size_t tb_config_missing(const struct tb_option *options, size_t count, const void *values,
                         const char *file, const char *where, struct tb_faults *faults)
{
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tb_option *row = &options[i];
        const void *field = (const char *)values + row->offset;
        bool absent = row->type == TB_OPTION_LIST ? ((const struct tb_list *)field)->count == 0
                      : row->type == TB_OPTION_STRING || row->type == TB_OPTION_TREE
                          ? *(const void *const *)field == NULL
                          : false;
        if (!row->required || !absent)
            continue;
        char name[256];
        snprintf(name, sizeof(name), "%s%s%s", where, where[0] ? "." : "", row->key);
        tb_fault(faults, file, 0, name, "is required: %s", row->help);
        missing++;
    }
    return missing;
}

/* ---- printing ---- */

static void print_range(FILE *out, const struct tb_option *row)
{
    char low[32], high[32];
    if (row->min == 0 && row->max == 0)
        return;
    number_text(row->type, row->min, low, sizeof(low));
    number_text(row->type, row->max, high, sizeof(high));
    if (row->max < INT64_MAX)
        fprintf(out, " (%s .. %s)", low, high);
    else if (row->min > 0)
        fprintf(out, " (%s or more)", low);
}

void tb_config_help(FILE *out, const struct tb_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tb_option *row = &options[i];
        if (row->type == TB_OPTION_TREE)
            continue; /* not for the command line; --print-config shows it */
        char key[KEY_BYTES], left[128];
        size_t n = 0;
        for (; row->key[n] != '\0' && n + 1 < sizeof(key); n++)
            key[n] = row->key[n] == '_' ? '-' : row->key[n];
        key[n] = '\0';
        const char *dash = n == 1 ? "-" : "--";
        const char *fallback = row->fallback != NULL ? row->fallback : "";
        if (row->type == TB_OPTION_BOOL)
            snprintf(left, sizeof(left), "%s%s%s", dash, key,
                     strcmp(fallback, "true") == 0 ? "=true" : "");
        else
            snprintf(left, sizeof(left), "%s%s=%s", dash, key, fallback[0] ? fallback : "...");
        fprintf(out, "  %-26s %s", left, row->help);
        if (row->type == TB_OPTION_ENUM)
            fprintf(out, " (%s)", row->choices);
        print_range(out, row);
        fputs(row->required ? "; required\n" : "\n", out);
    }
}

/* A scalar that YAML reads back as the same text. */
static void print_scalar(FILE *out, const char *text)
{
    bool plain = text[0] != '\0' && strpbrk(text, ":#,[]{}&*!|>'\"%@`\\\n") == NULL &&
                 strchr("-? ", text[0]) == NULL && text[strlen(text) - 1] != ' ' &&
                 strcmp(text, "~") != 0 && strcmp(text, "null") != 0;
    if (plain) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

/* A structure in YAML's flow style, on one line: read back, it is the same. */
static void print_tree(FILE *out, const struct tb_yaml *node)
{
    if (node->kind == TB_YAML_SCALAR) {
        print_scalar(out, node->text);
        return;
    }
    bool is_map = node->kind == TB_YAML_MAP;
    fputc(is_map ? '{' : '[', out);
    for (size_t i = 0; i < node->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        if (is_map) {
            print_scalar(out, node->key[i]);
            fputs(": ", out);
        }
        print_tree(out, node->item[i]);
    }
    fputc(is_map ? '}' : ']', out);
}

static void print_value(FILE *out, const struct tb_option *row, const void *field)
{
    char text[32];
    size_t length;
    switch (row->type) {
    case TB_OPTION_STRING:
        print_scalar(out, *(const char *const *)field);
        break;
    case TB_OPTION_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case TB_OPTION_ENUM: {
        const char *choice = choice_at(row->choices, *(const int *)field, &length);
        fprintf(out, "%.*s", (int)length, choice);
        break;
    }
    case TB_OPTION_LIST: {
        const struct tb_list *list = field;
        fputc('[', out);
        for (size_t i = 0; i < list->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            print_scalar(out, list->item[i]);
        }
        fputc(']', out);
        break;
    }
    case TB_OPTION_TREE:
        print_tree(out, *(const struct tb_yaml *const *)field);
        break;
    case TB_OPTION_INT:
    case TB_OPTION_DURATION:
    case TB_OPTION_BYTES:
    default:
        number_text(row->type, *(const int64_t *)field, text, sizeof(text));
        fputs(text, out);
    }
}

void tb_config_print(FILE *out, const struct tb_option *options, size_t count, const void *values)
{
    for (size_t i = 0; i < count; i++) {
        const struct tb_option *row = &options[i];
        const void *field = (const char *)values + row->offset;
        bool pointer = row->type == TB_OPTION_STRING || row->type == TB_OPTION_TREE;
        if ((pointer && *(const void *const *)field == NULL) ||
            (row->type == TB_OPTION_LIST && ((const struct tb_list *)field)->count == 0)) {
            fprintf(out, "# %s:", row->key); /* none */
        } else {
            fprintf(out, "%s: ", row->key);
            print_value(out, row, field);
        }
        fprintf(out, "  # %s", row->help);
        if (row->type == TB_OPTION_ENUM)
            fprintf(out, " (%s)", row->choices);
        print_range(out, row);
        fputs(row->required ? "; required\n" : "\n", out);
    }
}
