/* The state of an alerts service as bytes; and how it goes on without one. */
#include <consumers/alerts/alerts.h>

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

/* Stream time that a market's records have to show whether an alert that the stream says is open is. */
#define SETTLE_NS (10 * TB_NS_PER_S)

/* What an earlier life had in its outbox when it ended, less what it did publish. */
static void resume_outbox(struct tb_service *svc, struct alerts *self)
{
    struct alerts_outbox *box = &self->outbox;
    uint64_t published = 0;
    if (box->count > 0 && box->epoch == svc->out->epoch && svc->out->next_seq > box->first)
        published = svc->out->next_seq - box->first;
    published = published < box->count ? published : box->count;
    for (uint32_t i = 0; i < published; i++)
        deliver_add(&self->deliver, &box->event[i]);
    box->count -= (uint32_t)published;
    memmove(box->event, box->event + published, box->count * sizeof(*box->event));
    box->saved = false;
}

struct saved {
    uint64_t event_bytes; /* sizeof(struct event): another build's is not read */
    uint64_t outbox_epoch;
    tb_seq outbox_first;
    uint32_t outbox_count;
    uint32_t queue_count;
    uint64_t past_bytes;
    struct {
        tb_ns heard_wall;
        bool disconnected;
        uint8_t reserved[7];
    } input[TB_INPUTS_MAX];
};

size_t alerts_save_size(struct tb_service *svc, void *context)
{
    const struct alerts *self = context;
    (void)svc;
    return sizeof(struct saved) +
           (self->outbox.count + self->deliver.queue->count) * sizeof(struct event) +
           past_save_size(&self->past) + engine_save_size(&self->engine);
}

size_t alerts_save_max(void)
{
    return sizeof(struct saved) + (ALERTS_OUTBOX_MAX + DELIVER_QUEUE_MAX) * sizeof(struct event) +
           PAST_MAX * sizeof(struct past_alert) + engine_save_max();
}

size_t alerts_save(struct tb_service *svc, void *context, void *bytes, size_t capacity)
{
    struct alerts *self = context;
    const struct deliver_queue *queue = self->deliver.queue;
    struct saved head = {.event_bytes = sizeof(struct event),
                         .outbox_epoch = svc->out->epoch,
                         .outbox_first = svc->out->next_seq,
                         .outbox_count = self->outbox.count,
                         .queue_count = queue->count,
                         .past_bytes = past_save_size(&self->past)};
    struct event *event = (struct event *)(void *)((char *)bytes + sizeof(head));
    size_t used = sizeof(head) + (head.outbox_count + head.queue_count) * sizeof(*event);
    if (capacity < used + head.past_bytes)
        return 0;
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++) {
        head.input[i].heard_wall = self->input[i].heard_wall;
        head.input[i].disconnected = self->input[i].disconnected;
    }
    memcpy(bytes, &head, sizeof(head));
    memcpy(event, self->outbox.event, head.outbox_count * sizeof(*event));
    for (uint32_t i = 0; i < queue->count; i++)
        event[head.outbox_count + i] = queue->event[(queue->first + i) % DELIVER_QUEUE_MAX];
    past_save(&self->past, (char *)bytes + used);
    used += (size_t)head.past_bytes;
    size_t engine = engine_save(&self->engine, (char *)bytes + used, capacity - used);
    return engine == 0 ? 0 : used + engine;
}

static int load(struct tb_service *svc, struct alerts *self, const void *bytes, size_t bytes_count)
{
    struct saved head;
    size_t used = sizeof(head);
    if (bytes_count < used)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof(head));
    uint64_t events = (uint64_t)head.outbox_count + head.queue_count;
    if (head.event_bytes != sizeof(struct event) || head.outbox_count > ALERTS_OUTBOX_MAX ||
        head.queue_count > DELIVER_QUEUE_MAX ||
        (bytes_count - used) / sizeof(struct event) < events ||
        head.past_bytes > bytes_count - used - (size_t)events * sizeof(struct event))
        return -EBADMSG;
    const char *event = (const char *)bytes + used;
    used += (size_t)events * sizeof(struct event);
    memcpy(self->outbox.event, event, head.outbox_count * sizeof(struct event));
    memcpy(self->deliver.queue->event, event + head.outbox_count * sizeof(struct event),
           head.queue_count * sizeof(struct event));
    self->outbox.count = head.outbox_count;
    self->outbox.epoch = head.outbox_epoch;
    self->outbox.first = head.outbox_first;
    self->deliver.queue->count = self->deliver.webhook != NULL ? head.queue_count : 0;
    if (past_load(&self->past, (const char *)bytes + used, (size_t)head.past_bytes) != 0)
        return -EBADMSG;
    used += (size_t)head.past_bytes;
    resume_outbox(svc, self);
    tb_ns wall = tb_clock_wall(), mono = tb_clock_mono();
    self->engine.wall = wall;
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++) {
        tb_ns ago = wall - head.input[i].heard_wall;
        self->input[i].heard_wall = head.input[i].heard_wall;
        self->input[i].heard = head.input[i].heard_wall == 0 ? 0 : mono - (ago > 0 ? ago : 0);
        self->input[i].disconnected = head.input[i].disconnected;
    }
    return engine_load(&self->engine, (const char *)bytes + used, bytes_count - used) == 0
               ? -EBADMSG
               : 0;
}

int alerts_restore(struct tb_service *svc, void *context, const void *bytes, size_t bytes_count)
{
    struct alerts *self = context;
    int rc = load(svc, self, bytes, bytes_count);
    if (rc == 0)
        return 0;
    /* From nothing, then: not from half of it. */
    engine_fini(&self->engine);
    past_fini(&self->past);
    self->outbox.count = 0;
    self->deliver.queue->count = 0;
    memset(self->input, 0, TB_INPUTS_MAX * sizeof(*self->input));
    return engine_init(&self->engine, &self->rules, alerts_emit, self) != 0 ? -ENOMEM : rc;
}

/* ---- without a state ---- */

/* Of an older output: what the outbox holds may have been published. */
static void filter_outbox(struct alerts *self)
{
    struct alerts_outbox *box = &self->outbox;
    uint32_t count = box->count;
    box->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct event event = box->event[i];
        alerts_emit(self, &event); /* to a place at or before its own */
    }
}

void alerts_on_past(struct tb_service *svc, void *context, struct tb_reader *reader,
                    const struct tb_record *record)
{
    struct alerts *self = context;
    struct past *past = &self->past;
    if (record != NULL) {
        past_add(past, svc->out_stream, tb_reader_instrument(reader, record->instrument), record);
        return;
    }
    if (past->forgotten > 0)
        tb_log(TB_LOG_ERROR, "past_forgotten", "alerts=%u then=\"they may be published again\"",
               past->forgotten);
    filter_outbox(self);
    self->engine.wall = tb_clock_wall();
    for (uint32_t i = 0; i < past->count && self->outbox.count < ALERTS_OUTBOX_MAX; i++)
        engine_resume(&self->engine, &past->alert[i].last);
}

/*
 * A story that the stream has open, of records that are lost: once the market's later records have had
 * time to open it here as well and did not, it is over.
 */
void alerts_settle(struct alerts *self)
{
    for (uint32_t i = 0; i < self->past.count; i++) {
        const struct past_alert *a = &self->past.alert[i];
        tb_ns now = engine_time(&self->engine, a->last.venue, a->last.symbol);
        if (!a->waiting || a->last.state == TB_ALERT_RESOLVED || now <= a->last.at + SETTLE_NS ||
            engine_is_open(&self->engine, &a->last))
            continue;
        struct event event = a->last;
        event.state = TB_ALERT_RESOLVED;
        event.at = now;
        event.wall = self->engine.wall;
        alerts_emit(self, &event);
    }
}
