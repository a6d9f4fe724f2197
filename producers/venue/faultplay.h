/*
 * The fault script at work: between the player, which has a frame to send, and the server, which
 * sends. Every fault that is done is logged and counted.
 */
#ifndef TICKBUS_VENUE_FAULTPLAY_H
#define TICKBUS_VENUE_FAULTPLAY_H

#include "fault.h"
#include "server.h"

#define FAULTPLAY_HELD_MAX 64    /* reordered frames on their way */
#define FAULTPLAY_ANSWERS_MAX 64 /* REST answers remembered */

struct faultplay_held {
    uint64_t client;
    struct protocol_text text;
    bool binary;
    const struct fault_rule *rule;
    uint64_t behind; /* it is sent when so many frames were seen by its rule */
};

struct faultplay_answer {
    char *url;
    struct protocol_text body;
};

struct faultplay {
    struct fault_script *script; /* NULL: no faults; the caller's */
    struct server *server;
    tb_ns at; /* the recording's time */
    uint64_t frames;
    const struct fault_rule *rule; /* what is done to the frame that is being sent; and its
                                    * chance */
    uint64_t random;
    struct faultplay_held held[FAULTPLAY_HELD_MAX];
    size_t held_count;
    struct faultplay_answer answer[FAULTPLAY_ANSWERS_MAX];
    size_t answer_count;
    uint64_t done[FAULT_KINDS];
};

void faultplay_init(struct faultplay *p, struct fault_script *script, struct server *server);
void faultplay_fini(struct faultplay *p);
/* faultplay_send: to all subscribers, instead of server_send. `at`: since the recording's
 * beginning. */
void faultplay_send(struct faultplay *p, const struct protocol_frame *frame, tb_ns at);
/* faultplay_end: the recording is over: what is still held is sent. */
void faultplay_end(struct faultplay *p);

/* For the server: the status to answer a request with instead of what it asks for (body appended),
 * or 0: nothing is wrong. faultplay_answered: what was answered, in good order. */
int faultplay_request(struct faultplay *p, const char *path, const char *query,
                      struct protocol_text *out_body);
void faultplay_answered(struct faultplay *p, const char *path, const char *query, const char *body,
                        size_t length);

#endif
