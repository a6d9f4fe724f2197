/*
 * Bybit's listing, and what recordings show of its markets.
 */
#ifndef TICKBUS_PRODUCERS_BYBIT_LISTING_H
#define TICKBUS_PRODUCERS_BYBIT_LISTING_H

#include "producers/adapter/adapter.h"

extern const char *const bybit_listing_kinds[];
int bybit_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int bybit_listing_read(const char *body, size_t length,
                       void (*each)(void *context, const struct adapter_market_config *market),
                       void *context);
void bybit_scan_connect(const char *url, unsigned *channels);
int bybit_scan(const char *path, const char *bytes, size_t length,
               struct adapter_market_config *markets, size_t *count, size_t max,
               unsigned *channels);

#endif
