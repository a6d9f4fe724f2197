/* The engine as bytes of a checkpoint: its markets (with their books), then its alerts. */
#include <string.h>

#include <consumers/alerts/engine.h>

struct saved_head {
    uint64_t alert_bytes; /* sizeof(struct alert): another build's is not read */
    uint64_t alerts;
    uint64_t markets;
    tb_ns now[ENGINE_INPUTS_MAX + 1];
};

struct saved_market {
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
    uint64_t book_bytes; /* 0: it had none */
    uint8_t input;
    bool quoted;
    bool book_seen;
    uint8_t reserved[5];
};

static size_t book_bytes(const struct tb_book *book)
{
    if (book == NULL)
        return 0;
    return tb_book_save_max(book->bid.count > book->ask.count ? book->bid.count : book->ask.count);
}

size_t engine_save_size(const struct engine *e)
{
    size_t bytes = sizeof(struct saved_head) + e->alert_count * sizeof(struct alert);
    for (size_t i = 0; i < e->market_count; i++)
        bytes += sizeof(struct saved_market) + book_bytes(e->market[i].book);
    return bytes;
}

size_t engine_save_max(void)
{
    return sizeof(struct saved_head) + ENGINE_ALERTS_MAX * sizeof(struct alert) +
           ENGINE_MARKETS_MAX * sizeof(struct saved_market) +
           ENGINE_BOOKS_MAX * tb_book_save_max(ENGINE_BOOK_DEPTH);
}

static size_t save_market(const struct market *m, char *bytes, size_t capacity)
{
    struct saved_market saved = {.input = m->input, .quoted = m->quoted, .book_seen = m->book_seen};
    if (capacity < sizeof(saved))
        return 0;
    memcpy(saved.venue, m->venue, sizeof(saved.venue));
    memcpy(saved.symbol, m->symbol, sizeof(saved.symbol));
    if (m->book != NULL) {
        saved.book_bytes = tb_book_save(m->book, bytes + sizeof(saved), capacity - sizeof(saved));
        if (saved.book_bytes == 0)
            return 0;
    }
    memcpy(bytes, &saved, sizeof(saved));
    return sizeof(saved) + (size_t)saved.book_bytes;
}

size_t engine_save(const struct engine *e, void *bytes, size_t capacity)
{
    struct saved_head head = {
        .alert_bytes = sizeof(struct alert), .alerts = e->alert_count, .markets = e->market_count};
    size_t used = sizeof(head);
    if (capacity < engine_save_size(e))
        return 0;
    memcpy(head.now, e->now, sizeof(head.now));
    memcpy(bytes, &head, sizeof(head));
    for (size_t i = 0; i < e->market_count; i++) {
        size_t one = save_market(&e->market[i], (char *)bytes + used, capacity - used);
        if (one == 0)
            return 0;
        used += one;
    }
    memcpy((char *)bytes + used, e->alert, e->alert_count * sizeof(struct alert));
    return used + e->alert_count * sizeof(struct alert);
}

static size_t load_market(struct engine *e, const char *bytes, size_t count)
{
    struct saved_market saved;
    if (count < sizeof(saved))
        return 0;
    memcpy(&saved, bytes, sizeof(saved));
    if (saved.book_bytes > count - sizeof(saved) || saved.input >= ENGINE_INPUTS_MAX)
        return 0;
    struct market *m = engine_market_new(e, saved.input, saved.venue, saved.symbol);
    if (m == NULL)
        return 0;
    m->quoted = saved.quoted;
    m->book_seen = saved.book_seen && saved.book_bytes > 0;
    if (m->book != NULL && saved.book_bytes > 0 &&
        tb_book_load(m->book, bytes + sizeof(saved), (size_t)saved.book_bytes) == 0)
        return 0;
    return sizeof(saved) + (size_t)saved.book_bytes;
}

/* kind -1: whichever the rule of that name has. */
static int find_rule(const struct engine *e, const struct event *event, int kind)
{
    for (size_t i = 0; i < e->rules->count; i++) {
        const struct rule *rule = &e->rules->rule[i];
        if (strcmp(rule->name, event->rule) != 0 || (kind >= 0 && (int)rule->kind != kind))
            continue;
        bool fits = rule_is_market(rule) ? rule_matches(rule, event->venue, event->symbol)
                                         : rule_name_matches(rule->stream, event->stream) &&
                                               rule_name_matches(rule->reader, event->reader);
        return fits ? (int)i : -1;
    }
    return -1;
}

/* A rule that is no more leaves nothing open. */
static void give_up(struct engine *e, const struct alert *saved)
{
    struct event event = saved->event;
    if (saved->phase != ALERT_PENDING && saved->phase != ALERT_FIRING)
        return;
    event.state = TB_ALERT_RESOLVED;
    event.at = e->now[saved->input] > event.at ? e->now[saved->input] : event.at;
    event.wall = e->wall;
    e->emit(e->context, &event);
}

static void load_alert(struct engine *e, const struct alert *saved)
{
    int rule = find_rule(e, &saved->event, saved->kind);
    struct alert *a = rule >= 0 ? engine_alert_new(e, (size_t)rule, saved->input) : NULL;
    if (a == NULL) {
        give_up(e, saved);
        return;
    }
    *a = *saved;
    a->rule = (uint16_t)rule;
    a->market = a->next = 0;
    for (size_t i = 0; saved->market != 0 && i < e->market_count; i++)
        if (strcmp(e->market[i].venue, a->event.venue) == 0 &&
            strcmp(e->market[i].symbol, a->event.symbol) == 0)
            engine_market_add(e, &e->market[i], a);
    if (a->deadline < e->deadline[a->input])
        e->deadline[a->input] = a->deadline;
}

size_t engine_load(struct engine *e, const void *bytes, size_t count)
{
    struct saved_head head;
    size_t used = sizeof(head);
    if (count < used)
        return 0;
    memcpy(&head, bytes, sizeof(head));
    if (head.alert_bytes != sizeof(struct alert) || head.alerts > ENGINE_ALERTS_MAX)
        return 0;
    memcpy(e->now, head.now, sizeof(e->now));
    for (size_t i = 0; i < head.markets; i++) {
        size_t one = load_market(e, (const char *)bytes + used, count - used);
        if (one == 0)
            return 0;
        used += one;
    }
    if ((count - used) / sizeof(struct alert) < head.alerts)
        return 0;
    for (size_t i = 0; i < head.alerts; i++, used += sizeof(struct alert)) {
        struct alert saved;
        memcpy(&saved, (const char *)bytes + used, sizeof(saved));
        if (saved.input <= ENGINE_INPUTS_MAX)
            load_alert(e, &saved);
    }
    for (size_t i = 0; i < e->market_count; i++)
        engine_rewatch(e, &e->market[i]);
    return used;
}

/* ---- without a state ---- */

static struct alert *find_alert(const struct engine *e, const struct event *event)
{
    for (size_t i = 0; i < e->alert_count; i++) {
        const struct event *x = &e->alert[i].event;
        if (strcmp(x->rule, event->rule) == 0 && strcmp(x->symbol, event->symbol) == 0 &&
            strcmp(x->venue, event->venue) == 0 && strcmp(x->stream, event->stream) == 0 &&
            strcmp(x->reader, event->reader) == 0)
            return &e->alert[i];
    }
    return NULL;
}

bool engine_is_open(const struct engine *e, const struct event *event)
{
    const struct alert *a = find_alert(e, event);
    return a != NULL && (a->phase == ALERT_PENDING || a->phase == ALERT_FIRING);
}

tb_ns engine_time(const struct engine *e, const char *venue, const char *symbol)
{
    for (size_t i = 0; i < e->market_count; i++)
        if (strcmp(e->market[i].venue, venue) == 0 && strcmp(e->market[i].symbol, symbol) == 0)
            return e->now[e->market[i].input];
    return 0;
}

void engine_resume(struct engine *e, const struct event *event)
{
    int rule = find_rule(e, event, -1);
    struct alert saved = {.event = *event, .deadline = INT64_MAX, .input = ENGINE_WALL};
    saved.phase = event->state == TB_ALERT_FIRING    ? ALERT_FIRING
                  : event->state == TB_ALERT_PENDING ? ALERT_PENDING
                                                     : ALERT_INACTIVE;
    if (rule < 0) {
        give_up(e, &saved);
        return;
    }
    if (rule_is_market(&e->rules->rule[rule]) || saved.phase == ALERT_INACTIVE)
        return;
    saved.kind = (uint8_t)e->rules->rule[rule].kind;
    if (saved.phase == ALERT_PENDING)
        saved.deadline = event->since + e->rules->rule[rule].for_ns;
    struct alert *known = find_alert(e, event);
    if (known == NULL) {
        load_alert(e, &saved);
        return;
    }
    known->event = saved.event;
    known->phase = saved.phase;
    known->deadline = saved.deadline;
    if (saved.deadline < e->deadline[ENGINE_WALL])
        e->deadline[ENGINE_WALL] = saved.deadline;
}
