/* See physical.h. */
#include "bench/physical.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ck_pr.h>

#include "bench/message.h"

#define CHUNK ((size_t)65536)
#define STREAM_BYTES 1e9
#define STORES 2e7
#define STAMPS 2000
#define TRIPS 5000
#define CALLS 20000

static double ns_since(uint64_t begin)
{
    return (double)(machine_ticks() - begin) * machine_ns_per_tick();
}

static void *area(size_t bytes)
{
    return bench_shared(bytes);
}

/* ---- core to core ---- */

struct stream {
    TB_ALIGNAS(128) TB_ATOMIC(uint64_t) head; /* messages, writer */
    TB_ALIGNAS(128) TB_ATOMIC(uint64_t) tail; /* messages, reader */
    TB_ALIGNAS(128) TB_ATOMIC(int) ready;
    uint64_t begin, end, wrong;
    double waited[2];
    struct message *ring;
    uint64_t slots, chunk, count; /* all powers of two or multiples of chunk */
};

/* Waited so often in a row: the other side does not have its processor. */
static void stall(unsigned times)
{
    if (times % 32768 == 0)
        (void)sched_yield();
    ck_pr_stall();
}

static void stream_write(struct stream *s)
{
    uint64_t tail = 0;
    bench_present(s->ring, s->slots * sizeof(struct message));
    while (atomic_load(&s->ready) == 0)
        (void)sched_yield();
    double waited = machine_waited();
    s->begin = machine_ticks();
    for (uint64_t head = 0; head < s->count;) {
        for (unsigned i = 1; head + s->chunk - tail > s->slots; i++) {
            tail = atomic_load_explicit(&s->tail, memory_order_acquire);
            stall(i);
        }
        message_fill_run(&s->ring[head & (s->slots - 1)], head + 1, s->chunk);
        head += s->chunk;
        atomic_store_explicit(&s->head, head, memory_order_release);
    }
    s->waited[0] = machine_waited() - waited;
}

static void stream_read(struct stream *s)
{
    bench_present(s->ring, s->slots * sizeof(struct message));
    double waited = machine_waited();
    atomic_store(&s->ready, 1);
    unsigned times = 0;
    for (uint64_t tail = 0; tail < s->count;) {
        uint64_t head = atomic_load_explicit(&s->head, memory_order_acquire);
        times = head == tail ? times + 1 : 0;
        if (head == tail)
            stall(times);
        for (; tail < head; tail += s->chunk) {
            s->wrong |= message_wrong_run(&s->ring[tail & (s->slots - 1)], tail + 1, s->chunk);
            atomic_store_explicit(&s->tail, tail + s->chunk, memory_order_release);
        }
    }
    s->end = machine_ticks();
    s->waited[1] = machine_waited() - waited;
}

double physical_stream(struct bench *b, size_t ring_bytes)
{
    struct stream *s = bench_shared(sizeof(*s));
    size_t chunk = ring_bytes / 4 < CHUNK ? ring_bytes / 4 : CHUNK;
    double bytes = STREAM_BYTES * b->scale;
    s->ring = area(ring_bytes);
    s->slots = ring_bytes / sizeof(struct message);
    s->chunk = chunk / sizeof(struct message);
    if (bytes < 4 * (double)ring_bytes)
        bytes = 4 * (double)ring_bytes;
    s->count = (uint64_t)(bytes / (double)chunk) * s->chunk;
    pid_t reader = bench_fork(b->cpu[1]);
    if (reader == 0) {
        stream_read(s);
        _exit(0);
    }
    pid_t writer = bench_fork(b->cpu[0]);
    if (writer == 0) {
        stream_write(s);
        _exit(0);
    }
    bench_join(writer);
    bench_join(reader);
    if (s->wrong != 0)
        bench_fail("a line of the core-to-core stream was wrong");
    double seconds = (double)(s->end - s->begin) * machine_ns_per_tick() / 1e9;
    bench_disturbed(b, s->waited[0], seconds);
    bench_disturbed(b, s->waited[1], seconds);
    double rate = (double)s->count / seconds / 1e6;
    bench_unshare(s->ring, ring_bytes);
    bench_unshare(s, sizeof(*s));
    return rate;
}

/* ---- one core ---- */

double physical_store(struct bench *b, size_t bytes, bool wide)
{
    size_t slots = bytes / sizeof(struct message);
    struct message *m = area(bytes);
    uint64_t laps = (uint64_t)(STORES * b->scale) / slots + 1;
    message_fill_run(m, 1, slots);
    uint64_t begin = machine_ticks();
    for (uint64_t lap = 0; lap < laps && wide; lap++)
        message_fill_run(m, 1 + lap * slots, slots);
    for (uint64_t seq = 0; seq < laps * slots && !wide; seq++) {
        uint64_t *word = m[seq & (slots - 1)].word;
        UNROLL
        for (uint64_t i = 0; i < 8; i++)
            __atomic_store_n(&word[i], seq + i, __ATOMIC_RELAXED); /* stays eight stores */
    }
    double ns = ns_since(begin) / (double)(laps * slots);
    bench_unshare(m, bytes);
    return ns;
}

double physical_copy(struct bench *b, size_t bytes)
{
    char *from = area(bytes), *to = area(bytes);
    uint64_t laps = (uint64_t)(STORES * b->scale * sizeof(struct message)) / bytes + 1;
    memset(from, 1, bytes);
    memcpy(to, from, bytes);
    uint64_t begin = machine_ticks();
    for (uint64_t lap = 0; lap < laps; lap++) {
        memcpy(to, from, bytes);
        ck_pr_barrier();
    }
    double ns = ns_since(begin) / (double)(laps * (bytes / sizeof(struct message)));
    bench_unshare(from, bytes);
    bench_unshare(to, bytes);
    return ns;
}

double physical_stamp(struct bench *b)
{
    double took[STAMPS];
    uint64_t due = machine_ticks();
    (void)b;
    for (size_t i = 0; i < STAMPS; i++) {
        due = machine_ticks() + 1000;
        while ((int64_t)(machine_ticks() - due) < 0)
            ;
        took[i] = (double)(int64_t)(machine_ticks_late() - due);
    }
    return bench_quantiles_of(took, STAMPS).p50 * machine_ns_per_tick();
}

double physical_call(struct bench *b)
{
    (void)b;
    uint64_t begin = machine_ticks();
    for (int i = 0; i < CALLS; i++)
        (void)syscall(SYS_getppid);
    return ns_since(begin) / CALLS;
}

/* ---- sleeping ---- */

struct nap {
    TB_ALIGNAS(128) TB_ATOMIC(uint32_t) turn; /* even: the first one's */
};

static void futex(struct nap *n, int what, uint32_t value)
{
    (void)syscall(SYS_futex, &n->turn, what, value, NULL, NULL, 0);
}

/* Wait for the turn `mine`, sleeping at once, and pass it on. */
static void pass_on(struct nap *n, uint32_t mine)
{
    for (uint32_t now; (now = atomic_load_explicit(&n->turn, memory_order_acquire)) != mine;)
        futex(n, FUTEX_WAIT, now);
    atomic_store_explicit(&n->turn, mine + 1, memory_order_release);
    futex(n, FUTEX_WAKE, 1);
}

double physical_futex(struct bench *b)
{
    struct nap *n = bench_shared(sizeof(*n));
    uint32_t trips = (uint32_t)(TRIPS * b->scale);
    pid_t other = bench_fork(b->cpu[1]);
    if (other == 0) {
        for (uint32_t i = 0; i < trips; i++)
            pass_on(n, 2 * i + 1);
        _exit(0);
    }
    pid_t one = bench_fork(b->cpu[0]);
    if (one == 0) {
        uint64_t begin = machine_ticks();
        for (uint32_t i = 0; i < trips; i++)
            pass_on(n, 2 * i);
        while (atomic_load(&n->turn) != 2 * trips)
            ;
        double ns = ns_since(begin) / trips;
        memcpy((char *)n + 64, &ns, sizeof(ns));
        _exit(0);
    }
    bench_join(one);
    bench_join(other);
    double ns;
    memcpy(&ns, (char *)n + 64, sizeof(ns));
    bench_unshare(n, sizeof(*n));
    return ns;
}
