/*
 * What the files of the logic share, all of it the reading thread's. persist.c: markets, inputs, the
 * order of things; records.c: records to rows; books.c: books and snapshots; saved.c: checkpoints.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_PRIVATE_H
#define TICKBUS_CONSUMERS_PERSIST_PRIVATE_H

#include "consumers/persist/persist.h"

/* ---- persist.c ---- */

struct persist_market *persist_add_market(struct persist_input *in,
                                          const struct tb_instrument *entry);

/* The market of an instrument id; *out_id has its exponents. NULL: no such instrument. */
struct persist_market *persist_market_of(struct persist *p, unsigned i, uint16_t id,
                                         const struct persist_id **out_id);
/* NULL: there are more markets with books than config.books. */
struct tb_book *persist_book_of(struct persist *p, struct persist_market *m);
void persist_forget(struct persist *p, struct persist_input *in);

/* A new row, or NULL if the database has that position already. Room was checked by persist_take. */
struct persist_row *persist_add_row(struct persist *p, unsigned i, const struct persist_market *m,
                                    enum persist_kind kind, uint64_t position, tb_ns time);

double persist_seconds(tb_ns t);
tb_ns persist_stream_time(const struct tb_record *r);

/* The interval of stream time that t is in, and whether it is another one than the last. */
tb_ns persist_bucket(tb_ns t, tb_ns every);
bool persist_bucket_is_new(tb_ns bucket, tb_ns last, tb_ns every);

/* ---- records.c ---- */

void persist_take_trade(struct persist *p, unsigned i, const struct tb_record *r);
void persist_take_candle(struct persist *p, unsigned i, const struct tb_record *r, bool state);
void persist_take_alert(struct persist *p, unsigned i, const struct tb_record *r);
void persist_take_gap(struct persist *p, unsigned i, const struct tb_record *r, bool state);
void persist_add_gap(struct persist *p, unsigned i, const struct persist_market *m,
                     uint64_t position, tb_ns time, const struct tb_gap *gap);

/* ---- books.c ---- */

void persist_take_level(struct persist *p, unsigned i, const struct tb_record *r);
/* A snapshot of the market's book as rows, made apart from the queue. */
size_t persist_make_snapshot(const struct persist *p, unsigned i, uint32_t market,
                             uint64_t position, struct persist_row *rows);
/* A gap or status: of one market, or (instrument 0) of all of this input's. */
void persist_tell_books(struct persist *p, unsigned i, const struct tb_record *r);
/* Records up to `to` will not be seen: no book is to be believed until its next snapshot. */
void persist_miss_books(struct persist *p, unsigned i, tb_seq to);

#endif
