/*
 * A capture through its venue's adapter, event by event, into whoever takes the records: the same
 * records each time. No clock and no stream here; main.c has both.
 */
#ifndef TICKBUS_PRODUCERS_REPLAY_H
#define TICKBUS_PRODUCERS_REPLAY_H

#include "producers/adapter/adapter.h"
#include "producers/capture/capture.h"

enum replay_trades { REPLAY_TRADES_AUTO, REPLAY_TRADES_SINGLE, REPLAY_TRADES_AGGREGATED };

struct replay {
    /* what to play; set by the caller */
    const char *venue;
    const char *stream;
    const struct tb_list *symbols; /* unified or raw; empty: all */
    unsigned channels;             /* enum adapter_channel bits */
    enum replay_trades trades;
    uint32_t book_depth;

    const struct adapter_ops *ops;
    struct capture *capture;
    struct adapter *adapter;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX]; /* found by the scan, then filtered */
    size_t market_count;
    unsigned found; /* channels in the capture, ADAPTER_SCAN_* included */
    uint64_t scan_bad;
    bool connected[CAPTURE_FILES_MAX];
    bool said_connected;
    struct capture_event event; /* the next one, if has_event */
    bool has_event;
    bool ended;
    tb_ns last_recv;
    uint64_t events;
};

/*
 * replay_scan: one event of the first pass: markets, channels, exponents. 1; 0 at the end, after
 * which replay_filter leaves the symbols that were asked for, and the capture is at its beginning
 * again.
 */
int replay_scan(struct replay *r);
/* replay_filter: 0; -EINVAL: a symbol is not in the capture, or nothing is, which err says. */
int replay_filter(struct replay *r, struct tb_error *err);

/* replay_tag: of what would be played: the same tag makes the same records. Never 0. */
uint64_t replay_tag(const struct replay *r);

/* replay_open: after the scan: the adapter. 0 or -errno. replay_close accepts a half-open one. */
int replay_open(struct replay *r, const struct adapter_host *host, struct tb_error *err);
void replay_close(struct replay *r);

/* replay_peek: the next event, not played yet; NULL at the end. */
const struct capture_event *replay_peek(struct replay *r);
/* replay_play: play it. 0; -EBADMSG it could not be read (and is counted); other -errno from
 * publish. */
int replay_play(struct replay *r);

#endif
