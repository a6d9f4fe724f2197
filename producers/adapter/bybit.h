/*
 * Bybit v5, spot: trades, best bid and ask, and the order book by its update ids. Recordings of
 * linear contracts, whose messages are the same, are read too.
 */
#ifndef TICKBUS_PRODUCERS_BYBIT_H
#define TICKBUS_PRODUCERS_BYBIT_H

#include "producers/adapter/adapter.h"

extern const struct adapter_ops bybit_ops;

#endif
