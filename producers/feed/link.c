/*
 * The connection, and the next one. Most of the time there is one. Where venues end connections after a
 * time, a next one is made before that, beside it:
 *
 *   life_end -> connect -> subscribe -> [ what it sends is kept ] -> all requests answered
 *            -> OVERLAP_NS more, for what the first has yet to tell -> the adapter is told of the handover,
 *               is given what was kept, and drops what it knows -> the first is closed
 *
 * If the next one fails it is made again later, and the first goes on. If the first ends meanwhile, the next
 * one takes over at once if its requests are answered; else it is an ordinary disconnection.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#include "feed.h"

#define GOOD_DATA_NS (60 * TB_NS_PER_S) /* so long live: the next failure is a first one again */
#define LOOK_NS TB_NS_PER_S
#define OVERLAP_NS TB_NS_PER_S

uint64_t feed_frames(const struct feed *f)
{
    return f->link[0].socket.frames + f->link[1].socket.frames;
}

/* ---- the live one ---- */

/* How often the venue wants a ping of its own kind; oftener where silence may not last as long. */
static tb_ns own_ping_interval(const struct feed *f)
{
    tb_ns venues = f->ops->ping_interval_ns, third = f->options.silence / 3;

    return third > 0 && third < venues ? third : venues;
}

/* An hour of twenty-four before the venue ends it: the time is ours then, not the venue's. */
static tb_ns life_of(const struct feed *f)
{
    tb_ns venues = f->ops->connection_life_ns;

    if (f->options.connection_life > 0)
        return f->options.connection_life;
    return venues == 0 ? INT64_MAX : venues - venues / 24;
}

/* A connection is the live one from now on. */
static void begin_life(struct feed *f)
{
    tb_ns life = life_of(f);

    f->ping_sent = 0;
    f->refused_count = 0;
    f->own_ping_due = f->ops->ping == NULL ? INT64_MAX : f->mono + own_ping_interval(f);
    f->look_due = f->ops->on_time == NULL ? INT64_MAX : f->mono + LOOK_NS;
    f->life_end = life == INT64_MAX ? INT64_MAX : f->mono + life;
}

static void link_opened(struct feed_link *link)
{
    link->message = 0;
    link->message_due = link->feed->mono;
    link->sent = link->answers = 0;
    link->feed->connects++;
}

static void live_opened(struct feed *f)
{
    begin_life(f);
    outbox_clear(&f->outbox);
    feed_enter(f, FEED_LIVE);
    feed_well(f);
    tb_log(TB_LOG_INFO, "connected", "venue=%s url=%s connects=%" PRIu64, f->options.venue,
           f->options.url, f->connects);
    f->ops->on_connect(f->adapter, tb_clock_wall());
    tb_writer_wake(f->svc->out);
}

static void give(struct feed *f, const char *bytes, size_t length, tb_ns ts_recv)
{
    if (f->stopping)
        return;
    f->published_in_turn = false;
    (void)f->ops->on_frame(f->adapter, bytes, length, ts_recv); /* a bad one is counted there */
    if (!f->published_in_turn)
        return;
    tb_writer_wake(f->svc->out);
    tb_stats_observe(f->latency, tb_clock_wall() - ts_recv);
}

/* ---- the next one ---- */

static void drop_next(struct feed *f, const char *why)
{
    tb_ns wait = backoff_next(&f->backoff);
    char quoted[TB_QUOTE_BYTES];

    kept_clear(&f->kept);
    f->life_end = f->mono + wait;
    tb_log(TB_LOG_WARN, "next_connection_failed", "reason=%s then=\"the present one goes on\"",
           tb_quote_text(why, quoted));
}

static bool answered(const struct feed_link *link)
{
    return link->socket.open && link->message == UINT32_MAX && link->answers >= link->sent;
}

static void keep(struct feed *f, struct feed_link *link, const char *bytes, size_t length,
                 tb_ns ts_recv)
{
    if (link->answers < link->sent && f->ops->is_answer(f->adapter, bytes, length)) {
        link->answers++;
        link->answered = f->mono;
    }
    f->next_full = kept_put(&f->kept, bytes, length, ts_recv) != 0 || f->next_full;
}

/* The next one is the live one from here on. The caller sees to the other. */
static void take_over(struct feed *f)
{
    const char *frame;
    size_t at = 0, length, count = f->kept.count;
    tb_ns ts_recv;

    f->live = !f->live;
    begin_life(f);
    f->state_since = f->mono;
    f->handovers++;
    feed_well(f);
    f->ops->on_handover(f->adapter, tb_clock_wall());
    while ((frame = kept_next(&f->kept, &at, &length, &ts_recv)) != NULL)
        give(f, frame, length, ts_recv);
    kept_clear(&f->kept);
    tb_writer_wake(f->svc->out);
    tb_log(TB_LOG_INFO, "handover", "venue=%s connects=%" PRIu64 " overlap_frames=%zu",
           f->options.venue, f->connects, count);
}

static void count_connect(struct feed *f)
{
    f->connect_at[f->connect_count++ % FEED_CONNECTS] = f->mono;
}

static void make_next(struct feed *f)
{
    f->life_end = INT64_MAX;
    if (f->ops->is_answer == NULL) {
        socket_close(&feed_live(f)->socket, "reconnecting before the venue's limit");
        return;
    }
    kept_clear(&f->kept);
    f->next_full = false;
    f->next_since = f->mono;
    count_connect(f);
    socket_connect(&feed_next(f)->socket, &f->url, f->ops->connect_path(f->adapter));
}

/* ---- what sockets report ---- */

static void on_opened(void *context)
{
    struct feed_link *link = context;

    link_opened(link);
    if (link == feed_live(link->feed))
        live_opened(link->feed);
}

static void on_frame(void *context, const char *bytes, size_t length, tb_ns ts_recv)
{
    struct feed_link *link = context;

    if (link == feed_live(link->feed))
        give(link->feed, bytes, length, ts_recv);
    else
        keep(link->feed, link, bytes, length, ts_recv);
}

static void live_closed(struct feed *f, int code, const char *why)
{
    bool was_live = f->state == FEED_LIVE;

    if (was_live)
        f->disconnects++;
    else
        f->refused_connects++;
    if (was_live && code == 1000 && f->options.finite) {
        feed_enter(f, FEED_COMPLETE);
        return;
    }
    if (was_live && answered(feed_next(f))) {
        take_over(f);
        return;
    }
    kept_clear(&f->kept);
    rest_cancel(&f->rest); /* what was asked for belongs to a book that is lost */
    f->asked = false;
    if (was_live) {
        f->ops->on_disconnect(f->adapter, tb_clock_wall(), code, TB_GAP_RECONNECT);
        tb_writer_wake(f->svc->out);
        if (f->mono - f->state_since >= GOOD_DATA_NS)
            backoff_reset(&f->backoff);
    }
    feed_retry(f, FEED_WAITING, was_live ? "disconnected" : "cannot connect", why);
}

static void on_closed(void *context, int code, const char *why)
{
    struct feed_link *link = context;
    struct feed *f = link->feed;

    if (link == feed_live(f))
        live_closed(f, code, why);
    else if (f->state == FEED_LIVE)
        drop_next(f, why);
}

int feed_link_init(struct feed *f, struct feed_link *link, struct tb_error *err)
{
    const struct socket_handler handler = {
        .context = link, .opened = on_opened, .frame = on_frame, .closed = on_closed};

    link->feed = f;
    return socket_init(&link->socket, &f->sockets, &handler, err);
}

/* ---- turns ---- */

static void subscribe(struct feed *f, struct feed_link *link)
{
    char text[ADAPTER_REQUEST_BYTES];

    if (!link->socket.open || link->message == UINT32_MAX || f->mono < link->message_due)
        return;
    int length = f->ops->subscribe(f->adapter, link->message, text, sizeof(text));
    if (length <= 0) {
        link->message = UINT32_MAX;
        return;
    }
    if (socket_send(&link->socket, text, (size_t)length) != 0)
        return; /* the last one has yet to go: next turn */
    link->message++;
    link->sent++;
    link->message_due = f->mono + f->ops->subscribe_interval_ns;
}

static void send_waiting(struct feed *f)
{
    struct feed_link *link = feed_live(f);
    const struct outbox_message *m = outbox_next(&f->outbox);

    if (link->message != UINT32_MAX || m == NULL || f->mono < m->due || f->mono < link->message_due)
        return;
    if (socket_send(&link->socket, m->text, m->length) != 0)
        return; /* the last one has yet to go: next turn */
    outbox_drop(&f->outbox, m);
    link->message_due = f->mono + f->ops->subscribe_interval_ns;
}

/* Before all else: it is what keeps the connection. */
static void send_own_ping(struct feed *f)
{
    char text[ADAPTER_REQUEST_BYTES];

    if (f->mono < f->own_ping_due)
        return;
    int length = f->ops->ping(f->adapter, text, sizeof(text));
    if (length <= 0 || socket_send(&feed_live(f)->socket, text, (size_t)length) != 0)
        return; /* the last message has yet to go: next turn */
    f->own_ping_due = f->mono + own_ping_interval(f);
    feed_live(f)->message_due = f->mono + f->ops->subscribe_interval_ns;
}

static void look_at_deadlines(struct feed *f)
{
    if (f->mono < f->look_due)
        return;
    f->look_due = f->mono + LOOK_NS;
    f->ops->on_time(f->adapter, tb_clock_wall());
}

/*
 * Half of the allowed silence, then a ping; silence for the other half: the connection is dead. Data
 * that waited while we were kept from reading (a gate, a stop) is read before this is looked at.
 */
static void watch_silence(struct feed *f)
{
    struct socket *s = &feed_live(f)->socket;
    tb_ns silence = f->options.silence > 0 ? f->options.silence : f->ops->silence_ns;
    tb_ns mono = tb_clock_mono();

    if (silence == 0)
        return;
    if (s->last_mono >= f->ping_sent)
        f->ping_sent = 0;
    if (f->ping_sent == 0) {
        if (mono - s->last_mono > silence / 2) {
            f->ping_sent = mono;
            socket_ping(s);
        }
    } else if (mono - f->ping_sent > silence / 2) {
        f->ping_sent = mono; /* first: another connection may take over in here */
        socket_close(s, "nothing was heard, a ping was not answered");
    }
}

/* Why the next connection can not take over; NULL: it may yet. */
static const char *next_failed(const struct feed *f, const struct feed_link *next)
{
    if (f->next_full)
        return "it sent more than can be kept";
    if (answered(next) || f->mono - f->next_since <= f->options.connect_timeout)
        return NULL;
    return next->socket.open ? "not all requests were answered within connect_timeout"
                             : "no connection within connect_timeout";
}

static void next_turn(struct feed *f)
{
    struct feed_link *next = feed_next(f), *last = feed_live(f);
    const char *why;

    if (next->socket.wsi == NULL) {
        if (f->mono >= f->life_end)
            make_next(f);
        return;
    }
    subscribe(f, next);
    if ((why = next_failed(f, next)) != NULL) {
        socket_forget(&next->socket);
        drop_next(f, why);
    } else if (answered(next) && f->mono - next->answered >= OVERLAP_NS) {
        take_over(f);
        socket_forget(&last->socket);
    }
}

void feed_live_turn(struct feed *f)
{
    if (f->reconnect_why != NULL) {
        socket_close(&feed_live(f)->socket, f->reconnect_why);
        f->reconnect_why = NULL;
        return;
    }
    send_own_ping(f);
    subscribe(f, feed_live(f));
    send_waiting(f);
    look_at_deadlines(f);
    next_turn(f);
    if (f->state == FEED_LIVE)
        watch_silence(f);
}

void feed_connect(struct feed *f)
{
    f->reconnect_why = NULL;
    f->life_end = INT64_MAX;
    feed_enter(f, FEED_CONNECTING);
    count_connect(f);
    socket_connect(&feed_live(f)->socket, &f->url, f->ops->connect_path(f->adapter));
}

static tb_ns at_most(tb_ns due, tb_ns bound)
{
    return bound < due ? bound : due;
}

tb_ns feed_live_due(const struct feed *f)
{
    const struct feed_link *link = &f->link[f->live], *next = &f->link[!f->live];
    const struct outbox_message *m = outbox_next(&f->outbox);
    tb_ns due = at_most(at_most(f->own_ping_due, f->look_due), f->life_end);

    if (next->socket.open && next->message != UINT32_MAX)
        due = at_most(due, next->message_due);
    else if (answered(next))
        due = at_most(due, next->answered + OVERLAP_NS);
    if (link->message != UINT32_MAX)
        return at_most(due, link->message_due);
    if (m == NULL)
        return due;
    return at_most(due, m->due > link->message_due ? m->due : link->message_due);
}
