/*
 * Rows, and the queue of them between the thread that reads records and makes rows, and the writer, which
 * has the database (writer.h).
 *
 *   stored           handed             made            numbers of rows: they only grow, row n is
 *      | handed over   | not yet          | room ...    in slot (n - base) % capacity
 *
 * The reading thread makes rows and hands them over, many at once. The writer looks at what was handed
 * over as often as it takes and says `stored` when it is committed: so nothing is taken out by a try
 * that fails (ck_ring gives each entry once, hence not that). Neither ever waits for the other.
 *
 * A PERSIST_MARK is no row of a table. It says that all rows of its input up to its position are before
 * it: records that make no rows, too, come to be behind the database's cursor.
 *
 * Ordering
 *   Q1  handed = made   release, reading thread: rows, and the names that they stand for, are written
 *   Q2  handed          acquire, writer, pairs Q1
 *   Q3  stored = n      release, writer: it looks at none of them again
 *   Q4  stored          acquire, reading thread, pairs Q3: slots are used again, names forgotten
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_ROWS_H
#define TICKBUS_CONSUMERS_PERSIST_ROWS_H

#include <stdatomic.h>

#include <tickbus/base.h>

enum persist_kind {
    PERSIST_TRADE,
    PERSIST_CANDLE,
    PERSIST_LEVEL,
    PERSIST_ALERT,
    PERSIST_GAP,
    PERSIST_KINDS
};
#define PERSIST_MARK PERSIST_KINDS

/* One row of one table, numbers already as the edge wants them: doubles, rounded once. */
struct persist_row {
    uint64_t position;
    double timestamp; /* s since the Unix epoch */
    uint8_t kind;     /* enum persist_kind, or PERSIST_MARK */
    uint8_t input;
    uint16_t market; /* index into persist_input.market: names */
    union {
        struct {
            double price, amount, cost;
            uint64_t trade_id;
            uint8_t side;
        } trade;
        struct {
            double open, high, low, close, volume, turnover, taker_buy_volume;
            uint32_t trades;
            uint8_t timeframe;
            bool closed;
        } candle;
        struct {
            double price, amount, cumulative;
            uint64_t update_id;
            uint16_t level;
            uint8_t side;
        } level;
        struct {
            double value, threshold, since;
            uint32_t alert_id;
            uint8_t state, severity;
        } alert;
        struct {
            uint64_t from, to, missing;
            uint32_t reason, channel;
        } gap;
    };
};

struct persist_rows {
    struct persist_row *row;
    size_t capacity;
    uint64_t
        base; /* moved by the reading thread while there are no rows: their memory is used again */
    _Atomic(uint64_t) handed;
    _Atomic(uint64_t) stored;
    char apart[TB_CACHE_LINE]; /* what changes with each row is in another line */
    uint64_t made;
};

/* ---- the reading thread ---- */

/* How many rows fit. */
static inline size_t persist_rows_room(struct persist_rows *q)
{
    uint64_t stored = atomic_load_explicit(&q->stored, memory_order_acquire); /* Q4 */
    if (stored == q->made)
        q->base = q->made; /* memory that was never needed is never touched */
    return q->capacity - (size_t)(q->made - stored);
}

/* The next row, to be filled. There is room, as persist_rows_room said. */
static inline struct persist_row *persist_rows_add(struct persist_rows *q)
{
    return &q->row[(q->made++ - q->base) % q->capacity];
}

/* Made, and not stored. */
static inline size_t persist_rows_waiting(const struct persist_rows *q)
{
    return (size_t)(q->made - atomic_load_explicit(&q->stored, memory_order_acquire)); /* Q4 */
}

/* Made, and not handed over. */
static inline size_t persist_rows_kept(const struct persist_rows *q)
{
    return (size_t)(q->made - atomic_load_explicit(&q->handed, memory_order_relaxed)); /* our own */
}

static inline void persist_rows_hand_over(struct persist_rows *q)
{
    atomic_store_explicit(&q->handed, q->made, memory_order_release); /* Q1 */
}

/* Are all rows before number n stored? */
static inline bool persist_rows_are_stored(const struct persist_rows *q, uint64_t n)
{
    return atomic_load_explicit(&q->stored, memory_order_acquire) >= n; /* Q4 */
}

/* ---- the writer ---- */

/* Handed over, and not stored. */
static inline size_t persist_rows_handed(const struct persist_rows *q)
{
    uint64_t handed = atomic_load_explicit(&q->handed, memory_order_acquire);         /* Q2 */
    return (size_t)(handed - atomic_load_explicit(&q->stored, memory_order_relaxed)); /* our own */
}

/* The k-th row that is not stored, oldest first. */
static inline const struct persist_row *persist_row_at(const struct persist_rows *q, size_t k)
{
    uint64_t n = atomic_load_explicit(&q->stored, memory_order_relaxed) + k; /* our own */
    return &q->row[(n - q->base) % q->capacity];
}

/* How many of the rows handed over may be stored together: about `most`, never ending between rows of
 * one position. */
static inline size_t persist_rows_batch(const struct persist_rows *q, size_t most)
{
    size_t handed = persist_rows_handed(q), n = most;
    if (handed <= most)
        return handed;
    for (; n < handed; n++) {
        const struct persist_row *last = persist_row_at(q, n - 1), *next = persist_row_at(q, n);
        if (last->input != next->input || last->position != next->position)
            break;
    }
    return n;
}

/* The first n are stored. */
static inline void persist_rows_drop(struct persist_rows *q, size_t n)
{
    uint64_t stored = atomic_load_explicit(&q->stored, memory_order_relaxed); /* our own */
    TB_ASSERT(n <= persist_rows_handed(q));
    atomic_store_explicit(&q->stored, stored + n, memory_order_release); /* Q3 */
}

#endif
