/*
 * What every adapter is made of: its markets by the venue's symbol, exact numbers and their refinement,
 * continuity of trades and quotes, order books as they are published, and the records of the event at
 * hand. A family (binance.c, bybit.c, ...) has a struct whose first member is struct adapter, and for
 * each market a struct of its own at market->own.
 *
 *   frame -> family: decode, whose is it, does it follow -> adapter_* below -> records -> host
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_MARKET_H
#define TICKBUS_PRODUCERS_ADAPTER_MARKET_H

#include <tickbus/book.h>

#include "producers/adapter/adapter.h"
#include "producers/adapter/text.h"

/* Book events kept while a snapshot is awaited: over a minute of a busy market. Fuzzing makes it small. */
#ifndef ADAPTER_PENDING_EVENTS
#define ADAPTER_PENDING_EVENTS 1024
#endif
#define ADAPTER_CHANGES_MAX (2U * ADAPTER_LEVELS_MAX) /* of one message */
#define ADAPTER_SYMBOL_SLOTS (2 * ADAPTER_MARKETS_MAX)

struct adapter_change {
    int64_t price;
    int64_t size;
    uint8_t side;
};

/* One change of a book: ids as the family's rule has them; `last` is published as its update id. */
struct adapter_event {
    uint64_t first;
    uint64_t last;
    tb_ns ts_event;
    tb_ns ts_recv;
    uint32_t change; /* index of its first change, where it is kept */
    uint32_t count;
};

/* Events that came before the snapshot that they follow on. */
struct adapter_pending {
    struct adapter_event *event;
    struct adapter_change *change;
    uint32_t event_count;
    uint32_t change_count;
};

/* A book that was right for so many changes: asking anew did help, however fast the venue's time passes. */
#define ADAPTER_HELPED_CHANGES 50

struct adapter_sync {
    struct tb_book book;
    bool synced; /* the book is the venue's, up to `last` */
    bool has_last;
    bool unsynced_to_say; /* TB_STATUS_UNSYNCED is owed, at the next connection */
    bool suspect;        /* since a gap, until the next snapshot is complete: TB_F_MAYBE_BAD_BOOK */
    uint32_t reason;     /* enum tb_gap_reason of the next jump; 0: TB_GAP_SEQUENCE */
    uint64_t last;       /* newest update id seen, kept over reconnects */
    tb_ns crossed_since; /* ts_recv; 0: not crossed */
    uint32_t window; /* levels a side that the venue keeps, without saying what falls out; 0: all */
    bool asked;      /* a snapshot must come */
    uint8_t asks;    /* how often it was asked for in a row */
    uint8_t applied; /* changes since it was joined, up to ADAPTER_HELPED_CHANGES */
    tb_ns asked_at;  /* when the last request goes out, of ts_recv's clock */
    struct adapter_pending pending; /* where the family keeps events */
};

/* What was asked of the venue for one channel of a market, on this connection. */
enum adapter_ask { ADAPTER_NOT_ASKED, ADAPTER_ASKED, ADAPTER_AGREED, ADAPTER_DENIED };

struct adapter_subscription {
    enum adapter_ask state;
    uint32_t request; /* the last one that asked for it, where the family numbers them */
    tb_ns due;        /* of the answer; 0: from the next look at the clock on */
};

#define ADAPTER_CHANNELS 3 /* trades, quotes, book: the bits of enum adapter_channel */
#define ADAPTER_ANSWER_NS (10 * TB_NS_PER_S) /* from asking to the answer, at the latest */

/*
 * Trades told before, by which a repeat is told from one that comes out of order. Fuzzing fills it soon.
 * `floor`: numbers up to it that are not among them were told, as far as anybody knows.
 */
#ifndef ADAPTER_TRADES_KEPT
#define ADAPTER_TRADES_KEPT 512
#endif

struct adapter_trades {
    uint64_t id[ADAPTER_TRADES_KEPT]; /* the newest is at (count - 1) % ADAPTER_TRADES_KEPT */
    uint64_t count;
    uint64_t floor;
};

struct adapter_market {
    struct adapter_market_config config;
    uint16_t index;
    uint16_t instrument;
    bool has_trade;
    bool has_quote;
    uint32_t trade_reason; /* of the next jump of trade ids; 0: TB_GAP_SEQUENCE */
    uint32_t quote_reason; /* quotes were missed since the last one; 0: none that we know of */
    uint64_t last_trade;   /* the greatest */
    uint64_t last_quote;   /* where the family orders its quotes: the newest */
    struct adapter_subscription subscription[ADAPTER_CHANNELS];
    struct adapter_sync sync;
    struct adapter_trades trades;
    void *own; /* the family's */
};

struct adapter {
    struct adapter_config config;
    struct adapter_host host;
    char venue[TB_VENUE_BYTES];
    char stream[TB_STREAM_BYTES];
    struct adapter_market *market;
    size_t market_count;
    void *own;                           /* of all markets */
    uint16_t slot[ADAPTER_SYMBOL_SLOTS]; /* hash of raw symbol -> market index + 1 */
    uint64_t counter[ADAPTER_COUNTERS];
    struct tb_record *out; /* of one event, until it is given to the host */
    size_t out_count;
    struct adapter_change *scratch; /* of one message */
    tb_ns resumed_recv;             /* ts_recv of the newest record that resume saw */
    unsigned resume_more;           /* records that it saw when it had what is needed */
    tb_ns overlap_end; /* ts_recv until which the last connection may be repeated; 0: it is not */
    /* After an instrument was refined: what the family keeps in the old exponents. May be NULL. */
    void (*refined)(struct adapter_market *m);
    void (*end)(struct adapter *a); /* of adapter_shape */
    /*
     * Where books are asked for by subscribing: the message that ends or makes the subscription of a
     * market's book. Its length, or -ENOSPC. NULL: not so at this venue.
     */
    int (*book_request)(struct adapter *a, const struct adapter_market *m, bool subscribe,
                        char *out_text, size_t capacity);
};

/* ---- life ---- */

struct adapter_shape {
    size_t bytes;        /* of the family's struct */
    size_t market_bytes; /* of its struct of a market; 0: none */
    uint32_t
        book_depth; /* levels kept a side; where there is a window, changes of a message besides */
    uint32_t changes; /* levels of one message, both sides; 0: ADAPTER_CHANGES_MAX */
    bool pending;     /* events are kept while a snapshot is awaited */
    /* The family's part: decoders, functions of its own. 0, -ENOMEM, or what it says in err. end: of a half
     * begun one too. */
    int (*begin)(struct adapter *a, struct tb_error *err);
    void (*end)(struct adapter *a);
};

/* adapter_new: with its markets in the instrument table. NULL: said why in err. */
struct adapter *adapter_new(const struct adapter_shape *shape, const struct adapter_config *config,
                            const struct adapter_host *host, struct tb_error *err);
void adapter_free(struct adapter *a);
/* adapter_nothing_asked: adapter_ops.on_rest of a family that asks for nothing. */
int adapter_nothing_asked(struct adapter *a, uint32_t request, const char *path, int status,
                          const char *body, size_t length, tb_ns ts_recv);
/* adapter_market_find: by the venue's symbol, in upper or lower case. NULL: not ours. */
struct adapter_market *adapter_market_find(const struct adapter *a, struct adapter_text raw);

/* ---- records ---- */

/* adapter_record: the next record of the event at hand; adapter_flush: give the event to the host. */
struct tb_record *adapter_record(struct adapter *a, const struct adapter_market *m, uint8_t type,
                                 tb_ns ts_event, tb_ns ts_recv);
int adapter_flush(struct adapter *a);
/* adapter_gap: from..to are missing; 0..0: the ids do not tell. Returns it, to say less than that. */
struct tb_record *adapter_gap(struct adapter *a, const struct adapter_market *m,
                              enum tb_channel channel, uint64_t from, uint64_t to, uint32_t reason,
                              tb_ns ts_recv);
void adapter_status(struct adapter *a, const struct adapter_market *m, enum tb_status_code code,
                    int64_t detail, tb_ns ts_recv);

/* ---- numbers ---- */

/*
 * adapter_number: text to a mantissa of *exp; if that is too coarse *exp becomes what text needs (and
 * *out is not written). 0; -EBADMSG: no decimal, negative, or too large.
 */
int adapter_number(struct adapter_text text, int8_t *exp, int64_t *out);
/*
 * adapter_numbers: prices and sizes of one message, alternating, to mantissas: once through if the
 * exponents hold them, again after the instrument was refined if they do not.
 */
int adapter_numbers(struct adapter *a, struct adapter_market *m, const struct adapter_text *text,
                    size_t count, int64_t *out, tb_ns ts_recv);
/* adapter_refine: a new instrument entry with these exponents. 0, -EBADMSG if values no longer fit. */
int adapter_refine(struct adapter *a, struct adapter_market *m, int8_t price_exp, int8_t size_exp,
                   tb_ns ts_recv);

/* ---- trades and quotes ---- */

/* adapter_trade_id: a number is itself; anything else is hashed, and says nothing about order (false). */
bool adapter_trade_id(struct adapter_text text, uint64_t *out);
/*
 * adapter_trade_seen: a repeat: counted, to be dropped. An id below the last one that was not told before
 * comes out of order, and is none. adapter_trade_past: of the trades that a venue tells again to who
 * subscribes: all up to the last one are repeats. adapter_trade_seen_hash: of ids that say nothing about
 * order: those of the last ADAPTER_TRADES_KEPT trades are repeats; any other is kept.
 */
bool adapter_trade_seen(struct adapter *a, const struct adapter_market *m, uint64_t id);
bool adapter_trade_past(struct adapter *a, const struct adapter_market *m, uint64_t id);
bool adapter_trade_seen_hash(struct adapter *a, struct adapter_market *m, uint64_t id);
/* adapter_trade_follows: the ids first..last come now: a jump is a gap, its record goes first. */
void adapter_trade_follows(struct adapter *a, struct adapter_market *m, uint64_t first,
                           uint64_t last, tb_ns ts_recv);
/* adapter_trade_follows_any: the same where ids rise with holes by nature: only what is known to be
 * missed (a reconnect, a bad frame) makes a gap, of unknown extent. */
void adapter_trade_follows_any(struct adapter *a, struct adapter_market *m, uint64_t id,
                               tb_ns ts_recv);
/* adapter_trade: the record; false and counted as unknown if price or size is none. */
bool adapter_trade(struct adapter *a, const struct adapter_market *m, const struct tb_trade *trade,
                   tb_ns ts_event, tb_ns ts_recv);
/* adapter_quote_seen: two connections overlap, and the last one told this quote, or a later one. ordinal: by
 * which the family orders them. */
bool adapter_quote_seen(struct adapter *a, struct adapter_market *m, uint64_t ordinal,
                        tb_ns ts_recv);
/* adapter_quote: bid price, bid size, ask price, ask size; behind a gap if quotes were missed. */
struct tb_quote *adapter_quote(struct adapter *a, struct adapter_market *m, const int64_t number[4],
                               tb_ns ts_event, tb_ns ts_recv);

/* adapter_bad: a frame could not be read. m: whose it was, NULL if it does not say. -EBADMSG. */
int adapter_bad(struct adapter *a, struct adapter_market *m);

/*
 * adapter_bad_blind: the same where nothing numbers what comes: a book is lost with the frame, unless that was
 * of another channel. m NULL: it may be anyone's; channel 0: any.
 */
int adapter_bad_blind(struct adapter *a, struct adapter_market *m, unsigned channel, tb_ns ts_recv);

/*
 * adapter_rest_market: whose book an answer is: by its path, of which `raw` is the symbol, or where there is none
 * by the request's number, which is the market's index + 1. NULL, and counted: nobody's.
 */
struct adapter_market *adapter_rest_market(struct adapter *a, uint32_t request, const char *path,
                                           struct adapter_text raw);

/* ---- books (market_book.c) ---- */

/* adapter_changes: all levels of a message into a->scratch, bids first. Their number, or -EBADMSG. */
int adapter_changes(struct adapter *a, struct adapter_market *m, const struct adapter_levels *bids,
                    const struct adapter_levels *asks, tb_ns ts_recv);
/*
 * adapter_book_fill: the levels in a->scratch, of which the first `bids` are bids, make the book.
 * adapter_book_publish: the whole book as one event: a clear and every level; flushes before and after.
 * adapter_book_joined: after that: it is synced, which is said; the caller flushes.
 */
void adapter_book_fill(struct adapter *a, struct adapter_market *m,
                       const struct adapter_event *event, uint32_t bids);
int adapter_book_publish(struct adapter *a, struct adapter_market *m, tb_ns ts_event,
                         tb_ns ts_recv);
void adapter_book_joined(struct adapter *a, struct adapter_market *m, uint64_t last, tb_ns ts_recv);
/* adapter_book_replaced: after adapter_book_publish of a snapshot that may come at any time: as
 * adapter_book_joined, or if it was synced counted. Flushes. */
int adapter_book_replaced(struct adapter *a, struct adapter_market *m,
                          const struct adapter_event *event, bool was_synced);
/* adapter_book_apply: an event that follows on the book: set the levels, make records of what changed. */
void adapter_book_apply(struct adapter *a, struct adapter_market *m,
                        const struct adapter_event *event, const struct adapter_change *change);
/* adapter_book_crossed: the best prices have crossed for too long: something was applied wrongly. */
bool adapter_book_crossed(struct adapter_sync *s, tb_ns ts_recv);
/* adapter_book_unsync: the book is not to be used from here on, which is said if it was. */
void adapter_book_unsync(struct adapter *a, struct adapter_market *m, tb_ns ts_recv);
/* adapter_book_rescale: everything that is kept, to finer exponents. 0, or -EBADMSG and nothing done. */
int adapter_book_rescale(struct adapter_market *m, int8_t price_exp, int8_t size_exp);

int adapter_pending_init(struct adapter_pending *p);
void adapter_pending_fini(struct adapter_pending *p);
void adapter_pending_drop(struct adapter_pending *p);
/* adapter_pending_keep: the event with its changes in a->scratch. A full buffer is given up first: a
 * snapshot that is younger than the rest will still come. */
void adapter_pending_keep(struct adapter *a, struct adapter_pending *p, struct adapter_event event);

/* ---- subscriptions (market_ask.c) ---- */

/*
 * adapter_subscription: the i-th of all that are wanted: market by market, channel by channel. Its channel;
 * 0: no more.
 */
unsigned adapter_subscription(const struct adapter *a, size_t i,
                              const struct adapter_market **out_market);
/*
 * adapter_request: as adapter_ops.subscribe, where a request is head, names, and `],"id":N}`: as many
 * subscriptions as fit in each, at most `most`. name: of one, in quotes; its length, as snprintf.
 */
struct adapter_request {
    const char *head; /* "{\"method\":\"SUBSCRIBE\",\"params\":[" */
    unsigned most;
    int (*name)(const struct adapter_market *m, unsigned channel, bool aggregated, char *out,
                size_t capacity);
};
int adapter_request(const struct adapter *a, const struct adapter_request *shape, unsigned index,
                    char *out, size_t capacity);
/*
 * adapter_agreed, adapter_refused_request: what the venue said to request `id`. It refused one of several
 * names, and does not say which: both halves are asked for again, down to the one. False: no such request.
 */
bool adapter_agreed(struct adapter *a, const struct adapter_request *shape, int64_t id);
bool adapter_refused_request(struct adapter *a, const struct adapter_request *shape, int64_t id,
                             tb_ns ts_recv);
/*
 * adapter_symbols_request: the same where a message asks for one channel of several markets: channel by channel,
 * each with as many symbols as fit between what open and close put, as snprintf.
 */
struct adapter_symbols_shape {
    int (*open)(const struct adapter *a, unsigned channel, char *out, size_t capacity);
    int (*close)(unsigned channel, char *out, size_t capacity);
};
int adapter_symbols_request(const struct adapter *a, const struct adapter_symbols_shape *shape,
                            unsigned index, char *out, size_t capacity);
/* adapter_subscribed: on a new connection: all that is wanted is asked for, in `messages` of the family. */
void adapter_subscribed(struct adapter *a, unsigned messages, tb_ns interval_ns, tb_ns ts_recv);
/* adapter_subscription_of: one channel's. adapter_unsubscribed: nothing is asked for, of any market. */
struct adapter_subscription *adapter_subscription_of(struct adapter_market *m, unsigned channel);
void adapter_unsubscribed(struct adapter *a);
/* adapter_answered: the venue acknowledged (or refused, or sends) these channels of a market. */
void adapter_answered(struct adapter_market *m, unsigned channels);
/*
 * adapter_refused: the venue refused these channels of a market: of those that were asked for, each is said.
 * m NULL: it does not tell what it refused, which is said. 0, or -errno of the host.
 */
int adapter_refused(struct adapter *a, struct adapter_market *m, unsigned channels, tb_ns ts_recv);
/* adapter_overdue: those whose answer did not come in time are counted and no longer awaited. How many. */
size_t adapter_overdue(struct adapter *a, tb_ns now);
/*
 * adapter_book_ask: unsubscribe and subscribe: at once the first time, after a growing pause if it did not
 * help for long. Nothing while an answer is awaited.
 */
void adapter_book_ask(struct adapter *a, struct adapter_market *m, tb_ns ts_recv);
/* adapter_book_lost: it is wrong, or may be, and nobody can say since when: said, and asked for anew. */
void adapter_book_lost(struct adapter *a, struct adapter_market *m, enum tb_gap_reason reason,
                       tb_ns ts_recv);
/*
 * adapter_resync: adapter_ops.resync where books are asked for by subscribing. adapter_resync_begin: its
 * beginning, for other ways of asking: the book is given up. 0 and the market, or as adapter_ops.resync.
 */
int adapter_resync(struct adapter *a, const char *symbol, tb_ns ts_recv);
int adapter_resync_begin(struct adapter *a, const char *symbol, tb_ns ts_recv,
                         struct adapter_market **out_market);
/* adapter_deadlines: adapter_ops.on_time: what was not acknowledged, and books that did not come. */
void adapter_deadlines(struct adapter *a, tb_ns now);
/* adapter_book_deadlines: the books alone. */
void adapter_book_deadlines(struct adapter *a, tb_ns now);

/* ---- connections and restarts: as adapter_ops has them ---- */

void adapter_connected(struct adapter *a, tb_ns ts_recv);
/* adapter_handover: adapter_ops.on_handover: nothing is lost; repeats are expected for a while. */
void adapter_handover(struct adapter *a, tb_ns ts_recv);
/* adapter_disconnected: books are lost, the reason is kept for the jumps to come. */
void adapter_disconnected(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason);
bool adapter_resume(struct adapter *a, const struct tb_record *record);
void adapter_resumed(struct adapter *a);
const uint64_t *adapter_counters(const struct adapter *a);
const struct tb_book *adapter_book(const struct adapter *a, const char *symbol);

#endif
