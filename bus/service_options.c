/* A service's configuration: the skeleton's options and the program's, from the file and the command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "option_tables.h"
#include "service_private.h"

#define S(field) offsetof(struct skeleton_options, field)

static const struct tb_option file_options[] = {
    {"streams", TB_OPTION_LIST, S(streams),
     .help = "input streams; @feeds: every feed of the config file"},
    {"stream", TB_OPTION_STRING, S(stream), .help = "name of the output stream"},
    {"from", TB_OPTION_ENUM, S(from), "oldest", .choices = "oldest|newest",
     .help = "where to begin without a checkpoint"},
    {"until_done", TB_OPTION_BOOL, S(until_done), "false",
     .help = "end when every input is complete"},
    {"log_level", TB_OPTION_ENUM, S(log_level), "info", .choices = "debug|info|warn|error|off",
     .help = "lowest level that is logged"},
    {"bus", TB_OPTION_STRING, S(bus), "default", .help = "name of the bus"},
    {"directory", TB_OPTION_STRING, S(directory),
     .help = "where buses are; else $TICKBUS_DIR, else /dev/shm/tickbus"},
    {"journal", TB_OPTION_STRING, S(journal),
     .help = "directory of the journals: records that have left a ring are read from there"},
    {"name", TB_OPTION_STRING, S(name), .help = "name of this instance"},
    {"wait", TB_OPTION_ENUM, S(wait), "park", .choices = "park|yield|spin|batch",
     .help = "how to wait for records"},
    {"attach_timeout", TB_OPTION_DURATION, S(attach_timeout), "0", 0, INT64_MAX,
     .help = "give up waiting for a stream; 0: never"},
    {"drain_timeout", TB_OPTION_DURATION, S(drain_timeout), "10s", 0, 3600 * TB_NS_PER_S,
     .help = "time to finish after being asked to stop"},
    {"housekeep_every", TB_OPTION_DURATION, S(housekeep_every), "100ms", TB_NS_PER_MS,
     60 * TB_NS_PER_S, .help = "statistics, heartbeats"},
    {"checkpoint_every", TB_OPTION_DURATION, S(checkpoint_every), "100ms", TB_NS_PER_MS,
     3600 * TB_NS_PER_S, .help = "save the state"},
    {"capacity", TB_OPTION_INT, S(capacity), "0", 0, TB_CAPACITY_MAX,
     .help = "records in the output ring, a power of two; 0: as the program has it"},
    {"pace", TB_OPTION_ENUM, S(pace), "free", .choices = "free|gated",
     .help = "gated: wait for the readers named in gates"},
    {"gates", TB_OPTION_LIST, S(gates), .help = "readers that the output waits for"},
    {"lock_pages", TB_OPTION_BOOL, S(lock_pages), "false",
     .help = "keep the output ring in memory (mlock)"},
    {"huge_pages", TB_OPTION_BOOL, S(huge_pages), "false",
     .help = "ask for huge pages for the output ring"},
    {"new_epoch", TB_OPTION_BOOL, S(new_epoch), "false",
     .help = "begin a new output ring and forget the checkpoint"},
};

static const struct tb_option line_options[] = {
    {"config", TB_OPTION_STRING, S(config), .help = "YAML file"},
    {"section", TB_OPTION_STRING, S(section), .help = "section of it, such as services.candles"},
    {"check_config", TB_OPTION_BOOL, S(check_config), .help = "report all faults, exit 0 or 78"},
    {"print_config", TB_OPTION_BOOL, S(print_config),
     .help = "print all options with their values as YAML"},
    {"print_streams", TB_OPTION_BOOL, S(print_streams),
     .help = "print the input streams, one per line"},
    {"print_output", TB_OPTION_BOOL, S(print_output), .help = "print the output stream"},
    {"help", TB_OPTION_BOOL, S(help), .help = "this text"},
    {"help_all", TB_OPTION_BOOL, S(help_all), .help = "with every option of the skeleton"},
    {"version", TB_OPTION_BOOL, S(version), .help = "version and commit"},
    {"h", TB_OPTION_BOOL, S(help), .help = "this text"},
    {"done_after", TB_OPTION_INT, S(done_after), "0", 0, INT64_MAX,
     .help = "until_done: producers started before this time (ns) do not count"},
};

/* Of file_options, those that --help shows; the others are for --help-all. */
#define COMMON_OPTIONS 8
#define LINE_OPTIONS_SHOWN 9 /* not the one-letter spelling, nor what only `up` says */

/* Keys of a section that belong to `tickbus up`. */
static const char *const section_skip[] = {"program", "restart", NULL};
/* Keys of the file's top level that are not options of each process. */
static const char *const top_skip[] = {"venues", "feeds", "services", NULL};

struct tables {
    struct tb_option_table table[3]; /* the program's, the skeleton's, the command line's */
};

static struct tables tables_of(struct tb_service *svc)
{
    struct skeleton_options *opt = &svc->private_->opt;
    return (struct tables){{{svc->ops->options, svc->ops->option_count, svc->self},
                            {file_options, TB_COUNT(file_options), opt},
                            {line_options, TB_COUNT(line_options), opt}}};
}

static void set_defaults(struct tb_service *svc)
{
    struct tables t = tables_of(svc);
    for (size_t i = 0; i < TB_COUNT(t.table); i++)
        tb_config_defaults(t.table[i].options, t.table[i].count, t.table[i].values,
                           &svc->private_->memory);
}

/* ---- help ---- */

static bool has_row(const struct tb_service_ops *ops, const char *key)
{
    for (size_t i = 0; i < ops->option_count; i++)
        if (strcmp(ops->options[i].key, key) == 0)
            return true;
    return false;
}

/* Rows that make no sense without inputs or without an output. */
static bool row_applies(const struct tb_service *svc, const char *key)
{
    static const char *const of_inputs[] = {"streams",        "from",          "until_done", "wait",
                                            "attach_timeout", "print_streams", "journal"};
    static const char *const of_output[] = {"stream",    "capacity",    "pace",
                                            "gates",     "lock_pages",  "huge_pages",
                                            "new_epoch", "print_output"};
    for (size_t i = 0; i < TB_COUNT(of_inputs); i++)
        if (svc->ops->inputs == NULL && strcmp(key, of_inputs[i]) == 0)
            return false;
    for (size_t i = 0; i < TB_COUNT(of_output); i++)
        if (svc->ops->output == NULL && strcmp(key, of_output[i]) == 0)
            return false;
    if (strcmp(key, "checkpoint_every") == 0 && !tb_service_keeps_checkpoints(svc))
        return false;
    return !has_row(svc->ops, key);
}

static void print_help(const struct tb_service *svc, bool all)
{
    const struct tb_service_ops *ops = svc->ops;
    printf("tickbus %s: %s\n\nusage: tickbus %s [--config FILE --section SECTION] [--key=value "
           "...]\n\n",
           ops->name, ops->summary, ops->name);
    tb_config_help(stdout, ops->options, ops->option_count);
    size_t shown = all ? TB_COUNT(file_options) : COMMON_OPTIONS;
    if (ops->option_count > 0)
        puts("");
    for (size_t i = 0; i < shown; i++)
        if (row_applies(svc, file_options[i].key))
            tb_config_help(stdout, &file_options[i], 1);
    for (size_t i = 0; i < LINE_OPTIONS_SHOWN; i++)
        if (row_applies(svc, line_options[i].key))
            tb_config_help(stdout, &line_options[i], 1);
}

static void print_config(const struct tb_service *svc)
{
    tb_config_print(stdout, svc->ops->options, svc->ops->option_count, svc->self);
    for (size_t i = 0; i < TB_COUNT(file_options); i++)
        if (row_applies(svc, file_options[i].key))
            tb_config_print(stdout, &file_options[i], 1, &svc->private_->opt);
}

/* ---- the file ---- */

/* "services.candles": the kind and the key; false if it is not such a path. */
static bool split_section(const char *section, const char **out_key)
{
    static const char *const kinds[] = {"services.", "feeds.", "venues."};
    for (size_t i = 0; i < TB_COUNT(kinds); i++)
        if (strncmp(section, kinds[i], strlen(kinds[i])) == 0 &&
            section[strlen(kinds[i])] != '\0') {
            *out_key = section + strlen(kinds[i]);
            return true;
        }
    return false;
}

/* The map of our section. A key of the map may hold dots, so it is looked up whole. */
static const struct tb_yaml *find_section(struct tb_service *svc, struct tb_faults *faults)
{
    struct skeleton_options *opt = &svc->private_->opt;
    char usual[96];
    const char *section = opt->section, *key = NULL;
    if (section == NULL) {
        snprintf(usual, sizeof(usual), "services.%s", svc->ops->name);
        section = usual;
    }
    if (!split_section(section, &key)) {
        tb_fault(faults, opt->config, 0, section,
                 "is no section; it may be services.X, feeds.X or venues.X");
        return NULL;
    }
    char kind[16];
    snprintf(kind, sizeof(kind), "%.*s", (int)(key - section - 1), section);
    const struct tb_yaml *map = tb_yaml_get(tb_yaml_get(svc->private_->yaml, kind), key);
    if (map == NULL && opt->section != NULL)
        tb_fault(faults, opt->config, 0, section, "there is no such section");
    const struct tb_yaml *siblings = tb_yaml_get(svc->private_->yaml, kind);
    for (size_t i = 0; map != NULL && i < siblings->count; i++)
        if (siblings->item[i] == map)
            faults->section_line = siblings->key_line[i];
    faults->section = map;
    if (map != NULL && opt->section == NULL) {
        struct tb_error err;
        (void)tb_config_set(line_options, TB_COUNT(line_options), "section", usual, opt,
                            &svc->private_->memory, &err); /* a string row takes any text */
    }
    return map;
}

static void apply_file(struct tb_service *svc, struct tb_faults *faults)
{
    struct tb_service_private *p = svc->private_;
    struct tables t = tables_of(svc);
    p->yaml = tb_yaml_load(p->opt.config, faults);
    if (p->yaml == NULL)
        return;
    static const char *const shared[] = {"bus", "directory", "journal", "log_level"};
    struct tb_option rows[TB_COUNT(shared)];
    for (size_t i = 0; i < TB_COUNT(shared); i++)
        rows[i] = *tb_tables_find(&t.table[1], 1, shared[i], NULL);
    tb_config_section(rows, TB_COUNT(rows), p->yaml, p->opt.config, "", top_skip, &p->opt,
                      &p->memory, faults);
    const struct tb_yaml *map = find_section(svc, faults);
    if (map != NULL)
        faults->where = p->opt.section;
    if (map != NULL)
        tb_tables_section(t.table, 2, map, p->opt.config, p->opt.section, section_skip, &p->memory,
                          faults);
}

/* ---- names ---- */

static const char *keep_printf(struct tb_service *svc, const char *format, const char *a,
                               const char *b)
{
    static const struct tb_option row = {"text", TB_OPTION_STRING, 0};
    char text[256];
    const char *kept = NULL;
    struct tb_error err;
    snprintf(text, sizeof(text), format, a, b);
    (void)tb_config_set(&row, 1, "text", text, &kept, &svc->private_->memory, &err);
    return kept;
}

static void name_instance(struct tb_service *svc)
{
    struct skeleton_options *opt = &svc->private_->opt;
    const char *key = NULL;
    bool in_section = opt->section != NULL && split_section(opt->section, &key);
    bool is_feed = in_section && strncmp(opt->section, "feeds.", 6) == 0;
    svc->name = opt->name != NULL ? opt->name
                : is_feed         ? keep_printf(svc, "%s-%s", svc->ops->name, key)
                : in_section      ? key
                                  : svc->ops->name;
    svc->out_stream = svc->ops->output == NULL ? NULL
                      : opt->stream != NULL    ? opt->stream
                      : is_feed                ? key
                                               : svc->ops->output;
}

static void add_input(struct tb_service *svc, const char *stream, struct tb_faults *faults)
{
    const char *file = svc->config_file;
    for (unsigned i = 0; i < svc->input_count; i++)
        if (strcmp(svc->input[i].stream, stream) == 0)
            return; /* named twice is read once */
    if (!tb_name_check(stream))
        tb_fault(faults, file, 0, "streams", "\"%s\" can not name a stream", stream);
    else if (svc->out_stream != NULL && strcmp(stream, svc->out_stream) == 0)
        tb_fault(faults, file, 0, "streams", "%s is the output of this very service", stream);
    else if (svc->input_count == TB_INPUTS_MAX)
        tb_fault(faults, file, 0, "streams", "%s is one too many: at most %d", stream,
                 TB_INPUTS_MAX);
    else
        svc->input[svc->input_count++].stream = stream;
}

/* The stream that a feed or service of this name makes by the config file; NULL if there is none. */
static const char *stream_made_by(const struct tb_yaml *root, const char *name)
{
    const struct tb_yaml *feed = tb_yaml_get(tb_yaml_get(root, "feeds"), name);
    const struct tb_yaml *maker =
        feed != NULL ? feed : tb_yaml_get(tb_yaml_get(root, "services"), name);
    const struct tb_yaml *stream = tb_yaml_get(maker, "stream");
    if (maker == NULL)
        return NULL;
    return stream != NULL && stream->kind == TB_YAML_SCALAR ? stream->text : name;
}

static void add_feeds(struct tb_service *svc, struct tb_faults *faults)
{
    const struct tb_yaml *feeds = tb_yaml_get(svc->private_->yaml, "feeds");
    if (svc->private_->yaml == NULL)
        tb_fault(faults, NULL, 0, "streams",
                 "without a config file, name the input streams: --streams=a,b");
    for (size_t i = 0; feeds != NULL && feeds->kind == TB_YAML_MAP && i < feeds->count; i++)
        add_input(svc, stream_made_by(svc->private_->yaml, feeds->key[i]), faults);
}

static void name_inputs(struct tb_service *svc, struct tb_faults *faults)
{
    struct tb_service_private *p = svc->private_;
    if (svc->ops->inputs == NULL)
        return;
    struct tb_list names = p->opt.streams;
    if (names.count == 0) {
        static const struct tb_option row = {"streams", TB_OPTION_LIST, 0};
        struct tb_error err;
        p->streams_by_default = true;
        (void)tb_config_set(&row, 1, "streams", svc->ops->inputs, &names, &p->memory, &err);
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.item[i];
        if (strcmp(name, "@feeds") == 0) {
            add_feeds(svc, faults);
            continue;
        }
        if (p->streams_by_default && p->yaml != NULL)
            name = stream_made_by(p->yaml, name);
        if (name != NULL)
            add_input(svc, name, faults);
    }
    if (svc->input_count == 0 && faults->count == 0)
        tb_fault(faults, svc->config_file, 0, "streams", "there is none to read");
}

/* ---- checks ---- */

static void check_skeleton(struct tb_service *svc, struct tb_faults *faults)
{
    const struct skeleton_options *opt = &svc->private_->opt;
    const char *file = svc->config_file;
    static const char bad_name[] =
        "\"%s\" can not be a name; use a-z 0-9 _ - and at most 31 of them, a letter or digit first";
    struct tb_error err;
    if (!tb_name_check(svc->name))
        tb_fault(faults, file, 0, "name", bad_name, svc->name);
    if (svc->out_stream != NULL && !tb_name_check(svc->out_stream))
        tb_fault(faults, file, 0, "stream", bad_name, svc->out_stream);
    if (opt->capacity != 0 &&
        ((opt->capacity & (opt->capacity - 1)) != 0 || opt->capacity < TB_CAPACITY_MIN))
        tb_fault(faults, file, 0, "capacity", "%lld is not a power of two from %d on",
                 (long long)opt->capacity, TB_CAPACITY_MIN);
    if (opt->gates.count > TB_GATES_MAX)
        tb_fault(faults, file, 0, "gates", "at most %d", TB_GATES_MAX);
    for (size_t i = 0; i < opt->gates.count; i++)
        if (!tb_name_check(opt->gates.item[i]))
            tb_fault(faults, file, 0, "gates", bad_name, opt->gates.item[i]);
    if (tb_bus_dir(opt->directory, opt->bus, svc->bus_dir, sizeof(svc->bus_dir), &err) != 0) {
        const struct tb_yaml *bus = tb_yaml_get(svc->private_->yaml, "bus");
        tb_fault(faults, file, bus != NULL ? bus->line : 0, "bus", "%s", err.text);
    }
    (void)tb_config_missing(svc->ops->options, svc->ops->option_count, svc->self, file, "", faults);
}

static int usage_error(const struct tb_service *svc, const char *text)
{
    fprintf(stderr, "tickbus-%s: %s\ntickbus-%s --help lists the options\n", svc->ops->name, text,
            svc->ops->name);
    return TB_EXIT_USAGE;
}

static int parse_command(struct tb_service *svc, int argc, char **argv)
{
    struct tables t = tables_of(svc);
    struct tb_error err = {""};
    char *copy[256]; /* operands are moved, and the line is read twice */
    if (argc > (int)TB_COUNT(copy))
        return usage_error(svc, "too many arguments");
    memcpy(copy, argv, (size_t)argc * sizeof(*argv));
    int operands = tb_tables_command(t.table, 3, &svc->private_->memory, argc, copy, &err);
    if (operands > 0)
        (void)tb_fail(&err, 0, "\"%s\" is not expected", copy[0]);
    return operands == 0 ? -1 : usage_error(svc, err.text);
}

int tb_service_configure(struct tb_service *svc, int argc, char **argv)
{
    struct skeleton_options *opt = &svc->private_->opt;
    set_defaults(svc);
    int rc = parse_command(svc, argc, argv);
    if (rc >= 0)
        return rc;
    if (opt->help || opt->help_all) {
        print_help(svc, opt->help_all);
        return TB_EXIT_OK;
    }
    if (opt->version) {
        printf("tickbus-%s %s\n", svc->ops->name, tb_version());
        return TB_EXIT_OK;
    }
    struct tb_faults faults = {.out = stderr};
    svc->config_file = opt->config;
    if (opt->config != NULL) {
        apply_file(svc, &faults);
        (void)parse_command(svc, argc, argv); /* the command line wins; it parsed before */
    }
    svc->section = opt->section;
    svc->until_done = opt->until_done;
    svc->journal = opt->journal;
    svc->input_journal = svc->ops->rings_only ? NULL : opt->journal;
    tb_log_init(svc->ops->name, (enum tb_log_level)opt->log_level);
    /* What is missing because the file can not be read needs no fault of its own. */
    if (opt->config == NULL || svc->private_->yaml != NULL) {
        name_instance(svc);
        tb_log_init(svc->name, (enum tb_log_level)opt->log_level);
        name_inputs(svc, &faults);
        check_skeleton(svc, &faults);
        if (svc->ops->check != NULL)
            svc->ops->check(svc, svc->self, &faults);
    }
    if (faults.count > 0)
        return opt->config != NULL ? TB_EXIT_CONFIG : TB_EXIT_USAGE;
    if (opt->print_config)
        print_config(svc);
    for (unsigned i = 0; opt->print_streams && i < svc->input_count; i++)
        puts(svc->input[i].stream);
    if (opt->print_output && svc->out_stream != NULL)
        puts(svc->out_stream);
    bool only_asked =
        opt->check_config || opt->print_config || opt->print_streams || opt->print_output;
    return only_asked ? TB_EXIT_OK : -1;
}
