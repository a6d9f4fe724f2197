/* See server.h. */
#include "bench/server.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>

#define UP_NS (10 * TB_NS_PER_S)
#define LOOK_NS (5 * TB_NS_PER_MS)

bool server_find(const char *program, char *out_path, size_t bytes)
{
    const char *path = getenv("PATH");
    char list[4096];
    snprintf(list, sizeof(list), "%s:/usr/local/sbin:/usr/sbin:/sbin",
             path != NULL ? path : "/usr/bin");
    char *rest = list;
    for (const char *folder; (folder = strsep(&rest, ":")) != NULL;) {
        snprintf(out_path, bytes, "%s/%s", folder, program);
        if (folder[0] == '/' && access(out_path, X_OK) == 0)
            return true;
    }
    return false;
}

pid_t server_start(const char *path, const char *const argv[])
{
    pid_t bench = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    struct sched_param none = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* stays across exec */
    if (getppid() != bench)
        _exit(1);
    (void)setsid(); /* an interrupt from the terminal is for the bench, which then stops it */
    (void)sched_setscheduler(0, SCHED_OTHER,
                             &none); /* with --realtime, the measured processes alone */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    execv(path, (char *const *)(void *)argv);
    _exit(127);
}

bool server_await(pid_t pid, bool (*up)(void *context), void *context)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    tb_ns deadline = tb_clock_mono() + UP_NS;
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0 && tb_clock_mono() < deadline) {
        if (up(context))
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

const char *server_run(const char *program, const char *const argv[], bool (*up)(void *context),
                       void *context, pid_t *pid)
{
    static char why[64];
    char path[256];
    if (*pid > 0)
        return NULL;
    if (!server_find(program, path, sizeof(path))) {
        snprintf(why, sizeof(why), "%s is not installed", program);
        return why;
    }
    *pid = server_start(path, argv);
    if (server_await(*pid, up, context))
        return NULL;
    server_stop(*pid);
    *pid = 0;
    snprintf(why, sizeof(why), "%s does not start", program);
    return why;
}

void server_stop(pid_t pid)
{
    if (pid <= 0)
        return;
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
}
