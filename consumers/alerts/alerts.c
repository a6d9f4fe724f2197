#include <consumers/alerts/alerts.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>

#define M(field) offsetof(struct alerts, field)

/* A stream that was read to its end and is silent for longer has silence of its own. Less could be
 * the feed's or the scheduler's pause within a recording that is played flat out. */
#define SILENCE_NS (250 * TB_NS_PER_MS)
/* A bus starts its processes side by side: a feed that is not there yet is not down yet. */
#define FEED_START_NS (5 * TB_NS_PER_S)
/* A feed that holds its lock but does not turn (stopped, swapped out) is down after this. */
#define FEED_HEARTBEAT_NS (5 * TB_NS_PER_S)
#define LAG_EVERY_NS TB_NS_PER_S
#define IDLE_NS (100 * TB_NS_PER_MS)
#define DRAIN_NS (3 * TB_NS_PER_S)

static const struct tb_option options[] = {
    {"rules", TB_OPTION_TREE, M(tree),
     .help = "list of rules, or the path of a YAML file that has one"},
    {"webhook", TB_OPTION_STRING, M(webhook),
     .help = "post each firing and resolved alert to this address; empty: do not"},
    {"alertmanager", TB_OPTION_STRING, M(alertmanager),
     .help = "address of an Alertmanager, such as http://127.0.0.1:9093; empty: none"},
    {"timeout", TB_OPTION_DURATION, M(timeout), "5s", 10 * TB_NS_PER_MS, 60 * TB_NS_PER_S,
     .help = "give up on a request to either after this long, and repeat it later"},
};

static void check(struct tb_service *svc, void *context, struct tb_faults *faults)
{
    struct alerts *self = context;
    struct tb_error err;
    char where[96];
    const char *section = post_given(svc->section) ? svc->section : "alerts";
    (void)snprintf(where, sizeof(where), "%s.rules", section);
    if (rules_load(self->tree, svc->config_file, where, faults, &self->rules) != 0)
        tb_fault(faults, svc->config_file, 0, where, "no memory");
    (void)snprintf(where, sizeof(where), "%s.webhook", section);
    if (post_given(self->webhook) && post_url_check(self->webhook, &err) != 0)
        tb_fault(faults, svc->config_file, 0, where, "%s", err.text);
    (void)snprintf(where, sizeof(where), "%s.alertmanager", section);
    if (post_given(self->alertmanager) && post_url_check(self->alertmanager, &err) != 0)
        tb_fault(faults, svc->config_file, 0, where, "%s", err.text);
}

/* ---- the outbox ---- */

/* What the stream has already is only told again to those who may not have heard it. */
void alerts_emit(void *context, struct event *event)
{
    struct alerts *self = context;
    bool is_last;
    if (past_has(&self->past, event, &is_last)) {
        bool matters = event->state == TB_ALERT_FIRING ||
                       event->at > self->past.newest - DELIVER_RESOLVED_FOR_NS;
        if (is_last && matters)
            deliver_add(&self->deliver, event);
        return;
    }
    TB_ASSERT(self->outbox.count < ALERTS_OUTBOX_MAX);
    self->outbox.event[self->outbox.count++] = *event;
    self->outbox.saved = false;
}

static void log_transition(const struct event *event)
{
    char symbol[TB_QUOTE_BYTES], rule[TB_QUOTE_BYTES];
    enum tb_log_level level = event->fired_wall == 0            ? TB_LOG_DEBUG
                              : event->state == TB_ALERT_FIRING ? TB_LOG_WARN
                                                                : TB_LOG_INFO;
    tb_log(level, "alert",
           "rule=%s state=%s severity=%s exchange=%s symbol=%s stream=%s reader=%s alert_id=%u",
           tb_quote_text(event->rule, rule), tb_alert_state_name(event->state),
           tb_severity_name(event->severity), event->venue, tb_quote_text(event->symbol, symbol),
           event->stream, event->reader, event->alert_id);
}

/* The output's entry that names this alert; 0 if its table is full. */
static uint16_t name_alert(struct tb_service *svc, struct alerts *self, const struct event *event)
{
    struct tb_instrument entry = {0};
    (void)snprintf(entry.venue, sizeof(entry.venue), "%s", event->venue);
    (void)snprintf(entry.symbol, sizeof(entry.symbol), "%s", event->symbol);
    (void)snprintf(entry.raw, sizeof(entry.raw), "%s", event->reader);
    (void)snprintf(entry.stream, sizeof(entry.stream), "%s", event->stream);
    (void)snprintf(entry.label, sizeof(entry.label), "%s", event->rule);
    int id = tb_writer_add_instrument(svc->out, &entry);
    if (id > 0)
        return (uint16_t)id;
    self->unnamed++;
    tb_log_limited(&self->log, 10 * TB_NS_PER_S, TB_LOG_ERROR, "unnamed",
                   "stream=%s rule=\"%s\" error=%d next=\"published without its name\"",
                   svc->out_stream, event->rule, id);
    return 0;
}

static void publish(struct tb_service *svc, struct alerts *self, const struct event *event)
{
    struct tb_record record = {.ts_event = event->at,
                               .ts_recv = event->at,
                               .type = TB_ALERT,
                               .flags = TB_F_LAST,
                               .instrument = name_alert(svc, self, event),
                               .alert = {.value = event->value,
                                         .threshold = event->threshold,
                                         .since = event->since,
                                         .state = event->state,
                                         .severity = event->severity,
                                         .value_exp = event->value_exp,
                                         .alert_id = event->alert_id}};
    (void)tb_service_publish(svc, TB_NO_INPUT, &record);
    self->transitions++;
    log_transition(event);
}

/* True when the outbox is empty. Never from within on_records: no checkpoint can be made there. */
static bool flush_outbox(struct tb_service *svc, struct alerts *self)
{
    struct alerts_outbox *box = &self->outbox;
    if (box->count == 0)
        return true;
    if (!box->saved) {
        box->epoch = svc->out->epoch;
        box->first = svc->out->next_seq;
        if (!tb_service_checkpoint(svc))
            return false; /* the next turn tries again */
        box->saved = true;
    }
    TB_POINT("alerts:outbox_saved");
    for (uint32_t i = 0; i < box->count; i++) {
        publish(svc, self, &box->event[i]);
        TB_POINT("alerts:published");
        deliver_add(&self->deliver, &box->event[i]);
    }
    box->count = 0;
    box->saved = false;
    return true;
}

/* ---- start ---- */

static void add_counters(struct tb_service *svc, struct alerts *self)
{
    self->stat.transitions = tb_stats_add(&svc->stats, "transitions", TB_STAT_COUNTER);
    self->stat.rules = tb_stats_add(&svc->stats, "rules", TB_STAT_GAUGE);
    self->stat.alerts = tb_stats_add(&svc->stats, "alerts", TB_STAT_GAUGE);
    self->stat.firing = tb_stats_add(&svc->stats, "alerts_firing", TB_STAT_GAUGE);
    self->stat.pending = tb_stats_add(&svc->stats, "alerts_pending", TB_STAT_GAUGE);
    self->stat.sent = tb_stats_add(&svc->stats, "notices_sent", TB_STAT_COUNTER);
    self->stat.failures = tb_stats_add(&svc->stats, "notice_failures", TB_STAT_COUNTER);
    self->stat.refused = tb_stats_add(&svc->stats, "notices_refused", TB_STAT_COUNTER);
    self->stat.dropped = tb_stats_add(&svc->stats, "notices_dropped", TB_STAT_COUNTER);
    self->stat.queued = tb_stats_add(&svc->stats, "notices_queued", TB_STAT_GAUGE);
}

/* A rule for a stream that is no input here would wait for ever without a word. */
static void warn_of_idle_rules(const struct tb_service *svc, struct alerts *self)
{
    for (size_t i = 0; i < self->rules.count; i++) {
        const struct rule *rule = &self->rules.rule[i];
        bool found = rule->kind != RULE_FEED_DOWN || strcmp(rule->stream, "*") == 0;
        self->looks_at_lag = self->looks_at_lag || rule->kind == RULE_LAG_ABOVE;
        for (unsigned j = 0; j < svc->input_count; j++)
            found = found || strcmp(rule->stream, svc->input[j].stream) == 0;
        if (!found)
            tb_log(TB_LOG_WARN, "idle_rule",
                   "rule=\"%s\" stream=%s reason=\"it is not among the streams read here\"",
                   rule->name, rule->stream);
    }
}

static int start(struct tb_service *svc, void *context)
{
    struct alerts *self = context;
    struct tb_error err = {{0}};
    int rc = post_wake_open(svc);
    if (rc != 0)
        return rc;
    self->started = tb_clock_mono();
    self->input = calloc(TB_INPUTS_MAX, sizeof(*self->input));
    self->outbox.event = calloc(ALERTS_OUTBOX_MAX, sizeof(*self->outbox.event));
    if (self->input == NULL || self->outbox.event == NULL ||
        engine_init(&self->engine, &self->rules, alerts_emit, self) != 0) {
        tb_log(TB_LOG_ERROR, "start", "reason=\"no memory for %d alerts\"", ENGINE_ALERTS_MAX);
        return -ENOMEM;
    }
    rc = deliver_start(&self->deliver, &self->rules, self->webhook, self->alertmanager,
                       self->timeout, svc->wake_fd, &err);
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "start", "reason=\"%s\"", err.text);
    add_counters(svc, self);
    warn_of_idle_rules(svc, self);
    return rc;
}

static void stop(struct tb_service *svc, void *context)
{
    struct alerts *self = context;
    deliver_stop(&self->deliver);
    past_fini(&self->past);
    engine_fini(&self->engine);
    rules_free(&self->rules);
    free(self->outbox.event);
    free(self->input);
    post_wake_close(svc);
}

/* ---- records ---- */

static int on_input(struct tb_service *svc, void *context, unsigned input, bool new_epoch)
{
    struct alerts *self = context;
    struct alerts_input *in = &self->input[input];
    (void)svc;
    memset(in->entry, 0, sizeof(in->entry));
    if (!in->opened && in->heard == 0)
        in->heard = tb_clock_mono();
    in->opened = true;
    if (new_epoch) {
        in->disconnected = false;
        engine_unseen(&self->engine, input);
    }
    return 0;
}

static void on_overrun(struct tb_service *svc, void *context, unsigned input, uint64_t lost)
{
    struct alerts *self = context;
    (void)svc, (void)lost;
    engine_unseen(&self->engine, input);
}

static const struct alerts_entry *find_entry(struct tb_service *svc, struct alerts *self,
                                             unsigned input, const struct tb_record *record)
{
    struct alerts_entry *entry = &self->input[input].entry[record->instrument];
    if (entry->known)
        return entry;
    const struct tb_instrument *instrument =
        tb_reader_instrument(&svc->input[input].reader, record->instrument);
    if (instrument == NULL)
        return NULL;
    *entry = (struct alerts_entry){
        .market = (int16_t)engine_market(&self->engine, input, instrument->venue,
                                         instrument->symbol, record->ts_recv),
        .known = true,
        .price_exp = instrument->price_exp,
        .size_exp = instrument->size_exp};
    return entry;
}

static void apply(struct tb_service *svc, struct alerts *self, unsigned input,
                  const struct tb_record *record)
{
    struct alerts_input *in = &self->input[input];
    if (record->type == TB_STATUS && record->instrument == 0) {
        if (record->status.code == TB_STATUS_CONNECTED)
            in->disconnected = false;
        if (record->status.code == TB_STATUS_DISCONNECTED)
            in->disconnected = true;
    }
    if (record->instrument == 0) {
        engine_record(&self->engine, input, -1, record, 0, 0);
        return;
    }
    if (record->instrument > TB_INSTRUMENTS_MAX)
        return;
    const struct alerts_entry *entry = find_entry(svc, self, input, record);
    if (entry != NULL && entry->market >= 0)
        engine_record(&self->engine, input, entry->market, record, entry->price_exp,
                      entry->size_exp);
}

static int on_records(struct tb_service *svc, void *context, unsigned input,
                      const struct tb_record *records, int count)
{
    struct alerts *self = context;
    struct alerts_input *in = &self->input[input];
    if (self->outbox.count > 0)
        return 0;
    in->heard = tb_clock_mono();
    in->heard_wall = self->engine.wall = svc->now;
    for (int i = 0; i < count; i++) {
        apply(svc, self, input, &records[i]);
        if (self->outbox.count > 0)
            return i + 1; /* published before the next record is looked at */
    }
    return count;
}

/* ---- time, feeds, readers ---- */

static void look_at_silence(struct tb_service *svc, struct alerts *self, tb_ns mono)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        const struct tb_input *in = &svc->input[i];
        tb_ns silence = mono - self->input[i].heard;
        if (!in->open || self->engine.now[i] == 0 || silence < SILENCE_NS ||
            tb_reader_newest(&in->reader) >= in->reader.cursor || tb_reader_done(&in->reader))
            continue;
        engine_idle(&self->engine, i, self->engine.now[i] + silence);
    }
    engine_expect(&self->engine, svc->now);
    engine_idle(&self->engine, ENGINE_WALL, svc->now);
}

static bool feed_down(const struct tb_input *in, const struct alerts_input *state, tb_ns wall)
{
    struct tb_producer producer;
    if (!in->open)
        return true;
    tb_reader_producer(&in->reader, &producer);
    if (producer.state == TB_STREAM_DONE)
        return false;
    return !producer.alive || state->disconnected || wall - producer.heartbeat > FEED_HEARTBEAT_NS;
}

static void look_at_feeds(struct tb_service *svc, struct alerts *self, tb_ns mono)
{
    for (unsigned i = 0; i < svc->input_count; i++) {
        if (!self->input[i].opened && mono - self->started < FEED_START_NS)
            continue;
        engine_feed(&self->engine, svc->input[i].stream,
                    feed_down(&svc->input[i], &self->input[i], svc->now), svc->now);
    }
}

struct lag_look {
    struct tb_service *svc;
    struct alerts *self;
};

static tb_seq newest_of(const struct tb_service *svc, const char *stream)
{
    struct tb_reader reader;
    struct tb_reader_options from_newest = {.from = TB_FROM_NEWEST};
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open && strcmp(svc->input[i].stream, stream) == 0)
            return tb_reader_newest(&svc->input[i].reader);
    if (tb_reader_open(svc->bus_dir, stream, &from_newest, &reader, NULL) != 0)
        return 0;
    tb_seq newest = tb_reader_newest(&reader);
    tb_reader_close(&reader, false);
    return newest;
}

static int look_at_reader(const char *name, void *context)
{
    const struct lag_look *look = context;
    struct tb_cursor_info cursor;
    if (tb_cursor_inspect(look->svc->bus_dir, name, &cursor, NULL) != 0 ||
        !tb_name_check(cursor.stream) || !tb_name_check(cursor.reader))
        return 0;
    tb_seq next = newest_of(look->svc, cursor.stream) + 1;
    engine_lag(&look->self->engine, cursor.stream, cursor.reader,
               next > cursor.cursor ? next - cursor.cursor : 0, look->svc->now);
    return 0;
}

static void look_at_lag(struct tb_service *svc, struct alerts *self, tb_ns mono)
{
    struct lag_look look = {svc, self};
    if (!self->looks_at_lag || mono - self->lag_looked < LAG_EVERY_NS)
        return;
    self->lag_looked = mono;
    (void)tb_bus_list(svc->bus_dir, ".cursor", look_at_reader, &look, NULL);
    engine_lag_end(&self->engine, svc->now);
}

static void deliver(struct tb_service *svc, struct alerts *self)
{
    tb_ns now = tb_clock_mono();
    post_wake_take(svc);
    deliver_turn(&self->deliver, &self->engine, now, svc->now);
    const char *bad = deliver_bad(&self->deliver);
    if ((bad != NULL) != self->delivery_bad)
        tb_service_degraded(svc, bad);
    self->delivery_bad = bad != NULL;
    tb_ns due = deliver_due(&self->deliver);
    svc->idle_ns = due <= now ? TB_NS_PER_MS : due - now < IDLE_NS ? due - now : IDLE_NS;
}

static int poll_turn(struct tb_service *svc, void *context)
{
    struct alerts *self = context;
    bool had = self->outbox.count > 0;
    if (flush_outbox(svc, self))
        deliver(svc, self);
    return had && self->outbox.count == 0 ? 1 : 0;
}

static void count(struct alerts *self)
{
    int64_t firing = 0, pending = 0;
    for (size_t i = 0; i < self->engine.alert_count; i++) {
        firing += self->engine.alert[i].phase == ALERT_FIRING;
        pending += self->engine.alert[i].phase == ALERT_PENDING;
    }
    tb_stats_set(self->stat.rules, (int64_t)self->rules.count);
    tb_stats_set(self->stat.alerts, (int64_t)self->engine.alert_count);
    tb_stats_set(self->stat.firing, firing);
    tb_stats_set(self->stat.pending, pending);
    tb_stats_set(self->stat.transitions, (int64_t)self->transitions);
    tb_stats_set(self->stat.sent, (int64_t)self->deliver.sent);
    tb_stats_set(self->stat.failures, (int64_t)self->deliver.failures);
    tb_stats_set(self->stat.refused, (int64_t)self->deliver.refused);
    tb_stats_set(self->stat.dropped, (int64_t)self->deliver.dropped);
    tb_stats_set(self->stat.queued, (int64_t)self->deliver.queue->count);
    if (self->engine.refused > self->refused_said) {
        tb_log_limited(&self->log, 60 * TB_NS_PER_S, TB_LOG_ERROR, "too_many",
                       "not_watched=%llu alerts_max=%d markets_max=%d books_max=%d",
                       (unsigned long long)self->engine.refused, ENGINE_ALERTS_MAX,
                       ENGINE_MARKETS_MAX, ENGINE_BOOKS_MAX);
        self->refused_said = self->engine.refused;
    }
}

static int housekeep(struct tb_service *svc, void *context, tb_ns now)
{
    struct alerts *self = context;
    tb_ns mono = tb_clock_mono();
    self->engine.wall = now;
    if (!svc->stopping && flush_outbox(svc, self)) {
        alerts_settle(self);
        look_at_silence(svc, self, mono);
        look_at_feeds(svc, self, mono);
        look_at_lag(svc, self, mono);
        (void)flush_outbox(svc, self);
    }
    count(self);
    return 0;
}

/* ---- the end ---- */

/* Notices that can not be delivered now are in the last checkpoint, for the next life. */
static int drain(struct tb_service *svc, void *context)
{
    struct alerts *self = context;
    tb_ns now = tb_clock_mono();
    if (self->drain_until == 0)
        self->drain_until = now + DRAIN_NS;
    if (!flush_outbox(svc, self))
        return -EAGAIN;
    deliver(svc, self);
    count(self);
    return deliver_idle(&self->deliver) || deliver_bad(&self->deliver) != NULL ||
                   now > self->drain_until
               ? 0
               : -EAGAIN;
}

struct tb_service_ops alerts_ops(void)
{
    return (struct tb_service_ops){
        .name = "alerts",
        .summary = "rules over the streams: alerts on a stream, to a webhook, to Alertmanager",
        .options = options,
        .option_count = TB_COUNT(options),
        .inputs = "@feeds",
        .output = "alerts",
        .output_capacity = 4096,
        .checkpoint_version = ALERTS_STATE_VERSION,
        .checkpoint_bytes = alerts_save_max(),
        .check = check,
        .start = start,
        .restore = alerts_restore,
        .on_past = alerts_on_past,
        .on_input = on_input,
        .on_records = on_records,
        .on_overrun = on_overrun,
        .poll = poll_turn,
        .housekeep = housekeep,
        .save_size = alerts_save_size,
        .save = alerts_save,
        .drain = drain,
        .stop = stop,
    };
}
