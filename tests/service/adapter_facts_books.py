#!/usr/bin/env python3
"""Recorded sessions of venues whose books begin on the socket (Kraken, Coinbase) through their adapters.

Every record is held against a second decoder, written here with json and Decimal: each trade, quote and
changed level must be there, in order, equal as a decimal to what the venue wrote, and nothing else. Then
totals, candles and books are held against the published facts.
"""
import collections
import datetime
import gzip
import json
import os
import sys
from decimal import Decimal

import dumplook

SOURCE = os.environ["TICKBUS_SOURCE"]
DATA = os.path.join(SOURCE, "..", "shared", "data")


def frames(paths):
    """Every frame of a session in time order, numbers as text."""
    lines = []
    for index, path in enumerate(paths):
        with (gzip.open if path.endswith(".gz") else open)(path, "rt") as f:
            for number, line in enumerate(f):
                when, mark, text = line.partition(": ")
                if mark and when.replace(".", "").isdigit():
                    lines.append((Decimal(when), index, number, text))
                elif line.startswith(("{", "[")):
                    lines.append((Decimal(0), index, number, line))
    for _, _, _, text in sorted(lines):
        yield json.loads(text, parse_float=str)


def nanoseconds(text):
    """Of RFC 3339 or of decimal seconds."""
    if text[4:5] != "-":
        return int(Decimal(text) * 10**9)
    whole, _, fraction = text.rstrip("Z").partition(".")
    when = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(when.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


class Book:
    def __init__(self, depth=None):
        self.side = {"B": {}, "A": {}}
        self.depth, self.applied = depth, 0

    def set(self, side, price, size, out):
        levels, price, size = self.side[side], Decimal(price), Decimal(size)
        if size == 0:
            if levels.pop(price, None) is not None:
                out.append(("level", side, "C", price, size))
            return
        out.append(("level", side, "M" if price in levels else "A", price, size))
        levels[price] = size

    def snapshot(self, bids, asks, out):
        out.append(("clear",))
        for side, levels in (("B", bids), ("A", asks)):
            for price, size in reversed(levels):
                self.set(side, price, size, out)

    def cut(self, out):
        for side, sign in (("B", 1), ("A", -1)):
            for price in sorted(self.side[side], key=lambda p: p * sign)[: max(0, len(self.side[side]) - self.depth)]:
                out.append(("level", side, "C", price, Decimal(0)))
                del self.side[side][price]


def coinbase(message, out, books):
    kind, symbol = message["type"], message.get("product_id")
    if kind in ("match", "last_match"):
        out[symbol].append(("trade", message["trade_id"], Decimal(message["price"]), Decimal(message["size"]),
                            "B" if message["side"] == "sell" else "A", nanoseconds(message["time"])))
    elif kind == "snapshot":
        books[symbol] = Book()
        books[symbol].snapshot(message["bids"], message["asks"], out[symbol])
    elif kind == "l2update":
        # The adapter takes bids before asks: the order within one side is the venue's.
        for word, side in (("buy", "B"), ("sell", "A")):
            for which, price, size in message["changes"]:
                if which == word:
                    books[symbol].set(side, price, size, out[symbol])
        books[symbol].applied += 1


def kraken(message, out, books):
    if isinstance(message, dict) and message.get("channel") == "book":
        for d in message["data"]:
            levels = [[(x["price"], x["qty"]) for x in d[k]] for k in ("bids", "asks")]
            change_book(d["symbol"], 10, message["type"] == "snapshot", *levels, out, books)
    if not isinstance(message, list):
        return
    body, (channel, symbol) = message[1:-2], message[-2:]
    if channel == "trade":
        for price, size, time, side, _, _ in body[0]:
            out[symbol].append(("trade", 0, Decimal(price), Decimal(size), {"b": "B", "s": "A"}[side], nanoseconds(time)))
    elif channel == "ticker":
        out[symbol].append(("quote", *(Decimal(body[0][s][i]) for s in "ba" for i in (0, 2))))
    elif channel.startswith("book-"):
        merged = {k: v for part in body for k, v in part.items()}
        bids, asks = ([level[:2] for level in merged.get(k, merged.get(k + "s", []))] for k in "ba")
        change_book(symbol, int(channel[5:]), "as" in merged, bids, asks, out, books)


def change_book(symbol, depth, snapshot, bids, asks, out, books):
    if snapshot:
        books[symbol] = Book(depth)
        books[symbol].snapshot(bids, asks, out[symbol])
        return
    for side, levels in (("B", bids), ("A", asks)):
        for price, size in levels:
            books[symbol].set(side, price, size, out[symbol])
    books[symbol].cut(out[symbol])
    books[symbol].applied += 1


class Dump(dumplook.Dump):
    def record(self, w):
        if w[0] == "trade":
            self.records[self.raw[w[1]]].append(("trade", int(w[5]), Decimal(w[6]), Decimal(w[7]), w[8], int(w[2])))
        elif w[0] == "quote":
            self.records[self.raw[w[1]]].append(("quote", *map(Decimal, w[5:9])))
        elif w[0] == "level":
            self.records[self.raw[w[1]]].append(("level", w[6], w[7], Decimal(w[8]), Decimal(w[9])))
        elif w[0] in ("clear", "gap"):
            self.records[self.raw[w[1]]].append((w[0],))


def check_records(venue, decode, paths):
    dump = Dump(venue, paths)
    want, books, count = collections.defaultdict(list), {}, 0
    for message in frames(paths):
        decode(message, want, books)
        count += 1
    for symbol, records in want.items():
        got = dump.records[symbol]
        for i, (g, w) in enumerate(zip(got, records)):
            assert g == w, (symbol, i, g, w)
        assert len(got) == len(records), (symbol, len(got), len(records))
    for symbol, book in books.items():
        assert dump.book[symbol]["B"] == sorted(book.side["B"].items(), reverse=True), symbol
        assert dump.book[symbol]["A"] == sorted(book.side["A"].items()), symbol
    assert set(dump.records) == set(want), (set(dump.records), set(want))
    assert dump.counter["frames"] == count
    assert dump.counter["book_events"] == sum(b.applied for b in books.values())
    assert dump.counter["snapshots"] == len(books)
    for name in ("frames_bad", "frames_unknown", "gaps", "missing", "resyncs", "refined", "refused", "checksums_different"):
        assert dump.counter[name] == 0, (name, dump.counter[name])
    print(f"{os.path.basename(paths[0])}: {sum(map(len, want.values()))} records equal, one by one")
    return dump


def candles(trades):
    """Of one minute: open, high, low, close, volume, turnover, number."""
    made = {}
    for _, _, price, size, _, time in trades:
        c = made.setdefault(time // 60000000000 * 60000, [price, price, price, price, Decimal(0), Decimal(0), 0])
        c[1], c[2], c[3] = max(c[1], price), min(c[2], price), price
        c[4] += size
        c[5] += price * size
        c[6] += 1
    return made


def check_trades(dump, facts):
    for symbol, f in facts["trades"].items():
        t = [r for r in dump.records[symbol] if r[0] == "trade"]
        assert len(t) == f["trades"], (symbol, len(t))
        assert sum(r[3] for r in t) == Decimal(f["volume"])
        assert sum(r[2] * r[3] for r in t) == Decimal(f["quote_volume"])
        assert (t[0][2], t[-1][2]) == (Decimal(f["first_price"]), Decimal(f["last_price"]))
        assert (min(r[2] for r in t), max(r[2] for r in t)) == (Decimal(f["min_price"]), Decimal(f["max_price"]))
        assert {"buy": sum(r[4] == "B" for r in t), "sell": sum(r[4] == "A" for r in t)} == {"buy": 0, "sell": 0, **f["taker_sides"]}
        assert (t[0][5] // 1000000, t[-1][5] // 1000000) == (f["first_time_ms"], f["last_time_ms"])
        if f["first_id"] is not None:
            assert [r[1] for r in t] == list(range(f["first_id"], f["last_id"] + 1)), symbol
        want = {c["t"]: [Decimal(c[k]) for k in "ohlcvqn"] for c in f["candles_1m"]}
        assert candles(t) == want, symbol
    assert dump.counter["trades"] == sum(f["trades"] for f in facts["trades"].values())


def check_books(dump, facts):
    for symbol, f in facts["books"].items():
        b = dump.book[symbol]
        assert [len(b["B"]), len(b["A"])] == f["levels"], symbol
        assert (b["B"][0][0] >= b["A"][0][0]) == f["crossed"], symbol
        for side, bound in (("B", "bids"), ("A", "asks")):
            assert b[side][:20] == [(Decimal(p), Decimal(q)) for p, q in f[bound]], (symbol, bound)
        assert (sum(q for _, q in b["B"]), sum(q for _, q in b["A"])) == (Decimal(f["sum_bid_qty"]), Decimal(f["sum_ask_qty"]))
    assert dump.counter["book_events"] == sum(f["updates_applied"] for f in facts["books"].values())


def load(name):
    with open(os.path.join(DATA, "facts", name + ".json")) as f:
        facts = json.load(f)
    return facts, [os.path.join(DATA, p) for p in facts["files"]]


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    for name, venue, decode in (("2021-04-17_COINBASE", "coinbaseexchange", coinbase), ("2021-04-17_KRAKEN", "kraken", kraken)):
        facts, paths = load(name)
        dump = check_records(venue, decode, paths)
        assert dump.counter["frames"] == facts["frames"]
        check_trades(dump, facts)
        check_books(dump, facts)
        print(f"{name}: trades, candles and books equal the facts; {dump.counter['checksums_equal']} checksums")
    assert dump.counter["checksums_equal"] == sum(f["updates_applied"] for f in facts["books"].values()) == 4269
    for symbol, best in facts["last_ticker"].items():
        last = [r for r in dump.records[symbol] if r[0] == "quote"][-1]
        assert (last[1], last[3]) == (Decimal(best["bid"]), Decimal(best["ask"])), symbol
    facts, paths = load("kraken_v2_book")
    dump = check_records("kraken", kraken, paths)
    assert dump.counter["checksums_equal"] == len(facts["checksums"])
    print(f"kraken_v2_book: {dump.counter['checksums_equal']} checksums")


main()
