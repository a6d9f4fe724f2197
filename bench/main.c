/*
 * tickbus bench: run the suites, each a program bench_<suite> beside this one, in turn. What follows a
 * suite's name, or no name, is given to each of them: tickbus bench ring --quick
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/base.h>

#define PREFIX "bench_"
#define ARGUMENTS_MAX 64

static const char usage[] = "tickbus bench [SUITE...] [options]: run the benchmarks, all or those "
                            "named, one after the other\n"
                            "What follows the names is given to each of them: tickbus bench ring "
                            "--quick --json. --list: which\n"
                            "there are. What the figures mean: bench/README.md. Exit: 0 if every "
                            "suite ended so (77 skips one),\n"
                            "else that of the first that failed.\n";

static int is_suite(const struct dirent *entry)
{
    return strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
           strchr(entry->d_name, '.') == NULL;
}

/* The suites beside this program, sorted; -1 if it can not look. */
static int find_suites(char *directory, size_t bytes, struct dirent ***out_entries)
{
    ssize_t length = readlink("/proc/self/exe", directory, bytes - 1);
    if (length <= 0)
        return -1;
    directory[length] = '\0';
    *strrchr(directory, '/') = '\0';
    return scandir(directory, out_entries, is_suite, alphasort);
}

static int run_suite(const char *directory, const char *file, char **arguments)
{
    char path[1024];
    int status;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    arguments[0] = path;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execv(path, arguments);
        fprintf(stderr, "tickbus bench: cannot run %s: %s\n", path, strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 70;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 70;
}

static bool named(const char *suite, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(suite, names[i]) == 0)
            return true;
    return count == 0;
}

static bool known(const char *name, struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(entries[i]->d_name + sizeof(PREFIX) - 1, name) == 0)
            return true;
    return false;
}

/* What a suite says of itself: the first line of its --help, after its name. */
static void print_suite(const char *directory, const char *file)
{
    char command[1024], line[256] = "";
    snprintf(command, sizeof(command), "'%s/%s' --help", directory, file);
    FILE *help = popen(command, "re");
    if (help != NULL) {
        if (fgets(line, sizeof(line), help) == NULL)
            line[0] = '\0';
        while (fgetc(help) != EOF) /* lets it write all, and end well */
            ;
        (void)pclose(help);
    }
    const char *about = strstr(line, ": ");
    printf("%-10s %.*s\n", file + sizeof(PREFIX) - 1, about ? (int)strcspn(about + 2, "\n") : 0,
           about ? about + 2 : "");
}

static int list_suites(const char *directory, struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        print_suite(directory, entries[i]->d_name);
    return 0;
}

int main(int argc, char **argv)
{
    char directory[512];
    char *arguments[ARGUMENTS_MAX] = {NULL};
    static struct dirent **entries; /* freed with the process where it ends early */
    int names = 0, given = 0, result = 0;
    bool json = false, help = false, list = false;

    for (int i = 1; i < argc && i < ARGUMENTS_MAX; i++) {
        json = json || strcmp(argv[i], "--json") == 0;
        list = list || strcmp(argv[i], "--list") == 0;
        help = help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (strcmp(argv[i], "--version") == 0)
            return printf("tickbus bench %s\n", tb_version()) < 0;
    }
    /* Names come first; from the first option on everything is the suites'. */
    while (1 + names < argc && argv[1 + names][0] != '-')
        names++;
    for (int i = 1 + names; i < argc && given + 2 < ARGUMENTS_MAX; i++)
        arguments[++given] = argv[i];
    int count = find_suites(directory, sizeof(directory), &entries);
    if (count <= 0) {
        fprintf(stderr, "tickbus bench: no suite (bench_...) beside this program\n");
        return 69;
    }
    if (list || (help && names == 0)) {
        if (help)
            printf("%s\nSuites:\n", usage);
        return list_suites(directory, entries, count);
    }
    for (int i = 0; i < names; i++)
        if (!known(argv[1 + i], entries, count)) {
            fprintf(stderr, "tickbus bench: no suite \"%s\"; --help lists them\n", argv[1 + i]);
            return 64;
        }
    for (int i = 0; i < count; i++) {
        const char *suite = entries[i]->d_name + sizeof(PREFIX) - 1;
        if (!named(suite, argv + 1, names))
            continue;
        if (!json)
            printf("== %s\n", suite);
        int rc = run_suite(directory, entries[i]->d_name, arguments);
        if (result == 0 && rc != 77)
            result = rc;
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}
