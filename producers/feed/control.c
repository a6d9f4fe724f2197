#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TURN_MAX 16 /* requests at once: market data come first */

int control_open(struct control *c, const char *bus_dir, const char *stream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(c->name, sizeof(c->name), "%s%s", stream, CONTROL_SUFFIX);
    c->directory = open(bus_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (c->directory < 0)
        return -errno;
    /* The directory's path may be longer than an address can be. */
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", c->directory,
                   c->name);
    c->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    (void)unlinkat(c->directory, c->name, 0); /* of a life that was killed */
    mode_t before = umask(0177);
    int rc = bind(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ? -errno : 0;
    (void)umask(before);
    return rc;
}

void control_close(struct control *c)
{
    if (c->fd > 0) {
        (void)unlinkat(c->directory, c->name, 0); /* gone already: as well */
        (void)close(c->fd);
    }
    if (c->directory > 0)
        (void)close(c->directory);
    c->fd = c->directory = -1;
}

void control_turn(struct control *c,
                  void (*ask)(void *context, const char *request, char answer[CONTROL_BYTES]),
                  void *context)
{
    char request[CONTROL_BYTES], answer[CONTROL_BYTES];
    struct sockaddr_un peer;

    for (int i = 0; i < TURN_MAX && c->fd >= 0; i++) {
        socklen_t size = sizeof(peer);
        ssize_t length =
            recvfrom(c->fd, request, sizeof(request) - 1, 0, (struct sockaddr *)&peer, &size);
        if (length < 0)
            return;
        request[length] = '\0';
        ask(context, request, answer);
        /* Who asked and does not listen goes without. */
        if (size > sizeof(sa_family_t))
            (void)sendto(c->fd, answer, strlen(answer), 0, (const struct sockaddr *)&peer, size);
    }
}
