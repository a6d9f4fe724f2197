/* Binance USD-M futures: what differs from spot, whose tests are adapter_binance.c and adapter_book.c. */
#include "unit/adapter_fixture.h"

static int setup_usdm(void **state)
{
    static struct adapter_market_config market[] = {
        {.symbol = "BTC/USDT:USDT", .raw = "BTCUSDT", .price_exp = -1, .size_exp = -3},
        {.symbol = "ETH/USDT:USDT", .raw = "ETHUSDT", .price_exp = -2, .size_exp = -3},
    };
    (void)state;
    make_venue("binanceusdm", market, TB_COUNT(market), false);
    return 0;
}
#define U(test) cmocka_unit_test_setup_teardown(test, setup_usdm, teardown)

static int change(uint64_t first, uint64_t final, uint64_t previous, const char *bids)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'stream':'btcusdt@depth@100ms','data':{'e':'depthUpdate','E':1700000000200,'T':"
        "1700000000190,'s':'BTCUSDT','U':%llu,'u':%llu,'pu':%llu,'b':[%s],'a':[]}}",
        (unsigned long long)first, (unsigned long long) final, (unsigned long long)previous, bids);
    return frame(text);
}

static int whole(uint64_t id, const char *bids, const char *asks)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'lastUpdateId':%llu,'E':1700000000150,'T':1700000000140,'bids':[%s],'asks':[%s]}",
        (unsigned long long)id, bids, asks);
    return rest(1, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 200, text);
}

static void events_follow_by_the_id_before_them(void **state)
{
    (void)state;
    assert_int_equal(change(80, 90, 70, "['9.0','1']"), 0); /* older than the snapshot */
    assert_string_equal(host.asked[0].path, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000");
    assert_int_equal(change(95, 110, 90, "['10.0','2']"), 0); /* spans it */
    assert_int_equal(whole(100, "['10.0','1'],['9.0','2']", "['11.0','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT:USDT")->valid);
    assert_int_equal(host.record[0].ts_event, MS(1700000000150));
    assert_int_equal(change(150, 160, 110, "['10.0','3']"), 0); /* ids have holes: pu tells */
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 2);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT:USDT"), TB_BUY, 0)->size, 3000);
}

static void another_id_before_an_event_is_a_gap(void **state)
{
    (void)state;
    assert_int_equal(change(95, 110, 90, "['10.0','2']"), 0);
    assert_int_equal(whole(100, "['10.0','1']", "['11.0','3']"), 0);
    host.count = 0;
    assert_int_equal(change(130, 140, 120, "['10.0','3']"), 0);
    const struct tb_record *gap = find_type(TB_GAP);
    assert_int_equal(gap->gap.from, 111);
    assert_int_equal(gap->gap.to, 120);
    assert_int_equal(gap->gap.channel, TB_CHANNEL_BOOK);
    assert_false(ops->book(a, "BTC/USDT:USDT")->valid);
    assert_int_equal(whole(125, "['10.0','1']", "['11.0','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT:USDT")->valid);
}

static void events_and_snapshots_of_spot_are_not_taken(void **state)
{
    (void)state;
    assert_int_equal(depth(95, 110, "['10','1']", ""), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 1);
    assert_int_equal(rest(1, NULL, 200, "{'lastUpdateId':1,'bids':[],'asks':[]}"), -EBADMSG);
}

static void whole_small_book_is_no_change(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'stream':'btcusdt@depth5@100ms','data':{'e':'depthUpdate','E':1700000000200,'s':"
              "'BTCUSDT','U':5,'u':9,'pu':4,'b':[['10','1']],'a':[['11','2']]}}"),
        0);
    assert_int_equal(host.asked_count, 0);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].ts_event, MS(1700000000200));
    assert_int_equal(last()->level.update_id, 9);
}

static void quote_has_the_venues_time(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'e':'bookTicker','u':7,'s':'BTCUSDT','b':'10.0','B':'1','a':'10.1','A':"
              "'2','T':1700000000190,'E':1700000000200}"),
        0);
    assert_int_equal(last()->type, TB_QUOTE);
    assert_int_equal(last()->ts_event, MS(1700000000200));
}

static void what_is_no_trade_counts_its_id_alone(void **state)
{
    (void)state;
    assert_int_equal(trade(1, "5", "1", ",'X':'MARKET'"), 0);
    assert_int_equal(trade(2, "5", "1", ",'X':'INSURANCE_FUND'"), 0);
    assert_int_equal(trade(3, "0", "0", ",'X':'NA'"), 0);
    assert_int_equal(trade(4, "0", "0", ",'X':''"), 0);
    assert_int_equal(trade(5, "5", "1", ",'X':'MARKET'"), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void each(void *context, const struct adapter_market_config *market)
{
    struct adapter_market_config **next = context;
    *(*next)++ = *market;
}

static void contracts_have_their_settlement_in_the_name(void **state)
{
    (void)state;
    static const char text[] =
        "{'symbols':[{'symbol':'BTCUSDT','pair':'BTCUSDT','contractType':'PERPETUAL','baseAsset':'"
        "BTC',"
        "'quoteAsset':'USDT','marginAsset':'USDT','pricePrecision':2,'filters':[{'filterType':"
        "'PRICE_FILTER','tickSize':'0.10'},{'filterType':'LOT_SIZE','stepSize':'0.001'}]},"
        "{'symbol':'BTCUSDT_250328','contractType':'CURRENT_QUARTER','baseAsset':'BTC','quoteAsset'"
        ":"
        "'USDT','marginAsset':'USDT','filters':[]}]}";
    struct adapter_market_config market[2], *next = market;
    char path[64], *copy = padded(text, sizeof(text) - 1);
    const char *symbols[] = {"BTC/USDT:USDT"};
    assert_int_equal(ops->listing_read(copy, sizeof(text) - 1, each, &next), 2);
    free(copy);
    assert_string_equal(market[0].symbol, "BTC/USDT:USDT");
    assert_int_equal(market[0].price_exp, -1);
    assert_int_equal(market[0].size_exp, -3);
    assert_string_equal(market[1].symbol, "BTC/USDT:USDT-250328");
    assert_int_equal(ops->listing_path(symbols, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/fapi/v1/exchangeInfo");
}

static void scan_names_contracts(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{'e':'aggTrade','s':'BTCUSDT','a':1,'p':'1.50','q':'2','f':1,'l':2,'T':1,'m':true}",
        "{'e':'bookTicker','u':1,'s':'ETHUSDT_210625','b':'1','B':'1','a':'2','A':'1','E':1}"};
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    for (size_t i = 0; i < TB_COUNT(frames); i++)
        scan_text(frames[i], markets, &count, &channels);
    assert_int_equal(count, 2);
    assert_string_equal(markets[0].symbol, "BTC/USDT:USDT");
    assert_string_equal(markets[1].symbol, "ETH/USDT:USDT-210625");
    assert_int_equal(channels, ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_SCAN_AGGREGATED);
}

static void addresses_are_those_of_the_futures(void **state)
{
    (void)state;
    assert_string_equal(adapter_venue_find("binanceusdm")->websocket_url,
                        "wss://fstream.binance.com");
    assert_string_equal(adapter_venue_find("binanceusdm")->rest_url, "https://fapi.binance.com");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        U(events_follow_by_the_id_before_them),
        U(another_id_before_an_event_is_a_gap),
        U(events_and_snapshots_of_spot_are_not_taken),
        U(whole_small_book_is_no_change),
        U(quote_has_the_venues_time),
        U(what_is_no_trade_counts_its_id_alone),
        U(contracts_have_their_settlement_in_the_name),
        U(scan_names_contracts),
        U(addresses_are_those_of_the_futures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
