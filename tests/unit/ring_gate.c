/* Gated pace: the producer waits for the readers it was told of, and for nobody else. */
#include "bus_fixture.h"

#include <pthread.h>

static const struct tb_writer_options gated = {
    .capacity = 16, .pace = TB_PACE_GATED, .gates = {"a", "b"}, .gate_count = 2};

static void the_first_lap_is_free_and_then_all_gates_must_be_there(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer(bus, &gated);
    assert_int_equal(tb_writer_room(&w), 16);
    publish(&w, 16);
    assert_int_equal(tb_writer_room(&w), 0);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    assert_int_equal(read_all(&a), 16);
    tb_reader_release(&a, 17, 1);
    assert_int_equal(tb_writer_room(&w), 0); /* b is not there */
    struct tb_reader b = bus_reader(bus, &(struct tb_reader_options){.name = "b"});
    assert_int_equal(tb_writer_room(&w), 0);
    tb_reader_release(&b, 5, 1);
    assert_int_equal(tb_writer_room(&w), 4);
    publish(&w, 4);
    tb_reader_release(&b, 17, 1);
    assert_int_equal(tb_writer_room(&w), 12);
    tb_reader_close(&b, false); /* gone: what it may want when it comes back is not known */
    assert_int_equal(tb_writer_room(&w), 12);
    publish(&w, 12);
    tb_reader_release(&a, 33, 1);
    assert_int_equal(tb_writer_room(&w), 0);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_cursor_of_another_epoch_holds_the_gate(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer(bus, &gated);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    struct tb_reader b = bus_reader(bus, &(struct tb_reader_options){.name = "b"});
    publish(&w, 16);
    tb_reader_release(&a, 17, 1);
    tb_reader_release(&b, 17, 1);
    assert_int_equal(tb_writer_room(&w), 16);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    struct tb_writer_options anew = gated;
    anew.new_epoch = true;
    w = bus_writer(bus, &anew);
    publish(&w, 16);
    assert_int_equal(tb_writer_room(&w), 0);
    tb_reader_close(&a, true);
    tb_reader_close(&b, true);
    assert_int_equal(tb_writer_room(&w), 0);
    a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    b = bus_reader(bus, &(struct tb_reader_options){.name = "b"});
    assert_int_equal(read_all(&a), 16);
    assert_int_equal(read_all(&b), 16);
    tb_reader_release(&a, 17, 1);
    tb_reader_release(&b, 9, 1);
    assert_int_equal(tb_writer_room(&w), 8);
    tb_reader_close(&a, false);
    tb_reader_close(&b, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_kept_cursor_goes_on_holding(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer_options one = gated;
    one.gate_count = 1;
    struct tb_writer w = bus_writer(bus, &one);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    publish(&w, 10);
    assert_int_equal(read_all(&a), 10);
    tb_reader_release(&a, 8, 1);
    tb_reader_close(&a, true);
    publish(&w, 13);
    assert_int_equal(tb_writer_room(&w), 0);
    a = bus_reader(bus, &(struct tb_reader_options){.name = "a", .from = TB_FROM_SEQ, .seq = 8});
    assert_int_equal(read_all(&a), 16);
    tb_reader_release(&a, a.cursor, 1);
    assert_int_equal(tb_writer_room(&w), 16);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void hostile_cursor_pages_can_only_hold_the_gate(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer_options one = gated;
    one.gate_count = 1;
    struct tb_writer w = bus_writer(bus, &one);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    struct tb_cursor_page *page = bus_map(bus, "s.a.cursor", NULL);
    publish(&w, 16);
    atomic_store(&page->needed, UINT64_MAX);
    assert_int_equal(tb_writer_room(&w), 16);
    atomic_store(&page->needed, 0);
    assert_int_equal(tb_writer_room(&w), 0);
    atomic_store(&page->needed, 12);
    assert_int_equal(tb_writer_room(&w), 11);
    publish(&w, 11);
    char path[160];
    assert_int_equal(truncate(bus_path(bus, "s.a.cursor", path), 0), 0);
    assert_int_equal(tb_writer_room(&w), 0);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(tb_writer_room(&w), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tb_writer_room(&w), 0);
    tb_reader_close(&a, false);
    a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    tb_reader_release(&a, 28, 1);
    assert_int_equal(tb_writer_room(&w), 16);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* The margin of TB_FROM_OLDEST would release, unread, what a checkpoint still needs. */
static void a_reader_leaves_nothing_out_once_the_pace_is_gated(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 256);
    publish(&w, 300);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    struct tb_writer_options one = gated;
    one.capacity = 0;
    one.gate_count = 1;
    w = bus_writer(bus, &one);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    assert_int_equal(a.cursor, 45);
    assert_int_equal(tb_writer_room(&w), 0);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static int stop_after_five(void *context)
{
    return ++*(int *)context == 5 ? -EINTR : 0;
}

static void a_wait_can_be_ended(void **state)
{
    struct bus *bus = bus_of(state);
    int calls = 0;
    struct tb_writer_options options = gated;
    options.on_wait = stop_after_five;
    options.context = &calls;
    struct tb_writer w = bus_writer(bus, &options);
    publish(&w, 16);
    struct tb_record records[4] = {{.seq = 1}};
    assert_int_equal(tb_writer_publish(&w, &records[0]), 0);
    assert_int_equal(calls, 5);
    calls = 0;
    assert_int_equal(tb_writer_publish_many(&w, records, 4), 0);
    assert_int_equal(w.next_seq, 17);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* publish_many goes as far as there is room, and says so when the wait for more is ended. */
static void many_records_stop_where_a_wait_is_ended(void **state)
{
    struct bus *bus = bus_of(state);
    int calls = 0;
    struct tb_writer_options options = gated;
    options.on_wait = stop_after_five;
    options.context = &calls;
    struct tb_writer w = bus_writer(bus, &options);
    struct tb_record records[30];
    for (size_t i = 0; i < TB_COUNT(records); i++)
        records[i] = record_of(i + 1);
    assert_int_equal(tb_writer_publish_many(&w, records, 9), 9);
    assert_int_equal(tb_writer_publish_many(&w, records + 9, 21), 7);
    assert_int_equal(calls, 5);
    assert_int_equal(w.next_seq, 17);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    assert_int_equal(read_all(&a), 16);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void fill_numbered(void *context, size_t index, struct tb_slot *slot)
{
    struct tb_record record = record_of(*(const tb_seq *)context + index);
    uint64_t word[TB_SLOT_WORDS];
    tb_record_words(word, &record);
    for (size_t i = 0; i < TB_SLOT_WORDS; i++)
        tb_slot_put(slot, i, word[i]);
}

/* In place it is the same, and the index goes on where it waited. */
static void records_made_in_place_stop_where_a_wait_is_ended(void **state)
{
    struct bus *bus = bus_of(state);
    int calls = 0;
    struct tb_writer_options options = gated;
    options.on_wait = stop_after_five;
    options.context = &calls;
    struct tb_writer w = bus_writer(bus, &options);
    tb_seq first = 1;
    assert_int_equal(tb_writer_publish_in_place(&w, 9, fill_numbered, &first), 9);
    first = w.next_seq;
    assert_int_equal(tb_writer_publish_in_place(&w, 21, fill_numbered, &first), 7);
    assert_int_equal(calls, 5);
    assert_int_equal(w.next_seq, 17);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    assert_int_equal(read_all(&a), 16);
    tb_reader_close(&a, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

#define THROUGH_THE_GATE 200000

static void *read_through(void *context)
{
    struct tb_reader *r = context;
    struct tb_record records[8];
    enum tb_read end;
    while (r->cursor <= THROUGH_THE_GATE) {
        size_t count = tb_reader_read(r, records, 8, &end);
        for (size_t i = 0; i < count; i++)
            if (records[i].body[1] != records[i].seq * UINT64_C(0x9e3779b97f4a7c15) + 1)
                return (void *)1;
        if (end == TB_READ_OVERRUN || end == TB_READ_BROKEN)
            return (void *)2;
        tb_reader_release(r, r->cursor, 1);
        if (count == 0)
            tb_reader_wait(r, TB_NS_PER_S);
    }
    return NULL;
}

/* Sixteen slots, two parked readers, flat out: nothing is lost and nobody waits for ever. */
static void nothing_is_lost_through_a_gate(void **state)
{
    /* The records after the middle are published by a copy of the writer, as a tight loop does it. */
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer(bus, &gated);
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    struct tb_reader b = bus_reader(bus, &(struct tb_reader_options){.name = "b"});
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, read_through, &a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, read_through, &b), 0);
    publish(&w, THROUGH_THE_GATE / 2);
    struct tb_writer local = w;
    for (int i = THROUGH_THE_GATE / 2; i < THROUGH_THE_GATE; i++) {
        struct tb_record record = record_of(local.next_seq);
        assert_true(tb_writer_publish(&local, &record) != 0);
    }
    w = local;
    tb_writer_wake(&w);
    for (int i = 0; i < 2; i++) {
        void *fault;
        assert_int_equal(pthread_join(threads[i], &fault), 0);
        assert_null(fault);
    }
    assert_int_equal(a.lost + b.lost, 0);
    tb_reader_close(&a, false);
    tb_reader_close(&b, false);
    tb_writer_close(&w, TB_STREAM_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(the_first_lap_is_free_and_then_all_gates_must_be_there),
        BUS_TEST(a_cursor_of_another_epoch_holds_the_gate),
        BUS_TEST(a_kept_cursor_goes_on_holding),
        BUS_TEST(hostile_cursor_pages_can_only_hold_the_gate),
        BUS_TEST(a_reader_leaves_nothing_out_once_the_pace_is_gated),
        BUS_TEST(a_wait_can_be_ended),
        BUS_TEST(many_records_stop_where_a_wait_is_ended),
        BUS_TEST(records_made_in_place_stop_where_a_wait_is_ended),
        BUS_TEST(nothing_is_lost_through_a_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
