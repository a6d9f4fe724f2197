#!/usr/bin/env python3
"""tickbus load of the sessions of Bybit, OKX and OKCoin, by replay and over the socket: trades, candles and last books in
the database equal the published facts."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing

DATA = os.path.join(os.environ["TICKBUS_SOURCE"], "..", "shared", "data")
SESSIONS = [("2026-08-09_BYBIT.spot", "bybit", {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT"}),
            ("2025-06-13_BYBIT.ws.1", "bybit", {}), ("2025-06-13_BYBIT.ws.2", "bybit", {}),  # linear contracts, and spot: quotes alone
            ("2022-05-13_OKX", "okx", {"BTC-USDT": "BTC/USDT", "UNI-USD-SWAP": "UNI/USD:UNI", "BTC-USD-220527": "BTC/USD:BTC-220527"}),
            ("2023-05-27_OKCOIN", "okcoin", {s: s.replace("-", "/") for s in ("BTC-USD", "ETH-USD", "USDC-USDT", "USDT-USD")})]


def equal(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, expected {want}")


def check_trades(db, venue, symbol, f):
    rows = db.execute("SELECT trade_id, price, amount, side, timestamp FROM trades_stream WHERE exchange=? AND symbol=?"
                      " ORDER BY seq", (venue, symbol)).fetchall()
    equal(f"{symbol} trades", len(rows), f["trades"])
    equal("ids", (int(rows[0][0]), int(rows[-1][0])), (int(f["first_id"]), int(f["last_id"])))
    equal("prices", (rows[0][1], rows[-1][1]), (float(f["first_price"]), float(f["last_price"])))
    equal("volume", round(sum(r[2] for r in rows), 8), round(float(f["volume"]), 8))
    equal("sides", sum(r[3] == "buy" for r in rows), f["taker_sides"].get("buy", 0))


def check_candles(db, venue, symbol, f):
    rows = {t: c for t, *c in db.execute("SELECT timestamp, open, high, low, close, volume, trades FROM ohlcv_data"
                                         " WHERE exchange=? AND symbol=? AND timeframe='1m'", (venue, symbol))}
    for c in f["candles_1m"]:
        equal(f"{symbol} candle {c['t']}", rows.get(c["t"] / 1000), [float(c[k]) for k in "ohlcv"] + [c["n"]])


def check_book(db, venue, symbol, f):
    seq, = db.execute("SELECT max(seq) FROM orderbook_snapshots WHERE exchange=? AND symbol=?", (venue, symbol)).fetchone()
    for side, key in (("bid", "bids"), ("ask", "asks")):
        rows = db.execute("SELECT price, amount FROM orderbook_snapshots WHERE exchange=? AND symbol=? AND seq=? AND side=?"
                          " ORDER BY level", (venue, symbol, seq, side)).fetchall()
        equal(f"{symbol} {key}", rows, [(float(p), float(q)) for p, q in f[key]][: len(rows)])
        equal(f"{symbol} {key} in the last snapshot", len(rows) >= 10, True)


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    base, work = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm"), tempfile.mkdtemp(prefix="tickbus-test-")
    try:
        for name, venue, symbols in SESSIONS:
            with open(os.path.join(DATA, "facts", name + ".json")) as f:
                facts = json.load(f)
            for way in ([], ["--via-socket"]):
                out = os.path.join(work, f"{name}{len(way)}.db")
                done = subprocess.run([os.path.join(os.environ["TICKBUS_BUILD"], "tickbus"), "load", "--json", *way, "--venue", venue, "--db", out,
                                       *(os.path.join(DATA, p) for p in facts["files"])],
                                      env={**os.environ, "TICKBUS_DIR": base}, capture_output=True, text=True, timeout=120)
                equal(f"{name} {way}: exit code, stderr", (done.returncode, done.stderr), (0, ""))
                summary = json.loads(done.stdout)
                equal("lost", [summary[k] for k in ("lost", "frames_bad", "capture_faults", "gaps")], [0] * 4)
                with closing(sqlite3.connect(f"file:{out}?mode=ro", uri=True)) as db:
                    for raw, symbol in symbols.items():
                        check_trades(db, venue, symbol, facts["trades"][raw])
                        check_candles(db, venue, symbol, facts["trades"][raw])
                        check_book(db, venue, symbol, facts["books"][raw])
                print(f"{name} {way}: {summary['records']} records loaded, rows equal the facts", flush=True)
    finally:
        shutil.rmtree(base)
        shutil.rmtree(work)


main()
