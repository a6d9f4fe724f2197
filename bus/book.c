/*
 * Order book of price levels. Each side is one sorted array: a book of 1000 levels is 16 KB a side,
 * a change finds its place in ten steps, and an insertion near the top moves a few levels. Trees and
 * hashes lose to this at the depths that venues send.
 */
#include <tickbus/book.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tickbus/decimal.h>
#include <tickbus/instrument.h>

int tb_book_init(struct tb_book *book, uint32_t depth)
{
    memset(book, 0, sizeof(*book));
    if (depth == 0)
        return -EINVAL;
    book->bid.level = calloc(depth, sizeof(struct tb_book_level));
    book->ask.level = calloc(depth, sizeof(struct tb_book_level));
    if (book->bid.level == NULL || book->ask.level == NULL) {
        tb_book_fini(book);
        return -ENOMEM;
    }
    book->bid.capacity = depth;
    book->ask.capacity = depth;
    return 0;
}

void tb_book_fini(struct tb_book *book)
{
    if (book == NULL)
        return;
    free(book->bid.level);
    free(book->ask.level);
    memset(book, 0, sizeof(*book));
}

void tb_book_clear(struct tb_book *book)
{
    book->bid.count = 0;
    book->ask.count = 0;
    book->valid = false;
    book->in_event = false;
    book->in_snapshot = false;
    book->update_id = 0;
}

/*
 * Levels stand in rising order of rank(): the best is last on both sides. All bits of an ask's price
 * are inverted, which turns the order around and, unlike a minus sign, can not overflow.
 */
static inline int64_t rank(int64_t price, int64_t flip)
{
    return price ^ flip;
}

/* The first level whose rank is not below that of price: its own place, or where it would go. */
static uint32_t find_level(const struct tb_book_side *s, int64_t price, int64_t flip)
{
    int64_t wanted = rank(price, flip);
    const struct tb_book_level *base = s->level;
    uint32_t count = s->count;
    while (count > 0) { /* without a branch on the comparison: prices are not predictable */
        uint32_t half = count / 2;
        bool below = rank(base[half].price, flip) < wanted;
        base = below ? base + half + 1 : base;
        count = below ? count - half - 1 : half;
    }
    return (uint32_t)(base - s->level);
}

static uint8_t insert_level(struct tb_book *book, struct tb_book_side *s, uint32_t at,
                            struct tb_book_level level)
{
    struct tb_book_level *place = s->level + at;
    if (s->count < s->capacity) {
        memmove(place + 1, place, (s->count - at) * sizeof(level));
        *place = level;
        s->count++;
        return TB_ADD;
    }
    book->dropped++;
    if (at == 0)
        return TB_NO_ACTION; /* itself the worst */
    memmove(s->level, s->level + 1, (at - 1) * sizeof(level));
    place[-1] = level;
    return TB_ADD;
}

uint8_t tb_book_set(struct tb_book *book, uint8_t side, int64_t price, int64_t size)
{
    bool is_ask = side == TB_SELL;
    struct tb_book_side *s = is_ask ? &book->ask : &book->bid;
    uint32_t at = find_level(s, price, is_ask ? -1 : 0);
    bool found = at < s->count && s->level[at].price == price;
    if (size > 0) {
        if (!found)
            return insert_level(book, s, at, (struct tb_book_level){price, size});
        s->level[at].size = size;
        return TB_MODIFY;
    }
    if (!found)
        return TB_NO_ACTION;
    s->count--;
    memmove(s->level + at, s->level + at + 1, (s->count - at) * sizeof(s->level[0]));
    return TB_REMOVE;
}

static void cut_side(struct tb_book_side *s, uint32_t depth)
{
    if (s->count <= depth)
        return;
    memmove(s->level, s->level + (s->count - depth), depth * sizeof(s->level[0]));
    s->count = depth;
}

void tb_book_cut(struct tb_book *book, uint32_t depth)
{
    cut_side(&book->bid, depth);
    cut_side(&book->ask, depth);
}

/* ---- records ---- */

static bool rescale_side(struct tb_book_side *s, int price_from, int price_to, int size_from,
                         int size_to)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct tb_book_level *level = &s->level[i];
        if (tb_decimal_rescale(level->price, price_from, price_to, &level->price) != 0 ||
            tb_decimal_rescale(level->size, size_from, size_to, &level->size) != 0)
            return false;
    }
    return true;
}

/*
 * Bring the book to these exponents where they are finer than its own. What does not fit in 64 bits
 * any more can not be kept: then the book is empty and invalid until the next snapshot.
 */
static void refine(struct tb_book *book, int8_t price_exp, int8_t size_exp)
{
    bool empty = book->bid.count == 0 && book->ask.count == 0;
    int8_t price_to = empty || price_exp < book->price_exp ? price_exp : book->price_exp;
    int8_t size_to = empty || size_exp < book->size_exp ? size_exp : book->size_exp;
    if (!rescale_side(&book->bid, book->price_exp, price_to, book->size_exp, size_to) ||
        !rescale_side(&book->ask, book->price_exp, price_to, book->size_exp, size_to))
        tb_book_clear(book);
    book->price_exp = price_to;
    book->size_exp = size_to;
}

static void miss(struct tb_book *book)
{
    book->valid = false;
    book->in_snapshot = false;
}

/* A level or a clear was applied: is its event complete, and the book to be believed? */
static bool end_record(struct tb_book *book, const struct tb_record *record)
{
    bool bad = (record->flags & TB_F_MAYBE_BAD_BOOK) != 0;
    if (bad)
        book->valid = false;
    book->update_id = record->level.update_id;
    book->in_event = (record->flags & TB_F_LAST) == 0;
    if (book->in_event)
        return false;
    book->ts_event = record->ts_event;
    book->ts_recv = record->ts_recv;
    if (book->in_snapshot) {
        book->in_snapshot = false;
        book->valid = !bad;
    }
    return book->valid;
}

static bool apply_level(struct tb_book *book, const struct tb_record *record, int8_t price_exp,
                        int8_t size_exp)
{
    int64_t price = record->level.price;
    int64_t size = record->level.size;
    if (TB_UNLIKELY(price_exp != book->price_exp || size_exp != book->size_exp)) {
        refine(book, price_exp, size_exp);
        /* The record may also be the coarser one: an older entry of the same market. */
        if (tb_decimal_rescale(price, price_exp, book->price_exp, &price) != 0 ||
            tb_decimal_rescale(size, size_exp, book->size_exp, &size) != 0) {
            miss(book);
            return false;
        }
    }
    (void)tb_book_set(book, record->level.side, price, size);
    return end_record(book, record);
}

bool tb_book_apply(struct tb_book *book, const struct tb_record *record, int8_t price_exp,
                   int8_t size_exp)
{
    switch (record->type) {
    case TB_LEVEL:
        return apply_level(book, record, price_exp, size_exp);
    case TB_CLEAR:
        tb_book_clear(book);
        refine(book, price_exp, size_exp);
        book->in_snapshot = (record->flags & TB_F_SNAPSHOT) != 0;
        return end_record(book, record);
    case TB_GAP:
        if (record->gap.channel == TB_CHANNEL_BOOK)
            miss(book);
        return false;
    case TB_STATUS:
        if (record->status.code == TB_STATUS_UNSYNCED)
            miss(book);
        return false;
    default:
        return false;
    }
}

const struct tb_book_level *tb_book_best(const struct tb_book *book, uint8_t side, uint32_t rank_)
{
    const struct tb_book_side *s = side == TB_SELL ? &book->ask : &book->bid;
    return rank_ < s->count ? &s->level[s->count - 1 - rank_] : NULL;
}

bool tb_book_crossed(const struct tb_book *book)
{
    const struct tb_book_level *bid = tb_book_best(book, TB_BUY, 0);
    const struct tb_book_level *ask = tb_book_best(book, TB_SELL, 0);
    return bid != NULL && ask != NULL && bid->price >= ask->price;
}

/* ---- checkpoints ---- */

#define SAVED_MAGIC 0x314B4254U /* "TBK1" */

/* Followed by the levels in use, bids then asks. Same machine, same build: native byte order. */
struct saved {
    uint32_t magic;
    uint32_t bids;
    uint32_t asks;
    int8_t price_exp;
    int8_t size_exp;
    uint8_t state; /* bit 0 valid, 1 in_event, 2 in_snapshot */
    uint8_t reserved;
    uint64_t update_id;
    tb_ns ts_event;
    tb_ns ts_recv;
    uint64_t dropped;
};

size_t tb_book_save_max(uint32_t depth)
{
    return sizeof(struct saved) + 2 * (size_t)depth * sizeof(struct tb_book_level);
}

static size_t saved_bytes(const struct saved *s)
{
    return sizeof(*s) + ((size_t)s->bids + s->asks) * sizeof(struct tb_book_level);
}

size_t tb_book_save(const struct tb_book *book, void *bytes, size_t capacity)
{
    struct saved s = {
        .magic = SAVED_MAGIC,
        .bids = book->bid.count,
        .asks = book->ask.count,
        .price_exp = book->price_exp,
        .size_exp = book->size_exp,
        .state = (uint8_t)(book->valid | book->in_event << 1 | book->in_snapshot << 2),
        .update_id = book->update_id,
        .ts_event = book->ts_event,
        .ts_recv = book->ts_recv,
        .dropped = book->dropped,
    };
    size_t bid_bytes = s.bids * sizeof(struct tb_book_level);
    if (saved_bytes(&s) > capacity)
        return 0;
    char *at = bytes;
    memcpy(at, &s, sizeof(s));
    memcpy(at + sizeof(s), book->bid.level, bid_bytes);
    memcpy(at + sizeof(s) + bid_bytes, book->ask.level, s.asks * sizeof(struct tb_book_level));
    return saved_bytes(&s);
}

static bool is_sorted(const struct tb_book_side *s, int64_t flip)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->level[i].size <= 0)
            return false;
        if (i > 0 && rank(s->level[i - 1].price, flip) >= rank(s->level[i].price, flip))
            return false;
    }
    return true;
}

size_t tb_book_load(struct tb_book *book, const void *bytes, size_t count)
{
    struct saved s;
    if (count < sizeof(s))
        return 0;
    memcpy(&s, bytes, sizeof(s));
    if (s.magic != SAVED_MAGIC || s.bids > book->bid.capacity || s.asks > book->ask.capacity ||
        saved_bytes(&s) > count || s.state > 7 || s.price_exp > 0 || s.price_exp < TB_EXP_MIN ||
        s.size_exp > 0 || s.size_exp < TB_EXP_MIN)
        return 0;
    const char *levels = (const char *)bytes + sizeof(s);
    size_t bid_bytes = s.bids * sizeof(struct tb_book_level);
    memcpy(book->bid.level, levels, bid_bytes);
    memcpy(book->ask.level, levels + bid_bytes, s.asks * sizeof(struct tb_book_level));
    book->bid.count = s.bids;
    book->ask.count = s.asks;
    if (!is_sorted(&book->bid, 0) || !is_sorted(&book->ask, -1)) {
        tb_book_clear(book);
        return 0;
    }
    book->price_exp = s.price_exp;
    book->size_exp = s.size_exp;
    book->valid = (s.state & 1) != 0;
    book->in_event = (s.state & 2) != 0;
    book->in_snapshot = (s.state & 4) != 0;
    book->update_id = s.update_id;
    book->ts_event = s.ts_event;
    book->ts_recv = s.ts_recv;
    book->dropped = s.dropped;
    return saved_bytes(&s);
}
