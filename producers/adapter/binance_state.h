/*
 * The state of a Binance adapter beside what every adapter has (market.h), shared by its parts: frames
 * and trades (binance.c), books (binance_book.c), listings and recordings (binance_listing.c).
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_STATE_H
#define TICKBUS_PRODUCERS_BINANCE_STATE_H

#include "producers/adapter/binance_json.h"
#include "producers/adapter/market.h"

/* Quotes kept for the self-check: those that may overtake the depth event of the same update. */
#define BINANCE_QUOTES_KEPT 64

struct binance_seen_quote {
    uint64_t update_id;
    struct tb_quote quote;
};

struct binance_market {
    bool has_diffs;   /* diff events come: partial depth is not needed */
    bool requested;   /* a snapshot was asked for */
    uint8_t attempts; /* snapshots asked for in vain */
    struct binance_seen_quote quote[BINANCE_QUOTES_KEPT];
    uint32_t quote_count; /* in all; the newest is at (quote_count - 1) % BINANCE_QUOTES_KEPT */
};

struct binance {
    struct adapter core;
    struct binance_decoder *decoder;
    tb_ns snapshot_due; /* when the venue's request budget will be whole again */
};

int binance_on_depth(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                     tb_ns ts_recv);
int binance_on_partial(struct adapter *a, struct adapter_market *m,
                       const struct binance_message *msg, tb_ns ts_recv);
int binance_on_snapshot(struct adapter *a, struct adapter_market *m,
                        const struct binance_message *msg, tb_ns ts_recv);
/* binance_time: E or T, in ms or us, to ns. 0 or -EBADMSG. */
int binance_time(int64_t sent, tb_ns *out);
/* binance_no_snapshot: the request failed; ask again after at least pause_ns. */
void binance_no_snapshot(struct adapter *a, struct adapter_market *m, tb_ns pause_ns,
                         tb_ns ts_recv);
/* binance_see_quote: hold the book against the quote of the same update id, now or when it comes. */
void binance_see_quote(struct adapter *a, struct adapter_market *m, uint64_t update_id,
                       const struct tb_quote *quote);

/* binance_listing.c: what binance_ops needs of it. */
int binance_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int binance_listing_read(const char *body, size_t length,
                         void (*each)(void *context, const struct adapter_market_config *market),
                         void *context);
int binance_scan(const char *path, const char *bytes, size_t length,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels);
/* binance_path_symbol: the symbol that a depth request asks for; empty if it is none. */
struct adapter_text binance_path_symbol(const char *path);

#endif
