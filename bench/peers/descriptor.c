/*
 * The kernel's byte pipes: a pipe, a pair of Unix datagram sockets, a pair of Unix stream sockets. `batch`
 * messages go into one write, up to as many come out of one read; the reader blocks.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/transport.h"

#define BATCH_MAX 64

struct end {
    int fd;
    unsigned batch;
    size_t held, at; /* messages */
    struct message message[BATCH_MAX];
};

static void prepare_pipe(struct transport_run *run)
{
    if (pipe(run->fd) != 0)
        bench_fail("no pipe");
    (void)fcntl(run->fd[1], F_SETPIPE_SZ, 1 << 20); /* refused: the usual 64 KiB */
}

static void prepare_sockets(struct transport_run *run, int type)
{
    int bytes = 4 << 20;
    if (socketpair(AF_UNIX, type, 0, run->fd) != 0)
        bench_fail("no sockets");
    (void)setsockopt(run->fd[1], SOL_SOCKET, SO_SNDBUF, &bytes,
                     sizeof(bytes)); /* as much as may be */
}

static void prepare_datagram(struct transport_run *run)
{
    prepare_sockets(run, SOCK_DGRAM);
}

static void prepare_stream(struct transport_run *run)
{
    prepare_sockets(run, SOCK_STREAM);
}

static void finish(struct transport_run *run)
{
    (void)close(run->fd[0]);
    (void)close(run->fd[1]);
}

static void flush(void *end)
{
    struct end *e = end;
    const char *from = (const char *)e->message;
    for (size_t left = e->held * sizeof(struct message); left > 0;) {
        ssize_t n = write(e->fd, from, left);
        if (n <= 0)
            bench_fail("write: the reader is gone");
        from += n;
        left -= (size_t)n;
    }
    e->held = 0;
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct end *e = end;
    message_fill(&e->message[e->held++], seq, intended);
    if (e->held == e->batch)
        flush(e);
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    struct end *e = end;
    if (e->at == e->held) {
        size_t got = 0;
        do { /* a stream may end within a message */
            ssize_t n =
                read(e->fd, (char *)e->message + got, e->batch * sizeof(struct message) - got);
            if (n <= 0)
                bench_fail("read: the writer is gone");
            got += (size_t)n;
        } while (got % sizeof(struct message) != 0);
        e->held = got / sizeof(struct message);
        e->at = 0;
    }
    *out = e->message[e->at++];
    return true;
}

static void write_all(struct transport_run *run)
{
    static struct end e;
    e.fd = run->fd[1];
    e.batch = run->set->batch;
    (void)close(run->fd[0]);
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send_one, flush);
}

static void read_all(struct transport_run *run)
{
    static struct end e;
    e.fd = run->fd[0];
    e.batch = run->set->batch;
    (void)close(run->fd[1]);
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_one);
}

const struct transport transport_pipe = {.name = "pipe",
                                         .prepare = prepare_pipe,
                                         .write = write_all,
                                         .read = read_all,
                                         .finish = finish};
const struct transport transport_unix_datagram = {.name = "unix_datagram",
                                                  .prepare = prepare_datagram,
                                                  .write = write_all,
                                                  .read = read_all,
                                                  .finish = finish};
const struct transport transport_unix_stream = {.name = "unix_stream",
                                                .prepare = prepare_stream,
                                                .write = write_all,
                                                .read = read_all,
                                                .finish = finish};
