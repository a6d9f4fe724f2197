/*
 * Batched disk I/O: requests are filled in, submitted once, and reaped. io_uring where the kernel
 * gives it, else plain pwritev, preadv and fdatasync behind the same calls (`fallback` says why).
 *
 * The one place through which the journal touches the disk, so that tests can make it lie: see
 * tb_uring_inject. Requests come from a fixed array; a full queue means reap first.
 */
#ifndef TICKBUS_URING_H
#define TICKBUS_URING_H

#include <sys/types.h>

#include <tickbus/base.h>

TB_EXTERN_BEGIN

struct tb_uring; /* opaque; one thread */

enum tb_uring_op { TB_URING_WRITE, TB_URING_READ, TB_URING_SYNC, TB_URING_ALLOCATE };

struct tb_uring_done {
    enum tb_uring_op op;
    uint64_t tag; /* the caller's */
    long result;  /* bytes, 0 for a sync or an allocation, or -errno; a short count is ordinary */
};

/*
 * tb_uring_open: `depth` requests in flight at most. buffers: memory for registered I/O (may be
 * NULL), `buffer_count` of `buffer_bytes` each, aligned to 4096.
 * *out_fallback (may be NULL): NULL, or why io_uring is not used ("kernel.io_uring_disabled is 2").
 */
int tb_uring_open(unsigned depth, void *buffers, unsigned buffer_count, size_t buffer_bytes,
                  struct tb_uring **out_ring, const char **out_fallback, struct tb_error *err);
/* tb_uring_open_plain: the same calls over pwrite, pread and fdatasync, made by tb_uring_submit,
 * which blocks. */
int tb_uring_open_plain(unsigned depth, struct tb_uring **out_ring, struct tb_error *err);
void tb_uring_close(struct tb_uring *u);

/* Queue one request; -EAGAIN: full, reap first. link: the next one starts only if this one
 * succeeded whole. */
int tb_uring_write(struct tb_uring *u, int fd, int buffer, const void *bytes, size_t count,
                   uint64_t offset, uint64_t tag, bool link);
int tb_uring_read(struct tb_uring *u, int fd, int buffer, void *bytes, size_t count,
                  uint64_t offset, uint64_t tag);
int tb_uring_sync(struct tb_uring *u, int fd, uint64_t tag); /* fdatasync */
/* The first `count` bytes of a file are reserved, and its size is at least that. */
int tb_uring_allocate(struct tb_uring *u, int fd, size_t count, uint64_t tag);

/* tb_uring_submit: hand over all that is queued, with one system call. tb_uring_reap: completions;
 * wait: for at least one, at most timeout_ns. Returns how many. tb_uring_fd: readable when there
 * are some. */
int tb_uring_submit(struct tb_uring *u);
int tb_uring_reap(struct tb_uring *u, struct tb_uring_done *out_done, unsigned max, bool wait,
                  tb_ns timeout_ns);
int tb_uring_fd(const struct tb_uring *u);
unsigned tb_uring_in_flight(const struct tb_uring *u);

/*
 * tb_uring_inject: tests only; NULL: none. `decide` is called when a request is queued, with its
 * running number from 1: a negative result or 0 is given to the caller and nothing is carried out;
 * a result between 1 and count is a short count, of which that much is carried out. `delay` is
 * called when it completed, and says how many later completions the caller sees before it.
 */
struct tb_uring_fault {
    long (*decide)(void *context, uint64_t number, enum tb_uring_op op, int fd, const void *bytes,
                   size_t count, uint64_t offset); /* 1: carry out whole */
    unsigned (*delay)(void *context, uint64_t number);
    void *context;
};
void tb_uring_inject(struct tb_uring *u, const struct tb_uring_fault *fault);
const struct tb_uring_fault *tb_uring_injected(const struct tb_uring *u);

TB_EXTERN_END

#endif
