/*
 * The function from (seed, k) to a record.
 */
#include "producers/synth/synth.h"

#include <stdio.h>
#include <string.h>

/* What a random number is for: numbers of different use must not be related. */
enum salt { SALT_BASE = 1, SALT_SIDE, SALT_SPREAD, SALT_SIZE, SALT_LEVEL, SALT_OCTAVE };

/* splitmix64's finisher: every bit of the input moves every bit of the result. */
static inline uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t hash(const struct synth *s, uint64_t symbol, uint64_t salt, uint64_t n)
{
    return mix(mix(s->seed + symbol * UINT64_C(0x9E3779B97F4A7C15)) +
               salt * UINT64_C(0xD1B54A32D192ED03) + n * UINT64_C(0x8CB92BA72F3D8DD7));
}

/* Distances between lattice points, as powers of two, and how far a point may be off, in millionths. */
static const struct {
    unsigned shift;
    int64_t amplitude;
} octave[] = {{18, 60000}, {15, 21000}, {12, 7500}, {9, 2650}, {6, 940}, {3, 330}};

/* How far the price of a symbol is from its base at its step n, in millionths. */
static int64_t wander(const struct synth *s, uint64_t symbol, uint64_t n)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < TB_COUNT(octave); i++) {
        uint64_t point = n >> octave[i].shift;
        int64_t into = (int64_t)(n & ((UINT64_C(1) << octave[i].shift) - 1));
        int64_t range = 2 * octave[i].amplitude + 1;
        int64_t from = (int64_t)(hash(s, symbol, SALT_OCTAVE + i, point) % (uint64_t)range);
        int64_t to = (int64_t)(hash(s, symbol, SALT_OCTAVE + i, point + 1) % (uint64_t)range);
        sum += from - octave[i].amplitude + (to - from) * into / ((int64_t)1 << octave[i].shift);
    }
    return sum;
}

struct quote {
    int64_t bid;
    int64_t ask;
};

static struct quote quote_at(const struct synth *s, uint64_t symbol, uint64_t n)
{
    /* 100.00 to 1099.99: far above a book's depth in cents, so that no price reaches 0. */
    int64_t base = 10000 + (int64_t)(hash(s, symbol, SALT_BASE, 0) % 100000);
    struct quote q;
    q.bid = base + base * wander(s, symbol, n) / 1000000;
    q.ask = q.bid + 1 + (int64_t)(hash(s, symbol, SALT_SPREAD, n) % 3);
    return q;
}

/* 0.00001 to about 1.3: small ones are many. */
static int64_t size_of(uint64_t random)
{
    return 1 + (int64_t)((random >> 8) & ((UINT64_C(2) << (random % 17)) - 1));
}

uint64_t synth_tag(const struct synth *s, bool live)
{
    const uint64_t parts[] = {s->seed,
                              s->symbols,
                              s->trades,
                              s->quotes,
                              s->levels,
                              live ? 0 : s->rate,
                              live ? 0 : (uint64_t)s->step,
                              live ? 0 : (uint64_t)s->start};
    uint64_t tag = 1;
    for (size_t i = 0; i < TB_COUNT(parts); i++)
        tag = mix(tag * UINT64_C(0x9E3779B97F4A7C15) + parts[i]);
    return tag | 1;
}

tb_ns synth_time(const struct synth *s, uint64_t k)
{
    unsigned __int128 n = k - 1;
    return (tb_ns)(s->step != 0 ? n * (uint64_t)s->step : n * (uint64_t)TB_NS_PER_S / s->rate);
}

static void put_trade(const struct synth *s, uint64_t symbol, uint64_t n, uint64_t trade_id,
                      struct tb_record *r)
{
    struct quote q = quote_at(s, symbol, n);
    bool buy = (hash(s, symbol, SALT_SIDE, n) & 1) != 0;
    r->type = TB_TRADE;
    r->flags = TB_F_LAST;
    r->trade.price = buy ? q.ask : q.bid;
    r->trade.size = size_of(hash(s, symbol, SALT_SIZE, n));
    r->trade.trade_id = trade_id;
    r->trade.side = buy ? TB_BUY : TB_SELL;
    r->trade.action = TB_TRADED;
    r->trade.count = 1;
}

static void put_quote(const struct synth *s, uint64_t symbol, uint64_t n, struct tb_record *r)
{
    struct quote q = quote_at(s, symbol, n);
    uint64_t random = hash(s, symbol, SALT_SIZE, n);
    r->type = TB_QUOTE;
    r->flags = TB_F_LAST | TB_F_TOB;
    r->quote.bid_price = q.bid;
    r->quote.ask_price = q.ask;
    r->quote.bid_size = size_of(random);
    r->quote.ask_size = size_of(mix(random));
}

/* Record `at` of the book event of a block. */
static void put_level(const struct synth *s, uint64_t symbol, uint64_t block, uint64_t n,
                      uint32_t at, struct tb_record *r)
{
    r->type = at == 0 ? TB_CLEAR : TB_LEVEL;
    r->flags = TB_F_SNAPSHOT | TB_F_MBP | (at + 1 == s->levels ? TB_F_LAST : 0);
    r->level.update_id = block + 1;
    if (at == 0)
        return;
    struct quote q = quote_at(s, symbol, n - at); /* of the event's first record */
    int64_t rank = (at - 1) / 2;
    bool bid = (at & 1) != 0;
    r->level.side = bid ? TB_BUY : TB_SELL;
    r->level.price = bid ? q.bid - rank : q.ask + rank;
    r->level.size = size_of(hash(s, symbol, SALT_LEVEL, n));
    r->level.action = TB_ADD;
}

void synth_record(const struct synth *s, uint64_t k, struct tb_record *out_record)
{
    uint32_t moving = s->trades + s->quotes;
    uint32_t length = moving + s->levels;
    uint64_t at = (k - 1) % length;
    uint64_t symbol = (k - 1) / length % s->symbols;
    uint64_t block = (k - 1) / length / s->symbols; /* of this symbol */
    uint64_t n = block * length + at;               /* the symbol's own step */
    struct tb_record r = {.instrument = (uint16_t)(symbol + 1)};
    r.ts_event = s->start + synth_time(s, k);
    r.ts_recv = r.ts_event;
    if (at >= moving) {
        put_level(s, symbol, block, n, (uint32_t)(at - moving), &r);
    } else {
        /* Trades spread evenly among quotes, as a line is drawn on a grid. */
        uint64_t before = at * s->trades / moving;
        if ((at + 1) * s->trades / moving > before)
            put_trade(s, symbol, n, block * s->trades + before + 1, &r);
        else
            put_quote(s, symbol, n, &r);
    }
    *out_record = r;
}

void synth_instrument(uint32_t number, const char *stream, struct tb_instrument *out_entry)
{
    struct tb_instrument entry = {.price_exp = SYNTH_PRICE_EXP, .size_exp = SYNTH_SIZE_EXP};
    strcpy(entry.venue, "synth");
    (void)snprintf(entry.symbol, sizeof(entry.symbol), "SYN%u/USDT", number);
    (void)snprintf(entry.raw, sizeof(entry.raw), "SYN%uUSDT", number);
    (void)snprintf(entry.stream, sizeof(entry.stream), "%s", stream);
    *out_entry = entry;
}
