#include "fuzz_keep.h"

struct adapter *fuzz_take(unsigned which, const struct adapter_ops *ops,
                          const struct adapter_config *config, const struct adapter_host *host)
{
    struct adapter *a = ops->create(config, host, NULL);
    (void)which;
    TB_ASSERT(a != NULL);
    return a;
}

void fuzz_give(const struct adapter_ops *ops, struct adapter *a)
{
    ops->destroy(a);
}
