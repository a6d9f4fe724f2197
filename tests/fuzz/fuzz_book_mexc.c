#include "fuzz_book.h"

#include <string.h>

/* One field of Protocol Buffers whose content has a length below 128. */
static void field(struct book_text *t, unsigned number, const struct book_text *content)
{
    unsigned tag = number << 3 | 2;
    TB_ASSERT(content->length < 128 && t->length + content->length + 4 < sizeof(t->bytes));
    for (; tag >= 128; tag >>= 7)
        t->bytes[t->length++] = (char)(tag | 128);
    t->bytes[t->length++] = (char)tag;
    t->bytes[t->length++] = (char)content->length;
    memcpy(t->bytes + t->length, content->bytes, content->length);
    t->length += content->length;
}

static void number_field(struct book_text *t, unsigned number, uint64_t value)
{
    struct book_text text = {.length = 0};
    put_number(&text, value);
    field(t, number, &text);
}

static void text_field(struct book_text *t, unsigned number, const char *value)
{
    struct book_text text = {.length = 0};
    put(&text, value);
    field(t, number, &text);
}

static void frame(struct book_text *t, const struct book_change *c)
{
    struct book_text level = {.length = 0}, depth = {.length = 0};
    bool bid = c->side == BOOK_BIDS;
    number_field(&level, 1, (uint64_t)(bid ? 99 - c->level : 101 + c->level));
    number_field(&level, 2, c->state->size[c->side][c->level]);
    field(&depth, bid ? 2 : 1, &level);
    number_field(&depth, 4, c->before + 1);
    number_field(&depth, 5, c->id);
    text_field(t, 1, "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT");
    text_field(t, 3, "BTCUSDT");
    field(t, 313, &depth);
}

static void answer(struct book_text *t, const struct book_change *c)
{
    put_rest_book(t, c, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct book_venue venue = {
        .of = {.id = "mexc",
               .market = {{.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = 0, .size_exp = 0},
                          {.symbol = "ETH/USDT", .raw = "ETHUSDT"}}},
        .frame = frame,
        .answer = answer,
        .step_max = 4,
        .has_ids = true,
    };
    return fuzz_book(&venue, bytes, count);
}
