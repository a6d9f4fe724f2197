/*
 * Statistics pages. The process holds an open-file-description lock on its page for its life: that
 * is how everybody else knows whether it lives, whatever became of its pid.
 */
#include <tickbus/stats.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "segment.h"

TB_STATIC_ASSERT(sizeof(struct tb_stats_counter) == 56, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_stats_page, service) == 16, "layout");

/* The process that holds the page, as it wrote itself there; 0 if that can not be read. */
static uint32_t holder_pid(const char *path)
{
    uint32_t pid = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (pread(fd, &pid, sizeof(pid), offsetof(struct tb_stats_page, pid)) != sizeof(pid))
        pid = 0;
    (void)close(fd); /* only read */
    return pid;
}

/* Map the locked file; its memory is reserved first, so that no store can ever fail. */
static struct tb_stats_page *map_page(int fd)
{
    size_t bytes = sizeof(struct tb_stats_page);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return NULL;
    if (st.st_size != (off_t)bytes && (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)bytes) != 0))
        return NULL;
    if (tb_segment_reserve(fd, 0, bytes) != 0)
        return NULL;
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

static void fill_page(struct tb_stats_page *p, const char *service, const char *program)
{
    uint64_t starts = p->magic == TB_STATS_MAGIC && p->layout == TB_STATS_LAYOUT ? p->starts : 0;
    p->magic = 0; /* nobody believes it while it is half filled */
    atomic_thread_fence(memory_order_release);
    memset((char *)p + sizeof(p->magic), 0, sizeof(*p) - sizeof(p->magic));
    p->layout = TB_STATS_LAYOUT;
    snprintf(p->service, sizeof(p->service), "%s", service);
    snprintf(p->program, sizeof(p->program), "%s", program);
    p->starts = starts + 1;
    p->pid = (uint32_t)getpid();
    p->state = TB_SERVICE_STARTING;
    p->started = tb_clock_wall();
    p->heartbeat = p->started;
    atomic_thread_fence(memory_order_release);
    p->magic = TB_STATS_MAGIC;
}

int tb_stats_open(const char *bus_dir, const char *service, const char *program,
                  struct tb_stats *out_stats, struct tb_error *err)
{
    char path[TB_PATH_BYTES];
    struct tb_stats s = {.fd = -1};
    if (bus_dir != NULL) {
        if (!tb_name_check(service))
            return tb_fail(err, -EINVAL, "\"%s\" can not name a service", service);
        int rc = tb_directory_make(bus_dir, err);
        if (rc == 0)
            rc = tb_path(path, bus_dir, service, ".stats", err);
        if (rc != 0)
            return rc;
        if (strlen(path) >= sizeof(s.path))
            return tb_fail(err, -ENAMETOOLONG, "%s: the path is too long", path);
        rc = tb_lock_open(path, true, 0640, &s.fd);
        if (rc == -EBUSY)
            return tb_fail(err, rc, "service %s runs already, pid %u", service, holder_pid(path));
        if (rc != 0)
            return tb_fail(err, rc, "cannot open %s: %s", path, strerror(-rc));
        memcpy(s.path, path, strlen(path) + 1);
        s.page = map_page(s.fd);
    }
    if (s.page == NULL) { /* no bus, or no room on it: count for ourselves */
        s.page =
            mmap(NULL, sizeof(*s.page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (s.page == MAP_FAILED) {
            if (s.fd >= 0)
                (void)close(s.fd); /* gives up the lock */
            return tb_fail(err, -ENOMEM, "no memory for the statistics of %s", service);
        }
    }
    fill_page(s.page, service, program);
    *out_stats = s;
    return 0;
}

void tb_stats_close(struct tb_stats *s, enum tb_service_state state, int exit_code)
{
    if (s == NULL || s->page == NULL)
        return;
    s->next_look = 0;
    tb_stats_housekeep(s, tb_clock_wall());
    atomic_store_explicit(&s->page->exit_code, exit_code, memory_order_relaxed);
    atomic_store_explicit(&s->page->state, (uint32_t)state, memory_order_release);
    (void)munmap(s->page, sizeof(*s->page)); /* the mapping was ours: can not fail */
    if (s->fd >= 0)
        (void)close(s->fd); /* gives up the lock */
    *s = (struct tb_stats){.fd = -1};
}

struct tb_stats_counter *tb_stats_add(struct tb_stats *s, const char *name, enum tb_stat_kind kind)
{
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++) {
        struct tb_stats_counter *c = &s->page->counter[i];
        if (c->kind != 0 && strcmp(c->name, name) == 0)
            return c;
        if (c->kind == 0) {
            snprintf(c->name, sizeof(c->name), "%s", name);
            atomic_store_explicit(&c->value, 0, memory_order_relaxed);
            atomic_thread_fence(
                memory_order_release); /* the name before the kind says it is there */
            c->kind = kind;
            return c;
        }
    }
    return NULL;
}

struct tb_stats_histogram *tb_stats_add_histogram(struct tb_stats *s, const char *name)
{
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++) {
        struct tb_stats_histogram *h = &s->page->histogram[i];
        if (h->name[0] == '\0')
            snprintf(h->name, sizeof(h->name), "%s", name);
        if (strcmp(h->name, name) == 0)
            return h;
    }
    return NULL;
}

/* One more, by the only writer: a plain load and store, no locked instruction. */
static void bump(TB_ATOMIC(uint64_t) * word)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void tb_stats_observe(struct tb_stats_histogram *h, tb_ns value_ns)
{
    if (h == NULL)
        return;
    unsigned bucket = value_ns < 2 ? 0 : 63U - (unsigned)__builtin_clzll((uint64_t)value_ns);
    if (bucket >= TB_STATS_BUCKETS)
        bucket = TB_STATS_BUCKETS - 1;
    bump(&h->bucket[bucket]);
    bump(&h->count);
    int64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    if (__builtin_add_overflow(sum, value_ns, &sum))
        sum = INT64_MAX;
    atomic_store_explicit(&h->sum, sum, memory_order_relaxed);
    if (value_ns > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value_ns, memory_order_relaxed);
}

void tb_stats_state(struct tb_stats *s, enum tb_service_state state, const char *note)
{
    snprintf(s->page->note, sizeof(s->page->note), "%s", note != NULL ? note : "");
    atomic_store_explicit(&s->page->state, (uint32_t)state, memory_order_release);
}

static int64_t resident_bytes(void)
{
    char text[128];
    long long total, resident = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd); /* only read */
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%lld %lld", &total, &resident) != 2)
        return 0;
    return resident * sysconf(_SC_PAGESIZE);
}

static int64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    int64_t count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    (void)closedir(dir); /* only read */
    return count - 1;    /* the directory itself */
}

void tb_stats_housekeep(struct tb_stats *s, tb_ns now)
{
    struct tb_stats_page *p = s->page;
    atomic_store_explicit(&p->heartbeat, now, memory_order_relaxed);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        tb_ns us = (tb_ns)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
        tb_ns sec = (tb_ns)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
        atomic_store_explicit(&p->cpu_ns, sec * TB_NS_PER_S + us * TB_NS_PER_US,
                              memory_order_relaxed);
    }
    if (now < s->next_look && s->next_look - now <= TB_NS_PER_S) /* the clock may be set back */
        return;
    s->next_look = now + TB_NS_PER_S;
    atomic_store_explicit(&p->rss_bytes, resident_bytes(), memory_order_relaxed);
    atomic_store_explicit(&p->open_fds, count_fds(), memory_order_relaxed);
}

/*
 * The page may have been written while it was copied, and a copy has no order: a counter's kind may be
 * from after its name was stored, the name in the same copy from before. What was there in an earlier
 * copy was whole when the later one began; the rest is left out this time.
 */
static void leave_out_what_moved(const struct tb_stats_page *earlier, struct tb_stats_page *p)
{
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++)
        if (earlier->counter[i].kind == 0 ||
            memcmp(earlier->counter[i].name, p->counter[i].name, sizeof(p->counter[i].name)) != 0)
            p->counter[i].kind = 0;
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++)
        if (memcmp(earlier->histogram[i].name, p->histogram[i].name,
                   sizeof(p->histogram[i].name)) != 0)
            p->histogram[i].name[0] = '\0';
}

/* Another process wrote it: every text ends, nothing is believed beyond that. */
static void make_safe(struct tb_stats_page *p)
{
    p->service[sizeof(p->service) - 1] = '\0';
    p->program[sizeof(p->program) - 1] = '\0';
    p->note[sizeof(p->note) - 1] = '\0';
    for (size_t i = 0; i < TB_STATS_COUNTERS; i++)
        p->counter[i].name[sizeof(p->counter[i].name) - 1] = '\0';
    for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++)
        p->histogram[i].name[sizeof(p->histogram[i].name) - 1] = '\0';
}

int tb_stats_inspect(const char *bus_dir, const char *service, struct tb_stats_page *out_page,
                     bool *out_alive, struct tb_error *err)
{
    char path[TB_PATH_BYTES];
    int rc = tb_path(path, bus_dir, service, ".stats", err);
    if (rc != 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_fail(err, -errno, "cannot open %s: %s", path, strerror(errno));
    struct tb_stats_page *copies = malloc(2 * sizeof(*copies)), *page = copies + 1;
    bool whole = copies != NULL;
    for (int i = 0; whole && i < 2; i++)
        whole = pread(fd, &copies[i], sizeof(*page), 0) == (ssize_t)sizeof(*page) &&
                copies[i].magic == TB_STATS_MAGIC;
    (void)close(fd); /* only read */
    if (!whole || copies->starts != page->starts) {
        rc = tb_fail(err, -EBADMSG, "%s is not a statistics page, or not yet", path);
    } else if (page->layout != TB_STATS_LAYOUT) {
        rc = tb_fail(err, -EPROTO, "%s has layout %u, this build reads %d", path, page->layout,
                     TB_STATS_LAYOUT);
    } else {
        leave_out_what_moved(copies, page);
        make_safe(page);
        memcpy((void *)out_page, (const void *)page, sizeof(*page));
        *out_alive = tb_lock_held(path);
    }
    free(copies);
    return rc;
}

int64_t tb_histogram_quantile(const struct tb_stats_histogram *h, double q)
{
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < TB_STATS_BUCKETS; i++)
        total += h->bucket[i];
    if (total == 0)
        return 0;
    double wanted = q * (double)total;
    for (size_t i = 0; i < TB_STATS_BUCKETS; i++) {
        seen += h->bucket[i];
        if ((double)seen >= wanted && seen > 0)
            return INT64_C(1) << (i + 1);
    }
    return INT64_C(1) << TB_STATS_BUCKETS;
}

const char *tb_service_state_name(uint32_t state)
{
    static const char *const name[] = {
        [TB_SERVICE_STARTING] = "starting", [TB_SERVICE_WAITING] = "waiting",
        [TB_SERVICE_RUNNING] = "running",   [TB_SERVICE_DEGRADED] = "degraded",
        [TB_SERVICE_DRAINING] = "draining", [TB_SERVICE_STOPPED] = "stopped",
        [TB_SERVICE_FAILED] = "failed",
    };
    return state >= 1 && state < TB_COUNT(name) ? name[state] : "unknown";
}

const char *tb_stream_state_name(uint32_t state)
{
    static const char *const name[] = {
        [TB_STREAM_STARTING] = "starting", [TB_STREAM_RUNNING] = "running",
        [TB_STREAM_DONE] = "done",         [TB_STREAM_STOPPED] = "stopped",
        [TB_STREAM_RETIRED] = "retired",
    };
    return state >= 1 && state < TB_COUNT(name) ? name[state] : "unknown";
}
