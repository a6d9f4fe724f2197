/* The Bybit adapter: its rules of continuity, its subscriptions, bytes that it should not get. */
#include "unit/adapter_abuse.h"

static struct adapter_market_config markets[] = {
    {.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -5},
    {.symbol = "ETH/USDT", .raw = "ETHUSDT", .price_exp = -2, .size_exp = -5},
};

static int setup_live(void **state)
{
    (void)state;
    make_venue("bybit", markets, TB_COUNT(markets), false);
    ops->on_connect(a, ++host.now);
    host.count = 0;
    return 0;
}

static int book(const char *type, uint64_t u, const char *bids, const char *asks)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "{'topic':'orderbook.200.BTCUSDT','ts':1700000000200,'type':'%s','data':{'s':'"
                   "BTCUSDT','b':[%s],'a':[%s],'u':%llu,'seq':9},'cts':1700000000190}",
                   type, bids, asks, (unsigned long long)u);
    return frame(text);
}

static int print(const char *id, const char *price, const char *side)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'topic':'publicTrade.BTCUSDT','ts':1700000000123,'type':'snapshot','data':[{'i':"
        "'%s','T':1700000000122,'p':'%s','v':'0.5','S':'%s','seq':4294967297,'s':'BTCUSDT',"
        "'BT':false,'RPI':false}]}",
        id, price, side);
    return frame(text);
}

static int top(uint64_t u, const char *bids, const char *asks)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'topic':'orderbook.1.BTCUSDT','ts':1700000000200,'type':'snapshot','data':{'s':'"
        "BTCUSDT','b':[%s],'a':[%s],'u':%llu,'seq':9},'cts':1700000000190}",
        bids, asks, (unsigned long long)u);
    return frame(text);
}

/* A book at u 100: bids 10 x1, 9 x2; asks 11 x3, 12 x4. */
static void start_book(void)
{
    assert_int_equal(book("snapshot", 100, "['10','1'],['9','2']", "['11','3'],['12','4']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.count = 0;
}

static int answer(bool success, const char *message, unsigned request)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{'success':%s,'ret_msg':'%s','conn_id':'x','req_id':'%u','op':'subscribe'}",
                   success ? "true" : "false", message, request);
    return frame(text);
}

/* ---- trades and quotes ---- */

static void trade_has_the_takers_side_and_the_venues_time(void **state)
{
    (void)state;
    assert_int_equal(print("2290000001189048101", "65140.5", "Buy"), 0);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_TRADE);
    assert_int_equal(r->trade.trade_id, UINT64_C(2290000001189048101));
    assert_int_equal(r->trade.price, 6514050);
    assert_int_equal(r->trade.size, 50000);
    assert_int_equal(r->trade.side, TB_BUY);
    assert_int_equal(r->trade.venue_seq, 1);
    assert_int_equal(r->ts_event, MS(1700000000122));
    assert_int_equal(print("2290000001189048102", "65140.5", "Sell"), 0);
    assert_int_equal(last()->trade.side, TB_SELL);
}

static void trade_ids_that_jump_are_no_gap(void **state)
{
    (void)state;
    assert_int_equal(print("100", "1", "Buy"), 0);
    assert_int_equal(print("122", "1", "Buy"), 0);
    assert_int_equal(print("122", "1", "Buy"), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 1);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void reconnect_puts_a_gap_of_unknown_extent_before_the_next_trade(void **state)
{
    (void)state;
    assert_int_equal(print("100", "1", "Buy"), 0);
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    host.count = 0;
    assert_int_equal(print("150", "1", "Buy"), 0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.channel, TB_CHANNEL_TRADES);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(host.record[0].gap.to, 0);
    assert_int_equal(host.record[1].type, TB_TRADE);
}

static void frame_that_nobody_can_read_is_a_gap_of_trades(void **state)
{
    (void)state;
    assert_int_equal(print("100", "1", "Buy"), 0);
    assert_int_equal(frame("{'topic':'publicTr"), -EBADMSG);
    assert_int_equal(print("101", "1", "Buy"), 0);
    assert_int_equal(host.record[1].type, TB_GAP);
    assert_int_equal(host.record[1].gap.reason, TB_GAP_BAD_FRAME);
}

static void one_bad_trade_does_not_keep_back_the_others_of_its_message(void **state)
{
    (void)state;
    assert_int_equal(frame("{'topic':'publicTrade.BTCUSDT','type':'snapshot','ts':1,'data':["
                           "{'i':'1','T':1,'p':'1','v':'1','S':'Buy','s':'BTCUSDT'},"
                           "{'i':'2','T':1,'p':'x','v':'1','S':'Buy','s':'BTCUSDT'},"
                           "{'i':'3','T':1,'p':'3','v':'1','S':'Buy','s':'BTCUSDT'}]}"),
                     -EBADMSG);
    assert_int_equal(count_type(TB_TRADE), 2);
    assert_int_equal(count_of(ADAPTER_FRAMES_BAD), 1);
}

static void quote_of_the_same_update_is_not_repeated_and_an_empty_side_is_zero(void **state)
{
    (void)state;
    assert_int_equal(top(7, "['10','1']", "['11','2']"), 0);
    assert_int_equal(top(7, "['10','1']", "['11','2']"), 0);
    assert_int_equal(count_type(TB_QUOTE), 1);
    assert_int_equal(last()->quote.ask_price, 1100);
    assert_int_equal(last()->ts_event, MS(1700000000190));
    assert_int_equal(top(8, "['10','1']", ""), 0);
    assert_int_equal(last()->quote.ask_price, 0);
    assert_int_equal(last()->quote.ask_size, 0);
    assert_int_equal(last()->quote.bid_price, 1000);
}

/* ---- the book ---- */

static void snapshot_makes_the_book_and_deltas_follow_by_one(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 101, "['10','0'],['9.5','7']", ""), 0);
    const struct tb_book *b = ops->book(a, "BTC/USDT");
    assert_int_equal(tb_book_best(b, TB_BUY, 0)->price, 950);
    assert_int_equal(b->update_id, 101);
    assert_int_equal(host.count, 2);
    assert_int_equal(last()->flags & TB_F_LAST, TB_F_LAST);
    assert_int_equal(last()->ts_event, MS(1700000000190));
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void delta_seen_before_is_dropped(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 101, "['10','5']", ""), 0);
    host.count = 0;
    assert_int_equal(book("delta", 101, "['10','5']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
}

static void missing_updates_are_a_gap_and_the_topic_is_subscribed_anew(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 104, "['10','5']", ""), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.from, 101);
    assert_int_equal(host.record[0].gap.to, 103);
    assert_int_equal(host.record[0].flags & TB_F_MAYBE_BAD_BOOK, TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(host.sent_count, 2);
    assert_non_null(
        strstr(host.sent[0].text, "\"op\":\"unsubscribe\",\"args\":[\"orderbook.200.BTCUSDT\"]"));
    assert_non_null(
        strstr(host.sent[1].text, "\"op\":\"subscribe\",\"args\":[\"orderbook.200.BTCUSDT\"]"));
    host.count = 0;
    assert_int_equal(book("delta", 105, "['10','5']", ""), 0); /* still of the old subscription */
    assert_int_equal(host.count, 0);
    assert_int_equal(host.sent_count, 2);
    assert_int_equal(book("snapshot", 110, "['10','1']", "['11','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].flags & TB_F_MAYBE_BAD_BOOK, TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(last()->status.code, TB_STATUS_SYNCED);
    assert_int_equal(host.record[host.count - 2].flags & TB_F_MAYBE_BAD_BOOK, 0);
    assert_int_equal(count_of(ADAPTER_GAPS), 1);
    assert_int_equal(count_of(ADAPTER_MISSING), 3);
}

static void book_that_fails_again_is_asked_for_after_a_pause_that_grows(void **state)
{
    (void)state;
    start_book();
    tb_ns pause = 0;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(book("delta", 200 * (i + 1), "", ""), 0);
        assert_int_equal(host.sent_count, 2 * (i + 1));
        assert_true(host.sent[2 * i].not_before >= pause);
        assert_true(i == 0 || host.sent[2 * i].not_before > 0);
        pause = host.sent[2 * i].not_before;
        assert_int_equal(book("snapshot", 200 * (i + 1) + 1, "['1','1']", ""), 0);
    }
}

/* Three times in a row asking did not help: the next time there would be a pause. */
static void fail_again_and_again(void)
{
    start_book();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(book("delta", 200 * (i + 1), "", ""), 0);
        assert_int_equal(book("snapshot", 200 * (i + 1) + 1, "['1','1']", ""), 0);
    }
    assert_true(host.sent[4].not_before > 0);
}

static void book_that_was_right_for_some_updates_is_asked_for_at_once_again(void **state)
{
    (void)state;
    fail_again_and_again();
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(book("delta", 602 + i, "", ""), 0);
    assert_int_equal(book("delta", 800, "", ""), 0);
    assert_int_equal(host.sent_count, 8);
    assert_int_equal(host.sent[6].not_before, 0);
}

static void reconnect_forgets_that_asking_did_not_help(void **state)
{
    (void)state;
    fail_again_and_again();
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    assert_int_equal(book("snapshot", 700, "['1','1']", ""), 0);
    assert_int_equal(book("delta", 800, "", ""), 0);
    assert_int_equal(host.sent_count, 8);
    assert_int_equal(host.sent[6].not_before, 0);
}

static void new_snapshot_replaces_the_book_without_a_gap(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("snapshot", 500, "['8','1']", "['12','1']"), 0);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(ops->book(a, "BTC/USDT")->bid.count, 1);
    assert_int_equal(book("delta", 501, "['8','0']", ""), 0);
    assert_int_equal(ops->book(a, "BTC/USDT")->bid.count, 0);
}

static void update_one_means_the_service_began_anew(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 1, "['7','1']", "['8','1']"), 0);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(ops->book(a, "BTC/USDT")->bid.count, 1);
    assert_int_equal(book("delta", 2, "['6','1']", ""), 0);
    assert_int_equal(ops->book(a, "BTC/USDT")->bid.count, 2);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void ids_that_go_back_without_a_snapshot_are_a_gap(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 3, "['6','1']", ""), 0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.to, 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
}

static void reconnect_is_a_gap_up_to_the_snapshot(void **state)
{
    (void)state;
    start_book();
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    host.count = 0;
    assert_int_equal(book("snapshot", 150, "['8','1']", "['12','1']"), 0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.from, 101);
    assert_int_equal(host.record[0].gap.to, 149);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(host.record[1].type, TB_CLEAR);
}

static void restart_resumes_ids_and_says_what_is_missing(void **state)
{
    (void)state;
    struct tb_record trade = {.instrument = 1, .type = TB_TRADE};
    struct tb_record level = {.instrument = 1, .type = TB_LEVEL};
    trade.trade.trade_id = 77;
    level.level.update_id = 100;
    (void)ops->resume(a, &trade);
    (void)ops->resume(a, &level);
    ops->resumed(a);
    assert_int_equal(print("77", "1", "Buy"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(print("78", "1", "Buy"), 0);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
    host.count = 0;
    assert_int_equal(book("snapshot", 150, "['8','1']", "['12','1']"), 0);
    assert_int_equal(host.record[0].gap.from, 101);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
    assert_int_equal(host.record[1].flags & TB_F_MAYBE_BAD_BOOK, TB_F_MAYBE_BAD_BOOK);
}

static void finer_numbers_refine_the_instrument_and_lose_nothing(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 101, "['9.125','0.1234567']", ""), 0);
    const struct tb_book *b = ops->book(a, "BTC/USDT");
    assert_int_equal(b->price_exp, -3);
    assert_int_equal(b->size_exp, -7);
    assert_int_equal(tb_book_best(b, TB_BUY, 0)->price, 10000);
    assert_int_equal(tb_book_best(b, TB_BUY, 1)->price, 9125);
    assert_int_equal(tb_book_best(b, TB_BUY, 1)->size, 1234567);
    assert_int_equal(count_of(ADAPTER_REFINED), 1);
    assert_int_equal(find_type(TB_CLEAR)->instrument, last()->instrument);
}

static void crossed_book_begins_anew_after_a_second(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("delta", 101, "['11.5','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.now += 2 * TB_NS_PER_S;
    assert_int_equal(book("delta", 102, "['11.6','1']", ""), 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_CHECKSUM);
    assert_int_equal(host.sent_count, 2);
}

/* ---- subscriptions ---- */

static void requests_hold_at_most_ten_topics(void **state)
{
    (void)state;
    static struct adapter_market_config many[8];
    char text[ADAPTER_REQUEST_BYTES];
    ops->destroy(a);
    for (unsigned i = 0; i < TB_COUNT(many); i++) {
        (void)snprintf(many[i].symbol, sizeof(many[i].symbol), "C%u/USDT", i);
        (void)snprintf(many[i].raw, sizeof(many[i].raw), "C%uUSDT", i);
    }
    make_venue("bybit", many, TB_COUNT(many), false);
    size_t topics = 0;
    unsigned messages = 0;
    for (; ops->subscribe(a, messages, text, sizeof(text)) > 0; messages++) {
        size_t of_one = 0;
        for (const char *at = text; (at = strstr(at, "USDT\"")) != NULL; at++)
            of_one++;
        assert_in_range(of_one, 1, 10);
        topics += of_one;
    }
    assert_int_equal(messages, 3);
    assert_int_equal(topics, 24);
}

static void subscribe_all(void)
{
    char text[ADAPTER_REQUEST_BYTES];
    assert_true(ops->subscribe(a, 0, text, sizeof(text)) > 0);
    assert_string_equal(text,
                        "{\"req_id\":\"1\",\"op\":\"subscribe\",\"args\":[\"publicTrade.BTCUSDT\","
                        "\"orderbook.1.BTCUSDT\",\"orderbook.200.BTCUSDT\",\"publicTrade.ETHUSDT\","
                        "\"orderbook.1.ETHUSDT\",\"orderbook.200.ETHUSDT\"]}");
    assert_int_equal(ops->subscribe(a, 1, text, sizeof(text)), 0);
}

static void unanswered_subscription_ends_the_connection(void **state)
{
    (void)state;
    subscribe_all();
    ops->on_time(a, host.now);
    ops->on_time(a, host.now + 9 * TB_NS_PER_S);
    assert_int_equal(host.reconnects, 0);
    ops->on_time(a, host.now + 11 * TB_NS_PER_S);
    assert_int_equal(host.reconnects, 1);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 6);
}

static void answered_subscription_waits_for_its_snapshot_and_asks_again(void **state)
{
    (void)state;
    subscribe_all();
    assert_int_equal(answer(true, "subscribe", 1), 0);
    assert_int_equal(count_of(ADAPTER_ACKS), 1);
    ops->on_time(a, host.now);
    ops->on_time(a, host.now + 9 * TB_NS_PER_S);
    assert_int_equal(host.sent_count, 0);
    ops->on_time(a, host.now + 11 * TB_NS_PER_S);
    assert_int_equal(host.sent_count, 4); /* both books */
    assert_int_equal(host.reconnects, 0);
}

static void refused_topic_is_left_out_and_the_others_are_asked_for_again(void **state)
{
    (void)state;
    subscribe_all();
    assert_int_equal(answer(false, "error:handler not found,topic:orderbook.200.ETHUSDT", 1), 0);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(host.sent_count, 1);
    assert_null(strstr(host.sent[0].text, "orderbook.200.ETHUSDT"));
    assert_non_null(strstr(host.sent[0].text, "orderbook.200.BTCUSDT"));
    assert_non_null(strstr(host.sent[0].text, "\"req_id\":\"2\""));
    assert_int_equal(answer(true, "subscribe", 2), 0);
    ops->on_time(a, host.now);
    assert_int_equal(book("snapshot", 1, "", ""), 0);
    ops->on_time(a, host.now + 60 * TB_NS_PER_S);
    assert_int_equal(host.reconnects, 0);
    assert_int_equal(host.sent_count, 1);
}

static void refusal_that_names_nothing_is_tried_one_by_one(void **state)
{
    (void)state;
    subscribe_all();
    assert_int_equal(answer(false, "error:busy", 1), 0);
    assert_int_equal(host.sent_count, 6);
    assert_int_equal(answer(false, "error:busy", 4), 0);
    assert_int_equal(host.sent_count, 6); /* alone: it is refused for good */
}

static void ping_is_json_and_both_pongs_are_known(void **state)
{
    (void)state;
    char text[128];
    assert_true(ops->ping(a, text, sizeof(text)) > 0);
    assert_string_equal(text, "{\"req_id\":\"ping1\",\"op\":\"ping\"}");
    assert_int_equal(ops->ping_interval_ns, 20 * TB_NS_PER_S);
    assert_int_equal(frame("{'success':true,'ret_msg':'pong','conn_id':'x','op':'ping'}"), 0);
    assert_int_equal(frame("{'req_id':'1','op':'pong','args':['1'],'conn_id':'x'}"), 0);
    assert_int_equal(count_of(ADAPTER_PONGS), 2);
    assert_int_equal(host.count, 0);
}

static int add_any(void *context, const struct tb_instrument *entry)
{
    (void)context, (void)entry;
    return 1;
}

static void too_many_topics_for_one_connection_are_refused(void **state)
{
    (void)state;
    static struct adapter_market_config many[512];
    const struct adapter_config config = {.venue = "bybit",
                                          .stream = "test",
                                          .market = many,
                                          .market_count = TB_COUNT(many),
                                          .channels = 7};
    struct tb_error err = {""};
    for (unsigned i = 0; i < TB_COUNT(many); i++) {
        (void)snprintf(many[i].symbol, sizeof(many[i].symbol), "COIN%u/USDT", i);
        (void)snprintf(many[i].raw, sizeof(many[i].raw), "COIN%uUSDT", i);
    }
    struct adapter_host h = test_host;
    h.instrument = add_any;
    assert_null(ops->create(&config, &h, &err));
    assert_non_null(strstr(err.text, "21000"));
}

/* ---- listings and recordings ---- */

static struct adapter_market_config listed;

static void see_market(void *context, const struct adapter_market_config *market)
{
    (void)context;
    listed = *market;
}

static void listing_gives_names_ticks_and_steps(void **state)
{
    (void)state;
    static const char *const one[] = {"BTC/USDT"};
    static const char body[] =
        "{'retCode':0,'result':{'category':'spot','list':[{'symbol':'BTCUSDT','baseCoin':'BTC',"
        "'quoteCoin':'USDT','status':'Trading','lotSizeFilter':{'basePrecision':'0.000001',"
        "'quotePrecision':'0.0000001'},'priceFilter':{'tickSize':'0.1'}}]}}";
    char path[256];
    assert_int_equal(ops->listing_path(one, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/v5/market/instruments-info?category=spot");
    assert_int_equal(ops->listing_path(NULL, 0, path, sizeof(path)), 0);
    assert_string_equal(path, "/v5/market/instruments-info?category=spot");
    assert_int_equal(ops->listing_path(one, 1, path, 20), -ENOSPC);
    char *copy = padded(body, sizeof(body) - 1);
    assert_int_equal(ops->listing_read(copy, sizeof(body) - 1, see_market, NULL), 1);
    free(copy);
    assert_string_equal(listed.symbol, "BTC/USDT");
    assert_string_equal(listed.raw, "BTCUSDT");
    assert_int_equal(listed.price_exp, -1);
    assert_int_equal(listed.size_exp, -6);
}

static void contracts_have_a_listing_and_an_endpoint_of_their_own(void **state)
{
    (void)state;
    static const char *const one[] = {"BTC/USDT:USDT"};
    static const struct {
        const char *body, *symbol;
    } listing[] = {
        {"{'retCode':0,'result':{'category':'linear','list':[{'symbol':'BTCPERP','contractType':"
         "'LinearPerpetual','baseCoin':'BTC','quoteCoin':'USDC','settleCoin':'USDC','lotSizeFilter'"
         ":"
         "{'qtyStep':'0.001'},'priceFilter':{'tickSize':'0.1'}}]}}",
         "BTC/USDC:USDC"},
        {"{'retCode':0,'result':{'category':'linear','list':[{'symbol':'BTC-26JUN26','contractType'"
         ":"
         "'LinearFutures','baseCoin':'BTC','quoteCoin':'USDC','settleCoin':'USDC','lotSizeFilter':"
         "{'qtyStep':'0.001'},'priceFilter':{'tickSize':'0.1'}}]}}",
         "BTC-26JUN26"},
    };
    struct adapter_market_config contract = {
        .symbol = "BTC/USDT:USDT", .raw = "BTCUSDT", .price_exp = -1, .size_exp = -3};
    char path[256];
    assert_string_equal(ops->connect_path(a), "/v5/public/spot");
    assert_int_equal(ops->listing_path(one, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/v5/market/instruments-info?category=linear&limit=1000");
    for (size_t i = 0; i < TB_COUNT(listing); i++) {
        char *copy = padded(listing[i].body, strlen(listing[i].body));
        assert_int_equal(ops->listing_read(copy, strlen(listing[i].body), see_market, NULL), 1);
        free(copy);
        assert_string_equal(listed.symbol, listing[i].symbol);
        assert_int_equal(listed.size_exp, -3);
    }
    ops->destroy(a);
    make_venue("bybit", &contract, 1, false);
    assert_string_equal(ops->connect_path(a), "/v5/public/linear");
}

/* ---- bytes that no venue should send ---- */

static const char *const whole_frames[] = {
    "{'topic':'publicTrade.BTCUSDT','ts':1700000000123,'type':'snapshot','data':[{'i':'7','T':"
    "1700000000122,'p':'1.5','v':'0.5','S':'Buy','seq':1,'s':'BTCUSDT','BT':false}]}",
    "{'topic':'orderbook.200.BTCUSDT','ts':1,'type':'snapshot','data':{'s':'BTCUSDT','b':[['10','"
    "1']],'a':[['11','2']],'u':100,'seq':9},'cts':2}",
    "{'topic':'orderbook.1.BTCUSDT','type':'snapshot','ts':1,'data':{'s':'BTCUSDT','b':[['10','1']]"
    ","
    "'a':[['11','2']],'u':100,'seq':9},'cts':2}",
    "{'success':false,'ret_msg':'error:x,topic:publicTrade.BTCUSDT','conn_id':'x','req_id':'1','op'"
    ":"
    "'subscribe'}",
};

static void frame_cut_at_any_byte_is_bad_and_publishes_nothing(void **state)
{
    (void)state;
    check_cut_frames(whole_frames, TB_COUNT(whole_frames));
}

static void renew(void)
{
    make_venue("bybit", markets, TB_COUNT(markets), false);
}

static void changed_bytes_never_crash(void **state)
{
    (void)state;
    change_each_byte(whole_frames, TB_COUNT(whole_frames), renew);
}

static void hostile_messages_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "garbage",
        "null",
        "[]",
        "{}{}",
        "pong",
        "{'topic':'publicTrade.BTCUSDT','data':{}}",
        "{'topic':'publicTrade.BTCUSDT','data':[{'i':'1','T':-1,'p':'1','v':'1','S':'Buy'}]}",
        "{'topic':'publicTrade.BTCUSDT','data':[{'i':'1','T':1,'p':'1','v':'1','S':'buy'}]}",
        "{'topic':'publicTrade.BTCUSDT','data':[{'i':'1','T':1,'p':1,'v':'1','S':'Buy'}]}",
        "{'topic':'publicTrade.BTCUSDT','data':[{'i':'1','T':1,'p':'-1','v':'1','S':'Buy'}]}",
        "{'topic':'publicTrade.BTCUSDT','data':[{'i':'1','T':9223372036854775807,'p':'1','v':'1',"
        "'S':'Buy'}]}",
        "{'topic':'orderbook.200.BTCUSDT','type':'delta','data':{'s':'ETHUSDT','b':[],'a':[],'u':1}"
        "}",
        "{'topic':'orderbook.200.BTCUSDT','type':'other','data':{'s':'BTCUSDT','b':[],'a':[],'u':1}"
        "}",
        "{'topic':'orderbook.200.BTCUSDT','type':'delta','data':{'s':'BTCUSDT','b':[],'a':[],'u':1."
        "5}}",
        "{'topic':'orderbook.200.BTCUSDT','type':'delta','data':{'s':'BTCUSDT','b':[['1']],'a':[],'"
        "u':1}"
        "}",
        "{'topic':'orderbook.200.BTCUSDT','type':'delta','data':{'s':'BTCUSDT','b':{},'a':[],'u':1}"
        "}",
        "{'topic':'orderbook.200.BTCUSDT','type':'snapshot','data':{'s':'BTCUSDT','b':[['1e400','1'"
        "]],"
        "'a':[],'u':1}}",
        "{'topic':'orderbook.1.BTCUSDT','type':'delta','data':{'s':'BTCUSDT','b':[],'a':[],'u':1}}",
    };
    check_refused(texts, TB_COUNT(texts));
}

static void kinds_that_are_not_taken_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'type':'snapshot','topic':'kline.1.BTCUSDT','data':[{'start':1}],'ts':1}"), 0);
    assert_int_equal(
        frame("{'topic':'tickers.BTCUSDT','ts':1,'type':'snapshot','cs':2,'data':{'symbol':"
              "'BTCUSDT','lastPrice':'1'}}"),
        0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0);
    assert_int_equal(frame("{'topic':'liquidation.BTCUSDT','data':{}}"), 0);
    assert_int_equal(frame("{'topic':'orderbook.full.BTCUSDT','data':{}}"), 0);
    assert_int_equal(book("snapshot", 1, "", ""), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 2);
}

#define L(test) cmocka_unit_test_setup_teardown(test, setup_live, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(trade_has_the_takers_side_and_the_venues_time),
        L(trade_ids_that_jump_are_no_gap),
        L(reconnect_puts_a_gap_of_unknown_extent_before_the_next_trade),
        L(frame_that_nobody_can_read_is_a_gap_of_trades),
        L(one_bad_trade_does_not_keep_back_the_others_of_its_message),
        L(quote_of_the_same_update_is_not_repeated_and_an_empty_side_is_zero),
        L(snapshot_makes_the_book_and_deltas_follow_by_one),
        L(delta_seen_before_is_dropped),
        L(missing_updates_are_a_gap_and_the_topic_is_subscribed_anew),
        L(book_that_fails_again_is_asked_for_after_a_pause_that_grows),
        L(book_that_was_right_for_some_updates_is_asked_for_at_once_again),
        L(reconnect_forgets_that_asking_did_not_help),
        L(new_snapshot_replaces_the_book_without_a_gap),
        L(update_one_means_the_service_began_anew),
        L(ids_that_go_back_without_a_snapshot_are_a_gap),
        L(reconnect_is_a_gap_up_to_the_snapshot),
        L(restart_resumes_ids_and_says_what_is_missing),
        L(finer_numbers_refine_the_instrument_and_lose_nothing),
        L(crossed_book_begins_anew_after_a_second),
        L(requests_hold_at_most_ten_topics),
        L(unanswered_subscription_ends_the_connection),
        L(answered_subscription_waits_for_its_snapshot_and_asks_again),
        L(refused_topic_is_left_out_and_the_others_are_asked_for_again),
        L(refusal_that_names_nothing_is_tried_one_by_one),
        L(ping_is_json_and_both_pongs_are_known),
        L(too_many_topics_for_one_connection_are_refused),
        L(listing_gives_names_ticks_and_steps),
        L(contracts_have_a_listing_and_an_endpoint_of_their_own),
        L(frame_cut_at_any_byte_is_bad_and_publishes_nothing),
        L(changed_bytes_never_crash),
        L(hostile_messages_are_refused),
        L(kinds_that_are_not_taken_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
