/* The pieces of a feed that need no socket: when to try again, and what an address says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "producers/adapter/adapter.h"
#include "producers/feed/backoff.h"
#include "producers/feed/kept.h"
#include "producers/feed/last_read.h"
#include "producers/feed/outbox.h"
#include "producers/feed/socket.h"

static void waits_double_up_to_the_most_and_fill_their_range(void **state)
{
    (void)state;
    struct backoff b;
    tb_ns ceiling = 250 * TB_NS_PER_MS, highest = 0, lowest = INT64_MAX;

    backoff_init(&b, ceiling, 30 * TB_NS_PER_S, 7);
    for (int i = 0; i < 100; i++) {
        assert_in_range(backoff_next(&b), 0, ceiling);
        ceiling = ceiling * 2 > 30 * TB_NS_PER_S ? 30 * TB_NS_PER_S : ceiling * 2;
    }
    for (int i = 0; i < 1000; i++) {
        tb_ns wait = backoff_next(&b);
        highest = wait > highest ? wait : highest;
        lowest = wait < lowest ? wait : lowest;
    }
    assert_true(highest > 29 * TB_NS_PER_S && lowest < TB_NS_PER_S);
    backoff_reset(&b);
    assert_in_range(backoff_next(&b), 0, 250 * TB_NS_PER_MS);
}

/* Every attempt fails at once. The least that a venue allows in ten minutes is Kraken's: 150. */
static void attempts_stay_below_what_venues_allow(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct backoff b;
        tb_ns at = 0;
        int attempts = 0;

        backoff_init(&b, 250 * TB_NS_PER_MS, 30 * TB_NS_PER_S, seed);
        for (; at < 600 * TB_NS_PER_S; attempts++)
            at += backoff_next(&b);
        assert_in_range(attempts, 20, 149);
    }
}

static void two_seeds_wait_differently(void **state)
{
    (void)state;
    struct backoff a, b;
    int equal = 0;

    backoff_init(&a, TB_NS_PER_S, TB_NS_PER_S, 1);
    backoff_init(&b, TB_NS_PER_S, TB_NS_PER_S, 2);
    for (int i = 0; i < 100; i++)
        equal += backoff_next(&a) == backoff_next(&b);
    assert_int_equal(equal, 0);
}

static void the_widest_bounds_do_not_overflow(void **state)
{
    (void)state;
    struct backoff b;

    backoff_init(&b, 1, INT64_MAX, 3);
    for (int i = 0; i < 200; i++)
        assert_true(backoff_next(&b) >= 0);
}

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    struct socket_url url;
    struct tb_error err;

    assert_int_equal(socket_url_parse("wss://stream.binance.com:9443", &url, &err), 0);
    assert_true(url.tls);
    assert_string_equal(url.host, "stream.binance.com");
    assert_int_equal(url.port, 9443);
    assert_string_equal(url.path, "");
    assert_int_equal(socket_url_parse("ws://[::1]/a/b/", &url, &err), 0);
    assert_false(url.tls);
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 80);
    assert_string_equal(url.path, "/a/b");
    assert_int_equal(socket_url_parse("wss://host", &url, &err), 0);
    assert_int_equal(url.port, 443);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "host",          "http://host", "wss://",
        "ws:host", "wss://h:99999", "wss://h:x",   "file:///etc/passwd"};
    struct socket_url url;
    struct tb_error err;

    for (size_t i = 0; i < TB_COUNT(bad); i++)
        assert_int_equal(socket_url_parse(bad[i], &url, &err), -EINVAL);
}

static void messages_go_when_due_and_in_their_order(void **state)
{
    (void)state;
    struct outbox o;

    assert_int_equal(outbox_init(&o), 0);
    assert_null(outbox_next(&o));
    assert_int_equal(outbox_put(&o, "later", 5, 20), 0);
    assert_int_equal(outbox_put(&o, "first", 5, 10), 0);
    assert_int_equal(outbox_put(&o, "second", 6, 10), 0);
    static const char *const order[] = {"first", "second", "later"};
    for (size_t i = 0; i < 3; i++) {
        const struct outbox_message *m = outbox_next(&o);
        assert_memory_equal(m->text, order[i], m->length);
        outbox_drop(&o, m);
    }
    assert_null(outbox_next(&o));
    for (int i = 0; i < OUTBOX_MAX; i++)
        assert_int_equal(outbox_put(&o, "x", 1, i), 0);
    assert_int_equal(outbox_put(&o, "x", 1, 0), -ENOBUFS);
    outbox_clear(&o);
    assert_null(outbox_next(&o));
    outbox_fini(&o);
}

static void what_is_kept_comes_back_in_order_and_padded(void **state)
{
    (void)state;
    static char large[1 << 20];
    struct kept k = {0};
    size_t at = 0, length;
    tb_ns ts_recv;

    assert_int_equal(kept_put(&k, "one", 3, 1), 0);
    assert_int_equal(kept_put(&k, "", 0, 2), 0);
    assert_int_equal(kept_put(&k, "three", 5, 3), 0);
    const char *frame = kept_next(&k, &at, &length, &ts_recv);
    assert_memory_equal(frame, "one", 3);
    assert_int_equal(length, 3);
    for (size_t i = 0; i < ADAPTER_PADDING; i++)
        assert_int_equal(frame[3 + i], 0);
    assert_non_null(kept_next(&k, &at, &length, &ts_recv));
    assert_int_equal(length, 0);
    assert_memory_equal(kept_next(&k, &at, &length, &ts_recv), "three", 5);
    assert_int_equal(ts_recv, 3);
    assert_null(kept_next(&k, &at, &length, &ts_recv));
    int rc = 0, count = 0;
    for (; rc == 0; count++)
        rc = kept_put(&k, large, sizeof(large), 4);
    assert_int_equal(rc, -ENOBUFS);
    assert_true(count > (int)(KEPT_BYTES / sizeof(large)) / 2);
    kept_clear(&k);
    at = 0;
    assert_null(kept_next(&k, &at, &length, &ts_recv));
    assert_int_equal(kept_put(&k, large, KEPT_BYTES, 5), -ENOBUFS);
    kept_fini(&k);
    kept_fini(&k);
}

/* ---- what came last ---- */

static void pass(const int pair[2], const char *text, size_t length)
{
    char buffer[64];

    assert_int_equal(send(pair[0], text, length, 0), length);
    assert_int_equal(recv(pair[1], buffer, sizeof(buffer), 0), length);
    memset(buffer, 0, sizeof(buffer)); /* as a library may do with it */
}

static void a_close_frame_is_found_in_however_many_reads_it_came(void **state)
{
    (void)state;
    static const char text[] = "\x81\x02hi\x88\x09\x03\xf4restart"; /* 1012 */
    const size_t length = sizeof(text) - 1;

    for (size_t cut = 1; cut < length; cut++) {
        int pair[2], other[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
        pass(pair, text, cut);
        pass(pair, text + cut, length - cut);
        assert_int_equal(last_read_close_code("restart", 9), 1012);
        assert_int_equal(last_read_close_code("rester!", 9), 0);
        pass(pair, text, cut);
        pass(other, text + cut, length - cut); /* of another connection */
        assert_int_equal(last_read_close_code("restart", 9), cut <= 4 ? 1012 : 0);
        for (int i = 0; i < 2; i++)
            (void)close(pair[i]), (void)close(other[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_the_most_and_fill_their_range),
        cmocka_unit_test(attempts_stay_below_what_venues_allow),
        cmocka_unit_test(two_seeds_wait_differently),
        cmocka_unit_test(the_widest_bounds_do_not_overflow),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(messages_go_when_due_and_in_their_order),
        cmocka_unit_test(what_is_kept_comes_back_in_order_and_padded),
        cmocka_unit_test(a_close_frame_is_found_in_however_many_reads_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
