/*
 * A bus directory of its own for one test, in shared memory, gone afterwards; and the few steps
 * that most tests of the ring begin with.
 */
#ifndef TICKBUS_TESTS_BUS_FIXTURE_H
#define TICKBUS_TESTS_BUS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>
#include <tickbus/ring.h>

struct bus {
    char dir[64];
    struct tb_error err;
};

static inline struct bus *bus_of(void **state)
{
    return *state;
}

static inline int bus_setup(void **state)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    strcpy(bus->dir, "/dev/shm/tickbus-test-XXXXXX");
    *state = bus;
    return bus != NULL && mkdtemp(bus->dir) != NULL ? 0 : -1;
}

static inline int bus_files(const struct bus *bus, bool remove_them)
{
    DIR *dir = opendir(bus->dir);
    int count = 0;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        if (remove_them)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    return count;
}

static inline int bus_teardown(void **state)
{
    struct bus *bus = *state;
    (void)bus_files(bus, true);
    int rc = rmdir(bus->dir);
    free(bus);
    return rc;
}

#define BUS_TEST(function) cmocka_unit_test_setup_teardown(function, bus_setup, bus_teardown)

static inline const char *bus_path(struct bus *bus, const char *file, char out[160])
{
    (void)snprintf(out, 160, "%s/%s", bus->dir, file);
    return out;
}

static inline struct tb_writer bus_writer(struct bus *bus, const struct tb_writer_options *options)
{
    struct tb_writer w;
    int rc = tb_writer_open(bus->dir, "s", options, &w, &bus->err);
    if (rc != 0)
        fail_msg("writer: %d %s", rc, bus->err.text);
    return w;
}

static inline struct tb_writer bus_writer_of(struct bus *bus, uint64_t capacity)
{
    return bus_writer(bus, &(struct tb_writer_options){.capacity = capacity});
}

static inline struct tb_reader bus_reader(struct bus *bus, const struct tb_reader_options *options)
{
    struct tb_reader r;
    int rc = tb_reader_open(bus->dir, "s", options, &r, &bus->err);
    if (rc != 0)
        fail_msg("reader: %d %s", rc, bus->err.text);
    return r;
}

/* A record whose every word follows from its sequence. */
static inline struct tb_record record_of(tb_seq seq)
{
    struct tb_record record = {.type = TB_TRADE, .flags = TB_F_LAST, .instrument = 1};
    record.ts_event = (tb_ns)(seq * 3);
    record.ts_recv = (tb_ns)(seq * 5);
    for (size_t i = 0; i < 4; i++)
        record.body[i] = seq * UINT64_C(0x9e3779b97f4a7c15) + i;
    return record;
}

static inline void check_record(const struct tb_record *record, tb_seq seq)
{
    struct tb_record expected = record_of(seq);
    expected.seq = seq;
    assert_int_equal(record->seq, seq);
    assert_memory_equal(record, &expected, sizeof(expected));
}

static inline void publish(struct tb_writer *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tb_record record = record_of(w->next_seq);
        tb_seq expected = w->next_seq;
        assert_int_equal(tb_writer_publish(w, &record), expected);
    }
}

/* Reads and checks all that is there; fails on anything but records and, at last, EMPTY. */
static inline size_t read_all(struct tb_reader *r)
{
    struct tb_record record;
    size_t count = 0;
    for (;; count++) {
        tb_seq seq = r->cursor;
        enum tb_read got = tb_reader_next(r, &record);
        if (got == TB_READ_EMPTY)
            return count;
        assert_int_equal(got, TB_READ_OK);
        check_record(&record, seq);
    }
}

/* fork; the child does not outlive a test that failed. */
static inline pid_t bus_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

/* The whole ring file, mapped for writing: what a hostile process could do to it. */
static inline void *bus_map(struct bus *bus, const char *file, size_t *out_bytes)
{
    char path[160];
    struct stat st;
    int fd = open(bus_path(bus, file, path), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    void *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(base != MAP_FAILED);
    (void)close(fd);
    if (out_bytes != NULL)
        *out_bytes = (size_t)st.st_size;
    return base;
}

static inline struct tb_slot *ring_slots(void *base)
{
    return (struct tb_slot *)((uintptr_t)base + TB_RING_SLOTS_OFFSET);
}

static inline struct tb_ring_live *ring_live(void *base)
{
    return (struct tb_ring_live *)((uintptr_t)base + TB_RING_LIVE_OFFSET);
}

/* Leaves the ring as a producer would that has published 1 .. last: without publishing them all. */
static inline void ring_at(struct bus *bus, uint64_t capacity, tb_seq last)
{
    struct tb_writer w = bus_writer_of(bus, capacity);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    size_t bytes;
    void *base = bus_map(bus, "s.ring", &bytes);
    for (tb_seq seq = last >= capacity ? last - capacity + 1 : 1; seq <= last; seq++) {
        struct tb_record record = record_of(seq);
        uint64_t word[TB_SLOT_WORDS];
        memcpy(word, (const char *)&record + 8, sizeof(word));
        tb_slot_write(&ring_slots(base)[seq & (capacity - 1)], seq, word);
    }
    (void)munmap(base, bytes);
}

#endif
