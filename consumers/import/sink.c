#include "consumers/import/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <tickbus/clock.h>

#include "bus/journal_write.h"
#include "consumers/journals/journals.h"

/* Each begins a segment of its own: more of them than this is a file of selected records. */
#define HOLES_MAX 1000
#define SYNC_BYTES (64 << 20) /* nobody waits for it: whoever is interrupted begins anew */
#define TURN_WAIT (100 * TB_NS_PER_MS)

/* ---- a journal ---- */

int sink_open_journal(struct sink *s, const char *journal, const char *bus, const char *stream,
                      uint64_t segment_bytes, struct tb_error *err)
{
    const struct tb_journal_write_options options = {
        .journal = journal,
        .bus = bus,
        .stream = stream,
        .segment_bytes = segment_bytes,
        .sync_bytes = SYNC_BYTES,
        .sync_every = TB_NS_PER_S,
        .direct = true,
    };
    int rc = tb_journal_disk_open(1, TB_JOURNAL_MEMORY, TB_JOURNAL_IO_AUTO, &s->disk, NULL, err);
    if (rc == 0)
        rc = tb_journal_writer_open(s->disk, &options, &s->journal, err);
    if (rc == 0)
        tb_journal_writer_durable(s->journal, &s->kept_epoch, &s->kept_seq);
    s->wall = tb_clock_wall();
    return rc;
}

/* Let the disk go on. A failure that the writer would try again at is the end of an import. */
static int turn(struct sink *s, tb_ns wait, struct tb_error *err)
{
    if (tool_stopped)
        return -EINTR;
    tb_journal_writer_turn(s->journal, tb_clock_mono());
    int rc = tb_journal_disk_turn(s->disk, wait);
    const char *trouble = tb_journal_writer_trouble(s->journal);
    if (trouble != NULL)
        return tb_fail(err, -EIO, "%s", trouble);
    return rc < 0 ? tb_fail(err, rc, "cannot write the journal: %s", strerror(-rc)) : 0;
}

static int begin(struct sink *s, uint64_t epoch, tb_seq seq, struct tb_error *err)
{
    while (tb_journal_writer_begin(s->journal, epoch, seq) == -EAGAIN) {
        int rc = turn(s, TURN_WAIT, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int append(struct sink *s, uint64_t epoch, const struct tb_record *record,
                  struct tb_error *err)
{
    int rc = 0;
    if (record->seq != s->next)
        rc = begin(s, epoch, record->seq, err);
    while (rc == 0 && tb_journal_writer_instrument_count(s->journal) < s->entry_count)
        tb_journal_writer_instrument(s->journal,
                                     &s->entry[tb_journal_writer_instrument_count(s->journal)]);
    while (rc == 0 && tb_journal_writer_append(s->journal, record, 1, s->wall) == 0)
        rc = turn(s, TURN_WAIT, err);
    if (rc == 0 && s->records % 4096 == 0)
        rc = turn(s, 0, err);
    return rc;
}

/* ---- a ring ---- */

int sink_open_ring(struct sink *s, const char *bus_dir, const char *stream, uint64_t capacity,
                   struct tb_error *err)
{
    const struct tb_writer_options options = {.capacity = capacity, .new_epoch = true};
    s->is_ring = true;
    return tb_writer_open(bus_dir, stream, &options, &s->ring, err);
}

static int publish(struct sink *s, const struct tb_record *record, struct tb_error *err)
{
    struct tb_record r = *record;
    if (tool_stopped)
        return -EINTR;
    for (; s->entries_out < s->entry_count; s->entries_out++) {
        int id = tb_writer_add_instrument(&s->ring, &s->entry[s->entries_out]);
        if (id < 0)
            return tb_fail(err, id, "instrument %u does not go into the stream: %s",
                           s->entries_out + 1U, strerror(-id));
        s->id[s->entries_out] = (uint16_t)id;
    }
    if (r.instrument != 0 && r.instrument <= s->entry_count)
        r.instrument = s->id[r.instrument - 1];
    (void)tb_writer_publish(&s->ring, &r); /* free: never waits */
    if (s->records % 4096 == 0) {
        tb_writer_housekeep(&s->ring, tb_clock_wall());
        tb_writer_wake(&s->ring);
    }
    return 0;
}

/* ---- both ---- */

static void enter_epoch(struct sink *s, uint64_t epoch)
{
    if (epoch == s->epoch)
        return;
    s->epoch = epoch;
    s->next = 0;
    s->entry_count = s->entries_out = 0;
    s->epochs++;
}

int sink_instrument(struct sink *s, uint64_t epoch, uint16_t id, const struct tb_instrument *entry,
                    struct tb_error *err)
{
    enter_epoch(s, epoch);
    if (id != s->entry_count + 1 || id > TB_INSTRUMENTS_MAX)
        return tb_fail(err, -EINVAL, "instrument %u is not the one after %u: ids count from 1", id,
                       s->entry_count);
    struct tb_instrument *e = &s->entry[s->entry_count];
    *e = *entry;
    e->market = id;
    for (uint16_t i = 0; i < s->entry_count; i++)
        if (strcmp(s->entry[i].venue, e->venue) == 0 &&
            strcmp(s->entry[i].symbol, e->symbol) == 0 &&
            strcmp(s->entry[i].label, e->label) == 0) {
            e->market = s->entry[i].market;
            break;
        }
    if (!tb_instrument_check(e, id))
        return tb_fail(err, -EINVAL, "instrument %u is not fit to be one", id);
    s->entry_count++;
    return 0;
}

const struct tb_instrument *sink_entry(const struct sink *s, uint64_t epoch, uint16_t id)
{
    return epoch == s->epoch && id != 0 && id <= s->entry_count ? &s->entry[id - 1] : NULL;
}

static bool is_kept(const struct sink *s, uint64_t epoch, tb_seq seq)
{
    return epoch < s->kept_epoch || (epoch == s->kept_epoch && seq <= s->kept_seq);
}

int sink_record(struct sink *s, uint64_t epoch, const struct tb_record *record,
                struct tb_error *err)
{
    uint64_t before = s->epoch;
    if (epoch < before || epoch == 0)
        return tb_fail(err, -EINVAL, "epoch %" PRIu64 " does not follow %" PRIu64, epoch, before);
    enter_epoch(s, epoch);
    if (record->seq == 0 || record->seq < s->next)
        return tb_fail(err, -EINVAL, "sequence %" PRIu64 " comes after %" PRIu64, record->seq,
                       s->next - 1);
    if (s->next != 0 && record->seq != s->next && ++s->holes > HOLES_MAX && !s->is_ring)
        return tb_fail(
            err, -EINVAL,
            "more than %d holes in the sequences: the file holds selected records, which a "
            "journal can not; import it --into a bus",
            HOLES_MAX);
    int rc = 0;
    if (is_kept(s, epoch, record->seq))
        s->kept++;
    else
        rc = s->is_ring ? publish(s, record, err) : append(s, epoch, record, err);
    s->next = record->seq + 1;
    s->records++;
    return rc;
}

int sink_close(struct sink *s, bool good, struct tb_error *err)
{
    int rc = 0;
    if (s->is_ring) {
        tb_writer_close(&s->ring, good ? TB_STREAM_DONE : TB_STREAM_STOPPED);
        return 0;
    }
    while (s->journal != NULL && good && rc == 0 && tb_journal_writer_finish(s->journal) == -EAGAIN)
        rc = turn(s, TURN_WAIT, err);
    tb_journal_writer_close(s->journal);
    tb_journal_disk_close(s->disk);
    return rc;
}
