/*
 * Sleeping until a producer has published: the event count in <stream>.wait. Internal.
 */
#ifndef TICKBUS_WAIT_H
#define TICKBUS_WAIT_H

#include <ck_ec.h>

#include <tickbus/base.h>
#include <tickbus/reader.h>

#include "segment.h"

#define TB_WAIT_BYTES 64

/* The file: one cache line, of which the first word is in use. */
struct tb_wait_page {
    struct ck_ec32 events; /* bit 31: somebody sleeps; the rest counts wakes */
    uint32_t reserved[15];
};
TB_STATIC_ASSERT(sizeof(struct tb_wait_page) == TB_WAIT_BYTES, "layout");

/* tb_wait_create: make the file if it is not there or not whole, and map it. Producer, under
 * lock. */
int tb_wait_create(const char *path, struct tb_segment *out_segment, struct tb_error *err);

/* tb_wait_wake: whoever sleeps wakes. One atomic add; a system call only if somebody sleeps. */
void tb_wait_wake(struct tb_wait_page *page);

/* tb_wait_pause: sleep for about ns, for those who poll. */
void tb_wait_pause(tb_ns ns);

/* What waiting needs to know of a reader; reader.c has it. page is NULL if it may not be
 * written. */
struct tb_wait_view {
    struct tb_wait_page *page;
    enum tb_wait_policy policy;
    bool on_disk;  /* it waits for the journal: nobody wakes it */
    size_t wanted; /* BATCH: how many records it would like to find */
    tb_ns spin_ns; /* PARK: how long looking before sleeping was worth it lately */
};
struct tb_wait_view tb_reader_wait_view(const struct tb_reader *r);
/* After a wait: the next run takes what is there; and the next wait looks for so long before it
 * sleeps. */
void tb_reader_settle(struct tb_reader *r, tb_ns spin_ns);
/* The cursor's slot has another record: is there something to do? Without a journal always. */
bool tb_reader_stirs(struct tb_reader *r);
/* It is about to wait: with a journal, look whether the ring is still the stream's. */
void tb_reader_idles(struct tb_reader *r);

#endif
