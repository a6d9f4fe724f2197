/*
 * The yardstick of bench_decode: simdjson On-Demand taking the same fields, numbers converted by
 * itself, and nothing else; compiled for the processor that it is built on (unlike all else), where
 * it is best.
 */
#ifndef TICKBUS_BENCH_DECODE_BARE_H
#define TICKBUS_BENCH_DECODE_BARE_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

/* Each returns a sum of what it took, so that nothing is optimised away; 0: the frame was not
 * read. */
uint64_t bare_trade(const char *bytes, size_t length);
uint64_t bare_quote(const char *bytes, size_t length);
uint64_t bare_depth(const char *bytes, size_t length);
/* Every value of the message, whatever it is; numbers converted, also those in strings. */
uint64_t bare_all(const char *bytes, size_t length);
/* For which processors On-Demand was compiled: "icelake", ... "fallback". */
const char *bare_kernel(void);

TB_EXTERN_END

#endif
