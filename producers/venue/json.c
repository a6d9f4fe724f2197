#include "json.h"

#include <string.h>

static const char *skip_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* Behind the closing quote of the string that begins at `at`; NULL if it does not end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;

    do {
        if (at >= end)
            return NULL;
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL)
                return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (--depth < 0)
                return NULL;
            at++;
        } else if (depth > 0) {
            at++;
        } else {
            const char *from = at;
            while (at < end && strchr(",]} \t\r\n", *at) == NULL)
                at++;
            return at > from ? at : NULL;
        }
    } while (depth > 0);
    return at;
}

bool json_enter(struct json_span value, struct json_walk *out_walk)
{
    if (value.length == 0) /* of what was not found: NULL, to which nothing is added */
        return false;
    const char *end = value.at + value.length;
    const char *at = skip_blank(value.at, end);
    if (at >= end || (*at != '{' && *at != '['))
        return false;
    *out_walk = (struct json_walk){.at = at + 1, .end = end, .close = *at == '{' ? '}' : ']'};
    return true;
}

/* To the beginning of the next element; false at the end, or if there is no right one. */
static bool step(struct json_walk *w)
{
    w->at = skip_blank(w->at, w->end);
    if (w->at < w->end && *w->at == w->close)
        return false;
    if (w->begun) {
        if (w->at >= w->end || *w->at != ',') {
            w->broken = true;
            return false;
        }
        w->at = skip_blank(w->at + 1, w->end);
    }
    w->begun = true;
    if (w->at >= w->end) {
        w->broken = true;
        return false;
    }
    return true;
}

static bool take(struct json_walk *w, struct json_span *out_value)
{
    const char *after = skip_value(w->at, w->end);

    if (after == NULL) {
        w->broken = true;
        return false;
    }
    *out_value = (struct json_span){w->at, (size_t)(after - w->at)};
    w->at = after;
    return true;
}

bool json_item(struct json_walk *w, struct json_span *out_value)
{
    return step(w) && take(w, out_value);
}

bool json_member(struct json_walk *w, struct json_span *out_key, struct json_span *out_value)
{
    struct json_span key;

    if (!step(w))
        return false;
    w->broken = true; /* until the member is whole */
    if (*w->at != '"' || !take(w, &key))
        return false;
    w->at = skip_blank(w->at, w->end);
    if (w->at >= w->end || *w->at != ':')
        return false;
    w->at = skip_blank(w->at + 1, w->end);
    if (!take(w, out_value))
        return false;
    w->broken = false;
    *out_key = (struct json_span){key.at + 1, key.length - 2};
    return true;
}

bool json_find(struct json_span object, const char *key, struct json_span *out_value)
{
    struct json_walk w;
    struct json_span name, value;

    if (!json_enter(object, &w) || w.close != '}')
        return false;
    while (json_member(&w, &name, &value))
        if (json_is(name, key)) {
            *out_value = value;
            return true;
        }
    return false;
}

bool json_text(struct json_span value, struct json_span *out_text)
{
    if (value.length < 2 || value.at[0] != '"')
        return false;
    *out_text = (struct json_span){value.at + 1, value.length - 2};
    return true;
}

bool json_number(struct json_span value, uint64_t *out_number)
{
    uint64_t number = 0;

    if (value.length == 0 || value.length > 19)
        return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    *out_number = number;
    return true;
}

bool json_is(struct json_span span, const char *text)
{
    return strlen(text) == span.length && memcmp(span.at, text, span.length) == 0;
}

bool json_whole(struct json_span text)
{
    if (text.length == 0)
        return false;
    const char *end = text.at + text.length;
    const char *after = skip_value(skip_blank(text.at, end), end);

    return after != NULL && skip_blank(after, end) == end;
}
