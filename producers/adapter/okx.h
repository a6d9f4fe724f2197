/*
 * OKX v5, and OKCoin, whose messages are the same: trades, best bid and ask, and the order book by
 * its chain of sequence ids, and by its checksum in recordings that still have one.
 */
#ifndef TICKBUS_PRODUCERS_OKX_H
#define TICKBUS_PRODUCERS_OKX_H

#include "producers/adapter/adapter.h"

extern const struct adapter_ops okx_ops;

#endif
