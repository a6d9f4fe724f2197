#include "binance_books.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tickbus/decimal.h>

/* Makes the book what a depth answer says. The length of its longer side, or -EBADMSG. */
static int load(struct binance_symbol *s, struct json_span body)
{
    struct json_span id, bids, asks;
    uint64_t update_id;

    if (!json_find(body, "lastUpdateId", &id) || !json_number(id, &update_id) ||
        !json_find(body, "bids", &bids) || !json_find(body, "asks", &asks))
        return -EBADMSG;
    tb_book_clear(&s->book);
    uint32_t bid_count = protocol_set_levels(&s->book, TB_BUY, bids);
    uint32_t ask_count = protocol_set_levels(&s->book, TB_SELL, asks);
    s->book_id = update_id;
    return (int)(bid_count > ask_count ? bid_count : ask_count);
}

int binance_books_snapshot(struct binance_symbol *s, const char *body, size_t length)
{
    if (s->snapshot != NULL)
        return 0;
    int levels = load(s, (struct json_span){body, length});
    if (levels < 0)
        return levels;
    s->snapshot = malloc(length);
    if (s->snapshot == NULL)
        return -ENOMEM;
    memcpy(s->snapshot, body, length);
    s->snapshot_length = length;
    s->snapshot_id = s->book_id;
    s->snapshot_levels = (uint32_t)levels;
    return 0;
}

static bool update_ids(struct json_span data, uint64_t *out_first, uint64_t *out_last)
{
    struct json_span first, last;

    return json_find(data, "U", &first) && json_find(data, "u", &last) &&
           json_number(first, out_first) && json_number(last, out_last);
}

void binance_books_first(struct binance_symbol *s, struct json_span data)
{
    uint64_t first, last;

    if (update_ids(data, &first, &last))
        binance_books_begins(s, first);
}

void binance_books_begins(struct binance_symbol *s, uint64_t first)
{
    if (s->snapshot == NULL && s->book_id == 0 && first > 0)
        s->book_id = first - 1;
}

bool binance_books_moves(struct binance_symbol *s, uint64_t last)
{
    if (last <= s->book_id)
        return false;
    s->book_id = last;
    return true;
}

void binance_books_level(struct binance_symbol *s, uint8_t side, struct json_span price,
                         struct json_span size)
{
    int64_t number[2];

    if (tb_decimal_parse(price.at, price.length, s->market.price_exp, &number[0]) == 0 &&
        tb_decimal_parse(size.at, size.length, s->market.size_exp, &number[1]) == 0)
        (void)tb_book_set(&s->book, side, number[0], number[1]);
}

void binance_books_update(struct binance_symbol *s, struct json_span data)
{
    uint64_t first, last;
    struct json_span levels, time;

    if (!update_ids(data, &first, &last) || !binance_books_moves(s, last))
        return;
    if (json_find(data, "E", &time))
        (void)json_number(time, &s->time);
    if (json_find(data, "b", &levels))
        (void)protocol_set_levels(&s->book, TB_BUY, levels);
    if (json_find(data, "a", &levels))
        (void)protocol_set_levels(&s->book, TB_SELL, levels);
}

void binance_books_resync(struct binance_symbol *s, const char *body, size_t length)
{
    struct json_span id;
    uint64_t update_id;
    struct json_span text = {body, length};

    s->owed = 0; /* who has not asked by now did not wait for it: the book as it stands will do */
    /* The first one is older than the book, or is the book; a later one mends a hole in the recording. */
    if (json_find(text, "lastUpdateId", &id) && json_number(id, &update_id) &&
        update_id > s->book_id)
        (void)load(s, text);
}

void binance_books_listen(struct binance_symbol *s)
{
    s->listeners++;
    if (s->snapshot != NULL && s->book_id == s->snapshot_id)
        s->owed++;
}

void binance_books_leave(struct binance_symbol *s)
{
    s->listeners--;
    if (s->owed > s->listeners)
        s->owed = s->listeners;
}

bool binance_books_awaited(const struct binance_symbol *s)
{
    return s->owed > 0;
}

void binance_books_number(struct protocol_text *t, int64_t mantissa, int exp, unsigned padded)
{
    char text[TB_DECIMAL_BYTES];
    size_t length = tb_decimal_format_fixed(mantissa, exp, text);
    size_t digits = (size_t)-exp;

    protocol_append(t, "\"", 1);
    protocol_append(t, text, length);
    if (digits == 0 && padded > 0)
        protocol_append(t, ".", 1);
    if (digits < padded)
        protocol_append(t, "00000000", padded - digits);
    protocol_append(t, "\"", 1);
}

static void append_side(const struct binance_symbol *s, uint8_t side, uint32_t limit,
                        struct protocol_text *t)
{
    const struct tb_book_level *level;

    for (uint32_t rank = 0; rank < limit; rank++) {
        level = tb_book_best(&s->book, side, rank);
        if (level == NULL)
            break;
        protocol_append(t, rank == 0 ? "[" : ",[", rank == 0 ? 1 : 2);
        binance_books_number(t, level->price, s->market.price_exp, s->digits);
        protocol_append(t, ",", 1);
        binance_books_number(t, level->size, s->market.size_exp, s->digits);
        protocol_append(t, "]", 1);
    }
}

void binance_books_answer(struct binance_symbol *s, uint32_t limit, struct protocol_text *out_body)
{
    if (s->owed > 0) {
        s->owed--;
        if (limit >= s->snapshot_levels) {
            protocol_append(out_body, s->snapshot, s->snapshot_length);
            return;
        }
    }
    protocol_printf(out_body, "{\"lastUpdateId\":%" PRIu64, s->book_id);
    if (s->timed)
        protocol_printf(out_body, ",\"E\":%" PRIu64 ",\"T\":%" PRIu64, s->time, s->time);
    protocol_printf(out_body, ",\"bids\":[");
    append_side(s, TB_BUY, limit, out_body);
    protocol_printf(out_body, "],\"asks\":[");
    append_side(s, TB_SELL, limit, out_body);
    protocol_printf(out_body, "]}");
}

void binance_books_fini(struct binance_symbol *s)
{
    free(s->snapshot);
    tb_book_fini(&s->book);
}
