/* What the alert stream holds already: no transition is told twice, and none that follows is held back. */
#include "unit/bus_fixture.h"

#include "consumers/alerts/past.h"

static const struct tb_instrument above = {
    .label = "Above", .venue = "v", .symbol = "BTC/USDT", .stream = "alerts"};

static void add(struct past *p, tb_ns at, uint32_t id, enum tb_alert_state state)
{
    const struct tb_record r = {
        .ts_event = at, .type = TB_ALERT, .alert = {.alert_id = id, .state = (uint8_t)state}};
    past_add(p, "alerts", &above, &r);
}

/* *id: the number that it was given. */
static bool has(struct past *p, tb_ns at, uint32_t *id, enum tb_alert_state state)
{
    struct event e = {.rule = "Above",
                      .venue = "v",
                      .symbol = "BTC/USDT",
                      .at = at,
                      .alert_id = *id,
                      .state = (uint8_t)state};
    bool last;
    bool there = past_has(p, &e, &last);
    *id = e.alert_id;
    return there;
}

static bool has_story(struct past *p, tb_ns at, uint32_t id, enum tb_alert_state state)
{
    return has(p, at, &id, state);
}

/* One after the other: fires at 10, 30, ..., is over at 20, 40, ... */
static void add_stories(struct past *p, uint32_t first, uint32_t last)
{
    for (uint32_t id = first; id <= last; id++) {
        add(p, 20 * (tb_ns)id - 10, id, TB_ALERT_FIRING);
        add(p, 20 * (tb_ns)id, id, TB_ALERT_RESOLVED);
    }
}

/* All that add_stories adds is known, under its number. */
static void assert_stories(struct past *p, uint32_t first, uint32_t last)
{
    for (uint32_t id = first; id <= last; id++) {
        assert_true(has_story(p, 20 * (tb_ns)id - 10, id, TB_ALERT_FIRING));
        assert_true(has_story(p, 20 * (tb_ns)id, id, TB_ALERT_RESOLVED));
    }
}

static void what_is_there_is_not_told_again(void **state)
{
    struct past p = {0};
    (void)state;
    add_stories(&p, 1, 3);
    assert_stories(&p, 1, 3);
    assert_false(has_story(&p, 70, 4, TB_ALERT_FIRING));
    assert_false(has_story(&p, 80, 4, TB_ALERT_RESOLVED));
    past_fini(&p);
}

static void a_stretch_that_is_there_twice_holds_nothing_back(void **state)
{
    struct past p = {0};
    (void)state;
    add_stories(&p, 1, 3);
    add_stories(&p, 2, 3);
    assert_stories(&p, 1, 3);
    uint32_t id = 4;
    assert_false(has(&p, 70, &id, TB_ALERT_FIRING));
    assert_int_equal(id, 4);
    past_fini(&p);
}

/* The furthest is what is there, though an older stretch, a second time, is what comes last. */
static void a_stretch_that_begins_again_and_breaks_off_takes_nothing_back(void **state)
{
    struct past p = {0};
    (void)state;
    add_stories(&p, 1, 3);
    add_stories(&p, 1, 1);
    add(&p, 30, 2, TB_ALERT_FIRING);
    assert_stories(&p, 1, 3);
    uint32_t id = 4;
    assert_false(has(&p, 70, &id, TB_ALERT_FIRING));
    assert_int_equal(id, 4);
    past_fini(&p);
}

/* A recording that is played again: it goes back in time, and its stories have numbers of their own. */
static void a_second_play_is_what_counts(void **state)
{
    struct past p = {0};
    (void)state;
    add_stories(&p, 1, 3);
    add(&p, 10, 4, TB_ALERT_FIRING);
    assert_true(has_story(&p, 10, 4, TB_ALERT_FIRING));
    assert_false(has_story(&p, 20, 4, TB_ALERT_RESOLVED));
    past_fini(&p);
}

static void a_story_that_is_open_is_ended_and_not_opened_again(void **state)
{
    struct past p = {0};
    uint32_t id = 1; /* the inputs' oldest are gone: what is made now counts from 1 */
    (void)state;
    add_stories(&p, 1, 3);
    add(&p, 70, 4, TB_ALERT_FIRING);
    assert_true(has(&p, 75, &id, TB_ALERT_FIRING));
    assert_int_equal(id, 4);
    id = 1;
    assert_false(has(&p, 80, &id, TB_ALERT_RESOLVED));
    assert_int_equal(id, 4);
    past_fini(&p);
}

static void a_saved_one_goes_on(void **state)
{
    struct past p = {0}, q = {0};
    char bytes[4096];
    (void)state;
    add_stories(&p, 1, 2);
    size_t count = past_save_size(&p);
    assert_in_range(count, 1, sizeof(bytes));
    past_save(&p, bytes);
    assert_int_equal(past_load(&q, bytes, count - 1), -EINVAL);
    assert_int_equal(past_load(&q, bytes, count), 0);
    assert_true(has_story(&q, 40, 2, TB_ALERT_RESOLVED));
    assert_false(has_story(&q, 50, 3, TB_ALERT_FIRING));
    past_fini(&p);
    past_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_not_told_again),
        cmocka_unit_test(a_stretch_that_is_there_twice_holds_nothing_back),
        cmocka_unit_test(a_stretch_that_begins_again_and_breaks_off_takes_nothing_back),
        cmocka_unit_test(a_second_play_is_what_counts),
        cmocka_unit_test(a_story_that_is_open_is_ended_and_not_opened_again),
        cmocka_unit_test(a_saved_one_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
