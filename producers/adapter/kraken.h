/*
 * Kraken spot: trades, best bid and ask, and order books proven by the venue's checksum. Live it
 * speaks WebSocket v2; recordings of v1 are read too.
 */
#ifndef TICKBUS_PRODUCERS_KRAKEN_H
#define TICKBUS_PRODUCERS_KRAKEN_H

#include <tickbus/book.h>

#include "producers/adapter/adapter.h"

extern const struct adapter_ops kraken_ops;

/*
 * kraken_checksum: CRC-32 (zlib's) of the ten best asks, then the ten best bids, each as the digits
 * of its price and its size. The digits are those of the venue's text, so how many stand behind the
 * points must be said; the point itself and leading zeros do not count.
 */
uint32_t kraken_checksum(const struct tb_book *book, unsigned price_digits, unsigned size_digits);

/* kraken_listing.c: what kraken_ops needs of it. */
int kraken_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int kraken_listing_read(const char *body, size_t length,
                        void (*each)(void *context, const struct adapter_market_config *market),
                        void *context);
int kraken_scan(const char *path, const char *bytes, size_t length,
                struct adapter_market_config *markets, size_t *count, size_t max,
                unsigned *channels);

#endif
