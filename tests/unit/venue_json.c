/* Finding one's way in JSON text: what is there is found, what is broken is said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "producers/venue/json.h"

static struct json_span span(const char *text)
{
    return (struct json_span){text, strlen(text)};
}

static void members_are_found_wherever_they_stand(void **state)
{
    (void)state;
    struct json_span text =
        span(" { \"a\" : [1,{\"b\":\"}\"}] , \"data\":{\"s\":\"x\\\"y\"},\"n\": 17 }");
    struct json_span value, inner;
    uint64_t number = 0;

    assert_true(json_find(text, "data", &value));
    assert_true(json_find(value, "s", &inner) && json_text(inner, &inner));
    assert_true(json_is(inner, "x\\\"y"));
    assert_true(json_find(text, "n", &value) && json_number(value, &number));
    assert_int_equal(number, 17);
    assert_false(json_find(text, "b", &value));
    assert_false(json_find(span("[1]"), "a", &value));
}

static void items_are_walked_to_the_end(void **state)
{
    (void)state;
    struct json_walk w;
    struct json_span item;
    int count = 0;

    assert_true(json_enter(span("[[\"1\",\"2\"], [ ] ,\"]\", -1.5e3, null]"), &w));
    while (json_item(&w, &item))
        count++;
    assert_int_equal(count, 5);
    assert_false(w.broken);
    assert_true(json_enter(span("[]"), &w));
    assert_false(json_item(&w, &item));
    assert_false(w.broken);
}

/* What was not found, looked into further. */
static void nothing_is_found_in_no_value(void **state)
{
    (void)state;
    struct json_span none = {NULL, 0}, value;
    struct json_walk walk;
    uint64_t number;

    assert_false(json_enter(none, &walk));
    assert_false(json_find(none, "a", &value));
    assert_false(json_text(none, &value));
    assert_false(json_number(none, &number));
    assert_false(json_is(none, "a"));
    assert_false(json_whole(none));
}

static void broken_text_is_never_read_beyond(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"stream\":\"s\",\"data\":{\"b\":[[\"1\",\"2\"]],\"t\":\"\\\\\"},\"n\":1}";
    struct json_span value;

    for (size_t length = 0; length < sizeof(whole) - 1; length++) {
        char *copy = test_malloc(length + 1); /* so that a sanitizer sees a step too far */
        memcpy(copy, whole, length);
        assert_false(json_whole((struct json_span){copy, length}));
        (void)json_find((struct json_span){copy, length}, "n", &value);
        test_free(copy);
    }
    assert_true(json_whole(span(whole)));
    assert_false(json_whole(span("{} x")));
    assert_false(json_whole(span("}")));
}

static void numbers_are_plain_digits(void **state)
{
    (void)state;
    uint64_t number;

    assert_true(json_number(span("9223372036854775807"), &number));
    assert_int_equal(number, INT64_MAX);
    assert_false(json_number(span(""), &number));
    assert_false(json_number(span("-1"), &number));
    assert_false(json_number(span("1.0"), &number));
    assert_false(json_number(span("99999999999999999999"), &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_wherever_they_stand),
        cmocka_unit_test(items_are_walked_to_the_end),
        cmocka_unit_test(nothing_is_found_in_no_value),
        cmocka_unit_test(broken_text_is_never_read_beyond),
        cmocka_unit_test(numbers_are_plain_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
