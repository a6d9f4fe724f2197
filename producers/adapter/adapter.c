/*
 * Which adapter serves which venue, and what its counters are called.
 */
#include "producers/adapter/adapter.h"

#include <string.h>

#include "producers/adapter/binance.h"
#include "producers/adapter/bybit.h"
#include "producers/adapter/coinbase.h"
#include "producers/adapter/kraken.h"
#include "producers/adapter/mexc.h"
#include "producers/adapter/okx.h"

static const struct adapter_ops *const families[] = {
    &binance_ops, &binance_usdm_ops, &kraken_ops,           &mexc_ops,
    &bybit_ops,   &okx_ops,          &coinbaseexchange_ops, &coinbase_ops};
#define VENUES_MAX 32

const char *const adapter_counter_name[ADAPTER_COUNTERS] = {
    [ADAPTER_FRAMES] = "frames",
    [ADAPTER_FRAMES_BAD] = "frames_bad",
    [ADAPTER_FRAMES_UNKNOWN] = "frames_unknown",
    [ADAPTER_TRADES_OUT] = "trades",
    [ADAPTER_TRADES_DUPLICATE] = "trades_duplicate",
    [ADAPTER_QUOTES_OUT] = "quotes",
    [ADAPTER_QUOTES_DUPLICATE] = "quotes_duplicate",
    [ADAPTER_LEVELS_OUT] = "levels",
    [ADAPTER_BOOK_EVENTS] = "book_events",
    [ADAPTER_BOOK_STALE] = "book_stale",
    [ADAPTER_SNAPSHOTS] = "snapshots",
    [ADAPTER_GAPS] = "gaps",
    [ADAPTER_MISSING] = "missing",
    [ADAPTER_RESYNCS] = "resyncs",
    [ADAPTER_BBO_EQUAL] = "bbo_equal",
    [ADAPTER_BBO_DIFFERENT] = "bbo_different",
    [ADAPTER_REFINED] = "refined",
    [ADAPTER_ACKS] = "acks",
    [ADAPTER_REFUSED] = "refused",
    [ADAPTER_UNANSWERED] = "unanswered",
    [ADAPTER_RESUBSCRIBED] = "resubscribed",
    [ADAPTER_PONGS] = "pongs",
    [ADAPTER_CHECKSUMS_EQUAL] = "checksums_equal",
    [ADAPTER_CHECKSUMS_DIFFERENT] = "checksums_different",
};

static const struct adapter_venue *find(const char *id, const struct adapter_ops **out_ops)
{
    for (size_t i = 0; i < TB_COUNT(families); i++)
        for (const struct adapter_venue *venue = families[i]->venues; venue->id != NULL; venue++)
            if (strcmp(venue->id, id) == 0) {
                *out_ops = families[i];
                return venue;
            }
    return NULL;
}

const struct adapter_ops *adapter_find(const char *venue)
{
    const struct adapter_ops *ops = NULL;
    (void)find(venue, &ops);
    return ops;
}

const struct adapter_venue *adapter_venue_find(const char *venue)
{
    const struct adapter_ops *ops;
    return find(venue, &ops);
}

const char *const *adapter_venues(void)
{
    static const char *all[VENUES_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < TB_COUNT(families); i++)
        for (const struct adapter_venue *v = families[i]->venues;
             v->id != NULL && count < VENUES_MAX; v++)
            all[count++] = v->id;
    return all;
}
