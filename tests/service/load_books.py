#!/usr/bin/env python3
"""tickbus load of the recorded sessions of Kraken, Coinbase (by both its feeds) and MEXC, by replay and over the socket: the
database holds what the facts say; replayed twice it is the same."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from persist import check_book, check_trades, equal, number  # noqa: E402

BUILD = os.environ["TICKBUS_BUILD"]
DATA = os.path.join(os.environ["TICKBUS_SOURCE"], "..", "shared", "data")


def unified(raw):
    """XBT/CHF and SKL-BTC to BTC/CHF and SKL/BTC."""
    return raw.replace("-", "/").replace("XBT", "BTC")


def load(venue, files, database, *way):
    base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
    try:
        done = subprocess.run([os.path.join(BUILD, "tickbus"), "load", "--json", *way, "--venue", venue, "--db", database, *files],
                              env={**os.environ, "TICKBUS_DIR": base}, capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(base)
    equal(f"{venue}: exit code, stderr", (done.returncode, done.stderr), (0, ""))
    return json.loads(done.stdout)


def check_candles(db, venue, symbol, fact):
    rows = db.execute("SELECT timestamp, open, high, low, close, volume, turnover, trades FROM ohlcv_data WHERE exchange = ? AND symbol = ?"
                      " AND timeframe = '1m' AND trades > 0 ORDER BY timestamp", (venue, symbol)).fetchall()
    equal(f"{venue} {symbol}: candles", [tuple(map(number, r)) for r in rows],
          [(Decimal(c["t"]) / 1000, *(Decimal(c[k]) for k in "ohlcv"), number(float(Decimal(c["q"]))), c["n"]) for c in fact["candles_1m"]])


def rows(database):
    columns = {"trades_stream": "exchange, symbol, timestamp, side, price, amount, cost, trade_id, seq",
               "ohlcv_data": "exchange, symbol, timeframe, timestamp, open, high, low, close, volume, closed, trades, turnover",
               "orderbook_snapshots": "exchange, symbol, timestamp, side, level, price, amount, cumulative, update_id, seq"}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return [sorted(db.execute(f"SELECT {c} FROM {t}").fetchall()) for t, c in columns.items()]


def facts_of(name):
    with open(os.path.join(DATA, "facts", name + ".json")) as f:
        facts = json.load(f)
    return facts, [os.path.join(DATA, p) for p in facts["files"]]


def loaded(venue, facts, files, database, *way):
    summary = load(venue, files, database, *way)
    equal("lost", (summary["lost"], summary["frames_bad"], summary["capture_faults"], summary["gaps"]), (0, 0, 0, 0))
    equal("trades", summary["trades"], sum(t["trades"] for t in facts["trades"].values()))
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        for raw, fact in facts["trades"].items():
            check_trades(db, venue, unified(raw), fact)
            check_candles(db, venue, unified(raw), fact)
        for raw, fact in facts["books"].items():
            check_book(db, venue, unified(raw), fact)
        equal("books", db.execute("SELECT count(DISTINCT symbol) FROM orderbook_snapshots").fetchone()[0], len(facts["books"]))
    print(f"{venue} {way}: {summary['records']} records, the database equals the facts", flush=True)


def check_mexc(database):
    """Four frames: a quote, two trades, the five best levels, a candle that is not published."""
    frames = facts_of("mexc_protobuf")[0]["frames"]
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        trades = db.execute("SELECT timestamp, price, amount, side FROM trades_stream WHERE exchange = 'mexc' AND symbol = 'BTC/USDT' ORDER BY seq").fetchall()
        equal("trades", [tuple(map(str, t)) for t in trades],
              [(str(d["time_ms"] / 1000), str(float(d["price"])), str(float(d["qty"])), {1: "buy", 2: "sell"}[d["side_1buy_2sell"]])
               for d in frames[1]["deals"]])
        for side, name in (("bid", "bids"), ("ask", "asks")):
            rows = db.execute("SELECT price, amount FROM orderbook_snapshots WHERE side = ? ORDER BY seq, level", (side,)).fetchall()
            equal(name, [tuple(map(number, r)) for r in rows], [tuple(map(Decimal, level)) for level in frames[2]["limit_depth"][name]])


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    socket = "--via-socket"
    with tempfile.TemporaryDirectory(prefix="tickbus-test-") as work:
        for name, venue in (("2021-04-17_KRAKEN", "kraken"), ("2021-04-17_COINBASE", "coinbaseexchange")):
            facts, files = facts_of(name)
            first, again, third = (os.path.join(work, f"{venue}{i}.db") for i in (1, 2, 3))
            loaded(venue, facts, files, first)
            load(venue, files, again)
            equal(f"{venue}: loaded twice", rows(first) == rows(again), True)
            loaded(venue, facts, files, third, socket)
        # The other feed of the same market: Exchange's recording in its form.
        loaded("coinbase", *facts_of("2021-04-17_COINBASE"), os.path.join(work, "advanced.db"), socket)
        for way in ([], [socket]):
            mexc = os.path.join(work, f"mexc{len(way)}.db")
            load("mexc", facts_of("mexc_protobuf")[1], mexc, *way)
            check_mexc(mexc)


main()
