/*
 * Binance spot (binance.com and Binance.US) and USD-M futures: trades or aggregated trades, best
 * bid and ask, and the order book kept by the venue's own rule.
 */
#ifndef TICKBUS_PRODUCERS_BINANCE_H
#define TICKBUS_PRODUCERS_BINANCE_H

#include "producers/adapter/adapter.h"

extern const struct adapter_ops binance_ops, binance_usdm_ops;

#endif
