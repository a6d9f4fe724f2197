/* See watch.h. */
#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/journal.h>

#define BATCH 256
#define TURN_MAX (1U << 20) /* records a turn: the picture is drawn in between */
#define SEGMENTS_BACK 64

static void become(struct watch *w, enum watch_state state, tb_ns since, const char *why)
{
    w->state = state;
    w->since = since;
    (void)snprintf(w->why, sizeof(w->why), "%s", why);
}

static void lose(struct watch *w, tb_ns since, const char *why)
{
    if (w->state == WATCH_VALID)
        become(w, WATCH_BAD, since, why);
    else if (w->state == WATCH_BAD && w->why[0] == '\0')
        (void)snprintf(w->why, sizeof(w->why), "%s", why);
}

/* ---- records ---- */

static void take_gap(struct watch *w, const struct tb_record *r)
{
    char why[sizeof(w->why)];

    w->gaps++;
    w->missing += r->gap.missing;
    if (r->gap.channel != TB_CHANNEL_BOOK)
        return;
    if (r->gap.missing > 0)
        (void)snprintf(why, sizeof(why), "gap (%s), %" PRIu64 " updates missing",
                       tb_gap_reason_name(r->gap.reason), r->gap.missing);
    else
        (void)snprintf(why, sizeof(why), "gap (%s)", tb_gap_reason_name(r->gap.reason));
    lose(w, r->ts_recv, why);
}

static void take_book(struct watch *w, const struct tb_record *r)
{
    w->has_book = true;
    w->seq = r->seq != 0 ? r->seq : w->seq; /* 0: the journal's state */
    w->published = r->ts_recv + r->publish_delta_ns;
    w->recorded = r->publish_delta_ns == UINT32_MAX;
    if (w->book.valid)
        become(w, WATCH_VALID, 0, "");
    else if (r->type == TB_CLEAR && !(r->flags & TB_F_SNAPSHOT))
        lose(w, r->ts_recv, "the venue took the book back");
}

static bool take(struct watch *w, const struct tb_record *r, const struct tb_instrument *entry)
{
    bool book = r->type == TB_LEVEL || r->type == TB_CLEAR;

    (void)tb_book_apply(&w->book, r, entry->price_exp, entry->size_exp);
    if (r->type == TB_GAP)
        take_gap(w, r);
    else if (book)
        take_book(w, r);
    else if (r->type == TB_STATUS && r->status.code == TB_STATUS_UNSYNCED)
        lose(w, r->ts_recv, "a snapshot is awaited");
    return book || r->type == TB_GAP || r->type == TB_STATUS;
}

/* By name: ids are another's in the next epoch, and entries of one market differ in their exponents. */
static bool is_ours(const struct watch *w, const struct tb_instrument *entry)
{
    return entry != NULL && entry->label[0] == '\0' &&
           strcmp(entry->symbol, w->market.symbol) == 0 &&
           strcmp(entry->venue, w->market.venue) == 0;
}

static bool mine(struct watch *w, uint16_t id)
{
    if (id > TB_INSTRUMENTS_MAX || id == 0)
        return false;
    if (w->mine[id] == 0) {
        const struct tb_instrument *entry = tb_reader_instrument(&w->reader, id);
        w->mine[id] = is_ours(w, entry) ? 1 : 2;
    }
    return w->mine[id] == 1;
}

/* ---- opening ---- */

static int open_reader(struct watch *w, const struct tb_reader_options *where, struct tb_error *err)
{
    struct tb_reader_options options = *where;

    options.wait = TB_WAIT_SPIN; /* it needs no wait file; nothing here waits */
    if (w->open)
        tb_reader_close(&w->reader, false);
    int rc = tb_reader_open(w->bus_dir, w->market.stream, &options, &w->reader, err);
    w->open = rc == 0;
    memset(w->mine, 0, sizeof(w->mine));
    tb_book_clear(&w->book);
    w->has_book = false;
    w->gaps = w->missing = 0;
    become(w, WATCH_NONE, 0, "no snapshot of it is on the stream");
    return rc;
}

struct from_state {
    struct watch *watch;
    struct tb_journal *journal;
};

static void take_state(void *context, const struct tb_record *record)
{
    struct from_state *s = context;
    const struct tb_instrument *entry = tb_journal_instrument(s->journal, record->instrument);

    if (is_ours(s->watch, entry))
        (void)take(s->watch, record, entry);
}

/* The book at the beginning of the newest segment that has one; from there the reader goes on. */
static int from_journal(struct watch *w, struct tb_error *err)
{
    char path[512];
    const char *slash = strrchr(w->bus_dir, '/');
    struct from_state s = {.watch = w};
    uint64_t epoch = w->reader.epoch;
    tb_seq seq = tb_reader_newest(&w->reader);
    int rc = tb_journal_directory(w->journal, slash != NULL ? slash + 1 : w->bus_dir,
                                  w->market.stream, path, sizeof(path), err);

    if (rc == 0)
        rc = tb_journal_open(path, &s.journal, err);
    if (rc != 0)
        return rc;
    const struct tb_reader_options oldest = {.from = TB_FROM_OLDEST, .journal = w->journal};
    rc = open_reader(w, &oldest, err);
    for (int i = 0; rc == 0 && i < SEGMENTS_BACK && !w->book.valid && seq > 0; i++) {
        (void)tb_journal_seek(s.journal, epoch, seq);
        if (tb_journal_state(s.journal, take_state, &s, &epoch, &seq) != 0)
            break;
        rc = tb_reader_go(&w->reader, epoch, seq);
        seq--;
    }
    tb_journal_close(s.journal);
    return rc;
}

int watch_open(struct watch *w, const char *bus_dir, const char *journal, uint32_t depth,
               const struct market *market, struct tb_error *err)
{
    const struct tb_reader_options oldest = {.from = TB_FROM_OLDEST};

    memset(w, 0, sizeof(*w));
    w->market = *market;
    w->bus_dir = bus_dir;
    w->journal = journal;
    if (tb_book_init(&w->book, depth) != 0)
        return tb_fail(err, -ENOMEM, "no memory for a book of %u levels", depth);
    int rc = open_reader(w, &oldest, err);
    if (rc != 0)
        return rc;
    (void)watch_turn(w);
    if (w->state == WATCH_NONE && journal != NULL) {
        rc = from_journal(w, err);
        if (rc == 0)
            (void)watch_turn(w);
    }
    return rc;
}

void watch_close(struct watch *w)
{
    if (w->open)
        tb_reader_close(&w->reader, false);
    w->open = false;
    tb_book_fini(&w->book);
}

/* ---- reading ---- */

static void overrun(struct watch *w)
{
    char why[sizeof(w->why)];
    uint64_t lost = tb_reader_resync(&w->reader);

    w->lost += lost;
    tb_book_clear(&w->book);
    if (w->state == WATCH_NONE) /* at the beginning: older than the ring, nobody counts on it */
        return;
    (void)snprintf(why, sizeof(why), "%" PRIu64 " records were overwritten before they were read",
                   lost);
    become(w, WATCH_BAD, 0, why);
}

/* The stream was made anew: its first record is the first of another book. */
static void reopen(struct watch *w)
{
    const struct tb_reader_options oldest = {.from = TB_FROM_OLDEST, .journal = w->journal};
    struct tb_error err;

    (void)open_reader(w, &oldest, &err); /* not there yet: tried again at the next turn */
}

static bool read_batch(struct watch *w, enum tb_read *end)
{
    struct tb_record batch[BATCH];
    size_t count = tb_reader_read(&w->reader, batch, BATCH, end);
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        if (!mine(w, batch[i].instrument))
            continue;
        any |= take(w, &batch[i], tb_reader_instrument(&w->reader, batch[i].instrument));
    }
    if (count == BATCH)
        *end = TB_READ_OK;
    return any;
}

bool watch_turn(struct watch *w)
{
    enum tb_read end = TB_READ_OK;
    bool any = false;

    if (!w->open && !w->damaged)
        reopen(w);
    for (size_t i = 0; w->open && i < TURN_MAX / BATCH && end != TB_READ_EMPTY; i++) {
        any |= read_batch(w, &end);
        if (end == TB_READ_OVERRUN) {
            overrun(w);
        } else if (end == TB_READ_EPOCH) {
            memset(w->mine, 0, sizeof(w->mine));
            tb_book_clear(&w->book);
            become(w, WATCH_NONE, 0, "the stream was made anew");
        } else if (end == TB_READ_BROKEN) {
            tb_reader_close(&w->reader, false);
            w->open = false;
            w->damaged = true;
            lose(w, 0, "the ring file is damaged");
        }
    }
    if (w->open)
        tb_reader_producer(&w->reader, &w->producer);
    if (w->open && tb_reader_retired(&w->reader) && end == TB_READ_EMPTY)
        reopen(w);
    return any;
}
