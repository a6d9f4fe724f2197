/*
 * Messages of Binance. Fields are taken by key, whatever their order,
 * each as the type it came in, because one letter means different things in different messages
 * ("a": an id, a price, levels, an order). What a message is, and whether it is whole, is decided when
 * all of it was read.
 */
#include "producers/adapter/binance_json.h"

#include <cerrno>

#include "producers/adapter/json.hpp"

namespace
{

enum field_type : uint8_t { ABSENT, WRONG, TEXT, NUMBER, TRUTH, LEVELS };

struct field {
    field_type type;
    bool truth;
    int64_t number;
    adapter_text text;
    adapter_levels levels;
};

/* Single-letter keys stand at their letter, longer ones behind. */
enum key : uint8_t {
    EVENT = 'e',
    SYMBOL = 's',
    LAST_UPDATE_ID = 128,
    BIDS,
    ASKS,
    RESULT,
    REQUEST_ID,
    CODE,
    ANSWER,
    ERROR_OBJECT,
    PREVIOUS,
    KEYS
};

struct long_key {
    json_word name;
    key at;
};

constexpr long_key long_keys[] = {
    {"lastUpdateId", LAST_UPDATE_ID},
    {"bids", BIDS},
    {"asks", ASKS},
    {"result", RESULT},
    {"id", REQUEST_ID},
    {"code", CODE},
    {"msg", ANSWER},
    {"error", ERROR_OBJECT},
    {"pu", PREVIOUS},
};

constexpr unsigned DEPTH_MAX = 2; /* a combined message and the data in it */

} // namespace

struct binance_decoder {
    binance_line line;
    json_parser *parser;
    field fields[KEYS];
    uint8_t used[KEYS]; /* which fields are set: only those are cleared for the next message */
    unsigned used_count;
    adapter_text stream;
    json_level_store levels;
};

namespace
{

/* An array of anything else (a list of statistics, an answer) is WRONG for whoever wanted levels. */
bool read_array(binance_decoder *d, unsigned at, json_reader &r, field &f)
{
    if (at != 'a' && at != 'b' && at != BIDS && at != ASKS)
        return true;
    f.type = LEVELS;
    return json_levels(d->levels, r, f.levels);
}

/* 1.5, 1e400 or 2^64 is a number, but no id and no time. */
bool read_field(binance_decoder *d, unsigned at, json_reader &r)
{
    field &f = d->fields[at];
    if (f.type == ABSENT)
        d->used[d->used_count++] = uint8_t(at);
    f.type = WRONG;
    char first = r.peek();
    if (first == '"') {
        f.type = TEXT;
        return json_string(r, f.text);
    }
    if (first == '[')
        return read_array(d, at, r, f);
    if (json_integer(r, f.number))
        f.type = NUMBER;
    else if (json_truth(r, f.truth))
        f.type = TRUTH;
    return true;
}

/* Where the field of this key is kept; 0: of no interest. */
unsigned find_key(adapter_text name)
{
    if (name.length == 1)
        return (unsigned char)name.at[0] < 128 ? (unsigned char)name.at[0] : 0;
    for (const long_key &known : long_keys)
        if (json_is(name, known.name))
            return known.at;
    return 0;
}

bool read_object(binance_decoder *d, json_reader &r, unsigned depth)
{
    return json_object(r, [&](adapter_text name, json_reader &value) {
        unsigned at = find_key(name);
        if (at != 0)
            return read_field(d, at, value);
        if (depth == 0 && json_is(name, "stream"))
            return json_string(value, d->stream);
        if (depth + 1 < DEPTH_MAX && json_is(name, "data") && value.peek() == '{')
            return read_object(d, value, depth + 1);
        return true;
    });
}

void reset(binance_decoder *d)
{
    for (unsigned i = 0; i < d->used_count; i++)
        d->fields[d->used[i]].type = ABSENT;
    d->used_count = 0;
    d->levels.count = 0;
    d->stream = {"", 0};
}

/* ---- what it is ---- */

/* Takes fields for a kind; `whole` turns false when one is absent or of another type. */
struct taker {
    const binance_decoder *d;
    bool whole = true;

    const field &need(unsigned at, field_type type)
    {
        const field &f = d->fields[at];
        whole = whole && f.type == type;
        return f;
    }
    adapter_text text(unsigned at)
    {
        const field &f = need(at, TEXT);
        whole = whole && f.text.length > 0;
        return f.text;
    }
    int64_t number(unsigned at)
    {
        const field &f = need(at, NUMBER);
        whole = whole && f.number >= 0;
        return f.number;
    }
    bool truth(unsigned at)
    {
        return need(at, TRUTH).truth;
    }
    adapter_levels levels(unsigned at)
    {
        return need(at, LEVELS).levels;
    }
    bool has(unsigned at) const
    {
        return d->fields[at].type != ABSENT;
    }
};

void take_trade(taker &t, binance_message *m)
{
    m->price = t.text('p');
    m->size = t.text('q');
    m->trade_time = t.number('T');
    m->buyer_is_maker = t.truth('m');
    if (m->kind == BINANCE_TRADE) {
        m->id = t.number('t');
        if (t.has('X'))
            m->order_kind = t.need('X', TEXT).text; /* may be empty */
        return;
    }
    m->id = t.number('a');
    m->first = t.number('f');
    m->last = t.number('l');
    t.whole = t.whole && m->first <= m->last;
}

void take_quote(taker &t, binance_message *m)
{
    m->id = t.number('u');
    m->bid_price = t.text('b');
    m->bid_size = t.text('B');
    m->ask_price = t.text('a');
    m->ask_size = t.text('A');
}

/* "ethusdt@depth20": futures send whole small books as if they were changes. */
bool is_partial(adapter_text stream)
{
    static const char depth[] = "@depth";
    const char *at = (const char *)memmem(stream.at, stream.length, depth, sizeof(depth) - 1);
    if (at == nullptr)
        return false;
    at += sizeof(depth) - 1;
    return at < stream.at + stream.length && *at >= '0' && *at <= '9';
}

void take_depth(taker &t, binance_message *m)
{
    m->first = t.number('U');
    m->id = t.number('u');
    m->bids = t.levels('b');
    m->asks = t.levels('a');
    if (is_partial(m->stream))
        m->kind = BINANCE_PARTIAL;
    else if (t.d->line == BINANCE_USDM)
        m->first = t.number(PREVIOUS) + 1;
    t.whole = t.whole && m->first <= m->id;
}

void take_snapshot(taker &t, binance_message *m)
{
    m->id = t.number(LAST_UPDATE_ID);
    m->bids = t.levels(BIDS);
    m->asks = t.levels(ASKS);
}

binance_kind kind_of_event(adapter_text e, const taker &t)
{
    static constexpr struct {
        json_word name;
        binance_kind kind;
    } kinds[] = {
        {"trade", BINANCE_TRADE},
        {"aggTrade", BINANCE_AGG_TRADE},
        {"depthUpdate", BINANCE_DEPTH},
        {"bookTicker", BINANCE_QUOTE},
        {"kline", BINANCE_IGNORED},
        {"24hrTicker", BINANCE_IGNORED},
        {"24hrMiniTicker", BINANCE_IGNORED},
        {"serverShutdown", BINANCE_SHUTDOWN},
    };
    for (const auto &known : kinds)
        if (json_is(e, known.name)) /* another line's events: their rule is another */
            return known.kind == BINANCE_DEPTH && t.has(PREVIOUS) != (t.d->line == BINANCE_USDM)
                       ? BINANCE_UNKNOWN
                       : known.kind;
    return BINANCE_UNKNOWN;
}

binance_kind kind_of(const taker &t)
{
    const field &e = t.d->fields[EVENT];
    if (e.type == TEXT)
        return kind_of_event(e.text, t);
    if (e.type != ABSENT)
        return BINANCE_BAD;
    if (t.has(LAST_UPDATE_ID) && (t.has(BIDS) || t.has(ASKS)))
        return t.has('E') != (t.d->line == BINANCE_USDM) ? BINANCE_UNKNOWN : BINANCE_SNAPSHOT;
    if (t.has('u') && t.has('s'))
        return BINANCE_QUOTE;
    if (t.has(CODE) || t.has(ERROR_OBJECT))
        return BINANCE_REFUSED;
    return t.has(RESULT) && t.has(REQUEST_ID) ? BINANCE_ACK : BINANCE_UNKNOWN;
}

void classify(const binance_decoder *d, binance_message *m)
{
    taker t{d};
    m->stream = d->stream;
    m->kind = kind_of(t);
    if (m->kind == BINANCE_TRADE || m->kind == BINANCE_AGG_TRADE)
        take_trade(t, m);
    else if (m->kind == BINANCE_QUOTE)
        take_quote(t, m);
    else if (m->kind == BINANCE_DEPTH)
        take_depth(t, m);
    else if (m->kind ==
             BINANCE_SNAPSHOT) { /* of spot also a small book, whose stream has the symbol */
        take_snapshot(t, m);
        const char *mark = (const char *)memchr(m->stream.at, '@', m->stream.length);
        if (mark != nullptr)
            m->symbol = {m->stream.at, uint32_t(mark - m->stream.at)};
    } else {
        if (t.has(REQUEST_ID) && d->fields[REQUEST_ID].type == NUMBER)
            m->id = t.number(REQUEST_ID);
        if (t.has(ANSWER) && d->fields[ANSWER].type == TEXT)
            m->answer = d->fields[ANSWER].text;
        return;
    }
    /* The symbol is kept even of a message that is not whole: it says where something is missing. */
    if (m->kind != BINANCE_SNAPSHOT)
        m->symbol = t.text('s');
    if (t.has('E'))
        m->event_time = t.number('E');
    if (!t.whole) {
        m->kind = BINANCE_BAD;
        if (d->fields[SYMBOL].type != TEXT)
            m->symbol = {"", 0};
    }
}

/* A number of decimals as the step that it means. */
bool read_decimals(json_reader &r, adapter_text &out)
{
    static constexpr const char *steps[] = {
        "1",     "1e-1",  "1e-2",  "1e-3",  "1e-4",  "1e-5",  "1e-6",  "1e-7",  "1e-8", "1e-9",
        "1e-10", "1e-11", "1e-12", "1e-13", "1e-14", "1e-15", "1e-16", "1e-17", "1e-18"};
    int64_t decimals;
    if (!json_unsigned(r, decimals) || decimals >= int64_t(sizeof(steps) / sizeof(steps[0])))
        return false;
    out = {steps[decimals], uint32_t(strlen(steps[decimals]))};
    return true;
}

/* Which filter it is may stand behind what it says. */
bool read_filter(json_reader &r, adapter_market_text &m)
{
    adapter_text kind = {"", 0}, tick = {"", 0}, step = {"", 0};
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        return json_is(name, "filterType") ? json_string(value, kind)
               : json_is(name, "tickSize") ? json_string(value, tick)
               : json_is(name, "stepSize") ? json_string(value, step)
                                           : true;
    });
    if (json_is(kind, "PRICE_FILTER"))
        m.tick_size = tick;
    if (json_is(kind, "LOT_SIZE"))
        m.step_size = step;
    return whole && kind.length > 0;
}

bool read_filters(json_reader &r, adapter_market_text &m)
{
    return json_array(r, [&](json_reader &filter) { return read_filter(filter, m); });
}

/* One market. An unreadable one makes the listing bad. */
bool read_market(const binance_decoder *d, json_reader &r, adapter_market_text &m)
{
    const bool decimals = d->line == BINANCE_LIKE_MEXC; /* instead of filters */
    bool precise = false;
    bool readable = json_object(r, [&](adapter_text name, json_reader &value) {
        if (!decimals && json_is(name, "filters"))
            return precise = read_filters(value, m);
        if (decimals && json_is(name, "quotePrecision"))
            return precise = read_decimals(value, m.tick_size);
        if (decimals && json_is(name, "baseAssetPrecision"))
            return read_decimals(value, m.step_size);
        return json_is(name, "symbol")        ? json_string(value, m.symbol)
               : json_is(name, "baseAsset")   ? json_string(value, m.base)
               : json_is(name, "quoteAsset")  ? json_string(value, m.quote)
               : json_is(name, "marginAsset") ? json_string(value, m.settle) /* a contract's */
                                              : true;
    });
    return readable && precise && m.symbol.length > 0 && m.base.length > 0 && m.quote.length > 0;
}

} // namespace

binance_decoder *binance_decoder_create(binance_line line)
{
    binance_decoder *d = json_decoder_create<binance_decoder>(ADAPTER_MESSAGE_BYTES);
    if (d != nullptr)
        d->line = line;
    return d;
}

void binance_decoder_destroy(binance_decoder *d)
{
    json_decoder_destroy(d);
}

void binance_decode(binance_decoder *d, const char *bytes, size_t length, binance_message *out)
{
    json_reader r;
    *out = binance_message();
    reset(d);
    if (json_parse(d->parser, bytes, length, r) && read_object(d, r, 0) && json_ended(r))
        classify(d, out);
}

int binance_decode_listing(binance_decoder *d, const char *bytes, size_t length,
                           void (*each)(void *context, const adapter_market_text *market),
                           void *context)
{
    auto find = [](json_reader &r, auto list) { return json_member(r, "symbols", list); };
    auto read = [&](json_reader &r, adapter_market_text &market) {
        return read_market(d, r, market);
    };
    return json_listing(d, bytes, length, adapter_market_text(), find, read, each, context);
}
