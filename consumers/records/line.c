/* Records as lines: text for people, JSON and CSV for programs, raw for pipes. */
#include "consumers/records/records.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tickbus/decimal.h>

/* A line under construction; what does not fit is cut, and the newline always fits. */
struct line {
    char *text;
    size_t length;
};

static void put(struct line *line, const char *format, ...) TB_PRINTF(2, 3);

static void put(struct line *line, const char *format, ...)
{
    size_t room = LINE_BYTES - 1 - line->length;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (wanted > 0)
        line->length += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

static size_t end_line(struct line *line)
{
    line->text[line->length++] = '\n';
    return line->length;
}

const char *line_time(tb_ns t, bool local, int digits, char out[LINE_TIME_BYTES])
{
    time_t seconds = (time_t)(t / TB_NS_PER_S);
    long fraction = (long)(t % TB_NS_PER_S);
    if (fraction < 0) {
        fraction += TB_NS_PER_S;
        seconds--;
    }
    for (int i = digits; i < 9; i++)
        fraction /= 10;
    struct tm tm;
    if ((local ? localtime_r(&seconds, &tm) : gmtime_r(&seconds, &tm)) == NULL)
        return strcpy(out, "?");
    char date[32], zone[8] = "Z";
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    if (local) {
        long minutes = tm.tm_gmtoff / 60;
        long size = minutes < 0 ? -minutes : minutes;
        snprintf(zone, sizeof(zone), "%c%02ld:%02ld", minutes < 0 ? '-' : '+', size / 60 % 100,
                 size % 60);
    }
    snprintf(out, LINE_TIME_BYTES, "%s.%0*ld%s", date, digits, fraction, zone);
    return out;
}

/* A field's value as text, the same in every format; empty for nothing. */
static const char *value_text(const struct line_style *style, const struct field *field,
                              char out[TB_DECIMAL_BYTES])
{
    switch (field->kind) {
    case FIELD_TEXT:
        return field->text;
    case FIELD_NUMBER:
        tb_decimal_format_wide(field->number, field->exp, out);
        return out;
    case FIELD_TIME:
        return line_time((tb_ns)field->number, style->local, 9, out);
    case FIELD_BOOL:
        return field->number ? "true" : "false";
    case FIELD_NOTHING:
    default:
        return "";
    }
}

/* ---- JSON ---- */

static void put_json_string(struct line *line, const char *text)
{
    put(line, "\"");
    for (const char *at = text; *at != 0; at++) {
        if (*at == '"' || *at == '\\')
            put(line, "\\%c", *at);
        else if ((unsigned char)*at < 0x20)
            put(line, "\\u%04x", (unsigned)(unsigned char)*at);
        else
            put(line, "%c", *at);
    }
    put(line, "\"");
}

static void put_json_field(struct line *line, const struct line_style *style, const char *name,
                           const struct field *field)
{
    char value[TB_DECIMAL_BYTES];
    put(line, "%s\"%s\":", line->length > 1 ? "," : "", name);
    if (field == NULL || field->kind == FIELD_NOTHING)
        put(line, "null");
    else if (field->kind == FIELD_NUMBER || field->kind == FIELD_BOOL)
        put(line, "%s", value_text(style, field, value));
    else
        put_json_string(line, value_text(style, field, value));
}

static void put_json(struct line *line, const struct line_style *style, const struct fields *fields)
{
    put(line, "{");
    if (style->columns == NULL)
        for (size_t i = 0; i < fields->count; i++)
            put_json_field(line, style, fields->field[i].name, &fields->field[i]);
    else
        for (size_t i = 0; i < style->column_count; i++)
            put_json_field(line, style, style->columns[i], fields_find(fields, style->columns[i]));
    put(line, "}");
}

/* ---- CSV ---- */

static void put_csv_value(struct line *line, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        put(line, "%s", text);
        return;
    }
    put(line, "\"");
    for (const char *at = text; *at != 0; at++)
        put(line, *at == '"' ? "\"\"" : "%c", *at);
    put(line, "\"");
}

static void put_csv(struct line *line, const struct line_style *style, const struct fields *fields,
                    char separator)
{
    const char *const *columns = style->columns ? style->columns : fields_columns();
    for (size_t i = 0; style->columns ? i < style->column_count : columns[i] != NULL; i++) {
        char value[TB_DECIMAL_BYTES];
        if (i > 0)
            put(line, "%c", separator);
        const struct field *field = fields_find(fields, columns[i]);
        const char *text = field ? value_text(style, field, value) : "";
        if (separator == ',')
            put_csv_value(line, text);
        else
            put(line, "%s", *text ? text : "-");
    }
}

size_t line_header(const struct line_style *style, char out[LINE_BYTES])
{
    struct line line = {.text = out};
    if (style->format != LINE_AS_CSV)
        return 0;
    const char *const *columns = style->columns ? style->columns : fields_columns();
    for (size_t i = 0; style->columns ? i < style->column_count : columns[i] != NULL; i++)
        put(&line, "%s%s", i ? "," : "", columns[i]);
    return end_line(&line);
}

/* ---- text ---- */

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

static const char *colour_of(const struct tb_record *r)
{
    switch (r->type) {
    case TB_TRADE:
        return r->trade.side == TB_BUY ? GREEN : r->trade.side == TB_SELL ? RED : "";
    case TB_LEVEL:
        return r->level.side == TB_BUY ? GREEN : RED;
    case TB_GAP:
        return YELLOW;
    case TB_ALERT:
        return r->alert.state == TB_ALERT_FIRING ? RED : YELLOW;
    default:
        return "";
    }
}

/* Prices and sizes stand under each other: all digits of the instrument, aligned right. */
static void put_fixed(struct line *line, const struct record_item *item, int width,
                      int64_t mantissa, int exp)
{
    char text[TB_DECIMAL_BYTES] = "?";
    if (item->instrument != NULL)
        tb_decimal_format_fixed(mantissa, exp, text);
    put(line, " %*s", width, text);
}

/* The fields behind the common ones, for the types that have no columns of their own. */
static void put_named(struct line *line, const struct line_style *style,
                      const struct fields *fields)
{
    size_t i = 0;
    while (i < fields->count && strcmp(fields->field[i].name, "flags") != 0)
        i++;
    for (i++; i < fields->count; i++) {
        char value[TB_DECIMAL_BYTES];
        const char *text = value_text(style, &fields->field[i], value);
        if (*text != 0)
            put(line, " %s=%s", fields->field[i].name, text);
    }
}

static void put_body(struct line *line, const struct line_style *style,
                     const struct record_item *item, const struct fields *fields)
{
    const struct tb_record *r = item->record;
    int price_exp = item->instrument ? item->instrument->price_exp : 0;
    int size_exp = item->instrument ? item->instrument->size_exp : 0;
    const struct field *side = fields_find(fields, "side");

    switch (r->type) {
    case TB_TRADE:
        put(line, " %-4s", side->kind == FIELD_TEXT ? side->text : "-");
        put_fixed(line, item, 14, r->trade.price, price_exp);
        put_fixed(line, item, 16, r->trade.size, size_exp);
        put(line, "  id=%llu", (unsigned long long)r->trade.trade_id);
        if (r->trade.count > 1)
            put(line, " count=%u", r->trade.count);
        break;
    case TB_LEVEL:
        put(line, " %-4s", side->kind == FIELD_TEXT ? side->text : "-");
        put_fixed(line, item, 14, r->level.price, price_exp);
        put_fixed(line, item, 16, r->level.size, size_exp);
        put(line, "  update=%llu", (unsigned long long)r->level.update_id);
        break;
    case TB_QUOTE:
        put(line, "  bid");
        put_fixed(line, item, 14, r->quote.bid_price, price_exp);
        put_fixed(line, item, 16, r->quote.bid_size, size_exp);
        put(line, "  ask");
        put_fixed(line, item, 14, r->quote.ask_price, price_exp);
        put_fixed(line, item, 16, r->quote.ask_size, size_exp);
        break;
    default:
        put_named(line, style, fields);
        break;
    }
}

static void put_text(struct line *line, const struct line_style *style,
                     const struct record_item *item, const struct fields *fields)
{
    const struct tb_record *r = item->record;
    const char *colour = style->colour ? colour_of(r) : "";
    char time[LINE_TIME_BYTES] = "-";
    if (r->ts_event != 0 || r->ts_recv != 0)
        line_time(r->ts_event ? r->ts_event : r->ts_recv, style->local, 6, time);
    put(line, "%s%9llu  %s%s ", style->colour ? DIM : "", (unsigned long long)r->seq, time,
        style->colour ? PLAIN : "");
    if (style->show_stream)
        put(line, " %-12s", item->stream);
    put(line, " %-12s %s%-6s", item->instrument ? item->instrument->symbol : "-", colour,
        tb_record_type_name(r->type));
    put_body(line, style, item, fields);
    const char *flags = fields_find(fields, "flags")->text;
    if (r->flags & (TB_F_MAYBE_BAD_BOOK | TB_F_BAD_TS_RECV | TB_F_SNAPSHOT | TB_F_FORMING))
        put(line, "  [%s]", flags);
    if (*colour)
        put(line, PLAIN);
}

size_t line_fields(const struct line_style *style, const struct fields *fields,
                   char out[LINE_BYTES])
{
    struct line line = {.text = out};
    if (style->format == LINE_AS_JSON)
        put_json(&line, style, fields);
    else
        put_csv(&line, style, fields, ',');
    return end_line(&line);
}

size_t line_print(const struct line_style *style, const struct record_item *item,
                  char out[LINE_BYTES])
{
    if (style->format == LINE_AS_RAW) {
        memcpy(out, item->record, TB_RECORD_BYTES);
        return TB_RECORD_BYTES;
    }
    struct line line = {.text = out};
    struct fields fields;
    fields_of(item, &fields);
    if (style->format == LINE_AS_JSON || style->format == LINE_AS_CSV)
        return line_fields(style, &fields, out);
    if (style->columns != NULL)
        put_csv(&line, style, &fields, ' ');
    else
        put_text(&line, style, item, &fields);
    return end_line(&line);
}
