/* Records to rows: what is stored, what is not, and that a restart changes neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/persist/persist.h"
#include "unit/persist_stream.h"

static struct made made;

struct fixture {
    struct persist p;
    struct tb_record next;
};

static const char *const names[] = {"venue", "candles"};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct persist_config c = made_config(&made, 100000);
    made_init(&made, 1);
    if (f == NULL || persist_init(&f->p, &c, names, 2) != 0)
        return -1;
    persist_attach(&f->p, 0, 100, 0);
    persist_attach(&f->p, 1, 200, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    persist_fini(&f->p);
    free(f);
    return 0;
}

/* As if the first n rows were stored. */
static void drop(struct persist *p, size_t n)
{
    persist_rows_hand_over(&p->rows);
    persist_rows_drop(&p->rows, n);
}

static struct tb_record *record(struct fixture *f, uint8_t type, tb_ns t)
{
    tb_seq seq = f->next.seq + 1;
    f->next = (struct tb_record){.seq = seq,
                                 .type = type,
                                 .instrument = 1,
                                 .flags = TB_F_LAST,
                                 .ts_event = t,
                                 .ts_recv = t + 5};
    return &f->next;
}

static void take(struct fixture *f)
{
    assert_true(persist_take(&f->p, 0, &f->next));
}

static void level(struct fixture *f, tb_ns t, uint8_t side, int64_t price, int64_t size,
                  uint8_t flags)
{
    struct tb_record *r = record(f, TB_LEVEL, t);
    r->flags = flags;
    r->level.side = side;
    r->level.price = price;
    r->level.size = size;
    take(f);
}

/* A book of 1 bid at 100.00 and 2 asks, by a snapshot. */
static void snapshot(struct fixture *f, tb_ns t)
{
    record(f, TB_CLEAR, t)->flags = TB_F_SNAPSHOT;
    take(f);
    level(f, t, TB_BUY, 10000, 1, TB_F_SNAPSHOT);
    level(f, t, TB_SELL, 10001, 10000, TB_F_SNAPSHOT);
    level(f, t, TB_SELL, 10002, 20000, TB_F_SNAPSHOT | TB_F_LAST);
}

static void a_trade_is_a_row_of_correctly_rounded_numbers(void **state)
{
    struct fixture *f = *state;
    struct tb_record *r = record(f, TB_TRADE, INT64_C(1723161255342) * TB_NS_PER_MS);
    r->trade =
        (struct tb_trade){.price = 6183763, .size = 59, .trade_id = 3735683259, .side = TB_BUY};
    take(f);
    const struct persist_row *row = persist_row_at(&f->p.rows, 0);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 1);
    assert_true(row->timestamp == 1723161255.342);
    assert_true(row->trade.price == 61837.63);
    assert_true(row->trade.amount == 0.00059);
    assert_true(row->trade.cost == 36.4842017); /* 61837.63 * 0.00059, rounded once */
    assert_int_equal(row->position, 2);
    assert_string_equal(f->p.input[0].market[row->market].symbol, "BTC/USDT");
}

static void a_trade_without_venue_time_has_the_receive_time(void **state)
{
    struct fixture *f = *state;
    struct tb_record *r = record(f, TB_TRADE, 0);
    r->ts_recv = 1500 * TB_NS_PER_MS;
    r->trade.price = r->trade.size = 1;
    take(f);
    assert_true(persist_row_at(&f->p.rows, 0)->timestamp == 1.5);
}

static void a_book_makes_one_snapshot_per_second_of_stream_time(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 3);
    for (int k = 1; k < 10; k++)
        level(f, 10 * TB_NS_PER_S + k * 100 * TB_NS_PER_MS, TB_BUY, 9999, k, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 3);
    level(f, 11 * TB_NS_PER_S, TB_BUY, 9998, 7, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 3 + 5);
    level(f, 11 * TB_NS_PER_S - 1, TB_BUY, 9998, 8, TB_F_LAST); /* the venue's clock jitters */
    assert_int_equal(persist_rows_waiting(&f->p.rows), 3 + 5);
}

static void cumulative_is_the_exact_sum_of_amounts(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    const struct persist_row *bid = persist_row_at(&f->p.rows, 0),
                             *ask = persist_row_at(&f->p.rows, 1);
    assert_int_equal(bid->level.side, TB_BUY);
    assert_true(bid->level.cumulative == 0.00001);
    assert_int_equal(ask->level.side, TB_SELL);
    assert_int_equal(ask->level.level, 0);
    assert_true(ask->level.price == 100.01 && ask->level.cumulative == 0.1);
    ask = persist_row_at(&f->p.rows, 2);
    assert_int_equal(ask->level.level, 1);
    assert_true(ask->level.amount == 0.2 &&
                ask->level.cumulative == 0.3); /* 0.1 + 0.2 in doubles is not */
}

static void after_a_gap_there_is_no_snapshot_until_the_book_is_whole_again(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    record(f, TB_GAP, 11 * TB_NS_PER_S)->gap = (struct tb_gap){
        .from = 1, .to = 4, .missing = 4, .reason = TB_GAP_SEQUENCE, .channel = TB_CHANNEL_BOOK};
    take(f);
    assert_int_equal(persist_row_at(&f->p.rows, 3)->kind, PERSIST_GAP);
    level(f, 12 * TB_NS_PER_S, TB_BUY, 9999, 1, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 4);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 0);
    snapshot(f, 13 * TB_NS_PER_S);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 4 + 3);
}

static void a_drain_stores_a_changed_book_once(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 0);
    level(f, 10 * TB_NS_PER_S + 1, TB_BUY, 9999, 1, TB_F_LAST);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 4);
    assert_true(f->p.scratch[0].timestamp == 10.000000001);
    persist_drained(&f->p, 0);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 0);
}

static void candle(struct fixture *f, tb_ns start, int64_t close, bool forming)
{
    struct tb_candle c = {.start = start,
                          .ts_recv = start,
                          .open = 5,
                          .high = 9,
                          .low = 1,
                          .close = close,
                          .volume = 3,
                          .turnover = (__int128)1 << 70,
                          .trades = 2};
    struct tb_record two[2];
    tb_candle_to_records(&c, TB_TIMEFRAME_1M, 1, forming, two);
    for (int k = 0; k < 2; k++) {
        two[k].seq = f->p.input[1].taken + 1;
        assert_true(persist_take(&f->p, 1, &two[k]));
    }
}

static void completed_candles_are_rows_and_forming_ones_wait_for_the_drain(void **state)
{
    struct fixture *f = *state;
    candle(f, 0, 4, true);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0);
    assert_int_equal(persist_drain_rows(&f->p, 1, 1), 1);
    assert_false(f->p.scratch[0].candle.closed);
    candle(f, 0, 6, false);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 1);
    assert_true(persist_row_at(&f->p.rows, 0)->candle.closed);
    assert_true(persist_row_at(&f->p.rows, 0)->candle.close == 0.06);
    assert_true(persist_row_at(&f->p.rows, 0)->candle.turnover ==
                118059162071741.13); /* 2^70 * 1e-7 */
    assert_int_equal(persist_drain_rows(&f->p, 1, 1), 0);
}

static void live_forming_candles_are_rows_once_a_second(void **state)
{
    struct fixture *f = *state;
    f->p.config.forming = PERSIST_FORMING_LIVE;
    candle(f, 60 * TB_NS_PER_S, 4, true);
    candle(f, 60 * TB_NS_PER_S, 5, true);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 1);
    candle(f, 61 * TB_NS_PER_S, 6, true);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 2);
}

static void what_the_database_has_changes_the_state_only(void **state)
{
    struct fixture *f = *state;
    persist_attach(&f->p, 0, 100, 2 * 4);
    snapshot(f, 10 * TB_NS_PER_S); /* records 1..4 */
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0);
    assert_true(f->p.book[0].valid);
    level(f, 11 * TB_NS_PER_S, TB_BUY, 9998, 7, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 4);
}

static void records_that_were_lost_are_a_gap_row_and_spoil_the_book(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    persist_lost(&f->p, 0, 5, 104, 20 * TB_NS_PER_S);
    assert_int_equal(persist_position(&f->p, 0), 2 * 4);
    f->next.seq = 104;
    level(f, 11 * TB_NS_PER_S, TB_BUY, 9998, 7, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 4);
    const struct persist_row *row = persist_row_at(&f->p.rows, 3);
    assert_int_equal(row->gap.from, 5);
    assert_int_equal(row->gap.to, 104);
    assert_int_equal(row->gap.missing, 100);
    assert_int_equal(row->gap.reason, TB_GAP_OVERRUN);
    assert_int_equal(persist_position(&f->p, 0), 2 * 105);
}

static void a_full_buffer_takes_nothing_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    f->p.rows.capacity = 100; /* of the 100000 allocated */
    size_t taken = 0;
    for (; taken < 1000; taken++) {
        record(f, TB_TRADE, TB_NS_PER_S)->trade =
            (struct tb_trade){.price = 1, .size = 1, .trade_id = taken};
        if (!persist_take(&f->p, 0, &f->next))
            break;
    }
    assert_int_equal(taken, persist_rows_waiting(&f->p.rows));
    assert_in_range(taken, 40, 60);
    assert_int_equal(f->p.input[0].taken, taken);
    drop(&f->p, 5);
    take(f);
    assert_int_equal(
        persist_row_at(&f->p.rows, persist_rows_waiting(&f->p.rows) - 1)->trade.trade_id, taken);
}

static void a_batch_never_ends_within_the_rows_of_one_record(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    snapshot(f, 12 * TB_NS_PER_S);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 6);
    assert_int_equal(persist_rows_batch(&f->p.rows, 1000), 0); /* nothing was handed over */
    assert_true(persist_hand_over(&f->p));
    assert_int_equal(persist_rows_batch(&f->p.rows, 1), 3);
    assert_int_equal(persist_rows_batch(&f->p.rows, 4), 6);
    assert_int_equal(persist_rows_batch(&f->p.rows, 1000), 6);
}

static void records_that_make_no_rows_are_told_by_one_mark(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 10; k++) {
        record(f, TB_QUOTE, TB_NS_PER_S);
        take(f);
    }
    assert_true(persist_waits(&f->p));
    assert_true(persist_hand_over(&f->p));
    assert_false(persist_waits(&f->p));
    assert_true(persist_hand_over(&f->p)); /* and not again */
    assert_int_equal(persist_rows_handed(&f->p.rows), 1);
    assert_int_equal(persist_row_at(&f->p.rows, 0)->kind, PERSIST_MARK);
    assert_int_equal(persist_row_at(&f->p.rows, 0)->position, 2 * 10);
    record(f, TB_TRADE, TB_NS_PER_S)->trade = (struct tb_trade){.price = 1, .size = 1};
    take(f);
    assert_true(persist_hand_over(&f->p)); /* its row says it */
    assert_int_equal(persist_rows_handed(&f->p.rows), 2);
}

/* A checkpoint's positions are not the database's: it may have been deleted, or be another one. */
static void an_input_that_was_only_restored_tells_no_position(void **state)
{
    struct fixture *f = *state;
    record(f, TB_QUOTE, TB_NS_PER_S);
    take(f);
    char bytes[16384];
    size_t used = persist_save(&f->p, bytes, sizeof(bytes));
    assert_in_range(used, 1, sizeof(bytes));
    assert_true(persist_hand_over(&f->p));
    drop(&f->p, 1);
    assert_int_equal(persist_load(&f->p, bytes, used), 0);
    assert_false(persist_waits(&f->p));
    assert_true(persist_hand_over(&f->p));
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0);
}

static void records_without_an_instrument_are_counted_and_passed_over(void **state)
{
    struct fixture *f = *state;
    record(f, TB_TRADE, 1)->instrument = 9;
    take(f);
    record(f, TB_TRADE, 1)->instrument = UINT16_MAX;
    take(f);
    record(f, TB_TRADE, 1)->instrument = 0;
    take(f);
    record(f, 0xEE, 1);
    take(f);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0);
    assert_int_equal(f->p.unusable, 3);
}

static void books_beyond_the_limit_are_counted(void **state)
{
    struct fixture *f = *state;
    memset(f->p.book_used, true, f->p.config.books * sizeof(bool));
    snapshot(f, 10 * TB_NS_PER_S);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0);
    assert_int_equal(f->p.bookless, 4);
}

/* ---- restarts ---- */

static void play(struct persist *p, unsigned i, size_t from, size_t to)
{
    for (size_t k = from; k < to; k++)
        assert_true(persist_take(p, i, &made.stream[i].record[k]));
}

/* Killed with the database at D and a checkpoint at C <= D: the rows are those of one life. */
static void a_restart_makes_the_rows_that_were_not_stored(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 2; i++)
        play(&f->p, i, 0, made.stream[i].count);
    assert_in_range(persist_rows_waiting(&f->p.rows), 3000, 90000);
    struct persist_config c = made_config(&made, 100000);
    struct random x;
    random_start(&x, __func__);
    for (int round = 0; round < 40; round++) {
        struct persist a, b;
        assert_int_equal(persist_init(&a, &c, names, 2), 0);
        assert_int_equal(persist_init(&b, &c, names, 2), 0);
        for (unsigned i = 0; i < 2; i++) {
            size_t count = made.stream[i].count;
            size_t at = random_next(&x) % (count + 1);
            size_t stored = at + random_next(&x) % (count - at + 1);
            persist_attach(&a, i, 100, 0);
            play(&a, i, 0, at);
            size_t size = persist_save_size(&a);
            void *bytes = malloc(size);
            size_t used = persist_save(&a, bytes, size);
            assert_in_range(used, 1, size);
            assert_int_equal(persist_load(&b, bytes, used), 0);
            free(bytes);
            persist_attach(&b, i, 100, 2 * stored);
            bool seek;
            assert_int_equal(persist_resume(&b, i, at + 1, 1, 0, &seek), at + 1);
            assert_false(seek);
            play(&b, i, at, count);
            /* Of all rows of this input, those above `stored`, in order. */
            size_t k = 0;
            for (size_t n = 0; n < persist_rows_waiting(&b.rows); n++) {
                const struct persist_row *row = persist_row_at(&b.rows, n);
                if (row->input != i)
                    continue;
                while (f->p.rows.row[k].input != i || f->p.rows.row[k].position <= 2 * stored)
                    assert_true(++k < persist_rows_waiting(&f->p.rows));
                assert_memory_equal(row, &f->p.rows.row[k], sizeof(*row));
                k++;
            }
            while (k < persist_rows_waiting(&f->p.rows) &&
                   (f->p.rows.row[k].input != i || f->p.rows.row[k].position <= 2 * stored))
                k++;
            assert_int_equal(k, persist_rows_waiting(&f->p.rows));
            drop(&b, persist_rows_waiting(&b.rows));
            drop(&a, persist_rows_waiting(&a.rows));
        }
        persist_fini(&a);
        persist_fini(&b);
    }
}

static void a_database_behind_the_checkpoint_gets_its_rows_again(void **state)
{
    struct fixture *f = *state;
    play(&f->p, 0, 0, 1000);
    drop(&f->p, persist_rows_waiting(&f->p.rows));
    persist_attach(&f->p, 0, 100, 2 * 400);
    bool seek;
    assert_int_equal(persist_resume(&f->p, 0, 1001, 1, 0, &seek), 400);
    assert_true(seek);
    play(&f->p, 0, 399, 1000);
    size_t trades = 0, wanted = 0;
    for (size_t k = 400; k < 1000; k++)
        wanted += made.stream[0].record[k].type == TB_TRADE;
    for (size_t k = 0; k < persist_rows_waiting(&f->p.rows); k++)
        trades += persist_row_at(&f->p.rows, k)->kind == PERSIST_TRADE;
    assert_int_equal(trades, wanted);
    assert_int_equal(f->p.input[0].state_seq, 1000);
}

static void what_the_ring_lost_while_we_were_away_is_a_gap(void **state)
{
    struct fixture *f = *state;
    persist_attach(&f->p, 0, 100, 2 * 400);
    bool seek;
    assert_int_equal(persist_resume(&f->p, 0, 501, 501, 7, &seek), 501);
    assert_false(seek);
    assert_true(persist_settle(&f->p, 0));
    assert_int_equal(persist_rows_waiting(&f->p.rows), 1);
    assert_int_equal(persist_row_at(&f->p.rows, 0)->gap.from, 401);
    assert_int_equal(persist_row_at(&f->p.rows, 0)->gap.to, 500);
}

static void a_repeated_drain_is_known_by_its_position(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    level(f, 10 * TB_NS_PER_S + 1, TB_BUY, 9999, 1, TB_F_LAST);
    size_t size = persist_save_size(&f->p);
    void *bytes = malloc(size);
    size_t used = persist_save(&f->p, bytes, size);
    /* The drain after record 5 was committed, the checkpoint after it was not. */
    assert_int_equal(persist_load(&f->p, bytes, used), 0);
    persist_attach(&f->p, 0, 100, 2 * 5 + 1);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 0);
    /* And the same with a checkpoint of before that record. */
    assert_int_equal(persist_load(&f->p, bytes, used), 0);
    persist_attach(&f->p, 0, 100, 2 * 6 + 1);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 4);
    level(f, 10 * TB_NS_PER_S + 2, TB_BUY, 9999, 2, TB_F_LAST);
    assert_int_equal(persist_drain_rows(&f->p, 0, 1), 0);
    free(bytes);
}

static void a_new_epoch_begins_empty(void **state)
{
    struct fixture *f = *state;
    snapshot(f, 10 * TB_NS_PER_S);
    drop(&f->p, persist_rows_waiting(&f->p.rows));
    persist_attach(&f->p, 0, 101, 0);
    assert_int_equal(f->p.input[0].market_count, 1);
    assert_int_equal(f->p.input[0].taken, 0);
    f->next.seq = 0;
    level(f, 12 * TB_NS_PER_S, TB_BUY, 9999, 2, TB_F_LAST);
    assert_int_equal(persist_rows_waiting(&f->p.rows), 0); /* the old book is not its book */
}

static void a_damaged_checkpoint_restores_nothing(void **state)
{
    struct fixture *f = *state;
    play(&f->p, 0, 0, 500);
    size_t size = persist_save_size(&f->p);
    char *bytes = malloc(size);
    size_t used = persist_save(&f->p, bytes, size);
    for (size_t cut = 0; cut < used; cut += cut < 200 ? 1 : 97)
        assert_int_not_equal(persist_load(&f->p, bytes, cut), 0);
    assert_int_equal(f->p.input[0].state_seq, 0);
    struct random x;
    random_start(&x, __func__);
    for (int k = 0; k < 2000; k++) { /* any bytes: no crash, no book twice */
        size_t at = random_next(&x) % used;
        char old = bytes[at];
        bytes[at] = (char)random_next(&x);
        (void)persist_load(&f->p, bytes, used); /* some bytes do not matter */
        bytes[at] = old;
    }
    assert_int_equal(persist_load(&f->p, bytes, used), 0);
    assert_int_equal(f->p.input[0].state_seq, 500);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trade_is_a_row_of_correctly_rounded_numbers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_trade_without_venue_time_has_the_receive_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_book_makes_one_snapshot_per_second_of_stream_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(cumulative_is_the_exact_sum_of_amounts, setup, teardown),
        cmocka_unit_test_setup_teardown(
            after_a_gap_there_is_no_snapshot_until_the_book_is_whole_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_drain_stores_a_changed_book_once, setup, teardown),
        cmocka_unit_test_setup_teardown(
            completed_candles_are_rows_and_forming_ones_wait_for_the_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(live_forming_candles_are_rows_once_a_second, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_database_has_changes_the_state_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_that_were_lost_are_a_gap_row_and_spoil_the_book,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_buffer_takes_nothing_and_loses_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_never_ends_within_the_rows_of_one_record, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_that_make_no_rows_are_told_by_one_mark, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_input_that_was_only_restored_tells_no_position, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_without_an_instrument_are_counted_and_passed_over,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(books_beyond_the_limit_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restart_makes_the_rows_that_were_not_stored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_database_behind_the_checkpoint_gets_its_rows_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_ring_lost_while_we_were_away_is_a_gap, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_repeated_drain_is_known_by_its_position, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_epoch_begins_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_checkpoint_restores_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
