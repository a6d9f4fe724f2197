/*
 * Events as JSON: the body of a webhook, in the shape that Alertmanager posts (version "4"), so
 * that receivers made for it work; and the alerts that Alertmanager's API v2 takes. Times are those
 * of the wall clock; the stream's own time of the transition is the annotation `at`. Pure.
 */
#ifndef TICKBUS_ALERTS_NOTICE_H
#define TICKBUS_ALERTS_NOTICE_H

#include <consumers/alerts/engine.h>

#define NOTICE_BYTES 4096 /* more than any one event makes */

/* notice_fingerprint: of the labels: the same for all notices of one alert. */
uint64_t notice_fingerprint(const struct event *event);

/* notice_webhook: firing or resolved. Returns the length, 0 if it does not fit. */
size_t notice_webhook(const struct event *event, const char *summary, char *out, size_t bytes);

/*
 * notice_alert: one element of Alertmanager's array. ends: when it is, or will be taken for,
 * resolved. Returns the length, 0 if it does not fit.
 */
size_t notice_alert(const struct event *event, const char *summary, tb_ns ends, char *out,
                    size_t bytes);

#endif
