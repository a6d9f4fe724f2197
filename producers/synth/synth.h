/*
 * Made-up market data that needs no memory: record k is a pure function of the parameters and k, so
 * a producer that was killed goes on exactly where it was, and a test knows what every record must
 * be.
 *
 * Records come in blocks, each of one symbol, symbols in turn. A block is `trades` trades and
 * `quotes` quotes, mixed, and then, if `levels` is not 0, one book event: a TB_CLEAR and the levels
 * of a snapshot, bids and asks in turn, around the quote of that moment. Trade ids of a symbol are
 * consecutive from 1. Books are never crossed, trades are at the bid or the ask.
 *
 * Prices are fractal noise: between random lattice points, at several distances, with amplitudes
 * that grow with the root of the distance, as those of a random walk do; and they do not run away.
 */
#ifndef TICKBUS_PRODUCERS_SYNTH_H
#define TICKBUS_PRODUCERS_SYNTH_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#define SYNTH_SYMBOLS_MAX 1000
#define SYNTH_PRICE_EXP (-2)
#define SYNTH_SIZE_EXP (-5)

struct synth {
    uint64_t seed;
    uint32_t symbols; /* 1 .. SYNTH_SYMBOLS_MAX */
    uint32_t trades;  /* in a block; trades + quotes + levels is not 0 */
    uint32_t quotes;
    uint32_t levels; /* records of the book event; 0, or 2 or more */
    uint64_t rate;   /* records per second: event times are (k - 1) / rate after start ... */
    tb_ns step;      /* ... or, if this is not 0, (k - 1) * step */
    tb_ns start;
};

/*
 * synth_tag: a number, not 0, for what this plays: a ring that was filled by other parameters is
 * not continued. With `live` the time of the first record and the pace may differ.
 */
uint64_t synth_tag(const struct synth *s, bool live);

/* synth_time: the event time of record k, relative to start. Not rounded on the way. */
tb_ns synth_time(const struct synth *s, uint64_t k);

/*
 * synth_record: record k, from 1. `instrument` is the number of the symbol from 1, which is its id
 * in a table that was filled by synth_instrument in order. ts_recv equals ts_event.
 */
void synth_record(const struct synth *s, uint64_t k, struct tb_record *out_record);

/* synth_instrument: the table entry of a symbol, number from 1: "SYN1/USDT" of venue "synth". */
void synth_instrument(uint32_t number, const char *stream, struct tb_instrument *out_entry);

#endif
