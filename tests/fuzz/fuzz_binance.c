/*
 * The Binance adapter under any sequence of inputs. One line each:
 *
 *   {..}      a frame                   R{..}  a REST depth answer for the first market
 *   C  D      connected, disconnected   E      a REST answer that failed
 *   L{..}     a listing                 S{..}  a frame looked at as a scan does
 *
 * Beside not crashing: every record is well formed, and a reader that applies the records has, whenever
 * the adapter's book is in sync, the same book.
 */
#include <string.h>

#include <tickbus/book.h>
#include <tickbus/decimal.h>

#include "fuzz.h"
#include "producers/adapter/adapter.h"

#define MARKETS 2
#define DEPTH 64

static struct {
    struct tb_instrument entry[256];
    int entries;
    struct tb_book book[MARKETS];
} reader;

static size_t market_of(uint16_t instrument)
{
    return strcmp(reader.entry[instrument - 1].raw, "BTCUSDT") == 0 ? 0 : 1;
}

static void check_record(const struct tb_record *r)
{
    TB_ASSERT(r->instrument <= reader.entries && r->seq == 0 && r->publish_delta_ns == 0);
    TB_ASSERT(r->type >= TB_TRADE && r->type <= TB_STATUS);
    if (r->type == TB_TRADE)
        TB_ASSERT(r->trade.price > 0 && r->trade.size > 0 && r->trade.count > 0);
    if (r->type == TB_GAP)
        TB_ASSERT(r->gap.from <= r->gap.to && r->gap.reason != 0 && r->gap.channel != 0);
    if (r->type == TB_LEVEL)
        TB_ASSERT(r->level.price >= 0 && (r->level.size == 0) == (r->level.action == TB_REMOVE));
    if (r->instrument == 0) {
        TB_ASSERT(r->type == TB_STATUS);
        return;
    }
    const struct tb_instrument *entry = &reader.entry[r->instrument - 1];
    (void)tb_book_apply(&reader.book[market_of(r->instrument)], r, entry->price_exp,
                        entry->size_exp);
}

static int publish(void *context, struct tb_record *records, size_t count)
{
    (void)context;
    TB_ASSERT(count > 0 && (records[count - 1].flags & TB_F_LAST));
    for (size_t i = 0; i < count; i++)
        check_record(&records[i]);
    return 0;
}

static int add_instrument(void *context, const struct tb_instrument *entry)
{
    (void)context;
    struct tb_instrument copy = *entry;
    copy.market = 1;
    TB_ASSERT(tb_instrument_check(&copy, 1));
    TB_ASSERT(reader.entries < (int)TB_COUNT(reader.entry));
    reader.entry[reader.entries] = *entry;
    return ++reader.entries;
}

static void get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    (void)context;
    TB_ASSERT(request >= 1 && request <= MARKETS && path[0] == '/' && not_before_ns >= 0);
}

static void reconnect(void *context, const char *why)
{
    (void)context, (void)why;
}

static void see_market(void *context, const struct adapter_market_config *market)
{
    (void)context;
    TB_ASSERT(tb_symbol_check(market->symbol));
}

static void scan(const struct adapter_ops *ops, const char *path, const char *at, size_t length)
{
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    (void)ops->scan(path, at, length, markets, &count, TB_COUNT(markets), &channels);
    for (size_t i = 0; i < count; i++)
        TB_ASSERT(tb_symbol_check(markets[i].symbol) && markets[i].price_exp >= TB_EXP_MIN &&
                  markets[i].price_exp <= 0);
}

static void check_books(const struct adapter_ops *ops, const struct adapter *a)
{
    static const char *const symbols[MARKETS] = {"BTC/USDT", "ETH/BTC"};
    for (size_t m = 0; m < MARKETS; m++) {
        const struct tb_book *ours = ops->book(a, symbols[m]), *theirs = &reader.book[m];
        if (!ours->valid)
            continue;
        TB_ASSERT(theirs->valid && ours->bid.count == theirs->bid.count &&
                  ours->ask.count == theirs->ask.count);
        if (ours->bid.count + ours->ask.count == 0)
            continue;
        TB_ASSERT(ours->price_exp == theirs->price_exp && ours->size_exp == theirs->size_exp);
        TB_ASSERT(memcmp(ours->bid.level, theirs->bid.level,
                         ours->bid.count * sizeof(ours->bid.level[0])) == 0);
        TB_ASSERT(memcmp(ours->ask.level, theirs->ask.level,
                         ours->ask.count * sizeof(ours->ask.level[0])) == 0);
    }
}

static void give_line(const struct adapter_ops *ops, struct adapter *a, const char *line,
                      size_t length, tb_ns now)
{
    char *copy = fuzz_padded(line, length, ADAPTER_PADDING);
    char kind = length > 0 ? copy[0] : '{';
    if (kind == 'C')
        ops->on_connect(a, now);
    else if (kind == 'D')
        ops->on_disconnect(a, now, 1006, TB_GAP_RECONNECT);
    else if (kind == 'E')
        (void)ops->on_rest(a, 1, NULL, 503, copy + 1, length - 1, now);
    else if (kind == 'R')
        (void)ops->on_rest(a, 1, "/api/v3/depth?symbol=BTCUSDT", 200, copy + 1, length - 1, now);
    else if (kind == 'L')
        (void)ops->listing_read(copy + 1, length - 1, see_market, NULL);
    else if (kind == 'S') {
        scan(ops, NULL, copy + 1, length - 1);
        scan(ops, "/api/v3/depth?limit=5&symbol=ABCBTC", copy + 1, length - 1);
    } else
        (void)ops->on_frame(a, copy, length, now);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct adapter_market_config market[MARKETS] = {
        {.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -5},
        {.symbol = "ETH/BTC", .raw = "ETHBTC", .price_exp = 0, .size_exp = 0},
    };
    static const struct adapter_host host = {NULL, publish, add_instrument, get, reconnect, NULL};
    const struct adapter_ops *ops = adapter_find("binance");
    struct adapter_config config = {.venue = "binance",
                                    .stream = "fuzz",
                                    .market = market,
                                    .market_count = MARKETS,
                                    .channels = ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK,
                                    .book_depth = DEPTH};
    if (count == 0)
        return 0;
    config.aggregated = bytes[0] & 1;
    config.recorded = bytes[0] & 2;
    reader.entries = 0;
    for (size_t m = 0; m < MARKETS; m++)
        if (tb_book_init(&reader.book[m], DEPTH) != 0)
            return 0;
    struct adapter *a = ops->create(&config, &host, NULL);
    TB_ASSERT(a != NULL);
    const char *at = (const char *)bytes + 1, *end = (const char *)bytes + count;
    for (tb_ns now = TB_NS_PER_S; at < end; now += 7 * TB_NS_PER_MS) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        give_line(ops, a, at, (size_t)(stop - at), now);
        check_books(ops, a);
        at = stop + 1;
    }
    ops->destroy(a);
    for (size_t m = 0; m < MARKETS; m++)
        tb_book_fini(&reader.book[m]);
    return 0;
}
