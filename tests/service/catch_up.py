#!/usr/bin/env python3
"""Services behind their rings: they catch up from the journal, by themselves, and nobody can tell from the result.

    catch_up.py stopped|metrics|late|epochs|damage|locked|stuck
"""
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing

SOURCE = os.environ.get("TICKBUS_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "faults"))
import journal_kills as journals  # noqa: E402
from supervise import BUILD, Process, facts  # noqa: E402


def until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def from_journal(bus, section):
    """How many records its last life read there, as it said at its end."""
    with open(bus.processes[section].log.name, errors="replace") as f:
        return int(re.findall(r" records_from_journal=(\d+)", f.read())[-1])


def said(bus, section, event):
    return journals.log_count(bus, section, event)


def expected_of(capture):
    with journals.make(capture, "max", "all") as bus:
        bus.start()
        bus.run(90)
        return journals.result(bus)


def rows(bus):
    try:
        db = sqlite3.connect("file:" + bus.database + "?mode=ro", uri=True)
        return db.execute("SELECT count(*) FROM trades_stream").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def stopped():
    """persist, candles and alerts stand still while the rings go round and round, and then go on."""
    capture = facts.demo()
    expected = expected_of(capture)
    for how in (signal.SIGSTOP, signal.SIGKILL):
        with journals.make(capture, 40, "journal") as bus:
            bus.start()
            until("some rows are stored", lambda: rows(bus) > 500)
            sleepers = [bus.processes["services." + s] for s in ("persist", "candles", "alerts")]
            for p in sleepers:
                p.popen.send_signal(how)
            time.sleep(4)  # half of the recording: 18 times round
            for p in sleepers:
                if how == signal.SIGSTOP:
                    p.popen.send_signal(signal.SIGCONT)
                else:
                    p.popen.wait()
                    p.start()
            bus.run(120)
            journals.check(expected, journals.result(bus))
            for s in ("services.persist", "services.candles"):
                if from_journal(bus, s) == 0:
                    raise AssertionError(f"{s} did not catch up from the journal:\n{bus.processes[s].last_lines()}")
                if said(bus, s, "overrun"):
                    raise AssertionError(f"{s} lost records:\n{bus.processes[s].last_lines()}")
    print("persist, candles and alerts, stopped and killed for 4 s: rows, candles and alerts equal")


def look(bus):
    looked = subprocess.run([os.path.join(BUILD, "tickbus-stat"), "--once", "--json", "--directory", bus.base, "--bus", "t"],
                            stdout=subprocess.PIPE, check=False)
    return json.loads(looked.stdout)


def behind(bus):
    """What `tickbus stat` shows of persist: how many records it is behind, and whether it is well."""
    shown = look(bus)
    lag = [r["lag_records"] for r in shown["readers"] if (r["stream"], r["reader"]) == ("binance", "persist")]
    return lag[0] or 0, [(s["state"], s["note"]) for s in shown["processes"] if s["process"] == "persist"]


def page(bus):
    """persist's cursor page on the stream: what it has read, and what it may need again."""
    return next(r for r in look(bus)["readers"] if (r["stream"], r["reader"]) == ("binance", "persist"))


def locked():
    """Somebody locks the database while nobody waits for persist: rows wait in memory, then records in ring and journal."""
    capture = facts.demo()
    expected = expected_of(capture)
    with journals.make(capture, 40, "journal") as bus:
        persist = bus.processes["services.persist"]
        persist.arguments.append("--buffer=360KiB")
        bus.start()
        until("some rows are stored", lambda: rows(bus) > 500)
        with closing(sqlite3.connect(bus.database, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            until("it is behind by more than a ring", lambda: behind(bus)[0] > 4096)
            lag, state = behind(bus)
            assert state[0][0] == "degraded" and "is locked by another process" in state[0][1], state
            other.execute("COMMIT")
        bus.run(120)
        journals.check(expected, journals.result(bus))
        assert from_journal(bus, "services.persist") > 0, persist.last_lines()
        assert said(bus, "services.persist", "overrun") == 0, persist.last_lines()
        assert said(bus, "services.persist", "recovered") > 0, persist.last_lines()
    print(f"locked until it was {lag} records behind, which was seen: rows equal")


def stuck():
    """The disk does not answer for a while: persist reads on. Let go, told to stop, or killed meanwhile: each row once."""
    capture = facts.demo()
    expected = expected_of(capture)
    for how in ("let go", "stopped", "killed"):
        with journals.make(capture, 120, "journal") as bus:
            persist = bus.processes["services.persist"]
            persist.arguments.append("--synchronous=full")  # each commit waits for the disk
            trap = os.path.join(bus.work, "stuck")
            bus.start(persist={"LD_PRELOAD": os.path.join(BUILD, "tests", "stuck_disk.so"), "TICKBUS_STUCK": trap,
                               "ASAN_OPTIONS": "verify_asan_link_order=0"})
            until("some rows are stored", lambda: rows(bus) > 500)
            with open(trap, "w"):
                begun = page(bus)["cursor"]
            until("the disk is waited for", lambda: os.path.exists(trap + ".met"))
            stored, needed = rows(bus), page(bus)["needed"]
            until("persist read two rings more", lambda: page(bus)["cursor"] > begun + 2 * 4096, 15)
            went = page(bus)["cursor"] - begun
            assert rows(bus) == stored, (rows(bus), stored)
            assert page(bus)["needed"] == needed <= begun, (page(bus), needed, begun)  # released is only what is stored
            if how == "stopped":
                persist.kill(signal.SIGTERM)
                until("it drains", lambda: said(bus, "services.persist", "draining") == 1)
                persist.kill(signal.SIGTERM)  # at once, then
                until("it ends", lambda: persist.poll() is not None, 10)
                assert persist.poll() == 74, (persist.poll(), persist.last_lines())
            if how == "killed":
                persist.kill()
                persist.popen.wait()
            if how == "stopped":
                assert not os.path.exists(trap)  # it went on while its process came to its end
                persist.start()
            else:
                os.unlink(trap)
            bus.run(120)
            journals.check(expected, journals.result(bus))
            assert said(bus, "services.persist", "overrun") == 0, persist.last_lines()
            print(f"{how}: {went} records read while the disk did not answer: rows equal", flush=True)


def with_metrics(bus):
    """The bus with metrics beside the others, on a port of its own."""
    with open(bus.config) as f:
        text = f.read()
    with open(bus.config, "w") as f:
        f.write(text.replace("services:\n", "services:\n  metrics: {listen: '127.0.0.1:0', streams: [binance, candles]}\n"))
    served = bus.processes["services.metrics"] = Process(bus, "services.metrics", "metrics", [])
    return served


def cursor(bus, stream):
    with open(os.path.join(bus.base, "t", stream + ".metrics.cursor"), "rb") as f:
        return struct.unpack_from("<Q", f.read(144), 96)[0]


def metrics():
    """metrics stands still, or is killed, while the rings go round; then it serves what one serves that never stopped."""
    from watchlook import get, listening_port, samples
    capture, seen = facts.demo(), {}
    for how in (None, signal.SIGSTOP, signal.SIGKILL):
        with journals.make(capture, 70, "journal") as bus:
            served = with_metrics(bus)
            bus.start()
            if how:
                until("it reads", lambda: os.path.exists(os.path.join(bus.base, "t", "binance.metrics.cursor")) and cursor(bus, "binance") > 10000)
                served.popen.send_signal(how)
                time.sleep(2)  # 12 times round
                if how == signal.SIGKILL:
                    served.popen.wait()
                    os.truncate(served.log.name, 0)  # its port is another one now
                    served.start()
                served.popen.send_signal(signal.SIGCONT)
            until("the recording was played", lambda: all(p.poll() is not None for p in bus.processes.values() if p is not served), 120)
            ends = {s: len(journals.journal(bus.journal, s)) + 1 for s in ("binance", "candles")}
            until("all was read", lambda: all(cursor(bus, s) == ends[s] for s in ends))
            served.popen.log = served.log.name
            url = "http://127.0.0.1:%d/metrics" % listening_port(served.popen)
            seen[how] = {n: v for n, v in samples(get(url)).items() if n.startswith(("crypto_", "tickbus_candle", "tickbus_book", "tickbus_last"))}
            assert said(bus, "services.metrics", "overrun") == 0, served.last_lines()
            assert how is None or said(bus, "services.metrics", "catching_up") > 0, served.last_lines()
    for how in (signal.SIGSTOP, signal.SIGKILL):
        differ = {n: (seen[None].get(n), seen[how].get(n)) for n in set(seen[None]) | set(seen[how]) if seen[None].get(n) != seen[how].get(n)}
        assert not differ, (how, differ)
    print(f"metrics, stopped and killed for 2 s: {len(seen[None])} numbers equal")


def late():
    """Consumers that are started for the first time when everything has left the rings."""
    capture = facts.demo()
    expected = expected_of(capture)
    with journals.make(capture, "max", "journal") as bus:
        for section in ("services.journal", "feeds.binance"):
            bus.processes[section].start()
        until("the recording was played", lambda: bus.processes["feeds.binance"].poll() is not None)
        for section in ("services.candles", "services.alerts", "services.persist"):
            bus.processes[section].start()
        bus.run(120)
        journals.check(expected, journals.result(bus))
        assert said(bus, "services.persist", "overrun") == 0, bus.processes["services.persist"].last_lines()
    print("started after the end: rows, candles and alerts equal")


def epochs():
    """The stream is made anew while persist is away: what is left of the old epoch comes first, then the new one."""
    capture = facts.demo()
    with journals.make(capture, "max", "journal") as bus:
        feed, persist, journal = (bus.processes[s] for s in ("feeds.binance", "services.persist", "services.journal"))
        for p in (journal, bus.processes["services.candles"], bus.processes["services.alerts"]):
            p.arguments = [a for a in p.arguments if a != "--until-done"]
            p.start()
        persist.arguments = [a for a in persist.arguments if a != "--until-done"]
        persist.start()
        feed.start()
        until("some rows are stored", lambda: rows(bus) > 500)
        persist.kill()
        persist.popen.wait()
        until("the first recording was played", lambda: feed.poll() is not None)
        once = rows(bus)
        feed.arguments.append("--new-epoch")
        feed.start()
        until("the second was played", lambda: feed.poll() is not None)
        trades = capture.trades()["BTC/USDT"]["trades"]
        assert once < trades, (once, trades)
        persist.start()
        until("both are stored", lambda: rows(bus) >= 2 * trades)
        assert said(bus, "services.persist", "epoch") == 1, persist.last_lines()
        for p in bus.processes.values():
            p.kill(signal.SIGTERM)
        for p in bus.processes.values():
            assert p.popen.wait(20) == 0, (p.section, p.last_lines())
        db = sqlite3.connect("file:" + bus.database + "?mode=ro", uri=True)
        found = db.execute("SELECT trade_id, count(*) FROM trades_stream GROUP BY trade_id").fetchall()
        assert len(found) == trades and all(n == 2 for _, n in found), (len(found), trades)
        assert said(bus, "services.persist", "overrun") == 0, persist.last_lines()
    print(f"2 epochs of {trades} trades: each stored once")


def damage():
    """A page of the journal is spoilt: its 63 records are told as lost, all others are stored."""
    capture = facts.demo()
    expected = expected_of(capture)
    with journals.make(capture, "max", "journal") as bus:
        for section in ("services.journal", "feeds.binance"):
            bus.processes[section].start()
        until("the recording was played", lambda: bus.processes["feeds.binance"].poll() is not None)
        directory = os.path.join(bus.journal, "t", "binance")
        name = next(n for n in sorted(os.listdir(directory)) if n.endswith(".tbj"))
        with open(os.path.join(directory, name), "r+b") as f:
            f.seek(4096 * (101 + 500) + 2000)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 16]))
        persist = bus.processes["services.persist"]
        for section in ("services.candles", "services.alerts", "services.persist"):
            bus.processes[section].start()
        until("persist has ended", lambda: persist.poll() is not None, 90)
        assert persist.poll() == 75, (persist.poll(), persist.last_lines())
        with open(persist.log.name) as f:
            told = [line for line in f if "ev=overrun" in line]
        assert len(told) == 1 and "lost=63 " in told[0] and "checksum" in told[0], told
        lost = set(range(500 * 63 + 1, 501 * 63 + 1))
        rest = [r for r in expected[0]["trades"] if r[-1] not in lost]
        assert bus.rows()["trades"] == rest, (len(bus.rows()["trades"]), len(rest))
        db = sqlite3.connect("file:" + bus.database + "?mode=ro", uri=True)
        gaps = db.execute("SELECT * FROM gaps WHERE reason = 'overrun'").fetchall()
        assert any(500 * 63 + 1 in g and 501 * 63 in g for g in gaps), gaps
    print("63 records of a damaged page told as lost, the others stored")


if __name__ == "__main__":
    {"stopped": stopped, "metrics": metrics, "late": late, "epochs": epochs, "damage": damage, "locked": locked, "stuck": stuck}[sys.argv[1]]()
