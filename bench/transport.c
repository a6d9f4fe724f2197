/* See transport.h. */
#include "bench/transport.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RUN_SECONDS 0.1
#define RUN_SECONDS_PACED 0.2
#define LAPS_MIN 3 /* of a ring: a first lap is not typical */
#define COUNT_MIN 1000

/* Those that this build has; CMakeLists.txt knows for which the packages were there. */
#define PEERS(X)                                                                                   \
    X(tickbus_next, "")                                                                            \
    X(tickbus_runs, "")                                                                            \
    X(tickbus_batch, "")                                                                           \
    X(tickbus_many, "")                                                                            \
    X(tickbus_place, "")                                                                           \
    X(tickbus_spin, "")                                                                            \
    X(tickbus_yield, "")                                                                           \
    X(tickbus_park, "")                                                                            \
    X(ck_ring, "")                                                                                 \
    X(bare_spin, "")                                                                               \
    X(bare_futex, "")                                                                              \
    X(posix_mq, "")                                                                                \
    X(pipe, "")                                                                                    \
    X(unix_datagram, "")                                                                           \
    X(unix_stream, "")                                                                             \
    X(boost_spsc, "libboost-dev")                                                                  \
    X(rte_ring, "libdpdk-dev")                                                                     \
    X(zeromq, "libzmq3-dev")                                                                       \
    X(nng, "libnng-dev")                                                                           \
    X(redis_pubsub, "libhiredis-dev")                                                              \
    X(redis_stream, "libhiredis-dev")                                                              \
    X(nats, "libnats-dev")

#define DECLARE(name, package) extern const struct transport transport_##name __attribute__((weak));
PEERS(DECLARE)

#define ENTRY(name, package) {#name, &transport_##name, package},
static const struct {
    const char *name;
    const struct transport *transport; /* NULL: was not built */
    const char *package;
} peers[] = {PEERS(ENTRY)};

/* NULL, after bench_absent(), if it can not be used. */
static const struct transport *find(struct bench *b, const struct bench_case *c, const char *name)
{
    char why[128];
    for (size_t i = 0; i < TB_COUNT(peers); i++) {
        const struct transport *t = peers[i].transport;
        if (strcmp(peers[i].name, name) != 0)
            continue;
        if (t == NULL) {
            snprintf(why, sizeof(why), "%s was not there when this was built", peers[i].package);
            bench_absent(b, c->subject, why);
            return NULL;
        }
        const char *unavailable = t->unavailable != NULL ? t->unavailable(b) : NULL;
        if (unavailable != NULL)
            bench_absent(b, c->subject, unavailable);
        return unavailable == NULL ? t : NULL;
    }
    bench_fail("no transport \"%s\"", name);
}

void transport_close(void)
{
    for (size_t i = 0; i < TB_COUNT(peers); i++)
        if (peers[i].transport != NULL && peers[i].transport->close != NULL)
            peers[i].transport->close();
}

void transport_done(struct transport_run *run, uint64_t wrong, double waited_before)
{
    struct transport_control *c = run->control;
    c->end = machine_ticks();
    c->reader_waited = machine_waited() - waited_before;
    c->wrong = wrong;
    transport_ready(&c->reader_done);
    if (run->latency != NULL) { /* the first twentieth warms caches and predictors */
        size_t warm = (size_t)(run->count / 20);
        double ns = machine_ns_per_tick();
        struct bench_quantiles q =
            bench_quantiles_of(run->latency + warm, (size_t)run->count - warm);
        c->latency = (struct bench_quantiles){q.p50 * ns, q.p90 * ns, q.p99 * ns, q.p999 * ns};
    }
}

static uint64_t message_count(const struct bench *b, const struct transport_setting *s)
{
    double per_s = s->rate > 0 ? s->rate : s->expected;
    double seconds = s->rate > 0 ? RUN_SECONDS_PACED : RUN_SECONDS;
    uint64_t count = (uint64_t)(per_s * seconds * b->scale);
    uint64_t laps = b->scale < 1 ? 1 : LAPS_MIN;
    uint64_t least = s->rate > 0 || s->crowd ? COUNT_MIN : s->slots * laps;
    return count > least ? count : least;
}

static void child(struct transport_run *run, void (*body)(struct transport_run *))
{
    struct sched_param none = {0};
    if (run->set->crowd) /* with --realtime it would keep its own server or threads waiting */
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
    bench_present(run->shared, run->shared_bytes);
    body(run);
    (void)fflush(stderr);
    _exit(0);
}

static void read_side(struct transport_run *run, const struct transport *t)
{
    if (run->set->rate > 0) {
        run->latency = calloc((size_t)run->count, sizeof(*run->latency));
        if (run->latency == NULL)
            bench_fail("no memory");
        memset(run->latency, 1, (size_t)run->count * sizeof(*run->latency)); /* present */
    }
    child(run, t->read);
}

static void run_pair(struct transport_run *run, const struct transport *t)
{
    const int *cpu = run->bench->cpu;
    t->prepare(run);
    pid_t reader = bench_fork(cpu[1]);
    if (reader == 0)
        read_side(run, t);
    pid_t writer = bench_fork(cpu[0]);
    if (writer == 0)
        child(run, t->write);
    bench_join(writer);
    bench_join(reader);
    t->finish(run);
}

static void add_latency(struct bench *b, const char *measure, const struct bench_quantiles *q)
{
    static struct {
        char text[4][96];
        const char *of;
    } names[16]; /* measures are kept by pointer */
    static const char *const tail[4] = {"p50", "p90", "p99", "p99.9"};
    const double value[4] = {q->p50, q->p90, q->p99, q->p999};
    size_t at = 0;
    while (names[at].of != NULL && strcmp(names[at].of, measure) != 0)
        if (++at == TB_COUNT(names))
            bench_fail("too many measures");
    for (size_t i = 0; i < TB_COUNT(tail); i++) {
        if (names[at].of != measure)
            snprintf(names[at].text[i], sizeof(names[at].text[i]), "%s, %s", measure, tail[i]);
        bench_add(b, names[at].text[i], BENCH_LOWER, "ns", value[i]);
    }
    names[at].of = measure;
}

int transport_measure(struct bench *b, const struct bench_case *c)
{
    const struct transport_setting *s = c->context;
    const struct transport *t = find(b, c, s->transport);
    if (t == NULL)
        return -ENOTSUP;
    struct transport_run run = {.bench = b, .set = s, .count = message_count(b, s), .fd = {-1, -1}};
    run.control = bench_shared(sizeof(*run.control));
    run_pair(&run, t);
    const struct transport_control *control = run.control;
    if (control->wrong != 0 || control->lost != 0)
        bench_fail("%s: a message was lost or wrong: no figure", c->subject);
    double seconds = (double)(control->end - control->begin) * machine_ns_per_tick() / 1e9;
    if (!s->crowd) {
        bench_disturbed(b, control->writer_waited, seconds);
        bench_disturbed(b, control->reader_waited, seconds);
    }
    if (s->rate > 0)
        add_latency(b, c->measure, &control->latency);
    else
        bench_add(b, c->measure, BENCH_HIGHER, "M records/s", (double)run.count / seconds / 1e6);
    bench_unshare(run.control, sizeof(*run.control));
    return 0;
}
