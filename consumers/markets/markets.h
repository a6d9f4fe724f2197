/*
 * Which streams of a bus carry which markets: for tools that are given a symbol. Reads only. A
 * market is where it was made: where candles, say, mirror it beside its feed, only the feed's
 * counts.
 */
#ifndef TICKBUS_CONSUMERS_MARKETS_H
#define TICKBUS_CONSUMERS_MARKETS_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/reader.h>

struct market {
    char stream[TB_STREAM_BYTES];
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    char origin[TB_STREAM_BYTES]; /* where its producer read it: another stream, or the same */
    uint16_t id;                  /* tb_instrument.market */
    struct tb_producer producer;
};

struct markets {
    struct market *item; /* by stream, in the order of their tables */
    size_t count;
    size_t unreadable; /* streams that could not be opened */
};

/* markets_find: all of a bus. 0 or -errno. markets_free accepts all zero. */
int markets_find(const char *bus_dir, struct markets *out, struct tb_error *err);
void markets_free(struct markets *m);

/* markets_match: is it of this stream, venue and symbol? NULL is any. */
bool markets_match(const struct market *m, const char *stream, const char *venue,
                   const char *symbol);

/*
 * markets_near: for a person whose symbol is none: up to four that may be meant, "BTC/USDT
 * (binance)", by spelling, then by base currency. Empty if there is nothing near.
 */
#define MARKETS_NEAR_BYTES 320
const char *markets_near(const struct markets *m, const char *symbol, char out[MARKETS_NEAR_BYTES]);

#endif
