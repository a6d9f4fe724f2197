/* A word with a producer over its socket: an answer, or why there is none, in the time that was given. */
#include "bus_fixture.h"

#include <pthread.h>

#include <tickbus/control.h>

static void echo(void *context, const char *request, char answer[TB_CONTROL_BYTES])
{
    ++*(int *)context;
    (void)snprintf(answer, TB_CONTROL_BYTES, "heard %.400s", request);
}

struct served {
    struct tb_control control;
    _Atomic(bool) stop;
    int asked;
};

static void *serve(void *context)
{
    struct served *s = context;
    while (!atomic_load(&s->stop)) {
        tb_control_turn(&s->control, echo, &s->asked);
        (void)usleep(200);
    }
    return NULL;
}

static void a_request_is_answered(void **state)
{
    struct bus *bus = bus_of(state);
    struct served s = {.asked = 0};
    char answer[TB_CONTROL_BYTES], path[160];
    struct stat st;
    pthread_t thread;
    assert_int_equal(tb_control_open(&s.control, bus->dir, "s"), 0);
    assert_int_equal(stat(bus_path(bus, "s.control", path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
    assert_int_equal(tb_control_ask(bus->dir, "s", "resync *", 10 * TB_NS_PER_S, answer), 0);
    assert_string_equal(answer, "heard resync *");
    atomic_store(&s.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(s.asked, 1);
    tb_control_close(&s.control);
    assert_int_equal(tb_control_ask(bus->dir, "s", "x", TB_NS_PER_S, answer), -ENOENT);
}

static void a_socket_of_a_dead_producer_is_replaced(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_control first, second;
    char answer[TB_CONTROL_BYTES];
    assert_int_equal(tb_control_open(&first, bus->dir, "s"), 0);
    (void)close(first.fd); /* as a kill does: the name stays */
    (void)close(first.directory);
    assert_int_equal(tb_control_ask(bus->dir, "s", "x", TB_NS_PER_S, answer), -ECONNREFUSED);
    assert_int_equal(tb_control_open(&second, bus->dir, "s"), 0);
    assert_int_equal(tb_control_ask(bus->dir, "s", "x", TB_NS_PER_MS, answer), -ETIMEDOUT);
    tb_control_close(&second);
}

/* It is stopped, or hangs; more requests than its socket holds are as little answered as the first ones. */
static void a_producer_that_does_not_listen_holds_nobody_up(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_control c;
    char answer[TB_CONTROL_BYTES];
    int asked = 0, room = 0;
    FILE *limit = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
    if (limit == NULL || fscanf(limit, "%d", &room) != 1)
        skip();
    (void)fclose(limit);
    assert_int_equal(tb_control_open(&c, bus->dir, "s"), 0);
    (void)alarm(20); /* instead of waiting for ever */
    for (int i = 0; i < room + 3; i++)
        assert_int_equal(tb_control_ask(bus->dir, "s", "x", 0, answer), -ETIMEDOUT);
    (void)alarm(0);
    /* Those who asked are gone; that harms nobody. */
    for (int i = 0; i <= room; i++)
        tb_control_turn(&c, echo, &asked);
    assert_true(asked >= room);
    tb_control_close(&c);
    tb_control_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_request_is_answered),
        BUS_TEST(a_socket_of_a_dead_producer_is_replaced),
        BUS_TEST(a_producer_that_does_not_listen_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
