#include "bench/bench_decode_bare.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

using namespace simdjson;

namespace
{

ondemand::parser parser;

/* Fields in the order in which the venue sends them: On-Demand's best case. */
uint64_t text(ondemand::object &o, const char *key)
{
    std::string_view s = o.find_field(key).get_string();
    return s.size() + uint64_t(s[0]);
}

uint64_t number(ondemand::object &o, const char *key)
{
    return o.find_field(key).get_uint64();
}

template <typename F> uint64_t with_data(const char *bytes, size_t length, F take)
{
    try {
        ondemand::document doc = parser.iterate(bytes, length, length + SIMDJSON_PADDING);
        ondemand::object data = doc.find_field("data");
        return take(data);
    } catch (const simdjson_error &) {
        return 0;
    }
}

uint64_t levels(ondemand::object &o, const char *key)
{
    uint64_t sum = 0;
    for (ondemand::array level : o.find_field(key).get_array())
        for (std::string_view s : level)
            sum += s.size() + uint64_t(s[0]);
    return sum;
}

uint64_t walk(ondemand::value value)
{
    uint64_t sum = 0;
    switch (value.type()) {
    case ondemand::json_type::object:
        for (auto field : value.get_object())
            sum += walk(field.value());
        return sum;
    case ondemand::json_type::array:
        for (auto element : value.get_array())
            sum += walk(element.value());
        return sum;
    default: {
        std::string_view token = value.raw_json_token();
        return token.size() + uint64_t(token[0]);
    }
    }
}

} // namespace

uint64_t bare_all(const char *bytes, size_t length)
{
    try {
        ondemand::document doc = parser.iterate(bytes, length, length + SIMDJSON_PADDING);
        uint64_t sum = 0;
        for (auto field : doc.get_object())
            sum += walk(field.value());
        return sum;
    } catch (const simdjson_error &) {
        return 0;
    }
}

uint64_t bare_trade(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        uint64_t sum = text(d, "e") + number(d, "E") + text(d, "s") + number(d, "t") +
                       text(d, "p") + text(d, "q") + number(d, "T");
        bool maker = d.find_field("m").get_bool();
        return sum + maker;
    });
}

uint64_t bare_quote(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        return number(d, "u") + text(d, "s") + text(d, "b") + text(d, "B") + text(d, "a") +
               text(d, "A");
    });
}

uint64_t bare_depth(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        return text(d, "e") + number(d, "E") + text(d, "s") + number(d, "U") + number(d, "u") +
               levels(d, "b") + levels(d, "a");
    });
}
