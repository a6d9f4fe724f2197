/*
 * What an operator may ask of a running feed, on a datagram socket beside the stream's ring,
 * <stream>.control. One datagram is one request, one datagram the answer: a line of text for a person,
 * whose first word is for programs.
 *
 *   resync BTC/USDT     -> asked 1: a snapshot by REST
 *   resync *            -> asked 3: subscribed to anew, which is how this venue gives snapshots
 *                       -> refused: ...
 *
 * Whoever may write to the socket file (mode 0600: the feed's user, and root) may ask.
 */
#ifndef TICKBUS_FEED_CONTROL_H
#define TICKBUS_FEED_CONTROL_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>

#define CONTROL_SUFFIX ".control"
#define CONTROL_BYTES 512 /* of a request and of an answer */

struct control {
    int fd;        /* -1: there is none */
    int directory; /* of the bus, to remove the name again */
    char name[TB_STREAM_BYTES + sizeof(CONTROL_SUFFIX)];
};

/* control_open: after the stream was opened: who produces it is alone. 0 or -errno. */
int control_open(struct control *c, const char *bus_dir, const char *stream);
void control_close(struct control *c);

/* control_turn: answer what was asked: `ask` writes a line into answer[CONTROL_BYTES]. */
void control_turn(struct control *c,
                  void (*ask)(void *context, const char *request, char answer[CONTROL_BYTES]),
                  void *context);

#endif
