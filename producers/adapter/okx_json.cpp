/*
 * Messages of OKX v5. Fields are taken by key, whatever their order; what a
 * message is, and whether it is whole, is decided when all of it was read.
 *
 *   {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[..],"bids":[..],
 *    "ts":"..","checksum":-1,"prevSeqId":1,"seqId":2}]}
 *   {"arg":{"channel":"trades","instId":..},"data":[{"tradeId":..,"px":..,"sz":..,"side":..,"ts":..,"count":..},..]}
 *   {"id":"1","event":"subscribe","arg":{..},"connId":..}   {"event":"error","code":..,"msg":..,"id":..}
 *   {"code":"0","msg":"","data":[{"asks":[..],"bids":[..],"ts":..,"seqId":3}]}            a REST answer
 */
#include "producers/adapter/okx_json.h"

#include <cerrno>

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"

namespace
{

/* Which fields of an item were there; one of the wrong type or out of range leaves WRONG. */
enum part : uint32_t {
    ID = 1,
    PRICE = 2,
    SIZE = 4,
    SIDE = 8,
    TIME = 16,
    BID = 32,
    BID_SIZE = 64,
    ASK = 128,
    ASK_SIZE = 256,
    BIDS = 512,
    ASKS = 1024,
    SEQ = 2048,
    PREV_SEQ = 4096,
    WRONG = 8192,
};

constexpr uint32_t TRADE_PARTS = ID | PRICE | SIZE | SIDE | TIME;
constexpr uint32_t TICKER_PARTS = BID | BID_SIZE | ASK | ASK_SIZE | TIME;
constexpr uint32_t BOOK_PARTS = BIDS | ASKS | TIME;

} // namespace

struct okx_decoder {
    json_parser *parser;
    adapter_text action, event, code;
    bool has_arg, has_data;
    bool objects; /* every element of data is one */
    bool wrong;   /* something around the items is of the wrong type */
    okx_item item[OKX_ITEMS_MAX];
    uint32_t parts[OKX_ITEMS_MAX];
    uint32_t count;
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
    parts |= json_integer(r, out) ? part : uint32_t(WRONG);
}

void take_side(uint32_t &parts, json_reader &r, uint8_t &out)
{
    adapter_text text = {"", 0};
    take_text(parts, SIDE, r, text);
    out = json_is(text, "buy") ? TB_BUY : json_is(text, "sell") ? TB_SELL : TB_NO_SIDE;
    if (out == TB_NO_SIDE)
        parts |= WRONG;
}

bool take_levels(okx_decoder *d, uint32_t &parts, uint32_t part, json_reader &r,
                 adapter_levels &out)
{
    bool list = r.peek() == '[';
    parts |= list ? part : uint32_t(WRONG);
    return !list || json_levels(d->levels, r, out);
}

/* Keys whose value is text, where it is kept, and which part that is. */
struct text_key {
    json_word name;
    adapter_text okx_item::*at;
    uint32_t part;
};

constexpr text_key text_keys[] = {
    {"tradeId", &okx_item::id, ID},
    {"px", &okx_item::price, PRICE},
    {"sz", &okx_item::size, SIZE},
    {"ts", &okx_item::time, TIME},
    {"count", &okx_item::count, 0},
    {"bidPx", &okx_item::bid_price, BID},
    {"bidSz", &okx_item::bid_size, BID_SIZE},
    {"askPx", &okx_item::ask_price, ASK},
    {"askSz", &okx_item::ask_size, ASK_SIZE},
};

bool read_member(okx_decoder *d, adapter_text name, json_reader &r, okx_item &item, uint32_t &parts)
{
    if (json_is(name, "asks"))
        return take_levels(d, parts, ASKS, r, item.asks);
    if (json_is(name, "bids"))
        return take_levels(d, parts, BIDS, r, item.bids);
    if (json_is(name, "seqId"))
        take_number(parts, SEQ, r, item.seq);
    else if (json_is(name, "prevSeqId"))
        take_number(parts, PREV_SEQ, r, item.prev_seq);
    else if (json_is(name, "checksum"))
        take_number(parts, 0, r, item.checksum);
    else if (json_is(name, "side"))
        take_side(parts, r, item.side);
    else
        for (const text_key &key : text_keys)
            if (json_is(name, key.name)) {
                take_text(parts, key.part, r, item.*key.at);
                break;
            }
    return true;
}

bool read_item(okx_decoder *d, json_reader &r)
{
    if (d->count == OKX_ITEMS_MAX)
        return false;
    okx_item &item = d->item[d->count];
    uint32_t &parts = d->parts[d->count];
    item = okx_item();
    parts = 0;
    d->count++;
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        return read_member(d, name, value, item, parts);
    });
    item.has_seq = (parts & SEQ) != 0;
    return whole;
}

/* Candles are lists of lists: what they hold is passed over. */
bool read_data(okx_decoder *d, json_reader &r)
{
    bool list = r.peek() == '[';
    d->wrong = d->wrong || d->has_data || !list;
    d->has_data = true;
    return !list || json_array(r, [&](json_reader &element) {
        if (element.peek() == '{')
            return read_item(d, element);
        d->objects = false;
        return true;
    });
}

bool read_arg(okx_decoder *d, json_reader &r, okx_message *m)
{
    if (r.peek() != '{') {
        d->wrong = true;
        return true;
    }
    d->has_arg = true;
    return json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "channel"))
            d->wrong = !json_string(value, m->channel) || d->wrong;
        else if (json_is(name, "instId"))
            d->wrong = !json_string(value, m->symbol) || d->wrong;
        return true;
    });
}

bool read_top(okx_decoder *d, adapter_text name, json_reader &r, okx_message *m)
{
    if (json_is(name, "arg"))
        return read_arg(d, r, m);
    if (json_is(name, "data"))
        return read_data(d, r);
    adapter_text *text = json_is(name, "action")  ? &d->action
                         : json_is(name, "event") ? &d->event
                         : json_is(name, "code")  ? &d->code
                         : json_is(name, "id")    ? &m->request
                         : json_is(name, "msg")   ? &m->reason
                                                  : nullptr;
    if (text != nullptr)
        d->wrong = !json_string(r, *text) || d->wrong;
    return true;
}

bool read_message(okx_decoder *d, const char *bytes, size_t length, okx_message *m)
{
    json_reader r;
    return json_parse(d->parser, bytes, length, r) &&
           json_object(r, [&](adapter_text name,
                              json_reader &value) { return read_top(d, name, value, m); }) &&
           json_ended(r);
}

/* ---- what it is ---- */

bool all_have(const okx_decoder *d, uint32_t parts)
{
    for (uint32_t i = 0; i < d->count; i++)
        if ((d->parts[i] & (parts | WRONG)) != parts)
            return false;
    return d->objects && d->has_data;
}

bool are_books(const okx_decoder *d, bool with_prev)
{
    for (uint32_t i = 0; i < d->count; i++) {
        bool seq = d->parts[i] & SEQ, prev = d->parts[i] & PREV_SEQ;
        if (with_prev && seq != prev)
            return false;
    }
    return all_have(d, BOOK_PARTS);
}

okx_kind data_kind(const okx_decoder *d, okx_message *m)
{
    adapter_text c = m->channel;
    if (json_is(c, "trades") || json_is(c, "trades-all"))
        return all_have(d, TRADE_PARTS) ? OKX_TRADES : OKX_BAD;
    if (json_is(c, "tickers"))
        return all_have(d, TICKER_PARTS) ? OKX_TICKERS : OKX_BAD;
    if (json_is(c, "bbo-tbt"))
        return are_books(d, false) ? OKX_TOP : OKX_BAD;
    if (json_is(c, "books") || json_is(c, "books-l2-tbt") || json_is(c, "books50-l2-tbt")) {
        m->snapshot = json_is(d->action, "snapshot");
        bool known = m->snapshot || json_is(d->action, "update");
        return known && are_books(d, true) ? OKX_BOOK : OKX_BAD;
    }
    return json_begins(c, "candle") || json_is(c, "books5") ? OKX_IGNORED : OKX_UNKNOWN;
}

okx_kind event_kind(const okx_decoder *d)
{
    return json_is(d->event, "subscribe")            ? OKX_SUBSCRIBED
           : json_is(d->event, "unsubscribe")        ? OKX_UNSUBSCRIBED
           : json_is(d->event, "error")              ? OKX_REFUSED
           : json_is(d->event, "notice")             ? OKX_NOTICE
           : json_is(d->event, "channel-conn-count") ? OKX_IGNORED
                                                     : OKX_UNKNOWN;
}

void classify(const okx_decoder *d, okx_message *m)
{
    m->item = d->item;
    m->count = d->count;
    if (d->wrong)
        return;
    if (d->event.length > 0)
        m->kind = event_kind(d);
    else if (d->has_arg)
        m->kind = d->has_data ? data_kind(d, m) : OKX_UNKNOWN;
    else if (d->has_data && json_is(d->code, "0") && d->count > 0)
        m->kind = are_books(d, false) ? OKX_REST_BOOK : OKX_UNKNOWN;
    else
        m->kind = OKX_UNKNOWN;
}

/* ---- the listing ---- */

bool read_market(json_reader &r, adapter_market_text &m)
{
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        return json_is(name, "instId")   ? json_string(value, m.symbol)
               : json_is(name, "tickSz") ? json_string(value, m.tick_size)
               : json_is(name, "lotSz")  ? json_string(value, m.step_size)
                                         : true;
    });
    return whole && m.symbol.length > 0;
}

} // namespace

okx_decoder *okx_decoder_create(void)
{
    return json_decoder_create<okx_decoder>(ADAPTER_MESSAGE_BYTES);
}

void okx_decoder_destroy(okx_decoder *d)
{
    json_decoder_destroy(d);
}

void okx_decode(okx_decoder *d, const char *bytes, size_t length, okx_message *out)
{
    *out = okx_message();
    out->channel = out->symbol = out->request = out->reason = {"", 0};
    if (json_is({bytes, uint32_t(length)}, "pong")) { /* no JSON, and it need not be */
        out->kind = OKX_PONG;
        return;
    }
    d->action = d->event = d->code = {"", 0};
    d->has_arg = d->has_data = d->wrong = false;
    d->objects = true;
    d->count = 0;
    d->levels.count = 0;
    bool whole = read_message(d, bytes, length, out);
    classify(d, out);
    if (!whole)
        out->kind = OKX_BAD;
}

int okx_decode_listing(okx_decoder *d, const char *bytes, size_t length,
                       void (*each)(void *context, const adapter_market_text *market),
                       void *context)
{
    auto find = [](json_reader &r, auto list) { return json_member(r, "data", list); };
    return json_listing(d, bytes, length, adapter_market_text(), find, read_market, each, context);
}
