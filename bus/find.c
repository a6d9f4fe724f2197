/*
 * Looking around, for tools. Which bus does an operator mean? What is there decides, and a wrong guess is
 * answered with names.
 */
#include <tickbus/reader.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mapping_guard.h"
#include "segment.h"

#define NAMES_BYTES 160

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The buses below base: how many, the last one's name, and all names for a message. */
static int list_buses(const char *base, char last[TB_STREAM_BYTES], char names[NAMES_BYTES])
{
    int count = 0;
    size_t at = 0;
    names[0] = '\0';
    DIR *dir = opendir(base);
    if (dir == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        int n = snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        if (!tb_name_check(entry->d_name) || n >= (int)sizeof(path) || !is_directory(path))
            continue;
        strcpy(last, entry->d_name); /* fits: tb_name_check bounds it */
        if (at + strlen(last) + 3 < NAMES_BYTES)
            at += (size_t)snprintf(names + at, NAMES_BYTES - at, "%s%s", at ? ", " : "", last);
        count++;
    }
    (void)closedir(dir);
    return count;
}

int tb_bus_find(const char *base, const char *bus, char *out_path, size_t path_bytes,
                struct tb_error *err)
{
    int rc = tb_bus_dir(base, bus, out_path, path_bytes, err);
    struct stat st;
    if (rc != 0 || is_directory(out_path))
        return rc;
    if (stat(out_path, &st) != 0 && errno == EACCES)
        return tb_fail(err, -EACCES,
                       "uid %u may not look at bus %s: run this as its user, or let it enter "
                       "the directories above",
                       (unsigned)geteuid(), out_path);

    char parent[512], only[TB_STREAM_BYTES], names[NAMES_BYTES];
    snprintf(parent, sizeof(parent), "%s", out_path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        *slash = '\0';
    int count = list_buses(parent, only, names);
    if (bus == NULL && count == 1)
        return tb_bus_dir(base, only, out_path, path_bytes, err);
    if (count == 0)
        return tb_fail(err, -ENOENT, "no bus at %s: nothing was started there yet", out_path);
    return tb_fail(err, -ENOENT, "no bus at %s; there are: %s (choose with --bus)", out_path,
                   names);
}

/* ---- what is on a bus ---- */

static int list_filter(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           entry->d_name[strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyz0123456789_.-")] == '\0';
}

int tb_bus_list(const char *bus_dir, const char *suffix,
                int (*each)(const char *name, void *context), void *context, struct tb_error *err)
{
    struct dirent **entries;
    int count = scandir(bus_dir, &entries, list_filter, alphasort);
    if (count < 0)
        return tb_fail(err, -errno, "cannot list bus %s: %s", bus_dir, strerror(errno));
    int rc = 0;
    size_t suffix_length = strlen(suffix);
    for (int i = 0; i < count; i++) {
        char *name = entries[i]->d_name;
        size_t length = strlen(name);
        if (rc == 0 && length > suffix_length &&
            strcmp(name + length - suffix_length, suffix) == 0) {
            name[length - suffix_length] = '\0';
            rc = each(name, context);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static void copy_name(char out[TB_STREAM_BYTES], const char from[TB_STREAM_BYTES])
{
    memcpy(out, from, TB_STREAM_BYTES);
    out[TB_STREAM_BYTES - 1] = '\0';
    if (!tb_name_check(out))
        out[0] = '\0';
}

int tb_cursor_inspect(const char *bus_dir, const char *file_name, struct tb_cursor_info *out_info,
                      struct tb_error *err)
{
    char path[TB_PATH_BYTES];
    struct tb_segment s;
    int rc = tb_path(path, bus_dir, file_name, ".cursor", err);
    if (rc != 0)
        return rc;
    rc = tb_segment_attach(path, false, sizeof(struct tb_cursor_page), &s, err);
    if (rc != 0)
        return rc;
    const struct tb_cursor_page *page = s.base;
    uint64_t magic = __atomic_load_n(&page->magic, __ATOMIC_ACQUIRE);
    if (magic != TB_CURSOR_MAGIC || page->layout != TB_CURSOR_LAYOUT) {
        rc = tb_fail(err, -EPROTO, "%s: magic %#llx layout %u, this build reads %#llx layout %u",
                     path, (unsigned long long)magic, page->layout,
                     (unsigned long long)TB_CURSOR_MAGIC, TB_CURSOR_LAYOUT);
        tb_segment_detach(&s);
        return rc;
    }
    struct tb_cursor_info info = {
        .alive = tb_lock_held(path),
        .pid = atomic_load_explicit(&page->pid, memory_order_relaxed),
        .wait = atomic_load_explicit(&page->wait, memory_order_relaxed),
        .epoch = atomic_load_explicit(&page->epoch, memory_order_relaxed),
        .cursor = atomic_load_explicit(&page->cursor, memory_order_relaxed),
        .needed = atomic_load_explicit(&page->needed, memory_order_relaxed),
        .lost = atomic_load_explicit(&page->lost, memory_order_relaxed),
        .overruns = atomic_load_explicit(&page->overruns, memory_order_relaxed),
        .heartbeat = atomic_load_explicit(&page->heartbeat, memory_order_relaxed),
        .durable = atomic_load_explicit(&page->durable, memory_order_relaxed),
    };
    copy_name(info.stream, page->stream);
    copy_name(info.reader, page->reader);
    bool broken = *tb_guard_broken(s.guard);
    tb_segment_detach(&s);
    if (broken)
        return tb_fail(err, -EBADMSG, "%s was cut short while it was read", path);
    *out_info = info;
    return 0;
}
