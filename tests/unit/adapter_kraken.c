/* Kraken: v2 and v1 frames, checksums, the cut of the book, asking anew. */
#include <zlib.h>

#include "producers/adapter/kraken.h"
#include "unit/adapter_abuse.h"
#include "unit/adapter_venue.h"

static int begin(void **state)
{
    (void)state;
    start("kraken", "BTC/USD", "ETH/USD", 10, false);
    return 0;
}

/* What the venue would compute: of the digits as the documentation has them, asks first. */
static unsigned crc(const char *digits)
{
    return (unsigned)crc32(0, (const unsigned char *)digits, (unsigned)strlen(digits));
}

static int book(const char *type, const char *bids, const char *asks, unsigned checksum)
{
    char text[4096];
    (void)snprintf(
        text, sizeof(text),
        "{'channel':'book','type':'%s','data':[{'symbol':'BTC/USD','bids':[%s],'asks':[%s],"
        "'checksum':%u,'timestamp':'2023-10-06T17:35:55.440295Z'}]}",
        type, bids, asks, checksum);
    return frame(text);
}

/* bids 10.0 x 1.00, asks 11.0 x 2.00 */
static void join(void)
{
    assert_int_equal(book("snapshot", "{'price':10.0,'qty':1.00}", "{'price':11.0,'qty':2.00}",
                          crc("110200100100")),
                     0);
    assert_true(ops->book(a, "BTC/USD")->valid);
    forget();
}

static int trade_v2(uint64_t id, const char *type)
{
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "{'channel':'trade','type':'%s','data':[{'symbol':'BTC/USD','side':'sell','price':"
        "5.1,'qty':40.0,'ord_type':'market','trade_id':%llu,'timestamp':'2023-09-25T07:49:"
        "37.708706Z'}]}",
        type, (unsigned long long)id);
    return frame(text);
}

/* ---- books ---- */

static void checksum_of_the_documentation(void **state)
{
    (void)state;
    assert_int_equal(book("snapshot",
                          "{'price':45283.5,'qty':0.10000000},{'price':45283.4,'qty':1.54582015},{'"
                          "price':45282.1,"
                          "'qty':0.10000000},{'price':45281.0,'qty':0.10000000},{'price':45280.3,'"
                          "qty':1.54592586},"
                          "{'price':45279.0,'qty':0.07990000},{'price':45277.6,'qty':0.03310103},{'"
                          "price':45277.5,"
                          "'qty':0.30000000},{'price':45277.3,'qty':1.54602737},{'price':45276.6,'"
                          "qty':0.15445238}",
                          "{'price':45285.2,'qty':0.00100000},{'price':45286.4,'qty':1.54571953},{'"
                          "price':45286.6,"
                          "'qty':1.54571109},{'price':45289.6,'qty':1.54560911},{'price':45290.2,'"
                          "qty':0.15890660},"
                          "{'price':45291.8,'qty':1.54553491},{'price':45294.7,'qty':0.04454749},{'"
                          "price':45296.1,"
                          "'qty':0.35380000},{'price':45297.5,'qty':0.09945542},{'price':45299.5,'"
                          "qty':0.18772827}",
                          3310070434U),
                     0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL), 1);
    assert_int_equal(count_status(TB_STATUS_SYNCED), 1);
    assert_int_equal(count_type(TB_LEVEL), 20);
    assert_int_equal(count_of(ADAPTER_REFINED), 0);
    assert_int_equal(find_type(TB_CLEAR)->flags, TB_F_SNAPSHOT);
    assert_int_equal(find_type(TB_CLEAR)->ts_event, INT64_C(1696613755440295000));
}

static void trailing_zeros_that_were_dropped_on_the_way_are_supplied(void **state)
{
    (void)state;
    assert_int_equal(book("snapshot", "{'price':10,'qty':1}", "{'price':11,'qty':2}",
                          crc("110200000000100100000000")),
                     0);
    assert_true(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(book("update", "{'price':10,'qty':3}", "", crc("110200000000100300000000")),
                     0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL), 2);
}

static void change_is_published_with_its_time(void **state)
{
    (void)state;
    join();
    assert_int_equal(book("update", "{'price':10.5,'qty':0.25}", "{'price':11.0,'qty':0.00}",
                          crc("10525100100")),
                     0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[0].level.price, 105);
    assert_int_equal(host.record[0].level.size, 25000000);
    assert_int_equal(host.record[0].level.action, TB_ADD);
    assert_int_equal(host.record[0].flags, TB_F_MBP);
    assert_int_equal(host.record[0].ts_event, INT64_C(1696613755440295000));
    assert_int_equal(host.record[1].level.action, TB_REMOVE);
    assert_int_equal(host.record[1].flags, TB_F_MBP | TB_F_LAST);
}

static void same_price_twice_the_last_one_wins(void **state)
{
    (void)state;
    join();
    assert_int_equal(book("update", "{'price':10.0,'qty':0.00},{'price':10.0,'qty':7.00}", "",
                          crc("110200100700")),
                     0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_DIFFERENT), 0);
    assert_int_equal(last()->level.size, 700000000);
}

static void level_that_falls_out_of_the_window_is_removed(void **state)
{
    (void)state;
    char bids[1024] = "", digits[256] = "110200";
    for (int i = 0; i < 10; i++) {
        (void)snprintf(bids + strlen(bids), sizeof(bids) - strlen(bids),
                       "%s{'price':%d.0,'qty':1.00}", i == 0 ? "" : ",", 30 - i);
        (void)snprintf(digits + strlen(digits), sizeof(digits) - strlen(digits), "%d0100", 30 - i);
    }
    assert_int_equal(book("snapshot", bids, "{'price':11.0,'qty':2.00}", crc(digits)), 0);
    forget();
    /* A better one comes: 21.0 falls out. It is gone before it is asked for again. */
    memmove(digits + 6 + 6, digits + 6, 9 * 6);
    memcpy(digits + 6, "310400", 6);
    assert_int_equal(book("update", "{'price':31.0,'qty':4.00}", "", crc(digits)), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(host.record[1].level.price, 210);
    assert_int_equal(host.record[1].level.action, TB_REMOVE);
    assert_int_equal(host.record[1].level.size, 0);
    assert_int_equal(host.record[1].flags, TB_F_MBP | TB_F_LAST);
    assert_int_equal(ops->book(a, "BTC/USD")->bid.count, 10);
}

/* Cut after the whole message: what stands eleventh for a moment stays if a better one goes. */
static void window_is_cut_after_all_changes(void **state)
{
    (void)state;
    char bids[1024] = "", digits[256] = "110200";
    for (int i = 0; i < 10; i++) {
        (void)snprintf(bids + strlen(bids), sizeof(bids) - strlen(bids),
                       "%s{'price':%d.0,'qty':1.00}", i == 0 ? "" : ",", 30 - i);
        (void)snprintf(digits + strlen(digits), sizeof(digits) - strlen(digits), "%d0100",
                       i == 0 ? 31 : 30 - i);
    }
    assert_int_equal(book("snapshot", bids, "{'price':11.0,'qty':2.00}", 0), 0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_DIFFERENT), 1); /* 0 is not its checksum */
    char whole[256] = "110200";
    for (int i = 0; i < 10; i++)
        (void)snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "%d0100", 30 - i);
    assert_int_equal(book("snapshot", bids, "{'price':11.0,'qty':2.00}", crc(whole)), 0);
    assert_int_equal(
        book("update", "{'price':31.0,'qty':1.00},{'price':30.0,'qty':0.00}", "", crc(digits)), 0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL), 2);
}

static void wrong_checksum_is_a_gap_and_the_book_is_asked_for_anew(void **state)
{
    (void)state;
    join();
    assert_int_equal(book("update", "{'price':10.5,'qty':0.25}", "", 12345), 0);
    assert_int_equal(count_type(TB_LEVEL), 0); /* nobody sees the wrong book */
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_CHECKSUM);
    assert_int_equal(find_type(TB_GAP)->gap.channel, TB_CHANNEL_BOOK);
    assert_int_equal(find_type(TB_GAP)->flags, TB_F_LAST | TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(count_status(TB_STATUS_UNSYNCED), 1);
    assert_false(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(sent.count, 2);
    assert_string_equal(sent.text[0],
                        "{\"method\":\"unsubscribe\",\"params\":{\"channel\":\"book\","
                        "\"depth\":10,\"symbol\":[\"BTC/USD\"]},\"req_id\":4}");
    assert_string_equal(sent.text[1],
                        "{\"method\":\"subscribe\",\"params\":{\"channel\":\"book\","
                        "\"depth\":10,\"snapshot\":true,\"symbol\":[\"BTC/USD\"]},\"req_id\":4}");
    assert_int_equal(sent.not_before[0], 0);
    forget();
    assert_int_equal(book("update", "{'price':10.5,'qty':0.25}", "", 12345), 0); /* on its way */
    assert_int_equal(host.count + sent.count, 0);
    assert_int_equal(count_of(ADAPTER_BOOK_STALE), 1);
    assert_int_equal(book("snapshot", "{'price':10.0,'qty':1.00}", "{'price':11.0,'qty':2.00}",
                          crc("110200100100")),
                     0);
    assert_int_equal(host.record[0].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK);
    assert_int_equal(host.record[2].flags, TB_F_SNAPSHOT | TB_F_MBP | TB_F_LAST);
    assert_int_equal(count_type(TB_GAP), 0);
    assert_true(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(count_of(ADAPTER_RESUBSCRIBED), 1);
}

static void asking_anew_again_and_again_takes_pauses(void **state)
{
    (void)state;
    tb_ns pause = 0;
    for (int i = 0; i < 9; i++) {
        join();
        assert_int_equal(book("update", "{'price':10.5,'qty':0.25}", "", 12345), 0);
        assert_true(sent.not_before[0] >= pause && sent.not_before[0] == sent.not_before[1]);
        pause = sent.not_before[0];
    }
    assert_int_equal(pause, 32 * TB_NS_PER_S);
    join();
    host.now += 200 * TB_NS_PER_S; /* it was good for long */
    assert_int_equal(book("update", "{'price':10.5,'qty':0.25}", "", 12345), 0);
    assert_int_equal(sent.not_before[0], 0);
}

static void finer_price_refines_and_keeps_the_checksum(void **state)
{
    (void)state;
    join();
    assert_int_equal(book("update", "{'price':10.25,'qty':1.00}", "", 1), 0);
    assert_int_equal(count_of(ADAPTER_REFINED), 1);
    forget();
    assert_int_equal(book("snapshot", "{'price':10.25,'qty':1.00}", "{'price':11.00,'qty':2.00}",
                          crc("11002001025100")),
                     0);
    assert_int_equal(ops->book(a, "BTC/USD")->price_exp, -2);
    assert_true(ops->book(a, "BTC/USD")->valid);
}

/* ---- v1 ---- */

static void v1_both_sides_in_one_update(void **state)
{
    (void)state;
    ops->destroy(a);
    start("kraken", "XBT/USD", "ETH/USD", 1000, true);
    assert_int_equal(
        frame("[320,{'as':[['38900.00000','1.00000000','1622714245.847093']],'bs':[['38800.00000','"
              "2.00000000','1622714255.963942']]},'book-25','XBT/USD']"),
        0);
    assert_true(ops->book(a, "BTC/USD")->valid);
    forget();
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "[320,{'a':[['38900.00000','0.00000000','1622766170.577187'],['38950.00000','0."
                   "50000000','1622766170.577190','r']]},{'b':[['38800.00000','0.03017320','"
                   "1622766170.577304']],'c':'%u'},'book-25','XBT/USD']",
                   crc("3895000000"
                       "50000000"
                       "3880000000"
                       "3017320"));
    assert_int_equal(frame(text), 0);
    assert_int_equal(count_of(ADAPTER_CHECKSUMS_EQUAL), 1);
    assert_int_equal(host.count, 3);
    assert_int_equal(host.record[0].ts_event, INT64_C(1622766170577304000));
    assert_int_equal(host.record[0].level.price, 388000);
}

static void v1_trades_and_ticker(void **state)
{
    (void)state;
    ops->destroy(a);
    start("kraken", "XBT/USD", "ETH/USD", 1000, true);
    assert_int_equal(
        frame("[321,[['57126.70000','0.02063928','1616333924.737428','b','m',''],['57126."
              "80000','1','1616333924.737429','s','l','']],'trade','XBT/USD']"),
        0);
    assert_int_equal(count_type(TB_TRADE), 2);
    assert_int_equal(host.record[0].trade.side, TB_BUY);
    assert_int_equal(host.record[0].ts_event, INT64_C(1616333924737428000));
    assert_int_equal(host.record[1].trade.side, TB_SELL);
    forget();
    assert_int_equal(
        frame("[340,{'a':['29938.60000',12,'12.41074632'],'b':['29938.50000',0,'0."
              "08410000'],'c':['29938.60000','0.1'],'t':[6120,30832]},'ticker','XBT/USD']"),
        0);
    assert_int_equal(last()->quote.bid_size, 8410000);
    assert_int_equal(last()->quote.ask_price, 299386);
    assert_int_equal(
        frame("[341,['31760.0','31760.1','1654031976.1','0.02','6.4'],'spread','XBT/USD']"), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0);
    assert_int_equal(frame("[6304,{'as':[],'bs':[]},'book-25','ETH/USD']"), 0);
    assert_true(ops->book(a, "ETH/USD")->valid);
}

static void v1_names_become_unified(void **state)
{
    (void)state;
    struct adapter_market_config markets[4];
    size_t count = 0;
    unsigned channels = 0;
    scan_text("[321,[['0.30000','0.020','1616333924.7','b','m','']],'trade','XDG/XBT']", markets,
              &count, &channels);
    assert_int_equal(count, 1);
    assert_string_equal(markets[0].symbol, "DOGE/BTC");
    assert_string_equal(markets[0].raw, "XDG/XBT");
    assert_int_equal(markets[0].price_exp, -1);
    assert_int_equal(markets[0].size_exp, -2);
    assert_int_equal(channels, ADAPTER_TRADES | ADAPTER_SCAN_SINGLE);
}

/* ---- trades and quotes ---- */

static void trades_follow_by_id(void **state)
{
    (void)state;
    assert_int_equal(trade_v2(7, "update"), 0);
    assert_int_equal(trade_v2(7, "update"), 0);
    assert_int_equal(trade_v2(10, "update"), 0);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 1);
    assert_int_equal(find_type(TB_GAP)->gap.from, 8);
    assert_int_equal(find_type(TB_GAP)->gap.to, 9);
    assert_int_equal(last()->trade.side, TB_SELL);
    assert_int_equal(last()->ts_event, INT64_C(1695628177708706000));
}

static void past_trades_fill_what_was_missed(void **state)
{
    (void)state;
    static const char past[] =
        "{'channel':'trade','type':'snapshot','data':["
        "{'symbol':'BTC/"
        "USD','side':'sell','price':5.1,'qty':1,'trade_id':5,'timestamp':'2023-09-25T07:48:36Z'},"
        "{'symbol':'BTC/"
        "USD','side':'buy','price':5.2,'qty':1,'trade_id':6,'timestamp':'2023-09-25T07:48:37Z'},"
        "{'symbol':'ETH/"
        "USD','side':'buy','price':5.2,'qty':1,'trade_id':9,'timestamp':'2023-09-25T07:48:37Z'},"
        "{'symbol':'BTC/"
        "USD','side':'buy','price':5.2,'qty':1,'trade_id':7,'timestamp':'2023-09-25T07:48:37Z'}]}";
    assert_int_equal(frame(past), 0); /* the first time only the newest in a row */
    assert_int_equal(count_type(TB_TRADE), 3);
    assert_int_equal(host.record[0].trade.trade_id, 6);
    forget();
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, ++host.now);
    forget();
    assert_int_equal(frame("{'channel':'trade','type':'snapshot','data':["
                           "{'symbol':'BTC/"
                           "USD','side':'sell','price':5.1,'qty':1,'trade_id':7,'timestamp':'2023-"
                           "09-25T07:48:36Z'},"
                           "{'symbol':'BTC/"
                           "USD','side':'sell','price':5.1,'qty':1,'trade_id':8,'timestamp':'2023-"
                           "09-25T07:48:36Z'},"
                           "{'symbol':'BTC/"
                           "USD','side':'buy','price':5.2,'qty':1,'trade_id':9,'timestamp':'2023-"
                           "09-25T07:48:37Z'}]}"),
                     0);
    assert_int_equal(count_type(TB_TRADE), 2);
    assert_int_equal(count_type(TB_GAP), 0);
    ops->on_disconnect(a, ++host.now, 1006, TB_GAP_RECONNECT);
    forget();
    assert_int_equal(trade_v2(12, "snapshot"), 0); /* more than it remembers */
    assert_int_equal(find_type(TB_GAP)->gap.from, 10);
    assert_int_equal(find_type(TB_GAP)->gap.to, 11);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_RECONNECT);
}

static void quote_with_an_empty_side(void **state)
{
    (void)state;
    assert_int_equal(frame("{'channel':'ticker','type':'update','data':[{'symbol':'BTC/USD','bid':"
                           "105944.2,'bid_qty':2.5,'ask':null,'ask_qty':null,'last':1}]}"),
                     0);
    assert_int_equal(last()->quote.bid_price, 1059442);
    assert_int_equal(last()->quote.ask_price, 0);
    assert_int_equal(last()->quote.ask_size, 0);
    assert_int_equal(last()->ts_event, 0);
}

/* ---- connection ---- */

static void subscribes_channel_by_channel(void **state)
{
    (void)state;
    assert_string_equal(subscription(0),
                        "{'method':'subscribe','params':{'channel':'trade','snapshot'"
                        ":true,'symbol':['BTC/USD','ETH/USD']},'req_id':1}");
    assert_string_equal(subscription(1),
                        "{'method':'subscribe','params':{'channel':'ticker','event_"
                        "trigger':'bbo','symbol':['BTC/USD','ETH/USD']},'req_id':2}");
    assert_string_equal(subscription(2),
                        "{'method':'subscribe','params':{'channel':'book','depth':10,"
                        "'snapshot':true,'symbol':['BTC/USD','ETH/USD']},'req_id':4}");
    assert_string_equal(subscription(3), "");
    char text[64];
    assert_int_equal(ops->subscribe(a, 0, text, sizeof(text)), -ENOSPC);
    /* Room for one symbol only: as many messages as it takes. */
    char small[108];
    assert_true(ops->subscribe(a, 1, small, sizeof(small)) > 0);
    assert_non_null(strstr(small, "ETH/USD"));
}

static void unanswered_subscriptions_are_counted_and_books_asked_for(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    assert_int_equal(
        frame("{'method':'subscribe','req_id':3,'result':{'channel':'trade','snapshot':true,"
              "'symbol':'BTC/USD'},'success':true,'time_in':'x','time_out':'y'}"),
        0);
    assert_int_equal(frame("{'error':'Currency pair not supported ETH/USD','method':'subscribe',"
                           "'success':false,'symbol':'ETH/USD'}"),
                     0);
    join();
    ops->on_time(a, host.now + 5 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 0);
    ops->on_time(a, host.now + 20 * TB_NS_PER_S);
    ops->on_time(a, host.now + 21 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 1); /* the ticker of BTC/USD */
    assert_int_equal(count_of(ADAPTER_ACKS), 1);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(sent.count, 0); /* no book: the one came, the other was refused */
}

static int refusal(unsigned request)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "{'error':'Currency pair not supported ETH/USD','method':'subscribe',"
                   "'req_id':%u,'success':false,'symbol':'ETH/USD'}",
                   request);
    return frame(text);
}

/* Its answer names the market, and of the channel it has only what we gave the request. */
static void refusal_is_of_the_channel_that_its_request_was_for(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    forget();
    assert_int_equal(refusal(ADAPTER_BOOK), 0);
    assert_int_equal(count_status(TB_STATUS_REFUSED), 1);
    assert_int_equal(last()->status.detail, TB_CHANNEL_BOOK);
    forget();
    assert_int_equal(refusal(77), 0); /* none of ours: what is still open */
    assert_int_equal(count_status(TB_STATUS_REFUSED), 2);
    ops->on_time(a, host.now + 20 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 3); /* those of BTC/USD */
}

static void maintenance_is_said(void **state)
{
    (void)state;
    assert_int_equal(
        frame("{'channel':'status','type':'update','data':[{'api_version':'v2','connection_id'"
              ":1,'system':'online','version':'2.0.0'}]}"),
        0);
    assert_int_equal(host.count, 0);
    assert_int_equal(
        frame("{'channel':'status','type':'update','data':[{'system':'maintenance'}]}"), 0);
    assert_int_equal(frame("{'event':'systemStatus','status':'cancel_only','version':'1.8.3'}"), 0);
    assert_int_equal(count_status(TB_STATUS_MAINTENANCE), 2);
    assert_int_equal(frame("{'channel':'heartbeat'}"), 0);
    assert_int_equal(frame("{'method':'pong','req_id':1,'time_in':'x'}"), 0);
    assert_int_equal(count_of(ADAPTER_PONGS), 1);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0);
}

static void restart_leaves_a_gap_before_the_next_snapshot(void **state)
{
    (void)state;
    struct tb_record record = {.type = TB_CLEAR, .instrument = 1};
    assert_true(ops->resume(a, &record));
    ops->resumed(a);
    ops->on_connect(a, host.now);
    assert_int_equal(count_status(TB_STATUS_UNSYNCED), 1);
    forget();
    assert_int_equal(book("snapshot", "{'price':10.0,'qty':1.00}", "{'price':11.0,'qty':2.00}",
                          crc("110200100100")),
                     0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
    assert_int_equal(host.record[1].flags, TB_F_SNAPSHOT | TB_F_MAYBE_BAD_BOOK);
}

/* ---- bad frames ---- */

static void bad_frame_costs_the_book_it_names(void **state)
{
    (void)state;
    join();
    assert_int_equal(book("update", "{'price':-1,'qty':1.00}", "", 1), -EBADMSG);
    assert_int_equal(find_type(TB_GAP)->gap.reason, TB_GAP_BAD_FRAME);
    assert_false(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(count_of(ADAPTER_FRAMES_BAD), 1);
    ops->destroy(a);
    (void)begin(state);
    join();
    assert_int_equal(
        frame("{'channel':'trade','type':'update','data':[{'symbol':'BTC/USD','side':'x'}]}"),
        -EBADMSG);
    assert_true(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(
        frame("{'channel':'book','type':'update','data':[{'symbol':'ETH/USD','bids':7}]}"),
        -EBADMSG);
    assert_true(ops->book(a, "BTC/USD")->valid);
    assert_int_equal(frame("{'cha"), -EBADMSG); /* anyone's */
    assert_false(ops->book(a, "BTC/USD")->valid);
}

static void hostile_frames_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "null",
        "[",
        "{}{}",
        "{'channel':'book','type':'update','data':[7]}",
        "{'channel':'book','type':'update','data':[{'symbol':'BTC/"
        "USD','bids':[[1]],'checksum':1}]}",
        "{'channel':'book','type':'update','data':[{'symbol':'BTC/"
        "USD','bids':[{'price':1}],'checksum':1}]}",
        "{'channel':'book','type':'update','data':[{'symbol':'BTC/"
        "USD','bids':[],'checksum':4294967296}]}",
        "{'channel':'book','type':'update','data':[{'symbol':'BTC/"
        "USD','bids':[],'bids':[],'checksum':1}]}",
        "{'channel':'book','type':'update','data':[{'symbol':'BTC/USD','bids':[]}]}",
        "{'channel':'book','type':'update','data':[{'bids':[],'checksum':1}]}",
        "{'channel':'trade','type':'update','data':[{'symbol':'BTC/"
        "USD','side':'sell','price':1e400,'qty':1,"
        "'trade_id':1}]}",
        "{'channel':'trade','type':'update','data':[{'symbol':'BTC/"
        "USD','side':'sell','price':1,'qty':1,"
        "'trade_id':-1}]}",
        "{'channel':'trade','type':'update','data':[{'symbol':'BTC/"
        "USD','side':'sell','price':1,'qty':1,"
        "'trade_id':1,'timestamp':'yesterday'}]}",
        "[1,[['1','1','x','b','m','']],'trade','BTC/USD']",
        "[1,{'a':[['1','1','1','r']],'c':'x'},'book-10','BTC/USD']",
        "[1,{'a':['1']},'ticker','BTC/USD']",
    };
    check_refused(texts, TB_COUNT(texts));
    join(); /* and it goes on */
}

static void abused_frames_never_crash(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{'channel':'book','type':'snapshot','data':[{'symbol':'BTC/"
        "USD','bids':[{'price':10.0,'qty':1.00}],"
        "'asks':[],'checksum':1,'timestamp':'2023-10-06T17:35:55Z'}]}",
        "{'channel':'trade','type':'update','data':[{'symbol':'BTC/"
        "USD','side':'buy','price':5.1,'qty':4.0,"
        "'trade_id':46,'timestamp':'2023-09-25T07:49:37.708706Z'}]}",
        "[320,{'a':[['38800.0','0.02','1622766170.577187']]},{'b':[['38800.0','0.03','1622766170.5'"
        "]],'c':"
        "'2479000840'},'book-25','BTC/USD']",
        "{'error':'x','method':'subscribe','result':{'channel':'book','depth':10},'success':false}",
    };
    abuse(frames, TB_COUNT(frames));
}

static void listing_gives_names_and_precisions(void **state)
{
    (void)state;
    struct adapter_market_config market[4];
    assert_int_equal(
        read_listing(
            "{'error':[],'result':{'XXBTZUSD':{'altname':'XBTUSD','wsname':'XBT/USD','base':'XXBT',"
            "'pair_decimals':1,'lot_decimals':8,'fees':[[0,0.4]]},'XDGUSD':{'wsname':'XDG/USD',"
            "'pair_decimals':7,'lot_decimals':8},'DARK':{'pair_decimals':1,'lot_decimals':8}}}",
            market),
        2);
    assert_string_equal(market[0].symbol, "BTC/USD");
    assert_string_equal(market[0].raw, "BTC/USD"); /* as v2 says it */
    assert_int_equal(market[0].price_exp, -1);
    assert_int_equal(market[0].size_exp, -8);
    assert_string_equal(market[1].symbol, "DOGE/USD");
    assert_int_equal(read_listing("{'error':['EGeneral:Internal error']}", market), -EBADMSG);
    assert_int_equal(read_listing("{'result':{'X':[]}}", market), -EBADMSG);
}

#define K(test) cmocka_unit_test_setup_teardown(test, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        K(checksum_of_the_documentation),
        K(trailing_zeros_that_were_dropped_on_the_way_are_supplied),
        K(change_is_published_with_its_time),
        K(same_price_twice_the_last_one_wins),
        K(level_that_falls_out_of_the_window_is_removed),
        K(window_is_cut_after_all_changes),
        K(wrong_checksum_is_a_gap_and_the_book_is_asked_for_anew),
        K(asking_anew_again_and_again_takes_pauses),
        K(finer_price_refines_and_keeps_the_checksum),
        K(v1_both_sides_in_one_update),
        K(v1_trades_and_ticker),
        K(v1_names_become_unified),
        K(trades_follow_by_id),
        K(past_trades_fill_what_was_missed),
        K(quote_with_an_empty_side),
        K(subscribes_channel_by_channel),
        K(unanswered_subscriptions_are_counted_and_books_asked_for),
        K(refusal_is_of_the_channel_that_its_request_was_for),
        K(maintenance_is_said),
        K(restart_leaves_a_gap_before_the_next_snapshot),
        K(bad_frame_costs_the_book_it_names),
        K(hostile_frames_are_refused),
        K(abused_frames_never_crash),
        K(listing_gives_names_and_precisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
