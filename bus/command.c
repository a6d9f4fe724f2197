/* The command line: argv against option tables, for services and tools alike. */
#include <tickbus/config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "option_tables.h"

void tb_command_signals(sigset_t *out_set)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* can not fail */
    if (out_set != NULL)
        *out_set = set;
}

static int set_argument(const struct tb_option_table *tables, size_t count,
                        struct tb_config_memory *memory, const char *key, const char *value,
                        struct tb_error *err)
{
    struct tb_error why = {""};
    int rc = tb_tables_set(tables, count, key, value, memory, &why);
    return rc == 0 ? 0
                   : tb_fail(err, -EINVAL, "%s%s: %s", key[1] == '\0' ? "-" : "--", key, why.text);
}

/* One option at argv[*at]; moves *at past the value if it took one. */
static int take_option(const struct tb_option_table *tables, size_t count,
                       struct tb_config_memory *memory, char **argv, int argc, int *at,
                       struct tb_error *err)
{
    const char *text = argv[*at] + 1 + (argv[*at][1] == '-');
    char key[64];
    size_t length = strcspn(text, "=");
    if (length >= sizeof(key))
        return tb_fail(err, -EINVAL, "%s: is not known", argv[*at]);
    memcpy(key, text, length);
    key[length] = '\0';
    if (argv[*at][1] != '-' && length != 1)
        return tb_fail(err, -EINVAL, "%s: is not known; options begin with --", argv[*at]);
    if (text[length] == '=')
        return set_argument(tables, count, memory, key, text + length + 1, err);
    const struct tb_option *row = tb_tables_find(tables, count, key, NULL);
    if (row == NULL || row->type == TB_OPTION_BOOL)
        return set_argument(tables, count, memory, key, "true", err);
    if (*at + 1 >= argc)
        return tb_fail(err, -EINVAL, "%s: needs a value: %s=...", argv[*at], argv[*at]);
    *at += 1;
    return set_argument(tables, count, memory, key, argv[*at], err);
}

int tb_tables_command(const struct tb_option_table *tables, size_t count,
                      struct tb_config_memory *memory, int argc, char **argv, struct tb_error *err)
{
    int operands = 0;
    bool options_over = false;
    for (int i = 1; i < argc; i++) {
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
        } else if (options_over || argv[i][0] != '-' || argv[i][1] == '\0') {
            /* argv[0] is the program; operands gather from argv[0] on, as the caller wants them. */
            argv[operands++] = argv[i];
        } else {
            int rc = take_option(tables, count, memory, argv, argc, &i, err);
            if (rc != 0)
                return rc;
        }
    }
    return operands;
}

struct standard {
    bool help, version, h;
};

static const struct tb_option standard_options[] = {
    {"help", TB_OPTION_BOOL, offsetof(struct standard, help), .help = "this text"},
    {"version", TB_OPTION_BOOL, offsetof(struct standard, version), .help = "version and commit"},
    {"h", TB_OPTION_BOOL, offsetof(struct standard, h), .help = "this text"},
};

int tb_command_parse(const char *program, const char *usage, const struct tb_option *options,
                     size_t count, void *out, struct tb_config_memory *memory, int argc,
                     char **argv)
{
    struct standard standard = {0};
    struct tb_option_table tables[] = {{options, count, out},
                                       {standard_options, TB_COUNT(standard_options), &standard}};
    struct tb_error err = {""};
    tb_config_defaults(options, count, out, memory);
    int operands = tb_tables_command(tables, TB_COUNT(tables), memory, argc, argv, &err);
    if (operands < 0) {
        fprintf(stderr, "%s: %s\n%s --help lists the options\n", program, err.text, program);
        return -EINVAL;
    }
    if (standard.help || standard.h) {
        size_t length = strlen(usage);
        fprintf(stdout, "%s%s\n", usage, length > 0 && usage[length - 1] == '\n' ? "" : "\n");
        tb_config_help(stdout, options, count);
        tb_config_help(stdout, standard_options, 2);
        return -ECANCELED;
    }
    if (standard.version) {
        fprintf(stdout, "%s %s\n", program, tb_version());
        return -ECANCELED;
    }
    struct tb_faults faults = {.out = stderr};
    if (tb_config_missing(options, count, out, program, "", &faults) > 0)
        return -EINVAL;
    return operands;
}
