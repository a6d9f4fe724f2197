#include <consumers/alerts/engine.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SETTLE_NS TB_NS_PER_S

int engine_init(struct engine *e, const struct rules *rules,
                void (*emit)(void *context, struct event *event), void *context)
{
    memset(e, 0, sizeof(*e));
    e->rules = rules;
    e->emit = emit;
    e->context = context;
    for (size_t i = 0; i <= ENGINE_INPUTS_MAX; i++)
        e->deadline[i] = INT64_MAX;
    for (size_t i = 0; i < rules->count; i++)
        if (rules->rule[i].kind == RULE_SPREAD_ABOVE || rules->rule[i].kind == RULE_BOOK_INVALID)
            e->book_max = ENGINE_BOOKS_MAX;
    e->alert = calloc(ENGINE_ALERTS_MAX, sizeof(*e->alert));
    e->market = calloc(ENGINE_MARKETS_MAX, sizeof(*e->market));
    e->book = calloc(ENGINE_BOOKS_MAX, sizeof(*e->book));
    if (e->alert == NULL || e->market == NULL || e->book == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < e->book_max; i++)
        if (tb_book_init(&e->book[i], ENGINE_BOOK_DEPTH) != 0)
            return -ENOMEM;
    return 0;
}

void engine_fini(struct engine *e)
{
    for (size_t i = 0; e->book != NULL && i < e->book_max; i++)
        tb_book_fini(&e->book[i]);
    free(e->alert);
    free(e->market);
    free(e->book);
    memset(e, 0, sizeof(*e));
}

/* ---- exact comparison ---- */

/* Both in the finer exponent: 63 bits times at most 10^18 fit 128. */
static void align(int64_t a, int a_exp, int64_t b, int b_exp, __int128 *out_a, __int128 *out_b)
{
    *out_a = a;
    *out_b = b;
    for (; a_exp > b_exp; a_exp--)
        *out_a *= 10;
    for (; b_exp > a_exp; b_exp--)
        *out_b *= 10;
}

int engine_compare(int64_t a, int a_exp, int64_t b, int b_exp)
{
    __int128 x, y;
    align(a, a_exp, b, b_exp, &x, &y);
    return (x > y) - (x < y);
}

static int64_t saturate(__int128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

static void set_value(struct alert *a, int64_t value, int value_exp, int64_t threshold,
                      int threshold_exp)
{
    __int128 v, t;
    align(value, value_exp, threshold, threshold_exp, &v, &t);
    a->event.value = saturate(v);
    a->event.threshold = saturate(t);
    a->event.value_exp = (int8_t)(value_exp < threshold_exp ? value_exp : threshold_exp);
}

/* ---- transitions ---- */

static const struct rule *rule_of(const struct engine *e, const struct alert *a)
{
    return &e->rules->rule[a->rule];
}

static bool is_event(const struct rule *rule)
{
    return rule->kind == RULE_PRICE_CROSSES || rule->kind == RULE_GAP;
}

static void set_deadline(struct engine *e, struct alert *a, tb_ns deadline)
{
    a->deadline = deadline;
    if (deadline < e->deadline[a->input])
        e->deadline[a->input] = deadline;
}

static void emit(struct engine *e, struct alert *a, enum tb_alert_state state, tb_ns at)
{
    a->event.state = (uint8_t)state;
    a->event.severity = rule_of(e, a)->severity;
    a->event.at = at;
    a->event.wall = e->wall;
    if (state == TB_ALERT_FIRING)
        a->event.fired_wall = e->wall;
    if (state == TB_ALERT_RESOLVED && a->event.fired_wall != 0)
        a->resolved_wall = e->wall;
    e->emit(e->context, &a->event);
}

static void fire(struct engine *e, struct alert *a, tb_ns at)
{
    const struct rule *rule = rule_of(e, a);
    a->phase = ALERT_FIRING;
    set_deadline(e, a, is_event(rule) ? at + rule->keep_ns : INT64_MAX);
    emit(e, a, TB_ALERT_FIRING, at);
}

static void new_story(struct alert *a)
{
    a->event.fired_wall = 0;
    a->event.alert_id++;
}

static void begin(struct engine *e, struct alert *a, tb_ns since)
{
    const struct rule *rule = rule_of(e, a);
    a->event.since = since;
    if (rule->for_ns == 0) {
        new_story(a);
        fire(e, a, since);
        return;
    }
    tb_ns settle = rule->for_ns / 4 < SETTLE_NS ? rule->for_ns / 4 : SETTLE_NS;
    a->phase = ALERT_ARMED;
    set_deadline(e, a, since + settle);
}

static void end(struct engine *e, struct alert *a, tb_ns at)
{
    bool told = a->phase == ALERT_PENDING || a->phase == ALERT_FIRING;
    if (a->phase == ALERT_INACTIVE)
        return;
    a->phase = ALERT_INACTIVE;
    a->deadline = INT64_MAX;
    if (told)
        emit(e, a, TB_ALERT_RESOLVED, at);
}

static void hold(struct engine *e, struct alert *a, bool condition, tb_ns now)
{
    if (!condition)
        end(e, a, now);
    else if (a->phase == ALERT_INACTIVE)
        begin(e, a, now);
}

/* no_trades: silence since `since`; an earlier silence ends here. */
static void heard(struct engine *e, struct alert *a, tb_ns now)
{
    end(e, a, now);
    a->event.since = now;
    set_deadline(e, a, now + rule_of(e, a)->for_ns);
}

/* Its deadline is over. */
static void meet(struct engine *e, struct alert *a)
{
    const struct rule *rule = rule_of(e, a);
    tb_ns at = a->deadline;
    a->deadline = INT64_MAX;
    if (rule->kind == RULE_NO_TRADES) {
        new_story(a);
        set_value(a, rule->for_ns, -9, rule->for_ns, -9);
        fire(e, a, at);
    } else if (a->phase == ALERT_ARMED) {
        new_story(a);
        a->phase = ALERT_PENDING;
        set_deadline(e, a, a->event.since + rule->for_ns);
        emit(e, a, TB_ALERT_PENDING, at);
    } else if (a->phase == ALERT_PENDING) {
        fire(e, a, at);
    } else if (a->phase == ALERT_FIRING) {
        end(e, a, at);
    }
}

static void advance(struct engine *e, unsigned input, tb_ns now)
{
    if (now > e->now[input])
        e->now[input] = now;
    now = e->now[input];
    /* A met deadline may set a new one that is over as well (pending -> firing -> kept). */
    while (e->deadline[input] <= now) {
        tb_ns next = INT64_MAX;
        for (size_t i = 0; i < e->alert_count; i++) {
            struct alert *a = &e->alert[i];
            if (a->input != input)
                continue;
            if (a->deadline <= now)
                meet(e, a);
            next = a->deadline < next ? a->deadline : next;
        }
        e->deadline[input] = next;
    }
}

/* ---- alerts and markets ---- */

struct alert *engine_alert_new(struct engine *e, size_t rule, unsigned input)
{
    if (e->alert_count == ENGINE_ALERTS_MAX) {
        e->refused++;
        return NULL;
    }
    struct alert *a = &e->alert[e->alert_count++];
    memset(a, 0, sizeof(*a));
    a->rule = (uint16_t)rule;
    a->kind = (uint8_t)e->rules->rule[rule].kind;
    a->input = (uint8_t)input;
    a->deadline = INT64_MAX;
    (void)snprintf(a->event.rule, sizeof(a->event.rule), "%s", e->rules->rule[rule].name);
    return a;
}

void engine_market_add(struct engine *e, struct market *m, struct alert *a)
{
    uint16_t *last = &m->alerts; /* in order: what one record does to several is always the same */
    while (*last != 0)
        last = &e->alert[*last - 1].next;
    *last = (uint16_t)(a - e->alert + 1);
    a->market = (uint16_t)(m - e->market + 1);
    a->next = 0;
    memcpy(a->event.venue, m->venue, sizeof(a->event.venue));
    memcpy(a->event.symbol, m->symbol, sizeof(a->event.symbol));
}

static bool wants_book(const struct engine *e, const char *venue, const char *symbol)
{
    for (size_t i = 0; i < e->rules->count; i++) {
        const struct rule *rule = &e->rules->rule[i];
        if ((rule->kind == RULE_SPREAD_ABOVE || rule->kind == RULE_BOOK_INVALID) &&
            rule_matches(rule, venue, symbol))
            return true;
    }
    return false;
}

struct market *engine_market_new(struct engine *e, unsigned input, const char *venue,
                                 const char *symbol)
{
    if (e->market_count == ENGINE_MARKETS_MAX) {
        e->refused++;
        return NULL;
    }
    struct market *m = &e->market[e->market_count++];
    memset(m, 0, sizeof(*m));
    m->input = (uint8_t)input;
    (void)snprintf(m->venue, sizeof(m->venue), "%s", venue);
    (void)snprintf(m->symbol, sizeof(m->symbol), "%s", symbol);
    if (wants_book(e, venue, symbol)) {
        if (e->book_count < e->book_max)
            m->book = &e->book[e->book_count++];
        else
            e->refused++;
    }
    return m;
}

/* The alert that engine_expect made before the market was seen: it goes by the market's time now. */
static struct alert *find_expected(struct engine *e, size_t rule)
{
    for (size_t i = 0; i < e->alert_count; i++)
        if (e->alert[i].rule == rule && e->alert[i].market == 0)
            return &e->alert[i];
    return NULL;
}

static void watch_market(struct engine *e, struct market *m, size_t rule, tb_ns now)
{
    struct alert *a = find_expected(e, rule);
    bool expected = a != NULL;
    if (a == NULL)
        a = engine_alert_new(e, rule, m->input);
    if (a == NULL)
        return;
    a->input = m->input;
    engine_market_add(e, m, a);
    if (e->rules->rule[rule].kind != RULE_NO_TRADES)
        return;
    if (expected && a->phase == ALERT_FIRING) {
        a->deadline = INT64_MAX; /* the first trade ends it */
        return;
    }
    a->event.since = now;
    set_deadline(e, a, now + e->rules->rule[rule].for_ns);
}

int engine_market(struct engine *e, unsigned input, const char *venue, const char *symbol,
                  tb_ns now)
{
    for (size_t i = 0; i < e->market_count; i++)
        if (strcmp(e->market[i].venue, venue) == 0 && strcmp(e->market[i].symbol, symbol) == 0)
            return e->market[i].input == input ? (int)i : -1; /* one stream speaks for a market */
    struct market *m = engine_market_new(e, input, venue, symbol);
    if (m == NULL)
        return -1;
    for (size_t i = 0; i < e->rules->count; i++)
        if (rule_matches(&e->rules->rule[i], venue, symbol))
            watch_market(e, m, i, now);
    return (int)(m - e->market);
}

void engine_rewatch(struct engine *e, struct market *m)
{
    for (size_t i = 0; i < e->rules->count; i++) {
        bool watched = false;
        for (uint16_t j = m->alerts; j != 0; j = e->alert[j - 1].next)
            watched = watched || e->alert[j - 1].rule == i;
        if (!watched && rule_matches(&e->rules->rule[i], m->venue, m->symbol))
            watch_market(e, m, i, e->now[m->input]);
    }
}

void engine_expect(struct engine *e, tb_ns wall)
{
    for (size_t i = 0; i < e->rules->count; i++) {
        const struct rule *rule = &e->rules->rule[i];
        bool known = find_expected(e, i) != NULL;
        for (size_t j = 0; j < e->market_count; j++)
            known = known || rule_matches(rule, e->market[j].venue, e->market[j].symbol);
        if (rule->kind != RULE_NO_TRADES || known || strcmp(rule->exchange, "*") == 0 ||
            strcmp(rule->symbol, "*") == 0)
            continue;
        struct alert *a = engine_alert_new(e, i, ENGINE_WALL);
        if (a == NULL)
            return;
        memcpy(a->event.venue, rule->exchange, sizeof(a->event.venue));
        memcpy(a->event.symbol, rule->symbol, sizeof(a->event.symbol));
        a->event.since = wall;
        set_deadline(e, a, wall + rule->for_ns);
    }
}

/* ---- records ---- */

/* The side of the threshold on which the price is; on it: where it was. */
static void price_crosses(struct engine *e, struct alert *a, int compared, tb_ns now)
{
    const struct rule *rule = rule_of(e, a);
    int8_t before = a->side;
    if (compared == 0 || compared == before)
        return;
    a->side = (int8_t)compared;
    if (before == 0)
        return;
    end(e, a, now);
    if (rule->direction == RULE_EITHER || (rule->direction == RULE_UP) == (compared > 0))
        begin(e, a, now);
}

static void on_trade(struct engine *e, struct alert *a, const struct tb_record *r, int8_t price_exp,
                     tb_ns now)
{
    const struct rule *rule = rule_of(e, a);
    int compared = engine_compare(r->trade.price, price_exp, rule->threshold, rule->threshold_exp);
    if (rule->kind == RULE_NO_TRADES) {
        heard(e, a, now);
        return;
    }
    if (rule->kind != RULE_PRICE_ABOVE && rule->kind != RULE_PRICE_BELOW &&
        rule->kind != RULE_PRICE_CROSSES)
        return;
    set_value(a, r->trade.price, price_exp, rule->threshold, rule->threshold_exp);
    if (rule->kind == RULE_PRICE_CROSSES)
        price_crosses(e, a, compared, now);
    else
        hold(e, a, rule->kind == RULE_PRICE_ABOVE ? compared > 0 : compared < 0, now);
}

static void on_spread(struct engine *e, const struct market *m, int64_t bid, int64_t ask, int exp,
                      tb_ns now)
{
    int64_t spread = saturate((__int128)ask - bid);
    for (uint16_t i = m->alerts; i != 0; i = e->alert[i - 1].next) {
        struct alert *a = &e->alert[i - 1];
        const struct rule *rule = rule_of(e, a);
        if (rule->kind != RULE_SPREAD_ABOVE)
            continue;
        set_value(a, spread, exp, rule->threshold, rule->threshold_exp);
        hold(e, a, engine_compare(spread, exp, rule->threshold, rule->threshold_exp) > 0, now);
    }
}

static void on_gap(struct engine *e, struct alert *a, const struct tb_record *r, tb_ns now)
{
    const struct rule *rule = rule_of(e, a);
    if (rule->kind != RULE_GAP)
        return;
    set_value(a, r->gap.missing > INT64_MAX ? INT64_MAX : (int64_t)r->gap.missing, 0, 0, 0);
    if (a->phase == ALERT_FIRING)
        set_deadline(e, a,
                     now + rule->keep_ns); /* another one while it is firing: the same story */
    else
        begin(e, a, now);
}

static void on_book(struct engine *e, struct market *m, const struct tb_record *r, int8_t price_exp,
                    int8_t size_exp, tb_ns now)
{
    bool complete = tb_book_apply(m->book, r, price_exp, size_exp);
    m->book_seen = m->book_seen || m->book->valid;
    for (uint16_t i = m->alerts; m->book_seen && i != 0; i = e->alert[i - 1].next) {
        struct alert *a = &e->alert[i - 1];
        if (rule_of(e, a)->kind == RULE_BOOK_INVALID)
            hold(e, a, !m->book->valid, now);
    }
    const struct tb_book_level *bid = tb_book_best(m->book, TB_BUY, 0);
    const struct tb_book_level *ask = tb_book_best(m->book, TB_SELL, 0);
    if (complete && !m->quoted && bid != NULL && ask != NULL)
        on_spread(e, m, bid->price, ask->price, m->book->price_exp, now);
}

static void on_market(struct engine *e, struct market *m, const struct tb_record *r,
                      int8_t price_exp, int8_t size_exp, tb_ns now)
{
    for (uint16_t i = m->alerts; i != 0; i = e->alert[i - 1].next) {
        if (r->type == TB_TRADE)
            on_trade(e, &e->alert[i - 1], r, price_exp, now);
        else if (r->type == TB_GAP)
            on_gap(e, &e->alert[i - 1], r, now);
    }
    if (r->type == TB_QUOTE) {
        m->quoted = true;
        on_spread(e, m, r->quote.bid_price, r->quote.ask_price, price_exp, now);
    }
    if (m->book != NULL &&
        (r->type == TB_LEVEL || r->type == TB_CLEAR || r->type == TB_GAP || r->type == TB_STATUS))
        on_book(e, m, r, price_exp, size_exp, now);
}

void engine_record(struct engine *e, unsigned input, int market, const struct tb_record *record,
                   int8_t price_exp, int8_t size_exp)
{
    advance(e, input, record->ts_recv);
    tb_ns now = e->now[input];
    if (market >= 0) {
        on_market(e, &e->market[market], record, price_exp, size_exp, now);
        return;
    }
    for (size_t i = 0; i < e->market_count; i++) {
        struct market *m = &e->market[i];
        if (m->input == input && (record->type == TB_GAP || record->type == TB_STATUS))
            on_market(e, m, record, m->book != NULL ? m->book->price_exp : 0,
                      m->book != NULL ? m->book->size_exp : 0, now);
    }
}

void engine_unseen(struct engine *e, unsigned input)
{
    for (size_t i = 0; i < e->market_count; i++)
        if (e->market[i].input == input && e->market[i].book != NULL)
            e->market[i].book->valid = false;
}

/* ---- the clock, streams, readers ---- */

void engine_idle(struct engine *e, unsigned input, tb_ns now)
{
    /* Only deadlines: the stream's time itself is that of its records. */
    tb_ns before = e->now[input];
    advance(e, input, now);
    if (input != ENGINE_WALL)
        e->now[input] = before;
}

static struct alert *find_whole(struct engine *e, size_t rule, const char *stream,
                                const char *reader)
{
    for (size_t i = 0; i < e->alert_count; i++)
        if (e->alert[i].rule == rule && strcmp(e->alert[i].event.stream, stream) == 0 &&
            strcmp(e->alert[i].event.reader, reader) == 0)
            return &e->alert[i];
    struct alert *a = engine_alert_new(e, rule, ENGINE_WALL);
    if (a != NULL) {
        (void)snprintf(a->event.stream, sizeof(a->event.stream), "%s", stream);
        (void)snprintf(a->event.reader, sizeof(a->event.reader), "%s", reader);
    }
    return a;
}

void engine_feed(struct engine *e, const char *stream, bool down, tb_ns wall)
{
    advance(e, ENGINE_WALL, wall);
    for (size_t i = 0; i < e->rules->count; i++) {
        const struct rule *rule = &e->rules->rule[i];
        if (rule->kind != RULE_FEED_DOWN || !rule_name_matches(rule->stream, stream))
            continue;
        struct alert *a = find_whole(e, i, stream, "");
        if (a == NULL)
            return;
        set_value(a, down, 0, 0, 0);
        hold(e, a, down, wall);
    }
}

void engine_lag(struct engine *e, const char *stream, const char *reader, uint64_t lag, tb_ns wall)
{
    int64_t records = lag > INT64_MAX ? INT64_MAX : (int64_t)lag;
    advance(e, ENGINE_WALL, wall);
    for (size_t i = 0; i < e->rules->count; i++) {
        const struct rule *rule = &e->rules->rule[i];
        if (rule->kind != RULE_LAG_ABOVE || !rule_name_matches(rule->stream, stream) ||
            !rule_name_matches(rule->reader, reader))
            continue;
        struct alert *a = find_whole(e, i, stream, reader);
        if (a == NULL)
            return;
        a->looked = wall;
        set_value(a, records, 0, rule->threshold, 0);
        hold(e, a, records > rule->threshold, wall);
    }
}

void engine_lag_end(struct engine *e, tb_ns wall)
{
    for (size_t i = 0; i < e->alert_count; i++)
        if (rule_of(e, &e->alert[i])->kind == RULE_LAG_ABOVE && e->alert[i].looked != wall)
            end(e, &e->alert[i], wall);
}
