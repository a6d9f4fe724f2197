#include <consumers/metrics/market.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <consumers/metrics/text.h>
#include <tickbus/decimal.h>

static void make_labels(struct market *m)
{
    char venue[TB_VENUE_BYTES * 2], symbol[TB_SYMBOL_BYTES * 2];
    (void)snprintf(m->labels, sizeof(m->labels), "exchange=\"%s\",symbol=\"%s\"",
                   text_escape(m->state.venue, venue, sizeof(venue)),
                   text_escape(m->state.symbol, symbol, sizeof(symbol)));
}

int market_init(struct market *m)
{
    memset(m, 0, sizeof(*m));
    return tb_book_init(&m->book, MARKET_BOOK_DEPTH);
}

void market_fini(struct market *m)
{
    tb_book_fini(&m->book);
}

void market_name(struct market *m, const char *venue, const char *symbol)
{
    (void)snprintf(m->state.venue, sizeof(m->state.venue), "%s", venue);
    (void)snprintf(m->state.symbol, sizeof(m->state.symbol), "%s", symbol);
    make_labels(m);
    market_look(m);
}

static struct market_number number(int64_t mantissa, int8_t exp)
{
    return (struct market_number){.mantissa = mantissa, .exp = exp, .known = true};
}

/* Sums of sizes are kept in the finest exponent seen: 128 bits hold 10^38 of its units, far more
 * than any venue trades; figures that would leave them (a hostile producer's) stay out. */
static void add_volume(struct market_state *s, int64_t size, int8_t exp)
{
    __int128 amount = size, sum = s->volume;
    int8_t sum_exp = sum == 0 ? exp : s->volume_exp;
    for (; sum_exp > exp; sum_exp--)
        if (__builtin_mul_overflow(sum, (__int128)10, &sum))
            return;
    for (int8_t e = exp; e > sum_exp; e--)
        amount *= 10;
    if (__builtin_add_overflow(sum, amount, &sum))
        return;
    s->volume = sum;
    s->volume_exp = sum_exp;
}

static void apply_trade(struct market_state *s, const struct tb_record *r, int8_t price_exp,
                        int8_t size_exp)
{
    enum market_side side = r->trade.side == TB_BUY    ? MARKET_BUY
                            : r->trade.side == TB_SELL ? MARKET_SELL
                                                       : MARKET_UNKNOWN;
    s->last = number(r->trade.price, price_exp);
    s->last_size = number(r->trade.size, size_exp);
    s->trades[side]++;
    s->trade_time = r->ts_event != 0 ? r->ts_event : r->ts_recv;
    add_volume(s, r->trade.size, size_exp);
}

void market_apply(struct market *m, const struct tb_record *record, int8_t price_exp,
                  int8_t size_exp)
{
    struct market_state *s = &m->state;
    s->tick_time = record->ts_recv;
    switch (record->type) {
    case TB_TRADE:
        apply_trade(s, record, price_exp, size_exp);
        break;
    case TB_QUOTE:
        s->bid = number(record->quote.bid_price, price_exp);
        s->ask = number(record->quote.ask_price, price_exp);
        s->quoted = true;
        break;
    case TB_GAP:
        if (record->gap.channel >= 1 && record->gap.channel <= MARKET_CHANNELS) {
            s->gaps[record->gap.channel - 1]++;
            s->missing[record->gap.channel - 1] += record->gap.missing;
        }
        (void)tb_book_apply(&m->book, record, price_exp, size_exp);
        break;
    case TB_LEVEL:
    case TB_CLEAR:
    case TB_STATUS:
        (void)tb_book_apply(&m->book, record, price_exp, size_exp);
        break;
    default:
        break;
    }
}

void market_candle(struct market *m, enum tb_timeframe timeframe, const struct tb_candle *candle,
                   int8_t price_exp, int8_t size_exp)
{
    struct market_candle *shown = &m->state.candle[timeframe];
    if (shown->known && candle->start < shown->start)
        return;
    *shown = (struct market_candle){.start = candle->start,
                                    .open = candle->open,
                                    .high = candle->high,
                                    .low = candle->low,
                                    .close = candle->close,
                                    .volume = candle->volume,
                                    .price_exp = price_exp,
                                    .size_exp = size_exp,
                                    .known = true};
}

double market_number_double(const struct market_number *n)
{
    return n->known ? tb_decimal_double(n->mantissa, n->exp) : NAN;
}

static void unknown_side(struct market_top *top, unsigned side)
{
    top->side[side].depth = top->side[side].total = top->side[side].notional = NAN;
    for (unsigned i = 0; i < MARKET_LEVELS; i++)
        top->side[side].price[i] = top->side[side].quantity[i] = top->side[side].cumulative[i] =
            NAN;
}

/* Each figure is summed as an exact decimal and rounded once; NaN if it does not fit 128 bits. */
static void known_side(const struct tb_book *book, struct market_top *top, unsigned side)
{
    __int128 depth = 0, notional = 0, total = 0;
    int64_t best = 0;
    bool fits = true;
    int product_exp = book->price_exp + book->size_exp;
    for (uint32_t i = 0; i < MARKET_LEVELS; i++) {
        const struct tb_book_level *level = tb_book_best(book, side == 0 ? TB_BUY : TB_SELL, i);
        if (level == NULL)
            break;
        best = i == 0 ? level->price : best;
        depth += level->size;
        fits = fits &&
               !__builtin_add_overflow(notional, (__int128)level->price * level->size, &notional);
        top->side[side].price[i] = tb_decimal_double(level->price, book->price_exp);
        top->side[side].quantity[i] = tb_decimal_double(level->size, book->size_exp);
        top->side[side].cumulative[i] = tb_decimal_double_wide(depth, book->size_exp);
    }
    top->side[side].depth = tb_decimal_double_wide(depth, book->size_exp);
    fits = fits && !__builtin_mul_overflow(depth, (__int128)best, &total);
    top->side[side].total = fits ? tb_decimal_double_wide(total, product_exp) : NAN;
    top->side[side].notional = fits ? tb_decimal_double_wide(notional, product_exp) : NAN;
}

static double difference(const struct market_number *ask, const struct market_number *bid)
{
    int8_t exp = ask->exp < bid->exp ? ask->exp : bid->exp;
    __int128 a = ask->mantissa, b = bid->mantissa;
    for (int8_t e = ask->exp; e > exp; e--)
        a *= 10;
    for (int8_t e = bid->exp; e > exp; e--)
        b *= 10;
    return tb_decimal_double_wide(a - b, exp);
}

static void make_top(const struct market *m, struct market_top *out_top)
{
    const struct tb_book *book = &m->book;
    struct market_number best[2] = {m->state.bid, m->state.ask};
    for (unsigned side = 0; side < 2; side++) {
        unknown_side(out_top, side);
        if (!book->valid)
            continue;
        known_side(book, out_top, side);
        const struct tb_book_level *level = tb_book_best(book, side == 0 ? TB_BUY : TB_SELL, 0);
        if (!m->state.quoted && level != NULL)
            best[side] = number(level->price, book->price_exp);
    }
    out_top->bid = market_number_double(&best[0]);
    out_top->ask = market_number_double(&best[1]);
    out_top->spread = best[0].known && best[1].known ? difference(&best[1], &best[0]) : NAN;
}

void market_look(struct market *m)
{
    if (!m->book.in_event)
        make_top(m, &m->top);
}

size_t market_save_size(const struct market *m)
{
    uint32_t deeper = m->book.bid.count > m->book.ask.count ? m->book.bid.count : m->book.ask.count;
    return sizeof(struct market_state) + tb_book_save_max(deeper);
}

size_t market_save_max(void)
{
    return sizeof(struct market_state) + tb_book_save_max(MARKET_BOOK_DEPTH);
}

size_t market_save(const struct market *m, void *bytes, size_t capacity)
{
    if (capacity < sizeof(m->state))
        return 0;
    memcpy(bytes, &m->state, sizeof(m->state));
    size_t book =
        tb_book_save(&m->book, (char *)bytes + sizeof(m->state), capacity - sizeof(m->state));
    return book == 0 ? 0 : sizeof(m->state) + book;
}

size_t market_load(struct market *m, const void *bytes, size_t count)
{
    if (count < sizeof(m->state))
        return 0;
    memcpy(&m->state, bytes, sizeof(m->state));
    size_t book =
        tb_book_load(&m->book, (const char *)bytes + sizeof(m->state), count - sizeof(m->state));
    make_labels(m);
    market_look(m);
    return book == 0 ? 0 : sizeof(m->state) + book;
}
