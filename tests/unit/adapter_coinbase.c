/* Coinbase: the Exchange feed and Advanced Trade. */
#include "unit/adapter_abuse.h"
#include "unit/adapter_venue.h"

static int begin(void **state)
{
    (void)state;
    start("coinbaseexchange", "BTC-USD", "ETH-USD", 100, false);
    return 0;
}

static int begin_advanced(void **state)
{
    (void)state;
    start("coinbase", "BTC-USD", "ETH-USD", 100, false);
    return 0;
}

/* ---- the Exchange ---- */

static int match(const char *type, uint64_t id, const char *side)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'type':'%s','trade_id':%llu,'sequence':50,'time':'2014-11-07T08:19:27.028459Z',"
        "'product_id':'BTC-USD','size':'5.23512','price':'400.2','side':'%s'}",
        type, (unsigned long long)id, side);
    return frame(text);
}

static int heartbeat(uint64_t id)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "{'type':'heartbeat','sequence':90,'last_trade_id':%llu,'product_id':'BTC-USD',"
                   "'time':'2014-11-07T08:19:28.464459Z'}",
                   (unsigned long long)id);
    return frame(text);
}

static int update(const char *changes)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'type':'l2update','product_id':'BTC-USD','changes':[%s],'time':'2022-08-04T15:25:"
        "05.010758Z'}",
        changes);
    return frame(text);
}

/* bids 10 x 1, asks 11 x 2 */
static void join(void)
{
    assert_int_equal(
        frame("{'type':'snapshot','product_id':'BTC-USD','bids':[['10','1.00']],'asks':[['11."
              "00','2']]}"),
        0);
    assert_true(ops->book(a, "BTC/USD")->valid);
    forget();
}

static void taker_is_the_other_side(void **state)
{
    (void)state;
    assert_int_equal(match("last_match", 10, "sell"), 0);
    assert_int_equal(match("match", 11, "buy"), 0);
    assert_int_equal(host.record[0].trade.side, TB_BUY);
    assert_int_equal(host.record[0].trade.price, 4002);
    assert_int_equal(host.record[0].ts_event, INT64_C(1415348367028459000));
    assert_int_equal(host.record[1].trade.side, TB_SELL);
}

static void last_match_repeats_nothing_and_tells_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(match("match", 10, "sell"), 0);
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    forget();
    assert_int_equal(match("last_match", 10, "sell"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(match("last_match", 13, "sell"), 0);
    assert_int_equal(host.record[0].gap.from, 11);
    assert_int_equal(host.record[0].gap.to, 12);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
}

static void trade_that_only_heartbeats_know_is_missing(void **state)
{
    (void)state;
    assert_int_equal(match("match", 10, "sell"), 0);
    assert_int_equal(heartbeat(11), 0); /* its match may be behind */
    assert_int_equal(match("match", 11, "sell"), 0);
    assert_int_equal(heartbeat(13), 0);
    assert_int_equal(count_type(TB_GAP), 0);
    assert_int_equal(heartbeat(13), 0);
    assert_int_equal(count_type(TB_GAP), 1);
    assert_int_equal(last()->gap.from, 12);
    assert_int_equal(last()->gap.to, 13);
    assert_int_equal(heartbeat(13), 0);
    assert_int_equal(match("match", 14, "sell"), 0);
    assert_int_equal(count_type(TB_GAP), 1);
    assert_int_equal(count_of(ADAPTER_MISSING), 2);
}

static void year_one_is_no_time(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'type':'match','trade_id':1,'time':'0001-01-01T00:00:00.000000Z','product_id':"
              "'BTC-USD','size':'1','price':'2','side':'sell'}"),
        0);
    assert_int_equal(last()->ts_event, 0);
}

static void book_takes_absolute_sizes(void **state)
{
    (void)state;
    join();
    assert_int_equal(
        update("['buy','10.000000','3'],['sell','11','0.00000000'],['sell','12','1'],['buy','"
               "9','0']"),
        0);
    assert_int_equal(host.count, 3); /* 9 was not there */
    assert_int_equal(host.record[0].level.action, TB_MODIFY);
    assert_int_equal(host.record[0].level.size, 300000000);
    assert_int_equal(host.record[1].level.action, TB_REMOVE);
    assert_int_equal(host.record[2].flags, TB_F_MBP | TB_F_LAST);
    assert_int_equal(host.record[2].ts_event, INT64_C(1659626705010758000));
}

static void change_without_a_snapshot_asks_for_one(void **state)
{
    (void)state;
    assert_int_equal(update("['buy','10','3']"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(sent.count, 2);
    assert_string_equal(sent.text[0], "{\"type\":\"unsubscribe\",\"product_ids\":[\"BTC-USD\"],"
                                      "\"channels\":[\"level2_batch\"]}");
    assert_string_equal(sent.text[1], "{\"type\":\"subscribe\",\"product_ids\":[\"BTC-USD\"],"
                                      "\"channels\":[\"level2_batch\"]}");
    assert_int_equal(update("['buy','10','3']"), 0);
    assert_int_equal(sent.count, 2);
}

static void book_that_stays_crossed_is_asked_for_anew(void **state)
{
    (void)state;
    join();
    assert_int_equal(update("['buy','12','3']"), 0);
    host.now += MS(900);
    assert_int_equal(update("['buy','5','3']"), 0);
    assert_int_equal(count_type(TB_GAP), 0);
    host.now += MS(200);
    assert_int_equal(update("['buy','5','4']"), 0);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_CHECKSUM);
    assert_false(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(sent.count, 2);
}

static void ticker_is_a_quote_if_it_has_sizes(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'type':'ticker','sequence':37475248783,'product_id':'ETH-USD','price':'1285.22',"
              "'best_bid':'1285.04','best_bid_size':'0.46688654','best_ask':'1285.27',"
              "'best_ask_size':'1.56637040','side':'buy','time':'2022-10-19T23:28:22.061769Z',"
              "'trade_id':370843401,'last_size':'11.4396987'}"),
        0);
    assert_int_equal(last()->quote.bid_price, 128504);
    assert_int_equal(last()->quote.ask_size, 156637040);
    assert_int_equal(last()->ts_event, INT64_C(1666222102061769000));
    forget();
    assert_int_equal(
        frame("{'type':'ticker','product_id':'ETH-USD','price':'1','best_bid':'1','best_ask':'2',"
              "'side':'buy','time':'2022-10-19T23:28:22.061769Z','trade_id':3}"),
        0);
    assert_int_equal(host.count, 0);
}

static void one_product_a_message(void **state)
{
    (void)state;
    assert_string_equal(subscription(1),
                        "{'type':'subscribe','product_ids':['ETH-USD'],'channels':['matches',"
                        "'ticker','level2_batch','heartbeat']}");
    assert_string_equal(subscription(2), "");
}

static void acknowledgement_settles_what_it_lists(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    assert_int_equal(
        frame("{'type':'subscriptions','channels':[{'name':'matches','product_ids':['BTC-USD',"
              "'ETH-USD'],'account_ids':null},{'name':'level2_50','product_ids':['BTC-USD']}]}"),
        0);
    assert_int_equal(
        frame("{'type':'error','message':'Failed to subscribe','reason':'ETH-USD is delisted'}"),
        0);
    ops->on_time(a, host.now + 20 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_ACKS), 1);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 1);   /* a ticker */
    assert_int_equal(count_of(ADAPTER_RESUBSCRIBED), 1); /* a book that did not come */
}

static void bad_frame_costs_the_book_it_names(void **state)
{
    (void)state;
    join();
    assert_int_equal(frame("{'type':'l2update','product_id':'ETH-USD','changes':7}"), -EBADMSG);
    assert_true(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(update("['buy','10','NaN']"), -EBADMSG);
    assert_false(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_BAD_FRAME);
    assert_int_equal(sent.count, 2);
}

/* ---- Advanced Trade ---- */

static int advanced(const char *channel, unsigned sequence, const char *events)
{
    char text[1024];
    (void)snprintf(
        text, sizeof(text),
        "{'channel':'%s','timestamp':'2026-04-07T14:30:03.5Z','sequence_num':%u,'events':[%s]}",
        channel, sequence, events);
    return frame(text);
}

static int level(const char *type, unsigned sequence, const char *side, const char *price,
                 const char *size)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'type':'%s','product_id':'BTC-USD','updates':[{'side':'%s','event_time':'2026-04-07T14:"
        "30:01.456789Z','price_level':'%s','new_quantity':'%s'}]}",
        type, side, price, size);
    return advanced("l2_data", sequence, text);
}

static void every_frame_is_numbered(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    forget();
    assert_int_equal(advanced("subscriptions", 0, "{'subscriptions':{'level2':['BTC-USD']}}"), 0);
    assert_int_equal(level("snapshot", 1, "bid", "10", "1"), 0);
    assert_int_equal(
        advanced("heartbeats", 2, "{'current_time':'2026-04-07 14:30:10','heartbeat_counter':42}"),
        0);
    assert_int_equal(level("update", 3, "offer", "11", "2"), 0);
    assert_int_equal(count_type(TB_GAP), 0);
    assert_int_equal(last()->level.update_id, 3);
    assert_int_equal(last()->ts_event, INT64_C(1775572201456789000));
    forget();
    assert_int_equal(level("update", 3, "offer", "11", "9"), 0); /* the same again */
    assert_int_equal(host.count, 0);
    assert_int_equal(
        advanced("heartbeats", 6, "{'current_time':'2026-04-07 14:30:10','heartbeat_counter':43}"),
        0);
    assert_int_equal(find_type(TB_GAP)->gap.from, 4);
    assert_int_equal(find_type(TB_GAP)->gap.to, 5);
    assert_int_equal(find_type(TB_GAP)->gap.channel, TB_CHANNEL_BOOK);
    assert_int_equal(count_of(ADAPTER_MISSING), 2);
    assert_int_equal(count_status(TB_STATUS_UNSYNCED), 1);
    assert_int_equal(host.reconnects, 1);
    assert_false(ops->book(a, "BTC/USD")->valid);
    ops->on_disconnect(a, ++host.now, 1000, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    assert_int_equal(advanced("heartbeats", 0, "{'heartbeat_counter':1}"), 0);
    assert_int_equal(level("snapshot", 1, "bid", "10", "1"), 0);
    assert_int_equal(host.reconnects, 1);
    assert_true(ops->book(a, "BTC/USD")->valid);
}

static void unreadable_frame_is_not_missing_too(void **state)
{
    (void)state;
    assert_int_equal(level("snapshot", 1, "bid", "10", "1"), 0);
    assert_int_equal(frame("{'channel':'l2_data','sequ"), -EBADMSG);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_BAD_FRAME);
    assert_int_equal(sent.count, 2);
    assert_int_equal(level("snapshot", 3, "bid", "10", "1"), 0);
    assert_int_equal(count_type(TB_GAP), 1);
    assert_int_equal(host.reconnects, 0);
    assert_true(ops->book(a, "BTC/USD")->valid);
}

static void newest_trade_comes_first(void **state)
{
    (void)state;
    assert_int_equal(
        advanced("market_trades", 0,
                 "{'type':'snapshot','trades':[{'trade_id':'9','product_id':'BTC-USD','price':'5.5'"
                 ",'size':"
                 "'1','side':'SELL','time':'2026-04-07T14:30:02Z'},{'trade_id':'8','product_id':'"
                 "BTC-USD',"
                 "'price':'5.4','size':'1','side':'BUY','time':'2026-04-07T14:30:01Z'}]}"),
        0);
    assert_int_equal(host.count, 1); /* of the past only the newest */
    assert_int_equal(host.record[0].trade.trade_id, 9);
    assert_int_equal(host.record[0].trade.side, TB_BUY);
    assert_int_equal(
        advanced(
            "market_trades", 1,
            "{'type':'update','trades':[{'trade_id':'11','product_id':'BTC-USD','price':'5.6','"
            "size':'1',"
            "'side':'SELL','time':'2026-04-07T14:30:03Z'},{'trade_id':'10','product_id':'BTC-USD',"
            "'price':'5.5','size':'1','side':'BUY','time':'2026-04-07T14:30:03Z'}]}"),
        0);
    assert_int_equal(count_type(TB_GAP), 0);
    assert_int_equal(host.record[1].trade.trade_id, 10);
    assert_int_equal(host.record[1].trade.side, TB_SELL);
    assert_int_equal(host.record[2].trade.trade_id, 11);
}

static void advanced_ticker_is_a_quote(void **state)
{
    (void)state;
    assert_int_equal(
        advanced("ticker", 0,
                 "{'type':'snapshot','tickers':[{'type':'ticker','product_id':'BTC-USD','price':"
                 "'68900.50','best_bid':'68900.00','best_bid_quantity':'1.5','best_ask':'68901',"
                 "'best_ask_quantity':'0.5'}]}"),
        0);
    assert_int_equal(last()->quote.bid_price, 689000);
    assert_int_equal(last()->ts_event, INT64_C(1775572203500000000));
}

static void one_channel_a_message(void **state)
{
    (void)state;
    assert_string_equal(subscription(0), "{'type':'subscribe','channel':'heartbeats'}");
    assert_string_equal(subscription(1),
                        "{'type':'subscribe','channel':'market_trades','product_ids':['BTC-"
                        "USD','ETH-USD']}");
    assert_string_equal(subscription(3),
                        "{'type':'subscribe','channel':'level2','product_ids':['BTC-USD','"
                        "ETH-USD']}");
    assert_string_equal(subscription(4), "");
}

/* ---- both ---- */

static void listings(void **state)
{
    (void)state;
    struct adapter_market_config market[4];
    assert_int_equal(
        read_listing(
            "[{'id':'BTC-USD','base_currency':'BTC','quote_currency':'USD','base_increment':"
            "'0.00000001','quote_increment':'0.01','status':'online'}]",
            market),
        1);
    assert_string_equal(market[0].symbol, "BTC/USD");
    assert_int_equal(market[0].price_exp, -2);
    assert_int_equal(market[0].size_exp, -8);
    assert_int_equal(
        read_listing(
            "{'products':[{'product_id':'BTC-USDC','base_currency_id':'BTC','quote_currency_id':"
            "'USDC','base_increment':'0.00000001','price_increment':'0.01','quote_increment':"
            "'0.000001','alias':'BTC-USD','alias_to':[]},{'product_id':'BIT-28JUL23-CDE',"
            "'base_currency_id':'','quote_currency_id':'USD'}],'num_products':2}",
            market),
        1);
    assert_string_equal(market[0].symbol, "BTC/USDC");
    assert_string_equal(market[0].raw, "BTC-USD"); /* messages come under this name */
    assert_int_equal(market[0].price_exp, -2);
    assert_int_equal(read_listing("{'products':7}", market), -EBADMSG);
    assert_int_equal(read_listing("[7]", market), -EBADMSG);
}

static void recording_shows_its_markets(void **state)
{
    (void)state;
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    scan_text(
        "{'type':'snapshot','product_id':'SKL-BTC','bids':[['0.00001303','1249.90']],'asks':[]}",
        markets, &count, &channels);
    assert_int_equal(count, 1);
    assert_string_equal(markets[0].symbol, "SKL/BTC");
    assert_int_equal(markets[0].price_exp, -8);
    assert_int_equal(markets[0].size_exp, -1);
    assert_int_equal(channels, ADAPTER_BOOK);
    /* An old ticker shows nothing that would be published. */
    scan_text("{'type':'ticker','product_id':'X-Y','best_bid':'1','best_ask':'2'}", markets, &count,
              &channels);
    assert_int_equal(count, 1);
}

static void a_refusal_may_give_no_reason(void **state)
{
    (void)state;
    assert_int_equal(frame("{'type':'error','message':'Failed to subscribe'}"), 0);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
}

static void hostile_frames_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}{}",
        "{'type':7}",
        "{'type':'match','trade_id':-1,'product_id':'BTC-USD','size':'1','price':'1','side':'sell'"
        "}",
        "{'type':'match','trade_id':1,'product_id':'BTC-USD','size':'1','price':1,'side':'sell'}",
        "{'type':'match','trade_id':1,'product_id':'BTC-USD','size':'1','price':'1','side':'none'}",
        "{'type':'match','trade_id':1,'product_id':'BTC-USD','size':'1','price':'1e40','side':'"
        "sell'}",
        "{'type':'match','trade_id':1,'product_id':'BTC-USD','size':'1','price':'1','side':'sell','"
        "time':'x'}",
        "{'type':'l2update','product_id':'BTC-USD','changes':[['buy','1']]}",
        "{'type':'l2update','product_id':'BTC-USD','changes':[['hold','1','1']]}",
        "{'type':'l2update','product_id':'BTC-USD'}",
        "{'type':'snapshot','product_id':'BTC-USD','bids':[]}",
        "{'type':'snapshot','product_id':'BTC-USD','bids':[],'bids':[],'asks':[]}",
        "{'type':'heartbeat','product_id':'BTC-USD'}",
        "{'channel':'l2_data','sequence_num':1,'events':[{'type':'update','updates':[]}]}",
        "{'channel':'l2_data','events':[]}",
        "{'channel':'l2_data','sequence_num':1}",
        "{'channel':'l2_data','sequence_num':'x','events':[]}",
    };
    check_refused(texts, TB_COUNT(texts));
    join();
}

static void abused_frames_never_crash(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{'type':'match','trade_id':10,'time':'2014-11-07T08:19:27.028459Z','product_id':'BTC-USD',"
        "'size':'5.2',"
        "'price':'400.2','side':'sell'}",
        "{'type':'snapshot','product_id':'BTC-USD','bids':[['10','1.00']],'asks':[['11.00','2']]}",
        ("{'type':'l2update','product_id':'BTC-USD','changes':[['buy','10','3']],'time':'2022-08-"
         "04T15:25:05Z'}"),
        "{'type':'subscriptions','channels':[{'name':'matches','product_ids':['BTC-USD']}]}",
    };
    abuse(frames, TB_COUNT(frames));
}

static void abused_envelopes_never_crash(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{'channel':'l2_data','timestamp':'2026-04-07T14:30:03Z','sequence_num':1,'events':[{'type'"
        ":'snapshot',"
        "'product_id':'BTC-USD','updates':[{'side':'bid','event_time':'2026-04-07T14:30:01.4Z','"
        "price_level':"
        "'68900','new_quantity':'2'}]}]}",
        "{'channel':'market_trades','sequence_num':5,'events':[{'type':'update','trades':[{'trade_"
        "id':'99',"
        "'product_id':'BTC-USD','price':'6.5','size':'0.1','side':'BUY','time':'2026-04-07T14:30:"
        "02Z'}]}]}",
        ("{'channel':'subscriptions','sequence_num':0,'events':[{'subscriptions':{'level2':['BTC-"
         "USD']}}]}"),
    };
    abuse(frames, TB_COUNT(frames));
}

#define E(test) cmocka_unit_test_setup_teardown(test, begin, teardown)
#define A(test) cmocka_unit_test_setup_teardown(test, begin_advanced, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        E(taker_is_the_other_side),
        E(last_match_repeats_nothing_and_tells_what_is_missing),
        E(trade_that_only_heartbeats_know_is_missing),
        E(year_one_is_no_time),
        E(book_takes_absolute_sizes),
        E(change_without_a_snapshot_asks_for_one),
        E(book_that_stays_crossed_is_asked_for_anew),
        E(ticker_is_a_quote_if_it_has_sizes),
        E(one_product_a_message),
        E(acknowledgement_settles_what_it_lists),
        E(bad_frame_costs_the_book_it_names),
        A(every_frame_is_numbered),
        A(unreadable_frame_is_not_missing_too),
        A(newest_trade_comes_first),
        A(advanced_ticker_is_a_quote),
        A(one_channel_a_message),
        E(listings),
        E(recording_shows_its_markets),
        E(a_refusal_may_give_no_reason),
        E(hostile_frames_are_refused),
        E(abused_frames_never_crash),
        A(abused_envelopes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
