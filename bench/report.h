/*
 * The figures of a suite, and how they are shown: each as it comes, and in the end one row for each
 * measure, placement and subject, with its ratio to the best peer and to the limit in the same
 * placement.
 */
#ifndef TICKBUS_BENCH_REPORT_H
#define TICKBUS_BENCH_REPORT_H

#include "bench/harness.h"

/* One figure of one run. The texts are constants of the suite. */
struct figure {
    const char *measure, *subject, *unit, *place;
    enum bench_role role;
    enum bench_better better;
    double value;
};

struct report {
    struct figure *figures;
    size_t count, capacity;
};

/* report_text: a JSON string, quotes and all, to stdout. */
void report_text(const char *text);

/* report_add: false: no memory. */
bool report_add(struct report *r, const struct figure *f);

/* report_place: the placement of the figures from `first` on. */
void report_place(struct report *r, size_t first, const char *place);

/* report_runs: show the figures from `first` on: JSON to stdout, text to stderr. */
void report_runs(const struct report *r, size_t first, const char *suite, int64_t round, bool json);

/* report_print: the table, or a "summary" object for each of its rows. */
void report_print(const struct report *r, const char *suite, bool json);
void report_free(struct report *r);

#endif
