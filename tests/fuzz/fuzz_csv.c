#include "fuzz_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    (void)rows_take(fuzz_file("fuzz.csv", bytes, count), ROWS_CSV);
    return 0;
}
