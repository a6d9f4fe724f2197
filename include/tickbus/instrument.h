/*
 * The instrument table of a stream: what the 16-bit ids of its records mean.
 *
 * Append-only, in the ring file's header pages, written by the stream's producer alone: the entry
 * first, then the count with release order. A reader that loads the count with acquire order may
 * read that many entries, which never change again. Ids start at 1 (entry 0 is id 1); id 0 in a
 * record means the stream as a whole.
 *
 * `market` groups the entries of one (venue, symbol, label): it is the id of the first of them. A
 * venue that refines its tick gets a new entry with the same market, of which at least one exponent
 * is finer. Readers keep their state per market, and rescale it (multiply, exactly) when a finer
 * entry appears; a producer that starts again may name a coarser entry once more. Entries of one
 * market may differ in `stream` alone, where two inputs have the market: there state is per market
 * and stream.
 *
 * An entry is there before the first record that names it. Ids hold for one epoch of one stream.
 */
#ifndef TICKBUS_INSTRUMENT_H
#define TICKBUS_INSTRUMENT_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

#define TB_VENUE_BYTES 24
#define TB_SYMBOL_BYTES 40
#define TB_STREAM_BYTES 32
#define TB_LABEL_BYTES 48

/* 192 bytes, three cache lines; every string ends with NUL and is padded with NUL. */
struct tb_instrument {
    char venue[TB_VENUE_BYTES];   /* ccxt's id: "binance", "coinbaseexchange" */
    char symbol[TB_SYMBOL_BYTES]; /* unified: "BTC/USDT" */
    char raw[TB_SYMBOL_BYTES];    /* the venue's own: "BTCUSDT"; alert streams: a reader, or
                                   * empty */
    char stream[TB_STREAM_BYTES]; /* where this stream's producer read it: its input, or itself */
    char label[TB_LABEL_BYTES];   /* alert streams: the rule's name; else empty */
    int8_t price_exp;             /* -18 .. 0 */
    int8_t size_exp;              /* -18 .. 0 */
    uint16_t market;              /* id of the first entry of this market; its own id if it is the
                                   * first */
    uint32_t reserved0;
};

TB_STATIC_ASSERT(sizeof(struct tb_instrument) == 192, "three cache lines");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, symbol) == 24, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, raw) == 64, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, stream) == 104, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, label) == 136, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, price_exp) == 184, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_instrument, market) == 186, "layout");

#define TB_EXP_MIN (-18)

/*
 * tb_instrument_check: is this entry, which another process wrote, fit to be used? Strings end and
 * have no control characters, symbol and raw pass tb_symbol_check (raw may be empty; venue and
 * symbol too if there is a label), stream is empty or a name, exponents are in range, market is not
 * 0 and not above id.
 */
bool tb_instrument_check(const struct tb_instrument *entry, uint16_t id);

/*
 * tb_symbol_check: may this text name a symbol (1..39 bytes, no control characters, no backslash,
 * no quotes)? tb_name_check: may it name a stream, bus, service or reader:
 * [a-z0-9][a-z0-9_-]{0,30}? A name becomes a file name, of which dots part the pieces; a symbol
 * never does.
 */
bool tb_symbol_check(const char *symbol);
bool tb_name_check(const char *name);

/*
 * tb_venue_trade_ids: how a venue numbers the trades of a market, and so whether one that is
 * missing shows. FREE: ids may skip, are hashes, or number more than is published. EACH: the next
 * record has the next id. MERGED: a record stands for `count` trades, and has the id of the last of
 * them.
 */
enum tb_trade_ids { TB_TRADE_IDS_FREE, TB_TRADE_IDS_EACH, TB_TRADE_IDS_MERGED };
enum tb_trade_ids tb_venue_trade_ids(const char *venue);

TB_EXTERN_END

#endif
