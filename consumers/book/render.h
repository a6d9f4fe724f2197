/* A book as a ladder for people and as one line of JSON. No I/O but to a FILE. */
#ifndef TICKBUS_CONSUMERS_RENDER_H
#define TICKBUS_CONSUMERS_RENDER_H

#include <stdio.h>

#include "watch.h"

struct render_style {
    bool colour;
    bool fine; /* UTF-8: bars in eighths of a character */
    unsigned columns;
    uint32_t depth; /* levels of each side */
};

#define RENDER_LINES 6 /* of a ladder beside its levels */

/*
 * render_ladder: asks above, the spread, bids below, each with the sum from the best price on,
 * which the bars draw. Always 2 * depth + RENDER_LINES lines, so that nothing jumps. now: wall
 * clock.
 */
void render_ladder(const struct watch *w, const struct render_style *style, tb_ns now, FILE *out);

/* render_json: one line; keys in include/tickbus/FIELDS.md. */
void render_json(const struct watch *w, uint32_t depth, tb_ns now, FILE *out);

#endif
