/*
 * The smallest consumer with a state and an output: of each input it keeps the sum of the sizes, and
 * for every third record it publishes two records, that belong together, with the sum so far. Now and
 * then it takes less than it is given, and can not save: as a service with a busy store would.
 */
#include <tickbus/service.h>

#include <errno.h>
#include <time.h>
#include <string.h>

struct state {
    int64_t sum[TB_INPUTS_MAX];
    uint64_t count[TB_INPUTS_MAX];
    uint64_t epochs[TB_INPUTS_MAX];
};

struct sum {
    bool moody, unsaved;
    int64_t slow_ns, pause_ns;
    struct state state;
    uint32_t random;
    struct tb_stats_counter *told_lost, *epochs;
    int64_t told;
};

static const struct tb_option options[] = {
    {"moody", TB_OPTION_BOOL, offsetof(struct sum, moody), "false",
     .help = "refuse records and saves at random"},
    {"slow", TB_OPTION_DURATION, offsetof(struct sum, slow_ns), "0", 0, TB_NS_PER_S,
     .help = "busy for so long each batch"},
    {"pause", TB_OPTION_DURATION, offsetof(struct sum, pause_ns), "0", 0, 10 * TB_NS_PER_S,
     .help = "busy for so long between reading and housekeeping"},
    {"unsaved", TB_OPTION_BOOL, offsetof(struct sum, unsaved), "false",
     .help = "refuse every save"},
};

static int start(struct tb_service *svc, void *self)
{
    struct sum *s = self;
    s->random = (uint32_t)svc->now | (uint32_t)svc->stats.page->started | 1U;
    s->told_lost = tb_stats_add(&svc->stats, "told_lost", TB_STAT_COUNTER);
    s->epochs = tb_stats_add(&svc->stats, "new_epochs", TB_STAT_COUNTER);
    return 0;
}

static uint32_t draw(struct sum *s, uint32_t below)
{
    s->random = s->random * 1664525U + 1013904223U;
    return (s->random >> 8) % below;
}

static int restore(struct tb_service *svc, void *self, const void *bytes, size_t count)
{
    (void)svc;
    if (count != sizeof(struct state))
        return -EBADMSG;
    memcpy(&((struct sum *)self)->state, bytes, count);
    return 0;
}

static int on_input(struct tb_service *svc, void *self, unsigned input, bool new_epoch)
{
    struct sum *s = self;
    if (new_epoch) {
        s->state.sum[input] = 0;
        s->state.count[input] = 0;
        s->state.epochs[input]++;
        tb_stats_set(s->epochs, (int64_t)s->state.epochs[input]);
    }
    (void)svc;
    return 0;
}

static int publish_pair(struct tb_service *svc, struct sum *s, unsigned input,
                        const struct tb_record *r)
{
    for (int half = 0; half < 2; half++) {
        struct tb_record out = {.ts_event = r->ts_event,
                                .ts_recv = r->ts_recv,
                                .type = TB_EVENT,
                                .flags = half == 1 ? TB_F_LAST : 0};
        out.instrument = tb_service_mirror(svc, input, r->instrument, NULL);
        out.body[0] = input;
        out.body[1] = (uint64_t)half;
        out.body[2] = r->seq;
        out.body[3] = (uint64_t)s->state.sum[input];
        if (tb_service_publish(svc, input, &out) == 0)
            return -EINTR;
    }
    return 0;
}

static void busy_for(tb_ns ns)
{
    if (ns > 0)
        (void)nanosleep(&(struct timespec){ns / TB_NS_PER_S, ns % TB_NS_PER_S}, NULL);
}

static int poll_once(struct tb_service *svc, void *self)
{
    (void)svc;
    busy_for(((struct sum *)self)->pause_ns);
    return 0;
}

static int on_records(struct tb_service *svc, void *self, unsigned input,
                      const struct tb_record *records, int count)
{
    struct sum *s = self;
    int take = s->moody && draw(s, 4) == 0 ? (int)draw(s, (uint32_t)count + 1) : count;
    for (int i = 0; i < take; i++) {
        s->state.sum[input] += records[i].trade.size;
        s->state.count[input]++;
        if (records[i].seq % 3 == 0 && publish_pair(svc, s, input, &records[i]) != 0)
            return i;
    }
    busy_for(s->slow_ns);
    return take;
}

static void on_overrun(struct tb_service *svc, void *self, unsigned input, uint64_t lost)
{
    struct sum *s = self;
    (void)svc;
    (void)input;
    s->told += (int64_t)lost;
    tb_stats_set(s->told_lost, s->told);
}

static size_t save(struct tb_service *svc, void *self, void *bytes, size_t capacity)
{
    struct sum *s = self;
    (void)svc;
    if (s->unsaved || (s->moody && draw(s, 3) == 0))
        return 0;
    TB_ASSERT(capacity >= sizeof(s->state));
    memcpy(bytes, &s->state, sizeof(s->state));
    return sizeof(s->state);
}

int main(int argc, char **argv)
{
    static struct sum self;
    static const struct tb_service_ops ops = {
        .name = "sum",
        .summary = "sums that prove themselves",
        .options = options,
        .option_count = TB_COUNT(options),
        .inputs = "@feeds",
        .output = "sums",
        .replays_output = true,
        .checkpoint_version = 1,
        .checkpoint_bytes = sizeof(struct state),
        .start = start,
        .restore = restore,
        .on_input = on_input,
        .on_records = on_records,
        .on_overrun = on_overrun,
        .poll = poll_once,
        .save = save,
    };
    return tb_service_main(&ops, &self, argc, argv);
}
