/*
 * The ring beside a peer: what publishing costs, how many records a second go from one process to
 * another, and how long one takes. Peers alternate within each round, every record is checked, loss
 * ends the run with an error, and how far apart the processors are is measured before and after.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>

#include "machine.h"
#include "ring_transport.h"

#define PROGRAM "bench_ring"
#define STREAM "bench"
#define RUNS_MAX 256
#define LATENCY_RUNS_PER_S                                                                         \
    10                /* a run is a tenth of a second: short, so that some are undisturbed */
#define DEADLINE_S 60 /* of one run */
#define MACHINE_SWITCHES_MAX 2

struct options {
    bool quick, json, realtime;
    int64_t rounds, records, rate, slots;
};

#define ROW(key_, type_, field_, ...)                                                              \
    {                                                                                              \
        key_, type_, offsetof(struct options, field_), __VA_ARGS__                                 \
    }
static const struct tb_option options[] = {
    ROW("quick", TB_OPTION_BOOL, quick, .help = "a tenth of the work: does it run, not how fast"),
    ROW("json", TB_OPTION_BOOL, json, .help = "one object a line"),
    ROW("realtime", TB_OPTION_BOOL, realtime,
        .help = "SCHED_FIFO, for a machine that others use too; needs the right to it"),
    ROW("rounds", TB_OPTION_INT, rounds, .min = 1, .max = 100, .fallback = "15",
        .help = "runs of each"),
    ROW("records", TB_OPTION_INT, records, .min = 1000, .max = 1000000000, .fallback = "2000000",
        .help = "records of a throughput run"),
    ROW("rate", TB_OPTION_INT, rate, .min = 1000, .max = 5000000, .fallback = "500000",
        .help = "records per second of a latency run"),
    ROW("slots", TB_OPTION_INT, slots, .min = 64, .max = 1 << 24, .fallback = "65536",
        .help = "slots of every ring, a power of two"),
};

static const char usage[] =
    "bench_ring [options]: publish cost, throughput and latency of the ring, beside ck_ring\n"
    "How to read the figures: bench/README.md. Exit: 0; 64 bad command line; 70 a record was lost "
    "or\n"
    "wrong, or a process failed; 77 fewer than two processors.\n";

/* What the two processes of a run tell each other and the parent. */
struct control {
    TB_ALIGNAS(128) _Atomic(int) writer_ready;
    TB_ALIGNAS(128) _Atomic(int) reader_ready;
    uint64_t begin, end; /* ticks */
    uint64_t bad, lost;
    long switches[2];   /* how often writer and reader had to leave their processor */
    double quantile[5]; /* ns: min, p50, p90, p99, p99.9 */
};

struct bench {
    struct options o;
    int cpu[2];
    char bus_dir[64];
    struct control *control;
    struct ck_shared *ck;
    size_t ck_bytes;
    pid_t owner; /* the parent, once bus_dir is made */
};
static struct bench bench;

/* One figure of one run. */
struct sample {
    const char *measure;
    const char *subject;
    const char *unit;
    const char *placement;
    double value;
};
static struct sample samples[RUNS_MAX * 16];
static size_t sample_count;

static int remove_file(const char *name, void *context)
{
    const struct bench *b = context;
    static const char *const suffix[] = {".ring", ".lock", ".wait", ".cursor", ".cursor.lock"};
    for (size_t i = 0; i < TB_COUNT(suffix); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s%s", b->bus_dir, name, suffix[i]);
        (void)unlink(path); /* most are not there */
    }
    return 0;
}

static void clean_up(struct bench *b)
{
    (void)tb_bus_list(b->bus_dir, ".ring", remove_file, b, NULL);
    (void)tb_bus_list(b->bus_dir, ".cursor", remove_file, b, NULL);
    if (rmdir(b->bus_dir) != 0)
        fprintf(stderr, PROGRAM ": %s is left behind: %s\n", b->bus_dir, strerror(errno));
}

/* No measurement. The process that made the directory removes it. */
static void fail(const char *what)
{
    fprintf(stderr, PROGRAM ": %s\n", what);
    if (bench.owner == getpid())
        clean_up(&bench);
    _exit(70);
}

/* ---- messages that prove themselves ---- */

ALWAYS_INLINE void fill(struct message *m, uint64_t seq, uint64_t intended)
{
    m->word[0] = seq;
    m->word[1] = intended;
    for (uint64_t i = 2; i < 8; i++)
        m->word[i] = seq + i;
}

ALWAYS_INLINE bool whole(const struct message *m, uint64_t seq)
{
    uint64_t wrong = m->word[0] ^ seq;
    for (uint64_t i = 2; i < 8; i++)
        wrong |= m->word[i] ^ (seq + i);
    return wrong == 0;
}

/* ---- the two processes ---- */

static void open_writer(struct bench *b, enum transport t, struct endpoint *e)
{
    struct tb_error err = {""};
    struct tb_writer_options o = {.capacity = (uint64_t)b->o.slots,
                                  .pace = TB_PACE_GATED,
                                  .gates = {"reader"},
                                  .gate_count = 1,
                                  .new_epoch = true};
    e->ck = b->ck;
    if (t != CK_RING && tb_writer_open(b->bus_dir, STREAM, &o, &e->writer, &err) != 0)
        fail(err.text);
    atomic_store(&b->control->writer_ready, 1);
    while (atomic_load(&b->control->reader_ready) == 0)
        ck_pr_stall();
    if (t == CK_RING)
        return;
    /* The gate is the reader's cursor page, which exists from now on: let the writer find it. */
    while (tb_writer_room(&e->writer) == 0)
        ck_pr_stall();
}

static void open_reader(struct bench *b, enum transport t, struct endpoint *e)
{
    struct tb_error err = {""};
    struct tb_reader_options o = {.name = "reader", .wait = TB_WAIT_SPIN};
    e->ck = b->ck;
    e->release_every = (uint64_t)b->o.slots / 8;
    while (atomic_load(&b->control->writer_ready) == 0)
        ck_pr_stall();
    if (t != CK_RING) {
        if (tb_reader_open(b->bus_dir, STREAM, &o, &e->reader, &err) != 0)
            fail(err.text);
        tb_reader_release(&e->reader, e->reader.cursor, 0);
        e->next_release = e->reader.cursor + e->release_every;
    }
    atomic_store(&b->control->reader_ready, 1);
}

ALWAYS_INLINE void send_all(struct bench *b, enum transport t, uint64_t count)
{
    struct endpoint e = {0};
    struct message m;
    open_writer(b, t, &e);
    long switches = machine_switches();
    b->control->begin = machine_ticks();
    for (uint64_t seq = 1; seq <= count; seq++) {
        fill(&m, seq, 0);
        transport_send(t, &e, &m);
    }
    b->control->switches[0] = machine_switches() - switches;
    tb_writer_close(&e.writer, TB_STREAM_DONE);
}

/* Record n is due at begin + n / rate, whether or not the ones before it were late. */
ALWAYS_INLINE void send_paced(struct bench *b, enum transport t, uint64_t count)
{
    struct endpoint e = {0};
    struct message m;
    open_writer(b, t, &e);
    double step = 1e9 / (double)b->o.rate / machine_ns_per_tick();
    uint64_t begin = machine_ticks() + (uint64_t)(1e6 / machine_ns_per_tick());
    long switches = machine_switches();
    for (uint64_t seq = 1; seq <= count; seq++) {
        uint64_t due = begin + (uint64_t)((double)seq * step);
        while ((int64_t)(machine_ticks() - due) < 0)
            ck_pr_stall();
        fill(&m, seq, due);
        transport_send(t, &e, &m);
    }
    b->control->switches[0] = machine_switches() - switches;
    tb_writer_close(&e.writer, TB_STREAM_DONE);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quantiles(double *ns, size_t count, double out[5])
{
    static const double at[5] = {0, 0.5, 0.9, 0.99, 0.999};
    qsort(ns, count, sizeof(ns[0]), compare);
    for (size_t i = 0; i < TB_COUNT(at); i++)
        out[i] = count ? ns[(size_t)(at[i] * (double)(count - 1))] : 0;
}

ALWAYS_INLINE void receive_all(struct bench *b, enum transport t, uint64_t count, double *latency)
{
    struct endpoint e = {0};
    struct message m;
    uint64_t bad = 0;
    double ns = machine_ns_per_tick();
    open_reader(b, t, &e);
    long switches = machine_switches();
    for (uint64_t seq = 1; seq <= count; seq++) {
        while (!transport_receive(t, &e, &m))
            ck_pr_stall();
        if (latency != NULL)
            latency[seq - 1] = (double)(int64_t)(machine_ticks_late() - m.word[1]) * ns;
        bad += !whole(&m, seq); /* a record that was lost shows here too: the next one is wrong */
    }
    b->control->end = machine_ticks();
    b->control->switches[1] = machine_switches() - switches;
    b->control->bad = bad;
    b->control->lost = e.reader.lost;
    if (latency != NULL) /* the first twentieth warms caches and predictors */
        quantiles(latency + count / 20, (size_t)(count - count / 20), b->control->quantile);
    tb_reader_close(&e.reader, false);
}

/* One copy of each loop per transport, so that nothing is decided inside them. */
static void writer_process(struct bench *b, enum transport t, uint64_t count, bool paced)
{
    switch (t) {
    case TICKBUS_NEXT:
    case TICKBUS_RUN: /* the same writer */
        paced ? send_paced(b, TICKBUS_NEXT, count) : send_all(b, TICKBUS_NEXT, count);
        break;
    case CK_RING:
        paced ? send_paced(b, CK_RING, count) : send_all(b, CK_RING, count);
        break;
    case TRANSPORTS:
    default:
        break;
    }
}

static void reader_process(struct bench *b, enum transport t, uint64_t count, bool paced)
{
    double *latency = NULL;
    if (paced) {
        latency = malloc((size_t)count * sizeof(*latency));
        if (latency == NULL)
            fail("out of memory");
        memset(latency, 0, (size_t)count * sizeof(*latency)); /* present before it is timed */
    }
    switch (t) {
    case TICKBUS_NEXT:
        receive_all(b, TICKBUS_NEXT, count, latency);
        break;
    case TICKBUS_RUN:
        receive_all(b, TICKBUS_RUN, count, latency);
        break;
    case CK_RING:
        receive_all(b, CK_RING, count, latency);
        break;
    case TRANSPORTS:
    default:
        break;
    }
    free(latency);
}

static pid_t start(struct bench *b, int cpu,
                   void (*body)(struct bench *, enum transport, uint64_t, bool), enum transport t,
                   uint64_t count, bool paced)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(DEADLINE_S);
        machine_pin(cpu);
        body(b, t, count, paced);
        _exit(0);
    }
    if (pid < 0)
        fail("cannot fork");
    return pid;
}

static void run_pair(struct bench *b, enum transport t, uint64_t count, bool paced)
{
    int status[2];
    memset(b->control, 0, sizeof(*b->control));
    ck_ring_init(&b->ck->ring, (unsigned)b->o.slots);
    pid_t reader = start(b, b->cpu[1], reader_process, t, count, paced);
    pid_t writer = start(b, b->cpu[0], writer_process, t, count, paced);
    (void)waitpid(writer, &status[0], 0);
    (void)waitpid(reader, &status[1], 0);
    if (status[0] != 0 || status[1] != 0)
        fail("a process failed or took too long");
    if (b->control->bad != 0 || b->control->lost != 0)
        fail("records were lost or wrong: no figure");
}

/* ---- publishing without a reader ---- */

/* The floor of publish cost: eight plain stores to the next line of an equal area. */
static double bare_cost(struct bench *b, uint64_t count)
{
    size_t slots = (size_t)b->o.slots;
    struct message *area = mmap(NULL, slots * sizeof(*area), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (area == MAP_FAILED)
        fail("out of memory");
    long switches = machine_switches();
    uint64_t begin = 0;
    for (uint64_t seq = 1; seq <= count; seq++) {
        if (seq == slots + 1) /* one lap to warm up */
            begin = machine_ticks();
        fill(&area[seq & (slots - 1)], seq, 0);
        ck_pr_barrier(); /* every record is stored, none is left out or merged */
    }
    double ns = (double)(machine_ticks() - begin) * machine_ns_per_tick() / (double)(count - slots);
    b->control->switches[0] = machine_switches() - switches;
    (void)munmap(area, slots * sizeof(*area));
    return ns;
}

static double publish_cost(struct bench *b, uint64_t count)
{
    struct tb_writer_options o = {.capacity = (uint64_t)b->o.slots, .new_epoch = true};
    struct tb_writer w = {0};
    struct tb_error err = {""};
    struct message m;
    if (tb_writer_open(b->bus_dir, STREAM, &o, &w, &err) != 0)
        fail(err.text);
    long switches = machine_switches();
    uint64_t begin = 0, slots = (uint64_t)b->o.slots;
    for (uint64_t seq = 1; seq <= count; seq++) {
        if (seq == slots + 1)
            begin = machine_ticks();
        fill(&m, seq, 0);
        (void)tb_writer_publish(&w, (const struct tb_record *)(const void *)&m);
    }
    double ns = (double)(machine_ticks() - begin) * machine_ns_per_tick() / (double)(count - slots);
    b->control->switches[0] = machine_switches() - switches;
    tb_writer_close(&w, TB_STREAM_STOPPED);
    return ns;
}

/* ---- rounds and reports ---- */

static void keep(const struct bench *b, const char *measure, const char *subject, double value,
                 const char *unit, const char *placement)
{
    if (sample_count == TB_COUNT(samples))
        return;
    samples[sample_count++] = (struct sample){measure, subject, unit, placement, value};
    if (b->o.json)
        printf("{\"suite\":\"ring\",\"kind\":\"run\",\"measure\":\"%s\",\"subject\":\"%s\","
               "\"value\":%.2f,\"unit\":\"%s\",\"placement\":\"%s\"}\n",
               measure, subject, value, unit, placement);
    else
        fprintf(stderr, "  %-14s %-14s %12.1f %s (%s)\n", measure, subject, value, unit, placement);
}

static const char *placement_of(const struct bench *b, double before, double after)
{
    if (b->control->switches[0] > MACHINE_SWITCHES_MAX ||
        b->control->switches[1] > MACHINE_SWITCHES_MAX)
        return "busy"; /* others used these processors: shown, but not to be compared */
    if (before == 0 || after == 0)
        return "unknown";
    if ((before < MACHINE_FAR_NS) != (after < MACHINE_FAR_NS))
        return "mixed";
    return before < MACHINE_FAR_NS ? "near" : "far";
}

static void measure_cost(struct bench *b, const char *subject,
                         double (*cost)(struct bench *, uint64_t), uint64_t count)
{
    double ns = cost(b, count);
    keep(b, "publish", subject, ns, "ns",
         b->control->switches[0] > MACHINE_SWITCHES_MAX ? "busy" : "one");
}

static void measure_throughput(struct bench *b, enum transport t)
{
    double before = machine_round_trip(b->cpu, 1);
    uint64_t count = (uint64_t)b->o.records;
    run_pair(b, t, count, false);
    double seconds = (double)(b->control->end - b->control->begin) * machine_ns_per_tick() / 1e9;
    keep(b, "throughput", transport_name[t], (double)count / seconds / 1e6, "M records/s",
         placement_of(b, before, machine_round_trip(b->cpu, 1)));
}

static void measure_latency(struct bench *b, enum transport t)
{
    static const char *const names[5] = {"latency min", "latency p50", "latency p90", "latency p99",
                                         "latency p99.9"};
    double before = machine_round_trip(b->cpu, 1);
    run_pair(b, t, (uint64_t)b->o.rate / LATENCY_RUNS_PER_S, true);
    const char *placement = placement_of(b, before, machine_round_trip(b->cpu, 1));
    for (size_t i = 0; i < TB_COUNT(names); i++)
        keep(b, names[i], transport_name[t], b->control->quantile[i], "ns", placement);
}

static void rounds(struct bench *b)
{
    uint64_t count = (uint64_t)(b->o.records > 2 * b->o.slots ? b->o.records : 2 * b->o.slots);
    for (int64_t round = 0; round < b->o.rounds; round++) {
        if (!b->o.json)
            fprintf(stderr, "round %" PRId64 " of %" PRId64 "\n", round + 1, b->o.rounds);
        measure_cost(b, "bare stores", bare_cost, count);
        measure_cost(b, "tickbus", publish_cost, count);
        /* Another order in each round: who comes first must not matter. */
        for (int i = 0; i < TRANSPORTS; i++)
            measure_throughput(b, (enum transport)((i + round) % TRANSPORTS));
        for (int i = 0; i < TRANSPORTS; i++)
            measure_latency(b, (enum transport)((i + round) % TRANSPORTS));
        if (b->o.realtime)
            (void)usleep(
                500000); /* leave others their share, and keep clear of the kernel's limit */
    }
}

/* All samples of one measure, subject and placement, sorted. */
static size_t select_samples(const char *measure, const char *subject, const char *placement,
                             double out[])
{
    size_t count = 0;
    for (size_t i = 0; i < sample_count; i++)
        if (strcmp(samples[i].measure, measure) == 0 && strcmp(samples[i].subject, subject) == 0 &&
            strcmp(samples[i].placement, placement) == 0)
            out[count++] = samples[i].value;
    qsort(out, count, sizeof(out[0]), compare);
    return count;
}

/* What the others are held against, for the ratio. */
static const char *peer_of(const char *measure)
{
    return strcmp(measure, "publish") == 0 ? "bare stores" : "ck_ring";
}

static void report_one(const struct bench *b, const struct sample *s)
{
    static double values[TB_COUNT(samples)], peers[TB_COUNT(samples)];
    size_t count = select_samples(s->measure, s->subject, s->placement, values);
    size_t peer_count = select_samples(s->measure, peer_of(s->measure), s->placement, peers);
    double median = values[count / 2];
    double ratio = peer_count > 0 && peers[peer_count / 2] > 0 ? median / peers[peer_count / 2] : 0;
    if (b->o.json)
        printf("{\"suite\":\"ring\",\"kind\":\"summary\",\"measure\":\"%s\",\"subject\":\"%s\","
               "\"placement\":\"%s\",\"n\":%zu,\"min\":%.2f,\"median\":%.2f,\"max\":%.2f,"
               "\"unit\":\"%s\",\"peer\":\"%s\",\"ratio\":%.3f}\n",
               s->measure, s->subject, s->placement, count, values[0], median, values[count - 1],
               s->unit, peer_of(s->measure), ratio);
    else
        printf("| %-13s | %-12s | %-5s | %2zu | %8.1f | %8.1f | %8.1f | %-11s | %5.2f |\n",
               s->measure, s->subject, s->placement, count, values[0], median, values[count - 1],
               s->unit, ratio);
}

/* Rows that belong together stand together: by measure, placement, subject. */
static int compare_samples(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    int order = strcmp(y->measure, x->measure); /* throughput, publish, latency */
    if (order == 0)
        order = strcmp(y->placement, x->placement); /* near, mixed, far, busy */
    return order != 0 ? order : strcmp(y->subject, x->subject);
}

static void report(const struct bench *b)
{
    if (!b->o.json)
        printf("| measure       | subject      | place |  n |      min |   median |      max | unit"
               "        | ratio |\n| --- | --- | --- | --: | --: | --: | --: | --- | --: |\n");
    qsort(samples, sample_count, sizeof(samples[0]), compare_samples);
    for (size_t i = 0; i < sample_count; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(samples[k].measure, samples[i].measure) == 0 &&
                   strcmp(samples[k].subject, samples[i].subject) == 0 &&
                   strcmp(samples[k].placement, samples[i].placement) == 0;
        if (!seen)
            report_one(b, &samples[i]);
    }
}

static void describe(const struct bench *b)
{
    struct utsname u;
    char model[96] = "unknown processor", line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "model name : %95[^\n]", model) == 1)
            break;
    if (file != NULL)
        (void)fclose(file);
    (void)uname(&u);
    if (b->o.json)
        printf("{\"suite\":\"ring\",\"kind\":\"machine\",\"version\":\"%s\",\"processor\":\"%s\","
               "\"machine\":\"%s\",\"kernel\":\"%s\",\"cpus\":[%d,%d],\"slots\":%" PRId64
               ",\"records\":%" PRId64 ",\"rate\":%" PRId64 "}\n",
               tb_version(), model, u.machine, u.release, b->cpu[0], b->cpu[1], b->o.slots,
               b->o.records, b->o.rate);
    else
        printf("tickbus %s, %s, %s, Linux %s, processors %d and %d\n%" PRId64 " slots, %" PRId64
               " records, latency at %" PRId64
               " records/s; ratio: to bare stores, or to ck_ring\n\n",
               tb_version(), model, u.machine, u.release, b->cpu[0], b->cpu[1], b->o.slots,
               b->o.records, b->o.rate);
    (void)fflush(stdout);
}

static void *shared(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        fail("out of memory");
    return p;
}

static void prepare(struct bench *b)
{
    if (b->o.quick) {
        b->o.records /= 10;
        b->o.rounds = b->o.rounds < 3 ? b->o.rounds : 2;
    }
    strcpy(b->bus_dir, "/dev/shm/tickbus-bench-XXXXXX");
    if (mkdtemp(b->bus_dir) == NULL)
        fail("cannot make a directory in /dev/shm");
    b->owner = getpid();
    b->control = shared(sizeof(*b->control));
    b->ck_bytes = sizeof(*b->ck) + (size_t)b->o.slots * sizeof(struct message);
    b->ck = shared(b->ck_bytes);
}

int main(int argc, char **argv)
{
    struct bench *b = &bench;
    static struct tb_config_memory memory;
    int operands =
        tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &b->o, &memory, argc, argv);
    if (operands != 0)
        return operands == -ECANCELED ? 0 : 64;
    if ((b->o.slots & (b->o.slots - 1)) != 0) {
        fprintf(stderr, PROGRAM ": --slots is a power of two\n");
        return 64;
    }
    if (machine_processors(b->cpu) < 2) {
        fprintf(stderr, PROGRAM ": two processors are needed\n");
        return 77;
    }
    struct sched_param priority = {.sched_priority = 10};
    if (b->o.realtime && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
        fprintf(stderr, PROGRAM ": --realtime: %s\n", strerror(errno));
        return 64;
    }
    prepare(b);
    describe(b);
    rounds(b);
    report(b);
    clean_up(b);
    tb_config_release(&memory);
    return 0;
}
