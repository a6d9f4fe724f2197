/* See markets.h. */
#include "markets.h"

#include <ctype.h>
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
        if (entry == NULL || entry->label[0] != '\0')
            continue;
        memcpy(market.origin, entry->stream, sizeof(market.origin));
        memcpy(market.venue, entry->venue, sizeof(market.venue));
        memcpy(market.symbol, entry->symbol, sizeof(market.symbol));
        market.id = entry->market;
        rc = add(s->found, &market);
    }
    tb_reader_close(&reader, false);
    return rc;
}

/* Does another stream of this bus have it first-hand? */
static bool is_mirror(const struct markets *m, const struct market *market)
{
    if (strcmp(market->origin, market->stream) == 0)
        return false;
    for (size_t i = 0; i < m->count; i++)
        if (markets_match(&m->item[i], market->origin, market->venue, market->symbol))
            return true;
    return false;
}

static void drop_mirrors(struct markets *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->count; i++)
        m->item[i].id = is_mirror(m, &m->item[i]) ? 0 : m->item[i].id;
    for (size_t i = 0; i < m->count; i++)
        if (m->item[i].id != 0)
            m->item[kept++] = m->item[i];
    m->count = kept;
}

int markets_find(const char *bus_dir, struct markets *out, struct tb_error *err)
{
    struct search search = {bus_dir, out};

    memset(out, 0, sizeof(*out));
    int rc = tb_bus_list(bus_dir, ".ring", look_at, &search, err);
    if (rc == -ENOMEM)
        return tb_fail(err, rc, "no memory for the markets of %s", bus_dir);
    drop_mirrors(out);
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

/* What a hurried person types for "BTC/USDT": letters and digits alone count, in upper case. */
static void plain(const char *symbol, char out[TB_SYMBOL_BYTES])
{
    size_t used = 0;

    for (; *symbol != '\0' && used + 1 < TB_SYMBOL_BYTES; symbol++)
        if (isalnum((unsigned char)*symbol))
            out[used++] = (char)toupper((unsigned char)*symbol);
    out[used] = '\0';
}

const char *markets_near(const struct markets *m, const char *symbol, char out[MARKETS_NEAR_BYTES])
{
    char(*names)[TB_SYMBOL_BYTES] = calloc(m->count + 1, sizeof(*names)), typed[TB_SYMBOL_BYTES];
    const char **list = calloc(m->count + 1, sizeof(*list));
    size_t used = 0, said = 0, base = strcspn(symbol, "/-_:");

    out[0] = '\0';
    plain(symbol, typed);
    for (size_t i = 0; names != NULL && list != NULL && i < m->count; i++) {
        plain(m->item[i].symbol, names[i]);
        list[i] = names[i];
    }
    const char *nearest = names != NULL && list != NULL ? tb_nearest(typed, list, m->count) : NULL;
    for (int pass = 0; pass < 2 && list != NULL && names != NULL;
         pass++) /* those first that are spelt like it */
        for (size_t i = 0; i < m->count && said < NEAR_MAX; i++) {
            const char *name = m->item[i].symbol;
            bool spelt = nearest != NULL && strcmp(names[i], nearest) == 0;
            bool based = strncasecmp(name, symbol, base) == 0 && name[base] == '/';
            if (pass == 0 ? !spelt : spelt || !based)
                continue;
            used += (size_t)snprintf(out + used, MARKETS_NEAR_BYTES - used, "%s%s (%s)",
                                     said > 0 ? ", " : "", name, m->item[i].stream);
            said++;
        }
    free(names);
    free(list);
    return out;
}
