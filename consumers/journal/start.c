#include "consumers/journal/start.h"

#include <errno.h>

#define REBUILD_SEGMENTS 8 /* how far back state is looked for: segments written again have none */

/* ---- the books of an earlier life ---- */

static const struct tb_instrument *instrument(void *context, uint16_t id)
{
    return tb_journal_instrument(context, id);
}

static uint16_t instrument_count(void *context)
{
    return tb_journal_instrument_count(context);
}

static void state_count(void *context, const struct tb_record *record)
{
    (void)record;
    ++*(size_t *)context;
}

static void state_apply(void *context, const struct tb_record *record)
{
    journal_books_apply(context, record);
}

/* Of the position (epoch, last): the newest segment up to it that begins with state. Returns its first. */
static tb_seq find_state(struct tb_journal *j, uint64_t epoch, tb_seq last)
{
    tb_seq first = last + 1;
    size_t states = 0;
    for (int i = 0; i < REBUILD_SEGMENTS && states == 0 && first > 1; i++) {
        uint64_t got;
        tb_seq segment;
        (void)tb_journal_seek(j, epoch, first - 1);
        if (tb_journal_state(j, state_count, &states, &got, &segment) != 0 || got != epoch ||
            segment >= first)
            break;
        first = segment;
    }
    return first;
}

/* Back to a segment that begins with state; from there every record up to the last. */
static void rebuild(struct journal_start *s)
{
    struct tb_journal *j;
    struct tb_journal_damage damage;
    struct tb_record records[256];
    struct journal_books *books = s->books;
    uint64_t got = 0;
    tb_seq at;
    if (tb_journal_open(tb_journal_writer_path(s->writer), &j, NULL) != 0)
        return; /* the books begin with the next snapshots */
    books->instrument = instrument;
    books->instrument_count = instrument_count;
    books->context = j;
    tb_seq next = find_state(j, s->epoch, s->last);
    (void)tb_journal_seek(j, s->epoch, next);
    if (tb_journal_state(j, state_apply, books, &got, &at) != 0)
        journal_books_invalidate(books);
    while (next <= s->last && !atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        long n = tb_journal_read(j, records, TB_COUNT(records), &got, &damage);
        if (n == -EBADMSG) {
            journal_books_invalidate(books);
            next = damage.to + 1;
            continue;
        }
        if (n <= 0 || got != s->epoch)
            break;
        for (long i = 0; i < n && records[i].seq <= s->last; i++)
            journal_books_apply(books, &records[i]);
        next = records[n - 1].seq + 1;
    }
    if (next <= s->last)
        journal_books_invalidate(books); /* they stand before what follows */
    tb_journal_close(j);
}

/* ---- the thread ---- */

static void *begin(void *context)
{
    struct journal_start *s = context;
    if (s->writer == NULL) {
        s->rc = tb_journal_writer_open(s->disk, &s->write, &s->writer, &s->err);
        if (s->rc == 0)
            s->last = tb_journal_writer_last(s->writer, s->epoch);
    }
    if (s->last > 0)
        rebuild(s);
    atomic_store_explicit(&s->done, true, memory_order_release);
    return NULL;
}

void journal_start_begin(struct journal_start *s)
{
    s->rc = 0;
    /* A writer that is there is in use: it is asked here, and not by the thread. */
    s->last = s->writer != NULL ? tb_journal_writer_last(s->writer, s->epoch) : 0;
    journal_books_forget(s->books);
    atomic_store(&s->done, false);
    s->running = pthread_create(&s->thread, NULL, begin, s) == 0;
    if (!s->running)
        (void)begin(s); /* no thread to be had: then it is waited for */
}

bool journal_start_end(struct journal_start *s)
{
    if (!atomic_load_explicit(&s->done, memory_order_acquire))
        return false;
    if (s->running)
        (void)pthread_join(s->thread, NULL);
    s->running = false;
    return true;
}

void journal_start_stop(struct journal_start *s)
{
    atomic_store(&s->stop, true);
    if (s->running)
        (void)pthread_join(s->thread, NULL);
    s->running = false;
}
