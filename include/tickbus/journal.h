/*
 * The journal: a stream's records on disk, for ever, and the way back to any of them.
 *
 * One directory per stream, <journal>/<bus>/<stream>/, one file per segment, named by the position
 * of its first record: <epoch, 20 digits>-<sequence, 20 digits>.tbj. Everything is little-endian
 * and made of pages of 4096 bytes. Each page begins with a header of 64 bytes and carries its own
 * CRC32C.
 *
 *   page                                               written
 *     0      +-----------------------------------+
 *            | segment: struct tb_journal_head   |      once, when the segment is made
 *     1, 2   +-----------------------------------+
 *            | spare A, spare B                  |      in turn: the tail page while it is not full
 *     3..    +-----------------------------------+
 *            | instruments: 2 copies x 49 pages  |      when the table grew: the older copy
 *   101..    +-----------------------------------+
 *            | state: state_pages pages          |      once: the books, to begin reading here
 *   data_page+-----------------------------------+
 *            | records: page k holds sequences   |      once each, when full
 *            | first_seq + 63k .. + 62           |
 *            +-----------------------------------+
 *            | end page (only closed segments)   |
 *            +-----------------------------------+
 *
 * A sequence's place is arithmetic: page data_page + (seq - first_seq) / 63, byte 64 + 64 * ((seq -
 * first_seq) % 63). A record is there as in the ring, its seq included.
 *
 * No byte that was synced is overwritten while it is the only copy: a page of records is written to
 * its place once, when it is full (or when the segment ends). Until then the tail is written,
 * whole, to the spare that is not the newest, and the next flush begins only when the last one is
 * synced. So a torn write can destroy only what was not yet promised.
 *
 * Recovery of a segment without an end page: pages from data_page on are taken while magic, CRC,
 * epoch, kind, place and first sequence are right; then the newer of the valid spares that
 * continues them. An end page goes behind that, unless right pages follow a wrong one: then the
 * file stays. Damage before the end page of a closed segment costs the sequences of that page and
 * no others: a gap that is told, never skipped in silence.
 *
 * A segment counts only up to the first sequence of the next one of its epoch: a file whose disk
 * failed is given up without an end page, and what was not durable in it is written again in a new
 * segment, which begins right behind what was. An end page is written only when all before it was
 * synced. A segment with state_pages 0 has no state of its own: take the one before it and read on
 * from there.
 *
 * Time: page headers carry the greatest publish time so far, which does not decrease however the
 * clock was set, so that "from 09:30" is a binary search over pages. It finds the first record, in
 * order of sequence, that was not published before that time: where the clock was set back and the
 * time came twice, the first of them. Nothing published at or after it is missed; a clock that was
 * ahead makes it begin early.
 *
 * A closed segment may be compressed: <name>.tbj.zst is a standard zstd file in the seekable format
 * (facebook/zstd, contrib/seekable_format): one frame per 64 pages and a seek table in a skippable
 * frame at the end. `zstd -d` gives back the .tbj. JOURNAL.md has this for readers in other
 * languages.
 */
#ifndef TICKBUS_JOURNAL_H
#define TICKBUS_JOURNAL_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

TB_EXTERN_BEGIN

#define TB_JOURNAL_MAGIC UINT32_C(0x4c4a4254) /* "TBJL" in memory */
#define TB_JOURNAL_LAYOUT 1
#define TB_JOURNAL_PAGE 4096
#define TB_JOURNAL_RECORDS 63 /* in a page */
#define TB_JOURNAL_SPARE_PAGE 1
#define TB_JOURNAL_INSTRUMENT_PAGE 3
#define TB_JOURNAL_INSTRUMENTS 21 /* in a page */
#define TB_JOURNAL_INSTRUMENT_PAGES 49
#define TB_JOURNAL_STATE_PAGE (TB_JOURNAL_INSTRUMENT_PAGE + 2 * TB_JOURNAL_INSTRUMENT_PAGES)

enum tb_journal_kind {
    TB_JOURNAL_HEAD = 1,
    TB_JOURNAL_SPARE = 2, /* body as RECORDS */
    TB_JOURNAL_INSTRUMENTS_KIND = 3,
    TB_JOURNAL_STATE = 4, /* records with seq 0: TB_CLEAR and TB_LEVEL with F_SNAPSHOT */
    TB_JOURNAL_RECORDS_KIND = 5,
    TB_JOURNAL_END = 6, /* no body; the last page of its file */
};

struct tb_journal_page {
    uint32_t magic;
    uint32_t crc; /* CRC32C (Castagnoli) of the 4096 bytes with this field 0 */
    uint16_t layout;
    uint16_t kind;  /* enum tb_journal_kind */
    uint32_t count; /* records or instruments in the body */
    uint64_t epoch;
    /* RECORDS, SPARE: of the first record; HEAD, STATE: of the segment; INSTRUMENTS: id of the
     * first entry; END: behind the last record. */
    uint64_t first_seq;
    uint64_t generation; /* SPARE, INSTRUMENTS: of two valid copies the greater counts */
    tb_ns time_min;      /* least publish time (ts_recv + publish_delta_ns) of the body; 0: it has
                         * none */
    tb_ns time_max;      /* greatest of the segment so far, END: of the epoch so far; never
                         * decreases */
    uint64_t page;       /* index in its file; SPARE: of the place that its records will have */
};
TB_STATIC_ASSERT(sizeof(struct tb_journal_page) == 64, "a page header is a record's size");
TB_STATIC_ASSERT(offsetof(struct tb_journal_page, epoch) == 16, "layout");
TB_STATIC_ASSERT(offsetof(struct tb_journal_page, time_min) == 40, "layout");

/* Body of page 0, at byte 64. */
struct tb_journal_head {
    char stream[TB_STREAM_BYTES];
    char bus[TB_STREAM_BYTES];
    uint64_t first_seq; /* of the segment */
    uint64_t data_page;
    uint64_t state_pages;
    uint64_t pages;    /* preallocated, in all */
    tb_ns created;     /* wall clock */
    tb_ns time_before; /* greatest publish time of the epoch before the segment; 0: it is the
                          * first */
    uint64_t reserved[2];
};
TB_STATIC_ASSERT(sizeof(struct tb_journal_head) == 128, "layout");

/* ---- reading ---- */

struct tb_journal; /* one stream's journal, opened for reading; one thread */

/*
 * Memory and reading ahead. Whoever looks a record up reads a page or two. Whoever goes on from
 * page to page soon has 256 KiB in hand and three more such buffers on their way by io_uring, set
 * up then and given back at the present end: a reader holds at most 1 MiB and one ring of four
 * requests. A process that was forked sets up its own. Compressed segments are read frame by frame
 * (256 KiB plain), and the kernel reads ahead of that: decompression takes longer than any disk.
 */

/* What a reader is told when it meets damage: sequences from..to of `epoch` are not to be had. */
struct tb_journal_damage {
    uint64_t epoch;
    tb_seq from, to;
    char what[160]; /* file, page and reason */
};

/*
 * tb_journal_open: a stream's directory, or one segment file. An empty or absent directory is an
 * empty journal (0): segments may come later. Errors: -EPROTO other layout; -EACCES and the like.
 */
int tb_journal_open(const char *path, struct tb_journal **out_journal, struct tb_error *err);
void tb_journal_close(struct tb_journal *j);

/*
 * tb_journal_seek: the next read begins at (epoch, seq); the position need not exist: the read then
 * begins at the first record after it. tb_journal_seek_time: at the first record, in order of
 * sequence, that was published at or after `time`, of the last epoch that began before it. 0, or 1
 * if the journal ends before that (reads give what comes).
 */
int tb_journal_seek(struct tb_journal *j, uint64_t epoch, tb_seq seq);
int tb_journal_seek_time(struct tb_journal *j, tb_ns time);
void tb_journal_seek_oldest(struct tb_journal *j);

/*
 * tb_journal_read: up to `max` consecutive records of one epoch. Returns how many, 0 at the present
 * end (more may come: call again), -EBADMSG at damage: *out_damage is set and the position is
 * behind it; other -errno for I/O. *out_epoch is the epoch of these records.
 */
long tb_journal_read(struct tb_journal *j, struct tb_record *out_records, size_t max,
                     uint64_t *out_epoch, struct tb_journal_damage *out_damage);

/* tb_journal_fallback: why this reader goes without io_uring ("kernel.io_uring_disabled is 2");
 * NULL: it does not, or has not needed it yet. Everything works without it. */
const char *tb_journal_fallback(const struct tb_journal *j);

/* tb_journal_has: is (epoch, seq) on disk now? *out_newest (may be NULL): the newest of that epoch,
 * 0 none. */
bool tb_journal_has(struct tb_journal *j, uint64_t epoch, tb_seq seq, tb_seq *out_newest);

/* tb_journal_instrument: entry `id` of the epoch that is being read; NULL if there is none. */
const struct tb_instrument *tb_journal_instrument(struct tb_journal *j, uint16_t id);
uint16_t tb_journal_instrument_count(struct tb_journal *j);

/*
 * tb_journal_state: the state records at the beginning of the segment that holds the position:
 * `each` is called for every one; *out_seq is the sequence to which they belong (the segment's
 * first).
 */
int tb_journal_state(struct tb_journal *j,
                     void (*each)(void *context, const struct tb_record *record), void *context,
                     uint64_t *out_epoch, tb_seq *out_seq);

struct tb_journal_segment {
    char file[64];
    uint64_t epoch;
    tb_seq first_seq, last_seq; /* last 0: empty */
    tb_ns time_min, time_max;
    uint64_t bytes;       /* on disk */
    uint64_t bytes_plain; /* as pages */
    bool closed, compressed;
    uint64_t damaged_pages; /* only if the segment was read whole */
};

/* tb_journal_list: every segment, oldest first. verify: read every page and check every CRC. */
int tb_journal_list(struct tb_journal *j, bool verify,
                    int (*each)(void *context, const struct tb_journal_segment *segment),
                    void *context, struct tb_error *err);

/* tb_crc32c: Castagnoli, hardware where the CPU has it; start with 0, or go on with an earlier
 * result. */
uint32_t tb_crc32c(uint32_t crc, const void *bytes, size_t count);

/* tb_journal_page_check: is this a page of that kind for that epoch (0: any)? NULL, or what is
 * wrong. */
const char *tb_journal_page_check(const void *page, enum tb_journal_kind kind, uint64_t epoch);
/* tb_journal_page_seal: fill magic, layout and crc of a page whose other fields are set. */
void tb_journal_page_seal(void *page);

/* tb_journal_directory: <journal>/<bus>/<stream>. 0, -EINVAL, -ENAMETOOLONG. */
int tb_journal_directory(const char *journal, const char *bus, const char *stream, char *out_path,
                         size_t path_bytes, struct tb_error *err);

TB_EXTERN_END

#endif
