/*
 * A reader's cursor page: how far it is, for gates and for whoever looks. One page a name, locked by the
 * reader that has it; in reader.h and LAYOUT.md is what it holds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "reader_private.h"

static struct tb_cursor_page *page_of(const struct tb_reader *r)
{
    return r->private_->cursor.base;
}

static bool page_is_ours(const struct tb_cursor_page *page, const char *stream, const char *reader)
{
    return page->magic == TB_CURSOR_MAGIC && page->layout == TB_CURSOR_LAYOUT &&
           strncmp(page->stream, stream, sizeof(page->stream)) == 0 &&
           strncmp(page->reader, reader, sizeof(page->reader)) == 0;
}

static int fail_busy(const char *path, const char *stream, const char *reader, struct tb_error *err)
{
    struct tb_segment s;
    uint32_t pid = 0;
    if (tb_segment_attach(path, false, sizeof(struct tb_cursor_page), &s, NULL) == 0) {
        const struct tb_cursor_page *page = s.base;
        pid = atomic_load_explicit(&page->pid, memory_order_relaxed);
        tb_segment_detach(&s);
    }
    return tb_fail(err, -EBUSY, "stream %s is read as \"%s\" by pid %u already; use another name",
                   stream, reader, pid);
}

int tb_reader_page_open(struct tb_reader_private *p, const char *dir, const char *reader,
                        struct tb_error *err)
{
    char name[2 * TB_STREAM_BYTES + 2];
    if (!tb_name_check(reader))
        return tb_fail(err, -EINVAL, "reader name \"%.40s\" is not fit: use a-z 0-9 _ -", reader);
    (void)snprintf(name, sizeof(name), "%s.%s", p->stream, reader);
    int rc = tb_path(p->cursor_path, dir, name, ".cursor", err);
    if (rc != 0)
        return rc;
    rc = tb_lock_open(p->cursor_path, true, 0640, &p->cursor_fd);
    if (rc == -EBUSY)
        return fail_busy(p->cursor_path, p->stream, reader, err);
    if (rc != 0)
        return tb_fail(err, rc, "cannot open %s: %s", p->cursor_path, strerror(-rc));
    rc = tb_segment_reserve(p->cursor_fd, 0, 4096);
    if (rc != 0) {
        (void)unlink(p->cursor_path); /* it was never whole */
        return tb_fail(err, rc, "cannot reserve %s: %s", p->cursor_path, strerror(-rc));
    }
    return tb_segment_map(p->cursor_fd, p->cursor_path, true, 4096, &p->cursor, err);
}

void tb_reader_page_publish(struct tb_reader *r, const char *reader)
{
    struct tb_reader_private *p = r->private_;
    struct tb_cursor_page *page = page_of(r);

    if (!page_is_ours(page, p->stream, reader)) {
        /* New, or nonsense. Magic goes first and comes last: in between it is nobody's page. */
        __atomic_store_n(&page->magic, 0, __ATOMIC_RELEASE);
        memset((char *)page + sizeof(page->magic), 0, sizeof(*page) - sizeof(page->magic));
        page->layout = TB_CURSOR_LAYOUT;
        memcpy(page->stream, p->stream, sizeof(page->stream));
        (void)snprintf(page->reader, sizeof(page->reader), "%s", reader);
    }
    /* A reader that died counted in its page: go on from there. */
    p->lost_before = atomic_load_explicit(&page->lost, memory_order_relaxed);
    p->overruns_before = atomic_load_explicit(&page->overruns, memory_order_relaxed);
    if (atomic_load_explicit(&page->epoch, memory_order_relaxed) == r->epoch)
        p->durable_before = atomic_load_explicit(&page->durable, memory_order_relaxed);
    else
        atomic_store_explicit(&page->durable, 0, memory_order_relaxed); /* it was another's */
    atomic_store_explicit(&page->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&page->wait, (uint32_t)p->policy, memory_order_relaxed);
    /* Needed before epoch: a gate believes `needed` only together with its own epoch. */
    atomic_store_explicit(&page->cursor, r->cursor, memory_order_relaxed);
    atomic_store_explicit(&page->needed, r->cursor, memory_order_release);
    atomic_store_explicit(&page->heartbeat, tb_clock_wall(), memory_order_relaxed);
    atomic_store_explicit(&page->epoch, r->epoch, memory_order_release);
    __atomic_store_n(&page->magic, TB_CURSOR_MAGIC, __ATOMIC_RELEASE);
}

static void store_progress(struct tb_reader *r)
{
    const struct tb_reader_private *p = r->private_;
    struct tb_cursor_page *page = page_of(r);
    atomic_store_explicit(&page->cursor, r->cursor, memory_order_relaxed);
    atomic_store_explicit(&page->lost, p->lost_before + r->lost, memory_order_relaxed);
    atomic_store_explicit(&page->overruns, p->overruns_before + r->overruns, memory_order_relaxed);
}

void tb_reader_publish_epoch(struct tb_reader *r)
{
    struct tb_cursor_page *page = page_of(r);
    if (page == NULL)
        return;
    /* Needed before epoch: a gate believes `needed` only together with its own epoch. */
    atomic_store_explicit(&page->cursor, r->cursor, memory_order_relaxed);
    atomic_store_explicit(&page->needed, r->cursor, memory_order_release);
    atomic_store_explicit(&page->epoch, r->epoch, memory_order_release);
}

void tb_reader_release(struct tb_reader *r, tb_seq needed, tb_ns now)
{
    struct tb_cursor_page *page = page_of(r);
    if (page == NULL)
        return;
    store_progress(r);
    atomic_store_explicit(&page->heartbeat, now, memory_order_relaxed);
    /* Release: our reads of the records before `needed` are done before the producer sees this. */
    atomic_store_explicit(&page->needed, needed, memory_order_release);
}

void tb_reader_durable(struct tb_reader *r, tb_seq durable)
{
    struct tb_cursor_page *page = page_of(r);
    if (page != NULL)
        atomic_store_explicit(&page->durable, durable, memory_order_release);
}

tb_seq tb_reader_durable_before(const struct tb_reader *r)
{
    return r->private_->durable_before;
}

void tb_reader_page_leave(struct tb_reader *r, bool keep)
{
    const struct tb_reader_private *p = r->private_;
    if (page_of(r) == NULL)
        return;
    if (keep)
        store_progress(r);
    else /* While we hold the lock the name is ours; after it, it may be our successor's. */
        (void)unlink(p->cursor_path);
}
