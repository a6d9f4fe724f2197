#include "bench/bench_decode_ours.h"

#include "producers/adapter/binance_json.h"
#include "producers/adapter/bybit_json.h"
#include "producers/adapter/coinbase_json.h"
#include "producers/adapter/kraken_json.h"
#include "producers/adapter/market.h"
#include "producers/adapter/mexc_message.h"
#include "producers/adapter/okx_json.h"

/* Fine enough for nearly all; a finer one takes the way that finds out how fine. */
#define EXPONENT (-8)

static uint64_t number_in(struct adapter_text text, int8_t exp)
{
    int64_t mantissa = 0;
    TB_ASSERT(adapter_number(text, &exp, &mantissa) == 0);
    return (uint64_t)mantissa;
}

static uint64_t number(struct adapter_text text)
{
    return number_in(text, EXPONENT);
}

/* Where the venue may leave a side out. */
static uint64_t number_or_none(struct adapter_text text)
{
    return text.length == 0 ? 0 : number(text);
}

static uint64_t levels(const struct adapter_levels *side)
{
    uint64_t sum = side->count;
    for (uint32_t i = 0; i < side->count; i++)
        sum += number(side->level[i].price) + number(side->level[i].size);
    return sum;
}

/* ---- Binance ---- */

static void *binance_create(void)
{
    return binance_decoder_create(BINANCE_SPOT);
}

static void *binance_usdm_create(void)
{
    return binance_decoder_create(BINANCE_USDM);
}

static void binance_destroy(void *decoder)
{
    binance_decoder_destroy(decoder);
}

static uint64_t binance_numbers(void *decoder, const char *bytes, size_t length)
{
    struct binance_message m;
    binance_decode(decoder, bytes, length, &m);
    uint64_t sum = (uint64_t)(m.id + m.event_time + m.trade_time) + m.buyer_is_maker;
    if (m.kind == BINANCE_TRADE || m.kind == BINANCE_AGG_TRADE)
        return sum + number(m.price) + number(m.size);
    if (m.kind == BINANCE_QUOTE)
        return sum + number(m.bid_price) + number(m.bid_size) + number(m.ask_price) +
               number(m.ask_size);
    return m.kind == BINANCE_DEPTH ? sum + levels(&m.bids) + levels(&m.asks) : 0;
}

const struct decode_ours decode_binance = {binance_create, binance_numbers, binance_destroy};
const struct decode_ours decode_binanceusdm = {binance_usdm_create, binance_numbers,
                                               binance_destroy};

/* ---- MEXC ---- */

static void *mexc_create(void)
{
    return mexc_decoder_create();
}

static void mexc_destroy(void *decoder)
{
    mexc_decoder_destroy(decoder);
}

static uint64_t mexc_depth(struct mexc_decoder *d, const Mexc__LimitDepth *depth)
{
    struct adapter_levels bids, asks;
    TB_ASSERT(mexc_levels(d, depth->bids, depth->n_bids, &bids) &&
              mexc_levels(d, depth->asks, depth->n_asks, &asks));
    return levels(&bids) + levels(&asks);
}

static uint64_t mexc_numbers(void *decoder, const char *bytes, size_t length)
{
    const Mexc__Push *m = mexc_decode(decoder, bytes, length);
    uint64_t sum = 1;
    if (m == NULL)
        return 0;
    if (m->body_case == MEXC__PUSH__BODY_LIMIT_DEPTH)
        return mexc_depth(decoder, m->limit_depth);
    if (m->body_case == MEXC__PUSH__BODY_BOOK_TICKER)
        return number(mexc_text(m->book_ticker->bid_price)) +
               number(mexc_text(m->book_ticker->bid_quantity)) +
               number(mexc_text(m->book_ticker->ask_price)) +
               number(mexc_text(m->book_ticker->ask_quantity));
    if (m->body_case != MEXC__PUSH__BODY_DEALS)
        return 0;
    for (size_t i = 0; i < m->deals->n_deals; i++)
        sum += number(mexc_text(m->deals->deals[i]->price)) +
               number(mexc_text(m->deals->deals[i]->quantity));
    return sum;
}

uint64_t mexc_bare(void *decoder, const char *bytes, size_t length)
{
    const Mexc__Push *m = mexc_decode(decoder, bytes, length);
    return m == NULL ? 0 : 1 + (uint64_t)m->send_time;
}

const struct decode_ours decode_mexc = {mexc_create, mexc_numbers, mexc_destroy};

/* ---- Kraken ---- */

static void *kraken_create(void)
{
    return kraken_decoder_create();
}

static void kraken_destroy(void *decoder)
{
    kraken_decoder_destroy(decoder);
}

static uint64_t kraken_numbers(void *decoder, const char *bytes, size_t length)
{
    struct kraken_message m;
    kraken_decode(decoder, bytes, length, &m);
    uint64_t sum = m.count;
    for (uint32_t i = 0; i < m.count; i++) {
        const struct kraken_item *item = &m.item[i];
        sum += (uint64_t)item->time + levels(&item->bids) + levels(&item->asks);
        sum += number_or_none(item->price) + number_or_none(item->size);
        sum += number_or_none(item->bid_price) + number_or_none(item->bid_size) +
               number_or_none(item->ask_price) + number_or_none(item->ask_size);
    }
    return sum;
}

const struct decode_ours decode_kraken = {kraken_create, kraken_numbers, kraken_destroy};

/* ---- Coinbase ---- */

static void *coinbase_create(void)
{
    return coinbase_decoder_create();
}

static void coinbase_destroy(void *decoder)
{
    coinbase_decoder_destroy(decoder);
}

static uint64_t coinbase_numbers(void *decoder, const char *bytes, size_t length)
{
    struct coinbase_message m;
    coinbase_decode(decoder, bytes, length, &m);
    uint64_t sum = m.count;
    for (uint32_t i = 0; i < m.count; i++) {
        const struct coinbase_item *item = &m.item[i];
        sum += (uint64_t)item->time + item->id + levels(&item->bids) + levels(&item->asks);
        sum += number_or_none(item->price) + number_or_none(item->size);
        sum += number_or_none(item->bid_price) + number_or_none(item->bid_size) +
               number_or_none(item->ask_price) + number_or_none(item->ask_size);
    }
    return sum;
}

const struct decode_ours decode_coinbase = {coinbase_create, coinbase_numbers, coinbase_destroy};

/* ---- Bybit ---- */

static void *bybit_create(void)
{
    return bybit_decoder_create();
}

static void bybit_destroy(void *decoder)
{
    bybit_decoder_destroy(decoder);
}

static uint64_t bybit_numbers(void *decoder, const char *bytes, size_t length)
{
    struct bybit_message m;
    bybit_decode(decoder, bytes, length, &m);
    uint64_t sum = (uint64_t)m.time + (uint64_t)m.update_id;
    if (m.kind == BYBIT_BOOK)
        return sum + levels(&m.bids) + levels(&m.asks);
    for (uint32_t i = 0; i < m.trade_count; i++)
        sum += (uint64_t)m.trade[i].time + number(m.trade[i].price) + number(m.trade[i].size);
    return m.kind == BYBIT_TRADES ? sum : 0;
}

const struct decode_ours decode_bybit = {bybit_create, bybit_numbers, bybit_destroy};

/* ---- OKX ---- */

static void *okx_create(void)
{
    return okx_decoder_create();
}

static void okx_destroy(void *decoder)
{
    okx_decoder_destroy(decoder);
}

static uint64_t okx_numbers(void *decoder, const char *bytes, size_t length)
{
    struct okx_message m;
    okx_decode(decoder, bytes, length, &m);
    uint64_t sum = m.count;
    for (uint32_t i = 0; i < m.count; i++) {
        const struct okx_item *item = &m.item[i];
        sum += number_in(item->time, 0) + levels(&item->bids) + levels(&item->asks);
        sum += number_or_none(item->price) + number_or_none(item->size);
        sum += number_or_none(item->bid_price) + number_or_none(item->bid_size) +
               number_or_none(item->ask_price) + number_or_none(item->ask_size);
    }
    return sum;
}

const struct decode_ours decode_okx = {okx_create, okx_numbers, okx_destroy};
