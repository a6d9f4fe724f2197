/* See parquet.h. Everything in the file is checked before it is used. */
#include "consumers/parquet/parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "consumers/parquet/form.h"
#include "consumers/parquet/thrift.h"

#define FOOTER_MAX (INT64_C(1) << 30)
#define GROUP_ROWS_MAX (1 << 20)
#define CHUNK_MAX (INT64_C(1) << 30)
#define NAME_BYTES 64

const struct parquet_form parquet_forms[PARQUET_KINDS] = {
    [PARQUET_BOOL] = {0, 0, -1},   [PARQUET_INT32] = {1, 0, -1}, [PARQUET_INT64] = {2, 0, -1},
    [PARQUET_UINT64] = {2, 0, 14}, [PARQUET_TIME] = {2, 0, -1},  [PARQUET_TEXT] = {6, 0, 0},
    [PARQUET_WIDE] = {7, 16, 5},
};

struct chunk {
    uint64_t offset, packed_bytes, plain_bytes, values;
    int codec, type;
};

struct column {
    char name[NAME_BYTES];
    unsigned char *present;
    unsigned char *page; /* levels and values */
    size_t room, at, end;
    size_t bools;
    char *text; /* of the row that was given out last */
    size_t text_room;
};

struct parquet_reader {
    int fd;
    char path[256];
    unsigned char *footer;
    struct thrift_in groups; /* at the next row group */
    size_t groups_left;
    struct parquet_column description[PARQUET_COLUMNS_MAX];
    struct column column[PARQUET_COLUMNS_MAX];
    size_t count;
    uint64_t file_bytes, rows_total, rows_done;
    size_t rows, row; /* of this group */
    unsigned char *packed;
    size_t packed_room;
};

static int other_shape(const struct parquet_reader *r, struct tb_error *err, const char *what,
                       const char *name)
{
    return tb_fail(err, -EPROTO,
                   "%s: %s %s: only files that tickbus export wrote are read back; see FIELDS.md",
                   r->path, what, name);
}

static int damaged(const struct parquet_reader *r, struct tb_error *err, const char *what,
                   const char *name)
{
    return tb_fail(err, -EBADMSG, "%s: damaged: %s %s", r->path, what, name);
}

static int read_at(struct parquet_reader *r, void *bytes, size_t count, uint64_t offset,
                   struct tb_error *err)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = pread(r->fd, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tb_fail(err, n < 0 ? -errno : -EBADMSG, "%s: cannot read: %s", r->path,
                           n < 0 ? strerror(errno) : "it ends too soon");
        done += (size_t)n;
    }
    return 0;
}

static bool room_for(unsigned char **at, size_t *room, size_t count)
{
    if (*room >= count)
        return true;
    void *more = realloc(*at, count);
    if (more == NULL)
        return false;
    *at = more;
    *room = count;
    return true;
}

/* ---- the footer ---- */

struct element {
    char name[NAME_BYTES];
    int64_t type, length, repetition, children, converted;
    int logical;
};

static void take_element(struct thrift_in *in, struct element *e)
{
    struct thrift_field f = {0}, inner = {0};
    *e = (struct element){.type = -1, .converted = -1};
    while (thrift_next(in, &f))
        switch (f.id) {
        case 1:
            e->type = thrift_take_int(in, &f);
            break;
        case 2:
            e->length = thrift_take_int(in, &f);
            break;
        case 3:
            e->repetition = thrift_take_int(in, &f);
            break;
        case 4:
            thrift_take_text(in, &f, e->name, sizeof(e->name));
            break;
        case 5:
            e->children = thrift_take_int(in, &f);
            break;
        case 6:
            e->converted = thrift_take_int(in, &f);
            break;
        case 10:
            if (f.type != THRIFT_STRUCT)
                in->bad = true;
            for (inner.id = 0; thrift_next(in, &inner); thrift_skip(in, inner.type))
                e->logical = inner.id;
            break;
        default:
            thrift_skip(in, f.type);
        }
}

static int kind_of(const struct element *e)
{
    for (int kind = 0; kind < PARQUET_KINDS; kind++) {
        const struct parquet_form *form = &parquet_forms[kind];
        if (form->type == e->type && form->length == e->length && form->converted == e->converted &&
            (kind == PARQUET_TIME) == (e->logical == 8))
            return kind;
    }
    return -1;
}

static int take_schema(struct parquet_reader *r, struct thrift_in *in, const struct thrift_field *f,
                       struct tb_error *err)
{
    struct element e;
    int type;
    size_t count = thrift_take_list(in, f, &type);
    if (type != THRIFT_STRUCT || count < 2)
        return damaged(r, err, "its", "schema");
    take_element(in, &e);
    if (e.children != (int64_t)count - 1 || count - 1 > PARQUET_COLUMNS_MAX)
        return other_shape(r, err, "it is no flat table of", "records");
    for (size_t i = 0; i < count - 1; i++) {
        take_element(in, &e);
        int kind = kind_of(&e);
        if (kind < 0 || e.repetition != PARQUET_OPTIONAL || e.children != 0)
            return other_shape(r, err, "another type of column", e.name);
        memcpy(r->column[i].name, e.name, sizeof(e.name));
        r->description[i] = (struct parquet_column){r->column[i].name, (enum parquet_kind)kind};
    }
    r->count = count - 1;
    return 0;
}

static int parse_footer(struct parquet_reader *r, size_t bytes, struct tb_error *err)
{
    struct thrift_in in = {.at = r->footer, .end = r->footer + bytes};
    struct thrift_field f = {0};
    int type, rc;
    while (thrift_next(&in, &f))
        if (f.id == 2) {
            if ((rc = take_schema(r, &in, &f, err)) != 0)
                return in.bad ? damaged(r, err, "its", "schema") : rc;
        } else if (f.id == 3) {
            r->rows_total = (uint64_t)thrift_take_int(&in, &f);
        } else if (f.id == 4) {
            r->groups_left = thrift_take_list(&in, &f, &type);
            r->groups = in;
            for (size_t i = 0; i < r->groups_left && !in.bad; i++)
                thrift_skip(&in, THRIFT_STRUCT);
        } else {
            thrift_skip(&in, f.type);
        }
    return in.bad || r->count == 0 ? damaged(r, err, "its", "footer") : 0;
}

static int read_footer(struct parquet_reader *r, struct tb_error *err)
{
    unsigned char tail[8];
    uint32_t bytes;
    struct stat st;
    if (fstat(r->fd, &st) != 0)
        return tb_fail(err, -errno, "%s: %s", r->path, strerror(errno));
    r->file_bytes = (uint64_t)st.st_size;
    if (st.st_size < 12)
        return tb_fail(err, -EPROTO, "%s: not a Parquet file", r->path);
    int rc = read_at(r, tail, sizeof(tail), r->file_bytes - 8, err);
    if (rc != 0)
        return rc;
    memcpy(&bytes, tail, 4);
    if (memcmp(tail + 4, PARQUET_MAGIC, 4) != 0)
        return tb_fail(err, -EPROTO, "%s: not a Parquet file, or one that was cut short", r->path);
    if (bytes > FOOTER_MAX || bytes + UINT64_C(12) > r->file_bytes)
        return damaged(r, err, "its", "footer");
    r->footer = malloc(bytes + 1);
    if (r->footer == NULL)
        return tb_fail(err, -ENOMEM, "%s: out of memory", r->path);
    rc = read_at(r, r->footer, bytes, r->file_bytes - 8 - bytes, err);
    return rc != 0 ? rc : parse_footer(r, bytes, err);
}

int parquet_open(const char *path, struct parquet_reader **out_reader, struct tb_error *err)
{
    struct parquet_reader *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return tb_fail(err, -ENOMEM, "%s: out of memory", path);
    snprintf(r->path, sizeof(r->path), "%s", path);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc =
        r->fd < 0 ? tb_fail(err, -errno, "%s: %s", path, strerror(errno)) : read_footer(r, err);
    if (rc != 0)
        parquet_reader_close(r);
    else
        *out_reader = r;
    return rc;
}

const struct parquet_column *parquet_columns(const struct parquet_reader *r, size_t *out_count)
{
    *out_count = r->count;
    return r->description;
}

/* ---- a row group ---- */

static void take_chunk_metadata(struct thrift_in *in, struct chunk *out)
{
    struct thrift_field f = {0};
    while (thrift_next(in, &f))
        switch (f.id) {
        case 1:
            out->type = (int)thrift_take_int(in, &f);
            break;
        case 4:
            out->codec = (int)thrift_take_int(in, &f);
            break;
        case 5:
            out->values = (uint64_t)thrift_take_int(in, &f);
            break;
        case 6:
            out->plain_bytes = (uint64_t)thrift_take_int(in, &f);
            break;
        case 7:
            out->packed_bytes = (uint64_t)thrift_take_int(in, &f);
            break;
        case 9:
            out->offset = (uint64_t)thrift_take_int(in, &f);
            break;
        default:
            thrift_skip(in, f.type);
        }
}

static void take_chunk(struct thrift_in *in, struct chunk *out)
{
    struct thrift_field f = {0};
    *out = (struct chunk){.codec = -1};
    while (thrift_next(in, &f))
        if (f.id == 3 && f.type == THRIFT_STRUCT)
            take_chunk_metadata(in, out);
        else
            thrift_skip(in, f.type);
}

struct page_header {
    int64_t type, plain, packed, values, encoding, levels;
};

static void take_page_header(struct thrift_in *in, struct page_header *h)
{
    struct thrift_field f = {0}, inner = {0};
    *h = (struct page_header){.type = -1, .encoding = -1};
    while (thrift_next(in, &f))
        if (f.id >= 1 && f.id <= 3) {
            int64_t value = thrift_take_int(in, &f);
            *(f.id == 1 ? &h->type : f.id == 2 ? &h->plain : &h->packed) = value;
        } else if (f.id == 5 && f.type == THRIFT_STRUCT) {
            while (thrift_next(in, &inner))
                if (inner.id >= 1 && inner.id <= 3) {
                    int64_t value = thrift_take_int(in, &inner);
                    *(inner.id == 1   ? &h->values
                      : inner.id == 2 ? &h->encoding
                                      : &h->levels) = value;
                } else {
                    thrift_skip(in, inner.type);
                }
        } else {
            thrift_skip(in, f.type);
        }
}

/* The levels at the beginning of a page: which rows have a value. */
static bool take_levels(struct parquet_reader *r, struct column *c)
{
    uint32_t bytes;
    if (c->end < 4)
        return false;
    memcpy(&bytes, c->page, 4);
    if (bytes > c->end - 4)
        return false;
    struct thrift_in in = {.at = c->page + 4, .end = c->page + 4 + bytes};
    size_t row = 0;
    while (row < r->rows) {
        uint64_t run = thrift_varint(&in);
        uint64_t count = (run & 1) != 0 ? (run >> 1) * 8 : run >> 1;
        uint64_t needed = (run & 1) != 0 ? run >> 1 : 1;
        if (in.bad || count == 0 || run > UINT32_MAX || needed > (uint64_t)(in.end - in.at))
            return false;
        for (uint64_t i = 0; i < count && row < r->rows; i++)
            c->present[row++] =
                (unsigned char)(((run & 1) != 0 ? in.at[i / 8] >> (i % 8) : in.at[0]) & 1);
        in.at += needed;
    }
    c->at = 4 + bytes;
    c->bools = 0;
    return true;
}

static int read_chunk(struct parquet_reader *r, size_t i, const struct chunk *chunk,
                      struct tb_error *err)
{
    struct column *c = &r->column[i];
    struct page_header h;
    if (chunk->codec != PARQUET_UNCOMPRESSED && chunk->codec != PARQUET_ZSTD)
        return other_shape(r, err, "compressed by another codec: column", c->name);
    if (chunk->packed_bytes > CHUNK_MAX || chunk->plain_bytes > CHUNK_MAX ||
        chunk->offset > r->file_bytes || chunk->packed_bytes > r->file_bytes - chunk->offset ||
        chunk->values != r->rows || chunk->type != parquet_forms[r->description[i].kind].type)
        return damaged(r, err, "column", c->name);
    if (!room_for(&r->packed, &r->packed_room, chunk->packed_bytes + 1))
        return tb_fail(err, -ENOMEM, "%s: out of memory", r->path);
    int rc = read_at(r, r->packed, chunk->packed_bytes, chunk->offset, err);
    if (rc != 0)
        return rc;
    struct thrift_in in = {.at = r->packed, .end = r->packed + chunk->packed_bytes};
    take_page_header(&in, &h);
    if (in.bad)
        return damaged(r, err, "page of column", c->name);
    if (h.type != PARQUET_DATA_PAGE || h.encoding != PARQUET_PLAIN || h.levels != PARQUET_RLE ||
        h.values != (int64_t)r->rows)
        return other_shape(r, err, "encoded in another way: column", c->name);
    if (h.packed != in.end - in.at || h.plain < 0 || (uint64_t)h.plain > chunk->plain_bytes)
        return damaged(r, err, "page of column", c->name);
    if (!room_for(&c->page, &c->room, (size_t)h.plain + 1))
        return tb_fail(err, -ENOMEM, "%s: out of memory", r->path);
    c->end = (size_t)h.plain;
    if (chunk->codec == PARQUET_ZSTD) {
        if (ZSTD_decompress(c->page, c->end, in.at, (size_t)h.packed) != c->end)
            return damaged(r, err, "zstd data of column", c->name);
    } else if (h.packed != h.plain) {
        return damaged(r, err, "page of column", c->name);
    } else {
        memcpy(c->page, in.at, c->end);
    }
    return take_levels(r, c) ? 0 : damaged(r, err, "levels of column", c->name);
}

static int read_group(struct parquet_reader *r, struct tb_error *err)
{
    struct chunk chunks[PARQUET_COLUMNS_MAX];
    struct thrift_in *in = &r->groups;
    struct thrift_field f = {0};
    size_t count = 0;
    int64_t rows = -1;
    int type;
    while (thrift_next(in, &f))
        if (f.id == 1) {
            count = thrift_take_list(in, &f, &type);
            for (size_t i = 0; i < count && count == r->count; i++)
                take_chunk(in, &chunks[i]);
            if (count != r->count)
                in->bad = true;
        } else if (f.id == 3) {
            rows = thrift_take_int(in, &f);
        } else {
            thrift_skip(in, f.type);
        }
    if (in->bad || count != r->count || rows < 0)
        return damaged(r, err, "a row group in its", "footer");
    if (rows > GROUP_ROWS_MAX)
        return other_shape(r, err, "row groups that are too large:", "more than 1048576 rows");
    r->rows = (size_t)rows;
    r->row = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct column *c = &r->column[i];
        unsigned char *present = realloc(c->present, r->rows + 1);
        if (present == NULL)
            return tb_fail(err, -ENOMEM, "%s: out of memory", r->path);
        c->present = present;
        int rc = read_chunk(r, i, &chunks[i], err);
        if (rc != 0)
            return rc;
    }
    r->groups_left--;
    return 0;
}

/* ---- rows ---- */

static bool take_text(struct column *c, struct parquet_value *v)
{
    uint32_t length;
    if (c->end - c->at < 4)
        return false;
    memcpy(&length, c->page + c->at, 4);
    c->at += 4;
    if (length > c->end - c->at)
        return false;
    if (!room_for((unsigned char **)&c->text, &c->text_room, (size_t)length + 1))
        return false;
    memcpy(c->text, c->page + c->at, length);
    c->text[length] = 0;
    v->text = c->text;
    c->at += length;
    return true;
}

static bool take_value(struct column *c, enum parquet_kind kind, struct parquet_value *v)
{
    if (kind == PARQUET_TEXT)
        return take_text(c, v);
    if (kind == PARQUET_BOOL) {
        if (c->bools / 8 >= c->end - c->at)
            return false;
        v->number = c->page[c->at + c->bools / 8] >> (c->bools % 8) & 1;
        c->bools++;
        return true;
    }
    size_t bytes = kind == PARQUET_INT32 ? 4 : kind == PARQUET_WIDE ? 16 : 8;
    const unsigned char *at = c->page + c->at;
    if (c->end - c->at < bytes)
        return false;
    c->at += bytes;
    if (kind == PARQUET_WIDE) {
        unsigned __int128 wide = 0;
        for (size_t i = 0; i < 16; i++)
            wide = wide << 8 | at[i];
        v->number = (__int128)wide;
        return true;
    }
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    v->number = kind == PARQUET_UINT64  ? (__int128)word
                : kind == PARQUET_INT32 ? (__int128)(int32_t)word
                                        : (__int128)(int64_t)word;
    return true;
}

int parquet_next(struct parquet_reader *r, struct parquet_value *out_row, struct tb_error *err)
{
    while (r->row == r->rows) {
        if (r->groups_left == 0)
            return r->rows_done == r->rows_total
                       ? 0
                       : damaged(r, err, "rows are missing in its", "footer");
        int rc = read_group(r, err);
        if (rc != 0)
            return rc;
    }
    for (size_t i = 0; i < r->count; i++) {
        struct column *c = &r->column[i];
        out_row[i] = (struct parquet_value){.present = c->present[r->row] != 0};
        if (out_row[i].present && !take_value(c, r->description[i].kind, &out_row[i]))
            return damaged(r, err, "values of column", c->name);
    }
    r->row++;
    r->rows_done++;
    return 1;
}

void parquet_progress(const struct parquet_reader *r, uint64_t *out_done, uint64_t *out_total)
{
    *out_done = r->rows_done;
    *out_total = r->rows_total;
}

void parquet_reader_close(struct parquet_reader *r)
{
    if (r == NULL)
        return;
    if (r->fd >= 0)
        (void)close(r->fd); /* read only: nothing can be lost */
    for (size_t i = 0; i < PARQUET_COLUMNS_MAX; i++) {
        free(r->column[i].present);
        free(r->column[i].page);
        free(r->column[i].text);
    }
    free(r->packed);
    free(r->footer);
    free(r);
}
