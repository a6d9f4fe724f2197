#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tickbus/log.h>

int session_speed_parse(const char *text, double *out_speed)
{
    char *end;
    double speed;

    if (strcmp(text, "max") == 0) {
        *out_speed = 0;
        return 0;
    }
    speed = strtod(text, &end);
    if (end == text || *end != '\0' || !(speed >= 0.001 && speed <= 1e6))
        return -EINVAL;
    *out_speed = speed;
    return 0;
}

static void report_fault(void *context, const char *path, uint64_t line, const char *what)
{
    static struct tb_log_limit limit;
    char quoted[TB_QUOTE_BYTES];

    (void)context;
    tb_log_limited(&limit, TB_NS_PER_S, TB_LOG_WARN, "capture_fault",
                   "file=%s line=%" PRIu64 " what=%s", path, line, tb_quote_text(what, quoted));
}

int session_open(struct session *s, const char *const *paths, size_t count, double speed,
                 struct tb_error *err)
{
    int rc = capture_open(paths, count, report_fault, NULL, &s->capture, err);

    if (rc < 0)
        return rc;
    s->speed = speed;
    session_advance(s);
    if (!s->have)
        return tb_fail(err, -EINVAL, "%s: no event in this recording", paths[0]);
    return 0;
}

void session_close(struct session *s)
{
    capture_close(s->capture);
    s->capture = NULL;
    s->have = false;
}

int session_rewind(struct session *s)
{
    int rc = capture_rewind(s->capture);

    if (rc < 0)
        return rc;
    s->started = false;
    s->first_ts = 0;
    s->held_since = 0;
    session_advance(s);
    s->played = 0;
    return 0;
}

void session_start(struct session *s, tb_ns mono)
{
    s->started = true;
    s->start_mono = mono;
}

tb_ns session_due(const struct session *s, tb_ns mono)
{
    if (!s->have || !s->started || s->held_since != 0)
        return INT64_MAX;
    if (s->speed == 0 || s->event.ts_recv == 0)
        return 0;
    tb_ns offset = (tb_ns)llround((double)(s->event.ts_recv - s->first_ts) / s->speed);
    tb_ns due = s->start_mono + offset - mono;
    return due > 0 ? due : 0;
}

void session_advance(struct session *s)
{
    s->have = capture_next(s->capture, &s->event) > 0;
    s->played++;
    if (s->have && s->first_ts == 0)
        s->first_ts = s->event.ts_recv;
}

bool session_ended(const struct session *s)
{
    return !s->have;
}

void session_hold(struct session *s, tb_ns mono)
{
    if (s->held_since == 0)
        s->held_since = mono;
}

void session_release(struct session *s, tb_ns mono)
{
    if (s->held_since == 0)
        return;
    s->start_mono += mono - s->held_since;
    s->held_since = 0;
}
