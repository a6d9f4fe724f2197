/* The Binance adapter: order books by the rule of the venue, refined instruments. */
#include "unit/adapter_fixture.h"

/* ---- books ---- */

static void book_joins_its_snapshot_by_the_venues_rule(void **state)
{
    (void)state;
    assert_int_equal(depth(95, 98, "['10','9']", ""), 0); /* older than the snapshot */
    assert_int_equal(host.asked_count, 1);
    assert_string_equal(host.asked[0].path, "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    assert_int_equal(host.asked[0].request, 1);
    assert_int_equal(host.asked[0].not_before, 0);
    assert_int_equal(depth(99, 101, "['10','1']", "['13','0']"), 0); /* spans 100 */
    assert_int_equal(depth(102, 103, "", "['12','5']"), 0);
    assert_int_equal(host.asked_count, 1);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(100, "['9','2']", "['11','3'],['12','4']"), 0);
    assert_int_equal(host.count, 1 + 3 + 1 + 1 + 1);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].flags, TB_F_SNAPSHOT);
    assert_int_equal(host.record[0].level.update_id, 100);
    assert_int_equal(host.record[1].flags, TB_F_SNAPSHOT | TB_F_MBP);
    assert_int_equal(host.record[3].flags, TB_F_SNAPSHOT | TB_F_MBP | TB_F_LAST);
    assert_int_equal(host.record[4].status.code, TB_STATUS_SYNCED);
    assert_int_equal(host.record[4].status.detail, 100);
    assert_int_equal(host.record[5].level.update_id,
                     101); /* the removal of an absent level is none */
    assert_int_equal(host.record[5].level.action, TB_ADD);
    assert_true(host.record[5].flags & TB_F_LAST);
    assert_int_equal(host.record[6].level.action, TB_MODIFY);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 2);
}

static void event_that_starts_right_after_the_snapshot_joins(void **state)
{
    (void)state;
    assert_int_equal(depth(101, 105, "['10','1']", ""), 0);
    assert_int_equal(snapshot(100, "", "['11','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 1);
}

static void old_snapshot_is_asked_for_again_later(void **state)
{
    (void)state;
    assert_int_equal(depth(102, 105, "['10','1']", ""), 0);
    for (size_t i = 1; i <= 12; i++) {
        assert_int_equal(snapshot(100, "['9','2']", ""), 0);
        assert_int_equal(host.asked_count, 1 + i);
        if (i > 1)
            assert_true(host.asked[i].not_before >= host.asked[i - 1].not_before);
    }
    assert_true(host.asked[1].not_before > 0);
    assert_true(host.asked[12].not_before <= 60 * TB_NS_PER_S);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(101, "['9','2']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void failed_request_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(depth(102, 105, "['10','1']", ""), 0);
    assert_int_equal(ops->on_rest(a, 1, NULL, 0, NULL, 0, ++host.now), 0);
    assert_int_equal(host.asked_count, 2);
    assert_int_equal(rest(1, NULL, 429, "{'code':-1003,'msg':'Too many requests'}"), 0);
    assert_true(host.asked[2].not_before <
                TB_NS_PER_S); /* the host knows how long the venue wants */
    assert_int_equal(rest(1, NULL, 200, "{'lastUpdateId':"), -EBADMSG);
    assert_int_equal(host.asked_count, 4);
    assert_int_equal(snapshot(103, "['9','2']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void many_snapshots_are_spread_over_time(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(depth(100 + 2 * i, 101 + 2 * i, "['10','1']", ""), 0);
        ops->on_disconnect(a, host.now, 1006, TB_GAP_RECONNECT);
    }
    assert_int_equal(host.asked_count, 30);
    assert_int_equal(host.asked[9].not_before, 0);
    assert_true(host.asked[29].not_before > 11 * TB_NS_PER_S);
}

static void gap_in_the_book_is_told_and_resynchronised(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 103, "['8','1']", ""), 0);
    host.count = 0;
    assert_int_equal(depth(107, 108, "['8','0']", ""), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].gap.from, 104);
    assert_int_equal(host.record[0].gap.to, 106);
    assert_int_equal(host.record[0].gap.channel, TB_CHANNEL_BOOK);
    assert_true(host.record[0].flags & TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(host.asked_count, 1);
    host.count = 0;
    assert_int_equal(depth(109, 110, "['7','1']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(snapshot(108, "['10','1']", "['11','1']"), 0);
    assert_int_equal(host.record[0].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[1].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK | TB_F_MBP);
    assert_int_equal(host.record[2].flags, TB_F_SNAPSHOT | TB_F_LAST | TB_F_MBP);
    assert_int_equal(last()->level.update_id, 110);
    assert_int_equal(last()->flags, TB_F_LAST | TB_F_MBP);
    assert_int_equal(count_of(ADAPTER_RESYNCS), 1);
}

static void gap_while_a_snapshot_is_awaited_is_told_too(void **state)
{
    (void)state;
    assert_int_equal(depth(100, 101, "['8','1']", ""), 0);
    assert_int_equal(depth(105, 106, "['7','1']", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.record[0].gap.from, 102);
    assert_int_equal(snapshot(102, "['8','1']", ""), 0); /* would join the first, not the second */
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(snapshot(104, "['8','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void stale_event_changes_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(99, 101, "['10','55']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->size, 100000);
}

static void event_without_net_change_publishes_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 103, "['5','0']", "['20','0.00000000']"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(depth(104, 104, "['9','0']", "['20','0']"), 0); /* the id went on */
    assert_int_equal(host.count, 1);
    assert_int_equal(last()->level.action, TB_REMOVE);
    assert_int_equal(last()->flags, TB_F_LAST | TB_F_MBP);
}

static void buffer_is_bounded_while_the_snapshot_does_not_come(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(depth(100 + i, 100 + i, "['10','1']", "['11','1']"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(host.asked_count, 1);
    assert_int_equal(snapshot(200, "['8','1']", ""), 0); /* older than what was kept */
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(snapshot(5090, "['8','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void book_that_stays_crossed_is_made_anew(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 102, "['11.50','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.now += 2 * TB_NS_PER_S;
    assert_int_equal(depth(103, 103, "['8','1']", ""), 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_CHECKSUM);
}

/* Asked for by a person: bad until the snapshot, which is enough even if the market is quiet. */
static void book_is_made_anew_when_asked_for(void **state)
{
    (void)state;
    assert_int_equal(ops->resync(a, "BTC/USDT", ++host.now), -EALREADY);
    assert_int_equal(ops->resync(a, "BTC/USDX", ++host.now), -ENOENT);
    sync_book();
    assert_int_equal(ops->resync(a, "BTC/USDT", ++host.now), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(last()->status.code, TB_STATUS_UNSYNCED);
    assert_int_equal(last()->flags, TB_F_LAST | TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.asked_count, 1);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(ops->resync(a, "BTC/USDT", ++host.now), -EALREADY);
    assert_int_equal(snapshot(101, "['10.00','5']", "['11','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(last()->status.code, TB_STATUS_SYNCED);
    assert_int_equal(depth(102, 102, "['9','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(count_of(ADAPTER_RESYNCS), 1);
}

static void snapshot_asked_for_that_is_too_old_is_not_taken(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(ops->resync(a, "BTC/USDT", ++host.now), 0);
    assert_int_equal(snapshot(100, "['10.00','5']", "['11','3']"), 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(depth(102, 102, "['9','1']", ""), 0); /* asks again */
    assert_int_equal(host.asked_count, 2);
    assert_int_equal(snapshot(102, "['10.00','5']", "['11','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void partial_depth_is_a_book_where_no_changes_come(void **state)
{
    (void)state;
    static const char text[] = "{'stream':'btcusdt@depth5@100ms','data':{'lastUpdateId':%d,'bids':["
                               "['10','1']],'asks':[['11','2'],['12','3']]}}";
    char out[256];
    (void)snprintf(out, sizeof(out), text, 160);
    assert_int_equal(frame(out), 0);
    assert_int_equal(frame(out), 0); /* the same again */
    assert_int_equal(host.count, 4);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[3].flags, TB_F_SNAPSHOT | TB_F_LAST | TB_F_MBP);
    host.count = 0;
    (void)snprintf(out, sizeof(out), text, 90);
    ops->destroy(a);
    a = make(false, false);
    sync_book();
    (void)snprintf(out, sizeof(out), text, 500);
    assert_int_equal(frame(out), 0);
    assert_int_equal(host.count, 0);                                      /* the changes say more */
    assert_int_equal(frame("{'lastUpdateId':1,'bids':[],'asks':[]}"), 0); /* whose? */
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 1);
}

/* ---- refinement ---- */

static void finer_value_refines_the_instrument_and_rounds_nothing(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(1, "10.00100000", "0.00000001", ""), 0);
    assert_int_equal(host.instrument_count, 3);
    assert_int_equal(host.instrument[2].price_exp, -3);
    assert_int_equal(host.instrument[2].size_exp, -8);
    assert_int_equal(host.count, 1 + 4 + 1); /* the book under its new id, then the trade */
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].instrument, 3);
    assert_true(host.record[4].flags & TB_F_LAST);
    assert_int_equal(last()->trade.price, 10001);
    assert_int_equal(last()->trade.size, 1);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->price, 10000);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->size, 100000000);
    host.count = 0;
    assert_int_equal(depth(102, 102, "['10','0']", ""), 0);
    assert_int_equal(last()->instrument, 3);
    assert_int_equal(last()->level.price, 10000);
    assert_int_equal(last()->level.action, TB_REMOVE);
    assert_int_equal(count_of(ADAPTER_REFINED), 1);
}

static void waiting_events_are_refined_too(void **state)
{
    (void)state;
    assert_int_equal(depth(99, 101, "['10','1']", ""), 0);
    assert_int_equal(depth(102, 103, "['10.0001','1']", ""), 0);
    assert_int_equal(snapshot(100, "['9.00000001','1']", ""), 0);
    const struct tb_book *b = ops->book(a, "BTC/USDT");
    assert_int_equal(b->price_exp, -8);
    assert_int_equal(tb_book_best(b, TB_BUY, 0)->price, INT64_C(1000010000));
    assert_int_equal(tb_book_best(b, TB_BUY, 1)->price, INT64_C(1000000000));
    assert_int_equal(tb_book_best(b, TB_BUY, 2)->price, INT64_C(900000001));
}

static void book_of_partial_depth_is_republished_when_refined(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'stream':'btcusdt@depth5','data':{'lastUpdateId':160,'bids':[['10','1']],"
              "'asks':[['11','2']]}}"),
        0);
    host.count = 0;
    assert_int_equal(trade(1, "10.001", "1", ""), 0);
    assert_int_equal(host.count, 1 + 2 + 1);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].instrument, 3);
    assert_int_equal(host.record[0].level.update_id, 160);
    assert_int_equal(host.record[1].level.price, 10000);
}

static void value_that_can_not_be_held_is_refused(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(depth(102, 102, "['80000000000000000','1']", ""), 0);
    assert_int_equal(trade(1, "0.0000000000000000001", "1", ""), -EBADMSG); /* finer than 1e-18 */
    assert_int_equal(trade(1, "99999999999999999999", "1", ""), -EBADMSG);
    assert_int_equal(trade(1, "0.0001", "1", ""),
                     -EBADMSG); /* the book's 8e16 would no longer fit */
    assert_int_equal(host.instrument_count, 2);
    assert_int_equal(count_of(ADAPTER_FRAMES_BAD), 3);
    assert_int_equal(trade(1, "1", "1", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(book_joins_its_snapshot_by_the_venues_rule),
        T(event_that_starts_right_after_the_snapshot_joins),
        T(old_snapshot_is_asked_for_again_later),
        T(failed_request_is_tried_again),
        T(many_snapshots_are_spread_over_time),
        T(gap_in_the_book_is_told_and_resynchronised),
        T(gap_while_a_snapshot_is_awaited_is_told_too),
        T(stale_event_changes_nothing),
        T(event_without_net_change_publishes_nothing),
        T(buffer_is_bounded_while_the_snapshot_does_not_come),
        T(book_that_stays_crossed_is_made_anew),
        T(book_is_made_anew_when_asked_for),
        T(snapshot_asked_for_that_is_too_old_is_not_taken),
        T(partial_depth_is_a_book_where_no_changes_come),
        T(finer_value_refines_the_instrument_and_rounds_nothing),
        T(waiting_events_are_refined_too),
        T(book_of_partial_depth_is_republished_when_refined),
        T(value_that_can_not_be_held_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
