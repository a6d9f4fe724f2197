/* Numbers of parquet.thrift that both sides use. */
#ifndef TICKBUS_CONSUMERS_PARQUET_FORM_H
#define TICKBUS_CONSUMERS_PARQUET_FORM_H

#include "consumers/parquet/parquet.h"

#define PARQUET_MAGIC "PAR1"
enum { PARQUET_DATA_PAGE = 0, PARQUET_PLAIN = 0, PARQUET_RLE = 3, PARQUET_OPTIONAL = 1 };
enum { PARQUET_UNCOMPRESSED = 0, PARQUET_ZSTD = 6 };

/* How a kind is stored: physical type, length of fixed ones, converted type (-1: none). */
struct parquet_form {
    int type, length, converted;
};
extern const struct parquet_form parquet_forms[PARQUET_KINDS];

#endif
