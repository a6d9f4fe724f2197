/*
 * Coinbase's two feeds of one market, seen from a client: Exchange (a message type for each thing)
 * and Advanced Trade (envelopes, numbered for each connection). What they share is in coinbase.c:
 * products, books that begin on the socket, the last trades. A recording of Exchange is served by
 * either, in its own form.
 */
#ifndef TICKBUS_VENUE_COINBASE_H
#define TICKBUS_VENUE_COINBASE_H

#include "protocol.h"

#define COINBASE_BOOK_DEPTH 50000 /* levels kept a side: the venue sends whole books */
#define COINBASE_TRADES_KEPT 50
#define COINBASE_TRADE_BYTES 512

enum coinbase_channel { COINBASE_LEVEL2, COINBASE_MATCHES, COINBASE_TICKER, COINBASE_CHANNELS };

struct coinbase_product {
    struct tb_book book;
    bool begun; /* the book's snapshot was played */
    /* The last matches as they were recorded; the newest is at (trade_count - 1) %
     * COINBASE_TRADES_KEPT. */
    char trade[COINBASE_TRADES_KEPT][COINBASE_TRADE_BYTES];
    uint64_t trade_count;
};

/* What a recorded message is. */
struct coinbase_message {
    bool advanced; /* an envelope */
    enum coinbase_channel channel;
    bool past; /* a snapshot, a last_match */
    size_t market;
    struct json_span text;
    tb_ns ts_recv;
};

struct coinbase_dialect {
    struct protocol_rules rules;
    bool envelopes; /* recorded ones can be served as they are */
    /* A recorded message of Exchange in this feed's form; NULL: it is that. */
    void (*translate)(const struct protocol *p, const struct coinbase_message *m,
                      struct protocol_text *out);
    void (*message)(struct protocol *p, struct protocol_client *c, struct json_span text, tb_ns now,
                    struct protocol_text *out);
    void (*beat)(const struct protocol *p, struct protocol_client *c, tb_ns now,
                 struct protocol_text *out);
    int (*get)(const struct protocol *p, const char *path, const char *query, tb_ns now,
               struct protocol_text *out);
};
extern const struct coinbase_dialect coinbase_exchange, coinbase_advanced;

struct protocol {
    const struct coinbase_dialect *dialect;
    size_t count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    struct coinbase_product product[ADAPTER_MARKETS_MAX];
    struct protocol_text made; /* the frame at hand, in the dialect's form */
};

static inline uint32_t coinbase_stream(size_t market, enum coinbase_channel channel)
{
    return (uint32_t)(market * COINBASE_CHANNELS) + channel;
}

/* coinbase_find: -1: no such product in the recording. */
int coinbase_find(const struct protocol *p, struct json_span raw);
/* coinbase_trade: the i-th newest; empty if there are not so many. */
struct json_span coinbase_trade(const struct protocol *p, size_t market, size_t i);
/* coinbase_level: one level's price and size, as text. */
void coinbase_level(const struct tb_book *book, const struct tb_book_level *level, char out_price[],
                    char out_size[]);

#endif
