/*
 * Thrift's compact protocol, both ways: what Parquet's page headers and footer are written in.
 */
#ifndef TICKBUS_CONSUMERS_THRIFT_H
#define TICKBUS_CONSUMERS_THRIFT_H

#include <tickbus/base.h>

enum thrift_type {
    THRIFT_TRUE = 1,
    THRIFT_FALSE = 2,
    THRIFT_BYTE = 3,
    THRIFT_I16 = 4,
    THRIFT_I32 = 5,
    THRIFT_I64 = 6,
    THRIFT_DOUBLE = 7,
    THRIFT_BINARY = 8,
    THRIFT_LIST = 9,
    THRIFT_SET = 10,
    THRIFT_MAP = 11,
    THRIFT_STRUCT = 12,
};

/* Bytes that grow; without memory `failed` is set and nothing more is added. */
struct bytes {
    unsigned char *at;
    size_t count, room;
    bool failed;
};
void bytes_add(struct bytes *b, const void *bytes, size_t count);
void bytes_free(struct bytes *b);
void bytes_add_varint(struct bytes *b, uint64_t value);

#define THRIFT_DEPTH 8
struct thrift_out {
    struct bytes *out;
    int last[THRIFT_DEPTH]; /* field ids are written as differences */
    int depth;
};

void thrift_int(struct thrift_out *o, int id, enum thrift_type type, int64_t value);
void thrift_bool(struct thrift_out *o, int id, bool value);
void thrift_text(struct thrift_out *o, int id, const char *text);
/* A list field; its elements follow: struct_element ... end, bare_int, bare_text. */
void thrift_list(struct thrift_out *o, int id, enum thrift_type type, size_t count);
void thrift_struct(struct thrift_out *o, int id);
void thrift_struct_element(struct thrift_out *o);
void thrift_end(struct thrift_out *o);
void thrift_bare_int(struct thrift_out *o, int64_t value);
void thrift_bare_text(struct thrift_out *o, const char *text);

/* Reading what others wrote: at the first thing that can not be, `bad` is set and zeros come. */
struct thrift_in {
    const unsigned char *at, *end;
    bool bad;
};

struct thrift_field {
    int id; /* 0 before the first */
    int type;
};

/* The next field of the struct, false at its end: while (thrift_next(in, &f)) switch (f.id) ... */
bool thrift_next(struct thrift_in *in, struct thrift_field *f);
int64_t thrift_take_int(struct thrift_in *in, const struct thrift_field *f);
/* A text that fits out[room], NUL-ended. */
void thrift_take_text(struct thrift_in *in, const struct thrift_field *f, char *out, size_t room);
/* Begins a list: how many elements; *out is their type. */
size_t thrift_take_list(struct thrift_in *in, const struct thrift_field *f, int *out_type);
void thrift_skip(struct thrift_in *in, int type);
uint64_t thrift_varint(struct thrift_in *in);

#endif
