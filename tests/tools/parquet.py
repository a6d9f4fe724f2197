#!/usr/bin/env python3
"""Parquet that export writes, read by hyparquet from npm (installed into a temporary directory) and compared value by
value with the rows that went in. Skipped where node or npm, or what they need, is not to be had."""

import calendar
import decimal
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import made

SOURCE = os.environ["TICKBUS_SOURCE"]
BUILD = os.environ["TICKBUS_BUILD"]
DEADLINE = 100


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE, text=True, **more)
    assert done.returncode == 0, (command, done.stderr[-2000:])
    return done.stdout


def install(directory):
    if shutil.which("node") is None or shutil.which("npm") is None:
        skip("node and npm are needed to read Parquet by a program that is not ours")
    for name in ("package.json", "package-lock.json", "read.mjs"):
        shutil.copy(os.path.join(SOURCE, "tests", "tools", "parquet", name), directory)
    try:
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=directory,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE, text=True)
    except subprocess.TimeoutExpired:
        skip("npm did not install hyparquet in time")
    if done.returncode != 0:
        skip("npm can not install hyparquet: " + done.stderr.strip()[-300:])


def nanoseconds(stamp):
    whole, fraction = stamp[:-1].split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction)


EXPONENTS = {"price_exp", "size_exp", "value_exp"}
SIZES = {"size", "volume", "taker_buy_volume", "bid_size", "ask_size"}


def compare(row, wanted, exps):
    """Every field that went in is there with its value, and nothing else is."""
    left = {k: v for k, v in row.items() if v is not None and v != ""}
    for name in ("venue", "symbol", "forming", "price_exp", "size_exp"):
        left.pop(name, None) if name not in wanted else None
    for name, value in wanted.items():
        if value == "":
            continue
        if isinstance(value, decimal.Decimal):
            exp = (exps[1] if name in SIZES else exps[0] + exps[1] if name == "turnover" else exps[0])
            got = decimal.Decimal(left.pop(name + "_mantissa")).scaleb(exp)
        elif name in ("ts_event", "ts_recv"):
            got, value = int(left.pop(name)), nanoseconds(value)
        elif isinstance(value, int):
            got = int(left.pop(name))
        else:
            got = left.pop(name)
        assert got == value, (name, got, value, row)
    assert not left, (left, wanted)


def check(directory, journal, stream, rows, *more):
    path = os.path.join(directory, stream + ".parquet")
    run(os.path.join(BUILD, "tickbus-export"), os.path.join(journal, "t", stream), "-o", path, *more)
    lines = run("node", "read.mjs", path, cwd=directory).splitlines()
    head = json.loads(lines[0])
    assert int(head["rows"]) == len(lines) - 1 == len(rows), (head["rows"], len(rows))
    types = {c["name"]: (c["type"], c.get("converted_type"), c.get("logical_type")) for c in head["columns"]}
    assert types["ts_recv"][2]["unit"] == "NANOS" and types["ts_recv"][2]["isAdjustedToUTC"], types["ts_recv"]
    assert types["price_mantissa"][0] == "INT64" and types["symbol"][1] == "UTF8", types
    assert types["trade_id"][1] == "UINT_64" and types["turnover_mantissa"][1] == "DECIMAL", types
    assert not any(t[0] in ("FLOAT", "DOUBLE") for t in types.values()), types
    for line, wanted in zip(lines[1:], rows):
        row = json.loads(line)
        symbol, price_exp, size_exp = made.MARKETS[int(row["instrument"]) - 1]
        assert row["symbol"] == symbol and row["venue"] == "binance", row
        assert (row["price_exp"], row["size_exp"]) == (price_exp, size_exp), row
        compare(row, wanted, (price_exp, size_exp))
    print(f"{stream} {' '.join(more)}: {len(rows)} rows, {len(types)} columns, {head['groups']} row groups, "
          f"{os.path.getsize(path)} bytes: the same")


def main():
    count = int(os.environ.get("RECORDS", 70000))  # more than one row group
    feed, candles, _ = made.session(count)
    with tempfile.TemporaryDirectory() as directory:
        install(directory)
        journal = os.path.join(directory, "j")
        for stream, rows in (("feed", feed), ("candles", candles)):
            made.write(os.path.join(directory, "in.jsonl"), rows)
            run(os.path.join(BUILD, "tickbus-import"), os.path.join(directory, "in.jsonl"), "--into", journal, "--bus", "t")
        check(directory, journal, "feed", feed)
        check(directory, journal, "feed", feed, "--compression", "none")
        check(directory, journal, "candles", candles)


main()
