#!/usr/bin/env python3
"""tickbus-feed where a venue has its markets in parts: Bybit's contracts on their own endpoint, and wrong names, which are
judged by the listings of all kinds."""
import json
import os
import sys
from decimal import Decimal

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import layout_reader
import websocket
from buslook import Bus, check, end, log_of, run_tests
from feed import Stream, start_feed, wait_close
from venue import get, start

DATA = os.path.join(os.environ["TICKBUS_SOURCE"], "..", "shared", "data")
OKX = {"SPOT": ["BTC-USDT", "ETH-USDT"], "SWAP": ["BTC-USDT-SWAP", "SOL-USDT-SWAP"], "FUTURES": ["BTC-USD-260327"]}
BYBIT = {"spot": [("BTCUSDT", {})], "linear": [("BTCUSDT", {"settleCoin": "USDT"})]}


def listing(path):
    kind = path.split("=")[-1]
    if path.startswith("/api/v5/public/instruments"):
        return 200, json.dumps({"code": "0", "msg": "", "data": [
            {"instId": name, "baseCcy": "", "quoteCcy": "", "tickSz": "0.1", "lotSz": "0.01"} for name in OKX[kind]]}).encode()
    if path.startswith("/v5/market/instruments-info"):
        kind = path.split("category=")[1].split("&")[0]
        return 200, json.dumps({"retCode": 0, "result": {"category": kind, "list": [
            {"symbol": name, "baseCoin": "BTC", "quoteCoin": "USDT", **more, "lotSizeFilter": {"qtyStep": "0.001"},
             "priceFilter": {"tickSize": "0.1"}} for name, more in BYBIT[kind]]}}).encode()
    return 404, b"{}"


def meant(venue, symbol):
    """Which names a feed says were probably meant."""
    with Bus() as bus, websocket.Server(lambda stream, _: wait_close(stream), listing) as server:
        feed = start_feed(bus, server.port, "--venue", venue, symbols=symbol)
        end(feed, 78)
        log = log_of(feed)
        check("ev=unknown_symbol" in log and "symbol=" + symbol in log, log)
        return log.split("did_you_mean=")[1].split("\n")[0] if "did_you_mean=" in log else ""


def near_matches_of_a_wrong_name_are_of_all_kinds():
    check("SOL/USDT:USDT" in meant("okx", "SOL/USDT"))
    check("ETH/USDT" in meant("okx", "ETH/USDT:USDT"))
    check("BTC/USD:BTC-260327" in meant("okx", "BTC/USD:BTC-260326"))
    names = meant("okx", "BTC/USDX")
    check("BTC/USDT" in names and "BTC/USDT:USDT" in names, names)
    check("BTC/USDT:USDT" in meant("bybit", "BTC/USDT:USDX"))


def spot_and_contracts_of_bybit_come_from_endpoints_of_their_own():
    for number, kind, other, settle in ((1, "linear", "spot", ":USDT"), (2, "spot", "linear", "")):
        with open(os.path.join(DATA, "facts", "2025-06-13_BYBIT.ws.%d.json" % number), encoding="utf-8") as file:
            found = json.load(file)
        symbols = {raw: raw[:-4] + "/" + raw[-4:] + settle for raw in found["books"]}
        with Bus() as bus:
            venue, port = start(bus, "--venue=bybit", "--speed=max", "--wait-subscriptions=0", "--exit-at-end",
                                captures=[os.path.join(DATA, path) for path in found["files"]])
            names = [i["symbol"] for i in get(port, "/v5/market/instruments-info?category=" + kind)[1]["result"]["list"]]
            check(sorted(names) == sorted(symbols), "listed", names, "expected", symbols)
            others = get(port, "/v5/market/instruments-info?category=" + other)[1]["result"]["list"]
            check(others == [], others)
            feed = start_feed(bus, port, "--venue=bybit", "--finite", symbols=",".join(symbols.values()))
            end(feed, deadline=60)
            end(venue)
            ring = layout_reader.Ring(bus.path("feed.ring"))
            instruments, last = ring.instruments(), {}
            for r in ring.records():
                if r.type == "quote":
                    i = instruments[r.instrument]
                    last[i.symbol] = [[str(layout_reader.value(r.body[k + "_" + what], exp)) for what, exp in
                                       (("price", i.price_exp), ("size", i.size_exp))] for k in ("bid", "ask")]
            ring.close()
            for raw, symbol in symbols.items():
                want = [found["books"][raw][side][0] for side in ("bids", "asks")]
                check([[Decimal(x) for x in pair] for pair in last[symbol]] == [[Decimal(x) for x in pair] for pair in want],
                      symbol, last[symbol], want)
            gaps = Stream(bus).gaps
            check(not gaps, gaps)


def main():
    tests = [near_matches_of_a_wrong_name_are_of_all_kinds]
    if os.path.isdir(DATA):
        tests.append(spot_and_contracts_of_bybit_come_from_endpoints_of_their_own)
    run_tests(tests)


if __name__ == "__main__":
    main()
