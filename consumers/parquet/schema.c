#include "consumers/parquet/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MANTISSA "_mantissa"

static enum parquet_kind kind_of(enum column_kind kind)
{
    switch (kind) {
    case COLUMN_TEXT:
        return PARQUET_TEXT;
    case COLUMN_SIGNED:
    case COLUMN_PRICE:
    case COLUMN_SIZE:
    case COLUMN_VALUE:
        return PARQUET_INT64;
    case COLUMN_TURNOVER:
        return PARQUET_WIDE;
    case COLUMN_TIME:
        return PARQUET_TIME;
    case COLUMN_BOOL:
        return PARQUET_BOOL;
    case COLUMN_UNSIGNED:
    default:
        return PARQUET_UINT64;
    }
}

static bool is_decimal(enum column_kind kind)
{
    return kind == COLUMN_PRICE || kind == COLUMN_SIZE || kind == COLUMN_TURNOVER ||
           kind == COLUMN_VALUE;
}

static bool is_exponent(const struct column *field)
{
    size_t length = strlen(field->name);
    return length > 4 && strcmp(field->name + length - 4, "_exp") == 0;
}

static void add(struct schema *s, const struct column *field)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->field[i] == field)
            return;
    TB_ASSERT(s->count < PARQUET_COLUMNS_MAX);
    snprintf(s->name[s->count], sizeof(s->name[0]), "%s%s", field->name,
             is_decimal(field->kind) ? MANTISSA : "");
    s->column[s->count] = (struct parquet_column){
        s->name[s->count], is_exponent(field) ? PARQUET_INT32 : kind_of(field->kind)};
    s->field[s->count++] = field;
}

static bool chosen(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; names != NULL && i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return names == NULL;
}

void schema_make(const char *const *names, size_t count, struct schema *out_schema)
{
    size_t fields;
    const struct column *table = fields_table(&fields);
    bool price = false, size = false, value = false;
    memset(out_schema, 0, sizeof(*out_schema));
    for (size_t i = 0; i < fields; i++) {
        enum column_kind kind = table[i].kind;
        if (!chosen(names, count, table[i].name))
            continue;
        add(out_schema, &table[i]);
        price = price || kind == COLUMN_PRICE || kind == COLUMN_TURNOVER;
        size = size || kind == COLUMN_SIZE || kind == COLUMN_TURNOVER;
        value = value || kind == COLUMN_VALUE;
    }
    if (price)
        add(out_schema, fields_column("price_exp"));
    if (size)
        add(out_schema, fields_column("size_exp"));
    if (value)
        add(out_schema, fields_column("value_exp"));
}

void schema_row(const struct schema *s, const struct fields *fields, struct parquet_value *out_row)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = fields_find(fields, s->field[i]->name);
        out_row[i] = (struct parquet_value){.present = f != NULL && f->kind != FIELD_NOTHING};
        if (!out_row[i].present)
            continue;
        out_row[i].number = f->number;
        out_row[i].text = f->text;
    }
}

int schema_match(const struct parquet_column *columns, size_t count, struct schema *out_schema,
                 struct tb_error *err)
{
    struct schema all;
    schema_make(NULL, 0, &all);
    memset(out_schema, 0, sizeof(*out_schema));
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < all.count && strcmp(all.name[k], columns[i].name) != 0)
            k++;
        if (k == all.count || all.column[k].kind != columns[i].kind)
            return tb_fail(err, -EPROTO, "column %s is none that tickbus export writes%s",
                           columns[i].name, k == all.count ? "" : " (it has another type)");
        add(out_schema, all.field[k]);
    }
    return out_schema->count == count ? 0 : tb_fail(err, -EPROTO, "a column is there twice");
}

/* The number of an exponent's column in this row; false: there is none. */
static bool exponent(const struct schema *s, const struct parquet_value *row, const char *name,
                     int *out)
{
    for (size_t i = 0; i < s->count; i++)
        if (row[i].present && strcmp(s->name[i], name) == 0 && row[i].number <= 0 &&
            row[i].number >= TB_EXP_MIN) {
            *out = (int)row[i].number;
            return true;
        }
    return false;
}

int schema_fields(const struct schema *s, const struct parquet_value *row,
                  struct fields *out_fields, struct tb_error *err)
{
    int price = 0, size = 0, value = 0;
    bool priced = exponent(s, row, "price_exp", &price) && exponent(s, row, "size_exp", &size);
    bool valued = exponent(s, row, "value_exp", &value);
    out_fields->count = 0;
    for (size_t i = 0; i < s->count; i++) {
        enum column_kind kind = s->field[i]->kind;
        int exp = kind == COLUMN_PRICE      ? price
                  : kind == COLUMN_SIZE     ? size
                  : kind == COLUMN_TURNOVER ? price + size
                  : kind == COLUMN_VALUE    ? value
                                            : 0;
        if (!row[i].present)
            continue;
        if (is_decimal(kind) && !(kind == COLUMN_VALUE ? valued : priced))
            return tb_fail(err, -EINVAL, "column %s has a value without its exponent", s->name[i]);
        if (out_fields->count == FIELDS_MAX)
            return tb_fail(err, -EINVAL, "a row has more values than a record has fields");
        fields_put(out_fields, s->field[i], row[i].text, row[i].number, exp);
    }
    return 0;
}
