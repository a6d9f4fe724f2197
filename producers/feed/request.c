/* What an operator asks of the feed (tickbus/control.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/log.h>

#include "feed.h"

struct tally {
    unsigned asked, already;
    bool resubscribed;
};

static void refuse(char answer[TB_CONTROL_BYTES], const char *reason)
{
    (void)snprintf(answer, TB_CONTROL_BYTES, "refused: %s", reason);
}

static int resync_one(struct feed *f, const char *symbol, struct tally *t)
{
    int rc = f->ops->resync(f->adapter, symbol, tb_clock_wall());

    t->asked += rc >= 0;
    t->already += rc == -EALREADY;
    t->resubscribed |= rc == ADAPTER_RESUBSCRIBES;
    return rc;
}

static void unknown(const struct feed *f, const char *symbol, char answer[TB_CONTROL_BYTES])
{
    const char *names[ADAPTER_MARKETS_MAX];
    char quoted[TB_QUOTE_BYTES];

    for (size_t i = 0; i < f->market_count; i++)
        names[i] = f->market[i].symbol;
    const char *nearest = tb_nearest(symbol, names, f->market_count);
    (void)snprintf(answer, TB_CONTROL_BYTES, "refused: this feed has no %s%s%s%s",
                   tb_quote_text(symbol, quoted), nearest != NULL ? "; did you mean " : "",
                   nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

static void resync(struct feed *f, const char *symbol, char answer[TB_CONTROL_BYTES])
{
    struct tally t = {0};
    int rc = 0;

    if (f->state != FEED_LIVE) {
        refuse(answer, "not connected; every book is asked for with the next connection anyway");
        return;
    }
    if (strcmp(symbol, "*") != 0)
        rc = resync_one(f, symbol, &t);
    else
        for (size_t i = 0; i < f->market_count && rc != -ENOTSUP; i++)
            rc = resync_one(f, f->market[i].symbol, &t);
    tb_writer_wake(f->svc->out);
    if (t.asked > 0)
        (void)snprintf(answer, TB_CONTROL_BYTES, "asked %u: %s", t.asked,
                       t.resubscribed
                           ? "subscribed to anew, which is how this venue gives snapshots"
                           : "a snapshot by REST");
    else if (rc == -ENOENT)
        unknown(f, symbol, answer);
    else if (rc == -ENOTSUP)
        refuse(answer, "this feed takes no books (its option channels)");
    else if (t.already > 0)
        refuse(answer, "a snapshot is awaited already");
    else
        refuse(answer, strerror(rc < 0 ? -rc : EIO));
}

void feed_request(void *context, const char *request, char answer[TB_CONTROL_BYTES])
{
    static const char verb[] = "resync ";
    struct feed *f = context;
    char quoted[2][TB_QUOTE_BYTES];

    if (strncmp(request, verb, sizeof(verb) - 1) == 0)
        resync(f, request + sizeof(verb) - 1, answer);
    else
        refuse(answer, "this feed knows only: resync SYMBOL, resync *");
    tb_log(TB_LOG_INFO, "asked", "request=%s answer=%s", tb_quote_text(request, quoted[0]),
           tb_quote_text(answer, quoted[1]));
}
