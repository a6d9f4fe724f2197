/* Signals by signalfd, and notices to a service manager (the datagrams of sd_notify(3), without its
 * library). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "service_private.h"

static void notify_open(struct tb_service_private *p)
{
    const char *path = getenv("NOTIFY_SOCKET");
    p->notify_fd = -1;
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof(p->notify_address.sun_path))
        return;
    p->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    p->notify_address.sun_family = AF_UNIX;
    memcpy(p->notify_address.sun_path, path, strlen(path));
    if (path[0] == '@')
        p->notify_address.sun_path[0] = '\0'; /* the abstract name space */
    p->notify_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (usec != NULL && (pid == NULL || strtol(pid, NULL, 10) == getpid()))
        p->watchdog_every = strtoll(usec, NULL, 10) * TB_NS_PER_US / 2;
}

void tb_service_notify(struct tb_service *svc, const char *text)
{
    struct tb_service_private *p = svc->private_;
    if (p->notify_fd >= 0) /* a manager that does not listen is not our trouble */
        (void)sendto(p->notify_fd, text, strlen(text), MSG_NOSIGNAL,
                     (const struct sockaddr *)&p->notify_address, p->notify_length);
}

int tb_service_signals_open(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    sigset_t set;
    tb_command_signals(&set);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a peer that went is an EPIPE */
    (void)sigaction(SIGXFSZ, &ignore, NULL); /* a file that may not grow is an EFBIG */
    p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = p->signal_fd < 0 ? -errno : 0;
    notify_open(p);
    return rc;
}

void tb_service_signals_close(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    if (p->signal_fd >= 0)
        (void)close(p->signal_fd); /* nothing to lose */
    if (p->notify_fd >= 0)
        (void)close(p->notify_fd);
    p->signal_fd = p->notify_fd = -1;
}

void tb_service_begin_stop(struct tb_service *svc, const char *why)
{
    struct tb_service_private *p = svc->private_;
    if (svc->stopping)
        return;
    svc->stopping = true;
    p->stop_mono = tb_clock_mono();
    for (unsigned i = 0; i < svc->input_count; i++)
        if (svc->input[i].open)
            p->input[i].stop_at = tb_service_input_end(svc, i);
    tb_log(TB_LOG_INFO, "draining", "reason=%s", why);
    tb_service_notify(svc, "STOPPING=1");
}

void tb_service_signals_read(struct tb_service *svc)
{
    struct tb_service_private *p = svc->private_;
    struct signalfd_siginfo info;
    while (read(p->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (svc->stopping && !p->stop_now) {
            p->stop_now = true;
            tb_log(TB_LOG_WARN, "stopping_at_once", "reason=\"a second signal\"");
        }
        tb_service_begin_stop(svc, info.ssi_signo == SIGTERM  ? "SIGTERM"
                                   : info.ssi_signo == SIGINT ? "SIGINT"
                                                              : "SIGHUP");
    }
    if (svc->stopping && !p->stop_now && tb_clock_mono() - p->stop_mono > p->opt.drain_timeout) {
        p->stop_now = true;
        tb_log(TB_LOG_ERROR, "drain_timeout", "after_ms=%lld",
               (long long)(p->opt.drain_timeout / TB_NS_PER_MS));
    }
}

void tb_service_sleep(struct tb_service *svc, tb_ns timeout_ns)
{
    struct pollfd fds[] = {{.fd = svc->private_->signal_fd, .events = POLLIN},
                           {.fd = svc->wake_fd, .events = POLLIN}};
    struct timespec timeout = {timeout_ns / TB_NS_PER_S, timeout_ns % TB_NS_PER_S};
    (void)ppoll(fds, svc->wake_fd >= 0 ? 2 : 1, &timeout, NULL); /* early for any reason is fine */
}
