/*
 * The writer: the one thread that has the database, so that reading never waits for the disk.
 *
 *   reading thread                                        writer
 *   ------------------------------------------------      -----------------------------------------------
 *   records -> rows, held back until batch_rows or
 *   commit_every; then handed over (rows.h)      ------>  transactions of at most batch_rows, each with the
 *                                                         cursors; then, if it has grown, the log is moved
 *   what does the database have of an input?     ------>  when all that was handed over before is stored:
 *                                                <------  its position; later rows are of that epoch
 *   state copied for a checkpoint ... is the row
 *   before which it was taken stored?            <------  `stored`: only then is the checkpoint the one to
 *                                                         go on from, and what is upstream let go
 *   drain: everything, then the reading thread
 *   touches nothing until it is told             ------>  the rows of the drain, in one transaction
 *   stats page, log, state                       <------  a report, copied
 *
 * The queue is bounded (`buffer`). When it is full no record is taken: ring and journal keep them, and
 * reading goes on when rows were stored. While the database is in trouble, or a call of it does not
 * return, rows wait in the same way; the writer alone tries again.
 *
 * Nothing but rows goes through the queue, which has no lock. Questions, answers and the report are
 * copied under one that is never held while the database is called. The calls below are the reading
 * thread's; none of them waits, but for writer_start and writer_stop.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_WRITER_H
#define TICKBUS_CONSUMERS_PERSIST_WRITER_H

#include <pthread.h>
#include <semaphore.h>

#include "consumers/persist/store.h"

struct writer_question {
    uint64_t epoch;  /* 0: none was asked */
    uint64_t behind; /* rows before this number are stored first */
    bool answered;
    uint64_t position;
};

enum writer_drain { WRITER_DRAIN_NO, WRITER_DRAIN_ASKED, WRITER_DRAIN_DONE };

struct writer {
    struct store store; /* the writer's, while it runs */
    struct persist *persist;
    bool running;
    pthread_t thread;
    sem_t work; /* posted when there is something to do */
    _Atomic(bool) stop;
    _Atomic(tb_ns) since; /* monotonic: its present call of the database began; 0: it is in none */
    tb_ns tend_at, upgrade_at;
    pthread_mutex_t lock; /* of what follows */
    struct writer_question question[PERSIST_INPUTS_MAX];
    enum writer_drain drain;
    struct store_report report;
};

/* writer_start: 0 or -errno. It opens the database when it can: see the report. The path and the histogram
 * that config points to stay as long as the writer, which may be as long as the process: see writer_stop. */
int writer_start(struct writer *w, const struct store_config *config, struct persist *p);

/*
 * writer_stop: waits for the end of its present call; closes the database. Rows that wait, stay. False: its
 * call does not return, and has been waited for long enough: what the writer uses must stay, and the
 * process end, which is one more death that each row survives.
 */
bool writer_stop(struct writer *w);

/* writer_hand_over: persist_hand_over, and wake the writer. */
bool writer_hand_over(struct writer *w);

/* writer_position: what has the database of input i, in this epoch? False: it is not known yet, call
 * again. The input gives no rows meanwhile. */
bool writer_position(struct writer *w, unsigned i, uint64_t epoch, uint64_t *out_position);

/* writer_drain: see above. 0: all is stored; -EAGAIN: not yet, call again. */
int writer_drain(struct writer *w);

void writer_report(struct writer *w, struct store_report *out_report);

/* writer_stuck: for how long has it been in its present call of the database? */
tb_ns writer_stuck(const struct writer *w, tb_ns now);

#endif
