#!/usr/bin/env python3
"""The benchmarks run, check what they carry, and print valid JSON. How fast is not asked here."""

import json
import os
import subprocess
import sys

BUILD = os.environ["TICKBUS_BUILD"]


def run(*arguments, status=0):
    done = subprocess.run([os.path.join(BUILD, "tickbus-bench"), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=110)
    if done.returncode == 77:
        print(done.stderr)
        sys.exit(77)
    if done.returncode != status:
        sys.exit(f"bench {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    assert "left behind" not in done.stderr, done.stderr
    return done.stdout


def main():
    if not os.path.exists(os.path.join(BUILD, "tickbus-bench")):
        print("skipped: built without TB_BENCH")
        sys.exit(77)
    small = ["--rounds=1", "--records=200000", "--rate=20000", "--quick"]
    rows = [json.loads(line) for line in run("ring", *small, "--json").splitlines()]
    summary = {(r["measure"], r["subject"]): r for r in rows if r["kind"] == "summary"}
    for subject in ("tickbus_next", "tickbus_run", "ck_ring"):
        assert summary["throughput", subject]["median"] > 0, summary
        assert summary["latency p50", subject]["median"] > 0, summary
    assert summary["publish", "tickbus"]["n"] == 1, summary
    text = run("ring", *small)
    assert "| throughput" in text and text.startswith("== ring\n"), text
    assert "ring" in run("--help")
    run("nosuch", status=64)
    run("ring", "--slots=100", status=64)


main()
