#!/usr/bin/env python3
"""Recorded sessions of Binance (spot, US, USD-M futures) and MEXC through their adapters.

Every record is held against a second decoder, written here with json and Decimal: each trade, quote and
changed level must be there, in order, equal as a decimal, and nothing else. Then totals, books and the
best-bid-and-ask check are held against the published facts; candles of the trades against the venue's own
klines. Without the recordings of the data folder only the first part runs, on the session that ships.
"""
import collections
import csv
import gzip
import json
import os
import sys
import tempfile
from decimal import Decimal

import dumplook

SOURCE = os.environ["TICKBUS_SOURCE"]
DATA = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
SESSIONS = [("spot_btcusdt_20240808-09", "binance"), ("2021-10-11_BINANCE", "binance"),
            ("2021-10-11_BINANCE_US", "binanceus"), ("usdm_btcusdt_20240718-19", "binanceusdm"),
            ("2021-07-22_BINANCE_FUTURES", "binanceusdm")]
KLINES = {"2021-07-22_BINANCE_FUTURES": 15}  # of the minute that begins within the recording


def events(path):
    """(time, symbol of a REST answer or None, object) of each line."""
    name = os.path.basename(path)
    with gzip.open(path, "rt") as f:
        for line in f:
            line = line.strip()
            if not line or " <-> " in line[:9000].split("{")[0] or line.startswith("configuration:"):
                continue
            if line.startswith("https://"):
                url, rest = line.split(" -> ", 1)
                when, body = rest.split(": ", 1)
                yield Decimal(when), url.split("symbol=")[1].split("&")[0], json.loads(body)
                continue
            when, body = line.split(" ", 1)
            body = json.loads(body)
            symbol = name.split("_")[1].upper() if "lastUpdateId" in body else None
            when = Decimal(when[:-1]) if when.endswith(":") else Decimal(when).scaleb(-9)
            yield when, symbol, body


def merged(paths):
    everything = [(when, i, symbol, body) for i, path in enumerate(paths)
                  for when, symbol, body in events(path)]
    return sorted(everything, key=lambda e: (e[0], e[1]))


class Book:
    def __init__(self):
        self.side = {"B": {}, "A": {}}
        self.id = None
        self.waiting = []
        self.joined = False
        self.applied = self.stale = 0

    def change(self, update_id, side, price, size, out):
        levels = self.side[side]
        price, size = Decimal(price), Decimal(size)
        if size == 0:
            if levels.pop(price, None) is not None:
                out.append(("level", update_id, side, "C", price, size))
            return
        out.append(("level", update_id, side, "M" if price in levels else "A", price, size))
        levels[price] = size

    def event(self, e, out):
        if self.id is None:
            self.waiting.append(e)
            return
        if e["u"] <= self.id:
            self.stale += 1
            return
        if "pu" in e:  # futures: each event names the one before it
            assert e["pu"] == self.id or (e["pu"] < self.id and not self.joined), (e["pu"], self.id)
        else:
            assert e["U"] <= self.id + 1, (e["U"], self.id)
        self.joined = True
        for side, key in (("B", "b"), ("A", "a")):
            for price, size in e[key]:
                self.change(e["u"], side, price, size, out)
        self.id = e["u"]
        self.applied += 1

    def snapshot(self, s, out):
        self.id = s["lastUpdateId"]
        out.append(("clear", self.id))
        added = []
        for side, key in (("B", "bids"), ("A", "asks")):
            for price, size in reversed(s[key]):
                self.change(self.id, side, price, size, added)
        out.extend(added)
        for e in self.waiting:
            self.event(e, out)


def expected(paths):
    out = collections.defaultdict(list)
    books = collections.defaultdict(Book)
    single = any("@trade" in e[3].get("stream", "") for e in merged(paths))
    for _, _, symbol, body in merged(paths):
        if symbol is not None:
            books[symbol].snapshot(body, out[symbol])
            continue
        d = body.get("data", body)
        kind, symbol = d.get("e"), d.get("s")
        if kind == "depthUpdate":
            books[symbol].event(d, out[symbol])
        elif kind == ("trade" if single else "aggTrade"):
            out[symbol].append(("trade", d["t"] if single else d["a"], Decimal(d["p"]), Decimal(d["q"]),
                                "A" if d["m"] else "B", 1 if single else d["l"] - d["f"] + 1,
                                d["T"] * 1000000))
        elif kind in (None, "bookTicker") and "u" in d:
            out[symbol].append(("quote", d.get("E", 0) * 1000000, Decimal(d["b"]), Decimal(d["B"]), Decimal(d["a"]), Decimal(d["A"])))
    return out, books


class Dump(dumplook.Dump):
    def __init__(self, venue, paths):
        self.latency = []  # of records whose time the venue said
        super().__init__(venue, paths)

    def record(self, w):
        out, flags = self.records[self.raw.get(w[1], "-")], int(w[4])
        if w[2] != "0":
            self.latency.append(int(w[3]) - int(w[2]))
        if w[0] == "trade":
            assert flags == 0x80, w
            out.append(("trade", int(w[5]), Decimal(w[6]), Decimal(w[7]), w[8], int(w[9]), int(w[2])))
        elif w[0] == "quote":
            assert flags == 0xC0, w
            out.append(("quote", int(w[2]), *map(Decimal, w[5:9])))
        elif w[0] == "level":
            out.append(("level", int(w[5]), w[6], w[7], Decimal(w[8]), Decimal(w[9])))
        elif w[0] == "clear":
            out.append(("clear", int(w[5])))
        elif w[0] == "gap":
            out.append(tuple(w))


def check_records(venue, paths):
    dump = Dump(venue, paths)
    want, books = expected(paths)
    for symbol, records in want.items():
        got = dump.records[symbol]
        for i, (g, w) in enumerate(zip(got, records)):
            assert g == w, (symbol, i, g, w)
        assert len(got) == len(records), (symbol, len(got), len(records))
        levels = dump.book[symbol]
        assert levels["B"] == sorted(books[symbol].side["B"].items(), reverse=True), symbol
        assert levels["A"] == sorted(books[symbol].side["A"].items()), symbol
    assert set(dump.records) - {"-"} == set(want), (set(dump.records), set(want))
    assert dump.counter["book_events"] == sum(b.applied for b in books.values())
    assert dump.counter["book_stale"] == sum(b.stale for b in books.values())
    for name in ("frames_bad", "frames_unknown", "gaps", "missing", "resyncs", "refined", "bbo_different"):
        assert dump.counter[name] == 0, (name, dump.counter[name])
    print(f"{os.path.basename(paths[0])}: {sum(map(len, want.values()))} records equal, one by one")
    return dump


def check_trades(dump, facts):
    for symbol, f in {**facts["trades"], **facts["agg_trades"]}.items():
        t = [r for r in dump.records[symbol] if r[0] == "trade"]
        assert len(t) == f["trades"], (symbol, len(t))
        assert sum(r[5] for r in t) == f["raw_trades"]
        assert sum(r[3] for r in t) == Decimal(f["volume"])
        assert sum(r[2] * r[3] for r in t) == Decimal(f["quote_volume"])
        assert (t[0][2], t[-1][2]) == (Decimal(f["first_price"]), Decimal(f["last_price"]))
        assert min(r[2] for r in t) == Decimal(f["min_price"])
        assert max(r[2] for r in t) == Decimal(f["max_price"])
        assert sum(r[4] == "B" for r in t) == f["taker_sides"].get("buy", 0)
        assert t[0][6] == f["first_time_ms"] * 1000000 and t[-1][6] == f["last_time_ms"] * 1000000


def check_books(dump, facts):
    books = facts["books"]
    for symbol, f in books.items():
        b = dump.book[symbol]
        assert [len(b["B"]), len(b["A"])] == f["levels"], symbol
        for side, key in (("B", "bids"), ("A", "asks")):
            assert b[side][:20] == [(Decimal(p), Decimal(q)) for p, q in f[key]], (symbol, key)
    # An event that ends at the snapshot's very id is in it already; the rule of the futures applies it again.
    again = sum(f["first_applied"][1] == f["snapshot_update_id"] for f in books.values())
    assert dump.counter["book_events"] == sum(f["updates_applied"] for f in books.values()) - again
    assert dump.counter["book_stale"] == sum(f["updates_stale"] for f in books.values()) + again
    for counter, key in (("bbo_equal", "best_equal_to_bookTicker_of_same_id"),
                         ("bbo_different", "best_different"), ("gaps", "sequence_gaps")):
        assert dump.counter[counter] == sum(f[key] for f in books.values()), counter
    for name, kind in (("bookTicker", "quote"), ("trade", "trade"), ("aggTrade", "trade")):
        total = sum(n for channel, n in facts["channels"].items() if channel.split("|")[0] == name)
        if total:
            assert sum(r[0] == kind for rs in dump.records.values() for r in rs) == total, name


def check_latency(dump, facts):
    """The recorder's clock may be behind the venue's: the difference is signed."""
    frames = facts["receive_minus_event_ns"]
    if frames["negative"] == frames["frames"]:
        assert max(dump.latency) < 0, max(dump.latency)
    if frames["negative"] == 0:
        assert min(dump.latency) >= 0, min(dump.latency)


def check_klines(name, dump, paths):
    """Every kline whose trades f..L were all recorded equals the candle of those trades."""
    trades, klines, equal = collections.defaultdict(dict), [], 0
    made = {(symbol, t[1]): t for symbol, records in dump.records.items() for t in records if t[0] == "trade"}
    for _, _, _, body in merged(paths):
        d = body.get("data", body)
        if d.get("e") == "aggTrade":
            trades[d["s"]][d["f"]] = (d["l"], made[d["s"], d["a"]])
        elif d.get("e") == "kline":
            klines.append(d["k"])
    for k in klines:
        at, taken = k["f"], []
        while at in trades[k["s"]] and at <= k["L"]:
            last, trade = trades[k["s"]][at]
            taken.append(trade)
            at = last + 1
        if at != k["L"] + 1 or not taken:
            continue
        prices = [t[2] for t in taken]
        candle = (prices[0], max(prices), min(prices), prices[-1], sum(t[3] for t in taken),
                  sum(t[2] * t[3] for t in taken), sum(t[5] for t in taken))
        assert candle == (*(Decimal(k[x]) for x in "ohlcvq"), k["n"]), (k, candle)
        equal += 1
    assert equal == KLINES.get(name, equal), (name, equal)
    print(f"{name}: {equal} klines equal the candles of their trades")


def check_table(name, venue):
    """A recording that is a table of trades, as the frames that it was made of."""
    with open(os.path.join(DATA, "facts", name + ".json")) as f:
        facts = json.load(f)
    with gzip.open(os.path.join(DATA, facts["files"][0]), "rt") as table, \
            tempfile.NamedTemporaryFile("w", suffix=".txt") as frames:
        rows = list(csv.DictReader(table))
        for row in rows:
            data = {"e": row["EventType"], "E": int(row["EventTime"]), "T": int(row["TransactionTime"]), "s": row["Symbol"],
                    "t": int(row["TradeId"]), "p": row["Price"], "q": row["Quantity"], "X": row["XUnknownParameter"],
                    "m": row["IsBuyerMarketMaker"] == "1"}
            frames.write(f"{row['TimestampOfReceive']}000000 {json.dumps({'stream': row['Stream'], 'data': data})}\n")
        frames.flush()
        dump = Dump(venue, [frames.name])
    none = [row for row in rows if Decimal(row["Price"]) == 0]
    assert len(none) == 1 and rows[9327 - 1] is none[0], none
    check_trades(dump, {"agg_trades": {}, **facts})
    assert dump.counter["gaps"] == 0 and dump.counter["frames_unknown"] == 1, dump.counter
    assert int(none[0]["TradeId"]) not in {r[1] for r in dump.records["TRXUSDT"]}
    print(f"{name}: {dump.counter['trades']} trades equal the facts; a row without a price is none")


def check_mexc():
    with open(os.path.join(DATA, "facts", "mexc_protobuf.json")) as f:
        facts = json.load(f)
    dump = Dump("mexc", [os.path.join(DATA, p) for p in facts["files"]])
    quote, deals, depth, _ = facts["frames"]
    q, l = quote["bookTicker"], depth["limit_depth"]
    want = [("quote", quote["sendTime"] * 1000000, *(Decimal(q[k]) for k in ("bid", "bid_qty", "ask", "ask_qty")))]
    got = dump.records["BTCUSDT"]
    assert got[:1] == want, got[0]
    ids = {}
    for record, d in zip((r for r in got if r[0] == "trade"), deals["deals"], strict=True):
        side = {1: "B", 2: "A"}[d["side_1buy_2sell"]]
        assert record[2:] == (Decimal(d["price"]), Decimal(d["qty"]), side, 1, d["time_ms"] * 1000000), record
        ids[record[1]] = d["trade_id"]
    assert len(ids) == 2, ids
    assert ("clear", int(l["version"])) in got
    for side, key in (("B", "bids"), ("A", "asks")):
        assert dump.book["BTCUSDT"][side] == [(Decimal(p), Decimal(s)) for p, s in l[key]], key
    assert dump.counter["frames"] == 4 and dump.counter["frames_bad"] == dump.counter["frames_unknown"] == 0
    print("mexc: the recorded frames equal their facts")


def main():
    if not os.path.isdir(DATA):
        if not os.path.exists(DEMO):
            sys.exit(77)
        check_records("binance", [DEMO])
        return
    best = 0
    for name, venue in SESSIONS:
        with open(os.path.join(DATA, "facts", name + ".json")) as f:
            facts = json.load(f)
        dump = check_records(venue, [os.path.join(DATA, p) for p in facts["files"]])
        check_trades(dump, facts)
        check_books(dump, facts)
        check_latency(dump, facts)
        check_klines(name, dump, [os.path.join(DATA, p) for p in facts["files"]])
        best += dump.counter["bbo_equal"]
        print(f"{name}: trades, books and {dump.counter['bbo_equal']} best prices equal the facts")
    assert best == 1829, best
    print(f"{best} best prices of books equal the bookTicker of the same update")
    check_table("binance_usdm_trxusdt_2025-03-04", "binanceusdm")
    check_mexc()


main()
