/*
 * The state of a Binance adapter, shared by its three parts: frames and trades (binance.c), books
 * (binance_book.c), listings and recordings (binance_listing.c).
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_STATE_H
#define TICKBUS_PRODUCERS_BINANCE_STATE_H

#include <tickbus/book.h>

#include "producers/adapter/adapter.h"
#include "producers/adapter/binance_json.h"

/* Depth events kept while a snapshot is awaited: over a minute of a busy market. */
#ifndef BINANCE_PENDING_EVENTS
#define BINANCE_PENDING_EVENTS 1024
#endif
#define BINANCE_PENDING_CHANGES (2U * BINANCE_LEVELS_MAX)
/* Quotes kept for the self-check: those that may overtake the depth event of the same update. */
#define BINANCE_QUOTES_KEPT 64
#define BINANCE_SYMBOL_SLOTS (2 * ADAPTER_MARKETS_MAX)

struct binance_change {
    int64_t price;
    int64_t size;
    uint8_t side;
};

struct binance_event {
    uint64_t first; /* U */
    uint64_t last;  /* u */
    tb_ns ts_event;
    tb_ns ts_recv;
    uint32_t change; /* index of its first change */
    uint32_t count;
};

struct binance_seen_quote {
    uint64_t update_id;
    struct tb_quote quote;
};

struct binance_sync {
    struct tb_book book;
    bool synced;         /* the book is the venue's, up to `last` */
    bool has_last;
    bool has_diffs;      /* diff events come: partial depth is not needed */
    bool requested;      /* a snapshot was asked for */
    bool unsynced_to_say; /* TB_STATUS_UNSYNCED is owed, at the next connection */
    bool suspect;        /* since a gap, until the next snapshot is complete: TB_F_MAYBE_BAD_BOOK */
    uint8_t attempts;    /* snapshots asked for in vain */
    uint32_t reason;     /* enum tb_gap_reason of the next jump; 0: TB_GAP_SEQUENCE */
    uint64_t last;       /* greatest update id seen, kept over reconnects */
    tb_ns crossed_since; /* ts_recv; 0: not crossed */
    struct binance_event *event;   /* while not synced */
    struct binance_change *change;
    uint32_t event_count;
    uint32_t change_count;
    struct binance_seen_quote quote[BINANCE_QUOTES_KEPT];
    uint32_t quote_count; /* in all; the newest is at (quote_count - 1) % BINANCE_QUOTES_KEPT */
};

struct binance_market {
    struct adapter_market_config config;
    uint16_t index;
    uint16_t instrument;
    bool has_trade;
    bool has_quote;
    uint32_t trade_reason; /* of the next jump of trade ids; 0: TB_GAP_SEQUENCE */
    uint32_t quote_reason; /* quotes were missed since the last one; 0: none that we know of */
    uint64_t last_trade;
    struct binance_sync sync;
};

struct adapter {
    struct adapter_config config;
    struct adapter_host host;
    char venue[TB_VENUE_BYTES];
    char stream[TB_STREAM_BYTES];
    struct binance_decoder *decoder;
    struct binance_market *market;
    size_t market_count;
    uint16_t slot[BINANCE_SYMBOL_SLOTS]; /* hash of raw symbol -> market index + 1 */
    uint64_t counter[ADAPTER_COUNTERS];
    struct tb_record *out; /* of one event, until it is given to the host */
    size_t out_count;
    struct binance_change *scratch; /* of one message */
    tb_ns snapshot_due; /* when the venue's request budget will be whole again */
    tb_ns resumed_recv; /* ts_recv of the newest record that resume saw */
};

/* binance_record: the next record of the event at hand; binance_flush: give the event to the host. */
struct tb_record *binance_record(struct adapter *a, const struct binance_market *m, uint8_t type,
                                 tb_ns ts_event, tb_ns ts_recv);
int binance_flush(struct adapter *a);
void binance_gap(struct adapter *a, const struct binance_market *m, enum tb_channel channel,
                 uint64_t from, uint64_t to, uint32_t reason, tb_ns ts_recv);
void binance_status(struct adapter *a, const struct binance_market *m, enum tb_status_code code,
                    int64_t detail, tb_ns ts_recv);

/*
 * binance_number: text to a mantissa of *exp; if that is too coarse *exp becomes what text needs (and
 * *out is not written). 0; -EBADMSG: no decimal, negative, or too large.
 */
int binance_number(struct binance_text text, int8_t *exp, int64_t *out);
/* binance_refine: a new instrument entry with these exponents. 0, -EBADMSG if values no longer fit. */
int binance_refine(struct adapter *a, struct binance_market *m, int8_t price_exp, int8_t size_exp,
                   tb_ns ts_recv);
/* binance_time: E or T, in ms or us, to ns. 0 or -EBADMSG. */
int binance_time(int64_t sent, tb_ns *out);
struct binance_market *binance_find(const struct adapter *a, struct binance_text raw);

int binance_sync_init(struct adapter *a, struct binance_market *m);
void binance_sync_fini(struct binance_market *m);
int binance_on_depth(struct adapter *a, struct binance_market *m,
                     const struct binance_message *msg, tb_ns ts_recv);
int binance_on_partial(struct adapter *a, struct binance_market *m,
                       const struct binance_message *msg, tb_ns ts_recv);
int binance_on_snapshot(struct adapter *a, struct binance_market *m,
                        const struct binance_message *msg, tb_ns ts_recv);
/* binance_no_snapshot: the request failed; ask again after at least pause_ns. */
void binance_no_snapshot(struct adapter *a, struct binance_market *m, tb_ns pause_ns,
                         tb_ns ts_recv);
/* binance_see_quote: hold the book against the quote of the same update id, now or when it comes. */
void binance_see_quote(struct adapter *a, struct binance_market *m, uint64_t update_id,
                       const struct tb_quote *quote);
/* binance_lose_book: the connection ended: the book is not to be used, its last id is kept. */
void binance_lose_book(struct adapter *a, struct binance_market *m, enum tb_gap_reason reason,
                       tb_ns ts_recv);
int binance_sync_refine(struct binance_market *m, int8_t price_exp, int8_t size_exp);
int binance_publish_book(struct adapter *a, struct binance_market *m, tb_ns ts_event,
                         tb_ns ts_recv);

/* binance_listing.c: what binance_ops needs of it. */
int binance_listing_path(const char *const *symbols, size_t count, char *out_path,
                         size_t capacity);
int binance_listing_read(const char *body, size_t length,
                         void (*each)(void *context, const struct adapter_market_config *market),
                         void *context);
int binance_scan(const char *path, const char *bytes, size_t length,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels);
/* binance_path_symbol: the symbol that a depth request asks for; empty if it is none. */
struct binance_text binance_path_symbol(const char *path);

#endif
