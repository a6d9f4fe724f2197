#include <consumers/metrics/metrics.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <consumers/metrics/market_text.h>
#include <tickbus/clock.h>

#define M(field) offsetof(struct metrics, field)

#define LINE_BYTES 320 /* the longest line: a name, a venue, a symbol with every byte escaped */
#define LOOK_EVERY_NS TB_NS_PER_S
#define SERVE_EVERY_NS (100 * TB_NS_PER_MS)
#define PUSH_LOG_EVERY_NS (10 * TB_NS_PER_S)
#define RESERVED_MAX 2000

static const struct tb_option options[] = {
    {"listen", TB_OPTION_STRING, M(listen), "127.0.0.1:9108",
     .help = "serve /metrics and /healthz on this address; empty: do not"},
    {"push", TB_OPTION_STRING, M(push_to),
     .help = "address of a Pushgateway, such as http://127.0.0.1:9091; empty: do not push"},
    {"push_every", TB_OPTION_DURATION, M(push_every), "100ms", 10 * TB_NS_PER_MS,
     3600 * TB_NS_PER_S, .help = "push what has changed this often"},
    {"push_trades", TB_OPTION_INT, M(push_trades), "10", 1, 1000000,
     .help = "or after this many trades, whichever comes first"},
    {"push_timeout", TB_OPTION_DURATION, M(push_timeout), "500ms", 10 * TB_NS_PER_MS,
     60 * TB_NS_PER_S, .help = "give up on a push after this long"},
    {"push_delete", TB_OPTION_BOOL, M(push_delete), "true",
     .help = "when stopped before the streams are done, delete what was pushed"},
    {"job", TB_OPTION_STRING, M(job), "tickbus", .help = "label `job` of what is pushed"},
    {"instance", TB_OPTION_STRING, M(instance),
     .help = "label `instance` of what is pushed; default: the bus"},
    {"series_max", TB_OPTION_INT, M(series_max), "10000", 1, 200000,
     .help = "most series ever exported"},
};

size_t metrics_series_reserved(int64_t series_max)
{
    return (size_t)(series_max / 5 < RESERVED_MAX ? series_max / 5 : RESERVED_MAX);
}

size_t metrics_markets_allowed(int64_t series_max)
{
    size_t allowed =
        ((size_t)series_max - metrics_series_reserved(series_max)) / market_text_series();
    return allowed < METRICS_MARKETS_MAX ? allowed : METRICS_MARKETS_MAX;
}

/* ---- configuration ---- */

static void configure_market(struct metrics *self, size_t *over, const char *venue,
                             const char *symbol)
{
    if (!tb_symbol_check(symbol) || strlen(venue) >= TB_VENUE_BYTES)
        return; /* the feed's own check says so */
    for (size_t i = 0; i < self->configured_count; i++)
        if (strcmp(self->configured[i].venue, venue) == 0 &&
            strcmp(self->configured[i].symbol, symbol) == 0)
            return;
    if (self->configured_count == METRICS_MARKETS_MAX) {
        ++*over;
        return;
    }
    size_t i = self->configured_count++;
    (void)snprintf(self->configured[i].venue, TB_VENUE_BYTES, "%s", venue);
    (void)snprintf(self->configured[i].symbol, TB_SYMBOL_BYTES, "%s", symbol);
}

/* Feeds name their venue and symbols in the same file: their series exist from the start. */
static void configure_markets(struct tb_service *svc, struct metrics *self, size_t *over)
{
    struct tb_faults quiet = {.out = NULL}; /* the skeleton has reported them */
    struct tb_yaml *root = svc->config_file != NULL ? tb_yaml_load(svc->config_file, &quiet) : NULL;
    const struct tb_yaml *feeds = tb_yaml_get(root, "feeds");
    for (size_t f = 0; feeds != NULL && feeds->kind == TB_YAML_MAP && f < feeds->count; f++) {
        const struct tb_yaml *venue = tb_yaml_get(feeds->item[f], "venue");
        const struct tb_yaml *symbols = tb_yaml_get(feeds->item[f], "symbols");
        if (venue == NULL || venue->kind != TB_YAML_SCALAR || symbols == NULL ||
            symbols->kind != TB_YAML_LIST)
            continue;
        for (size_t i = 0; i < symbols->count; i++)
            if (symbols->item[i]->kind == TB_YAML_SCALAR)
                configure_market(self, over, venue->text, symbols->item[i]->text);
    }
    tb_yaml_free(root);
}

static void check(struct tb_service *svc, void *context, struct tb_faults *faults)
{
    struct metrics *self = context;
    struct tb_error err;
    char field[96];
    size_t over = 0, each = market_text_series(), reserved;
    configure_markets(svc, self, &over);
    size_t markets = self->configured_count + over;
    reserved = metrics_series_reserved(self->series_max);
    (void)snprintf(field, sizeof(field), "%s.series_max",
                   post_given(svc->section) ? svc->section : "metrics");
    if (markets > metrics_markets_allowed(self->series_max))
        tb_fault(faults, svc->config_file, 0, field,
                 "%zu symbols make %zu series each and %zu are kept for the processes of the bus: "
                 "%zu, more than %lld; name fewer symbols or raise series_max",
                 markets, each, reserved, markets * each + reserved, (long long)self->series_max);
    else if (metrics_markets_allowed(self->series_max) == 0)
        tb_fault(faults, svc->config_file, 0, field,
                 "%lld is too little: one symbol makes %zu series", (long long)self->series_max,
                 each);
    (void)snprintf(field, sizeof(field), "%s.push",
                   post_given(svc->section) ? svc->section : "metrics");
    if (post_given(self->push_to) && post_url_check(self->push_to, &err) != 0)
        tb_fault(faults, svc->config_file, 0, field, "%s", err.text);
    (void)snprintf(field, sizeof(field), "%s.listen",
                   post_given(svc->section) ? svc->section : "metrics");
    if (post_given(self->listen) && server_check(self->listen, &err) != 0)
        tb_fault(faults, svc->config_file, 0, field, "%s", err.text);
}

/* ---- start ---- */

static int start_push(struct tb_service *svc, struct metrics *self)
{
    char url[POST_URL_BYTES];
    struct tb_error err = {{0}};
    const char *bus = strrchr(svc->bus_dir, '/');
    bus = bus != NULL ? bus + 1 : svc->bus_dir;
    int rc = push_url(self->push_to, self->job, post_given(self->instance) ? self->instance : bus,
                      url, sizeof(url));
    struct post_options post = {.url = url,
                                .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                .body_max = self->text.capacity,
                                .timeout_ns = self->push_timeout,
                                .wake_fd = svc->wake_fd};
    if (rc != 0)
        (void)tb_fail(&err, rc, "push, job and instance make too long an address");
    else
        rc = post_start(&post, &self->push.post, &err);
    if (rc != 0) {
        tb_log(TB_LOG_ERROR, "start", "reason=\"%s\"", err.text);
        return rc;
    }
    self->push.every_ns = self->push_every;
    self->push.trades = self->push_trades;
    post_url_shown(url, self->push.shown, sizeof(self->push.shown));
    return 0;
}

static int start_server(struct metrics *self)
{
    struct tb_error err = {{0}};
    int rc = server_start(self->listen, self->text.capacity, &self->server, &err);
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "start", "reason=\"%s\"", err.text);
    else
        tb_log(TB_LOG_INFO, "listening", "address=%s port=%u", self->listen,
               server_port(self->server));
    return rc;
}

static void begin_from_nothing(struct tb_service *svc, struct metrics *self)
{
    memset(self->input, 0, TB_INPUTS_MAX * sizeof(*self->input));
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++)
        self->input[i].feed.connected = NAN;
    for (unsigned i = 0; i < svc->input_count; i++)
        (void)snprintf(self->input[i].feed.stream, sizeof(self->input[i].feed.stream), "%s",
                       svc->input[i].stream);
    for (size_t i = 0; i < self->market_max; i++) {
        memset(&self->market[i].state, 0, sizeof(self->market[i].state));
        tb_book_clear(&self->market[i].book);
    }
    self->market_count = 0;
    for (size_t i = 0; i < self->configured_count; i++)
        market_name(&self->market[self->market_count++], self->configured[i].venue,
                    self->configured[i].symbol);
}

static int allocate(struct tb_service *svc, struct metrics *self)
{
    self->market_max = metrics_markets_allowed(self->series_max);
    self->market = calloc(self->market_max, sizeof(*self->market));
    self->input = calloc(TB_INPUTS_MAX, sizeof(*self->input));
    if (self->market == NULL || self->input == NULL ||
        estate_init(&self->estate, svc->bus_dir) != 0 ||
        text_init(&self->text, (size_t)self->series_max * LINE_BYTES) != 0)
        return -ENOMEM;
    for (size_t i = 0; i < self->market_max; i++)
        if (market_init(&self->market[i]) != 0)
            return -ENOMEM;
    begin_from_nothing(svc, self);
    return 0;
}

static int start(struct tb_service *svc, void *context)
{
    struct metrics *self = context;
    int rc = post_wake_open(svc);
    if (rc != 0)
        return rc;
    rc = allocate(svc, self);
    if (rc != 0) {
        tb_log(TB_LOG_ERROR, "start", "reason=\"no memory for %lld series\"",
               (long long)self->series_max);
        return rc;
    }
    self->stat.pushes = tb_stats_add(&svc->stats, "pushes", TB_STAT_COUNTER);
    self->stat.failures = tb_stats_add(&svc->stats, "push_failures", TB_STAT_COUNTER);
    self->stat.series = tb_stats_add(&svc->stats, "series", TB_STAT_GAUGE);
    self->stat.refused = tb_stats_add(&svc->stats, "series_refused", TB_STAT_GAUGE);
    self->stat.markets = tb_stats_add(&svc->stats, "markets", TB_STAT_GAUGE);
    self->stat.over_budget = tb_stats_add(&svc->stats, "markets_over_budget", TB_STAT_GAUGE);
    self->stat.scrapes = tb_stats_add(&svc->stats, "scrapes", TB_STAT_COUNTER);
    self->stat.push_ns = tb_stats_add_histogram(&svc->stats, "push_ns");
    if (post_given(self->push_to))
        rc = start_push(svc, self);
    if (rc == 0 && post_given(self->listen))
        rc = start_server(self);
    return rc;
}

static void stop(struct tb_service *svc, void *context)
{
    struct metrics *self = context;
    server_stop(self->server);
    post_stop(self->push.post);
    for (size_t i = 0; self->market != NULL && i < self->market_max; i++)
        market_fini(&self->market[i]);
    free(self->market);
    free(self->input);
    estate_fini(&self->estate);
    text_fini(&self->text);
    post_wake_close(svc);
}

/* ---- rendering, pushing ---- */

static void render(struct tb_service *svc, struct metrics *self, tb_ns now)
{
    struct estate_feed feeds[TB_INPUTS_MAX];
    size_t feed_count = 0;
    for (unsigned i = 0; i < svc->input_count; i++)
        feeds[feed_count++] = self->input[i].feed;
    text_begin(&self->text, (size_t)self->series_max);
    market_text_write(&self->text, self->market, self->market_count);
    estate_write(&self->text, &self->estate, feeds, feed_count);
    self->rendered = now;
    self->render_took = tb_clock_mono() - now;
    self->text_changed = false;
    tb_stats_set(self->stat.series, (int64_t)self->text.series);
    tb_stats_set(self->stat.refused, (int64_t)self->text.refused);
    if (self->server != NULL && !server_publish(self->server, self->text.data, self->text.length))
        self->text_changed = true; /* a scrape was being copied: soon again */
}

static void take_result(struct tb_service *svc, struct metrics *self, tb_ns now)
{
    struct post_result result;
    struct push *push = &self->push;
    if (push->post == NULL || !post_result(push->post, &result))
        return;
    bool turned = push_result(push, &result, now);
    if (post_succeeded(&result)) {
        tb_stats_observe(self->stat.push_ns, result.elapsed_ns);
        if (turned) {
            self->note[0] = '\0';
            tb_service_degraded(svc, NULL);
        }
        return;
    }
    char reason[TB_QUOTE_BYTES];
    self->changed = true; /* what that push should have said is still to be said */
    tb_log_limited(&self->push_log, PUSH_LOG_EVERY_NS, TB_LOG_WARN, "push",
                   "to=%s status=%ld reason=%s failures=%llu next=\"the newest state, again\"",
                   push->shown, result.status, tb_quote_text(result.reason, reason),
                   (unsigned long long)push->failures);
    if (turned) {
        (void)snprintf(self->note, sizeof(self->note), "the Pushgateway %.100s takes no pushes",
                       push->shown);
        tb_service_degraded(svc, self->note);
    }
}

static void send_push(struct metrics *self, tb_ns now)
{
    struct push *push = &self->push;
    if (!post_send(push->post, "PUT", NULL, self->text.data, self->text.length, 0))
        return;
    push->sent = now;
    self->changed = false;
    self->trades_since = 0;
}

/* What is due now; and when to be called again at the latest. Rendering takes a fifth of the time at
 * most, however fast trades come. */
static void turn(struct tb_service *svc, struct metrics *self)
{
    tb_ns now = tb_clock_mono(), next = now + SERVE_EVERY_NS;
    post_wake_take(svc);
    take_result(svc, self, now);
    tb_ns rested = self->rendered + 4 * self->render_took;
    tb_ns due = self->push.post != NULL ? push_due(&self->push, self->changed, self->trades_since)
                                        : INT64_MAX;
    due = due < rested && due != INT64_MAX ? rested : due;
    if (due <= now) {
        render(svc, self, now);
        send_push(self, now);
    } else if (self->text_changed && self->rendered + SERVE_EVERY_NS <= now) {
        render(svc, self, now);
    }
    next = due > now && due < next ? due : next;
    svc->idle_ns = next - now;
}

static int poll_turn(struct tb_service *svc, void *context)
{
    turn(svc, context);
    return 0;
}

static int housekeep(struct tb_service *svc, void *context, tb_ns now)
{
    struct metrics *self = context;
    tb_ns mono = tb_clock_mono();
    (void)now;
    if (mono - self->looked >= LOOK_EVERY_NS) {
        estate_look(&self->estate);
        self->looked = mono;
        self->text_changed = true;
    }
    tb_stats_set(self->stat.pushes, (int64_t)self->push.pushes);
    tb_stats_set(self->stat.failures, (int64_t)self->push.failures);
    tb_stats_set(self->stat.markets, (int64_t)self->market_count);
    tb_stats_set(self->stat.over_budget, (int64_t)self->over_budget);
    if (self->server != NULL) {
        tb_stats_set(self->stat.scrapes, (int64_t)server_scrapes(self->server));
        server_health(self->server, mono, self->note[0] != '\0' ? self->note : NULL);
    }
    turn(svc, self);
    return 0;
}

/* ---- records ---- */

static void refuse_market(struct metrics *self, const struct tb_instrument *instrument)
{
    self->over_budget++;
    if (self->over_budget_said)
        return;
    self->over_budget_said = true;
    tb_log(TB_LOG_WARN, "series_budget",
           "venue=%s symbol=%s markets=%zu series_max=%lld next=\"it and further new markets are "
           "not exported\"",
           instrument->venue, instrument->symbol, self->market_count, (long long)self->series_max);
}

static uint16_t find_market(struct metrics *self, const struct tb_instrument *instrument)
{
    for (size_t i = 0; i < self->market_count; i++)
        if (strcmp(self->market[i].state.venue, instrument->venue) == 0 &&
            strcmp(self->market[i].state.symbol, instrument->symbol) == 0)
            return (uint16_t)(i + 1);
    if (self->market_count == self->market_max) {
        refuse_market(self, instrument);
        return METRICS_NO_MARKET;
    }
    market_name(&self->market[self->market_count++], instrument->venue, instrument->symbol);
    return (uint16_t)self->market_count;
}

static const struct metrics_entry *find_entry(struct tb_service *svc, struct metrics *self,
                                              unsigned input, uint16_t id)
{
    if (id == 0 || id > TB_INSTRUMENTS_MAX)
        return NULL;
    struct metrics_entry *entry = &self->input[input].entry[id];
    if (entry->market == 0) {
        const struct tb_instrument *instrument =
            tb_reader_instrument(&svc->input[input].reader, id);
        if (instrument == NULL)
            return NULL;
        entry->market = find_market(self, instrument);
        entry->price_exp = instrument->price_exp;
        entry->size_exp = instrument->size_exp;
    }
    return entry->market == METRICS_NO_MARKET ? NULL : entry;
}

static void apply_candle(struct metrics *self, struct metrics_input *in,
                         const struct metrics_entry *entry, const struct tb_record *record)
{
    struct tb_candle candle;
    enum tb_timeframe timeframe;
    if ((record->type & 0xF8) == TB_CANDLE) {
        in->prices = *record;
        return;
    }
    if (in->prices.type != 0 &&
        tb_candle_from_records(&in->prices, record, &candle, &timeframe, NULL))
        market_candle(&self->market[entry->market - 1], timeframe, &candle, entry->price_exp,
                      entry->size_exp);
    in->prices.type = 0;
}

/* A record about the stream as a whole: connections, and gaps that are in every market of it. */
static void apply_stream(struct metrics *self, struct metrics_input *in,
                         const struct tb_record *record)
{
    if (record->type == TB_STATUS && record->status.code == TB_STATUS_CONNECTED)
        in->feed.connected = 1;
    if (record->type == TB_STATUS &&
        (record->status.code == TB_STATUS_DISCONNECTED || record->status.code == TB_STATUS_END))
        in->feed.connected = 0;
    for (size_t i = 0; i < self->market_count; i++) {
        struct market *m = &self->market[i];
        if (strcmp(m->state.stream, in->feed.stream) == 0)
            (void)tb_book_apply(&m->book, record, m->book.price_exp, m->book.size_exp);
    }
}

static void apply(struct tb_service *svc, struct metrics *self, unsigned input,
                  const struct tb_record *record)
{
    struct metrics_input *in = &self->input[input];
    if (record->type == TB_GAP) {
        in->feed.gaps++;
        in->feed.missing += record->gap.missing;
    }
    if (record->instrument == 0) {
        apply_stream(self, in, record);
        return;
    }
    const struct metrics_entry *entry = find_entry(svc, self, input, record->instrument);
    if (entry == NULL)
        return;
    struct market *market = &self->market[entry->market - 1];
    if (tb_record_is_candle(record)) {
        apply_candle(self, in, entry, record);
        return;
    }
    if (market->state.stream[0] == '\0')
        (void)snprintf(market->state.stream, sizeof(market->state.stream), "%s", in->feed.stream);
    if (strcmp(market->state.stream, in->feed.stream) != 0)
        return; /* a second stream of the same market would count every trade twice */
    market_apply(market, record, entry->price_exp, entry->size_exp);
    self->trades_since += record->type == TB_TRADE;
}

static int on_records(struct tb_service *svc, void *context, unsigned input,
                      const struct tb_record *records, int count)
{
    struct metrics *self = context;
    for (int i = 0; i < count; i++)
        apply(svc, self, input, &records[i]);
    self->changed = self->text_changed = true;
    turn(svc, self);
    return count;
}

static int on_input(struct tb_service *svc, void *context, unsigned input, bool new_epoch)
{
    struct metrics *self = context;
    struct metrics_input *in = &self->input[input];
    (void)svc;
    memset(in->entry, 0, sizeof(in->entry)); /* ids mean nothing in another epoch */
    if (!new_epoch)
        return 0;
    in->prices.type = 0;
    in->feed.connected = NAN;
    for (size_t i = 0; i < self->market_count; i++)
        if (strcmp(self->market[i].state.stream, in->feed.stream) == 0)
            tb_book_clear(&self->market[i].book);
    return 0;
}

/* What was overwritten may have changed any book of this stream: none is right until its snapshot. */
static void on_overrun(struct tb_service *svc, void *context, unsigned input, uint64_t lost)
{
    struct metrics *self = context;
    (void)svc, (void)lost;
    self->input[input].prices.type = 0;
    for (size_t i = 0; i < self->market_count; i++)
        if (strcmp(self->market[i].state.stream, self->input[input].feed.stream) == 0)
            self->market[i].book.valid = false;
    self->changed = self->text_changed = true;
}

/* ---- checkpoint ---- */

struct saved {
    uint64_t market_bytes; /* sizeof(struct market_state): another build's is not read */
    uint64_t market_count;
    struct {
        struct estate_feed feed;
        struct tb_record prices;
    } input[TB_INPUTS_MAX];
};

static size_t save_size(struct tb_service *svc, void *context)
{
    struct metrics *self = context;
    (void)svc;
    size_t bytes = sizeof(struct saved);
    for (size_t i = 0; i < self->market_count; i++)
        bytes += market_save_size(&self->market[i]);
    return bytes;
}

static size_t save(struct tb_service *svc, void *context, void *bytes, size_t capacity)
{
    struct metrics *self = context;
    struct saved head = {.market_bytes = sizeof(struct market_state),
                         .market_count = self->market_count};
    size_t used = sizeof(head);
    (void)svc;
    if (capacity < used)
        return 0;
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++) {
        head.input[i].feed = self->input[i].feed;
        head.input[i].prices = self->input[i].prices;
    }
    memcpy(bytes, &head, sizeof(head));
    for (size_t i = 0; i < self->market_count; i++) {
        size_t one = market_save(&self->market[i], (char *)bytes + used, capacity - used);
        if (one == 0)
            return 0;
        used += one;
    }
    return used;
}

static void restore_feeds(struct metrics *self, const struct saved *head)
{
    for (unsigned i = 0; i < TB_INPUTS_MAX; i++)
        for (unsigned j = 0; j < TB_INPUTS_MAX; j++)
            if (head->input[i].feed.stream[0] != '\0' &&
                strcmp(head->input[i].feed.stream, self->input[j].feed.stream) == 0) {
                self->input[j].feed = head->input[i].feed;
                self->input[j].prices = head->input[i].prices;
            }
}

static int load(struct metrics *self, const void *bytes, size_t count)
{
    struct saved head;
    size_t used = sizeof(head);
    if (count < used)
        return -EBADMSG;
    memcpy(&head, bytes, sizeof(head));
    if (head.market_bytes != sizeof(struct market_state))
        return -EBADMSG;
    restore_feeds(self, &head);
    for (size_t i = 0; i < head.market_count; i++) {
        struct market_state state;
        if (count - used < sizeof(state))
            return -EBADMSG;
        memcpy(&state, (const char *)bytes + used, sizeof(state));
        struct tb_instrument instrument = {0};
        memcpy(instrument.venue, state.venue, sizeof(instrument.venue));
        memcpy(instrument.symbol, state.symbol, sizeof(instrument.symbol));
        uint16_t market = find_market(self, &instrument);
        if (market == METRICS_NO_MARKET)
            return 0; /* the budget is smaller now: the rest is not exported */
        size_t one =
            market_load(&self->market[market - 1], (const char *)bytes + used, count - used);
        if (one == 0)
            return -EBADMSG;
        used += one;
    }
    self->changed = self->text_changed = true;
    return 0;
}

static int restore(struct tb_service *svc, void *context, const void *bytes, size_t count)
{
    int rc = load(context, bytes, count);
    if (rc != 0)
        begin_from_nothing(svc, context);
    return rc;
}

/* ---- the end ---- */

static bool all_done(const struct tb_service *svc)
{
    for (unsigned i = 0; i < svc->input_count; i++)
        if (!svc->input[i].open || !tb_reader_done(&svc->input[i].reader))
            return false;
    return true;
}

/*
 * Complete streams leave their last state in the gateway; a market that is no longer watched is taken
 * out of it, or its last price would look alive for ever.
 */
static int drain(struct tb_service *svc, void *context)
{
    struct metrics *self = context;
    struct push *push = &self->push;
    if (push->post == NULL || (self->last_push_made && post_idle(push->post)))
        return 0;
    post_wait(push->post, 50 * TB_NS_PER_MS);
    take_result(svc, self, tb_clock_mono());
    if (!post_idle(push->post))
        return -EAGAIN;
    if (self->last_push_made)
        return 0;
    self->last_push_made = true;
    if (!all_done(svc) && self->push_delete) {
        (void)post_send(push->post, "DELETE", NULL, "", 0, 0);
        return -EAGAIN;
    }
    estate_look(&self->estate);
    render(svc, self, tb_clock_mono());
    send_push(self, tb_clock_mono());
    return -EAGAIN;
}

struct tb_service_ops metrics_ops(void)
{
    return (struct tb_service_ops){
        .name = "metrics",
        .summary = "the bus as Prometheus metrics: pushed to a Pushgateway, served on /metrics",
        .options = options,
        .option_count = TB_COUNT(options),
        .inputs = "@feeds,candles",
        .checkpoint_version = 1,
        .checkpoint_bytes = sizeof(struct saved) + METRICS_MARKETS_MAX * market_save_max(),
        .check = check,
        .start = start,
        .restore = restore,
        .on_input = on_input,
        .on_records = on_records,
        .on_overrun = on_overrun,
        .poll = poll_turn,
        .housekeep = housekeep,
        .save_size = save_size,
        .save = save,
        .drain = drain,
        .stop = stop,
    };
}
