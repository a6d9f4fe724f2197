/* What a journal holds while it starts: in order, bounded, and given on in runs without a gap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumers/journal/held.h"

static size_t put(struct held *h, tb_seq first, size_t count)
{
    struct tb_record records[16] = {{0}};
    for (size_t i = 0; i < count; i++)
        records[i].seq = first + i;
    return held_put(h, records, count);
}

static void runs_end_at_gaps(void **state)
{
    struct held h = {.bytes = 64 * sizeof(struct tb_record)};
    const struct tb_record *run;
    (void)state;
    assert_int_equal(put(&h, 5, 3), 3);
    assert_int_equal(put(&h, 8, 2), 2);
    assert_int_equal(put(&h, 20, 4), 4);
    assert_int_equal(held_run(&h, &run), 5);
    assert_int_equal(run[0].seq, 5);
    held_give(&h, 2);
    assert_int_equal(held_run(&h, &run), 3);
    assert_int_equal(run[0].seq, 7);
    held_give(&h, 3);
    assert_int_equal(held_run(&h, &run), 4);
    assert_int_equal(run[0].seq, 20);
    held_give(&h, 4);
    assert_int_equal(held_count(&h), 0);
    assert_null(h.record); /* its memory is given back */
    assert_int_equal(held_run(&h, &run), 0);
}

static void no_more_is_held_than_there_is_room_for(void **state)
{
    struct held h = {.bytes = 64 * sizeof(struct tb_record)};
    (void)state;
    size_t taken = 0;
    for (tb_seq seq = 1; seq <= 80; seq += 16)
        taken += put(&h, seq, 16);
    assert_int_equal(taken, 64);
    assert_int_equal(put(&h, 65, 1), 0);
    held_clear(&h);
    assert_int_equal(put(&h, 65, 1), 1);
    held_clear(&h);
}

static void what_the_journal_has_is_dropped(void **state)
{
    struct held h = {.bytes = 64 * sizeof(struct tb_record)};
    const struct tb_record *run;
    (void)state;
    held_drop_to(&h, 100); /* nothing is held */
    assert_int_equal(put(&h, 10, 10), 10);
    held_drop_to(&h, 9);
    assert_int_equal(held_count(&h), 10);
    held_drop_to(&h, 14);
    assert_int_equal(held_run(&h, &run), 5);
    assert_int_equal(run[0].seq, 15);
    held_drop_to(&h, 30);
    assert_int_equal(held_count(&h), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_end_at_gaps),
        cmocka_unit_test(no_more_is_held_than_there_is_room_for),
        cmocka_unit_test(what_the_journal_has_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
