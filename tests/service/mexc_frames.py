"""A session of MEXC made of one of Binance USD-M: the same trades, quotes, changes and snapshot in MEXC's protobuf.

Recorded frames of MEXC are too few to play: this gives its protocol a session whose facts are known. Written
from exchanges.md 1.4, sharing no code with the adapter.
"""
import gzip
import json
import re
from decimal import Decimal


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """A text, bytes or a number; nothing for a default."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def levels(number, changes):
    return b"".join(field(number, field(1, p) + field(2, "0" if Decimal(q) == 0 else q)) for p, q in changes)


def push(kind, symbol, sent, body_number, body):
    return field(1, "spot@public.aggre.%s.v3.api.pb@100ms@%s" % (kind, symbol)) + field(3, symbol) + field(6, sent) + field(body_number, body)


def frame(message):
    """The MEXC frame of a USD-M message; None: there is none like it."""
    data = message["data"]
    symbol, kind, sent = data["s"], data["e"], data["E"]
    if kind == "aggTrade":
        deal = field(1, data["p"]) + field(2, data["q"]) + field(3, 2 if data["m"] else 1) + field(4, data["T"]) + field(5, "%dX0" % data["a"])
        return push("deals", symbol, sent, 314, field(1, deal) + field(2, "spot@public.aggre.deals.v3.api.pb@100ms"))
    if kind == "bookTicker":
        return push("bookTicker", symbol, sent, 315, b"".join(field(n, data[k]) for n, k in enumerate("bBaA", 1)))
    if kind == "depthUpdate":
        return push("depth", symbol, sent, 313, levels(1, data["a"]) + levels(2, data["b"]) + field(3, "spot@public.aggre.depth.v3.api.pb@100ms")
                    + field(4, str(data["pu"] + 1)) + field(5, str(data["u"])))
    return None


def write(socket_file, http_file, path):
    with open(path, "w", encoding="utf-8") as out:
        with gzip.open(socket_file, "rt") as lines:
            for line in lines:
                match = re.match(r"(\d+\.\d+): (\{.*)", line)
                made = frame(json.loads(match.group(2))) if match and '"data"' in line else None
                if made:
                    out.write("%s: %s\n" % (match.group(1), made.hex()))
    with open(path + ".http", "w", encoding="utf-8") as out:
        with gzip.open(http_file, "rt") as lines:
            for line in lines:
                match = re.match(r"\S*depth\S*symbol=([A-Z0-9]+)\S* -> (\d+\.\d+): (\{.*)", line)
                if match:
                    book = json.loads(match.group(3))
                    body = {k: book[k] for k in ("lastUpdateId", "bids", "asks")}
                    out.write("https://api.mexc.com/api/v3/depth?symbol=%s&limit=5000 -> %s: %s\n" % (match.group(1), match.group(2), json.dumps(body)))
    return [path, path + ".http"]
