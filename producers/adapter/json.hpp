/*
 * simdjson On-Demand, and what every decoder does with it: strings and numbers are taken as the text that
 * stands in the message, nothing is unescaped, converted or copied.
 */
#ifndef TICKBUS_PRODUCERS_JSON_HPP
#define TICKBUS_PRODUCERS_JSON_HPP

#include <cstring>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

#include "producers/adapter/text.h"

/* Reading fails only as a whole: any error of the parser makes the message bad. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        if ((expression) != simdjson::SUCCESS)                                                     \
            return false;                                                                          \
    } while (0)

inline bool json_is(adapter_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length == length && memcmp(text.at, word, length) == 0;
}

/* A key is compared where it stands: it ends before a quote. */
inline bool json_key_is(const char *name, const char *word)
{
    size_t length = strlen(word);
    return strncmp(name, word, length) == 0 && name[length] == '"';
}

/*
 * The characters of a JSON string where they stand: the token reaches to the next structural character,
 * so only blanks may follow the closing quote. Escapes are left as they are: nothing that is taken from
 * a venue has any, and an escaped symbol is simply not ours.
 */
inline bool json_string(simdjson::ondemand::value &value, adapter_text &out)
{
    std::string_view token = value.raw_json_token();
    size_t end = token.size();
    while (end > 1 && token[end - 1] != '"')
        end--;
    if (end < 2 || token[0] != '"')
        return false;
    out = {token.data() + 1, uint32_t(end - 2)};
    return true;
}

/* The characters of a bare JSON number. Whether they are a decimal is seen when it is read as one. */
inline bool json_number(simdjson::ondemand::value &value, adapter_text &out)
{
    std::string_view token = value.raw_json_token();
    size_t end = token.size();
    while (end > 0 && (unsigned char)token[end - 1] <= ' ')
        end--;
    if (end == 0 || !(token[0] == '-' || (token[0] >= '0' && token[0] <= '9')))
        return false;
    out = {token.data(), uint32_t(end)};
    return true;
}

/*
 * Each member of an object: take(name, value) says whether reading may go on; a value that it does not read
 * is passed over. Looking for fields by name (find_field_unordered) is not for bytes of others: simdjson
 * 3.0.1 takes for granted that an object is well formed when it looks through it a second time.
 */
template <typename take_member> bool json_each(simdjson::ondemand::object object, take_member take)
{
    for (auto element : object) {
        simdjson::ondemand::field member;
        TRY(std::move(element).get(member));
        const char *name = member.key().raw();
        simdjson::ondemand::value value = member.value();
        if (!take(name, value))
            return false;
    }
    return true;
}

/* The same of an array. */
template <typename take_element> bool json_each(simdjson::ondemand::array array, take_element take)
{
    for (auto element : array) {
        simdjson::ondemand::value value;
        TRY(element.get(value));
        if (!take(value))
            return false;
    }
    return true;
}

struct json_level_store { /* of one message */
    adapter_level level[2 * ADAPTER_LEVELS_MAX];
    uint32_t count;
};

/* [["price","size"],...]; what comes after the first two of a level is passed over. */
inline bool json_levels(json_level_store &store, simdjson::ondemand::value &value,
                        adapter_levels &out)
{
    uint32_t first = store.count;
    simdjson::ondemand::array array;
    TRY(value.get_array().get(array));
    for (auto element : array) {
        simdjson::ondemand::value item;
        simdjson::ondemand::array pair;
        TRY(element.get(item));
        TRY(item.get_array().get(pair));
        if (store.count == 2 * ADAPTER_LEVELS_MAX || store.count - first == ADAPTER_LEVELS_MAX)
            return false;
        adapter_level &level = store.level[store.count];
        unsigned part = 0;
        for (auto piece : pair) {
            simdjson::ondemand::value text;
            TRY(piece.get(text));
            if (part < 2 && !json_string(text, part == 0 ? level.price : level.size))
                return false;
            part++;
        }
        if (part < 2)
            return false;
        store.count++;
    }
    out = {store.level + first, store.count - first};
    return true;
}

/* A decimal as text, whether the venue quotes its numbers or not. */
inline bool json_decimal(simdjson::ondemand::value &value, adapter_text &out)
{
    return json_number(value, out) || json_string(value, out);
}

#endif
