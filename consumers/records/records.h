/*
 * What `tickbus tail` shows of a record, without any I/O: its fields by name, filters over them,
 * and the formats. Every format and every filter is made from the one list of fields that
 * fields_of() gives, so what can be printed can be filtered, under the same name.
 * include/tickbus/FIELDS.md is that list for people.
 */
#ifndef TICKBUS_CONSUMERS_RECORDS_H
#define TICKBUS_CONSUMERS_RECORDS_H

#include <tickbus/base.h>
#include <tickbus/config.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#define FIELDS_MAX 32
#define FILTER_CONDITIONS_MAX 8
#define LINE_BYTES 2048

/* One record with what is needed to understand it. */
struct record_item {
    const char *stream;
    uint64_t epoch;
    const struct tb_record *record;
    const struct tb_instrument *instrument; /* NULL: the id is 0 or not in the table */
};

enum field_kind {
    FIELD_NOTHING, /* not known: null, or an empty column */
    FIELD_TEXT,
    FIELD_NUMBER, /* number * 10^exp, exact */
    FIELD_TIME,   /* number: ns since the Unix epoch */
    FIELD_BOOL,
};

struct field {
    const char *name; /* of fields_table: the same pointer */
    enum field_kind kind;
    int exp;
    __int128 number;
    const char *text;
};

struct fields {
    size_t count;
    struct field field[FIELDS_MAX];
    char flags[64];
    char bytes[2 * TB_RECORD_BYTES + 1];
};

/* fields_of: all fields of a record, in the order in which they are printed. */
void fields_of(const struct record_item *item, struct fields *out_fields);

/* fields_find: by name; NULL if there is none. */
const struct field *fields_find(const struct fields *fields, const char *name);

/* What a column holds, for those who give it a type of its own. */
enum column_kind {
    COLUMN_TEXT,
    COLUMN_UNSIGNED, /* 64 bits */
    COLUMN_SIGNED,   /* 64 bits */
    COLUMN_PRICE,    /* a mantissa of 64 bits in price_exp */
    COLUMN_SIZE,     /* in size_exp */
    COLUMN_TURNOVER, /* of 128 bits in price_exp + size_exp */
    COLUMN_VALUE,    /* in value_exp */
    COLUMN_TIME,
    COLUMN_BOOL,
};

struct column {
    const char *name;
    enum column_kind kind;
};

/* fields_table: every field there is, in CSV order; fields_columns: their names, NULL-ended. */
const struct column *fields_table(size_t *out_count);
const struct column *fields_column(const char *name); /* NULL: there is none */
const char *const *fields_columns(void);
bool fields_known(const char *name);

/* ---- and back ---- */

/*
 * fields_of_export: as fields_of, and what is needed to make the very record again: value_exp, with
 * exps price_exp and size_exp too, and `bytes` if the other fields do not tell the record whole.
 */
void fields_of_export(const struct record_item *item, bool exps, struct fields *out_fields);

/* fields_of_instrument: a row of type "instrument": entry `id` of an epoch's table. */
void fields_of_instrument(const char *stream, uint64_t epoch, uint16_t id,
                          const struct tb_instrument *entry, struct fields *out_fields);

/* fields_add: a field from text, read by the column's kind; empty or NULL: nothing. -EINVAL: err
 * says why. */
int fields_add(struct fields *fields, const struct column *column, const char *text,
               struct tb_error *err);
/* fields_put: a field from a value: TEXT by text, all others by number and exp. */
void fields_put(struct fields *fields, const struct column *column, const char *text,
                __int128 number, int exp);

/* fields_unsigned: a field that is an integer; fallback if it is missing or none. */
uint64_t fields_unsigned(const struct fields *fields, const char *name, uint64_t fallback);
const char *fields_text(const struct fields *fields, const char *name); /* NULL: nothing */

/*
 * fields_record: the record of these fields; `in` is the entry that its field `instrument` names,
 * NULL for 0. fields_instrument: the entry of an instrument row. -EINVAL: err says which field is
 * wrong.
 */
int fields_record(const struct fields *fields, const struct tb_instrument *in,
                  struct tb_record *out_record, struct tb_error *err);
int fields_instrument(const struct fields *fields, struct tb_instrument *out_entry,
                      struct tb_error *err);

/* ---- lines ---- */

enum line_format { LINE_AS_TEXT, LINE_AS_JSON, LINE_AS_CSV, LINE_AS_RAW };

struct line_style {
    enum line_format format;
    bool colour;
    bool local;                 /* times in the local zone, with its offset, instead of UTC */
    bool show_stream;           /* text: a column for the stream, when there are several */
    const char *const *columns; /* NULL: the default of the format */
    size_t column_count;
};

/*
 * line_print: one record as one line with its newline (raw: as its 64 bytes). Returns the length,
 * at most LINE_BYTES.
 */
size_t line_print(const struct line_style *style, const struct record_item *item,
                  char out[LINE_BYTES]);
/* line_fields: any fields, as JSON or CSV. */
size_t line_fields(const struct line_style *style, const struct fields *fields,
                   char out[LINE_BYTES]);
/* line_header: the CSV header line; 0 for the other formats. */
size_t line_header(const struct line_style *style, char out[LINE_BYTES]);

/* line_time: RFC 3339 with the given fraction digits, UTC ("...Z") or local ("...+02:00"). */
#define LINE_TIME_BYTES 48
const char *line_time(tb_ns t, bool local, int digits, char out[LINE_TIME_BYTES]);

/* ---- filters ---- */

enum filter_operator { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct filter_condition {
    char field[32];
    enum filter_operator op;
    bool is_number;
    int64_t mantissa;
    int exp;
    char text[64];
};

struct filter {
    uint64_t types[4];        /* a bit per record type; all zero: every type */
    const char *const *venue; /* exact; none: every venue */
    size_t venue_count;
    const char *const *symbol; /* fnmatch patterns; none: every symbol */
    size_t symbol_count;
    struct filter_condition condition[FILTER_CONDITIONS_MAX]; /* all must hold */
    size_t condition_count;
};

/* The rows of a command that filters; `of` has a struct filter_options `member`. */
struct filter_options {
    struct tb_list venue, symbol, type;
    const char *where;
};
#define FILTER_OPTIONS(of, member)                                                                 \
    {"venue", TB_OPTION_LIST, offsetof(of, member.venue), .help = "only these venues"},            \
        {"symbol", TB_OPTION_LIST, offsetof(of, member.symbol),                                    \
         .help = "only these symbols, patterns such as 'BTC/*'"},                                  \
        {"type", TB_OPTION_LIST, offsetof(of, member.type),                                        \
         .help = "trade quote level clear gap status alert event candle candle_volume"},           \
    {                                                                                              \
        "where", TB_OPTION_STRING, offsetof(of, member.where),                                     \
            .help = "conditions on fields: 'price > 90000 and side == buy'"                        \
    }

/* filter_begin: what was asked for, whose texts must stay. -EINVAL: err says what is wrong. */
int filter_begin(struct filter *filter, const struct filter_options *asked, struct tb_error *err);

/* filter_type: let this type ("trade", "candle") through. -EINVAL: err names the types. */
int filter_type(struct filter *filter, const char *name, struct tb_error *err);

/*
 * filter_where: add 'price > 90000', 'side == buy and size >= 0.5'. Numbers compare as exact
 * decimals. A record without the field does not match. Errors: -EINVAL, with the reason in err.
 */
int filter_where(struct filter *filter, const char *text, struct tb_error *err);

/* filter_market: venue and symbol only: a gap of these markets concerns the person. */
bool filter_market(const struct filter *filter, const struct record_item *item);
bool filter_match(const struct filter *filter, const struct record_item *item);

/* filter_compare: a * 10^a_exp against b * 10^b_exp, exactly: -1, 0, 1. */
int filter_compare(__int128 a, int a_exp, __int128 b, int b_exp);

#endif
