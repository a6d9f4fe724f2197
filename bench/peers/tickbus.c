/*
 * Our ring, gated by the reader's cursor page, so that nothing is lost at any speed:
 *
 *   tickbus_next   tb_writer_publish_words, tb_reader_next: one record at a time, copied out
 *   tickbus_runs   the same writer; tb_reader_run: records are used where they lie, then confirmed
 *   tickbus_batch  as tickbus_runs, but the reader waits for whole runs (TB_WAIT_BATCH)
 *   tickbus_many   as tickbus_batch, and the writer publishes `batch` records at once, out of memory
 *   tickbus_place  the same, made in the ring itself
 *   tickbus_spin, tickbus_yield, tickbus_park
 *                  as tickbus_next, but whoever finds nothing waits by that policy, and the writer wakes
 */
#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "bench/transport.h"

#define STREAM "bench"
#define READER "reader"
#define RUN_MAX 1024 /* 64 KiB, as a chunk of the core-to-core stream */
#define MANY_MAX 256

struct source {
    struct tb_writer writer;
};

struct drain {
    struct tb_reader reader;
    uint64_t release_every, next_release;
};

static void prepare(struct transport_run *run)
{
    (void)bench_directory(run->bench); /* made by the parent, who removes it */
}

/* ---- the writer ---- */

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct source *s = end;
    uint64_t word[TB_SLOT_WORDS];
    message_words(word, seq, intended);
    (void)tb_writer_publish_words(&s->writer, word);
}

/* By a copy of the writer in a local variable: ring.h, "In a loop". */
struct local_source {
    struct tb_writer copy;
    struct tb_writer *writer;
};

ALWAYS_INLINE void send_local(void *end, uint64_t seq, uint64_t intended)
{
    struct local_source *s = end;
    uint64_t word[TB_SLOT_WORDS];
    message_words(word, seq, intended);
    (void)tb_writer_publish_words(&s->copy, word);
}

ALWAYS_INLINE void send_and_wake(void *end, uint64_t seq, uint64_t intended)
{
    struct source *s = end;
    send_one(end, seq, intended);
    tb_writer_wake(&s->writer);
}

/* Whoever publishes that fast wakes once for many: a reader in batches is late by so many anyway. */
#define WAKE_EVERY 256

ALWAYS_INLINE void send_and_wake_seldom(void *end, uint64_t seq, uint64_t intended)
{
    struct local_source *s = end;
    send_local(end, seq, intended);
    if (seq % WAKE_EVERY == 0)
        tb_writer_wake(s->writer);
}

static void wake_at_end(void *end)
{
    struct local_source *s = end;
    tb_writer_wake(s->writer);
}

static void open_writer(struct transport_run *run, struct source *s)
{
    struct tb_error err = {""};
    struct tb_writer_options o = {.capacity = run->set->slots,
                                  .pace = TB_PACE_GATED,
                                  .gates = {READER},
                                  .gate_count = 1,
                                  .new_epoch = true};
    if (tb_writer_open(bench_directory(run->bench), STREAM, &o, &s->writer, &err) != 0)
        bench_fail("%s", err.text);
    transport_ready(&run->control->writer_ready);
    transport_await(&run->control->reader_ready);
    /* The gate is the reader's cursor page, which is there from now on: let the writer find it. */
    while (tb_writer_room(&s->writer) == 0)
        (void)sched_yield();
}

static void write_all(struct transport_run *run)
{
    struct source s = {0};
    open_writer(run, &s);
    struct local_source local = {s.writer, &s.writer};
    transport_write(run, &local, send_local, transport_no_flush);
    s.writer = local.copy;
    tb_writer_close(&s.writer, TB_STREAM_DONE);
}

static void write_many(struct transport_run *run)
{
    static struct message m[MANY_MAX];
    struct source s = {0};
    struct transport_control *c = run->control;
    open_writer(run, &s);
    double waited = machine_waited();
    c->begin = machine_ticks();
    for (uint64_t seq = 1, n = run->set->batch; seq <= run->count; seq += n) {
        if (n > run->count + 1 - seq)
            n = run->count + 1 - seq;
        message_fill_run(m, seq, (size_t)n);
        /* A message has a record's size; word 0 is the sequence, which publish sets itself. */
        (void)tb_writer_publish_many(&s.writer, (const struct tb_record *)(const void *)m,
                                     (size_t)n);
        tb_writer_wake(&s.writer);
    }
    c->writer_waited = machine_waited() - waited;
    tb_writer_close(&s.writer, TB_STREAM_DONE);
}

static void write_place(struct transport_run *run)
{
    struct source s = {0};
    struct transport_control *c = run->control;
    open_writer(run, &s);
    double waited = machine_waited();
    c->begin = machine_ticks();
    for (uint64_t seq = 1, n = run->set->batch; seq <= run->count; seq += n) {
        if (n > run->count + 1 - seq)
            n = run->count + 1 - seq;
        (void)tb_writer_publish_in_place(&s.writer, (size_t)n, message_put, &seq);
        tb_writer_wake(&s.writer);
    }
    c->writer_waited = machine_waited() - waited;
    tb_writer_close(&s.writer, TB_STREAM_DONE);
}

static void write_batch(struct transport_run *run)
{
    struct source s = {0};
    open_writer(run, &s);
    struct local_source local = {s.writer, &s.writer};
    transport_write(run, &local, send_and_wake_seldom, wake_at_end);
    s.writer = local.copy;
    tb_writer_close(&s.writer, TB_STREAM_DONE);
}

static void write_waking(struct transport_run *run)
{
    struct source s = {0};
    open_writer(run, &s);
    transport_write(run, &s, send_and_wake, transport_no_flush);
    tb_writer_close(&s.writer, TB_STREAM_DONE);
}

/* ---- the reader ---- */

static void open_reader(struct transport_run *run, struct drain *d, enum tb_wait_policy wait)
{
    struct tb_error err = {""};
    struct tb_reader_options o = {.name = READER, .wait = wait};
    transport_await(&run->control->writer_ready);
    if (tb_reader_open(bench_directory(run->bench), STREAM, &o, &d->reader, &err) != 0)
        bench_fail("%s", err.text);
    tb_reader_release(&d->reader, d->reader.cursor, 0);
    d->release_every = run->set->slots / 8;
    d->next_release = d->reader.cursor + d->release_every;
    transport_ready(&run->control->reader_ready);
}

static void close_reader(struct transport_run *run, struct drain *d)
{
    run->control->lost = d->reader.lost;
    tb_reader_close(&d->reader, false);
}

ALWAYS_INLINE void release(struct drain *d)
{
    if (d->reader.cursor >= d->next_release) {
        tb_reader_release(&d->reader, d->reader.cursor, 0);
        d->next_release = d->reader.cursor + d->release_every;
    }
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct drain *d = end;
    if (tb_reader_next(&d->reader, (struct tb_record *)(void *)out) != TB_READ_OK)
        return false;
    release(d);
    return true;
}

static void read_next(struct transport_run *run)
{
    struct drain d = {0};
    open_reader(run, &d, TB_WAIT_SPIN);
    transport_read(run, &d, receive_one);
    close_reader(run, &d);
}

ALWAYS_INLINE bool receive_or_wait(void *end, struct message *out)
{
    struct drain *d = end;
    if (receive_one(end, out))
        return true;
    tb_reader_wait(&d->reader, TB_NS_PER_S);
    return false;
}

static void read_waiting(struct transport_run *run, enum tb_wait_policy wait)
{
    struct drain d = {0};
    open_reader(run, &d, wait);
    transport_read(run, &d, receive_or_wait);
    close_reader(run, &d);
}

static void read_spin(struct transport_run *run)
{
    read_waiting(run, TB_WAIT_SPIN);
}

static void read_yield(struct transport_run *run)
{
    read_waiting(run, TB_WAIT_YIELD);
}

static void read_park(struct transport_run *run)
{
    read_waiting(run, TB_WAIT_PARK);
}

static void read_in_place(struct transport_run *run, enum tb_wait_policy wait)
{
    struct drain d = {0};
    uint64_t wrong = 0, seq = 1;
    open_reader(run, &d, wait);
    double waited = machine_waited();
    for (unsigned times = 1; seq <= run->count;) {
        const struct tb_slot *slot;
        enum tb_read end;
        size_t n = tb_reader_run(&d.reader, RUN_MAX, &slot, &end);
        if (n == 0) {
            if (wait == TB_WAIT_BATCH)
                tb_reader_wait(&d.reader, TB_NS_PER_S);
            else
                transport_idle(run, times++);
            continue;
        }
        times = 1;
        /* The gate holds what is not released: plain loads, as wide as they come, are enough here. */
        const struct message *m = (const struct message *)(const void *)slot;
        for (size_t i = 0; run->latency != NULL && i < n; i++)
            transport_took(run, seq + i, m[i].word[1]);
        wrong |= message_wrong_run(m, seq, n);
        wrong |= !tb_reader_confirm(&d.reader, n);
        release(&d);
        seq += n;
    }
    transport_done(run, wrong, waited);
    close_reader(run, &d);
}

static void read_runs(struct transport_run *run)
{
    read_in_place(run, TB_WAIT_SPIN);
}

static void read_batch(struct transport_run *run)
{
    read_in_place(run, TB_WAIT_BATCH);
}

#define TRANSPORT(name_, write_, read_)                                                            \
    const struct transport transport_##name_ = {.name = #name_,                                    \
                                                .prepare = prepare,                                \
                                                .write = (write_),                                 \
                                                .read = (read_),                                   \
                                                .finish = transport_nothing}
TRANSPORT(tickbus_next, write_all, read_next);
TRANSPORT(tickbus_runs, write_all, read_runs);
TRANSPORT(tickbus_batch, write_batch, read_batch);
TRANSPORT(tickbus_many, write_many, read_batch);
TRANSPORT(tickbus_place, write_place, read_batch);
TRANSPORT(tickbus_spin, write_waking, read_spin);
TRANSPORT(tickbus_yield, write_waking, read_yield);
TRANSPORT(tickbus_park, write_waking, read_park);
