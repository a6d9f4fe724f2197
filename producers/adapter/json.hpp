/*
 * JSON as every decoder reads it. simdjson's first stage finds where each token of a message begins: it has
 * kernels for each level of processor and takes the widest at run time, whatever level this is compiled
 * for. The tokens themselves are read here, in one pass from the first to the last: strings and numbers are
 * the text that stands in the message, nothing is unescaped, converted or copied, nothing throws. Measured
 * beside simdjson's own On-Demand reader, which is compiled for one level: bench/README.md.
 *
 * Bad bytes: every bracket, colon and comma on the way is checked; of a value that nobody reads, that its
 * brackets match.
 */
#ifndef TICKBUS_PRODUCERS_JSON_HPP
#define TICKBUS_PRODUCERS_JSON_HPP

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "bus/digits.h"
#include "producers/adapter/text.h"

/* ---- the first stage ---- */

struct json_parser;

/* For messages of up to `bytes` without further memory, of ADAPTER_MESSAGE_MAX with it. nullptr: no memory. */
json_parser *json_parser_create(size_t bytes);
void json_parser_destroy(json_parser *parser);

/* Stands at a token; copying it remembers the place. */
struct json_reader {
    const char *bytes;
    const uint32_t *at;  /* where tokens begin, from the present one on */
    const uint32_t *end; /* behind the last one, where the message's length stands */

    /* The first character of the token; NUL: there is none any more. */
    char peek() const
    {
        return at < end ? bytes[*at] : '\0';
    }
};

/* A family's decoder, which has a `parser`; all else of it is zero. nullptr: no memory. */
template <typename decoder> inline decoder *json_decoder_create(size_t bytes)
{
    static_assert(std::is_trivial<decoder>::value, "zero bytes make one");
    decoder *d = static_cast<decoder *>(calloc(1, sizeof(decoder)));
    if (d == nullptr || (d->parser = json_parser_create(bytes)) != nullptr)
        return d;
    free(d);
    return nullptr;
}

template <typename decoder> inline void json_decoder_destroy(decoder *d)
{
    if (d != nullptr)
        json_parser_destroy(d->parser);
    free(d);
}

/*
 * json_parse: the reader at the first token. False: not UTF-8, an open string, nothing at all, or no memory.
 * bytes[] is padded (ADAPTER_PADDING); the places are good until the next call.
 */
bool json_parse(json_parser *parser, const char *bytes, size_t length, json_reader &out);

/* json_ended: all tokens were read: nothing follows the message. */
inline bool json_ended(const json_reader &r)
{
    return r.at == r.end;
}

/* ---- words ---- */

struct json_word {
    const char *at;
    uint32_t length;
    template <size_t N> constexpr json_word(const char (&word)[N]) : at(word), length(N - 1)
    {
    }
};

inline bool json_is(adapter_text text, json_word word)
{
    return text.length == word.length && memcmp(text.at, word.at, word.length) == 0;
}

inline bool json_begins(adapter_text text, json_word word)
{
    return text.length >= word.length && memcmp(text.at, word.at, word.length) == 0;
}

/* ---- values: each is read and passed, or left where it is (false) ---- */

/* The token at hand, which begins with something visible: blanks before the next one are not its. */
inline adapter_text json_token(const json_reader &r)
{
    const char *from = r.bytes + r.at[0], *end = r.bytes + r.at[1];
    while ((unsigned char)end[-1] <= ' ')
        end--;
    return {from, uint32_t(end - from)};
}

/*
 * The characters of a string where they stand. Escapes are left as they are: nothing that is taken from a
 * venue has any, and an escaped symbol is simply not ours.
 */
inline bool json_string(json_reader &r, adapter_text &out)
{
    if (r.peek() != '"')
        return false;
    adapter_text token = json_token(r);
    if (token.length < 2 || token.at[token.length - 1] != '"')
        return false;
    out = {token.at + 1, token.length - 2};
    r.at++;
    return true;
}

/* The characters of a bare number. Whether they are a decimal is seen when it is read as one. */
inline bool json_number(json_reader &r, adapter_text &out)
{
    char first = r.peek();
    if (first != '-' && (first < '0' || first > '9'))
        return false;
    out = json_token(r);
    r.at++;
    return true;
}

/* A decimal as text, whether the venue quotes its numbers or not. */
inline bool json_decimal(json_reader &r, adapter_text &out)
{
    return json_string(r, out) || json_number(r, out);
}

/* Text that is a whole number, 0 or more, as JSON writes it. */
inline bool json_digits(adapter_text text, int64_t &out)
{
    uint64_t value;
    if (!digits_unsigned(text.at, text.length, &value) || value > INT64_MAX ||
        (text.at[0] == '0' && text.length > 1))
        return false;
    out = int64_t(value);
    return true;
}

/* A bare whole number, 0 or more. */
inline bool json_unsigned(json_reader &r, int64_t &out)
{
    char first = r.peek();
    if (first < '0' || first > '9' || !json_digits(json_token(r), out))
        return false;
    r.at++;
    return true;
}

/* The same of either sign. */
inline bool json_integer(json_reader &r, int64_t &out)
{
    if (r.peek() != '-')
        return json_unsigned(r, out);
    adapter_text text = json_token(r);
    if (!json_digits({text.at + 1, text.length - 1}, out))
        return false;
    out = -out;
    r.at++;
    return true;
}

inline bool json_truth(json_reader &r, bool &out)
{
    char first = r.peek();
    if (first != 't' && first != 'f')
        return false;
    adapter_text text = json_token(r);
    if (!json_is(text, "true") && !json_is(text, "false"))
        return false;
    out = first == 't';
    r.at++;
    return true;
}

/* json_skip: pass over one value, whatever it is. False: here stands none. */
bool json_skip_nested(json_reader &r);
inline bool json_skip(json_reader &r)
{
    char first = r.peek();
    if (first == '{' || first == '[')
        return json_skip_nested(r);
    if (first == '\0' || first == '}' || first == ']' || first == ',' || first == ':')
        return false;
    r.at++;
    return true;
}

/* ---- objects and arrays ---- */

/* After a member or an element: 1 there is another, 0 that was the last, -1 neither. */
inline int json_follows(json_reader &r, char closing)
{
    char next = r.peek();
    r.at += next != '\0';
    return next == ',' ? 1 : next == closing ? 0 : -1;
}

/*
 * Each member of an object: take(name, r) reads the value at r or leaves it where it is, then it is passed
 * over; false ends the reading.
 */
template <typename take_member> inline bool json_object(json_reader &r, take_member take)
{
    int more = 1;
    if (r.peek() != '{')
        return false;
    r.at++;
    if (r.peek() == '}')
        return json_follows(r, '}') == 0;
    while (more == 1) {
        adapter_text name;
        if (!json_string(r, name) || r.peek() != ':')
            return false;
        const uint32_t *value = ++r.at;
        if (!take(name, r) || (r.at == value && !json_skip(r)))
            return false;
        more = json_follows(r, '}');
    }
    return more == 0;
}

/* The same of an array: take(r). */
template <typename take_element> inline bool json_array(json_reader &r, take_element take)
{
    int more = 1;
    if (r.peek() != '[')
        return false;
    r.at++;
    if (r.peek() == ']')
        return json_follows(r, ']') == 0;
    while (more == 1) {
        const uint32_t *element = r.at;
        if (!take(r) || (r.at == element && !json_skip(r)))
            return false;
        more = json_follows(r, ']');
    }
    return more == 0;
}

/* One member of an object: take(r), as above; the others are passed over. False too: there is none. */
template <typename take_value>
inline bool json_member(json_reader &r, json_word wanted, take_value take)
{
    bool found = false;
    bool whole = json_object(r, [&](adapter_text name, json_reader &value) {
        if (!json_is(name, wanted))
            return true;
        found = true;
        return take(value);
    });
    return whole && found;
}

/* ---- listings ---- */

/*
 * Each market of a listing: read(r, market) takes one, which begins as `blank`; find(r, list) calls list(r) where
 * they stand. Their number; -EBADMSG: something in it is not as it should be; -ENOMEM: there is no decoder.
 */
template <typename decoder, typename market_text, typename find_list, typename read_market>
inline int json_listing(decoder *d, const char *bytes, size_t length, const market_text &blank,
                        find_list find, read_market read,
                        void (*each)(void *context, const market_text *market), void *context)
{
    json_reader r;
    int count = 0;
    auto element = [&](json_reader &value) {
        market_text market = blank;
        if (!read(value, market))
            return false;
        each(context, &market);
        count++;
        return true;
    };
    auto list = [&](json_reader &value) { return json_array(value, element); };
    if (d == nullptr)
        return -ENOMEM;
    return json_parse(d->parser, bytes, length, r) && find(r, list) ? count : -EBADMSG;
}

/* ---- levels ---- */

/* ["price","size"]; what comes after the first two is passed over. */
bool json_level_any(json_reader &r, adapter_level &out);

/* The same. Nearly every level is these two strings and no more: five tokens, looked at at once. */
inline bool json_level(json_reader &r, adapter_level &out)
{
    json_reader price = {r.bytes, r.at + 1, r.end}, size = {r.bytes, r.at + 3, r.end};
    if (r.end - r.at < 5 || r.bytes[r.at[0]] != '[' || r.bytes[r.at[2]] != ',' ||
        r.bytes[r.at[4]] != ']' || !json_string(price, out.price) || !json_string(size, out.size))
        return json_level_any(r, out);
    r.at += 5;
    return true;
}

struct json_level_store { /* of one message */
    adapter_level level[2 * ADAPTER_LEVELS_MAX];
    uint32_t count;
};

/* [["price","size"],...] */
inline bool json_levels(json_level_store &store, json_reader &r, adapter_levels &out)
{
    uint32_t first = store.count;
    bool whole = json_array(r, [&](json_reader &element) {
        if (store.count == 2 * ADAPTER_LEVELS_MAX || store.count - first == ADAPTER_LEVELS_MAX)
            return false;
        return json_level(element, store.level[store.count++]);
    });
    out = {store.level + first, store.count - first};
    return whole;
}

#endif
