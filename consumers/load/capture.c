/* The files to load: there, readable, and known again by their content. */
#include "consumers/load/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define BLOCK (1 << 16)
/* What Binance's single trades have and nothing else does. */
static const char single_trade[] = "\"e\":\"trade\"";
#define CARRY (sizeof(single_trade) - 2)

/* FNV-1a, 64 bits: not against malice, against loading the same file twice. */
static uint64_t hash(uint64_t h, const void *data, size_t count)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < count; i++)
        h = (h ^ byte[i]) * UINT64_C(0x100000001b3);
    return h;
}
#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Plain or gzip. A file that is cut short is hashed as far as it goes; the replay tells where it ends. */
static int read_through(const char *path, struct load_captures *c, uint64_t *out_hash)
{
    char block[CARRY + BLOCK];
    size_t carried = 0;
    uint64_t h = HASH_START;
    gzFile file = gzopen(path, "rbe");
    if (file == NULL)
        return -errno;
    for (;;) {
        int n = gzread(file, block + carried, BLOCK);
        if (n <= 0)
            break;
        h = hash(h, block + carried, (size_t)n);
        size_t have = carried + (size_t)n;
        if (!c->single_trades &&
            memmem(block, have, single_trade, sizeof(single_trade) - 1) != NULL)
            c->single_trades = true;
        carried = have < CARRY ? have : CARRY;
        memmove(block, block + have - carried, carried);
    }
    (void)gzclose(file); /* only read */
    *out_hash = h;
    return 0;
}

static int open_one(struct load_captures *c, const char *path, struct tb_error *err)
{
    struct stat st;
    uint64_t h = 0;
    char *absolute = realpath(path, NULL);
    if (absolute == NULL)
        return tb_fail(err, -errno, "cannot read capture %s: %s", path, strerror(errno));
    c->path[c->count++] = absolute;
    if (stat(absolute, &st) != 0 || !S_ISREG(st.st_mode))
        return tb_fail(err, -EINVAL, "cannot read capture %s: it is no regular file", path);
    for (size_t i = 0; i + 1 < c->count; i++)
        if (strcmp(c->path[i], absolute) == 0)
            return tb_fail(err, -EINVAL, "capture %s is given twice", path);
    int rc = read_through(absolute, c, &h);
    if (rc != 0)
        return tb_fail(err, rc, "cannot read capture %s: %s", path, strerror(-rc));
    c->tag += h; /* a sum: in whatever order the files come */
    return 0;
}

int load_captures_open(const char *venue, const char *const *paths, size_t count,
                       struct load_captures *out_captures, struct tb_error *err)
{
    struct load_captures c = {.tag = hash(HASH_START, venue, strlen(venue))};
    if (count > LOAD_CAPTURES_MAX)
        return tb_fail(err, -E2BIG, "%zu captures, at most %d in one load", count,
                       LOAD_CAPTURES_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = open_one(&c, paths[i], err);
        if (rc != 0) {
            load_captures_close(&c);
            return rc;
        }
    }
    c.tag += c.tag == 0;
    *out_captures = c;
    return 0;
}

void load_captures_close(struct load_captures *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->path[i]);
    c->count = 0;
}
