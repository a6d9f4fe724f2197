#include "fuzz_adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct fuzz_venue of = {
        .id = "okx",
        .market = {{.symbol = "BTC/USDT", .raw = "BTC-USDT", .price_exp = -1, .size_exp = -8},
                   {.symbol = "ETH/USDT", .raw = "ETH-USDT", .price_exp = 0, .size_exp = 0}},
        .book_path = "/api/v5/market/books?instId=BTC-USDT&sz=400",
    };
    return fuzz_adapter(&of, bytes, count);
}
