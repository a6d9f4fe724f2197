/*
 * The files of a bus. Half-made files are never seen: they are made under a temporary name, under
 * the producer's lock, and renamed when whole. Memory is reserved when a file is made
 * (posix_fallocate), because a store to a sparse file on a full tmpfs is a SIGBUS.
 *
 * Modes: directories 0750, files 0640. Nothing here is ever made writable for everybody, except the
 * directory that users share, which is sticky like /tmp.
 */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapping_guard.h"

#define COMMON_BASE "/dev/shm/tickbus"

int tb_path(char out_path[TB_PATH_BYTES], const char *dir, const char *name, const char *suffix,
            struct tb_error *err)
{
    int n = snprintf(out_path, TB_PATH_BYTES, "%s/%s%s", dir, name, suffix);
    if (n < 0 || n >= TB_PATH_BYTES)
        return tb_fail(err, -ENAMETOOLONG, "path too long: %.100s.../%s%s", dir, name, suffix);
    return 0;
}

int tb_bus_dir(const char *base, const char *bus, char *out_path, size_t path_bytes,
               struct tb_error *err)
{
    if (bus == NULL)
        bus = "default";
    if (base == NULL)
        base = getenv("TICKBUS_DIR");
    if (base == NULL || base[0] == '\0')
        base = COMMON_BASE;
    if (!tb_name_check(bus))
        return tb_fail(err, -EINVAL,
                       "bus name \"%.40s\" is not fit: use a-z 0-9 _ -, at most 31 characters",
                       bus);
    int n = snprintf(out_path, path_bytes, "%s/%s", base, bus);
    if (n < 0 || (size_t)n >= path_bytes)
        return tb_fail(err, -ENAMETOOLONG, "bus directory too long: %.100s.../%s", base, bus);
    return 0;
}

/* The directory that nothing could be made in: whose is it, and what then? */
static int fail_refused(const char *path, const char *refused, int rc, struct tb_error *err)
{
    char parent[TB_PATH_BYTES];
    struct stat st;
    snprintf(parent, sizeof(parent), "%s", refused);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        strcpy(parent, ".");
    else
        slash[slash == parent] = '\0';
    if (rc == -EROFS)
        return tb_fail(err, rc,
                       "cannot make %s: %s is read-only; give another directory with "
                       "--directory or TICKBUS_DIR",
                       path, parent);
    if (stat(parent, &st) != 0)
        return tb_fail(err, rc,
                       "cannot make %s: %s can not be entered by uid %u; give another directory "
                       "with --directory or TICKBUS_DIR",
                       path, parent, (unsigned)geteuid());
    return tb_fail(
        err, rc,
        "cannot make %s: %s belongs to uid %u, mode %04o, and this is uid %u; let it write "
        "there, or give another directory with --directory or TICKBUS_DIR",
        path, parent, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777U, (unsigned)geteuid());
}

int tb_directory_make(const char *path, struct tb_error *err)
{
    char part[TB_PATH_BYTES], refused[TB_PATH_BYTES] = "";
    int why = 0;
    if (strlen(path) >= sizeof(part))
        return tb_fail(err, -ENAMETOOLONG, "path too long: %.100s...", path);
    strcpy(part, path);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char kept = *c;
        *c = '\0';
        if (mkdir(part, 0750) == 0) {
            if (strcmp(part, COMMON_BASE) == 0)
                (void)chmod(part,
                            01777); /* else it is the first user's alone, who hears nothing of it */
        } else if (errno == EROFS || errno == EACCES) { /* perhaps it is there all the same */
            if (why == 0)
                strcpy(refused, part);
            why = why == 0 ? -errno : why;
        } else if (errno != EEXIST) {
            return tb_fail(err, -errno, "cannot make directory %s: %s", part, strerror(errno));
        }
        *c = kept;
        if (kept == '\0')
            break;
    }

    struct stat st;
    if (stat(path, &st) != 0)
        return why != 0
                   ? fail_refused(path, refused, why, err)
                   : tb_fail(err, -errno, "cannot make directory %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return tb_fail(err, -ENOTDIR, "%s is not a directory", path);
    if (geteuid() != 0 && st.st_uid != geteuid() && st.st_uid != 0)
        return tb_fail(err, -EACCES, "directory %s belongs to uid %u: use another TICKBUS_DIR",
                       path, (unsigned)st.st_uid);
    if ((st.st_mode & S_IWOTH) != 0)
        return tb_fail(err, -EACCES, "everybody may write in %s: chmod o-w it, or use another",
                       path);
    return 0;
}

/* ---- locks ---- */

static struct flock whole_file_lock(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
}

int tb_lock_open(const char *path, bool create, mode_t mode, int *out_fd)
{
    /* Again only if the file was removed by its last owner between our open and our lock. */
    for (int tries = 0; tries < 100; tries++) {
        int fd =
            open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0), mode);
        if (fd < 0)
            return -errno;
        struct flock lock = whole_file_lock();
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
            int rc = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
            (void)close(fd);
            return rc;
        }
        struct stat ours, named;
        if (fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode)) {
            (void)close(fd);
            return -EINVAL;
        }
        if (lstat(path, &named) == 0 && named.st_ino == ours.st_ino &&
            named.st_dev == ours.st_dev) {
            *out_fd = fd;
            return 0;
        }
        (void)close(fd);
        if (!create)
            return -ENOENT;
    }
    return -EBUSY;
}

bool tb_lock_held(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct flock lock = whole_file_lock();
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd);
    return held;
}

/* ---- making ---- */

int tb_segment_reserve(int fd, size_t at, size_t bytes)
{
    int rc;
    do
        rc = posix_fallocate(fd, (off_t)at, (off_t)bytes);
    while (rc == EINTR);
    return -rc;
}

static void remember(struct tb_segment *s, const struct stat *st)
{
    s->device = st->st_dev;
    s->inode = st->st_ino;
}

int tb_segment_settle(const struct tb_segment *s, const struct tb_segment_options *options,
                      const char *path, struct tb_error *err)
{
    /* A hint: a kernel without huge pages in tmpfs says EINVAL, and the ring works as well. */
    if (options->huge_pages)
        (void)madvise(s->base, s->bytes, MADV_HUGEPAGE);
    /* The memory is reserved; this maps it, so that no publish takes a page fault. Older kernels
     * (before 5.14) do not know the advice and take the faults on the first lap. */
    (void)madvise(s->base, s->bytes, 23 /* MADV_POPULATE_WRITE, not in every libc's headers */);
    if (options->lock_pages && mlock(s->base, s->bytes) != 0)
        return tb_fail(err, -errno, "cannot lock %zu bytes of %s in memory: %s; raise LimitMEMLOCK",
                       s->bytes, path, strerror(errno));
    return 0;
}

int tb_segment_create(const char *path, size_t bytes, const struct tb_segment_options *options,
                      struct tb_segment *out_segment, struct tb_error *err)
{
    char temporary[TB_PATH_BYTES + 8];
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    /* What a creator left who died before it was done; we hold the lock, so nobody makes it now. */
    (void)unlink(temporary);

    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return tb_fail(err, -errno, "cannot create %s: %s", temporary, strerror(errno));
    struct tb_segment s = TB_SEGMENT_NONE;
    struct stat st;
    int rc = tb_segment_reserve(fd, 0, bytes);
    if (rc != 0) {
        rc =
            tb_fail(err, rc, "cannot reserve %zu bytes for %s: %s; make room or a smaller capacity",
                    bytes, path, strerror(-rc));
        goto out;
    }
    if (fstat(fd, &st) != 0) {
        rc = tb_fail(err, -errno, "cannot stat %s: %s", temporary, strerror(errno));
        goto out;
    }
    s.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s.base == MAP_FAILED) {
        rc = tb_fail(err, -errno, "cannot map %s: %s", temporary, strerror(errno));
        goto out;
    }
    s.bytes = bytes;
    remember(&s, &st);
    rc = tb_segment_settle(&s, options, path, err);
    if (rc == 0)
        *out_segment = s;
    else
        (void)munmap(s.base, bytes);
out:
    (void)close(fd);
    if (rc != 0)
        (void)unlink(temporary);
    return rc;
}

int tb_segment_publish(struct tb_segment *s, const char *path, struct tb_error *err)
{
    char temporary[TB_PATH_BYTES + 8];
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    if (rename(temporary, path) == 0)
        return 0;
    int rc = tb_fail(err, -errno, "cannot rename %s: %s", temporary, strerror(errno));
    (void)unlink(temporary);
    tb_segment_detach(s);
    return rc;
}

/* ---- attaching ---- */

static bool in_group(gid_t group)
{
    if (group == getegid())
        return true;
    gid_t groups[256];
    int count = getgroups((int)TB_COUNT(groups), groups);
    for (int i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return false;
}

/*
 * Whose file may be believed to be a stream: our own, root's, or one that its owner shares with a
 * group that we are in. Root reads everybody's. What is inside is checked all the same.
 */
static bool file_trusted(const struct stat *st)
{
    uid_t us = geteuid();
    return us == 0 || st->st_uid == us || st->st_uid == 0 ||
           ((st->st_mode & S_IRGRP) != 0 && in_group(st->st_gid));
}

int tb_segment_map(int fd, const char *path, bool writable, size_t min_bytes,
                   struct tb_segment *out_segment, struct tb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return tb_fail(err, -errno, "cannot stat %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tb_fail(err, -EBADMSG, "%s is not a regular file", path);
    if (!file_trusted(&st))
        return tb_fail(err, -EACCES,
                       "%s belongs to uid %u, which is neither us, root, nor sharing it "
                       "with our group",
                       path, (unsigned)st.st_uid);
    if (st.st_size < 0 || (size_t)st.st_size < min_bytes || st.st_size == 0)
        return tb_fail(err, -EBADMSG, "%s is cut short: %lld bytes, at least %zu expected", path,
                       (long long)st.st_size, min_bytes);

    struct tb_segment s = {.bytes = (size_t)st.st_size};
    remember(&s, &st);
    int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    /* Populated, so that reading takes no page faults and memory use does not seem to grow. */
    s.base = mmap(NULL, s.bytes, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (s.base == MAP_FAILED)
        return tb_fail(err, -errno, "cannot map %s: %s", path, strerror(errno));
    s.guard = tb_guard_add(s.base, s.bytes, prot);
    if (s.guard < 0) {
        (void)munmap(s.base, s.bytes);
        return tb_fail(err, -EMFILE, "cannot guard the mapping of %s: too many in this process",
                       path);
    }
    *out_segment = s;
    return 0;
}

int tb_segment_attach(const char *path, bool writable, size_t min_bytes,
                      struct tb_segment *out_segment, struct tb_error *err)
{
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return tb_fail(err, -errno, "cannot open %s: %s", path, strerror(errno));
    int rc = tb_segment_map(fd, path, writable, min_bytes, out_segment, err);
    (void)close(fd);
    return rc;
}

void tb_segment_detach(struct tb_segment *s)
{
    if (s->base == NULL)
        return;
    tb_guard_remove(s->guard);
    (void)munmap(s->base, s->bytes);
    *s = TB_SEGMENT_NONE;
}

bool tb_segment_is_named(const struct tb_segment *s, const char *path)
{
    struct stat st;
    return lstat(path, &st) != 0 || (st.st_ino == s->inode && st.st_dev == s->device);
}

/* ---- believing ---- */

int tb_ring_header_check(const struct tb_segment *s, const char *stream,
                         struct tb_ring_fixed *out_fixed, struct tb_error *err)
{
    struct tb_ring_fixed f;
    if (s->bytes < TB_RING_INSTRUMENTS_OFFSET)
        return tb_fail(err, -EBADMSG, "ring %s: %zu bytes are too few for a header", stream,
                       s->bytes);
    memcpy(&f, s->base, sizeof(f));

    if (f.magic != TB_RING_MAGIC)
        return tb_fail(err, -EPROTO,
                       "ring %s: magic %#llx, this build reads %#llx: not a tickbus ring", stream,
                       (unsigned long long)f.magic, (unsigned long long)TB_RING_MAGIC);
    if (f.layout != TB_RING_LAYOUT)
        return tb_fail(err, -EPROTO,
                       "ring %s: layout %u, this build reads %u; use the build that made "
                       "it, or rebuild this one",
                       stream, f.layout, TB_RING_LAYOUT);
    if (f.record_bytes != TB_RECORD_BYTES)
        return tb_fail(err, -EPROTO, "ring %s: records of %u bytes, this build reads %u", stream,
                       f.record_bytes, TB_RECORD_BYTES);
    if (f.epoch == 0 || f.epoch > INT64_MAX)
        return tb_fail(err, -EBADMSG, "ring %s: epoch %llu", stream, (unsigned long long)f.epoch);
    if (f.capacity < TB_CAPACITY_MIN || f.capacity > TB_CAPACITY_MAX ||
        (f.capacity & (f.capacity - 1)) != 0)
        return tb_fail(err, -EBADMSG, "ring %s: capacity %llu is no power of two from %d to %llu",
                       stream, (unsigned long long)f.capacity, TB_CAPACITY_MIN,
                       (unsigned long long)TB_CAPACITY_MAX);
    /* No sum here can overflow: each term is bounded before it is added. */
    if (f.instruments_max == 0 || f.instruments_max > TB_INSTRUMENTS_MAX ||
        f.instruments_offset % TB_CACHE_LINE != 0 ||
        f.instruments_offset < TB_RING_LIVE_OFFSET + sizeof(struct tb_ring_live) ||
        (uint64_t)f.instruments_offset + f.instruments_max * sizeof(struct tb_instrument) >
            s->bytes)
        return tb_fail(err, -EBADMSG, "ring %s: instrument table of %u at %u is outside the file",
                       stream, f.instruments_max, f.instruments_offset);
    if (f.slots_offset % TB_CACHE_LINE != 0 ||
        f.slots_offset < f.instruments_offset + f.instruments_max * sizeof(struct tb_instrument) ||
        f.slots_offset > s->bytes ||
        s->bytes - f.slots_offset < f.capacity * sizeof(struct tb_slot))
        return tb_fail(err, -EBADMSG, "ring %s: %llu slots at %llu do not fit a file of %zu bytes",
                       stream, (unsigned long long)f.capacity, (unsigned long long)f.slots_offset,
                       s->bytes);
    if (f.pace > TB_PACE_GATED)
        return tb_fail(err, -EBADMSG, "ring %s: pace %u", stream, f.pace);
    if (!tb_name_check(f.stream) || strncmp(f.stream, stream, sizeof(f.stream)) != 0)
        return tb_fail(err, -EBADMSG, "ring %s: the header names another stream", stream);
    *out_fixed = f;
    return 0;
}
