/*
 * The state as bytes: struct saved_head, then per input: struct saved_input, its markets, each followed
 * by its book's bytes if it has one. Native byte order: it never leaves the machine.
 */
#include "consumers/persist/persist_private.h"

#include <errno.h>
#include <string.h>

struct saved_head {
    uint64_t magic;
    uint32_t inputs;
    uint32_t market_bytes;
};
#define SAVED_MAGIC UINT64_C(0x3145544154535054)

struct saved_input {
    char stream[TB_STREAM_BYTES];
    uint64_t epoch;
    tb_seq state_seq;
    struct tb_record prices;
    uint64_t market_count;
    uint64_t bytes; /* of the markets and books that follow */
};

static size_t book_bytes(const struct tb_book *book)
{
    uint32_t bids = book->bid.count, asks = book->ask.count;
    return tb_book_save_max(bids > asks ? bids : asks);
}

size_t persist_save_size(const struct persist *p)
{
    size_t bytes = sizeof(struct saved_head) + p->input_count * sizeof(struct saved_input);
    for (unsigned i = 0; i < p->input_count; i++)
        for (uint32_t k = 0; k < p->input[i].market_count; k++) {
            const struct persist_market *m = &p->input[i].market[k];
            bytes += sizeof(*m) + (m->book >= 0 ? book_bytes(&p->book[m->book]) : 0);
        }
    return bytes;
}

/* The markets of one input, at most `capacity` bytes. Returns how many, SIZE_MAX if they do not fit. */
static size_t save_markets(const struct persist *p, const struct persist_input *in, char *bytes,
                           size_t capacity)
{
    size_t used = 0;
    for (uint32_t k = 0; k < in->market_count; k++) {
        const struct persist_market *m = &in->market[k];
        if (capacity - used < sizeof(*m))
            return SIZE_MAX;
        memcpy(bytes + used, m, sizeof(*m));
        used += sizeof(*m);
        if (m->book < 0)
            continue;
        size_t book = tb_book_save(&p->book[m->book], bytes + used, capacity - used);
        if (book == 0)
            return SIZE_MAX;
        used += book;
    }
    return used;
}

size_t persist_save(const struct persist *p, void *bytes, size_t capacity)
{
    struct saved_head head = {SAVED_MAGIC, p->input_count, (uint32_t)sizeof(struct persist_market)};
    size_t used = sizeof(head);
    if (capacity < used)
        return 0;
    memcpy(bytes, &head, sizeof(head));
    for (unsigned i = 0; i < p->input_count; i++) {
        const struct persist_input *in = &p->input[i];
        struct saved_input s = {
            .epoch = in->epoch,
            .state_seq = in->state_seq,
            .prices = in->prices,
            .market_count = in->market_count,
        };
        memcpy(s.stream, in->stream, sizeof(s.stream));
        if (capacity - used < sizeof(s))
            return 0;
        char *at = (char *)bytes + used;
        s.bytes = save_markets(p, in, at + sizeof(s), capacity - used - sizeof(s));
        if (s.bytes == SIZE_MAX)
            return 0;
        memcpy(at, &s, sizeof(s));
        used += sizeof(s) + s.bytes;
    }
    return used;
}

/* One market from bytes; returns how many it took, 0 if they are none. */
static size_t load_market(struct persist *p, struct persist_market *m, const char *bytes,
                          size_t count)
{
    if (count < sizeof(*m))
        return 0;
    memcpy(m, bytes, sizeof(*m));
    m->venue[sizeof(m->venue) - 1] = m->symbol[sizeof(m->symbol) - 1] = '\0';
    m->label[sizeof(m->label) - 1] = '\0';
    bool has_book = m->book >= 0;
    m->book = -1; /* the number it had in its former life */
    if (!has_book)
        return sizeof(*m);
    struct tb_book *book = persist_book_of(p, m);
    size_t used = book != NULL ? tb_book_load(book, bytes + sizeof(*m), count - sizeof(*m)) : 0;
    return used != 0 ? sizeof(*m) + used : 0;
}

static bool load_input(struct persist *p, const struct saved_input *s, const char *bytes)
{
    struct persist_input *in = NULL;
    for (unsigned i = 0; i < p->input_count; i++)
        if (strncmp(p->input[i].stream, s->stream, sizeof(s->stream)) == 0)
            in = &p->input[i];
    if (in == NULL)
        return true;
    persist_forget(p, in);
    if (s->market_count == 0)
        return true;
    if (s->market_count > PERSIST_IDS)
        return false;
    size_t used = 0;
    for (uint64_t k = 0; k < s->market_count; k++) {
        struct persist_market *m = k == 0 ? &in->market[0] : persist_add_market(in, NULL);
        size_t took = load_market(p, m, bytes + used, s->bytes - used);
        if (took == 0)
            return false;
        used += took;
    }
    in->epoch = s->epoch;
    in->state_seq = in->taken = s->state_seq;
    in->prices = s->prices;
    return used == s->bytes;
}

int persist_load(struct persist *p, const void *bytes, size_t count)
{
    struct saved_head head;
    struct saved_input s;
    size_t used = sizeof(head);
    bool good = count >= used;
    if (good) {
        memcpy(&head, bytes, sizeof(head));
        good = head.magic == SAVED_MAGIC && head.market_bytes == sizeof(struct persist_market);
    }
    for (uint32_t i = 0; good && i < head.inputs; i++) {
        good = count - used >= sizeof(s);
        if (!good)
            break;
        memcpy(&s, (const char *)bytes + used, sizeof(s));
        used += sizeof(s);
        good = s.bytes <= count - used && load_input(p, &s, (const char *)bytes + used);
        used += good ? s.bytes : 0;
    }
    if (good && used == count)
        return 0;
    for (unsigned i = 0; i < p->input_count; i++)
        persist_forget(p, &p->input[i]);
    return -EBADMSG;
}
