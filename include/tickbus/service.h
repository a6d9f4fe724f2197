/*
 * The skeleton of every process on a bus: producers, consumers, and those that are both.
 *
 *   options and config -> log -> stats page -> signals -> start -> open output
 *     -> restore checkpoint -> on_past
 *     -> [ open the inputs that are there -> read a batch -> on_records | poll -> housekeep if due
 *     -> checkpoint if due -> wait if nothing moved ] -> drain -> last checkpoint -> stop -> exit
 *
 * One rule: killed at any instant and started again, the result is as if it had never died.
 *   - Each input continues at the cursor of the last checkpoint, with the state saved there.
 *   - A service whose output is a pure function of its inputs' records (`replays_output`) makes the
 *     same records again; the skeleton drops those that the output stream has already, counted per
 *     input, because only the order within one input is fixed.
 *   - A gated producer upstream is released only to the checkpoint, so nothing that may be needed
 *     again is overwritten.
 *   - Where that state is gone (the shared memory lives as long as the host; a file was damaged)
 *     the inputs are read again from the oldest that ring and journal have, and a service that has
 *     `on_past` is first given all that its output holds, in ring and journal, whatever the epoch:
 *     it publishes none of that again. So is one whose output's ring was made anew, from its
 *     checkpoint on. With --journal a ring made anew has a later epoch than the last one in its
 *     stream's journal.
 *   - With --journal an input that was lapped, starts late, or is in an epoch that its ring has
 *     left is read from the stream's journal until the ring has it again. A new epoch is
 *     on_input(new_epoch).
 *
 * Exit codes: 0 stopped as asked (or done), drained; 64 bad command line; 78 bad config; 69 no
 * stream within attach_timeout; 74 I/O failed beyond retries, or drain left data; 75 records were
 * lost (only with until_done); 70 internal.
 */
#ifndef TICKBUS_SERVICE_H
#define TICKBUS_SERVICE_H

#include <tickbus/base.h>
#include <tickbus/config.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>
#include <tickbus/stats.h>

TB_EXTERN_BEGIN

#define TB_INPUTS_MAX 8
#define TB_BATCH_MAX 512 /* records given to on_records at once */

enum tb_exit {
    TB_EXIT_OK = 0,
    TB_EXIT_USAGE = 64,
    TB_EXIT_UNAVAILABLE = 69,
    TB_EXIT_INTERNAL = 70,
    TB_EXIT_IO = 74,
    TB_EXIT_LOST = 75,
    TB_EXIT_CONFIG = 78,
};

/* poll: results beside 0 (nothing to do), > 0 (that many things were done) and -errno (failed;
 * -EINVAL: the configuration asks for what can not be, exit 78, as from start). */
#define TB_POLL_DONE INT32_MAX /* finite producer: all is published; drain and exit 0 */

struct tb_service;

struct tb_service_ops {
    const char *name;    /* program less "tickbus-": also the default instance name */
    const char *summary; /* one line for --help */
    const struct tb_option *options;
    size_t option_count;
    /*
     * Default for --streams: "@feeds,candles"; NULL: it has no inputs. With a config file, @feeds
     * is every key of its `feeds:` map, and a name that is neither a feed nor a service there is
     * left out. Without one @feeds is an error that asks for --streams.
     */
    const char *inputs;
    const char *output;       /* default for --stream (its output); NULL: it has none */
    bool rings_only;          /* --journal is not where its inputs catch up (the journal itself) */
    uint64_t output_capacity; /* default; 0: TB_CAPACITY_DEFAULT */
    bool replays_output; /* output records are a pure function of each input's records in order */
    uint32_t checkpoint_version;
    size_t checkpoint_bytes; /* most that save may ever write; 0: the service has no state to
                              * save */

    /* Everything may be NULL but `start`. `self` is the struct that the option table describes. */

    /* After config, before anything is opened or made: check what the table can not (faults), with
     * file/line. */
    void (*check)(struct tb_service *svc, void *self, struct tb_faults *faults);
    /* Open what is needed, allocate all. 0 or -errno (log the reason first; -ECANCELED: that was
     * all there is to say). Undone by stop. */
    int (*start)(struct tb_service *svc, void *self);
    /* The output is open (its records of earlier lives can be read back), before any input is. */
    int (*on_output)(struct tb_service *svc, void *self);
    /* The saved state, exactly as save wrote it; no input is open yet. 0, or -errno to begin from
     * nothing. */
    int (*restore)(struct tb_service *svc, void *self, const void *bytes, size_t count);
    /*
     * There is no state, or it is older than the output's ring: a record that the output held when
     * this life began, from where the state ends (without one: the oldest) on, in order; then, with
     * NULL, the end of them. `reader` has its epoch and instruments. After restore, before any
     * input is open.
     */
    void (*on_past)(struct tb_service *svc, void *self, struct tb_reader *reader,
                    const struct tb_record *record);
    /* Input i was opened, or opened again with a new epoch (forget its instruments then). */
    int (*on_input)(struct tb_service *svc, void *self, unsigned input, bool new_epoch);
    /*
     * Up to TB_BATCH_MAX consecutive records of input i. Returns how many were taken: fewer than
     * count means "no room now", the rest comes again later. Or -errno: the service fails.
     */
    int (*on_records)(struct tb_service *svc, void *self, unsigned input,
                      const struct tb_record *records, int count);
    /* `lost` records precede the next one of this input. */
    void (*on_overrun)(struct tb_service *svc, void *self, unsigned input, uint64_t lost);
    /* Producers: do some work, publish, return soon. See TB_POLL_DONE. */
    int (*poll)(struct tb_service *svc, void *self);
    /* About every 100 ms (housekeep_every). 0 or -errno. */
    int (*housekeep)(struct tb_service *svc, void *self, tb_ns now);
    /* An upper bound of what the next save will write. */
    size_t (*save_size)(struct tb_service *svc, void *self);
    /*
     * Write the state that belongs to the present cursors into bytes[capacity]; return how much, or
     * 0: not now (something can not be committed at present), ask again. A service with a store of
     * its own commits to it first, or says by `settled` when it did: what is released upstream must
     * not be needed again. Called every checkpoint_every, and whenever a quarter of an input's or
     * the output's ring has gone by.
     */
    size_t (*save)(struct tb_service *svc, void *self, void *bytes, size_t capacity);
    /*
     * Has the service's own store all that the last save's state has seen? Asked in each turn until
     * it has, while records are read on; then that state becomes the checkpoint, and what is before
     * its cursors is released. NULL: it has when save returns.
     */
    bool (*settled)(struct tb_service *svc, void *self);
    /* Asked to stop, what the inputs held at that moment was read, they are read no more: finish. 0
     * done, -EAGAIN call again, else failed. */
    int (*drain)(struct tb_service *svc, void *self);
    void (*stop)(struct tb_service *svc, void *self);
};

/* One input stream. Fields are for reading unless said. */
struct tb_input {
    const char *stream;
    bool open;
    bool held; /* may be set by the service, in on_input or later: it is not read, and not done,
                * while it is */
    struct tb_reader reader;
    uint64_t read;      /* records given to on_records and taken, in this life */
    uint64_t lost;      /* in this life */
    tb_seq skip_output; /* outputs of this input that are there already (replays_output) */
};

/* What the skeleton knows; made by tb_service_main. Fields are for reading unless said. */
struct tb_service {
    const struct tb_service_ops *ops;
    void *self;
    const char *name; /* instance: --name, default ops->name */
    char bus_dir[256];
    const char *config_file; /* NULL if none */
    const char *section;     /* "services.candles" */
    bool until_done;
    struct tb_input input[TB_INPUTS_MAX];
    unsigned input_count;
    struct tb_writer *out; /* NULL if it has none, or before on_output */
    const char *out_stream;
    const char *journal;       /* --journal: where the journals of all buses are; NULL: none */
    const char *input_journal; /* the same, unless rings_only */
    struct tb_stats stats;
    tb_ns now;     /* wall clock of this turn of the loop */
    bool stopping; /* SIGTERM or SIGINT came, or all inputs are done */
    /* May be set by the service at any time: a file descriptor whose readability ends a wait;
     * -1. */
    int wake_fd;
    /* May be set by start: the tag of the output ring (ring.h): another tag there makes it anew. */
    uint64_t out_tag;
    /* May be set by the service: the longest wait, ns, when nothing moves (default 100 ms). */
    tb_ns idle_ns;
    struct tb_service_private *private_;
};

/* tb_service_main: the whole life. self: zeroed, the struct of the option table. Returns the exit
 * code. */
int tb_service_main(const struct tb_service_ops *ops, void *self, int argc, char **argv);

/*
 * tb_service_publish: publish on the output on behalf of input i (which its record came from), or
 * of none (input = TB_NO_INPUT). Drops it if replays_output and the stream has it already; for that
 * its instrument must be one that tb_service_mirror gave for this input. Fills
 * publish_delta_ns. Returns the sequence, TB_PUBLISH_SKIPPED, or 0 when a gated wait was ended.
 */
#define TB_NO_INPUT UINT32_MAX
#define TB_PUBLISH_SKIPPED UINT64_MAX
tb_seq tb_service_publish(struct tb_service *svc, uint32_t input, struct tb_record *record);

/*
 * tb_service_publish_many: the same for records that came to be at one moment: the clock is read
 * once. Returns how many were published or dropped: all, unless a gated wait was ended.
 */
size_t tb_service_publish_many(struct tb_service *svc, uint32_t input, struct tb_record *records,
                               size_t count);

/*
 * tb_service_mirror: the output-stream id for an instrument of input i: appended to the output's
 * table if it is new. `label` as in struct tb_instrument, may be NULL. 0 if the table is full.
 */
uint16_t tb_service_mirror(struct tb_service *svc, unsigned input, uint16_t instrument,
                           const char *label);

/* tb_service_degraded: enter or leave DEGRADED; note says why, NULL leaves it. Logged when it
 * changes. */
void tb_service_degraded(struct tb_service *svc, const char *note);

/*
 * tb_service_durable: for a service that keeps its inputs' records itself (the journal) and no
 * checkpoint: input i is on disk up to `durable` and no further; only so much is released upstream
 * from the first call on. Also stored in the cursor page.
 */
void tb_service_durable(struct tb_service *svc, unsigned input, tb_seq durable);

/*
 * tb_service_seek: go on reading input i at `seq`. What was saved of it holds no more: nothing is read
 * before the next checkpoint.
 */
void tb_service_seek(struct tb_service *svc, unsigned input, tb_seq seq);

/* tb_service_checkpoint: save now if save allows it, or go on with a save that is not settled. True
 * if a checkpoint was made. */
bool tb_service_checkpoint(struct tb_service *svc);

/*
 * tb_service_wait_turn: for a service that must wait inside a callback (a gated publish does it by
 * itself): signals, heartbeats. Not 0: a second stop signal came, give up.
 */
int tb_service_wait_turn(struct tb_service *svc);

TB_EXTERN_END

#endif
