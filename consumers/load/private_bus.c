/*
 * A bus for one load: a directory of its own, one process per consumer, all gated, so that nothing can
 * be lost at whatever speed; gone when the load is over, however it ends.
 */
#include "consumers/load/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/config.h>
#include <tickbus/ring.h>
#include <tickbus/stats.h>

#define TURN_NS (20 * TB_NS_PER_MS)
#define DRAW_EVERY (100 * TB_NS_PER_MS)
#define BAR 40
#define LINES_SHOWN 20 /* of each program's warnings */

/* ---- directories ---- */

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(directory), entry->d_name, 0); /* rmdir tells if one stayed */
    (void)closedir(directory);
    (void)rmdir(path);
}

/* Buses of loads that were killed: their process is gone. */
static void remove_leftovers(const char *base)
{
    DIR *directory = opendir(base);
    const struct dirent *entry;
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL) {
        int pid = 0, end = 0;
        char path[600];
        if (sscanf(entry->d_name, "load-%d%n", &pid, &end) != 1 || entry->d_name[end] != '\0' ||
            pid <= 0)
            continue;
        if (kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        remove_directory(path);
    }
    (void)closedir(directory);
}

/* ---- config ---- */

/* A YAML scalar in double quotes. */
static void write_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if ((unsigned char)*text < 0x20)
            fprintf(out, "\\x%02x", (unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void write_captures(FILE *out, const struct load_captures *c)
{
    fputs("captures: [", out);
    for (size_t i = 0; i < c->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        write_quoted(out, c->path[i]);
    }
    fputs("]", out);
}

/*
 * A venue may list its markets by kind, so that one feed takes those of one kind: spot, contracts without
 * an end, and those with one. Which there are is known once the venue has read its recording.
 */
static const char *const kinds[] = {"", "swap", "futures"};

static size_t kind_of(const char *symbol)
{
    const char *settle = strchr(symbol, ':');
    return settle == NULL ? 0 : strchr(settle, '-') == NULL ? 1 : 2;
}

/* The symbols of one kind as a YAML list; how many. Without `out` they are only counted. */
static size_t write_symbols(FILE *out, const struct load_bus *b, size_t kind)
{
    char path[300], symbol[128];
    size_t count = 0;
    (void)snprintf(path, sizeof(path), "%s/markets", b->directory);
    FILE *in = fopen(path, "re");
    while (in != NULL && fgets(symbol, sizeof(symbol), in) != NULL) {
        symbol[strcspn(symbol, "\n")] = '\0';
        if (kind_of(symbol) != kind)
            continue;
        if (out != NULL) {
            fputs(count > 0 ? ", " : "", out);
            write_quoted(out, symbol);
        }
        count++;
    }
    if (in != NULL)
        (void)fclose(in); /* only read */
    return count;
}

/* The first kind that there is has the venue's name. */
static void name_feed(const struct load_bus *b, size_t kind, bool first, char out[40])
{
    (void)snprintf(out, 40, first ? "%.24s" : "%.24s-%s", b->venue, kinds[kind]);
}

static void write_feeds(FILE *out, const struct load_bus *b)
{
    bool first = true;
    fputs("feeds:\n", out);
    for (size_t kind = 0; kind < TB_COUNT(kinds); kind++) {
        char name[40];
        if (write_symbols(NULL, b, kind) == 0)
            continue;
        name_feed(b, kind, first, name);
        fprintf(out,
                "  %s: {program: feed, venue: %s, finite: true, trades: %s, pace: gated, capacity: "
                "65536, symbols: [",
                name, b->venue, b->captures->single_trades ? "single" : "aggregated");
        (void)write_symbols(out, b, kind);
        fputs("]}\n", out);
        first = false;
    }
}

/* `feeds`: what they are is known. */
static int write_config(const struct load_bus *b, bool feeds, struct tb_error *err)
{
    FILE *out = fopen(b->config, "we");
    if (out == NULL)
        return tb_fail(err, -errno, "cannot write %s: %s", b->config, strerror(errno));
    fprintf(out, "bus: %s\ndirectory: ", strrchr(b->directory, '/') + 1);
    write_quoted(out, b->base);
    fputs("\n", out);
    if (b->via_socket) {
        fprintf(out,
                "venues:\n  recorded: {program: venue, venue: %s, speed: max, exit_at_end: true, "
                "wait_subscriptions: 0, ",
                b->venue);
        write_captures(out, b->captures);
        fputs("}\n", out);
    }
    if (b->via_socket && feeds)
        write_feeds(out, b);
    if (!b->via_socket) {
        fprintf(
            out,
            "feeds:\n  %s: {program: replay, venue: %s, speed: max, pace: gated, capacity: 65536, ",
            b->venue, b->venue);
        write_captures(out, b->captures);
        fputs("}\n", out);
    }
    if (feeds) {
        fputs("services:\n  candles: {pace: gated}\n  alerts: {pace: gated}\n  metrics: {listen: "
              "\"\"}\n"
              "  persist: {database: ",
              out);
        write_quoted(out, b->database);
        fputs("}\n", out);
    }
    if (fclose(out) != 0)
        return tb_fail(err, -errno, "cannot write %s: %s", b->config, strerror(errno));
    return 0;
}

static struct load_process *add_process(struct load_bus *b, const char *group, const char *key,
                                        const char *program, const char *first, bool waited_for)
{
    TB_ASSERT(b->count < LOAD_PROCESSES_MAX);
    struct load_process *p = &b->process[b->count++];
    bool service = strcmp(group, "services") == 0;
    (void)snprintf(p->section, sizeof(p->section), "%s.%.30s", group, key);
    (void)snprintf(p->name, sizeof(p->name), "%s%s%.30s", service ? "" : program,
                   service ? "" : "-", key);
    (void)snprintf(p->program, sizeof(p->program), "%s", program);
    (void)snprintf(p->arguments[0], sizeof(p->arguments[0]), "%s", first);
    p->waited_for = waited_for;
    return p;
}

int load_bus_open(struct load_bus *b, const char *venue, const struct load_captures *captures,
                  const char *database, bool via_socket, bool keep, struct tb_error *err)
{
    static char base[256];
    char name[24];
    memset(b, 0, sizeof(*b));
    b->keep = keep; /* under a name that later loads do not take for a leftover */
    (void)snprintf(name, sizeof(name), keep ? "kept-load-%d" : "load-%d", (int)getpid());
    int rc = tb_bus_dir(NULL, name, b->directory, sizeof(b->directory), err);
    if (rc != 0)
        return rc;
    (void)snprintf(base, sizeof(base), "%.*s", (int)(strrchr(b->directory, '/') - b->directory),
                   b->directory);
    remove_leftovers(base);
    remove_directory(b->directory); /* of an earlier process of our pid */
    rc = tb_directory_make(b->directory, err);
    if (rc != 0)
        return rc;
    b->venue = venue;
    b->via_socket = via_socket;
    b->captures = captures;
    b->database = database;
    b->base = base;
    (void)snprintf(b->config, sizeof(b->config), "%s/load.yaml", b->directory);
    return 0;
}

/* ---- processes ---- */

static void exec_program(const struct load_bus *b, const struct load_process *p,
                         const char *extra_ws, const char *extra_rest)
{
    char program[LOAD_PATH_BYTES], log[400], config[320], section[64];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
    char *slash = n > 0 ? memrchr(program, '/', (size_t)n) : NULL;
    if (slash == NULL)
        return;
    (void)snprintf(slash, 32, "/tickbus-%s", p->program);
    (void)snprintf(log, sizeof(log), "%s/%s.log", b->directory, p->name);
    (void)snprintf(config, sizeof(config), "--config=%s", b->config);
    (void)snprintf(section, sizeof(section), "--section=%s", p->section);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        return;
    const char *argv[10] = {program, config, section};
    int argc = 3;
    const char *more[] = {p->arguments[0], p->arguments[1], extra_ws, extra_rest};
    for (size_t k = 0; k < TB_COUNT(more); k++)
        if (more[k][0] != '\0')
            argv[argc++] = more[k];
    sigset_t held; /* until the service reads them: it may be told to stop before its first line */
    tb_command_signals(&held);
    (void)sigprocmask(SIG_SETMASK, &held, NULL);    /* can not fail */
    (void)execv(program, (char **)(uintptr_t)argv); /* it changes neither */
}

static int start_process(const struct load_bus *b, struct load_process *p, const char *ws,
                         const char *rest, struct tb_error *err)
{
    pid_t self = getpid();
    p->pid = fork();
    if (p->pid < 0) {
        p->pid = 0;
        return tb_fail(err, -errno, "cannot start tickbus-%s: %s", p->program, strerror(errno));
    }
    if (p->pid == 0) {
        (void)setpgid(0, 0); /* ^C is ours to handle, once */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == self)
            exec_program(b, p, ws, rest);
        _exit(127);
    }
    return 0;
}

static void reap(struct load_bus *b)
{
    for (size_t i = 0; i < b->count; i++) {
        struct load_process *p = &b->process[i];
        if (p->pid != 0 && !p->ended && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
            p->ended = true;
    }
}

/* 0 not yet; 1 complete; -EIO one failed. */
static int look(struct load_bus *b, struct tb_error *err)
{
    bool complete = true;
    reap(b);
    for (size_t i = 0; i < b->count; i++) {
        const struct load_process *p = &b->process[i];
        complete &= p->ended || !p->waited_for;
        if (!p->ended)
            continue;
        int code = WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status);
        if (code == 127)
            return tb_fail(err, -EIO,
                           "tickbus-%s is not there beside this program; build or install it",
                           p->program);
        if (code == 64 || code == 78)
            return tb_fail(err, -EINVAL, "tickbus-%s refused what it was given: see the line above",
                           p->program);
        if (code != 0 && code != 75) /* 75, records lost: counted, and told at the end */
            return tb_fail(err, -EIO, "tickbus-%s failed with code %d", p->program, code);
    }
    return complete ? 1 : 0;
}

/* Up to TURN_NS, or until a child ends. True if we are to stop. */
static bool wait_turn(void)
{
    sigset_t set;
    tb_command_signals(&set);
    sigaddset(&set, SIGCHLD);
    struct timespec turn = {.tv_nsec = TURN_NS};
    int number = sigtimedwait(&set, NULL, &turn);
    return number == SIGINT || number == SIGTERM || number == SIGHUP;
}

/* ---- progress ---- */

static int64_t counter(const struct load_bus *b, const char *service, const char *name)
{
    static struct tb_stats_page page; /* 12 KiB */
    bool alive;
    if (tb_stats_inspect(b->directory, service, &page, &alive, NULL) != 0)
        return 0;
    for (size_t k = 0; k < TB_STATS_COUNTERS; k++)
        if (page.counter[k].kind != 0 &&
            strncmp(page.counter[k].name, name, sizeof(page.counter[k].name)) == 0)
            return atomic_load_explicit(&page.counter[k].value, memory_order_relaxed);
    return 0;
}

/* Over all producers. */
static int64_t produced(const struct load_bus *b, const char *name)
{
    int64_t sum = 0;
    for (size_t i = 0; i < b->count; i++)
        if (strncmp(b->process[i].section, "feeds.", 6) == 0)
            sum += counter(b, b->process[i].name, name);
    return sum;
}

/* A store that waits for space or a lock says so in its page: the load waits with it. */
static void show_trouble(const struct load_bus *b, char said[160], bool drawing)
{
    static struct tb_stats_page page;
    bool alive;
    char note[sizeof(page.note)] = "";
    if (tb_stats_inspect(b->directory, "persist", &page, &alive, NULL) == 0 &&
        atomic_load_explicit(&page.state, memory_order_relaxed) == TB_SERVICE_DEGRADED)
        (void)snprintf(note, sizeof(note), "%.*s", (int)sizeof(page.note) - 1, page.note);
    if (note[0] != '\0' && strcmp(note, said) != 0)
        fprintf(stderr, "%stickbus load: %s\n", drawing ? "\r\033[K" : "", note);
    (void)snprintf(said, 160, "%s", note);
}

static void draw(const struct load_bus *b, tb_ns begun)
{
    int64_t records = produced(b, "records_published");
    int64_t percent = produced(b, "progress_percent");
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    char bar[BAR + 1];
    for (int k = 0; k < BAR; k++)
        bar[k] = k < percent * BAR / 100 ? '#' : '.';
    bar[BAR] = '\0';
    if (b->via_socket)
        fprintf(stderr, "\r\033[K%lld records  %.1f s", (long long)records, seconds);
    else
        fprintf(stderr, "\r\033[K[%s] %3lld%%  %lld records  %.1f s", bar, (long long)percent,
                (long long)records, seconds);
    fflush(stderr);
}

/* ---- a load ---- */

/* Waits for what the venue writes once it listens. */
static int read_port(struct load_bus *b, const char *path, int *out_port, struct tb_error *err)
{
    for (;;) {
        FILE *in = fopen(path, "re");
        int n = in != NULL ? fscanf(in, "%d", out_port) : 0;
        if (in != NULL)
            (void)fclose(in); /* only read */
        if (n == 1)
            return 0;
        int rc = look(b, err);
        if (rc < 0)
            return rc;
        if (wait_turn())
            return -EINTR;
    }
}

/* The venue alone: what it has decides about the feeds. */
static int start_venue(struct load_bus *b, char ws[64], char rest[64], struct tb_error *err)
{
    char path[300];
    int port = 0;
    struct load_process *p = add_process(b, "venues", "recorded", "venue", "", false);
    int rc = write_config(b, false, err);
    (void)snprintf(path, sizeof(path), "%s/port", b->directory);
    (void)snprintf(p->arguments[0], sizeof(p->arguments[0]), "--port-file=%.140s", path);
    (void)snprintf(p->arguments[1], sizeof(p->arguments[1]), "--markets-file=%.130s/markets",
                   b->directory);
    if (rc == 0)
        rc = start_process(b, p, "", "", err);
    if (rc == 0)
        rc = read_port(b, path, &port, err);
    (void)snprintf(ws, 64, "--url=ws://127.0.0.1:%d", port);
    (void)snprintf(rest, 64, "--rest-url=http://127.0.0.1:%d", port);
    return rc;
}

static void add_feeds(struct load_bus *b)
{
    static const char gates[] = "--gates=persist,metrics,candles,alerts";
    bool first = true;
    if (!b->via_socket)
        add_process(b, "feeds", b->venue, "replay", gates, true);
    for (size_t kind = 0; b->via_socket && kind < TB_COUNT(kinds); kind++) {
        char name[40];
        if (write_symbols(NULL, b, kind) == 0)
            continue;
        name_feed(b, kind, first, name);
        add_process(b, "feeds", name, "feed", gates, true);
        first = false;
    }
}

static int start_all(struct load_bus *b, struct tb_error *err)
{
    char ws[64] = "", rest[64] = "";
    int rc = b->via_socket ? start_venue(b, ws, rest, err) : 0;
    if (rc == 0)
        rc = write_config(b, true, err);
    size_t from = b->count;
    add_process(b, "services", "persist", "persist", "--until-done", true);
    add_process(b, "services", "metrics", "metrics", "--until-done", true);
    (void)snprintf(
        add_process(b, "services", "candles", "candles", "--until-done", true)->arguments[1], 160,
        "--gates=persist,metrics");
    (void)snprintf(
        add_process(b, "services", "alerts", "alerts", "--until-done", true)->arguments[1], 160,
        "--gates=persist");
    add_feeds(b);
    for (size_t i = from; rc == 0 && i < b->count; i++) {
        bool feed = strcmp(b->process[i].program, "feed") == 0;
        rc = start_process(b, &b->process[i], feed ? ws : "", feed ? rest : "", err);
    }
    return rc;
}

int load_bus_run(struct load_bus *b, bool show_progress, struct tb_error *err)
{
    tb_ns begun = tb_clock_mono(), drawn = 0;
    char said[160] = "";
    int rc = start_all(b, err);
    while (rc == 0 && (rc = look(b, err)) == 0) {
        if (wait_turn())
            rc = -EINTR;
        if (tb_clock_mono() - drawn < DRAW_EVERY)
            continue;
        drawn = tb_clock_mono();
        show_trouble(b, said, show_progress);
        if (show_progress)
            draw(b, begun);
    }
    if (show_progress)
        fputs("\r\033[K", stderr);
    return rc < 0 ? rc : 0;
}

void load_bus_collect(const struct load_bus *b, struct load_result *r)
{
    static const char *const consumers[] = {"persist", "metrics", "candles", "alerts"};
    r->records = produced(b, "records_published");
    r->frames_bad = produced(b, "frames_bad");
    r->faults = b->via_socket ? counter(b, "venue-recorded", "capture_faults")
                              : produced(b, "capture_faults");
    r->lost = 0;
    for (size_t k = 0; k < TB_COUNT(consumers); k++)
        r->lost += counter(b, consumers[k], "records_lost");
}

/* Warnings that only sum up or repeat others. */
static bool says_more(const char *line)
{
    static const char *const no_news[] = {" level=info ", " level=debug ", " ev=failed ",
                                          " ev=ended ",   " ev=degraded ", " ev=replayed "};
    for (size_t k = 0; k < TB_COUNT(no_news); k++)
        if (strstr(line, no_news[k]) != NULL)
            return false;
    return true;
}

void load_bus_complaints(const struct load_bus *b)
{
    for (size_t i = 0; i < b->count; i++) {
        char path[400], line[1000];
        int shown = 0;
        (void)snprintf(path, sizeof(path), "%s/%s.log", b->directory, b->process[i].name);
        FILE *in = fopen(path, "re");
        while (in != NULL && shown < LINES_SHOWN && fgets(line, sizeof(line), in) != NULL)
            if (says_more(line)) {
                fputs(line, stderr);
                shown++;
            }
        if (in != NULL)
            (void)fclose(in); /* only read */
    }
}

void load_bus_close(struct load_bus *b)
{
    if (b->directory[0] == '\0')
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->process[i].pid != 0 && !b->process[i].ended)
            (void)kill(b->process[i].pid, SIGKILL); /* nothing of theirs is wanted any more */
    for (size_t i = 0; i < b->count; i++)
        if (b->process[i].pid != 0 && !b->process[i].ended)
            b->process[i].ended = waitpid(b->process[i].pid, &b->process[i].status, 0) > 0;
    if (!b->keep)
        remove_directory(b->directory);
}
