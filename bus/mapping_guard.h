/*
 * Guarded mappings: a file of another process that is cut short under our mapping must not kill us.
 */
#ifndef TICKBUS_MAPPING_GUARD_H
#define TICKBUS_MAPPING_GUARD_H

#include <stddef.h>

/*
 * tb_guard_add: from now on a SIGBUS inside [base, base + bytes) puts zero pages there and sets a
 * flag instead of killing. prot is the mapping's own. Returns a handle >= 0, or -EMFILE.
 */
int tb_guard_add(void *base, size_t bytes, int prot);

/* tb_guard_remove: before the mapping is unmapped. Accepts a negative handle. */
void tb_guard_remove(int handle);

/* tb_guard_broken: the flag, valid until removed. */
volatile int *tb_guard_broken(int handle);

#endif
