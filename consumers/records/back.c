/*
 * From named fields back to a record. What the names do not tell (a reserved byte that is not zero, a
 * code that this build does not know, an instrument that is missing) is in the field `bytes`: an export
 * makes each record again from its own fields, and adds them whole if the result is not the same.
 */
#include "consumers/records/records.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/candle.h>
#include <tickbus/clock.h>

/* Years 1970 .. 2200: what a time in an export can say and tb_time_parse() reads. */
#define TIME_MAX_SECONDS INT64_C(7258118400)

/* ---- putting fields in ---- */

void fields_put(struct fields *fields, const struct column *column, const char *text,
                __int128 number, int exp)
{
    static const enum field_kind kinds[] = {
        [COLUMN_TEXT] = FIELD_TEXT,
        [COLUMN_TIME] = FIELD_TIME,
        [COLUMN_BOOL] = FIELD_BOOL,
    };
    enum field_kind kind = column->kind < TB_COUNT(kinds) ? kinds[column->kind] : FIELD_NOTHING;
    if (fields->count < FIELDS_MAX)
        fields->field[fields->count++] =
            (struct field){.name = column->name,
                           .kind = kind == FIELD_NOTHING ? FIELD_NUMBER : kind,
                           .exp = exp,
                           .number = number,
                           .text = text};
}

/* "-12.5e3": a mantissa of 128 bits and an exponent. */
static bool parse_number(const char *text, __int128 *out_number, int *out_exp)
{
    bool negative = *text == '-', digits = false, point = false;
    __int128 number = 0;
    int exp = 0;
    for (text += negative; *text != 0 && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!isdigit((unsigned char)*text) ||
            __builtin_mul_overflow(number, (__int128)10, &number) ||
            __builtin_add_overflow(number, (__int128)(*text - '0'), &number))
            return false;
        digits = true;
        exp -= point;
    }
    if (*text != 0) {
        char *end;
        long more = strtol(text + 1, &end, 10);
        if (end == text + 1 || *end != 0 || more < -100 || more > 100)
            return false;
        exp += (int)more;
    }
    *out_number = negative ? -number : number;
    *out_exp = exp;
    return digits;
}

int fields_add(struct fields *fields, const struct column *column, const char *text,
               struct tb_error *err)
{
    __int128 number = 0;
    tb_ns time;
    int exp = 0;
    if (text == NULL || *text == 0)
        return 0;
    if (fields->count == FIELDS_MAX)
        return tb_fail(err, -EINVAL, "more fields than a record has, from %s on", column->name);
    switch (column->kind) {
    case COLUMN_TEXT:
        break;
    case COLUMN_TIME:
        if (tb_time_parse(text, 0, &time) != 0)
            return tb_fail(err, -EINVAL, "%s: \"%.40s\" is not a time", column->name, text);
        number = time;
        break;
    case COLUMN_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return tb_fail(err, -EINVAL, "%s: \"%.40s\" is neither true nor false", column->name,
                           text);
        number = *text == 't';
        break;
    case COLUMN_UNSIGNED:
    case COLUMN_SIGNED:
    case COLUMN_PRICE:
    case COLUMN_SIZE:
    case COLUMN_TURNOVER:
    case COLUMN_VALUE:
    default:
        if (!parse_number(text, &number, &exp))
            return tb_fail(err, -EINVAL, "%s: \"%.40s\" is not a decimal", column->name, text);
    }
    fields_put(fields, column, text, number, exp);
    return 0;
}

uint64_t fields_unsigned(const struct fields *fields, const char *name, uint64_t fallback)
{
    const struct field *f = fields_find(fields, name);
    if (f == NULL || f->kind != FIELD_NUMBER || f->exp != 0 || f->number < 0 ||
        f->number > UINT64_MAX)
        return fallback;
    return (uint64_t)f->number;
}

const char *fields_text(const struct fields *fields, const char *name)
{
    const struct field *f = fields_find(fields, name);
    return f == NULL || f->kind != FIELD_TEXT ? NULL : f->text;
}

/* ---- taking fields out: the first fault stays ---- */

struct taker {
    const struct fields *fields;
    const struct tb_instrument *in;
    struct tb_error *err;
    size_t at; /* fields are mostly asked for in their order */
    int rc;
};

static const struct field *take(struct taker *t, const char *name)
{
    size_t count = t->fields->count;
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &t->fields->field[(t->at + i) % count];
        if (strcmp(f->name, name) == 0) {
            t->at = (t->at + i + 1) % count;
            return f->kind == FIELD_NOTHING ? NULL : f;
        }
    }
    return NULL;
}

static __int128 wrong(struct taker *t, const char *name, const char *what)
{
    if (t->rc == 0)
        t->rc = tb_fail(t->err, -EINVAL, "field %s %s", name, what);
    return 0;
}

static __int128 take_number(struct taker *t, const char *name, int exp, __int128 min, __int128 max)
{
    const struct field *f = take(t, name);
    if (f == NULL || f->kind == FIELD_TEXT)
        return wrong(t, name, "is missing");
    __int128 number = f->number;
    for (int e = f->exp; e > exp; e--)
        if (__builtin_mul_overflow(number, (__int128)10, &number))
            return wrong(t, name, "is too large");
    for (int e = f->exp; e < exp; e++) {
        if (number % 10 != 0)
            return wrong(t, name, "has more digits than its instrument");
        number /= 10;
    }
    if (number < min || number > max)
        return wrong(t, name, "is out of range");
    return number;
}

static uint64_t take_unsigned(struct taker *t, const char *name, uint64_t max)
{
    return (uint64_t)take_number(t, name, 0, 0, max);
}

/* Left out where it is zero. */
static uint64_t take_given(struct taker *t, const char *name, uint64_t max)
{
    return take(t, name) == NULL ? 0 : take_unsigned(t, name, max);
}

static int64_t take_mantissa(struct taker *t, const char *name, int exp)
{
    if (t->in == NULL)
        return (int64_t)wrong(t, name, "has no instrument");
    return (int64_t)take_number(t, name, exp, INT64_MIN, INT64_MAX);
}

static int64_t take_price(struct taker *t, const char *name)
{
    return take_mantissa(t, name, t->in != NULL ? t->in->price_exp : 0);
}

static int64_t take_size(struct taker *t, const char *name)
{
    return take_mantissa(t, name, t->in != NULL ? t->in->size_exp : 0);
}

static tb_ns take_time(struct taker *t, const char *name)
{
    const struct field *f = take(t, name);
    return f == NULL || f->kind != FIELD_TIME ? 0 : (tb_ns)f->number;
}

static const char *take_text(struct taker *t, const char *name)
{
    const struct field *f = take(t, name);
    return f == NULL || f->kind != FIELD_TEXT ? NULL : f->text;
}

/* The code 0 .. limit whose name this is. */
#define TAKE_CODE(name_of, code_type)                                                              \
    static code_type take_##name_of(struct taker *t, const char *field)                            \
    {                                                                                              \
        const char *text = take_text(t, field);                                                    \
        for (code_type code = 0; text != NULL && code < 64; code++)                                \
            if (name_of(code) != NULL && strcmp(name_of(code), text) == 0)                         \
                return code;                                                                       \
        return (code_type)wrong(t, field, "is missing or has no such value");                      \
    }
TAKE_CODE(tb_gap_reason_name, uint32_t)
TAKE_CODE(tb_channel_name, uint32_t)
TAKE_CODE(tb_status_name, uint32_t)
TAKE_CODE(tb_alert_state_name, uint8_t)
TAKE_CODE(tb_severity_name, uint8_t)

static uint8_t take_word(struct taker *t, const char *field, const char *const *words,
                         const char *codes, uint8_t none)
{
    const char *text = take_text(t, field);
    if (text == NULL)
        return none;
    for (size_t i = 0; codes[i] != 0; i++)
        if (strcmp(text, words[i]) == 0)
            return (uint8_t)codes[i];
    return (uint8_t)wrong(t, field, "has no such value");
}

static uint8_t take_flags(struct taker *t)
{
    static const char *const names[] = {
        "last", "tob", "snapshot", "mbp", "bad_ts_recv", "maybe_bad_book", "forming"};
    const char *text = take_text(t, "flags");
    unsigned flags = 0;
    while (text != NULL && *text != 0) {
        size_t length = strcspn(text, "|"), i = 0;
        while (i < TB_COUNT(names) &&
               (strlen(names[i]) != length || memcmp(names[i], text, length) != 0))
            i++;
        if (i == TB_COUNT(names))
            return (uint8_t)wrong(t, "flags", "has no such value");
        flags |= 0x80U >> i;
        text += length + (text[length] == '|');
    }
    return (uint8_t)flags;
}

/* ---- by type ---- */

static const char *const sides[] = {"buy", "sell"};
static const char *const book_sides[] = {"bid", "ask"};
static const char *const actions[] = {"add", "modify", "remove"};

static void take_trade(struct taker *t, struct tb_trade *out)
{
    out->side = take_word(t, "side", sides, "BA", TB_NO_SIDE);
    out->price = take_price(t, "price");
    out->size = take_size(t, "size");
    out->trade_id = take_unsigned(t, "trade_id", UINT64_MAX);
    out->count = (uint16_t)take_unsigned(t, "count", UINT16_MAX);
    out->venue_seq = (uint32_t)take_given(t, "venue_seq", UINT32_MAX);
    out->action = TB_TRADED;
}

static void take_level(struct taker *t, struct tb_level *out)
{
    out->side = take_word(t, "side", book_sides, "BA", 0);
    out->price = take_price(t, "price");
    out->size = take_size(t, "size");
    out->action = take_word(t, "action", actions, "AMC", 0);
    out->level = (uint16_t)take_given(t, "level", UINT16_MAX);
    out->orders = (uint32_t)take_given(t, "orders", UINT32_MAX);
    out->update_id = take_unsigned(t, "update_id", UINT64_MAX);
}

static void take_candle(struct taker *t, struct tb_record *r)
{
    const char *name = take_text(t, "timeframe");
    int timeframe = name == NULL ? -EINVAL : tb_timeframe_parse(name);
    if (timeframe < 0) {
        (void)wrong(t, "timeframe", "is missing or has no such value");
        return;
    }
    bool prices = r->type == TB_CANDLE;
    r->type = (uint8_t)(r->type + timeframe);
    if (prices) {
        r->candle.open = take_price(t, "open");
        r->candle.high = take_price(t, "high");
        r->candle.low = take_price(t, "low");
        r->candle.close = take_price(t, "close");
        return;
    }
    int exp = t->in != NULL ? t->in->price_exp + t->in->size_exp : 0;
    __int128 limit = (__int128)1 << 95;
    r->candle_volume.volume = take_size(t, "volume");
    __int128 turnover = take_number(t, "turnover", exp, -limit, limit - 1);
    r->candle_volume.turnover_low = (uint64_t)turnover;
    r->candle_volume.turnover_high = (int32_t)(turnover >> 64);
    r->candle_volume.trades = (uint32_t)take_unsigned(t, "trades", UINT32_MAX);
    r->candle_volume.taker_buy_volume = take_size(t, "taker_buy_volume");
}

static void take_gap(struct taker *t, struct tb_gap *out)
{
    out->reason = take_tb_gap_reason_name(t, "reason");
    out->channel = take_tb_channel_name(t, "channel");
    out->from = take_unsigned(t, "from", UINT64_MAX);
    out->to = take_unsigned(t, "to", UINT64_MAX);
    out->missing = take_unsigned(t, "missing", UINT64_MAX);
}

static void take_alert(struct taker *t, struct tb_alert *out)
{
    out->value_exp = (int8_t)take_number(t, "value_exp", 0, TB_EXP_MIN, 0);
    out->value = (int64_t)take_number(t, "value", out->value_exp, INT64_MIN, INT64_MAX);
    out->threshold = (int64_t)take_number(t, "threshold", out->value_exp, INT64_MIN, INT64_MAX);
    out->since = take_time(t, "since");
    out->state = take_tb_alert_state_name(t, "state");
    out->severity = take_tb_severity_name(t, "severity");
    out->alert_id = (uint32_t)take_unsigned(t, "alert_id", UINT32_MAX);
}

static void take_body(struct taker *t, struct tb_record *r)
{
    static const char *const names[] = {"body0", "body1", "body2", "body3"};
    switch (r->type) {
    case TB_TRADE:
        take_trade(t, &r->trade);
        break;
    case TB_QUOTE:
        r->quote.bid_price = take_price(t, "bid_price");
        r->quote.bid_size = take_size(t, "bid_size");
        r->quote.ask_price = take_price(t, "ask_price");
        r->quote.ask_size = take_size(t, "ask_size");
        break;
    case TB_LEVEL:
        take_level(t, &r->level);
        break;
    case TB_CLEAR:
        r->level.update_id = take_unsigned(t, "update_id", UINT64_MAX);
        break;
    case TB_GAP:
        take_gap(t, &r->gap);
        break;
    case TB_STATUS:
        r->status.code = take_tb_status_name(t, "code");
        r->status.detail = (int64_t)take_number(t, "detail", 0, INT64_MIN, INT64_MAX);
        r->status.pid = (uint32_t)take_unsigned(t, "pid", UINT32_MAX);
        break;
    case TB_ALERT:
        take_alert(t, &r->alert);
        break;
    case TB_CANDLE:
    case TB_CANDLE_VOLUME:
        take_candle(t, r);
        break;
    default:
        for (size_t i = 0; i < TB_COUNT(names); i++)
            r->body[i] = take_unsigned(t, names[i], UINT64_MAX);
        break;
    }
}

static int from_hex(const char *text, unsigned char *out, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * count)
        return -EINVAL;
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL)
            return -EINVAL;
        out[i / 2] = (unsigned char)(out[i / 2] << 4 | (digit - digits));
    }
    return 0;
}

int fields_record(const struct fields *fields, const struct tb_instrument *in,
                  struct tb_record *out_record, struct tb_error *err)
{
    struct taker t = {.fields = fields, .in = in, .err = err};
    struct tb_record r;
    memset(&r, 0, sizeof(r));
    const char *bytes = fields_text(fields, "bytes");
    if (bytes != NULL) {
        if (from_hex(bytes, (unsigned char *)out_record, sizeof(*out_record)) != 0)
            return tb_fail(err, -EINVAL, "field bytes is not 128 hexadecimal digits");
        return 0;
    }
    r.seq = take_unsigned(&t, "seq", UINT64_MAX);
    const char *name = take_text(&t, "type");
    int type = name == NULL ? -EINVAL : tb_record_type_parse(name);
    if (type < 0)
        return tb_fail(err, -EINVAL, "field type is missing or names none: \"%.40s\"",
                       name ? name : "");
    r.type = (uint8_t)type;
    r.instrument = (uint16_t)take_unsigned(&t, "instrument", UINT16_MAX);
    r.ts_event = take_time(&t, "ts_event");
    r.ts_recv = take_time(&t, "ts_recv");
    r.publish_delta_ns = (uint32_t)take_unsigned(&t, "publish_delta_ns", UINT32_MAX);
    r.flags = take_flags(&t);
    take_body(&t, &r);
    if (t.rc == 0)
        *out_record = r;
    return t.rc;
}

static void take_name(struct taker *t, const char *name, char *out, size_t bytes)
{
    const char *text = take_text(t, name);
    if (text != NULL && strlen(text) >= bytes)
        (void)wrong(t, name, "is too long");
    else if (text != NULL)
        memcpy(out, text, strlen(text));
}

int fields_instrument(const struct fields *fields, struct tb_instrument *out_entry,
                      struct tb_error *err)
{
    struct taker t = {.fields = fields, .err = err};
    struct tb_instrument entry;
    memset(&entry, 0, sizeof(entry));
    take_name(&t, "venue", entry.venue, sizeof(entry.venue));
    take_name(&t, "symbol", entry.symbol, sizeof(entry.symbol));
    take_name(&t, "raw", entry.raw, sizeof(entry.raw));
    take_name(&t, "label", entry.label, sizeof(entry.label));
    take_name(&t, "first_stream", entry.stream, sizeof(entry.stream));
    entry.price_exp = (int8_t)take_number(&t, "price_exp", 0, TB_EXP_MIN, 0);
    entry.size_exp = (int8_t)take_number(&t, "size_exp", 0, TB_EXP_MIN, 0);
    if (t.rc == 0)
        *out_entry = entry;
    return t.rc;
}

/* ---- what an export adds ---- */

static void put_number(struct fields *f, const char *name, __int128 number)
{
    fields_put(f, fields_column(name), NULL, number, 0);
}

/* An empty text is nothing, as in what is read back. */
static void put_text(struct fields *f, const char *name, const char *text)
{
    if (*text != 0)
        fields_put(f, fields_column(name), text, 0, 0);
}

/* A time that can not be read back is left out, and is in `bytes`. */
static bool times_fit(struct fields *f)
{
    bool fit = true;
    for (size_t i = 0; i < f->count; i++)
        if (f->field[i].kind == FIELD_TIME &&
            (f->field[i].number < 0 || f->field[i].number / TB_NS_PER_S > TIME_MAX_SECONDS)) {
            f->field[i].kind = FIELD_NOTHING;
            fit = false;
        }
    return fit;
}

void fields_of_export(const struct record_item *item, bool exps, struct fields *out_fields)
{
    static const char digits[] = "0123456789abcdef";
    const struct tb_record *r = item->record;
    struct tb_record again;
    fields_of(item, out_fields);
    put_number(out_fields, "epoch", item->epoch);
    put_number(out_fields, "instrument", r->instrument);
    if (r->type == TB_ALERT)
        put_number(out_fields, "value_exp", r->alert.value_exp);
    if (exps && item->instrument != NULL) {
        put_number(out_fields, "price_exp", item->instrument->price_exp);
        put_number(out_fields, "size_exp", item->instrument->size_exp);
    }
    if (times_fit(out_fields) && fields_record(out_fields, item->instrument, &again, NULL) == 0 &&
        memcmp(&again, r, sizeof(again)) == 0)
        return;
    for (size_t i = 0; i < sizeof(*r); i++) {
        unsigned char byte = ((const unsigned char *)r)[i];
        out_fields->bytes[2 * i] = digits[byte >> 4];
        out_fields->bytes[2 * i + 1] = digits[byte & 15];
    }
    out_fields->bytes[2 * sizeof(*r)] = 0;
    put_text(out_fields, "bytes", out_fields->bytes);
}

void fields_of_instrument(const char *stream, uint64_t epoch, uint16_t id,
                          const struct tb_instrument *entry, struct fields *out_fields)
{
    struct fields *f = out_fields;
    f->count = 0;
    put_text(f, "stream", stream);
    put_number(f, "epoch", epoch);
    put_text(f, "type", "instrument");
    put_text(f, "venue", entry->venue);
    put_text(f, "symbol", entry->symbol);
    put_number(f, "instrument", id);
    put_text(f, "raw", entry->raw);
    put_text(f, "label", entry->label);
    put_text(f, "first_stream", entry->stream);
    put_number(f, "price_exp", entry->price_exp);
    put_number(f, "size_exp", entry->size_exp);
}
