#!/usr/bin/env python3
"""Recorded numbers through the library's decimals and candles, against Python's decimals and floats.

Every number of every recording at hand must come back equal; 1-minute candles of recorded trades must
equal the published facts, and Kraken's own candles.
"""
import glob
import gzip
import json
import os
import re
import subprocess
import sys
from decimal import Decimal

SOURCE = os.environ["TICKBUS_SOURCE"]
ECHO = os.path.join(os.environ["TICKBUS_BUILD"], "tests", "numbers_echo")
DATA = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
NUMBER = re.compile(rb'(?<![\w.+-])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])')


def lines(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        yield from f


def echo(arguments, text):
    done = subprocess.run([ECHO, *arguments], input=text.encode(), capture_output=True, timeout=100)
    if done.returncode != 0:
        sys.exit(f"numbers_echo {arguments}: exit {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


def fits(text):
    value = Decimal(text)
    sign, digits, exp = value.normalize().as_tuple()
    return exp >= -18 and len(digits) + max(exp, 0) <= 18 and len(digits) - min(exp, 0) <= 36


def check_decimals(paths):
    texts = set()
    for path in paths:
        for line in lines(path):
            texts.update(NUMBER.findall(line))
    texts = sorted(t.decode() for t in texts)
    texts = [t for t in texts if fits(t)]
    answers = echo(["decimals"], "\n".join(texts) + "\n")
    assert len(answers) == len(texts), (len(answers), len(texts))
    for text, answer in zip(texts, answers):
        exp, mantissa, printed, double = answer.split()
        assert Decimal(mantissa).scaleb(int(exp)) == Decimal(text), (text, answer)
        assert Decimal(printed) == Decimal(text), (text, answer)
        assert float.fromhex(double) == float(text), (text, answer)
    return len(texts)


def exponent(values):
    return min(min(Decimal(v).normalize().as_tuple().exponent for v in values), 0)


class Candle:
    def __init__(self, line):
        self.start, *rest, trades, buys = line.split()
        self.start, self.trades, self.buys = int(self.start), int(trades), Decimal(buys)
        self.open, self.high, self.low, self.close, self.volume, self.turnover = map(Decimal, rest)

    def prices(self):
        return [self.open, self.high, self.low, self.close]


def candles(trades):
    """trades: (ns, price text, size text, side)."""
    exps = [str(exponent([t[1] for t in trades])), str(exponent([t[2] for t in trades]))]
    found = [Candle(a) for a in echo(["candles", *exps], "".join("%d %s %s %s\n" % t for t in trades))]
    buys = {}
    for ns, _, size, side in trades:
        if side == "B":
            minute = ns - ns % 60_000_000_000
            buys[minute] = buys.get(minute, 0) + Decimal(size)
    for c in found:
        assert c.buys == buys.get(c.start, 0), c.start
    return found


def check_candles(name, found, facts):
    assert len(found) == len(facts), (name, len(found), len(facts))
    for c, f in zip(found, facts):
        wanted = [Decimal(f[k]) for k in "ohlcvq"]
        assert c.prices() + [c.volume, c.turnover] == wanted, (name, f, vars(c))
        assert c.start == f["t"] * 1_000_000 and c.trades == f["n"], (name, f, vars(c))
    print(f"{name}: {len(found)} candles equal")


def facts(name, symbol):
    with open(os.path.join(DATA, "facts", name + ".json")) as f:
        return json.load(f)["trades"][symbol]["candles_1m"]


def binance_trades(paths):
    found = []
    for path in paths:
        for line in lines(path):
            if b'"e":"trade"' in line:
                d = json.loads(line.split(b" ", 1)[1])["data"]
                if Decimal(d["q"]) != 0 and d.get("X") != "INSURANCE_FUND":
                    found.append((d["T"] * 1_000_000, d["p"], d["q"], "A" if d["m"] else "B"))
    return found


def naive_candles(trades):
    """What the facts would say, for a recording that has none."""
    found = {}
    for ns, price, size, _ in trades:
        t = ns // 60_000_000_000 * 60_000
        p, s = Decimal(price), Decimal(size)
        c = found.setdefault(t, {"t": t, "o": p, "h": p, "l": p, "c": p, "v": 0, "q": 0, "n": 0})
        c["h"], c["l"], c["c"] = max(c["h"], p), min(c["l"], p), p
        c["v"], c["q"], c["n"] = c["v"] + s, c["q"] + p * s, c["n"] + 1
    return list(found.values())


def kraken():
    with gzip.open(os.path.join(DATA, "rest", "kraken_XBTUSDT_trades.json.gz")) as f:
        rows = json.load(f, parse_float=Decimal)["result"]["XBTUSDT"]
    trades = [(int(r[2] * 1_000_000_000), r[0], r[1], "B" if r[3] == "b" else "A") for r in rows]
    found = candles(trades)
    check_candles("kraken", found, facts("kraken_XBTUSDT_rest", "XBTUSDT"))
    with gzip.open(os.path.join(DATA, "rest", "kraken_XBTUSDT_ohlc_1m.json.gz")) as f:
        venue = {row[0]: row for row in json.load(f, parse_float=Decimal)["result"]["XBTUSDT"]}
    equal = 0
    for c in found:
        row = venue[c.start // 1_000_000_000]
        equal += (c.prices() == [Decimal(v) for v in row[1:5]] and c.volume == Decimal(row[6])
                  and c.trades == row[7])
    assert (equal, len(found)) == (273, 274), (equal, len(found))  # the first is cut by the file
    print("kraken: 273 of 274 equal the venue's own candles")


def csv_trades(path, ns, price, size, side):
    found = []
    rows = lines(path)
    names = next(rows).decode().strip().split(",")
    for line in rows:
        row = dict(zip(names, line.decode().strip().split(",")))
        if Decimal(row[size]) != 0:
            found.append((ns(row), row[price], row[size], "A" if row[side] == "1" else "B"))
    return found


def main():
    trades = binance_trades([DEMO])
    check_candles("demo", candles(trades), naive_candles(trades))
    if not os.path.isdir(DATA):
        print("decimals:", check_decimals([DEMO]), "different numbers equal")
        return
    for name, symbol in (("spot_btcusdt_20240808-09", "BTCUSDT"), ("usdm_btcusdt_20240718-19", "BTCUSDT")):
        stem = os.path.join(DATA, "hftbacktest", name.split("-")[0][:-2])
        trades = binance_trades(sorted(glob.glob(stem + "*.gz")))
        check_candles(name, candles(trades), facts(name, symbol))
    kraken()
    name = "gemini_eth-usd_2021-07-02"
    trades = csv_trades(os.path.join(DATA, "csv", name + "_trade.csv.gz"),
                        lambda r: int(Decimal(r["time_seconds"]) * 1_000_000_000), "price", "size",
                        "is_buyer_maker")
    check_candles(name, candles(trades), facts(name, "ETH-USD"))
    name = "binance_usdm_trxusdt_2025-03-04"
    trades = csv_trades(os.path.join(DATA, "csv", name + "_trade.csv.gz"),
                        lambda r: int(r["TransactionTime"]) * 1_000_000, "Price", "Quantity",
                        "IsBuyerMarketMaker")
    check_candles(name, candles(trades), facts(name, "TRXUSDT"))
    paths = [p for kind in ("hftbacktest/*.gz", "cryptofeed/*.gz", "rest/*.gz", "csv/*.gz", "samples/*.jsonl")
             for p in sorted(glob.glob(os.path.join(DATA, kind)))]
    print("decimals:", check_decimals(paths), "different numbers equal")


main()
