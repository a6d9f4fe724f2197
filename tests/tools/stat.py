#!/usr/bin/env python3
"""tickbus stat on a living bus, a dead one, and one with damaged files; on a terminal and in a pipe."""

import json
import os
import pty
import subprocess
import time

from bus import DEADLINE, main, stop


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def look(bus, *arguments, status=0):
    rows, err = bus.json("stat", "--once", *arguments, status=status)
    expect(len(rows) == 1, rows)
    return rows[0]


def describes_a_living_bus(bus):
    producer = bus.fill(capacity=64)
    producer.tell("sample")
    producer.tell("trades 30")
    producer.tell("stats feed-s")
    producer.tell("read 25")
    seen = look(bus)
    stream, reader, process = seen["streams"][0], seen["readers"][0], seen["processes"][0]
    expect(seen["alive"] and seen["lost"] == 0, seen)
    expect((stream["stream"], stream["state"], stream["alive"], stream["seq"], stream["capacity"],
            stream["instruments"], stream["gaps"]) == ("s", "running", True, 40, 64, 3, 2), stream)
    expect(stream["pid"] == producer.process.pid and 0 <= float(stream["last_age_seconds"]) < 60, stream)
    expect((reader["stream"], reader["reader"], reader["alive"], reader["cursor"],
            reader["lag_records"], reader["lost"], reader["wait"]) ==
           ("s", "reader", True, 26, 15, 0, "park"), reader)
    expect(float(reader["lag_ms"]) >= 0, reader)
    expect((process["process"], process["state"], process["alive"], process["starts"]) ==
           ("feed-s", "degraded", True, 1), process)
    expect(process["counters"] == {"reconnects": 3, "connected": 1, "gaps": 2}, process)
    expect(process["histograms"]["latency_ns"]["count"] == 100, process)
    expect(process["rss_bytes"] > 0 and process["open_fds"] > 0, process)
    expect("\033" not in process["note"] and '"note"' in process["note"], process)


def remembers_a_dead_bus(bus):
    producer = bus.fill(capacity=64)
    producer.tell("read 0")
    producer.tell("trades 100")
    producer.tell("stats feed-s")
    producer.tell("read 10")
    producer.end("die")
    seen = look(bus)
    expect(not seen["alive"], seen)
    expect(seen["streams"][0]["seq"] == 100 and seen["streams"][0]["state"] == "running" and
           not seen["streams"][0]["alive"], seen)
    expect(not seen["readers"][0]["alive"] and seen["lost"] > 0, seen)
    expect(seen["processes"][0]["counters"]["reconnects"] == 3, seen)
    out, _ = bus.run("stat", "--once")
    expect("no process of this bus is alive" in out and out.count("crashed") == 2, out)


def check_finds_loss(bus):
    producer = bus.fill(capacity=64)
    producer.tell("trades 10")
    producer.tell("read 5")
    look(bus, "--check")
    producer.tell("trades 200")
    producer.tell("read 5")
    seen = look(bus, "--check", status=75)
    expect(seen["readers"][0]["overruns"] == 1 and seen["readers"][0]["lost"] == seen["lost"] > 0, seen)
    look(bus)


def measures_rates(bus):
    producer = bus.fill(capacity=64)
    stat = bus.start("stat", "--json", "--interval", "100ms")
    rate = 0.0
    end = time.monotonic() + DEADLINE
    while rate == 0 and time.monotonic() < end:
        producer.tell("trades 100")
        rate = json.loads(stat.stdout.readline())["streams"][0]["records_per_second"]
    expect(rate > 0, rate)
    expect(stop(stat)[0] == 0, "exit")


def shows_damaged_files_as_such(bus):
    bus.fill("good").tell("trades 3")
    for name in ("bad.ring", "s.bad.cursor", "bad.stats"):
        with open(os.path.join(bus.directory, name), "wb") as file:
            file.write(b"\xff\x1b[31m" * 2000)
        os.chmod(os.path.join(bus.directory, name), 0o640)
    seen = look(bus)
    streams = {s["stream"]: s for s in seen["streams"]}
    expect(streams["good"]["fault"] is None and streams["good"]["seq"] == 3, streams)
    expect(streams["bad"]["fault"] and seen["readers"][0]["fault"] and seen["processes"][0]["fault"], seen)
    out, _ = bus.run("stat")
    expect(out.count("unreadable") == 3 and "\033" not in out, out)


def changes_nothing_on_the_bus(bus):
    producer = bus.fill()
    producer.tell("stats x")
    producer.tell("read 0")
    before = {n: os.stat(os.path.join(bus.directory, n)).st_mtime_ns for n in os.listdir(bus.directory)}
    look(bus)
    after = {n: os.stat(os.path.join(bus.directory, n)).st_mtime_ns for n in os.listdir(bus.directory)}
    expect(before == after, before, after)


def is_live_on_a_terminal(bus):
    producer = bus.fill()
    producer.tell("trades 5")
    here, there = pty.openpty()
    stat = subprocess.Popen(bus.command("stat"), stdin=there, stdout=there, stderr=there,
                            env={**os.environ, "TERM": "xterm"})
    bus.started.append(stat)
    os.close(there)
    text = b""

    def read_until(wanted, count=1):
        nonlocal text
        end = time.monotonic() + DEADLINE
        while text.count(wanted) < count:
            expect(time.monotonic() < end, "no", wanted, "in", text)
            text += os.read(here, 65536)

    begin = time.monotonic()
    read_until(b"\033[H", 5)  # redraws by itself
    expect(time.monotonic() - begin < 5, "at least two a second")
    text = b""
    os.write(here, b"s")
    read_until(b"sort: load")
    text = b""
    os.write(here, b"p")
    read_until(b"(paused)")
    producer.tell("trades 1")
    text = b""
    os.write(here, b"p")
    read_until(b"p pause")
    os.write(here, b"q")
    read_until(b"\033[?1049l")  # the screen is given back
    expect(stat.wait(DEADLINE) == 0, "exit")
    os.close(here)


def is_quiet_when_its_reader_leaves(bus):
    bus.fill().tell("trades 5")
    shell = subprocess.run(["bash", "-c", '"$@" | head -n 1; echo "${PIPESTATUS[0]}"', "bash",
                            *bus.command("stat", "--json", "--interval", "50ms")],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE, text=True)
    expect(shell.stdout.splitlines()[1:] == ["0"] and shell.stderr == "", shell.stdout, shell.stderr)


def refuses_with_one_clear_line(bus):
    for status, arguments in ((69, ["--bus", "other"]), (64, ["--frobnicate"]), (64, ["operand"]),
                              (64, ["--interval", "soon"]), (64, ["--sort", "colour"])):
        _, err = bus.run("stat", *arguments, status=status)
        lines = [line for line in err.splitlines() if "--help lists" not in line]
        expect(len(lines) == 1 and lines[0].startswith("tickbus stat: "), err)
    out, _ = bus.run("stat", "--once")
    expect("no streams and no processes" in out, out)
    out, _ = bus.run("stat", "--help")
    expect(len(out.splitlines()) < 40 and "Exit:" in out, out)
    out, _ = bus.run("top", "--version")
    expect(out.startswith("tickbus stat "), out)


main([describes_a_living_bus, remembers_a_dead_bus, check_finds_loss, measures_rates,
      shows_damaged_files_as_such, changes_nothing_on_the_bus, is_live_on_a_terminal,
      is_quiet_when_its_reader_leaves, refuses_with_one_clear_line])
