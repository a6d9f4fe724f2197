/*
 * Torn reads, counted: for each way to publish, a producer goes round a small ring as fast as it can
 * while a reader puts itself again and again where the producer is about to overwrite, and reads by turns
 * in every way there is until it is lapped or has got away; until it got as many whole records as were asked
 * for. Each record proves itself; one that is torn, stale or misplaced ends it.
 *
 *   torn [READS [WAY]]    reads of each way to publish, or of those whose name begins so; default 3,000,000
 *
 * "discarded, of which torn" shows that the reader was where records are torn: without the second look those
 * would have been believed.
 *
 * Exit: 0 all whole; 1 a record was not, or the cursor moved by another number than was read; 64 bad
 * command line.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>

#include "bus/publish.h"

#define CAPACITY 256
#define AHEAD 4         /* of the slot that is overwritten next: where a dive begins */
#define BATCH 24        /* of publish_many, and of a batched read: not a divisor of the capacity */
#define DIVE 48         /* records, if it is not lapped before */
#define TURN 1000       /* dives between two looks at the time */
#define STANDSTILL_S 60 /* a reader that gets nothing for so long */

enum { BY_PUBLISH, BY_WORDS, BY_MANY, BY_PLACE, BY_PLACE_PAIRS };

struct shared {
    atomic_bool stop, ready;
    uint64_t read, lapped, wrong, unaccounted;
    uint64_t discarded, discarded_wrong; /* of runs that were not confirmed */
};

/* Word i of record seq. Cheap, so that the producer is quick; two words that fit have one seq. */
static inline uint64_t word_of(tb_seq seq, unsigned i)
{
    return seq * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline void words_of(uint64_t word[TB_SLOT_WORDS], tb_seq seq)
{
    for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
        word[i] = word_of(seq, i + 1);
}

static bool is_whole(const struct tb_record *record, tb_seq seq)
{
    uint64_t word[TB_SLOT_WORDS], wrong = record->seq ^ seq;
    tb_slot_load_words(word, (const char *)record + sizeof(record->seq));
    for (unsigned i = 0; i < TB_SLOT_WORDS; i++)
        wrong |= word[i] ^ word_of(seq, i + 1);
    return wrong == 0;
}

/* ---- the ways to read ---- */

/* Each returns false when it was lapped, or got nothing. */

static bool read_next(struct tb_reader *r, struct shared *s)
{
    struct tb_record record;
    tb_seq seq = r->cursor;
    enum tb_read got = tb_reader_next(r, &record);
    s->lapped += got == TB_READ_OVERRUN;
    if (got != TB_READ_OK)
        return false;
    s->read++;
    s->wrong += !is_whole(&record, seq);
    return true;
}

static bool read_batch(struct tb_reader *r, struct shared *s)
{
    struct tb_record records[BATCH];
    enum tb_read end;
    tb_seq first = r->cursor;
    size_t count = tb_reader_read(r, records, BATCH, &end);
    for (size_t i = 0; i < count; i++)
        s->wrong += !is_whole(&records[i], first + i);
    s->read += count;
    s->lapped += end == TB_READ_OVERRUN;
    return end == TB_READ_OK;
}

/* In place: by words, or copied out by the widest loads; believed only when confirmed. */
static bool read_run(struct tb_reader *r, struct shared *s, bool copy)
{
    const struct tb_slot *run;
    enum tb_read end;
    tb_seq first = r->cursor;
    uint64_t wrong = 0;
    size_t count = tb_reader_run(r, BATCH, &run, &end);
    for (size_t i = 0; i < count; i++) {
        struct tb_record record;
        if (copy) {
            tb_slot_copy(&run[i], first + i, &record);
            wrong += !is_whole(&record, first + i);
            continue;
        }
        uint64_t differ = 0;
        for (unsigned k = 0; k < TB_SLOT_WORDS; k++)
            differ |= atomic_load_explicit(&run[i].word[k], memory_order_relaxed) ^
                      word_of(first + i, k + 1);
        wrong += differ != 0;
    }
    if (!tb_reader_confirm(r, count)) {
        s->discarded += count;
        s->discarded_wrong += wrong;
        s->lapped++;
        return false;
    }
    s->read += count;
    s->wrong += wrong;
    s->lapped += end == TB_READ_OVERRUN;
    return count > 0;
}

static void dive(struct tb_reader *r, struct shared *s, uint64_t turn)
{
    tb_seq newest = tb_reader_newest(r);
    if (newest < CAPACITY)
        return;
    tb_reader_seek(r, newest - CAPACITY + 1 + turn % AHEAD);
    tb_seq until = r->cursor + DIVE;
    bool on = true;
    while (on && r->cursor < until)
        on = turn % 4 == 0   ? read_next(r, s)
             : turn % 4 == 1 ? read_batch(r, s)
                             : read_run(r, s, turn % 4 == 2);
}

static void read_all(const char *dir, uint64_t reads, struct shared *s)
{
    struct tb_reader r;
    struct tb_error err;
    const struct tb_reader_options options = {.wait = TB_WAIT_BATCH};
    if (tb_reader_open(dir, "s", &options, &r, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    atomic_store(&s->ready, true);
    (void)alarm(STANDSTILL_S);
    uint64_t turn = 0;
    while (s->read < reads && s->wrong == 0) {
        uint64_t before = s->read;
        for (int i = 0; i < TURN; i++)
            dive(&r, s, ++turn);
        if (s->read != before)
            (void)alarm(STANDSTILL_S);
    }
    s->unaccounted = r.cursor - r.first_cursor - s->read;
    atomic_store(&s->stop, true);
    _exit(0);
}

/* ---- the ways to publish ---- */

static void fill_words(void *context, size_t index, struct tb_slot *slot)
{
    uint64_t word[TB_SLOT_WORDS];
    words_of(word, *(const tb_seq *)context + index);
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        tb_slot_put(slot, i, word[i]);
}

static void fill_pairs(void *context, size_t index, struct tb_slot *slot)
{
    uint64_t word[TB_SLOT_WORDS];
    words_of(word, *(const tb_seq *)context + index);
    tb_slot_put(slot, 0, word[0]);
    for (size_t i = 1; i < TB_SLOT_WORDS; i += 2)
        tb_slot_put_pair(slot, i, (tb_word_pair){word[i], word[i + 1]});
}

static void publish_some(struct tb_writer *w, int by)
{
    tb_seq first = w->next_seq;
    if (by == BY_PLACE)
        (void)tb_writer_publish_in_place(w, BATCH, fill_words, &first);
    if (by == BY_PLACE_PAIRS)
        (void)tb_writer_publish_in_place(w, BATCH, fill_pairs, &first);
    if (by == BY_PLACE || by == BY_PLACE_PAIRS)
        return;
    struct tb_record records[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t word[TB_SLOT_WORDS];
        words_of(word, w->next_seq + (by == BY_MANY ? i : 0));
        if (by == BY_WORDS) {
            (void)tb_writer_publish_words(w, word);
            continue;
        }
        tb_slot_store_words((char *)&records[i] + sizeof(records[i].seq), word);
        if (by == BY_PUBLISH)
            (void)tb_writer_publish(w, &records[i]);
    }
    if (by == BY_MANY)
        (void)tb_writer_publish_many(w, records, BATCH);
}

static const char *only = "";
static unsigned tried;

static bool try_way(const char *dir, const char *name, int by, tb_publish_fn *write_many,
                    uint64_t reads)
{
    if (strncmp(name, only, strlen(only)) != 0)
        return true;
    tried++;
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct tb_writer w;
    struct tb_error err;
    const struct tb_writer_options options = {.capacity = CAPACITY, .new_epoch = true};
    if (s == MAP_FAILED || tb_writer_open(dir, "s", &options, &w, &err) != 0) {
        fprintf(stderr, "cannot begin: %s\n", s == MAP_FAILED ? "no memory" : err.text);
        return false;
    }
    if (write_many != NULL)
        w.write_many = write_many;
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        read_all(dir, reads, s);
    }
    int status = 0;
    bool ended = child < 0;
    tb_ns began = tb_clock_mono();
    while (!ended && !atomic_load_explicit(&s->stop, memory_order_acquire)) {
        for (int i = 0; i < 1000; i++)
            publish_some(&w, by);
        ended = waitpid(child, &status, WNOHANG) == child;
    }
    double took = (double)(tb_clock_mono() - began) / 1e9;
    if (!ended)
        (void)waitpid(child, &status, 0);
    printf("%-24s published %" PRIu64 ", read %" PRIu64 ", torn %" PRIu64 ", unaccounted %" PRIu64
           "; lapped %" PRIu64 " times, discarded %" PRIu64 " of which torn %" PRIu64 "; %.1f s\n",
           name, w.next_seq - 1, s->read, s->wrong, s->unaccounted, s->lapped, s->discarded,
           s->discarded_wrong, took);
    (void)fflush(stdout);
    bool good =
        child > 0 && status == 0 && s->read >= reads && s->wrong == 0 && s->unaccounted == 0;
    tb_writer_close(&w, TB_STREAM_STOPPED);
    (void)munmap(s, sizeof(*s));
    return good;
}

int main(int argc, char **argv)
{
    char dir[] = "/dev/shm/tickbus-torn-XXXXXX";
    uint64_t reads = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000000;
    struct tb_publish_way ways[TB_PUBLISH_WAYS_MAX];
    size_t count = tb_publish_ways(ways);
    if (reads == 0 || mkdtemp(dir) == NULL) {
        fprintf(stderr, "torn [READS [WAY]]\n");
        return 64;
    }
    if (argc > 2)
        only = argv[2];
    bool good = try_way(dir, "publish", BY_PUBLISH, NULL, reads);
    good = try_way(dir, "publish_words", BY_WORDS, NULL, reads) && good;
    good = try_way(dir, "in place, words", BY_PLACE, NULL, reads) && good;
    good = try_way(dir, "in place, pairs", BY_PLACE_PAIRS, NULL, reads) && good;
    for (size_t i = 0; i < count; i++) {
        char name[48];
        (void)snprintf(name, sizeof(name), "publish_many, %s", ways[i].name);
        good = try_way(dir, name, BY_MANY, ways[i].write, reads) && good;
    }
    if (tried == 0)
        fprintf(stderr, "no way to publish begins with \"%s\"\n", only);
    good = tb_writer_unlink(dir, "s", NULL) == 0 && rmdir(dir) == 0 && good;
    return tried == 0 ? 64 : good ? 0 : 1;
}
