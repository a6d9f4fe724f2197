#include "faultplay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>

void faultplay_init(struct faultplay *p, struct fault_script *script, struct server *server)
{
    *p = (struct faultplay){.script = script, .server = server};
}

void faultplay_fini(struct faultplay *p)
{
    for (size_t i = 0; i < p->held_count; i++)
        protocol_text_free(&p->held[i].text);
    for (size_t i = 0; i < p->answer_count; i++) {
        free(p->answer[i].url);
        protocol_text_free(&p->answer[i].body);
    }
    *p = (struct faultplay){0};
}

static void note(struct faultplay *p, const struct fault_rule *r)
{
    p->done[r->kind]++;
    tb_log(TB_LOG_INFO, "fault", "do=%s rule=%zu %s=%" PRIu64 " time_ms=%" PRId64,
           fault_name(r->kind), (size_t)(r - p->script->rule),
           fault_is_of_requests(r->kind) ? "request" : "frame",
           fault_is_of_requests(r->kind) ? r->seen : p->frames, p->at / TB_NS_PER_MS);
}

/* ---- frames ---- */

/* Each client's message is kept as that client was to get it: its number may be in it. */
static void hold(struct faultplay *p, uint64_t client, const char *text, size_t length, bool binary)
{
    struct faultplay_held *h = &p->held[p->held_count];

    if (p->held_count == FAULTPLAY_HELD_MAX) {
        server_put(p->server, client, text, length, binary);
        return;
    }
    *h = (struct faultplay_held){.client = client,
                                 .binary = binary,
                                 .rule = p->rule,
                                 .behind = p->rule->seen + (uint64_t)p->rule->number};
    protocol_append(&h->text, text, length);
    if (h->text.failed)
        protocol_text_free(&h->text); /* it is lost, which is what a fault may do */
    else
        p->held_count++;
}

/* Sends what was held for as long as it should be. */
static void release(struct faultplay *p, bool all)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->held_count; i++) {
        struct faultplay_held *h = &p->held[i];
        if (!all && h->rule->seen < h->behind) {
            p->held[kept++] = *h;
            continue;
        }
        server_put(p->server, h->client, h->text.text, h->text.length, h->binary);
        protocol_text_free(&h->text);
    }
    p->held_count = kept;
}

/* What becomes of one subscriber's message, by the rule that is due. */
static void through(void *context, uint64_t client, const char *text, size_t length, bool binary)
{
    struct faultplay *p = context;
    struct protocol_text changed = {0};

    switch (p->rule->kind) {
    case FAULT_DROP:
        return;
    case FAULT_REORDER:
        hold(p, client, text, length, binary);
        return;
    case FAULT_DUPLICATE:
        server_put(p->server, client, text, length, binary);
        server_put(p->server, client, text, length, binary);
        return;
    default:
        fault_change(p->rule, p->random, text, length, binary, &changed);
        if (!changed.failed)
            server_put(p->server, client, changed.text, changed.length, binary);
        protocol_text_free(&changed);
    }
}

/* At most one rule is done to the frame itself: the first that is due. */
static void send_frame(struct faultplay *p, const struct fault_rule *r,
                       const struct protocol_frame *frame)
{
    p->rule = r;
    p->random = r != NULL && r->kind >= FAULT_CORRUPT ? fault_random(p->script) : 0;
    server_send(p->server, frame, r != NULL ? through : NULL, p);
}

static void disturb(struct faultplay *p, const struct fault_rule *r, uint32_t stream)
{
    tb_ns until = tb_clock_mono() + r->duration;

    switch (r->kind) {
    case FAULT_CLOSE:
        server_disconnect(p->server, stream, (int)r->number, r->text);
        break;
    case FAULT_RESET:
        server_disconnect(p->server, stream, 0, "");
        break;
    case FAULT_SILENCE:
        server_silence(p->server, stream, until);
        break;
    case FAULT_SLOW:
        server_slow(p->server, stream, r->number, until);
        break;
    case FAULT_PING_FLOOD:
        server_pings(p->server, stream, (unsigned)r->number);
        break;
    default:
        server_refuse(p->server, until);
    }
}

void faultplay_send(struct faultplay *p, const struct protocol_frame *frame, tb_ns at)
{
    const char *text = frame->combined != NULL ? frame->combined : frame->bare;
    size_t length = frame->combined != NULL ? frame->combined_length : frame->bare_length;
    const struct fault_rule *first = NULL;

    p->at = at;
    if (p->script == NULL || !server_has_subscriber(p->server, frame->stream)) {
        server_send(p->server, frame, NULL, NULL);
        return;
    }
    p->frames++;
    for (size_t i = 0; i < p->script->count; i++) {
        struct fault_rule *r = &p->script->rule[i];
        if (fault_is_of_requests(r->kind) || !fault_due(p->script, r, text, length, at))
            continue;
        if (r->kind >= FAULT_CLOSE) {
            note(p, r);
            disturb(p, r, frame->stream);
        } else if (first == NULL) {
            note(p, r);
            first = r;
        }
    }
    send_frame(p, first, frame);
    release(p, false);
}

void faultplay_end(struct faultplay *p)
{
    release(p, true);
}

/* ---- requests ---- */

static struct faultplay_answer *find_answer(struct faultplay *p, const char *path,
                                            const char *query)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < p->answer_count; i++)
        if (strncmp(p->answer[i].url, path, length) == 0 && p->answer[i].url[length] == '?' &&
            strcmp(p->answer[i].url + length + 1, query) == 0)
            return &p->answer[i];
    return NULL;
}

int faultplay_request(struct faultplay *p, const char *path, const char *query,
                      struct protocol_text *out_body)
{
    const struct faultplay_answer *first;

    for (size_t i = 0; p->script != NULL && i < p->script->count; i++) {
        struct fault_rule *r = &p->script->rule[i];
        if (!fault_is_of_requests(r->kind) || !fault_due(p->script, r, path, strlen(path), p->at))
            continue;
        if (r->kind == FAULT_HTTP_STATUS) {
            note(p, r);
            protocol_printf(out_body, "{\"code\":-1,\"msg\":\"fault script\"}");
            return (int)r->number;
        }
        first = find_answer(p, path, query);
        if (first == NULL) {
            r->fired--; /* nothing older was ever answered: the next request may have it */
            continue;
        }
        note(p, r);
        protocol_append(out_body, first->body.text, first->body.length);
        return 200;
    }
    return 0;
}

static bool wants_answers(const struct faultplay *p)
{
    for (size_t i = 0; p->script != NULL && i < p->script->count; i++)
        if (p->script->rule[i].kind == FAULT_STALE_SNAPSHOT)
            return true;
    return false;
}

void faultplay_answered(struct faultplay *p, const char *path, const char *query, const char *body,
                        size_t length)
{
    struct faultplay_answer *a = &p->answer[p->answer_count];

    if (!wants_answers(p) || p->answer_count == FAULTPLAY_ANSWERS_MAX ||
        find_answer(p, path, query) != NULL)
        return;
    *a = (struct faultplay_answer){0};
    if (asprintf(&a->url, "%s?%s", path, query) < 0)
        return;
    protocol_append(&a->body, body, length);
    if (!a->body.failed) {
        p->answer_count++;
        return;
    }
    free(a->url);
    protocol_text_free(&a->body);
}
