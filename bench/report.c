/* See report.h. */
#include "bench/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What belongs together: a row of the table. */
struct row {
    const struct figure *of; /* the first of them */
    size_t n;
    double min, median, max;
};

static const char *const role_name[] = {"ours", "peer", "limit"};

void report_text(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('"');
}

bool report_add(struct report *r, const struct figure *f)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 1024;
        struct figure *more = realloc(r->figures, capacity * sizeof(*more));
        if (more == NULL)
            return false;
        r->figures = more;
        r->capacity = capacity;
    }
    r->figures[r->count++] = *f;
    return true;
}

void report_place(struct report *r, size_t first, const char *place)
{
    for (size_t i = first; i < r->count; i++)
        r->figures[i].place = place;
}

void report_free(struct report *r)
{
    free(r->figures);
    *r = (struct report){0};
}

/* Four digits that matter, and no more. */
static int decimals(double value)
{
    return value >= 1000 ? 0 : value >= 100 ? 1 : value >= 1 ? 2 : 3;
}

void report_runs(const struct report *r, size_t first, const char *suite, int64_t round, bool json)
{
    for (size_t i = first; i < r->count; i++) {
        const struct figure *f = &r->figures[i];
        if (json)
            printf("{\"suite\":\"%s\",\"kind\":\"run\",\"round\":%" PRId64
                   ",\"measure\":\"%s\",\"subject\":\"%s\",\"role\":\"%s\",\"value\":%.4f,"
                   "\"unit\":\"%s\",\"better\":\"%s\",\"place\":\"%s\"}\n",
                   suite, round + 1, f->measure, f->subject, role_name[f->role], f->value, f->unit,
                   f->better == BENCH_HIGHER ? "higher" : "lower", f->place);
        else
            fprintf(stderr, "  %-38s %-26s %10.*f %s (%s)\n", f->measure, f->subject,
                    decimals(f->value), f->value, f->unit, f->place);
    }
    if (json)
        (void)fflush(stdout);
}

static bool same_table(const struct figure *a, const struct figure *b)
{
    return strcmp(a->measure, b->measure) == 0 && strcmp(a->place, b->place) == 0;
}

static bool same_row(const struct figure *a, const struct figure *b)
{
    return same_table(a, b) && strcmp(a->subject, b->subject) == 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct row make_row(const struct report *r, const struct figure *f, double *space)
{
    struct row row = {.of = f};
    for (size_t i = 0; i < r->count; i++)
        if (same_row(&r->figures[i], f))
            space[row.n++] = r->figures[i].value;
    qsort(space, row.n, sizeof(*space), by_value);
    row.min = space[0];
    row.median = row.n % 2 ? space[row.n / 2] : (space[row.n / 2 - 1] + space[row.n / 2]) / 2;
    row.max = space[row.n - 1];
    return row;
}

/* What a row is held against: the best of the peers, or of the limits. NULL: nothing. */
static const struct row *beside(const struct row *rows, size_t count, const struct row *of,
                                enum bench_role role)
{
    const struct row *best = NULL;
    if (of->of->role >= role)
        return NULL; /* ours beside peers and limits, peers beside limits */
    for (size_t i = 0; i < count; i++) {
        const struct row *x = &rows[i];
        if (x->of->role != role || !same_table(x->of, of->of))
            continue;
        if (best == NULL || (x->median > best->median) == (x->of->better == BENCH_HIGHER))
            best = x;
    }
    return best;
}

static double ratio(const struct row *row, const struct row *to)
{
    return to != NULL && to->median > 0 ? row->median / to->median : 0;
}

static void print_ratio(const char *name, const struct row *row, const struct row *to)
{
    if (to != NULL && to->median > 0)
        printf(",\"%s\":\"%s\",\"ratio_%s\":%.4f", name, to->of->subject, name, ratio(row, to));
    else
        printf(",\"%s\":null,\"ratio_%s\":null", name, name);
}

static void print_json(const char *suite, const struct row *row, const struct row *peer,
                       const struct row *limit)
{
    const struct figure *f = row->of;
    printf("{\"suite\":\"%s\",\"kind\":\"summary\",\"measure\":\"%s\",\"subject\":\"%s\","
           "\"role\":\"%s\",\"place\":\"%s\",\"n\":%zu,\"min\":%.4f,\"median\":%.4f,\"max\":%.4f,"
           "\"unit\":\"%s\",\"better\":\"%s\"",
           suite, f->measure, f->subject, role_name[f->role], f->place, row->n, row->min,
           row->median, row->max, f->unit, f->better == BENCH_HIGHER ? "higher" : "lower");
    print_ratio("peer", row, peer);
    print_ratio("limit", row, limit);
    printf("}\n");
}

static void print_text(const struct row *row, const struct row *peer, const struct row *limit)
{
    char ratios[2][16] = {"", ""};
    const struct row *to[2] = {peer, limit};
    for (int i = 0; i < 2; i++)
        if (to[i] != NULL && to[i]->median > 0)
            snprintf(ratios[i], sizeof(ratios[i]), "%.2f", ratio(row, to[i]));
    printf("| %-38s | %-26s | %-7s | %2zu | %8.*f | %8.*f | %8.*f | %-11s | %7s | %7s |\n",
           row->of->measure, row->of->subject, row->of->place, row->n, decimals(row->min), row->min,
           decimals(row->median), row->median, decimals(row->max), row->max, row->of->unit,
           ratios[0], ratios[1]);
}

/* In the order in which measures first came; within one by placement, then best first. */
static int order(const struct row *a, const struct row *b)
{
    if (strcmp(a->of->measure, b->of->measure) != 0)
        return 0;
    int place = strcmp(b->of->place, a->of->place); /* near, mixed, far, busy */
    if (place != 0)
        return place;
    bool swap = a->of->better == BENCH_HIGHER ? a->median < b->median : a->median > b->median;
    return swap ? 1 : -1;
}

/* Stable: rows of one measure are put next to each other first. */
static void sort_rows(struct row *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct row row = rows[i];
        size_t at = i, last = i;
        while (last > 0 && strcmp(rows[last - 1].of->measure, row.of->measure) != 0)
            last--;
        if (last == 0)
            continue; /* the first of its measure */
        for (at = last; at > 0 && strcmp(rows[at - 1].of->measure, row.of->measure) == 0 &&
                        order(&rows[at - 1], &row) > 0;
             at--)
            ;
        memmove(&rows[at + 1], &rows[at], (i - at) * sizeof(row));
        rows[at] = row;
    }
}

void report_print(const struct report *r, const char *suite, bool json)
{
    struct row *rows = calloc(r->count + 1, sizeof(*rows));
    double *space = calloc(r->count + 1, sizeof(*space));
    size_t count = 0;
    for (size_t i = 0; rows != NULL && space != NULL && i < r->count; i++) {
        bool seen = false;
        for (size_t k = 0; k < count && !seen; k++)
            seen = same_row(rows[k].of, &r->figures[i]);
        if (!seen)
            rows[count++] = make_row(r, &r->figures[i], space);
    }
    sort_rows(rows, count);
    if (!json)
        printf("\n| %-38s | %-26s | place   |  n |      min |   median |      max | unit        | "
               "to peer "
               "| to limit |\n| --- | --- | --- | --: | --: | --: | --: | --- | --: | --: |\n",
               "measure", "subject");
    for (size_t i = 0; i < count; i++) {
        const struct row *peer = beside(rows, count, &rows[i], BENCH_PEER);
        const struct row *limit = beside(rows, count, &rows[i], BENCH_LIMIT);
        if (json)
            print_json(suite, &rows[i], peer, limit);
        else
            print_text(&rows[i], peer, limit);
    }
    (void)fflush(stdout);
    free(space);
    free(rows);
}
