#include "fuzz_book.h"

static void frame(struct book_text *t, const struct book_change *c)
{
    put(t, "{\"topic\":\"orderbook.200.BTCUSDT\",\"ts\":1,\"type\":\"");
    put(t, c->side == -1 ? "snapshot" : "delta");
    put(t, "\",\"data\":{\"s\":\"BTCUSDT\",");
    put_sides(t, c, "b", "a", &book_quoted);
    put(t, ",\"u\":");
    put_number(t, c->id);
    put(t, ",\"seq\":1},\"cts\":1}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "bybit",
               .market = {{.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = 0, .size_exp = 0},
                          {.symbol = "ETH/USDT", .raw = "ETHUSDT"}}},
        .frame = frame,
        .has_snapshots = true,
        .step_max = 1,
        .has_ids = true,
    };
    return fuzz_book(&venue, bytes, count);
}
