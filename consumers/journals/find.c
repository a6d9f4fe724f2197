#include "consumers/journals/journals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#define DEPTH_MAX 3 /* journal, bus, stream */

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_segment(const char *name)
{
    return ends_in(name, ".tbj") || ends_in(name, ".tbj.zst");
}

static bool is_aside(const char *name)
{
    const char *tail = strstr(name, ".tbj.damaged");
    return tail != NULL && (tail[12] == 0 || tail[12] == '-');
}

bool journals_is_path(const char *text)
{
    return strchr(text, '/') != NULL || is_segment(text) || strcmp(text, ".") == 0;
}

/* ---- whose segment it is ---- */

/* The first page of a segment; of a compressed one as much of the first frame as that needs. */
static bool read_head(const char *path, unsigned char page[TB_JOURNAL_PAGE])
{
    static unsigned char packed[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, packed, sizeof(packed));
    (void)close(fd); /* read only */
    if (n <= 0)
        return false;
    if (!ends_in(path, ".zst")) {
        memcpy(page, packed, TB_JOURNAL_PAGE);
        return n >= TB_JOURNAL_PAGE;
    }
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed, (size_t)n, 0};
    ZSTD_outBuffer out = {page, TB_JOURNAL_PAGE, 0};
    while (z != NULL && out.pos < out.size && in.pos < in.size)
        if (ZSTD_isError(ZSTD_decompressStream(z, &out, &in)))
            break;
    ZSTD_freeDStream(z);
    return out.pos == TB_JOURNAL_PAGE;
}

static void name_stream(const char *segment, struct journal_path *out)
{
    unsigned char page[TB_JOURNAL_PAGE];
    struct tb_journal_head head;
    if (!read_head(segment, page) || tb_journal_page_check(page, TB_JOURNAL_HEAD, 0) != NULL)
        return;
    memcpy(&head, page + sizeof(struct tb_journal_page), sizeof(head));
    snprintf(out->stream, sizeof(out->stream), "%.*s", (int)sizeof(head.stream) - 1, head.stream);
    snprintf(out->bus, sizeof(out->bus), "%.*s", (int)sizeof(head.bus) - 1, head.bus);
}

/* As its directory is called: BUS/STREAM. */
static void name_as_directory(struct journal_path *out)
{
    const char *slash = strrchr(out->path, '/');
    const char *stream = slash != NULL ? slash + 1 : out->path, *bus = slash;
    while (bus != NULL && bus > out->path && bus[-1] != '/')
        bus--;
    snprintf(out->stream, sizeof(out->stream), "%.31s", stream);
    snprintf(out->bus, sizeof(out->bus), "%.*s", bus != NULL ? (int)(slash - bus) : 0,
             bus != NULL ? bus : "");
}

/* ---- looking ---- */

static int add(struct journals *journals, const char *path, const char *segment,
               struct tb_error *err)
{
    struct journal_path *more =
        realloc(journals->item, (journals->count + 1) * sizeof(*journals->item));
    if (more == NULL || journals->count >= JOURNALS_MAX)
        return tb_fail(err, -ENOMEM, "%s: more than %d journals", path, JOURNALS_MAX);
    journals->item = more;
    struct journal_path *item = &more[journals->count++];
    memset(item, 0, sizeof(*item));
    snprintf(item->path, sizeof(item->path), "%s", path);
    name_stream(segment, item);
    return 0;
}

static int visit(const char *path, int depth, struct journals *journals, struct tb_error *err)
{
    struct dirent **entries;
    char below[512], segment[512] = "";
    int rc = 0, count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return tb_fail(err, -errno, "cannot read %s: %s", path, strerror(errno));
    bool aside = false;
    for (int i = 0; i < count; i++) {
        aside |= journals->aside && is_aside(entries[i]->d_name);
        if (is_segment(entries[i]->d_name) && segment[0] == 0)
            snprintf(segment, sizeof(segment), "%s/%s", path, entries[i]->d_name);
    }
    const bool found = segment[0] != 0 || aside;
    if (found)
        rc = add(journals, path, segment, err);
    if (found && rc == 0 && segment[0] == 0)
        name_as_directory(&journals->item[journals->count - 1]);
    for (int i = 0; i < count && rc == 0 && !found && depth < DEPTH_MAX; i++) {
        struct stat st;
        int length = snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length < (int)sizeof(below) && stat(below, &st) == 0 &&
            S_ISDIR(st.st_mode))
            rc = visit(below, depth + 1, journals, err);
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return rc;
}

/* A stream's directory that has no segment yet: its writer's lock is there from the beginning. */
static bool is_begun(const char *path)
{
    char lock[512];
    int length = snprintf(lock, sizeof(lock), "%s/lock", path);
    return length < (int)sizeof(lock) && access(lock, F_OK) == 0;
}

int journals_find(const char *path, struct journals *journals, struct tb_error *err)
{
    struct stat st;
    size_t before = journals->count;
    if (stat(path, &st) != 0)
        return tb_fail(err, -errno, "cannot read %s: %s", path, strerror(errno));
    int rc = S_ISDIR(st.st_mode) ? visit(path, 1, journals, err) : add(journals, path, path, err);
    if (rc == 0 && journals->count == before && is_begun(path))
        return add(journals, path, "", err);
    if (rc == 0 && journals->count == before)
        return tb_fail(err, -ENOENT, "no journal in %s: no file *.tbj or *.tbj.zst below it", path);
    return rc;
}

int journals_aside(const char *directory,
                   void (*each)(void *context, const char *file, uint64_t bytes), void *context,
                   struct tb_error *err)
{
    struct dirent **entries;
    char path[512];
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0)
        return errno == ENOTDIR
                   ? 0
                   : tb_fail(err, -errno, "cannot read %s: %s", directory, strerror(errno));
    for (int i = 0; i < count; i++) {
        struct stat st;
        int length = snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        if (is_aside(entries[i]->d_name) && length < (int)sizeof(path) && stat(path, &st) == 0)
            each(context, entries[i]->d_name, (uint64_t)st.st_blocks * 512);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

void journals_free(struct journals *journals)
{
    free(journals->item);
    memset(journals, 0, sizeof(*journals));
}

static int count_records(void *context, const struct tb_journal_segment *segment)
{
    if (segment->last_seq != 0)
        *(uint64_t *)context += segment->last_seq - segment->first_seq + 1;
    return 0;
}

uint64_t journals_records(struct tb_journal *j)
{
    uint64_t count = 0;
    struct tb_error err;
    (void)tb_journal_list(j, false, count_records, &count, &err); /* only shown: 0 does no harm */
    return count;
}

static int keep_epoch(void *context, const struct tb_journal_segment *segment)
{
    *(uint64_t *)context = segment->epoch;
    return 0;
}

uint64_t journals_newest_epoch(struct tb_journal *j)
{
    uint64_t epoch = 0;
    struct tb_error err;
    (void)tb_journal_list(j, false, keep_epoch, &epoch, &err); /* 0: nothing will be found there */
    return epoch;
}
