#include "fuzz_adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct fuzz_venue of = {
        .id = "kraken",
        .market = {{.symbol = "BTC/USD", .raw = "BTC/USD", .price_exp = -1, .size_exp = -8},
                   {.symbol = "ETH/USD", .raw = "ETH/USD", .price_exp = 0, .size_exp = 0}},
        .book_path = "/depth",
        .reader_depth = 1100, /* the window is cut with records: nothing is dropped in silence */
    };
    return fuzz_adapter(&of, bytes, count);
}
