/* A reader in twenty lines, built against the installed tree alone: prints every trade of a stream. */
#include <inttypes.h>
#include <stdio.h>

#include <tickbus/reader.h>

int main(int argc, char **argv)
{
    struct tb_error err;
    struct tb_reader r;
    struct tb_record tick;
    if (argc != 3 || tb_reader_open(argv[1], argv[2], NULL, &r, &err) != 0) {
        (void)fprintf(stderr, "%s\n", argc != 3 ? "usage: reader BUS_DIRECTORY STREAM" : err.text);
        return 1;
    }
    while (!tb_reader_done(&r)) {
        enum tb_read got = tb_reader_next(&r, &tick);
        if (got == TB_READ_OK && tick.type == TB_TRADE)
            printf("%" PRIu64 " %s %" PRId64 "e%d\n", tick.seq,
                   tb_reader_instrument(&r, tick.instrument)->symbol, tick.trade.price,
                   tb_reader_instrument(&r, tick.instrument)->price_exp);
        else if (got == TB_READ_EMPTY)
            tb_reader_wait(&r, TB_NS_PER_S);
        else if (got == TB_READ_OVERRUN)
            printf("lost %" PRIu64 "\n", tb_reader_resync(&r));
        else if (got == TB_READ_BROKEN)
            return 1;
    }
    tb_reader_close(&r, false);
    return 0;
}
