#!/usr/bin/env python3
"""tickbus-feed with Bybit and OKX: what it says to them (subscriptions, pings, a book asked for anew) and when."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import websocket
from buslook import Bus, check, log_of, run_tests, stop, until
from feed import Stream, counters, wait_close

BYBIT_LISTING = json.dumps({"retCode": 0, "result": {"category": "spot", "list": [
    {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading",
     "lotSizeFilter": {"basePrecision": "0.000001"}, "priceFilter": {"tickSize": "0.1"}}]}}).encode()
OKX_LISTING = json.dumps({"code": "0", "msg": "", "data": [
    {"instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1", "lotSz": "0.00000001"}]}).encode()


def rest(path):
    if path.startswith("/v5/market/instruments-info"):
        return 200, BYBIT_LISTING
    if path.startswith("/api/v5/public/instruments"):
        return 200, OKX_LISTING
    if path.startswith("/api/v5/market/books?instId=BTC-USDT"):
        return 200, json.dumps({"code": "0", "msg": "", "data": [
            {"bids": [["10", "1", "0", "1"]], "asks": [["11", "1", "0", "1"]], "ts": "1", "seqId": 12}]}).encode()
    return 404, b"{}"


def start_feed(bus, venue, port, *args):
    return bus.start("tickbus-feed", "--venue", venue, "--symbols=BTC/USDT", "--stream=feed",
                     "--url=ws://127.0.0.1:%d" % port, "--rest-url=http://127.0.0.1:%d" % port, "--book-depth=200",
                     "--backoff-most=500ms", *args)


def bybit_book(kind, u, price="10"):
    return json.dumps({"topic": "orderbook.200.BTCUSDT", "ts": 1700000000000, "type": kind,
                       "data": {"s": "BTCUSDT", "b": [[price, "1"]], "a": [["11", "1"]], "u": u, "seq": u},
                       "cts": 1700000000000})


def bybit_answer(request):
    return json.dumps({"success": True, "ret_msg": request["op"], "conn_id": "c", "req_id": request["req_id"], "op": request["op"]})


def okx_answers(stream, request):
    for arg in request["args"]:
        stream.send(json.dumps({"id": request["id"], "event": request["op"], "arg": arg, "connId": "c"}))


def okx_book(action, prev, seq, price="10"):
    return json.dumps({"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [
        {"asks": [], "bids": [[price, "1", "0", "1"]], "ts": "1700000000000", "checksum": 0, "prevSeqId": prev, "seqId": seq}]})


def bybit_is_pinged_in_its_own_way_and_a_quiet_market_is_left_alone():
    def on_socket(stream, number):
        stream.send(bybit_answer(json.loads(stream.receive())))
        for _ in range(4):
            request = json.loads(stream.receive())
            assert request["op"] == "ping", request
            stream.send(json.dumps({"success": True, "ret_msg": "pong", "conn_id": "c", "op": "ping"}))
        stream.send(bybit_book("snapshot", 7))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, "bybit", server.port, "--silence=1500ms")
        until(lambda: counters(bus).get("snapshots") == 1, "four pongs, then a snapshot")
        check(server.sockets == 1, server.sockets, server.errors)
        stop(feed)
        check(not server.errors, server.errors)


def okx_is_pinged_in_its_own_way_and_silence_is_noticed():
    pings = []

    def on_socket(stream, number):
        okx_answers(stream, json.loads(stream.receive()))
        while True:  # pings of WebSocket are answered in receive, which is not what the venue goes by
            final, opcode, payload = stream.receive_frame()
            if payload == b"ping":
                pings.append(number)
                if number > 1:
                    stream.send("pong")
            elif opcode == websocket.CLOSE:
                return
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, "okx", server.port, "--silence=1500ms")
        until(lambda: counters(bus).get("pongs", 0) >= 3, "pongs on a second connection")
        check(1 in pings and server.sockets == 2, pings, server.sockets)
        check("nothing was heard" in log_of(feed), log_of(feed))
        stop(feed)


def bybit_book_with_a_hole_is_subscribed_anew():
    requests = []

    def on_socket(stream, number):
        request = json.loads(stream.receive())
        stream.send(bybit_answer(request))
        stream.send(bybit_book("snapshot", 7))
        stream.send(bybit_book("delta", 8))
        stream.send(bybit_book("delta", 11))
        while len(requests) < 2:
            request = json.loads(stream.receive())
            if request["op"] != "ping":
                requests.append(request)
                stream.send(bybit_answer(request))
        stream.send(bybit_book("snapshot", 15, "9"))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, "bybit", server.port)
        until(lambda: counters(bus).get("snapshots") == 2, "a second snapshot")
        stop(feed)
        stream = Stream(bus)
        check([r["op"] for r in requests] == ["unsubscribe", "subscribe"], requests)
        check(all(r["args"] == ["orderbook.200.BTCUSDT"] for r in requests), requests)
        check([g[2:4] for g in stream.gaps if g[1] == 2] == [(9, 10)], stream.gaps)
        check(server.sockets == 1 and not server.errors, server.sockets, server.errors)
        check([str(p) for p in stream.books["BTC/USDT"]["B"]] == ["9.0"] and not stream.bad["BTC/USDT"], stream.books)


def okx_book_without_a_snapshot_is_had_by_rest():
    def on_socket(stream, number):
        okx_answers(stream, json.loads(stream.receive()))
        stream.send(okx_book("update", 10, 11, "8"))
        until(lambda: any("market/books" in r for r in server.requests), "a request for the book")
        stream.send(okx_book("update", 11, 14, "9"))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, "okx", server.port)
        until(lambda: counters(bus).get("book_events") == 1, "an update joined to the snapshot")
        stop(feed)
        stream = Stream(bus)
        check(not [g for g in stream.gaps if g[1] == 2] and not server.errors, stream.gaps, server.errors)
        check(sorted(stream.books["BTC/USDT"]["B"]) == [9, 10], stream.books)


if __name__ == "__main__":
    run_tests([bybit_is_pinged_in_its_own_way_and_a_quiet_market_is_left_alone,
               okx_is_pinged_in_its_own_way_and_silence_is_noticed,
               bybit_book_with_a_hole_is_subscribed_anew,
               okx_book_without_a_snapshot_is_had_by_rest], at_once=4)
