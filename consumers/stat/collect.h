/* Filling a stat_look from the files of a bus. Reads only; keeps streams mapped between looks. */
#ifndef TICKBUS_CONSUMERS_COLLECT_H
#define TICKBUS_CONSUMERS_COLLECT_H

#include "stat.h"

struct collector {
    const char *bus_dir;
    struct watched {
        char name[TB_STREAM_BYTES];
        struct tb_reader reader;
        bool open;
    } watched[STAT_STREAMS_MAX];
    size_t watched_count;
    struct stat_look *look; /* while collecting */
};

/* collector_look: 0, or -errno if the bus directory can not be listed. */
int collector_look(struct collector *c, struct stat_look *out_look, struct tb_error *err);
void collector_close(struct collector *c);

#endif
