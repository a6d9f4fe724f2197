/*
 * The lines of recorded sessions: what format a line is of, and the event in it. Texts are used in
 * place; only format 3, whose frames are JSON strings, is unescaped (in place: it gets shorter).
 */
#include "producers/capture/capture_file.h"

#include <errno.h>
#include <string.h>

#define TIME_DIGITS_MAX 19
#define HEX_LEAST 16 /* digits of the line that shows the format: a shorter one is any text */
/* Seconds that fit into int64 nanoseconds: the year 2262. */
#define SECONDS_MAX INT64_C(9223372035)

struct text {
    char *at;
    char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool skip(struct text *t, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(t->end - t->at) < length || memcmp(t->at, word, length) != 0)
        return false;
    t->at += length;
    return true;
}

/* Digits to a number that fits; false if there are none or too many. */
static bool read_whole(struct text *t, int64_t max, int64_t *out)
{
    char *from = t->at;
    int64_t value = 0;
    while (t->at < t->end && is_digit(*t->at) && t->at - from < TIME_DIGITS_MAX) {
        int64_t digit = *t->at - '0';
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
        t->at++;
    }
    *out = value;
    return t->at > from && (t->at == t->end || !is_digit(*t->at));
}

/* "1633998512.0633569" to nanoseconds; digits beyond the ninth are cut. */
static bool read_seconds(struct text *t, tb_ns *out)
{
    int64_t seconds;
    if (!read_whole(t, SECONDS_MAX, &seconds))
        return false;
    tb_ns value = seconds * TB_NS_PER_S;
    if (t->at < t->end && *t->at == '.') {
        tb_ns unit = TB_NS_PER_S / 10;
        for (t->at++; t->at < t->end && is_digit(*t->at); t->at++, unit /= 10)
            value += (*t->at - '0') * unit;
    }
    *out = value;
    return true;
}

static bool looks_like_json(const struct text *t)
{
    return t->at < t->end && (*t->at == '{' || *t->at == '[');
}

/* The `mark` between a URL and what follows it, such as " -> "; NULL if there is none. */
static char *find_mark(const struct text *t, const char *mark)
{
    return memmem(t->at, (size_t)(t->end - t->at), mark, strlen(mark));
}

static bool starts_with_url(const struct text *t)
{
    struct text look = *t;
    return skip(&look, "ws://") || skip(&look, "wss://") || skip(&look, "http://") ||
           skip(&look, "https://");
}

/* ---- format 3: a flat object of strings and numbers, `header` aside ---- */

/* To the end of a JSON string that begins at t->at (behind its quote); t->at is then behind it. */
static bool pass_string(struct text *t)
{
    while (t->at < t->end && *t->at != '"') {
        if (*t->at == '\\')
            t->at++;
        t->at++;
    }
    if (t->at >= t->end)
        return false;
    t->at++;
    return true;
}

/* Over one value of any kind, without judging it: the decoder of the venue does that. */
static bool pass_value(struct text *t)
{
    int depth = 0;
    while (t->at < t->end) {
        char c = *t->at;
        if (depth == 0 && (c == ',' || c == '}'))
            return true;
        t->at++;
        if (c == '"') {
            if (!pass_string(t))
                return false;
        } else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
    }
    return false;
}

static void pass_blanks(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
        t->at++;
}

/* The next `"key": value` of an object; 1, 0 at its end, -EBADMSG. */
static int next_member(struct text *t, struct text *out_key, struct text *out_value)
{
    pass_blanks(t);
    if (t->at < t->end && (*t->at == '{' || *t->at == ','))
        t->at++;
    pass_blanks(t);
    if (t->at < t->end && *t->at == '}')
        return 0;
    if (!skip(t, "\""))
        return -EBADMSG;
    out_key->at = t->at;
    if (!pass_string(t))
        return -EBADMSG;
    out_key->end = t->at - 1;
    pass_blanks(t);
    if (!skip(t, ":"))
        return -EBADMSG;
    pass_blanks(t);
    out_value->at = t->at;
    if (!pass_value(t))
        return -EBADMSG;
    out_value->end = t->at;
    return 1;
}

static bool is(const struct text *t, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(t->end - t->at) == length && memcmp(t->at, word, length) == 0;
}

/* `count` hexadecimal digits; -1: something else. */
static int hex(const char *at, const char *end, int count)
{
    int value = 0;
    if (end - at < count)
        return -1;
    for (int i = 0; i < count; i++) {
        char c = at[i];
        int digit = is_digit(c)              ? c - '0'
                    : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                    : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, int code)
{
    if (code < 0x80)
        *to++ = (char)code;
    else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* \uXXXX, with its second half if it is a surrogate; at is behind the u. NULL: no such escape. */
static char *unescape_unicode(char **at, const char *end, char *to)
{
    int code = hex(*at, end, 4);
    if (code < 0 || (code >= 0xDC00 && code < 0xE000))
        return NULL;
    *at += 4;
    if (code >= 0xD800 && code < 0xDC00) {
        int low = end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' ? hex(*at + 2, end, 4) : -1;
        if (low < 0xDC00 || low >= 0xE000)
            return NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    }
    return put_utf8(to, code);
}

/* A JSON string, quotes included, to its text in the same place. False: it is none. */
static bool unescape(struct text *t)
{
    static const char from[] = "\"\\/bfnrt", to_char[] = "\"\\/\b\f\n\r\t";
    if (t->end - t->at < 2 || t->at[0] != '"' || t->end[-1] != '"')
        return false;
    char *at = t->at + 1, *end = t->end - 1;
    char *to = t->at;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        const char *known;
        at++;
        if (at >= end)
            return false;
        if (*at == 'u') {
            at++;
            to = unescape_unicode(&at, end, to);
            if (to == NULL)
                return false;
        } else if (*at != '\0' && (known = strchr(from, *at)) != NULL) {
            *to++ = to_char[known - from];
            at++;
        } else
            return false;
    }
    t->end = to;
    return true;
}

static int object_kind(const struct text *t, enum capture_kind *out_kind)
{
    if (is(t, "\"recv\""))
        *out_kind = CAPTURE_FRAME;
    else if (is(t, "\"http\""))
        *out_kind = CAPTURE_HTTP;
    else if (is(t, "\"connect\""))
        *out_kind = CAPTURE_CONNECT;
    else if (is(t, "\"send\""))
        *out_kind = CAPTURE_SENT;
    else
        return is(t, "\"header\"") ? 0 : -EBADMSG;
    return 1;
}

static int read_object(struct text line, struct capture_event *e, const char **out_why)
{
    struct text key, value, t = {0}, ts = {0}, data = {0}, url = {0};
    int rc;
    while ((rc = next_member(&line, &key, &value)) == 1) {
        if (is(&key, "t"))
            t = value;
        else if (is(&key, "ts"))
            ts = value;
        else if (is(&key, "data") || is(&key, "body"))
            data = value;
        else if (is(&key, "addr") || is(&key, "url"))
            url = value;
    }
    *out_why = "no JSON object of a recorder";
    if (rc < 0 || (rc = object_kind(&t, &e->kind)) < 0)
        return -EBADMSG;
    if (rc == 0)
        return 0;
    *out_why = "no time in \"ts\"";
    if (!read_seconds(&ts, &e->ts_recv))
        return -EBADMSG;
    *out_why = "a text is no JSON string";
    if (url.at != NULL) {
        if (!unescape(&url))
            return -EBADMSG;
        *url.end = '\0'; /* at its closing quote at the latest */
        e->url = url.at;
    }
    if (e->kind == CAPTURE_CONNECT) {
        e->text = e->url;
        e->length = strlen(e->url);
        return 1;
    }
    if (data.at == NULL || !unescape(&data))
        return -EBADMSG;
    e->text = data.at;
    e->length = (size_t)(data.end - data.at);
    return 1;
}

/* ---- binary frames, in hexadecimal ---- */

static bool is_hex(const struct text *t)
{
    for (const char *at = t->at; at < t->end; at += 2)
        if (hex(at, t->end, 2) < 0)
            return false;
    return true;
}

/* In place: it gets shorter. */
static int read_hex(struct text t, struct capture_event *e, const char **out_why)
{
    char *to = t.at;
    e->kind = CAPTURE_FRAME;
    e->text = t.at;
    for (; t.at < t.end; t.at += 2) {
        int byte = hex(t.at, t.end, 2);
        if (byte < 0) {
            *out_why = "no hexadecimal";
            return -EBADMSG;
        }
        *to++ = (char)byte;
    }
    e->length = (size_t)(to - e->text);
    return 1;
}

/* ---- formats 1 and 2 ---- */

static int read_ns(struct text t, struct capture_event *e, const char **out_why)
{
    *out_why = "no `<ns> <JSON>` line";
    if (!read_whole(&t, INT64_MAX, &e->ts_recv) || !skip(&t, " "))
        return -EBADMSG;
    e->text = t.at;
    e->length = (size_t)(t.end - t.at);
    e->kind = CAPTURE_FRAME;
    /* A REST answer has no stream and begins with its id; the file's reader knows the symbol. */
    if (skip(&t, "{\"lastUpdateId\""))
        e->kind = CAPTURE_HTTP;
    return e->length > 0 ? 1 : -EBADMSG;
}

static int read_exchange(struct text t, struct capture_event *e, const char **out_why)
{
    static const struct {
        const char *mark;
        enum capture_kind kind;
    } marks[] = {{" <-> ", CAPTURE_CONNECT}, {" -> ", CAPTURE_HTTP}, {" <- ", CAPTURE_SENT}};
    *out_why = "no `<url> -> <time>: <text>` line";
    for (size_t i = 0; i < TB_COUNT(marks); i++) {
        char *mark = find_mark(&t, marks[i].mark);
        if (mark == NULL)
            continue;
        struct text rest = {mark + strlen(marks[i].mark), t.end};
        if (!read_seconds(&rest, &e->ts_recv))
            continue; /* the mark stood in a body: another one is meant */
        *mark = '\0';
        e->kind = marks[i].kind;
        e->url = t.at;
        e->text = t.at;
        e->length = (size_t)(mark - t.at);
        if (e->kind == CAPTURE_CONNECT)
            return 1;
        if (!skip(&rest, ": "))
            return -EBADMSG;
        e->text = rest.at;
        e->length = (size_t)(rest.end - rest.at);
        return 1;
    }
    return -EBADMSG;
}

static int read_timed(struct text t, struct capture_event *e, const char **out_why)
{
    struct text look = t;
    if (skip(&look, "configuration:"))
        return 0;
    if (starts_with_url(&t))
        return read_exchange(t, e, out_why);
    *out_why = "no `<s>: <JSON>` line";
    if (!read_seconds(&t, &e->ts_recv) || !skip(&t, ": "))
        return -EBADMSG;
    if (t.end - t.at >= HEX_LEAST && is_hex(&t))
        return read_hex(t, e, out_why);
    e->kind = CAPTURE_FRAME;
    e->text = t.at;
    e->length = (size_t)(t.end - t.at);
    return e->length > 0 ? 1 : -EBADMSG;
}

/* ---- formats 4 and 5 ---- */

static int read_frame(struct text t, struct capture_event *e, const char **out_why)
{
    e->kind = CAPTURE_FRAME;
    e->text = t.at;
    e->length = (size_t)(t.end - t.at);
    *out_why = "no JSON";
    return looks_like_json(&t) ? 1 : -EBADMSG;
}

enum capture_format capture_line_format(const char *text, size_t length)
{
    char *begin = (char *)(uintptr_t)text; /* only looked at */
    struct text t = {begin, begin + length}, look = t;
    int64_t number;
    if (skip(&look, "configuration:") || starts_with_url(&t))
        return CAPTURE_FORMAT_SECONDS;
    if (read_whole(&look, INT64_MAX, &number) && skip(&look, " ") && looks_like_json(&look))
        return CAPTURE_FORMAT_NS;
    look = t;
    if (read_seconds(&look, &number) && skip(&look, ": ") &&
        (looks_like_json(&look) || (look.end - look.at >= HEX_LEAST && is_hex(&look))))
        return CAPTURE_FORMAT_SECONDS;
    if (!looks_like_json(&t))
        return length >= HEX_LEAST && is_hex(&t) ? CAPTURE_FORMAT_HEX : CAPTURE_FORMAT_NONE;
    struct text key, value;
    enum capture_kind kind;
    look = t;
    while (*t.at == '{' && next_member(&look, &key, &value) == 1)
        if (is(&key, "t") && object_kind(&value, &kind) >= 0)
            return CAPTURE_FORMAT_OBJECTS;
    return CAPTURE_FORMAT_FRAMES;
}

int capture_line_read(enum capture_format format, char *text, size_t length,
                      struct capture_event *e, const char **out_why)
{
    struct text t = {text, text + length};
    e->ts_recv = 0;
    e->url = "";
    if (length == 0)
        return 0;
    switch (format) {
    case CAPTURE_FORMAT_NS:
        return read_ns(t, e, out_why);
    case CAPTURE_FORMAT_SECONDS:
        return read_timed(t, e, out_why);
    case CAPTURE_FORMAT_OBJECTS:
        return read_object(t, e, out_why);
    case CAPTURE_FORMAT_FRAMES:
        return read_frame(t, e, out_why);
    case CAPTURE_FORMAT_HEX:
        return read_hex(t, e, out_why);
    case CAPTURE_FORMAT_NONE:
        break;
    }
    *out_why = "no capture format";
    return -EBADMSG;
}
