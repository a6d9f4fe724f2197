#include "fuzz_adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct fuzz_venue of = {
        .id = "bybit",
        .market = {{.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -1, .size_exp = -6},
                   {.symbol = "ETH/USDT", .raw = "ETHUSDT", .price_exp = 0, .size_exp = 0}},
        .book_path = "/v5/market/orderbook?category=spot&symbol=BTCUSDT",
    };
    return fuzz_adapter(&of, bytes, count);
}
