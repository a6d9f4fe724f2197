/*
 * What carries messages from one process to another: our ring and its peers, each one small file in
 * peers/ behind this interface. All are lossless (the sender waits for room), and a run that loses
 * one or gets one wrong fails the bench. The loops below are inlined into every peer together with
 * its send and receive, so that nothing is called or decided per message but what the peer itself
 * does.
 */
#ifndef TICKBUS_BENCH_TRANSPORT_H
#define TICKBUS_BENCH_TRANSPORT_H

#include <ck_pr.h>
#include <sched.h>

#include "bench/harness.h"
#include "bench/message.h"

TB_EXTERN_BEGIN

/* How one case uses a transport. */
struct transport_setting {
    const char *transport; /* "ck_ring" */
    unsigned slots;        /* of a ring; a power of two */
    unsigned batch;        /* messages handed over at once */
    unsigned pauses;       /* PAUSEs of the reader when there was nothing: it backs off */
    /*
     * It has threads or a server of its own on these processors: whoever waits gives way to them,
     * and waiting for a processor is no disturbance.
     */
    bool crowd;
    double rate;     /* messages/s by schedule, latency is measured; 0: as fast as it goes */
    double expected; /* flat out: messages/s, about: what a run's length is made from */
};

/* What the two processes of a run and the parent tell each other. */
struct transport_control {
    TB_ALIGNAS(128) TB_ATOMIC(int) writer_ready;
    TB_ALIGNAS(128) TB_ATOMIC(int) reader_ready;
    TB_ALIGNAS(128) TB_ATOMIC(int) reader_done;
    TB_ALIGNAS(128) uint64_t begin; /* ticks, writer */
    double writer_waited;
    TB_ALIGNAS(128) uint64_t end; /* ticks, reader */
    double reader_waited;
    uint64_t wrong, lost;
    struct bench_quantiles latency; /* ns */
};

struct transport_run {
    struct bench *bench;
    const struct transport_setting *set;
    struct transport_control *control;
    uint64_t count;
    double *latency; /* ticks, in the reader of a run by schedule, else NULL */
    void *shared;    /* the transport's own, from its prepare() */
    size_t shared_bytes;
    int fd[2];
};

struct transport {
    const char *name;
    /* unavailable: why it can not be used here; NULL: it can. May be NULL. */
    const char *(*unavailable)(struct bench *b);
    void (*prepare)(struct transport_run *run); /* in the parent, before the two processes */
    void (*write)(struct transport_run *run);   /* the writer's process */
    void (*read)(struct transport_run *run);    /* the reader's process */
    void (*finish)(struct transport_run *run);  /* in the parent, afterwards */
    void (*close)(void);                        /* at the end of the bench. May be NULL */
};

/*
 * transport_measure: a case's run: throughput in M messages/s, or latency as p50 .. p99.9 in ns
 * under the measure's own name; -ENOTSUP after bench_absent(). transport_close: for bench_at_end().
 */
int transport_measure(struct bench *b, const struct bench_case *c);
void transport_close(void);

/*
 * A row of a suite's table, with the setting's fields:
 *     TRANSPORT_CASE("one at a time", "ck_ring", BENCH_PEER, "ck_ring", .slots = 4096, .pauses = 1)
 */
#define TRANSPORT_CASE(measure, subject, role, name, ...)                                          \
    {                                                                                              \
        measure, subject, role, 2, transport_measure, &(const struct transport_setting)            \
        {                                                                                          \
            .transport = name, __VA_ARGS__                                                         \
        }                                                                                          \
    }

/* transport_ready, transport_await: one side tells the other that it can begin. */
static inline void transport_ready(TB_ATOMIC(int) * flag)
{
    atomic_store_explicit(flag, 1, memory_order_release);
}

static inline void transport_await(const TB_ATOMIC(int) * flag)
{
    while (atomic_load_explicit(flag, memory_order_acquire) == 0)
        (void)sched_yield();
}

/*
 * transport_idle: nothing came, the `times`-th time in a row. When that takes longer than any run
 * does that has its two processors, the other side does not have its own: give way, so that it
 * ends.
 */
#define TRANSPORT_PATIENCE 32768
ALWAYS_INLINE void transport_idle(const struct transport_run *run, unsigned times)
{
    if (run->set->crowd || times % TRANSPORT_PATIENCE == 0)
        (void)sched_yield();
    for (unsigned i = 0; i < run->set->pauses; i++)
        ck_pr_stall();
}

/* transport_stall: there is no room, likewise. */
ALWAYS_INLINE void transport_stall(unsigned times)
{
    if (times % TRANSPORT_PATIENCE == 0)
        (void)sched_yield();
    ck_pr_stall();
}

/*
 * transport_write: send(end, seq, intended) for all messages, then flush(end). By schedule, message
 * n is due at begin + n / rate, whether or not the ones before it were late.
 */
ALWAYS_INLINE void transport_write(struct transport_run *run, void *end,
                                   void (*send)(void *end, uint64_t seq, uint64_t intended),
                                   void (*flush)(void *end))
{
    struct transport_control *c = run->control;
    uint64_t count = run->count, begin = machine_ticks();
    double waited = machine_waited();
    if (run->set->rate > 0) {
        double step = 1e9 / run->set->rate / machine_ns_per_tick();
        begin += (uint64_t)(1e6 / machine_ns_per_tick());
        for (uint64_t seq = 1; seq <= count; seq++) {
            uint64_t due = begin + (uint64_t)((double)seq * step);
            while ((int64_t)(machine_ticks() - due) < 0)
                if (run->set->crowd)
                    (void)sched_yield();
            send(end, seq, due);
        }
    } else {
        for (uint64_t seq = 1; seq <= count; seq++)
            send(end, seq, 0);
    }
    flush(end);
    c->begin = begin;
    c->writer_waited = machine_waited() - waited;
}

/* transport_took: the latency of the message seq, received now. */
ALWAYS_INLINE void transport_took(struct transport_run *run, uint64_t seq, uint64_t intended)
{
    run->latency[seq - 1] = (double)(int64_t)(machine_ticks_late() - intended);
}

/* transport_done: the reader has them all. */
void transport_done(struct transport_run *run, uint64_t wrong, double waited_before);

/* transport_read: receive(end, out) until all are there, each checked. */
ALWAYS_INLINE void transport_read(struct transport_run *run, void *end,
                                  bool (*receive)(void *end, struct message *out))
{
    struct message m;
    uint64_t count = run->count, wrong = 0;
    double waited = machine_waited();
    bool paced = run->latency != NULL;
    for (uint64_t seq = 1; seq <= count; seq++) {
        for (unsigned times = 1; !receive(end, &m); times++)
            transport_idle(run, times);
        if (paced)
            transport_took(run, seq, m.word[1]);
        wrong |= message_wrong(&m, seq); /* one that was lost shows here too: the next is wrong */
    }
    transport_done(run, wrong, waited);
}

/* For transports that hand over each message at once, and those that have nothing to prepare. */
static inline void transport_no_flush(void *end)
{
    (void)end;
}

static inline void transport_nothing(struct transport_run *run)
{
    (void)run;
}

TB_EXTERN_END

#endif
