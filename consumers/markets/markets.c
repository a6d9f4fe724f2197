/* See markets.h. */
#include "markets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/config.h>

#define NEAR_MAX 4

struct search {
    const char *bus_dir;
    struct markets *found;
};

static int add(struct markets *m, const struct market *market)
{
    for (size_t i = 0; i < m->count; i++) /* refined: another entry of the same market */
        if (m->item[i].id == market->id && strcmp(m->item[i].stream, market->stream) == 0)
            return 0;
    if (m->count % 64 == 0) {
        struct market *more = realloc(m->item, (m->count + 64) * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        m->item = more;
    }
    m->item[m->count++] = *market;
    return 0;
}

static int look_at(const char *stream, void *context)
{
    struct search *s = context;
    /* SPIN: the policy that needs no wait file; nothing here waits. */
    const struct tb_reader_options options = {.from = TB_FROM_NEWEST, .wait = TB_WAIT_SPIN};
    struct tb_reader reader;
    struct tb_error err;
    struct market market = {{0}};
    int rc = 0;

    if (tb_reader_open(s->bus_dir, stream, &options, &reader, &err) != 0) {
        s->found->unreadable++;
        return 0;
    }
    tb_reader_producer(&reader, &market.producer);
    (void)snprintf(market.stream, sizeof(market.stream), "%s", stream);
    uint16_t count = tb_reader_instrument_count(&reader);
    for (uint16_t id = 1; id <= count && rc == 0; id++) {
        const struct tb_instrument *entry = tb_reader_instrument(&reader, id);
        if (entry == NULL || entry->label[0] != '\0' || strcmp(entry->stream, stream) != 0)
            continue;
        memcpy(market.venue, entry->venue, sizeof(market.venue));
        memcpy(market.symbol, entry->symbol, sizeof(market.symbol));
        market.id = entry->market;
        rc = add(s->found, &market);
    }
    tb_reader_close(&reader, false);
    return rc;
}

int markets_find(const char *bus_dir, struct markets *out, struct tb_error *err)
{
    struct search search = {bus_dir, out};

    memset(out, 0, sizeof(*out));
    int rc = tb_bus_list(bus_dir, ".ring", look_at, &search, err);
    if (rc == -ENOMEM)
        return tb_fail(err, rc, "no memory for the markets of %s", bus_dir);
    return rc;
}

void markets_free(struct markets *m)
{
    free(m->item);
    m->item = NULL;
    m->count = 0;
}

bool markets_match(const struct market *m, const char *stream, const char *venue,
                   const char *symbol)
{
    return (stream == NULL || strcmp(stream, m->stream) == 0) &&
           (venue == NULL || strcmp(venue, m->venue) == 0) &&
           (symbol == NULL || strcmp(symbol, m->symbol) == 0);
}

/* "btcusdt" for "BTC/USDT": what a hurried person types. */
static bool same_letters(const char *typed, const char *symbol)
{
    for (;; typed++, symbol++) {
        typed += strspn(typed, "/-_:. ");
        symbol += strspn(symbol, "/-_:. ");
        if (*typed == '\0' || *symbol == '\0' || strncasecmp(typed, symbol, 1) != 0)
            return *typed == *symbol;
    }
}

const char *markets_near(const struct markets *m, const char *symbol, char out[MARKETS_NEAR_BYTES])
{
    const char **names = malloc((m->count + 1) * sizeof(*names));
    size_t used = 0, said = 0, base = strcspn(symbol, "/-_:");

    out[0] = '\0';
    if (names == NULL)
        return out;
    for (size_t i = 0; i < m->count; i++)
        names[i] = m->item[i].symbol;
    const char *nearest = tb_nearest(symbol, names, m->count);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < m->count && said < NEAR_MAX; i++) {
            bool spelt = same_letters(symbol, names[i]) ||
                         (nearest != NULL && strcmp(names[i], nearest) == 0);
            bool based = strncasecmp(names[i], symbol, base) == 0 && names[i][base] == '/';
            if (pass == 0 ? !spelt : spelt || !based)
                continue;
            used += (size_t)snprintf(out + used, MARKETS_NEAR_BYTES - used, "%s%s (%s)",
                                     said > 0 ? ", " : "", names[i], m->item[i].stream);
            said++;
        }
    free(names);
    return out;
}
