#!/usr/bin/env python3
"""The benchmarks run, check what they carry, and print valid JSON. How fast is not asked here."""

import json
import os
import subprocess
import sys

BUILD = os.environ["TICKBUS_BUILD"]
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
    rows = [json.loads(line) for line in
            run(suite, "--quick", "--rounds=1", "--json", f"--measure={measure}").splitlines()]
    assert rows[0]["kind"] == "machine" and all(r["suite"] == suite for r in rows), rows[0]
    summary = [r for r in rows if r["kind"] == "summary"]
    for row in summary:
        assert set(row) == KEYS, row
        assert measure in row["measure"] and row["place"] in PLACES, row
        assert row["n"] == 1 and row["min"] == row["median"] == row["max"] >= 0, row
        assert (row["ratio_limit"] is None) == (row["limit"] is None), row
    runs = [r for r in rows if r["kind"] == "run"]
    assert len(runs) == len(summary), (len(runs), len(summary))
    missing = subjects - {r["subject"] for r in summary}
    assert not missing, f"{suite}: no row of {missing}"


def main():
    if not os.path.exists(BENCH):
        print("skipped: built without TB_BENCH")
        sys.exit(77)
    listed = {line.split()[0] for line in run("--list").splitlines()}
    assert set(SUITES) <= listed, listed
    for suite, parts in SUITES.items():
        for measure, subjects in parts:
            check(suite, measure, subjects)
    text = run("ring", "--quick", "--rounds=1", "--only=none", "--measure=publish")
    assert "| publish, no reader" in text and text.startswith("== ring\n"), text
    assert "ck_ring" not in text, text
    assert "ring" in run("--help")
    run("nosuch", status=64)
    run("ring", "--rounds=no", status=64)
    run("ring", "whatisthis", "--quick", status=64)


main()
