/* Checkpoints: whole ones, whatever happens. */
#include "unit/bus_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include <tickbus/checkpoint.h>

static struct tb_checkpoint open_it(struct bus *bus, uint32_t version, size_t max)
{
    struct tb_checkpoint c;
    if (tb_checkpoint_open(bus->dir, "svc", version, max, &c, &bus->err) != 0)
        fail_msg("%s", bus->err.text);
    return c;
}

static void save(struct tb_checkpoint *c, const char *text)
{
    char *bytes = tb_checkpoint_begin(c, strlen(text));
    assert_non_null(bytes);
    memcpy(bytes, text, strlen(text));
    tb_checkpoint_commit(c, strlen(text));
}

static void expect(const struct tb_checkpoint *c, const char *text)
{
    size_t bytes;
    const char *saved = tb_checkpoint_load(c, &bytes);
    if (text == NULL) {
        assert_null(saved);
        assert_int_equal(bytes, 0);
        return;
    }
    assert_non_null(saved);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(saved, text, bytes);
}

static void what_was_saved_last_is_loaded(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, 100);
    expect(&c, NULL);
    save(&c, "first");
    expect(&c, "first");
    save(&c, "the second");
    save(&c, "3");
    expect(&c, "3");
    tb_checkpoint_close(&c);
    c = open_it(bus, 1, 100);
    expect(&c, "3");
    tb_checkpoint_close(&c);
}

static void death_in_the_middle_leaves_the_one_before(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, 100000);
    save(&c, "good");
    tb_checkpoint_close(&c);
    for (size_t half = 0; half <= 100000; half += 20000) {
        pid_t pid = fork();
        if (pid == 0) {
            struct tb_checkpoint mine;
            if (tb_checkpoint_open(bus->dir, "svc", 1, 100000, &mine, NULL) != 0)
                _exit(1);
            char *bytes = tb_checkpoint_begin(&mine, 100000);
            memset(bytes, 'x', half);
            kill(getpid(), SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        c = open_it(bus, 1, 100000);
        expect(&c, "good");
        tb_checkpoint_close(&c);
    }
}

static void another_version_or_size_begins_anew(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, 100);
    save(&c, "one");
    tb_checkpoint_close(&c);
    c = open_it(bus, 2, 100);
    expect(&c, NULL);
    save(&c, "two");
    tb_checkpoint_close(&c);
    c = open_it(bus, 2, 10000);
    expect(&c, NULL);
    tb_checkpoint_close(&c);
}

static void damage_is_found(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, 100);
    save(&c, "one");
    tb_checkpoint_close(&c);
    size_t bytes;
    uint64_t *words = bus_map(bus, "svc.state", &bytes);
    for (int i = 3; i < 5; i++)
        words[i] = UINT64_MAX; /* the lengths of both buffers */
    munmap(words, bytes);
    c = open_it(bus, 1, 100);
    expect(&c, NULL);
    tb_checkpoint_close(&c);
}

/* In whichever buffer: what was saved is as it was, or it is not there. */
static void a_changed_byte_is_no_state(void **state)
{
    struct bus *bus = bus_of(state);
    for (size_t at = 0; at < 6; at++) {
        struct tb_checkpoint c = open_it(bus, 1, 100);
        save(&c, "first");
        save(&c, "second");
        tb_checkpoint_close(&c);
        size_t bytes;
        char *file = bus_map(bus, "svc.state", &bytes);
        char *saved = memmem(file, bytes, "second", 6);
        assert_non_null(saved);
        saved[at] ^= 1;
        munmap(file, bytes);
        c = open_it(bus, 1, 100);
        expect(&c, NULL);
        tb_checkpoint_close(&c);
    }
}

static void memory_is_taken_as_it_is_needed(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, (size_t)1 << 30);
    save(&c, "little");
    struct stat st;
    char path[160];
    assert_int_equal(stat(bus_path(bus, "svc.state", path), &st), 0);
    assert_true(st.st_size > (off_t)1 << 30);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
    assert_null(tb_checkpoint_begin(&c, ((size_t)1 << 30) + 1));
    expect(&c, "little");
    tb_checkpoint_close(&c);
}

static void two_processes_can_not_share_one(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_checkpoint c = open_it(bus, 1, 100), second;
    assert_int_equal(tb_checkpoint_open(bus->dir, "svc", 1, 100, &second, &bus->err), -EBUSY);
    tb_checkpoint_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(what_was_saved_last_is_loaded),
        BUS_TEST(death_in_the_middle_leaves_the_one_before),
        BUS_TEST(another_version_or_size_begins_anew),
        BUS_TEST(damage_is_found),
        BUS_TEST(a_changed_byte_is_no_state),
        BUS_TEST(memory_is_taken_as_it_is_needed),
        BUS_TEST(two_processes_can_not_share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
