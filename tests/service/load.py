#!/usr/bin/env python3
"""tickbus load: every recording, by replay and over the socket, equal to its facts; again, interrupted, refused."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from persist import check_everything, check_queries, equal, facts  # noqa: E402
from supervise import BUILD, until  # noqa: E402

work = tempfile.mkdtemp(prefix="tickbus-test-")
base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
environment = {**os.environ, "TICKBUS_DIR": base}


def command(*arguments):
    return [os.path.join(BUILD, "tickbus"), "load", *arguments]


def load(*arguments):
    done = subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=120)
    equal("what is left of the private bus", [n for n in os.listdir(base) if not n.startswith("kept-")], [])
    equal("files of an unfinished load", [n for n in os.listdir(work) if ".loading" in n], [])
    return done


def path(name):
    return os.path.join(work, name)


TABLES = {
    "trades_stream": "exchange, symbol, timestamp, side, price, amount, cost, trade_id, stream, seq",
    "ohlcv_data": "exchange, symbol, timeframe, timestamp, open, high, low, close, volume, closed, trades, turnover, taker_buy_volume",
    "orderbook_snapshots": "exchange, symbol, timestamp, side, level, price, amount, cumulative, update_id, stream, seq",
    "gaps": "*",
    "tickbus_loads": "*",
}


def tables(name):
    with closing(sqlite3.connect(f"file:{path(name)}?mode=ro", uri=True)) as db:
        return {t: sorted(db.execute(f"SELECT {columns} FROM {t}").fetchall()) for t, columns in TABLES.items()}


def everything_loads():
    for k, capture in enumerate(facts.captures() + facts.futures()):
        for way in ([], ["--via-socket"]):
            name = f"{k}{len(way)}.db"
            done = load("--json", "--venue", capture.venue, "--db", path(name), *way, *capture.files)
            equal(f"{capture.name} {way}: exit code, stderr", (done.returncode, done.stderr), (0, ""))
            summary = json.loads(done.stdout)
            equal("lost", (summary["lost"], summary["frames_bad"], summary["capture_faults"], summary["gaps"]), (0, 0, 0, 0))
            equal("trades", summary["trades"], sum(t["trades"] for t in capture.trades().values()))
            check_everything(path(name), capture)
            if "BTC/USDT" in capture.trades():
                check_queries(path(name), capture.trades()["BTC/USDT"])
            print(capture.name, *way, "equal to its facts,", summary["seconds"], "s", flush=True)


def twice_is_equal():
    capture = facts.demo()
    for name in ("a.db", "b.db"):
        equal("exit code", load("--venue", capture.venue, "--db", path(name), *capture.files).returncode, 0)
    first = tables("a.db")
    equal("loaded into two files", first == tables("b.db"), True)
    done = load("--venue", capture.venue, "--db", path("a.db"), *capture.files)
    equal("loaded again", (done.returncode, "holds these captures already" in done.stdout), (0, True))
    equal("unchanged", first == tables("a.db"), True)
    return capture, first


def other_data_is_safe(capture, first):
    other = facts.captures()[0]
    if other.name == "demo":
        return
    done = load("--venue", other.venue, "--db", path("a.db"), *other.files)
    equal("refused", (done.returncode, done.stderr.count("\n"), "--append" in done.stderr), (73, 1, True))
    equal("unchanged", first == tables("a.db"), True)
    for _ in range(2):
        equal("appended", load("--append", "--venue", other.venue, "--db", path("a.db"), *other.files).returncode, 0)
    check_everything(path("a.db"), other)
    check_everything(path("a.db"), capture)


def refusals(capture):
    def refused(code, words, *arguments):
        done = load(*arguments)
        equal(f"{arguments}: exit code ({done.stderr})", done.returncode, code)
        if words not in done.stderr:
            raise AssertionError(f"{arguments}: {done.stderr}")

    refused(64, "no capture was given", "--venue", "binance", "--db", path("x.db"))
    refused(64, "--dbb", "--venue", "binance", "--dbb", path("x.db"), *capture.files)
    refused(74, "no market data in it", "--via-socket", "--venue", "okx", "--db", path("x.db"), *capture.files)
    refused(64, "no venue", "--venue", "nowhere", "--db", path("x.db"), *capture.files)
    refused(66, "missing.gz: No such file", "--venue", "binance", "--db", path("x.db"), path("missing.gz"))
    refused(66, "given twice", "--venue", "binance", "--db", path("x.db"), capture.files[0], capture.files[0])
    refused(73, "cannot make database", "--venue", "binance", "--db", path("no/x.db"), *capture.files)
    with open(path("text.db"), "w") as f:
        f.write("not a database, but somebody's work\n" * 100)
    refused(73, "not a database", "--venue", "binance", "--db", path("text.db"), *capture.files)
    with closing(sqlite3.connect(path("theirs.db"))) as db:
        db.execute("CREATE TABLE theirs (a)")
    refused(73, "is no tickbus database", "--venue", "binance", "--db", path("theirs.db"), *capture.files)
    equal("nothing was made", os.path.exists(path("x.db")), False)


def a_damaged_capture_is_told(capture):
    name = os.path.basename(capture.files[0])
    with open(capture.files[0], "rb") as f, open(path(name), "wb") as out:
        out.write(f.read(400000))
    done = load("--json", "--venue", capture.venue, "--db", path("cut.db"), path(name))
    equal("exit code", done.returncode, 75)
    equal("one line about it", (done.stderr.count("\n"), "cut short" in done.stderr), (1, True))
    equal("what was there is stored", json.loads(done.stdout)["trades"] > 1000, True)


def processes_of(directory):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if directory.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def interrupted(capture, number):
    """At several moments of a load: nothing is left, and the next one works."""
    for after in (0, 0.1, 0.2, 0.35):
        target = path(f"stopped{number}.db")
        p = subprocess.Popen(command("--venue", capture.venue, "--db", target, *capture.files), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until(lambda: os.listdir(base) or p.poll() is not None, "the load begins")
        time.sleep(after)  # any moment will do
        p.send_signal(number)
        p.communicate(timeout=30)
        if p.returncode == 0:  # it was faster
            os.unlink(target)
            continue
        equal("exit code", p.returncode, 130 if number != signal.SIGKILL else -signal.SIGKILL)
        until(lambda: not processes_of(base), "no process is left")
        equal("no database", os.path.exists(target), False)
        if number == signal.SIGKILL:
            continue  # the next load cleans up
        equal("nothing left", (os.listdir(base), [n for n in os.listdir(work) if ".loading" in n]), ([], []))
    target = f"stopped{number}.db"
    equal("the next load", load("--venue", capture.venue, "--db", path(target), *capture.files).returncode, 0)


def main():
    try:
        everything_loads()
        capture, first = twice_is_equal()
        other_data_is_safe(capture, first)
        refusals(capture)
        a_damaged_capture_is_told(capture)
        interrupted(capture, signal.SIGINT)
        interrupted(capture, signal.SIGTERM)
        interrupted(capture, signal.SIGKILL)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
