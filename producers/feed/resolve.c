/*
 * Which markets a feed is for: the names of the config held against the venue's own listing. An
 * unknown name is refused, with those that were probably meant: the venue itself would accept it in
 * silence and never send anything.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/log.h>

#include "feed.h"

#define NEAR_MAX 3

bool feed_wants_all(const struct feed *f)
{
    return f->options.symbols.count == 1 && strcmp(f->options.symbols.item[0], "*") == 0;
}

/* "BTC/USDT": the raw name, the nearest spelling, then others with the same base. */
static void near_names(const struct listing *l, const char *symbol, char *out, size_t capacity)
{
    const char **names = malloc((l->count + 1) * sizeof(*names));
    const char *nearest = NULL;
    size_t used = 0, base = strcspn(symbol, "/"), said = 0;

    out[0] = '\0';
    if (names == NULL)
        return;
    for (size_t i = 0; i < l->count; i++) {
        names[i] = l->market[i].symbol;
        if (strcasecmp(l->market[i].raw, symbol) == 0)
            nearest = l->market[i].symbol;
    }
    if (nearest == NULL)
        nearest = tb_nearest(symbol, names, l->count);
    if (nearest != NULL) {
        used = (size_t)snprintf(out, capacity, "%s", nearest);
        said++;
    }
    for (size_t i = 0; i < l->count && said < NEAR_MAX && symbol[base] == '/'; i++) {
        if (names[i] == nearest || strncasecmp(names[i], symbol, base + 1) != 0)
            continue;
        int length = snprintf(out + used, capacity - used, "%s%s", said > 0 ? " " : "", names[i]);
        if (length < 0 || (size_t)length >= capacity - used)
            break;
        used += (size_t)length;
        said++;
    }
    free(names);
}

static void refuse(const struct feed *f, const struct listing *l, const char *symbol)
{
    char nearby[3 * TB_SYMBOL_BYTES + 8], quoted[2][TB_QUOTE_BYTES], taken[TB_TIME_BYTES];
    bool cached = l == &f->cached;

    near_names(l, symbol, nearby, sizeof(nearby));
    tb_log(TB_LOG_ERROR, "unknown_symbol", "venue=%s symbol=%s%s%s%s%s", f->options.venue,
           tb_quote_text(symbol, quoted[0]), nearby[0] != '\0' ? " did_you_mean=" : "",
           nearby[0] != '\0' ? tb_quote_text(nearby, quoted[1]) : "",
           cached ? " by_listing_of=" : "", cached ? tb_time_format(l->taken, taken) : "");
}

static int take(struct feed *f, const struct adapter_market_config *market)
{
    for (size_t i = 0; i < f->market_count; i++)
        if (strcmp(f->market[i].symbol, market->symbol) == 0)
            return 0; /* named twice */
    if (f->market_count == ADAPTER_MARKETS_MAX)
        return -E2BIG;
    f->market[f->market_count++] = *market;
    return 0;
}

/* 0; -ENOENT: refused; -EAGAIN: a name is not in it, and it is not all that the venue has. */
int feed_choose(struct feed *f, const struct listing *l)
{
    size_t unknown = 0;
    int rc = 0;

    f->market_count = 0;
    if (feed_wants_all(f))
        for (size_t i = 0; i < l->count && rc == 0; i++)
            rc = take(f, &l->market[i]);
    else
        for (size_t i = 0; i < f->options.symbols.count && rc == 0; i++) {
            const struct adapter_market_config *m = listing_find(l, f->options.symbols.item[i]);
            if (m != NULL)
                rc = take(f, m);
            else if (l->complete)
                refuse(f, l, f->options.symbols.item[i]);
            unknown += m == NULL;
        }
    if (unknown > 0)
        return l->complete ? -ENOENT : -EAGAIN;
    if (rc == -E2BIG)
        tb_log(TB_LOG_ERROR, "too_many_symbols", "venue=%s listed=%zu most=%d", f->options.venue,
               l->count, ADAPTER_MARKETS_MAX);
    if (rc == 0 && f->market_count == 0) {
        tb_log(TB_LOG_ERROR, "no_symbols", "venue=%s", f->options.venue);
        rc = -ENOENT;
    }
    return rc == -E2BIG ? -ENOENT : rc;
}

int feed_read_listing(struct feed *f, const char *body, size_t length, struct listing *out)
{
    struct tb_error err = {""};
    char quoted[TB_QUOTE_BYTES];

    *out = (struct listing){.taken = tb_clock_wall(), .complete = f->asked_all};
    int rc = f->ops->listing_read(body, length, listing_add, out);
    if (rc >= 0 && out->failed)
        rc = -ENOMEM;
    if (rc >= 0 && out->count == 0 && out->complete &&
        !(f->list_all && f->ops->listing_kinds != NULL))
        rc = -EBADMSG; /* a venue without a market is none */
    if (rc < 0 || out->count == 0)
        return rc < 0 ? rc : 0;
    bool whole = out->complete && f->ops->listing_kinds == NULL;
    if (!whole)
        listing_merge(&f->cached, out);
    rc = listing_store(whole ? out : &f->cached, &f->listing_file, &err);
    if (rc != 0)
        tb_log(TB_LOG_WARN, "listing_not_kept", "reason=%s then=\"no offline start from it\"",
               tb_quote_text(err.text, quoted));
    return 0;
}

void feed_load_listing(struct feed *f)
{
    struct tb_error err = {""};
    char quoted[TB_QUOTE_BYTES];

    listing_place(&f->listing_file, f->options.cache, f->options.venue, f->options.rest_url);
    int rc = listing_load(&f->cached, &f->listing_file, &err);
    if (rc != 0 && rc != -ENOENT)
        tb_log(TB_LOG_WARN, "listing_ignored", "reason=%s then=\"the venue is asked\"",
               tb_quote_text(err.text, quoted));
}
