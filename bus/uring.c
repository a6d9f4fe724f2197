/*
 * Batched disk I/O (uring.h): over io_uring, or over plain calls that are made when the batch is
 * submitted. Both keep their completions in the same list, where a test's fault may hold them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/uring.h>

/* One request, from queueing until the caller has its completion. */
struct request {
    enum tb_uring_op op;
    bool used;
    bool link;
    bool refused; /* by a fault: not carried out, `result` stands */
    int fd, buffer;
    void *bytes;
    size_t count;
    uint64_t offset, tag, number;
    long result;
    unsigned delay;       /* completions that come before this one */
    struct request *next; /* queued (plain), or done */
};

struct list {
    struct request *first, **last;
};

struct tb_uring {
    bool plain;
    bool registered;
    struct io_uring ring;
    int event; /* plain and faults: readable while completions wait */
    unsigned depth, in_flight, in_kernel;
    uint64_t number;
    struct request *requests;
    struct list queued; /* not submitted yet */
    struct list done;   /* completed, not reaped yet */
    const struct tb_uring_fault *fault;
};

static void list_init(struct list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_add(struct list *l, struct request *r)
{
    r->next = NULL;
    *l->last = r;
    l->last = &r->next;
}

static struct request *list_take(struct list *l)
{
    struct request *r = l->first;
    if (r != NULL && (l->first = r->next) == NULL)
        l->last = &l->first;
    return r;
}

/* ---- opening ---- */

static const char *refusal(int rc, char *text, size_t text_bytes)
{
    int disabled = 0;
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (file != NULL) {
        if (fscanf(file, "%d", &disabled) != 1)
            disabled = 0;
        (void)fclose(file);
    }
    if (rc == -EPERM && disabled != 0)
        (void)snprintf(text, text_bytes, "kernel.io_uring_disabled is %d", disabled);
    else if (rc == -EPERM || rc == -EACCES)
        (void)snprintf(text, text_bytes, "io_uring is not permitted here: %s", strerror(-rc));
    else if (rc == -ENOSYS)
        (void)snprintf(text, text_bytes, "this kernel has no io_uring");
    else
        (void)snprintf(text, text_bytes, "io_uring can not be set up: %s", strerror(-rc));
    return text;
}

/* Without registration everything works, a little slower: RLIMIT_MEMLOCK is often small. */
static bool buffers_register(struct tb_uring *u, void *buffers, unsigned count, size_t bytes)
{
    struct iovec *vec = count > 0 ? calloc(count, sizeof(*vec)) : NULL;
    if (vec == NULL)
        return false;
    for (unsigned i = 0; i < count; i++)
        vec[i] = (struct iovec){.iov_base = (char *)buffers + i * bytes, .iov_len = bytes};
    int rc = io_uring_register_buffers(&u->ring, vec, count);
    free(vec);
    return rc == 0;
}

static int open_any(unsigned depth, bool plain, void *buffers, unsigned buffer_count,
                    size_t buffer_bytes, struct tb_uring **out_ring, const char **out_fallback,
                    struct tb_error *err)
{
    static _Thread_local char reason[128];
    struct tb_uring *u = calloc(1, sizeof(*u));
    struct request *requests = calloc(depth, sizeof(*requests));
    if (u == NULL || requests == NULL) {
        free(u);
        free(requests);
        return tb_fail(err, -ENOMEM, "no memory for %u disk requests", depth);
    }
    u->requests = requests;
    u->depth = depth;
    list_init(&u->queued);
    list_init(&u->done);
    u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->event < 0) {
        int rc = -errno;
        free(requests);
        free(u);
        return tb_fail(err, rc, "cannot make an eventfd: %s", strerror(-rc));
    }
    if (out_fallback != NULL)
        *out_fallback = NULL;
    int rc = plain ? 0 : io_uring_queue_init(depth, &u->ring, 0);
    u->plain = plain || rc != 0;
    if (rc != 0 && out_fallback != NULL)
        *out_fallback = refusal(rc, reason, sizeof(reason));
    if (!u->plain) {
        u->registered = buffers_register(u, buffers, buffer_count, buffer_bytes);
        /* One descriptor says it all: what the kernel completed, and what a fault held back. */
        (void)io_uring_register_eventfd(&u->ring, u->event);
    }
    *out_ring = u;
    return 0;
}

int tb_uring_open(unsigned depth, void *buffers, unsigned buffer_count, size_t buffer_bytes,
                  struct tb_uring **out_ring, const char **out_fallback, struct tb_error *err)
{
    return open_any(depth, false, buffers, buffer_count, buffer_bytes, out_ring, out_fallback, err);
}

int tb_uring_open_plain(unsigned depth, struct tb_uring **out_ring, struct tb_error *err)
{
    return open_any(depth, true, NULL, 0, 0, out_ring, NULL, err);
}

void tb_uring_close(struct tb_uring *u)
{
    if (u == NULL)
        return;
    if (!u->plain)
        io_uring_queue_exit(&u->ring);
    (void)close(u->event);
    free(u->requests);
    free(u);
}

/* ---- queueing ---- */

static struct request *request_new(struct tb_uring *u, struct request wanted)
{
    if (u->in_flight == u->depth)
        return NULL;
    struct request *r = u->requests;
    while (r->used)
        r++;
    *r = wanted;
    r->used = true;
    r->number = ++u->number;
    u->in_flight++;
    if (u->fault != NULL && u->fault->decide != NULL) {
        long rc = u->fault->decide(u->fault->context, r->number, r->op, r->fd, r->bytes, r->count,
                                   r->offset);
        if (rc <= 0) {
            r->refused = true;
            r->result = rc;
        } else if (rc > 1 && (size_t)rc < r->count) {
            r->count = (size_t)rc; /* a short count: that much is carried out */
            r->link = false;       /* and what hangs on it is cancelled: see submit */
            r->refused = wanted.link;
            r->result = rc;
        }
    }
    list_add(&u->queued, r);
    return r;
}

int tb_uring_write(struct tb_uring *u, int fd, int buffer, const void *bytes, size_t count,
                   uint64_t offset, uint64_t tag, bool link)
{
    return request_new(u, (struct request){.op = TB_URING_WRITE,
                                           .fd = fd,
                                           .buffer = buffer,
                                           .bytes = (void *)(uintptr_t)bytes,
                                           .count = count,
                                           .offset = offset,
                                           .tag = tag,
                                           .link = link}) != NULL
               ? 0
               : -EAGAIN;
}

int tb_uring_read(struct tb_uring *u, int fd, int buffer, void *bytes, size_t count,
                  uint64_t offset, uint64_t tag)
{
    return request_new(u, (struct request){.op = TB_URING_READ,
                                           .fd = fd,
                                           .buffer = buffer,
                                           .bytes = bytes,
                                           .count = count,
                                           .offset = offset,
                                           .tag = tag}) != NULL
               ? 0
               : -EAGAIN;
}

int tb_uring_sync(struct tb_uring *u, int fd, uint64_t tag)
{
    return request_new(
               u, (struct request){.op = TB_URING_SYNC, .fd = fd, .buffer = -1, .tag = tag}) != NULL
               ? 0
               : -EAGAIN;
}

int tb_uring_allocate(struct tb_uring *u, int fd, size_t count, uint64_t tag)
{
    return request_new(u, (struct request){.op = TB_URING_ALLOCATE,
                                           .fd = fd,
                                           .buffer = -1,
                                           .count = count,
                                           .tag = tag}) != NULL
               ? 0
               : -EAGAIN;
}

/* ---- submitting ---- */

static void finish(struct tb_uring *u, struct request *r, long result)
{
    r->result = result;
    if (u->fault != NULL && u->fault->delay != NULL)
        r->delay = u->fault->delay(u->fault->context, r->number);
    list_add(&u->done, r);
}

static long carry_out(const struct request *r)
{
    long rc;
    if (r->op == TB_URING_ALLOCATE)
        return -posix_fallocate(r->fd, 0, (off_t)r->count);
    do {
        switch (r->op) {
        case TB_URING_WRITE:
            rc = pwrite(r->fd, r->bytes, r->count, (off_t)r->offset);
            break;
        case TB_URING_READ:
            rc = pread(r->fd, r->bytes, r->count, (off_t)r->offset);
            break;
        case TB_URING_ALLOCATE:
        case TB_URING_SYNC:
        default:
            rc = fdatasync(r->fd);
            break;
        }
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

static void fill(const struct tb_uring *u, struct io_uring_sqe *sqe, struct request *r)
{
    int index = u->registered ? r->buffer : -1;
    switch (r->op) {
    case TB_URING_WRITE:
        if (index >= 0)
            io_uring_prep_write_fixed(sqe, r->fd, r->bytes, (unsigned)r->count, r->offset, index);
        else
            io_uring_prep_write(sqe, r->fd, r->bytes, (unsigned)r->count, r->offset);
        break;
    case TB_URING_READ:
        if (index >= 0)
            io_uring_prep_read_fixed(sqe, r->fd, r->bytes, (unsigned)r->count, r->offset, index);
        else
            io_uring_prep_read(sqe, r->fd, r->bytes, (unsigned)r->count, r->offset);
        break;
    case TB_URING_ALLOCATE:
        io_uring_prep_fallocate(sqe, r->fd, 0, 0, (off_t)r->count);
        break;
    case TB_URING_SYNC:
    default:
        io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
        break;
    }
    if (r->link)
        io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
    io_uring_sqe_set_data(sqe, r);
}

/* A refused request stands for a failed one, so what is linked behind it is cancelled, as a kernel does. */
static bool refuse(struct tb_uring *u, struct request *r)
{
    bool link = r->link;
    long result = r->result;
    if (result > 0) {
        link = true;
        result = carry_out(r);
    }
    finish(u, r, result);
    while (link && (r = list_take(&u->queued)) != NULL) {
        link = r->link;
        finish(u, r, -ECANCELED);
    }
    return true;
}

int tb_uring_submit(struct tb_uring *u)
{
    struct request *r;
    unsigned filled = 0;
    while ((r = list_take(&u->queued)) != NULL) {
        if (r->refused) {
            refuse(u, r);
            continue;
        }
        if (u->plain) {
            size_t count = r->count;
            bool link = r->link;
            long rc = carry_out(r);
            finish(u, r, rc);
            if (link && (rc < 0 || (size_t)rc != count))
                while (link && (r = list_take(&u->queued)) != NULL) {
                    link = r->link;
                    finish(u, r, -ECANCELED);
                }
            continue;
        }
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring); /* as many as requests: never NULL */
        TB_ASSERT(sqe != NULL);
        if (r->link && u->queued.first == NULL)
            r->link = false; /* nothing behind it in this batch */
        if (r->link && u->queued.first->refused)
            r->link = false; /* what is behind it is not carried out anyway */
        fill(u, sqe, r);
        filled++;
    }
    while (filled > 0) {
        int rc = io_uring_submit(&u->ring);
        if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
            return rc;
        if (rc > 0) {
            filled -= (unsigned)rc < filled ? (unsigned)rc : filled;
            u->in_kernel += (unsigned)rc;
        }
    }
    if (u->done.first != NULL && eventfd_write(u->event, 1) != 0)
        return -errno;
    return 0;
}

/* ---- reaping ---- */

static void collect(struct tb_uring *u)
{
    struct io_uring_cqe *cqe;
    while (!u->plain && u->in_kernel > 0 && io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct request *r = io_uring_cqe_get_data(cqe);
        long result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        u->in_kernel--;
        finish(u, r, result);
    }
}

/* The first that is not held back; if all are and nothing else can come, the one held back longest. */
static struct request *next_done(struct tb_uring *u)
{
    struct request **at = &u->done.first;
    while (*at != NULL && (*at)->delay > 0)
        at = &(*at)->next;
    if (*at == NULL) {
        if (u->done.first == NULL || u->in_kernel > 0)
            return NULL;
        at = &u->done.first;
    }
    struct request *r = *at;
    *at = r->next;
    if (u->done.last == &r->next)
        u->done.last = at;
    for (struct request *other = u->done.first; other != NULL; other = other->next)
        if (other->delay > 0)
            other->delay--;
    return r;
}

static unsigned deliver(struct tb_uring *u, struct tb_uring_done *out_done, unsigned max)
{
    unsigned count = 0;
    struct request *r;
    collect(u);
    while (count < max && (r = next_done(u)) != NULL) {
        out_done[count++] = (struct tb_uring_done){.op = r->op, .tag = r->tag, .result = r->result};
        r->used = false;
        u->in_flight--;
    }
    return count;
}

int tb_uring_reap(struct tb_uring *u, struct tb_uring_done *out_done, unsigned max, bool wait,
                  tb_ns timeout_ns)
{
    eventfd_t ignored;
    tb_ns deadline = wait ? tb_clock_mono() + timeout_ns : 0;
    for (;;) {
        /* Before the look: a completion after it makes the descriptor readable again. */
        if (u->in_flight > 0)
            (void)eventfd_read(u->event, &ignored);
        unsigned count = deliver(u, out_done, max);
        if (count > 0 || !wait || u->in_flight == 0) {
            if (u->done.first != NULL)
                (void)eventfd_write(u->event, 1); /* more than max: they are still there */
            return (int)count;
        }
        tb_ns left = deadline - tb_clock_mono();
        if (left <= 0)
            return 0;
        struct pollfd fd = {.fd = u->event, .events = POLLIN};
        if (poll(&fd, 1, (int)(left / TB_NS_PER_MS) + 1) < 0 && errno != EINTR)
            return -errno;
    }
}

int tb_uring_fd(const struct tb_uring *u)
{
    return u->event;
}

unsigned tb_uring_in_flight(const struct tb_uring *u)
{
    return u->in_flight;
}

void tb_uring_inject(struct tb_uring *u, const struct tb_uring_fault *fault)
{
    u->fault = fault;
}

const struct tb_uring_fault *tb_uring_injected(const struct tb_uring *u)
{
    return u->fault;
}
