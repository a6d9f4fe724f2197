/* The families of metrics that speak of markets, with the names of the seed, as text. */
#ifndef TICKBUS_METRICS_MARKET_TEXT_H
#define TICKBUS_METRICS_MARKET_TEXT_H

#include <consumers/metrics/market.h>
#include <consumers/metrics/text.h>

/* Series of one market: the greatest number that market_text_write() makes for it. */
size_t market_text_series(void);

/* Append every family, each with the samples of all `count` markets, looked at anew. */
void market_text_write(struct text *t, struct market *markets, size_t count);

#endif
