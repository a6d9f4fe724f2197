/*
 * Is what is in the journals right? The logic, record by record; main.c reads and prints.
 *
 *   sequences   consecutive within an epoch, the first of an epoch 1
 *   trades      ids of venues that count them one by one: none missing (but for gaps that the
 *               stream tells of), none twice
 *   books       a market's update ids never go back, but with a clear
 *   candles     made again from the trades, equal to those of candle streams, field by field, and
 *               to the rows of a database, in which values are the doubles nearest to them
 *
 * Candles wait in two queues per market and timeframe, the made and the recorded ones, until both
 * sides have come. Memory is bounded: by markets, and by how far the two may be apart (QUEUE_MAX).
 * What can not be known is not judged, but counted as uncertain: a bucket in which the journal
 * begins or has a hole, and the first candle that a candle stream recorded.
 */
#ifndef TICKBUS_CONSUMERS_VERIFY_H
#define TICKBUS_CONSUMERS_VERIFY_H

#include <tickbus/base.h>
#include <tickbus/candle.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>

enum finding {
    FINDING_DAMAGE,   /* a page whose checksum is wrong, and the sequences it costs */
    FINDING_SEQUENCE, /* sequences that are missing */
    FINDING_RECORD,   /* a record that names no instrument of its table, or a type that there is
                     * not */
    FINDING_TRADES,
    FINDING_BOOK,
    FINDING_CANDLE,
    FINDING_DATABASE,
    FINDING_KINDS
};
extern const char *const finding_name[FINDING_KINDS];

struct verify_counts {
    uint64_t records, trades, levels, gaps;
    uint64_t trades_chained; /* whose id was held against the one before */
    uint64_t levels_chained;
    uint64_t candles_made, candles_recorded, candles_equal, candles_uncertain;
    uint64_t rows_equal; /* candles found in the database */
    uint64_t found[FINDING_KINDS];
};

struct candle_book; /* candles.c */
struct database;    /* database.c */

/* One journal while it is read. */
struct verify_source {
    const char *stream;
    uint64_t epoch;
    tb_seq next;   /* expected; 0: nothing read yet */
    bool whole;    /* everything of this epoch so far was there */
    uint32_t hole; /* counts holes: a market that has seen another count is in doubt */
    struct verify_market *market; /* by instrument id */
    struct tb_record prices;      /* the first record of a candle, if prices_there */
    bool prices_there;
    const struct tb_instrument *(*instrument)(void *context, uint16_t id);
    void *context;
};

struct verify_market {
    uint64_t trade_id, update_id; /* of the last one; 0: none to hold the next one against */
    uint16_t of; /* id of the market that this entry belongs to; 0: not looked up */
};

struct verify {
    struct verify_counts count;
    struct candle_book *candles;
    struct database *database; /* may be NULL */
    void (*found)(void *context, enum finding kind, const char *stream, const char *what);
    void *context;
};

int verify_init(struct verify *v);
void verify_fini(struct verify *v);

int verify_source_init(struct verify_source *s, const char *stream,
                       const struct tb_instrument *(*instrument)(void *context, uint16_t id),
                       void *context);
void verify_source_fini(struct verify_source *s);

void verify_record(struct verify *v, struct verify_source *s, uint64_t epoch,
                   const struct tb_record *record);
/* verify_damage: sequences that could not be read. */
void verify_damage(struct verify *v, struct verify_source *s, uint64_t epoch, tb_seq from,
                   tb_seq to, const char *what);
/* verify_end: what still waits: recorded candles whose trades never came. */
void verify_end(struct verify *v);

void verify_find(struct verify *v, enum finding kind, const char *stream, const char *format, ...)
    TB_PRINTF(4, 5);

/* ---- candles.c ---- */

struct candle_book *candle_book_create(void);
void candle_book_destroy(struct candle_book *b);
/* doubt: the stream had a hole (or began) since this market's trade before. */
void candle_book_trade(struct verify *v, const struct verify_source *s,
                       const struct tb_instrument *in, const struct tb_record *record,
                       uint32_t hole);
void candle_book_recorded(struct verify *v, const struct verify_source *s,
                          const struct tb_instrument *in, const struct tb_candle *candle,
                          enum tb_timeframe timeframe);
/* The candle stream had a hole, or told of one: the next recorded candle of each market may
 * differ. */
void candle_book_forgive(struct candle_book *b, const char *stream);
/* Another epoch of a trade stream: its candles begin anew. */
void candle_book_epoch(struct candle_book *b, const char *stream);
void candle_book_end(struct verify *v);

/* ---- database.c ---- */

int database_open(const char *path, struct database **out_database, struct tb_error *err);
void database_close(struct database *d);

enum database_answer {
    DATABASE_EQUAL,
    DATABASE_DIFFERS,
    DATABASE_MISSING,
    DATABASE_OUTSIDE,
    DATABASE_FAILED
};
/* database_candle: is it there, and the same? out_what: what is there instead. */
enum database_answer database_candle(struct database *d, const char *venue, const char *symbol,
                                     enum tb_timeframe timeframe, const struct tb_candle *candle,
                                     int price_exp, int size_exp, char *out_what, size_t bytes);
/* database_trade: a trade of the journal; database_trades: held against the rows, once all are
 * counted. */
void database_trade(struct database *d, const char *stream, uint64_t epoch, tb_seq seq);
void database_trades(struct database *d, struct verify *v);

#endif
