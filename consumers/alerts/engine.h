/*
 * The state of every alert: a rule held against one market, stream or reader. Pure: records and
 * times in, transitions out; no clocks, no I/O.
 *
 *             condition         held a second         held for `for`
 *   inactive -----------> armed --------------> pending ----------------> firing
 *      ^                    |                      |                         |
 *      +---- (silently) ----+------- resolved -----+--------- resolved ------+   gone, or `keep` over
 *
 * Armed is known here alone: a spread that flickers a thousand times a second is no story yet. It
 * lasts a second, or a quarter of `for` if that is less.
 * Pending is left out when `for` is nothing, and for silence (a trade a second would be a pending a
 * second): no_trades goes from inactive to firing when the last trade is `for` old. A pending that
 * does not come to fire is resolved as well, so that who reads the stream knows where each story ends.
 *
 * Time is that of the stream: ts_recv of its records, so a recording gives the same alerts at any
 * speed. A deadline that lies between two records is met at the deadline, not at the later record.
 * When a stream that was read to its end says nothing, its time goes on with the wall clock from its
 * last record (engine_idle), so that silence is noticed. Alerts on streams as a whole (feed_down) and
 * on readers (lag_above) go by the wall clock.
 */
#ifndef TICKBUS_ALERTS_ENGINE_H
#define TICKBUS_ALERTS_ENGINE_H

#include <consumers/alerts/rules.h>
#include <tickbus/book.h>
#include <tickbus/record.h>

#define ENGINE_ALERTS_MAX 4096
#define ENGINE_MARKETS_MAX 1024
#define ENGINE_BOOKS_MAX 128
#define ENGINE_BOOK_DEPTH 5000 /* Binance's snapshots; a shallower book runs dry at its far end */
#define ENGINE_INPUTS_MAX 8

/* What happened to one alert, with everything that names it: it outlives its rule. */
struct event {
    char rule[TB_LABEL_BYTES];
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    char stream[TB_STREAM_BYTES];
    char reader[TB_STREAM_BYTES];
    int64_t value, threshold; /* mantissas in value_exp */
    tb_ns since;              /* when the condition became true */
    tb_ns at;                 /* of the transition */
    tb_ns wall;               /* wall clock at which it was noticed */
    tb_ns fired_wall;         /* of this story's firing; 0: it has not fired */
    uint32_t alert_id;
    uint8_t state; /* enum tb_alert_state */
    uint8_t severity;
    int8_t value_exp;
    uint8_t reserved;
};

enum alert_phase { ALERT_INACTIVE, ALERT_ARMED, ALERT_PENDING, ALERT_FIRING };

/* Plain data: a checkpoint copies it. */
struct alert {
    struct event event; /* names, last value, since, state of the last transition */
    tb_ns deadline; /* armed: pending; pending: fires; firing event: resolves; INT64_MAX: none */
    tb_ns resolved_wall; /* wall clock of the last end of a firing; 0: never */
    tb_ns looked;        /* lag_above: when its reader was last there */
    uint16_t rule;       /* index in this life's rules; not meaningful in a checkpoint */
    uint16_t market;     /* index + 1; 0: a stream, a reader, or a market not seen yet */
    uint16_t next;       /* index + 1 of the market's next alert */
    uint8_t phase;       /* enum alert_phase */
    int8_t side;         /* price_crosses: 1 above, -1 below, 0 not known yet */
    uint8_t input;       /* whose time it goes by; ENGINE_WALL: the wall clock */
    uint8_t kind;        /* enum rule_kind: a checkpoint's alert is of another rule if it differs */
    uint8_t reserved[6];
};
#define ENGINE_WALL ENGINE_INPUTS_MAX

struct market {
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    struct tb_book *book; /* only if a rule needs it */
    bool quoted;
    bool book_seen;
    uint8_t input;
    uint16_t alerts; /* index + 1 of the first */
};

struct engine {
    const struct rules *rules;
    struct alert *alert;
    struct market *market;
    struct tb_book *book;
    size_t alert_count, market_count, book_count, book_max;
    tb_ns now[ENGINE_INPUTS_MAX + 1];      /* stream time, never going back; wall clock last */
    tb_ns deadline[ENGINE_INPUTS_MAX + 1]; /* none is earlier */
    tb_ns wall;                            /* what events say in `wall`; set by the service */
    uint64_t refused;                      /* alerts and books beyond the limits */
    /* A transition. Its alert_id may be raised: the story then goes on under that number. */
    void (*emit)(void *context, struct event *event);
    void *context;
};

/* engine_init: 0 or -ENOMEM. engine_fini accepts all zero. */
int engine_init(struct engine *e, const struct rules *rules,
                void (*emit)(void *context, struct event *event), void *context);
void engine_fini(struct engine *e);

/* engine_market: the market's index, made (with its alerts) when it is new; -1: there is no room. */
int engine_market(struct engine *e, unsigned input, const char *venue, const char *symbol,
                  tb_ns now);
/* engine_expect: alerts of rules that name a market, before it was seen, by the wall clock. */
void engine_expect(struct engine *e, tb_ns wall);

/* engine_record: one record of a market (or of a whole stream: market -1). */
void engine_record(struct engine *e, unsigned input, int market, const struct tb_record *record,
                   int8_t price_exp, int8_t size_exp);

/* engine_idle: it is `now` on this input's clock (ENGINE_WALL: the wall clock), and nothing came. */
void engine_idle(struct engine *e, unsigned input, tb_ns now);

/* engine_feed, engine_lag: look at a stream's health, at a reader's lag. By the wall clock. */
void engine_feed(struct engine *e, const char *stream, bool down, tb_ns wall);
void engine_lag(struct engine *e, const char *stream, const char *reader, uint64_t lag, tb_ns wall);

/* engine_lag_end: all readers were looked at `wall`: those that are gone have no lag. */
void engine_lag_end(struct engine *e, tb_ns wall);

/* engine_unseen: records of this input were lost: no book of it is right until its next snapshot. */
void engine_unseen(struct engine *e, unsigned input);

/* For checkpoints: see engine_save.c. Alerts of rules that are no more are resolved by load. */
size_t engine_save_size(const struct engine *e);
size_t engine_save_max(void);
size_t engine_save(const struct engine *e, void *bytes, size_t capacity);
size_t engine_load(struct engine *e, const void *bytes, size_t count);

/*
 * engine_resume: an alert whose last transition is known though no state is: one that goes by the wall
 * clock goes on with it, one whose rule is no more is resolved. Of markets: nothing, their records tell.
 * engine_is_open: is this alert pending or firing now?
 * engine_time: the stream time of a market; 0: it was not seen.
 */
void engine_resume(struct engine *e, const struct event *event);
bool engine_is_open(const struct engine *e, const struct event *event);
tb_ns engine_time(const struct engine *e, const char *venue, const char *symbol);

/* For engine_save.c. NULL: there is no room. engine_rewatch: alerts of rules that are new. */
struct alert *engine_alert_new(struct engine *e, size_t rule, unsigned input);
struct market *engine_market_new(struct engine *e, unsigned input, const char *venue,
                                 const char *symbol);
void engine_market_add(struct engine *e, struct market *m, struct alert *a);
void engine_rewatch(struct engine *e, struct market *m);

/* engine_compare: -1, 0, 1: a * 10^a_exp against b * 10^b_exp, exactly. */
int engine_compare(int64_t a, int a_exp, int64_t b, int b_exp);

#endif
