/*
 * Names and precisions of markets: from a venue's listing, and from what a recording shows when
 * there is no listing.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_LISTING_H
#define TICKBUS_PRODUCERS_ADAPTER_LISTING_H

#include "producers/adapter/adapter.h"
#include "producers/adapter/text.h"

#define LISTING_EXP_DEFAULT                                                                        \
    (-8) /* where a listing has no increment: the venues' own eight decimals */

/* listing_copy: ended and padded with NUL. False: empty, or longer than that. */
bool listing_copy(struct adapter_text text, char *out, size_t capacity);
/* listing_unify: "BTC" and "USDT" to "BTC/USDT". False: the bus can not carry the name. */
bool listing_unify(struct adapter_text base, struct adapter_text quote, char out[TB_SYMBOL_BYTES]);
/* listing_settle: "BTC/USDT" to "BTC/USDT:USDT", "BTC/USDT:USDT-250328" if it expires. False: too
 * long. */
bool listing_settle(struct adapter_text settle, const char *expiry, char symbol[TB_SYMBOL_BYTES]);
/* listing_settle_quote: the same of contracts that are settled in the symbol's own quote asset; what is no pair stays. */
bool listing_settle_quote(const char *expiry, char symbol[TB_SYMBOL_BYTES]);
/*
 * listing_split: "BTCUSDT" of a recording to "BTC/USDT", by the venue's quote assets. Where several
 * fit, the longest is meant: BTCFDUSD is BTC/FDUSD, not BTCFD/USD. A symbol that ends in none keeps
 * its raw name. False: the bus can not carry it.
 */
bool listing_split(const char *raw, const char *const *quotes, size_t count,
                   char out[TB_SYMBOL_BYTES]);
/* listing_exp: of a tick or step size; `otherwise` if it is absent or zero. */
int8_t listing_exp(struct adapter_text text, int8_t otherwise);
/*
 * listing_escape: text as a URL wants it, "/" left out (unified to raw: BTC/USDT is BTCUSDT),
 * behind the `used` characters of out[]. The new length; `capacity` if there is no room.
 */
size_t listing_escape(char *out, size_t used, size_t capacity, const char *text);
/* listing_config: one market as adapters take it. False: a name that the bus can not carry. */
bool listing_config(const struct adapter_market_text *text, int8_t otherwise,
                    struct adapter_market_config *out);

/* Reading a listing: who wants its markets, and how many there were. */
struct listing_reader {
    void (*each)(void *context, const struct adapter_market_config *market);
    void *context;
    int count;
};
/* listing_take: one market, to them. listing_result: of adapter_ops.listing_read: decoding's -errno, or how many. */
void listing_take(struct listing_reader *reader, const struct adapter_market_config *market);
int listing_result(const struct listing_reader *reader, int rc);

/* listing_finest: makes exponents as fine as prices and sizes, alternating, need. False: no
 * number. */
bool listing_finest(const struct adapter_text *text, size_t count, int8_t exp[2]);
bool listing_finest_levels(const struct adapter_levels *levels, int8_t exp[2]);

/*
 * listing_found: a recording shows this market, whose numbers need these exponents: found or added.
 * `name` makes the unified symbol of the raw one. False: it has no fit name, or there is no room.
 */
bool listing_found(struct adapter_text raw,
                   bool (*name)(const char *raw, char out[TB_SYMBOL_BYTES]), const int8_t exp[2],
                   struct adapter_market_config *markets, size_t *count, size_t max);

#endif
