/*
 * One message of Bybit v5's public WebSocket, decoded: which kind it is, and its fields as numbers
 * and as pieces of the message's own text. C on the outside, json.hpp behind it; nothing
 * is allocated for a message below ADAPTER_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_BYBIT_JSON_H
#define TICKBUS_PRODUCERS_BYBIT_JSON_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/* Trades of one message: the venue sends up to 1024. */
#ifndef BYBIT_TRADES_MAX
#define BYBIT_TRADES_MAX 4096
#endif

enum bybit_kind {
    BYBIT_BAD, /* no JSON, or a field that is needed is absent, of the wrong type or out of range */
    BYBIT_UNKNOWN, /* well-formed, of a kind that is not taken */
    BYBIT_IGNORED, /* known, and of no use here: klines, 24 h statistics */
    BYBIT_TRADES,
    BYBIT_BOOK, /* depth 1 is the best bid and ask */
    BYBIT_SUBSCRIBED,
    BYBIT_UNSUBSCRIBED,
    BYBIT_REFUSED,
    BYBIT_PONG,
    BYBIT_STATUS, /* system.status: the venue announces maintenance */
};

struct bybit_trade {
    struct adapter_text id; /* spot: a number; contracts: a UUID */
    struct adapter_text price;
    struct adapter_text size;
    int64_t time; /* ms */
    int64_t seq;
    uint8_t side; /* enum tb_side, the taker's */
};

struct bybit_message {
    enum bybit_kind kind;
    struct adapter_text topic;  /* "orderbook.200.BTCUSDT"; of a bad one too, as far as it tells */
    struct adapter_text symbol; /* the topic's last part */
    uint32_t depth;             /* books: 200 */
    bool snapshot;
    struct adapter_levels bids;
    struct adapter_levels asks;
    int64_t update_id;
    int64_t time; /* ms: the matching engine's where it is said, else of the message */
    const struct bybit_trade *trade;
    uint32_t trade_count;
    struct adapter_text request; /* answers: req_id, may be empty */
    struct adapter_text reason;  /* answers: ret_msg */
};

struct bybit_decoder;

struct bybit_decoder *bybit_decoder_create(void);
void bybit_decoder_destroy(struct bybit_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void bybit_decode(struct bybit_decoder *d, const char *bytes, size_t length,
                  struct bybit_message *out_message);

/* instruments-info: each market in it. Number of markets, -EBADMSG, or -ENOMEM without a decoder. */
int bybit_decode_listing(struct bybit_decoder *d, const char *bytes, size_t length,
                         void (*each)(void *context, const struct adapter_market_text *market),
                         void *context);

TB_EXTERN_END

#endif
