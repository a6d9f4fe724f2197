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

uint64_t whole(ondemand::object &o, const char *key)
{
    return o.find_field(key).get_uint64();
}

/* Prices and sizes: simdjson's own conversion, to binary floating point. */
double decimal(ondemand::object &o, const char *key)
{
    return o.find_field(key).get_double_in_string();
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

double levels(ondemand::object &o, const char *key)
{
    double sum = 0;
    for (ondemand::array level : o.find_field(key).get_array())
        for (auto part : level)
            sum += double(part.get_double_in_string());
    return sum;
}

double leaf(ondemand::value value, ondemand::json_type type)
{
    double number;
    if (type == ondemand::json_type::number)
        return value.get_double();
    if (type == ondemand::json_type::string) {
        std::string_view token = value.raw_json_token();
        bool is_number = token.size() > 1 && token[1] >= '0' && token[1] <= '9';
        if (is_number && value.get_double_in_string().get(number) == SUCCESS)
            return number;
    }
    std::string_view token = value.raw_json_token();
    return double(token.size());
}

double walk(ondemand::value value)
{
    ondemand::json_type type = value.type();
    double sum = 0;
    if (type == ondemand::json_type::object)
        for (auto field : value.get_object())
            sum += walk(field.value());
    else if (type == ondemand::json_type::array)
        for (auto element : value.get_array())
            sum += walk(element.value());
    else
        sum = leaf(value, type);
    return sum;
}

/* Not 0, whatever was read. */
uint64_t sum_of(double sum)
{
    return uint64_t(sum < 0 ? -sum : sum) % 1000 + 1;
}

} // namespace

uint64_t bare_all(const char *bytes, size_t length)
{
    try {
        ondemand::document doc = parser.iterate(bytes, length, length + SIMDJSON_PADDING);
        ondemand::json_type type = doc.type();
        double sum = 0;
        if (type == ondemand::json_type::array)
            for (auto element : doc.get_array())
                sum += walk(element.value());
        else
            for (auto field : doc.get_object())
                sum += walk(field.value());
        return sum_of(sum);
    } catch (const simdjson_error &) {
        return 0;
    }
}

uint64_t bare_trade(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        uint64_t sum = text(d, "e") + whole(d, "E") + text(d, "s") + whole(d, "t");
        double numbers = decimal(d, "p") + decimal(d, "q");
        sum += uint64_t(d["T"].get_uint64()); /* of futures it stood before */
        bool maker = d.find_field("m").get_bool();
        return sum + maker + sum_of(numbers);
    });
}

/* Futures send "e" first; there it is passed over. */
uint64_t bare_quote(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        uint64_t sum = whole(d, "u") + text(d, "s");
        double numbers = decimal(d, "b") + decimal(d, "B") + decimal(d, "a") + decimal(d, "A");
        return sum + sum_of(numbers);
    });
}

uint64_t bare_depth(const char *bytes, size_t length)
{
    return with_data(bytes, length, [](ondemand::object &d) {
        uint64_t sum = text(d, "e") + whole(d, "E") + text(d, "s") + whole(d, "U") + whole(d, "u");
        return sum + sum_of(levels(d, "b") + levels(d, "a"));
    });
}

const char *bare_kernel(void)
{
#define NAME_OF(word) #word
#define NAME(word) NAME_OF(word)
    return NAME(SIMDJSON_BUILTIN_IMPLEMENTATION);
}
