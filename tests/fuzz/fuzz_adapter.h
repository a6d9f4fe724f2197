/*
 * What the adapters' fuzz targets are made of: fuzz_<venue>.c says which venue, fuzz_adapter.c does
 * the rest.
 */
#ifndef TICKBUS_TESTS_FUZZ_ADAPTER_H
#define TICKBUS_TESTS_FUZZ_ADAPTER_H

#include "fuzz.h"
#include "producers/adapter/adapter.h"

#define FUZZ_MARKETS 2
#define FUZZ_BINARY_END "\xff\xff\xff\xff" /* ends an input where a line's end can not */

struct fuzz_venue {
    const char *id;
    struct adapter_market_config market[FUZZ_MARKETS];
    const char *book_path; /* of a REST book of the first market */
    bool binary;
    uint32_t reader_depth; /* levels a side of the reader's book; 0: as the adapter's */
};

/* fuzz_begin: an adapter as new, bits of `which` 1: aggregated, 2: recorded; fuzz_end: done with
 * it. One at a time. */
struct adapter *fuzz_begin(const struct fuzz_venue *of, unsigned which);
void fuzz_end(struct adapter *a);
/* fuzz_check_books: a reader that has applied the records has the adapter's books, as far as they
 * are valid. */
void fuzz_check_books(const struct adapter_ops *ops, const struct adapter *a);

/* fuzz_adapter: one input of libFuzzer's. 0. */
int fuzz_adapter(const struct fuzz_venue *of, const uint8_t *bytes, size_t count);

#endif
