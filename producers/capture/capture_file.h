/*
 * One recorded file as lines: gzip or plain, one line in memory at a time. Internal to capture.
 */
#ifndef TICKBUS_PRODUCERS_CAPTURE_FILE_H
#define TICKBUS_PRODUCERS_CAPTURE_FILE_H

#include <zlib.h>

#include "producers/capture/capture.h"

#define CAPTURE_INPUT_BYTES (64U << 10)
#define CAPTURE_CHUNK_BYTES (256U << 10) /* room for inflated bytes; grows for longer lines */

struct capture_file {
    const char *path; /* the caller's copy */
    int fd;
    bool gzip;
    bool input_ended; /* no more compressed bytes */
    bool ended;       /* no more inflated bytes */
    bool cut;         /* ended before the gzip member did: the last line is half a line */
    bool in_member;   /* inside a gzip member */
    z_stream zlib;
    unsigned char *input; /* CAPTURE_INPUT_BYTES */
    uint64_t size;        /* of the file */
    uint64_t consumed;    /* bytes read from fd */
    char *data;           /* capacity + CAPTURE_PADDING bytes */
    size_t capacity;
    size_t start; /* first byte not yet given out */
    size_t end;
    bool skipping;       /* inside a line that is too long */
    uint64_t line;       /* number of the last line given out, from 1 */
    const char *problem; /* what went wrong since the last look; NULL: nothing */
};

/* capture_file_open: 0, or -errno with the reason in err. */
int capture_file_open(struct capture_file *f, const char *path, struct tb_error *err);
void capture_file_close(struct capture_file *f);
int capture_file_rewind(struct capture_file *f);

/*
 * capture_file_line: the next line without its end, valid and writable until the next call; 1, or 0
 * at the end. -EBADMSG: something could not be read, f->problem says what, f->line where; call
 * again for what comes after it.
 */
int capture_file_line(struct capture_file *f, char **out_text, size_t *out_length);

/* What a line is, beside the kinds of capture.h. */
enum capture_format {
    CAPTURE_FORMAT_NONE,
    CAPTURE_FORMAT_NS,      /* 1: <ns> <JSON> */
    CAPTURE_FORMAT_SECONDS, /* 2: <s>: <JSON>, <url> -> <s>: <body>, ... */
    CAPTURE_FORMAT_OBJECTS, /* 3: {"t":...} */
    CAPTURE_FORMAT_FRAMES,  /* 4: <JSON> */
    CAPTURE_FORMAT_HEX,     /* 5: 0a34.. */
};

/* capture_line_format: the format that this line shows; NONE if it shows none. */
enum capture_format capture_line_format(const char *text, size_t length);

/*
 * capture_line_read: one line of a format. May write into the line (ends of URLs, unescaped text).
 * Returns 1 and an event; 0: a line that is to be passed over; -EBADMSG with the reason in
 * *out_why.
 */
int capture_line_read(enum capture_format format, char *text, size_t length,
                      struct capture_event *out_event, const char **out_why);

#endif
