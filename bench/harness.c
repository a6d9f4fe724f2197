/* See harness.h. */
#include "bench/harness.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "bench/report.h"

#define ROUNDS 7
#define ROUNDS_QUICK 2
#define ABSENT_MAX 32
#define DEADLINE_S 60
#define DISTURBED_MAX 0.01 /* of a run's time */
#define PROBE_FRESH_NS (2 * TB_NS_PER_MS)

struct bench_private {
    struct report report;
    struct tb_config_memory memory;
    const struct bench_case *now;
    bool busy;         /* the run at hand was disturbed */
    double round_trip; /* of the last probe, ended at probe_end */
    tb_ns probe_end;
    struct {
        const char *subject, *why;
    } absent[ABSENT_MAX];
    size_t absent_count;
};

/* For bench_fail, which has no bench at hand. What the first process made and started is its own to end. */
static char directory[64];
static void (*stop_all)(void);
static pid_t owner;
static const char *program = "bench";
static volatile sig_atomic_t stopped;

/* ---- ends ---- */

static void remove_directory(void)
{
    if (directory[0] == '\0')
        return;
    DIR *d = opendir(directory);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0); /* rmdir tells if one stays */
    if (d != NULL)
        (void)closedir(d);
    if (rmdir(directory) != 0)
        fprintf(stderr, "bench_%s: %s is left behind: %s\n", program, directory, strerror(errno));
    directory[0] = '\0';
}

static void clean_up(void)
{
    if (owner != getpid())
        return;
    if (stop_all != NULL)
        stop_all();
    stop_all = NULL;
    remove_directory();
}

void bench_at_end(void (*stop)(void))
{
    stop_all = stop;
}

void bench_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bench_%s: ", program);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    clean_up();
    (void)fflush(stdout);
    _exit(70);
}

/* Asked to stop: the run at hand is finished, so that nothing is left behind. */
static void on_signal(int signal)
{
    stopped = signal;
}

/* ---- what runs need ---- */

const char *bench_directory(struct bench *b)
{
    (void)b;
    if (directory[0] == '\0') {
        strcpy(directory, "/dev/shm/tickbus-bench-XXXXXX");
        if (mkdtemp(directory) == NULL) {
            directory[0] = '\0';
            bench_fail("cannot make a directory in /dev/shm: %s", strerror(errno));
        }
    }
    return directory;
}

void *bench_shared(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        bench_fail("no memory for %zu bytes", bytes);
    return p;
}

void bench_present(void *memory, size_t bytes)
{
    const size_t page = 4096;
    if (memory == NULL || bytes == 0)
        return;
    uintptr_t first = (uintptr_t)memory & ~(page - 1);
    size_t length = (uintptr_t)memory + bytes - first;
    if (madvise((void *)first, length, 23 /* MADV_POPULATE_WRITE, not in every libc's headers */) ==
        0)
        return;
    for (size_t at = 0; at < length; at += page) /* an older kernel: at least the reads */
        (void)*(volatile const char *)(first + at);
}

void bench_unshare(void *memory, size_t bytes)
{
    if (memory != NULL)
        (void)munmap(memory, bytes);
}

pid_t bench_fork(int cpu)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        bench_fail("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(DEADLINE_S);
        if (cpu >= 0)
            machine_pin(cpu);
    }
    return pid;
}

void bench_join(pid_t pid)
{
    int status;
    pid_t done;
    while ((done = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    if (done != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_fail("a process failed, or took more than %d s", DEADLINE_S);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_quantiles bench_quantiles_of(double *value, size_t count)
{
    static const double at[4] = {0.5, 0.9, 0.99, 0.999};
    double found[4] = {0};
    qsort(value, count, sizeof(value[0]), by_value);
    for (size_t i = 0; i < TB_COUNT(at) && count > 0; i++)
        found[i] = value[(size_t)(at[i] * (double)(count - 1))];
    return (struct bench_quantiles){found[0], found[1], found[2], found[3]};
}

/* ---- begin and end ---- */

static void processor_name(char *out, size_t bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, bytes, "unknown processor");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *text = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (text != NULL) {
            snprintf(out, bytes, "%.*s", (int)strcspn(text + 2, "\n\""), text + 2);
            break;
        }
    }
    if (file != NULL)
        (void)fclose(file);
}

static void describe(struct bench *b)
{
    struct utsname u;
    char model[96];
    processor_name(model, sizeof(model));
    (void)uname(&u);
    if (b->options->json)
        printf("{\"suite\":\"%s\",\"kind\":\"machine\",\"version\":\"%s\",\"processor\":\"%s\","
               "\"machine\":\"%s\",\"kernel\":\"%s\",\"cpus\":[%d,%d],\"rounds\":%" PRId64
               ",\"quick\":%s}\n",
               b->suite, tb_version(), model, u.machine, u.release, b->cpu[0], b->cpu[1],
               b->options->rounds, b->options->quick ? "true" : "false");
    else
        printf("tickbus %s, %s, %s, Linux %s, processors %d and %d, %" PRId64 " rounds%s\n",
               tb_version(), model, u.machine, u.release, b->cpu[0], b->cpu[1], b->options->rounds,
               b->options->quick ? ", quick: these are no figures" : "");
}

void bench_begin(struct bench *b, const char *suite, const char *usage,
                 const struct tb_option *options, size_t count, void *values,
                 struct bench_options *common, int argc, char **argv)
{
    static struct bench_private private_;
    static char name[64];
    struct sigaction action = {.sa_handler = on_signal};

    snprintf(name, sizeof(name), "bench_%s", suite);
    int operands =
        tb_command_parse(name, usage, options, count, values, &private_.memory, argc, argv);
    if (operands > 0)
        fprintf(stderr, "%s: \"%s\" is no option; --help lists them\n", name, argv[0]);
    if (operands != 0)
        exit(operands == -ECANCELED ? 0 : 64);
    program = suite;
    owner = getpid();
    *b = (struct bench){.suite = suite, .options = common, .private_ = &private_};
    b->scale = common->quick ? 0.1 : 1;
    if (common->rounds == 0)
        common->rounds = common->quick ? ROUNDS_QUICK : ROUNDS;
    b->processors = machine_processors(b->cpu);
    if (b->processors < 2)
        b->cpu[1] = b->cpu[0];
    struct sched_param priority = {.sched_priority = 10};
    if (common->realtime && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
        fprintf(stderr, "%s: --realtime: %s\n", name, strerror(errno));
        exit(64);
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)machine_ns_per_tick(); /* measured before anything else runs */
    describe(b);
}

void bench_note(struct bench *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!b->options->json) {
        printf("%s\n", text);
        return;
    }
    printf("{\"suite\":\"%s\",\"kind\":\"note\",\"text\":", b->suite);
    report_text(text);
    printf("}\n");
}

void bench_absent(struct bench *b, const char *subject, const char *why)
{
    struct bench_private *p = b->private_;
    for (size_t i = 0; i < p->absent_count; i++)
        if (strcmp(p->absent[i].subject, subject) == 0)
            return;
    if (p->absent_count < ABSENT_MAX)
        p->absent[p->absent_count++].subject = subject;
    if (!b->options->json) {
        printf("left out: %s: %s\n", subject, why);
        return;
    }
    printf("{\"suite\":\"%s\",\"kind\":\"absent\",\"subject\":\"%s\",\"why\":", b->suite, subject);
    report_text(why);
    printf("}\n");
}

int bench_end(struct bench *b)
{
    struct bench_private *p = b->private_;
    report_print(&p->report, b->suite, b->options->json);
    report_free(&p->report);
    tb_config_release(&p->memory);
    clean_up();
    return 0;
}

/* ---- rounds ---- */

static bool is_absent(const struct bench_private *p, const char *subject)
{
    for (size_t i = 0; i < p->absent_count; i++)
        if (strcmp(p->absent[i].subject, subject) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct bench *b, const struct bench_case *c)
{
    const struct tb_list *only = &b->options->only;
    if (b->options->measure != NULL && strstr(c->measure, b->options->measure) == NULL)
        return false;
    if (is_absent(b->private_, c->subject))
        return false;
    bool wanted = only->count == 0 || c->role != BENCH_PEER;
    for (size_t i = 0; i < only->count && !wanted; i++)
        wanted = strncmp(c->subject, only->item[i], strlen(only->item[i])) == 0;
    return wanted;
}

/* The probe after one run is that before the next, if that begins at once. */
static double probe(struct bench *b)
{
    struct bench_private *p = b->private_;
    if (p->probe_end == 0 || tb_clock_mono() - p->probe_end > PROBE_FRESH_NS)
        p->round_trip = machine_round_trip(b->cpu, 1);
    p->probe_end = tb_clock_mono();
    return p->round_trip;
}

static const char *placement(const struct bench *b, double before, double after)
{
    if (b->private_->busy)
        return "busy"; /* others used these processors: shown, not to be compared */
    if (b->private_->now->processors < 2)
        return "one";
    if (before == 0 || after == 0)
        return "unknown";
    if ((before < MACHINE_FAR_NS) != (after < MACHINE_FAR_NS))
        return "mixed";
    return before < MACHINE_FAR_NS ? "near" : "far";
}

static void run_case(struct bench *b, const struct bench_case *c)
{
    struct bench_private *p = b->private_;
    bool two = c->processors >= 2;
    if (two && b->processors < 2) {
        bench_absent(b, c->subject, "two processors are needed");
        return;
    }
    p->now = c;
    p->busy = false;
    size_t first = p->report.count;
    double before = two ? probe(b) : 0;
    double waited = machine_waited();
    tb_ns begun = tb_clock_mono();
    int rc = c->run(b, c);
    double seconds = (double)(tb_clock_mono() - begun) / 1e9;
    if (rc == -ENOTSUP)
        return;
    if (rc != 0)
        bench_fail("%s, %s: %s", c->measure, c->subject, strerror(-rc));
    if (!two)
        bench_disturbed(b, machine_waited() - waited, seconds);
    p->probe_end = 0;
    const char *place = placement(b, before, two ? probe(b) : 0);
    report_place(&p->report, first, place);
    report_runs(&p->report, first, b->suite, b->round, b->options->json);
    if (stopped)
        bench_fail("stopped");
}

void bench_run(struct bench *b, const struct bench_case *cases, size_t count)
{
    for (b->round = 0; b->round < b->options->rounds; b->round++) {
        if (!b->options->json)
            fprintf(stderr, "%s: round %" PRId64 " of %" PRId64 "\n", b->suite, b->round + 1,
                    b->options->rounds);
        for (size_t first = 0, next; first < count; first = next) {
            for (next = first;
                 next < count && strcmp(cases[next].measure, cases[first].measure) == 0; next++)
                ;
            size_t n = next - first;
            for (size_t i = 0; i < n; i++) { /* who comes first must not matter */
                const struct bench_case *c = &cases[first + (i + (size_t)b->round) % n];
                if (is_wanted(b, c))
                    run_case(b, c);
            }
        }
        if (b->options->realtime)
            (void)usleep(500000); /* others' share, and clear of the kernel's limit */
    }
}

void bench_add(struct bench *b, const char *measure, enum bench_better better, const char *unit,
               double value)
{
    const struct bench_case *c = b->private_->now;
    if (!report_add(&b->private_->report,
                    &(struct figure){measure, c->subject, unit, NULL, c->role, better, value}))
        bench_fail("no memory for a figure");
}

void bench_disturbed(struct bench *b, double waited_ns, double seconds)
{
    if (waited_ns > DISTURBED_MAX * seconds * 1e9)
        b->private_->busy = true;
}
