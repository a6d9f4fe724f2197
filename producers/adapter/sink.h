/* An adapter's host that wants nothing: for benches and tests, which measure or watch the adapter alone. */
#ifndef TICKBUS_PRODUCERS_ADAPTER_SINK_H
#define TICKBUS_PRODUCERS_ADAPTER_SINK_H

#include "producers/adapter/adapter.h"

/* adapter_sink: its records are counted in *records and forgotten, instruments get ids, and nothing is
 * fetched, sent or closed. */
struct adapter_host adapter_sink(uint64_t *records);

#endif
