/*
 * tickbus-candles: the wiring. What a candle is: bus/candle.c; when it is given out: candles.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tickbus/log.h>
#include <tickbus/service.h>

#include "consumers/candles/candles.h"
#include "consumers/candles/past.h"

struct candles_main {
    tb_ns forming_every;
    int64_t max_markets;
    struct candles candles;
    struct candles_past past;
    tb_seq met_at
        [TB_INPUTS_MAX]; /* while past waits: all that was there is before this; 0: not known yet */
    struct tb_stats_counter *trades, *refused, *late, *completed, *forming, *gaps, *missing,
        *overflows, *markets;
    struct tb_log_limit refused_log;
    uint64_t refused_logged;
    bool flush_saved; /* draining: the checkpoint before the flush is made */
};

#define M(field) offsetof(struct candles_main, field)

static const struct tb_option options[] = {
    {"forming_every", TB_OPTION_DURATION, M(forming_every), "100ms", 0, 3600 * TB_NS_PER_S,
     .help = "publish a forming candle at most once per this much venue time; 0: only at drain"},
    {"max_markets", TB_OPTION_INT, M(max_markets), "1024", 1, CANDLES_MARKETS_MAX,
     .help = "most markets of all inputs together, about 1 KiB each"},
};

/* ---- what the logic asks for ---- */

static const struct tb_instrument *instrument(void *context, unsigned input, uint16_t id)
{
    struct tb_service *svc = context;
    return svc->input[input].open ? tb_reader_instrument(&svc->input[input].reader, id) : NULL;
}

static uint16_t mirror(void *context, unsigned input, uint16_t id, int8_t price_exp,
                       int8_t size_exp)
{
    struct tb_service *svc = context;
    const struct tb_instrument *entry = instrument(context, input, id);
    uint16_t output = entry != NULL ? tb_service_mirror(svc, input, id, NULL) : 0;
    if (output == 0 || (entry->price_exp == price_exp && entry->size_exp == size_exp))
        return output;
    /* Finer in one exponent and coarser in the other: no entry of the input has what is needed. */
    struct tb_instrument finest = *tb_writer_instrument(svc->out, output);
    finest.price_exp = price_exp;
    finest.size_exp = size_exp;
    int id_now = tb_writer_add_instrument(svc->out, &finest);
    return id_now > 0 ? (uint16_t)id_now : 0;
}

/* Leave out the candles that are there already: of pairs of records. */
static size_t new_ones(struct candles_main *m, const struct tb_service *svc,
                       struct tb_record *records, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i += 2) {
        const struct tb_instrument *entry = tb_writer_instrument(svc->out, records[i].instrument);
        if (candles_past_has(&m->past, svc->out->epoch, entry, &records[i]))
            continue;
        memmove(&records[kept], &records[i], 2 * sizeof(*records));
        kept += 2;
    }
    return kept;
}

static int publish(void *context, unsigned input, struct tb_record *records, size_t count)
{
    struct tb_service *svc = context;
    struct candles_main *m = svc->self;
    if (TB_UNLIKELY(m->past.waiting > 0))
        count = new_ones(m, svc, records, count);
    /* Fewer: told to stop while waiting for room. */
    return tb_service_publish_many(svc, input, records, count) == count ? 0 : -EINTR;
}

/* ---- the skeleton's callbacks ---- */

static int start(struct tb_service *svc, void *self)
{
    struct candles_main *m = self;
    const struct candles_host host = {
        .context = svc, .instrument = instrument, .mirror = mirror, .publish = publish};
    int rc = candles_init(&m->candles, &host, (uint32_t)m->max_markets, m->forming_every);
    if (rc != 0) {
        tb_log(TB_LOG_ERROR, "start", "what=\"no memory for markets\" max_markets=%" PRId64,
               m->max_markets);
        return rc;
    }
    struct tb_stats *s = &svc->stats;
    m->trades = tb_stats_add(s, "trades", TB_STAT_COUNTER);
    m->refused = tb_stats_add(s, "trades_refused", TB_STAT_COUNTER);
    m->late = tb_stats_add(s, "trades_late", TB_STAT_COUNTER);
    m->completed = tb_stats_add(s, "candles_completed", TB_STAT_COUNTER);
    m->forming = tb_stats_add(s, "candles_forming", TB_STAT_COUNTER);
    m->gaps = tb_stats_add(s, "gaps", TB_STAT_COUNTER);
    m->missing = tb_stats_add(s, "missing", TB_STAT_COUNTER);
    m->overflows = tb_stats_add(s, "overflows", TB_STAT_COUNTER);
    m->markets = tb_stats_add(s, "markets", TB_STAT_GAUGE);
    return 0;
}

/* The state: a length, the past of that many bytes, the candles. */
static int restore(struct tb_service *svc, void *self, const void *bytes, size_t count)
{
    struct candles_main *m = self;
    uint64_t past;
    (void)svc;
    if (count < sizeof(past))
        return -EINVAL;
    memcpy(&past, bytes, sizeof(past));
    const char *at = (const char *)bytes + sizeof(past);
    count -= sizeof(past);
    int rc = past <= count ? candles_load(&m->candles, at + past, count - past) : -EINVAL;
    return rc == 0 ? candles_past_load(&m->past, at, past) : rc;
}

static void on_past(struct tb_service *svc, void *self, struct tb_reader *reader,
                    const struct tb_record *record)
{
    struct candles_main *m = self;
    (void)svc;
    if (record != NULL)
        candles_past_add(&m->past, reader->epoch, tb_reader_instrument(reader, record->instrument),
                         record);
    else if (m->past.forgotten > 0)
        tb_log(TB_LOG_ERROR, "past_forgotten",
               "markets=%" PRIu32 " then=\"candles of theirs may come again\"", m->past.forgotten);
}

static int on_input(struct tb_service *svc, void *self, unsigned input, bool new_epoch)
{
    struct candles_main *m = self;
    (void)svc;
    if (new_epoch) {
        candles_epoch(&m->candles, input);
        if (m->met_at[input] != UINT64_MAX)
            m->met_at[input] = 0; /* it was a place of the last one */
    }
    return candles_flush_resume(&m->candles, input);
}

static int on_records(struct tb_service *svc, void *self, unsigned input,
                      const struct tb_record *records, int count)
{
    struct candles_main *m = self;
    (void)svc;
    for (int i = 0; i < count; i++) {
        int rc = candles_record(&m->candles, input, &records[i]);
        if (rc != 0)
            return rc;
    }
    return count;
}

/*
 * Candles of that time lack what was lost; whoever reads them is told. The loss belongs to this life and
 * not to the input's records, so it is published on behalf of no input.
 */
static void on_overrun(struct tb_service *svc, void *self, unsigned input, uint64_t lost)
{
    (void)self;
    tb_seq next = svc->input[input].reader.cursor;
    struct tb_record gap = {.ts_event = 0, .ts_recv = svc->now, .type = TB_GAP, .flags = TB_F_LAST};
    gap.gap = (struct tb_gap){.from = next - lost,
                              .to = next - 1,
                              .reason = TB_GAP_OVERRUN,
                              .channel = TB_CHANNEL_INPUT,
                              .missing = lost};
    (void)tb_service_publish(svc, TB_NO_INPUT, &gap); /* 0: stopping; the loss is counted anyway */
}

/* What was made before is not waited for when what it was made of is gone. */
static void meet_past(struct tb_service *svc, struct candles_main *m)
{
    for (unsigned i = 0; i < svc->input_count && m->past.waiting > 0; i++) {
        const struct tb_input *in = &svc->input[i];
        if (m->met_at[i] == UINT64_MAX || !in->open || tb_reader_catching_up(&in->reader))
            continue;
        if (m->met_at[i] == 0)
            m->met_at[i] = tb_reader_newest(&in->reader) + 1;
        if (in->reader.cursor < m->met_at[i])
            continue;
        m->met_at[i] = UINT64_MAX;
        uint32_t markets = candles_past_meet(&m->past, in->stream);
        if (markets > 0)
            tb_log(TB_LOG_WARN, "past_gone",
                   "stream=%s markets=%" PRIu32 " seq=%" PRIu64
                   " reason=\"the journal has no more of what their older candles were made of\" "
                   "then=\"candles are published from here on\"",
                   in->stream, markets, in->reader.cursor);
    }
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct candles_main *m = self;
    const struct candles *c = &m->candles;
    (void)now;
    meet_past(svc, m);
    tb_stats_set(m->trades, (int64_t)c->counts.trades);
    tb_stats_set(m->refused, (int64_t)c->counts.refused);
    tb_stats_set(m->late, (int64_t)candles_late(c));
    tb_stats_set(m->completed, (int64_t)c->counts.completed);
    tb_stats_set(m->forming, (int64_t)c->counts.forming);
    tb_stats_set(m->gaps, (int64_t)c->counts.gaps);
    tb_stats_set(m->missing, (int64_t)c->counts.missing);
    tb_stats_set(m->overflows, (int64_t)candles_overflows(c));
    tb_stats_set(m->markets, (int64_t)c->market_count);
    if (c->counts.refused != m->refused_logged) {
        m->refused_logged = c->counts.refused;
        tb_log_limited(
            &m->refused_log, 10 * TB_NS_PER_S, TB_LOG_WARN, "refused",
            "trades=%" PRIu64 " markets=%" PRIu32 " max_markets=%" PRIu32
            " what=\"trades of markets that have no room here or do not fit are left out\"",
            c->counts.refused, c->market_count, c->markets_max);
    }
    return 0;
}

static size_t save_size(struct tb_service *svc, void *self)
{
    struct candles_main *m = self;
    (void)svc;
    return sizeof(uint64_t) + candles_past_save_size(&m->past) + candles_save_size(&m->candles);
}

static size_t save(struct tb_service *svc, void *self, void *bytes, size_t capacity)
{
    struct candles_main *m = self;
    (void)svc;
    uint64_t past = candles_past_save_size(&m->past);
    size_t before = sizeof(past) + past;
    if (capacity < before)
        return 0;
    memcpy(bytes, &past, sizeof(past));
    candles_past_save(&m->past, (char *)bytes + sizeof(past));
    size_t used = candles_save(&m->candles, (char *)bytes + before, capacity - before);
    return used == 0 ? 0 : before + used;
}

/* The checkpoint between the two steps: see candles_flush_begin. */
static int drain(struct tb_service *svc, void *self)
{
    struct candles_main *m = self;
    struct candles *c = &m->candles;
    if (c->error != 0)
        return 0; /* the last checkpoint is where the next life goes on */
    if (!m->flush_saved) {
        candles_flush_begin(c);
        if (!tb_service_checkpoint(svc))
            return -EAGAIN;
        m->flush_saved = true;
        TB_POINT("candles:flush");
    }
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open && candles_flush(c, i) != 0)
            return c->error;
    return housekeep(svc, self, svc->now);
}

static void stop(struct tb_service *svc, void *self)
{
    struct candles_main *m = self;
    (void)svc;
    candles_past_fini(&m->past);
    candles_fini(&m->candles);
}

static const struct tb_service_ops ops = {
    .name = "candles",
    .summary = "make candles of all timeframes from trades",
    .options = options,
    .option_count = TB_COUNT(options),
    .inputs = "@feeds",
    .output = "candles",
    .replays_output = true,
    .checkpoint_version = CANDLES_STATE_VERSION,
    .checkpoint_bytes = 1024 + CANDLES_MARKETS_MAX * sizeof(struct candles_market) +
                        CANDLES_PAST_MAX * sizeof(struct candles_past_market),
    .start = start,
    .restore = restore,
    .on_past = on_past,
    .on_input = on_input,
    .on_records = on_records,
    .on_overrun = on_overrun,
    .housekeep = housekeep,
    .save_size = save_size,
    .save = save,
    .drain = drain,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct candles_main self;
    return tb_service_main(&ops, &self, argc, argv);
}
