/*
 * A venue's adapter under any sequence of inputs. One line each (MEXC, whose frames are binary: each ended
 * by FUZZ_BINARY_END):
 *
 *   {..}      a frame                   R{..}  a REST book for the first market
 *   C  D      connected, disconnected   E      a REST answer that failed
 *   L{..}     a listing                 S{..}  a frame looked at as a scan does
 *   T         time passes
 *
 * Beside not crashing: every record is well formed, and a reader that applies the records has, whenever
 * the adapter's book is in sync, the same book.
 */
#include <string.h>

#include <tickbus/book.h>
#include <tickbus/decimal.h>

#include "fuzz_adapter.h"
#include "fuzz_keep.h"

#define MARKETS FUZZ_MARKETS
#define DEPTH 64

static const struct fuzz_venue *venue;
static struct {
    struct tb_instrument entry[256];
    int entries;
    struct tb_book book[MARKETS];
} reader;

static size_t market_of(uint16_t instrument)
{
    return strcmp(reader.entry[instrument - 1].raw, venue->market[0].raw) == 0 ? 0 : 1;
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

static void send_text(void *context, const char *text, size_t length, tb_ns not_before_ns)
{
    (void)context;
    TB_ASSERT(length > 0 && length < ADAPTER_REQUEST_BYTES && text[length] == '\0' &&
              not_before_ns >= 0);
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

void fuzz_check_books(const struct adapter_ops *ops, const struct adapter *a)
{
    for (size_t m = 0; m < MARKETS; m++) {
        const struct tb_book *ours = ops->book(a, venue->market[m].symbol),
                             *theirs = &reader.book[m];
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
        (void)ops->on_rest(a, 1, venue->book_path, 200, copy + 1, length - 1, now);
    else if (kind == 'L')
        (void)ops->listing_read(copy + 1, length - 1, see_market, NULL);
    else if (kind == 'S') {
        scan(ops, NULL, copy + 1, length - 1);
        scan(ops, venue->book_path, copy + 1, length - 1);
    } else if (kind == 'T' && ops->on_time != NULL)
        ops->on_time(a, now + 11 * TB_NS_PER_S);
    else
        (void)ops->on_frame(a, copy, length, now);
}

/* The next input; *at is behind its end afterwards. */
static size_t next_input(const char **at, const char *end)
{
    const char *mark = venue->binary ? FUZZ_BINARY_END : "\n", *from = *at;
    const char *found = memmem(from, (size_t)(end - from), mark, strlen(mark));
    *at = found == NULL ? end : found + strlen(mark);
    return (size_t)((found == NULL ? end : found) - from);
}

/* As a reader that has just attached; the levels' memory is kept. */
static void reset_reader(uint32_t depth)
{
    static struct tb_book empty[MARKETS];
    for (size_t m = 0; m < MARKETS; m++) {
        if (empty[m].bid.capacity == 0)
            TB_ASSERT(tb_book_init(&empty[m], depth) == 0);
        reader.book[m] = empty[m];
    }
    reader.entries = MARKETS; /* of the adapter's making, which may have been long ago */
    for (size_t m = 0; m < MARKETS; m++)
        TB_ASSERT(reader.entry[m].raw[0] != '\0');
}

struct adapter *fuzz_begin(const struct fuzz_venue *of, unsigned which)
{
    static const struct adapter_host host = {NULL, publish,   add_instrument,
                                             get,  reconnect, send_text};
    struct adapter_market_config market[MARKETS];
    const struct adapter_config config = {.venue = of->id,
                                          .stream = "fuzz",
                                          .market = market,
                                          .market_count = MARKETS,
                                          .channels =
                                              ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK,
                                          .book_depth = DEPTH,
                                          .aggregated = which & 1,
                                          .recorded = which & 2};
    venue = of;
    memcpy(market, of->market, sizeof(market));
    reader.entries = 0;
    struct adapter *a = fuzz_take(which & 3, adapter_find(of->id), &config, &host);
    reset_reader(of->reader_depth > 0 ? of->reader_depth : DEPTH);
    return a;
}

void fuzz_end(struct adapter *a)
{
    fuzz_give(adapter_find(venue->id), a);
}

int fuzz_adapter(const struct fuzz_venue *of, const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    const struct adapter_ops *ops = adapter_find(of->id);
    struct adapter *a = fuzz_begin(of, bytes[0]);
    const char *at = (const char *)bytes + 1, *end = (const char *)bytes + count;
    for (tb_ns now = TB_NS_PER_S; at < end; now += 7 * TB_NS_PER_MS) {
        const char *from = at;
        give_line(ops, a, from, next_input(&at, end), now);
        fuzz_check_books(ops, a);
    }
    fuzz_end(a);
    return 0;
}
