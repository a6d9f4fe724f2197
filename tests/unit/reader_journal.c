/* A reader with a ring and a journal: every record once, in order, wherever it comes from. */
#include <pthread.h>

#include <tickbus/clock.h>

#include "unit/journal_pages.h"

static struct pages pages;
static char base[64]; /* with the bus, "b", and the journals, "j" */
static char journal[80];

static int setup(void **state)
{
    int rc = bus_setup(state);
    struct bus *bus = *state;
    memcpy(base, bus->dir, sizeof(base));
    (void)snprintf(journal, sizeof(journal), "%s/j", base);
    strcat(bus->dir, "/b");
    assert_int_equal(mkdir(bus->dir, 0750), 0);
    assert_int_equal(mkdir(journal, 0750), 0);
    pages_init(&pages, journal, bus->dir);
    return rc;
}

static int teardown(void **state)
{
    pages_drop(&pages);
    pages_remove(base);
    free(*state);
    return 0;
}

static struct tb_reader reader_with(struct bus *bus, struct tb_reader_options options)
{
    options.journal = journal;
    return bus_reader(bus, &options);
}

static void publish_to(struct tb_writer *w, tb_seq last)
{
    while (w->next_seq <= last) {
        struct tb_record record = record_of(w->next_seq);
        (void)tb_writer_publish(w, &record);
    }
}

/* Both places, the ring first. */
static void publish_both(struct tb_writer *w, tb_seq last)
{
    publish_to(w, last);
    pages_fill(&pages, last);
    pages_flush(&pages);
}

/* What is there now is from..to, by single reads and by batches in turn. */
static void expect(struct tb_reader *r, tb_seq from, tb_seq to)
{
    static struct tb_record batch[512];
    enum tb_read end;
    for (unsigned turn = 0; from <= to; turn++) {
        if (turn % 2 == 0) {
            end = tb_reader_next(r, &batch[0]);
            if (end != TB_READ_OK)
                fail_msg("next: %d at %lu", (int)end, (unsigned long)from);
            check_record(&batch[0], from++);
            continue;
        }
        size_t max = to - from + 1 < 300 ? (size_t)(to - from + 1) : 300;
        size_t n = tb_reader_read(r, batch, max, &end);
        if (n == 0)
            fail_msg("read: %d at %lu", (int)end, (unsigned long)from);
        for (size_t i = 0; i < n; i++)
            check_record(&batch[i], from++);
    }
}

static void expect_empty(struct tb_reader *r)
{
    struct tb_record record;
    assert_int_equal(tb_reader_next(r, &record), TB_READ_EMPTY);
}

static void a_lapped_reader_misses_nothing(void **state)
{
    struct bus *bus = *state;
    struct tb_writer w = bus_writer_of(bus, 4096);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 100);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    expect(&r, 1, 50);
    assert_false(tb_reader_catching_up(&r));
    for (tb_seq laps = 1; laps <= 100; laps++)
        publish_both(&w, 100 + laps * 4096);
    expect(&r, 51, 1000);
    assert_true(tb_reader_catching_up(&r));
    assert_int_equal(tb_reader_newest(&r), 100 + 100 * 4096);
    expect(&r, 1001, 100 + 100 * 4096);
    expect_empty(&r);
    assert_false(tb_reader_catching_up(&r));
    assert_int_equal(r.lost, 0);
    publish_to(&w, 100 + 101 * 4096);
    expect(&r, 101 + 100 * 4096, 100 + 101 * 4096);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void runs_in_place_come_from_the_journal_too(void **state)
{
    struct bus *bus = *state;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 20000);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    while (r.cursor <= 20000) {
        const struct tb_slot *run;
        enum tb_read end;
        tb_seq cursor = r.cursor;
        size_t n = tb_reader_run(&r, 100, &run, &end);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(atomic_load_explicit(&run[i].seq, memory_order_relaxed), cursor + i);
        assert_true(tb_reader_confirm(&r, n));
    }
    tb_reader_seek(&r, 7);
    expect(&r, 7, 9000);
    tb_reader_seek(&r, 8990);
    expect(&r, 8990, 20000);
    expect_empty(&r);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* The ring has gone on, the journal is not there yet: nothing is lost, it is waited for. */
static void the_journal_is_waited_for(void **state)
{
    struct bus *bus = *state;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 1000);
    struct tb_reader r =
        reader_with(bus, (struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 990});
    expect(&r, 990, 1000);
    publish_to(&w, 2000);
    expect_empty(&r);
    tb_ns before = tb_clock_mono();
    tb_reader_wait(&r, 20 * TB_NS_PER_MS);
    assert_true(tb_clock_mono() - before >= 20 * TB_NS_PER_MS);
    expect_empty(&r);
    pages_fill(&pages, 1100);
    pages_flush(&pages);
    tb_reader_wait(&r, TB_NS_PER_S);
    expect(&r, 1001, 1100);
    expect_empty(&r);
    pages_fill(&pages, 1990);
    pages_flush(&pages);
    expect(&r, 1101, 2000);
    assert_int_equal(r.lost, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void what_neither_has_is_counted_exactly(void **state)
{
    struct bus *bus = *state;
    struct tb_record record;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 500);
    pages_end(&pages);
    pages_begin(&pages, w.epoch, 701); /* the journal was lapped itself */
    pages.next_seq = 701;
    publish_both(&w, 2000);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    expect(&r, 1, 500);
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_OVERRUN);
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_OVERRUN);
    assert_int_equal(tb_reader_resync(&r), 200);
    expect(&r, 701, 2000);
    assert_int_equal(r.lost, 200);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void damage_is_told_and_the_rest_delivered(void **state)
{
    struct bus *bus = *state;
    struct tb_record record;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 5000);
    pages_damage(pages.file, pages.data_page + 10);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    expect(&r, 1, 630);
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_OVERRUN);
    assert_int_equal(tb_reader_resync(&r), 63);
    assert_non_null(strstr(tb_reader_loss(&r), "checksum"));
    expect(&r, 694, 5000);
    assert_int_equal(r.lost, 63);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static struct tb_instrument instrument(const char *symbol)
{
    struct tb_instrument entry = {.venue = "v", .stream = "s", .market = 1};
    (void)snprintf(entry.symbol, sizeof(entry.symbol), "%s", symbol);
    (void)snprintf(entry.raw, sizeof(entry.raw), "%s", symbol);
    return entry;
}

/* A cursor that was stored in an older epoch: the rest of it, then the next one, then the ring. */
static void an_old_epoch_is_read_to_its_end(void **state)
{
    struct bus *bus = *state;
    struct tb_instrument old = instrument("OLD/A"), now = instrument("NEW/A");
    struct tb_record record;
    pages_begin(&pages, 77, 1);
    pages_instruments(&pages, &old, 1, 1);
    pages_fill(&pages, 9000);
    pages_flush(&pages);
    pages_drop(&pages);
    struct tb_writer w = bus_writer_of(bus, 64);
    assert_int_equal(tb_writer_add_instrument(&w, &now), 1);
    pages_begin(&pages, w.epoch, 1);
    pages_instruments(&pages, &now, 1, 1);
    publish_both(&w, 3000);
    struct tb_reader r =
        reader_with(bus, (struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 100, .epoch = 77});
    assert_int_equal(r.epoch, 77);
    assert_false(tb_reader_retired(&r));
    assert_int_equal(tb_reader_oldest(&r), 1);
    assert_int_equal(tb_reader_newest(&r), 9000);
    expect(&r, 100, 9000);
    assert_string_equal(tb_reader_instrument(&r, 1)->symbol, "OLD/A");
    tb_reader_wait(&r, TB_NS_PER_MS); /* finds the epoch's end, and does not enter it */
    assert_int_equal(r.epoch, 77);
    assert_string_equal(tb_reader_instrument(&r, 1)->symbol, "OLD/A");
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_EPOCH);
    assert_int_equal(r.epoch, w.epoch);
    assert_string_equal(tb_reader_instrument(&r, 1)->symbol, "NEW/A");
    expect(&r, 1, 3000);
    expect_empty(&r);
    publish_both(&w, 3100);
    expect(&r, 3001, 3100);
    assert_int_equal(r.lost, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void fill_marked(uint64_t epoch, tb_seq last)
{
    pages_begin(&pages, epoch, 1);
    while (pages.next_seq <= last) {
        struct tb_record record = record_of(pages.next_seq);
        record.ts_event = (tb_ns)epoch;
        pages_append(&pages, &record);
    }
    pages_flush(&pages);
    pages_drop(&pages);
}

/* What was read of the older epoch has the same sequences, and lies where the next one's records come to. */
static void read_marked(struct bus *bus, size_t max, bool in_place)
{
    static struct tb_record batch[4096];
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    for (uint64_t total = 0; total < 8000;) {
        const struct tb_slot *run;
        enum tb_read end;
        tb_seq cursor = r.cursor;
        size_t n =
            in_place ? tb_reader_run(&r, max, &run, &end) : tb_reader_read(&r, batch, max, &end);
        for (size_t i = 0; i < n && in_place; i++)
            tb_slot_copy(&run[i], cursor + i, &batch[i]);
        if (n > 0 && in_place)
            assert_true(tb_reader_confirm(&r, n));
        for (size_t i = 0; i < n; i++)
            if (batch[i].ts_event != (tb_ns)r.epoch ||
                batch[i].ts_recv != (tb_ns)(5 * (cursor + i)))
                fail_msg("epoch %lu, %lu: a record of epoch %ld, sequence %ld",
                         (unsigned long)r.epoch, (unsigned long)(cursor + i),
                         (long)batch[i].ts_event, (long)batch[i].ts_recv / 5);
        if (n == 0)
            assert_true(end == TB_READ_EPOCH);
        total += n;
    }
    tb_reader_close(&r, false);
}

static void epochs_are_not_mixed(void **state)
{
    fill_marked(77, 3000);
    fill_marked(78, 5000);
    for (size_t max = 1; max <= 4096; max = max * 3 / 2 + 1) {
        read_marked(*state, max, false);
        read_marked(*state, max, true);
    }
}

static void a_ring_made_anew_is_followed(void **state)
{
    struct bus *bus = *state;
    struct tb_record record;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 50);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    expect(&r, 1, 40);
    publish_to(&w, 55);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    w = bus_writer_of(bus, 128);
    publish_to(&w, 1000);
    expect(&r, 41, 55); /* the old ring is mapped, and complete */
    uint64_t epoch = r.epoch;
    enum tb_read end = TB_READ_EMPTY;
    for (tb_ns until = tb_clock_mono() + 5 * TB_NS_PER_S;
         end == TB_READ_EMPTY && tb_clock_mono() < until; end = tb_reader_next(&r, &record))
        tb_reader_wait(&r, TB_NS_PER_MS);
    assert_int_equal(end, TB_READ_EPOCH);
    assert_int_not_equal(r.epoch, epoch);
    expect_empty(&r); /* the journal has nothing of it yet, the ring no longer */
    pages_drop(&pages);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 1000);
    expect(&r, 1, 1000);
    expect_empty(&r);
    assert_int_equal(r.lost, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void without_a_ring_the_journal_is_enough(void **state)
{
    struct bus *bus = *state;
    struct tb_reader r;
    struct tb_record record;
    const struct tb_reader_options options = {.journal = journal};
    assert_int_equal(tb_reader_open(bus->dir, "s", &options, &r, &bus->err), -ENOENT);
    pages_begin(&pages, 77, 1);
    pages_fill(&pages, 5000);
    pages_flush(&pages);
    r = reader_with(bus, options);
    expect(&r, 1, 5000);
    expect_empty(&r);
    assert_false(tb_reader_done(&r));
    struct tb_producer producer;
    tb_reader_producer(&r, &producer);
    assert_false(producer.alive);
    struct tb_writer w = bus_writer_of(bus, 64);
    publish_to(&w, 10);
    enum tb_read end = TB_READ_EMPTY;
    for (tb_ns until = tb_clock_mono() + 8 * TB_NS_PER_S;
         end == TB_READ_EMPTY && tb_clock_mono() < until; end = tb_reader_next(&r, &record))
        tb_reader_wait(&r, 10 * TB_NS_PER_MS);
    assert_int_equal(end, TB_READ_EPOCH);
    expect(&r, 1, 10);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* Nobody writes the journal: after a while that is a loss like any other, exactly counted. */
static void a_journal_that_nobody_writes_is_not_waited_for_for_ever(void **state)
{
    struct bus *bus = *state;
    struct tb_record record;
    struct tb_writer w = bus_writer_of(bus, 64);
    publish_to(&w, 10);
    struct tb_reader r = reader_with(bus, (struct tb_reader_options){.from = TB_FROM_OLDEST});
    expect(&r, 1, 10);
    publish_to(&w, 1000);
    enum tb_read end = TB_READ_EMPTY;
    for (tb_ns until = tb_clock_mono() + 8 * TB_NS_PER_S;
         end == TB_READ_EMPTY && tb_clock_mono() < until; end = tb_reader_next(&r, &record))
        tb_reader_wait(&r, 10 * TB_NS_PER_MS);
    assert_int_equal(end, TB_READ_OVERRUN);
    assert_int_equal(tb_reader_resync(&r), 1000 - 48 - 10);
    expect(&r, 1000 - 48 + 1, 1000);
    expect_empty(&r);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* record_of: ts_recv is 5 * seq. */
static void a_time_is_found_in_either(void **state)
{
    struct bus *bus = *state;
    struct tb_writer w = bus_writer_of(bus, 64);
    pages_begin(&pages, w.epoch, 1);
    publish_both(&w, 1000);
    for (tb_seq seq = 1; seq <= 1000; seq += 9) {
        struct tb_reader r = reader_with(
            bus, (struct tb_reader_options){.from = TB_FROM_TIME, .time = (tb_ns)seq * 5 - 2});
        assert_int_equal(r.cursor, seq);
        expect(&r, seq, 1000);
        tb_reader_close(&r, false);
    }
    struct tb_reader r =
        reader_with(bus, (struct tb_reader_options){.from = TB_FROM_TIME, .time = 9999});
    expect_empty(&r);
    publish_both(&w, 1001);
    expect(&r, 1001, 1001);
    tb_reader_close(&r, false);
    r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_TIME, .time = 990 * 5});
    expect(&r, 990, 1001);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* ---- while it is written ---- */

#define CAPACITY 4096
#define JOINS 1000
#define READ_BY_EACH 3000

static _Atomic(bool) stop;
static _Atomic(uint64_t) published;

/* Flat out, with the journal a little behind: never more than half a ring. */
static void *produce(void *context)
{
    struct tb_writer *w = context;
    while (!atomic_load(&stop)) {
        publish_to(w, w->next_seq + 200);
        pages_fill(&pages, w->next_seq - 1 - (w->next_seq / 200) % (CAPACITY / 2));
        if ((w->next_seq / 200) % 3 == 0)
            pages_flush(&pages);
        atomic_store(&published, pages.next_seq - 1);
    }
    pages_fill(&pages, w->next_seq - 1);
    pages_flush(&pages);
    return NULL;
}

static void joins_at_random_while_the_producer_runs(void **state)
{
    struct bus *bus = *state;
    pthread_t thread;
    struct tb_writer w = bus_writer_of(bus, CAPACITY);
    static struct tb_record batch[512];
    uint64_t random = 88172645463325252;
    uint64_t from_journal = 0, from_ring = 0;
    pages.preallocated = 1 << 20;
    pages_begin(&pages, w.epoch, 1);
    atomic_store(&stop, false);
    publish_both(&w, CAPACITY);
    atomic_store(&published, CAPACITY);
    assert_int_equal(pthread_create(&thread, NULL, produce, &w), 0);
    for (int join = 0; join < JOINS; join++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t newest = atomic_load(&published);
        /* Half of them near the place where the ring begins. */
        tb_seq seq =
            join % 2 == 0
                ? 1 + random % newest
                : newest - (random % (2 * CAPACITY) < newest ? random % (2 * CAPACITY) : 0);
        struct tb_reader r = reader_with(
            bus, (struct tb_reader_options){.from = TB_FROM_SEQ, .seq = seq == 0 ? 1 : seq});
        tb_seq next = r.cursor, last = next + READ_BY_EACH;
        while (next < last) {
            enum tb_read end;
            size_t n = tb_reader_read(&r, batch, 512, &end);
            for (size_t i = 0; i < n; i++)
                check_record(&batch[i], next++);
            if (n == 0 && end == TB_READ_EMPTY)
                tb_reader_wait(&r, 10 * TB_NS_PER_MS);
            else if (n == 0)
                fail_msg("join %d at %lu: %d %s", join, (unsigned long)next, (int)end,
                         tb_reader_loss(&r));
        }
        assert_int_equal(r.lost, 0);
        from_journal += tb_reader_from_journal(&r) > 0;
        from_ring += !tb_reader_catching_up(&r);
        tb_reader_close(&r, false);
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%d joins at random, of them %lu through the journal, %lu ended on the ring; %lu "
                  "published\n",
                  JOINS, (unsigned long)from_journal, (unsigned long)from_ring,
                  (unsigned long)w.next_seq - 1);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lapped_reader_misses_nothing),
        TEST(runs_in_place_come_from_the_journal_too),
        TEST(the_journal_is_waited_for),
        TEST(what_neither_has_is_counted_exactly),
        TEST(damage_is_told_and_the_rest_delivered),
        TEST(an_old_epoch_is_read_to_its_end),
        TEST(epochs_are_not_mixed),
        TEST(a_ring_made_anew_is_followed),
        TEST(without_a_ring_the_journal_is_enough),
        TEST(a_journal_that_nobody_writes_is_not_waited_for_for_ever),
        TEST(a_time_is_found_in_either),
        TEST(joins_at_random_while_the_producer_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
