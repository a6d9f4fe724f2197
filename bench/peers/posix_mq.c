/* A POSIX message queue, one message a call, both sides blocking. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/transport.h"

#define DEEP 256
#define SHALLOW 10 /* what anybody may have */

static mqd_t make(long messages)
{
    char name[64];
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = sizeof(struct message)};
    snprintf(name, sizeof(name), "/tickbus-bench-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (queue >= 0)
        (void)mq_unlink(name); /* the two processes inherit it */
    return queue;
}

static const char *unavailable(struct bench *b)
{
    (void)b;
    mqd_t queue = make(SHALLOW);
    if (queue < 0)
        return "this system has no POSIX message queues for us";
    (void)mq_close(queue);
    return NULL;
}

static void prepare(struct transport_run *run)
{
    run->fd[0] = make(DEEP);
    if (run->fd[0] < 0)
        run->fd[0] = make(SHALLOW);
    if (run->fd[0] < 0)
        bench_fail("no message queue");
}

static void finish(struct transport_run *run)
{
    (void)mq_close(run->fd[0]);
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    const int *queue = end;
    struct message m;
    message_fill(&m, seq, intended);
    if (mq_send(*queue, (const char *)&m, sizeof(m), 0) != 0)
        bench_fail("mq_send");
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    const int *queue = end;
    if (mq_receive(*queue, (char *)out, sizeof(*out), NULL) != sizeof(*out))
        bench_fail("mq_receive");
    return true;
}

static void write_all(struct transport_run *run)
{
    transport_await(&run->control->reader_ready);
    transport_write(run, run->fd, send_one, transport_no_flush);
}

static void read_all(struct transport_run *run)
{
    transport_ready(&run->control->reader_ready);
    transport_read(run, run->fd, receive_one);
}

const struct transport transport_posix_mq = {.name = "posix_mq",
                                             .unavailable = unavailable,
                                             .prepare = prepare,
                                             .write = write_all,
                                             .read = read_all,
                                             .finish = finish};
