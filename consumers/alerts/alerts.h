/*
 * tickbus-alerts: rules held against the bus; transitions to stream `alerts`, a webhook,
 * Alertmanager.
 *
 * Exactly once on the stream, whatever kills the process: a transition first goes into the outbox;
 * a checkpoint is made that holds the outbox, the sequence its first record will get, and the state
 * after it; then it is published. Whoever starts next finds the outbox, sees by the stream's next
 * sequence how much of it was published, and publishes the rest. While the outbox holds something
 * no further record is looked at. Without that checkpoint: past.h.
 */
#ifndef TICKBUS_ALERTS_ALERTS_H
#define TICKBUS_ALERTS_ALERTS_H

#include <consumers/alerts/deliver.h>
#include <consumers/alerts/engine.h>
#include <consumers/alerts/past.h>
#include <consumers/alerts/rules.h>
#include <consumers/post/wake.h>
#include <tickbus/service.h>

/* One record may end and begin a story of every alert, and every deadline before it may be over. */
#define ALERTS_OUTBOX_MAX (3 * ENGINE_ALERTS_MAX)

struct alerts_outbox {
    struct event *event;
    uint32_t count;
    bool saved;     /* a checkpoint holds it as it is */
    uint64_t epoch; /* of the output, and */
    tb_seq first;   /* the sequence that event[0] gets there */
};

struct alerts_entry {
    int16_t market; /* index in the engine; -1: not watched */
    bool known;
    int8_t price_exp, size_exp;
};

struct alerts_input {
    tb_ns heard;       /* monotonic: when its last record came */
    tb_ns heard_wall;  /* the same by the wall clock, for the next life */
    bool disconnected; /* its last status record said so */
    bool opened;       /* in this life */
    struct alerts_entry entry[TB_INSTRUMENTS_MAX + 1];
};

struct alerts {
    /* options */
    const struct tb_yaml *tree;
    const char *webhook;
    const char *alertmanager;
    tb_ns timeout;

    struct rules rules;
    struct engine engine;
    struct deliver deliver;
    struct alerts_outbox outbox;
    struct past past;
    struct alerts_input *input; /* TB_INPUTS_MAX */
    bool looks_at_lag;          /* a rule asks for it */
    tb_ns started;              /* monotonic, as are these */
    tb_ns lag_looked;
    tb_ns drain_until;
    bool delivery_bad;
    uint64_t transitions, unnamed, refused_said;
    struct tb_log_limit log;
    struct {
        struct tb_stats_counter *rules, *alerts, *firing, *pending, *transitions, *sent, *failures,
            *refused, *dropped, *queued;
    } stat;
};

struct tb_service_ops alerts_ops(void);

/* ---- state.c ---- */

#define ALERTS_STATE_VERSION 2

size_t alerts_save_max(void);
size_t alerts_save_size(struct tb_service *svc, void *context);
size_t alerts_save(struct tb_service *svc, void *context, void *bytes, size_t capacity);
int alerts_restore(struct tb_service *svc, void *context, const void *bytes, size_t count);
void alerts_on_past(struct tb_service *svc, void *context, struct tb_reader *reader,
                    const struct tb_record *record);
void alerts_settle(struct alerts *self);

/* ---- alerts.c ---- */

/* A transition of the engine: into the outbox, unless the stream has it. */
void alerts_emit(void *context, struct event *event);

#endif
