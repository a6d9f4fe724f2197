/*
 * When to push what to a Pushgateway: every `every` or after `trades` trades, whichever comes first
 * and only if something changed, and now and then anyway (a heartbeat); one push in flight; after a
 * failure the newest state goes out, later and later, at most every PUSH_RETRY_MAX_NS. Pure but for
 * the `post` it drives.
 */
#ifndef TICKBUS_METRICS_PUSH_H
#define TICKBUS_METRICS_PUSH_H

#include <consumers/post/post.h>

#define PUSH_RETRY_MAX_NS (2 * TB_NS_PER_S)
#define PUSH_HEARTBEAT_NS (3 * TB_NS_PER_S)
/* Ten trades may fall into one millisecond: pushes are never closer than this. */
#define PUSH_CLOSEST_NS (10 * TB_NS_PER_MS)

struct push {
    struct post *post; /* NULL: no gateway is configured */
    tb_ns every_ns;
    int64_t trades;
    char shown[256]; /* the address as logs may show it */

    tb_ns sent; /* monotonic, begin of the last push */
    tb_ns not_before;
    uint64_t failed_in_row;
    uint64_t pushes; /* that the gateway took */
    uint64_t failures;
};

/*
 * push_url: <gateway>/metrics/job/<job>/instance/<instance>, values percent-encoded, or @base64
 * where the gateway can not read them otherwise (a slash, an empty value). 0 or -ENAMETOOLONG.
 */
int push_url(const char *gateway, const char *job, const char *instance, char *out,
             size_t out_bytes);

/* push_due: when is the next push due (monotonic)? now or before: at once. INT64_MAX: one is in
 * flight. */
tb_ns push_due(const struct push *p, bool changed, uint64_t trades_since);

/* push_result: account for one. Returns true if the state (works, does not) changed. */
bool push_result(struct push *p, const struct post_result *result, tb_ns now_mono);

#endif
