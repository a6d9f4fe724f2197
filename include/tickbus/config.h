/*
 * Options: one table row each, from which parsing, ranges, --help, the config file and its check
 * all come. A value is given on the command line (--key=value, --key value, --flag) or in a section
 * of a YAML file; the command line wins. Keys are written with - or _ alike. An unknown key is an
 * error that names the nearest known one. Every fault is reported, not only the first, each as
 *
 *   demo.yaml:12: services.persist.commit_every: "5 sec" is not a duration; write 250ms, 5s, 1m
 */
#ifndef TICKBUS_CONFIG_H
#define TICKBUS_CONFIG_H

#include <stdio.h>
#include <sys/select.h> /* sigset_t, also with -std=c17 alone */

#include <tickbus/base.h>

TB_EXTERN_BEGIN

enum tb_option_type {
    TB_OPTION_STRING,   /* const char *         (NULL unless given or defaulted) */
    TB_OPTION_BOOL,     /* bool                 true|false|yes|no|on|off; a bare --key is true */
    TB_OPTION_INT,      /* int64_t              min..max */
    TB_OPTION_DURATION, /* tb_ns (int64_t)      "250ms"; min..max in ns */
    TB_OPTION_BYTES,    /* int64_t              "64KiB"; min..max in bytes */
    TB_OPTION_ENUM,     /* int: index in `choices`, "park|yield|spin" */
    TB_OPTION_LIST,     /* struct tb_list       YAML sequence, or "a,b,c"; repeats add up */
    TB_OPTION_TREE,     /* const struct tb_yaml *: a structure, in the file only; the program reads
                         * it */
};

struct tb_list {
    const char **item;
    size_t count;
};

struct tb_option {
    const char *key; /* "commit_every" */
    enum tb_option_type type;
    size_t offset;        /* of the field in the options struct: offsetof(struct persist,
                          * commit_every) */
    const char *fallback; /* text of the default; NULL: none (0, NULL, empty) */
    int64_t min, max;     /* INT, DURATION, BYTES; both 0: no range */
    const char *choices;  /* ENUM */
    const char *help;     /* one line, no full stop; starts in lower case */
    bool required;
};

/* ---- YAML, with the places of things ---- */

enum tb_yaml_kind { TB_YAML_SCALAR, TB_YAML_LIST, TB_YAML_MAP };

struct tb_yaml {
    enum tb_yaml_kind kind;
    int line;              /* from 1 */
    const char *text;      /* scalars */
    size_t count;          /* lists and maps */
    const char **key;      /* maps: count keys */
    const int *key_line;   /* maps */
    struct tb_yaml **item; /* lists and maps: count values */
};

/*
 * Faults found in configuration: printed as they are found, counted. If `section` is set, a fault
 * without a line (0) is placed by its field: the line of that key of the section, else of the
 * section; and the field is printed with `where` before it. So a check needs to name the key only.
 */
struct tb_faults {
    FILE *out; /* NULL: only count */
    size_t count;
    const struct tb_yaml *section;
    const char *where; /* "services.persist" */
    int section_line;
};
void tb_fault(struct tb_faults *faults, const char *file, int line, const char *field,
              const char *format, ...) TB_PRINTF(5, 6);

/*
 * tb_yaml_load: read a file whole (at most 1 MiB). Duplicate keys, tabs, anchors, aliases and bad
 * syntax are faults. NULL if it can not be used at all. Free with tb_yaml_free().
 */
struct tb_yaml *tb_yaml_load(const char *path, struct tb_faults *faults);
void tb_yaml_free(struct tb_yaml *root);
/* tb_yaml_get: the value of a key of a map; NULL if there is none or `map` is NULL or no map. */
const struct tb_yaml *tb_yaml_get(const struct tb_yaml *map, const char *key);
/* tb_yaml_find: by path, "services.persist". */
const struct tb_yaml *tb_yaml_find(const struct tb_yaml *root, const char *dotted);

/* ---- filling an options struct ---- */

/* Memory of the strings and lists that a filled struct points at. */
struct tb_config_memory {
    void *head;
};
void tb_config_release(struct tb_config_memory *memory);

/* tb_config_defaults: set every field of `out` from the table. */
void tb_config_defaults(const struct tb_option *options, size_t count, void *out,
                        struct tb_config_memory *memory);

/*
 * tb_config_set: one option from text. 0; -ENOENT unknown key; -EINVAL, with the reason (which
 * names what would be right) in err.
 */
int tb_config_set(const struct tb_option *options, size_t count, const char *key, const char *text,
                  void *out, struct tb_config_memory *memory, struct tb_error *err);

/*
 * tb_config_section: all keys of a map. `skip` is a NULL-ended list of keys that belong to others.
 * Faults go to `faults` with `file`, line and `where`.key.
 */
void tb_config_section(const struct tb_option *options, size_t count, const struct tb_yaml *map,
                       const char *file, const char *where, const char *const *skip, void *out,
                       struct tb_config_memory *memory, struct tb_faults *faults);

/*
 * tb_config_missing: report the rows marked `required` (strings, lists and trees only) that have no
 * value. Returns how many. To be called when file and command line have both been read.
 */
size_t tb_config_missing(const struct tb_option *options, size_t count, const void *values,
                         const char *file, const char *where, struct tb_faults *faults);

/* tb_config_nearest: the key that was probably meant, or NULL. */
const char *tb_config_nearest(const struct tb_option *options, size_t count, const char *key);

/* tb_config_help: print the rows as --help shows them: --commit-every=250ms  text (1ms .. 1m). */
void tb_config_help(FILE *out, const struct tb_option *options, size_t count);

/* tb_config_print: print the rows as YAML with their values (`--print-config`), each with its
 * help. */
void tb_config_print(FILE *out, const struct tb_option *options, size_t count, const void *values);

/* tb_nearest: the candidate within edit distance 2 (or a third of the length) of word, or NULL. */
const char *tb_nearest(const char *word, const char *const *candidates, size_t count);

/*
 * tb_command_signals: the first line of a process that ends in its own way. From here on SIGINT,
 * SIGTERM and SIGHUP wait until it reads them (signalfd, sigtimedwait), and do not kill it half
 * started. *out_set, if not NULL, are these three.
 */
void tb_command_signals(sigset_t *out_set);

/*
 * tb_command_parse: for tools that are no services: parse argv against a table, with --help and
 * --version. Operands (not options) are moved to argv[0], argv[1], ...; their number is returned. A
 * key of one letter is given as -k value. A missing `required` row is an error.
 * `usage` is the text over the options in --help. Errors: a line on stderr, and -EINVAL; the caller
 * exits 64. -ECANCELED: help or version was printed; exit 0.
 */
int tb_command_parse(const char *program, const char *usage, const struct tb_option *options,
                     size_t count, void *out, struct tb_config_memory *memory, int argc,
                     char **argv);

TB_EXTERN_END

#endif
