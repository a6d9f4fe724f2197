/*
 * Waiting: one event count per stream, one word, shared by the producer and all its sleepers.
 *
 * Protocol (ck_ec32, several wakers allowed; FUTEX shared, because processes share it)
 *
 *   producer                                reader
 *   W1  publish (P4 of slot.h)              S1  v = events              acquire
 *   W2  old = fetch_add(events, 1)          S2  is my record there?     (R1 of slot.h)
 *   W3  if old had bit 31: clear it,        S3  CAS(events, v, v | bit 31)
 *       FUTEX_WAKE all                      S4  FUTEX_WAIT(events == v | bit 31)
 *
 * No wake-up is lost. All of W2, S1 and S3 are on one word, so they stand in one modification order,
 * and no fence between different words (the store-load that x86 alone needs, and that a hand-made
 * "sleepers" flag beside a sequence would need everywhere) is in the argument:
 *   - W2 before S1's value: S1 reads W2's value or a later one and synchronises with it (W2 orders the
 *     stores before it: ck_pr_fence_store_atomic and the atomic add), so S2 sees the record.
 *   - W2 after S1's value and before S3: the word is no longer v, the CAS fails, the reader looks again.
 *   - W2 after S3: `old` has bit 31, so W3 wakes. If the reader is not asleep yet, the kernel compares
 *     the word under its own lock in S4, finds another value, and does not sleep.
 * That is why the multi-producer mode of ck_ec is used although there is one producer: its single-
 * producer mode saves the locked add by reasoning about x86 store buffers and by bounded re-checks;
 * ours needs neither, and a wake is per batch, not per record.
 *
 * The word can be written by every reader. A hostile one can clear bit 31 or set the count back: then
 * others sleep to the end of their timeout, or wake for nothing. Nothing else depends on it. A file
 * cut short is a guarded mapping (mapping_guard.c): the producer goes on, adding to a page of its own.
 * A reader that may not write the file does not park: it looks every 200 us to 1 ms.
 */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* one number on all machines */
#endif

#define EVENTS_FLAG (UINT32_C(1) << 31)

/* Between two looks of one that polls: short at first, because most waits are short. */
#define PAUSE_MIN_NS (200 * TB_NS_PER_US)
#define PAUSE_MAX_NS TB_NS_PER_MS

/* Looks of a spinning or yielding reader between two looks at the clock. */
#define LOOKS_PER_CLOCK 64

/*
 * Looking before parking, PARK: doubled when it found something, halved when not. At most about what it costs
 * the two sides to sleep and to wake, so that it is never more than twice as dear as the better of the two,
 * whatever the stream does, and services that share a core do not take it from one another.
 */
#define SPIN_MIN_NS (500)
#define SPIN_MAX_NS (5 * TB_NS_PER_US)

/*
 * BATCH: how many PAUSE between two looks (21 ns each on Zen 5, 35 on Skylake): long enough that the
 * producer gets some runs ahead, and no more than it needs for about a quarter of the ring, at a record in
 * 1.2 ns, or a gated one comes to a stand. Before it takes less than a whole run, and before it parks, it pauses
 * that many times altogether: 50 us.
 */
#define BATCH_PAUSES_MAX 64
#define BATCH_SLOTS_PER_PAUSE 64
#define BATCH_PAUSES_ALL 2560

static int event_gettime(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

/*
 * state->data is the caller's deadline. ck_ec 0.7.1 sleeps its growing intervals (2 ms, 16 ms, 128 ms)
 * to their end and looks at the deadline after that: a wait of 40 ms took 128.
 */
static void event_wait(const struct ck_ec_wait_state *state, const uint32_t *word,
                       uint32_t expected, const struct timespec *interval_end)
{
    const struct timespec *until = state->data;
    if (interval_end != NULL &&
        (interval_end->tv_sec < until->tv_sec ||
         (interval_end->tv_sec == until->tv_sec && interval_end->tv_nsec < until->tv_nsec)))
        until = interval_end;
    /* WAIT_BITSET takes an absolute time. Any return is good: ck_ec looks at the word again. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

static void event_wake(const struct ck_ec_ops *ops, const uint32_t *word)
{
    (void)ops;
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static const struct ck_ec_ops event_ops = {
    .gettime = event_gettime, .wait32 = event_wait, .wake32 = event_wake};
static const struct ck_ec_mode event_mode = {.ops = &event_ops, .single_producer = false};

int tb_wait_create(const char *path, struct tb_segment *out_segment, struct tb_error *err)
{
    /* 0660: those of the group who may read the stream may also sleep on it, umask permitting. A file
     * that is there stays whatever fails: readers sleep on it. */
    for (int tries = 0; tries < 2; tries++) {
        struct stat st;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
        if (fd < 0)
            return tb_fail(err, -errno, "cannot create %s: %s", path, strerror(errno));
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            (void)close(fd);
            (void)unlink(path); /* something else has the name: once more, afresh */
            continue;
        }
        int rc = tb_segment_reserve(fd, 0, TB_WAIT_BYTES);
        if (rc == 0)
            rc = tb_segment_map(fd, path, true, TB_WAIT_BYTES, out_segment, err);
        else
            (void)tb_fail(err, rc, "cannot reserve %s: %s", path, strerror(-rc));
        (void)close(fd);
        return rc;
    }
    return tb_fail(err, -EBADMSG, "%s is not a regular file", path);
}

void tb_wait_wake(struct tb_wait_page *page)
{
    (void)ck_ec32_add(&page->events, &event_mode, 1);
}

void tb_wait_pause(tb_ns ns)
{
    struct timespec t = {.tv_sec = ns / TB_NS_PER_S, .tv_nsec = ns % TB_NS_PER_S};
    (void)nanosleep(&t, NULL); /* cut short by a signal: as good */
}

/* Is there a reason to go and read? A lapped slot is one, and so is a broken ring. */
static bool ready(struct tb_reader *r)
{
    uint64_t seen = atomic_load_explicit(&r->slots[r->cursor & r->mask].seq, memory_order_acquire);
    if (seen == r->cursor || *r->broken)
        return true;
    return tb_slot_judge(seen, r->cursor) == TB_SLOT_LAPPED && tb_reader_stirs(r);
}

static bool any_ready(struct tb_reader *const *readers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ready(readers[i]))
            return true;
    return false;
}

static struct timespec timespec_of(tb_ns t)
{
    return (struct timespec){.tv_sec = t / TB_NS_PER_S, .tv_nsec = t % TB_NS_PER_S};
}

static void wait_looking(struct tb_reader *const *readers, size_t count, bool yield, tb_ns deadline)
{
    for (unsigned looks = 1; !any_ready(readers, count); looks++) {
        if (yield)
            (void)sched_yield();
        /* No PAUSE: it would be half of the latency. */
        if (looks % LOOKS_PER_CLOCK == 0 && tb_clock_mono() >= deadline)
            return;
    }
}

static void wait_pausing(struct tb_reader *const *readers, size_t count, tb_ns deadline)
{
    tb_ns pause = PAUSE_MIN_NS;
    while (!any_ready(readers, count)) {
        tb_ns left = deadline - tb_clock_mono();
        if (left <= 0)
            return;
        tb_wait_pause(pause < left ? pause : left);
        pause = 2 * pause < PAUSE_MAX_NS ? 2 * pause : PAUSE_MAX_NS;
    }
}

/* Is the last record of the run that is wanted there? What is at the cursor then need not be looked at. */
static bool run_is_there(struct tb_reader *r, size_t wanted)
{
    tb_seq last = r->cursor + wanted - 1;
    uint64_t seen = atomic_load_explicit(&r->slots[last & r->mask].seq, memory_order_acquire);
    return seen == last || tb_slot_judge(seen, last) == TB_SLOT_LAPPED || *r->broken;
}

/* Keep off the producer's lines until a whole run is there. False: it does not come. */
static bool wait_for_run(struct tb_reader *r, size_t wanted)
{
    uint64_t pauses = r->capacity / BATCH_SLOTS_PER_PAUSE;
    if (pauses > BATCH_PAUSES_MAX)
        pauses = BATCH_PAUSES_MAX;
    if (pauses == 0)
        pauses = 1;
    for (uint64_t all = 0; all < BATCH_PAUSES_ALL; all += pauses) {
        if (run_is_there(r, wanted))
            return true;
        for (uint64_t i = 0; i < pauses; i++)
            ck_pr_stall();
    }
    return false;
}

/* Look for up to *spin_ns before sleeping; *spin_ns becomes what it should be the next time. */
static bool found_by_looking(struct tb_reader *const *readers, size_t count, tb_ns *spin_ns,
                             tb_ns now, tb_ns deadline)
{
    tb_ns until = now + *spin_ns < deadline ? now + *spin_ns : deadline;
    bool found;
    while (!(found = any_ready(readers, count)) && tb_clock_mono() < until)
        ck_pr_stall();
    *spin_ns = found ? 2 * *spin_ns : *spin_ns / 2;
    *spin_ns = *spin_ns < SPIN_MIN_NS   ? SPIN_MIN_NS
               : *spin_ns > SPIN_MAX_NS ? SPIN_MAX_NS
                                        : *spin_ns;
    return found;
}

static void wait_parked(struct tb_reader *r, struct tb_wait_page *page, tb_ns deadline)
{
    uint32_t events = ck_ec32_value(&page->events); /* S1 */
    if (ready(r))                                   /* S2 */
        return;
    struct timespec until = timespec_of(deadline);
    /* S3, S4 */
    (void)ck_ec32_wait_pred(&page->events, &event_mode, events, NULL, &until, &until);
}

/* S1 to S4 on several words: armed one by one, slept on together by futex_waitv. */
static void wait_parked_many(struct tb_reader *const *readers, struct tb_wait_page *const *pages,
                             size_t count, tb_ns deadline)
{
    uint32_t events[FUTEX_WAITV_MAX];
    struct futex_waitv waiters[FUTEX_WAITV_MAX];

    for (size_t i = 0; i < count; i++)
        events[i] = ck_ec32_value(&pages[i]->events); /* S1 of each */
    if (any_ready(readers, count))                    /* S2 of each */
        return;
    for (size_t i = 0; i < count; i++) {
        uint32_t armed = events[i] | EVENTS_FLAG;
        uint32_t seen;
        /* S3. Another sleeper may have armed the word already: then it is as we want it. */
        if (!ck_pr_cas_32_value(&pages[i]->events.counter, events[i], armed, &seen) &&
            seen != armed)
            return;
        waiters[i] = (struct futex_waitv){
            .val = armed, .uaddr = (uintptr_t)&pages[i]->events.counter, .flags = FUTEX_32};
    }
    /* Not needed by the argument above; it saves the system call when something came meanwhile. */
    if (any_ready(readers, count))
        return;
    struct timespec until = timespec_of(deadline);
    if (syscall(SYS_futex_waitv, waiters, (unsigned)count, 0, &until, CLOCK_MONOTONIC) >= 0 ||
        errno != ENOSYS)
        return;
    /* Kernels before 5.16: sleep on the first for a millisecond at a time, and look at the others. */
    while (!any_ready(readers, count)) {
        tb_ns now = tb_clock_mono();
        if (now >= deadline || ck_ec32_value(&pages[0]->events) != events[0])
            return;
        until = timespec_of(now + TB_NS_PER_MS < deadline ? now + TB_NS_PER_MS : deadline);
        (void)ck_ec32_wait_pred(&pages[0]->events, &event_mode, events[0], NULL, &until, &until);
    }
}

/* The most eager policy of them is the policy of all. */
static struct tb_wait_view view_of_all(struct tb_reader *const *readers, size_t count,
                                       struct tb_wait_page *out_pages[FUTEX_WAITV_MAX],
                                       bool *out_can_park)
{
    static const int eagerness[] = {
        [TB_WAIT_PARK] = 0, [TB_WAIT_BATCH] = 1, [TB_WAIT_YIELD] = 2, [TB_WAIT_SPIN] = 3};
    struct tb_wait_view all = {.policy = TB_WAIT_PARK};
    *out_can_park = count <= FUTEX_WAITV_MAX;
    for (size_t i = 0; i < count; i++) {
        struct tb_wait_view view = tb_reader_wait_view(readers[i]);
        if (eagerness[view.policy] > eagerness[all.policy])
            all.policy = view.policy;
        all.wanted = view.wanted > 0 ? view.wanted : 1;
        all.spin_ns = view.spin_ns > all.spin_ns ? view.spin_ns : all.spin_ns;
        all.on_disk = all.on_disk || view.on_disk;
        *out_can_park = *out_can_park && view.page != NULL && !view.on_disk;
        if (i < FUTEX_WAITV_MAX)
            out_pages[i] = view.page;
    }
    return all;
}

static void settle(struct tb_reader *const *readers, size_t count, tb_ns spin_ns)
{
    for (size_t i = 0; i < count; i++)
        tb_reader_settle(readers[i], spin_ns);
}

void tb_readers_wait(struct tb_reader *const *readers, size_t count, tb_ns timeout_ns)
{
    struct tb_wait_page *pages[FUTEX_WAITV_MAX];
    bool can_park;

    if (timeout_ns <= 0)
        return;
    struct tb_wait_view view = view_of_all(readers, count, pages, &can_park);
    bool batch =
        view.policy == TB_WAIT_BATCH && count == 1 && !view.on_disk; /* no runs grow there */
    if (batch && wait_for_run(readers[0], view.wanted))
        return;
    if (any_ready(readers, count)) {
        settle(readers, count, view.spin_ns);
        return;
    }
    tb_ns now = tb_clock_mono();
    tb_ns deadline = timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;

    for (size_t i = 0; i < count; i++)
        tb_reader_idles(readers[i]);
    if (count == 0)
        tb_wait_pause(timeout_ns);
    else if (view.policy == TB_WAIT_SPIN || view.policy == TB_WAIT_YIELD)
        wait_looking(readers, count, view.policy == TB_WAIT_YIELD, deadline);
    else if (!can_park)
        wait_pausing(readers, count, deadline);
    else if (!batch && found_by_looking(readers, count, &view.spin_ns, now, deadline))
        ;
    else if (count == 1)
        wait_parked(readers[0], pages[0], deadline);
    else
        wait_parked_many(readers, pages, count, deadline);
    settle(readers, count, view.spin_ns);
}

void tb_reader_wait(struct tb_reader *r, tb_ns timeout_ns)
{
    tb_readers_wait(&r, 1, timeout_ns);
}
