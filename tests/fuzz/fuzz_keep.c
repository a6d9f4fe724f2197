#include "fuzz_keep.h"

#include <string.h>

#include <sanitizer/asan_interface.h>

#define BLOCKS_MAX 64
#define REDZONE 64

struct block {
    char *at;
    char *image; /* as it was when the adapter was ready */
    size_t bytes;
};

static struct kept {
    struct adapter *a;
    struct block block[BLOCKS_MAX];
    size_t count;
} kept[FUZZ_KEPT_MAX];

static struct kept *making; /* not NULL: whose blocks are made now */

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

/* The linker gives us the calls of the adapters (-Wl,--wrap), not those of libraries. */
void *__wrap_calloc(size_t count, size_t bytes)
{
    if (making == NULL)
        return __real_calloc(count, bytes);
    TB_ASSERT(making->count < BLOCKS_MAX);
    size_t whole = count * bytes;
    char *at = __real_calloc(1, whole + REDZONE);
    TB_ASSERT(at != NULL);
    ASAN_POISON_MEMORY_REGION(at + whole, REDZONE);
    making->block[making->count++] = (struct block){at, NULL, whole};
    return at;
}

static void make(struct kept *k, const struct adapter_ops *ops, const struct adapter_config *config,
                 const struct adapter_host *host)
{
    making = k;
    k->a = ops->create(config, host, NULL);
    making = NULL;
    TB_ASSERT(k->a != NULL);
    for (size_t i = 0; i < k->count; i++) {
        k->block[i].image = malloc(k->block[i].bytes + 1);
        TB_ASSERT(k->block[i].image != NULL);
        memcpy(k->block[i].image, k->block[i].at, k->block[i].bytes);
    }
}

struct adapter *fuzz_take(unsigned which, const struct adapter_ops *ops,
                          const struct adapter_config *config, const struct adapter_host *host)
{
    struct kept *k = &kept[which];
    TB_ASSERT(which < FUZZ_KEPT_MAX);
    if (k->a == NULL)
        make(k, ops, config, host);
    for (size_t i = 0; i < k->count; i++)
        memcpy(k->block[i].at, k->block[i].image, k->block[i].bytes);
    return k->a;
}

void fuzz_give(const struct adapter_ops *ops, struct adapter *a)
{
    (void)ops, (void)a;
}
