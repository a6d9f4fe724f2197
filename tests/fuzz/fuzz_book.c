#include "fuzz_book.h"

#include <string.h>

#include <tickbus/book.h>

#include "fuzz_keep.h"

#define HISTORY 64
#define OPS_MAX 60 /* fewer than HISTORY: no state is forgotten within a run */

static struct {
    const struct book_venue *venue;
    struct adapter *a;
    struct book_state history[HISTORY];
    size_t count; /* of states; the last is the present one */
    struct book_text last, held;
    bool torn; /* something was lost that this venue can not see */
    tb_ns now;
} run;

/* ---- writing ---- */

void put(struct book_text *t, const char *text)
{
    size_t length = strlen(text);
    TB_ASSERT(t->length + length < sizeof(t->bytes));
    memcpy(t->bytes + t->length, text, length);
    t->length += length;
}

void put_number(struct book_text *t, uint64_t number)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(t, digits + at);
}

int put_side(struct book_text *t, const struct book_change *c, int side,
             const struct book_words *words)
{
    int written = 0;
    for (int level = 0; level < BOOK_LEVELS; level++) {
        uint8_t size = c->state->size[side][level];
        if (c->side == -1 ? size == 0 : c->side != side || c->level != level)
            continue;
        if (written++ > 0)
            put(t, words->comma);
        put(t, words->before);
        put_number(t, (uint64_t)(side == BOOK_BIDS ? 99 - level : 101 + level));
        put(t, words->price_tail);
        put(t, words->between);
        put_number(t, size);
        put(t, words->size_tail);
        put(t, words->behind);
    }
    return written;
}

const struct book_words book_quoted = {"[\"", "\",\"", "\"]", ",", "", ""};

void put_sides(struct book_text *t, const struct book_change *c, const char *bids, const char *asks,
               const struct book_words *words)
{
    const char *const name[] = {bids, asks};
    for (int side = BOOK_BIDS; side <= BOOK_ASKS; side++) {
        put(t, side == BOOK_BIDS ? "\"" : ",\"");
        put(t, name[side]);
        put(t, "\":[");
        (void)put_side(t, c, side, words);
        put(t, "]");
    }
}

void put_rest_book(struct book_text *t, const struct book_change *c, const char *between)
{
    put(t, "{\"lastUpdateId\":");
    put_number(t, c->id);
    put(t, between);
    put(t, ",");
    put_sides(t, c, "bids", "asks", &book_quoted);
    put(t, "}");
}

/* ---- the venue ---- */

static const struct book_state *present(void)
{
    return &run.history[run.count - 1];
}

/* The next state, its id above the last one's; of a snapshot the same levels. */
static struct book_state *advance(uint64_t step)
{
    struct book_state *next = &run.history[run.count];
    *next = *present();
    next->id += step;
    run.count++;
    return next;
}

/* A change of one level, as the venue's frame of it. */
static void change(uint8_t argument, struct book_text *out)
{
    struct book_change c = {
        .before = present()->id, .side = argument & 1, .level = (argument >> 1) % BOOK_LEVELS};
    struct book_state *next = advance(1 + (argument >> 6) % run.venue->step_max);
    next->size[c.side][c.level] = (argument >> 4) % 4;
    c.state = next;
    c.id = next->id;
    out->length = 0;
    run.venue->frame(out, &c);
}

/* The whole book, now or `ago` changes ago. */
static void snapshot(size_t ago, void (*write)(struct book_text *, const struct book_change *),
                     struct book_text *out)
{
    size_t back = ago < run.count ? ago : run.count - 1;
    const struct book_state *state =
        run.venue->counts_frames ? advance(1) : &run.history[run.count - 1 - back];
    const struct book_change c = {.id = state->id, .before = state->id, .side = -1, .state = state};
    out->length = 0;
    write(out, &c);
}

/* ---- the way to us ---- */

static void give(const struct adapter_ops *ops, const char *bytes, size_t length)
{
    char *copy = fuzz_padded(bytes, length, ADAPTER_PADDING);
    (void)ops->on_frame(run.a, copy, length, run.now);
}

static void lose(void)
{
    run.torn = run.torn || run.venue->is_blind;
}

static void give_snapshot(const struct adapter_ops *ops, uint8_t argument)
{
    struct book_text text;
    if (run.venue->answer != NULL && (argument & 1 || !run.venue->has_snapshots)) {
        snapshot(argument >> 4, run.venue->answer, &text);
        char *copy = fuzz_padded(text.bytes, text.length, ADAPTER_PADDING);
        (void)ops->on_rest(run.a, 1, NULL, 200, copy, text.length, run.now);
        return;
    }
    snapshot(0, run.venue->frame, &text);
    run.torn = false;
    run.last = text;
    give(ops, text.bytes, text.length);
}

static void reconnect(const struct adapter_ops *ops)
{
    ops->on_disconnect(run.a, run.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(run.a, run.now);
    run.last.length = run.held.length = 0;
    if (run.venue->counts_frames) { /* those of the last connection have other numbers */
        struct book_state state = *present();
        state.id = 0;
        run.history[0] = state;
        run.count = 1;
    }
}

static void one(const struct adapter_ops *ops, uint8_t op, uint8_t argument)
{
    struct book_text text;
    switch (op % 10) {
    case 0:
        lose();
        change(argument, &text);
        return;
    case 1:
        if (run.last.length > 0)
            give(ops, run.last.bytes, run.last.length);
        lose(); /* an old value once more */
        return;
    case 2:
        lose();
        change(argument, &run.held);
        return;
    case 3:
        lose();
        if (run.held.length > 0)
            give(ops, run.held.bytes, run.held.length);
        return;
    case 4:
        give_snapshot(ops, argument);
        return;
    case 5:
        reconnect(ops);
        return;
    case 6:
        if (ops->on_time != NULL)
            ops->on_time(run.a, run.now);
        run.now += 11 * TB_NS_PER_S;
        return;
    case 7:
        change(argument, &text);
        give(ops, text.bytes, text.length * (argument % 16) / 16);
        lose();
        return;
    default:
        change(argument, &run.last);
        give(ops, run.last.bytes, run.last.length);
    }
}

/* ---- what must hold ---- */

static int64_t power(int exp)
{
    int64_t value = 1;
    for (; exp < 0; exp++)
        value *= 10;
    return value;
}

static bool same_side(const struct tb_book *book, const struct tb_book_side *ours,
                      const struct book_state *state, int side)
{
    uint32_t at = ours->count; /* the best is the last */
    for (int level = 0; level < BOOK_LEVELS; level++) {
        if (state->size[side][level] == 0)
            continue;
        if (at-- == 0 ||
            ours->level[at].price !=
                (side == BOOK_BIDS ? 99 - level : 101 + level) * power(book->price_exp) ||
            ours->level[at].size != state->size[side][level] * power(book->size_exp))
            return false;
    }
    return at == 0;
}

static bool same(const struct tb_book *ours, const struct book_state *state)
{
    return same_side(ours, &ours->bid, state, BOOK_BIDS) &&
           same_side(ours, &ours->ask, state, BOOK_ASKS);
}

static void check(const struct adapter_ops *ops)
{
    const struct tb_book *ours = ops->book(run.a, run.venue->of.market[0].symbol);
    bool found = false;
    fuzz_check_books(ops, run.a);
    if (!ours->valid || run.torn)
        return;
    for (size_t i = run.count; i > 0 && !found; i--)
        found = (!run.venue->has_ids || run.history[i - 1].id == ours->update_id) &&
                same(ours, &run.history[i - 1]);
    TB_ASSERT(found);
}

int fuzz_book(const struct book_venue *v, const uint8_t *bytes, size_t count)
{
    const struct adapter_ops *ops = adapter_find(v->of.id);
    size_t pairs = count / 2 < OPS_MAX ? count / 2 : OPS_MAX;
    run.venue = v;
    run.torn = false;
    run.last.length = run.held.length = 0;
    run.count = 1;
    run.history[0] = (struct book_state){.id = v->counts_frames ? 0 : 1000};
    run.now = TB_NS_PER_S;
    run.a = fuzz_begin(&v->of, 0);
    ops->on_connect(run.a, run.now);
    for (size_t i = 0; i < pairs; i++, run.now += 7 * TB_NS_PER_MS) {
        one(ops, bytes[2 * i], bytes[2 * i + 1]);
        check(ops);
    }
    fuzz_end(run.a);
    return 0;
}
