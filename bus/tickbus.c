/*
 * The front command, in the manner of git: `tickbus tail` runs the program tickbus-tail, which lies
 * beside this one, or else on PATH. It links no program and knows none but by name.
 */
#include <tickbus/base.h>
#include <tickbus/config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69

static const struct command {
    const char *name, *group, *help;
} commands[] = {
    {"up", "run a bus", "start everything that a config file names, and keep it running"},
    {"config", "run a bus", "check or print a config file"},
    {"load", "run a bus", "recorded sessions into a database, as fast as they go"},
    {"feed", "run a bus", "one venue's live data onto a stream"},
    {"replay", "run a bus", "a recorded session onto a stream"},
    {"synth", "run a bus", "made-up load onto a stream, at a fixed rate"},
    {"venue", "run a bus", "a recorded session served as the venue itself"},
    {"candles", "run a bus", "open, high, low, close, volume of every timeframe"},
    {"persist", "run a bus", "trades, candles, books and alerts into SQLite"},
    {"metrics", "run a bus", "Prometheus metrics, pushed and served"},
    {"alerts", "run a bus", "rules over the streams, to a stream and webhooks"},
    {"journal", "run a bus", "every record to disk; readers that were lapped catch up from there"},
    {"journal ls", "look at it", "segments of journals: spans, sizes, compression, damage"},
    {"verify", "look at it", "are journals right: pages, sequences, candles, database"},
    {"export", "look at it", "a journal as CSV, JSON lines or Parquet"},
    {"import", "look at it", "what export wrote, back into a journal or onto a bus"},
    {"tail", "look at it", "print records as they come, or that are there"},
    {"book", "look at it", "the order book of a market, once or live"},
    {"resync", "look at it", "ask a feed for a fresh snapshot of a book"},
    {"stat", "look at it", "a live table of streams, readers and processes"},
    {"top", "look at it", "the same, under the name that fingers know"},
    {"bench", "look at it", "what the ring, the parsers and the database do on this machine"},
};

static void print_help(FILE *out)
{
    const char *group = "";
    fprintf(out, "usage: tickbus COMMAND [--help | options]\n");
    for (size_t i = 0; i < TB_COUNT(commands); i++) {
        if (strcmp(group, commands[i].group) != 0)
            fprintf(out, "\n%s\n", commands[i].group);
        group = commands[i].group;
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(out, "\ntickbus COMMAND --help tells the options of each; tickbus --version\n");
}

/* Beside this program. */
static bool sibling(const char *name, char *out, size_t bytes)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    int length = snprintf(out, bytes, "%s/tickbus-%s", self, name);
    return length > 0 && (size_t)length < bytes;
}

/*
 * Two words may name one program: `tickbus journal ls` is tickbus-journal-ls. Only if it lies beside this
 * one, so that a first word with an operand is not mistaken for it. Returns how many words were taken.
 */
static int two_words(int argc, char **argv, char *name, size_t bytes)
{
    char path[4200];
    int length = argc < 3 || argv[2][0] == '-' || strchr(argv[2], '/') != NULL
                     ? -1
                     : snprintf(name, bytes, "%s-%s", argv[1], argv[2]);
    return length > 0 && (size_t)length < bytes && sibling(name, path, sizeof(path)) &&
                   access(path, X_OK) == 0
               ? 2
               : 1;
}

static int unknown(const char *name)
{
    const char *names[TB_COUNT(commands)];
    for (size_t i = 0; i < TB_COUNT(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = tb_nearest(name, names, TB_COUNT(names));
    fprintf(stderr, "tickbus: there is no command \"%s\"%s%s%s; tickbus --help lists them\n", name,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
            nearest != NULL ? "?" : "");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (strcmp(name, "help") == 0 && argc == 2)) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("tickbus %s\n", tb_version());
        return 0;
    }
    if (strcmp(name, "help") == 0) { /* tickbus help tail */
        argv[1] = argv[2];
        argv[2] = (char *)(uintptr_t) "--help";
        name = argv[1];
    }
    char path[4200], program[280], both[280];
    if (two_words(argc, argv, both, sizeof(both)) == 2) {
        name = both;
        argv++;
    }
    if (name[0] == '-' || strchr(name, '/') != NULL || strlen(name) > 200)
        return unknown(name);
    snprintf(program, sizeof(program), "tickbus-%s", name);
    argv[1] = program;
    errno = ENOENT;
    if (sibling(name, path, sizeof(path)))
        execv(path, argv + 1);
    if (errno == ENOENT)
        execvp(program, argv + 1);
    if (errno == ENOENT)
        return unknown(name);
    fprintf(stderr, "tickbus: cannot run %s: %s\n", program, strerror(errno));
    return EXIT_UNAVAILABLE;
}
