#!/usr/bin/env python3
"""tickbus-replay: the same bytes each time, exactly continued after kills, nothing lost under a gate."""
import gzip
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["TICKBUS_BUILD"]
SOURCE = os.environ["TICKBUS_SOURCE"]
REPLAY = os.path.join(BUILD, "tickbus-replay")
READER = os.path.join(BUILD, "tests", "replay_reader")
DATA = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
KILLS = 25
DEADLINE = 150


class Bus:
    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="tickbus-replay-", dir="/dev/shm")
        self.dir = os.path.join(self.base, "t")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.base)

    def command(self, captures, *more):
        return [REPLAY, "--directory", self.base, "--bus", "t", "--stream", "s",
                "--captures", ",".join(captures), *more]

    def run(self, captures, *more, status=0):
        done = subprocess.run(self.command(captures, *more), stderr=subprocess.PIPE, timeout=DEADLINE, text=True)
        assert done.returncode == status, (done.returncode, done.stderr)
        return done.stderr

    def reader(self, per_ms=0):
        return subprocess.Popen([READER, self.dir, "s", "gate", str(per_ms)], stdout=open(self.path("out"), "wb"))

    def path(self, name):
        return os.path.join(self.base, name)

    def copied(self, reader):
        assert reader.wait(timeout=DEADLINE) == 0
        with open(self.path("out"), "rb") as f:
            return f.read()

    def slots(self):
        """Everything in the ring file that a replay decides: instruments and slots."""
        with open(os.path.join(self.dir, "s.ring"), "rb") as f:
            f.seek(4096)
            return f.read()


GATED = ("--speed", "max", "--pace", "gated", "--gates", "gate", "--capacity", "4096")


def gated(captures, *more):
    with Bus() as bus:
        reader = bus.reader()
        bus.run(captures, *GATED, *more)
        return bus.copied(reader)


def check_sequence(copy):
    assert len(copy) % 64 == 0
    for i, (seq,) in enumerate(struct.iter_unpack("<Q56x", copy), 1):
        assert seq == i, (seq, i)
    kind, = struct.unpack_from("<B", copy, len(copy) - 64 + 26)
    code, = struct.unpack_from("<I", copy, len(copy) - 64 + 56)
    assert (kind, code) == (6, 6), "the last record says END"


def twice_gives_equal_bytes(captures, want):
    rings = []
    for _ in range(2):
        with Bus() as bus:
            bus.run(captures, "--speed", "max", "--capacity", "524288")
            rings.append(bus.slots())
    assert rings[0] == rings[1]
    slots = rings[0][1024 * 192:]
    assert slots[64:64 + len(want)] == want, "free and gated give the same"


def kills_change_nothing(captures, want):
    seed = int(os.environ.get("TB_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    print(f"seed {seed}")
    rounds = killed = 0
    with Bus() as bus:
        # At this pace there is work for all the kills; with what is left after them, it ends by itself.
        reader = bus.reader(per_ms=len(want) // 64 // 4000 + 1)
        deadline = time.monotonic() + DEADLINE
        while killed < KILLS and time.monotonic() < deadline:
            rounds += 1
            replay = subprocess.Popen(bus.command(captures, *GATED), stderr=subprocess.DEVNULL)
            try:
                replay.wait(timeout=random.uniform(0.0, 0.3))
            except subprocess.TimeoutExpired:
                replay.send_signal(signal.SIGKILL)
                replay.wait()
                killed += 1
                continue
            assert replay.returncode == 0, replay.returncode
            break
        bus.run(captures, *GATED)
        copy = bus.copied(reader)
    assert killed >= 20, (killed, rounds)
    assert copy == want, (len(copy), len(want))
    print(f"{killed} kills: {len(copy) // 64} records, byte for byte the same")


def stop_and_go_on(captures, want):
    with Bus() as bus:
        reader = bus.reader(per_ms=200)
        replay = subprocess.Popen(bus.command(captures, *GATED), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + DEADLINE
        while os.path.getsize(bus.path("out")) == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        replay.send_signal(signal.SIGTERM)
        _, err = replay.communicate(timeout=DEADLINE)
        assert replay.returncode == 0, err
        err = bus.run(captures, *GATED)
        assert "ev=continuing" in err, err
        assert bus.copied(reader) == want


def another_capture_begins_anew(captures, directory):
    """The stream of one session is not continued with another."""
    other = os.path.join(directory, "spot_btcusdt_1.gz")
    with gzip.open(captures[0], "rt") as f, gzip.open(other, "wt", 1) as out:
        for _ in range(500):
            out.write(f.readline())
    with Bus() as bus:
        bus.run(captures, "--speed", "max")
        bus.run([other], "--speed", "max", "--capacity", "65536")
        first, = struct.unpack_from("<Q", bus.slots(), 1024 * 192 + 64)
        assert first == 1


def damaged_capture_is_played_as_far_as_it_goes(captures, directory):
    cut = os.path.join(directory, "spot_btcusdt_2.gz")
    with open(captures[0], "rb") as f, open(cut, "wb") as out:
        out.write(f.read()[:200000])
    with Bus() as bus:
        err = bus.run([cut], "--speed", "max")
        assert "ev=capture_fault" in err and "gzip cut short" in err, err
        assert "capture_faults=1" in err and "level=warn" in err, err
        assert "ev=degraded" in err, err


def pace_is_kept(directory):
    slow = os.path.join(directory, "slow.jsonl")
    frame = '{"e":"trade","E":1,"s":"BTCUSDT","t":%d,"p":"1","q":"1","T":1700000000000,"m":true}'
    with open(slow, "w") as f:
        for i in range(5):
            f.write(f"{1700000000_000000000 + i * 1000000000} {frame % i}\n")
    with Bus() as bus:
        begin = time.monotonic()
        bus.run([slow], "--speed", "10")
        took = time.monotonic() - begin
        assert took >= 0.4, took


def bad_options_are_all_named(captures):
    with Bus() as bus:
        err = bus.run(["/none"], "--speed", "fast", "--venue", "binanc", "--channels", "x", status=64)
        for word in ("captures", "speed", "venue", "channels", "binance"):
            assert word in err, err
        err = bus.run(captures, "--symbols", "NO/SUCH", status=78)
        assert "NO/SUCH" in err and "BTC/USDT" in err, err


def main():
    spot = [os.path.join(DATA, "hftbacktest", f"spot_btcusdt_2024080{day}.gz") for day in (8, 9)]
    captures = spot if os.path.exists(spot[0]) else [DEMO]
    if not os.path.exists(captures[0]):
        sys.exit(77)
    want = gated(captures)
    check_sequence(want)
    print(f"{len(want) // 64} records")
    with tempfile.TemporaryDirectory() as directory:
        twice_gives_equal_bytes(captures, want)
        kills_change_nothing(captures, want)
        stop_and_go_on(captures, want)
        another_capture_begins_anew(captures, directory)
        damaged_capture_is_played_as_far_as_it_goes(captures, directory)
        pace_is_kept(directory)
        bad_options_are_all_named(captures)


main()
