/*
 * Preloaded into a program: while the file that TICKBUS_STUCK names is there, the disk does not answer: who
 * syncs, waits, and says so by making <file>.met. It answers at last when the process is about to be gone:
 * whoever waited goes on beside its last steps.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int synced(long call, int fd)
{
    const char *stuck = getenv("TICKBUS_STUCK");
    for (bool met = false; stuck != NULL && access(stuck, F_OK) == 0; met = true) {
        char name[4096];
        (void)snprintf(name, sizeof(name), "%s.met", stuck);
        if (!met)
            (void)close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        (void)usleep(1000);
    }
    return (int)syscall(call, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return synced(SYS_fsync, fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return synced(SYS_fdatasync, fd);
}

__attribute__((destructor)) static void answer_at_last(void)
{
    const char *stuck = getenv("TICKBUS_STUCK");
    if (stuck != NULL && unlink(stuck) == 0)
        (void)usleep(300000);
}
