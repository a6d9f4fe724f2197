/*
 * Checkpoints. The file, <service>.state:
 *
 *        0  +------------------------------+
 *           | struct tb_checkpoint_page    |  current: 0 none, 1 or 2: that buffer is whole
 *     4096  +------------------------------+
 *           | buffer 1 [capacity]          |  sparse: reserved as far as a save ever reached
 *           +------------------------------+
 *           | buffer 2 [capacity]          |
 *           +------------------------------+
 *
 * A process that is killed leaves every store it made, in order: `current` moves after the bytes.
 */
#include <tickbus/checkpoint.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/instrument.h>
#include <tickbus/journal.h>
#include <tickbus/log.h>

#include "segment.h"

#define MAGIC UINT64_C(0x314554415453424b) /* "KBSTATE1" */
#define LAYOUT 2
#define BUFFERS_OFFSET 4096
#define BYTES_MAX (UINT64_C(1) << 36)

struct tb_checkpoint_page {
    uint64_t magic;
    uint32_t layout;
    uint32_t version;
    uint64_t capacity;
    TB_ATOMIC(uint64_t) bytes[2];
    TB_ATOMIC(uint32_t) current;
    TB_ATOMIC(uint32_t)
    crc[2]; /* CRC32C of the buffers' bytes: a process can not leave them wrong,
                                 * a person can */
};

static char *buffer(const struct tb_checkpoint *c, unsigned i)
{
    return (char *)c->page + BUFFERS_OFFSET + i * c->capacity;
}

static size_t file_bytes(size_t capacity)
{
    return BUFFERS_OFFSET + 2 * capacity;
}

/* Is it a whole file of this very kind? Another process's bytes: checked, not asserted. */
static bool page_fits(const struct tb_checkpoint_page *p, uint32_t version, size_t capacity)
{
    return p->magic == MAGIC && p->layout == LAYOUT && p->version == version &&
           p->capacity == capacity && p->current <= 2 && p->bytes[0] <= capacity &&
           p->bytes[1] <= capacity;
}

/* Map the file, of the right size; an old one of another size is emptied. */
static int map_file(int fd, size_t capacity, struct tb_checkpoint_page **out_page)
{
    struct stat st;
    off_t wanted = (off_t)file_bytes(capacity);
    if (fstat(fd, &st) != 0)
        return -errno;
    if (st.st_size != wanted && st.st_size != 0)
        tb_log(TB_LOG_WARN, "checkpoint_refused",
               "reason=\"it is of another size\" then=\"as if there were none\"");
    if (st.st_size != wanted && (ftruncate(fd, 0) != 0 || ftruncate(fd, wanted) != 0))
        return -errno;
    int rc = tb_segment_reserve(fd, 0, BUFFERS_OFFSET);
    if (rc != 0)
        return rc;
    void *page =
        mmap(NULL, (size_t)wanted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    *out_page = page;
    return 0;
}

int tb_checkpoint_open(const char *bus_dir, const char *service, uint32_t version, size_t max_bytes,
                       struct tb_checkpoint *out_checkpoint, struct tb_error *err)
{
    char path[TB_PATH_BYTES];
    if (!tb_name_check(service) || max_bytes == 0 || max_bytes > BYTES_MAX)
        return tb_fail(err, -EINVAL, "checkpoint of %s: bad name or size", service);
    int rc = tb_directory_make(bus_dir, err);
    if (rc == 0)
        rc = tb_path(path, bus_dir, service, ".state", err);
    if (rc != 0)
        return rc;
    struct tb_checkpoint c = {.fd = -1, .capacity = (max_bytes + 4095) & ~(size_t)4095};
    rc = tb_lock_open(path, true, 0640, &c.fd);
    if (rc == 0)
        rc = map_file(c.fd, c.capacity, &c.page);
    if (rc != 0) {
        if (c.fd >= 0)
            (void)close(c.fd); /* nothing was written */
        return tb_fail(err, rc, "cannot open checkpoint %s: %s", path, strerror(-rc));
    }
    if (!page_fits(c.page, version, c.capacity)) {
        if (c.page->magic != 0) /* 0: a new file */
            tb_log(
                TB_LOG_WARN, "checkpoint_refused",
                "file=%s reason=\"damaged, or of another version\" then=\"as if there were none\"",
                path);
        memset((void *)c.page, 0, sizeof(*c.page));
        c.page->layout = LAYOUT;
        c.page->version = version;
        c.page->capacity = c.capacity;
        atomic_thread_fence(memory_order_release);
        c.page->magic = MAGIC; /* last: a half-made header is none */
    }
    *out_checkpoint = c;
    return 0;
}

void tb_checkpoint_close(struct tb_checkpoint *c)
{
    if (c == NULL || c->page == NULL)
        return;
    (void)munmap((void *)c->page, file_bytes(c->capacity)); /* ours: can not fail */
    (void)close(c->fd); /* shared memory: nothing left to write */
    *c = (struct tb_checkpoint){.fd = -1};
}

/* The buffer that is not current. */
static unsigned other(const struct tb_checkpoint *c)
{
    return atomic_load_explicit(&c->page->current, memory_order_relaxed) == 1 ? 1 : 0;
}

void *tb_checkpoint_begin(struct tb_checkpoint *c, size_t bytes)
{
    unsigned i = other(c);
    if (bytes > c->capacity)
        return NULL;
    if (bytes > c->reserved[i]) {
        if (tb_segment_reserve(c->fd, BUFFERS_OFFSET + i * c->capacity, bytes) != 0)
            return NULL;
        c->reserved[i] = bytes;
    }
    return buffer(c, i);
}

void tb_checkpoint_commit(struct tb_checkpoint *c, size_t bytes)
{
    unsigned i = other(c);
    TB_ASSERT(bytes <= c->capacity);
    atomic_store_explicit(&c->page->bytes[i], bytes, memory_order_relaxed);
    atomic_store_explicit(&c->page->crc[i], tb_crc32c(0, buffer(c, i), bytes),
                          memory_order_relaxed);
    TB_POINT("checkpoint:before_commit");
    atomic_store_explicit(&c->page->current, i + 1, memory_order_release);
    TB_POINT("checkpoint:after_commit");
}

const void *tb_checkpoint_load(const struct tb_checkpoint *c, size_t *out_bytes)
{
    uint32_t current = atomic_load_explicit(&c->page->current, memory_order_acquire);
    *out_bytes = 0;
    if (current != 1 && current != 2)
        return NULL;
    size_t bytes = (size_t)c->page->bytes[current - 1];
    if (bytes > c->capacity ||
        tb_crc32c(0, buffer(c, current - 1), bytes) != c->page->crc[current - 1]) {
        tb_log(TB_LOG_WARN, "checkpoint_refused",
               "reason=\"its bytes are damaged\" then=\"as if there were none\"");
        return NULL;
    }
    *out_bytes = bytes;
    return buffer(c, current - 1);
}
