#!/usr/bin/env python3
"""tickbus-candles on a real bus: recorded trades in, and candles out that no kill changes."""
import glob
import gzip
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from decimal import Decimal

sys.path.insert(0, os.path.dirname(__file__))
from buslook import BUILD, Bus, Failed, SOURCE, check, end, log_of, run_tests, stop, until  # noqa: E402

SEED = int(os.environ.get("TB_SEED", str(random.SystemRandom().randrange(1 << 32))))
ROUNDS = int(os.environ.get("ROUNDS", "40"))
print("seed", SEED)
CANDLES = "tickbus-candles"
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
OUT = "--capacity=131072"  # holds all that the recording makes
MINUTE = 60_000_000_000
FORMING = 0x02


class Recording:
    def __init__(self):
        self.trades, lines = [], []
        with gzip.open(DEMO, "rb") as f:
            for line in f:
                if b'"e":"trade"' in line:
                    d = json.loads(line.split(b" ", 1)[1])["data"]
                    self.trades.append((d["T"] * 1_000_000, Decimal(d["p"]), Decimal(d["q"])))
                    lines.append("T %d %s %s %s\n" % (d["T"] * 1_000_000, d["p"], d["q"], "A" if d["m"] else "B"))
                elif b'"e":"depthUpdate"' in line:
                    lines.append("Q %d\n" % (json.loads(line.split(b" ", 1)[1])["data"]["E"] * 1_000_000))
        self.text = "".join(lines)


RECORDING = Recording()


def source(bus, stream="feed", capacity=1024, pause_us=0):
    path = os.path.join(bus.base, "recording")
    if not os.path.exists(path):
        with open(path, "w", encoding="ascii") as f:
            f.write(RECORDING.text)
    log = open(os.path.join(bus.base, stream + ".log"), "wb")
    p = subprocess.Popen([os.path.join(BUILD, "tests", "candles_source"), bus.dir, stream, str(capacity),
                          str(pause_us), path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    p.log = log.name
    bus.processes.append(p)
    return p


def output(bus, stream="candles"):
    """Per input: the records, with the entry in the place of its id; neither sequence nor delta."""
    with open(bus.path(stream + ".ring"), "rb") as f:
        f.seek(4096)
        table = f.read(1024 * 192)
    found = {}
    records = bus.ring(stream).records
    check(struct.unpack_from("<Q", records[0])[0] == 1, "the ring was too small for this test")
    open_pair = None
    for r in records:
        (instrument,) = struct.unpack_from("<H", r, 24)
        entry = table[192 * (instrument - 1):192 * instrument]
        made_of = entry[104:136].split(b"\0")[0].decode()
        kind = r[26] & 0xF8
        check((kind == 0x30) == (open_pair == (made_of, r[26] & 7)), "a pair is torn at", r.hex())
        open_pair = (made_of, r[26] & 7) if kind == 0x20 else None
        found.setdefault(made_of, []).append((struct.unpack_from("<bb", entry, 184), r[8:24], r[26:28], r[32:]))
    check(open_pair is None, "the last pair is torn")
    return found


def minutes(records):
    """The 1m candles as decimals: the completed ones, and of the last minute the last forming one."""
    found = {}
    for (exps, times, kind, prices), (_, _, _, volumes) in zip(records[::2], records[1::2]):
        if kind[0] != 0x21:
            continue
        start = struct.unpack("<qq", times)[0]
        volume, low, trades, high, _ = struct.unpack("<qQIiq", volumes)
        row = [Decimal(v).scaleb(exps[0]) for v in struct.unpack("<4q", prices)]
        row += [Decimal(volume).scaleb(exps[1]), Decimal((high << 64) + low).scaleb(sum(exps)), trades]
        if not kind[1] & FORMING:
            check(start not in found or found[start][0], "completed twice:", start)
        found[start] = (bool(kind[1] & FORMING), row)
    return found


def minutes_of_the_recording():
    found = {}
    for time_ns, price, size in RECORDING.trades:
        c = found.setdefault(time_ns - time_ns % MINUTE, [price, price, price, price, 0, 0, 0])
        c[1], c[2], c[3] = max(c[1], price), min(c[2], price), price
        c[4], c[5], c[6] = c[4] + size, c[5] + price * size, c[6] + 1
    return found


def check_facts(records):
    wanted, found = minutes_of_the_recording(), minutes(records)
    check({k: v[1] for k, v in found.items()} == wanted, "candles differ from the recording's")
    check([f for f, _ in found.values()] == [False] * (len(found) - 1) + [True], "forming")


def undisturbed(*args, streams=("feed",)):
    """What a run without kills makes."""
    with Bus() as bus:
        sources = [source(bus, s) for s in streams]
        p = bus.start(CANDLES, "--streams=" + ",".join(streams), "--until-done", OUT, *args)
        for q in sources + [p]:
            end(q, deadline=60)
        check(bus.ring("candles").state == "done", bus.ring("candles").state)
        return output(bus)


PLAIN = undisturbed()["feed"]


def candles_equal_those_of_the_recording():
    check_facts(PLAIN)
    check_facts(undisturbed("--forming-every=0")["feed"])


def forming_candles_come_on_change_and_keep_their_distance():
    count, last, changed = 0, 0, False
    for line in RECORDING.text.splitlines():
        kind, now = line.split()[:2]
        now = int(now)
        changed = changed or (kind == "T")
        if changed and abs(now - last) >= 100_000_000 and (kind == "T" or last):
            count, last, changed = count + 1, now, False
    for timeframe in range(8):
        found = sum(1 for r in PLAIN[::2] if r[2] == bytes((0x20 + timeframe, FORMING)))
        check(found == count + changed, "timeframe", timeframe, "was given out", found, "times, not", count + changed)
    without = undisturbed("--forming-every=0")["feed"]
    completed = [r for r in PLAIN if not r[2][1] & FORMING]
    check(completed == [r for r in without if not r[2][1] & FORMING], "completed ones depend on the forming")
    check(len(without) - len(completed) == 2 * 8, "at drain", len(without) - len(completed))


def run_with_kills(bus, rng, command, sources, rounds, other=()):
    """Kill again and again until `rounds` or the recording are over, then let it end. How often was it SIGTERM?"""
    asked = 0
    p = bus.start(*command)
    for done in range(rounds):
        time.sleep(rng.uniform(0.001, 0.03))
        if all(s.poll() is not None for s in sources):
            check(done >= rounds * 3 // 4, "the recording was over after", done, "of", rounds, "kills")
            break
        check(p.poll() is None, "it ended by itself:\n" + log_of(p))
        if other and rng.random() < 0.3:
            p.send_signal(signal.SIGTERM)
            check(p.wait(20) in (0, -signal.SIGTERM), "exit", p.returncode, log_of(p))
            asked += p.returncode == 0  # else it was too young to know the signal
        else:
            p.kill()
            p.wait()
        p = bus.start(*command)
    for q in sources + [p]:
        end(q, deadline=90)
    return asked


def killed_at_random_nothing_is_lost_or_doubled():
    rng = random.Random(SEED)
    with Bus() as bus:
        sources = [source(bus, pause_us=20 * ROUNDS)]
        run_with_kills(bus, rng, [CANDLES, "--streams=feed", "--until-done", OUT], sources, ROUNDS)
        check(output(bus)["feed"] == PLAIN, "the output differs from that of a run without kills")
        again = bus.start(CANDLES, "--streams=feed", "--until-done", OUT)
        end(again)  # it was complete: nothing is made twice
        check(output(bus)["feed"] == PLAIN, "a start after the end made more")


def killed_with_two_inputs_each_is_as_without_kills():
    rng = random.Random(SEED + 1)
    with Bus() as bus:
        sources = [source(bus, "a", 256, 20 * ROUNDS), source(bus, "b", 4096, 20 * ROUNDS)]
        run_with_kills(bus, rng, [CANDLES, "--streams=a,b", "--until-done", "--capacity=262144",
                                  "--checkpoint-every=5ms"], sources, ROUNDS)
        found = output(bus)
        check(found["a"] == PLAIN and found["b"] == PLAIN, "the output differs from that of a run without kills")


def killed_and_stopped_in_turn_no_completed_candle_is_lost_or_doubled():
    rng = random.Random(SEED + 2)
    with Bus() as bus:
        sources = [source(bus, pause_us=20 * ROUNDS)]
        stops = run_with_kills(bus, rng, [CANDLES, "--streams=feed", "--until-done", OUT], sources, ROUNDS, other=True)
        found = output(bus)["feed"]
        completed = [r for r in found if not r[2][1] & FORMING]
        check(completed == [r for r in PLAIN if not r[2][1] & FORMING], "after", stops, "stops completed candles differ")
        check_facts(found)


def stopped_it_gives_out_what_is_forming():
    with Bus() as bus:
        s = source(bus, pause_us=1000)
        p = bus.start(CANDLES, "--streams=feed", "--forming-every=0", OUT)
        until(lambda: bus.stats("candles") and bus.stats("candles").counters.get("trades", 0) > 100, "trades")
        s.send_signal(signal.SIGKILL)
        s.wait()
        stop(p)
        found = minutes(output(bus)["feed"])
        trades = bus.stats("candles").counters["trades"]
        check(sum(row[6] for _, row in found.values()) == trades, "trades in candles", trades)
        check(bus.ring("candles").state == "stopped", bus.ring("candles").state)


def a_lapped_reader_says_so_on_its_stream():
    with Bus() as bus:
        end(bus.start("tickbus-synth", "--count=1000", "--rate=0", "--capacity=256", "--start=2024-01-01"))
        p = bus.start(CANDLES, "--streams=synth")
        until(lambda: bus.stats("candles") and bus.stats("candles").counters.get("records_read") == 256, "read")
        p.send_signal(signal.SIGSTOP)
        end(bus.start("tickbus-synth", "--count=9000", "--rate=0", "--capacity=256", "--start=2024-01-01"))
        p.send_signal(signal.SIGCONT)
        until(lambda: bus.stats("candles").counters.get("records_lost", 0) > 0, "lost")
        stop(p)
        lost = bus.stats("candles").counters["records_lost"]
        gaps = [struct.unpack_from("<QQIIQ", r, 32) for r in bus.ring("candles").records if r[26] == 5]
        check(len(gaps) >= 1 and sum(g[4] for g in gaps) == lost, gaps, lost)
        check(all(g[2] == 7 and g[3] == 4 and g[1] - g[0] + 1 == g[4] for g in gaps), gaps)
        check(gaps[0][0] == 1001, "first lost", gaps)


def what_older_plays_were_made_of_is_gone_and_candles_go_on():
    """A recording is played again and again, each time onto a new bus; its journal is retained for less long than that of the candles."""
    with Bus() as bus:
        journal = os.path.join(bus.base, "journal")
        for play in range(4):
            shutil.rmtree(bus.dir, ignore_errors=True)
            if play == 3:
                for name in glob.glob(os.path.join(journal, "b", "feed", "*.tbj")):
                    os.unlink(name)
            keeper = bus.start("tickbus-journal", "--streams=feed,candles", "--journal", journal, "--segment-size=1MiB")
            p = bus.start(CANDLES, "--streams=feed", "--journal", journal, OUT)
            end(source(bus, pause_us=1000 if play == 3 else 0), deadline=60)
            until(lambda: bus.stats("candles").counters["trades"] >= len(RECORDING.trades), "all trades to be read")
            stop(p)
            stop(keeper)
            if play < 3:
                continue
            made = minutes(output(bus)["feed"])
            wanted = minutes_of_the_recording()
            late = sorted(wanted)[1:]  # of the first one a part may have been there before it was known
            check([k for k in late if k not in made or made[k][1] != wanted[k]] == [], len(made), "minutes of", len(wanted), log_of(p))
            check("ev=past_gone stream=feed" in log_of(p), log_of(p))


def a_killed_synth_continues_exactly():
    rng = random.Random(SEED + 3)
    args = ["tickbus-synth", "--rate=100000", "--count=30000", "--capacity=32768", "--symbols=3", "--start=2024-01-01"]
    with Bus() as bus:
        end(bus.start(*args, "--stream=whole", "--rate=100000"))
        p = bus.start(*args)
        for _ in range(20):
            time.sleep(rng.uniform(0.001, 0.02))
            p.kill()
            p.wait()
            p = bus.start(*args)
        end(p)
        a, b = ([r[:28] + r[32:] for r in bus.ring(s).records] for s in ("whole", "synth"))
        check(len(a) == 30000 and a == b, "the records differ", len(a), len(b))
        check(bus.ring("synth").state == "done", bus.ring("synth").state)
        end(bus.start(*args, "--seed=2"))
        check(bus.ring("synth").records[0][8:] != bus.ring("whole").records[0][8:] and
              len(bus.ring("synth").records) == 30000, "another seed is another stream")


def synth_keeps_its_rate():
    with Bus() as bus:
        begun = time.monotonic()
        end(bus.start("tickbus-synth", "--rate=20000", "--count=20000"))
        took = time.monotonic() - begun
        check(0.99 < took < 5, "one second's worth took", took)
        times = [struct.unpack_from("<q", r, 8)[0] for r in bus.ring("synth").records]
        check(times[-1] - times[0] == 19999 * 50_000, "event times", times[-1] - times[0])


def killed_at_labelled_points_of_its_end_nothing_is_lost_or_doubled():
    """Needs a build with TB_POINTS: deaths within the last records, the forming ones among them."""
    total = len(PLAIN)
    cases = ["candles:flush:1", "instrument:before_count:1", "instrument:before_count:2", "ring:after_create:1",
             "ring:before_rename:1", "ring:after_rename:1"]
    cases += ["checkpoint:%s_commit:%d" % (w, n) for w in ("before", "after") for n in range(1, 8)]
    cases += ["publish:%s:%d" % (w, total - n) for w in ("after_P1", "in_P3", "before_P4", "after_P4")
              for n in range(0, 20)]
    command = [CANDLES, "--streams=feed", "--until-done", OUT]
    killed = 0
    for case in cases:
        with Bus() as bus:
            end(source(bus, capacity=32768))
            p = bus.start(*command, env={**os.environ, "TB_POINT": case})
            killed += p.wait(20) == -signal.SIGKILL
            end(bus.start(*command))
            check(output(bus)["feed"] == PLAIN, case, "the output differs from that of a run without kills")
    check(killed > len(cases) * 9 // 10, "only", killed, "of", len(cases), "deaths: is this a build with TB_POINTS?")


def killed_at_labelled_points_on_its_way():
    rng = random.Random(SEED + 4)
    points = ["publish:after_P1", "publish:in_P3", "publish:before_P4", "publish:after_P4",
              "checkpoint:before_commit", "checkpoint:after_commit"]
    with Bus() as bus:
        sources = [source(bus, "a", 256, 300), source(bus, "b", 1024, 300)]
        killed, code = 0, None
        while code != 0:
            point = rng.choice(points)
            count = rng.randrange(1, 1200 if point.startswith("publish") else 12)
            p = bus.start(CANDLES, "--streams=a,b", "--until-done", "--capacity=262144", "--checkpoint-every=5ms",
                          env={**os.environ, "TB_POINT": "%s:%d" % (point, count)})
            code = p.wait(60)
            check(code in (0, -signal.SIGKILL), "exit", code, log_of(p))
            killed += code != 0
        for q in sources:
            end(q)
        found = output(bus)
        check(found["a"] == PLAIN and found["b"] == PLAIN, "the output differs from that of a run without kills")
        check(killed >= 30, "only", killed, "deaths")


if sys.argv[1:] == ["points"]:
    run_tests([killed_at_labelled_points_of_its_end_nothing_is_lost_or_doubled, killed_at_labelled_points_on_its_way])
run_tests([candles_equal_those_of_the_recording, forming_candles_come_on_change_and_keep_their_distance,
           killed_at_random_nothing_is_lost_or_doubled, killed_with_two_inputs_each_is_as_without_kills,
           killed_and_stopped_in_turn_no_completed_candle_is_lost_or_doubled, stopped_it_gives_out_what_is_forming,
           a_lapped_reader_says_so_on_its_stream, what_older_plays_were_made_of_is_gone_and_candles_go_on, a_killed_synth_continues_exactly, synth_keeps_its_rate])
