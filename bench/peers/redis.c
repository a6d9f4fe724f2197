/*
 * Redis over a Unix socket, its server started by the bench, nothing kept on disk:
 *
 *   redis_pubsub   PUBLISH, SUBSCRIBE
 *   redis_stream   XADD, XREAD BLOCK; up to 1000 entries a read
 *
 * `batch` commands are in flight before the writer waits for their answers.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/server.h"
#include "bench/transport.h"

#define READ_MAX 1000
#define READ_MAX_TEXT "1000"

static pid_t server;
static char socket_path[128];
static char key[32];

struct end {
    redisContext *c;
    unsigned in_flight, batch;
    redisReply *reply; /* redis_stream: being worked through */
    size_t at;
    char last_id[64];
};

static bool is_up(void *context)
{
    (void)context;
    redisContext *c = redisConnectUnix(socket_path);
    bool up = c != NULL && c->err == 0;
    redisFree(c);
    return up;
}

static const char *unavailable(struct bench *b)
{
    snprintf(socket_path, sizeof(socket_path), "%s/redis", bench_directory(b));
    const char *const argv[] = {
        "redis-server", "--port", "0",     "--unixsocket",     socket_path, "--save", "",
        "--appendonly", "no",     "--dir", bench_directory(b), NULL};
    return server_run("redis-server", argv, is_up, NULL, &server);
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
    snprintf(key, sizeof(key), "bench%u", times++);
}

static redisContext *connect_redis(void)
{
    redisContext *c = redisConnectUnix(socket_path);
    if (c == NULL || c->err != 0)
        bench_fail("redis: %s", c != NULL ? c->errstr : "no memory");
    return c;
}

static redisReply *get_reply(redisContext *c)
{
    void *reply;
    if (redisGetReply(c, &reply) != REDIS_OK)
        bench_fail("redis: %s", c->errstr);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
        bench_fail("redis: %s", ((redisReply *)reply)->str);
    return reply;
}

/* ---- the writer ---- */

static void flush(void *end)
{
    struct end *e = end;
    for (; e->in_flight > 0; e->in_flight--)
        freeReplyObject(get_reply(e->c));
}

static void append(struct end *e, int count, const char **word, const size_t *bytes)
{
    if (redisAppendCommandArgv(e->c, count, word, bytes) != REDIS_OK)
        bench_fail("redis: %s", e->c->errstr);
    if (++e->in_flight == e->batch)
        flush(e);
}

static void publish_one(void *end, uint64_t seq, uint64_t intended)
{
    struct message m;
    message_fill(&m, seq, intended);
    const char *word[] = {"PUBLISH", key, (const char *)&m};
    append(end, 3, word, (const size_t[]){7, strlen(key), sizeof(m)});
}

static void add_one(void *end, uint64_t seq, uint64_t intended)
{
    struct message m;
    message_fill(&m, seq, intended);
    const char *word[] = {"XADD", key, "MAXLEN", "~", "100000", "*", "m", (const char *)&m};
    append(end, 8, word, (const size_t[]){4, strlen(key), 6, 1, 6, 1, 1, sizeof(m)});
}

static void write_all(struct transport_run *run, void (*send)(void *, uint64_t, uint64_t))
{
    struct end e = {.c = connect_redis(), .batch = run->set->batch};
    transport_await(&run->control->reader_ready);
    transport_write(run, &e, send, flush);
    redisFree(e.c);
}

static void publish_all(struct transport_run *run)
{
    write_all(run, publish_one);
}

static void add_all(struct transport_run *run)
{
    write_all(run, add_one);
}

/* ---- the reader ---- */

static bool receive_published(void *end, struct message *out)
{
    struct end *e = end;
    redisReply *r = get_reply(e->c);
    bool ok =
        r->type == REDIS_REPLY_ARRAY && r->elements == 3 && r->element[2]->len == sizeof(*out);
    if (ok)
        memcpy(out, r->element[2]->str, sizeof(*out));
    freeReplyObject(r);
    return ok;
}

/* [[key, [[id, [field, value]], ...]]], or nil when it has waited long enough. */
static bool read_more(struct end *e)
{
    if (e->reply != NULL)
        freeReplyObject(e->reply);
    e->at = 0;
    if (redisAppendCommand(e->c, "XREAD COUNT " READ_MAX_TEXT " BLOCK 500 STREAMS %s %s", key,
                           e->last_id) != REDIS_OK)
        bench_fail("redis: %s", e->c->errstr);
    e->reply = get_reply(e->c);
    return e->reply->type == REDIS_REPLY_ARRAY;
}

static bool receive_added(void *end, struct message *out)
{
    struct end *e = end;
    bool more = e->reply != NULL && e->reply->type == REDIS_REPLY_ARRAY &&
                e->at < e->reply->element[0]->element[1]->elements;
    if (!more && !read_more(e))
        return false;
    const redisReply *entry = e->reply->element[0]->element[1]->element[e->at++];
    const redisReply *value = entry->element[1]->element[1];
    if (value->len != sizeof(*out))
        return false; /* found by the next sequence */
    memcpy(out, value->str, sizeof(*out));
    snprintf(e->last_id, sizeof(e->last_id), "%s", entry->element[0]->str);
    return true;
}

static void subscribe_all(struct transport_run *run)
{
    struct end e = {.c = connect_redis()};
    freeReplyObject(redisCommand(e.c, "SUBSCRIBE %s", key));
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_published);
    redisFree(e.c);
}

static void read_stream(struct transport_run *run)
{
    struct end e = {.c = connect_redis(), .last_id = "0"};
    transport_ready(&run->control->reader_ready);
    transport_read(run, &e, receive_added);
    if (e.reply != NULL)
        freeReplyObject(e.reply);
    freeReplyObject(redisCommand(e.c, "DEL %s", key));
    redisFree(e.c);
}

const struct transport transport_redis_pubsub = {.name = "redis_pubsub",
                                                 .unavailable = unavailable,
                                                 .prepare = prepare,
                                                 .write = publish_all,
                                                 .read = subscribe_all,
                                                 .finish = transport_nothing,
                                                 .close = stop};
const struct transport transport_redis_stream = {.name = "redis_stream",
                                                 .unavailable = unavailable,
                                                 .prepare = prepare,
                                                 .write = add_all,
                                                 .read = read_stream,
                                                 .finish = transport_nothing,
                                                 .close = stop};
