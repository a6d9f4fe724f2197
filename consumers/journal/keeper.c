#include "consumers/journal/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/log.h>
#include <tickbus/service.h>

#include "bus/journal_write.h"

#define LOOK_EVERY_S 2
#define NAME_BYTES 64
#define SEGMENT_NAME 45 /* <20 digits>-<20 digits>.tbj */
#define RETRY_MAX 3     /* a file that can not be compressed is left alone */

struct keeper {
    struct keeper_options opt;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool stop;
    TB_ATOMIC(uint64_t) compressed, removed, errors;
    struct place {
        char directory[512]; /* under lock: these two */
        char file[NAME_BYTES];
        unsigned failures;
        char failed[NAME_BYTES]; /* the file they are about */
    } place[TB_INPUTS_MAX];
    struct tb_log_limit failed_log;
};

struct kept_file {
    char name[NAME_BYTES];
    uint64_t bytes;
    tb_ns modified;
};

/* ---- one journal ---- */

static bool is_segment(const char *name)
{
    size_t length = strlen(name);
    return strspn(name, "0123456789") == 20 && name[20] == '-' &&
           strspn(name + 21, "0123456789") == 20 &&
           ((length == SEGMENT_NAME && strcmp(name + 41, ".tbj") == 0) ||
            (length == SEGMENT_NAME + 4 && strcmp(name + 41, ".tbj.zst") == 0));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kept_file *)a)->name, ((const struct kept_file *)b)->name);
}

/* The segments of a directory, oldest first. Returns how many, or -errno. */
static long list(int directory_fd, struct kept_file **out_files)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    struct kept_file *files = NULL;
    size_t count = 0, room = 0;
    struct dirent *entry;
    if (directory == NULL)
        return -errno;
    while ((entry = readdir(directory)) != NULL) {
        struct stat st;
        if (!is_segment(entry->d_name) ||
            fstatat(directory_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (count == room) {
            struct kept_file *more = realloc(files, (room = 2 * room + 16) * sizeof(*files));
            if (more == NULL) {
                free(files);
                (void)closedir(directory);
                return -ENOMEM;
            }
            files = more;
        }
        snprintf(files[count].name, sizeof(files[count].name), "%.60s", entry->d_name);
        files[count].bytes = (uint64_t)st.st_blocks * 512;
        files[count++].modified = (tb_ns)st.st_mtim.tv_sec * TB_NS_PER_S + st.st_mtim.tv_nsec;
    }
    (void)closedir(directory);
    if (count > 0)
        qsort(files, count, sizeof(*files), by_name);
    *out_files = files;
    return (long)count;
}

static void retain(struct keeper *k, const struct place *place, int directory_fd,
                   const struct kept_file *files, long count)
{
    uint64_t total = 0;
    tb_ns now = tb_clock_wall();
    for (long i = 0; i < count; i++)
        total += files[i].bytes;
    /* Oldest first, and only from that end: what is left has no hole. */
    for (long i = 0; i + 1 < count && strcmp(files[i].name, place->file) != 0; i++) {
        bool old = k->opt.retain_age > 0 && now - files[i].modified > k->opt.retain_age;
        bool much = k->opt.retain_bytes > 0 && total > k->opt.retain_bytes;
        if (!old && !much)
            return;
        if (unlinkat(directory_fd, files[i].name, 0) != 0) {
            k->errors++;
            return;
        }
        total -= files[i].bytes;
        k->removed++;
        tb_log(TB_LOG_INFO, "segment_removed", "file=%s/%s bytes=%llu reason=%s", place->directory,
               files[i].name, (unsigned long long)files[i].bytes,
               old ? "retain_age" : "retain_bytes");
    }
}

static void compress_one(struct keeper *k, struct place *place, int directory_fd,
                         const struct kept_file *file)
{
    int rc = tb_journal_compress(directory_fd, file->name, (int)k->opt.level, &k->stop);
    if (rc == 1) {
        k->compressed++;
        place->failures = 0;
    } else if (rc < 0 && rc != -ECANCELED) {
        k->errors++;
        if (strcmp(place->failed, file->name) != 0)
            place->failures = 0;
        memcpy(place->failed, file->name, sizeof(place->failed));
        place->failures++;
        tb_log_limited(&k->failed_log, 10 * TB_NS_PER_S, TB_LOG_WARN, "not_compressed",
                       "file=%s/%s reason=\"%s\" then=\"it stays as it is\"", place->directory,
                       file->name, strerror(-rc));
    }
}

static bool is_compressed(const char *name)
{
    return strlen(name) > SEGMENT_NAME;
}

static void look(struct keeper *k, struct place *place)
{
    struct kept_file *files = NULL;
    int fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return; /* the writer says so */
    long count = list(fd, &files);
    if (count > 0)
        retain(k, place, fd, files, count);
    for (long i = 0; k->opt.compress && i + 1 < count && !atomic_load(&k->stop); i++) {
        if (is_compressed(files[i].name) || strcmp(files[i].name, place->file) == 0 ||
            (place->failures >= RETRY_MAX && strcmp(files[i].name, place->failed) == 0))
            continue;
        if (strncmp(files[i].name, files[i + 1].name, SEGMENT_NAME) == 0 &&
            is_compressed(files[i + 1].name))
            (void)unlinkat(fd, files[i].name, 0); /* compressed, and then somebody died */
        else
            compress_one(k, place, fd, &files[i]);
    }
    free(files);
    (void)close(fd);
}

/* ---- the thread ---- */

static void *keep(void *context)
{
    struct keeper *k = context;
    /* Of this thread alone; where it is refused it runs as the others do. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    (void)syscall(SYS_ioprio_set, 1 /* process */, 0, 3 << 13 /* idle */);
    pthread_mutex_lock(&k->lock);
    while (!atomic_load(&k->stop)) {
        for (unsigned i = 0; i < TB_INPUTS_MAX && !atomic_load(&k->stop); i++) {
            if (k->place[i].directory[0] == '\0')
                continue;
            struct place place = k->place[i];
            pthread_mutex_unlock(&k->lock);
            look(k, &place);
            pthread_mutex_lock(&k->lock);
            k->place[i].failures = place.failures;
            memcpy(k->place[i].failed, place.failed, sizeof(place.failed));
        }
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_EVERY_S;
        if (!atomic_load(&k->stop))
            (void)pthread_cond_timedwait(&k->wake, &k->lock, &until);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

int keeper_start(const struct keeper_options *options, struct keeper **out_keeper)
{
    *out_keeper = NULL;
    if (!options->compress && options->retain_age == 0 && options->retain_bytes == 0)
        return 0;
    struct keeper *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return -ENOMEM;
    k->opt = *options;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, NULL);
    int rc = pthread_create(&k->thread, NULL, keep, k);
    if (rc != 0) {
        free(k);
        return -rc;
    }
    *out_keeper = k;
    return 0;
}

void keeper_stop(struct keeper *k)
{
    if (k == NULL)
        return;
    pthread_mutex_lock(&k->lock);
    atomic_store(&k->stop, true);
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
    (void)pthread_join(k->thread, NULL);
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

void keeper_current(struct keeper *k, unsigned i, const char *directory, const char *file)
{
    if (k == NULL || pthread_mutex_trylock(&k->lock) != 0)
        return; /* next time */
    struct place *place = &k->place[i];
    snprintf(place->directory, sizeof(place->directory), "%s", directory);
    snprintf(place->file, sizeof(place->file), "%s", file);
    pthread_mutex_unlock(&k->lock);
}

void keeper_counts(struct keeper *k, struct keeper_counts *out_counts)
{
    *out_counts = (struct keeper_counts){0};
    if (k == NULL)
        return;
    out_counts->compressed = k->compressed;
    out_counts->removed = k->removed;
    out_counts->errors = k->errors;
}
