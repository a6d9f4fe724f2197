/* Publishing and reading: single and in batches, overruns to the last record, places in the ring. */
#include "bus_fixture.h"

#include "bus/publish.h"

static void what_is_published_is_read(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    struct tb_record record;
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_EMPTY);
    publish(&w, 40);
    assert_int_equal(read_all(&r), 40);
    assert_int_equal(r.cursor, 41);
    publish(&w, 1);
    assert_int_equal(read_all(&r), 1);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void batches_equal_singles(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    struct tb_record in[50], out[64];
    for (size_t i = 0; i < 50; i++)
        in[i] = record_of(i + 1);
    assert_int_equal(tb_writer_publish_many(&w, in, 50), 50);

    enum tb_read end;
    assert_int_equal(tb_reader_read(&r, out, 7, &end), 7);
    assert_int_equal(end, TB_READ_OK);
    assert_int_equal(tb_reader_read(&r, out + 7, 57, &end), 43);
    assert_int_equal(end, TB_READ_EMPTY);
    for (size_t i = 0; i < 50; i++)
        check_record(&out[i], i + 1);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void words_from_registers_are_the_same_record(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    struct tb_record out, in = {.ts_event = 11,
                                .ts_recv = -12,
                                .instrument = 0xfedc,
                                .type = TB_TRADE,
                                .flags = TB_F_LAST,
                                .publish_delta_ns = 0xfffefdfc,
                                .trade = {.price = -5,
                                          .size = 6,
                                          .trade_id = UINT64_MAX - 1,
                                          .side = TB_SELL,
                                          .action = TB_TRADED,
                                          .count = 0x8765,
                                          .venue_seq = 0x87654321}};
    const uint64_t word[TB_SLOT_WORDS] = {
        (uint64_t)in.ts_event,
        (uint64_t)in.ts_recv,
        in.instrument | (uint64_t)in.type << 16 | (uint64_t)in.flags << 24 |
            (uint64_t)in.publish_delta_ns << 32,
        (uint64_t)in.trade.price,
        (uint64_t)in.trade.size,
        in.trade.trade_id,
        tb_word_of_parts(in.trade.side, in.trade.action, in.trade.count, in.trade.venue_seq)};
    assert_int_equal(tb_writer_publish_words(&w, word), 1);
    assert_int_equal(tb_reader_next(&r, &out), TB_READ_OK);
    in.seq = 1;
    assert_memory_equal(&out, &in, sizeof(in));
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* However the words are moved, round the end of the array, from any alignment that a record can have. */
static void every_way_to_publish_many_publishes_the_same(void **state)
{
    struct tb_publish_way ways[TB_PUBLISH_WAYS_MAX];
    size_t way_count = tb_publish_ways(ways);
    assert_string_equal(ways[0].name, "words");
    for (size_t way = 0; way < way_count; way++) {
        struct bus *bus = bus_of(state);
        struct tb_writer w =
            bus_writer(bus, &(struct tb_writer_options){.capacity = 32, .new_epoch = true});
        struct tb_reader r = bus_reader(bus, NULL);
        w.write_many = ways[way].write;
        for (size_t n = 0; n < 33; n++) {
            struct tb_record in[33], out[33];
            enum tb_read end;
            uint64_t first = w.next_seq, x = first;
            for (size_t i = 0; i < sizeof(in) / 8; i++) {
                x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
                memcpy((char *)in + i * 8, &x, 8);
            }
            assert_int_equal(tb_writer_publish_many(&w, in, n), n);
            assert_int_equal(tb_reader_read(&r, out, 33, &end), n);
            for (size_t i = 0; i < n; i++) {
                in[i].seq = first + i;
                assert_memory_equal(&out[i], &in[i], sizeof(in[i]));
            }
        }
        tb_reader_close(&r, false);
        tb_writer_close(&w, TB_STREAM_STOPPED);
    }
}

static void fill_by_words(void *context, size_t index, struct tb_slot *slot)
{
    const struct tb_record *in = context;
    uint64_t word[TB_SLOT_WORDS];
    tb_slot_load_words(word, (const char *)&in[index] + sizeof(in->seq));
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        tb_slot_put(slot, i, word[i]);
}

static void fill_by_pairs(void *context, size_t index, struct tb_slot *slot)
{
    const struct tb_record *in = context;
    uint64_t word[TB_SLOT_WORDS];
    tb_slot_load_words(word, (const char *)&in[index] + sizeof(in->seq));
    tb_slot_put(slot, 0, word[0]);
    for (size_t i = 1; i < TB_SLOT_WORDS; i += 2)
        tb_slot_put_pair(slot, i, (tb_word_pair){word[i], word[i + 1]});
}

/* By words and by pairs, round the end of the array, from none to a whole lap. */
static void what_is_made_in_place_is_the_same_record(void **state)
{
    tb_slot_fill_fn *const fills[] = {fill_by_words, fill_by_pairs};
    for (size_t way = 0; way < TB_COUNT(fills); way++) {
        struct bus *bus = bus_of(state);
        struct tb_writer w =
            bus_writer(bus, &(struct tb_writer_options){.capacity = 32, .new_epoch = true});
        struct tb_reader r = bus_reader(bus, NULL);
        for (size_t n = 0; n < 33; n++) {
            struct tb_record in[33], out[33];
            enum tb_read end;
            for (size_t i = 0; i < n; i++)
                in[i] = record_of(w.next_seq + i);
            assert_int_equal(tb_writer_publish_in_place(&w, n, fills[way], in), n);
            assert_int_equal(tb_reader_read(&r, out, 33, &end), n);
            for (size_t i = 0; i < n; i++)
                check_record(&out[i], w.next_seq - n + i);
        }
        tb_reader_close(&r, false);
        tb_writer_close(&w, TB_STREAM_STOPPED);
    }
}

/* Once runs are as long as wanted, the next is found by its last slot: what is lapped, cut or missing too. */
static void runs_found_by_their_last_slot_are_what_is_there(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    const struct tb_slot *run;
    enum tb_read end;
    publish(&w, 8 + 8 + 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tb_reader_run(&r, 8, &run, &end), 8);
        assert_int_equal(end, TB_READ_OK);
        assert_true(tb_reader_confirm(&r, 8));
    }
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 3);
    assert_int_equal(end, TB_READ_EMPTY);
    assert_true(tb_reader_confirm(&r, 3));
    publish(&w, 16);
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 8);
    assert_true(tb_reader_confirm(&r, 8));
    publish(
        &w,
        64); /* 8 behind the cursor are left, then the last slot of the run has a later record */
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 0);
    assert_int_equal(end, TB_READ_OVERRUN);
    assert_true(tb_reader_resync(&r) > 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* TB_WAIT_BATCH: whole runs; less after a wait, or after being asked for again and again. */
static void a_batch_reader_gets_whole_runs_and_the_rest_in_time(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r =
        bus_reader(bus_of(state), &(struct tb_reader_options){.wait = TB_WAIT_BATCH});
    const struct tb_slot *run;
    enum tb_read end;
    publish(&w, 13);
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 8);
    assert_true(tb_reader_confirm(&r, 8));
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 0);
    assert_int_equal(end, TB_READ_EMPTY);
    publish(&w, 3);
    tb_reader_wait(&r, 30 * TB_NS_PER_S);
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 8);
    assert_true(tb_reader_confirm(&r, 8));
    publish(&w, 2);
    tb_reader_wait(&r, 30 * TB_NS_PER_S);
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 2);
    assert_true(tb_reader_confirm(&r, 2));
    publish(&w, 1);
    size_t asked = 0, count = 0;
    while (count == 0 && asked++ < 1000)
        count = tb_reader_run(&r, 8, &run, &end);
    assert_int_equal(count, 1);
    assert_true(tb_reader_confirm(&r, 1));
    publish(&w, 100);
    assert_int_equal(tb_reader_run(&r, 8, &run, &end), 0);
    assert_int_equal(end, TB_READ_OVERRUN);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void runs_in_place_stop_at_the_end_of_the_array_and_confirm(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 16);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    publish(&w, 10);
    assert_int_equal(read_all(&r), 10);
    publish(&w, 12); /* 11 .. 22: slots 11 .. 15, then 0 .. 6 */

    const struct tb_slot *run;
    enum tb_read end;
    assert_int_equal(tb_reader_run(&r, 100, &run, &end), 5);
    assert_int_equal(end, TB_READ_OK);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(atomic_load_explicit(&run[i].word[0], memory_order_relaxed), (11 + i) * 3);
    assert_true(tb_reader_confirm(&r, 5));
    assert_int_equal(tb_reader_run(&r, 100, &run, &end), 7);
    assert_int_equal(end, TB_READ_EMPTY);
    publish(&w, 10); /* 23 .. 32: overwrites 16, the first of the run */
    assert_false(tb_reader_confirm(&r, 7));
    assert_int_equal(r.cursor, 16);
    assert_int_equal(tb_reader_run(&r, 100, &run, &end), 0);
    assert_int_equal(end, TB_READ_OVERRUN);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* A reader that was lapped learns of every record: each is read or counted lost. */
static void overrun_loses_nothing_silently(void **state)
{
    for (size_t ahead = 1; ahead < 60; ahead++) {
        struct bus *bus = bus_of(state);
        struct tb_writer w =
            bus_writer(bus, &(struct tb_writer_options){.capacity = 8, .new_epoch = true});
        struct tb_reader r = bus_reader(bus, NULL);
        publish(&w, ahead);
        struct tb_record record;
        uint64_t read = 0, lost = 0;
        for (enum tb_read got; (got = tb_reader_next(&r, &record)) != TB_READ_EMPTY;) {
            if (got == TB_READ_OK)
                read++;
            else
                lost += tb_reader_resync(&r);
        }
        assert_int_equal(read + lost, ahead);
        assert_int_equal(lost != 0, ahead > 8);
        assert_int_equal(r.lost, lost);
        assert_int_equal(read + lost, r.cursor - r.first_cursor);
        assert_int_equal(r.overruns, ahead > 8);
        tb_reader_close(&r, false);
        tb_writer_close(&w, TB_STREAM_STOPPED);
    }
}

static void resync_goes_three_quarters_back(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 64);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    publish(&w, 1000);
    assert_int_equal(tb_reader_resync(&r), 1000 - 48);
    assert_int_equal(r.cursor, 1000 - 48 + 1);
    assert_int_equal(tb_reader_resync(&r), 0);
    assert_int_equal(read_all(&r), 48);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_half_written_record_is_not_there_yet(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 8);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    publish(&w, 8);
    atomic_store(&w.slots[9 & 7].seq, 9 | TB_SEQ_BUSY);
    struct tb_record record;
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_OVERRUN); /* 1 is being overwritten */
    assert_int_equal(tb_reader_newest(&r), 8);
    assert_int_equal(tb_reader_oldest(&r), 2);
    tb_reader_seek(&r, 9);
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_EMPTY);
    publish(&w, 1);
    assert_int_equal(read_all(&r), 1);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void sequences_cross_32_bits(void **state)
{
    struct bus *bus = bus_of(state);
    ring_at(bus, 8, UINT32_MAX - 3);
    struct tb_writer w = bus_writer(bus, NULL);
    assert_int_equal(w.next_seq, UINT64_C(0xfffffffd));
    struct tb_reader r =
        bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = UINT32_MAX - 5});
    publish(&w, 5);
    assert_int_equal(read_all(&r), 8);
    assert_int_equal(r.cursor, UINT64_C(0x100000002));
    publish(&w, 12);
    uint64_t lost = tb_reader_resync(&r);
    assert_int_equal(lost + read_all(&r), 12);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* newest is exact whatever the hint says and wherever the cursor stands. */
static void newest_and_oldest_are_exact(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 32);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    assert_int_equal(tb_reader_newest(&r), 0);
    assert_int_equal(tb_reader_oldest(&r), 1);
    for (tb_seq last = 1; last < 200; last++) {
        publish(&w, 1);
        if (last % 13 == 0)
            tb_writer_housekeep(&w, 1);
        tb_reader_seek(&r, last * 7 % (last + 40));
        assert_int_equal(tb_reader_newest(&r), last);
        assert_int_equal(tb_reader_oldest(&r), last > 32 ? last - 31 : 1);
    }
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void readers_start_where_they_are_told(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 32);
    publish(&w, 100);
    struct tb_reader r = bus_reader(bus, NULL);
    assert_int_equal(r.cursor, 69);
    assert_int_equal(read_all(&r), 32);
    tb_reader_close(&r, false);
    r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_NEWEST});
    assert_int_equal(r.cursor, 101);
    tb_reader_close(&r, false);
    r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 90});
    assert_int_equal(read_all(&r), 11);
    tb_reader_close(&r, false);
    r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 10});
    struct tb_record record;
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_OVERRUN);
    assert_int_equal(tb_reader_resync(&r), 100 - 24 + 1 - 10);
    tb_reader_close(&r, false);
    r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 132});
    assert_int_equal(read_all(&r), 0);
    tb_reader_close(&r, false);
    int rc = tb_reader_open(
        bus->dir, "s", &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 133}, &r, &bus->err);
    assert_int_equal(rc, -ERANGE);
    assert_non_null(strstr(bus->err.text, "133"));
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* On a large full ring of a living producer, "oldest" leaves a margin: no overrun at the first read. */
static void oldest_of_a_living_stream_is_not_about_to_go(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 1024);
    publish(&w, 5000);
    struct tb_reader r = bus_reader(bus, NULL);
    publish(&w, 10);
    assert_int_equal(read_all(&r), 1024 - 16 + 10);
    assert_int_equal(r.lost, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    r = bus_reader(bus, NULL);
    assert_int_equal(read_all(&r), 1024);
    tb_reader_close(&r, false);
}

static void seeking_counts_nothing_as_lost(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 32);
    struct tb_reader r = bus_reader(bus_of(state), NULL);
    publish(&w, 20);
    assert_int_equal(read_all(&r), 20);
    tb_reader_seek(&r, 5);
    assert_int_equal(read_all(&r), 16);
    assert_int_equal(r.cursor - r.first_cursor, 36);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void the_producer_reads_its_own_ring_back(void **state)
{
    struct tb_writer w = bus_writer_of(bus_of(state), 8);
    publish(&w, 20);
    struct tb_record record;
    assert_false(tb_writer_read_back(&w, 0, &record));
    assert_false(tb_writer_read_back(&w, 12, &record));
    assert_true(tb_writer_read_back(&w, 13, &record));
    check_record(&record, 13);
    assert_false(tb_writer_read_back(&w, 21, &record));
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* Slots that no producer writes: every search ends, and going in circles ends as BROKEN. */
static void nonsense_in_the_slots_ends_everything_in_bounded_time(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, NULL);
    uint64_t x = 88172645463325252U;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < 8; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            atomic_store(&w.slots[i].seq, x >> (x & 63));
        }
        atomic_store(&w.live->last_seq, x * 3);
        tb_reader_seek(&r, x % 100);
        struct tb_record out[16];
        enum tb_read end;
        (void)tb_reader_newest(&r);
        (void)tb_reader_read(&r, out, 16, &end);
        for (int turn = 0; turn < 200 && end == TB_READ_OVERRUN; turn++) {
            (void)tb_reader_resync(&r);
            (void)tb_reader_read(&r, out, 16, &end);
        }
        if (end == TB_READ_BROKEN) {
            tb_reader_close(&r, false);
            r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_SEQ, .seq = 1});
        }
    }
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(what_is_published_is_read),
        BUS_TEST(batches_equal_singles),
        BUS_TEST(words_from_registers_are_the_same_record),
        BUS_TEST(every_way_to_publish_many_publishes_the_same),
        BUS_TEST(what_is_made_in_place_is_the_same_record),
        BUS_TEST(runs_found_by_their_last_slot_are_what_is_there),
        BUS_TEST(a_batch_reader_gets_whole_runs_and_the_rest_in_time),
        BUS_TEST(runs_in_place_stop_at_the_end_of_the_array_and_confirm),
        BUS_TEST(overrun_loses_nothing_silently),
        BUS_TEST(resync_goes_three_quarters_back),
        BUS_TEST(a_half_written_record_is_not_there_yet),
        BUS_TEST(sequences_cross_32_bits),
        BUS_TEST(newest_and_oldest_are_exact),
        BUS_TEST(readers_start_where_they_are_told),
        BUS_TEST(oldest_of_a_living_stream_is_not_about_to_go),
        BUS_TEST(seeking_counts_nothing_as_lost),
        BUS_TEST(the_producer_reads_its_own_ring_back),
        BUS_TEST(nonsense_in_the_slots_ends_everything_in_bounded_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
