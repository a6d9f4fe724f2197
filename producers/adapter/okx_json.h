/*
 * One message of OKX v5 (and OKCoin, which speaks the same), decoded: which kind it is, and a list
 * of items whose fields are pieces of the message's own text. C on the outside, json.hpp behind it;
 * nothing is allocated for a message below ADAPTER_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_OKX_JSON_H
#define TICKBUS_PRODUCERS_OKX_JSON_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/* Trades of one message. */
#ifndef OKX_ITEMS_MAX
#define OKX_ITEMS_MAX 1024
#endif

enum okx_kind {
    OKX_BAD, /* no JSON, or a field that is needed is absent, of the wrong type or out of range */
    OKX_UNKNOWN, /* well-formed, of a kind that is not taken */
    OKX_IGNORED, /* known, and of no use here: candles, counts of connections */
    OKX_TRADES,
    OKX_TICKERS, /* best bid and ask, each may be empty */
    OKX_TOP,     /* bbo-tbt: books of one level */
    OKX_BOOK,
    OKX_REST_BOOK, /* an answer: all levels, no instrument */
    OKX_SUBSCRIBED,
    OKX_UNSUBSCRIBED,
    OKX_REFUSED,
    OKX_NOTICE, /* the connection will be closed for an upgrade */
    OKX_PONG,
};

struct okx_item {
    struct adapter_text id; /* trades */
    struct adapter_text price;
    struct adapter_text size;
    struct adapter_text count;     /* empty: not said */
    struct adapter_text bid_price; /* tickers */
    struct adapter_text bid_size;
    struct adapter_text ask_price;
    struct adapter_text ask_size;
    struct adapter_levels bids; /* books */
    struct adapter_levels asks;
    struct adapter_text time; /* ms */
    int64_t seq;
    int64_t prev_seq;
    int64_t checksum;
    uint8_t side; /* trades: enum tb_side, the taker's */
    bool has_seq; /* books: both ids; other items and answers: seq */
};

struct okx_message {
    enum okx_kind kind;
    struct adapter_text channel; /* of `arg`; of a bad one too, as far as it tells */
    struct adapter_text symbol;
    bool snapshot; /* books */
    const struct okx_item *item;
    uint32_t count;
    struct adapter_text request; /* answers: id, may be empty */
    struct adapter_text reason;  /* answers: msg */
};

struct okx_decoder;

struct okx_decoder *okx_decoder_create(void);
void okx_decoder_destroy(struct okx_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void okx_decode(struct okx_decoder *d, const char *bytes, size_t length,
                struct okx_message *out_message);

/* public/instruments: each market in it; base and quote are empty. Number of markets, -EBADMSG, or -ENOMEM without
 * a decoder. */
int okx_decode_listing(struct okx_decoder *d, const char *bytes, size_t length,
                       void (*each)(void *context, const struct adapter_market_text *market),
                       void *context);

TB_EXTERN_END

#endif
