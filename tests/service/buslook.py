"""What the service tests need to see and do on a bus: rings, cursors and pages by their documented layout."""
import concurrent.futures
import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from until import until  # noqa: E402

BUILD = os.environ["TICKBUS_BUILD"]
SOURCE = os.environ["TICKBUS_SOURCE"]
SLOTS_OFFSET = 4096 + 1024 * 192
BUSY = 1 << 63
STREAM_STATES = {1: "starting", 2: "running", 3: "done", 4: "stopped", 5: "retired"}
SERVICE_STATES = {1: "starting", 2: "waiting", 3: "running", 4: "degraded", 5: "draining", 6: "stopped", 7: "failed"}


class Failed(AssertionError):
    pass


def check(condition, *say):
    if not condition:
        raise Failed(" ".join(str(s) for s in say))


class Bus:
    """A bus directory of its own, gone afterwards, with every process that was started on it."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
        self.dir = os.path.join(self.base, "b")
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()
        shutil.rmtree(self.base)

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, program, *args, log=None, **more):
        """A program of the build on this bus; its log goes to a file that log_of() reads."""
        log = log or os.path.join(self.base, "%d.log" % len(self.processes))
        more.setdefault("env", dict(os.environ, XDG_CACHE_HOME=os.path.join(self.base, "cache")))
        with open(log, "ab") as out:
            p = subprocess.Popen([os.path.join(BUILD, program), "--directory", self.base, "--bus", "b", *args],
                                 stdout=out, stderr=out, stdin=subprocess.DEVNULL, **more)
        p.log = log
        self.processes.append(p)
        return p

    def ring(self, stream):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path(stream + ".ring"), "rb") as f:
                return Ring(f.read())
        return None

    def stats(self, service):
        with contextlib.suppress(FileNotFoundError):
            with open(self.path(service + ".stats"), "rb") as f:
                data = f.read()
            return Stats(data) if data else None  # just created, not yet sized
        return None


class Ring:
    def __init__(self, data):
        self.epoch, self.capacity = struct.unpack_from("<QQ", data, 16)
        self.last, _, _, self.lives, _, self.instruments, state, self.pid = struct.unpack_from("<QqqQQIII", data, 256)
        self.state = STREAM_STATES.get(state, state)
        slots = [data[o:o + 64] for o in range(SLOTS_OFFSET, SLOTS_OFFSET + 64 * self.capacity, 64)]
        self.records = sorted((s for s in slots if 0 < struct.unpack_from("<Q", s)[0] < BUSY),
                              key=lambda s: struct.unpack_from("<Q", s)[0])


class Stats:
    def __init__(self, data):
        (state,) = struct.unpack_from("<I", data, 12)
        self.state = SERVICE_STATES.get(state, state)
        self.pid, self.exit_code = struct.unpack_from("<Ii", data, 80)
        self.cpu_ns = struct.unpack_from("<q", data, 112)[0]
        self.note = data[144:304].split(b"\0")[0].decode()
        self.counters = {}
        for i in range(96):
            name, kind, value = struct.unpack_from("<40sI4xq", data, 304 + 56 * i)
            if kind:
                self.counters[name.split(b"\0")[0].decode()] = value


def log_of(process):
    with open(process.log, encoding="utf-8") as f:
        return f.read()


def end(process, code=0, deadline=20):
    """Its exit code, as expected, within the deadline."""
    try:
        got = process.wait(deadline)
    except subprocess.TimeoutExpired:
        raise Failed("still running: %s\n%s" % (process.args[0], log_of(process))) from None
    check(got == code, "exit", got, "expected", code, process.args, "\n" + log_of(process))
    return got


def stop(process, code=0, deadline=20):
    process.send_signal(signal.SIGTERM)
    return end(process, code, deadline)


def run_tests(tests, at_once=1):
    """at_once: tests with buses of their own that mostly wait may do so side by side."""
    def run(test):
        begun = time.monotonic()
        try:
            test()
            return test.__name__, time.monotonic() - begun, None
        except AssertionError as failure:
            return test.__name__, time.monotonic() - begun, failure
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for name, took, failure in pool.map(run, tests):
            failures += failure is not None
            print("FAIL  %s: %s" % (name, failure) if failure else "ok    %-50s %.1f s" % (name, took), flush=True)
    sys.exit(1 if failures else 0)
