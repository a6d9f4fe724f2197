/*
 * The record: 64 bytes, one cache line, one type tag. Everything on a bus is one of these.
 *
 *   offset  0        8          16        24          26    27     28                 32 .. 63
 *          +--------+----------+---------+-----------+-----+------+------------------+----------+
 *          | seq    | ts_event | ts_recv | instrument| type| flags| publish_delta_ns | body     |
 *          | u64    | i64 ns   | i64 ns  | u16       | u8  | u8   | u32 ns           | 32 bytes |
 *          +--------+----------+---------+-----------+-----+------+------------------+----------+
 *
 * All integers are little-endian. There is no padding whose value is not zero. Types, flags and
 * codes that a reader does not know are newer than it: pass over the record, ignore the flag.
 *
 * Prices, sizes and what is made of them are int64 mantissas: value = mantissa * 10^exp, where exp
 * is `price_exp` or `size_exp` of the record's instrument (instrument.h). The instrument's table
 * entry never changes; when a venue refines its tick a new entry is appended and new records name
 * it.
 *
 * Records stand in the order of publication. Their times need not rise: clocks are set, and book
 * changes that were kept while a snapshot was awaited follow it with their own, older times.
 *
 * The flag values are those of Databento's DBN (github.com/databento/dbn, flags.rs), so that
 * converters are trivial. Sides and actions are DBN's letters.
 *
 * One venue event may be many records (a depth event with forty levels is forty). They stand
 * together, and the last one carries TB_F_LAST: act on a book only then. Trades, quotes, gaps,
 * status records and alerts are events of one record.
 */
#ifndef TICKBUS_RECORD_H
#define TICKBUS_RECORD_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

#define TB_RECORD_BYTES 64

enum tb_record_type {
    TB_TRADE = 1,  /* one trade of the venue */
    TB_QUOTE = 2,  /* best bid and ask, as the venue sent them */
    TB_LEVEL = 3,  /* one price level of the book is now this size; 0 removes it */
    TB_CLEAR = 4,  /* the book of this instrument is empty. With F_SNAPSHOT: its levels follow, the
                    * last with F_LAST (an empty book's clear has it itself). Without: nothing is
                    * known of it until a clear with F_SNAPSHOT */
    TB_GAP = 5,    /* the venue's own numbering skipped, or we were not connected. It stands before
                    * the first record behind the hole; no id missing, no gap (quotes: always
                    * one) */
    TB_STATUS = 6, /* a connection or stream changed its state */
    TB_ALERT = 7,  /* an alert changed its state; ts_event and ts_recv are the stream's time then */
    TB_EVENT = 8,  /* a strategy's event; the body is the strategy's */

    /* A candle is two records that follow each other: TB_CANDLE + timeframe (prices), then
     * TB_CANDLE_VOLUME + timeframe (volumes, F_LAST). timeframe is an enum tb_timeframe (candle.h).
     * Both have the same instrument, ts_event (start), ts_recv (of the last trade) and F_FORMING. A
     * candle of the same market, timeframe and start replaces the one before; without F_FORMING it
     * is final. */
    TB_CANDLE = 0x20,
    TB_CANDLE_VOLUME = 0x30,
};

enum tb_flag {
    TB_F_LAST = 0x80,           /* last record of one event: the state is consistent now */
    TB_F_TOB = 0x40,            /* top of book: on every quote */
    TB_F_SNAPSHOT = 0x20,       /* from a snapshot, not from a change */
    TB_F_MBP = 0x10,            /* an aggregated price level */
    TB_F_BAD_TS_RECV = 0x08,    /* ts_recv is not to be trusted; no producer of this tree says so */
    TB_F_MAYBE_BAD_BOOK = 0x04, /* book records, their gaps and UNSYNCED: set from a gap until the
                                 * next snapshot is complete, whose last record is without it */
    TB_F_FORMING = 0x02,        /* candles only: the bucket is still open (DBN: publisher
                                 * specific) */
};

/* 'B' bid or buyer, 'A' ask or seller, 'N' none or unknown. Of a trade: the aggressor (taker). */
enum tb_side { TB_BUY = 'B', TB_SELL = 'A', TB_NO_SIDE = 'N' };

/* What a record did to the book. */
enum tb_action {
    TB_ADD = 'A',
    TB_MODIFY = 'M',
    TB_REMOVE = 'C',
    TB_TRADED = 'T',
    TB_NO_ACTION = 'N'
};

enum tb_gap_reason {
    TB_GAP_SEQUENCE = 1,  /* ids of a live connection skipped */
    TB_GAP_RECONNECT = 2, /* the connection was lost meanwhile */
    TB_GAP_RESTART = 3,   /* the producer itself was away */
    TB_GAP_BAD_FRAME = 4, /* a frame could not be read, so its content is missing */
    TB_GAP_CHECKSUM = 5,  /* the venue's checksum does not match our book */
    TB_GAP_OVERFLOW = 6,  /* a bounded buffer was full; no producer of this tree says so */
    TB_GAP_OVERRUN = 7,   /* the producer of a derived stream was lapped on its input */
};

/*
 * Which of a venue's numberings a gap is in. INPUT: of a derived stream (TB_GAP_OVERRUN, instrument
 * 0): from and to are sequences of an input; which one is not said.
 */
enum tb_channel {
    TB_CHANNEL_TRADES = 1,
    TB_CHANNEL_BOOK = 2,
    TB_CHANNEL_QUOTES = 3,
    TB_CHANNEL_INPUT = 4
};

enum tb_status_code {
    /* Instrument 0 unless said; detail is 0 unless said. */
    TB_STATUS_CONNECTED = 1,    /* without DISCONNECTED before it: by plan, another connection took
                              * over and nothing is missing */
    TB_STATUS_DISCONNECTED = 2, /* detail: the WebSocket close code, or a negative errno */
    TB_STATUS_SYNCED = 3,       /* an instrument's book joined its snapshot, which precedes this
                                 * record; detail: its update id */
    TB_STATUS_UNSYNCED = 4,     /* an instrument's book is not to be used; detail: its last update
                                 * id */
    TB_STATUS_MAINTENANCE = 5,  /* the venue announced an interruption */
    TB_STATUS_END = 6,          /* a feed or recording is complete. Not all finite producers say so:
                                 * TB_STREAM_DONE (ring.h) is the end */
    TB_STATUS_REFUSED = 7,      /* the venue refused what was asked for an instrument; detail: which
                                 * channel (enum tb_channel). Instrument 0: it does not say of
                                 * what */
};

/* A story is [pending] -> firing -> resolved, or pending -> resolved: it never fired. */
enum tb_alert_state { TB_ALERT_PENDING = 1, TB_ALERT_FIRING = 2, TB_ALERT_RESOLVED = 3 };
enum tb_severity { TB_SEVERITY_INFO = 1, TB_SEVERITY_WARNING = 2, TB_SEVERITY_CRITICAL = 3 };

struct tb_trade {
    int64_t price;
    int64_t size;      /* of the base currency; above 0 */
    uint64_t trade_id; /* the venue's, or a 64-bit hash of it where it is no integer. Lower than the
                         * one before, and perhaps within a gap that was told, if the venue was late */
    uint8_t side;      /* enum tb_side: the taker's */
    uint8_t action;    /* TB_TRADED */
    uint16_t count;    /* venue trades merged into this one, saturating; 1 unless the venue
                         * aggregates */
    uint32_t venue_seq; /* low 32 bits of the venue's own sequence (bybit, okx), 0 if it has none */
};

/* A side whose price and size are 0 is empty. */
struct tb_quote {
    int64_t bid_price;
    int64_t ask_price;
    int64_t bid_size;
    int64_t ask_size;
};

struct tb_level {
    int64_t price;
    int64_t size;       /* absolute; 0 removes the level */
    uint64_t update_id; /* the venue's, of the event this belongs to; 0 if it has none. Ids skip: an
                         * event that changes no level makes no record */
    uint8_t side;       /* TB_BUY is a bid, TB_SELL an ask */
    uint8_t action;     /* TB_ADD, TB_MODIFY or TB_REMOVE, as seen by the producer's own book */
    uint16_t level;     /* 0: not given */
    uint32_t orders;    /* 0: not given */
};

struct tb_candle_prices {
    int64_t open;
    int64_t high;
    int64_t low;
    int64_t close;
};

/* turnover = sum(price * size) in exponent price_exp + size_exp, a 96-bit two's complement
 * number. */
struct tb_candle_volume {
    int64_t volume;
    uint64_t turnover_low;
    uint32_t trades;
    int32_t turnover_high;
    int64_t taker_buy_volume;
};

struct tb_gap {
    uint64_t from;    /* first id that is missing; 0 if the ids do not tell */
    uint64_t to;      /* last id that is missing; 0 as from */
    uint32_t reason;  /* enum tb_gap_reason */
    uint32_t channel; /* enum tb_channel */
    uint64_t missing; /* to - from + 1; 0 if the ids do not tell */
};

struct tb_status {
    int64_t detail;
    int64_t reserved[2];
    uint32_t code; /* enum tb_status_code */
    uint32_t pid;  /* of the process that says it; 0 not given (a replay makes the same bytes each
                    * time) */
};

/* The rule's name is the `label` of the record's instrument in the stream's table. */
struct tb_alert {
    int64_t value;     /* what was measured, mantissa in value_exp, saturating; times are in
                        * seconds */
    int64_t threshold; /* what it was held against, same exponent */
    tb_ns since;       /* stream time at which the condition became true */
    uint8_t state;     /* enum tb_alert_state */
    uint8_t severity;  /* enum tb_severity */
    int8_t value_exp;  /* -18 .. 0 */
    uint8_t reserved;
    uint32_t alert_id; /* number of this story within its rule and market, from 1 */
};

struct tb_record {
    tb_seq seq;
    tb_ns ts_event;      /* venue's clock; a candle's start; an alert's stream time; 0 unknown:
                          * gaps, status, book snapshots by REST, quotes of Binance spot */
    tb_ns ts_recv;       /* our wall clock at the socket (the kernel's time stamp, where it gives
                          * one: counter frames_kernel_time), or the capture's; 0 unknown */
    uint16_t instrument; /* id in the stream's instrument table; 0: the whole stream */
    uint8_t type;        /* enum tb_record_type */
    uint8_t flags;       /* enum tb_flag */
    uint32_t publish_delta_ns; /* publish time - ts_recv, saturating at 0 and UINT32_MAX */
    union {
        struct tb_trade trade;
        struct tb_quote quote;
        struct tb_level level; /* TB_CLEAR too: update_id is set, the rest is 0 */
        struct tb_candle_prices candle;
        struct tb_candle_volume candle_volume;
        struct tb_gap gap;
        struct tb_status status;
        struct tb_alert alert;
        uint64_t body[4];
    };
};

TB_STATIC_ASSERT(sizeof(struct tb_record) == TB_RECORD_BYTES, "a record is one cache line");
TB_STATIC_ASSERT(offsetof(struct tb_record, ts_event) == 8, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, ts_recv) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, instrument) == 24, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, type) == 26, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, flags) == 27, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, publish_delta_ns) == 28, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_record, trade) == 32, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_trade) == 32, "a body is half a line");
TB_STATIC_ASSERT(offsetof(struct tb_trade, trade_id) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_trade, side) == 24, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_trade, venue_seq) == 28, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_quote) == 32, "a body is half a line");
TB_STATIC_ASSERT(sizeof(struct tb_level) == 32, "a body is half a line");
TB_STATIC_ASSERT(offsetof(struct tb_level, update_id) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_level, side) == 24, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_level, orders) == 28, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_candle_prices) == 32, "a body is half a line");
TB_STATIC_ASSERT(sizeof(struct tb_candle_volume) == 32, "a body is half a line");
TB_STATIC_ASSERT(offsetof(struct tb_candle_volume, trades) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_candle_volume, taker_buy_volume) == 24, "layout");
TB_STATIC_ASSERT(sizeof(struct tb_gap) == 32, "a body is half a line");
TB_STATIC_ASSERT(sizeof(struct tb_status) == 32, "a body is half a line");
TB_STATIC_ASSERT(sizeof(struct tb_alert) == 32, "a body is half a line");
TB_STATIC_ASSERT(offsetof(struct tb_alert, state) == 24, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_alert, alert_id) == 28, "layout");

/* tb_record_is_candle: prices or volumes of a candle of any timeframe. */
static inline bool tb_record_is_candle(const struct tb_record *r)
{
    return (r->type & 0xF8) == TB_CANDLE || (r->type & 0xF8) == TB_CANDLE_VOLUME;
}

/* tb_record_timeframe: the enum tb_timeframe of a candle record. */
static inline unsigned tb_record_timeframe(const struct tb_record *r)
{
    return r->type & 7U;
}

/* tb_publish_delta: what belongs in publish_delta_ns: 0 too if ts_recv is unknown; UINT32_MAX: 4.29
 * s or more. */
static inline uint32_t tb_publish_delta(tb_ns now, tb_ns ts_recv)
{
    if (ts_recv == 0 || now <= ts_recv)
        return 0;
    return (uint64_t)(now - ts_recv) > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - ts_recv);
}

/* tb_record_type_name: "trade", "quote", "level", "clear", "gap", "status", "alert", "event",
 * "candle", "candle_volume"; "unknown" for a type that this build does not know. */
const char *tb_record_type_name(uint8_t type);

/* tb_record_type_parse: the reverse. Returns the type, or -EINVAL. */
int tb_record_type_parse(const char *name);

const char *tb_gap_reason_name(uint32_t reason);
const char *tb_channel_name(uint32_t channel);
const char *tb_status_name(uint32_t code);
const char *tb_alert_state_name(uint8_t state);
const char *tb_severity_name(uint8_t severity);

TB_EXTERN_END

#endif
