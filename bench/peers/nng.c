/* nng push and pull over a Unix socket in the abstract name space; both block, its own threads work. */
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/transport.h"

#define BUFFERED 4096

static char endpoint[64];

static void prepare(struct transport_run *run)
{
    (void)run;
    static unsigned times;
    snprintf(endpoint, sizeof(endpoint), "abstract://tickbus-bench-%d-%u", (int)getpid(), times++);
}

static void check(int rc, const char *what)
{
    if (rc != 0)
        bench_fail("nng %s: %s", what, nng_strerror(rc));
}

ALWAYS_INLINE void send_one(void *end, uint64_t seq, uint64_t intended)
{
    const nng_socket *s = end;
    struct message m;
    message_fill(&m, seq, intended);
    check(nng_send(*s, &m, sizeof(m), 0), "send");
}

ALWAYS_INLINE bool receive_one(void *end, struct message *out)
{
    const nng_socket *s = end;
    size_t bytes = sizeof(*out);
    check(nng_recv(*s, out, &bytes, 0), "receive");
    return bytes == sizeof(*out);
}

static void write_all(struct transport_run *run)
{
    nng_socket s;
    check(nng_push0_open(&s), "open");
    check(nng_socket_set_int(s, NNG_OPT_SENDBUF, BUFFERED), "set");
    check(nng_listen(s, endpoint, NULL, 0), "listen");
    transport_ready(&run->control->writer_ready);
    transport_await(&run->control->reader_ready);
    transport_write(run, &s, send_one, transport_no_flush);
    /* What is in its buffers would be dropped by a close: the reader says when it has all. */
    transport_await(&run->control->reader_done);
    (void)nng_close(s);
}

static void read_all(struct transport_run *run)
{
    nng_socket s;
    check(nng_pull0_open(&s), "open");
    check(nng_socket_set_int(s, NNG_OPT_RECVBUF, BUFFERED), "set");
    transport_await(&run->control->writer_ready);
    check(nng_dial(s, endpoint, NULL, 0), "dial");
    transport_ready(&run->control->reader_ready);
    transport_read(run, &s, receive_one);
    (void)nng_close(s);
}

const struct transport transport_nng = {.name = "nng",
                                        .prepare = prepare,
                                        .write = write_all,
                                        .read = read_all,
                                        .finish = transport_nothing};
