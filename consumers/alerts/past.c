#include <consumers/alerts/past.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void past_fini(struct past *p)
{
    free(p->alert);
    memset(p, 0, sizeof(*p));
}

static struct past_alert *find(const struct past *p, const struct event *event)
{
    for (uint32_t i = 0; i < p->count; i++) {
        const struct event *e = &p->alert[i].last;
        if (strcmp(e->rule, event->rule) == 0 && strcmp(e->symbol, event->symbol) == 0 &&
            strcmp(e->venue, event->venue) == 0 && strcmp(e->stream, event->stream) == 0 &&
            strcmp(e->reader, event->reader) == 0)
            return &p->alert[i];
    }
    return NULL;
}

static struct past_alert *make(struct past *p, const struct event *event)
{
    if ((p->count & (p->count - 1)) == 0) { /* full at each power of two */
        uint32_t room = p->count == 0 ? 1 : 2 * p->count;
        struct past_alert *more = room <= PAST_MAX ? realloc(p->alert, room * sizeof(*more)) : NULL;
        if (more == NULL) {
            p->forgotten++;
            return NULL;
        }
        p->alert = more;
    }
    struct past_alert *a = &p->alert[p->count++];
    *a = (struct past_alert){.last = *event, .waiting = true};
    return a;
}

/* Not behind the last one, in the order of one alert's transitions. */
static bool is_there(const struct event *e, const struct event *last)
{
    if (e->at != last->at)
        return e->at < last->at;
    return e->alert_id != last->alert_id ? e->alert_id < last->alert_id : e->state <= last->state;
}

void past_add(struct past *p, const char *own_stream, const struct tb_instrument *entry,
              const struct tb_record *record)
{
    const struct tb_alert *r = &record->alert;
    struct event event = {.value = r->value,
                          .threshold = r->threshold,
                          .since = r->since,
                          .at = record->ts_event,
                          .wall = record->ts_event,
                          .alert_id = r->alert_id,
                          .state = r->state,
                          .severity = r->severity,
                          .value_exp = r->value_exp};
    if (record->type != TB_ALERT || entry == NULL)
        return;
    memcpy(event.rule, entry->label, sizeof(event.rule));
    memcpy(event.venue, entry->venue, sizeof(event.venue));
    memcpy(event.symbol, entry->symbol, sizeof(event.symbol));
    memcpy(event.reader, entry->raw, sizeof(event.reader) - 1);
    if (strcmp(entry->stream, own_stream) != 0) /* it has no stream: the table says its own */
        memcpy(event.stream, entry->stream, sizeof(event.stream));
    event.fired_wall = event.state == TB_ALERT_FIRING ? event.at : 0;
    struct past_alert *a = find(p, &event);
    if (a == NULL && (a = make(p, &event)) == NULL)
        return;
    /* There a second time: writes that arrived when the next life had read them as missing. A recording
     * that is played again goes back in time, too, but its stories have later numbers. */
    if (event.alert_id <= a->last.alert_id && !is_there(&a->last, &event))
        return;
    if (event.state == TB_ALERT_RESOLVED && event.alert_id == a->last.alert_id)
        event.fired_wall = a->last.fired_wall;
    a->last = event;
    a->waiting = true;
    p->newest = event.at > p->newest ? event.at : p->newest;
}

bool past_has(struct past *p, struct event *event, bool *out_last)
{
    struct past_alert *a = p->count > 0 ? find(p, event) : NULL;
    *out_last = false;
    if (a == NULL || !a->waiting)
        return false;
    const struct event *last = &a->last;
    bool open = last->state != TB_ALERT_RESOLVED;
    *out_last = event->at == last->at && event->state == last->state;
    /* The oldest inputs may be gone, and with them the stories that were told of them. */
    if (*out_last && event->alert_id < last->alert_id)
        event->alert_id = last->alert_id;
    if (is_there(event, last))
        return true;
    bool opens = event->state == TB_ALERT_PENDING ||
                 (event->state == TB_ALERT_FIRING && last->state != TB_ALERT_PENDING);
    if (open == opens) { /* open already; or over already */
        event->alert_id = open ? last->alert_id : event->alert_id;
        return true;
    }
    uint32_t next = last->alert_id + !open;
    if (open || event->alert_id < next)
        event->alert_id = next;
    a->waiting = false;
    return false;
}

size_t past_save_size(const struct past *p)
{
    return p->count * sizeof(*p->alert);
}

void past_save(const struct past *p, void *bytes)
{
    if (p->count > 0)
        memcpy(bytes, p->alert, past_save_size(p));
}

int past_load(struct past *p, const void *bytes, size_t count)
{
    size_t alerts = count / sizeof(*p->alert), room = 1;
    past_fini(p);
    if (count % sizeof(*p->alert) != 0 || alerts > PAST_MAX)
        return -EINVAL;
    while (room < alerts)
        room *= 2;
    p->alert = alerts > 0 ? malloc(room * sizeof(*p->alert)) : NULL;
    if (alerts > 0 && p->alert == NULL)
        return -ENOMEM;
    if (alerts > 0)
        memcpy(p->alert, bytes, count);
    p->count = (uint32_t)alerts;
    return 0;
}
