/*
 * A producer for the tests of metrics and alerts: publishes what it is told on stdin, line by line,
 * and answers each with "ok NUMBER" (an instrument's id, else the last sequence).
 *
 *   watch_source BUS_DIR STREAM CAPACITY
 *     instrument VENUE SYMBOL PRICE_EXP SIZE_EXP
 *     trade ID TS PRICE SIZE B|A|N        numbers are mantissas; TS in ns, 0: now
 *     trades ID N                         N trades, price 1, 2, .. size 1, now
 *     quote ID TS BID ASK
 *     clear ID TS                         begins a snapshot
 *     level ID TS B|A PRICE SIZE LAST     LAST 1: ends the snapshot or event
 *     change ID TS B|A PRICE SIZE         an event of one level
 *     gap ID TS CHANNEL MISSING
 *     status ID TS CODE
 *     candle ID TIMEFRAME START OPEN HIGH LOW CLOSE VOLUME FORMING
 *     done | stop
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/candle.h>
#include <tickbus/clock.h>
#include <tickbus/ring.h>

static struct tb_writer writer;

static void publish(struct tb_record *r, uint8_t type, unsigned id, tb_ns ts, uint8_t flags)
{
    tb_ns now = tb_clock_wall();
    r->type = type;
    r->instrument = (uint16_t)id;
    r->flags = flags;
    r->ts_event = r->ts_event != 0 ? r->ts_event : ts != 0 ? ts : now;
    r->ts_recv = ts != 0 ? ts : now;
    r->publish_delta_ns = tb_publish_delta(now, r->ts_recv);
    TB_ASSERT(tb_writer_publish(&writer, r) != 0);
}

static int add_instrument(const char *line)
{
    struct tb_instrument entry = {0};
    int price_exp, size_exp;
    if (sscanf(line, "instrument %15s %39s %d %d", entry.venue, entry.symbol, &price_exp,
               &size_exp) != 4)
        return -1;
    entry.price_exp = (int8_t)price_exp;
    entry.size_exp = (int8_t)size_exp;
    return tb_writer_add_instrument(&writer, &entry);
}

static int candle(const char *line)
{
    struct tb_candle c = {.trades = 1};
    struct tb_record two[2];
    unsigned id;
    int forming;
    char name[8];
    if (sscanf(line,
               "candle %u %7s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %d",
               &id, name, &c.start, &c.open, &c.high, &c.low, &c.close, &c.volume, &forming) != 9)
        return -1;
    c.ts_recv = c.start;
    tb_candle_to_records(&c, (enum tb_timeframe)tb_timeframe_parse(name), (uint16_t)id, forming,
                         two);
    (void)tb_writer_publish_many(&writer, two, 2);
    return 0;
}

static int tick(const char *line)
{
    struct tb_record r = {0};
    unsigned id, last;
    tb_ns ts;
    int64_t a, b;
    char side;
    if (sscanf(line, "trade %u %" SCNd64 " %" SCNd64 " %" SCNd64 " %c", &id, &ts, &a, &b, &side) ==
        5) {
        r.trade = (struct tb_trade){
            .price = a, .size = b, .side = (uint8_t)side, .action = TB_TRADED, .count = 1};
        publish(&r, TB_TRADE, id, ts, TB_F_LAST);
    } else if (sscanf(line, "trades %u %" SCNd64, &id, &b) == 2) {
        for (int64_t i = 1; i <= b; i++) {
            r.trade = (struct tb_trade){
                .price = i, .size = 1, .side = TB_BUY, .action = TB_TRADED, .count = 1};
            publish(&r, TB_TRADE, id, 0, TB_F_LAST);
        }
    } else if (sscanf(line, "quote %u %" SCNd64 " %" SCNd64 " %" SCNd64, &id, &ts, &a, &b) == 4) {
        r.quote = (struct tb_quote){.bid_price = a, .ask_price = b, .bid_size = 1, .ask_size = 1};
        publish(&r, TB_QUOTE, id, ts, TB_F_LAST | TB_F_TOB);
    } else if (sscanf(line, "clear %u %" SCNd64, &id, &ts) == 2) {
        publish(&r, TB_CLEAR, id, ts, TB_F_SNAPSHOT);
    } else if (sscanf(line, "level %u %" SCNd64 " %c %" SCNd64 " %" SCNd64 " %u", &id, &ts, &side,
                      &a, &b, &last) == 6) {
        r.level = (struct tb_level){
            .price = a, .size = b, .side = (uint8_t)side, .action = TB_ADD, .update_id = 1};
        publish(&r, TB_LEVEL, id, ts, (uint8_t)(TB_F_SNAPSHOT | (last ? TB_F_LAST : 0)));
    } else if (sscanf(line, "change %u %" SCNd64 " %c %" SCNd64 " %" SCNd64, &id, &ts, &side, &a,
                      &b) == 5) {
        r.level = (struct tb_level){
            .price = a, .size = b, .side = (uint8_t)side, .action = TB_MODIFY, .update_id = 2};
        publish(&r, TB_LEVEL, id, ts, TB_F_LAST);
    } else if (sscanf(line, "gap %u %" SCNd64 " %" SCNd64 " %" SCNd64, &id, &ts, &a, &b) == 4) {
        r.gap = (struct tb_gap){
            .reason = TB_GAP_SEQUENCE, .channel = (uint32_t)a, .missing = (uint64_t)b};
        publish(&r, TB_GAP, id, ts, TB_F_LAST);
    } else if (sscanf(line, "status %u %" SCNd64 " %" SCNd64, &id, &ts, &a) == 3) {
        r.status = (struct tb_status){.code = (uint32_t)a};
        publish(&r, TB_STATUS, id, ts, TB_F_LAST);
    } else {
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct tb_error err = {{0}};
    struct tb_writer_options options = {.capacity = argc == 4 ? strtoull(argv[3], NULL, 10) : 0};
    static char buffer[65536];
    size_t have = 0;
    enum tb_stream_state end = TB_STREAM_STOPPED;
    if (argc != 4 || tb_writer_open(argv[1], argv[2], &options, &writer, &err) != 0) {
        fprintf(stderr, "watch_source: %s\n", err.text);
        return 1;
    }
    tb_writer_housekeep(&writer, tb_clock_wall());
    printf("ok 0\n");
    fflush(stdout);
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        tb_writer_housekeep(&writer, tb_clock_wall());
        if (poll(&input, 1, 50) <= 0)
            continue;
        ssize_t got = read(0, buffer + have, sizeof(buffer) - 1 - have);
        if (got <= 0)
            break;
        have += (size_t)got;
        buffer[have] = '\0';
        char *line = buffer, *next;
        for (; (next = strchr(line, '\n')) != NULL; line = next + 1) {
            *next = '\0';
            int rc;
            if (strcmp(line, "done") == 0 || strcmp(line, "stop") == 0) {
                end = line[0] == 'd' ? TB_STREAM_DONE : TB_STREAM_STOPPED;
                goto out;
            }
            if (strncmp(line, "instrument ", 11) == 0)
                rc = add_instrument(line);
            else
                rc = strncmp(line, "candle ", 7) == 0 ? candle(line) : tick(line);
            printf("%s %" PRIu64 "\n", rc < 0 ? "bad" : "ok",
                   rc > 0 ? (uint64_t)rc : writer.next_seq - 1);
        }
        have -= (size_t)(line - buffer);
        memmove(buffer, line, have);
        tb_writer_wake(&writer);
        fflush(stdout);
    }
out:
    tb_writer_close(&writer, end);
    return 0;
}
