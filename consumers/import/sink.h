/*
 * Where imported records go: a stream's journal, in which they keep epoch and sequence, or a stream
 * of a bus, whose producer the import then is, and which numbers them itself.
 */
#ifndef TICKBUS_CONSUMERS_SINK_H
#define TICKBUS_CONSUMERS_SINK_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>

struct tb_journal_disk;
struct tb_journal_writer;

struct sink {
    /* one of the two */
    struct tb_journal_disk *disk;
    struct tb_journal_writer *journal;
    struct tb_writer ring;
    bool is_ring;

    uint64_t epoch; /* of the record before */
    tb_seq next;    /* the sequence that would follow it */
    uint64_t
        kept_epoch; /* the journal had these already: up to this position they are passed over */
    tb_seq kept_seq;
    struct tb_instrument entry[TB_INSTRUMENTS_MAX]; /* of the present epoch */
    uint16_t id[TB_INSTRUMENTS_MAX];                /* ring: what they are called there */
    uint16_t entry_count, entries_out;
    uint64_t records, kept, holes, epochs;
    tb_ns wall;
};

int sink_open_journal(struct sink *s, const char *journal, const char *bus, const char *stream,
                      uint64_t segment_bytes, struct tb_error *err);
int sink_open_ring(struct sink *s, const char *bus_dir, const char *stream, uint64_t capacity,
                   struct tb_error *err);

/* sink_instrument: entry `id` of the epoch. Ids come in order; an epoch's first begins a new
 * table. */
int sink_instrument(struct sink *s, uint64_t epoch, uint16_t id, const struct tb_instrument *entry,
                    struct tb_error *err);
const struct tb_instrument *sink_entry(const struct sink *s, uint64_t epoch, uint16_t id);

/* sink_record: 0 or -errno; -EINTR: asked to stop. */
int sink_record(struct sink *s, uint64_t epoch, const struct tb_record *record,
                struct tb_error *err);

/* sink_close: all that came is durable (journal) or there to be read (ring, closed as DONE), if
 * good. */
int sink_close(struct sink *s, bool good, struct tb_error *err);

#endif
