/*
 * A word with a running producer: a datagram socket beside its ring, <stream>.control. One datagram
 * is one request, one datagram the answer: a line of text for a person, whose first word is for
 * programs. LAYOUT.md has what a program in another language needs.
 *
 * Feeds have one:
 *
 *   resync BTC/USDT     -> asked 1: a snapshot by REST
 *   resync *            -> asked 3: subscribed to anew, which is how this venue gives snapshots
 *                       -> refused: ...
 *
 * asked: so many books are given up, which the stream says (UNSYNCED) before the answer is sent;
 * what comes of it is on the stream too (SYNCED). Open the reader before you ask.
 *
 * Whoever may write to the socket file (mode 0600: the producer's user, and root) may ask. Nothing
 * is ever written to a ring but by its producer.
 */
#ifndef TICKBUS_CONTROL_H
#define TICKBUS_CONTROL_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

#define TB_CONTROL_BYTES 512 /* of a request and of an answer, with a NUL that is not sent */

struct tb_control {
    int fd;        /* readable when something is asked; -1: there is no socket */
    int directory; /* of the bus, to remove the name again */
    char name[48];
};

/* tb_control_open: the producer's side, after tb_writer_open: who has the stream is alone. 0 or
 * -errno. */
int tb_control_open(struct tb_control *c, const char *bus_dir, const char *stream);
/* tb_control_close: accepts what was never opened, with fd -1. */
void tb_control_close(struct tb_control *c);

/* tb_control_turn: answer what was asked, at most 16 requests, without waiting: `ask` writes a line
 * into the answer. */
void tb_control_turn(struct tb_control *c,
                     void (*ask)(void *context, const char *request, char answer[TB_CONTROL_BYTES]),
                     void *context);

/*
 * tb_control_ask: the other side. 0 and the answer.
 * Errors    -ENOENT there is no socket; -ECONNREFUSED a producer that was killed left it;
 *           -ETIMEDOUT;
 *           -EACCES; other -errno
 */
int tb_control_ask(const char *bus_dir, const char *stream, const char *request, tb_ns timeout_ns,
                   char out_answer[TB_CONTROL_BYTES]);

TB_EXTERN_END

#endif
