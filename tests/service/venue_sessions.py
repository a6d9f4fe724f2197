#!/usr/bin/env python3
"""Recorded sessions of venues other than Binance spot through `venue` and `feed`: the stream equals the facts."""
import gzip
import json
import os
import sys
from decimal import Decimal

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import websocket
from buslook import Bus, check, end, run_tests, stop
from feed import Stream, counters, play, same_book, same_trades, start_feed
from venue import ask, drain, get, start


DATA = facts.SHARED
BYBIT, OKX = ([os.path.join(DATA, "cryptofeed", name)] for name in ("2026-08-09_BYBIT.ws.3.spot.jsonl.gz", "2022-05-13_OKX.ws.1.gz"))
OKX_SYMBOLS = {"BTC-USDT": "BTC/USDT", "UNI-USD-SWAP": "UNI/USD:UNI", "BTC-USD-220527": "BTC/USD:BTC-220527"}


def published(name):
    with open(os.path.join(DATA, "facts", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def same_as_facts(bus, trades, books, name="feed"):
    """The stream of this feed; trades and books are {symbol: facts}."""
    stream = Stream(bus, name)
    check(stream.state == "done", stream.state)
    check(not stream.gaps, name, "has gaps", stream.gaps[:3])
    for symbol, expected in trades.items():
        same_trades(stream, symbol, expected)
    for symbol, expected in books.items():
        same_book(stream, symbol, expected)
    seen = counters(bus, name)
    check(seen["frames_bad"] == 0 and seen["gaps"] == 0 and seen["connects"] == 1, seen)
    return seen


def session(capture):
    with Bus() as bus:
        venue, feed = play(bus, capture)
        end(feed, deadline=60)
        end(venue)
        return same_as_facts(bus, capture.trades(), capture.books())


def binance_futures_equal_their_facts():
    for capture in facts.futures():
        seen = session(capture)
        check(seen["bbo_equal"] == capture.bbo_equal() and seen["bbo_different"] == 0, seen)


def bybit_equals_its_facts():
    seen = session(facts.Capture("bybit", "bybit", BYBIT, published("2026-08-09_BYBIT.spot")))
    check(seen["snapshots"] == 2 and seen["refused"] == 0, seen)


def okx_equals_its_facts():
    """Its markets are of three kinds, of which a listing holds one: three feeds, each with its stream."""
    found = published("2022-05-13_OKX")
    equal = 0
    with Bus() as bus:
        venue, port = start(bus, "--venue=okx", "--speed=max", "--wait-subscriptions=0", "--exit-at-end", captures=OKX)
        feeds = []
        for raw, symbol in OKX_SYMBOLS.items():
            name = raw.lower()
            feeds.append(start_feed(bus, port, "--venue=okx", "--finite", "--name", name, symbols=symbol, stream=name))
        for feed in feeds:
            end(feed, deadline=60)
        end(venue)
        for raw, symbol in OKX_SYMBOLS.items():
            seen = same_as_facts(bus, {symbol: found["trades"][raw]} if raw in found["trades"] else {},
                                 {symbol: found["books"][raw]}, raw.lower())
            check(seen["checksums_different"] == 0, seen)
            equal += seen["checksums_equal"]
    check(equal == 290, equal, "checksums are equal")


def coinbase_equals_its_facts():
    found = published("2021-04-17_COINBASE")
    trades, books = ({raw.replace("-", "/"): value for raw, value in found[kind].items()} for kind in ("trades", "books"))
    with Bus() as bus:
        # A request for each product: the recording waits for all of them.
        venue, port = start(bus, "--venue=coinbaseexchange", "--speed=max", "--wait-subscriptions=0", "--exit-at-end",
                            captures=[os.path.join(DATA, path) for path in found["files"]])
        feed = start_feed(bus, port, "--venue=coinbaseexchange", "--finite", "--capacity=1048576", symbols=",".join(books))
        end(feed, deadline=60)
        end(venue)
        seen = same_as_facts(bus, trades, books)
        check(seen["snapshots"] == 10 and seen["book_events"] == 9719, seen)


def play_all(name, venue, *feed_args):
    """A recording through its venue and one feed, every market of it."""
    found = published(name)
    with Bus() as bus:
        process, port = start(bus, "--venue", venue, "--speed=max", "--wait-subscriptions=0", "--exit-at-end",
                              captures=[os.path.join(DATA, path) for path in found["files"]])
        feed = start_feed(bus, port, "--venue", venue, "--finite", "--capacity=1048576", symbols="*", *feed_args)
        end(feed, deadline=60)
        end(process)
        unify = {raw: raw.replace("-", "/").replace("XBT", "BTC") for kind in ("trades", "books") for raw in found.get(kind, {})}
        seen = same_as_facts(bus, *({unify[raw]: value for raw, value in found.get(kind, {}).items()} for kind in ("trades", "books")))
        return seen, Stream(bus)


def coinbase_advanced_equals_the_facts_of_the_same_market():
    seen, _ = play_all("2021-04-17_COINBASE", "coinbase")
    check(seen["snapshots"] == 10 and seen["book_events"] == 9719 and seen["frames_unknown"] == 0, seen)


def kraken_equals_its_facts():
    """Recorded of v1, served as v2: its snapshots are given checksums too."""
    seen, _ = play_all("2021-04-17_KRAKEN", "kraken")
    check(seen["checksums_equal"] == 4269 + 10 and seen["checksums_different"] == 0 and seen["quotes"] == 18, seen)


def kraken_v2_equals_its_facts():
    seen, stream = play_all("kraken_v2_book", "kraken")
    check(seen["checksums_equal"] == 2 and seen["checksums_different"] == 0 and "ALGO/USD" in stream.books, seen)


def okcoin_equals_its_facts():
    seen, _ = play_all("2023-05-27_OKCOIN", "okcoin")
    check(seen["checksums_equal"] == 6 and seen["checksums_different"] == 0, seen)


def mexc_equals_its_facts():
    frames = published("mexc_protobuf")["frames"]
    seen, stream = play_all("mexc_protobuf", "mexc")
    trades = [(t[1], t[2], t[3], t[4]) for t in stream.trades["BTC/USDT"]]
    check(trades == [(Decimal(d["price"]), Decimal(d["qty"]), {1: "buy", 2: "sell"}[d["side_1buy_2sell"]], d["time_ms"] * 10**6)
                     for d in frames[1]["deals"]], trades)
    (quote,) = [r for r in stream.records if r.type == "quote"]
    wanted = [int(Decimal(frames[0]["bookTicker"][k]) * 10**n) for k, n in (("bid", 2), ("bid_qty", 8), ("ask", 2), ("ask_qty", 8))]
    check([quote.body[k] for k in ("bid_price", "bid_size", "ask_price", "ask_size")] == wanted, quote.body, wanted)
    same_book(stream, "BTC/USDT", frames[2]["limit_depth"])
    check(seen["frames_unknown"] == 0, seen)


# ---- faults, with books that begin on the socket ----

def with_faults(venue_name, captures, symbol, trades, book, match, *rules):
    """Those faults with a feed that comes back: its book is that of the run without them."""
    with Bus() as bus:
        path = os.path.join(bus.base, "faults.yaml")
        with open(path, "w", encoding="ascii") as file:
            json.dump([{"match": match, **rule} for rule in rules], file)
        venue, port = start(bus, "--venue", venue_name, "--speed=6", "--exit-at-end", "--faults-file", path, captures=captures)
        feed = start_feed(bus, port, "--venue", venue_name, "--finite", symbols=symbol)
        end(feed, deadline=60)
        end(venue)
        stream = Stream(bus)
        same_book(stream, symbol, book)
        done = counters(bus, "venue")
        for rule in rules:
            check(done["fault_" + rule["do"]] == 1, rule, done)
        gaps = [g for g in stream.gaps if g[1] == 2]
        check(len(gaps) >= 1, "no gap in the book")
        check(len(stream.trades.get(symbol, [])) <= trades, stream.trades)
        return gaps, counters(bus)


FAULTS = ({"do": "drop", "at": 20}, {"do": "corrupt", "at": 30}, {"do": "close", "at": 40}, {"do": "reset", "at": 50})


def bybit_is_right_again_after_faults():
    found = published("2026-08-09_BYBIT.spot")
    gaps, seen = with_faults("bybit", BYBIT, "BTC/USDT", found["trades"]["BTCUSDT"]["trades"], found["books"]["BTCUSDT"],
                             "orderbook.200.BTCUSDT", *FAULTS)
    check(seen["connects"] == 3 and seen["resubscribed"] >= 1 and seen["snapshots"] >= 4, seen)


def okx_is_right_again_after_faults():
    found = published("2022-05-13_OKX")
    wrong = {"do": "wrong_number", "after": '"checksum":', "at": 60}
    gaps, seen = with_faults("okx", OKX, "BTC/USDT", 100, found["books"]["BTC-USDT"], '"books","instId":"BTC-USDT"', wrong)
    check(seen["checksums_different"] >= 1 and seen["resubscribed"] >= 1 and seen["connects"] == 1, seen)


def coinbase_is_right_again_after_faults():
    found = published("2021-04-17_COINBASE")
    product = max(found["books"], key=lambda raw: found["books"][raw]["updates_applied"])
    gaps, seen = with_faults("coinbaseexchange", [os.path.join(DATA, path) for path in found["files"]],
                             product.replace("-", "/"), 1000, found["books"][product], '"l2update","product_id":"' + product,
                             {"do": "corrupt", "at": 20}, {"do": "close", "at": 60}, {"do": "reset", "at": 100})
    check(seen["connects"] == 3 and seen["snapshots"] >= 3, seen)


# ---- answers ----

def bybit_answers_as_the_venue_does():
    with Bus() as bus:
        venue, port = start(bus, "--venue=bybit", "--wait-subscriptions=100", "--limits=false", captures=BYBIT)
        client = websocket.connect(port, "/v5/public/spot")
        agreed = ask(client, op="subscribe", req_id="7", args=["orderbook.50.BTCUSDT", "publicTrade.ETHUSDT"])
        check((agreed["success"], agreed["op"], agreed["req_id"]) == (True, "subscribe", "7"), agreed)
        refused = ask(client, op="subscribe", req_id="8", args=["orderbook.50.NOPE"])
        check(not refused["success"] and refused["ret_msg"] == "error:handler not found,topic:orderbook.50.NOPE", refused)
        check(ask(client, op="ping")["ret_msg"] == "pong")
        check(not ask(client, op="dance")["success"])
        for garbage in ("", "{", "[]", '{"op":"subscribe","args":[{"a":1}]}', '{"op":"subscribe","args":["'):
            client.send(garbage)
            check(not json.loads(client.receive())["success"], garbage)
        status, listing = get(port, "/v5/market/instruments-info?category=spot&symbol=ETHUSDT")
        check([i["symbol"] for i in listing["result"]["list"]] == ["ETHUSDT"], listing)
        stop(venue)


def coinbase_answers_as_the_venue_does():
    with Bus() as bus:
        venue, port = start(bus, "--venue=coinbaseexchange", "--wait-subscriptions=100", "--limits=false",
                            captures=[os.path.join(DATA, path) for path in published("2021-04-17_COINBASE")["files"]])
        client = websocket.connect(port, "/")
        agreed = ask(client, type="subscribe", product_ids=["NMR-EUR"], channels=["level2_batch", "heartbeat",
                     {"name": "ticker", "product_ids": ["SKL-USD"]}])
        check({c["name"]: c["product_ids"] for c in agreed["channels"]} ==
              {"level2_50": ["NMR-EUR"], "matches": [], "ticker": ["SKL-USD"]}, agreed)
        check(ask(client, type="unsubscribe", product_ids=["NMR-EUR"], channels=["level2_batch"])["channels"][0]["product_ids"] == [])
        for products, channel, reason in ((["NOPE"], "level2_batch", "NOPE is not a valid product"), (["NMR-EUR"], "foo", "foo is not a valid channel"),
                                          (["NMR-EUR"], "level2", "level2, level3, and full channels now require authentication")):
            check(ask(client, type="subscribe", product_ids=products, channels=[channel])["reason"] == reason, reason)
        for garbage in ("", "{", "[]", "3", '{"type":"subscribe"}', '{"type":"subscribe","product_ids":3,"channels":[[]]}'):
            client.send(garbage)
            check(json.loads(client.receive())["type"] == "error", garbage)
        status, listing = get(port, "/products")
        check({"NMR-EUR", "SKL-USD"} <= {product["id"] for product in listing}, listing)
        stop(venue)


def okx_answers_as_the_venue_does():
    with Bus() as bus:
        venue, port = start(bus, "--venue=okx", "--wait-subscriptions=100", "--limits=false", captures=OKX)
        client = websocket.connect(port, "/ws/v5/public")
        args = [{"channel": "books", "instId": "BTC-USDT"}, {"channel": "trades", "instId": "BTC-USDT"}]
        first = ask(client, op="subscribe", id="7", args=args)
        check((first["event"], first["arg"], first["id"]) == ("subscribe", args[0], "7"), first)
        check(json.loads(client.receive())["arg"] == args[1])
        refused = ask(client, op="subscribe", args=[{"channel": "books", "instId": "NOPE"}])
        check((refused["event"], refused["code"]) == ("error", "60018"), refused)
        client.send("ping")
        check(client.receive() == b"pong")
        check(ask(client, op="dance")["code"] == "60012")
        check(get(port, "/api/v5/market/books?instId=NOPE&sz=400")[1]["code"] == "51001")
        status, listing = get(port, "/api/v5/public/instruments?instType=SWAP")
        check([i["instId"] for i in listing["data"]] == ["UNI-USD-SWAP"], listing)
        stop(venue)


COINBASE = "2021-04-17_COINBASE"


def files_of(name):
    return [os.path.join(DATA, path) for path in published(name)["files"]]


def kraken_answers_as_the_venue_does_in_both_protocols():
    with Bus() as bus:
        venue, port = start(bus, "--venue=kraken", "--wait-subscriptions=100", captures=files_of("2021-04-17_KRAKEN"))
        client = websocket.connect(port, "/v2")
        check(json.loads(client.receive())["data"][0]["system"] == "online")
        agreed = ask(client, method="subscribe", req_id=3, params={"channel": "book", "symbol": ["BTC/CHF"], "depth": 10})
        check(agreed["success"] and agreed["req_id"] == 3 and agreed["result"]["depth"] == 1000, agreed)
        refused = ask(client, method="subscribe", req_id=4, params={"channel": "trade", "symbol": ["NO/PE"]})
        check((refused["success"], refused["error"], refused["symbol"]) == (False, "Currency pair not supported NO/PE", "NO/PE"), refused)
        check(ask(client, method="subscribe", params={"channel": "book", "symbol": ["BTC/CHF"]})["error"].startswith("Already subscribed"))
        check(ask(client, method="ping", req_id=7)["method"] == "pong")
        check(json.loads(client.receive()) == {"channel": "heartbeat"})
        for garbage in ("", "{", "[]", '{"method":"subscribe"}', '{"method":"subscribe","params":{"channel":"book","symbol":[3]}}'):
            client.send(garbage)
            check("error" in json.loads(client.receive()), garbage)
        old = websocket.connect(port, "/")
        check(json.loads(old.receive())["event"] == "systemStatus")
        agreed = ask(old, event="subscribe", pair=["XBT/CHF"], subscription={"name": "book"}, reqid=5)
        check((agreed["channelName"], agreed["pair"], agreed["status"], agreed["reqid"]) == ("book-1000", "XBT/CHF", "subscribed", 5), agreed)
        check(ask(old, event="subscribe", pair=["NO/PE"], subscription={"name": "trade"})["errorMessage"] == "Currency pair not supported NO/PE")
        check(ask(old, event="ping", reqid=1) == {"reqid": 1, "event": "pong"})
        pairs = get(port, "/0/public/AssetPairs")[1]["result"]
        check(pairs["XBTCHF"]["wsname"] == "XBT/CHF" and pairs["XBTCHF"]["lot_decimals"] == 8, pairs["XBTCHF"])
        stop(venue)


def kraken_v1_clients_get_the_recorded_bytes():
    with Bus() as bus:
        venue, port = start(bus, "--venue=kraken", "--speed=max", captures=files_of("2021-04-17_KRAKEN"))
        client = websocket.connect(port, "/")
        client.send(json.dumps({"event": "subscribe", "pair": ["XBT/CHF"], "subscription": {"name": "book", "depth": 1000}}))
        messages, _ = drain(client)
        with gzip.open(files_of("2021-04-17_KRAKEN")[-1], "rb") as file:
            wanted = [line.rstrip(b"\n").split(b": ", 1)[1] for line in file if b': [' in line and b'"XBT/CHF"]' in line]
        check([m for m in messages if m.startswith(b"[")] == wanted, len(messages), len(wanted))
        stop(venue)


def mexc_answers_as_the_venue_does():
    with Bus() as bus:
        venue, port = start(bus, "--venue=mexc", "--wait-subscriptions=100", captures=files_of("mexc_protobuf"))
        client = websocket.connect(port, "/ws")
        deals, depth = ("spot@public.aggre.%s.v3.api.pb@100ms@BTCUSDT" % kind for kind in ("deals", "depth"))
        check(ask(client, method="SUBSCRIPTION", params=[deals, depth]) == {"id": 0, "code": 0, "msg": deals + "," + depth})
        mixed = ask(client, method="SUBSCRIPTION", params=[deals, "spot@public.deals.v3.api@BTCUSDT"])["msg"]
        check("Subscribed successful! [%s]" % deals in mixed and "Not Subscribed successfully! [spot@public.deals" in mixed and "\uff1a Blocked!" in mixed, mixed)
        check(ask(client, method="PING")["msg"] == "PONG")
        for garbage in ("", "{", "[]", '{"method":"SUBSCRIPTION","params":3}'):
            client.send(garbage)
            check(json.loads(client.receive())["code"] == 0, garbage)
        (symbol,) = get(port, "/api/v3/exchangeInfo?symbol=BTCUSDT")[1]["symbols"]
        check((symbol["baseAsset"], symbol["quotePrecision"], symbol["status"]) == ("BTC", 2, "1"), symbol)
        check(get(port, "/api/v3/depth?symbol=NOPE")[0] == 400 and "timestamp" in get(port, "/api/v3/depth?symbol=BTCUSDT&limit=5")[1])
        stop(venue)


def coinbase_advanced_numbers_every_message():
    with Bus() as bus:
        venue, port = start(bus, "--venue=coinbase", "--speed=max", "--wait-subscriptions=2", captures=files_of(COINBASE))
        client = websocket.connect(port, "/")
        check(ask(client, type="subscribe", channel="nope", product_ids=["NMR-EUR"])["type"] == "error")
        for channel in ("heartbeats", "level2", "market_trades"):
            client.send(json.dumps({"type": "subscribe", "channel": channel, "product_ids": ["NMR-EUR"]}))
        messages = [json.loads(m) for m in drain(client)[0]]
        check([m["sequence_num"] for m in messages] == list(range(len(messages))) and len(messages) > 600, len(messages))
        check({m["channel"] for m in messages} >= {"subscriptions", "l2_data", "market_trades"})
        stop(venue)


def clients_are_held_to_the_limits_of_the_venue():
    cases = (("binanceusdm", facts.futures()[0].files, "/ws", '{"method":"LIST_SUBSCRIPTIONS","id":1}', 10, (1008, "Too many requests")),
             ("coinbase", files_of(COINBASE), "/", '{"type":"subscribe","channel":"heartbeats"}', 8, (1008, "rate limit exceeded")),
             ("coinbaseexchange", files_of(COINBASE), "/", '{"type":"x"}', 100, (1008, "ErrSlowRead")),
             ("mexc", files_of("mexc_protobuf"), "/ws", '{"method":"PING"}', 100, (1008, "too many messages")))
    for name, files, path, message, most, closed in cases:
        with Bus() as bus:
            venue, port = start(bus, "--venue", name, "--wait-subscriptions=100", captures=files)
            client = websocket.connect(port, path)
            for _ in range(most + 1):
                client.send(message)
            messages, end_of_it = drain(client)
            check(len(messages) == most and end_of_it == closed, name, len(messages), end_of_it)
            stop(venue)
    with Bus() as bus:
        venue, port = start(bus, "--venue=okx", "--wait-subscriptions=100", captures=OKX)
        client = websocket.connect(port, "/ws/v5/public")
        for _ in range(481):
            client.send('{"op":"x"}')
        codes = [json.loads(client.receive())["code"] for _ in range(481)]
        check(codes == ["60012"] * 480 + ["60014"], codes[-2:])
        for _ in range(2):
            websocket.connect(port, "/ws/v5/public")
        try:
            websocket.connect(port, "/ws/v5/public")
            check(False, "a fourth connection within a second")
        except ConnectionRefusedError as refused:
            check(refused.args[0] == 429, refused)
        stop(venue)


def bybit_refuses_too_much_and_what_it_has():
    with Bus() as bus:
        venue, port = start(bus, "--venue=bybit", "--wait-subscriptions=100", captures=BYBIT)
        client = websocket.connect(port, "/v5/public/spot")
        check(not ask(client, op="subscribe", args=["publicTrade.BTCUSDT"] * 11)["success"])
        check(ask(client, op="subscribe", args=["publicTrade.BTCUSDT"])["success"])
        again = ask(client, op="subscribe", args=["publicTrade.BTCUSDT"])
        check(again["ret_msg"] == "error:already subscribed,topic:publicTrade.BTCUSDT", again)
        stop(venue)


if __name__ == "__main__":
    if not facts.futures():
        sys.exit(77)
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")
             and value.__code__.co_argcount == 0 and value.__code__.co_flags & 0x04 == 0]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted], at_once=6)
