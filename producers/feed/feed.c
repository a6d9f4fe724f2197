#include "feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

#define LISTING_REQUEST UINT32_C(0xfffffffe) /* no adapter asks for this number */
#define LISTING_PATH_BYTES 16384
#define CONNECTS_NS (1100 * TB_NS_PER_MS) /* in which FEED_CONNECTS connections may be made */
#define LOOK_ASIDE 16                     /* turns with data */
#define LISTING_AGAIN_NS (60 * TB_NS_PER_S)
#define COMPLETE_WAIT_NS (10 * TB_NS_PER_S)

/* ---- changes of state ---- */

void feed_enter(struct feed *f, enum feed_state state)
{
    f->state = state;
    f->state_since = f->mono;
}

/* Try again later: LISTING or WAITING, with one line for the skeleton to log when it changes. */
void feed_retry(struct feed *f, enum feed_state state, const char *what, const char *why)
{
    char note[256];
    tb_ns wait = backoff_next(&f->backoff);

    f->next_attempt = f->mono + wait;
    /* Chance makes short waits too: venues count connections (OKX: 3/s, the least of all). */
    tb_ns room = f->connect_at[f->connect_count % FEED_CONNECTS] + CONNECTS_NS;
    if (state == FEED_WAITING && f->connect_count >= FEED_CONNECTS && f->next_attempt < room)
        f->next_attempt = room;
    feed_enter(f, state);
    (void)snprintf(note, sizeof(note), "%s: %s; retrying", what, why);
    tb_service_degraded(f->svc, note);
}

/* ---- what the adapter may ask of its host ---- */

/* It goes on without; a person has to look at what was asked for. */
static void say_refused(struct feed *f, const struct tb_record *r)
{
    const struct tb_instrument *i = tb_writer_instrument(f->svc->out, r->instrument);
    const char *symbol = i == NULL ? "" : i->symbol;
    const char *channel = i == NULL ? "unknown" : tb_channel_name((uint32_t)r->status.detail);

    tb_log_limited(&f->refused_log, 10 * TB_NS_PER_S, TB_LOG_WARN, "subscription_refused",
                   "venue=%s symbol=%s channel=%s then=\"the others go on\"", f->options.venue,
                   symbol, channel);
    if (f->refused_count++ == 0)
        (void)snprintf(f->refused, sizeof(f->refused), "%s%s%s", symbol, i == NULL ? "" : " ",
                       channel);
    feed_well(f);
}

int feed_publish(void *context, struct tb_record *records, size_t count)
{
    struct feed *f = context;
    tb_ns now = tb_clock_wall();

    for (size_t i = 0; i < count; i++) {
        records[i].publish_delta_ns = tb_publish_delta(now, records[i].ts_recv);
        if (records[i].type == TB_STATUS)
            records[i].status.pid = f->pid;
        if (records[i].type == TB_STATUS && records[i].status.code == TB_STATUS_REFUSED)
            say_refused(f, &records[i]);
    }
    if (tb_writer_publish_many(f->svc->out, records, count) < count) {
        f->stopping = true;
        return -ECANCELED;
    }
    f->published += count;
    f->published_in_turn = true;
    return 0;
}

static int host_instrument(void *context, const struct tb_instrument *entry)
{
    struct feed *f = context;

    return tb_writer_add_instrument(f->svc->out, entry);
}

static void host_get(void *context, uint32_t request, const char *path, tb_ns not_before_ns)
{
    struct feed *f = context;
    int rc = rest_get(&f->rest, request, path, tb_clock_mono() + not_before_ns);

    /* The queue is larger than the number of markets: only an adapter gone wrong gets here. */
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "request_refused", "path=%s reason=%s", path, strerror(-rc));
}

static void host_reconnect(void *context, const char *why)
{
    struct feed *f = context;

    f->reconnect_why = why;
}

static void host_send(void *context, const char *text, size_t length, tb_ns not_before_ns)
{
    struct feed *f = context;
    int rc = outbox_put(&f->outbox, text, length, f->mono + not_before_ns);

    if (rc == 0)
        return;
    tb_log(TB_LOG_ERROR, "message_refused", "reason=\"%s\"", strerror(-rc));
    f->reconnect_why = "more messages to the venue than can wait";
}

/* ---- the beginning: listing, adapter, what the stream has already ---- */

/* The whole of it also if there is no whole copy yet: so that names can be judged by it offline. */
static void ask_listing(struct feed *f)
{
    static char path[LISTING_PATH_BYTES];
    bool no_copy = f->listing_file.directory[0] != '\0' && !f->cached.complete &&
                   f->ops->listing_kinds == NULL;
    bool all = f->list_all || feed_wants_all(f) || (no_copy && f->adapter == NULL);
    const char *const *kind =
        f->list_all && f->ops->listing_kinds != NULL ? f->ops->listing_kinds + f->list_kind : NULL;
    int rc = f->ops->listing_path(all ? kind : f->options.symbols.item,
                                  all ? 0 : f->options.symbols.count, path, sizeof(path));

    if (rc == -ENOSPC && !all) {
        f->list_all = true;
        ask_listing(f);
        return;
    }
    if (rc >= 0)
        rc = rest_get_long(&f->rest, LISTING_REQUEST, path);
    f->asked = rc >= 0;
    f->asked_all = all;
    if (rc < 0 && f->adapter == NULL)
        feed_retry(f, FEED_LISTING, "cannot ask for the venue's listing", strerror(-rc));
}

void feed_well(struct feed *f)
{
    char note[160], taken[TB_TIME_BYTES];

    if (f->refused_count > 0) {
        (void)snprintf(note, sizeof(note), "the venue refused %" PRIu32 " subscriptions: %s%s",
                       f->refused_count, f->refused, f->refused_count > 1 ? ", ..." : "");
        tb_service_degraded(f->svc, note);
        return;
    }
    (void)snprintf(note, sizeof(note),
                   "by the copy of the listing of %s: the venue does not give it",
                   tb_time_format(f->listing_taken, taken));
    tb_service_degraded(f->svc, f->listing_due == INT64_MAX ? NULL : note);
}

static void read_own_stream(struct feed *f)
{
    const struct tb_writer *w = f->svc->out;
    struct tb_record record;
    tb_seq seq = w->next_seq;

    if (seq == 1)
        return;
    while (--seq > 0 && tb_writer_read_back(w, seq, &record))
        if (!f->ops->resume(f->adapter, &record))
            break;
    f->ops->resumed(f->adapter);
    tb_log(TB_LOG_INFO, "resumed", "stream=%s next_seq=%" PRIu64 " looked_back=%" PRIu64,
           f->svc->out_stream, w->next_seq, w->next_seq - 1 - seq);
}

/* A life before this one may have refined a market: its records, and ours, are of the finest entry. */
static void adopt_refined(struct feed *f)
{
    const struct tb_instrument *entry;

    for (uint16_t id = 1; (entry = tb_writer_instrument(f->svc->out, id)) != NULL; id++)
        for (size_t i = 0; i < f->market_count; i++) {
            struct adapter_market_config *m = &f->market[i];
            if (strcmp(entry->raw, m->raw) != 0 || strcmp(entry->venue, f->options.venue) != 0)
                continue;
            m->price_exp = entry->price_exp < m->price_exp ? entry->price_exp : m->price_exp;
            m->size_exp = entry->size_exp < m->size_exp ? entry->size_exp : m->size_exp;
        }
}

/* The markets are known: from here on there is an adapter. */
static int begin(struct feed *f)
{
    const char *unknown;
    struct adapter_config config = {
        .venue = f->options.venue,
        .stream = f->svc->out_stream,
        .market = f->market,
        .market_count = f->market_count,
        .channels = feed_channels(&f->options, &unknown),
        .aggregated = f->options.trades == FEED_TRADES_AGGREGATED,
        .book_depth = (uint32_t)f->options.book_depth,
    };
    struct adapter_host host = {.context = f,
                                .publish = feed_publish,
                                .instrument = host_instrument,
                                .get = host_get,
                                .reconnect = host_reconnect,
                                .send = host_send};
    struct tb_error err = {""};
    char quoted[TB_QUOTE_BYTES];

    adopt_refined(f);
    f->adapter = f->ops->create(&config, &host, &err);
    if (f->adapter == NULL) {
        tb_log(TB_LOG_ERROR, "cannot_start", "reason=%s", tb_quote_text(err.text, quoted));
        return -ENOMEM;
    }
    read_own_stream(f);
    tb_log(TB_LOG_INFO, "resolved", "venue=%s markets=%zu", f->options.venue, f->market_count);
    backoff_reset(&f->backoff);
    f->next_attempt = f->mono;
    feed_enter(f, FEED_WAITING);
    return 0;
}

static void refuse_or_retry(struct feed *f, int rc, const char *why)
{
    if (rc == -ENOENT || rc == -ENOMEM)
        feed_enter(f, FEED_REFUSED);
    else
        feed_retry(f, FEED_LISTING, "the venue's listing can not be had", why);
}

/* The venue does not give its listing: the copy will do, if there is one and it has the names. */
static void go_by_copy(struct feed *f, const char *why)
{
    char taken[TB_TIME_BYTES], quoted[TB_QUOTE_BYTES];
    int rc = f->cached.count > 0 ? feed_choose(f, &f->cached) : -EAGAIN;

    if (rc == 0) {
        f->listing_taken = f->cached.taken;
        f->listing_due = f->mono + LISTING_AGAIN_NS;
        tb_log(TB_LOG_WARN, "listing_cached",
               "reason=%s taken=%s age_seconds=%" PRId64 " then=\"its copy is used\"",
               tb_quote_text(why, quoted), tb_time_format(f->cached.taken, taken),
               (tb_clock_wall() - f->cached.taken) / TB_NS_PER_S);
        rc = begin(f);
    }
    if (rc != 0)
        refuse_or_retry(f, rc, why);
}

/* Names that are nowhere in their kind are judged by all kinds together. True: the next one is asked for. */
static bool next_kind(struct feed *f, struct listing *listing)
{
    if (!f->list_all || f->ops->listing_kinds == NULL)
        return false;
    listing_merge(&f->kinds, listing);
    if (f->ops->listing_kinds[++f->list_kind] != NULL) {
        f->next_attempt = f->mono;
        return true;
    }
    listing_free(listing);
    *listing = f->kinds;
    listing->complete = !listing->failed;
    f->kinds = (struct listing){0};
    f->list_kind = 0;
    return false;
}

static void on_listing(struct feed *f, int status, const char *body, size_t length,
                       const char *failure)
{
    struct listing listing = {0};
    char why[96];

    (void)snprintf(why, sizeof(why), "HTTP status %d", status);
    /* A name that it does not know makes the venue refuse them all: look for it among all. */
    if (status == 400 && !f->asked_all) {
        f->list_all = true;
        f->next_attempt = f->mono;
        return;
    }
    if (status != 200) {
        go_by_copy(f, status == 0 ? failure : why);
        return;
    }
    int rc = feed_read_listing(f, body, length, &listing);
    if (rc == 0 && next_kind(f, &listing)) {
        listing_free(&listing);
        return;
    }
    if (rc == 0)
        rc = feed_choose(f, &listing);
    if (rc == 0) {
        f->listing_taken = listing.taken;
        rc = begin(f);
    }
    if (rc == -EAGAIN) {
        f->list_all = true;
        f->next_attempt = f->mono;
    } else if (rc == -ENOENT || rc == -ENOMEM) {
        feed_enter(f, FEED_REFUSED);
    } else if (rc < 0) {
        (void)snprintf(why, sizeof(why), "it can not be read: %s", strerror(-rc));
        go_by_copy(f, why);
    }
    listing_free(&listing);
}

/* We go by the copy, and have asked again. Finer ticks that it shows are found in the data as well. */
static void on_listing_again(struct feed *f, int status, const char *body, size_t length)
{
    struct listing listing = {0};

    f->listing_due = f->mono + LISTING_AGAIN_NS;
    if (status == 200 && feed_read_listing(f, body, length, &listing) == 0) {
        f->listing_taken = listing.taken;
        f->listing_due = INT64_MAX;
        tb_log(TB_LOG_INFO, "listing_fresh", "venue=%s", f->options.venue);
        if (f->state == FEED_LIVE)
            feed_well(f);
    }
    listing_free(&listing);
}

static void on_rest(void *context, uint32_t number, const char *path, int status, const char *body,
                    size_t length, const char *failure)
{
    static struct tb_log_limit limit;
    struct feed *f = context;

    if (number == LISTING_REQUEST) {
        f->asked = false;
        if (f->adapter == NULL)
            on_listing(f, status, body, length, failure);
        else
            on_listing_again(f, status, body, length);
        return;
    }
    if (status != 200)
        tb_log_limited(&limit, TB_NS_PER_S, TB_LOG_WARN, "snapshot_failed",
                       "path=%s status=%d reason=\"%s\"", path, status,
                       failure != NULL ? failure : "refused by the venue");
    (void)f->ops->on_rest(f->adapter, number, path, status, body, length, tb_clock_wall());
    tb_writer_wake(f->svc->out);
}

/* ---- the loop ---- */

static void publish_end(struct feed *f)
{
    struct tb_record record = {.ts_recv = tb_clock_wall(), .type = TB_STATUS, .flags = TB_F_LAST};

    record.status.code = TB_STATUS_END;
    (void)feed_publish(f, &record, 1);
    tb_writer_wake(f->svc->out);
}

static int step(struct feed *f)
{
    switch (f->state) {
    case FEED_LISTING:
        if (!f->asked && f->mono >= f->next_attempt)
            ask_listing(f);
        return 0;
    case FEED_WAITING:
        socket_forget(&feed_next(f)->socket); /* it was not ready when the last one ended */
        if (f->mono >= f->next_attempt)
            feed_connect(f);
        return 0;
    case FEED_CONNECTING:
        if (f->mono - f->state_since > f->options.connect_timeout) {
            f->state_since = f->mono;
            socket_close(&feed_live(f)->socket, "no connection within connect_timeout");
        }
        return 0;
    case FEED_LIVE:
        feed_live_turn(f);
        if (!f->asked && f->mono >= f->listing_due)
            ask_listing(f);
        return 0;
    case FEED_COMPLETE:
        socket_forget(&feed_next(f)->socket);
        if (rest_busy(&f->rest) && f->mono - f->state_since < COMPLETE_WAIT_NS)
            return 0;
        publish_end(f);
        return f->stopping ? 0 : TB_POLL_DONE;
    case FEED_REFUSED:
    default:
        return -EINVAL;
    }
}

/* How long nothing needs to be done unless a descriptor says so. */
static tb_ns idle(const struct feed *f)
{
    tb_ns wait = net_loop_idle(&f->loop, 100 * TB_NS_PER_MS);
    tb_ns due = rest_due(&f->rest);

    if ((f->state == FEED_LISTING && !f->asked) || f->state == FEED_WAITING)
        due = f->next_attempt < due ? f->next_attempt : due;
    if (f->state == FEED_LIVE)
        due = feed_live_due(f) < due ? feed_live_due(f) : due;
    if (due != INT64_MAX && due - f->mono < wait)
        wait = due > f->mono ? due - f->mono : 0;
    return wait;
}

int feed_turn(struct feed *f)
{
    uint64_t before = feed_frames(f);

    f->mono = tb_clock_mono();
    for (size_t i = 0; i < TB_COUNT(f->link); i++)
        socket_look(&f->link[i].socket);
    net_loop_turn(&f->loop);
    /* Market data first: what else may come costs a system call each, and is looked at in between. */
    bool came = feed_frames(f) != before;
    int done = 0;
    if (!came || ++f->busy_turns % LOOK_ASIDE == 0) {
        done = rest_turn(&f->rest, f->mono);
        tb_control_turn(&f->control, feed_request, f);
    }
    int rc = step(f);
    if (rc != 0)
        return rc;
    f->svc->idle_ns = idle(f);
    return (int)(feed_frames(f) - before) + done;
}

/* ---- life ---- */

unsigned feed_channels(const struct feed_options *o, const char **out_unknown)
{
    static const char *const names[] = {"trade", "quote", "book"};
    static const unsigned bits[] = {ADAPTER_TRADES, ADAPTER_QUOTES, ADAPTER_BOOK};
    unsigned channels = 0;

    *out_unknown = NULL;
    for (size_t i = 0; i < o->channels.count; i++) {
        size_t k = 0;
        while (k < TB_COUNT(names) && strcmp(o->channels.item[i], names[k]) != 0)
            k++;
        if (k == TB_COUNT(names))
            *out_unknown = o->channels.item[i];
        else
            channels |= bits[k];
    }
    return channels;
}

static int watch_descriptors(struct feed *f)
{
    struct epoll_event event = {.events = EPOLLIN};

    f->wake_fd = epoll_create1(EPOLL_CLOEXEC);
    if (f->wake_fd < 0 ||
        epoll_ctl(f->wake_fd, EPOLL_CTL_ADD, net_loop_fd(&f->loop), &event) != 0 ||
        epoll_ctl(f->wake_fd, EPOLL_CTL_ADD, f->rest.epoll_fd, &event) != 0)
        return -errno;
    f->svc->wake_fd = f->wake_fd;
    return 0;
}

int feed_open(struct feed *f, struct tb_service *svc, struct tb_error *err)
{
    const struct rest_options rest = {.base_url = f->options.rest_url,
                                      .ca_file = f->options.ca_file,
                                      .connect_timeout = f->options.connect_timeout,
                                      .timeout = f->options.rest_timeout};
    int rc;

    f->svc = svc;
    f->wake_fd = -1;
    f->control.fd = f->control.directory = -1;
    f->pid = (uint32_t)getpid();
    f->mono = tb_clock_mono();
    f->next_attempt = f->mono;
    f->ops = adapter_find(f->options.venue);
    f->latency = tb_stats_add_histogram(&svc->stats, "publish_latency_ns");
    backoff_init(&f->backoff, f->options.backoff_first, f->options.backoff_most,
                 (uint64_t)tb_clock_wall() ^ (uint64_t)getpid() << 32);
    f->market = calloc(ADAPTER_MARKETS_MAX, sizeof(*f->market));
    if (f->market == NULL || outbox_init(&f->outbox) != 0)
        return tb_fail(err, -ENOMEM, "no memory for the markets");
    rc = net_loop_init(&f->loop);
    if (rc == 0)
        rc = socket_url_parse(f->options.url, &f->url, err);
    if (rc == 0)
        rc = sockets_init(&f->sockets, &f->loop, f->options.ca_file, err);
    for (size_t i = 0; rc == 0 && i < TB_COUNT(f->link); i++)
        rc = feed_link_init(f, &f->link[i], err);
    if (rc == 0)
        rc = rest_init(&f->rest, &rest, on_rest, f);
    if (rc == 0)
        rc = watch_descriptors(f);
    f->listing_due = INT64_MAX;
    feed_load_listing(f);
    feed_enter(f, FEED_LISTING);
    return rc;
}

int feed_output(struct feed *f)
{
    struct epoll_event event = {.events = EPOLLIN};
    int rc = tb_control_open(&f->control, f->svc->bus_dir, f->svc->out_stream);

    if (rc == 0 && epoll_ctl(f->wake_fd, EPOLL_CTL_ADD, f->control.fd, &event) != 0)
        rc = -errno;
    if (rc != 0)
        tb_log(TB_LOG_ERROR, "cannot_start", "reason=\"no control socket on the bus: %s\"",
               strerror(-rc));
    return rc;
}

void feed_close(struct feed *f)
{
    tb_control_close(&f->control);
    if (f->svc != NULL)
        f->svc->wake_fd = -1;
    for (size_t i = 0; i < TB_COUNT(f->link); i++)
        socket_forget(&f->link[i].socket);
    sockets_fini(&f->sockets);
    for (size_t i = 0; i < TB_COUNT(f->link); i++)
        socket_fini(&f->link[i].socket);
    kept_fini(&f->kept);
    rest_fini(&f->rest);
    if (f->adapter != NULL)
        f->ops->destroy(f->adapter);
    f->adapter = NULL;
    net_loop_fini(&f->loop);
    if (f->wake_fd > 0)
        (void)close(f->wake_fd);
    f->wake_fd = -1;
    outbox_fini(&f->outbox);
    listing_free(&f->cached);
    listing_free(&f->kinds);
    free(f->market);
    f->market = NULL;
}
