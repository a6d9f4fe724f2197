#include <consumers/metrics/text.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>

int text_init(struct text *t, size_t capacity)
{
    *t = (struct text){.data = malloc(capacity), .capacity = capacity};
    return t->data == NULL ? -ENOMEM : 0;
}

void text_fini(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

void text_begin(struct text *t, size_t series_max)
{
    t->length = 0;
    t->series = 0;
    t->refused = 0;
    t->series_max = series_max;
}

/* One whole line, or nothing. */
static bool TB_PRINTF(2, 3) add_line(struct text *t, const char *format, ...)
{
    va_list arguments;
    size_t room = t->capacity - t->length;
    va_start(arguments, format);
    int length = vsnprintf(t->data + t->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        return false;
    t->length += (size_t)length;
    return true;
}

void text_family(struct text *t, const char *name, const char *type, const char *help)
{
    size_t before = t->length;
    /* Help texts are this program's own, without backslash or line feed. */
    if (!add_line(t, "# HELP %s %s\n", name, help) || !add_line(t, "# TYPE %s %s\n", name, type))
        t->length = before;
}

static void add_sample(struct text *t, const char *name, const char *labels, const char *more,
                       const char *value)
{
    const char *comma = labels[0] != '\0' && more[0] != '\0' ? "," : "";
    bool bare = labels[0] == '\0' && more[0] == '\0';
    if (t->series >= t->series_max ||
        !(bare ? add_line(t, "%s %s\n", name, value)
               : add_line(t, "%s{%s%s%s} %s\n", name, labels, comma, more, value))) {
        t->refused++;
        return;
    }
    t->series++;
}

void text_sample(struct text *t, const char *name, const char *labels, const char *more,
                 double value)
{
    char number[TB_DOUBLE_BYTES];
    (void)tb_double_format(value, number);
    add_sample(t, name, labels, more, number);
}

void text_sample_int(struct text *t, const char *name, const char *labels, const char *more,
                     int64_t value)
{
    char number[TB_DOUBLE_BYTES];
    (void)snprintf(number, sizeof(number), "%" PRId64, value);
    add_sample(t, name, labels, more, number);
}

const char *text_escape(const char *value, char *out, size_t out_bytes)
{
    size_t length = 0;
    for (; *value != '\0'; value++) {
        char c = *value;
        bool escape = c == '\\' || c == '"' || c == '\n';
        if (length + (escape ? 2 : 1) >= out_bytes)
            break;
        if (escape)
            out[length++] = '\\';
        out[length++] = c == '\n' ? 'n' : c;
    }
    out[length] = '\0';
    return out;
}
