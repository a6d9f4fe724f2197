/*
 * tickbus-config: `check` reports every fault of a config file in one go, `print` writes the file as all
 * programs understand it, with every option and its default.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "consumers/plan/plan.h"

struct options {
    bool json;
};

static const struct tb_option options[] = {
    {"json", TB_OPTION_BOOL, offsetof(struct options, json), "false",
     .help = "check: the faults as JSON"},
};

static const char usage[] =
    "tickbus config: read a config file as every program of the bus would\n\n"
    "usage: tickbus config check FILE    every fault with file, line and field; exit 0 or 78\n"
    "       tickbus config print FILE    all options of all processes, with their values\n";

static void json_text(const char *text, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            putchar('\\');
        if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* "file:12: services.persist.x: text" as an object; what is missing is null. */
static void json_fault(const char *file, const char *line, size_t length)
{
    size_t skip = strlen(file);
    long number = 0;
    if (strncmp(line, file, skip) == 0 && line[skip] == ':') {
        char *end;
        number = strtol(line + skip + 1, &end, 10);
        size_t taken = (size_t)(end - line) + (*end == ':' && number > 0);
        if (number == 0)
            taken = skip + 1;
        taken += line[taken] == ' ';
        line += taken;
        length -= taken;
    }
    const char *colon = memmem(line, length, ": ", 2);
    const char *blank = memchr(line, ' ', length);
    bool has_field = colon != NULL && blank == colon + 1;
    printf("{\"line\":");
    if (number > 0)
        printf("%ld", number);
    else
        printf("null");
    printf(",\"field\":");
    if (has_field)
        json_text(line, (size_t)(colon - line));
    else
        printf("null");
    size_t rest = has_field ? (size_t)(colon - line) + 2 : 0;
    printf(",\"text\":");
    json_text(line + rest, length - rest);
    putchar('}');
}

static void print_json(const char *file, const char *text, size_t count)
{
    printf("{\"file\":");
    json_text(file, strlen(file));
    printf(",\"ok\":%s,\"faults\":[", count == 0 ? "true" : "false");
    for (bool first = true; *text != '\0'; first = false) {
        size_t length = strcspn(text, "\n");
        if (!first)
            putchar(',');
        json_fault(file, text, length);
        text += length + (text[length] == '\n');
    }
    printf("]}\n");
}

static int check(const char *file, bool json)
{
    struct plan plan;
    char *text = NULL;
    size_t bytes = 0;
    struct tb_faults faults = {.out = json ? open_memstream(&text, &bytes) : stderr};
    TB_ASSERT(faults.out != NULL);
    plan_load(&plan, file, &faults);
    if (json) {
        (void)fclose(faults.out); /* memory */
        print_json(file, text, faults.count);
        free(text);
    } else if (faults.count == 0) {
        printf("%s: no fault in %zu processes\n", file, plan.count);
    } else {
        fprintf(stderr, "%s: %zu fault%s\n", file, faults.count, faults.count == 1 ? "" : "s");
    }
    plan_free(&plan);
    return faults.count == 0 ? TB_EXIT_OK : TB_EXIT_CONFIG;
}

static void print_indented(const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        printf("    %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static int print(const char *file)
{
    static const char *const title[] = {"venues", "feeds", "services"};
    struct plan plan;
    struct tb_faults faults = {.out = stderr};
    plan_load(&plan, file, &faults);
    if (faults.count == 0) {
        if (plan.bus != NULL)
            printf("bus: %s\n", plan.bus);
        for (size_t i = 0; i < plan.count; i++) {
            const struct plan_process *p = &plan.process[i];
            char *text = NULL;
            if (i == 0 || plan.process[i - 1].kind != p->kind)
                printf("%s:\n", title[p->kind]);
            printf("  %s:\n    program: %s\n", p->key, p->program + strlen("tickbus-"));
            if (plan_ask(&plan, p, "--print-config", &text, NULL) == 0)
                print_indented(text);
            free(text);
        }
    }
    plan_free(&plan);
    return faults.count == 0 ? TB_EXIT_OK : TB_EXIT_CONFIG;
}

int main(int argc, char **argv)
{
    struct options opt;
    struct tb_config_memory memory = {0};
    int n = tb_command_parse("tickbus-config", usage, options, TB_COUNT(options), &opt, &memory,
                             argc, argv);
    tb_config_release(&memory);
    if (n < 0)
        return n == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (n == 2 && strcmp(argv[0], "check") == 0)
        return check(argv[1], opt.json);
    if (n == 2 && strcmp(argv[0], "print") == 0)
        return print(argv[1]);
    fprintf(stderr, "%s", usage);
    return TB_EXIT_USAGE;
}
