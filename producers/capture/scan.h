/* What a venue's adapter has to be told of a recording before it is made: found by looking at every event. */
#ifndef TICKBUS_PRODUCERS_CAPTURE_SCAN_H
#define TICKBUS_PRODUCERS_CAPTURE_SCAN_H

#include "producers/adapter/adapter.h"
#include "producers/capture/capture.h"

/*
 * capture_scan: look at one event, in the recording's order, as adapter_ops.scan and scan_connect do: its
 * market is found or added, *channels tells what it shows. 0, or -EBADMSG.
 */
int capture_scan(const struct adapter_ops *ops, const struct capture_event *event,
                 struct adapter_market_config *markets, size_t *count, size_t max,
                 unsigned *channels);

#endif
