/* How long a venue is left alone after it refused a request: by its own word, or growing by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tickbus/clock.h>

#include "producers/feed/rest.h"

static struct rest rest;
static int listener, last_status;
static char url[64];

static void done(void *context, uint32_t number, const char *path, int status, const char *body,
                 size_t length, const char *failure)
{
    (void)context, (void)number, (void)path, (void)body, (void)length, (void)failure;
    last_status = status;
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    struct rest_options options = {
        .base_url = url, .connect_timeout = 5 * TB_NS_PER_S, .timeout = 5 * TB_NS_PER_S};

    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(at.sin_port));
    memset(&rest, 0, sizeof(rest));
    return rest_init(&rest, &options, done, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rest_fini(&rest);
    return close(listener);
}

/* The answer to whoever connects next, if somebody does within a moment. */
static void serve(const char *status, const char *header)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    char request[4096], answer[512];

    if (poll(&waiting, 1, 1) != 1)
        return;
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    for (tb_ns end = tb_clock_mono() + 5 * TB_NS_PER_S; tb_clock_mono() < end;) {
        struct pollfd client = {.fd = fd, .events = POLLIN};
        (void)rest_turn(&rest, tb_clock_mono()); /* it has yet to send */
        if (poll(&client, 1, 1) == 1)
            break;
    }
    assert_true(read(fd, request, sizeof(request)) > 0);
    int length = snprintf(answer, sizeof(answer),
                          "HTTP/1.1 %s\r\n%sContent-Length: 2\r\nConnection: close\r\n\r\n{}",
                          status, header);
    assert_int_equal(write(fd, answer, (size_t)length), length);
    assert_int_equal(close(fd), 0);
}

/* One request, answered so. How long the venue is left alone from then on. */
static tb_ns refused(const char *status, const char *header)
{
    rest.held_until = 0;
    last_status = -1;
    assert_int_equal(rest_get(&rest, 1, "/x", 0), 0);
    tb_ns begin = tb_clock_mono();
    while (last_status == -1 && tb_clock_mono() < begin + 10 * TB_NS_PER_S) {
        (void)rest_turn(&rest, tb_clock_mono());
        serve(status, header);
    }
    assert_int_equal(last_status, atoi(status));
    tb_ns now = tb_clock_mono();
    return rest.held_until > now ? rest.held_until - now : 0;
}

static bool is_about(tb_ns wait, int seconds)
{
    return wait <= seconds * TB_NS_PER_S && wait > (seconds - 5) * TB_NS_PER_S;
}

static void venue_says_for_how_many_seconds(void **state)
{
    (void)state;
    assert_true(is_about(refused("429 Too Many", "Retry-After: 7\r\n"), 7));
    assert_true(is_about(refused("418 Banned", "Retry-After: 90\r\n"), 90));
    assert_true(is_about(refused("503 Later", "Retry-After: 12\r\n"), 12));
    assert_true(is_about(refused("429 Too Many", "Retry-After: 1\r\n"), 1));
}

static void venue_says_until_when(void **state)
{
    (void)state;
    char header[128];
    time_t then = time(NULL) + 40;
    struct tm utc;

    (void)strftime(header, sizeof(header), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
                   gmtime_r(&then, &utc));
    assert_true(is_about(refused("429 Too Many", header), 40));
}

static void an_hour_is_the_most(void **state)
{
    (void)state;
    assert_true(is_about(refused("418 Banned", "Retry-After: 259200\r\n"), 3600));
}

static void without_a_word_the_wait_grows_with_jitter_until_all_is_well(void **state)
{
    (void)state;
    tb_ns greatest = 0;

    assert_true(refused("429 Too Many", "") <= 3 * TB_NS_PER_S);
    for (int i = 0; i < 12; i++) {
        tb_ns wait = refused("429 Too Many", "");
        assert_true(wait > 0);
        greatest = wait > greatest ? wait : greatest;
    }
    assert_true(greatest > 4 * TB_NS_PER_S && greatest < 121 * TB_NS_PER_S);
    assert_int_equal(refused("200 OK", ""), 0);
    assert_true(refused("429 Too Many", "") <= 3 * TB_NS_PER_S);
}

static void other_failures_hold_nothing_back(void **state)
{
    (void)state;
    assert_int_equal(refused("500 Oops", "Retry-After: 60\r\n"), 0);
    assert_int_equal(refused("503 Later", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(venue_says_for_how_many_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(venue_says_until_when, setup, teardown),
        cmocka_unit_test_setup_teardown(an_hour_is_the_most, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_word_the_wait_grows_with_jitter_until_all_is_well,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(other_failures_hold_nothing_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
