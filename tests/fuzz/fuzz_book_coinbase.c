#include "fuzz_book.h"

static const struct book_words words[2] = {
    {"{\"side\":\"bid\",\"event_time\":\"2024-01-01T00:00:00Z\",\"price_level\":\"",
     "\",\"new_quantity\":\"", "\"}", ",", "", ""},
    {"{\"side\":\"offer\",\"event_time\":\"2024-01-01T00:00:00Z\",\"price_level\":\"",
     "\",\"new_quantity\":\"", "\"}", ",", "", ""}};

static void frame(struct book_text *t, const struct book_change *c)
{
    struct book_text asks = {.length = 0};
    put(t, "{\"channel\":\"l2_data\",\"timestamp\":\"2024-01-01T00:00:00Z\",\"sequence_num\":");
    put_number(t, c->id);
    put(t, ",\"events\":[{\"type\":\"");
    put(t, c->side == -1 ? "snapshot" : "update");
    put(t, "\",\"product_id\":\"BTC-USD\",\"updates\":[");
    int bids = put_side(t, c, BOOK_BIDS, &words[BOOK_BIDS]);
    if (put_side(&asks, c, BOOK_ASKS, &words[BOOK_ASKS]) > 0 && bids > 0)
        put(t, ",");
    asks.bytes[asks.length] = '\0';
    put(t, asks.bytes);
    put(t, "]}]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "coinbase",
               .market = {{.symbol = "BTC/USD", .raw = "BTC-USD", .price_exp = 0, .size_exp = 0},
                          {.symbol = "ETH/USD", .raw = "ETH-USD"}}},
        .frame = frame,
        .has_snapshots = true,
        .step_max = 1,
        .counts_frames = true,
        .has_ids = true,
    };
    return fuzz_book(&venue, bytes, count);
}
