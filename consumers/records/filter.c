/* Which records pass: types, venues, symbols, and conditions on fields. */
#include "consumers/records/records.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

int filter_type(struct filter *filter, const char *name, struct tb_error *err)
{
    int type = tb_record_type_parse(name);
    if (type < 0)
        return tb_fail(
            err, -EINVAL,
            "unknown record type \"%s\": trade, quote, level, clear, gap, status, alert, "
            "event, candle, candle_volume",
            name);
    /* A candle's type holds its timeframe: the name stands for all of them. */
    int last = type == TB_CANDLE || type == TB_CANDLE_VOLUME ? type + 7 : type;
    for (; type <= last; type++)
        filter->types[type / 64] |= UINT64_C(1) << (type % 64);
    return 0;
}

/* ---- where ---- */

static const struct {
    const char *text; /* longer ones first */
    enum filter_operator op;
} operators[] = {
    {"==", FILTER_EQ}, {"!=", FILTER_NE}, {"<=", FILTER_LE}, {">=", FILTER_GE},
    {"<", FILTER_LT},  {">", FILTER_GT},  {"=", FILTER_EQ},
};

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *take_field(const char *at, struct filter_condition *c, struct tb_error *err)
{
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
    if (length == 0 || length >= sizeof(c->field)) {
        tb_fail(err, -EINVAL, "--where: a field name is expected at \"%s\"", at);
        return NULL;
    }
    memcpy(c->field, at, length);
    c->field[length] = 0;
    if (!fields_known(c->field)) {
        tb_fail(err, -EINVAL, "--where: there is no field \"%s\"; see FIELDS.md or --help",
                c->field);
        return NULL;
    }
    return skip_blanks(at + length);
}

static const char *take_operator(const char *at, struct filter_condition *c, struct tb_error *err)
{
    for (size_t i = 0; i < TB_COUNT(operators); i++) {
        size_t length = strlen(operators[i].text);
        if (strncmp(at, operators[i].text, length) == 0) {
            c->op = operators[i].op;
            return skip_blanks(at + length);
        }
    }
    tb_fail(err, -EINVAL, "--where: after \"%s\" one of == != < <= > >= is expected", c->field);
    return NULL;
}

/* A word, or text in '...' or "..."; a word that is a decimal is one. */
static const char *take_value(const char *at, struct filter_condition *c, struct tb_error *err)
{
    bool quoted = *at == '\'' || *at == '"';
    const char *start = quoted ? at + 1 : at;
    const char *end = start;
    if (quoted) {
        end = strchr(start, *at);
        if (end == NULL) {
            tb_fail(err, -EINVAL, "--where: the quote in %s does not end", at);
            return NULL;
        }
    } else {
        while (*end != 0 && !isspace((unsigned char)*end) && *end != '&')
            end++;
    }
    size_t length = (size_t)(end - start);
    if ((length == 0 && !quoted) || length >= sizeof(c->text)) {
        tb_fail(err, -EINVAL, "--where: a value is expected after \"%s\"", c->field);
        return NULL;
    }
    memcpy(c->text, start, length);
    c->text[length] = 0;
    int64_t mantissa;
    int exp;
    c->is_number = !quoted && tb_decimal_exp(start, length, &exp) == 0 &&
                   tb_decimal_parse(start, length, exp, &mantissa) == 0;
    if (c->is_number) {
        c->mantissa = mantissa;
        c->exp = exp;
    } else if (!quoted && (isdigit((unsigned char)*start) || *start == '-')) {
        tb_fail(err, -EINVAL, "--where: \"%s\" is not a decimal that fits 64 bits", c->text);
        return NULL;
    } else if (c->op != FILTER_EQ && c->op != FILTER_NE) {
        tb_fail(err, -EINVAL, "--where: \"%s\" is text, which compares only by == and !=", c->text);
        return NULL;
    }
    return skip_blanks(quoted ? end + 1 : end);
}

int filter_begin(struct filter *filter, const struct filter_options *asked, struct tb_error *err)
{
    struct tb_error why = {""};
    filter->venue = asked->venue.item;
    filter->venue_count = asked->venue.count;
    filter->symbol = asked->symbol.item;
    filter->symbol_count = asked->symbol.count;
    for (size_t i = 0; i < asked->type.count; i++)
        if (filter_type(filter, asked->type.item[i], &why) != 0)
            return tb_fail(err, -EINVAL, "--type: %s", why.text);
    return asked->where == NULL ? 0 : filter_where(filter, asked->where, err);
}

int filter_where(struct filter *filter, const char *text, struct tb_error *err)
{
    const char *at = skip_blanks(text);
    for (;;) {
        struct filter_condition c = {0};
        if ((at = take_field(at, &c, err)) == NULL || (at = take_operator(at, &c, err)) == NULL ||
            (at = take_value(at, &c, err)) == NULL)
            return -EINVAL;
        if (filter->condition_count == FILTER_CONDITIONS_MAX)
            return tb_fail(err, -EINVAL, "--where: more than %d conditions", FILTER_CONDITIONS_MAX);
        filter->condition[filter->condition_count++] = c;
        if (*at == 0)
            return 0;
        if (strncmp(at, "&&", 2) == 0)
            at = skip_blanks(at + 2);
        else if (strncmp(at, "and", 3) == 0 && isspace((unsigned char)at[3]))
            at = skip_blanks(at + 3);
        else
            return tb_fail(err, -EINVAL, "--where: \"and\" is expected at \"%s\"", at);
    }
}

/* ---- matching ---- */

/* value * 10^digits, false if it does not fit. */
static bool scale(__int128 *value, int digits)
{
    for (; digits > 0; digits--)
        if (__builtin_mul_overflow(*value, (__int128)10, value))
            return false;
    return true;
}

int filter_compare(__int128 a, int a_exp, __int128 b, int b_exp)
{
    /* What does not fit after scaling is greater in size than anything that does. */
    int a_sign = (a > 0) - (a < 0);
    int b_sign = (b > 0) - (b < 0);
    if (a_exp > b_exp && !scale(&a, a_exp - b_exp))
        return a_sign;
    if (b_exp > a_exp && !scale(&b, b_exp - a_exp))
        return -b_sign;
    return (a > b) - (a < b);
}

static bool holds(enum filter_operator op, int order)
{
    switch (op) {
    case FILTER_EQ:
        return order == 0;
    case FILTER_NE:
        return order != 0;
    case FILTER_LT:
        return order < 0;
    case FILTER_LE:
        return order <= 0;
    case FILTER_GT:
        return order > 0;
    case FILTER_GE:
        return order >= 0;
    default:
        return false;
    }
}

/* flags: the condition names one of them ("flags == last"); other texts compare whole. */
static bool text_equal(const struct field *field, const char *text)
{
    if (strcmp(field->name, "flags") != 0)
        return strcmp(field->text, text) == 0;
    size_t length = strlen(text);
    for (const char *at = field->text; *at != 0;) {
        size_t word = strcspn(at, "|");
        if (word == length && strncmp(at, text, word) == 0)
            return true;
        at += word + (at[word] == '|');
    }
    return length == 0 && field->text[0] == 0;
}

static bool condition_holds(const struct filter_condition *c, const struct field *field)
{
    switch (field->kind) {
    case FIELD_NUMBER:
    case FIELD_TIME:
        return c->is_number &&
               holds(c->op, filter_compare(field->number, field->exp, c->mantissa, c->exp));
    case FIELD_TEXT:
        return holds(c->op, text_equal(field, c->text) ? 0 : 1);
    case FIELD_BOOL:
        return holds(c->op, strcmp(c->text, field->number ? "true" : "false") == 0 ? 0 : 1);
    case FIELD_NOTHING:
    default:
        return false;
    }
}

static bool conditions_hold(const struct filter *filter, const struct record_item *item)
{
    struct fields fields;
    fields_of(item, &fields);
    for (size_t i = 0; i < filter->condition_count; i++) {
        bool found = false;
        for (size_t k = 0; k < fields.count && !found; k++)
            found = strcmp(fields.field[k].name, filter->condition[i].field) == 0 &&
                    condition_holds(&filter->condition[i], &fields.field[k]);
        if (!found)
            return false;
    }
    return true;
}

bool filter_market(const struct filter *filter, const struct record_item *item)
{
    const struct tb_instrument *in = item->instrument;
    bool venue = filter->venue_count == 0;
    for (size_t i = 0; i < filter->venue_count && in != NULL && !venue; i++)
        venue = strcmp(in->venue, filter->venue[i]) == 0;
    bool symbol = filter->symbol_count == 0;
    for (size_t i = 0; i < filter->symbol_count && in != NULL && !symbol; i++)
        symbol = fnmatch(filter->symbol[i], in->symbol, 0) == 0;
    return venue && symbol;
}

bool filter_match(const struct filter *filter, const struct record_item *item)
{
    uint8_t type = item->record->type;
    bool any = (filter->types[0] | filter->types[1] | filter->types[2] | filter->types[3]) == 0;
    if (!any && (filter->types[type / 64] >> (type % 64) & 1) == 0)
        return false;
    return filter_market(filter, item) &&
           (filter->condition_count == 0 || conditions_hold(filter, item));
}
