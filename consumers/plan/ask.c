/* Asking a program: run it, and take what it writes. */
#include "consumers/plan/plan.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#define ANSWER_BYTES_MAX (1024 * 1024)
#define ANSWER_TIMEOUT_MS 20000

extern char **environ;

struct answer {
    int fd;
    char *text;
    size_t used;
};

/* One read; closes at the end or when there is too much of it. */
static void take(struct answer *a)
{
    char part[4096];
    ssize_t n = read(a->fd, part, sizeof(part));
    char *grown = n > 0 && a->used + (size_t)n < ANSWER_BYTES_MAX
                      ? realloc(a->text, a->used + (size_t)n + 1)
                      : NULL;
    if (grown == NULL) {
        (void)close(a->fd); /* only read */
        a->fd = -1;
        return;
    }
    a->text = grown;
    memcpy(a->text + a->used, part, (size_t)n);
    a->used += (size_t)n;
    a->text[a->used] = '\0';
}

static bool take_all(struct answer answers[2])
{
    while (answers[0].fd >= 0 || answers[1].fd >= 0) {
        struct pollfd fds[2] = {{.fd = answers[0].fd, .events = POLLIN},
                                {.fd = answers[1].fd, .events = POLLIN}};
        int n = poll(fds, 2, ANSWER_TIMEOUT_MS);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        for (int i = 0; i < 2; i++)
            if (fds[i].revents != 0)
                take(&answers[i]);
    }
    return true;
}

static int spawn(const char *path, char *const argv[], const int pipes[2][2], pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[0][1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 2);
    int rc = posix_spawn(out_pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

int plan_ask(const struct plan *plan, const struct plan_process *process, const char *question,
             char **out, char **err)
{
    char *argv[] = {(char *)(uintptr_t)process->program,
                    (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)plan->file,
                    (char *)(uintptr_t) "--section",
                    (char *)(uintptr_t)process->section,
                    (char *)(uintptr_t)question,
                    NULL};
    int pipes[2][2];
    if (pipe2(pipes[0], O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(pipes[1], O_CLOEXEC) != 0) {
        (void)close(pipes[0][0]);
        (void)close(pipes[0][1]);
        return -EMFILE;
    }
    pid_t pid = 0;
    int rc = spawn(process->path, argv, (const int(*)[2])pipes, &pid);
    (void)close(pipes[0][1]); /* the child's ends */
    (void)close(pipes[1][1]);
    struct answer answers[2] = {{.fd = pipes[0][0]}, {.fd = pipes[1][0]}};
    if (rc == 0) {
        int status = 0;
        if (!take_all(answers))
            (void)kill(pid, SIGKILL); /* it says nothing and does not end */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        rc = WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
    }
    char **wanted[2] = {out, err};
    for (int i = 0; i < 2; i++) {
        if (answers[i].fd >= 0)
            (void)close(answers[i].fd); /* only read */
        if (wanted[i] != NULL)
            *wanted[i] = answers[i].text != NULL ? answers[i].text : strdup("");
        else
            free(answers[i].text);
    }
    return rc;
}
