/* Fortified headers define recv themselves, inline: another definition of it does not go with that. */
#undef _FORTIFY_SOURCE

#include "last_read.h"

#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#define CLOSE_FRAME 0x88 /* final, opcode 8; a server's is not masked */

/* The last bytes of one connection, over the reads that a frame may be split into. */
#define KEPT 256 /* a close frame is 127 at most, and little follows it */
static unsigned char bytes[KEPT];
static size_t count;
static const void *source;
static int source_fd;

static void remember(int fd, const void *connection, const void *buffer, ssize_t got)
{
    if (fd != source_fd || connection != source)
        count = 0;
    source_fd = fd;
    source = connection;
    if (got <= 0)
        return;
    size_t fresh = (size_t)got < KEPT ? (size_t)got : KEPT;
    size_t stay = count < KEPT - fresh ? count : KEPT - fresh;
    memmove(bytes, bytes + count - stay, stay);
    memcpy(bytes + stay, (const unsigned char *)buffer + got - fresh, fresh);
    count = stay + fresh;
}

/* A definition for everybody in this process, whatever the visibility of the rest is. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    ssize_t got = recvfrom(fd, buffer, length, flags, NULL, NULL);

    if (!(flags & MSG_PEEK))
        remember(fd, NULL, buffer, got);
    return got;
}

__attribute__((visibility("default"))) int SSL_read(SSL *ssl, void *buffer, int length)
{
    size_t got = 0;
    int ok = SSL_read_ex(ssl, buffer, (size_t)length, &got);

    remember(-1, ssl, buffer, ok == 1 ? (ssize_t)got : -1);
    return ok == 1 ? (int)got : -1; /* what it was SSL_get_error tells, as from SSL_read */
}

int last_read_close_code(const void *reason, size_t length)
{
    if (length < 2 || length > 125 || count < length + 2)
        return 0;
    /* Backwards: it is the last frame that is looked at, and mostly the last bytes. */
    for (const unsigned char *at = bytes + count - length - 2;; at--) {
        int code = at[2] << 8 | at[3];
        if (at[0] == CLOSE_FRAME && at[1] == length && code >= 1000 && code < 5000 &&
            memcmp(at + 4, reason, length - 2) == 0)
            return code;
        if (at == bytes)
            return 0;
    }
}
