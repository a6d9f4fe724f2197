#include <consumers/alerts/notice.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>

struct json {
    char *out;
    size_t bytes;
    size_t length;
    bool full;
};

static void put(struct json *j, const char *text, size_t length)
{
    if (j->full || j->length + length >= j->bytes) {
        j->full = true;
        return;
    }
    memcpy(j->out + j->length, text, length);
    j->length += length;
    j->out[j->length] = '\0';
}

static void raw(struct json *j, const char *text)
{
    put(j, text, strlen(text));
}

/* Bytes of the UTF-8 character at c, or 0 if it is none. */
static size_t character(const unsigned char *c)
{
    size_t count = c[0] < 0x80                   ? 1
                   : c[0] >= 0xc2 && c[0] < 0xe0 ? 2
                   : c[0] >= 0xe0 && c[0] < 0xf0 ? 3
                   : c[0] >= 0xf0 && c[0] < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < count; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

/* Symbols come from venues: whatever is in them, this is a JSON string. */
static void string(struct json *j, const char *text)
{
    char escape[8];
    raw(j, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0';) {
        size_t count = character(c);
        if (count == 0) {
            raw(j, "\\ufffd");
            c++;
            continue;
        }
        if (*c < 0x20 || *c == '"' || *c == '\\') {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", *c);
            raw(j, escape);
        } else {
            put(j, (const char *)c, count);
        }
        c += count;
    }
    raw(j, "\"");
}

static void member(struct json *j, bool first, const char *key, const char *value)
{
    if (!first)
        raw(j, ",");
    string(j, key);
    raw(j, ":");
    string(j, value);
}

#define LABELS 6

/* In the order of their names. Empty ones are no labels. */
static void labels_of(const struct event *event, const char *key[LABELS], const char *value[LABELS])
{
    const char *keys[LABELS] = {"alertname", "exchange", "reader", "severity", "stream", "symbol"};
    const char *values[LABELS] = {event->rule,   event->venue,
                                  event->reader, tb_severity_name(event->severity),
                                  event->stream, event->symbol};
    memcpy(key, keys, sizeof(keys));
    memcpy(value, values, sizeof(values));
}

static void put_labels(struct json *j, const struct event *event)
{
    const char *key[LABELS], *value[LABELS];
    labels_of(event, key, value);
    raw(j, "{");
    for (size_t i = 0; i < LABELS; i++)
        if (value[i][0] != '\0')
            member(j, i == 0, key[i], value[i]);
    raw(j, "}");
}

uint64_t notice_fingerprint(const struct event *event)
{
    const char *key[LABELS], *value[LABELS];
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    labels_of(event, key, value);
    for (size_t i = 0; i < LABELS * 2; i++) {
        const char *text = i % 2 == 0 ? key[i / 2] : value[i / 2];
        for (size_t k = 0; k <= strlen(text); k++) /* its end as well: "ab","c" is not "a","bc" */
            hash = (hash ^ (unsigned char)text[k]) * UINT64_C(1099511628211);
    }
    return hash;
}

static void put_annotations(struct json *j, const struct event *event, const char *summary)
{
    char number[TB_DECIMAL_BYTES], at[TB_TIME_BYTES];
    raw(j, "{");
    member(j, true, "summary", summary);
    (void)tb_decimal_format(event->value, event->value_exp, number);
    member(j, false, "value", number);
    (void)tb_decimal_format(event->threshold, event->value_exp, number);
    member(j, false, "threshold", number);
    member(j, false, "at", tb_time_format(event->at, at));
    raw(j, "}");
}

static void put_time(struct json *j, const char *key, tb_ns t)
{
    char text[TB_TIME_BYTES];
    member(j, false, key, t == 0 ? "0001-01-01T00:00:00Z" : tb_time_format(t, text));
}

static const char *status_of(const struct event *event)
{
    return event->state == TB_ALERT_FIRING ? "firing" : "resolved";
}

size_t notice_webhook(const struct event *event, const char *summary, char *out, size_t bytes)
{
    struct json j = {.out = out, .bytes = bytes};
    char text[TB_LABEL_BYTES + 32];
    bool firing = event->state == TB_ALERT_FIRING;
    (void)snprintf(text, sizeof(text), "{}:{alertname=\"%s\"}", event->rule);
    raw(&j, "{");
    member(&j, true, "version", "4");
    member(&j, false, "groupKey", text);
    raw(&j, ",\"truncatedAlerts\":0");
    member(&j, false, "status", status_of(event));
    member(&j, false, "receiver", "tickbus");
    raw(&j, ",\"groupLabels\":{");
    member(&j, true, "alertname", event->rule);
    raw(&j, "},\"commonLabels\":");
    put_labels(&j, event);
    raw(&j, ",\"commonAnnotations\":");
    put_annotations(&j, event, summary);
    member(&j, false, "externalURL", "");
    raw(&j, ",\"alerts\":[{");
    member(&j, true, "status", status_of(event));
    raw(&j, ",\"labels\":");
    put_labels(&j, event);
    raw(&j, ",\"annotations\":");
    put_annotations(&j, event, summary);
    put_time(&j, "startsAt", event->fired_wall);
    put_time(&j, "endsAt", firing ? 0 : event->wall);
    member(&j, false, "generatorURL", "");
    (void)snprintf(text, sizeof(text), "%016" PRIx64, notice_fingerprint(event));
    member(&j, false, "fingerprint", text);
    raw(&j, "}]}");
    return j.full ? 0 : j.length;
}

size_t notice_alert(const struct event *event, const char *summary, tb_ns ends, char *out,
                    size_t bytes)
{
    struct json j = {.out = out, .bytes = bytes};
    raw(&j, "{\"labels\":");
    put_labels(&j, event);
    raw(&j, ",\"annotations\":");
    put_annotations(&j, event, summary);
    put_time(&j, "startsAt", event->fired_wall);
    put_time(&j, "endsAt", ends);
    raw(&j, "}");
    return j.full ? 0 : j.length;
}
