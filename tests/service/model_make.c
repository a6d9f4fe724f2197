/*
 * The smallest producer: record k of its stream is a function of k alone, so that whoever reads it can
 * tell what is missing, doubled or wrong. It continues after the last one that is there.
 */
#include <tickbus/service.h>

#include <string.h>
#include <errno.h>

struct make {
    int64_t count, burst;
    bool stubborn;
    uint16_t instrument;
};

static const struct tb_option options[] = {
    {"count", TB_OPTION_INT, offsetof(struct make, count), "0", 0, INT64_MAX,
     .help = "end after this many; 0: never"},
    {"burst", TB_OPTION_INT, offsetof(struct make, burst), "20", 1, 100000,
     .help = "records each millisecond"},
    {"stubborn", TB_OPTION_BOOL, offsetof(struct make, stubborn), "false", .help = "never drained"},
};

static int start(struct tb_service *svc, void *self)
{
    (void)self;
    svc->idle_ns = TB_NS_PER_MS;
    return 0;
}

static int on_output(struct tb_service *svc, void *self)
{
    struct make *m = self;
    struct tb_instrument entry = {.venue = "model", .symbol = "A/B", .raw = "AB"};
    strcpy(entry.stream, svc->out_stream);
    int id = tb_writer_add_instrument(svc->out, &entry);
    m->instrument = (uint16_t)id;
    return id > 0 ? 0 : id;
}

static int poll_once(struct tb_service *svc, void *self)
{
    struct make *m = self;
    for (int64_t i = 0; i < m->burst; i++) {
        tb_seq seq = svc->out->next_seq;
        if (m->count > 0 && seq > (tb_seq)m->count)
            return TB_POLL_DONE;
        struct tb_record r = {.ts_event = (tb_ns)seq,
                              .ts_recv = svc->now,
                              .instrument = m->instrument,
                              .type = TB_TRADE,
                              .flags = TB_F_LAST};
        r.trade.trade_id = seq;
        r.trade.size = (int64_t)((seq * 2654435761U) & 0xffff);
        if (tb_service_publish(svc, TB_NO_INPUT, &r) == 0)
            return 0; /* asked to stop while waiting for room */
    }
    return 0;
}

static int drain(struct tb_service *svc, void *self)
{
    (void)svc;
    return ((struct make *)self)->stubborn ? -EAGAIN : 0;
}

int main(int argc, char **argv)
{
    static struct make self;
    static const struct tb_service_ops ops = {
        .name = "make",
        .summary = "records that prove themselves",
        .options = options,
        .option_count = TB_COUNT(options),
        .output = "made",
        .output_capacity = 1024,
        .start = start,
        .on_output = on_output,
        .poll = poll_once,
        .drain = drain,
    };
    return tb_service_main(&ops, &self, argc, argv);
}
