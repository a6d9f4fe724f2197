/*
 * The ways in which venues write times.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_TIMES_H
#define TICKBUS_PRODUCERS_ADAPTER_TIMES_H

#include "producers/adapter/text.h"

TB_EXTERN_BEGIN

/*
 * adapter_time_rfc3339: "2021-04-17T16:43:30.244075Z", up to nine digits of a fraction, "Z" or
 * "+00:00". A time before 1970 is 0, unknown (venues send the year 1 for it). 0 or -EBADMSG.
 */
int adapter_time_rfc3339(struct adapter_text text, tb_ns *out);
/* adapter_time_seconds: "1618678145.920133", digits beyond nanoseconds are cut. 0 or -EBADMSG. */
int adapter_time_seconds(struct adapter_text text, tb_ns *out);

TB_EXTERN_END

#endif
