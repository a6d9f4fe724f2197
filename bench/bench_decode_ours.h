/* What bench_decode measures by itself: a frame to its fields and exact decimals, without books or
 * records. */
#ifndef TICKBUS_BENCH_DECODE_OURS_H
#define TICKBUS_BENCH_DECODE_OURS_H

#include <tickbus/base.h>

struct decode_ours {
    void *(*create)(void); /* NULL: no memory */
    /* decode: a sum of what was read, so that nothing is optimised away; 0: the frame was not. */
    uint64_t (*decode)(void *decoder, const char *bytes, size_t length);
    void (*destroy)(void *decoder);
};

extern const struct decode_ours decode_binance, decode_binanceusdm, decode_mexc, decode_kraken,
    decode_coinbase, decode_bybit, decode_okx;

/* mexc_bare: libprotobuf-c alone, into the same memory. */
uint64_t mexc_bare(void *decoder, const char *bytes, size_t length);

#endif
