/*
 * The files of one session, merged by receive time. Each file holds its next event; the earliest is
 * given out, and that file reads on only when the next event is asked for, so the text stays valid.
 */
#include "producers/capture/capture.h"
#include "producers/capture/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAG_BYTES (64U << 10)
/* Lines looked at before a file is said to be no capture: a damaged beginning is no reason. */
#define FORMAT_LINES 100

struct source {
    struct capture_file file;
    enum capture_format format;
    bool has_event;
    bool looked; /* `event` (or its absence) is up to date */
    struct capture_event event;
    char rest_url[128]; /* format 1: of its snapshots, from the file's name; empty: unknown */
};

struct capture {
    size_t count;
    struct source *source;
    char **path;
    capture_fault *fault;
    void *context;
    uint64_t faults;
    uint64_t tag;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void report(struct capture *c, const struct source *s, const char *what)
{
    c->faults++;
    if (c->fault != NULL)
        c->fault(c->context, s->file.path, s->file.line, what);
}

/* "spot_btcusdt_20240808.gz": the symbol is the second word, the first says which market it is. */
static void name_rest_url(struct source *s)
{
    static const struct {
        const char *prefix, *path;
    } kinds[] = {{"spot_", "/api/v3/depth"}, {"usdm_", "/fapi/v1/depth"}};
    const char *name = base_name(s->file.path);
    s->rest_url[0] = '\0';
    for (size_t i = 0; i < TB_COUNT(kinds); i++) {
        size_t length = strlen(kinds[i].prefix);
        if (strncmp(name, kinds[i].prefix, length) != 0)
            continue;
        char symbol[40] = "";
        size_t end = strcspn(name + length, "_.");
        for (size_t j = 0; j < end && j + 1 < sizeof(symbol); j++) {
            char letter = name[length + j];
            symbol[j] = (char)(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
        }
        if (symbol[0] != '\0')
            (void)snprintf(s->rest_url, sizeof(s->rest_url), "%s?symbol=%s&limit=1000",
                           kinds[i].path, symbol);
    }
}

/* Make s->event the next event of the file, or has_event false. */
static void look(struct capture *c, size_t index)
{
    struct source *s = &c->source[index];
    char *text;
    size_t length;
    int rc;
    s->looked = true;
    s->has_event = false;
    while ((rc = capture_file_line(&s->file, &text, &length)) != 0) {
        const char *why = s->file.problem;
        if (rc > 0) {
            rc = capture_line_read(s->format, text, length, &s->event, &why);
            if (rc == 0)
                continue;
        }
        if (rc == 1 && s->event.kind == CAPTURE_HTTP && s->event.url[0] == '\0') {
            s->event.url = s->rest_url;
            if (s->rest_url[0] == '\0') {
                why = "a REST answer without a symbol, and the file's name has none "
                      "(spot_<symbol>_<day>)";
                rc = -EBADMSG;
            }
        }
        if (rc < 0) {
            report(c, s, why);
            continue;
        }
        s->event.file = (unsigned)index;
        s->event.line = s->file.line;
        s->has_event = true;
        return;
    }
}

/* The format is that of the first line which has one. A file without any text is a capture too. */
static int find_format(struct source *s, struct tb_error *err)
{
    char *text;
    size_t length;
    int rc, seen = 0;
    s->format = CAPTURE_FORMAT_NONE;
    while (seen < FORMAT_LINES && (rc = capture_file_line(&s->file, &text, &length)) != 0) {
        if (rc < 0 || length == 0)
            continue;
        seen++;
        s->format = capture_line_format(text, length);
        if (s->format != CAPTURE_FORMAT_NONE)
            break;
    }
    if (seen > 0 && s->format == CAPTURE_FORMAT_NONE)
        return tb_fail(
            err, -EINVAL,
            "%s is no capture: lines are `<ns> <JSON>`, `<s>: <JSON>`, {\"t\":..}, JSON or "
            "hexadecimal",
            s->file.path);
    rc = capture_file_rewind(&s->file);
    return rc == 0
               ? 0
               : tb_fail(err, rc, "cannot read capture %s again: %s", s->file.path, strerror(-rc));
}

static uint64_t hash(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        h = (h ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return h;
}

static int hash_part(uint64_t *h, const struct capture_file *f, off_t from, unsigned char *buffer)
{
    ssize_t count = pread(f->fd, buffer, TAG_BYTES, from);
    if (count < 0)
        return -errno;
    *h = hash(*h, buffer, (size_t)count);
    return 0;
}

static int make_tag(struct capture *c)
{
    unsigned char *buffer = malloc(TAG_BYTES);
    int rc = buffer == NULL ? -ENOMEM : 0;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const struct capture_file *f = &c->source[i].file;
        const char *name = base_name(f->path);
        h = hash(h, name, strlen(name) + 1);
        h = hash(h, &f->size, sizeof(f->size));
        rc = hash_part(&h, f, 0, buffer);
        if (rc == 0 && f->size > TAG_BYTES)
            rc = hash_part(&h, f, (off_t)(f->size - TAG_BYTES), buffer);
    }
    free(buffer);
    c->tag = h == 0 ? 1 : h;
    return rc;
}

static int open_source(struct capture *c, size_t index, const char *path, struct tb_error *err)
{
    struct source *s = &c->source[index];
    c->path[index] = strdup(path);
    if (c->path[index] == NULL)
        return tb_fail(err, -ENOMEM, "no memory to read capture %s", path);
    c->count = index + 1;
    int rc = capture_file_open(&s->file, c->path[index], err);
    if (rc != 0)
        return rc;
    name_rest_url(s);
    return find_format(s, err);
}

int capture_open(const char *const *paths, size_t count, capture_fault *fault, void *context,
                 struct capture **out_capture, struct tb_error *err)
{
    if (count == 0)
        return tb_fail(err, -EINVAL, "no capture file is given");
    if (count > CAPTURE_FILES_MAX)
        return tb_fail(err, -E2BIG, "%zu capture files: at most %d can be one session", count,
                       CAPTURE_FILES_MAX);
    struct capture *c = calloc(1, sizeof(*c));
    int rc = 0;
    if (c != NULL) {
        c->source = calloc(count, sizeof(*c->source));
        c->path = calloc(count, sizeof(*c->path));
        c->fault = fault;
        c->context = context;
    }
    if (c == NULL || c->source == NULL || c->path == NULL)
        rc = tb_fail(err, -ENOMEM, "no memory for %zu capture files", count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = open_source(c, i, paths[i], err);
    if (rc == 0 && (rc = make_tag(c)) != 0)
        rc = tb_fail(err, rc, "cannot read the captures: %s", strerror(-rc));
    if (rc != 0) {
        capture_close(c);
        return rc;
    }
    *out_capture = c;
    return 0;
}

void capture_close(struct capture *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        capture_file_close(&c->source[i].file);
        free(c->path[i]);
    }
    free(c->source);
    free(c->path);
    free(c);
}

int capture_next(struct capture *c, struct capture_event *out_event)
{
    struct source *first = NULL;
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->source[i];
        if (!s->looked)
            look(c, i);
        if (s->has_event && (first == NULL || s->event.ts_recv < first->event.ts_recv))
            first = s;
    }
    if (first == NULL)
        return 0;
    first->looked = false;
    *out_event = first->event;
    return 1;
}

int capture_rewind(struct capture *c)
{
    c->faults = 0;
    for (size_t i = 0; i < c->count; i++) {
        c->source[i].looked = false;
        int rc = capture_file_rewind(&c->source[i].file);
        if (rc != 0)
            return rc;
    }
    return 0;
}

uint64_t capture_faults(const struct capture *c)
{
    return c->faults;
}

void capture_progress(const struct capture *c, uint64_t *out_done, uint64_t *out_total)
{
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < c->count; i++) {
        done += c->source[i].file.consumed - c->source[i].file.zlib.avail_in;
        total += c->source[i].file.size;
    }
    *out_done = done;
    *out_total = total;
}

uint64_t capture_tag(const struct capture *c)
{
    return c->tag;
}
