/* Which bus does an operator mean? What is there decides, and a wrong guess is answered with names. */
#include <tickbus/reader.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
    if (rc != 0 || is_directory(out_path))
        return rc;

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
