/*
 * Messages of Bybit v5. Fields are taken by key, whatever their order (it differs
 * between topics); what a message is, and whether it is whole, is decided when all of it was read.
 *
 *   {"topic":"orderbook.200.BTCUSDT","ts":..,"type":"delta","data":{"s":..,"b":[..],"a":[..],"u":1,"seq":2},"cts":..}
 *   {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":..,"data":[{"i":..,"T":..,"p":..,"v":..,"S":"Buy",..},..]}
 *   {"success":true,"ret_msg":"subscribe","conn_id":..,"req_id":"1","op":"subscribe"}
 */
#include "producers/adapter/bybit_json.h"

#include <cerrno>

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"

namespace
{

/* Which fields were there; one of the wrong type or out of range leaves WRONG. */
enum part : uint32_t {
    TOPIC = 1,
    TYPE = 2,
    TS = 4,
    CTS = 8,
    DATA = 16,
    SYMBOL = 32,
    BIDS = 64,
    ASKS = 128,
    UPDATE_ID = 256,
    ID = 512,
    TIME = 1024,
    PRICE = 2048,
    SIZE = 4096,
    SIDE = 8192,
    OP = 16384,
    SUCCESS_FIELD = 32768,
    WRONG = 65536,
};

constexpr uint32_t TRADE_PARTS = ID | TIME | PRICE | SIZE | SIDE;
constexpr uint32_t BOOK_PARTS = TYPE | DATA | SYMBOL | BIDS | ASKS | UPDATE_ID;

} // namespace

struct bybit_decoder {
    json_parser *parser;
    uint32_t parts;
    bool list;   /* data is an array of objects */
    bool trades; /* each of them is a whole trade */
    bool success;
    int64_t ts, cts;
    adapter_text type, symbol, op;
    bybit_trade trade[BYBIT_TRADES_MAX];
    json_level_store levels;
};

namespace
{

void take_text(uint32_t &parts, uint32_t part, json_reader &r, adapter_text &out)
{
    parts |= json_string(r, out) ? part : uint32_t(WRONG);
}

void take_number(uint32_t &parts, uint32_t part, json_reader &r, int64_t &out)
{
    parts |= json_unsigned(r, out) ? part : uint32_t(WRONG);
}

/* A list of anything else is WRONG for whoever wanted levels, and no error for others. */
bool take_levels(bybit_decoder *d, uint32_t part, json_reader &r, adapter_levels &out)
{
    bool list = r.peek() == '[';
    d->parts |= list ? part : uint32_t(WRONG);
    return !list || json_levels(d->levels, r, out);
}

bool read_book(bybit_decoder *d, json_reader &r, bybit_message *m)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "b"))
            return take_levels(d, BIDS, value, m->bids);
        if (json_is(name, "a"))
            return take_levels(d, ASKS, value, m->asks);
        if (json_is(name, "s"))
            take_text(d->parts, SYMBOL, value, d->symbol);
        else if (json_is(name, "u"))
            take_number(d->parts, UPDATE_ID, value, m->update_id);
        return true;
    });
}

void take_side(uint32_t &parts, json_reader &r, uint8_t &out)
{
    adapter_text text = {"", 0};
    take_text(parts, SIDE, r, text);
    out = json_is(text, "Buy") ? TB_BUY : json_is(text, "Sell") ? TB_SELL : TB_NO_SIDE;
    if (out == TB_NO_SIDE)
        parts |= WRONG;
}

bool read_trade(json_reader &r, bybit_trade &t, uint32_t &parts)
{
    t = bybit_trade();
    return json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "i"))
            take_text(parts, ID, value, t.id);
        else if (json_is(name, "T"))
            take_number(parts, TIME, value, t.time);
        else if (json_is(name, "p"))
            take_text(parts, PRICE, value, t.price);
        else if (json_is(name, "v"))
            take_text(parts, SIZE, value, t.size);
        else if (json_is(name, "S"))
            take_side(parts, value, t.side);
        else if (json_is(name, "seq"))
            take_number(parts, 0, value, t.seq);
        return true;
    });
}

/* Klines are lists too: what the list holds matters only when the topic is known to be trades. */
bool read_list(bybit_decoder *d, json_reader &r, bybit_message *m)
{
    d->list = true;
    d->trades = true;
    return json_array(r, [&](json_reader &element) {
        uint32_t parts = 0;
        if (m->trade_count == BYBIT_TRADES_MAX ||
            !read_trade(element, d->trade[m->trade_count++], parts))
            return false;
        d->trades = d->trades && (parts & (TRADE_PARTS | WRONG)) == TRADE_PARTS;
        return true;
    });
}

bool read_data(bybit_decoder *d, json_reader &r, bybit_message *m)
{
    char first = r.peek();
    d->parts |= d->parts & DATA ? uint32_t(WRONG) : uint32_t(DATA);
    if (first == '{')
        return read_book(d, r, m);
    if (first == '[')
        return read_list(d, r, m);
    d->parts |= WRONG;
    return true;
}

bool read_member(bybit_decoder *d, adapter_text name, json_reader &r, bybit_message *m)
{
    if (json_is(name, "topic"))
        take_text(d->parts, TOPIC, r, m->topic);
    else if (json_is(name, "type"))
        take_text(d->parts, TYPE, r, d->type);
    else if (json_is(name, "ts"))
        take_number(d->parts, TS, r, d->ts);
    else if (json_is(name, "cts"))
        take_number(d->parts, CTS, r, d->cts);
    else if (json_is(name, "data"))
        return read_data(d, r, m);
    else if (json_is(name, "op"))
        take_text(d->parts, OP, r, d->op);
    else if (json_is(name, "ret_msg"))
        take_text(d->parts, 0, r, m->reason);
    else if (json_is(name, "req_id"))
        take_text(d->parts, 0, r, m->request);
    else if (json_is(name, "success"))
        d->parts |= json_truth(r, d->success) ? uint32_t(SUCCESS_FIELD) : uint32_t(WRONG);
    return true;
}

bool read_message(bybit_decoder *d, const char *bytes, size_t length, bybit_message *m)
{
    json_reader r;
    return json_parse(d->parser, bytes, length, r) &&
           json_object(r, [&](adapter_text name,
                              json_reader &value) { return read_member(d, name, value, m); }) &&
           json_ended(r);
}

/* ---- what it is ---- */

/* "orderbook.200.BTCUSDT": 200. 0: no such number. */
uint32_t depth_of(adapter_text topic)
{
    uint32_t depth = 0;
    for (size_t i = sizeof("orderbook.") - 1; i < topic.length && topic.at[i] != '.'; i++) {
        unsigned digit = (unsigned char)topic.at[i] - (unsigned)'0';
        if (digit > 9 || depth > 100000)
            return 0;
        depth = depth * 10 + digit;
    }
    return depth;
}

bool same(adapter_text a, adapter_text b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

bybit_kind book_kind(const bybit_decoder *d, bybit_message *m)
{
    m->depth = depth_of(m->topic);
    if (m->depth == 0)
        return BYBIT_UNKNOWN; /* orderbook.full, orderbook.rpi: of another rule */
    m->snapshot = json_is(d->type, "snapshot");
    bool whole = (d->parts & (BOOK_PARTS | WRONG)) == BOOK_PARTS && !d->list &&
                 same(d->symbol, m->symbol) && (m->snapshot || json_is(d->type, "delta"));
    return whole ? BYBIT_BOOK : BYBIT_BAD;
}

bybit_kind topic_kind(const bybit_decoder *d, bybit_message *m)
{
    if (json_begins(m->topic, "orderbook."))
        return book_kind(d, m);
    if (json_begins(m->topic, "publicTrade."))
        return d->list && d->trades && !(d->parts & WRONG) ? BYBIT_TRADES : BYBIT_BAD;
    if (json_begins(m->topic, "kline.") || json_begins(m->topic, "tickers."))
        return BYBIT_IGNORED;
    return json_is(m->topic, "system.status") ? BYBIT_STATUS : BYBIT_UNKNOWN;
}

bybit_kind answer_kind(const bybit_decoder *d, const bybit_message *m)
{
    if (json_is(d->op, "pong") || (json_is(d->op, "ping") && json_is(m->reason, "pong")))
        return BYBIT_PONG;
    if (!(d->parts & SUCCESS_FIELD))
        return BYBIT_UNKNOWN;
    if (!d->success)
        return BYBIT_REFUSED;
    return json_is(d->op, "subscribe")     ? BYBIT_SUBSCRIBED
           : json_is(d->op, "unsubscribe") ? BYBIT_UNSUBSCRIBED
                                           : BYBIT_UNKNOWN;
}

void classify(const bybit_decoder *d, bybit_message *m)
{
    if (d->parts & TOPIC) {
        const char *dot = (const char *)memrchr(m->topic.at, '.', m->topic.length);
        if (dot != nullptr)
            m->symbol = {dot + 1, uint32_t(m->topic.at + m->topic.length - dot - 1)};
        m->kind = topic_kind(d, m);
        m->time = d->parts & CTS ? d->cts : d->ts;
        m->trade = d->trade;
    } else if (d->parts & OP) {
        m->kind = answer_kind(d, m);
    } else if (!(d->parts & WRONG))
        m->kind = BYBIT_UNKNOWN;
}

/* ---- the listing ---- */

/* Of priceFilter and lotSizeFilter: the one string that is wanted. */
bool read_filter(json_reader &r, json_word key, adapter_text &out)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        return !json_is(name, key) || json_string(value, out);
    });
}

/* Of spot, or of contracts. */
bool read_step(json_reader &r, adapter_text &out)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        return !(json_is(name, "basePrecision") || json_is(name, "qtyStep")) ||
               json_string(value, out);
    });
}

bool read_market(json_reader &r, adapter_market_text &m)
{
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        return json_is(name, "symbol")          ? json_string(value, m.symbol)
               : json_is(name, "baseCoin")      ? json_string(value, m.base)
               : json_is(name, "quoteCoin")     ? json_string(value, m.quote)
               : json_is(name, "settleCoin")    ? json_string(value, m.settle) /* contracts */
               : json_is(name, "lotSizeFilter") ? read_step(value, m.step_size)
               : json_is(name, "priceFilter")   ? read_filter(value, "tickSize", m.tick_size)
                                                : true;
    });
    return whole && m.symbol.length > 0 && m.base.length > 0 && m.quote.length > 0;
}

} // namespace

bybit_decoder *bybit_decoder_create(void)
{
    return json_decoder_create<bybit_decoder>(ADAPTER_MESSAGE_BYTES);
}

void bybit_decoder_destroy(bybit_decoder *d)
{
    json_decoder_destroy(d);
}

void bybit_decode(bybit_decoder *d, const char *bytes, size_t length, bybit_message *out)
{
    *out = bybit_message();
    out->topic = out->symbol = out->request = out->reason = {"", 0};
    d->parts = 0;
    d->list = d->trades = d->success = false;
    d->ts = d->cts = 0;
    d->type = d->symbol = d->op = {"", 0};
    d->levels.count = 0;
    bool whole = read_message(d, bytes, length, out);
    classify(d, out);
    if (!whole)
        out->kind = BYBIT_BAD;
}

int bybit_decode_listing(bybit_decoder *d, const char *bytes, size_t length,
                         void (*each)(void *context, const adapter_market_text *market),
                         void *context)
{
    auto find = [](json_reader &r, auto list) {
        return json_member(r, "result",
                           [&](json_reader &result) { return json_member(result, "list", list); });
    };
    return json_listing(d, bytes, length, adapter_market_text(), find, read_market, each, context);
}
