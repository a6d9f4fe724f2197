#include "fuzz_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    (void)rows_take(fuzz_file("fuzz.jsonl", bytes, count), ROWS_JSON);
    return 0;
}
