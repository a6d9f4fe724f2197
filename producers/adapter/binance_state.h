/*
 * The state of a Binance adapter beside what every adapter has (market.h), shared by its parts:
 * frames and trades (binance.c), books (binance_book.c), listings and recordings
 * (binance_listing.c).
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_STATE_H
#define TICKBUS_PRODUCERS_BINANCE_STATE_H

#include "producers/adapter/binance_json.h"
#include "producers/adapter/snapshot.h"

/* Quotes kept for the self-check: those that may overtake the depth event of the same update. */
#define BINANCE_QUOTES_KEPT 64

struct binance_seen_quote {
    uint64_t update_id;
    struct tb_quote quote;
};

struct binance_market {
    struct snapshot_market base;
    struct binance_seen_quote quote[BINANCE_QUOTES_KEPT];
    uint32_t quote_count; /* in all; the newest is at (quote_count - 1) % BINANCE_QUOTES_KEPT */
};

struct binance {
    struct snapshot_adapter base;
    struct binance_decoder *decoder;
};

/* Books by the rule of each product line. */
extern const struct snapshot_rule binance_spot_rule, binance_usdm_rule;

/* binance_on_depth: a diff event, or a whole small book. */
int binance_on_depth(struct adapter *a, struct adapter_market *m, const struct binance_message *msg,
                     tb_ns ts_recv);
/* binance_time: E or T, in ms or us, to ns. 0 or -EBADMSG. */
int binance_time(int64_t sent, tb_ns *out);
/* binance_see_quote: hold the book against the quote of the same update id, now or when it
 * comes. */
void binance_see_quote(struct adapter *a, struct adapter_market *m, uint64_t update_id,
                       const struct tb_quote *quote);

/* binance_listing.c: what the product lines' ops need of it. */
int binance_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int binance_listing_read(const char *body, size_t length,
                         void (*each)(void *context, const struct adapter_market_config *market),
                         void *context);
int binance_scan(const char *path, const char *bytes, size_t length,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels);
int binance_usdm_listing_path(const char *const *symbols, size_t count, char *out_path,
                              size_t capacity);
int binance_usdm_listing_read(const char *body, size_t length,
                              void (*each)(void *context,
                                           const struct adapter_market_config *market),
                              void *context);
int binance_usdm_scan(const char *path, const char *bytes, size_t length,
                      struct adapter_market_config *markets, size_t *count, size_t max,
                      unsigned *channels);

#endif
