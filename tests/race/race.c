/*
 * The ring under real concurrency: one producer flat out in a small ring, so that readers are lapped
 * all the time; every record that a reader gets is whole, and every sequence is read or counted lost.
 *
 * Each reader uses another way of reading (single, batch, in place) and of waiting. Once with
 * processes, as in production; once with threads, where ThreadSanitizer sees the accesses (it checks
 * that shared words are atomics; it does not model fences: tests/model does).
 *
 * TB_RACE_SECONDS makes it longer than its two seconds.
 */
#include "../unit/bus_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "words.h"

#define READERS 10
#define CAPACITY 64

static tb_ns seconds(void)
{
    const char *given = getenv("TB_RACE_SECONDS");
    tb_ns s = given != NULL ? strtol(given, NULL, 10) : 0;
    return s > 0 ? s * TB_NS_PER_S : 2 * TB_NS_PER_S;
}

struct account {
    uint64_t read, lost, torn, wrong_place;
    uint64_t cursor_moved;
    int failed;
};

static void read_singly(struct tb_reader *r, struct account *a)
{
    struct tb_record record;
    for (int i = 0; i < 100; i++) {
        tb_seq seq = r->cursor;
        enum tb_read got = tb_reader_next(r, &record);
        if (got == TB_READ_OVERRUN)
            a->lost += tb_reader_resync(r);
        if (got != TB_READ_OK)
            return;
        a->read++;
        a->torn += !words_right(&record, seq);
    }
}

static void read_batch(struct tb_reader *r, struct account *a)
{
    struct tb_record records[50];
    enum tb_read end;
    tb_seq first = r->cursor;
    size_t count = tb_reader_read(r, records, TB_COUNT(records), &end);
    for (size_t i = 0; i < count; i++)
        a->torn += !words_right(&records[i], first + i);
    a->read += count;
    if (end == TB_READ_OVERRUN)
        a->lost += tb_reader_resync(r);
}

static void read_in_place(struct tb_reader *r, struct account *a)
{
    const struct tb_slot *run;
    enum tb_read end;
    tb_seq first = r->cursor;
    size_t count = tb_reader_run(r, 32, &run, &end);
    uint64_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < TB_SLOT_WORDS; k++)
            wrong += atomic_load_explicit(&run[i].word[k], memory_order_relaxed) !=
                     words_mix(first + i, k + 1);
    if (tb_reader_confirm(r, count)) {
        a->read += count;
        a->torn += wrong;
    } else {
        end = TB_READ_OVERRUN;
    }
    if (end == TB_READ_OVERRUN)
        a->lost += tb_reader_resync(r);
}

/* Reads until the producer is done and everything of its is accounted for. */
static void read_to_the_end(const char *dir, int number, struct account *a)
{
    static void (*const ways[])(struct tb_reader *, struct account *) = {read_singly, read_batch,
                                                                         read_in_place};
    char name[16];
    struct tb_reader r;
    (void)snprintf(name, sizeof(name), "r%d", number);
    const struct tb_reader_options options = {
        .name = name, .wait = number % 2 == 0 ? TB_WAIT_PARK : TB_WAIT_YIELD};
    if (tb_reader_open(dir, "s", &options, &r, NULL) != 0) {
        a->failed = 1;
        return;
    }
    tb_seq began = r.cursor;
    while (!tb_reader_done(&r)) {
        uint64_t before = a->read + a->lost;
        ways[number % 3](&r, a);
        a->wrong_place += a->read + a->lost != r.cursor - began;
        if (a->read + a->lost == before)
            tb_reader_wait(&r, 50 * TB_NS_PER_MS);
        tb_reader_release(&r, r.cursor, 1);
    }
    a->cursor_moved = r.cursor - began;
    a->failed = r.lost != a->lost || *r.broken;
    tb_reader_close(&r, false);
}

static tb_seq publish_flat_out(struct tb_writer *w)
{
    tb_ns end = tb_clock_mono() + seconds();
    while (tb_clock_mono() < end) {
        for (int i = 0; i < 1000; i++) {
            struct tb_record record;
            words_fill(&record, w->next_seq);
            (void)tb_writer_publish(w, &record);
            if (i % 100 == 0)
                tb_writer_wake(w);
        }
        tb_writer_housekeep(w, 1);
        (void)sched_yield(); /* few cores: let the readers get somewhere */
    }
    return w->next_seq - 1;
}

static void judge(const struct account *accounts, tb_seq last)
{
    uint64_t read = 0, lost = 0;
    for (int i = 0; i < READERS; i++) {
        const struct account *a = &accounts[i];
        assert_int_equal(a->failed, 0);
        assert_int_equal(a->torn, 0);
        assert_int_equal(a->wrong_place, 0);
        assert_int_equal(a->read + a->lost, a->cursor_moved);
        assert_int_equal(a->cursor_moved, last);
        read += a->read;
        lost += a->lost;
    }
    print_message("%llu published; %d readers read %llu, lost %llu, torn 0\n",
                  (unsigned long long)last, READERS, (unsigned long long)read,
                  (unsigned long long)lost);
    assert_true(read > 0);
}

static void processes_never_see_a_torn_record(void **state)
{
    struct bus *bus = bus_of(state);
    struct account *accounts = mmap(NULL, sizeof(*accounts) * READERS, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(accounts != MAP_FAILED);
    /* The readers are forked before the lock is taken: an inherited descriptor would share it. */
    pid_t children[READERS];
    struct tb_writer w = bus_writer_of(bus, CAPACITY);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    for (int i = 0; i < READERS; i++) {
        children[i] = bus_fork();
        if (children[i] == 0) {
            read_to_the_end(bus->dir, i, &accounts[i]);
            _exit(0);
        }
    }
    w = bus_writer(bus, NULL);
    struct tb_cursor_info info;
    for (int i = 0; i < READERS; i++) {
        char page[32];
        (void)snprintf(page, sizeof(page), "s.r%d", i);
        while (tb_cursor_inspect(bus->dir, page, &info, NULL) != 0 || info.cursor == 0)
            (void)usleep(1000);
    }
    tb_seq last = publish_flat_out(&w);
    tb_writer_close(&w, TB_STREAM_DONE);
    for (int i = 0; i < READERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    judge(accounts, last);
    (void)munmap(accounts, sizeof(*accounts) * READERS);
    assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    assert_int_equal(bus_files(bus, false), 0);
}

struct thread {
    const char *dir;
    int number;
    struct account account;
};

static void *thread_reads(void *context)
{
    struct thread *t = context;
    read_to_the_end(t->dir, t->number, &t->account);
    return NULL;
}

static void threads_never_see_a_torn_record(void **state)
{
    struct bus *bus = bus_of(state);
    static struct thread threads[READERS];
    pthread_t ids[READERS];
    struct tb_writer w = bus_writer_of(bus, CAPACITY);
    for (int i = 0; i < READERS; i++) {
        threads[i] = (struct thread){.dir = bus->dir, .number = i};
        assert_int_equal(pthread_create(&ids[i], NULL, thread_reads, &threads[i]), 0);
    }
    struct tb_cursor_info info;
    for (int i = 0; i < READERS; i++) {
        char page[32];
        (void)snprintf(page, sizeof(page), "s.r%d", i);
        while (tb_cursor_inspect(bus->dir, page, &info, NULL) != 0 || info.cursor == 0)
            (void)usleep(1000);
    }
    tb_seq last = publish_flat_out(&w);
    tb_writer_close(&w, TB_STREAM_DONE);
    struct account accounts[READERS];
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        accounts[i] = threads[i].account;
    }
    judge(accounts, last);
}

/* A thousand readers come, read a little and go, some by kill: the bus holds the same files as before. */
static void a_thousand_readers_leave_nothing_behind(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 1024);
    for (int i = 0; i < 100; i++) {
        struct tb_record record;
        words_fill(&record, w.next_seq);
        (void)tb_writer_publish(&w, &record);
    }
    int files = bus_files(bus, false), killed = 0;
    for (int batch = 0; batch < 100; batch++) {
        pid_t children[10];
        for (int i = 0; i < 10; i++) {
            children[i] = bus_fork();
            if (children[i] != 0)
                continue;
            struct account a = {0};
            struct tb_reader r;
            char name[16];
            (void)snprintf(name, sizeof(name), "r%d", i);
            const struct tb_reader_options options = {.name = name};
            if (tb_reader_open(bus->dir, "s", &options, &r, NULL) != 0)
                _exit(1);
            while (a.read < 100)
                read_singly(&r, &a);
            if (batch % 10 == 5 && i == 3)
                (void)raise(SIGKILL);
            tb_reader_close(&r, false);
            _exit(a.torn != 0 ? 2 : 0);
        }
        for (int i = 0; i < 10; i++) {
            int status;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            killed += WIFSIGNALED(status);
            assert_true(WIFSIGNALED(status) || status == 0);
        }
    }
    assert_int_equal(killed, 10);
    assert_int_equal(bus_files(bus, false), files);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(processes_never_see_a_torn_record),
        BUS_TEST(threads_never_see_a_torn_record),
        BUS_TEST(a_thousand_readers_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
