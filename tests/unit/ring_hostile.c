/* Files that no producer of ours made: refused with a sentence, or read without harm. Never a
 * crash. */
#include "bus_fixture.h"

#include <grp.h>
#include <sys/wait.h>
#include <time.h>

#define AT(field) offsetof(struct tb_ring_fixed, field)

static void hostile_headers_are_refused(void **state)
{
    static const struct {
        const char *what;
        size_t offset;
        size_t bytes; /* of value; 0: cut the file to `value` bytes instead */
        uint64_t value;
        int expected;
    } cases[] = {
        {"no magic", AT(magic), 8, 0, -EPROTO},
        {"another magic", AT(magic), 8, 0x31474e4952424b55, -EPROTO},
        {"a newer layout", AT(layout), 4, 2, -EPROTO},
        {"layout 0", AT(layout), 4, 0, -EPROTO},
        {"wider records", AT(record_bytes), 4, 128, -EPROTO},
        {"records of nothing", AT(record_bytes), 4, 0, -EPROTO},
        {"epoch 0", AT(epoch), 8, 0, -EBADMSG},
        {"epoch beyond time", AT(epoch), 8, UINT64_MAX, -EBADMSG},
        {"capacity 0", AT(capacity), 8, 0, -EBADMSG},
        {"capacity 1", AT(capacity), 8, 1, -EBADMSG},
        {"capacity no power of two", AT(capacity), 8, 48, -EBADMSG},
        {"capacity of which the bytes overflow", AT(capacity), 8, UINT64_C(1) << 58, -EBADMSG},
        {"capacity of the sign bit", AT(capacity), 8, UINT64_C(1) << 63, -EBADMSG},
        {"capacity beyond the file", AT(capacity), 8, 128, -EBADMSG},
        {"capacity beyond all files", AT(capacity), 8, TB_CAPACITY_MAX, -EBADMSG},
        {"slots in the header", AT(slots_offset), 8, 0, -EBADMSG},
        {"slots in the instruments", AT(slots_offset), 8, 8192, -EBADMSG},
        {"slots across lines", AT(slots_offset), 8, TB_RING_SLOTS_OFFSET + 8, -EBADMSG},
        {"slots a line too far", AT(slots_offset), 8, TB_RING_SLOTS_OFFSET + 64, -EBADMSG},
        {"slots outside the file", AT(slots_offset), 8, UINT64_C(1) << 40, -EBADMSG},
        {"slots of which the end overflows", AT(slots_offset), 8, UINT64_MAX - 63, -EBADMSG},
        {"instruments in the header", AT(instruments_offset), 4, 64, -EBADMSG},
        {"instruments across lines", AT(instruments_offset), 4, 4104, -EBADMSG},
        {"instruments outside the file", AT(instruments_offset), 4, UINT32_MAX - 63, -EBADMSG},
        {"no instruments", AT(instruments_max), 4, 0, -EBADMSG},
        {"too many instruments", AT(instruments_max), 4, 1025, -EBADMSG},
        {"instruments without end", AT(instruments_max), 4, UINT32_MAX, -EBADMSG},
        {"an unknown pace", AT(pace), 4, 2, -EBADMSG},
        {"another stream's name", AT(stream), 2, 't', -EBADMSG},
        {"no name", AT(stream), 2, 0, -EBADMSG},
        {"a name that is a path", AT(stream), 4, 0x2f2e2e, -EBADMSG},
        {"empty file", 0, 0, 0, -EBADMSG},
        {"a few bytes", 0, 0, 100, -EBADMSG},
        {"one page", 0, 0, 4096, -EBADMSG},
        {"no slots", 0, 0, TB_RING_SLOTS_OFFSET, -EBADMSG},
        {"a slot short", 0, 0, TB_RING_SLOTS_OFFSET + 63 * 64, -EBADMSG},
        {"a byte short", 0, 0, TB_RING_SLOTS_OFFSET + 64 * 64 - 1, -EBADMSG},
    };
    struct bus *bus = bus_of(state);
    char path[160];
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        ring_at(bus, 64, 100);
        size_t bytes;
        void *base = bus_map(bus, "s.ring", &bytes);
        if (cases[i].bytes == 0)
            assert_int_equal(truncate(bus_path(bus, "s.ring", path), (off_t)cases[i].value), 0);
        else
            memcpy((char *)base + cases[i].offset, &cases[i].value, cases[i].bytes);
        (void)munmap(base, bytes);

        struct tb_reader r;
        bus->err.text[0] = '\0';
        int rc = tb_reader_open(bus->dir, "s", NULL, &r, &bus->err);
        if (rc != cases[i].expected || bus->err.text[0] == '\0')
            fail_msg("%s: %d instead of %d; %s", cases[i].what, rc, cases[i].expected,
                     bus->err.text);
        /* and the next producer replaces it */
        struct tb_writer w = bus_writer(bus, NULL);
        assert_int_equal(w.next_seq, 1);
        tb_writer_close(&w, TB_STREAM_STOPPED);
        assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    }
}

static void an_unterminated_name_is_refused(void **state)
{
    struct bus *bus = bus_of(state);
    ring_at(bus, 64, 100);
    size_t bytes;
    void *base = bus_map(bus, "s.ring", &bytes);
    memset((char *)base + AT(stream), 's', TB_STREAM_BYTES);
    (void)munmap(base, bytes);
    struct tb_reader r;
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -EBADMSG);
}

static void both_versions_are_named(void **state)
{
    struct bus *bus = bus_of(state);
    ring_at(bus, 64, 100);
    size_t bytes;
    uint32_t *base = bus_map(bus, "s.ring", &bytes);
    base[AT(layout) / 4] = 41;
    (void)munmap(base, bytes);
    struct tb_reader r;
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -EPROTO);
    assert_non_null(strstr(bus->err.text, "layout 41, this build reads 1"));
}

static void things_that_are_no_files_are_refused(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_reader r;
    char path[160];
    assert_int_equal(mkfifo(bus_path(bus, "s.ring", path), 0600), 0);
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -EBADMSG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err) < 0);
    assert_int_equal(rmdir(path), 0);
}

/* Random bytes anywhere in the header, the live part, the table and the slots, under a reader's
 * life. */
static void random_damage_does_no_harm(void **state)
{
    struct bus *bus = bus_of(state);
    const char *given = getenv("TB_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    uint64_t x = seed * 2654435761U + 88172645463325252U;
    print_message("seed: TB_TEST_SEED=%llu\n", (unsigned long long)seed);

    ring_at(bus, 64, 1000);
    size_t bytes;
    unsigned char *base = bus_map(bus, "s.ring", &bytes);
    unsigned char *good = malloc(bytes);
    memcpy(good, base, bytes);
    unsigned opened = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(base, good, 512);
        memcpy(base + TB_RING_SLOTS_OFFSET, good + TB_RING_SLOTS_OFFSET, 64 * 64);
        for (int k = 0; k < 4; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            size_t at = (x & 3) == 0   ? (x >> 8) % 96
                        : (x & 3) == 1 ? 256 + (x >> 8) % 56
                        : (x & 3) == 2 ? 4096 + (x >> 8) % 4096
                                       : TB_RING_SLOTS_OFFSET + (x >> 8) % 4096;
            base[at] = (unsigned char)(x >> 40);
        }
        struct tb_reader r;
        if (tb_reader_open(bus->dir, "s", NULL, &r, &bus->err) != 0)
            continue;
        opened++;
        struct tb_record records[80];
        enum tb_read end;
        for (int turn = 0; turn < 5; turn++) {
            (void)tb_reader_read(&r, records, 80, &end);
            if (end == TB_READ_OVERRUN)
                (void)tb_reader_resync(&r);
        }
        for (unsigned id = 0; id < 1100; id += 7)
            (void)tb_reader_instrument(&r, (uint16_t)id);
        (void)tb_reader_done(&r);
        tb_reader_wait(&r, 1);
        tb_reader_close(&r, false);
    }
    print_message("%u of 20000 were opened\n", opened);
    free(good);
    (void)munmap(base, bytes);
}

/* A stranger has cleared a slot in the middle of the ring: what should be there is waited for, not
 * asked for again and again. */
static void a_reader_does_not_turn_in_circles(void **state)
{
    struct bus *bus = bus_of(state);
    ring_at(bus, 1024, 1000);
    struct tb_reader r = bus_reader(bus, NULL), runs = bus_reader(bus, NULL);
    struct tb_record records[64];
    const struct tb_slot *run;
    enum tb_read end;
    assert_int_equal(tb_reader_read(&r, records, 64, &end), 64);
    assert_int_equal(tb_reader_run(&runs, 64, &run, &end), 64);
    assert_true(tb_reader_confirm(&runs, 64));
    void *base = bus_map(bus, "s.ring", NULL);
    memset(&ring_slots(base)[65], 0, sizeof(struct tb_slot));
    for (int look = 0; look < 2; look++) {
        assert_int_equal(tb_reader_read(&r, records, 64, &end), 0);
        if (end == TB_READ_OVERRUN)
            assert_int_equal(tb_reader_resync(&r), 0);
        size_t n = tb_reader_run(&runs, 64, &run, &end);
        assert_true(n == 0 || !tb_reader_confirm(&runs, n));
        assert_true(look == 0 || n == 0);
    }
    assert_int_equal(tb_reader_read(&r, records, 64, &end), 0);
    assert_int_equal(end, TB_READ_EMPTY);
    (void)munmap(base, TB_RING_SLOTS_OFFSET + 1024 * sizeof(struct tb_slot));
    tb_reader_close(&r, false);
    tb_reader_close(&runs, false);
}

/* The file is cut short while it is being read: BROKEN, not a crash; other readers go on. */
static void a_ring_that_is_cut_short_breaks_only_its_readers(void **state)
{
    struct bus *bus = bus_of(state);
    char path[160];
    struct tb_writer other;
    assert_int_equal(tb_writer_open(bus->dir, "t", NULL, &other, &bus->err), 0);
    ring_at(bus, 1024, 1000);
    struct tb_reader r = bus_reader(bus, NULL), o;
    assert_int_equal(tb_reader_open(bus->dir, "t", NULL, &o, &bus->err), 0);
    publish(&other, 5);
    struct tb_record record, records[100];
    enum tb_read end;
    assert_int_equal(tb_reader_read(&r, records, 100, &end), 100);
    assert_int_equal(truncate(bus_path(bus, "s.ring", path), 4096), 0);

    assert_int_equal(tb_reader_next(&r, &record), TB_READ_BROKEN);
    assert_int_equal(tb_reader_next(&r, &record), TB_READ_BROKEN);
    assert_int_equal(tb_reader_read(&r, records, 100, &end), 0);
    assert_int_equal(end, TB_READ_BROKEN);
    const struct tb_slot *run;
    assert_int_equal(tb_reader_run(&r, 10, &run, &end), 0);
    assert_int_equal(end, TB_READ_BROKEN);
    assert_false(tb_reader_confirm(&r, 1));
    (void)tb_reader_resync(&r);
    (void)tb_reader_newest(&r);
    tb_ns before = tb_clock_mono();
    tb_reader_wait(&r, 10 * TB_NS_PER_S);
    assert_true(tb_clock_mono() - before < TB_NS_PER_S);
    assert_int_equal(read_all(&o), 5);
    tb_reader_close(&r, false);

    /* Closed and opened again: refused until a producer has made it anew. */
    assert_int_equal(tb_reader_open(bus->dir, "s", NULL, &r, &bus->err), -EBADMSG);
    struct tb_writer w = bus_writer(bus, NULL);
    publish(&w, 3);
    r = bus_reader(bus, NULL);
    assert_int_equal(read_all(&r), 3);
    tb_reader_close(&r, false);
    tb_reader_close(&o, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    tb_writer_close(&other, TB_STREAM_STOPPED);
}

/* Run as another user: root's streams are believed, those of a third user are not, unless
 * shared. */
static void a_strangers_ring_is_refused(void **state)
{
    struct bus *bus = bus_of(state);
    if (geteuid() != 0)
        skip(); /* only root can make files of other users */
    ring_at(bus, 64, 100);
    char path[160];
    assert_int_equal(chmod(bus->dir, 0755), 0);
    assert_int_equal(chmod(bus_path(bus, "s.ring", path), 0644), 0);
    static const struct {
        uid_t owner;
        gid_t group;
        int expected;
    } cases[] = {{0, 0, 0}, {65534, 0, 0}, {4711, 4711, -EACCES}, {4711, 65534, 0}};
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        assert_int_equal(chown(path, cases[i].owner, cases[i].group), 0);
        pid_t child = bus_fork();
        if (child == 0) {
            struct tb_reader r;
            if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
                _exit(99);
            int rc = tb_reader_open(bus->dir, "s", NULL, &r, &bus->err);
            if (rc == 0)
                tb_reader_wait(&r, TB_NS_PER_MS); /* may not write the wait word: polls */
            tb_reader_close(rc == 0 ? &r : NULL, false);
            _exit(-rc);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), -cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(hostile_headers_are_refused),
        BUS_TEST(an_unterminated_name_is_refused),
        BUS_TEST(both_versions_are_named),
        BUS_TEST(a_strangers_ring_is_refused),
        BUS_TEST(things_that_are_no_files_are_refused),
        BUS_TEST(random_damage_does_no_harm),
        BUS_TEST(a_reader_does_not_turn_in_circles),
        BUS_TEST(a_ring_that_is_cut_short_breaks_only_its_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
