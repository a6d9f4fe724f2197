/* The Binance adapter: trades, quotes, connections, restarts, subscriptions, listings. */
#include "unit/adapter_fixture.h"

/* ---- trades ---- */

static void trade_is_published_with_the_takers_side(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "61837.63000000", "0.02000000", ",'M':true"), 0);
    assert_int_equal(host.count, 1);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_TRADE);
    assert_int_equal(r->flags, TB_F_LAST);
    assert_int_equal(r->instrument, 1);
    assert_int_equal(r->ts_event, MS(1700000000122));
    assert_int_equal(r->ts_recv, host.now);
    assert_int_equal(r->trade.price, 6183763);
    assert_int_equal(r->trade.size, 2000);
    assert_int_equal(r->trade.trade_id, 7);
    assert_int_equal(r->trade.side, TB_SELL); /* the buyer was the maker */
    assert_int_equal(r->trade.action, TB_TRADED);
    assert_int_equal(r->trade.count, 1);
}

static void keys_may_come_in_any_order_and_unknown_ones_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'data':{'m':false,'new':{'deep':[1,{'x':']}'}]},'T':1700000000122,'q':'1','p':'2','"
              "t':9,'s':'BTCUSDT','E':1,'e':'trade','b':88,'a':99},'stream':'btcusdt@trade'}"),
        0);
    assert_int_equal(last()->trade.trade_id, 9);
    assert_int_equal(last()->trade.side, TB_BUY);
}

static void microseconds_are_told_from_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(frame("{'e':'trade','E':1,'s':'BTCUSDT','t':1,'p':'2','q':'1','T':"
                           "1700000000122345,'m':true}"),
                     0);
    assert_int_equal(last()->ts_event, INT64_C(1700000000122345000));
}

static void duplicate_trade_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 1);
}

static void jump_of_trade_ids_is_a_gap(void **state)
{
    (void)state;
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(trade(11, "1", "1", ""), 0);
    assert_int_equal(host.count, 3);
    const struct tb_record *gap = &host.record[1];
    assert_int_equal(gap->type, TB_GAP);
    assert_int_equal(gap->gap.from, 8);
    assert_int_equal(gap->gap.to, 10);
    assert_int_equal(gap->gap.missing, 3);
    assert_int_equal(gap->gap.reason, TB_GAP_SEQUENCE);
    assert_int_equal(gap->gap.channel, TB_CHANNEL_TRADES);
    assert_int_equal(host.record[2].trade.trade_id, 11);
    assert_int_equal(count_of(ADAPTER_MISSING), 3);
}

static void what_is_no_trade_counts_its_id_and_is_not_published(void **state)
{
    (void)state;
    assert_int_equal(trade(1, "1", "1", ",'X':'MARKET'"), 0);
    assert_int_equal(trade(2, "0.00000000", "0.00000000", ""), 0);
    assert_int_equal(trade(3, "5", "1", ",'X':'INSURANCE_FUND'"), 0);
    assert_int_equal(trade(4, "5", "0", ""), 0);
    assert_int_equal(trade(5, "5", "1", ""), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(last()->trade.trade_id, 5);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 3);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void bad_trade_makes_a_gap_that_says_why(void **state)
{
    (void)state;
    assert_int_equal(trade(1, "1", "1", ""), 0);
    assert_int_equal(trade(2, "1e400", "1", ""), -EBADMSG);
    assert_int_equal(trade(3, "1", "1", ""), 0);
    assert_int_equal(host.record[1].gap.from, 2);
    assert_int_equal(host.record[1].gap.reason, TB_GAP_BAD_FRAME);
    assert_int_equal(trade(9, "1", "1", ""), 0); /* and only for that one */
    assert_int_equal(host.record[3].gap.reason, TB_GAP_SEQUENCE);
}

static void aggregated_trade_says_how_many_it_merges(void **state)
{
    (void)state;
    static const char text[] = "{'e':'aggTrade','E':1,'s':'BTCUSDT','a':%d,'p':'1','q':'2','f':100,"
                               "'l':%d,'T':1700000000122,'m':false}";
    char out[256];
    (void)snprintf(out, sizeof(out), text, 5, 105);
    assert_int_equal(frame(out), 0);
    assert_int_equal(host.count, 0); /* this feed takes single trades */
    ops->destroy(a);
    a = make(true, false);
    assert_int_equal(frame(out), 0);
    assert_int_equal(last()->trade.trade_id, 5);
    assert_int_equal(last()->trade.count, 6);
    (void)snprintf(out, sizeof(out), text, 6, 99);
    assert_int_equal(frame(out), -EBADMSG);
    (void)snprintf(out, sizeof(out), text, 7, 1000000);
    assert_int_equal(frame(out), 0);
    assert_int_equal(last()->trade.count, UINT16_MAX);
    assert_int_equal(host.record[1].type, TB_GAP);
}

/* ---- quotes ---- */

static void quote_has_no_time_of_the_venue(void **state)
{
    (void)state;
    assert_int_equal(frame("{'u':400900217,'s':'BTCUSDT','b':'25.35000000','B':'31.21000000','a':'"
                           "25.36000000','A':'40.66000000'}"),
                     0);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_QUOTE);
    assert_int_equal(r->ts_event, 0);
    assert_int_equal(r->quote.bid_price, 2535);
    assert_int_equal(r->quote.ask_price, 2536);
    assert_int_equal(r->quote.bid_size, 3121000);
    assert_int_equal(r->quote.ask_size, 4066000);
    assert_true(r->flags & TB_F_LAST);
}

static void book_is_held_against_the_quote_of_the_same_update(void **state)
{
    (void)state;
    static const char quote[] = "{'u':%d,'s':'BTCUSDT','b':'10','B':'%d','a':'11','A':'3'}";
    char text[256];
    sync_book();
    (void)snprintf(text, sizeof(text), quote, 103, 7); /* before its depth event */
    assert_int_equal(frame(text), 0);
    assert_int_equal(depth(102, 103, "['10','7']", ""), 0);
    assert_int_equal(count_of(ADAPTER_BBO_EQUAL), 1);
    assert_int_equal(depth(104, 105, "['10','8']", ""), 0);
    (void)snprintf(text, sizeof(text), quote, 105, 9); /* after it, and another */
    assert_int_equal(frame(text), 0);
    assert_int_equal(count_of(ADAPTER_BBO_EQUAL), 1);
    assert_int_equal(count_of(ADAPTER_BBO_DIFFERENT), 1);
}

/* ---- control messages, other kinds ---- */

static void acks_and_refusals_are_counted(void **state)
{
    (void)state;
    assert_int_equal(frame("{'result':null,'id':1}"), 0);
    assert_int_equal(frame("{'code':2,'msg':'Invalid request','id':1}"), 0);
    assert_int_equal(frame("{'error':{'code':3,'msg':'Invalid JSON'},'id':2}"), 0);
    assert_int_equal(count_of(ADAPTER_ACKS), 1);
    assert_int_equal(host.sent_count, 2); /* one of several: both halves are asked for */
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(host.count, 1); /* nobody knows of what the other one was */
    assert_int_equal(last()->status.code, TB_STATUS_REFUSED);
}

static void announced_shutdown_is_a_status_and_a_reconnect(void **state)
{
    (void)state;
    assert_int_equal(frame("{'stream':'!serverShutdown','data':{'e':'serverShutdown','E':1}}"), 0);
    assert_int_equal(last()->status.code, TB_STATUS_MAINTENANCE);
    assert_int_equal(host.reconnects, 1);
}

static void other_kinds_and_symbols_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(frame("{'e':'kline','E':1,'s':'BTCUSDT','k':{'t':1,'x':false}}"), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0); /* known, not wanted */
    assert_int_equal(frame("{'e':'blockTrade','s':'BTCUSDT','t':1,'p':'1','q':'1'}"), 0);
    assert_int_equal(frame("{'stream':'!ticker@arr','data':[{'e':'24hrTicker'}]}"), 0);
    assert_int_equal(
        frame("{'e':'trade','E':1,'s':'DOGEUSDT','t':1,'p':'1','q':'1','T':1,'m':true}"), 0);
    assert_int_equal(
        frame("{'e':'depthUpdate','E':1,'s':'BTCUSDT','U':1,'u':2,'pu':0,'b':[],'a':[]}"),
        0); /* of the futures */
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 4);
    assert_int_equal(host.count, 0);
}

/* ---- connections and restarts ---- */

static void reconnect_tells_what_is_missing_at_the_next_ids(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(5, "1", "1", ""), 0);
    assert_int_equal(frame("{'u':1,'s':'BTCUSDT','b':'1','B':'1','a':'2','A':'1'}"), 0);
    host.count = 0;
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    assert_int_equal(host.record[0].status.code, TB_STATUS_DISCONNECTED);
    assert_int_equal(host.record[0].status.detail, 1006);
    assert_int_equal(host.record[0].instrument, 0);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_int_equal(host.count, 2); /* ETH/BTC never had a book */
    ops->on_connect(a, ++host.now);
    assert_int_equal(last()->status.code, TB_STATUS_CONNECTED);
    host.count = 0;
    assert_int_equal(trade(8, "1", "1", ""), 0);
    assert_int_equal(host.record[0].gap.from, 6);
    assert_int_equal(host.record[0].gap.to, 7);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    host.count = 0;
    assert_int_equal(frame("{'u':9,'s':'BTCUSDT','b':'1','B':'1','a':'2','A':'1'}"), 0);
    assert_int_equal(host.record[0].gap.channel, TB_CHANNEL_QUOTES);
    assert_int_equal(host.record[0].gap.missing, 0);
    host.count = 0;
    assert_int_equal(depth(200, 201, "['9','1']", ""), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.record[0].gap.from, 102);
    assert_int_equal(host.record[0].gap.to, 199);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(snapshot(200, "['9','1']", ""), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
}

static void nothing_missed_is_no_gap(void **state)
{
    (void)state;
    assert_int_equal(trade(5, "1", "1", ""), 0);
    ops->on_disconnect(a, ++host.now, 1000, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    assert_int_equal(trade(6, "1", "1", ""), 0);
    assert_int_equal(count_type(TB_GAP), 0);
}

static void answer_to_a_lost_connections_request_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(depth(99, 101, "['10','1']", ""), 0);
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    host.count = 0;
    assert_int_equal(snapshot(100, "['9','1']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_false(ops->book(a, "BTC/USDT")->valid);
}

static void restart_learns_from_its_own_stream(void **state)
{
    (void)state;
    sync_book();
    assert_int_equal(trade(5, "1", "1", ""), 0);
    assert_int_equal(depth(102, 103, "['8','1']", ""), 0);
    static struct tb_record before[16];
    size_t count = host.count;
    memcpy(before, host.record, count * sizeof(before[0]));
    ops->destroy(a);
    a = make(false, false);
    host.count = 0;
    bool more = true;
    for (size_t i = count; i > 0 && more; i--)
        more = ops->resume(a, &before[i - 1]);
    ops->resumed(a);
    ops->on_connect(a, ++host.now);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].status.code, TB_STATUS_CONNECTED);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    host.count = 0;
    assert_int_equal(trade(5, "1", "1", ""), 0); /* there already */
    assert_int_equal(host.count, 0);
    assert_int_equal(trade(7, "1", "1", ""), 0);
    assert_int_equal(host.record[0].gap.from, 6);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
    host.count = 0;
    assert_int_equal(depth(110, 111, "['8','1']", ""), 0);
    assert_int_equal(host.record[0].gap.from, 104);
    assert_int_equal(host.record[0].gap.to, 109);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
}

static void restart_after_a_gap_record_goes_on_behind_the_gap(void **state)
{
    (void)state;
    struct tb_record gap = {.type = TB_GAP, .instrument = 1, .ts_recv = 5};
    gap.gap.from = 10;
    gap.gap.to = 20;
    gap.gap.channel = TB_CHANNEL_TRADES;
    assert_true(ops->resume(a, &gap));
    ops->resumed(a);
    assert_int_equal(trade(21, "1", "1", ""), 0);
    assert_int_equal(count_type(TB_GAP), 0);
}

static void stopping_host_is_obeyed(void **state)
{
    (void)state;
    host.publish_rc = -EINTR;
    assert_int_equal(trade(5, "1", "1", ""), -EINTR);
}

/* ---- subscriptions, listings ---- */

static void subscriptions_fit_the_venues_limits(void **state)
{
    (void)state;
    char text[ADAPTER_REQUEST_BYTES];
    int length = ops->subscribe(a, 0, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '"' ? '\'' : *c;
    assert_string_equal(
        text, "{'method':'SUBSCRIBE','params':['btcusdt@trade','btcusdt@bookTicker','btcusdt@depth@"
              "100ms','ethbtc@trade','ethbtc@bookTicker','ethbtc@depth@100ms'],'id':1}");
    assert_int_equal(ops->subscribe(a, 1, text, sizeof(text)), 0);
    unsigned count = 0;
    while ((length = ops->subscribe(a, count, text, 100)) > 0) {
        assert_true(length < 100);
        count++;
    }
    assert_int_equal(length, 0);
    assert_in_range(count, 2, 6);
    assert_int_equal(ops->subscribe(a, 0, text, 30), -ENOSPC);
}

static void each_market(void *context, const struct adapter_market_config *market)
{
    memcpy(context, market, sizeof(*market));
}

static void listing_gives_precision_from_tick_and_step(void **state)
{
    (void)state;
    static const char text[] =
        "{'timezone':'UTC','rateLimits':[{'limit':1}],'symbols':[{'symbol':'BTCUSDT','status':'"
        "TRADING','baseAsset':'BTC','baseAssetPrecision':8,'quoteAsset':'USDT','filters':[{'"
        "filterType':'PRICE_FILTER','minPrice':'0.01','tickSize':'0.01000000'},{'filterType':'"
        "ICEBERG_PARTS','limit':10},{'stepSize':'0.00001000','filterType':'LOT_SIZE'}],'"
        "permissions':[]}]}";
    struct adapter_market_config market;
    char path[256];
    const char *symbols[] = {"BTC/USDT", "ETH/BTC"};
    char *copy = padded(text, sizeof(text) - 1);
    assert_int_equal(ops->listing_read(copy, sizeof(text) - 1, each_market, &market), 1);
    assert_string_equal(market.symbol, "BTC/USDT");
    assert_string_equal(market.raw, "BTCUSDT");
    assert_int_equal(market.price_exp, -2);
    assert_int_equal(market.size_exp, -5);
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        char *part = padded(text, cut);
        (void)ops->listing_read(part, cut, each_market, &market); /* must not crash */
        free(part);
    }
    free(copy);
    assert_int_equal(ops->listing_path(symbols, 2, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHBTC%22%5D");
    assert_int_equal(ops->listing_path(NULL, 0, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo");
    assert_int_equal(ops->listing_path(symbols, 2, path, 40), -ENOSPC);
}

static void scan_finds_symbols_channels_and_exponents(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{'e':'trade','s':'BTCFDUSD','t':1,'p':'1.500','q':'20','T':1,'m':true}",
        "{'u':1,'s':'BTCFDUSD','b':'1.25','B':'1','a':'2','A':'0.10'}",
        "{'e':'kline','s':'ETHBTC'}",
        "{'u':1,'s':'ODD_THING','b':'1','B':'1','a':'2','A':'1'}",
    };
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    for (size_t i = 0; i < TB_COUNT(frames); i++)
        scan_text(frames[i], markets, &count, &channels);
    assert_int_equal(count, 2);
    assert_string_equal(markets[0].symbol, "BTC/FDUSD");
    assert_int_equal(markets[0].price_exp, -2);
    assert_int_equal(markets[0].size_exp, -1);
    assert_string_equal(markets[1].symbol, "ODD_THING");
    assert_int_equal(channels, ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_SCAN_SINGLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(trade_is_published_with_the_takers_side),
        T(keys_may_come_in_any_order_and_unknown_ones_are_skipped),
        T(microseconds_are_told_from_milliseconds),
        T(duplicate_trade_is_dropped),
        T(jump_of_trade_ids_is_a_gap),
        T(what_is_no_trade_counts_its_id_and_is_not_published),
        T(bad_trade_makes_a_gap_that_says_why),
        T(aggregated_trade_says_how_many_it_merges),
        T(quote_has_no_time_of_the_venue),
        T(book_is_held_against_the_quote_of_the_same_update),
        T(acks_and_refusals_are_counted),
        T(announced_shutdown_is_a_status_and_a_reconnect),
        T(other_kinds_and_symbols_are_passed_over),
        T(reconnect_tells_what_is_missing_at_the_next_ids),
        T(nothing_missed_is_no_gap),
        T(answer_to_a_lost_connections_request_is_not_believed),
        T(restart_learns_from_its_own_stream),
        T(restart_after_a_gap_record_goes_on_behind_the_gap),
        T(stopping_host_is_obeyed),
        T(subscriptions_fit_the_venues_limits),
        T(listing_gives_precision_from_tick_and_step),
        T(scan_finds_symbols_channels_and_exponents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
