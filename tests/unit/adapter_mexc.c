/* The MEXC adapter: protobuf frames, answers, trades without ids that are numbers, its books. */
#include "unit/adapter_fixture.h"

static int setup_mexc(void **state)
{
    static struct adapter_market_config market[] = {
        {.symbol = "BTC/USDT", .raw = "BTCUSDT", .price_exp = -2, .size_exp = -8},
        {.symbol = "ETH/USDT", .raw = "ETHUSDT", .price_exp = -2, .size_exp = -5},
    };
    (void)state;
    make_venue("mexc", market, TB_COUNT(market), false);
    return 0;
}
#define M(test) cmocka_unit_test_setup_teardown(test, setup_mexc, teardown)

/* ---- frames, written here without protobuf-c ---- */

struct wire {
    char at[8192];
    size_t length;
};

static void put_varint(struct wire *w, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        w->at[w->length++] = (char)(value | 128);
    w->at[w->length++] = (char)value;
}

static void put_bytes(struct wire *w, unsigned field, const char *text, size_t length)
{
    put_varint(w, field << 3 | 2);
    put_varint(w, length);
    memcpy(w->at + w->length, text, length);
    w->length += length;
}

static void put_text(struct wire *w, unsigned field, const char *text)
{
    put_bytes(w, field, text, strlen(text));
}

static void put_number(struct wire *w, unsigned field, uint64_t value)
{
    put_varint(w, field << 3);
    put_varint(w, value);
}

static void put_level(struct wire *w, unsigned field, const char *price, const char *size)
{
    struct wire level = {.length = 0};
    put_text(&level, 1, price);
    put_text(&level, 2, size);
    put_bytes(w, field, level.at, level.length);
}

/* Binary: as it is. */
static int give(const char *bytes, size_t length)
{
    char *copy = calloc(1, length + ADAPTER_PADDING);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    int rc = ops->on_frame(a, copy, length, ++host.now);
    free(copy);
    return rc;
}

static int push(const char *symbol, unsigned field, const struct wire *body)
{
    struct wire w = {.length = 0};
    put_text(&w, 1, "spot@public.x");
    put_text(&w, 3, symbol);
    put_number(&w, 6, 1786000000000);
    put_bytes(&w, field, body->at, body->length);
    return give(w.at, w.length);
}

static void put_deal(struct wire *w, const char *price, uint64_t type, uint64_t time,
                     const char *id)
{
    struct wire deal = {.length = 0};
    put_text(&deal, 1, price);
    put_text(&deal, 2, "0.5");
    put_number(&deal, 3, type);
    put_number(&deal, 4, time);
    if (id != NULL)
        put_text(&deal, 5, id);
    put_bytes(w, 1, deal.at, deal.length);
}

static int deal(const char *price, uint64_t time, const char *id)
{
    struct wire w = {.length = 0};
    put_deal(&w, price, 1, time, id);
    return push("BTCUSDT", 314, &w);
}

static int quote(const char *bid, const char *ask)
{
    struct wire w = {.length = 0};
    put_text(&w, 1, bid);
    put_text(&w, 2, "1");
    if (ask != NULL) {
        put_text(&w, 3, ask);
        put_text(&w, 4, "2");
    }
    return push("BTCUSDT", 315, &w);
}

static int change(const char *from, const char *to, const char *bid, const char *size)
{
    struct wire w = {.length = 0};
    put_level(&w, 2, bid, size);
    put_text(&w, 4, from);
    put_text(&w, 5, to);
    return push("BTCUSDT", 313, &w);
}

static int whole(uint64_t id, const char *bids, const char *asks)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "{'lastUpdateId':%llu,'bids':[%s],'asks':[%s],'timestamp':1700000000000}",
                   (unsigned long long)id, bids, asks);
    return rest(1, "/api/v3/depth?symbol=BTCUSDT&limit=5000", 200, text);
}

/* A frame of exchanges.md 1.5. */
static int hex_frame(const char *hex)
{
    char bytes[512];
    size_t length = 0;
    unsigned value;
    for (; *hex != '\0'; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes[length++] = (char)value;
    }
    return give(bytes, length);
}

/* ---- the reference's frames ---- */

static void reference_quote_is_read(void **state)
{
    (void)state;
    assert_int_equal(hex_frame("0A3473706F74407075626C69632E61676772652E626F6F6B5469636B65722E76332"
                               "E6170692E7062403130306D73"
                               "40425443555344541A0742544355534454308088"
                               "95AFFD33DA133E0A0838303533352E38381208302E3338303439371A08383035333"
                               "52E3839220A302E333333333633"
                               "35362A0B383137323136373632313730E78795AFFD33"),
                     0);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_QUOTE);
    assert_int_equal(r->ts_event, MS(1786000000000));
    assert_int_equal(r->quote.bid_price, 8053588);
    assert_int_equal(r->quote.bid_size, 38049700);
    assert_int_equal(r->quote.ask_price, 8053589);
    assert_int_equal(r->quote.ask_size, 33336356);
}

static void reference_trade_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        hex_frame(
            "0A2F73706F74407075626C69632E61676772652E6465616C732E76332E6170692E7062403130306D734042"
            "5443555344"
            "541A07425443555344543080"
            "8895AFFD33D2135D0A320A0838303533352E38391207302E3030313235180120F48795AFFD332A14373330"
            "323932343235"
            "34333134333733313858"
            "30122773706F74407075626C69632E61676772652E6465616C732E76332E6170692E7062403130306D73"),
        0);
    const struct tb_record *r = last();
    assert_int_equal(r->type, TB_TRADE);
    assert_int_equal(r->ts_event, MS(1785999999988));
    assert_int_equal(r->trade.price, 8053589);
    assert_int_equal(r->trade.size, 125000);
    assert_int_equal(r->trade.side, TB_BUY);
    assert_true(r->trade.trade_id != 0);
}

static void reference_change_is_read_and_a_snapshot_asked_for(void **state)
{
    (void)state;
    assert_int_equal(
        hex_frame(
            "0A2F73706F74407075626C69632E61676772652E64657074682E76332E6170692E7062403130306D734042"
            "5443555344"
            "541A0742544355534454308088"
            "95AFFD33CA13680A0D0A0838303533352E3839120130"
            "12140A0838303533352E38381208302E3338303439371A2773706F74407075626C69632E61676772652E64"
            "657074682E76"
            "332E6170692E7062403130306D73220B31303538393633323335392A0B3130353839363332333631"),
        0);
    assert_string_equal(host.asked[0].path, "/api/v3/depth?symbol=BTCUSDT&limit=5000");
    assert_int_equal(whole(10589632360, "['80535.00','1']", "['80535.89','2'],['80536','3']"), 0);
    const struct tb_book *book = ops->book(a, "BTC/USDT");
    assert_true(book->valid);
    assert_int_equal(tb_book_best(book, TB_BUY, 0)->price, 8053588);
    assert_int_equal(tb_book_best(book, TB_SELL, 0)->price, 8053600);
    assert_int_equal(book->update_id, 10589632361);
}

static void reference_kline_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(hex_frame("0A2873706F74407075626C69632E6B6C696E652E76332E6170692E7062404254435"
                               "5534454404D696E31A2134"
                               "80A044D696E311080E5D0D3061A"
                               "0738303530302E31220838303533352E38392A0538303534303207"
                               "38303439302E353A06332E32313435420932353838"
                               "31322E373748BCE5D0D3061A0742544355534454288088"
                               "95AFFD33"),
                     0);
    assert_int_equal(host.count, 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 0);
}

/* ---- protobuf ---- */

static void unknown_fields_are_skipped_and_order_does_not_matter(void **state)
{
    (void)state;
    struct wire w = {.length = 0}, body = {.length = 0};
    put_text(&body, 77, "new");
    put_deal(&body, "10.5", 2, 1700000000000, "7X0");
    put_number(&body, 78, 99);
    put_bytes(&w, 314, body.at, body.length);
    put_text(&w, 4000, "also new");
    put_text(&w, 3, "BTCUSDT");
    assert_int_equal(give(w.at, w.length), 0);
    assert_int_equal(last()->trade.price, 1050);
    assert_int_equal(last()->trade.side, TB_SELL);
}

static void absent_fields_are_their_defaults(void **state)
{
    (void)state;
    assert_int_equal(quote("10", NULL), 0); /* no ask */
    assert_int_equal(last()->quote.ask_price, 0);
    assert_int_equal(last()->quote.ask_size, 0);
    struct wire empty = {.length = 0};
    assert_int_equal(push("BTCUSDT", 314, &empty), 0);        /* no trades */
    assert_int_equal(push("BTCUSDT", 313, &empty), -EBADMSG); /* no versions */
}

static void text_with_a_zero_byte_is_no_number(void **state)
{
    (void)state;
    struct wire w = {.length = 0}, d = {.length = 0};
    put_bytes(&d, 1, "10\0.5", 5);
    put_text(&d, 2, "1");
    put_bytes(&w, 1, d.at, d.length);
    assert_int_equal(push("BTCUSDT", 314, &w), -EBADMSG);
}

static void bad_frame_may_have_had_trades_of_any_market(void **state)
{
    (void)state;
    assert_int_equal(deal("10", 1700000000000, "1X0"), 0);
    assert_int_equal(give("\x0a\x7f\x01", 3), -EBADMSG);
    assert_int_equal(deal("10", 1700000000001, "2X0"), 0);
    assert_int_equal(host.record[1].type, TB_GAP);
    assert_int_equal(host.record[1].gap.reason, TB_GAP_BAD_FRAME);
    assert_int_equal(host.record[1].gap.missing, 0);
    assert_int_equal(host.record[2].type, TB_TRADE);
    assert_int_equal(host.count, 3);
}

/* "I" and "i" are unknown fields of eight bytes each: a message without a symbol. */
static void text_that_is_no_json_disturbs_nothing(void **state)
{
    (void)state;
    assert_int_equal(frame("Invalid listen key"), 0);
    assert_int_equal(frame("Blocked!"), -EBADMSG);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 1);
    assert_int_equal(host.count, 0);
}

static void other_symbols_and_bodies_are_passed_over(void **state)
{
    (void)state;
    struct wire body = {.length = 0};
    assert_int_equal(push("XRPUSDT", 315, &body), 0);
    assert_int_equal(push("BTCUSDT", 309, &body), 0);
    assert_int_equal(count_of(ADAPTER_FRAMES_UNKNOWN), 2);
    assert_int_equal(host.count, 0);
}

/* Levels without anything in them take the most memory for their bytes. */
static void message_larger_than_the_arena_is_refused(void **state)
{
    (void)state;
    struct wire head = {.length = 0};
    size_t levels = 400000, length = 0;
    char *big = malloc(2 * levels + 64);
    assert_non_null(big);
    put_text(&head, 3, "BTCUSDT");
    put_varint(&head, 313 << 3 | 2);
    put_varint(&head, 2 * levels);
    memcpy(big, head.at, head.length);
    for (length = head.length; length < head.length + 2 * levels; length += 2)
        memcpy(big + length, "\x0a", 2); /* 0a 00 */
    assert_int_equal(ops->on_frame(a, big, length, ++host.now), -EBADMSG);
    free(big);
    assert_int_equal(deal("10", 1700000000000, "1X0"), 0);
}

/* ---- trades ---- */

static void repeated_trade_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(deal("10", 1700000000000, "731901896985399296X0_731901896985399297X0"), 0);
    assert_int_equal(deal("10", 1700000000000, "731901896985399298X0_731901896985399299X0"), 0);
    assert_int_equal(deal("10", 1700000000000, "731901896985399296X0_731901896985399297X0"), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(count_of(ADAPTER_TRADES_DUPLICATE), 1);
    assert_true(host.record[0].trade.trade_id != host.record[1].trade.trade_id);
}

static void id_that_is_a_number_is_kept(void **state)
{
    (void)state;
    assert_int_equal(deal("10", 1700000000000, "731901896985399296"), 0);
    assert_int_equal(last()->trade.trade_id, UINT64_C(731901896985399296));
}

static void equal_trades_without_ids_are_two(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    host.count = 0;
    assert_int_equal(deal("10", 1700000000000, NULL), 0);
    assert_int_equal(deal("10", 1700000000000, NULL), 0);
    assert_int_equal(host.count, 2);
    assert_int_equal(last()->trade.trade_id, 0);
}

static void after_a_reconnect_they_are_repeats(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    assert_int_equal(deal("10", 1700000000000, NULL), 0);
    ops->on_disconnect(a, host.now, 1006, TB_GAP_RECONNECT);
    ops->on_connect(a, host.now);
    host.count = 0;
    assert_int_equal(deal("10", 1700000000000, NULL), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(deal("11", 1700000000005, NULL), 0);
    assert_int_equal(host.record[0].type, TB_GAP);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RECONNECT);
    assert_int_equal(host.record[0].gap.to, 0); /* of unknown extent */
    assert_int_equal(host.record[1].type, TB_TRADE);
    assert_int_equal(deal("11", 1700000000005, NULL), 0); /* on one connection: another one */
    assert_int_equal(host.count, 3);
}

static void restart_knows_its_last_trades(void **state)
{
    (void)state;
    assert_int_equal(deal("10", 1700000000000, "5X0"), 0);
    struct tb_record newest = *last();
    ops->destroy(a);
    (void)setup_mexc(state);
    (void)ops->resume(a, &newest);
    ops->resumed(a);
    ops->on_connect(a, host.now);
    host.count = 0;
    assert_int_equal(deal("10", 1700000000000, "5X0"), 0);
    assert_int_equal(host.count, 0);
    assert_int_equal(deal("10", 1700000000009, "6X0"), 0);
    assert_int_equal(host.record[0].gap.reason, TB_GAP_RESTART);
}

static void bad_trade_does_not_keep_the_others_back(void **state)
{
    (void)state;
    struct wire w = {.length = 0};
    put_deal(&w, "10", 1, 1700000000000, "1X0");
    put_deal(&w, "ten", 1, 1700000000000, "2X0");
    put_deal(&w, "12", 3, 1700000000000, "3X0"); /* of a type nobody knows */
    assert_int_equal(push("BTCUSDT", 314, &w), -EBADMSG);
    assert_int_equal(host.count, 2);
    assert_int_equal(last()->trade.side, TB_NO_SIDE);
    assert_int_equal(deal("10", UINT64_MAX, "4X0"), -EBADMSG); /* a time before 1970 */
}

/* ---- quotes ---- */

static void unchanged_quote_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(quote("10", "11"), 0);
    assert_int_equal(quote("10", "11"), 0);
    assert_int_equal(quote("10.00", "11"), 0);
    assert_int_equal(host.count, 1);
    assert_int_equal(quote("10", "12"), 0);
    assert_int_equal(host.count, 2);
    ops->on_disconnect(a, host.now, 1006, TB_GAP_RECONNECT);
    host.count = 0;
    assert_int_equal(quote("10", "12"), 0); /* it is known again now, behind a gap */
    assert_int_equal(host.count, 2);
    assert_int_equal(quote("10.001", "12"), 0); /* refines the instrument */
    assert_int_equal(last()->quote.bid_price, 10001);
}

/* ---- books ---- */

static void versions_must_follow(void **state)
{
    (void)state;
    assert_int_equal(change("101", "105", "10", "1"), 0);
    assert_int_equal(whole(99, "['9','2']", "['11','3']"), 0); /* too old */
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(host.asked_count, 2);
    assert_int_equal(whole(100, "['9','2']", "['11','3']"), 0);
    assert_true(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(change("101", "105", "10", "1"), 0); /* seen */
    assert_int_equal(change("106", "107", "10", "0"), 0);
    assert_int_equal(tb_book_best(ops->book(a, "BTC/USDT"), TB_BUY, 0)->price, 900);
    host.count = 0;
    assert_int_equal(change("110", "111", "10", "1"), 0);
    assert_int_equal(find_type(TB_GAP)->gap.from, 108);
    assert_int_equal(find_type(TB_GAP)->gap.to, 109);
    assert_false(ops->book(a, "BTC/USDT")->valid);
    assert_int_equal(change("11x", "112", "10", "1"), -EBADMSG);
    assert_int_equal(change("112", "111", "10", "1"), -EBADMSG);
}

static void snapshots_are_asked_for_within_the_limit(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 25; i++) {
        char from[24];
        (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)(100 + i));
        assert_int_equal(change(from, from, "10", "1"), 0);
        ops->on_disconnect(a, host.now, 1006, TB_GAP_RECONNECT);
    }
    assert_int_equal(host.asked_count, 25);
    assert_true(host.asked[24].not_before >= 4900 * TB_NS_PER_MS); /* 20 more at 4 a second */
}

static void whole_small_book_is_taken_where_no_changes_come(void **state)
{
    (void)state;
    struct wire w = {.length = 0};
    put_level(&w, 1, "11", "2");
    put_level(&w, 2, "10", "1");
    put_text(&w, 4, "500");
    assert_int_equal(push("BTCUSDT", 303, &w), 0);
    assert_int_equal(ops->book(a, "BTC/USDT")->update_id, 500);
    assert_int_equal(push("BTCUSDT", 303, &w), 0); /* the same again */
    assert_int_equal(count_of(ADAPTER_BOOK_EVENTS), 1);
}

/* ---- subscribing ---- */

static void answers_are_read_for_what_they_say(void **state)
{
    (void)state;
    ops->on_connect(a, host.now);
    assert_int_equal(
        frame("{'id':0,'code':0,'msg':'spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT,"
              "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT'}"),
        0);
    assert_int_equal(count_of(ADAPTER_ACKS), 2);
    assert_int_equal(
        frame(
            "{'id':0,'code':0,'msg':'Subscribed successful! "
            "[spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT]. Not Subscribed successfully! "
            "[spot@public.aggre.deals.v3.api.pb@100ms@ETHUSDT].  Reason\xef\xbc\x9a Blocked! '}"),
        0);
    assert_int_equal(count_of(ADAPTER_ACKS), 3);
    assert_int_equal(count_of(ADAPTER_REFUSED), 1);
    assert_int_equal(frame("{'id':0,'code':0,'msg':'PONG'}"), 0);
    assert_int_equal(count_of(ADAPTER_PONGS), 1);
    assert_int_equal(frame("{'id':0,'code':0,'msg':'Not Subscribed successfully!'}"), 0);
    assert_int_equal(count_of(ADAPTER_REFUSED), 2);
    assert_int_equal(frame("{'id':0,'code':0}"), 0);
    assert_int_equal(frame("{'id':0,'code':0,'msg':"), -EBADMSG);
    ops->on_time(a, host.now + 60 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 2); /* of ETH/USDT: quotes and book */
    ops->on_time(a, host.now + 61 * TB_NS_PER_S);
    assert_int_equal(count_of(ADAPTER_UNANSWERED), 2);
}

static void subscriptions_are_one_request_and_pings_are_text(void **state)
{
    (void)state;
    char text[ADAPTER_REQUEST_BYTES];
    int length = ops->subscribe(a, 0, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text,
                           "{\"method\":\"SUBSCRIPTION\",\"params\":[\"spot@public.aggre.deals.v3."
                           "api.pb@100ms@BTCUSDT\",\"spot@"));
    assert_non_null(strstr(text, "\"spot@public.aggre.depth.v3.api.pb@100ms@ETHUSDT\"],\"id\":1}"));
    assert_int_equal(ops->subscribe(a, 1, text, sizeof(text)), 0);
    assert_int_equal(ops->ping(a, text, sizeof(text)), 17);
    assert_string_equal(text, "{\"method\":\"PING\"}");
    assert_int_equal(ops->ping(a, text, 5), -ENOSPC);
    assert_string_equal(ops->connect_path(a), "/ws");
}

static void more_subscriptions_than_a_connection_takes_are_refused(void **state)
{
    (void)state;
    static struct adapter_market_config market[11];
    struct adapter_config config = {
        .venue = "mexc", .stream = "test", .market = market, .market_count = 11};
    struct tb_error err = {""};
    for (size_t i = 0; i < TB_COUNT(market); i++) {
        (void)snprintf(market[i].symbol, TB_SYMBOL_BYTES, "A%zu/USDT", i);
        (void)snprintf(market[i].raw, TB_SYMBOL_BYTES, "A%zuUSDT", i);
    }
    config.channels = ADAPTER_TRADES | ADAPTER_QUOTES | ADAPTER_BOOK;
    assert_null(ops->create(&config, &test_host, &err));
    assert_non_null(strstr(err.text, "33 subscriptions"));
    config.market_count = 10;
    struct adapter *fits = ops->create(&config, &test_host, &err);
    assert_non_null(fits);
    char text[ADAPTER_REQUEST_BYTES];
    assert_true(ops->subscribe(fits, 0, text, sizeof(text)) > 0);
    ops->destroy(fits);
}

/* ---- listings ---- */

static void each(void *context, const struct adapter_market_config *market)
{
    *(struct adapter_market_config *)context = *market;
}

static void listing_gives_decimals(void **state)
{
    (void)state;
    static const char text[] =
        "{'timezone':'CST','symbols':[{'symbol':'BTCUSDT','status':'1','baseAsset':'BTC',"
        "'baseAssetPrecision':8,'quoteAsset':'USDT','quotePrecision':2,'quoteAssetPrecision':2,"
        "'baseSizePrecision':'0.000001','filters':[{'filterType':'PERCENT_PRICE_BY_SIDE'}]}]}";
    struct adapter_market_config market;
    char path[64], *copy = padded(text, sizeof(text) - 1);
    const char *symbols[] = {"BTC/USDT", "ETH/USDT"};
    assert_int_equal(ops->listing_read(copy, sizeof(text) - 1, each, &market), 1);
    free(copy);
    assert_string_equal(market.symbol, "BTC/USDT");
    assert_int_equal(market.price_exp, -2);
    assert_int_equal(market.size_exp, -8);
    assert_int_equal(ops->listing_path(symbols, 1, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo?symbol=BTCUSDT");
    assert_int_equal(ops->listing_path(symbols, 2, path, sizeof(path)), 0);
    assert_string_equal(path, "/api/v3/exchangeInfo");
    assert_int_equal(ops->listing_path(symbols, 1, path, 30), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        M(reference_quote_is_read),
        M(reference_trade_is_read),
        M(reference_change_is_read_and_a_snapshot_asked_for),
        M(reference_kline_is_passed_over),
        M(unknown_fields_are_skipped_and_order_does_not_matter),
        M(absent_fields_are_their_defaults),
        M(text_with_a_zero_byte_is_no_number),
        M(bad_frame_may_have_had_trades_of_any_market),
        M(text_that_is_no_json_disturbs_nothing),
        M(other_symbols_and_bodies_are_passed_over),
        M(message_larger_than_the_arena_is_refused),
        M(repeated_trade_is_dropped),
        M(id_that_is_a_number_is_kept),
        M(equal_trades_without_ids_are_two),
        M(after_a_reconnect_they_are_repeats),
        M(restart_knows_its_last_trades),
        M(bad_trade_does_not_keep_the_others_back),
        M(unchanged_quote_is_dropped),
        M(versions_must_follow),
        M(snapshots_are_asked_for_within_the_limit),
        M(whole_small_book_is_taken_where_no_changes_come),
        M(answers_are_read_for_what_they_say),
        M(subscriptions_are_one_request_and_pings_are_text),
        M(more_subscriptions_than_a_connection_takes_are_refused),
        M(listing_gives_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
