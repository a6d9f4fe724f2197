/*
 * Plays a capture through its adapter and prints what comes out, one line a record, numbers as
 * decimals; then the counters and the books. For adapter_facts.py, which compares them with the facts.
 *
 *   adapter_dump VENUE CAPTURE...
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/book.h>
#include <tickbus/decimal.h>

#include "producers/adapter/sink.h"
#include "producers/capture/scan.h"

static struct tb_instrument table[1024];
static int table_count;

static const char *text(int64_t mantissa, int exp)
{
    static char out[8][TB_DECIMAL_BYTES];
    static unsigned next;
    char *at = out[next++ % 8];
    (void)tb_decimal_format(mantissa, exp, at);
    return at;
}

static void print_record(const struct tb_record *r)
{
    static const struct tb_instrument whole = {.symbol = "-"};
    const struct tb_instrument *i = r->instrument == 0 ? &whole : &table[r->instrument - 1];
    int p = i->price_exp, s = i->size_exp;
    printf("%s %s %" PRId64 " %" PRId64 " %u", tb_record_type_name(r->type), i->symbol, r->ts_event,
           r->ts_recv, r->flags);
    if (r->type == TB_TRADE)
        printf(" %" PRIu64 " %s %s %c %u", r->trade.trade_id, text(r->trade.price, p),
               text(r->trade.size, s), r->trade.side, r->trade.count);
    else if (r->type == TB_QUOTE)
        printf(" %s %s %s %s", text(r->quote.bid_price, p), text(r->quote.bid_size, s),
               text(r->quote.ask_price, p), text(r->quote.ask_size, s));
    else if (r->type == TB_LEVEL)
        printf(" %" PRIu64 " %c %c %s %s", r->level.update_id, r->level.side, r->level.action,
               text(r->level.price, p), text(r->level.size, s));
    else if (r->type == TB_CLEAR)
        printf(" %" PRIu64, r->level.update_id);
    else if (r->type == TB_GAP)
        printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s", r->gap.from, r->gap.to, r->gap.missing,
               tb_gap_reason_name(r->gap.reason), tb_channel_name(r->gap.channel));
    else if (r->type == TB_STATUS)
        printf(" %s %" PRId64, tb_status_name(r->status.code), r->status.detail);
    putchar('\n');
}

static int publish(void *context, struct tb_record *records, size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        print_record(&records[i]);
    return 0;
}

static int instrument(void *context, const struct tb_instrument *entry)
{
    (void)context;
    if ((size_t)table_count == TB_COUNT(table))
        return -1;
    table[table_count] = *entry;
    return ++table_count;
}

static void print_side(const char *symbol, char side, const struct tb_book *b,
                       const struct tb_book_side *levels)
{
    for (uint32_t i = levels->count; i > 0; i--)
        printf("book %s %c %s %s\n", symbol, side, text(levels->level[i - 1].price, b->price_exp),
               text(levels->level[i - 1].size, b->size_exp));
}

static int play(struct capture *c, const struct adapter_ops *ops, struct adapter_config *config)
{
    struct adapter_host host = adapter_sink(NULL);
    host.publish = publish;
    host.instrument = instrument;
    struct tb_error err;
    struct capture_event e;
    struct adapter *a = ops->create(config, &host, &err);
    if (a == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (capture_next(c, &e) == 1)
        if (e.kind == CAPTURE_FRAME)
            (void)ops->on_frame(a, e.text, e.length, e.ts_recv);
        else if (e.kind == CAPTURE_HTTP)
            (void)ops->on_rest(a, 0, e.url, 200, e.text, e.length, e.ts_recv);
    for (int i = 0; i < ADAPTER_COUNTERS; i++)
        printf("counter %s %" PRIu64 "\n", adapter_counter_name[i], ops->counters(a)[i]);
    for (size_t i = 0; i < config->market_count; i++) {
        const struct tb_book *b = ops->book(a, config->market[i].symbol);
        print_side(config->market[i].symbol, 'B', b, &b->bid);
        print_side(config->market[i].symbol, 'A', b, &b->ask);
    }
    ops->destroy(a);
    return 0;
}

int main(int argc, char **argv)
{
    static struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    const struct adapter_ops *ops = argc > 2 ? adapter_find(argv[1]) : NULL;
    struct adapter_config config = {.stream = "dump", .market = market, .recorded = true};
    struct capture *c;
    struct capture_event e;
    struct tb_error err;
    if (ops == NULL ||
        capture_open((const char *const *)argv + 2, (size_t)argc - 2, NULL, NULL, &c, &err) != 0) {
        fprintf(stderr, "adapter_dump VENUE CAPTURE...: %s\n", ops == NULL ? "no venue" : err.text);
        return 64;
    }
    config.venue = argv[1];
    while (capture_next(c, &e) == 1)
        (void)capture_scan(ops, &e, market, &config.market_count, ADAPTER_MARKETS_MAX,
                           &config.channels);
    config.aggregated = !(config.channels & ADAPTER_SCAN_SINGLE);
    for (size_t i = 0; i < config.market_count; i++)
        printf("market %s %s %d %d\n", market[i].symbol, market[i].raw, market[i].price_exp,
               market[i].size_exp);
    int rc = capture_rewind(c) == 0 ? play(c, ops, &config) : 74;
    capture_close(c);
    return rc;
}
