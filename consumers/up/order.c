/* In which order things begin and end. */
#include "consumers/up/up.h"

#include <string.h>

#include <tickbus/log.h>

#define PHASE_TIMEOUT                                                                              \
    (5 * TB_NS_PER_S) /* then on: streams and venues that are late are waited for anyway */
#define PHASE_LAST 2

void order_advance_start(struct up *up)
{
    if (up->all_started)
        return;
    bool ready = true;
    for (size_t i = 0; i < up->count; i++)
        ready &= up->child[i].rank > up->phase || child_is_ready(up, &up->child[i]);
    if (!ready && up->mono - up->phase_mono < PHASE_TIMEOUT)
        return;
    if (up->phase == PHASE_LAST)
        up->all_started = true;
    else
        up->phase++;
    up->phase_mono = up->mono;
}

/* Feeds, and services that read something, end by themselves; venues and the others serve them. */
static bool ends_by_itself(const struct child *c)
{
    return c->process->kind == PLAN_FEED ||
           (c->process->kind == PLAN_SERVICE && c->process->input_count > 0);
}

bool order_is_done(const struct up *up)
{
    for (size_t i = 0; i < up->count; i++)
        if (ends_by_itself(&up->child[i]) && !up->child[i].ended)
            return false;
    return true;
}

/* Does something still run that makes a stream this one reads? */
static bool is_fed(const struct up *up, const struct child *c)
{
    for (size_t i = 0; i < up->count; i++) {
        const struct child *maker = &up->child[i];
        if (maker != c && maker->pid != 0 && maker->process->output[0] != '\0' &&
            plan_reads(c->process, maker->process->output))
            return true;
    }
    return false;
}

bool order_advance_stop(struct up *up)
{
    bool running = false, venues_only = true, waited_for = false;
    for (size_t i = 0; i < up->count; i++) {
        running |= up->child[i].pid != 0;
        venues_only &= up->child[i].pid == 0 || up->child[i].process->kind == PLAN_VENUE;
    }
    for (size_t i = 0; i < up->count; i++) {
        struct child *c = &up->child[i];
        if (c->process->kind == PLAN_VENUE ? venues_only : !is_fed(up, c))
            child_ask_to_stop(up, c);
        if (c->pid != 0 && c->asked) {
            waited_for = true;
            if (up->mono > c->kill_mono) {
                tb_log(TB_LOG_ERROR, "does_not_stop", "name=%s pid=%d then=\"killed\"",
                       c->process->name, (int)c->pid);
                child_kill(up, c);
                c->kill_mono = INT64_MAX;
            }
        }
    }
    /* Services that read each other in a ring: no order is right, all at once is as good as any. */
    for (size_t i = 0; running && !waited_for && i < up->count; i++)
        child_ask_to_stop(up, &up->child[i]);
    return !running;
}
