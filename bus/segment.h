/*
 * The files of a bus: where they are, how they come into being, how they are locked and mapped, and
 * when a ring's header is believed. Internal to the library.
 */
#ifndef TICKBUS_SEGMENT_H
#define TICKBUS_SEGMENT_H

#include <sys/types.h>

#include <tickbus/base.h>
#include <tickbus/ring.h>

#define TB_PATH_BYTES 512

/* One mapped file. All zero is "nothing mapped" only together with guard = -1: use
 * TB_SEGMENT_NONE. */
struct tb_segment {
    void *base;
    size_t bytes;
    dev_t device;
    ino_t inode;
    int guard; /* of mapping_guard.h; -1: none */
};

#define TB_SEGMENT_NONE ((struct tb_segment){.guard = -1})

/* tb_path: "<dir>/<name><suffix>". 0 or -ENAMETOOLONG. */
int tb_path(char out_path[TB_PATH_BYTES], const char *dir, const char *name, const char *suffix,
            struct tb_error *err);

/*
 * tb_lock_open: open a file for reading and writing and take its open-file-description write lock
 * for as long as the descriptor lives. O_CREAT with `mode` if `create`. Makes sure that the locked
 * file is the one that has the name.
 * Errors    -EBUSY another process (or another open of this one) holds it; others from the system
 */
int tb_lock_open(const char *path, bool create, mode_t mode, int *out_fd);

/* tb_lock_held: does somebody hold that lock now? False if there is no such file. */
bool tb_lock_held(const char *path);

/* tb_segment_reserve: make sure that the memory of these bytes of a file is there. 0 or -errno. */
int tb_segment_reserve(int fd, size_t at, size_t bytes);

/*
 * tb_segment_create: a new file of `bytes` under the temporary name `path`.new, memory reserved,
 * mapped for writing, every page present. tb_segment_publish gives it its name: the last step.
 * Errors    -ENOSPC the memory is not there
 */
struct tb_segment_options {
    bool lock_pages;
    bool huge_pages;
};
int tb_segment_create(const char *path, size_t bytes, const struct tb_segment_options *options,
                      struct tb_segment *out_segment, struct tb_error *err);
/* tb_segment_settle: what makes a mapping good before its use: huge pages, presence, residence. */
int tb_segment_settle(const struct tb_segment *s, const struct tb_segment_options *options,
                      const char *path, struct tb_error *err);
int tb_segment_publish(struct tb_segment *s, const char *path, struct tb_error *err);

/*
 * tb_segment_attach: map an existing file, guarded. Refuses what is not a regular file, is shorter
 * than min_bytes, or is not ours to believe (see file_trusted in segment.c).
 * Errors    -ENOENT, -EACCES, -EBADMSG
 */
int tb_segment_attach(const char *path, bool writable, size_t min_bytes,
                      struct tb_segment *out_segment, struct tb_error *err);
/* tb_segment_map: the same for a descriptor that is open already and stays the caller's. */
int tb_segment_map(int fd, const char *path, bool writable, size_t min_bytes,
                   struct tb_segment *out_segment, struct tb_error *err);
void tb_segment_detach(struct tb_segment *s);

/* tb_segment_at: the address of an offset that was checked before. */
static inline void *tb_segment_at(const struct tb_segment *s, uint64_t offset)
{
    return (void *)((uintptr_t)s->base + (uintptr_t)offset);
}

/* tb_segment_is_named: does the path still name this very file? True if the name is gone. */
bool tb_segment_is_named(const struct tb_segment *s, const char *path);

/*
 * tb_ring_header_check: copy the fixed part of a ring into private memory and decide there whether
 * it may be believed: everything that an index or an offset is later made of.
 * Errors    -EPROTO another magic, layout or record size; -EBADMSG it contradicts itself or the
 *           file
 */
int tb_ring_header_check(const struct tb_segment *s, const char *stream,
                         struct tb_ring_fixed *out_fixed, struct tb_error *err);

#endif
