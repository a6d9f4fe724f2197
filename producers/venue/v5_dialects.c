/* Bybit v5 (spot, linear contracts) and OKX v5. Facts and wording: the venues' own documentation of their public channels. */
#include <stdio.h>
#include <string.h>

#include "v5.h"

static void put_step(struct protocol_text *out, int exp)
{
    protocol_put(out, "\"");
    protocol_step(out, exp);
    protocol_put(out, "\"");
}

static bool copy_name(struct json_span text, char out[PROTOCOL_STREAM_BYTES])
{
    if (text.length == 0 || text.length >= PROTOCOL_STREAM_BYTES)
        return false;
    memcpy(out, text.at, text.length);
    out[text.length] = '\0';
    return true;
}

/* ---- Bybit ---- */

static bool bybit_frame_name(struct json_span frame, char out[PROTOCOL_STREAM_BYTES])
{
    struct json_span topic;
    return json_find(frame, "topic", &topic) && json_text(topic, &topic) && copy_name(topic, out);
}

static bool bybit_argument_name(struct json_span argument, char out[PROTOCOL_STREAM_BYTES])
{
    struct json_span text;
    return json_text(argument, &text) && copy_name(text, out);
}

static const char *bybit_symbol(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? NULL : dot + 1;
}

static bool bybit_is_book(const char *name)
{
    return strncmp(name, "orderbook.", 10) == 0 && strncmp(name, "orderbook.1.", 12) != 0;
}

static bool bybit_book_data(struct json_span frame, struct json_span *out_data)
{
    return json_find(frame, "data", out_data);
}

static bool bybit_same(const char *wanted, const char *recorded)
{
    return bybit_is_book(wanted) && bybit_is_book(recorded) &&
           strcmp(bybit_symbol(wanted), bybit_symbol(recorded)) == 0;
}

static void bybit_answer(struct protocol_text *out, struct json_span request, bool success,
                         const char *message, const char *argument, const char *op)
{
    struct json_span id;
    protocol_printf(out, "{\"success\":%s,\"ret_msg\":\"%s%.64s\",\"conn_id\":\"tickbus-venue\",",
                    success ? "true" : "false", message, argument);
    if (json_find(request, "req_id", &id)) {
        protocol_put(out, "\"req_id\":");
        protocol_append(out, id.at, id.length);
        protocol_put(out, ",");
    }
    protocol_printf(out, "\"op\":\"%.16s\"}", op);
}

static void bybit_agree(struct protocol_text *out, struct json_span request,
                        struct json_span argument, const char *op)
{
    (void)argument;
    bybit_answer(out, request, true, op, "", op);
}

static void bybit_refuse(struct protocol_text *out, struct json_span request, const char *argument,
                         const char *op, bool again)
{
    bybit_answer(out, request, false,
                 argument[0] == '\0' ? "error:bad request"
                 : again             ? "error:already subscribed,topic:"
                                     : "error:handler not found,topic:",
                 argument, op);
}

static bool bybit_pong(struct protocol_text *out, struct json_span message)
{
    struct json_span op;
    if (!json_find(message, "op", &op) || !json_is(op, "\"ping\""))
        return false;
    bybit_answer(out, message, true, "pong", "", "ping");
    return true;
}

static bool bybit_listed(const char *query, const struct adapter_market_config *m)
{
    const char *at = strstr(query, "symbol=");
    if ((strstr(query, "category=linear") != NULL) != v5_is_contract(m))
        return false;
    if (at == NULL)
        return true;
    at += strlen("symbol=");
    size_t length = strcspn(at, "&");
    return length == strlen(m->raw) && memcmp(at, m->raw, length) == 0;
}

static void bybit_list(struct protocol_text *out, const struct adapter_market_config *m)
{
    int length;
    const char *quote = protocol_quote(m, &length);
    protocol_printf(out,
                    "{\"symbol\":\"%s\",\"baseCoin\":\"%.*s\",\"quoteCoin\":\"%.*s\","
                    "\"status\":\"Trading\",",
                    m->raw, protocol_base(m), m->symbol, length, quote);
    if (v5_is_contract(m))
        protocol_printf(out, "\"contractType\":\"LinearPerpetual\",\"settleCoin\":\"%.*s\",",
                        length, quote);
    protocol_printf(out,
                    "\"lotSizeFilter\":{\"%s\":", v5_is_contract(m) ? "qtyStep" : "basePrecision");
    put_step(out, m->size_exp);
    protocol_put(out, "},\"priceFilter\":{\"tickSize\":");
    put_step(out, m->price_exp);
    protocol_put(out, "}}");
}

enum { BYBIT_TS, BYBIT_CTS, BYBIT_U, BYBIT_SEQ };

static void bybit_book(struct protocol_text *out, const struct v5_stream *s,
                       const struct adapter_market_config *m)
{
    protocol_printf(
        out,
        "{\"topic\":\"%s\",\"ts\":%s,\"type\":\"snapshot\",\"data\":{\"s\":\"%s\",\"b\":", s->name,
        s->id[BYBIT_TS], m->raw);
    v5_levels(out, s, TB_BUY, "");
    protocol_put(out, ",\"a\":");
    v5_levels(out, s, TB_SELL, "");
    protocol_printf(out, ",\"u\":%s,\"seq\":%s},\"cts\":%s}", s->id[BYBIT_U], s->id[BYBIT_SEQ],
                    s->id[BYBIT_CTS]);
}

const struct v5_dialect v5_bybit = {
    .path = "/v5/public/spot",
    .linear = "/v5/public/linear",
    .rules = {.message_bytes = 21000, /* of `args`; nearly the same */
              .connects = 500,
              .connects_per = 300 * TB_NS_PER_S,
              .idle = 600 * TB_NS_PER_S,
              .idle_code = 1000},
    .listing = "/v5/market/instruments-info",
    .type = "type",
    .bids = "b",
    .asks = "a",
    .ids = {"ts", "cts", "u", "seq"},
    .frame_name = bybit_frame_name,
    .argument_name = bybit_argument_name,
    .symbol = bybit_symbol,
    .is_book = bybit_is_book,
    .book_data = bybit_book_data,
    .same_stream = bybit_same,
    .agree = bybit_agree,
    .refuse = bybit_refuse,
    .args_max = 10,
    .once = true,
    .pong = bybit_pong,
    .list = bybit_list,
    .listed = bybit_listed,
    .list_begin = "{\"retCode\":0,\"retMsg\":\"OK\",\"result\":{\"category\":\"spot\",\"list\":[",
    .list_begin_linear =
        "{\"retCode\":0,\"retMsg\":\"OK\",\"result\":{\"category\":\"linear\",\"list\":[",
    .list_end = "]}}",
    .book = bybit_book,
};

/* ---- OKX ---- */

static bool okx_argument_name(struct json_span argument, char out[PROTOCOL_STREAM_BYTES])
{
    struct json_span channel, symbol;
    if (!json_find(argument, "channel", &channel) || !json_text(channel, &channel) ||
        !json_find(argument, "instId", &symbol) || !json_text(symbol, &symbol))
        return false;
    int length = snprintf(out, PROTOCOL_STREAM_BYTES, "%.*s:%.*s", (int)channel.length, channel.at,
                          (int)symbol.length, symbol.at);
    return length < PROTOCOL_STREAM_BYTES;
}

static bool okx_frame_name(struct json_span frame, char out[PROTOCOL_STREAM_BYTES])
{
    struct json_span argument, data;
    return json_find(frame, "data", &data) && json_find(frame, "arg", &argument) &&
           okx_argument_name(argument, out);
}

static const char *okx_symbol(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon == NULL ? NULL : colon + 1;
}

static bool okx_is_book(const char *name)
{
    return strncmp(name, "books:", 6) == 0;
}

static bool okx_book_data(struct json_span frame, struct json_span *out_data)
{
    struct json_walk w;
    struct json_span data;
    return json_find(frame, "data", &data) && json_enter(data, &w) && json_item(&w, out_data);
}

static bool okx_same(const char *wanted, const char *recorded)
{
    return strcmp(wanted, recorded) == 0;
}

static void okx_id(struct protocol_text *out, struct json_span request)
{
    struct json_span id;
    if (!json_find(request, "id", &id))
        return;
    protocol_put(out, "\"id\":");
    protocol_append(out, id.at, id.length);
    protocol_put(out, ",");
}

static void okx_agree(struct protocol_text *out, struct json_span request,
                      struct json_span argument, const char *op)
{
    protocol_put(out, "{");
    okx_id(out, request);
    protocol_printf(out, "\"event\":\"%.16s\",\"arg\":", op);
    protocol_append(out, argument.at, argument.length);
    protocol_put(out, ",\"connId\":\"tickbus\"}");
}

static void okx_refuse(struct protocol_text *out, struct json_span request, const char *argument,
                       const char *op, bool again)
{
    const char *symbol = okx_symbol(argument);
    (void)op, (void)again;
    protocol_put(out, "{");
    okx_id(out, request);
    if (symbol == NULL)
        protocol_put(out, "\"event\":\"error\",\"code\":\"60012\",\"msg\":\"Invalid request\"");
    else
        protocol_printf(
            out,
            "\"event\":\"error\",\"code\":\"60018\",\"msg\":\"Wrong URL or channel:%.*s,"
            "instId:%s doesn't exist. Please use the correct URL, channel and "
            "parameters referring to API document.\"",
            (int)(symbol - 1 - argument), argument, symbol);
    protocol_put(out, ",\"connId\":\"tickbus\"}");
}

static bool okx_pong(struct protocol_text *out, struct json_span message)
{
    if (!json_is(message, "ping"))
        return false;
    protocol_put(out, "pong");
    return true;
}

/* SPOT, SWAP or FUTURES (and options): a listing is of one kind. */
static bool okx_listed(const char *query, const struct adapter_market_config *m)
{
    const char *settle = strchr(m->symbol, ':');
    const char *kind = settle == NULL                ? "instType=SPOT"
                       : strchr(settle, '-') == NULL ? "instType=SWAP"
                                                     : "instType=FUTURES";
    return strstr(query, kind) != NULL;
}

static void okx_list(struct protocol_text *out, const struct adapter_market_config *m)
{
    int length;
    const char *quote = protocol_quote(m, &length);
    protocol_printf(
        out, "{\"instId\":\"%s\",\"baseCcy\":\"%.*s\",\"quoteCcy\":\"%.*s\",\"tickSz\":", m->raw,
        protocol_base(m), m->symbol, length, quote);
    put_step(out, m->price_exp);
    protocol_put(out, ",\"lotSz\":");
    put_step(out, m->size_exp);
    protocol_put(out, ",\"state\":\"live\"}");
}

enum { OKX_TS, OKX_CHECKSUM, OKX_SEQ };

/* The last checksum played is that of the book as it stands. Older recordings have no ids. */
static void okx_book(struct protocol_text *out, const struct v5_stream *s,
                     const struct adapter_market_config *m)
{
    protocol_printf(out,
                    "{\"arg\":{\"channel\":\"books\",\"instId\":\"%s\"},\"action\":\"snapshot\","
                    "\"data\":[{\"asks\":",
                    m->raw);
    v5_levels(out, s, TB_SELL, ",\"0\",\"1\"");
    protocol_put(out, ",\"bids\":");
    v5_levels(out, s, TB_BUY, ",\"0\",\"1\"");
    protocol_printf(out, ",\"ts\":%s,\"checksum\":%s", s->id[OKX_TS], s->id[OKX_CHECKSUM]);
    if (s->id[OKX_SEQ][0] != '\0')
        protocol_printf(out, ",\"prevSeqId\":-1,\"seqId\":%s", s->id[OKX_SEQ]);
    protocol_put(out, "}]}");
}

static bool okx_rest_name(const char *query, char out[PROTOCOL_STREAM_BYTES])
{
    struct json_span symbol;

    if (!protocol_query(query, "instId", &symbol))
        return false;
    int length = snprintf(out, PROTOCOL_STREAM_BYTES, "books:%.*s", (int)symbol.length, symbol.at);
    return length < PROTOCOL_STREAM_BYTES;
}

static void okx_rest_answer(struct protocol_text *out, const struct v5_stream *s)
{
    protocol_put(out, "{\"code\":\"0\",\"msg\":\"\",\"data\":[{\"asks\":");
    v5_levels(out, s, TB_SELL, ",\"0\",\"1\"");
    protocol_put(out, ",\"bids\":");
    v5_levels(out, s, TB_BUY, ",\"0\",\"1\"");
    protocol_printf(out, ",\"ts\":%s", s->id[OKX_TS]);
    if (s->id[OKX_SEQ][0] != '\0')
        protocol_printf(out, ",\"seqId\":%s", s->id[OKX_SEQ]);
    protocol_put(out, "}]}");
}

const struct v5_dialect v5_okx = {
    .path = "/ws/v5/public",
    .rules = {.messages = 480,
              .messages_per = 3600 * TB_NS_PER_S,
              .counted = "\"op\"",
              .refusal =
                  "{\"event\":\"error\",\"code\":\"60014\",\"msg\":\"Requests too frequent\","
                  "\"connId\":\"tickbus\"}",
              .message_bytes = 65536,
              .connects = 3,
              .connects_per = TB_NS_PER_S,
              .subscribe_within = 30 * TB_NS_PER_S,
              .idle = 30 * TB_NS_PER_S,
              .idle_code = 4004},
    .listing = "/api/v5/public/instruments",
    .rest_book = "/api/v5/market/books",
    .rest_name = okx_rest_name,
    .rest_answer = okx_rest_answer,
    .type = "action",
    .bids = "bids",
    .asks = "asks",
    .ids = {"ts", "checksum", "seqId"},
    .frame_name = okx_frame_name,
    .argument_name = okx_argument_name,
    .symbol = okx_symbol,
    .is_book = okx_is_book,
    .book_data = okx_book_data,
    .same_stream = okx_same,
    .agree = okx_agree,
    .refuse = okx_refuse,
    .agrees_each = true,
    .pong = okx_pong,
    .list = okx_list,
    .listed = okx_listed,
    .list_begin = "{\"code\":\"0\",\"msg\":\"\",\"data\":[",
    .list_end = "]}",
    .book = okx_book,
};
