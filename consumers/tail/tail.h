/*
 * What `tickbus tail` shows of a record, without any I/O: its fields by name, filters over them, and
 * the formats. Every format and every filter is made from the one list of fields that tail_fields()
 * gives, so what can be printed can be filtered, under the same name. include/tickbus/FIELDS.md is
 * that list for people.
 */
#ifndef TICKBUS_CONSUMERS_TAIL_H
#define TICKBUS_CONSUMERS_TAIL_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#define TAIL_FIELDS_MAX 24
#define TAIL_CONDITIONS_MAX 8
#define TAIL_LINE_BYTES 2048

/* One record with what is needed to understand it. */
struct tail_item {
    const char *stream;
    const struct tb_record *record;
    const struct tb_instrument *instrument; /* NULL: the id is 0 or not in the table */
};

enum tail_kind {
    TAIL_NOTHING, /* not known: null, or an empty column */
    TAIL_TEXT,
    TAIL_NUMBER, /* number * 10^exp, exact */
    TAIL_TIME,   /* number: ns since the Unix epoch */
    TAIL_BOOL,
};

struct tail_field {
    const char *name;
    enum tail_kind kind;
    int exp;
    __int128 number;
    const char *text;
};

struct tail_fields {
    size_t count;
    struct tail_field field[TAIL_FIELDS_MAX];
    char flags[64];
};

/* tail_fields: all fields of a record, in the order in which they are printed. */
void tail_fields(const struct tail_item *item, struct tail_fields *out_fields);

/* tail_columns: every field name there is, in CSV order, NULL-ended. */
const char *const *tail_columns(void);
bool tail_is_column(const char *name);

enum tail_format { TAIL_AS_TEXT, TAIL_AS_JSON, TAIL_AS_CSV, TAIL_AS_RAW };

struct tail_style {
    enum tail_format format;
    bool colour;
    bool local;                 /* times in the local zone, with its offset, instead of UTC */
    bool show_stream;           /* text: a column for the stream, when there are several */
    const char *const *columns; /* NULL: the default of the format */
    size_t column_count;
};

/*
 * tail_print: one record as one line with its newline (raw: as its 64 bytes). Returns the length, at
 * most TAIL_LINE_BYTES.
 */
size_t tail_print(const struct tail_style *style, const struct tail_item *item,
                  char out[TAIL_LINE_BYTES]);
/* tail_header: the CSV header line; 0 for the other formats. */
size_t tail_header(const struct tail_style *style, char out[TAIL_LINE_BYTES]);

/* tail_time: RFC 3339 with the given fraction digits, UTC ("...Z") or local ("...+02:00"). */
#define TAIL_TIME_BYTES 48
const char *tail_time(tb_ns t, bool local, int digits, char out[TAIL_TIME_BYTES]);

enum tail_operator { TAIL_EQ, TAIL_NE, TAIL_LT, TAIL_LE, TAIL_GT, TAIL_GE };

struct tail_condition {
    char field[32];
    enum tail_operator op;
    bool is_number;
    int64_t mantissa;
    int exp;
    char text[64];
};

struct tail_filter {
    uint64_t types[4];        /* a bit per record type; all zero: every type */
    const char *const *venue; /* exact; none: every venue */
    size_t venue_count;
    const char *const *symbol; /* fnmatch patterns; none: every symbol */
    size_t symbol_count;
    struct tail_condition condition[TAIL_CONDITIONS_MAX]; /* all must hold */
    size_t condition_count;
};

/* tail_filter_type: let this type ("trade", "candle") through. -EINVAL: err names the types. */
int tail_filter_type(struct tail_filter *filter, const char *name, struct tb_error *err);

/*
 * tail_filter_where: add 'price > 90000', 'side == buy and size >= 0.5'. Numbers compare as exact
 * decimals. A record without the field does not match. Errors: -EINVAL, with the reason in err.
 */
int tail_filter_where(struct tail_filter *filter, const char *text, struct tb_error *err);

/* tail_filter_market: venue and symbol only: a gap of these markets concerns the person. */
bool tail_filter_market(const struct tail_filter *filter, const struct tail_item *item);
bool tail_filter_match(const struct tail_filter *filter, const struct tail_item *item);

/* tail_compare: a * 10^a_exp against b * 10^b_exp, exactly: -1, 0, 1. */
int tail_compare(__int128 a, int a_exp, __int128 b, int b_exp);

#endif
