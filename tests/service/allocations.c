/*
 * Preloaded into a program: counts its allocations, from the dynamic linker's first on, in the file that
 * TICKBUS_ALLOCATIONS names (64 bits, mapped), for a test to read while the program runs.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static _Atomic(uint64_t) own, *count = &own;

__attribute__((constructor)) static void share(void)
{
    const char *path = getenv("TICKBUS_ALLOCATIONS");
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof(own)) != 0)
        return;
    void *page = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (page == MAP_FAILED)
        return;
    count = page;
}

static void counted(void)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    counted();
    return __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t bytes)
{
    counted();
    return __libc_calloc(n, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t bytes)
{
    counted();
    return __libc_realloc(memory, bytes);
}

__attribute__((visibility("default"))) int posix_memalign(void **out, size_t alignment,
                                                          size_t bytes)
{
    counted();
    *out = __libc_memalign(alignment, bytes);
    return *out != NULL ? 0 : 12; /* ENOMEM */
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t bytes)
{
    counted();
    return __libc_memalign(alignment, bytes);
}
