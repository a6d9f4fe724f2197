/*
 * The text that Prometheus reads (exposition format 0.0.4), into memory given once: families with
 * HELP and TYPE, samples with escaped labels, no timestamps. It counts the series it writes and
 * never writes more than it was given: what does not fit is left out whole and counted.
 */
#ifndef TICKBUS_METRICS_TEXT_H
#define TICKBUS_METRICS_TEXT_H

#include <tickbus/base.h>

struct text {
    char *data;
    size_t length;
    size_t capacity;
    size_t series;     /* written since text_begin */
    size_t series_max; /* may be moved between families: parts have budgets of their own */
    size_t refused;    /* samples left out since text_begin */
};

/* 0 or -ENOMEM. text_fini accepts all zero. */
int text_init(struct text *t, size_t capacity);
void text_fini(struct text *t);
void text_begin(struct text *t, size_t series_max);

/* text_family: the two lines above a family's samples. type: "gauge", "counter", "histogram". */
void text_family(struct text *t, const char *name, const char *type, const char *help);

/*
 * text_sample: name{labels} value. `labels` are ready made, `a="b",c="d"`, or empty; `more`
 * likewise, appended after a comma; both may be "".
 */
void text_sample(struct text *t, const char *name, const char *labels, const char *more,
                 double value);
void text_sample_int(struct text *t, const char *name, const char *labels, const char *more,
                     int64_t value);

/* text_escape: a label's value: backslash, quote and line feed escaped. Cut to fit, never inside an
 * escape. Returns out. */
const char *text_escape(const char *value, char *out, size_t out_bytes);

#endif
