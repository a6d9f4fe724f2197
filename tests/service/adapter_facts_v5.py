#!/usr/bin/env python3
"""Recorded sessions of Bybit v5, OKX v5 and OKCoin through their adapters.

Every record is held against a second decoder, written here with json and Decimal: each trade, quote and
changed level must be there, in order, equal as a decimal to what the venue wrote, and nothing else. Then
totals, candles, books and checksums are held against the published facts, and candles of the adapter's
trades against the klines that the venue sent.
"""
import collections
import gzip
import json
import os
import re
import sys
from decimal import Decimal

import dumplook

SOURCE = os.environ["TICKBUS_SOURCE"]
DATA = os.path.join(SOURCE, "..", "shared", "data")
SESSIONS = [("2026-08-09_BYBIT.spot", "bybit"), ("2025-06-13_BYBIT.ws.1", "bybit"), ("2025-06-13_BYBIT.ws.2", "bybit"),
            ("2022-05-13_OKX", "okx"), ("2023-05-27_OKCOIN", "okcoin")]
MINUTE = 60000
NAMES = {"BTC-USDT": "BTC/USDT", "BTC-USD-220527": "BTC/USD:BTC-220527", "UNI-USD-SWAP": "UNI/USD:UNI",
         "BTCUSDT": "BTC/USDT", "ARBUSDC": "ARB/USDC", "USDT-USD": "USDT/USD", "BANDUSDT": "BAND/USDT:USDT"}


def frames(path):
    with gzip.open(path, "rt") as f:
        for line in f:
            if line.startswith('{"t":'):
                entry = json.loads(line)
                if entry["t"] == "recv":
                    yield json.loads(entry["data"])
            elif re.match(r"\d+\.\d+: \{", line):
                yield json.loads(line.partition(": ")[2])


class Book:
    def __init__(self):
        self.side = {"B": {}, "A": {}}
        self.applied = 0

    def change(self, side, price, size, update_id, time, out):
        levels, price, size = self.side[side], Decimal(price), Decimal(size)
        if size == 0:
            if levels.pop(price, None) is not None:
                out.append(("level", update_id, side, "C", price, size, time))
            return
        out.append(("level", update_id, side, "M" if price in levels else "A", price, size, time))
        levels[price] = size

    def message(self, whole, bids, asks, update_id, time, out):
        if whole:
            self.side = {"B": {}, "A": {}}
            out.append(("clear", update_id, time))
        self.applied += not whole
        for side, levels in (("B", bids), ("A", asks)):
            for price, size, *_ in reversed(levels) if whole else levels:
                self.change(side, price, size, update_id, time, out)


class Expected:
    def __init__(self):
        self.out = collections.defaultdict(list)
        self.books = collections.defaultdict(Book)
        self.klines = collections.defaultdict(list)
        self.last_u = {}

    def bybit(self, message):
        topic = message.get("topic", "")
        symbol, data = topic.rpartition(".")[2], message.get("data")
        if topic.startswith("publicTrade."):
            for t in data:
                self.out[symbol].append(("trade", int(t["i"]), Decimal(t["p"]), Decimal(t["v"]),
                                         "B" if t["S"] == "Buy" else "A", 1, t["T"] * 1000000))
        elif topic.startswith("orderbook.1."):
            if self.last_u.get(symbol) != data["u"]:
                self.out[symbol].append(("quote", *map(Decimal, data["b"][0] + data["a"][0]), message["cts"] * 1000000))
                self.books[symbol].side = {"B": dict([map(Decimal, data["b"][0])]), "A": dict([map(Decimal, data["a"][0])])}
            self.last_u[symbol] = data["u"]
        elif topic.startswith("orderbook."):
            self.books[symbol].message(message["type"] == "snapshot", data["b"], data["a"], data["u"],
                                       message["cts"] * 1000000, self.out[symbol])
        elif topic.startswith("kline."):
            self.klines[symbol] += data

    def okx(self, message):
        if "data" not in message:
            return
        channel, symbol = message["arg"]["channel"], message["arg"]["instId"]
        for d in message["data"]:
            if channel == "trades":
                self.out[symbol].append(("trade", int(d["tradeId"]), Decimal(d["px"]), Decimal(d["sz"]),
                                         "B" if d["side"] == "buy" else "A", int(d.get("count", 1)), int(d["ts"]) * 1000000))
            elif channel == "tickers":
                self.out[symbol].append(("quote", *(Decimal(d[k] or 0) for k in ("bidPx", "bidSz", "askPx", "askSz")),
                                         int(d["ts"]) * 1000000))
            elif channel == "books":
                self.books[symbol].message(message["action"] == "snapshot", d["bids"], d["asks"], d.get("seqId", 0),
                                           int(d["ts"]) * 1000000, self.out[symbol])


class Dump(dumplook.Dump):
    def record(self, w):
        out, flags, time = self.records[self.raw.get(w[1], "-")], int(w[4]), int(w[2])
        if w[0] == "trade":
            assert flags == 0x80, w
            out.append(("trade", int(w[5]), Decimal(w[6]), Decimal(w[7]), w[8], int(w[9]), time))
        elif w[0] == "quote":
            assert flags == 0xC0, w
            out.append(("quote", *map(Decimal, w[5:9]), time))
        elif w[0] == "level":
            out.append(("level", int(w[5]), w[6], w[7], Decimal(w[8]), Decimal(w[9]), time))
        elif w[0] == "clear":
            out.append(("clear", int(w[5]), time))
        elif w[0] == "gap":
            out.append(tuple(w))


def check_records(dump, want):
    for symbol, records in want.out.items():
        got = dump.records[symbol]
        for i, (g, w) in enumerate(zip(got, records)):
            assert g == w, (symbol, i, g, w)
        assert len(got) == len(records), (symbol, len(got), len(records))
    assert set(dump.records) - {"-"} == set(want.out), (set(dump.records), set(want.out))
    for name in ("frames_bad", "frames_unknown", "gaps", "missing", "resyncs", "refined", "trades_duplicate",
                 "checksums_different", "book_stale"):
        assert dump.counter[name] == 0, (name, dump.counter[name])
    return sum(map(len, want.out.values()))


def candles(trades):
    found = {}
    for _, _, price, size, _, count, time in trades:
        start = time // 1000000 // MINUTE * MINUTE
        c = found.setdefault(start, {"o": price, "h": price, "l": price, "v": 0, "q": 0, "n": 0})
        c["h"], c["l"], c["c"] = max(c["h"], price), min(c["l"], price), price
        c["v"] += size
        c["q"] += price * size
        c["n"] += 1
    return found


def check_trades(dump, facts):
    for symbol, f in facts["trades"].items():
        t = [r for r in dump.records[symbol] if r[0] == "trade"]
        assert len(t) == f["trades"], (symbol, len(t))
        assert (t[0][1], t[-1][1]) == (int(f["first_id"]), int(f["last_id"]))
        assert sum(r[3] for r in t) == Decimal(f["volume"])
        assert sum(r[2] * r[3] for r in t) == Decimal(f["quote_volume"])
        assert (t[0][2], t[-1][2]) == (Decimal(f["first_price"]), Decimal(f["last_price"]))
        assert min(r[2] for r in t) == Decimal(f["min_price"]) and max(r[2] for r in t) == Decimal(f["max_price"])
        for side, letter in (("buy", "B"), ("sell", "A")):
            assert sum(r[4] == letter for r in t) == f["taker_sides"].get(side, 0)
        assert t[0][6] == f["first_time_ms"] * 1000000 and t[-1][6] == f["last_time_ms"] * 1000000
        ours = candles(t)
        assert len(ours) == len(f["candles_1m"])
        for c in f["candles_1m"]:
            for key in ("o", "h", "l", "c", "v", "q", "n"):
                assert ours[c["t"]][key] == Decimal(c[key]), (symbol, c["t"], key)


def check_klines(dump, want, facts):
    """Each kline of the minute that the recording has whole is the candle of the trades up to some trade."""
    checked = 0
    for symbol, klines in want.klines.items():
        trades = [r for r in dump.records[symbol] if r[0] == "trade"]
        whole = min(r[6] for r in trades) // 1000000 // MINUTE * MINUTE
        equal = [k for k in klines if k["start"] == whole and prefix(k, trades)]
        sent = [k for k in klines if k["start"] == whole]
        assert len(equal) == len(sent) == facts["klines_vs_trades"][symbol]["prefix_equal"], (symbol, len(equal), len(sent))
        checked += len(equal)
    return checked


def prefix(kline, trades):
    """Bybit opens a candle at the previous close, which counts in high and low."""
    prices, volume, turnover = [Decimal(kline["open"])], Decimal(0), Decimal(0)
    sent = tuple(Decimal(kline[k]) for k in ("volume", "turnover", "high", "low", "close"))
    for _, _, price, size, _, _, _ in [*trades, (None,) * 7]:
        if (volume, turnover, max(prices), min(prices), prices[-1]) == sent:
            return True
        if price is not None:
            prices.append(price)
            volume += size
            turnover += price * size
    return False


def check_books(dump, want, facts):
    top_only = not any(channel.startswith(("books", "orderbook.200")) for channel in facts["channels"])
    for symbol, f in facts["books"].items():
        b = want.books[symbol].side if top_only else dump.book[symbol]
        b = {"B": sorted(dict(b["B"]).items(), reverse=True), "A": sorted(dict(b["A"]).items())}
        assert [len(b["B"]), len(b["A"])] == f["levels"], (symbol, len(b["B"]), len(b["A"]))
        for side, key, total in (("B", "bids", "sum_bid_qty"), ("A", "asks", "sum_ask_qty")):
            assert b[side][:20] == [(Decimal(p), Decimal(q)) for p, q in f[key]], (symbol, key)
            assert sum(q for _, q in b[side]) == Decimal(f[total]), (symbol, key)
        if top_only:
            quote = [r for r in dump.records[symbol] if r[0] == "quote"][-1]
            assert quote[1:5] == (*b["B"][0], *b["A"][0]), (symbol, quote)
    applied = sum(f.get("updates_applied", f.get("deltas_applied", 0)) for f in facts["books"].values())
    assert dump.counter["book_events"] == applied, (dump.counter["book_events"], applied)
    sums = sum(f.get("checksums_equal", 0) for f in facts["books"].values())
    assert dump.counter["checksums_equal"] == sums, (dump.counter["checksums_equal"], sums)
    return sums


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    checksums = klines = 0
    for name, venue in SESSIONS:
        with open(os.path.join(DATA, "facts", name + ".json")) as f:
            facts = json.load(f)
        paths = [os.path.join(DATA, p) for p in facts["files"]]
        want = Expected()
        for path in paths:
            for message in frames(path):
                (want.bybit if venue == "bybit" else want.okx)(message)
        dump = Dump(venue, paths)
        count = check_records(dump, want)
        assert dump.counter["frames"] == facts["frames"]
        acks = sum(n for channel, n in facts["channels"].items() if channel in ("ack", "event=subscribe"))
        assert dump.counter["acks"] == acks, (dump.counter["acks"], acks)
        for symbol, raw in dump.raw.items():
            assert NAMES.get(raw, symbol) == symbol, (raw, symbol)
        check_trades(dump, facts)
        klines += check_klines(dump, want, facts)
        checksums += check_books(dump, want, facts)
        print(f"{name}: {count} records equal, one by one; {dump.counter['acks']} acknowledged")
    assert (checksums, klines) == (296, 20), (checksums, klines)
    print(f"{checksums} checksums and {klines} klines equal")


main()
