/*
 * A file of an export, row by row: CSV (RFC 4180), JSON lines (flat objects) or Parquet. One row is
 * in memory at a time; of Parquet one row group.
 */
#ifndef TICKBUS_CONSUMERS_ROWS_H
#define TICKBUS_CONSUMERS_ROWS_H

#include "consumers/records/records.h"

#define ROW_BYTES_MAX (1 << 16)

enum rows_format { ROWS_CSV, ROWS_JSON, ROWS_PARQUET };

struct rows;

/* rows_open: "-" is stdin (not Parquet). Errors: from the system; -EPROTO: no export of ours, see
 * err. */
int rows_open(const char *path, enum rows_format format, struct rows **out_rows,
              struct tb_error *err);

/*
 * rows_next: 1: *out_fields, whose texts are valid until the next call; 0 at the end; -errno
 * (-EINVAL: the row can not be understood), err says where and why.
 */
int rows_next(struct rows *r, struct fields *out_fields, struct tb_error *err);

/* rows_place: "file:12", for what is said about the row that was given out last. */
const char *rows_place(struct rows *r, char *out, size_t bytes);
void rows_progress(const struct rows *r, uint64_t *out_done, uint64_t *out_total);
void rows_close(struct rows *r);

#endif
