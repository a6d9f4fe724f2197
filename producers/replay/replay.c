#include "producers/replay/replay.h"

#include <errno.h>
#include <string.h>

#include <tickbus/config.h>
#include <tickbus/service.h>

#include "producers/capture/scan.h"

int replay_scan(struct replay *r)
{
    struct capture_event e;
    if (capture_next(r->capture, &e) != 1)
        return 0;
    if (capture_scan(r->ops, &e, r->market, &r->market_count, ADAPTER_MARKETS_MAX, &r->found) != 0)
        r->scan_bad++;
    return 1;
}

static bool is_wanted(const struct replay *r, const struct adapter_market_config *market,
                      bool *wanted_found)
{
    for (size_t i = 0; i < r->symbols->count; i++)
        if (strcmp(r->symbols->item[i], market->symbol) == 0 ||
            strcmp(r->symbols->item[i], market->raw) == 0) {
            wanted_found[i] = true;
            return true;
        }
    return r->symbols->count == 0;
}

/* "BTC/USDT, ETH/USDT", as many as fit. */
static void name_markets(const struct replay *r, char *out, size_t capacity)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < r->market_count; i++) {
        size_t length = strlen(r->market[i].symbol);
        if (used + length + 3 > capacity)
            return;
        if (used > 0) {
            memcpy(out + used, ", ", 2);
            used += 2;
        }
        memcpy(out + used, r->market[i].symbol, length + 1);
        used += length;
    }
}

int replay_filter(struct replay *r, struct tb_error *err)
{
    bool found[ADAPTER_MARKETS_MAX] = {false};
    char names[160];
    if (r->market_count == 0)
        return tb_fail(err, -EINVAL, "nothing of %s is in the capture; is it another venue's?",
                       r->venue);
    if (r->symbols->count > ADAPTER_MARKETS_MAX)
        return tb_fail(err, -EINVAL, "%zu symbols are more than %d", r->symbols->count,
                       ADAPTER_MARKETS_MAX);
    name_markets(r, names, sizeof(names));
    size_t kept = 0;
    for (size_t i = 0; i < r->market_count; i++)
        if (is_wanted(r, &r->market[i], found))
            r->market[kept++] = r->market[i];
    r->market_count = kept;
    for (size_t i = 0; i < r->symbols->count; i++)
        if (!found[i])
            return tb_fail(err, -EINVAL, "symbol %.40s is not in the capture, which has %s",
                           r->symbols->item[i], names);
    return capture_rewind(r->capture);
}

static uint64_t mix(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        h = (h ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    return mix(h, text, strlen(text) + 1);
}

uint64_t replay_tag(const struct replay *r)
{
    const uint32_t number[] = {r->channels, (uint32_t)r->trades, r->book_depth};
    uint64_t h = mix_text(capture_tag(r->capture), r->venue);
    h = mix_text(h, tb_version()); /* another build may make other records of the same capture */
    h = mix(h, number, sizeof(number));
    for (size_t i = 0; i < r->symbols->count; i++)
        h = mix_text(h, r->symbols->item[i]);
    return h == 0 ? 1 : h;
}

int replay_open(struct replay *r, const struct adapter_host *host, struct tb_error *err)
{
    struct adapter_config config = {
        .venue = r->venue,
        .stream = r->stream,
        .market = r->market,
        .market_count = r->market_count,
        .channels = r->channels & r->found,
        /* A recording may hold both views of the same trades: single ones say more. */
        .aggregated = r->trades == REPLAY_TRADES_AGGREGATED ||
                      (r->trades == REPLAY_TRADES_AUTO && !(r->found & ADAPTER_SCAN_SINGLE)),
        .book_depth = r->book_depth,
        .recorded = true,
    };
    r->adapter = r->ops->create(&config, host, err);
    return r->adapter != NULL ? 0 : -ENOMEM;
}

void replay_close(struct replay *r)
{
    if (r->adapter != NULL)
        r->ops->destroy(r->adapter);
    capture_close(r->capture);
    r->adapter = NULL;
    r->capture = NULL;
}

const struct capture_event *replay_peek(struct replay *r)
{
    if (!r->has_event && !r->ended) {
        r->has_event = capture_next(r->capture, &r->event) == 1;
        r->ended = !r->has_event;
    }
    return r->has_event ? &r->event : NULL;
}

/* A second connection in one file is a reconnect: what the venue sent in between is missing. */
static void connect_file(struct replay *r, const struct capture_event *e)
{
    if (r->connected[e->file])
        r->ops->on_disconnect(r->adapter, e->ts_recv, 0, TB_GAP_RECONNECT);
    r->ops->on_connect(r->adapter, e->ts_recv);
    r->connected[e->file] = true;
    r->said_connected = true;
}

int replay_play(struct replay *r)
{
    const struct capture_event *e = replay_peek(r);
    if (e == NULL)
        return 0;
    r->has_event = false;
    r->last_recv = e->ts_recv > r->last_recv ? e->ts_recv : r->last_recv;
    r->events++;
    switch (e->kind) {
    case CAPTURE_CONNECT:
        connect_file(r, e);
        return 0;
    case CAPTURE_FRAME:
        if (!r->said_connected) { /* a recorder that does not write it down */
            r->ops->on_connect(r->adapter, e->ts_recv);
            r->said_connected = true;
        }
        return r->ops->on_frame(r->adapter, e->text, e->length, e->ts_recv);
    case CAPTURE_HTTP:
        return r->ops->on_rest(r->adapter, 0, e->url, 200, e->text, e->length, e->ts_recv);
    case CAPTURE_SENT:
        break;
    }
    return 0;
}
