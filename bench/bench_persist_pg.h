/* PostgreSQL as a peer of the persister: a server of its own, in a directory and on a socket of its
 * own. */
#ifndef TICKBUS_BENCH_PERSIST_PG_H
#define TICKBUS_BENCH_PERSIST_PG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * pg_start: make a cluster below `parent` and start it. NULL it runs; else why it can not
 * (installed, a user for it). It ends with the bench. pg_stop: end it and remove all of it; safe to
 * call at any time.
 */
const char *pg_start(const char *parent);
void pg_stop(void);

/* pg_file: where to put a file that the server can read. */
const char *pg_file(void);

/* pg_run: run psql commands, \timing on, and return the last "Time:" in seconds; below 0: it
 * failed. */
double pg_run(const char *commands);

#endif
