#!/usr/bin/env python3
"""kill -9 at random (or at labelled points: journal_kills.py points) with small rings and a journal: nothing lost, nothing doubled, on any stream and in the database.

A recording is played into a ring of 4096 records that waits for nobody but the journal (half of the runs) or for
nobody at all (a larger ring then, which outlasts the journal's restart); candles and alerts likewise. Whoever is
killed, or is slow, is lapped and goes on from the journal. At the end the database, the journal's records and the
candles equal those of a run without kills, and the recording's facts.
Environment: ROUNDS (kills, default 60), SEED (default from the clock).
"""
import glob
import os
import random
import re
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from supervise import Bus, compare, facts  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "60"))
SEED = int(os.environ.get("SEED", str(time.time_ns() % 10**9)))
RULES = ("[{name: Cross, kind: price_crosses, exchange: binance, symbol: BTC/USDT, threshold: 61800, keep: 1s},"
         " {name: Above, kind: price_above, exchange: binance, symbol: BTC/USDT, threshold: 61800}]")
PAGE, RECORDS = 4096, 63


# ---- the journal, by journal.h alone; checksums are those of tests/unit ----

def segment(path):
    """{seq: the 64 bytes} of one segment file."""
    with open(path, "rb") as f:
        data = f.read()
    first_seq, data_page = struct.unpack_from("<QQ", data, 64 + 64)
    found, spares = {}, []
    pages = [(n, data[n * PAGE:(n + 1) * PAGE]) for n in (1, 2, *range(data_page, len(data) // PAGE))]
    for n, page in pages:
        magic, _, _, kind, count, _, first, generation = struct.unpack_from("<IIHHIQQQ", page)
        if magic != 0x4c4a4254 or kind not in (2, 5) or not 0 < count <= RECORDS:
            continue
        records = {first + i: page[64 + 64 * i:128 + 64 * i] for i in range(count)}
        if kind == 2:
            spares.append((generation, records))
        elif first == first_seq + (n - data_page) * RECORDS:
            found.update(records)
    for _, records in sorted(spares, key=lambda s: s[0]):
        for seq, record in records.items():
            found.setdefault(seq, record)
    return found


def journal(directory, stream):
    """Every record of a stream in order, which must be without a hole and of one epoch."""
    found, epochs = {}, set()
    for path in sorted(glob.glob(os.path.join(directory, "t", stream, "*.tbj"))):
        epochs.add(os.path.basename(path)[:20])
        found.update(segment(path))
    assert len(epochs) <= 1, (stream, epochs)
    assert sorted(found) == list(range(1, len(found) + 1)), (stream, len(found), min(found), max(found))
    for seq, record in found.items():
        assert struct.unpack_from("<Q", record)[0] == seq, (stream, seq)
    return [found[seq] for seq in sorted(found)]


def content(records):
    """What of a record does not depend on when it was published or under which sequence."""
    return [r[8:28] + r[32:] for r in records]


# ---- the bus ----

def make(capture, speed, how):
    """how: "all" waits for every reader, "journal" for the journal alone, "free" for nobody."""
    pace = {"all": "pace: gated, capacity: 8192", "journal": "pace: gated, capacity: 4096",
            "free": "pace: free, capacity: 32768"}[how]
    sections = {
        "services.journal": ("journal", "segment_size: 8MiB, sync_every: 20ms"),
        "services.candles": ("candles", pace),
        "services.alerts": ("alerts", f"{pace}, rules: {RULES}"),
        "services.persist": ("persist", "database: %s"),
        "feeds.binance": ("replay", f"venue: {capture.venue}, captures: [{', '.join(capture.files)}], speed: {speed}, {pace}"),
    }
    gates = {"all": ("journal,candles,persist,alerts", "journal,persist", "journal,persist"),
             "journal": ("journal",) * 3, "free": None}[how]
    arguments = {}
    if gates:
        arguments = {s: ["--gates=" + g] for s, g in zip(("feeds.binance", "services.candles", "services.alerts"), gates)}
    bus = Bus(sections, arguments)
    bus.journal = os.path.join(bus.work, "journal")
    with open(bus.config) as f:
        text = f.read()
    with open(bus.config, "w") as f:
        f.write(f"journal: {bus.journal}\n" + text.replace("%s", bus.database))
    return bus


def result(bus):
    streams = {s: journal(bus.journal, s) for s in ("binance", "candles", "alerts")}
    return bus.rows(), streams


def check_alerts(records):
    """Each story fires once and is resolved at most once, in order; Above has one at a time."""
    stories = {}
    for r in records:
        instrument, kind = struct.unpack_from("<HB", r, 24)
        state, alert_id = r[56], struct.unpack_from("<I", r, 60)[0]
        stories.setdefault((kind, instrument, alert_id), []).append(state)
    for story, states in stories.items():
        assert states in ([2], [2, 3], [1, 2, 3], [1, 2], [1, 3], [1]), (story, states)
    for kind, instrument, _ in stories:
        ids = [s[2] for s in stories if s[:2] == (kind, instrument)]
        assert ids == list(range(1, len(ids) + 1)), (instrument, ids)
    return len(stories)


def check(expected, found):
    compare(expected[0], found[0])
    for stream in ("binance", "candles"):
        a, b = content(expected[1][stream]), content(found[1][stream])
        assert a == b, (stream, len(a), len(b), next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), None))
    check_alerts(found[1]["alerts"])


def log_count(bus, section, event):
    with open(bus.processes[section].log.name, errors="replace") as f:
        return len(re.findall(r"ev=%s\b" % event, f.read()))


def at_points(capture, expected):
    """Each process dies at the labelled places that it passes (needs -DTB_POINTS=ON, else exit 77).

    The places of one ring, which points.py visits, and other counts than one only with COUNTS set.
    """
    import points
    whole = "COUNTS" in os.environ
    counts = points.COUNTS if whole else [7]
    if not points.compiled_in():
        print("skipped: this build has no kill points (-DTB_POINTS=ON)")
        sys.exit(77)
    folders = {**points.FOLDERS, "service": ("candles", "persist", "alerts", "journal")}
    struck = passed_by = 0
    for point in points.points():
        prefix = point.split(":")[0]
        if not whole and prefix in ("publish", "ring", "instrument"):
            continue
        for process in folders.get(prefix, (prefix,)):
            for count in counts:
                with make(capture, "max", "journal") as bus:
                    section = next((s for s in bus.processes if s.endswith("." + process)), None)
                    if section is None:
                        continue  # a program that is not part of this bus
                    bus.start(**{process: {"TB_POINT": f"{point}:{count}"}})
                    bus.run(90)
                    try:
                        check(expected, result(bus))
                    except AssertionError as e:
                        raise AssertionError(f"{process} killed at {point}, time {count}: {e}") from e
                    struck, passed_by = struck + (bus.processes[section].starts > 1), passed_by + (bus.processes[section].starts == 1)
    print(f"{struck} kills at labelled points, {passed_by} not reached: 0 records lost, 0 doubled")
    assert struck > 0


def main():
    capture = facts.demo()
    print(f"seed {SEED}, {ROUNDS} kills, {capture.name}", flush=True)
    with make(capture, "max", "all") as bus:
        bus.start()
        bus.run(90)
        expected = result(bus)
    trades = capture.trades()["BTC/USDT"]["trades"]
    assert len(expected[0]["trades"]) == trades, (len(expected[0]["trades"]), trades)
    print({s: len(r) for s, r in expected[1].items()}, "records,", check_alerts(expected[1]["alerts"]), "alerts", flush=True)

    if sys.argv[1:] == ["points"]:
        at_points(capture, expected)
        return
    chance = random.Random(SEED)
    done = {"kills": 0, "runs": 0}
    while done["kills"] < ROUNDS:
        how = ("journal", "free")[done["runs"] % 2]
        done["runs"] += 1
        with make(capture, 30, how) as bus:  # 346 s of recording in about 12 s
            next_kill = time.monotonic() + 0.3

            def strike(bus):
                nonlocal next_kill
                if time.monotonic() < next_kill or done["kills"] >= ROUNDS:
                    return
                alive = [p for p in bus.processes.values() if p.poll() is None]
                if alive:
                    chance.choice(alive).kill()
                    done["kills"] += 1
                next_kill = time.monotonic() + chance.uniform(0.01, 0.15)

            bus.start()
            bus.run(180, strike)
            try:
                found = result(bus)
                check(expected, found)
            except AssertionError:
                for section in bus.processes:
                    print(section, bus.processes[section].last_lines(6), file=sys.stderr)
                raise
            starts = {s: p.starts for s, p in bus.processes.items()}
            done["catch-ups"] = done.get("catch-ups", 0) + sum(log_count(bus, s, "catching_up") for s in bus.processes)
        print(f"run {done['runs']} ({how}): {done['kills']} kills so far, starts {starts}: equal", flush=True)
    # Whether a short run ever falls behind is chance; catch_up.py is the test that somebody does.
    print(f"{done['kills']} kills, {done['runs']} runs, {done['catch-ups']} times behind the ring: 0 records lost, 0 doubled, in journal, candles, alerts and database")


if __name__ == "__main__":
    main()
