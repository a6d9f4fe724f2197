/*
 * An ended segment made smaller: zstd frames of 64 pages and the seek table of the seekable format (see
 * journal_zstd.c, which reads it). The plain file goes when the other is on disk under its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "bus/journal_write.h"

#define FRAME_BYTES (64 * (size_t)TB_JOURNAL_PAGE)
#define SKIPPABLE_MAGIC UINT32_C(0x184D2A5E)
#define SEEKABLE_MAGIC UINT32_C(0x8F92EAB1)

struct compress {
    int in, out;
    ZSTD_CCtx *context;
    char *plain, *packed;
    size_t packed_room;
    uint32_t *table; /* two words a frame */
    uint32_t frames;
};

static int write_all(int fd, const void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = write(fd, (const char *)bytes + done, count - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static int read_all(int fd, void *bytes, size_t count, off_t offset)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = pread(fd, (char *)bytes + done, count - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        done += (size_t)n;
    }
    return 0;
}

static int frames_write(struct compress *c, uint64_t bytes, const atomic_bool *stop)
{
    for (uint64_t offset = 0; offset < bytes; offset += FRAME_BYTES) {
        size_t count = bytes - offset < FRAME_BYTES ? (size_t)(bytes - offset) : FRAME_BYTES;
        if (stop != NULL && atomic_load_explicit(stop, memory_order_relaxed))
            return -ECANCELED;
        int rc = read_all(c->in, c->plain, count, (off_t)offset);
        if (rc != 0)
            return rc;
        size_t packed = ZSTD_compress2(c->context, c->packed, c->packed_room, c->plain, count);
        if (ZSTD_isError(packed))
            return -EIO;
        rc = write_all(c->out, c->packed, packed);
        if (rc != 0)
            return rc;
        c->table[2 * c->frames] = (uint32_t)packed;
        c->table[2 * c->frames++ + 1] = (uint32_t)count;
        /* The journal is written past the page cache; reading it back need not fill that either. */
        (void)posix_fadvise(c->in, (off_t)offset, (off_t)count, POSIX_FADV_DONTNEED);
    }
    return 0;
}

static int table_write(struct compress *c)
{
    const uint32_t table_bytes = c->frames * 8 + 9;
    const uint32_t head[2] = {SKIPPABLE_MAGIC, table_bytes};
    unsigned char foot[9] = {0};
    const uint32_t magic = SEEKABLE_MAGIC;
    memcpy(foot, &c->frames, 4);
    memcpy(foot + 5, &magic, 4); /* foot[4]: no checksums: every page has its own */
    int rc = write_all(c->out, head, sizeof(head));
    if (rc == 0)
        rc = write_all(c->out, c->table, c->frames * 8);
    return rc == 0 ? write_all(c->out, foot, sizeof(foot)) : rc;
}

static int pack(struct compress *c, const struct stat *st, int level, const atomic_bool *stop)
{
    size_t frames = ((size_t)st->st_size + FRAME_BYTES - 1) / FRAME_BYTES;
    c->context = ZSTD_createCCtx();
    c->packed_room = ZSTD_compressBound(FRAME_BYTES);
    c->plain = malloc(FRAME_BYTES);
    c->packed = malloc(c->packed_room);
    c->table = calloc(frames, 8);
    if (c->context == NULL || c->plain == NULL || c->packed == NULL || c->table == NULL)
        return -ENOMEM;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(c->context, ZSTD_c_compressionLevel, level)))
        return -EINVAL;
    int rc = frames_write(c, (uint64_t)st->st_size, stop);
    if (rc == 0)
        rc = table_write(c);
    if (rc == 0 && fsync(c->out) != 0)
        rc = -errno;
    return rc;
}

/* 1: it has its end page. */
static int is_ended(int fd, const struct stat *st)
{
    TB_ALIGNAS(8) char page[TB_JOURNAL_PAGE];
    if (st->st_size < 2 * TB_JOURNAL_PAGE || st->st_size % TB_JOURNAL_PAGE != 0)
        return 0;
    int rc = read_all(fd, page, sizeof(page), st->st_size - TB_JOURNAL_PAGE);
    return rc != 0 ? rc : tb_journal_page_check(page, TB_JOURNAL_END, 0) == NULL;
}

int tb_journal_compress(int directory_fd, const char *file, int level, const atomic_bool *stop)
{
    char to[80], temporary[88];
    struct compress c = {.in = -1, .out = -1};
    struct stat st;
    (void)snprintf(to, sizeof(to), "%.64s.zst", file);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", to);
    c.in = openat(directory_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (c.in < 0)
        return -errno;
    int rc = fstat(c.in, &st) != 0 ? -errno : is_ended(c.in, &st);
    if (rc == 1) {
        (void)unlinkat(directory_fd, temporary, 0); /* of a life that ended in the middle */
        c.out = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        rc = c.out < 0 ? -errno : pack(&c, &st, level, stop);
        /* Retention goes by the time of the last record, so the file keeps its time. */
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        if (rc == 0 &&
            (futimens(c.out, times) != 0 ||
             renameat(directory_fd, temporary, directory_fd, to) != 0 || fsync(directory_fd) != 0))
            rc = -errno;
        if (rc == 0 && unlinkat(directory_fd, file, 0) != 0)
            rc = -errno;
        if (rc < 0 && c.out >= 0)
            (void)unlinkat(directory_fd, temporary, 0);
        if (rc == 0)
            rc = 1;
    }
    (void)close(c.in);
    if (c.out >= 0)
        (void)close(c.out);
    (void)ZSTD_freeCCtx(c.context);
    free(c.plain);
    free(c.packed);
    free(c.table);
    return rc;
}
