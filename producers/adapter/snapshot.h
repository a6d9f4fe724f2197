/*
 * Books that begin with a REST snapshot and go on by ids (Binance, exchanges.md 2.4; MEXC, 1.6):
 *
 *   not synced  events are kept, in order, in a bounded buffer. The first one makes us ask for a
 *               snapshot. Those with last <= id are older than it and dropped; the first one left must
 *               begin at id + 1 or before. If it begins later, the snapshot is too old: again.
 *   synced      last <= id: seen, dropped. first <= id + 1: applied, id = last. first > id + 1: events
 *               are missing: a gap, the book is given up, the event is the first of the next buffer.
 *
 * `sync.last` is the greatest id seen in any state, so a jump is noticed while a snapshot is awaited and
 * over reconnects too, and says exactly which ids are missing.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_SNAPSHOT_H
#define TICKBUS_PRODUCERS_ADAPTER_SNAPSHOT_H

#include "producers/adapter/market.h"

/* A whole book, or a change of one, as a family decoded it. */
struct snapshot_message {
    uint64_t first; /* of a change: the first id in it */
    uint64_t last;  /* the id that the book has with it */
    tb_ns ts_event;
    struct adapter_levels bids, asks;
};

struct snapshot_rule {
    const char *path; /* "/api/v3/depth", to which ?symbol=..&limit=.. is added */
    unsigned levels;  /* the limit */
    unsigned burst;   /* of requests; then one each `every` */
    tb_ns every;
    /* An answer's body. 0 or -EBADMSG. */
    int (*decode)(struct adapter *a, const char *body, size_t length, struct snapshot_message *out);
    /* After a change was applied: the family's own look at the book. May be NULL. */
    void (*applied)(struct adapter *a, struct adapter_market *m);
};

/* The first member of the family's struct. */
struct snapshot_adapter {
    struct adapter core;
    const struct snapshot_rule *rule;
    tb_ns due; /* when the venue's request budget will be whole again */
};

/* The first member of its struct of a market, at market->own. */
struct snapshot_market {
    bool has_changes; /* they come: whole small books are not needed */
    bool present;     /* they came on this connection: what follows a snapshot will come too */
    bool requested;   /* a snapshot was asked for */
    uint8_t attempts; /* snapshots asked for in vain */
};

int snapshot_on_change(struct adapter *a, struct adapter_market *m,
                       const struct snapshot_message *msg, tb_ns ts_recv);
/* snapshot_on_partial: a whole small book. Of use only where no changes come. */
int snapshot_on_partial(struct adapter *a, struct adapter_market *m,
                        const struct snapshot_message *msg, tb_ns ts_recv);
/* adapter_ops.on_rest, resync and on_disconnect */
int snapshot_resync(struct adapter *a, const char *symbol, tb_ns ts_recv);
int snapshot_on_rest(struct adapter *a, uint32_t request, const char *path, int status,
                     const char *body, size_t length, tb_ns ts_recv);
void snapshot_on_disconnect(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason);
/* snapshot_path_symbol: the symbol that a request for this path asks for; empty if it is another path, or
 * NULL. */
struct adapter_text snapshot_path_symbol(const char *rule_path, const char *path);

#endif
