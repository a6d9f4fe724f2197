/*
 * Messages of Coinbase. Fields are taken by key, whatever their order; what a
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

#include <tickbus/record.h>

#include "producers/adapter/json.hpp"
#include "producers/adapter/times.h"

namespace
{

struct root { /* what stands around the items */
    adapter_text channel, type, reason;
    tb_ns time;
    uint64_t sequence;
    bool has_sequence, has_events, wrong;
};

} // namespace

struct coinbase_decoder {
    json_parser *parser;
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

/* 370843401 or "370843401". */
bool read_id(json_reader &r, uint64_t *out)
{
    adapter_text text;
    return json_decimal(r, text) && text.length <= 18 && digits_unsigned(text.at, text.length, out);
}

bool read_time(json_reader &r, tb_ns *out)
{
    adapter_text text;
    return json_string(r, text) && adapter_time_rfc3339(text, out) == 0;
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

bool read_side(coinbase_decoder *d, json_reader &r, int side, adapter_levels &out)
{
    uint32_t first = d->level_count[side];
    if (out.level != nullptr)
        return false;
    bool whole = json_array(r, [&](json_reader &element) {
        adapter_level *level = add_level(d, side);
        return level != nullptr && json_level(element, *level);
    });
    out = {d->level[side] + first, d->level_count[side] - first};
    return whole;
}

/* ["buy","22356.270000","0.00000000"] */
bool read_change(coinbase_decoder *d, json_reader &r)
{
    adapter_level *level = nullptr;
    unsigned at = 0;
    bool whole = json_array(r, [&](json_reader &value) {
        adapter_text text;
        if (++at > 3)
            return true;
        if (at > 1)
            return json_string(value, at == 2 ? level->price : level->size);
        if (!json_string(value, text) || (!json_is(text, "buy") && !json_is(text, "sell")))
            return false;
        level = add_level(d, text.at[0] == 'b' ? BIDS : ASKS);
        return level != nullptr;
    });
    return whole && at >= 3;
}

/* {"side":"bid","event_time":..,"price_level":"68900.00","new_quantity":"2.00000000"} */
bool read_update(coinbase_decoder *d, json_reader &r, coinbase_item *item)
{
    adapter_text side = {"", 0};
    adapter_level level = {};
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        tb_ns time = 0;
        if (json_is(name, "side"))
            return json_string(value, side);
        if (json_is(name, "price_level"))
            return json_string(value, level.price);
        if (json_is(name, "new_quantity"))
            return json_string(value, level.size);
        if (!json_is(name, "event_time"))
            return true;
        if (!read_time(value, &time))
            return false;
        item->time = time > item->time ? time : item->time;
        return true;
    });
    bool bid = json_is(side, "bid");
    if (!whole || (!bid && !json_is(side, "offer")) || level.price.length == 0 ||
        level.size.length == 0)
        return false;
    adapter_level *kept = add_level(d, bid ? BIDS : ASKS);
    if (kept != nullptr)
        *kept = level;
    return kept != nullptr;
}

/* Changes as either feed writes them; those of both sides in one list. */
template <typename read_one>
bool read_changes(coinbase_decoder *d, json_reader &r, coinbase_item *item, read_one read)
{
    const uint32_t first[2] = {d->level_count[BIDS], d->level_count[ASKS]};
    if (!json_array(r, read))
        return false;
    close_levels(d, item, first);
    return true;
}

/* ---- items ---- */

void take_side(coinbase_decoder *d, coinbase_item *item, json_reader &r)
{
    adapter_text text;
    if (!json_string(r, text))
        spoil(d, item);
    else if (json_is(text, "sell") || json_is(text, "SELL"))
        item->side = TB_BUY; /* the maker sold */
    else if (json_is(text, "buy") || json_is(text, "BUY"))
        item->side = TB_SELL;
}

constexpr struct {
    json_word name;
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

/* A field of a trade, a ticker, a heartbeat, or of a message of the Exchange. */
void read_item_field(coinbase_decoder *d, coinbase_item *item, adapter_text name, json_reader &r)
{
    for (const auto &word : item_words)
        if (json_is(name, word.name)) {
            if (!json_string(r, item->*word.at))
                spoil(d, item);
            return;
        }
    if (json_is(name, "trade_id") || json_is(name, "last_trade_id")) {
        item->has_id = read_id(r, &item->id);
        if (!item->has_id)
            spoil(d, item);
    } else if (json_is(name, "time")) {
        if (!read_time(r, &item->time))
            spoil(d, item);
    } else if (json_is(name, "side")) {
        take_side(d, item, r);
    }
}

bool read_items(coinbase_decoder *d, json_reader &r)
{
    return json_array(r, [&](json_reader &element) {
        coinbase_item *item = add_item(d);
        return item != nullptr && json_object(element, [&](adapter_text name, json_reader &value) {
                   read_item_field(d, item, name, value);
                   return true;
               });
    });
}

/* ---- acknowledgements ---- */

/* ["BTC-USD"]: each an item of that channel, which may be known only later: from `first` on. */
bool read_products(coinbase_decoder *d, json_reader &r)
{
    return r.peek() != '[' || json_array(r, [&](json_reader &product) {
               coinbase_item *item = add_item(d);
               return item != nullptr && json_string(product, item->symbol);
           });
}

void set_channel(coinbase_decoder *d, uint32_t first, adapter_text channel)
{
    for (uint32_t i = first; i < d->item_count; i++)
        d->item[i].channel = channel;
}

/* {"level2":["BTC-USD"],"market_trades":["BTC-USD","ETH-USD"]} */
bool read_subscriptions(coinbase_decoder *d, json_reader &r)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        uint32_t first = d->item_count;
        bool whole = read_products(d, value);
        set_channel(d, first, name);
        return whole;
    });
}

/* [{"name":"matches","product_ids":["BTC-USD"]}] */
bool read_channels(coinbase_decoder *d, json_reader &r)
{
    return r.peek() != '[' || json_array(r, [&](json_reader &element) {
               adapter_text channel = {"", 0};
               uint32_t first = d->item_count;
               bool whole = json_object(element, [&](adapter_text name, json_reader &value) {
                   return json_is(name, "name")          ? json_string(value, channel)
                          : json_is(name, "product_ids") ? read_products(d, value)
                                                         : true;
               });
               set_channel(d, first, channel);
               return whole;
           });
}

/* ---- messages ---- */

/* One event of Advanced Trade: the changes of one product, or a list of trades or tickers. */
bool read_event(coinbase_decoder *d, json_reader &r)
{
    uint32_t first = d->item_count;
    coinbase_item *book = nullptr;
    adapter_text type = {"", 0}, product = {"", 0};
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "type"))
            return json_string(value, type);
        if (json_is(name, "product_id"))
            return json_string(value, product);
        if (json_is(name, "trades") || json_is(name, "tickers"))
            return read_items(d, value);
        if (json_is(name, "subscriptions"))
            return read_subscriptions(d, value);
        if (!json_is(name, "updates"))
            return true;
        book = add_item(d);
        return book != nullptr && read_changes(d, value, book, [&](json_reader &update) {
                   return read_update(d, update, book);
               });
    });
    if (book != nullptr)
        book->symbol = product;
    for (uint32_t i = first; i < d->item_count; i++)
        d->item[i].past = json_is(type, "snapshot");
    return whole;
}

bool read_events(coinbase_decoder *d, json_reader &r)
{
    d->top.has_events = true;
    return json_array(r, [&](json_reader &event) { return read_event(d, event); });
}

bool read_root_field(coinbase_decoder *d, coinbase_item *item, adapter_text name, json_reader &r)
{
    root &top = d->top;
    if (json_is(name, "type"))
        return json_string(r, top.type);
    if (json_is(name, "channel"))
        return json_string(r, top.channel);
    if (json_is(name, "reason")) {
        (void)json_string(r, top.reason); /* of another type: none */
        return true;
    }
    if (json_is(name, "events"))
        return read_events(d, r);
    if (json_is(name, "bids"))
        return read_side(d, r, BIDS, item->bids);
    if (json_is(name, "asks"))
        return read_side(d, r, ASKS, item->asks);
    if (json_is(name, "changes"))
        return read_changes(d, r, item,
                            [&](json_reader &change) { return read_change(d, change); });
    if (json_is(name, "channels"))
        return read_channels(d, r);
    if (json_is(name, "sequence_num"))
        top.wrong = top.wrong || !(top.has_sequence = read_id(r, &top.sequence));
    else if (json_is(name, "timestamp"))
        top.wrong = top.wrong || !read_time(r, &top.time);
    else
        read_item_field(d, item, name, r);
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
        m->reason = top.reason;
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

/* Item 0 is the message itself, as the Exchange sends it; Advanced Trade leaves it empty. */
bool read_message(coinbase_decoder *d, const char *bytes, size_t length)
{
    json_reader r;
    coinbase_item *item = add_item(d);
    return json_parse(d->parser, bytes, length, r) &&
           json_object(r,
                       [&](adapter_text name, json_reader &value) {
                           return read_root_field(d, item, name, value);
                       }) &&
           json_ended(r);
}

/* ---- listing ---- */

/*
 * {"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":..,"quote_increment":..}
 * {"product_id":"BTC-USD","base_currency_id":..,"quote_currency_id":..,"price_increment":..,"alias":..}
 */
bool read_market(json_reader &r, coinbase_market_text &m)
{
    static constexpr struct {
        json_word name;
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
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        if (json_is(name, "price_increment"))
            (void)json_string(value, price_increment);
        for (const auto &word : words)
            if (json_is(name, word.name))
                (void)json_string(value, m.*word.at); /* what is none stays empty */
        return true;
    });
    if (price_increment.length > 0)
        m.tick_size = price_increment;
    return whole;
}

} // namespace

coinbase_decoder *coinbase_decoder_create(void)
{
    return json_decoder_create<coinbase_decoder>(COINBASE_MESSAGE_BYTES);
}

void coinbase_decoder_destroy(coinbase_decoder *d)
{
    json_decoder_destroy(d);
}

void coinbase_decode(coinbase_decoder *d, const char *bytes, size_t length, coinbase_message *out)
{
    *out = coinbase_message();
    out->symbol = {"", 0};
    d->top = root();
    d->item_count = 0;
    d->level_count[BIDS] = 0;
    d->level_count[ASKS] = 0;
    if (read_message(d, bytes, length))
        classify(d, out);
    else if (d->item[0].symbol.length > 0)
        out->symbol = d->item[0].symbol;
}

/* An array, or an object that holds it as "products". */
int coinbase_decode_listing(coinbase_decoder *d, const char *bytes, size_t length,
                            void (*each)(void *context, const coinbase_market_text *market),
                            void *context)
{
    const adapter_text none = {"", 0};
    const coinbase_market_text blank = {none, none, none, none, none, none};
    auto find = [](json_reader &r, auto list) {
        return r.peek() == '[' ? list(r) : json_member(r, "products", list);
    };
    return json_listing(d, bytes, length, blank, find, read_market, each, context);
}
