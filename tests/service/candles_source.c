/*
 * A producer of recorded records for the test of the candles service, gated by the reader "candles".
 *
 *   candles_source BUS_DIR STREAM CAPACITY PAUSE_US FILE
 *
 * FILE has lines "T <time ns> <price> <size> <B|A>" and "Q <time ns>". Every second half of a
 * minute's trades is published under an entry with a finer price. After each ten records it pauses.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>
#include <tickbus/ring.h>

#define SIZE_EXP (-5)

static uint16_t add_entry(struct tb_writer *w, const char *stream, int8_t price_exp)
{
    struct tb_instrument entry = {.price_exp = price_exp, .size_exp = SIZE_EXP};
    strcpy(entry.venue, "binance");
    strcpy(entry.symbol, "BTC/USDT");
    strcpy(entry.raw, "BTCUSDT");
    (void)snprintf(entry.stream, sizeof(entry.stream), "%s", stream);
    int id = tb_writer_add_instrument(w, &entry);
    TB_ASSERT(id > 0);
    return (uint16_t)id;
}

static bool read_record(const char *line, const uint16_t ids[2], struct tb_record *r)
{
    char kind, side = 'N', price[64] = "0", size[64] = "0";
    tb_ns time;
    if (sscanf(line, "%c %" SCNd64 " %63s %63s %c", &kind, &time, price, size, &side) < 2)
        return false;
    bool fine = time / TB_NS_PER_S % 60 >= 30;
    *r = (struct tb_record){.ts_event = time,
                            .ts_recv = time + 1,
                            .flags = TB_F_LAST,
                            .type = kind == 'T' ? TB_TRADE : TB_QUOTE,
                            .instrument = ids[fine]};
    if (kind != 'T')
        return true;
    r->trade.side = (uint8_t)side;
    r->trade.count = 1;
    return tb_decimal_parse(price, strlen(price), fine ? -4 : -2, &r->trade.price) == 0 &&
           tb_decimal_parse(size, strlen(size), SIZE_EXP, &r->trade.size) == 0;
}

int main(int argc, char **argv)
{
    struct tb_writer_options options = {
        .pace = TB_PACE_GATED, .gates = {"candles"}, .gate_count = 1};
    struct tb_writer w;
    struct tb_error err;
    char line[256];
    if (argc != 6)
        return 64;
    options.capacity = strtoull(argv[3], NULL, 10);
    const struct timespec pause = {.tv_nsec = 1000 * atol(argv[4])};
    (void)mkdir(argv[1], 0750);
    FILE *in = fopen(argv[5], "r");
    if (in == NULL || tb_writer_open(argv[1], argv[2], &options, &w, &err) != 0) {
        fprintf(stderr, "candles_source: %s\n", in == NULL ? argv[5] : err.text);
        return 1;
    }
    const uint16_t ids[2] = {add_entry(&w, argv[2], -2), add_entry(&w, argv[2], -4)};
    for (unsigned count = 1; fgets(line, sizeof(line), in) != NULL; count++) {
        struct tb_record r;
        if (!read_record(line, ids, &r)) {
            fprintf(stderr, "candles_source: %s", line);
            return 1;
        }
        if (tb_writer_publish(&w, &r) == 0)
            return 1;
        tb_writer_wake(&w);
        if (count % 10 == 0 && pause.tv_nsec > 0) {
            tb_writer_housekeep(&w, tb_clock_wall());
            (void)nanosleep(&pause, NULL);
        }
    }
    (void)fclose(in);
    tb_writer_close(&w, TB_STREAM_DONE);
    return 0;
}
