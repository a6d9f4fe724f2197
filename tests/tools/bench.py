#!/usr/bin/env python3
"""The benchmarks run, check what they carry, and print valid JSON. How fast is not asked here."""

import json
import os
import re
import subprocess
import sys
import tempfile

BUILD = os.environ["TICKBUS_BUILD"]
TABLE = os.path.join(os.environ["TICKBUS_SOURCE"], "bench", "table.py")
BENCH = os.path.join(BUILD, "tickbus-bench")

# Suites of the harness, and a part of each that is soon done: a measure, and who must be seen in it.
# Peers are there or not, as their packages are; these always are.
SUITES = {
    "ring": [("one at a time, 4,096", {"tickbus", "ck_ring", "core-to-core stream"}),
             ("kernel", {"tickbus", "pipe", "unix datagram"})],
    "machine": [("round trip", set()), ("stamping", {"two clock readings"})],
    "latency": [("100 k/s", {"tickbus", "ck_ring", "one line, no ring"})],
    "fanout": [("free readers", {"tickbus, 8 readers", "8 ck_rings"})],
    "wait": [("", {"tickbus park"})],
    "candles": [("full ring", {"tickbus-candles", "its logic alone", "reading the ring"})],
    "persist": [("trades", {"tickbus-persist", "prepared INSERT, same tables", "prepared INSERT, texts"})],
    "numbers": [("decimal", {"tb_decimal_parse", "strtod"})],
    "wire": [("flat out, TLS", {"tickbus-feed", "libwebsockets, decode"})],
}
KEYS = {"suite", "kind", "measure", "subject", "role", "place", "n", "min", "median", "max", "unit",
        "better", "peer", "ratio_peer", "limit", "ratio_limit"}
PLACES = {"near", "far", "mixed", "busy", "one", "unknown"}


def run(*arguments, status=0):
    done = subprocess.run([BENCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=110)
    if done.returncode == 77:
        print(done.stderr)
        sys.exit(77)
    if done.returncode != status:
        sys.exit(f"bench {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    assert "left behind" not in done.stderr, done.stderr
    return done.stdout


def check(suite, measure, subjects):
    """Returns what was printed."""
    text = run(suite, "--quick", "--rounds=1", "--json", f"--measure={measure}")
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows[0]["kind"] == "machine" and all(r["suite"] == suite for r in rows), rows[0]
    summary = [r for r in rows if r["kind"] == "summary"]
    for row in summary:
        assert set(row) == KEYS, row
        assert row["place"] in PLACES, row
        assert row["n"] == 1 and row["min"] == row["median"] == row["max"] >= 0, row
        assert (row["ratio_limit"] is None) == (row["limit"] is None), row
    runs = [r for r in rows if r["kind"] == "run"]
    assert len(runs) == len(summary), (len(runs), len(summary))
    missing = subjects - {r["subject"] for r in summary}
    assert not missing, f"{suite}: no row of {missing}"
    return text


def check_table(text):
    """bench/table.py makes tables of it, and puts them between the marks of a file."""
    with tempfile.TemporaryDirectory() as folder:
        runs, page = os.path.join(folder, "runs.jsonl"), os.path.join(folder, "page.md")
        with open(runs, "w", encoding="utf-8") as file: # as if nothing had disturbed it
            file.write(re.sub('"place":"[a-z]*"', '"place":"near"', text))
        with open(page, "w", encoding="utf-8") as file:
            file.write("before\n<!-- bench/table.py: begin -->\nold\n<!-- bench/table.py: end -->\nafter\n")
        subprocess.run([sys.executable, TABLE, "--write", page, runs], check=True, timeout=60)
        with open(page, encoding="utf-8") as file:
            made = file.read()
        assert made.startswith("before\n") and made.endswith("after\n") and "old" not in made, made
        assert "| **tickbus park** |" in made and "#### ring" in made, made


def main():
    if not os.path.exists(BENCH):
        print("skipped: built without TB_BENCH")
        sys.exit(77)
    listed = {line.split()[0] for line in run("--list").splitlines()}
    assert set(SUITES) <= listed, listed
    check_table("".join(check(suite, measure, subjects)
                        for suite, parts in SUITES.items() for measure, subjects in parts))
    text = run("ring", "--quick", "--rounds=1", "--only=none", "--measure=publish")
    assert "| publish, no reader" in text and text.startswith("== ring\n"), text
    assert "ck_ring" not in text, text
    assert "ring" in run("--help")
    run("nosuch", status=64)
    run("ring", "--rounds=no", status=64)
    run("ring", "whatisthis", "--quick", status=64)


main()
