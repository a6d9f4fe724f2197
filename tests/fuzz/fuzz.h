/* What the fuzz targets share. */
#ifndef TICKBUS_TESTS_FUZZ_H
#define TICKBUS_TESTS_FUZZ_H

#include <tickbus/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* fuzz_padded: a copy with `padding` readable bytes behind it and no more, so that ASan sees a read
 * beyond. Good until the next call. */
char *fuzz_padded(const char *bytes, size_t count, size_t padding);

/* fuzz_file: the path of a file that holds these bytes; of that name, until the next call. */
const char *fuzz_file(const char *name, const uint8_t *bytes, size_t count);

#endif
