/*
 * Messages of Coinbase through simdjson On-Demand. Fields are taken by key, whatever their order; what a
 * message is, and whether it is whole, is decided when all of it was read.
 *
 * Exchange  {"type":"match","trade_id":10,"product_id":"BTC-USD","size":"5.2","price":"400.23","side":"sell",..}
 *           {"type":"snapshot","product_id":..,"bids":[["10101.10","0.45"]],"asks":[..]}
 *           {"type":"l2update","product_id":..,"changes":[["buy","22356.27","0.0"]],"time":..}
 * Advanced  {"channel":"l2_data","timestamp":..,"sequence_num":1,"events":[{"type":"update","product_id":..,
 *            "updates":[{"side":"bid","event_time":..,"price_level":"68900.00","new_quantity":"2.0"}]}]}
 */
#include "producers/adapter/coinbase_json.h"

#include <cerrno>
#include <new>

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"
#include "producers/adapter/times.h"

using namespace simdjson;

namespace
{

struct root { /* what stands around the items */
    adapter_text channel, type;
    tb_ns time;
    uint64_t sequence;
    bool has_sequence, has_events, wrong;
};

} // namespace

struct coinbase_decoder {
    ondemand::parser parser;
    root top;
    coinbase_item item[COINBASE_ITEMS_MAX];
    bool wrong[COINBASE_ITEMS_MAX]; /* a field is of the wrong type or out of range */
    uint32_t item_count;
    adapter_level level[2][COINBASE_LEVELS_MAX]; /* bids, asks */
    uint32_t level_count[2];
};

namespace
{

enum { BIDS, ASKS };

coinbase_item *add_item(coinbase_decoder *d)
{
    if (d->item_count == COINBASE_ITEMS_MAX)
        return nullptr;
    coinbase_item *item = &d->item[d->item_count];
    *item = coinbase_item();
    item->side = TB_NO_SIDE;
    d->wrong[d->item_count++] = false;
    return item;
}

void spoil(coinbase_decoder *d, const coinbase_item *item)
{
    d->wrong[item - d->item] = true;
}

bool is_type(ondemand::value &value, ondemand::json_type wanted)
{
    ondemand::json_type type;
    return value.type().get(type) == SUCCESS && type == wanted;
}

/* 370843401 or "370843401". */
bool read_id(ondemand::value &value, uint64_t *out)
{
    adapter_text text;
    uint64_t number = 0;
    if (!json_decimal(value, text) || text.length == 0 || text.length > 18)
        return false;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + uint64_t(text.at[i] - '0');
    }
    *out = number;
    return true;
}

bool read_time(ondemand::value &value, tb_ns *out)
{
    adapter_text text;
    return json_string(value, text) && adapter_time_rfc3339(text, out) == 0;
}

/* ---- levels ---- */

adapter_level *add_level(coinbase_decoder *d, int side)
{
    if (d->level_count[side] == COINBASE_LEVELS_MAX)
        return nullptr;
    adapter_level *level = &d->level[side][d->level_count[side]++];
    *level = adapter_level();
    return level;
}

/* The levels from `first` on are the item's. */
void close_levels(coinbase_decoder *d, coinbase_item *item, const uint32_t first[2])
{
    if (item->bids.level != nullptr)
        spoil(d, item); /* levels twice */
    item->bids = {d->level[BIDS] + first[BIDS], d->level_count[BIDS] - first[BIDS]};
    item->asks = {d->level[ASKS] + first[ASKS], d->level_count[ASKS] - first[ASKS]};
}

/* A snapshot's ["10101.10","0.45054140"]; what comes after the first two is passed over. */
bool read_pair(ondemand::array array, adapter_level &level)
{
    unsigned at = 0;
    for (auto element : array) {
        ondemand::value value;
        TRY(element.get(value));
        if (at < 2 && !json_string(value, at == 0 ? level.price : level.size))
            return false;
        at++;
    }
    return at >= 2;
}

bool read_side(coinbase_decoder *d, ondemand::value &value, int side, adapter_levels &out)
{
    ondemand::array array;
    uint32_t first = d->level_count[side];
    if (out.level != nullptr)
        return false;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::array pair;
        adapter_level *level = add_level(d, side);
        TRY(element.get_array().get(pair));
        if (level == nullptr || !read_pair(pair, *level))
            return false;
    }
    out = {d->level[side] + first, d->level_count[side] - first};
    return true;
}

/* ["buy","22356.270000","0.00000000"] */
bool read_change(coinbase_decoder *d, ondemand::array array)
{
    adapter_level *level = nullptr;
    unsigned at = 0;
    for (auto element : array) {
        ondemand::value value;
        adapter_text text;
        TRY(element.get(value));
        if (at < 3 && !json_string(value, text))
            return false;
        if (at == 0) {
            bool buy = json_is(text, "buy");
            if (!buy && !json_is(text, "sell"))
                return false;
            level = add_level(d, buy ? BIDS : ASKS);
            if (level == nullptr)
                return false;
        } else if (at < 3) {
            (at == 1 ? level->price : level->size) = text;
        }
        at++;
    }
    return at >= 3;
}

bool read_changes(coinbase_decoder *d, ondemand::value &value, coinbase_item *item)
{
    const uint32_t first[2] = {d->level_count[BIDS], d->level_count[ASKS]};
    ondemand::array array;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::array change;
        TRY(element.get_array().get(change));
        if (!read_change(d, change))
            return false;
    }
    close_levels(d, item, first);
    return true;
}

/* {"side":"bid","event_time":..,"price_level":"68900.00","new_quantity":"2.00000000"} */
bool read_update(coinbase_decoder *d, ondemand::object object, coinbase_item *item)
{
    adapter_text side = {"", 0};
    adapter_level level = {};
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        tb_ns time = 0;
        bool good = true;
        if (json_key_is(name, "side"))
            good = json_string(value, side);
        else if (json_key_is(name, "price_level"))
            good = json_string(value, level.price);
        else if (json_key_is(name, "new_quantity"))
            good = json_string(value, level.size);
        else if (json_key_is(name, "event_time"))
            good = read_time(value, &time);
        if (!good)
            return false;
        item->time = time > item->time ? time : item->time;
    }
    bool bid = json_is(side, "bid");
    if ((!bid && !json_is(side, "offer")) || level.price.length == 0 || level.size.length == 0)
        return false;
    adapter_level *kept = add_level(d, bid ? BIDS : ASKS);
    if (kept != nullptr)
        *kept = level;
    return kept != nullptr;
}

bool read_updates(coinbase_decoder *d, ondemand::value &value, coinbase_item *item)
{
    const uint32_t first[2] = {d->level_count[BIDS], d->level_count[ASKS]};
    ondemand::array array;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::object update;
        TRY(element.get_object().get(update));
        if (!read_update(d, update, item))
            return false;
    }
    close_levels(d, item, first);
    return true;
}

/* ---- items ---- */

void take_side(coinbase_decoder *d, coinbase_item *item, ondemand::value &value)
{
    adapter_text text;
    if (!json_string(value, text))
        spoil(d, item);
    else if (json_is(text, "sell") || json_is(text, "SELL"))
        item->side = TB_BUY; /* the maker sold */
    else if (json_is(text, "buy") || json_is(text, "BUY"))
        item->side = TB_SELL;
}

constexpr struct {
    const char *name;
    adapter_text coinbase_item::*at;
} item_words[] = {{"product_id", &coinbase_item::symbol},
                  {"price", &coinbase_item::price},
                  {"size", &coinbase_item::size},
                  {"best_bid", &coinbase_item::bid_price},
                  {"best_bid_size", &coinbase_item::bid_size},
                  {"best_bid_quantity", &coinbase_item::bid_size},
                  {"best_ask", &coinbase_item::ask_price},
                  {"best_ask_size", &coinbase_item::ask_size},
                  {"best_ask_quantity", &coinbase_item::ask_size}};

/* A field of a trade, a ticker, a heartbeat, or of a message of the Exchange. False: unreadable. */
bool read_item_field(coinbase_decoder *d, coinbase_item *item, const char *name,
                     ondemand::value &value)
{
    for (const auto &word : item_words)
        if (json_key_is(name, word.name)) {
            if (!json_string(value, item->*word.at))
                spoil(d, item);
            return true;
        }
    if (json_key_is(name, "trade_id") || json_key_is(name, "last_trade_id")) {
        item->has_id = read_id(value, &item->id);
        if (!item->has_id)
            spoil(d, item);
    } else if (json_key_is(name, "time")) {
        if (!read_time(value, &item->time))
            spoil(d, item);
    } else if (json_key_is(name, "side")) {
        take_side(d, item, value);
    }
    return true;
}

bool read_items(coinbase_decoder *d, ondemand::value &value)
{
    ondemand::array array;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::object object;
        coinbase_item *item = add_item(d);
        TRY(element.get_object().get(object));
        if (item == nullptr)
            return false;
        for (auto member : object) {
            ondemand::field field;
            TRY(std::move(member).get(field));
            const char *name = field.key().raw();
            ondemand::value part = field.value();
            if (!read_item_field(d, item, name, part))
                return false;
        }
    }
    return true;
}

/* ---- acknowledgements ---- */

bool read_products(coinbase_decoder *d, ondemand::value &value, uint32_t *count)
{
    ondemand::array array;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::value product;
        TRY(element.get(product));
        coinbase_item *item = add_item(d);
        if (item == nullptr || !json_string(product, item->symbol))
            return false;
        (*count)++;
    }
    return true;
}

/* {"name":"matches","product_ids":["BTC-USD"]} */
bool read_channel(coinbase_decoder *d, ondemand::object object)
{
    adapter_text channel = {"", 0};
    uint32_t count = 0;
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (json_key_is(name, "name") && !json_string(value, channel))
            return false;
        if (json_key_is(name, "product_ids") && is_type(value, ondemand::json_type::array) &&
            !read_products(d, value, &count))
            return false;
    }
    for (uint32_t i = d->item_count - count; i < d->item_count; i++)
        d->item[i].channel = channel;
    return true;
}

/* {"level2":["BTC-USD"],"market_trades":["BTC-USD","ETH-USD"]} */
bool read_subscriptions(coinbase_decoder *d, ondemand::value &value)
{
    ondemand::object object;
    TRY(value.get_object().get(object));
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value list = field.value();
        uint32_t count = 0;
        if (is_type(list, ondemand::json_type::array) && !read_products(d, list, &count))
            return false;
        for (uint32_t i = d->item_count - count; i < d->item_count; i++)
            d->item[i].channel = {name, uint32_t(strcspn(name, "\""))};
    }
    return true;
}

bool read_channels(coinbase_decoder *d, ondemand::value &value)
{
    ondemand::array array;
    if (!is_type(value, ondemand::json_type::array))
        return true;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::object object;
        TRY(element.get_object().get(object));
        if (!read_channel(d, object))
            return false;
    }
    return true;
}

/* ---- messages ---- */

/* One event of Advanced Trade: the changes of one product, or a list of trades or tickers. */
bool read_event(coinbase_decoder *d, ondemand::object object)
{
    uint32_t first = d->item_count;
    coinbase_item *book = nullptr;
    adapter_text type = {"", 0}, product = {"", 0};
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        bool good = true;
        if (json_key_is(name, "type"))
            good = json_string(value, type);
        else if (json_key_is(name, "product_id"))
            good = json_string(value, product);
        else if (json_key_is(name, "trades") || json_key_is(name, "tickers"))
            good = read_items(d, value);
        else if (json_key_is(name, "subscriptions"))
            good = read_subscriptions(d, value);
        else if (json_key_is(name, "updates")) {
            book = add_item(d);
            good = book != nullptr && read_updates(d, value, book);
        }
        if (!good)
            return false;
    }
    if (book != nullptr)
        book->symbol = product;
    for (uint32_t i = first; i < d->item_count; i++)
        d->item[i].past = json_is(type, "snapshot");
    return true;
}

bool read_events(coinbase_decoder *d, ondemand::value &value)
{
    ondemand::array array;
    d->top.has_events = true;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        ondemand::object object;
        TRY(element.get_object().get(object));
        if (!read_event(d, object))
            return false;
    }
    return true;
}

/* Item 0 is the message itself, as the Exchange sends it; Advanced Trade leaves it empty. */
bool read_root(coinbase_decoder *d, ondemand::object object)
{
    root &top = d->top;
    coinbase_item *item = add_item(d);
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        bool good = true;
        if (json_key_is(name, "type"))
            good = json_string(value, top.type);
        else if (json_key_is(name, "channel"))
            good = json_string(value, top.channel);
        else if (json_key_is(name, "events"))
            good = read_events(d, value);
        else if (json_key_is(name, "sequence_num"))
            top.wrong = top.wrong || !(top.has_sequence = read_id(value, &top.sequence));
        else if (json_key_is(name, "timestamp"))
            top.wrong = top.wrong || !read_time(value, &top.time);
        else if (json_key_is(name, "bids"))
            good = read_side(d, value, BIDS, item->bids);
        else if (json_key_is(name, "asks"))
            good = read_side(d, value, ASKS, item->asks);
        else if (json_key_is(name, "changes"))
            good = read_changes(d, value, item);
        else if (json_key_is(name, "channels"))
            good = read_channels(d, value);
        else
            good = read_item_field(d, item, name, value);
        if (!good)
            return false;
    }
    return true;
}

coinbase_kind kind_of_channel(adapter_text channel)
{
    if (json_is(channel, "l2_data"))
        return COINBASE_BOOK;
    if (json_is(channel, "market_trades"))
        return COINBASE_TRADES;
    if (json_is(channel, "ticker"))
        return COINBASE_QUOTES;
    if (json_is(channel, "heartbeats"))
        return COINBASE_HEARTBEAT;
    if (json_is(channel, "subscriptions"))
        return COINBASE_SUBSCRIBED;
    bool known = json_is(channel, "ticker_batch") || json_is(channel, "candles") ||
                 json_is(channel, "status");
    return known ? COINBASE_IGNORED : COINBASE_UNKNOWN;
}

coinbase_kind kind_of_type(adapter_text type)
{
    if (json_is(type, "match") || json_is(type, "last_match"))
        return COINBASE_TRADES;
    if (json_is(type, "l2update") || json_is(type, "snapshot"))
        return COINBASE_BOOK;
    if (json_is(type, "ticker"))
        return COINBASE_QUOTES;
    if (json_is(type, "heartbeat"))
        return COINBASE_HEARTBEAT;
    if (json_is(type, "subscriptions"))
        return COINBASE_SUBSCRIBED;
    if (json_is(type, "error"))
        return COINBASE_REFUSED;
    return json_is(type, "status") ? COINBASE_IGNORED : COINBASE_UNKNOWN;
}

bool is_whole(const coinbase_decoder *d, coinbase_kind kind, uint32_t i)
{
    const coinbase_item &item = d->item[i];
    if (d->wrong[i] || item.symbol.length == 0)
        return false;
    if (kind == COINBASE_TRADES)
        return item.has_id && item.price.length > 0 && item.size.length > 0 &&
               item.side != TB_NO_SIDE;
    if (kind == COINBASE_BOOK)
        return item.bids.level != nullptr && item.asks.level != nullptr;
    if (kind == COINBASE_HEARTBEAT)
        return item.has_id;
    return true;
}

/* A heartbeat of Advanced Trade is of the connection: it has no items. */
void classify(coinbase_decoder *d, coinbase_message *m)
{
    const root &top = d->top;
    m->advanced = top.channel.length > 0;
    m->has_sequence = top.has_sequence;
    m->sequence = top.sequence;
    m->kind = m->advanced ? kind_of_channel(top.channel) : kind_of_type(top.type);
    bool own = !m->advanced && m->kind != COINBASE_SUBSCRIBED; /* the message itself is the item */
    if (own)
        d->item[0].past = json_is(top.type, "snapshot") || json_is(top.type, "last_match");
    m->item = own ? d->item : d->item + 1;
    m->count = own ? 1 : d->item_count - 1;
    m->symbol = m->count > 0 ? m->item[0].symbol : adapter_text{"", 0};
    if (m->kind == COINBASE_UNKNOWN || m->kind == COINBASE_IGNORED || m->kind == COINBASE_REFUSED) {
        m->count = 0;
        return;
    }
    bool whole = !top.wrong && (!m->advanced || (top.has_sequence && top.has_events));
    for (uint32_t i = own ? 0 : 1; i < d->item_count && whole; i++) {
        whole = is_whole(d, m->kind, i);
        if (!whole)
            m->symbol = d->item[i].symbol;
        if (m->advanced && m->kind == COINBASE_QUOTES)
            d->item[i].time = top.time;
        if (own)
            break;
    }
    if (!whole)
        m->kind = COINBASE_BAD;
}

bool read_message(coinbase_decoder *d, const char *bytes, size_t length)
{
    ondemand::document doc;
    ondemand::object object;
    TRY(d->parser.iterate(bytes, length, length + SIMDJSON_PADDING).get(doc));
    TRY(doc.get_object().get(object));
    /* Nothing may follow: the parser has no place any more when all was read. */
    return read_root(d, object) && doc.current_location().error() == OUT_OF_BOUNDS;
}

/* ---- listing ---- */

/*
 * {"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":..,"quote_increment":..}
 * {"product_id":"BTC-USD","base_currency_id":..,"quote_currency_id":..,"price_increment":..,"alias":..}
 */
bool read_market(ondemand::object object, coinbase_market_text &m)
{
    static constexpr struct {
        const char *name;
        adapter_text coinbase_market_text::*at;
    } words[] = {{"id", &coinbase_market_text::id},
                 {"product_id", &coinbase_market_text::id},
                 {"base_currency", &coinbase_market_text::base},
                 {"base_currency_id", &coinbase_market_text::base},
                 {"quote_currency", &coinbase_market_text::quote},
                 {"quote_currency_id", &coinbase_market_text::quote},
                 {"base_increment", &coinbase_market_text::step_size},
                 {"quote_increment", &coinbase_market_text::tick_size},
                 {"alias", &coinbase_market_text::alias}};
    adapter_text price_increment = {"", 0}; /* the tick where both are given */
    for (auto member : object) {
        ondemand::field field;
        TRY(std::move(member).get(field));
        const char *name = field.key().raw();
        ondemand::value value = field.value();
        if (json_key_is(name, "price_increment"))
            (void)json_string(value, price_increment);
        for (const auto &word : words)
            if (json_key_is(name, word.name) && is_type(value, ondemand::json_type::string))
                (void)json_string(value, m.*word.at);
    }
    if (price_increment.length > 0)
        m.tick_size = price_increment;
    return true;
}

int read_products_of(ondemand::array array,
                     void (*each)(void *context, const coinbase_market_text *market), void *context)
{
    int count = 0;
    for (auto element : array) {
        ondemand::object object;
        const adapter_text none = {"", 0};
        coinbase_market_text market = {none, none, none, none, none, none};
        if (element.get_object().get(object) != SUCCESS || !read_market(object, market))
            return -EBADMSG;
        each(context, &market);
        count++;
    }
    return count;
}

/* An array, or an object that holds it as "products". */
int read_listing(coinbase_decoder *d, const char *bytes, size_t length,
                 void (*each)(void *context, const coinbase_market_text *market), void *context)
{
    ondemand::document doc;
    ondemand::json_type type;
    ondemand::array array;
    if (d->parser.iterate(bytes, length, length + SIMDJSON_PADDING).get(doc) != SUCCESS ||
        doc.type().get(type) != SUCCESS)
        return -EBADMSG;
    bool bare = type == ondemand::json_type::array;
    if ((bare ? doc.get_array().get(array) : doc.find_field("products").get_array().get(array)) !=
        SUCCESS)
        return -EBADMSG;
    return read_products_of(array, each, context);
}

} // namespace

coinbase_decoder *coinbase_decoder_create(void)
{
    try {
        coinbase_decoder *d = new coinbase_decoder();
        if (d->parser.allocate(COINBASE_MESSAGE_BYTES) == SUCCESS)
            return d;
        delete d;
    } catch (const std::bad_alloc &) {
        /* NULL says it */
    }
    return nullptr;
}

void coinbase_decoder_destroy(coinbase_decoder *d)
{
    delete d;
}

void coinbase_decode(coinbase_decoder *d, const char *bytes, size_t length, coinbase_message *out)
{
    *out = coinbase_message();
    out->symbol = {"", 0};
    if (length == 0 || length > COINBASE_MESSAGE_MAX)
        return;
    d->top = root();
    d->item_count = 0;
    d->level_count[BIDS] = 0;
    d->level_count[ASKS] = 0;
    try {
        if (read_message(d, bytes, length))
            classify(d, out);
        else if (d->item_count > 0 && d->item[0].symbol.length > 0)
            out->symbol = d->item[0].symbol;
    } catch (const simdjson_error &) {
        out->kind = COINBASE_BAD;
    } catch (const std::bad_alloc &) {
        out->kind = COINBASE_BAD;
    }
}

int coinbase_decode_listing(coinbase_decoder *d, const char *bytes, size_t length,
                            void (*each)(void *context, const coinbase_market_text *market),
                            void *context)
{
    if (length == 0 || length > COINBASE_MESSAGE_MAX)
        return -EBADMSG;
    try {
        return read_listing(d, bytes, length, each, context);
    } catch (const simdjson_error &) {
        return -EBADMSG;
    } catch (const std::bad_alloc &) {
        return -EBADMSG;
    }
}
