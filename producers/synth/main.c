/*
 * tickbus-synth: seeded load at a fixed rate, or as fast as the ring takes it.
 *
 * Record k has the sequence k. It is due at the intended time (k - first) / rate after the start of this
 * life: a producer that was held up publishes what is due in one go, and never drifts.
 */
#include <errno.h>
#include <inttypes.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "producers/synth/synth.h"

#define STEP_FLAT_OUT TB_NS_PER_US /* event time between records when no rate says otherwise */
#define BATCH 512

struct synth_main {
    int64_t rate, count, symbols, seed, trades, quotes, levels;
    tb_ns step;
    const char *start_text;
    struct synth synth;
    bool live;    /* no start was given: ts_recv is the wall clock, as a feed's is */
    tb_seq first; /* of this life */
    tb_ns mono;   /* CLOCK_MONOTONIC at which `first` is due */
    tb_ns behind; /* how late the last record was */
    struct tb_stats_counter *late;
};

#define M(field) offsetof(struct synth_main, field)

static const struct tb_option options[] = {
    {"rate", TB_OPTION_INT, M(rate), "1000", 0, 1000000000,
     .help = "records per second; 0: flat out"},
    {"count", TB_OPTION_INT, M(count), "0", 0, INT64_MAX,
     .help = "end after this many records; 0: never"},
    {"symbols", TB_OPTION_INT, M(symbols), "1", 1, SYNTH_SYMBOLS_MAX, .help = "how many symbols"},
    {"seed", TB_OPTION_INT, M(seed), "1", 0, INT64_MAX, .help = "another seed, other data"},
    {"trades", TB_OPTION_INT, M(trades), "6", 0, 100000, .help = "trades in a block of records"},
    {"quotes", TB_OPTION_INT, M(quotes), "9", 0, 100000, .help = "quotes in a block of records"},
    {"levels", TB_OPTION_INT, M(levels), "41", 0, 100000,
     .help = "records of the book snapshot in a block; 0: no books"},
    {"step", TB_OPTION_DURATION, M(step), "0", 0, 3600 * TB_NS_PER_S,
     .help = "event time between two records; 0: 1/rate (1us when flat out)"},
    {"start", TB_OPTION_STRING, M(start_text), NULL,
     .help = "event time of the first record, such as 2024-08-08T00:00; default: now"},
};

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    struct synth_main *m = self;
    if (m->trades + m->quotes + m->levels == 0)
        tb_fault(faults, svc->config_file, 0, "trades", "trades, quotes and levels are all 0");
    if (m->levels == 1)
        tb_fault(faults, svc->config_file, 0, "levels",
                 "1 is a snapshot without levels; write 0, or 3");
    if (m->start_text != NULL &&
        tb_time_parse(m->start_text, tb_clock_wall(), &m->synth.start) != 0)
        tb_fault(faults, svc->config_file, 0, "start",
                 "\"%s\" is not a time; write 2024-08-08T00:00:00Z", m->start_text);
}

static int start(struct tb_service *svc, void *self)
{
    struct synth_main *m = self;
    struct synth *s = &m->synth;
    s->seed = (uint64_t)m->seed;
    s->symbols = (uint32_t)m->symbols;
    s->trades = (uint32_t)m->trades;
    s->quotes = (uint32_t)m->quotes;
    s->levels = (uint32_t)m->levels;
    s->rate = (uint64_t)m->rate;
    s->step = m->step != 0 || m->rate != 0 ? m->step : STEP_FLAT_OUT;
    m->live = m->start_text == NULL;
    svc->out_tag = synth_tag(s, m->live);
    m->late = tb_stats_add(&svc->stats, "behind_ns", TB_STAT_GAUGE);
    return 0;
}

/* Where an earlier life was, and which event time its first record had. */
static int on_output(struct tb_service *svc, void *self)
{
    struct synth_main *m = self;
    struct tb_record last;
    for (uint32_t i = 1; i <= m->synth.symbols; i++) {
        struct tb_instrument entry;
        synth_instrument(i, svc->out_stream, &entry);
        int id = tb_writer_add_instrument(svc->out, &entry);
        if (id != (int)i) {
            tb_log(
                TB_LOG_ERROR, "start",
                "stream=%s what=\"its instruments are not those of synth\" advice=\"--new-epoch\"",
                svc->out_stream);
            return -EEXIST;
        }
    }
    m->first = svc->out->next_seq;
    if (!m->live)
        return 0;
    m->synth.start = tb_clock_wall();
    if (m->first > 1 && tb_writer_read_back(svc->out, m->first - 1, &last))
        m->synth.start = last.ts_event - synth_time(&m->synth, m->first - 1);
    return 0;
}

/* How many records of this life are due now; *out_wait: ns until the next one is. */
static uint64_t due(struct synth_main *m, tb_ns *out_wait)
{
    tb_ns now = tb_clock_mono();
    if (m->mono == 0)
        m->mono = now;
    uint64_t rate = m->synth.rate;
    uint64_t count = (uint64_t)((unsigned __int128)(now - m->mono) * rate / TB_NS_PER_S) + 1;
    tb_ns next = (tb_ns)(((unsigned __int128)count * TB_NS_PER_S + rate - 1) / rate);
    *out_wait = m->mono + next - now;
    return count;
}

static int poll(struct tb_service *svc, void *self)
{
    struct synth_main *m = self;
    tb_seq end = UINT64_MAX; /* first that is not to be published now */
    tb_ns wait = 0;
    tb_seq k = svc->out->next_seq;
    if (m->synth.rate != 0)
        end = m->first + due(m, &wait);
    if (m->count != 0 && end > (tb_seq)m->count + 1)
        end = (tb_seq)m->count + 1;
    if (m->count != 0 && k > (tb_seq)m->count)
        return TB_POLL_DONE;
    if (k >= end) {
        svc->idle_ns = wait;
        m->behind = 0;
        return 0;
    }
    m->behind = m->synth.rate != 0 ? (tb_ns)((end - k) * (uint64_t)TB_NS_PER_S / m->synth.rate) : 0;
    int made = 0;
    for (; made < BATCH && k < end; made++, k++) {
        struct tb_record record;
        synth_record(&m->synth, k, &record);
        if (m->live)
            record.ts_recv = svc->now;
        if (tb_service_publish(svc, TB_NO_INPUT, &record) == 0)
            break; /* told to stop while waiting for readers */
    }
    return made;
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct synth_main *m = self;
    (void)svc, (void)now;
    tb_stats_set(m->late, m->behind);
    return 0;
}

static const struct tb_service_ops ops = {
    .name = "synth",
    .summary = "publish made-up market data at a fixed rate",
    .options = options,
    .option_count = TB_COUNT(options),
    .output = "synth",
    .check = check,
    .start = start,
    .on_output = on_output,
    .poll = poll,
    .housekeep = housekeep,
};

int main(int argc, char **argv)
{
    static struct synth_main self;
    return tb_service_main(&ops, &self, argc, argv);
}
