#!/usr/bin/env python3
"""What venues say besides data: a refusal of one subscription among several, and that they will interrupt their service."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import websocket
from buslook import Bus, check, log_of, run_tests, stop, until
from feed import Stream, counters, wait_close
from mexc_frames import field, push

TRADES, BOOK, QUOTES = 1, 2, 3  # enum tb_channel
MAINTENANCE, REFUSED = 5, 7
TIME = "2026-01-01T00:00:00.000000Z"
PAIRS = (("BTC", "USDT"), ("ETH", "USDT"))


def exchange_info(**more):
    return {"symbols": [
        {"symbol": b + q, "status": "TRADING", "baseAsset": b, "quoteAsset": q, "baseAssetPrecision": 5, "quotePrecision": 2,
         "quoteAssetPrecision": 2, "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"},
                                               {"filterType": "LOT_SIZE", "stepSize": "0.00001"}], **more} for b, q in PAIRS]}


LISTINGS = {
    "/fapi/v1/exchangeInfo": exchange_info(contractType="PERPETUAL", marginAsset="USDT"),
    "/api/v3/exchangeInfo": exchange_info(),
    "/v5/market/instruments-info": {"retCode": 0, "result": {"category": "spot", "list": [
        {"symbol": b + q, "baseCoin": b, "quoteCoin": q, "status": "Trading", "lotSizeFilter": {"basePrecision": "0.00001"},
         "priceFilter": {"tickSize": "0.01"}} for b, q in PAIRS]}},
    "/api/v5/public/instruments": {"code": "0", "msg": "", "data": [
        {"instId": b + "-" + q, "baseCcy": b, "quoteCcy": q, "tickSz": "0.01", "lotSz": "0.00001"} for b, q in PAIRS]},
    "/0/public/AssetPairs": {"error": [], "result": {
        b + q: {"altname": b + q, "wsname": b + "/" + q, "pair_decimals": 2, "lot_decimals": 5} for b, q in PAIRS}},
    "/brokerage/market/products": {"products": [
        {"product_id": b + "-" + q, "base_currency_id": b, "quote_currency_id": q, "base_increment": "0.00001",
         "price_increment": "0.01", "quote_increment": "0.01"} for b, q in PAIRS]},
    "/products": [{"id": b + "-" + q, "base_currency": b, "quote_currency": q, "base_increment": "0.00001",
                   "quote_increment": "0.01"} for b, q in PAIRS],
}


def rest(path):
    for name, body in LISTINGS.items():
        if name in path:
            return 200, json.dumps(body).encode()
    return 404, b"{}"


def play(venue, on_socket, checks, *args):
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        usdm = ":USDT" if venue == "binanceusdm" else ""
        feed = bus.start("tickbus-feed", "--venue", venue, "--symbols=BTC/USDT%s,ETH/USDT%s" % (usdm, usdm), "--stream=feed",
                         "--url=ws://127.0.0.1:%d" % server.port, "--rest-url=http://127.0.0.1:%d" % server.port,
                         "--backoff-most=500ms", *args)
        until(lambda: counters(bus).get("trades", 0) >= 1, "a trade of what was not refused")
        checks(bus, server, feed)
        check(not server.errors, server.errors)


def refused(venue, on_socket, wanted, *args):
    """on_socket agrees to all but `wanted`, [(symbol, channel)], and sends a trade of the first market at the end."""
    def checks(bus, server, feed):
        until(lambda: bus.stats("feed").note, "a note", deadline=30)
        stats = bus.stats("feed")
        stop(feed)
        told = [(s[1], s[2]) for s in Stream(bus).status if s[0] == REFUSED]
        check(sorted(told) == sorted(wanted), told, log_of(feed))
        check(counters(bus)["refused"] >= 1 and server.sockets == 1, counters(bus), server.sockets)
        log = log_of(feed)
        said = [line for line in log.splitlines() if "ev=subscription_refused" in line]  # the first, then one each 10 s
        check(said and any("symbol=%s channel=%s" % (symbol, {1: "trades", 2: "book", 3: "quotes"}[channel]) in said[0]
                           for symbol, channel in wanted), log)
        check(len(said) == 1 or len(said) < len(wanted), log)
        check(stats.state == "degraded" and wanted[0][0] in stats.note and "refused %d" % len(wanted) in stats.note, stats.note)
    play(venue, on_socket, checks, *args)


def binance_trade(symbol="BTCUSDT"):
    return json.dumps({"stream": symbol.lower() + "@trade", "data": {
        "e": "trade", "E": 1700000000000, "s": symbol, "t": 1, "p": "100.00", "q": "0.1", "T": 1700000000000, "m": True, "M": True}})


def binance_refuses(venue, trade):
    """The venue refuses a whole request and does not say what of it is wrong."""
    def on_socket(stream, number):
        agreed = set()
        while len(agreed) < 5:
            request = json.loads(stream.receive())
            bad = "ethusdt@bookTicker" in request["params"]
            agreed |= set() if bad else set(request["params"])
            stream.send(json.dumps({"code": 2, "msg": "Invalid request", "id": request["id"]} if bad
                                   else {"result": None, "id": request["id"]}))
        stream.send(json.dumps(trade))
        wait_close(stream)
    symbol = "ETH/USDT:USDT" if venue == "binanceusdm" else "ETH/USDT"
    refused(venue, on_socket, [(symbol, QUOTES)])


def binance_halves_what_was_refused_down_to_the_one():
    binance_refuses("binance", json.loads(binance_trade()))


def binanceusdm_halves_what_was_refused_down_to_the_one():
    trade = json.loads(binance_trade())
    trade["data"]["X"] = "MARKET"
    del trade["data"]["M"]
    binance_refuses("binanceusdm", trade)


def mexc_names_what_it_refused():
    def on_socket(stream, number):
        params = json.loads(stream.receive())["params"]
        bad = [p for p in params if "bookTicker" in p and p.endswith("ETHUSDT")]
        good = [p for p in params if p not in bad]
        check(len(bad) == 1 and len(good) == 5, params)
        stream.send(json.dumps({"id": 0, "code": 0, "msg": "Subscribed successful! [%s]. Not Subscribed successfully! [%s].  "
                                "Reason\uff1a Blocked! " % (",".join(good), bad[0])}))
        deal = field(1, "100.00") + field(2, "0.1") + field(3, 1) + field(4, 1700000000000) + field(5, "7X0")
        stream.send(push("deals", "BTCUSDT", 1700000000000, 314, field(1, deal)), websocket.BINARY)
        wait_close(stream)
    refused("mexc", on_socket, [("ETH/USDT", QUOTES)])


def kraken_answers(stream, request, bad=()):
    """`bad`: pairs of market and channel; the venue's refusal does not name the channel."""
    for symbol in request["params"]["symbol"]:
        channel = request["params"]["channel"]
        about = ({"error": "Currency pair not supported " + symbol, "symbol": symbol} if (symbol, channel) in bad else
                 {"result": {"channel": channel, "symbol": symbol}})
        stream.send(json.dumps({"method": "subscribe", "req_id": request["req_id"], "success": "result" in about,
                                "time_in": TIME, "time_out": TIME, **about}))


def kraken_trade():
    return json.dumps({"channel": "trade", "type": "update", "data": [
        {"symbol": "BTC/USDT", "side": "buy", "price": 100.0, "qty": 0.1, "ord_type": "market", "trade_id": 1, "timestamp": TIME}]})


def kraken_refuses(bad, wanted):
    def on_socket(stream, number):
        for _ in range(3):
            kraken_answers(stream, json.loads(stream.receive()), bad)
        stream.send(kraken_trade())
        wait_close(stream)
    refused("kraken", on_socket, [("ETH/USDT", c) for c in wanted])


def kraken_refuses_a_pair():
    kraken_refuses([("ETH/USDT", c) for c in ("trade", "ticker", "book")], (TRADES, QUOTES, BOOK))


def kraken_refuses_a_channel_without_its_name():
    kraken_refuses([("ETH/USDT", "ticker")], (QUOTES,))


def coinbase_trade():
    return json.dumps({"type": "match", "trade_id": 1, "time": TIME, "product_id": "BTC-USDT", "size": "0.1", "price": "100.00",
                       "side": "sell"})


def coinbaseexchange_refuses_a_product():
    def on_socket(stream, number):
        for _ in range(2):
            request = json.loads(stream.receive())
            (product,) = request["product_ids"]
            if product == "ETH-USDT":
                stream.send('{"type":"error","message":"Failed to subscribe","reason":"ETH-USDT is not a valid product"}')
            else:
                stream.send(json.dumps({"type": "subscriptions", "channels": [
                    {"name": c, "product_ids": [product]} for c in request["channels"]]}))
        stream.send(coinbase_trade())
        wait_close(stream)
    refused("coinbaseexchange", on_socket, [("ETH/USDT", c) for c in (TRADES, QUOTES, BOOK)])


def coinbase_refuses_without_a_name():
    def on_socket(stream, number):
        def send(channel, **event):
            stream.send(json.dumps({"channel": channel, "client_id": "", "timestamp": TIME, "sequence_num": next(numbers),
                                    "events": [event]}))
        numbers, on = iter(range(10**6)), {}
        while True:
            request = json.loads(stream.receive())
            if "ETH-USDT" in request.get("product_ids", []) and request["channel"] == "ticker":
                stream.send('{"type":"error","message":"invalid product_ids"}')
                continue
            on.setdefault(request["channel"], []).extend(request.get("product_ids", ["heartbeats"]))
            send("subscriptions", subscriptions=on)
            if on.get("ticker") == ["BTC-USDT"] and "market_trades" in on:
                break
        while "ticker" not in request["channel"] or request["product_ids"] != ["ETH-USDT"]:
            request = json.loads(stream.receive())
        stream.send('{"type":"error","message":"invalid product_ids"}')
        send("market_trades", type="update", trades=[{"trade_id": "1", "product_id": "BTC-USDT", "price": "100.00", "size": "0.1",
                                                      "side": "BUY", "time": TIME}])
        wait_close(stream)
    refused("coinbase", on_socket, [("ETH/USDT", QUOTES)], "--silence=60s")


def bybit_trade():
    return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1700000000000, "data": [
        {"T": 1700000000000, "s": "BTCUSDT", "S": "Buy", "v": "0.1", "p": "100.00", "i": "1", "BT": False}]})


def bybit_answer(stream, request, reason=None):
    stream.send(json.dumps({"success": reason is None, "ret_msg": reason or "", "conn_id": "c", "req_id": request["req_id"],
                            "op": request["op"]}))


def bybit_names_what_it_refused():
    def on_socket(stream, number):
        request = json.loads(stream.receive())
        bybit_answer(stream, request, "error:handler not found,topic:orderbook.1.ETHUSDT")
        request = json.loads(stream.receive())
        check(len(request["args"]) == 5 and "orderbook.1.ETHUSDT" not in request["args"], request)
        bybit_answer(stream, request)
        stream.send(bybit_trade())
        wait_close(stream)
    refused("bybit", on_socket, [("ETH/USDT", QUOTES)])


def okx_trade():
    return json.dumps({"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [
        {"instId": "BTC-USDT", "tradeId": "1", "px": "100.00", "sz": "0.1", "side": "buy", "ts": "1700000000000", "count": "1"}]})


def okx_agrees(stream, request):
    for arg in request["args"]:
        stream.send(json.dumps({"id": request["id"], "event": "subscribe", "arg": arg, "connId": "c"}))


def okx_names_what_it_refused():
    def on_socket(stream, number):
        request = json.loads(stream.receive())
        stream.send(json.dumps({"event": "error", "code": "60018", "id": request["id"], "connId": "c", "msg":
                                "Wrong URL or channel:bbo-tbt,instId:ETH-USDT doesn't exist. Please use the correct URL, channel "
                                "and parameters referring to API document."}))
        request = json.loads(stream.receive())
        check(len(request["args"]) == 5, request)
        okx_agrees(stream, request)
        stream.send(okx_trade())
        wait_close(stream)
    refused("okx", on_socket, [("ETH/USDT", QUOTES)])


# ---- an interruption is announced ----

def announced(venue, on_socket, sockets):
    def checks(bus, server, feed):
        until(lambda: server.sockets == sockets, "%d connections" % sockets)
        stop(feed)
        codes = [s[0] for s in Stream(bus).status]
        check(codes.count(MAINTENANCE) == 1, codes, log_of(feed))
        # Where the venue says that it closes, it is left at once.
        check(codes.index(MAINTENANCE) < (codes.index(2) if 2 in codes else len(codes)) and (2 in codes) == (sockets > 1), codes)
    play(venue, on_socket, checks, "--channels=trade")


def binance_will_shut_down():
    def on_socket(stream, number):
        request = json.loads(stream.receive())
        stream.send(json.dumps({"result": None, "id": request["id"]}))
        stream.send(binance_trade())
        if number == 1:
            stream.send('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}')
        wait_close(stream)
    announced("binance", on_socket, 2)


def okx_will_close_the_connection():
    def on_socket(stream, number):
        okx_agrees(stream, json.loads(stream.receive()))
        stream.send(okx_trade())
        if number == 1:
            stream.send('{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
                        'Please reconnect.","connId":"a4d3ae55"}')
        wait_close(stream)
    announced("okx", on_socket, 2)


def kraken_is_in_maintenance():
    def on_socket(stream, number):
        kraken_answers(stream, json.loads(stream.receive()))
        for system in ("online", "maintenance", "online"):
            stream.send(json.dumps({"channel": "status", "type": "update", "data": [
                {"api_version": "v2", "connection_id": 1, "system": system, "version": "2.0.0"}]}))
        stream.send(kraken_trade())
        wait_close(stream)
    announced("kraken", on_socket, 1)


def bybit_announces_maintenance():
    def on_socket(stream, number):
        bybit_answer(stream, json.loads(stream.receive()))
        stream.send(json.dumps({"topic": "system.status", "ts": 1751858399649, "data": [
            {"id": "4d95b2a0", "title": "Scheduled", "state": "ongoing", "begin": "1751594400000", "end": "1751597400000",
             "href": "", "serviceTypes": [2], "product": [1], "uidSuffix": [], "maintainType": 1, "env": 1}]}))
        stream.send(bybit_trade())
        wait_close(stream)
    announced("bybit", on_socket, 1)


if __name__ == "__main__":
    run_tests([globals()[name] for name in sys.argv[1:]] or [
        coinbase_refuses_without_a_name,
        binance_halves_what_was_refused_down_to_the_one,
        binanceusdm_halves_what_was_refused_down_to_the_one,
        mexc_names_what_it_refused,
        kraken_refuses_a_pair,
        kraken_refuses_a_channel_without_its_name,
        coinbaseexchange_refuses_a_product,
        bybit_names_what_it_refused,
        okx_names_what_it_refused,
        binance_will_shut_down,
        okx_will_close_the_connection,
        kraken_is_in_maintenance,
        bybit_announces_maintenance], at_once=6)
