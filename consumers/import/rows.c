#include "consumers/import/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "consumers/parquet/schema.h"

#define COLUMNS_MAX 96

struct rows {
    enum rows_format format;
    const char *path;
    FILE *in;
    uint64_t line, bytes, bytes_total;
    char text[ROW_BYTES_MAX];
    const struct column *column[COLUMNS_MAX]; /* CSV: of the header */
    char *value[COLUMNS_MAX];
    size_t columns;
    struct parquet_reader *parquet;
    struct schema schema;
};

/* What no row can do without; an export of chosen fields (--fields) mostly lacks some of it. */
static int check_columns(const struct column *const *columns, size_t count, struct tb_error *err)
{
    static const char *const needed[] = {"stream", "epoch", "seq", "type", "instrument"};
    for (size_t i = 0; i < TB_COUNT(needed); i++) {
        size_t k = 0;
        while (k < count && strcmp(columns[k]->name, needed[i]) != 0)
            k++;
        if (k == count)
            return tb_fail(
                err, -EPROTO,
                "field %s is missing: only a whole export (without --fields) is imported",
                needed[i]);
    }
    return 0;
}

/* ---- CSV ---- */

static int too_long(struct tb_error *err)
{
    return tb_fail(err, -EINVAL, "a row of more than %d bytes", ROW_BYTES_MAX - 1);
}

/*
 * One row into r->text, its values NUL-ended one after the other. Returns how many, 0 at the end of the
 * file. A quoted value may hold anything, line ends too.
 */
static int read_csv(struct rows *r, struct tb_error *err)
{
    size_t used = 0, count = 0;
    bool quoted = false, any = false;
    r->line++;
    r->value[0] = r->text;
    for (;;) {
        int c = getc_unlocked(r->in);
        r->bytes += c != EOF;
        if (c == EOF && quoted)
            return tb_fail(err, -EINVAL, "a quote that does not end");
        if (c == EOF && !any)
            return 0;
        if (used + 1 >= sizeof(r->text))
            return too_long(err);
        any = true;
        if (quoted && c == '"') {
            c = getc_unlocked(r->in);
            r->bytes += c != EOF;
            if (c != '"') {
                quoted = false;
                (void)ungetc(c, r->in); /* EOF stays EOF */
                r->bytes -= c != EOF;
                continue;
            }
        } else if (!quoted && c == '"' && r->text + used == r->value[count]) {
            quoted = true;
            continue;
        } else if (!quoted && c == '\r') {
            continue;
        } else if (!quoted && (c == ',' || c == '\n' || c == EOF)) {
            r->text[used++] = 0;
            count++;
            if (c != ',')
                return (int)count;
            if (count == COLUMNS_MAX)
                return tb_fail(err, -EINVAL, "more than %d columns", COLUMNS_MAX);
            r->value[count] = r->text + used;
            continue;
        }
        if (c == 0)
            return tb_fail(err, -EINVAL, "a NUL character");
        r->line += c == '\n';
        r->text[used++] = (char)c;
    }
}

static int read_header(struct rows *r, struct tb_error *err)
{
    int count = read_csv(r, err);
    if (count <= 0)
        return count < 0 ? count : tb_fail(err, -EPROTO, "it has no header line");
    for (int i = 0; i < count; i++)
        if ((r->column[i] = fields_column(r->value[i])) == NULL)
            return tb_fail(err, -EPROTO, "column \"%.40s\" is no field of an export", r->value[i]);
    r->columns = (size_t)count;
    return check_columns(r->column, r->columns, err);
}

static int next_csv(struct rows *r, struct fields *out, struct tb_error *err)
{
    int count = read_csv(r, err), rc = 0;
    if (count <= 0)
        return count;
    if ((size_t)count != r->columns)
        return tb_fail(err, -EINVAL, "%d values, but the header has %zu", count, r->columns);
    for (size_t i = 0; i < r->columns && rc == 0; i++)
        rc = fields_add(out, r->column[i], r->value[i], err);
    return rc == 0 ? 1 : rc;
}

/* ---- JSON lines ---- */

static char *skip_blanks(char *at)
{
    return at + strspn(at, " \t\r\n");
}

static int hex_of(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit = at[i] == 0 ? NULL : strchr(digits, at[i]);
        if (digit == NULL)
            return -1;
        value = value << 4 | (int)((digit - digits) & 15);
    }
    return value;
}

/* \uXXXX as UTF-8; those that need two of them do not occur in what is written. */
static char *put_utf8(char *out, int code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

/* A string in place, from behind its quote. Returns where it goes on; NULL: bad. */
static char *take_string(char *at)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *out = at;
    while (*at != '"') {
        if (*at == 0)
            return NULL;
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        const char *known = at[1] == 0 ? NULL : strchr(escapes, at[1]);
        int code = at[1] == 'u' ? hex_of(at + 2) : -1;
        if (known != NULL) {
            *out++ = meant[known - escapes];
            at += 2;
        } else if (code > 0 && (code < 0xd800 || code > 0xdfff)) {
            out = put_utf8(out, code);
            at += 6;
        } else {
            return NULL;
        }
    }
    *out = 0;
    return at + 1;
}

/* A value as text: "" for null. */
static char *take_value(char *at, char **out_text, char *out_next)
{
    if (*at == '"') {
        *out_text = at + 1;
        at = take_string(at + 1);
        if (at == NULL)
            return NULL;
    } else {
        size_t length = strcspn(at, ",} \t\r\n");
        if (length == 0 || *at == '{' || *at == '[')
            return NULL;
        *out_text = at;
        at += length;
    }
    char *end = skip_blanks(at);
    *out_next = *end;
    if (*end != ',' && *end != '}')
        return NULL;
    *at = 0; /* it may be the very character that was looked at */
    *end = 0;
    return end + 1;
}

static int next_json(struct rows *r, struct fields *out, struct tb_error *err)
{
    if (fgets(r->text, sizeof(r->text), r->in) == NULL)
        return 0;
    size_t length = strlen(r->text);
    r->line++;
    r->bytes += length;
    if (length + 1 == sizeof(r->text))
        return too_long(err);
    char *at = skip_blanks(r->text), next = *at++;
    if (next == 0)
        return next_json(r, out, err); /* an empty line */
    if (next != '{')
        return tb_fail(err, -EINVAL, "not a JSON object");
    for (at = skip_blanks(at); next != '}'; at = next == ',' ? skip_blanks(at) : at) {
        char *name = at + 1, *text;
        bool string;
        if (*at != '"' || (at = take_string(name)) == NULL || *(at = skip_blanks(at)) != ':')
            return tb_fail(err, -EINVAL, "not a flat JSON object");
        at = skip_blanks(at + 1);
        string = *at == '"';
        if ((at = take_value(at, &text, &next)) == NULL)
            return tb_fail(err, -EINVAL, "not a flat JSON object, at \"%.40s\"", name);
        const struct column *column = fields_column(name);
        if (column == NULL)
            return tb_fail(err, -EINVAL, "\"%.40s\" is no field of an export", name);
        if (!string && strcmp(text, "null") == 0)
            continue;
        int rc = fields_add(out, column, text, err);
        if (rc != 0)
            return rc;
    }
    return *skip_blanks(at) == 0 ? 1 : tb_fail(err, -EINVAL, "something follows the JSON object");
}

/* ---- Parquet ---- */

static int next_parquet(struct rows *r, struct fields *out, struct tb_error *err)
{
    struct parquet_value row[PARQUET_COLUMNS_MAX];
    int rc = parquet_next(r->parquet, row, err);
    r->line++;
    if (rc != 1)
        return rc;
    rc = schema_fields(&r->schema, row, out, err);
    return rc == 0 ? 1 : rc;
}

static int open_parquet(struct rows *r, struct tb_error *err)
{
    size_t count;
    int rc = parquet_open(r->path, &r->parquet, err);
    if (rc != 0)
        return rc;
    const struct parquet_column *columns = parquet_columns(r->parquet, &count);
    rc = schema_match(columns, count, &r->schema, err);
    return rc != 0 ? rc : check_columns(r->schema.field, r->schema.count, err);
}

/* ---- any ---- */

int rows_open(const char *path, enum rows_format format, struct rows **out_rows,
              struct tb_error *err)
{
    struct rows *r = calloc(1, sizeof(*r));
    struct stat st;
    int rc = 0;
    if (r == NULL)
        return tb_fail(err, -ENOMEM, "out of memory");
    r->path = path;
    r->format = format;
    if (format == ROWS_PARQUET) {
        rc = open_parquet(r, err);
    } else {
        r->in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
        if (r->in == NULL)
            rc = tb_fail(err, -errno, "cannot read it: %s", strerror(errno));
        else if (fstat(fileno(r->in), &st) == 0 && S_ISREG(st.st_mode))
            r->bytes_total = (uint64_t)st.st_size;
        if (rc == 0 && format == ROWS_CSV)
            rc = read_header(r, err);
    }
    if (rc != 0)
        rows_close(r);
    else
        *out_rows = r;
    return rc;
}

int rows_next(struct rows *r, struct fields *out_fields, struct tb_error *err)
{
    out_fields->count = 0;
    if (r->format == ROWS_PARQUET)
        return next_parquet(r, out_fields, err);
    int rc = r->format == ROWS_CSV ? next_csv(r, out_fields, err) : next_json(r, out_fields, err);
    return rc == 0 && ferror(r->in) ? tb_fail(err, -EIO, "cannot read it: %s", strerror(errno))
                                    : rc;
}

const char *rows_place(struct rows *r, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s:%" PRIu64, r->path, r->line);
    return out;
}

void rows_progress(const struct rows *r, uint64_t *out_done, uint64_t *out_total)
{
    *out_done = r->bytes;
    *out_total = r->bytes_total;
    if (r->format == ROWS_PARQUET)
        parquet_progress(r->parquet, out_done, out_total);
}

void rows_close(struct rows *r)
{
    if (r == NULL)
        return;
    if (r->in != NULL && r->in != stdin)
        (void)fclose(r->in); /* read only */
    parquet_reader_close(r->parquet);
    free(r);
}
