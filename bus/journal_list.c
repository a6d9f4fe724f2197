/*
 * Which segments a journal has: the names in its directory, in order, and the few that are open. The
 * directory is looked at again when its time stamp changes.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tickbus/clock.h>

#include "journal_source.h"

#define OPEN_MAX 4 /* files kept open */
/* A directory's time stamp is as coarse as a timer tick: younger than this it may hide a later change. */
#define STAMP_NS (50 * TB_NS_PER_MS)

static int compare_segments(const void *left, const void *right)
{
    const struct tb_journal_item *a = left, *b = right;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->first_seq != b->first_seq)
        return a->first_seq < b->first_seq ? -1 : 1;
    return (int)a->compressed -
           (int)b->compressed; /* the plain file first: it is the cheaper one */
}

static bool parse_digits(const char *text, uint64_t *out_number)
{
    uint64_t number = 0;
    for (int i = 0; i < 20; i++) {
        if (text[i] < '0' || text[i] > '9' ||
            __builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
            return false;
    }
    *out_number = number;
    return true;
}

bool tb_journal_name_parse(const char *name, struct tb_journal_item *out_segment)
{
    struct tb_journal_item s = {0};
    if (!parse_digits(name, &s.epoch) || name[20] != '-' || !parse_digits(name + 21, &s.first_seq))
        return false;
    s.compressed = strcmp(name + 41, ".tbj.zst") == 0;
    if ((!s.compressed && strcmp(name + 41, ".tbj") != 0) || s.first_seq == 0)
        return false;
    *out_segment = s;
    return true;
}

void tb_journal_name(const struct tb_journal_item *s, char out_name[64])
{
    (void)snprintf(out_name, 64, "%020llu-%020llu.tbj%s", (unsigned long long)s->epoch,
                   (unsigned long long)s->first_seq, s->compressed ? ".zst" : "");
}

static void close_segment(struct tb_journal_list *l, struct tb_journal_item *s)
{
    if (s->source == NULL)
        return;
    tb_journal_source_close(s->source);
    s->source = NULL;
    l->open--;
}

/*
 * A file that nobody has made anything of may be removed, by a writer that recovers or gives it up, and be made
 * anew under the same name: what is open is then another one, to which nothing ever comes. A file that was
 * compressed since is as good as before.
 */
static bool is_another(const struct tb_journal_item *open, const struct tb_journal_item *found)
{
    struct stat st;
    return open->source != NULL && open->source->zstd == NULL && !found->compressed &&
           fstat(open->source->fd, &st) == 0 && st.st_nlink == 0;
}

/* Put `found` in the place of the list; what is open stays so. False: but for a file that is another one now. */
static bool take_list(struct tb_journal_list *l, struct tb_journal_item *found, size_t count)
{
    size_t kept = 0;
    bool same = true;
    qsort(found, count, sizeof(*found), compare_segments);
    for (size_t i = 0, old = 0; i < count; i++) {
        if (kept > 0 && found[kept - 1].epoch == found[i].epoch &&
            found[kept - 1].first_seq == found[i].first_seq)
            continue; /* plain and compressed, while one becomes the other */
        while (old < l->count && (l->item[old].epoch < found[i].epoch ||
                                  (l->item[old].epoch == found[i].epoch &&
                                   l->item[old].first_seq < found[i].first_seq)))
            close_segment(l, &l->item[old++]);
        if (old < l->count && l->item[old].epoch == found[i].epoch &&
            l->item[old].first_seq == found[i].first_seq) {
            if (is_another(&l->item[old], &found[i])) {
                close_segment(l, &l->item[old]);
                same = false;
            }
            found[i].source = l->item[old].source;
            found[i].used = l->item[old].used;
            l->item[old++].source = NULL;
        }
        found[kept++] = found[i];
    }
    for (size_t i = 0; i < l->count; i++)
        close_segment(l, &l->item[i]);
    free(l->item);
    l->item = found;
    l->count = kept;
    return same;
}

static bool same_list(const struct tb_journal_list *l, const struct tb_journal_item *before,
                      size_t count)
{
    if (count != l->count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (before[i].epoch != l->item[i].epoch || before[i].first_seq != l->item[i].first_seq)
            return false;
    return true;
}

/* 1: something that was open is another file now; 0, or -errno. */
static int read_directory(struct tb_journal_list *l)
{
    struct tb_journal_item *found = NULL;
    size_t count = 0, room = 0;
    DIR *dir = opendir(l->path);
    if (dir == NULL && errno != ENOENT)
        return -errno;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        struct tb_journal_item s;
        if (!tb_journal_name_parse(entry->d_name, &s))
            continue;
        if (count == room) {
            room = room == 0 ? 64 : 2 * room;
            struct tb_journal_item *more = realloc(found, room * sizeof(*found));
            if (more == NULL) {
                free(found);
                (void)closedir(dir);
                return -ENOMEM;
            }
            found = more;
        }
        found[count++] = s;
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (found == NULL)
        found = calloc(1, sizeof(*found));
    if (found == NULL)
        return -ENOMEM;
    return take_list(l, found, count) ? 0 : 1;
}

/* Look for new segments. 1: the list is another now, 0: it is not, or -errno. */
int tb_journal_list_scan(struct tb_journal_list *l)
{
    struct stat st;
    if (l->single)
        return 0;
    tb_ns now = tb_clock_wall();
    if (stat(l->path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (l->stamped && st.st_mtim.tv_sec == l->stamp.tv_sec &&
        st.st_mtim.tv_nsec == l->stamp.tv_nsec)
        return 0;
    size_t count = l->count;
    struct tb_journal_item *before = malloc((count + 1) * sizeof(*before));
    if (before == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(before, l->item, count * sizeof(*before));
    int rc = read_directory(l);
    if (rc >= 0) {
        l->stamp = st.st_mtim;
        tb_ns age = now - (st.st_mtim.tv_sec * TB_NS_PER_S + st.st_mtim.tv_nsec);
        l->stamped = age > STAMP_NS;
        rc = rc == 1 || !same_list(l, before, count);
    }
    free(before);
    return rc;
}

static struct tb_journal_source *try_open(struct tb_journal_list *l,
                                          const struct tb_journal_item *s, int *out_rc)
{
    char path[TB_JOURNAL_PATH_BYTES + 64], name[64];
    struct tb_journal_source *source = NULL;
    tb_journal_name(s, name);
    int length = l->single ? snprintf(path, sizeof(path), "%s", l->path)
                           : snprintf(path, sizeof(path), "%s/%s", l->path, name);
    TB_ASSERT(length > 0 && (size_t)length < sizeof(path));
    *out_rc = tb_journal_source_open(path, name, s->epoch, s->first_seq, s->compressed, &source);
    return source;
}

/* The source of segment i, opened if need be. */
int tb_journal_list_use(struct tb_journal_list *l, size_t i, struct tb_journal_source **out_source)
{
    struct tb_journal_item *s = &l->item[i];
    int rc = 0;
    if (s->source == NULL) {
        s->source = try_open(l, s, &rc);
        if (rc == -ENOENT && !l->single) {
            s->compressed = !s->compressed; /* it may have become the other meanwhile */
            s->source = try_open(l, s, &rc);
        }
        if (rc != 0)
            return rc;
        l->open++;
    }
    s->used = ++l->uses;
    if (l->open > OPEN_MAX) {
        struct tb_journal_item *least = NULL;
        for (size_t k = 0; k < l->count; k++)
            if (l->item[k].source != NULL && (least == NULL || l->item[k].used < least->used))
                least = &l->item[k];
        close_segment(l, least);
    }
    *out_source = s->source;
    return 0;
}

/* The last segment that begins at or before (epoch, seq); SIZE_MAX: none. */
size_t tb_journal_list_find(const struct tb_journal_list *l, uint64_t epoch, tb_seq seq)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct tb_journal_item *s = &l->item[middle];
        if (s->epoch < epoch || (s->epoch == epoch && s->first_seq <= seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1; /* SIZE_MAX if low is 0 */
}

void tb_journal_list_close(struct tb_journal_list *l)
{
    for (size_t i = 0; i < l->count && l->item != NULL; i++)
        close_segment(l, &l->item[i]);
    free(l->item);
    l->item = NULL;
    l->count = 0;
}
