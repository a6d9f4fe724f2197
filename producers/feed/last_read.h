/*
 * The bytes that libwebsockets read last, as they came over the wire. It rewrites the code of a
 * close frame in its own copy before it tells us: 1012 (service restart), 1013 and 1014 become
 * 1002, as if the venue had spoken of a protocol error. So the end of what it read is kept here.
 *
 * libwebsockets has no hook for reads. So this program defines recv() and SSL_read() itself, which
 * the dynamic linker prefers to the libraries' (they are called through, by their siblings
 * recvfrom() and SSL_read_ex()). Linked in another way nothing is found here, and the code stays as
 * the library has it.
 */
#ifndef TICKBUS_FEED_LAST_READ_H
#define TICKBUS_FEED_LAST_READ_H

#include <tickbus/base.h>

/*
 * last_read_close_code: of the close frame among the last bytes of the last connection whose payload was `length` bytes, of
 * which those behind the code are `reason`. 0: it is not there whole.
 */
int last_read_close_code(const void *reason, size_t length);

#endif
