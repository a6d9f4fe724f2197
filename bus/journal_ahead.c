/*
 * Reading ahead (journal_source.h): while one buffer of pages is being looked at, the next ones are on
 * their way, by io_uring, into registered memory.
 *
 *   a->window         the buffer that the caller looks at, until its next call
 *   READY, FLYING     the pages behind it, in order, as far as there are buffers and the file goes
 *   STALE             in flight, but for a place that nobody wants any more
 *
 * It is a short cut and nothing more: a read that failed, or came back with less than a page, is made
 * again as a plain one, and what that says counts. Pages of records are written once, so that a sound page
 * that was read early is as good as one that is read now; one that is not sound is read again by the caller.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "journal_source.h"

#define BUFFERS 4
#define PATIENCE_S 30 /* for reads in flight when there is no use for them any more */
#define BUFFER_BYTES (TB_JOURNAL_AHEAD_PAGES * (size_t)TB_JOURNAL_PAGE)

enum ahead_state { FREE, FLYING, STALE, READY, WINDOW };

struct ahead_buffer {
    enum ahead_state state;
    uint64_t page;
    size_t pages;
    long result;
};

struct tb_journal_ahead {
    unsigned char *memory; /* BUFFERS of BUFFER_BYTES, where they were used; NULL: there is none */
    struct tb_uring *ring; /* NULL: not yet, or refused */
    pid_t pid;             /* whose ring it is */
    char refused[128];     /* why there is none; empty: there may be */
    uint64_t epoch;        /* of the segment that the buffers are of */
    tb_seq first_seq;
    struct ahead_buffer buffer[BUFFERS];
};

static unsigned char *memory_make(void)
{
    void *memory = mmap(NULL, BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

int tb_journal_ahead_open(struct tb_journal_ahead **out_ahead)
{
    struct tb_journal_ahead *a = calloc(1, sizeof(*a));
    if (a == NULL || (a->memory = memory_make()) == NULL) {
        free(a);
        return -ENOMEM;
    }
    *out_ahead = a;
    return 0;
}

static unsigned char *memory_of(struct tb_journal_ahead *a, const struct ahead_buffer *b)
{
    return a->memory + (size_t)(b - a->buffer) * BUFFER_BYTES;
}

/* Take what is done, or wait for something. False: that does not work. */
static bool reap(struct tb_journal_ahead *a, bool wait)
{
    struct tb_uring_done done[BUFFERS];
    int n = tb_uring_reap(a->ring, done, BUFFERS, wait, TB_NS_PER_S);
    for (int i = 0; i < n; i++) {
        struct ahead_buffer *b = &a->buffer[done[i].tag];
        b->result = done[i].result;
        b->state = b->state == STALE ? FREE : READY;
    }
    return n >= 0;
}

/* A process that was forked has a copy of the memory, but the ring and what is in flight are its parent's. */
static bool is_inherited(const struct tb_journal_ahead *a)
{
    return a->ring != NULL && a->pid != getpid();
}

static void ring_close(struct tb_journal_ahead *a)
{
    tb_uring_close(a->ring);
    a->ring = NULL;
    for (size_t i = 0; i < BUFFERS; i++)
        a->buffer[i].state = FREE;
}

/* It does not work. What is in flight may still come: that memory is left to it, for ever. */
static void abandon(struct tb_journal_ahead *a, const char *why)
{
    (void)snprintf(a->refused, sizeof(a->refused), "%s", why);
    ring_close(a);
    a->memory = memory_make();
}

void tb_journal_ahead_rest(struct tb_journal_ahead *a)
{
    if (a->ring == NULL)
        return;
    for (int s = 0; !is_inherited(a) && tb_uring_in_flight(a->ring) > 0; s++)
        if (!reap(a, true) || s == PATIENCE_S) {
            abandon(a, "io_uring does not answer");
            return;
        }
    ring_close(a);
    (void)madvise(a->memory, BUFFERS * BUFFER_BYTES, MADV_DONTNEED); /* or it stays: no harm */
}

void tb_journal_ahead_close(struct tb_journal_ahead *a)
{
    if (a == NULL)
        return;
    tb_journal_ahead_rest(a);
    if (a->memory != NULL)
        (void)munmap(a->memory, BUFFERS * BUFFER_BYTES);
    free(a);
}

const char *tb_journal_ahead_refused(const struct tb_journal_ahead *a)
{
    return a->refused[0] != '\0' ? a->refused : NULL;
}

/* Have a ring of this process. False: there is none to be had. */
static bool ring_ready(struct tb_journal_ahead *a)
{
    const char *why = NULL;
    struct tb_error err = {""};
    if (is_inherited(a))
        tb_journal_ahead_rest(a);
    if (a->ring != NULL || a->refused[0] != '\0')
        return a->ring != NULL;
    if (tb_uring_open(BUFFERS, a->memory, BUFFERS, BUFFER_BYTES, &a->ring, &why, &err) != 0)
        why = err.text;
    if (why != NULL) {
        (void)snprintf(a->refused, sizeof(a->refused), "%s", why);
        tb_uring_close(a->ring);
        a->ring = NULL;
        return false;
    }
    a->pid = getpid();
    tb_uring_inject(a->ring, tb_journal_read_fault);
    return true;
}

static struct ahead_buffer *buffer_in(struct tb_journal_ahead *a, enum ahead_state state)
{
    for (size_t i = 0; i < BUFFERS; i++)
        if (a->buffer[i].state == state)
            return &a->buffer[i];
    return NULL;
}

/* The buffer that begins at `page`, read or on its way; *out_end: the page behind all of them. */
static struct ahead_buffer *buffer_of(struct tb_journal_ahead *a, uint64_t page, uint64_t *out_end)
{
    struct ahead_buffer *found = NULL;
    *out_end = page;
    for (size_t i = 0; i < BUFFERS; i++) {
        struct ahead_buffer *b = &a->buffer[i];
        if (b->state != FLYING && b->state != READY)
            continue;
        if (b->page == page)
            found = b;
        if (b->page + b->pages > *out_end)
            *out_end = b->page + b->pages;
    }
    return found;
}

static void forget(struct tb_journal_ahead *a)
{
    for (size_t i = 0; i < BUFFERS; i++) {
        if (a->buffer[i].state == FLYING)
            a->buffer[i].state = STALE;
        else if (a->buffer[i].state == READY)
            a->buffer[i].state = FREE;
    }
}

/* Requests for what follows `next`, into every free buffer, in one submission. */
static bool go_ahead(struct tb_journal_ahead *a, const struct tb_journal_source *f, uint64_t next)
{
    uint64_t end = tb_journal_source_pages(f);
    for (struct ahead_buffer *b; next < end && (b = buffer_in(a, FREE)) != NULL; next += b->pages) {
        b->page = next;
        b->pages =
            end - next < TB_JOURNAL_AHEAD_PAGES ? (size_t)(end - next) : TB_JOURNAL_AHEAD_PAGES;
        size_t index = (size_t)(b - a->buffer);
        if (tb_uring_read(a->ring, f->fd, (int)index, memory_of(a, b), b->pages * TB_JOURNAL_PAGE,
                          next * TB_JOURNAL_PAGE, index) != 0)
            break; /* a ring of as many requests as buffers has room for each: never */
        b->state = FLYING;
    }
    return tb_uring_submit(a->ring) == 0;
}

/* The buffer with the pages from `page` on, when they are there. NULL: read them another way. */
static struct ahead_buffer *fetch(struct tb_journal_ahead *a, const struct tb_journal_source *f,
                                  uint64_t page)
{
    uint64_t next;
    if (a->epoch != f->epoch || a->first_seq != f->first_seq)
        forget(a);
    a->epoch = f->epoch;
    a->first_seq = f->first_seq;
    struct ahead_buffer *b = buffer_of(a, page, &next);
    if (b == NULL) {
        forget(a);
        next = page;
    }
    bool works = true;
    while (works && b == NULL && buffer_in(a, FREE) == NULL)
        works = reap(a, true);
    works = works && go_ahead(a, f, next);
    b = buffer_of(a, page, &next);
    while (works && b != NULL && b->state == FLYING)
        works = reap(a, true);
    if (!works)
        abandon(a, "io_uring does not work");
    if (!works || b == NULL || b->result >= TB_JOURNAL_PAGE)
        return works ? b : NULL;
    b->state = FREE;
    return NULL;
}

long tb_journal_ahead_read(struct tb_journal_ahead *a, struct tb_journal_source *f, uint64_t page,
                           size_t count, const unsigned char **out_pages)
{
    struct ahead_buffer *b = buffer_in(a, WINDOW);
    if (b != NULL)
        b->state = FREE;
    /* For the last pages of a file nobody sets up a ring. */
    bool ahead = count == TB_JOURNAL_AHEAD_PAGES && f->zstd == NULL &&
                 (a->ring != NULL || page + count < tb_journal_source_pages(f));
    if (ahead && ring_ready(a) && (b = fetch(a, f, page)) != NULL) {
        b->state = WINDOW;
        *out_pages = memory_of(a, b);
        return b->result / TB_JOURNAL_PAGE;
    }
    while (a->ring != NULL && buffer_in(a, FREE) == NULL) {
        forget(a); /* whoever reads elsewhere does not go on here */
        if (buffer_in(a, FREE) == NULL && !reap(a, true))
            abandon(a, "io_uring does not work");
    }
    if (a->memory == NULL)
        return -ENOMEM;
    b = buffer_in(a, FREE);
    b->state = WINDOW;
    *out_pages = memory_of(a, b);
    return tb_journal_source_read(f, page, count, memory_of(a, b));
}
