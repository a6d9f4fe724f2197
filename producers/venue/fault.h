/*
 * The fault script: what a venue does wrong, and when. Pure: it is told of every frame and request,
 * says which rules are due, and changes bytes; doing it to sockets is faultplay.h's. The same
 * script, seed and recording make the same faults. FAULTS.md is the manual.
 */
#ifndef TICKBUS_VENUE_FAULT_H
#define TICKBUS_VENUE_FAULT_H

#include <tickbus/config.h>

#include "protocol.h"

#define FAULT_RULES_MAX 64
#define FAULT_TEXT_BYTES 64

enum fault_kind {
    /* a frame, for all its subscribers */
    FAULT_DROP,
    FAULT_DUPLICATE,
    FAULT_REORDER,
    FAULT_CORRUPT,
    FAULT_TRUNCATE,
    FAULT_OVERSIZE,
    FAULT_INVALID_UTF8,
    FAULT_WRONG_NUMBER,
    /* the connections of a frame's subscribers */
    FAULT_CLOSE,
    FAULT_RESET,
    FAULT_SILENCE,
    FAULT_SLOW,
    FAULT_PING_FLOOD,
    FAULT_REFUSE_CONNECTIONS,
    /* a REST request */
    FAULT_HTTP_STATUS,
    FAULT_STALE_SNAPSHOT,
    FAULT_KINDS
};
const char *fault_name(enum fault_kind kind);

struct fault_rule {
    enum fault_kind kind;
    /* When: one of these four; all 0: at the first. */
    uint64_t at;   /* the n-th frame (or request) that matches, from 1 */
    tb_ns at_time; /* the first one of this time of the recording; -1: not by time */
    uint64_t every;
    uint64_t chance; /* of 2^32 */
    uint64_t count;  /* from there on so many; with every, chance: at most so many, 0: all */
    char match[FAULT_TEXT_BYTES]; /* frames that hold this text; requests whose path begins so */
    char text[FAULT_TEXT_BYTES];  /* wrong_number: after this text; close: the reason */
    tb_ns duration;               /* silence, slow, refuse_connections */
    int64_t number;               /* code, status, bytes, rate, pings, by */

    uint64_t seen, fired;
};

struct fault_script {
    struct fault_rule rule[FAULT_RULES_MAX];
    size_t count;
    uint64_t seed, random;
};

/*
 * fault_script_load: a list of rules, or {seed, faults: [rules]}. Everything wrong goes to
 * `faults`, with the file, the line and `where`.
 */
void fault_script_load(struct fault_script *s, const struct tb_yaml *tree, const char *file,
                       const char *where, struct tb_faults *faults);

/* fault_is_of_requests: HTTP_STATUS and STALE_SNAPSHOT; the others are of frames. */
bool fault_is_of_requests(enum fault_kind kind);
/* fault_due: a frame (a request's path) comes at this time of the recording: does this rule
 * fire? */
bool fault_due(struct fault_script *s, struct fault_rule *r, const char *text, size_t length,
               tb_ns at);
/* fault_random: the script's next random number. */
uint64_t fault_random(struct fault_script *s);
/* fault_change: the message as this fault leaves it (CORRUPT .. WRONG_NUMBER), appended to
 * `out`. */
void fault_change(const struct fault_rule *r, uint64_t random, const char *text, size_t length,
                  bool binary, struct protocol_text *out);

#endif
