/*
 * One message of Coinbase, decoded: of the Exchange feed (a flat object with a type) or of Advanced
 * Trade (an envelope with a channel and events). A message is a list of items, each of one product;
 * numbers are the venue's own text. C on the outside, nothing is allocated for a message below
 * COINBASE_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_COINBASE_JSON_H
#define TICKBUS_PRODUCERS_COINBASE_JSON_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/* Levels of one side in one message: a snapshot is the whole book, 44,000 levels of BTC-USD.
 * Fuzzing makes it small. */
#ifndef COINBASE_LEVELS_MAX
#define COINBASE_LEVELS_MAX 65536
#endif
/* Every trade of a message, or every subscription of an acknowledgement, is an item. */
#ifndef COINBASE_ITEMS_MAX
#define COINBASE_ITEMS_MAX 4096
#endif
#ifndef COINBASE_MESSAGE_BYTES
#define COINBASE_MESSAGE_BYTES (8U << 20)
#endif

enum coinbase_kind {
    COINBASE_BAD,     /* no JSON, or a field that is needed is absent, of the wrong type or out of
                   * range */
    COINBASE_UNKNOWN, /* well-formed, of a kind that is not taken */
    COINBASE_IGNORED, /* known, and of no use here: candles, status of products */
    COINBASE_TRADES,
    COINBASE_QUOTES,
    COINBASE_BOOK, /* changes and snapshots */
    COINBASE_HEARTBEAT,
    COINBASE_SUBSCRIBED, /* all subscriptions there are now: symbol and channel of each */
    COINBASE_REFUSED,
};

struct coinbase_item {
    struct adapter_text symbol;
    struct adapter_text channel; /* subscriptions */
    struct adapter_text price;   /* trades */
    struct adapter_text size;
    struct adapter_text bid_price; /* quotes; empty where the venue does not say it */
    struct adapter_text bid_size;
    struct adapter_text ask_price;
    struct adapter_text ask_size;
    struct adapter_levels bids; /* books */
    struct adapter_levels asks;
    tb_ns time;   /* 0: not said */
    uint64_t id;  /* trades; heartbeats of the Exchange: the last trade's */
    uint8_t side; /* trades: enum tb_side, the taker's (the venue sends the maker's) */
    bool has_id;
    bool past; /* a snapshot, or trades before the subscription */
};

struct coinbase_message {
    enum coinbase_kind kind;
    bool advanced;
    bool has_sequence; /* Advanced Trade: of every frame of the connection */
    uint64_t sequence;
    struct adapter_text symbol; /* of the first item; of a bad message as far as it tells */
    struct adapter_text reason; /* refusals of the Exchange */
    const struct coinbase_item *item;
    uint32_t count;
};

struct coinbase_decoder;

struct coinbase_decoder *coinbase_decoder_create(void);
void coinbase_decoder_destroy(struct coinbase_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void coinbase_decode(struct coinbase_decoder *d, const char *bytes, size_t length,
                     struct coinbase_message *out_message);

struct coinbase_market_text {
    struct adapter_text id, base, quote, tick_size, step_size;
    struct adapter_text alias; /* the product that this one is another name of; empty: none */
};

/* The products of either listing. Number of markets, -EBADMSG, or -ENOMEM without a decoder. */
int coinbase_decode_listing(struct coinbase_decoder *d, const char *bytes, size_t length,
                            void (*each)(void *context, const struct coinbase_market_text *market),
                            void *context);

TB_EXTERN_END

#endif
