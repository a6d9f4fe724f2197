/*
 * /metrics, /healthz and / over HTTP (libmicrohttpd, a thread of its own): scrapers, slow and
 * hostile ones too, never make the reading loop wait. Connections are few, bounded and time out.
 */
#ifndef TICKBUS_METRICS_SERVER_H
#define TICKBUS_METRICS_SERVER_H

#include <tickbus/base.h>

#define SERVER_NOTE_BYTES 160

struct server;

/* server_check: is this an address, as far as its text tells? 0, or -EINVAL in err. Looks no name
 * up. */
int server_check(const char *listen, struct tb_error *err);

/*
 * server_start: listen on "host:port" ("127.0.0.1:9108", "[::1]:9108"; port 0: any, see
 * server_port). text_max: the most that server_publish will ever be given.
 * Errors    -EINVAL no such address; -EADDRINUSE and others from the system, named in err
 */
int server_start(const char *listen, size_t text_max, struct server **out_server,
                 struct tb_error *err);
void server_stop(struct server *s); /* accepts NULL */
unsigned server_port(const struct server *s);

/* server_publish: what /metrics answers from now on. False: a scrape is being copied, try again. */
bool server_publish(struct server *s, const char *text, size_t length);

/* server_health: what /healthz answers: the loop was alive now; note: what is degraded, or NULL. */
void server_health(struct server *s, tb_ns now_mono, const char *note);

uint64_t server_scrapes(const struct server *s);

#endif
