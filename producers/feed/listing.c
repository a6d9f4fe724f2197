#include "listing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/journal.h>

#define FORMAT "tickbus-listing 1\n"
#define CRC_BYTES 16 /* the last line */
#define FILE_MAX (64U << 20)

/* ---- in memory ---- */

void listing_add(void *context, const struct adapter_market_config *market)
{
    struct listing *l = context;

    if (l->count == l->capacity) {
        size_t capacity = l->capacity == 0 ? 256 : l->capacity * 2;
        struct adapter_market_config *more = realloc(l->market, capacity * sizeof(*more));
        if (more == NULL) {
            l->failed = true;
            return;
        }
        l->market = more;
        l->capacity = capacity;
    }
    l->market[l->count++] = *market;
}

void listing_free(struct listing *l)
{
    free(l->market);
    *l = (struct listing){0};
}

const struct adapter_market_config *listing_find(const struct listing *l, const char *symbol)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->market[i].symbol, symbol) == 0)
            return &l->market[i];
    return NULL;
}

void listing_merge(struct listing *l, const struct listing *newer)
{
    size_t before = l->count;

    for (size_t i = 0; i < newer->count; i++) {
        size_t k = 0;
        while (k < before && strcmp(l->market[k].symbol, newer->market[i].symbol) != 0)
            k++;
        if (k < before)
            l->market[k] = newer->market[i];
        else
            listing_add(l, &newer->market[i]);
    }
    l->taken = newer->taken;
}

/* ---- where ---- */

static void find_directory(char *out, size_t bytes, const char *given)
{
    const char *systemd = getenv("CACHE_DIRECTORY"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    int length = 0;

    if (given != NULL)
        length = snprintf(out, bytes, "%s", strcmp(given, "none") == 0 ? "" : given);
    else if (systemd != NULL && systemd[0] == '/')
        length = snprintf(out, bytes, "%.*s", (int)strcspn(systemd, ":"), systemd);
    else if (xdg != NULL && xdg[0] == '/')
        length = snprintf(out, bytes, "%s/tickbus", xdg);
    else if (home != NULL && home[0] == '/')
        length = snprintf(out, bytes, "%s/.cache/tickbus", home);
    if (length <= 0 || (size_t)length >= bytes)
        out[0] = '\0';
}

void listing_place(struct listing_file *file, const char *directory, const char *venue,
                   const char *rest_url)
{
    file->venue = venue;
    file->rest_url = rest_url;
    find_directory(file->directory, sizeof(file->directory), directory);
    /* A venue that is served elsewhere (a recorded one, a test's) has its own. */
    (void)snprintf(file->path, sizeof(file->path), "%s/%s-%08x.listing", file->directory, venue,
                   tb_crc32c(0, rest_url, strlen(rest_url)));
}

/* ---- reading ---- */

/* All of the file, ended by NUL. */
static char *read_whole(const char *path, size_t *out_length, int *out_rc)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text = NULL;

    *out_rc = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
    if (*out_rc == 0 && (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX))
        *out_rc = -EBADMSG;
    if (*out_rc == 0 && (text = calloc(1, (size_t)st.st_size + 1)) == NULL)
        *out_rc = -ENOMEM;
    ssize_t got = *out_rc == 0 ? read(fd, text, (size_t)st.st_size) : 0;
    if (got < 0)
        *out_rc = -errno;
    if (fd >= 0)
        (void)close(fd);
    if (*out_rc != 0) {
        free(text);
        return NULL;
    }
    *out_length = (size_t)got;
    return text;
}

/* Cuts the next field, up to `end`, off *at. NULL: there is none. */
static char *cut(char **at, char end)
{
    char *field = *at, *stop = strchr(field, end);

    if (stop == NULL)
        return NULL;
    *stop = '\0';
    *at = stop + 1;
    return field;
}

static bool take_exp(const char *text, int8_t *out)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end != '\0' || value > 0 || value < TB_EXP_MIN)
        return false;
    *out = (int8_t)value;
    return true;
}

static bool take_market(struct listing *l, char *line)
{
    struct adapter_market_config m = {{0}};
    char *symbol = cut(&line, '\t'), *raw = symbol != NULL ? cut(&line, '\t') : NULL,
         *price = raw != NULL ? cut(&line, '\t') : NULL;

    if (price == NULL || !tb_symbol_check(symbol) || !tb_symbol_check(raw) ||
        !take_exp(price, &m.price_exp) || !take_exp(line, &m.size_exp))
        return false;
    memcpy(m.symbol, symbol, strlen(symbol) + 1); /* fit: that was checked */
    memcpy(m.raw, raw, strlen(raw) + 1);
    listing_add(l, &m);
    return !l->failed;
}

/* What is wrong with it; NULL: nothing. */
static const char *take_text(struct listing *l, const struct listing_file *file, char *text,
                             size_t length)
{
    static const char key[] = "crc32c\t";
    char *crc = length < CRC_BYTES ? text : text + length - CRC_BYTES;
    char *at = text, *venue, *rest_url, *taken, *complete, *line;

    if (length < sizeof(FORMAT) + CRC_BYTES)
        return "it is cut short";
    if (strlen(text) != length || memcmp(crc, key, sizeof(key) - 1) != 0 ||
        strtoul(crc + sizeof(key) - 1, NULL, 16) != tb_crc32c(0, text, (size_t)(crc - text)))
        return "its checksum is wrong";
    *crc = '\0';
    if (strncmp(at, FORMAT, sizeof(FORMAT) - 1) != 0)
        return "it is of another version";
    at += sizeof(FORMAT) - 1;
    if ((venue = cut(&at, '\n')) == NULL || (rest_url = cut(&at, '\n')) == NULL ||
        (taken = cut(&at, '\n')) == NULL || (complete = cut(&at, '\n')) == NULL)
        return "its head is cut short";
    if (strncmp(venue, "venue\t", 6) != 0 || strcmp(venue + 6, file->venue) != 0 ||
        strncmp(rest_url, "rest_url\t", 9) != 0 || strcmp(rest_url + 9, file->rest_url) != 0)
        return "it is another venue's";
    if (strncmp(taken, "taken\t", 6) != 0 || tb_time_parse(taken + 6, 0, &l->taken) != 0)
        return "its time can not be read";
    l->complete = strcmp(complete, "complete\tyes") == 0;
    while ((line = cut(&at, '\n')) != NULL)
        if (!take_market(l, line))
            return "a market can not be read";
    return NULL;
}

int listing_load(struct listing *l, const struct listing_file *file, struct tb_error *err)
{
    size_t length;
    int rc;

    *l = (struct listing){0};
    if (file->directory[0] == '\0')
        return -ENOENT;
    char *text = read_whole(file->path, &length, &rc);
    if (text == NULL)
        return rc == -ENOENT ? rc : tb_fail(err, rc, "%s: %s", file->path, strerror(-rc));
    const char *wrong = take_text(l, file, text, length);
    free(text);
    if (wrong == NULL)
        return 0;
    listing_free(l);
    return tb_fail(err, -EBADMSG, "%s: %s", file->path, wrong);
}

/* ---- writing ---- */

static int make_directories(const char *path)
{
    char part[sizeof(((struct listing_file *)0)->directory)];

    (void)snprintf(part, sizeof(part), "%s", path);
    for (char *c = part + 1;; c++) {
        char kept = *c;
        if (kept != '/' && kept != '\0')
            continue;
        *c = '\0';
        if (mkdir(part, 0750) != 0 && errno != EEXIST)
            return -errno;
        *c = kept;
        if (kept == '\0')
            return 0;
    }
}

static int write_all(const char *path, const char *text, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int rc = 0;

    if (fd < 0)
        return -errno;
    for (size_t done = 0; rc == 0 && done < length;) {
        ssize_t got = write(fd, text + done, length - done);
        if (got < 0)
            rc = -errno;
        else
            done += (size_t)got;
    }
    if (rc == 0 && fsync(fd) != 0) /* else a power cut may leave the name and nothing in it */
        rc = -errno;
    (void)close(fd);
    return rc;
}

static char *make_text(const struct listing *l, const struct listing_file *file, size_t *out_length)
{
    char *text = NULL, time[TB_TIME_BYTES];
    FILE *out = open_memstream(&text, out_length);

    if (out == NULL)
        return NULL;
    fprintf(out, FORMAT "venue\t%s\nrest_url\t%s\ntaken\t%s\ncomplete\t%s\n", file->venue,
            file->rest_url, tb_time_format(l->taken, time), l->complete ? "yes" : "no");
    for (size_t i = 0; i < l->count; i++)
        fprintf(out, "%s\t%s\t%d\t%d\n", l->market[i].symbol, l->market[i].raw,
                l->market[i].price_exp, l->market[i].size_exp);
    (void)fflush(out);
    fprintf(out, "crc32c\t%08x\n", tb_crc32c(0, text, *out_length));
    return fclose(out) == 0 ? text : (free(text), NULL);
}

int listing_store(const struct listing *l, const struct listing_file *file, struct tb_error *err)
{
    char temporary[sizeof(file->path) + 16];
    size_t length;

    if (file->directory[0] == '\0')
        return 0;
    char *text = make_text(l, file, &length);
    int rc = text == NULL ? -ENOMEM : make_directories(file->directory);
    (void)snprintf(temporary, sizeof(temporary), "%s.%d", file->path, (int)getpid());
    if (rc == 0)
        rc = write_all(temporary, text, length);
    if (rc == 0 && rename(temporary, file->path) != 0)
        rc = -errno;
    if (rc != 0)
        (void)unlink(temporary);
    free(text);
    return rc == 0 ? 0 : tb_fail(err, rc, "cannot write %s: %s", file->path, strerror(-rc));
}
