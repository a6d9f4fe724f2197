/* See bench_persist_pg.h. PostgreSQL refuses to be run by root: then it is user "postgres" by setpriv. */
#include "bench/bench_persist_pg.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/base.h>

#include "bench/server.h"

#define ARGUMENTS_MAX 24

static char directory[PATH_MAX], file[PATH_MAX + 16], data[PATH_MAX + 16];
static char initdb[PATH_MAX], postgres[PATH_MAX], psql[PATH_MAX], setpriv[PATH_MAX];
static bool as_postgres;
static pid_t server;

/* In the path, or where Debian puts those that belong to a version. */
static bool find(const char *name, char *out_path, size_t bytes)
{
    char pattern[128];
    glob_t found;
    if (server_find(name, out_path, bytes))
        return true;
    (void)snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    (void)snprintf(out_path, bytes, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return true;
}

/* Start a program of PostgreSQL's as the user that it wants; argv ends with NULL. */
static pid_t start(const char *path, const char *const argv[])
{
    const char *arguments[ARGUMENTS_MAX] = {NULL};
    size_t n = 0;
    if (as_postgres) {
        static const char *const as[] = {"setpriv",        "--reuid=postgres", "--regid=postgres",
                                         "--clear-groups", "--pdeathsig=KILL", "--"};
        for (size_t k = 0; k < TB_COUNT(as); k++)
            arguments[n++] = as[k];
    }
    arguments[n++] = path;
    for (size_t k = 0; argv[k] != NULL && n + 1 < ARGUMENTS_MAX; k++)
        arguments[n++] = argv[k];
    return server_start(as_postgres ? setpriv : path, arguments);
}

static bool succeeds(pid_t pid)
{
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool is_up(void *context)
{
    (void)context;
    return pg_run("SELECT 1;") >= 0;
}

static const char *make_directory(const char *parent)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    as_postgres = geteuid() == 0;
    if (as_postgres && (user == NULL || !find("setpriv", setpriv, sizeof(setpriv))))
        return "root may not run it, and there is no user postgres or no setpriv";
    (void)snprintf(directory, sizeof(directory), "%s/tickbus-bench-pg-XXXXXX", parent);
    if (mkdtemp(directory) == NULL) {
        directory[0] = '\0';
        return "no directory for it can be made";
    }
    (void)atexit(pg_stop);
    (void)snprintf(data, sizeof(data), "%s/data", directory);
    (void)snprintf(file, sizeof(file), "%s/rows", directory);
    if (as_postgres &&
        (chown(directory, user->pw_uid, user->pw_gid) != 0 || chmod(directory, 0755) != 0))
        return "its directory cannot be given to user postgres";
    return NULL;
}

const char *pg_start(const char *parent)
{
    if (!find("initdb", initdb, sizeof(initdb)) || !find("postgres", postgres, sizeof(postgres)) ||
        !find("psql", psql, sizeof(psql)))
        return "not installed";
    const char *why = make_directory(parent);
    if (why != NULL)
        return why;
    const char *const init[] = {"-D", data, "-A", "trust", "-U", "bench", "-N", NULL};
    if (!succeeds(start(initdb, init)))
        return "initdb failed";
    const char *const run[] = {"-D", data, "-k", directory, "-c", "listen_addresses=", NULL};
    server = start(postgres, run);
    return server_await(server, is_up, NULL) ? NULL : "it did not come up";
}

void pg_stop(void)
{
    if (directory[0] == '\0')
        return;
    server_stop(server);
    server = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", directory, (char *)NULL);
        _exit(127);
    }
    (void)succeeds(pid); /* what is left is seen by whoever looks into the directory */
    directory[0] = '\0';
}

const char *pg_file(void)
{
    return file;
}

double pg_run(const char *commands)
{
    int in[2], out[2], status = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        execl(psql, psql, "-X", "-h", directory, "-U", "bench", "-d", "postgres", "-v",
              "ON_ERROR_STOP=1", (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    /* A psql that could not start has read nothing: its status tells. */
    bool given = write(in[1], "\\timing on\n", 11) == 11 &&
                 write(in[1], commands, strlen(commands)) == (ssize_t)strlen(commands);
    (void)close(in[1]);
    FILE *answer = fdopen(out[0], "r");
    double ms = -1;
    char line[256];
    while (answer != NULL && fgets(line, sizeof(line), answer) != NULL)
        (void)sscanf(line, "Time: %lf ms", &ms);
    if (answer != NULL)
        (void)fclose(answer);
    bool done = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    return given && done && ms >= 0 ? ms / 1e3 : -1;
}
