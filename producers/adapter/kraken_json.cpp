/*
 * Messages of Kraken spot through simdjson On-Demand. Fields are taken by key, whatever their order; what a
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
#include <new>

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"
#include "producers/adapter/times.h"

using namespace simdjson;

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
    uint32_t depth;
    bool has_data, has_success, success, offline;
};

} // namespace

struct kraken_decoder {
    ondemand::parser parser;
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

bool is_digits(adapter_text text)
{
    for (uint32_t i = 0; i < text.length; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return text.length > 0;
}

/* "974947235" or 974947235. */
bool read_unsigned(adapter_text text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!is_digits(text) || text.length > 19)
        return false;
    for (uint32_t i = 0; i < text.length; i++)
        value = value * 10 + uint64_t(text.at[i] - '0');
    *out = value;
    return value <= max;
}

uint8_t side_of(adapter_text text)
{
    return json_is(text, "buy") || json_is(text, "b")    ? uint8_t(TB_BUY)
           : json_is(text, "sell") || json_is(text, "s") ? uint8_t(TB_SELL)
                                                         : uint8_t(TB_NO_SIDE);
}

bool is_type(ondemand::value &value, ondemand::json_type wanted)
{
    ondemand::json_type type;
    return value.type().get(type) == SUCCESS && type == wanted;
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
bool read_level_object(ondemand::object object, adapter_level &level)
{
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (json_key_is(name, "price") && !json_decimal(value, level.price))
            return false;
        if (json_key_is(name, "qty") && !json_decimal(value, level.size))
            return false;
    }
    return level.price.length > 0 && level.size.length > 0;
}

/* v1: ["13.2645","0.00000000","1618678163.334706"], perhaps with "r". `time` becomes the latest. */
bool read_level_array(ondemand::array array, adapter_level &level, tb_ns &time)
{
    unsigned at = 0;
    for (auto element : array) {
        ondemand::value value;
        adapter_text text;
        tb_ns when;
        TRY(element.get(value));
        if (at < 3 && !json_decimal(value, text))
            return false;
        if (at == 0)
            level.price = text;
        else if (at == 1)
            level.size = text;
        else if (at == 2) {
            if (adapter_time_seconds(text, &when) != 0)
                return false;
            time = when > time ? when : time;
        }
        at++;
    }
    return at >= 2;
}

/* False: the message can not be read. A level that is none makes only the item WRONG. */
bool read_levels(kraken_decoder *d, ondemand::array array, kraken_item *item, adapter_levels &out)
{
    uint32_t first = d->level_count;
    if (out.level != nullptr)
        parts_of(d, item) |= WRONG; /* the same side twice */
    for (auto element : array) {
        ondemand::value value;
        TRY(element.get(value));
        adapter_level *level = add_level(d);
        if (level == nullptr)
            return false;
        ondemand::json_type type;
        TRY(value.type().get(type));
        bool good = false;
        if (type == ondemand::json_type::object)
            good = read_level_object(value.get_object(), *level);
        else if (type == ondemand::json_type::array)
            good = read_level_array(value.get_array(), *level, item->time);
        if (!good)
            return false;
    }
    out = {d->level + first, d->level_count - first};
    return true;
}

bool read_side(kraken_decoder *d, ondemand::value &value, kraken_item *item, adapter_levels &out,
               part which)
{
    parts_of(d, item) |= which;
    if (!is_type(value, ondemand::json_type::array)) {
        parts_of(d, item) |= WRONG;
        return true;
    }
    return read_levels(d, value.get_array(), item, out);
}

/* ---- v2 ---- */

void take_text(kraken_decoder *d, kraken_item *item, part which, bool good)
{
    parts_of(d, item) |= good ? which : WRONG;
}

/* A decimal of an item; null where a book has no such side. */
void take_decimal(kraken_decoder *d, kraken_item *item, part which, ondemand::value &value,
                  adapter_text &out)
{
    if (!is_type(value, ondemand::json_type::null))
        take_text(d, item, which, json_decimal(value, out));
}

bool take_symbol(kraken_decoder *d, kraken_item *item, ondemand::value &value)
{
    take_text(d, item, SYMBOL, json_string(value, item->symbol));
    return true;
}

bool take_side(kraken_decoder *d, kraken_item *item, ondemand::value &value)
{
    adapter_text text;
    bool good = json_string(value, text);
    item->side = good ? side_of(text) : uint8_t(TB_NO_SIDE);
    take_text(d, item, SIDE, item->side != TB_NO_SIDE);
    return true;
}

bool take_time(kraken_decoder *d, kraken_item *item, ondemand::value &value)
{
    adapter_text text;
    if (!json_string(value, text) || adapter_time_rfc3339(text, &item->time) != 0)
        parts_of(d, item) |= WRONG;
    return true;
}

bool take_id(kraken_decoder *d, kraken_item *item, ondemand::value &value)
{
    adapter_text text;
    item->has_id = json_decimal(value, text) && read_unsigned(text, INT64_MAX, &item->id);
    if (!item->has_id)
        parts_of(d, item) |= WRONG;
    return true;
}

bool take_checksum(kraken_decoder *d, kraken_item *item, ondemand::value &value)
{
    adapter_text text;
    uint64_t number = 0;
    item->has_checksum = json_decimal(value, text) && read_unsigned(text, UINT32_MAX, &number);
    item->checksum = uint32_t(number);
    if (!item->has_checksum)
        parts_of(d, item) |= WRONG;
    return true;
}

bool read_item_field(kraken_decoder *d, kraken_item *item, const char *name, ondemand::value &value)
{
    if (json_key_is(name, "symbol"))
        return take_symbol(d, item, value);
    if (json_key_is(name, "bids"))
        return read_side(d, value, item, item->bids, BIDS);
    if (json_key_is(name, "asks"))
        return read_side(d, value, item, item->asks, ASKS);
    if (json_key_is(name, "checksum"))
        return take_checksum(d, item, value);
    if (json_key_is(name, "timestamp"))
        return take_time(d, item, value);
    if (json_key_is(name, "side"))
        return take_side(d, item, value);
    if (json_key_is(name, "trade_id"))
        return take_id(d, item, value);
    if (json_key_is(name, "price"))
        take_decimal(d, item, PRICE, value, item->price);
    else if (json_key_is(name, "qty"))
        take_decimal(d, item, SIZE, value, item->size);
    else if (json_key_is(name, "bid"))
        take_decimal(d, item, BID, value, item->bid_price);
    else if (json_key_is(name, "bid_qty"))
        take_decimal(d, item, BID_SIZE, value, item->bid_size);
    else if (json_key_is(name, "ask"))
        take_decimal(d, item, ASK, value, item->ask_price);
    else if (json_key_is(name, "ask_qty"))
        take_decimal(d, item, ASK_SIZE, value, item->ask_size);
    else if (json_key_is(name, "system")) {
        adapter_text text;
        d->top.offline = !json_string(value, text) || !json_is(text, "online");
    }
    return true;
}

bool read_item(kraken_decoder *d, ondemand::object object)
{
    kraken_item *item = add_item(d);
    if (item == nullptr)
        return false;
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (!read_item_field(d, item, name, value))
            return false;
    }
    return true;
}

bool read_data(kraken_decoder *d, ondemand::value &value)
{
    ondemand::array array;
    d->top.has_data = true;
    if (!is_type(value, ondemand::json_type::array))
        return true; /* assets and pairs: an object */
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::object object;
        TRY(element.get_object().get(object));
        if (!read_item(d, object))
            return false;
    }
    return true;
}

bool read_root(kraken_decoder *d, ondemand::object object, bool nested);

void take_word(ondemand::value &value, adapter_text &out)
{
    if (!json_string(value, out))
        out = {"", 0};
}

bool read_root_field(kraken_decoder *d, const char *name, ondemand::value &value, bool nested)
{
    root &top = d->top;
    static constexpr struct {
        const char *name;
        adapter_text root::*at;
    } words[] = {
        {"channel", &root::channel}, {"type", &root::type},     {"method", &root::method},
        {"event", &root::event},     {"status", &root::status}, {"error", &root::error},
        {"symbol", &root::symbol},   {"pair", &root::symbol},   {"channelName", &root::channel},
    };
    if (json_key_is(name, "data") && !nested)
        return read_data(d, value);
    for (const auto &word : words)
        if (json_key_is(name, word.name)) {
            take_word(value, top.*word.at);
            return true;
        }
    if (json_key_is(name, "success")) {
        top.has_success = value.get_bool().get(top.success) == SUCCESS;
    } else if (json_key_is(name, "depth")) {
        uint64_t depth = 0;
        adapter_text text;
        if (json_number(value, text) && read_unsigned(text, 100000, &depth))
            top.depth = uint32_t(depth);
    } else if (!nested && (json_key_is(name, "result") || json_key_is(name, "subscription")) &&
               is_type(value, ondemand::json_type::object)) {
        return read_root(d, value.get_object(), true);
    }
    return true;
}

/* `nested`: what stands in "result" or "subscription". Nothing is read deeper than that. */
bool read_root(kraken_decoder *d, ondemand::object object, bool nested)
{
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (!read_root_field(d, name, value, nested))
            return false;
    }
    return true;
}

/* ---- v1 ---- */

/* ["13.2539",35,"35.72892241"]: price, whole lots, size; already begun at its first element. */
bool read_best(ondemand::array array, adapter_text &price, adapter_text &size)
{
    unsigned at = 0;
    for (auto element : array) {
        ondemand::value value;
        TRY(element.get(value));
        if ((at == 0 && !json_string(value, price)) || (at == 2 && !json_string(value, size)))
            return false;
        at++;
    }
    return at == 3;
}

/* "a" and "b" are levels of a book or the best of a ticker: what they hold tells. */
bool read_v1_side(kraken_decoder *d, kraken_item *item, ondemand::value &value, bool is_ask)
{
    ondemand::array array;
    ondemand::value first;
    if (!is_type(value, ondemand::json_type::array))
        return false;
    TRY(value.get_array().get(array));
    bool is_ticker =
        array.at(0).get(first) == SUCCESS && is_type(first, ondemand::json_type::string);
    array.reset();
    if (!is_ticker) {
        adapter_levels &levels = is_ask ? item->asks : item->bids;
        parts_of(d, item) |= is_ask ? ASKS : BIDS;
        return read_levels(d, array, item, levels);
    }
    parts_of(d, item) |= is_ask ? ASK | ASK_SIZE : BID | BID_SIZE;
    return is_ask ? read_best(array, item->ask_price, item->ask_size)
                  : read_best(array, item->bid_price, item->bid_size);
}

bool read_v1_object(kraken_decoder *d, kraken_item *item, ondemand::object object)
{
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        bool whole = json_key_is(name, "as") || json_key_is(name, "bs");
        if (whole)
            d->top.type = {"snapshot", 8};
        if (whole || json_key_is(name, "a") || json_key_is(name, "b")) {
            if (!read_v1_side(d, item, value, name[0] == 'a'))
                return false;
        } else if (json_key_is(name, "c") && is_type(value, ondemand::json_type::string)) {
            take_checksum(d, item, value);
        }
    }
    return true;
}

/* ["0.04299","811.95","1618678145.920","b","l",""] */
bool read_v1_trade(kraken_decoder *d, ondemand::array array)
{
    kraken_item *item = add_item(d);
    unsigned at = 0;
    if (item == nullptr)
        return false;
    for (auto element : array) {
        ondemand::value value;
        adapter_text text;
        TRY(element.get(value));
        if (at < 4 && !json_decimal(value, text))
            return false;
        if (at == 0)
            item->price = text;
        else if (at == 1)
            item->size = text;
        else if (at == 2 && adapter_time_seconds(text, &item->time) != 0)
            return false;
        else if (at == 3)
            item->side = side_of(text);
        at++;
    }
    parts_of(d, item) |= PRICE | SIZE | (item->side == TB_NO_SIDE ? WRONG : SIDE);
    return at >= 4;
}

/* Trades are arrays in the array; spreads and candles are texts, which nobody needs. */
bool read_v1_array(kraken_decoder *d, ondemand::array array)
{
    for (auto element : array) {
        ondemand::value value;
        TRY(element.get(value));
        if (is_type(value, ondemand::json_type::array) && !read_v1_trade(d, value.get_array()))
            return false;
    }
    return true;
}

bool read_v1(kraken_decoder *d, ondemand::array array)
{
    kraken_item *book = nullptr; /* both objects of a message are of the same one */
    d->top.has_data = true;
    for (auto element : array) {
        ondemand::value value;
        ondemand::json_type type;
        TRY(element.get(value));
        TRY(value.type().get(type));
        if (type == ondemand::json_type::object) {
            book = book == nullptr ? add_item(d) : book;
            if (book == nullptr || !read_v1_object(d, book, value.get_object()))
                return false;
        } else if (type == ondemand::json_type::array) {
            if (!read_v1_array(d, value.get_array()))
                return false;
        } else if (type == ondemand::json_type::string) {
            take_word(value, d->top.channel.length == 0 ? d->top.channel : d->top.symbol);
        }
    }
    for (uint32_t i = 0; i < d->item_count; i++) {
        d->item[i].symbol = d->top.symbol;
        d->parts[i] |= SYMBOL;
    }
    return true;
}

/* ---- what it is ---- */

bool begins(adapter_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length >= length && memcmp(text.at, word, length) == 0;
}

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
    if (json_is(top.channel, "heartbeat") || begins(top.channel, "ohlc") ||
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
    if (json_is(top.channel, "book") || begins(top.channel, "book-"))
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
    if (v1 && begins(top.channel, "book-"))
        (void)read_unsigned({top.channel.at + 5, top.channel.length - 5}, 100000, &depth);
    m->depth = uint32_t(depth);
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
    ondemand::document doc;
    ondemand::json_type type;
    TRY(d->parser.iterate(bytes, length, length + SIMDJSON_PADDING).get(doc));
    TRY(doc.type().get(type));
    v1 = type == ondemand::json_type::array;
    if (!v1 && type != ondemand::json_type::object)
        return false;
    bool read = v1 ? read_v1(d, doc.get_array()) : read_root(d, doc.get_object(), false);
    /* Nothing may follow: the parser has no place any more when all was read. */
    return read && doc.current_location().error() == OUT_OF_BOUNDS;
}

/* ---- listing ---- */

bool read_market(ondemand::object object, kraken_market_text &market)
{
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (json_key_is(name, "wsname") && !json_string(value, market.name))
            return false;
        if (json_key_is(name, "pair_decimals"))
            TRY(value.get_int64().get(market.price_decimals));
        if (json_key_is(name, "lot_decimals"))
            TRY(value.get_int64().get(market.size_decimals));
    }
    return true;
}

int read_listing(kraken_decoder *d, const char *bytes, size_t length,
                 void (*each)(void *context, const kraken_market_text *market), void *context)
{
    ondemand::document doc;
    ondemand::object result;
    int count = 0;
    if (d->parser.iterate(bytes, length, length + SIMDJSON_PADDING).get(doc) != SUCCESS ||
        doc.find_field("result").get_object().get(result) != SUCCESS)
        return -EBADMSG;
    for (auto member : result) {
        ondemand::field field;
        ondemand::object object;
        kraken_market_text market = {{"", 0}, -1, -1};
        if (std::move(member).get(field) != SUCCESS ||
            field.value().get_object().get(object) != SUCCESS || !read_market(object, market))
            return -EBADMSG;
        if (market.name.length == 0) /* a pair of the dark pool: not on the feed */
            continue;
        each(context, &market);
        count++;
    }
    return count;
}

} // namespace

kraken_decoder *kraken_decoder_create(void)
{
    try {
        kraken_decoder *d = new kraken_decoder();
        if (d->parser.allocate(KRAKEN_MESSAGE_BYTES) == SUCCESS)
            return d;
        delete d;
    } catch (const std::bad_alloc &) {
        /* NULL says it */
    }
    return nullptr;
}

void kraken_decoder_destroy(kraken_decoder *d)
{
    delete d;
}

void kraken_decode(kraken_decoder *d, const char *bytes, size_t length, kraken_message *out)
{
    bool v1 = false;
    *out = kraken_message();
    out->symbol = {"", 0};
    if (length == 0 || length > KRAKEN_MESSAGE_MAX)
        return;
    d->top = root();
    d->item_count = 0;
    d->level_count = 0;
    try {
        if (read_message(d, bytes, length, v1)) {
            classify(d, v1, out);
        } else { /* whose it was, as far as that was read */
            out->channel = d->top.channel;
            out->symbol = d->item_count > 0 ? d->item[0].symbol : d->top.symbol;
        }
    } catch (const simdjson_error &) {
        out->kind = KRAKEN_BAD;
    } catch (const std::bad_alloc &) {
        out->kind = KRAKEN_BAD;
    }
}

int kraken_decode_listing(kraken_decoder *d, const char *bytes, size_t length,
                          void (*each)(void *context, const kraken_market_text *market),
                          void *context)
{
    if (length == 0 || length > KRAKEN_MESSAGE_MAX)
        return -EBADMSG;
    try {
        return read_listing(d, bytes, length, each, context);
    } catch (const simdjson_error &) {
        return -EBADMSG;
    } catch (const std::bad_alloc &) {
        return -EBADMSG;
    }
}
