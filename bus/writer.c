/*
 * The producer's side of a stream: becoming its only producer, making or continuing its ring, the
 * instrument table, gates. The publish itself is inline in ring.h.
 *
 * Everything that makes or replaces a file happens under the lock <stream>.lock, which the kernel
 * releases however the process ends. A ring that is there is believed only after every slot was
 * looked at; what a producer can leave when it dies at any instant is exactly one slot marked BUSY,
 * and anything else means that somebody else wrote there: a new epoch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "mapping_guard.h"
#include "publish.h"
#include "segment.h"
#include "wait.h"

/*
 * How a gated producer waits: a few looks, then sleeps that grow by an eighth. A reader that is busy
 * is noticed within a fraction of the time it took; one that is away for hours costs 1000 looks a second.
 */
#define GATE_LOOKS 200
#define GATE_PAUSE_MIN_NS (50 * TB_NS_PER_US)
#define GATE_PAUSE_MAX_NS TB_NS_PER_MS

/* A reader that is waited for. Its page is mapped when it appears. */
struct gate {
    char reader[TB_STREAM_BYTES];
    char path[TB_PATH_BYTES];
    struct tb_segment segment;
};

struct tb_writer_private {
    char stream[TB_STREAM_BYTES];
    char ring_path[TB_PATH_BYTES];
    int lock_fd;
    struct tb_segment ring;
    struct tb_segment wait;
    struct gate gates[TB_GATES_MAX];
    size_t gate_count;
    uint64_t epoch, capacity; /* not of the mapped header: others could write there */
    int (*on_wait)(void *context);
    void *context;
};

/* ---- the lock ---- */

/* The pid stands in the lock file, for people: that the lock is held is what counts. */
static int take_lock(const char *path, const char *stream, int *out_fd, struct tb_error *err)
{
    int rc = tb_lock_open(path, true, 0640, out_fd);
    if (rc == -EBUSY) {
        char text[16] = "?";
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
        if (fd >= 0)
            (void)close(fd);
        long pid = n > 0 ? strtol(text, NULL, 10) : 0;
        return tb_fail(err, -EBUSY, "stream %s is produced by pid %ld already; stop it first",
                       stream, pid);
    }
    if (rc != 0)
        return tb_fail(err, rc, "cannot lock %s: %s", path, strerror(-rc));
    /* Always as long, over the old one: that needs no memory, and so a full bus is no reason to stop. */
    char text[16];
    int n = snprintf(text, sizeof(text), "%-10d\n", (int)getpid());
    ssize_t written = pwrite(*out_fd, text, (size_t)n, 0);
    (void)written;
    return 0;
}

/* ---- the ring that is there ---- */

static struct tb_ring_live *live_of(const struct tb_segment *s)
{
    return tb_segment_at(s, TB_RING_LIVE_OFFSET);
}

/* I4: entries that a reader would refuse would stay refused for ever. */
static bool table_sound(const struct tb_segment *s, const struct tb_ring_fixed *fixed)
{
    const struct tb_instrument *table = tb_segment_at(s, fixed->instruments_offset);
    uint32_t count = atomic_load_explicit(&live_of(s)->instrument_count, memory_order_relaxed);
    if (count > fixed->instruments_max)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!tb_instrument_check(&table[i], (uint16_t)(i + 1)))
            return false;
    return true;
}

/*
 * Is every slot what a producer that published 1 .. last, and perhaps died in last + 1, leaves?
 * *out_last is that last sequence.
 */
static bool slots_sound(const struct tb_segment *s, const struct tb_ring_fixed *fixed,
                        tb_seq *out_last)
{
    const struct tb_slot *slots = tb_segment_at(s, fixed->slots_offset);
    uint64_t mask = fixed->capacity - 1;
    tb_seq last = 0;

    for (uint64_t i = 0; i <= mask; i++) {
        uint64_t seen = atomic_load_explicit(&slots[i].seq, memory_order_relaxed);
        if ((seen & TB_SEQ_BUSY) == 0 && seen > last)
            last = seen;
    }
    if (last >= INT64_MAX - fixed->capacity)
        return false;
    for (uint64_t i = 0; i <= mask; i++) {
        uint64_t seen = atomic_load_explicit(&slots[i].seq, memory_order_relaxed);
        /* The newest sequence not above last that belongs in slot i; it wraps below 0 if none does. */
        tb_seq expected = last - ((last - i) & mask);
        if (expected > last)
            expected = 0;
        bool in_the_making = seen == ((last + 1) | TB_SEQ_BUSY) && ((last + 1) & mask) == i;
        if (seen != expected && !in_the_making)
            return false;
    }
    *out_last = last;
    return atomic_load_explicit(&live_of(s)->last_seq, memory_order_relaxed) <= last;
}

enum found { FOUND_NOTHING, FOUND_OTHER, FOUND_GOOD };

/*
 * Look at the ring file that has the name. -errno: this process is out of means to look.
 * GOOD: *out_segment is mapped and may be continued.
 * OTHER: it has to be replaced; *out_segment is mapped if its header is sound, so that its readers
 * can be told. *out_epoch is that of a sound header, else 0.
 */
static int find_ring(const char *path, const char *stream, const struct tb_writer_options *options,
                     struct tb_segment *out_segment, struct tb_ring_fixed *out_fixed,
                     tb_seq *out_last, struct tb_error *err)
{
    struct tb_error why;
    int rc = tb_segment_attach(path, true, TB_RING_SLOTS_OFFSET, out_segment, &why);
    if (rc == -ENOENT)
        return FOUND_NOTHING;
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
        return tb_fail(err, rc, "%s", why.text);
    if (rc != 0)
        return FOUND_OTHER;
    if (tb_ring_header_check(out_segment, stream, out_fixed, NULL) != 0) {
        tb_segment_detach(out_segment);
        out_fixed->epoch = 0;
        return FOUND_OTHER;
    }
    const struct tb_ring_live *live = live_of(out_segment);
    bool wanted = !options->new_epoch &&
                  (options->capacity == 0 || options->capacity == out_fixed->capacity) &&
                  (options->tag == 0 ||
                   options->tag == atomic_load_explicit(&live->tag, memory_order_relaxed)) &&
                  atomic_load_explicit(&live->state, memory_order_relaxed) != TB_STREAM_RETIRED &&
                  out_fixed->slots_offset == TB_RING_SLOTS_OFFSET &&
                  out_fixed->instruments_offset == TB_RING_INSTRUMENTS_OFFSET &&
                  out_fixed->instruments_max == TB_INSTRUMENTS_MAX;
    return wanted && table_sound(out_segment, out_fixed) &&
                   slots_sound(out_segment, out_fixed, out_last) &&
                   !*tb_guard_broken(out_segment->guard)
               ? FOUND_GOOD
               : FOUND_OTHER;
}

static void retire(struct tb_segment *s)
{
    if (s->base != NULL)
        atomic_store_explicit(&live_of(s)->state, TB_STREAM_RETIRED, memory_order_release);
}

/* ---- a new ring ---- */

static int make_ring(const char *path, const char *stream, const struct tb_writer_options *options,
                     uint64_t old_epoch, struct tb_segment *old, struct tb_segment *out_segment,
                     struct tb_error *err)
{
    uint64_t capacity = options->capacity != 0 ? options->capacity : TB_CAPACITY_DEFAULT;
    struct tb_segment_options how = {.lock_pages = options->lock_pages,
                                     .huge_pages = options->huge_pages};
    struct tb_segment s;
    int rc = tb_segment_create(path, TB_RING_SLOTS_OFFSET + capacity * sizeof(struct tb_slot), &how,
                               &s, err);
    if (rc != 0)
        return rc;
    TB_POINT("ring:after_create");

    tb_ns now = tb_clock_wall();
    struct tb_ring_fixed *f = s.base;
    *f = (struct tb_ring_fixed){
        .magic = TB_RING_MAGIC,
        .layout = TB_RING_LAYOUT,
        .record_bytes = TB_RECORD_BYTES,
        /* Rising even if the clock was set back since the old ring was made. */
        .epoch = now > 0 && (uint64_t)now > old_epoch ? (uint64_t)now : old_epoch + 1,
        .capacity = capacity,
        .slots_offset = TB_RING_SLOTS_OFFSET,
        .instruments_offset = TB_RING_INSTRUMENTS_OFFSET,
        .instruments_max = TB_INSTRUMENTS_MAX,
        .pace = options->pace,
    };
    (void)snprintf(f->stream, sizeof(f->stream), "%s", stream);
    atomic_store_explicit(&live_of(&s)->tag, options->tag, memory_order_relaxed);
    atomic_store_explicit(&live_of(&s)->state, TB_STREAM_STARTING, memory_order_relaxed);

    /* Told first, replaced second: dying in between leaves a retired ring, which nobody continues. */
    TB_POINT("ring:before_retire");
    retire(old);
    TB_POINT("ring:before_rename");
    rc = tb_segment_publish(&s, path, err);
    TB_POINT("ring:after_rename");
    if (rc == 0)
        *out_segment = s;
    return rc;
}

static int open_ring(struct tb_writer_private *p, const struct tb_writer_options *options,
                     tb_seq *out_last, struct tb_error *err)
{
    struct tb_segment old = TB_SEGMENT_NONE;
    struct tb_ring_fixed fixed = {0};
    int found = find_ring(p->ring_path, p->stream, options, &old, &fixed, out_last, err);
    if (found < 0)
        return found;
    if (found == FOUND_GOOD) {
        /* Our own stores go to the file or kill us: a producer on private zero pages would be silent. */
        tb_guard_remove(old.guard);
        old.guard = -1;
        p->ring = old;
        struct tb_segment_options how = {.lock_pages = options->lock_pages,
                                         .huge_pages = options->huge_pages};
        return tb_segment_settle(&p->ring, &how, p->ring_path, err);
    }
    *out_last = 0;
    struct tb_writer_options wanted = *options;
    if (wanted.capacity == 0 && fixed.epoch != 0)
        wanted.capacity = fixed.capacity;
    uint64_t after = fixed.epoch > options->after_epoch ? fixed.epoch : options->after_epoch;
    int rc = make_ring(p->ring_path, p->stream, &wanted, after, &old, &p->ring, err);
    tb_segment_detach(&old);
    return rc;
}

/* ---- opening ---- */

static int check_options(const char *stream, const struct tb_writer_options *o,
                         struct tb_error *err)
{
    if (!tb_name_check(stream))
        return tb_fail(err, -EINVAL,
                       "stream name \"%.40s\" is not fit: use a-z 0-9 _ -, at most 31 characters",
                       stream);
    if (o->capacity != 0 && (o->capacity < TB_CAPACITY_MIN || o->capacity > TB_CAPACITY_MAX ||
                             (o->capacity & (o->capacity - 1)) != 0))
        return tb_fail(
            err, -EINVAL, "stream %s: capacity %llu must be a power of two from %d to %llu", stream,
            (unsigned long long)o->capacity, TB_CAPACITY_MIN, (unsigned long long)TB_CAPACITY_MAX);
    if (o->pace != TB_PACE_FREE && o->pace != TB_PACE_GATED)
        return tb_fail(err, -EINVAL, "stream %s: pace %d", stream, (int)o->pace);
    if (o->gate_count > TB_GATES_MAX)
        return tb_fail(err, -EINVAL, "stream %s: %zu gates, at most %d", stream, o->gate_count,
                       TB_GATES_MAX);
    for (size_t i = 0; i < o->gate_count; i++)
        if (o->gates[i] == NULL || !tb_name_check(o->gates[i]))
            return tb_fail(err, -EINVAL, "stream %s: gate %zu is no reader's name", stream, i);
    return 0;
}

static void begin_life(struct tb_writer *w, enum tb_pace pace)
{
    tb_ns now = tb_clock_wall();
    struct tb_ring_live *live = w->live;
    __atomic_store_n(&w->fixed->pace, (uint32_t)pace, __ATOMIC_RELAXED);
    uint64_t lives = atomic_load_explicit(&live->lives, memory_order_relaxed);
    atomic_store_explicit(&live->last_seq, w->next_seq - 1, memory_order_relaxed);
    atomic_store_explicit(&live->heartbeat, now, memory_order_relaxed);
    atomic_store_explicit(&live->started, now, memory_order_relaxed);
    atomic_store_explicit(&live->lives, lives + 1, memory_order_relaxed);
    atomic_store_explicit(&live->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&live->state, TB_STREAM_STARTING, memory_order_release);
}

static int open_gates(struct tb_writer_private *p, const char *dir,
                      const struct tb_writer_options *options, struct tb_error *err)
{
    if (options->pace != TB_PACE_GATED)
        return 0;
    for (size_t i = 0; i < options->gate_count; i++) {
        struct gate *g = &p->gates[i];
        char name[2 * TB_STREAM_BYTES + 2];
        (void)snprintf(g->reader, sizeof(g->reader), "%s", options->gates[i]);
        (void)snprintf(name, sizeof(name), "%s.%s", p->stream, g->reader);
        g->segment = TB_SEGMENT_NONE;
        int rc = tb_path(g->path, dir, name, ".cursor", err);
        if (rc != 0)
            return rc;
    }
    p->gate_count = options->gate_count;
    return 0;
}

static void free_private(struct tb_writer_private *p)
{
    for (size_t i = 0; i < p->gate_count; i++)
        tb_segment_detach(&p->gates[i].segment);
    tb_segment_detach(&p->wait);
    tb_segment_detach(&p->ring);
    if (p->lock_fd >= 0)
        (void)close(p->lock_fd); /* releases the lock */
    free(p);
}

int tb_writer_open(const char *bus_dir, const char *stream, const struct tb_writer_options *options,
                   struct tb_writer *out_writer, struct tb_error *err)
{
    static const struct tb_writer_options defaults;
    if (options == NULL)
        options = &defaults;
    int rc = check_options(stream, options, err);
    if (rc != 0)
        return rc;
    struct tb_writer_private *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return tb_fail(err, -ENOMEM, "no memory to open stream %s", stream);
    p->lock_fd = -1;
    p->ring = p->wait = TB_SEGMENT_NONE;
    p->on_wait = options->on_wait;
    p->context = options->context;
    (void)snprintf(p->stream, sizeof(p->stream), "%s", stream);

    char lock_path[TB_PATH_BYTES], wait_path[TB_PATH_BYTES];
    tb_seq last = 0;
    if ((rc = tb_directory_make(bus_dir, err)) != 0 ||
        (rc = tb_path(p->ring_path, bus_dir, stream, ".ring", err)) != 0 ||
        (rc = tb_path(lock_path, bus_dir, stream, ".lock", err)) != 0 ||
        (rc = tb_path(wait_path, bus_dir, stream, ".wait", err)) != 0 ||
        (rc = open_gates(p, bus_dir, options, err)) != 0 ||
        (rc = take_lock(lock_path, stream, &p->lock_fd, err)) != 0 ||
        (rc = tb_wait_create(wait_path, &p->wait, err)) != 0 ||
        (rc = open_ring(p, options, &last, err)) != 0) {
        free_private(p);
        return rc;
    }

    struct tb_ring_fixed *fixed = p->ring.base;
    p->epoch = fixed->epoch;
    p->capacity = fixed->capacity;
    struct tb_publish_way ways[TB_PUBLISH_WAYS_MAX];
    size_t way_count = tb_publish_ways(ways);
    *out_writer = (struct tb_writer){
        .slots = tb_segment_at(&p->ring, TB_RING_SLOTS_OFFSET),
        .mask = p->capacity - 1,
        .next_seq = last + 1,
        .limit = p->gate_count == 0 ? UINT64_MAX : 0,
        .live = live_of(&p->ring),
        .fixed = fixed,
        .instruments = tb_segment_at(&p->ring, TB_RING_INSTRUMENTS_OFFSET),
        .epoch = p->epoch,
        .first_seq = last + 1,
        .write_many = ways[way_count - 1].write,
        .private_ = p,
    };
    begin_life(out_writer, options->pace);
    /* Those who slept on the ring that was replaced find out now. */
    tb_writer_wake(out_writer);
    return 0;
}

void tb_writer_close(struct tb_writer *w, enum tb_stream_state state)
{
    if (w == NULL || w->private_ == NULL)
        return;
    atomic_store_explicit(&w->live->last_seq, w->next_seq - 1, memory_order_relaxed);
    atomic_store_explicit(&w->live->heartbeat, tb_clock_wall(), memory_order_relaxed);
    /* Release: whoever sees DONE sees every record before it (tb_reader_done). */
    atomic_store_explicit(&w->live->state, state, memory_order_release);
    tb_writer_wake(w);
    free_private(w->private_);
    memset(w, 0, sizeof(*w));
}

int tb_writer_unlink(const char *bus_dir, const char *stream, struct tb_error *err)
{
    static const char *const suffixes[] = {".ring", ".ring.new", ".wait", ".control",
                                           ".lock"}; /* it last */
    char path[TB_PATH_BYTES];
    if (!tb_name_check(stream))
        return tb_fail(err, -EINVAL, "\"%.40s\" is no stream name", stream);
    int rc = tb_path(path, bus_dir, stream, ".lock", err);
    int lock_fd;
    if (rc != 0 || (rc = take_lock(path, stream, &lock_fd, err)) != 0)
        return rc;

    struct tb_segment ring = TB_SEGMENT_NONE;
    struct tb_ring_fixed fixed;
    (void)tb_path(path, bus_dir, stream, ".ring", NULL);
    if (tb_segment_attach(path, true, TB_RING_SLOTS_OFFSET, &ring, NULL) == 0 &&
        tb_ring_header_check(&ring, stream, &fixed, NULL) == 0)
        retire(&ring);
    tb_segment_detach(&ring);
    for (size_t i = 0; i < TB_COUNT(suffixes); i++) {
        (void)tb_path(path, bus_dir, stream, suffixes[i], NULL);
        if (unlink(path) != 0 && errno != ENOENT && rc == 0)
            rc = tb_fail(err, -errno, "cannot remove %s: %s", path, strerror(errno));
    }
    (void)close(lock_fd);
    return rc;
}

/* ---- instruments ---- */

static bool same_text(const char *a, const char *b, size_t bytes)
{
    return strncmp(a, b, bytes) == 0;
}

static bool same_market(const struct tb_instrument *a, const struct tb_instrument *b)
{
    return same_text(a->venue, b->venue, sizeof(a->venue)) &&
           same_text(a->symbol, b->symbol, sizeof(a->symbol)) &&
           same_text(a->label, b->label, sizeof(a->label));
}

/* Strings padded with NUL, whatever the caller's padding holds; nothing else is copied. */
static struct tb_instrument tidy(const struct tb_instrument *from, const char *own_stream)
{
    struct tb_instrument to = {.price_exp = from->price_exp, .size_exp = from->size_exp};
    memcpy(to.venue, from->venue, strnlen(from->venue, sizeof(to.venue)));
    memcpy(to.symbol, from->symbol, strnlen(from->symbol, sizeof(to.symbol)));
    memcpy(to.raw, from->raw, strnlen(from->raw, sizeof(to.raw)));
    memcpy(to.stream, from->stream, strnlen(from->stream, sizeof(to.stream)));
    memcpy(to.label, from->label, strnlen(from->label, sizeof(to.label)));
    if (to.stream[0] == '\0')
        memcpy(to.stream, own_stream, strlen(own_stream));
    return to;
}

int tb_writer_add_instrument(struct tb_writer *w, const struct tb_instrument *entry)
{
    struct tb_instrument added = tidy(entry, w->private_->stream);
    uint32_t count = atomic_load_explicit(&w->live->instrument_count, memory_order_relaxed);

    for (uint32_t i = 0; i < count; i++) {
        const struct tb_instrument *known = &w->instruments[i];
        if (!same_market(known, &added))
            continue;
        if (added.market == 0)
            added.market = known->market;
        if (same_text(known->stream, added.stream, sizeof(added.stream)) &&
            known->price_exp == added.price_exp && known->size_exp == added.size_exp)
            return (int)i + 1;
    }
    if (added.market == 0)
        added.market = (uint16_t)(count + 1);
    if (!tb_instrument_check(&added, (uint16_t)(count + 1)))
        return -EINVAL;
    if (count >= TB_INSTRUMENTS_MAX)
        return -ENOSPC;
    w->instruments[count] = added;
    TB_POINT("instrument:before_count");
    /* Release: who sees the count sees the entry (tb_reader_instrument). */
    atomic_store_explicit(&w->live->instrument_count, count + 1, memory_order_release);
    return (int)count + 1;
}

const struct tb_instrument *tb_writer_instrument(const struct tb_writer *w, uint16_t id)
{
    uint32_t count = atomic_load_explicit(&w->live->instrument_count, memory_order_relaxed);
    return id != 0 && id <= count ? &w->instruments[id - 1] : NULL;
}

/* ---- gates ---- */

/* The page of a gate as it is now: mapped if it is there, this reader's, and not replaced since. */
static void gate_look_again(struct gate *g, const char *stream)
{
    if (g->segment.base != NULL) {
        struct stat st;
        bool gone = lstat(g->path, &st) != 0 || st.st_ino != g->segment.inode ||
                    st.st_dev != g->segment.device || *tb_guard_broken(g->segment.guard);
        if (!gone)
            return;
        tb_segment_detach(&g->segment);
    }
    if (tb_segment_attach(g->path, false, sizeof(struct tb_cursor_page), &g->segment, NULL) != 0)
        return;
    const struct tb_cursor_page *page = g->segment.base;
    /* Magic is stored last by the reader that makes the page. */
    if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != TB_CURSOR_MAGIC ||
        page->layout != TB_CURSOR_LAYOUT ||
        strncmp(page->stream, stream, sizeof(page->stream)) != 0 ||
        strncmp(page->reader, g->reader, sizeof(page->reader)) != 0)
        tb_segment_detach(&g->segment);
}

/*
 * The oldest sequence that this reader may still want. Nobody there, or there with another epoch's
 * cursor: it may want everything from 1, so a ring's first lap is free and the second one waits.
 * Acquire pairs with the release in tb_reader_release: its reads are before our overwriting.
 */
static tb_seq gate_needed(const struct gate *g, uint64_t epoch, tb_seq next_seq)
{
    if (g->segment.base == NULL)
        return 1;
    const struct tb_cursor_page *page = g->segment.base;
    if (atomic_load_explicit(&page->epoch, memory_order_acquire) != epoch)
        return 1;
    tb_seq needed = atomic_load_explicit(&page->needed, memory_order_acquire);
    /* Another process's word: it can hold us up, it can not let us run beyond a lap. */
    if (needed > next_seq)
        return next_seq;
    return needed == 0 ? 1 : needed;
}

/* The first sequence that may not be published yet, when seq is the next. */
static tb_seq limit_at(const struct tb_writer_private *p, tb_seq seq)
{
    tb_seq needed = seq;
    for (size_t i = 0; i < p->gate_count; i++) {
        tb_seq wants = gate_needed(&p->gates[i], p->epoch, seq);
        needed = wants < needed ? wants : needed;
    }
    return p->gate_count == 0 ? UINT64_MAX : needed + p->capacity;
}

static void look_at_gates_again(struct tb_writer_private *p)
{
    for (size_t i = 0; i < p->gate_count; i++)
        gate_look_again(&p->gates[i], p->stream);
}

tb_seq tb_writer_wait_for_room(struct tb_writer_private *p, tb_seq seq)
{
    tb_seq limit = limit_at(p, seq);
    if (seq < limit)
        return limit;
    /* The readers that we wait for may be asleep, not knowing of what was published so far. */
    tb_wait_wake(p->wait.base);
    tb_ns pause = GATE_PAUSE_MIN_NS;
    for (unsigned looks = 0;; looks++) {
        if (looks < GATE_LOOKS) {
            ck_pr_stall();
        } else {
            if (p->on_wait != NULL && p->on_wait(p->context) != 0)
                return 0;
            look_at_gates_again(p);
            tb_wait_pause(pause);
            pause = pause < GATE_PAUSE_MAX_NS ? pause + pause / 8 : GATE_PAUSE_MAX_NS;
        }
        limit = limit_at(p, seq);
        if (seq < limit)
            return limit;
    }
}

uint64_t tb_writer_room(struct tb_writer *w)
{
    struct tb_writer_private *p = w->private_;
    w->limit = limit_at(p, w->next_seq);
    if (w->next_seq >= w->limit) {
        look_at_gates_again(p);
        w->limit = limit_at(p, w->next_seq);
    }
    if (w->limit == UINT64_MAX)
        return UINT64_MAX;
    return w->next_seq < w->limit ? w->limit - w->next_seq : 0;
}

/* ---- the rest ---- */

void tb_writer_wake(struct tb_writer *w)
{
    tb_wait_wake(w->private_->wait.base);
}

void tb_writer_housekeep(struct tb_writer *w, tb_ns now)
{
    atomic_store_explicit(&w->live->last_seq, w->next_seq - 1, memory_order_relaxed);
    atomic_store_explicit(&w->live->heartbeat, now, memory_order_relaxed);
    atomic_store_explicit(&w->live->state, TB_STREAM_RUNNING, memory_order_release);
}

bool tb_writer_read_back(const struct tb_writer *w, tb_seq seq, struct tb_record *out_record)
{
    uint64_t word[TB_SLOT_WORDS];
    if (seq == 0 || tb_slot_read(&w->slots[seq & w->mask], seq, word) != TB_SLOT_OK)
        return false;
    out_record->seq = seq;
    tb_slot_store_words((char *)out_record + sizeof(out_record->seq), word);
    return true;
}
