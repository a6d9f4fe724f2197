/*
 * One message of Binance spot, decoded: which kind it is, and its fields as numbers and as pieces of
 * the message's own text. C on the outside, simdjson On-Demand behind it; no exception comes out, and
 * nothing is allocated for a message below BINANCE_MESSAGE_BYTES.
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_JSON_H
#define TICKBUS_PRODUCERS_BINANCE_JSON_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

/* Levels of one side in one message: three times what the venue's deepest snapshot has. Fuzzing makes it
 * small, to come to the limits. */
#ifndef BINANCE_LEVELS_MAX
#define BINANCE_LEVELS_MAX 16384
#endif
/* Memory is set aside for messages of this size; a longer one makes it grow, up to the maximum. */
#ifndef BINANCE_MESSAGE_BYTES
#define BINANCE_MESSAGE_BYTES (1U << 20)
#endif
#define BINANCE_MESSAGE_MAX (32U << 20)

enum binance_kind {
    BINANCE_BAD,      /* no JSON, or a field that is needed is absent, of the wrong type or out of range */
    BINANCE_UNKNOWN,  /* well-formed, of a kind that is not taken */
    BINANCE_IGNORED,  /* known, and of no use here: klines, 24 h statistics */
    BINANCE_TRADE,
    BINANCE_AGG_TRADE,
    BINANCE_QUOTE,
    BINANCE_DEPTH,
    BINANCE_SNAPSHOT, /* REST answer or partial depth stream: all levels, no time */
    BINANCE_ACK,
    BINANCE_REFUSED,  /* the venue did not like what it was asked */
    BINANCE_SHUTDOWN,
};

/* A piece of the message; not ended by NUL. */
struct binance_text {
    const char *at;
    uint32_t length;
};

struct binance_level {
    struct binance_text price;
    struct binance_text size;
};

struct binance_levels {
    const struct binance_level *level;
    uint32_t count;
};

struct binance_message {
    enum binance_kind kind;
    struct binance_text stream; /* of a combined message, else empty */
    struct binance_text symbol; /* the venue's, upper case; of partial depth: as in the stream's name */
    struct binance_text price;  /* trades */
    struct binance_text size;
    struct binance_text order_kind; /* trades, "X"; empty: not said */
    struct binance_text bid_price;  /* quotes */
    struct binance_text bid_size;
    struct binance_text ask_price;
    struct binance_text ask_size;
    struct binance_levels bids; /* depth and snapshots */
    struct binance_levels asks;
    int64_t id;          /* trades: t or a; quotes, depth: u; snapshots: lastUpdateId */
    int64_t first;       /* aggregated trades: f; depth: U */
    int64_t last;        /* aggregated trades: l */
    int64_t event_time;  /* E, as sent; 0 if there is none */
    int64_t trade_time;  /* T, as sent */
    bool buyer_is_maker; /* trades: m */
};

struct binance_market_text { /* one market of a listing */
    struct binance_text symbol, base, quote, tick_size, step_size;
};

struct binance_decoder;

struct binance_decoder *binance_decoder_create(void);
void binance_decoder_destroy(struct binance_decoder *d);

/* The message holds pieces of bytes[], and of the decoder until its next use. bytes[] is padded. */
void binance_decode(struct binance_decoder *d, const char *bytes, size_t length,
                    struct binance_message *out_message);

/* exchangeInfo: each market in it. Number of markets, or -EBADMSG. */
int binance_decode_listing(struct binance_decoder *d, const char *bytes, size_t length,
                           void (*each)(void *context, const struct binance_market_text *market),
                           void *context);

TB_EXTERN_END

#endif
