#include "fuzz_book.h"

static void frame(struct book_text *t, const struct book_change *c)
{
    put(t, "{\"e\":\"depthUpdate\",\"E\":1,\"T\":1,\"s\":\"BTCUSDT\",\"U\":");
    put_number(t, c->before + 1);
    put(t, ",\"u\":");
    put_number(t, c->id);
    put(t, ",\"pu\":");
    put_number(t, c->before);
    put(t, ",");
    put_sides(t, c, "b", "a", &book_quoted);
    put(t, "}");
}

static void answer(struct book_text *t, const struct book_change *c)
{
    put_rest_book(t, c, ",\"E\":1,\"T\":1");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "binanceusdm",
               .market =
                   {{.symbol = "BTC/USDT:USDT", .raw = "BTCUSDT", .price_exp = 0, .size_exp = 0},
                    {.symbol = "ETH/USDT:USDT", .raw = "ETHUSDT"}}},
        .frame = frame,
        .answer = answer,
        .step_max = 4,
        .has_ids = true,
    };
    return fuzz_book(&venue, bytes, count);
}
