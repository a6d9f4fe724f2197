#!/usr/bin/env python3
"""tickbus tail on rings that live, are dead, hostile or gone."""

import csv
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import time

from bus import DEADLINE, main, stop, until

SLOTS = 4096 + 1024 * 192


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def prints_every_record_type_as_json(bus):
    bus.fill().tell("sample")
    rows, err = bus.json("tail", "--from", "oldest")
    expect([r["type"] for r in rows] == ["trade", "quote", "clear", "level", "gap", "status", "alert",
                                         "event", "candle", "candle_volume"], rows)
    expect([r["seq"] for r in rows] == list(range(1, 11)), rows)
    trade, quote, alert, volume = rows[0], rows[1], rows[6], rows[9]
    expect((trade["price"], trade["size"], trade["side"]) == ("60000.01", "0.001", "buy"), trade)
    expect((quote["venue"], quote["symbol"], quote["bid_price"]) ==
           ("binanceus", "ETH/USDT", "2500.01"), quote)
    expect((alert["rule"], alert["state"], alert["value"]) == ("btc-high", "firing", "90000.5"), alert)
    expect(volume["turnover"] == 7407 and volume["timeframe"] == "1m", volume)
    expect("gap stream=s seq=5" in err and "missing=10" in err, err)
    expect("summary stream=s seen=10 lost=0 first=1 last=10" in err, err)


def reads_a_bus_whose_producer_was_killed(bus):
    producer = bus.fill()
    producer.tell("trades 20")
    producer.end("die")
    rows, _ = bus.json("tail", "-n", "5")
    expect([r["seq"] for r in rows] == [16, 17, 18, 19, 20], rows)


def changes_nothing_on_the_bus(bus):
    producer = bus.fill()
    producer.tell("trades 20")

    def state():
        files = {}
        for name in sorted(os.listdir(bus.directory)):
            path = os.path.join(bus.directory, name)
            with open(path, "rb") as file:
                files[name] = (file.read(), os.stat(path).st_mtime_ns)
        return files

    before = state()
    bus.run("tail", "--from", "oldest")
    expect(before == state(), "files of the bus changed")


def starts_and_ends_where_it_is_told(bus):
    producer = bus.fill()
    producer.tell("trades 50")

    def seqs(*arguments):
        return [r["seq"] for r in bus.json("tail", *arguments)[0]]

    expect(seqs() == list(range(41, 51)), "the last ten")
    expect(seqs("-n", "0") == [], "none")
    expect(seqs("-n", "3", "--where", "side == buy") == [45, 47, 49], "the last three that match")
    expect(seqs("--from", "48") == [48, 49, 50], "--from a sequence")
    expect(seqs("--from", "newest") == [], "--from newest")
    expect(seqs("--to", "2") == [1, 2], "--to")
    expect(seqs("--from=7", "--to=9") == [7, 8, 9], "both")
    expect(seqs("--from", "10", "--count", "2") == [10, 11], "--count")
    expect(len(seqs("--from", "-5m")) == 50, "--from five minutes ago")
    expect(seqs("--from", "2100-01-01T00:00") == [], "--from the future")
    expect(seqs("--to", "2000-01-01") == [], "--to the past")


def filters_and_selects(bus):
    producer = bus.fill()
    producer.tell("sample")
    rows, _ = bus.json("tail", "--symbol", "ETH/*", "--fields", "seq,bid_price,side")
    expect(rows == [{"seq": 2, "bid_price": "2500.01", "side": None}], rows)
    rows, _ = bus.json("tail", "--venue", "binance", "--type", "trade,candle")
    expect([r["type"] for r in rows] == ["trade", "candle"], rows)
    rows, _ = bus.json("tail", "--where", "price > 60000 and price < 60000.011")
    expect([r["seq"] for r in rows] == [1], rows)
    out, _ = bus.run("tail", "--format", "csv", "--from", "oldest")
    rows = list(csv.DictReader(io.StringIO(out)))
    expect(len(rows) == 10 and rows[0]["price"] == "60000.01" and rows[1]["ask_size"] == "0.01", rows)
    raw, _ = bus.run("tail", "--format", "raw", "--type", "trade", "--from", "oldest")
    expect(len(raw) == 64 and struct.unpack_from("<q", raw, 32)[0] == 6000001, raw)
    out, _ = bus.run("tail", "--from", "oldest")
    expect("60000.01" in out and "\033" not in out and " gap " not in out, out)


def follows_merges_and_counts(bus):
    one, two = bus.fill("one"), bus.fill("two")
    for _ in range(5):
        one.tell("trades 1")
        two.tell("trades 1")
    rows, _ = bus.json("tail")
    expect([r["stream"] for r in rows] == ["one", "two"] * 5, rows)
    tail = bus.start("tail", "--json", "-f", "-n", "1")
    expect([json.loads(tail.stdout.readline())["seq"] for _ in range(2)] == [5, 5], "start")
    two.tell("trades 1")
    row = json.loads(tail.stdout.readline())
    expect((row["stream"], row["seq"]) == ("two", 6), row)
    three = bus.fill("three")  # a stream that appears later
    three.tell("trades 1")
    row = json.loads(tail.stdout.readline())
    expect((row["stream"], row["seq"]) == ("three", 1), row)
    status, _, err = stop(tail)
    expect(status == 0 and "summary stream=two seen=2 lost=0 first=5 last=6" in err, status, err)


def tells_what_was_lost(bus):
    producer = bus.fill(capacity=64)
    producer.tell("trades 200")
    rows, err = bus.json("tail", "--from", "1", status=75)
    got = [r["seq"] for r in rows]
    lost = 200 - len(got)
    expect(got == list(range(lost + 1, 201)), got)
    expect(f"overrun stream=s lost={lost} next={lost + 1}" in err, err)
    expect(f"summary stream=s seen={len(got)} lost={lost}" in err, err)
    # A tail that was stopped while the ring went round.
    tail = bus.start("tail", "--json", "-f", "--from", "newest")
    # Publish until it is seen to follow: then it is known to be attached.
    first = None
    for _ in range(1000):
        producer.tell("trades 1")
        if select.select([tail.stdout], [], [], 0.05)[0]:
            first = json.loads(tail.stdout.readline())["seq"]
            break
    tail.send_signal(signal.SIGSTOP)
    last = producer.tell("trades 5000")
    tail.send_signal(signal.SIGCONT)
    seqs = [first]
    while seqs[-1] != last:
        seqs.append(json.loads(tail.stdout.readline())["seq"])
    status, _, err = stop(tail)
    lost = last - first + 1 - len(seqs)
    expect(status == 75 and lost > 4000 and f"lost={lost} " in err, status, lost, err)


def says_when_producers_come_and_go(bus):
    producer = bus.fill()
    producer.tell("trades 1")
    tail = bus.start("tail", "--json", "-f")
    tail.stdout.readline()
    producer.end("die")
    expect("died" in tail.stderr.readline(), "death")
    bus.fill().tell("trades 1")
    row = json.loads(tail.stdout.readline())
    expect(row["seq"] == 2, row)
    expect("is back" in tail.stderr.readline(), "return")
    expect(stop(tail)[0] == 0, "exit")


def is_quiet_when_its_reader_leaves(bus):
    producer = bus.fill(capacity=4096)
    producer.tell("trades 4000")
    shell = subprocess.run(["bash", "-c", '"$@" | head -n 1; echo "${PIPESTATUS[0]}"', "bash",
                            *bus.command("tail", "--from", "oldest")],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE, text=True)
    lines = shell.stdout.splitlines()
    expect(len(lines) == 2 and lines[1] == "0" and shell.stderr == "", lines, shell.stderr)


def measures_rates(bus):
    producer = bus.fill(capacity=4096)
    producer.tell("trades 1")
    rows, _ = bus.json("tail", "--rate", "--count", "1")
    expect(rows[0]["stream"] == "s" and rows[0]["records_per_second"] == "0.0", rows)


def colours_only_for_people(bus):
    bus.fill().tell("sample")

    def on_terminal(**environment):
        here, there = pty.openpty()
        tail = subprocess.Popen(bus.command("tail", "--once"), stdout=there, stderr=subprocess.DEVNULL,
                                env={**os.environ, "TERM": "xterm", **environment})
        os.close(there)
        text = b""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                part = os.read(here, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            text += part
        os.close(here)
        expect(tail.wait(DEADLINE) == 0, "exit")
        return text

    expect(b"\033[32m" in on_terminal(), "no colour on a terminal")
    expect(b"\033" not in on_terminal(NO_COLOR="1"), "NO_COLOR")
    expect(b"\033" not in on_terminal(TERM="dumb"), "TERM=dumb")


def refuses_with_one_clear_line(bus):
    bus.fill().tell("trades 1")

    def refused(status, *arguments):
        _, err = bus.run("tail", *arguments, status=status)
        lines = [line for line in err.splitlines() if "--help lists" not in line]
        expect(len(lines) == 1 and lines[0].startswith("tickbus tail: "), err)
        return lines[0]

    expect("lots" in refused(64, "--type", "lots"), "type")
    refused(64, "--where", "price >")
    refused(64, "--from", "yesterday-ish")
    refused(64, "--format", "xml")
    refused(64, "--fields", "prise")
    refused(64, "--frobnicate")
    refused(64, "--once", "-f")
    refused(64, "--from", "1000000")
    refused(64, "No Name")
    refused(69, "../etc/no")
    refused(69, "nosuch")
    expect("there are: t" in refused(69, "--bus", "other"), "names what is there")


def reads_past_damaged_rings(bus):
    bus.fill("good").tell("trades 3")
    bus.fill("cut").tell("trades 3")
    bus.fill("hostile").tell("trades 3")
    for name, damage in (("cut", lambda f: f.truncate(5000)),
                         ("hostile", lambda f: (f.seek(24), f.write(b"\xff" * 8)))):
        # A copy, so that the living producer is left alone.
        path = os.path.join(bus.directory, name + ".ring")
        with open(path, "rb") as file:
            content = file.read()
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(content)
            damage(file)
        os.chmod(path, 0o640)
    with open(os.path.join(bus.directory, "empty.ring"), "wb"):
        pass
    rows, err = bus.json("tail", status=74)
    expect([(r["stream"], r["seq"]) for r in rows] == [("good", 1), ("good", 2), ("good", 3)], rows)
    for name in ("cut", "hostile", "empty"):
        expect(err.count(f"unreadable stream={name}: ") == 1, err)


def survives_truncation_under_it(bus):
    producer = bus.fill(capacity=4096)
    producer.tell("trades 4000")
    path = os.path.join(bus.directory, "s.ring")
    tail = bus.start("tail", "--json", "-f", "-n", "1")
    expect(json.loads(tail.stdout.readline())["seq"] == 4000, "start")
    producer.process.send_signal(signal.SIGSTOP)  # it shares the file, and is not the subject
    os.truncate(path, SLOTS)
    producer.process.kill()
    expect("damaged stream=s" in tail.stderr.readline(), "says so")
    status, _, _ = stop(tail)
    expect(status == 74, status)


def helps(bus):
    out, _ = bus.run("tail", "--help")
    expect(len(out.splitlines()) < 50 and "--where" in out and "Exit:" in out, out)
    out, _ = bus.run("tail", "--version")
    expect(out.startswith("tickbus tail "), out)


main([prints_every_record_type_as_json, reads_a_bus_whose_producer_was_killed,
      changes_nothing_on_the_bus, starts_and_ends_where_it_is_told, filters_and_selects,
      follows_merges_and_counts, tells_what_was_lost, says_when_producers_come_and_go,
      is_quiet_when_its_reader_leaves, measures_rates, colours_only_for_people,
      refuses_with_one_clear_line, reads_past_damaged_rings, survives_truncation_under_it, helps])
