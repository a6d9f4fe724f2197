/*
 * Walking through JSON text in place: just what a venue needs to find its way in recorded frames
 * and in clients' requests. Values are spans of the text, never copied; strings are not unescaped.
 * Structure is checked as far as it is walked; inside a value only quotes and brackets are counted.
 */
#ifndef TICKBUS_VENUE_JSON_H
#define TICKBUS_VENUE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_span {
    const char *at;
    size_t length;
};

struct json_walk {
    const char *at, *end;
    char close; /* '}' or ']' */
    bool begun;
    bool broken; /* the text is no JSON: see it after the walk */
};

/* json_enter: begin walking `{...}` or `[...]`; false if `value` is neither. */
bool json_enter(struct json_span value, struct json_walk *out_walk);
/* json_member: the next member of an object, key without its quotes. json_item: of an array. */
bool json_member(struct json_walk *w, struct json_span *out_key, struct json_span *out_value);
bool json_item(struct json_walk *w, struct json_span *out_value);

/* json_find: a member's value by key; false if there is none. */
bool json_find(struct json_span object, const char *key, struct json_span *out_value);
/* json_text: the inside of a string value; false if it is no string. */
bool json_text(struct json_span value, struct json_span *out_text);
bool json_number(struct json_span value, uint64_t *out_number);
bool json_is(struct json_span span, const char *text);
/* json_whole: is this text one JSON value, to its end? */
bool json_whole(struct json_span text);

#endif
