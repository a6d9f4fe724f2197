/*
 * One JSON message of Binance spot, USD-M futures or MEXC, decoded: which kind it is, and its
 * fields as numbers and as pieces of the message's own text. C on the outside, json.hpp behind it;
 * nothing is allocated for a message below ADAPTER_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_JSON_H
#define TICKBUS_PRODUCERS_BINANCE_JSON_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/*
 * The product line: futures have `pu` in each depth event, times in quotes and snapshots. MEXC's
 * JSON imitates spot's; its listing has numbers of decimals instead of filters.
 */
enum binance_line { BINANCE_SPOT, BINANCE_USDM, BINANCE_LIKE_MEXC };

enum binance_kind {
    BINANCE_BAD,     /* no JSON, or a field that is needed is absent, of the wrong type or out of
                  * range */
    BINANCE_UNKNOWN, /* well-formed, of a kind that is not taken */
    BINANCE_IGNORED, /* known, and of no use here: klines, 24 h statistics */
    BINANCE_TRADE,
    BINANCE_AGG_TRADE,
    BINANCE_QUOTE,
    BINANCE_DEPTH,
    BINANCE_SNAPSHOT, /* REST answer; spot: a whole small book too */
    BINANCE_PARTIAL,  /* futures: a whole small book */
    BINANCE_ACK,
    BINANCE_REFUSED, /* the venue did not like what it was asked */
    BINANCE_SHUTDOWN,
};

struct binance_message {
    enum binance_kind kind;
    struct adapter_text stream; /* of a combined message, else empty */
    struct adapter_text
        symbol; /* the venue's, upper case; of partial depth: as in the stream's name */
    struct adapter_text price; /* trades */
    struct adapter_text size;
    struct adapter_text order_kind; /* trades, "X"; empty: not said */
    struct adapter_text answer;     /* what has a code: "msg" */
    struct adapter_text bid_price;  /* quotes */
    struct adapter_text bid_size;
    struct adapter_text ask_price;
    struct adapter_text ask_size;
    struct adapter_levels bids; /* depth and snapshots */
    struct adapter_levels asks;
    int64_t id;          /* trades: t or a; quotes, depth: u; snapshots: lastUpdateId; answers: the
                          * request's, 0 if it has none */
    int64_t first;       /* aggregated trades: f; depth: U, of futures pu + 1 */
    int64_t last;        /* aggregated trades: l */
    int64_t event_time;  /* E, as sent; 0 if there is none */
    int64_t trade_time;  /* T, as sent */
    bool buyer_is_maker; /* trades: m */
};

struct binance_decoder;

struct binance_decoder *binance_decoder_create(enum binance_line line);
void binance_decoder_destroy(struct binance_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void binance_decode(struct binance_decoder *d, const char *bytes, size_t length,
                    struct binance_message *out_message);

/* exchangeInfo: each market in it. Number of markets, -EBADMSG, or -ENOMEM without a decoder. */
int binance_decode_listing(struct binance_decoder *d, const char *bytes, size_t length,
                           void (*each)(void *context, const struct adapter_market_text *market),
                           void *context);

TB_EXTERN_END

#endif
