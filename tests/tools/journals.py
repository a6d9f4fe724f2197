#!/usr/bin/env python3
"""The tools for journals: import, export, journal ls, verify, tail and replay, on made-up sessions. What they say
is held against a reader in Python (tests/journal_reader.py) and candles worked out in Python."""

import csv
import decimal
import glob
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import journal_reader
import made
from bus import DEADLINE, main, program, stop, until

RECORDS = 6000
FEED, CANDLES, DONE = made.session(RECORDS)


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def run(tool, *arguments, status=0, binary=False, **more):
    done = subprocess.run([program(tool), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=DEADLINE, **more)
    if done.returncode != status:
        raise AssertionError(f"{tool} {arguments}: exit {done.returncode}, not {status}\n"
                             f"{done.stderr.decode()}{done.stdout.decode(errors='replace')[-2000:]}")
    return (done.stdout if binary else done.stdout.decode()), done.stderr.decode()


def rows(text):
    return [json.loads(line, parse_float=decimal.Decimal) for line in text.splitlines()]


def imported(bus, name="j", feed=FEED, candles=CANDLES, *more):
    """A journal of both streams; its base directory."""
    base = os.path.join(bus.base, name)
    for stream, made_rows in (("feed", feed), ("candles", candles)):
        path = os.path.join(bus.base, stream + ".jsonl")
        made.write(path, made_rows)
        run("import", path, "--into", base, "--bus", "t", "--segment-bytes", "1MiB", *more)
    return base


def segments(base, stream="feed"):
    return sorted(glob.glob(os.path.join(base, "t", stream, "*.tbj*")))


def raw(path):
    return run("tail", path, "--from", "oldest", "--format", "raw", binary=True)[0]


def raw_of_python(path):
    return b"".join(record for _, _, record in journal_reader.walk(path))


# ---- reading ----

def a_reader_in_another_language_gives_the_same(bus):
    base = imported(bus)
    for stream in ("feed", "candles"):
        directory = os.path.join(base, "t", stream)
        expect(raw(directory) == raw_of_python(directory), stream)
        for segment in segments(base, stream):
            expect(raw(segment) == raw_of_python(segment), segment)
    out, _ = run("tail", os.path.join(base, "t", "feed"), "--from", "oldest", "--json")
    told = rows(out)
    wanted = list(journal_reader.walk(os.path.join(base, "t", "feed")))
    expect(len(told) == len(wanted) == RECORDS, len(told), len(wanted))
    tables = {}
    for row, (segment, seq, record) in zip(told, wanted):
        table = tables.setdefault(id(segment), segment.entries())
        entry = table[struct.unpack_from("<H", record, 24)[0]]
        venue, symbol = (entry[a:b].rstrip(b"\0").decode() for a, b in ((0, 24), (24, 64)))
        price_exp, size_exp = struct.unpack_from("<bb", entry, 184)
        price, size, number = struct.unpack_from("<qqQ", record, 32)
        kind = {1: ("trade", "trade_id"), 3: ("level", "update_id")}[record[26]]
        expect((row["stream"], row["seq"], row["type"], row["venue"], row["symbol"]) ==
               (segment.stream, seq, kind[0], venue, symbol), row)
        expect(row["price"] == decimal.Decimal(price).scaleb(price_exp) and row[kind[1]] == number and
               row["size"] == decimal.Decimal(size).scaleb(size_exp), row)


def compress(path):
    """As facebook/zstd's seekable format: a frame per 64 pages, and a table of them in a skippable frame."""
    with open(path, "rb") as file:
        data = file.read()
    frames, table = b"", b""
    step = 64 * journal_reader.PAGE
    for at in range(0, len(data), step):
        frame = subprocess.run(["zstd", "-qc"], input=data[at:at + step], stdout=subprocess.PIPE, check=True).stdout
        frames += frame
        table += struct.pack("<II", len(frame), len(data[at:at + step]))
    footer = struct.pack("<IBI", len(table) // 8, 0, 0x8F92EAB1)
    with open(path + ".zst", "wb") as file:
        file.write(frames + struct.pack("<II", 0x184D2A5E, len(table) + len(footer)) + table + footer)
    os.unlink(path)


def compressed_segments_are_the_same(bus):
    if shutil.which("zstd") is None:
        return
    base = imported(bus)
    directory = os.path.join(base, "t", "feed")
    before = raw(directory)
    for segment in segments(base):
        compress(segment)
    expect(raw(directory) == before and raw_of_python(directory) == before, "compressed")
    listed = rows(run("journal-ls", base, "--json")[0])
    expect(all(s["compressed"] and s["bytes"] < s["bytes_plain"] for s in listed if s["stream"] == "feed"), listed)
    run("verify", base)


def tail_shows_journals_as_streams(bus):
    base = imported(bus)
    directory = os.path.join(base, "t", "feed")

    def seqs(*arguments, path=directory, status=0):
        return [r["seq"] for r in rows(run("tail", path, "--json", *arguments, status=status)[0])]

    trades = [r["seq"] for r in FEED if r["type"] == "trade"]
    expect(seqs() == list(range(RECORDS - 9, RECORDS + 1)), "the last ten")
    expect(seqs("-n", "25", "--type", "trade") == trades[-25:], "the last that match")
    expect(seqs("-n", "7", "--where", "trade_id == 1003") == [r["seq"] for r in FEED if r.get("trade_id") == 1003],
           "far back")
    expect(seqs("--from", "100", "--to", "104") == list(range(100, 105)), "sequences")
    expect(seqs("--from", "newest") == [], "newest")
    expect(len(seqs("--from", "1", path=segments(base)[0])) > 1000, "one segment")
    time_of = [r["ts_recv"] for r in FEED if r.get("seq") == 3000][0]
    expect(abs(seqs("--from", time_of)[0] - 3000) <= 1, "a time")
    both = rows(run("tail", base, "--from", "oldest", "--json")[0])
    expect({r["stream"] for r in both} == {"feed", "candles"} and
           len(both) == sum(r["type"] != "instrument" for r in FEED + CANDLES), "all streams below")
    run("tail", os.path.join(bus.base, "none", "x"), status=69)


def tail_follows_a_journal(bus):
    half = [r for r in FEED if r.get("seq", 0) <= 3000]
    base = imported(bus, "j", half, CANDLES)
    tail = subprocess.Popen([program("tail"), os.path.join(base, "t", "feed"), "-f", "--json", "-n", "1"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    bus.started.append(tail)
    expect(json.loads(tail.stdout.readline())["seq"] == 3000, "start")
    imported(bus, "j", FEED, CANDLES)  # what is there is passed over
    got = [json.loads(tail.stdout.readline())["seq"] for _ in range(3000)]
    expect(got == list(range(3001, 6001)), got[:3], got[-3:])
    expect(stop(tail)[0] == 0, "exit")


def ls_tells_what_is_there(bus):
    base = imported(bus)
    listed = rows(run("journal-ls", base, "--json", "--verify")[0])
    for stream, made_rows in (("feed", FEED), ("candles", CANDLES)):
        mine = [s for s in listed if s["stream"] == stream]
        count = sum(r["type"] != "instrument" for r in made_rows)
        expect(sum(s["records"] for s in mine) == count and mine[0]["first_seq"] == 1 and
               mine[-1]["last_seq"] == count, mine)
        expect(all(s["closed"] and s["damaged_pages"] == 0 and s["bus"] == "t" for s in mine), mine)
        expect([s["file"] for s in mine] == [os.path.basename(p) for p in segments(base, stream)], mine)
    text, _ = run("journal-ls", "--journal", base, "t")
    expect("closed" in text and "2 streams" in text, text)
    expect(run("journal-ls", base)[0] == text.replace(base + "/t/", base + "/t/"), text)
    front = subprocess.run([os.path.join(os.path.dirname(program("x")), "tickbus"), "journal", "ls", base],
                           stdout=subprocess.PIPE, timeout=DEADLINE)
    expect(front.returncode == 0 and front.stdout.decode() == text, "two words")
    run("journal-ls", os.path.join(bus.base, "t"), status=69)


def ls_tells_what_was_set_aside(bus):
    base = imported(bus)
    whole, _ = run("journal-ls", base)
    expect("set aside" not in whole, whole)
    spoilt = segments(base)[-1]
    names = [os.path.basename(spoilt) + end for end in (".damaged", ".damaged-2")]
    for name in names:
        shutil.copy(spoilt, os.path.join(os.path.dirname(spoilt), name))
    listed = [s for s in rows(run("journal-ls", base, "--json")[0]) if s["set_aside"]]
    expect([s["file"] for s in listed] == names and all(s["stream"] == "feed" and s["bytes"] > 0 for s in listed), listed)
    text, _ = run("journal-ls", base)
    expect(all("set aside: " + name + " " in text for name in names) and "2 files set aside" in text, text)
    look = text.splitlines()[-1].split("&&")
    copy = look[0].split()
    expect(copy[0] == "cp" and os.path.exists(copy[1]) and look[1].split()[:2] == ["tickbus", "verify"], text)
    again = os.path.join(bus.base, os.path.basename(copy[2]))
    shutil.copy(copy[1], again)
    run("verify", again)
    # Where nothing else is left, too.
    for segment in segments(base):
        if segment.endswith(".tbj"):
            os.unlink(segment)
    text, _ = run("journal-ls", base)
    expect(all(name in text for name in names) and "t/feed  " in text and "2 streams" in text, text)


# ---- out and back ----

def round_trips_are_equal(bus):
    base = imported(bus)
    for stream in ("feed", "candles"):
        directory = os.path.join(base, "t", stream)
        for form in (["x.jsonl"], ["x.csv"], ["x.parquet"], ["y.parquet", "--compression", "none"]):
            path = os.path.join(bus.base, form[0])
            run("export", directory, "-o", path, *form[1:])
            again = os.path.join(bus.base, "again-" + form[0] + stream)
            run("import", path, "--into", again, "--bus", "t", "--segment-bytes", "1MiB")
            expect(raw(os.path.join(again, "t", stream)) == raw(directory), stream, form)
            for one, two in zip(segments(base, stream), segments(again, stream)):
                one, two = journal_reader.Segment(one), journal_reader.Segment(two)
                expect(one.entries() == two.entries() and one.first == two.first, form)


def exports_select(bus):
    directory = os.path.join(imported(bus), "t", "feed")
    out, err = run("export", directory, "--type", "trade", "--symbol", "BTC/*", "--from", "1000", "--to", "2000",
                   "--fields", "seq,price,side", "--format", "csv")
    wanted = [(str(r["seq"]), r["price"], r["side"]) for r in FEED
              if r["type"] == "trade" and r["instrument"] == 1 and 1000 <= r["seq"] <= 2000]
    got = [(r["seq"], decimal.Decimal(r["price"]), r["side"]) for r in csv.DictReader(out.splitlines())]
    expect(got == wanted, len(got), len(wanted))
    expect(f"{len(wanted)} records" in err, err)
    chosen = os.path.join(bus.base, "chosen.parquet")
    run("export", directory, "--fields", "seq,price", "-o", chosen)
    _, err = run("import", chosen, "--into", os.path.join(bus.base, "k"), status=78)
    expect("--fields" in err, err)
    run("export", directory, "--fields", "prise", status=64)
    run("export", os.path.join(bus.base, "t"), status=69)
    expect(os.listdir(bus.base).count("chosen.parquet.part") == 0, "no half file stays")


def imports_name_the_line_that_is_wrong(bus):
    path = os.path.join(bus.base, "bad.jsonl")
    for change, word in ((lambda r: r.update(price=decimal.Decimal("1.001")), "price"),
                         (lambda r: r.update(type="deal"), "type"),
                         (lambda r: r.update(instrument=9), "no instrument"),
                         (lambda r: r.update(seq=1), "sequence 1 comes after")):
        bad = [dict(r) for r in FEED[:50]]
        trade = next(i for i in range(20, 50) if bad[i]["type"] == "trade")
        change(bad[trade])
        made.write(path, bad)
        _, err = run("import", path, "--into", os.path.join(bus.base, "k" + word[:2]), status=78)
        expect(f"bad.jsonl:{trade + 1}: " in err and word in err, err)
    for text in ("{", '{"seq":1', "[]", '{"seq":{}}', "nonsense", '{"a":1}', "{}", "", '{"seq":"1","seq"}'):
        with open(path, "w") as file:
            file.write(text)
        run("import", path, "--into", os.path.join(bus.base, "k"), status=78)
        run("import", path, "--format", "csv", "--into", os.path.join(bus.base, "k"), status=78)
        run("import", path, "--format", "parquet", "--into", os.path.join(bus.base, "k"), status=78)


def damaged_parquet_never_crashes(bus):
    directory = os.path.join(imported(bus), "t", "candles")
    path = os.path.join(bus.base, "x.parquet")
    run("export", directory, "-o", path)
    with open(path, "rb") as file:
        good = file.read()
    step = int(os.environ.get("STEP", 997))
    for at in list(range(0, len(good), len(good) // 20 + 1)) + list(range(len(good) - 4000, len(good), step)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1:]):
            with open(path, "wb") as file:
                file.write(bad)
            done = subprocess.run([program("import"), path, "--into", "bus", "--directory", bus.base, "--bus", "t",
                                   "--stream", "x"], stderr=subprocess.PIPE, timeout=DEADLINE)
            expect(done.returncode in (0, 74, 78), done.returncode, at, done.stderr)


def imports_onto_a_bus(bus):
    path = os.path.join(bus.base, "feed.jsonl")
    made.write(path, FEED)
    run("import", path, "--into", "bus", "--directory", bus.base, "--bus", "t", "--capacity", "8192")
    out, _ = run("tail", "--directory", bus.base, "--bus", "t", "feed", "--from", "oldest", "--json")
    got = [(r["seq"], r["type"], r["symbol"]) for r in rows(out)]
    wanted = [(r["seq"], r["type"], made.MARKETS[r["instrument"] - 1][0]) for r in FEED if r["type"] != "instrument"]
    expect(got == wanted, len(got))
    bus.fill("busy")
    _, err = run("import", path, "--into", "bus", "--directory", bus.base, "--bus", "t", "--stream", "busy", status=69)
    expect("busy" in err, err)


# ---- verify ----

def verify_json(base, *more, status=0):
    lines = rows(run("verify", base, "--json", *more, status=status)[0])
    return lines[-1], lines[:-1]


def what_is_right_is_found_right(bus):
    totals, found = verify_json(imported(bus))
    made_count = sum(len(c) for c in DONE.values())
    expect(found == [] and totals["ok"], found)
    expect(totals["records"] == sum(r["type"] != "instrument" for r in FEED + CANDLES), totals)
    expect(totals["candles_recorded"] == made_count and totals["candles_equal"] == made_count, totals, made_count)
    expect(totals["trades_chained"] == totals["trades"] - 2, totals)
    text, _ = run("verify", imported(bus))
    expect(text.endswith("all is right\n"), text)


def renumbered(made_rows):
    number, out = 0, []
    for row in made_rows:
        if row["type"] != "instrument":
            number += 1
            row = {**row, "seq": number}
        out.append(row)
    return out


def what_is_wrong_is_found(bus):
    def kinds(feed, candles, name):
        totals, found = verify_json(imported(bus, name, feed, candles), status=1)
        expect(not totals["ok"], totals)
        return {f["finding"] for f in found}, found

    trade = [i for i, r in enumerate(FEED) if r["type"] == "trade"][500]
    without = renumbered(FEED[:trade] + FEED[trade + 1:])
    found, what = kinds(without, CANDLES, "a")
    expect({"trades", "candle"} <= found, what)
    twice = renumbered(FEED[:trade] + [FEED[trade]] + FEED[trade:])
    expect("trades" in kinds(twice, CANDLES, "b")[0], "twice")
    candle = [i for i, r in enumerate(CANDLES) if r["type"] == "candle"][40]
    for field, value in (("high", decimal.Decimal("70000.01")), ("open", decimal.Decimal("1"))):
        changed = [dict(r) for r in CANDLES]
        changed[candle][field] = value
        found, what = kinds(FEED, changed, "c" + field)
        expect(found == {"candle"} and len(what) == 1 and field in what[0]["what"], what)
    absent = renumbered(CANDLES[:candle] + CANDLES[candle + 2:])
    found, what = kinds(FEED, absent, "d")
    expect(found == {"candle"} and "not recorded" in what[0]["what"], what)
    level = [i for i, r in enumerate(FEED) if r["type"] == "level"][300]
    back = [dict(r) for r in FEED]
    back[level]["update_id"] = 1
    expect(kinds(back, CANDLES, "e")[0] == {"book"}, "book")
    hole = [r for r in FEED if r.get("seq") != 3000]
    expect("sequence" in kinds(hole, CANDLES, "f")[0], "hole")


def damage_is_found_with_its_range(bus):
    base = imported(bus)
    path = segments(base)[0]
    segment = journal_reader.Segment(path)
    page = segment.data_page + 7
    with open(path, "r+b") as file:
        file.seek(page * journal_reader.PAGE + 1234)
        byte = file.read(1)[0]
        file.seek(page * journal_reader.PAGE + 1234)
        file.write(bytes([byte ^ 4]))
    first = segment.first + 63 * 7
    totals, found = verify_json(base, status=1)
    expect(any(f"sequences {first} to {first + 62}" in f["what"] for f in found), found)
    expect(totals["pages_damaged"] == 1 and not any(f["finding"] in ("trades", "candle") for f in found), found)
    walked = list(journal_reader.walk(os.path.join(base, "t", "feed")))
    holes = [where for _, seq, where in walked if seq is None]
    left = [seq for _, seq, _ in walked if seq is not None]
    expect(holes == [(first, first + 62)] and len(left) == RECORDS - 63, holes)
    out, err = run("tail", os.path.join(base, "t", "feed"), "--from", "oldest", "--json", status=75)
    expect([r["seq"] for r in rows(out)] == left and f"from={first} to={first + 62}" in err, err)
    _, err = run("export", os.path.join(base, "t", "feed"), "-o", os.path.join(bus.base, "x.csv"), status=75)
    expect(f"{first} to {first + 62}" in err and "63 missing" in err, err)
    run("journal-ls", base, "--verify", status=1)


def a_stream_without_a_record_yet_is_no_fault(bus):
    base = imported(bus)
    quiet = os.path.join(base, "t", "quiet")
    os.mkdir(quiet)
    with open(os.path.join(quiet, "lock"), "w", encoding="ascii"):
        pass  # all that there is before the first record
    totals = rows(run("verify", *glob.glob(os.path.join(base, "t", "*")), "--json")[0])[-1]
    expect(totals["ok"] and totals["records"] > 0, totals)
    for program, code in (("verify", 0), ("journal-ls", 0), ("export", 0)):
        run(program, quiet, status=code)
    os.unlink(os.path.join(quiet, "lock"))
    _, err = run("verify", quiet, status=69)  # any directory, mistyped perhaps
    expect("no journal" in err, err)


def the_database_is_held_against_it(bus):
    base = imported(bus)
    database = os.path.join(bus.base, "x.db")
    where = ["--directory", bus.base, "--bus", "t"]
    for stream in ("feed", "candles"):
        run("replay", *where, "--journal", os.path.join(base, "t", stream), "--stream", stream, "--speed", "max",
            "--capacity", "8192")
    run("persist", *where, "--streams", "feed,candles", "--database", database, "--until-done")
    totals, found = verify_json(base, "--db", database)
    expect(found == [] and totals["rows_equal"] >= sum(len(c) for c in DONE.values()) - 8, totals, found)
    with sqlite3.connect(database) as db:
        db.execute("UPDATE tickbus_sources SET epoch = ?", (made.FEED_EPOCH,))
        db.execute("UPDATE ohlcv_data SET high = high + 1 WHERE timeframe = '1m' AND timestamp ="
                   " (SELECT min(timestamp) + 60 FROM ohlcv_data WHERE timeframe = '1m') AND symbol = 'BTC/USDT'")
    expect(verify_json(base, "--db", database, status=1)[0]["findings"]["database"] == 1, "changed")
    with sqlite3.connect(database) as db:
        db.execute("DELETE FROM tickbus_trades WHERE seq = (SELECT seq FROM tickbus_trades LIMIT 1 OFFSET 99)")
    totals, found = verify_json(base, "--db", database, status=1)
    expect(totals["findings"]["database"] == 2 and any("rows of trades" in f["what"] for f in found), found)
    run("verify", base, "--db", os.path.join(bus.base, "none.db"), status=74)


# ---- replay ----

def replay(bus, directory, *more, stream="p", status=0):
    _, err = run("replay", "--directory", bus.base, "--bus", "t", "--stream", stream, "--journal", directory,
                 "--speed", "max", "--capacity", "8192", *more, status=status)
    return err


def checksum(err):
    return [w for line in err.splitlines() if "ev=replayed" in line for w in line.split() if w.startswith("checksum=")][0]


def same_but_publication(data):
    return hashlib.sha256(b"".join(data[i:i + 28] + data[i + 32:i + 64] for i in range(0, len(data), 64))).hexdigest()


def replay_plays_what_is_there(bus):
    directory = os.path.join(imported(bus), "t", "feed")
    first = replay(bus, directory)
    expect(checksum(first) == checksum(replay(bus, directory, stream="q")), first)
    out, _ = run("tail", "--directory", bus.base, "--bus", "t", "p", "--from", "oldest", "--format", "raw", binary=True)
    expect(same_but_publication(out) == same_but_publication(raw(directory)), len(out))
    part = replay(bus, directory, "--from", "100", "--to", "199", stream="r")
    expect("records=100 " in part and checksum(part) != checksum(first), part)
    only = replay(bus, directory, "--symbols", "ETH/USDT", stream="u")
    expect(f"records={sum(r['instrument'] == 2 and r['type'] != 'instrument' for r in FEED)} " in only, only)
    again = replay(bus, directory)
    expect("ev=continuing" in again and "records=0 " in again and checksum(again) == checksum(first), again)
    bus.fill("busy")
    expect("busy" in replay(bus, directory, stream="busy", status=69), "a living producer")
    replay(bus, directory, "--loop", status=64)
    replay(bus, os.path.join(bus.base, "none"), status=64)


def replay_goes_on_after_kills(bus):
    directory = os.path.join(imported(bus), "t", "feed")
    want = checksum(replay(bus, directory))
    command = [program("replay"), "--directory", bus.base, "--bus", "t", "--stream", "k", "--journal", directory,
               "--speed", "200", "--capacity", "8192", "--rebase-time"]
    seen, moved = 0, None
    for kill in range(5):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

        def count():
            done = subprocess.run([program("tail"), "--directory", bus.base, "--bus", "t", "k", "-n", "1", "--json"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=DEADLINE)
            return json.loads(done.stdout)["seq"] if done.stdout else 0
        until(lambda: count() > seen + 100, "records")
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = count()
    _, err = run("replay", *command[1:-5], "--speed", "max", "--capacity", "8192", "--rebase-time")
    expect(checksum(err) == want and "ev=continuing" in err, err)
    out, _ = run("tail", "--directory", bus.base, "--bus", "t", "k", "--from", "oldest", "--format", "raw", binary=True)
    old = raw(directory)
    expect(len(out) == len(old), len(out), len(old))
    for at in range(0, len(old), 64):
        then, now = (struct.unpack_from("<qq", data, at + 8) for data in (old, out))
        moved = moved or now[1] - then[1]
        expect(now[0] - then[0] == now[1] - then[1] == moved, at // 64)
        expect(old[at + 24:at + 28] == out[at + 24:at + 28] and old[at + 32:at + 64] == out[at + 32:at + 64], at)
    expect(abs(time.time_ns() - struct.unpack_from("<q", out, 16)[0]) < 120 * 10**9, "the first is of now")


def replay_loops_without_going_back(bus):
    directory = os.path.join(imported(bus), "t", "feed")
    process = subprocess.Popen([program("replay"), "--directory", bus.base, "--bus", "t", "--stream", "l", "--journal",
                                directory, "--speed", "max", "--to", "1000", "--loop", "--rebase-time", "--capacity",
                                "4096", "--pace", "gated", "--gates", "g"], stderr=subprocess.DEVNULL)
    bus.started.append(process)
    until(lambda: os.path.exists(os.path.join(bus.directory, "l.ring")), "ring")
    data = until(lambda: (lambda d: d if len(d) >= 3500 * 64 else None)(
        run("tail", "--directory", bus.base, "--bus", "t", "l", "--from", "1", "--to", "3500", "--format", "raw", binary=True)[0]),
        "three passes")
    times = [t for (t,) in struct.iter_unpack("<16xq40x", data)]
    expect(times == sorted(times) and len(set(times)) > 3000, "times")
    for k in range(1000, 3500):
        expect(data[k * 64 + 24:k * 64 + 28] == data[(k - 1000) * 64 + 24:(k - 1000) * 64 + 28] and
               data[k * 64 + 32:k * 64 + 64] == data[(k - 1000) * 64 + 32:(k - 1000) * 64 + 64], k)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE)


def replay_tells_holes_as_gaps(bus):
    base = imported(bus, "h", [r for r in FEED if not 2000 <= r.get("seq", 0) < 2100])
    err = replay(bus, os.path.join(base, "t", "feed"))
    expect("ev=journal_damaged from=2000 to=2099" in err and "lost=100" in err, err)
    gaps = rows(run("tail", "--directory", bus.base, "--bus", "t", "p", "--from", "oldest", "--json", "--type", "gap")[0])
    expect([(g["channel"], g["from"], g["to"], g["missing"]) for g in gaps] == [("input", 2000, 2099, 100)], gaps)


main([a_reader_in_another_language_gives_the_same, compressed_segments_are_the_same, tail_shows_journals_as_streams,
      tail_follows_a_journal, ls_tells_what_is_there, ls_tells_what_was_set_aside, round_trips_are_equal, exports_select,
      imports_name_the_line_that_is_wrong, damaged_parquet_never_crashes, imports_onto_a_bus,
      what_is_right_is_found_right, what_is_wrong_is_found, damage_is_found_with_its_range,
      a_stream_without_a_record_yet_is_no_fault,
      the_database_is_held_against_it, replay_plays_what_is_there, replay_goes_on_after_kills,
      replay_loops_without_going_back, replay_tells_holes_as_gaps])
