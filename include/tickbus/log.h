/*
 * One line of key=value per change of state, on stderr:
 *
 *   2026-01-01T09:30:00.000000000Z level=info service=candles ev=attached stream=binance seq=1
 *
 * error: a person must act. warn: degraded, and what is done instead. info: started, attached,
 * draining, stopped with totals. Values with blanks are quoted. Nothing is logged per tick.
 */
#ifndef TICKBUS_LOG_H
#define TICKBUS_LOG_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

enum tb_log_level { TB_LOG_DEBUG, TB_LOG_INFO, TB_LOG_WARN, TB_LOG_ERROR, TB_LOG_OFF };

/* tb_log_init: the service's name in each line, and the lowest level that is written. */
void tb_log_init(const char *service, enum tb_log_level level);
enum tb_log_level tb_log_current_level(void);
int tb_log_level_parse(const char *name); /* a level, or -EINVAL */

/* tb_log: one line; `format` makes the key=value part: tb_log(TB_LOG_INFO, "attached", "stream=%s",
 * s). */
void tb_log(enum tb_log_level level, const char *event, const char *format, ...) TB_PRINTF(3, 4);

/*
 * tb_log_limited: the same, at most once per interval_ns for this limiter; the line that comes
 * through ends in suppressed=N for those that did not.
 */
struct tb_log_limit {
    tb_ns next_mono;
    uint64_t suppressed;
};
void tb_log_limited(struct tb_log_limit *limit, tb_ns interval_ns, enum tb_log_level level,
                    const char *event, const char *format, ...) TB_PRINTF(5, 6);

/* tb_quote: text for a value: in double quotes, with \" \\ \n escaped, if it holds a blank or
 * quote. */
#define TB_QUOTE_BYTES 400
const char *tb_quote_text(const char *text, char out[TB_QUOTE_BYTES]);

TB_EXTERN_END

#endif
