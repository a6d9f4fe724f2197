/*
 * Recorded sessions: the files of one capture, merged by receive time into one sequence of events.
 * Formats (gzip read directly, recognised by content, not by name):
 *
 *   1  `<receive ns> <JSON>`                hftbacktest: combined-stream frames; a line that is a REST
 *                                           depth answer has no symbol: the file name has it
 *   2  `<receive s>: <JSON>`                cryptofeed (binary frames: in hexadecimal, at least 8 bytes);
 *                                           also `<url> <-> <time>` connected,
 *      `<url> <- <time>: <text>` sent, `<url> -> <time>: <body>` a REST answer; empty lines and
 *      `configuration:` lines are passed over
 *   3  one JSON object a line with `t`      header, http, connect, send, recv (`ts`, `data`)
 *   4  one frame a line, no time            samples: ts_recv is 0
 *   5  the same, binary, in hexadecimal
 *
 * Memory is bounded: one line per file is held, at most CAPTURE_LINE_MAX bytes. A line that can not be
 * read (too long, no such format, gzip cut short) is a fault: counted, reported with file and line
 * through capture_fault, passed over; the events before and after it are all delivered.
 */
#ifndef TICKBUS_PRODUCERS_CAPTURE_H
#define TICKBUS_PRODUCERS_CAPTURE_H

#include <tickbus/base.h>

#define CAPTURE_LINE_MAX (32U << 20)
#define CAPTURE_FILES_MAX 64
/* Readable bytes after an event's text, as simdjson wants them. */
#define CAPTURE_PADDING 64

enum capture_kind {
    CAPTURE_CONNECT, /* text: the URL */
    CAPTURE_SENT,    /* text: what the recorder sent */
    CAPTURE_FRAME,   /* text: one WebSocket message */
    CAPTURE_HTTP, /* text: the body; url: of the request ("/api/v3/depth?symbol=BTCUSDT" at least) */
};

struct capture_event {
    enum capture_kind kind;
    tb_ns ts_recv; /* 0 if the format has none */
    const char *
        text; /* length bytes (binary frames: any), then CAPTURE_PADDING readable ones; valid until the next call */
    size_t length;
    const char *url; /* CAPTURE_CONNECT, CAPTURE_HTTP; NUL-terminated, else "" */
    unsigned file;   /* index of the file it came from */
    uint64_t line;   /* from 1 */
};

struct capture; /* opaque */

/* Called for each fault; `what` is one clear clause. */
typedef void capture_fault(void *context, const char *path, uint64_t line, const char *what);

/*
 * capture_open: the files of one session, in any order. Errors: -ENOENT and the like, with the path in
 * err; -EINVAL no capture format; -E2BIG too many files.
 */
int capture_open(const char *const *paths, size_t count, capture_fault *fault, void *context,
                 struct capture **out_capture, struct tb_error *err);
void capture_close(struct capture *c);

/* capture_next: 1 and the next event in time order (ties: order of the files, then of lines); 0 at the end. */
int capture_next(struct capture *c, struct capture_event *out_event);

/* capture_rewind: start again from the first event. 0 or -errno. */
int capture_rewind(struct capture *c);

uint64_t capture_faults(const struct capture *c);
/* capture_progress: compressed bytes consumed so far and in all. */
void capture_progress(const struct capture *c, uint64_t *out_done, uint64_t *out_total);
/* capture_tag: a hash of the files' names, sizes and contents' first and last 64 KiB; never 0. */
uint64_t capture_tag(const struct capture *c);

#endif
