/*
 * Parquet, as little of it as an export needs: flat tables of optional columns, PLAIN values, one
 * page per column and row group, zstd or no compression. Written for any reader of the format; read
 * back only in this shape (another is refused with a sentence).
 *
 * Both sides hold one row group in memory.
 */
#ifndef TICKBUS_CONSUMERS_PARQUET_H
#define TICKBUS_CONSUMERS_PARQUET_H

#include <stdio.h>

#include <tickbus/base.h>

#define PARQUET_COLUMNS_MAX 96

enum parquet_kind {
    PARQUET_BOOL,
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_UINT64,
    PARQUET_TIME, /* INT64, TIMESTAMP(NANOS, UTC) */
    PARQUET_TEXT, /* BYTE_ARRAY, STRING */
    PARQUET_WIDE, /* FIXED_LEN_BYTE_ARRAY(16), DECIMAL(38, 0): an integer of 128 bits */
    PARQUET_KINDS
};

struct parquet_column {
    const char *name;
    enum parquet_kind kind;
};

struct parquet_value {
    bool present;
    __int128 number;
    const char *text; /* PARQUET_TEXT, from a reader valid until the next row */
};

struct parquet_writer;

/* parquet_create: out stays the caller's; group_rows: rows of a row group. 0, -ENOMEM, -EIO. */
int parquet_create(FILE *out, const struct parquet_column *columns, size_t count, bool zstd,
                   size_t group_rows, struct parquet_writer **out_writer);
/* parquet_put: a row, one value per column. 0, -ENOMEM, -EIO (then only close helps). */
int parquet_put(struct parquet_writer *w, const struct parquet_value *row);
/* parquet_close: the last row group and the footer, unless abandoned. 0 or -errno. Accepts NULL. */
int parquet_close(struct parquet_writer *w, bool abandon);

struct parquet_reader;

/* parquet_open: -ENOENT and the like; -EPROTO: not Parquet, or Parquet of another shape, see
 * err. */
int parquet_open(const char *path, struct parquet_reader **out_reader, struct tb_error *err);
const struct parquet_column *parquet_columns(const struct parquet_reader *r, size_t *out_count);
/* parquet_next: 1 and a row, 0 at the end, -errno (-EBADMSG: damaged) with the reason in err. */
int parquet_next(struct parquet_reader *r, struct parquet_value *out_row, struct tb_error *err);
/* parquet_progress: rows given out, rows in all. */
void parquet_progress(const struct parquet_reader *r, uint64_t *out_done, uint64_t *out_total);
void parquet_reader_close(struct parquet_reader *r);

#endif
