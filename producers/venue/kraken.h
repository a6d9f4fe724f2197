/*
 * Kraken, seen from a client: WebSocket v2 at /v2, v1 at /. What they share is in kraken.c: pairs,
 * books proven by their checksum, the last trades and tickers. A recording of v1 is served by
 * either, in its own form (v1 has no trade ids: the i-th trade of a pair in the recording is given
 * the id i); one of v2 is served at /v2 only.
 */
#ifndef TICKBUS_VENUE_KRAKEN_H
#define TICKBUS_VENUE_KRAKEN_H

#include "producers/adapter/kraken_json.h"
#include "protocol.h"

#define KRAKEN_TRADES_KEPT 50 /* what a snapshot of v2 has */
#define KRAKEN_TRADE_BYTES 320
#define KRAKEN_TICKER_BYTES 1024
#define KRAKEN_ID_BYTES 16

enum kraken_channel {
    KRAKEN_CHANNEL_BOOK,
    KRAKEN_CHANNEL_TRADE,
    KRAKEN_CHANNEL_TICKER,
    KRAKEN_CHANNELS
};

struct kraken_pair {
    char v1[TB_SYMBOL_BYTES]; /* XBT/USD */
    const char *v2;           /* BTC/USD */
    uint8_t digits[2];        /* behind the points of prices and sizes, in the venue's text */
    uint32_t depth;           /* of the recorded book */
    struct tb_book book;
    bool begun;                                /* its snapshot was played */
    tb_ns book_time;                           /* of its last change */
    char id[KRAKEN_CHANNELS][KRAKEN_ID_BYTES]; /* v1's numbers of channels */
    /* The last trades, each an object of v2; the newest is at (trade_count - 1) %
     * KRAKEN_TRADES_KEPT. */
    char trade[KRAKEN_TRADES_KEPT][KRAKEN_TRADE_BYTES];
    uint64_t trade_count;
    char ticker[2][KRAKEN_TICKER_BYTES]; /* the last message: of v2, of v1 */
};

struct protocol {
    bool v1; /* the recording is of v1 */
    size_t count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    struct kraken_pair pair[ADAPTER_MARKETS_MAX];
    struct kraken_decoder *decoder;
    struct protocol_text made; /* the frame at hand, in v2's form */
};

static inline uint32_t kraken_stream(size_t pair, enum kraken_channel channel)
{
    return (uint32_t)(pair * KRAKEN_CHANNELS) + channel;
}

/* kraken_find: by either name; -1: no such pair in the recording. */
int kraken_find(const struct protocol *p, struct json_span name);
/* kraken_number: a price (0) or size (1) with the venue's digits; NUL-ended. */
void kraken_number(const struct kraken_pair *pair, int64_t mantissa, unsigned which, char out[]);

/* ---- kraken_v2.c ---- */

/* kraken_v2_translate: a recorded message of v1 in v2's form. */
void kraken_v2_translate(struct protocol *p, const struct kraken_message *m, size_t pair,
                         struct json_span text, struct protocol_text *out);
void kraken_v2_trade(const struct kraken_pair *pair, const struct kraken_item *item, bool market,
                     uint64_t id, struct protocol_text *out);
void kraken_v2_greet(struct protocol_text *out);
void kraken_v2_message(struct protocol *p, struct protocol_client *c, struct json_span text,
                       tb_ns now, struct protocol_text *out);

/* ---- kraken_v1.c ---- */

void kraken_v1_greet(struct protocol_text *out);
void kraken_v1_message(struct protocol *p, struct protocol_client *c, struct json_span text,
                       struct protocol_text *out);

#endif
