/*
 * A recorded file, inflated as it is read. gzip is told by its magic, not by its name; several members
 * after each other are one text, as gzip(1) has it.
 */
#include "producers/capture/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_input(struct capture_file *f)
{
    ssize_t count;
    do
        count = read(f->fd, f->input, CAPTURE_INPUT_BYTES);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    f->consumed += (uint64_t)count;
    f->input_ended = count == 0;
    f->zlib.next_in = f->input;
    f->zlib.avail_in = (unsigned)count;
    return 0;
}

/* The file is told by its first bytes; a file shorter than the magic is plain text. */
static int begin(struct capture_file *f)
{
    int rc = read_input(f);
    if (rc != 0)
        return rc;
    f->gzip = f->zlib.avail_in >= 2 && f->input[0] == 0x1f && f->input[1] == 0x8b;
    f->in_member = f->gzip;
    return 0;
}

int capture_file_open(struct capture_file *f, const char *path, struct tb_error *err)
{
    struct stat st;
    memset(f, 0, sizeof(*f));
    f->path = path;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0)
        return tb_fail(err, -errno, "cannot open capture %s: %s", path, strerror(errno));
    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return tb_fail(err, -EINVAL, "cannot read capture %s: it is no plain file", path);
    f->size = (uint64_t)st.st_size;
    f->input = malloc(CAPTURE_INPUT_BYTES);
    f->data = calloc(1, CAPTURE_CHUNK_BYTES + CAPTURE_PADDING);
    f->capacity = CAPTURE_CHUNK_BYTES;
    /* 15 + 16: a gzip header, the largest window. */
    if (f->input == NULL || f->data == NULL || inflateInit2(&f->zlib, 15 + 16) != Z_OK)
        return tb_fail(err, -ENOMEM, "no memory to read capture %s", path);
    int rc = begin(f);
    return rc == 0 ? 0 : tb_fail(err, rc, "cannot read capture %s: %s", path, strerror(-rc));
}

void capture_file_close(struct capture_file *f)
{
    if (f->zlib.state != NULL)
        (void)inflateEnd(&f->zlib); /* memory only */
    if (f->fd > 0)
        (void)close(f->fd); /* was only read */
    free(f->input);
    free(f->data);
    memset(f, 0, sizeof(*f));
}

int capture_file_rewind(struct capture_file *f)
{
    if (lseek(f->fd, 0, SEEK_SET) < 0)
        return -errno;
    (void)inflateReset(&f->zlib); /* can not fail on a stream that was set up */
    f->input_ended = f->ended = f->cut = f->skipping = false;
    f->start = f->end = 0;
    f->consumed = f->line = 0;
    f->problem = NULL;
    return begin(f);
}

/* No more text: the rest of the file can not be read. */
static void give_up(struct capture_file *f, const char *problem)
{
    f->ended = true;
    f->cut = true;
    f->problem = problem;
}

static void inflate_more(struct capture_file *f)
{
    f->zlib.next_out = (unsigned char *)f->data + f->end;
    f->zlib.avail_out = (unsigned)(f->capacity - f->end);
    int rc = inflate(&f->zlib, Z_NO_FLUSH);
    f->end = f->capacity - f->zlib.avail_out;
    if (rc == Z_STREAM_END)
        f->in_member = false;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        give_up(f, "the gzip data are damaged; the rest of the file is lost");
}

static void copy_more(struct capture_file *f)
{
    size_t count = f->capacity - f->end;
    if (count > f->zlib.avail_in)
        count = f->zlib.avail_in;
    memcpy(f->data + f->end, f->zlib.next_in, count);
    f->end += count;
    f->zlib.next_in += count;
    f->zlib.avail_in -= (unsigned)count;
}

/* Append inflated bytes behind data[end]; there is room. */
static void fill(struct capture_file *f)
{
    if (f->zlib.avail_in == 0 && !f->input_ended && read_input(f) != 0) {
        give_up(f, "the file can not be read further");
        return;
    }
    if (!f->gzip) {
        copy_more(f);
        f->ended = f->input_ended;
        return;
    }
    if (!f->in_member && f->zlib.avail_in > 0) { /* another member, or something that is none */
        (void)inflateReset(&f->zlib);
        f->in_member = true;
    }
    if (f->in_member && f->zlib.avail_in > 0)
        inflate_more(f);
    else if (f->in_member && f->input_ended) {
        /* inflate may hold output back that did not fit the last time */
        size_t before = f->end;
        inflate_more(f);
        if (f->end == before && f->in_member && !f->ended)
            give_up(f, "gzip cut short; the rest of the file is missing");
    } else if (f->input_ended)
        f->ended = true;
}

/* Make room behind data[end]: move what is left to the front, then grow, then give the line up. */
static bool make_room(struct capture_file *f)
{
    if (f->start > 0) {
        memmove(f->data, f->data + f->start, f->end - f->start);
        f->end -= f->start;
        f->start = 0;
    }
    if (f->end < f->capacity)
        return true;
    if (f->capacity < CAPTURE_LINE_MAX) {
        size_t capacity = f->capacity * 2;
        char *data = realloc(f->data, capacity + CAPTURE_PADDING);
        if (data != NULL) {
            memset(data + f->capacity, 0, capacity - f->capacity + CAPTURE_PADDING);
            f->data = data;
            f->capacity = capacity;
            return true;
        }
    }
    f->start = f->end = 0;
    f->skipping = true;
    return false;
}

static int give_line(struct capture_file *f, size_t length, size_t next, char **out_text,
                     size_t *out_length)
{
    char *text = f->data + f->start;
    f->start = next;
    f->line++;
    if (f->skipping) {
        f->skipping = false;
        f->problem = "a line longer than 32 MiB";
        return -EBADMSG;
    }
    if (length > 0 && text[length - 1] == '\r')
        length--;
    *out_text = text;
    *out_length = length;
    return 1;
}

int capture_file_line(struct capture_file *f, char **out_text, size_t *out_length)
{
    size_t looked = 0;
    f->problem = NULL;
    for (;;) {
        size_t held = f->end - f->start;
        char *from = f->data + f->start;
        char *newline = held > looked ? memchr(from + looked, '\n', held - looked) : NULL;
        if (newline != NULL)
            return give_line(f, (size_t)(newline - from), (size_t)(newline + 1 - f->data), out_text,
                             out_length);
        if (f->ended) {
            if (f->cut) { /* once: whatever is held is half a line */
                f->cut = false;
                f->start = f->end = 0;
                f->line++;
                if (f->problem == NULL)
                    f->problem = "the file is damaged; its rest is lost";
                return -EBADMSG;
            }
            if (held == 0 && !f->skipping)
                return 0;
            return give_line(f, held, f->end, out_text, out_length);
        }
        looked = held;
        if (f->end == f->capacity && !make_room(f))
            looked = 0;
        fill(f);
    }
}
