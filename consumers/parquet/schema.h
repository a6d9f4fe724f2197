/*
 * Records as rows of a Parquet file: a column per field of FIELDS.md, under its name and of its
 * kind, except that decimals are mantissas, named so (price_mantissa), in the exponents price_exp,
 * size_exp and value_exp of the row, because one column may hold markets of many scales.
 * turnover_mantissa has the exponent price_exp + size_exp. No value is a floating-point number.
 */
#ifndef TICKBUS_CONSUMERS_PARQUET_SCHEMA_H
#define TICKBUS_CONSUMERS_PARQUET_SCHEMA_H

#include "consumers/parquet/parquet.h"
#include "consumers/records/records.h"

struct schema {
    struct parquet_column column[PARQUET_COLUMNS_MAX];
    const struct column *field[PARQUET_COLUMNS_MAX];
    char name[PARQUET_COLUMNS_MAX][48];
    size_t count;
};

/* schema_make: of these fields, or of all (names NULL); exponents are added where they are
 * needed. */
void schema_make(const char *const *names, size_t count, struct schema *out_schema);
void schema_row(const struct schema *s, const struct fields *fields, struct parquet_value *out_row);

/* schema_match: of a file's columns. -EPROTO: err says what is there that no export of ours has. */
int schema_match(const struct parquet_column *columns, size_t count, struct schema *out_schema,
                 struct tb_error *err);
/* schema_fields: texts stay those of the row. 0 or -EINVAL. */
int schema_fields(const struct schema *s, const struct parquet_value *row,
                  struct fields *out_fields, struct tb_error *err);

#endif
