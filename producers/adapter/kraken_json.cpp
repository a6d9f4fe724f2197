/*
 * Messages of Kraken spot. Fields are taken by key, whatever their order; what a
 * message is, and whether it is whole, is decided when all of it was read.
 *
 * v2  {"channel":"book","type":"update","data":[{"symbol":..,"bids":[{"price":0.5,"qty":2.0}],..,"checksum":1}]}
 *     {"method":"subscribe","success":true,"result":{"channel":..,"symbol":..,"depth":10}}
 * v1  [1664,{"a":[[price,size,time],..],"c":"560301834"},"book-1000","WAVES/EUR"], the same with a second
 *     object for the other side; {"as":..,"bs":..} is a snapshot; [340,{"a":[price,lots,size],..},"ticker",..];
 *     [321,[[price,size,time,side,kind,misc],..],"trade",..]; {"event":"subscriptionStatus",..}
 */
#include "producers/adapter/kraken_json.h"

#include <cerrno>

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"
#include "producers/adapter/times.h"

namespace
{

/* Which fields of an item were there. */
enum part : uint32_t {
    SYMBOL = 1,
    PRICE = 2,
    SIZE = 4,
    SIDE = 8,
    BID = 32,
    BID_SIZE = 64,
    ASK = 128,
    ASK_SIZE = 256,
    BIDS = 512,
    ASKS = 1024,
    WRONG = 2048, /* one that is of the wrong type or out of range */
};

constexpr uint32_t TRADE_PARTS = SYMBOL | PRICE | SIZE | SIDE;
constexpr uint32_t QUOTE_PARTS = SYMBOL | BID | BID_SIZE | ASK | ASK_SIZE;

struct root { /* what stands around the items */
    adapter_text channel, type, method, event, status, error, symbol;
    uint32_t depth, request;
    bool has_data, has_success, success, offline;
};

} // namespace

struct kraken_decoder {
    json_parser *parser;
    root top;
    kraken_item item[KRAKEN_ITEMS_MAX];
    uint32_t parts[KRAKEN_ITEMS_MAX];
    uint32_t item_count;
    adapter_level level[KRAKEN_LEVELS_MAX];
    uint32_t level_count;
};

namespace
{

kraken_item *add_item(kraken_decoder *d)
{
    if (d->item_count == KRAKEN_ITEMS_MAX)
        return nullptr;
    kraken_item *item = &d->item[d->item_count];
    *item = kraken_item();
    item->side = TB_NO_SIDE;
    d->parts[d->item_count] = 0;
    d->item_count++;
    return item;
}

uint32_t &parts_of(kraken_decoder *d, const kraken_item *item)
{
    return d->parts[item - d->item];
}

/* "974947235" or 974947235. */
bool read_unsigned(adapter_text text, uint64_t max, uint64_t *out)
{
    return digits_unsigned(text.at, text.length, out) && *out <= max;
}

uint8_t side_of(adapter_text text)
{
    return json_is(text, "buy") || json_is(text, "b")    ? uint8_t(TB_BUY)
           : json_is(text, "sell") || json_is(text, "s") ? uint8_t(TB_SELL)
                                                         : uint8_t(TB_NO_SIDE);
}

/* ---- levels ---- */

adapter_level *add_level(kraken_decoder *d)
{
    if (d->level_count == KRAKEN_LEVELS_MAX)
        return nullptr;
    adapter_level *level = &d->level[d->level_count++];
    *level = adapter_level();
    return level;
}

/* v2: {"price":0.5666,"qty":4831.75} */
bool read_level_object(json_reader &r, adapter_level &level)
{
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        return json_is(name, "price") ? json_decimal(value, level.price)
               : json_is(name, "qty") ? json_decimal(value, level.size)
                                      : true;
    });
    return whole && level.price.length > 0 && level.size.length > 0;
}

/* v1: ["13.2645","0.00000000","1618678163.334706"], perhaps with "r". `time` becomes the latest. */
bool read_level_array(json_reader &r, adapter_level &level, tb_ns &time)
{
    unsigned at = 0;
    bool whole = json_array(r, [&](json_reader &value) {
        adapter_text text;
        tb_ns when;
        if (++at <= 2)
            return json_decimal(value, at == 1 ? level.price : level.size);
        if (at > 3)
            return true;
        if (!json_decimal(value, text) || adapter_time_seconds(text, &when) != 0)
            return false;
        time = when > time ? when : time;
        return true;
    });
    return whole && at >= 2;
}

/* False: the message can not be read. */
bool read_side(kraken_decoder *d, json_reader &r, kraken_item *item, adapter_levels &out,
               part which)
{
    uint32_t first = d->level_count;
    uint32_t &parts = parts_of(d, item);
    parts |= which;
    if (r.peek() != '[' || out.level != nullptr) /* no levels, or the same side twice */
        parts |= WRONG;
    if (r.peek() != '[')
        return true;
    bool whole = json_array(r, [&](json_reader &element) {
        adapter_level *level = add_level(d);
        if (level == nullptr)
            return false;
        return element.peek() == '{' ? read_level_object(element, *level)
                                     : read_level_array(element, *level, item->time);
    });
    out = {d->level + first, d->level_count - first};
    return whole;
}

/* ---- v2 ---- */

void take_text(kraken_decoder *d, kraken_item *item, part which, bool good)
{
    parts_of(d, item) |= good ? which : WRONG;
}

/* A decimal of an item; null where a book has no such side. */
void take_decimal(kraken_decoder *d, kraken_item *item, part which, json_reader &r,
                  adapter_text &out)
{
    if (r.peek() != 'n')
        take_text(d, item, which, json_decimal(r, out));
}

void take_side(kraken_decoder *d, kraken_item *item, json_reader &r)
{
    adapter_text text;
    item->side = json_string(r, text) ? side_of(text) : uint8_t(TB_NO_SIDE);
    take_text(d, item, SIDE, item->side != TB_NO_SIDE);
}

void take_time(kraken_decoder *d, kraken_item *item, json_reader &r)
{
    adapter_text text;
    if (!json_string(r, text) || adapter_time_rfc3339(text, &item->time) != 0)
        parts_of(d, item) |= WRONG;
}

void take_id(kraken_decoder *d, kraken_item *item, json_reader &r)
{
    adapter_text text;
    item->has_id = json_decimal(r, text) && read_unsigned(text, INT64_MAX, &item->id);
    if (!item->has_id)
        parts_of(d, item) |= WRONG;
}

void take_checksum(kraken_decoder *d, kraken_item *item, json_reader &r)
{
    adapter_text text;
    uint64_t number = 0;
    item->has_checksum = json_decimal(r, text) && read_unsigned(text, UINT32_MAX, &number);
    item->checksum = uint32_t(number);
    if (!item->has_checksum)
        parts_of(d, item) |= WRONG;
}

bool read_item_field(kraken_decoder *d, kraken_item *item, adapter_text name, json_reader &r)
{
    if (json_is(name, "bids"))
        return read_side(d, r, item, item->bids, BIDS);
    if (json_is(name, "asks"))
        return read_side(d, r, item, item->asks, ASKS);
    if (json_is(name, "symbol"))
        take_text(d, item, SYMBOL, json_string(r, item->symbol));
    else if (json_is(name, "checksum"))
        take_checksum(d, item, r);
    else if (json_is(name, "timestamp"))
        take_time(d, item, r);
    else if (json_is(name, "side"))
        take_side(d, item, r);
    else if (json_is(name, "trade_id"))
        take_id(d, item, r);
    else if (json_is(name, "price"))
        take_decimal(d, item, PRICE, r, item->price);
    else if (json_is(name, "qty"))
        take_decimal(d, item, SIZE, r, item->size);
    else if (json_is(name, "bid"))
        take_decimal(d, item, BID, r, item->bid_price);
    else if (json_is(name, "bid_qty"))
        take_decimal(d, item, BID_SIZE, r, item->bid_size);
    else if (json_is(name, "ask"))
        take_decimal(d, item, ASK, r, item->ask_price);
    else if (json_is(name, "ask_qty"))
        take_decimal(d, item, ASK_SIZE, r, item->ask_size);
    else if (json_is(name, "system")) {
        adapter_text text;
        d->top.offline = !json_string(r, text) || !json_is(text, "online");
    }
    return true;
}

bool read_data(kraken_decoder *d, json_reader &r)
{
    d->top.has_data = true;
    if (r.peek() != '[')
        return true; /* assets and pairs: an object */
    return json_array(r, [&](json_reader &element) {
        kraken_item *item = add_item(d);
        return item != nullptr && json_object(element, [&](adapter_text name, json_reader &value) {
                   return read_item_field(d, item, name, value);
               });
    });
}

void take_word(json_reader &r, adapter_text &out)
{
    if (!json_string(r, out))
        out = {"", 0};
}

void take_number(json_reader &r, uint32_t max, uint32_t &out)
{
    uint64_t number = 0;
    adapter_text text;
    if (json_number(r, text) && read_unsigned(text, max, &number))
        out = uint32_t(number);
}

/* `nested`: what stands in "result" or "subscription". Nothing is read deeper than that. */
bool read_root(kraken_decoder *d, json_reader &r, bool nested)
{
    root &top = d->top;
    static constexpr struct {
        json_word name;
        adapter_text root::*at;
    } words[] = {
        {"channel", &root::channel}, {"type", &root::type},     {"method", &root::method},
        {"event", &root::event},     {"status", &root::status}, {"error", &root::error},
        {"symbol", &root::symbol},   {"pair", &root::symbol},   {"channelName", &root::channel},
    };
    return json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "data") && !nested)
            return read_data(d, value);
        for (const auto &word : words)
            if (json_is(name, word.name)) {
                take_word(value, top.*word.at);
                return true;
            }
        if (json_is(name, "success"))
            top.has_success = json_truth(value, top.success);
        else if (json_is(name, "depth"))
            take_number(value, 100000, top.depth);
        else if (json_is(name, "req_id"))
            take_number(value, UINT32_MAX, top.request);
        else if (!nested && (json_is(name, "result") || json_is(name, "subscription")) &&
                 value.peek() == '{')
            return read_root(d, value, true);
        return true;
    });
}

/* ---- v1 ---- */

/* ["13.2539",35,"35.72892241"]: price, whole lots, size. */
bool read_best(json_reader &r, adapter_text &price, adapter_text &size)
{
    unsigned at = 0;
    bool whole = json_array(r, [&](json_reader &value) {
        at++;
        return at == 1 ? json_string(value, price) : at != 3 || json_string(value, size);
    });
    return whole && at == 3;
}

/* "a" and "b" are levels of a book or the best of a ticker: what they hold tells. */
bool read_v1_side(kraken_decoder *d, kraken_item *item, json_reader &r, bool is_ask)
{
    bool is_ticker = r.end - r.at >= 2 && r.bytes[r.at[1]] == '"';
    if (r.peek() != '[')
        return false;
    if (!is_ticker)
        return read_side(d, r, item, is_ask ? item->asks : item->bids, is_ask ? ASKS : BIDS);
    parts_of(d, item) |= is_ask ? ASK | ASK_SIZE : BID | BID_SIZE;
    return is_ask ? read_best(r, item->ask_price, item->ask_size)
                  : read_best(r, item->bid_price, item->bid_size);
}

bool read_v1_object(kraken_decoder *d, kraken_item *item, json_reader &r)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        bool whole = json_is(name, "as") || json_is(name, "bs");
        if (whole)
            d->top.type = {"snapshot", 8};
        if (whole || json_is(name, "a") || json_is(name, "b"))
            return read_v1_side(d, item, value, name.at[0] == 'a');
        if (json_is(name, "c") && value.peek() == '"')
            take_checksum(d, item, value);
        return true;
    });
}

/* ["0.04299","811.95","1618678145.920","b","l",""] */
bool read_v1_trade(kraken_decoder *d, json_reader &r)
{
    kraken_item *item = add_item(d);
    unsigned at = 0;
    if (item == nullptr)
        return false;
    bool whole = json_array(r, [&](json_reader &value) {
        adapter_text text;
        if (++at > 4)
            return true;
        if (!json_decimal(value, text))
            return false;
        if (at == 1)
            item->price = text;
        else if (at == 2)
            item->size = text;
        else if (at == 3)
            return adapter_time_seconds(text, &item->time) == 0;
        else
            item->side = side_of(text);
        return true;
    });
    parts_of(d, item) |= PRICE | SIZE | (item->side == TB_NO_SIDE ? WRONG : SIDE);
    return whole && at >= 4;
}

/* Trades are arrays in the array; spreads and candles are texts, which nobody needs. */
bool read_v1_array(kraken_decoder *d, json_reader &r)
{
    return json_array(r, [&](json_reader &element) {
        return element.peek() != '[' || read_v1_trade(d, element);
    });
}

bool read_v1(kraken_decoder *d, json_reader &r)
{
    kraken_item *book = nullptr; /* both objects of a message are of the same one */
    d->top.has_data = true;
    bool whole = json_array(r, [&](json_reader &element) {
        char first = element.peek();
        if (first == '[')
            return read_v1_array(d, element);
        if (first == '{') {
            book = book == nullptr ? add_item(d) : book;
            return book != nullptr && read_v1_object(d, book, element);
        }
        if (first == '"')
            take_word(element, d->top.channel.length == 0 ? d->top.channel : d->top.symbol);
        return true;
    });
    for (uint32_t i = 0; i < d->item_count; i++) {
        d->item[i].symbol = d->top.symbol;
        d->parts[i] |= SYMBOL;
    }
    return whole;
}

/* ---- what it is ---- */

kraken_kind kind_of_answer(const root &top)
{
    if (json_is(top.method, "pong") || json_is(top.event, "pong"))
        return KRAKEN_PONG;
    if (json_is(top.event, "heartbeat"))
        return KRAKEN_IGNORED;
    if (json_is(top.event, "systemStatus"))
        return KRAKEN_STATUS;
    if (top.error.length > 0 || (top.has_success && !top.success) || json_is(top.status, "error"))
        return KRAKEN_REFUSED;
    if (json_is(top.method, "subscribe") || json_is(top.status, "subscribed"))
        return KRAKEN_SUBSCRIBED;
    if (json_is(top.method, "unsubscribe") || json_is(top.status, "unsubscribed"))
        return KRAKEN_UNSUBSCRIBED;
    return KRAKEN_UNKNOWN;
}

kraken_kind kind_of(const root &top)
{
    if (top.method.length > 0 || top.event.length > 0 || top.error.length > 0)
        return kind_of_answer(top);
    if (json_is(top.channel, "heartbeat") || json_begins(top.channel, "ohlc") ||
        json_is(top.channel, "spread") || json_is(top.channel, "instrument"))
        return KRAKEN_IGNORED;
    if (json_is(top.channel, "status"))
        return KRAKEN_STATUS;
    if (!top.has_data)
        return KRAKEN_UNKNOWN;
    if (json_is(top.channel, "trade"))
        return KRAKEN_TRADES;
    if (json_is(top.channel, "ticker"))
        return KRAKEN_QUOTES;
    if (json_is(top.channel, "book") || json_begins(top.channel, "book-"))
        return json_is(top.type, "snapshot") ? KRAKEN_SNAPSHOT : KRAKEN_BOOK;
    return KRAKEN_UNKNOWN;
}

/* v1 has no ids of trades, and no checksum in a snapshot. */
bool is_whole(const kraken_decoder *d, kraken_kind kind, bool v1, uint32_t i)
{
    const kraken_item &item = d->item[i];
    uint32_t parts = d->parts[i];
    if ((parts & WRONG) != 0 || item.symbol.length == 0)
        return false;
    if (kind == KRAKEN_TRADES)
        return (parts & TRADE_PARTS) == TRADE_PARTS && (v1 || item.has_id);
    if (kind == KRAKEN_QUOTES) {
        uint32_t there = parts & QUOTE_PARTS;
        return ((there & BID) != 0) == ((there & BID_SIZE) != 0) &&
               ((there & ASK) != 0) == ((there & ASK_SIZE) != 0) && (there & (BID | ASK)) != 0;
    }
    return (parts & (BIDS | ASKS)) != 0 && (item.has_checksum || (v1 && kind == KRAKEN_SNAPSHOT));
}

void classify(const kraken_decoder *d, bool v1, kraken_message *m)
{
    const root &top = d->top;
    uint64_t depth = top.depth;
    m->kind = kind_of(top);
    m->channel = top.channel;
    m->symbol = d->item_count > 0 ? d->item[0].symbol : top.symbol;
    m->online = v1 || top.event.length > 0 ? json_is(top.status, "online") : !top.offline;
    if (v1 && json_begins(top.channel, "book-"))
        (void)read_unsigned({top.channel.at + 5, top.channel.length - 5}, 100000, &depth);
    m->depth = uint32_t(depth);
    m->request = top.request;
    if (m->kind != KRAKEN_TRADES && m->kind != KRAKEN_QUOTES && m->kind != KRAKEN_BOOK &&
        m->kind != KRAKEN_SNAPSHOT)
        return;
    m->past = json_is(top.type, "snapshot");
    m->item = d->item;
    m->count = d->item_count;
    for (uint32_t i = 0; i < d->item_count; i++)
        if (!is_whole(d, m->kind, v1, i)) {
            m->kind = KRAKEN_BAD;
            m->symbol = d->item[i].symbol;
        }
}

bool read_message(kraken_decoder *d, const char *bytes, size_t length, bool &v1)
{
    json_reader r;
    if (!json_parse(d->parser, bytes, length, r))
        return false;
    v1 = r.peek() == '[';
    return (v1 ? read_v1(d, r) : read_root(d, r, false)) && json_ended(r);
}

/* ---- listing ---- */

bool read_market(json_reader &r, kraken_market_text &market)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        return json_is(name, "wsname")          ? json_string(value, market.name)
               : json_is(name, "pair_decimals") ? json_integer(value, market.price_decimals)
               : json_is(name, "lot_decimals")  ? json_integer(value, market.size_decimals)
                                                : true;
    });
}

} // namespace

kraken_decoder *kraken_decoder_create(void)
{
    return json_decoder_create<kraken_decoder>(KRAKEN_MESSAGE_BYTES);
}

void kraken_decoder_destroy(kraken_decoder *d)
{
    json_decoder_destroy(d);
}

void kraken_decode(kraken_decoder *d, const char *bytes, size_t length, kraken_message *out)
{
    bool v1 = false;
    *out = kraken_message();
    out->symbol = {"", 0};
    d->top = root();
    d->item_count = 0;
    d->level_count = 0;
    if (read_message(d, bytes, length, v1)) {
        classify(d, v1, out);
        return;
    }
    /* Whose it was, as far as that was read. */
    out->channel = d->top.channel;
    out->symbol = d->item_count > 0 ? d->item[0].symbol : d->top.symbol;
}

int kraken_decode_listing(kraken_decoder *d, const char *bytes, size_t length,
                          void (*each)(void *context, const kraken_market_text *market),
                          void *context)
{
    json_reader r;
    int count = 0;
    auto read_pair = [&](adapter_text, json_reader &pair) {
        kraken_market_text market = {{"", 0}, -1, -1};
        if (!read_market(pair, market))
            return false;
        if (market.name.length == 0) /* of the dark pool: not on the feed */
            return true;
        each(context, &market);
        count++;
        return true;
    };
    if (d == nullptr)
        return -ENOMEM;
    bool whole = json_parse(d->parser, bytes, length, r) &&
                 json_member(r, "result",
                             [&](json_reader &result) { return json_object(result, read_pair); });
    return whole ? count : -EBADMSG;
}
