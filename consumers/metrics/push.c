#include <consumers/metrics/push.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct writer {
    char *out;
    size_t bytes;
    size_t length;
};

static void put(struct writer *w, char c)
{
    if (w->length + 1 < w->bytes)
        w->out[w->length] = c;
    w->length++;
}

static void put_text(struct writer *w, const char *text)
{
    for (; *text != '\0'; text++)
        put(w, *text);
}

/* RFC 4648 section 5, without padding; the gateway reads an empty value as "=". */
static void put_base64(struct writer *w, const char *value)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *byte = (const unsigned char *)value;
    size_t count = strlen(value);
    if (count == 0)
        put(w, '=');
    for (size_t i = 0; i < count; i += 3) {
        uint32_t group = (uint32_t)byte[i] << 16;
        group |= i + 1 < count ? (uint32_t)byte[i + 1] << 8 : 0;
        group |= i + 2 < count ? byte[i + 2] : 0;
        for (size_t j = 0; j < 4 && i + j <= count; j++)
            put(w, digit[group >> (18 - 6 * j) & 63]);
    }
}

static void put_percent(struct writer *w, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            strchr("-_.~", c) != NULL) {
            put(w, (char)c);
            continue;
        }
        put(w, '%');
        put(w, hex[c >> 4]);
        put(w, hex[c & 15]);
    }
}

static void put_pair(struct writer *w, const char *label, const char *value)
{
    bool base64 = value[0] == '\0' || strchr(value, '/') != NULL;
    put(w, '/');
    put_text(w, label);
    put_text(w, base64 ? "@base64/" : "/");
    if (base64)
        put_base64(w, value);
    else
        put_percent(w, value);
}

int push_url(const char *gateway, const char *job, const char *instance, char *out,
             size_t out_bytes)
{
    struct writer w = {.out = out, .bytes = out_bytes};
    put_text(&w, gateway);
    while (w.length > 0 && w.length < out_bytes && out[w.length - 1] == '/')
        w.length--;
    put_text(&w, "/metrics");
    put_pair(&w, "job", job);
    put_pair(&w, "instance", instance);
    if (w.length >= out_bytes)
        return -ENAMETOOLONG;
    out[w.length] = '\0';
    return 0;
}

tb_ns push_due(const struct push *p, bool changed, uint64_t trades_since)
{
    tb_ns due = p->sent + PUSH_HEARTBEAT_NS;
    if (!post_idle(p->post))
        return INT64_MAX;
    if (changed)
        due = p->sent + p->every_ns;
    if (changed && trades_since >= (uint64_t)p->trades)
        due = p->sent + PUSH_CLOSEST_NS;
    return due > p->not_before ? due : p->not_before;
}

bool push_result(struct push *p, const struct post_result *result, tb_ns now_mono)
{
    bool failed_before = p->failed_in_row > 0;
    if (post_succeeded(result)) {
        p->pushes++;
        p->failed_in_row = 0;
        p->not_before = 0;
        return failed_before;
    }
    tb_ns wait = p->every_ns;
    for (uint64_t i = 0; i < p->failed_in_row && wait < PUSH_RETRY_MAX_NS; i++)
        wait *= 2;
    p->failures++;
    p->failed_in_row++;
    p->not_before = now_mono + (wait < PUSH_RETRY_MAX_NS ? wait : PUSH_RETRY_MAX_NS);
    return !failed_before;
}
