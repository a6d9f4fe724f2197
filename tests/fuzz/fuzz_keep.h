/*
 * An adapter as new, for one run. Two ways: fuzz_fresh.c makes and destroys one each time.
 * fuzz_keep.c, for libFuzzer, makes one for each configuration and keeps it: what its making left
 * behind in zeroed memory (calloc: all that says where it stands) is copied aside, and put back
 * before each run, which is many times faster. Memory that comes unset (malloc) holds nothing
 * before a run and is left as it is. Each block ends before poisoned bytes.
 */
#ifndef TICKBUS_TESTS_FUZZ_KEEP_H
#define TICKBUS_TESTS_FUZZ_KEEP_H

#include "fuzz.h"
#include "producers/adapter/adapter.h"

#define FUZZ_KEPT_MAX 4

/* fuzz_take: `which` names the configuration, below FUZZ_KEPT_MAX. */
struct adapter *fuzz_take(unsigned which, const struct adapter_ops *ops,
                          const struct adapter_config *config, const struct adapter_host *host);
void fuzz_give(const struct adapter_ops *ops, struct adapter *a);

#endif
