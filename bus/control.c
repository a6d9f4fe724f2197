/* See control.h. */
#include <tickbus/control.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SUFFIX ".control"
#define TURN_MAX 16 /* requests at once: the producer has something else to do */

/* A bus directory's path may be longer than an address can be: by way of its descriptor. */
static struct sockaddr_un address_of(int directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory,
                   name);
    return address;
}

static int open_both(const char *bus_dir, int flags, int *out_directory, int *out_fd)
{
    *out_fd = -1;
    *out_directory = open(bus_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_directory < 0)
        return -errno;
    *out_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
    return *out_fd < 0 ? -errno : 0;
}

static void close_both(int directory, int fd)
{
    if (fd >= 0)
        (void)close(fd);
    if (directory >= 0)
        (void)close(directory);
}

/* ---- the producer ---- */

int tb_control_open(struct tb_control *c, const char *bus_dir, const char *stream)
{
    int rc = open_both(bus_dir, SOCK_NONBLOCK, &c->directory, &c->fd);

    (void)snprintf(c->name, sizeof(c->name), "%s%s", stream, SUFFIX);
    if (rc != 0) {
        close_both(c->directory, c->fd);
        c->fd = c->directory = -1;
        return rc;
    }
    const struct sockaddr_un address = address_of(c->directory, c->name);
    (void)unlinkat(c->directory, c->name, 0); /* of a life that was killed */
    mode_t before = umask(0177);
    if (bind(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        rc = -errno;
    (void)umask(before);
    if (rc != 0)
        tb_control_close(c);
    return rc;
}

void tb_control_close(struct tb_control *c)
{
    if (c->fd < 0)
        return;
    (void)unlinkat(c->directory, c->name, 0); /* gone already: as well */
    close_both(c->directory, c->fd);
    c->fd = c->directory = -1;
}

void tb_control_turn(struct tb_control *c,
                     void (*ask)(void *context, const char *request, char answer[TB_CONTROL_BYTES]),
                     void *context)
{
    char request[TB_CONTROL_BYTES], answer[TB_CONTROL_BYTES];
    struct sockaddr_un peer;

    for (int i = 0; i < TURN_MAX && c->fd >= 0; i++) {
        socklen_t size = sizeof(peer);
        ssize_t length =
            recvfrom(c->fd, request, sizeof(request) - 1, 0, (struct sockaddr *)&peer, &size);
        if (length < 0)
            return;
        request[length] = '\0';
        answer[0] = '\0';
        ask(context, request, answer);
        /* Who asked and does not listen goes without. */
        if (size > sizeof(sa_family_t))
            (void)sendto(c->fd, answer, strlen(answer), MSG_NOSIGNAL,
                         (const struct sockaddr *)&peer, size);
    }
}

/* ---- who asks ---- */

static int receive(int fd, tb_ns timeout_ns, char out_answer[TB_CONTROL_BYTES])
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int count = poll(&readable, 1, (int)(timeout_ns / TB_NS_PER_MS));

    if (count <= 0)
        return count < 0 ? -errno : -ETIMEDOUT;
    ssize_t length = recv(fd, out_answer, TB_CONTROL_BYTES - 1, 0);
    if (length < 0)
        return -errno;
    out_answer[length] = '\0';
    return 0;
}

int tb_control_ask(const char *bus_dir, const char *stream, const char *request, tb_ns timeout_ns,
                   char out_answer[TB_CONTROL_BYTES])
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    char name[sizeof(((struct tb_control *)0)->name)];
    int directory, fd;
    int rc = open_both(bus_dir, 0, &directory, &fd);

    (void)snprintf(name, sizeof(name), "%s%s", stream, SUFFIX);
    const struct sockaddr_un to = address_of(directory, name);
    size_t length = strlen(request);
    /* A socket that nobody empties is full after some requests, and a send would wait for ever. */
    const tb_ns least =
        timeout_ns > TB_NS_PER_US ? timeout_ns : TB_NS_PER_US; /* 0 would be for ever */
    const struct timeval longest = {.tv_sec = least / TB_NS_PER_S,
                                    .tv_usec = least % TB_NS_PER_S / TB_NS_PER_US};
    /* An address of ours, which the kernel chooses, for the answer to come to. */
    if (rc == 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest)) != 0 ||
                    bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) != 0 ||
                    connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 ||
                    send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length))
        rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (rc == 0)
        rc = receive(fd, timeout_ns, out_answer);
    close_both(directory, fd);
    return rc;
}
