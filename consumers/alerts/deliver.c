#include <consumers/alerts/deliver.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <consumers/alerts/notice.h>

#define LOG_EVERY_NS (10 * TB_NS_PER_S)
#define WEBHOOK_TAG 1

static int start_post(struct post **post, char *shown, size_t shown_bytes, const char *url,
                      const char *path, size_t body_max, tb_ns timeout, int wake_fd,
                      struct tb_error *err)
{
    char whole[POST_URL_BYTES];
    size_t length = url != NULL ? strlen(url) : 0;
    if (length == 0)
        return 0;
    while (path[0] != '\0' && length > 0 && url[length - 1] == '/')
        length--;
    (void)snprintf(whole, sizeof(whole), "%.*s%s", (int)length, url, path);
    post_url_shown(whole, shown, shown_bytes);
    struct post_options options = {.url = whole,
                                   .content_type = "application/json",
                                   .body_max = body_max,
                                   .timeout_ns = timeout,
                                   .wake_fd = wake_fd};
    return post_start(&options, post, err);
}

int deliver_start(struct deliver *d, const struct rules *rules, const char *webhook,
                  const char *alertmanager, tb_ns timeout, int wake_fd, struct tb_error *err)
{
    memset(d, 0, sizeof(*d));
    d->rules = rules;
    d->alertmanager_changed = true; /* what fires since an earlier life */
    d->queue = calloc(1, sizeof(*d->queue));
    if (d->queue == NULL)
        return tb_fail(err, -ENOMEM, "no memory for the queue of notices");
    int rc = start_post(&d->webhook, d->webhook_shown, sizeof(d->webhook_shown), webhook, "",
                        NOTICE_BYTES, timeout, wake_fd, err);
    if (rc != 0 || alertmanager == NULL || alertmanager[0] == '\0')
        return rc;
    d->body_max = (size_t)ENGINE_ALERTS_MAX * 1024;
    d->body = malloc(d->body_max);
    if (d->body == NULL)
        return tb_fail(err, -ENOMEM, "no memory for alertmanager");
    return start_post(&d->alertmanager, d->alertmanager_shown, sizeof(d->alertmanager_shown),
                      alertmanager, "/api/v2/alerts", d->body_max, timeout, wake_fd, err);
}

void deliver_stop(struct deliver *d)
{
    post_stop(d->webhook);
    post_stop(d->alertmanager);
    free(d->queue);
    free(d->body);
    memset(d, 0, sizeof(*d));
}

static const char *summary_of(const struct deliver *d, const struct event *event)
{
    for (size_t i = 0; i < d->rules->count; i++)
        if (strcmp(d->rules->rule[i].name, event->rule) == 0)
            return d->rules->rule[i].summary[0] != '\0' ? d->rules->rule[i].summary
                                                        : rule_kind_name(d->rules->rule[i].kind);
    return "the rule is no more";
}

static void drop_first(struct deliver *d)
{
    d->queue->first = (d->queue->first + 1) % DELIVER_QUEUE_MAX;
    d->queue->count--;
    d->attempts = 0;
    d->webhook_next = 0;
}

void deliver_add(struct deliver *d, const struct event *event)
{
    if (event->state == TB_ALERT_PENDING || event->fired_wall == 0)
        return;
    d->alertmanager_changed = true;
    if (d->webhook == NULL)
        return;
    if (d->queue->count == DELIVER_QUEUE_MAX) {
        d->dropped++;
        d->dropped_first = d->dropped_first || !post_idle(d->webhook);
        drop_first(d);
        tb_log_limited(&d->log, LOG_EVERY_NS, TB_LOG_ERROR, "webhook",
                       "to=%s dropped=%" PRIu64 " reason=\"%d notices wait and none is taken\"",
                       d->webhook_shown, d->dropped, DELIVER_QUEUE_MAX);
    }
    d->queue->event[(d->queue->first + d->queue->count++) % DELIVER_QUEUE_MAX] = *event;
}

static void report(struct deliver *d, const char *what, const char *shown,
                   const struct post_result *result)
{
    char quoted[TB_QUOTE_BYTES];
    d->failures++;
    tb_log_limited(&d->log, LOG_EVERY_NS, TB_LOG_WARN, what,
                   "to=%s status=%ld reason=%s failures=%" PRIu64 " next=\"again, later\"", shown,
                   result->status, tb_quote_text(result->reason, quoted), d->failures);
}

static void take_webhook(struct deliver *d, tb_ns now)
{
    struct post_result result;
    if (d->webhook == NULL || !post_result(d->webhook, &result))
        return;
    bool stale = d->dropped_first;
    d->dropped_first = false;
    d->webhook_bad = !post_succeeded(&result);
    if (post_succeeded(&result)) {
        d->sent++;
        if (!stale)
            drop_first(d);
        return;
    }
    report(d, "webhook", d->webhook_shown, &result);
    if (stale)
        return;
    tb_ns wait = DELIVER_RETRY_FIRST_NS;
    for (uint32_t i = 0; i < d->attempts && wait < DELIVER_RETRY_MAX_NS; i++)
        wait *= 2;
    d->attempts++;
    d->webhook_next = now + (wait < DELIVER_RETRY_MAX_NS ? wait : DELIVER_RETRY_MAX_NS);
    bool refused =
        result.status >= 400 && result.status < 500 && result.status != 408 && result.status != 429;
    if (refused && d->attempts >= DELIVER_REFUSED_MAX) {
        d->refused++;
        drop_first(d);
    }
}

static void send_webhook(struct deliver *d, tb_ns now)
{
    char body[NOTICE_BYTES], key[96];
    if (d->webhook == NULL || d->queue->count == 0 || now < d->webhook_next ||
        !post_idle(d->webhook))
        return;
    const struct event *event = &d->queue->event[d->queue->first];
    size_t length = notice_webhook(event, summary_of(d, event), body, sizeof(body));
    (void)snprintf(key, sizeof(key), "Idempotency-Key: %016" PRIx64 "-%" PRIu32 "-%s",
                   notice_fingerprint(event), event->alert_id, tb_alert_state_name(event->state));
    TB_ASSERT(length > 0);
    (void)post_send(d->webhook, "POST", key, body, length, WEBHOOK_TAG);
}

/* The array of what fires, or fired until lately. Returns its length. */
static size_t fill_alertmanager(struct deliver *d, const struct engine *engine, tb_ns wall)
{
    size_t length = 0, count = 0;
    d->body[length++] = '[';
    for (size_t i = 0; i < engine->alert_count; i++) {
        const struct alert *a = &engine->alert[i];
        struct event event = a->event;
        bool firing = a->phase == ALERT_FIRING;
        if (!firing && (a->resolved_wall == 0 ||
                        wall - a->resolved_wall > DELIVER_RESOLVED_FOR_NS || event.fired_wall == 0))
            continue;
        /* If this process dies, what it said fires no longer after a while. */
        tb_ns ends = firing ? wall + 4 * DELIVER_RESEND_NS : a->resolved_wall;
        size_t room = d->body_max - length;
        if (room < NOTICE_BYTES + 2)
            break;
        if (count > 0)
            d->body[length++] = ',';
        length += notice_alert(&event, summary_of(d, &event), ends, d->body + length, room - 2);
        count++;
    }
    d->body[length++] = ']';
    return count > 0 ? length : 0;
}

static void turn_alertmanager(struct deliver *d, const struct engine *engine, tb_ns now, tb_ns wall)
{
    struct post_result result;
    if (d->alertmanager == NULL)
        return;
    if (post_result(d->alertmanager, &result)) {
        d->alertmanager_bad = !post_succeeded(&result);
        if (d->alertmanager_bad) {
            report(d, "alertmanager", d->alertmanager_shown, &result);
            d->alertmanager_changed = false; /* not at once, but in a second */
            d->alertmanager_next = now + DELIVER_RETRY_FIRST_NS;
        } else {
            d->sent++;
        }
    }
    if ((!d->alertmanager_changed && now < d->alertmanager_next) || !post_idle(d->alertmanager))
        return;
    size_t length = fill_alertmanager(d, engine, wall);
    d->alertmanager_changed = false;
    d->alertmanager_next = now + DELIVER_RESEND_NS;
    if (length > 0)
        (void)post_send(d->alertmanager, "POST", NULL, d->body, length, 0);
}

void deliver_turn(struct deliver *d, const struct engine *engine, tb_ns now, tb_ns wall)
{
    take_webhook(d, now);
    send_webhook(d, now);
    turn_alertmanager(d, engine, now, wall);
}

tb_ns deliver_due(const struct deliver *d)
{
    tb_ns due = INT64_MAX;
    if (d->webhook != NULL && d->queue->count > 0 && post_idle(d->webhook))
        due = d->webhook_next;
    if (d->alertmanager != NULL && post_idle(d->alertmanager)) {
        tb_ns next = d->alertmanager_changed ? 0 : d->alertmanager_next;
        due = next < due ? next : due;
    }
    return due;
}

bool deliver_idle(const struct deliver *d)
{
    return (d->webhook == NULL || (d->queue->count == 0 && post_idle(d->webhook))) &&
           (d->alertmanager == NULL || (!d->alertmanager_changed && post_idle(d->alertmanager)));
}

const char *deliver_bad(const struct deliver *d)
{
    return d->webhook_bad        ? "the webhook takes no notices"
           : d->alertmanager_bad ? "Alertmanager takes no alerts"
                                 : NULL;
}
