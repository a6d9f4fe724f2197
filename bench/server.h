/* A server that a peer needs: started by the bench on a socket of its own, ended with it. */
#ifndef TICKBUS_BENCH_SERVER_H
#define TICKBUS_BENCH_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/* server_find: is it installed? In the path, or where Debian puts servers. */
bool server_find(const char *program, char *out_path, size_t bytes);

/* server_start: with its output thrown away; dies with the bench. argv[0] is replaced by the
 * path. */
pid_t server_start(const char *path, const char *const argv[]);

/* server_await: call `up` until it says true; false: not within ten seconds, or the server has
 * ended. */
bool server_await(pid_t pid, bool (*up)(void *context), void *context);

/* server_run: all three, unless *pid runs already. NULL: it is up, as *pid; else why there is none. */
const char *server_run(const char *program, const char *const argv[], bool (*up)(void *context),
                       void *context, pid_t *pid);

/* server_stop: SIGTERM, and wait; 0 is no server. */
void server_stop(pid_t pid);

#endif
