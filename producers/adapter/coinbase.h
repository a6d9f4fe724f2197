/*
 * Coinbase, one market by two feeds: "coinbaseexchange", the Exchange feed, whose trades have
 * consecutive ids and whose book has no numbering at all; "coinbase", Advanced Trade, which numbers
 * every frame.
 */
#ifndef TICKBUS_PRODUCERS_COINBASE_H
#define TICKBUS_PRODUCERS_COINBASE_H

#include "producers/adapter/adapter.h"

extern const struct adapter_ops coinbaseexchange_ops;
extern const struct adapter_ops coinbase_ops;

/* coinbase_listing.c: what they need of it. */
int coinbaseexchange_listing_path(const char *const *symbols, size_t count, char *out_path,
                                  size_t capacity);
int coinbase_listing_path(const char *const *symbols, size_t count, char *out_path,
                          size_t capacity);
int coinbase_listing_read(const char *body, size_t length,
                          void (*each)(void *context, const struct adapter_market_config *market),
                          void *context);
int coinbase_scan(const char *path, const char *bytes, size_t length,
                  struct adapter_market_config *markets, size_t *count, size_t max,
                  unsigned *channels);

#endif
