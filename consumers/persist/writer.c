/* The writer's turns, and what the reading thread asks of it. See writer.h. */
#include "consumers/persist/writer.h"

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

#define TEND_EVERY TB_NS_PER_S
/* How long the end is waited for: of a call, and of one that closes a database that has everything. */
#define STOP_PATIENCE TB_NS_PER_S
#define CLOSE_PATIENCE (10 * TB_NS_PER_S)
#define UPGRADE_EVERY (100 * TB_NS_PER_MS) /* a portion takes half of that: rows come in between */

/* ---- the writer ---- */

static bool is_stopping(const struct writer *w)
{
    return atomic_load_explicit(&w->stop, memory_order_relaxed);
}

/* The database is about to be called. */
static tb_ns begin_call(struct writer *w)
{
    tb_ns now = tb_clock_mono();
    atomic_store_explicit(&w->since, now, memory_order_relaxed);
    return now;
}

static void end_call(struct writer *w)
{
    atomic_store_explicit(&w->since, 0, memory_order_relaxed);
    w->store.report.open = w->store.sink != NULL;
    pthread_mutex_lock(&w->lock);
    w->report = w->store.report;
    pthread_mutex_unlock(&w->lock);
}

static void answer(struct writer *w, unsigned i)
{
    struct writer_question *q = &w->question[i];
    pthread_mutex_lock(&w->lock);
    uint64_t epoch = q->answered ? 0 : q->epoch, behind = q->behind, position;
    pthread_mutex_unlock(&w->lock);
    if (epoch == 0 || !persist_rows_are_stored(&w->persist->rows, behind))
        return;
    int rc = store_match(&w->store, i, epoch, begin_call(w), &position);
    end_call(w);
    if (rc != 0)
        return; /* asked again in a later turn */
    pthread_mutex_lock(&w->lock);
    q->answered = q->epoch == epoch;
    q->position = position;
    pthread_mutex_unlock(&w->lock);
}

static void drain(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool asked = w->drain == WRITER_DRAIN_ASKED;
    pthread_mutex_unlock(&w->lock);
    if (!asked || is_stopping(w))
        return;
    int rc = store_drain(&w->store, begin_call(w));
    end_call(w);
    pthread_mutex_lock(&w->lock);
    if (rc == 0)
        w->drain = WRITER_DRAIN_DONE;
    pthread_mutex_unlock(&w->lock);
}

/* What nobody waits for. */
static void tend(struct writer *w)
{
    tb_ns now = tb_clock_mono();
    if (now >= w->upgrade_at) {
        w->upgrade_at = now + UPGRADE_EVERY;
        store_upgrade(&w->store, begin_call(w));
        end_call(w);
    }
    if (now >= w->tend_at) {
        w->tend_at = now + TEND_EVERY;
        (void)begin_call(w);
        store_tend(&w->store);
        end_call(w);
    }
}

/* Until there is something to do, or it is time for what was not done in the turn that began at `turn`. */
static void rest(struct writer *w, tb_ns turn)
{
    tb_ns until = w->tend_at;
    if (w->store.sink != NULL && !w->store.upgraded && w->upgrade_at < until)
        until = w->upgrade_at;
    if (w->store.next_try > turn && w->store.next_try < until)
        until = w->store.next_try;
    const struct timespec at = {.tv_sec = until / TB_NS_PER_S, .tv_nsec = until % TB_NS_PER_S};
    (void)sem_clockwait(&w->work, CLOCK_MONOTONIC, &at); /* however it ends: there is a look */
    while (sem_trywait(&w->work) == 0)
        ; /* one look for all of them */
}

static void *work(void *context)
{
    struct writer *w = context;
    while (!is_stopping(w)) {
        tb_ns turn = begin_call(w);
        (void)store_open(&w->store, turn); /* what fails is in the report */
        int rc = store_flush(&w->store, begin_call(w));
        end_call(w);
        for (unsigned i = 0; i < w->persist->input_count; i++)
            answer(w, i);
        if (rc ==
            0) /* what was handed over is stored, one transaction a turn: the end need not wait for all */
            drain(w);
        tend(w);
        if (rc != 1)
            rest(w, turn);
    }
    store_fini(&w->store);
    return NULL;
}

/* ---- the reading thread ---- */

int writer_start(struct writer *w, const struct store_config *config, struct persist *p)
{
    memset(w, 0, sizeof(*w));
    w->persist = p;
    store_init(&w->store, config, p);
    (void)sem_init(&w->work, 0, 0);           /* can not fail */
    (void)pthread_mutex_init(&w->lock, NULL); /* can not fail */
    int rc = -pthread_create(&w->thread, NULL, work, w);
    w->running = rc == 0;
    return rc;
}

bool writer_stop(struct writer *w)
{
    if (!w->running)
        return true;
    atomic_store_explicit(&w->stop, true, memory_order_relaxed);
    (void)sem_post(&w->work); /* at SEM_VALUE_MAX it is posted already */
    pthread_mutex_lock(&w->lock);
    tb_ns patience = w->drain == WRITER_DRAIN_DONE ? CLOSE_PATIENCE : STOP_PATIENCE;
    pthread_mutex_unlock(&w->lock);
    tb_ns until = tb_clock_mono() + patience;
    while (pthread_tryjoin_np(w->thread, NULL) != 0) {
        if (tb_clock_mono() >= until)
            return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = TB_NS_PER_MS}, NULL);
    }
    w->running = false;
    (void)pthread_mutex_destroy(&w->lock);
    (void)sem_destroy(&w->work);
    return true;
}

bool writer_hand_over(struct writer *w)
{
    bool all = persist_hand_over(w->persist);
    TB_POINT("persist:handed_over");
    (void)sem_post(&w->work); /* at SEM_VALUE_MAX it is posted already */
    return all;
}

bool writer_position(struct writer *w, unsigned i, uint64_t epoch, uint64_t *out_position)
{
    struct writer_question *q = &w->question[i];
    bool is_new = q->epoch != epoch; /* this thread alone asks */
    /* What is handed over from now on must not be of the former epoch: its marks would be believed. */
    if (is_new && !writer_hand_over(w))
        return false;
    pthread_mutex_lock(&w->lock);
    if (is_new)
        *q = (struct writer_question){.epoch = epoch, .behind = w->persist->rows.made};
    bool answered = q->answered;
    if (answered)
        *out_position = q->position;
    pthread_mutex_unlock(&w->lock);
    if (is_new)
        (void)sem_post(&w->work); /* at SEM_VALUE_MAX it is posted already */
    return answered;
}

int writer_drain(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool is_new = w->drain == WRITER_DRAIN_NO, done = w->drain == WRITER_DRAIN_DONE;
    if (is_new)
        w->drain = WRITER_DRAIN_ASKED;
    pthread_mutex_unlock(&w->lock);
    if (is_new)
        (void)sem_post(&w->work); /* at SEM_VALUE_MAX it is posted already */
    return done ? 0 : -EAGAIN;
}

void writer_report(struct writer *w, struct store_report *out_report)
{
    pthread_mutex_lock(&w->lock);
    *out_report = w->report;
    pthread_mutex_unlock(&w->lock);
}

tb_ns writer_stuck(const struct writer *w, tb_ns now)
{
    tb_ns since = atomic_load_explicit(&w->since, memory_order_relaxed);
    return since != 0 && now > since ? now - since : 0;
}
