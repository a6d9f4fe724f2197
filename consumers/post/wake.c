#include <consumers/post/wake.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int post_wake_open(struct tb_service *svc)
{
    svc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return svc->wake_fd < 0 ? -errno : 0;
}

void post_wake_close(struct tb_service *svc)
{
    if (svc->wake_fd >= 0)
        (void)close(svc->wake_fd); /* nothing is written there */
    svc->wake_fd = -1;
}

void post_wake_take(const struct tb_service *svc)
{
    uint64_t woken;
    if (read(svc->wake_fd, &woken, sizeof(woken)) < 0) {
        /* Nobody woke us: it is empty. */
    }
}
