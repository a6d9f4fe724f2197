#!/usr/bin/env python3
"""Recorded sessions of venues other than Binance spot through `venue` and `feed`: the stream equals the facts."""
import json
import os
import sys
from decimal import Decimal

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import websocket
from buslook import Bus, check, end, run_tests, stop
from feed import Stream, counters, play, same_book, same_trades, start_feed
from venue import ask, get, start


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
        status, listing = get(port, "/api/v5/public/instruments?instType=SWAP")
        check([i["instId"] for i in listing["data"]] == ["UNI-USD-SWAP"], listing)
        stop(venue)


if __name__ == "__main__":
    if not facts.futures():
        sys.exit(77)
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")
             and value.__code__.co_argcount == 0 and value.__code__.co_flags & 0x04 == 0]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted])
