/*
 * tickbus-metrics: the markets and processes of a bus as Prometheus metrics, pushed and served.
 * What is exported, name by name: METRICS.md.
 */
#ifndef TICKBUS_METRICS_METRICS_H
#define TICKBUS_METRICS_METRICS_H

#include <consumers/metrics/estate.h>
#include <consumers/metrics/market.h>
#include <consumers/metrics/push.h>
#include <consumers/metrics/server.h>
#include <consumers/metrics/text.h>
#include <tickbus/log.h>
#include <consumers/post/wake.h>
#include <tickbus/service.h>

#define METRICS_MARKETS_MAX 1024

/* What an instrument id of an input stands for. */
struct metrics_entry {
    uint16_t market; /* index + 1; 0: not looked up yet; METRICS_NO_MARKET: not exported */
    int8_t price_exp, size_exp;
};
#define METRICS_NO_MARKET UINT16_MAX

struct metrics_input {
    struct estate_feed feed;
    struct tb_record prices; /* first half of a candle; type 0: none */
    struct metrics_entry entry[TB_INSTRUMENTS_MAX + 1];
};

struct metrics {
    /* options */
    const char *listen;
    const char *push_to;
    const char *job;
    const char *instance;
    tb_ns push_every;
    tb_ns push_timeout;
    int64_t push_trades;
    bool push_delete;
    int64_t series_max;

    /* markets known to the configuration, before any record; set by check */
    struct {
        char venue[TB_VENUE_BYTES];
        char symbol[TB_SYMBOL_BYTES];
    } configured[METRICS_MARKETS_MAX];
    size_t configured_count;

    struct market *market;
    size_t market_count;
    size_t market_max;           /* what the series budget allows */
    struct metrics_input *input; /* TB_INPUTS_MAX */
    struct estate estate;
    struct text text;
    struct push push;
    struct server *server;

    bool changed;          /* since the last push */
    bool text_changed;     /* since the last rendering */
    uint64_t trades_since; /* the last push */
    tb_ns rendered;        /* monotonic, as are these */
    tb_ns render_took;
    tb_ns looked;
    bool last_push_made;
    bool over_budget_said;
    uint64_t over_budget; /* markets that are not exported */
    struct tb_log_limit push_log;
    char note[SERVER_NOTE_BYTES];
    struct {
        struct tb_stats_counter *pushes, *failures, *series, *refused, *markets, *over_budget,
            *scrapes;
        struct tb_stats_histogram *push_ns;
    } stat;
};

/* Series kept for streams, readers, services and this process, beside those of the markets. */
size_t metrics_series_reserved(int64_t series_max);
/* How many markets the budget allows. */
size_t metrics_markets_allowed(int64_t series_max);

struct tb_service_ops metrics_ops(void);

#endif
