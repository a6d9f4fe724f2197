/*
 * Reading ahead: who goes on has a ring, who looks something up has none; and whatever becomes of the
 * reads, what is delivered is right, in order, and all of it, or an error was returned.
 */
#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <tickbus/uring.h>

#include "bus/journal_source.h"
#include "bus/journal_write.h"
#include "unit/journal_pages.h"

#define EPOCH UINT64_C(1000)
#define FIRST_ENDS 20000 /* five buffers of pages, the last one short */
#define SECOND_ENDS 30000
#define LAST 30500 /* the last ones are in a segment that is open */

static struct pages pages;

static int setup(void **state)
{
    int rc = bus_setup(state);
    struct bus *bus = *state;
    pages_init(&pages, bus->dir, "/x/b");
    pages_begin(&pages, EPOCH, 1);
    pages_fill(&pages, FIRST_ENDS);
    pages_end(&pages);
    pages_begin(&pages, EPOCH, FIRST_ENDS + 1);
    pages_fill(&pages, SECOND_ENDS);
    pages_end(&pages);
    pages_begin(&pages, EPOCH, SECOND_ENDS + 1);
    pages_fill(&pages, LAST);
    pages_flush(&pages);
    return rc;
}

static int teardown(void **state)
{
    struct bus *bus = *state;
    tb_journal_read_fault = NULL;
    pages_drop(&pages);
    pages_remove(bus->dir);
    free(bus);
    return 0;
}

static struct tb_journal *journal(void)
{
    struct tb_journal *j;
    struct tb_error err = {""};
    if (tb_journal_open(pages.dir, &j, &err) != 0)
        fail_msg("%s", err.text);
    return j;
}

/* Up to `last`; errors are counted, and then it is asked again. */
static unsigned read_to(struct tb_journal *j, tb_seq *next, tb_seq last)
{
    static struct tb_record records[300];
    unsigned errors = 0;
    while (*next <= last) {
        size_t max = last - *next + 1 < 300 ? (size_t)(last - *next + 1) : 300;
        long n = tb_journal_read(j, records, max, NULL, NULL);
        if (n == -EIO && errors++ < 100)
            continue;
        if (n <= 0)
            fail_msg("read at %lu: %ld", (unsigned long)*next, n);
        for (long i = 0; i < n; i++)
            check_record(&records[i], (*next)++);
    }
    return errors;
}

static unsigned rings(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    char to[100];
    unsigned count = 0;
    while ((entry = readdir(directory)) != NULL) {
        ssize_t n = readlinkat(dirfd(directory), entry->d_name, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        count += strstr(to, "[io_uring]") != NULL;
    }
    (void)closedir(directory);
    return count;
}

static bool is_refused_here(void)
{
    struct tb_uring *u;
    const char *why;
    assert_int_equal(tb_uring_open(1, NULL, 0, 0, &u, &why, NULL), 0);
    tb_uring_close(u);
    return why != NULL;
}

static void looking_up_needs_no_ring(void **state)
{
    struct tb_journal *j = journal();
    (void)state;
    for (tb_seq seq = 1; seq <= LAST; seq += 977) {
        tb_seq next = seq, newest;
        (void)tb_journal_seek(j, EPOCH, seq);
        read_to(j, &next, seq + 62 < LAST ? seq + 62 : LAST);
        assert_true(tb_journal_has(j, EPOCH, seq, &newest));
        assert_int_equal(newest, LAST);
        assert_int_equal(rings(), 0);
    }
    tb_journal_close(j);
}

static void going_on_has_one_until_the_end(void **state)
{
    struct tb_journal *j = journal();
    struct tb_record record;
    tb_seq next = 1;
    (void)state;
    if (is_refused_here())
        skip();
    tb_journal_seek_oldest(j);
    read_to(j, &next, 10000);
    assert_int_equal(rings(), 1);
    assert_null(tb_journal_fallback(j));
    read_to(j, &next, LAST);
    assert_int_equal(tb_journal_read(j, &record, 1, NULL, NULL), 0);
    assert_int_equal(rings(), 0);
    next = 4000; /* and again */
    (void)tb_journal_seek(j, EPOCH, next);
    read_to(j, &next, LAST);
    tb_journal_close(j);
    assert_int_equal(rings(), 0);
}

static void jumping_about_in_between_is_harmless(void **state)
{
    struct tb_journal *j = journal();
    (void)state;
    srand(5);
    for (int i = 0; i < 300; i++) {
        tb_seq next = 1 + (tb_seq)rand() % LAST, last = next + (tb_seq)rand() % 12000;
        (void)tb_journal_seek(j, EPOCH, next);
        read_to(j, &next, last < LAST ? last : LAST);
    }
    tb_journal_close(j);
}

static void readers_of_one_process_do_not_meet(void **state)
{
    struct tb_journal *j[3];
    tb_seq next[3] = {1, 1, 1};
    (void)state;
    for (int i = 0; i < 3; i++) {
        j[i] = journal();
        tb_journal_seek_oldest(j[i]);
    }
    srand(7);
    while (next[0] < LAST || next[1] < LAST || next[2] < LAST) {
        int i = rand() % 3;
        tb_seq last = next[i] + (tb_seq)rand() % 3000;
        read_to(j[i], &next[i], last < LAST ? last : LAST);
    }
    for (int i = 0; i < 3; i++)
        tb_journal_close(j[i]);
}

/* In a process of its own: 0 if that went well. */
static int in_child(void (*what)(void *context), void *context)
{
    int status;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        what(context);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

struct at {
    struct tb_journal *j;
    tb_seq next;
};

static void go_on_alone(void *context)
{
    struct at *at = context;
    tb_seq next = at->next;
    read_to(at->j, &next, LAST);
    if (!is_refused_here() && rings() != 1) /* the inherited one is closed, its own is there */
        _exit(2);
    tb_journal_close(at->j);
}

static void a_forked_process_goes_on_where_it_was(void **state)
{
    struct at at = {.j = journal(), .next = 1};
    (void)state;
    tb_journal_seek_oldest(at.j);
    for (tb_seq last = 100; last < 25000; last += 2777) {
        read_to(at.j, &at.next, last);
        assert_int_equal(in_child(go_on_alone, &at), 0);
    }
    read_to(at.j, &at.next, LAST);
    tb_journal_close(at.j);
}

static void forbid_and_read(void *context)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {TB_COUNT(code), code};
    (void)context;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
    struct at at = {.j = journal(), .next = 1};
    tb_journal_seek_oldest(at.j);
    read_to(at.j, &at.next, 1000);
    if (tb_journal_fallback(at.j) != NULL) /* not needed yet */
        _exit(1);
    read_to(at.j, &at.next, LAST);
    if (tb_journal_fallback(at.j) == NULL || strstr(tb_journal_fallback(at.j), "io_uring") == NULL)
        _exit(2);
    tb_journal_close(at.j);
}

static void where_it_is_refused_plain_reads_do(void **state)
{
    (void)state;
    int status = in_child(forbid_and_read, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* ---- reads that fail ---- */

enum kind { FAIL_EIO, FAIL_CANCELED, FAIL_ZERO, SHORT_PAGE, SHORT_ODD, LATE, KINDS };

struct script {
    enum kind kind;
    uint64_t from, to; /* calls that fail */
    uint64_t calls;
};

/* What a disk does not do to a plain read: an early end, or to say that it did not want to. */
static long decide(void *context, uint64_t number, enum tb_uring_op op, int fd, const void *bytes,
                   size_t count, uint64_t offset)
{
    struct script *s = context;
    (void)op, (void)fd, (void)bytes, (void)offset;
    s->calls++;
    if (s->calls < s->from || s->calls > s->to)
        return 1;
    switch (s->kind) {
    case FAIL_EIO:
        return -EIO;
    case FAIL_CANCELED:
        return number > 0 ? -ECANCELED : 1;
    case FAIL_ZERO:
        return number > 0 ? 0 : 1;
    case SHORT_PAGE:
        return count > 4096 ? 4096 : 1;
    case SHORT_ODD:
        return count > 5000 ? 5000 : 1;
    default:
        return 1;
    }
}

static unsigned delay(void *context, uint64_t number)
{
    struct script *s = context;
    return s->kind == LATE ? (unsigned)(number * 7 % 4) : 0;
}

/* Everything is read. Returns how many reads there were; *out_errors: how many errors were returned. */
static uint64_t read_faulty(struct script *s, unsigned *out_errors)
{
    const struct tb_uring_fault fault = {.decide = decide, .delay = delay, .context = s};
    tb_seq next = 1;
    tb_journal_read_fault = &fault;
    struct tb_journal *j = NULL;
    struct tb_error err = {""};
    while (tb_journal_open(pages.dir, &j, &err) != 0)
        assert_true(s->calls <= s->to);
    tb_journal_seek_oldest(j);
    *out_errors = read_to(j, &next, LAST);
    tb_journal_close(j);
    tb_journal_read_fault = NULL;
    return s->calls;
}

static void fail_every_read_once(void)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t k = 0, calls;
        unsigned told = 0, errors;
        do {
            struct script s = {.kind = kind, .from = k + 1, .to = k + 1};
            k++;
            calls = read_faulty(&s, &errors);
            told += errors;
            if (errors > 1 || (errors == 1 && kind != FAIL_EIO))
                fail_msg("kind %d, call %lu: %u errors", (int)kind, (unsigned long)k, errors);
        } while (k < calls);
        assert_true(k > 20);
        if (kind == FAIL_EIO)
            assert_true(told > 0); /* the plain ones are not hidden */
    }
}

static void every_read_fails_once(void **state)
{
    (void)state;
    fail_every_read_once();
}

/* The ended segments; the open one stays as it is. */
static void compress_all(void)
{
    char file[64];
    int directory = open(pages.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (tb_seq first = 1; first <= FIRST_ENDS + 1; first += FIRST_ENDS) {
        (void)snprintf(file, sizeof(file), "%020llu-%020llu.tbj", (unsigned long long)EPOCH,
                       (unsigned long long)first);
        assert_int_equal(tb_journal_compress(directory, file, 1, NULL), 1);
    }
    (void)close(directory);
}

static void every_read_of_compressed_segments_fails_once(void **state)
{
    (void)state;
    compress_all();
    fail_every_read_once();
}

static void all_of_them_late_and_short(void **state)
{
    unsigned errors;
    (void)state;
    for (enum kind kind = FAIL_CANCELED; kind < KINDS; kind++) {
        struct script s = {.kind = kind, .from = 1, .to = UINT64_MAX};
        (void)read_faulty(&s, &errors);
        assert_int_equal(errors, 0);
    }
}

/* A place that can not be read is an error each time, after everything before it. */
static long bad_place(void *context, uint64_t number, enum tb_uring_op op, int fd,
                      const void *bytes, size_t count, uint64_t offset)
{
    const uint64_t *bad = context;
    (void)number, (void)op, (void)fd, (void)bytes;
    if (offset > *bad || offset + count <= *bad)
        return 1;
    return offset == *bad ? -EIO : (long)(*bad - offset);
}

static void a_place_that_can_not_be_read_is_an_error(void **state)
{
    uint64_t bad = (TB_JOURNAL_STATE_PAGE + 200) * (uint64_t)TB_JOURNAL_PAGE;
    const struct tb_uring_fault fault = {.decide = bad_place, .context = &bad};
    static struct tb_record records[1000];
    struct tb_journal *j = journal();
    tb_seq next = 1;
    (void)state;
    tb_journal_seek_oldest(j);
    tb_journal_read_fault = &fault;
    read_to(j, &next, 200 * 63);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tb_journal_read(j, records, 1000, NULL, NULL), -EIO);
    tb_journal_read_fault = NULL;
    read_to(j, &next, LAST);
    tb_journal_close(j);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(looking_up_needs_no_ring),
        TEST(going_on_has_one_until_the_end),
        TEST(jumping_about_in_between_is_harmless),
        TEST(readers_of_one_process_do_not_meet),
        TEST(a_forked_process_goes_on_where_it_was),
        TEST(where_it_is_refused_plain_reads_do),
        TEST(every_read_fails_once),
        TEST(every_read_of_compressed_segments_fails_once),
        TEST(all_of_them_late_and_short),
        TEST(a_place_that_can_not_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
