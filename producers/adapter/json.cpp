#include "producers/adapter/json.hpp"

#include <memory>
#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

/* The second stage is never run: its depth is of no interest. */
#define STAGE_TWO_DEPTH 1
/* Brackets that are open at one time in a value that nobody reads; no venue's messages have ten. */
#define DEPTH_MAX 64

struct json_parser {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

json_parser *json_parser_create(size_t bytes)
{
    json_parser *parser = new (std::nothrow) json_parser();
    if (parser != nullptr &&
        simdjson::get_active_implementation()->create_dom_parser_implementation(
            bytes, STAGE_TWO_DEPTH, parser->stage) == simdjson::SUCCESS)
        return parser;
    json_parser_destroy(parser);
    return nullptr;
}

void json_parser_destroy(json_parser *parser)
{
    delete parser;
}

bool json_parse(json_parser *parser, const char *bytes, size_t length, json_reader &out)
{
    simdjson::internal::dom_parser_implementation &stage = *parser->stage;
    if (length == 0 || length > ADAPTER_MESSAGE_MAX)
        return false;
    if (length > stage.capacity() && stage.allocate(length, stage.max_depth()) != simdjson::SUCCESS)
        return false;
    if (stage.stage1((const uint8_t *)bytes, length, simdjson::stage1_mode::regular) !=
        simdjson::SUCCESS)
        return false;
    uint32_t *places = stage.structural_indexes.get(), count = stage.n_structural_indexes;
    places[count] = uint32_t(length); /* where the last token ends; stage one keeps room for it */
    out = {bytes, places, places + count};
    return true;
}

bool json_skip_nested(json_reader &r)
{
    uint64_t squares = 0; /* one bit for each open bracket, the innermost lowest: [ and not { */
    unsigned depth = 0;
    do {
        char c = r.peek();
        if (c == '\0')
            return false;
        if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return false;
            squares = squares << 1 | (c == '[');
        } else if (c == ']' || c == '}') {
            if ((squares & 1) != (c == ']'))
                return false;
            squares >>= 1;
            depth--;
        }
        r.at++;
    } while (depth > 0);
    return true;
}

bool json_level_any(json_reader &r, adapter_level &out)
{
    unsigned part = 0;
    return json_array(r,
                      [&](json_reader &piece) {
                          part++;
                          return part > 2 || json_string(piece, part == 1 ? out.price : out.size);
                      }) &&
           part >= 2;
}
