/*
 * A service's checkpoint, <service>.state in the bus directory: what it needs to go on after kill
 * -9 as if it had never died. Two buffers and an index; a save fills the buffer that is not
 * current, then makes it current with one release store. Death at any instant leaves one whole
 * checkpoint.
 *
 * It lives as long as the rings do (shared memory): it survives processes, not the host. That is
 * the lifetime of the rings' epochs; what goes on without it: service.h, on_past. A CRC32C of the
 * saved bytes keeps out what was changed from outside; such a checkpoint is none.
 */
#ifndef TICKBUS_CHECKPOINT_H
#define TICKBUS_CHECKPOINT_H

#include <tickbus/base.h>

TB_EXTERN_BEGIN

struct tb_checkpoint {
    struct tb_checkpoint_page *page;
    size_t capacity; /* bytes of one buffer */
    size_t reserved[2];
    int fd;
};

/*
 * tb_checkpoint_open: map the file, made if it is not there. max_bytes is the most that one save
 * will ever hold: address space, not memory; memory is reserved by begin as it is needed. A file
 * with another size, layout or version is started anew (and load finds nothing; both are logged).
 * Errors    -EBUSY another process has it; -EINVAL bad name or size; -ENOSPC and the like
 * version: the service's own format number; change it when the saved bytes change their meaning.
 */
int tb_checkpoint_open(const char *bus_dir, const char *service, uint32_t version, size_t max_bytes,
                       struct tb_checkpoint *out_checkpoint, struct tb_error *err);
void tb_checkpoint_close(struct tb_checkpoint *c);

/*
 * tb_checkpoint_begin: the buffer to fill, with room for `bytes`; NULL if the memory is not there
 * or bytes is above the maximum (the last checkpoint stays). tb_checkpoint_commit: make it current.
 */
void *tb_checkpoint_begin(struct tb_checkpoint *c, size_t bytes);
void tb_checkpoint_commit(struct tb_checkpoint *c, size_t bytes);

/* tb_checkpoint_load: the current bytes, valid until the next commit; NULL and 0 if there are
 * none. */
const void *tb_checkpoint_load(const struct tb_checkpoint *c, size_t *out_bytes);

TB_EXTERN_END

#endif
