/*
 * The state of an OKX adapter beside what every adapter has (market.h), shared by its parts: frames and
 * trades (okx.c), books (okx_book.c), listings and recordings (okx_listing.c).
 */
#ifndef TICKBUS_PRODUCERS_OKX_STATE_H
#define TICKBUS_PRODUCERS_OKX_STATE_H

#include "producers/adapter/okx_json.h"
#include "producers/adapter/subscription.h"

struct okx {
    struct subscription_adapter base;
    struct okx_decoder *decoder;
    tb_ns rest_due; /* when the venue's request budget will be whole again */
};

struct okx_market {
    bool has_top;   /* bbo-tbt comes: tickers are not needed */
    bool agreed;    /* the book's subscription, and no snapshot came since */
    bool requested; /* a snapshot was asked for by REST */
    bool loose;     /* it joined: the next update may have begun before it */
    uint8_t attempts;
    uint64_t prev; /* prevSeqId of the last update that was applied */
};

/* okx_time: ms as text to ns. 0 or -EBADMSG. */
int okx_time(struct adapter_text text, tb_ns *out);

int okx_on_book(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                bool snapshot, tb_ns ts_recv);
int okx_on_rest_book(struct adapter *a, struct adapter_market *m, const struct okx_item *item,
                     tb_ns ts_recv);
int okx_resync(struct adapter *a, const char *symbol, tb_ns ts_recv);
/* okx_no_rest_book: the request failed; ask again, later each time. */
void okx_no_rest_book(struct adapter *a, struct adapter_market *m, tb_ns ts_recv);

/* okx_listing.c: what okx_ops needs of it. */
extern const char *const okx_listing_kinds[];
int okx_listing_path(const char *const *symbols, size_t count, char *out_path, size_t capacity);
int okx_listing_read(const char *body, size_t length,
                     void (*each)(void *context, const struct adapter_market_config *market),
                     void *context);
int okx_scan(const char *path, const char *bytes, size_t length,
             struct adapter_market_config *markets, size_t *count, size_t max, unsigned *channels);
/* okx_path_symbol: the instrument that a request for a book asks for; empty if it is none, or NULL. */
struct adapter_text okx_path_symbol(const char *path);

#endif
