/* Trades of each venue: repeats, trades out of order, and those that were missed around a disconnect. */
#include "unit/adapter_fixture.h"

enum ids { NUMBERED, RISING, HASHED }; /* one by one; with holes by nature; in no order */

static const struct venue {
    const char *venue, *raw, *format;
    enum ids ids;
} venues[] = {
    {"binance", "BTCUSDT",
     "{'stream':'btcusdt@trade','data':{'e':'trade','E':1700000000123,'s':'BTCUSDT','t':%u,'p':'1',"
     "'q':'2','T':1700000000122,'m':true}}",
     NUMBERED},
    {"binanceus", "BTCUSDT",
     "{'stream':'btcusdt@trade','data':{'e':'trade','E':1700000000123,'s':'BTCUSDT','t':%u,'p':'1',"
     "'q':'2','T':1700000000122,'m':true}}",
     NUMBERED},
    {"coinbaseexchange", "BTC-USDT",
     "{'type':'match','trade_id':%u,'sequence':50,'time':'2014-11-07T08:19:27.028459Z',"
     "'product_id':'BTC-USDT','size':'2','price':'1','side':'buy'}",
     NUMBERED},
    {"coinbase", "BTC-USDT",
     "{'channel':'market_trades','client_id':'','timestamp':'2023-02-09T20:19:35.39625135Z',"
     "'sequence_num':%2$u,'events':[{'type':'update','trades':[{'trade_id':'%1$u','product_id':"
     "'BTC-USDT','price':'1','size':'2','side':'BUY','time':'2019-08-14T20:42:27.265Z'}]}]}",
     NUMBERED},
    {"kraken", "BTC/USDT",
     "{'channel':'trade','type':'update','data':[{'symbol':'BTC/USDT','side':'sell','price':1,"
     "'qty':2,'ord_type':'market','trade_id':%u,'timestamp':'2023-09-25T07:49:37.708706Z'}]}",
     NUMBERED},
    {"okx", "BTC-USDT",
     "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'instId':'BTC-USDT','tradeId':'%u',"
     "'px':'1','sz':'2','side':'sell','ts':'1630048897897','count':'1','source':'0','seqId':1}]}",
     NUMBERED},
    {"okcoin", "BTC-USDT",
     "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'instId':'BTC-USDT','tradeId':'%u',"
     "'px':'1','sz':'2','side':'sell','ts':'1630048897897'}]}",
     NUMBERED},
    {"bybit", "BTCUSDT",
     "{'topic':'publicTrade.BTCUSDT','ts':1700000000123,'type':'snapshot','data':[{'i':'%u','T':"
     "1700000000122,'p':'1','v':'2','S':'Buy','seq':5,'s':'BTCUSDT'}]}",
     RISING},
    {"bybit", "BTCUSDT",
     "{'topic':'publicTrade.BTCUSDT','ts':1700000000123,'type':'snapshot','data':[{'i':"
     "'5414f3ef-b4a1-4bff-8aae-7de5d8f%05u','T':1700000000122,'p':'1','v':'2','S':'Buy','seq':5,"
     "'s':'BTCUSDT'}]}",
     HASHED},
};

static struct adapter_market_config market = {
    .symbol = "BTC/USDT", .price_exp = -2, .size_exp = -5};

static unsigned sequence; /* of messages, of Coinbase's connections */

static void begin(const struct venue *v)
{
    sequence = 0;
    (void)snprintf(market.raw, sizeof(market.raw), "%s", v->raw);
    make_venue(v->venue, &market, 1, false);
    ops->on_connect(a, ++host.now);
    host.count = 0;
}

static void print(const struct venue *v, unsigned id)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), v->format, id, sequence++);
    assert_int_equal(frame(text), 0);
}

static void reconnect_venue(void)
{
    sequence = 0;
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    host.count = 0;
}

static void trade_out_of_order_is_published_and_its_repeat_is_not(void **state)
{
    (void)state;
    for (const struct venue *v = venues; v < venues + TB_COUNT(venues); v++) {
        print_message("%s\n", v->venue);
        begin(v);
        print(v, 100);
        print(v, 103);
        print(v, 102); /* late */
        assert_int_equal(count_type(TB_TRADE), 3);
        assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 0);
        const unsigned repeats[] = {102, 103, 100, 102};
        for (size_t i = 0; i < TB_COUNT(repeats); i++)
            print(v, repeats[i]);
        assert_int_equal(count_type(TB_TRADE), 3);
        assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), TB_COUNT(repeats));
        print(v, 104); /* follows on 103 */
        assert_int_equal(count_type(TB_TRADE), 4);
        assert_int_equal(count_type(TB_GAP), v->ids == NUMBERED ? 1 : 0);
        ops->destroy(a);
    }
}

static void what_is_older_than_all_that_is_remembered_is_a_repeat(void **state)
{
    (void)state;
    begin(&venues[0]);
    for (unsigned id = 1; id <= 2000; id++)
        print(&venues[0], id);
    host.count = 0;
    print(&venues[0], 5);
    assert_int_equal(host.count, 0);
    ops->destroy(a);
}

static void trades_missed_around_a_disconnect_are_a_gap_of_exactly_their_ids(void **state)
{
    (void)state;
    for (const struct venue *v = venues; v < venues + TB_COUNT(venues); v++) {
        print_message("%s\n", v->venue);
        begin(v);
        print(v, 100);
        reconnect_venue();
        print(v, 100); /* a repeat tells nothing */
        assert_int_equal(host.count, 0);
        print(v, 104);
        assert_int_equal(host.count, 2);
        const struct tb_gap *gap = &find_type(TB_GAP)->gap;
        assert_int_equal(gap->channel, TB_CHANNEL_TRADES);
        assert_int_equal(gap->reason, TB_GAP_RECONNECT);
        assert_int_equal(gap->from, v->ids == NUMBERED ? 101 : 0);
        assert_int_equal(gap->to, v->ids == NUMBERED ? 103 : 0);
        ops->destroy(a);
    }
}

static void disconnect_that_missed_no_trade_is_no_gap_where_they_are_numbered(void **state)
{
    (void)state;
    for (const struct venue *v = venues; v < venues + TB_COUNT(venues); v++) {
        if (v->ids != NUMBERED)
            continue;
        assert_int_not_equal(tb_venue_trade_ids(v->venue), TB_TRADE_IDS_FREE);
        begin(v);
        print(v, 100);
        reconnect_venue();
        print(v, 101);
        assert_int_equal(count_type(TB_GAP), 0);
        ops->destroy(a);
    }
}

/* Every venue whose trades are numbered is in the table above. */
static void no_numbered_venue_is_left_out(void **state)
{
    (void)state;
    for (const char *const *name = adapter_venues(); *name != NULL; name++) {
        bool there = tb_venue_trade_ids(*name) == TB_TRADE_IDS_FREE;
        for (size_t i = 0; i < TB_COUNT(venues); i++)
            there = there || (strcmp(venues[i].venue, *name) == 0 && venues[i].ids == NUMBERED);
        if (!there)
            fail_msg("%s", *name);
    }
}

static void restart_whose_newest_trade_came_late_goes_on_behind_the_greatest(void **state)
{
    (void)state;
    struct tb_record r[2] = {{.instrument = 1, .type = TB_TRADE, .trade.trade_id = 103},
                             {.instrument = 1, .type = TB_TRADE, .trade.trade_id = 101}};
    const struct tb_record level = {.instrument = 1, .type = TB_LEVEL};
    const struct tb_record quote = {.instrument = 1, .type = TB_QUOTE};
    begin(&venues[0]);
    assert_true(ops->resume(a, &level));
    assert_true(ops->resume(a, &quote));
    if (ops->resume(a, &r[1])) /* the newest first */
        (void)ops->resume(a, &r[0]);
    ops->resumed(a);
    print(&venues[0], 103);
    assert_int_equal(host.count, 0);
    print(&venues[0], 104);
    assert_int_equal(count_type(TB_GAP), 0);
    assert_int_equal(count_type(TB_TRADE), 1);
    ops->destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trade_out_of_order_is_published_and_its_repeat_is_not),
        cmocka_unit_test(what_is_older_than_all_that_is_remembered_is_a_repeat),
        cmocka_unit_test(trades_missed_around_a_disconnect_are_a_gap_of_exactly_their_ids),
        cmocka_unit_test(disconnect_that_missed_no_trade_is_no_gap_where_they_are_numbered),
        cmocka_unit_test(no_numbered_venue_is_left_out),
        cmocka_unit_test(restart_whose_newest_trade_came_late_goes_on_behind_the_greatest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
