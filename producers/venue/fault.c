#include "fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>

/* A rule's own number: its key, bounds and default. */
static const struct kind {
    const char *name, *key;
    int64_t least, most, fallback;
    bool duration, text;
} kinds[FAULT_KINDS] = {
    [FAULT_DROP] = {"drop", NULL, 0, 0, 0, false, false},
    [FAULT_DUPLICATE] = {"duplicate", NULL, 0, 0, 0, false, false},
    [FAULT_REORDER] = {"reorder", "by", 1, 1000, 1, false, false},
    [FAULT_CORRUPT] = {"corrupt", "bytes", 1, 4096, 1, false, false},
    [FAULT_TRUNCATE] = {"truncate", "bytes", 0, 1 << 26, -1, false, false},
    [FAULT_OVERSIZE] = {"oversize", "bytes", 1, 1 << 27, 20 << 20, false, false},
    [FAULT_INVALID_UTF8] = {"invalid_utf8", NULL, 0, 0, 0, false, false},
    [FAULT_WRONG_NUMBER] = {"wrong_number", NULL, 0, 0, 0, false, true},
    [FAULT_CLOSE] = {"close", "code", 1000, 4999, 1001, false, true},
    [FAULT_RESET] = {"reset", NULL, 0, 0, 0, false, false},
    [FAULT_SILENCE] = {"silence", NULL, 0, 0, 0, true, false},
    [FAULT_SLOW] = {"slow", "rate", 1, 1 << 30, 1000, true, false},
    [FAULT_PING_FLOOD] = {"ping_flood", "pings", 1, 1000000, 1000, false, false},
    [FAULT_REFUSE_CONNECTIONS] = {"refuse_connections", NULL, 0, 0, 0, true, false},
    [FAULT_HTTP_STATUS] = {"http_status", "status", 400, 599, 500, false, false},
    [FAULT_STALE_SNAPSHOT] = {"stale_snapshot", NULL, 0, 0, 0, false, false},
};

const char *fault_name(enum fault_kind kind)
{
    return kinds[kind].name;
}

bool fault_is_of_requests(enum fault_kind kind)
{
    return kind == FAULT_HTTP_STATUS || kind == FAULT_STALE_SNAPSHOT;
}

/* ---- reading ---- */

struct site {
    const char *file, *where;
    size_t number; /* of the rule, from 0 */
    struct tb_faults *faults;
};

#define FAULT(site, line, key, ...)                                                                \
    do {                                                                                           \
        char field_[160];                                                                          \
        (void)snprintf(field_, sizeof(field_), "%.80s[%zu].%.40s", (site)->where, (site)->number,  \
                       (key));                                                                     \
        tb_fault((site)->faults, (site)->file, (line), field_, __VA_ARGS__);                       \
    } while (0)

static bool read_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        return false;
    *out = value;
    return true;
}

/* A count from 1. */
static void read_count(const struct site *site, int line, const char *key, const char *text,
                       uint64_t *out)
{
    int64_t value;
    if (read_number(text, 1, INT64_MAX, &value))
        *out = (uint64_t)value;
    else
        FAULT(site, line, key, "\"%s\" is no whole number from 1", text);
}

static void read_at(const struct site *site, int line, const char *text, struct fault_rule *r)
{
    int64_t value;
    if (read_number(text, 1, INT64_MAX, &value))
        r->at = (uint64_t)value;
    else if (tb_duration_parse(text, &r->at_time) != 0 || r->at_time < 0) {
        r->at_time = -1;
        FAULT(site, line, "at", "\"%s\" is neither a frame's number nor a time; write 100 or 5s",
              text);
    }
}

static void read_chance(const struct site *site, int line, const char *text, struct fault_rule *r)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= 1))
        FAULT(site, line, "probability", "\"%s\" is no probability; write 0.01", text);
    else
        r->chance = (uint64_t)(value * 4294967296.0);
}

static void read_text(const struct site *site, int line, const char *key, const char *text,
                      char out[FAULT_TEXT_BYTES])
{
    if (strlen(text) >= FAULT_TEXT_BYTES)
        FAULT(site, line, key, "is longer than %d bytes", FAULT_TEXT_BYTES - 1);
    else
        (void)snprintf(out, FAULT_TEXT_BYTES, "%s", text);
}

static void read_key(const struct site *site, int line, const char *key, const char *text,
                     struct fault_rule *r)
{
    const struct kind *k = &kinds[r->kind];

    if (strcmp(key, "do") == 0)
        return;
    if (strcmp(key, "at") == 0)
        read_at(site, line, text, r);
    else if (strcmp(key, "every") == 0)
        read_count(site, line, key, text, &r->every);
    else if (strcmp(key, "probability") == 0)
        read_chance(site, line, text, r);
    else if (strcmp(key, "count") == 0)
        read_count(site, line, key, text, &r->count);
    else if (strcmp(key, fault_is_of_requests(r->kind) ? "path" : "match") == 0)
        read_text(site, line, key, text, r->match);
    else if (k->text && strcmp(key, r->kind == FAULT_CLOSE ? "reason" : "after") == 0)
        read_text(site, line, key, text, r->text);
    else if (k->duration && strcmp(key, "for") == 0) {
        if (tb_duration_parse(text, &r->duration) != 0 || r->duration <= 0)
            FAULT(site, line, key, "\"%s\" is no duration; write 500ms, 5s", text);
    } else if (k->key != NULL && strcmp(key, k->key) == 0) {
        if (!read_number(text, k->least, k->most, &r->number))
            FAULT(site, line, key, "\"%s\" is not within %" PRId64 " .. %" PRId64, text, k->least,
                  k->most);
    } else {
        FAULT(site, line, key, "%s has no such key", k->name);
    }
}

/* The kind that `do` names; FAULT_KINDS if it names none. */
static enum fault_kind read_kind(const struct site *site, const struct tb_yaml *map)
{
    const struct tb_yaml *name = tb_yaml_get(map, "do");
    const char *names[FAULT_KINDS];

    for (unsigned i = 0; i < FAULT_KINDS; i++)
        names[i] = kinds[i].name;
    if (name == NULL || name->kind != TB_YAML_SCALAR) {
        FAULT(site, map->line, "do", "is missing; it says what to do");
        return FAULT_KINDS;
    }
    for (unsigned i = 0; i < FAULT_KINDS; i++)
        if (strcmp(name->text, names[i]) == 0)
            return (enum fault_kind)i;
    const char *near = tb_nearest(name->text, names, FAULT_KINDS);
    FAULT(site, name->line, "do", "there is no \"%s\"%s%s", name->text,
          near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    return FAULT_KINDS;
}

static void read_rule(struct fault_script *s, const struct site *site, const struct tb_yaml *map)
{
    if (map->kind != TB_YAML_MAP) {
        FAULT(site, map->line, "do", "a fault is a map, as in {at: 100, do: drop}");
        return;
    }
    enum fault_kind kind = read_kind(site, map);
    if (kind == FAULT_KINDS)
        return;
    struct fault_rule *r = &s->rule[s->count++];
    *r = (struct fault_rule){.kind = kind, .at_time = -1, .number = kinds[kind].fallback};
    for (size_t i = 0; i < map->count; i++) {
        if (map->item[i]->kind == TB_YAML_SCALAR)
            read_key(site, map->item[i]->line, map->key[i], map->item[i]->text, r);
        else
            FAULT(site, map->item[i]->line, map->key[i], "takes one value");
    }
    int triggers = (r->at != 0) + (r->at_time >= 0) + (r->every != 0) + (r->chance != 0);
    if (triggers > 1)
        FAULT(site, map->line, "at", "takes one of at, every and probability");
    if (triggers == 0)
        r->at = 1;
    if (r->count == 0 && r->every == 0 && r->chance == 0)
        r->count = 1;
    if (kinds[kind].duration && r->duration == 0)
        FAULT(site, map->line, "for", "is missing: how long");
    if (kind == FAULT_WRONG_NUMBER && r->text[0] == '\0')
        FAULT(site, map->line, "after", "is missing: the text before the number");
}

static void read_seed(struct fault_script *s, const struct site *site, const struct tb_yaml *seed)
{
    int64_t value = 0;
    if (seed->kind == TB_YAML_SCALAR && read_number(seed->text, 0, INT64_MAX, &value))
        s->seed = (uint64_t)value;
    else
        tb_fault(site->faults, site->file, seed->line, "seed", "is no whole number from 0");
}

void fault_script_load(struct fault_script *s, const struct tb_yaml *tree, const char *file,
                       const char *where, struct tb_faults *faults)
{
    struct site site = {.file = file, .where = where, .faults = faults};
    const struct tb_yaml *rules = tree, *seed = tb_yaml_get(tree, "seed");

    *s = (struct fault_script){.seed = 1};
    if (tree->kind == TB_YAML_MAP) {
        for (size_t i = 0; i < tree->count; i++)
            if (strcmp(tree->key[i], "seed") != 0 && strcmp(tree->key[i], "faults") != 0)
                tb_fault(faults, file, tree->key_line[i], tree->key[i],
                         "a fault script has seed and faults");
        if (seed != NULL)
            read_seed(s, &site, seed);
        rules = tb_yaml_get(tree, "faults");
    }
    s->random = s->seed;
    if (rules == NULL || rules->kind != TB_YAML_LIST) {
        tb_fault(faults, file, tree->line, where, "is no list of faults");
        return;
    }
    if (rules->count > FAULT_RULES_MAX) {
        tb_fault(faults, file, rules->line, where, "has more than %d faults", FAULT_RULES_MAX);
        return;
    }
    for (; site.number < rules->count; site.number++)
        read_rule(s, &site, rules->item[site.number]);
}

/* ---- when ---- */

/* splitmix64: any seed is good. */
uint64_t fault_random(struct fault_script *s)
{
    uint64_t z = s->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool matches(const struct fault_rule *r, const char *text, size_t length)
{
    size_t wanted = strlen(r->match);
    if (fault_is_of_requests(r->kind))
        return wanted <= length && memcmp(text, r->match, wanted) == 0;
    return wanted == 0 || memmem(text, length, r->match, wanted) != NULL;
}

bool fault_due(struct fault_script *s, struct fault_rule *r, const char *text, size_t length,
               tb_ns at)
{
    bool due;

    if (!matches(r, text, length))
        return false;
    r->seen++;
    if (r->at != 0)
        due = r->seen >= r->at;
    else if (r->at_time >= 0)
        due = at >= r->at_time;
    else if (r->every != 0)
        due = r->seen % r->every == 0;
    else
        due = fault_random(s) >> 32 < r->chance;
    if (!due || (r->count != 0 && r->fired == r->count))
        return false;
    r->fired++;
    return true;
}

/* ---- what ---- */

/* The first byte of protobuf is a tag: this one has a wire type that there is none of. */
#define BAD_TAG '\x0f'

/*
 * A control character in place of one byte: nowhere in JSON is it allowed, so the fault is one that a
 * client can see. (A changed digit is one that only a checksum shows: that is WRONG_NUMBER.)
 */
static void corrupt(char *text, size_t length, int64_t bytes, uint64_t random)
{
    for (int64_t i = 0; i < bytes; i++) {
        text[random % length] = (char)(1 + (random >> 56) % 8);
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
}

/* The last digit of the whole part of the number after `after`: it stays a number. */
static void wrong_number(char *text, size_t length, const char *after)
{
    size_t wanted = strlen(after);
    char *end = text + length, *at = memmem(text, length, after, wanted);

    if (at == NULL)
        return;
    for (at += wanted; at < end && !(*at >= '0' && *at <= '9'); at++)
        if (*at == ',' || *at == '}' || *at == ']')
            return;
    while (at + 1 < end && at[1] >= '0' && at[1] <= '9')
        at++; /* its last digit before the point */
    if (at < end)
        *at = (char)(*at == '9' ? '8' : *at + 1);
}

static void append_blanks(struct protocol_text *out, size_t count)
{
    char blanks[4096];
    memset(blanks, ' ', sizeof(blanks));
    for (; count > 0; count -= count < sizeof(blanks) ? count : sizeof(blanks))
        protocol_append(out, blanks, count < sizeof(blanks) ? count : sizeof(blanks));
}

void fault_change(const struct fault_rule *r, uint64_t random, const char *text, size_t length,
                  bool binary, struct protocol_text *out)
{
    size_t from = out->length, most = (size_t)r->number;

    if (r->kind == FAULT_TRUNCATE) {
        size_t kept = r->number < 0 ? length / 2 : most;
        protocol_append(out, text, kept < length ? kept : length);
        return;
    }
    protocol_append(out, text, length);
    if (out->failed || length == 0)
        return;
    if (r->kind == FAULT_CORRUPT && binary)
        out->text[from] = BAD_TAG;
    else if (r->kind == FAULT_CORRUPT)
        corrupt(out->text + from, length, r->number, random);
    else if (r->kind == FAULT_INVALID_UTF8)
        out->text[from + random % length] = (char)0xff;
    else if (r->kind == FAULT_WRONG_NUMBER)
        wrong_number(out->text + from, length, r->text);
    else if (r->kind == FAULT_OVERSIZE && most > length)
        append_blanks(out, most - length);
}
