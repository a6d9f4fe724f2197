/*
 * A producer for tests of readers and tools: does what it is told on stdin, line by line, and answers
 * each line with "ok LAST_SEQ" (first line: its opening).
 *
 *   fill BUS_DIR STREAM CAPACITY
 *     trades N    N trades of BTC/USDT, price 60000.00 + n * 0.01, size n * 0.001, sides in turn
 *     sample      one record of every type, two venues
 *     stats NAME  a statistics page with counters, a note and a histogram
 *     read N      a named reader ("reader") of the same stream reads N records
 *     done        close the stream as DONE, and end (end of input: as STOPPED)
 *     die         SIGKILL
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/candle.h>
#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>
#include <tickbus/stats.h>

static struct tb_writer writer;
static struct tb_reader reader;
static struct tb_stats stats;
static uint16_t btc, eth;
static uint64_t trades;

static uint16_t add(const char *venue, const char *symbol, const char *raw, const char *label,
                    int8_t price_exp, int8_t size_exp)
{
    struct tb_instrument entry = {.price_exp = price_exp, .size_exp = size_exp};
    snprintf(entry.venue, sizeof(entry.venue), "%s", venue);
    snprintf(entry.symbol, sizeof(entry.symbol), "%s", symbol);
    snprintf(entry.raw, sizeof(entry.raw), "%s", raw);
    snprintf(entry.stream, sizeof(entry.stream), "test");
    snprintf(entry.label, sizeof(entry.label), "%s", label);
    int id = tb_writer_add_instrument(&writer, &entry);
    TB_ASSERT(id > 0);
    return (uint16_t)id;
}

static void publish(uint8_t type, uint16_t instrument, uint8_t flags, struct tb_record r)
{
    tb_ns now = tb_clock_wall();
    r.type = type;
    r.instrument = instrument;
    r.flags = flags;
    if (r.ts_recv == 0)
        r.ts_recv = now;
    r.publish_delta_ns = tb_publish_delta(now, r.ts_recv);
    TB_ASSERT(tb_writer_publish(&writer, &r) != 0);
}

static void publish_trades(unsigned long count)
{
    for (; count > 0; count--) {
        trades++;
        struct tb_record r = {.ts_event = INT64_C(1723161253937085768)};
        r.trade = (struct tb_trade){.price = 6000000 + (int64_t)trades,
                                    .size = (int64_t)trades * 100,
                                    .trade_id = 1000 + trades,
                                    .side = trades % 2 ? TB_BUY : TB_SELL,
                                    .action = TB_TRADED,
                                    .count = 1};
        publish(TB_TRADE, btc, TB_F_LAST, r);
    }
}

static void publish_sample(void)
{
    struct tb_record r = {.ts_event = INT64_C(1723161253937085768)};
    publish_trades(1);
    r.quote =
        (struct tb_quote){.bid_price = 250001, .ask_price = 250002, .bid_size = 5, .ask_size = 10};
    publish(TB_QUOTE, eth, TB_F_LAST | TB_F_TOB, r);
    r.level = (struct tb_level){.update_id = 77};
    publish(TB_CLEAR, btc, TB_F_SNAPSHOT, r);
    r.level = (struct tb_level){
        .price = 5999999, .size = 0, .update_id = 77, .side = TB_BUY, .action = TB_REMOVE};
    publish(TB_LEVEL, btc, TB_F_SNAPSHOT | TB_F_LAST, r);
    r.gap = (struct tb_gap){
        .from = 10, .to = 19, .reason = TB_GAP_SEQUENCE, .channel = TB_CHANNEL_BOOK, .missing = 10};
    publish(TB_GAP, btc, TB_F_LAST, r);
    r.status = (struct tb_status){
        .detail = -110, .code = TB_STATUS_DISCONNECTED, .pid = (uint32_t)getpid()};
    publish(TB_STATUS, 0, TB_F_LAST, r);
    uint16_t rule = add("binance", "BTC/USDT", "BTCUSDT", "btc-high", -2, -5);
    r.alert = (struct tb_alert){.value = 900005,
                                .threshold = 900000,
                                .since = r.ts_event,
                                .state = TB_ALERT_FIRING,
                                .severity = TB_SEVERITY_CRITICAL,
                                .value_exp = -1,
                                .alert_id = 3};
    publish(TB_ALERT, rule, TB_F_LAST, r);
    memcpy(r.body, (uint64_t[4]){1, 2, 3, UINT64_MAX}, sizeof(r.body));
    publish(TB_EVENT, 0, TB_F_LAST, r);
    struct tb_candle candle = {.start = r.ts_event,
                               .ts_recv = tb_clock_wall(),
                               .open = 6000000,
                               .high = 6000100,
                               .low = 5999900,
                               .close = 6000050,
                               .volume = 12345,
                               .taker_buy_volume = 345,
                               .turnover = (__int128)12345 * 6000000,
                               .trades = 9};
    struct tb_record pair[2];
    tb_candle_to_records(&candle, TB_TIMEFRAME_1M, btc, true, pair);
    for (int i = 0; i < 2; i++)
        publish(pair[i].type, btc, pair[i].flags, pair[i]);
}

static void make_stats(const char *bus_dir, const char *name)
{
    struct tb_error err = {""};
    TB_ASSERT(tb_stats_open(bus_dir, name, "tickbus-test", &stats, &err) == 0);
    tb_stats_set(tb_stats_add(&stats, "reconnects", TB_STAT_COUNTER), 3);
    tb_stats_set(tb_stats_add(&stats, "connected", TB_STAT_GAUGE), 1);
    tb_stats_set(tb_stats_add(&stats, "gaps", TB_STAT_COUNTER), 2);
    struct tb_stats_histogram *h = tb_stats_add_histogram(&stats, "latency_ns");
    for (tb_ns v = 1000; v <= 100000; v += 1000)
        tb_stats_observe(h, v);
    tb_stats_state(&stats, TB_SERVICE_DEGRADED, "a \"note\" with \033[31mcolour");
    tb_stats_housekeep(&stats, tb_clock_wall());
}

static void read_some(const char *bus_dir, const char *stream, unsigned long count)
{
    struct tb_error err = {""};
    struct tb_reader_options options = {.from = TB_FROM_OLDEST, .name = "reader"};
    if (reader.private_ == NULL)
        TB_ASSERT(tb_reader_open(bus_dir, stream, &options, &reader, &err) == 0);
    for (; count > 0; count--) {
        struct tb_record r;
        while (tb_reader_next(&reader, &r) == TB_READ_OVERRUN)
            (void)tb_reader_resync(&reader);
    }
    tb_reader_release(&reader, reader.cursor, tb_clock_wall());
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "fill BUS_DIR STREAM CAPACITY\n");
        return 64;
    }
    struct tb_error err = {""};
    struct tb_writer_options options = {.capacity = strtoull(argv[3], NULL, 10)};
    (void)mkdir(argv[1], 0750);
    if (tb_writer_open(argv[1], argv[2], &options, &writer, &err) != 0) {
        fprintf(stderr, "fill: %s\n", err.text);
        return 69;
    }
    btc = add("binance", "BTC/USDT", "BTCUSDT", "", -2, -5);
    eth = add("binanceus", "ETH/USDT", "ETHUSDT", "", -2, -3);
    enum tb_stream_state end = TB_STREAM_STOPPED;
    char line[128] = "open";
    do {
        char word[64] = "", name[32] = "";
        unsigned long count = 0;
        sscanf(line, "%63s %31s", word, name);
        count = strtoul(name, NULL, 10);
        if (strcmp(word, "trades") == 0)
            publish_trades(count);
        else if (strcmp(word, "sample") == 0)
            publish_sample();
        else if (strcmp(word, "stats") == 0)
            make_stats(argv[1], name);
        else if (strcmp(word, "read") == 0)
            read_some(argv[1], argv[2], count);
        else if (strcmp(word, "die") == 0)
            raise(SIGKILL);
        else if (strcmp(word, "done") == 0) {
            end = TB_STREAM_DONE;
            break;
        }
        tb_writer_housekeep(&writer, tb_clock_wall());
        printf("ok %llu\n", (unsigned long long)(writer.next_seq - 1));
        fflush(stdout);
    } while (fgets(line, sizeof(line), stdin) != NULL);
    tb_reader_close(&reader, false);
    if (stats.page != NULL)
        tb_stats_close(&stats, TB_SERVICE_STOPPED, 0);
    tb_writer_close(&writer, end);
    return 0;
}
