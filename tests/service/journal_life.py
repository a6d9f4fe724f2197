#!/usr/bin/env python3
"""tickbus-journal through what happens to a service in months: several streams, old segments, directories that refuse.

    journal_life.py streams|retention|readonly|removed|clock|venues
"""
import calendar
import glob
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from buslook import BUILD, SOURCE, Bus, check, end, log_of, stop, until  # noqa: E402
from journal import Journal, equal, stat  # noqa: E402
from journal_reader import read, segments  # noqa: E402

sys.path.insert(0, os.path.join(SOURCE, "tests", "tools"))
import made  # noqa: E402

SYNTH = ["--rate=0", "--capacity=262144"]


def durable(bus, stream):
    path = bus.path(stream + ".journal.cursor")
    return int.from_bytes(open(path, "rb").read(144)[136:144], "little") if os.path.exists(path) else 0


def holds(bus, journal, stream):
    """What the journal has of a stream is what the ring has."""
    ring = bus.ring(stream)
    (records,) = read(os.path.join(journal, "b", stream)).values()
    check(sorted(records) == list(range(1, ring.last + 1)), stream, "holes or doubles in", len(records))
    equal([records[seq] for seq in sorted(records)], ring.records)


def as_nobody():
    """Permissions say nothing to root, so the test's processes are somebody else. Runs before exec."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def give_away(*paths):
    for path in paths if os.geteuid() == 0 else ():
        os.chown(path, 65534, 65534)


def streams():
    """Four streams in one process, each with its own directory, killed in the middle and started again."""
    names = ["a", "b-2", "c", "d"]
    chance = random.Random(3)
    with Bus() as bus, Journal() as j:
        options = ["--streams", ",".join(names), "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB", "--sync-every=5ms"]
        journal = bus.start("tickbus-journal", *options)
        config = os.path.join(bus.base, "c.yaml")  # which makes four services of one program
        with open(config, "w", encoding="utf-8") as f:
            f.write("services:\n" + "".join("  synth-%s: {program: synth}\n" % name for name in names))
        sources = [bus.start("tickbus-synth", "--config", config, "--section=services.synth-" + name, "--stream", name, "--rate=%d" % (20000 * (i + 1)), "--seed=%d" % i,
                             "--count=%d" % (20000 * (i + 1)), "--capacity=262144") for i, name in enumerate(names)]
        for _ in range(5):
            time.sleep(chance.uniform(0.05, 0.15))  # when it dies is chance
            journal.kill()
            journal.wait()
            journal = bus.start("tickbus-journal", *options)
        for source in sources:
            end(source)
        for i, name in enumerate(names):
            until(lambda: durable(bus, name) == 20000 * (i + 1), name + " to be durable")
        stop(journal)
        for name in names:
            holds(bus, j.dir, name)
        check(len(segments(os.path.join(j.dir, "b", "d"))) > 1, "the last stream was to fill a segment")


def retention():
    """What is older than it may be goes, from the oldest on, and so does what is too much; the newest always stays."""
    with Bus() as bus, Journal() as j:
        where = os.path.join(j.dir, "b", "s")
        options = ["--streams=s", "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB"]

        def files():
            return sorted(glob.glob(where + "/*.tbj*"))

        def more(count):
            end(bus.start("tickbus-synth", "--stream=s", *SYNTH, "--count=%d" % count), deadline=60)
            until(lambda: durable(bus, "s") == count, "all to be durable")

        journal = bus.start("tickbus-journal", *options)
        more(250000)
        stop(journal)
        before = files()
        check(len(before) == 4, before)
        for path in before[:2] + before[3:]:  # the third is young: it and what follows it stay
            os.utime(path, (time.time() - 7200,) * 2)
        journal = bus.start("tickbus-journal", *options, "--retain-age=1h")
        until(lambda: len(files()) <= 2, "two old ones to go")
        os.utime(before[2], (time.time() - 7200,) * 2)
        until(lambda: files() == before[3:], "the third to go, when it is old", 10)
        until(lambda: log_of(journal).count("reason=retain_age") == 3, "that to be said")
        more(500000)  # the oldest is old now, too, and is not the newest any more
        until(lambda: before[3] not in files(), "the fourth to go", 10)
        check(len(files()) >= 3, files())
        stop(journal)
        kept = files()
        journal = bus.start("tickbus-journal", *options, "--retain-bytes=6MiB")
        until(lambda: files() == kept[-1:], "only the newest to be left", 10)
        until(lambda: "reason=retain_bytes" in log_of(journal), "that to be said")
        more(510000)
        stop(journal)
        (records,) = read(where).values()
        check(sorted(records) == list(range(min(records), 510001)), "what is left has no hole")


def readonly():
    """A directory that takes no new file: degraded, seen and said; it goes on by itself when that is over."""
    with Bus() as bus, Journal() as j:
        where = os.path.join(j.dir, "b", "s")
        give_away(bus.base, j.dir)
        synth = ["--stream=s", *SYNTH]
        end(bus.start("tickbus-synth", *synth, "--count=20000", preexec_fn=as_nobody))
        os.chmod(os.path.dirname(j.dir), os.stat(os.path.dirname(j.dir)).st_mode | 0o111)
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB", preexec_fn=as_nobody)
        until(lambda: durable(bus, "s") == 20000, "the first records\n" + log_of(journal))
        os.chmod(where, 0o555)
        end(bus.start("tickbus-synth", *synth, "--count=100000", preexec_fn=as_nobody))
        until(lambda: stat(bus, "journal")[0] == "degraded", "degraded in stat")
        check("ermission denied" in stat(bus, "journal")[1], stat(bus, "journal"))
        held = durable(bus, "s")
        check(60000 < held < 80000, "the full segment was to be durable:", held)
        check(log_of(journal).count("ev=journal_refused") == 1, log_of(journal))
        os.chmod(where, 0o755)
        until(lambda: durable(bus, "s") == 100000, "the rest")
        until(lambda: stat(bus, "journal")[0] == "running", "running again")
        check("ev=recovered" in log_of(journal), log_of(journal))
        stop(journal)
        holds(bus, j.dir, "s")


def removed():
    """A journal that somebody removes is made anew, and what it says is durable is there from then on."""
    with Bus() as bus, Journal() as j:
        where = os.path.join(j.dir, "b", "s")
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir)
        end(bus.start("tickbus-synth", "--stream=s", *SYNTH, "--count=1000"))
        until(lambda: durable(bus, "s") == 1000, "the first records")
        shutil.rmtree(where)
        until(lambda: "somebody has removed" in log_of(journal), "that to be noticed")
        end(bus.start("tickbus-synth", "--stream=s", *SYNTH, "--count=3000"))
        until(lambda: os.path.isdir(where) and glob.glob(where + "/*.tbj") and durable(bus, "s") == 3000, "the rest")
        until(lambda: stat(bus, "journal")[0] == "running", "running again")
        stop(journal)
        (records,) = read(where).values()
        check(sorted(records) == list(range(1001, 3001)), "from", min(records), "to", max(records))


def clock():
    """The host's clock is set back by an hour, and later forward by two: ring, journal and SQLite have every record, in order."""
    count, hour = 6000, 3600 * 10**9
    feed, _, _ = made.session(count)
    for row in feed:
        if row.get("seq", 0) > count / 3:
            seconds, fraction = row["ts_recv"].rstrip("Z").split(".")
            at = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction)
            row["ts_recv"] = made.stamp(at + (-hour if row["seq"] <= 2 * count / 3 else hour))
    trades = [row for row in feed if row["type"] == "trade"]
    with Bus() as bus, Journal() as j:
        rows = os.path.join(bus.base, "feed.jsonl")
        made.write(rows, feed)
        subprocess.run([os.path.join(BUILD, "tickbus-import"), rows, "--into=bus", "--directory", bus.base, "--bus=b",
                        "--stream=s"], check=True)
        ring = bus.ring("s")
        check([int.from_bytes(r[:8], "little") for r in ring.records] == list(range(1, count + 1)), "the ring")
        database = os.path.join(bus.base, "db")
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--until-done")
        end(bus.start("tickbus-persist", "--streams=s", "--database", database, "--until-done"))
        end(journal)
        holds(bus, j.dir, "s")
        with closing(sqlite3.connect(database)) as db:
            stored = db.execute("SELECT timestamp, amount FROM trades_stream ORDER BY seq").fetchall()
        check(len(stored) == len(trades), len(stored), "rows of", len(trades), "trades")
        for (at, amount), row in zip(stored, trades):
            check(abs(amount - float(row["size"])) < 1e-12, "the rows are in another order", at, amount, row)


def venues():
    """`verify` holds trade ids against each other where the venue counts them, and finds nothing wrong in what it sent."""
    data = os.path.join(SOURCE, "..", "shared", "data", "cryptofeed")
    counted = {"2021-04-17_COINBASE.ws.28.gz": ("coinbaseexchange", True), "2022-05-13_OKX.ws.1.gz": ("okx", True),
               "2021-10-11_BINANCE_US.ws.1.gz": ("binanceus", True), "2021-07-22_BINANCE_FUTURES.ws.1.gz": ("binanceusdm", False)}
    if not os.path.isdir(data):
        print("skipped: no recordings here")
        sys.exit(77)
    for name, (venue, counts) in counted.items():
        with Bus() as bus, Journal() as j:
            journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--until-done")
            end(bus.start("tickbus-replay", "--captures", os.path.join(data, name), "--venue", venue, "--stream=s",
                          "--speed=max", "--pace=gated", "--gates=journal"))
            end(journal)
            said = subprocess.run([os.path.join(BUILD, "tickbus-verify"), j.dir, "--json"], capture_output=True, check=True).stdout
            found = json.loads(said.splitlines()[-1])
            check(found["ok"] and found["trades"] > 0 and (found["trades_chained"] > 0) == counts, venue, found)


def main():
    tests = {f.__name__: f for f in (streams, retention, readonly, removed, clock, venues)}
    tests[sys.argv[1]]()
    print("ok", sys.argv[1])


if __name__ == "__main__":
    main()
