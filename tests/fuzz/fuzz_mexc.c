#include "fuzz_adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct fuzz_venue of = {
        .id = "mexc",
        .market = {{.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -5},
                   {.symbol = "ETH/USDT", .raw = "ETHUSDT", .price_exp = 0, .size_exp = 0}},
        .book_path = "/api/v3/depth?limit=5&symbol=BTCUSDT",
        .binary = true,
    };
    return fuzz_adapter(&of, bytes, count);
}
