#!/usr/bin/env python3
"""tickbus load of the recorded sessions of Kraken and Coinbase: the database holds what the facts say, twice the same."""
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


def load(venue, files, database):
    base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
    try:
        done = subprocess.run([os.path.join(BUILD, "tickbus"), "load", "--json", "--venue", venue, "--db", database, *files],
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


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="tickbus-test-") as work:
        for name, venue in (("2021-04-17_KRAKEN", "kraken"), ("2021-04-17_COINBASE", "coinbaseexchange")):
            with open(os.path.join(DATA, "facts", name + ".json")) as f:
                facts = json.load(f)
            files = [os.path.join(DATA, p) for p in facts["files"]]
            first, again = (os.path.join(work, f"{venue}{i}.db") for i in (1, 2))
            summary = load(venue, files, first)
            equal("lost", (summary["lost"], summary["frames_bad"], summary["capture_faults"], summary["gaps"]), (0, 0, 0, 0))
            equal("trades", summary["trades"], sum(t["trades"] for t in facts["trades"].values()))
            with closing(sqlite3.connect(f"file:{first}?mode=ro", uri=True)) as db:
                for raw, fact in facts["trades"].items():
                    check_trades(db, venue, unified(raw), fact)
                    check_candles(db, venue, unified(raw), fact)
                for raw, fact in facts["books"].items():
                    check_book(db, venue, unified(raw), fact)
                equal("books", db.execute("SELECT count(DISTINCT symbol) FROM orderbook_snapshots").fetchone()[0], len(facts["books"]))
            load(venue, files, again)
            equal(f"{venue}: loaded twice", rows(first) == rows(again), True)
            print(f"{name}: {summary['records']} records, the database equals the facts")


main()
