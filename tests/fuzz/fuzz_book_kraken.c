#include "fuzz_book.h"

#include <zlib.h>

static const struct book_words words = {"{\"price\":", ",\"qty\":", "}", ",", ".0", ".00000000"};
/* What the checksum is of: the digits alone, the best first. */
static const struct book_words digits = {"", "", "", "", "0", "00000000"};

static void frame(struct book_text *t, const struct book_change *c)
{
    struct book_text sum = {.length = 0};
    const struct book_change whole = {.side = -1, .state = c->state};
    (void)put_side(&sum, &whole, BOOK_ASKS, &digits);
    (void)put_side(&sum, &whole, BOOK_BIDS, &digits);
    put(t, "{\"channel\":\"book\",\"type\":\"");
    put(t, c->side == -1 ? "snapshot" : "update");
    put(t, "\",\"data\":[{\"symbol\":\"BTC/USD\",");
    put_sides(t, c, "bids", "asks", &words);
    put(t, ",\"timestamp\":\"2024-01-01T00:00:00Z\",\"checksum\":");
    put_number(t, crc32(0, (const unsigned char *)sum.bytes, (unsigned)sum.length));
    put(t, "}]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "kraken",
               .market = {{.symbol = "BTC/USD", .raw = "BTC/USD", .price_exp = -1, .size_exp = -8},
                          {.symbol = "ETH/USD", .raw = "ETH/USD"}},
               .reader_depth = 1100},
        .frame = frame,
        .has_snapshots = true,
        .step_max = 1,
    };
    return fuzz_book(&venue, bytes, count);
}
