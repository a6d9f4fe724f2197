/* ZeroMQ PUSH and PULL over a Unix socket in the abstract name space; both block, its own threads work. */
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/transport.h"

static char endpoint[64];

static void prepare(struct transport_run *run)
{
    (void)run;
    static unsigned times;
    snprintf(endpoint, sizeof(endpoint), "ipc://@tickbus-bench-%d-%u", (int)getpid(), times++);
}

static void *open_socket(void *context, const struct transport_run *run, int type, int mark)
{
    void *s = zmq_socket(context, type);
    int most = (int)run->set->slots;
    if (s == NULL || zmq_setsockopt(s, mark, &most, sizeof(most)) != 0)
        bench_fail("zeromq: %s", zmq_strerror(zmq_errno()));
    return s;
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct message m;
    message_fill(&m, seq, intended);
    if (zmq_send(end, &m, sizeof(m), 0) != sizeof(m))
        bench_fail("zmq_send: %s", zmq_strerror(zmq_errno()));
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    if (zmq_recv(end, out, sizeof(*out), 0) != sizeof(*out))
        bench_fail("zmq_recv: %s", zmq_strerror(zmq_errno()));
    return true;
}

static void write_all(struct transport_run *run)
{
    void *context = zmq_ctx_new();
    void *s = open_socket(context, run, ZMQ_PUSH, ZMQ_SNDHWM);
    if (zmq_bind(s, endpoint) != 0)
        bench_fail("zmq_bind: %s", zmq_strerror(zmq_errno()));
    transport_ready(&run->control->writer_ready);
    transport_await(&run->control->reader_ready);
    transport_write(run, s, send_one, transport_no_flush);
    (void)zmq_close(s);
    (void)zmq_ctx_term(context); /* when all is handed over */
}

static void read_all(struct transport_run *run)
{
    void *context = zmq_ctx_new();
    void *s = open_socket(context, run, ZMQ_PULL, ZMQ_RCVHWM);
    transport_await(&run->control->writer_ready);
    if (zmq_connect(s, endpoint) != 0)
        bench_fail("zmq_connect: %s", zmq_strerror(zmq_errno()));
    transport_ready(&run->control->reader_ready);
    transport_read(run, s, receive_one);
    (void)zmq_close(s);
    (void)zmq_ctx_term(context);
}

const struct transport transport_zeromq = {.name = "zeromq",
                                           .prepare = prepare,
                                           .write = write_all,
                                           .read = read_all,
                                           .finish = transport_nothing};
