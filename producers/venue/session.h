/*
 * A recording and its clock: which event is next, and when it is due. The clock stands until it is
 * started, and may be held (for a client's snapshot): what was held is added to every later due
 * time.
 */
#ifndef TICKBUS_VENUE_SESSION_H
#define TICKBUS_VENUE_SESSION_H

#include <tickbus/base.h>

#include "producers/capture/capture.h"

struct session {
    struct capture *capture;
    struct capture_event event; /* the next to be played, if `have` */
    double speed;               /* 1 as recorded; 0: flat out */
    bool have;
    bool started;
    tb_ns first_ts;   /* of the first event with a time */
    tb_ns start_mono; /* when that one was, or would have been, due */
    tb_ns held_since; /* 0: not held */
    uint64_t played;
};

/* session_speed_parse: "max", "1", "2.5". 0 or -EINVAL. */
int session_speed_parse(const char *text, double *out_speed);

int session_open(struct session *s, const char *const *paths, size_t count, double speed,
                 struct tb_error *err);
void session_close(struct session *s);
/* session_rewind: to the first event, the clock standing. 0 or -errno. */
int session_rewind(struct session *s);

void session_start(struct session *s, tb_ns mono);
/* session_due: how long until the next event is due; 0 now, INT64_MAX standing, held or at the
 * end. */
tb_ns session_due(const struct session *s, tb_ns mono);
/* session_advance: the event was played; read the next one. */
void session_advance(struct session *s);
bool session_ended(const struct session *s);
void session_hold(struct session *s, tb_ns mono);
void session_release(struct session *s, tb_ns mono);

#endif
