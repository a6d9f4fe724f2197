/*
 * Time. Wall clock for people and venues, monotonic only to subtract. Tests may replace both.
 */
#ifndef TICKBUS_CLOCK_H
#define TICKBUS_CLOCK_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

tb_ns tb_clock_wall(void); /* CLOCK_REALTIME */
tb_ns tb_clock_mono(void); /* CLOCK_MONOTONIC */

#define TB_TIME_BYTES 32
/* tb_time_format: "2024-08-08T23:54:13.937085768Z". Always UTC, always nine digits. Returns out. */
const char *tb_time_format(tb_ns t, char out[TB_TIME_BYTES]);

/*
 * tb_time_parse: RFC 3339 with or without seconds, fraction and zone (no zone: UTC), a date alone,
 * "HH:MM[:SS]" of the UTC day of `now`, or an offset before now such as "-5m". 0 or -EINVAL.
 */
int tb_time_parse(const char *text, tb_ns now, tb_ns *out_time);

/* tb_duration_parse: "250ms", "1.5s", "5m", "1h", "2d", "100us", "10ns". 0 or -EINVAL, -ERANGE. */
int tb_duration_parse(const char *text, tb_ns *out_duration);
/* tb_bytes_parse: "4096", "64KiB", "4MiB", "1GiB", also KB, MB, GB (powers of ten). */
int tb_bytes_parse(const char *text, int64_t *out_bytes);

TB_EXTERN_END

#endif
