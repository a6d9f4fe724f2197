#include "fuzz_book.h"

static const struct book_words words = {"[\"", "\",\"", "\",\"0\",\"1\"]", ",", "", ""};

static void put_book(struct book_text *t, const struct book_change *c)
{
    put(t, "{");
    put_sides(t, c, "bids", "asks", &words);
    put(t, ",\"ts\":\"1\",\"seqId\":");
    put_number(t, c->id);
}

static void frame(struct book_text *t, const struct book_change *c)
{
    put(t, "{\"arg\":{\"channel\":\"books\",\"instId\":\"BTC-USDT\"},\"action\":\"");
    put(t, c->side == -1 ? "snapshot" : "update");
    put(t, "\",\"data\":[");
    put_book(t, c);
    put(t, ",\"prevSeqId\":");
    if (c->side == -1)
        put(t, "-1");
    else
        put_number(t, c->before);
    put(t, "}]}");
}

static void answer(struct book_text *t, const struct book_change *c)
{
    put(t, "{\"code\":\"0\",\"msg\":\"\",\"data\":[");
    put_book(t, c);
    put(t, "}]}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "okx",
               .market = {{.symbol = "BTC/USDT", .raw = "BTC-USDT", .price_exp = 0, .size_exp = 0},
                          {.symbol = "ETH/USDT", .raw = "ETH-USDT"}}},
        .frame = frame,
        .answer = answer,
        .has_snapshots = true,
        .step_max = 4,
        .has_ids = true,
    };
    return fuzz_book(&venue, bytes, count);
}
