#include "fuzz_book.h"

static const struct book_words bought = {"[\"buy\",\"", "\",\"", "\"]", ",", "", ""};
static const struct book_words sold = {"[\"sell\",\"", "\",\"", "\"]", ",", "", ""};

static void frame(struct book_text *t, const struct book_change *c)
{
    put(t, "{\"type\":\"");
    put(t, c->side == -1 ? "snapshot" : "l2update");
    put(t, "\",\"product_id\":\"BTC-USD\",\"time\":\"2024-01-01T00:00:00Z\",");
    if (c->side == -1) {
        put_sides(t, c, "bids", "asks", &book_quoted);
    } else {
        put(t, "\"changes\":[");
        (void)put_side(t, c, BOOK_BIDS, &bought);
        (void)put_side(t, c, BOOK_ASKS, &sold);
        put(t, "]");
    }
    put(t, "}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "coinbaseexchange",
               .market = {{.symbol = "BTC/USD", .raw = "BTC-USD", .price_exp = 0, .size_exp = 0},
                          {.symbol = "ETH/USD", .raw = "ETH-USD"}}},
        .frame = frame,
        .has_snapshots = true,
        .step_max = 1,
        .is_blind = true,
    };
    return fuzz_book(&venue, bytes, count);
}
