/* Reading a plan: structure first, then each program's own judgement, then how the streams fit. */
#include "consumers/plan/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

static const char *const kind_key[] = {"venues", "feeds", "services"};

struct top {
    const char *bus, *directory, *journal;
    int log_level;
};

static const struct tb_option top_options[] = {
    {"bus", TB_OPTION_STRING, offsetof(struct top, bus), .help = "name of the bus"},
    {"directory", TB_OPTION_STRING, offsetof(struct top, directory), .help = "where buses are"},
    {"journal", TB_OPTION_STRING, offsetof(struct top, journal), .help = "where journals are"},
    {"log_level", TB_OPTION_ENUM, offsetof(struct top, log_level), "info",
     .choices = "debug|info|warn|error|off", .help = "for all processes"},
};

static bool is_empty(const struct tb_yaml *node)
{
    return node->kind == TB_YAML_SCALAR && node->text[0] == '\0';
}

/* "; did you mean x?", or nothing. */
static const char *suggestion(const char *word, const char *const *candidates, size_t count,
                              char out[128])
{
    const char *nearest = tb_nearest(word, candidates, count);
    snprintf(out, 128, nearest != NULL ? "; did you mean %s?" : "%s",
             nearest != NULL ? nearest : "");
    return out;
}

/* ---- the top level ---- */

static void read_top_key(struct plan *plan, size_t i, struct top *top, struct tb_faults *faults)
{
    static const char *const known[] = {"bus",    "directory", "journal", "log_level",
                                        "venues", "feeds",     "services"};
    const char *key = plan->root->key[i];
    const struct tb_yaml *value = plan->root->item[i];
    struct tb_error err;
    char hint[128];
    for (size_t k = 0; k < TB_COUNT(kind_key); k++) {
        if (strcmp(key, kind_key[k]) != 0)
            continue;
        if (value->kind != TB_YAML_MAP && !is_empty(value))
            tb_fault(faults, plan->file, value->line, key, "must be a map: name: {option: value}");
        return;
    }
    int rc =
        tb_config_set(top_options, TB_COUNT(top_options), key,
                      value->kind == TB_YAML_SCALAR ? value->text : "", top, &plan->memory, &err);
    if (rc == -ENOENT)
        tb_fault(faults, plan->file, plan->root->key_line[i], key, "is not known%s",
                 suggestion(key, known, TB_COUNT(known), hint));
    else if (rc < 0)
        tb_fault(faults, plan->file, value->line, key, "%s", err.text);
}

static void read_top(struct plan *plan, struct tb_faults *faults)
{
    struct top top;
    tb_config_defaults(top_options, TB_COUNT(top_options), &top, &plan->memory);
    if (plan->root->kind != TB_YAML_MAP) {
        tb_fault(faults, plan->file, plan->root->line, NULL, "must be a map: bus, feeds, services");
        return;
    }
    for (size_t i = 0; i < plan->root->count; i++)
        read_top_key(plan, i, &top, faults);
    plan->bus = top.bus;
    plan->directory = top.directory;
    plan->log_level = (enum tb_log_level)top.log_level;
    struct tb_error err;
    const struct tb_yaml *bus = tb_yaml_get(plan->root, "bus");
    if (tb_bus_dir(top.directory, top.bus, plan->bus_dir, sizeof(plan->bus_dir), &err) != 0)
        tb_fault(faults, plan->file, bus != NULL ? bus->line : 0, "bus", "%s", err.text);
}

/* ---- one process ---- */

static const char *scalar(const struct tb_yaml *map, const char *key)
{
    const struct tb_yaml *value = tb_yaml_get(map, key);
    return value != NULL && value->kind == TB_YAML_SCALAR ? value->text : NULL;
}

/* The programs of a bus lie beside this one. */
static void find_program(struct plan_process *p)
{
    char self[2048];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL)
        *slash = '\0';
    snprintf(p->path, sizeof(p->path), "%s/%s", self, p->program);
    if (access(p->path, X_OK) != 0)
        p->path[0] = '\0';
}

static void read_own_keys(struct plan *plan, struct plan_process *p, struct tb_faults *faults)
{
    char field[128];
    const struct tb_yaml *restart = tb_yaml_get(p->map, "restart");
    const char *text = scalar(p->map, "restart"), *drain = scalar(p->map, "drain_timeout");
    const char *pace = scalar(p->map, "pace");
    p->restart = text == NULL || strcmp(text, "true") == 0;
    if (restart != NULL && (text == NULL || (!p->restart && strcmp(text, "false") != 0))) {
        snprintf(field, sizeof(field), "%s.restart", p->section);
        tb_fault(faults, plan->file, restart->line, field, "may be true or false");
    }
    p->gated = pace != NULL && strcmp(pace, "gated") == 0 && tb_yaml_get(p->map, "gates") == NULL;
    if (drain == NULL || tb_duration_parse(drain, &p->drain_timeout) != 0)
        p->drain_timeout = 10 * TB_NS_PER_S;
}

static void read_process(struct plan *plan, enum plan_kind kind, const struct tb_yaml *map,
                         size_t i, struct tb_faults *faults)
{
    static const char *const programs[] = {"feed",    "replay",  "synth",   "venue",
                                           "candles", "persist", "metrics", "alerts"};
    static const char *const usual[] = {"venue", "feed", NULL};
    const char *key = map->key[i];
    struct plan_process *p = &plan->process[plan->count];
    char hint[128];
    *p = (struct plan_process){
        .kind = kind, .key = key, .map = map->item[i], .line = map->key_line[i]};
    snprintf(p->section, sizeof(p->section), "%s.%s", kind_key[kind], key);
    if (!tb_name_check(key)) {
        tb_fault(
            faults, plan->file, p->line, p->section,
            "can not be a name; use a-z 0-9 _ - and at most 31 of them, a letter or digit first");
        return;
    }
    if (p->map->kind != TB_YAML_MAP && !is_empty(p->map)) {
        tb_fault(faults, plan->file, p->map->line, p->section,
                 "must be a map of options: key: value");
        return;
    }
    if (plan->count + 1 == PLAN_PROCESSES_MAX) {
        tb_fault(faults, plan->file, p->line, p->section, "is one too many: at most %d processes",
                 PLAN_PROCESSES_MAX - 1);
        return;
    }
    const char *program = scalar(p->map, "program"), *name = scalar(p->map, "name");
    if (program == NULL)
        program = kind == PLAN_SERVICE ? key : usual[kind];
    snprintf(p->program, sizeof(p->program), "tickbus-%s", program);
    if (name != NULL)
        snprintf(p->name, sizeof(p->name), "%s", name);
    else
        snprintf(p->name, sizeof(p->name), "%s%s%s", kind == PLAN_FEED ? program : "",
                 kind == PLAN_FEED ? "-" : "", key);
    find_program(p);
    if (p->path[0] == '\0') {
        tb_fault(faults, plan->file, p->line, p->section,
                 "there is no program %s beside this one%s", p->program,
                 suggestion(program, programs, TB_COUNT(programs), hint));
        return;
    }
    read_own_keys(plan, p, faults);
    for (size_t k = 0; k < plan->count; k++)
        if (strcmp(plan->process[k].name, p->name) == 0)
            tb_fault(faults, plan->file, p->line, p->section,
                     "is called %s, and so is %s in line %d; give one a `name`", p->name,
                     plan->process[k].section, plan->process[k].line);
    plan->count++;
}

/* ---- what the programs say ---- */

/* One name per line into at most `max` texts. Returns how many. */
static unsigned split_names(char *text, char (*names)[TB_STREAM_BYTES], unsigned max)
{
    unsigned count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && count < max;
         line = strtok_r(NULL, "\n", &rest))
        snprintf(names[count++], TB_STREAM_BYTES, "%s", line);
    return count;
}

/* A program whose options are wrong does not say what it reads and makes; the file may. */
static void guess_streams(struct plan_process *p)
{
    const struct tb_yaml *streams = tb_yaml_get(p->map, "streams");
    const char *stream = scalar(p->map, "stream");
    if (p->kind != PLAN_VENUE)
        snprintf(p->output, sizeof(p->output), "%s", stream != NULL ? stream : p->key);
    for (size_t i = 0; streams != NULL && i < streams->count && i < TB_INPUTS_MAX; i++)
        if (streams->kind == TB_YAML_LIST && streams->item[i]->kind == TB_YAML_SCALAR &&
            streams->item[i]->text[0] != '@')
            snprintf(p->input[p->input_count++], TB_STREAM_BYTES, "%s", streams->item[i]->text);
}

static void judge(struct plan *plan, struct plan_process *p, struct tb_faults *faults)
{
    char *out = NULL, *err = NULL;
    int rc = plan_ask(plan, p, "--check-config", NULL, &err);
    if (rc == TB_EXIT_OK) {
        p->sound = true;
    } else if (rc < 0 || err[0] == '\0') {
        tb_fault(faults, plan->file, p->line, p->section, "%s --check-config failed (%d)",
                 p->program, rc);
    } else { /* its faults are lines like ours */
        fputs(err, faults->out);
        faults->count++;
    }
    free(err);
    if (!p->sound) {
        guess_streams(p);
        return;
    }
    if (plan_ask(plan, p, "--print-streams", &out, NULL) == 0)
        p->input_count = split_names(out, p->input, TB_INPUTS_MAX);
    free(out);
    out = NULL;
    if (plan_ask(plan, p, "--print-output", &out, NULL) == 0)
        (void)split_names(out, &p->output, 1);
    free(out);
}

/* ---- how the streams fit ---- */

bool plan_reads(const struct plan_process *process, const char *stream)
{
    for (unsigned i = 0; i < process->input_count; i++)
        if (strcmp(process->input[i], stream) == 0)
            return true;
    return false;
}

static const struct plan_process *maker_of(const struct plan *plan, const char *stream)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->process[i].output, stream) == 0)
            return &plan->process[i];
    return NULL;
}

/* The line in which a section names a stream, else that of the section. */
static int line_of_stream(const struct plan_process *p, const char *stream)
{
    const struct tb_yaml *streams = tb_yaml_get(p->map, "streams");
    for (size_t i = 0; streams != NULL && i < streams->count; i++)
        if (streams->item[i]->kind == TB_YAML_SCALAR && strcmp(streams->item[i]->text, stream) == 0)
            return streams->item[i]->line;
    return streams != NULL ? streams->line : p->line;
}

static void check_streams(const struct plan *plan, struct tb_faults *faults)
{
    const char *made[PLAN_PROCESSES_MAX];
    size_t made_count = 0;
    char field[128], hint[128];
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_process *p = &plan->process[i];
        if (p->output[0] == '\0')
            continue;
        const struct plan_process *first = maker_of(plan, p->output);
        if (first != p)
            tb_fault(faults, plan->file, p->line, p->section,
                     "makes the stream %s, as %s in line %d does; give one a `stream`", p->output,
                     first->section, first->line);
        made[made_count++] = p->output;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_process *p = &plan->process[i];
        for (unsigned k = 0; k < p->input_count; k++) {
            if (maker_of(plan, p->input[k]) != NULL)
                continue;
            snprintf(field, sizeof(field), "%s.streams", p->section);
            tb_fault(faults, plan->file, line_of_stream(p, p->input[k]), field,
                     "%s is made by no feed or service here%s", p->input[k],
                     suggestion(p->input[k], made, made_count, hint));
        }
    }
}

/* ---- reporting: each line once, in the order of the file ---- */

static int line_number(const struct plan *plan, const char *text)
{
    size_t n = strlen(plan->file);
    return strncmp(text, plan->file, n) == 0 && text[n] == ':' ? atoi(text + n + 1) : 0;
}

static void report(const struct plan *plan, char *text, struct tb_faults *faults)
{
    char *lines[1024], *rest = NULL;
    size_t count = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && count < TB_COUNT(lines);
         line = strtok_r(NULL, "\n", &rest)) {
        size_t at = count;
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known |= strcmp(lines[i], line) == 0;
        if (known)
            continue; /* the top level is seen by every program */
        for (; at > 0 && line_number(plan, lines[at - 1]) > line_number(plan, line); at--)
            lines[at] = lines[at - 1];
        lines[at] = line;
        count++;
    }
    for (size_t i = 0; faults->out != NULL && i < count; i++)
        fprintf(faults->out, "%s\n", lines[i]);
    faults->count += count;
}

void plan_load(struct plan *plan, const char *file, struct tb_faults *faults)
{
    char *text = NULL;
    size_t bytes = 0;
    *plan = (struct plan){.file = file, .log_level = TB_LOG_INFO};
    struct tb_faults found = {.out = open_memstream(&text, &bytes)};
    TB_ASSERT(found.out != NULL);
    plan->root = tb_yaml_load(file, &found);
    if (plan->root != NULL) {
        read_top(plan, &found);
        for (int kind = PLAN_VENUE; kind <= PLAN_SERVICE; kind++) {
            const struct tb_yaml *map = tb_yaml_get(plan->root, kind_key[kind]);
            for (size_t i = 0; map != NULL && map->kind == TB_YAML_MAP && i < map->count; i++)
                read_process(plan, (enum plan_kind)kind, map, i, &found);
        }
        for (size_t i = 0; i < plan->count; i++)
            judge(plan, &plan->process[i], &found);
        check_streams(plan, &found);
        if (plan->count == 0 && found.count == 0)
            tb_fault(&found, file, 0, NULL, "names no feed, service or venue");
    }
    (void)fclose(found.out); /* memory: can not fail but for want of it */
    report(plan, text, faults);
    free(text);
}

void plan_free(struct plan *plan)
{
    tb_config_release(&plan->memory);
    tb_yaml_free(plan->root);
    plan->root = NULL;
}
