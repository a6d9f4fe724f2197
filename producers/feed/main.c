/*
 * tickbus-feed: one venue's live market data onto one stream. The venue's side is feed.c and what is
 * below it; this is the wiring: options, checks, statistics.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "feed.h"

enum own_counter {
    PUBLISHED,
    BYTES_READ,
    CONNECTS,
    DISCONNECTS,
    CONNECT_FAILURES,
    CONNECTED,
    HANDOVERS,
    FRAMES_STAMPED,
    LISTING_AGE,
    FRAMES_OVERSIZED,
    REST_REQUESTS,
    REST_FAILURES,
    OWN_COUNTERS
};

static const struct {
    const char *name;
    enum tb_stat_kind kind;
} own[OWN_COUNTERS] = {
    [PUBLISHED] = {"records_from_venue", TB_STAT_COUNTER},
    [BYTES_READ] = {"bytes_read", TB_STAT_COUNTER},
    [CONNECTS] = {"connects", TB_STAT_COUNTER},
    [DISCONNECTS] = {"disconnects", TB_STAT_COUNTER},
    [CONNECT_FAILURES] = {"connect_failures", TB_STAT_COUNTER},
    [CONNECTED] = {"connected", TB_STAT_GAUGE},
    [HANDOVERS] = {"handovers", TB_STAT_COUNTER},
    [FRAMES_STAMPED] = {"frames_kernel_time", TB_STAT_COUNTER},
    [LISTING_AGE] = {"listing_age_seconds", TB_STAT_GAUGE},
    [FRAMES_OVERSIZED] = {"frames_oversized", TB_STAT_COUNTER},
    [REST_REQUESTS] = {"rest_requests", TB_STAT_COUNTER},
    [REST_FAILURES] = {"rest_failures", TB_STAT_COUNTER},
};

struct service {
    struct feed feed;
    struct tb_stats_counter *own[OWN_COUNTERS];
    struct tb_stats_counter *adapter[ADAPTER_COUNTERS];
};

#define FIELD(f) offsetof(struct service, feed.options.f)
static const struct tb_option options[] = {
    {"venue", TB_OPTION_STRING, FIELD(venue), NULL, 0, 0, NULL,
     "the venue, by its ccxt name: binance, bybit, kraken, ...", true},
    {"symbols", TB_OPTION_LIST, FIELD(symbols), NULL, 0, 0, NULL,
     "markets, as BASE/QUOTE; * is all that the venue lists", true},
    {"channels", TB_OPTION_LIST, FIELD(channels), "trade,quote,book", 0, 0, NULL,
     "what to take of them: trade, quote, book", false},
    {"trades", TB_OPTION_ENUM, FIELD(trades), "single", 0, 0, "single|aggregated",
     "each trade, or the venue's aggregated ones", false},
    {"url", TB_OPTION_STRING, FIELD(url), NULL, 0, 0, NULL,
     "WebSocket address; by default the venue's own", false},
    {"rest_url", TB_OPTION_STRING, FIELD(rest_url), NULL, 0, 0, NULL,
     "REST address; by default the venue's own", false},
    {"ca_file", TB_OPTION_STRING, FIELD(ca_file), NULL, 0, 0, NULL,
     "PEM file of authorities to trust beside the system's", false},
    {"cache", TB_OPTION_STRING, FIELD(cache), NULL, 0, 0, NULL,
     "directory for a copy of the venue's listing, by which an offline start goes; none; default: "
     "$CACHE_DIRECTORY, $XDG_CACHE_HOME/tickbus or ~/.cache/tickbus",
     false},
    {"book_depth", TB_OPTION_INT, FIELD(book_depth), "10000", 10, 1000000, NULL,
     "levels kept of each side of a book", false},
    {"finite", TB_OPTION_BOOL, FIELD(finite), "false", 0, 0, NULL,
     "the feed is complete when the venue closes with 1000", false},
    {"connect_timeout", TB_OPTION_DURATION, FIELD(connect_timeout), "10s", TB_NS_PER_MS,
     600 * TB_NS_PER_S, NULL, "longest time for a connection to come about", false},
    {"rest_timeout", TB_OPTION_DURATION, FIELD(rest_timeout), "30s", TB_NS_PER_MS,
     600 * TB_NS_PER_S, NULL, "longest time for a REST answer", false},
    {"backoff_first", TB_OPTION_DURATION, FIELD(backoff_first), "250ms", TB_NS_PER_MS,
     3600 * TB_NS_PER_S, NULL, "longest wait before the first reconnect; doubles each time", false},
    {"backoff_most", TB_OPTION_DURATION, FIELD(backoff_most), "30s", TB_NS_PER_MS,
     3600 * TB_NS_PER_S, NULL, "longest wait before any reconnect", false},
    {"silence", TB_OPTION_DURATION, FIELD(silence), "0s", 0, 3600 * TB_NS_PER_S, NULL,
     "reconnect when nothing was heard for this long; 0: as fits the venue", false},
    {"connection_life", TB_OPTION_DURATION, FIELD(connection_life), "0s", 0,
     7 * 86400 * TB_NS_PER_S, NULL,
     "change to a new connection after so long; 0: before the venue ends it", false},
};

static bool begins(const char *text, const char *a, const char *b)
{
    return strncmp(text, a, strlen(a)) == 0 || strncmp(text, b, strlen(b)) == 0;
}

static void check_symbols(const struct feed_options *o, const char *file, struct tb_faults *faults)
{
    if (o->symbols.count > ADAPTER_MARKETS_MAX)
        tb_fault(faults, file, 0, "symbols", "%zu symbols, at most %d", o->symbols.count,
                 ADAPTER_MARKETS_MAX);
    for (size_t i = 0; i < o->symbols.count; i++) {
        const char *symbol = o->symbols.item[i];
        if (strcmp(symbol, "*") == 0 && o->symbols.count > 1)
            tb_fault(faults, file, 0, "symbols", "* is all of them: it stands alone");
        else if (!tb_symbol_check(symbol))
            tb_fault(faults, file, 0, "symbols", "\"%s\" can not name a market; write BASE/QUOTE",
                     symbol);
    }
}

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    struct feed_options *o = &((struct service *)self)->feed.options;
    const struct adapter_venue *venue = adapter_venue_find(o->venue);
    const char *file = svc->config_file, *unknown;
    struct socket_url url;
    struct tb_error err;

    if (venue == NULL) {
        const char *const *all = adapter_venues();
        size_t count = 0;
        while (all[count] != NULL)
            count++;
        const char *nearest = tb_nearest(o->venue, all, count);
        tb_fault(faults, file, 0, "venue", "\"%s\" is no venue there is an adapter for%s%s%s",
                 o->venue, nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                 nearest != NULL ? "?" : "");
        return;
    }
    if (o->url == NULL)
        o->url = venue->websocket_url;
    if (o->rest_url == NULL)
        o->rest_url = venue->rest_url;
    if (socket_url_parse(o->url, &url, &err) != 0)
        tb_fault(faults, file, 0, "url", "%s", err.text);
    if (!begins(o->rest_url, "https://", "http://"))
        tb_fault(faults, file, 0, "rest_url", "\"%s\" is no REST address; write https://host",
                 o->rest_url);
    if (o->ca_file != NULL && access(o->ca_file, R_OK) != 0)
        tb_fault(faults, file, 0, "ca_file", "cannot read %s: %s", o->ca_file, strerror(errno));
    if (feed_channels(o, &unknown) == 0 || unknown != NULL)
        tb_fault(faults, file, 0, "channels", "\"%s\" is no channel; write trade, quote or book",
                 unknown != NULL ? unknown : "");
    if (o->backoff_first > o->backoff_most)
        tb_fault(faults, file, 0, "backoff_first", "is above backoff_most");
    check_symbols(o, file, faults);
}

static int start(struct tb_service *svc, void *self)
{
    struct service *s = self;
    struct tb_error err = {""};
    char quoted[TB_QUOTE_BYTES];

    for (size_t i = 0; i < OWN_COUNTERS; i++)
        s->own[i] = tb_stats_add(&svc->stats, own[i].name, own[i].kind);
    for (size_t i = 0; i < ADAPTER_COUNTERS; i++)
        s->adapter[i] = tb_stats_add(&svc->stats, adapter_counter_name[i], TB_STAT_COUNTER);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    int rc = feed_open(&s->feed, svc, &err);
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "cannot_start", "reason=%s",
               tb_quote_text(err.text[0] != '\0' ? err.text : strerror(-rc), quoted));
    return rc;
}

static int on_output(struct tb_service *svc, void *self)
{
    (void)svc;
    return feed_output(&((struct service *)self)->feed);
}

static int poll_feed(struct tb_service *svc, void *self)
{
    struct service *s = self;

    (void)svc;
    return feed_turn(&s->feed);
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct service *s = self;
    const struct feed *f = &s->feed;
    const int64_t value[OWN_COUNTERS] = {
        [PUBLISHED] = (int64_t)f->published,
        [BYTES_READ] = (int64_t)(f->link[0].socket.bytes + f->link[1].socket.bytes),
        [CONNECTS] = (int64_t)f->connects,
        [DISCONNECTS] = (int64_t)f->disconnects,
        [CONNECT_FAILURES] = (int64_t)f->refused_connects,
        [CONNECTED] = f->state == FEED_LIVE,
        [FRAMES_OVERSIZED] = (int64_t)(f->link[0].socket.oversized + f->link[1].socket.oversized),
        [FRAMES_STAMPED] = (int64_t)(f->link[0].socket.stamped + f->link[1].socket.stamped),
        [LISTING_AGE] = f->listing_taken == 0 ? 0 : (now - f->listing_taken) / TB_NS_PER_S,
        [HANDOVERS] = (int64_t)f->handovers,
        [REST_REQUESTS] = (int64_t)f->rest.requests,
        [REST_FAILURES] = (int64_t)f->rest.failures,
    };

    (void)svc;
    for (size_t i = 0; i < OWN_COUNTERS; i++)
        tb_stats_set(s->own[i], value[i]);
    if (f->adapter == NULL)
        return 0;
    const uint64_t *counters = f->ops->counters(f->adapter);
    for (size_t i = 0; i < ADAPTER_COUNTERS; i++)
        tb_stats_set(s->adapter[i], (int64_t)counters[i]);
    return 0;
}

static void stop(struct tb_service *svc, void *self)
{
    struct service *s = self;

    (void)housekeep(svc, self, svc->now); /* the totals */
    feed_close(&s->feed);
    curl_global_cleanup();
}

static const struct tb_service_ops ops = {
    .name = "feed",
    .summary = "one venue's market data onto one stream",
    .options = options,
    .option_count = TB_COUNT(options),
    .output = "feed",
    .check = check,
    .start = start,
    .on_output = on_output,
    .poll = poll_feed,
    .housekeep = housekeep,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct service self;
    return tb_service_main(&ops, &self, argc, argv);
}
