"""Made-up sessions for tests of journals' tools: trades and book levels of two markets, and the candles that they
make, worked out here and not by the library. As rows of an export, for `tickbus import`."""

import decimal
import json
import random
import time

D = decimal.Decimal
START = 1723161253937085768
WIDTHS = {"1s": 1, "1m": 60, "5m": 300}
FEED_EPOCH, CANDLE_EPOCH = 1700000000000000000, 1700000000000000001
MARKETS = [("BTC/USDT", -2, -5), ("ETH/USDT", -2, -4)]


def stamp(ns):
    seconds, ns = divmod(ns, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%09dZ" % ns


def instruments(stream, epoch, label=""):
    for i, (symbol, price_exp, size_exp) in enumerate(MARKETS, 1):
        yield {"stream": stream, "epoch": epoch, "type": "instrument", "instrument": i, "venue": "binance",
               "symbol": symbol, "raw": symbol.replace("/", ""), "first_stream": "feed", "price_exp": price_exp,
               "size_exp": size_exp}


class Candle:
    def __init__(self, start, price, ts_recv):
        self.start = start
        self.open = self.high = self.low = self.close = price
        self.volume = self.turnover = self.buys = D(0)
        self.trades = 0
        self.ts_recv = ts_recv

    def add(self, price, size, buy, ts_recv):
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += size
        self.turnover += price * size
        self.buys += size if buy else 0
        self.trades += 1
        self.ts_recv = ts_recv

    def rows(self, instrument, timeframe):
        base = {"stream": "candles", "epoch": CANDLE_EPOCH, "instrument": instrument, "ts_event": stamp(self.start),
                "ts_recv": stamp(self.ts_recv), "publish_delta_ns": 2000000, "flags": ""}
        yield {**base, "type": "candle", "timeframe": timeframe, "open": self.open, "high": self.high,
               "low": self.low, "close": self.close}
        yield {**base, "flags": "last", "type": "candle_volume", "timeframe": timeframe, "volume": self.volume,
               "turnover": self.turnover, "trades": self.trades, "taker_buy_volume": self.buys}


def session(count, seed=1):
    """(rows of the feed, rows of the candle stream, completed candles by (market, timeframe))"""
    chance = random.Random(seed)
    feed, candles, done, forming = list(instruments("feed", FEED_EPOCH)), [], {}, {}
    candles += instruments("candles", CANDLE_EPOCH)
    ids, update, now = {1: 1000, 2: 5000}, 0, START
    seq = 0
    while seq < count:
        seq += 1
        now += chance.randrange(10**8)
        market = chance.randrange(1, 3)
        base = {"stream": "feed", "epoch": FEED_EPOCH, "seq": seq, "instrument": market, "ts_event": stamp(now),
                "ts_recv": stamp(now + 10**7), "publish_delta_ns": chance.randrange(10**6), "flags": "last"}
        price = D(chance.randrange(6000000, 6010000)) / 100
        if chance.random() < 0.4:
            update += 1
            feed.append({**base, "type": "level", "side": chance.choice(["bid", "ask"]), "price": price,
                         "size": D(chance.randrange(1000)) / 1000, "action": "modify", "update_id": update})
            continue
        size, buy = D(chance.randrange(1, 1000)) / 1000, chance.random() < 0.5
        ids[market] += 1
        feed.append({**base, "type": "trade", "side": "buy" if buy else "sell", "price": price, "size": size,
                     "trade_id": ids[market], "count": 1})
        for timeframe, width in WIDTHS.items():
            start = now // (width * 10**9) * width * 10**9
            old = forming.get((market, timeframe))
            if old is not None and old.start != start:
                candles += old.rows(market, timeframe)
                done.setdefault((market, timeframe), []).append(old)
            if old is None or old.start != start:
                forming[market, timeframe] = old = Candle(start, price, now + 10**7)
            old.add(price, size, buy, now + 10**7)
    number = 0
    for row in candles:
        if row["type"] != "instrument":
            number += 1
            row["seq"] = number
    return feed, candles, done


class Encoder(json.JSONEncoder):
    """Decimals as numbers, digit for digit."""

    def iterencode(self, o, _one_shot=False):
        def plain(value):
            if isinstance(value, D):
                return format(value, "f")
            return json.dumps(value)
        yield "{" + ",".join(f"{json.dumps(k)}:{plain(v)}" for k, v in o.items()) + "}"


def write(path, rows):
    with open(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row, cls=Encoder) + "\n")
