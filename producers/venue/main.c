/*
 * tickbus-venue: serves a recorded session as the venue it was recorded at, WebSocket and REST, in the
 * venue's own protocol. The recording's clock starts when clients have subscribed and runs at
 * `speed`; flat out, it runs as fast as the slowest subscriber reads, and stands while there is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "faultplay.h"
#include "server.h"

#define PLAY_AT_ONCE 256 /* events in one turn of the loop: signals and requests come between */
/* For a client to take a snapshot in before frames go on: flat out, it would have thousands to keep. */
#define SNAPSHOT_LINGER (20 * TB_NS_PER_MS)
/* For a client that was cut off to come back and hear that the recording is over. */
#define EXIT_LINGER (10 * TB_NS_PER_S)

enum start { START_ON_SUBSCRIBE, START_AT_ONCE };

struct venue {
    const char *venue, *speed_text, *port_file, *markets_file;
    struct tb_list captures;
    struct server_options listen;
    int start;
    int64_t wait_subscriptions;
    tb_ns wait_snapshot, close_after;
    bool close_at_end, exit_at_end;
    const struct tb_yaml *fault_tree;
    const char *fault_file;

    double speed;
    struct net_loop loop;
    struct session session;
    const struct protocol_ops *ops;
    struct protocol *protocol;
    struct server server;
    struct fault_script script;
    struct faultplay faults;
    tb_ns hold_until; /* at a recorded snapshot: the latest time to go on; 0: not at one */
    tb_ns asked_mono; /* when a request was last seen to be awaited or under way */
    uint64_t requests_seen;
    tb_ns ended_mono; /* the recording; 0: not yet */
    bool blocked;     /* a subscriber has no room for the next frame */
    bool served;      /* somebody was connected */
    uint64_t skipped;
    struct tb_stats_counter *clients, *subscriptions, *events, *frames, *bytes, *connects,
        *requests, *messages, *refused, *skipped_frames, *unheard, *capture_faults,
        *fault[FAULT_KINDS];
};

#define FIELD(f) offsetof(struct venue, f)
static const struct tb_option options[] = {
    {"venue", TB_OPTION_STRING, FIELD(venue), "binance", 0, 0, NULL,
     "whose protocol to speak: whose recording it is, by its ccxt name", false},
    {"captures", TB_OPTION_LIST, FIELD(captures), NULL, 0, 0, NULL, "files of one recorded session",
     true},
    {"host", TB_OPTION_STRING, FIELD(listen.host), "127.0.0.1", 0, 0, NULL, "address to listen on",
     false},
    {"port", TB_OPTION_INT, FIELD(listen.port), "0", 0, 65535, NULL,
     "port to listen on; 0 takes a free one", false},
    {"port_file", TB_OPTION_STRING, FIELD(port_file), NULL, 0, 0, NULL,
     "write the port to this file once it is open", false},
    {"markets_file", TB_OPTION_STRING, FIELD(markets_file), NULL, 0, 0, NULL,
     "before that write the recording's markets to this file, a unified symbol a line", false},
    {"certificate", TB_OPTION_STRING, FIELD(listen.certificate), NULL, 0, 0, NULL,
     "PEM file: serve TLS with this certificate (chain)", false},
    {"key", TB_OPTION_STRING, FIELD(listen.key), NULL, 0, 0, NULL,
     "PEM file: the certificate's private key", false},
    {"speed", TB_OPTION_STRING, FIELD(speed_text), "1", 0, 0, NULL,
     "1: as recorded; N: N times as fast; max: as fast as the subscribers read", false},
    {"start", TB_OPTION_ENUM, FIELD(start), "on_subscribe", 0, 0, "on_subscribe|at_once",
     "when the recording's clock starts", false},
    {"wait_subscriptions", TB_OPTION_INT, FIELD(wait_subscriptions), "1", 0, 65536, NULL,
     "with start=on_subscribe: streams that must be subscribed to first; 0: three for each market "
     "of "
     "the recording (trades, quotes, book)",
     false},
    {"wait_snapshot", TB_OPTION_DURATION, FIELD(wait_snapshot), "2s", 0, 600 * TB_NS_PER_S, NULL,
     "longest time to stand at a recorded snapshot until subscribers have asked for it", false},
    {"close_at_end", TB_OPTION_BOOL, FIELD(close_at_end), "true", 0, 0, NULL,
     "close the connections with 1000 when the recording is over", false},
    {"close_after", TB_OPTION_DURATION, FIELD(close_after), "0s", 0, 600 * TB_NS_PER_S, NULL,
     "connections are closed this long after its end; who comes meanwhile is still served", false},
    {"exit_at_end", TB_OPTION_BOOL, FIELD(exit_at_end), "false", 0, 0, NULL,
     "exit when the recording is over and every client is gone", false},
    {"ping_every", TB_OPTION_DURATION, FIELD(listen.ping_every), "0s", 0, 3600 * TB_NS_PER_S, NULL,
     "ping clients this often; 0: as the venue does, if it does", false},
    {"pong_timeout", TB_OPTION_DURATION, FIELD(listen.pong_timeout), "0s", 0, 3600 * TB_NS_PER_S,
     NULL, "cut a client off that does not answer pings for this long; 0: as the venue does",
     false},
    {"limits", TB_OPTION_BOOL, FIELD(listen.limits), "true", 0, 0, NULL,
     "hold clients to the venue's limits: messages, their length, connections, idleness", false},
    {"faults", TB_OPTION_TREE, FIELD(fault_tree), NULL, 0, 0, NULL,
     "what the venue does wrong, and when: a list of faults, or the path of a YAML file that has "
     "one",
     false},
    {"faults_file", TB_OPTION_STRING, FIELD(fault_file), NULL, 0, 0, NULL,
     "YAML file with a list of faults, for the command line", false},
};

/* `faults` is a list, or as `faults_file` the path of a file that has one. */
static void check_script(struct tb_service *svc, struct venue *v, struct tb_faults *faults)
{
    const struct tb_yaml *list = v->fault_tree;
    const char *path = v->fault_file;
    struct tb_faults in_file = {.out = faults->out};

    if (list != NULL && path != NULL) {
        tb_fault(faults, svc->config_file, 0, "faults_file", "there are faults already");
        return;
    }
    if (list != NULL && list->kind != TB_YAML_SCALAR)
        fault_script_load(&v->script, list, svc->config_file, "faults", faults);
    else if (list != NULL)
        path = list->text;
    if (path == NULL)
        return;
    struct tb_yaml *tree = tb_yaml_load(path, &in_file);
    if (tree != NULL)
        fault_script_load(&v->script, tree, path, "faults", &in_file);
    tb_yaml_free(tree);
    faults->count += in_file.count;
}

static void check(struct tb_service *svc, void *self, struct tb_faults *faults)
{
    struct venue *v = self;
    char names[256];

    if (protocol_find(v->venue) == NULL)
        tb_fault(faults, svc->config_file, 0, "venue",
                 "\"%s\" is no venue that can be served; use one of%s", v->venue,
                 protocol_names(names, sizeof(names)));
    if (session_speed_parse(v->speed_text, &v->speed) != 0)
        tb_fault(faults, svc->config_file, 0, "speed",
                 "\"%s\" is no speed; write 1, 10, 0.5 or max", v->speed_text);
    if ((v->listen.certificate == NULL) != (v->listen.key == NULL))
        tb_fault(faults, svc->config_file, 0, v->listen.key == NULL ? "key" : "certificate",
                 "TLS needs both certificate and key");
    check_script(svc, v, faults);
}

static void add_stats(struct venue *v, struct tb_stats *stats)
{
    v->clients = tb_stats_add(stats, "clients", TB_STAT_GAUGE);
    v->subscriptions = tb_stats_add(stats, "subscriptions", TB_STAT_GAUGE);
    v->events = tb_stats_add(stats, "events_played", TB_STAT_COUNTER);
    v->frames = tb_stats_add(stats, "frames_sent", TB_STAT_COUNTER);
    v->bytes = tb_stats_add(stats, "bytes_sent", TB_STAT_COUNTER);
    v->connects = tb_stats_add(stats, "connects", TB_STAT_COUNTER);
    v->requests = tb_stats_add(stats, "rest_requests", TB_STAT_COUNTER);
    v->messages = tb_stats_add(stats, "messages_read", TB_STAT_COUNTER);
    v->refused = tb_stats_add(stats, "refused", TB_STAT_COUNTER);
    v->skipped_frames = tb_stats_add(stats, "frames_skipped", TB_STAT_COUNTER);
    v->unheard = tb_stats_add(stats, "frames_unheard", TB_STAT_COUNTER);
    v->capture_faults = tb_stats_add(stats, "capture_faults", TB_STAT_COUNTER);
    for (unsigned i = 0; v->script.count > 0 && i < FAULT_KINDS; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "fault_%s", fault_name((enum fault_kind)i));
        v->fault[i] = tb_stats_add(stats, name, TB_STAT_COUNTER);
    }
}

/* Written whole under another name first: who waits for the file finds all of it. */
static int write_file(const char *path, const char *text, struct tb_error *err)
{
    char temporary[512];
    int length = snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());

    if (length < 0 || (size_t)length >= sizeof(temporary))
        return tb_fail(err, -ENAMETOOLONG, "cannot write %s: its name is too long", path);
    FILE *f = fopen(temporary, "we");
    bool bad = f == NULL || fputs(text, f) < 0;
    if ((f != NULL && fclose(f) != 0) || bad || rename(temporary, path) != 0) {
        int rc = tb_fail(err, -errno, "cannot write %s: %s", path, strerror(errno));
        (void)unlink(temporary);
        return rc;
    }
    return 0;
}

static int write_files(const struct venue *v, struct tb_error *err)
{
    size_t count;
    const struct adapter_market_config *market = v->ops->markets(v->protocol, &count);
    struct protocol_text markets = {0};
    char port[16];
    int rc = 0;

    (void)snprintf(port, sizeof(port), "%d\n", server_port(&v->server));
    for (size_t i = 0; i < count; i++)
        protocol_printf(&markets, "%s\n", market[i].symbol);
    protocol_append(&markets, "", 1);
    if (v->markets_file != NULL)
        rc = markets.failed ? -ENOMEM : write_file(v->markets_file, markets.text, err);
    if (rc == 0 && v->port_file != NULL)
        rc = write_file(v->port_file, port, err);
    protocol_text_free(&markets);
    return rc;
}

static int start(struct tb_service *svc, void *self)
{
    struct venue *v = self;
    struct tb_error err = {""};
    int rc = net_loop_init(&v->loop);

    v->ops = protocol_find(v->venue);
    if (rc == 0)
        rc = session_open(&v->session, v->captures.item, v->captures.count, v->speed, &err);
    if (rc == 0) {
        v->protocol = v->ops->create(v->venue, &v->session, &err);
        rc = v->protocol == NULL ? -EINVAL : 0;
    }
    if (rc == 0)
        rc = server_open(&v->server, &v->listen, v->ops, v->protocol, &v->loop, &err);
    if (rc == 0)
        rc = write_files(v, &err);
    if (rc != 0) {
        char quoted[TB_QUOTE_BYTES];
        tb_log(TB_LOG_ERROR, "cannot_start", "reason=%s",
               tb_quote_text(err.text[0] != '\0' ? err.text : strerror(-rc), quoted));
        return -ECANCELED;
    }
    faultplay_init(&v->faults, v->script.count > 0 ? &v->script : NULL, &v->server);
    v->server.faults = &v->faults;
    add_stats(v, &svc->stats);
    svc->wake_fd = net_loop_fd(&v->loop);
    tb_log(TB_LOG_INFO, "listening", "venue=%s host=%s port=%d tls=%s speed=%s", v->venue,
           v->listen.host, server_port(&v->server), v->listen.certificate ? "yes" : "no",
           v->speed_text);
    return 0;
}

/* Subscriptions that the clock waits for. */
static unsigned wanted(const struct venue *v)
{
    size_t markets;

    if (v->wait_subscriptions > 0)
        return (unsigned)v->wait_subscriptions;
    (void)v->ops->markets(v->protocol, &markets);
    return (unsigned)markets * 3;
}

/* The clock stands until it may start; flat out, also while nobody would miss anything. */
static bool clock_runs(struct venue *v, tb_ns mono)
{
    unsigned subscriptions = server_subscriptions(&v->server);

    if (!v->session.started && (v->start == START_AT_ONCE || subscriptions >= wanted(v))) {
        session_start(&v->session, mono);
        tb_log(TB_LOG_INFO, "playing", "speed=%s subscriptions=%u", v->speed_text, subscriptions);
    }
    return v->session.started && (v->speed != 0 || subscriptions > 0 || v->start == START_AT_ONCE);
}

/* True if the clock stands at a recorded snapshot that a subscriber has yet to ask for, or to read. */
static bool held(struct venue *v, tb_ns mono)
{
    const struct capture_event *event = &v->session.event;

    if (event->kind != CAPTURE_HTTP || v->wait_snapshot == 0)
        return false;
    if (v->hold_until == 0)
        v->hold_until = mono + v->wait_snapshot;
    if (v->ops->awaited(v->protocol, event) || v->server.http_count > 0 ||
        v->server.counts.requests != v->requests_seen) {
        v->requests_seen = v->server.counts.requests;
        v->asked_mono = mono;
    }
    return mono < v->hold_until && mono < v->asked_mono + SNAPSHOT_LINGER;
}

/* Plays the next event. False if it can not be played now. */
static bool play(struct venue *v, tb_ns mono)
{
    const struct capture_event *event = &v->session.event;
    struct protocol_frame frame = {0};

    if (held(v, mono)) {
        session_hold(&v->session, mono);
        return false;
    }
    v->hold_until = 0;
    if (event->kind == CAPTURE_FRAME) {
        if (v->ops->frame(v->protocol, event, &frame) != 0) {
            v->skipped++;
        } else if (!server_room(&v->server, &frame)) {
            v->blocked = true;
            return false;
        } else {
            faultplay_send(&v->faults, &frame,
                           event->ts_recv == 0 ? 0 : event->ts_recv - v->session.first_ts);
        }
    }
    v->ops->played(v->protocol, event, &frame);
    session_advance(&v->session);
    return true;
}

static int at_end(struct venue *v, tb_ns mono)
{
    if (v->ended_mono == 0) {
        v->ended_mono = mono;
        faultplay_end(&v->faults);
        tb_log(TB_LOG_INFO, "recording_over", "events=%" PRIu64 " frames_sent=%" PRIu64,
               v->session.played, v->server.counts.frames);
    }
    if (v->close_at_end && !v->server.finishing && mono - v->ended_mono >= v->close_after)
        server_finish(&v->server);
    bool idle = v->server.client_count == 0 && v->server.http_count == 0;
    bool told = v->server.last_told || mono - v->server.last_gone > EXIT_LINGER;
    return v->exit_at_end && v->served && idle && told ? TB_POLL_DONE : 0;
}

static int poll_venue(struct tb_service *svc, void *self)
{
    struct venue *v = self;
    tb_ns mono = tb_clock_mono(), wait = INT64_MAX;
    int played = 0;

    net_loop_turn(&v->loop);
    v->blocked = false;
    bool disturbed = server_tick(&v->server, mono);
    v->served = v->served || v->server.client_count > 0;
    if (v->session.held_since != 0 && !held(v, mono))
        session_release(&v->session, mono);
    if (clock_runs(v, mono)) {
        while (played < PLAY_AT_ONCE && (wait = session_due(&v->session, mono)) == 0 &&
               play(v, mono))
            played++;
    }
    if (played > 0)
        return played;
    if (session_ended(&v->session)) {
        int rc = at_end(v, mono);
        if (rc != 0)
            return rc;
    }
    if (v->blocked || wait > 100 * TB_NS_PER_MS)
        wait = 100 * TB_NS_PER_MS;
    if (v->session.held_since != 0 || (disturbed && wait > TB_NS_PER_MS * 10))
        wait = TB_NS_PER_MS * 10;
    svc->idle_ns = net_loop_idle(&v->loop, wait);
    return 0;
}

static int housekeep(struct tb_service *svc, void *self, tb_ns now)
{
    struct venue *v = self;
    const struct server_counts *c = &v->server.counts;

    (void)svc;
    (void)now;
    server_housekeep(&v->server, tb_clock_mono());
    tb_stats_set(v->clients, v->server.client_count);
    tb_stats_set(v->subscriptions, server_subscriptions(&v->server));
    tb_stats_set(v->events, (int64_t)v->session.played);
    tb_stats_set(v->frames, (int64_t)c->frames);
    tb_stats_set(v->bytes, (int64_t)c->bytes);
    tb_stats_set(v->connects, (int64_t)c->connects);
    tb_stats_set(v->requests, (int64_t)c->requests);
    tb_stats_set(v->messages, (int64_t)c->messages);
    tb_stats_set(v->refused, (int64_t)c->refused);
    tb_stats_set(v->skipped_frames, (int64_t)v->skipped);
    tb_stats_set(v->unheard, (int64_t)c->unheard);
    tb_stats_set(v->capture_faults, (int64_t)capture_faults(v->session.capture));
    for (unsigned i = 0; v->script.count > 0 && i < FAULT_KINDS; i++)
        tb_stats_set(v->fault[i], (int64_t)v->faults.done[i]);
    return 0;
}

static void stop(struct tb_service *svc, void *self)
{
    struct venue *v = self;

    svc->wake_fd = -1;
    if (v->server.loop != NULL)
        server_close(&v->server);
    faultplay_fini(&v->faults);
    if (v->protocol != NULL)
        v->ops->destroy(v->protocol);
    if (v->session.capture != NULL)
        session_close(&v->session);
    net_loop_fini(&v->loop);
}

static const struct tb_service_ops ops = {
    .name = "venue",
    .summary = "serve a recorded session as a WebSocket and REST venue",
    .options = options,
    .option_count = TB_COUNT(options),
    .check = check,
    .start = start,
    .poll = poll_venue,
    .housekeep = housekeep,
    .stop = stop,
};

int main(int argc, char **argv)
{
    static struct venue self;
    return tb_service_main(&ops, &self, argc, argv);
}
