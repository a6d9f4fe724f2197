#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol.h"

static bool make_room(struct protocol_text *t, size_t count)
{
    if (t->failed || count <= t->capacity - t->length)
        return !t->failed;
    size_t capacity = t->capacity * 2 > t->length + count ? t->capacity * 2 : t->length + count;
    char *text = realloc(t->text, capacity);
    if (text == NULL) {
        t->failed = true;
        return false;
    }
    t->text = text;
    t->capacity = capacity;
    return true;
}

void protocol_append(struct protocol_text *t, const void *bytes, size_t count)
{
    if (count == 0 || !make_room(t, count))
        return;
    memcpy(t->text + t->length, bytes, count);
    t->length += count;
}

void protocol_put(struct protocol_text *t, const char *text)
{
    protocol_append(t, text, strlen(text));
}

void protocol_span(struct protocol_text *t, struct json_span span)
{
    protocol_append(t, span.at, span.length);
}

void protocol_printf(struct protocol_text *t, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    TB_ASSERT(length >= 0 && (size_t)length < sizeof(line));
    protocol_append(t, line, (size_t)length);
}

void protocol_end_message(struct protocol_text *t)
{
    if (t->length > 0 && t->text[t->length - 1] != '\0')
        protocol_append(t, "", 1);
}

void protocol_text_free(struct protocol_text *t)
{
    free(t->text);
    *t = (struct protocol_text){0};
}
