/*
 * Several option tables taken as one: a service has its own and the skeleton's. An earlier table
 * hides equal keys of a later one.
 */
#ifndef TICKBUS_OPTION_TABLES_H
#define TICKBUS_OPTION_TABLES_H

#include <tickbus/config.h>

struct tb_option_table {
    const struct tb_option *options;
    size_t count;
    void *values;
};

/* tb_tables_find: the row of a key (- and _ alike) and the values it belongs to; NULL if
 * unknown. */
const struct tb_option *tb_tables_find(const struct tb_option_table *tables, size_t count,
                                       const char *key, void **out_values);

/* As their namesakes in config.h. */
int tb_tables_set(const struct tb_option_table *tables, size_t count, const char *key,
                  const char *text, struct tb_config_memory *memory, struct tb_error *err);
void tb_tables_section(const struct tb_option_table *tables, size_t count,
                       const struct tb_yaml *map, const char *file, const char *where,
                       const char *const *skip, struct tb_config_memory *memory,
                       struct tb_faults *faults);

/*
 * tb_tables_command: apply argv. Operands move to the front of argv; their number is returned.
 * -EINVAL with the reason in err.
 */
int tb_tables_command(const struct tb_option_table *tables, size_t count,
                      struct tb_config_memory *memory, int argc, char **argv, struct tb_error *err);

#endif
