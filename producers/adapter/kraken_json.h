/*
 * One message of Kraken spot, decoded: WebSocket v2 (objects, bare numbers) and v1 (arrays, quoted
 * numbers), which recordings still hold. A message is a list of items, each of one symbol; numbers
 * are the venue's own text. C on the outside, nothing is allocated for a message below
 * KRAKEN_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_KRAKEN_JSON_H
#define TICKBUS_PRODUCERS_KRAKEN_JSON_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/* Levels of one message, both sides: twice what the deepest snapshot has. Fuzzing makes it
 * small. */
#ifndef KRAKEN_LEVELS_MAX
#define KRAKEN_LEVELS_MAX 4096
#endif
#ifndef KRAKEN_ITEMS_MAX
#define KRAKEN_ITEMS_MAX 1024
#endif
#ifndef KRAKEN_MESSAGE_BYTES
#define KRAKEN_MESSAGE_BYTES (1U << 20)
#endif

enum kraken_kind {
    KRAKEN_BAD,     /* no JSON, or a field that is needed is absent, of the wrong type or out of
                 * range */
    KRAKEN_UNKNOWN, /* well-formed, of a kind that is not taken */
    KRAKEN_IGNORED, /* known, and of no use here: heartbeats, candles, spreads */
    KRAKEN_TRADES,
    KRAKEN_QUOTES,
    KRAKEN_BOOK,     /* changes */
    KRAKEN_SNAPSHOT, /* a whole book */
    KRAKEN_SUBSCRIBED,
    KRAKEN_UNSUBSCRIBED,
    KRAKEN_REFUSED,
    KRAKEN_STATUS,
    KRAKEN_PONG,
};

struct kraken_item {
    struct adapter_text symbol;
    struct adapter_text price; /* trades */
    struct adapter_text size;
    struct adapter_text bid_price; /* quotes */
    struct adapter_text bid_size;
    struct adapter_text ask_price;
    struct adapter_text ask_size;
    struct adapter_levels bids; /* books */
    struct adapter_levels asks;
    tb_ns time;  /* 0: not said */
    uint64_t id; /* trades of v2 */
    uint32_t checksum;
    uint8_t side; /* trades: enum tb_side, the taker's */
    bool has_id;
    bool has_checksum;
};

struct kraken_message {
    enum kraken_kind kind;
    struct adapter_text
        symbol; /* of the first item or the acknowledgement; of a bad one as far as it tells */
    struct adapter_text channel; /* "book", "trade", "ticker"; "book-1000" in v1 */
    const struct kraken_item *item;
    uint32_t count;
    uint32_t request; /* req_id of an answer; 0: none */
    uint32_t depth;   /* of a book, where the message says it; else 0 */
    bool past;        /* trades: those before the subscription */
    bool online;      /* status */
};

struct kraken_market_text {   /* one market of a listing */
    struct adapter_text name; /* "XBT/USD" */
    int64_t price_decimals;
    int64_t size_decimals;
};

struct kraken_decoder;

struct kraken_decoder *kraken_decoder_create(void);
void kraken_decoder_destroy(struct kraken_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void kraken_decode(struct kraken_decoder *d, const char *bytes, size_t length,
                   struct kraken_message *out_message);

/* AssetPairs: each market in it. Number of markets, -EBADMSG, or -ENOMEM without a decoder. */
int kraken_decode_listing(struct kraken_decoder *d, const char *bytes, size_t length,
                          void (*each)(void *context, const struct kraken_market_text *market),
                          void *context);

TB_EXTERN_END

#endif
