/* See parquet.h; the format: github.com/apache/parquet-format, parquet.thrift and Encodings.md. */
#include "consumers/parquet/parquet.h"

#include <errno.h>
#include <string.h>

#include <zstd.h>

#include "consumers/parquet/form.h"
#include "consumers/parquet/thrift.h"

#define ZSTD_LEVEL 3

struct column {
    unsigned char *present; /* a byte per row of the group */
    size_t present_count;   /* how many of them are 1 */
    struct bytes values;
    size_t bools; /* in values, eight to a byte */
};

struct parquet_writer {
    FILE *out;
    struct parquet_column description[PARQUET_COLUMNS_MAX];
    struct column column[PARQUET_COLUMNS_MAX];
    size_t count, group_rows, rows; /* rows: in this group */
    bool zstd;
    uint64_t offset, total;
    struct bytes page, packed, header;
    struct bytes groups; /* footer: the row groups that are written */
    size_t group_count;
    int error;
};

static void write_out(struct parquet_writer *w, const void *bytes, size_t count)
{
    if (w->error == 0 && fwrite(bytes, 1, count, w->out) != count)
        w->error = errno != 0 ? -errno : -EIO;
    w->offset += count;
}

int parquet_create(FILE *out, const struct parquet_column *columns, size_t count, bool zstd,
                   size_t group_rows, struct parquet_writer **out_writer)
{
    TB_ASSERT(count <= PARQUET_COLUMNS_MAX && group_rows > 0);
    struct parquet_writer *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->out = out;
    w->count = count;
    w->group_rows = group_rows;
    w->zstd = zstd;
    memcpy(w->description, columns, count * sizeof(*columns));
    for (size_t i = 0; i < count; i++)
        if ((w->column[i].present = malloc(group_rows)) == NULL)
            w->error = -ENOMEM;
    write_out(w, PARQUET_MAGIC, 4);
    if (w->error != 0) {
        int rc = w->error;
        (void)parquet_close(w, true);
        return rc;
    }
    *out_writer = w;
    return 0;
}

static void add_value(struct column *c, enum parquet_kind kind, const struct parquet_value *v)
{
    unsigned char wide[16];
    int64_t number = (int64_t)v->number;
    uint32_t length;
    switch (kind) {
    case PARQUET_BOOL:
        if (c->bools % 8 == 0)
            bytes_add(&c->values, "", 1);
        if (!c->values.failed && number != 0)
            c->values.at[c->bools / 8] |= (unsigned char)(1U << (c->bools % 8));
        c->bools++;
        break;
    case PARQUET_INT32:
        bytes_add(&c->values, &(int32_t){(int32_t)number}, 4);
        break;
    case PARQUET_INT64:
    case PARQUET_UINT64:
    case PARQUET_TIME:
        bytes_add(&c->values, &number, 8);
        break;
    case PARQUET_TEXT:
        length = (uint32_t)strlen(v->text);
        bytes_add(&c->values, &length, 4);
        bytes_add(&c->values, v->text, length);
        break;
    case PARQUET_WIDE: /* big-endian */
        for (unsigned i = 0; i < 16; i++)
            wide[i] = (unsigned char)((unsigned __int128)v->number >> (8 * (15 - i)));
        bytes_add(&c->values, wide, 16);
        break;
    case PARQUET_KINDS:
    default:
        break;
    }
}

/* Which rows have a value: one run if all or none have, else a bit each. */
static void add_levels(struct parquet_writer *w, const struct column *c)
{
    struct bytes levels = {NULL};
    if (c->present_count == w->rows || c->present_count == 0) {
        bytes_add_varint(&levels, w->rows << 1);
        bytes_add(&levels, &(unsigned char){c->present_count != 0}, 1);
    } else {
        size_t groups = (w->rows + 7) / 8;
        bytes_add_varint(&levels, groups << 1 | 1);
        for (size_t i = 0; i < groups; i++) {
            unsigned char byte = 0;
            for (size_t k = 0; k < 8 && 8 * i + k < w->rows; k++)
                byte |= (unsigned char)(c->present[8 * i + k] << k);
            bytes_add(&levels, &byte, 1);
        }
    }
    bytes_add(&w->page, &(uint32_t){(uint32_t)levels.count}, 4);
    bytes_add(&w->page, levels.at, levels.count);
    w->page.failed |= levels.failed;
    bytes_free(&levels);
}

/* The page's bytes as they go to the file. */
static const struct bytes *pack(struct parquet_writer *w)
{
    if (!w->zstd)
        return &w->page;
    size_t bound = ZSTD_compressBound(w->page.count);
    w->packed.count = 0;
    if (w->packed.room < bound) {
        free(w->packed.at);
        w->packed.at = malloc(bound);
        w->packed.room = w->packed.at == NULL ? 0 : bound;
    }
    size_t count = w->packed.at == NULL
                       ? SIZE_MAX
                       : ZSTD_compress(w->packed.at, bound, w->page.at, w->page.count, ZSTD_LEVEL);
    if (ZSTD_isError(count))
        w->error = -ENOMEM;
    else
        w->packed.count = count;
    return &w->packed;
}

static void make_page_header(struct parquet_writer *w, size_t packed)
{
    struct thrift_out o = {.out = &w->header};
    w->header.count = 0;
    thrift_int(&o, 1, THRIFT_I32, PARQUET_DATA_PAGE);
    thrift_int(&o, 2, THRIFT_I32, (int64_t)w->page.count);
    thrift_int(&o, 3, THRIFT_I32, (int64_t)packed);
    thrift_struct(&o, 5);
    thrift_int(&o, 1, THRIFT_I32, (int64_t)w->rows);
    thrift_int(&o, 2, THRIFT_I32, PARQUET_PLAIN);
    thrift_int(&o, 3, THRIFT_I32, PARQUET_RLE);
    thrift_int(&o, 4, THRIFT_I32, PARQUET_RLE);
    thrift_end(&o);
    thrift_end(&o);
}

/* A column's page, and its entry of the row group. */
static void write_column(struct parquet_writer *w, size_t i, struct thrift_out *group,
                         uint64_t *plain, uint64_t *packed_sum)
{
    struct column *c = &w->column[i];
    w->page.count = 0;
    add_levels(w, c);
    bytes_add(&w->page, c->values.at, c->values.count);
    const struct bytes *packed = pack(w);
    make_page_header(w, packed->count);
    if (w->page.failed || c->values.failed || w->header.failed)
        w->error = -ENOMEM;
    uint64_t offset = w->offset;
    write_out(w, w->header.at, w->header.count);
    write_out(w, packed->at, packed->count);

    uint64_t plain_bytes = w->header.count + w->page.count;
    uint64_t packed_bytes = w->header.count + packed->count;
    thrift_struct_element(group); /* ColumnChunk */
    thrift_int(group, 2, THRIFT_I64, (int64_t)offset);
    thrift_struct(group, 3); /* ColumnMetaData */
    thrift_int(group, 1, THRIFT_I32, parquet_forms[w->description[i].kind].type);
    thrift_list(group, 2, THRIFT_I32, 2);
    thrift_bare_int(group, PARQUET_PLAIN);
    thrift_bare_int(group, PARQUET_RLE);
    thrift_list(group, 3, THRIFT_BINARY, 1);
    thrift_bare_text(group, w->description[i].name);
    thrift_int(group, 4, THRIFT_I32, w->zstd ? PARQUET_ZSTD : PARQUET_UNCOMPRESSED);
    thrift_int(group, 5, THRIFT_I64, (int64_t)w->rows);
    thrift_int(group, 6, THRIFT_I64, (int64_t)plain_bytes);
    thrift_int(group, 7, THRIFT_I64, (int64_t)packed_bytes);
    thrift_int(group, 9, THRIFT_I64, (int64_t)offset);
    thrift_end(group);
    thrift_end(group);
    *plain += plain_bytes;
    *packed_sum += packed_bytes;
    c->values.count = c->bools = c->present_count = 0;
}

static void write_group(struct parquet_writer *w)
{
    struct thrift_out o = {.out = &w->groups};
    uint64_t offset = w->offset, plain = 0, packed = 0;
    if (w->rows == 0)
        return;
    thrift_list(&o, 1, THRIFT_STRUCT, w->count);
    for (size_t i = 0; i < w->count && w->error == 0; i++)
        write_column(w, i, &o, &plain, &packed);
    thrift_int(&o, 2, THRIFT_I64, (int64_t)plain);
    thrift_int(&o, 3, THRIFT_I64, (int64_t)w->rows);
    thrift_int(&o, 5, THRIFT_I64, (int64_t)offset);
    thrift_int(&o, 6, THRIFT_I64, (int64_t)packed);
    bytes_add(&w->groups, "", 1); /* end of the struct */
    w->group_count++;
    w->total += w->rows;
    w->rows = 0;
}

int parquet_put(struct parquet_writer *w, const struct parquet_value *row)
{
    for (size_t i = 0; i < w->count; i++) {
        struct column *c = &w->column[i];
        c->present[w->rows] = row[i].present;
        c->present_count += row[i].present;
        if (row[i].present)
            add_value(c, w->description[i].kind, &row[i]);
    }
    if (++w->rows == w->group_rows)
        write_group(w);
    return w->error;
}

static void add_logical_type(struct thrift_out *o, enum parquet_kind kind)
{
    if (kind == PARQUET_INT32 || kind == PARQUET_INT64 || kind == PARQUET_BOOL)
        return;
    thrift_struct(o, 10); /* a union: one field */
    if (kind == PARQUET_TEXT) {
        thrift_struct(o, 1);
    } else if (kind == PARQUET_WIDE) {
        thrift_struct(o, 5);
        thrift_int(o, 1, THRIFT_I32, 0);
        thrift_int(o, 2, THRIFT_I32, 38);
    } else if (kind == PARQUET_TIME) {
        thrift_struct(o, 8);
        thrift_bool(o, 1, true); /* UTC */
        thrift_struct(o, 2);
        thrift_struct(o, 3); /* NANOS */
        thrift_end(o);
        thrift_end(o);
    } else {
        thrift_struct(o, 10);
        thrift_int(o, 1, THRIFT_BYTE, 64);
        thrift_bool(o, 2, false); /* unsigned */
    }
    thrift_end(o);
    thrift_end(o);
}

static void add_schema(struct parquet_writer *w, struct thrift_out *o)
{
    thrift_list(o, 2, THRIFT_STRUCT, w->count + 1);
    thrift_struct_element(o);
    thrift_text(o, 4, "records");
    thrift_int(o, 5, THRIFT_I32, (int64_t)w->count);
    thrift_end(o);
    for (size_t i = 0; i < w->count; i++) {
        const struct parquet_form *form = &parquet_forms[w->description[i].kind];
        thrift_struct_element(o);
        thrift_int(o, 1, THRIFT_I32, form->type);
        if (form->length != 0)
            thrift_int(o, 2, THRIFT_I32, form->length);
        thrift_int(o, 3, THRIFT_I32, PARQUET_OPTIONAL);
        thrift_text(o, 4, w->description[i].name);
        if (form->converted >= 0)
            thrift_int(o, 6, THRIFT_I32, form->converted);
        if (w->description[i].kind == PARQUET_WIDE) {
            thrift_int(o, 7, THRIFT_I32, 0);
            thrift_int(o, 8, THRIFT_I32, 38);
        }
        add_logical_type(o, w->description[i].kind);
        thrift_end(o);
    }
}

static void write_footer(struct parquet_writer *w)
{
    struct bytes footer = {NULL};
    struct thrift_out o = {.out = &footer};
    char created[96];
    snprintf(created, sizeof(created), "tickbus version %s", tb_version());
    thrift_int(&o, 1, THRIFT_I32, 1);
    add_schema(w, &o);
    thrift_int(&o, 3, THRIFT_I64, (int64_t)w->total);
    thrift_list(&o, 4, THRIFT_STRUCT, w->group_count);
    bytes_add(&footer, w->groups.at, w->groups.count);
    thrift_text(&o, 6, created);
    bytes_add(&footer, "", 1);
    uint32_t count = (uint32_t)footer.count;
    if (footer.failed || w->groups.failed)
        w->error = -ENOMEM;
    write_out(w, footer.at, footer.count);
    write_out(w, &count, 4);
    write_out(w, PARQUET_MAGIC, 4);
    bytes_free(&footer);
}

int parquet_close(struct parquet_writer *w, bool abandon)
{
    if (w == NULL)
        return 0;
    if (!abandon && w->error == 0)
        write_group(w);
    if (!abandon && w->error == 0)
        write_footer(w);
    int rc = w->error;
    for (size_t i = 0; i < w->count; i++) {
        free(w->column[i].present);
        bytes_free(&w->column[i].values);
    }
    bytes_free(&w->page);
    bytes_free(&w->packed);
    bytes_free(&w->header);
    bytes_free(&w->groups);
    free(w);
    return rc;
}
