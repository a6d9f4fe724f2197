/*
 * Candles that the output holds already, and how far: so that none is published again when a state
 * is made anew from the inputs (service.h, on_past).
 *
 * A market's candles of one timeframe come in a fixed order, by (start, trades), completed last.
 * What was published is known whole by its last candle; and by how often the order began anew,
 * because a recording may be played twice. The same is kept of what is made now: what is not beyond
 * that last candle is there already. Nothing is counted and no input is asked, so it is right as
 * well if records that something was published of are lost: then the candle that is there stays the
 * only one.
 *
 * A half of a candle at the output's end is no candle: it comes again, whole.
 */
#ifndef TICKBUS_CONSUMERS_CANDLES_PAST_H
#define TICKBUS_CONSUMERS_CANDLES_PAST_H

#include <tickbus/base.h>
#include <tickbus/candle.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>

#define CANDLES_PAST_MAX 65536 /* markets of all epochs; more are not remembered */

struct candles_past_place {
    tb_ns start;
    uint64_t trades;   /* UINT64_MAX: completed; 0: none yet */
    tb_ns first_start; /* where the order began */
    uint64_t first_trades;
    uint64_t plays; /* how often the order began anew */
};

struct candles_past_market {
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    char stream[TB_STREAM_BYTES]; /* the input that it was made of */
    uint64_t waiting; /* bit per timeframe: what is made now has not come beyond `there` yet */
    struct candles_past_place there[TB_TIMEFRAMES], now[TB_TIMEFRAMES];
};

struct candles_past {
    struct candles_past_market *market;
    uint32_t count;
    uint32_t waiting;   /* markets that wait for anything: 0: all of this is over */
    uint32_t forgotten; /* no memory for them */
    uint64_t epoch;     /* of the ids: */
    uint32_t of_id[TB_INSTRUMENTS_MAX + 1]; /* index + 1; 0: not looked up */
    struct tb_record prices; /* of the output's last record, if it was the first half of a candle */
};

void candles_past_fini(struct candles_past *p);

/* candles_past_add: a record of the output, in order, its epoch, and its entry (NULL: there is
 * none). */
void candles_past_add(struct candles_past *p, uint64_t epoch, const struct tb_instrument *entry,
                      const struct tb_record *record);

/* candles_past_has: is this candle, made now for this epoch of the output, there already? */
bool candles_past_has(struct candles_past *p, uint64_t epoch, const struct tb_instrument *entry,
                      const struct tb_record records[2]);

/*
 * candles_past_meet: all that an input had when this life began was read (or what is left of it, where its
 * journal is retained for less long than the output's). Candles that are still behind the output by whole
 * plays were made of what is gone: for how many markets is that so? Theirs are new from here on.
 */
uint32_t candles_past_meet(struct candles_past *p, const char *stream);

/* The state as bytes: nothing once all of it is over. load: 0, -EINVAL or -ENOMEM. */
size_t candles_past_save_size(const struct candles_past *p);
void candles_past_save(const struct candles_past *p, void *bytes);
int candles_past_load(struct candles_past *p, const void *bytes, size_t count);

#endif
