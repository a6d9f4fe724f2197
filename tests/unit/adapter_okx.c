/* The OKX adapter: its rules of continuity, its checksum, its subscriptions, bytes that it should not get. */
#include <zlib.h>

#include "unit/adapter_abuse.h"

static struct adapter_market_config markets[] = {
    {.symbol = "BTC/USDT", .raw = "BTC-USDT", .price_exp = -1, .size_exp = -8},
    {.symbol = "ETH/USDT", .raw = "ETH-USDT", .price_exp = -2, .size_exp = -6},
};

static int setup_live(void **state)
{
    (void)state;
    make_venue("okx", markets, TB_COUNT(markets), false);
    ops->on_connect(a, ++host.now);
    host.count = 0;
    return 0;
}

static int setup_recorded(void **state)
{
    (void)state;
    make_venue("okcoin", markets, TB_COUNT(markets), true);
    return 0;
}

static int book(const char *action, int64_t prev, int64_t seq, const char *bids, const char *asks)
{
    char text[1024];
    (void)snprintf(
        text, sizeof(text),
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'%s','data':[{'asks':[%s],"
        "'bids':[%s],'ts':'1700000000200','checksum':0,'prevSeqId':%lld,'seqId':%lld}]}",
        action, asks, bids, (long long)prev, (long long)seq);
    return frame(text);
}

/* As before 2023: no ids, a checksum. */
static int summed(const char *action, const char *bids, const char *asks, const char *sum_of)
{
    char text[1024];
    int32_t sum = (int32_t)crc32(0, (const unsigned char *)sum_of, (unsigned)strlen(sum_of));
    (void)snprintf(
        text, sizeof(text),
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'%s','data':[{'asks':[%s],"
        "'bids':[%s],'ts':'1700000000200','checksum':%d}]}",
        action, asks, bids, sum);
    return frame(text);
}

static int print(const char *id, const char *count, const char *price)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'instId':'BTC-USDT',"
        "'tradeId':'%s','px':'%s','sz':'0.12060306','side':'sell','ts':'1630048897897'%s,"
        "'source':'0','seqId':1234}]}",
        id, price, count);
    return frame(text);
}

static int rest_book(int64_t seq, const char *bids, const char *asks)
{
    char text[1024];
    (void)snprintf(
        text, sizeof(text),
        "{'code':'0','msg':'','data':[{'asks':[%s],'bids':[%s],'ts':'1700000000100','seqId':"
        "%lld}]}",
        asks, bids, (long long)seq);
    return rest(1, "/api/v5/market/books?instId=BTC-USDT&sz=400", 200, text);
}

static int event(const char *kind, const char *channel)
{
    char text[256];
    (void)snprintf(
        text, sizeof(text),
        "{'id':'1','event':'%s','arg':{'channel':'%s','instId':'BTC-USDT'},'connId':'a'}", kind,
        channel);
    return frame(text);
}

static void start_book(void)
{
    assert_int_equal(book("snapshot", -1, 10, "['10','1','0','1'],['9','2','0','1']",
                          "['11','3','0','1'],['12','4','0','1']"),
                     0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    host.count = 0;
}

static const struct tb_book *btc(void)
{
    return ops->book(a, "BTC/USDT");
}

/* ---- trades and quotes ---- */

static void merged_trades_follow_each_other_by_their_count(void **state)
{
    (void)state;
    assert_int_equal(print("130639471", "", "42219.9"), 0);
    assert_int_equal(last()->trade.count, 1);
    assert_int_equal(last()->trade.side, TB_SELL);
    assert_int_equal(last()->trade.price, 422199);
    assert_int_equal(last()->trade.size, 12060306);
    assert_int_equal(last()->trade.venue_seq, 1234);
    assert_int_equal(last()->ts_event, MS(1630048897897));
    assert_int_equal(print("130639474", ",'count':'3'", "42219.9"), 0);
    assert_int_equal(last()->trade.count, 3);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(print("130639474", ",'count':'3'", "42219.9"), 0);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 1);
}

static void missing_trades_are_a_gap_of_exactly_their_ids(void **state)
{
    (void)state;
    assert_int_equal(print("100", "", "1"), 0);
    assert_int_equal(print("110", ",'count':'3'", "1"), 0);
    const struct tb_record *gap = find_type(TB_GAP);
    assert_int_equal(gap->gap.from, 101);
    assert_int_equal(gap->gap.to, 107);
    assert_int_equal(gap->gap.missing, 7);
}

static void impossible_count_is_bad(void **state)
{
    (void)state;
    assert_int_equal(print("5", ",'count':'6'", "1"), -EBADMSG);
    assert_int_equal(print("5", ",'count':'0'", "1"), -EBADMSG);
    assert_int_equal(print("5", ",'count':'x'", "1"), -EBADMSG);
    assert_int_equal(host.count, 0);
}

static int ticker(const char *bid, const char *ask)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'arg':{'channel':'tickers','instId':'BTC-USDT'},'data':[{'instType':'SPOT','instId':"
        "'BTC-USDT','last':'9','askPx':'%s','askSz':'%s','bidPx':'%s','bidSz':'2','ts':"
        "'1700000000001'}]}",
        ask, *ask == '\0' ? "" : "3", bid);
    return frame(text);
}

static void tickers_are_quotes_until_the_top_of_book_comes(void **state)
{
    (void)state;
    assert_int_equal(ticker("9.5", ""), 0);
    assert_int_equal(last()->type, TB_QUOTE);
    assert_int_equal(last()->quote.bid_price, 95);
    assert_int_equal(last()->quote.ask_price, 0);
    assert_int_equal(last()->ts_event, MS(1700000000001));
    assert_int_equal(
        frame("{'arg':{'channel':'bbo-tbt','instId':'BTC-USDT'},'data':[{'asks':[['10','1',"
              "'0','1']],'bids':[['9','2','0','1']],'ts':'1700000000002','seqId':5}]}"),
        0);
    assert_int_equal(last()->quote.ask_price, 100);
    assert_int_equal(ticker("9.5", "9.6"), 0);
    assert_int_equal(count_type(TB_QUOTE), 2);
}

/* ---- the chain ---- */

static void chain_of_the_documentation_is_followed(void **state)
{
    (void)state;
    start_book(); /* (-1,10) */
    assert_int_equal(book("update", 10, 15, "['10','0','0','0']", ""), 0);
    assert_int_equal(book("update", 15, 15, "", ""), 0); /* nothing changed for a minute */
    assert_int_equal(book("update", 15, 3, "['9.5','1','0','1']", ""), 0); /* maintenance */
    assert_int_equal(book("update", 3, 5, "['9.5','2','0','1']", ""), 0);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(btc()->update_id, 5);
    assert_int_equal(tb_book_best(btc(), TB_BUY, 0)->size, 200000000);
    assert_int_equal(host.sent_count, 0);
}

static void last_update_again_is_dropped(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("update", 10, 15, "['10','5','0','1']", ""), 0);
    host.count = 0;
    assert_int_equal(book("update", 10, 15, "['10','5','0','1']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
}

static void broken_chain_is_a_gap_and_the_channel_is_subscribed_anew(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("update", 12, 15, "['10','5','0','1']", ""), 0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.from, 11);
    assert_int_equal(host.record[0].gap.to, 12);
    assert_int_equal(host.record[0].gap.missing, 0); /* ids are not consecutive */
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_false(btc()->valid);
    assert_int_equal(host.sent_count, 2);
    assert_string_equal(host.sent[0].text,
                        "{\"id\":\"1\",\"op\":\"unsubscribe\",\"args\":[{\"channel\":\"books\","
                        "\"instId\":\"BTC-USDT\"}]}");
    assert_non_null(strstr(host.sent[1].text, "\"op\":\"subscribe\""));
    assert_int_equal(book("update", 15, 16, "['10','6','0','1']", ""),
                     0); /* of the old subscription */
    assert_int_equal(host.asked_count, 0);
    assert_int_equal(event("unsubscribe", "books"), 0);
    assert_int_equal(event("subscribe", "books"), 0);
    host.count = 0;
    assert_int_equal(book("snapshot", -1, 20, "['8','1','0','1']", "['11','1','0','1']"), 0);
    assert_int_equal(host.record[0].type, TB_CLEAR);
    assert_int_equal(host.record[0].flags & TB_F_MAYBE_BAD_BOOK, TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(last()->status.code, TB_STATUS_SYNCED);
    assert_int_equal(btc()->bid.count, 1);
    assert_int_equal(count_of(ADAPTER_GAPS), 1);
}

static void chain_that_goes_back_is_a_gap_too(void **state)
{
    (void)state;
    start_book();
    assert_int_equal(book("update", 3, 5, "['10','5','0','1']", ""), 0); /* its reset was lost */
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.to, 0);
    assert_false(btc()->valid);
}

static void reconnect_is_a_gap_up_to_the_snapshot(void **state)
{
    (void)state;
    start_book();
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    host.count = 0;
    assert_int_equal(book("snapshot", -1, 50, "['8','1','0','1']", ""), 0);
    assert_int_equal(host.record[0].gap.from, 11);
    assert_int_equal(host.record[0].gap.to, 49);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(host.record[1].type, TB_CLEAR);
}

/* ---- no snapshot on the channel ---- */

static void update_that_comes_first_is_joined_to_a_snapshot_by_rest(void **state)
{
    (void)state;
    assert_int_equal(event("subscribe", "books"), 0);
    assert_int_equal(book("update", 10, 12, "['7','7','0','1']", ""), 0);
    assert_int_equal(host.asked_count, 1);
    assert_string_equal(host.asked[0].path, "/api/v5/market/books?instId=BTC-USDT&sz=400");
    assert_int_equal(book("update", 12, 15, "['10','5','0','1']", ""), 0);
    assert_int_equal(book("update", 15, 18, "['9','0','0','1']", ""), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(rest_book(13, "['10','1','0','1'],['9','2','0','1']", "['11','3','0','1']"),
                     0);
    assert_true(btc()->valid);
    assert_int_equal(btc()->update_id, 18);
    assert_int_equal(btc()->bid.count, 1);
    assert_int_equal(tb_book_best(btc(), TB_BUY, 0)->size, 500000000);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(book("update", 18, 19, "['9','1','0','1']", ""), 0);
    assert_int_equal(btc()->bid.count, 2);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
}

static void snapshot_by_rest_younger_than_all_is_joined_by_the_next_update(void **state)
{
    (void)state;
    assert_int_equal(event("subscribe", "books"), 0);
    assert_int_equal(book("update", 10, 12, "", ""), 0);
    assert_int_equal(rest_book(14, "['10','1','0','1']", ""), 0);
    assert_true(btc()->valid);
    assert_int_equal(book("update", 12, 13, "['10','9','0','1']", ""), 0); /* is in it */
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 2);
    assert_int_equal(book("update", 13, 16, "['9','1','0','1']", ""), 0); /* began before it */
    assert_int_equal(btc()->bid.count, 2);
    assert_int_equal(tb_book_best(btc(), TB_BUY, 0)->size, 100000000);
    assert_int_equal(count_of(ADAPTER_GAPS), 0);
    assert_int_equal(book("update", 13, 17, "", ""), 0); /* only the first may */
    assert_int_equal(count_of(ADAPTER_GAPS), 1);
}

static void snapshot_by_rest_that_is_too_old_is_asked_for_again(void **state)
{
    (void)state;
    assert_int_equal(event("subscribe", "books"), 0);
    assert_int_equal(book("update", 10, 12, "", ""), 0);
    assert_int_equal(rest_book(9, "['10','1','0','1']", ""), 0);
    assert_false(btc()->valid);
    assert_int_equal(host.asked_count, 2);
    assert_true(host.asked[1].not_before > 0);
    assert_int_equal(rest(1, NULL, 429, ""), 0);
    assert_true(host.asked[2].not_before > host.asked[1].not_before);
    assert_int_equal(rest(1, NULL, 200, "{'code':'51001','msg':'x','data':[]}"), -EBADMSG);
    assert_int_equal(host.asked_count, 4);
}

static void kept_updates_with_a_hole_are_a_gap(void **state)
{
    (void)state;
    assert_int_equal(event("subscribe", "books"), 0);
    assert_int_equal(book("update", 10, 12, "", ""), 0);
    assert_int_equal(book("update", 13, 14, "['9','1','0','1']", ""), 0);
    assert_int_equal(rest_book(11, "['10','1','0','1']", ""), 0);
    assert_int_equal(count_of(ADAPTER_GAPS), 1);
    assert_false(btc()->valid);
    assert_int_equal(host.sent_count, 2);
}

/* ---- the checksum of recordings ---- */

static void checksum_is_of_the_numbers_as_the_venue_writes_them(void **state)
{
    (void)state;
    assert_int_equal(summed("snapshot", "['10','1','0','1'],['9.5','0.002','0','1']",
                            "['11.1','3','0','1']", "10:1:11.1:3:9.5:0.002"),
                     0);
    assert_true(btc()->valid);
    assert_int_equal(summed("update", "", "['11.1','0','0','0']", "10:1:9.5:0.002"), 0);
    assert_int_equal(summed("update", "['10','0','0','0'],['9.5','0','0','0']", "", ""), 0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL),
                     2); /* that of nothing is 0: not looked at */
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_DIFFERENT), 0);
}

static void different_checksum_gives_up_the_book_and_publishes_none_of_it(void **state)
{
    (void)state;
    assert_int_equal(summed("snapshot", "['10','1','0','1']", "", "10:1"), 0);
    host.count = 0;
    assert_int_equal(summed("update", "['10','2','0','1']", "", "10:3"), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_CHECKSUM);
    assert_int_equal(host.record[1].status.code, TB_STATUS_UNSYNCED);
    assert_false(btc()->valid);
    assert_int_equal(host.sent_count, 2);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_DIFFERENT), 1);
    assert_int_equal(summed("snapshot", "['10','2','0','1']", "", "10:2"), 0);
    assert_true(btc()->valid);
}

static void snapshot_with_a_different_checksum_is_no_book(void **state)
{
    (void)state;
    assert_int_equal(summed("snapshot", "['10','1','0','1']", "", "10:2"), 0);
    assert_false(btc()->valid);
    assert_int_equal(count_type(TB_LEVEL), 0);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_CHECKSUM);
    assert_int_equal(summed("snapshot", "['10','1','0','1']", "", "10:1"), 0);
    assert_true(btc()->valid);
}

static void refined_book_keeps_its_checksum(void **state)
{
    (void)state;
    assert_int_equal(summed("snapshot", "['10','1','0','1']", "", "10:1"), 0);
    assert_int_equal(
        summed("update", "['9.125','0.123456789','0','1']", "", "10:1:9.125:0.123456789"), 0);
    assert_int_equal(count_of(ADAPTER_REFINED), 1);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL), 2);
    assert_int_equal(btc()->price_exp, -3);
}

/* ---- subscriptions and the connection ---- */

static void subscribe_all(void)
{
    char text[ADAPTER_REQUEST_BYTES];
    assert_true(ops->subscribe(a, 0, text, sizeof(text)) > 0);
    assert_non_null(strstr(text,
                           "{\"id\":\"1\",\"op\":\"subscribe\",\"args\":[{\"channel\":\"trades\","
                           "\"instId\":\"BTC-USDT\"},{\"channel\":\"bbo-tbt\""));
    assert_int_equal(ops->subscribe(a, 1, text, sizeof(text)), 0);
}

static void every_argument_is_acknowledged_alone(void **state)
{
    (void)state;
    subscribe_all();
    ops->on_time(a, host.now);
    assert_int_equal(event("subscribe", "trades"), 0);
    assert_int_equal(event("subscribe", "bbo-tbt"), 0);
    assert_int_equal(event("subscribe", "books"), 0);
    assert_int_equal(count_of(ADAPTER_ACKS), 3);
    ops->on_time(a, host.now + 11 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 3); /* those of the other market */
    assert_int_equal(host.reconnects, 1);
}

static void refused_argument_is_left_out_and_the_others_are_asked_for_again(void **state)
{
    (void)state;
    subscribe_all();
    assert_int_equal(event("subscribe", "trades"), 0);
    assert_int_equal(
        frame("{'id':'1','event':'error','code':'60018','msg':'Wrong URL or channel:books,instId:"
              "ETH-USDT doesn\\u0027t exist. Please use the correct URL.','connId':'a'}"),
        0);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(host.sent_count, 1);
    assert_null(strstr(host.sent[0].text, "{\"channel\":\"books\",\"instId\":\"ETH-USDT\"}"));
    assert_null(strstr(host.sent[0].text, "{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"}"));
    assert_non_null(strstr(host.sent[0].text, "{\"channel\":\"books\",\"instId\":\"BTC-USDT\"}"));
}

static void ping_is_no_json_and_neither_is_pong(void **state)
{
    (void)state;
    char text[8];
    assert_int_equal(ops->ping(a, text, sizeof(text)), 4);
    assert_string_equal(text, "ping");
    assert_int_equal(frame("pong"), 0);
    assert_int_equal(count_of(ADAPTER_PONGS), 1);
    assert_int_equal(count_of(ADAPTER_FRAMES_BAD), 0);
}

static void notice_is_maintenance_and_a_new_connection(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'event':'notice','code':'64008','msg':'The connection will soon be closed for a "
              "service upgrade. Please reconnect.','connId':'a4d3ae55'}"),
        0);
    assert_int_equal(last()->status.code, TB_STATUS_MAINTENANCE);
    assert_int_equal(host.reconnects, 1);
}

/* ---- listings and recordings ---- */

static struct adapter_market_config listed[8];
static size_t listed_count;

static void see_market(void *context, const struct adapter_market_config *market)
{
    (void)context;
    listed[listed_count++] = *market;
}

static void listing_gives_ccxts_names(void **state)
{
    (void)state;
    static const char body[] =
        "{'code':'0','msg':'','data':["
        "{'instId':'BTC-USDT','baseCcy':'BTC','quoteCcy':'USDT','tickSz':'0.1','lotSz':'0.00000001'"
        "},"
        "{'instId':'BTC-USDT-SWAP','tickSz':'0.1','lotSz':'1'},"
        "{'instId':'UNI-USD-SWAP','tickSz':'0.001','lotSz':'1'},"
        "{'instId':'BTC-USD-220527','tickSz':'0.1','lotSz':'1'},"
        "{'instId':'BTC-USD-220325-40000-C','tickSz':'0.0005','lotSz':'1'}]}";
    static const char *const names[] = {"BTC/USDT", "BTC/USDT:USDT", "UNI/USD:UNI",
                                        "BTC/USD:BTC-220527", "BTC/USD:BTC-220325-40000-C"};
    static const char *const spot[] = {"BTC/USDT"}, *const swap[] = {"BTC/USDT:USDT"};
    char path[128];
    char *copy = padded(body, sizeof(body) - 1);
    listed_count = 0;
    assert_int_equal(ops->listing_read(copy, sizeof(body) - 1, see_market, NULL), 5);
    free(copy);
    for (size_t i = 0; i < TB_COUNT(names); i++)
        assert_string_equal(listed[i].symbol, names[i]);
    assert_int_equal(listed[4].price_exp, -4);
    assert_int_equal(ops->listing_path(spot, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v5/public/instruments?instType=SPOT");
    assert_int_equal(ops->listing_path(swap, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v5/public/instruments?instType=SWAP");
}

/* ---- bytes that no venue should send ---- */

static const char *const whole_frames[] = {
    "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'instId':'BTC-USDT','tradeId':'7','"
    "px':'1.5',"
    "'sz':'2','side':'buy','ts':'1630048897897','count':'3','seqId':1}]}",
    "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'snapshot','data':[{'asks':[['11','1',"
    "'0','1']],"
    "'bids':[['10','1','0','1']],'ts':'1700000000200','checksum':-7,'prevSeqId':-1,'seqId':9}]}",
    "{'arg':{'channel':'tickers','instId':'BTC-USDT'},'data':[{'askPx':'2','askSz':'1','bidPx':'1',"
    "'bidSz':"
    "'','ts':'1700000000001'}]}",
    "{'event':'error','code':'60018','msg':'channel:books,instId:BTC-USDT no','id':'1'}",
    "{'event':'error','code':'60018','id':'1'}",
    "{'code':'0','msg':'','data':[{'asks':[['11','1','0','1']],'bids':[],'ts':'1','seqId':5}]}",
};

static void frame_cut_at_any_byte_is_bad_and_publishes_nothing(void **state)
{
    (void)state;
    check_cut_frames(whole_frames, TB_COUNT(whole_frames));
}

static void renew(void)
{
    make_venue("okx", markets, TB_COUNT(markets), false);
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
        "pon",
        "pongpong",
        "null",
        "[]",
        "{}{}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':{}}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[[]]}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'tradeId':'1','px':'1','sz':'1','"
        "side':'up',"
        "'ts':'1'}]}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'tradeId':'1','px':1,'sz':'1','"
        "side':'buy',"
        "'ts':'1'}]}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'tradeId':'1','px':'-1','sz':'1',"
        "'side':"
        "'buy','ts':'1'}]}",
        "{'arg':{'channel':'trades','instId':'BTC-USDT'},'data':[{'tradeId':'1','px':'1','sz':'1','"
        "side':"
        "'buy','ts':'9223372036854775807'}]}",
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'other','data':[]}",
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'update','data':[{'asks':[],'bids'"
        ":[],'ts':"
        "'1','seqId':5}]}",
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'update','data':[{'asks':[],'bids'"
        ":[],'ts':"
        "'1','prevSeqId':-1,'seqId':5}]}",
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'snapshot','data':[{'asks':[['1']]"
        ",'bids':[],"
        "'ts':'1','prevSeqId':-1,'seqId':5}]}",
        "{'arg':{'channel':'books','instId':'BTC-USDT'},'action':'snapshot','data':[{'asks':[],'"
        "bids':{},"
        "'ts':'1','prevSeqId':-1,'seqId':5}]}",
        "{'arg':[],'data':[]}",
    };
    check_refused(texts, TB_COUNT(texts));
}

static void kinds_that_are_not_taken_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(frame("{'arg':{'channel':'candle1m','instId':'BTC-USDT'},'data':[['1','2']]}"),
                     0);
    assert_int_equal(
        frame("{'event':'channel-conn-count','channel':'x','connCount':'1','connId':'a'}"), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0);
    assert_int_equal(frame("{'arg':{'channel':'funding-rate','instId':'BTC-USDT'},'data':[{}]}"),
                     0);
    assert_int_equal(print("1", "", "1"), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 1);
}

#define L(test) cmocka_unit_test_setup_teardown(test, setup_live, teardown)
#define R(test) cmocka_unit_test_setup_teardown(test, setup_recorded, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(merged_trades_follow_each_other_by_their_count),
        L(missing_trades_are_a_gap_of_exactly_their_ids),
        L(impossible_count_is_bad),
        L(tickers_are_quotes_until_the_top_of_book_comes),
        L(chain_of_the_documentation_is_followed),
        L(last_update_again_is_dropped),
        L(broken_chain_is_a_gap_and_the_channel_is_subscribed_anew),
        L(chain_that_goes_back_is_a_gap_too),
        L(reconnect_is_a_gap_up_to_the_snapshot),
        L(update_that_comes_first_is_joined_to_a_snapshot_by_rest),
        L(snapshot_by_rest_younger_than_all_is_joined_by_the_next_update),
        L(snapshot_by_rest_that_is_too_old_is_asked_for_again),
        L(kept_updates_with_a_hole_are_a_gap),
        R(checksum_is_of_the_numbers_as_the_venue_writes_them),
        L(different_checksum_gives_up_the_book_and_publishes_none_of_it),
        L(snapshot_with_a_different_checksum_is_no_book),
        R(refined_book_keeps_its_checksum),
        L(every_argument_is_acknowledged_alone),
        L(refused_argument_is_left_out_and_the_others_are_asked_for_again),
        L(ping_is_no_json_and_neither_is_pong),
        L(notice_is_maintenance_and_a_new_connection),
        L(listing_gives_ccxts_names),
        L(frame_cut_at_any_byte_is_bad_and_publishes_nothing),
        L(changed_bytes_never_crash),
        L(hostile_messages_are_refused),
        L(kinds_that_are_not_taken_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
