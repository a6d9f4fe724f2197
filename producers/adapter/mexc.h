/*
 * MEXC spot v3: trades, best bid and ask, and the order book kept by the venue's own rule.
 */
#ifndef TICKBUS_PRODUCERS_MEXC_H
#define TICKBUS_PRODUCERS_MEXC_H

#include "producers/adapter/adapter.h"

extern const struct adapter_ops mexc_ops;

/* mexc_listing.c: what mexc_ops needs of it. */
int mexc_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int mexc_listing_read(const char *body, size_t length,
                      void (*each)(void *context, const struct adapter_market_config *market),
                      void *context);
int mexc_scan(const char *path, const char *bytes, size_t length,
              struct adapter_market_config *markets, size_t *count, size_t max, unsigned *channels);

#define MEXC_DEPTH_PATH "/api/v3/depth"

#endif
