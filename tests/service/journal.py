#!/usr/bin/env python3
"""tickbus-journal over real streams, read back by a reader in another language.

    journal.py stream|kills|full|refused|epochs|compress|lapped|spoilt|slow|less|stopped|busy

kills: ROUNDS (default 100) and SEED in the environment.
"""
import ctypes
import ctypes.util
import fcntl
import glob
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import shutil

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from buslook import BUILD, SOURCE, Bus, check, end, log_of, stop, until  # noqa: E402
from journal_reader import Segment, read, segments  # noqa: E402

CAPTURE = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
REPLAY = ["--captures", CAPTURE, "--stream", "s", "--speed", "max"]
GATED = ["--pace=gated", "--gates=journal"]


def reference():
    """Every record of the recording, as it is in a ring that is large enough for all."""
    with Bus() as bus:
        end(bus.start("tickbus-replay", *REPLAY, "--capacity=262144"), deadline=60)
        return bus.ring("s").records


class Journal:
    """A directory for journals, on a disk."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="tickbus-journal-", dir=os.environ.get("TICKBUS_BUILD"))
        self.of = os.path.join(self.dir, "b", "s")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)


def equal(found, expected):
    """Both lists of records: the first difference is told."""
    for i, (a, b) in enumerate(zip(found, expected)):
        # The time of publishing is each run's own; of what was recorded long ago it is always "too long".
        check(a == b, "record", i + 1, a.hex(), "expected", b.hex())
    check(len(found) == len(expected), len(found), "records, expected", len(expected))


def only_epoch(directory, crc=False):
    epochs = read(directory, crc)
    check(len(epochs) == 1, "epochs", sorted(epochs))
    records = next(iter(epochs.values()))
    check(sorted(records) == list(range(1, len(records) + 1)), "holes or doubles")
    return [records[seq] for seq in sorted(records)]


def cursor(bus, stream="s"):
    """needed, durable of the journal's cursor page."""
    with open(bus.path(stream + ".journal.cursor"), "rb") as f:
        data = f.read(144).ljust(144, b"\0")  # just made, it has no size yet
    return struct.unpack_from("<Q", data, 104)[0], struct.unpack_from("<Q", data, 136)[0]


def stat(bus, service):
    """What `tickbus stat` shows of a service."""
    out = subprocess.run([os.path.join(BUILD, "tickbus-stat"), "--directory", bus.base, "--bus", "b", "--once", "--json"],
                         capture_output=True, check=True).stdout
    found = [p for p in json.loads(out)["processes"] if p["process"] == service]
    return (found[0]["state"], found[0]["note"]) if found else ("", "")


def stream():
    """What is in the journal equals the stream, with its instruments; every checksum is right."""
    expected = reference()
    for io in ("uring", "plain"):
        with Bus() as bus, Journal() as j:
            journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--until-done", "--io", io)
            end(bus.start("tickbus-replay", *REPLAY, *GATED, "--capacity=8192"), deadline=60)
            end(journal, deadline=60)
            equal(only_epoch(j.of, crc=io == "uring"), expected)
            needed, durable = cursor(bus)
            check(durable == len(expected) and needed == durable + 1, "durable", durable, "needed", needed)
            (only,) = segments(j.of)
            check(only.instruments()[1][:2] == ("binance", "BTC/USDT"), only.instruments())
            check(only.records()[1], "it has no end page")


def kills():
    """Killed again and again, behind a ring that waits for nothing but what is durable."""
    rounds = int(os.environ.get("ROUNDS", "100"))
    seed = int(os.environ.get("SEED", str(time.time_ns() % 10**9)))
    chance = random.Random(seed)
    print("seed", seed, flush=True)
    expected = reference()
    killed = runs = 0
    while killed < rounds:
        runs += 1
        with Bus() as bus, Journal() as j:
            options = ["--streams=s", "--journal", j.dir, "--until-done", "--segment-size=1MiB", "--memory=4MiB", "--sync-every=3ms",
                       "--io", chance.choice(["auto", "plain"]), "--direct", chance.choice(["auto", "off"])]
            replay = bus.start("tickbus-replay", *REPLAY[:-1], "600", *GATED, "--capacity=4096")
            durable = 0
            while replay.poll() is None:
                journal = bus.start("tickbus-journal", *options)
                time.sleep(chance.uniform(0.005, 0.12))  # when it dies is chance
                journal.kill()
                journal.wait()
                killed += 1
                if os.path.exists(bus.path("s.journal.cursor")):
                    now = cursor(bus)[1]
                    check(now >= durable, "durable went from", durable, "to", now)
                    durable = now
            end(replay)
            end(bus.start("tickbus-journal", *options), deadline=60)
            equal(only_epoch(j.of), expected)
    print(killed, "kills in", runs, "runs")


def epochs():
    """A stream made anew goes to a segment of its own; a journal started again goes on behind the last record."""
    with Bus() as bus, Journal() as j:
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir)
        for count in (1000, 500, 2000):
            end(bus.start("tickbus-synth", "--stream=s", "--rate=0", "--count=%d" % count, "--new-epoch"))
            last = bus.ring("s")
            until(lambda: os.path.exists(bus.path("s.journal.cursor")) and cursor(bus)[1] == last.last
                  and read(j.of).get(last.epoch, {}).get(last.last), "the epoch in the journal")
        stop(journal)
        found = read(j.of)
        check(sorted(len(r) for r in found.values()) == [500, 1000, 2000], [len(r) for r in found.values()])
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir)
        end(bus.start("tickbus-synth", "--stream=s", "--rate=0", "--count=2700"))
        until(lambda: cursor(bus)[1] == 2700, "the rest")
        stop(journal)
        ring = bus.ring("s")
        check(ring.epoch == last.epoch, "the epoch was to go on")
        equal([r for _, r in sorted(read(j.of)[last.epoch].items())], ring.records)


def lapped():
    """A journal that was away too long tells what it lost, and goes on in a segment behind the gap."""
    with Bus() as bus, Journal() as j:
        options = ["--streams=s", "--journal", j.dir]
        make = ["--stream=s", "--rate=0", "--capacity=1024"]
        end(bus.start("tickbus-synth", *make, "--count=500"))
        journal = bus.start("tickbus-journal", *options)
        until(lambda: os.path.exists(bus.path("s.journal.cursor")) and cursor(bus)[1] == 500, "the first records")
        stop(journal)
        end(bus.start("tickbus-synth", *make, "--count=10000"))
        journal = bus.start("tickbus-journal", *options)
        until(lambda: cursor(bus)[1] == 10000, "the last record")
        stop(journal)
        lost = bus.stats("journal").counters["records_lost"]
        (records,) = read(j.of).values()
        check(len(records) + lost == 10000, len(records), "records and", lost, "lost")
        first = min(seq for seq in records if seq > 500)
        check(first == 501 + lost and sorted(records) == [*range(1, 501), *range(first, 10001)], "one gap, as told")
        check(len(segments(j.of)) == 2, "a gap begins a segment")

        # The same while its producer goes on and on, and what is on disk is known late: one loss, counted once and told with its range.
        producer = bus.start("tickbus-synth", "--stream=s", "--rate=30000", "--capacity=1024")
        until(lambda: bus.ring("s").last > 14000, "it to be lapped")
        held = lease(sorted(glob.glob(j.of + "/*.tbj"))[-1])
        journal = bus.start("tickbus-journal", *options)
        until(lambda: bus.ring("s").last > 20000, "a few times round")
        os.close(held)
        until(lambda: cursor(bus)[1] > 21000, "the journal to go on")
        stop(producer)
        until(lambda: cursor(bus)[1] == bus.ring("s").last, "the last record")
        stop(journal)
        (records,) = read(j.of).values()
        lost = bus.stats("journal").counters["records_lost"]
        there = len([seq for seq in records if seq > 10000])
        check(there + lost == max(records) - 10000, there, "records and", lost, "lost of", max(records) - 10000, log_of(journal))
        first = min(seq for seq in records if seq > 10000)
        check("ev=overrun stream=s lost=%d " % (first - 10001) in log_of(journal), first, log_of(journal))


def lease(name):
    """While it is held, nobody else's open of this file returns (but see lease-break-time: 45 s). None: not to be had here."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(name, os.O_RDWR)

    def taken():
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            return False  # the kernel has not closed all of who was killed
        return True

    try:
        until(taken, "the lease")
    except OSError as refused:
        print("skipped: no lease on a file of a journal:", refused)
        sys.exit(77)
    return fd


def slow():
    """Started again, it takes long to read what it left. Producers that wait for nobody go round and round meanwhile: nothing is lost."""
    streams = ("a", "b", "c")
    with Bus() as bus, Journal() as j:
        options = ["--streams=" + ",".join(streams), "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB"]
        producers = [bus.start("tickbus-synth", "--stream=" + s, "--name=" + s, "--rate=12000", "--symbols=3", "--capacity=4096") for s in streams]
        until(lambda: all(bus.ring(s) for s in streams), "the streams")
        journal = bus.start("tickbus-journal", *options)
        until(lambda: all(os.path.exists(bus.path(s + ".journal.cursor")) and cursor(bus, s)[1] > 1000 for s in streams), "some records on disk")
        journal.kill()
        journal.wait()
        begun = [bus.ring(s).last for s in streams]
        names = [sorted(glob.glob(os.path.join(j.dir, "b", s, "*.tbj")))[-1] for s in streams]
        leases = [lease(name) for name in names]
        journal = bus.start("tickbus-journal", *options)
        until(lambda: all(bus.ring(s).last > b + 3 * 4096 for s, b in zip(streams, begun)), "three times round")
        for s, b, fd in zip(streams, begun, leases):
            os.close(fd)
            until(lambda s=s, b=b: cursor(bus, s)[1] > b + 3 * 4096, "what was held of " + s, deadline=40)
        for p in producers:
            stop(p)
        until(lambda: all(cursor(bus, s)[1] == bus.ring(s).last for s in streams), "all to be durable")
        stop(journal)
        check(bus.stats("journal").counters["records_lost"] == 0, log_of(journal))
        for s in streams:
            check(len(only_epoch(os.path.join(j.dir, "b", s))) == bus.ring(s).last, s, log_of(journal))


def stopped():
    """A start that takes long is told. Stopped at once meanwhile: what was read so far is not lost, and not said to be."""
    with Bus() as bus, Journal() as j:
        options = ["--streams=s", "--journal", j.dir]
        journal = bus.start("tickbus-journal", *options)
        end(bus.start("tickbus-synth", "--stream=s", "--rate=0", "--count=500"))
        until(lambda: os.path.exists(bus.path("s.journal.cursor")) and cursor(bus)[1] == 500, "the first records")
        journal.kill()
        journal.wait()
        held = lease(sorted(glob.glob(j.of + "/*.tbj"))[-1])
        end(bus.start("tickbus-synth", "--stream=s", "--rate=0", "--count=900"))
        journal = bus.start("tickbus-journal", *options)
        until(lambda: "ev=recovering stream=s" in log_of(journal), "that to be told")
        check("held=399 " in log_of(journal) and bus.stats("journal").counters["durable_lag"] == 400, log_of(journal))
        for said in ("ev=draining", "ev=stopping_at_once"):
            journal.send_signal(signal.SIGTERM)
            until(lambda said=said: said in log_of(journal), said)
        check(cursor(bus) == (501, 500), "claimed", cursor(bus))
        os.close(held)
        end(journal, 74, deadline=60)
        check("journal_lost" not in log_of(journal), log_of(journal))
        end(bus.start("tickbus-journal", *options, "--until-done"), deadline=60)
        check(len(only_epoch(j.of)) == 900, "not all are there")


def busy():
    """One of two streams is written by another process: that is said, the other one goes on, and it too when that process is gone."""
    with Bus() as bus, Journal() as j:
        other = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--name=other")
        producer = bus.start("tickbus-synth", "--stream=s", "--rate=20000")
        until(lambda: os.path.exists(bus.path("s.other.cursor")) and bus.ring("s").last > 1000, "it to be written")
        for _ in range(5):  # that it can not be written is known before anything else is done, or later
            journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir)
            until(lambda j=journal: j.poll() is not None or "ev=journal_not_opened" in log_of(j), "that to be said")
            check(journal.poll() is None, log_of(journal))
            journal.kill()
            journal.wait()
        journal = bus.start("tickbus-journal", "--streams=s,t", "--journal", j.dir)
        end(bus.start("tickbus-synth", "--stream=t", "--name=t", "--rate=0", "--count=700"))
        until(lambda: os.path.exists(bus.path("t.journal.cursor")) and cursor(bus, "t")[1] == 700, "the other stream")
        state, note = stat(bus, "journal")
        check(state == "degraded" and "another process writes" in note, state, note, log_of(journal))
        stop(other)
        stop(producer)
        until(lambda: cursor(bus)[1] == bus.ring("s").last, "the rest")
        stop(journal)
        check(len(only_epoch(j.of)) == bus.ring("s").last, log_of(journal))


def less():
    """Less is on disk than the cursor page promised: what the ring has comes again, and what is held is not given up for what it has not."""
    with Bus() as bus, Journal() as j:
        options = ["--streams=s", "--journal", j.dir]
        make = ["--stream=s", "--rate=0", "--capacity=4096"]
        end(bus.start("tickbus-synth", *make, "--count=50"))
        journal = bus.start("tickbus-journal", *options)
        until(lambda: os.path.exists(bus.path("s.journal.cursor")) and cursor(bus)[1] == 50, "the first records")
        stop(journal)
        shutil.rmtree(j.of)
        end(bus.start("tickbus-synth", *make, "--count=70"))
        end(bus.start("tickbus-journal", *options, "--until-done"), deadline=60)
        check(len(only_epoch(j.of)) == 70, "the ring had all of them")

        # As one leaves it that was lapped, said so, and died before it had written what followed.
        end(bus.start("tickbus-synth", *make, "--count=10000"))
        with open(bus.path("s.journal.cursor"), "r+b") as f:
            f.seek(136)
            f.write(struct.pack("<Q", 6500))
        journal = bus.start("tickbus-journal", *options, "--until-done")
        end(journal, deadline=60)
        (records,) = read(j.of).values()
        check(sorted(records) == [*range(1, 71), *range(6501, 10001)], len(records), log_of(journal))
        check("ev=journal_hole stream=s from=71 to=6500 " in log_of(journal), log_of(journal))


def full():
    """A disk that is full, and then is not: degraded and visible, and in the end every record is there."""
    in_namespace("full")
    directory = "/dev/shm/tickbus-test-mount-%d" % os.getpid()
    os.makedirs(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", directory], check=True)
    try:
        expected = reference()
        with Bus() as bus:
            ballast = os.path.join(directory, "ballast")
            journal = bus.start("tickbus-journal", "--streams=s", "--journal", directory, "--until-done",
                                "--segment-size=1MiB", "--memory=4MiB")
            replay = bus.start("tickbus-replay", *REPLAY[:-1], "120", *GATED, "--capacity=4096")
            until(lambda: bus.stats("journal") and bus.stats("journal").counters.get("bytes_written", 0) > 500000, "a beginning")
            with open(ballast, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 65536)
                except OSError:
                    pass
            until(lambda: bus.stats("journal").state == "degraded", "degraded", 60)
            state, note = stat(bus, "journal")
            check(state == "degraded" and "No space left" in note, state, note)
            check(replay.poll() is None, "the gate was to hold")
            os.unlink(ballast)
            subprocess.run(["mount", "-o", "remount,size=64m", directory], check=True)
            until(lambda: stat(bus, "journal")[0] == "running", "recovered", 60)
            end(replay, deadline=60)
            end(journal, deadline=60)
            check("ev=recovered" in log_of(journal), log_of(journal))
            equal(only_epoch(os.path.join(directory, "b", "s")), expected)
    finally:
        subprocess.run(["umount", "-l", directory], check=False)
        os.rmdir(directory)


def in_namespace(name):
    """Run this test again where we may mount; skip if that is not possible here."""
    if os.environ.get("TICKBUS_IN_NAMESPACE"):
        return
    for unshare in (["unshare", "-m"], ["unshare", "-Urm"]):
        if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            again = [*unshare, sys.executable, os.path.abspath(__file__), name]
            sys.exit(subprocess.run(again, env={**os.environ, "TICKBUS_IN_NAMESPACE": "1"}).returncode)
    print("skipped: neither root nor user namespaces here")
    sys.exit(77)


def forbid_io_uring():
    """seccomp: io_uring_setup gives EPERM, as in many containers. Runs in the child before exec."""
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    code = struct.pack("=HBBI", 0x20, 0, 0, 0) + struct.pack("=HBBI", 0x15, 0, 1, 425) + \
        struct.pack("=HBBI", 0x06, 0, 0, 0x00050001) + struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    keep = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", 4, ctypes.addressof(keep)))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program, 0, 0) != 0:
        os._exit(77)


def refused():
    """Where io_uring is refused it says so once, and writes all the same; --io=uring insists."""
    expected = reference()
    with Bus() as bus, Journal() as j:
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--until-done", preexec_fn=forbid_io_uring)
        end(bus.start("tickbus-replay", *REPLAY, *GATED), deadline=60)
        if journal.wait(60) == 77:
            print("skipped: no seccomp here")
            sys.exit(77)
        check(journal.returncode == 0, log_of(journal))
        check(log_of(journal).count("ev=io_fallback") == 1, log_of(journal))
        equal(only_epoch(j.of), expected)
        end(bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--io=uring", preexec_fn=forbid_io_uring), 74)


def compress():
    """Ended segments become zstd files that any zstd reads; the oldest go when there are too many bytes."""
    expected = reference()
    with Bus() as bus, Journal() as j:
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB", "--compress")
        end(bus.start("tickbus-replay", *REPLAY, *GATED), deadline=60)
        packed = until(lambda: (lambda f: f if len(f) == 2 else None)(sorted(glob.glob(j.of + "/*.zst"))), "two compressed segments", 60)
        until(lambda: not [p for p in packed if os.path.exists(p[:-4])], "the plain files to go")
        stop(journal)
        smaller = sum(os.path.getsize(p) for p in packed)
        for p in packed:
            if subprocess.run(["zstd", "-q", "-d", p, "-o", p[:-4]], capture_output=True).returncode != 0:
                print("no zstd program here: the content was not looked at")
                return
        check(smaller * 2 < sum(os.path.getsize(p[:-4]) for p in packed), "not much smaller")
        equal(only_epoch(j.of), expected)
        for p in packed:
            os.unlink(p[:-4])
        journal = bus.start("tickbus-journal", "--streams=s", "--journal", j.dir, "--retain-bytes=1MiB")
        until(lambda: not glob.glob(j.of + "/*.zst"), "the oldest to go", 60)
        check(glob.glob(j.of + "/*.tbj"), "the newest stays")
        stop(journal)


def verified(directory):
    """What tickbus-verify finds: the exit code and its lines."""
    done = subprocess.run([os.path.join(BUILD, "tickbus-verify"), directory], capture_output=True, text=True)
    return done.returncode, done.stdout


def spoilt():
    """An open segment's first page is spoilt: nothing is lost. All of it is: what the ring has no more is told, with its range."""
    for whole in (False, True):
        with Bus() as bus, Journal() as j:
            options = ["--streams=s", "--journal", j.dir, "--segment-size=1MiB", "--memory=4MiB"]
            journal = bus.start("tickbus-journal", *options)
            end(bus.start("tickbus-replay", *REPLAY, *GATED, "--capacity=4096"), deadline=60)
            until(lambda: cursor(bus)[1] == bus.ring("s").last, "all to be durable")
            last = cursor(bus)[1]
            journal.kill()
            journal.wait()
            name = sorted(glob.glob(j.of + "/*.tbj"))[-1]
            with open(name, "r+b") as f:
                f.seek(100)
                f.write(b"spoilt" if not whole else b"spoilt" * (os.path.getsize(name) // 6))
            again = bus.start("tickbus-journal", *options, "--until-done")
            end(again, 75 if whole else 0, deadline=60)
            log, (code, found) = log_of(again), verified(j.of)
            check(code == 1, "verify", code, found)
            first = int(os.path.basename(name)[21:41])
            if not whole:
                check("ev=journal_head" in log and cursor(bus)[1] == last, log)
                check("records" in found and str(last) in found and "1 damaged pages" in found, found)
                continue
            kept = int(sorted(os.listdir(j.of))[-2][21:41])  # the last one is the lock
            check("ev=journal_aside" in log and os.path.exists(name + ".damaged"), log)
            check(f"ev=overrun stream=s lost={kept - first} " in log and f"seq={kept} " in log, log, kept)
            check(f"{first}" in found and f"{kept - 1}" in found, found, first, kept)


def main():
    tests = {f.__name__: f for f in (stream, kills, full, refused, epochs, compress, lapped, slow, spoilt, less, stopped, busy)}
    tests[sys.argv[1]]()
    print("ok", sys.argv[1])


if __name__ == "__main__":
    main()
