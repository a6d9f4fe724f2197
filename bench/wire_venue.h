/*
 * The venue of the wire suite: one process on loopback, TCP or TLS, that lists one market over REST
 * and sends trades over a WebSocket, made beforehand, at a fixed rate or as fast as they go.
 */
#ifndef TICKBUS_BENCH_WIRE_VENUE_H
#define TICKBUS_BENCH_WIRE_VENUE_H

#include <tickbus/base.h>

#define WIRE_FRAMES_MAX 400000

/* Shared between the venue, the bench and its subjects. */
struct wire_shared {
    TB_ATOMIC(uint32_t) port;      /* of the venue, when it listens */
    TB_ATOMIC(uint32_t) connected; /* a WebSocket is there */
    TB_ATOMIC(uint32_t) go;
    TB_ATOMIC(uint32_t) stop;
    TB_ATOMIC(uint64_t) done_count; /* frames that a subject without a ring decoded */
    uint64_t frames;
    int64_t rate; /* frames a second; 0: flat out */
    bool tls;
    char certificate[256], key[256];
    tb_ns sent[WIRE_FRAMES_MAX + 1]; /* by trade id: when it was meant to go. Wall clock */
    tb_ns done[WIRE_FRAMES_MAX + 1]; /* by trade id: when that subject had it decoded */
};

/* wire_frame: the text of trade `id`. Returns its length, as snprintf. */
int wire_frame(uint64_t id, char *out, size_t bytes);

/* wire_venue: until `stop`. In a child of the bench; ends by bench_fail where it can not. */
void wire_venue(struct wire_shared *w);

#endif
