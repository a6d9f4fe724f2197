/* --fresh: begin on an empty bus. First everybody is looked for, then everything is removed. */
#include "consumers/up/up.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct looking {
    const char *bus_dir;
    unsigned busy;
};

static void found(struct looking *l, const char *what, const char *name, uint32_t pid)
{
    fprintf(stderr, "tickbus-up: --fresh: %s %s is in use by pid %u\n", what, name, pid);
    l->busy++;
}

static int look_at_stats(const char *name, void *context)
{
    struct looking *l = context;
    struct tb_stats_page page;
    bool alive = false;
    if (strcmp(name, "up") != 0 && /* that is us */
        tb_stats_inspect(l->bus_dir, name, &page, &alive, NULL) == 0 && alive)
        found(l, "service", name, page.pid);
    return 0;
}

static int look_at_cursor(const char *name, void *context)
{
    struct looking *l = context;
    struct tb_cursor_info info;
    if (tb_cursor_inspect(l->bus_dir, name, &info, NULL) == 0 && info.alive)
        found(l, "cursor", name, info.pid);
    return 0;
}

static int look_at_ring(const char *name, void *context)
{
    struct looking *l = context;
    struct tb_reader r;
    struct tb_producer producer;
    if (tb_reader_open(l->bus_dir, name, &(struct tb_reader_options){.from = TB_FROM_NEWEST}, &r,
                       NULL) != 0)
        return 0; /* damaged or foreign: nobody's */
    tb_reader_producer(&r, &producer);
    tb_reader_close(&r, false);
    if (producer.alive)
        found(l, "stream", name, producer.pid);
    return 0;
}

/* Only files that a bus makes: somebody else's file in the directory stays. */
static bool is_ours(const char *name)
{
    static const char *const suffixes[] = {".ring",     ".ring.new", ".lock",       ".wait",
                                           ".wait.new", ".cursor",   ".cursor.new", ".stats",
                                           ".state",    ".control"};
    size_t length = strlen(name);
    if (strcmp(name, "up.stats") == 0)
        return false;
    for (size_t i = 0; i < TB_COUNT(suffixes); i++) {
        size_t n = strlen(suffixes[i]);
        if (length > n && strcmp(name + length - n, suffixes[i]) == 0)
            return true;
    }
    return false;
}

int fresh_start(const char *bus_dir)
{
    struct looking l = {.bus_dir = bus_dir};
    (void)tb_bus_list(bus_dir, ".stats", look_at_stats, &l, NULL); /* an empty bus has none */
    (void)tb_bus_list(bus_dir, ".cursor", look_at_cursor, &l, NULL);
    (void)tb_bus_list(bus_dir, ".ring", look_at_ring, &l, NULL);
    if (l.busy > 0)
        return -EBUSY;
    DIR *dir = opendir(bus_dir);
    if (dir == NULL)
        return errno == ENOENT ? 0 : -errno;
    int rc = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (is_ours(e->d_name) && unlinkat(dirfd(dir), e->d_name, 0) != 0) {
            rc = -errno;
            fprintf(stderr, "tickbus-up: cannot remove %s/%s: %s\n", bus_dir, e->d_name,
                    strerror(errno));
        }
    (void)closedir(dir); /* only read */
    return rc;
}
