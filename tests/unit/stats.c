/* Statistics pages: of the living and of the dead. */
#include "unit/bus_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <tickbus/stats.h>

static struct tb_stats open_page(struct bus *bus)
{
    struct tb_stats s;
    if (tb_stats_open(bus->dir, "svc", "tickbus-test", &s, &bus->err) != 0)
        fail_msg("%s", bus->err.text);
    return s;
}

static void a_page_tells_about_its_process(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_stats s = open_page(bus);
    struct tb_stats_page page;
    bool alive = false;
    tb_stats_set(tb_stats_add(&s, "records_read", TB_STAT_COUNTER), 12);
    tb_stats_set(tb_stats_add(&s, "lag", TB_STAT_GAUGE), -3);
    tb_stats_state(&s, TB_SERVICE_DEGRADED, "a reason");
    tb_stats_housekeep(&s, tb_clock_wall());
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, &bus->err), 0);
    assert_true(alive);
    assert_int_equal(page.pid, getpid());
    assert_string_equal(page.service, "svc");
    assert_string_equal(page.program, "tickbus-test");
    assert_int_equal(page.state, TB_SERVICE_DEGRADED);
    assert_string_equal(page.note, "a reason");
    assert_string_equal(page.counter[0].name, "records_read");
    assert_int_equal(page.counter[0].value, 12);
    assert_int_equal(page.counter[1].value, -3);
    assert_true(page.rss_bytes > 100000);
    assert_true(page.open_fds >= 3);
    tb_stats_close(&s, TB_SERVICE_STOPPED, 7);
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, &bus->err), 0);
    assert_false(alive);
    assert_int_equal(page.state, TB_SERVICE_STOPPED);
    assert_int_equal(page.exit_code, 7);
}

static void the_next_life_counts_from_zero_and_its_starts_go_on(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_stats_page page;
    bool alive;
    for (uint64_t life = 1; life <= 3; life++) {
        struct tb_stats s = open_page(bus);
        struct tb_stats_counter *c = tb_stats_add(&s, "n", TB_STAT_COUNTER);
        assert_int_equal(c->value, 0);
        tb_stats_set(c, 5);
        assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), 0);
        assert_int_equal(page.starts, life);
        tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
    }
}

static void a_second_process_is_refused_and_told_the_pid(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_stats s = open_page(bus), second;
    char expected[64];
    snprintf(expected, sizeof(expected), "pid %d", (int)getpid());
    assert_int_equal(tb_stats_open(bus->dir, "svc", "x", &second, &bus->err), -EBUSY);
    assert_non_null(strstr(bus->err.text, expected));
    tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
}

static void a_killed_process_is_seen_to_be_dead(void **state)
{
    struct bus *bus = bus_of(state);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct tb_stats s;
        char byte = tb_stats_open(bus->dir, "svc", "x", &s, NULL) == 0 ? 'y' : 'n';
        tb_stats_state(&s, TB_SERVICE_RUNNING, NULL);
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    struct tb_stats_page page;
    bool alive = false;
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), 0);
    assert_true(alive);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), 0);
    assert_false(alive);
    assert_int_equal(page.state, TB_SERVICE_RUNNING);
    close(ready[0]);
    close(ready[1]);
}

static void a_hostile_page_is_refused_or_made_safe(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_stats_page page;
    bool alive;
    char path[160];
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), -ENOENT);
    FILE *f = fopen(bus_path(bus, "svc.stats", path), "w");
    fputs("short", f);
    fclose(f);
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), -EBADMSG);

    struct tb_stats s = open_page(bus);
    memset(s.page->note, 'x', sizeof(s.page->note));
    memset(s.page->counter[0].name, 'y', sizeof(s.page->counter[0].name));
    s.page->counter[0].kind = 1;
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), 0);
    assert_int_equal(strlen(page.note), sizeof(page.note) - 1);
    assert_int_equal(strlen(page.counter[0].name), sizeof(page.counter[0].name) - 1);
    s.page->layout = 9;
    assert_int_equal(tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL), -EPROTO);
    tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
}

static void counters_have_an_end(void **state)
{
    struct tb_stats s = open_page(bus_of(state));
    char name[16];
    for (int i = 0; i < TB_STATS_COUNTERS; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_non_null(tb_stats_add(&s, name, TB_STAT_COUNTER));
    }
    assert_null(tb_stats_add(&s, "one_more", TB_STAT_COUNTER));
    assert_ptr_equal(tb_stats_add(&s, "c5", TB_STAT_COUNTER), &s.page->counter[5]);
    tb_stats_set(NULL, 1); /* as a caller does whose counter had no room */
    tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
}

static void *live_again_and_again(void *context)
{
    struct bus *bus = context;
    char name[40];
    for (int life = 0; life < 3000; life++) {
        struct tb_stats s;
        if (tb_stats_open(bus->dir, "svc", "x", &s, NULL) != 0)
            return (void *)1;
        for (int i = 0; i < TB_STATS_COUNTERS; i++) {
            snprintf(name, sizeof(name), "a_counter_with_a_long_name_%012d", i);
            (void)tb_stats_add(&s, name, TB_STAT_COUNTER);
        }
        for (int i = 0; i < TB_STATS_HISTOGRAMS; i++) {
            snprintf(name, sizeof(name), "a_histogram_of_a_long_name_%012d", i);
            (void)tb_stats_add_histogram(&s, name);
        }
        tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
    }
    return NULL;
}

static void a_page_in_the_making_shows_no_half_name(void **state)
{
    struct bus *bus = bus_of(state);
    struct tb_stats_page page;
    pthread_t thread;
    bool alive;
    void *fault = NULL;
    assert_int_equal(pthread_create(&thread, NULL, live_again_and_again, bus), 0);
    while (pthread_tryjoin_np(thread, &fault) != 0) {
        if (tb_stats_inspect(bus->dir, "svc", &page, &alive, NULL) != 0)
            continue; /* not yet */
        assert_string_equal(page.program, "x");
        assert_true(page.starts > 0);
        for (size_t i = 0; i < TB_STATS_COUNTERS; i++)
            if (page.counter[i].kind != 0)
                assert_int_equal(strlen(page.counter[i].name), 39);
        for (size_t i = 0; i < TB_STATS_HISTOGRAMS; i++)
            if (page.histogram[i].name[0] != '\0')
                assert_int_equal(strlen(page.histogram[i].name), 39);
    }
    assert_null(fault);
}

static void quantiles_are_upper_bounds(void **state)
{
    struct tb_stats s = open_page(bus_of(state));
    struct tb_stats_histogram *h = tb_stats_add_histogram(&s, "x_ns");
    assert_int_equal(tb_histogram_quantile(h, 0.5), 0);
    for (int i = 0; i < 99; i++)
        tb_stats_observe(h, 1000);
    tb_stats_observe(h, 1000000);
    assert_int_equal(tb_histogram_quantile(h, 0.5), 1024);
    assert_int_equal(tb_histogram_quantile(h, 0.99), 1024);
    assert_int_equal(tb_histogram_quantile(h, 0.999), 1 << 20);
    assert_int_equal(h->max, 1000000);
    assert_int_equal(h->count, 100);
    tb_stats_observe(h, -5);
    tb_stats_observe(h, INT64_MAX);
    assert_int_equal(h->bucket[0], 1);
    assert_int_equal(h->bucket[TB_STATS_BUCKETS - 1], 1);
    tb_stats_close(&s, TB_SERVICE_STOPPED, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_page_tells_about_its_process),
        BUS_TEST(the_next_life_counts_from_zero_and_its_starts_go_on),
        BUS_TEST(a_second_process_is_refused_and_told_the_pid),
        BUS_TEST(a_killed_process_is_seen_to_be_dead),
        BUS_TEST(a_hostile_page_is_refused_or_made_safe),
        BUS_TEST(counters_have_an_end),
        BUS_TEST(a_page_in_the_making_shows_no_half_name),
        BUS_TEST(quantiles_are_upper_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
