/*
 * What the test of LAYOUT.md needs of the C side.
 *
 *   layout_example DIR example          publishes the worked example of LAYOUT.md as stream "example"
 *   layout_example DIR random SEED N    publishes N records of all types on stream "random" (capacity
 *                                       256), then prints what a C reader reads, one line a record
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/reader.h>
#include <tickbus/ring.h>

static struct tb_writer open_stream(const char *dir, const char *stream, uint64_t capacity)
{
    struct tb_error err;
    struct tb_writer w;
    const struct tb_writer_options options = {.capacity = capacity};
    if (tb_writer_open(dir, stream, &options, &w, &err) != 0) {
        (void)fprintf(stderr, "layout_example: %s\n", err.text);
        exit(1);
    }
    static const struct tb_instrument btc = {.venue = "binance",
                                             .symbol = "BTC/USDT",
                                             .raw = "BTCUSDT",
                                             .price_exp = -2,
                                             .size_exp = -8};
    static const struct tb_instrument fine = {.venue = "binance",
                                              .symbol = "BTC/USDT",
                                              .raw = "BTCUSDT",
                                              .price_exp = -4,
                                              .size_exp = -8};
    (void)tb_writer_add_instrument(&w, &btc);
    if (strcmp(stream, "random") == 0)
        (void)tb_writer_add_instrument(&w, &fine);
    return w;
}

static void publish_example(const char *dir)
{
    struct tb_writer w = open_stream(dir, "example", 8);
    const struct tb_record trade = {
        .ts_event = 1723161253937085768,
        .ts_recv = 1723161253937130809,
        .instrument = 1,
        .type = TB_TRADE,
        .flags = TB_F_LAST,
        .publish_delta_ns = 1000000,
        .trade = {.price = 6012345,
                  .size = 150000,
                  .trade_id = 42,
                  .side = TB_BUY,
                  .action = TB_TRADED,
                  .count = 1},
    };
    (void)tb_writer_publish(&w, &trade);
    tb_writer_close(&w, TB_STREAM_DONE);
}

static uint64_t random_state;

static uint64_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct tb_record random_record(void)
{
    static const uint8_t types[] = {TB_TRADE,  TB_QUOTE, TB_LEVEL,      TB_CLEAR,
                                    TB_GAP,    TB_ALERT, TB_CANDLE + 3, TB_CANDLE_VOLUME + 3,
                                    TB_STATUS, TB_EVENT, 0x77 /* of a newer build */};
    struct tb_record record = {
        .ts_event = (tb_ns)random_word(),
        .ts_recv = (tb_ns)random_word(),
        .instrument = (uint16_t)(random_word() % 4), /* 3 is not in the table */
        .type = types[random_word() % TB_COUNT(types)],
        .flags = (uint8_t)random_word(),
        .publish_delta_ns = (uint32_t)random_word(),
    };
    for (size_t i = 0; i < 4; i++)
        record.body[i] = random_word();
    return record;
}

static void print_body(const struct tb_record *r)
{
    switch (r->type & 0xF8 ? r->type & 0xF8 : r->type) {
    case TB_TRADE:
        printf(" %" PRId64 " %" PRId64 " %" PRIu64 " %u %u %u %u", r->trade.price, r->trade.size,
               r->trade.trade_id, r->trade.side, r->trade.action, r->trade.count,
               r->trade.venue_seq);
        return;
    case TB_QUOTE:
        printf(" %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, r->quote.bid_price,
               r->quote.ask_price, r->quote.bid_size, r->quote.ask_size);
        return;
    case TB_LEVEL:
    case TB_CLEAR:
        printf(" %" PRId64 " %" PRId64 " %" PRIu64 " %u %u %u %u", r->level.price, r->level.size,
               r->level.update_id, r->level.side, r->level.action, r->level.level, r->level.orders);
        return;
    case TB_GAP:
        printf(" %" PRIu64 " %" PRIu64 " %u %u %" PRIu64, r->gap.from, r->gap.to, r->gap.reason,
               r->gap.channel, r->gap.missing);
        return;
    case TB_STATUS:
        printf(" %" PRId64 " %u %u", r->status.detail, r->status.code, r->status.pid);
        return;
    case TB_ALERT:
        printf(" %" PRId64 " %" PRId64 " %" PRId64 " %u %u %d %u", r->alert.value,
               r->alert.threshold, r->alert.since, r->alert.state, r->alert.severity,
               r->alert.value_exp, r->alert.alert_id);
        return;
    case TB_CANDLE:
        printf(" %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, r->candle.open, r->candle.high,
               r->candle.low, r->candle.close);
        return;
    case TB_CANDLE_VOLUME:
        printf(" %" PRId64 " %" PRIu64 " %u %d %" PRId64, r->candle_volume.volume,
               r->candle_volume.turnover_low, r->candle_volume.trades,
               r->candle_volume.turnover_high, r->candle_volume.taker_buy_volume);
        return;
    default:
        for (size_t i = 0; i < 4; i++)
            printf(" %" PRIu64, r->body[i]);
    }
}

static void print_stream(const char *dir, const char *stream)
{
    struct tb_reader r;
    struct tb_record record;
    if (tb_reader_open(dir, stream, NULL, &r, NULL) != 0)
        exit(1);
    while (tb_reader_next(&r, &record) == TB_READ_OK) {
        printf("%" PRIu64 " %" PRId64 " %" PRId64 " %u %s %u %u", record.seq, record.ts_event,
               record.ts_recv, record.instrument, tb_record_type_name(record.type), record.flags,
               record.publish_delta_ns);
        print_body(&record);
        printf("\n");
    }
    tb_reader_close(&r, false);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[2], "example") == 0) {
        publish_example(argv[1]);
        return 0;
    }
    if (argc != 5 || strcmp(argv[2], "random") != 0) {
        (void)fprintf(stderr, "usage: layout_example DIR example | DIR random SEED COUNT\n");
        return 64;
    }
    random_state = strtoull(argv[3], NULL, 0) * 2 + 1;
    struct tb_writer w = open_stream(argv[1], "random", 256);
    for (long left = strtol(argv[4], NULL, 0); left > 0; left--) {
        struct tb_record record = random_record();
        (void)tb_writer_publish(&w, &record);
    }
    tb_writer_close(&w, TB_STREAM_DONE);
    print_stream(argv[1], "random");
    return 0;
}
