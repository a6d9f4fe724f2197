/* The lives of a stream: one producer at a time, restarts, epochs, instruments, who is alive. */
#include "bus_fixture.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <tickbus/control.h>

static void a_second_producer_is_told_the_pid_of_the_first(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8), second;
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
    assert_int_equal(tb_writer_open(bus->dir, "s", NULL, &second, &bus->err), -EBUSY);
    assert_non_null(strstr(bus->err.text, pid));
    assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), -EBUSY);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    second = bus_writer(bus, NULL);
    tb_writer_close(&second, TB_STREAM_STOPPED);
    tb_writer_close(&second, TB_STREAM_STOPPED); /* closed already: nothing */
    tb_writer_close(NULL, TB_STREAM_STOPPED);
}

static void a_restarted_producer_continues_the_epoch(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 16);
    uint64_t epoch = w.epoch;
    struct tb_reader r = bus_reader(bus, NULL);
    publish(&w, 9);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    for (int life = 2; life < 6; life++) {
        w = bus_writer(bus, NULL);
        assert_int_equal(w.epoch, epoch);
        assert_int_equal(w.first_seq, w.next_seq);
        assert_int_equal(w.mask, 15);
        assert_int_equal(w.live->lives, life);
        publish(&w, 5);
        tb_writer_close(&w, TB_STREAM_STOPPED);
    }
    assert_int_equal(tb_reader_newest(&r), 29);
    assert_false(tb_reader_retired(&r));
    tb_reader_close(&r, false);
}

/* Every record that a producer can have left half written is published again, whole. */
static void death_in_mid_publish_leaves_no_hole(void **state)
{
    struct bus *bus = bus_of(state);
    for (tb_seq last = 0; last < 40; last++) {
        ring_at(bus, 8, last);
        void *base = bus_map(bus, "s.ring", NULL);
        struct tb_slot *slot = &ring_slots(base)[(last + 1) & 7];
        atomic_store(&slot->seq, (last + 1) | TB_SEQ_BUSY);
        atomic_store(&slot->word[3], 0xdead);
        uint64_t epoch = *((uint64_t *)base + 2);

        struct tb_reader r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_NEWEST});
        assert_int_equal(r.cursor, last + 1);
        struct tb_writer w = bus_writer(bus, NULL);
        assert_int_equal(w.epoch, epoch);
        assert_int_equal(w.next_seq, last + 1);
        struct tb_record record;
        assert_int_equal(tb_reader_next(&r, &record), TB_READ_EMPTY);
        publish(&w, 3);
        assert_int_equal(read_all(&r), 3);
        tb_reader_close(&r, false);
        tb_writer_close(&w, TB_STREAM_STOPPED);
        assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    }
}

static void a_damaged_ring_gets_a_new_epoch(void **state)
{
    static const struct {
        const char *what;
        size_t slot;
        uint64_t seq;
    } damage[] = {
        {"a hole", 3, 0},
        {"a sequence in another's slot", 3, 20},
        {"a sequence of an earlier lap", 3, 11},
        {"a sequence far ahead", 3, 11 + 8 * 1000},
        {"busy in the middle", 3, 19 | TB_SEQ_BUSY},
        {"busy far ahead", 5, 29 | TB_SEQ_BUSY},
        {"the last number there is", 7, INT64_MAX},
    };
    struct bus *bus = bus_of(state);
    for (size_t i = 0; i < TB_COUNT(damage); i++) {
        ring_at(bus, 8, 20); /* slots 0 .. 7 hold 16 17 18 19 20 13 14 15 */
        void *base = bus_map(bus, "s.ring", NULL);
        atomic_store(&ring_slots(base)[damage[i].slot].seq, damage[i].seq);
        uint64_t epoch = *((uint64_t *)base + 2);
        struct tb_reader r = bus_reader(bus, &(struct tb_reader_options){.from = TB_FROM_NEWEST});
        struct tb_writer w = bus_writer(bus, NULL);
        if (w.epoch == epoch || w.next_seq != 1 || w.mask != 7)
            fail_msg("%s: epoch %llu -> %llu, next %llu", damage[i].what, (unsigned long long)epoch,
                     (unsigned long long)w.epoch, (unsigned long long)w.next_seq);
        assert_true(w.epoch > epoch);
        assert_true(tb_reader_retired(&r));
        tb_reader_close(&r, false);
        tb_writer_close(&w, TB_STREAM_STOPPED);
        assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    }
}

/* A batch reader waits for whole runs, but not of a producer that said that it is through. */
static void what_a_finished_producer_left_is_a_whole_run(void **state)
{
    struct bus *bus = bus_of(state);
    const struct tb_reader_options batch = {.wait = TB_WAIT_BATCH};
    struct tb_writer w = bus_writer_of(bus, 64);
    const struct tb_slot *run;
    enum tb_read end;
    publish(&w, 10);
    tb_writer_housekeep(&w, tb_clock_wall());
    struct tb_reader r = bus_reader(bus, &batch);
    assert_int_equal(tb_reader_run(&r, 32, &run, &end), 0);
    assert_int_equal(end, TB_READ_EMPTY);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    assert_int_equal(tb_reader_run(&r, 32, &run, &end), 10);
    assert_true(tb_reader_confirm(&r, 7));
    w = bus_writer(bus, &(struct tb_writer_options){.new_epoch = true});
    assert_true(tb_reader_retired(&r)); /* read until EMPTY, then close */
    assert_int_equal(tb_reader_run(&r, 32, &run, &end), 3);
    assert_true(tb_reader_confirm(&r, 3));
    assert_int_equal(tb_reader_run(&r, 32, &run, &end), 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_way_to_wait_that_is_none_is_refused(void **state)
{
    struct bus *bus = bus_of(state);
    const struct tb_reader_options options = {.wait = (enum tb_wait_policy)(TB_WAIT_BATCH + 1)};
    struct tb_writer w = bus_writer_of(bus, 64);
    struct tb_reader r;
    assert_int_equal(tb_reader_open(bus->dir, "s", &options, &r, &bus->err), -EINVAL);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void an_epoch_ends_when_asked_or_when_the_ring_differs(void **state)
{
    struct bus *bus = bus_of(state);
    const struct tb_writer_options changes[] = {
        {.new_epoch = true}, {.capacity = 16}, {.tag = 7}, {.tag = 8}};
    struct tb_writer w = bus_writer_of(bus, 8);
    for (size_t i = 0; i < TB_COUNT(changes); i++) {
        uint64_t epoch = w.epoch;
        publish(&w, 3);
        struct tb_reader r = bus_reader(bus, NULL);
        tb_writer_close(&w, TB_STREAM_STOPPED);
        assert_false(tb_reader_retired(&r));
        w = bus_writer(bus, &changes[i]);
        assert_true(w.epoch > epoch);
        assert_int_equal(w.next_seq, 1);
        assert_true(tb_reader_retired(&r));
        assert_int_equal(read_all(&r), 3); /* what was mapped is still there */
        tb_reader_close(&r, false);
    }
    uint64_t epoch = w.epoch;
    tb_writer_close(&w, TB_STREAM_STOPPED);
    w = bus_writer(bus, &(struct tb_writer_options){.capacity = 16, .tag = 8});
    assert_int_equal(w.epoch, epoch);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_retired_ring_is_not_continued(void **state)
{
    struct bus *bus = bus_of(state);
    ring_at(bus, 8, 5);
    void *base = bus_map(bus, "s.ring", NULL);
    atomic_store(&ring_live(base)->state, TB_STREAM_RETIRED); /* died between retire and rename */
    struct tb_writer w = bus_writer(bus, NULL);
    assert_int_equal(w.next_seq, 1);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void removing_a_stream_leaves_nothing_and_tells_its_readers(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, NULL);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    char path[160];
    int fd = open(bus_path(bus, "s.ring.new", path), O_CREAT | O_WRONLY, 0600); /* half made */
    (void)close(fd);
    struct tb_control control; /* of a producer that was killed */
    assert_int_equal(tb_control_open(&control, bus->dir, "s"), 0);
    (void)close(control.fd);
    (void)close(control.directory);
    assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    assert_int_equal(bus_files(bus, false), 0);
    assert_true(tb_reader_retired(&r));
    tb_reader_close(&r, false);
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -ENOENT);
}

static void a_half_made_ring_is_made_anew(void **state)
{
    struct bus *bus = bus_of(state);
    char path[160];
    int fd = open(bus_path(bus, "s.ring.new", path), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "rubbish", 7), 7);
    (void)close(fd);
    struct tb_writer w = bus_writer_of(bus, 8);
    publish(&w, 1);
    assert_int_equal(access(path, F_OK), -1);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_file_that_is_no_ring_is_replaced(void **state)
{
    struct bus *bus = bus_of(state);
    char path[160];
    int fd = open(bus_path(bus, "s.ring", path), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "rubbish", 7), 7);
    (void)close(fd);
    fd = open(bus_path(bus, "s.wait", path), O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    struct tb_writer w = bus_writer_of(bus, 8);
    publish(&w, 1);
    tb_writer_wake(&w);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void readers_know_whether_the_producer_lives(void **state)
{
    struct bus *bus = bus_of(state);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = bus_fork();
    if (child == 0) {
        struct tb_writer w;
        struct tb_record record = record_of(1);
        (void)tb_writer_open(bus->dir, "s", NULL, &w, NULL);
        (void)tb_writer_publish(&w, &record);
        tb_writer_housekeep(&w, 77);
        (void)!write(ready[1], "x", 1);
        for (;;)
            (void)pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct tb_reader r = bus_reader(bus, NULL);
    struct tb_producer producer;
    tb_reader_producer(&r, &producer);
    assert_true(producer.alive);
    assert_int_equal(producer.pid, child);
    assert_int_equal(producer.state, TB_STREAM_RUNNING);
    assert_int_equal(producer.heartbeat, 77);
    assert_int_equal(producer.lives, 1);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    tb_reader_producer(&r, &producer);
    assert_false(producer.alive);
    assert_int_equal(producer.state, TB_STREAM_RUNNING);
    assert_false(tb_reader_done(&r));
    assert_int_equal(read_all(&r), 1);

    struct tb_writer w = bus_writer(bus, NULL);
    assert_int_equal(w.next_seq, 2);
    publish(&w, 1);
    tb_writer_close(&w, TB_STREAM_DONE);
    assert_false(tb_reader_done(&r)); /* one is left to read */
    assert_int_equal(read_all(&r), 1);
    assert_true(tb_reader_done(&r));
    tb_reader_close(&r, false);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static struct tb_instrument instrument(const char *venue, const char *symbol, int price_exp)
{
    struct tb_instrument entry = {.price_exp = (int8_t)price_exp, .size_exp = -8};
    strcpy(entry.venue, venue);
    strcpy(entry.symbol, symbol);
    return entry;
}

static void instruments_are_found_or_appended(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, NULL);
    struct tb_instrument btc = instrument("binance", "BTC/USDT", -2);
    struct tb_instrument eth = instrument("binance", "ETH/USDT", -2);
    struct tb_instrument fine = instrument("binance", "BTC/USDT", -4);
    struct tb_instrument rule = btc;
    strcpy(rule.label, "price above 60k");
    assert_null(tb_reader_instrument(&r, 1));
    assert_int_equal(tb_writer_add_instrument(&w, &btc), 1);
    assert_int_equal(tb_writer_add_instrument(&w, &eth), 2);
    assert_int_equal(tb_writer_add_instrument(&w, &fine), 3);
    assert_int_equal(tb_writer_add_instrument(&w, &rule), 4);
    assert_int_equal(tb_writer_add_instrument(&w, &btc), 1);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    w = bus_writer(bus, NULL);
    assert_int_equal(tb_writer_add_instrument(&w, &fine), 3);
    assert_int_equal(tb_writer_add_instrument(&w, &eth), 2);

    assert_int_equal(tb_reader_instrument_count(&r), 4);
    assert_int_equal(tb_reader_instrument(&r, 3)->market, 1);
    assert_int_equal(tb_reader_instrument(&r, 4)->market, 4);
    assert_string_equal(tb_reader_instrument(&r, 2)->symbol, "ETH/USDT");
    assert_string_equal(tb_reader_instrument(&r, 2)->stream, "s");
    assert_null(tb_reader_instrument(&r, 0));
    assert_null(tb_reader_instrument(&r, 5));
    assert_null(tb_writer_instrument(&w, 5));
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void unfit_instruments_are_refused_and_a_full_table_says_so(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_instrument bad = instrument("binance", "BTC/USDT", -19);
    assert_int_equal(tb_writer_add_instrument(&w, &bad), -EINVAL);
    bad = instrument("binance", "BTC\n", -2);
    assert_int_equal(tb_writer_add_instrument(&w, &bad), -EINVAL);
    bad = instrument("binance", "BTC'--", -2);
    assert_int_equal(tb_writer_add_instrument(&w, &bad), -EINVAL);
    bad = instrument("", "BTC/USDT", -2);
    assert_int_equal(tb_writer_add_instrument(&w, &bad), -EINVAL);
    bad = instrument("binance", "BTC/USDT", 0);
    memset(bad.raw, 'x', sizeof(bad.raw));
    assert_int_equal(tb_writer_add_instrument(&w, &bad), -EINVAL);
    for (int i = 1; i <= TB_INSTRUMENTS_MAX; i++) {
        char symbol[16];
        (void)snprintf(symbol, sizeof(symbol), "S%d/USDT", i);
        struct tb_instrument entry = instrument("binance", symbol, -2);
        assert_int_equal(tb_writer_add_instrument(&w, &entry), i);
    }
    struct tb_instrument more = instrument("binance", "ONE/MORE", -2);
    assert_int_equal(tb_writer_add_instrument(&w, &more), -ENOSPC);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_hostile_instrument_table_is_not_believed(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_instrument btc = instrument("binance", "BTC/USDT", -2);
    assert_int_equal(tb_writer_add_instrument(&w, &btc), 1);
    btc.size_exp = -7;
    assert_int_equal(tb_writer_add_instrument(&w, &btc), 2);
    memset(w.instruments[1].symbol, 'A', TB_SYMBOL_BYTES);
    atomic_store(&w.live->instrument_count, UINT32_MAX);
    struct tb_reader r = bus_reader(bus, NULL);
    assert_int_equal(tb_reader_instrument_count(&r), TB_INSTRUMENTS_MAX);
    assert_non_null(tb_reader_instrument(&r, 1));
    for (uint16_t id = 2; id != 0; id++)
        assert_null(tb_reader_instrument(&r, id));
    tb_reader_close(&r, false);
    uint64_t epoch = w.epoch;
    tb_writer_close(&w, TB_STREAM_STOPPED);
    w = bus_writer(bus, NULL); /* the next producer starts clean */
    assert_true(w.epoch > epoch);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void bad_names_and_options_are_refused(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w;
    const char *const names[] = {"",    ".x",   "a.b", "A",
                                 "a/b", "../x", "a b", "0123456789012345678901234567890x"};
    for (size_t i = 0; i < TB_COUNT(names); i++) {
        struct tb_reader r;
        assert_int_equal(tb_writer_open(bus->dir, names[i], NULL, &w, &bus->err), -EINVAL);
        assert_int_equal(tb_reader_open(bus->dir, names[i], NULL, &r, &bus->err), -EINVAL);
    }
    const struct tb_writer_options options[] = {{.capacity = 4},
                                                {.capacity = 100},
                                                {.capacity = TB_CAPACITY_MAX * 2},
                                                {.pace = TB_PACE_GATED, .gate_count = 1},
                                                {.gate_count = TB_GATES_MAX + 1}};
    for (size_t i = 0; i < TB_COUNT(options); i++)
        assert_int_equal(tb_writer_open(bus->dir, "s", &options[i], &w, &bus->err), -EINVAL);
    assert_int_equal(bus_files(bus, false), 0);
}

/* 64 GiB, on a tmpfs that is smaller: refused before a page of it is taken. */
static void too_large_a_ring_is_refused_at_once(void **state)
{
    struct bus *bus = bus_of(state);
    struct statvfs fs;
    assert_int_equal(statvfs(bus->dir, &fs), 0);
    if (fs.f_blocks * fs.f_frsize > TB_CAPACITY_MAX * sizeof(struct tb_slot))
        skip();
    struct tb_writer w;
    const struct tb_writer_options options = {.capacity = TB_CAPACITY_MAX};
    assert_int_equal(tb_writer_open(bus->dir, "s", &options, &w, &bus->err), -ENOSPC);
    char path[160];
    assert_int_equal(access(bus_path(bus, "s.ring", path), F_OK), -1);
    assert_int_equal(access(bus_path(bus, "s.ring.new", path), F_OK), -1);
}

/* All that a restart needs is there already: not a byte more can be had, and it does without. */
static void a_full_bus_does_not_stop_a_restart(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    uint64_t epoch = w.epoch;
    publish(&w, 3);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    pid_t child = bus_fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &none);
        int rc = tb_writer_open(bus->dir, "s", NULL, &w, &bus->err);
        _exit(rc != 0 ? 1 : w.epoch != epoch ? 2 : w.next_seq != 4 ? 3 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* What can not be looked at now is not therefore damaged. */
static void a_process_out_of_means_replaces_no_ring(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    uint64_t epoch = w.epoch;
    char path[160];
    struct stat before, after;
    publish(&w, 3);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    assert_int_equal(stat(bus_path(bus, "s.wait", path), &before), 0);
    static struct tb_reader readers[5000];
    size_t open = 0;
    while (open < TB_COUNT(readers) &&
           tb_reader_open(bus->dir, "s", NULL, &readers[open], &bus->err) == 0)
        open++;
    assert_true(open < TB_COUNT(readers));
    assert_int_equal(tb_writer_open(bus->dir, "s", NULL, &w, &bus->err), -EMFILE);
    tb_reader_close(&readers[--open], false); /* room for one or two mappings */
    for (int tries = 0; tries < 2; tries++) {
        int rc = tb_writer_open(bus->dir, "s", NULL, &w, &bus->err);
        if (rc == 0)
            tb_writer_close(&w, TB_STREAM_STOPPED);
        else
            assert_int_equal(rc, -EMFILE);
        tb_reader_close(&readers[--open], false);
    }
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    while (open > 0)
        tb_reader_close(&readers[--open], false);
    w = bus_writer(bus, NULL);
    assert_int_equal(w.epoch, epoch);
    assert_int_equal(w.next_seq, 4);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* The clock was set back while the host was down, and a journal has later epochs. */
static void a_new_epoch_is_later_than_the_journals(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w;
    const struct tb_writer_options options = {.capacity = 8, .after_epoch = UINT64_C(1) << 62};
    assert_int_equal(tb_writer_open(bus->dir, "late", &options, &w, &bus->err), 0);
    assert_true(w.epoch > options.after_epoch);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_second_producer_is_told_the_pid_of_the_first),
        BUS_TEST(a_restarted_producer_continues_the_epoch),
        BUS_TEST(death_in_mid_publish_leaves_no_hole),
        BUS_TEST(a_damaged_ring_gets_a_new_epoch),
        BUS_TEST(what_a_finished_producer_left_is_a_whole_run),
        BUS_TEST(a_way_to_wait_that_is_none_is_refused),
        BUS_TEST(an_epoch_ends_when_asked_or_when_the_ring_differs),
        BUS_TEST(a_retired_ring_is_not_continued),
        BUS_TEST(removing_a_stream_leaves_nothing_and_tells_its_readers),
        BUS_TEST(a_half_made_ring_is_made_anew),
        BUS_TEST(a_file_that_is_no_ring_is_replaced),
        BUS_TEST(readers_know_whether_the_producer_lives),
        BUS_TEST(instruments_are_found_or_appended),
        BUS_TEST(unfit_instruments_are_refused_and_a_full_table_says_so),
        BUS_TEST(a_hostile_instrument_table_is_not_believed),
        BUS_TEST(bad_names_and_options_are_refused),
        BUS_TEST(too_large_a_ring_is_refused_at_once),
        BUS_TEST(a_full_bus_does_not_stop_a_restart),
        BUS_TEST(a_process_out_of_means_replaces_no_ring),
        BUS_TEST(a_new_epoch_is_later_than_the_journals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
