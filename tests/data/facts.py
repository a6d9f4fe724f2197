"""What the recorded Binance sessions contain, by decimal arithmetic that shares no code with tickbus.

`captures()` lists the recordings that are at hand: those of ../shared/data with their published facts, and
the one that ships with the demo, whose facts are computed here. Run as a program it prints the facts of
the files it is given.
"""
import gzip
import json
import os
import re
import sys
from decimal import Decimal

SOURCE = os.environ.get("TICKBUS_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
QUOTES = ("USDT", "BUSD", "USDC", "EUR", "ETH", "BTC", "BNB", "USD")


def unified(raw, venue="binance"):
    """BTCUSDT -> BTC/USDT, BTC/USDT:USDT on USD-M futures, for the symbols of the recordings."""
    for quote in QUOTES:
        if raw.endswith(quote) and len(raw) > len(quote):
            return raw[: -len(quote)] + "/" + quote + (":" + quote if venue == "binanceusdm" else "")
    raise ValueError(raw)


def plain(number):
    """A decimal as the facts write it: no exponent, no trailing zeros."""
    text = format(Decimal(number), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


class Capture:
    def __init__(self, name, venue, files, facts):
        self.name, self.venue, self.files, self.facts = name, venue, files, facts

    def trades(self):
        """{symbol: facts of its trades}: single trades where there are any, else aggregated ones."""
        found = self.facts["trades"] or self.facts["agg_trades"]
        return {unified(raw, self.venue): value for raw, value in found.items()}

    def books(self):
        return {unified(raw, self.venue): value for raw, value in self.facts["books"].items()}

    def bbo_equal(self):
        return sum(b["best_equal_to_bookTicker_of_same_id"] for b in self.facts["books"].values())


def at_hand(sessions):
    found = []
    for name, venue, files in sessions:
        paths = [os.path.join(SHARED, f) for f in files]
        facts = os.path.join(SHARED, "facts", name + ".json")
        if all(os.path.exists(p) for p in paths + [facts]):
            with open(facts) as f:
                found.append(Capture(name, venue, paths, json.load(f)))
    return found


def futures():
    """Binance USD-M recordings at hand, smallest first."""
    return at_hand((
        ("2021-07-22_BINANCE_FUTURES", "binanceusdm", ["cryptofeed/2021-07-22_BINANCE_FUTURES.ws.1.gz", "cryptofeed/2021-07-22_BINANCE_FUTURES.http.0.gz"]),
        ("usdm_btcusdt_20240718-19", "binanceusdm", ["hftbacktest/usdm_btcusdt_20240718.gz", "hftbacktest/usdm_btcusdt_20240719.gz"]),
    ))


def captures():
    """Every Binance spot recording at hand, smallest first."""
    found = at_hand((
        ("2021-10-11_BINANCE", "binance", ["cryptofeed/2021-10-11_BINANCE.ws.1.gz", "cryptofeed/2021-10-11_BINANCE.http.0.gz"]),
        ("2021-10-11_BINANCE_US", "binanceus", ["cryptofeed/2021-10-11_BINANCE_US.ws.1.gz", "cryptofeed/2021-10-11_BINANCE_US.http.0.gz"]),
        ("spot_btcusdt_20240808-09", "binance", ["hftbacktest/spot_btcusdt_20240808.gz", "hftbacktest/spot_btcusdt_20240809.gz"]),
    ))
    found.insert(2, demo())
    return found


def demo():
    return Capture("demo", "binance", [DEMO], compute([DEMO]))


def events(paths):
    """(symbol or None, message) of the recordings in formats 1 and 2, in time order."""
    lines = []
    for index, path in enumerate(paths):
        symbol = re.search(r"_([a-z0-9]+)_\d{8}", os.path.basename(path))
        symbol = symbol.group(1).upper() if symbol else None
        with gzip.open(path, "rt") as f:
            for number, line in enumerate(f):
                match = re.match(r"(\d{15,}) (\{.*)", line)
                if match:
                    lines.append((Decimal(match.group(1)), index, number, symbol, match.group(2)))
                    continue
                match = re.match(r"(\d+\.\d+): (\{.*)", line)
                if match:
                    lines.append((Decimal(match.group(1)) * 10**9, index, number, None, match.group(2)))
                    continue
                match = re.match(r"\S*symbol=([A-Z0-9]+)\S* -> (\d+\.\d+): (\{.*)", line)
                if match:
                    lines.append((Decimal(match.group(2)) * 10**9, index, number, match.group(1), match.group(3)))
    lines.sort(key=lambda l: l[:3])
    for when, _, _, symbol, text in lines:
        yield symbol, json.loads(text)


def compute(paths):
    trades, aggregated, books, quotes = {}, {}, {}, {}
    for symbol, message in events(paths):
        data = message.get("data", message)
        kind = data.get("e")
        if kind in ("trade", "aggTrade"):
            add_trade(trades if kind == "trade" else aggregated, data)
        elif kind == "depthUpdate":
            book = books.setdefault(data["s"], new_book())
            book["pending"].append(data)
            join(book, quotes.get(data["s"], {}))
        elif "lastUpdateId" in data:
            book = books.setdefault(symbol, new_book())
            if book["id"] is None:
                book["snapshot"] = data
                join(book, quotes.get(symbol, {}))
        elif "u" in data and "B" in data:
            quotes.setdefault(data["s"], {})[data["u"]] = (data["b"], data["B"], data["a"], data["A"])
    return {
        "trades": {s: finish_trades(t) for s, t in trades.items()},
        "agg_trades": {s: finish_trades(t) for s, t in aggregated.items()},
        "books": {s: finish_book(b) for s, b in books.items() if b["id"] is not None},
    }


def new_book():
    return {"bids": {}, "asks": {}, "id": None, "snapshot": None, "pending": [], "applied": 0, "stale": 0, "equal": 0, "different": 0}


def join(book, quotes):
    """Binance's rule: drop u <= id, the next must reach id + 1, then U == id + 1."""
    if book["id"] is None:
        if book["snapshot"] is None:
            return
        snapshot = book["snapshot"]
        book["id"] = snapshot["lastUpdateId"]
        book["bids"] = {Decimal(p): Decimal(q) for p, q in snapshot["bids"]}
        book["asks"] = {Decimal(p): Decimal(q) for p, q in snapshot["asks"]}
    for update in book["pending"]:
        if update["u"] <= book["id"]:
            book["stale"] += 1
            continue
        assert update["U"] <= book["id"] + 1, "the recording has a gap"
        for side, changes in (("bids", update["b"]), ("asks", update["a"])):
            for price, size in changes:
                if Decimal(size) == 0:
                    book[side].pop(Decimal(price), None)
                else:
                    book[side][Decimal(price)] = Decimal(size)
        book["id"] = update["u"]
        book["applied"] += 1
        if update["u"] in quotes and book["bids"] and book["asks"]:
            bid, ask = max(book["bids"]), min(book["asks"])
            ours = (bid, book["bids"][bid], ask, book["asks"][ask])
            same = ours == tuple(map(Decimal, quotes[update["u"]]))
            book["equal" if same else "different"] += 1
    book["pending"].clear()


def add_trade(trades, data):
    t = trades.setdefault(data["s"], [])
    first, last = (data["f"], data["l"]) if data["e"] == "aggTrade" else (data["t"], data["t"])
    t.append((data["T"], first, Decimal(data["p"]), Decimal(data["q"]), data["m"], last - first + 1, last))


def finish_trades(trades):
    candles = {}
    for time, _, price, size, _, count, _ in trades:
        start = time // 60000 * 60000
        c = candles.setdefault(start, {"t": start, "o": price, "h": price, "l": price, "c": price, "v": Decimal(0), "q": Decimal(0), "n": 0, "n_raw": 0})
        c["h"], c["l"], c["c"] = max(c["h"], price), min(c["l"], price), price
        c["v"] += size
        c["q"] += price * size
        c["n"] += 1
        c["n_raw"] += count
    prices = [t[2] for t in trades]
    return {
        "trades": len(trades),
        "first_id": trades[0][1],  # of single trades, also where the venue sent aggregated ones
        "last_id": trades[-1][6],
        "first_time_ms": trades[0][0],
        "last_time_ms": trades[-1][0],
        "first_price": plain(prices[0]),
        "last_price": plain(prices[-1]),
        "min_price": plain(min(prices)),
        "max_price": plain(max(prices)),
        "volume": plain(sum(t[3] for t in trades)),
        "quote_volume": plain(sum(t[2] * t[3] for t in trades)),
        "taker_sides": {side: n for side, n in (("buy", sum(not t[4] for t in trades)), ("sell", sum(t[4] for t in trades))) if n},
        "candles_1m": [{k: plain(v) if isinstance(v, Decimal) else v for k, v in c.items()} for _, c in sorted(candles.items())],
    }


def finish_book(book):
    top = lambda side, reverse: [[plain(p), plain(q)] for p, q in sorted(book[side].items(), reverse=reverse)[:20]]
    return {
        "levels": [len(book["bids"]), len(book["asks"])],
        "bids": top("bids", True),
        "asks": top("asks", False),
        "last_update_id": book["id"],
        "updates_applied": book["applied"],
        "updates_stale": book["stale"],
        "sequence_gaps": 0,
        "best_equal_to_bookTicker_of_same_id": book["equal"],
        "best_different": book["different"],
    }


def differences(published, computed, path=""):
    """Where two facts differ, in what both have."""
    if isinstance(computed, dict):
        for key in computed:
            if key in published:
                yield from differences(published[key], computed[key], path + "." + str(key))
    elif isinstance(computed, list):
        if len(published) != len(computed):
            yield f"{path}: {len(published)} and {len(computed)} entries"
        for index, (p, c) in enumerate(zip(published, computed)):
            yield from differences(p, c, f"{path}[{index}]")
    elif published != computed:
        yield f"{path}: {published} and {computed}"


if __name__ == "__main__":
    if sys.argv[1:]:
        json.dump(compute(sys.argv[1:]), sys.stdout, indent=1)
        print()
    else:
        bad = 0
        for capture in captures():
            found = list(differences(capture.facts, compute(capture.files)))
            bad += len(found)
            print(capture.name, capture.trades().keys() and {s: t["trades"] for s, t in capture.trades().items()}, "differences:", len(found), found[:3])
        sys.exit(bad != 0)
