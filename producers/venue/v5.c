/*
 * Bybit and OKX, seen from a client. Books begin on the socket: who subscribed before the recorded
 * snapshot is played gets that; who comes later gets, right after the agreement, one made of what
 * was played so far, with the last frame's ids and checksum, so that the frames that follow join
 * it.
 *
 * A topic of a known market that was not recorded is agreed to, and stays silent.
 */
#include "v5.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/decimal.h>
#include <tickbus/log.h>

#define STREAMS_MAX                                                                                \
    (ADAPTER_MARKETS_MAX * 8) /* recorded ones, and those that clients ask for in
                                               * vain */

struct protocol {
    const struct v5_dialect *dialect;
    size_t market_count;
    struct adapter_market_config market[ADAPTER_MARKETS_MAX];
    uint32_t stream_count;
    struct v5_stream stream[STREAMS_MAX];
};

/* ---- streams and books ---- */

/* -1: there is no such stream in the recording. */
static int find_stream(const struct protocol *p, const char *name)
{
    for (uint32_t i = 0; i < p->stream_count; i++)
        if (strcmp(p->stream[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool find_market(const struct protocol *p, const char *name, size_t *out_market)
{
    const char *raw = p->dialect->symbol(name);

    for (size_t i = 0; raw != NULL && i < p->market_count; i++)
        if (strcmp(p->market[i].raw, raw) == 0) {
            *out_market = i;
            return true;
        }
    return false;
}

static void keep_ids(const struct v5_dialect *d, struct v5_stream *s, struct json_span frame,
                     struct json_span data)
{
    struct json_span value;

    for (size_t i = 0; d->ids[i] != NULL; i++)
        if ((json_find(data, d->ids[i], &value) || json_find(frame, d->ids[i], &value)) &&
            value.length < V5_ID_BYTES) {
            memcpy(s->id[i], value.at, value.length);
            s->id[i][value.length] = '\0';
        }
}

static void v5_played(struct protocol *p, const struct capture_event *event,
                      const struct protocol_frame *frame)
{
    const struct v5_dialect *d = p->dialect;
    struct json_span text = {event->text, event->length}, data, type, levels;
    struct v5_stream *s = &p->stream[frame->stream];

    if (frame->bare == NULL || !s->book || !d->book_data(text, &data) ||
        !json_find(text, d->type, &type))
        return;
    if (json_is(type, "\"snapshot\"")) {
        tb_book_clear(&s->levels);
        s->begun = true;
    }
    if (json_find(data, d->bids, &levels))
        (void)protocol_set_levels(&s->levels, TB_BUY, levels);
    if (json_find(data, d->asks, &levels))
        (void)protocol_set_levels(&s->levels, TB_SELL, levels);
    keep_ids(d, s, text, data);
}

void v5_levels(struct protocol_text *out, const struct v5_stream *s, uint8_t side, const char *more)
{
    const struct tb_book_level *level;
    char text[2][TB_DECIMAL_BYTES];

    protocol_append(out, "[", 1);
    for (uint32_t rank = 0; (level = tb_book_best(&s->levels, side, rank)) != NULL; rank++) {
        size_t price = tb_decimal_format(level->price, s->levels.price_exp, text[0]);
        size_t size = tb_decimal_format(level->size, s->levels.size_exp, text[1]);
        protocol_printf(out, "%s[\"%.*s\",\"%.*s\"%s]", rank == 0 ? "" : ",", (int)price, text[0],
                        (int)size, text[1], more);
    }
    protocol_append(out, "]", 1);
}

/* ---- the recording ---- */

static int v5_frame(struct protocol *p, const struct capture_event *event,
                    struct protocol_frame *out_frame)
{
    char name[PROTOCOL_STREAM_BYTES];

    *out_frame = (struct protocol_frame){0};
    if (event->kind != CAPTURE_FRAME ||
        !p->dialect->frame_name((struct json_span){event->text, event->length}, name))
        return -ENOENT;
    int number = find_stream(p, name);
    if (number < 0)
        return -ENOENT;
    out_frame->stream = (uint32_t)number;
    out_frame->bare = event->text;
    out_frame->bare_length = event->length;
    return 0;
}

/* The number of a new stream; -ENOSPC, -ENOMEM. */
static int add_stream(struct protocol *p, const char *name, size_t market, bool recorded)
{
    if (p->stream_count == STREAMS_MAX)
        return -ENOSPC;
    struct v5_stream *s = &p->stream[p->stream_count];
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    s->market = market;
    s->book = recorded && p->dialect->is_book(name);
    if (s->book && tb_book_init(&s->levels, V5_BOOK_DEPTH) != 0)
        return -ENOMEM;
    s->levels.price_exp = p->market[market].price_exp;
    s->levels.size_exp = p->market[market].size_exp;
    return (int)p->stream_count++;
}

static int add_recorded(struct protocol *p, const struct capture_event *event)
{
    char name[PROTOCOL_STREAM_BYTES];
    size_t market;

    if (event->kind != CAPTURE_FRAME ||
        !p->dialect->frame_name((struct json_span){event->text, event->length}, name) ||
        find_stream(p, name) >= 0 || !find_market(p, name, &market))
        return 0;
    int rc = add_stream(p, name, market, true);
    return rc < 0 ? rc : 0;
}

static int scan(struct protocol *p, const char *venue, struct session *s)
{
    int rc = protocol_scan(venue, s, p->market, &p->market_count);

    for (; rc == 0 && s->have; session_advance(s))
        rc = add_recorded(p, &s->event);
    return rc == 0 ? session_rewind(s) : rc;
}

static void v5_destroy(struct protocol *p)
{
    for (uint32_t i = 0; p != NULL && i < p->stream_count; i++)
        if (p->stream[i].book)
            tb_book_fini(&p->stream[i].levels);
    free(p);
}

static struct protocol *create(const struct v5_dialect *dialect, const char *venue,
                               struct session *session, struct tb_error *err)
{
    struct protocol *p = calloc(1, sizeof(*p));
    int rc = p == NULL ? -ENOMEM : 0;

    if (rc == 0) {
        p->dialect = dialect;
        rc = scan(p, venue, session);
    }
    if (rc == 0) {
        tb_log(TB_LOG_INFO, "recording", "venue=%s symbols=%zu streams=%u", venue, p->market_count,
               p->stream_count);
        return p;
    }
    protocol_unreadable(venue, rc, err);
    v5_destroy(p);
    return NULL;
}

static bool v5_awaited(struct protocol *p, const struct capture_event *event)
{
    (void)p, (void)event; /* nothing of REST is needed */
    return false;
}

/* ---- clients ---- */

bool v5_is_contract(const struct adapter_market_config *m)
{
    return strchr(m->symbol, ':') != NULL;
}

static int v5_connect(struct protocol *p, struct protocol_client *c, const char *path,
                      const char *query)
{
    bool linear = p->dialect->linear != NULL && strcmp(path, p->dialect->linear) == 0;

    (void)c, (void)query;
    if (!linear && strcmp(path, p->dialect->path) != 0)
        return 404;
    for (size_t i = 0; p->dialect->linear != NULL && i < p->market_count; i++)
        if (v5_is_contract(&p->market[i]) == linear)
            return 0;
    return p->dialect->linear == NULL ? 0 : 404; /* none of that kind was recorded */
}

static void v5_disconnect(struct protocol *p, struct protocol_client *c)
{
    (void)p;
    memset(c, 0, sizeof(*c));
}

/* The stream that is meant: the recorded one, if at another depth; else one that stays silent. -1:
 * no room. */
static int meant(struct protocol *p, const char *name)
{
    int number = find_stream(p, name);
    size_t market;

    for (uint32_t i = 0; number < 0 && i < p->stream_count; i++)
        if (p->stream[i].book && p->dialect->same_stream(name, p->stream[i].name))
            number = (int)i;
    if (number < 0 && find_market(p, name, &market))
        number = add_stream(p, name, market, false);
    return number;
}

static void switch_stream(struct protocol *p, struct protocol_client *c, const char *name, bool on,
                          struct protocol_text *out)
{
    int number = meant(p, name);

    if (number < 0 || !protocol_switch(c, (uint32_t)number, on))
        return;
    const struct v5_stream *s = &p->stream[number];
    if (!on || !s->begun)
        return;
    protocol_end_message(out);
    p->dialect->book(out, s, &p->market[s->market]);
}

/* The first argument that can not be, by name; empty: there are too many, or no list of them.
 * False: all are well. */
static bool find_wrong(struct protocol *p, const struct protocol_client *c, struct json_span args,
                       bool on, char out[PROTOCOL_STREAM_BYTES], bool *out_again)
{
    const struct v5_dialect *d = p->dialect;
    struct json_walk w;
    struct json_span item;
    size_t market;
    unsigned count = 0;

    *out_again = false;
    out[0] = '\0';
    if (!json_enter(args, &w) || w.close != ']')
        return true;
    while (json_item(&w, &item)) {
        out[0] = '\0';
        if (d->args_max != 0 && ++count > d->args_max)
            return true;
        if (!d->argument_name(item, out) || !find_market(p, out, &market))
            return true;
        int number = d->once && on ? meant(p, out) : -1;
        *out_again = number >= 0 && protocol_subscribed(c, (uint32_t)number);
        if (*out_again)
            return true;
    }
    return false;
}

static void request(struct protocol *p, struct protocol_client *c, struct json_span text,
                    const char *op, struct protocol_text *out)
{
    const struct v5_dialect *d = p->dialect;
    struct json_span args = {"", 0}, item;
    struct json_walk w;
    char name[PROTOCOL_STREAM_BYTES];
    bool again;

    (void)json_find(text, "args", &args);
    if (find_wrong(p, c, args, op[0] == 's', name, &again)) {
        for (char *at = name; *at != '\0'; at++)
            if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
                *at = '?';
        d->refuse(out, text, name, op, again);
        return;
    }
    if (!d->agrees_each)
        d->agree(out, text, args, op);
    (void)json_enter(args, &w);
    while (json_item(&w, &item)) {
        (void)d->argument_name(item, name);
        if (d->agrees_each) {
            protocol_end_message(out);
            d->agree(out, text, item, op);
        }
        switch_stream(p, c, name, op[0] == 's', out);
    }
}

static int v5_message(struct protocol *p, struct protocol_client *c, const char *bytes,
                      size_t length, tb_ns now, struct protocol_text *out)
{
    struct json_span text = {bytes, length}, op;

    (void)now;
    if (p->dialect->pong(out, text))
        return 0;
    if (json_whole(text) && json_find(text, "op", &op) && json_is(op, "\"subscribe\""))
        request(p, c, text, "subscribe", out);
    else if (json_whole(text) && json_find(text, "op", &op) && json_is(op, "\"unsubscribe\""))
        request(p, c, text, "unsubscribe", out);
    else
        p->dialect->refuse(out, text, "", "", false);
    return 0;
}

/* ---- REST ---- */

static int get_book(const struct protocol *p, const char *query, struct protocol_text *out)
{
    char name[PROTOCOL_STREAM_BYTES];
    int number = p->dialect->rest_name(query, name) ? find_stream(p, name) : -1;

    if (number < 0 || !p->stream[number].begun) {
        protocol_put(out,
                     "{\"code\":\"51001\",\"msg\":\"Instrument ID does not exist\",\"data\":[]}");
        return 200; /* the venue's errors are in the body */
    }
    p->dialect->rest_answer(out, &p->stream[number]);
    return 200;
}

static int v5_get(struct protocol *p, const char *path, const char *query, tb_ns now,
                  struct protocol_text *out)
{
    const struct v5_dialect *d = p->dialect;
    const char *separator = "";

    (void)now;
    if (d->rest_book != NULL && strcmp(path, d->rest_book) == 0)
        return get_book(p, query, out);
    if (strcmp(path, d->listing) != 0) {
        protocol_printf(out, "{\"msg\":\"not found\"}");
        return 404;
    }
    bool linear = d->list_begin_linear != NULL && strstr(query, "category=linear") != NULL;
    protocol_printf(out, "%s", linear ? d->list_begin_linear : d->list_begin);
    for (size_t i = 0; i < p->market_count; i++) {
        if (!d->listed(query, &p->market[i]))
            continue;
        protocol_printf(out, "%s", separator);
        d->list(out, &p->market[i]);
        separator = ",";
    }
    protocol_printf(out, "%s", d->list_end);
    return 200;
}

static const struct protocol_rules *v5_rules(const struct protocol *p)
{
    return &p->dialect->rules;
}

static const struct adapter_market_config *v5_markets(const struct protocol *p, size_t *out_count)
{
    *out_count = p->market_count;
    return p->market;
}

#define V5_OPS                                                                                     \
    .rules = v5_rules, .markets = v5_markets, .destroy = v5_destroy, .connect = v5_connect,        \
    .disconnect = v5_disconnect, .message = v5_message, .frame = v5_frame, .played = v5_played,    \
    .awaited = v5_awaited, .get = v5_get

static struct protocol *create_bybit(const char *venue, struct session *session,
                                     struct tb_error *err)
{
    return create(&v5_bybit, venue, session, err);
}

static struct protocol *create_okx(const char *venue, struct session *session, struct tb_error *err)
{
    return create(&v5_okx, venue, session, err);
}

static const char *const bybit_venues[] = {"bybit", NULL}, *const okx_venues[] = {"okx", "okcoin",
                                                                                  NULL};

const struct protocol_ops protocol_bybit = {.venues = bybit_venues, .create = create_bybit, V5_OPS};
const struct protocol_ops protocol_okx = {.venues = okx_venues, .create = create_okx, V5_OPS};
