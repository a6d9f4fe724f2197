#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PADDED_MAX ((1U << 20) + 4096)

/* The copy ends where the array does, and ASan sees whoever reads beyond that. */
char *fuzz_padded(const char *bytes, size_t count, size_t padding)
{
    static char whole[PADDED_MAX];
    TB_ASSERT(count + padding <= sizeof(whole));
    char *copy = whole + sizeof(whole) - padding - count;
    memcpy(copy, bytes, count);
    memset(copy + count, 0, padding);
    return copy;
}

static char dir[] = "/dev/shm/tickbus-fuzz-XXXXXX";
static char path[128];

static void remove_file(void)
{
    (void)unlink(path); /* at exit there is nobody to tell */
    (void)rmdir(dir);
}

const char *fuzz_file(const char *name, const uint8_t *bytes, size_t count)
{
    if (path[0] == '\0') {
        TB_ASSERT(mkdtemp(dir) != NULL);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        (void)atexit(remove_file);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    TB_ASSERT(fd >= 0);
    TB_ASSERT(write(fd, bytes, count) == (ssize_t)count);
    TB_ASSERT(close(fd) == 0);
    return path;
}
