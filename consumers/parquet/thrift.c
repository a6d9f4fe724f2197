#include "consumers/parquet/thrift.h"

#include <string.h>

void bytes_add(struct bytes *b, const void *bytes, size_t count)
{
    if (b->count + count > b->room) {
        size_t room = b->room < 256 ? 256 : b->room;
        while (room < b->count + count)
            room *= 2;
        void *more = realloc(b->at, room);
        if (more == NULL) {
            b->failed = true;
            return;
        }
        b->at = more;
        b->room = room;
    }
    if (count > 0)
        memcpy(b->at + b->count, bytes, count);
    b->count += count;
}

void bytes_free(struct bytes *b)
{
    free(b->at);
    memset(b, 0, sizeof(*b));
}

static void add_byte(struct bytes *b, unsigned byte)
{
    unsigned char c = (unsigned char)byte;
    bytes_add(b, &c, 1);
}

void bytes_add_varint(struct bytes *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        add_byte(b, (unsigned)(value & 0x7f) | 0x80U);
    add_byte(b, (unsigned)value);
}

/* ---- writing ---- */

static void add_zigzag(struct bytes *b, int64_t value)
{
    bytes_add_varint(b, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

/* Ids rise, by less than 16: so a field's header is one byte. */
static void add_field(struct thrift_out *o, int id, enum thrift_type type)
{
    int difference = id - o->last[o->depth];
    TB_ASSERT(difference > 0 && difference < 16);
    add_byte(o->out, (unsigned)difference << 4 | (unsigned)type);
    o->last[o->depth] = id;
}

void thrift_int(struct thrift_out *o, int id, enum thrift_type type, int64_t value)
{
    add_field(o, id, type);
    if (type == THRIFT_BYTE)
        add_byte(o->out, (unsigned)value & 0xff);
    else
        add_zigzag(o->out, value);
}

void thrift_bool(struct thrift_out *o, int id, bool value)
{
    add_field(o, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_bare_text(struct thrift_out *o, const char *text)
{
    bytes_add_varint(o->out, strlen(text));
    bytes_add(o->out, text, strlen(text));
}

void thrift_text(struct thrift_out *o, int id, const char *text)
{
    add_field(o, id, THRIFT_BINARY);
    thrift_bare_text(o, text);
}

void thrift_bare_int(struct thrift_out *o, int64_t value)
{
    add_zigzag(o->out, value);
}

void thrift_list(struct thrift_out *o, int id, enum thrift_type type, size_t count)
{
    add_field(o, id, THRIFT_LIST);
    if (count < 15) {
        add_byte(o->out, (unsigned)count << 4 | (unsigned)type);
        return;
    }
    add_byte(o->out, 0xf0U | (unsigned)type);
    bytes_add_varint(o->out, count);
}

void thrift_struct_element(struct thrift_out *o)
{
    TB_ASSERT(o->depth + 1 < THRIFT_DEPTH);
    o->last[++o->depth] = 0;
}

void thrift_struct(struct thrift_out *o, int id)
{
    add_field(o, id, THRIFT_STRUCT);
    thrift_struct_element(o);
}

void thrift_end(struct thrift_out *o)
{
    add_byte(o->out, 0);
    o->depth--;
}

/* ---- reading ---- */

static unsigned take_byte(struct thrift_in *in)
{
    if (in->bad || in->at == in->end) {
        in->bad = true;
        return 0;
    }
    return *in->at++;
}

uint64_t thrift_varint(struct thrift_in *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned byte = take_byte(in);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    in->bad = true;
    return 0;
}

static int64_t take_zigzag(struct thrift_in *in)
{
    uint64_t value = thrift_varint(in);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

bool thrift_next(struct thrift_in *in, struct thrift_field *f)
{
    unsigned byte = take_byte(in);
    if (in->bad || byte == 0)
        return false;
    f->type = (int)(byte & 15);
    if (byte >> 4 != 0)
        f->id += (int)(byte >> 4);
    else
        f->id = (int)(int16_t)take_zigzag(in);
    return !in->bad;
}

int64_t thrift_take_int(struct thrift_in *in, const struct thrift_field *f)
{
    if (f->type == THRIFT_BYTE)
        return (int8_t)take_byte(in);
    if (f->type == THRIFT_I16 || f->type == THRIFT_I32 || f->type == THRIFT_I64)
        return take_zigzag(in);
    in->bad = true;
    return 0;
}

void thrift_take_text(struct thrift_in *in, const struct thrift_field *f, char *out, size_t room)
{
    uint64_t count = f->type == THRIFT_BINARY ? thrift_varint(in) : UINT64_MAX;
    out[0] = 0;
    if (in->bad || count > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        return;
    }
    size_t kept = count < room ? (size_t)count : room - 1;
    memcpy(out, in->at, kept);
    out[kept] = 0;
    in->at += count;
}

size_t thrift_take_list(struct thrift_in *in, const struct thrift_field *f, int *out_type)
{
    unsigned byte = f->type == THRIFT_LIST || f->type == THRIFT_SET ? take_byte(in) : 0;
    uint64_t count = byte >> 4 == 15 ? thrift_varint(in) : byte >> 4;
    *out_type = (int)(byte & 15);
    /* Every element takes a byte at least. */
    if (*out_type == 0 || count > (uint64_t)(in->end - in->at))
        in->bad = true;
    return in->bad ? 0 : (size_t)count;
}

static void skip(struct thrift_in *in, int type, int depth)
{
    struct thrift_field f = {.type = type};
    int element;
    uint64_t count;
    if (depth > 16)
        in->bad = true;
    if (in->bad)
        return;
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        break;
    case THRIFT_BYTE:
        (void)take_byte(in);
        break;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        (void)thrift_varint(in);
        break;
    case THRIFT_DOUBLE:
    case THRIFT_BINARY:
        count = type == THRIFT_DOUBLE ? 8 : thrift_varint(in);
        if (count > (uint64_t)(in->end - in->at))
            in->bad = true;
        else
            in->at += count;
        break;
    case THRIFT_LIST:
    case THRIFT_SET:
        for (count = thrift_take_list(in, &f, &element); count > 0 && !in->bad; count--)
            /* in lists a bool is a byte of its own */
            skip(in, element <= THRIFT_FALSE ? THRIFT_BYTE : element, depth + 1);
        break;
    case THRIFT_STRUCT:
        f.id = 0;
        while (thrift_next(in, &f))
            skip(in, f.type, depth + 1);
        break;
    default: /* maps do not occur in Parquet */
        in->bad = true;
    }
}

void thrift_skip(struct thrift_in *in, int type)
{
    skip(in, type, 0);
}
