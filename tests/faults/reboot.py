#!/usr/bin/env python3
"""The shared memory is lost, or a service's state is, in the middle of a session: the journal is there, and no candle and no
alert is missing, or there twice.

    reboot.py lost     every process is killed and the bus directory removed, again and again; all is started again, and the
                       venue goes on where the journal ends
    reboot.py state    candles and alerts are killed, their states removed or damaged; the rings are there

What a reader finds that follows the journal through all epochs, and what the database holds, must equal a session that
nothing happened to. Environment: ROUNDS (how often it happens, default 4), SEED.
"""
import glob
import os
import random
import shutil
import sqlite3
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import journal_kills as journals  # noqa: E402
from supervise import compare, facts, tool  # noqa: E402
from journal_reader import segments  # noqa: E402
from until import until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "4"))
SEED = int(os.environ.get("SEED", str(time.time_ns() % 10**9)))
SPEED = 40
COMPLETED = 1 << 40


def stream(directory, name):
    """Each record of all epochs in order, as (epoch, its entry's names, record)."""
    found = []
    path = os.path.join(directory, "t", name)
    parts = [s for s in segments(path, crc=False) if s.sound] if os.path.isdir(path) else []
    for i, part in enumerate(parts):
        follows = parts[i + 1] if i + 1 < len(parts) and parts[i + 1].epoch == part.epoch else None
        entries = {n: tuple(x.split(b"\0")[0].decode() for x in (e[:24], e[24:64], e[64:104], e[136:184])) for n, e in part.entries().items()}
        for seq, record in part.records()[0].items():
            if follows is None or seq < follows.first:
                found.append((part.epoch, entries.get(struct.unpack_from("<H", record, 24)[0]), record))
    return found


def candles(records):
    """{market and timeframe: ([completed candles], the last one)}; none comes twice, none goes back."""
    made, half, last = {}, None, {}
    for epoch, entry, r in records:
        kind, timeframe, forming = r[26] & 0xF8, r[26] & 7, r[27] & 2
        if kind == 0x20:
            half = (epoch, entry, r)
            continue
        if kind != 0x30 or half is None or half[0] != epoch or half[2][8:24] != r[8:24]:
            continue  # half of a candle, at the end of an epoch
        (start,), (trades,) = struct.unpack_from("<q", r, 8), struct.unpack_from("<I", r, 48)
        key, place = (entry, timeframe), (start, trades if forming else COMPLETED)
        if key in last and place <= last[key]:
            raise AssertionError(f"{entry} timeframe {timeframe}: {place} comes after {last[key]}, in epoch {epoch}")
        last[key] = place
        found = made.setdefault(key, [[], None])
        found[1] = (place, half[2][32:], r[32:])
        if not forming:
            found[0].append(found[1])
        half = None
    return made


def alerts(records):
    """{alert: [(number, state, time)]}"""
    made = {}
    for _, entry, r in records:
        made.setdefault(entry, []).append((struct.unpack_from("<I", r, 60)[0], r[56], struct.unpack_from("<q", r, 8)[0]))
    return made


def rows(bus):
    db = sqlite3.connect("file:" + bus.database + "?mode=ro", uri=True)
    return {
        "candles": bus.rows()["candles"],
        "alerts": db.execute("SELECT rule, exchange, symbol, timestamp, state, alert_id, value FROM alerts ORDER BY 1, 2, 3, 4, 6, 5").fetchall(),
    }


def check_trades(expected, bus):
    """Each trade; twice only what persist had stored of an epoch beyond what the journal has of it."""
    ends = {}
    for epoch, _, r in stream(bus.journal, "binance"):
        ends[epoch] = max(ends.get(epoch, 0), struct.unpack_from("<Q", r)[0])
    db = sqlite3.connect("file:" + bus.database + "?mode=ro", uri=True)
    found = db.execute("SELECT trade_id, epoch, seq FROM trades_stream").fetchall()
    kept = [t for t, epoch, seq in found if seq <= ends[epoch]]
    assert len(kept) == len(set(kept)), "trades doubled"
    assert set(kept) == {row[7] for row in expected["trades"]}, (len(kept), len(expected["trades"]))


def check(expected, bus):
    whole, made, told = expected
    found = candles(stream(bus.journal, "candles"))
    for key in made:
        assert key in found, ("no candles", key)
        a, b = made[key][0], found[key][0]
        if a != b:
            raise AssertionError(f"{key}: {len(set(a) - set(b))} candles missing, {len(set(b) - set(a))} too many: {sorted(set(a) ^ set(b))[:2]}")
        assert made[key][1] == found[key][1], ("the last candle", key, made[key][1], found[key][1])
    got = alerts(stream(bus.journal, "alerts"))
    assert got == told, ("alerts", [(k, told.get(k), got.get(k)) for k in set(told) | set(got) if told.get(k) != got.get(k)][:2])
    compare(whole, rows(bus))
    code, said, complaint = tool("verify", *(os.path.join(bus.journal, "t", s) for s in ("binance", "candles", "alerts")))
    assert code == 0, ("verify", code, said[-2000:], complaint[-2000:])


def lose_everything(bus, chance, whole):
    feed = bus.processes["feeds.binance"]
    if feed.poll() is not None or whole - len(stream(bus.journal, "binance")) < whole // 6:
        return False  # nobody would make the stream again
    for p in chance.sample(list(bus.processes.values()), len(bus.processes)):
        p.kill()
        p.popen.wait()
    shutil.rmtree(os.path.join(bus.base, "t"))
    count, again = None, 0
    while count != again:  # writes of a process that was killed may still arrive; after a real reboot none does
        for path in glob.glob(os.path.join(bus.journal, "t", "*", "*.tbj")):
            with open(path, "r+b") as f:
                os.posix_fallocate(f.fileno(), 0, os.path.getsize(path))  # behind those under way
        count = again
        time.sleep(0.3)
        again = [len(stream(bus.journal, s)) for s in ("binance", "candles", "alerts")]
    known = again[0]
    feed.arguments = [a for a in feed.arguments if not a.startswith("--from")] + [f"--from={known + 1}"]
    for p in bus.processes.values():
        p.start()
    return True


def spoil(path, how):
    if how == "remove":
        os.unlink(path)
    elif how == "cut":
        os.truncate(path, 4096)
    else:
        with open(path, "r+b") as f:
            offset, capacity = 4096, struct.unpack_from("<Q", f.read(24), 16)[0]
            for at in (offset, offset + capacity):  # the first bytes of both buffers
                f.seek(at)
                byte = f.read(1)
                f.seek(at)
                f.write(bytes([byte[0] ^ 1]))


def lose_state(bus, chance):
    names = chance.sample(["candles", "alerts"], chance.choice((1, 2)))
    for name in names:
        p = bus.processes["services." + name]
        if p.poll() is not None:
            return False
        p.kill()
        p.popen.wait()
        path = os.path.join(bus.base, "t", name + ".state")
        if os.path.exists(path):
            spoil(path, chance.choice(("remove", "cut", "flip")))
        p.start()
    return True


def make(reference, how):
    bus = journals.make(facts.demo(), SPEED, how)
    feed = bus.processes["feeds.binance"]
    feed.arguments += ["--captures=", "--journal=" + os.path.join(reference, "t", "binance")]
    return bus


def main(case):
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} times", flush=True)
    with journals.make(facts.demo(), "max", "all") as first:
        first.start()
        first.run(90)
        records = stream(first.journal, "binance")
        expected = (rows(first), candles(stream(first.journal, "candles")), alerts(stream(first.journal, "alerts")))
        stored = first.rows()
        done = runs = 0
        while done < ROUNDS:
            runs += 1
            with make(first.journal, ("journal", "free")[runs % 2]) as bus:
                due = time.monotonic() + chance.uniform(0.2, 3)

                def strike(bus):
                    nonlocal due, done
                    if time.monotonic() < due or done >= ROUNDS:
                        return
                    happened = lose_everything(bus, chance, len(records)) if case == "lost" else lose_state(bus, chance)
                    done += happened
                    due = time.monotonic() + (chance.uniform(0.2, 5) if happened else 600)

                bus.start()
                try:
                    bus.run(240, strike)
                    if case == "lost":
                        check_trades(stored, bus)
                    check(expected, bus)
                except AssertionError:
                    for p in bus.processes.values():
                        print(p.section, p.last_lines(8), file=sys.stderr)
                    raise
            print(f"run {runs}: {done} times so far: equal", flush=True)
    print(f"{case} {done} times in {runs} runs: {sum(len(m[0]) for m in expected[1].values())} candles and {sum(map(len, expected[2].values()))} alerts, each once")


if __name__ == "__main__":
    main(sys.argv[1])
