/* SIGBUS: ours becomes zero pages and a flag, everybody else's stays theirs. */
#include "bus_fixture.h"

#include <sys/wait.h>

#include "bus/mapping_guard.h"

static volatile char *mapped_file(struct bus *bus, const char *name, int *out_fd)
{
    char path[160];
    *out_fd = open(bus_path(bus, name, path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(*out_fd >= 0);
    assert_int_equal(posix_fallocate(*out_fd, 0, 16384), 0);
    char *base = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, *out_fd, 0);
    assert_true(base != MAP_FAILED);
    memset(base, 'x', 16384);
    return base;
}

static void a_guarded_hole_reads_as_zero_and_is_flagged(void **state)
{
    int fd, other_fd;
    volatile char *base = mapped_file(bus_of(state), "a", &fd);
    volatile char *other = mapped_file(bus_of(state), "b", &other_fd);
    int guard = tb_guard_add((void *)base, 16384, PROT_READ | PROT_WRITE);
    int other_guard = tb_guard_add((void *)other, 16384, PROT_READ | PROT_WRITE);
    assert_int_equal(base[9000], 'x');
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(base[100], 'x');
    assert_int_equal(*tb_guard_broken(guard), 0);
    assert_int_equal(base[9000], 0);
    assert_int_equal(*tb_guard_broken(guard), 1);
    assert_int_equal(base[100], 0); /* all of it: half a file is no file */
    base[5000] = 1;                 /* writable as it was */
    assert_int_equal(*tb_guard_broken(other_guard), 0);
    assert_int_equal(other[9000], 'x');
    tb_guard_remove(guard);
    tb_guard_remove(other_guard);
    tb_guard_remove(-1);
    (void)close(fd);
    (void)close(other_fd);
}

static void an_unguarded_sigbus_still_kills(void **state)
{
    int fd;
    volatile char *base = mapped_file(bus_of(state), "a", &fd);
    (void)signal(SIGBUS,
                 SIG_DFL); /* cmocka has a handler of its own, to which ours would pass on */
    int guard = tb_guard_add((void *)base, 4096, PROT_READ);
    assert_int_equal(ftruncate(fd, 0), 0);
    int status;
    pid_t child = bus_fork();
    if (child == 0)
        _exit(base[8192]); /* handler installed, but this page is not guarded */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    child = bus_fork();
    if (child == 0) {
        (void)raise(SIGBUS); /* sent by somebody, no address of ours */
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    tb_guard_remove(guard);
    (void)close(fd);
}

static volatile sig_atomic_t theirs_called;
static struct sigaction ours_as_they_saw_it;

static void theirs(int number, siginfo_t *info, void *context)
{
    theirs_called++;
    if (theirs_called > 3)
        _exit(99);
    ours_as_they_saw_it.sa_sigaction(number, info, context);
}

/* A handler set after ours, which calls ours: each finds its own, and a stranger's fault still kills. */
static void handlers_that_call_each_other_do_not_go_in_circles(void **state)
{
    int fd, other_fd;
    volatile char *base = mapped_file(bus_of(state), "a", &fd);
    volatile char *stranger = mapped_file(bus_of(state), "b", &other_fd);
    int guard = tb_guard_add((void *)base, 4096, PROT_READ);
    struct sigaction action = {.sa_sigaction = theirs, .sa_flags = SA_SIGINFO};
    assert_int_equal(sigaction(SIGBUS, &action, &ours_as_they_saw_it), 0);
    int again = tb_guard_add((void *)(base + 4096), 4096, PROT_READ); /* ours is first once more */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(other_fd, 0), 0);
    assert_int_equal(base[5000], 0);
    assert_int_equal(theirs_called, 0);
    pid_t child = bus_fork();
    if (child == 0)
        _exit(stranger[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    tb_guard_remove(guard);
    tb_guard_remove(again);
    (void)close(fd);
    (void)close(other_fd);
}

static void a_full_table_refuses_and_freed_places_are_used_again(void **state)
{
    (void)state;
    int first = tb_guard_add((void *)(uintptr_t)4096, 1, PROT_READ), last = first;
    int count = 0;
    while (last >= 0) {
        count++;
        last = tb_guard_add((void *)(uintptr_t)4096, 1, PROT_READ);
    }
    assert_int_equal(last, -EMFILE);
    tb_guard_remove(first);
    assert_int_equal(tb_guard_add((void *)(uintptr_t)4096, 1, PROT_READ), first);
    for (int i = 0; i < count; i++)
        tb_guard_remove(first + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_guarded_hole_reads_as_zero_and_is_flagged),
        BUS_TEST(an_unguarded_sigbus_still_kills),
        BUS_TEST(handlers_that_call_each_other_do_not_go_in_circles),
        BUS_TEST(a_full_table_refuses_and_freed_places_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
