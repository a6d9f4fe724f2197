/* NATS core, publish and synchronous subscribe over loopback, its server started by the bench. */
#include <dirent.h>
#include <nats/nats.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/server.h"
#include "bench/transport.h"

static pid_t server;
static char url[128];
static char subject[32];

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        bench_fail("nats %s: %s", what, natsStatus_GetText(status));
}

/* The server writes which port it was given: {"nats":["nats://127.0.0.1:41234"], ...} */
static bool is_up(void *directory)
{
    char path[256], text[512] = "";
    snprintf(path, sizeof(path), "%s/nats-server_%d.ports", (const char *)directory, (int)server);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    const char *from = strstr(text, "nats://");
    if (from == NULL)
        return false;
    snprintf(url, sizeof(url), "%.*s", (int)strcspn(from, "\""), from);
    return true;
}

static const char *unavailable(struct bench *b)
{
    char directory[64];
    snprintf(directory, sizeof(directory), "%s", bench_directory(b));
    const char *const argv[] = {"nats-server",      "-a",      "127.0.0.1", "-p", "-1",
                                "--ports_file_dir", directory, NULL};
    return server_run("nats-server", argv, is_up, directory, &server);
}

static void stop(void)
{
    server_stop(server);
    server = 0;
}

static void prepare(struct transport_run *run)
{
    (void)run;
    static unsigned times;
    snprintf(subject, sizeof(subject), "bench%u", times++);
}

static natsConnection *connect_nats(bool at_once)
{
    natsOptions *o;
    natsConnection *c;
    check(natsOptions_Create(&o), "options");
    check(natsOptions_SetURL(o, url), "url");
    check(natsOptions_SetSendAsap(o, at_once), "options");
    check(natsConnection_Connect(&c, o), "connect");
    natsOptions_Destroy(o);
    return c;
}

static void send_one(void *end, uint64_t seq, uint64_t intended)
{
    struct message m;
    message_fill(&m, seq, intended);
    check(natsConnection_Publish(end, subject, &m, sizeof(m)), "publish");
}

static void flush(void *end)
{
    check(natsConnection_Flush(end), "flush");
}

static bool receive_one(void *end, struct message *out)
{
    natsMsg *m;
    natsStatus status = natsSubscription_NextMsg(&m, end, 500);
    if (status == NATS_TIMEOUT)
        return false;
    check(status, "receive");
    bool ok = natsMsg_GetDataLength(m) == sizeof(*out);
    if (ok)
        memcpy(out, natsMsg_GetData(m), sizeof(*out));
    natsMsg_Destroy(m);
    return ok;
}

static void write_all(struct transport_run *run)
{
    natsConnection *c = connect_nats(run->set->rate > 0);
    transport_await(&run->control->reader_ready);
    transport_write(run, c, send_one, flush);
    natsConnection_Destroy(c);
}

static void read_all(struct transport_run *run)
{
    natsConnection *c = connect_nats(false);
    natsSubscription *s;
    check(natsConnection_SubscribeSync(&s, c, subject), "subscribe");
    check(natsSubscription_SetPendingLimits(s, -1, -1), "limits"); /* else it drops */
    check(natsConnection_Flush(c), "flush");
    transport_ready(&run->control->reader_ready);
    transport_read(run, s, receive_one);
    natsSubscription_Destroy(s);
    natsConnection_Destroy(c);
}

const struct transport transport_nats = {.name = "nats",
                                         .unavailable = unavailable,
                                         .prepare = prepare,
                                         .write = write_all,
                                         .read = read_all,
                                         .finish = transport_nothing,
                                         .close = stop};
