/*
 * Notices on their way out. Webhook: a bounded queue, one request in flight, in order, each
 * repeated with backoff until it is taken: at least once (the header Idempotency-Key is the same
 * for each repetition). Alertmanager: the state, not the events: all that is firing, every 30 s and
 * at each change, and what was resolved for some minutes more, since Alertmanager may have been
 * away.
 */
#ifndef TICKBUS_ALERTS_DELIVER_H
#define TICKBUS_ALERTS_DELIVER_H

#include <consumers/alerts/engine.h>
#include <consumers/post/post.h>
#include <tickbus/log.h>

#define DELIVER_QUEUE_MAX 1024
#define DELIVER_RETRY_FIRST_NS TB_NS_PER_S
#define DELIVER_RETRY_MAX_NS (60 * TB_NS_PER_S)
/* An answer 4xx says that this notice will never be taken: after this many the next one has its
 * turn. */
#define DELIVER_REFUSED_MAX 5
#define DELIVER_RESEND_NS (30 * TB_NS_PER_S)
#define DELIVER_RESOLVED_FOR_NS (5 * 60 * TB_NS_PER_S)

struct deliver_queue {
    struct event event[DELIVER_QUEUE_MAX];
    uint32_t first, count;
};

struct deliver {
    const struct rules *rules;
    struct deliver_queue *queue;
    struct post *webhook;      /* NULL: none configured */
    struct post *alertmanager; /* likewise */
    char webhook_shown[160], alertmanager_shown[160];
    char *body; /* of alertmanager's array */
    size_t body_max;

    uint32_t attempts;                     /* of the first in the queue */
    bool dropped_first;                    /* it left the queue while its request was under way */
    tb_ns webhook_next, alertmanager_next; /* monotonic */
    bool alertmanager_changed;
    bool webhook_bad, alertmanager_bad;
    uint64_t sent, failures, refused, dropped;
    struct tb_log_limit log;
};

/* deliver_start: urls may be NULL or empty. 0 or -errno. deliver_stop accepts all zero. */
int deliver_start(struct deliver *d, const struct rules *rules, const char *webhook,
                  const char *alertmanager, tb_ns timeout, int wake_fd, struct tb_error *err);
void deliver_stop(struct deliver *d);

/* deliver_add: an event that the alert stream has. Pending ones, and ends of what never fired, are
 * not sent. */
void deliver_add(struct deliver *d, const struct event *event);

/* deliver_turn: take results, send what is due. now: monotonic; wall: wall clock. */
void deliver_turn(struct deliver *d, const struct engine *engine, tb_ns now, tb_ns wall);
/* deliver_due: when the next turn has something to do (monotonic); INT64_MAX: when a request
 * ends. */
tb_ns deliver_due(const struct deliver *d);
/* deliver_idle: nothing is queued or under way. deliver_bad: what does not work, or NULL. */
bool deliver_idle(const struct deliver *d);
const char *deliver_bad(const struct deliver *d);

#endif
