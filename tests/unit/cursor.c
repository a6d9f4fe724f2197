/* Cursor pages: one living reader a name, taken over from the dead, gone when closed. */
#include "bus_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

static void a_name_belongs_to_one_living_reader(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, &(struct tb_reader_options){.name = "tail"}), second;
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
    const struct tb_reader_options same = {.name = "tail"}, bad = {.name = "../tail"};
    assert_int_equal(tb_reader_open(bus->dir, "s", &same, &second, &bus->err), -EBUSY);
    assert_non_null(strstr(bus->err.text, pid));
    assert_int_equal(tb_reader_open(bus->dir, "s", &bad, &second, &bus->err), -EINVAL);
    tb_reader_close(&r, false);
    tb_reader_close(&r, false);
    tb_reader_close(NULL, false);
    second = bus_reader(bus, &same);
    tb_reader_close(&second, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    assert_int_equal(bus_files(bus, false), 0);
}

static void the_page_says_where_the_reader_is(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r =
        bus_reader(bus, &(struct tb_reader_options){.name = "tail", .wait = TB_WAIT_YIELD});
    publish(&w, 20);
    uint64_t lost = tb_reader_resync(&r);
    assert_int_equal(lost + read_all(&r), 20);
    struct tb_cursor_info info;
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.tail", &info, &bus->err), 0);
    assert_int_equal(info.cursor, 1);
    tb_reader_release(&r, 19, 4711);
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.tail", &info, &bus->err), 0);
    assert_true(info.alive);
    assert_int_equal(info.pid, getpid());
    assert_string_equal(info.stream, "s");
    assert_string_equal(info.reader, "tail");
    assert_int_equal(info.wait, TB_WAIT_YIELD);
    assert_int_equal(info.epoch, w.epoch);
    assert_int_equal(info.cursor, 21);
    assert_int_equal(info.needed, 19);
    assert_int_equal(info.lost, lost);
    assert_int_equal(info.overruns, 1);
    assert_int_equal(info.heartbeat, 4711);
    tb_reader_close(&r, true);
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.tail", &info, &bus->err), 0);
    assert_false(info.alive);
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.other", &info, &bus->err), -ENOENT);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

/* What a journal says is on disk is of one epoch: its next life begins there, and in another with nothing. */
static void what_was_durable_is_known_to_the_next_life(void **state)
{
    struct bus *bus = bus_of(state);
    const struct tb_reader_options as = {.name = "journal"};
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader r = bus_reader(bus, &as);
    assert_int_equal(tb_reader_durable_before(&r), 0);
    tb_reader_durable(&r, 5);
    tb_reader_close(&r, true);
    r = bus_reader(bus, &as);
    assert_int_equal(tb_reader_durable_before(&r), 5);
    tb_reader_close(&r, true);
    tb_writer_close(&w, TB_STREAM_STOPPED);
    assert_int_equal(tb_writer_unlink(bus->dir, "s", &bus->err), 0);
    w = bus_writer_of(bus, 8);
    r = bus_reader(bus, &as);
    assert_int_equal(tb_reader_durable_before(&r), 0);
    struct tb_cursor_info info;
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.journal", &info, &bus->err), 0);
    assert_int_equal(info.durable, 0);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void what_a_killed_reader_lost_is_not_forgotten(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    publish(&w, 3);
    for (int life = 1; life <= 3; life++) {
        pid_t child = bus_fork();
        if (child == 0) {
            struct tb_reader r;
            const struct tb_reader_options from_1 = {.name = "x", .from = TB_FROM_SEQ, .seq = 1};
            if (tb_reader_open(bus->dir, "s", &from_1, &r, NULL) != 0)
                _exit(1);
            publish(&w, 20 * (unsigned)life);
            (void)tb_reader_resync(&r);
            tb_reader_release(&r, r.cursor, life);
            (void)raise(SIGKILL);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        w.next_seq += 20 * (unsigned)life; /* the child wrote with our mapping */
        struct tb_cursor_info info;
        assert_int_equal(tb_cursor_inspect(bus->dir, "s.x", &info, &bus->err), 0);
        assert_false(info.alive);
        assert_int_equal(info.pid, child);
        assert_int_equal(info.overruns, life);
        assert_int_equal(info.lost, life == 1 ? 17 : life == 2 ? 17 + 57 : 17 + 57 + 117);
    }
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_reader_that_could_not_be_opened_leaves_no_page(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    int files = bus_files(bus, false);
    const struct tb_reader_options far = {.from = TB_FROM_SEQ, .seq = 100, .name = "x"};
    struct tb_reader r;
    assert_int_equal(tb_reader_open(bus->dir, "s", &far, &r, &bus->err), -ERANGE);
    assert_int_equal(bus_files(bus, false), files);

    pid_t child = bus_fork();
    if (child == 0) { /* no room for the page */
        const struct rlimit none = {0, 0};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &none);
        int rc = tb_reader_open(bus->dir, "s", &(struct tb_reader_options){.name = "x"}, &r, NULL);
        _exit(rc == -EFBIG ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(bus_files(bus, false), files);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static void a_damaged_page_is_made_anew(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    char path[160];
    int fd = open(bus_path(bus, "s.x.cursor", path), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "rubbish", 7), 7);
    (void)close(fd);
    struct tb_cursor_info info;
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.x", &info, &bus->err), -EBADMSG);
    struct tb_reader r = bus_reader(bus, &(struct tb_reader_options){.name = "x"});
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.x", &info, &bus->err), 0);
    assert_int_equal(info.lost, 0);
    struct tb_cursor_page *page = bus_map(bus, "s.x.cursor", NULL);
    page->layout = 9;
    assert_int_equal(tb_cursor_inspect(bus->dir, "s.x", &info, &bus->err), -EPROTO);
    /* cut short under its own reader: no harm to anything but the page */
    assert_int_equal(truncate(path, 0), 0);
    publish(&w, 3);
    assert_int_equal(read_all(&r), 3);
    tb_reader_release(&r, 4, 1);
    tb_reader_close(&r, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

static int collect(const char *name, void *context)
{
    char *all = context;
    strcat(all, name);
    strcat(all, " ");
    return strcmp(name, "stop") == 0 ? 42 : 0;
}

static void a_bus_lists_its_files(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_writer w = bus_writer_of(bus, 8);
    struct tb_reader b = bus_reader(bus, &(struct tb_reader_options){.name = "b"});
    struct tb_reader a = bus_reader(bus, &(struct tb_reader_options){.name = "a"});
    char all[100] = "", path[160];
    int fd = open(bus_path(bus, "BAD\n.cursor", path), O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    assert_int_equal(tb_bus_list(bus->dir, ".cursor", collect, all, &bus->err), 0);
    assert_string_equal(all, "s.a s.b ");
    all[0] = '\0';
    assert_int_equal(tb_bus_list(bus->dir, ".ring", collect, all, &bus->err), 0);
    assert_string_equal(all, "s ");
    fd = open(bus_path(bus, "stop.ring", path), O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    assert_int_equal(tb_bus_list(bus->dir, ".ring", collect, all, &bus->err), 42);
    assert_int_equal(tb_bus_list("/nowhere", ".ring", collect, all, &bus->err), -ENOENT);
    tb_reader_close(&a, false);
    tb_reader_close(&b, false);
    tb_writer_close(&w, TB_STREAM_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_name_belongs_to_one_living_reader),
        BUS_TEST(the_page_says_where_the_reader_is),
        BUS_TEST(what_was_durable_is_known_to_the_next_life),
        BUS_TEST(what_a_killed_reader_lost_is_not_forgotten),
        BUS_TEST(a_reader_that_could_not_be_opened_leaves_no_page),
        BUS_TEST(a_damaged_page_is_made_anew),
        BUS_TEST(a_bus_lists_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
